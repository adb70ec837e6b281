/**
 * STARTTLS: what is said in clear is never taken for what comes encrypted, and nothing is lost across the switch, however
 * the bytes are cut. And the laws of handshakes, for one that switches to TLS and for one that begins with it.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import * as NodeTls from "../../src/node/Tls.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import { cutInto } from "../support/conversation.ts"
import * as Law from "../support/laws.ts"
import * as Tcp from "../support/tcp.ts"
import * as Peers from "../support/tlsPeers.ts"

const lines = Transport.framed(Codec.lines())

const serverTls = { role: "server", certificate: Certificates.server } as const
const clientTls = { role: "client", servername: "localhost", ca: Certificates.root } as const

const asked = lines.pipe(Handshake.expect("STARTTLS"))

const server = asked.pipe(
  Handshake.startTls({ ...serverTls, goAhead: "GO" }),
  Handshake.expect("You ready?", { orReply: "No! Go away!" }),
  Handshake.send("Bring it!"),
  Handshake.named("line over STARTTLS")
)

const client = lines.pipe(
  Handshake.send("STARTTLS"),
  Handshake.expect("GO"),
  Handshake.startTls(clientTls),
  Handshake.send("You ready?"),
  Handshake.expect("Bring it!"),
  Handshake.named("line over STARTTLS")
)

const overAny = {
  server: server.pipe(Effect.provide(NodeTls.layer)),
  client: client.pipe(Effect.provide(NodeTls.layer))
}

const dialling = (port: number) => Net.socket({ host: "127.0.0.1", port })

/** How both sides end, with somebody between them. */
const meeting = Effect.fnUntraced(function*(
  sides: { readonly client: Handshake.Handshake<string, string>; readonly server: Handshake.Handshake<string, string> },
  pass: Peers.Pass
) {
  const { outcome, port } = yield* Peers.accepting(sides.server)
  const forwarder = yield* Peers.between(port, pass)
  const socket = yield* dialling(forwarder.port)
  const there = yield* Peers.ending(sides.client, socket)
  return { client: there, server: yield* Fiber.join(outcome) }
})

// What comes late enough is behind the handshake, and no record.
const refused = { reason: { _tag: expect.stringMatching(/^(UnreadBytes|TlsFailure)$/), fault: "peer" } }

// Some laws say something of their own in clear behind a handshake, or say the same once more: to that, TLS is deaf.
const inClear = "what they say in clear behind the handshake is no TLS"

// On a network where a reset destroys what came before it, and where more has come than TLS has read.
const alert = "OpenSSL's alert is sent before the connection closes, and nobody waits until it was heard"

/** Which laws cannot be tried, and why. */
const exceptions: Record<string, Partial<Record<Laws.LawNumber, string>>> = {
  "line inside TLS": { 2: inClear, 6: inClear, 10: inClear, 11: alert },
  "line over STARTTLS": {
    // What is refused is the same, but as UnreadBytes or as no TLS, for it depends on who has seen it first.
    1: "bytes that come too early are refused by whoever sees them first, the transport or TLS",
    2: inClear,
    6: inClear,
    10: inClear,
    11: alert
  }
}

/** What TLS has to do that is not on the clock. An Effect for each turn would be a quarter of what these laws cost. */
const breathe = Effect.callback<void>((resume) => {
  let left = 40
  const next = () => {
    left--
    if (left === 0) resume(Effect.void)
    else setImmediate(next)
  }
  setImmediate(next)
})

const tcp = Rung.sockets({ name: "tcp", server: Net.makeServer({ host: "127.0.0.1", port: 0 }), dial: Net.socket })

const cipherOf = (transport: Transport.Transport.Any) => Effect.map(transport.peer, ({ tls }) => tls?.cipher)

const key = Certificates.server.key

