/**
 * One live connection: its inbox, and the source that fills it and takes what is written.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Socket from "effect/socket/Socket"
import type * as Peer from "../Peer.ts"
import { ConnectionFailed, TransportError } from "../TransportError.ts"
import { closedByPeer, Inbox } from "./inbox.ts"
import * as PullSource from "./pullSource.ts"
import { type Chunks, isSourceSocket, type Source, SourceTypeId } from "./source.ts"

/** A socket that stands for a connection that is open already. */
export const ConnectionTypeId = "~effect-handshake/Connection"
export interface ConnectionSocket extends Socket.Socket {
  readonly [ConnectionTypeId]: Connection
}
export const isConnectionSocket = (socket: Socket.Socket): socket is ConnectionSocket => ConnectionTypeId in socket

/** How long a closing connection waits for its peer to take the last words. */
const lingerTime = Duration.seconds(1)

export const failed = (operation: "open" | "read" | "write") => (cause: unknown): TransportError =>
  new TransportError({ reason: ConnectionFailed.from(operation, cause) })

export class Connection {
  readonly inbox: Inbox
  readonly peer: Peer.Peer
  /**
   * Whether closing waits for the peer's end, discarding what it still sends. To close with unread bytes resets the
   * connection, and a reset can overtake the last words and destroy them at the peer.
   */
  lingers = false
  /** Whether the peer was told why it is turned away, so that nobody says it twice. */
  refused = false
  private discards = false
  private readonly source: Source
  private readonly writing = Semaphore.makeUnsafe(1)
  private waiters = new Set<() => void>()

  constructor(source: Source, peer: Peer.Peer) {
    this.source = source
    this.peer = peer
    this.inbox = new Inbox(source.view)
    source.attach({
      onBytes: (chunk) => {
        if (this.discards) return
        this.inbox.push(chunk)
        this.wake()
      },
      onEnd: (error) => {
        this.inbox.finish(error === undefined ? closedByPeer : failed("read")(error))
        this.wake()
      }
    })
  }

  /**
   * Calls back once, when bytes or the end have come since. Any number may wait; each looks again when it is called, and
   * takes what it finds then.
   */
  onReadable(waiter: () => void): () => void {
    this.waiters.add(waiter)
    this.source.resume()
    return () => {
      this.waiters.delete(waiter)
      if (this.waiters.size === 0) this.source.pause()
    }
  }

  /** Waits for `onReadable`. Interrupted before or after it was called, it has taken nothing. */
  readonly readable: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const cancel = this.onReadable(() => resume(Effect.void))
    return Effect.sync(cancel)
  })

  private wake(): void {
    // Nobody reads ahead of what is asked for: whoever comes next may be a TLS handshake with a claim to these bytes.
    this.source.pause()
    const waiters = this.waiters
    this.waiters = new Set()
    for (const waiter of waiters) waiter()
  }

  write(chunks: Chunks): Effect.Effect<void, TransportError> {
    return this.writing.withPermit(Effect.mapError(this.source.write(chunks), failed("write")))
  }

  /** No further frame is given out; what was given out can still be answered. */
  closeToRequests(): void {
    this.inbox.closed = true
    this.wake()
  }

  private readonly awaitEnd: Effect.Effect<void> = Effect.suspend(() =>
    this.inbox.end !== undefined ? Effect.void : Effect.andThen(this.readable, this.awaitEnd)
  )

  close(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      this.inbox.closed = true
      this.discards = true
      this.wake()
      const flushed = this.source.endWrite()
      // Nobody is there to hear more. Else the end goes out before the connection is given up, which is a reset where
      // bytes are unread.
      if (flushed && this.inbox.end !== undefined) return Effect.void
      const lingers = this.lingers && this.inbox.end === undefined && !Exit.hasInterrupts(exit)
      const ended = lingers ? Effect.andThen(this.source.flushed, this.awaitEnd) : this.source.flushed
      return Effect.timeoutOption(Effect.interruptible(ended), lingerTime)
    })
  }

  /** The connection as a `Socket`, so that a handshake that asks for one gets this one. */
  readonly socket: ConnectionSocket = {
    ...Socket.make({
      reader: Effect.map(Effect.scope, () => ({
        pull: Effect.suspend(() => this.pull),
        upgrade: Socket.SocketUpgradeError.unsupported
      })),
      writer: Effect.succeed({
        write: (chunk) =>
          Socket.isCloseEvent(chunk)
            ? Effect.suspend(() => this.source.endWrite() ? Effect.void : this.source.flushed)
            : this.writeRaw([chunk]),
        writeAll: (chunks) => this.writeRaw(chunks)
      })
    }),
    [ConnectionTypeId]: this
  }

  private writeRaw(chunks: Chunks): Effect.Effect<void, Socket.SocketError> {
    return this.writing.withPermit(this.source.write(chunks))
  }

  private readonly pull: Effect.Effect<readonly [Uint8Array], Socket.SocketError> = Effect.suspend(() => {
    const { end, unread } = this.inbox
    if (unread.length > 0) return Effect.succeed([unread.take(unread.length)] as const)
    if (end === undefined) return Effect.andThen(this.readable, this.pull)
    const reason = end.reason
    return Effect.fail(
      reason._tag === "ConnectionFailed" && reason.cause instanceof Socket.SocketError
        ? reason.cause
        : new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })
    )
  })
}

/**
 * Opens the connection of a socket, or finds the one that it stands for. The scope closes what was opened here.
 */
export const open = Effect.fnUntraced(function*(socket: Socket.Socket, options?: {
  readonly peer?: Peer.Peer | undefined
  readonly lingers?: boolean | undefined
}) {
  if (isConnectionSocket(socket)) return socket[ConnectionTypeId]
  const scope = yield* Effect.scope
  const source = yield* Effect.mapError(
    isSourceSocket(socket) ? socket[SourceTypeId] : PullSource.make(socket),
    failed("open")
  )
  const connection = new Connection(source, options?.peer ?? source.peer)
  connection.lingers = options?.lingers ?? false
  yield* Scope.addFinalizerExit(scope, (exit) => connection.close(exit))
  return connection
})
