import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { cutInto, rawPeer, text, utf8 } from "./support/conversation.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly what: string }> {}

const connected = Effect.fnUntraced(function*(options?: MemorySocket.Options) {
  const [here, there] = yield* MemorySocket.pair(options)
  const peer = yield* rawPeer(there)
  const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
  return { peer, transport }
})

const settled = TestClock.adjust("1 millis")

describe("serve", () => {
  it.effect.prop(
    "answers in the order of the requests, however long each takes and however they are cut",
    [Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))).check(Schema.isMaxLength(20))],
    ([delays]) =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ segments: cutInto([3, 5, 1]) })
        const peer = yield* rawPeer(there)
        const serving = yield* Transport.framed(Codec.lines()).pipe(
          Effect.flatMap(Pipeline.serve<string, string>((line) =>
            line.endsWith("0") ? Effect.succeed(line) : Effect.delay(Effect.succeed(line), Number(line.split(" ")[1]))
          )),
          Effect.scoped,
          Effect.provideService(Socket.Socket, here),
          Effect.forkChild
        )
        const requests = delays.map((delay, i) =>
          `${i} ${delay}\n`
        ).join("")
        yield* Effect.andThen(peer.write(utf8(requests)), peer.end)
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(serving)
        yield* peer.closed
        expect(peer.heard()).toBe(requests)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 40 } }
  )

  it.effect("has at most maxInFlight requests with their handlers, and takes the next when one is answered", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      let running = 0
      let most = 0
      const handler = (line: string) =>
        Effect.acquireUseRelease(
          Effect.sync(() => most = Math.max(most, ++running)),
          () => Effect.as(Effect.sleep("10 millis"), line),
          () => Effect.sync(() => running--)
        )
      const serving = yield* Effect.forkChild(Pipeline.serve(handler, { maxInFlight: 3 })(transport))
      yield* Effect.andThen(peer.write(utf8("a\nb\nc\nd\ne\nf\ng\n")), peer.end)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toBe("a\nb\nc\nd\ne\nf\ng\n")
      expect(most).toBe(3)
    }))

  it.effect("reads nothing for which it has no room", () =>
    Effect.gen(function*() {
      let pulls = 0
      const socket = Socket.make({
        reader: Effect.succeed({
          pull: Effect.sync(() => [utf8(`${pulls++}\n`)] as const),
          upgrade: Socket.SocketUpgradeError.unsupported
        }),
        writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
      })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
      yield* Effect.forkChild(Pipeline.serve<string, string>(() => Effect.never, { maxInFlight: 3 })(transport))
      yield* TestClock.adjust("1 second")
      expect(pulls).toBe(3)
    }))

  it.effect("sends an answer that is ready before it waits for the next one", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => line === "slow" ? Effect.never : Effect.succeed(line))(transport)
      )
      yield* peer.write(utf8("quick\nslow\n"))
      yield* settled
      expect(peer.heard()).toBe("quick\n")
    }))

  it.effect("goes on answering a peer that has ended its own side", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => Effect.delay(Effect.succeed(line), "1 second"))(transport)
      )
      yield* Effect.andThen(peer.write(utf8("late\n")), peer.end)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toBe("late\n")
    }))

  it.effect("fails with a handler's failure, after the answers before it", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const serving = yield* Effect.forkChild(Effect.flip(
        Pipeline.serve((line: string) =>
          line === "bad" ? Effect.fail(new Refused({ what: line })) : Effect.succeed(line)
        )(
          transport
        )
      ))
      yield* peer.write(utf8("one\ntwo\nbad\nthree\n"))
      expect(yield* Fiber.join(serving)).toMatchObject({ _tag: "Refused", what: "bad" })
      yield* settled
      expect(peer.heard()).toBe("one\ntwo\n")
    }))

  it.effect("never puts an answer on the wire that is no frame; it fails with a local fault", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const serving = yield* Effect.forkChild(Effect.flip(
        Pipeline.serve<string, string>((line) => Effect.succeed(line === "split" ? "a\nb" : line))(transport)
      ))
      yield* peer.write(utf8("one\nsplit\n"))
      expect(yield* Fiber.join(serving)).toMatchObject({ reason: { _tag: "MalformedFrame", fault: "local" } })
      yield* settled
      expect(peer.heard()).toBe("one\n")
    }))

  it.effect("a handler that throws instead of returning an Effect is a defect of this connection", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>(() => {
          throw new Error("a bug")
        })(transport)
      )
      yield* peer.write(utf8("one\n"))
      expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
    }))

  it.effect("interrupts its handlers when it ends before them", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const interrupted = yield* Deferred.make<void>()
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>(() =>
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        )(transport)
      )
      yield* peer.write(utf8("one\n"))
      yield* settled
      yield* Fiber.interrupt(serving)
      yield* Deferred.await(interrupted)
    }))

  it.effect("interrupts its handlers when the connection breaks", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const broken = yield* Deferred.make<never, Socket.SocketError>()
      const chunks = [utf8("one\n")]
      const socket = Socket.make({
        reader: Effect.succeed({
          pull: Effect.suspend(() => {
            const chunk = chunks.shift()
            return chunk === undefined ? Deferred.await(broken) : Effect.succeed([chunk] as const)
          }),
          upgrade: Socket.SocketUpgradeError.unsupported
        }),
        writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
      })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
      const serving = yield* Effect.forkChild(Effect.flip(
        Pipeline.serve<string, string>(() =>
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        )(transport)
      ))
      yield* settled
      yield* Deferred.fail(
        broken,
        new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: new Error("ECONNRESET") }) })
      )
      expect((yield* Fiber.join(serving)).reason._tag).toBe("ConnectionFailed")
      yield* Deferred.await(interrupted)
    }))

  it.effect("interrupts its handlers when the connection is given up, where it has no room for more requests too", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const interrupted = yield* Deferred.make<void>()
      const serving = yield* Effect.forkChild(Effect.flip(
        transport.pipe(
          Middleware.idleTimeout("1 minute"),
          Effect.flatMap(
            Pipeline.serve<string, string>(
              () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)),
              { maxInFlight: 1 }
            )
          ),
          Effect.scoped
        )
      ))
      yield* peer.write(utf8("one\n"))
      yield* TestClock.adjust("59 seconds")
      expect(serving.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("2 seconds")
      expect((yield* Fiber.join(serving)).reason._tag).toBe("TimedOut")
      yield* Deferred.await(interrupted)
    }))

  it.effect("answers of handlers that take their time leave together with those that are ready behind them", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ segments: (bytes) => [bytes] })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      const { pull } = yield* there.reader
      const writer = yield* there.writer
      yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) =>
          line === "slow" ? Effect.delay(Effect.succeed(line), "1 second") : Effect.succeed(line)
        )(transport)
      )
      yield* writer.write(utf8("one\nslow\ntwo\nthree\n"))
      yield* TestClock.adjust("1 second")
      const writes = [yield* pull, yield* pull].map(([chunk]) => text(chunk as Uint8Array))
      expect(writes).toEqual(["one\n", "slow\ntwo\nthree\n"])
    }))

  it.effect("a peer that does not read its answers stops the requests that are taken from it", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      yield* there.reader
      const writer = yield* there.writer
      let handled = 0
      yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => {
          handled++
          return Effect.succeed(line)
        }, { maxInFlight: 4 })(transport)
      )
      const writing = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 1000 }), () => writer.write(utf8("0123456789\n")))
      )
      yield* TestClock.adjust("1 second")
      expect(writing.pollUnsafe()).toBeUndefined()
      // What fits into both directions, and one batch: nowhere near a thousand.
      expect(handled).toBeLessThan(30)
    }))
})

