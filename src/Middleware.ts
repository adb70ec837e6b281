/**
 * What is done with the frames of a transport below the service: pings answered, dead and idle connections ended, frames
 * logged.
 *
 * Each takes a transport and gives it back with something added, for as long as the scope is open, so that they stand
 * between a handshake and what serves its transport, and compose with `pipe`. What a middleware handles never reaches
 * the service, however that takes its frames: by `receive`, `run`, `incoming`, or as a `Pipeline`.
 *
 * A transport with a middleware is read from even while the service takes nothing: up to `readAhead` frames wait for
 * the service. When that many wait, nothing more is read, and time that is counted against the peer stands still.
 *
 * For what is done with requests and responses, see `Service`.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Excerpt from "./Excerpt.ts"
import * as KeepAlive from "./internal/connection/keepAlive.ts"
import * as Internal from "./internal/connection/middleware.ts"
import { implOf } from "./internal/connection/transport.ts"
import * as Peer from "./Peer.ts"
import * as Transport from "./Transport.ts"
import { TimedOut, TransportError } from "./TransportError.ts"

type Any = Transport.Transport.Any
type In<T> = Transport.Transport.In<T>
type Out<T> = Transport.Transport.Out<T>
type Installed<T> = Effect.Effect<T, never, Scope.Scope>

const isDataFirst = (args: IArguments): boolean => Transport.isTransport(args[0])

/**
 * The bounds of a middleware that answers. Where several are on one transport, the smallest hold.
 *
 * @category models
 * @since 0.1.0
 */
export type Bounds = Internal.Bounds

/**
 * What a middleware of your own does.
 *
 * **Details**
 *
 * `decide` is asked about each frame, as that of {@link intercept} is. `watch` is called at the beginning, at the time
 * that it last returned, and after `look`.
 *
 * @see {@link make}
 *
 * @category models
 * @since 0.1.0
 */
export type Part<In, Out> = Internal.Part<In, Out>

/**
 * What a middleware of your own knows of its connection, and can do with it.
 *
 * **Details**
 *
 * Times are in milliseconds of the clock. None of it waits: what is sent goes out as soon as it can, and a frame that
 * cannot be encoded or written ends the connection with that error.
 *
 * @see {@link make}
 *
 * @category models
 * @since 0.1.0
 */
export type Link<Out> = Internal.Link<Out>

