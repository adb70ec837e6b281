/**
 * The server's side of PostgreSQL's start-up: what clients hear that are turned away, and clients that say what they should
 * not. None of them is let in.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Admission from "../../src/Admission.ts"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import type * as Peer from "../../src/Peer.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Codecs from "../../src/protocols/postgres/codecs.ts"
import * as Proxy from "../../src/protocols/Proxy.ts"
import * as Scram from "../../src/protocols/Scram.ts"
import * as Server from "../../src/Server.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import { utf8 } from "../support/conversation.ts"
import * as Crypto from "./postgres/crypto.ts"
import { type ClientEnd, clientOptions, ended, password, startup, user, withClient } from "./postgres/peers.ts"

const users = (method?: Exclude<Postgres.Method, "trust">) =>
  Layer.provide(Postgres.layerUsers([{ user, password }, { user: "ghost" }], { method, iterations: 1 }), Crypto.layer)

/** How the server ends, and what the client has heard. */
const meets = <A, E>(
  client: (there: ClientEnd) => Effect.Effect<A, E, Postgres.Crypto>,
  options?: {
    readonly server?: Postgres.ServerOptions
    readonly layer?: Layer.Layer<Postgres.Authenticator, unknown>
  }
) =>
  withClient(Postgres.server(options?.server), client).pipe(
    Effect.map(({ exit, found }) => ({ found, exit, ended: ended(exit) })),
    Effect.provide([options?.layer ?? Postgres.layerTrust, Crypto.layer])
  )

const starts = (...packets: ReadonlyArray<Postgres.StartupPacket>) => (there: ClientEnd) =>
  Effect.andThen(there.start(...packets), there.rest)

const saysBytes = (bytes: Uint8Array) => (there: ClientEnd) => Effect.andThen(there.sayBytes(bytes), there.rest)

const fatal = (code: string, message: unknown = expect.any(String)) => ({
  _tag: "ErrorResponse",
  severity: "FATAL",
  code,
  message
})

const cancelRequest = (processId: number, secretKey: Uint8Array): Postgres.StartupPacket => ({
  _tag: "CancelRequest",
  processId,
  secretKey: Redacted.make(secretKey)
})

