/**
 * What a transport is, for those who make it and those who are given it. `Transport` is the public door.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import type { Pipeable } from "effect/Pipeable"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"
import type * as Peer from "../../Peer.ts"
import type { TransportError } from "../../TransportError.ts"

export const TypeId = "~effect-handshake/Transport"

/**
 * The frames of one live connection: `In` is received, `Out` is sent.
 *
 * **Details**
 *
 * All of it fails with a `TransportError`. Several fibers may use a transport at once: each frame is received by one of
 * them, and what one sends is never mixed with what another does. The connection lives as long as the scope in which
 * the transport was made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transport<out In, in Out> extends Pipeable {
  readonly [TypeId]: typeof TypeId

  /**
   * All further frames.
   *
   * **Details**
   *
   * Ends where the connection ends between two frames; fails where it is cut inside one. Each pull takes the frames
   * that are complete, up to 128 of them, so a consumer that stops early drops the rest of its last batch: use `run` to
   * take a part of the frames.
   */
  readonly incoming: Stream.Stream<In, TransportError>

  /** Sends each batch of frames in one write. */
  readonly outgoing: Sink.Sink<void, Out, never, TransportError>

  /**
   * Exactly one frame.
   *
   * **Details**
   *
   * Fails with `ConnectionClosed` where the connection has ended. An interrupted `receive` has taken nothing, in the
   * middle of a frame too.
   */
  readonly receive: Effect.Effect<In, TransportError>

  /**
   * Runs a sink on the further frames, one at a time.
   *
   * **Details**
   *
   * The sink sees the end of its input where the connection ends between two frames; any other end fails the run. The
   * frames that the sink leaves over are received again by whoever comes next. When the run is interrupted or the sink
   * fails, the frames that the sink has pulled are taken, and everything behind them is still there.
   */
  readonly run: <A, L extends In, E, R>(sink: Sink.Sink<A, In, L, E, R>) => Effect.Effect<A, E | TransportError, R>

  /**
   * Sends one frame.
   *
   * **Details**
   *
   * Succeeds when the connection would take more, so that a slow peer slows the sender down. Fails with nothing sent
   * where the frame cannot be encoded, and fails where the connection has ended.
   */
  readonly send: (frame: Out) => Effect.Effect<void, TransportError>

  /** Sends several frames in one write; fails with nothing sent where one of them cannot be encoded. */
  readonly sendAll: (frames: Iterable<Out>) => Effect.Effect<void, TransportError>

  /** Who is at the other end, or whom a handshake has introduced. */
  readonly peer: Effect.Effect<Peer.Peer>
}

/**
 * @category models
 * @since 0.1.0
 */
export declare namespace Transport {
  /** Any transport. */
  export type Any = Transport<any, any>
  /** Any transport to receive from, one over which nothing is sent too. */
  export type Receiving = Transport<any, never>
  /** What a transport receives. */
  export type In<T> = T extends Transport<infer In, infer _Out> ? In : never
  /** What a transport sends. */
  export type Out<T> = T extends Transport<infer _In, infer Out> ? Out : never
}
