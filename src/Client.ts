/**
 * The scoped client runtime: dial, shake hands, call, try again.
 *
 * @stability stable
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as EffectPool from "effect/Pool"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as Stream from "effect/Stream"
import * as Handshake from "./Handshake.ts"
import { type HandshakeError, isHandshakeError } from "./HandshakeError.ts"
import { make as makePool } from "./internal/client/pool.ts"
import type * as Internal from "./internal/client/reconnecting.ts"
import { make as makeReconnecting } from "./internal/client/reconnecting.ts"
import type { Use } from "./internal/client/resending.ts"
import * as Rounds from "./internal/client/rounds.ts"
import { make as makeTelemetry } from "./internal/client/telemetry.ts"
import * as Connection from "./internal/connection/connection.ts"
import { type CallOptions, limited } from "./internal/dispatch/callOptions.ts"
import type { Answers } from "./internal/dispatch/unsolicited.ts"
import * as Progress from "./internal/handshake/progress.ts"
import * as Telemetry from "./internal/handshake/telemetry.ts"
import * as Pipeline from "./Pipeline.ts"
import type * as Transport from "./Transport.ts"
import type { TransportError } from "./TransportError.ts"

type Any = Transport.Transport.Any

/**
 * A connected client: calls over a transport whose handshake is done.
 *
 * **Details**
 *
 * `call` sends a request and waits for its response; see `Pipeline.Client`. `transport` is what the handshake has ended
 * with, and its `peer` tells who is at the other end. `awaitEnd` fails when the connection has ended, with the error
 * that says how.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client<in Request, out Response, out T = Transport.Transport<Response, Request>> {
  readonly call: (request: Request) => Effect.Effect<Response, TransportError>
  readonly awaitEnd: Effect.Effect<never, TransportError>
  readonly transport: T
}

/**
 * The client of a transport, whose frames are responses but for those of type `Push`, which nobody asks for.
 *
 * @category models
 * @since 0.1.0
 */
export type Of<T, Push extends Transport.Transport.In<T> = never> = Client<
  Transport.Transport.Out<T>,
  Answers<Transport.Transport.In<T>, Push>,
  T
>

// Each part has a name of its own, so that a message of the compiler can tell of it in a word.

interface Tries<in E> {
  /** From dialling to ready, absolute, for each attempt. Default: 10 seconds. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /**
   * When to try again after a failure that another try can mend, such as a rejection for want of room. By default the
   * first failure stands.
   */
  readonly retry?: Schedule.Schedule<unknown, HandshakeError | E> | undefined
}

interface ByHandshake<out T, out E, out R> {
  /** What is said first. `protocol`, which is given instead of it, has a name as well. */
  readonly handshake: Effect.Effect<T, E, R>
  readonly protocol?: undefined
}

interface ByProtocol<out T, out E, out R> {
  /** What is spoken: the handshake of its client, and its name for errors, metrics and spans. Give this, or `handshake`. */
  readonly protocol: { readonly name: string; readonly client: Effect.Effect<T, E, R> }
}

/**
 * How a client connects: by a `handshake`, or by that of a `protocol`, which brings a name for errors, metrics and spans.
 *
 * @category models
 * @since 0.1.0
 */
export type Options<T, E, R> = Tries<E> & (ByHandshake<T, E, R> | ByProtocol<T, E, R>)

/**
 * What a client makes of the transport that its handshake ends with.
 *
 * **Details**
 *
 * `client` is run once, when an attempt has succeeded. Its scope is that of the connection, and if it fails, the
 * connection is closed and nothing is tried again. The handshake's deadline is over by then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Makes<in T, out C, out E = never, out R = never> {
  /** What becomes of the transport. Default: a `Client`, whose calls are answered in order. */
  readonly client: (transport: T) => Effect.Effect<C, E, R>
}

/**
 * How a client makes calls in order, unless told otherwise.
 *
 * @category models
 * @since 0.1.0
 */
export interface Calls<T = Any, Push extends Transport.Transport.In<T> = never, R = never> extends CallOptions {
  readonly client?: undefined
  /** What is done with frames that are not responses. Default: every frame is a response. */
  readonly unsolicited?: Pipeline.Unsolicited<Transport.Transport.In<T>, Push, R> | undefined
  /**
   * Whether a frame is the server's goodbye, which says that the server has begun no request that it has not answered.
   * Default: no frame is.
   */
  readonly goodbye?: ((frame: Transport.Transport.In<T>) => boolean) | undefined
  /** How the peer is asked whether it is still there. Default: it is not asked. */
  readonly keepAlive?: Pipeline.KeepAlive<Transport.Transport.Out<T>> | undefined
}

type Attempts = NonEmptyReadonlyArray<Effect.Effect<Socket.Socket>>

interface ToSockets<out S> {
  /** What is dialled, in order, until one accepts, such as `[Net.socket({ host, port })]`. Default: the `Socket` of the context. */
  readonly sockets: S
}

interface ToContext {
  readonly sockets?: undefined
}

/**
 * Where a client connects to: each of `sockets` in order, until one accepts. Without them it is the `Socket` of the
 * context.
 *
 * **Details**
 *
 * Each is an Effect that makes a `Socket`, such as `Net.socket({ host, port })`: an address alone does not say how it is
 * dialled.
 *
 * @category models
 * @since 0.1.0
 */
export type Sockets<S extends Attempts | undefined = Attempts | undefined> =
  // Options that may or may not have them would leave it open what is needed.
  ToSockets<S> | ToContext

/** What dialling and a handshake need: the connection's `Socket` is made of `sockets`, or of the one in the context. */
type Services<R, S> = undefined extends S ? Socket.Socket | R : Exclude<R, Socket.Socket>

