/**
 * A codec with a memory: each line has its number before it, and the peer misses the one that does not come. What was not
 * written must not have been counted, in whatever way it comes about that it is not.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as Codec from "../src/Codec.ts"
import { type Source, StandIn } from "../src/internal/connection/source.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Peer from "../src/Peer.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Fast from "../src/testing/internal/fast.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { settled } from "./support/serving.ts"

const malformed = (problem: string, excerpt: string, fault: Codec.Fault) =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt, fault }))

/** Numbers the lines of each connection; "no" is refused, and "boom" throws. */
const numbered: Codec.Codec<string, string> = Codec.make<string>({
  decoder: () => {
    const lines = Codec.lines().decoder()
    let due = 0
    return {
      decode: (input) => {
        const result = lines.decode(input)
        if (result === undefined || Result.isFailure(result)) return result
        const [number, text] = result.success.split(":")
        return Number(number) === due++ ? Result.succeed(text) : malformed(`${due - 1} is missing`, number, "peer")
      }
    }
  },
  encoder: () => {
    let next = 0
    return {
      encode: (text, into) => {
        into.string(`${next++}:`)
        if (text.startsWith("no")) return malformed("it is refused", text, "local")
        if (text === "boom") throw new Error("boom")
        into.string(`${text}\n`)
      },
      checkpoint: () => {
        const before = next
        let isUndone = false
        return () => {
          if (isUndone) throw new Error("undone twice")
          isUndone = true
          next = before
        }
      }
    }
  }
})

const echo = Pipeline.serve((line: string) => Effect.succeed(line))

const long = "x".repeat(100)

/** A socket that pulls and waits, and one that writes at once where it can. */
const rungs: Record<string, (socket: Socket.Socket) => Socket.Socket> = {
  "a socket": (socket) => socket,
  "a socket that writes at once": Fast.dialled
}

