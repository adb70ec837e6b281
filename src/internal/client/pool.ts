/**
 * Connections that are shared, over Effect's `Pool`, which decides how many there are and who gets one.
 *
 * What becomes of a connection:
 *
 * | it | when | then |
 * |---|---|---|
 * | is free | somebody takes it, and it was in use lately | it is used |
 * | is free | somebody takes it, and it was not | `check` decides: it is used, or let go, and the next one is taken |
 * | is free or in use | it ends | nobody takes it any more |
 * | is in use | the use fails with a `TransportError` that is no fault of this side's | nobody takes it any more |
 *
 * One that nobody takes any more is closed when its last use is over, and is replaced meanwhile.
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
import * as Scope from "effect/Scope"
import { isTransportError, TransportError, Unavailable } from "../../TransportError.ts"
import { closedHere } from "../connection/inbox.ts"
import * as Monotonic from "../connection/monotonic.ts"

interface Caller {
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

export interface Options<C, E> {
  /** Dials and shakes hands. The connection belongs to the scope. */
  readonly open: Effect.Effect<C, E, Scope.Scope>
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
}

interface Live<out C> {
  readonly client: C
  /** Whether nobody shall take it any more. */
  isLost: boolean
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
  const { check, max } = options
  const clock = yield* Clock.Clock
  const checkAfter = Duration.toMillis(options.checkAfter)
  const ended = yield* Deferred.make<never, TransportError>()
  /** Whose end is the end of every connection, also of those that the pool has let go and that have last words. */
  const connections = yield* Scope.make()
  /** Whose end waits for who uses one. */
  const uses = yield* Scope.make()
  let pool: Pool.Pool<Live<C>, E> | undefined
  let isClosed = false

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
      live.isLost = true
      return pool === undefined ? Effect.void : Pool.invalidate(pool, live)
    })

  const acquire = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const own = yield* Scope.fork(connections)
      const client = yield* Effect.onExit(
        restore(Scope.provide(options.open, own)),
        (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)
      )
      const live: Live<C> = { client, isLost: false, workedAt: Monotonic.millisOf(clock) }
      // Nobody has to wait for its last words but who closes the pool.
      yield* Effect.addFinalizer((exit) => Effect.forkIn(Effect.uninterruptible(Scope.close(own, exit)), connections))
      yield* Effect.forkIn(
        Effect.onExit(Effect.interruptible(client.awaitEnd), () => {
          live.isLost = true
          // It is let go by a fiber that does not end with it.
          return Effect.forkIn(retire(live), uses)
        }),
        own,
        { startImmediately: true }
      )
      return live
    })
  )

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
      if (live.isLost) return Effect.succeed(false)
      if (check === undefined || Monotonic.millisOf(clock) - live.workedAt < checkAfter) return Effect.succeed(true)
      return Effect.match(Effect.timeout(check(live.client), options.checkTimeout), {
        onFailure: () => false,
        onSuccess: () => {
          live.workedAt = Monotonic.millisOf(clock)
          return !live.isLost
        }
      })
    })

  const take = Effect.fnUntraced(function*(scope: Scope.Scope) {
    // After as many as there may be it was a new one.
    for (let left = max; left >= 0; left--) {
      const lease = yield* Scope.fork(scope)
      const live = yield* Effect.mapError(
        Scope.provide(Pool.get(connected), lease),
        (error) => unavailable("failed", "none could be made", error)
      )
      if (yield* works(live)) return live
      yield* retire(live)
      yield* Scope.close(lease, Exit.void)
    }
    return yield* Effect.fail(unavailable("failed", "none that was made has worked"))
  })

  const isFull = () =>
    state.waiters.size >= options.maxWaiting && (state.waiters.size > 0 || state.availableHead === undefined)

  const taken = (scope: Scope.Scope) =>
    take(scope).pipe(
      Effect.timeoutOrElse({
        duration: options.waitTimeout,
        orElse: () => Effect.fail(unavailable("waited", `none was free within ${Duration.format(options.waitTimeout)}`))
      }),
      // A pool that closes interrupts those who wait.
      Effect.catchCause((cause) =>
        isClosed && Cause.hasInterruptsOnly(cause) ? Effect.fail(closed) : Effect.failCause(cause)
      )
    )

  const use = <A, E2, R2>(f: (client: C) => Effect.Effect<A, E2, R2>): Effect.Effect<A, E2 | TransportError, R2> =>
    Effect.suspend(() => {
      if (isClosed) return Effect.fail(closed)
      if (isFull()) {
        return Effect.fail(unavailable("full", `${options.maxWaiting} calls wait for one, which is as many as may`))
      }
      const scope = Scope.makeUnsafe()
      let used: Live<C> | undefined
      return Effect.onExit(
        Effect.flatMap(taken(scope), (live) => {
          used = live
          return f(live.client)
        }),
        (exit) => {
          if (used === undefined) return Scope.close(scope, exit)
          if (Exit.isFailure(exit) && tellsOfConnection(exit.cause)) {
            return Effect.andThen(retire(used), Scope.close(scope, exit))
          }
          if (Exit.isSuccess(exit)) used.workedAt = Monotonic.millisOf(clock)
          return Scope.close(scope, exit)
        }
      )
    })

  return { use, stats: Pool.stats(connected), awaitEnd: Deferred.await(ended) }
})