/** C, and nothing to infer C from: without `client` it is `Of<T>`, whatever is expected where the call stands. */
type Made<C> = [C] extends [infer M extends C] ? M : never

const isRetryable = (error: unknown): boolean => isHandshakeError(error) && error.retryable

const closedUnlessDone = <A, E, R>(effect: Effect.Effect<A, E, R>, scope: Scope.Closeable): Effect.Effect<A, E, R> =>
  Effect.onExitPrimitive(effect, (exit) => Exit.isSuccess(exit) ? undefined : Scope.close(scope, exit))

/** What an attempt has come to, and what closes it. */
interface Attempted<out T> {
  readonly transport: T
  readonly scope: Scope.Closeable
}

/** What dials, and shakes hands. */
const attempting = Effect.fnUntraced(function*<T extends Any, E, R>(options: Options<T, E, R>) {
  const telemetry = Telemetry.make("client", yield* Effect.context<never>())
  const handshake = options.protocol === undefined ? options.handshake : options.protocol.client
  const name = options.protocol?.name
  const deadline = Handshake.deadline(options.handshakeTimeout ?? "10 seconds")

  // Each attempt has a scope of its own, which ends with it if it fails and with the client if it succeeds.
  return (
    socket: Socket.Socket
  ): Effect.Effect<Attempted<T>, E | Handshake.Failure<E>, Exclude<R, Socket.Socket> | Scope.Scope> =>
    Effect.contextWith((context: Context.Context<Exclude<R, Socket.Socket> | Scope.Scope>) => {
      const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
      const state: Telemetry.Observed = { progress: Progress.make(name), connection: undefined, span: undefined }
      // The handshake dials: by then it has a name, which a connection that cannot be opened is reported with.
      const opened = Effect.flatMap(Scope.provide(Connection.open(socket), scope), (connection) => {
        state.connection = connection
        telemetry.met(state)
        telemetry.connections(1)
        return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => telemetry.connections(-1))), connection)
      })
      const dialling = handshake.pipe(
        Effect.catch((error): Effect.Effect<never, E | Handshake.Failure<E>> =>
          state.connection === undefined ? Handshake.step(Effect.fail(error), Progress.connect) : Effect.fail(error)
        )
      )
      const shaken = Effect.provideContext(
        telemetry.observed(state, deadline(dialling)),
        context.pipe(
          Context.add(Socket.Socket, Connection.sharedBy(opened)),
          Context.add(Scope.Scope, scope)
        ) as Context.Context<Scope.Scope | R>
      )
      let isPending = false
      const counted = Effect.suspend(() => {
        isPending = true
        telemetry.pending(1)
        return Effect.flatMap(shaken, (exit) => Exit.map(exit, (transport) => ({ transport, scope })))
      })
      return Effect.onExitPrimitive(counted, (exit) => {
        if (isPending) telemetry.pending(-1)
        return Exit.isSuccess(exit) ? undefined : Scope.close(scope, exit)
      })
    })
})

/** What calls over a transport. */
const making = <T extends Any, C, E2, R2, Push extends Transport.Transport.In<T>>(
  options: Makes<T, C, E2, R2> | Calls<T, Push, R2>
) =>
(transport: T): Effect.Effect<C | Of<T, Push>, E2, R2 | Scope.Scope> =>
  options.client === undefined
    ? Effect.map(Pipeline.client(transport, options), (calls) => ({ ...calls, transport }))
    : options.client(transport)

const connectTo = Effect.fnUntraced(function*<T extends Any, E, R, C, E2, R2, Push extends Transport.Transport.In<T>>(
  options: Options<T, E, R> & Sockets & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
): Effect.fn.Return<C | Of<T, Push>, HandshakeError | E | E2, Scope.Scope | Socket.Socket | R | R2> {
  const attempt = yield* attempting(options)
  const attempts: NonEmptyReadonlyArray<Effect.Effect<Socket.Socket, never, Socket.Socket>> = options.sockets ??
    [Socket.Socket]
  let connected = Effect.flatMap(attempts[0], attempt)
  for (const next of attempts.slice(1)) {
    const orNext = Effect.catchIf(connected, isRetryable, () => Effect.flatMap(next, attempt))
    connected = orNext
  }
  const { scope, transport } = yield* options.retry === undefined
    ? connected
    : Effect.retry(connected, { schedule: options.retry, while: isRetryable })
  return yield* closedUnlessDone(Scope.provide(making<T, C, E2, R2, Push>(options)(transport), scope), scope)
})

