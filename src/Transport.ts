/**
 * The frames of one live connection: a Stream in, a Sink out, and the bytes that nobody has read yet.
 *
 * A `Transport` is what a handshake is written with and what it ends with. It receives one frame at a time for as long
 * as a handshake decides what comes next, and everything that is complete at once afterwards. What was received and not
 * taken stays in the transport, whatever sink ran, failed or was interrupted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type { Pipeable } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import { Socket } from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import type * as Codec from "./Codec.ts"
import * as Connection from "./internal/connection.ts"
import { CurrentByteLimit, implOf, TransportImpl, TypeId as TransportTypeId } from "./internal/transport.ts"
import type * as Peer from "./Peer.ts"
import { TransportError, UnexpectedFrame } from "./TransportError.ts"

/**
 * Runtime type identifier of a `Transport`.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: typeof TransportTypeId = TransportTypeId

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
   * Ends where the connection ends between two frames; fails where it is cut inside one. Each pull takes every frame
   * that is complete, so a consumer that stops early drops the rest of its last batch: use `run` to take a part of the
   * frames.
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

  /** Who is at the other end. */
  readonly peer: Effect.Effect<Peer.Peer>
}

/**
 * @category models
 * @since 0.1.0
 */
export declare namespace Transport {
  /** Any transport. */
  export type Any = Transport<any, any>
  /** What a transport receives. */
  export type In<T> = T extends Transport<infer In, infer _Out> ? In : never
  /** What a transport sends. */
  export type Out<T> = T extends Transport<infer _In, infer Out> ? Out : never
}

/**
 * Whether a value is a `Transport`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTransport = (u: unknown): u is Transport.Any => Predicate.hasProperty(u, TypeId)

/**
 * What happens on a transport, for those who watch it.
 *
 * **Details**
 *
 * `frame` is a printable excerpt without secrets, `bytes` is the frame as it stands on the wire, with its delimiter or
 * its length field, and `length` is how many bytes that is. The bytes are a copy. `bytes` is `undefined` where something
 * is hidden: in a step that is `secret`, where the frame holds a `Redacted`, and where its description shows one.
 *
 * A frame is `Received` once, when it is taken; one that a sink gives back is not received again. Put together, the bytes
 * that were received are those of the connection, each of them once. The end is told when somebody runs into it: `how`
 * says that the peer has `closed` in order or that the connection is `broken`; it is `undefined` where this side cannot or
 * will not go on.
 *
 * **Gotchas**
 *
 * A `describe` of yours that hides a part of a frame has to show `<redacted>` in its place. Nothing else tells that the
 * bytes are to be hidden too.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "Connected"; readonly peer: Peer.Peer }
  | ({ readonly _tag: "Received" } & Observed)
  | ({ readonly _tag: "Sent" } & Observed)
  | { readonly _tag: "Ended"; readonly message: string; readonly how: "closed" | "broken" | undefined }

/**
 * A frame, as those who watch a transport see it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observed {
  readonly frame: string
  readonly bytes: Uint8Array | undefined
  readonly length: number
}

/**
 * Watches a transport. It is called at once for each event and must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export type Observer = (event: Event) => void

/**
 * Who watches the transports that are made from here on; nobody, unless provided.
 *
 * **Example** (Print what is said)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const transport = yield* Transport.framed(Codec.lines()).pipe(
 *     Effect.provideService(Socket.Socket, here),
 *     Effect.provideService(Transport.CurrentObserver, (event) => {
 *       if (event._tag === "Sent") console.log(`-> ${event.frame}`)
 *     })
 *   )
 *   yield* transport.send("Hello")
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * // => -> "Hello"
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentObserver: Context.Reference<Observer | undefined> = Context.Reference<Observer | undefined>(
  "effect-handshake/Transport/CurrentObserver",
  { defaultValue: () => undefined }
)

/**
 * Opens the connection of the `Socket` in the context and cuts it into frames.
 *
 * **Details**
 *
 * On a client's socket this dials. The scope owns the connection: when it closes, what was sent is flushed, for at most
 * a second, and the connection is closed.
 *
 * `describe` renders a frame for errors and transcripts; without it a frame shows as a bounded printable excerpt and
 * `Redacted` values in it show as such.
 *
 * **Example** (One question, one answer)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [left, right] = yield* MemorySocket.pair()
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
export const framed = <In, Out>(codec: Codec.Codec<In, Out>, options?: {
  readonly describe?: ((frame: In | Out) => string) | undefined
}): Effect.Effect<Transport<In, Out>, TransportError, Socket | Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Socket | Scope.Scope>) => {
    const begin = (connection: Connection.Connection): Transport<In, Out> => {
      connection.inbox.byteLimit = connection.inbox.unread.consumed + Context.get(context, CurrentByteLimit)
      const observer = Context.get(context, CurrentObserver)
      observer?.({ _tag: "Connected", peer: connection.peer })
      return new TransportImpl(connection, codec, observer, options?.describe)
    }
    const socket = Context.get(context, Socket)
    return Connection.isConnectionSocket(socket)
      ? Effect.succeed(begin(socket[Connection.ConnectionTypeId]))
      : Effect.map(Connection.open(socket), begin)
  })

/**
 * A frame as errors and transcripts show it: bounded and printable, and not at all while it is a secret.
 *
 * **When to use**
 *
 * Use to name a frame in a reason of your own. What a peer sends is no text for logs as it is.
 *
 * @category formatting
 * @since 0.1.0
 */
export const show = <T extends Transport.Any>(self: T, frame: Transport.In<T> | Transport.Out<T>): string =>
  implOf(self).show(frame)

/**
 * Goes on with another codec on the same connection.
 *
 * **Details**
 *
 * The unread bytes are carried over, byte for byte: the new codec begins where the last frame of the old one ended. The
 * old transport must not be used any more, and the `Middleware` on it ends. Fails with `UnexpectedFrame` only where a sink
 * has given back a frame that it took so long ago that its bytes are gone, or where middleware has used up a frame from
 * behind one that was not taken.
 *
 * @category combinators
 * @since 0.1.0
 */
export const switchCodec: {
  <In2, Out2>(codec: Codec.Codec<In2, Out2>, options?: {
    readonly describe?: ((frame: In2 | Out2) => string) | undefined
  }): <In, Out>(self: Transport<In, Out>) => Effect.Effect<Transport<In2, Out2>, TransportError>
  <In, Out, In2, Out2>(self: Transport<In, Out>, codec: Codec.Codec<In2, Out2>, options?: {
    readonly describe?: ((frame: In2 | Out2) => string) | undefined
  }): Effect.Effect<Transport<In2, Out2>, TransportError>
} = dual(
  (args) => isTransport(args[0]),
  <In, Out, In2, Out2>(self: Transport<In, Out>, codec: Codec.Codec<In2, Out2>, options?: {
    readonly describe?: ((frame: In2 | Out2) => string) | undefined
  }): Effect.Effect<Transport<In2, Out2>, TransportError> =>
    Effect.suspend(() => {
      const impl = implOf(self)
      const lost = impl.frames.release()
      if (lost !== undefined) {
        return Effect.fail(
          new TransportError({
            reason: new UnexpectedFrame({
              expected: "nothing of the codec before a codec switch",
              excerpt: impl.show(lost.frame)
            })
          })
        )
      }
      impl.interceptor?.end()
      return Effect.succeed(new TransportImpl(impl.connection, codec, impl.observer, options?.describe))
    })
)
