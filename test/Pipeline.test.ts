import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import type { TransportError } from "../src/TransportError.ts"
import { cutInto, rawPeer, text, utf8 } from "./support/conversation.ts"
import { connectedRaw } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly what: string }> {}

/** Lines, of which one makes the codec throw when half of it is written. */
const throwing = Codec.make<string>({
  decoder: Codec.lines().decoder,
  encode: (line, into) => {
    into.string(line)
    if (line === "bug") throw new Error("a bug")
    into.string("\n")
  }
})

/** A connection that can be read from, and to which every write fails, after a while or at once. */
const unwritable = Effect.fnUntraced(function*(after: "0 seconds" | "1 second") {
  const incoming = yield* Queue.unbounded<string>()
  const broken = new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("EPIPE") }) })
  let writes = 0
  const fail = Effect.suspend(() => {
    writes++
    return after === "0 seconds" ? Effect.fail(broken) : Effect.delay(Effect.fail(broken), after)
  })
  const socket = Socket.make({
    reader: Effect.succeed({
      pull: Effect.map(Queue.take(incoming), (text) => [utf8(text)] as const),
      upgrade: Socket.SocketUpgradeError.unsupported
    }),
    writer: Effect.succeed({ write: () => fail, writeAll: () => fail })
  })
  return { socket, writes: () => writes, write: (text: string) => Queue.offer(incoming, text) }
})