/**
 * Dials, shakes hands, and makes calls over the connection until the scope closes.
 *
 * **Details**
 *
 * Calls are answered in order, as `Pipeline.client` makes them, and the `transport` stands beside them. Frames that
 * nobody asks for are handled by `unsolicited`, as with `Pipeline.client`. For a protocol that is spoken otherwise,
 * `client` makes another client of the transport, and `connect` returns that.
 *
 * It dials the `Socket` of the context, or each of `sockets` in order: a failure that may be mended elsewhere, such as a
 * rejection or a refused connection, goes on to the next one. `retry` goes through all of them again. An attempt that
 * fails, or is interrupted, leaves no connection open, and a rejection never counts as connected.
 *
 * It fails with the `HandshakeError` of the last attempt, or with an error of the handshake's or of `client`'s own, after
 * which nothing else is tried. Once it is connected, calls fail by themselves: see `Pipeline.Client`.
 *
 * **Gotchas**
 *
 * It is the client of one connection. When that has ended it does not connect again: every call fails with the error
 * that ended the connection, and `awaitEnd` tells when to make a new client.
 *
 * **Example** (Two calls)
 *
 * ```ts
 * import { Client, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { SocketServer } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   yield* Layer.build(
 *     Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(`${line}!`)) }).pipe(
 *       Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
 *     )
 *   )
 *   const client = yield* Client.connect({ protocol: Line.protocol, sockets: [Effect.succeed(network.client)] })
 *   return yield* Effect.all([client.call("Hello"), client.call("Goodbye")], { concurrency: "unbounded" })
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => [ 'Hello!', 'Goodbye!' ]
 * ```
 *
 * **Example** (Calls by id)
 *
 * ```ts
 * import { Client, Multiplex, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { SocketServer } from "effect/socket"
 *
 * const cut = (line: string) => {
 *   const at = line.indexOf(" ")
 *   return { id: Number(line.slice(0, at)), body: line.slice(at + 1) }
 * }
 * const frames: Multiplex.Frames<{ frame: string; id: number; request: string; response: string }> = {
 *   request: (id, body) => `${id} ${body}`,
 *   fromClient: (line) => ({ _tag: "Request", ...cut(line) }),
 *   response: (id, body) => `${id} ${body}`,
 *   fromServer: (line) => ({ _tag: "Response", ...cut(line) })
 * }
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   const serve = Multiplex.serve(frames, (line) => Effect.succeed(line.toUpperCase()))
 *   yield* Layer.build(
 *     Server.layer({ protocol: Line.protocol, serve }).pipe(
 *       Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
 *     )
 *   )
 *   const client = yield* Client.connect({
 *     protocol: Line.protocol,
 *     sockets: [Effect.succeed(network.client)],
 *     client: (transport) => Multiplex.client(frames, transport, { maxInFlight: 16 })
 *   })
 *   return yield* client.call("Hello")
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => HELLO
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect = <
  T extends Any,
  E,
  R,
  S extends Attempts | undefined = undefined,
  Push extends Transport.Transport.In<T> = never,
  C = Of<T, Push>,
  E2 = never,
  R2 = never
>(
  options: Options<T, E, R> & Sockets<S> & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
): Effect.Effect<
  Made<C>,
  HandshakeError | E | E2,
  Scope.Scope | Services<R, S> | R2
> =>
  // Without `client`, C is `Of<T>`, and with `sockets` no Socket of the context is asked for; only the types can say so.
  connectTo(options) as Effect.Effect<Made<C>, HandshakeError | E | E2, Scope.Scope | Services<R, S> | R2>

/**
 * A client as a layer, under a service of yours.
 *
 * **Details**
 *
 * It is {@link connect}, with the same options and the same errors: it connects when the layer is built, and the connection
 * lives until the layer is released. With the option `client` the service is what `client` makes.
 *
 * **Example** (A client as a service)
 *
 * ```ts
 * import { Client } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { Context, Effect } from "effect"
 *
 * class Echo extends Context.Service<Echo, Client.Client<string, string>>()("app/Echo") {}
 *
 * const EchoLive = Client.layer(Echo, {
 *   protocol: Line.protocol,
 *   sockets: [Net.socket({ host: "127.0.0.1", port: 1 })]
 * })
 *
 * const program = Effect.flatMap(Echo, (echo) => echo.call("Hello")).pipe(
 *   Effect.provide(EchoLive),
 *   Effect.catchReason("HandshakeError", "ConnectionFailed", () => Effect.succeed("nobody listens on port 1"))
 * )
 *
 * console.log(await Effect.runPromise(program)) // => nobody listens on port 1
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <
  Self,
  C,
  T extends Any,
  E,
  R,
  S extends Attempts | undefined = undefined,
  Push extends Transport.Transport.In<T> = never,
  E2 = never,
  R2 = never
>(
  service: Context.Key<Self, C>,
  options:
    & Options<T, E, R>
    & Sockets<S>
    // Calls in order are no service of another kind: `client` has to make that.
    & (Makes<NoInfer<T>, NoInfer<C>, E2, R2> | Calls<NoInfer<T>, Push, R2> & (Of<T, Push> extends C ? unknown : never))
): Layer.Layer<Self, HandshakeError | E | E2, Exclude<Services<R, S> | R2, Scope.Scope>> =>
  // The same as in `connect`, and without `client` the options demand that `Of<T>` is a C.
  Layer.effect(
    service,
    connectTo(options) as Effect.Effect<C, HandshakeError | E | E2, Scope.Scope | Services<R, S> | R2>
  )

/**
 * Waits that grow from one try to the next and differ from client to client: each is drawn evenly between nothing and a bound, which is
 * `base` for the first one, `factor` times as long for each further one, and never longer than `max`.
 *
 * **Details**
 *
 * `base` is 500 milliseconds, `factor` 2 and `max` 30 seconds unless told otherwise. Of `n` clients that have lost the same server
 * together, fewer than `2 n / base` dial in any second. When it has been away for long, it is `2 n / max`: 67 of a thousand clients.
 *
 * @category schedules
 * @since 0.1.0
 */
export const backoff = (options?: {
  /** The longest first wait. Default: 500 milliseconds. */
  readonly base?: Duration.Input | undefined
  /** By how much the longest wait grows each time. Default: 2. */
  readonly factor?: number | undefined
  /** The longest wait of all. Default: 30 seconds. */
  readonly max?: Duration.Input | undefined
}): Schedule.Schedule<Duration.Duration> => {
  const max = Duration.toMillis(Duration.fromInputUnsafe(options?.max ?? "30 seconds"))
  return Schedule.modifyDelay(
    Schedule.exponential(options?.base ?? "500 millis", options?.factor),
    ({ duration }) =>
      Effect.map(Random.next, (random) => Duration.millis(random * Math.min(max, Duration.toMillis(duration))))
  )
}

