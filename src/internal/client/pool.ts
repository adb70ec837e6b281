/**
 * Connections that are shared, over Effect's `Pool`, which decides how many there are and who gets one.
 *
 * What becomes of a connection:
 *
 * | it | when | then |
 * |---|---|---|
 * | is free | somebody takes it, and it was in use lately | it is used |
 * | is free | somebody takes it, and it was not | `check` decides: it is used, or let go, and the next one is taken |
 * | is free or in use | it ends | nobody takes it any more; what was done with it is perhaps done again, as `resending` says |
 * | is in use | the use fails with a `TransportError` that is no fault of this side's | nobody takes it any more |
 *
 * One that nobody takes any more is closed when its last use is over, and is replaced meanwhile.
 *
 * What becomes of a round over all addresses, of which as many may be under way as connections are missing:
 *
 * | it | then |
 * |---|---|
 * | has a connection | that is the next one |
 * | has found who said when to come back, and nobody who did not | the next round is when that is over; who waits for a connection waits, or gets one that is used now |
 * | has none, and is tried again | the next round is when its schedule says so |
 * | has none | who waits for a connection fails |
 * | has found what no other try can do better | who waits for a connection fails, and nobody is dialled any more |
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pool from "effect/Pool"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { isTransportError, TransportError, Unavailable } from "../../TransportError.ts"
import { closedHere } from "../connection/inbox.ts"
import * as Monotonic from "../connection/monotonic.ts"
import * as Resending from "./resending.ts"
import * as Rounds from "./rounds.ts"
import type { Telemetry } from "./telemetry.ts"

interface Caller {
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

export interface Options<C, E> extends Rounds.Options<C, E> {
  /** Whether a round that has failed is tried again, as `schedule` says; one that was told when to come back always is. */
  readonly isTriedAgain: boolean
  readonly min: number
  readonly max: number
  readonly concurrency: number
  readonly timeToLive: Duration.Input
  readonly maxWaiting: number
  readonly waitTimeout: Duration.Duration
  readonly check: ((client: C) => Effect.Effect<unknown, unknown>) | undefined
  readonly checkAfter: Duration.Duration
  readonly checkTimeout: Duration.Duration
  readonly drainTimeout: Duration.Input
  /** How often a call is made again. */
  readonly maxResends: number
  readonly telemetry: Telemetry
}

interface Live<out C> extends Resending.Live<C> {
  /** Whether nobody shall take it any more, as after its end. */
  isRetired: boolean
  /** How many use it. */
  uses: number
  /** When it was last known to work, as time that only passes. */
  workedAt: number
}

const closed = new TransportError({ reason: closedHere.reason, sent: "no" })

const unavailable = (why: "waited" | "full" | "failed", detail: string, cause?: unknown): TransportError =>
  new TransportError({
    reason: new Unavailable({ why, detail, ...cause !== undefined && { cause } }),
    sent: "no"
  })

/** What this side alone has done wrong, such as a request that has no frame, says nothing of the connection. */
const tellsOfConnection = (cause: Cause.Cause<unknown>): boolean => {
  const error = Cause.findError(cause)
  return Result.isSuccess(error) && isTransportError(error.success) && error.success.fault !== "local"
}

