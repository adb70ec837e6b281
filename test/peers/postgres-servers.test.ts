/**
 * This package's client against PostgreSQL itself.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Pg from "pg"
import * as Dialogue from "../../src/Dialogue.ts"
import type * as HandshakeError from "../../src/HandshakeError.ts"
import * as Net from "../../src/node/Net.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Peers from "../support/peers.ts"
import * as Servers from "../support/postgres.ts"
import { recording } from "../support/recording.ts"

type User = keyof typeof Servers.users

const passwordOf = (user: User) => {
  const { password } = Servers.users[user]
  return password === undefined ? undefined : Redacted.make<string>(password)
}

type ClientOptions = Parameters<typeof Postgres.client>[0]
type ClientTransport = Effect.Success<ReturnType<typeof Postgres.client>>

type Options = Partial<ClientOptions>

/** What this client tells a server of the tests unless told otherwise: its right password, and TLS as it should be. */
const withDefaults = (options: Options): ClientOptions => {
  const user = options.user ?? "scram_user"
  const known = user in Servers.users ? passwordOf(user as User) : undefined
  const { host = "localhost", sslmode = "verify-full", ...rest } = options
  return { password: known, database: "handshakes", ca: Certificates.root, ...rest, user, host, sslmode }
}

const dialling = (server: Servers.Server) => Net.layerSocket({ host: server.host, port: server.port })

const connect = (
  server: Servers.Server,
  options: Options = {}
): Effect.Effect<ClientTransport, HandshakeError.HandshakeError, Scope.Scope> =>
  Postgres.client(withDefaults(options)).pipe(Effect.provide([dialling(server), NodeCrypto.layer]))

const utf8 = new TextDecoder()

/** Asks, and returns the rows as texts; fails with the server's error. */
const ask = Effect.fnUntraced(function*(transport: ClientTransport, sql: string) {
  yield* transport.send({ _tag: "Query", sql })
  const rows: Array<ReadonlyArray<string | null>> = []
  let failed: Extract<Postgres.BackendMessage, { readonly _tag: "ErrorResponse" }> | undefined
  for (;;) {
    const message = yield* transport.receive
    if (message._tag === "DataRow") rows.push(message.values.map((value) => value === null ? null : utf8.decode(value)))
    if (message._tag === "ErrorResponse") failed = message
    if (message._tag === "ReadyForQuery") return failed === undefined ? rows : yield* Effect.fail(failed)
  }
})

/** Who the server thinks is there, and whether over TLS. */
const whoami = (transport: ClientTransport) =>
  Effect.map(
    ask(transport, "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()"),
    ([[user, tls]]) => ({ user, tls: tls === "t" })
  )

/** What came of it as far as these tests look at it: of our side, and of the server's. */
const logsIn = Effect.fnUntraced(function*(server: Servers.Server, options: Options) {
  const transport = yield* connect(server, options)
  const { authentication, channelBound, tls } = transport.session
  expect(yield* whoami(transport)).toEqual({ user: transport.session.user, tls: tls !== undefined })
  return { authentication, channelBound, tls: tls === undefined ? "none" : tls.verified ? "verified" : "not verified" }
})

const isRefused = (server: Servers.Server, options: Options) =>
  Effect.map(Effect.flip(connect(server, options)), ({ protocol, reason, step }) => {
    expect(protocol).toBe("postgres")
    return { reason, step }
  })

const methods = [
  ["trust_user", "trust"],
  ["password_user", "password"],
  ["md5_user", "md5"],
  ["scram_user", "scram-sha-256"],
  ["unicode_user", "scram-sha-256"],
  ["raw_user", "scram-sha-256"]
] as const