/**
 * How a client that connects again is doing.
 *
 * **Details**
 *
 * - `Connecting`: it dials, or shakes hands. `error` is what has gone wrong before, unless it is the first time.
 * - `Ready`: it has had a connection since then.
 * - `Waiting`: its last connection has ended, or none came about, with this `error`. It dials again at `next`.
 * - `Stopped`: it does not dial any more. `error` is what no other try can mend, or the last one when its schedule has ended; when
 *   its scope is closed it is `ConnectionClosed` by `local`.
 *
 * @category models
 * @since 0.1.0
 */
export type State<E> = Internal.State<E>

/** What a client that connects again has to know of the client of one connection. */
interface Caller {
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

interface Callable<in Request> extends Caller {
  readonly call: (request: Request) => Effect.Effect<unknown, unknown, unknown>
}

/**
 * What may be said of one call.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallAgain {
  /**
   * Whether the call does no harm when the peer gets it twice. Such a call is made again when its connection ends
   * before its answer has come. Default: what the client's option `idempotent` says.
   */
  readonly idempotent?: boolean | undefined
}

type RequestOf<C> = C extends Callable<infer Request> ? Request : never

type CallOf<C> = C extends {
  readonly call: (request: infer Request) => Effect.Effect<infer Response, infer E, infer R>
} ? (request: Request, options?: CallAgain) => Effect.Effect<Response, E | TransportError, R>
  : never

/** How calls are made over connections of which one may end and another one come. */
interface CallsAgain<out C> {
  readonly call: CallOf<C>
  readonly use: <A, E2, R>(
    f: (client: C) => Effect.Effect<A, E2, R>,
    options?: CallAgain
  ) => Effect.Effect<A, E2 | TransportError, R>
}

/**
 * A client that connects again. `C` is the client of one connection, such as `Pipeline.Client`, and `E` how connecting can fail.
 *
 * **Details**
 *
 * - `call` is that of `C`, and waits for a connection where there is none.
 * - `use` runs an effect of yours with the client of a connection, for what is more than a call, such as a call with a
 *   body. What `call` says of failures holds for the `TransportError`s that come out of it.
 * - `ready` waits for a connection as a call does.
 * - `awaitEnd` fails when it has stopped: as `Unavailable`, or, when its scope is closed, as `ConnectionClosed` by `local`.
 * - `state` is its present state, and `changes` the present state and all later ones, up to `Stopped`.
 *
 * A `TransportError` of a call says whether it was `sent`: `no`, or `perhaps`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reconnecting<out C, out E = HandshakeError | TransportError> extends CallsAgain<C> {
  readonly ready: Effect.Effect<void, TransportError>
  readonly awaitEnd: Effect.Effect<never, TransportError>
  readonly state: Effect.Effect<State<E>>
  readonly changes: Stream.Stream<State<E>>
}

/**
 * Where a client connects to whose addresses may change: it asks for them before each round.
 *
 * **Details**
 *
 * `addresses` may ask DNS or a registry. When it fails it is asked again, as the schedule says. `dial` says how one of them is
 * dialled, such as `Net.socket`. Addresses are compared by `Equal.equals`: when a peer has said when to come back,
 * equal addresses are left alone until then.
 *
 * @category models
 * @since 0.1.0
 */
export interface Addresses<A, out E = never, out R = never> {
  /** Where to dial: it is asked anew in each round. Give this with `dial`, or `sockets`. */
  readonly addresses: Effect.Effect<ReadonlyArray<A>, E, R>
  /** Makes the socket of an address, such as `Net.socket`. */
  readonly dial: (address: NoInfer<A>) => Effect.Effect<Socket.Socket>
  readonly sockets?: undefined
}

/** What a client that makes further connections does with each of them, and with its calls meanwhile. */
interface Connects<in out C, in Failed, out E = never, out R = never> {
  /** From dialling to ready, absolute, for each attempt, and as long again for what `onConnect` does. Default: 10 seconds. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /**
   * Whether another try can do better. Default: true for a `HandshakeError` that is `retryable` and for a
   * `TransportError` that is not this side's fault, false for any other error.
   */
  readonly while?: ((error: Failed) => boolean) | undefined
  /**
   * What has to be said on each connection before anything else, such as subscriptions: no call is sent before it is done. Its
   * scope is that of the connection. If it fails, the connection counts as one that was not made.
   */
  readonly onConnect?: ((client: C) => Effect.Effect<unknown, E, R>) | undefined
  /** How many calls wait for a connection; one more fails at once. Default: 1,024. */
  readonly maxWaiting?: number | undefined
  /** How long a call waits for a connection, with dialling and checks. Default: 10 seconds. */
  readonly waitTimeout?: Duration.Input | undefined
  /** Which requests do no harm when the peer gets them twice. Default: none. */
  readonly idempotent?: ((request: RequestOf<C>) => boolean) | undefined
  /** How often a call is made again when its connection has ended. Default: 3. */
  readonly maxResends?: number | undefined
}

/**
 * How a client connects again, and what becomes of its calls meanwhile.
 *
 * **Gotchas**
 *
 * The compiler reads options in their order: `client` has to stand before `onConnect` and `idempotent`, which get what it makes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Again<in out C, in Failed, out E = never, out R = never> extends Connects<C, Failed, E, R> {
  /**
   * How long to wait between two rounds over all addresses. It begins anew after a connection that has lived for
   * `stableAfter`. When it ends, the client stops. Default: {@link backoff}, which does not end.
   */
  readonly schedule?: Schedule.Schedule<unknown, Failed> | undefined
  /** How long a connection has to live for `schedule` to begin anew after it. Default: 10 seconds. */
  readonly stableAfter?: Duration.Input | undefined
}