for (
  const [name, handshakes] of Object.entries({
    "line over STARTTLS": overAny,
    "line inside TLS": {
      server: Line.server.pipe(Tls.server({ certificate: Certificates.server }), Effect.provide(NodeTls.layer)),
      client: Line.client.pipe(
        Tls.client({ servername: "localhost", ca: Certificates.root }),
        Effect.provide(NodeTls.layer)
      )
    }
  })
) {
  const suite = Laws.handshake({
    ...handshakes,
    name,
    rungs: [tcp, Rung.simulated()],
    runs: 10,
    // The same cases each time: whether OpenSSL still says its alert depends on how what it refuses was cut.
    seed: "tls",
    breathe,
    secrets: [Redacted.value(key).slice(30, 80)],
    calls: {
      serve: Pipeline.serve((line: string) => Effect.succeed(line.toUpperCase())),
      requests: ["Hello", "Goodbye"],
      respond: (line) => line.toUpperCase()
    },
    // RFC 8446, 5.1: the version of a record is there for the sake of old peers, and must be ignored.
    accepts: ({ due, said }) =>
      due[0] === 0x16 && said.length === due.length && said.every((byte, i) => i === 2 || byte === due[i]),
    negotiated: { server: cipherOf, client: cipherOf }
  })
  const laws = suite.laws.map((law) => {
    const skip = exceptions[name][law.law] ?? law.skip
    return skip === undefined ? law : { ...law, skip }
  })
  Laws.register({ ...suite, laws }, Law.it)
}

describe("what somebody says in clear behind the request for TLS", () => {
  const smuggled = "STARTTLS\nYou ready?\n"

  for (let at = 0; at <= smuggled.length; at++) {
    it.live(`is not read as decrypted, cut behind byte ${at}`, () =>
      Effect.gen(function*() {
        let isFirst = true
        const { client: there, server: here } = yield* meeting({ client, server }, (from, chunk, _cut, later) => {
          if (from === "server" || !isFirst) return chunk
          isFirst = false
          later(() => [Buffer.from(smuggled.slice(at))])
          return Buffer.from(smuggled.slice(0, at))
        })
        expect(here).toMatchObject(refused)
        expect(there.tls).toBeUndefined()
      }))
  }

  it.live("in the same segment is refused as what it is, and the go-ahead is not given", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.accepting(server)
      const peer = yield* Tcp.saying(port, smuggled)
      expect(yield* peer.ended).toBe("")
      expect((yield* Fiber.join(outcome)).reason).toMatchObject({
        _tag: "UnreadBytes",
        bytes: 11,
        excerpt: "\"You ready?\\n\"",
        fault: "peer"
      })
    }))

  it.live("without it the go-ahead is given, in clear", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.accepting(server)
      const peer = yield* Tcp.saying(port, "STARTTLS\n")
      yield* peer.hears("GO\n")
    }))

  it.live("is refused also where it came before it was looked for, and a sink has given it back", () =>
    Effect.gen(function*() {
      const handshake = Effect.flatMap(lines, (transport) =>
        Effect.andThen(
          transport.run(
            Sink.flatMap(Sink.take<string>(2), () => Sink.fromTransform(() => Effect.succeed([0, ["two"]])))
          ),
          Transport.startTls(transport, serverTls)
        )).pipe(Handshake.step("start TLS"))
      const { outcome, port } = yield* Peers.accepting(handshake)
      yield* Tcp.saying(port, "one\ntwo\n")
      expect((yield* Fiber.join(outcome)).reason).toMatchObject({ _tag: "UnreadBytes", bytes: 4 })
    }))
})

describe("what somebody says in clear behind the go-ahead", () => {
  const smuggled = "GO\nBring it!\n"

  for (let at = 0; at <= smuggled.length; at++) {
    it.live(`is not read as decrypted, cut behind byte ${at}`, () =>
      Effect.gen(function*() {
        let isFirst = true
        const { client: there } = yield* meeting({ client, server }, (from, chunk, _cut, later) => {
          if (from === "client" || !isFirst) return chunk
          isFirst = false
          later(() => [Buffer.from(smuggled.slice(at))])
          return Buffer.from(smuggled.slice(0, at))
        })
        expect(there).toMatchObject(refused)
      }))
  }

  it.live("is refused also where the socket has it and nobody has asked for it", () =>
    Effect.gen(function*() {
      const said = yield* Deferred.make<void>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.gen(function*() {
          yield* peer.hears("STARTTLS\n")
          yield* peer.say("GO\n")
          yield* Effect.sleep(10)
          yield* peer.say("Bring it!\n")
          yield* Deferred.succeed(said, undefined)
        }))
      )
      const slow = lines.pipe(
        Handshake.send("STARTTLS"),
        Handshake.expect("GO"),
        Effect.tap(() => Effect.andThen(Deferred.await(said), Effect.sleep(20))),
        Handshake.startTls(clientTls)
      )
      expect((yield* Peers.ending(slow, yield* dialling(port))).reason).toMatchObject({
        _tag: "UnreadBytes",
        bytes: 10
      })
    }))
})

