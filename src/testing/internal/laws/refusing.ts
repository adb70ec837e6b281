/**
 * What a side has to say when it refuses, as `refusal` tells it.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isHandshakeError } from "../../../HandshakeError.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import { otherRole, type Talk } from "../conversation.ts"
import type * as Suite from "../suite.ts"
import * as Trial from "../trial.ts"
import { type Attempt, problem } from "./attempt.ts"
import { refusalsOf, refusalTo, type WrongTurn } from "./options.ts"

/** Who is silent, or gone, has said nothing wrong. */
export const deservesRefusal = ({ exit }: Talk): boolean => {
  if (exit === undefined || Exit.isSuccess(exit)) return false
  const error = Cause.squash(exit.cause)
  return !isHandshakeError(error) || !["Timeout", "UnexpectedEnd", "ConnectionFailed"].includes(error.reason._tag)
}

/** Whether the peer hears the words that are due to this, where it is known which they are. */
export const saysRefusal = (
  attempt: Attempt,
  talk: Talk,
  turn: WrongTurn,
  scenario: string
): Effect.Effect<void, Suite.Problem> => {
  const { options, reference, trial } = attempt
  const { index } = turn
  const words = refusalTo(options, turn)
  if (words === undefined || !deservesRefusal(talk)) return Effect.void
  // Where it has gone on, and its peer has said no to that, nothing is left to say.
  const last = talk.said.length - 1
  const noes = refusalsOf(options, otherRole(trial.side.role), talk.written)
  if (last > index && noes.some((no) => Trial.firstDifference(talk.said[last], no) === -1)) return Effect.void
  const own = concat(talk.written.slice(talk.writesBefore[index] ?? talk.written.length))
  const isLast = (words: Uint8Array) =>
    Trial.firstDifference(talk.heard.subarray(Math.max(0, talk.heard.length - words.length)), words) === -1
  // Who is told the next thing before it has answered the last one answers that still.
  const isBehind = index > 0 && talk.writesBefore[index] === talk.writesBefore[index - 1]
  const answers = () =>
    isBehind && talk.written.length <= reference.talk.written.length &&
    !refusalsOf(options, trial.side.role, turn.messages).some(isLast)
  return (words.length === 0 ? own.length === 0 || answers() : words.some(isLast)) ?
    Effect.void :
    Effect.fail({
      ...problem(attempt, talk, {
        scenario,
        expected: `the peer hears ${
          words.length === 0 ? "nothing" : words.map(Trial.show).join(" or ")
        }, as \`refusal\` says`,
        actual: `it heard ${Trial.show(talk.heard)}, and ${Trial.outcome(talk)}`
      }),
      law: 11
    })
}
