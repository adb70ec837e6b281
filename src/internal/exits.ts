/**
 * What is an Exit, and what is not, asked on hot paths: `Exit.isExit` looks for a property in values of every shape, which
 * costs several times as much.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { TransportError } from "../TransportError.ts"

const success = Object.getPrototypeOf(Exit.void)

/** Whether an Effect is its own result. Quick for a success. */
export const isReady = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> =>
  Object.getPrototypeOf(effect) === success || Exit.isExit(effect)

/** Whether frames were taken, and not the reason why there will be none. */
export const areFrames = <In>(
  taken: ReadonlyArray<In> | Exit.Exit<never, TransportError>
): taken is ReadonlyArray<In> => Array.isArray(taken)
