import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as NodeNet from "node:net"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import { implOf } from "../src/internal/connection/transport.ts"
import * as Middleware from "../src/Middleware.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Net from "../src/node/Net.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import type { TransportError } from "../src/TransportError.ts"
import { cutInto, rawPeer, utf8 } from "./support/conversation.ts"
import { connectedRaw } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

type Lines = Transport.Transport<string, string>

/** A peer that reads nothing unless it is told to, behind little room. */
const deaf = Effect.fnUntraced(function*() {
  const [here, there] = yield* MemorySocket.pair({ capacity: 64 })
  const { pull } = yield* there.reader
  const writer = yield* there.writer
  const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
  return {
    pull: Effect.map(pull, (chunks) => chunks.map((chunk) => new TextDecoder().decode(chunk as Uint8Array)).join("")),
    say: (text: string) => Effect.orDie(writer.write(utf8(text))),
    transport
  }
})

const pong = (line: string) => line.startsWith("ping") ? line.replace("ping", "pong") : undefined

const pingPong = Middleware.pingPong<Lines>({ pong })

const tagOf = (exit: Exit.Exit<unknown, TransportError>) =>
  Exit.isFailure(exit)
    ? Exit.findErrorOption(exit).pipe((error) => error._tag === "Some" && error.value.reason._tag)
    : ""

/** Every way to take frames, each until the end. */
const ways: Record<string, (transport: Lines) => Effect.Effect<ReadonlyArray<string>, TransportError>> = {
  receive: (transport) => {
    const taken: Array<string> = []
    const loop: Effect.Effect<ReadonlyArray<string>, TransportError> = Effect.flatMap(transport.receive, (line) => {
      taken.push(line)
      return loop
    })
    return Effect.catchReason(loop, "TransportError", "ConnectionClosed", () => Effect.succeed(taken))
  },
  run: (transport) => transport.run(Sink.collect<string>()),
  "run in parts": (transport) =>
    Effect.gen(function*() {
      const taken: Array<string> = []
      while (true) {
        const part = yield* transport.run(Sink.take<string>(2))
        taken.push(...part)
        if (part.length < 2) return taken
      }
    }),
  incoming: (transport) => Stream.runCollect(transport.incoming),
  pipeline: (transport) =>
    Effect.suspend(() => {
      const taken: Array<string> = []
      return Effect.as(
        Pipeline.serve<string, string>((line) => {
          taken.push(line)
          return Effect.succeed("")
        })(transport),
        taken
      )
    })
}

