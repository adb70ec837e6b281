/**
 * The time in which conversations are had.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { Simulation } from "../../src/testing/internal/simulation.ts"

const run = <A, E>(effect: Effect.Effect<A, E>, breathe?: Effect.Effect<void>) => new Simulation().run(effect, breathe)

describe("Simulation", () => {
  it("a day is over at once, and the clock has seen it", () => {
    const day = Effect.gen(function*() {
      yield* Effect.sleep("1 day")
      return yield* Clock.currentTimeMillis
    })
    expect(Effect.runSync(run(day))).toEqual(Exit.succeed(86_400_000))
  })

  it("sleepers wake in the order of their time, and those of one time in the order in which they lay down", () => {
    const order: Array<string> = []
    const sleeper = (name: string, millis: number) =>
      Effect.andThen(Effect.sleep(millis), Effect.sync(() => order.push(name)))
    Effect.runSync(run(
      Effect.all([sleeper("c", 20), sleeper("a", 10), sleeper("b", 10), sleeper("d", 30)], { concurrency: "unbounded" })
    ))
    expect(order).toEqual(["a", "b", "c", "d"])
  })

  it("the clock stands still for as long as anybody has something to do", () => {
    const busy = Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Effect.sleep(10))
      for (let i = 0; i < 1000; i++) yield* Effect.yieldNow
      const before = yield* Clock.currentTimeMillis
      yield* Fiber.join(fiber)
      return [before, yield* Clock.currentTimeMillis]
    })
    expect(Effect.runSync(run(busy))).toEqual(Exit.succeed([0, 10]))
  })

  it("a timeout strikes at its time, and not before what comes in time", () => {
    const within = (millis: number) => Effect.timeoutOption(Effect.as(Effect.sleep(millis), "done"), 100)
    const both = Effect.map(Effect.all([within(99), within(101)]), (options) => options.map(({ _tag }) => _tag))
    expect(Effect.runSync(run(both))).toEqual(Exit.succeed(["Some", "None"]))
  })

  it("an effect that nothing can wake any more ends the run without a result", () => {
    expect(Effect.runSync(run(Effect.never))).toBeUndefined()
  })

  it("what fails in it has no stack, and whatever fails beside it has one", () => {
    const { stackTraceLimit } = Error
    const frames = () => new Error("no").stack?.split("\n").length
    const first = Effect.sync(frames)
    const later = Effect.andThen(Effect.sleep(1), first)
    expect(Effect.runSync(run(Effect.all([first, later])))).toEqual(Exit.succeed([1, 1]))
    expect(Error.stackTraceLimit).toBe(stackTraceLimit)
    expect(frames()).toBeGreaterThan(1)
  })

  it("a failure is the result", () => {
    expect(Effect.runSync(run(Effect.fail("no")))).toEqual(Exit.fail("no"))
  })

  it.effect("with a breath between, a promise is waited for", () =>
    Effect.gen(function*() {
      const promised = Effect.promise(() => Promise.resolve("kept"))
      expect(yield* run(promised, Effect.yieldNow)).toEqual(Exit.succeed("kept"))
    }))

  it.effect("an interrupted run interrupts what it runs", () =>
    Effect.gen(function*() {
      let interrupted = false
      const patient = Effect.onInterrupt(Effect.never, () =>
        Effect.sync(() => {
          interrupted = true
        }))
      const fiber = yield* Effect.forkChild(run(Effect.andThen(patient, Effect.void), Effect.never))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      expect(interrupted).toBe(true)
    }))

  it("the same program runs the same way each time", () => {
    const trace = () => {
      const seen: Array<number> = []
      const worker = (id: number): Effect.Effect<void> =>
        Effect.gen(function*() {
          for (let i = 0; i < 5; i++) {
            seen.push(id)
            yield* i % 2 === 0 ? Effect.yieldNow : Effect.sleep(id)
          }
        })
      Effect.runSync(run(Effect.all([worker(3), worker(1), worker(2)], { concurrency: "unbounded" })))
      return seen
    }
    expect(trace()).toEqual(trace())
  })
})
