/**
 * Law 2: what follows the handshake arrives intact, and what comes too early is not lost.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Behind, Plan } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Attempt, type Check, ended, problem } from "./attempt.ts"
import { bytes, cuttings, inPieces, ints, nothing, nth, replaced } from "./cases.ts"
import { bytesOf } from "./options.ts"

/** What is asked behind the handshake, and what is answered, as bytes; nothing where it is not known. */
interface Exchange {
  readonly requests: ReadonlyArray<Uint8Array>
  readonly answers: Uint8Array
}

const exchangeOf = ({ options, reference, trial }: Attempt): Effect.Effect<Exchange> => {
  const { calls } = options
  if (calls === undefined || trial.side.role !== "server" || options.client === undefined) {
    return Effect.succeed({ requests: [], answers: nothing })
  }
  const asks: Behind = (transport) =>
    Effect.forEach(calls.requests, (request) => transport.send(request), { discard: true })
  return Effect.map(
    trial.talk({ behind: calls.serve, peerBehind: asks }),
    (talk) => ({
      requests: talk.messages.slice(reference.talk.messages.length),
      answers: talk.heard.subarray(reference.talk.heard.length)
    })
  )
}

/** What an undisturbed conversation leaves, and what comes early. */
export const nothingLost: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { beyond, messages } = reference
    if (beyond.length > 0 && options.trailing?.[trial.side.role] !== true) {
      return yield* Effect.fail(problem(attempt, reference.talk, {
        scenario: "nobody disturbs the conversation, and nothing is said behind it",
        expected:
          "nothing of the handshake is left unread when it is done; or `trailing` says that something may come still",
        actual: `${Trial.show(beyond)} is left, and would be the first that is served`
      }))
    }
    // What comes before its time must not be lost, and must not be taken for something that came later.
    const early = messages.slice(0, -1).flatMap((message, index) =>
      [message, bytesOf("EVIL\n"), Uint8Array.of(0, 0xff, 0x16, 3, 1, 0)].map((said) => ({
        index,
        message,
        said
      }))
    )
    yield* attempt.each(early, ({ index, message, said }) => {
      if (
        options.accepts?.({ side: trial.side.role, index: index + 1, said, due: messages[index + 1], messages }) ===
          true
      ) {
        return Effect.void
      }
      return Effect.flatMap(trial.talk(replaced(index, concat([message, said]))), (talk) => {
        coverage.heard(index + 1, talk.step, "early bytes")
        if (!Trial.isReady(talk)) return Effect.void
        // Who would let that in at its time, too, is a matter of law 5.
        return Effect.flatMap(trial.talk(replaced(index + 1, said)), (alone) =>
          Trial.isReady(alone) ? Effect.void : Effect.fail(problem(attempt, talk, {
            scenario: `${Trial.show(said)} comes with ${nth(index)}, before the ${trial.side.role} has answered that`,
            expected:
              "they are still there for the next step, which refuses them; or `accepts` says that they may come there",
            actual: "it became ready, and they were ignored, dropped, or taken for something that came later"
          })))
      })
    })
  })

/** What follows the handshake. */
export const conservation: Check = (attempt) =>
  Effect.gen(function*() {
    const { options, reference, trial } = attempt
    const { beyond, messages } = reference
    const last = messages.length - 1
    const following = (rest: Uint8Array): Plan =>
      last === -1
        ? { script: rest }
        : { say: (index, message) => index === reference.talk.messages.length - 1 ? concat([message, rest]) : message }
    // Behind the handshake come frames, which random bytes seldom are.
    const { answers, requests } = yield* exchangeOf(attempt)
    const frames = [nothing, ...messages, ...requests]
    yield* attempt.property(
      Arbitrary.all({
        cutting: cuttings,
        whole: ints(0, 3),
        picked: Arbitrary.array(ints(0, frames.length - 1), { maxLength: 3 }),
        random: bytes(48)
      }),
      ({ cutting, picked, random, whole }) => {
        const rest = concat([...picked.map((index) => frames[index]), random])
        return Effect.flatMap(
          trial.talk({ ...following(rest), seed: cutting.seed, lengths: whole === 0 ? cutting.lengths : undefined }),
          (talk) => {
            // Who needs to hear nothing has no peer that would say more.
            const expected = last === -1 ? rest : concat([beyond, rest])
            const came = talk.rest
            const at = came === undefined ? 0 : Trial.firstDifference(expected, came)
            if (at === -1) return Effect.void
            return Effect.fail(problem(attempt, talk, {
              scenario: `${Trial.show(rest)} follows the last message of the handshake${
                whole === 0 ? `, all of it ${inPieces({ ...cutting, slow: false })}` : " in the same segment"
              }`,
              expected: `the ${trial.side.role} becomes ready, and receives ${Trial.show(expected)} behind it`,
              actual: came === undefined
                ? Trial.outcome(talk)
                : `it received ${
                  Trial.show(came)
                }, which is different from byte ${at} on (${came.length} of ${expected.length} bytes)`
            }))
          }
        )
      }
    )
    if (requests.length > 0) {
      const asked = concat(requests)
      yield* attempt.property(cuttings, (cutting) => {
        const plan = { ...following(asked), lengths: cutting.lengths, seed: cutting.seed, behind: options.calls!.serve }
        return Effect.flatMap(trial.talk(plan), (talk) => {
          const heard = talk.heard.subarray(Math.max(0, talk.heard.length - answers.length))
          if (Trial.firstDifference(heard, answers) === -1) return Effect.void
          return Effect.fail(problem(attempt, talk, {
            scenario: `${Trial.show(asked)} follows the last message of the handshake, all of it ${
              inPieces({ ...cutting, slow: false })
            }`,
            expected: `each request is answered: the peer hears ${Trial.show(answers)}`,
            actual: `it heard ${Trial.show(talk.heard)}, and the service ${ended(talk.behind)}`
          }))
        })
      })
    }
  })
