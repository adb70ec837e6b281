import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
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
import * as Body from "../src/Body.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Net from "../src/node/Net.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import { isTransportError } from "../src/TransportError.ts"
import { text, utf8 } from "./support/conversation.ts"
import { connected, linePeer, lines } from "./support/linePeer.ts"

const settled = Effect.andThen(TestClock.adjust("1 millis"), Effect.andThen(TestClock.adjust(0), TestClock.adjust(0)))

class Refused extends Data.TaggedError("Refused")<{ readonly what: string }> {}

// --- A protocol of lines: `=1 head` has no body, `+1 head` has one, of `.1 chunk`s; `;1` is its end, and `!1 why` comes ----
// --- instead. `x1` cancels a request, and `~1` is what is said to that. --------------------------------------------------

const read = (line: string): Multiplex.MessagePart<number, string, string, Refused> | undefined => {
  const [name, ...words] = line.slice(1).split(" ")
  const id = Number(name)
  const rest = words.join(" ")
  switch (line[0]) {
    case "=":
      return { _tag: "Head", id, head: rest, hasBody: false }
    case "+":
      return { _tag: "Head", id, head: rest, hasBody: true }
    case ".":
      return { _tag: "Chunk", id, chunk: rest }
    case ";":
      return { _tag: "End", id }
    case "!":
      return rest === "" ? { _tag: "Abort", id } : { _tag: "Abort", id, error: new Refused({ what: rest }) }
    case "~":
      return { _tag: "Abort", id }
    default:
      return undefined
  }
}

const readPlain = (line: string) => {
  const part = line[0] === "~" ? undefined : read(line)
  return part?._tag === "Abort" ? undefined : part
}

const readRequest = (line: string) =>
  line[0] === "x" ? { _tag: "Cancel" as const, id: Number(line.slice(1)) } : read(line)

const written = {
  head: (id: number, head: string, hasBody: boolean) => `${hasBody ? "+" : "="}${id} ${head}`,
  chunk: (id: number, chunk: string) => `.${id} ${chunk}`,
  end: (id: number) => `;${id}`
}

const abort = (id: number, error: Refused | undefined) => `!${id}${error === undefined ? "" : ` ${error.what}`}`

interface Types {
  frame: string
  id: number
  request: string
  response: string
  chunk: string
}

/** Nothing can be given up. */
const plain: Multiplex.StreamingFrames<Types> = {
  request: { ...written, read: readPlain },
  response: { ...written, read: readPlain }
}

/** Everything can, and a failure is told. */
const aborting: Multiplex.StreamingFrames<Types & { failure: Refused }> = {
  request: { ...written, abort, read: readRequest },
  response: { ...written, abort, read }
}

/** A cancelled request is answered no more. */
const silent = { ...aborting, cancel: (id: number) => `x${id}` }

/** A cancelled request is still answered. */
const answering = { ...silent, cancelled: (id: number) => `~${id}` }

/** Neither a request nor its body can be given up. */
const withoutAbort = { ...aborting, request: { ...written, read: readRequest } }

type Failing = Refused | Body.ReadError
type Request = Body.Message<string, string, Failing>
type Response = Body.Message<string, string, Failing>

const just = (head: string, body?: Response["body"]): Effect.Effect<Response> => Effect.succeed({ head, body })

/** Says all that it has read. */
const collect = ({ body, head }: Request): Effect.Effect<Response, Failing> =>
  body === undefined
    ? just(head)
    : Effect.map(Stream.runCollect(body), (chunks) => ({ head: `${head}: ${chunks.join(" ")}`, body: undefined }))

/** A body that the test feeds, and that tells how much of it was taken and whether it is over. */
const fed = Effect.fnUntraced(function*() {
  const queue = yield* Queue.unbounded<string, Refused | Cause.Done>()
  const state = { pulled: 0, isOver: false }
  return {
    body: Stream.fromQueue(queue).pipe(
      Stream.tap(() => Effect.sync(() => state.pulled++)),
      Stream.ensuring(Effect.sync(() => (state.isOver = true)))
    ),
    feed: (...chunks: ReadonlyArray<string>) => Effect.andThen(Queue.offerAll(queue, chunks), settled),
    fail: (what: string) => Effect.andThen(Queue.fail(queue, new Refused({ what })), settled),
    end: Effect.andThen(Queue.end(queue), settled),
    state
  }
})

/** A body without an end, of one chunk at a time, and how many were pulled. */
const endless = (chunk: string) => {
  const state = { pulled: 0, isOver: false }
  const body = Stream.fromEffectRepeat(Effect.sync(() => {
    state.pulled++
    return chunk
  })).pipe(Stream.ensuring(Effect.sync(() => (state.isOver = true))))
  return { body, state }
}

const numbered = (count: number, id: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, i) => `.${id} ${i}`)

// --- The server against a peer of lines ----------------------------------------------------------------------------------

interface Options extends Body.Options {
  readonly maxInFlight?: number
  readonly refuse?: (head: string) => Refused
}

const serving = Effect.fnUntraced(function*(
  handler: (request: Request) => Effect.Effect<Response, Failing>,
  options?: Options,
  frames: typeof aborting = aborting
) {
  const { peer, transport } = yield* connected()
  const fiber = yield* Effect.forkChild(Multiplex.serveStreaming(frames, handler, options)(transport))
  return {
    ...peer,
    say: (...said: ReadonlyArray<string>) => Effect.andThen(peer.say(...said), settled),
    end: Effect.andThen(peer.end, settled),
    /** Ends inside a frame. */
    cut: Effect.andThen(peer.sayBytes("cut"), peer.end),
    fiber,
    error: Effect.map(Effect.flip(Fiber.join(fiber)), (error) => error.reason),
    isOver: () => fiber.pollUnsafe() !== undefined
  }
})

