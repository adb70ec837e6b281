/**
 * What an Exit comes to, and what is none.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { TransportError } from "../../TransportError.ts"

/** Whether frames were taken, and not the reason why there will be none. */
export const areFrames = <In>(
  taken: ReadonlyArray<In> | Exit.Exit<never, TransportError>
): taken is ReadonlyArray<In> => Array.isArray(taken)

/** The failure of whoever has no defect. */
export const failureOf = <E>(cause: Cause.Cause<E>): Option.Option<E> =>
  Cause.hasDies(cause) ? Option.none() : Cause.findErrorOption(cause)
