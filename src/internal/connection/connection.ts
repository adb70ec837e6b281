/**
 * One live connection: its inbox, and the source that fills it and takes what is written.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Socket from "effect/socket/Socket"
import * as Excerpt from "../../Excerpt.ts"
import * as Peer from "../../Peer.ts"
import {
  ConnectionFailed,
  isTransportError,
  TimedOut,
  TlsFailure,
  TransportError,
  UnreadBytes
} from "../../TransportError.ts"
import * as Alarm from "./alarm.ts"
import { closedByPeer, closedHere, Inbox } from "./inbox.ts"
import * as PullSource from "./pullSource.ts"
import {
  type Chunks,
  type Encrypt,
  type Incoming,
  isSource,
  type Source,
  type SourceEvents,
  SourceSocket,
  type TlsOptions
} from "./source.ts"

/**
 * Says something in the place of a frame, and whether it has: `say` is false for what the codec cannot say, and `due` is the
 * frame as it would have been said. The laws try a handshake with it, where something watches the transport anyway.
 */
export type Rewrite = (
  frame: unknown,
  say: (instead: unknown) => boolean,
  due: () => Uint8Array | undefined
) => boolean

/** How long a closing connection waits for its peer to take the last words. */
export const lingerTime = Duration.seconds(1)

export const failed = (operation: "open" | "read" | "write") => (cause: unknown): TransportError =>
  new TransportError({ reason: ConnectionFailed.from(operation, cause) })

const broken = (error: Socket.SocketError | TlsFailure): TransportError =>
  error._tag === "TlsFailure" ? new TransportError({ reason: error }) : failed("read")(error)

const noTls = new TlsFailure({
  kind: "unsupported",
  detail: "this socket has no TLS to switch to; those of node/Net have, and node/Tls gives it to any other",
  fault: "local"
})

const tlsGivenUp = new TlsFailure({ kind: "cut", detail: "this side has not waited for it", fault: "local" })

/** Who is told each time that bytes or the end have come. */
export interface Reading {
  onReadable(): void
}

/** Somebody to whom bytes keep coming. */
export class Reader {
  isReading = false
  /** The one that has come behind it, which it keeps when it is forgotten: somebody may be on the way past it. */
  next: Reader | undefined = undefined
  private readonly reading: Reading
  private readonly connection: Connection

  constructor(connection: Connection, reading: Reading) {
    this.connection = connection
    this.reading = reading
  }

  onReadable(): void {
    this.reading.onReadable()
  }

  resume(): void {
    if (this.isReading) return
    this.isReading = true
    this.connection.flow()
  }

  pause(): void {
    if (!this.isReading) return
    this.isReading = false
    this.connection.flow()
  }

  stop(): void {
    this.isReading = false
    this.connection.forget(this)
  }
}

type Writing = Effect.Effect<void, Socket.SocketError>

/** What is left of a write whose first step is done. */
const begun = (writing: Fiber.Fiber<void, Socket.SocketError>): Writing | undefined => {
  const exit = writing.pollUnsafe()
  if (exit !== undefined) return Exit.isSuccess(exit) ? undefined : exit
  return Effect.onInterrupt(Fiber.join(writing), () => Effect.sync(() => writing.interruptUnsafe()))
}

const handOver = ({ chunks, undo }: Outgoing, write: (chunks: Chunks) => Writing | undefined): Writing | undefined => {
  const waiting = chunks.length === 0 ? undefined : write(chunks)
  // What has failed at once was handed to nobody.
  if (waiting !== undefined && Exit.isExit(waiting) && Exit.isFailure(waiting)) undo()
  return waiting
}

type Waiter = () => void

/** Who waits for the drain, and whether it has begun. */
interface Drain {
  hasBegun: boolean
  readonly waiters: Set<Waiter>
}

/** What is written, made when the turn has come. */
export interface Outgoing {
  readonly chunks: Chunks
  /** Called where none of it was handed over. */
  readonly undo: () => void
}

// What most connections have of readers and waiters for most of their time.
const none: ReadonlyArray<never> = []