describe("a session", () => {
  it.effect("begins with what the server tells, in one piece", () =>
    Effect.gen(function*() {
      const { exit, found } = yield* meets(starts(startup({ user, database: "shop", application_name: "till" })), {
        server: { parameters: { server_version: "9.9", mine: "1", TimeZone: undefined } }
      })
      expect(found.map(({ _tag }) => _tag)).toEqual([
        "AuthenticationOk",
        ...Array.from({ length: 15 }, () => "ParameterStatus"),
        "BackendKeyData",
        "ReadyForQuery"
      ])
      const told = new Map(
        found.flatMap((message) => message._tag === "ParameterStatus" ? [[message.name, message.value]] : [])
      )
      expect(Object.fromEntries(told)).toMatchObject({
        server_version: "9.9",
        mine: "1",
        application_name: "till",
        session_authorization: user,
        client_encoding: "UTF8",
        // What libpq needs for its `target_session_attrs`, of a server that says that it is PostgreSQL 14 or later.
        in_hot_standby: "off",
        default_transaction_read_only: "off"
      })
      expect(told.has("TimeZone")).toBe(false)
      expect(exit).toMatchObject({
        value: {
          user,
          database: "shop",
          protocolVersion: "3.0",
          authentication: "trust",
          channelBound: false,
          parameters: new Map([["user", user], ["database", "shop"], ["application_name", "till"]]),
          tls: undefined
        }
      })
    }))

  it.effect("is with the database of the user's name, unless another is named", () =>
    Effect.gen(function*() {
      for (const parameters of [{ user }, { user, database: "" }]) {
        expect((yield* meets(starts(startup(parameters)))).exit).toMatchObject({ value: { database: user } })
      }
    }))

  it.effect.each(
    [
      ["3.0", 0, 4],
      ["3.2", 2, 32]
    ] as const
  )("of protocol %s has a key of its own", ([version, minor, length]) =>
    Effect.gen(function*() {
      const keys: Array<unknown> = []
      for (let i = 0; i < 2; i++) {
        const { exit, found } = yield* meets(starts(startup({ user }, minor)))
        expect(exit).toMatchObject({ value: { protocolVersion: version } })
        const key = found.find(({ _tag }) => _tag === "BackendKeyData")
        expect(key?._tag === "BackendKeyData" && Redacted.value(key.secretKey).length).toBe(length)
        keys.push(key)
      }
      expect(keys[0]).not.toEqual(keys[1])
    }))

  it.effect.each(["UTF8", "utf-8", "UNICODE", "SQL_ASCII"])(
    "may be asked for in %s, and is in UTF8",
    (encoding) =>
      Effect.gen(function*() {
        const { ended, found } = yield* meets(starts(startup({ user, client_encoding: encoding })))
        expect(ended).toBe("ready")
        expect(found).toContainEqual({ _tag: "ParameterStatus", name: "client_encoding", value: "UTF8" })
      })
  )

  it.effect("begins with the last of two parameters of a name, and with U+FFFD for what is not UTF-8", () =>
    Effect.gen(function*() {
      const body = "\0\x03\0\0user\0eve\0user\0ann\0application_name\0caf\xe9\0\0"
      const bytes = Uint8Array.from(`\0\0\0${String.fromCharCode(body.length + 4)}${body}`, (c) => c.charCodeAt(0))
      const { exit } = yield* meets(saysBytes(bytes))
      expect(exit).toMatchObject({
        value: { user: "ann", parameters: new Map([["user", "ann"], ["application_name", "caf\ufffd"]]) }
      })
    }))

  it.effect.each(
    [
      ["a query that is too long", Uint8Array.of(0x51, 0, 0, 0, 101), "54000", "a message is longer than 100 bytes"],
      [
        "a password that nobody asked for",
        Uint8Array.of(0x70, 0, 0, 0, 5, 0),
        "08P01",
        expect.stringContaining("request")
      ],
      ["what is no message", Uint8Array.of(0, 0, 0, 0, 4), "08P01", expect.stringContaining("type")]
    ] as const
  )("ends with why where the client says %s", ([, bytes, code, message]) =>
    Effect.gen(function*() {
      const server = Effect.tap(Postgres.server({ maxLength: 100 }), ({ receive }) => Effect.ignore(receive))
      const { found } = yield* withClient(server, (there) =>
        Effect.gen(function*() {
          yield* there.start(startup())
          while ((yield* there.hear)._tag !== "ReadyForQuery");
          yield* there.sayBytes(bytes)
          return yield* there.rest
        })).pipe(Effect.provide([Postgres.layerTrust, Crypto.layer]))
      expect(found).toEqual([fatal(code, message)])
    }))

  it.effect("takes a message that is as long as it may be, and ends without a word", () =>
    Effect.gen(function*() {
      const server = Effect.tap(Postgres.server({ maxLength: 100 }), ({ receive }) => Effect.orDie(receive))
      const { found } = yield* withClient(server, (there) =>
        Effect.gen(function*() {
          yield* there.start(startup())
          while ((yield* there.hear)._tag !== "ReadyForQuery");
          yield* there.say({ _tag: "Query", sql: "x".repeat(95) })
          return yield* there.rest
        })).pipe(Effect.provide([Postgres.layerTrust, Crypto.layer]))
      expect(found).toEqual([])
    }))

  it.effect("gets what the client says right behind its start-up message", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const writer = yield* there.writer
      yield* there.reader
      yield* writer.write(Codec.encodeAll(Codecs.startup, [startup()]))
      yield* writer.write(
        Codec.encodeAll(Codecs.requests(), [{ _tag: "Query", sql: "select 1" }, { _tag: "Terminate" }])
      )
      const transport = yield* Postgres.server().pipe(
        Effect.provideService(Socket.Socket, here),
        Effect.provide([Postgres.layerTrust, Crypto.layer])
      )
      expect(yield* transport.receive).toEqual({ _tag: "Query", sql: "select 1" })
      expect(yield* transport.receive).toEqual({ _tag: "Terminate" })
    }))
})

describe("the version", () => {
  it.effect.each(
    [
      [1, 0, "3.0", []],
      [3, 2, "3.2", []],
      [9, 2, "3.2", []],
      [2, 2, "3.2", ["_pq_.a", "_pq_.b"]],
      [0, 0, "3.0", ["_pq_.a"]]
    ] as const
  )("3.%i is answered with 3.%i", ([minor, agreed, version, options]) =>
    Effect.gen(function*() {
      const parameters = { user, ...Object.fromEntries(options.map((name) => [name, "1"])) }
      const { exit, found } = yield* meets(starts(startup(parameters, minor)))
      expect(found[0]).toEqual({ _tag: "NegotiateProtocolVersion", major: 3, minor: agreed, unrecognized: options })
      expect(found[1]).toEqual({ _tag: "AuthenticationOk" })
      expect(exit).toMatchObject({ value: { protocolVersion: version, unrecognizedOptions: options } })
    }))

  it.effect.each(["password", "md5", "scram-sha-256"] as const)(
    "is negotiated before the user is asked: %s",
    (method) =>
      Effect.gen(function*() {
        const { found } = yield* meets(
          (there) => Effect.andThen(there.start(startup({ user }, 9)), Effect.all([there.hear, there.hear])),
          { layer: users(method) }
        )
        expect(found[0]._tag).toBe("NegotiateProtocolVersion")
        expect(found[1]._tag).toMatch(/^Authentication/)
      })
  )

  it.effect("3.2 is answered with 3.0 by a server that has no more", () =>
    Effect.gen(function*() {
      const { exit, found } = yield* meets(starts(startup({ user }, 2)), { server: { maxProtocolVersion: "3.0" } })
      expect(found[0]).toMatchObject({ _tag: "NegotiateProtocolVersion", minor: 0 })
      expect(exit).toMatchObject({ value: { protocolVersion: "3.0" } })
    }))

  it.effect.each([[0x0002_0000, "2.0"], [0x0004_0000, "4.0"], [80_877_105, "1234.5681"]] as const)(
    "of another protocol is refused: %i",
    ([code, offered]) =>
      Effect.gen(function*() {
        const { ended, found } = yield* meets(starts({ _tag: "UnknownStartup", code, body: utf8("x") }))
        expect(found).toEqual([fatal("0A000", `unsupported frontend protocol ${offered}: server supports 3.0, 3.2`)])
        expect(ended).toMatchObject({ step: "startup packet", _tag: "UnsupportedVersion", offered, fault: "peer" })
      })
  )
})

