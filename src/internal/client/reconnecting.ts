/**
 * Connects again and again: round after round over all addresses, with a wait between two rounds, until no other try can
 * do better.
 *
 * | state | what is under way | then |
 * |---|---|---|
 * | `Connecting` | the addresses, one after the other | the first one that accepts: `Ready`; none: `Waiting`, or `Stopped` |
 * | `Ready` | the connection | when it has ended: `Waiting`, or `Stopped` |
 * | `Waiting` | the wait | `Connecting` |
 * | `Stopped` | nothing | |
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { isHandshakeError } from "../../HandshakeError.ts"
import { ConnectionFailed, isTransportError, TransportError, Unavailable } from "../../TransportError.ts"
import { closedHere } from "../connection/inbox.ts"
import * as Monotonic from "../connection/monotonic.ts"
import type { Telemetry } from "./telemetry.ts"
import { type Bounds, type Live, Waiting } from "./waiting.ts"

export interface Caller {
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

export type State<E> =
  | { readonly _tag: "Connecting"; readonly error?: E }
  | { readonly _tag: "Ready"; readonly since: DateTime.Utc }
  | { readonly _tag: "Waiting"; readonly error: E; readonly next: DateTime.Utc }
  | { readonly _tag: "Stopped"; readonly error: E }

export interface Options<C, E, A> extends Bounds {
  readonly addresses: Effect.Effect<ReadonlyArray<A>, E>
  /** Dials, shakes hands and says what must be said first. The connection belongs to the scope. */
  readonly open: (address: A) => Effect.Effect<C, E | TransportError, Scope.Scope>
  readonly schedule: Schedule.Schedule<unknown, E | TransportError>
  /** How long a connection has to live for the schedule to begin anew. */
  readonly stableAfter: Duration.Duration
  /** Whether another try can do better. */
  readonly isMendable: (error: E | TransportError) => boolean
  readonly telemetry: Telemetry
}

// Decisions -----------------------------------------------------------------------------------------------------------

/**
 * Whether another try can do better: after a failed handshake as that says; after the end of a connection, unless it ended for
 * what this side has done and will do again, such as a certificate that the peer does not take (with TLS 1.3 a client learns
 * of that behind its handshake).
 */
export const isMendable = (error: unknown): boolean => {
  if (isHandshakeError(error)) return error.retryable
  if (!isTransportError(error)) return false
  return error.fault !== "local" || error.reason._tag === "ConnectionClosed"
}

/** How long the peer that has refused wants to be left alone. */
const retryAfterOf = (error: unknown): number | undefined =>
  isHandshakeError(error) && error.reason._tag === "Rejected" && error.reason.retryAfter !== undefined
    ? Duration.toMillis(error.reason.retryAfter)
    : undefined

/**
 * How long to wait until the next round: as the schedule says, and not before one of the addresses may be dialled. What
 * the schedule says comes on top, so that those who were sent away together do not come back together.
 */
export const waitOf = (now: number, earliest: number, delay: number): number =>
  Math.max(0, Number.isFinite(earliest) ? earliest - now : 0) + delay

// A round -------------------------------------------------------------------------------------------------------------

/** Why a round has ended without a connection. */
interface Missed<E> {
  readonly error: E | TransportError
  /** When one of the addresses may be dialled again, as time that only passes. */
  readonly earliest: number
  /** Whether no further round can do better. */
  readonly isFinal: boolean
}

interface Connected<C> extends Live<C> {
  readonly scope: Scope.Closeable
}

const nowhere = new TransportError({ reason: ConnectionFailed.from("open", new Error("there is no address")) })

/** Goes through all addresses, and remembers from one round to the next which of them want to be left alone. */
const rounds = <C, E, A>(options: Options<C, E, A>, clock: Clock.Clock, scope: Scope.Scope) => {
  let dues = MutableHashMap.empty<A, number>()

  const open = Effect.fnUntraced(function*(address: A) {
    const own = yield* Scope.fork(scope)
    const client = yield* Effect.onExit(
      Scope.provide(options.open(address), own),
      (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)
    )
    return { client, scope: own, isLost: false }
  })

  return Effect.fnUntraced(function*(
    last: E | TransportError | undefined
  ): Effect.fn.Return<Result.Result<Connected<C>, Missed<E>>> {
    const found = yield* Effect.result(options.addresses)
    // Who knows the addresses may know them the next time.
    if (Result.isFailure(found)) return Result.fail({ error: found.failure, earliest: 0, isFinal: false })
    const before = dues
    dues = MutableHashMap.empty()
    let error: E | TransportError = last ?? nowhere
    let earliest = Infinity
    for (const address of found.success) {
      let due = Option.getOrElse(MutableHashMap.get(before, address), () => 0)
      if (due <= Monotonic.millisOf(clock)) {
        const opened = yield* Effect.result(open(address))
        if (Result.isSuccess(opened)) return Result.succeed(opened.success)
        error = opened.failure
        if (!options.isMendable(error)) return Result.fail({ error, earliest, isFinal: true })
        const after = retryAfterOf(error)
        due = after === undefined ? 0 : Monotonic.millisOf(clock) + after
      }
      if (due > 0) MutableHashMap.set(dues, address, due)
      earliest = Math.min(earliest, due)
    }
    return Result.fail({ error, earliest, isFinal: false })
  })
}

