/**
 * PostgreSQL's start-up over TLS, on TCP on loopback: how the connection is encrypted, what SCRAM is bound to, and bytes that
 * are smuggled in before.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as NodeTls from "node:tls"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Codecs from "../../src/protocols/postgres/codecs.ts"
import * as Scram from "../../src/protocols/Scram.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import { utf8 } from "../support/conversation.ts"
import { ClientEnd, clientOptions as inClear, ended, password, saidByServers, startup, user } from "./postgres/peers.ts"

const { sslmode: _, ...clientOptions } = inClear

type Serving = Effect.Effect<unknown, unknown, Socket.Socket | Scope.Scope | Postgres.Authenticator | Postgres.Crypto>

const provided = Layer.merge(
  Layer.provide(Postgres.layerUsers([{ user, password }], { iterations: 1 }), NodeCrypto.layer),
  NodeCrypto.layer
)

/** A server for any number of connections; how each of them ends is found in order. */
const listening = Effect.fnUntraced(function*(handshake: Serving) {
  const server = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
  const exits: Array<Exit.Exit<unknown, unknown>> = []
  const one = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  yield* Effect.forkScoped(
    server.run((socket) =>
      Effect.flatMap(
        Effect.exit(
          Effect.scoped(handshake.pipe(Effect.provideService(Socket.Socket, socket), Effect.provide(provided)))
        ),
        (exit) => {
          exits.push(exit)
          return Deferred.succeed(one, exit)
        }
      )
    )
  )
  return {
    port: server.address._tag === "UnixPathAddress" ? 0 : server.address.port,
    ended: Effect.map(Deferred.await(one), ended)
  }
})

const session = (transport: { readonly session: Postgres.Session | Postgres.ServerSession }) => transport.session

const connecting = Effect.fnUntraced(function*(
  port: number,
  options: Partial<Postgres.ClientOptions>
) {
  const socket = yield* Net.socket({ host: "127.0.0.1", port })
  // Of these options `sslmode` and `host` are given together.
  const all = { ...clientOptions, host: "localhost", ca: Certificates.root, ...options } as Postgres.ClientOptions
  return yield* Effect.exit(Effect.scoped(Effect.map(Postgres.client(all), session))).pipe(
    Effect.provideService(Socket.Socket, socket),
    Effect.provide(NodeCrypto.layer)
  )
})

/** Our client against our server. */
const meet = (server: Postgres.ServerOptions, client: Partial<Postgres.ClientOptions> = {}) =>
  Effect.scoped(Effect.gen(function*() {
    const sessions: Array<Postgres.ServerSession> = []
    const { ended: serverEnded, port } = yield* listening(
      Effect.map(Postgres.server(server), ({ session }) => sessions.push(session))
    )
    const exit = yield* connecting(port, client)
    return {
      exit,
      client: ended(exit),
      server: yield* serverEnded,
      session: exit._tag === "Success" ? exit.value : undefined,
      serverSession: sessions[0]
    }
  }))

const tls = { certificate: Certificates.server }

describe("sslmode", () => {
  it.live.each(
    [
      ["disable", undefined, undefined],
      ["prefer", Certificates.root, false],
      ["require", undefined, false],
      ["require", Certificates.root, true],
      ["verify-ca", Certificates.root, true],
      ["verify-full", Certificates.root, true]
    ] as const
  )("%s, with these authorities, is verified or not", ([sslmode, ca, verified]) =>
    Effect.gen(function*() {
      const { client, serverSession, session } = yield* meet({ tls }, { sslmode, ca })
      expect(client).toBe("ready")
      expect(session?.tls?.verified).toBe(verified)
      expect(serverSession?.tls !== undefined).toBe(verified !== undefined)
      expect(session?.channelBound).toBe(verified !== undefined)
    }))

  it.live.each(
    [
      ["prefer", Certificates.wrongName, undefined],
      ["require", Certificates.wrongName, undefined],
      ["verify-ca", Certificates.wrongName, undefined],
      ["verify-full", Certificates.wrongName, "wrong-name"],
      ["prefer", Certificates.unknownAuthority, undefined],
      ["require", Certificates.unknownAuthority, "unknown-authority"],
      ["verify-ca", Certificates.unknownAuthority, "unknown-authority"],
      ["verify-full", Certificates.unknownAuthority, "unknown-authority"]
    ] as const
  )("%s takes a certificate as it says", ([sslmode, certificate, kind]) =>
    Effect.gen(function*() {
      const { client } = yield* meet({ tls: { certificate } }, { sslmode })
      if (kind === undefined) expect(client).toBe("ready")
      else expect(client).toMatchObject({ step: "start TLS", _tag: "TlsFailure", kind, fault: "peer" })
    }))

  it.live("is verify-full by default", () =>
    Effect.gen(function*() {
      expect((yield* meet({ tls: { certificate: Certificates.wrongName } })).client).toMatchObject({
        kind: "wrong-name"
      })
      expect((yield* meet({ tls })).session?.tls?.verified).toBe(true)
    }))

  it.live.each(["require", "verify-ca", "verify-full"] as const)(
    "%s goes no further without TLS",
    (sslmode) =>
      Effect.gen(function*() {
        expect((yield* meet({}, { sslmode })).client).toMatchObject({
          step: "SSLRequest",
          _tag: "Rejected",
          by: "peer"
        })
      })
  )

  it.live("prefer goes on in clear without TLS, and is not heard where it is required", () =>
    Effect.gen(function*() {
      expect((yield* meet({}, { sslmode: "prefer" })).session?.tls).toBeUndefined()
      expect((yield* meet({ tls, requireTls: true }, { sslmode: "prefer" })).client).toBe("ready")
      const refused = yield* meet({ tls, requireTls: true }, { sslmode: "disable" })
      expect(refused.client).toMatchObject({ _tag: "Rejected", by: "peer", code: "28000", retryable: false })
    }))
})

