/**
 * One port, many protocols: lines, HTTP/2 and PostgreSQL, each in clear and inside TLS. The first bytes decide, inside TLS
 * what both sides have negotiated; the right handshake gets every byte, however they are cut, and whoever says nothing that
 * can be told is told so.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { Duplex } from "node:stream"
import { connect } from "node:tls"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import type { HandshakeError } from "../src/HandshakeError.ts"
import * as Net from "../src/node/Net.ts"
import * as NodeTls from "../src/node/Tls.ts"
import * as Http2 from "../src/protocols/Http2.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Postgres from "../src/protocols/Postgres.ts"
import * as Tls from "../src/protocols/Tls.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import * as Certificates from "./support/certificates/index.ts"
import { cutInto, join, outcomeOf, rawPeer, utf8 } from "./support/conversation.ts"
import * as Tcp from "./support/tcp.ts"
import * as Peers from "./support/tlsPeers.ts"

const { root, server: certificate } = Certificates

// ---------------------------------------------------------------------------------------------------------------------
// The port
// ---------------------------------------------------------------------------------------------------------------------

const line = Effect.map(Line.server, Transport.extend({ protocol: "line" }))
const h2 = Http2.server()
const postgres = Postgres.server({ tls: { certificate } })

const clear = [
  { name: "HTTP/2", accepts: Http2.isPreface, handshake: h2 },
  { name: "PostgreSQL", accepts: Postgres.isStartup, handshake: postgres },
  { name: "line", accepts: () => true, handshake: line }
] as const

const inTls = Tls.alpn({ h2, postgresql: postgres }, { otherwise: Handshake.firstOf(clear) })

const any = Handshake.firstOf([
  { name: "TLS", accepts: Tls.isClientHello, handshake: inTls.pipe(Tls.server({ certificate })) },
  ...clear
]).pipe(Handshake.named("any"))

const layer = Layer.mergeAll(
  NodeCrypto.layer,
  NodeTls.layer,
  Layer.provide(
    Postgres.layerUsers([{ user: "ann", password: Redacted.make("pencil") }]),
    NodeCrypto.layer
  )
)

// ---------------------------------------------------------------------------------------------------------------------
// What clients say first
// ---------------------------------------------------------------------------------------------------------------------

const preface = utf8("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

const int32 = (n: number) => [n >>> 24, n >>> 16 & 0xff, n >>> 8 & 0xff, n & 0xff]

/** A message without a type, as PostgreSQL begins with (its manual, 55.7). */
const packet = (...body: ReadonlyArray<number>) => Uint8Array.of(...int32(body.length + 4), ...body)

const parameters = [...utf8("user\0ann\0\0")]

/** A ClientHello as Node says it. */
const clientHello = Effect.callback<Uint8Array>((resume) => {
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Uint8Array, _, done) => {
      resume(Effect.succeed(Uint8Array.from(chunk)))
      done()
    }
  })
  const socket = connect({ socket: stream, servername: "localhost" })
  return Effect.sync(() => socket.destroy())
})

const openings = {
  "the preface of HTTP/2": ["HTTP/2", preface],
  "SSLRequest": ["PostgreSQL", packet(...int32(80_877_103))],
  "GSSENCRequest": ["PostgreSQL", packet(...int32(80_877_104))],
  "CancelRequest": ["PostgreSQL", packet(...int32(80_877_102), ...int32(1234), ...int32(5678))],
  "CancelRequest of 3.2": ["PostgreSQL", packet(...int32(80_877_102), ...int32(1234), ...parameters)],
  "StartupMessage 3.0": ["PostgreSQL", packet(...int32(3 << 16), ...parameters)],
  "StartupMessage 3.2": ["PostgreSQL", packet(...int32(3 << 16 | 2), ...parameters)],
  "a line": ["line", utf8("You ready?\n")],
  "a line that begins like HTTP/2": ["line", utf8("PRI * HTTP/1.1\n")],
  "a line that begins like TLS": ["line", Uint8Array.of(0x16, 0x0a)],
  "a line that begins like PostgreSQL": ["line", utf8("\0\0\0\n0\n")],
  "HTTP/1.1": ["line", utf8("GET / HTTP/1.1\r\n\r\n")]
} as const

