/**
 * A connection that was admitted, from accept to close. Its phases are those of `Phase`.
 *
 * It costs one fiber for as long as its handshake lasts, and for a service that is no `OnEvents`. What happens when that has ended needs
 * another one only where it has to wait.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { HandshakeError, reasonOf } from "../../HandshakeError.ts"
import * as Peer from "../../Peer.ts"
import type { Denied, Verdict } from "../admission/model.ts"
import * as Connection from "../connection/connection.ts"
import { type OnEvent, OnEvents } from "../connection/onEvents.ts"
import type { Incoming } from "../connection/source.ts"
import * as Metrics from "../handshake/metrics.ts"
import * as Progress from "../handshake/progress.ts"
import type * as Telemetry from "../handshake/telemetry.ts"
import { Admitted, type Connections, type Entry, type Following, type Phase, type Service } from "./connections.ts"
import { Deadlines } from "./deadlines.ts"
import type { Events } from "./events.ts"
import type { Holding } from "./limits.ts"
import {
  accept,
  denial,
  lingering,
  logDenied,
  open,
  refusalOf,
  type Refusing,
  rejection,
  turnAway,
  turning,
  unbegun
} from "./refusing.ts"
import { report } from "./report.ts"

/** What is known of the handshake of a connection that is served. */
const served = Progress.make()

type Fork = <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>

export class Lifecycle<T, R, R2> implements Following {
  readonly deadlines: Deadlines
  private readonly connections: Connections
  private readonly events: Events
  private readonly telemetry: Telemetry.Telemetry
  private readonly refusing: Refusing
  private readonly handshake: Effect.Effect<T, unknown, R>
  /** The handshake where it needs no fiber. A span is made in one, and so is whatever has to be waited for before it begins. */
  private readonly onEvents: OnEvents<T, unknown, R, Admitted> | undefined
  private readonly serve: (transport: T) => Effect.Effect<unknown, unknown, R2>
  private readonly name: string | undefined
  private readonly limits: () => Holding
  private readonly fork: Fork
  private readonly now: () => number
  private isDraining = false

  constructor(options: {
    readonly connections: Connections
    readonly events: Events
    readonly telemetry: Telemetry.Telemetry
    readonly refusing: Refusing
    readonly handshake: Effect.Effect<T, unknown, R>
    readonly serve: (transport: T) => Effect.Effect<unknown, unknown, R2>
    readonly name: string | undefined
    readonly limits: () => Holding
    readonly fork: Fork
    /** In milliseconds of the clock, with more than those have: a handshake may take less than one. */
    readonly now: () => number
  }) {
    this.connections = options.connections
    this.events = options.events
    this.telemetry = options.telemetry
    this.refusing = options.refusing
    this.handshake = options.handshake
    this.onEvents = options.handshake instanceof OnEvents && !options.telemetry.isTraced ? options.handshake : undefined
    this.serve = options.serve
    this.name = options.name
    this.limits = options.limits
    this.fork = options.fork
    this.now = options.now
    this.deadlines = new Deadlines({
      admitted: options.connections.admitted,
      now: options.now,
      fork: options.fork,
      cut: (state) => state.phase === "handshake" ? this.cut(state, "deadline") : state.connection?.interruptUnsafe()
    })
  }

  /** What its handshake and its service need is in the context, which is that of the server. */
  admit(socket: Incoming, context: Context.Context<never>, entry: Entry): Admitted {
    const { connections, telemetry } = this
    const state = new Admitted({
      id: connections.nextId(),
      since: this.now(),
      limits: this.limits(),
      protocol: this.name,
      ticket: entry.ticket,
      context,
      following: this
    })
    connections.admitted.add(state)
    connections.pending++
    telemetry.connections(1)
    telemetry.pending(1)
    this.start(state, socket, entry)
    if (state.phase === "handshake") this.deadlines.watch(state)
    return state
  }

  private start(state: Admitted, socket: Incoming, entry: Entry): void {
    const { onEvents } = this
    const connection = onEvents === undefined || entry.deciding !== undefined
      ? undefined
      : Connection.accepted(socket, lingering)
    if (onEvents !== undefined && connection !== undefined) return this.shake(state, connection, onEvents)
    this.run(state, () => this.converse(state, socket, entry))
  }