describe("a client that is turned away hears why:", () => {
  const packet = (length: number, rest = "") => {
    const bytes = new Uint8Array(4 + rest.length)
    new DataView(bytes.buffer).setUint32(0, length)
    bytes.set(utf8(rest), 4)
    return bytes
  }

  it.effect.each(
    [
      ["no user", starts(startup({ database: "shop" })), "28000", "InvalidGreeting"],
      ["an empty user", starts(startup({ user: "" })), "28000", "InvalidGreeting"],
      ["an encoding", starts(startup({ user, client_encoding: "LATIN1" })), "22023", "Rejected"],
      ["a second start", saysBytes(packet(8, "\0\x03\0\0")), "08P01", "MalformedFrame"],
      ["a packet that is too long", saysBytes(packet(10_001)), "08P01", "FrameTooLarge"],
      ["a packet that is too short", saysBytes(packet(7)), "08P01", "MalformedFrame"],
      ["HTTP", saysBytes(utf8("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), "08P01", "FrameTooLarge"],
      ["TLS that nobody asked for", saysBytes(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1)), "08P01", "FrameTooLarge"]
    ] as const
  )("%s", ([, client, code, _tag]) =>
    Effect.gen(function*() {
      const { ended, found } = yield* meets<ReadonlyArray<unknown>, unknown>(client)
      expect(found).toEqual([fatal(code)])
      expect(ended).toMatchObject({ step: "startup packet", _tag })
    }))

  it.effect("a packet that is cut off", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const serving = yield* Effect.forkScoped(
        Effect.exit(Effect.scoped(Postgres.server())).pipe(
          Effect.provideService(Socket.Socket, here),
          Effect.provide([Postgres.layerTrust, Crypto.layer])
        )
      )
      const writer = yield* there.writer
      const reader = yield* there.reader
      yield* writer.write(packet(100, "\0\x03\0\0user"))
      yield* writer.write(new Socket.CloseEvent(1000))
      const [heard] = yield* reader.pull
      expect(Codec.decodeAll(Codecs.backend(), heard as Uint8Array)).toEqual([fatal("08P01")])
      expect(ended(yield* Fiber.join(serving))).toMatchObject({ step: "startup packet", _tag: "UnexpectedEnd" })
    }))

  it.effect("a client that needs to encrypt, and does not", () =>
    Effect.gen(function*() {
      // What TLS is told is not looked at before somebody wants it.
      const server = { tls: Effect.die(new Error("nobody wants TLS")), requireTls: true }
      const { ended, found } = yield* meets(starts(startup()), { server })
      expect(found).toEqual([fatal("28000")])
      expect(ended).toMatchObject({ step: "startup packet", _tag: "Rejected", by: "local", code: "28000" })
    }))

  it.effect("a database that is not there, when it is let in", () =>
    Effect.gen(function*() {
      for (const databases of [["shop"], (name: string) => Effect.succeed(name === "shop")]) {
        const { ended, found } = yield* meets(starts(startup({ user, database: "nothing\u001b" })), {
          server: { databases }
        })
        expect(found).toEqual([
          { _tag: "AuthenticationOk" },
          fatal("3D000", "database \"nothing\\x1b\" does not exist")
        ])
        expect(ended).toMatchObject({ step: "session", _tag: "Rejected", by: "local", code: "3D000", retryable: false })
        expect((yield* meets(starts(startup({ user, database: "shop" })), { server: { databases } })).ended).toBe(
          "ready"
        )
      }
    }))

  it.effect("a database that is not there is no secret for those who are let in, and one for others", () =>
    Effect.gen(function*() {
      const { found } = yield* meets(
        (there) =>
          Effect.gen(function*() {
            yield* there.start(startup({ user, database: "nothing" }))
            yield* there.answer({ _tag: "PasswordMessage", password: Redacted.make("wrong") })
            return yield* there.rest
          }),
        { layer: users("password"), server: { databases: [] } }
      )
      expect(found[1]).toEqual(fatal("28P01", `password authentication failed for user "${user}"`))
    }))

  it.effect("a user who is rejected, and one who cannot be looked up", () =>
    Effect.gen(function*() {
      const rejecting = Layer.succeed(Postgres.Authenticator, { lookup: () => Effect.succeed({ method: "reject" }) })
      const rejected = yield* meets(starts(startup()), { layer: rejecting })
      expect(rejected.found).toEqual([fatal("28000")])
      expect(rejected.ended).toMatchObject({ step: "authentication", _tag: "Rejected", by: "local" })
      const failing = Layer.succeed(Postgres.Authenticator, {
        lookup: () => Effect.fail(new Postgres.AuthenticatorError({ cause: new Error("the secret place is gone") }))
      })
      const failed = yield* meets(starts(startup()), { layer: failing })
      expect(failed.found).toEqual([fatal("57P03")])
      expect(failed.ended).toMatchObject({ step: "authentication", _tag: "Rejected", code: "57P03", retryable: true })
      expect(JSON.stringify(failed.found)).not.toContain("secret place")
      // Whoever serves hears why.
      expect(yield* Effect.flip(failed.exit)).toMatchObject({
        reason: { cause: new Error("the secret place is gone") }
      })
    }))
})

