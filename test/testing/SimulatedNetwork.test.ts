import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import { vi } from "vitest"
import * as Client from "../../src/Client.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import { Simulation } from "../../src/testing/internal/simulation.ts"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.ts"
import { join, text, utf8 } from "../support/conversation.ts"

/** A socket whose reader and writer are acquired. */
const open = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const { pull } = yield* Socket.readerBytes(socket).pipe(Effect.map((pull) => ({ pull })))
  const writer = yield* socket.writer
  return {
    pull: Effect.map(pull, (chunks) => text(join(chunks))),
    /** Pulls to the end, and returns what came and why no more did. */
    pullAll: Effect.gen(function*() {
      const chunks: Array<Uint8Array> = []
      for (;;) {
        const exit = yield* Effect.exit(pull)
        if (Exit.isFailure(exit)) return [join(chunks), reasonOf(exit)] as const
        chunks.push(...exit.value)
      }
    }),
    write: writer.write,
    writeAll: writer.writeAll
  }
})

const reasonOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = Cause.squash(exit.cause)
  if (!Socket.isSocketError(error)) return String(error)
  const { reason } = error
  return reason._tag === "SocketCloseError" ? `SocketCloseError ${reason.code}` : reason._tag
}

const reason = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.map(Effect.exit(effect), reasonOf)

/** Both ends of a connection, open. */
const connected = Effect.fnUntraced(function*(options?: SimulatedNetwork.PairOptions) {
  const [client, server] = yield* SimulatedNetwork.pair(options)
  return { client: yield* open(client), server: yield* open(server) }
})

/** A network whose server answers each chunk, in brackets. */
const answering = Effect.fnUntraced(function*(options?: SimulatedNetwork.Options) {
  const network = yield* SimulatedNetwork.make(options)
  yield* Effect.forkScoped(
    network.server.run((socket) =>
      Effect.scoped(Effect.gen(function*() {
        const { pull, write } = yield* open(socket)
        return yield* Effect.forever(Effect.flatMap(pull, (heard) => write(`(${heard})`)))
      })).pipe(Effect.ignore)
    ),
    { startImmediately: true }
  )
  return network
})

