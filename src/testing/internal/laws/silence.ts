/**
 * Law 6: the deadline strikes whoever is silent or dribbles, and nobody who is ready.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { mayDribble } from "../coverage.ts"
import type { Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Check, problem } from "./attempt.ts"
import { nth, placeOfStop, stopComes, stopsOf } from "./cases.ts"
import { bounded, deadlineOf } from "./deadline.ts"
import { bytesOf } from "./options.ts"

export const silence: Check = (attempt) =>
  Effect.gen(function*() {
    const { coverage, options, reference } = attempt
    const { peer, rung, side } = attempt.trial
    const given = { role: side.role, handshake: attempt.handshake }
    // Where time is virtual, every trial has this deadline.
    const trial = attempt.trial.isVirtual
      ? attempt.trial
      : Trial.make(rung, bounded(given, rung, options, deadlineOf(options, given.role, rung)), peer, options)
    const { needed } = reference
    const deadline = Duration.toMillis(deadlineOf(options, trial.side.role, trial.rung))
    // That is too long to wait for on real sockets; the other rungs have all the time there is.
    if (!trial.isVirtual && deadline > 2000) return
    const tolerance = trial.isVirtual ? trial.rung.lag : 800
    const atDeadline = (talk: Talk, scenario: string) => {
      const flaw = Trial.isReady(talk) ? Trial.outcome(talk) : Trial.flawOf(talk)
      const late = talk.endedAt - deadline
      if (flaw === undefined && late <= tolerance) return Effect.void
      return Effect.fail(problem(attempt, talk, {
        scenario,
        expected: `it fails with a typed error at its deadline, after ${deadline} ms`,
        actual: flaw ?? `${Trial.outcome(talk)}, after ${talk.endedAt} ms`
      }))
    }
    if (needed > 0) {
      yield* attempt.each(stopsOf(reference, needed - 1, 40), (after) =>
        Effect.flatMap(stopComes(trial, { after, how: "stall" }), ({ talk }) => {
          if (talk.stoppedIn === undefined || Trial.isComplete(reference, talk)) {
            return Effect.void
          }
          coverage.crossed([talk.stoppedIn], "silence")
          return atDeadline(
            talk,
            `the peer falls silent after byte ${after} of ${needed}: ${Trial.showUpTo(reference, after)}`
          )
        }), { most: 3, placeOf: placeOfStop })
    }
    // Nothing of the rung is in it, so that nobody has to wait for it on real sockets.
    if (trial.side.role === "client" && trial.isVirtual) {
      const talk = yield* trial.talk({ dial: "hang" })
      coverage.crossed([talk.step], "silence")
      yield* atDeadline(talk, "nobody answers when it dials")
    }
    const dribbled = reference.messages.flatMap((message, index) =>
      mayDribble(message) ? [{ index, from: reference.borders[index] }] : []
    )
    yield* attempt.each(dribbled, ({ from, index }) => {
      const pace = { millis: deadline / 4, from }
      return Effect.flatMap(trial.talk({ lengths: [1], pace }), (talk) => {
        coverage.heard(index, talk.step, "dribble")
        return atDeadline(talk, `the peer says ${nth(index)} one byte at a time, every ${pace.millis} ms`)
      })
    }, { most: 2 })
    if (reference.messages.length > 1) {
      const pause = deadline * 0.6
      const talk = yield* trial.talk({ pause })
      yield* atDeadline(talk, `the peer takes ${pause} ms for each message, so that the second one comes too late`)
    }
    const later = { after: trial.isVirtual ? 86_400_000 : deadline, say: bytesOf("still here") }
    // A handshake that takes some time of its own has to have that.
    const own = reference.talk.endedAt + 2 * trial.rung.lag
    const delay = trial.isVirtual ? Math.max(0, deadline - own) : deadline / 4
    const talk = yield* trial.talk({ delay, later })
    // The peer may have had something to say in the meantime.
    const last = talk.rest?.subarray(-later.say.length)
    if (last !== undefined && Trial.firstDifference(last, later.say) === -1) {
      return
    }
    return yield* Effect.fail(problem(attempt, talk, {
      scenario: `the peer says its first word after ${delay} ms, just inside the deadline of ${deadline} ms, and ${
        Trial.show(later.say)
      } when ${later.after} ms have passed behind the handshake`,
      expected: "the deadline does nothing once the handshake is done",
      actual: talk.rest === undefined
        ? Trial.outcome(talk)
        : `the connection was closed after ${talk.overAt} ms, and ${Trial.show(talk.rest)} was received`
    }))
  })
