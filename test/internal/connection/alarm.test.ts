import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { Alarm, of, type Waiting } from "../../../src/internal/connection/alarm.ts"

/** An alarm on the test's clock, and the fibers that have slept for it. */
const made = Effect.map(
  Effect.all([Clock.Clock, Effect.context<never>()]),
  ([clock, context]) => {
    const sleepers: Array<Fiber.Fiber<void>> = []
    const now = () => clock.currentTimeMillisUnsafe()
    const alarm = new Alarm({
      now,
      fork: (effect) => {
        const fiber = Effect.runForkWith(context)(effect)
        sleepers.push(fiber)
        return fiber
      }
    })
    const asleep = () => sleepers.filter((fiber) => fiber.pollUnsafe() === undefined).length
    return { alarm, asleep, now, sleepers }
  }
)

const waiting = (wake: () => void = () => {}): Waiting => ({ due: Infinity, place: -1, wake })

const Index = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 19 }))
const Step = Schema.Struct({
  what: Schema.Literals(["set", "set", "set", "clear", "pass"]),
  who: Index,
  millis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 50 }))
})

describe("an alarm", () => {
  it.effect.prop(
    "wakes each when it is due, one that was moved at its new time and one that was cleared never, with one sleeper",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(60)) },
    ({ steps }) =>
      Effect.gen(function*() {
        const { alarm, asleep, now } = yield* made
        const woken: Array<readonly [who: number, at: number]> = []
        const expected: Array<readonly [who: number, at: number]> = []
        const all = Array.from({ length: 20 }, (_, who) => waiting(() => void woken.push([who, now()])))
        // What is known without a heap: when each is due.
        const due = new Map<number, number>()
        for (const { millis, what, who } of steps) {
          if (what === "set") {
            alarm.set(all[who], now() + millis)
            due.set(who, now() + millis)
          } else if (what === "clear") {
            alarm.clear(all[who])
            due.delete(who)
          } else {
            const until = now() + millis
            yield* TestClock.adjust(millis)
            for (const [who, at] of due) {
              if (at > until) continue
              expected.push([who, at])
              due.delete(who)
            }
          }
          expect(alarm.size).toBe(due.size)
          expect(asleep()).toBe(due.size === 0 ? 0 : 1)
        }
        yield* TestClock.adjust(100)
        for (const [who, at] of due) expected.push([who, at])
        const inOrder = (all: typeof woken) => all.toSorted(([a, x], [b, y]) => x - y || a - b)
        expect(inOrder(woken)).toEqual(inOrder(expected))
        expect(woken.map(([, at]) => at)).toEqual(woken.map(([, at]) => at).toSorted((a, b) => a - b))
        expect(alarm.size).toBe(0)
        expect(asleep()).toBe(0)
      })
  )

  it.effect("does not sleep anew for one that is due later, or is moved to later", () =>
    Effect.gen(function*() {
      const { alarm, sleepers } = yield* made
      const [first, other] = [waiting(), waiting()]
      alarm.set(first, 10)
      alarm.set(other, 20)
      alarm.set(first, 30)
      expect(sleepers).toHaveLength(1)
      alarm.set(other, 9)
      expect(sleepers).toHaveLength(2)
    }))

  it.effect("lets others have their turn where one waits again for no time at all", () =>
    Effect.gen(function*() {
      const { alarm, now } = yield* made
      let times = 0
      const again = waiting(() => {
        if (++times < 3) alarm.set(again, now())
      })
      const woken: Array<number> = []
      alarm.set(again, 5)
      alarm.set(waiting(() => void woken.push(times)), 5)
      yield* TestClock.adjust(5)
      expect(woken).toEqual([1])
      expect(times).toBe(3)
    }))

  it.effect("is the same for all connections with a clock, and keeps nothing of their contexts but that and the scheduler", () =>
    Effect.gen(function*() {
      const context = yield* Effect.context<never>()
      const clock = yield* Clock.Clock
      const alarm = of(context)
      expect(of(context)).toBe(alarm)
      expect(yield* Effect.map(Effect.context<never>(), of).pipe(Effect.provideService(Clock.Clock, { ...clock }))).not
        .toBe(alarm)
    }))
})
