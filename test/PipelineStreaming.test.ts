import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as Body from "../src/Body.ts"
import * as Codec from "../src/Codec.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Net from "../src/node/Net.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as SimulatedNetwork from "../src/testing/SimulatedNetwork.ts"
import * as Transport from "../src/Transport.ts"
import { text, utf8 } from "./support/conversation.ts"
import { connected, type LinePeer, linePeer, lines } from "./support/linePeer.ts"

// One millisecond, and all that follows from what was done: a body goes through several fibers.
const settled = Effect.andThen(TestClock.adjust("1 millis"), Effect.repeat(TestClock.adjust(0), { times: 4 }))

class Refused extends Data.TaggedError("Refused")<{ readonly what: string }> {}

// --- A protocol of lines: `=head` has no body, `+head` has one, of `.chunk`s; `;` is its end, and `!why` comes instead. --

const read = (line: string): Body.Part<string, string, Refused> | undefined => {
  const rest = line.slice(1)
  switch (line[0]) {
    case "=":
      return { _tag: "Head", head: rest, hasBody: false }
    case "+":
      return { _tag: "Head", head: rest, hasBody: true }
    case ".":
      return { _tag: "Chunk", chunk: rest }
    case ";":
      return { _tag: "End" }
    case "!":
      return rest === "" ? { _tag: "Abort" } : { _tag: "Abort", error: new Refused({ what: rest }) }
    default:
      return undefined
  }
}

const written = {
  head: (head: string, hasBody: boolean) => `${hasBody ? "+" : "="}${head}`,
  chunk: (chunk: string) => `.${chunk}`,
  end: () => ";"
}

const abort = (error: Refused | undefined) => error === undefined ? "!" : `!${error.what}`

interface Types {
  frame: string
  request: string
  response: string
  chunk: string
}

/** Nothing can be given up. */
const plain: Pipeline.StreamingFrames<Types> = {
  request: { ...written, read: (line) => line[0] === "!" ? undefined : read(line) as Body.Part<string, string> },
  response: { ...written, read: (line) => line[0] === "!" ? undefined : read(line) as Body.Part<string, string> }
}

/** Everything can. */
const aborting: Pipeline.StreamingFrames<Types & { failure: Refused }> = {
  request: { ...written, abort, read },
  response: { ...written, abort, read }
}

type Request = Body.Message<string, string, Refused | Body.ReadError>
type Response = Body.Message<string, string, Refused | Body.ReadError>

const answer = (head: string, body?: Response["body"]): Response => ({ head, body })

// --- The other end, which waits until what it has said is heard. ----------------------------------------------------------

const settling = (peer: LinePeer) => ({
  ...peer,
  say: (...said: ReadonlyArray<string>) => Effect.andThen(peer.say(...said), settled),
  end: Effect.andThen(peer.end, settled)
})

const settlingPeer = (socket: Socket.Socket) => Effect.map(linePeer(socket), settling)

const settlingPair = () => Effect.map(connected(), ({ peer, transport }) => ({ peer: settling(peer), transport }))

/** A connection whose peer reads nothing until it is told to. */
const unread = Effect.fnUntraced(function*(capacity: number) {
  const [here, there] = yield* MemorySocket.pair({ capacity })
  const { pull } = yield* there.reader
  const writer = yield* there.writer
  const heard: Array<string> = []
  const heardLines = () => heard.join("").split("\n").slice(0, -1)
  return {
    transport: yield* Effect.provideService(lines, Socket.Socket, here),
    say: (...said: ReadonlyArray<string>) =>
      Effect.andThen(
        Effect.forkScoped(writer.write(utf8(said.map((line) => `${line}\n`).join("")))),
        settled
      ),
    /** Reads from now on, until that many lines have come. */
    read: (count: number) =>
      Effect.andThen(
        Effect.forkScoped(
          Effect.forever(Effect.map(pull, (chunks) => heard.push(...chunks.map((chunk) => text(chunk as Uint8Array)))))
        ),
        Effect.repeat(settled, { until: () => heardLines().length >= count, times: 1000 })
      ),
    heard: heardLines
  }
})

/** A connection whose writes take a second and fail then. */
const unwritable = (...said: ReadonlyArray<string>) => {
  const chunks = said.map((line) => utf8(`${line}\n`))
  const fails = Effect.delay(
    Effect.fail(new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error("EPIPE") }) })),
    "1 second"
  )
  const socket = Socket.make({
    reader: Effect.succeed({
      pull: Effect.suspend(() => {
        const chunk = chunks.shift()
        return chunk === undefined ? Effect.never : Effect.succeed([chunk] as const)
      }),
      upgrade: Socket.SocketUpgradeError.unsupported
    }),
    writer: Effect.succeed({ write: () => fails, writeAll: () => fails })
  })
  return Effect.provideService(lines, Socket.Socket, socket)
}

/** A body that the test feeds. */
const fed = Effect.fnUntraced(function*() {
  const queue = yield* Queue.unbounded<string, Refused | Cause.Done>()
  let pulled = 0
  let stopped = 0
  return {
    body: Stream.fromQueue(queue).pipe(
      Stream.tap(() => Effect.sync(() => pulled++)),
      Stream.ensuring(Effect.sync(() => stopped++))
    ) as Stream.Stream<string, Refused>,
    feed: (...chunks: ReadonlyArray<string>) => Effect.andThen(Queue.offerAll(queue, chunks), settled),
    fail: (error: Refused) => Effect.andThen(Queue.fail(queue, error), settled),
    end: Effect.andThen(Queue.end(queue), settled),
    /** How many of its chunks were taken from it. */
    pulled: () => pulled,
    /** How often its stream has ended, one way or the other. */
    stopped: () => stopped
  }
})

/** Reads a body to its end, and keeps what has come so far. */
const reader = () => {
  const chunks: Array<string> = []
  const arrays: Array<number> = []
  return {
    chunks,
    /** How many chunks each pull has brought. */
    arrays,
    read: <E>(body: Stream.Stream<string, E> | undefined) =>
      Stream.runForEachArray(body ?? Stream.empty, (some) =>
        Effect.sync(() => {
          chunks.push(...some)
          arrays.push(some.length)
        }))
  }
}

const reasonOf = (error: { readonly _tag: string; readonly reason?: { readonly _tag: string } }) =>
  error.reason?._tag ?? error._tag

/** The failure that a body comes to. */
const failing = <E>(body: Stream.Stream<string, E>) =>
  Effect.matchEffect(Stream.runDrain(body), { onSuccess: () => Effect.die("it is whole"), onFailure: Effect.succeed })

/** The failure of a fiber that has come to one. */
const failureOf = <A, E extends { readonly _tag: string }>(fiber: Fiber.Fiber<A, E>) =>
  Effect.map(Effect.flip(Fiber.join(fiber)), reasonOf)