describe("the requests before the start", () => {
  const ssl: Postgres.StartupPacket = { _tag: "SSLRequest" }
  const gss: Postgres.StartupPacket = { _tag: "GSSENCRequest" }

  it.effect.each(
    [
      [[ssl]],
      [[gss]],
      [[ssl, gss]],
      [[gss, ssl]]
    ] as const
  )("are answered with N, each once: %j", ([requests]) =>
    Effect.gen(function*() {
      const { ended, found } = yield* meets((there) =>
        Effect.gen(function*() {
          const answers: Array<unknown> = []
          for (const request of requests) {
            yield* there.start(request)
            answers.push(yield* there.hear)
          }
          yield* there.start(startup())
          answers.push(yield* there.hear)
          return answers
        })
      )
      expect(found).toEqual([
        ...requests.map(() => ({ _tag: "EncryptionAnswer", answer: "N" })),
        { _tag: "AuthenticationOk" }
      ])
      expect(ended).toBe("ready")
    }))

  it.effect.each(
    [
      [[ssl, ssl]],
      [[gss, gss]],
      [[ssl, gss, ssl]],
      [[gss, ssl, gss]]
    ] as const
  )("are refused the second time: %j", ([requests]) =>
    Effect.gen(function*() {
      const { ended, found } = yield* meets((there) =>
        Effect.gen(function*() {
          for (const request of requests.slice(0, -1)) {
            yield* there.start(request)
            yield* there.hear
          }
          // It is an error that it hears, and no answer.
          yield* there.sayBytes(Codec.encodeAll(Codecs.startup, [requests[requests.length - 1]]))
          return yield* there.rest
        })
      )
      expect(found).toEqual([fatal("08P01")])
      expect(ended).toMatchObject({ step: "startup packet", _tag: "InvalidGreeting" })
    }))
})

