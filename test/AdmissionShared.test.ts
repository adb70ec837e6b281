import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Random from "effect/Random"
import * as TestClock from "effect/testing/TestClock"
import * as Admission from "../src/Admission.ts"
import * as Peer from "../src/Peer.ts"
import { peerAt } from "./support/addressed.ts"
import { LeaseStore } from "./support/leaseStore.ts"

type Service = Admission.Admission["Service"]

const lease = 4000

const rates = RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))

/** A machine that shares a limit with others. */
const machine = (store: LeaseStore, options: Partial<Admission.SharedOptions> = {}) =>
  Admission.makeShared({
    limits: [Admission.inAll({ atOnce: 5 })],
    ifUnavailable: "closed",
    lease,
    quiet: 0,
    ...options
  }).pipe(Effect.provideService(Admission.Leases, store.service), Effect.provide(rates))

const ask = (admission: Service, onLost = () => {}, peer = Peer.unknown): Effect.Effect<Admission.Verdict> => {
  const verdict = admission.admit(peer, onLost)
  return Effect.isEffect(verdict) ? verdict : Effect.succeed(verdict)
}

const quietly = Effect.provide(Logger.layer([]))

/** Clients that come to one of two machines, stay and go, while the store is slow, loses, is away and is started anew. */
const simulated = (seed: number, options: Partial<Admission.SharedOptions> = {}) =>
  Effect.gen(function*() {
    const store = new LeaseStore({ latency: 150, lost: 5 })
    const machines = [yield* machine(store, options), yield* machine(store, options)]
    let inside = 0
    let most = 0
    let admitted = 0
    const client = Effect.gen(function*() {
      yield* Effect.sleep((yield* Random.next) * 2000)
      let hasLost = () => {}
      const lost = Effect.callback<void>((resume) => {
        hasLost = () => resume(Effect.void)
      })
      const waiting = yield* Effect.forkChild(lost, { startImmediately: true })
      const verdict = yield* ask(machines[(yield* Random.nextBoolean) ? 1 : 0], () => hasLost())
      if (verdict._tag === "Denied") return
      admitted++
      most = Math.max(most, ++inside)
      yield* Effect.timeoutOption(Fiber.join(waiting), (yield* Random.next) * 20_000)
      // To close a connection takes a while.
      yield* Effect.sleep((yield* Random.next) * 500)
      inside--
      verdict.leave()
    })
    yield* Effect.forEach(Array.from({ length: 12 }), () => Effect.forkScoped(Effect.forever(client)))
    for (let second = 0; second < 80; second += 4) {
      yield* TestClock.adjust("4 seconds")
      if (second % 20 === 8) store.restart(yield* Clock.currentTimeMillis, lease)
      if (second % 40 === 24) store.isUp = false
      if (second % 40 === 32) store.isUp = true
    }
    return { most, admitted }
  }).pipe(Effect.scoped, Random.withSeed(seed), quietly)

