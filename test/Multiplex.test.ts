import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as SimulatedNetwork from "../src/testing/SimulatedNetwork.ts"
import * as Transport from "../src/Transport.ts"
import { text, utf8 } from "./support/conversation.ts"
import { connected, linePeer, lines } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly what: string }> {}

// --- A protocol of lines: `? 1 body` asks, `x 1` cancels, `+ 1 body` answers, `- 1 why` and `~ 1` do not. -------------

const read = (line: string) => {
  const [tag, id, ...body] = line.split(" ")
  return { tag, id: Number(id), body: body.join(" ") }
}

interface Types {
  frame: string
  id: number
  request: string
  response: string
}

/** Neither errors nor cancels. */
const plain: Multiplex.Frames<Types> = {
  request: (id, body) => `? ${id} ${body}`,
  fromClient: (line) => {
    const { body, id, tag } = read(line)
    if (tag === "x") return { _tag: "Cancel", id }
    return tag === "?" ? { _tag: "Request", id, body } : undefined
  },
  response: (id, body) => `+ ${id} ${body}`,
  fromServer: (line) => {
    const { body, id, tag } = read(line)
    return tag === "+" ? { _tag: "Response", id, body } : undefined
  }
}

/** Failures of requests are answers too. */
const failing: Multiplex.Frames<Types & { failure: Refused }> = {
  ...plain,
  failure: (id, error) => `- ${id} ${error.what}`,
  fromServer: (line) => {
    const { body, id, tag } = read(line)
    if (tag === "-") return { _tag: "Failure", id, error: new Refused({ what: body }) }
    if (tag === "~") return { _tag: "Failure", id, error: new Refused({ what: "cancelled" }) }
    return plain.fromServer(line)
  }
}

/** A cancelled request is still answered. */
const answering = { ...failing, cancel: (id: number) => `x ${id}`, cancelled: (id: number) => `~ ${id}` }

/** A cancelled request is not. */
const silent = { ...failing, cancel: (id: number) => `x ${id}` }

/** A connection whose reads and writes the test decides. */
const scripted = Effect.fnUntraced(function*(...said: ReadonlyArray<string>) {
  const chunks = said.map((line) => utf8(`${line}\n`))
  const broken = yield* Deferred.make<never, Socket.SocketError>()
  let pulls = 0
  const socket = Socket.make({
    reader: Effect.succeed({
      pull: Effect.suspend(() => {
        const chunk = chunks[pulls++]
        return chunk === undefined ? Deferred.await(broken) : Effect.succeed([chunk] as const)
      }),
      upgrade: Socket.SocketUpgradeError.unsupported
    }),
    writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
  })
  return {
    transport: yield* Effect.provideService(lines, Socket.Socket, socket),
    pulls: () => pulls,
    breaks: Deferred.fail(
      broken,
      new Socket.SocketError({ reason: new Socket.SocketReadError({ cause: new Error("ECONNRESET") }) })
    )
  }
})

/** A handler whose requests the test answers by their body, and that tells which of them are under way. */
const byHand = <E = never>() => {
  const running = new Map<string, Deferred.Deferred<string, E>>()
  const started: Array<string> = []
  const interrupted: Array<string> = []
  const handler = (body: string): Effect.Effect<string, E> =>
    Effect.suspend(() => {
      const deferred = Deferred.makeUnsafe<string, E>()
      running.set(body, deferred)
      started.push(body)
      return Effect.onInterrupt(Deferred.await(deferred), () => Effect.sync(() => interrupted.push(body)))
    })
  const complete = (body: string, exit: Exit.Exit<string, E> = Exit.succeed(body.toUpperCase())) =>
    Effect.sync(() => Deferred.doneUnsafe(running.get(body)!, exit))
  return { handler, complete, started, interrupted }
}

