/**
 * A socket or a socket server that somebody has wrapped is used as it was wrapped, however that was done.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Net from "../src/node/Net.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as Direct from "../src/testing/internal/direct.ts"
import * as Fast from "../src/testing/internal/fast.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import type * as Transport from "../src/Transport.ts"
import { lines } from "./support/linePeer.ts"
import { echo, settled } from "./support/serving.ts"

class Decorated {
  readonly inner: object

  constructor(inner: object, parts: object) {
    this.inner = inner
    Object.assign(this, inner, parts)
  }
}

/** The ways in which somebody may replace parts of an object and keep the rest. */
const ways: Record<string, <A extends object>(inner: A, parts: Partial<A>) => A> = {
  "a spread": (inner, parts) => ({ ...inner, ...parts }),
  "Object.create": (inner, parts) => Object.create(inner, Object.getOwnPropertyDescriptors(parts)),
  "a class": (inner, parts) => new Decorated(inner, parts) as typeof inner, // what it has it is assigned
  "a Proxy": (inner, parts) =>
    new Proxy(inner, { get: (target, key) => Reflect.get(key in parts ? parts : target, key) })
}

/** Parts of a socket that make what is read, or written, lie about a greeting. */
const parts: Record<string, (socket: Socket.Socket) => Partial<Socket.Socket>> = {
  reader: (socket) => ({ reader: Effect.map(socket.reader, (reader) => ({ ...reader, pull: readsLoud(reader) })) }),
  writer: (socket) => ({ writer: Effect.map(socket.writer, writesLoud) }),
  "reader and writer": (socket) => ({ ...parts.reader(socket), ...parts.writer(socket) })
}

const loud = (chunk: Uint8Array | string) =>
  (typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)).replaceAll("hello", "HELLO")

const readsLoud = (reader: Socket.Reader): Socket.Reader["pull"] =>
  Effect.map(reader.pull, (chunks) => [chunks.map(loud).join("")])

const writesLoud = (writer: Socket.Writer): Socket.Writer => ({
  write: (chunk) => writer.write(Socket.isCloseEvent(chunk) ? chunk : loud(chunk)),
  writeAll: (chunks) => writer.write(chunks.map(loud).join(""))
})

type Lines = Transport.Transport<string, string>

/** Asks and answers over this socket while the other end says the same back. */
const talked = (socket: Socket.Socket) =>
  Effect.provideService(
    Effect.tap(lines, (transport) => transport.send("hello")).pipe(Effect.flatMap((transport) => transport.receive)),
    Socket.Socket,
    socket
  )

const echoing = (socket: Socket.Socket) =>
  Effect.forkScoped(Effect.provideService(Effect.flatMap(lines, echo), Socket.Socket, socket))

const server = (
  socketServer: SocketServer.SocketServer["Service"],
  serve: (lines: Lines) => Effect.Effect<unknown, unknown> = echo
) =>
  Server.make({ protocol: Line.protocol, serve }).pipe(
    Effect.provideService(SocketServer.SocketServer, socketServer)
  )

const listening = Net.makeServer({ host: "127.0.0.1", port: 0 })

const told = (socket: Effect.Effect<Socket.Socket>) =>
  Effect.flatMap(Client.connect({ protocol: Line.protocol, sockets: [socket] }), ({ call }) => call("hello"))