describe("pingPong", () => {
  for (const [name, take] of Object.entries(ways)) {
    it.effect.prop(
      `laws 1 and 2: ${name} sees every other frame in order, and every ping is answered, however they are cut`,
      {
        lines: Schema.Array(Schema.Literals(["ping", "ping2", "a", "bc", "", "pin"])).check(Schema.isMaxLength(30)),
        cuts: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))).check(
          Schema.isMinLength(1),
          Schema.isMaxLength(4)
        ),
        maxUnsent: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))
      },
      ({ cuts, lines, maxUnsent }) =>
        Effect.gen(function*() {
          const [here, there] = yield* MemorySocket.pair({ segments: cutInto(cuts) })
          const peer = yield* rawPeer(there)
          const taking = yield* Transport.framed(Codec.lines()).pipe(
            Effect.flatMap(Middleware.pingPong({ pong, maxUnsent })),
            Effect.flatMap(take),
            Effect.scoped,
            Effect.provideService(Socket.Socket, here),
            Effect.forkChild
          )
          yield* peer.write(utf8(lines.map((line) => `${line}\n`).join("")))
          yield* peer.end
          expect(yield* Fiber.join(taking)).toEqual(lines.filter((line) => !line.startsWith("ping")))
          yield* peer.closed
          expect(peer.heard().split("\n").filter((line) => line !== "")).toEqual(
            lines.filter((line) => line.startsWith("ping")).map((line) => line.replace("ping", "pong"))
          )
        }).pipe(Effect.scoped),
      { arbitrary: { runs: 30 } }
    )
  }

  it.effect("answers before the first request, between requests and while one is served", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const seen: Array<string> = []
      yield* transport.pipe(
        pingPong,
        Effect.flatMap(Pipeline.serve((line) => {
          seen.push(line)
          return Effect.delay(Effect.succeed(line.toUpperCase()), "1 second")
        })),
        Effect.forkChild
      )
      yield* say("ping1\n")
      yield* settled
      expect(peer.heard()).toBe("pong1\n")
      yield* say("slow\nping2\n")
      yield* settled
      expect(peer.heard()).toBe("pong1\npong2\n")
      yield* say("ping3\n")
      yield* settled
      expect(peer.heard()).toBe("pong1\npong2\npong3\n")
      yield* TestClock.adjust("1 second")
      yield* say("ping4\n")
      yield* settled
      expect(peer.heard()).toBe("pong1\npong2\npong3\nSLOW\npong4\n")
      expect(seen).toEqual(["slow"])
    }))

  it.effect("answers behind a service that takes nothing, until readAhead frames wait for it", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* Middleware.pingPong(transport, { pong, readAhead: 2 })
      yield* say("a\nping1\n")
      yield* settled
      expect(peer.heard()).toBe("pong1\n")
      yield* say("b\nping2\n")
      yield* settled
      expect(peer.heard()).toBe("pong1\n")
      expect(yield* middle.receive).toBe("a")
      yield* settled
      expect(peer.heard()).toBe("pong1\npong2\n")
      expect(yield* middle.receive).toBe("b")
    }))

  it.effect("answers while a pipeline has all the requests it may have", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      yield* transport.pipe(
        pingPong,
        Effect.flatMap(
          Pipeline.serve((line) => Effect.delay(Effect.succeed(line), "1 second"), { maxInFlight: 1 })
        ),
        Effect.forkChild
      )
      yield* say("a\nb\nc\nping\n")
      yield* settled
      expect(peer.heard()).toBe("pong\n")
      yield* TestClock.adjust("3 seconds")
      expect(peer.heard()).toBe("pong\na\nb\nc\n")
    }))

  it.effect("what is read ahead is there for whoever waits later, and the rest of a frame comes to it", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* pingPong(transport)
      yield* say("ping\none\ntw")
      yield* settled
      expect(peer.heard()).toBe("pong\n")
      expect(yield* middle.receive).toBe("one")
      const two = yield* Effect.forkChild(middle.receive)
      yield* say("o\n")
      expect(yield* Fiber.join(two)).toBe("two")
    }))

  it.effect("whoever begins to wait just when something was read ahead looks again", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const { connection } = implOf(yield* pingPong(transport))
      yield* settled
      yield* say("one\n")
      yield* settled
      let called = 0
      connection.onReadable(() => called++)
      expect(called).toBe(1)
      connection.onReadable(() => called++)
      expect(called).toBe(1)
    }))

  it.effect("a peer that pings and never reads is read from no more; when it reads, all is answered", () =>
    Effect.gen(function*() {
      const { pull, say, transport } = yield* deaf()
      let asked = 0
      const serving = yield* transport.pipe(
        Middleware.pingPong({
          pong: (line) => {
            asked++
            return pong(line)
          },
          maxUnsent: 8
        }),
        Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))),
        Effect.forkChild
      )
      const pings = Array.from({ length: 500 }, (_, i) => `ping${i}\n`)
      const saying = yield* Effect.forkChild(Effect.forEach([...pings, "end\n"], say))
      yield* TestClock.adjust("1 minute")
      expect(saying.pollUnsafe()).toBeUndefined()
      // What fits into the other direction, and the bound.
      expect(asked).toBeLessThan(30)
      expect(serving.pollUnsafe()).toBeUndefined()
      const pongs = pings.join("").replaceAll("ping", "pong")
      let heard = ""
      while (heard.length < pongs.length + 4) heard += yield* pull
      expect(heard).toBe(`${pongs}end\n`)
    }))

  it.effect("a burst of more than maxUnsent pings is answered, with the requests behind it", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      yield* transport.pipe(
        Middleware.pingPong({ pong, maxUnsent: 3 }),
        Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))),
        Effect.forkChild
      )
      yield* say(`${"ping\n".repeat(10)}request\n`)
      yield* Effect.repeat(settled, { times: 10 })
      expect(peer.heard()).toBe(`${"pong\n".repeat(10)}request\n`)
    }))

  for (
    const [why, first] of Object.entries({
      "behind a frame that is malformed": "\r\u0000x\n",
      "when no more requests are taken": "one\n"
    })
  ) {
    it.effect(`reads nothing ${why}`, () =>
      Effect.gen(function*() {
        let pulls = 0
        const socket = Socket.make({
          reader: Effect.succeed({
            pull: Effect.sync(() => [utf8(pulls++ === 0 ? first : "x\n")] as const),
            upgrade: Socket.SocketUpgradeError.unsupported
          }),
          writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
        })
        const framed = Transport.framed(Codec.lines({ maxLength: 2 }))
        const transport = yield* Effect.provideService(framed, Socket.Socket, socket)
        if (first === "one\n") implOf(transport).connection.closeToRequests()
        yield* pingPong(transport)
        yield* Effect.repeat(settled, { times: 30 })
        expect(pulls).toBeLessThan(3)
      }))
  }

  it.effect("pongs travel together", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const { pull } = yield* there.reader
      const writer = yield* there.writer
      let writes = 0
      const counted = Socket.make({
        reader: here.reader,
        writer: Effect.map(here.writer, (writer) => ({
          ...writer,
          write: (chunk) => {
            writes++
            return writer.write(chunk)
          }
        }))
      })
      yield* Transport.framed(Codec.lines()).pipe(
        Effect.flatMap(pingPong),
        Effect.provideService(Socket.Socket, counted)
      )
      yield* writer.write(utf8("ping1\nping2\nping3\n"))
      yield* settled
      expect(yield* pull).toEqual([utf8("pong1\npong2\npong3\n")])
      expect(writes).toBe(1)
    }))

  it.effect("law 11: the last pongs go out before the connection closes", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const serving = yield* Effect.forkChild(Effect.scoped(
        transport.pipe(pingPong, Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))))
      ))
      yield* Effect.andThen(say("ping\n"), peer.end)
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toBe("pong\n")
    }))

  it.effect("ends with its scope: later pings are frames like any other", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      yield* say("ping1\nping2\n")
      expect(yield* Effect.scoped(Effect.andThen(pingPong(transport), settled))).toBeUndefined()
      expect(peer.heard()).toBe("pong1\npong2\n")
      yield* say("ping3\n")
      expect(yield* transport.receive).toBe("ping3")
    }))

  it.effect("what was read ahead is given to nobody when no more requests are taken", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* pingPong(transport)
      yield* say("one\n")
      yield* settled
      implOf(middle).connection.closeToRequests()
      expect((yield* Effect.flip(middle.receive)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
    }))

  it.effect("a codec switch finds all bytes again, and the old codec's pings are over", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* pingPong(transport)
      yield* say("ping1\nswitch\nab\ncd\nef")
      yield* settled
      expect(yield* middle.receive).toBe("switch")
      const raw = yield* Transport.switchCodec(middle, Codec.fixed(4))
      yield* say("ping2\n")
      expect(yield* Effect.all([raw.receive, raw.receive, raw.receive])).toEqual([
        utf8("ab\nc"),
        utf8("d\nef"),
        utf8("ping")
      ])
      yield* settled
      expect(peer.heard()).toBe("pong1\n")
    }))

  it.effect("a codec switch is refused where a ping from behind an untaken frame is used up", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* pingPong(transport)
      yield* say("switch\nping\nab\n")
      yield* settled
      const error = yield* Effect.flip(Transport.switchCodec(middle, Codec.bytes))
      expect(error.reason).toMatchObject({ _tag: "UnexpectedFrame", excerpt: "\"ping\"" })
      // It goes on as it was.
      expect(yield* middle.receive).toBe("switch")
      yield* Transport.switchCodec(middle, Codec.bytes)
    }))

  it.effect("pongs that are on their way go out before what the next codec sends", () =>
    Effect.gen(function*() {
      const { pull, say, transport } = yield* deaf()
      const middle = yield* pingPong(transport)
      const filling = yield* Effect.forkChild(middle.send("x".repeat(100)))
      yield* settled
      yield* say("ping1\n")
      yield* settled
      yield* say("ping2\n")
      yield* settled
      const sending = yield* Effect.forkChild(
        Effect.flatMap(Transport.switchCodec(middle, Codec.bytes), (raw) => raw.send(utf8("raw")))
      )
      yield* settled
      let heard = ""
      while (!heard.endsWith("raw")) heard += yield* pull
      yield* Effect.andThen(Fiber.join(filling), Fiber.join(sending))
      expect(heard).toBe(`${"x".repeat(100)}\npong1\npong2\nraw`)
    }))

  it.effect("a pong that is no frame ends the connection with a local fault", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const serving = yield* transport.pipe(
        Middleware.pingPong({ pong: (line) => line === "ping" ? "po\nng" : undefined }),
        Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))),
        Effect.flip,
        Effect.forkChild
      )
      yield* say("one\nping\n")
      expect((yield* Fiber.join(serving)).reason).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
      yield* settled
      expect(peer.heard()).toBe("one\n")
    }))

  it.effect("so it does where no more than one may wait", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const serving = yield* transport.pipe(
        Middleware.pingPong({ pong: () => "po\nng", maxUnsent: 1 }),
        Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))),
        Effect.flip,
        Effect.forkChild
      )
      yield* settled
      yield* say("ping\n")
      expect((yield* Fiber.join(serving)).reason._tag).toBe("MalformedFrame")
    }))

  it.effect("nor does it shift the answers that a client takes behind it", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* Middleware.pingPong(transport, {
        pong: (line) => line === "ping" ? "po\nng" : undefined,
        maxUnsent: 2
      })
      const client = yield* Pipeline.client(middle)
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b", "c"], (line) => Effect.exit(client.call(line)), { concurrency: "unbounded" })
      )
      yield* settled
      // More than is taken at once.
      yield* say("ping\nA\nB\nC\n")
      const exits = yield* Fiber.join(calls)
      expect(exits.map((exit) => Exit.isSuccess(exit) ? exit.value : tagOf(exit))).toEqual(["A", "B", "C"])
    }))

  it.effect("nor does it take away an answer that has come with it", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* Middleware.pingPong(transport, { pong: (line) => line === "ping" ? "po\nng" : undefined })
      const client = yield* Multiplex.client({
        request: (id: number, body: string) => `${id} ${body}`,
        fromServer: (line: string) => ({ _tag: "Response", id: Number(line[0]), body: line.slice(2) })
      }, middle)
      const calls = yield* Effect.forkChild(
        Effect.forEach(["a", "b"], (line) => Effect.exit(client.call(line)), { concurrency: "unbounded" })
      )
      yield* settled
      yield* say("ping\n0 A\n")
      const exits = yield* Fiber.join(calls)
      expect(exits.map((exit) => Exit.isSuccess(exit) ? exit.value : tagOf(exit))).toEqual(["A", "MalformedFrame"])
    }))

  it.effect("a function that throws is a defect of this connection", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* Middleware.intercept(transport, (): undefined => {
        throw new Error("a bug")
      })
      yield* say("one\n")
      expect(Exit.hasDies(yield* Effect.exit(middle.receive))).toBe(true)
    }))

  it.effect("observers see pings and pongs, each frame once and in order", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const events: Array<string> = []
      const transport = yield* Transport.framed(Codec.lines()).pipe(
        Effect.flatMap(pingPong),
        Effect.provideService(Transport.CurrentObserver, (event) => {
          if ("frame" in event) events.push(`${event._tag} ${event.frame} ${event.length}`)
        }),
        Effect.provideService(Socket.Socket, here)
      )
      yield* peer.write(utf8("one\nping\ntwo\n"))
      yield* settled
      expect(yield* Effect.all([transport.receive, transport.receive])).toEqual(["one", "two"])
      expect(events.toSorted()).toEqual([
        "Received \"one\" 4",
        "Received \"ping\" 5",
        "Received \"two\" 4",
        "Sent \"pong\" 5"
      ])
    }))

  it.effect("several middlewares are asked in the order in which they were added", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* transport.pipe(
        Middleware.intercept((line) => line === "a" ? ["first"] : undefined),
        Effect.flatMap(Middleware.intercept((line) => line === "a" || line === "b" ? ["second"] : undefined))
      )
      yield* say("a\nb\nc\n")
      expect(yield* middle.receive).toBe("c")
      yield* settled
      expect(peer.heard()).toBe("first\nsecond\n")
    }))

  it.effect("stands between the handshake and the service of a server, and a client's handshake and its calls", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      yield* Layer.build(
        Server.layer({
          protocol: Line.protocol,
          serve: (transport) =>
            transport.pipe(
              pingPong,
              Effect.flatMap(Middleware.idleTimeout("1 hour")),
              Effect.flatMap(Pipeline.serve((line) => Effect.succeed(`${line}!`)))
            )
        }).pipe(Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server)))
      )
      const client = yield* Client.connect({
        handshake: Line.client.pipe(Effect.flatMap(
          Middleware.keepAlive({ ping: "ping", isPong: (line) => line === "pong", interval: "10 seconds" })
        ))
      }).pipe(Effect.provideService(Socket.Socket, network.client))
      expect(yield* client.call("a")).toBe("a!")
      yield* TestClock.adjust("15 minutes")
      expect(yield* client.call("b")).toBe("b!")
    }))
})

