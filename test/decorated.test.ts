/**
 * A decorated part is used as decorated: a socket server whose `run` is another one, and a socket whose reader or writer is,
 * however that was written.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Net from "../src/node/Net.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Direct from "../src/testing/internal/direct.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { echo } from "./support/serving.ts"
import * as Tcp from "./support/tcp.ts"

type Listening = SocketServer.SocketServer["Service"]

const portOf = ({ address }: Server.Server["Service"]): number => address._tag === "UnixPathAddress" ? 0 : address.port

class Wrapped implements Pick<Listening, "run" | "address"> {
  readonly address: Listening["address"]
  readonly run: Listening["run"]

  constructor(inner: Listening, run: Listening["run"]) {
    this.address = inner.address
    this.run = run
  }
}

/** The ways in which a socket server is given another `run`. */
const servers: Record<string, (inner: Listening, run: Listening["run"]) => Listening> = {
  "by spread": (inner, run) => ({ ...inner, run }),
  "by Object.assign": (inner, run) => Object.assign({}, inner, { run }),
  "by Object.create": (inner, run) => Object.create(inner, { run: { value: run } }) as Listening,
  "by a class": (inner, run) => new Wrapped(inner, run)
}

for (const [how, decorate] of Object.entries(servers)) {
  describe(`a socket server that is decorated ${how}`, () => {
    const serving = Effect.fnUntraced(function*(inner: Listening) {
      let seen = 0
      const run: Listening["run"] = (handler) =>
        inner.run((socket) => {
          seen++
          return handler(socket)
        })
      const server = yield* Server.make({ protocol: Line.protocol, serve: echo }).pipe(
        Effect.provideService(SocketServer.SocketServer, decorate(inner, run))
      )
      return { server, seen: () => seen }
    })

    it.live("on Node is run through its decoration, and tells who its peers are", () =>
      Effect.gen(function*() {
        const { seen, server } = yield* serving(yield* Net.makeServer({ host: "127.0.0.1", port: 0 }))
        const accepted = yield* server.events.pipe(
          Stream.runHead,
          Effect.forkScoped({ startImmediately: true })
        )
        const client = yield* Client.connect({ protocol: Line.protocol, sockets: [Net.socket(server.address)] })
        expect(yield* client.call("Hello")).toBe("Hello")
        expect(seen()).toBe(1)
        expect(Option.getOrThrow(yield* Fiber.join(accepted))).toMatchObject({
          _tag: "Accepted",
          peer: { local: server.address }
        })
      }))

    it.live("on Node drains, and leaves nothing open", () =>
      Effect.gen(function*() {
        const { seen, server } = yield* serving(yield* Net.makeServer({ host: "127.0.0.1", port: 0 }))
        const peer = yield* Tcp.dial(portOf(server))
        yield* peer.say("You ready?\nHello\n")
        yield* peer.hears("Bring it!\nHello\n")
        yield* server.drain
        yield* peer.over
        expect(seen()).toBe(1)
        expect(yield* server.counts).toEqual({ connections: 0, pending: 0, refusing: 0 })
      }))

    it.effect("in memory is run through its decoration", () =>
      Effect.gen(function*() {
        const network = yield* MemorySocket.network()
        const { seen } = yield* serving(network.server)
        const client = yield* Client.connect({ protocol: Line.protocol, sockets: [Effect.succeed(network.client)] })
        expect(yield* client.call("Hello")).toBe("Hello")
        expect(seen()).toBe(1)
      }))
  })
}

it.live("a filter before the handshake turns away whom it does not like", () =>
  Effect.gen(function*() {
    const inner = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
    const nobody: Listening = { ...inner, run: () => inner.run(closed) }
    const server = yield* Server.make({ protocol: Line.protocol, serve: echo }).pipe(
      Effect.provideService(SocketServer.SocketServer, nobody)
    )
    const peer = yield* Tcp.dial(portOf(server))
    yield* peer.over
    expect(peer.heard()).toBe("")
  }))

/** Opens a connection and closes it. */
const closed = (socket: Socket.Socket) => Effect.asVoid(Effect.ignore(Effect.scoped(socket.reader)))

