/**
 * What is an Exit, and what is not, asked on hot paths: `Exit.isExit` looks for a property in values of every shape, which
 * costs several times as much as one place that sees few shapes.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { TransportError } from "../../TransportError.ts"

/** Whether an Effect is its own result. */
export const isReady = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> =>
  (effect as Partial<Exit.Exit<A, E>>)["~effect/Exit"] !== undefined

/** Whether frames were taken, and not the reason why there will be none. */
export const areFrames = <In>(
  taken: ReadonlyArray<In> | Exit.Exit<never, TransportError>
): taken is ReadonlyArray<In> => Array.isArray(taken)
