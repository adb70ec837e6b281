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
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { ConnectionFailed, TransportError } from "../../TransportError.ts"
import { closedHere } from "../connection/inbox.ts"
import * as Monotonic from "../connection/monotonic.ts"
import * as Resending from "./resending.ts"
import * as Rounds from "./rounds.ts"
import type { Telemetry } from "./telemetry.ts"
import { type Bounds, Waiting } from "./waiting.ts"

export interface Caller {
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

export type State<E> =
  | { readonly _tag: "Connecting"; readonly error?: E }
  | { readonly _tag: "Ready"; readonly since: DateTime.Utc }
  | { readonly _tag: "Waiting"; readonly error: E; readonly next: DateTime.Utc }
  | { readonly _tag: "Stopped"; readonly error: E }

export interface Options<C, E> extends Rounds.Options<C, E>, Bounds {
  /** How often a call is made again. */
  readonly maxResends: number
  /** How long a connection has to live for the schedule to begin anew. */
  readonly stableAfter: Duration.Duration
  readonly telemetry: Telemetry
}

interface Connected<C> extends Resending.Live<C>, Rounds.Opened<C> {}

/** A defect that has ended a connection was seen by the calls on it. The next connection may do without. */
const endOf = ({ awaitEnd }: Caller): Effect.Effect<TransportError> =>
  Effect.catchCause(
    Effect.flip(awaitEnd),
    (cause) => Effect.succeed(brokenBy(cause))
  )

const brokenBy = (cause: Cause.Cause<unknown>): TransportError =>
  new TransportError({ reason: ConnectionFailed.from("read", Cause.squash(cause)) })

const utc = (clock: Clock.Clock, after = 0): DateTime.Utc =>
  DateTime.makeUnsafe(clock.currentTimeMillisUnsafe() + after)

export const make = Effect.fnUntraced(function*<C extends Caller, E>(options: Options<C, E>) {
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
  const round = Rounds.make(options, clock, scope)

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
      let missed: Rounds.Missed<E>
      if (Result.isSuccess(connected)) {
        const since = Monotonic.millisOf(clock)
        const error = yield* live({ ...connected.success, isLost: false })
        if (waiting.hasStopped) return
        missed = { error, earliest: 0, isFinal: !options.isMendable(error) }
        const lived = Monotonic.millisOf(clock) - since
        if (lived >= Duration.toMillis(options.stableAfter)) step = yield* Schedule.toStep(options.schedule)
      } else missed = connected.failure
      const { error, earliest, isFinal } = missed
      last = waiting.lastError = error
      if (isFinal) return yield* stop(error, Exit.fail(Rounds.stoppedBy(Rounds.notMendable, error)))
      const delay = yield* Rounds.delayOf(step, clock, error)
      if (delay === undefined) return yield* stop(error, Exit.fail(Rounds.stoppedBy("its schedule has ended", error)))
      const wait = Rounds.waitOf(Monotonic.millisOf(clock), earliest, delay)
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
    use: Resending.make<C, Resending.Live<C>>({
      maxResends: options.maxResends,
      next: waiting.next,
      hasStopped: () => waiting.hasStopped,
      counts: telemetry
    }),
    ready: Effect.asVoid(waiting.connection),
    awaitEnd: Deferred.await(ended),
    state: SubscriptionRef.get(state),
    changes: Stream.takeUntil(SubscriptionRef.changes(state), ({ _tag }) => _tag === "Stopped")
  }
})