describe("serve", () => {
  it.effect("a connection that asks for nothing ends in order", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const serving = yield* Effect.forkChild(Multiplex.serve(plain, Effect.succeed)(transport))
      yield* peer.end
      yield* Fiber.join(serving)
    }))

  it.effect("answers a request whose result is already there", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(Multiplex.serve(plain, Effect.succeed)(transport))
      yield* peer.say("? 0 hello")
      yield* settled
      expect(peer.heard()).toEqual(["+ 0 hello"])
    }))

  it.effect("answers what came together with the last frame of a handshake", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* peer.say("hello", "? 0 hello")
      expect(yield* transport.receive).toBe("hello")
      yield* Effect.forkChild(Multiplex.serve(plain, Effect.succeed)(transport))
      yield* settled
      expect(peer.heard()).toEqual(["+ 0 hello"])
    }))

  it.effect("answers a request whose handler takes its time, while the connection is idle", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(
        Multiplex.serve(plain, (body) => Effect.delay(Effect.succeed(body), "20 millis"))(transport)
      )
      yield* peer.say("? 7 hello")
      yield* TestClock.adjust("19 millis")
      expect(peer.heard()).toEqual([])
      yield* TestClock.adjust("2 millis")
      expect(peer.heard()).toEqual(["+ 7 hello"])
    }))

  it.effect("a result that is already there costs no fiber", () =>
    Effect.gen(function*() {
      const fibersFor = Effect.fnUntraced(function*(handler: (body: string) => Effect.Effect<string>) {
        const { peer, transport } = yield* connected()
        yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
        const newFiber = Effect.map(Effect.forkChild(Effect.void), (fiber) => fiber.id)
        const before = yield* newFiber
        yield* peer.say(...Array.from({ length: 200 }, (_, i) => `? ${i} hello`))
        yield* settled
        expect(peer.heard()).toHaveLength(200)
        return (yield* newFiber) - before
      })
      const forResults = yield* fibersFor((body) => Effect.succeed(body))
      const forEffects = yield* fibersFor((body) => Effect.sync(() => body))
      // What is left belongs to the peer and to the clock.
      expect(forResults).toBeLessThan(50)
      expect(forEffects - forResults).toBeGreaterThanOrEqual(200)
    }))

  it.effect("answers in the order of the requests where they are done in that order", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { complete, handler } = byHand()
      yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
      yield* Effect.andThen(peer.say("? 0 one", "? 1 two", "? 2 three"), settled)
      for (const body of ["one", "two", "three"]) yield* Effect.andThen(complete(body), settled)
      expect(peer.heard()).toEqual(["+ 0 ONE", "+ 1 TWO", "+ 2 THREE"])
    }))

  it.effect("answers in the reverse order where they are done in that order", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { complete, handler } = byHand()
      yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
      yield* Effect.andThen(peer.say("? 0 one", "? 1 two", "? 2 three"), settled)
      for (const body of ["three", "two", "one"]) yield* Effect.andThen(complete(body), settled)
      expect(peer.heard()).toEqual(["+ 2 THREE", "+ 1 TWO", "+ 0 ONE"])
    }))

  it.effect("sends the answers that are ready before it waits for another", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(
        Multiplex.serve(plain, (body) => body === "slow" ? Effect.never : Effect.succeed(body))(transport)
      )
      yield* peer.say("? 0 slow", "? 1 quick", "? 2 slow", "? 3 quick")
      yield* settled
      expect(peer.writes).toEqual(["+ 1 quick\n+ 3 quick\n"])
    }))

  it.effect("answers that become ready together travel in one write", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { complete, handler } = byHand()
      yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
      yield* Effect.andThen(peer.say("? 0 a", "? 1 b", "? 2 c", "? 3 d"), settled)
      yield* Effect.forEach(["d", "a", "b"], (body) => complete(body))
      yield* settled
      expect(peer.writes).toEqual(["+ 3 D\n+ 0 A\n+ 1 B\n"])
    }))

  it.effect("starts what it has room for while the peer does not read its answers, and sends them all", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
      const transport = yield* Effect.provideService(lines, Socket.Socket, here)
      const pull = yield* Socket.readerBytes(there)
      const writer = yield* there.writer
      const { complete, handler, started } = byHand()
      yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
      yield* Effect.forkChild(writer.write(utf8("? 0 one\n? 1 two\n? 2 three\n")))
      yield* settled
      expect(started).toEqual(["one", "two", "three"])
      for (const body of started) yield* Effect.andThen(complete(body), settled)
      let heard = ""
      while (!heard.endsWith("THREE\n")) heard += (yield* pull).map(text).join("")
      expect(heard).toBe("+ 0 ONE\n+ 1 TWO\n+ 2 THREE\n")
    }))

  it.effect("a peer that does not read its answers stops the requests that are taken from it", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
      const transport = yield* Effect.provideService(lines, Socket.Socket, here)
      yield* there.reader
      const writer = yield* there.writer
      let handled = 0
      yield* Effect.forkChild(
        Multiplex.serve(plain, (body) => Effect.sync(() => (handled++, body)), { maxInFlight: 4 })(transport)
      )
      const writing = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 1000 }), (_, i) => writer.write(utf8(`? ${i} hello\n`)))
      )
      yield* TestClock.adjust("1 second")
      expect(writing.pollUnsafe()).toBeUndefined()
      // What fits into both directions, and one batch: nowhere near a thousand.
      expect(handled).toBeLessThan(30)
    }))

  it.effect("so it does where each request takes its time", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
      const transport = yield* Effect.provideService(lines, Socket.Socket, here)
      yield* there.reader
      const writer = yield* there.writer
      let handled = 0
      yield* Effect.forkChild(
        Multiplex.serve(plain, (body) => Effect.as(Effect.sleep(++handled % 3), body), { maxInFlight: 4 })(transport)
      )
      // They are all here at once.
      yield* Effect.forkChild(writer.write(utf8(Array.from({ length: 1000 }, (_, i) => `? ${i} hello\n`).join(""))))
      yield* TestClock.adjust("1 second")
      expect(handled).toBeLessThan(30)
    }))

  it.effect("a write has a thousand answers or so at most, however many are ready", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(Multiplex.serve(plain, (body) => Effect.succeed(body))(transport))
      yield* peer.say(...Array.from({ length: 2500 }, (_, i) => `? ${i} a`))
      while (peer.heard().length < 2500) yield* settled
      expect(peer.writes.map((write) => write.split("\n").length - 1)).toEqual([1024, 1024, 452])
    }))

  it.effect("a handler that completes another one at once changes nothing", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const { complete, handler, started } = byHand()
      yield* Effect.forkChild(
        Multiplex.serve(plain, (body) => {
          if (body === "b") Effect.runSync(complete("a"))
          return handler(body)
        }, { maxInFlight: 2 })(transport)
      )
      yield* Effect.andThen(peer.say("? 0 a"), settled)
      yield* peer.say("? 1 b", "? 2 c", "? 3 d", "? 4 e", "? 5 f")
      yield* settled
      expect(started).toEqual(["a", "b", "c"])
      for (const body of ["b", "c", "d", "e", "f"]) yield* Effect.andThen(complete(body), settled)
      expect(started).toEqual(["a", "b", "c", "d", "e", "f"])
      expect(peer.heard()).toEqual(["+ 0 A", "+ 1 B", "+ 2 C", "+ 3 D", "+ 4 E", "+ 5 F"])
    }))

  describe("maxInFlight", () => {
    it.effect("that many handlers run at once, and the next one when one is done, whichever it is", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { complete, handler, started } = byHand()
        const serving = yield* Effect.forkChild(Multiplex.serve(plain, handler, { maxInFlight: 3 })(transport))
        yield* peer.say("? 0 a", "? 1 b", "? 2 c", "? 3 d", "? 4 e")
        yield* settled
        expect(started).toEqual(["a", "b", "c"])
        yield* Effect.andThen(complete("b"), settled)
        expect(peer.heard()).toEqual(["+ 1 B"])
        expect(started).toEqual(["a", "b", "c", "d"])
        yield* Effect.andThen(complete("d"), settled)
        yield* peer.end
        for (const body of ["e", "a", "c"]) yield* Effect.andThen(complete(body), settled)
        yield* Fiber.join(serving)
        expect(peer.heard()).toEqual(["+ 1 B", "+ 3 D", "+ 4 E", "+ 0 A", "+ 2 C"])
      }))

    it.effect("is 64 by default", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { handler, started } = byHand()
        yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
        yield* peer.say(...Array.from({ length: 100 }, (_, i) => `? ${i} ${i}`))
        yield* settled
        expect(started).toHaveLength(Multiplex.defaultMaxInFlight)
        expect(Multiplex.defaultMaxInFlight).toBe(64)
      }))

    it.effect("reads nothing behind the first request that it has no place for", () =>
      Effect.gen(function*() {
        const { pulls, transport } = yield* scripted(...Array.from({ length: 10 }, (_, i) => `? ${i} a`))
        yield* Effect.forkChild(Multiplex.serve(plain, () => Effect.never, { maxInFlight: 3 })(transport))
        yield* TestClock.adjust("1 second")
        expect(pulls()).toBe(4)
      }))

    it.effect("a cancel is read though all places are taken, and the next request gets the place", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { handler, interrupted, started } = byHand<Refused>()
        yield* Effect.forkChild(Multiplex.serve(answering, handler, { maxInFlight: 2 })(transport))
        yield* peer.say("? 0 a", "? 1 b")
        yield* settled
        yield* peer.say("x 0", "? 2 c")
        yield* settled
        expect(interrupted).toEqual(["a"])
        expect(started).toEqual(["a", "b", "c"])
        expect(peer.heard()).toEqual(["~ 0"])
      }))

    it.effect("the end of the connection is noticed though all places are taken", () =>
      Effect.gen(function*() {
        const { breaks, transport } = yield* scripted("? 0 a", "? 1 b")
        const { handler, interrupted } = byHand()
        const serving = yield* Effect.forkChild(
          Effect.flip(Multiplex.serve(plain, handler, { maxInFlight: 2 })(transport))
        )
        yield* settled
        yield* breaks
        expect((yield* Fiber.join(serving)).reason._tag).toBe("ConnectionFailed")
        expect(interrupted).toEqual(["a", "b"])
      }))

    it.effect("a connection that is given up is noticed though a request waits for a place", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { handler, interrupted } = byHand()
        const serving = yield* Effect.forkChild(Effect.flip(Effect.scoped(Effect.flatMap(
          Middleware.idleTimeout(transport, "1 minute"),
          Multiplex.serve(plain, handler, { maxInFlight: 1 })
        ))))
        yield* peer.say("? 0 a", "? 1 b")
        yield* TestClock.adjust("59 seconds")
        expect(serving.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("2 seconds")
        expect((yield* Fiber.join(serving)).reason._tag).toBe("TimedOut")
        expect(interrupted).toEqual(["a"])
      }))

    it.effect("with refuse, what comes beyond it is answered at once, and one that has room is served", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { complete, handler } = byHand<Refused>()
        yield* Effect.forkChild(
          Multiplex.serve(failing, handler, {
            maxInFlight: 2,
            refuse: (body) => new Refused({ what: `no room for ${body}` })
          })(transport)
        )
        yield* peer.say("? 0 a", "? 1 b", "? 2 c", "? 3 d")
        yield* settled
        expect(peer.writes).toEqual(["- 2 no room for c\n- 3 no room for d\n"])
        yield* Effect.andThen(complete("a"), settled)
        // The id of one that was refused is free.
        yield* peer.say("? 2 e")
        yield* settled
        yield* Effect.andThen(complete("e"), settled)
        expect(peer.heard().slice(2)).toEqual(["+ 0 A", "+ 2 E"])
      }))
  })

  describe("ids", () => {
    it.effect("one that is in flight already ends the connection, after the answers that are ready", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const interrupted = yield* Deferred.make<void>()
        const serving = yield* Effect.forkChild(Effect.flip(
          Multiplex.serve(plain, (body) =>
            body === "slow"
              ? Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
              : Effect.succeed(body))(transport)
        ))
        yield* peer.say("? 1 slow", "? 2 quick", "? 1 again", "? 3 late")
        expect((yield* Fiber.join(serving)).reason).toMatchObject({
          _tag: "UnexpectedFrame",
          expected: "a request whose id is not in flight",
          excerpt: "\"? 1 again\"",
          fault: "peer"
        })
        yield* Deferred.await(interrupted)
        yield* settled
        expect(peer.heard()).toEqual(["+ 2 quick"])
      }))

    it.effect("one that was answered can be used again", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { complete, handler } = byHand()
        yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
        for (const body of ["a", "b", "c"]) {
          yield* Effect.andThen(peer.say(`? 1 ${body}`), settled)
          yield* Effect.andThen(complete(body), settled)
        }
        expect(peer.heard()).toEqual(["+ 1 A", "+ 1 B", "+ 1 C"])
      }))

    it.effect("a frame that is none of the protocol ends the connection", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(Effect.flip(Multiplex.serve(plain, Effect.succeed)(transport)))
        yield* peer.say("? 1 good", "what?")
        expect((yield* Fiber.join(serving)).reason).toMatchObject({ _tag: "UnexpectedFrame", expected: "a request" })
        yield* settled
        expect(peer.heard()).toEqual(["+ 1 good"])
      }))

    it.effect("bytes that are no frame end the connection before any handler has seen them", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        yield* there.reader
        const transport = yield* Effect.provideService(
          Transport.framed(Codec.lines({ maxLength: 10 })),
          Socket.Socket,
          here
        )
        const writer = yield* there.writer
        yield* writer.write(utf8("? 1 far too long\n"))
        const { handler, started } = byHand()
        const error = yield* Effect.flip(Multiplex.serve(plain, handler)(transport))
        expect(error.reason._tag).toBe("FrameTooLarge")
        expect(started).toEqual([])
      }))
  })

  describe("cancels", () => {
    it.effect("interrupt their handler, free the id at once, and are answered where the protocol answers them", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { complete, handler, interrupted } = byHand<Refused>()
        yield* Effect.forkChild(Multiplex.serve(answering, handler)(transport))
        yield* peer.say("? 1 a", "x 1", "? 1 b")
        yield* settled
        expect(interrupted).toEqual(["a"])
        expect(peer.heard()).toEqual(["~ 1"])
        yield* Effect.andThen(complete("b"), settled)
        expect(peer.heard()).toEqual(["~ 1", "+ 1 B"])
      }))

    it.effect("are not answered where the protocol does not answer them", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { complete, handler, interrupted } = byHand<Refused>()
        yield* Effect.forkChild(Multiplex.serve(silent, handler)(transport))
        yield* peer.say("? 1 a", "x 1", "? 2 b")
        yield* settled
        expect(interrupted).toEqual(["a"])
        yield* Effect.andThen(complete("b"), settled)
        expect(peer.heard()).toEqual(["+ 2 B"])
      }))

    it.effect("do nothing where the request was answered or was never made", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        yield* Effect.forkChild(
          Multiplex.serve(answering, (body: string) => Effect.succeed(body))(transport)
        )
        yield* peer.say("x 9", "? 1 a", "x 1", "x 1", "? 2 b")
        yield* settled
        expect(peer.heard()).toEqual(["+ 1 a", "+ 2 b"])
      }))

    it.effect("a handler that cannot be interrupted keeps its place until it has ended, and is not answered twice", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const started: Array<string> = []
        yield* Effect.forkChild(
          Multiplex.serve(answering, (body: string) =>
            Effect.uninterruptible(Effect.andThen(
              Effect.sync(() => started.push(body)),
              Effect.as(Effect.sleep("10 millis"), body)
            )), { maxInFlight: 1 })(transport)
        )
        yield* peer.say("? 1 a", "x 1", "? 1 b")
        yield* TestClock.adjust("9 millis")
        expect(peer.heard()).toEqual(["~ 1"])
        expect(started).toEqual(["a"])
        yield* TestClock.adjust("2 millis")
        expect(started).toEqual(["a", "b"])
        yield* TestClock.adjust("10 millis")
        expect(peer.heard()).toEqual(["~ 1", "+ 1 b"])
      }))

    it.effect("the connection ends only when the handlers that were cancelled have ended", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        let cleaned = false
        const serving = yield* Effect.forkChild(
          Multiplex.serve(
            silent,
            () =>
              Effect.onInterrupt(Effect.never, () =>
                Effect.map(Effect.sleep("1 second"), () => {
                  cleaned = true
                }))
          )(transport)
        )
        yield* Effect.andThen(peer.say("? 1 a", "x 1"), peer.end)
        yield* TestClock.adjust("999 millis")
        expect(serving.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(serving)
        expect(cleaned).toBe(true)
      }))

    it.effect("a defect while a handler is interrupted does not go unnoticed", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(
          Multiplex.serve(silent, () => Effect.onInterrupt(Effect.never, () => Effect.die("a bug")))(transport)
        )
        yield* peer.say("? 1 a", "x 1")
        expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      }))
  })

  describe("failures", () => {
    it.effect("of a handler are answers, where the protocol has one for them, and the connection goes on", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        yield* Effect.forkChild(
          Multiplex.serve(
            failing,
            (body) => body === "bad" ? Effect.fail(new Refused({ what: body })) : Effect.succeed(body)
          )(transport)
        )
        yield* peer.say("? 1 good", "? 2 bad", "? 3 good")
        yield* settled
        expect(peer.heard()).toEqual(["+ 1 good", "- 2 bad", "+ 3 good"])
      }))

    it.effect("of a handler end the connection with it where the protocol has none, after what is ready", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { complete, handler, interrupted } = byHand<Refused>()
        const serving = yield* Effect.forkChild(Effect.flip(Multiplex.serve(plain, handler)(transport)))
        yield* peer.say("? 1 a", "? 2 b", "? 3 c", "? 4 d")
        yield* settled
        yield* complete("c")
        yield* complete("b", Exit.fail(new Refused({ what: "b" })))
        // The first one counts.
        yield* complete("d", Exit.fail(new Refused({ what: "d" })))
        expect(yield* Fiber.join(serving)).toMatchObject({ _tag: "Refused", what: "b" })
        yield* settled
        expect(peer.heard()).toEqual(["+ 3 C"])
        expect(interrupted).toEqual(["a"])
      }))

    it.effect("a defect is never an answer; it ends the connection", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(
          Multiplex.serve(failing, () =>
            Effect.sync(() => {
              throw new Error("a bug")
            }))(transport)
        )
        yield* peer.say("? 1 a")
        expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
        expect(peer.heard()).toEqual([])
      }))

    it.effect("a defect beside a failure is a defect", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(
          Multiplex.serve(failing, () =>
            Effect.failCause(Cause.combine(Cause.fail(new Refused({ what: "a" })), Cause.die("a bug"))))(
              transport
            )
        )
        yield* peer.say("? 1 a")
        expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      }))

    it.effect.each(
      [
        ["a handler", { ...plain, failure: undefined }, () => {
          throw new Error("a bug")
        }],
        ["fromClient", {
          ...plain,
          fromClient: () => {
            throw new Error("a bug")
          }
        }, Effect.succeed<string>],
        ["response", {
          ...plain,
          response: () => {
            throw new Error("a bug")
          }
        }, Effect.succeed<string>]
      ] as const
    )("%s that throws is a defect of its connection", ([, frames, handler]) =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(Multiplex.serve(frames, handler)(transport))
        yield* peer.say("? 1 a")
        expect(Exit.hasDies(yield* Fiber.await(serving))).toBe(true)
      }))

    it.effect("a defect leaves other connections alone", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network({ segments: (bytes) => [bytes] })
        yield* Server.make({
          handshake: lines,
          serve: Multiplex.serve(plain, (body) => body === "die" ? Effect.die("a bug") : Effect.succeed(body))
        }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
        const [a, b] = [yield* linePeer(network.client), yield* linePeer(network.client)]
        yield* settled
        yield* a.say("? 1 die")
        yield* a.closed
        yield* b.say("? 1 hello")
        yield* settled
        expect(b.heard()).toEqual(["+ 1 hello"])
      }))

    it.effect("an answer that is no frame is not sent; the others are, and it fails with a local fault", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(Effect.flip(
          Multiplex.serve(plain, (body) => Effect.succeed(body === "split" ? "a\nb" : body))(transport)
        ))
        yield* peer.say("? 1 one", "? 2 split")
        expect((yield* Fiber.join(serving)).reason).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
        yield* settled
        expect(peer.heard()).toEqual(["+ 1 one"])
      }))
  })

  describe("the end", () => {
    it.effect("a peer that has ended its own side still hears all its answers", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const serving = yield* Effect.forkChild(
          Multiplex.serve(plain, (body) => Effect.delay(Effect.succeed(body), `${Number(body)} millis`), {
            maxInFlight: 2
          })(transport)
        )
        yield* Effect.andThen(peer.say("? 1 30", "? 2 10", "? 3 20", "? 4 5"), peer.end)
        yield* TestClock.adjust("100 millis")
        yield* Fiber.join(serving)
        yield* settled
        expect(peer.heard()).toEqual(["+ 2 10", "+ 1 30", "+ 3 20", "+ 4 5"])
      }))

    it.effect("a cut frame fails and interrupts the handlers", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        yield* there.reader
        const writer = yield* there.writer
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const { handler, interrupted } = byHand()
        const serving = yield* Effect.forkChild(Effect.flip(Multiplex.serve(plain, handler)(transport)))
        yield* writer.write(utf8("? 1 a\n? 2 "))
        yield* settled
        yield* writer.write(new Socket.CloseEvent(1000))
        expect((yield* Fiber.join(serving)).reason._tag).toBe("Truncated")
        expect(interrupted).toEqual(["a"])
      }))

    it.effect("comes when the last answer has gone out, and not before", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
        const pull = yield* Socket.readerBytes(there)
        const writer = yield* there.writer
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const serving = yield* Effect.forkChild(
          Effect.flip(Multiplex.serve(plain, (body) => Effect.succeed(body))(transport))
        )
        yield* Effect.forkChild(writer.write(utf8("? 1 a\nwhat?\n")))
        yield* settled
        expect(serving.pollUnsafe()).toBeUndefined()
        expect((yield* pull).map(text)).toEqual(["+ 1 a\n"])
        expect((yield* Fiber.join(serving)).reason._tag).toBe("UnexpectedFrame")
      }))

    const writing = Effect.fnUntraced(function*(write: Effect.Effect<void, Socket.SocketError>) {
      const said = [utf8("? 1 a\n")]
      const socket = Socket.make({
        reader: Effect.succeed({
          pull: Effect.suspend(() => {
            const chunk = said.shift()
            return chunk === undefined ? Effect.never : Effect.succeed([chunk] as const)
          }),
          upgrade: Socket.SocketUpgradeError.unsupported
        }),
        writer: Effect.succeed({ write: () => write, writeAll: () => write })
      })
      return yield* Effect.provideService(lines, Socket.Socket, socket)
    })
    const epipe = Effect.fail(
      new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("EPIPE") }) })
    )

    it.effect.each(
      [
        ["at once", epipe],
        ["in the end", Effect.delay(epipe, "1 second")]
      ] as const
    )("a write that fails %s fails it", ([, write]) =>
      Effect.gen(function*() {
        const transport = yield* writing(write)
        const serving = yield* Effect.forkChild(
          Effect.flip(Multiplex.serve(plain, (body) => Effect.succeed(body))(transport))
        )
        yield* TestClock.adjust("1 second")
        expect((yield* Fiber.join(serving)).reason).toMatchObject({ _tag: "ConnectionFailed", operation: "write" })
      }))

    it.effect("gives up a write that waits when it is interrupted", () =>
      Effect.gen(function*() {
        const givenUp = yield* Deferred.make<void>()
        const transport = yield* writing(
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(givenUp, undefined))
        )
        const serving = yield* Effect.forkChild(
          Multiplex.serve(plain, (body) => Effect.succeed(body))(transport)
        )
        yield* settled
        yield* Fiber.interrupt(serving)
        yield* Deferred.await(givenUp)
      }))

    it.effect("reads nothing when it has failed", () =>
      Effect.gen(function*() {
        const { pulls, transport } = yield* scripted("? 1 a", "what?", ...Array.from({ length: 10 }, () => "? 1 a"))
        yield* Effect.flip(Multiplex.serve(plain, () => Effect.never)(transport))
        yield* TestClock.adjust("1 second")
        expect(pulls()).toBe(2)
      }))

    it.effect("interrupts its handlers when it is interrupted, and waits for them", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const { handler, interrupted } = byHand()
        const serving = yield* Effect.forkChild(Multiplex.serve(plain, handler)(transport))
        yield* peer.say("? 1 a", "? 2 b")
        yield* settled
        yield* Fiber.interrupt(serving)
        expect(interrupted).toEqual(["a", "b"])
      }))

    it.effect("comes from a handler too: that is interrupted, nothing behind it begins, and what is ready goes out first", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const quit = yield* Deferred.make<void>()
        const { handler, interrupted, started } = byHand()
        const ending = (body: string) =>
          body === "quit"
            ? Effect.andThen(Deferred.succeed(quit, undefined), handler(body))
            : body === "ready"
            ? Effect.succeed(body)
            : handler(body)
        const serving = yield* Effect.forkChild(
          Multiplex.serve(plain, ending)(transport).pipe(
            Effect.raceFirst(Deferred.await(quit)),
            Effect.andThen(transport.send("bye"))
          )
        )
        yield* settled
        yield* peer.say("? 1 ready", "? 2 a", "? 3 quit", "? 4 late")
        yield* Fiber.join(serving)
        yield* peer.say("? 5 later")
        yield* settled
        expect({ started, interrupted }).toEqual({ started: ["a", "quit"], interrupted: ["a", "quit"] })
        expect(peer.heard()).toEqual(["+ 1 ready", "bye"])
      }))

    it.effect("an answer of the handler that has ended it goes nowhere", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const quit = yield* Deferred.make<void>()
        const serving = yield* Effect.forkChild(
          Multiplex.serve(plain, (body) => {
            Deferred.doneUnsafe(quit, Exit.void)
            return Effect.succeed(body)
          })(transport).pipe(
            Effect.raceFirst(Deferred.await(quit)),
            Effect.andThen(transport.send("bye"))
          )
        )
        yield* settled
        yield* peer.say("? 1 quit")
        yield* Fiber.join(serving)
        yield* settled
        expect(peer.heard()).toEqual(["bye"])
      }))

    it.effect("a server that drains answers what is under way and takes nothing more", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network({ segments: (bytes) => [bytes] })
        const { complete, handler, started } = byHand()
        const scope = yield* Scope.make()
        const server = yield* Server.make({ handshake: lines, serve: Multiplex.serve(plain, handler) }).pipe(
          Effect.provideService(SocketServer.SocketServer, network.server),
          Scope.provide(scope)
        )
        const peer = yield* linePeer(network.client)
        yield* Effect.andThen(peer.say("? 1 a"), settled)
        const draining = yield* Effect.forkChild(server.drain)
        yield* settled
        yield* Effect.andThen(peer.say("? 2 b"), settled)
        yield* Effect.andThen(complete("a"), settled)
        yield* peer.closed
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(draining)
        yield* Scope.close(scope, Exit.void)
        expect(peer.heard()).toEqual(["+ 1 A"])
        expect(started).toEqual(["a"])
      }))
  })
})

