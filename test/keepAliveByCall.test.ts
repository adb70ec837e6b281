import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import { utf8 } from "./support/conversation.ts"
import { connectedRaw } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

const calling = Effect.fnUntraced(function*(options?: Partial<Pipeline.KeepAlive<string>>) {
  const { peer, transport } = yield* connectedRaw()
  const client = yield* Pipeline.client(transport, {
    keepAlive: { ping: "PING", ...options },
    response: (line) => line.startsWith("-") ? Result.fail(line) : Result.succeed(line)
  })
  const ended = yield* Effect.forkChild(Effect.flip(client.awaitEnd))
  return { client, ended, peer, say: (line: string) => Effect.andThen(peer.write(utf8(`${line}\n`)), settled) }
})

describe("keepAlive of a Pipeline client", () => {
  it.effect("a ping is a call of its own: its answer goes to nobody, and one that was asked for to whoever has asked", () =>
    Effect.gen(function*() {
      const { client, ended, peer, say } = yield* calling()
      yield* TestClock.adjust("30 seconds")
      expect(peer.heard()).toBe("PING\n")
      const calls = yield* Effect.forkChild(Effect.all([client.call("PING"), client.call("ECHO")], { concurrency: 2 }))
      yield* settled
      yield* say("PONG")
      yield* say("PONG")
      yield* say("ECHO")
      expect(yield* Fiber.join(calls)).toEqual(["PONG", "ECHO"])
      expect(ended.pollUnsafe()).toBeUndefined()
    }))

  it.effect("a peer that does not answer it is given up, and one that answers with a failure is there", () =>
    Effect.gen(function*() {
      const { ended, peer, say } = yield* calling()
      yield* TestClock.adjust("39 seconds")
      yield* say("-NOAUTH")
      yield* TestClock.adjust("39 seconds")
      expect([peer.heard(), ended.pollUnsafe()]).toEqual(["PING\nPING\n", undefined])
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(ended)).reason).toMatchObject({ _tag: "TimedOut", waitedFor: "pong" })
    }))

  it.effect("nothing is asked while a call waits for its answer, however long, and again when it has that", () =>
    Effect.gen(function*() {
      const { client, ended, peer, say } = yield* calling()
      const call = yield* Effect.forkChild(client.call("BLPOP"))
      yield* TestClock.adjust("1 hour")
      expect([peer.heard(), ended.pollUnsafe()]).toEqual(["BLPOP\n", undefined])
      yield* say("it")
      expect(yield* Fiber.join(call)).toBe("it")
      yield* TestClock.adjust("1 minute")
      expect(peer.heard()).toBe("BLPOP\nPING\n")
    }))

  it.effect("with unanswered, a peer that keeps silent for longer than that while a call waits is given up", () =>
    Effect.gen(function*() {
      const { client, ended, say } = yield* calling({ unanswered: "2 minutes" })
      const call = yield* Effect.forkChild(
        Effect.exit(Effect.all([client.call("a"), client.call("b")], { concurrency: 2 }))
      )
      yield* TestClock.adjust("149 seconds")
      yield* say("A")
      yield* TestClock.adjust("119 seconds")
      expect(ended.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(ended)).reason).toMatchObject({ _tag: "TimedOut", waitedFor: "response" })
      expect((yield* Fiber.join(call))._tag).toBe("Failure")
    }))

  it.effect("a ping that is no frame ends the use of the connection", () =>
    Effect.gen(function*() {
      const { ended } = yield* calling({ ping: "a\nb" })
      yield* TestClock.adjust("31 seconds")
      expect((yield* Fiber.join(ended)).reason._tag).toBe("MalformedFrame")
    }))
})

describe("keepAlive of a Multiplex client", () => {
  it.effect("asks while calls wait for their answers, and does not where there is no place", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const frames: Multiplex.ClientFrames<{ frame: string; id: number; request: string; response: string }> = {
        request: (id, body) => `${id} ${body}`,
        fromServer: (line) => ({ _tag: "Response", id: Number(line.split(" ")[0]), body: line.split(" ")[1] })
      }
      const client = yield* Multiplex.client(frames, transport, { maxInFlight: 2, keepAlive: { ping: "ping" } })
      const a = yield* Effect.forkChild(client.call("a"))
      yield* TestClock.adjust("30 seconds")
      expect(peer.heard()).toBe("0 a\n1 ping\n")
      yield* peer.write(utf8("1 pong\n"))
      yield* settled
      const b = yield* Effect.forkChild(client.call("b"))
      yield* TestClock.adjust("1 hour")
      expect(peer.heard()).toBe("0 a\n1 ping\n2 b\n")
      yield* peer.write(utf8("2 B\n0 A\n"))
      expect([yield* Fiber.join(a), yield* Fiber.join(b)]).toEqual(["A", "B"])
    }))
})
