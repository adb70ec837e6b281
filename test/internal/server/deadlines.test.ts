import { expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import type { Admitted } from "../../../src/internal/server/connections.ts"
import { Deadlines } from "../../../src/internal/server/deadlines.ts"

it.effect("strikes once, also where a sum of fractions is a little more than the time that has passed", () =>
  Effect.gen(function*() {
    const context = yield* Effect.context<never>()
    // Half a picosecond is left when the clock has come there.
    const state = { phase: "closing", since: 5e-10 } as Admitted
    const admitted = new Set([state])
    const clock = yield* Clock.Clock
    let sleeps = 0
    let cuts = 0
    const deadlines = new Deadlines({
      admitted,
      now: () => clock.currentTimeMillisUnsafe(),
      fork: (effect) => {
        sleeps++
        return Effect.runForkWith(context)(effect)
      },
      cut: (state) => {
        cuts++
        admitted.delete(state)
      }
    })
    deadlines.watch(state)
    yield* TestClock.adjust(999)
    expect(cuts).toBe(0)
    yield* TestClock.adjust(1)
    expect(cuts).toBe(1)
    expect(sleeps).toBeLessThan(3)
  }))