for (const version of [18, 15] as const) {
  Servers.describeServer("our client", { version }, (it) => {
    describe("logs in", () => {
      it.effect.each(methods)("as %s in clear, by %s", ([user, method]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const outcome = yield* logsIn(server, { user, sslmode: "disable", requireAuth: [method] })
          expect(outcome).toEqual({ authentication: method, channelBound: false, tls: "none" })
        }))

      it.effect.each(methods)("as %s over TLS, by %s", ([user, method]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const channelBound = method === "scram-sha-256"
          expect(yield* logsIn(server, { user })).toEqual({ authentication: method, channelBound, tls: "verified" })
        }))

      it.effect("without a binding where it does not want one", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const outcome = yield* logsIn(server, { channelBinding: "disable" })
          expect(outcome).toEqual({ authentication: "scram-sha-256", channelBound: false, tls: "verified" })
        }))

      it.effect("as a user who has to come over TLS", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const outcome = yield* logsIn(server, { user: "tls_user", channelBinding: "require" })
          expect(outcome).toEqual({ authentication: "scram-sha-256", channelBound: true, tls: "verified" })
        }))

      it.effect("with a certificate, and the server asks for nothing else", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const outcome = yield* logsIn(server, { user: "cert_user", certificate: Certificates.client })
          expect(outcome).toEqual({ authentication: "trust", channelBound: false, tls: "verified" })
        }))

      it.effect.each(
        [
          ["disable", "none"],
          ["prefer", "not verified"],
          ["require", "not verified"],
          ["verify-ca", "verified"],
          ["verify-full", "verified"]
        ] as const
      )("with sslmode %s, where TLS is %s", ([sslmode, tls]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const ca = tls === "verified" ? Certificates.root : undefined
          expect((yield* logsIn(server, { sslmode, ca })).tls).toBe(tls)
        }))

      it.effect("with sslmode require, where authorities that are given are looked at, as those of verify-ca", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          expect((yield* logsIn(server, { sslmode: "require", host: "other.test" })).tls).toBe("verified")
          const { reason } = yield* isRefused(server, { sslmode: "require", ca: Certificates.unknownRoot })
          expect(reason).toMatchObject({ _tag: "TlsFailure", kind: "unknown-authority", fault: "peer" })
        }))

      it.effect.each(["localhost", "127.0.0.1", "handshake.test"])(
        "to a server that proves to be %s",
        (host) =>
          Effect.gen(function*() {
            const server = yield* Servers.PostgresServer
            expect((yield* logsIn(server, { host })).tls).toBe("verified")
          })
      )

      it.effect("to a server of another name, if the name does not matter", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          expect((yield* logsIn(server, { sslmode: "verify-ca", host: "other.test" })).tls).toBe("verified")
        }))
    })

    describe("says what is written down, and so does the server", () => {
      /** Which messages were said in which states, and how it ended. */
      const followed = (said: Record<"client" | "server", Uint8Array>) => {
        const followed = Dialogue.follow(Postgres.StartUp, said)
        return { end: followed.end, said: followed.said.map(({ message, state }) => `${state}: ${message}`) }
      }
      const asked: Record<(typeof methods)[number][1], ReadonlyArray<string>> = {
        trust: [],
        password: ["method: AuthenticationCleartextPassword", "password: PasswordMessage"],
        md5: ["method: AuthenticationMD5Password", "password: PasswordMessage"],
        "scram-sha-256": [
          "method: AuthenticationSASL",
          "mechanism: SASLInitialResponse",
          "challenge: AuthenticationSASLContinue",
          "proof: SASLResponse",
          "final: AuthenticationSASLFinal"
        ]
      }

      it.effect.each(methods)("as %s, by %s: this client and `pg`", ([user, method]) =>
        Effect.gen(function*() {
          const recorded = yield* recording(yield* Servers.PostgresServer)
          const server = { ...yield* Servers.PostgresServer, port: recorded.port }
          const { password } = Servers.users[user]
          const pg = Effect.promise(async () => {
            const client = new Pg.Client({
              host: server.host,
              port: server.port,
              database: "handshakes",
              user,
              password
            })
            await client.connect()
            await client.end()
          })
          const ours = Effect.scoped(connect(server, { user, sslmode: "disable", requireAuth: [method] }))
          for (const client of [ours, ...(user === "raw_user" || user === "unicode_user" ? [] : [pg])]) {
            yield* client
            const { end, said } = followed(recorded.said())
            expect(end).toMatchObject({ _tag: "Ready", state: "session" })
            const [verdict] = method === "trust" ? ["method"] : ["verdict"]
            expect(said.slice(0, asked[method].length + 2)).toEqual([
              "clear: StartupMessage",
              ...asked[method],
              `${verdict}: AuthenticationOk`
            ])
          }
        }))

      it.effect("with a password that is wrong", () =>
        Effect.gen(function*() {
          const recorded = yield* recording(yield* Servers.PostgresServer)
          const server = { ...yield* Servers.PostgresServer, port: recorded.port }
          const password = Redacted.make("another one")
          const states = { password_user: "verdict", md5_user: "verdict", scram_user: "final" } as const
          for (const user of ["password_user", "md5_user", "scram_user"] as const) {
            yield* isRefused(server, { user, password, sslmode: "disable", requireAuth: [Servers.users[user].method] })
            expect(followed(recorded.said()).end).toMatchObject({
              _tag: "Refused",
              by: "server",
              message: "ErrorResponse",
              state: states[user],
              fields: { code: "28P01" }
            })
          }
        }))

      it.effect("up to where TLS begins", () =>
        Effect.gen(function*() {
          const recorded = yield* recording(yield* Servers.PostgresServer)
          const server = { ...yield* Servers.PostgresServer, port: recorded.port }
          yield* Effect.scoped(connect(server, { host: "localhost" }))
          expect(followed(recorded.said())).toMatchObject({
            end: { state: "encrypted" },
            said: ["clear: SSLRequest", "tls: Secure"]
          })
        }))
    })

    describe("learns", () => {
      it.effect("what the server is, and what it was told itself", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const transport = yield* connect(server, {
            applicationName: "a test",
            parameters: { search_path: "nowhere", DateStyle: "German" }
          })
          const { session } = transport
          expect(session.parameters.get("server_version")).toMatch(new RegExp(`^${version}\\.`))
          expect(session.parameters.get("application_name")).toBe("a test")
          expect(session.parameters.get("client_encoding")).toBe("UTF8")
          expect(session.parameters.get("DateStyle")).toBe("German, DMY")
          expect(session.parameters.get("session_authorization")).toBe("scram_user")
          expect(session.database).toBe("handshakes")
          const [[pid, path, database]] = yield* ask(
            transport,
            "select pg_backend_pid(), current_setting('search_path'), current_database()"
          )
          expect([Number(pid), path, database]).toEqual([session.backendKey?.processId, "nowhere", "handshakes"])
        }))

      it.effect("that protocol 3.0 is spoken, unless it offers more", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const { session } = yield* connect(server)
          expect(session.protocolVersion).toBe("3.0")
          expect(Redacted.value(session.backendKey!.secretKey)).toHaveLength(4)
        }))

      it.effect(`that ${version === 18 ? "3.2" : "3.0"} is spoken, where it offers 3.2`, () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const { session } = yield* connect(server, { maxProtocolVersion: "3.2" })
          expect(session.protocolVersion).toBe(version === 18 ? "3.2" : "3.0")
          expect(Redacted.value(session.backendKey!.secretKey)).toHaveLength(version === 18 ? 32 : 4)
        }))

      it.effect("which of its options the server does not know", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const { session } = yield* connect(server, { parameters: { "_pq_.one": "1", "_pq_.two": "2" } })
          expect(session.unrecognizedOptions.toSorted()).toEqual(["_pq_.one", "_pq_.two"])
        }))
    })

    describe("is refused, and knows why:", () => {
      it.effect.each(
        [
          ["a wrong password", { password: Redacted.make("pen") }, "28P01"],
          ["a wrong password in clear text", { user: "password_user", password: Redacted.make("pen") }, "28P01"],
          ["a wrong password as MD5", { user: "md5_user", password: Redacted.make("pen") }, "28P01"],
          ["a user who is not there", { user: "missing_user", password: Redacted.make("pen") }, "28P01"],
          ["a user of whom no rule knows", { user: "nobody_else", password: Redacted.make("pen") }, "28000"],
          ["a user who is rejected", { user: "reject_user" }, "28000"],
          ["a user who has to come over TLS", { user: "tls_user", sslmode: "disable" }, "28000"],
          ["a user without a certificate", { user: "cert_user" }, "28000"],
          [
            "a certificate of somebody else",
            { user: "other_cert_user", certificate: Certificates.client },
            "28000"
          ],
          ["a user with too many connections", { user: "busy_user" }, "53300"],
          ["a database that is full", { user: "trust_user", database: "busy" }, "53300"],
          ["a database that is not there", { user: "trust_user", database: "nowhere" }, "3D000"],
          ["a parameter that is not there", { user: "trust_user", parameters: { no_such: "1" } }, "42704"]
        ] as const
      )("%s", ([, options, code]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const { reason } = yield* isRefused(server, options)
          expect(reason).toMatchObject({ _tag: "Rejected", by: "peer", code, retryable: code === "53300" })
          expect(reason).toMatchObject({ fields: { severity: "FATAL", code } })
        }))
    })

    describe("shows a certificate that the server does not take:", () => {
      it.effect.each(
        [
          ["expired", Certificates.clientExpired],
          ["unknown_ca", Certificates.clientUnknownAuthority]
        ] as const
      )("%s", ([words, certificate]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          // The server resets the connection behind its alert, and what is written just then fails with that. So the
          // alert is heard most times, but not each time.
          const { reason } = yield* Effect.repeat(isRefused(server, { user: "cert_user", certificate }), {
            times: 30,
            while: ({ reason }) => reason._tag === "ConnectionFailed"
          })
          expect(reason).toMatchObject({
            _tag: "TlsFailure",
            kind: "certificate-refused",
            detail: expect.stringContaining(words),
            fault: "local"
          })
        }))
    })

    describe("does not go on with", () => {
      it.effect.each(
        [
          ["wrong-name", { host: "other.test" }],
          ["unknown-authority", { ca: Certificates.unknownRoot }],
          ["unknown-authority", { sslmode: "verify-ca", ca: Certificates.unknownRoot }]
        ] as const
      )("a certificate that is: %s", ([kind, options]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const { reason, step } = yield* isRefused(server, options)
          expect(step).toBe("start TLS")
          expect(reason).toMatchObject({ _tag: "TlsFailure", kind, fault: "peer" })
        }))

      it.effect.each(
        [
          ["a password shown in clear", { user: "password_user", sslmode: "disable" }, "peer"],
          [
            "a password shown to somebody unknown",
            { user: "password_user", sslmode: "require", ca: undefined },
            "peer"
          ],
          ["MD5 in clear", { user: "md5_user", sslmode: "disable" }, "peer"],
          ["no authentication, where SCRAM has to be", { user: "trust_user", requireAuth: ["scram-sha-256"] }, "peer"],
          ["MD5, where SCRAM has to be", { user: "md5_user", requireAuth: ["scram-sha-256"] }, "peer"],
          ["SCRAM, where MD5 has to be", { requireAuth: ["md5", "password"] }, "peer"],
          ["MD5, where a binding has to be", { user: "md5_user", channelBinding: "require" }, "peer"],
          ["no authentication, where a binding has to be", { user: "trust_user", channelBinding: "require" }, "peer"],
          ["SCRAM in clear, where a binding has to be", { sslmode: "disable", channelBinding: "require" }, "local"],
          ["a request for a password that it does not have", { password: undefined }, "local"]
        ] as const
      )("%s", ([, options, fault]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const { reason, step } = yield* isRefused(server, options)
          expect(step).toBe("authentication")
          expect(reason).toMatchObject({ _tag: "AuthenticationFailed", fault })
        }))

      if (version === 15) {
        it.effect("a protocol that is too old", () =>
          Effect.gen(function*() {
            const server = yield* Servers.PostgresServer
            const { reason, step } = yield* isRefused(server, { minProtocolVersion: "3.2", maxProtocolVersion: "3.2" })
            expect(step).toBe("startup")
            expect(reason).toMatchObject({
              _tag: "UnsupportedVersion",
              offered: "3.0",
              supported: ["3.2"],
              fault: "peer"
            })
          }))
      }
    })

    describe("with TLS from the first byte", () => {
      if (version === 18) {
        it.effect("logs in, on the protocol postgresql and bound to the channel", () =>
          Effect.gen(function*() {
            const server = yield* Servers.PostgresServer
            const options: Options = { sslnegotiation: "direct" }
            const outcome = yield* logsIn(server, options)
            expect(outcome).toEqual({ authentication: "scram-sha-256", channelBound: true, tls: "verified" })
            expect((yield* connect(server, options)).session.tls?.alpn).toBe("postgresql")
          }))
      } else {
        it.effect("fails: this server does not know it", () =>
          Effect.gen(function*() {
            const server = yield* Servers.PostgresServer
            const { reason, step } = yield* isRefused(server, { sslnegotiation: "direct" })
            expect(step).toBe("start TLS")
            expect(reason).toMatchObject({ _tag: "TlsFailure", kind: "cut" })
          }))
      }
    })

    describe("cancels a query", () => {
      it.effect.each(
        [
          ["in clear", { sslmode: "disable" }],
          ["over TLS", {}],
          ["with what protocol 3.2 has for a key", { maxProtocolVersion: "3.2" }]
        ] as const
      )("%s", ([, options]) =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const transport = yield* connect(server, options)
          const query = yield* Effect.forkChild(Effect.flip(ask(transport, "select pg_sleep(60)")))
          const { backendKey } = transport.session
          yield* server.query("select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'", [
            backendKey!.processId
          ]).pipe(
            Effect.flatMap((rows) => rows.length === 1 ? Effect.void : Effect.fail("not asleep yet" as const)),
            Effect.retry({ times: 500 })
          )
          yield* Postgres.cancel(backendKey!, withDefaults(options)).pipe(
            Effect.provide(dialling(server))
          )
          const error = yield* Fiber.join(query)
          expect(error).toMatchObject({ severity: "ERROR", code: "57014" })
          // The connection goes on.
          expect(yield* ask(transport, "select 1")).toEqual([["1"]])
        }))

      it.effect("but not with a wrong key", () =>
        Effect.gen(function*() {
          const server = yield* Servers.PostgresServer
          const transport = yield* connect(server)
          const query = yield* Effect.forkChild(ask(transport, "select 'done' from pg_sleep(0.3)"))
          const { processId } = transport.session.backendKey!
          const secretKey = Redacted.make(new Uint8Array(4))
          yield* Postgres.cancel({ processId, secretKey }, withDefaults({})).pipe(
            Effect.provide(dialling(server))
          )
          expect(yield* Fiber.join(query)).toEqual([["done"]])
        }))
    })
  })
}