/** The Socket of the context is needed where nothing else says where to. */
type Needs<R, S, A> = [A] extends [never] ? Services<R, S> : Exclude<R, Socket.Socket>

type NoAddresses = { readonly addresses?: undefined }

type Failures<E> = HandshakeError | TransportError | E

type Shakes<T, E, R> = ByHandshake<T, E, R> | ByProtocol<T, E, R>

type Where<S extends Attempts | undefined, A, E, R> = (Sockets<S> & NoAddresses) | Addresses<A, E, R>

/** What `reconnecting` and `pool` make connections of and calls with, out of the options that they share. */
const connecting = Effect.fnUntraced(function*<
  T extends Any,
  E,
  R,
  Push extends Transport.Transport.In<T>,
  C extends Caller,
  E2,
  R2,
  A,
  E3,
  R3,
  E4,
  R4
>(
  options:
    & Shakes<T, E, R>
    & Where<Attempts | undefined, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Connects<C, Failures<E | E2 | E3 | E4>, E4, R4>
) {
  type Needed = Socket.Socket | R | R2 | R3 | R4
  type Opening = Effect.Effect<C, HandshakeError | TransportError | E | E2 | E4, Scope.Scope>
  const context = Context.omit(Scope.Scope)(yield* Effect.context<Needed>())
  // All that is needed but a scope, which each connection has of its own.
  const provided = <A2, E5>(effect: Effect.Effect<A2, E5, Needed | Scope.Scope>) =>
    Effect.provideContext(effect, context) as Effect.Effect<A2, E5, Scope.Scope>

  const attempt = yield* attempting(options)
  // Without `client` C is `Of<T, Push>`, as with `connect`.
  const make = making<T, C, E2, R2, Push>(options) as (transport: T) => Effect.Effect<C, E2, R2 | Scope.Scope>
  const inTime = limited({ callTimeout: options.handshakeTimeout ?? "10 seconds" })
  const open = Effect.fnUntraced(function*(dial: Effect.Effect<Socket.Socket, never, Socket.Socket>) {
    const { scope, transport } = yield* attempt(yield* dial)
    const made = Effect.tap(make(transport), (client) => options.onConnect?.(client) ?? Effect.void)
    return yield* inTime(Scope.provide(made, scope))
  })
  const over = <A2>(
    addresses: Effect.Effect<ReadonlyArray<A2>, E3, Needed>,
    dial: (address: A2) => Effect.Effect<Socket.Socket, never, Socket.Socket>
  ) => ({
    // It needs no scope.
    addresses: provided(addresses) as Effect.Effect<ReadonlyArray<A2>, E3>,
    // What is dialled is one of them.
    open: (address: unknown): Opening => provided(open(dial(address as A2)))
  })
  return {
    options: {
      ...options.addresses === undefined
        ? over<Effect.Effect<Socket.Socket, never, Socket.Socket>>(
          Effect.succeed(options.sockets ?? [Socket.Socket]),
          identity
        )
        : over(options.addresses, options.dial),
      isMendable: options.while ?? Rounds.isMendable,
      maxWaiting: options.maxWaiting ?? 1024,
      waitTimeout: Duration.fromInputUnsafe(options.waitTimeout ?? "10 seconds"),
      maxResends: options.maxResends ?? 3,
      telemetry: makeTelemetry(options.protocol?.name ?? Progress.unnamed, context)
    },
    calls: (use: Use<C>): CallsAgain<C> => ({
      use: (f, said) => use(f, () => said?.idempotent ?? false),
      // What a client without `call` has no type for does not come to be called.
      call: ((request: unknown, said?: CallAgain) =>
        use(
          (client) => (client as unknown as Callable<unknown>).call(request),
          () => said?.idempotent ?? options.idempotent?.(request as RequestOf<C>) ?? false
        )) as CallOf<C>
    }),
    provided
  }
})

const reconnectingTo = Effect.fnUntraced(function*<
  T extends Any,
  E,
  R,
  Push extends Transport.Transport.In<T>,
  C extends Caller,
  E2,
  R2,
  A,
  E3,
  R3,
  E4,
  R4
>(
  options:
    & Shakes<T, E, R>
    & Where<Attempts | undefined, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Again<C, Failures<E | E2 | E3 | E4>, E4, R4>
): Effect.fn.Return<
  Reconnecting<C, Failures<E | E2 | E3 | E4>>,
  never,
  Scope.Scope | Socket.Socket | R | R2 | R3 | R4
> {
  const { calls, options: shared } = yield* connecting<T, E, R, Push, C, E2, R2, A, E3, R3, E4, R4>(options)
  const { use, ...rest } = yield* makeReconnecting<C, HandshakeError | E | E2 | E3 | E4>({
    ...shared,
    schedule: options.schedule ?? backoff(),
    stableAfter: Duration.fromInputUnsafe(options.stableAfter ?? "10 seconds")
  })
  return { ...rest, ...calls(use) }
})