/** An idle connection is what a server has thousands of: it has no more than it needs, and no function of its own. */
export class Connection implements SourceEvents {
  readonly inbox: Inbox
  /**
   * Whether closing waits for the peer's end, discarding what it still sends. To close with unread bytes resets the
   * connection, and a reset can overtake the last words and destroy them at the peer.
   */
  lingers = false
  /** Whether an observer was told of it: it may be framed more than once, inside TLS again. */
  wasTold = false
  /** Whether the peer was told why it is turned away, so that nobody says it twice. */
  refused = false
  /** Whether whoever has opened it has closed it: what still comes is dropped. */
  isGone = false
  /** How long a write may wait for its peer. */
  writeTimeout: Duration.Duration | undefined = undefined
  /** The connection that it is made of, where somebody has decorated the socket of one that was open. */
  private within: Connection | undefined = undefined
  /** The connection that is made of this one. */
  private around: Connection | undefined = undefined
  /** Says something in the place of its frames, under the laws. */
  rewrite: Rewrite | undefined = undefined
  /** Called when its peer was introduced. */
  onIntroduced: (() => Effect.Effect<void> | undefined) | undefined = undefined
  /** Called before each write. */
  onWrite: (() => void) | undefined = undefined
  /** No further request is wanted. */
  closesToRequests = false
  /**
   * Whether somebody reads on while no further request is wanted, because a request that was taken is not all there, and
   * calls `stopRequests` when it is.
   */
  finishesRequests = false
  private drain: Drain | undefined = undefined
  private source: Source
  /** Its peer, where somebody has asked for it: to ask the socket costs something. */
  private knownPeer: Peer.Peer | undefined
  /** Who was introduced since. */
  private introductions: ReadonlyArray<Peer.Introduction> = none
  private agreed: Peer.Tls | undefined = undefined
  private writing: Semaphore.Semaphore | undefined = undefined
  private writers = 0
  /** Whether TLS begins, before anybody had to wait. */
  private isAlone = false
  /** How many writes that had to wait are over. */
  private written = 0
  // The array is not changed, so that whoever goes through it sees all that were there.
  private waiters: ReadonlyArray<Waiter> = none
  /** The first of them. Most connections have one, and need no array for it. */
  private readers: Reader | undefined = undefined
  private flowing = false
  private held = false
  // While TLS shakes hands, and for ever if that comes to nothing.
  private encrypting = false
  // Bytes or the end have come while nobody waited, because a reader lets them come.
  private missed = false
  private givenUp: TransportError | undefined = undefined
  private isClosing = false
  /** What knows a transport of it for as long as it is there: the last one, for the others are left. */
  lease: { cancel(): void } | undefined = undefined
  /** Called when it is closed, where that was waited for. */
  onClosed: (() => void) | undefined = undefined

  constructor(source: Source, peer?: Peer.Peer) {
    this.source = source
    this.knownPeer = peer
    this.inbox = new Inbox(source.view && ((unread) => source.view!(unread)))
    source.attach(this)
  }

  get peer(): Peer.Peer {
    const { agreed, introductions, knownPeer, source } = this
    if (introductions.length === 0 && (knownPeer !== undefined || agreed === undefined)) return knownPeer ?? source.peer
    const met = knownPeer ?? (agreed === undefined ? source.peer : { ...source.peer, tls: agreed })
    this.introductions = none
    return this.knownPeer = introductions.reduce<Peer.Peer>((peer, who) => Peer.introduce(peer, who), met)
  }

  /** How its peer was introduced last. */
  get via(): string | undefined {
    const last = this.introductions.findLast(({ via }) => via !== undefined)
    return last === undefined ? this.knownPeer?.via : last.via
  }

  /** Whether anybody was introduced. */
  get wasIntroduced(): boolean {
    return this.introductions.length > 0 || this.knownPeer?.socket !== undefined || this.knownPeer?.user !== undefined
  }

  /** What TLS has agreed on. No source knows of any that was not begun here. */
  get tls(): Peer.Tls | undefined {
    return this.agreed ?? this.knownPeer?.tls
  }

  /**
   * From here on its peer is who was introduced, to whoever knows it and whatever it is made of. What comes back is to be waited for,
   * before anything is done for that peer.
   */
  introduce(who: Peer.Introduction): Effect.Effect<void> | undefined {
    if (this.within !== undefined) return this.within.introduce(who)
    this.knowPeer(who)
    return this.onIntroduced?.()
  }

  private knowPeer(who: Peer.Introduction): void {
    this.introductions = [...this.introductions, who]
    this.around?.knowPeer(who)
  }