Servers.describeServer("our client, and there is no TLS", { version: 18, certificate: "none" }, (it) => {
  it.effect("logs in with sslmode prefer, in clear", () =>
    Effect.gen(function*() {
      const server = yield* Servers.PostgresServer
      expect((yield* logsIn(server, { sslmode: "prefer" })).tls).toBe("none")
    }))

  it.effect.each(["require", "verify-ca", "verify-full"] as const)(
    "goes no further with sslmode %s",
    (sslmode) =>
      Effect.gen(function*() {
        const server = yield* Servers.PostgresServer
        const { reason, step } = yield* isRefused(server, { sslmode })
        expect(step).toBe("SSLRequest")
        expect(reason).toMatchObject({ _tag: "Rejected", by: "peer", retryable: false })
      })
  )

  it.effect("goes no further with TLS from the first byte", () =>
    Effect.gen(function*() {
      const server = yield* Servers.PostgresServer
      const { reason } = yield* isRefused(server, { sslnegotiation: "direct" })
      expect(reason).toMatchObject({ _tag: "TlsFailure", kind: "cut" })
    }))

  it.effect("logs in on the Unix socket", () =>
    Effect.gen(function*() {
      const server = yield* Servers.PostgresServer
      const transport = yield* Postgres.client({ user: "postgres", sslmode: "disable" }).pipe(
        Effect.provide([Net.layerSocket({ path: server.socketPath }), NodeCrypto.layer])
      )
      expect(yield* ask(transport, "select current_user, inet_server_addr()")).toEqual([["postgres", null]])
    }))
})