// A server that refuses waits a second for the end of a client who does not come to it: together they wait once.
describe.concurrent("TLS from the first byte", () => {
  it.live("is on the protocol postgresql", () =>
    Effect.gen(function*() {
      const { client, serverSession, session } = yield* meet({ tls }, { sslnegotiation: "direct" })
      expect(client).toBe("ready")
      expect(session?.tls?.alpn).toBe("postgresql")
      expect(serverSession?.tls?.alpn).toBe("postgresql")
      expect(session?.channelBound).toBe(true)
    }))

  it.live("is refused by a client whose server does not agree on that", () =>
    Effect.scoped(Effect.gen(function*() {
      // It offers no protocol, and would let everybody in.
      const { port } = yield* listening(Tls.server(Postgres.server(), tls))
      const exit = yield* connecting(port, { sslnegotiation: "direct" })
      expect(ended(exit)).toMatchObject({
        step: "start TLS",
        _tag: "TlsFailure",
        kind: "no-shared-alpn",
        fault: "peer"
      })
    })))

  it.live("is refused by a server whose client does not offer that, and it is told so", () =>
    Effect.scoped(Effect.gen(function*() {
      const { ended, port } = yield* listening(Postgres.server({ tls }))
      const heard = yield* Effect.promise(() =>
        new Promise<Uint8Array>((resolve) => {
          const socket = NodeTls.connect({ host: "127.0.0.1", port, ca: Certificates.root, servername: "localhost" })
          const chunks: Array<Buffer> = []
          socket.on("data", (chunk) => chunks.push(chunk)).on("end", () => resolve(Buffer.concat(chunks)))
          socket.on("error", () => resolve(Buffer.concat(chunks)))
        })
      )
      expect(Codec.decodeAll(Codecs.backend(), heard)).toMatchObject([{ _tag: "ErrorResponse", code: "08P01" }])
      expect(yield* ended).toMatchObject({
        step: "start TLS",
        _tag: "TlsFailure",
        kind: "no-shared-alpn",
        fault: "peer"
      })
    })))

  it.live.each(["SSLRequest", "GSSENCRequest"] as const)(
    "is not asked for once more inside it: %s",
    (_tag) =>
      Effect.scoped(Effect.gen(function*() {
        const { ended, port } = yield* listening(Postgres.server({ tls }))
        const there = yield* clientEnd(port, ["postgresql"])
        const inside = yield* there.encrypted
        yield* inside.sayBytes(Codec.encodeAll(Codecs.startup, [{ _tag }]))
        expect(yield* inside.rest).toMatchObject([{ _tag: "ErrorResponse", code: "08P01" }])
        expect(yield* ended).toMatchObject({ step: "startup packet", _tag: "InvalidGreeting" })
      }))
  )

  it.live("of another protocol comes to nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const { ended, port } = yield* listening(Postgres.server({ tls }))
      const socket = yield* Net.socket({ host: "127.0.0.1", port })
      yield* Effect.ignore(Effect.scoped(
        Transport.framed(Codec.bytes).pipe(
          Handshake.startTls({ role: "client", servername: "localhost", ca: Certificates.root, alpn: ["h2"] }),
          Effect.provideService(Socket.Socket, socket)
        )
      ))
      expect(yield* ended).toMatchObject({
        step: "start TLS",
        _tag: "TlsFailure",
        kind: "no-shared-alpn",
        fault: "peer"
      })
    })))
})

