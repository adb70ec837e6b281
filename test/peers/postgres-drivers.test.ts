/**
 * The drivers that people use, and psql, against this package's server.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as PgClient from "@effect/sql-pg/PgClient"
import { describe, expect, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Pg from "pg"
import postgres from "postgres"
import * as Answers from "../../src/cli/postgres.ts"
import * as Net from "../../src/node/Net.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Server from "../../src/Server.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Peers from "../support/peers.ts"

type ServerOptions = NonNullable<Parameters<typeof Postgres.server>[0]>
type Session = Postgres.ServerTransport["session"]

/** Our server, and what it has seen of its clients. */
class OurServer extends Context.Service<OurServer, {
  readonly port: number
  readonly sessions: ReadonlyArray<Session>
  /** What it has said no with, in short. */
  readonly refusals: ReadonlyArray<string>
}>()("test/OurServer") {}

interface Serving {
  readonly authenticator: Layer.Layer<Postgres.Authenticator>
  readonly options?: ServerOptions
  readonly limits?: Server.Limits
  /** How it goes on behind the handshake. Default: as the command does. */
  readonly serve?: (transport: Postgres.ServerTransport) => Effect.Effect<void, unknown>
}

const serving = ({ authenticator, limits, options, serve = Answers.serve({}) }: Serving) =>
  Layer.effect(
    OurServer,
    Effect.gen(function*() {
      const sessions: Array<Session> = []
      const refusals: Array<string> = []
      const { address } = yield* Server.make({
        ...limits,
        handshake: Postgres.server({ tls: { certificate: Certificates.server }, ...options }),
        serve: (transport) => {
          sessions.push(transport.session)
          return serve(transport)
        }
      }).pipe(Effect.provideService(Transport.CurrentObserver, (event) => {
        if (event._tag === "Sent" && event.frame.startsWith("ErrorResponse")) refusals.push(event.frame)
      }))
      if (address._tag === "UnixPathAddress") return yield* Effect.die("a TCP server has a port")
      return { port: address.port, sessions, refusals }
    })
  ).pipe(Layer.provide([authenticator, NodeCrypto.layer, Net.layerServer({ host: "127.0.0.1", port: 0 })]), Layer.orDie)

// ---------------------------------------------------------------------------------------------------------------------
// Clients
// ---------------------------------------------------------------------------------------------------------------------

interface Login {
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database?: string
  readonly tls: boolean
}

/** A client was not let in; `code` is the SQLSTATE, and for psql, which does not show it, what it says. */
class Refused extends Data.TaggedError("Refused")<{ readonly code: string }> {}

const codeOf = (error: unknown): string => String((error as { readonly code?: unknown }).code ?? error)

const refused = (error: unknown) => new Refused({ code: codeOf(error) })

/** Logs in, asks `select 1`, and goes. */
type Client = (login: Login) => Effect.Effect<unknown, Refused>

const nodeTls = { ca: Certificates.root, servername: "localhost" }

const pg = (options: {
  readonly config?: Pg.ClientConfig
  readonly query?: Pg.QueryConfig
} = {}): Client =>
({ tls, ...login }) =>
  Effect.tryPromise({
    try: async () => {
      const config = { host: "127.0.0.1", database: "app", ...login, ...options.config }
      const client = new Pg.Client(tls ? { ...config, ssl: nodeTls } : config)
      client.on("error", () => {})
      try {
        await client.connect()
        const { rows } = await client.query(options.query ?? { text: "select 1 as one" })
        return rows
      } finally {
        await client.end()
      }
    },
    catch: refused
  })

const postgresJs: Client = ({ tls, ...login }) =>
  Effect.tryPromise({
    try: async () => {
      const sql = postgres({
        host: "127.0.0.1",
        database: "app",
        ...login,
        max: 1,
        onnotice: () => {},
        ...(tls ? { ssl: nodeTls } : {})
      })
      try {
        return [...await sql`select 1 as one`]
      } finally {
        await sql.end({ timeout: 1 })
      }
    },
    catch: refused
  })

