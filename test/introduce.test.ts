/**
 * Who is there: what a handshake has learnt of its peer is what everybody is told who asks.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as NetAddress from "effect/net/NetAddress"
import * as References from "effect/References"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Tracer from "effect/Tracer"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Net from "../src/node/Net.ts"
import * as Peer from "../src/Peer.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Transport from "../src/Transport.ts"
import { echo, saying, serving, settled } from "./support/serving.ts"
import { recording } from "./support/spans.ts"

const remote = NetAddress.inetAddressFromStringUnsafe("203.0.113.7:56324")
const nothing = { remote: undefined, local: undefined }
const introduced = { remote, local: undefined, user: "alice", via: "test", socket: nothing }

const lines = Transport.framed(Codec.lines())

/** Believes whatever it is told, in a line before the protocol itself. */
const header = Effect.gen(function*() {
  const transport = yield* lines
  const user = yield* Handshake.step(transport.receive, "user")
  return yield* Handshake.introduce(transport, { remote, user, via: "test" })
})

const server = Handshake.inside(Line.server, header)

const greeting = "alice\nYou ready?\n"

/** What is said to a handshake over a socket in memory, and what comes of it. */
const shaking = <A, E, R>(handshake: Effect.Effect<A, E, R>, said: string) =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const peer = yield* Effect.provideService(lines, Socket.Socket, there)
    for (const line of said.split("\n").slice(0, -1)) yield* peer.send(line)
    return yield* Effect.provideService(handshake, Socket.Socket, here)
  })

describe("a peer that is introduced", () => {
  const ways: Record<string, Effect.Effect<Transport.Transport<string, string>, unknown, any>> = {
    "as it is": server,
    "mapped, annotated, in a span, under a name": server.pipe(
      Effect.map((transport) => transport),
      Effect.tap(() => Effect.void),
      Effect.withSpan("mine"),
      Effect.annotateLogs("mine", true),
      Handshake.named("mine")
    ),
    "behind a codec switch": Handshake.switchCodec(server, Codec.lines()),
    "at the end, by a function of the transport": Handshake.introduce(
      Handshake.extend(Handshake.send(Handshake.receive(lines, "user", () => lines), "Bring it!"), { user: "alice" }),
      ({ user }) => ({ remote, user, via: "test" })
    ),
    "step by step": Handshake.inside(
      Handshake.introduce(Line.server, { user: "alice" }),
      Handshake.introduce(header, { user: "bob" })
    ),
    "through a socket that somebody has decorated": Handshake.inside(
      Effect.updateService(Line.server, Socket.Socket, (socket) => ({ ...socket })),
      header
    ),
    "inside a socket that somebody has decorated": Effect.updateService(
      server,
      Socket.Socket,
      (socket) => ({ ...socket })
    ),
    "one of several": Handshake.firstOf([{ name: "any", accepts: () => true, handshake: server }])
  }

  for (const [way, handshake] of Object.entries(ways)) {
    it.effect(`is known behind the handshake, ${way}`, () =>
      Effect.gen(function*() {
        const transport = yield* shaking(handshake, greeting)
        expect(yield* transport.peer).toEqual(introduced)
      }))
  }

  it.effect("is known to a server whose handshake runs over a decorated socket", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({
        handshake: Effect.updateService(server, Socket.Socket, (socket) => ({ ...socket }))
      })
      yield* saying(network, greeting)
      expect(events).toMatchObject([{ _tag: "Accepted", peer: nothing }, { _tag: "Ready", peer: introduced }])
    }))

  it.effect("is asked about by the handshake inside", () =>
    Effect.gen(function*() {
      const asking = Effect.flatMap(lines, (transport) => transport.peer)
      expect(yield* shaking(Handshake.inside(asking, header), "alice\n")).toEqual(introduced)
    }))

  it.live("keeps the addresses of the socket beside those that were learnt", () =>
    Effect.gen(function*() {
      const socketServer = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
      const handshake = Effect.gen(function*() {
        const transport = yield* server
        yield* transport.send(`${Peer.formatIntroduced(yield* transport.peer)}`)
        return transport
      })
      const { address } = yield* Server.make({ handshake, serve: echo }).pipe(
        Effect.provideService(SocketServer.SocketServer, socketServer)
      )
      const client = yield* Effect.provideServiceEffect(lines, Socket.Socket, Net.socket(address))
      yield* client.sendAll(["alice", "You ready?"])
      yield* client.receive
      const { local } = yield* client.peer
      expect(yield* client.receive).toBe(`alice from 203.0.113.7:56324 by ${Peer.format({ remote: local, local })}`)
    }))

  it.effect("is told to whoever watches", () =>
    Effect.gen(function*() {
      const recorder = yield* Transcript.recorder
      yield* Effect.provideService(shaking(server, greeting), Transport.CurrentObserver, recorder.observer)
      expect(recorder.entries().map(({ frame }) => frame)).toContain(
        "introduced: alice from 203.0.113.7:56324 by unknown peer"
      )
    }))
})

