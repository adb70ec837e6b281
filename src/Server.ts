/**
 * The scoped server runtime: accept, admit, shake hands, serve, drain.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as NetAddress from "effect/net/NetAddress"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import type * as Handshake from "./Handshake.ts"
import { HandshakeError, isHandshakeError, reasonOf, Rejected, Timeout } from "./HandshakeError.ts"
import * as Connection from "./internal/connection/connection.ts"
import * as NetSocket from "./internal/connection/netSocket.ts"
import { AcceptTypeId, isDirect } from "./internal/connection/source.ts"
import * as Progress from "./internal/handshake/progress.ts"
import * as Telemetry from "./internal/handshake/telemetry.ts"
import { type Member, Roster } from "./internal/server/roster.ts"
import * as Peer from "./Peer.ts"
import type * as Transport from "./Transport.ts"
import { isTransportError } from "./TransportError.ts"

/**
 * What happens to the connections of a server.
 *
 * **Details**
 *
 * A connection is `Accepted` and then `Ready`, `Refused` or `Failed`; each that was accepted is `Closed` in the end.
 *
 * - `Refused`: the peer was told no, for what it said or for want of room. A connection that is over the limits is
 *   refused without being accepted.
 * - `Failed`: the handshake failed and the peer was told nothing.
 * - `reason` is the tag of the `HandshakeError`'s reason, or `error` where the handshake failed with an error of its own.
 * - `Closed` carries the error with which the handshake or the service failed, or `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "Accepted"; readonly id: number; readonly peer: Peer.Peer }
  | { readonly _tag: "Ready"; readonly id: number; readonly peer: Peer.Peer }
  | {
    readonly _tag: "Refused"
    readonly id: number
    readonly peer: Peer.Peer
    readonly reason: string
    readonly error: unknown
  }
  | {
    readonly _tag: "Failed"
    readonly id: number
    readonly peer: Peer.Peer
    readonly reason: string
    readonly error: unknown
  }
  | { readonly _tag: "Closed"; readonly id: number; readonly peer: Peer.Peer; readonly error: unknown }

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
 * - `drain`: stops taking connections and requests, lets what was taken be answered, for at most `drainTimeout`, then
 *   closes what is left. To call it twice is harmless, and once begun it goes on, also where its caller is interrupted. A
 *   handler that waits for it is closed in the end, like all that takes too long. The end of the server's scope does the
 *   same.
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
 * The limits of a server; each has a default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  /** From accept to ready, absolute. Default: 10 seconds. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** Connections in their handshake and in service. Default: 16,384. */
  readonly maxConnections?: number | undefined
  /** Connections in their handshake. Default: 1,024. */
  readonly maxPendingHandshakes?: number | undefined
  /** How long a drain lets connections finish what they have taken. Default: 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * What a server does with its connections: a `protocol`, or a `handshake` alone, and how what is behind it is served.
 *
 * **Details**
 *
 * `serve` gets the transport of each connection that has become ready, and the connection is closed when it ends. How a peer is
 * turned away, the handshake brings along: see `Handshake.withRefusal`, and `refuse` of `Protocol.make`. Where it has no words the
 * connection is just closed. A `protocol` gives its name to spans that begin before the handshake does.
 *
 * @category models
 * @since 0.1.0
 */
export type Options<T, E, R, E2, R2> =
  & Limits
  // The handshake says what the transport is; a service that does not fit it is the one that is wrong.
  & { readonly serve: (transport: NoInfer<T>) => Effect.Effect<unknown, E2, R2> }
  & (
    | {
      readonly handshake: Effect.Effect<T, E, R>
      readonly protocol?: undefined
    }
    | {
      readonly protocol: {
        readonly name: string
        readonly server: Effect.Effect<T, E, R>
      }
    }
  )

type Services<R, R2> = Exclude<Exclude<R, Socket.Socket>, Scope.Scope> | Exclude<R2, Scope.Scope>

/** How long a peer may take to hear that it is turned away. */
const refusalTime = Duration.seconds(2)

/** How many peers are told at once that they are turned away. */
const maxRefusing = 1024