describe("two machines and one limit", () => {
  it.effect.each([1, 2, 3])(
    "never have more in service than that, whatever the store does (seed %d)",
    (seed) =>
      Effect.gen(function*() {
        const { admitted, most } = yield* simulated(seed)
        expect(most).toBe(5)
        expect(admitted).toBeGreaterThan(20)
      })
  )

  it.effect("open, have more while the store is away, and people come in", () =>
    Effect.gen(function*() {
      const { most } = yield* simulated(1, { ifUnavailable: "open" })
      expect(most).toBeGreaterThan(5)
    }))

  it.effect("hand a place over when it is left", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const [here, there] = [yield* machine(store), yield* machine(store)]
      const all = yield* Effect.forEach(Array.from({ length: 5 }), () => ask(here))
      expect(yield* ask(there)).toMatchObject({ _tag: "Denied", limit: "all", why: "capacity" })
      if (all[0]._tag === "Admitted") all[0].leave()
      expect(yield* ask(there)).toMatchObject({ _tag: "Admitted" })
      expect(yield* ask(there)).toMatchObject({ _tag: "Denied", limit: "all", why: "capacity" })
    }))

  it.effect("take the places of one that is gone when its leases are over", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      yield* Effect.scoped(Effect.gen(function*() {
        const gone = yield* machine(store)
        yield* Effect.forEach(Array.from({ length: 5 }), () => ask(gone))
      }))
      const there = yield* machine(store)
      yield* TestClock.adjust(lease - 1)
      expect(yield* ask(there)).toMatchObject({ why: "capacity" })
      yield* TestClock.adjust(1)
      expect(yield* ask(there)).toMatchObject({ _tag: "Admitted" })
    }))

  it.effect("limit an address together", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const options = { limits: [Admission.byAddress({ atOnce: 1 }), Admission.inAll({ atOnce: 5 })] }
      const [here, there] = [yield* machine(store, options), yield* machine(store, options)]
      expect(yield* ask(here, undefined, peerAt("192.0.2.1"))).toMatchObject({ _tag: "Admitted" })
      expect(yield* ask(there, undefined, peerAt("192.0.2.1"))).toMatchObject({ limit: "address", why: "capacity" })
      expect(yield* ask(there, undefined, peerAt("192.0.2.2"))).toMatchObject({ _tag: "Admitted" })
    }))
})

describe("somebody who is introduced", () => {
  const byBoth = { limits: [Admission.byAddress({ atOnce: 1 }), Admission.inAll({ atOnce: 3 })] }
  const [balancer, client] = [peerAt("10.0.0.1"), peerAt("192.0.2.1")]
  const as = (verdict: Admission.Verdict, peer: Peer.Peer) => {
    const introduced = verdict._tag === "Admitted" ? verdict.introduced?.(peer) : undefined
    return introduced === undefined || !Effect.isEffect(introduced) ? Effect.succeed(introduced) : introduced
  }

  it.effect("counts on all machines as who it is then, and no more as who it was", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const [here, there] = [yield* machine(store, byBoth), yield* machine(store, byBoth)]
      const first = yield* ask(here, () => {}, balancer)
      expect(yield* as(first, client)).toBe(first)
      const second = yield* ask(there, () => {}, balancer)
      expect(second._tag).toBe("Admitted")
      expect(yield* as(second, client)).toMatchObject({ limit: "address", why: "capacity" })
      if (first._tag === "Admitted") first.leave()
      expect(yield* as(second, client)).toBe(second)
    }))

  it.effect("keeps what it has renewed, and has lost nothing by what was given back", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const here = yield* machine(store, byBoth)
      let lost = 0
      const first = yield* ask(here, () => lost++, balancer)
      yield* as(first, client)
      yield* TestClock.adjust(lease * 3)
      expect(lost).toBe(0)
      expect(yield* ask(yield* machine(store, byBoth), () => {}, client)).toMatchObject({ limit: "address" })
    }))
})

describe("a place", () => {
  it.effect("is held for as long as it is renewed", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const admission = yield* machine(store, { limits: [Admission.inAll({ atOnce: 1 })] })
      let lost = 0
      yield* ask(admission, () => lost++)
      yield* TestClock.adjust("1 minute")
      expect(lost).toBe(0)
      expect(yield* ask(yield* machine(store, { limits: [Admission.inAll({ atOnce: 1 })] }))).toMatchObject({
        why: "capacity"
      })
    }))

  it.effect("is lost after three quarters of a lease where the store is away, and not before", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const admission = yield* machine(store)
      let lost = 0
      yield* ask(admission, () => lost++)
      store.isUp = false
      yield* TestClock.adjust(lease * 0.75 - 1)
      expect(lost).toBe(0)
      yield* TestClock.adjust(251)
      expect(lost).toBe(1)
    }).pipe(quietly))

  it.effect("is lost when the store has forgotten it", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const admission = yield* machine(store)
      let lost = 0
      yield* ask(admission, () => lost++)
      store.empty()
      yield* TestClock.adjust(lease / 4)
      expect(lost).toBe(1)
    }))

  it.effect("outlives a store that is started anew, which grants nothing for one lease", () =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      const admission = yield* machine(store)
      let lost = 0
      yield* ask(admission, () => lost++)
      store.restart(yield* Clock.currentTimeMillis, lease)
      expect(yield* ask(admission)).toMatchObject({ why: "unavailable", retryAfter: { value: { millis: lease } } })
      yield* TestClock.adjust(lease)
      expect(lost).toBe(0)
      for (let i = 0; i < 4; i++) expect(yield* ask(admission)).toMatchObject({ _tag: "Admitted" })
      expect(yield* ask(admission)).toMatchObject({ why: "capacity" })
    }))

  it.effect("is free when its lease is over, at the latest, where whoever waits for it goes away", () =>
    Effect.gen(function*() {
      const store = new LeaseStore({ latency: 100 })
      const admission = yield* machine(store, { limits: [Admission.inAll({ atOnce: 1 })] })
      const asking = yield* Effect.forkChild(ask(admission), { startImmediately: true })
      yield* Fiber.interrupt(asking)
      yield* TestClock.adjust(lease + 100)
      const again = yield* Effect.forkChild(ask(admission), { startImmediately: true })
      yield* TestClock.adjust("200 millis")
      expect(yield* Fiber.join(again)).toMatchObject({ _tag: "Admitted" })
    }))
})