describe("serveStreaming", () => {
  it.effect("a connection that asks for nothing ends in order", () =>
    Effect.gen(function*() {
      const peer = yield* serving(collect)
      yield* peer.end
      yield* Fiber.join(peer.fiber)
    }))

  it.effect("a handler ends it: that is interrupted, nothing behind it begins, and what is ready goes out first", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const quit = yield* Deferred.make<void>()
      const seen: Array<string> = []
      const hang = (head: string) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.push(`not ${head}`)))
      const serving = yield* Effect.forkChild(
        Multiplex.serveStreaming(aborting, ({ head }) => {
          seen.push(head)
          if (head === "ready") return just(head)
          return head === "quit" ? Effect.andThen(Deferred.succeed(quit, undefined), hang(head)) : hang(head)
        })(transport).pipe(Effect.raceFirst(Deferred.await(quit)), Effect.andThen(transport.send("bye")))
      )
      yield* settled
      yield* peer.say("=1 ready", "=2 a", "=3 quit", "=4 late")
      yield* Fiber.join(serving)
      yield* settled
      expect(seen).toEqual(["ready", "a", "quit", "not a", "not quit"])
      expect(peer.heard()).toEqual(["=1 ready", "bye"])
    }))

  it.effect("an answer of the handler that has ended it goes nowhere", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const quit = yield* Deferred.make<void>()
      const serving = yield* Effect.forkChild(
        Multiplex.serveStreaming(aborting, ({ head }) => {
          Deferred.doneUnsafe(quit, Exit.void)
          return just(head)
        })(transport).pipe(
          Effect.raceFirst(Deferred.await(quit)),
          Effect.andThen(transport.send("bye"))
        )
      )
      yield* settled
      yield* peer.say("=1 quit")
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toEqual(["bye"])
    }))

  it.effect("a body ends it while it begins: that is released, and nothing more of it goes out", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      const quit = yield* Deferred.make<void>()
      let released = 0
      const body = Stream.fromEffect(Effect.as(Deferred.succeed(quit, undefined), "1")).pipe(
        Stream.concat(Stream.never),
        Stream.ensuring(Effect.sync(() => released++))
      )
      const serving = yield* Effect.forkChild(
        Multiplex.serveStreaming(aborting, ({ head }) => just(head, body))(transport).pipe(
          Effect.raceFirst(Deferred.await(quit)),
          Effect.andThen(transport.send("bye"))
        )
      )
      yield* settled
      yield* peer.say("=1 a", "=2 b")
      yield* Fiber.join(serving)
      yield* settled
      expect(released).toBe(1)
      expect(peer.heard()).toEqual(["+1 a", "bye"])
    }))

  describe("messages without bodies", () => {
    it.effect("are answered at once where the result is there, in one write", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head.toUpperCase()))
        yield* peer.say("=0 a", "=1 b", "=0 c")
        expect(peer.writes).toEqual(["=0 A\n=1 B\n=0 C\n"])
      }))

    it.effect("cost no fiber where the result is there", () =>
      Effect.gen(function*() {
        const fibersFor = Effect.fnUntraced(function*(handler: (request: Request) => Effect.Effect<Response>) {
          const peer = yield* serving(handler)
          const newFiber = Effect.map(Effect.forkChild(Effect.void), (fiber) => fiber.id)
          const before = yield* newFiber
          yield* peer.say(...Array.from({ length: 200 }, (_, i) => `=${i} hello`))
          expect(peer.heard()).toHaveLength(200)
          return (yield* newFiber) - before
        })
        const forResults = yield* fibersFor(({ head }) => just(head))
        const forEffects = yield* fibersFor(({ head }) => Effect.sync(() => ({ head, body: undefined })))
        expect(forResults).toBeLessThan(50)
        expect(forEffects - forResults).toBeGreaterThanOrEqual(200)
      }))

    it.effect("are answered when their handlers are done, whichever is done first", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => Effect.delay(just(head), `${Number(head)} millis`))
        yield* peer.say("=0 30", "=1 20")
        yield* TestClock.adjust("20 millis")
        expect(peer.heard()).toEqual(["=1 20"])
        yield* TestClock.adjust("10 millis")
        expect(peer.heard()).toEqual(["=1 20", "=0 30"])
      }))
  })

  describe("the body of a request", () => {
    it.effect("is read as it comes, and then answered", () =>
      Effect.gen(function*() {
        const peer = yield* serving(collect)
        yield* peer.say("+7 sum")
        yield* peer.say(".7 a")
        yield* peer.say(".7 b", ".7 c")
        expect(peer.heard()).toEqual([])
        yield* peer.say(";7")
        expect(peer.heard()).toEqual(["=7 sum: a b c"])
      }))

    it.effect("comes to its reader in one array where it has come in one", () =>
      Effect.gen(function*() {
        const arrays: Array<ReadonlyArray<string>> = []
        const peer = yield* serving(({ body = Stream.empty }) =>
          Effect.andThen(
            Stream.runForEachArray(body, (chunks) => Effect.sync(() => arrays.push([...chunks]))),
            just("ok")
          )
        )
        yield* peer.say("+0 a", ".0 1", ".0 2")
        yield* peer.say(".0 3")
        yield* peer.say(".0 4", ".0 5", ".0 6", ";0")
        expect(arrays).toEqual([["1", "2"], ["3"], ["4", "5", "6"]])
        expect(peer.heard()).toEqual(["=0 ok"])
      }))

    it.effect("may be empty", () =>
      Effect.gen(function*() {
        const peer = yield* serving(collect)
        yield* peer.say("+0 none", ";0")
        expect(peer.heard()).toEqual(["=0 none: "])
      }))

    it.effect("comes interleaved with others, each to its own request", () =>
      Effect.gen(function*() {
        const peer = yield* serving(collect)
        yield* peer.say("+0 a", "+1 b", ".0 1", ".1 2", "=2 c", ".0 3", ";1")
        yield* peer.say(".0 4", ";0")
        expect(peer.heard()).toEqual(["=2 c", "=1 b: 2", "=0 a: 1 3 4"])
      }))

    it.effect("is dropped where its request is answered without it, whenever it comes, and its id is free when it has ended", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head), { bodyBuffer: 2 })
        yield* peer.say("+0 a", ...numbered(5, 0))
        yield* peer.say(...numbered(5, 0), "=1 b", ";0", "=0 c")
        expect(peer.heard()).toEqual(["=0 a", "=1 b", "=0 c"])
      }))

    it.effect("is dropped where its handler has failed", () =>
      Effect.gen(function*() {
        const peer = yield* serving(
          ({ head }) => head === "a" ? Effect.fail(new Refused({ what: "no a" })) : just(head),
          { bodyBuffer: 2 }
        )
        yield* peer.say("+0 a", ...numbered(5, 0), "!0 gone", "=1 b")
        expect(peer.heard()).toEqual(["!0 no a", "=1 b"])
      }))

    it.effect("is dropped from where its reader stops, and holds nothing up", () =>
      Effect.gen(function*() {
        const done = yield* Deferred.make<void>()
        const peer = yield* serving(({ body, head }) =>
          body === undefined ? just(head) : Stream.runCollect(Stream.take(body, 1)).pipe(
            Effect.tap(() => Deferred.await(done)),
            Effect.map(([first]) => ({ head: first, body: undefined }))
          ), { bodyBuffer: 2 })
        yield* peer.say("+0 a", ...numbered(50, 0), "=1 b")
        expect(peer.heard()).toEqual(["=1 b"])
        yield* Deferred.succeed(done, undefined)
        yield* peer.say(".0 more", ";0")
        expect(peer.heard()).toEqual(["=1 b", "=0 0"])
      }))

    it.effect("can be read once", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ body = Stream.empty }) =>
          Effect.andThen(
            Stream.runCollect(body),
            Effect.matchEffect(Stream.runCollect(body), {
              onFailure: (error) => just(Body.isBodyError(error) ? error.message : "another error"),
              onSuccess: () => just("twice")
            })
          )
        )
        yield* peer.say("+0 a", ".0 1", ";0")
        expect(peer.heard()).toEqual(["=0 the body can be read once, and it was"])
      }))

    it.effect("fails with the failure that its sender has given it up with, behind what has come before", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ body = Stream.empty }) =>
          body.pipe(
            Stream.catchTag("Refused", ({ what }) => Stream.make(`(${what})`)),
            Stream.runCollect,
            Effect.flatMap((chunks) => just(chunks.join(" ")))
          )
        )
        yield* peer.say("+0 a", ".0 1", "!0 out of paper")
        expect(peer.heard()).toEqual(["=0 1 (out of paper)"])
      }))

    it.effect("fails as Aborted where its sender has given it up without one", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ body = Stream.empty }) =>
          Stream.runDrain(body).pipe(
            Effect.andThen(just("complete")),
            Effect.catchReason("BodyError", "Aborted", ({ by }) => just(`given up by the ${by}`))
          )
        )
        yield* peer.say("+0 a", ".0 1", "!0")
        expect(peer.heard()).toEqual(["=0 given up by the peer"])
      }))

    it.effect("that nobody may read any more fails whoever still does", () =>
      Effect.gen(function*() {
        const failure = yield* Deferred.make<unknown>()
        const peer = yield* serving(({ body = Stream.empty }) =>
          Effect.andThen(
            Effect.forkDetach(Effect.flatMap(Effect.flip(Stream.runDrain(body)), (e) => Deferred.succeed(failure, e))),
            Effect.delay(just("ok"), "5 millis")
          )
        )
        yield* peer.say("+0 a", ".0 1")
        yield* TestClock.adjust("5 millis")
        expect(peer.heard()).toEqual(["=0 ok"])
        expect(yield* Deferred.await(failure)).toMatchObject({ reason: { _tag: "Aborted", by: "local" } })
      }))
  })

  describe("a body that nobody reads", () => {
    /** Reads its body when it is told to. */
    const later = Effect.fnUntraced(function*(options?: Options) {
      const gate = yield* Deferred.make<void>()
      const peer = yield* serving(
        (request) => request.head === "a" ? Effect.andThen(Deferred.await(gate), collect(request)) : collect(request),
        options
      )
      return { peer, open: Effect.andThen(Deferred.succeed(gate, undefined), settled) }
    })

    it.effect("holds nothing up where it fits into its buffer, of 16 chunks by default", () =>
      Effect.gen(function*() {
        const { peer } = yield* later()
        yield* peer.say("+0 a", ...numbered(16, 0), "=1 b")
        expect(peer.heard()).toEqual(["=1 b"])
        expect(Body.defaultBodyBuffer).toBe(16)
      }))

    it.effect("holds up what is behind the first chunk beyond that, until it is read", () =>
      Effect.gen(function*() {
        const { open, peer } = yield* later({ bodyBuffer: 3 })
        yield* peer.say("+0 a", ...numbered(3, 0))
        yield* peer.say("=1 b")
        expect(peer.heard()).toEqual(["=1 b"])
        yield* peer.say(".0 3", "=2 c", ";0")
        expect(peer.heard()).toEqual(["=1 b"])
        yield* open
        expect(peer.heard()).toEqual(["=1 b", "=2 c", "=0 a: 0 1 2 3"])
      }))

    it.effect("fails alone as Stalled after bodyTimeout and not before, and what is behind it is served", () =>
      Effect.gen(function*() {
        const { open, peer } = yield* later({ bodyBuffer: 2, bodyTimeout: "5 seconds" })
        yield* peer.say("+0 a", ...numbered(9, 0), "=1 b", "+2 c", ".2 d", ";2")
        yield* TestClock.adjust("4998 millis")
        expect(peer.heard()).toEqual([])
        yield* TestClock.adjust("2 millis")
        expect(peer.heard()).toEqual(["=1 b", "=2 c: d"])
        // What had come is still there for its reader.
        yield* open
        expect(peer.heard().slice(2)).toEqual(["!0"])
        yield* peer.say(".0 more", ";0", "=0 again")
        expect(peer.heard().slice(3)).toEqual(["=0 again"])
      }))

    it.effect("its reader finds what had come, and then that it has stalled", () =>
      Effect.gen(function*() {
        const seen = yield* Deferred.make<string>()
        const peer = yield* serving(({ body = Stream.empty }) =>
          body.pipe(
            Stream.catchReason("BodyError", "Stalled", (reason) => Stream.make(reason.message)),
            Stream.runCollect,
            Effect.flatMap((chunks) => Deferred.succeed(seen, chunks.join(", "))),
            Effect.delay("1 minute"),
            Effect.andThen(just("ok"))
          ), { bodyBuffer: 2, bodyTimeout: "5 seconds" })
        yield* peer.say("+0 a", ...numbered(3, 0))
        yield* TestClock.adjust("1 minute")
        expect(yield* Deferred.await(seen)).toBe("0, 1, nobody has read the body for 5s")
      }))

    it.effect("may hold the connection up for ten seconds by default", () =>
      Effect.gen(function*() {
        const { peer } = yield* later({ bodyBuffer: 1 })
        yield* peer.say("+0 a", ".0 1", ".0 2", "=1 b")
        yield* TestClock.adjust("9998 millis")
        expect(peer.heard()).toEqual([])
        yield* TestClock.adjust("2 millis")
        expect(peer.heard()).toEqual(["=1 b"])
      }))

    it.effect("is no hurry while it holds nothing up", () =>
      Effect.gen(function*() {
        const { open, peer } = yield* later({ bodyBuffer: 2, bodyTimeout: "5 seconds" })
        yield* peer.say("+0 a", ".0 1", ".0 2")
        yield* TestClock.adjust("1 hour")
        yield* peer.say(".0 3")
        yield* TestClock.adjust("4 seconds")
        yield* open
        yield* peer.say(";0")
        expect(peer.heard()).toEqual(["=0 a: 1 2 3"])
      }))

    it.effect("has all the time again each time that something was read of it", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ body = Stream.empty }) =>
          body.pipe(
            Stream.tap(() => Effect.sleep("4 seconds"), { concurrency: 1 }),
            Stream.runCollect,
            Effect.flatMap((chunks) => just(`${chunks.length}`))
          ), { bodyBuffer: 1, bodyTimeout: "5 seconds" })
        yield* peer.say("+0 a", ...numbered(6, 0), ";0")
        yield* TestClock.adjust("24 seconds")
        expect(peer.heard()).toEqual(["=0 6"])
      }))

    it.effect("is not held against it while the peer does not read what is made of it", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const pull = yield* Socket.readerBytes(there)
        const writer = yield* there.writer
        yield* Effect.forkChild(
          Multiplex.serveStreaming(aborting, (request) => Effect.succeed(request), { bodyBuffer: 2 })(transport)
        )
        const said = ["+0 a", ...numbered(100, 0), ";0"]
        const writing = yield* Effect.forkChild(
          Effect.forEach(said, (line) => writer.write(utf8(`${line}\n`)), { discard: true })
        )
        yield* TestClock.adjust("1 hour")
        // It is stopped, too.
        expect(writing.pollUnsafe()).toBeUndefined()
        let heard = ""
        while (!heard.endsWith(";0\n")) heard += (yield* pull).map(text).join("")
        expect(heard.split("\n").slice(0, -1)).toEqual(said)
      }))

    it.effect("never stalls where the timeout is infinite", () =>
      Effect.gen(function*() {
        const { open, peer } = yield* later({ bodyBuffer: 1, bodyTimeout: "Infinity" })
        yield* peer.say("+0 a", ".0 1", ".0 2", ";0")
        yield* TestClock.adjust("1 day")
        yield* open
        expect(peer.heard()).toEqual(["=0 a: 1 2"])
      }))

    it.effect("a connection that is given up behind it is noticed", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const interrupted = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(Effect.flip(Effect.scoped(Effect.flatMap(
          Middleware.idleTimeout(transport, "3 seconds"),
          Multiplex.serveStreaming(
            aborting,
            () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)),
            { bodyBuffer: 1 }
          )
        ))))
        yield* peer.say("+0 a", ".0 1", ".0 2")
        yield* TestClock.adjust("3 seconds")
        expect((yield* Fiber.join(fiber)).reason._tag).toBe("TimedOut")
        yield* Deferred.await(interrupted)
      }))
  })

  it.effect("a peer that does not read its answers stops what is taken from it", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
      const transport = yield* Effect.provideService(lines, Socket.Socket, here)
      yield* there.reader
      const writer = yield* there.writer
      let handled = 0
      yield* Effect.forkChild(
        Multiplex.serveStreaming(aborting, ({ head }) => Effect.suspend(() => (handled++, just(head))))(transport)
      )
      const writing = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 1000 }), (_, i) => writer.write(utf8(`=${i} hello\n`)), { discard: true })
      )
      yield* TestClock.adjust("1 second")
      expect(writing.pollUnsafe()).toBeUndefined()
      expect(handled).toBeLessThan(30)
    }))

  describe("the body of a response", () => {
    it.effect("leaves in one write with its head and its end where it is there", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head, Stream.make("x", "y")))
        yield* peer.say("=0 a")
        expect(peer.writes).toEqual(["+0 a\n.0 x\n.0 y\n;0\n"])
      }))

    it.effect("leaves as it comes, and without another request", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const peer = yield* serving(({ head }) => just(head, body))
        yield* peer.say("=0 a")
        expect(peer.heard()).toEqual(["+0 a"])
        yield* feed("x", "y")
        expect(peer.heard()).toEqual(["+0 a", ".0 x", ".0 y"])
        yield* feed("z")
        yield* end
        expect(peer.heard()).toEqual(["+0 a", ".0 x", ".0 y", ".0 z", ";0"])
      }))

    it.effect("may be empty", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head, Stream.empty))
        yield* peer.say("=0 a")
        expect(peer.writes).toEqual(["+0 a\n;0\n"])
      }))

    it.effect("may begin before the body of its request has ended, and may be that", () =>
      Effect.gen(function*() {
        const peer = yield* serving((request) => Effect.succeed(request))
        yield* peer.say("+0 a", ".0 x")
        expect(peer.heard()).toEqual(["+0 a", ".0 x"])
        yield* peer.say(".0 y", ";0")
        expect(peer.heard()).toEqual(["+0 a", ".0 x", ".0 y", ";0"])
      }))

    it.effect("its end frees the id and drops what its request still sends", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ body = Stream.empty, head }) => just(head, Stream.take(body, 1)), {
          bodyBuffer: 1
        })
        yield* peer.say("+0 a", ...numbered(9, 0))
        expect(peer.heard()).toEqual(["+0 a", ".0 0", ";0"])
        yield* peer.say(".0 more", ";0", "+0 b", ".0 x")
        expect(peer.heard()).toEqual(["+0 a", ".0 0", ";0", "+0 b", ".0 x", ";0"])
      }))

    it.effect("takes turns with others, so that none starves, nor an answer without one", () =>
      Effect.gen(function*() {
        const big = (name: string) => Stream.fromIterable(Array.from({ length: 100 }, (_, i) => `${name}${i}`))
        const peer = yield* serving(({ head }) =>
          head === "quick" ? Effect.delay(just(head), 0) : just(head, big(head))
        )
        yield* peer.say("=0 a", "=1 b", "=2 quick")
        while (peer.heard().length < 205) yield* settled
        const heard = peer.heard()
        expect(heard).toHaveLength(205)
        const at = (line: string) => heard.indexOf(line)
        // Sixteen chunks of each in turn.
        expect(heard.filter((line) => line !== "=2 quick").slice(2, 34)).toEqual([
          ...Array.from({ length: 16 }, (_, i) => `.0 a${i}`),
          ...Array.from({ length: 16 }, (_, i) => `.1 b${i}`)
        ])
        expect(at("=2 quick")).toBeLessThan(100)
        expect(Math.abs(at(";0") - at(";1"))).toBeLessThan(18)
      }))

    it.effect("without an end leaves time for requests, their answers and the end of the connection", () =>
      Effect.gen(function*() {
        const { body, state } = endless("x")
        const peer = yield* serving(({ head }) => head === "endless" ? just(head, body) : just(head), {}, silent)
        yield* peer.say("=0 endless")
        yield* peer.say("=1 a")
        expect(peer.heard()).toContain("=1 a")
        yield* peer.say("x0")
        expect(state.isOver).toBe(true)
        yield* peer.end
        yield* Fiber.join(peer.fiber)
      }))

    it.effect("is pulled one batch ahead of a peer that does not read, and goes on when it does", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const pull = yield* Socket.readerBytes(there)
        const writer = yield* there.writer
        const { body, state } = endless("0123456789")
        yield* Effect.forkChild(Multiplex.serveStreaming(aborting, ({ head }) => just(head, body))(transport))
        yield* writer.write(utf8("=0 a\n"))
        yield* settled
        // Five lines fill the connection; one more waits.
        expect(state.pulled).toBe(6)
        yield* TestClock.adjust("1 hour")
        expect(state.pulled).toBe(6)
        const heard = text((yield* pull)[0])
        expect(heard.split("\n")).toHaveLength(7)
        yield* settled
        expect(state.pulled).toBeGreaterThan(6)
        expect(state.pulled).toBeLessThan(14)
      }))

    it.effect("that fails is given up with its failure, and the connection goes on", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) =>
          just(head, Stream.concat(Stream.make("x"), Stream.fail(new Refused({ what: "torn" }))))
        )
        yield* peer.say("=0 a")
        yield* peer.say("=1 b")
        expect(peer.heard()).toEqual(["+0 a", ".0 x", "!0 torn", "+1 b", ".1 x", "!1 torn"])
      }))

    it.effect("that was made of a body that was given up is given up as well", () =>
      Effect.gen(function*() {
        const peer = yield* serving((request) => Effect.succeed(request))
        yield* peer.say("+0 a", ".0 x", "!0", "+1 b", "!1 torn")
        expect(peer.heard().sort()).toEqual(["!0", "!1 torn", "+0 a", "+1 b", ".0 x"])
      }))

    it.effect("that fails ends the connection where the protocol cannot say so, after what was sent of it", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const fiber = yield* Effect.forkChild(Effect.flip(
          Multiplex.serveStreaming(
            plain,
            ({ head }) =>
              Effect.succeed({
                head,
                body: Stream.concat(Stream.make("x"), Stream.fail(new Refused({ what: "torn" })))
              })
          )(
            transport
          )
        ))
        yield* peer.say("=0 a")
        expect(yield* Fiber.join(fiber)).toEqual(new Refused({ what: "torn" }))
        expect(peer.heard()).toEqual(["+0 a", ".0 x"])
      }))

    it.effect("a defect of it ends the connection", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head, Stream.die("bug")))
        yield* peer.say("=0 a")
        const exit = yield* Fiber.await(peer.fiber)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe("bug")
      }))

    it.effect("a chunk that is no frame ends the connection with a local fault", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head, Stream.make("two\nlines")))
        yield* peer.say("=0 a")
        expect(yield* peer.error).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
      }))

    it.effect("keeps the place of its request until it has gone out", () =>
      Effect.gen(function*() {
        const { body, end } = yield* fed()
        const peer = yield* serving(({ head }) => head === "a" ? just(head, body) : just(head), { maxInFlight: 1 })
        yield* peer.say("=0 a", "=1 b")
        expect(peer.heard()).toEqual(["+0 a"])
        yield* end
        expect(peer.heard()).toEqual(["+0 a", ";0", "=1 b"])
      }))
  })

  describe("maxInFlight", () => {
    it.effect("that many requests are under way at once, and the next one when one is answered", () =>
      Effect.gen(function*() {
        const gates = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const started: Array<string> = []
        const peer = yield* serving(({ head }) =>
          Effect.suspend(() => {
            const gate = gates[started.push(head) - 1]
            return Effect.andThen(gate === undefined ? Effect.void : Deferred.await(gate), just(head))
          }), { maxInFlight: 2 })
        yield* peer.say("=0 a", "=1 b", "=2 c")
        expect(started).toEqual(["a", "b"])
        yield* Deferred.succeed(gates[1], undefined)
        yield* settled
        expect(peer.heard()).toEqual(["=1 b", "=2 c"])
      }))

    it.effect("is 64 by default", () =>
      Effect.gen(function*() {
        let started = 0
        const peer = yield* serving(() => Effect.suspend(() => (started++, Effect.never)))
        yield* peer.say(...Array.from({ length: 80 }, (_, i) => `=${i} a`))
        expect(started).toBe(64)
      }))

    it.effect("with refuse, what comes beyond it is answered at once, and its body is dropped", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => head === "a" ? Effect.never : just(head), {
          maxInFlight: 1,
          bodyBuffer: 2,
          refuse: (head) => new Refused({ what: `no ${head}` })
        })
        yield* peer.say("=0 a", "+1 b", ...numbered(5, 1), ";1", "=1 c")
        expect(peer.heard()).toEqual(["!1 no b", "!1 no c"])
      }))

    it.effect("an answered request whose body has not ended has no place", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head), { maxInFlight: 1 })
        yield* peer.say("+0 a", "+1 b", "=2 c")
        expect(peer.heard()).toEqual(["=0 a", "=1 b", "=2 c"])
      }))

    it.effect("a request without a place waits while nobody waits for what is behind it", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const peer = yield* serving(
          (request) => request.head === "a" ? Effect.andThen(Deferred.await(gate), collect(request)) : collect(request),
          { maxInFlight: 1 }
        )
        yield* peer.say("+0 a", "=1 b", ";0")
        yield* TestClock.adjust("1 hour")
        expect(peer.heard()).toEqual([])
      }))

    it.effect("is refused after bodyTimeout where a handler waits for the body behind it", () =>
      Effect.gen(function*() {
        const peer = yield* serving(collect, { maxInFlight: 1, bodyTimeout: "5 seconds" })
        yield* peer.say("+0 a", "+1 b", ".0 x", ".1 y", ";1", ";0", "=1 c")
        yield* TestClock.adjust("4 seconds")
        expect(peer.heard()).toEqual([])
        yield* TestClock.adjust("1 second")
        expect(peer.heard()).toEqual(["!1", "=0 a: x", "=1 c"])
      }))

    it.effect("or ends the connection where the protocol cannot say that", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const fiber = yield* Effect.forkChild(Effect.flip(
          Multiplex.serveStreaming(plain, (request) =>
            Effect.as(Stream.runDrain(request.body ?? Stream.empty), { head: "ok", body: undefined }), {
            maxInFlight: 1,
            bodyTimeout: "5 seconds"
          })(transport)
        ))
        yield* peer.say("+0 a", "=1 b", ";0")
        yield* TestClock.adjust("5 seconds")
        expect(yield* Fiber.join(fiber)).toMatchObject({
          reason: { _tag: "UnexpectedFrame", expected: "nothing but the bodies of 1 requests", excerpt: "\"=1 b\"" }
        })
      }))
  })

  describe("a cancel", () => {
    it.effect("interrupts the handler and drops the body of its request", () =>
      Effect.gen(function*() {
        const interrupted = yield* Deferred.make<void>()
        const peer = yield* serving(
          (request) =>
            request.head === "a"
              ? Effect.onInterrupt(collect(request), () => Deferred.succeed(interrupted, undefined))
              : collect(request),
          {},
          answering
        )
        yield* peer.say("+0 a", ".0 x", "x0", "=0 b")
        yield* Deferred.await(interrupted)
        expect(peer.heard()).toEqual(["~0", "=0 b"])
      }))

    it.effect("stops the body of a response, whose place is free when that is over", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { body, feed } = yield* fed()
        const peer = yield* serving(
          ({ head }) => head === "a" ? just(head, Stream.ensuring(body, Deferred.await(gate))) : just(head),
          { maxInFlight: 1 },
          answering
        )
        yield* peer.say("=0 a")
        yield* feed("x")
        yield* peer.say("x0", "=1 b")
        yield* feed("y")
        expect(peer.heard()).toEqual(["+0 a", ".0 x", "~0"])
        yield* Deferred.succeed(gate, undefined)
        yield* settled
        expect(peer.heard()).toEqual(["+0 a", ".0 x", "~0", "=1 b"])
      }))

    it.effect("ends the body of an answered request, too, and its id is free", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head), {}, answering)
        yield* peer.say("+0 a", ".0 x")
        yield* peer.say("x0", "=0 b")
        expect(peer.heard()).toEqual(["=0 a", "=0 b"])
      }))

    it.effect("of what is answered, or was never asked, does nothing", () =>
      Effect.gen(function*() {
        const peer = yield* serving(collect, {}, answering)
        yield* peer.say("=0 a", "x0", "x5", "=5 b")
        expect(peer.heard()).toEqual(["=0 a", "=5 b"])
      }))

    it.effect("a defect of what was cancelled ends the connection", () =>
      Effect.gen(function*() {
        const { body } = yield* fed()
        const peer = yield* serving(({ head }) => just(head, Stream.ensuring(body, Effect.die("bug"))), {}, answering)
        yield* peer.say("=0 a", "x0")
        const exit = yield* Fiber.await(peer.fiber)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe("bug")
      }))
  })

  describe("failures", () => {
    it.effect("of a handler are answers where the protocol has one for them, and the connection goes on", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => Effect.fail(new Refused({ what: `no ${head}` })))
        yield* peer.say("=0 a", "=1 b")
        expect(peer.heard()).toEqual(["!0 no a", "!1 no b"])
      }))

    it.effect("of a handler end the connection where it has none, after the answers that are ready", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const fiber = yield* Effect.forkChild(Effect.flip(
          Multiplex.serveStreaming(
            plain,
            ({ head }) =>
              head === "a" ? Effect.succeed({ head, body: undefined }) : Effect.fail(new Refused({ what: head }))
          )(transport)
        ))
        yield* peer.say("=0 a", "=1 b")
        expect(yield* Fiber.join(fiber)).toEqual(new Refused({ what: "b" }))
        expect(peer.heard()).toEqual(["=0 a"])
      }))

    it.effect("a defect is never an answer", () =>
      Effect.gen(function*() {
        for (const dies of [() => Effect.die("bug"), () => Effect.andThen(Effect.yieldNow, Effect.die("bug"))]) {
          const peer = yield* serving(dies)
          yield* peer.say("=0 a")
          const exit = yield* Fiber.await(peer.fiber)
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe("bug")
          expect(peer.heard()).toEqual([])
        }
      }))

    it.effect("nor is a handler that throws, or a description that does", () =>
      Effect.gen(function*() {
        const throws = (): never => {
          throw new Error("bug")
        }
        const broken = [
          { handler: throws, frames: aborting },
          { handler: collect, frames: { ...aborting, request: { ...aborting.request, read: throws } } },
          { handler: collect, frames: { ...aborting, response: { ...aborting.response, head: throws } } },
          {
            handler: ({ head }: Request) => just(head, Stream.make("x")),
            frames: { ...aborting, response: { ...aborting.response, chunk: throws } }
          },
          {
            handler: ({ head }: Request) => just(head, Stream.empty),
            frames: { ...aborting, response: { ...aborting.response, end: throws } }
          },
          {
            handler: () => Effect.fail(new Refused({ what: "" })),
            frames: { ...aborting, response: { ...aborting.response, abort: throws } }
          }
        ]
        for (const { frames, handler } of broken) {
          const peer = yield* serving(handler, {}, frames)
          yield* peer.say("=0 a")
          const exit = yield* Fiber.await(peer.fiber)
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toEqual(new Error("bug"))
        }
      }))
  })

  describe("a part where it is not due ends the connection", () => {
    const unexpected = (expected: string, ...said: ReadonlyArray<string>) =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => head === "slow" ? Effect.never : just(head))
        yield* peer.say("=9 a", ...said)
        expect(yield* peer.error).toMatchObject({
          _tag: "UnexpectedFrame",
          expected,
          excerpt: JSON.stringify(said.at(-1))
        })
        // What was ready has gone out.
        expect(peer.heard()[0]).toBe("=9 a")
      })
    const noBody = "a part of a body that has begun and not ended"
    const taken = "a request whose id is not in flight"

    it.effect.each(
      [
        ["a frame that is none of the protocol", "a part of a request", ["?"]],
        ["a chunk without a head", noBody, [".0 x"]],
        ["an end without a head", noBody, [";0"]],
        ["an abort without a head", noBody, ["!0"]],
        ["a chunk behind a head without a body", noBody, ["=0 slow", ".0 x"]],
        ["a chunk behind the end", noBody, ["+0 slow", ";0", ".0 x"]],
        ["a second end", noBody, ["+0 slow", ";0", ";0"]],
        ["a chunk behind an abort", noBody, ["+0 slow", "!0", ".0 x"]],
        ["a chunk behind the end of an answered request", noBody, ["+0 a", ";0", ".0 x"]],
        ["a chunk behind a cancel", noBody, ["+0 slow", "x0", ".0 x"]],
        ["a head whose id is in flight", taken, ["=0 slow", "=0 b"]],
        ["a head inside its own body", taken, ["+0 slow", "+0 b"]],
        ["a head inside the body of an answered request", taken, ["+0 a", "+0 b"]]
      ] as const
    )("%s", ([, expected, said]) => unexpected(expected, ...said))

    it.effect("fails the bodies that are being read", () =>
      Effect.gen(function*() {
        const failure = yield* Deferred.make<unknown>()
        const peer = yield* serving(({ body = Stream.empty }) =>
          Effect.andThen(
            Effect.forkDetach(Effect.flatMap(Effect.flip(Stream.runDrain(body)), (e) => Deferred.succeed(failure, e))),
            Effect.never
          )
        )
        yield* peer.say("+0 a", ".0 x")
        yield* peer.say("?")
        expect(yield* Deferred.await(failure)).toMatchObject({ reason: { _tag: "UnexpectedFrame" } })
      }))

    it.effect("the last 4,096 requests that have not ended are remembered", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) => just(head))
        for (let id = 0; id < 4097; id += 241) {
          yield* peer.say(...Array.from({ length: 241 }, (_, i) => `+${id + i} a`))
        }
        while (peer.heard().length < 4097) yield* settled
        yield* peer.say(".1 x", ".4096 x", "=5000 b")
        expect(peer.heard().at(-1)).toBe("=5000 b")
        yield* peer.say(".0 x")
        expect(yield* peer.error).toMatchObject({ _tag: "UnexpectedFrame", excerpt: "\".0 x\"" })
      }))
  })

  describe("the end", () => {
    it.effect("a peer that has ended its own side still hears everything", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const peer = yield* serving(({ head }) =>
          head === "a" ? just(head, body) : Effect.delay(just(head), "5 millis")
        )
        yield* peer.say("=0 a", "=1 b")
        yield* peer.end
        yield* feed("x")
        yield* TestClock.adjust("5 millis")
        expect(peer.isOver()).toBe(false)
        yield* end
        expect(peer.heard()).toEqual(["+0 a", ".0 x", "=1 b", ";0"])
        yield* Fiber.join(peer.fiber)
      }))

    it.effect("fails the bodies that are not complete, and what is made of that is still sent", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ body = Stream.empty }) =>
          body.pipe(
            Stream.catchIf(isTransportError, ({ reason }) => Stream.make(`(${reason._tag})`)),
            Stream.runCollect,
            Effect.flatMap((chunks) => just(chunks.join(" ")))
          )
        )
        yield* peer.say("+0 a", ".0 x", "+1 b", ".1 y", ";1")
        yield* peer.end
        yield* Fiber.join(peer.fiber)
        expect(peer.heard().toSorted()).toEqual(["=0 x (ConnectionClosed)", "=1 y"])
      }))

    it.effect("the failure of one that was full is said, too", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const peer = yield* serving(
          () => Effect.andThen(Deferred.await(gate), Effect.fail(new Refused({ what: "no" }))),
          {
            bodyBuffer: 1
          }
        )
        yield* peer.say("+0 a", ".0 x", ";0")
        yield* peer.end
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(peer.fiber)
        yield* settled
        expect(peer.heard()).toEqual(["!0 no"])
      }))

    it.effect("a connection that breaks interrupts the handlers and the bodies of responses", () =>
      Effect.gen(function*() {
        const { body, state } = yield* fed()
        const interrupted = yield* Deferred.make<void>()
        const peer = yield* serving((request) =>
          request.head === "a"
            ? just("a", body)
            : Effect.onInterrupt(collect(request), () => Deferred.succeed(interrupted, undefined))
        )
        yield* peer.say("=0 a", "+1 b", ".1 x")
        yield* peer.cut
        expect(yield* peer.error).toMatchObject({ _tag: "Truncated" })
        expect(state.isOver).toBe(true)
        yield* Deferred.await(interrupted)
      }))

    it.effect("an interruption waits for the handlers and for the bodies of responses", () =>
      Effect.gen(function*() {
        const peer = yield* serving(({ head }) =>
          head === "a"
            ? just(head, Stream.ensuring(Stream.never, Effect.sleep("1 second")))
            : Effect.onInterrupt(Effect.never, () => Effect.sleep("2 seconds"))
        )
        yield* peer.say("=0 a", "=1 b")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(peer.fiber))
        yield* TestClock.adjust("1999 millis")
        expect(interrupting.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(interrupting)
      }))

    it.effect("a server that drains receives the rest of the requests that it has, and takes no other", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network({ segments: (bytes) => [bytes] })
        const scope = yield* Scope.make()
        const server = yield* Server.make({ handshake: lines, serve: Multiplex.serveStreaming(aborting, collect) })
          .pipe(
            Effect.provideService(SocketServer.SocketServer, network.server),
            Scope.provide(scope)
          )
        const peer = yield* linePeer(network.client)
        const idle = yield* linePeer(network.client)
        yield* Effect.andThen(peer.say("+0 a", ".0 x"), settled)
        const draining = yield* Effect.forkChild(server.drain)
        yield* settled
        yield* idle.closed
        yield* Effect.andThen(peer.say(".0 y", "+1 b", ".1 z"), settled)
        yield* peer.say(";1", ";0")
        yield* peer.closed
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(draining)
        yield* Scope.close(scope, Exit.void)
        expect(peer.heard()).toEqual(["!1", "=0 a: x y"])
      }))
  })

  it.effect("middleware answers below it, in the middle of a body too", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(Effect.scoped(Effect.flatMap(
        Middleware.pingPong(transport, { pong: (line) => line === "ping" ? "pong" : undefined }),
        Multiplex.serveStreaming(aborting, collect)
      )))
      yield* Effect.andThen(peer.say("+0 a", ".0 x", "ping", ".0 y"), settled)
      expect(peer.heard()).toEqual(["pong"])
      yield* Effect.andThen(peer.say(";0"), settled)
      expect(peer.heard()).toEqual(["pong", "=0 a: x y"])
    }))

  it.effect("handlers and the bodies of their responses have the services of whoever serves", () =>
    Effect.gen(function*() {
      class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}
      const { peer, transport } = yield* connected()
      yield* Effect.forkChild(
        Multiplex.serveStreaming(
          aborting,
          () =>
            Effect.map(Greeting, (head) => ({ head, body: Stream.fromEffect(Effect.map(Greeting, (g) => `${g}!`)) }))
        )(
          transport
        ).pipe(Effect.provideService(Greeting, "hello"))
      )
      yield* Effect.andThen(peer.say("=0 a"), settled)
      expect(peer.heard()).toEqual(["+0 hello", ".0 hello!", ";0"])
    }))
})

