import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { describe, expect, it, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import { mkdtempSync, rmSync } from "node:fs"
import * as NodeNet from "node:net"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import * as Client from "../../src/Client.ts"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import * as Transport from "../../src/Transport.ts"
import { isTransportError } from "../../src/TransportError.ts"
import { utf8 } from "../support/conversation.ts"
import * as Tcp from "../support/tcp.ts"

const loopback = { host: "127.0.0.1", port: 0 }
const refusal = "No! Go away!\n"

type Sockets = Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError>
type Lines = Transport.Transport<string, string>

/** Where a server listens, for those who dial. */
const whereabouts = (address: NetAddress.SocketAddress): number | string =>
  address._tag === "UnixPathAddress" ? address.path : address.port

const echo = Pipeline.serve<string, string>((line) => Effect.succeed(line))

type Options = Server.Limits & {
  readonly serve?: (transport: Lines) => Effect.Effect<unknown, unknown>
  readonly handshake?: Effect.Effect<Lines, unknown, Socket.Socket | Scope.Scope>
}

/** A server of the line protocol in a scope of its own. */
const serving = Effect.fnUntraced(function*(sockets: Sockets, options: Options = {}) {
  const { handshake, serve, ...limits } = options
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.buildWithScope(
    Server.layer({
      drainTimeout: "2 seconds",
      ...limits,
      protocol: { ...Line.protocol, server: handshake ?? Line.server },
      serve: serve ?? echo
    }).pipe(Layer.provide(sockets)),
    scope
  )
  const server = Context.get(context, Server.Server)
  const events: Array<Server.Event> = []
  const watched = new Tcp.Watched()
  yield* Effect.forkScoped(
    Stream.runForEach(server.events, (event) =>
      Effect.sync(() => {
        events.push(event)
        watched.changed()
      })),
    { startImmediately: true }
  )
  return {
    server,
    events,
    at: whereabouts(server.address),
    close: Scope.close(scope, Exit.void),
    /** Waits until that many connections have had this happen to them. */
    happened: (tag: Server.Event["_tag"], times = 1) =>
      watched.until(
        `${times} ${tag}`,
        () => events.filter((event) => event._tag === tag).length >= times,
        () => events.map((event) => event._tag)
      )
  }
})

/** Counts have no events of their own. */
const countsToZero = (server: Server.Server["Service"]) =>
  Effect.repeat(server.counts, {
    while: (counts) => counts.connections + counts.pending + counts.refusing > 0,
    schedule: Schedule.spaced("5 millis")
  }).pipe(Effect.timeout("5 seconds"))

/** A server that hands out the transports of its connections and does nothing with them. */
const accepting = Effect.fnUntraced(function*(sockets: Sockets) {
  const server = Context.get(yield* Layer.build(sockets), SocketServer.SocketServer)
  const transports = yield* Queue.unbounded<Lines>()
  yield* Effect.forkScoped(
    server.run((socket) =>
      Transport.framed(Codec.lines()).pipe(
        Effect.flatMap((transport) => Queue.offer(transports, transport)),
        Effect.andThen(Effect.never),
        Effect.scoped,
        Effect.provideService(Socket.Socket, socket)
      )
    )
  )
  return { at: whereabouts(server.address), next: Queue.take(transports) }
})

const failsWith = (error: unknown, tag: string) => {
  expect(isTransportError(error)).toBe(true)
  expect(error).toMatchObject({ reason: { _tag: tag } })
}

const soon = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.timeout(effect, "5 seconds")

/** The server of Net, every socket of which goes through somebody's hands. */
const wrapped = (wrap: (socket: Socket.Socket) => Socket.Socket): Sockets =>
  Layer.effect(
    SocketServer.SocketServer,
    Effect.map(Net.makeServer(loopback), (inner) => ({
      ...inner,
      run: (handler) => inner.run((socket) => handler(wrap(socket)))
    }))
  )

/** What holds over every socket server. */
const scenarios = (name: string, sockets: Sockets) => {
  describe(`a transport over ${name}`, () => {
    it.live("sends an answer after the peer's half-close", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.saying(at, "Hello\n")
        yield* peer.end
        const transport = yield* next
        expect(yield* transport.receive).toBe("Hello")
        failsWith(yield* Effect.flip(transport.receive), "ConnectionClosed")
        // At once, a socket that is not half-open would still take it.
        yield* Tcp.turn
        yield* Tcp.turn
        yield* transport.send("Goodbye")
        yield* peer.hears("Goodbye\n")
      }))

    it.live("fails to write, and does not hang, once the peer has reset the connection", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.dial(at)
        const transport = yield* next
        yield* peer.reset
        const error = yield* soon(Effect.flip(Effect.forever(transport.send("x".repeat(60_000)))))
        failsWith(error, "ConnectionFailed")
        for (let turns = 0; turns < 3; turns++) yield* Tcp.turn
        failsWith(yield* soon(Effect.flip(transport.send("still there?"))), "ConnectionFailed")
      }))

    it.live("fails the write after the one that found the connection reset", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.dial(at)
        const transport = yield* next
        yield* peer.reset
        // The system takes this one, or refuses it later.
        yield* Effect.ignore(soon(transport.send("Hello")))
        for (let turns = 0; turns < 10; turns++) yield* Tcp.turn
        failsWith(yield* soon(Effect.flip(transport.send("still there?"))), "ConnectionFailed")
      }))

    it.live("fails a write that waits for the peer when the peer resets the connection", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.dial(at)
        peer.socket.pause()
        const transport = yield* next
        // More than the buffers of both systems hold.
        const writing = yield* Effect.forkScoped(
          Effect.flip(transport.sendAll(Array.from({ length: 1000 }, () => "x".repeat(60_000)))),
          { startImmediately: true }
        )
        yield* peer.reset
        failsWith(yield* soon(Fiber.join(writing)), "ConnectionFailed")
      }))

    it.live("still receives the frames that it has when the peer resets the connection", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.saying(at, "one\ntwo\nthree\n")
        const transport = yield* next
        expect(yield* transport.receive).toBe("one")
        yield* peer.reset
        expect(yield* transport.receive).toBe("two")
        expect(yield* transport.receive).toBe("three")
        failsWith(yield* soon(Effect.flip(transport.receive)), "ConnectionFailed")
      }))

    it.live("still receives the frames that it has after a write has failed", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.saying(at, "one\ntwo\nthree\n")
        const transport = yield* next
        expect(yield* transport.receive).toBe("one")
        yield* peer.reset
        failsWith(yield* soon(Effect.flip(Effect.forever(transport.send("x".repeat(60_000))))), "ConnectionFailed")
        expect(yield* transport.receive).toBe("two")
        expect(yield* transport.receive).toBe("three")
        failsWith(yield* soon(Effect.flip(transport.receive)), "ConnectionFailed")
      }))

    it.live("holds a peer back that sends more than is received, and then gets all of it", () =>
      Effect.gen(function*() {
        const { at, next } = yield* accepting(sockets)
        const peer = yield* Tcp.dial(at)
        const line = `${"x".repeat(59_999)}\n`
        const sending = yield* Effect.forkScoped(peer.say(line.repeat(500)), { startImmediately: true })
        const transport = yield* next
        yield* transport.receive
        // Time enough for all of it, if nobody held it back.
        for (let turns = 0; turns < 1000; turns++) yield* Tcp.turn
        expect(sending.pollUnsafe()).toBeUndefined()
        for (let i = 1; i < 500; i++) expect((yield* transport.receive).length).toBe(59_999)
        yield* Fiber.join(sending)
      }))
  })

  describe(`Server over ${name}`, () => {
    it.live("shakes hands and answers what came in one segment", () =>
      Effect.gen(function*() {
        const { at } = yield* serving(sockets)
        const peer = yield* Tcp.saying(at, "You ready?\nHello\nGoodbye\n")
        yield* peer.end
        expect(yield* peer.ended).toBe("Bring it!\nHello\nGoodbye\n")
      }))

    it.live("says the same to the same bytes, one at a time", () =>
      Effect.gen(function*() {
        const { at } = yield* serving(sockets)
        const peer = yield* Tcp.dial(at)
        yield* peer.spell("You ready?\nHello\nGoodbye\n")
        yield* peer.end
        expect(yield* peer.ended).toBe("Bring it!\nHello\nGoodbye\n")
      }))

    it.live("makes its refusal heard by a peer that has sent much more", () =>
      Effect.gen(function*() {
        const { at } = yield* serving(sockets)
        const peer = yield* Tcp.saying(at, `Hi\n${"x".repeat(200_000)}`)
        expect(yield* peer.ended).toBe(refusal)
      }))

    // Who closes with unread bytes resets the connection, and then the last words are lost on whoever still writes.
    const impolite: Record<string, [said: string, Options]> = {
      "greets wrongly": ["Hi\n", {}],
      "is one too many": ["You ready?\n", { maxConnections: 0 }],
      "comes late": ["", { handshakeTimeout: "50 millis" }]
    }
    for (const [what, [said, options]] of Object.entries(impolite)) {
      it.live(`makes its refusal heard by a peer that ${what} and does not listen before it has said all`, () =>
        Effect.gen(function*() {
          const { at, happened, server } = yield* serving(sockets, options)
          const peer = yield* Tcp.dial(at)
          yield* peer.deafen
          yield* peer.say(said)
          yield* happened("Refused")
          yield* peer.say("x".repeat(200_000))
          yield* Tcp.turn
          yield* peer.say("x".repeat(200_000))
          yield* peer.end
          yield* countsToZero(server)
          yield* peer.listen
          expect(yield* peer.ended).toBe(refusal)
        }))
    }

    it.live("refuses one too many and takes the next when one leaves", () =>
      Effect.gen(function*() {
        const { at, happened } = yield* serving(sockets, { maxConnections: 1 })
        const first = yield* Tcp.saying(at, "You ready?\n")
        yield* first.hears("Bring it!\n")
        const second = yield* Tcp.saying(at, "You ready?\n")
        expect(yield* second.ended).toBe(refusal)
        yield* first.end
        yield* happened("Closed")
        const third = yield* Tcp.saying(at, "You ready?\n")
        yield* third.hears("Bring it!\n")
      }))

    it.live("answers what is under way after the peer's half-close", () =>
      Effect.gen(function*() {
        const taken = yield* Deferred.make<void>()
        const { at } = yield* serving(sockets, {
          serve: Pipeline.serve<string, string>((line) =>
            Deferred.succeed(taken, undefined).pipe(Effect.andThen(Effect.delay(Effect.succeed(line), "30 millis")))
          )
        })
        const peer = yield* Tcp.saying(at, "You ready?\nHello\n")
        yield* Deferred.await(taken)
        yield* peer.end
        expect(yield* peer.ended).toBe("Bring it!\nHello\n")
      }))

    it.live("turns away who is not ready by the deadline, silent or dribbling", () =>
      Effect.gen(function*() {
        const { at, events, happened } = yield* serving(sockets, { handshakeTimeout: "200 millis" })
        const silent = yield* Tcp.dial(at)
        const dribbling = yield* Tcp.dial(at)
        yield* Effect.forkScoped(
          Effect.repeat(dribbling.say("Y"), { schedule: Schedule.spaced("20 millis"), while: dribbling.isOpen })
        )
        expect(yield* Effect.all([silent.ended, dribbling.ended], { concurrency: 2 })).toEqual([refusal, refusal])
        yield* happened("Refused", 2)
        expect(events.filter((event) => event._tag === "Refused").map((event) => event.reason)).toEqual([
          "Timeout",
          "Timeout"
        ])
      }))

    it.live("drains: an answer under way arrives, a later request is not taken", () =>
      Effect.gen(function*() {
        const taken = yield* Deferred.make<void>()
        const answer = yield* Deferred.make<void>()
        const { at, server } = yield* serving(sockets, {
          drainTimeout: "10 seconds",
          serve: Pipeline.serve<string, string>((line) =>
            Deferred.succeed(taken, undefined).pipe(Effect.andThen(Deferred.await(answer)), Effect.as(line))
          )
        })
        const peer = yield* Tcp.saying(at, "You ready?\nHello\n")
        yield* Deferred.await(taken)
        const draining = yield* Effect.forkScoped(server.drain, { startImmediately: true })
        yield* peer.say("Goodbye\n")
        yield* Deferred.succeed(answer, undefined)
        expect(yield* peer.ended).toBe("Bring it!\nHello\n")
        yield* peer.end
        yield* soon(Fiber.join(draining))
      }))

    it.live("drains: who is in mid-handshake hears that it is turned away", () =>
      Effect.gen(function*() {
        const { at, happened, server } = yield* serving(sockets)
        const peer = yield* Tcp.saying(at, "You re")
        yield* happened("Accepted")
        yield* Effect.forkScoped(server.drain)
        expect(yield* peer.ended).toBe(refusal)
        yield* peer.end
        yield* soon(server.awaitDrained)
      }))

    it.live("ends only the connection whose handler fails, after the answers before it", () =>
      Effect.gen(function*() {
        const { at, happened } = yield* serving(sockets, {
          serve: Pipeline.serve((line: string) => line === "bad" ? Effect.fail("no") : Effect.succeed(line))
        })
        const good = yield* Tcp.saying(at, "You ready?\n")
        const bad = yield* Tcp.dial(at)
        yield* bad.deafen
        yield* bad.say("You ready?\nHello\nbad\n")
        yield* bad.say("more\n".repeat(40_000))
        yield* bad.end
        yield* happened("Closed")
        yield* bad.listen
        expect(yield* bad.ended).toBe("Bring it!\nHello\n")
        yield* good.say("still here\n")
        yield* good.hears("Bring it!\nstill here\n")
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))

    it.live("interrupts the request of a client that vanishes, and disturbs no other", () =>
      Effect.gen(function*() {
        const taken = yield* Deferred.make<void>()
        const interrupted = yield* Deferred.make<void>()
        const { at, happened } = yield* serving(sockets, {
          serve: Pipeline.serve<string, string>((line) =>
            line === "slow"
              ? Deferred.succeed(taken, undefined).pipe(
                Effect.andThen(Effect.never),
                Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
              )
              : Effect.succeed(line)
          )
        })
        const good = yield* Tcp.saying(at, "You ready?\n")
        const vanishing = yield* Tcp.saying(at, "You ready?\nslow\n")
        yield* Deferred.await(taken)
        yield* vanishing.reset
        yield* soon(Deferred.await(interrupted))
        yield* happened("Closed")
        yield* good.say("still here\n")
        yield* good.hears("Bring it!\nstill here\n")
      }))

    it.live("tells what happens to a connection in order, and by whose address, and counts it out again", () =>
      Effect.gen(function*() {
        const { at, events, happened, server } = yield* serving(sockets)
        const peer = yield* Tcp.saying(at, "You ready?\n")
        const { localPort } = peer.socket
        yield* happened("Ready")
        expect(yield* server.counts).toEqual({ connections: 1, pending: 0, refusing: 0 })
        yield* peer.end
        yield* peer.ended
        yield* happened("Closed")
        expect(events.map((event) => [event._tag, event.id])).toEqual([["Accepted", 1], ["Ready", 1], ["Closed", 1]])
        expect(new Set(events.map((event) => event.peer.remote && NetAddress.formatSocketAddress(event.peer.remote))))
          .toEqual(new Set([`127.0.0.1:${localPort}`]))
        expect(yield* server.counts).toEqual({ connections: 0, pending: 0, refusing: 0 })
      }))

    it.live("counts a refusal out again", () =>
      Effect.gen(function*() {
        const { at, server } = yield* serving(sockets, { maxConnections: 0 })
        const peer = yield* Tcp.dial(at)
        expect(yield* peer.ended).toBe(refusal)
        yield* peer.end
        yield* countsToZero(server)
      }))

    const polite = Handshake.withRefusal(Effect.never, (why) => Handshake.turnAway(Line.server, why))
    const neverOpening: Record<string, [Handshake.Handshake<string, string, unknown>, heard: string]> = {
      "never ends": [polite, refusal],
      fails: [Effect.fail("no"), ""],
      dies: [Effect.die("a bug"), ""]
    }
    for (const [what, [handshake, heard]] of Object.entries(neverOpening)) {
      it.live(`leaves no connection open where a handshake that never opens the socket ${what}`, () =>
        Effect.gen(function*() {
          const { at, server } = yield* serving(sockets, { handshake, handshakeTimeout: "100 millis" })
          const peer = yield* Tcp.saying(at, "You ready?\n")
          expect(yield* peer.ended).toBe(heard)
          yield* peer.end
          yield* countsToZero(server)
        }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
    }

    it.live("closes twice without harm", () =>
      Effect.gen(function*() {
        const { at, close } = yield* serving(sockets)
        const peer = yield* Tcp.saying(at, "You ready?\n")
        yield* peer.hears("Bring it!\n")
        yield* Effect.forkScoped(Effect.andThen(peer.ended, peer.end))
        yield* soon(close)
        yield* soon(close)
      }))
  })
}

scenarios("Net.layerServer", Net.layerServer(loopback))
scenarios("Net.layerServer whose `run` somebody has wrapped", wrapped((socket) => socket))
scenarios(
  "Net.layerServer whose sockets somebody has wrapped",
  wrapped((socket) => ({ ...socket, reader: Effect.map(socket.reader, (reader) => ({ ...reader })) }))
)
scenarios("NodeSocketServer.layer", NodeSocketServer.layer({ ...loopback, allowHalfOpen: true }))

const server = Net.layerServer(loopback)

const client = (at: number | string, options?: { readonly retry?: Schedule.Schedule<unknown> }) =>
  Client.connect({ protocol: Line.protocol, sockets: [socket(at)], ...options })

const socket = (at: number | string) =>
  Net.socket(typeof at === "string" ? { path: at } : { host: "127.0.0.1", port: at })

/** A path in a directory that goes with the scope. */
const path = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "handshake-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  ),
  (directory) => join(directory, "socket")
)

describe("Net", () => {
  it.live("knows the addresses of both ends on both sides", () =>
    Effect.gen(function*() {
      const { at, next } = yield* accepting(server)
      const there = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, yield* socket(at))
      const here = yield* next
      const [ours, theirs] = [yield* here.peer, yield* there.peer]
      expect(whereabouts(ours.local!)).toBe(at)
      expect(whereabouts(theirs.remote!)).toBe(at)
      expect(ours.remote).toEqual(theirs.local)
      expect(NetAddress.formatSocketAddress(ours.remote!)).toMatch(/^127\.0\.0\.1:[1-9]/)
    }))

  it.live("fails to listen on a port in use with a SocketServerError", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const error = yield* Effect.flip(Net.makeServer({ host: "127.0.0.1", port }))
      expect(error).toBeInstanceOf(SocketServer.SocketServerError)
      expect(error.reason).toMatchObject({ _tag: "SocketServerOpenError", cause: { code: "EADDRINUSE" } })
    }))

  it.live("fails to dial a port where nobody listens as ConnectionFailed", () =>
    Effect.gen(function*() {
      const dialling = Effect.provideService(
        Transport.framed(Codec.lines()),
        Socket.Socket,
        yield* socket(yield* Tcp.deadPort)
      )
      const error = yield* Effect.flip(dialling)
      expect(error.reason).toMatchObject({ _tag: "ConnectionFailed", operation: "open" })
      expect(error.message).toContain("ECONNREFUSED")
    }))

  it.live.each([[1000, 1], [32_767_000, 127]])(
    "probes every %i ms and up to %i times on both sides, where it is told so",
    ([keepAliveInterval, keepAliveCount]) =>
      Effect.gen(function*() {
        // What the system has made of it nobody but the system knows.
        const asked = yield* Effect.acquireRelease(
          Effect.sync(() => vi.spyOn(NodeNet.Socket.prototype, "setKeepAlive")),
          (spy) => Effect.sync(() => spy.mockRestore())
        )
        const probes = { keepAlive: true, keepAliveInitialDelay: 5000, keepAliveInterval, keepAliveCount }
        const { at, next } = yield* accepting(Net.layerServer({ ...loopback, ...probes }))
        const to = { host: "127.0.0.1", port: Number(at), ...probes }
        yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, yield* Net.socket(to))
        yield* next
        const told = asked.mock.calls.filter((call) => call.length === 4)
        const four = [true, 5000, keepAliveInterval, keepAliveCount]
        expect(told).toEqual([four, four])
      })
  )

  it.live("fails to listen with probes that no system takes", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Net.makeServer({ ...loopback, keepAlive: true, keepAliveInterval: 32_768_000 }))
      expect(String(error.reason.cause)).toContain("keepAliveInterval is from 1000 to 32767000, not 32768000")
    }))

  const long = "./" + "x".repeat(200)
  const aborted = AbortSignal.abort()
  // Whoever writes JavaScript, or reads options from a file, has no compiler to say so.
  const options = (options: object) => options as Net.DialOptions & Net.ListenOptions

  it.live.each(Object.entries({
    "port 70000": { host: "127.0.0.1", port: 70_000 },
    "a host with a NUL": { host: "a\0b", port: 1 },
    "a zone that is no interface": { host: "fe80::1%nosuch", port: 1 },
    "a local address whose zone is no interface": { host: "::1", port: 1, localAddress: "fe80::1%nosuch" },
    "a local address that is none": { host: "127.0.0.1", port: 1, localAddress: "nonsense" },
    "a local port that is none": { host: "127.0.0.1", port: 1, localPort: "x" },
    "a path that is too long": { path: long },
    "a high-water mark that is none": { port: 1, highWaterMark: "x" },
    "a signal that is aborted": { port: 1, signal: aborted },
    "a probe each millisecond": { host: "127.0.0.1", port: 1, keepAlive: true, keepAliveInterval: 999 },
    "no probe at all": { host: "127.0.0.1", port: 1, keepAlive: true, keepAliveCount: 0 },
    "128 probes": { host: "127.0.0.1", port: 1, keepAlive: true, keepAliveCount: 128 },
    "nowhere to dial": {}
  }))("fails to dial %s as ConnectionFailed", ([, to]) =>
    Effect.gen(function*() {
      const socket = yield* Net.socket(options(to))
      const error = yield* Effect.flip(Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket))
      expect(error.reason).toMatchObject({ _tag: "ConnectionFailed", operation: "open" })
      // And as any other socket.
      expect(yield* Effect.flip(socket.reader)).toBeInstanceOf(Socket.SocketError)
    }))

  it.live.each(Object.entries({
    "port 70000": { host: "127.0.0.1", port: 70_000 },
    "a host with a NUL": { host: "a\0b", port: 0 },
    "a zone that is no interface": { host: "::1%nosuch", port: 0 },
    "a path that is too long": { path: long },
    "a high-water mark that is none": { port: 0, highWaterMark: "x" },
    "a signal that is aborted": { port: 0, signal: aborted },
    "nowhere to listen": {}
  }))("fails to listen on %s with a SocketServerError", ([, at]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Net.makeServer(options(at)))
      expect(error).toBeInstanceOf(SocketServer.SocketServerError)
      expect(error.reason).toMatchObject({ _tag: "SocketServerOpenError", cause: { message: expect.any(String) } })
    }))

  it.live("says how long a path may be, and takes one of that length", () =>
    Effect.gen(function*() {
      const longest = process.platform === "linux" ? 107 : 103
      const error = yield* Effect.flip(Net.makeServer({ path: long }))
      expect(error.reason.cause).toMatchObject({
        message: `its path has 202 bytes, and no more than ${longest} go`,
        code: "EINVAL"
      })
      const longestOne = (yield* path).padEnd(longest, "x")
      expect((yield* Net.makeServer({ path: longestOne })).address).toMatchObject({ path: longestOne })
    }))

  it.live.each([
    ["EMFILE", "this process has no file descriptors left (EMFILE, ulimit -n)"],
    ["ENFILE", "this system has no file descriptors left (ENFILE)"]
  ])("says in words that there are no descriptors to dial with: %s", ([code, words]) =>
    Effect.gen(function*() {
      const socket = yield* Net.socket({
        host: "db.example.test",
        port: 1,
        lookup: (_, __, done) => done(Object.assign(new Error(`getaddrinfo ${code}`), { code }), "")
      })
      const error = yield* Effect.flip(Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, socket))
      expect(error.message).toBe(`the connection could not be opened: ${words}`)
      expect(error.reason).toMatchObject({ cause: { reason: { cause: { code } } } })
    }))

  // Not every machine has one.
  const [linkLocal] = Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({ address, family, scopeid }) =>
      family === "IPv6" && address.startsWith("fe80:") ? [{ address, name, scope: scopeid ?? 0 }] : []
    )
  )

  it.live.skipIf(linkLocal === undefined)(
    "listens on a link-local address, is dialled there, and knows its peer",
    () =>
      Effect.gen(function*() {
        const { address, name, scope } = linkLocal
        const server = yield* Net.makeServer({ host: `${address}%${name}`, port: 0 })
        const heard = yield* Deferred.make<string>()
        yield* Effect.forkScoped(server.run((socket) =>
          Transport.framed(Codec.lines()).pipe(
            Effect.flatMap(({ peer }) => peer),
            Effect.flatMap(({ remote }) => Deferred.succeed(heard, NetAddress.formatSocketAddress(remote!))),
            Effect.provideService(Socket.Socket, socket),
            Effect.scoped
          )
        ))
        expect(server.address).toMatchObject({ scopeId: scope })
        const there = yield* Effect.provideService(
          Transport.framed(Codec.lines()),
          Socket.Socket,
          yield* Net.socket(server.address)
        )
        expect((yield* there.peer).remote).toEqual(server.address)
        expect(yield* soon(Deferred.await(heard))).toContain(`[${address}%${scope}]:`)
      })
  )

  it.live("closes a connection twice without harm, and once is enough", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen((peer) => Effect.runFork(Effect.andThen(peer.ended, peer.end)))
      const scope = yield* Scope.make()
      const transport = yield* Transport.framed(Codec.lines()).pipe(
        Effect.provideService(Socket.Socket, yield* socket(port)),
        Scope.provide(scope)
      )
      yield* transport.send("Hello")
      yield* soon(Scope.close(scope, Exit.void))
      yield* soon(Scope.close(scope, Exit.void))
      failsWith(yield* soon(Effect.flip(transport.receive)), "ConnectionClosed")
      failsWith(yield* soon(Effect.flip(transport.send("Hello"))), "ConnectionFailed")
    }))

  it.live("hears the last words that came before a reset while nobody listened", () =>
    Effect.gen(function*() {
      const [asked, gone] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.gen(function*() {
          yield* peer.say("one\n")
          yield* Deferred.await(asked)
          yield* peer.say("go away\n")
          yield* Effect.andThen(Tcp.turn, peer.reset)
          yield* Deferred.succeed(gone, undefined)
        }))
      )
      const transport = yield* Transport.framed(Codec.lines()).pipe(
        Effect.provideService(Socket.Socket, yield* socket(port))
      )
      expect(yield* transport.receive).toBe("one")
      yield* Deferred.succeed(asked, undefined)
      yield* Deferred.await(gone)
      for (let turns = 0; turns < 10; turns++) yield* Tcp.turn
      expect(yield* soon(transport.receive)).toBe("go away")
      failsWith(yield* soon(Effect.flip(transport.receive)), "ConnectionFailed")
    }))

  it.live("flushes what was sent when the scope closes", () =>
    Effect.gen(function*() {
      const heard = yield* Deferred.make<string, Error>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.andThen(Deferred.complete(heard, peer.ended), peer.end))
      )
      const said = "x".repeat(60_000)
      yield* Transport.framed(Codec.lines()).pipe(
        Effect.flatMap((transport) => transport.send(said)),
        Effect.scoped,
        Effect.provideService(Socket.Socket, yield* socket(port))
      )
      expect(yield* Deferred.await(heard)).toBe(`${said}\n`)
    }))

  it.live("sends what is said in one turn in its order, short or long", () =>
    Effect.gen(function*() {
      const heard = yield* Deferred.make<string, Error>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.andThen(Deferred.complete(heard, peer.ended), peer.end))
      )
      const said = [1, 16_383, 16_384, 2, 3, 20_000, 17_000, 4, 5, 6].map((length, i) => `${i % 10}`.repeat(length))
      yield* Transport.framed(Codec.lines()).pipe(
        Effect.flatMap((transport) =>
          Effect.forEach(said, (line) => transport.send(line), { concurrency: "unbounded" })
        ),
        Effect.scoped,
        Effect.provideService(Socket.Socket, yield* socket(port))
      )
      expect(yield* soon(Deferred.await(heard))).toBe(said.map((line) => `${line}\n`).join(""))
    }))

  it.live("answers all peers that ask in one turn, also more than it writes to together", () =>
    Effect.gen(function*() {
      const { at } = yield* serving(Net.layerServer(loopback))
      const clients = yield* Effect.replicateEffect(
        Client.connect({ protocol: Line.protocol, sockets: [socket(at)] }),
        40,
        { concurrency: "unbounded" }
      )
      const answers = Effect.forEach(clients, ({ call }, i) => call(`${i}`), { concurrency: "unbounded" })
      for (let round = 0; round < 3; round++) expect(yield* soon(answers)).toEqual(clients.map((_, i) => `${i}`))
    }))

  it.live("lets a client answer a server that has ended its own side", () =>
    Effect.gen(function*() {
      const heard = yield* Deferred.make<string, Error>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(
          peer.say("Hello\n").pipe(Effect.andThen(peer.end), Effect.andThen(Deferred.complete(heard, peer.ended)))
        )
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* Transport.framed(Codec.lines())
        expect(yield* transport.receive).toBe("Hello")
        failsWith(yield* Effect.flip(transport.receive), "ConnectionClosed")
        // At once, a socket that is not half-open would still take it.
        yield* Tcp.turn
        yield* Tcp.turn
        yield* transport.send("Goodbye")
      })).pipe(Effect.provideService(Socket.Socket, yield* socket(port)))
      expect(yield* soon(Deferred.await(heard))).toBe("Goodbye\n")
    }))

  it.live("leaves nothing open when the scope closes, though the peer never ends its side", () =>
    Effect.gen(function*() {
      const gone = yield* Deferred.make<void>()
      const { port } = yield* Tcp.listen((peer) => {
        peer.socket.on("close", () => Deferred.doneUnsafe(gone, Exit.void))
        // To write to a connection that is closed resets it; to one that is half-closed it does not.
        Effect.runFork(
          Effect.andThen(
            Effect.exit(peer.ended),
            Effect.repeat(peer.say("x"), { schedule: Schedule.spaced("5 millis") })
          )
            .pipe(Effect.raceFirst(Deferred.await(gone)))
        )
      })
      yield* Transport.framed(Codec.lines()).pipe(
        Effect.flatMap((transport) => transport.send("Hello")),
        Effect.scoped,
        Effect.provideService(Socket.Socket, yield* socket(port))
      )
      yield* soon(Deferred.await(gone))
    }))

  it.live("closes a connection that its handler never opens", () =>
    Effect.gen(function*() {
      const service = yield* Net.makeServer(loopback)
      yield* Effect.forkScoped(service.run(() => Effect.void))
      const peer = yield* Tcp.dial(whereabouts(service.address))
      expect(yield* peer.ended).toBe("")
    }))

  it.live("keeps connections that come before `run` for it", () =>
    Effect.gen(function*() {
      const service = yield* Net.makeServer(loopback)
      const peer = yield* Tcp.saying(whereabouts(service.address), "You ready?\nHello\n")
      yield* Server.make({ protocol: Line.protocol, serve: echo }).pipe(
        Effect.provideService(SocketServer.SocketServer, service)
      )
      yield* peer.hears("Bring it!\nHello\n")
      yield* peer.end
    }))

  it.live("is a Socket like any other for those who use it as one", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.andThen(peer.hears("ping"), Effect.andThen(peer.say("pong"), peer.end)))
      )
      const plain = yield* socket(port)
      const pull = yield* Socket.readerBytes(plain)
      const writer = yield* plain.writer
      yield* writer.write("ping")
      expect(Buffer.concat(yield* soon(pull)).toString()).toBe("pong")
      const end = yield* soon(Effect.flip(pull))
      expect(end).toMatchObject({ reason: { _tag: "SocketCloseError", code: 1000 } })
    }))

  it.live("serves and dials a Unix path, and removes it", () =>
    Effect.gen(function*() {
      const where = yield* path
      const { at, close, happened } = yield* serving(Net.layerServer({ path: where }))
      expect(at).toBe(where)
      yield* Effect.scoped(Effect.gen(function*() {
        const { call } = yield* client(where)
        expect(yield* call("Hello")).toBe("Hello")
        const peer = yield* Tcp.saying(where, "Hi\n")
        expect(yield* peer.ended).toBe(refusal)
        yield* peer.end
      }))
      yield* happened("Closed", 2)
      yield* close
      expect(yield* Effect.flip(Tcp.dial(where))).toMatchObject({ code: "ENOENT" })
    }))

  it.live("stops listening when the server drains", () =>
    Effect.gen(function*() {
      const taken = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const { at, server: { drain } } = yield* serving(server, {
        drainTimeout: "10 seconds",
        serve: Pipeline.serve<string, string>((line) =>
          Deferred.succeed(taken, undefined).pipe(Effect.andThen(Deferred.await(answer)), Effect.as(line))
        )
      })
      const peer = yield* Tcp.saying(at, "You ready?\nHello\n")
      yield* Deferred.await(taken)
      const draining = yield* Effect.forkScoped(drain, { startImmediately: true })
      expect(yield* Effect.flip(Tcp.dial(at))).toMatchObject({ code: "ECONNREFUSED" })
      yield* Deferred.succeed(answer, undefined)
      expect(yield* peer.ended).toBe("Bring it!\nHello\n")
      yield* peer.end
      yield* soon(Fiber.join(draining))
    }))
})

