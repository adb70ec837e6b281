/**
 * What fills the inbox of a connection and takes what is written to it.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Codec from "../Codec.ts"
import type * as Peer from "../Peer.ts"

export type Chunks = ReadonlyArray<Uint8Array | string>

export interface SourceEvents {
  readonly onBytes: (chunk: Uint8Array) => void
  /** The peer will send no more: it ended in order, or the connection broke. */
  readonly onEnd: (error: Socket.SocketError | undefined) => void
}

/** What moves the bytes of a connection. The scope that acquired it destroys it. */
export interface Source {
  readonly peer: Peer.Peer
  /** Says where the bytes go; called once, before any other method. The source is paused. */
  readonly attach: (events: SourceEvents) => void
  /** Lets bytes come, until `pause`. One more chunk may come after that. */
  readonly resume: () => void
  readonly pause: () => void
  /** Hands the chunks over at once, in one go, and succeeds when more may be written. Never called concurrently. */
  readonly write: (chunks: Chunks) => Effect.Effect<void, Socket.SocketError>
  /**
   * The same without a fiber, where the socket can: `undefined` when more may be written, else what to wait for, or why it
   * failed.
   */
  readonly writeNow?: ((chunks: Chunks) => Effect.Effect<void, Socket.SocketError> | undefined) | undefined
  /** Ends the writing side. Returns whether all that was written has left this process, where the socket can tell. */
  readonly endWrite: () => boolean
  /** Waits until it has. */
  readonly flushed: Effect.Effect<void>
  /** Fails the write that waits, and later ones. A source whose writes never wait has none. */
  readonly abort?: ((error: Socket.SocketError) => void) | undefined
  /** What decoders are given in the place of the unread bytes, for a test that counts what they do with them. */
  readonly view?: ((unread: Codec.ByteBuffer) => Codec.ByteBuffer) | undefined
}

export const SourceTypeId = "~effect-handshake/Source"

/** A socket that offers a source of its own, for which no fiber has to wait for each chunk. */
export interface SourceSocket extends Socket.Socket {
  readonly [SourceTypeId]: Effect.Effect<Source, Socket.SocketError, Scope.Scope>
}

export const isSourceSocket = (socket: Socket.Socket): socket is SourceSocket => SourceTypeId in socket

export const StopTypeId = "~effect-handshake/Stop"

/** A socket server that can stop to listen while it goes on serving the connections it has. */
export interface StoppableServer {
  readonly [StopTypeId]: Effect.Effect<void>
}

export const isStoppable = (server: object): server is StoppableServer => StopTypeId in server