describe("law 2, conservation across the switch", () => {
  /** Holds what the client says until it pauses, and hands it on in pieces of these lengths: the same for the server. */
  const recut = (lengths: ReadonlyArray<number>): Peers.Pass => {
    const held = { client: Buffer.alloc(0), server: Buffer.alloc(0) }
    return (from, chunk, _cut, later) => {
      const isFirst = held[from].length === 0
      held[from] = Buffer.concat([held[from], chunk])
      if (isFirst) {
        later(() => {
          const pieces = cutInto(lengths)(held[from])
          held[from] = Buffer.alloc(0)
          return pieces
        })
      }
      return Buffer.alloc(0)
    }
  }

  const Lengths = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3000 }))).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(4)
  )

  const said = ["one", "", "three and a bit more", "x".repeat(20_000)]

  // It says all of it without waiting for anything, so that it comes with the last flight of TLS.
  const talking = lines.pipe(
    Handshake.send("STARTTLS"),
    Handshake.expect("GO"),
    Handshake.startTls(clientTls),
    Effect.tap((transport) => transport.sendAll(said)),
    Handshake.expect("enough"),
    Handshake.named("talking")
  )

  it.live.prop(
    "what follows the last flight of TLS in the same segment is received, whatever it is cut into",
    { lengths: Lengths },
    ({ lengths }) =>
      Effect.gen(function*() {
        const heard: Array<string> = []
        const listening = asked.pipe(
          Handshake.startTls({ ...serverTls, goAhead: "GO" }),
          Effect.tap((transport) =>
            Effect.forEach(said, () => Effect.map(transport.receive, (line) => heard.push(line)))
          ),
          Handshake.send("enough"),
          Handshake.named("listening")
        )
        expect(yield* meeting({ client: talking, server: listening }, recut(lengths))).toMatchObject({
          client: { tls: { verified: true } },
          server: { tls: { servername: "localhost" } }
        })
        expect(heard).toEqual(said)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 15 } }
  )

  it.live("a codec switch behind TLS finds every byte", () =>
    Effect.gen(function*() {
      const rest = yield* Deferred.make<ReadonlyArray<string>>()
      const packets = Codec.fixed(3)
      const listening = asked.pipe(
        Handshake.startTls({ ...serverTls, goAhead: "GO" }),
        Handshake.expect("three"),
        Handshake.switchCodec(packets),
        Effect.tap((transport) =>
          Effect.flatMap(
            Effect.all([transport.receive, transport.receive]),
            (both) => Deferred.succeed(rest, both.map((packet) => Buffer.from(packet).toString()))
          )
        ),
        Handshake.switchCodec(Codec.lines()),
        Handshake.named("switching")
      )
      const talking = lines.pipe(
        Handshake.send("STARTTLS"),
        Handshake.expect("GO"),
        Handshake.startTls(clientTls),
        Effect.tap((transport) => transport.sendAll(["three", "abcde"])),
        Handshake.named("talking")
      )
      yield* meeting({ client: talking, server: listening }, recut([4000]))
      expect(yield* Deferred.await(rest)).toEqual(["abc", "de\n"])
    }))

  // A client that begins TLS without waiting for an answer.
  const eager = lines.pipe(
    Handshake.send("STARTTLS"),
    Handshake.startTls(clientTls),
    Handshake.send("You ready?"),
    Handshake.expect("Bring it!"),
    Handshake.named("eager")
  )

  const patient = (unread: "feed" | "refuse") =>
    asked.pipe(
      Handshake.startTls({ ...serverTls, unread }),
      Handshake.expect("You ready?"),
      Handshake.send("Bring it!"),
      Handshake.named("patient")
    )

  /** The request and the ClientHello come together, and are cut behind this byte. */
  const together = (at: number): Peers.Pass => {
    let held: Buffer | undefined = Buffer.alloc(0)
    return (from, chunk, _cut, later) => {
      if (from === "server" || held === undefined) return chunk
      held = Buffer.concat([held, chunk])
      if (held.length < 100) return Buffer.alloc(0)
      const whole = held
      held = undefined
      if (at < whole.length) later(() => [whole.subarray(at)])
      return whole.subarray(0, at)
    }
  }

  it.live("bytes that are fed to TLS are all of them, whatever they are cut into", () =>
    Effect.gen(function*() {
      for (const at of [1, 8, 9, 10, 11, 14, 15, 16, 50, 200, 300, 4000]) {
        const outcomes = yield* meeting({ client: eager, server: patient("feed") }, together(at))
        expect([at, outcomes]).toMatchObject([at, { client: { tls: {} }, server: { tls: {} } }])
      }
    }))

  it.live("the same bytes are refused by whoever does not feed them", () =>
    Effect.gen(function*() {
      const outcomes = yield* meeting({ client: eager, server: patient("refuse") }, together(4000))
      expect(outcomes.server.reason).toMatchObject({ _tag: "UnreadBytes" })
    }))

  it.live("somebody who waits for a frame in clear still does not take the bytes of TLS", () =>
    Effect.gen(function*() {
      const distracted = asked.pipe(
        Effect.tap((transport) => Effect.forkScoped(transport.receive, { startImmediately: true })),
        Handshake.startTls({ ...serverTls, goAhead: "GO" }),
        Effect.tap(() => Effect.never),
        Handshake.named("distracted")
      )
      const { port } = yield* Peers.accepting(distracted)
      const begun = lines.pipe(
        Handshake.send("STARTTLS"),
        Handshake.expect("GO"),
        Handshake.startTls(clientTls),
        Handshake.named("line")
      )
      expect(yield* Peers.ending(begun, yield* dialling(port))).toMatchObject({ tls: { verified: true } })
    }))

  it.live("the last word in clear leaves before TLS does", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen((peer) => {
        peer.socket.on("data", () => {
          if (peer.heard().length > 20) peer.socket.destroy()
        })
        Effect.runFork(Effect.map(peer.over, () => Deferred.doneUnsafe(heard, Exit.succeed(peer.heard()))))
      })
      const heard = Deferred.makeUnsafe<string>()
      yield* Peers.ending(eager, yield* dialling(port))
      expect((yield* Deferred.await(heard)).slice(0, 11)).toBe("STARTTLS\n\u0016\u0003")
    }))
})