/**
 * The same client for as long as its scope lives: when its connection ends it connects again.
 *
 * **When to use**
 *
 * Use where a program shall outlive the servers that it needs. Where a program has nothing more to do once its
 * connection has ended, use {@link connect}.
 *
 * **Details**
 *
 * The client is there at once and connects by itself: each round goes through `sockets`, or what `addresses` gives, in
 * order until one accepts, and `schedule` says how long to wait between two rounds. A peer that refuses and says when
 * to come back is left alone until then. After a failure that no other try can mend, such as a wrong password, the
 * client stops.
 *
 * Where there is no connection a call waits, up to `waitTimeout` and among at most `maxWaiting`; after that, and when the client has
 * stopped, it fails as `Unavailable`. Calls go out in the order in which they were made. A call whose connection ends
 * before it was sent is made again on the next one. A call that perhaps was sent fails with the error that ended the
 * connection, unless it is `idempotent`: then it is made again, up to `maxResends` times. The error of a call says
 * whether the call was sent: `sent` is `no` or `perhaps`.
 *
 * An interrupted call is given up as with the client of one connection; if it was still waiting for a connection, it
 * leaves nothing behind. When the scope closes, every call fails as `ConnectionClosed` by `local`, at once: answers are
 * not waited for.
 *
 * | metric | attributes | what it is |
 * |---|---|---|
 * | `handshake.client.states` | `handshake.protocol`, `handshake.client.state` | how many of these clients are `connecting`, `ready`, `waiting` and `stopped` |
 * | `handshake.client.connections_lost` | `handshake.protocol` | connections that have ended |
 * | `handshake.client.waiting_calls` | `handshake.protocol` | calls that wait for a connection |
 * | `handshake.client.failed_calls` | `handshake.protocol`, `handshake.client.sent` | calls that have failed with a `TransportError` |
 * | `handshake.client.resent_calls` | `handshake.protocol` | calls that were made again |
 *
 * The handshakes are counted as those of {@link connect} are.
 *
 * **Gotchas**
 *
 * A call that is made again is sent after those that were made meanwhile.
 *
 * A failure of one address that no other try can mend stops the client, whatever the other addresses would have
 * answered, as with {@link connect}. Where a server may say nonsense for a while, `while` can be more patient.
 *
 * **Example** (A server that is restarted)
 *
 * ```ts
 * import { Client, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { SocketServer } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   const server = (version: string) =>
 *     Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(`${version}: ${line}`)) }).pipe(
 *       Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
 *     )
 *   const client = yield* Client.reconnecting({
 *     protocol: Line.protocol,
 *     sockets: [Effect.succeed(network.client)],
 *     schedule: Client.backoff({ base: "10 millis" })
 *   })
 *   const first = yield* client.call("Hello").pipe(Effect.provide(server("1.0")))
 *   // Now there is no server, and then there is another one.
 *   const second = yield* client.call("Hello").pipe(Effect.provide(server("2.0")))
 *   return [first, second]
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => [ '1.0: Hello', '2.0: Hello' ]
 * ```
 *
 * @see {@link backoff} for when it dials
 * @see {@link layerReconnecting} for the same as a layer
 *
 * @category constructors
 * @since 0.1.0
 */
export const reconnecting = <
  T extends Any,
  E,
  R,
  S extends Attempts | undefined = undefined,
  Push extends Transport.Transport.In<T> = never,
  C extends Caller = Of<T, Push>,
  E2 = never,
  R2 = never,
  A = never,
  E3 = never,
  R3 = never,
  E4 = never,
  R4 = never
>(
  options:
    & Shakes<T, E, R>
    & Where<S, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Again<NoInfer<C>, Failures<NoInfer<E | E2 | E3 | E4>>, E4, R4>
): Effect.Effect<
  Reconnecting<Made<C>, Failures<E | E2 | E3 | E4>>,
  never,
  Scope.Scope | Needs<R, S, A> | R2 | R3 | R4
> =>
  // As with `connect`.
  reconnectingTo(options) as Effect.Effect<
    Reconnecting<Made<C>, Failures<E | E2 | E3 | E4>>,
    never,
    Scope.Scope | Needs<R, S, A> | R2 | R3 | R4
  >

/** What the client is has to be what the service is. */
type Suits<Made, C> = [Made] extends [C] ? unknown : never