describe("NodeSocketServer.layer", () => {
  it.live("goes on listening while the server drains, and who comes then hears the refusal", () =>
    Effect.gen(function*() {
      const taken = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<void>()
      const { at, server: { drain } } = yield* serving(
        NodeSocketServer.layer({ ...loopback, allowHalfOpen: true }),
        {
          drainTimeout: "10 seconds",
          serve: Pipeline.serve<string, string>((line) =>
            Deferred.succeed(taken, undefined).pipe(Effect.andThen(Deferred.await(answer)), Effect.as(line))
          )
        }
      )
      const peer = yield* Tcp.saying(at, "You ready?\nHello\n")
      yield* Deferred.await(taken)
      const draining = yield* Effect.forkScoped(drain, { startImmediately: true })
      const late = yield* Tcp.saying(at, "You ready?\n")
      expect(yield* late.ended).toBe(refusal)
      yield* late.end
      yield* Deferred.succeed(answer, undefined)
      expect(yield* peer.ended).toBe("Bring it!\nHello\n")
      yield* peer.end
      yield* soon(Fiber.join(draining))
    }))
})

describe("Client", () => {
  it.live("goes on to the next address where nobody listens, and where there is no room", () =>
    Effect.gen(function*() {
      const full = yield* serving(server, { maxConnections: 0 })
      const free = yield* serving(server)
      const { call, transport } = yield* Client.connect({
        protocol: Line.protocol,
        sockets: [socket(yield* Tcp.deadPort), socket(full.at), socket(free.at)]
      })
      expect(yield* call("Hello")).toBe("Hello")
      expect(whereabouts((yield* transport.peer).remote!)).toBe(free.at)
      yield* full.happened("Refused")
      yield* countsToZero(full.server)
    }))

  it.live("gets in by its schedule once there is room", () =>
    Effect.gen(function*() {
      const { at, happened } = yield* serving(server, { maxConnections: 1 })
      const guest = yield* Tcp.saying(at, "You ready?\n")
      yield* guest.hears("Bring it!\n")
      const patient = yield* Effect.forkScoped(
        Effect.flatMap(client(at, { retry: Schedule.spaced("10 millis") }), ({ call }) => call("Hello"))
      )
      yield* happened("Refused", 2)
      expect(patient.pollUnsafe()).toBeUndefined()
      yield* guest.end
      expect(yield* soon(Fiber.join(patient))).toBe("Hello")
    }))

  it.live("leaves no connection behind where it is rejected", () =>
    Effect.gen(function*() {
      const gone = yield* Deferred.make<string, Error>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.andThen(peer.say(refusal), Deferred.complete(gone, peer.ended)))
      )
      const error = yield* Effect.flip(client(port))
      expect(error).toMatchObject({ reason: { _tag: "Rejected", by: "peer" } })
      // The peer never ends its side: it is the client who leaves.
      expect(yield* soon(Deferred.await(gone))).toBe("You ready?\n")
    }))

  const deaths: Record<string, [(peer: Tcp.Peer) => Effect.Effect<unknown>, tag: string]> = {
    "ends the connection": [(peer) => peer.end, "ConnectionClosed"],
    "ends the connection inside an answer": [
      (peer) => Effect.andThen(peer.say("Hel"), peer.end),
      "Truncated"
    ],
    "resets the connection": [(peer) => peer.reset, "ConnectionFailed"]
  }
  for (const [what, [die, tag]] of Object.entries(deaths)) {
    it.live(`fails every waiting call, and later ones, when the server ${what}`, () =>
      Effect.gen(function*() {
        const requests = "You ready?\none\ntwo\nthree\n"
        const { port } = yield* Tcp.listen((peer) =>
          Effect.runFork(
            peer.hears("You ready?\n").pipe(
              Effect.andThen(peer.say("Bring it!\n")),
              Effect.andThen(peer.hears(requests)),
              Effect.andThen(die(peer))
            )
          )
        )
        const { awaitEnd, call } = yield* client(port)
        const errors = yield* soon(Effect.all(
          [...["one", "two", "three"].map((line) => Effect.flip(call(line))), Effect.flip(awaitEnd)],
          { concurrency: "unbounded" }
        ))
        expect(errors.length).toBe(4)
        for (const error of errors) failsWith(error, tag)
        failsWith(yield* soon(Effect.flip(call("four"))), tag)
      }))
  }

  it.live("speaks bytes that a raw server understands", () =>
    Effect.gen(function*() {
      const heard = yield* Deferred.make<string, Error>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(
          peer.hears("You ready?\n").pipe(
            Effect.andThen(peer.spell("Bring it!\n")),
            Effect.andThen(peer.hears("You ready?\nHello\n")),
            Effect.andThen(peer.spell("Héllo\n")),
            Effect.andThen(Deferred.complete(heard, peer.ended)),
            Effect.andThen(peer.end)
          )
        )
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const { call } = yield* client(port)
        expect(utf8(yield* call("Hello"))).toEqual(utf8("Héllo"))
      }))
      expect(yield* soon(Deferred.await(heard))).toBe("You ready?\nHello\n")
    }))
})