for (const [rung, socketOf] of Object.entries(rungs)) {
  /** Whoever sends more than 64 bytes waits until the peer reads. */
  const connected = Effect.fnUntraced(function*(codec: Codec.Codec<string, string> = numbered) {
    const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
    const peer = yield* Effect.provideService(Transport.framed(codec), Socket.Socket, there)
    const transport = yield* Effect.provideService(Transport.framed(codec), Socket.Socket, socketOf(here))
    /** What the peer receives of so many lines. */
    const received = (count: number) => Effect.all(Array.from({ length: count }, () => peer.receive))
    /** Waits until somebody else has written. */
    const busy = Effect.andThen(Effect.forkChild(transport.send(long)), settled)
    return { busy, peer, received, transport }
  })

  describe(`on ${rung}, a line leaves no trace`, () => {
    it.effect("that cannot be encoded", () =>
      Effect.gen(function*() {
        const { received, transport } = yield* connected()
        yield* transport.send("a")
        expect(yield* Effect.flip(transport.send("no"))).toMatchObject({ reason: { problem: "it is refused" } })
        yield* transport.send("b")
        expect(yield* received(2)).toEqual(["a", "b"])
      }))

    it.effect("of a batch of which another line cannot be encoded", () =>
      Effect.gen(function*() {
        const { received, transport } = yield* connected()
        yield* Effect.flip(transport.sendAll(["a", "b", "no", "c"]))
        yield* transport.sendAll(["d", "e"])
        expect(yield* received(2)).toEqual(["d", "e"])
      }))

    it.effect("of a batch in which the encoder throws", () =>
      Effect.gen(function*() {
        const { received, transport } = yield* connected()
        expect(Exit.hasDies(yield* Effect.exit(transport.sendAll(["a", "boom"])))).toBe(true)
        expect(Exit.hasDies(yield* Effect.exit(transport.send("boom")))).toBe(true)
        yield* transport.send("b")
        expect(yield* received(1)).toEqual(["b"])
      }))

    it.effect("whose sender is interrupted before its turn has come", () =>
      Effect.gen(function*() {
        const { busy, received, transport } = yield* connected()
        yield* busy
        const first = yield* Effect.forkChild(transport.sendAll(["a", "b"]))
        const second = yield* Effect.forkChild(transport.send("c"))
        yield* settled
        yield* Fiber.interrupt(first)
        expect(yield* received(2)).toEqual([long, "c"])
        yield* Fiber.join(second)
      }))

    it.effect("that cannot be encoded when its turn has come", () =>
      Effect.gen(function*() {
        const { busy, received, transport } = yield* connected()
        yield* busy
        const first = yield* Effect.forkChild(Effect.flip(transport.sendAll(["a", "no"])))
        const second = yield* Effect.forkChild(Effect.exit(transport.send("boom")))
        const third = yield* Effect.forkChild(transport.send("b"))
        yield* settled
        expect(yield* received(2)).toEqual([long, "b"])
        expect(yield* Fiber.join(first)).toMatchObject({ reason: { problem: "it is refused" } })
        expect(Exit.hasDies(yield* Fiber.join(second))).toBe(true)
        yield* Fiber.join(third)
      }))

    it.effect("that a client cannot send as a request, and other calls go on", () =>
      Effect.gen(function*() {
        const { peer, received, transport } = yield* connected()
        const client = yield* Pipeline.client(transport)
        const calls = yield* Effect.forkChild(
          Effect.all(["a", "no", "b", "boom", "c"].map((line) => Effect.exit(client.call(line))), {
            concurrency: "unbounded"
          })
        )
        expect(yield* received(3)).toEqual(["a", "b", "c"])
        yield* peer.sendAll(["A", "B", "C"])
        expect((yield* Fiber.join(calls)).map((exit) => Exit.isSuccess(exit))).toEqual([true, false, true, false, true])
      }))

    it.effect("that is an answer of a server, behind one that cannot be encoded", () =>
      Effect.gen(function*() {
        const { peer, received, transport } = yield* connected()
        yield* peer.sendAll(["a", "b", "c"])
        const serve = Pipeline.serve((line: string) => Effect.succeed(line === "b" ? "no" : line))
        expect(yield* Effect.flip(serve(transport))).toMatchObject({ reason: { problem: "it is refused" } })
        yield* transport.send("bye")
        expect(yield* received(2)).toEqual(["a", "bye"])
      }))

    it.effect("that waits for its turn when a server is interrupted", () =>
      Effect.gen(function*() {
        const { busy, peer, received, transport } = yield* connected()
        const server = yield* Effect.forkChild(echo(transport))
        yield* settled
        yield* busy
        yield* peer.sendAll(["a", "b"])
        yield* settled
        yield* Fiber.interrupt(server)
        const bye = yield* Effect.forkChild(transport.send("bye"))
        expect(yield* received(2)).toEqual([long, "bye"])
        yield* Fiber.join(bye)
      }))

    it.effect("that waits for its turn when a server is interrupted, and the pongs before and behind it are sent", () =>
      Effect.gen(function*() {
        const { busy, peer, received, transport } = yield* connected()
        yield* Middleware.intercept(transport, (line) => line.startsWith("ping") ? [line.replace("i", "o")] : undefined)
        const server = yield* Effect.forkChild(echo(transport))
        yield* settled
        yield* busy
        for (const line of ["ping 1", "a", "ping 2"]) yield* Effect.andThen(peer.send(line), settled)
        yield* Fiber.interrupt(server)
        const bye = yield* Effect.forkChild(transport.send("bye"))
        expect(yield* received(4)).toEqual([long, "pong 1", "pong 2", "bye"])
        yield* Fiber.join(bye)
      }))

    it.effect("that a middleware cannot answer with", () =>
      Effect.gen(function*() {
        const { peer, received, transport } = yield* connected()
        yield* Middleware.intercept(transport, (line) => line === "ping" ? ["no pong"] : undefined)
        yield* peer.send("ping")
        expect(yield* Effect.flip(transport.receive)).toMatchObject({ reason: { problem: "it is refused" } })
        yield* transport.send("bye")
        expect(yield* received(1)).toEqual(["bye"])
      }))

    it.effect("that is undone once, also where nothing can be sent any more", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const gone = yield* Scope.make()
        yield* Transport.framed(numbered).pipe(Effect.provideService(Socket.Socket, there), Scope.provide(gone))
        const transport = yield* Effect.provideService(Transport.framed(numbered), Socket.Socket, socketOf(here))
        const client = yield* Pipeline.client(transport)
        expect(yield* Effect.flip(client.call("no"))).toMatchObject({ reason: { problem: "it is refused" } })
        yield* Scope.close(gone, Exit.void)
        expect(yield* Effect.flip(transport.send("a"))).toMatchObject({ reason: { _tag: "ConnectionFailed" } })
      }))

    it.effect("that is sent to a peer that has gone", () =>
      Effect.gen(function*() {
        let encoded = 0
        const counting = Codec.make<string>({
          decoder: Codec.lines().decoder,
          encoder: () => ({
            encode: (text, into) => {
              encoded++
              into.string(`${text}\n`)
            },
            checkpoint: () => {
              const before = encoded
              return () => {
                encoded = before
              }
            }
          })
        })
        const [here, there] = yield* MemorySocket.pair()
        yield* Effect.scoped(Effect.provideService(Transport.framed(counting), Socket.Socket, there))
        const transport = yield* Effect.provideService(Transport.framed(counting), Socket.Socket, socketOf(here))
        yield* Effect.flip(transport.receive)
        yield* Effect.flip(transport.sendAll(["a", "b"]))
        expect(encoded).toBe(0)
      }))
  })

  describe(`on ${rung}, lines are numbered in the order in which they are written`, () => {
    it.effect("those that wait for each other", () =>
      Effect.gen(function*() {
        const { busy, received, transport } = yield* connected()
        yield* busy
        const sending = yield* Effect.forkChild(
          Effect.all([transport.send("a"), transport.sendAll(["b", long]), transport.send("c")], {
            concurrency: "unbounded"
          })
        )
        yield* settled
        expect(yield* received(5)).toEqual([long, "a", "b", long, "c"])
        yield* Fiber.join(sending)
      }))

    it.effect("answers, and what a handler sends while they wait to be written", () =>
      Effect.gen(function*() {
        const { peer, received, transport } = yield* connected()
        const frames: Multiplex.ServerFrames<{ frame: string; id: string; request: string; response: string }> = {
          fromClient: (line) => ({ _tag: "Request", id: line, body: line }),
          response: (_, line) => line
        }
        const serve = Multiplex.serve(
          frames,
          (line: string) => line === "b" ? Effect.as(transport.send("push"), line) : Effect.succeed(line)
        )
        yield* Effect.forkChild(serve(transport))
        yield* settled
        yield* peer.sendAll(["a", "b", "c"])
        expect(yield* received(4)).toEqual(["push", "a", "b", "c"])
      }))

    it.effect("those of a stream", () =>
      Effect.gen(function*() {
        const { received, transport } = yield* connected()
        yield* Stream.run(Stream.make("a", "b", "c"), transport.outgoing)
        expect(yield* received(3)).toEqual(["a", "b", "c"])
      }))
  })

  describe(`on ${rung}, the memory is there behind`, () => {
    const check = (codec: Codec.Codec<string, string>) =>
      Effect.gen(function*() {
        const { received, transport } = yield* connected(codec)
        yield* Effect.flip(transport.sendAll(["a", "no"]))
        yield* transport.sendAll(["b", "c"])
        expect(yield* received(2)).toEqual(["b", "c"])
      })
    const same = { decode: (line: string) => line, encode: (line: string) => line }

    it.effect("Codec.map", () => check(Codec.map(numbered, same)))
    it.effect("Codec.mapOrFail", () =>
      check(Codec.mapOrFail(numbered, {
        decode: (line) => Result.succeed(line),
        encode: (line: string) => Result.succeed(line)
      })))
    it.effect("Codec.duplex", () => check(Codec.duplex(numbered, numbered)))
  })
}

