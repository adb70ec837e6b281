import { describe, expect, it } from "@effect/vitest"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { of } from "../../../src/internal/connection/alarm.ts"
import { inTime } from "../../../src/internal/connection/inTime.ts"

const late = () => Effect.succeed("late")

/** How many wait by the clock of this test. */
const waiting = Effect.contextWith((context: Context.Context<never>) => Effect.succeed(of(context).size))

describe("what takes no longer than a time", () => {
  it.effect("is what it comes to, up to the last millisecond", () =>
    Effect.gen(function*() {
      const takes = (millis: number) => Effect.as(Effect.sleep(millis), "done")
      const [inside, beyond] = [inTime(takes(999), 1000, late), inTime(takes(1001), 1000, late)]
      const fibers = yield* Effect.forEach([inside, beyond], (effect) => Effect.forkChild(effect))
      yield* TestClock.adjust("999 millis")
      expect(fibers.map((fiber) => fiber.pollUnsafe())).toEqual([Exit.succeed("done"), undefined])
      expect(yield* waiting).toBe(1)
      yield* TestClock.adjust("1 millis")
      expect(fibers.map((fiber) => fiber.pollUnsafe())).toEqual([Exit.succeed("done"), Exit.succeed("late")])
      expect(yield* waiting).toBe(0)
    }))

  it.effect("fails as it fails, and waits for nothing where it is done at once", () =>
    Effect.gen(function*() {
      expect(yield* Effect.exit(inTime(Effect.fail("no"), 1000, late))).toEqual(Exit.fail("no"))
      expect(yield* Effect.exit(inTime(Effect.die("bug"), 1000, late))).toEqual(Exit.die("bug"))
      expect(yield* inTime(Effect.succeed("done"), 0, late)).toBe("done")
      expect(yield* waiting).toBe(0)
    }))

  it.effect("has all the time that there is where that is infinite", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(inTime(Effect.as(Effect.sleep("100 days"), "done"), Infinity, late))
      yield* TestClock.adjust("99 days")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 days")
      expect(yield* Fiber.join(fiber)).toBe("done")
    }))

  it.effect("is interrupted when its time is over, and what comes then waits for its end", () =>
    Effect.gen(function*() {
      const cleaned = yield* Deferred.make<void>()
      const work = Effect.onInterrupt(Effect.never, () => Deferred.await(cleaned))
      const fiber = yield* Effect.forkChild(inTime(work, 1000, late))
      yield* TestClock.adjust("1 seconds")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* Deferred.succeed(cleaned, undefined)
      expect(yield* Fiber.join(fiber)).toBe("late")
    }))

  it.effect("is late though it cannot be interrupted and succeeds in the end", () =>
    Effect.gen(function*() {
      const work = Effect.uninterruptible(Effect.as(Effect.sleep("2 seconds"), "done"))
      const fiber = yield* Effect.forkChild(inTime(work, 1000, late))
      yield* TestClock.adjust("1 seconds")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 seconds")
      expect(yield* Fiber.join(fiber)).toBe("late")
    }))

  it.effect("is interrupted with whoever waits for it, who waits for its end and leaves no timer behind", () =>
    Effect.gen(function*() {
      const cleaned = yield* Deferred.make<void>()
      const work = Effect.onInterrupt(Effect.never, () => Deferred.await(cleaned))
      const fiber = yield* Effect.forkChild(inTime(work, 1000, late))
      yield* TestClock.adjust("1 millis")
      expect(yield* waiting).toBe(1)
      fiber.interruptUnsafe()
      yield* TestClock.adjust("1 millis")
      expect([yield* waiting, fiber.pollUnsafe()]).toEqual([0, undefined])
      yield* Deferred.succeed(cleaned, undefined)
      expect(Exit.hasInterrupts(yield* Fiber.await(fiber))).toBe(true)
    }))

  it.effect("runs in the context that it is in", () =>
    Effect.gen(function*() {
      const millis = yield* inTime(Effect.clockWith((clock) => clock.currentTimeMillis), 1000, late)
      yield* TestClock.adjust("5 millis")
      expect(yield* inTime(Effect.clockWith((clock) => clock.currentTimeMillis), 1000, late)).toBe(Number(millis) + 5)
    }))
})