  onBytes(chunk: Uint8Array): void {
    if (this.isGone) return
    this.inbox.push(chunk)
    this.notify()
  }

  onEnd(error: Socket.SocketError | TlsFailure | undefined): void {
    this.inbox.finish(error === undefined ? closedByPeer : broken(error))
    this.notify()
  }

  /**
   * Calls back once, when bytes or the end have come since. Any number may wait; each looks again when it is called, and
   * takes what it finds then.
   */
  onReadable(waiter: Waiter): void {
    this.waiters = this.waiters.length === 0 ? [waiter] : [...this.waiters, waiter]
    if (this.missed) this.notify()
    else this.flow()
  }

  /** Whoever waits so is not called any more. */
  waitsNoMore(waiter: Waiter): void {
    if (!this.waiters.includes(waiter)) return
    this.waiters = this.waiters.filter((other) => other !== waiter)
    this.flow()
  }

  /**
   * Calls back each time that bytes or the end have come. For whoever takes all there is: while it is not paused, bytes
   * keep coming without being asked for. It begins paused.
   */
  reader(reading: Reading): Reader {
    const reader = new Reader(this, reading)
    let last = this.readers
    if (last === undefined) return this.readers = reader
    while (last.next !== undefined) last = last.next
    return last.next = reader
  }

  /** @see Reader.stop */
  forget(reader: Reader): void {
    if (this.readers === reader) this.readers = reader.next
    for (let other = this.readers; other !== undefined; other = other.next) {
      if (other.next === reader) other.next = reader.next
    }
    this.flow()
  }

  /**
   * Lets bytes come where somebody wants them. Nobody reads ahead of what is asked for: whoever comes next may be a TLS
   * handshake with a claim to these bytes.
   */
  flow(): void {
    let wanted = this.waiters.length > 0
    for (let reader = this.readers; reader !== undefined; reader = reader.next) wanted ||= reader.isReading
    wanted &&= !this.held && !this.encrypting
    if (wanted === this.flowing) return
    this.flowing = wanted
    if (wanted) this.source.resume()
    else this.source.pause()
  }