/** A client that a test plays, on this port, in clear at first. */
const clientEnd = Effect.fnUntraced(function*(port: number, alpn?: ReadonlyArray<string>) {
  const socket = yield* Net.socket({ host: "127.0.0.1", port })
  const { asked, codec } = saidByServers()
  const transport = yield* Transport.framed(codec).pipe(Effect.provideService(Socket.Socket, socket))
  return {
    clear: new ClientEnd(transport, asked),
    encrypted: Effect.map(
      Transport.startTls(transport, { role: "client", servername: "localhost", ca: Certificates.root, alpn }),
      (transport) => new ClientEnd(transport, asked)
    )
  }
})

const sslRequest = Codec.encodeAll(Codecs.startup, [{ _tag: "SSLRequest" }])

describe.concurrent("what comes in clear before TLS", () => {
  it.live.each([
    ["one byte", "x"],
    ["a start-up message", "\0\0\0\x12\0\x03\0\0user\0ann\0\0"],
    ["the beginning of TLS", "\x16\x03\x01"]
  ])(
    "is never taken for what comes inside it: %s (CVE-2021-23214)",
    ([, behind]) =>
      Effect.scoped(Effect.gen(function*() {
        const { ended, port } = yield* listening(Postgres.server({ tls }))
        const { clear } = yield* clientEnd(port)
        yield* clear.sayBytes(Uint8Array.of(...sslRequest, ...utf8(behind)))
        expect(yield* clear.rest).toMatchObject([{ _tag: "ErrorResponse", severity: "FATAL", code: "08P01" }])
        expect(yield* ended).toMatchObject({
          step: "start TLS",
          _tag: "UnreadBytes",
          bytes: behind.length,
          fault: "peer"
        })
      }))
  )

  it.live("is all that TLS needs, where it is nothing", () =>
    Effect.scoped(Effect.gen(function*() {
      const { ended, port } = yield* listening(Postgres.server({ tls }).pipe(Effect.provide(Postgres.layerTrust)))
      const there = yield* clientEnd(port)
      yield* there.clear.start({ _tag: "SSLRequest" })
      expect(yield* there.clear.hear).toEqual({ _tag: "EncryptionAnswer", answer: "S" })
      const inside = yield* there.encrypted
      yield* inside.start(startup())
      expect(yield* inside.hear).toEqual({ _tag: "AuthenticationOk" })
      expect(yield* ended).toBe("ready")
    })))

  it.live.each(["SSLRequest", "GSSENCRequest"] as const)(
    "is not asked for again inside TLS: %s",
    (_tag) =>
      Effect.scoped(Effect.gen(function*() {
        const { ended, port } = yield* listening(Postgres.server({ tls }))
        const there = yield* clientEnd(port)
        yield* there.clear.start({ _tag: "SSLRequest" })
        yield* there.clear.hear
        const inside = yield* there.encrypted
        yield* inside.sayBytes(Codec.encodeAll(Codecs.startup, [{ _tag }]))
        expect(yield* inside.rest).toMatchObject([{ _tag: "ErrorResponse", code: "08P01" }])
        expect(yield* ended).toMatchObject({ step: "startup packet", _tag: "InvalidGreeting" })
      }))
  )
})

