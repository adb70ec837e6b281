/**
 * The source of a connected Node socket, and how its short writes leave together.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import type * as NodeNet from "node:net"
import type * as Peer from "../../Peer.ts"
import type { TlsFailure } from "../../TransportError.ts"
import { type Addresses, peerOf } from "../connection/netSocket.ts"
import type { Chunks, Source, SourceEvents } from "../connection/source.ts"
import { hear, type Hearer, listen } from "./hearing.ts"
import * as NodeTls from "./nodeTls.ts"

const socketError = (reason: Socket.SocketErrorReason) => new Socket.SocketError({ reason })

const writeError = (cause: unknown) => socketError(new Socket.SocketWriteError({ cause }))

const closedError = () => new Error("the connection is closed")

const addressesOf = ({ localAddress, localPort, remoteAddress, remotePort }: NodeNet.Socket): Addresses => ({
  localAddress,
  localPort,
  remoteAddress,
  remotePort
})

/** So many sockets at most have a write that is held back, and no write that is longer than this. */
const maxHeld = 16
const maxHeldLength = 16 * 1024

let holding: Array<NetSource> = []

const letGo = (): void => {
  const sources = holding
  holding = []
  for (let i = 0; i < sources.length; i++) sources[i].letGo()
}

/**
 * Short writes leave together, when what has come in this turn of the event loop was dealt with and before anything is
 * waited for: the code that deals with it and the code that sends it push each other out of the processor's caches, and a
 * peer that is woken for one answer finds more. Few at a time, so that no answer waits for long behind the work for others.
 */
const hold = (source: NetSource): void => {
  if (holding.length === 0) {
    setImmediate(letGo)
    // One is the common case, and an array that grows takes room for many.
    holding = [source]
    return
  }
  holding.push(source)
  if (holding.length >= maxHeld) letGo()
}

/**
 * The source of a connected Node socket.
 *
 * | event | inbox | a write that waits |
 * |---|---|---|
 * | `data` | the bytes | |
 * | `end` | ended in order | goes on: the connection is half-closed |
 * | `drain` | | succeeds |
 * | `error` | broken | `close` follows |
 * | `close` | ended, where neither of the two came before | fails |
 */
export class NetSource implements Source, Hearer {
  private conn: NodeNet.Socket
  private events: SourceEvents | undefined = undefined
  private broken: Error | undefined
  private knownPeer: Peer.Peer | undefined = undefined
  // Of the socket in clear, before TLS.
  private addresses: Addresses | undefined = undefined
  // The last write, if it has not left yet.
  private held: Uint8Array | string | undefined = undefined
  private resumeWriter: ((result: Effect.Effect<void, Socket.SocketError>) => void) | undefined = undefined

  // Set from the moment on at which TLS is there.
  private progress: NodeTls.Progress | undefined = undefined

  constructor(conn: NodeNet.Socket) {
    this.conn = conn
    this.broken = conn.errored ?? undefined
    hear(conn, this)
  }

  /** The source of a socket that has shaken hands already. */
  static secured(secured: NodeTls.Secured, role: "client" | "server"): NetSource {
    const source = new NetSource(secured.socket)
    source.encrypt(secured, role)
    return source
  }

  /** Asking the operating system and reading its answer is dear, and most never ask. */
  get peer(): Peer.Peer {
    return this.knownPeer ??= peerOf(this.addresses ?? this.conn)
  }

  attach(to: SourceEvents): void {
    // To a socket of TLS somebody listens already.
    if (this.events === undefined && this.progress === undefined) listen(this.conn)
    this.events = to
    this.noticeEnd()
  }

  /** It may have ended or broken before anybody listened. */
  private noticeEnd(): void {
    const { broken, conn } = this
    if (broken !== undefined) this.onError(broken)
    else if (conn.errored !== null) this.onError(conn.errored)
    else if (conn.destroyed || conn.readableEnded) this.onEnd(undefined)
  }

  onData(chunk: Uint8Array): void {
    this.events?.onBytes(chunk)
  }

  onEnd(error: Socket.SocketError | TlsFailure | undefined): void {
    this.events?.onEnd(error)
  }

  onError(error: Error): void {
    this.broken = error
    // What had come before it and was not asked for yet is still there, and Node tells nobody of it any more.
    for (let chunk = this.conn.read(); chunk !== null; chunk = this.conn.read()) this.onData(chunk)
    const failure = this.progress && NodeTls.failureOf(error, this.progress)
    this.onEnd(failure ?? socketError(new Socket.SocketReadError({ cause: error })))
  }

  onTlsError(error: Error): void {
    const { conn } = this
    this.onError(error)
    // Node would go on as if nothing were.
    conn.destroy()
  }

  onDrain(): void {
    this.drained(Effect.void)
  }

