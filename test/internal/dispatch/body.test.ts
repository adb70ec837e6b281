import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Inlet, Outlet, Patience } from "../../../src/internal/dispatch/body.ts"

describe("Inlet", () => {
  const inletOf = (capacity: number) => {
    const told: Array<string> = []
    const inlet = new Inlet<number, never>(capacity, () => told.push("room"), () => told.push("gone"))
    return { inlet, told }
  }

  it.effect("says when there is room where there was none, and only then", () =>
    Effect.gen(function*() {
      const { inlet, told } = inletOf(2)
      inlet.push(1)
      const fiber = yield* Effect.forkChild(Stream.runDrain(inlet.stream))
      yield* Effect.yieldNow
      expect(told).toEqual([])
      inlet.push(2)
      inlet.push(3)
      expect(inlet.room).toBe(0)
      yield* TestClock.adjust(0)
      expect(told).toEqual(["room"])
      expect(inlet.room).toBe(2)
      inlet.end()
      yield* Fiber.join(fiber)
      expect(told).toEqual(["room"])
    }))

  it.effect("says that its reader has gone only where more may come", () =>
    Effect.gen(function*() {
      const { inlet, told } = inletOf(2)
      inlet.push(1)
      yield* Stream.runDrain(Stream.take(inlet.stream, 1))
      expect(told).toEqual(["gone"])
      expect(inlet.room).toBe(Infinity)
      inlet.push(2)
      inlet.push(3)
      inlet.push(4)
      expect(inlet.room).toBe(Infinity)

      const complete = inletOf(2)
      complete.inlet.push(1)
      complete.inlet.end()
      yield* Stream.runDrain(Stream.take(complete.inlet.stream, 1))
      expect(complete.told).toEqual([])
    }))

  it.effect("is awaited while somebody waits for a chunk and there is none", () =>
    Effect.gen(function*() {
      const { inlet } = inletOf(2)
      expect(inlet.isAwaited).toBe(false)
      const fiber = yield* Effect.forkChild(Stream.runDrain(inlet.stream))
      yield* Effect.yieldNow
      expect(inlet.isAwaited).toBe(true)
      inlet.push(1)
      expect(inlet.isAwaited).toBe(false)
      yield* TestClock.adjust(0)
      expect(inlet.isAwaited).toBe(true)
      yield* Fiber.interrupt(fiber)
      expect(inlet.isAwaited).toBe(false)
    }))

  it.effect("wakes its reader, wherever that has yielded when the chunk comes", () =>
    Effect.gen(function*() {
      for (const maxOps of [3, 4, 5]) {
        for (let yields = 0; yields < 20; yields++) {
          const { inlet } = inletOf(2)
          const fiber = yield* Stream.runHead(inlet.stream).pipe(
            Effect.provideService(Scheduler.MaxOpsBeforeYield, maxOps),
            Effect.forkChild
          )
          for (let i = 0; i < yields; i++) yield* Effect.yieldNow
          inlet.push(1)
          for (let i = 0; i < 200 && fiber.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
          expect(fiber.pollUnsafe()?._tag).toBe("Success")
        }
      }
    }))

  it.effect("loses nothing where its reader is interrupted while it waits", () =>
    Effect.gen(function*() {
      const { inlet } = inletOf(2)
      const taken: Array<ReadonlyArray<number>> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const pull = yield* Stream.toPull(inlet.stream)
        const fiber = yield* Effect.forkChild(pull)
        yield* Effect.yieldNow
        inlet.push(1)
        yield* Fiber.interrupt(fiber)
        taken.push(yield* pull)
      }))
      expect(taken).toEqual([[1]])
    }))
})

describe("Outlet", () => {
  it.effect("has pulled one batch more than was taken", () =>
    Effect.gen(function*() {
      let pulled = 0
      const outlet = new Outlet(Stream.fromEffectRepeat(Effect.sync(() => ++pulled)), () => {})
      outlet.start(Effect.runFork)
      expect([pulled, outlet.hasChunks]).toEqual([1, true])
      expect(outlet.take(10)).toEqual([1])
      expect(pulled).toBe(2)
      yield* outlet.stopped
      expect(outlet.hasChunks).toBe(false)
    }))

  it.effect("gives out a batch in parts", () =>
    Effect.gen(function*() {
      const outlet = new Outlet(Stream.make(1, 2, 3, 4, 5), () => {})
      outlet.start(Effect.runFork)
      expect([outlet.take(2), outlet.take(2), outlet.take(2)]).toEqual([[1, 2], [3, 4], [5]])
      yield* outlet.stopped
      expect(outlet.exit?._tag).toBe("Success")
    }))

  it.effect("is stopped where its first batch does that", () =>
    Effect.gen(function*() {
      const outlet: Outlet<number, never, never> = new Outlet(Stream.concat(Stream.make(1), Stream.never), () => {
        if (outlet.exit === undefined) outlet.stop()
      })
      outlet.start(Effect.runFork)
      yield* outlet.stopped
      expect([outlet.exit?._tag, outlet.hasChunks]).toEqual(["Failure", false])
    }))

  it.effect("that cannot be interrupted goes on to its end, into nothing", () =>
    Effect.gen(function*() {
      let pulled = 0
      const body = Stream.fromEffectRepeat(Effect.as(Effect.yieldNow, ++pulled)).pipe(Stream.take(3))
      const outlet = new Outlet(body, () => {})
      outlet.start((effect) => Effect.runFork(Effect.uninterruptible(effect)))
      outlet.stop()
      yield* outlet.stopped
      expect(outlet.hasChunks).toBe(false)
    }))
})

describe("Patience", () => {
  const patienceOf = Effect.fnUntraced(function*(limit: Duration.Duration) {
    const state = { forks: 0, ends: 0 }
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const patience = new Patience(
      yield* Clock.Clock,
      (effect) => (state.forks++, fork(effect)),
      limit,
      () => state.ends++
    )
    return { patience, state }
  })

  it.effect("ends when it was begun that long ago", () =>
    Effect.gen(function*() {
      const { patience, state } = yield* patienceOf(Duration.seconds(5))
      patience.begin()
      yield* TestClock.adjust("4999 millis")
      expect(state.ends).toBe(0)
      yield* TestClock.adjust("1 millis")
      expect(state.ends).toBe(1)
    }))

  it.effect("does not where it was ended meanwhile, and has one timer however often that happens", () =>
    Effect.gen(function*() {
      const { patience, state } = yield* patienceOf(Duration.seconds(5))
      for (let i = 0; i < 9; i++) {
        patience.begin()
        yield* TestClock.adjust("500 millis")
        patience.end()
      }
      expect(state).toEqual({ forks: 1, ends: 0 })
      patience.begin()
      yield* TestClock.adjust("4999 millis")
      expect(state).toEqual({ forks: 2, ends: 0 })
      yield* TestClock.adjust("1 millis")
      expect(state.ends).toBe(1)
    }))

  it.effect("needs no timer where it is infinite, nor any more where it is stopped", () =>
    Effect.gen(function*() {
      const infinite = yield* patienceOf(Duration.infinity)
      infinite.patience.begin()
      expect(infinite.state.forks).toBe(0)
      const stopped = yield* patienceOf(Duration.seconds(5))
      stopped.patience.begin()
      stopped.patience.stop()
      yield* TestClock.adjust("5 seconds")
      stopped.patience.begin()
      expect(stopped.state).toEqual({ forks: 1, ends: 0 })
    }))
})