for (const [way, decorated] of Object.entries(ways)) {
  describe(`a socket server whose run was replaced by ${way}`, () => {
    it.live("is served through it, on Net", () =>
      Effect.gen(function*() {
        const inner = yield* listening
        let seen = 0
        const { address } = yield* server(decorated(inner, {
          run: (handler) =>
            inner.run((socket) => {
              seen++
              return handler(socket)
            })
        }))
        expect(yield* told(Net.socket(address))).toBe("hello")
        expect(seen).toBe(1)
      }))

    it.live("keeps out whom it does not let through, on Net", () =>
      Effect.gen(function*() {
        const inner = yield* listening
        const { address } = yield* server(decorated(inner, { run: () => inner.run(() => Effect.void) }))
        const error = yield* Effect.flip(told(Net.socket(address)))
        expect(error).toMatchObject({ reason: { _tag: "UnexpectedEnd" } })
      }))

    it.effect("is served through it, in memory", () =>
      Effect.gen(function*() {
        const { server: inner } = yield* Fast.listener()
        const network = yield* MemorySocket.network()
        yield* server(decorated(inner, { run: network.server.run }))
        const telling = yield* Effect.forkScoped(told(Effect.succeed(network.client)))
        yield* settled
        expect(telling.pollUnsafe()).toMatchObject({ value: "hello" })
      }))

    it.live("has its connections taken directly where something else was replaced", () =>
      Effect.gen(function*() {
        const inner = yield* Fast.listener()
        const { address } = yield* listening
        const made = yield* server(decorated(inner.server, { address }))
        expect(made.address).toBe(address)
        const take = yield* inner.take
        const [here, there] = Direct.pair()
        take(yield* Fast.accepted(there))
        expect(yield* told(Effect.succeed(here))).toBe("hello")
      }))
  })

  for (const [what, replaced] of Object.entries(parts)) {
    const decorate = (socket: Socket.Socket) => decorated(socket, replaced(socket))

    describe(`a socket whose ${what} was replaced by ${way} is used through that`, () => {
      it.effect("in memory", () =>
        Effect.gen(function*() {
          const [here, there] = Direct.pair()
          yield* echoing(there)
          expect(yield* talked(decorate(here))).toBe("HELLO")
        }))

      it.effect("in memory, where it is connected already", () =>
        Effect.gen(function*() {
          const [here, there] = Direct.pair()
          yield* echoing(there)
          expect(yield* talked(decorate(yield* Fast.accepted(here)))).toBe("HELLO")
        }))

      it.live("when Net has dialled it", () =>
        Effect.gen(function*() {
          const { address } = yield* server(yield* listening)
          const client = Effect.map(Net.socket(address), decorate)
          expect(yield* told(client)).toBe("HELLO")
        }))

      it.live("when Net has accepted it", () =>
        Effect.gen(function*() {
          const inner = yield* listening
          const run: typeof inner.run = (handler) => inner.run((socket) => handler(decorate(socket)))
          const { address } = yield* server({ ...inner, run })
          expect(yield* told(Net.socket(address))).toBe("HELLO")
        }))

      it.effect("in the middle of a connection", () =>
        Effect.gen(function*() {
          const network = yield* MemorySocket.network()
          yield* server(network.server)
          const { call } = yield* Client.connect({
            handshake: Effect.updateService(Line.client, Socket.Socket, decorate),
            sockets: [Effect.succeed(network.client)]
          })
          expect(yield* call("hello")).toBe("HELLO")
        }))
    })
  }
}

describe("a socket that was wrapped in the middle of a connection", () => {
  const wrapped = Effect.updateService(Line.server, Socket.Socket, (socket) => ({ ...socket, ...parts.reader(socket) }))

  it.live("tells who is at the other end", () =>
    Effect.gen(function*() {
      const { address } = yield* Server.make({
        handshake: wrapped,
        serve: (transport) =>
          Effect.flatMap(transport.peer, ({ local }) => transport.send(NetAddress.formatSocketAddress(local!)))
      }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, listening))
      const said = yield* Client.connect({
        protocol: Line.protocol,
        sockets: [Net.socket(address)],
        client: (transport) => transport.receive
      })
      expect(said).toBe(NetAddress.formatSocketAddress(address))
    }))

  it.effect("takes no request once its server drains, and answers those that it has", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const taken: Array<string> = []
      const { drain } = yield* Server.make({
        handshake: wrapped,
        serve: Pipeline.serve((line: string) => Effect.sync(() => taken.push(line)).pipe(Effect.as(line)))
      }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
      yield* Effect.flatMap(
        Client.connect({ protocol: Line.protocol, sockets: [Effect.succeed(network.client)] }),
        ({ call }) => call("one")
      )
      const draining = yield* Effect.forkScoped(drain)
      // Closing waits for the peer's end for a second, and the drain for a busy connection for ten.
      yield* TestClock.adjust("2 seconds")
      expect(draining.pollUnsafe()).toBeDefined()
      expect(taken).toEqual(["one"])
    }))
})
