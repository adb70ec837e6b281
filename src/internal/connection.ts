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

/** Somebody to whom bytes keep coming. */
export class Reader {
  isReading = false
  readonly onReadable: () => void
  private readonly readers: Set<Reader>
  private readonly flow: () => void

  constructor(onReadable: () => void, readers: Set<Reader>, flow: () => void) {
    this.onReadable = onReadable
    this.readers = readers
    this.flow = flow
  }

  resume(): void {
    if (this.isReading) return
    this.isReading = true
    this.flow()
  }

  pause(): void {
    if (!this.isReading) return
    this.isReading = false
    this.flow()
  }

  stop(): void {
    this.readers.delete(this)
    this.isReading = false
    this.flow()
  }
}

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
  private writers = 0
  private waiters = new Set<() => void>()
  private readonly readers = new Set<Reader>()
  private flowing = false
  private held = false
  // Bytes or the end have come while nobody waited, because a reader lets them come.
  private missed = false
  private givenUp: TransportError | undefined = undefined
  /** Called before each write. */
  onWrite: (() => void) | undefined = undefined

  constructor(source: Source, peer: Peer.Peer) {
    this.source = source
    this.peer = peer
    this.inbox = new Inbox(source.view)
    source.attach({
      onBytes: (chunk) => {
        if (this.discards) return
        this.inbox.push(chunk)
        this.notify()
      },
      onEnd: (error) => {
        this.inbox.finish(error === undefined ? closedByPeer : failed("read")(error))
        this.notify()
      }
    })
  }

  /**
   * Calls back once, when bytes or the end have come since. Any number may wait; each looks again when it is called, and
   * takes what it finds then.
   */
  onReadable(waiter: () => void): () => void {
    this.waiters.add(waiter)
    if (this.missed) this.notify()
    else this.flow()
    return () => {
      this.waiters.delete(waiter)
      this.flow()
    }
  }

  /**
   * Calls back each time that bytes or the end have come. For whoever takes all there is: while it is not paused, bytes
   * keep coming without being asked for. It begins paused.
   */
  reader(onReadable: () => void): Reader {
    const reader = new Reader(onReadable, this.readers, () => this.flow())
    this.readers.add(reader)
    return reader
  }

  // Nobody reads ahead of what is asked for: whoever comes next may be a TLS handshake with a claim to these bytes.
  private flow(): void {
    let wanted = this.waiters.size > 0
    for (const reader of this.readers) wanted ||= reader.isReading
    wanted &&= !this.held
    if (wanted === this.flowing) return
    this.flowing = wanted
    if (wanted) this.source.resume()
    else this.source.pause()
  }

  /** Waits for `onReadable`. Interrupted before or after it was called, it has taken nothing. */
  readonly readable: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const cancel = this.onReadable(() => resume(Effect.void))
    return Effect.sync(cancel)
  })

  /** Nothing more is read, whoever wants it, until `proceed`, which tells all of them to look again. */
  hold(): void {
    this.held = true
    this.flow()
  }

  proceed(): void {
    if (!this.held) return
    this.held = false
    this.flow()
    this.notify()
  }

  /**
   * Gives the connection up: whoever receives fails with this error, and so does whoever waits to write. To a peer that is
   * not `gone` a last word can be said.
   */
  giveUp(error: TransportError, gone: boolean): void {
    this.inbox.finish(error)
    this.held = false
    if (gone || this.writers > 0) {
      this.givenUp = error
      this.source.abort?.(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1006 }) }))
    }
    this.notify()
  }

  private readonly writeFailed = (cause: unknown): TransportError => this.givenUp ?? failed("write")(cause)

  private notify(): void {
    this.missed = this.waiters.size === 0
    if (this.waiters.size > 0) {
      const { waiters } = this
      this.waiters = new Set()
      this.flow()
      for (const waiter of waiters) waiter()
    }
    for (const reader of this.readers) reader.onReadable()
  }

  write(chunks: Chunks): Effect.Effect<void, TransportError> {
    this.onWrite?.()
    return Effect.suspend(() => this.onlyWriter(Effect.mapError(this.source.write(chunks), this.writeFailed)))
  }

  /** A write that needs no fiber where it need not wait: `undefined` when it is done, else what is left of it to do. */
  writeNow(chunks: Chunks): Effect.Effect<void, TransportError> | undefined {
    this.onWrite?.()
    // Whoever is in the middle of a write comes first.
    if (this.source.writeNow === undefined || this.writers > 0) return this.write(chunks)
    const waiting = this.source.writeNow(chunks)
    return waiting && this.onlyWriter(Effect.mapError(waiting, this.writeFailed))
  }

  // Nobody else writes while the last writer waits for room.
  private onlyWriter<E>(waiting: Effect.Effect<void, E>): Effect.Effect<void, E> {
    this.writers++
    return Effect.ensuring(
      this.writing.withPermit(waiting),
      Effect.sync(() => {
        this.writers--
      })
    )
  }

  /** No further frame is given out; what was given out can still be answered. */
  closeToRequests(): void {
    this.inbox.closed = true
    this.notify()
  }

  private readonly awaitEnd: Effect.Effect<void> = Effect.suspend(() =>
    this.inbox.end !== undefined ? Effect.void : Effect.andThen(this.readable, this.awaitEnd)
  )

  close(exit: Exit.Exit<unknown, unknown>): Effect.Effect<unknown> {
    return Effect.suspend(() => {
      this.inbox.closed = true
      this.discards = true
      this.notify()
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
