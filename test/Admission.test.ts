import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"
import * as Admission from "../src/Admission.ts"
import { AuthenticationFailed, HandshakeError, Rejected, Timeout, UnexpectedEnd } from "../src/HandshakeError.ts"
import { Recent } from "../src/internal/admission/recent.ts"
import * as Peer from "../src/Peer.ts"
import { peerAt } from "./support/addressed.ts"

type Service = Admission.Admission["Service"]

const nothing = () => {}

/** What is decided at once. */
const decide = (admission: Service, ip: string): Admission.Verdict => {
  const verdict = admission.admit(peerAt(ip), nothing)
  if (Effect.isEffect(verdict)) throw new Error("it waits")
  return verdict
}

const failure = (reason: HandshakeError["reason"]) => new HandshakeError({ protocol: "test", step: "test", reason })
const wrongPassword = failure(new AuthenticationFailed({ method: "plain", detail: "wrong", fault: "peer" }))

const admitted = (admission: Service, ip: string): Admission.Admitted => {
  const verdict = decide(admission, ip)
  if (verdict._tag === "Denied") throw new Error(`${ip} was denied: ${verdict.why}`)
  return verdict
}

const why = (verdict: Admission.Verdict) => verdict._tag === "Denied" ? `${verdict.limit}: ${verdict.why}` : "in"
const whyAt = (admission: Service, ip: string) => why(decide(admission, ip))

const addressOnly = (bounds: Admission.Bounds, options: Partial<Admission.Options> = {}) =>
  Admission.make({ limits: [Admission.byAddress(bounds)], ...options })

describe("who is counted together", () => {
  it.effect("is who has one address of IPv4, over IPv6 too", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ atOnce: 1 })
      admitted(admission, "192.0.2.1")
      expect(whyAt(admission, "::ffff:192.0.2.1")).toBe("address: capacity")
      expect(whyAt(admission, "192.0.2.2")).toBe("in")
    }))

  it.effect("is who has the same 64 bits of IPv6, and nobody else", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ atOnce: 1 })
      admitted(admission, "2001:db8:0:1::1")
      expect(whyAt(admission, "2001:db8:0:1:ffff:ffff:ffff:ffff")).toBe("address: capacity")
      expect(whyAt(admission, "2001:db8:0:2::1")).toBe("in")
    }))

  it.effect("is who has as many bits in common as is said", () =>
    Effect.gen(function*() {
      const admission = yield* Admission.make({ limits: [Admission.byAddress({ v4: 24, v6: 48, atOnce: 1 })] })
      admitted(admission, "192.0.2.1")
      admitted(admission, "2001:db8:1::1")
      expect(["192.0.2.255", "192.0.3.1", "2001:db8:1:ffff::1", "2001:db8:2::1"].map((ip) => whyAt(admission, ip)))
        .toEqual(["address: capacity", "in", "address: capacity", "in"])
    }))

  it.effect("is whom a key of ours says, and who has none is not limited", () =>
    Effect.gen(function*() {
      const keyOf = ({ remote }: Peer.Peer) => remote === undefined ? undefined : remote._tag
      const admission = yield* Admission.make({ limits: [Admission.byKey("kind", keyOf, { atOnce: 1 })] })
      admitted(admission, "192.0.2.1")
      expect(whyAt(admission, "192.0.2.2")).toBe("kind: capacity")
      expect(admission.admit(Peer.unknown, nothing)).toMatchObject({ _tag: "Admitted" })
      expect(admission.admit(Peer.unknown, nothing)).toMatchObject({ _tag: "Admitted" })
    }))

  it.effect("is everybody, in all", () =>
    Effect.gen(function*() {
      const admission = yield* Admission.make({ limits: [Admission.inAll({ atOnce: 2 })] })
      admitted(admission, "192.0.2.1")
      admitted(admission, "2001:db8::1")
      expect(admission.admit(Peer.unknown, nothing)).toMatchObject({ _tag: "Denied", limit: "all", why: "capacity" })
    }))

  it.effect("is nobody of those who always pass", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ atOnce: 1 }, { pass: ["10.0.0.0/8", "fd00::/8", "192.0.2.9"] })
      const asked = ["10.1.2.3", "10.1.2.3", "fd12::1", "fd12::1", "192.0.2.9", "192.0.2.9", "11.0.0.1", "11.0.0.1"]
      expect(asked.map((ip) => whyAt(admission, ip))).toEqual([
        ...Array.from({ length: 7 }, () => "in"),
        "address: capacity"
      ])
    }))
})