/** The ways in which a socket is given another reader or writer. */
const sockets: Record<string, (inner: Socket.Socket, parts: Partial<Socket.Socket>) => Socket.Socket> = {
  "by spread": (inner, parts) => ({ ...inner, ...parts }),
  "by Object.create": (inner, parts) =>
    Object.create(
      inner,
      Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, { value }]))
    ) as Socket.Socket,
  "by Socket.make": (inner, parts) => Socket.make({ reader: inner.reader, writer: inner.writer, ...parts })
}

const connected = (socket: Socket.Socket) =>
  Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket)

/** What stands for the connection of a transport, for a handshake inside. */
const opened = (socket: Socket.Socket) => Effect.map(connected(socket), Transport.socket)

type Two = Effect.Effect<readonly [here: Socket.Socket, there: Socket.Socket], unknown, Scope.Scope>

const onNode: Two = Effect.gen(function*() {
  const server = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
  const accepted = yield* Effect.forkScoped(Effect.callback<Socket.Socket>((resume) => {
    const fiber = Effect.runFork(server.run((socket) => {
      resume(Effect.succeed(socket))
      return Effect.never
    }))
    return Effect.sync(() => fiber.interruptUnsafe())
  }))
  const there = yield* opened(yield* Net.socket(server.address))
  return [yield* Fiber.join(accepted), there] as const
})

const pairs: Record<string, Two> = {
  "in memory": MemorySocket.pair(),
  "with a source of its own": Effect.sync(() => Direct.pair()),
  "of an open connection": Effect.flatMap(
    MemorySocket.pair(),
    ([here, there]) => Effect.map(opened(here), (here) => [here, there] as const)
  ),
  "of Node": onNode
}

for (const [what, pair] of Object.entries(pairs)) {
  for (const [how, decorate] of Object.entries(sockets)) {
    describe(`a socket ${what} that is decorated ${how}`, () => {
      it.live("is read through its reader", () =>
        Effect.gen(function*() {
          const [here, there] = yield* pair
          let pulled = 0
          const reader = Effect.map(here.reader, (reader) => ({
            ...reader,
            pull: Effect.tap(reader.pull, (chunks) =>
              Effect.sync(() => {
                for (const chunk of chunks) pulled += chunk.length
              }))
          }))
          const transport = yield* connected(decorate(here, { reader }))
          const peer = yield* connected(there)
          yield* peer.send("Hello")
          expect(yield* transport.receive).toBe("Hello")
          expect(pulled).toBe(6)
        }))

      it.live("is written through its writer", () =>
        Effect.gen(function*() {
          const [here, there] = yield* pair
          let written = 0
          const writer = Effect.map(here.writer, (writer): Socket.Writer => ({
            write: (chunk) => {
              if (!Socket.isCloseEvent(chunk)) written += chunk.length
              return writer.write(chunk)
            },
            writeAll: (chunks) => {
              for (const chunk of chunks) written += chunk.length
              return writer.writeAll(chunks)
            }
          }))
          const transport = yield* connected(decorate(here, { writer }))
          const peer = yield* connected(there)
          yield* transport.send("Hello")
          expect(yield* peer.receive).toBe("Hello")
          expect(written).toBe(6)
        }))
    })
  }
}

it.effect("a socket inside a handshake that is decorated there is used as decorated", () =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    let pulled = 0
    const counting = <A, E, R>(handshake: Effect.Effect<A, E, R>) =>
      Effect.updateService(handshake, Socket.Socket, (socket) => ({
        ...socket,
        reader: Effect.map(socket.reader, (reader) => ({
          ...reader,
          pull: Effect.tap(reader.pull, () => Effect.sync(() => pulled++))
        }))
      }))
    const peer = yield* connected(there)
    yield* peer.send("You ready?")
    yield* Effect.provideService(Handshake.named(counting(Line.server), "counted"), Socket.Socket, here)
    expect(yield* peer.receive).toBe("Bring it!")
    expect(pulled).toBeGreaterThan(0)
  }))