// ---------------------------------------------------------------------------------------------------------------------
// The choice alone
// ---------------------------------------------------------------------------------------------------------------------

const branches = [{ name: "TLS", accepts: Tls.isClientHello }, ...clear] as const

/** Who is chosen, and nothing else. */
const named = Handshake.firstOf(
  branches.map(({ accepts, name }) => ({ name, accepts, handshake: Effect.succeed(name) }))
)

/** Branches that read everything, and tell who they are. */
const reading = (name: string) =>
  Effect.flatMap(Transport.framed(Codec.bytes), (transport) =>
    Effect.map(
      Stream.runCollect(transport.incoming),
      (chunks) => ({ branch: name, bytes: join(chunks) })
    ))

const choice = Handshake.firstOf(
  branches.map(({ accepts, name }) => ({ name, accepts, handshake: reading(name) }))
)

/** Says this, ends, and tells who got what. */
const chosen = (bytes: Uint8Array, options: MemorySocket.Options) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair(options)
    const peer = yield* rawPeer(there)
    yield* Effect.forkScoped(Effect.andThen(peer.write(bytes), peer.end))
    return yield* Effect.provideService(choice, Socket.Socket, here)
  }))

const Cuts = Schema.NonEmptyArray(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 })))

describe("the first bytes", () => {
  const saying = Effect.map(clientHello, (hello) => ({ ...openings, "a ClientHello": ["TLS", hello] as const }))

  it.effect.prop(
    "decide, and the one that is chosen gets every byte, however they are cut",
    { cuts: Cuts, rest: Schema.Uint8Array },
    ({ cuts, rest }) =>
      Effect.gen(function*() {
        for (const [what, [branch, first]] of Object.entries(yield* saying)) {
          const bytes = join([first, rest])
          for (const segments of [cutInto(cuts), cutInto([1]), cutInto([bytes.length])]) {
            expect([what, yield* chosen(bytes, { segments })]).toEqual([what, { branch, bytes }])
          }
        }
      }),
    { arbitrary: { runs: 20 } }
  )

  it.effect("decide as soon as they can, and wait for no more", () =>
    Effect.gen(function*() {
      for (const [what, [branch, first]] of Object.entries(yield* saying)) {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* rawPeer(there)
        yield* peer.write(first)
        expect([what, yield* Effect.provideService(named, Socket.Socket, here)]).toEqual([what, branch])
      }
    }))

  const undecided: Record<string, Uint8Array> = {
    "P": utf8("P"),
    "PRI and a space": utf8("PRI "),
    "a preface without its last byte": preface.subarray(0, -1),
    "the first byte of TLS alone": Uint8Array.of(0x16),
    "five bytes of TLS": Uint8Array.of(0x16, 3, 1, 0, 200),
    "two zeros": Uint8Array.of(0, 0),
    "a length and half a version": Uint8Array.of(0, 0, 0, 8, 4, 210)
  }

  for (const [what, bytes] of Object.entries(undecided)) {
    it.effect(`that are ${what} and then the end say nothing yet`, () =>
      Effect.gen(function*() {
        for (const segments of [cutInto([1]), cutInto([bytes.length])]) {
          const { heard, result } = yield* outcomeOf(any, bytes, { segments })
          expect(result).toMatchObject({
            step: "first bytes",
            reason: { _tag: "InvalidGreeting", expected: "the first bytes of TLS or HTTP/2 or PostgreSQL or line" }
          })
          expect(heard).toBe("")
        }
      }).pipe(Effect.provide(layer)))

    it.effect(`that are ${what} and then silence end at the deadline`, () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* rawPeer(there)
        const fiber = yield* Effect.forkScoped(
          any.pipe(Handshake.deadline("10 seconds"), Effect.scoped, Effect.provideService(Socket.Socket, here))
        )
        yield* peer.write(bytes)
        yield* TestClock.adjust("9999 millis")
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* TestClock.adjust("1 millis")
        expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({
          step: "first bytes",
          fault: "peer",
          reason: { _tag: "Timeout" }
        })
        yield* peer.closed
      }).pipe(Effect.provide(layer)))
  }

  it.effect("that never come end at the deadline, or at once where the peer goes", () =>
    Effect.gen(function*() {
      const [here] = yield* MemorySocket.pair()
      const fiber = yield* Effect.forkScoped(
        any.pipe(Handshake.deadline("10 seconds"), Effect.scoped, Effect.provideService(Socket.Socket, here))
      )
      yield* TestClock.adjust("10 seconds")
      expect(yield* Effect.flip(Fiber.join(fiber))).toMatchObject({ step: "first bytes", reason: { _tag: "Timeout" } })
      expect((yield* outcomeOf(any, Uint8Array.of())).result).toMatchObject({
        step: "first bytes",
        reason: { _tag: "UnexpectedEnd" }
      })
    }).pipe(Effect.provide(layer)))

  it.live("whose peer is torn away have said nothing wrong", () =>
    Effect.gen(function*() {
      const seen = yield* Deferred.make<void>()
      const undecided = (bytes: Uint8Array) => {
        if (bytes.length === 3) Deferred.doneUnsafe(seen, Effect.void)
        return undefined
      }
      const { outcome, port } = yield* Peers.accepting(
        Handshake.firstOf([{ name: "line", accepts: undecided, handshake: Line.server }])
      )
      const peer = yield* Tcp.dial(port)
      yield* peer.say("You")
      yield* Deferred.await(seen)
      yield* peer.reset
      expect(yield* Fiber.join(outcome)).toMatchObject({
        step: "first bytes",
        reason: { _tag: "ConnectionFailed", fault: "network" }
      })
    }))

  const refused: Record<string, readonly [bytes: Uint8Array, tag: string, heard: string]> = {
    "a line that is no greeting": [utf8("Who are you?\n"), "InvalidGreeting", "No! Go away!\n"],
    "HTTP/1.1": [utf8("PRI * HTTP/1.1\r\n\r\n"), "InvalidGreeting", "No! Go away!\n"],
    "what is not UTF-8": [Uint8Array.of(0xff, 0xfe, 0x0a), "MalformedFrame", "No! Go away!\n"],
    "a line without end": [utf8("x".repeat(100_000)), "FrameTooLarge", "No! Go away!\n"],
    "TLS and no ClientHello": [Uint8Array.of(0x16, 3, 1, 0, 4, 2, 0, 0, 0, 0x0a), "InvalidGreeting", "No! Go away!\n"]
  }
  for (const [what, [bytes, tag, heard]] of Object.entries(refused)) {
    it.effect(`that are ${what} are refused in the words of the lines`, () =>
      Effect.gen(function*() {
        const outcome = yield* outcomeOf(any, bytes)
        expect(outcome).toMatchObject({ heard, result: { step: "question", reason: { _tag: tag } } })
      }).pipe(Effect.provide(layer)))
  }

  it.effect("of nobody are refused as soon as that is known, where nobody takes the rest", () =>
    Effect.gen(function*() {
      const { result } = yield* outcomeOf(Handshake.firstOf(clear.slice(0, 2)), utf8("PRX and so on"))
      expect(result).toMatchObject({
        step: "first bytes",
        message: expect.stringMatching(/expected the first bytes of HTTP\/2 or PostgreSQL, received "PRX"$/)
      })
    }).pipe(Effect.provide(layer)))
})