describe("authentication", () => {
  const wrong = fatal("28P01", `password authentication failed for user "${user}"`)

  /** A client that answers what it is asked, with this password. */
  const answers = (given: string, name = user, isLate = false) => (there: ClientEnd) =>
    Effect.gen(function*() {
      yield* there.start(startup({ user: name }))
      const asked = yield* there.hear
      if (asked._tag === "AuthenticationCleartextPassword") {
        yield* there.answer({ _tag: "PasswordMessage", password: Redacted.make(given) })
      } else if (asked._tag === "AuthenticationMD5Password") {
        const answer = yield* md5Answer(name, given, asked.salt)
        yield* there.answer({ _tag: "PasswordMessage", password: answer })
      } else {
        const first = yield* Scram.client({ password: Redacted.make(given), minIterations: 1 })
        const data = Redacted.make(utf8(first.message))
        yield* there.answer({ _tag: "SASLInitialResponse", mechanism: "SCRAM-SHA-256", data: isLate ? null : data })
        if (isLate) {
          expect(yield* there.hear).toEqual({ _tag: "AuthenticationSASLContinue", data: new Uint8Array(0) })
          yield* there.answer({ _tag: "SASLResponse", data })
        }
        const challenge = yield* there.hear
        if (challenge._tag !== "AuthenticationSASLContinue") return [asked, challenge, ...yield* there.rest]
        const final = yield* first.receive(challenge.data)
        yield* there.answer({ _tag: "SASLResponse", data: Redacted.make(utf8(Redacted.value(final.message))) })
        return [asked, challenge, ...yield* there.rest]
      }
      return [asked, ...yield* there.rest]
    })

  const md5Answer = (name: string, given: string, salt: Uint8Array) =>
    Effect.map(
      Effect.promise(() => import("../../src/protocols/postgres/password.ts")),
      (Password) => Password.md5Answer(name, Redacted.make(given), salt)
    ).pipe(Effect.flatten)

  const methods = ["password", "md5", "scram-sha-256"] as const

  it.effect.each(methods)("by %s lets in who knows the password", (method) =>
    Effect.gen(function*() {
      const { ended, exit, found } = yield* meets(answers("correct horse"), { layer: users(method) })
      expect(ended).toBe("ready")
      expect(exit).toMatchObject({ value: { authentication: method, channelBound: false } })
      expect(found.map(({ _tag }) => _tag)).toContain("ReadyForQuery")
    }))

  it.effect.each(methods)(
    "by %s tells nobody whether it was the user or the password that was wrong",
    (method) =>
      Effect.gen(function*() {
        const shape = (name: string, given: string) =>
          Effect.map(meets(answers(given, name), { layer: users(method) }), ({ ended, found }) => {
            const heard = found.map((message) =>
              message._tag === "AuthenticationSASLContinue"
                ? new TextDecoder().decode(message.data).replace(
                  /r=[^,]*,s=[^,]*/,
                  (part) => `${part.length} characters`
                )
                : message._tag === "AuthenticationMD5Password"
                ? "a salt"
                : message
            )
            return JSON.stringify({ heard, ended }).replaceAll(name, "somebody")
          })
        const wrongPassword = yield* shape(user, "wrong")
        expect(wrongPassword).toContain("28P01")
        expect(wrongPassword).toContain("AuthenticationFailed")
        // A name that is as long, and a user who has no password.
        expect(yield* shape("bob", "correct horse")).toBe(wrongPassword)
        expect((yield* shape("ghost", "correct horse")).replaceAll("ghost", "somebody")).toBe(wrongPassword)
      })
  )

  it.effect("of a user who is not there has the same salt each time, and another one has another", () =>
    Effect.gen(function*() {
      const mockSecret = Redacted.make(new Uint8Array(32).fill(7))
      const saltOf = (name: string) =>
        Effect.map(
          meets(answers("wrong", name), { layer: users(), server: { mockSecret } }),
          ({ found }) => {
            const challenge = found.find(({ _tag }) => _tag === "AuthenticationSASLContinue")
            return challenge?._tag === "AuthenticationSASLContinue"
              ? /s=[^,]*/.exec(new TextDecoder().decode(challenge.data))?.[0]
              : undefined
          }
        )
      expect(yield* saltOf("bob")).toBe(yield* saltOf("bob"))
      expect(yield* saltOf("bob")).not.toBe(yield* saltOf("eve"))
      expect(yield* saltOf("bob")).not.toBeUndefined()
    }))

  it.effect.each(methods)("by %s takes nothing else for an answer", (method) =>
    Effect.gen(function*() {
      const said: ReadonlyArray<readonly [(there: ClientEnd) => Effect.Effect<void, unknown>, string]> = [
        [(there) => there.say({ _tag: "Query", sql: "secret" }), "InvalidGreeting"],
        [(there) => there.say({ _tag: "Terminate" }), "InvalidGreeting"],
        [(there) => there.start(startup()), "MalformedFrame"],
        [(there) => there.sayBytes(Uint8Array.of(0x70, 0x7f, 0, 0, 0)), "FrameTooLarge"],
        [(there) => there.sayBytes(Uint8Array.of(0x70, 0, 0, 0, 3)), "MalformedFrame"]
      ]
      for (const [says, _tag] of said) {
        const { ended, found } = yield* meets((there) =>
          Effect.gen(function*() {
            yield* there.start(startup())
            yield* there.hear
            yield* says(there)
            return yield* there.rest
          }), { layer: users(method) })
        expect(found).toEqual([fatal("08P01")])
        expect(ended).toMatchObject({ step: "authentication", _tag })
        expect(JSON.stringify(ended)).not.toContain("secret")
      }
    }))

  it.effect.each(
    [
      ["password", 65_535],
      ["md5", 65_535],
      ["scram-sha-256", 1024]
    ] as const
  )("by %s takes an answer of %i bytes, and not of one more", ([method, limit]) =>
    Effect.gen(function*() {
      const header = (length: number) => {
        const bytes = Uint8Array.of(0x70, 0, 0, 0, 0)
        new DataView(bytes.buffer).setUint32(1, length)
        return bytes
      }
      const says = (length: number) =>
        meets((there) =>
          Effect.gen(function*() {
            yield* there.start(startup())
            yield* there.hear
            yield* there.sayBytes(header(length))
            if (length > limit) return yield* there.rest
            // As many bytes as were promised, which are no answer.
            yield* there.sayBytes(new Uint8Array(length - 4).fill(0x78))
            return yield* there.rest
          }), { layer: users(method) })
      const tooLong = yield* says(limit + 1)
      expect(tooLong.ended).toMatchObject({ step: "authentication", _tag: "FrameTooLarge", limit })
      expect(tooLong.found).toEqual([fatal("08P01")])
      expect((yield* says(limit)).ended).toMatchObject({ step: "authentication", _tag: "MalformedFrame" })
    }))

  it.effect("shows nothing of a password at the byte limit of the whole handshake", () =>
    Effect.gen(function*() {
      const start = Codec.encodeAll(Codecs.startup, [startup()])
      const { exit } = yield* withClient(
        Postgres.server().pipe(Handshake.byteLimit(start.length + 12)),
        (there) =>
          Effect.gen(function*() {
            yield* there.sayBytes(start)
            yield* there.hear
            yield* there.answer({ _tag: "PasswordMessage", password: Redacted.make("secret horse") })
            return yield* there.rest
          })
      )
      expect(ended(exit)).toMatchObject({ _tag: "FrameTooLarge", excerpt: "<redacted>" })
      expect(JSON.stringify(ended(exit))).not.toContain("secret")
    }).pipe(Effect.provide([users("password"), Crypto.layer])))

  it.effect("by SCRAM waits for the first message of a client that has named the mechanism only", () =>
    Effect.gen(function*() {
      expect((yield* meets(answers("correct horse", user, true), { layer: users() })).ended).toBe("ready")
      const { ended, found } = yield* meets(answers("wrong", user, true), { layer: users() })
      expect(found.at(-1)).toEqual(wrong)
      expect(ended).toMatchObject({ step: "authentication", _tag: "AuthenticationFailed" })
    }))

  it.effect("by SCRAM is not begun with anything else than what was offered", () =>
    Effect.gen(function*() {
      for (
        const [mechanism, data] of [
          ["SCRAM-SHA-256-PLUS", Redacted.make(utf8("p=tls-server-end-point,,n=,r=abc"))],
          ["PLAIN", Redacted.make(utf8("\0ann\0secret"))],
          ["PLAIN", null]
        ] as const
      ) {
        const { ended, found } = yield* meets((there) =>
          Effect.gen(function*() {
            yield* there.start(startup())
            yield* there.hear
            yield* there.answer({ _tag: "SASLInitialResponse", mechanism, data })
            return yield* there.rest
          }), { layer: users() })
        expect(found).toEqual([fatal("08P01")])
        expect(ended).toMatchObject({ step: "authentication", _tag: "InvalidGreeting" })
        expect(JSON.stringify(ended)).not.toContain("secret")
      }
    }))

  it.effect.each(
    [
      ["binds a channel that is none", "p=tls-server-end-point,,n=,r=abc", "08P01"],
      ["wants to be somebody else", "n,a=eve,n=,r=abc", "0A000"],
      ["needs an extension", "n,,m=x,n=,r=abc", "0A000"],
      ["is no message of SCRAM", "hello", "08P01"]
    ] as const
  )("by SCRAM goes no further where the first message %s", ([, first, code]) =>
    Effect.gen(function*() {
      const { ended, found } = yield* meets((there) =>
        Effect.gen(function*() {
          yield* there.start(startup())
          yield* there.hear
          yield* there.answer({
            _tag: "SASLInitialResponse",
            mechanism: "SCRAM-SHA-256",
            data: Redacted.make(utf8(first))
          })
          return yield* there.rest
        }), { layer: users() })
      expect(found).toEqual([fatal(code)])
      expect(ended).toMatchObject({ step: "authentication", fault: "peer" })
    }))

  it.effect("with a password that only looks like what is stored lets nobody in", () =>
    Effect.gen(function*() {
      // What is stored must be of the method's kind.
      const stored = Redacted.make("md51b2cf535f27731c974343645a3985328")
      const layer = Layer.provide(Postgres.layerUsers([{ user, stored }]), Crypto.layer)
      const { found } = yield* meets(answers("correct horse"), { layer })
      expect(found[found.length - 1]).toEqual(wrong)
    }))

  it.effect("is asked about the user, the database and the peer", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const layer = Layer.succeed(Postgres.Authenticator, {
        lookup: (request) =>
          Effect.sync(() => {
            asked.push({ ...request })
            return { method: "trust" as const }
          })
      })
      yield* meets(starts(startup({ user, database: "shop" })), { layer })
      expect(asked).toEqual([{ user, database: "shop", peer: { remote: undefined, local: undefined } }])
    }))

  it.effect("is asked about the peer that was introduced, and introduces the user to everybody else", () =>
    Effect.gen(function*() {
      const remote = NetAddress.inetAddressFromStringUnsafe("203.0.113.7:56324")
      const asked: Array<unknown> = []
      const known: Array<Peer.Peer> = []
      const layer = Layer.succeed(Postgres.Authenticator, {
        lookup: ({ peer }) =>
          Effect.sync(() => {
            asked.push(peer.remote, peer.user)
            return { method: "trust" as const }
          })
      })
      const header = Handshake.introduce(Transport.framed(Codec.bytes), { remote })
      const server = Handshake.inside(Postgres.server(), header).pipe(
        Effect.tap((transport) => Effect.map(transport.peer, (peer) => known.push(peer)))
      )
      yield* Effect.provide(withClient(server, starts(startup())), [layer, Crypto.layer])
      expect(asked).toEqual([remote, undefined])
      expect(known).toMatchObject([{ remote, user }])
    }))
})

