import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Admission from "../src/Admission.ts"
import * as Net from "../src/node/Net.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Addressed from "./support/addressed.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"
import { echo, settled } from "./support/serving.ts"

type Service = Admission.Admission["Service"]

/** A server of the line protocol that has an admission, and clients that have addresses. */
const serving = Effect.fnUntraced(
  function*<R>(admission: Effect.Effect<Service, never, R>, limits: Server.Limits = {}) {
    const network = yield* Addressed.network
    const scope = yield* Scope.fork(yield* Effect.scope)
    const server = yield* Server.make({ ...limits, protocol: Line.protocol, serve: echo, admission }).pipe(
      Effect.provideService(SocketServer.SocketServer, network.server),
      Scope.provide(scope)
    )
    const events: Array<Server.Event> = []
    yield* Effect.forkScoped(Stream.runForEach(server.events, (event) => Effect.sync(() => events.push(event))))
    yield* settled
    const saying = Effect.fnUntraced(function*(from: string, said: string) {
      const peer = yield* rawPeer(yield* network.dial(from))
      yield* peer.write(utf8(said))
      yield* settled
      return peer
    })
    return { server, events, saying, close: Scope.close(scope, Exit.void), tags: () => events.map(({ _tag }) => _tag) }
  }
)

const hello = "You ready?\n"
const welcome = "Bring it!\n"
const refusal = "No! Go away!\n"

const addressOnly = (bounds: Admission.Bounds, options: Partial<Admission.Options> = {}) =>
  Admission.make({ limits: [Admission.byAddress(bounds)], ...options })

/** An admission that says what it is told. */
const deciding = (admit: Service["admit"]) => Effect.succeed({ admit })

const denied: Admission.Denied = {
  _tag: "Denied",
  limit: "test",
  why: "rate",
  retryAfter: Duration.seconds(30),
  delay: undefined,
  isTold: true
}

