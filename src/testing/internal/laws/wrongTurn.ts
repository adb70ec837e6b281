/**
 * Law 5: what is not due now is refused with an error that names the step.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Talk } from "../conversation.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { bytes, candidatesOf, ints, nothing, nth, replaced } from "./cases.ts"

export const wrongTurn: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const refused = (talk: Talk, scenario: string, mayBeReady: boolean) => {
      const flaw = Trial.isReady(talk) ? (mayBeReady ? undefined : Trial.outcome(talk)) : Trial.flawOf(talk)
      if (flaw === undefined) return Effect.void
      return Effect.fail(problem(attempt, talk, {
        scenario,
        expected: mayBeReady
          ? "it becomes ready or fails with a typed error that names the step"
          : "it fails with a typed error that names the step; or `accepts` says that this may come there",
        actual: flaw
      }))
    }
    yield* attempt.each(candidatesOf(trial, reference, options), ({ index, said, what }) =>
      Effect.flatMap(trial.talk(replaced(index, said)), (talk) => {
        coverage.crossed([talk.step], "wrong turn")
        return refused(
          talk,
          `${what}, ${Trial.show(said)}, comes in the place of ${nth(index)}, ${Trial.show(messages[index])}`,
          false
        )
      }))
    yield* attempt.each(messages.slice(0, -1).map((message, index) => ({ index, message })), ({ index, message }) => {
      const due = messages[index + 1]
      const turn = { side: trial.side.role, index: index + 1, said: message, due, messages }
      if (Trial.firstDifference(message, due) === -1 || options.accepts?.(turn) === true) {
        return Effect.void
      }
      return Effect.flatMap(trial.talk(replaced(index, concat([message, message]))), (talk) => {
        coverage.crossed([talk.step], "wrong turn")
        return refused(talk, `${nth(index)} comes twice, and then the conversation goes on`, false)
      })
    })
    // Without regard to what is answered: messages are left out, said twice, or change places.
    const orders: Array<{ readonly index: number; readonly script: ReadonlyArray<Uint8Array>; readonly what: string }> =
      []
    messages.forEach((message, index) => {
      orders.push({ index, script: messages.toSpliced(index, 1), what: `${nth(index)} is left out` })
      if (index === messages.length - 1) {
        return
      }
      orders.push({
        index: index + 1,
        script: messages.toSpliced(index, 0, message),
        what: `${nth(index)} comes twice`
      })
      orders.push({
        index,
        script: messages.toSpliced(index, 2, messages[index + 1], message),
        what: `${nth(index)} and ${nth(index + 1)} change places`
      })
    })
    const inOrder = concat(messages)
    yield* attempt.each(orders, ({ index, script, what }) => {
      const said = concat(script)
      const instead = script[index] ?? nothing
      // What looks the same is the same.
      const same = Trial.firstDifference(said.subarray(0, inOrder.length), inOrder) === -1
      const accepted =
        options.accepts?.({ side: trial.side.role, index, said: instead, due: messages[index], messages }) === true
      return same || accepted
        ? Effect.void
        : Effect.flatMap(trial.talk({ script: said }), (talk) => {
          coverage.crossed([talk.step], "wrong turn")
          return refused(talk, `${what}: ${Trial.show(said)}`, false)
        })
    })
    if (messages.length === 0) {
      return
    }
    yield* attempt.property(
      Arbitrary.all({ index: ints(0, messages.length - 1), garbage: bytes(40), keep: ints(0, 3) }),
      ({ garbage, index, keep }) => {
        const message = messages[index]
        const said = keep === 0
          ? garbage
          : concat([message.subarray(0, Math.floor((message.length * keep) / 4)), garbage])
        return Effect.flatMap(trial.talk(replaced(index, said)), (talk) => {
          coverage.crossed([talk.step], "garbage")
          return refused(talk, `${Trial.show(said)} comes in the place of ${nth(index)}`, true)
        })
      }
    )
  })