Servers.describeServer("our client, and there is no room", {
  version: 18,
  settings: { max_connections: "4", superuser_reserved_connections: "2", reserved_connections: "0" }
}, (it) => {
  it.effect("is told that it may try again, and then there is room", () =>
    Effect.gen(function*() {
      const server = yield* Servers.PostgresServer
      yield* Effect.scoped(Effect.gen(function*() {
        yield* connect(server)
        yield* connect(server)
        const { reason } = yield* isRefused(server, {})
        expect(reason).toMatchObject({ _tag: "Rejected", code: "53300", retryable: true })
      }))
      yield* Effect.retry(connect(server), { times: 500, while: (error) => "retryable" in error.reason })
    }))
})

const skipped = Servers.skipReason(18)
const bindings = "PostgreSQL 18: the channel binding of our client"
if (skipped === undefined) {
  describe(bindings, () => {
    const serving = (certificate: Certificates.Certificate) => Servers.server({ version: 18, certificate })

    it.live.each(
      [
        ["ECDSA and SHA-384", Certificates.sha384],
        ["RSA and SHA-512", Certificates.sha512Rsa],
        ["RSA-PSS and SHA-384", Certificates.rsaPss]
      ] as const
    )("is what the server takes for a certificate signed with %s", ([, certificate]) =>
      Effect.gen(function*() {
        const server = yield* serving(certificate)
        const outcome = yield* logsIn(server, { channelBinding: "require" })
        expect(outcome).toEqual({ authentication: "scram-sha-256", channelBound: true, tls: "verified" })
      }))

    it.live("is not there for a certificate signed with Ed25519, which has no hash of its own", () =>
      Effect.gen(function*() {
        const server = yield* serving(Certificates.ed25519)
        const outcome = yield* logsIn(server, {})
        expect(outcome).toEqual({ authentication: "scram-sha-256", channelBound: false, tls: "verified" })
        const { reason } = yield* isRefused(server, { channelBinding: "require" })
        expect(reason).toMatchObject({ _tag: "AuthenticationFailed", fault: "local" })
      }))
  })
} else Peers.missing(bindings, skipped)