const saying: Record<Handshake.Refusal, string> = {
  capacity: "at capacity",
  draining: "shutting down",
  deadline: "too slow"
}

/** What is known of the handshake of a connection that is served. */
const served = Progress.make()

/** A connection that was taken, be it admitted or refused. */
interface Taken extends Member {
  /** Does what is to be done for it now. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** Called when it is gone. */
  onGone: (() => void) | undefined
}

/**
 * | phase | from | a deadline or a drain |
 * |---|---|---|
 * | handshake | accept | cuts it off; the peer is told why |
 * | service | the handshake is done | takes no further request, in a drain |
 * | leaving | its fiber has ended | lets it say its last words |
 */
type Phase = "handshake" | "service" | "leaving"

/** A connection that was admitted, from accept to close. */
interface Admitted extends Taken {
  readonly id: number
  /** When it was accepted, in milliseconds of the clock. */
  readonly accepted: number
  readonly scope: Scope.Closeable
  progress: Progress.Progress
  phase: Phase
  /** Once it is open. */
  connection: Connection.Connection | undefined
  /** Whether the scope closes it. */
  isScoped: boolean
  span: Tracer.Span | undefined
  /** Why its handshake was cut off. */
  cutFor: Handshake.Refusal | undefined
}

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
  R2 = never
>(
  options: Options<T, E, R, E2, R2>
): Effect.fn.Return<
  Server["Service"],
  never,
  SocketServer.SocketServer | Scope.Scope | Services<R, R2>