describe("keepAlive", () => {
  const keepAlive = Middleware.keepAlive<Lines>({
    ping: "ping",
    isPong: (line) => line === "pong",
    interval: "30 seconds",
    timeout: "10 seconds"
  })

  it.effect("pings after the interval, and ends a connection whose pong does not come in time", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const receiving = yield* transport.pipe(
        keepAlive,
        Effect.flatMap((transport) => transport.receive),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("29999 millis")
      expect(peer.heard()).toBe("")
      yield* TestClock.adjust("1 millis")
      expect(peer.heard()).toBe("ping\n")
      yield* TestClock.adjust("9999 millis")
      expect(receiving.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(receiving)
      expect(error.reason).toMatchObject({ _tag: "TimedOut", waitedFor: "pong", fault: "network" })
      expect(error.message).toBe("the peer did not answer a ping within 10s")
    }))

  it.effect("a ping at which the codec throws is a defect of this connection", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const codec = Codec.make<string>({
        decoder: Codec.lines().decoder,
        encode: (line, into) => {
          into.string(line)
          throw new Error("a bug")
        }
      })
      const receiving = yield* Transport.framed(codec).pipe(
        Effect.provideService(Socket.Socket, here),
        Effect.flatMap(keepAlive),
        Effect.flatMap((transport) => transport.receive),
        Effect.scoped,
        Effect.forkChild
      )
      yield* TestClock.adjust("30 seconds")
      expect(Exit.hasDies(yield* Fiber.await(receiving))).toBe(true)
      // Nothing of what was written before that either.
      expect(peer.heard()).toBe("")
    }))

  it.effect("a pong in time keeps it, and does not reach the service", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const receiving = yield* transport.pipe(
        keepAlive,
        Effect.flatMap((transport) => transport.receive),
        Effect.forkChild
      )
      for (let round = 1; round <= 3; round++) {
        yield* TestClock.adjust("39999 millis")
        expect(peer.heard()).toBe("ping\n".repeat(round))
        yield* say("pong\n")
        yield* Effect.yieldNow
      }
      yield* say("one\n")
      expect(yield* Fiber.join(receiving)).toBe("one")
    }))

  it.effect("a connection that is in use sends no ping, nor one where a long frame arrives", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      yield* transport.pipe(
        keepAlive,
        Effect.flatMap((transport) => Effect.forkScoped(Stream.runDrain(transport.incoming)))
      )
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("29 seconds")
        yield* say("one\n")
      }
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("29 seconds")
        yield* say("a part")
      }
      yield* settled
      expect(peer.heard()).toBe("")
    }))

  it.effect("finds a dead peer while nobody receives, and fails whoever waits to send to it", () =>
    Effect.gen(function*() {
      const { transport } = yield* deaf()
      const middle = yield* keepAlive(transport)
      const sending = yield* Effect.forkChild(
        Effect.flip(Effect.forever(middle.send("0123456789"), { disableYield: true }))
      )
      yield* TestClock.adjust("39 seconds")
      expect(sending.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(sending)).reason._tag).toBe("TimedOut")
      expect((yield* Effect.flip(middle.receive)).reason._tag).toBe("TimedOut")
    }))

  it.effect("fails whoever sends to a dead peer later", () =>
    Effect.gen(function*() {
      const { transport } = yield* connectedRaw()
      const middle = yield* keepAlive(transport)
      yield* TestClock.adjust("40 seconds")
      expect((yield* Effect.flip(middle.send("one"))).reason._tag).toBe("TimedOut")
    }))

  it.effect("ends a pipeline, and interrupts its handlers", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const interrupted = yield* Deferred.make<void>()
      const serving = yield* transport.pipe(
        keepAlive,
        Effect.flatMap(Pipeline.serve<string, string>(() =>
          Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        )),
        Effect.flip,
        Effect.forkChild
      )
      yield* say("one\n")
      yield* TestClock.adjust("41 seconds")
      expect((yield* Fiber.join(serving)).reason._tag).toBe("TimedOut")
      yield* Deferred.await(interrupted)
    }))

  it.effect("a peer that is not listened to is neither pinged nor given up", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* keepAlive(transport)
      yield* say("a\n".repeat(20))
      yield* TestClock.adjust("1 hour")
      expect(peer.heard()).toBe("")
      const rest = yield* Effect.forkChild(Effect.exit(Stream.runDrain(middle.incoming)))
      yield* TestClock.adjust("41 seconds")
      expect(peer.heard()).toBe("ping\n")
      expect(tagOf(yield* Fiber.join(rest))).toBe("TimedOut")
    }))

  it.effect("the interval begins anew when a peer is listened to again", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* keepAlive(transport)
      yield* say("a\n".repeat(20))
      yield* TestClock.adjust("59 seconds")
      yield* Effect.repeat(middle.receive, { times: 19 })
      yield* TestClock.adjust("29 seconds")
      expect(peer.heard()).toBe("")
      yield* TestClock.adjust("2 seconds")
      expect(peer.heard()).toBe("ping\n")
    }))

  it.effect("a peer that has ended its own side is not pinged while it waits for answers", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      const serving = yield* transport.pipe(
        keepAlive,
        Effect.flatMap(Pipeline.serve((line) => Effect.delay(Effect.succeed(line), "5 minutes"))),
        Effect.forkChild
      )
      yield* Effect.andThen(say("late\n"), peer.end)
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toBe("late\n")
    }))

  it.effect("a peer that takes what is written to it, however slowly, is there, also where it says nothing", () =>
    Effect.gen(function*() {
      const { pull, transport } = yield* deaf()
      const middle = yield* keepAlive(transport)
      const sending = yield* Effect.forkChild(Effect.flip(Effect.forever(middle.send("0".repeat(63)))))
      yield* settled
      for (let i = 0; i < 12; i++) {
        yield* TestClock.adjust("9 seconds")
        yield* pull
      }
      expect(sending.pollUnsafe()).toBeUndefined()
      // It takes nothing any more.
      yield* TestClock.adjust("50 seconds")
      expect((yield* Fiber.join(sending)).reason).toMatchObject({ _tag: "TimedOut", waitedFor: "pong" })
    }))

  it.effect("when it has taken all of that, it is asked after the interval, and given up like any other", () =>
    Effect.gen(function*() {
      const { pull, transport } = yield* deaf()
      const middle = yield* keepAlive(transport)
      const ended = yield* Effect.forkChild(Effect.flip(middle.receive))
      yield* Effect.forkChild(middle.sendAll(["0".repeat(60), "1".repeat(60)]))
      yield* TestClock.adjust("35 seconds")
      let heard = ""
      yield* Effect.forkScoped(Effect.forever(Effect.map(pull, (text) => heard += text)))
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.adjust("29999 millis")
      expect(heard).not.toContain("ping")
      yield* TestClock.adjust("1 millis")
      expect(heard).toContain("ping")
      yield* TestClock.adjust("9999 millis")
      expect(ended.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect((yield* Fiber.join(ended)).reason._tag).toBe("TimedOut")
    }))

  it.effect("finds a dead peer where a write to it takes its time", () =>
    Effect.gen(function*() {
      const socket = Socket.make({
        reader: Effect.succeed({ pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
        writer: Effect.succeed({ write: () => Effect.sleep("1 second"), writeAll: () => Effect.sleep("1 second") })
      })
      const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)
      const ended = yield* Effect.forkChild(Effect.flip((yield* keepAlive(transport)).receive))
      yield* TestClock.adjust("41 seconds")
      expect((yield* Fiber.join(ended)).reason._tag).toBe("TimedOut")
    }))

  describe("by what is sent", () => {
    const sends = Middleware.keepAlive<Lines>({
      ping: "ping",
      isPong: (line) => line === "pong",
      interval: "1 minute",
      sendInterval: "20 seconds",
      timeout: "10 seconds"
    })

    it.effect("a client that only receives is heard from", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw()
        const middle = yield* sends(transport)
        yield* Effect.forkScoped(Stream.runDrain(middle.incoming))
        for (let second = 1; second <= 60; second++) {
          yield* peer.say("news\n")
          yield* TestClock.adjust("1 second")
          expect(peer.heard()).toBe("ping\n".repeat(Math.floor(second / 20)))
        }
      }))

    it.effect("what is sent besides counts, answers of a middleware too", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw()
        const middle = yield* Effect.flatMap(
          sends(transport),
          Middleware.intercept((line) => line === "?" ? ["!"] : undefined)
        )
        yield* Effect.forkScoped(Stream.runDrain(middle.incoming))
        yield* TestClock.adjust("19 seconds")
        yield* middle.send("a")
        yield* peer.say("?\n")
        yield* TestClock.adjust("19 seconds")
        yield* peer.say("?\n")
        yield* TestClock.adjust("19 seconds")
        expect(peer.heard()).toBe("a\n!\n!\n")
        yield* TestClock.adjust("1 second")
        expect(peer.heard()).toBe("a\n!\n!\nping\n")
      }))

    it.effect("a peer that keeps silent behind such a ping is given up", () =>
      Effect.gen(function*() {
        const { transport } = yield* connectedRaw()
        const ended = yield* Effect.forkChild(Effect.flip((yield* sends(transport)).receive))
        yield* TestClock.adjust("29999 millis")
        expect(ended.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        expect((yield* Fiber.join(ended)).reason._tag).toBe("TimedOut")
      }))

    it.effect("a peer that is not listened to hears it too, and is not given up", () =>
      Effect.gen(function*() {
        const { peer, transport } = yield* connectedRaw()
        const middle = yield* sends(transport)
        yield* peer.say("a\n".repeat(20))
        yield* TestClock.adjust("1 minute")
        expect(peer.heard()).toBe("ping\n".repeat(3))
        expect(yield* middle.receive).toBe("a")
      }))
  })

  it.live("Node tells of one long write how it goes on", () =>
    Effect.gen(function*() {
      const accepted = yield* Deferred.make<NodeNet.Socket>()
      const server = NodeNet.createServer((conn) => {
        conn.pause()
        Deferred.doneUnsafe(accepted, Exit.succeed(conn))
      })
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const { port } = server.address() as NodeNet.AddressInfo
      const socket = yield* Net.socket({ host: "127.0.0.1", port })
      const transport = yield* Effect.provideService(
        Transport.framed(Codec.lines({ maxLength: 1 << 26 })),
        Socket.Socket,
        socket
      )
      const { connection } = implOf(transport)
      expect(connection.sending).toBeUndefined()
      const sending = yield* Effect.forkChild(transport.send("0".repeat(1 << 25)))
      const peer = yield* Deferred.await(accepted)
      const places = new Set<number | undefined>()
      const look: Effect.Effect<void> = Effect.suspend(() => {
        if (sending.pollUnsafe() !== undefined) return Effect.void
        places.add(connection.sending)
        peer.resume()
        return Effect.andThen(Effect.sleep(1), look)
      })
      yield* look
      expect(places.size).toBeGreaterThan(2)
      peer.destroy()
    }))

  it.effect("is disarmed when its scope closes", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      yield* Effect.scoped(keepAlive(transport))
      const receiving = yield* Effect.forkChild(transport.receive)
      yield* TestClock.adjust("1 hour")
      expect(peer.heard()).toBe("")
      expect(receiving.pollUnsafe()).toBeUndefined()
    }))

  it.effect("sets one timer for all connections, however many frames and middlewares they have", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let sleeps = 0
      const counting: Clock.Clock = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        sleep: (duration) =>
          Effect.suspend(() => {
            sleeps++
            return clock.sleep(duration)
          })
      }
      const serve = Effect.gen(function*() {
        const { peer: { say }, transport } = yield* connectedRaw()
        yield* transport.pipe(
          keepAlive,
          Effect.flatMap(Middleware.idleTimeout("1 hour")),
          Effect.flatMap((transport) => Effect.forkScoped(Stream.runDrain(transport.incoming))),
          Effect.provideService(Clock.Clock, counting)
        )
        return say
      })
      const peers = [yield* serve, yield* serve]
      for (let i = 0; i < 100; i++) {
        for (const say of peers) yield* say("one\n".repeat(10))
        yield* settled
      }
      // For the first one that looks at the time; all others do so later.
      expect(sleeps).toBe(1)
    }))

  it.live("on a real socket, a peer that takes nothing more fails whoever waits to send", () =>
    Effect.gen(function*() {
      const server = yield* Effect.acquireRelease(
        Effect.callback<NodeNet.Server>((resume) => {
          const server = NodeNet.createServer({ pauseOnConnect: true }, (conn) => conn.on("error", () => {}))
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as NodeNet.AddressInfo
      const error = yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* Transport.framed(Codec.lines()).pipe(
          Effect.flatMap(Middleware.keepAlive({
            ping: "ping",
            isPong: (line) => line === "pong",
            interval: "100 millis",
            timeout: "50 millis"
          })),
          Effect.provideServiceEffect(Socket.Socket, Net.socket({ host: "127.0.0.1", port }))
        )
        return yield* Effect.flip(Effect.forever(transport.send("x".repeat(60_000))))
      }))
      expect(error.reason._tag).toBe("TimedOut")
    }))
})

