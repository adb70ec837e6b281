/**
 * Law 3: cut off after any byte it fails at once, and right behind the handshake it ends in order.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Excerpt from "../../../Excerpt.ts"
import { isTransportError } from "../../../TransportError.ts"
import type { Stop } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { mostEnds, placeOfStop, stopComes, stopsOf } from "./cases.ts"

export const truncation: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, reference, trial } = attempt
    const { needed } = reference
    // A side that takes some time of its own, such as to look something up, sees the end when it listens again.
    const tolerance = trial.rung.lag + (trial.isVirtual ? reference.talk.endedAt : 1000)
    if (needed > 0) {
      // It ends after every byte; for a reset it is enough to come at every border and within every message.
      const cases = ([["end", mostEnds], ["reset", 24]] as const).flatMap(([how, most]) =>
        stopsOf(reference, needed - 1, most).map((after): Stop => ({ after, how }))
      )
      yield* attempt.each(cases, (stop) =>
        Effect.flatMap(stopComes(trial, stop), ({ talk }) => {
          // Where a message is shorter this time, it was cut behind the last one.
          if (talk.stoppedIn === undefined || Trial.isComplete(reference, talk)) return Effect.void
          coverage.crossed([talk.stoppedIn], stop.how === "end" ? "cut" : "reset")
          const flaw = Trial.isReady(talk) ? Trial.outcome(talk) : Trial.flawOf(talk)
          const late = talk.endedAt - (talk.stoppedAt ?? 0)
          if (flaw === undefined && late <= tolerance) return Effect.void
          return Effect.fail(problem(attempt, talk, {
            scenario: `the connection ${
              stop.how === "end" ? "ends" : "is reset"
            } after byte ${stop.after} of ${needed}: ${Trial.showUpTo(reference, stop.after)}`,
            expected: "it fails at once with a typed error that names the step",
            actual: flaw ?? `${Trial.outcome(talk)}, but only ${late} ms after the end`
          }))
        }), { placeOf: ({ after }) => placeOfStop(after) })
    }
    if (trial.side.role === "client") {
      const talk = yield* trial.talk({ dial: "refuse" })
      coverage.crossed([talk.step], "cut")
      const flaw = Trial.isReady(talk) ? Trial.outcome(talk) : Trial.flawOf(talk)
      if (flaw !== undefined) {
        return yield* Effect.fail(problem(attempt, talk, {
          scenario: "the connection is refused when it dials",
          expected: "it fails with a typed error",
          actual: flaw
        }))
      }
    }
    const { restEnd } = reference.talk
    const error = restEnd === undefined ? undefined : Cause.squash(restEnd)
    if (isTransportError(error) && error.reason._tag === "ConnectionClosed") return
    return yield* Effect.fail(problem(attempt, reference.talk, {
      scenario: "the connection ends right behind the handshake",
      expected: "that is a clean end: ConnectionClosed",
      actual: `it ended with ${Excerpt.ofText(String(error))}`
    }))
  })
