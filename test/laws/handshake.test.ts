/**
 * The laws of the line protocol, on five rungs and on the fast way, and what the laws leave open because it is these handshakes'
 * own: their limits to the byte, and how long a refusal is waited for.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Handshake from "../../src/Handshake.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import { cutInto, outcomeOf, text, utf8 } from "../support/conversation.ts"
import * as Coverage from "../support/coverage.ts"
import { line, password, vault } from "../support/handshakes.ts"
import * as Law from "../support/laws.ts"
import { rungs } from "../support/rungs.ts"

const suite = Laws.handshake({
  ...line,
  name: "line",
  rungs,
  runs: Law.runs,
  it: Law.it,
  refusal: { server: "No! Go away!\n" },
  calls: {
    serve: Pipeline.serve((line: string) => Effect.succeed(line.toUpperCase())),
    requests: ["Hello", "Goodbye", "Hello again"],
    respond: (line) => line.toUpperCase()
  }
})

const Lengths = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(8)
)

describe("law 4, oversize", () => {
  it.effect("a greeting that never ends fails at the codec's limit, and is told so", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(line.server, utf8("x".repeat(65)))
      expect(outcome.result).toMatchObject({ reason: { _tag: "FrameTooLarge", limit: 64 } })
      expect(outcome.heard).toBe("No! Go away!\n")
    }))

  it.effect("one byte less is only not finished yet", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(line.server, utf8("x".repeat(64)))
      expect(outcome.result).toMatchObject({ reason: { _tag: "UnexpectedEnd" } })
    }))

  const limited = (bytes: number) => vault.server.pipe(Handshake.byteLimit(bytes))
  const greeting = `HELLO 2\n${password}\n`

  it.effect("the byte limit of the whole handshake counts all of its frames", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(limited(greeting.length - 1), utf8(greeting))
      expect(outcome.result).toMatchObject({ reason: { _tag: "FrameTooLarge", limit: greeting.length - 1 } })
    }))

  it.effect("a handshake of exactly that many bytes passes, and what follows it does not count", () =>
    Effect.gen(function*() {
      const rest = "x".repeat(1000)
      expect(yield* outcomeOf(limited(greeting.length), utf8(greeting + rest))).toMatchObject({ result: "ready", rest })
    }))

  it.effect.prop(
    "the byte limit does not depend on how the bytes are cut",
    [Lengths],
    ([lengths]) =>
      Effect.gen(function*() {
        for (let bytes = 0; bytes <= greeting.length; bytes++) {
          const whole = yield* outcomeOf(limited(bytes), utf8(greeting))
          expect(yield* outcomeOf(limited(bytes), utf8(greeting), { segments: cutInto(lengths) })).toEqual(whole)
        }
      }),
    { arbitrary: { runs: 20 } }
  )
})

describe("law 11, refusal is heard", () => {
  it.effect("a peer that has sent more than anybody reads still hears the refusal, and then the end", () =>
    Effect.gen(function*() {
      const said = utf8(`Hello\n${"x".repeat(200_000)}`)
      const outcome = yield* outcomeOf(line.server, said, { capacity: 1024 })
      expect(outcome.heard).toBe("No! Go away!\n")
    }))

  it.effect("a peer that listens late hears it too", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
      yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* there.reader
        const writer = yield* there.writer
        const server = yield* Effect.forkScoped(
          Effect.flip(Effect.scoped(line.server)).pipe(
            Effect.provideService(Socket.Socket, here)
          )
        )
        yield* writer.write(utf8("Hello\n"))
        yield* TestClock.adjust("500 millis")
        expect(server.pollUnsafe()).toBeUndefined()
        const [chunk] = yield* reader.pull
        expect(text(chunk as Uint8Array)).toBe("No! Go away!\n")
        expect((yield* Effect.flip(reader.pull)).reason).toMatchObject({ _tag: "SocketCloseError", code: 1000 })
        yield* writer.write(new Socket.CloseEvent(1000))
        yield* Fiber.await(server)
      }))
    }))

  it.effect("a peer that never listens holds the connection for no longer than a second", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const writer = yield* there.writer
      yield* there.reader
      const server = yield* Effect.forkScoped(
        Effect.flip(Effect.scoped(line.server)).pipe(Effect.provideService(Socket.Socket, here))
      )
      yield* writer.write(utf8("Hello\n"))
      yield* TestClock.adjust("999 millis")
      expect(server.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect((yield* Fiber.join(server)).reason._tag).toBe("InvalidGreeting")
    }))
})

describe("coverage", () => {
  Coverage.complete(suite)
})
