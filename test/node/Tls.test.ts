/**
 * TLS over sockets that are none of Node's: in memory, on the simulated network, and over Effect's own. What TCP does not
 * show: segments of one byte, a clock that stands still, and how much waits where.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { beforeEach, describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import { implOf } from "../../src/internal/connection/transport.ts"
import { told } from "../../src/internal/node/certificates.ts"
import * as Net from "../../src/node/Net.ts"
import * as NodeTls from "../../src/node/Tls.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import { cutInto, utf8 } from "../support/conversation.ts"
import * as Tcp from "../support/tcp.ts"
import * as Peers from "../support/tlsPeers.ts"

const clientTls = { servername: "localhost", ca: Certificates.root }
const serverTls = { certificate: Certificates.server }

const server = Line.server.pipe(Tls.server(serverTls), Effect.provide(NodeTls.layer))
const client = Line.client.pipe(Tls.client(clientTls), Effect.provide(NodeTls.layer))

type Pair = readonly [client: Socket.Socket, server: Socket.Socket]

const memory = (options?: MemorySocket.Options) => MemorySocket.pair(options)

const agree = ([near, far]: Pair) =>
  Effect.all([Peers.ending(client, near), Peers.ending(server, far)], { concurrency: 2 })

const ready = [{ tls: { version: "TLSv1.3", verified: true } }, { tls: { servername: "localhost" } }]

// First, for a process tells of a certificate once.
describe("what TLS is told", () => {
  const { other, root, server: certificate, sha512Rsa } = Certificates
  const asking = (servername: string, more?: Partial<Tls.ClientOptions>) => ({ ...clientTls, servername, ...more })

  it.effect.each(Object.entries<Tls.ServerOptions | Tls.ClientOptions>({
    "a key of another certificate": { certificate: { cert: certificate.cert, key: other.key } },
    "a key of another type": { certificate: { cert: certificate.cert, key: sha512Rsa.key } },
    "a certificate behind another one": { certificate: { cert: `${root}\n${certificate.cert}`, key: certificate.key } },
    "a key of another certificate, for a name": {
      certificate,
      names: { "a.test": { cert: other.cert, key: certificate.key } }
    },
    "a name that is none": { certificate, names: { "a/b": certificate } },
    "clients' authorities that are none": { certificate, ca: certificate.cert, clientCertificate: "require" },
    "ciphers that there are none of": { certificate, ciphers: "NONSENSE" },
    "a server's name that is none": asking("a/b"),
    "a client's key of another certificate": asking("a.test", {
      certificate: { cert: certificate.cert, key: other.key }
    }),
    "a server's authorities that are none": asking("a.test", { ca: "nonsense" }),
    "more protocols than can be offered": asking("a.test", { alpn: Array.from({ length: 60_000 }, () => "h2") })
  }))("is a bad-configuration before anybody connects: %s", ([, options]) =>
    Effect.gen(function*() {
      const failure = yield* Effect.flip(NodeTls.check(options))
      expect(failure).toMatchObject({ _tag: "TlsFailure", kind: "bad-configuration", fault: "local" })
    }))

  // Other tests of this process may have been told of the same certificates.
  beforeEach(() => told.clear())

  /** What is logged. */
  const warnings = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
    const logged: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      logged.push(`${logLevel}: ${String(message)}`)
    })
    return Effect.as(Effect.provideService(effect, References.CurrentLoggers, new Set([logger])), logged)
  }

  it.live("is given back; what peers will object to is a warning, and is none again when it is used", () =>
    Effect.gen(function*() {
      const options = { certificate: Certificates.clientExpired, names: { "a.test": Certificates.notYetValid } }
      let checked: unknown
      const checking = Effect.tap(NodeTls.check(options), (options) => Effect.sync(() => checked = options))
      expect(yield* warnings(checking)).toEqual([
        expect.stringMatching(/^Warn: the certificate for CN=cert_user has expired at 2020-/),
        expect.stringMatching(/^Warn: the certificate for CN=localhost is not valid before /)
      ])
      expect(checked).toBe(options)
      expect(yield* warnings(NodeTls.check({ certificate, names: { "a.test": other } }))).toEqual([])
      expect(yield* warnings(NodeTls.check(clientTls))).toEqual([])
      expect(yield* warnings(shownBy(options))).toEqual([])
    }))

  /** Two connections to a server with these options. */
  const shownBy = (options: Tls.ServerOptions) => {
    const server = Line.server.pipe(Tls.server(options), Effect.provide(NodeTls.layer))
    const once = Effect.flatMap(
      memory(),
      ([near, far]) => Effect.all([Peers.ending(client, near), Peers.ending(server, far)], { concurrency: 2 })
    )
    return Effect.andThen(once, once)
  }

  it.live("is warned of with the first connection where nobody has looked at it", () =>
    Effect.gen(function*() {
      expect(yield* warnings(shownBy({ certificate: Certificates.expired }))).toEqual([
        expect.stringContaining("CN=localhost has expired at")
      ])
    }))
})