describe("client", () => {
  const calling = Effect.fnUntraced(function*<Failure>(
    frames: Multiplex.ClientFrames<Types & { failure: Failure }>,
    options?: { readonly maxInFlight?: number; readonly nextId?: (last: number | undefined) => number }
  ) {
    const { peer, transport } = yield* connected()
    const client = yield* Multiplex.client({ ...frames, nextId: options?.nextId }, transport, options)
    const call = (body: string) => Effect.tap(Effect.forkChild(client.call(body)), settled)
    return { peer, client, call }
  })

  it.effect("asks, hears the answer, and closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* linePeer(there)
      const client = yield* Effect.provideService(lines, Socket.Socket, here).pipe(
        Effect.flatMap((transport) => Multiplex.client(plain, transport)),
        Scope.provide(scope)
      )
      const ping = yield* Effect.forkChild(client.call("ping"))
      yield* settled
      expect(peer.heard()).toEqual(["? 0 ping"])
      yield* peer.say("+ 0 pong")
      expect(yield* Fiber.join(ping)).toBe("pong")
      yield* Scope.close(scope, Exit.void)
      yield* peer.closed
    }))

  it.effect("calls that are made together travel in one write", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling(plain)
      yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (body) => client.call(body), { concurrency: "unbounded" })
      )
      yield* settled
      expect(peer.writes).toEqual(["? 0 a\n? 1 b\n? 2 c\n"])
    }))

  it.effect("each call gets its own answer, whatever order they come in", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling(plain)
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (body) => client.call(body), { concurrency: "unbounded" })
      )
      yield* settled
      yield* peer.say("+ 2 C", "+ 0 A")
      yield* peer.say("+ 1 B")
      expect(yield* Fiber.join(calls)).toEqual(["A", "B", "C"])
    }))

  it.effect("a failure that is an answer fails its call alone", () =>
    Effect.gen(function*() {
      const { call, peer } = yield* calling(failing)
      const [a, b] = [yield* call("a"), yield* call("b")]
      yield* peer.say("- 0 nope", "+ 1 B")
      expect(yield* Effect.flip(Fiber.join(a))).toMatchObject({ _tag: "Refused", what: "nope" })
      expect(yield* Fiber.join(b)).toBe("B")
    }))

  it.effect("sends at most maxInFlight calls, and the next ones in order as answers come", () =>
    Effect.gen(function*() {
      const { call, peer } = yield* calling(plain, { maxInFlight: 2 })
      const calls = [yield* call("a"), yield* call("b"), yield* call("c"), yield* call("d")]
      expect(peer.heard()).toEqual(["? 0 a", "? 1 b"])
      yield* Effect.andThen(peer.say("+ 1 B"), settled)
      expect(peer.heard()).toEqual(["? 0 a", "? 1 b", "? 2 c"])
      yield* Effect.andThen(peer.say("+ 0 A", "+ 2 C"), settled)
      yield* peer.say("+ 3 D")
      expect(yield* Fiber.joinAll(calls)).toEqual(["A", "B", "C", "D"])
    }))

  it.effect("sends 64 calls at once by default", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling(plain)
      yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 100 }), () => client.call("a"), { concurrency: "unbounded" })
      )
      yield* settled
      expect(peer.heard()).toHaveLength(Multiplex.defaultMaxInFlight)
    }))

  describe("ids", () => {
    const nextId = Multiplex.counter({ first: 7, last: 9 })

    it.effect("are used again only when they are free", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling(plain, { maxInFlight: 3, nextId })
        const a = yield* call("a")
        for (const [body, id] of [["b", 8], ["c", 9], ["d", 8], ["e", 9]] as const) {
          const other = yield* call(body)
          expect(peer.heard().at(-1)).toBe(`? ${id} ${body}`)
          yield* peer.say(`+ ${id} ${body}`)
          expect(yield* Fiber.join(other)).toBe(body)
        }
        yield* peer.say("+ 7 A")
        expect(yield* Fiber.join(a)).toBe("A")
      }))

    it.effect("a nextId that comes to fewer ids than are in flight is a defect, and one that comes to as many is none", () =>
      Effect.gen(function*() {
        const { call, client } = yield* calling(plain, { maxInFlight: 4, nextId })
        const calls = [yield* call("a"), yield* call("b"), yield* call("c")]
        expect(calls.map((call) => call.pollUnsafe())).toEqual([undefined, undefined, undefined])
        const d = yield* call("d")
        expect(Exit.hasDies(yield* Fiber.await(d))).toBe(true)
        expect(Exit.hasDies(yield* Effect.exit(client.awaitEnd))).toBe(true)
      }))

    it.effect("may be texts and big integers", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const client = yield* Multiplex.client({
          request: (id: bigint, body: string) => `${id} ${body}`,
          fromServer: (line: string) => {
            const [id, body] = line.split(" ")
            return { _tag: "Response" as const, id: BigInt(id), body }
          },
          nextId: (last: bigint | undefined) => last === undefined ? 2n ** 63n : last + 1n
        }, transport)
        const calls = yield* Effect.forkChild(
          Effect.all([client.call("a"), client.call("b")], { concurrency: "unbounded" })
        )
        yield* settled
        expect(peer.heard()).toEqual(["9223372036854775808 a", "9223372036854775809 b"])
        yield* peer.say("9223372036854775809 B", "9223372036854775808 A")
        expect(yield* Fiber.join(calls)).toEqual(["A", "B"])
      }))

    it.effect("an answer to no request ends the use of the connection, and fails everything", () =>
      Effect.gen(function*() {
        const { call, client, peer } = yield* calling(plain, { maxInFlight: 2 })
        const calls = [yield* call("a"), yield* call("b"), yield* call("c")]
        yield* peer.say("+ 1 B", "+ 5 E", "+ 0 A")
        expect(yield* Fiber.join(calls[1])).toBe("B")
        const unexpected = {
          _tag: "UnexpectedFrame",
          expected: "an answer to a request in flight",
          excerpt: "\"+ 5 E\""
        }
        for (const call of [calls[0], calls[2]]) {
          expect(yield* Effect.flip(Fiber.join(call))).toMatchObject({ reason: unexpected })
        }
        expect(yield* Effect.flip(client.call("d"))).toMatchObject({ reason: unexpected })
        expect(yield* Effect.flip(client.awaitEnd)).toMatchObject({ reason: unexpected })
      }))

    it.effect("so does a second answer to the same request", () =>
      Effect.gen(function*() {
        const { call, client, peer } = yield* calling(plain)
        const a = yield* call("a")
        yield* peer.say("+ 0 A", "+ 0 A")
        expect(yield* Fiber.join(a)).toBe("A")
        expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("UnexpectedFrame")
      }))

    it.effect("so does a frame that is no answer", () =>
      Effect.gen(function*() {
        const { client, peer } = yield* calling(plain)
        yield* peer.say("what?")
        expect((yield* Effect.flip(client.awaitEnd)).reason).toMatchObject({
          _tag: "UnexpectedFrame",
          expected: "an answer",
          excerpt: "\"what?\""
        })
      }))
  })

  describe("an interrupted call", () => {
    it.effect("without a cancel, keeps its id and its place until its answer has come, which goes nowhere", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling(plain, { maxInFlight: 2, nextId: Multiplex.counter({ last: 1 }) })
        const [a, b, c] = [yield* call("a"), yield* call("b"), yield* call("c")]
        yield* Effect.andThen(Fiber.interrupt(a), settled)
        expect(peer.heard()).toEqual(["? 0 a", "? 1 b"])
        yield* Effect.andThen(peer.say("+ 0 A"), settled)
        expect(peer.heard()).toEqual(["? 0 a", "? 1 b", "? 0 c"])
        yield* peer.say("+ 0 C", "+ 1 B")
        expect(yield* Fiber.joinAll([b, c])).toEqual(["B", "C"])
      }))

    it.effect("with a cancel that is answered, keeps them until the answer, be it a response or the confirmation", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling(answering, { maxInFlight: 2, nextId: Multiplex.counter({ last: 1 }) })
        const [a, b, c, d] = [yield* call("a"), yield* call("b"), yield* call("c"), yield* call("d")]
        yield* Fiber.interruptAll([a, b])
        yield* settled
        expect(peer.heard()).toEqual(["? 0 a", "? 1 b", "x 0", "x 1"])
        yield* Effect.andThen(peer.say("~ 1"), settled)
        expect(peer.heard().slice(4)).toEqual(["? 1 c"])
        yield* Effect.andThen(peer.say("+ 0 A"), settled)
        expect(peer.heard().slice(4)).toEqual(["? 1 c", "? 0 d"])
        yield* peer.say("+ 0 D", "+ 1 C")
        expect(yield* Fiber.joinAll([c, d])).toEqual(["C", "D"])
      }))

    it.effect("with a cancel that nothing answers, frees its place at once, its late answer is dropped", () =>
      Effect.gen(function*() {
        const { call, client, peer } = yield* calling(silent, { maxInFlight: 1 })
        const [a, b] = [yield* call("a"), yield* call("b")]
        yield* Effect.andThen(Fiber.interrupt(a), settled)
        expect(peer.heard()).toEqual(["? 0 a", "x 0", "? 1 b"])
        yield* peer.say("+ 0 A", "+ 1 B")
        expect(yield* Fiber.join(b)).toBe("B")
        // Once is late, twice is wrong.
        yield* peer.say("+ 0 A")
        expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("UnexpectedFrame")
      }))

    it.effect("its id is not used again while its late answer can still come", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling(silent, { maxInFlight: 1, nextId: Multiplex.counter({ last: 2 }) })
        yield* Fiber.interrupt(yield* call("a"))
        const b = yield* call("b")
        yield* peer.say("+ 1 B")
        yield* Fiber.join(b)
        const c = yield* call("c")
        yield* peer.say("+ 2 C")
        yield* Fiber.join(c)
        const d = yield* call("d")
        yield* peer.say("+ 0 late", "+ 1 D")
        expect(yield* Fiber.join(d)).toBe("D")
        expect(peer.heard()).toEqual(["? 0 a", "x 0", "? 1 b", "? 2 c", "? 1 d"])
      }))

    it.effect("4,096 of those that nothing answers are remembered, and not one more", () =>
      Effect.gen(function*() {
        const { client, peer } = yield* calling(silent)
        const cancelled = (n: number) =>
          Effect.forEach(
            Array.from({ length: n }),
            () =>
              Effect.flatMap(Effect.forkChild(client.call("a"), { startImmediately: true }), (call) =>
                // It is sent in the same turn, but not at once.
                Effect.andThen(Effect.promise(() => Promise.resolve()), Fiber.interrupt(call)))
          )
        yield* cancelled(4096)
        yield* Effect.andThen(peer.say("+ 0 late"), settled)
        yield* cancelled(2)
        while (peer.heard().filter((line) => line.startsWith("x")).length < 4098) yield* settled
        yield* Effect.andThen(peer.say("+ 2 late"), settled)
        const ended = yield* Effect.forkChild(Effect.flip(client.awaitEnd))
        yield* settled
        expect(ended.pollUnsafe()).toBeUndefined()
        yield* peer.say("+ 1 late")
        expect((yield* Fiber.join(ended)).reason._tag).toBe("UnexpectedFrame")
      }))

    it.effect("that was not sent yet is not sent, nor is a cancel for it", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling(silent, { maxInFlight: 1 })
        const [a, b] = [yield* call("a"), yield* call("b")]
        yield* Fiber.interrupt(b)
        yield* peer.say("+ 0 A")
        expect(yield* Fiber.join(a)).toBe("A")
        yield* settled
        expect(peer.heard()).toEqual(["? 0 a"])
      }))

    it.effect("leaves nothing behind a write that waits", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
        const pull = yield* Socket.readerBytes(there)
        yield* there.writer
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const client = yield* Multiplex.client(silent, transport, { maxInFlight: 2 })
        yield* Effect.forkChild(client.call("first"))
        yield* settled
        for (let i = 0; i < 100; i++) {
          const call = yield* Effect.forkChild(client.call("gone"))
          yield* settled
          yield* Fiber.interrupt(call)
        }
        yield* Effect.forkChild(client.call("last"))
        yield* settled
        const heard = [...(yield* pull), ...(yield* pull)]
        expect(heard.map(text)).toEqual(["? 0 first\n", "? 1 last\n"])
      }))

    it.effect("is not cancelled where its answer has come before the cancel was sent", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
        const pull = yield* Socket.readerBytes(there)
        const writer = yield* there.writer
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const client = yield* Multiplex.client(answering, transport)
        const a = yield* Effect.forkChild(client.call("a"))
        yield* settled
        // The write of the request waits for somebody to read it.
        yield* Fiber.interrupt(a)
        yield* writer.write(utf8("+ 0 A\n"))
        yield* Effect.forkChild(client.call("b"))
        yield* settled
        const heard = [...(yield* pull), ...(yield* pull)]
        expect(heard.map(text)).toEqual(["? 0 a\n", "? 1 b\n"])
      }))
  })

  describe("the end", () => {
    it.effect("of the connection fails every waiting call with how it ended, those without a place and later ones too", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        yield* there.reader
        const writer = yield* there.writer
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const client = yield* Multiplex.client(plain, transport, { maxInFlight: 2 })
        const calls = yield* Effect.forkChild(
          Effect.forEach(["a", "b", "c", "d"], (body) => Effect.flip(client.call(body)), { concurrency: "unbounded" })
        )
        yield* settled
        yield* writer.write(utf8("+ 0"))
        yield* writer.write(new Socket.CloseEvent(1000))
        const errors = yield* Fiber.join(calls)
        expect(errors.map((error) => error.reason._tag)).toEqual(Array.from({ length: 4 }, () => "Truncated"))
        expect((yield* Effect.flip(client.call("e"))).reason._tag).toBe("Truncated")
        expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("Truncated")
      }))

    it.effect("an ordinary end is one as well", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling(plain)
        const a = yield* call("a")
        yield* peer.end
        expect(yield* Effect.flip(Fiber.join(a))).toMatchObject({ reason: { _tag: "ConnectionClosed", by: "peer" } })
      }))

    it.effect("is noticed where it came together with the last frame of a handshake", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        yield* peer.say("hello", "what?")
        expect(yield* transport.receive).toBe("hello")
        const client = yield* Multiplex.client(plain, transport)
        const ended = yield* Effect.forkChild(Effect.flip(client.awaitEnd))
        yield* settled
        expect(ended.pollUnsafe()).toMatchObject({ _tag: "Success" })
      }))

    it.effect("is the first one", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(Multiplex.client(plain, transport), scope)
        yield* Effect.andThen(peer.end, settled)
        yield* Scope.close(scope, Exit.void)
        for (const ended of [client.call("a"), client.awaitEnd]) {
          expect((yield* Effect.flip(ended)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "peer" })
        }
      }))

    it.effect("reads nothing more", () =>
      Effect.gen(function*() {
        const { pulls, transport } = yield* scripted("what?", ...Array.from({ length: 10 }, () => "what?"))
        const client = yield* Multiplex.client(plain, transport)
        yield* Effect.flip(client.awaitEnd)
        yield* TestClock.adjust("1 second")
        expect(pulls()).toBe(1)
      }))

    it.effect("gives up a write that waits", () =>
      Effect.gen(function*() {
        const givenUp = yield* Deferred.make<void>()
        const write = Effect.onInterrupt(Effect.never, () => Deferred.succeed(givenUp, undefined))
        const socket = Socket.make({
          reader: Effect.succeed({ pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
          writer: Effect.succeed({ write: () => write, writeAll: () => write })
        })
        const transport = yield* Effect.provideService(lines, Socket.Socket, socket)
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(Multiplex.client(plain, transport), scope)
        yield* Effect.forkChild(Effect.exit(client.call("a")))
        yield* settled
        yield* Scope.close(scope, Exit.void)
        yield* Deferred.await(givenUp)
      }))

    it.effect("of the scope fails every waiting call as closed on this side", () =>
      Effect.gen(function*() {
        const { transport } = yield* connected()
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(Multiplex.client(plain, transport), scope)
        const call = yield* Effect.forkChild(Effect.flip(client.call("a")))
        yield* settled
        yield* Scope.close(scope, Exit.void)
        const closed = { _tag: "ConnectionClosed", by: "local" }
        expect((yield* Fiber.join(call)).reason).toMatchObject(closed)
        expect((yield* Effect.flip(client.call("b"))).reason).toMatchObject(closed)
      }))

    it.effect("a write that fails is one", () =>
      Effect.gen(function*() {
        const socket = Socket.make({
          reader: Effect.succeed({ pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
          writer: Effect.sync(() => {
            const fails = Effect.fail(
              new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("EPIPE") }) })
            )
            return { write: () => fails, writeAll: () => fails }
          })
        })
        const transport = yield* Effect.provideService(lines, Socket.Socket, socket)
        const client = yield* Multiplex.client(plain, transport)
        expect((yield* Effect.flip(client.call("a"))).reason).toMatchObject({
          _tag: "ConnectionFailed",
          operation: "write"
        })
        expect((yield* Effect.flip(client.call("b"))).reason._tag).toBe("ConnectionFailed")
      }))

    it.effect("a reader of frames that throws ends everything as a defect", () =>
      Effect.gen(function*() {
        const { call, client, peer } = yield* calling({
          ...plain,
          fromServer: (): ReturnType<typeof plain.fromServer> => {
            throw new Error("a bug")
          }
        })
        const a = yield* call("a")
        yield* peer.say("+ 0 A")
        expect(Exit.hasDies(yield* Fiber.await(a))).toBe(true)
        expect(Exit.hasDies(yield* Effect.exit(client.awaitEnd))).toBe(true)
      }))
  })

  it.effect("a request that is no frame fails alone, with nothing sent, and takes no id and no place", () =>
    Effect.gen(function*() {
      const { call, client, peer } = yield* calling(plain, { maxInFlight: 1 })
      const error = yield* Effect.flip(client.call("a\nb"))
      expect(error.reason).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
      const good = yield* call("good")
      expect(peer.heard()).toEqual(["? 0 good"])
      yield* peer.say("+ 0 GOOD")
      expect(yield* Fiber.join(good)).toBe("GOOD")
    }))

  it.effect("nor is anything sent where the call is interrupted before it has failed", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling(silent)
      const call = yield* Effect.forkChild(client.call("a\nb"), { startImmediately: true })
      yield* Effect.promise(() => Promise.resolve())
      yield* Fiber.interrupt(call)
      yield* settled
      expect(peer.heard()).toEqual([])
    }))

  it.effect("a request that cannot be made into a frame is a defect of its own call", () =>
    Effect.gen(function*() {
      const { call, client, peer } = yield* calling({
        ...plain,
        request: (id, body) => {
          if (body === "bad") throw new Error("a bug")
          return plain.request(id, body)
        }
      }, { maxInFlight: 1 })
      expect(Exit.hasDies(yield* Effect.exit(client.call("bad")))).toBe(true)
      const good = yield* call("good")
      yield* peer.say("+ 0 GOOD")
      expect(yield* Fiber.join(good)).toBe("GOOD")
    }))

  it.effect("one that is made again and again leaves room for others", () =>
    Effect.gen(function*() {
      const { call, client, peer } = yield* calling(plain)
      const again: Effect.Effect<never> = Effect.suspend(() =>
        Effect.andThen(Effect.ignore(client.call("a\nb")), again)
      )
      const stubborn = yield* Effect.forkChild(again)
      const good = yield* call("good")
      yield* peer.say("+ 0 GOOD")
      expect(yield* Fiber.join(good)).toBe("GOOD")
      yield* Fiber.interrupt(stubborn)
    }))
})