describe("serveStreaming", () => {
  const serving = Effect.fnUntraced(function*(
    handler: (request: Request) => Effect.Effect<Response, Refused | Body.ReadError>,
    options?: Body.Options & { readonly maxInFlight?: number }
  ) {
    const { peer, transport } = yield* settlingPair()
    const fiber = yield* Effect.forkChild(Pipeline.serveStreaming(aborting, handler, options)(transport))
    return { peer, fiber, transport }
  })

  it.effect("a connection that asks for nothing ends in order", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* serving(() => Effect.die("nobody asks"))
      yield* peer.end
      yield* Fiber.join(fiber)
    }))

  it.effect("a handler ends it: that is interrupted, nothing behind it begins, and what is ready goes out first", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* settlingPair()
      const quit = yield* Deferred.make<void>()
      const seen: Array<string> = []
      const hang = (head: string) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.push(`not ${head}`)))
      const serving = yield* Effect.forkChild(
        Pipeline.serveStreaming(aborting, ({ head }) => {
          seen.push(head)
          if (head === "ready") return Effect.succeed(answer(head))
          return head === "quit" ? Effect.andThen(Deferred.succeed(quit, undefined), hang(head)) : hang(head)
        })(transport).pipe(Effect.raceFirst(Deferred.await(quit)), Effect.andThen(transport.send("bye")))
      )
      yield* settled
      yield* peer.say("=ready", "=a", "=quit", "=late")
      yield* Fiber.join(serving)
      yield* settled
      expect(seen).toEqual(["ready", "a", "quit", "not a", "not quit"])
      expect(peer.heard()).toEqual(["=ready", "bye"])
    }))

  it.effect("an answer of the handler that has ended it goes nowhere", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* settlingPair()
      const quit = yield* Deferred.make<void>()
      const serving = yield* Effect.forkChild(
        Pipeline.serveStreaming(aborting, ({ head }) => {
          Deferred.doneUnsafe(quit, Exit.void)
          return Effect.succeed(answer(head))
        })(transport).pipe(
          Effect.raceFirst(Deferred.await(quit)),
          Effect.andThen(transport.send("bye"))
        )
      )
      yield* settled
      yield* peer.say("=quit")
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toEqual(["bye"])
    }))

  it.effect("a body ends it while it begins: that is released, and nothing more of it goes out", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* settlingPair()
      const quit = yield* Deferred.make<void>()
      let released = 0
      const body = Stream.fromEffect(Effect.as(Deferred.succeed(quit, undefined), "1")).pipe(
        Stream.concat(Stream.never),
        Stream.ensuring(Effect.sync(() => released++))
      )
      const serving = yield* Effect.forkChild(
        Pipeline.serveStreaming(aborting, ({ head }) => Effect.succeed(answer(head, body)))(transport).pipe(
          Effect.raceFirst(Deferred.await(quit)),
          Effect.andThen(transport.send("bye"))
        )
      )
      yield* settled
      yield* peer.say("=a", "=b")
      yield* Fiber.join(serving)
      yield* settled
      expect(released).toBe(1)
      expect(peer.heard()).toEqual(["+a", "bye"])
    }))

  describe("messages without bodies", () => {
    it.effect("are answered at once where the result is there", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ body, head }) => Effect.succeed(answer(`${head} ${body}`)))
        yield* peer.say("=hello")
        expect(peer.heard()).toEqual(["=hello undefined"])
      }))

    it.effect("cost no fiber where the result is there", () =>
      Effect.gen(function*() {
        const fibersFor = Effect.fnUntraced(function*(handler: (request: Request) => Effect.Effect<Response>) {
          const { peer } = yield* serving(handler)
          const newFiber = Effect.map(Effect.forkChild(Effect.void), (fiber) => fiber.id)
          const before = yield* newFiber
          yield* peer.say(...Array.from({ length: 200 }, () => "=hello"))
          expect(peer.heard()).toHaveLength(200)
          return (yield* newFiber) - before
        })
        const forResults = yield* fibersFor(({ head }) => Effect.succeed(answer(head)))
        const forEffects = yield* fibersFor(({ head }) => Effect.sync(() => answer(head)))
        // What is left belongs to the peer and to the clock.
        expect(forResults).toBeLessThan(50)
        expect(forEffects - forResults).toBeGreaterThanOrEqual(200)
      }))

    it.effect("are answered when their handler is done, while the connection is idle", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ head }) => Effect.delay(Effect.succeed(answer(head)), "20 millis"))
        yield* peer.say("=hello")
        yield* TestClock.adjust("18 millis")
        expect(peer.heard()).toEqual([])
        yield* TestClock.adjust("2 millis")
        expect(peer.heard()).toEqual(["=hello"])
      }))

    it.effect("run together, and are answered in their order", () =>
      Effect.gen(function*() {
        const started: Array<string> = []
        const { peer } = yield* serving(({ head }) => {
          started.push(head)
          return Effect.delay(Effect.succeed(answer(head)), Number(head) * 10)
        })
        yield* peer.say("=3", "=2", "=1")
        expect(started).toEqual(["3", "2", "1"])
        yield* TestClock.adjust("25 millis")
        expect(peer.heard()).toEqual([])
        yield* TestClock.adjust("5 millis")
        expect(peer.heard()).toEqual(["=3", "=2", "=1"])
      }))

    it.effect("at most maxInFlight are with their handlers, and the next one when one is answered", () =>
      Effect.gen(function*() {
        const started: Array<string> = []
        const { peer } = yield* serving(({ head }) => {
          started.push(head)
          return Effect.delay(Effect.succeed(answer(head)), "10 millis")
        }, { maxInFlight: 2 })
        yield* peer.say("=1", "=2", "=3")
        expect(started).toEqual(["1", "2"])
        yield* TestClock.adjust("10 millis")
        expect(started).toEqual(["1", "2", "3"])
        yield* TestClock.adjust("10 millis")
        expect(peer.heard()).toEqual(["=1", "=2", "=3"])
      }))
  })

  it.effect("a request that comes with the end of the body before it waits for its place all the same", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const { peer } = yield* serving(({ body, head }) => {
        started.push(head)
        return Effect.as(Effect.delay(Stream.runDrain(body ?? Stream.empty), "1 second"), answer(head))
      }, { maxInFlight: 1 })
      yield* peer.say("+one")
      yield* peer.say(".a", ";", "=two")
      expect(started).toEqual(["one"])
      yield* TestClock.adjust("1 second")
      yield* settled
      expect(started).toEqual(["one", "two"])
      expect(peer.heard()).toEqual(["=one"])
    }))

  it.effect("reads nothing for which it has no place", () =>
    Effect.gen(function*() {
      let pulls = 0
      const socket = Socket.make({
        reader: Effect.succeed({
          pull: Effect.sync(() => [utf8(`=${pulls++}\n`)] as const),
          upgrade: Socket.SocketUpgradeError.unsupported
        }),
        writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
      })
      const transport = yield* Effect.provideService(lines, Socket.Socket, socket)
      yield* Effect.forkChild(Pipeline.serveStreaming(aborting, () => Effect.never, { maxInFlight: 3 })(transport))
      yield* TestClock.adjust("1 second")
      expect(pulls).toBe(3)
    }))

  describe("the body of a request", () => {
    it.effect("is read as it comes, and then answered", () =>
      Effect.gen(function*() {
        const { chunks, read } = reader()
        const { peer } = yield* serving(({ body, head }) => Effect.as(read(body), answer(`${head} done`)))
        yield* peer.say("+one")
        for (const chunk of ["a", "b", "c"]) {
          yield* peer.say(`.${chunk}`)
          expect(chunks.at(-1)).toBe(chunk)
        }
        expect(peer.heard()).toEqual([])
        yield* peer.say(";")
        expect(peer.heard()).toEqual(["=one done"])
      }))

    it.effect("comes to its reader in one array where it has come in one", () =>
      Effect.gen(function*() {
        const { arrays, read } = reader()
        const { peer } = yield* serving(({ body, head }) => Effect.as(read(body), answer(head)))
        yield* peer.say("+one", ".a", ".b", ".c", ";")
        expect(arrays).toEqual([3])
      }))

    it.effect("may be empty", () =>
      Effect.gen(function*() {
        const { chunks, read } = reader()
        const { peer } = yield* serving(({ body, head }) => Effect.as(read(body), answer(head)))
        yield* peer.say("+one", ";")
        expect([chunks, peer.heard()]).toEqual([[], ["=one"]])
      }))

    it.effect("belongs to its own request, and the next request comes behind it", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ body, head }) =>
          Effect.map(Stream.runCollect(body ?? Stream.empty), (chunks) => answer(`${head} ${chunks.join("")}`))
        )
        yield* peer.say("+one", ".a", ".b", ";", "=two", "+three", ".c", ";")
        expect(peer.heard()).toEqual(["=one ab", "=two ", "=three c"])
      }))

    it.effect("is read on behind the response by whoever has begun", () =>
      Effect.gen(function*() {
        const { chunks, read } = reader()
        const { peer } = yield* serving(({ body, head }) =>
          Effect.as(Effect.forkDetach(Effect.ignore(read(body)), { startImmediately: true }), answer(head))
        )
        yield* peer.say("+one")
        expect(peer.heard()).toEqual(["=one"])
        yield* peer.say(".a", ".b")
        yield* peer.say(".c", ";", "=two")
        expect(chunks).toEqual(["a", "b", "c"])
        expect(peer.heard()).toEqual(["=one", "=two"])
      }))

    it.effect("is dropped where its handler is done without reading it, and the next one is read", () =>
      Effect.gen(function*() {
        const { chunks, read } = reader()
        const { peer } = yield* serving(
          ({ body, head }) => head === "one" ? Effect.succeed(answer("no")) : Effect.as(read(body), answer("yes")),
          { bodyBuffer: 2 }
        )
        yield* peer.say("+one", ".a", ".b", ".c", ".d", ".e")
        expect(peer.heard()).toEqual(["=no"])
        yield* peer.say(".f", ";", "+two", ".g", ";")
        expect(peer.heard()).toEqual(["=no", "=yes"])
        expect(chunks).toEqual(["g"])
      }))

    it.effect("so it is where its response waits for its turn", () =>
      Effect.gen(function*() {
        const started: Array<string> = []
        const { peer } = yield* serving(({ head }) => {
          started.push(head)
          if (head === "slow") return Effect.delay(Effect.succeed(answer(head)), "1 minute")
          return head === "bad" ? Effect.fail(new Refused({ what: head })) : Effect.succeed(answer(head))
        }, { bodyBuffer: 1, bodyTimeout: "1 hour" })
        yield* peer.say("=slow", "+bad", ".a", ".b", ";", "+quick", ".a", ".b", ";", "=last")
        expect(started).toEqual(["slow", "bad", "quick", "last"])
        yield* TestClock.adjust("1 minute")
        yield* settled
        expect(peer.heard()).toEqual(["=slow", "!bad", "=quick", "=last"])
      }))

    it.effect("is dropped from where its reader stops", () =>
      Effect.gen(function*() {
        const started: Array<string> = []
        const { peer } = yield* serving(({ body, head }) => {
          started.push(head)
          return body === undefined ? Effect.never : Effect.andThen(Stream.runHead(body), Effect.never)
        }, { bodyBuffer: 2 })
        yield* peer.say("+one", ".a", ".b", ".c", ".d", ".e", ".f", ";", "=two")
        expect(started).toEqual(["one", "two"])
      }))

    it.effect("can be read once", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ body = Stream.empty }) =>
          Effect.andThen(
            Stream.runDrain(body),
            Effect.map(failing(body), (error) => answer(reasonOf(error)))
          )
        )
        yield* peer.say("+one", ".a", ";")
        expect(peer.heard()).toEqual(["=AlreadyRead"])
      }))

    it.effect("fails with what its sender has given it up for, and the connection goes on", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ body, head }) =>
          body === undefined
            ? Effect.succeed(answer(head))
            : Effect.map(failing(body), (error) => answer(error._tag === "Refused" ? error.what : reasonOf(error)))
        )
        yield* peer.say("+one", ".a", "!tired", "+two", "!", "=three")
        expect(peer.heard()).toEqual(["=tired", "=Aborted", "=three"])
      }))

    it.effect("what has come of it before it was given up is read first", () =>
      Effect.gen(function*() {
        const { chunks, read } = reader()
        const { peer } = yield* serving(({ body, head }) => Effect.as(Effect.ignore(read(body)), answer(head)))
        yield* peer.say("+one", ".a", ".b", "!tired")
        expect(chunks).toEqual(["a", "b"])
      }))

    describe("that nobody reads", () => {
      it.effect("stops the connection at its buffer, and goes on when it is read", () =>
        Effect.gen(function*() {
          const gate = yield* Deferred.make<void>()
          const { arrays, read } = reader()
          const [here, there] = yield* MemorySocket.pair({ capacity: 8, segments: (bytes) => [bytes] })
          const writer = yield* there.writer
          yield* there.reader
          const transport = yield* Effect.provideService(lines, Socket.Socket, here)
          yield* Effect.forkChild(
            Pipeline.serveStreaming(aborting, ({ body, head }) =>
              Effect.as(Effect.andThen(Deferred.await(gate), read(body)), answer(head)), { bodyBuffer: 4 })(transport)
          )
          let sent = 0
          yield* Effect.forkChild(
            Effect.forEach([
              "+one",
              ...Array.from({ length: 50 }, (_, i) =>
                `.${i}`),
              ";"
            ], (line) =>
              Effect.map(writer.write(utf8(`${line}\n`)), () => sent++))
          )
          yield* TestClock.adjust("5 seconds")
          // The head, the buffer, and what fits into the connection: nowhere near fifty.
          expect(sent).toBeLessThan(12)
          yield* Effect.andThen(Deferred.succeed(gate, undefined), settled)
          expect(sent).toBe(52)
          expect(Math.max(...arrays)).toBe(4)
        }))

      it.effect.each([["4999 millis", "=whole"], ["5001 millis", "!"]] as const)(
        "fails alone when a chunk has waited for bodyTimeout, and not before: read after %s",
        ([after, heard]) =>
          Effect.gen(function*() {
            const { peer } = yield* serving(({ body, head }) =>
              body === undefined
                ? Effect.succeed(answer(head))
                : Effect.andThen(Effect.sleep(after), Effect.as(Stream.runDrain(body), answer("whole"))), {
              bodyBuffer: 2,
              bodyTimeout: "5 seconds"
            })
            yield* peer.say("+one", ".a", ".b", ".c", ";", "=two")
            yield* TestClock.adjust("10 seconds")
            yield* settled
            expect(peer.heard()).toEqual([heard, "=two"])
          })
      )

      it.effect("what follows it waits for ten seconds by default, and not less", () =>
        Effect.gen(function*() {
          const started: Array<string> = []
          const { peer } = yield* serving(({ head }) => {
            started.push(head)
            return Effect.never
          })
          yield* peer.say("+one", ...Array.from({ length: 17 }, (_, i) => `.${i}`), ";", "=two")
          yield* TestClock.adjust("9990 millis")
          expect(started).toEqual(["one"])
          yield* TestClock.adjust("10 millis")
          expect(started).toEqual(["one", "two"])
        }))

      it.effect("stops nothing where it fits into the buffer, of 16 chunks by default", () =>
        Effect.gen(function*() {
          const started: Array<string> = []
          const { peer } = yield* serving(({ head }) => {
            started.push(head)
            return Effect.never
          })
          for (const line of ["+one", ...Array.from({ length: 16 }, (_, i) => `.${i}`), ";", "=two"]) {
            yield* peer.say(line)
          }
          expect(started).toEqual(["one", "two"])
        }))

      it.effect("has all the time again each time that something was read of it", () =>
        Effect.gen(function*() {
          const { chunks, read } = reader()
          const { peer } = yield* serving(({ body, head }) =>
            Effect.as(
              Stream.runForEachArray(
                body ?? Stream.empty,
                (some) => Effect.andThen(read(Stream.fromIterable(some)), Effect.sleep("4 seconds"))
              ),
              answer(head)
            ), { bodyBuffer: 1, bodyTimeout: "5 seconds" })
          yield* peer.say("+one", ".a", ".b", ".c", ".d", ";")
          yield* TestClock.adjust("1 minute")
          expect(chunks).toEqual(["a", "b", "c", "d"])
          expect(peer.heard()).toEqual(["=one"])
        }))

      it.effect("is not held against it while the response that reads it waits for its turn", () =>
        Effect.gen(function*() {
          const { peer } = yield* serving(({ body, head }) =>
            body === undefined
              ? Effect.delay(Effect.succeed(answer(head)), "1 hour")
              : Effect.succeed(answer(head, body)), { bodyBuffer: 1 })
          yield* peer.say("=slow", "+echo", ".a", ".b", ".c", ";")
          yield* TestClock.adjust("1 hour")
          expect(peer.heard()).toEqual(["=slow", "+echo", ".a", ".b", ".c", ";"])
        }))

      it.effect("is not held against it while the peer does not read what its reader sends", () =>
        Effect.gen(function*() {
          const { heard, read, say, transport } = yield* unread(16)
          yield* Effect.forkChild(
            Pipeline.serveStreaming(aborting, ({ body, head }) => Effect.succeed(answer(head, body)), {
              bodyBuffer: 1
            })(transport)
          )
          const chunks = Array.from({ length: 20 }, (_, i) => `.chunk number ${i}`)
          yield* say("+echo", ...chunks, ";")
          yield* TestClock.adjust("1 hour")
          yield* read(22)
          expect(heard()).toEqual(["+echo", ...chunks, ";"])
        }))
    })
  })

  describe("the body of a response", () => {
    it.effect("leaves with its head and its end in one write where it is there", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ head }) => Effect.succeed(answer(head, Stream.make("a", "b"))))
        yield* peer.say("=one")
        expect(peer.writes).toEqual(["+one\n.a\n.b\n;\n"])
      }))

    it.effect("leaves in several writes where it is large, however it comes", () =>
      Effect.gen(function*() {
        const chunks = Array.from({ length: 100 }, (_, i) => `${i}`)
        const { peer } = yield* serving(({ head }) => Effect.succeed(answer(head, Stream.fromArray(chunks))))
        yield* Effect.andThen(peer.say("=one", "=two"), settled)
        const whole = ["+one", ...chunks.map((chunk) => `.${chunk}`), ";"]
        expect(peer.heard()).toEqual([...whole, "+two", ...whole.slice(1)])
        expect(peer.writes.length).toBeGreaterThan(6)
      }))

    it.effect("leaves as it comes", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const { peer } = yield* serving(({ head }) => Effect.succeed(answer(head, body)))
        yield* peer.say("=one")
        expect(peer.heard()).toEqual(["+one"])
        yield* feed("a")
        expect(peer.heard()).toEqual(["+one", ".a"])
        yield* feed("b")
        expect(peer.heard()).toEqual(["+one", ".a", ".b"])
        yield* end
        expect(peer.heard()).toEqual(["+one", ".a", ".b", ";"])
      }))

    it.effect("may be empty", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ head }) => Effect.succeed(answer(head, Stream.empty)))
        yield* peer.say("=one")
        expect(peer.heard()).toEqual(["+one", ";"])
      }))

    it.effect("goes out whole before the next response does", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const { peer } = yield* serving(({ head }) => Effect.succeed(answer(head, head === "one" ? body : undefined)))
        yield* peer.say("=one", "=two")
        yield* feed("a")
        expect(peer.heard()).toEqual(["+one", ".a"])
        yield* end
        expect(peer.heard()).toEqual(["+one", ".a", ";", "=two"])
      }))

    it.effect("its request keeps its place until it has gone out", () =>
      Effect.gen(function*() {
        const { body, end } = yield* fed()
        const started: Array<string> = []
        const { peer } = yield* serving(({ head }) => {
          started.push(head)
          return Effect.succeed(answer(head, head === "one" ? body : undefined))
        }, { maxInFlight: 1 })
        yield* peer.say("=one", "=two")
        expect(started).toEqual(["one"])
        yield* end
        expect(started).toEqual(["one", "two"])
      }))

    it.effect("may read the body of its request, each chunk as it comes", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ body, head }) => Effect.succeed(answer(head, body)))
        yield* peer.say("+echo")
        expect(peer.heard()).toEqual(["+echo"])
        yield* peer.say(".a")
        expect(peer.heard()).toEqual(["+echo", ".a"])
        yield* peer.say(".b", ";", "=two")
        expect(peer.heard()).toEqual(["+echo", ".a", ".b", ";", "=two"])
      }))

    it.effect("what its request has more is dropped when it has gone out", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(
          ({ body, head }) => Effect.succeed(answer(head, body && Stream.take(body, 1))),
          { bodyBuffer: 1 }
        )
        yield* peer.say("+first", ".a", ".b", ".c", ".d", ";", "=two")
        expect(peer.heard()).toEqual(["+first", ".a", ";", "=two"])
      }))

    it.effect("is pulled one batch ahead of a peer that does not read", () =>
      Effect.gen(function*() {
        const { heard, read, say, transport } = yield* unread(8)
        let pulled = 0
        const body = Stream.range(1, 100).pipe(
          Stream.rechunk(1),
          Stream.map((n) => {
            pulled++
            return `chunk number ${n}`
          })
        )
        yield* Effect.forkChild(
          Pipeline.serveStreaming(aborting, ({ head }) => Effect.succeed(answer(head, body)))(transport)
        )
        yield* say("=one")
        yield* TestClock.adjust("1 minute")
        // The one that waits to be written, and the one behind it.
        expect(pulled).toBe(2)
        yield* read(102)
        expect(heard()).toHaveLength(102)
      }))

    it.effect("that fails is given up where the protocol can say so, and the connection goes on", () =>
      Effect.gen(function*() {
        const { body, fail, feed } = yield* fed()
        const { peer } = yield* serving(({ head }) => Effect.succeed(answer(head, head === "one" ? body : undefined)))
        yield* peer.say("=one", "=two")
        yield* feed("a")
        yield* fail(new Refused({ what: "tired" }))
        expect(peer.heard()).toEqual(["+one", ".a", "!tired", "=two"])
      }))

    it.effect("that fails ends the connection where it cannot, after what was sent of it", () =>
      Effect.gen(function*() {
        const { body, fail, feed } = yield* fed()
        const { peer, transport } = yield* settlingPair()
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(plain, ({ head }) => Effect.succeed({ head, body }))(transport)
        )
        yield* peer.say("=one", "=two")
        yield* feed("a")
        yield* fail(new Refused({ what: "tired" }))
        expect(yield* failureOf(fiber)).toBe("Refused")
        expect(peer.heard()).toEqual(["+one", ".a"])
      }))

    it.effect("that reads a body that was given up is given up as well", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ body, head }) => Effect.succeed(answer(head, body)))
        yield* peer.say("+echo", ".a", "!", "+echo", ".b", "!tired", "=two")
        expect(peer.heard()).toEqual(["+echo", ".a", "!", "+echo", ".b", "!tired", "=two"])
      }))

    it.effect("a defect of it ends the connection", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(({ head }) => Effect.succeed(answer(head, Stream.die("a bug"))))
        yield* peer.say("=one")
        expect(Exit.hasDies(yield* Fiber.await(fiber))).toBe(true)
        expect(peer.heard()).toEqual(["+one"])
      }))

    it.effect("a chunk that is no frame ends the connection with a local fault", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(({ head }) => Effect.succeed(answer(head, Stream.make("a", "b\nc"))))
        yield* peer.say("=one")
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
          reason: { _tag: "MalformedFrame", fault: "local" }
        })
        expect(peer.heard()).toEqual(["+one", ".a"])
      }))

    it.effect("is stopped when the connection is over, and waited for together with the handlers", () =>
      Effect.gen(function*() {
        const ended = yield* Deferred.make<void>()
        const body = Stream.never.pipe(
          Stream.ensuring(Effect.andThen(Effect.sleep("2 seconds"), Deferred.succeed(ended, undefined)))
        )
        const { fiber, peer } = yield* serving(({ head }) =>
          head === "one"
            ? Effect.succeed(answer(head, body))
            : Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
        )
        yield* peer.say("=one", "=two")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* TestClock.adjust("1900 millis")
        yield* settled
        expect(interrupting.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("100 millis")
        yield* settled
        expect(interrupting.pollUnsafe()).toBeDefined()
        yield* Deferred.await(ended)
      }))
  })

  describe("failures", () => {
    it.effect("of a handler are answers where the protocol has one for them, and the connection goes on", () =>
      Effect.gen(function*() {
        const { peer } = yield* serving(({ head }) =>
          head === "bad" ? Effect.fail(new Refused({ what: head })) : Effect.succeed(answer(head))
        )
        yield* peer.say("=bad", "=good")
        expect(peer.heard()).toEqual(["!bad", "=good"])
      }))

    it.effect("of a handler end the connection where it has none, after what is before it", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* settlingPair()
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(plain, ({ head }) =>
            head === "bad"
              ? Effect.fail(new Refused({ what: head }))
              : Effect.succeed({ head, body: undefined }))(transport)
        )
        yield* peer.say("=good", "=bad", "=good")
        expect(yield* failureOf(fiber)).toBe("Refused")
        expect(peer.heard()).toEqual(["=good"])
      }))

    it.effect("a defect is never an answer; it ends the connection", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(() => Effect.die("a bug"))
        yield* peer.say("=one")
        expect(Exit.hasDies(yield* Fiber.await(fiber))).toBe(true)
        expect(peer.heard()).toEqual([])
      }))

    it.effect("nor is one beside a failure", () =>
      Effect.gen(function*() {
        const cause = Cause.combine(Cause.fail(new Refused({ what: "one" })), Cause.die("a bug"))
        const { fiber, peer } = yield* serving(() => Effect.failCause(cause))
        yield* peer.say("=one")
        expect(Exit.hasDies(yield* Fiber.await(fiber))).toBe(true)
        expect(peer.heard()).toEqual([])
      }))

    it.effect("nor is a handler that throws; what is before it is answered", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(({ head }) => {
          if (head === "bad") throw new Error("a bug")
          return Effect.delay(Effect.succeed(answer(head)), "1 second")
        })
        yield* peer.say("=slow", "=bad")
        yield* TestClock.adjust("1 second")
        yield* settled
        expect(Exit.hasDies(yield* Fiber.await(fiber))).toBe(true)
        expect(peer.heard()).toEqual(["=slow"])
      }))

    it.effect("a head that is no frame comes before a failure behind it", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* settlingPair()
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(plain, ({ head }) =>
            head === "bad"
              ? Effect.fail(new Refused({ what: head }))
              : Effect.succeed({ head: "o\nne", body: undefined }))(transport)
        )
        yield* peer.say("=one", "=bad")
        expect(yield* failureOf(fiber)).toBe("MalformedFrame")
      }))

    it.effect("an encoder that throws ends the connection as a defect", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* settlingPeer(there)
        const transport = yield* Transport.framed(Codec.make<string, string>({
          decoder: Codec.lines().decoder,
          encode: () => {
            throw new Error("a bug")
          }
        })).pipe(Effect.provideService(Socket.Socket, here))
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(aborting, ({ head }) => Effect.delay(Effect.succeed(answer(head)), 1))(transport)
        )
        yield* peer.say("=one")
        yield* settled
        expect(Exit.hasDies(yield* Fiber.await(fiber))).toBe(true)
      }))

    it.effect("frames that throw end the connection as a defect, after what is ready", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* settlingPair()
        const throwing = {
          ...plain,
          request: {
            read: (line: string) => {
              if (line === "=bad") throw new Error("a bug")
              return plain.request.read(line)
            }
          }
        }
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(throwing, ({ head }) => Effect.succeed({ head, body: undefined }))(transport)
        )
        yield* peer.say("=good", "=bad")
        expect(Exit.hasDies(yield* Fiber.await(fiber))).toBe(true)
        expect(peer.heard()).toEqual(["=good"])
      }))
  })

  describe("a part where it is not due", () => {
    it.effect.each(
      [
        [".a"],
        [";"],
        ["!"],
        ["?what"],
        ["=one", ";"],
        ["+one", "=two"],
        ["+one", "+two"],
        ["+one", ".a", "?what"],
        ["+one", ";", ".a"],
        ["+one", ";", ";"],
        ["+one", "!", "!"]
      ]
    )("ends the connection: %j", (said) =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(() => Effect.never)
        yield* peer.say(...said)
        const error = yield* Effect.flip(Fiber.join(fiber))
        expect(error.reason).toMatchObject({ _tag: "UnexpectedFrame", excerpt: JSON.stringify(said.at(-1)) })
      }))

    it.effect("is no news to whoever still reads", () =>
      Effect.gen(function*() {
        const failures: Array<string> = []
        const { fiber, peer } = yield* serving(({ body = Stream.empty, head }) =>
          Effect.as(
            Effect.forkDetach(
              Effect.catch(Stream.runDrain(body), (error) => Effect.sync(() => failures.push(reasonOf(error)))),
              { startImmediately: true }
            ),
            answer(head)
          )
        )
        yield* peer.say("+one", "+two")
        yield* Fiber.await(fiber)
        yield* settled
        expect(failures).toEqual(["UnexpectedFrame"])
      }))
  })

  describe("the end", () => {
    it.effect("a peer that has ended its own side still hears everything", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(({ body, head }) =>
          Effect.delay(Effect.succeed(answer(head, body)), "1 second")
        )
        yield* Effect.andThen(peer.say("+one", ".a", ";", "=two"), peer.end)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        yield* settled
        expect(peer.heard()).toEqual(["+one", ".a", ";", "=two"])
      }))

    it.effect("inside a body fails whoever reads it, and what is made of that is still sent", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(({ body, head }) =>
          body === undefined
            ? Effect.delay(Effect.succeed(answer(head)), "1 second")
            : Effect.map(failing(body), (error) => answer(reasonOf(error)))
        )
        yield* Effect.andThen(peer.say("=slow", "+one", ".a"), peer.end)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        yield* settled
        expect(peer.heard()).toEqual(["=slow", "=ConnectionClosed"])
      }))

    it.effect("inside a body that nobody wants is an ordinary one", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(({ head }) => Effect.succeed(answer(head)))
        yield* Effect.andThen(peer.say("+one", ".a"), peer.end)
        yield* Fiber.join(fiber)
        expect(peer.heard()).toEqual(["=one"])
      }))

    it.effect("is noticed though a body is full", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(
          ({ body, head }) => Effect.as(Effect.forkDetach(Effect.ignore(Stream.runDrain(body!))), answer(head)),
          { bodyBuffer: 1 }
        )
        yield* Effect.andThen(peer.say("+one", ".a"), peer.end)
        yield* Fiber.join(fiber)
      }))

    it.effect("a cut frame fails and interrupts the handlers", () =>
      Effect.gen(function*() {
        const interrupted: Array<string> = []
        const [here, there] = yield* MemorySocket.pair()
        const writer = yield* there.writer
        yield* there.reader
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(aborting, ({ head }) =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(head))))(transport)
        )
        yield* writer.write(utf8("+one\n.a\n.b"))
        yield* writer.write(new Socket.CloseEvent(1000))
        expect(yield* failureOf(fiber)).toBe("Truncated")
        expect(interrupted).toEqual(["one"])
      }))

    it.effect.each(
      [
        ["it has no place for another request", ["=one"], { maxInFlight: 1 }],
        ["a body is full", ["+one", ".a", ".b"], { bodyBuffer: 1 }]
      ] as const
    )("a connection that is given up while %s ends it", ([, said, options]) =>
      Effect.gen(function*() {
        const interrupted: Array<string> = []
        const { peer, transport } = yield* settlingPair()
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.flatMap(
          Middleware.idleTimeout(transport, "1 minute"),
          Pipeline.serveStreaming(aborting, ({ head }) =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(head))), {
            bodyTimeout: "1 hour",
            ...options
          })
        )))
        yield* peer.say(...said)
        yield* TestClock.adjust("59 seconds")
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("2 seconds")
        expect(yield* failureOf(fiber)).toBe("TimedOut")
        expect(interrupted).toEqual(["one"])
      }))

    it.effect("a write that fails ends it, interrupts its handlers, and stops the body that is sent", () =>
      Effect.gen(function*() {
        const interrupted: Array<string> = []
        const { body, stopped } = yield* fed()
        const transport = yield* unwritable("=one", "=two")
        const fiber = yield* Effect.forkChild(
          Pipeline.serveStreaming(aborting, ({ head }) =>
            head === "one"
              ? Effect.delay(Effect.succeed(answer(head, body)), "100 millis")
              : Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push(head))))(transport)
        )
        yield* TestClock.adjust("1 second")
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("100 millis")
        expect(yield* failureOf(fiber)).toBe("ConnectionFailed")
        expect(interrupted).toEqual(["two"])
        expect(stopped()).toBe(1)
      }))

    it.effect("interrupts its handlers when it is interrupted, and waits for them", () =>
      Effect.gen(function*() {
        const { fiber, peer } = yield* serving(() => Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second")))
        yield* peer.say("=one", "+two")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* settled
        expect(interrupting.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(interrupting)
      }))

    it.effect("a server that drains receives the rest of the request it has begun with, and takes nothing more", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network({ segments: (bytes) => [bytes] })
        const scope = yield* Scope.make()
        const started: Array<string> = []
        const server = yield* Server.make({
          handshake: lines,
          serve: Pipeline.serveStreaming(aborting, ({ body, head }) => {
            started.push(head)
            return Effect.succeed(answer(head, body))
          })
        }).pipe(Effect.provideService(SocketServer.SocketServer, network.server), Scope.provide(scope))
        const peer = yield* settlingPeer(network.client)
        const idle = yield* settlingPeer(network.client)
        yield* peer.say("+one", ".a")
        const draining = yield* Effect.forkChild(server.drain)
        yield* settled
        yield* idle.closed
        yield* peer.say(".b", ";", "=two")
        yield* peer.closed
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(draining)
        yield* Scope.close(scope, Exit.void)
        expect(peer.heard()).toEqual(["+one", ".a", ".b", ";"])
        expect(started).toEqual(["one"])
      }))

    it.effect("nor does it wait for the rest of a body whose reader stops meanwhile", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network({ segments: (bytes) => [bytes] })
        const server = yield* Server.make({
          handshake: lines,
          serve: Pipeline.serveStreaming(aborting, ({ body = Stream.empty, head }) =>
            Effect.as(
              Effect.forkDetach(Effect.ignore(Effect.timeoutOption(Stream.runDrain(body), "1 second")), {
                startImmediately: true
              }),
              answer(head)
            ))
        }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
        const peer = yield* settlingPeer(network.client)
        yield* peer.say("+one", ".a")
        yield* Effect.forkChild(server.drain)
        const closed = yield* Effect.forkChild(peer.closed)
        yield* TestClock.adjust("900 millis")
        expect(closed.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("100 millis")
        yield* settled
        expect(closed.pollUnsafe()).toBeDefined()
        expect(peer.heard()).toEqual(["=one"])
      }))

    it.effect("nor does it wait for the rest of a body that nobody wants", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network({ segments: (bytes) => [bytes] })
        const server = yield* Server.make({
          handshake: lines,
          serve: Pipeline.serveStreaming(aborting, ({ head }) => Effect.succeed(answer(head)))
        }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
        const peer = yield* settlingPeer(network.client)
        yield* peer.say("+one", ".a")
        yield* Effect.forkChild(server.drain)
        yield* TestClock.adjust("10 millis")
        yield* peer.closed
        expect(peer.heard()).toEqual(["=one"])
      }))
  })

  it.effect("middleware answers below it, in the middle of a body too", () =>
    Effect.gen(function*() {
      const { chunks, read } = reader()
      const { peer, transport } = yield* settlingPair()
      yield* Effect.forkChild(Effect.scoped(Effect.flatMap(
        Middleware.pingPong(transport, { pong: (line) => line === "ping" ? "pong" : undefined }),
        Pipeline.serveStreaming(aborting, ({ body, head }) => Effect.as(read(body), answer(head)))
      )))
      yield* peer.say("+one", ".a", "ping", ".b")
      expect(peer.heard()).toEqual(["pong"])
      yield* peer.say(";")
      expect(peer.heard()).toEqual(["pong", "=one"])
      expect(chunks).toEqual(["a", "b"])
    }))
})