describe("at once", () => {
  it.effect("a place is given again when a connection leaves, once", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ atOnce: 2 })
      const first = admitted(admission, "192.0.2.1")
      admitted(admission, "192.0.2.1")
      expect(whyAt(admission, "192.0.2.1")).toBe("address: capacity")
      first.leave()
      first.leave()
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
      expect(whyAt(admission, "192.0.2.1")).toBe("address: capacity")
    }))

  const step = Schema.Struct({
    comes: Schema.Boolean,
    at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
  })
  it.effect.prop(
    "whoever comes and goes, in whatever order: as many are in as are allowed, and nobody is denied before",
    [Schema.Array(step).check(Schema.isMaxLength(80))],
    ([steps]) =>
      Effect.gen(function*() {
        const admission = yield* Admission.make({
          limits: [Admission.byAddress({ atOnce: 3 }), Admission.inAll({ atOnce: 7 })]
        })
        const inside: Array<Array<Admission.Admitted>> = [[], [], [], []]
        for (const { at, comes } of steps) {
          if (!comes) {
            inside[at].pop()?.leave()
            continue
          }
          const all = inside.flat().length
          const verdict = decide(admission, `192.0.2.${at}`)
          expect(why(verdict)).toBe(inside[at].length >= 3 ? "address: capacity" : all >= 7 ? "all: capacity" : "in")
          if (verdict._tag === "Admitted") inside[at].push(verdict)
        }
      }),
    { arbitrary: { runs: 50 } }
  )
})

describe("in a time", () => {
  it.effect("so many come in, and the next one when the time is over", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ connections: { limit: 3, window: "30 seconds" } })
      for (let i = 0; i < 3; i++) admitted(admission, "192.0.2.1").leave()
      const denied = decide(admission, "192.0.2.1")
      expect(denied).toMatchObject({ limit: "address", why: "rate", retryAfter: Duration.seconds(30) })
      expect(whyAt(admission, "192.0.2.2")).toBe("in")
      yield* TestClock.adjust("29999 millis")
      expect(decide(admission, "192.0.2.1")).toMatchObject({ why: "rate", retryAfter: Duration.millis(1) })
      yield* TestClock.adjust("1 millis")
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
    }))

  it.effect("whoever is denied does not have to wait for longer because it tries", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ connections: { limit: 1, window: "10 seconds" } })
      admitted(admission, "192.0.2.1")
      for (let second = 0; second < 9; second++) {
        yield* TestClock.adjust("1 second")
        expect(whyAt(admission, "192.0.2.1")).toBe("address: rate")
      }
      yield* TestClock.adjust("1 second")
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
    }))

  it.effect("so many may fail, and then nobody of them comes in", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ failures: { limit: 2, window: "1 minute" } })
      const fail = () => {
        const ticket = admitted(admission, "192.0.2.1")
        ticket.failed(wrongPassword)
        ticket.leave()
      }
      fail()
      fail()
      expect(decide(admission, "192.0.2.1")).toMatchObject({ why: "failures", retryAfter: Duration.minutes(1) })
      expect(whyAt(admission, "192.0.2.2")).toBe("in")
      yield* TestClock.adjust("1 minute")
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
    }))

  it("what goes wrong without anybody's misconduct is no failure", () => {
    const rejection = new Rejected({ by: "local", said: "at capacity", retryable: true })
    expect(
      [
        wrongPassword,
        failure(new Timeout({ deadline: Duration.seconds(1) })),
        failure(new UnexpectedEnd({ excerpt: "" })),
        failure(rejection),
        new Error("of the service")
      ].map(Admission.isMisconduct)
    ).toEqual([true, true, false, false, false])
  })

  it.effect("what is a failure may be said", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({
        failures: { limit: 1, window: "1 minute", of: (error) => error === "mine" }
      })
      admitted(admission, "192.0.2.1").failed(wrongPassword)
      admitted(admission, "192.0.2.1").failed("mine")
      expect(whyAt(admission, "192.0.2.1")).toBe("address: failures")
    }))
})

describe("a refusal", () => {
  it.effect("is told once to an address, and again when it was quiet for a while", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ atOnce: 1 }, { delay: "3 seconds", quiet: "5 seconds" })
      admitted(admission, "192.0.2.1")
      expect(decide(admission, "192.0.2.1")).toMatchObject({ isTold: true, delay: Duration.seconds(3) })
      expect(decide(admission, "192.0.2.1")).toMatchObject({ isTold: false })
      yield* TestClock.adjust("4999 millis")
      expect(decide(admission, "192.0.2.1")).toMatchObject({ isTold: false })
      yield* TestClock.adjust("1 millis")
      expect(decide(admission, "192.0.2.1")).toMatchObject({ isTold: true })
    }))

  it.effect("is told each time where nobody has to be quiet", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly({ atOnce: 1 }, { quiet: 0 })
      admitted(admission, "192.0.2.1")
      for (let i = 0; i < 3; i++) expect(decide(admission, "192.0.2.1")).toMatchObject({ isTold: true })
    }))
})

