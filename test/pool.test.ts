import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Transport from "../src/Transport.ts"
import { dialled, type Meets } from "./support/dialled.ts"
import { byId } from "./support/fourKinds.ts"
import { handshake as greeted, welcome } from "./support/greeted.ts"
import { settled as settledOnce } from "./support/serving.ts"

const handshake = Transport.framed(Codec.lines())

const dialling = Effect.fnUntraced(function*(meets: (address: string, nth: number) => Meets = () => []) {
  const network = yield* dialled(meets)
  return { ...network, options: { handshake, sockets: [network.dial("a")] } as const }
})

const forked = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

// A call may have to wait for a connection before it goes out.
const settled = Effect.andThen(settledOnce, settledOnce)

const forkedAndSettled = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.tap(forked(effect), () => settled)

describe("pool", () => {
  it.effect("dials what is needed, up to its greatest number, and shares it in the order in which calls were made", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const pool: Pipeline.Client<string, string> = yield* Client.pool({ ...options, max: 2 })
      expect(peers).toEqual([])
      const calls = yield* Effect.forEach(["one", "two", "three", "four"], (word) => forkedAndSettled(pool.call(word)))
      expect(peers.map((peer) => peer.heard())).toEqual([["one"], ["two"]])
      yield* peers[1].say("second")
      yield* settled
      yield* peers[1].say("third")
      yield* peers[0].say("first")
      yield* settled
      expect(peers.map((peer) => peer.heard().length)).toEqual([2, 2])
      yield* peers[0].say("fourth")
      expect(yield* Effect.forEach(calls, Fiber.join)).toEqual(["first", "second", "third", "fourth"])
      expect(peers.length).toBe(2)
    }))

  it.effect("dials as many as there shall be before anybody asks, and keeps no others that nobody uses", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const pool = yield* Client.pool({ ...options, min: 1, max: 3, timeToLive: "10 seconds" })
      yield* settled
      expect(peers.length).toBe(1)
      const calls = yield* Effect.forEach(["one", "two", "three"], (word) => forkedAndSettled(pool.call(word)))
      yield* Effect.forEach(peers, (peer) => peer.say("ok"))
      yield* Effect.forEach(calls, Fiber.join)
      expect(yield* pool.stats).toMatchObject({ idle: 3, used: 0 })
      yield* TestClock.adjust("9 seconds")
      expect(yield* pool.stats).toMatchObject({ idle: 3 })
      yield* TestClock.adjust("11 seconds")
      expect(yield* pool.stats).toMatchObject({ idle: 1 })
    }))

  it.effect("calls by id share a connection, as many as may", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const pool = yield* Client.pool({
        ...options,
        client: (transport) => Multiplex.client(byId, transport),
        concurrency: 2
      })
      const calls = yield* Effect.forEach(["one", "two", "three"], (word) => forkedAndSettled(pool.call(word)))
      expect(peers.map((peer) => peer.heard())).toEqual([["0 one", "1 two"], ["0 three"]])
      yield* peers[0].say("1 second", "0 first")
      yield* peers[1].say("0 third")
      expect(yield* Effect.forEach(calls, Fiber.join)).toEqual(["first", "second", "third"])
    }))

  it.effect("a use has its connection for itself", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const pool = yield* Client.pool({ ...options, max: 1 })
      const transaction = yield* forkedAndSettled(
        pool.use(({ call }) => Effect.andThen(call("begin"), call("commit")))
      )
      yield* forkedAndSettled(Effect.ignore(pool.call("another")))
      yield* peers[0].say("ok")
      yield* settled
      yield* peers[0].say("done")
      expect(yield* Fiber.join(transaction)).toBe("done")
      yield* settled
      expect(peers[0].heard()).toEqual(["begin", "commit", "another"])
    }))

  describe("a connection", () => {
    it.effect("that has ended is taken by nobody, and by nobody a second time", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, max: 1 })
        const broken = yield* forkedAndSettled(Effect.flip(pool.call("one")))
        const waiting = yield* Effect.forEach(["two", "three"], (word) => forkedAndSettled(pool.call(word)))
        yield* peers[0].end
        expect(yield* Fiber.join(broken)).toMatchObject({ sent: "perhaps", reason: { _tag: "ConnectionClosed" } })
        yield* settled
        yield* peers[1].say("second")
        yield* settled
        yield* peers[1].say("third")
        expect(yield* Effect.forEach(waiting, Fiber.join)).toEqual(["second", "third"])
        yield* settled
        // It was free when it ended.
        yield* peers[1].end
        yield* settled
        expect(yield* pool.stats).toMatchObject({ idle: 0, used: 0 })
        yield* forkedAndSettled(Effect.ignore(pool.call("four")))
        expect(peers.map((peer) => peer.heard())).toEqual([["one"], ["two", "three"], ["four"]])
      }))

    it.effect("on which a call was not answered in time is let go", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, callTimeout: "1 second" })
        const late = yield* forkedAndSettled(Effect.flip(pool.call("one")))
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(late)).toMatchObject({ reason: { _tag: "TimedOut" } })
        yield* peers[0].closed
        yield* forkedAndSettled(Effect.ignore(pool.call("two")))
        expect(peers[1].heard()).toEqual(["two"])
      }))

    it.effect("is kept by what this side alone has done wrong, and by errors that are none of the connection's", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool(options)
        expect(yield* Effect.flip(pool.call("two\nlines"))).toMatchObject({ reason: { _tag: "MalformedFrame" } })
        expect(yield* Effect.flip(pool.use(() => Effect.fail("mine")))).toBe("mine")
        yield* forkedAndSettled(Effect.ignore(pool.call("three")))
        expect(peers.map((peer) => peer.heard())).toEqual([["three"]])
      }))

    it.effect("that did nothing for a while is checked before it is used, and let go if that fails", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, check: ({ call }) => call("check"), checkAfter: "5 seconds" })
        const first = yield* forkedAndSettled(pool.call("one"))
        yield* peers[0].say("first")
        yield* Fiber.join(first)
        yield* TestClock.adjust("4 seconds")
        const second = yield* forkedAndSettled(pool.call("two"))
        yield* peers[0].say("second")
        yield* Fiber.join(second)
        yield* TestClock.adjust("5 seconds")
        yield* forkedAndSettled(Effect.ignore(pool.call("three")))
        expect(peers[0].heard()).toEqual(["one", "two", "check"])
        yield* TestClock.adjust("1 second")
        yield* peers[0].closed
        expect(peers[1].heard()).toEqual(["three"])
      }))
  })

  describe("bounds", () => {
    it.effect("a call waits for as long as it may", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, max: 1, waitTimeout: "5 seconds" })
        yield* forked(pool.call("one"))
        const waiting = yield* forked(Effect.flip(pool.call("two")))
        yield* TestClock.adjust("4999 millis")
        expect(waiting.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(waiting)
        expect(error).toMatchObject({ sent: "no", reason: { _tag: "Unavailable", why: "waited" } })
        expect(error.message).toBe("there is no connection, and none was free within 5s")
        expect(peers.map((peer) => peer.heard())).toEqual([["one"]])
        expect(yield* pool.stats).toMatchObject({ used: 1, pending: 0 })
      }))

    it.effect("as many calls wait as may, and one more fails at once", () =>
      Effect.gen(function*() {
        const { options } = yield* dialling()
        const pool = yield* Client.pool({ ...options, max: 1, maxWaiting: 2 })
        const calls = yield* Effect.forEach(["one", "two", "three"], (word) => forkedAndSettled(pool.call(word)))
        expect(yield* Effect.flip(pool.call("four"))).toMatchObject({ sent: "no", reason: { why: "full" } })
        expect(calls.map((fiber) => fiber.pollUnsafe())).toEqual([undefined, undefined, undefined])
      }))

    it.effect("an interrupted call that waits leaves nothing behind", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, max: 1 })
        const first = yield* forkedAndSettled(pool.call("one"))
        yield* Fiber.interrupt(yield* forkedAndSettled(pool.call("two")))
        yield* peers[0].say("first")
        yield* Fiber.join(first)
        expect(yield* pool.stats).toMatchObject({ idle: 1, used: 0, pending: 0 })
        expect(peers[0].heard()).toEqual(["one"])
      }))

    it.effect("a call whose connection cannot be made fails with what has gone wrong, once that is not tried again", () =>
      Effect.gen(function*() {
        const { options, times } = yield* dialling((_, nth) => nth === 3 ? [] : "refused")
        const once = yield* Client.pool(options)
        expect(yield* Effect.flip(once.call("one"))).toMatchObject({
          sent: "no",
          reason: { why: "failed", cause: { _tag: "HandshakeError", reason: { _tag: "ConnectionFailed" } } }
        })
        const again = yield* Client.pool({ ...options, retry: Schedule.spaced("1 second") })
        yield* forked(Effect.ignore(again.call("one")))
        yield* TestClock.adjust("1 second")
        expect(times()).toEqual([0, 0, 1000])
        expect(yield* again.stats).toMatchObject({ used: 1 })
      }))

    it.effect("connections that end as soon as they are made are not dialled for ever", () =>
      Effect.gen(function*() {
        const { dial, dials, peers } = yield* dialling()
        const dying = Effect.tap(dial("a"), () => peers[peers.length - 1].end)
        const pool = yield* Client.pool({
          handshake,
          sockets: [dying],
          max: 2,
          client: (transport) => Effect.tap(Pipeline.client(transport), ({ awaitEnd }) => Effect.flip(awaitEnd))
        })
        expect(yield* Effect.flip(pool.call("one"))).toMatchObject({ sent: "no", reason: { why: "failed" } })
        expect(dials.length).toBeLessThanOrEqual(4)
      }))
  })

  describe("calls whose connection has ended", () => {
    /** The first call of a pool of one, and what becomes of it when its connection ends. */
    const cut = Effect.fnUntraced(function*(
      called: (pool: Client.Pooled<Pipeline.Client<string, string>>) => Effect.Effect<string, unknown>,
      idempotent?: (request: string) => boolean
    ) {
      const { options, peers } = yield* dialling()
      const pool = yield* Client.pool({ ...options, max: 1, idempotent })
      const calling = yield* forkedAndSettled(Effect.exit(called(pool)))
      yield* peers[0].end
      yield* settled
      if (peers.length > 1) yield* peers[1].say("again")
      return { exit: yield* Fiber.join(calling), peers }
    })

    it.effect("are made again on another one where twice does no harm, as the pool or the call says", () =>
      Effect.gen(function*() {
        for (
          const { exit, peers } of [
            yield* cut((pool) => pool.call("GET"), (request) => request === "GET"),
            yield* cut((pool) => pool.call("GET", { idempotent: true })),
            yield* cut((pool) => pool.use(({ call }) => call("GET"), { idempotent: true }))
          ]
        ) {
          expect(exit).toEqual(Exit.succeed("again"))
          expect(peers.map((peer) => peer.heard())).toEqual([["GET"], ["GET"]])
        }
      }))

    it.effect("fail where it might do harm", () =>
      Effect.gen(function*() {
        for (
          const { exit, peers } of [
            yield* cut((pool) => pool.call("ADD"), (request) => request === "GET"),
            yield* cut((pool) => pool.call("GET", { idempotent: false }), (request) => request === "GET"),
            yield* cut((pool) => pool.use(({ call }) => call("GET")), (request) => request === "GET")
          ]
        ) {
          expect(exit).toMatchObject({ cause: { reasons: [{ error: { sent: "perhaps" } }] } })
          expect(peers.flatMap((peer) => peer.heard()).length).toBe(1)
        }
      }))

    it.effect("are made again in any case where they were not sent, and not more often than they may", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, max: 1, maxResends: 1 })
        const unsent = yield* forkedAndSettled(
          Effect.flip(pool.use(({ awaitEnd, call }) => Effect.andThen(Effect.flip(awaitEnd), call("late"))))
        )
        yield* peers[0].end
        yield* settled
        expect(unsent.pollUnsafe()).toBeUndefined()
        yield* peers[1].end
        expect(yield* Fiber.join(unsent)).toMatchObject({ sent: "no", reason: { _tag: "ConnectionClosed" } })
      }))

    it.effect("fail where their connection is there still, whatever they may", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, callTimeout: "1 second", idempotent: () => true })
        const late = yield* forkedAndSettled(Effect.flip(pool.call("one")))
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(late)).toMatchObject({ sent: "perhaps", reason: { _tag: "TimedOut" } })
        yield* settled
        expect(peers.flatMap((peer) => peer.heard())).toEqual(["one"])
      }))
  })

  describe("where it dials", () => {
    it.effect("asks for its addresses each time that it needs a connection", () =>
      Effect.gen(function*() {
        const { dial, dials, peers } = yield* dialling((address) => address === "dead" ? "refused" : [])
        const answers = [Effect.succeed(["dead", "a"]), Effect.fail("no answer"), Effect.succeed(["b"])]
        let asked = 0
        const pool = yield* Client.pool({ handshake, addresses: Effect.suspend(() => answers[asked++]), dial })
        yield* forkedAndSettled(Effect.ignore(pool.call("one")))
        expect(yield* Effect.flip(pool.call("two"))).toMatchObject({ reason: { why: "failed", cause: "no answer" } })
        yield* forkedAndSettled(Effect.ignore(pool.call("three")))
        expect(dials.map(([, address]) => address)).toEqual(["dead", "a", "b"])
        expect(peers.map((peer) => peer.heard())).toEqual([["one"], ["three"]])
      }))

    it.effect("leaves a peer alone that says when to come back, and goes to another one meanwhile", () =>
      Effect.gen(function*() {
        const { dial, dials } = yield* dialling((address) => address === "a" ? ["busy 30"] : welcome)
        const pool = yield* Client.pool({ handshake: greeted, sockets: [dial("a"), dial("b")] })
        yield* forkedAndSettled(Effect.ignore(pool.call("one")))
        yield* TestClock.adjust("29 seconds")
        yield* forkedAndSettled(Effect.ignore(pool.call("two")))
        expect(dials.map(([, address]) => address)).toEqual(["a", "b", "b"])
        yield* TestClock.adjust("1 second")
        yield* forkedAndSettled(Effect.ignore(pool.call("three")))
        expect(dials.map(([, address]) => address)).toEqual(["a", "b", "b", "a", "b"])
      }))

    it.effect("a call waits where everybody wants to be left alone, for that or for a connection that is in use", () =>
      Effect.gen(function*() {
        const { dial, peers, times } = yield* dialling((_, nth) => nth === 2 ? ["busy 20"] : welcome)
        const pool = yield* Client.pool({ handshake: greeted, sockets: [dial("a")], waitTimeout: "10 seconds" })
        yield* forkedAndSettled(pool.call("one"))
        const second = yield* forkedAndSettled(pool.call("two"))
        const third = yield* forkedAndSettled(Effect.flip(pool.call("three")))
        yield* TestClock.adjust("9 seconds")
        yield* peers[0].say("first")
        yield* settled
        yield* TestClock.adjust("1 second")
        expect(yield* Fiber.join(third)).toMatchObject({
          sent: "no",
          reason: { why: "waited", cause: { reason: { _tag: "Rejected" } } }
        })
        expect(peers[0].heard()).toEqual(["one", "two"])
        yield* TestClock.adjust("9 seconds")
        expect(times().length).toBe(2)
        // It does not come back together with all others.
        yield* TestClock.adjust("1500 millis")
        expect(times()[2] - times()[1]).toBeGreaterThan(20_000)
        yield* Fiber.interrupt(second)
      }))

    it.effect("dials nobody any more when no other try can do better, and goes on with what it has", () =>
      Effect.gen(function*() {
        const { dial, peers, times } = yield* dialling((_, nth) => nth === 1 ? welcome : ["password?"])
        const pool = yield* Client.pool({
          handshake: greeted,
          sockets: [dial("a")],
          retry: Schedule.spaced("1 second")
        })
        const first = yield* forkedAndSettled(pool.call("one"))
        const stopped = {
          sent: "no",
          reason: { _tag: "Unavailable", why: "stopped", cause: { reason: { _tag: "AuthenticationFailed" } } }
        }
        expect(yield* Effect.flip(pool.call("two"))).toMatchObject(stopped)
        expect(yield* Effect.flip(pool.awaitEnd)).toMatchObject(stopped)
        expect(yield* Effect.flip(pool.call("three"))).toMatchObject(stopped)
        expect(times().length).toBe(2)
        yield* peers[0].say("first")
        yield* Fiber.join(first)
        yield* forkedAndSettled(Effect.ignore(pool.call("four")))
        expect(peers[0].heard()).toEqual(["one", "four"])
      }))

    it.effect("is as patient as it is told to be", () =>
      Effect.gen(function*() {
        const { dial, times } = yield* dialling((_, nth) => nth < 3 ? ["password?"] : welcome)
        const pool = yield* Client.pool({
          handshake: greeted,
          sockets: [dial("a")],
          retry: Schedule.spaced("1 second"),
          while: () => true
        })
        yield* forkedAndSettled(Effect.ignore(pool.call("one")))
        yield* TestClock.adjust("2 seconds")
        expect(times()).toEqual([0, 1000, 2000])
        expect(yield* pool.stats).toMatchObject({ used: 1 })
      }))

    it.effect("says what must be said first on each connection", () =>
      Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({ ...options, onConnect: ({ call }) => call("subscribe") })
        for (const n of [0, 1]) {
          yield* forkedAndSettled(Effect.ignore(pool.call("call")))
          expect(peers[n].heard()).toEqual(["subscribe"])
          yield* peers[n].say("ok")
          yield* settled
          expect(peers[n].heard()).toEqual(["subscribe", "call"])
        }
      }))
  })

  it.effect("is counted", () =>
    Effect.gen(function*() {
      const seen = Effect.map(Metric.snapshot, (all) =>
        Object.fromEntries(all.flatMap(({ attributes, id, state }) => {
          const name = id.replace("handshake.client.", "")
          const of = attributes?.["handshake.client.connection_state"] ?? attributes?.["handshake.client.sent"]
          const count = "value" in state ? state.value : "count" in state ? state.count : undefined
          return name === id ? [] : [[of === undefined ? name : `${name} ${of}`, count]]
        })))
      const using = yield* Effect.scoped(Effect.gen(function*() {
        const { options, peers } = yield* dialling()
        const pool = yield* Client.pool({
          protocol: { name: "test", client: handshake },
          sockets: options.sockets,
          max: 2,
          drainTimeout: 0,
          idempotent: (request) => request === "two"
        })
        const calls = yield* Effect.forEach(
          ["one", "two", "three"],
          (word) => forkedAndSettled(Effect.exit(pool.call(word)))
        )
        expect(yield* seen).toEqual({
          "pooled_connections idle": 0,
          "pooled_connections used": 2,
          "waiting_calls": 1
        })
        yield* peers[0].end
        yield* peers[1].end
        yield* settled
        yield* Effect.forEach(peers.slice(2), (peer) => peer.say("ok"))
        yield* Effect.forEach(calls, Fiber.join)
        yield* settled
        expect(yield* seen).toEqual({
          "connections_lost": 2,
          "failed_calls perhaps": 1,
          "pooled_connections idle": 2,
          "pooled_connections used": 0,
          "resent_calls": 1,
          "waiting_calls": 0
        })
        return yield* forkedAndSettled(Effect.ignore(pool.use(() => Effect.never)))
      }))
      // Its connection was closed under it.
      yield* Fiber.interrupt(using)
      yield* settled
      expect(yield* seen).toMatchObject({ "pooled_connections idle": 0, "pooled_connections used": 0 })
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  describe("its end", () => {
    const inUse = Effect.fnUntraced(function*(use: Effect.Effect<unknown>) {
      const { options, peers } = yield* dialling()
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(Client.pool({ ...options, max: 1, drainTimeout: "5 seconds" }), scope)
      const called = yield* forkedAndSettled(Effect.result(pool.use(({ call }) => Effect.andThen(call("one"), use))))
      const waiting = yield* forkedAndSettled(Effect.flip(pool.call("two")))
      const closing = yield* forkedAndSettled(Scope.close(scope, Exit.void))
      return { pool, peers, called, waiting, closing }
    })
    const closed = { sent: "no", reason: { _tag: "ConnectionClosed", by: "local" } }

    it.effect("waits for what has begun, and for nothing else", () =>
      Effect.gen(function*() {
        const { called, closing, peers, pool, waiting } = yield* inUse(Effect.void)
        expect(yield* Fiber.join(waiting)).toMatchObject(closed)
        expect(yield* Effect.flip(pool.call("three"))).toMatchObject(closed)
        expect(yield* Effect.flip(pool.awaitEnd)).toMatchObject(closed)
        yield* TestClock.adjust("4 seconds")
        expect(closing.pollUnsafe()).toBeUndefined()
        yield* peers[0].say("first")
        yield* Fiber.join(closing)
        expect(yield* Fiber.join(called)).toMatchObject({ _tag: "Success" })
        yield* peers[0].closed
      }))

    it.effect("closes the connections of what takes longer than it may", () =>
      Effect.gen(function*() {
        const { called, closing, peers } = yield* inUse(Effect.void)
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(closing)
        expect(yield* Fiber.join(called)).toMatchObject({ failure: { sent: "perhaps", reason: { by: "local" } } })
        yield* peers[0].closed
      }))

    it.effect("does not wait for a use that has no need of its connection any more", () =>
      Effect.gen(function*() {
        const { closing, peers } = yield* inUse(Effect.never)
        yield* peers[0].say("first")
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(closing)
        yield* peers[0].closed
      }))

    it.effect("gives up what is dialled", () =>
      Effect.gen(function*() {
        const { options } = yield* dialling()
        const scope = yield* Scope.make()
        const pool = yield* Scope.provide(Client.pool({ ...options, sockets: [Effect.never] }), scope)
        const waiting = yield* forkedAndSettled(Effect.flip(pool.call("one")))
        yield* Scope.close(scope, Exit.void)
        expect(yield* Fiber.join(waiting)).toMatchObject(closed)
      }))
  })
})

describe("layerPool", () => {
  class Echo extends Context.Service<Echo, Pipeline.Client<string, string>>()("test/Pool/Echo") {}

  it.effect("is there at once, under a service, for as long as the layer lives", () =>
    Effect.gen(function*() {
      const { options, peers } = yield* dialling()
      const scope = yield* Scope.make()
      const echo = Context.get(yield* Layer.buildWithScope(Client.layerPool(Echo, options), scope), Echo)
      const calling = yield* forkedAndSettled(echo.call("hello"))
      yield* peers[0].say("hello")
      expect(yield* Fiber.join(calling)).toBe("hello")
      yield* Scope.close(scope, Exit.void)
      yield* peers[0].closed
    }))
})