describe.concurrent("SCRAM over TLS", () => {
  it.live("is bound where both sides can, and both know", () =>
    Effect.gen(function*() {
      for (const channelBinding of ["prefer", "require"] as const) {
        const { serverSession, session } = yield* meet({ tls }, { channelBinding })
        expect(session).toMatchObject({ authentication: "scram-sha-256", channelBound: true })
        expect(serverSession).toMatchObject({ authentication: "scram-sha-256", channelBound: true })
      }
    }))

  it.live("is not bound where the client does not want it", () =>
    Effect.gen(function*() {
      const { serverSession, session } = yield* meet({ tls }, { channelBinding: "disable" })
      expect(session).toMatchObject({ authentication: "scram-sha-256", channelBound: false })
      expect(serverSession).toMatchObject({ channelBound: false })
    }))

  it.live("cannot be bound to a certificate whose signature has no hash of its own", () =>
    Effect.gen(function*() {
      const ed25519 = { tls: { certificate: Certificates.ed25519 } }
      expect((yield* meet(ed25519)).session).toMatchObject({ channelBound: false })
      expect((yield* meet(ed25519, { channelBinding: "require" })).client).toMatchObject({
        _tag: "AuthenticationFailed"
      })
    }))

  /** Logs in with these first words, over TLS. */
  const saying = Effect.fnUntraced(function*(mechanism: string, binding: Scram.Binding) {
    const { ended, port } = yield* listening(Postgres.server({ tls }))
    const there = yield* clientEnd(port)
    yield* there.clear.start({ _tag: "SSLRequest" })
    yield* there.clear.hear
    const inside = yield* there.encrypted
    yield* inside.start(startup())
    expect(yield* inside.hear).toEqual({
      _tag: "AuthenticationSASL",
      mechanisms: ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    })
    const first = yield* Scram.client({ password, binding, minIterations: 1 })
    const secret = (text: string) => Redacted.make(utf8(text))
    yield* inside.answer({ _tag: "SASLInitialResponse", mechanism, data: secret(first.message) })
    const challenge = yield* inside.hear
    if (challenge._tag === "AuthenticationSASLContinue") {
      const final = yield* first.receive(challenge.data)
      yield* inside.answer({ _tag: "SASLResponse", data: secret(Redacted.value(final.message)) })
      return { heard: yield* inside.hear, ended: yield* ended }
    }
    return { heard: challenge, ended: yield* ended }
  }, (effect) => Effect.provide(Effect.scoped(effect), NodeCrypto.layer))

  it.live("is refused to a client that was made to believe that it was not offered", () =>
    Effect.gen(function*() {
      const { ended, heard } = yield* saying("SCRAM-SHA-256", { _tag: "NotOffered" })
      expect(heard).toMatchObject({ _tag: "ErrorResponse", code: "28000" })
      expect(ended).toMatchObject({ step: "authentication", _tag: "AuthenticationFailed", fault: "peer" })
    }))

  it.live("is refused to a client that is bound to another connection", () =>
    Effect.gen(function*() {
      const data = new Uint8Array(32)
      const { ended, heard } = yield* saying("SCRAM-SHA-256-PLUS", { _tag: "EndPoint", data })
      expect(heard).toMatchObject({ _tag: "ErrorResponse", code: "28000" })
      expect(ended).toMatchObject({ step: "authentication", _tag: "AuthenticationFailed", fault: "peer" })
    }))

  it.live("is refused to a client that binds without saying so", () =>
    Effect.gen(function*() {
      const { heard } = yield* saying("SCRAM-SHA-256", { _tag: "EndPoint", data: new Uint8Array(32) })
      expect(heard).toMatchObject({ _tag: "ErrorResponse" })
    }))

  it.live("lets in a client that cannot bind", () =>
    Effect.gen(function*() {
      const { ended, heard } = yield* saying("SCRAM-SHA-256", { _tag: "Unsupported" })
      expect(heard).toMatchObject({ _tag: "AuthenticationSASLFinal" })
      expect(ended).toBe("ready")
    }))
})

describe("a server", () => {
  it.live("asks for its certificate with each connection, so that it can be replaced", () =>
    Effect.scoped(Effect.gen(function*() {
      let certificate = Certificates.server
      const { port } = yield* listening(Postgres.server({ tls: Effect.sync(() => ({ certificate })) }))
      const serial = Effect.map(
        connecting(port, {}),
        (exit) => exit._tag === "Success" ? exit.value.tls?.certificate?.serialNumber : undefined
      )
      const before = yield* serial
      certificate = Certificates.replacement
      const after = yield* serial
      expect(before).toBeDefined()
      expect(after).toBeDefined()
      expect(after).not.toBe(before)
    })))

  it.live("is asked to cancel over TLS as well", () =>
    Effect.scoped(Effect.gen(function*() {
      const cancelled: Array<Postgres.ServerSession> = []
      const server = Postgres.server({
        tls,
        onCancel: (session) => Effect.sync(() => cancelled.push(session))
      })
      const { port } = yield* listening(
        Effect.flatMap(server, (transport) => Effect.ignore(Effect.forever(transport.receive)))
      )
      const socket = yield* Net.socket({ host: "127.0.0.1", port })
      const options = { ...clientOptions, host: "localhost", ca: Certificates.root }
      const { session } = yield* Postgres.client(options).pipe(
        Effect.provideService(Socket.Socket, socket),
        Effect.provide(NodeCrypto.layer)
      )
      yield* Postgres.cancel(session.backendKey!, options).pipe(
        Effect.provideService(Socket.Socket, yield* Net.socket({ host: "127.0.0.1", port }))
      )
      expect(cancelled).toMatchObject([{ user, backendKey: session.backendKey }])
    })))
})