export const make = Effect.fnUntraced(function*<C extends Caller, E>(options: Options<C, E>) {
  type Failed = E | TransportError
  const { check, max, telemetry } = options
  const clock = yield* Clock.Clock
  const checkAfter = Duration.toMillis(options.checkAfter)
  const ended = yield* Deferred.make<never, TransportError>()
  /** Whose end is the end of every connection, also of those that the pool has let go and that have last words. */
  const connections = yield* Scope.make()
  /** Whose end waits for who uses one. */
  const uses = yield* Scope.make()
  const round = Rounds.make(options, clock, connections)
  let pool: Pool.Pool<Live<C>, Failed> | undefined
  let isClosed = false
  /** What no other try can mend: nobody is dialled any more. */
  let stopped: { readonly error: Failed; readonly why: TransportError } | undefined
  /** What the last round has failed with. */
  let lastError: Failed | undefined

  yield* Effect.addFinalizer(Effect.fnUntraced(function*(exit) {
    isClosed = true
    Deferred.doneUnsafe(ended, Exit.fail(closed))
    const drained = yield* Effect.forkDetach(Scope.close(uses, exit), { startImmediately: true })
    yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(drained)), options.drainTimeout)
    // A use that is not over by now finds its connection closed.
    yield* Scope.close(connections, exit)
  }))

  const retire = (live: Live<C>): Effect.Effect<void> =>
    Effect.suspend(() => {
      live.isRetired = true
      return pool === undefined ? Effect.void : Pool.invalidate(pool, live)
    })

  const dial: Effect.Effect<Rounds.Opened<C>, Failed> = Effect.gen(function*() {
    const step = yield* Schedule.toStep(options.schedule)
    while (stopped === undefined) {
      const opened = yield* round(lastError)
      if (Result.isSuccess(opened)) {
        lastError = undefined
        return opened.success
      }
      const { earliest, error, isFinal } = opened.failure
      lastError = error
      if (isFinal) {
        stopped ??= { error, why: Rounds.stoppedBy(Rounds.notMendable, error) }
        Deferred.doneUnsafe(ended, Exit.fail(stopped.why))
        break
      }
      const isTold = Number.isFinite(earliest) && earliest > Monotonic.millisOf(clock)
      const delay = isTold || options.isTriedAgain ? yield* Rounds.delayOf(step, clock, error) : undefined
      if (delay === undefined) return yield* Effect.fail(error)
      yield* Effect.sleep(Rounds.waitOf(Monotonic.millisOf(clock), earliest, delay))
    }
    return yield* Effect.fail(stopped.error)
  })

  const acquire = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const { client, scope: own } = yield* restore(dial)
      const live: Live<C> = { client, isLost: false, isRetired: false, uses: 0, workedAt: Monotonic.millisOf(clock) }
      telemetry.pooled("idle", 1)
      yield* Scope.addFinalizer(
        own,
        Effect.sync(() => {
          telemetry.pooled(live.uses > 0 ? "used" : "idle", -1)
          live.uses = 0
        })
      )
      // Nobody has to wait for its last words but who closes the pool.
      yield* Effect.addFinalizer((exit) => Effect.forkIn(Effect.uninterruptible(Scope.close(own, exit)), connections))
      yield* Effect.forkIn(
        Effect.onExit(Effect.interruptible(client.awaitEnd), (exit) => {
          live.isLost = live.isRetired = true
          if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) telemetry.lost()
          // It is let go by a fiber that does not end with it.
          return Effect.forkIn(retire(live), uses)
        }),
        own,
        { startImmediately: true }
      )
      return live
    })
  )

  /** One use more, or one less. What was closed while it was used goes on below zero, and is counted no more. */
  const count = (live: Live<C>, by: 1 | -1): void => {
    const before = live.uses
    live.uses += by
    if (Math.max(before, live.uses) !== 1) return
    telemetry.pooled("used", by)
    telemetry.pooled("idle", by === 1 ? -1 : 1)
  }

  const connected = yield* Scope.provide(
    Pool.makeWithTTL({
      acquire,
      min: options.min,
      max,
      concurrency: options.concurrency,
      timeToLive: options.timeToLive
    }),
    uses
  )
  pool = connected
  const { state } = connected

  const works = (live: Live<C>): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (live.isRetired) return Effect.succeed(false)
      if (check === undefined || Monotonic.millisOf(clock) - live.workedAt < checkAfter) return Effect.succeed(true)
      return Effect.match(Effect.timeout(check(live.client), options.checkTimeout), {
        onFailure: () => false,
        onSuccess: () => {
          live.workedAt = Monotonic.millisOf(clock)
          return !live.isRetired
        }
      })
    })

  const take = Effect.fnUntraced(function*(scope: Scope.Scope) {
    // After as many as there may be it was a new one.
    for (let left = max; left >= 0; left--) {
      const lease = yield* Scope.fork(scope)
      const live = yield* Effect.mapError(
        Scope.provide(Pool.get(connected), lease),
        (error) => stopped?.why ?? unavailable("failed", "none could be made", error)
      )
      if (yield* works(live)) return live
      yield* retire(live)
      yield* Scope.close(lease, Exit.void)
    }
    return yield* Effect.fail(unavailable("failed", "none that was made has worked"))
  })

  /** Whether a call would not get a connection at once. */
  const hasToWait = () => state.waiters.size > 0 || state.availableHead === undefined

  const taken = (scope: Scope.Scope) =>
    take(scope).pipe(
      Effect.timeoutOrElse({
        duration: options.waitTimeout,
        orElse: () =>
          Effect.fail(
            unavailable("waited", `none was free within ${Duration.format(options.waitTimeout)}`, lastError)
          )
      }),
      // A pool that closes interrupts those who wait.
      Effect.catchCause((cause) =>
        isClosed && Cause.hasInterruptsOnly(cause) ? Effect.fail(closed) : Effect.failCause(cause)
      )
    )

  const waited = <A, E2>(wait: Effect.Effect<A, E2>): Effect.Effect<A, E2> => {
    telemetry.waiting(1)
    return Effect.onExit(wait, () => Effect.sync(() => telemetry.waiting(-1)))
  }

  const next = <A, E2, R2>(f: (live: Live<C>) => Effect.Effect<A, E2, R2>): Effect.Effect<A, E2 | TransportError, R2> =>
    Effect.suspend(() => {
      if (isClosed) return Effect.fail(closed)
      const isWaiting = hasToWait()
      if (isWaiting && state.waiters.size >= options.maxWaiting) {
        return Effect.fail(
          unavailable("full", `${options.maxWaiting} calls wait for one, which is as many as may`, lastError)
        )
      }
      const scope = Scope.makeUnsafe()
      let used: Live<C> | undefined
      return Effect.onExit(
        Effect.flatMap(isWaiting ? waited(taken(scope)) : taken(scope), (live) => {
          used = live
          count(live, 1)
          return f(live)
        }),
        (exit) => {
          if (used === undefined) return Scope.close(scope, exit)
          count(used, -1)
          if (Exit.isFailure(exit) && tellsOfConnection(exit.cause)) {
            return Effect.andThen(retire(used), Scope.close(scope, exit))
          }
          if (Exit.isSuccess(exit)) used.workedAt = Monotonic.millisOf(clock)
          return Scope.close(scope, exit)
        }
      )
    })

  const use = Resending.make<C, Live<C>>({
    maxResends: options.maxResends,
    next,
    hasStopped: () => isClosed,
    counts: telemetry
  })

  return { use, stats: Pool.stats(connected), awaitEnd: Deferred.await(ended) }
})