/** An echo whose peer has sent a hundred lines and does not read. */
const stuck = Effect.gen(function*() {
  const [here, there] = yield* MemorySocket.pair({ capacity: 2000 })
  const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
  const reader = yield* there.reader
  const writer = yield* there.writer
  const serving = yield* Effect.forkChild(
    Pipeline.serve<string, string>((line) => Effect.succeed(line), { maxInFlight: 50 })(transport)
  )
  yield* writer.write(utf8("0123456789\n".repeat(100)))
  yield* settled
  return { reader, serving, writer }
})

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
      const { peer, transport } = yield* connectedRaw()
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
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => line === "slow" ? Effect.never : Effect.succeed(line))(transport)
      )
      yield* peer.write(utf8("quick\nslow\n"))
      yield* settled
      expect(peer.heard()).toBe("quick\n")
    }))

  it.effect("goes on answering a peer that has ended its own side", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
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
      const { peer, transport } = yield* connectedRaw()
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

  describe("with a failure that the protocol can say", () => {
    const failing = Effect.fnUntraced(function*(
      handler: (line: string) => Effect.Effect<string, Refused>,
      failure: (error: Refused, line: string) => string = ({ what }, line) => `-${line} ${what}`
    ) {
      const { peer, transport } = yield* connectedRaw()
      return { peer, serving: yield* Effect.forkChild(Pipeline.serve(handler, { failure })(transport)) }
    })
    const refuse = (what: string) => Effect.fail(new Refused({ what }))

    it.effect("answers a request that fails in its place, and goes on", () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* failing((line) => {
          switch (line) {
            case "bad":
              return refuse("now")
            case "worse":
              return Effect.delay(refuse("later"), "1 second")
            default:
              return Effect.delay(Effect.succeed(line), "2 seconds")
          }
        })
        yield* peer.write(utf8("one\nbad\nworse\ntwo\n"))
        yield* TestClock.adjust("1 second")
        expect(peer.heard()).toBe("")
        yield* TestClock.adjust("1 second")
        expect(peer.heard()).toBe("one\n-bad now\n-worse later\ntwo\n")
        yield* peer.write(utf8("bad\n"))
        yield* peer.end
        yield* Fiber.join(serving)
        yield* settled
        expect(peer.heard()).toBe("one\n-bad now\n-worse later\ntwo\n-bad now\n")
      }))

    it.effect("fails with a defect all the same, after the answers before it", () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* failing((line) => line === "bug" ? Effect.die("a bug") : refuse("no"))
        yield* peer.write(utf8("one\nbug\ntwo\n"))
        expect(yield* Fiber.await(serving)).toEqual(Exit.die("a bug"))
        yield* settled
        expect(peer.heard()).toBe("-one no\n")
      }))

    it.effect("fails with a defect that a failure has brought along", () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* failing(() =>
          Effect.failCause(Cause.combine(Cause.fail(new Refused({ what: "no" })), Cause.die("a bug")))
        )
        yield* peer.write(utf8("one\n"))
        expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
        yield* settled
        expect(peer.heard()).toBe("")
      }))

    it.effect("ends where a handler has interrupted itself, for that is no failure", () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* failing(() => Effect.interrupt)
        yield* peer.write(utf8("one\n"))
        expect(Exit.hasInterrupts(yield* Fiber.await(serving))).toBe(true)
      }))

    it.effect("dies where what says it throws, after the answers before it", () =>
      Effect.gen(function*() {
        const { peer, serving } = yield* failing(
          (line) => line === "bad" ? refuse("no") : Effect.succeed(line),
          () => {
            throw new Error("a bug")
          }
        )
        yield* peer.write(utf8("one\nbad\ntwo\n"))
        expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
        yield* settled
        expect(peer.heard()).toBe("one\n")
      }))
  })

  it.effect("dies where its codec throws, and sends the answers before that", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const transport = yield* Effect.provideService(Transport.framed(throwing), Socket.Socket, here)
      const serving = yield* Effect.forkChild(Pipeline.serve<string, string>(Effect.succeed)(transport))
      yield* peer.write(utf8("one\nbug\n"))
      expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      yield* settled
      expect(peer.heard()).toBe("one\n")
    }))

  it.effect("dies where its codec throws in the middle of a batch, and sends the answers before that", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const codec = Codec.make<string>({
        ...throwing,
        encodeMany: (lines, into) => {
          if (!lines.includes("bug")) return false
          into.string("half a batch")
          throw new Error("a bug")
        }
      })
      const transport = yield* Effect.provideService(Transport.framed(codec), Socket.Socket, here)
      const serving = yield* Effect.forkChild(Pipeline.serve<string, string>(Effect.succeed)(transport))
      yield* peer.write(utf8("one\ntwo\nthree\n"))
      yield* settled
      yield* peer.write(utf8("four\nbug\nfive\n"))
      expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      yield* settled
      expect(peer.heard()).toBe("one\ntwo\nthree\nfour\n")
    }))

  it.effect("never puts an answer on the wire that is no frame; it fails with a local fault", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const serving = yield* Effect.forkChild(Effect.flip(
        Pipeline.serve<string, string>((line) => Effect.succeed(line === "split" ? "a\nb" : line))(transport)
      ))
      yield* peer.write(utf8("one\nsplit\n"))
      expect(yield* Fiber.join(serving)).toMatchObject({ reason: { _tag: "MalformedFrame", fault: "local" } })
      yield* settled
      expect(peer.heard()).toBe("one\n")
    }))

  it.effect("an answer that is no frame counts before a failure behind it", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const serving = yield* Effect.forkChild(Effect.flip(
        Pipeline.serve((line: string) =>
          line === "split" ? Effect.succeed("a\nb") : Effect.fail(new Refused({ what: line }))
        )(transport)
      ))
      yield* peer.write(utf8("split\nbad\n"))
      expect(yield* Fiber.join(serving)).toMatchObject({ reason: { _tag: "MalformedFrame" } })
    }))

  it.effect("a handler that throws instead of returning an Effect is a defect of this connection, in its place", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => {
          if (line === "bug") throw new Error("a bug")
          return Effect.delay(Effect.succeed(line), "1 second")
        })(transport)
      )
      yield* peer.write(utf8("one\nbug\n"))
      yield* settled
      expect(serving.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 second")
      expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      expect(peer.heard()).toBe("one\n")
    }))

  it.effect.each(["0 seconds", "1 second"] as const)(
    "fails where a write fails after %s, and interrupts its handlers",
    (after) =>
      Effect.gen(function*() {
        const { socket, write, writes } = yield* unwritable(after)
        const interrupted = yield* Deferred.make<void>()
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
        const serving = yield* Effect.forkChild(Effect.flip(
          Pipeline.serve<string, string>((line) => {
            switch (line) {
              case "one":
                return Effect.succeed(line)
              case "late":
                return Effect.delay(Effect.succeed(line), "500 millis")
              default:
                return Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
            }
          })(transport)
        ))
        yield* write("one\nlate\ntwo\n")
        yield* TestClock.adjust(after)
        expect((yield* Fiber.join(serving)).reason).toMatchObject({ _tag: "ConnectionFailed", operation: "write" })
        yield* Deferred.await(interrupted)
        expect(writes()).toBe(1)
      })
  )

  it.effect("interrupts its handlers when it ends before them", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
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

  it.effect("a handler that ends it is interrupted too, and nothing behind it is begun", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const interrupted = yield* Deferred.make<void>()
      const handled: Array<string> = []
      const serving: Fiber.Fiber<void, TransportError> = yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) =>
          Effect.suspend(() => {
            handled.push(line)
            if (line === "quit") serving.interruptUnsafe()
            return Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          })
        )(transport)
      )
      yield* settled
      yield* peer.write(utf8("quit\nlate\n"))
      yield* Fiber.await(serving)
      yield* Deferred.await(interrupted)
      expect(handled).toEqual(["quit"])
    }))

  it.effect("what is ready before a handler that ends it goes out before whatever is said then", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const quit = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) =>
          line === "quit" ? Effect.andThen(Deferred.succeed(quit, undefined), Effect.never) : Effect.succeed(line)
        )(transport).pipe(Effect.raceFirst(Deferred.await(quit)), Effect.andThen(transport.send("bye")))
      )
      yield* settled
      yield* peer.write(utf8("one\nquit\nlate\n"))
      yield* settled
      expect(peer.heard()).toBe("one\nbye\n")
    }))

  it.effect("an answer of the handler that has ended it goes nowhere", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const quit = yield* Deferred.make<void>()
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => {
          Deferred.doneUnsafe(quit, Exit.void)
          return Effect.succeed(line)
        })(transport).pipe(
          Effect.raceFirst(Deferred.await(quit)),
          Effect.andThen(transport.send("bye"))
        )
      )
      yield* settled
      yield* peer.write(utf8("quit\n"))
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toBe("bye\n")
    }))

  it.effect("an observer that throws ends the connection, and nothing else", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const transport = yield* Transport.framed(Codec.lines()).pipe(
        Effect.provideService(Socket.Socket, here),
        Effect.provideService(Transport.CurrentObserver, (event) => {
          if (event._tag === "Received" && event.frame.includes("bad")) throw new Error("a bug")
        })
      )
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => Effect.succeed(line))(transport)
      )
      yield* settled
      yield* peer.write(utf8("good\n"))
      yield* settled
      yield* peer.write(utf8("bad\n"))
      expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      expect(peer.heard()).toBe("good\n")
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
      const { peer, transport } = yield* connectedRaw()
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

  it.effect("answers that are ready at the same time travel together", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ segments: (bytes) => [bytes] })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      const { pull } = yield* there.reader
      const writer = yield* there.writer
      const ready = yield* Deferred.make<void>()
      yield* Effect.forkChild(
        Pipeline.serve<string, string>((line) => Effect.as(Deferred.await(ready), line))(transport)
      )
      yield* writer.write(utf8("one\ntwo\nthree\n"))
      yield* settled
      yield* Deferred.succeed(ready, undefined)
      yield* settled
      const [chunk] = yield* pull
      expect(text(chunk as Uint8Array)).toBe("one\ntwo\nthree\n")
    }))

  it.effect("interrupted while a write waits for its peer, it ends at once", () =>
    Effect.gen(function*() {
      const { serving } = yield* stuck
      yield* Fiber.interrupt(serving)
      expect(Exit.hasInterrupts(yield* Fiber.await(serving))).toBe(true)
    }))

  it.effect("goes on where a write that has waited for its peer is over", () =>
    Effect.gen(function*() {
      const { reader, serving, writer } = yield* stuck
      let heard = ""
      const listening = yield* Effect.forkChild(
        Effect.ignore(Effect.forever(Effect.map(reader.pull, (chunks) => {
          for (const chunk of chunks) heard += text(chunk as Uint8Array)
        })))
      )
      yield* writer.write(new Socket.CloseEvent(1000))
      yield* Fiber.join(serving)
      yield* settled
      expect(heard).toBe("0123456789\n".repeat(100))
      yield* Fiber.interrupt(listening)
    }))

  it.effect("answers that become ready while a write waits for its peer wait with it, and take no requests", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 16 })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      yield* there.reader
      const writer = yield* there.writer
      let handled = 0
      yield* Effect.forkChild(
        Pipeline.serve<string, string>(() => {
          handled++
          return Effect.delay(Effect.succeed("0123456789abcdef"), "1 second")
        }, { maxInFlight: 2 })(transport)
      )
      yield* writer.write(utf8("1\n2\n3\n4\n5\n6\n"))
      // The first one is answered, and the third begun in its place.
      yield* TestClock.adjust("1 second")
      expect(handled).toBe(3)
      yield* TestClock.adjust("10 seconds")
      expect(handled).toBe(3)
    }))

  it.effect("ends when its last write is over", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 16 })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      const { pull } = yield* there.reader
      const writer = yield* there.writer
      const serving = yield* Effect.forkChild(
        Pipeline.serve<string, string>(() => Effect.delay(Effect.succeed("0123456789abcdef"), "1 second"))(transport)
      )
      yield* writer.write(utf8("1\n"))
      yield* writer.write(new Socket.CloseEvent(1000))
      yield* TestClock.adjust("1 second")
      expect(serving.pollUnsafe()).toBeUndefined()
      yield* pull
      yield* Fiber.join(serving)
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
    const { peer, transport } = yield* connectedRaw()
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
      const { transport } = yield* connectedRaw()
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

  it.effect("whoever calls again and again with a request that is no frame leaves room for others", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      yield* Effect.forkChild(Effect.forever(Effect.ignore(client.call("a\nb")), { disableYield: true }))
      const good = yield* Effect.forkChild(client.call("good"))
      yield* settled
      expect(peer.heard()).toBe("good\n")
      yield* peer.write(utf8("GOOD\n"))
      expect(yield* Fiber.join(good)).toBe("GOOD")
    }))

  it.effect.each(["0 seconds", "1 second"] as const)(
    "ends where a write fails after %s, for every call",
    (after) =>
      Effect.gen(function*() {
        const { socket, writes } = yield* unwritable(after)
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
        const client = yield* Pipeline.client(transport)
        const first = yield* Effect.forkChild(Effect.flip(client.call("a")))
        const end = yield* Effect.forkChild(Effect.flip(client.awaitEnd))
        yield* settled
        const second = yield* Effect.forkChild(Effect.flip(client.call("b")))
        yield* TestClock.adjust(after)
        for (const { reason } of [yield* Fiber.join(first), yield* Fiber.join(second), yield* Fiber.join(end)]) {
          expect(reason).toMatchObject({ _tag: "ConnectionFailed", operation: "write" })
        }
        expect(writes()).toBe(1)
      })
  )

  it.effect("takes what has come before it, behind the handshake", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("welcome\nout of the blue\n"))
      expect(yield* transport.receive).toBe("welcome")
      const client = yield* Pipeline.client(transport)
      expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("UnexpectedFrame")
    }))

  it.effect("reads nothing more when it is over", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let pulls = 0
      const pulled = yield* Queue.unbounded<void>()
      const socket = Socket.make({
        reader: Effect.succeed({
          pull: Effect.map(Queue.take(pulled), () => [utf8(pulls++ === 0 ? "A\n" : "more\n")] as const),
          upgrade: Socket.SocketUpgradeError.unsupported
        }),
        writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
      })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
      const client = yield* Scope.provide(Pipeline.client(transport), scope)
      const call = yield* Effect.forkChild(client.call("a"))
      yield* settled
      yield* Queue.offer(pulled, undefined)
      expect(yield* Fiber.join(call)).toBe("A")
      yield* Scope.close(scope, Exit.void)
      yield* Queue.offerAll(pulled, Array.from({ length: 10 }, () => undefined))
      yield* settled
      // One may have been on its way.
      expect(pulls).toBeLessThanOrEqual(2)
      expect(yield* transport.receive).toBe("more")
    }))

  it.effect("a request whose codec throws dies alone, with nothing sent", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const client = yield* Effect.flatMap(
        Effect.provideService(Transport.framed(throwing), Socket.Socket, here),
        (transport) => Pipeline.client(transport)
      )
      const [bug, good] = [
        yield* Effect.forkChild(client.call("bug")),
        yield* Effect.forkChild(client.call("good"))
      ]
      expect(Exit.hasDies(yield* Fiber.await(bug))).toBe(true)
      yield* settled
      expect(peer.heard()).toBe("good\n")
      yield* peer.write(utf8("GOOD\n"))
      expect(yield* Fiber.join(good)).toBe("GOOD")
    }))

  it.effect("calls that are made together travel together, and so do those that wait for the same answer", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ segments: (bytes) => [bytes] })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      const { pull } = yield* there.reader
      const writer = yield* there.writer
      const client = yield* Pipeline.client(transport, { maxInFlight: 2 })
      yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c", "d"], (line) => client.call(line), { concurrency: "unbounded" })
      )
      const first = yield* pull
      yield* writer.write(utf8("A\nB\n"))
      const second = yield* pull
      expect([first, second].map(([chunk]) => text(chunk as Uint8Array))).toEqual(["a\nb\n", "c\nd\n"])
    }))

  it.effect("calls that wait for a place are sent in the order in which they were made", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling({ maxInFlight: 1 })
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c", "d"], (line) => client.call(line), { concurrency: "unbounded" })
      )
      for (const answer of ["A\n", "B\n", "C\n", "D\n"]) {
        yield* settled
        yield* peer.write(utf8(answer))
      }
      expect(yield* Fiber.join(calls)).toEqual(["A", "B", "C", "D"])
      expect(peer.heard()).toBe("a\nb\nc\nd\n")
    }))

  it.effect("a call that is made where another's answer is heard gets its own", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      const twice = yield* Effect.forkChild(
        Effect.flatMap(client.call("a"), (first) => Effect.map(client.call("b"), (second) => [first, second]))
      )
      const other = yield* Effect.forkChild(client.call("c"))
      yield* settled
      yield* peer.write(utf8("A\nC\n"))
      yield* settled
      yield* peer.write(utf8("B\n"))
      expect(yield* Fiber.join(twice)).toEqual(["A", "B"])
      expect(yield* Fiber.join(other)).toBe("C")
    }))

  describe("whose peer does not read", () => {
    const stuck = Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 16 })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      const { pull } = yield* there.reader
      const client = yield* Pipeline.client(transport)
      // More than fits, so that what is behind it waits.
      const first = yield* Effect.forkChild(client.call("0123456789abcdef"))
      yield* settled
      return { client, first, pull }
    })
    const all = (pull: Effect.Effect<ReadonlyArray<Uint8Array | string>, unknown>) => {
      const heard: Array<string> = []
      const listening = Effect.ignore(
        Effect.forever(Effect.map(pull, (chunks) => heard.push(...chunks.map((chunk) => text(chunk as Uint8Array)))))
      )
      return Effect.as(Effect.forkScoped(listening), heard)
    }

    it.effect("keeps what is called meanwhile, and does not send what is interrupted", () =>
      Effect.gen(function*() {
        const { client, pull } = yield* stuck
        yield* Effect.forkChild(client.call("second"))
        const third = yield* Effect.forkChild(client.call("third"))
        yield* Effect.forkChild(client.call("fourth"))
        yield* settled
        yield* Fiber.interrupt(third)
        const heard = yield* all(pull)
        yield* settled
        expect(heard.join("")).toBe("0123456789abcdef\nsecond\nfourth\n")
      }))

    it.effect("fails what waits when its scope ends", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { client, first } = yield* Scope.provide(stuck, scope)
        const second = yield* Effect.forkChild(Effect.flip(client.call("second")))
        yield* settled
        yield* Scope.close(scope, Exit.void)
        expect((yield* Effect.flip(Fiber.join(first))).reason._tag).toBe("ConnectionClosed")
        expect((yield* Fiber.join(second)).reason._tag).toBe("ConnectionClosed")
      }))
  })

  describe("that tells failures from responses", () => {
    const telling = Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const client = yield* Pipeline.client(transport, {
        response: (line) => {
          if (line === "?") throw new Error("a bug")
          return line.startsWith("+") ? Result.succeed(line.length) : Result.fail(new Refused({ what: line }))
        }
      })
      return { client, peer }
    })

    it.effect("each call ends with its own", () =>
      Effect.gen(function*() {
        const { client, peer } = yield* telling
        const calls = yield* Effect.forkChild(
          Effect.forEach(["a", "b", "c"], (line) => Effect.result(client.call(line)), { concurrency: "unbounded" })
        )
        yield* settled
        yield* peer.write(utf8("+\n-no\n+++\n"))
        expect(yield* Fiber.join(calls)).toEqual([
          Result.succeed(1),
          Result.fail(new Refused({ what: "-no" })),
          Result.succeed(3)
        ])
      }))

    it.effect("a bug in the telling ends the use of the connection, for every call", () =>
      Effect.gen(function*() {
        const { client, peer } = yield* telling
        const calls = yield* Effect.forkChild(
          Effect.forEach(["a", "b"], (line) => Effect.exit(client.call(line)), { concurrency: "unbounded" })
        )
        yield* settled
        yield* peer.write(utf8("?\n+\n"))
        expect((yield* Fiber.join(calls)).map(Exit.hasDies)).toEqual([true, true])
        expect(Exit.hasDies(yield* Effect.exit(client.call("c")))).toBe(true)
      }))
  })

  it.effect("an answer to no request ends the use of the connection", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      yield* peer.write(utf8("out of the blue\n"))
      const error = yield* Effect.flip(client.awaitEnd)
      expect(error.reason).toMatchObject({ _tag: "UnexpectedFrame", excerpt: "\"out of the blue\"" })
    }))
})