describe("streamingClient", () => {
  type Answered = Body.Message<string, string, Refused | Body.ReadError>

  const calling = Effect.fnUntraced(function*(options?: Body.Options & { readonly maxInFlight?: number }) {
    const { peer, transport } = yield* settlingPair()
    const client = yield* Pipeline.streamingClient(aborting, transport, options)
    /** A call in a scope of its own. */
    const call = Effect.fnUntraced(function*(head: string, body?: Stream.Stream<string, Refused | Body.ReadError>) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const fiber = yield* Effect.forkChild(Scope.provide(client.call({ head, body }), scope))
      yield* settled
      return {
        fiber,
        scope,
        response: Effect.suspend((): Effect.Effect<Answered> => {
          const exit = fiber.pollUnsafe()
          if (exit === undefined) return Effect.die("it has no response yet")
          return Effect.orDie(exit)
        }),
        close: Effect.andThen(Scope.close(scope, Exit.void), settled)
      }
    })
    return { peer, client, call, transport }
  })

  /** Reads the body of a response beside the test. */
  const reading = Effect.fnUntraced(function*(response: Answered) {
    const { arrays, chunks, read } = reader()
    const fiber = yield* Effect.forkChild(read(response.body))
    yield* settled
    return { chunks, arrays, fiber }
  })

  it.effect("asks, hears the answer, and closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* settlingPeer(there)
      const client = yield* Effect.provideService(lines, Socket.Socket, here).pipe(
        Effect.flatMap((transport) => Pipeline.streamingClient(aborting, transport)),
        Scope.provide(scope)
      )
      const ping = yield* Effect.forkChild(Effect.scoped(client.call({ head: "ping", body: undefined })))
      yield* settled
      expect(peer.heard()).toEqual(["=ping"])
      yield* peer.say("=pong")
      expect(yield* Fiber.join(ping)).toEqual({ head: "pong", body: undefined })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* peer.closed
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
    }))

  it.effect("calls that are made together travel in one write, and each gets its own response", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* calling()
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (head) => client.call({ head, body: undefined }), { concurrency: 3 })
      )
      yield* settled
      expect(peer.writes).toEqual(["=a\n=b\n=c\n"])
      yield* peer.say("=A", "=B")
      yield* peer.say("=C")
      expect((yield* Fiber.join(calls)).map(({ head }) => head)).toEqual(["A", "B", "C"])
    }))

  it.effect("a call costs a fiber for the body that it sends, and none without", () =>
    Effect.gen(function*() {
      const fibersFor = Effect.fnUntraced(function*(body: Stream.Stream<string> | undefined) {
        const { client, peer } = yield* calling()
        const newFiber = Effect.map(Effect.forkChild(Effect.void), (fiber) => fiber.id)
        const before = yield* newFiber
        // One fiber for each of them is its caller's.
        const calls = yield* Effect.forkChild(
          Effect.forEach(Array.from({ length: 40 }), () => client.call({ head: "one", body }), { concurrency: 40 })
        )
        yield* settled
        yield* peer.say(...Array.from({ length: 40 }, () => "=ONE"))
        yield* Fiber.join(calls)
        return (yield* newFiber) - before
      })
      const without = yield* fibersFor(undefined)
      const withBody = yield* fibersFor(Stream.make("a"))
      expect(without).toBeLessThan(80)
      expect(withBody - without).toBeGreaterThanOrEqual(40)
    }))

  it.effect("at most maxInFlight are sent and not answered to the end", () =>
    Effect.gen(function*() {
      const { call, peer } = yield* calling({ maxInFlight: 1 })
      const one = yield* call("one")
      yield* call("two")
      yield* peer.say("+ONE", ".a")
      expect(peer.heard()).toEqual(["=one"])
      yield* reading(yield* one.response)
      yield* peer.say(";")
      expect(peer.heard()).toEqual(["=one", "=two"])
    }))

  describe("the body of a request", () => {
    it.effect("leaves as it comes, and the response comes behind it", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const { call, peer } = yield* calling()
        const { response } = yield* call("ping", body)
        expect(peer.heard()).toEqual(["+ping"])
        for (const chunk of ["a", "b", "c"]) {
          yield* feed(chunk)
          expect(peer.heard().at(-1)).toBe(`.${chunk}`)
        }
        yield* end
        expect(peer.heard()).toEqual(["+ping", ".a", ".b", ".c", ";"])
        yield* peer.say("=pong")
        expect((yield* response).head).toBe("pong")
      }))

    it.effect("leaves with its head and its end in one write where it is there", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        yield* call("one", Stream.make("a", "b"))
        expect(peer.writes).toEqual(["+one\n.a\n.b\n;\n"])
      }))

    it.effect("leaves in several writes where it is large, however it comes", () =>
      Effect.gen(function*() {
        const chunks = Array.from({ length: 100 }, (_, i) => `${i}`)
        const { call, peer } = yield* calling()
        yield* call("one", Stream.fromArray(chunks))
        expect(peer.heard()).toEqual(["+one", ...chunks.map((chunk) => `.${chunk}`), ";"])
        expect(peer.writes.length).toBeGreaterThan(3)
      }))

    it.effect("goes out whole before the next request does", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const { call, peer } = yield* calling()
        yield* call("one", body)
        yield* call("two")
        yield* feed("a")
        expect(peer.heard()).toEqual(["+one", ".a"])
        yield* end
        expect(peer.heard()).toEqual(["+one", ".a", ";", "=two"])
      }))

    it.effect("is pulled one batch ahead of a peer that does not read", () =>
      Effect.gen(function*() {
        const { heard, read, transport } = yield* unread(8)
        const client = yield* Pipeline.streamingClient(aborting, transport)
        let pulled = 0
        const body = Stream.range(1, 100).pipe(
          Stream.rechunk(1),
          Stream.map((n) => {
            pulled++
            return `chunk number ${n}`
          })
        )
        yield* Effect.forkChild(client.call({ head: "one", body }))
        yield* TestClock.adjust("1 minute")
        // The one that waits to be written, and the one behind it.
        expect(pulled).toBe(2)
        yield* read(102)
        expect(heard()).toHaveLength(102)
      }))

    it.effect("may go on while its response comes in", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const { call, peer } = yield* calling()
        const { response } = yield* call("one", body)
        yield* peer.say("+ONE", ".A")
        const { chunks } = yield* reading(yield* response)
        yield* feed("a")
        yield* peer.say(".B")
        expect(chunks).toEqual(["A", "B"])
        yield* end
        yield* peer.say(";")
        expect(peer.heard()).toEqual(["+one", ".a", ";"])
      }))

    it.effect.each(
      [
        ["without a body", ["=ONE"]],
        ["with one", ["+ONE", ".A", ";"]],
        ["that is given up", ["!"]]
      ] as const
    )("is given up when its response is complete: one %s", ([, said]) =>
      Effect.gen(function*() {
        const { body, feed, stopped } = yield* fed()
        const { call, peer } = yield* calling()
        yield* call("one", body)
        yield* call("two")
        yield* feed("a")
        yield* peer.say(...said.slice(0, -1))
        expect(stopped()).toBe(0)
        yield* peer.say(...said.slice(-1))
        expect(stopped()).toBe(1)
        expect(peer.heard()).toEqual(["+one", ".a", "!", "=two"])
      }))

    it.effect("of no use any more ends as one that is complete, where the protocol can say no more", () =>
      Effect.gen(function*() {
        const { body, stopped } = yield* fed()
        const { peer, transport } = yield* settlingPair()
        const client = yield* Pipeline.streamingClient(plain, transport)
        const call = yield* Effect.forkChild(client.call({ head: "one", body: body as Stream.Stream<string> }))
        yield* settled
        yield* peer.say("=ONE")
        expect((yield* Fiber.join(call)).head).toBe("ONE")
        expect(stopped()).toBe(1)
        expect(peer.heard()).toEqual(["+one", ";"])
      }))

    it.effect("that fails is given up, and the server answers that", () =>
      Effect.gen(function*() {
        const { body, fail, feed } = yield* fed()
        const { call, peer } = yield* calling()
        const { fiber } = yield* call("one", body)
        const two = yield* call("two")
        yield* feed("a")
        yield* fail(new Refused({ what: "tired" }))
        expect(peer.heard()).toEqual(["+one", ".a", "!tired", "=two"])
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* peer.say("!so am I", "=TWO")
        expect(yield* failureOf(fiber)).toBe("Refused")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("that fails ends the connection where the protocol cannot say so", () =>
      Effect.gen(function*() {
        const { body, fail } = yield* fed()
        const { peer, transport } = yield* settlingPair()
        const frames = { request: { ...aborting.request, abort: undefined }, response: aborting.response }
        const client = yield* Pipeline.streamingClient({
          request: { head: frames.request.head, chunk: frames.request.chunk, end: frames.request.end },
          response: frames.response
        }, transport)
        const one = yield* Effect.forkChild(client.call({ head: "one", body }))
        const two = yield* Effect.forkChild(client.call({ head: "two", body: undefined }))
        yield* settled
        yield* fail(new Refused({ what: "tired" }))
        expect(yield* failureOf(one)).toBe("Refused")
        expect(yield* Effect.flip(Fiber.join(two))).toMatchObject({ reason: { _tag: "ConnectionClosed", by: "local" } })
        expect(peer.heard()).toEqual(["+one"])
      }))

    it.effect("a defect of it is one of its own call, and the connection goes on", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const one = yield* call("one", Stream.die("a bug"))
        const two = yield* call("two")
        expect(Exit.hasDies(yield* Fiber.await(one.fiber))).toBe(true)
        expect(peer.heard()).toEqual(["+one", "!", "=two"])
        yield* peer.say("=ONE", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("so is one beside a failure", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const cause = Cause.combine(Cause.fail(new Refused({ what: "one" })), Cause.die("a bug"))
        const one = yield* call("one", Stream.failCause(cause))
        expect(Exit.hasDies(yield* Fiber.await(one.fiber))).toBe(true)
        expect(peer.heard()).toEqual(["+one", "!"])
      }))

    it.effect("so is a chunk that is no frame", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 1 })
        const one = yield* call("one", Stream.make("a", "b\nc"))
        const two = yield* call("two")
        expect(yield* Effect.flip(Fiber.join(one.fiber))).toMatchObject({
          reason: { _tag: "MalformedFrame", fault: "local" }
        })
        expect(peer.heard()).toEqual(["+one", ".a", "!", "=two"])
        yield* peer.say("+ONE", ".b", ".c", ".d", ";", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("fails the body of the response that has begun, where it fails as nothing that the server hears of", () =>
      Effect.gen(function*() {
        const { body, feed, stopped } = yield* fed()
        const { call, peer } = yield* calling()
        const { response } = yield* call("one", body)
        yield* peer.say("+ONE", ".A")
        const { chunks, fiber } = yield* reading(yield* response)
        yield* feed("b\nc")
        expect(stopped()).toBe(1)
        expect(chunks).toEqual(["A"])
        expect(yield* failureOf(fiber)).toBe("MalformedFrame")
        yield* peer.say(".B", ";")
        expect(peer.heard()).toEqual(["+one", "!"])
      }))
  })

  describe("the body of a response", () => {
    it.effect("is read as it comes", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const { response } = yield* call("one")
        yield* peer.say("+ONE")
        const { arrays, chunks, fiber } = yield* reading(yield* response)
        yield* peer.say(".a")
        expect(chunks).toEqual(["a"])
        yield* peer.say(".b", ".c")
        expect(arrays).toEqual([1, 2])
        yield* peer.say(";")
        yield* Fiber.join(fiber)
      }))

    it.effect("stops the connection at its buffer, and goes on when it is read", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 8, segments: (bytes) => [bytes] })
        const writer = yield* there.writer
        yield* there.reader
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const client = yield* Pipeline.streamingClient(aborting, transport, { bodyBuffer: 4 })
        const call = yield* Effect.forkChild(client.call({ head: "one", body: undefined }))
        yield* settled
        let sent = 0
        yield* Effect.forkChild(
          Effect.forEach(["+ONE", ...Array.from({ length: 50 }, (_, i) => `.${i}`), ";"], (line) =>
            Effect.map(writer.write(utf8(`${line}\n`)), () => sent++))
        )
        yield* TestClock.adjust("5 seconds")
        // The head, the buffer, and what fits into the connection: nowhere near fifty.
        expect(sent).toBeLessThan(12)
        const { arrays } = yield* reading(yield* Fiber.join(call))
        yield* settled
        expect(sent).toBe(52)
        expect(Math.max(...arrays)).toBe(4)
      }))

    it.effect("fits into the buffer where nobody reads it, and the next response comes behind it", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 2 })
        const one = yield* call("one")
        const two = yield* call("two")
        for (const line of ["+ONE", ".a", ".b", ";", "=TWO"]) yield* peer.say(line)
        expect((yield* two.response).head).toBe("TWO")
        expect((yield* reading(yield* one.response)).chunks).toEqual(["a", "b"])
      }))

    it.effect("that nobody reads stops what is behind it for bodyTimeout, and no longer", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 2, bodyTimeout: "5 seconds" })
        const one = yield* call("one")
        const two = yield* call("two")
        yield* peer.say("+ONE", ".a", ".b", ".c", ";", "=TWO")
        yield* TestClock.adjust("4990 millis")
        expect(two.fiber.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("10 millis")
        expect((yield* two.response).head).toBe("TWO")
        const { chunks, fiber } = yield* reading(yield* one.response)
        expect(chunks).toEqual(["a", "b"])
        expect(yield* failureOf(fiber)).toBe("Stalled")
      }))

    it.effect("has all the time again each time that something was read of it", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 1, bodyTimeout: "5 seconds" })
        const one = yield* call("one")
        const two = yield* call("two")
        yield* peer.say("+ONE", ".a", ".b", ".c", ".d", ";", "=TWO")
        const chunks = yield* Effect.forkChild(
          Stream.runCollect(Stream.tap((yield* one.response).body!, () => Effect.sleep("4 seconds")))
        )
        yield* Effect.repeat(TestClock.adjust("4 seconds"), { times: 4 })
        expect(yield* Fiber.join(chunks)).toEqual(["a", "b", "c", "d"])
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("is dropped at once when its scope closes", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 1 })
        const one = yield* call("one")
        const two = yield* call("two")
        yield* peer.say("+ONE", ".a", ".b", ".c")
        const { body } = yield* one.response
        yield* one.close
        yield* peer.say(".d", ";", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
        const error = yield* Effect.flip(Stream.runDrain(body!))
        expect(error).toMatchObject({ reason: { _tag: "Aborted", by: "local" } })
      }))

    it.effect("is not taken for an empty one where it was complete and is dropped", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const one = yield* call("one")
        yield* peer.say("+ONE", ".a", ";")
        const { body } = yield* one.response
        yield* one.close
        const error = yield* Effect.flip(Stream.runDrain(body!))
        expect(error).toMatchObject({ reason: { _tag: "Aborted", by: "local" } })
      }))

    it.effect("is dropped at once when its reader stops before the end", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 1 })
        const one = yield* call("one")
        const two = yield* call("two")
        yield* peer.say("+ONE", ".a", ".b", ".c")
        expect(yield* Stream.runCollect(Stream.take((yield* one.response).body!, 1))).toEqual(["a"])
        yield* peer.say(".d", ";", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("fails as the server says, and the connection goes on", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const one = yield* call("one")
        const two = yield* call("two")
        yield* peer.say("+ONE", ".a")
        const first = yield* reading(yield* one.response)
        yield* peer.say("!tired", "+TWO", "!")
        expect(yield* Effect.flip(Fiber.join(first.fiber))).toEqual(new Refused({ what: "tired" }))
        const second = yield* reading(yield* two.response)
        expect(yield* Effect.flip(Fiber.join(second.fiber))).toMatchObject({ reason: { _tag: "Aborted", by: "peer" } })
      }))

    it.effect("fails with the end of the connection, after what has come", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const { response } = yield* call("one")
        yield* peer.say("+ONE", ".a")
        yield* peer.end
        const { chunks, fiber } = yield* reading(yield* response)
        expect(chunks).toEqual(["a"])
        expect(yield* failureOf(fiber)).toBe("ConnectionClosed")
      }))
  })

  describe("a response in the place of which there is none", () => {
    it.effect("fails its call as the server says, and the connection goes on", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const one = yield* call("one")
        const two = yield* call("two")
        const three = yield* call("three")
        yield* peer.say("!tired", "!", "=THREE")
        expect(yield* Effect.flip(Fiber.join(one.fiber))).toEqual(new Refused({ what: "tired" }))
        expect(yield* failureOf(two.fiber)).toBe("Aborted")
        expect((yield* three.response).head).toBe("THREE")
      }))
  })

  describe("a call that is given up", () => {
    it.effect("is not sent where it was not", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ maxInFlight: 1 })
        yield* call("one")
        const { fiber } = yield* call("two", Stream.make("a"))
        const three = yield* call("three")
        yield* Fiber.interrupt(fiber)
        yield* peer.say("=ONE")
        expect(peer.heard()).toEqual(["=one", "=three"])
        yield* peer.say("=THREE")
        expect((yield* three.response).head).toBe("THREE")
      }))

    it.effect("never shifts another call's response: its own is dropped, with its body", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling({ bodyBuffer: 1 })
        const one = yield* call("one")
        const two = yield* call("two")
        yield* Fiber.interrupt(one.fiber)
        yield* peer.say("+ONE", ".a", ".b", ".c", ";", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("gives up the body that it sends, and waits until that has stopped", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const body = Stream.concat(Stream.make("a"), Stream.never).pipe(Stream.ensuring(Effect.sleep("1 second")))
        const one = yield* call("one", body)
        const two = yield* call("two")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(one.fiber))
        yield* settled
        expect(peer.heard()).toEqual(["+one", ".a", "!", "=two"])
        expect(interrupting.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(interrupting)
        yield* peer.say("=ONE", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("so does the end of its scope behind the response's head", () =>
      Effect.gen(function*() {
        const { body, feed, stopped } = yield* fed()
        const { call, peer } = yield* calling()
        const one = yield* call("one", body)
        yield* feed("a")
        yield* peer.say("+ONE", ".A")
        yield* one.close
        expect(stopped()).toBe(1)
        expect(peer.heard()).toEqual(["+one", ".a", "!"])
        const two = yield* call("two")
        yield* peer.say(".B", ";", "=TWO")
        expect((yield* two.response).head).toBe("TWO")
      }))

    it.effect("ends the connection where the protocol cannot say that its body is given up", () =>
      Effect.gen(function*() {
        const { body } = yield* fed()
        const { peer, transport } = yield* settlingPair()
        const client = yield* Pipeline.streamingClient(plain, transport)
        const one = yield* Effect.forkChild(client.call({ head: "one", body: body as Stream.Stream<string> }))
        const two = yield* Effect.forkChild(client.call({ head: "two", body: undefined }))
        yield* settled
        yield* Fiber.interrupt(one)
        expect(yield* Effect.flip(Fiber.join(two))).toMatchObject({ reason: { _tag: "ConnectionClosed", by: "local" } })
        expect(peer.heard()).toEqual(["+one"])
      }))

    it.effect("so does the end of its scope wait for a body that is of no use any more", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const one = yield* call("one", Stream.never.pipe(Stream.ensuring(Effect.sleep("1 second"))))
        yield* peer.say("=ONE")
        const closing = yield* Effect.forkChild(Scope.close(one.scope, Exit.void))
        yield* TestClock.adjust("900 millis")
        expect(closing.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("200 millis")
        yield* Fiber.join(closing)
      }))

    it.effect("leaves nothing behind where it is over", () =>
      Effect.gen(function*() {
        const { call, peer } = yield* calling()
        const one = yield* call("one", Stream.make("a"))
        yield* peer.say("=ONE")
        yield* one.close
        const two = yield* call("two")
        yield* peer.say("=TWO")
        expect((yield* two.response).head).toBe("TWO")
        expect(peer.heard()).toEqual(["+one", ".a", ";", "=two"])
      }))
  })

  describe("a part where it is not due", () => {
    it.effect.each(
      [
        ["=one"],
        [".a"],
        [";"],
        ["!"],
        ["=ONE", ".a"],
        ["=ONE", "=TWO", "=three"]
      ]
    )("ends the use of the connection where there is nothing to answer any more: %j", (said) =>
      Effect.gen(function*() {
        const { call, client, peer } = yield* calling()
        for (let i = 1; i < said.length; i++) yield* call("one")
        yield* peer.say(...said)
        const error = yield* Effect.flip(client.awaitEnd)
        expect(error.reason).toMatchObject({ _tag: "UnexpectedFrame", excerpt: JSON.stringify(said.at(-1)) })
      }))

    it.effect.each(
      [
        [".a"],
        [";"],
        ["?what"],
        ["+ONE", "=TWO"],
        ["+ONE", ".a", "+TWO"],
        ["+ONE", "?what"]
      ]
    )("ends it where there is: %j", (said) =>
      Effect.gen(function*() {
        const { call, client, peer } = yield* calling()
        yield* call("one")
        const two = yield* call("two")
        yield* peer.say(...said)
        const error = yield* Effect.flip(client.awaitEnd)
        expect(error.reason).toMatchObject({ _tag: "UnexpectedFrame", excerpt: JSON.stringify(said.at(-1)) })
        expect(yield* failureOf(two.fiber)).toBe("UnexpectedFrame")
      }))
  })

  describe("the end", () => {
    it.effect("of the connection fails every call, those that wait and later ones too, and stops a body that is sent", () =>
      Effect.gen(function*() {
        const { body, stopped } = yield* fed()
        const { call, peer } = yield* calling()
        const one = yield* call("one", body)
        const two = yield* call("two")
        yield* peer.end
        expect(yield* failureOf(one.fiber)).toBe("ConnectionClosed")
        expect(yield* failureOf(two.fiber)).toBe("ConnectionClosed")
        expect(stopped()).toBe(1)
        const three = yield* call("three", body)
        expect(yield* failureOf(three.fiber)).toBe("ConnectionClosed")
      }))

    it.effect("stops a body whose response has begun, though its scope lives on", () =>
      Effect.gen(function*() {
        const { body, stopped } = yield* fed()
        const { call, peer } = yield* calling()
        yield* call("one", body)
        yield* peer.say("+ONE")
        yield* peer.end
        expect(stopped()).toBe(1)
      }))

    it.effect("of the scope fails every call and the body that comes in, and waits for the one that is sent", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* settlingPair()
        const scope = yield* Scope.make()
        const client = yield* Scope.provide(Pipeline.streamingClient(aborting, transport), scope)
        const body = Stream.never.pipe(Stream.ensuring(Effect.sleep("1 second")))
        const one = yield* Effect.forkChild(client.call({ head: "one", body: undefined }))
        yield* Effect.andThen(settled, peer.say("+ONE", ".a"))
        const { fiber } = yield* reading(yield* Fiber.join(one))
        const two = yield* Effect.forkChild(client.call({ head: "two", body }))
        yield* settled
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settled
        expect(closing.pollUnsafe()).toBeUndefined()
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
          reason: { _tag: "ConnectionClosed", by: "local" }
        })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
        expect(yield* failureOf(two)).toBe("ConnectionClosed")
      }))

    it.effect("comes with a write that fails, and stops the body that is sent", () =>
      Effect.gen(function*() {
        const { body, stopped } = yield* fed()
        const client = yield* Pipeline.streamingClient(aborting, yield* unwritable())
        const call = yield* Effect.forkChild(client.call({ head: "one", body }))
        yield* TestClock.adjust("1 second")
        expect(yield* failureOf(call)).toBe("ConnectionFailed")
        expect(stopped()).toBe(1)
      }))

    it.effect("comes when the connection is given up while a body is full", () =>
      Effect.gen(function*() {
        const { call, client, peer, transport } = yield* calling({ bodyBuffer: 1, bodyTimeout: "1 hour" })
        yield* Middleware.idleTimeout(transport, "1 minute")
        yield* call("one")
        yield* peer.say("+ONE", ".a", ".b")
        yield* TestClock.adjust("2 minutes")
        expect(reasonOf(yield* Effect.flip(client.awaitEnd))).toBe("TimedOut")
      }))
  })

  it.effect("a head that is no frame fails its call alone, with nothing sent", () =>
    Effect.gen(function*() {
      const { call, peer } = yield* calling()
      const one = yield* call("o\nne", Stream.make("a"))
      const two = yield* call("two")
      expect(yield* failureOf(one.fiber)).toBe("MalformedFrame")
      expect(peer.heard()).toEqual(["=two"])
      yield* peer.say("=TWO")
      expect((yield* two.response).head).toBe("TWO")
    }))

  it.effect("one that cannot be made into a frame is a defect of its own call", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* settlingPair()
      const client = yield* Pipeline.streamingClient({
        ...aborting,
        request: {
          ...aborting.request,
          head: (head: string, hasBody: boolean) => {
            if (head === "bad") throw new Error("a bug")
            return written.head(head, hasBody)
          }
        }
      }, transport)
      const bad = yield* Effect.forkChild(client.call({ head: "bad", body: undefined }))
      const good = yield* Effect.forkChild(client.call({ head: "good", body: undefined }))
      yield* Effect.andThen(settled, peer.say("=GOOD"))
      expect(Exit.hasDies(yield* Fiber.await(bad))).toBe(true)
      expect((yield* Fiber.join(good)).head).toBe("GOOD")
    }))

  it.effect("a reader of frames that throws ends everything as a defect", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* settlingPair()
      const client = yield* Pipeline.streamingClient({
        ...aborting,
        response: {
          read: (): Body.Part<string, string, Refused> => {
            throw new Error("a bug")
          }
        }
      }, transport)
      const one = yield* Effect.forkChild(client.call({ head: "one", body: undefined }))
      yield* Effect.andThen(settled, peer.say("=ONE"))
      expect(Exit.hasDies(yield* Fiber.await(one))).toBe(true)
      expect(Exit.hasDies(yield* Effect.exit(client.awaitEnd))).toBe(true)
    }))
})

