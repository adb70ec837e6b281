/**
 * A connection in memory: two directions, and the ends of both.
 *
 * @internal
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { concat } from "../../internal/bytes/primitives.ts"
import { closeError } from "./closeError.ts"

const encoder = new TextEncoder()

const writeError = (message: string) =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error(message) }) })

type Pulled = NonEmptyReadonlyArray<Uint8Array>

interface Options {
  readonly segments?: ((bytes: Uint8Array) => ReadonlyArray<Uint8Array>) | undefined
  readonly capacity?: number | undefined
}

/** One direction. */
export class Pipe {
  private pieces: Array<Uint8Array> = []
  private size = 0
  private end: Socket.SocketError | undefined = undefined
  private readerGone = false
  private reader: (() => void) | undefined = undefined
  private writers: Array<() => void> = []
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  /** Bytes, or the end; undefined where nothing is there yet. */
  take(): Uint8Array | Socket.SocketError | undefined {
    if (this.pieces.length === 0) return this.end
    const taken = this.options.segments === undefined ? concat(this.pieces.splice(0)) : this.pieces.shift()!
    this.size -= taken.length
    if (this.size < this.capacity) this.writers.splice(0).forEach((resume) => resume())
    return taken
  }

  /** Called once, when there is more to take. Nobody else waits for it. */
  whenThere(act: (() => void) | undefined): void {
    this.reader = act
  }

  readonly pull: Effect.Effect<Pulled, Socket.SocketError> = Effect.suspend(() => {
    const taken = this.take()
    if (taken instanceof Uint8Array) return Effect.succeed([taken] as const)
    if (taken !== undefined) return Effect.fail(taken)
    return Effect.andThen(
      Effect.callback<void>((resume) => {
        this.whenThere(() => resume(Effect.void))
        return Effect.sync(() => this.whenThere(undefined))
      }),
      this.pull
    )
  })

  private get capacity(): number {
    return this.options.capacity ?? 64 * 1024
  }

  /** Writes, or fails; what it returns is still to be waited for. */
  writeNow(chunks: ReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> | undefined {
    if (this.end !== undefined) return Effect.fail(writeError("write after end"))
    if (this.readerGone) return Effect.fail(writeError("EPIPE"))
    const bytes = concat(chunks.map((chunk) => typeof chunk === "string" ? encoder.encode(chunk) : chunk))
    if (bytes.length > 0) {
      // The writer keeps its array and may use it again.
      this.pieces.push(...(this.options.segments?.(bytes.slice()) ?? [bytes.slice()]))
      this.size += bytes.length
      this.wake()
    }
    return this.size < this.capacity ? undefined : this.drained
  }

  write(chunks: ReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => this.writeNow(chunks) ?? Effect.void)
  }

  private readonly drained: Effect.Effect<void, Socket.SocketError> = Effect.callback((resume) => {
    const writer = () =>
      resume(this.readerGone && this.size >= this.capacity ? Effect.fail(writeError("EPIPE")) : Effect.void)
    this.writers.push(writer)
    return Effect.sync(() => {
      this.writers = this.writers.filter((other) => other !== writer)
    })
  })

  finish(error: Socket.SocketError): void {
    this.end ??= error
    this.wake()
  }

  /** Nobody will pull any more. */
  abandon(): void {
    this.readerGone = true
    this.writers.splice(0).forEach((resume) => resume())
  }

  private wake(): void {
    const reader = this.reader
    this.reader = undefined
    reader?.()
  }
}

/** One end, as a socket. Whoever decorates it has made another socket, and that one is not known to be an end. */
export class PipeEnd implements Socket.Socket {
  readonly [Socket.TypeId]: typeof Socket.TypeId = Socket.TypeId
  readonly reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope>
  readonly writer: Effect.Effect<Socket.Writer, never, Scope.Scope>
  readonly #from: Pipe
  readonly #to: Pipe

  constructor(from: Pipe, to: Pipe) {
    this.#from = from
    this.#to = to
    this.reader = Effect.map(
      Effect.acquireRelease(Effect.void, () => Effect.sync(() => this.close())),
      () => ({ pull: from.pull, upgrade: Socket.SocketUpgradeError.unsupported })
    )
    this.writer = Effect.acquireRelease(
      Effect.succeed({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) =>
          Socket.isCloseEvent(chunk)
            ? Effect.sync(() => to.finish(closeError(chunk.code)))
            : to.write([chunk]),
        writeAll: (chunks: NonEmptyReadonlyArray<Uint8Array | string>) => to.write(chunks)
      }),
      () => Effect.sync(() => to.finish(closeError(1000)))
    )
  }

  static is(socket: Socket.Socket): socket is PipeEnd {
    return #from in socket
  }

  write(bytes: Uint8Array): Effect.Effect<void, Socket.SocketError> | undefined {
    return this.#to.writeNow([bytes])
  }

  /** Ends the writing side: in order with 1000, as a reset with 1006. */
  endWrite(code: number): void {
    this.#to.finish(closeError(code))
  }

  /** Takes what comes, to the end. */
  listen(onBytes: (chunk: Uint8Array) => void, onEnd: () => void): void {
    for (;;) {
      const taken = this.#from.take()
      if (taken === undefined) return this.#from.whenThere(() => this.listen(onBytes, onEnd))
      if (!(taken instanceof Uint8Array)) return onEnd()
      onBytes(taken)
    }
  }

  close(): void {
    this.#to.finish(closeError(1000))
    this.#from.abandon()
    this.#from.finish(closeError(1006))
  }
}
