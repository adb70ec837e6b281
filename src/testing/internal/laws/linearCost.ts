/**
 * Law 8: what comes costs a constant per byte, however small the pieces, and holds nobody else up.
 *
 * | what is counted | where |
 * |---|---|
 * | the bytes that decoders look at | byte by byte, in the conversation and in messages that go on and on |
 * | the CPU time of a turn of the event loop | in the conversation, where something else is said, and as a message grows |
 *
 * Time is looked at only where nothing can be counted: what a handshake does with a message is its own. A turn is too long when
 * it is so each time, and for a message that has grown, when it takes much more than in proportion.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import { concat } from "../../../internal/bytes/primitives.ts"
import * as Alterations from "../alterations.ts"
import type * as Suite from "../suite.ts"
import type { Plan, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import * as Turns from "../turns.ts"
import { type Attempt, type Check, problem } from "./attempt.ts"
import { candidateComes, candidatesOf, evenly, nth, replaced } from "./cases.ts"

/** How many bytes a decoder may look at for each that has come. */
const costPerByte = 16

/**
 * By how much a message grows. What doubles with each byte is found while it can be waited for, before what goes with the square
 * of them.
 */
const sizes = [14, 21, 30, 2048, 24_576] as const

/** For how many of its runs a law lets one field grow, so that a slow handshake can be tried less. */
const runsPerGrowth = 20

/** How many times as long a turn may take for a message that is a few times as long. */
const proportion = 2.5

/**
 * Whether a turn takes much longer than one for less does. Of what has taken no time that can be measured, everything is a multiple.
 */
export const isOutOfProportion = (millis: number, by: number, smaller: number, before: number): boolean =>
  millis > proportion * (before === 0 ? 1 : by / before) * Math.max(smaller, 1)

const turnOf = ({ trial }: Attempt, plan: Plan): Effect.Effect<readonly [Talk, number]> =>
  Turns.shortest(trial.talk(plan), Turns.tooLong)

/** What is wrong where nothing is too long and all the same a turn is. */
export const isBusy = (millis: number): Pick<Suite.Problem, "expected" | "actual"> => ({
  expected: "a turn of the event loop is short, for nobody else is served in it: what takes long is done elsewhere",
  actual: `a turn has taken ${Math.round(millis)} ms of CPU time`
})

/** What is wrong where a turn takes longer than it may for what has grown. */
export const isSlow = (
  millis: number,
  smaller: number,
  before: number
): Pick<Suite.Problem, "expected" | "actual"> => ({
  expected: "it costs a constant for each byte, and no turn of the event loop takes long",
  actual: `a turn has taken ${Math.round(millis)} ms of CPU time, and ${Math.round(smaller)} ms with ${before} of them`
})

interface Growing {
  readonly index: number
  readonly what: string
  readonly plan: (by: number) => Plan
}

/** What ends a text stays at its end. */
const endOf = (message: Uint8Array): number => {
  let { length } = message
  while (length > 0 && [0, 0x0a, 0x0d].includes(message[length - 1])) length--
  return length
}

const growing = ({ reference }: Attempt): ReadonlyArray<Growing> => {
  const { messages, talk } = reference
  const areFrames = talk.frames.length === talk.messages.length
  return messages.flatMap((message, index): ReadonlyArray<Growing> =>
    Alterations.growthsOf(areFrames ? talk.frames[index] : message.subarray(0, endOf(message))).map((
      { grow, what }
    ) => ({
      index,
      what: `${nth(index)} has more of ${what}`,
      plan: (by) =>
        areFrames
          ? { alters: { index, apply: (frame) => grow(frame, by) } }
          : {
            say: (i, due) => {
              if (i !== index) return due
              const grown = grow(due.subarray(0, endOf(due)), by)
              return grown instanceof Uint8Array ? concat([grown, due.subarray(endOf(due))]) : due
            }
          }
    }))
  )
}

/** That nobody else has to wait for a conversation, as far as the platform tells. */
export const shortTurns: Check = (attempt) =>
  Effect.gen(function*() {
    if (!attempt.trial.isVirtual || !Turns.areKnown()) return
    const [talk, millis] = yield* Turns.shortest(attempt.trial.talk({}), Turns.tooBusy, 3)
    if (!Turns.isLong(millis, Turns.tooBusy)) return
    return yield* Effect.fail(
      problem(attempt, talk, { scenario: "nobody disturbs the conversation", ...isBusy(millis) })
    )
  })

/** The same where something else is said: the work for whoever is not let in is work, too. */
const shortWhereWrong = (attempt: Attempt): Effect.Effect<void, Suite.Problem> => {
  const { options, reference, trial } = attempt
  if (!trial.isVirtual || !Turns.areKnown()) return Effect.void
  return attempt.each(candidatesOf(trial, reference, options), (candidate) =>
    Effect.gen(function*() {
      const { index, said, what } = candidate
      const { talk } = yield* candidateComes(trial, candidate)
      const plan = replaced(index, said)
      const millis = yield* Trial.busyIn(trial, plan, talk, trial.talk(plan))
      if (millis === undefined) return
      const scenario = `${what} comes in the place of ${nth(index)}`
      return yield* Effect.fail(problem(attempt, talk, { scenario, ...isBusy(millis) }))
    }), { placeOf: ({ number }) => number })
}

/** The same as messages grow. */
const growsInProportion = (attempt: Attempt): Effect.Effect<void, Suite.Problem> =>
  Effect.gen(function*() {
    const { options, trial } = attempt
    if (!trial.isVirtual || !Turns.areKnown()) return
    const cases = evenly(growing(attempt), Math.ceil((options.runs ?? 200) / runsPerGrowth))
    if (cases.length === 0) return
    const [, alone] = yield* turnOf(attempt, {})
    yield* attempt.once(cases, ({ index, plan, what }) =>
      Effect.gen(function*() {
        let [before, smaller] = [0, alone]
        for (const by of sizes) {
          const [talk, millis] = yield* turnOf(attempt, plan(by))
          const isLong = millis > Turns.tooLong && isOutOfProportion(millis, by, smaller, before)
          if (isLong && Turns.isLong(millis, Turns.tooLong)) {
            return yield* Effect.fail(
              problem(attempt, talk, { scenario: `${what}, ${by} times`, ...isSlow(millis, smaller, before) })
            )
          }
          // What is too long for its codec cannot be said.
          if (talk.said.length <= index || talk.said[index].length < by) return
          ;[before, smaller] = [by, millis]
        }
      }))
  })

export const linearCost: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, reference, trial } = attempt
    const { messages } = reference
    yield* shortWhereWrong(attempt)
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
    // What comes when it has failed it looks at no more.
    yield* attempt.each(cases, ({ index, said, what }) =>
      Effect.flatMap(trial.talk({ ...replaced(index, said), lengths: [1], counts: true, hushes: true }), (talk) => {
        coverage.heard(index, talk.step, "long frame")
        return affordable(talk, `${what}, byte by byte`)
      }))
    yield* growsInProportion(attempt)
  })
