import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import { CurrentEncrypt } from "../src/internal/connection/source.ts"
import { implOf } from "../src/internal/connection/transport.ts"
import type * as Peer from "../src/Peer.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { cutInto, rawPeer, readAll, text, utf8 } from "./support/conversation.ts"
import { connectedRaw } from "./support/linePeer.ts"

/** Takes lines up to the first other one, and gives that one back. */
const takeWhile = (line: string) =>
  Sink.fromTransform<string, Array<string>, never, never, string>((upstream) => {
    const taken: Array<string> = []
    const loop: Effect.Effect<Sink.End<Array<string>, string>> = Effect.matchEffect(upstream, {
      onFailure: () => Effect.succeed([taken] as const),
      onSuccess: (lines) => {
        const other = lines.findIndex((next) => next !== line)
        taken.push(...(other === -1 ? lines : lines.slice(0, other)))
        return other === -1 ? loop : Effect.succeed([taken, [lines[other], ...lines.slice(other + 1)]] as const)
      }
    })
    return loop
  })

const Lines = Schema.Array(Schema.String.check(Schema.isPattern(/^[a-z]{0,5}$/))).check(Schema.isMaxLength(12))

describe("receive", () => {
  it.effect("law 2: interrupted in the middle of a frame, it has taken nothing", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("Hel"))
      const timedOut = yield* Effect.forkChild(Effect.timeoutOption(transport.receive, "1 second"))
      yield* TestClock.adjust("1 second")
      expect(Option.isNone(yield* Fiber.join(timedOut))).toBe(true)
      yield* peer.write(utf8("lo\n"))
      expect(yield* transport.receive).toBe("Hello")
    }))

  it.effect("two fibers that wait at once get a frame each", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const both = yield* Effect.forkChild(
        Effect.all([transport.receive, transport.receive], { concurrency: "unbounded" })
      )
      yield* peer.write(utf8("one\ntw"))
      yield* Effect.yieldNow
      yield* peer.write(utf8("o\n"))
      expect(yield* Fiber.join(both)).toEqual(["one", "two"])
    }))

  it.effect("frames that came before the connection broke are delivered, and then how it broke", () =>
    Effect.gen(function*() {
      const reset = new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: new Error("ECONNRESET") }) })
      const chunks = [utf8("one\ntwo\nthr")]
      const socket = Socket.make({
        reader: Effect.succeed({
          pull: Effect.suspend(() => {
            const chunk = chunks.shift()
            return chunk === undefined ? Effect.fail(reset) : Effect.succeed([chunk] as const)
          }),
          upgrade: Socket.SocketUpgradeError.unsupported
        }),
        writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
      })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
      expect(yield* transport.receive).toBe("one")
      expect(yield* transport.receive).toBe("two")
      const error = yield* Effect.flip(transport.receive)
      expect(error.reason).toMatchObject({ _tag: "ConnectionFailed", operation: "read" })
      expect(error.message).toContain("ECONNRESET")
    }))

  it.effect("a socket whose reader dies fails whoever waits, instead of leaving it waiting", () =>
    Effect.gen(function*() {
      for (
        const pull of [Effect.die(new Error("a bug")), Effect.andThen(Effect.yieldNow, Effect.die(new Error("a bug")))]
      ) {
        const socket = Socket.make({
          reader: Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
          writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
        })
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
        const error = yield* Effect.flip(transport.receive)
        expect(error.reason).toMatchObject({ _tag: "ConnectionFailed", operation: "read" })
        expect(error.message).toContain("a bug")
      }
    }))

  it.effect("it fails with the same error however often it is asked", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8("cut")), peer.end)
      const first = yield* Effect.flip(transport.receive)
      expect(first.reason).toMatchObject({ _tag: "Truncated", unread: 3, excerpt: "\"cut\"" })
      expect(yield* Effect.flip(transport.receive)).toBe(first)
    }))

  it.effect("what a decoder throws at is a malformed frame, for a peer can send it again", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const broken = Codec.make<string>({
        decoder: () => ({
          decode: (input) => {
            if (input.length === 0) return undefined
            throw new Error("a bug")
          }
        }),
        encode: () => {}
      })
      const transport = yield* Effect.provideService(Transport.framed(broken), Socket.Socket, here)
      yield* peer.write(utf8("x"))
      const { reason } = yield* Effect.flip(transport.receive)
      expect(reason).toMatchObject({
        _tag: "MalformedFrame",
        problem: "the codec threw Error: a bug",
        excerpt: "\"x\"",
        fault: "peer"
      })
    }))

  it.effect("a description that throws hides its frame, and ends nothing", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const seen: Array<Transport.Event> = []
      const describe = () => {
        throw new Error("a bug")
      }
      const transport = yield* Transport.framed(Codec.lines(), { describe }).pipe(
        Effect.provideService(Socket.Socket, here),
        Effect.provideService(Transport.CurrentObserver, (event) => seen.push(event))
      )
      yield* peer.write(utf8("one\n"))
      expect(yield* transport.receive).toBe("one")
      expect(Transport.show(transport, "one")).toBe("<redacted>")
      expect(seen[1]).toMatchObject({ _tag: "Received", frame: "<redacted>", bytes: undefined })
    }))
})