// ---------------------------------------------------------------------------------------------------------------------
// The whole, both sides ours
// ---------------------------------------------------------------------------------------------------------------------

type Learned = { readonly protocol: string; readonly tls: string | undefined; readonly next: unknown }

/** What the server of one connection has, and the first that comes behind the handshake. */
const served = any.pipe(
  Effect.flatMap((transport) =>
    Effect.gen(function*() {
      const { tls } = yield* transport.peer
      const next: unknown = yield* transport.receive
      const learned: Learned = { protocol: transport.protocol, tls: tls && (tls.alpn ?? "none"), next }
      return learned
    })
  )
)

const logIn = { user: "ann", password: Redacted.make("pencil"), host: "localhost", ca: root } as const

const toTls = { servername: "localhost", ca: root }

const lineClient = Effect.tap(Line.client, (transport) => transport.send("Hello"))
// `:method: GET`, from the static table of HPACK (RFC 7541 A).
const request = {
  _tag: "Headers",
  streamId: 1,
  fragment: Uint8Array.of(0x82),
  endHeaders: true,
  endStream: true
} as const

const h2Client = Effect.tap(Http2.client(), (transport) => transport.send(request))
const postgresClient = (options: Pick<Postgres.EncryptionOptions, "sslmode" | "sslnegotiation">) =>
  Effect.tap(
    Postgres.client({ ...logIn, ...options }),
    (transport) => transport.send({ _tag: "Query", sql: "select 1" })
  )