  /** Forks the fiber that the connection has from now on. */
  private run(
    state: Admitted,
    what: () => Effect.Effect<unknown, unknown, Exclude<R, Socket.Socket> | R2 | Scope.Scope>
  ): void {
    const within = state.context as Context.Context<Exclude<R, Socket.Socket> | R2 | Scope.Scope>
    const fiber = Effect.runForkWith(within)(
      Effect.withFiber((fiber) => {
        state.doing = fiber
        return what()
      })
    )
    this.observe(state, fiber)
  }

  /** Lets its handshake or its service run on the events of its connection. */
  private follow<A, E, R3>(
    state: Admitted,
    connection: Connection.Connection,
    what: OnEvents<A, E, R3, Admitted>
  ): void {
    let doing: OnEvent<A, E>
    try {
      doing = what.on(state, connection)
    } catch (defect) {
      return this.done(state, Exit.die(defect))
    }
    state.doing = doing
    doing.begin(state)
  }

  /** That is over. */
  done(state: Admitted, exit: Exit.Exit<unknown, unknown>): void {
    const { connection, phase } = state
    if (phase !== "handshake" || connection === undefined || Exit.isFailure(exit)) return this.ended(state, exit)
    const service = this.ready(state, connection, exit.value as T) // it is the handshake's
    if (service instanceof OnEvents) return this.follow(state, connection, service as Service)
    this.run(state, () => service)
  }

  /** Closes a connection that has lost its place. */
  evict(state: Admitted): void {
    if (state.phase === "handshake") this.cut(state, "capacity")
    else if (state.phase === "service") state.doing?.interruptUnsafe()
  }

  /** Takes no further request, and cuts off who is not ready yet. */
  drain(): void {
    this.isDraining = true
    for (const state of this.connections.admitted) {
      if (state.phase === "handshake") this.cut(state, "draining")
      else if (state.phase === "service") state.connection?.closeToRequests()
    }
  }

  private cut(state: Admitted, why: Progress.Refusal): void {
    state.cutFor ??= why
    state.progress.verdict ??= why
    state.doing?.interruptUnsafe()
  }

  // Apart, so that it keeps nothing but the state alive.
  private observe(state: Admitted, fiber: Fiber.Fiber<unknown, unknown>): void {
    fiber.addObserver((exit) => this.ended(state, exit))
  }

