/**
 * What an Exit comes to. What is one, and what is not, is asked on hot paths: `Exit.isExit` looks for a property in values of every shape, which
 * costs several times as much as one place that sees few shapes.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { TransportError } from "../../TransportError.ts"

/** Whether an Effect is its own result. */
export const isReady = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> =>
  (effect as Partial<Exit.Exit<A, E>>)["~effect/Exit"] !== undefined

/** Whether frames were taken, and not the reason why there will be none. */
export const areFrames = <In>(
  taken: ReadonlyArray<In> | Exit.Exit<never, TransportError>
): taken is ReadonlyArray<In> => Array.isArray(taken)

/** The failure of whoever has no defect. */
export const failureOf = <E>(cause: Cause.Cause<E>): Option.Option<E> =>
  Cause.hasDies(cause) ? Option.none() : Cause.findErrorOption(cause)