type Client = Effect.Effect<unknown, unknown, Socket.Socket | Scope.Scope | Postgres.Crypto>

const hello = "Hello"
const query = { _tag: "Query", sql: "select 1" }

const clients: Record<string, readonly [client: Client, protocol: string, tls: string | undefined, next: unknown]> = {
  "lines": [lineClient, "line", undefined, hello],
  "HTTP/2": [h2Client, "h2", undefined, { _tag: "Headers", streamId: 1, endStream: true }],
  "PostgreSQL": [postgresClient({ sslmode: "disable" }), "postgres", undefined, query],
  "PostgreSQL that asks for TLS": [postgresClient({ sslmode: "verify-full" }), "postgres", "postgresql", query],
  "PostgreSQL inside TLS": [
    postgresClient({ sslmode: "verify-full", sslnegotiation: "direct" }),
    "postgres",
    "postgresql",
    query
  ],
  "HTTP/2 inside TLS": [Tls.client(Tls.alpn({ h2: h2Client }), toTls), "h2", "h2", {
    _tag: "Headers",
    streamId: 1,
    endStream: true
  }],
  "HTTP/2 inside TLS without ALPN": [Tls.client(h2Client, toTls), "h2", "none", {
    _tag: "Headers",
    streamId: 1,
    endStream: true
  }],
  "PostgreSQL inside TLS without ALPN": [
    Tls.client(postgresClient({ sslmode: "disable" }), toTls),
    "postgres",
    "none",
    query
  ],
  "lines inside TLS": [Tls.client(lineClient, toTls), "line", "none", hello]
}

