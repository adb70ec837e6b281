/**
 * What fills the inbox of a connection and takes what is written to it.
 *
 * @internal
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import type * as Codec from "../../Codec.ts"
import type * as Peer from "../../Peer.ts"
import type { TlsFailure } from "../../TransportError.ts"
import type { TlsClientOptions, TlsServerOptions } from "./tls.ts"

export type Chunks = ReadonlyArray<Uint8Array | string>

export interface SourceEvents {
  onBytes(chunk: Uint8Array): void
  /** The peer will send no more: it ended in order, or the connection broke. */
  onEnd(error: Socket.SocketError | TlsFailure | undefined): void
}

export type TlsOptions = TlsClientOptions | TlsServerOptions

/**
 * What moves the bytes of a connection. The scope that acquired it destroys it, or the connection does where it has a
 * `destroy`.
 *
 * All of it are methods, so that a connection costs no function of its own for each of them.
 */
export interface Source {
  /** It may be found out only when it is asked for, and not any more when the source is destroyed. */
  readonly peer: Peer.Peer
  /**
   * Says where the bytes go; called before any other method, and once more where TLS comes between. The source is paused.
   */
  attach(events: SourceEvents): void
  /** Lets bytes come, until `pause`. One more chunk may come after that. */
  resume(): void
  pause(): void
  /** Hands the chunks over at once, in one go, and succeeds when more may be written. Never called concurrently. */
  write(chunks: Chunks): Effect.Effect<void, Socket.SocketError>
  /**
   * The same without a fiber, where the socket can: `undefined` when more may be written, else what to wait for, or why it
   * failed.
   */
  writeNow?(chunks: Chunks): Effect.Effect<void, Socket.SocketError> | undefined
  /** What to wait for before anything can be handed over: a write that waited was given up, and its bytes are there still. */
  readonly room?: Effect.Effect<void, Socket.SocketError> | undefined
  /**
   * Something that changes as the peer takes what was written; `undefined` while nothing waits for it. A source that cannot
   * tell has none.
   */
  readonly sending?: number | undefined
  /**
   * Ends the writing side. Returns whether all that was written has left this process, where the socket can tell. `isOver`: the peer has
   * ended too, and `destroy` follows as soon as that is so: whose `destroy` is an end in good order then need not say one before.
   */
  endWrite(isOver?: boolean): boolean
  /** Calls back when it has, which may be at once. */
  onFlushed(done: () => void): void
  /** Fails the write that waits, and later ones. A source whose writes never wait has none. */
  abort?(error: Socket.SocketError): void
  /** Gives the socket up. The last thing that is called. */
  destroy?(): void
  /** Hands over the bytes that have come before `pause` and were kept back, where the socket keeps any. */
  takeBuffered?(): void
  /**
   * Everything from here on is encrypted: `unread`, which came already, and what follows goes to TLS. It is paused, nobody
   * writes, and it stays paused. Failed or interrupted, the socket is of no use any more, and `peer` is still known.
   */
  startTls?(options: TlsOptions, unread: Uint8Array): Effect.Effect<Peer.Tls, TlsFailure>
  /** What decoders are given in the place of the unread bytes, for a test that counts what they do with them. */
  view?(unread: Codec.ByteBuffer): Codec.ByteBuffer
}

/**
 * A socket that offers a source of its own, for which no fiber has to wait for each chunk.
 *
 * Whoever decorates one, by spread, by inheritance or with a class, has made another socket: that one is read and written
 * through its `reader` and its `writer`. So these are the object's own properties, and what tells a source socket is not.
 */
export abstract class SourceSocket implements Socket.Socket {
  readonly [Socket.TypeId]: typeof Socket.TypeId = Socket.TypeId
  abstract readonly reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope>
  abstract readonly writer: Effect.Effect<Socket.Writer, never, Scope.Scope>
  readonly #isSource = true
  abstract get source(): Effect.Effect<Source, Socket.SocketError, Scope.Scope>

  static is(socket: Socket.Socket): socket is SourceSocket {
    return #isSource in socket && socket.#isSource
  }
}

/** A source in the place of another socket. */
export class StandIn extends SourceSocket {
  readonly reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope>
  readonly writer: Effect.Effect<Socket.Writer, never, Scope.Scope>
  private readonly given: Effect.Effect<Source, Socket.SocketError, Scope.Scope>

  constructor(
    socket: Pick<Socket.Socket, "reader" | "writer">,
    source: Effect.Effect<Source, Socket.SocketError, Scope.Scope>
  ) {
    super()
    this.reader = socket.reader
    this.writer = socket.writer
    this.given = source
  }

  get source(): Effect.Effect<Source, Socket.SocketError, Scope.Scope> {
    return this.given
  }
}

/** A connection that comes in: its source where that is all that is known of it, else a socket. */
export type Incoming = Source | Socket.Socket

/** `Socket.isSocket` looks for the property in objects of every kind, which costs several times as much as to read it here. */
export const isSource = (incoming: Incoming): incoming is Source =>
  (incoming as Partial<Socket.Socket>)[Socket.TypeId] === undefined

const DirectTypeId = "~effect-handshake/Direct"

/**
 * How a socket server hands over each connection as it comes, without a fiber.
 */
export interface Direct {
  /** Interrupted, it hands over no more. Whoever was given a connection gives it up. */
  readonly accept: (take: (incoming: Incoming) => void) => Effect.Effect<never>
}

const StopTypeId = "~effect-handshake/Stop"

/**
 * A server that can stop to listen while its connections live on. Whoever has replaced its `run` has not replaced the listener.
 */
export const stoppable = (
  server: SocketServer.SocketServer["Service"],
  stop: Effect.Effect<void>
): SocketServer.SocketServer["Service"] => Object.assign(server, { [StopTypeId]: stop })

export const stopOf = (
  server: SocketServer.SocketServer["Service"] & { readonly [StopTypeId]?: Effect.Effect<void> }
): Effect.Effect<void> | undefined => server[StopTypeId]

type Run = SocketServer.SocketServer["Service"]["run"]

/** A `run` that has a direct way. The way is that of the function: a server whose `run` is another one does not have it. */
export const runDirectly = <R extends Run>(run: R, direct: Direct): R => Object.assign(run, { [DirectTypeId]: direct })

export const directOf = (server: SocketServer.SocketServer["Service"]): Direct | undefined =>
  (server.run as Run & { readonly [DirectTypeId]?: Direct })[DirectTypeId]

/**
 * TLS over a source that has none: takes the place of the source, which nobody else uses any more.
 */
export type Encrypt = (
  source: Source,
  options: TlsOptions,
  unread: Uint8Array
) => Effect.Effect<{ readonly source: Source; readonly tls: Peer.Tls }, TlsFailure>

export const CurrentEncrypt: Context.Reference<Encrypt | undefined> = Context.Reference<Encrypt | undefined>(
  "effect-handshake/internal/CurrentEncrypt",
  { defaultValue: () => undefined }
)