describe("law 6, silence", () => {
  const bounded = server.pipe(Handshake.deadline("150 millis"))
  const late = { step: "start TLS", reason: { _tag: "Timeout" } }

  it.live("a client that is told to begin TLS and keeps silent is waited for until the deadline", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.accepting(bounded)
      const peer = yield* Tcp.saying(port, "STARTTLS\n")
      expect(yield* Fiber.join(outcome)).toMatchObject(late)
      yield* peer.over
    }))

  it.live("a client that dribbles its ClientHello gains nothing", () =>
    Effect.gen(function*() {
      const { outcome, port } = yield* Peers.accepting(bounded)
      const peer = yield* Tcp.saying(port, "STARTTLS\n")
      yield* peer.hears("GO\n")
      const hello = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...new Uint8Array(200))
      yield* Effect.forkScoped(
        Effect.forEach(hello, (byte) => Effect.andThen(peer.say(Uint8Array.of(byte)), Effect.sleep(10)))
      )
      expect(yield* Fiber.join(outcome)).toMatchObject(late)
      yield* peer.over
    }))

  it.live("a server that says to begin and then nothing is waited for until the deadline", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen((peer) => Effect.runFork(peer.say("GO\n")))
      const socket = yield* dialling(port)
      expect(yield* Peers.ending(client.pipe(Handshake.deadline("150 millis")), socket)).toMatchObject(late)
    }))

  it.live("one that is in time is not cut by it later", () =>
    Effect.gen(function*() {
      const slow = server.pipe(
        Handshake.deadline("500 millis"),
        Effect.tap((transport) => Effect.andThen(transport.receive, transport.send("still here"))),
        Handshake.named("slow")
      )
      const { port } = yield* Peers.accepting(slow)
      const transport = yield* Effect.provideService(client, Socket.Socket, yield* dialling(port))
      yield* Effect.sleep(600)
      yield* transport.send("are you?")
      expect(yield* transport.receive).toBe("still here")
    }))
})

