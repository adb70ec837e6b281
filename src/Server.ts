/**
 * The scoped server runtime: accept, admit, shake hands, serve, drain.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as NetAddress from "effect/net/NetAddress"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import type * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type { Admission } from "./Admission.ts"
import * as Monotonic from "./internal/connection/monotonic.ts"
import { directOf, stopOf } from "./internal/connection/source.ts"
import * as Telemetry from "./internal/handshake/telemetry.ts"
import { Connections } from "./internal/server/connections.ts"
import { Entrance } from "./internal/server/entrance.ts"
import { type Event, Events } from "./internal/server/events.ts"
import { Lifecycle } from "./internal/server/lifecycle.ts"
import * as Limits from "./internal/server/limits.ts"
import { Refusing } from "./internal/server/refusing.ts"
import type * as Transport from "./Transport.ts"

export type { Event } from "./internal/server/events.ts"

export type { Limits } from "./internal/server/limits.ts"

/**
 * How many connections a server has now.
 *
 * **Details**
 *
 * `connections` is all that were admitted: `pending` are in their handshake, the rest is in service or on its way out.
 * `refusing` are being turned away and count nowhere else.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  readonly connections: number
  readonly pending: number
  readonly refusing: number
}

/**
 * A running server.
 *
 * **Details**
 *
 * - `address`: where it listens.
 * - `counts`: its connections now.
 * - `events`: what happens to its connections from now on, until it is drained. A subscriber that falls more than 1024
 *   events behind misses the oldest; the server never waits for one.
 * - `drain`: stops taking connections, begins no further requests, lets what was begun be answered, for at most `drainTimeout`,
 *   then closes what is left. To call it twice is harmless. Once begun it goes on, even if its caller is interrupted. A
 *   handler that waits for the drain is closed in the end, like everything that takes too long. The end of the server's
 *   scope does the same.
 * - `awaitDrained`: waits until that is done, whoever began it.
 *
 * @category services
 * @since 0.1.0
 */
export class Server extends Context.Service<Server, {
  readonly address: NetAddress.SocketAddress
  readonly counts: Effect.Effect<Counts>
  readonly events: Stream.Stream<Event>
  readonly drain: Effect.Effect<void>
  readonly awaitDrained: Effect.Effect<void>
}>()("effect-handshake/Server") {}

/**
 * What a server does with its connections: a `protocol`, or a `handshake` alone, and how what is behind it is served.
 *
 * **Details**
 *
 * `serve` gets the transport of each connection that has become ready, and the connection is closed when it ends. The
 * handshake brings the words with which a peer is turned away: see `Handshake.withRefusal`, and `refuse` of
 * `Protocol.make`. Where it has none the connection is just closed. A `protocol` gives its name to spans that begin
 * before the handshake does.
 *
 * `limits` are limits that may change while the server serves. They go before those that stand beside them, hold for
 * whoever comes after a change, and touch nobody who is there already.
 *
 * `admission` decides who comes in, before anything is made for a connection: `Admission.make` with its options, or the service
 * `Admission.Admission` from the context. Without it everybody comes in for whom there is room.
 *
 * @category models
 * @since 0.1.0
 */
export type Options<T, E, R, E2, R2, R3 = never> =
  & Limits.Limits
  & {
    /** Limits that may change while the server serves; they go before those beside them. Default: those beside them. */
    readonly limits?: SubscriptionRef.SubscriptionRef<Limits.Limits> | undefined
  }
  & {
    /** Who comes in, such as `Admission.make({ … })`. Default: everybody for whom there is room. */
    readonly admission?: Effect.Effect<Admission["Service"], never, R3> | undefined
  }
  // The handshake says what the transport is; a service that does not fit it is the one that is wrong.
  & {
    /** What is done with each connection that is ready, such as `Pipeline.serve(handler)`: it is closed when this ends. */
    readonly serve: (transport: NoInfer<T>) => Effect.Effect<unknown, E2, R2>
  }
  & (
    | {
      /** What is said first. `protocol`, which is given instead of it, has a name as well. */
      readonly handshake: Effect.Effect<T, E, R>
      readonly protocol?: undefined
    }
    | {
      /** What is spoken: the handshake of its server, and its name for errors, metrics and spans. Give this, or `handshake`. */
      readonly protocol: {
        readonly name: string
        readonly server: Effect.Effect<T, E, R>
      }
    }
  )