// --- Both sides, on a network that is as bad as can be. ---------------------------------------------------------------

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Plan = Schema.Struct({
  calls: Schema.Array(Schema.Struct({
    at: upTo(20),
    takes: upTo(20),
    fails: Schema.Boolean,
    interruptedAfter: Schema.NullOr(upTo(30))
  })).check(Schema.isMaxLength(16)),
  cancels: Schema.Literals(["none", "answered", "silent"]),
  clientMax: upTo(4),
  serverMax: upTo(4),
  network: Schema.NullOr(Schema.Struct({
    seed: upTo(1_000_000),
    latency: upTo(10),
    cut: Schema.NullOr(Schema.Struct({
      after: upTo(150),
      how: Schema.Literals(["end", "reset", "resetLosing"]),
      toClient: Schema.Boolean
    }))
  }))
})
type Plan = typeof Plan.Type

const socketsOf = ({ network }: Plan) => {
  if (network === null) return MemorySocket.pair({ segments: (bytes) => [bytes], capacity: 16 })
  const { cut, latency, seed } = network
  const way = (isCut: boolean): SimulatedNetwork.Conditions => ({
    segments: { max: 7 },
    latency,
    jitter: latency,
    sendBuffer: 32,
    receiveBuffer: 32,
    ...(cut !== null && isCut && { faults: [{ after: 1 + cut.after, how: cut.how }] })
  })
  return SimulatedNetwork.pair({ seed, toServer: way(cut?.toClient === false), toClient: way(cut?.toClient === true) })
}