describe("who is denied", () => {
  it.effect("hears the refusal of the protocol, and is no connection", () =>
    Effect.gen(function*() {
      const { events, saying, server, tags } = yield* serving(addressOnly({ atOnce: 1 }))
      yield* saying("192.0.2.1", hello)
      const second = yield* saying("192.0.2.1", hello)
      expect(second.heard()).toBe(refusal)
      yield* second.end
      yield* second.closed
      const other = yield* saying("192.0.2.2", hello)
      expect(other.heard()).toBe(welcome)
      expect(yield* server.counts).toEqual({ connections: 2, pending: 0, refusing: 0 })
      expect(tags()).toEqual(["Accepted", "Ready", "Refused", "Accepted", "Ready"])
      expect(events[2]).toMatchObject({
        reason: "Rejected",
        peer: { remote: Addressed.peerAt("192.0.2.1").remote },
        error: { step: "accept", reason: { said: "at capacity (limit address)", retryable: true } }
      })
    }))

  it.effect("is told when it may come again", () =>
    Effect.gen(function*() {
      const { events, saying } = yield* serving(addressOnly({ connections: { limit: 1, window: "30 seconds" } }))
      yield* saying("192.0.2.1", hello)
      yield* saying("192.0.2.1", hello)
      expect(events.at(-1)).toMatchObject({
        error: { reason: { said: "too often (limit address)", retryAfter: Duration.millis(29_999) } }
      })
    }))

  it.effect("for a second time hears nothing, and is closed", () =>
    Effect.gen(function*() {
      const { saying, tags } = yield* serving(addressOnly({ atOnce: 1 }))
      yield* saying("192.0.2.1", hello)
      yield* saying("192.0.2.1", hello)
      const third = yield* saying("192.0.2.1", hello)
      yield* third.closed
      expect(third.heard()).toBe("")
      expect(tags().slice(2)).toEqual(["Refused", "Refused"])
    }))

  it.effect("waits for its refusal as long as it is said", () =>
    Effect.gen(function*() {
      const { saying, server } = yield* serving(addressOnly({ atOnce: 1 }, { delay: "3 seconds" }))
      yield* saying("192.0.2.1", hello)
      const second = yield* saying("192.0.2.1", hello)
      yield* TestClock.adjust("2998 millis")
      expect(second.heard()).toBe("")
      expect((yield* server.counts).refusing).toBe(1)
      yield* TestClock.adjust("1 millis")
      expect(second.heard()).toBe(refusal)
    }))

  it.effect("does not wait for it when the server drains", () =>
    Effect.gen(function*() {
      const { saying, server } = yield* serving(addressOnly({ atOnce: 1 }, { delay: "3 seconds" }))
      const first = yield* saying("192.0.2.1", hello)
      const second = yield* saying("192.0.2.1", hello)
      yield* Effect.forkScoped(server.drain)
      yield* settled
      expect(second.heard()).toBe(refusal)
      yield* second.end
      yield* first.end
      yield* settled
      yield* server.awaitDrained
    }))

  it.effect("is counted by limit and by reason, told or not", () =>
    Effect.gen(function*() {
      const { saying } = yield* serving(addressOnly({ atOnce: 1 }))
      for (let i = 0; i < 4; i++) yield* saying("192.0.2.1", hello)
      const counted = (yield* Metric.snapshot).filter(({ id }) => id === "handshake.denials")
      expect(counted.map(({ attributes, state }) => ({ attributes, state }))).toEqual([
        {
          attributes: { "handshake.role": "server", "admission.limit": "address", "admission.why": "capacity" },
          state: { count: 3, incremental: true }
        }
      ])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("is a debug message, with the limit and when to come again", () => {
    const told: Array<unknown> = []
    const logger = Logger.make(({ fiber, message }) => {
      const { limit, peer, retryAfter, why } = fiber.getRef(References.CurrentLogAnnotations)
      if (limit !== undefined) told.push({ message: `${message}`, limit, peer, retryAfter, why })
    })
    return Effect.gen(function*() {
      const { saying } = yield* serving(addressOnly({ connections: { limit: 1, window: "10 seconds" } }))
      for (let i = 0; i < 3; i++) yield* saying("192.0.2.1", hello)
      expect(told).toEqual([{
        message: "a connection was denied",
        limit: "address",
        peer: "192.0.2.1:1024",
        retryAfter: "9s 999ms",
        why: "rate"
      }])
    }).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "Debug")
    )
  })
})

describe("a handshake that fails", () => {
  it.effect("counts, where it was misconduct", () =>
    Effect.gen(function*() {
      const { saying } = yield* serving(addressOnly({ failures: { limit: 1, window: "1 minute" } }))
      yield* Effect.andThen(saying("192.0.2.1", ""), (peer) => peer.end)
      yield* settled
      expect((yield* saying("192.0.2.1", hello)).heard()).toBe(welcome)
      yield* saying("192.0.2.1", "Hi there\n")
      expect((yield* saying("192.0.2.1", hello)).heard()).toBe(refusal)
    }))

  it.effect("counts, where it took too long", () =>
    Effect.gen(function*() {
      const { saying } = yield* serving(addressOnly({ failures: { limit: 1, window: "1 minute" } }))
      yield* saying("192.0.2.1", "")
      yield* TestClock.adjust("10 seconds")
      expect((yield* saying("192.0.2.1", hello)).heard()).toBe(refusal)
    }))
})

describe("a place", () => {
  it.effect("is given again when its connection is closed", () =>
    Effect.gen(function*() {
      const { saying } = yield* serving(addressOnly({ atOnce: 1 }))
      const first = yield* saying("192.0.2.1", hello)
      yield* first.end
      yield* first.closed
      yield* settled
      expect((yield* saying("192.0.2.1", hello)).heard()).toBe(welcome)
    }))

  it.effect("that is lost closes its connection", () =>
    Effect.gen(function*() {
      let lose = () => {}
      let left = 0
      const admission = deciding((_, onLost) => {
        lose = onLost
        return { _tag: "Admitted", failed: () => {}, leave: () => left++ }
      })
      const { saying } = yield* serving(admission)
      const peer = yield* saying("192.0.2.1", hello)
      lose()
      yield* peer.end
      yield* peer.closed
      yield* settled
      expect([peer.heard(), left]).toEqual([welcome, 1])
    }))
})

describe("an admission that has to wait", () => {
  const ticket = () => {
    const calls: Array<string> = []
    const admitted: Admission.Admitted = {
      _tag: "Admitted",
      failed: () => calls.push("failed"),
      leave: () => calls.push("leave")
    }
    return { admitted, calls }
  }

  it.effect("has its connection wait, and then shake hands", () =>
    Effect.gen(function*() {
      const { admitted, calls } = ticket()
      const { saying, tags } = yield* serving(deciding(() => Effect.delay(Effect.succeed(admitted), "1 second")))
      const peer = yield* saying("192.0.2.1", hello)
      yield* TestClock.adjust("998 millis")
      expect(peer.heard()).toBe("")
      yield* TestClock.adjust("1 millis")
      expect(peer.heard()).toBe(welcome)
      yield* peer.end
      yield* settled
      expect(tags()).toEqual(["Accepted", "Ready", "Closed"])
      expect(calls).toEqual(["leave"])
    }))

  it.effect("and denies it then says so in the words of the protocol", () =>
    Effect.gen(function*() {
      const { events, saying, tags } = yield* serving(deciding(() => Effect.delay(Effect.succeed(denied), "1 second")))
      const peer = yield* saying("192.0.2.1", hello)
      yield* TestClock.adjust("1 second")
      expect(peer.heard()).toBe(refusal)
      yield* peer.end
      yield* settled
      expect(tags()).toEqual(["Accepted", "Refused", "Closed"])
      expect(events[1]).toMatchObject({
        error: { step: "accept", reason: { said: "too often (limit test)", retryAfter: Duration.seconds(30) } }
      })
    }))

  it.effect("is interrupted at the deadline, and nothing is left behind", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const never = Effect.interruptible(Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
      const { saying, server, tags } = yield* serving(deciding(() => never), { handshakeTimeout: "2 seconds" })
      const peer = yield* saying("192.0.2.1", hello)
      yield* TestClock.adjust("2 seconds")
      yield* peer.end
      yield* settled
      expect(interrupted).toBe(1)
      expect(yield* server.counts).toEqual({ connections: 0, pending: 0, refusing: 0 })
      expect(tags()).toEqual(["Accepted", "Failed", "Closed"])
    }))

  it.effect("counts as a handshake under way", () =>
    Effect.gen(function*() {
      const verdict = yield* Deferred.make<Admission.Verdict>()
      const { saying, server } = yield* serving(deciding(() => Deferred.await(verdict)), { maxPendingHandshakes: 1 })
      const first = yield* saying("192.0.2.1", hello)
      expect((yield* server.counts).pending).toBe(1)
      expect((yield* saying("192.0.2.2", hello)).heard()).toBe(refusal)
      yield* Deferred.succeed(verdict, ticket().admitted)
      yield* settled
      expect(first.heard()).toBe(welcome)
    }))
})

it.effect("the admission may be a service of the context", () =>
  Effect.gen(function*() {
    const { saying } = yield* serving(Admission.Admission)
    yield* saying("192.0.2.1", hello)
    expect((yield* saying("192.0.2.2", hello)).heard()).toBe(refusal)
  }).pipe(Effect.provide(Admission.layer({ limits: [Admission.inAll({ atOnce: 1 })] }))))

it.live("over TCP, whoever is told nothing is closed at once", () =>
  Effect.gen(function*() {
    const server = yield* Server.make({
      protocol: Line.protocol,
      serve: echo,
      admission: addressOnly({ atOnce: 1 }, { quiet: "1 hour" })
    }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 })))
    const dial = Effect.provideServiceEffect(Line.client, Socket.Socket, Net.socket(server.address))
    const first = yield* dial
    const reasons = []
    for (let i = 0; i < 2; i++) reasons.push((yield* Effect.flip(dial)).reason._tag)
    expect(reasons[0]).toBe("Rejected")
    expect(["UnexpectedEnd", "ConnectionFailed"]).toContain(reasons[1])
    yield* first.send("Hello")
    expect(yield* first.receive).toBe("Hello")
    expect((yield* server.counts).connections).toBe(1)
  }))
