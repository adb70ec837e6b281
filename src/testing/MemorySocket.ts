/**
 * Sockets in memory: a connected pair, and a server with its clients, without a network.
 *
 * **When to use**
 *
 * Use to test a handshake against a peer that is written in the test, and to run a server and its clients in one
 * process under `TestClock`.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import { concat } from "../internal/bytes/primitives.ts"
import { closeError } from "./internal/closeError.ts"
import * as NetworkServer from "./internal/networkServer.ts"

/**
 * How bytes travel between the two ends.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * Cuts what is written into the pieces that the other end pulls, one at a time. Without it each write arrives as it
   * is, and writes that nobody has pulled yet arrive together.
   */
  readonly segments?: ((bytes: Uint8Array) => ReadonlyArray<Uint8Array>) | undefined
  /** How many bytes one direction holds before a write waits. Default: 64 KiB. */
  readonly capacity?: number | undefined
}

const encoder = new TextEncoder()

const writeError = (message: string) =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error(message) }) })

type Pulled = NonEmptyReadonlyArray<Uint8Array>

/** One direction. */
class Pipe {
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

  readonly pull: Effect.Effect<Pulled, Socket.SocketError> = Effect.suspend(() => {
    if (this.pieces.length > 0) {
      const pulled = this.options.segments === undefined ? concat(this.pieces.splice(0)) : this.pieces.shift()!
      this.size -= pulled.length
      if (this.size < this.capacity) this.writers.splice(0).forEach((resume) => resume())
      return Effect.succeed([pulled] as const)
    }
    if (this.end !== undefined) return Effect.fail(this.end)
    return Effect.andThen(
      Effect.callback<void>((resume) => {
        this.reader = () => resume(Effect.void)
        return Effect.sync(() => {
          this.reader = undefined
        })
      }),
      this.pull
    )
  })

  private get capacity(): number {
    return this.options.capacity ?? 64 * 1024
  }

  write(chunks: ReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => {
      if (this.end !== undefined) return Effect.fail(writeError("write after end"))
      if (this.readerGone) return Effect.fail(writeError("EPIPE"))
      const bytes = concat(chunks.map((chunk) => typeof chunk === "string" ? encoder.encode(chunk) : chunk))
      if (bytes.length > 0) {
        // The writer keeps its array and may use it again.
        this.pieces.push(...(this.options.segments?.(bytes.slice()) ?? [bytes.slice()]))
        this.size += bytes.length
        this.wake()
      }
      return this.size < this.capacity ? Effect.void : this.drained
    })
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

const end = (from: Pipe, to: Pipe): Socket.Socket =>
  Socket.make({
    reader: Effect.map(
      Effect.acquireRelease(Effect.void, () =>
        Effect.sync(() => {
          to.finish(closeError(1000))
          from.abandon()
          from.finish(closeError(1006))
        })),
      () => ({ pull: from.pull, upgrade: Socket.SocketUpgradeError.unsupported })
    ),
    writer: Effect.acquireRelease(
      Effect.succeed({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) =>
          Socket.isCloseEvent(chunk)
            ? Effect.sync(() => to.finish(closeError(chunk.code)))
            : to.write([chunk]),
        writeAll: (chunks: NonEmptyReadonlyArray<Uint8Array | string>) => to.write(chunks)
      }),
      () => Effect.sync(() => to.finish(closeError(1000)))
    )
  })

/**
 * Two sockets, each the other's peer.
 *
 * **Details**
 *
 * Closing the scope of a socket's writer ends that direction; closing the scope of its reader closes both. An end is a
 * clean one, as of a TCP connection that was closed in order.
 *
 * **Example** (One byte at a time)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [left, right] = yield* MemorySocket.pair({
 *     segments: (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte))
 *   })
 *   const a = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, left))
 *   const b = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, right))
 *   yield* a.send("Hello")
 *   return yield* b.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => Hello
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pair = (options: Options = {}): Effect.Effect<readonly [Socket.Socket, Socket.Socket]> =>
  Effect.sync(() => {
    const there = new Pipe(options)
    const back = new Pipe(options)
    return [end(back, there), end(there, back)] as const
  })

/**
 * A server in memory, and how to reach it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Network {
  readonly server: SocketServer.SocketServer["Service"]
  /** A socket of a client; each acquisition of its reader dials anew. */
  readonly client: Socket.Socket
}

/**
 * Makes a server in memory. Connections that come before it runs wait for it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const network = (options: Options = {}): Effect.Effect<Network> =>
  Effect.sync(() => {
    const { accept, server } = NetworkServer.make()
    const dial = Effect.map(pair(options), ([here, there]) => {
      accept({ socket: there })
      return here
    })
    // The writer belongs to the connection that the reader has dialled last.
    let dialled: Socket.Socket | undefined
    const client = Socket.make({
      reader: Effect.flatMap(dial, (socket) => {
        dialled = socket
        return socket.reader
      }),
      writer: Effect.suspend(() => dialled === undefined ? Effect.die("the reader comes first") : dialled.writer)
    })
    return { server, client }
  })
