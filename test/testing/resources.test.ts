/**
 * What outlives whoever has made it, and what only seems to.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { EventEmitter } from "node:events"
import { closeSync, openSync } from "node:fs"
import * as Resources from "../../src/testing/internal/resources.ts"
import * as Turns from "../../src/testing/internal/turns.ts"

const often = 3
const leftBy = (once: (nth: number) => void) => {
  let nth = 0
  return Resources.leftBy(Effect.sync(() => once(nth++)), often)
}

describe("what is left", () => {
  it.effect("is what a thing that all share has from each of them", () =>
    Effect.gen(function*() {
      const shared = new EventTarget()
      expect(yield* leftBy(() => shared.addEventListener("close", () => {}))).toEqual([
        "listeners of EventTarget for \"close\"",
        often
      ])
      const listener = () => {}
      expect(yield* leftBy(() => process.on("SIGUSR2", listener))).toEqual([
        "listeners of process for \"SIGUSR2\"",
        often
      ])
      for (let i = 0; i < 2 * often; i++) process.off("SIGUSR2", listener)
    }))

  it.effect("is nothing where one of them has left nothing", () =>
    Effect.gen(function*() {
      for (let clean = 0; clean < often; clean++) {
        const shared = new EventEmitter({})
        expect(
          yield* leftBy((nth) => {
            if (nth % often !== clean) shared.on("close", () => {})
          })
        ).toBeUndefined()
      }
    }))

  it.effect("is looked for no further where the first of them has left nothing", () =>
    Effect.gen(function*() {
      let times = 0
      yield* leftBy(() => times++)
      expect(times).toBe(1)
    }))

  it.effect("is nothing of what each has made for itself", () =>
    Effect.gen(function*() {
      expect(yield* leftBy(() => new EventEmitter({}).on("close", () => {}))).toBeUndefined()
      expect(yield* leftBy(() => new AbortController().signal.addEventListener("abort", () => {}))).toBeUndefined()
    }))

  it.effect("is nothing of what was closed, or goes after a moment", () =>
    Effect.gen(function*() {
      expect(yield* leftBy(() => closeSync(openSync(import.meta.filename, "r")))).toBeUndefined()
      expect(yield* leftBy(() => setTimeout(() => {}, 5))).toBeUndefined()
      const shared = new EventEmitter({})
      const listener = () => {}
      expect(yield* leftBy(() => shared.on("close", listener).off("close", listener))).toBeUndefined()
    }))

  it.effect("is a timer also where others strike meanwhile", () =>
    Effect.gen(function*() {
      const set: Array<NodeJS.Timeout> = []
      const others = Array.from({ length: 2 * often }, () => setTimeout(() => {}, 1))
      const busy = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      const once = Effect.andThen(Effect.sync(() => set.push(setTimeout(() => {}, 10_000))), busy)
      expect(yield* Resources.leftBy(once, often)).toEqual(["Timeout", often])
      for (const timer of [...set, ...others]) clearTimeout(timer)
    }))

  it.effect("is no timer that keeps nothing alive", () =>
    Effect.gen(function*() {
      expect(yield* leftBy(() => setTimeout(() => {}, 200).unref())).toBeUndefined()
    }))

  it.effect("is nothing that is there once, whoever has made it", () =>
    Effect.gen(function*() {
      const shared = new EventEmitter({})
      // In the first round only.
      expect(yield* leftBy((nth) => nth < often && shared.on("close", () => {}))).toBeUndefined()
    }))

  it.effect("is looked for, and the methods that add listeners are as before", () =>
    Effect.gen(function*() {
      const { on } = EventEmitter.prototype
      const { addEventListener } = EventTarget.prototype
      yield* leftBy(() => {
        expect(EventEmitter.prototype.on).not.toBe(on)
      })
      expect(EventEmitter.prototype.on).toBe(on)
      expect(EventTarget.prototype.addEventListener).toBe(addEventListener)
    }))
})

describe("a turn of the event loop", () => {
  const working = (millis: number) =>
    Effect.sync(() => {
      const begun = process.threadCpuUsage()
      for (;;) {
        const { system, user } = process.threadCpuUsage(begun)
        if (user + system >= millis * 1000) return "done"
      }
    })
  const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

  it.effect("is as long as this thread works in it, and not as long as it waits", () =>
    Effect.gen(function*() {
      const [done, worked] = yield* Turns.longest(working(40))
      expect(done).toBe("done")
      expect(worked).toBeGreaterThanOrEqual(36)
      const [, waited] = yield* Turns.longest(Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 40))))
      expect(waited).toBeLessThan(worked)
    }))

  it.effect("ends where somebody else has his turn", () =>
    Effect.gen(function*() {
      const inTurns = Effect.replicateEffect(Effect.andThen(working(20), turn), 5, { discard: true })
      const [, most] = yield* Turns.longest(inTurns)
      expect(most).toBeLessThan(90)
    }))

  it("may last for so long, and longer on a slow machine", () => {
    expect(Turns.isLong(Turns.tooBusy, Turns.tooBusy)).toBe(false)
    expect(Turns.isLong(100 * Turns.tooBusy, Turns.tooBusy)).toBe(true)
  })

  it.effect("is looked at again where it seems to be too long, unless nothing else can make it so long", () =>
    Effect.gen(function*() {
      let looks = 0
      const once = (millis: number) => Effect.suspend(() => looks++ === 0 ? working(millis) : Effect.succeed("again"))
      expect((yield* Turns.shortest(once(12), 10))[0]).toBe("again")
      looks = 0
      expect((yield* Turns.shortest(once(60), 10))[0]).toBe("done")
    }))
})