/**
 * A middleware of your own: it handles frames, looks at the time, and may say something and end the connection. All others are
 * made of it.
 *
 * **When to use**
 *
 * Use for what neither {@link intercept} nor {@link keepAlive} or {@link idleTimeout} can do. What they promise of the order of
 * answers, of what is bounded and of the end of the scope is true here too.
 *
 * **Details**
 *
 * It runs on the connection's own events, so nothing in it may throw or wait. There is one timer for all connections, however
 * many watch it.
 *
 * **Example** (Who does not log in)
 *
 * ```ts
 * import { Codec, Middleware, Transport, TransportError } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Duration, Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const loginWithin = (after: Duration.Duration) =>
 *   Middleware.make<Transport.Transport<string, string>>((link) => {
 *     const until = link.heardAt + Duration.toMillis(after)
 *     let isIn = false
 *     return {
 *       decide: (line) => {
 *         isIn ||= line.startsWith("LOGIN ")
 *         return undefined
 *       },
 *       watch: (now) => {
 *         if (isIn || link.hasEnded) return Infinity
 *         if (now < until) return until
 *         link.farewell("BYE too slow")
 *         const reason = new TransportError.TimedOut({ waitedFor: "frame", after })
 *         link.giveUp(new TransportError.TransportError({ reason }), false)
 *         return Infinity
 *       }
 *     }
 *   })
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const peer = yield* Effect.provideService(lines, Socket.Socket, there)
 *   yield* lines.pipe(
 *     Effect.flatMap(loginWithin(Duration.millis(20))),
 *     Effect.provideService(Socket.Socket, here)
 *   )
 *   return yield* peer.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => BYE too slow
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: {
  <T extends Any>(make: (link: Link<Out<T>>) => Part<In<T>, Out<T>>): (self: T) => Installed<T>
  <T extends Any>(self: T, make: NoInfer<(link: Link<Out<T>>) => Part<In<T>, Out<T>>>): Installed<T>
} = dual(2, Internal.install)

/**
 * Handles frames below the service, with a function that decides about each.
 *
 * **When to use**
 *
 * Use for what a protocol says besides its requests: no-operations, notices, settings. For pings there is
 * {@link pingPong}.
 *
 * **Details**
 *
 * `decide` is asked about each frame: `undefined` lets it pass, and an array handles it: its frames are the answer,
 * none if it is empty. Answers are sent at once, in the order of the frames and ahead of responses that are not ready;
 * those to frames that came together travel in one write. A response never overtakes the answer to a frame that was
 * taken before its request. Several middlewares are asked in the order in which they were added.
 *
 * Frames are answered while the service takes frames or waits for some. While it does not, such as a `Pipeline` that
 * has all the requests it may have, they are answered for as long as fewer than `readAhead` frames wait for it. An
 * answer that cannot be encoded or written ends the connection with that error.
 *
 * When the scope closes, what was answered is written, for at most a second.
 *
 * **Gotchas**
 *
 * `decide` may be asked about a frame more than once, and must not throw: where it does, the connection dies.
 *
 * Frames are looked at ahead of the service. `Transport.switchCodec` finds their bytes again, and ends the middleware;
 * where one of them was handled already, it fails as `UnexpectedFrame`.
 *
 * **Example** (Comments that no service sees)
 *
 * ```ts
 * import { Codec, Middleware, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const peer = yield* lines.pipe(Effect.provideService(Socket.Socket, there))
 *   const transport = yield* lines.pipe(
 *     Effect.flatMap(Middleware.intercept((line) => line.startsWith("#") ? [] : undefined)),
 *     Effect.provideService(Socket.Socket, here)
 *   )
 *   yield* peer.sendAll(["# a comment", "Hello"])
 *   return yield* transport.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => Hello
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const intercept: {
  <T extends Any>(
    decide: (frame: In<T>) => ReadonlyArray<Out<T>> | undefined,
    options?: Bounds
  ): (self: T) => Installed<T>
  <T extends Any>(
    self: T,
    decide: NoInfer<(frame: In<T>) => ReadonlyArray<Out<T>> | undefined>,
    options?: Bounds
  ): Installed<T>
} = dual(
  isDataFirst,
  <T extends Any>(
    self: T,
    decide: (frame: In<T>) => ReadonlyArray<Out<T>> | undefined,
    options?: Bounds
  ): Installed<T> =>
    make(self, () => ({
      decide,
      maxUnsent: options?.maxUnsent ?? Internal.defaultMaxUnsent,
      readAhead: options?.readAhead ?? Internal.defaultReadAhead
    }))
)

/**
 * How pings are answered.
 *
 * @category models
 * @since 0.1.0
 */
export interface PingPongOptions<T> extends Bounds {
  /** What a frame is answered with, or `undefined` where it is no ping. */
  readonly pong: (frame: In<T>) => Out<T> | undefined
}

/**
 * Answers the peer's pings.
 *
 * **Details**
 *
 * Pings are answered before and between
 * requests, and while requests are served; see {@link intercept}, of which this is made, for when exactly that is, and
 * for the bounds: a peer that pings and never reads has at most `maxUnsent` pongs waiting for it, 64 by default, and is
 * then read from no more.
 *
 * **Example** (A line server that answers pings)
 *
 * ```ts
 * import { Client, Middleware, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { Socket, SocketServer } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   yield* Layer.build(
 *     Server.layer({
 *       protocol: Line.protocol,
 *       serve: (transport) =>
 *         transport.pipe(
 *           Middleware.pingPong({ pong: (line) => line === "PING" ? "PONG" : undefined }),
 *           Effect.flatMap(Pipeline.serve((line) => Effect.succeed(`${line}!`)))
 *         )
 *     }).pipe(Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server)))
 *   )
 *   const client = yield* Client.connect({ protocol: Line.protocol }).pipe(
 *     Effect.provideService(Socket.Socket, network.client)
 *   )
 *   return [yield* client.call("Hello"), yield* client.call("PING")]
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => [ 'Hello!', 'PONG' ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const pingPong: {
  <T extends Any>(options: PingPongOptions<T>): (self: T) => Installed<T>
  <T extends Any>(self: T, options: NoInfer<PingPongOptions<T>>): Installed<T>
} = dual(
  2,
  <T extends Any>(self: T, options: PingPongOptions<T>): Installed<T> =>
    intercept(self, (frame) => {
      const pong = options.pong(frame)
      return pong === undefined ? undefined : [pong]
    }, options)
)

/**
 * How a connection is kept alive.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeepAliveOptions<T> extends KeepAlive.Times {
  /** What is sent to ask whether the peer is still there. */
  readonly ping: Out<T>
  /** Whether a frame is the answer to a ping. No pong reaches the service, not even one that was not asked for. */
  readonly isPong: (frame: In<T>) => boolean
}