describe("client", () => {
  const calling = Effect.fnUntraced(function*(options?: { readonly maxInFlight?: number }) {
    const { peer, transport } = yield* connected()
    return { peer, client: yield* Pipeline.client(transport, options) }
  })

  it.effect("pipelines calls, and each gets its own answer", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (line) => client.call(line), { concurrency: "unbounded" })
      )
      yield* settled
      expect(peer.heard()).toBe("a\nb\nc\n")
      yield* peer.write(utf8("A\nB\n"))
      yield* peer.write(utf8("C\n"))
      expect(yield* Fiber.join(calls)).toEqual(["A", "B", "C"])
    }))

  it.effect("an interrupted call never shifts another call's answer", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      const [a, b, c] = [
        yield* Effect.forkChild(client.call("a")),
        yield* Effect.forkChild(client.call("b")),
        yield* Effect.forkChild(client.call("c"))
      ]
      yield* settled
      yield* Fiber.interrupt(b)
      yield* peer.write(utf8("A\nB\nC\n"))
      expect([yield* Fiber.join(a), yield* Fiber.join(c)]).toEqual(["A", "C"])
    }))

  it.effect("sends at most maxInFlight calls, and an interrupted one still counts until its answer has come", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling({ maxInFlight: 2 })
      const [a, b, c] = [
        yield* Effect.forkChild(client.call("a")),
        yield* Effect.forkChild(client.call("b")),
        yield* Effect.forkChild(client.call("c"))
      ]
      yield* settled
      yield* Fiber.interrupt(a)
      yield* settled
      expect(peer.heard()).toBe("a\nb\n")
      yield* peer.write(utf8("A\n"))
      yield* settled
      expect(peer.heard()).toBe("a\nb\nc\n")
      yield* peer.write(utf8("B\nC\n"))
      expect([yield* Fiber.join(b), yield* Fiber.join(c)]).toEqual(["B", "C"])
    }))

  it.effect("a call that was interrupted before it was sent is not sent", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling({ maxInFlight: 1 })
      const a = yield* Effect.forkChild(client.call("a"))
      const b = yield* Effect.forkChild(client.call("b"))
      yield* settled
      yield* Fiber.interrupt(b)
      yield* peer.write(utf8("A\n"))
      expect(yield* Fiber.join(a)).toBe("A")
      yield* settled
      expect(peer.heard()).toBe("a\n")
    }))

  it.effect("when the connection ends, every waiting call fails, those without room too, and later ones", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling({ maxInFlight: 2 })
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c", "d"], (line) => Effect.flip(client.call(line)), { concurrency: "unbounded" })
      )
      yield* settled
      yield* Effect.andThen(peer.write(utf8("A")), peer.end)
      const errors = yield* Fiber.join(calls)
      expect(errors.map((error) => error.reason._tag)).toEqual(Array.from({ length: 4 }, () => "Truncated"))
      expect((yield* Effect.flip(client.call("e"))).reason._tag).toBe("Truncated")
      expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("Truncated")
    }))

  it.effect("when its scope ends, every waiting call fails as closed on this side", () =>
    Effect.gen(function*() {
      const { transport } = yield* connected()
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(Pipeline.client(transport), scope)
      const call = yield* Effect.forkChild(Effect.flip(client.call("a")))
      yield* settled
      yield* Scope.close(scope, Exit.void)
      expect((yield* Fiber.join(call)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
    }))

  it.effect("a request that is no frame fails alone, with nothing sent", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      const error = yield* Effect.flip(client.call("a\nb"))
      expect(error.reason).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
      const good = yield* Effect.forkChild(client.call("good"))
      yield* settled
      expect(peer.heard()).toBe("good\n")
      yield* peer.write(utf8("GOOD\n"))
      expect(yield* Fiber.join(good)).toBe("GOOD")
    }))

  it.effect("an answer to no request ends the use of the connection", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      yield* peer.write(utf8("out of the blue\n"))
      const error = yield* Effect.flip(client.awaitEnd)
      expect(error.reason).toMatchObject({ _tag: "UnexpectedFrame", excerpt: "\"out of the blue\"" })
    }))
})
