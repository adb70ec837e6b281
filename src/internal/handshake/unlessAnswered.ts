/**
 * What is said to a peer that has said no and left.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { TransportError } from "../../TransportError.ts"
import type { Transport } from "../connection/model.ts"
import { implOf } from "../connection/transport.ts"

/** How long a connection that cannot be written to is searched for the peer's last words. */
const lastWordsTime = Duration.seconds(1)

/**
 * A peer may say no and leave before this side has said anything. What it said is the answer then, and not that nobody
 * listens any more: the next step shall read it.
 */
export const unlessAnswered = (
  transport: Transport.Any,
  said: Effect.Effect<void, TransportError>
): Effect.Effect<void, TransportError> => {
  const impl = implOf(transport)
  return Effect.catchIf(
    said,
    (error) => error.reason._tag === "ConnectionFailed",
    (error) =>
      Effect.flatMap(
        Effect.timeoutOption(impl.hasFrame, lastWordsTime),
        (found) => Option.getOrElse(found, () => false) ? Effect.void : Effect.fail(impl.connection.tlsFailure ?? error)
      )
  )
}