describe("run", () => {
  it.effect.prop(
    "law 2: what one sink leaves over is what the next one gets",
    { lines: Lines, taken: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })) },
    ({ lines, taken }) =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw({ segments: cutInto([3, 1, 7]) })
        yield* Effect.andThen(peer.write(utf8(lines.map((line) => `${line}\n`).join(""))), peer.end)
        const first = yield* transport.run(Sink.take(taken))
        const rest = yield* transport.run(Sink.collect<string>())
        expect(first).toEqual(lines.slice(0, taken))
        expect(rest).toEqual(lines.slice(taken))
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 60 } }
  )

  it.effect("Sink.head takes one frame and leaves the rest of the segment", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("one\ntwo\n"))
      expect(yield* transport.run(Sink.head())).toEqual(Option.some("one"))
      expect(yield* transport.receive).toBe("two")
    }))

  it.effect("frames that a sink gives back are received again, in order", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("a\na\nb\nc\n"))
      expect(yield* transport.run(takeWhile("a"))).toEqual(["a", "a"])
      const next = [yield* transport.receive, yield* transport.receive]
      expect(next).toEqual(["b", "c"])
    }))

  it.effect("the bytes of a frame that was given back go to the next codec", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8("a\nbinary\nrest")), peer.end)
      yield* transport.run(takeWhile("a"))
      expect(yield* readAll(yield* Transport.switchCodec(transport, Codec.bytes))).toBe("binary\nrest")
    }))

  /** Takes this many frames and gives all of them back. */
  const peek = (count: number) =>
    Sink.fromTransform<string, void, never, never, string>((upstream) => {
      const taken: Array<string> = []
      const loop: Effect.Effect<Sink.End<void, string>> = Effect.matchEffect(upstream, {
        onFailure: () => Effect.succeed([undefined] as const),
        onSuccess: (lines) => {
          taken.push(...lines)
          return taken.length < count ? loop : Effect.succeed([undefined, [taken[0], ...taken.slice(1)]] as const)
        }
      })
      return loop
    })
  const tenLines = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"

  it.effect("eight frames that were given back go to the next codec in their order", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8(tenLines)), peer.end)
      yield* transport.run(peek(8))
      expect(yield* readAll(yield* Transport.switchCodec(transport, Codec.bytes))).toBe(tenLines)
    }))

  it.effect("nine do not, and nothing of them is lost for the old one", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8(tenLines)), peer.end)
      yield* transport.run(peek(9))
      const error = yield* Effect.flip(Transport.switchCodec(transport, Codec.bytes))
      expect(error.reason._tag).toBe("UnexpectedFrame")
      expect(yield* transport.run(Sink.collect<string>())).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"])
    }))

  it.effect("a sink that is interrupted leaves what it has not pulled", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("one\ntw"))
      const collecting = yield* Effect.forkChild(transport.run(Sink.collect()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(collecting)
      yield* peer.write(utf8("o\n"))
      expect(yield* transport.receive).toBe("two")
    }))

  it.effect("a cut frame fails the run instead of ending the sink", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8("one\ncu")), peer.end)
      const error = yield* Effect.flip(transport.run(Sink.collect()))
      expect(error.reason._tag).toBe("Truncated")
    }))
})

