import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import { type TransportError, Unavailable } from "../src/TransportError.ts"
import { dialled, type Meets } from "./support/dialled.ts"
import { byId } from "./support/fourKinds.ts"
import { handshake, welcome } from "./support/greeted.ts"
import { settled } from "./support/serving.ts"

const everySecond = Schedule.spaced("1 second")

const dialling = Effect.fnUntraced(function*(meets: (address: string, nth: number) => Meets = () => welcome) {
  const network = yield* dialled(meets)
  return { ...network, options: { handshake, sockets: [network.dial("a")], schedule: everySecond } as const }
})

const forked = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("reconnecting", () => {
  it.effect("is the same client on one connection after the other", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const client: Pipeline.Client<string, string> = yield* Client.reconnecting(options)
      for (const n of [0, 1, 2]) {
        const calling = yield* forked(client.call(`question ${n}`))
        yield* settled
        yield* peers[n].say(`answer ${n}`)
        yield* settled
        expect(yield* Fiber.join(calling)).toBe(`answer ${n}`)
        expect(peers[n].heard()).toEqual([`question ${n}`])
        yield* peers[n].end
        yield* TestClock.adjust("1 second")
      }
    }))

  it.effect("is that of a client of another kind", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const client = yield* Client.reconnecting({
        ...options,
        client: (transport) => Multiplex.client(byId, transport)
      })
      const calling = yield* forked(Effect.all([client.call("one"), client.call("two")], { concurrency: "unbounded" }))
      yield* settled
      yield* peers[0].say("1 second", "0 first")
      expect(yield* Fiber.join(calling)).toEqual(["first", "second"])
    }))

  it.effect("what has to be said on each connection is said before any call that waits", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const client = yield* Client.reconnecting({ ...options, onConnect: ({ call }) => call("subscribe") })
      yield* forked(Effect.ignore(client.call("early")))
      yield* settled
      expect(peers[0].heard()).toEqual(["subscribe"])
      yield* peers[0].say("ok")
      yield* settled
      expect(peers[0].heard()).toEqual(["subscribe", "early"])
      yield* peers[0].end
      yield* TestClock.adjust("1 second")
      yield* forked(Effect.ignore(client.call("late")))
      yield* settled
      expect(peers[1].heard()).toEqual(["subscribe"])
    }))

  it.effect("calls go out in the order in which they were made, those that waited first", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling((_, nth) => nth === 1 ? "refused" : welcome)
      const client = yield* Client.reconnecting(options)
      for (let n = 0; n < 50; n++) yield* forked(Effect.ignore(client.call(`${n}`)))
      yield* TestClock.adjust("1 second")
      for (let n = 50; n < 100; n++) yield* forked(Effect.ignore(client.call(`${n}`)))
      yield* settled
      // As many as may be in flight, and the rest behind them.
      yield* peers[0].say(...Array.from({ length: 64 }, () => "ok"))
      yield* settled
      expect(peers[0].heard()).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`))
    }))

  it.effect("an interrupted call that waits leaves nothing behind", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling((_, nth) => nth === 1 ? "refused" : welcome)
      const client = yield* Client.reconnecting({ ...options, maxWaiting: 1 })
      yield* Fiber.interrupt(yield* forked(client.call("interrupted")))
      yield* forked(Effect.ignore(client.call("next")))
      yield* TestClock.adjust("1 second")
      expect(peers[0].heard()).toEqual(["next"])
    }))

  describe("bounds", () => {
    it.effect("as many calls wait as may, and one more fails at once", () =>
      Effect.gen(function*() {
        const { options } = yield* dialling(() => "refused")
        const client = yield* Client.reconnecting({ ...options, maxWaiting: 2 })
        const waiting = yield* Effect.forEach(["one", "two"], (word) => forked(client.call(word)))
        expect(yield* Effect.flip(client.call("three"))).toMatchObject({
          _tag: "TransportError",
          sent: "no",
          reason: { _tag: "Unavailable", why: "full" }
        })
        expect(waiting.map((fiber) => fiber.pollUnsafe())).toEqual([undefined, undefined])
      }))

    it.effect("a call waits for as long as it may, and fails with what has gone wrong", () =>
      Effect.gen(function*() {
        const { options } = yield* dialling(() => "refused")
        const client = yield* Client.reconnecting({ ...options, waitTimeout: "5 seconds" })
        const calling = yield* forked(Effect.flip(client.call("hello")))
        yield* TestClock.adjust("4999 millis")
        expect(calling.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(calling)
        expect(error).toMatchObject({ sent: "no", reason: { why: "waited", cause: { _tag: "HandshakeError" } } })
        expect(error.message).toBe(
          "there is no connection, and none came within 5s: test handshake failed at step connect: " +
            "the connection could not be opened: connect ECONNREFUSED"
        )
      }))

    it.effect("what is said on a connection has the time of a handshake, and then the next one is tried", () =>
      Effect.gen(function*() {
        const { options, times } = yield* dialling()
        const client = yield* Client.reconnecting({ ...options, onConnect: () => Effect.never })
        yield* TestClock.adjust("9999 millis")
        expect(yield* client.state).toMatchObject({ _tag: "Connecting" })
        yield* TestClock.adjust("1 millis")
        expect(yield* client.state).toMatchObject({ _tag: "Waiting", error: { reason: { _tag: "TimedOut" } } })
        yield* TestClock.adjust("1 second")
        expect(times()).toEqual([0, 11_000])
      }))
  })

  describe("a call whose connection ends", () => {
    it.effect("fails, and perhaps was sent", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const client = yield* Client.reconnecting(options)
        const calling = yield* forked(Effect.flip(client.call("hello")))
        yield* settled
        yield* peers[0].end
        expect(yield* Fiber.join(calling)).toMatchObject({ sent: "perhaps", reason: { _tag: "ConnectionClosed" } })
        yield* TestClock.adjust("1 second")
        expect(peers[1].heard()).toEqual([])
      }))

    it.effect("is sent on the next one, in its place, where it was not sent yet", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const client = yield* Client.reconnecting({ ...options, maxInFlight: 1 })
        yield* settled
        const first = yield* forked(Effect.flip(client.call("first")))
        const call = (word: string) => forked(Effect.ignore(client.call(word)))
        yield* Effect.forEach(["second", "third"], call)
        yield* settled
        yield* peers[0].end
        yield* settled
        expect(yield* Fiber.join(first)).toMatchObject({ sent: "perhaps" })
        yield* call("fourth")
        yield* TestClock.adjust("1 second")
        for (const heard of [["second"], ["second", "third"], ["second", "third", "fourth"]]) {
          expect(peers[1].heard()).toEqual(heard)
          yield* peers[1].say("ok")
          yield* settled
        }
      }))

    it.effect("is sent again where it is idempotent, as the client or the caller says", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const client = yield* Client.reconnecting({ ...options, idempotent: (line) => line.startsWith("GET") })
        const get = yield* forked(client.call("GET x"))
        const once = yield* forked(Effect.flip(client.call("GET y", { idempotent: false })))
        const put = yield* forked(client.call("PUT z", { idempotent: true }))
        yield* settled
        yield* peers[0].end
        yield* TestClock.adjust("1 second")
        yield* peers[1].say("x", "z")
        expect(yield* Fiber.join(get)).toBe("x")
        expect(yield* Fiber.join(once)).toMatchObject({ sent: "perhaps" })
        expect(yield* Fiber.join(put)).toBe("z")
        expect(peers.map((peer) => peer.heard())).toEqual([["GET x", "GET y", "PUT z"], ["GET x", "PUT z"]])
      }))

    it.effect("is sent again no more often than it may", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const client = yield* Client.reconnecting({ ...options, idempotent: () => true, maxResends: 2 })
        const calling = yield* forked(Effect.flip(client.call("GET x")))
        for (const n of [0, 1]) {
          yield* settled
          yield* peers[n].end
          yield* TestClock.adjust("1 second")
        }
        expect(calling.pollUnsafe()).toBeUndefined()
        yield* peers[2].end
        expect(yield* Fiber.join(calling)).toMatchObject({ sent: "perhaps", reason: { _tag: "ConnectionClosed" } })
      }))

    it.effect("perhaps was sent also when it has waited in vain to be sent again", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling((_, nth) => nth === 1 ? welcome : "refused")
        const client = yield* Client.reconnecting(options)
        const calling = yield* forked(Effect.flip(client.call("hello", { idempotent: true })))
        yield* settled
        yield* peers[0].end
        yield* TestClock.adjust("11 seconds")
        expect(yield* Fiber.join(calling)).toMatchObject({ sent: "perhaps", reason: { why: "waited" } })
      }))

    it.effect("one that fails while its connection lives is not made again", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const client = yield* Client.reconnecting({ ...options, callTimeout: "1 second", idempotent: () => true })
        const late = yield* forked(Effect.flip(client.call("hello")))
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(late)).toMatchObject({ sent: "perhaps", reason: { _tag: "TimedOut" } })
        expect(yield* Effect.flip(client.call("two\nlines"))).toMatchObject({
          sent: "no",
          reason: { _tag: "MalformedFrame" }
        })
        expect(peers[0].heard()).toEqual(["hello"])
      }))

    it.effect("what is more than a call is done with the client of a connection", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const client = yield* Client.reconnecting(options)
        const both = client.use(({ call }) => Effect.all([call("one"), call("two")], { concurrency: 2 }), {
          idempotent: true
        })
        const calling = yield* forked(both)
        yield* settled
        yield* peers[0].say("first")
        yield* peers[0].end
        yield* TestClock.adjust("1 second")
        yield* peers[1].say("first", "second")
        expect(yield* Fiber.join(calling)).toEqual(["first", "second"])
      }))
  })

  describe("where and when", () => {
    it.effect("goes through its sockets, round after round, with the waits of its schedule between the rounds", () =>
      Effect.gen(function*() {
        const { dial, dials, options } = yield* dialling((address, nth) =>
          address === "b" && nth > 5 ? welcome : "refused"
        )
        const client = yield* Client.reconnecting({
          ...options,
          sockets: [dial("a"), dial("b")],
          schedule: Schedule.exponential("1 second")
        })
        yield* TestClock.adjust("1 minute")
        expect(dials).toEqual([[0, "a"], [0, "b"], [1000, "a"], [1000, "b"], [3000, "a"], [3000, "b"]])
        expect(yield* client.state).toMatchObject({ _tag: "Ready" })
      }))

    it.effect("asks for its addresses before each round, and again when that fails", () =>
      Effect.gen(function*() {
        const { dial, dials, options } = yield* dialling((address) => address === "c" ? welcome : "refused")
        const answers: ReadonlyArray<Effect.Effect<ReadonlyArray<string>, string>> = [
          Effect.succeed(["a", "b"]),
          Effect.fail("no DNS"),
          Effect.succeed([]),
          Effect.succeed(["c"])
        ]
        let asked = 0
        const client = yield* Client.reconnecting({
          handshake,
          schedule: options.schedule,
          addresses: Effect.suspend(() => answers[asked++]),
          dial
        })
        const states = yield* Effect.forkChild(Stream.runCollect(Stream.takeUntil(
          client.changes,
          ({ _tag }) => _tag === "Ready"
        )))
        yield* TestClock.adjust("3 seconds")
        expect(dials).toEqual([[0, "a"], [0, "b"], [3000, "c"]])
        const waits = (yield* Fiber.join(states)).filter((state) => state._tag === "Waiting")
        expect(waits.map(({ error }) => typeof error === "string" ? error : error.message)).toEqual([
          "test handshake failed at step connect: the connection could not be opened: connect ECONNREFUSED",
          "no DNS",
          "no DNS"
        ])
      }))

    it.effect("leaves a peer alone for as long as that has said, and not the others", () =>
      Effect.gen(function*() {
        const { dial, dials } = yield* dialled((address, nth) =>
          address === "a" ? nth === 1 ? ["later 30"] : welcome : "refused"
        )
        const client = yield* Client.reconnecting({
          handshake,
          addresses: Effect.sync(() => ["a", "b"]),
          dial,
          schedule: Schedule.spaced("10 seconds")
        })
        yield* TestClock.adjust("1 minute")
        expect(dials).toEqual([[0, "a"], [0, "b"], [10_000, "b"], [20_000, "b"], [30_000, "a"]])
        expect(yield* client.state).toMatchObject({ _tag: "Ready" })
      }))

    it.effect("waits until one peer wants to hear of it again, and what its schedule says on top", () =>
      Effect.gen(function*() {
        const { dial, dials } = yield* dialled((address) => address === "a" ? ["later 60"] : ["later 30"])
        const client = yield* Client.reconnecting({ handshake, sockets: [dial("a"), dial("b")], schedule: everySecond })
        yield* settled
        expect(yield* client.state).toMatchObject({
          _tag: "Waiting",
          error: { reason: { _tag: "Rejected" } },
          next: { epochMilliseconds: 31_000 }
        })
        yield* TestClock.adjust("62 seconds")
        expect(dials).toEqual([[0, "a"], [0, "b"], [31_000, "b"], [61_000, "a"], [61_000, "b"]])
      }))

    it.effect("a connection that has ended early does not begin the schedule anew, one that has lived does", () =>
      Effect.gen(function*() {
        const { options, peers, times } = yield* dialling()
        yield* Client.reconnecting({
          ...options,
          schedule: Schedule.exponential("1 second"),
          stableAfter: "10 seconds"
        })
        for (const [n, lived] of [0, 9999, 0, 10_000].entries()) {
          yield* TestClock.adjust(lived)
          yield* peers[n].end
          yield* TestClock.adjust([1000, 2000, 4000, 1000][n])
          expect(times()).toHaveLength(n + 2)
        }
        expect(times()).toEqual([0, 1000, 12_999, 16_999, 27_999])
      }))
  })

  describe("stops", () => {
    it.effect.each(
      [
        ["a rejection that no other try can mend", "never", "Rejected"],
        ["a password that is wrong", "password?", "AuthenticationFailed"]
      ] as const
    )("after %s, and every call fails with that", ([, said, reason]) =>
      Effect.gen(function*() {
        const { dial, dials } = yield* dialled(() => [said])
        const client = yield* Client.reconnecting({ handshake, sockets: [dial("a"), dial("b")] })
        const early = yield* forked(Effect.flip(client.call("early")))
        const ended = yield* forked(Effect.flip(client.awaitEnd))
        yield* TestClock.adjust("1 day")
        expect(dials).toEqual([[0, "a"]])
        const stopped = {
          sent: "no",
          reason: { _tag: "Unavailable", why: "stopped", cause: { reason: { _tag: reason } } }
        }
        expect(yield* Fiber.join(early)).toMatchObject(stopped)
        expect(yield* Effect.flip(client.call("late"))).toMatchObject(stopped)
        expect(yield* Fiber.join(ended)).toMatchObject(stopped)
        expect(yield* client.state).toMatchObject({ _tag: "Stopped", error: { reason: { _tag: reason } } })
      }))

    it.effect("unless it is told that another try can", () =>
      Effect.gen(function*() {
        const { dial, times } = yield* dialled((_, nth) => nth < 3 ? ["never"] : welcome)
        const client = yield* Client.reconnecting({
          handshake,
          sockets: [dial("a")],
          schedule: everySecond,
          while: () => true
        })
        yield* TestClock.adjust("1 minute")
        expect(times()).toEqual([0, 1000, 2000])
        yield* client.ready
      }))

    it.effect("when its schedule ends", () =>
      Effect.gen(function*() {
        const { options, times } = yield* dialling(() => "refused")
        const client = yield* Client.reconnecting({ ...options, schedule: Schedule.upTo(everySecond, { times: 2 }) })
        yield* TestClock.adjust("1 minute")
        expect(times()).toEqual([0, 1000, 2000])
        expect((yield* Effect.flip(client.ready)).message).toMatch(
          /^there is no connection, and its schedule has ended: /
        )
      }))

    it.effect("when what has to be said on each connection fails with an error of its own", () =>
      Effect.gen(function*() {
        const { options, peers, times } = yield* dialling()
        const client = yield* Client.reconnecting({
          ...options,
          onConnect: () => Effect.fail("no such database" as const)
        })
        yield* TestClock.adjust("1 minute")
        expect(times()).toEqual([0])
        expect(yield* client.state).toEqual({ _tag: "Stopped", error: "no such database" })
        yield* peers[0].closed
      }))

    it.effect("and when the connection ends meanwhile, it goes on", () =>
      Effect.gen(function*() {
        const { options, peers, times } = yield* dialling()
        const client = yield* Client.reconnecting({ ...options, onConnect: ({ call }) => call("SELECT 1") })
        yield* settled
        yield* peers[0].end
        yield* TestClock.adjust("1 second")
        yield* peers[1].say("ok")
        yield* client.ready
        expect(times()).toEqual([0, 1001])
      }))

    it.effect("at a defect, which every call sees", () =>
      Effect.gen(function*() {
        const { dial } = yield* dialled(() => welcome)
        const client = yield* Client.reconnecting({
          handshake,
          sockets: [dial("a")],
          onConnect: () => Effect.die("a mistake")
        })
        expect(yield* Effect.exit(client.call("hello"))).toEqual(Exit.die("a mistake"))
        expect(yield* client.state).toMatchObject({ _tag: "Stopped" })
      }))

    it.effect("when its scope is closed: what waits and what is under way fails, and nothing is left", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(Client.reconnecting({ ...options, idempotent: () => true }), scope)
        const states = yield* forked(Stream.runCollect(client.changes))
        yield* settled
        const sent = yield* forked(Effect.flip(client.call("sent")))
        yield* settled
        yield* Scope.close(scope, Exit.void)
        const closed = (sent: "no" | "perhaps") => ({ sent, reason: { _tag: "ConnectionClosed", by: "local" } })
        expect(yield* Fiber.join(sent)).toMatchObject(closed("perhaps"))
        expect(yield* Effect.flip(client.call("late"))).toMatchObject(closed("no"))
        expect(yield* Effect.flip(client.awaitEnd)).toMatchObject(closed("no"))
        yield* peers[0].closed
        expect((yield* Fiber.join(states)).map(({ _tag }) => _tag)).toEqual(["Connecting", "Ready", "Stopped"])
        yield* TestClock.adjust("1 day")
        expect(peers).toHaveLength(1)
      }))
  })

  it.effect("a defect that ends a connection is that of the calls on it, and the next one is dialled", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const client = yield* Client.reconnecting({
        ...options,
        client: (transport) =>
          Pipeline.client(transport, {
            response: (line) => {
              throw new Error(line)
            }
          })
      })
      const calling = yield* forked(Effect.exit(client.call("hello")))
      yield* settled
      yield* peers[0].say("what?")
      expect(yield* Fiber.join(calling)).toEqual(Exit.die(new Error("what?")))
      yield* TestClock.adjust("1 second")
      expect(yield* client.state).toMatchObject({ _tag: "Ready" })
    }))

  it.effect("its state can be watched", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling((_, nth) => nth === 1 ? "refused" : nth === 2 ? welcome : ["never"])
      const client = yield* Client.reconnecting(options)
      const watching = yield* Effect.forkChild(Stream.runCollect(client.changes))
      yield* TestClock.adjust("5 seconds")
      yield* peers[0].end
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(watching)).toMatchObject([
        { _tag: "Waiting", error: { _tag: "HandshakeError" }, next: { epochMilliseconds: 1000 } },
        { _tag: "Connecting", error: { _tag: "HandshakeError" } },
        { _tag: "Ready", since: { epochMilliseconds: 1000 } },
        { _tag: "Waiting", error: { _tag: "TransportError" }, next: { epochMilliseconds: 6000 } },
        { _tag: "Connecting", error: { _tag: "TransportError" } },
        { _tag: "Stopped", error: { reason: { _tag: "Rejected" } } }
      ])
    }))

  it.effect("is counted", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* Client.reconnecting({
          protocol: { name: "test", client: options.handshake },
          sockets: options.sockets,
          schedule: options.schedule
        })
        yield* settled
        const calling = yield* forked(Effect.exit(client.call("hello")))
        const again = yield* forked(client.call("hello again", { idempotent: true }))
        yield* settled
        yield* peers[0].end
        yield* settled
        const seen = (yield* Metric.snapshot).flatMap(({ attributes, id, state }) =>
          id.startsWith("handshake.client.")
            ? [[id, attributes?.["handshake.client.state"] ?? attributes?.["handshake.client.sent"], state]]
            : []
        )
        expect(seen).toEqual(expect.arrayContaining([
          ["handshake.client.states", "ready", { value: 0 }],
          ["handshake.client.states", "waiting", { value: 1 }],
          ["handshake.client.connections_lost", undefined, { count: 1, incremental: true }],
          ["handshake.client.waiting_calls", undefined, { value: 1 }],
          ["handshake.client.failed_calls", "perhaps", { count: 1, incremental: true }],
          ["handshake.client.resent_calls", undefined, { count: 1, incremental: true }]
        ]))
        yield* Fiber.join(calling)
        yield* TestClock.adjust("1 second")
        yield* peers[1].say("hello")
        yield* Fiber.join(again)
      }))
      const states = (yield* Metric.snapshot).filter(({ id }) => id === "handshake.client.states")
      expect(states.map(({ state }) => state)).toEqual(states.map(() => ({ value: 0 })))
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("layerReconnecting", () => {
  class Echo extends Context.Service<Echo, Pipeline.Client<string, string>>()("test/Reconnecting/Echo") {}

  it.effect("is there at once, under a service, for as long as the layer lives", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling((_, nth) => nth === 1 ? "refused" : welcome)
      const scope = yield* Scope.make()
      const echo = Context.get(yield* Layer.buildWithScope(Client.layerReconnecting(Echo, options), scope), Echo)
      const calling = yield* forked(echo.call("hello"))
      yield* TestClock.adjust("1 second")
      yield* peers[0].say("hello")
      expect(yield* Fiber.join(calling)).toBe("hello")
      yield* Scope.close(scope, Exit.void)
      yield* peers[0].closed
      const late: TransportError = yield* Effect.flip(echo.call("hello"))
      expect(late.reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
    }))
})

describe("Unavailable", () => {
  it("says whose mistake it is", () => {
    const faultOf = (why: Unavailable["why"]) => new Unavailable({ why, detail: "" }).fault
    expect([faultOf("full"), faultOf("waited"), faultOf("stopped")]).toEqual(["local", "network", "network"])
  })
})