/**
 * A client that connects again as a layer, under a service of yours.
 *
 * **Details**
 *
 * It is {@link reconnecting}, with the same options. The layer is there at once, whether there is a server or not, and cannot fail:
 * a program that needs a connection before it begins waits for `ready`. When the layer is released the client is
 * closed.
 *
 * The service is a `Reconnecting`, or what that can be used as, such as a `Pipeline.Client`.
 *
 * **Example** (A client as a service)
 *
 * ```ts
 * import { Client, type Pipeline } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { Context, Effect } from "effect"
 *
 * class Echo extends Context.Service<Echo, Pipeline.Client<string, string>>()("app/Echo") {}
 *
 * const EchoLive = Client.layerReconnecting(Echo, {
 *   protocol: Line.protocol,
 *   sockets: [Net.socket({ host: "127.0.0.1", port: 1 })],
 *   waitTimeout: "100 millis"
 * })
 *
 * const program = Effect.flatMap(Echo, (echo) => echo.call("Hello")).pipe(
 *   Effect.provide(EchoLive),
 *   Effect.catchReason("TransportError", "Unavailable", ({ detail, why }) => Effect.succeed(`${why}: ${detail}`))
 * )
 *
 * console.log(await Effect.runPromise(program)) // => waited: none came within 100ms
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerReconnecting = <
  Self,
  I,
  T extends Any,
  E,
  R,
  S extends Attempts | undefined = undefined,
  Push extends Transport.Transport.In<T> = never,
  C extends Caller = Of<T, Push>,
  E2 = never,
  R2 = never,
  A = never,
  E3 = never,
  R3 = never,
  E4 = never,
  R4 = never
>(
  service: Context.Key<Self, I>,
  options:
    & Shakes<T, E, R>
    & Where<S, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Again<NoInfer<C>, Failures<NoInfer<E | E2 | E3 | E4>>, E4, R4>
    & Suits<Reconnecting<NoInfer<C>, Failures<NoInfer<E | E2 | E3 | E4>>>, NoInfer<I>>
): Layer.Layer<Self, never, Exclude<Needs<R, S, A> | R2 | R3 | R4, Scope.Scope>> =>
  // As with `layer`.
  Layer.effect(
    service,
    reconnectingTo(options) as unknown as Effect.Effect<I, never, Scope.Scope | Needs<R, S, A> | R2 | R3 | R4>
  )

/**
 * A client over connections that are shared. `C` is the client of one of them, such as `Pipeline.Client`.
 *
 * **Details**
 *
 * - `call` is that of `C`, on a connection that is free.
 * - `use` has the client of a connection for as long as an effect takes, such as a transaction: alone, unless `concurrency` says
 *   otherwise. What `call` says of failures holds for the `TransportError`s that come out of it.
 * - `stats` is how many connections are in use and free, and how many calls wait.
 * - `awaitEnd` fails when it dials no more: as `Unavailable`, or, when the pool is closed, as `ConnectionClosed` by `local`.
 *
 * A `TransportError` of a call says whether it was `sent`: `no`, or `perhaps`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pooled<out C> extends CallsAgain<C> {
  readonly stats: Effect.Effect<EffectPool.Stats>
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

/**
 * How many connections a pool has, who gets one, and when one is let go.
 *
 * **Gotchas**
 *
 * The compiler reads options in their order: `client` has to stand before `check`, `onConnect` and `idempotent`, which get what
 * it makes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sharing<in out C, in Failed, out E = never, out R = never> extends Connects<C, Failed, E, R> {
  /** How many connections there are also when nobody needs them. Default: 0. */
  readonly min?: number | undefined
  /** How many connections there are at most. Default: 10. */
  readonly max?: number | undefined
  /**
   * How many uses share a connection at once. Default: 1, so that each has its own. More than one is for calls that do not
   * depend on each other, such as calls by id.
   */
  readonly concurrency?: number | undefined
  /**
   * How long a connection beyond `min` is kept while nobody uses it; it may be up to twice as long. Default: 1 minute.
   */
  readonly timeToLive?: Duration.Input | undefined
  /**
   * Whether a connection still works: if this fails, or takes longer than `checkTimeout`, another one is taken.
   * Default: connections are not checked.
   */
  readonly check?: ((client: C) => Effect.Effect<unknown, unknown, R>) | undefined
  /** How long after its last success a connection is checked before it is used. Default: 1 second. */
  readonly checkAfter?: Duration.Input | undefined
  /** How long a check may take. Default: 1 second. */
  readonly checkTimeout?: Duration.Input | undefined
  /**
   * When all addresses are dialled again after a failure that another try can mend. By default the first failure stands, and fails
   * the calls that wait.
   */
  readonly retry?: Schedule.Schedule<unknown, Failed> | undefined
  /**
   * How long calls that have begun may still take when the scope closes, before their connections are closed. Default:
   * 10 seconds.
   */
  readonly drainTimeout?: Duration.Input | undefined
}

const poolTo = Effect.fnUntraced(function*<
  T extends Any,
  E,
  R,
  Push extends Transport.Transport.In<T>,
  C extends Caller,
  E2,
  R2,
  A,
  E3,
  R3,
  E4,
  R4
>(
  options:
    & Shakes<T, E, R>
    & Where<Attempts | undefined, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Sharing<C, Failures<E | E2 | E3 | E4>, E4, R4>
): Effect.fn.Return<Pooled<C>, never, Scope.Scope | Socket.Socket | R | R2 | R3 | R4> {
  const { calls, options: shared, provided } = yield* connecting<T, E, R, Push, C, E2, R2, A, E3, R3, E4, R4>(options)
  const { check } = options
  const { use, ...rest } = yield* makePool<C, HandshakeError | E | E2 | E3 | E4>({
    ...shared,
    schedule: options.retry ?? backoff(),
    isTriedAgain: options.retry !== undefined,
    min: options.min ?? 0,
    max: options.max ?? 10,
    concurrency: options.concurrency ?? 1,
    timeToLive: options.timeToLive ?? "1 minute",
    check: check === undefined ? undefined : (client) => Effect.scoped(provided(check(client))),
    checkAfter: Duration.fromInputUnsafe(options.checkAfter ?? "1 second"),
    checkTimeout: Duration.fromInputUnsafe(options.checkTimeout ?? "1 second"),
    drainTimeout: options.drainTimeout ?? "10 seconds"
  })
  return { ...rest, ...calls(use) }
})