type Services<R, R2> = Exclude<Exclude<R, Socket.Socket>, Scope.Scope> | Exclude<R2, Scope.Scope>

/**
 * Runs a server on the `SocketServer` in the context until the scope closes.
 *
 * @see {@link layer} for the server as a layer, and for what it does
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*<
  T extends Transport.Transport.Receiving = Transport.Transport.Any,
  E = never,
  R = never,
  E2 = never,
  R2 = never,
  R3 = never
>(
  options: Options<T, E, R, E2, R2, R3>
): Effect.fn.Return<
  Server["Service"],
  never,
  SocketServer.SocketServer | Scope.Scope | Services<R, R2> | R3
> {
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const socketServer = yield* SocketServer.SocketServer
  const context = yield* Effect.context<never>()
  const unscoped = Context.omit(Scope.Scope)(context)
  const fork = Effect.runForkWith(unscoped)
  const limits = Limits.make(options, options.limits)

  const connections = new Connections()
  const events = new Events()
  const shared = {
    connections,
    events,
    telemetry: Telemetry.make("server", context),
    handshake: options.protocol === undefined ? options.handshake : options.protocol.server,
    name: options.protocol?.name,
    limits,
    fork
  }
  const refusing = new Refusing(shared)
  const lifecycle = new Lifecycle({
    ...shared,
    refusing,
    serve: options.serve,
    now: () => Monotonic.millisOf(clock)
  })
  const entrance = new Entrance({
    ...shared,
    lifecycle,
    refusing,
    admission: options.admission === undefined ? undefined : yield* options.admission
  })

  const direct = directOf(socketServer)
  const accepting = direct === undefined
    ? socketServer.run((socket) => entrance.handle(socket))
    : direct.accept((socket) => entrance.take(socket, unscoped))
  const running = yield* Effect.forkIn(
    Effect.tapCause(accepting, (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.logError("the server stopped accepting connections", cause)),
    scope
  )
  const drain = entrance.drain({
    stop: stopOf(socketServer) ?? Effect.void,
    end: Fiber.interrupt(running)
  })
  yield* Scope.addFinalizer(scope, drain)

  return {
    address: socketServer.address,
    counts: Effect.sync(() => ({
      connections: connections.admitted.size,
      pending: connections.pending,
      refusing: connections.refused.size
    })),
    // To tell of their ends one has to know them, and a socket that is closed cannot tell.
    events: events.stream(() => {
      for (const { connection } of connections.admitted) void connection?.peer
    }),
    drain,
    awaitDrained: entrance.awaitDrained
  }
})

/**
 * The server as a layer, over any `SocketServer`.
 *
 * **Details**
 *
 * Each connection has a scope, which is closed whatever its handler does. It is refused at once where there is no room;
 * otherwise it has until `handshakeTimeout` after it was accepted to become ready, and then `serve` has it. Whoever is
 * turned away hears the protocol's refusal before the connection is closed. What a peer does wrong ends its own
 * connection and is an event, a metric, and a debug message; only what is wrong on this side is logged as a warning.
 *
 * When the layer is released the server drains: see {@link Server}.
 *
 * **Example** (A server on a free port)
 *
 * ```ts
 * import { Pipeline, Server } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { Effect, Layer } from "effect"
 *
 * const LineServer = Server.layer({
 *   protocol: Line.protocol,
 *   serve: Pipeline.serve((line) => Effect.succeed(line))
 * }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
 *
 * const program = Effect.gen(function*() {
 *   const server = yield* Server.Server
 *   return server.address._tag
 * }).pipe(Effect.provide(LineServer))
 *
 * console.log(await Effect.runPromise(program)) // => InetAddressV4
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <
  T extends Transport.Transport.Receiving = Transport.Transport.Any,
  E = never,
  R = never,
  E2 = never,
  R2 = never,
  R3 = never
>(
  options: Options<T, E, R, E2, R2, R3>
): Layer.Layer<Server, never, SocketServer.SocketServer | Services<R, R2 | R3>> =>
  // `Layer.effect` takes the Scope away, which the compiler cannot see while R, R2 and R3 are open.
  Layer.effect(Server, make(options)) as Layer.Layer<Server, never, SocketServer.SocketServer | Services<R, R2 | R3>>