/** What comes of it, and when. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(effect, (value) => Effect.map(Clock.currentTimeMillis, (at) => [value, at] as const))

const forked = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

const hour = TestClock.adjust("1 hour")

describe("time", () => {
  it.effect("bytes arrive when their latency is over, and not before", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { latency: "50 millis" } })
      const pulling = yield* forked(timed(server.pull))
      yield* TestClock.adjust("10 millis")
      yield* client.write("abc")
      yield* TestClock.adjust("49 millis")
      expect(pulling.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(pulling)).toEqual(["abc", 60])
    }))

  it.effect("bandwidth and latency add up, and what is written meanwhile travels together", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { latency: "50 millis", bandwidth: 1000 } })
      const pulling = yield* forked(Effect.all([timed(server.pull), timed(server.pull)]))
      yield* client.write("0123456789")
      yield* client.write("abc")
      yield* client.write("de")
      yield* hour
      expect(yield* Fiber.join(pulling)).toEqual([["0123456789", 60], ["abcde", 65]])
    }))

  it.effect("the way back has conditions of its own", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        toServer: { latency: "50 millis" },
        toClient: { latency: "5 millis" }
      })
      const pulling = yield* forked(timed(client.pull))
      yield* client.write("ping")
      yield* forked(Effect.andThen(server.pull, server.write("pong")))
      yield* hour
      expect(yield* Fiber.join(pulling)).toEqual(["pong", 55])
    }))

  it.effect("jitter comes on top of the latency, and never changes the order", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        seed: "jitter",
        toServer: { latency: "50 millis", jitter: "100 millis", segments: { min: 1, max: 1 } }
      })
      const said = "abcdefghijklmnopqrstuvwxyz"
      const pulling = yield* forked(Effect.replicateEffect(timed(server.pull), said.length))
      for (const letter of said) {
        yield* client.write(letter)
        yield* TestClock.adjust("20 millis")
      }
      yield* hour
      const heard = yield* Fiber.join(pulling)
      expect(heard.map(([letter]) => letter).join("")).toBe(said)
      const delays = heard.map(([, at], i) => at - 20 * i)
      // Those that wait for one before them may be later.
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(50)
      expect(Math.max(...delays)).toBeLessThan(150)
      expect(new Set(delays).size).toBeGreaterThan(10)
    }))

  it.effect("a write goes on when the link is free, long before its bytes arrive", () =>
    Effect.gen(function*() {
      const { client } = yield* connected({ toServer: { latency: "1 second", bandwidth: 1000, sendBuffer: 1 } })
      yield* client.write("0123456789")
      const writing = yield* forked(timed(client.write("abc")))
      yield* hour
      expect(yield* Fiber.join(writing)).toEqual([undefined, 10])
    }))

  it.effect("what is due comes before what is done at the same time", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { bandwidth: 1000 } })
      // It was asleep before the network was.
      const late = yield* forked(Effect.andThen(Effect.sleep("10 millis"), client.write("b")))
      yield* client.write("0123456789")
      yield* client.write("a")
      const pulling = yield* forked(Effect.replicateEffect(timed(server.pull), 3))
      yield* hour
      yield* Fiber.join(late)
      expect(yield* Fiber.join(pulling)).toEqual([["0123456789", 10], ["a", 11], ["b", 12]])
    }))

  it.effect("a clock that lets nobody wait loses nothing", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const hasty = { ...clock, sleep: () => Effect.void }
      const exchanged = Effect.gen(function*() {
        const { client, server } = yield* connected({ toServer: { latency: "1 second" } })
        const heard: Array<string> = []
        for (const said of ["a", "b", "c"]) {
          yield* client.write(said)
          heard.push(yield* server.pull)
        }
        return heard
      })
      const done = yield* forked(Effect.provideService(Effect.scoped(exchanged), Clock.Clock, hasty))
      expect(done.pollUnsafe()).toEqual(Exit.succeed(["a", "b", "c"]))
    }))

  it.effect("without latency and with all bandwidth no time is needed, nor a clock that can wait", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const waiting = { ...clock, sleep: () => Effect.die("nobody waits") }
      const exchanged = Effect.gen(function*() {
        const { client, server } = yield* connected({ toServer: { segments: { min: 2, max: 2 } } })
        yield* client.write("abc")
        const heard = [yield* server.pull, yield* server.pull].join("")
        yield* server.write("answer")
        return [heard, yield* client.pull]
      })
      const simultaneous = Effect.provideService(Effect.scoped(exchanged), Clock.Clock, waiting)
      expect(Effect.runSync(simultaneous)).toEqual(["abc", "answer"])
    }))

  it("runs in a simulated time of its own, without a single turn of the event loop", () => {
    const exchanged = Effect.gen(function*() {
      const conditions: SimulatedNetwork.Conditions = {
        latency: "1 hour",
        jitter: "1 hour",
        segments: { max: 3 },
        bandwidth: 1
      }
      const { client } = yield* answering({ seed: 1, toServer: conditions, toClient: conditions })
      const { pull, write } = yield* open(client)
      yield* write("Hello, is anybody there?")
      let heard = ""
      while (heard.replace(/[()]/g, "").length < 24) heard += yield* pull
      return heard.replace(/[()]/g, "")
    })
    expect(Effect.runSync(new Simulation().run(Effect.scoped(exchanged), undefined))).toEqual(
      Exit.succeed("Hello, is anybody there?")
    )
  })

  it.live("runs on the real clock too", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { latency: "5 millis", segments: { min: 1, max: 1 } } })
      const before = yield* Clock.currentTimeMillis
      yield* client.write("ab")
      expect([yield* server.pull, yield* server.pull]).toEqual(["a", "b"])
      expect((yield* Clock.currentTimeMillis) - before).toBeGreaterThanOrEqual(4)
    }))
})

describe("segments", () => {
  it.effect("by default what has arrived is pulled as one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* client.write("one")
      yield* client.writeAll(["two", utf8("three")])
      expect(yield* server.pull).toBe("onetwothree")
    }))

  it.effect("are pulled one at a time, each as long as the seed says", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ seed: 7, toServer: { segments: { min: 2, max: 4 } } })
      yield* client.write("x".repeat(3000))
      const lengths = (yield* Effect.replicateEffect(server.pull, 900)).map((segment) => segment.length)
      const counts = [2, 3, 4].map((length) => lengths.filter((other) => other === length).length)
      expect(counts[0] + counts[1] + counts[2]).toBe(900)
      for (const count of counts) expect(count).toBeGreaterThan(200)
    }))

  it.effect("are never empty", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { segments: { min: 0, max: 0 } } })
      yield* client.write("ab")
      expect([yield* server.pull, yield* server.pull]).toEqual(["a", "b"])
    }))

  it.effect("join and split what is written while nobody pulls", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { segments: { min: 4, max: 4 } } })
      for (const said of ["a", "bc", "defgh"]) yield* client.write(said)
      expect([yield* server.pull, yield* server.pull]).toEqual(["abcd", "efgh"])
    }))

  it.effect("the writer keeps its array", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const [one, two, three] = [utf8("one"), utf8("two"), utf8("three")]
      yield* client.write(one)
      yield* client.writeAll([two])
      yield* client.writeAll([three, "four"])
      for (const bytes of [one, two, three]) bytes.fill(0)
      expect(yield* server.pull).toBe("onetwothreefour")
    }))
})

describe("buffers", () => {
  it.effect("a write waits from the size of the send buffer on, until all has departed", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { receiveBuffer: 4, sendBuffer: 3 } })
      yield* client.write("abcd")
      yield* client.write("ef")
      const waiting = yield* forked(client.write("g"))
      expect(waiting.pollUnsafe()).toBeUndefined()
      expect(yield* server.pull).toBe("abcd")
      expect(waiting.pollUnsafe()).toEqual(Exit.void)
    }))

  it.effect("a write that waits waits until the last byte has departed", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { receiveBuffer: 4, sendBuffer: 3 } })
      const waiting = yield* forked(client.write("abcdefghi"))
      expect(yield* server.pull).toBe("abcd")
      expect(waiting.pollUnsafe()).toBeUndefined()
      expect(yield* server.pull).toBe("efgh")
      expect(waiting.pollUnsafe()).toEqual(Exit.void)
    }))

  it.effect("all who wait go on when all has departed", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { receiveBuffer: 1, sendBuffer: 1 } })
      yield* client.write("a")
      const waiting = [yield* forked(client.write("b")), yield* forked(client.write("c"))]
      yield* server.pull
      expect(waiting.map((fiber) => fiber.pollUnsafe())).toEqual([undefined, undefined])
      yield* server.pull
      expect(waiting.map((fiber) => fiber.pollUnsafe())).toEqual([Exit.void, Exit.void])
    }))

  it.effect("each direction has 64 KiB on each side unless told otherwise", () =>
    Effect.gen(function*() {
      const { client } = yield* connected()
      yield* client.write(new Uint8Array(2 * 64 * 1024 - 1))
      expect((yield* forked(client.write("x"))).pollUnsafe()).toBeUndefined()
    }))
})

describe("faults", () => {
  const said = "abcdefghij"

  const struck = Effect.fnUntraced(function*(fault: SimulatedNetwork.Fault, options?: SimulatedNetwork.PairOptions) {
    const { client, server } = yield* connected({ ...options, toServer: { ...options?.toServer, faults: [fault] } })
    yield* server.write("for the client")
    yield* client.write(said)
    return { client, server }
  })

  it.effect("an end cuts the direction behind its byte, and the other goes on", () =>
    Effect.gen(function*() {
      for (let after = 0; after <= said.length; after++) {
        const { client, server } = yield* struck({ after, how: "end" })
        expect(yield* server.pullAll).toEqual([utf8(said.slice(0, after)), "SocketCloseError 1000"])
        yield* client.write("more")
        yield* server.write("answer")
        expect(yield* client.pull).toBe("for the clientanswer")
      }
    }))

  it.effect("a reset breaks the connection for both, and what has arrived can still be pulled", () =>
    Effect.gen(function*() {
      const { client, server } = yield* struck({ after: 4, how: "reset" })
      expect(yield* server.pullAll).toEqual([utf8("abcd"), "SocketReadError"])
      expect(yield* client.pullAll).toEqual([utf8("for the client"), "SocketReadError"])
      expect((yield* forked(server.write("x"))).pollUnsafe()).toBeUndefined()
      expect((yield* forked(client.write("x"))).pollUnsafe()).toBeUndefined()
    }))

  it.effect("a losing reset destroys what was not pulled, at both ends", () =>
    Effect.gen(function*() {
      const { client, server } = yield* struck({ after: 4, how: "resetLosing" })
      expect(yield* server.pullAll).toEqual([utf8(""), "SocketReadError"])
      expect(yield* client.pullAll).toEqual([utf8(""), "SocketReadError"])
    }))

  it.effect("a losing reset cannot destroy what a pull has waited for", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        toServer: { segments: { min: 1, max: 1 }, faults: [{ after: 4, how: "resetLosing" }] }
      })
      yield* client.write("abc")
      expect(yield* Effect.replicateEffect(server.pull, 3)).toEqual(["a", "b", "c"])
      yield* client.write("defg")
      expect(yield* server.pullAll).toEqual([utf8(""), "SocketReadError"])
    }))

  it.effect("a reset fails those who wait", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        toServer: { faults: [{ after: 1, how: "resetLosing" }] },
        toClient: { receiveBuffer: 1, sendBuffer: 1 }
      })
      const writing = yield* forked(reason(server.write("much")))
      yield* client.write("x")
      expect(writing.pollUnsafe()).toEqual(Exit.succeed("SocketWriteError"))
    }))

  it.effect("the other end learns of a reset when it has travelled there", () =>
    Effect.gen(function*() {
      const { client } = yield* struck({ after: 4, how: "reset" }, { toClient: { latency: "50 millis" } })
      const pulling = yield* forked(timed(client.pullAll))
      yield* hour
      expect(yield* Fiber.join(pulling)).toEqual([[utf8("for the client"), "SocketReadError"], 50])
    }))

  it.effect("a stall lets nothing through, not even an end, and back-pressure tells the sender", () =>
    Effect.gen(function*() {
      const { client, server } = yield* struck({ after: 4, how: "stall" }, {
        toServer: { receiveBuffer: 10, sendBuffer: 3 }
      })
      expect(yield* server.pull).toBe("abcd")
      const pulling = yield* forked(server.pull)
      yield* client.write("ijklmn")
      const writing = yield* forked(client.write("opq"))
      yield* client.write(new Socket.CloseEvent(1000))
      yield* hour
      expect(pulling.pollUnsafe()).toBeUndefined()
      expect(Exit.isFailure(writing.pollUnsafe()!)).toBe(true)
    }))

  it.effect("strike in the order of their bytes", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({
        toServer: { faults: [{ after: 6, how: "end" }, { after: 3, how: "stall", for: "5 seconds" }] }
      })
      const pulling = yield* forked(timed(server.pullAll))
      yield* client.write(said)
      yield* hour
      expect(yield* Fiber.join(pulling)).toEqual([[utf8("abcdef"), "SocketCloseError 1000"], 5000])
    }))

  it.effect("a stall may be over after a while", () =>
    Effect.gen(function*() {
      const { server } = yield* struck({ after: 4, how: "stall", for: "5 seconds" })
      const pulling = yield* forked(Effect.all([timed(server.pull), timed(server.pull)]))
      yield* hour
      expect(yield* Fiber.join(pulling)).toEqual([["abcd", 0], ["efghij", 5000]])
    }))

  it.effect("those of the other direction strike there", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toClient: { faults: [{ after: 2, how: "end" }] } })
      yield* server.write("abc")
      expect(yield* client.pullAll).toEqual([utf8("ab"), "SocketCloseError 1000"])
      yield* client.write("def")
      expect(yield* server.pull).toBe("def")
    }))

  it.effect("a connection that was reset before its reader is acquired cannot be opened", () =>
    Effect.gen(function*() {
      const [client, server] = yield* SimulatedNetwork.pair({ toServer: { faults: [{ after: 0, how: "reset" }] } })
      expect(yield* reason(server.reader)).toBe("SocketOpenError")
      expect(yield* reason(client.reader)).toBe("SocketOpenError")
    }))
})

describe("pair", () => {
  it.effect("does not go on to send behind the peer's end where it is not half-open", () =>
    Effect.gen(function*() {
      for (const halfOpen of [true, false]) {
        const [client, server] = yield* SimulatedNetwork.pair({ halfOpen })
        const [here, there] = [yield* open(client), yield* open(server)]
        yield* Effect.scoped(client.writer)
        expect(yield* reason(there.pull)).toBe("SocketCloseError 1000")
        const writing = yield* forked(there.write("answer"))
        expect(writing.pollUnsafe() === undefined).toBe(!halfOpen)
        expect(yield* Effect.exit(here.pull)).toMatchObject(halfOpen ? { value: "answer" } : { _tag: "Failure" })
      }
    }))

  it.effect("a close event loses what has not departed", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ toServer: { receiveBuffer: 4 } })
      yield* client.write("abcdef")
      yield* client.write(new Socket.CloseEvent(1000))
      expect(yield* server.pullAll).toEqual([utf8("abcd"), "SocketCloseError 1000"])
    }))

  it.effect("cannot be upgraded", () =>
    Effect.gen(function*() {
      const [client] = yield* SimulatedNetwork.pair()
      const { upgrade } = yield* client.reader
      expect(yield* reason(upgrade())).toBe("SocketUpgradeError")
    }))

  it.effect("closing with as much unread as Node reads ahead resets behind the end, and one byte less does not", () =>
    Effect.gen(function*() {
      for (const unread of [64 * 1024 - 1, 64 * 1024]) {
        const [client, server] = yield* SimulatedNetwork.pair()
        const { pull, write } = yield* open(client)
        const scope = yield* Scope.make()
        yield* Scope.provide(server.reader, scope)
        yield* write(new Uint8Array(unread))
        yield* Scope.close(scope, Exit.void)
        expect(yield* reason(pull)).toBe("SocketCloseError 1000")
        expect(yield* reason(write("x"))).toBe(unread < 64 * 1024 ? "success" : "SocketWriteError")
        if (unread < 64 * 1024) expect(yield* reason(write("x"))).toBe("SocketWriteError")
      }
    }))

  /** A client that has sent so much and waited for the server's last words and its close, before it pulls. */
  const lastWords = (unread: number, harshResets: boolean) =>
    Effect.gen(function*() {
      const [client, server] = yield* SimulatedNetwork.pair({ harshResets })
      const { pullAll, write } = yield* open(client)
      const scope = yield* Scope.make()
      const there = yield* Scope.provide(open(server), scope)
      yield* write(new Uint8Array(unread))
      yield* there.write("bye")
      yield* Scope.close(scope, Exit.void)
      return { pullAll, write }
    })

  it.effect("closing with anything unread destroys the last words where resets are harsh", () =>
    Effect.gen(function*() {
      for (const [unread, harshResets] of [[0, true], [1, true], [1, false]] as const) {
        const { pullAll } = yield* lastWords(unread, harshResets)
        expect(yield* pullAll).toEqual(
          unread > 0 && harshResets ? [utf8(""), "SocketReadError"] : [utf8("bye"), "SocketCloseError 1000"]
        )
      }
    }))

  it.effect("a write after the close destroys the last words at once where resets are harsh, else at the second", () =>
    Effect.gen(function*() {
      for (const harshResets of [true, false]) {
        const { pullAll, write } = yield* lastWords(0, harshResets)
        yield* write("more")
        expect((yield* pullAll)[1]).toBe(harshResets ? "SocketReadError" : "SocketCloseError 1000")
      }
    }))

  it.effect("a harsh reset leaves an end that was pulled as it was", () =>
    Effect.gen(function*() {
      const { pullAll, write } = yield* lastWords(0, true)
      yield* pullAll
      yield* write("more")
      expect((yield* pullAll)[1]).toBe("SocketCloseError 1000")
    }))

  const Directions = {
    seed: Schema.Int,
    said: Schema.Array(Schema.Uint8Array).check(Schema.isMaxLength(20)),
    min: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })),
    more: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10 })),
    latency: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })),
    jitter: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })),
    bandwidth: Schema.Literals([1, 1000, 1_000_000]),
    receiveBuffer: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
    sendBuffer: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))
  }

  it.effect.prop(
    "every byte arrives in order, whatever the conditions",
    Directions,
    ({ min, more, said, seed, ...conditions }) =>
      Effect.scoped(Effect.gen(function*() {
        const toServer = { ...conditions, segments: { min, max: min + more } }
        const [client, server] = yield* SimulatedNetwork.pair({ seed, toServer })
        const { pullAll } = yield* open(server)
        const pulling = yield* forked(pullAll)
        yield* forked(Effect.scoped(Effect.gen(function*() {
          yield* client.reader
          const writer = yield* client.writer
          for (const bytes of said) yield* writer.write(bytes)
        })))
        yield* TestClock.adjust("1 day")
        expect(pulling.pollUnsafe()).toEqual(Exit.succeed([join(said), "SocketCloseError 1000"]))
      }))
  )
})