  onClose(): void {
    this.onEnd(undefined)
    if (this.resumeWriter !== undefined) this.drained(Effect.fail(writeError(this.broken ?? closedError())))
    // Nothing comes any more, and V8 keeps the first sockets of a process until a full collection: Node makes a function for each whose
    // kind is not collected before. What was made for those connections need not stay with them, or V8 would take it for long-lived.
    hear(this.conn, undefined)
  }

  private drained(result: Effect.Effect<void, Socket.SocketError>): void {
    const resume = this.resumeWriter
    this.resumeWriter = undefined
    resume?.(result)
  }

  resume(): void {
    this.conn.resume()
  }

  pause(): void {
    this.conn.pause()
  }

  write(chunks: Chunks): Effect.Effect<void, Socket.SocketError> {
    return Effect.suspend(() => this.writeNow(chunks) ?? Effect.void)
  }

  writeNow(chunks: Chunks): Effect.Effect<void, Socket.SocketError> | undefined {
    const { broken, conn } = this
    if (broken !== undefined) return Effect.fail(writeError(broken))
    if (!conn.writable) return Effect.fail(writeError(closedError()))
    const { room } = this
    if (room !== undefined) return Effect.andThen(room, this.write(chunks))
    if (this.held !== undefined || chunks.length > 1 || chunks[0].length > maxHeldLength) {
      this.letGo()
      this.hand(chunks)
      return conn.writableNeedDrain ? this.awaitDrain : undefined
    }
    this.held = chunks[0]
    hold(this)
    return undefined
  }

  /** Whoever waited for this was interrupted; what it wrote still fills the buffer. */
  get room(): Effect.Effect<void, Socket.SocketError> | undefined {
    return this.conn.writableNeedDrain ? this.awaitDrain : undefined
  }

  get sending(): number | undefined {
    const { conn } = this
    const waiting = conn.writableLength
    if (waiting === 0) return undefined
    // Within one long write it is only Node's own handle that tells how much of it is left.
    const handle: unknown = Reflect.get(conn, "_handle")
    const queued: unknown = typeof handle === "object" && handle !== null && Reflect.get(handle, "writeQueueSize")
    return conn.bytesWritten - waiting - (typeof queued === "number" ? queued : 0)
  }

  private hand(chunks: Chunks): void {
    const { conn } = this
    if (chunks.length === 1) {
      conn.write(chunks[0])
      return
    }
    conn.cork()
    for (const chunk of chunks) conn.write(chunk)
    conn.uncork()
  }

  /** Hands over what was held back. */
  letGo(): void {
    const { conn, held } = this
    if (held === undefined) return
    this.held = undefined
    if (conn.writable) conn.write(held)
  }

  private get awaitDrain(): Effect.Effect<void, Socket.SocketError> {
    return Effect.callback((resume) => {
      if (this.conn.destroyed) return resume(Effect.fail(writeError(this.broken ?? closedError())))
      if (!this.conn.writableNeedDrain) return resume(Effect.void)
      this.resumeWriter = resume
      return Effect.sync(() => {
        this.resumeWriter = undefined
      })
    })
  }

  endWrite(isOver = false): boolean {
    const { conn } = this
    this.letGo()
    // The system ends what is closed when all was read of it, and TLS has an end of its own.
    if (isOver && this.progress === undefined && conn.writableLength === 0) return true
    if (!conn.writableEnded) conn.end()
    return conn.destroyed || conn.writableLength === 0
  }

  takeBuffered(): void {
    // In paused mode it also comes as `data`.
    this.conn.read()
  }

  startTls(options: NodeTls.Options, unread: Uint8Array): Effect.Effect<Peer.Tls, TlsFailure> {
    return Effect.suspend(() => {
      const { conn } = this
      // The last word in clear may wait to leave with others.
      this.letGo()
      // They cannot be had any more from one that has failed, and few want to read them.
      if (this.knownPeer === undefined) this.addresses = addressesOf(conn)
      hear(conn, undefined)
      if (unread.length > 0) conn.unshift(unread)
      return NodeTls.securing(conn, options, (secured) => {
        this.encrypt(secured, options.role)
        this.noticeEnd()
        return secured.tls
      })
    })
  }

  private encrypt({ socket, tls }: NodeTls.Secured, role: "client" | "server"): void {
    this.conn = socket
    this.progress = { role, secure: true, sawCertificate: true, hasCertificate: tls.localCertificate !== undefined }
    hear(socket, this)
  }

  /** `close` follows, and fails the write. */
  abort(): void {
    this.conn.destroy()
  }

  destroy(): void {
    this.conn.destroy()
  }

  onFlushed(done: () => void): void {
    const { conn } = this
    if (conn.destroyed || conn.writableFinished) return done()
    const flushed = () => {
      conn.off("finish", flushed)
      conn.off("close", flushed)
      done()
    }
    conn.on("finish", flushed)
    conn.on("close", flushed)
  }
}