describe("receiveUntil", () => {
  const until = (last: string) => (line: string) => line === last ? Effect.succeed(line) : undefined

  it.effect.prop(
    "is asked about each frame up to the one that decides, however they come, and takes nothing behind it",
    { before: Lines, behind: Lines, cut: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })) },
    ({ before, behind, cut }) =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw({ segments: cutInto([cut]) })
        const said = [...before, "LAST", ...behind].map((line) => `${line}\n`).join("")
        yield* Effect.andThen(peer.write(utf8(said)), peer.end)
        const seen: Array<string> = []
        const decided = yield* Transport.receiveUntil(transport, (line) => {
          seen.push(line)
          return line === "LAST" ? Effect.succeed(seen.length) : undefined
        })
        expect(decided).toBe(before.length + 1)
        expect(seen).toEqual([...before, "LAST"])
        expect(yield* Stream.runCollect(transport.incoming)).toEqual(behind)
      }).pipe(Effect.scoped)
  )

  it.effect("interrupted while it waits, it has taken what it was asked about and no part of the next frame", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("one\ntw"))
      const waiting = yield* Effect.forkChild(Transport.receiveUntil(transport, until("never")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      yield* peer.write(utf8("o\n"))
      expect(yield* transport.receive).toBe("two")
    }))

  it.effect("fails as the frames end, and comes to what was decided, a failure too", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8("one\ntwo\nthr")), peer.end)
      expect(yield* Effect.flip(Transport.receiveUntil(transport, () => Effect.fail("no")))).toBe("no")
      const error = yield* Effect.flip(Transport.receiveUntil(transport, until("three")))
      expect(error.reason._tag).toBe("Truncated")
    }))

  it.effect("dies of what decide throws, and the frames behind it are there", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("one\ntwo\n"))
      const exit = yield* transport.pipe(
        Transport.receiveUntil((line): undefined => {
          throw new Error(line)
        }),
        Effect.exit
      )
      expect(Exit.isFailure(exit) && Exit.hasDies(exit)).toBe(true)
      expect(yield* transport.receive).toBe("two")
    }))

  it.effect("shows whoever watches each frame, as receive does", () =>
    Effect.gen(function*() {
      const received: Array<string> = []
      const observer: Transport.Observer = (event) => {
        if (event._tag === "Received") received.push(event.frame)
      }
      yield* Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw()
        yield* peer.write(utf8("one\ntwo\nthree\n"))
        expect(yield* Transport.receiveUntil(transport, until("two"))).toBe("two")
      }).pipe(Effect.provideService(Transport.CurrentObserver, observer))
      expect(received).toEqual(["\"one\"", "\"two\""])
    }))
})

describe("incoming", () => {
  it.effect("a pull takes 128 frames at most, and the next one goes on with the rest", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* peer.write(utf8("line\n".repeat(129)))
      yield* peer.end
      const lengths: Array<number> = []
      yield* Stream.runForEachArray(transport.incoming, (lines) => Effect.sync(() => lengths.push(lines.length)))
      expect(lengths).toEqual([128, 1])
    }))

  it.effect("ends where the connection ends between two frames", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw({ segments: cutInto([2]) })
      yield* Effect.andThen(peer.write(utf8("one\ntwo\n")), peer.end)
      expect(yield* Stream.runCollect(transport.incoming)).toEqual(["one", "two"])
    }))

  it.effect("delivers every whole frame and then fails, where the connection is cut inside one", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.andThen(peer.write(utf8("one\ntwo\nthr")), peer.end)
      const seen: Array<string> = []
      const error = yield* transport.incoming.pipe(
        Stream.runForEach((line) => Effect.sync(() => seen.push(line))),
        Effect.flip
      )
      expect(seen).toEqual(["one", "two"])
      expect(error.reason._tag).toBe("Truncated")
    }))
})