describe("a handshake over any socket", () => {
  it.live("agrees in memory", () =>
    Effect.gen(function*() {
      expect(yield* agree(yield* memory())).toMatchObject(ready)
    }))

  it.live("agrees in segments of one byte", () =>
    Effect.gen(function*() {
      expect(yield* agree(yield* memory({ segments: cutInto([1]) }))).toMatchObject(ready)
    }))

  it.live("agrees where there is room for one byte", () =>
    Effect.gen(function*() {
      expect(yield* agree(yield* memory({ capacity: 1 }))).toMatchObject(ready)
    }))

  it.live("agrees on a network that splits, joins and delays", () =>
    Effect.gen(function*() {
      for (const seed of [1, 2, 3]) {
        const way = { segments: { min: 1, max: 40 }, latency: 2, jitter: 2 }
        expect(yield* agree(yield* SimulatedNetwork.pair({ seed, toServer: way, toClient: way }))).toMatchObject(ready)
      }
    }))

  it.live("agrees over Effect's own sockets", () =>
    Effect.gen(function*() {
      const listening = yield* NodeSocketServer.make({ host: "127.0.0.1", port: 0, allowHalfOpen: true })
      const here = yield* Deferred.make<Peers.Outcome>()
      yield* Effect.forkScoped(
        listening.run((socket) =>
          Effect.flatMap(Peers.ending(server, socket), (outcome) => Deferred.succeed(here, outcome))
        )
      )
      const port = listening.address._tag === "UnixPathAddress" ? 0 : listening.address.port
      const socket = yield* NodeSocket.makeNet({ host: "127.0.0.1", port })
      expect([yield* Peers.ending(client, socket), yield* Deferred.await(here)]).toMatchObject(ready)
    }))

  it.live("is not needed by the sockets of node/Net", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.server()
      const bare = Line.client.pipe(Tls.client(clientTls))
      expect(yield* Peers.ending(bare, yield* Net.socket({ host: "127.0.0.1", port }))).toMatchObject(ready[0])
      expect(yield* Fiber.join(outcome)).toMatchObject(ready[1])
    }))

  it.live("fails with the same kinds as over TCP", () =>
    Effect.gen(function*() {
      const expired = Line.server.pipe(
        Tls.server({ certificate: Certificates.expired }),
        Effect.provide(NodeTls.layer)
      )
      const [near, far] = yield* memory()
      const [here] = yield* Effect.all([Peers.ending(client, near), Peers.ending(expired, far)], { concurrency: 2 })
      expect(here).toMatchObject({ step: "start TLS", reason: { kind: "expired", fault: "peer" } })
    }))

  it.live("tells its peer what was wrong in the words of TLS, and closes behind it", () =>
    Effect.gen(function*() {
      const [near, far] = yield* memory()
      const shaking = yield* Effect.forkScoped(Peers.ending(server, near))
      const reader = yield* Socket.readerBytes(far)
      const writer = yield* far.writer
      // Encrypted data, before there is TLS.
      yield* writer.write(Uint8Array.of(23, 3, 3, 0, 19, ...new Uint8Array(19)))
      const [alert] = yield* reader
      expect([...alert]).toEqual([21, 3, 3, 0, 2, 2, 10])
      expect((yield* Effect.flip(reader)).reason).toMatchObject({ _tag: "SocketCloseError", code: 1000 })
      expect(yield* Fiber.join(shaking)).toMatchObject({ reason: { kind: "protocol", fault: "peer" } })
    }))

  for (const how of ["end", "reset"] as const) {
    it.live(`fails as cut, ${how === "end" ? "by an end" : "by a reset"} after any byte`, () =>
      Effect.gen(function*() {
        for (const after of [1, 5, 100, 500, 900]) {
          const faults = [{ after, how }]
          const outcomes = yield* agree(yield* SimulatedNetwork.pair({ toClient: { faults } }))
          expect([after, outcomes]).toMatchObject([after, [
            {
              step: "start TLS",
              reason: { _tag: "TlsFailure", kind: "cut", fault: how === "end" ? "peer" : "network" }
            },
            { reason: { _tag: expect.stringMatching(/^(TlsFailure|UnexpectedEnd|ConnectionFailed)$/) } }
          ]])
        }
      }))
  }
})