/**
 * A client over up to `max` connections, which are dialled when they are needed, and shared.
 *
 * **When to use**
 *
 * Use where a connection has room for one conversation at a time only, as with the transactions of a database, or where
 * one connection is not enough. Where all calls may go over one connection, {@link reconnecting} is the simpler one.
 *
 * **Details**
 *
 * It is there at once; `min` connections are dialled ahead. A call takes
 * a connection that is free, the one that was used last first; if none is, one more is dialled, up to `max`, and then the call waits, up
 * to `waitTimeout` and among at most `maxWaiting`, in the order in which calls were made. After that it fails as `Unavailable`.
 *
 * A connection is dialled as {@link reconnecting} does it: each round goes through `sockets`, or what `addresses` gives, in order until one
 * accepts. A peer that refuses and says when to come back is left alone until then: where that is true of all, calls wait. Any other
 * failure that another try can mend fails those that wait for a connection (`failed`, with what has gone wrong as its `cause`), or, with
 * `retry`, is tried again before that. After a failure that no other try can mend, such as a wrong password, it dials
 * no more: calls go on over the connections that there are, and those that find none fail as `Unavailable` (`stopped`).
 *
 * A call whose connection ends before it was sent is made again on another one, up to `maxResends` times. One that perhaps was sent is
 * made again only where it is `idempotent`, and fails otherwise with how the connection ended.
 *
 * A connection that has ended is given to nobody. One on which a use has failed with a `TransportError`, such as `TimedOut`, is closed
 * when those who share it are done, unless that was a fault of this side's, such as a request that cannot be encoded.
 *
 * One that was idle for `checkAfter` is asked by `check` first. A failure of `check` is not seen by the call, which
 * takes the next connection.
 *
 * An interrupted call that waits leaves nothing behind, and one that has begun is given up as with the client of one connection.
 * When the scope closes, calls that wait and new ones fail as `ConnectionClosed` by `local`, and those that have begun have `drainTimeout` to
 * end; then their connections are closed.
 *
 * | metric | attributes | what it is |
 * |---|---|---|
 * | `handshake.client.pooled_connections` | `handshake.protocol`, `handshake.client.connection_state` | connections that are `used` and `idle` |
 * | `handshake.client.connections_lost` | `handshake.protocol` | connections that have ended by themselves |
 * | `handshake.client.waiting_calls` | `handshake.protocol` | calls that wait for a connection |
 * | `handshake.client.failed_calls` | `handshake.protocol`, `handshake.client.sent` | calls that have failed with a `TransportError` |
 * | `handshake.client.resent_calls` | `handshake.protocol` | calls that were made again |
 *
 * **Gotchas**
 *
 * What a use leaves behind on its connection, such as an open transaction, is there for the next use. A use that can be
 * interrupted in the middle has to take that back itself.
 *
 * A connection of the `min` that cannot be made is tried again with the next call, and not by itself.
 *
 * **Example** (Ten calls over two connections)
 *
 * ```ts
 * import { Client, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { SocketServer } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   yield* Layer.build(
 *     Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(`${line}!`)) }).pipe(
 *       Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
 *     )
 *   )
 *   const pool = yield* Client.pool({
 *     protocol: Line.protocol,
 *     sockets: [Effect.succeed(network.client)],
 *     max: 2,
 *     check: ({ call }) => call("ping")
 *   })
 *   const answers = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], (n) => pool.call(`${n}`), {
 *     concurrency: "unbounded"
 *   })
 *   const { idle } = yield* pool.stats
 *   return `${answers.join(" ")} over ${idle} connections`
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program)))
 * // => 1! 2! 3! 4! 5! 6! 7! 8! 9! 10! over 2 connections
 * ```
 *
 * @see {@link layerPool} for the same as a layer
 *
 * @category constructors
 * @since 0.1.0
 */
export const pool = <
  T extends Any,
  E,
  R,
  S extends Attempts | undefined = undefined,
  Push extends Transport.Transport.In<T> = never,
  C extends Caller = Of<T, Push>,
  E2 = never,
  R2 = never,
  A = never,
  E3 = never,
  R3 = never,
  E4 = never,
  R4 = never
>(
  options:
    & Shakes<T, E, R>
    & Where<S, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Sharing<NoInfer<C>, Failures<NoInfer<E | E2 | E3 | E4>>, E4, R4>
): Effect.Effect<Pooled<Made<C>>, never, Scope.Scope | Needs<R, S, A> | R2 | R3 | R4> =>
  // As with `connect`.
  poolTo(options) as Effect.Effect<Pooled<Made<C>>, never, Scope.Scope | Needs<R, S, A> | R2 | R3 | R4>

/**
 * A client over connections that are shared as a layer, under a service of yours.
 *
 * **Details**
 *
 * It is {@link pool}, with the same options. The layer is there at once and cannot fail. When it is released, the calls that
 * have begun have `drainTimeout` to end.
 *
 * The service is a `Pooled`, or what that can be used as, such as a `Pipeline.Client`.
 *
 * **Example** (A client as a service)
 *
 * ```ts
 * import { Client, type Pipeline } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { Context, Effect } from "effect"
 *
 * class Echo extends Context.Service<Echo, Pipeline.Client<string, string>>()("app/Echo") {}
 *
 * const EchoLive = Client.layerPool(Echo, {
 *   protocol: Line.protocol,
 *   sockets: [Net.socket({ host: "127.0.0.1", port: 1 })]
 * })
 *
 * const program = Effect.flatMap(Echo, (echo) => echo.call("Hello")).pipe(
 *   Effect.provide(EchoLive),
 *   Effect.catchReason("TransportError", "Unavailable", ({ detail, why }) => Effect.succeed(`${why}: ${detail}`))
 * )
 *
 * console.log(await Effect.runPromise(program)) // => failed: none could be made
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerPool = <
  Self,
  I,
  T extends Any,
  E,
  R,
  S extends Attempts | undefined = undefined,
  Push extends Transport.Transport.In<T> = never,
  C extends Caller = Of<T, Push>,
  E2 = never,
  R2 = never,
  A = never,
  E3 = never,
  R3 = never,
  E4 = never,
  R4 = never
>(
  service: Context.Key<Self, I>,
  options:
    & Shakes<T, E, R>
    & Where<S, A, E3, R3>
    & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
    & Sharing<NoInfer<C>, Failures<NoInfer<E | E2 | E3 | E4>>, E4, R4>
    & Suits<Pooled<NoInfer<C>>, NoInfer<I>>
): Layer.Layer<Self, never, Exclude<Needs<R, S, A> | R2 | R3 | R4, Scope.Scope>> =>
  // As with `layer`.
  Layer.effect(
    service,
    poolTo(options) as unknown as Effect.Effect<I, never, Scope.Scope | Needs<R, S, A> | R2 | R3 | R4>
  )