describe("idleTimeout", () => {
  const draining = (transport: Lines) => Effect.forkChild(Effect.exit(Stream.runDrain(transport.incoming)))

  it.effect("ends a connection after the duration, and not one on which a frame came just before", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const idle = yield* transport.pipe(Middleware.idleTimeout("1 minute"), Effect.flatMap(draining))
      yield* TestClock.adjust("59 seconds")
      yield* say("one\n")
      yield* TestClock.adjust("59999 millis")
      expect(idle.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      const error = yield* Effect.flip(Effect.flatten(Fiber.join(idle)))
      expect(error.reason).toMatchObject({ _tag: "TimedOut", waitedFor: "frame", fault: "peer" })
      expect(error.message).toBe("the connection was idle for 1m")
    }))

  it.effect("a peer gains nothing by dribbling bytes", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const idle = yield* transport.pipe(Middleware.idleTimeout("1 minute"), Effect.flatMap(draining))
      for (let i = 0; i < 60; i++) {
        yield* say("x")
        yield* TestClock.adjust("1 second")
      }
      expect(idle.pollUnsafe()).toBeDefined()
      expect(tagOf(yield* Fiber.join(idle))).toBe("TimedOut")
    }))

  it.effect("what the service sends counts, unless only what is received does", () =>
    Effect.gen(function*() {
      const ends = Effect.fnUntraced(function*(counts: "received" | "both") {
        const { transport } = yield* connectedRaw()
        const middle = yield* Middleware.idleTimeout(transport, "1 minute", { counts })
        const idle = yield* draining(middle)
        for (let i = 0; i < 3; i++) {
          yield* TestClock.adjust("40 seconds")
          if (idle.pollUnsafe() === undefined) yield* middle.send("news")
        }
        return idle.pollUnsafe() !== undefined
      })
      expect(yield* ends("both")).toBe(false)
      expect(yield* ends("received")).toBe(true)
    }))

  it.effect("pings and pongs do not count, unless they are told to", () =>
    Effect.gen(function*() {
      const ends = Effect.fnUntraced(function*(handled: boolean) {
        const { peer: { say }, transport } = yield* connectedRaw()
        const idle = yield* transport.pipe(
          pingPong,
          Effect.flatMap(Middleware.idleTimeout("1 minute", { handled })),
          Effect.flatMap(draining)
        )
        for (let i = 0; i < 3; i++) {
          yield* TestClock.adjust("40 seconds")
          yield* say("ping\n")
        }
        return idle.pollUnsafe() !== undefined
      })
      expect(yield* ends(false)).toBe(true)
      expect(yield* ends(true)).toBe(false)
    }))

  it.effect("no time is counted while frames wait for the service", () =>
    Effect.gen(function*() {
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* Middleware.idleTimeout(transport, "1 minute")
      yield* say("one\n")
      yield* TestClock.adjust("1 hour")
      expect(yield* middle.receive).toBe("one")
      const next = yield* Effect.forkChild(Effect.flip(middle.receive))
      yield* TestClock.adjust("59 seconds")
      expect(next.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 minute")
      expect((yield* Fiber.join(next)).reason._tag).toBe("TimedOut")
    }))

  it.effect("leaves room for a last word", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const serving = yield* transport.pipe(
        Middleware.idleTimeout("1 minute"),
        Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line))),
        Effect.catchReason("TransportError", "TimedOut", () => transport.send("421 idle")),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(serving)
      yield* settled
      expect(peer.heard()).toBe("421 idle\n")
    }))

  it.effect("does not wait for a peer that takes nothing", () =>
    Effect.gen(function*() {
      const { say, transport } = yield* deaf()
      const serving = yield* transport.pipe(
        Middleware.idleTimeout("1 minute"),
        Effect.flatMap(Pipeline.serve((line) => Effect.succeed(line.repeat(100)))),
        Effect.flip,
        Effect.forkChild
      )
      yield* say("one\n")
      yield* TestClock.adjust("61 seconds")
      expect((yield* Fiber.join(serving)).reason._tag).toBe("TimedOut")
    }))
})