// The whole -----------------------------------------------------------------------------------------------------------

/** A defect that has ended a connection was seen by the calls on it. The next connection may do without. */
const endOf = ({ awaitEnd }: Caller): Effect.Effect<TransportError> =>
  Effect.catchCause(
    Effect.flip(awaitEnd),
    (cause) => Effect.succeed(brokenBy(cause))
  )

const brokenBy = (cause: Cause.Cause<unknown>): TransportError =>
  new TransportError({ reason: ConnectionFailed.from("read", Cause.squash(cause)) })

const stoppedBy = (detail: string, cause: unknown): TransportError =>
  new TransportError({ reason: new Unavailable({ why: "stopped", detail, cause }), sent: "no" })

const utc = (clock: Clock.Clock, after = 0): DateTime.Utc =>
  DateTime.makeUnsafe(clock.currentTimeMillisUnsafe() + after)

export const make = Effect.fnUntraced(function*<C extends Caller, E, A>(options: Options<C, E, A>) {
  type Failed = E | TransportError
  const { telemetry } = options
  const clock = yield* Clock.Clock
  const ended = yield* Deferred.make<never, TransportError>()
  const waiting = new Waiting<C>(options, telemetry, yield* Effect.context<never>())
  const state = yield* SubscriptionRef.make<State<Failed>>({ _tag: "Connecting" })
  telemetry.entered("Connecting", 1)

  const enter = (next: State<Failed>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { _tag } = SubscriptionRef.getUnsafe(state)
      if (_tag === "Stopped") return Effect.void
      telemetry.entered(_tag, -1)
      telemetry.entered(next._tag, 1)
      return SubscriptionRef.set(state, next)
    })
  const stop = (error: Failed, why: Exit.Exit<never, TransportError>): Effect.Effect<void> =>
    Effect.andThen(
      enter({ _tag: "Stopped", error }),
      Effect.sync(() => {
        waiting.stop(why)
        Deferred.doneUnsafe(ended, why)
      })
    )

  // What is under way ends when it was said why, and the calls know that it is over.
  const scope = yield* Effect.acquireRelease(
    Scope.make(),
    (scope, exit) =>
      stop(closedHere, Exit.fail(new TransportError({ reason: closedHere.reason, sent: "no" }))).pipe(
        Effect.andThen(Effect.sync(() => telemetry.entered("Stopped", -1))),
        Effect.andThen(Scope.close(scope, exit))
      )
  )
  const round = rounds(options, clock, scope)

  /** Uses a connection to its end, and says how it has ended. */
  const live = Effect.fnUntraced(function*(connected: Connected<C>) {
    const ending = yield* Effect.forkChild(
      Effect.tap(endOf(connected.client), () => Effect.sync(() => waiting.lost(connected))),
      { startImmediately: true }
    )
    waiting.ready(connected)
    if (!connected.isLost) yield* enter({ _tag: "Ready", since: utc(clock) })
    const error = yield* Fiber.join(ending)
    telemetry.lost()
    // It may have last words for a peer that does not listen, and nobody has to wait for that.
    yield* Effect.forkIn(Scope.close(connected.scope, Exit.void), scope)
    return error
  })

  const driver = Effect.gen(function*() {
    let step = yield* Schedule.toStep(options.schedule)
    let last: Failed | undefined
    while (true) {
      const connected = yield* round(last)
      let missed: Missed<E>
      if (Result.isSuccess(connected)) {
        const since = Monotonic.millisOf(clock)
        const error = yield* live(connected.success)
        if (waiting.hasStopped) return
        missed = { error, earliest: 0, isFinal: !options.isMendable(error) }
        const lived = Monotonic.millisOf(clock) - since
        if (lived >= Duration.toMillis(options.stableAfter)) step = yield* Schedule.toStep(options.schedule)
      } else missed = connected.failure
      const { error, earliest, isFinal } = missed
      last = waiting.lastError = error
      if (isFinal) return yield* stop(error, Exit.fail(stoppedBy("no other try can do better", error)))
      const delay = yield* Pull.catchDone(
        Effect.map(step(clock.currentTimeMillisUnsafe(), error), ([, delay]) => delay),
        () => Effect.undefined
      )
      if (delay === undefined) return yield* stop(error, Exit.fail(stoppedBy("its schedule has ended", error)))
      const wait = waitOf(Monotonic.millisOf(clock), earliest, Duration.toMillis(delay))
      yield* enter({ _tag: "Waiting", error, next: utc(clock, wait) })
      yield* Effect.sleep(wait)
      yield* enter({ _tag: "Connecting", error })
    }
  })
  yield* driver.pipe(
    // Nothing fails here: it is a defect of what was given to it, which every call shall see.
    Effect.catchCause((cause) =>
      Cause.hasInterruptsOnly(cause) ? Effect.void : stop(brokenBy(cause), Exit.failCause(cause))
    ),
    Effect.forkIn(scope)
  )

  return {
    use: <A2, E2, R2>(f: (client: C) => Effect.Effect<A2, E2, R2>, isIdempotent: () => boolean) =>
      waiting.use(f, isIdempotent),
    ready: Effect.asVoid(waiting.connection),
    awaitEnd: Deferred.await(ended),
    state: SubscriptionRef.get(state),
    changes: Stream.takeUntil(SubscriptionRef.changes(state), ({ _tag }) => _tag === "Stopped")
  }
})