// --- Both sides, on a network that is as bad as can be. ------------------------------------------------------------------

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Plan = Schema.Struct({
  calls: Schema.Array(Schema.Struct({
    at: upTo(20),
    /** How many chunks the body of the request has, and how long each takes. */
    chunks: Schema.NullOr(upTo(12)),
    chunkTakes: upTo(3),
    /** What is made of a request: a response without a body, the same body, none at all, a cut one. */
    response: Schema.Literals(["count", "echo", "ignore", "fail", "failMidway"]),
    handlerTakes: upTo(10),
    interruptedAfter: Schema.NullOr(upTo(40)),
    /** How much of the response's body is read. */
    reads: Schema.NullOr(upTo(3))
  })).check(Schema.isMaxLength(10)),
  clientMax: upTo(3),
  serverMax: upTo(3),
  bodyBuffer: upTo(3),
  network: Schema.NullOr(Schema.Struct({
    seed: upTo(1_000_000),
    latency: upTo(5),
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
    "each call gets its own response and body, or a typed failure, never another's, and nothing is left over",
    [Plan],
    ([plan]) =>
      Effect.gen(function*() {
        const isCut = plan.network !== null && plan.network.cut !== null
        const bounds = { bodyBuffer: plan.bodyBuffer + 1 }
        const chunksOf = (i: number) => Array.from({ length: plan.calls[i].chunks ?? 0 }, (_, n) => `${i}.${n}`)
        let bodies = 0
        let running = 0
        let most = 0

        const handler = ({ body, head }: Request): Effect.Effect<Response, Refused | Body.ReadError> => {
          if (head === "last") return Effect.succeed(answer("last"))
          const { handlerTakes, response } = plan.calls[Number(head)]
          const read = body ?? Stream.empty
          const respond = {
            count: Effect.map(Stream.runCollect(read), (chunks) => answer(`${head} ${chunks.join(" ")}`)),
            echo: Effect.succeed(answer(head, read)),
            ignore: Effect.succeed(answer(head)),
            fail: Effect.fail(new Refused({ what: head })),
            failMidway: Effect.succeed(
              answer(head, Stream.concat(Stream.make("some"), Stream.fail(new Refused({ what: head }))))
            )
          }[response]
          if (handlerTakes === 0) return respond
          return Effect.acquireUseRelease(
            Effect.sync(() => most = Math.max(most, ++running)),
            () => Effect.delay(respond, handlerTakes),
            () => Effect.sync(() => running--)
          )
        }

        const [clientSocket, serverSocket] = yield* socketsOf(plan)
        const serving = yield* Effect.provideService(lines, Socket.Socket, serverSocket).pipe(
          Effect.flatMap(Pipeline.serveStreaming(aborting, handler, { ...bounds, maxInFlight: plan.serverMax + 1 })),
          Effect.scoped,
          Effect.forkChild
        )
        const scope = yield* Scope.make()
        const client = yield* Effect.provideService(lines, Socket.Socket, clientSocket).pipe(
          Effect.flatMap((transport) =>
            Pipeline.streamingClient(aborting, transport, { ...bounds, maxInFlight: plan.clientMax + 1 })
          ),
          Scope.provide(scope)
        )

        const exchange = Effect.fnUntraced(function*(i: number) {
          const { chunkTakes, chunks, reads } = plan.calls[i]
          const body = chunks === null ? undefined : Stream.fromIterable(chunksOf(i)).pipe(
            Stream.rechunk(1 + i % 3),
            Stream.tap(() => chunkTakes === 0 ? Effect.void : Effect.sleep(chunkTakes)),
            Stream.onStart(Effect.sync(() => bodies++)),
            Stream.ensuring(Effect.sync(() => bodies--))
          )
          const { body: answered, head } = yield* client.call({ head: `${i}`, body })
          const taken = answered === undefined
            ? undefined
            : yield* Stream.runCollect(reads === null ? answered : Stream.take(answered, reads))
          return { head, chunks: taken }
        }, Effect.scoped)

        const calls = yield* Effect.forEach(plan.calls, ({ at, interruptedAfter }, i) =>
          Effect.forkChild(Effect.delay(
            interruptedAfter === null
              ? exchange(i)
              : Effect.raceFirst(exchange(i), Effect.andThen(Effect.sleep(interruptedAfter), Effect.interrupt)),
            at
          )))
        // In steps: a sleep that begins when all the time is over would last for ever.
        yield* Effect.repeat(TestClock.adjust("100 millis"), { times: 60 })
        for (const [i, call] of calls.entries()) {
          const exit = call.pollUnsafe()
          const { chunks, interruptedAfter, reads, response } = plan.calls[i]
          const whole = chunksOf(i)
          if (exit === undefined) expect.fail(`call ${i} waits for ever`)
          if (Exit.isSuccess(exit)) {
            const first = reads === null ? whole : whole.slice(0, reads)
            if (response === "count") expect(exit.value).toEqual({ head: `${i} ${whole.join(" ")}`, chunks: undefined })
            else if (response === "ignore") expect(exit.value).toEqual({ head: `${i}`, chunks: undefined })
            else if (response === "echo") expect(exit.value).toEqual({ head: `${i}`, chunks: first })
            else expect([response, reads]).toEqual(["failMidway", expect.toBeOneOf([0, 1])])
          } else if (Cause.hasInterruptsOnly(exit.cause)) {
            expect(interruptedAfter).not.toBeNull()
          } else {
            const error = Cause.squash(exit.cause)
            if (error instanceof Refused) {
              expect([response, error.what]).toEqual([expect.toBeOneOf(["fail", "failMidway"]), `${i}`])
            } else {
              expect([isCut, error, chunks]).toMatchObject([true, {
                _tag: expect.toBeOneOf(["TransportError", "BodyError"])
              }, chunks])
            }
          }
        }
        expect(bodies).toBe(0)
        expect(most).toBeLessThanOrEqual(plan.serverMax + 1)

        if (!isCut) {
          // The connection is as good as new.
          const last = yield* Effect.forkChild(Effect.scoped(client.call({ head: "last", body: undefined })))
          yield* TestClock.adjust("1 second")
          expect(last.pollUnsafe()).toEqual(Exit.succeed({ head: "last", body: undefined }))
        }
        yield* Scope.close(scope, Exit.void).pipe(Effect.forkChild)
        yield* TestClock.adjust("10 seconds")
        const exit = serving.pollUnsafe()
        if (exit === undefined) {
          // A write to a connection that was reset behind bytes that nobody reads waits for ever.
          if (plan.network?.cut?.how !== "reset") expect.fail("the server waits for ever")
          yield* Fiber.interrupt(serving)
        } else if (!isCut) {
          expect(exit).toEqual(Exit.void)
        }
        expect(running).toBe(0)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 100 } }
  )

  it.live("on real sockets, bodies larger than all that is between go there and back at once", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        handshake: lines,
        serve: Pipeline.serveStreaming(aborting, ({ body, head }) => Effect.succeed(answer(head, body)))
      }).pipe(
        Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 }))
      )
      if (server.address._tag === "UnixPathAddress") return expect.fail("it listens on a port")
      const socket = yield* Net.socket({ host: "127.0.0.1", port: server.address.port })
      const client = yield* Effect.provideService(lines, Socket.Socket, socket).pipe(
        Effect.flatMap((transport) => Pipeline.streamingClient(aborting, transport))
      )
      const chunk = "x".repeat(1024)
      const count = 8192
      const sizeOf = Effect.fnUntraced(function*(head: string) {
        const response = yield* client.call({
          head,
          body: Stream.rechunk(Stream.fromArray(Array.from({ length: count }, () => chunk)), 8)
        })
        expect(response.head).toBe(head)
        return yield* Stream.runFold(response.body ?? Stream.empty, () => 0, (size, part) => size + part.length)
      }, Effect.scoped)
      const sizes = yield* Effect.forEach(["one", "two"], sizeOf, { concurrency: 2 })
      expect(sizes).toEqual([count * chunk.length, count * chunk.length])
    }))
})