// --- The client against a peer of lines ----------------------------------------------------------------------------------

const calling = Effect.fnUntraced(function*(
  frames: typeof silent | typeof aborting = aborting,
  options?: Body.Options & { readonly maxInFlight?: number }
) {
  const { peer, transport } = yield* connected()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const client = yield* Scope.provide(Multiplex.streamingClient(frames, transport, options), scope)
  /** A call in a scope of its own. */
  const call = Effect.fnUntraced(function*(head: string, body?: Stream.Stream<string, Failing>) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const fiber = yield* Effect.forkChild(Scope.provide(client.call({ head, body }), scope))
    yield* settled
    return {
      fiber,
      isDone: () => fiber.pollUnsafe() !== undefined,
      response: Effect.suspend(() => fiber.pollUnsafe() ?? Effect.die("it has no response yet")),
      body: Effect.map(
        Effect.suspend(() => fiber.pollUnsafe() ?? Effect.die("it has no response yet")),
        (response) => response.body ?? Stream.die("it has no body")
      ),
      close: Effect.andThen(Scope.close(scope, Exit.void), settled)
    }
  })
  return {
    ...peer,
    say: (...said: ReadonlyArray<string>) => Effect.andThen(peer.say(...said), settled),
    end: Effect.andThen(peer.end, settled),
    client,
    call,
    close: Scope.close(scope, Exit.void)
  }
})