  /** Waits for `onReadable`. Interrupted before or after it was called, it has taken nothing. */
  get readable(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const waiter = () => resume(Effect.void)
      this.onReadable(waiter)
      return Effect.sync(() => this.waitsNoMore(waiter))
    })
  }

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

  private failedToWrite<A>(write: Effect.Effect<A, unknown>): Effect.Effect<A, TransportError> {
    return Effect.mapError(
      write,
      (cause) => this.givenUp ?? this.tlsFailure ?? (isTransportError(cause) ? cause : failed("write")(cause))
    )
  }

  /** That the peer has refused TLS, or broken it, may be why nothing can be written any more. */
  get tlsFailure(): TransportError | undefined {
    const { end } = this.inbox
    return end?.reason._tag === "TlsFailure" ? end : undefined
  }

  /** Fails where more has come than was taken. `early`: also where the socket has not handed it over yet. */
  refuseUnread(early: boolean): TransportError | undefined {
    if (early) this.source.takeBuffered?.()
    const { unread } = this.inbox
    if (unread.length === 0) return undefined
    const excerpt = Excerpt.ofBytes(unread.peek(0, Excerpt.maxExcerpt + 1))
    return new TransportError({ reason: new UnreadBytes({ bytes: unread.length, excerpt }) })
  }

  /**
   * Encrypts what follows. The unread bytes, and those that are on their way, are the beginning of TLS.
   *
   * Nobody reads or writes meanwhile, and if it does not come about nobody does any more.
   */
  startTls(options: TlsOptions, encrypt: Encrypt | undefined): Effect.Effect<Peer.Tls, TransportError> {
    return Effect.suspend(() => {
      const begin = () => this.beginTls(options, encrypt)
      if (this.writers > 0 || this.writing !== undefined) return this.onlyWriter(Effect.suspend(begin))
      // Whoever writes from now on waits for it.
      this.writers++
      this.isAlone = true
      return Effect.onExitPrimitive(this.failedToWrite(begin()), () => {
        this.isAlone = false
        this.wrote()
        return this.writing && Effect.asVoid(this.writing.release(1))
      })
    })
  }

  private beginTls(
    options: TlsOptions,
    encrypt: Encrypt | undefined
  ): Effect.Effect<Peer.Tls, TransportError | TlsFailure> {
    const { inbox, source } = this
    if (inbox.closed) return Effect.fail(closedHere)
    if (inbox.end !== undefined) return Effect.fail(inbox.end)
    this.encrypting = true
    this.flow()
    const unread = inbox.unread.take(inbox.unread.length)
    const encrypted = source.startTls === undefined
      ? this.replaced(options, encrypt, unread)
      : source.startTls(options, unread)
    return Effect.onExitPrimitive(encrypted, (exit) => this.encrypted(exit))
  }

  /** TLS over a source that has none. */
  private replaced(
    options: TlsOptions,
    encrypt: Encrypt | undefined,
    unread: Uint8Array
  ): Effect.Effect<Peer.Tls, TlsFailure> {
    if (encrypt === undefined) return Effect.fail(noTls)
    // The one in its place cannot tell any more.
    this.knownPeer = this.peer
    return Effect.map(encrypt(this.source, options, unread), ({ source, tls }) => {
      this.source = source
      source.attach(this)
      return tls
    })
  }

  // It is done in the step in which TLS is there, or is not: nothing comes in between.
  private encrypted(exit: Exit.Exit<Peer.Tls, TlsFailure>): undefined {
    if (Exit.isFailure(exit)) {
      const failure = Exit.findErrorOption(exit)
      this.onEnd(Option.getOrElse(failure, () => tlsGivenUp))
      return
    }
    this.agreed = exit.value
    if (this.knownPeer !== undefined) this.knownPeer = { ...this.knownPeer, tls: this.agreed }
    this.encrypting = false
    this.flow()
  }

  /** Tells whoever waits, and every reader, to look again. */
  notify(): void {
    const { waiters } = this
    this.missed = waiters.length === 0
    if (waiters.length > 0) {
      this.waiters = none
      for (let i = 0; i < waiters.length; i++) waiters[i]()
      // Whoever goes on at once may want more: to stop for that and begin again would be dear.
      this.flow()
    }
    for (let reader = this.readers; reader !== undefined; reader = reader.next) reader.onReadable()
  }

  write(chunks: Chunks): Effect.Effect<void, TransportError> {
    this.onWrite?.()
    return Effect.suspend(() => this.begin(chunks) ?? Effect.void)
  }

  /** A write that needs no fiber where it need not wait: `undefined` when it is done, else what is left of it to do. */
  writeNow(chunks: Chunks): Effect.Effect<void, TransportError> | undefined {
    this.onWrite?.()
    return this.begin(chunks)
  }

  private begin(chunks: Chunks): Effect.Effect<void, TransportError> | undefined {
    // Whoever is in the middle of a write comes first.
    if (this.source.writeNow === undefined || this.writers > 0) {
      return this.onlyWriter(this.inTime(Effect.suspend(() => this.source.write(chunks))))
    }
    const waiting = this.source.writeNow(chunks)
    return waiting && this.onlyWriter(this.inTime(waiting))
  }

  /**
   * Writes what is made when the turn has come: it is handed over in the same step, so that what is made first is written
   * first, and whoever is interrupted while it waits for its turn has made nothing. `make` may say why there is nothing.
   *
   * Returns as `writeNow` does.
   */
  writeInTurn(make: () => Outgoing | TransportError): Effect.Effect<void, TransportError> | undefined {
    this.onWrite?.()
    const { source } = this
    if (source.writeNow !== undefined && this.writers === 0 && source.room === undefined) {
      const outgoing = make()
      if (isTransportError(outgoing)) return Effect.fail(outgoing)
      const waiting = handOver(outgoing, (chunks) => source.writeNow!(chunks)) // it was there two lines above
      return waiting && this.onlyWriter(this.inTime(waiting))
    }
    const turn = Effect.contextWith((
      context: Context.Context<never>
    ): Effect.Effect<void, TransportError | Socket.SocketError> => {
      const { source } = this
      if (source.room !== undefined) return Effect.andThen(source.room, turn)
      const outgoing = make()
      if (isTransportError(outgoing)) return Effect.fail(outgoing)
      const fork = Effect.runForkWith(context)
      const write = (chunks: Chunks) =>
        source.writeNow === undefined ? begun(fork(source.write(chunks))) : source.writeNow(chunks)
      return handOver(outgoing, write) ?? Effect.void
    })
    return this.onlyWriter(this.inTime(turn))
  }

  /**
   * Gives the connection up where a write, whose turn it is, waits for longer than `writeTimeout`: nothing can be said any
   * more to a peer that does not read, so it is as good as gone.
   */
  private inTime<A, E>(write: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const after = this.writeTimeout
    if (after === undefined) return write
    return Effect.contextWith((context: Context.Context<never>) => {
      const late = Effect.sync(() =>
        this.giveUp(new TransportError({ reason: new TimedOut({ waitedFor: "room", after }) }), true)
      )
      const timer = Effect.runForkWith(context)(Effect.delay(late, after))
      return Effect.ensuring(write, Effect.sync(() => timer.interruptUnsafe()))
    })
  }

  // Nobody else writes while the last writer waits for room.
  private onlyWriter<A>(waiting: Effect.Effect<A, unknown>): Effect.Effect<A, TransportError> {
    this.writers++
    return Effect.onExitPrimitive(this.oneAtATime(this.failedToWrite(waiting)), () => this.wrote())
  }

  private wrote(): undefined {
    this.writers--
    this.written++
  }

  /** `undefined` while nothing that was written waits for the peer, and else something that changes as it takes that. */
  get sending(): number | undefined {
    return this.source.sending ?? (this.writers > 0 ? this.written : undefined)
  }

  private oneAtATime<A, E>(write: Effect.Effect<A, E>): Effect.Effect<A, E> {
    // TLS that begins was there before.
    this.writing ??= Semaphore.makeUnsafe(this.isAlone ? 0 : 1)
    return this.writing.withPermit(write)
  }

  /**
   * Waits until no further request is wanted. Whoever does goes on to receive then, and ends the connection in order; once
   * nobody waits any more, a drain takes no further request.
   */
  get draining(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const drain = this.drain ??= { hasBegun: false, waiters: new Set() }
      if (drain.hasBegun || this.inbox.closed) return resume(Effect.void)
      const done = () => resume(Effect.void)
      drain.waiters.add(done)
      return Effect.sync(() => {
        drain.waiters.delete(done)
      })
    })
  }

  /** It reads and writes through this one, which a runtime may know instead of it. */
  isWithin(inner: Connection): void {
    this.within = inner
    inner.around = this
  }

  /** The last words of this side are said: closing waits until they were heard. */
  sayLast(): void {
    this.refused = true
    this.lingers = true
    this.within?.sayLast()
  }

  /** No further request is given out; what was given out can still be answered. */
  closeToRequests(): void {
    const { drain } = this
    if (drain !== undefined && drain.waiters.size > 0) {
      drain.hasBegun = true
      for (const done of drain.waiters) done()
    }
    this.closesToRequests = true
    if (this.around !== undefined) this.around.closeToRequests()
    else if (!this.finishesRequests && drain?.hasBegun !== true) return this.stopRequests()
    this.notify()
  }

  /** No further frame is given out. */
  stopRequests(): void {
    this.inbox.closed = true
    this.notify()
  }

  /**
   * Says and hears the last words, and gives the socket up. Returns whether that is done already; else `onClosed` tells when it
   * is. Whoever closes it waits for no longer than `lingerTime`, and interrupts it then.
   */
  close(exit: Exit.Exit<unknown, unknown>): boolean {
    this.isGone = true
    this.inbox.closed = true
    this.notify()
    // Whoever asks what has failed also asks with whom, when the socket cannot tell any more.
    if (Exit.isFailure(exit)) void this.peer
    this.isClosing = true
    this.lingers &&= !Exit.hasInterrupts(exit)
    const flushed = this.source.endWrite(this.inbox.end !== undefined)
    // Where nobody is there to hear more, that is all. Else the end goes out before the connection is given up, which is a
    // reset where bytes are unread; when the peer has ended as well, it has gone out.
    if (flushed && (this.lingers || this.inbox.end !== undefined)) this.linger()
    else this.source.onFlushed(() => this.linger())
    return !this.isClosing
  }

  private linger(): void {
    if (this.lingers && this.inbox.end === undefined) this.onReadable(() => this.linger())
    else this.interruptUnsafe()
  }

  /** Waits no longer for the end of a connection that closes. It has the name that it has in fibers, which wait for other things. */
  interruptUnsafe(): void {
    if (!this.isClosing) return
    this.isClosing = false
    this.source.destroy?.()
    this.lease?.cancel()
    this.onClosed?.()
  }

  /** Begins to close it, and returns what waits for that, no longer than it may take. */
  closing(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (this.close(exit)) return Effect.void
    return Effect.contextWith((context: Context.Context<never>) =>
      Effect.callback<void>((resume) => {
        if (!this.isClosing) return resume(Effect.void)
        const timer = Alarm.after(context, Duration.toMillis(lingerTime), () => this.interruptUnsafe())
        const closed = () => {
          timer.clear()
          resume(Effect.void)
        }
        this.onClosed = closed
        return Effect.sync(() => this.interruptUnsafe())
      })
    )
  }

  /** The connection as a `Socket`, so that a handshake that asks for one gets this one. */
  get socket(): Socket.Socket {
    return new OpenSocket(this)
  }

  writeRaw(chunk: Uint8Array | string | Socket.CloseEvent): Effect.Effect<void, Socket.SocketError> {
    return Socket.isCloseEvent(chunk)
      ? Effect.callback((resume) => {
        if (this.source.endWrite()) resume(Effect.void)
        else this.source.onFlushed(() => resume(Effect.void))
      })
      : this.writeAllRaw([chunk])
  }

  writeAllRaw(chunks: Chunks): Effect.Effect<void, Socket.SocketError> {
    const write = Effect.suspend(() => this.oneAtATime(this.inTime(this.source.write(chunks))))
    return Effect.mapError(
      write,
      (error) =>
        this.givenUp === undefined
          ? error
          : new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: this.givenUp }) })
    )
  }

  pull(): Effect.Effect<readonly [Uint8Array], Socket.SocketError> {
    return Effect.suspend(() => {
      const { end, unread } = this.inbox
      if (unread.length > 0) return Effect.succeed([unread.take(unread.length)] as const)
      if (end === undefined) return Effect.andThen(this.readable, this.pull())
      const reason = end.reason
      return Effect.fail(
        reason._tag === "ConnectionFailed" && reason.cause instanceof Socket.SocketError
          ? reason.cause
          : new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })
      )
    })
  }
}