const sqlPg: Client = ({ database = "app", password, port, tls, user }) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    return yield* sql`select 1 as one`
  }).pipe(
    Effect.provide(PgClient.layer({
      host: "127.0.0.1",
      port,
      username: user,
      password: Redacted.make(password),
      database,
      maxConnections: 1,
      ...(tls ? { ssl: nodeTls } : {})
    })),
    Effect.mapError(({ reason }) => refused(reason.cause))
  )

const psql =
  (env: Readonly<Record<string, string>> = {}): Client => ({ database = "app", password, port, tls, user }) =>
    Effect.gen(function*() {
      const ran = yield* Effect.orDie(Peers.run("psql", ["--no-psqlrc", "--csv", "--command", "select 1 as one"], {
        env: {
          PGHOST: "localhost",
          PGHOSTADDR: "127.0.0.1",
          PGPORT: String(port),
          PGUSER: user,
          PGPASSWORD: password,
          PGDATABASE: database,
          PGSSLMODE: tls ? "verify-full" : "disable",
          PGSSLROOTCERT: Certificates.rootFile,
          ...env
        }
      }))
      if (ran.status !== 0) return yield* new Refused({ code: ran.stderr })
      const [name, value] = ran.stdout.trim().split("\n")
      return [{ [name]: Number(value) }]
    })

const drivers = [
  ["pg", pg()],
  ["pg, with a prepared statement", pg({ query: { name: "one", text: "select 1 as one" } })],
  ["postgres.js", postgresJs],
  ["@effect/sql-pg", sqlPg]
] as const

const one = [{ one: 1 }]

// ---------------------------------------------------------------------------------------------------------------------
// Tests
// ---------------------------------------------------------------------------------------------------------------------

const user = "alice"
const password = "a pässword"

/** What SASLprep makes of her password is another one (RFC 4013). */
const carol = { user: "carol", password: "pa\u00adss\u00a0wörd" }

const usersBy = (method: "password" | "md5" | "scram-sha-256") =>
  Layer.orDie(Layer.provide(
    Postgres.layerUsers(
      [{ user, password: Redacted.make(password) }, { ...carol, password: Redacted.make(carol.password) }],
      { method }
    ),
    NodeCrypto.layer
  ))

const methods = [
  ["trust", Postgres.layerTrust],
  ["password", usersBy("password")],
  ["md5", usersBy("md5")],
  ["scram-sha-256", usersBy("scram-sha-256")]
] as const

const wires = [["in clear", false], ["over TLS", true]] as const

/** Logs in and checks that the answer comes, and that the server knows who it is, and how. */
const logsIn = Effect.fnUntraced(function*(client: Client, method: string, login: Omit<Login, "port" | "user">) {
  const { port, sessions } = yield* OurServer
  const before = sessions.length
  expect(yield* client({ port, user, ...login })).toEqual(one)
  const session = sessions[before]
  expect({ user: session.user, database: session.database, method: session.authentication }).toEqual({
    user,
    database: login.database ?? "app",
    method
  })
  expect(session.tls !== undefined).toBe(login.tls)
  return session
})

