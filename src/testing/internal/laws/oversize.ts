/**
 * Law 4: a message without end is refused within the limit.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Codec from "../../../Codec.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import { resized } from "../lengths.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { nth, replaced } from "./cases.ts"
import { bytesOf } from "./options.ts"

/** The places of the first numbers in a text. */
const numbersIn = (message: Uint8Array): ReadonlyArray<{ readonly from: number; readonly to: number }> => {
  const text = String.fromCharCode(...message.subarray(0, 4096))
  return [...text.matchAll(/\d+/g)].slice(0, mostNumbers).map(({ 0: { length }, index }) => ({
    from: index,
    to: index + length
  }))
}

const mostNumbers = 4

const defaultMaxBytes = 2 * Codec.defaultMaxLength

export const oversize: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { messages } = reference
    const maxBytes = options.maxBytes ?? defaultMaxBytes
    const flood = 2 * maxBytes
    // Made when it is said: all of them at once would be more than everything else that a law has in memory.
    const repeat = (unit: Uint8Array) => (): Uint8Array => {
      const said = new Uint8Array(flood)
      said.set(unit.subarray(0, flood))
      for (let done = unit.length; done > 0 && done < flood; done *= 2) {
        said.copyWithin(done, 0, Math.min(done, flood - done))
      }
      return said
    }
    const xs = repeat(bytesOf("x"))
    // So little above the limit, in pieces that are smaller than that, so that who waits for all of it is seen to wait.
    const little = Math.max(1, Math.ceil(maxBytes / 64))
    const chunk = Math.max(1, Math.min(4096, Math.floor(maxBytes / 4)))
    // A million, as a length field of four bytes.
    const lengths = [
      { name: "big-endian", field: Uint8Array.of(0, 0x0f, 0x42, 0x40) },
      { name: "little-endian", field: Uint8Array.of(0x40, 0x42, 0x0f, 0) }
    ]
    const fillers: ReadonlyArray<readonly [name: string, unit: Uint8Array]> = [
      ["the letter x", bytesOf("x")],
      ["the byte 0", Uint8Array.of(0)],
      ["the byte 255", Uint8Array.of(255)]
    ]
    const cases = messages.flatMap((message, index) => [
      ...fillers.flatMap(([name, unit]) => [
        { index, said: repeat(unit), what: `${name}, without end, comes in the place of ${nth(index)}` },
        {
          index,
          said: () => concat([message.subarray(0, Math.ceil(message.length / 2)), repeat(unit)()]),
          what: `${nth(index)} goes on in its middle with ${name}, without end`
        }
      ]),
      { index, said: repeat(message), what: `${nth(index)} is said over and over, without end` },
      // Where that ends a message, it is one with nothing in it.
      {
        index,
        said: repeat(message.subarray(-1)),
        what: `the last byte of ${nth(index)} is said over and over, without end`
      },
      // A million, wherever a number stands that may be a length.
      ...numbersIn(message).map(({ from, to }) => ({
        index,
        said: () => concat([message.subarray(0, from), bytesOf("1000000"), message.subarray(to), xs()]),
        what: `${nth(index)} comes with 1000000 in the place of the number at its byte ${from}, and that much behind it`
      })),
      ...lengths.flatMap(({ field, name }) =>
        [0, 1].map((kept) => ({
          index,
          said: () => concat([message.subarray(0, kept), field, xs()]),
          what: `a length of a million, ${name}, behind ${kept} bytes, and that much comes in the place of ${
            nth(index)
          }`
        }))
      )
    ])
    const complete = options.maxBytes === undefined ?
      [] :
      messages.flatMap((message, index) =>
        message.length > maxBytes ? [] : resized(message, maxBytes + 2 * little).map(({ said, what }) => ({
          index,
          said: () => said,
          what: `${nth(index)} comes complete, with ${said.length} bytes, which ${what} says`,
          pieces: little
        }))
      )
    const all = [...complete, ...cases.map((it) => ({ ...it, pieces: chunk }))]
    yield* attempt.each(all, ({ index, pieces, said, what }) =>
      Effect.flatMap(trial.talk({ ...replaced(index, said()), lengths: [pieces], hushes: true }), (talk) => {
        coverage.heard(index, talk.step, "oversize")
        const before = reference.borders[index]
        const flaw = Trial.flawOf(talk)
        if (flaw === undefined && talk.asked <= before + maxBytes) {
          return Effect.void
        }
        return Effect.fail(problem(attempt, talk, {
          scenario: what,
          expected:
            `it is done, or fails with a typed error, before it has taken more than ${maxBytes} bytes of it, as \`maxBytes\` says`,
          actual: flaw ?? `it had taken ${talk.asked - before} bytes and asked for more: ${Trial.outcome(talk)}`
        }))
      }))
  })