describe("send", () => {
  it.effect("sendAll is one write", () =>
    Effect.gen(function*() {
      const writes: Array<unknown> = []
      const socket = Socket.make({
        reader: Effect.succeed({ pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
        writer: Effect.succeed({
          write: (chunk) => Effect.sync(() => void writes.push(chunk)),
          writeAll: (chunks) => Effect.sync(() => void writes.push(chunks))
        })
      })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
      yield* transport.sendAll(["one", "two"])
      expect(writes).toEqual(["one\ntwo\n"])
    }))

  it.effect("a frame that cannot be encoded is a local fault, and nothing of the batch is sent", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const error = yield* Effect.flip(transport.sendAll(["good", "b\nad"]))
      expect(error.reason).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
      yield* transport.send("next")
      yield* Effect.yieldNow
      expect(peer.heard()).toBe("next\n")
    }))

  it.effect("outgoing sends a stream", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Stream.run(Stream.make("one", "two"), transport.outgoing)
      yield* Effect.yieldNow
      expect(peer.heard()).toBe("one\ntwo\n")
    }))

  it.effect("waits for a peer that does not read, and what many fibers send is never mixed", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 4 })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      const reader = yield* there.reader
      const senders = yield* Effect.forkChild(
        Effect.forEach(["aaaa", "bbbb", "cccc"], (line) => transport.send(line), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("1 second")
      expect(senders.pollUnsafe()).toBeUndefined()
      const heard: Array<string> = []
      while (heard.join("").length < 15) heard.push(text((yield* reader.pull)[0] as Uint8Array))
      yield* Fiber.join(senders)
      expect(heard).toEqual(["aaaa\n", "bbbb\n", "cccc\n"])
    }))

  it.effect("a write to a connection whose peer has gone fails", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const scope = yield* Scope.make()
      yield* Scope.provide(there.reader, scope)
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(transport.send("anybody?"))
      expect(error.reason).toMatchObject({ _tag: "ConnectionFailed", operation: "write" })
    }))

  describe("on a socket whose writer never notices the end", () => {
    /** As Effect's Node socket does, writes on a dead connection wait for ever; only the reader knows. */
    const deaf = (pull: Effect.Effect<never, Socket.SocketError>) =>
      Socket.make({
        reader: Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported }),
        writer: Effect.succeed({ write: () => Effect.never, writeAll: () => Effect.never })
      })

    it.effect("a write fails with how the connection broke", () =>
      Effect.gen(function*() {
        const socket = deaf(
          Effect.fail(new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: new Error("EPIPE") }) }))
        )
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
        expect((yield* Effect.flip(transport.send("x"))).message).toContain("EPIPE")
      }))

    it.effect("a write after a clean end fails at once", () =>
      Effect.gen(function*() {
        const socket = deaf(
          Effect.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) }))
        )
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
        yield* Effect.flip(transport.receive)
        expect((yield* Effect.flip(transport.send("x"))).reason._tag).toBe("ConnectionFailed")
      }))

    it.effect("a write that waits when the clean end comes fails five seconds later", () =>
      Effect.gen(function*() {
        const socket = deaf(
          Effect.fail(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) }))
        )
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
        const sending = yield* Effect.forkChild(Effect.flip(transport.send("x")))
        yield* TestClock.adjust("4999 millis")
        expect(sending.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        expect((yield* Fiber.join(sending)).reason._tag).toBe("ConnectionFailed")
      }))
  })
})

