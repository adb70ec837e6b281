/**
 * Handshakes inside handshakes: one connection, opened once, whoever runs them; what the outer one has not read is the inner
 * one's.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Net from "../src/node/Net.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Laws from "../src/testing/Laws.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Rung from "../src/testing/Rung.ts"
import * as Transport from "../src/Transport.ts"
import { outcomeOf, utf8 } from "./support/conversation.ts"
import * as Law from "./support/laws.ts"
import { echo } from "./support/serving.ts"

const lines = Transport.framed(Codec.lines())

/** A line before the protocol itself, that says where the client really comes from. */
const header = Effect.gen(function*() {
  const transport = yield* lines
  const line = yield* Handshake.step(transport.receive, "address")
  return Transport.extend(transport, { from: line.slice("FROM ".length) })
})

const announcement = lines.pipe(Handshake.send("FROM 192.0.2.1"))

const server = Handshake.inside(({ from }) => Handshake.extend(Line.server, { from }), header)

const client = Line.client.pipe(Handshake.inside(announcement))

type Lines = Transport.Transport<string, string>
type Shaking<T> = Effect.Effect<T, unknown, Socket.Socket | Scope.Scope>

/** The same, as they are written without `inside`: one handshake after the other on the socket of the context. */
const byHand = {
  client: Effect.gen(function*() {
    yield* announcement
    return yield* Line.client
  }).pipe(Handshake.named("addressed line")),
  server: Effect.gen(function*() {
    const { from } = yield* header
    return Transport.extend(yield* Line.server, { from })
  }).pipe(Handshake.named("addressed line"))
}

const kinds: Record<string, { readonly client: Shaking<Lines>; readonly server: Shaking<Lines & { from: string }> }> = {
  "with inside": { client, server },
  "by hand, under one name": byHand,
  "three deep": {
    client: Line.client.pipe(Handshake.inside(announcement), Handshake.inside(Handshake.send(lines, "FROM nowhere"))),
    server: Handshake.inside(server, header)
  }
}

/** Takes a frame and gives it back. */
const givingBack = Sink.fromTransform<string, void, never, never, string>((pull) =>
  Effect.map(Pull.catchDone(pull, () => Effect.die("there is one")), (frames) => [undefined, frames] as const)
)

/** A socket that counts how often it is dialled. */
const counting = (socket: Socket.Socket) => {
  let dialled = 0
  const counted: Socket.Socket = {
    [Socket.TypeId]: Socket.TypeId,
    reader: Effect.suspend(() => {
      dialled++
      return socket.reader
    }),
    writer: socket.writer
  }
  return { socket: counted, dialled: () => dialled }
}

for (const [kind, { client, server }] of Object.entries(kinds)) {
  describe(`a handshake inside another, ${kind}`, () => {
    it.effect("runs over a pair in memory, and each side opens its connection once", () =>
      Effect.gen(function*() {
        const [left, right] = yield* MemorySocket.pair()
        const here = counting(left)
        const there = counting(right)
        const [transport, { from }] = yield* Effect.all([
          Effect.provideService(client, Socket.Socket, here.socket),
          Effect.provideService(server, Socket.Socket, there.socket)
        ], { concurrency: "unbounded" })
        expect(from).toBe("192.0.2.1")
        expect([here.dialled(), there.dialled()]).toEqual([1, 1])
        yield* transport.send("Hello")
      }))

    it.live("dials once under a bare socket of Node", () =>
      Effect.gen(function*() {
        const socketServer = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
        const running = yield* Server.make({ handshake: server, serve: echo }).pipe(
          Effect.provideService(SocketServer.SocketServer, socketServer)
        )
        const transport = yield* Effect.provideServiceEffect(client, Socket.Socket, Net.socket(running.address))
        yield* transport.send("Hello")
        expect(yield* transport.receive).toBe("Hello")
        expect(yield* running.counts).toMatchObject({ connections: 1 })
      }))

    it.effect("runs under Client and Server", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network()
        const running = yield* Server.make({ handshake: server, serve: echo }).pipe(
          Effect.provideService(SocketServer.SocketServer, network.server)
        )
        const connected = yield* Client.connect({ handshake: client, sockets: [Effect.succeed(network.client)] })
        expect(yield* connected.call("Hello")).toBe("Hello")
        expect(yield* running.counts).toMatchObject({ connections: 1 })
      }))
  })
}