describe.each(methods)("by %s", (method, authenticator) => {
  layer(serving({ authenticator }), { excludeTestServices: true })((it) => {
    describe.each(wires)("%s", (_, tls) => {
      it.effect.each(drivers)(
        "%s logs in and gets an answer",
        ([, client]) => logsIn(client, method, { password, tls })
      )

      if (method !== "trust") {
        it.effect.each(drivers)("%s hears 28P01 for a wrong password", ([, client]) =>
          Effect.gen(function*() {
            const { port } = yield* OurServer
            const { code } = yield* Effect.flip(client({ port, user, password: "wrong", tls }))
            expect(code).toBe("28P01")
          }))

        it.effect.each(drivers)("%s hears 28P01 for a user who is not there", ([, client]) =>
          Effect.gen(function*() {
            const { port } = yield* OurServer
            const { code } = yield* Effect.flip(client({ port, user: "bob", password, tls }))
            expect(code).toBe("28P01")
          }))
      }

      Peers.describeWith(["psql"], "psql", () => {
        it.effect("logs in and gets an answer", () => logsIn(psql(), method, { password, tls }))

        if (method !== "trust") {
          it.effect("hears that the password is wrong", () =>
            Effect.gen(function*() {
              const { port, refusals } = yield* OurServer
              const { code } = yield* Effect.flip(psql()({ port, user, password: "wrong", tls }))
              expect(code).toContain(`FATAL:  password authentication failed for user "${user}"`)
              expect(refusals.at(-1)).toMatch(/^ErrorResponse FATAL 28P01 /)
            }))
        }
      })
    })
  })
})

layer(serving({ authenticator: usersBy("scram-sha-256") }), { excludeTestServices: true })("SASLprep", (it) => {
  const clients = [["pg", pg()], ["psql", psql()]] as const

  Peers.describeWith(["psql"], "a password that it changes", () => {
    it.effect.each(clients)("is right for %s", ([, client]) =>
      Effect.gen(function*() {
        const { port } = yield* OurServer
        expect(yield* client({ port, ...carol, tls: false })).toEqual(one)
        expect(yield* client({ port, ...carol, password: "pass wörd", tls: false })).toEqual(one)
      }))
  })
})

layer(
  serving({ authenticator: usersBy("scram-sha-256"), options: { tls: undefined } }),
  { excludeTestServices: true }
)("a server without TLS", (it) => {
  it.effect.each(drivers)(
    "%s gets in in clear",
    ([, client]) => logsIn(client, "scram-sha-256", { password, tls: false })
  )

  it.effect("the drivers do not go on where they want TLS", () =>
    Effect.gen(function*() {
      const { port } = yield* OurServer
      for (const client of [pg(), postgresJs, sqlPg]) yield* Effect.flip(client({ port, user, password, tls: true }))
    }))

  Peers.describeWith(["psql"], "psql", () => {
    it.effect("gets in with sslmode=prefer, and not with sslmode=require", () =>
      Effect.gen(function*() {
        const { port } = yield* OurServer
        yield* logsIn(psql({ PGSSLMODE: "prefer" }), "scram-sha-256", { password, tls: false })
        const { code } = yield* Effect.flip(psql({ PGSSLMODE: "require" })({ port, user, password, tls: false }))
        expect(code).toContain("server does not support SSL, but SSL was required")
      }))
  })
})

layer(serving({ authenticator: usersBy("scram-sha-256") }), { excludeTestServices: true })("channel binding", (it) => {
  it.effect("pg binds the channel when it is told to", () =>
    Effect.gen(function*() {
      const bound = pg({ config: { enableChannelBinding: true } })
      expect((yield* logsIn(bound, "scram-sha-256", { password, tls: true })).channelBound).toBe(true)
      expect((yield* logsIn(pg(), "scram-sha-256", { password, tls: true })).channelBound).toBe(false)
    }))

  Peers.describeWith(["psql"], "psql", () => {
    it.effect.each(
      [
        ["require", true],
        ["prefer", true],
        ["disable", false]
      ] as const
    )(
      "logs in with channel_binding=%s, and the channel is bound: %s",
      ([channelBinding, bound]) =>
        Effect.gen(function*() {
          const client = psql({ PGCHANNELBINDING: channelBinding })
          const session = yield* logsIn(client, "scram-sha-256", { password, tls: true })
          expect(session.channelBound).toBe(bound)
        })
    )

    it.effect("does not log in with channel_binding=require in clear", () =>
      Effect.gen(function*() {
        const { port } = yield* OurServer
        const client = psql({ PGCHANNELBINDING: "require" })
        const { code } = yield* Effect.flip(client({ port, user, password, tls: false }))
        expect(code).toContain("channel binding")
      }))
  })
})

