/**
 * The simulated network against real sockets: the same scenarios, and the same seen.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { type Stack, World } from "./ends.ts"
import { type Scenario, scenarios } from "./scenarios.ts"
import { net, node, simulated } from "./stacks.ts"

const observe = (scenario: Scenario, stack: Stack) =>
  Effect.scoped(Effect.gen(function*() {
    const world = new World(yield* stack.open, stack.halfOpen)
    yield* scenario.run(world)
    yield* world.abandon
    return world.notes.lines
  }))

/** What is seen on the simulated network: what two real ones are held against is played once. */
const expectations = new Map<string, Effect.Effect<ReadonlyArray<string>, unknown>>()

const expectation = (scenario: Scenario, halfOpen: boolean) => {
  const key = `${halfOpen} ${scenario.name}`
  const known = expectations.get(key)
  if (known !== undefined) return known
  const made = Effect.runSync(Effect.cached(Effect.provide(observe(scenario, simulated(halfOpen)), TestClock.layer())))
  expectations.set(key, made)
  return made
}

for (const real of [node(true), node(false), net]) {
  describe(real.name, () => {
    for (const scenario of scenarios) {
      const why = scenario.differs?.(real)
      it.live(why === undefined ? scenario.name : `not so: ${scenario.name} (${why})`, () =>
        Effect.gen(function*() {
          const expected = yield* expectation(scenario, real.halfOpen)
          const seen = yield* observe(scenario, real)
          expect(expected.length).toBeGreaterThan(0)
          if (why === undefined) expect(seen).toEqual(expected)
          else expect(seen).not.toEqual(expected)
        }))
    }
  })
}
