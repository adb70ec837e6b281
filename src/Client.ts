/**
 * The scoped client runtime: dial, shake hands, call, try again.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Handshake from "./Handshake.ts"
import { type HandshakeError, isHandshakeError } from "./HandshakeError.ts"
import * as Connection from "./internal/connection/connection.ts"
import type { CallOptions } from "./internal/dispatch/callOptions.ts"
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
 * with, and its `peer` tells who is at the other end. `awaitEnd` fails when the connection has ended, with how.
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
  readonly handshake: Effect.Effect<T, E, R>
  readonly protocol?: undefined
}

interface ByProtocol<out T, out E, out R> {
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
  /** What is done with the frames that are no responses. Default: every frame is one. */
  readonly unsolicited?: Pipeline.Unsolicited<Transport.Transport.In<T>, Push, R> | undefined
  /** How the peer is asked whether it is still there. Default: it is not. */
  readonly keepAlive?: Pipeline.KeepAlive<Transport.Transport.Out<T>> | undefined
}

type Attempts = NonEmptyReadonlyArray<Effect.Effect<Socket.Socket>>

interface ToSockets<out S> {
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
  Effect.onExit(effect, (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))

const connectTo = Effect.fnUntraced(function*<T extends Any, E, R, C, E2, R2, Push extends Transport.Transport.In<T>>(
  options: Options<T, E, R> & Sockets & (Makes<NoInfer<T>, C, E2, R2> | Calls<NoInfer<T>, Push, R2>)
): Effect.fn.Return<C | Of<T, Push>, HandshakeError | E | E2, Scope.Scope | Socket.Socket | R | R2> {
  const telemetry = Telemetry.make("client", yield* Effect.context<never>())
  const handshake = options.protocol === undefined ? options.handshake : options.protocol.client
  const name = options.protocol?.name

  // Each attempt has a scope of its own, which ends with it if it fails and with the client if it succeeds.
  const attempt = Effect.fnUntraced(function*(socket: Socket.Socket) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const state: Telemetry.Observed = { progress: Progress.make(name), connection: undefined, span: undefined }
    const shaken = Effect.gen(function*() {
      const connection = yield* Handshake.step(Connection.open(socket), "connect")
      yield* Effect.acquireRelease(
        Effect.sync(() => telemetry.connections(1)),
        () => Effect.sync(() => telemetry.connections(-1))
      )
      state.connection = connection
      telemetry.met(state)
      return yield* Effect.provideService(handshake, Socket.Socket, connection.socket)
    }).pipe(
      Handshake.deadline(options.handshakeTimeout ?? "10 seconds"),
      Effect.provideService(Scope.Scope, scope)
    )
    const observed = Effect.acquireUseRelease(
      Effect.sync(() => telemetry.pending(1)),
      () => telemetry.observed(state, shaken),
      () => Effect.sync(() => telemetry.pending(-1))
    )
    const transport = yield* closedUnlessDone(Effect.flatten(observed), scope)
    return { transport, scope }
  })

  const attempts: NonEmptyReadonlyArray<Effect.Effect<Socket.Socket, never, Socket.Socket>> = options.sockets ??
    [Socket.Socket]
  let connected = Effect.flatMap(attempts[0], attempt)
  for (const next of attempts.slice(1)) {
    connected = Effect.catchIf(connected, isRetryable, () => Effect.flatMap(next, attempt))
  }
  const { scope, transport } = yield* options.retry === undefined
    ? connected
    : Effect.retry(connected, { schedule: options.retry, while: isRetryable })
  const make: Effect.Effect<C | Of<T, Push>, E2, R2 | Scope.Scope> = options.client === undefined
    ? Effect.map(
      Pipeline.client(transport, options),
      (calls) => ({ ...calls, transport })
    )
    : options.client(transport)
  return yield* closedUnlessDone(Scope.provide(make, scope), scope)
})

/**
 * Dials, shakes hands, and makes calls over the connection until the scope closes.
 *
 * **Details**
 *
 * Calls are answered in order, as `Pipeline.client` makes them, with the `transport` beside them, and frames that nobody asks for
 * are what `unsolicited` says, as there. For a protocol that is
 * spoken otherwise, `client` makes something else of the transport, and that is what `connect` returns.
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
 * It is one connection. When that has ended nothing connects again, and every call fails with how it ended; `awaitEnd` tells
 * when to make a new client.
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
 * lives until the layer is released. With `client` the service is what that makes.
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