describe("client and server", () => {
  it.effect.prop(
    "each call gets its own answer or a typed failure, never another's, and nothing is left over",
    [Plan],
    ([plan]) =>
      Effect.gen(function*() {
        const clientMax = plan.clientMax + 1
        const serverMax = plan.serverMax + 1
        const isCut = plan.network !== null && plan.network.cut !== null
        const frames = {
          ...{ none: failing, answered: answering, silent }[plan.cancels],
          // As few ids as will do, so that they are used again as soon as they are free.
          nextId: Multiplex.counter(plan.cancels === "silent" ? {} : { last: clientMax - 1 })
        }
        let running = 0
        let most = 0
        let expected = 0
        let gathered = Deferred.makeUnsafe<void>()
        const handler = (body: string): Effect.Effect<string, Refused> => {
          if (body === "gather") {
            return Effect.andThen(
              Effect.suspend(() => {
                if (--expected === 0) Deferred.doneUnsafe(gathered, Exit.void)
                return Deferred.await(gathered)
              }),
              Effect.succeed("all here")
            )
          }
          const { fails, takes } = plan.calls[Number(body)]
          const exit = fails ? Effect.fail(new Refused({ what: body })) : Effect.succeed(`answer to ${body}`)
          if (takes === 0) return exit
          return Effect.acquireUseRelease(
            Effect.sync(() => most = Math.max(most, ++running)),
            () => Effect.delay(exit, takes),
            () => Effect.sync(() => running--)
          )
        }

        const [clientSocket, serverSocket] = yield* socketsOf(plan)
        const serving = yield* Effect.provideService(lines, Socket.Socket, serverSocket).pipe(
          Effect.flatMap(Multiplex.serve(frames, handler, { maxInFlight: serverMax })),
          Effect.scoped,
          Effect.forkChild
        )
        const scope = yield* Scope.make()
        const client = yield* Effect.provideService(lines, Socket.Socket, clientSocket).pipe(
          Effect.flatMap((transport) => Multiplex.client(frames, transport, { maxInFlight: clientMax })),
          Scope.provide(scope)
        )
        const calls = yield* Effect.forEach(plan.calls, (call, i) =>
          Effect.forkChild(
            Effect.delay(
              call.interruptedAfter === null
                ? client.call(`${i}`)
                : Effect.raceFirst(
                  client.call(`${i}`),
                  Effect.andThen(Effect.sleep(call.interruptedAfter), Effect.interrupt)
                ),
              call.at
            )
          ))
        yield* TestClock.adjust("5 seconds")
        for (const [i, call] of calls.entries()) {
          const exit = call.pollUnsafe()
          const { fails, interruptedAfter } = plan.calls[i]
          if (exit === undefined) expect.fail(`call ${i} waits for ever`)
          if (Exit.isSuccess(exit)) {
            expect(fails).toBe(false)
            expect(exit.value).toBe(`answer to ${i}`)
          } else if (Cause.hasInterruptsOnly(exit.cause)) {
            expect(interruptedAfter).not.toBeNull()
          } else {
            const error = Cause.squash(exit.cause)
            if (error instanceof Refused) expect([fails, error.what]).toEqual([true, `${i}`])
            else expect([isCut, error]).toMatchObject([true, { _tag: "TransportError" }])
          }
        }
        expect(most).toBeLessThanOrEqual(serverMax)

        if (!isCut) {
          // All places are free again, on both sides.
          expected = Math.min(clientMax, serverMax)
          const gathering = yield* Effect.forkChild(
            Effect.forEach(Array.from({ length: expected }), () => client.call("gather"), { concurrency: "unbounded" })
          )
          yield* TestClock.adjust("1 second")
          expect(gathering.pollUnsafe()).toMatchObject({ _tag: "Success" })
        }

        yield* Scope.close(scope, Exit.void).pipe(Effect.forkChild)
        yield* TestClock.adjust("10 seconds")
        const exit = serving.pollUnsafe()
        if (exit === undefined) {
          // A write to a connection that was reset behind bytes that nobody reads waits for ever.
          if (plan.network?.cut?.how !== "reset") expect.fail("the server waits for ever")
          yield* Fiber.interrupt(serving)
        } else if (!isCut) expect(exit).toMatchObject({ _tag: "Success" })
        else if (Exit.isFailure(exit)) expect(Cause.squash(exit.cause)).toMatchObject({ _tag: "TransportError" })
        expect(running).toBe(0)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 300 } }
  )

  it.effect("a hundred thousand calls, each at a time of its own, hear their own answers", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* Effect.provideService(lines, Socket.Socket, there).pipe(
        Effect.flatMap(
          Multiplex.serve(
            plain,
            (body) => Number(body) % 3 === 0 ? Effect.as(Effect.yieldNow, body) : Effect.succeed(body)
          )
        ),
        Effect.forkScoped
      )
      const client = yield* Effect.flatMap(
        Effect.provideService(lines, Socket.Socket, here),
        (transport) => Multiplex.client(plain, transport)
      )
      const bodies = Array.from({ length: 100_000 }, (_, i) => `${i}`)
      const answers = yield* Effect.forEach(bodies, (body) => client.call(body), { concurrency: 200 })
      expect(answers).toEqual(bodies)
    }))
})