describe("law 7, interruption", () => {
  /** The sockets of this process. */
  const open = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCPSocket")).length

  const gone = (before: number) =>
    Effect.gen(function*() {
      for (let i = 0; i < 200 && open() > before; i++) yield* Effect.sleep(5)
      return open()
    })

  it.live("at any point, a client's socket is closed and nothing is left", () =>
    Effect.gen(function*() {
      const before = yield* gone(0)
      for (let turns = 0; turns < 24; turns++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const { outcome, port } = yield* Peers.accepting(server)
          const socket = yield* dialling(port)
          const fiber = yield* Effect.forkChild(
            Effect.scoped(client).pipe(Effect.provideService(Socket.Socket, socket))
          )
          for (let i = 0; i < turns; i++) yield* Tcp.turn
          yield* Fiber.interrupt(fiber)
          // It has failed, or the client was so fast that it was ready.
          const waited = yield* Effect.timeoutOption(Fiber.join(outcome), turns === 0 ? 50 : 2000)
          if (turns > 3) expect([turns, waited._tag]).toEqual([turns, "Some"])
        }))
      }
      expect(yield* gone(before)).toBe(before)
    }))

  it.live("at any point, a server's socket is closed and nothing is left", () =>
    Effect.gen(function*() {
      const before = yield* gone(0)
      for (let turns = 0; turns < 24; turns++) {
        const scope = yield* Scope.make()
        const { port } = yield* Scope.provide(Peers.accepting(server), scope)
        const socket = yield* dialling(port)
        const fiber = yield* Effect.forkChild(Peers.ending(client, socket))
        for (let i = 0; i < turns; i++) yield* Tcp.turn
        yield* Scope.close(scope, Exit.void)
        // Either the end is seen, or it was ready before.
        const outcome = yield* Fiber.join(fiber)
        expect(outcome.tls ?? outcome.reason).toBeDefined()
      }
      expect(yield* gone(before)).toBe(before)
    }))
})

describe("what does not fit together", () => {
  it.live("two clients: each knows that the other does not answer as a server", () =>
    Effect.gen(function*() {
      const begin = lines.pipe(Handshake.startTls(clientTls), Handshake.named("client"))
      const outcomes = yield* meeting({ client: begin, server: begin }, (_, chunk) => chunk)
      expect(outcomes).toMatchObject({
        client: { step: "start TLS", reason: { _tag: "TlsFailure" } },
        server: { step: "start TLS", reason: { _tag: "TlsFailure" } }
      })
    }))

  it.live("TLS inside TLS works", () =>
    Effect.gen(function*() {
      const twice = {
        server: lines.pipe(
          Handshake.startTls({ ...serverTls, unread: "feed" }),
          Handshake.startTls({ ...serverTls, certificate: Certificates.other, unread: "feed" }),
          Handshake.expect("You ready?"),
          Handshake.send("Bring it!"),
          Handshake.named("twice")
        ),
        client: lines.pipe(
          Handshake.startTls(clientTls),
          Handshake.startTls({ ...clientTls, servername: "other.test" }),
          Handshake.send("You ready?"),
          Handshake.expect("Bring it!"),
          Handshake.named("twice")
        )
      }
      expect(yield* meeting(twice, (_, chunk) => chunk)).toMatchObject({
        client: { tls: { certificate: { subject: "CN=other.test" } } },
        server: { tls: { servername: "other.test" } }
      })
    }))

  it.live("a request for TLS behind which the client has ended its side fails at once", () =>
    Effect.gen(function*() {
      for (const handshake of [server, asked.pipe(Handshake.startTls(serverTls), Handshake.named("line"))]) {
        const { outcome, port } = yield* Peers.accepting(handshake)
        const peer = yield* Tcp.dial(port)
        peer.socket.end("STARTTLS\n")
        const ended = yield* Effect.timeoutOption(Fiber.join(outcome), 2000)
        expect(ended).toMatchObject({ _tag: "Some", value: { step: "start TLS" } })
      }
    }))
})