describe.each(Object.entries(clients))("a client of %s", (_, [client, protocol, tls, next]) => {
  const learned = { protocol, tls, next: typeof next === "object" ? expect.objectContaining(next!) : next }

  it.live.each([["as it is written", undefined], ["byte for byte", [1]], ["in odd pieces", [1, 7, 2, 33]]] as const)(
    "is served, and what it says behind the handshake is heard: %s",
    ([, sizes]) =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair(sizes && { segments: cutInto(sizes) })
        const [heard] = yield* Effect.all([
          Effect.provideService(served, Socket.Socket, there),
          Effect.provideService(client, Socket.Socket, here)
        ], { concurrency: 2 })
        expect(heard).toEqual(learned)
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live("is served over TCP", () =>
    Effect.gen(function*() {
      const server = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
      const first = Effect.callback<Learned, HandshakeError>((resume) => {
        const fiber = Effect.runFork(
          server.run((socket) =>
            Effect.map(
              Effect.exit(
                served.pipe(Effect.provideService(Socket.Socket, socket), Effect.scoped, Effect.provide(layer))
              ),
              (exit) => resume(exit as Effect.Effect<Learned, HandshakeError>)
            )
          )
        )
        return Effect.sync(() => fiber.interruptUnsafe())
      })
      const [heard] = yield* Effect.all([
        first,
        Effect.provideService(client, Socket.Socket, yield* Net.socket(server.address))
      ], { concurrency: 2 })
      expect(heard).toEqual(learned)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

// ---------------------------------------------------------------------------------------------------------------------
// Cut after each byte
// ---------------------------------------------------------------------------------------------------------------------

/** All that a client says to the port, until it is served. */
const spoken = (client: Client) =>
  Effect.scoped(Effect.gen(function*() {
    const said: Array<Uint8Array> = []
    const [here, there] = yield* MemorySocket.pair()
    const recorded = Socket.make({
      reader: here.reader,
      writer: Effect.map(here.writer, (writer) => ({
        write: (chunk) => {
          if (!Socket.isCloseEvent(chunk)) said.push(typeof chunk === "string" ? utf8(chunk) : chunk.slice())
          return writer.write(chunk)
        },
        writeAll: (chunks) => {
          for (const chunk of chunks) said.push(typeof chunk === "string" ? utf8(chunk) : chunk.slice())
          return writer.writeAll(chunks)
        }
      }))
    })
    yield* Effect.all([
      Effect.provideService(any, Socket.Socket, there),
      Effect.provideService(client, Socket.Socket, recorded)
    ], { concurrency: 2 })
    return join(said)
  }))

const trusting = Layer.mergeAll(NodeCrypto.layer, NodeTls.layer, Postgres.layerTrust)

describe("a client that is cut after each byte", () => {
  const silent: Record<string, Client> = {
    "lines": Line.client,
    "HTTP/2": Http2.client(),
    "PostgreSQL": Postgres.client({ user: "ann", sslmode: "disable" })
  }
  for (const [what, client] of Object.entries(silent)) {
    it.effect(`of ${what} fails with a typed error, and uncut it is served`, () =>
      Effect.gen(function*() {
        const bytes = yield* spoken(client)
        for (let length = 0; length < bytes.length; length++) {
          const { result } = yield* outcomeOf(any, bytes.subarray(0, length))
          // HTTP/2 needs the client's SETTINGS and no more: what comes behind them is its answer to ours.
          if (result === "ready") {
            expect([what, length >= preface.length + 9]).toEqual(["HTTP/2", true])
            continue
          }
          expect(result).toMatchObject({
            step: expect.any(String),
            reason: { _tag: expect.stringMatching(/^(UnexpectedEnd|InvalidGreeting|MalformedFrame)$/) }
          })
        }
        expect((yield* outcomeOf(any, bytes)).result).toBe("ready")
      }).pipe(Effect.provide(trusting)))
  }

  it.live("of its ClientHello fails with a typed error", () =>
    Effect.gen(function*() {
      const bytes = yield* clientHello
      for (let length = 1; length < bytes.length; length += length < 12 ? 1 : 97) {
        const { result } = yield* outcomeOf(any, bytes.subarray(0, length))
        expect([length, result]).toMatchObject([
          length,
          length < 6
            ? { step: "first bytes", reason: { _tag: "InvalidGreeting" } }
            : { step: "start TLS", reason: { _tag: "TlsFailure", kind: "cut" } }
        ])
      }
    }).pipe(Effect.provide(trusting)))
})

// ---------------------------------------------------------------------------------------------------------------------
// Inside TLS
// ---------------------------------------------------------------------------------------------------------------------

describe("inside TLS", () => {
  it.live("a client that offers nothing of what there is is refused by TLS", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const client = Tls.client(Line.client, { ...toTls, alpn: ["http/1.1"] })
      const [server, mine] = yield* Effect.all([
        Effect.flip(Effect.scoped(Effect.provideService(any, Socket.Socket, there))),
        Effect.flip(Effect.scoped(Effect.provideService(client, Socket.Socket, here)))
      ], { concurrency: 2 })
      expect(server).toMatchObject({ step: "start TLS", reason: { _tag: "TlsFailure", kind: "no-shared-alpn" } })
      expect(mine).toMatchObject({ step: "start TLS", reason: { _tag: "TlsFailure", kind: "no-shared-alpn" } })
    }).pipe(Effect.provide(layer)))

  it.live("the first bytes do not overrule what was negotiated", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const client = Tls.client(Line.client, { ...toTls, alpn: ["h2"] })
      const [server] = yield* Effect.all([
        Effect.flip(Effect.scoped(Effect.provideService(any, Socket.Socket, there))),
        Effect.exit(Effect.scoped(Effect.provideService(client, Socket.Socket, here)))
      ], { concurrency: 2 })
      expect(server).toMatchObject({ protocol: "h2", reason: { _tag: "InvalidGreeting" } })
      expect(server.message).toContain("You ready?")
    }).pipe(Effect.provide(layer)))

  it.live("there is no TLS inside TLS", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const client = Tls.client(Tls.client(Line.client, toTls), toTls)
      const [server] = yield* Effect.all([
        Effect.flip(Effect.scoped(Effect.provideService(any, Socket.Socket, there))),
        Effect.exit(Effect.scoped(Effect.provideService(client, Socket.Socket, here)))
      ], { concurrency: 2 })
      expect(server).toMatchObject({ step: "question" })
    }).pipe(Effect.provide(layer)))
})