describe("a client that may not come in", () => {
  it.effect("hears so when it has sent its start-up message", () =>
    Effect.gen(function*() {
      const server = Proxy.server(Postgres.server(), { trust: () => false })
      const { found } = yield* Effect.provide(withClient(server, starts(startup())), [
        Postgres.layerTrust,
        Crypto.layer
      ])
      expect(found).toEqual([fatal("28000", "the server does not let in connections from here")])
    }))
})

describe("a cancel request", () => {
  const opened = Effect.fnUntraced(function*(server: Effect.Effect<Postgres.ServerTransport, unknown, any>) {
    const [here, there] = yield* MemorySocket.pair()
    const scope = yield* Effect.scope
    const writer = yield* there.writer
    yield* there.reader
    yield* writer.write(Codec.encodeAll(Codecs.startup, [startup({ user }, 2)]))
    const transport = yield* server.pipe(
      Effect.provideService(Socket.Socket, here),
      Effect.provide([Postgres.layerTrust, Crypto.layer])
    ) as Effect.Effect<Postgres.ServerTransport, unknown, Scope.Scope>
    return { session: transport.session, scope }
  })

  const cancelling = (server: ReturnType<typeof Postgres.server>, key: { processId: number; secretKey: Uint8Array }) =>
    withClient(server, starts(cancelRequest(key.processId, key.secretKey))).pipe(
      Effect.provide([Postgres.layerTrust, Crypto.layer]),
      Effect.map(({ exit, found }) => ({ found, ended: ended(exit) }))
    )

  it.effect.each(
    [
      ["without a key", [0, 0, 0, 8, 4, 210, 22, 46]],
      ["with a key of 3 bytes", [0, 0, 0, 15, 4, 210, 22, 46, 0, 0, 0, 1, 1, 2, 3]],
      ["with a key of 257 bytes", [0, 0, 1, 13, 4, 210, 22, 46, 0, 0, 0, 1, ...new Uint8Array(257)]]
    ] as const
  )("%s is malformed, and is not answered", ([, bytes]) =>
    Effect.gen(function*() {
      const { ended, found } = yield* meets<ReadonlyArray<unknown>, unknown>(saysBytes(Uint8Array.from(bytes)))
      expect(found).toEqual([])
      expect(ended).toMatchObject({ step: "startup packet", _tag: "MalformedFrame" })
    }))

  it.effect("with the key of a session is told of it, and nobody hears anything", () =>
    Effect.gen(function*() {
      const cancelled: Array<Postgres.ServerSession> = []
      const server = Postgres.server({ onCancel: (session) => Effect.sync(() => cancelled.push(session)) })
      yield* Effect.scoped(Effect.gen(function*() {
        const { session } = yield* opened(server)
        const { processId } = session.backendKey
        const secretKey = Redacted.value(session.backendKey.secretKey)
        const { ended, found } = yield* cancelling(server, { processId, secretKey })
        expect(found).toEqual([])
        expect(ended).toMatchObject({ step: "CancelRequest", _tag: "Rejected", by: "peer", said: "CancelRequest" })
        expect(cancelled).toEqual([session])
        expect(cancelled[0]).toBe(session)
        for (
          const wrong of [
            { processId: processId + 1, secretKey },
            { processId, secretKey: secretKey.map((byte, i) => i === 31 ? byte ^ 1 : byte) },
            { processId, secretKey: secretKey.subarray(0, 4) },
            { processId, secretKey: new Uint8Array(256) }
          ]
        ) {
          const { ended, found } = yield* cancelling(server, wrong)
          expect(found).toEqual([])
          expect(ended).toMatchObject({ _tag: "Rejected", by: "peer" })
          expect(JSON.stringify(ended)).not.toContain(String(secretKey[0]) + "," + String(secretKey[1]))
        }
        expect(cancelled).toHaveLength(1)
      }))
    }))

  it.effect("with the key of a session that is over is of no effect", () =>
    Effect.gen(function*() {
      let cancelled = 0
      const server = Postgres.server({ onCancel: () => Effect.sync(() => cancelled++) })
      const key = yield* Effect.scoped(Effect.map(opened(server), ({ session }) => session.backendKey))
      yield* cancelling(server, { processId: key.processId, secretKey: Redacted.value(key.secretKey) })
      expect(cancelled).toBe(0)
    }))

  it.effect("of our client is done when the server has closed", () =>
    Effect.gen(function*() {
      const cancelled = yield* Deferred.make<void>()
      const server = Postgres.server({ onCancel: () => Deferred.succeed(cancelled, undefined) })
      yield* Effect.scoped(Effect.gen(function*() {
        const { session } = yield* opened(server)
        const [here, there] = yield* MemorySocket.pair()
        yield* Effect.forkScoped(
          Effect.ignore(Effect.scoped(server)).pipe(
            Effect.provideService(Socket.Socket, there),
            Effect.provide([Postgres.layerTrust, Crypto.layer])
          )
        )
        yield* Postgres.cancel(session.backendKey, { sslmode: "disable" }).pipe(
          Effect.provideService(Socket.Socket, here)
        )
        yield* Deferred.await(cancelled)
      }))
    }))
})

