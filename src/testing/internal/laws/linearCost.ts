/**
 * Law 8: decoding costs a constant per byte, however small the pieces.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Talk } from "../conversation.ts"
import { type Check, problem } from "./attempt.ts"
import { nth, replaced } from "./cases.ts"

/** How many bytes a decoder may look at for each that has come. */
const costPerByte = 16

export const linearCost: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, reference, trial } = attempt
    const { messages } = reference
    const affordable = (talk: Talk, scenario: string) => {
      const allowed = costPerByte * talk.pulled + 256
      return talk.examined <= allowed ? Effect.void : Effect.fail(problem(attempt, talk, {
        scenario,
        expected:
          `its decoders look at a constant number of bytes for each that came, at ${allowed} for these ${talk.pulled}`,
        actual: `they looked at ${talk.examined} bytes`
      }))
    }
    yield* Effect.flatMap(
      trial.talk({ lengths: [1], counts: true }),
      (talk) => affordable(talk, "the conversation comes byte by byte")
    )
    const length = trial.isVirtual ? 1500 : 300
    const cases = messages.flatMap((message, index) =>
      [message[0], 0x78, 0, 0xff].flatMap((filler) =>
        [0, Math.ceil(message.length / 2)].map((kept) => ({
          index,
          said: concat([message.subarray(0, kept), new Uint8Array(length).fill(filler)]),
          what: `${
            kept === 0 ? `${nth(index)} is` : `${nth(index)} goes on in its middle with`
          } the byte ${filler}, ${length} times`
        }))
      )
    )
    yield* attempt.each(cases, ({ index, said, what }) =>
      Effect.flatMap(trial.talk({ ...replaced(index, said), lengths: [1], counts: true }), (talk) => {
        coverage.heard(index, talk.step, "long frame")
        return affordable(talk, `${what}, byte by byte`)
      }))
  })