it.effect("the memory is there behind Codec.aggregate, also where one of a frame's lines cannot be encoded", () =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const paragraphs = Transport.framed(Codec.aggregate(numbered, { isLast: (line) => line === "." }))
    const a = yield* Effect.provideService(paragraphs, Socket.Socket, here)
    const b = yield* Effect.provideService(paragraphs, Socket.Socket, there)
    yield* Effect.flip(a.sendAll([["a", "."], ["b", "no", "."]]))
    yield* a.sendAll([["c", "."], ["d", "e", "."]])
    expect([yield* b.receive, yield* b.receive]).toEqual([["c", "."], ["d", "e", "."]])
  }))

it.effect("each connection of a codec has a memory of its own", () =>
  Effect.gen(function*() {
    for (let i = 0; i < 2; i++) {
      const [here, there] = yield* MemorySocket.pair()
      const a = yield* Effect.provideService(Transport.framed(numbered), Socket.Socket, here)
      const b = yield* Effect.provideService(Transport.framed(numbered), Socket.Socket, there)
      yield* a.send("Hello")
      expect(yield* b.receive).toBe("Hello")
    }
  }))

it.effect("a line whose sender is interrupted while a buffer that others have filled is full leaves no trace", () =>
  Effect.gen(function*() {
    const written: Array<Uint8Array | string> = []
    let drained: (() => void) | undefined
    let isFull = true
    const source: Source = {
      peer: Peer.unknown,
      attach: () => {},
      resume: () => {},
      pause: () => {},
      get room() {
        return isFull
          ? Effect.callback<void>((resume) => {
            drained = () => resume(Effect.void)
          })
          : undefined
      },
      write: (chunks) => Effect.sync(() => void written.push(...chunks)),
      writeNow: (chunks) => void written.push(...chunks),
      endWrite: () => true,
      onFlushed: (done) => done()
    }
    const socket = new StandIn({ reader: Effect.never, writer: Effect.never }, Effect.succeed(source))
    const transport = yield* Effect.provideService(Transport.framed(numbered), Socket.Socket, socket)
    const first = yield* Effect.forkChild(transport.send("a"))
    yield* settled
    yield* Fiber.interrupt(first)
    const second = yield* Effect.forkChild(transport.send("b"))
    yield* settled
    isFull = false
    drained?.()
    yield* Fiber.join(second)
    yield* transport.send("c")
    expect(written.join("")).toBe("0:b\n1:c\n")
  }))
