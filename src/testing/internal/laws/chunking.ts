/**
 * Law 1: however the bytes are cut or joined, the outcome is the same.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import { isHandshakeError } from "../../../HandshakeError.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Plan, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { bytes, candidatesOf, type Cutting, cuttings, inPieces, ints, nth, pacing, saidAgain } from "./cases.ts"
import { bytesOf } from "./options.ts"

/** What somebody can tell of a conversation who looks at the side under test. */
const fingerprint = (talk: Talk): Record<string, unknown> => {
  const error = talk.exit !== undefined && Exit.isFailure(talk.exit) ? Cause.squash(talk.exit.cause) : undefined
  return {
    outcome: talk.exit === undefined ? "waits" : Exit.isSuccess(talk.exit) ? "ready" : "failed",
    reason: isHandshakeError(error) ? error.reason._tag : error === undefined ? undefined : String(error),
    step: isHandshakeError(error) ? error.step : undefined,
    message: isHandshakeError(error) ? error.message : undefined,
    "what it said": Trial.show(concat(talk.written)),
    "what came behind the handshake": talk.rest === undefined ? undefined : Trial.show(talk.rest)
  }
}

export const chunking: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const all = concat(messages)
    const tail = bytesOf("what follows")
    const scripts: Array<{ readonly said: Uint8Array | undefined; readonly what: string }> = [
      { said: undefined, what: "the conversation" },
      { said: concat([all, reference.beyond, tail]), what: "all that the peer says" }
    ]
    for (const { index, said, what } of candidatesOf(trial, reference, options)) {
      const before = concat(messages.slice(0, index))
      scripts.push({ said: concat([before, said, tail]), what: `${what} in the place of ${nth(index)}` })
    }
    const plan = (said: Uint8Array | undefined): Plan => said === undefined ? {} : { script: said }
    const inOnePiece = new Map([[0, fingerprint(reference.talk)]])
    const expected = Effect.fnUntraced(function*(index: number) {
      const known = inOnePiece.get(index) ?? fingerprint(yield* trial.talk(plan(scripts[index].said)))
      inOnePiece.set(index, known)
      return known
    })
    const compare = Effect.fnUntraced(function*(
      plan: Plan,
      whole: Record<string, unknown>,
      what: string,
      cutting: Cutting
    ) {
      const { lengths, seed } = cutting
      const pace = pacing(cutting, plan.script?.length ?? reference.needed)
      const talk = yield* trial.talk({ ...plan, lengths, seed, pace })
      coverage.crossed(talk.steps, "split")
      const cutUp = fingerprint(talk)
      const differing = Object.keys(whole).filter((key) => !Equal.equals(whole[key], cutUp[key]))
      if (differing.length === 0) return
      // What differs between conversations that were alike, such as a nonce, a date or whose turn it is, is not of the cut.
      const again = [fingerprint(yield* trial.talk(plan)), fingerprint(yield* trial.talk(plan))]
      const alike = differing.filter((key) => again.every((other) => Equal.equals(whole[key], other[key])))
      if (alike.length === 0) return
      const cutAgain = fingerprint(yield* trial.talk({ ...plan, lengths, seed, pace }))
      const different = alike.find((key) => Equal.equals(cutUp[key], cutAgain[key]))
      if (different === undefined) {
        // By chance it was what is due this time.
        if (!Trial.isReady(talk) || plan.script === undefined || options.fresh?.[trial.side.role] !== true) return
        return yield* Effect.fail(saidAgain(attempt, talk))
      }
      return yield* Effect.fail(problem(attempt, talk, {
        scenario: `${what} comes ${inPieces(cutting)}`,
        expected: `the same as in one piece; ${different}: ${whole[different]}`,
        actual: `${different}: ${cutUp[different]} (${Trial.outcome(talk)})`
      }))
    })
    yield* attempt.property(
      Arbitrary.all({ cutting: cuttings, pick: ints(0, scripts.length - 1) }),
      ({ cutting, pick }) =>
        Effect.flatMap(
          expected(pick),
          (whole) => compare(plan(scripts[pick].said), whole, scripts[pick].what, cutting)
        ),
      0.5
    )
    // Whatever was drawn: who takes for a message whatever has come shows here.
    const whole = yield* expected(0)
    for (const length of [1, 2]) {
      yield* compare({}, whole, scripts[0].what, { lengths: [length], seed: 0, slow: false })
    }
    const said = yield* expected(1)
    yield* compare(plan(scripts[1].said), said, scripts[1].what, { lengths: [1], seed: 0, slow: false })
    yield* attempt.property(
      Arbitrary.all({ cutting: cuttings, garbage: bytes(40), after: ints(0, messages.length) }),
      ({ after, cutting, garbage }) => {
        const script = concat([...messages.slice(0, after), garbage])
        return Effect.flatMap(
          trial.talk({ script }),
          (talk) => compare({ script }, fingerprint(talk), Trial.show(script), cutting)
        )
      },
      0.5
    )
  })