/** The connection that a socket is made of: of the one that stands for it, and of what is made of that one. */
const MadeOfTypeId = "~effect-handshake/MadeOf"

const madeOf = (socket: Socket.Socket & { readonly [MadeOfTypeId]?: Connection }): Connection | undefined =>
  socket[MadeOfTypeId]

/** Says of a socket that it is made of what another one is made of: whoever drains that connection reaches this one. */
export const alsoMadeOf = <S extends Socket.Socket>(socket: S, other: Socket.Socket): S =>
  Object.assign(socket, { [MadeOfTypeId]: madeOf(other) })

/**
 * A socket that stands for a connection that is open already. One that is made of it, by spread or otherwise, is an ordinary
 * socket, which is read and written through its reader and its writer.
 */
class OpenSocket implements Socket.Socket {
  readonly [Socket.TypeId]: typeof Socket.TypeId = Socket.TypeId
  readonly [MadeOfTypeId]: Connection
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
    this[MadeOfTypeId] = connection
  }

  readonly reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope> = Effect.sync(() => ({
    pull: Effect.suspend(() => this.#connection.pull()),
    upgrade: Socket.SocketUpgradeError.unsupported
  }))

  readonly writer: Effect.Effect<Socket.Writer, never, Scope.Scope> = Effect.sync(() => ({
    write: (chunk) => this.#connection.writeRaw(chunk),
    writeAll: (chunks) => this.#connection.writeAllRaw(chunks)
  }))

  static connectionOf(socket: Socket.Socket): Connection | undefined {
    return #connection in socket ? socket.#connection : undefined
  }
}

