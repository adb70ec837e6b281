/**
 * Law 7: interrupted anywhere it releases its connection, once.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import { concat } from "../../../internal/bytes/primitives.ts"
import type { Talk } from "../conversation.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { stopsOf } from "./cases.ts"

/** How often a conversation is had to see what each one leaves behind. */
const often = 8

/** What keeps the process alive, by its kind, where the platform tells: timers, sockets, listeners, files. */
const resources = (): Map<string, number> => {
  const platform =
    (globalThis as { readonly process?: { readonly getActiveResourcesInfo?: () => Array<string> } }).process
  const counts = new Map<string, number>()
  for (const kind of platform?.getActiveResourcesInfo?.() ?? []) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

export const interruption: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference, trial } = attempt
    const { needed } = reference
    // Where several trials go on at once, they hold something at any time.
    const held = options.held === undefined || !trial.isVirtual ? Effect.succeed(0) : options.held
    const released = (talk: Talk, scenario: string) => {
      // A server of its own has fibers that are not the handshake's.
      const { fibers, opened, released } = talk
      const expected =
        "its connection is opened once, released once, its peer sees the end, and none of its fibers goes on"
      const actual = !talk.isOver
        ? "it has not ended"
        : opened !== released || opened > 1
        ? `its connection was opened ${opened} times and released ${released} times`
        : !talk.isEndHeard
        ? "its peer saw no end"
        : fibers > 0 && trial.rung.isFast !== true
        ? `${fibers} of the fibers that it has started go on`
        : undefined
      return actual === undefined ? Effect.void : Effect.fail(problem(attempt, talk, { scenario, expected, actual }))
    }
    const before = yield* held
    const open = trial.isVirtual ? resources() : new Map<string, number>()
    yield* attempt.each(stopsOf(reference, needed, 64), (after) =>
      Effect.flatMap(trial.talk({ stop: { after, how: "interrupt" } }), (talk) => {
        if (talk.stoppedIn === undefined) {
          return Effect.void
        }
        coverage.crossed([talk.stoppedIn], "interruption")
        const scenario = `it is interrupted when ${after} of ${needed} bytes have come: ${
          Trial.showUpTo(concat(reference.messages), after)
        }`
        const late = talk.overAt - (talk.stoppedAt ?? 0)
        return late > 2000 + trial.rung.lag
          ? Effect.fail(problem(attempt, talk, {
            scenario,
            expected: "it ends at once, but for the second in which it may flush what it has said",
            actual: `it has ended after ${late} ms`
          }))
          : released(talk, scenario)
      }))
    yield* released(reference.talk, "it becomes ready, and its scope is closed")
    if (trial.side.role === "client") {
      const talk = yield* trial.talk({ dial: "interrupt" })
      coverage.crossed([talk.step], "interruption")
      if (!talk.isOver || talk.opened !== talk.released) {
        yield* released(talk, "it is interrupted while it dials")
      }
    }
    yield* attempt.each(stopsOf(reference, Math.max(0, needed - 1), 12), (after) =>
      Effect.flatMap(trial.talk({ stop: { after, how: "end" } }), (talk) =>
        released(talk, `the connection ends when ${after} of ${needed} bytes have come`)))
    if (trial.isVirtual) {
      // What goes on for a moment, or belongs to somebody else, is not there once for each conversation.
      for (let again = 0; again < often; again++) {
        yield* trial.talk({})
      }
      for (const [kind, count] of resources()) {
        const left = count - (open.get(kind) ?? 0)
        if (left < often) {
          continue
        }
        return yield* Effect.fail(problem(attempt, reference.talk, {
          scenario:
            `it becomes ready and its scope is closed, ${often} times, as the platform's own list of resources shows it`,
          expected: "nothing outlives its connection",
          actual: `${left} more of ${kind} are there than before`
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
