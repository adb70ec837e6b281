/**
 * What the examples of tokio-line do: ping_pong, stream_client, and the Validate of its client and server.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { pipe } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Service from "../src/Service.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"

type Lines = Transport.Transport<string, string>

const lines = Transport.framed(Codec.lines())

/** A connection with this server at one end; the other end, and how the server has ended. */
const serving = Effect.fnUntraced(function*<E>(
  serve: (transport: Lines) => Effect.Effect<unknown, E, Scope.Scope>
) {
  const [here, there] = yield* MemorySocket.pair()
  const server = yield* lines.pipe(
    Effect.flatMap(serve),
    Effect.scoped,
    Effect.provideService(Socket.Socket, there),
    Effect.exit,
    Effect.forkChild
  )
  return { transport: yield* Effect.provideService(lines, Socket.Socket, here), server }
})

const noNewLine = (line: string) => line.includes("\n") ? "it contains a new line" : undefined

describe("ping_pong", () => {
  const pingPong = Middleware.pingPong<Lines>({ pong: (line) => line === "[ping]" ? "[pong]" : undefined })

  it.effect("the client pings and calls, and the service sees the calls only", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { transport } = yield* serving((transport) =>
        transport.pipe(
          pingPong,
          Effect.flatMap(Pipeline.serve((line) => {
            seen.push(line)
            return Effect.succeed(line)
          }))
        )
      )
      const client = yield* Pipeline.client(transport)
      expect(yield* client.call("[ping]")).toBe("[pong]")
      expect(yield* client.call("Goodbye")).toBe("Goodbye")
      const mixed = ["a", "[ping]", "[ping]", "b", "[ping]", "c"]
      expect(yield* Effect.forEach(mixed, (line) => client.call(line), { concurrency: "unbounded" })).toHaveLength(6)
      expect(seen).toEqual(["Goodbye", "a", "b", "c"])
    }))

  it.effect("no response is written while pongs to earlier pings wait", () =>
    Effect.gen(function*() {
      const { transport } = yield* serving((transport) =>
        transport.pipe(pingPong, Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))))
      )
      yield* transport.sendAll(["[ping]", "[ping]", "a", "b"])
      expect(yield* Effect.all(Array.from({ length: 4 }, () => transport.receive))).toEqual([
        "[pong]",
        "[pong]",
        "a",
        "b"
      ])
    }))
})

describe("Validate", () => {
  it.effect("a response that would be two lines fails instead of being sent", () =>
    Effect.gen(function*() {
      const handler = pipe(
        (line: string) => Effect.succeed(line.replace("|", "\n")),
        Service.validateResponse(noNewLine)
      )
      const { server, transport } = yield* serving(Pipeline.serve(handler))
      yield* transport.sendAll(["fine", "a|b"])
      expect(yield* transport.receive).toBe("fine")
      expect((yield* Effect.flip(transport.receive)).reason._tag).toBe("ConnectionClosed")
      const error = yield* Effect.flip(Effect.flatten(Fiber.join(server)))
      expect(error).toBeInstanceOf(Service.InvalidResponse)
    }))

  it.effect("a client is a service too: a request that would be two lines fails with nothing sent", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const { transport } = yield* serving(Pipeline.serve((line) => {
        seen.push(line)
        return Effect.succeed(line)
      }))
      const client = yield* Pipeline.client(transport)
      const call = pipe(client.call, Service.validateRequest(noNewLine), Service.validateResponse(noNewLine))
      const error = yield* Effect.flip(call("a\nb"))
      expect(error).toEqual(new Service.InvalidRequest({ problem: "it contains a new line" }))
      expect(yield* call("a")).toBe("a")
      expect(seen).toEqual(["a"])
    }))
})

describe("stream_client", () => {
  it.effect("a client sends lines and leaves; the server hears all of them, and the end", () =>
    Effect.gen(function*() {
      const heard = yield* Deferred.make<ReadonlyArray<string>>()
      const [here, there] = yield* MemorySocket.pair()
      yield* lines.pipe(
        Effect.flatMap((transport) => Stream.runCollect(transport.incoming)),
        Effect.flatMap((lines) => Deferred.succeed(heard, lines)),
        Effect.scoped,
        Effect.provideService(Socket.Socket, there),
        Effect.forkChild
      )
      const said = ["Hello world", "This is another message", "Not much else to say"]
      yield* lines.pipe(
        Effect.flatMap((transport) => Stream.run(Stream.fromIterable(said), transport.outgoing)),
        Effect.scoped,
        Effect.provideService(Socket.Socket, here)
      )
      expect(yield* Deferred.await(heard)).toEqual(said)
    }))

  it.effect("both sides send at will: what one says does not wait for what it hears", () =>
    Effect.gen(function*() {
      const { server, transport } = yield* serving((transport) =>
        Effect.all([
          transport.sendAll(["one", "two"]),
          Stream.runCollect(Stream.take(transport.incoming, 1))
        ], { concurrency: "unbounded" })
      )
      // It has said both before it has heard anything.
      expect(yield* Effect.all([transport.receive, transport.receive])).toEqual(["one", "two"])
      yield* TestClock.adjust("1 minute")
      expect(server.pollUnsafe()).toBeUndefined()
      yield* transport.send("enough")
      yield* Effect.flatten(Fiber.join(server))
    }))
})