/** The open connection that a socket stands for, if it does. */
export const connectionOf = (socket: Socket.Socket): Connection | undefined => OpenSocket.connectionOf(socket)

/** How a connection is opened. */
export interface Options {
  readonly peer?: Peer.Peer | undefined
  readonly lingers?: boolean | undefined
}

const make = (source: Source, options: Options | undefined): Connection => {
  const connection = new Connection(source, options?.peer)
  connection.lingers = options?.lingers ?? false
  return connection
}

/** The connection of what is connected already. Whoever has it closes it. */
export const accepted = (incoming: Incoming, options?: Options): Connection | undefined => {
  if (isSource(incoming)) return make(incoming, options)
  if (!SourceSocket.is(incoming)) return undefined
  const { source } = incoming
  return Exit.isExit(source) && Exit.isSuccess(source) ? make(source.value as Source, options) : undefined
}

const closedBy = (scope: Scope.Scope, connection: Connection): Effect.Effect<Connection> =>
  Effect.as(Scope.addFinalizerExit(scope, (exit) => connection.closing(exit)), connection)

const openSource = (source: Source, options: Options | undefined): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => closedBy(scope, make(source, options)))

/**
 * Opens the connection of a socket, or finds the one that it stands for. The scope closes what was opened here.
 */
export const open = (
  socket: Incoming,
  options?: Options
): Effect.Effect<Connection, TransportError, Scope.Scope> => {
  if (isSource(socket)) return openSource(socket, options)
  const known = connectionOf(socket)
  if (known !== undefined) return Effect.succeed(known)
  const opening = SharedSocket.openingOf(socket)
  if (opening !== undefined) return opening
  const inner = madeOf(socket)
  if (inner === undefined) return openNew(socket, options)
  return Effect.tap(
    openNew(socket, { ...options, peer: options?.peer ?? inner.peer }),
    (connection) => Effect.sync(() => connection.isWithin(inner))
  )
}