describe.each(
  [
    ["ECDSA and SHA-384", Certificates.sha384],
    ["RSA and SHA-512", Certificates.sha512Rsa]
  ] as const
)("channel binding with a certificate signed with %s", (_, certificate) => {
  const options = { tls: { certificate } }
  layer(serving({ authenticator: usersBy("scram-sha-256"), options }), { excludeTestServices: true })((it) => {
    Peers.describeWith(["psql"], "psql", () => {
      it.effect("logs in with channel_binding=require", () =>
        Effect.gen(function*() {
          const client = psql({ PGCHANNELBINDING: "require" })
          const session = yield* logsIn(client, "scram-sha-256", { password, tls: true })
          expect(session.channelBound).toBe(true)
        }))
    })
  })
})

layer(
  serving({
    authenticator: usersBy("scram-sha-256"),
    options: { requireTls: true, databases: ["app"], tls: { certificate: Certificates.server } }
  }),
  { excludeTestServices: true }
)("a server with one database that requires TLS", (it) => {
  it.effect.each(drivers)("%s gets in", ([, client]) => logsIn(client, "scram-sha-256", { password, tls: true }))

  it.effect.each(drivers)("%s hears 28000 in clear", ([, client]) =>
    Effect.gen(function*() {
      const { port } = yield* OurServer
      const { code } = yield* Effect.flip(client({ port, user, password, tls: false }))
      expect(code).toBe("28000")
    }))

  it.effect.each(drivers)("%s hears 3D000 for another database", ([, client]) =>
    Effect.gen(function*() {
      const { port } = yield* OurServer
      const { code } = yield* Effect.flip(client({ port, user, password, database: "other", tls: true }))
      expect(code).toBe("3D000")
    }))

  it.effect("pg gets in with TLS from the first byte", () => {
    // `@types/pg` does not know it yet.
    const config = { sslnegotiation: "direct" } as Pg.ClientConfig
    return logsIn(pg({ config }), "scram-sha-256", { password, tls: true })
  })

  Peers.describeWith(["psql"], "psql", () => {
    it.effect("hears why it is not let in in clear, and that there is no such database", () =>
      Effect.gen(function*() {
        const { port } = yield* OurServer
        const clear = yield* Effect.flip(psql()({ port, user, password, tls: false }))
        expect(clear.code).toContain("FATAL:  this server takes encrypted connections only")
        const other = yield* Effect.flip(psql()({ port, user, password, tls: true, database: "other" }))
        expect(other.code).toContain("FATAL:  database \"other\" does not exist")
      }))
  })

  Peers.describeWith(["openssl"], "openssl s_client -starttls postgres", () => {
    it.effect("gets the certificate, and believes it", () =>
      Effect.gen(function*() {
        const { port } = yield* OurServer
        const ran = yield* Peers.run("openssl", [
          "s_client",
          "-connect",
          `127.0.0.1:${port}`,
          "-starttls",
          "postgres",
          "-CAfile",
          Certificates.rootFile,
          "-verify_hostname",
          "localhost",
          "-verify_return_error"
        ])
        expect(ran.stdout).toContain("subject=CN = localhost")
        expect(ran.stdout).toContain("Verify return code: 0 (ok)")
        expect(ran.status).toBe(0)
      }))
  })
})

layer(serving({ authenticator: Postgres.layerTrust, options: {}, limits: { maxConnections: 1 } }), {
  excludeTestServices: true
})("a server with room for one", (it) => {
  it.effect.each(drivers)("%s hears 53300 when it is taken", ([, client]) =>
    Effect.gen(function*() {
      const { port } = yield* OurServer
      const taken = new Pg.Client({ host: "127.0.0.1", port, user, database: "app" })
      taken.on("error", () => {})
      yield* Effect.promise(() => taken.connect())
      const { code } = yield* Effect.ensuring(
        Effect.flip(client({ port, user, password, tls: false })),
        Effect.promise(() => taken.end())
      )
      expect(code).toBe("53300")
      // Its place is free again as soon as the server has seen it go.
      yield* Effect.retry(client({ port, user, password, tls: false }), { times: 50 })
    }))
})

