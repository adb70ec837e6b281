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
import type * as Suite from "../suite.ts"
import { otherRole, type Plan, type Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Attempt, problem } from "./attempt.ts"
import { refusalsOf, refusalTo, type WrongTurn } from "./options.ts"

/** Who is silent, or gone, has said nothing wrong. */
export const deservesRefusal = ({ exit }: Talk): boolean => {
  if (exit === undefined || Exit.isSuccess(exit)) return false
  const error = Cause.squash(exit.cause)
  if (Cause.isTimeoutError(error)) return false
  return !isHandshakeError(error) || !["Timeout", "UnexpectedEnd", "ConnectionFailed"].includes(error.reason._tag)
}

const lengthOf = (messages: ReadonlyArray<Uint8Array>): number => concat(messages).length

/**
 * How many of its writes are no answer to the last message behind which it has written anything, from `index` on: what it
 * writes as well where its peer falls silent before that message. Nothing where that cannot be known: on real sockets,
 * through TLS, or where the message was more than one frame, so that some of it may have been due.
 */
const writesBeforeAnswer = (
  { reference, trial }: Attempt,
  plan: Plan,
  talk: Talk,
  index: number,
  words: number
): Effect.Effect<number | undefined> => {
  const { heard, receivedIn, said, writesBefore, written } = talk
  const answered = writesBefore.findLastIndex((count, i) => i >= index && count < written.length)
  if (answered === -1 || lengthOf(written.slice(writesBefore[answered])) <= words) return Effect.undefined
  const before = lengthOf(said.slice(0, answered))
  const frames = receivedIn.filter(({ end }) => end > before)
  const isOneFrame = frames.length === 0 || frames.length === 1 && frames[0].end === before + said[answered].length
  const isKnown = trial.isVirtual && reference.talk.receivedIn.length > 0 && isOneFrame &&
    Trial.firstDifference(concat(written), heard) === -1
  if (!isKnown) return Effect.undefined
  return Effect.map(
    trial.talk({ ...plan, stop: { after: before, how: "stall" } }),
    (silent) => lengthOf(silent.said.slice(0, answered)) === before ? silent.written.length : undefined
  )
}

/**
 * Whether the peer hears the words that are due to this, where it is known which they are, and nothing else. `plan` is how it
 * came to be said.
 */
export const saysRefusal = (
  attempt: Attempt,
  plan: Plan,
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
  const from = talk.heard.length - lengthOf(talk.written.slice(talk.writesBefore[index] ?? talk.written.length))
  // What came before is no answer to what is wrong.
  const heard = from > 0
    ? `behind that it heard ${Trial.show(talk.heard.subarray(from))}`
    : `it heard ${Trial.show(talk.heard)}`
  const fails = (but: string): Effect.Effect<void, Suite.Problem> =>
    Effect.fail({
      ...problem(attempt, talk, {
        scenario,
        expected: `the peer hears ${but}${
          words.length === 0 ? "nothing" : words.map(Trial.show).join(" or ")
        }, as \`refusal\` says`,
        actual: `${heard}, and ${Trial.outcome(talk)}`
      }),
      law: 11
    })
  if (words.length === 0) return own.length === 0 || answers() ? Effect.void : fails("")
  const spoken = words.filter(isLast)
  if (spoken.length === 0) return fails("")
  const longest = Math.max(...spoken.map(({ length }) => length))
  // The words may be the end of what is written in one go, where the rest of it is not told.
  return Effect.flatMap(
    writesBeforeAnswer(attempt, plan, talk, index, longest),
    (count) =>
      count === undefined || lengthOf(talk.written.slice(count + 1)) < longest ? Effect.void : fails("nothing but ")
  )
}