describe("inside", () => {
  it.effect("goes on with what came together with the outer handshake", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(server, utf8("FROM 192.0.2.1\nYou ready?\nHello\n"))
      expect(outcome.result).toBe("ready")
      expect(outcome.heard).toBe("Bring it!\n")
    }))

  it.effect("goes on with the frames that a sink of the outer one has given back", () =>
    Effect.gen(function*() {
      const peeking = Effect.tap(lines, (transport) => transport.run(givingBack))
      const outcome = yield* outcomeOf(Handshake.inside(Line.server, peeking), utf8("You ready?\n"))
      expect(outcome.result).toBe("ready")
    }))

  it.effect("does not begin where the outer one has failed", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(
        Handshake.inside(Line.server, Handshake.expect(lines, "PROXY", { orReply: "NO PROXY" })),
        utf8("You ready?\n")
      )
      expect(outcome.result).toMatchObject({ step: "expect \"PROXY\"", reason: { _tag: "InvalidGreeting" } })
      expect(outcome.heard).toBe("NO PROXY\n")
    }))

  it.effect("names the step of the inner one that has failed", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(server, utf8("FROM 192.0.2.1\nHi there\n"))
      expect(outcome.result).toMatchObject({ step: "question" })
      expect(outcome.heard).toBe("No! Go away!\n")
    }))

  it.effect("is bounded in its bytes as a whole", () =>
    Effect.gen(function*() {
      const said = utf8(`FROM ${"x".repeat(40)}\nYou ready?\n`)
      expect((yield* outcomeOf(Handshake.byteLimit(server, said.length), said)).result).toBe("ready")
      expect((yield* outcomeOf(Handshake.byteLimit(server, said.length - 1), said)).result).toMatchObject({
        reason: { _tag: "FrameTooLarge", limit: said.length - 1 }
      })
    }))

  it.effect("is bounded in its time as a whole", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const fiber = yield* Effect.forkChild(
        Effect.scoped(Effect.provideService(Handshake.deadline(server, "2 seconds"), Socket.Socket, here))
      )
      const peer = yield* Effect.provideService(lines, Socket.Socket, there)
      yield* TestClock.adjust("1999 millis")
      yield* peer.send("FROM 192.0.2.1")
      yield* TestClock.adjust("1 millis")
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
        step: "question",
        reason: { _tag: "Timeout" }
      })
    }))
})

describe("a connection that a handshake has opened", () => {
  it.effect("is opened anew where its scope has closed it", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      yield* Server.make({ protocol: Line.protocol, serve: echo }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      const { dialled, socket } = counting(network.client)
      const twice = Effect.andThen(Effect.scoped(Line.client), Line.client).pipe(Handshake.named("twice"))
      const transport = yield* Effect.provideService(twice, Socket.Socket, socket)
      yield* transport.send("Hello")
      expect(yield* transport.receive).toBe("Hello")
      expect(dialled()).toBe(2)
    }))

  it.effect("is dialled anew by each try of the whole", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      yield* Server.make({ protocol: Line.protocol, serve: echo, maxConnections: 0 }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server)
      )
      const { dialled, socket } = counting(network.client)
      yield* Effect.scoped(Line.client).pipe(
        Effect.retry({ times: 2 }),
        Effect.provideService(Socket.Socket, socket),
        Effect.flip
      )
      expect(dialled()).toBe(3)
    }))
})

Laws.handshake<Lines, Lines>({
  name: "addressed line",
  server: Line.server.pipe(
    Handshake.inside(Handshake.expect(lines, "FROM 192.0.2.1", { orReply: "No! Go away!" })),
    Handshake.named("addressed line")
  ),
  client: Handshake.named(client, "addressed line"),
  refusal: { server: "No! Go away!\n" },
  rungs: [Rung.memory, Rung.fast(Rung.pure)],
  runs: Law.runs,
  it: Law.it
})