describe("seeds", () => {
  const conditions: SimulatedNetwork.Conditions = {
    segments: { max: 10 },
    latency: "10 millis",
    jitter: "20 millis",
    // Few bytes take a whole number of milliseconds, and some are written when others have left.
    bandwidth: 7_777,
    sendBuffer: 10
  }

  const logOf = (options: SimulatedNetwork.Options, answers = 1) =>
    Effect.scoped(Effect.gen(function*() {
      const { client, log, server } = yield* SimulatedNetwork.make({
        toServer: conditions,
        toClient: conditions,
        ...options
      })
      yield* forked(server.run((socket) =>
        Effect.scoped(Effect.gen(function*() {
          const { pull, write } = yield* open(socket)
          for (let i = 0; i < answers; i++) yield* write("an answer")
          return yield* Effect.forever(pull)
        })).pipe(Effect.ignore)
      ))
      yield* forked(Effect.scoped(Effect.gen(function*() {
        const { write } = yield* open(client)
        yield* write("a question that is even longer than the answer")
        yield* Effect.sleep("1 second")
      })))
      yield* hour
      return yield* log
    }))

  it.effect("the same seed gives the same run", () =>
    Effect.gen(function*() {
      const log = yield* logOf({ seed: "a seed" }, 10)
      expect(log.length).toBeGreaterThan(20)
      // Whenever it begins.
      yield* TestClock.adjust("0.1 millis")
      expect(yield* logOf({ seed: "a seed" }, 10)).toEqual(log)
    }))

  it.effect("other seeds give others", () =>
    Effect.gen(function*() {
      const logs = yield* Effect.forEach([1, 2, 3, "one", "two"], (seed) => logOf({ seed }))
      expect(new Set(logs.map(SimulatedNetwork.format)).size).toBe(5)
    }))

  it.effect("what one direction carries does not change what happens to the other, nor does another connection", () =>
    Effect.gen(function*() {
      const toServer = (log: ReadonlyArray<SimulatedNetwork.LogEntry>) =>
        log.filter((entry) => entry._tag === "Bytes" && entry.to === "server")
      const quiet = toServer(yield* logOf({ seed: 1 }, 0))
      expect(quiet.length).toBeGreaterThan(3)
      expect(toServer(yield* logOf({ seed: 1 }, 5))).toEqual(quiet)
    }))

  it.effect("the two directions are not alike, nor are two connections", () =>
    Effect.gen(function*() {
      const { client, log, server } = yield* SimulatedNetwork.make({
        seed: 1,
        toServer: { segments: { max: 10 } },
        toClient: { segments: { max: 10 } }
      })
      const talking = (socket: Socket.Socket) =>
        Effect.scoped(Effect.flatMap(open(socket), ({ write }) => Effect.andThen(write("x".repeat(200)), Effect.never)))
      yield* forked(server.run(talking))
      yield* forked(talking(client))
      yield* forked(talking(client))
      const lengths: Record<string, Array<number>> = {}
      for (const entry of yield* log) {
        if (entry._tag === "Bytes") (lengths[`${entry.to} ${entry.connection}`] ??= []).push(entry.length)
      }
      const cuts = Object.values(lengths).map(String)
      expect([cuts.length, new Set(cuts).size]).toEqual([4, 4])
    }))

  it.effect("jitter does not change how bytes are cut", () =>
    Effect.gen(function*() {
      const lengths = (jitter: number) =>
        Effect.map(
          logOf({ seed: 1, toServer: { segments: { max: 10 }, jitter } }),
          (log) => log.flatMap((entry) => entry._tag === "Bytes" && entry.to === "server" ? [entry.length] : [])
        )
      expect(yield* lengths(10)).toEqual(yield* lengths(20))
    }))

  it.effect("without one it comes from Random", () =>
    Effect.gen(function*() {
      const seedOf = Effect.scoped(Effect.map(SimulatedNetwork.make(), (network) => network.seed))
      expect(yield* Random.withSeed(seedOf, 1)).toBe(yield* Random.withSeed(seedOf, 1))
      expect(yield* Random.withSeed(seedOf, 1)).not.toBe(yield* Random.withSeed(seedOf, 2))
      expect(yield* Effect.scoped(Effect.map(SimulatedNetwork.make({ seed: 3 }), (network) => network.seed))).toBe(3)
    }))
})