describe("switchCodec", () => {
  it.effect.prop(
    "law 2: it carries the unread bytes over, byte for byte",
    [Schema.Uint8Array],
    ([more]) =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw({ segments: cutInto([5, 2]) })
        yield* Effect.andThen(peer.write(Uint8Array.from([...utf8("one\n"), ...more])), peer.end)
        expect(yield* transport.receive).toBe("one")
        expect(yield* readAll(yield* Transport.switchCodec(transport, Codec.bytes))).toBe(text(more))
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 60 } }
  )
})

describe("tls", () => {
  it.effect("is undefined in clear, and behind TLS what that has agreed on, as the peer has it", () =>
    Effect.gen(function*() {
      const { transport } = yield* connectedRaw()
      expect(yield* Transport.tls(transport)).toBeUndefined()
      const tls = { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" } as Peer.Tls
      const encrypted = yield* Effect.provideService(
        Transport.startTls(transport, { role: "client", servername: "localhost" }),
        CurrentEncrypt,
        (source) => Effect.succeed({ source, tls })
      )
      expect(yield* Transport.tls(encrypted)).toBe(tls)
      expect((yield* encrypted.peer).tls).toBe(tls)
    }))
})

describe("the end of the scope", () => {
  it.effect("flushes what was sent and closes the connection in order", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      yield* Transport.framed(Codec.lines()).pipe(
        Effect.flatMap((transport) => transport.send("last words")),
        Effect.scoped,
        Effect.provideService(Socket.Socket, here)
      )
      yield* peer.closed
      expect(peer.heard()).toBe("last words\n")
    }))

  it.effect("fails whoever still waits for a frame", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* rawPeer(there)
      const scope = yield* Scope.make()
      const transport = yield* Transport.framed(Codec.lines()).pipe(
        Effect.provideService(Socket.Socket, here),
        Scope.provide(scope)
      )
      const waiting = yield* Effect.forkChild(Effect.flip(transport.receive))
      yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      expect((yield* Fiber.join(waiting)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
    }))
})

describe("a codec of one's own", () => {
  it.effect("is given the bytes behind a refused frame never again", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const picky = Codec.mapOrFail(Codec.lines(), {
        decode: (line) => line === "ok" ? Result.succeed(line) : Result.fail("not ok"),
        encode: (line: string) => Result.succeed(line)
      })
      const transport = yield* Effect.provideService(Transport.framed(picky), Socket.Socket, here)
      yield* peer.write(utf8("ok\nbad\nok\n"))
      expect(yield* transport.receive).toBe("ok")
      const error = yield* Effect.flip(transport.receive)
      expect(error.reason).toMatchObject({ _tag: "MalformedFrame", problem: "not ok", fault: "peer" })
      expect(yield* Effect.flip(transport.receive)).toBe(error)
    }))
})

describe("whenDraining", () => {
  const drain = (transport: Transport.Transport.Any) =>
    Effect.sync(() => implOf(transport).connection.closeToRequests())

  it.effect("ends with the drain, and what comes then is received", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const waiting = yield* Effect.forkChild(Transport.whenDraining(transport))
      yield* TestClock.adjust("1 hour")
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* drain(transport)
      yield* Fiber.join(waiting)
      yield* peer.write(utf8("one\n"))
      expect(yield* transport.receive).toBe("one")
      yield* Transport.whenDraining(transport)
    }))

  it.effect("nobody waits for it any more: nothing more is received", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const waiting = yield* Effect.forkChild(Transport.whenDraining(transport))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      yield* drain(transport)
      yield* peer.write(utf8("one\n"))
      expect((yield* Effect.flip(transport.receive)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
      yield* Transport.whenDraining(transport)
    }))

  it.effect("a service on the same transport ends beside those that wait", () =>
    Effect.gen(function*() {
      const { transport } = yield* connectedRaw()
      const serving = yield* Effect.forkChild(Pipeline.serve((line: string) => Effect.succeed(line))(transport))
      const waiting = yield* Effect.forkChild(Transport.whenDraining(transport))
      yield* TestClock.adjust("1 second")
      yield* drain(transport)
      yield* Fiber.join(waiting)
      yield* Fiber.join(serving)
    }))
})