describe("inside a Server", () => {
  /** A server whose limits are reached by one connection that is open, and one more that comes. */
  const running = Effect.fnUntraced(function*(
    options: Server.Limits & { readonly admission?: Effect.Effect<Admission.Admission["Service"]> }
  ) {
    const network = yield* MemorySocket.network()
    const server = yield* Server.make({
      handshake: Postgres.server(),
      serve: (transport: Postgres.ServerTransport) => Effect.ignore(Effect.forever(transport.receive)),
      ...options
    }).pipe(
      Effect.provideService(SocketServer.SocketServer, network.server),
      Effect.provide([Postgres.layerTrust, Crypto.layer])
    )
    const connect = (options: Postgres.ClientOptions = clientOptions) =>
      Postgres.client(options).pipe(
        Effect.provideService(Socket.Socket, network.client),
        Effect.provide(Crypto.layer)
      )
    return { server, connect, dial: network.client }
  })

  it.effect("clients at its limit hear 53300, and may try again", () =>
    Effect.gen(function*() {
      const { connect } = yield* running({ maxConnections: 1 })
      yield* connect()
      for (const options of [clientOptions, { ...clientOptions, sslmode: "prefer", host: "localhost" } as const]) {
        const exit = yield* Effect.exit(Effect.scoped(connect(options)))
        expect(ended(exit)).toMatchObject({ _tag: "Rejected", by: "peer", code: "53300", retryable: true })
        expect(Exit.isFailure(exit) && Postgres.serverError(yield* Effect.flip(exit))?.fields.message).toBe(
          "sorry, too many clients already"
        )
      }
    }))

  it.effect("clients that come too often hear 53300, and when to come again", () =>
    Effect.gen(function*() {
      const admission = Admission.make({
        limits: [Admission.inAll({ connections: { limit: 1, window: "30 seconds" } })]
      })
      const { connect } = yield* running({ admission })
      yield* connect()
      const error = yield* Effect.flip(Effect.scoped(connect()))
      expect(Postgres.serverError(error)?.fields).toMatchObject({
        code: "53300",
        message: "too many connection attempts",
        hint: "Try again in 30 seconds."
      })
    }))

  it.effect("a client that is too slow hears so, wherever it is", () =>
    Effect.gen(function*() {
      const { dial } = yield* running({ handshakeTimeout: "10 seconds" })
      for (const said of [new Uint8Array(0), Codec.encodeAll(Codecs.startup, [startup()]).subarray(0, 9)]) {
        const heard = yield* Effect.scoped(Effect.gen(function*() {
          const reader = yield* dial.reader
          const writer = yield* dial.writer
          if (said.length > 0) yield* writer.write(said)
          const pulling = yield* Effect.forkScoped(reader.pull)
          yield* TestClock.adjust("10 seconds")
          return yield* Fiber.join(pulling)
        }))
        expect(Codec.decodeAll(Codecs.backend(), heard[0] as Uint8Array)).toEqual([fatal("57014")])
      }
    }))

  it.effect("a client that comes while it drains hears 57P03, and may try again", () =>
    Effect.gen(function*() {
      const { connect, dial, server } = yield* running({ drainTimeout: "5 seconds" })
      yield* connect()
      const reader = yield* dial.reader
      yield* dial.writer
      yield* Effect.yieldNow
      yield* Effect.forkScoped(server.drain)
      const [heard] = yield* reader.pull
      expect(Codec.decodeAll(Codecs.backend(), heard as Uint8Array)).toEqual([fatal("57P03")])
    }))
})

