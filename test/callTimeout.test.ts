import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as Body from "../src/Body.ts"
import * as Client from "../src/Client.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import { byId, byIdWithBodies, inOrder } from "./support/fourKinds.ts"
import { connected, linePeer, lines } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

const [slow, limit] = ["1 second", { callTimeout: "1 second" }] as const

const heads = <E, R>(
  call: (request: { head: string; body: undefined }) => Effect.Effect<Body.Message<string, string, unknown>, E, R>
) =>
(head: string) => Effect.map(Effect.scoped(call({ head, body: undefined })), (response) => response.head)

/** Each kind of client, with an answer to its first and to its second call. */
const kinds = [
  {
    name: "Pipeline.client",
    answers: ["first", "second"],
    make: Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      return { peer, call: (yield* Pipeline.client(transport, limit)).call }
    })
  },
  {
    name: "Pipeline.streamingClient",
    answers: ["first", "second"],
    make: Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      return { peer, call: heads((yield* Pipeline.streamingClient(inOrder, transport, limit)).call) }
    })
  },
  {
    name: "Multiplex.client",
    answers: ["0 first", "1 second"],
    make: Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      return { peer, call: (yield* Multiplex.client(byId, transport, limit)).call }
    })
  },
  {
    name: "Multiplex.streamingClient",
    answers: ["0 first", "1 second"],
    make: Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      return { peer, call: heads((yield* Multiplex.streamingClient(byIdWithBodies, transport, limit)).call) }
    })
  }
] as const

for (const { answers: [first, second], make, name } of kinds) {
  describe(`callTimeout of ${name}`, () => {
    it.effect("a call that is answered just in time succeeds", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* make
        const calling = yield* Effect.forkChild(call("a"))
        yield* TestClock.adjust("999 millis")
        yield* peer.say(first)
        yield* settled
        expect(yield* Fiber.join(calling)).toBe("first")
      }))

    it.effect("one that is not answered fails as TimedOut, and its late answer goes to nobody else", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* make
        const calling = yield* Effect.forkChild(Effect.flip(call("a")))
        yield* TestClock.adjust(slow)
        const error = yield* Fiber.join(calling)
        expect(error).toMatchObject({
          message: "the peer did not answer a call within 1s",
          fault: "peer",
          reason: { _tag: "TimedOut", waitedFor: "response" },
          sent: "perhaps"
        })
        const next = yield* Effect.forkChild(call("b"))
        yield* settled
        yield* peer.say(first, second)
        yield* settled
        expect(yield* Fiber.join(next)).toBe("second")
      }))

    it.effect("one in a finalizer, which cannot be interrupted, does not wait for ever", () =>
      Effect.gen(function*() {
        const { call } = yield* make
        const leaving = yield* Effect.forkChild(
          Effect.ensuring(Effect.never, Effect.ignore(call("bye")))
        )
        yield* settled
        const left = yield* Effect.forkChild(Fiber.interrupt(leaving))
        yield* TestClock.adjust("999 millis")
        expect(left.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust(slow)
        expect(left.pollUnsafe()).toBeDefined()
      }))
  })
}

describe("callTimeout", () => {
  it.effect("counts the wait for a place, and what has not been sent then is not sent", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { call } = yield* Pipeline.client(transport, { ...limit, maxInFlight: 1 })
      const calls = yield* Effect.forkChild(
        Effect.all([Effect.exit(call("a")), Effect.flip(call("b"))], { concurrency: 2 })
      )
      yield* TestClock.adjust(slow)
      const [, late] = yield* Fiber.join(calls)
      expect(late.reason._tag).toBe("TimedOut")
      yield* peer.say("A")
      yield* settled
      expect(peer.heard()).toEqual(["a"])
    }))

  it.effect("cancels a call where the protocol has a cancel, which frees its place", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { call } = yield* Multiplex.client({ ...byId, cancel: (id: number) => `x${id}` }, transport, {
        ...limit,
        maxInFlight: 1
      })
      const late = yield* Effect.forkChild(Effect.flip(call("a")))
      yield* TestClock.adjust(slow)
      yield* Fiber.join(late)
      const next = yield* Effect.forkChild(call("b"))
      yield* settled
      expect(peer.heard()).toEqual(["0 a", "x0", "1 b"])
      yield* peer.say("1 B")
      yield* settled
      expect(yield* Fiber.join(next)).toBe("B")
    }))

  it.effect("ends with the head of a response: its body may take longer", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { call } = yield* Pipeline.streamingClient(inOrder, transport, limit)
      const reading = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(
        call({ head: "a", body: undefined }),
        ({ body }) => Stream.runCollect(body ?? Stream.empty)
      )))
      yield* settled
      yield* peer.say("+A", ".1")
      yield* TestClock.adjust("1 minute")
      yield* peer.say(".2", ";")
      yield* settled
      expect(yield* Fiber.join(reading)).toEqual(["1", "2"])
    }))

  it.effect("is an option of Client.connect, whose connection lives on", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* linePeer(there)
      const connecting = yield* Effect.forkChild(
        Client.connect({ handshake: lines, sockets: [Effect.succeed(here)], ...limit })
      )
      const client = yield* Fiber.join(connecting)
      const late = yield* Effect.forkChild(Effect.flip(client.call("a")))
      yield* TestClock.adjust(slow)
      expect((yield* Fiber.join(late)).reason._tag).toBe("TimedOut")
      const next = yield* Effect.forkChild(client.call("b"))
      yield* settled
      yield* peer.say("A", "B")
      yield* settled
      expect(yield* Fiber.join(next)).toBe("B")
    }))

  it.effect("is none by default: a call waits for as long as the connection lives", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { call } = yield* Pipeline.client(transport)
      const calling = yield* Effect.forkChild(call("a"))
      yield* TestClock.adjust("1 day")
      yield* peer.say("A")
      yield* settled
      expect(yield* Fiber.join(calling)).toBe("A")
    }))
})