describe("interrupted", () => {
  it.live("it leaves no write behind that the peer does not take", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const given = yield* Deferred.make<void>()
      const stuck = Effect.onInterrupt(
        Effect.andThen(Deferred.succeed(begun, undefined), Effect.never),
        () => Deferred.succeed(given, undefined)
      )
      const deaf: Socket.Socket = {
        [Socket.TypeId]: Socket.TypeId,
        reader: Effect.succeed({ pull: Effect.never, upgrade: Socket.SocketUpgradeError.unsupported }),
        writer: Effect.succeed({ write: () => stuck, writeAll: () => stuck })
      }
      const fiber = yield* Effect.forkChild(Peers.ending(client, deaf))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(given)
    }))
})

describe("its deadline, on a clock that stands still", () => {
  /** Lets real work be done, such as that of TLS, while the clock stands. */
  const turns = (times: number) => Effect.forEach(Array(times), () => Tcp.turn, { discard: true })

  it.effect("covers a peer that keeps silent", () =>
    Effect.gen(function*() {
      const [near, far] = yield* SimulatedNetwork.pair()
      yield* far.reader
      const fiber = yield* Effect.forkChild(Peers.ending(client.pipe(Handshake.deadline("10 seconds")), near))
      yield* turns(20)
      yield* TestClock.adjust("9999 millis")
      yield* turns(20)
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(fiber)).toMatchObject({ step: "start TLS", reason: { _tag: "Timeout" } })
    }))

  it.effect("covers a peer whose flight comes byte by byte", () =>
    Effect.gen(function*() {
      const dribbling = { segments: { min: 1, max: 1 }, bandwidth: 50 }
      const [near, far] = yield* SimulatedNetwork.pair({ toClient: dribbling })
      yield* Effect.forkScoped(Peers.ending(server, far))
      const fiber = yield* Effect.forkChild(Peers.ending(client.pipe(Handshake.deadline("5 seconds")), near))
      for (let second = 0; second < 4; second++) {
        yield* turns(20)
        yield* TestClock.adjust("1 seconds")
      }
      yield* turns(20)
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({ step: "start TLS", reason: { _tag: "Timeout" } })
    }))
})

/** Both ends of a connection inside TLS, and how the server's is given up. */
interface Ends<In, Out> {
  readonly client: Transport.Transport<In, Out>
  readonly server: Transport.Transport<In, Out>
  readonly leave: Effect.Effect<void>
}

const over = <In, Out>(codec: Codec.Codec<In, Out>, pair: Effect.Effect<Pair, never, Scope.Scope>) =>
  Effect.gen(function*() {
    const [near, far] = yield* pair
    const framed = Transport.framed(codec)
    const scope = yield* Scope.fork(yield* Effect.scope)
    const [client, server] = yield* Effect.all([
      framed.pipe(Tls.client(clientTls), Effect.provideService(Socket.Socket, near)),
      framed.pipe(Tls.server(serverTls), Effect.provideService(Socket.Socket, far), Scope.provide(scope))
    ], { concurrency: 2 }).pipe(Effect.provide(NodeTls.layer))
    return { client, server, leave: Scope.close(scope, Exit.void) }
  })

/** The same by the sockets of node/Net, which have TLS of their own. */
const native = <In, Out>(codec: Codec.Codec<In, Out>): Effect.Effect<Ends<In, Out>, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const framed = Transport.framed(codec)
    const listening = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
    const accepted = yield* Deferred.make<Transport.Transport<In, Out>>()
    const over = yield* Deferred.make<void>()
    yield* Effect.forkScoped(listening.run((socket) =>
      framed.pipe(
        Tls.server(serverTls),
        Effect.flatMap((transport) => Effect.andThen(Deferred.succeed(accepted, transport), Deferred.await(over))),
        Effect.scoped,
        Effect.provideService(Socket.Socket, socket)
      )
    ))
    const client = yield* framed.pipe(
      Tls.client(clientTls),
      Effect.provideServiceEffect(Socket.Socket, Net.socket(listening.address))
    )
    return { client, server: yield* Deferred.await(accepted), leave: Deferred.succeed(over, undefined) }
  })

const window = 16 * 1024