describe("client and server", () => {
  const Plan = Schema.Struct({
    at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
    takes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
    fails: Schema.Boolean,
    patience: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12 }))
  })

  it.effect.prop(
    "each call gets its own answer or failure, never another's, and what is interrupted disturbs nobody",
    {
      plans: Schema.Array(Plan).check(Schema.isMaxLength(16)),
      maxInFlight: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))
    },
    ({ maxInFlight, plans }) =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ segments: cutInto([3, 5, 1]), capacity: 32 })
        const lines = Transport.framed(Codec.lines())
        const serving = yield* Effect.provideService(lines, Socket.Socket, there).pipe(
          Effect.flatMap(Pipeline.serve((line: string) => {
            const { fails, takes } = plans[Number(line)]
            const answer = fails ? Effect.fail(line) : Effect.succeed(`+${line}`)
            return takes === 0 ? answer : Effect.delay(answer, takes)
          }, { maxInFlight: 3, failure: (error) => `-${error}` })),
          Effect.scoped,
          Effect.forkChild
        )
        const calls = yield* Effect.scoped(Effect.gen(function*() {
          const client = yield* Pipeline.client(yield* Effect.provideService(lines, Socket.Socket, here), {
            maxInFlight,
            response: (line) => line.startsWith("+") ? Result.succeed(line.slice(1)) : Result.fail(line.slice(1))
          })
          const calling = yield* Effect.forkChild(Effect.forEach(
            plans,
            ({ at, patience }, i) =>
              Effect.delay(Effect.result(Effect.timeoutOption(client.call(`${i}`), patience)), at),
            { concurrency: "unbounded" }
          ))
          yield* TestClock.adjust("1 second")
          const last = yield* Fiber.join(calling)
          return last
        }))
        calls.forEach((result, i) => {
          const heard = Result.isSuccess(result) ? Option.getOrUndefined(result.success) : result.failure
          if (heard === undefined) return
          expect(heard).toBe(`${i}`)
          expect(Result.isFailure(result)).toBe(plans[i].fails)
        })
        expect(Exit.isSuccess(yield* Fiber.await(serving))).toBe(true)
      }),
    { arbitrary: { runs: 60 } }
  )
})