describe("what is remembered", () => {
  it("of a million keys is as much as there is room for", () => {
    const recent = new Recent<number>(1000)
    let most = 0
    for (let i = 0; i < 1_000_000; i++) {
      recent.set(`${i}`, i)
      if (recent.size > most) most = recent.size
    }
    expect(most).toBeLessThanOrEqual(1000)
    expect(recent.get("999999")).toBe(999_999)
    expect(recent.get("1")).toBeUndefined()
  })

  it("is kept for as long as it is asked for", () => {
    const recent = new Recent<number>(100)
    recent.set("kept", -1)
    for (let i = 0; i < 10_000; i++) {
      recent.set(`${i}`, i)
      if (i % 49 === 0) expect(recent.get("kept")).toBe(-1)
    }
    recent.delete("kept")
    expect(recent.get("kept")).toBeUndefined()
  })

  it.effect("does not make a limit forget who is inside, however many others come", () =>
    Effect.gen(function*() {
      const admission = yield* addressOnly(
        { atOnce: 1, connections: { limit: 100, window: "1 minute" } },
        { maxKeys: 10 }
      )
      admitted(admission, "192.0.2.1")
      for (let i = 0; i < 1000; i++) admitted(admission, `10.0.${i >> 8}.${i & 255}`).leave()
      expect(whyAt(admission, "192.0.2.1")).toBe("address: capacity")
    }))
})

describe("new options", () => {
  const limits = (atOnce: number) => ({ limits: [Admission.byAddress({ atOnce })] })

  it.effect("hold for who comes next, and who is inside stays and counts", () =>
    Effect.gen(function*() {
      const options = yield* SubscriptionRef.make<Admission.Options>(limits(2))
      const admission = yield* Admission.make(options)
      const [first, second] = [admitted(admission, "192.0.2.1"), admitted(admission, "192.0.2.1")]
      yield* SubscriptionRef.set(options, limits(1))
      first.leave()
      expect(whyAt(admission, "192.0.2.1")).toBe("address: capacity")
      second.leave()
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
      yield* SubscriptionRef.set(options, limits(2))
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
    }))

  it.effect("let in whom the old ones had denied", () =>
    Effect.gen(function*() {
      const rated = (limit: number) => ({ limits: [Admission.byAddress({ connections: { limit, window: "1 hour" } })] })
      const options = yield* SubscriptionRef.make<Admission.Options>(rated(1))
      const admission = yield* Admission.make(options)
      admitted(admission, "192.0.2.1")
      expect(whyAt(admission, "192.0.2.1")).toBe("address: rate")
      yield* SubscriptionRef.set(options, rated(2))
      expect(whyAt(admission, "192.0.2.1")).toBe("in")
    }))

  it.effect("that are wrong are told, and the old ones hold on", () => {
    const told: Array<unknown> = []
    return Effect.gen(function*() {
      const options = yield* SubscriptionRef.make<Admission.Options>(limits(1))
      const admission = yield* Admission.make(options)
      admitted(admission, "192.0.2.1")
      yield* SubscriptionRef.set(options, limits(0))
      expect(whyAt(admission, "192.0.2.1")).toBe("address: capacity")
      expect(whyAt(admission, "192.0.2.2")).toBe("in")
      expect(told).toHaveLength(1)
      expect(told[0]).toContain("the old ones hold on")
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => told.push(`${message}`))])))
  })
})

describe("what is no option", () => {
  const rate = (limit: number, window: Duration.Input) => ({ connections: { limit, window } })
  const wrong = {
    "a limit of none": [addressOnly({ atOnce: 0 }), "address.atOnce is a whole number of at least 1, not 0"],
    "a rate of none": [
      addressOnly(rate(0, 1)),
      "address.connections.limit is a whole number of at least 1, not 0"
    ],
    "no time": [addressOnly(rate(1, 0)), "address.connections.window is at least a millisecond and ends"],
    "no end of time": [addressOnly(rate(1, Duration.infinity)), "window is at least a millisecond and ends"],
    "a network that is none": [addressOnly({}, { pass: ["10.0.0.1/8"] }), "10.0.0.1/8 is no network such as"],
    "one name twice": [Admission.make({ limits: [Admission.inAll({}), Admission.inAll({})] }), "the same name"]
  } as const
  it.effect.each(Object.entries(wrong))("%s is told at once", ([, [making, message]]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(making)
      expect(Exit.isFailure(exit) && `${exit.cause}`).toContain(message)
    }))

  it("a prefix is as long as an address", () => {
    expect(Admission.byAddress({ v4: 0, v6: 128 }).name).toBe("address")
    expect(() => Admission.byAddress({ v6: 129 })).toThrow("v6 is a number of bits from 0 to 128, not 129")
  })
})