/** Reads a body beside the test. */
const reading = Effect.fnUntraced(function*(body: Stream.Stream<string, Failing>) {
  const arrays: Array<ReadonlyArray<string>> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEachArray(body, (chunks) => Effect.sync(() => arrays.push([...chunks])))
  )
  yield* settled
  return { arrays, chunks: () => arrays.flat(), fiber }
})

describe("streamingClient", () => {
  it.effect("asks, hears the answer, and closes", () =>
    Effect.gen(function*() {
      const peer = yield* calling()
      const { response } = yield* peer.call("ping")
      expect(peer.heard()).toEqual(["=0 ping"])
      yield* peer.say("=0 pong")
      expect(yield* response).toEqual({ head: "pong", body: undefined })
      yield* peer.close
      expect((yield* Effect.flip(peer.client.awaitEnd)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
    }))

  describe("the body of a request", () => {
    it.effect("leaves in one write with its head and its end where it is there", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        yield* peer.call("a", Stream.make("x", "y"))
        expect(peer.writes).toEqual(["+0 a\n.0 x\n.0 y\n;0\n"])
      }))

    it.effect("leaves as it comes, and is answered", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const peer = yield* calling()
        const { response } = yield* peer.call("a", body)
        expect(peer.heard()).toEqual(["+0 a"])
        yield* feed("x", "y")
        yield* end
        expect(peer.heard()).toEqual(["+0 a", ".0 x", ".0 y", ";0"])
        yield* peer.say("=0 ok")
        expect(yield* response).toEqual({ head: "ok", body: undefined })
      }))

    it.effect("may be empty", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        yield* peer.call("a", Stream.empty)
        expect(peer.writes).toEqual(["+0 a\n;0\n"])
      }))

    it.effect("takes turns with others, and lets a request without one pass", () =>
      Effect.gen(function*() {
        const big = (name: string) => Stream.fromIterable(Array.from({ length: 100 }, (_, i) => `${name}${i}`))
        const peer = yield* calling()
        yield* Effect.forkChild(Effect.scoped(peer.client.call({ head: "a", body: big("a") })))
        yield* Effect.forkChild(Effect.scoped(peer.client.call({ head: "b", body: big("b") })))
        yield* Effect.yieldNow
        yield* Effect.yieldNow
        yield* Effect.forkChild(Effect.scoped(peer.client.call({ head: "quick", body: undefined })))
        while (peer.heard().length < 205) yield* settled
        const heard = peer.heard()
        expect(heard.indexOf("=2 quick")).toBeLessThan(120)
        expect(heard.filter((line) => line !== "=2 quick").slice(2, 34)).toEqual([
          ...Array.from({ length: 16 }, (_, i) => `.0 a${i}`),
          ...Array.from({ length: 16 }, (_, i) => `.1 b${i}`)
        ])
      }))

    it.effect("is pulled one batch ahead of a peer that does not read", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
        const transport = yield* Effect.provideService(lines, Socket.Socket, here)
        const pull = yield* Socket.readerBytes(there)
        const client = yield* Multiplex.streamingClient(aborting, transport)
        const { body, state } = endless("0123456789")
        yield* Effect.forkChild(Effect.scoped(client.call({ head: "a", body })))
        for (let i = 0; i < 5; i++) yield* settled
        yield* TestClock.adjust("1 hour")
        expect(state.pulled).toBe(6)
        yield* pull
        yield* settled
        expect(state.pulled).toBeGreaterThan(6)
        expect(state.pulled).toBeLessThan(14)
      }))

    it.effect("is stopped where the response is complete before it has ended, and the peer is told", () =>
      Effect.gen(function*() {
        for (const [frames, told] of [[aborting, "!0"], [silent, "!0"], [withoutAbort, ";0"]] as const) {
          for (const answer of [["=0 ok"], ["+0 ok", ".0 x", ";0"]]) {
            const { body, feed, state } = yield* fed()
            const peer = yield* calling(frames)
            const { response } = yield* peer.call("a", body)
            yield* feed("x")
            yield* peer.say(...answer)
            expect(yield* response).toMatchObject({ head: "ok" })
            expect(state.isOver).toBe(true)
            expect(peer.heard()).toEqual(["+0 a", ".0 x", told])
          }
        }
      }))

    it.effect("goes on while the response comes", () =>
      Effect.gen(function*() {
        const { body, end, feed } = yield* fed()
        const peer = yield* calling()
        const call = yield* peer.call("a", body)
        yield* peer.say("+0 ok", ".0 1")
        const { chunks, fiber } = yield* reading(yield* call.body)
        expect(chunks()).toEqual(["1"])
        yield* feed("x")
        yield* end
        yield* peer.say(".0 2", ";0")
        yield* Fiber.join(fiber)
        expect(chunks()).toEqual(["1", "2"])
        expect(peer.heard()).toEqual(["+0 a", ".0 x", ";0"])
      }))

    it.effect("its early end is said before its id is used again", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const client = yield* Multiplex.streamingClient({ ...aborting, nextId: () => 0 }, transport, { maxInFlight: 1 })
        yield* Effect.forkScoped(client.call({ head: "a", body: Stream.never }))
        yield* Effect.forkScoped(client.call({ head: "b", body: undefined }))
        yield* settled
        yield* Effect.andThen(peer.say("=0 ok"), settled)
        expect(peer.heard()).toEqual(["+0 a", "!0", "=0 b"])
      }))

    it.effect("a failure of it is told to the server, which answers it", () =>
      Effect.gen(function*() {
        const { body, fail } = yield* fed()
        const peer = yield* calling()
        const { isDone, response } = yield* peer.call("a", body)
        yield* fail("torn")
        expect(peer.heard()).toEqual(["+0 a", "!0 torn"])
        expect(isDone()).toBe(false)
        yield* peer.say("=0 a pity")
        expect(yield* response).toEqual({ head: "a pity", body: undefined })
      }))

    it.effect("a failure that the protocol has no words for fails the call, and is told as one without an error", () =>
      Effect.gen(function*() {
        for (const cut of [new Body.BodyError({ reason: new Body.Aborted({ by: "peer" }) }), "a defect"]) {
          const peer = yield* calling()
          const { fiber } = yield* peer.call(
            "a",
            Stream.concat(Stream.make("x"), typeof cut === "string" ? Stream.die(cut) : Stream.fail(cut))
          )
          expect(peer.heard()).toEqual(["+0 a", ".0 x", "!0"])
          const exit = yield* Fiber.await(fiber)
          expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe(cut)
          // What the server says to that goes nowhere, and the connection goes on.
          yield* peer.say("!0 why")
          yield* peer.call("b")
          yield* peer.say("=1 ok")
          expect(peer.heard()).toEqual(["+0 a", ".0 x", "!0", "=1 b"])
        }
      }))

    it.effect("or is cancelled where the protocol has a cancel, and the response with it", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const peer = yield* calling(silent)
        const call = yield* peer.call("a", Stream.fromEffect(Effect.andThen(Deferred.await(gate), Effect.die("bug"))))
        yield* peer.say("+0 ok", ".0 1")
        yield* Deferred.succeed(gate, undefined)
        yield* settled
        expect(peer.heard()).toEqual(["+0 a", "x0"])
        const exit = yield* Effect.exit(Stream.runDrain(yield* call.body))
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe("bug")
        yield* call.close
        expect(peer.heard()).toEqual(["+0 a", "x0"])
      }))

    it.effect("so it does for whoever reads the response already", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const peer = yield* calling()
        const call = yield* peer.call("a", Stream.fromEffect(Effect.andThen(Deferred.await(gate), Effect.die("bug"))))
        yield* peer.say("+0 ok", ".0 1")
        const { chunks, fiber } = yield* reading(yield* call.body)
        yield* Deferred.succeed(gate, undefined)
        yield* settled
        const exit = yield* Fiber.await(fiber)
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe("bug")
        expect(chunks()).toEqual(["1"])
      }))

    it.effect("a failure of it ends the use of the connection where the protocol cannot give it up", () =>
      Effect.gen(function*() {
        const peer = yield* calling(withoutAbort)
        const other = yield* peer.call("b")
        const { fiber } = yield* peer.call("a", Stream.fail(new Refused({ what: "torn" })))
        expect(yield* Effect.flip(Fiber.join(fiber))).toEqual(new Refused({ what: "torn" }))
        expect(yield* Effect.flip(Fiber.join(other.fiber))).toMatchObject({ reason: { _tag: "ConnectionClosed" } })
        expect(peer.heard()).toEqual(["=0 b", "+1 a"])
      }))

    it.effect("a chunk that is no frame fails its call alone", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        const state = { isOver: false }
        const { fiber } = yield* peer.call(
          "a",
          Stream.ensuring(
            Stream.concat(Stream.make("two\nlines"), Stream.never),
            Effect.sync(() => (state.isOver = true))
          )
        )
        expect(state.isOver).toBe(true)
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
          reason: { _tag: "MalformedFrame", fault: "local" }
        })
        yield* peer.say("!0")
        const next = yield* peer.call("b")
        yield* peer.say("=1 ok")
        expect((yield* next.response).head).toBe("ok")
        expect(peer.heard()).toEqual(["+0 a", "!0", "=1 b"])
      }))

    it.effect("a head that is no frame fails its call alone, and its body is not run", () =>
      Effect.gen(function*() {
        const { body, state } = endless("x")
        const peer = yield* calling()
        const { fiber } = yield* peer.call("two\nlines", body)
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
          reason: { _tag: "MalformedFrame", fault: "local" }
        })
        expect(state.pulled).toBe(0)
        expect(peer.heard()).toEqual([])
      }))

    it.effect("has the services of its caller", () =>
      Effect.gen(function*() {
        class Greeting extends Context.Service<Greeting, string>()("test/Greeting") {}
        const peer = yield* calling()
        yield* Effect.forkChild(
          Effect.scoped(peer.client.call({ head: "a", body: Stream.fromEffect(Effect.map(Greeting, (g) => `${g}!`)) }))
            .pipe(Effect.provideService(Greeting, "hello"))
        )
        yield* settled
        expect(peer.heard()).toEqual(["+0 a", ".0 hello!", ";0"])
      }))
  })

  describe("the body of a response", () => {
    it.effect("is there with its head, and is read as it comes", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        const call = yield* peer.call("a")
        yield* peer.say("+0 ok")
        const { arrays, fiber } = yield* reading(yield* call.body)
        yield* peer.say(".0 1", ".0 2")
        yield* peer.say(".0 3", ";0")
        yield* Fiber.join(fiber)
        expect(arrays).toEqual([["1", "2"], ["3"]])
        expect(peer.heard()).toEqual(["=0 a"])
      }))

    it.effect("comes interleaved with others, each to its own call", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        const a = yield* peer.call("a")
        const b = yield* peer.call("b")
        yield* peer.say("+1 b", "+0 a", ".1 x", ".0 1", ".1 y", ";1", ".0 2", ";0")
        expect(yield* Stream.runCollect(yield* a.body)).toEqual(["1", "2"])
        expect(yield* Stream.runCollect(yield* b.body)).toEqual(["x", "y"])
      }))

    it.effect("fails with what the server has given it up for, and a call with that in the place of a head", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        const calls = [yield* peer.call("a"), yield* peer.call("b"), yield* peer.call("c"), yield* peer.call("d")]
        yield* peer.say("!0 no", "!1", "+2 ok", ".2 x", "!2 torn", "+3 ok", "!3")
        expect(yield* Effect.flip(Fiber.join(calls[0].fiber))).toEqual(new Refused({ what: "no" }))
        expect(yield* Effect.flip(Fiber.join(calls[1].fiber))).toMatchObject({
          reason: { _tag: "Aborted", by: "peer" }
        })
        const { chunks, fiber } = yield* reading(yield* calls[2].body)
        expect(yield* Effect.flip(Fiber.join(fiber))).toEqual(new Refused({ what: "torn" }))
        expect(chunks()).toEqual(["x"])
        expect(yield* Effect.flip(Stream.runDrain(yield* calls[3].body))).toMatchObject({ reason: { _tag: "Aborted" } })
      }))

    it.effect("holds up what is behind the first chunk that it has no room for, until it is read", () =>
      Effect.gen(function*() {
        const peer = yield* calling(aborting, { bodyBuffer: 3 })
        const a = yield* peer.call("a")
        const b = yield* peer.call("b")
        yield* peer.say("+0 a", ...numbered(3, 0), "+1 b")
        expect(b.isDone()).toBe(true)
        const c = yield* peer.call("c")
        yield* peer.say(".0 3", "=2 c", ";0")
        expect(c.isDone()).toBe(false)
        const { chunks, fiber } = yield* reading(yield* a.body)
        yield* Fiber.join(fiber)
        expect(chunks()).toEqual(["0", "1", "2", "3"])
        expect(c.isDone()).toBe(true)
      }))

    it.effect("that nobody reads fails alone as Stalled after bodyTimeout and not before, and is cancelled", () =>
      Effect.gen(function*() {
        const peer = yield* calling(silent, { bodyBuffer: 2, bodyTimeout: "5 seconds" })
        const a = yield* peer.call("a")
        const b = yield* peer.call("b")
        yield* peer.say("+0 a", ...numbered(5, 0), "=1 b")
        yield* TestClock.adjust("4998 millis")
        expect(b.isDone()).toBe(false)
        yield* TestClock.adjust("2 millis")
        expect((yield* b.response).head).toBe("b")
        yield* settled
        expect(peer.heard()).toEqual(["=0 a", "=1 b", "x0"])
        const { chunks, fiber } = yield* reading(yield* a.body)
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ reason: { _tag: "Stalled" } })
        expect(chunks()).toEqual(["0", "1"])
        // Only once.
        yield* a.close
        expect(peer.heard()).toEqual(["=0 a", "=1 b", "x0"])
      }))

    it.effect("has all the time again each time that something was read of it", () =>
      Effect.gen(function*() {
        const peer = yield* calling(aborting, { bodyBuffer: 1, bodyTimeout: "5 seconds" })
        const a = yield* peer.call("a")
        yield* peer.say("+0 a", ...numbered(6, 0), ";0")
        const { chunks, fiber } = yield* reading(
          Stream.tap(yield* a.body, () => Effect.sleep("4 seconds"), { concurrency: 1 })
        )
        yield* TestClock.adjust("24 seconds")
        yield* Fiber.join(fiber)
        expect(chunks()).toHaveLength(6)
      }))

    it.effect("a connection that is given up behind one that is full is noticed", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connected()
        const client = yield* Multiplex.streamingClient(
          aborting,
          yield* Middleware.idleTimeout(transport, "3 seconds"),
          {
            bodyBuffer: 1
          }
        )
        yield* Effect.forkScoped(client.call({ head: "a", body: undefined }))
        yield* settled
        yield* peer.say("+0 a", ".0 1", ".0 2")
        yield* TestClock.adjust("4 seconds")
        expect((yield* Effect.flip(client.awaitEnd)).reason._tag).toBe("TimedOut")
      }))

    it.effect("is given up where its reader stops", () =>
      Effect.gen(function*() {
        const peer = yield* calling(silent, { bodyBuffer: 1 })
        const a = yield* peer.call("a")
        yield* peer.say("+0 a", ".0 1", ".0 2")
        expect(yield* Stream.runCollect(Stream.take(yield* a.body, 1))).toEqual(["1"])
        yield* settled
        expect(peer.heard()).toEqual(["=0 a", "x0"])
        // What comes late is dropped.
        yield* peer.say(".0 3", ".0 4", ".0 5", ";0")
        const b = yield* peer.call("b")
        yield* peer.say("=1 ok")
        expect((yield* b.response).head).toBe("ok")
      }))

    it.effect("is given up where the scope of its call closes, and cannot be read any more", () =>
      Effect.gen(function*() {
        const peer = yield* calling(silent)
        const a = yield* peer.call("a")
        yield* peer.say("+0 a", ".0 1")
        yield* a.close
        expect(peer.heard()).toEqual(["=0 a", "x0"])
        expect(yield* Effect.flip(Stream.runDrain(yield* a.body))).toMatchObject({
          reason: { _tag: "Aborted", by: "local" }
        })
      }))

    it.effect("is not given up where it is complete", () =>
      Effect.gen(function*() {
        const peer = yield* calling(silent)
        const a = yield* peer.call("a")
        yield* peer.say("+0 a", ".0 1", ";0")
        expect(yield* Stream.runCollect(yield* a.body)).toEqual(["1"])
        yield* a.close
        expect(peer.heard()).toEqual(["=0 a"])
      }))

    it.effect("is dropped where the protocol has no cancel, and keeps its place until it has ended", () =>
      Effect.gen(function*() {
        const peer = yield* calling(aborting, { maxInFlight: 1, bodyBuffer: 1 })
        const a = yield* peer.call("a")
        yield* peer.say("+0 a", ".0 1")
        yield* a.close
        yield* peer.call("b")
        yield* peer.say(...numbered(9, 0))
        expect(peer.heard()).toEqual(["=0 a"])
        yield* peer.say(";0")
        expect(peer.heard()).toEqual(["=0 a", "=1 b"])
      }))
  })

  describe("an interrupted call", () => {
    it.effect("that was not sent yet leaves nothing behind", () =>
      Effect.gen(function*() {
        const { body, state } = endless("x")
        const peer = yield* calling(silent, { maxInFlight: 1 })
        yield* peer.call("a")
        const b = yield* peer.call("b", body)
        yield* Fiber.interrupt(b.fiber)
        yield* peer.say("=0 ok")
        expect(peer.heard()).toEqual(["=0 a"])
        expect(state.pulled).toBe(0)
      }))

    it.effect("stops the body of its request, waits for that, and is cancelled", () =>
      Effect.gen(function*() {
        const peer = yield* calling(silent)
        const other = yield* peer.call("b", Stream.never)
        yield* Fiber.interrupt(other.fiber)
        yield* settled
        expect(peer.heard()).toEqual(["+0 b", "x0"])
        peer.writes.length = 0
        const { fiber } = yield* peer.call("a", Stream.ensuring(Stream.never, Effect.sleep("1 second")))
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* settled
        expect(peer.heard()).toEqual(["+1 a", "x1"])
        expect(interrupting.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(interrupting)
        expect(peer.heard()).toEqual(["+1 a", "x1"])
      }))

    it.effect("keeps its id until its cancel was answered, where that is answered", () =>
      Effect.gen(function*() {
        const peer = yield* calling(answering, { maxInFlight: 1 })
        const a = yield* peer.call("a")
        yield* Fiber.interrupt(a.fiber)
        yield* peer.call("b")
        expect(peer.heard()).toEqual(["=0 a", "x0"])
        yield* peer.say("+0 late", ".0 x", "~0")
        expect(peer.heard()).toEqual(["=0 a", "x0", "=1 b"])
      }))

    it.effect("without a cancel, what is left of the body is given up, and the answer goes nowhere", () =>
      Effect.gen(function*() {
        const { body, state } = yield* fed()
        const peer = yield* calling(aborting, { bodyBuffer: 1 })
        const a = yield* peer.call("a", body)
        yield* Fiber.interrupt(a.fiber)
        yield* settled
        expect(state.isOver).toBe(true)
        yield* peer.say("+0 late", ...numbered(5, 0), ";0")
        const b = yield* peer.call("b")
        yield* peer.say("=1 ok")
        expect((yield* b.response).head).toBe("ok")
        expect(peer.heard()).toEqual(["+0 a", "!0", "=1 b"])
      }))

    it.effect("without either, the use of the connection ends, unless its request is complete", () =>
      Effect.gen(function*() {
        const peer = yield* calling(withoutAbort)
        const a = yield* peer.call("a", Stream.make("x"))
        yield* Fiber.interrupt(a.fiber)
        const b = yield* peer.call("b")
        yield* peer.say("=0 late", "=1 ok")
        expect((yield* b.response).head).toBe("ok")
        const c = yield* peer.call("c", Stream.never)
        yield* Fiber.interrupt(c.fiber)
        expect(yield* Effect.flip(peer.client.awaitEnd)).toMatchObject({
          reason: { _tag: "ConnectionClosed", by: "local" }
        })
        expect(peer.heard()).toEqual(["+0 a", ".0 x", ";0", "=1 b", "+2 c"])
      }))
  })

  describe("maxInFlight", () => {
    it.effect("that many calls are sent and not answered to the end, and the next one when one is", () =>
      Effect.gen(function*() {
        const peer = yield* calling(aborting, { maxInFlight: 2 })
        yield* peer.call("a")
        yield* peer.call("b")
        yield* peer.call("c", Stream.make("x"))
        yield* peer.say("+0 ok", ".0 x")
        expect(peer.heard()).toEqual(["=0 a", "=1 b"])
        yield* peer.say(";0")
        expect(peer.heard()).toEqual(["=0 a", "=1 b", "+2 c", ".2 x", ";2"])
      }))

    it.effect("is 64 by default", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        yield* Effect.forEach(Array.from({ length: 80 }), () =>
          Effect.forkChild(Effect.scoped(peer.client.call({ head: "a", body: undefined }))))
        yield* settled
        expect(peer.heard()).toHaveLength(64)
      }))
  })

  describe("a part where it is not due ends the use of the connection", () => {
    it.effect.each(
      [
        ["a frame that is none of the protocol", "a part of a response", ["?"]],
        ["a head for nobody", "a part of a response to a request in flight", ["=5 a"]],
        ["a chunk for nobody", "a part of a response to a request in flight", [".5 a"]],
        ["a chunk in the place of the head", "the head of a response", [".0 x"]],
        ["an end in the place of the head", "the head of a response", [";0"]],
        ["a second head", "one head of a response", ["+0 a", "+0 b"]],
        ["a chunk behind the end", "a part of a response to a request in flight", ["+0 a", ";0", ".0 x"]],
        ["a chunk behind a head without a body", "a part of a response to a request in flight", ["=0 a", ".0 x"]]
      ] as const
    )("%s", ([, expected, said]) =>
      Effect.gen(function*() {
        const { body, state } = yield* fed()
        const peer = yield* calling()
        yield* peer.call("a")
        const other = yield* peer.call("b", body)
        yield* peer.say(...said)
        const reason = { _tag: "UnexpectedFrame", expected, excerpt: JSON.stringify(said.at(-1)) }
        expect(yield* Effect.flip(peer.client.awaitEnd)).toMatchObject({ reason })
        expect(yield* Effect.flip(Fiber.join(other.fiber))).toMatchObject({ reason })
        expect(state.isOver).toBe(true)
      }))
  })

  describe("the end", () => {
    it.effect("fails the calls that wait, the bodies that are read and later calls, and stops the bodies that are sent", () =>
      Effect.gen(function*() {
        const { body, state } = yield* fed()
        const peer = yield* calling()
        const a = yield* peer.call("a")
        const b = yield* peer.call("b", body)
        yield* peer.say("+0 ok", ".0 1")
        const { chunks, fiber } = yield* reading(yield* a.body)
        yield* peer.end
        const reason = { _tag: "ConnectionClosed", by: "peer" }
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ reason })
        expect(chunks()).toEqual(["1"])
        expect(yield* Effect.flip(Fiber.join(b.fiber))).toMatchObject({ reason })
        expect(state.isOver).toBe(true)
        const late = yield* peer.call("c")
        expect(yield* Effect.flip(Fiber.join(late.fiber))).toMatchObject({ reason })
      }))

    it.effect("a body that is complete can still be read", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        const a = yield* peer.call("a")
        yield* peer.say("+0 ok", ".0 1", ";0")
        yield* peer.end
        expect(yield* Stream.runCollect(yield* a.body)).toEqual(["1"])
      }))

    it.effect("when the scope of the client closes it waits for the bodies that are sent", () =>
      Effect.gen(function*() {
        const peer = yield* calling()
        const a = yield* peer.call("a", Stream.ensuring(Stream.never, Effect.sleep("1 second")))
        const closing = yield* Effect.forkChild(peer.close)
        yield* settled
        expect(yield* Effect.flip(Fiber.join(a.fiber))).toMatchObject({
          reason: { _tag: "ConnectionClosed", by: "local" }
        })
        expect(closing.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
      }))
  })
})