> {
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const socketServer = yield* SocketServer.SocketServer
  const context = yield* Effect.context<never>()
  const telemetry = Telemetry.make("server", context)
  const subscribers = new Set<Queue.Queue<Event, Cause.Done>>()
  const drained = yield* Deferred.make<void>()
  const unscoped = Context.omit(Scope.Scope)(context)
  const fork = Effect.runForkWith(unscoped)

  const handshake = options.protocol === undefined ? options.handshake : options.protocol.server
  const name = options.protocol?.name
  const handshakeTimeout = Duration.fromInputUnsafe(options.handshakeTimeout ?? "10 seconds")
  const drainTimeout = Duration.fromInputUnsafe(options.drainTimeout ?? "10 seconds")
  const maxConnections = options.maxConnections ?? 16_384
  const maxPending = options.maxPendingHandshakes ?? 1024

  const admitted = new Roster<Admitted>()
  const refused = new Roster<Taken>()
  let pending = 0
  let lastId = 0
  let draining = false
  // Set while a drain waits for the last connection.
  let onIdle: (() => void) | undefined

  const isIdle = () => admitted.size === 0 && refused.size === 0
  const released = () => {
    if (isIdle()) onIdle?.()
  }
  const emit = (event: Event): void => {
    for (const subscriber of subscribers) Queue.offerUnsafe(subscriber, event)
  }

  // Says no on a connection, in the words of the handshake where it has some, and never for longer than `refusalTime`.
  const turnAway = (connection: Connection.Connection, words: Progress.Words | undefined): Effect.Effect<void> =>
    words === undefined || connection.refused
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(Effect.exit(words), refusalTime))

  const rejection = (protocol: string, step: string, why: Handshake.Refusal) =>
    new HandshakeError({
      protocol,
      step,
      reason: why === "deadline"
        ? new Timeout({ deadline: handshakeTimeout })
        : new Rejected({ by: "local", said: saying[why], retryable: true })
    })

  // Effect's own sockets do not know their peer.
  const open = (socket: Socket.Socket, lingers: boolean) =>
    Effect.flatMap(NetSocket.currentPeer, (peer) => Connection.open(socket, { peer, lingers }))

  const refuse = (socket: Socket.Socket, context: Context.Context<never>, why: Handshake.Refusal): Taken => {
    const id = ++lastId
    const state: Taken = { fiber: undefined, onGone: undefined, place: -1 }
    refused.add(state)
    const told = Effect.flatMap(open(socket, true), (connection) => {
      const { peer } = connection
      const progress = Progress.make(name)
      progress.verdict = why
      const failing = Effect.suspend(() => {
        progress.step = () => "accept"
        return Effect.fail(rejection(progress.protocol, "accept", why))
      })
      const words = Effect.provideService(handshake, Socket.Socket, connection.socket) as Progress.Words // the rest is in `context`
      const said = Effect.andThen(turnAway(connection, Effect.scoped(words)), failing)
      return Effect.map(
        telemetry.observed({ progress, connection, span: undefined }, said),
        (exit) => {
          const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
          emit({ _tag: "Refused", id, peer, reason: Telemetry.outcomeOf(exit), error })
        }
      )
    })
    // Those who are being told no are bounded as well; the rest is closed without a word.
    const refusal = refused.size > maxRefusing ? open(socket, false) : told
    state.fiber = Effect.runForkWith(context)(Effect.scoped(refusal))
    state.fiber.addObserver(() => {
      refused.delete(state)
      state.onGone?.()
      released()
    })
    return state
  }

  // With more than milliseconds have: a handshake may take less than one.
  const now = () => Number(clock.currentTimeNanosUnsafe()) / 1e6

  const cut = (state: Admitted, why: Handshake.Refusal): void => {
    state.cutFor ??= why
    state.progress.verdict ??= why
    state.fiber?.interruptUnsafe()
  }

  // One sleeper for all handshakes: it wakes for the one that has the least time left.
  const timeout = Duration.toMillis(handshakeTimeout)
  let wakesAt = Infinity
  let sleeper: Fiber.Fiber<void> | undefined
  const strike = () => {
    sleeper = undefined
    wakesAt = Infinity
    const time = now()
    let next = Infinity
    for (const state of admitted) {
      if (state.phase !== "handshake") continue
      const until = state.accepted + timeout
      if (until <= time) cut(state, "deadline")
      else next = Math.min(next, until)
    }
    if (next < Infinity) wakeAt(next)
  }
  const wakeAt = (until: number) => {
    if (wakesAt <= until) return
    sleeper?.interruptUnsafe()
    wakesAt = until
    sleeper = fork(Effect.andThen(Effect.sleep(Math.max(0, until - now())), Effect.sync(strike)))
  }

  const shake = (state: Admitted, connection: Connection.Connection) =>
    Effect.updateContext(
      telemetry.spanned(state, handshake),
      (context: Context.Context<Exclude<R, Socket.Socket>>) =>
        context.pipe(
          Context.add(Socket.Socket, connection.socket),
          Context.add(Progress.CurrentProgress, state.progress)
        ) as Context.Context<R>
    )

  const enter = (state: Admitted, phase: Phase): void => {
    if (state.phase === "handshake") {
      pending--
      telemetry.pending(-1)
    }
    state.phase = phase
  }

  const meet = (state: Admitted, connection: Connection.Connection) => {
    state.connection = connection
    if (subscribers.size > 0) emit({ _tag: "Accepted", id: state.id, peer: connection.peer })
    return Effect.flatMap(shake(state, connection), (transport) => {
      enter(state, "service")
      telemetry.ended(state, now() - state.accepted, Exit.void)
      // The last step and all that it knows can go.
      state.progress = served
      if (subscribers.size > 0) emit({ _tag: "Ready", id: state.id, peer: connection.peer })
      // The drain has begun while this one was on its way here.
      if (draining) connection.closeToRequests()
      return options.serve(transport)
    })
  }

  const converse = (state: Admitted, socket: Socket.Socket) => {
    const connection = Connection.accepted(socket, { lingers: true })
    if (connection !== undefined) return meet(state, connection)
    state.isScoped = true
    const opened = Effect.mapError(
      open(socket, true),
      (error) =>
        new HandshakeError({
          protocol: state.progress.protocol,
          step: state.progress.step(),
          reason: reasonOf(error)
        })
    )
    return Effect.flatMap(opened, (connection) => meet(state, connection))
  }

  // What happens when the fiber of a connection has ended needs another one only where it has to wait.
  const ended = (state: Admitted, exit: Exit.Exit<unknown, unknown>): void => {
    const { phase } = state
    enter(state, "leaving")
    const rest = phase === "handshake" && Exit.isFailure(exit) ? failed(state, exit.cause) : leave(state, exit)
    if (rest !== undefined) state.fiber = fork(rest)
  }

  // The handshake has failed, or has not even begun.
  const failed = (state: Admitted, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined => {
    const { connection, cutFor, id, progress } = state
    const isCut = cutFor !== undefined && Cause.hasInterruptsOnly(cause)
    const why = isCut ? Cause.fail(rejection(progress.protocol, progress.step(), cutFor)) : cause
    const exit = Exit.failCause(why)
    const told = () => {
      telemetry.ended(state, now() - state.accepted, exit)
      if (connection !== undefined && !Cause.hasInterruptsOnly(why)) {
        const reason = Telemetry.outcomeOf(exit)
        const error = Cause.squash(why)
        emit({ _tag: connection.refused ? "Refused" : "Failed", id, peer: connection.peer, reason, error })
      }
      return leave(state, exit)
    }
    return isCut && connection !== undefined
      ? Effect.onExit(turnAway(connection, progress.words), () => Effect.suspend(() => told() ?? Effect.void))
      : told()
  }

  // Nobody is told that it is gone before it is closed.
  const leave = (state: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined => {
    const closingScope = Scope.closeUnsafe(state.scope, exit)
    if (closingScope === undefined) {
      const closing = close(state, exit)
      return closing === undefined ? depart(state, exit) : Effect.onExit(closing, () => departing(state, exit))
    }
    // A drain that waits no longer does not cut finalizers short.
    return Effect.onExit(Effect.uninterruptible(closingScope), (closed) => {
      const both = Exit.isSuccess(closed)
        ? exit
        : Exit.failCause(Exit.isSuccess(exit) ? closed.cause : Cause.combine(exit.cause, closed.cause))
      return Effect.andThen(close(state, exit) ?? Effect.void, departing(state, both))
    }).pipe(Effect.asVoid)
  }

  const close = (state: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined =>
    state.isScoped ? undefined : state.connection?.close(exit)

  const departing = (state: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
    Effect.suspend(() => depart(state, exit) ?? Effect.void)

  const depart = (state: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined => {
    const { connection, id } = state
    admitted.delete(state)
    telemetry.connections(-1)
    const cause = Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? undefined : exit.cause
    if (connection !== undefined && subscribers.size > 0) {
      emit({ _tag: "Closed", id, peer: connection.peer, error: cause && Cause.squash(cause) })
    }
    state.onGone?.()
    released()
    return cause === undefined ? undefined : report(cause, id, connection?.peer ?? Peer.unknown)
  }

  // Apart, so that it keeps nothing but the state alive.
  const observe = (state: Admitted, fiber: Fiber.Fiber<unknown, unknown>): void => {
    fiber.addObserver((exit) => ended(state, exit))
  }

  const admit = (socket: Socket.Socket, context: Context.Context<never>): Taken => {
    const state: Admitted = {
      id: ++lastId,
      accepted: now(),
      scope: Scope.makeUnsafe(),
      progress: Progress.make(name),
      phase: "handshake",
      connection: undefined,
      isScoped: false,
      span: undefined,
      cutFor: undefined,
      fiber: undefined,
      onGone: undefined,
      place: -1
    }
    admitted.add(state)
    pending++
    telemetry.connections(1)
    telemetry.pending(1)
    // What its handshake and its service need is in the context that the server was made in.
    const within = Context.add(context, Scope.Scope, state.scope) as Context.Context<
      Exclude<R, Socket.Socket> | R2 | Scope.Scope
    >
    const fiber = Effect.runForkWith(within)(
      Effect.withFiber((fiber) => {
        state.fiber = fiber
        return converse(state, socket)
      })
    )
    observe(state, fiber)
    if (state.phase === "handshake") wakeAt(state.accepted + timeout)
    return state
  }

  const take = (socket: Socket.Socket, context: Context.Context<never>): Taken => {
    if (draining) return refuse(socket, context, "draining")
    return admitted.size >= maxConnections || pending >= maxPending
      ? refuse(socket, context, "capacity")
      : admit(socket, context)
  }

  // For a socket server that is told of the end of a connection by the end of its handler.
  const handle = (socket: Socket.Socket): Effect.Effect<void> =>
    Effect.contextWith((context: Context.Context<never>) =>
      Effect.callback<void>((resume) => {
        const taken = take(socket, context)
        if (taken.place < 0) return resume(Effect.void)
        taken.onGone = () => resume(Effect.void)
        return Effect.callback<void>((resume) => {
          if (taken.place < 0) return resume(Effect.void)
          taken.onGone = () => resume(Effect.void)
          taken.fiber?.interruptUnsafe()
        })
      })
    )

  const subscribe = Effect.map(
    Effect.acquireRelease(
      Effect.tap(
        Queue.sliding<Event, Cause.Done>(1024),
        (subscriber) =>
          Effect.sync(() => {
            subscribers.add(subscriber)
            // To tell of their ends one has to know them, and a socket that is closed cannot tell.
            for (const { connection } of admitted) void connection?.peer
          })
      ),
      (subscriber) => Effect.sync(() => subscribers.delete(subscriber))
    ),
    Stream.fromQueue
  )

  const running = yield* Effect.forkIn(
    Effect.tapCause(
      isDirect(socketServer)
        ? socketServer[AcceptTypeId]((socket) => take(socket, unscoped))
        : socketServer.run(handle),
      (cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : Effect.logError("the server stopped accepting connections", cause)
    ),
    scope
  )

  const idle = Effect.callback<void>((resume) => {
    if (isIdle()) return resume(Effect.void)
    onIdle = () => resume(Effect.void)
    return Effect.sync(() => {
      onIdle = undefined
    })
  })

  const drainNow = Effect.gen(function*() {
    if (isDirect(socketServer)) yield* socketServer.stop
    for (const state of admitted) {
      if (state.phase === "handshake") cut(state, "draining")
      else if (state.phase === "service") state.connection?.closeToRequests()
    }
    yield* Effect.timeoutOption(idle, drainTimeout)
    yield* Fiber.interrupt(running)
    for (const { fiber } of [...admitted, ...refused]) fiber?.interruptUnsafe()
    yield* idle
    sleeper?.interruptUnsafe()
    subscribers.forEach((subscriber) => Queue.endUnsafe(subscriber))
    yield* Deferred.succeed(drained, undefined)
  })

  // In a fiber of its own: whoever asks for it may be a handler, and so one of those it waits for.
  const drain = Effect.suspend(() => {
    if (!draining) {
      draining = true
      fork(drainNow)
    }
    return Deferred.await(drained)
  })
  yield* Scope.addFinalizer(scope, drain)

  return {
    address: socketServer.address,
    counts: Effect.sync(() => ({ connections: admitted.size, pending, refusing: refused.size })),
    events: Stream.suspend(() =>
      // Who comes after the end would wait for it.
      Deferred.isDoneUnsafe(drained) ? Stream.empty : Stream.unwrap(subscribe)
    ),
    drain,
    awaitDrained: Deferred.await(drained)
  }
})

/**
 * Logs how a connection has failed: what this side did wrong as a warning, a defect as an error, and what peers do, which
 * is their business, for those who debug.
 */
const report = (cause: Cause.Cause<unknown>, id: number, peer: Peer.Peer): Effect.Effect<void> => {
  const error = Cause.squash(cause)
  const annotate = Effect.annotateLogs({ connection: id, peer: Peer.format(peer) })
  if (Cause.hasDies(cause)) return annotate(Effect.logError("a connection has died of a defect", cause))
  if (isHandshakeError(error) || isTransportError(error)) {
    // To turn a peer away is this side's doing, but nothing to mend.
    const mine = error.fault === "local" && error.reason._tag !== "Rejected"
    return annotate(mine ? Effect.logWarning(error.message) : Effect.logDebug(error.message))
  }
  return annotate(Effect.logWarning("the service of a connection has failed", cause))
}

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
  R2 = never
>(
  options: Options<T, E, R, E2, R2>
): Layer.Layer<Server, never, SocketServer.SocketServer | Services<R, R2>> =>
  // `Layer.effect` takes the Scope away, which the compiler cannot see while R and R2 are open.
  Layer.effect(Server, make(options)) as Layer.Layer<Server, never, SocketServer.SocketServer | Services<R, R2>>