/** Trusts whoever shows the certificate of that name, and rejects everybody else. */
const byCertificate = Layer.succeed(Postgres.Authenticator, {
  lookup: ({ peer, user }) =>
    Effect.succeed({
      method: peer.tls?.verified === true && peer.tls.certificate?.subject === `CN=${user}` ? "trust" : "reject"
    })
})

layer(
  serving({
    authenticator: byCertificate,
    options: { tls: { certificate: Certificates.server, ca: Certificates.root, clientCertificate: "request" } }
  }),
  { excludeTestServices: true }
)("a server that knows its clients by their certificates", (it) => {
  const login = { user: "cert_user", password, tls: true }

  it.effect("pg is let in with it", () =>
    Effect.gen(function*() {
      const { port, sessions } = yield* OurServer
      const { cert, key } = Certificates.client
      const withCertificate = pg({ config: { ssl: { ...nodeTls, cert, key: Redacted.value(key) } } })
      expect(yield* withCertificate({ port, ...login, tls: false })).toEqual(one)
      expect(sessions.at(-1)?.tls).toMatchObject({ verified: true, certificate: { subject: "CN=cert_user" } })
    }))

  it.effect("pg hears 28000 without it", () =>
    Effect.gen(function*() {
      const { port } = yield* OurServer
      expect((yield* Effect.flip(pg()({ port, ...login }))).code).toBe("28000")
    }))

  Peers.describeWith(["psql"], "psql", () => {
    it.effect("is let in with it", () =>
      Effect.gen(function*() {
        const { port } = yield* OurServer
        // libpq takes no key that others can read, and a checkout is readable.
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "key-"))),
          (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
        )
        const key = join(folder, "client.key")
        copyFileSync(Certificates.client.keyFile, key)
        chmodSync(key, 0o600)
        const client = psql({ PGSSLCERT: Certificates.client.certFile, PGSSLKEY: key })
        expect(yield* client({ port, ...login })).toEqual(one)
      }))
  })
})

describe("a query that is cancelled", () => {
  const asleep = Effect.runSync(Deferred.make<void>())
  const cancelled = Effect.runSync(Deferred.make<Session>())

  /** Sleeps at whatever it is asked for until it is cancelled. */
  const sleep = Effect.fnUntraced(function*(transport: Postgres.ServerTransport) {
    for (;;) {
      const message = yield* transport.receive
      if (message._tag === "Terminate") return
      if (message._tag !== "Query") continue
      yield* Deferred.succeed(asleep, undefined)
      yield* Deferred.await(cancelled)
      yield* transport.sendAll([
        { _tag: "ErrorResponse", severity: "ERROR", code: "57014", message: "canceling statement due to user request" },
        { _tag: "ReadyForQuery", status: "idle" }
      ])
    }
  })

  layer(
    serving({
      authenticator: usersBy("scram-sha-256"),
      options: { onCancel: (session) => Deferred.succeed(cancelled, session) },
      serve: sleep
    }),
    { excludeTestServices: true }
  )((it) => {
    it.effect("postgres.js cancels it over TLS, and hears 57014", () =>
      Effect.gen(function*() {
        const { port, sessions } = yield* OurServer
        const sql = postgres({
          host: "127.0.0.1",
          port,
          user,
          password,
          database: "app",
          ssl: nodeTls,
          max: 1,
          fetch_types: false
        })
        const query = sql`select pg_sleep(60)`.simple()
        const outcome = query.execute().then(() => "done", codeOf)
        yield* Deferred.await(asleep)
        query.cancel()
        expect(yield* Effect.promise(() => outcome)).toBe("57014")
        expect(yield* Deferred.await(cancelled)).toBe(sessions[0])
        yield* Effect.promise(() => sql.end({ timeout: 1 }))
      }))
  })
})