describe("logFrames", () => {
  interface Logged {
    readonly message: unknown
    readonly level: string
    readonly annotations: Readonly<Record<string, unknown>>
  }

  const logging = (level: "Debug" | "Info") => {
    const logs: Array<Logged> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      logs.push({
        message,
        level: logLevel,
        annotations: Context.get(fiber.context, References.CurrentLogAnnotations)
      })
    })
    const provide = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      effect.pipe(
        Effect.provideService(References.CurrentLoggers, new Set([logger])),
        Effect.provideService(References.MinimumLogLevel, level)
      )
    return { logs, provide }
  }

  it.effect("logs each frame in and out at Debug, those of other middleware too", () =>
    Effect.gen(function*() {
      const { logs, provide } = logging("Debug")
      const { peer: { say }, transport } = yield* connectedRaw()
      const middle = yield* provide(Effect.flatMap(Middleware.logFrames()(transport), pingPong))
      yield* say("one\nping\n")
      expect(yield* middle.receive).toBe("one")
      yield* middle.send("two")
      yield* settled
      expect(logs.map(({ annotations, level, message }) => [level, message, annotations]).toSorted()).toEqual([
        ["Debug", ["received \"one\""], { bytes: 4 }],
        ["Debug", ["received \"ping\""], { bytes: 5 }],
        ["Debug", ["sent \"pong\""], { bytes: 5 }],
        ["Debug", ["sent \"two\""], { bytes: 4 }]
      ])
    }))

  it.effect("costs nothing where Debug is not logged", () =>
    Effect.gen(function*() {
      const { logs, provide } = logging("Info")
      const { transport } = yield* connectedRaw()
      yield* provide(Middleware.logFrames()(transport))
      yield* transport.send("one")
      expect(implOf(transport).observer).toBeUndefined()
      expect(logs).toEqual([])
    }))

  it.effect("law 9: shows no secrets, and nothing without bounds", () =>
    Effect.gen(function*() {
      const { logs, provide } = logging("Debug")
      const [here, there] = yield* MemorySocket.pair()
      yield* rawPeer(there)
      const codec = Codec.map(Codec.lines(), {
        decode: (line: string) => ({ password: Redacted.make(line) }),
        encode: (frame: { readonly password: Redacted.Redacted<string> }) => Redacted.value(frame.password)
      })
      const framed = (describe?: () => string) =>
        Transport.framed(codec, { describe }).pipe(
          Effect.flatMap(Middleware.logFrames()),
          Effect.provideService(Socket.Socket, here),
          provide
        )
      const transport = yield* framed()
      yield* transport.send({ password: Redacted.make("hunter2") })
      expect(JSON.stringify(logs)).toContain("redacted")
      expect(JSON.stringify(logs)).not.toContain("hunter2")
    }))

  it.effect("bounds and escapes what a description of the user's own says", () =>
    Effect.gen(function*() {
      const { logs, provide } = logging("Debug")
      const [here, there] = yield* MemorySocket.pair()
      yield* rawPeer(there)
      const transport = yield* Transport.framed(Codec.lines(), { describe: () => `\u001b[2J${"x".repeat(10_000)}` })
        .pipe(
          Effect.flatMap(Middleware.logFrames()),
          Effect.provideService(Socket.Socket, here),
          provide
        )
      yield* transport.send("one")
      const [message] = logs[0].message as ReadonlyArray<string>
      expect(message).toContain("\\x1b")
      expect(message).not.toContain("\u001b")
      expect(message.length).toBeLessThan(300)
    }))

  it.effect("ends with its scope", () =>
    Effect.gen(function*() {
      const { logs, provide } = logging("Debug")
      const { transport } = yield* connectedRaw()
      const scope = yield* Scope.make()
      yield* provide(Scope.provide(Middleware.logFrames()(transport), scope))
      yield* transport.send("one")
      yield* Scope.close(scope, Exit.void)
      yield* transport.send("two")
      expect(logs.length).toBe(1)
    }))

  it.effect("frameLogger shows the handshake too, with the peer where it is known", () =>
    Effect.gen(function*() {
      const { logs, provide } = logging("Debug")
      const network = yield* MemorySocket.network()
      yield* Layer.build(
        Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(line)) }).pipe(
          Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
        )
      )
      yield* Effect.flatMap(Middleware.frameLogger(), (logger) =>
        Effect.provideService(Line.client, Transport.CurrentObserver, logger)).pipe(
          Effect.provideService(Socket.Socket, network.client),
          provide
        )
      expect(logs.map(({ message }) =>
        message
      )).toEqual([["sent \"You ready?\""], ["received \"Bring it!\""]])
    }))
})