// --- Both ----------------------------------------------------------------------------------------------------------------

describe("client and server", () => {
  const both = Effect.fnUntraced(function*(
    handler: (request: Request) => Effect.Effect<Response, Failing>,
    options: Options & MemorySocket.Options = {},
    frames: typeof aborting = aborting
  ) {
    const [here, there] = yield* MemorySocket.pair(options)
    const transport = yield* Effect.provideService(lines, Socket.Socket, there)
    const serving = yield* Effect.forkScoped(Multiplex.serveStreaming(frames, handler, options)(transport))
    const client = yield* Multiplex.streamingClient(
      frames,
      yield* Effect.provideService(lines, Socket.Socket, here),
      options
    )
    return { client, serving }
  })

  const Chunks = Schema.Array(Schema.Literals(["", "a", "bc", "def"]))
  const Exchange = Schema.Struct({
    request: Schema.UndefinedOr(Chunks),
    response: Schema.Literals(["none", "echo", "early"]),
    take: Schema.Literals([0, 1, 100])
  })

  it.effect.prop(
    "what is said in one body arrives in it, whole and in order, however bodies, batches, buffers and bytes are cut",
    {
      exchanges: Schema.Array(Exchange),
      segment: Schema.Literals([1, 3, 1000]),
      capacity: Schema.Literals([8, 100_000]),
      bodyBuffer: Schema.Literals([1, 2, 16]),
      maxInFlight: Schema.Literals([3, 64]),
      rechunk: Schema.Literals([1, 2, 50]),
      cancels: Schema.Boolean
    },
    ({ bodyBuffer, cancels, capacity, exchanges, maxInFlight, rechunk, segment }) =>
      Effect.scoped(Effect.gen(function*() {
        const { client, serving } = yield* both(
          ({ body, head }) => head === "echo" ? just(head, body ?? Stream.empty) : just(head),
          {
            bodyBuffer,
            maxInFlight,
            capacity,
            segments: (bytes) =>
              Array.from(
                { length: Math.ceil(bytes.length / segment) },
                (_, i) => bytes.subarray(i * segment, (i + 1) * segment)
              )
          },
          cancels ? answering : aborting
        )
        const results = yield* Effect.forEach(
          exchanges,
          ({ request, response, take }) =>
            Effect.scoped(Effect.gen(function*() {
              const answer = yield* client.call({
                head: response,
                body: request && Stream.rechunk(Stream.fromIterable(request), rechunk)
              })
              expect(answer.head).toBe(response)
              return answer.body === undefined ? undefined : yield* Stream.runCollect(Stream.take(answer.body, take))
            })),
          { concurrency: "unbounded" }
        )
        expect(results).toEqual(
          exchanges.map(({ request, response, take }) =>
            response === "echo" ? (request ?? []).slice(0, take) : undefined
          )
        )
        // And the connection is as good as new.
        const again = yield* client.call({ head: "echo", body: Stream.make("x", "y") })
        expect(yield* Stream.runCollect(again.body ?? Stream.empty)).toEqual(["x", "y"])
        expect(serving.pollUnsafe()).toBeUndefined()
      })),
    { arbitrary: { runs: 200 } }
  )

  it.effect("a response is a stream of its own where its call is in it", () =>
    Effect.gen(function*() {
      const { client } = yield* both(({ head }) => just(head, Stream.make("a", "b")))
      const chunks = Stream.unwrap(Effect.map(
        client.call({ head: "all", body: undefined }),
        ({ body = Stream.empty }) => body
      ))
      expect(yield* Stream.runCollect(chunks)).toEqual(["a", "b"])
    }))

  it.effect("a proxy passes bodies on in both directions, and how they fail", () =>
    Effect.gen(function*() {
      const behind = yield* both((request) =>
        Effect.succeed({
          head: request.head,
          body: Stream.concat(request.body ?? Stream.empty, Stream.fail(new Refused({ what: "torn" })))
        })
      )
      const scope = yield* Effect.scope
      const { client } = yield* both((request) => Scope.provide(behind.client.call(request), scope))
      const { body = Stream.empty } = yield* client.call({ head: "a", body: Stream.make("x", "y") })
      const { chunks, fiber } = yield* reading(body)
      expect(yield* Effect.flip(Fiber.join(fiber))).toEqual(new Refused({ what: "torn" }))
      expect(chunks()).toEqual(["x", "y"])
    }))

  it.effect("an upload and a download without an end go on together with quick calls, in little memory", () =>
    Effect.gen(function*() {
      const up = endless("up")
      const down = endless("down")
      let received = 0
      const { client } = yield* both(
        ({ body, head }) => {
          if (head === "down") return just(head, down.body)
          if (head !== "up" || body === undefined) return just(head)
          return Effect.andThen(Stream.runForEach(body, () => Effect.sync(() => received++)), just(head))
        },
        {},
        silent
      )
      const uploading = yield* Effect.forkScoped(Effect.scoped(client.call({ head: "up", body: up.body })))
      const downloading = yield* Effect.forkScoped(Stream.runDrain(Stream.unwrap(
        Effect.map(client.call({ head: "down", body: undefined }), ({ body = Stream.empty }) => body)
      )))
      for (let i = 0; i < 20; i++) {
        expect((yield* Effect.scoped(client.call({ head: `${i}`, body: undefined }))).head).toBe(`${i}`)
      }
      yield* settled
      expect(received).toBeGreaterThan(20)
      yield* Fiber.interrupt(uploading)
      yield* Fiber.interrupt(downloading)
      yield* settled
      expect([up.state.isOver, down.state.isOver]).toEqual([true, true])
    }))

  it.live("on real sockets, bodies larger than all that is between go there and back at once", () =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        handshake: lines,
        serve: Multiplex.serveStreaming(aborting, (request) => Effect.succeed(request))
      }).pipe(
        Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 }))
      )
      if (server.address._tag === "UnixPathAddress") return expect.fail("it listens on a port")
      const socket = yield* Net.socket({ host: "127.0.0.1", port: server.address.port })
      const client = yield* Effect.provideService(lines, Socket.Socket, socket).pipe(
        Effect.flatMap((transport) => Multiplex.streamingClient(aborting, transport))
      )
      const chunk = "x".repeat(1024)
      const count = 4096
      const sizeOf = Effect.fnUntraced(function*(head: string) {
        const response = yield* client.call({
          head,
          body: Stream.rechunk(Stream.fromArray(Array.from({ length: count }, () => chunk)), 8)
        })
        expect(response.head).toBe(head)
        return yield* Stream.runFold(response.body ?? Stream.empty, () => 0, (size, part) => size + part.length)
      }, Effect.scoped)
      const sizes = yield* Effect.forEach(["a", "b", "c"], sizeOf, { concurrency: 3 })
      expect(sizes).toEqual(Array.from({ length: 3 }, () => count * chunk.length))
    }))
})