const openNew = (
  socket: Socket.Socket,
  options: Options | undefined
): Effect.Effect<Connection, TransportError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => {
    const connection = accepted(socket, options)
    if (connection !== undefined) return closedBy(scope, connection)
    return Effect.flatMap(
      Effect.mapError(SourceSocket.is(socket) ? socket.source : PullSource.make(socket), failed("open")),
      (source) => closedBy(scope, make(source, options))
    )
  })

/** That a connection cannot be opened, as a `Socket` says it. */
const openFailed = (error: TransportError): Socket.SocketError => {
  const { reason } = error
  return reason._tag === "ConnectionFailed" && reason.cause instanceof Socket.SocketError
    ? reason.cause
    : new Socket.SocketError({ reason: new Socket.SocketOpenError({ kind: "Unknown", cause: error }) })
}

/** A socket whose connection is opened by whoever needs it first, and is everybody's then. */
class SharedSocket implements Socket.Socket {
  readonly [Socket.TypeId]: typeof Socket.TypeId = Socket.TypeId
  readonly #opening: Effect.Effect<Connection, TransportError, Scope.Scope>
  readonly reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope>
  readonly writer: Effect.Effect<Socket.Writer, never, Scope.Scope>

  constructor(open: Effect.Effect<Connection, TransportError, Scope.Scope>) {
    let opened: Connection | undefined
    const opening = Semaphore.makeUnsafe(1).withPermit(Effect.suspend(() =>
      opened !== undefined && !opened.isGone
        ? Effect.succeed(opened)
        : Effect.tap(open, (connection) =>
          Effect.sync(() => {
            opened = connection
          }))
    ))
    this.#opening = opening
    this.reader = Effect.flatMap(Effect.mapError(opening, openFailed), (connection) => connection.socket.reader)
    // Nobody can write who has not opened it, and the writer of a socket cannot fail.
    this.writer = Effect.flatMap(Effect.orDie(opening), (connection) => connection.socket.writer)
  }

  static openingOf(socket: Socket.Socket): Effect.Effect<Connection, TransportError, Scope.Scope> | undefined {
    return #opening in socket ? socket.#opening : undefined
  }
}

/**
 * The socket with one connection, however many handshakes ask for it: each acquisition of a client's socket dials. One whose
 * scope has closed it is opened anew.
 */
export const shared = (socket: Socket.Socket): Socket.Socket =>
  connectionOf(socket) !== undefined || SharedSocket.openingOf(socket) !== undefined
    ? socket
    : new SharedSocket(open(socket))

/** The same, for a connection that is opened in a way of its own. */
export const sharedBy = (open: Effect.Effect<Connection, TransportError, Scope.Scope>): Socket.Socket =>
  new SharedSocket(open)