describe("a server", () => {
  it.effect("tells of a peer that was introduced in each event from then on", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({ handshake: server })
      const refused = yield* saying(network, "alice\nHi\n")
      yield* Effect.andThen(refused.end, refused.closed)
      yield* settled
      expect(events).toMatchObject([
        { _tag: "Accepted", peer: nothing },
        { _tag: "Refused", peer: introduced },
        { _tag: "Closed", peer: introduced }
      ])
    }))

  it.effect("tells of it too where there is no room", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({ handshake: server, maxConnections: 0 })
      const peer = yield* saying(network, greeting)
      yield* Effect.andThen(peer.end, peer.closed)
      yield* settled
      expect(peer.heard()).toBe("No! Go away!\n")
      expect(events).toMatchObject([{ _tag: "Refused", peer: introduced }])
    }))

  it.effect("logs who was introduced, with the socket beside it", () =>
    Effect.gen(function*() {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => {
        logged.push(fiber.getRef(References.CurrentLogAnnotations))
      })
      yield* Effect.gen(function*() {
        const { network } = yield* serving({ handshake: server })
        const peer = yield* saying(network, "alice\nHi\n")
        yield* Effect.andThen(peer.end, peer.closed)
        yield* settled
      }).pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      expect(logged).toEqual([{ connection: 1, peer: "203.0.113.7:56324", user: "alice", socket: "unknown peer" }])
    }))

  it.effect("has it in the span of the handshake, the client's address beside that of the socket", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recording()
      yield* Effect.gen(function*() {
        const { network } = yield* serving({ handshake: server })
        yield* saying(network, greeting)
      }).pipe(Effect.provideService(Tracer.Tracer, tracer))
      expect(spans.map(({ attributes }) => Object.fromEntries(attributes))).toMatchObject([
        { "client.address": "203.0.113.7", "client.port": 56324, "user.name": "alice" }
      ])
    }))

  it.effect("counts by how its peers were introduced, and by no more than 32 ways", () =>
    Effect.gen(function*() {
      let ways = 0
      const introducing = Effect.suspend(() => Handshake.introduce(lines, { via: `way ${++ways}`, user: `${ways}` }))
      const { network } = yield* serving({ handshake: Handshake.inside(Line.server, introducing) })
      for (let i = 0; i < 34; i++) yield* saying(network, "You ready?\n")
      const counted = (yield* Metric.snapshot).flatMap(({ attributes, id, state }) =>
        id === "handshake.outcomes" ? [[attributes, (state as { readonly count: number }).count]] : []
      )
      const of = (via: string) => ({
        "handshake.role": "server",
        "handshake.protocol": "line",
        "handshake.outcome": "ready",
        "handshake.via": via
      })
      expect(counted).toHaveLength(33)
      expect(counted).toContainEqual([of("way 32"), 1])
      expect(counted).toContainEqual([of("other"), 2])
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
