/**
 * Where a connection comes from: rounds over all addresses, until one accepts or no other try can do better. Who was told when to
 * come back leaves that address alone until then, in this round and those that follow it.
 *
 * @internal
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { isHandshakeError } from "../../HandshakeError.ts"
import { ConnectionFailed, isTransportError, TransportError, Unavailable } from "../../TransportError.ts"
import * as Monotonic from "../connection/monotonic.ts"

export interface Options<C, E> {
  /** Two that are equal by `Equal.equals` are the same to whom a peer has told when to come back. */
  readonly addresses: Effect.Effect<ReadonlyArray<unknown>, E>
  /** Dials one of `addresses`, shakes hands and says what must be said first. The connection belongs to the scope. */
  readonly open: (address: unknown) => Effect.Effect<C, E | TransportError, Scope.Scope>
  /** How long to wait between two rounds. */
  readonly schedule: Schedule.Schedule<unknown, E | TransportError>
  /** Whether another try can do better. */
  readonly isMendable: (error: E | TransportError) => boolean
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

/** Why there will be no connection any more. */
export const stoppedBy = (detail: string, cause: unknown): TransportError =>
  new TransportError({ reason: new Unavailable({ why: "stopped", detail, cause }), sent: "no" })

export const notMendable = "no other try can do better"

/** How long the schedule waits after `error`; undefined where it has ended. */
export const delayOf = <E>(
  step: (now: number, error: E) => Pull.Pull<[unknown, Duration.Duration], never, unknown>,
  clock: Clock.Clock,
  error: E
): Effect.Effect<number | undefined> =>
  Pull.catchDone(
    Effect.map(step(clock.currentTimeMillisUnsafe(), error), ([, delay]) => Duration.toMillis(delay)),
    () => Effect.undefined
  )

// A round -------------------------------------------------------------------------------------------------------------

/** Why a round has ended without a connection. */
export interface Missed<E> {
  readonly error: E | TransportError
  /** When one of the addresses may be dialled again, as time that only passes. */
  readonly earliest: number
  /** Whether no further round can do better. */
  readonly isFinal: boolean
}

export interface Opened<C> {
  readonly client: C
  readonly scope: Scope.Closeable
}

const nowhere = new TransportError({ reason: ConnectionFailed.from("open", new Error("there is no address")) })

/** Goes through all addresses. `scope` is that of all connections. */
export const make = <C, E>(options: Options<C, E>, clock: Clock.Clock, scope: Scope.Scope) => {
  /** When the addresses that want to be left alone may be dialled again. */
  const dues = MutableHashMap.empty<unknown, number>()

  const open = Effect.fnUntraced(function*(address: unknown) {
    const own = yield* Scope.fork(scope)
    const client = yield* Effect.onExit(
      Scope.provide(options.open(address), own),
      (exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(own, exit)
    )
    return { client, scope: own }
  })

  return Effect.fnUntraced(function*(
    last: E | TransportError | undefined
  ): Effect.fn.Return<Result.Result<Opened<C>, Missed<E>>> {
    const found = yield* Effect.result(options.addresses)
    // Who knows the addresses may know them the next time.
    if (Result.isFailure(found)) return Result.fail({ error: found.failure, earliest: 0, isFinal: false })
    for (const [address, due] of Array.from(dues)) {
      if (due <= Monotonic.millisOf(clock)) MutableHashMap.remove(dues, address)
    }
    let error: E | TransportError = last ?? nowhere
    let earliest = Infinity
    for (const address of found.success) {
      let due = Option.getOrElse(MutableHashMap.get(dues, address), () => 0)
      if (due <= Monotonic.millisOf(clock)) {
        const opened = yield* Effect.result(open(address))
        if (Result.isSuccess(opened)) return Result.succeed(opened.success)
        error = opened.failure
        if (!options.isMendable(error)) return Result.fail({ error, earliest, isFinal: true })
        const after = retryAfterOf(error)
        due = after === undefined ? 0 : Monotonic.millisOf(clock) + after
        if (due > 0) MutableHashMap.set(dues, address, due)
      }
      earliest = Math.min(earliest, due)
    }
    return Result.fail({ error, earliest, isFinal: false })
  })
}