describe("a store that cannot be asked", () => {
  const away = (ifUnavailable: "open" | "closed") =>
    Effect.gen(function*() {
      const store = new LeaseStore()
      store.isUp = false
      const admission = yield* machine(store, { ifUnavailable })
      const asking = yield* Effect.forkChild(ask(admission), { startImmediately: true })
      yield* TestClock.adjust("249 millis")
      expect(asking.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      return { store, admission, verdict: yield* Fiber.join(asking) }
    })

  it.effect("closed, has everybody denied when its time is over", () =>
    Effect.gen(function*() {
      const { verdict } = yield* away("closed")
      expect(verdict).toMatchObject({ _tag: "Denied", limit: "all", why: "unavailable" })
    }).pipe(quietly))

  it.effect("open, has everybody come in, up to the limit of one machine", () =>
    Effect.gen(function*() {
      const { admission, verdict } = yield* away("open")
      expect(verdict).toMatchObject({ _tag: "Admitted" })
      for (let i = 0; i < 4; i++) expect(yield* ask(admission)).toMatchObject({ _tag: "Admitted" })
      expect(yield* ask(admission)).toMatchObject({ why: "capacity" })
    }).pipe(quietly))

  it.effect("open, learns of those who came in meanwhile", () =>
    Effect.gen(function*() {
      const { store } = yield* away("open")
      store.isUp = true
      yield* TestClock.adjust(lease / 4)
      const other = yield* machine(store)
      for (let i = 0; i < 4; i++) expect(yield* ask(other)).toMatchObject({ _tag: "Admitted" })
      expect(yield* ask(other)).toMatchObject({ why: "capacity" })
    }).pipe(quietly))

  it.effect("is told of once, and again when it can be asked", () => {
    const told: Array<string> = []
    return Effect.gen(function*() {
      const { admission, store } = yield* away("closed")
      expect(yield* ask(admission)).toMatchObject({ why: "unavailable" })
      yield* TestClock.adjust("2 seconds")
      const asking = yield* Effect.forkChild(ask(admission), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(asking)
      store.isUp = true
      yield* TestClock.adjust("2 seconds")
      expect(yield* ask(admission)).toMatchObject({ _tag: "Admitted" })
      expect(told.map((message) => message.split(",")[0])).toEqual([
        "the store of the admission cannot be asked: nobody comes in",
        "the store of the admission can be asked again"
      ])
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => told.push(`${message}`))])))
  })
})

it.effect("a timeout that leaves no time to renew is told at once", () =>
  Effect.gen(function*() {
    const exit = yield* Effect.exit(machine(new LeaseStore(), { timeout: lease / 4 + 1 }))
    expect(`${exit}`).toContain("no longer than a quarter of the lease")
    yield* machine(new LeaseStore(), { timeout: lease / 4 })
  }))