/**
 * Pings a peer from which nothing was heard for some time, and ends the connection if it stays silent.
 *
 * **Details**
 *
 * Whatever comes from a peer proves that it is there, be it a pong or a part of a long frame: on a connection that is
 * in use no ping is sent. After `interval` of silence one ping is sent; after `timeout` more the connection ends as
 * `TimedOut`, for whoever receives and whoever sends, also for one that waits for the peer to take something. When the
 * peer has ended its own side, or the scope closes, no ping is sent any more.
 *
 * While what was written to it is on its way, and the peer takes some of it at least every `timeout`, it is there too: it is asked
 * when it has taken all of that and was silent for `interval` since.
 *
 * A server that counts what its clients send, as one of MQTT does, wants to hear from a client that only receives, too: with
 * `sendInterval` a ping is sent whenever nothing else was for that long.
 *
 * A peer that is not listened to, because `readAhead` frames wait for the service, is not given up, and is pinged for the sake of
 * `sendInterval` alone.
 *
 * **Gotchas**
 *
 * What has left this process may wait in the buffers of both systems, which hold some megabytes, and Node does not tell how much.
 * `interval` and `timeout` together have to be longer than a slow peer takes for that. The system of a peer that reads slowly tells of
 * room in large steps, too: `timeout` has to be longer than one takes, which was 1.5 seconds where a peer read 1 MB a second.
 *
 * A pong that a call has asked for is dropped like any other: where requests are answered in order and a ping is one of them,
 * use `keepAlive` of `Pipeline.client`, whose ping is a call like any other.
 *
 * **Example** (A peer that is not there any more)
 *
 * ```ts
 * import { Codec, Middleware, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const transport = yield* Transport.framed(Codec.lines()).pipe(
 *     Effect.flatMap(Middleware.keepAlive({
 *       ping: "PING",
 *       isPong: (line) => line === "PONG",
 *       interval: "20 millis",
 *       timeout: "10 millis"
 *     })),
 *     Effect.provideService(Socket.Socket, here)
 *   )
 *   return yield* transport.receive
 * }).pipe(
 *   Effect.catchReason("TransportError", "TimedOut", (reason) => Effect.succeed(reason.message))
 * )
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => the peer did not answer a ping within 10ms
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const keepAlive: {
  <T extends Any>(options: KeepAliveOptions<T>): (self: T) => Installed<T>
  <T extends Any>(self: T, options: NoInfer<KeepAliveOptions<T>>): Installed<T>
} = dual(
  2,
  <T extends Any>(self: T, options: KeepAliveOptions<T>): Installed<T> =>
    make(self, (link) => ({
      decide: (frame) => options.isPong(frame) ? [] : undefined,
      ...KeepAlive.keepAlive(link, options, () => {
        link.say(options.ping)
        return true
      })
    }))
)

/**
 * What counts as use of a connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface IdleOptions {
  /** Frames that are received, or also what is sent. Default: `both`. */
  readonly counts?: "received" | "both" | undefined
  /** Whether frames that a middleware handles, such as pings and pongs, count as received. Default: false. */
  readonly handled?: boolean | undefined
}

/**
 * Ends a connection that was not used for some time.
 *
 * **Details**
 *
 * Whole frames count, so that a peer gains nothing by dribbling bytes: those that are received for the service, and
 * those that the service sends. After `duration` without any, the connection ends as `TimedOut` for whoever receives,
 * and for whoever waits to send to a peer that takes nothing. Apart from that it can still be sent to, for a last word;
 * it is closed with its scope. While frames wait for the service, and when the peer has ended its own side, no time is
 * counted.
 *
 * **Gotchas**
 *
 * A request that is being served does not count as use of the connection. Choose a duration longer than the longest
 * request, or bound requests with `Service.timeout`.
 *
 * **Example** (Nobody says anything)
 *
 * ```ts
 * import { Codec, Middleware, Pipeline, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const transport = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, here))
 *   yield* transport.pipe(
 *     Middleware.idleTimeout("20 millis"),
 *     Effect.flatMap(Pipeline.serve((line: string) => Effect.succeed(line)))
 *   )
 *   return "the peer has left"
 * }).pipe(
 *   Effect.catchReason("TransportError", "TimedOut", (reason) => Effect.succeed(reason.message))
 * )
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => the connection was idle for 20ms
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const idleTimeout: {
  (duration: Duration.Input, options?: IdleOptions): <T extends Any>(self: T) => Installed<T>
  <T extends Any>(self: T, duration: Duration.Input, options?: IdleOptions): Installed<T>
} = dual(
  isDataFirst,
  <T extends Any>(self: T, duration: Duration.Input, options?: IdleOptions): Installed<T> => {
    const after = Duration.fromInputUnsafe(duration)
    const millis = Duration.toMillis(after)
    return make(self, (link) => ({
      watch: (now) => {
        if (link.hasEnded) return Infinity
        const received = options?.handled === true ? link.takenAt : link.passedAt
        const used = options?.counts === "received" ? received : Math.max(received, link.sentAt)
        // A service that does not take what is there is the one that is slow.
        const due = (link.hasWaiting ? now : used) + millis
        if (now < due) return due
        link.giveUp(new TransportError({ reason: new TimedOut({ waitedFor: "frame", after }) }), false)
        return Infinity
      }
    }))
  }
)

/**
 * How frames are logged.
 *
 * @category models
 * @since 0.1.0
 */