const ways: Record<
  string,
  <In, Out>(codec: Codec.Codec<In, Out>) => Effect.Effect<Ends<In, Out>, unknown, Scope.Scope>
> = {
  "over TCP": native,
  "in memory": (codec) => over(codec, memory({ capacity: window })),
  "on the simulated network": (codec) => {
    const way = { sendBuffer: window, receiveBuffer: window }
    return over(codec, SimulatedNetwork.pair({ toServer: way, toClient: way }))
  }
}

const mebi = 1024 * 1024

for (const [way, connect] of Object.entries(ways)) {
  describe(`a connection inside TLS, ${way}`, () => {
    it.live("carries megabytes both ways at once", () =>
      Effect.gen(function*() {
        const { client, server } = yield* connect(Codec.bytes)
        const total = 8 * mebi
        const sent = Uint8Array.from({ length: 64 * 1024 }, (_, i) => (i * 7) ^ (i >> 8))
        const repeated = Buffer.concat(Array(16).fill(sent))
        const sends = (transport: typeof client) =>
          Effect.forEach(Array(total / sent.length), () => transport.send(sent), { discard: true })
        const receives = Effect.fnUntraced(function*(transport: typeof client) {
          let length = 0
          while (length < total) {
            const chunk = yield* transport.receive
            const at = length % sent.length
            if (
              !Buffer.from(chunk).equals(repeated.subarray(at, at + chunk.length))
            ) return `other bytes from ${length} on`
            length += chunk.length
          }
          return length
        })
        const [, , there, here] = yield* Effect.all(
          [sends(client), sends(server), receives(client), receives(server)],
          { concurrency: 4 }
        )
        expect([there, here]).toEqual([total, total])
      }))

    it.live("takes no more than a little from a sender whose peer does not read", () =>
      Effect.gen(function*() {
        const { client, server } = yield* connect(Codec.bytes)
        const chunk = new Uint8Array(64 * 1024)
        let sent = 0
        const sending = yield* Effect.forkChild(
          Effect.forever(Effect.map(client.send(chunk), () => sent += chunk.length))
        )
        // Until it stands still.
        let before = -1
        while (before !== sent) {
          before = sent
          yield* Effect.sleep(100)
        }
        // The system's own buffers of TCP on loopback hold a few MiB.
        expect(sent).toBeLessThan(way === "over TCP" ? 16 * mebi : mebi / 2)
        // And it goes on when the peer does.
        let received = 0
        while (received <= before) received += (yield* server.receive).length
        yield* Effect.sleep(50)
        expect(sent).toBeGreaterThan(before)
        yield* Fiber.interrupt(sending)
      }))

    it.live("lets an answer follow the end of the one who asks", () =>
      Effect.gen(function*() {
        const { client, server } = yield* connect(Codec.lines())
        yield* client.send("what?")
        yield* ended(client)
        expect(yield* server.receive).toBe("what?")
        expect((yield* Effect.flip(server.receive)).reason).toMatchObject({ _tag: "ConnectionClosed", by: "peer" })
        yield* server.send("that")
        expect(yield* client.receive).toBe("that")
      }))

    it.live("ends between two frames in order, and in the middle of one as cut", () =>
      Effect.gen(function*() {
        for (const [said, tag] of [["one\n", "ConnectionClosed"], ["one\ntw", "Truncated"]]) {
          const { client, server } = yield* connect(Codec.lines())
          const raw = yield* Transport.switchCodec(client, Codec.bytes)
          yield* raw.send(utf8(said))
          yield* ended(raw)
          expect(yield* server.receive).toBe("one")
          expect((yield* Effect.flip(server.receive)).reason._tag).toBe(tag)
        }
      }))

    // Of a simulated peer that has ended it is not known whether it is gone, until a write has waited for 5 seconds.
    if (way !== "on the simulated network") {
      it.live("fails to write to a peer that is gone", () =>
        Effect.gen(function*() {
          const { client, leave } = yield* connect(Codec.lines())
          yield* leave
          const failing = Effect.forever(Effect.andThen(client.send("x".repeat(1000)), Effect.sleep(1)))
          const error = yield* Effect.flip(Effect.timeout(failing, 4000))
          expect(error).toMatchObject({ _tag: "TransportError" })
        }))
    }
  })
}

/** Ends the writing side, and goes on to read. */
const ended = (transport: Transport.Transport.Any) =>
  Effect.scoped(Effect.flatMap(
    implOf(transport).connection.socket.writer,
    (writer) => writer.write(new Socket.CloseEvent(1000))
  ))