describe("network", () => {
  it.effect("each acquisition of the client's reader dials, and each connection has conditions of its own", () =>
    Effect.gen(function*() {
      const { client } = yield* answering({
        toServer: { latency: "10 millis" },
        connection: (n) => n === 2 ? { toServer: { latency: "1 second" } } : {}
      })
      const call = timed(Effect.scoped(Effect.gen(function*() {
        const { pull, write } = yield* open(client)
        yield* write("ping")
        return yield* pull
      })))
      const calling = yield* forked(Effect.all([call, call, call]))
      yield* hour
      // To dial takes as long as to write.
      expect(yield* Fiber.join(calling)).toEqual([["(ping)", 20], ["(ping)", 2020], ["(ping)", 2040]])
    }))

  it.effect("dialling takes the latency of both directions, and an interrupted one has never happened", () =>
    Effect.gen(function*() {
      const { client, log } = yield* answering({
        toServer: { latency: "20 millis" },
        toClient: { latency: "10 millis" }
      })
      const dialling = yield* forked(timed(Effect.scoped(client.reader)))
      const givingUp = yield* forked(Effect.scoped(client.reader))
      yield* TestClock.adjust("29 millis")
      expect(dialling.pollUnsafe()).toBeUndefined()
      yield* Fiber.interrupt(givingUp)
      yield* hour
      expect((yield* Fiber.join(dialling))[1]).toBe(30)
      expect((yield* log).filter((entry) => entry._tag === "Connected").map((entry) => entry.connection)).toEqual([1])
    }))

  it.effect("refuses, after as long as to dial takes", () =>
    Effect.gen(function*() {
      const { client } = yield* answering({ dial: "refuse", toServer: { latency: "20 millis" } })
      const dialling = yield* forked(timed(reason(client.reader)))
      yield* hour
      expect(yield* Fiber.join(dialling)).toEqual(["SocketOpenError", 20])
    }))

  it.effect("hangs, until whoever dials gives up", () =>
    Effect.gen(function*() {
      const { client } = yield* answering({ dial: "hang" })
      const dialling = yield* forked(Effect.timeoutOption(client.reader, "1 minute"))
      yield* TestClock.adjust("59 seconds")
      expect(dialling.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 second")
      expect(dialling.pollUnsafe()).toMatchObject({ value: { _tag: "None" } })
    }))

  it.effect("a server that runs inside of another's run takes what comes, for as long as it runs", () =>
    Effect.gen(function*() {
      const { client, server } = yield* SimulatedNetwork.make()
      const saying = (said: string) => (socket: Socket.Socket) =>
        Effect.scoped(Effect.flatMap(open(socket), ({ write }) => Effect.andThen(write(said), Effect.never)))
      const hears = Effect.scoped(Effect.flatMap(open(client), ({ pull }) => pull))
      yield* forked(server.run(saying("outer")))
      expect(yield* hears).toBe("outer")
      const inner = yield* forked(server.run(saying("inner")))
      expect(yield* hears).toBe("inner")
      yield* Fiber.interrupt(inner)
      expect(yield* hears).toBe("outer")
    }))

  it.effect("a connection that is over before the server runs has never been there", () =>
    Effect.gen(function*() {
      for (const halfOpen of [true, false]) {
        const { client, server } = yield* SimulatedNetwork.make({ halfOpen })
        yield* Effect.scoped(client.reader)
        let handled = 0
        yield* forked(server.run(() => Effect.sync(() => handled++)))
        expect(handled).toBe(halfOpen ? 1 : 0)
      }
    }))

  it.effect("once its scope is closed nobody can dial, and who still waits for the server hears the end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { client } = yield* Scope.provide(SimulatedNetwork.make(), scope)
      const { pull } = yield* open(client)
      yield* Scope.close(scope, Exit.void)
      expect(yield* reason(pull)).toBe("SocketCloseError 1000")
      expect(yield* reason(client.reader)).toBe("SocketOpenError")
    }))

  it.effect("the layer connects a server and its clients, and a protocol works over the worst of them", () =>
    Effect.gen(function*() {
      const network = yield* SimulatedNetwork.SimulatedNetwork
      yield* Layer.build(
        Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(`${line}!`)) })
      )
      const calling = yield* forked(Effect.scoped(Effect.gen(function*() {
        const { call } = yield* Client.connect({ protocol: Line.protocol })
        return yield* Effect.all([call("Hello"), call("Goodbye")], { concurrency: 2 })
      })))
      yield* hour
      expect(yield* Fiber.join(calling)).toEqual(["Hello!", "Goodbye!"])
      expect((yield* network.log).length).toBeGreaterThan(20)
    }).pipe(Effect.provide(SimulatedNetwork.layer({
      seed: 1,
      toServer: { segments: { max: 2 }, latency: "50 millis", jitter: "50 millis", receiveBuffer: 3, sendBuffer: 1 },
      toClient: { segments: { max: 2 }, latency: "50 millis", jitter: "50 millis", bandwidth: 100 }
    }))))
})