describe("a middleware of one's own", () => {
  it.effect("answers a frame that goes on to the service", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      yield* Middleware.make(transport, (link) => ({
        decide: (line) => {
          if (line.startsWith("SET")) link.answer([`OK ${line}`])
          return undefined
        }
      }))
      yield* say("SET 1\nGET\n")
      yield* settled
      expect(peer.heard()).toBe("OK SET 1\n")
      expect(yield* transport.receive).toBe("SET 1")
      expect(yield* transport.receive).toBe("GET")
    }))

  it.effect("looks at the time when it wants to, and when it asked to", () =>
    Effect.gen(function*() {
      const { peer, peer: { say }, transport } = yield* connectedRaw()
      yield* Middleware.make(transport, (link) => {
        let due = Infinity
        return {
          decide: (line) => {
            due = link.takenAt + Number(line)
            link.look()
            return []
          },
          watch: (now) => {
            if (now < due) return due
            link.say("now")
            return due = Infinity
          }
        }
      })
      yield* TestClock.adjust("1 minute")
      expect(peer.heard()).toBe("")
      yield* say("1000\n")
      yield* TestClock.adjust("999 millis")
      expect(peer.heard()).toBe("")
      yield* TestClock.adjust("1 millis")
      expect(peer.heard()).toBe("now\n")
      yield* TestClock.adjust("1 minute")
      expect(peer.heard()).toBe("now\n")
    }))

  for (const word of ["say", "farewell"] as const) {
    const waits = word === "farewell"
    it.effect(`with ${word}, the end of the connection ${waits ? "waits" : "does not wait"} for its peer`, () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* rawPeer(there)
        const scope = yield* Scope.make()
        yield* Transport.framed(Codec.lines()).pipe(
          Effect.flatMap(Middleware.make<Lines>((link) => {
            link[word]("bye")
            return {}
          })),
          Effect.provideService(Socket.Socket, here),
          Scope.provide(scope)
        )
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settled
        expect(peer.heard()).toBe("bye\n")
        expect(closing.pollUnsafe() === undefined).toBe(waits)
        yield* peer.end
        yield* Fiber.join(closing)
      }))
  }
})
