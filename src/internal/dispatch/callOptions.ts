/**
 * What a client is told of its calls, whatever kind they are.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import { TimedOut, TransportError } from "../../TransportError.ts"
import { inTime } from "../connection/inTime.ts"

export interface CallOptions {
  /** How many calls are sent and not answered at once. Default: 64. */
  readonly maxInFlight?: number | undefined
  /**
   * From the call to its response, or to the head of one with a body; the wait for a place is part of it. Then the call fails
   * as `TimedOut`, and is given up like one that was interrupted. Default: none, so that a call waits for as long as the
   * connection lives.
   */
  readonly callTimeout?: Duration.Input | undefined
}

/**
 * Gives calls up that are not answered in time. What becomes of the place, the id and a late answer is what becomes of them
 * when the caller is interrupted: each kind of calls has that in its table.
 */
export const limited = (
  options: CallOptions | undefined
): <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TransportError, R> => {
  const after = Duration.fromInputUnsafe(options?.callTimeout ?? Duration.infinity)
  if (!Duration.isFinite(after)) return identity
  const reason = new TimedOut({ waitedFor: "response", after })
  const millis = Duration.toMillis(after)
  const late = () => Effect.fail(new TransportError({ reason, sent: "perhaps" }))
  // The call has a fiber of its own, which can be given up also where its caller cannot be interrupted, as in a finalizer.
  return (call) => inTime(call, millis, late)
}
