/**
 * Law 7: interrupted anywhere it releases its connection, once.
 *
 * | what is watched | how |
 * |---|---|
 * | the connection | how often it is opened and released, and whether the peer sees its end |
 * | the side itself | whether it ends, with its finalizers, when its handshake and its connection have |
 * | fibers | those that the side starts, where it is no server of its own |
 * | timers, sockets and whatever else keeps a process alive; open files; listeners of what connections share | as the platform tells, where time is virtual |
 * | what only its author knows, such as permits | as `held` tells |
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Resources from "../resources.ts"
import type { Plan, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { candidateComes, candidatesOf, evenly, nth, placeOfStop, replaced, stopComes, stopsOf } from "./cases.ts"

/** How often conversations are had to see what each one leaves behind. */
const often = 5

/** How many messages that are wrong are among them. */
const refusedOnes = 6

export const interruption: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { needed } = reference
    // Where several trials go on at once, they hold something at any time.
    const held = options.held === undefined || !trial.isVirtual ? Effect.succeed(0) : options.held
    const released = (talk: Talk, scenario: string) => {
      const late = Trial.lingering(talk)
      if (late !== undefined) return Effect.fail(problem(attempt, talk, { scenario, ...late }))
      // A server of its own has fibers that are not the handshake's.
      const { fibers, opened, released } = talk
      const expected =
        "its connection is opened once, released once, its peer sees the end, and none of its fibers goes on"
      const actual = opened !== released || opened > 1
        ? `its connection was opened ${opened} times and released ${released} times`
        : !talk.isEndHeard
        ? "its peer saw no end"
        : fibers > 0 && trial.rung.isFast !== true
        ? `${fibers} of the fibers that it has started go on`
        : undefined
      return actual === undefined ? Effect.void : Effect.fail(problem(attempt, talk, { scenario, expected, actual }))
    }
    const before = yield* held
    yield* attempt.each(stopsOf(reference, needed, 64), (after) =>
      Effect.flatMap(stopComes(trial, { after, how: "interrupt" }), ({ talk }) => {
        if (talk.stoppedIn === undefined) {
          return Effect.void
        }
        coverage.crossed([talk.stoppedIn], "interruption")
        const scenario = `it is interrupted when ${after} of ${needed} bytes have come: ${
          Trial.showUpTo(reference, after)
        }`
        return released(talk, scenario)
      }), { placeOf: placeOfStop })
    yield* released(reference.talk, "it becomes ready, and its scope is closed")
    if (trial.side.role === "client") {
      const talk = yield* trial.talk({ dial: "interrupt" })
      coverage.crossed([talk.step], "interruption")
      if (Trial.lingering(talk) !== undefined || talk.opened !== talk.released) {
        yield* released(talk, "it is interrupted while it dials")
      }
    }
    yield* attempt.each(stopsOf(reference, Math.max(0, needed - 1), 12), (after) =>
      Effect.flatMap(stopComes(trial, { after, how: "end" }), ({ talk }) =>
        released(talk, `the connection ends when ${after} of ${needed} bytes have come`)), { placeOf: placeOfStop })
    const candidates = candidatesOf(trial, reference, options)
    yield* attempt.each(candidates, (candidate) =>
      Effect.flatMap(candidateComes(trial, candidate), ({ talk }) =>
        released(talk, `${candidate.what} comes in the place of ${nth(candidate.index)}`)), {
      placeOf: ({ number }) =>
        number
    })
    if (trial.isVirtual) {
      const half = Math.floor(needed / 2)
      const conversations: ReadonlyArray<Plan> = [
        {},
        ...(["interrupt", "end"] as const).map((how) => ({ stop: { after: half, how } })),
        ...evenly(candidates, refusedOnes).map(({ index, said }) =>
          replaced(index, said)
        )
      ]
      const left = yield* Resources.leftBy(Effect.forEach(conversations, trial.talk, { discard: true }), often)
      if (left !== undefined) {
        return yield* Effect.fail(problem(attempt, reference.talk, {
          scenario:
            `it becomes ready and its scope is closed, is interrupted, is cut off and hears what is wrong, ${often} times, as the platform shows it`,
          expected: "nothing outlives its connection: no timer, no listener, no open file",
          actual: `${left[1]} more of ${left[0]} are there than before`
        }))
      }
    }
    const afterwards = yield* held
    if (afterwards === before) {
      return
    }
    return yield* Effect.fail(problem(attempt, reference.talk, {
      scenario: "it was interrupted, cut off and finished at every place",
      expected: `it holds as much as before: ${before}`,
      actual: `it holds ${afterwards}`
    }))
  })
