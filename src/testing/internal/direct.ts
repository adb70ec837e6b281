/**
 * Two ends that hand their bytes to each other by plain calls, with nothing in between.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { type Source, type SourceEvents, type SourceSocket, StandIn } from "../../internal/connection/source.ts"
import * as Peer from "../../Peer.ts"
import { closeError } from "./closeError.ts"

const encoder = new TextEncoder()

const unwritable = () =>
  Effect.fail(
    new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("the connection is closed") }) })
  )

/**
 * | state | `end` | what is received | what is written |
 * |---|---|---|---|
 * | open | undefined | comes when it is wanted | reaches the other end |
 * | ended by the other end | 1000 | what came before still comes, then the end | reaches the other end |
 * | reset by the other end | 1006 | is lost | fails |
 * | ended here | any | comes | fails |
 */
export class End {
  other!: End
  private readonly waiting: Array<Uint8Array> = []
  private end: Socket.SocketError | undefined
  private hasEnded = false
  private wanted = false
  private events: SourceEvents | undefined
  private told = false

  private receive(chunk: Uint8Array): void {
    this.waiting.push(chunk)
    this.deliver()
  }

  private finish(error: Socket.SocketError): void {
    if (this.end !== undefined) return
    this.end = error
    if (!isClean(error)) this.waiting.length = 0
    this.deliver()
  }

  private deliver(): void {
    const { events } = this
    if (events === undefined) return
    while (this.wanted && this.waiting.length > 0) events.onBytes(this.waiting.shift()!)
    if (this.end === undefined || this.waiting.length > 0 || this.told) return
    this.told = true
    events.onEnd(isClean(this.end) ? undefined : this.end)
  }

  /** Whether it could be written. */
  put(chunks: ReadonlyArray<Uint8Array | string>): boolean {
    if (this.hasEnded || (this.end !== undefined && !isClean(this.end))) return false
    // The writer keeps its array and may use it again.
    for (const chunk of chunks) {
      if (chunk.length > 0) {
        this.other.receive(typeof chunk === "string" ? encoder.encode(chunk) : new Uint8Array(chunk))
      }
    }
    return true
  }

  private write(chunks: ReadonlyArray<Uint8Array | string>): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => this.put(chunks) ? Effect.void : unwritable())
  }

  /** Ends the writing side: in order with 1000, as a reset with 1006. */
  endWrite(code: number): void {
    this.hasEnded = true
    this.other.finish(closeError(code))
  }

  readonly source: Source = {
    peer: Peer.unknown,
    attach: (events) => {
      this.events = events
      this.deliver()
    },
    resume: () => {
      this.wanted = true
      this.deliver()
    },
    pause: () => {
      this.wanted = false
    },
    write: (chunks) => this.write(chunks),
    endWrite: () => {
      this.endWrite(1000)
      return true
    },
    onFlushed: (done) => done()
  }

  private readonly opened = <A>(value: A) =>
    Effect.acquireRelease(Effect.succeed(value), () => Effect.sync(() => this.endWrite(1000)))

  /** One chunk, the source's way, for whoever uses this end as any other socket. */
  private readonly pull = Effect.callback<readonly [Uint8Array], Socket.SocketError>((resume) => {
    const stop = () => {
      this.wanted = false
      this.events = undefined
    }
    this.told = false
    this.events = {
      onBytes: (chunk) => {
        stop()
        resume(Effect.succeed([chunk]))
      },
      onEnd: (error) => {
        stop()
        // There is no TLS of its own here that could fail.
        resume(Effect.fail(error === undefined || error._tag === "TlsFailure" ? closeError(1000) : error))
      }
    }
    this.wanted = true
    this.deliver()
    return Effect.sync(stop)
  })

  readonly socket: SourceSocket = new EndSocket(
    this,
    Socket.make({
      reader: this.opened({ pull: this.pull, upgrade: Socket.SocketUpgradeError.unsupported }),
      writer: this.opened({
        write: (chunk: Uint8Array | string | Socket.CloseEvent) =>
          Socket.isCloseEvent(chunk)
            ? Effect.sync(() => this.endWrite(chunk.code))
            : this.write([chunk]),
        writeAll: (chunks: ReadonlyArray<Uint8Array | string>) => this.write(chunks)
      })
    }),
    this.opened(this.source)
  )
}

/** The socket of an end, for whoever may stand at the end itself. */
class EndSocket extends StandIn {
  readonly end: End

  constructor(
    end: End,
    socket: Pick<Socket.Socket, "reader" | "writer">,
    source: Effect.Effect<Source, Socket.SocketError, Scope.Scope>
  ) {
    super(socket, source)
    this.end = end
  }
}

/** The end behind a socket; undefined where it is one of another kind. */
export const endOf = (socket: Socket.Socket): End | undefined => socket instanceof EndSocket ? socket.end : undefined

const isClean = (error: Socket.SocketError): boolean =>
  error.reason._tag === "SocketCloseError" && error.reason.code === 1000

export const ends = (): readonly [End, End] => {
  const [left, right] = [new End(), new End()]
  left.other = right
  right.other = left
  return [left, right]
}

export const pair = (): readonly [SourceSocket, SourceSocket] => {
  const [left, right] = ends()
  return [left.socket, right.socket]
}