describe("log", () => {
  it.effect("tells what has happened, and when", () =>
    Effect.gen(function*() {
      const { client, log } = yield* answering({
        toServer: { latency: "20 millis", segments: { min: 3, max: 3 } },
        connection: (n) =>
          n === 2
            ? { dial: "refuse" }
            : n === 3
            ? { toClient: { latency: "0.5 millis", faults: [{ after: 3, how: "resetLosing" }] } }
            : { toServer: { faults: [{ after: 1, how: "stall" }] } }
      })
      yield* forked(Effect.scoped(Effect.flatMap(open(client), ({ write }) => write("Hello"))))
      yield* TestClock.adjust("1 second")
      yield* forked(reason(client.reader))
      yield* TestClock.adjust("1 second")
      yield* forked(
        Effect.scoped(Effect.flatMap(open(client), ({ write }) => Effect.andThen(write("Hello"), Effect.never)))
      )
      yield* TestClock.adjust("1 second")
      expect(SimulatedNetwork.format(yield* log).split("\n")).toEqual([
        "       0 ms  #1 dialled",
        "      20 ms  #1 connected",
        "      40 ms  #1 to server: 1 byte",
        "      40 ms  #1 to server: stalled",
        "    1000 ms  #2 dialled",
        "    1020 ms  #2 refused",
        "    2000 ms  #3 dialled",
        "  2020.5 ms  #3 connected",
        "  2040.5 ms  #3 to server: 3 bytes",
        "  2040.5 ms  #3 to server: 2 bytes",
        "    2041 ms  #3 to client: 3 bytes",
        "    2041 ms  #3 to client: reset, 3 bytes lost",
        "    2061 ms  #3 to server: reset"
      ])
    }))

  it.effect("is bounded", () =>
    Effect.gen(function*() {
      const { client, log } = yield* SimulatedNetwork.make()
      const { write } = yield* open(client)
      for (let i = 0; i < 998; i++) yield* write("x")
      expect((yield* log).map((entry) => entry._tag).slice(0, 3)).toEqual(["Dialled", "Connected", "Bytes"])
      expect((yield* log).length).toBe(1000)
      for (let i = 0; i < 2000; i++) yield* write("x")
      expect((yield* log).every((entry) => entry._tag === "Bytes")).toBe(true)
      expect((yield* log).length).toBe(1000)
    }))
})