  private enter(state: Admitted, phase: Phase): void {
    if (state.phase === "handshake") {
      this.connections.pending--
      this.telemetry.pending(-1)
    }
    state.phase = phase
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The handshake, and the service behind it
  // -------------------------------------------------------------------------------------------------------------------

  private converse(state: Admitted, socket: Incoming, entry: Entry) {
    const connection = Connection.accepted(socket, lingering)
    return connection === undefined ? this.opening(state, socket, entry) : this.meet(state, connection, entry)
  }

  private opening(state: Admitted, socket: Incoming, entry: Entry) {
    state.isScoped = true
    const opened = Effect.mapError(
      open(socket, true),
      (error) =>
        new HandshakeError({
          protocol: state.progress.protocol,
          step: state.progress.step,
          reason: reasonOf(error)
        })
    )
    return Effect.flatMap(opened, (connection) => this.meet(state, connection, entry))
  }

  /** The handshake without a fiber. */
  private shake(
    state: Admitted,
    connection: Connection.Connection,
    handshake: OnEvents<T, unknown, R, Admitted>
  ): void {
    this.opened(state, connection, false)
    this.follow(state, connection, handshake)
  }

  private opened(state: Admitted, connection: Connection.Connection, isDeciding: boolean): void {
    const { events } = this
    state.connection = connection
    connection.writeTimeout = state.limits.writeTimeout
    if (state.ticket !== undefined || isDeciding) {
      const introduced = () => this.introduced(state, connection)
      connection.onIntroduced = introduced
    }
    if (events.isHeard) events.emit({ _tag: "Accepted", id: state.id, peer: connection.peer })
  }

  private meet(state: Admitted, connection: Connection.Connection, { deciding }: Entry) {
    this.opened(state, connection, deciding !== undefined)
    const shaken = Effect.updateContext(
      this.telemetry.spanned(
        state,
        deciding === undefined ? this.handshake : this.decided(state, connection, deciding)
      ),
      (context: Context.Context<Exclude<R, Socket.Socket>>) => {
        const onConnection = Context.add(context, Socket.Socket, connection.socket)
        return Context.add(onConnection, Progress.CurrentProgress, state.progress) as Context.Context<R>
      }
    )
    return Effect.flatMap(shaken, (transport) => {
      const service = this.ready(state, connection, transport)
      if (!(service instanceof OnEvents)) return service
      state.service = service as Service // what it needs is in the context of the server
      return Effect.void
    })
  }

  /** The handshake, where the admission lets it in. */
  private decided(state: Admitted, connection: Connection.Connection, deciding: Effect.Effect<Verdict>) {
    // Not to be interrupted between the verdict and what becomes of it; what waits for it is.
    const verdict = Effect.uninterruptible(Effect.map(deciding, (verdict) => {
      if (verdict._tag === "Admitted") state.ticket = verdict
      return verdict
    }))
    return Effect.flatMap(
      verdict,
      (verdict) => verdict._tag === "Admitted" ? this.handshake : this.deny(state, connection, verdict)
    )
  }

  /** Says no in the place of the handshake. */
  private deny(
    state: Admitted,
    connection: Connection.Connection,
    denied: Denied
  ): Effect.Effect<never, HandshakeError> {
    const { progress } = state
    state.denied = denied
    this.telemetry.denied(denied.limit, denied.why)
    const failing = Effect.suspend(() => {
      unbegun(progress)
      return Effect.fail(denial(progress.protocol, accept, denied))
    })
    if (!denied.isTold) return failing
    const saying = Effect.suspend(() => {
      turning(progress, refusalOf(denied), denied.retryAfter)
      // What the handshake needs is in the context that this runs in.
      return turnAway(connection, Effect.scoped(this.handshake as Progress.Words))
    })
    return logDenied(state.id, connection.peer, denied).pipe(
      Effect.andThen(this.refusing.delayed(denied)),
      Effect.andThen(saying),
      Effect.andThen(failing)
    )
  }

  /** Asks the admission again, now that more is known of the peer. */
  private introduced(state: Admitted, connection: Connection.Connection): Effect.Effect<void> | undefined {
    const verdict = state.ticket?.introduced?.(connection.peer)
    if (verdict === undefined) return undefined
    return Effect.isEffect(verdict)
      ? Effect.flatMap(verdict, (verdict) => this.judged(state, verdict) ?? Effect.void)
      : this.judged(state, verdict)
  }

  private judged(state: Admitted, verdict: Verdict): Effect.Effect<never> | undefined {
    if (verdict._tag === "Admitted") return undefined
    const { progress } = state
    state.denied = verdict
    this.telemetry.denied(verdict.limit, verdict.why)
    if (verdict.isTold) turning(progress, refusalOf(verdict), verdict.retryAfter)
    // Whoever runs this now may be a part of the handshake that somebody waits for, and the whole has to end.
    queueMicrotask(() => {
      if (state.phase === "handshake" || state.phase === "service") state.doing?.interruptUnsafe()
    })
    return Effect.interrupt
  }

  private ready(state: Admitted, connection: Connection.Connection, transport: T) {
    const { events } = this
    this.enter(state, "service")
    this.telemetry.ended(state, this.now() - state.since, Exit.void)
    // The last step and all that it knows can go.
    state.progress = served
    if (events.isHeard) events.emit({ _tag: "Ready", id: state.id, peer: connection.peer })
    // The drain has begun while this one was on its way here.
    if (this.isDraining) connection.closeToRequests()
    try {
      return this.serve(transport)
    } catch (defect) {
      return Effect.die(defect)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Its end
  // -------------------------------------------------------------------------------------------------------------------

  private ended(state: Admitted, exit: Exit.Exit<unknown, unknown>): void {
    const { connection, phase, service } = state
    if (service !== undefined && connection !== undefined && Exit.isSuccess(exit)) {
      state.service = undefined
      return this.follow(state, connection, service)
    }
    this.enter(state, "leaving")
    const rest = phase === "handshake" && Exit.isFailure(exit)
      ? this.failed(state, exit.cause)
      : this.leave(state, exit)
    if (rest === undefined) return
    const fiber = this.fork(rest)
    // Else it has left to the connection what is still to be done.
    if (fiber.pollUnsafe() === undefined) state.doing = fiber
  }

  // The handshake has failed, or has not even begun.
  private failed(state: Admitted, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined {
    const { connection, cutFor, denied, id, progress } = state
    const { protocol, step } = progress
    const isCut = (cutFor !== undefined || denied !== undefined) && Cause.hasInterruptsOnly(cause)
    const told = () => {
      // One that has got no name before it was cut off may have got one with its words.
      const name = protocol === Progress.unnamed ? progress.protocol : protocol
      const why = !isCut
        ? cause
        : denied !== undefined
        ? Cause.fail(denial(name, step, denied))
        : Cause.fail(rejection(name, step, cutFor!, state.limits.handshakeTimeout))
      const exit = Exit.failCause(why)
      if (isCut) {
        progress.protocol = name
        progress.begin(() => step, undefined)
      }
      this.telemetry.ended(state, this.now() - state.since, exit)
      if (connection !== undefined && !Cause.hasInterruptsOnly(why)) {
        const reason = Metrics.outcomeOf(exit)
        const error = Cause.squash(why)
        const isRefused = connection.refused || denied !== undefined
        this.events.emit({ _tag: isRefused ? "Refused" : "Failed", id, peer: connection.peer, reason, error })
        if (denied === undefined) state.ticket?.failed(error)
      }
      return this.leave(state, exit)
    }
    if (!isCut || connection === undefined) return told()
    const saying = turnAway(connection, progress.words)
    const heard = denied === undefined
      ? saying
      : logDenied(id, connection.peer, denied).pipe(
        Effect.andThen(denied.isTold ? this.refusing.delayed(denied) : Effect.void),
        Effect.andThen(saying)
      )
    return Effect.onExit(heard, () => Effect.suspend(() => told() ?? Effect.void))
  }

  // Nobody is told that it is gone before it is closed.
  private leave(state: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    const closingScope = state.scope && Scope.closeUnsafe(state.scope, exit)
    // What there was to be done is done.
    if (closingScope === undefined || (Exit.isExit(closingScope) && Exit.isSuccess(closingScope))) {
      return this.close(state, exit, exit)
    }
    // A drain that waits no longer does not cut finalizers short.
    return Effect.onExit(Effect.uninterruptible(closingScope), (closed) => {
      const both = Exit.isSuccess(closed)
        ? exit
        : Exit.failCause(Exit.isSuccess(exit) ? closed.cause : Cause.combine(exit.cause, closed.cause))
      return this.close(state, exit, both) ?? Effect.void
    }).pipe(Effect.asVoid)
  }

  // Its scope may have told more.
  private close(
    state: Admitted,
    exit: Exit.Exit<unknown, unknown>,
    both: Exit.Exit<unknown, unknown>
  ): Effect.Effect<void> | undefined {
    const { connection, isScoped } = state
    if (connection === undefined || isScoped || connection.close(exit)) return this.depart(state, both)
    this.enter(state, "closing")
    state.doing = connection
    const closed = () => {
      const rest = this.depart(state, both)
      if (rest !== undefined) this.fork(rest)
    }
    connection.onClosed = closed
    state.since = this.now()
    this.deadlines.watch(state)
    return undefined
  }

  private depart(state: Admitted, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    const { connection, id } = state
    this.connections.admitted.delete(state)
    state.ticket?.leave()
    this.telemetry.connections(-1)
    const cause = Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? undefined : exit.cause
    if (connection !== undefined && this.events.isHeard) {
      this.events.emit({ _tag: "Closed", id, peer: connection.peer, error: cause && Cause.squash(cause) })
    }
    this.connections.released(state)
    return cause === undefined ? undefined : report(cause, id, connection?.peer ?? Peer.unknown)
  }
}