export interface LogOptions {
  /** Default: `Debug`. */
  readonly level?: LogLevel.Severity | undefined
}

/**
 * An observer that logs the frames of the transports it is given to, or `undefined` where its level is not logged.
 *
 * **When to use**
 *
 * Use with `Transport.CurrentObserver` to see what a handshake says; {@link logFrames} begins behind it.
 *
 * **Details**
 *
 * Each frame is one message, `received` or `sent` and a printable excerpt that shows no secrets, as everything that
 * observers are told, with the annotations `bytes` and, where it is known, `peer`. It is logged where the observer was
 * made: with its loggers, annotations and spans.
 *
 * **Example** (Log a handshake)
 *
 * ```ts
 * import { Middleware, Transport } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { Effect } from "effect"
 *
 * const server = Effect.flatMap(Middleware.frameLogger(), (logger) =>
 *   Effect.provideService(Line.server, Transport.CurrentObserver, logger))
 * ```
 *
 * @category observers
 * @since 0.1.0
 */
export const frameLogger = (options?: LogOptions): Effect.Effect<Transport.Observer | undefined> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const level = options?.level ?? "Debug"
    if (LogLevel.isLessThan(level, Context.get(context, References.MinimumLogLevel))) return Effect.succeed(undefined)
    const run = Effect.runForkWith(context)
    const log = Effect.logWithLevel(level)
    let peer: string | undefined
    return Effect.succeed((event: Transport.Event) => {
      if (event._tag === "Connected" || event._tag === "Introduced") {
        peer = event.peer.remote === undefined ? undefined : Peer.format(event.peer)
      }
      if (event._tag !== "Received" && event._tag !== "Sent") return
      // A description of the user's own is bounded by nothing.
      const message = `${event._tag === "Received" ? "received" : "sent"} ${Excerpt.ofText(event.frame)}`
      run(Effect.annotateLogs(log(message), { bytes: event.length, ...(peer === undefined ? undefined : { peer }) }))
    })
  })

/**
 * Logs every frame from here on, in and out.
 *
 * **Details**
 *
 * See {@link frameLogger} for what is logged. Where the level is not logged it costs nothing. Frames that other
 * middleware handles or sends are logged as well. It outlives `Transport.switchCodec`.
 *
 * **Example** (See what is said)
 *
 * ```ts
 * import { Codec, Middleware, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Logger, References } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const transport = yield* Transport.framed(Codec.lines()).pipe(
 *     Effect.flatMap(Middleware.logFrames()),
 *     Effect.provideService(Socket.Socket, here)
 *   )
 *   yield* transport.send("Hello")
 * }).pipe(
 *   Effect.provide(Logger.layer([Logger.make(({ message }) => console.log(message))])),
 *   Effect.provideService(References.MinimumLogLevel, "Debug")
 * )
 *
 * await Effect.runPromise(Effect.scoped(program))
 * // => [ 'sent "Hello"' ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const logFrames = (options?: LogOptions) => <T extends Any>(self: T): Installed<T> =>
  Effect.flatMap(frameLogger(options), (logger) => {
    if (logger === undefined) return Effect.succeed(self)
    const impl = implOf(self)
    logger({ _tag: "Connected", peer: impl.connection.peer })
    return Effect.as(
      Effect.acquireRelease(
        Effect.sync(() => {
          let { observer } = impl
          const both = (event: Transport.Event) => {
            if (observer?.(event) === Transport.unwatch) observer = undefined
            logger(event)
          }
          impl.observer = both
          return { both, before: () => observer }
        }),
        ({ before, both }) =>
          Effect.sync(() => {
            // Whoever has come since then calls this one.
            if (impl.observer === both) impl.observer = before()
          })
      ),
      self
    )
  })