describe("our client and our server", () => {
  const cases = (["trust", "password", "md5", "scram-sha-256"] as const).flatMap((method) =>
    (["3.0", "3.2"] as const).flatMap((client) =>
      (["3.0", "3.2"] as const).map((server) => ({ method, client, server }))
    )
  )

  it.effect.each(cases)(
    "agree on what was negotiated: $method, client $client, server $server",
    ({ client, method, server }) =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const serving = yield* Effect.forkScoped(
          Postgres.server({ maxProtocolVersion: server }).pipe(Effect.provideService(Socket.Socket, there))
        )
        const transport = yield* Postgres.client({
          ...clientOptions,
          requireAuth: [method],
          maxProtocolVersion: client,
          parameters: { "_pq_.x": "1", search_path: "a" }
        }).pipe(Effect.provideService(Socket.Socket, here))
        const other = yield* Fiber.join(serving)
        const shared = (
          { authentication, backendKey, channelBound, database, protocolVersion, user }: Postgres.Session
        ) => ({
          authentication,
          backendKey,
          channelBound,
          database,
          protocolVersion,
          user
        })
        expect(shared(transport.session)).toEqual(shared({ ...other.session, notices: [] }))
        expect(transport.session.unrecognizedOptions).toEqual(["_pq_.x"])
        expect(other.session.unrecognizedOptions).toEqual(["_pq_.x"])
        expect(transport.session.protocolVersion).toBe(client === "3.0" ? "3.0" : server)
        expect(transport.session.authentication).toBe(method)
        yield* transport.send({ _tag: "Query", sql: "select 1" })
        expect(yield* other.receive).toEqual({ _tag: "Query", sql: "select 1" })
        yield* other.sendAll([{ _tag: "EmptyQueryResponse" }, { _tag: "ReadyForQuery", status: "idle" }])
        expect(yield* transport.receive).toEqual({ _tag: "EmptyQueryResponse" })
      }).pipe(Effect.provide([method === "trust" ? Postgres.layerTrust : users(method), Crypto.layer]))
  )
})

describe("one port for several protocols", () => {
  it.effect("has PostgreSQL by its first bytes", () =>
    Effect.gen(function*() {
      const port = Handshake.firstOf([
        { name: "PostgreSQL", accepts: Postgres.isStartup, handshake: Postgres.server() },
        { name: "anything else", accepts: (bytes) => bytes[0] !== 0, handshake: Effect.succeed("another") }
      ])
      const [here, there] = yield* MemorySocket.pair()
      const serving = yield* Effect.forkScoped(port.pipe(Effect.provideService(Socket.Socket, there)))
      const { session } = yield* Postgres.client(clientOptions).pipe(Effect.provideService(Socket.Socket, here))
      expect(session.user).toBe(user)
      expect(yield* Fiber.join(serving)).toMatchObject({ protocol: "postgres" })
    }).pipe(Effect.provide([Postgres.layerTrust, Crypto.layer])))
})