describe("report", () => {
  const exchange = (options: SimulatedNetwork.Options) =>
    Effect.gen(function*() {
      const { client } = yield* answering(options)
      const { pull, write } = yield* open(client)
      for (let i = 0; i < 30; i++) yield* Effect.andThen(write("ping"), pull)
    })

  /** What a program prints on a console that is not `TestConsole`. */
  const printedBy = (program: Effect.Effect<unknown, unknown, Scope.Scope>) =>
    Effect.gen(function*() {
      const printed: Array<unknown> = []
      const console: Console.Console = { ...globalThis.console, error: (...args) => void printed.push(...args) }
      yield* Effect.exit(Effect.provideService(Effect.scoped(program), Console.Console, console))
      return printed.join("\n").split("\n")
    })

  it.effect("a failing program prints the seed and what has happened last", () =>
    Effect.gen(function*() {
      const printed = yield* printedBy(Effect.andThen(exchange({ seed: 42 }), Effect.fail("a failure")))
      expect(printed.slice(0, 3)).toEqual([
        "The simulated network had the seed 42; { seed: 42 } gives the same run.",
        "     ... 23 earlier",
        "       0 ms  #1 to client: 6 bytes"
      ])
      expect(printed.length).toBe(42)
    }))

  it.effect("a failing program that was long tells how much is not printed", () =>
    Effect.gen(function*() {
      const long = Effect.gen(function*() {
        const { client } = yield* SimulatedNetwork.make()
        const { write } = yield* open(client)
        for (let i = 0; i < 5000; i++) yield* write("x")
        return yield* Effect.fail("a failure")
      })
      // It was dialled, connected and ended too.
      expect((yield* printedBy(long))[1]).toBe(`     ... ${5003 - 40} earlier`)
    }))

  it.effect("a seed that is drawn is printed too, and gives the same run", () =>
    Effect.gen(function*() {
      const options = { toServer: { segments: { max: 3 } } }
      const failing = (options: SimulatedNetwork.Options) => Effect.andThen(exchange(options), Effect.fail("a failure"))
      const first = yield* printedBy(failing(options))
      const seed = /\{ seed: (\d+) \}/.exec(first[0])
      expect(yield* printedBy(failing({ ...options, seed: Number(seed?.[1]) }))).toEqual(first)
    }))

  it.effect("so does one that is interrupted, and one that succeeds prints nothing", () =>
    Effect.gen(function*() {
      const interrupted = yield* printedBy(Effect.andThen(exchange({ seed: "a seed" }), Effect.interrupt))
      expect(interrupted[0]).toBe(
        "The simulated network had the seed \"a seed\"; { seed: \"a seed\" } gives the same run."
      )
      expect(yield* printedBy(exchange({ seed: 42 }))).toEqual([""])
    }))

  it.effect("the layer does the same for the program that it is provided to", () =>
    Effect.gen(function*() {
      const program = Effect.provide(
        Effect.andThen(SocketServer.SocketServer, Effect.fail("a failure")),
        SimulatedNetwork.layer({ seed: 42 })
      )
      expect(yield* printedBy(program)).toEqual([
        "The simulated network had the seed 42; { seed: 42 } gives the same run."
      ])
    }))

  it.effect("TestConsole does not keep it to itself", () =>
    Effect.gen(function*() {
      const error = vi.spyOn(globalThis.console, "error").mockImplementation(() => {})
      yield* Effect.exit(Effect.scoped(Effect.andThen(SimulatedNetwork.make({ seed: 42 }), Effect.fail("a failure"))))
      expect(error.mock.calls.map(String)).toEqual([expect.stringContaining("{ seed: 42 }")])
      error.mockRestore()
    }))
})
