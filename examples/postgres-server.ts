/**
 * A server that real PostgreSQL clients log in to, over TLS and with SCRAM, and that answers one kind of query. The client
 * is `pg`, the driver for Node. Behind the start-up everything is up to `serve`: this could as well be a proxy, or a
 * database of another kind.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Effect, Layer, Redacted, Stream } from "effect"
import { Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Postgres from "effect-handshake/protocols/Postgres"
import * as Pg from "pg"
// Those of the tests. Yours are PEM texts, from a file or a service.
import * as Certificates from "./certificates/index.ts"

const encoder = new TextEncoder()

/** One row with one column of text. */
const row = (name: string, value: string): ReadonlyArray<Postgres.BackendMessage> => [
  {
    _tag: "RowDescription",
    fields: [{ name, table: 0, column: 0, type: 25, size: -1, modifier: -1, format: "text" }]
  },
  { _tag: "DataRow", values: [encoder.encode(value)] },
  { _tag: "CommandComplete", command: "SELECT 1" }
]

const error = (code: string, message: string): Postgres.BackendMessage => ({
  _tag: "ErrorResponse",
  severity: "ERROR",
  code,
  message
})

const ready: Postgres.BackendMessage = { _tag: "ReadyForQuery", status: "idle" }

const serve = (transport: Postgres.ServerTransport) =>
  transport.incoming.pipe(
    Stream.takeUntil(({ _tag }) => _tag === "Terminate"),
    Stream.runForEach((message) => {
      switch (message._tag) {
        case "Query": {
          const { session } = transport
          const answer = message.sql === "select who_am_i()"
            ? row("who_am_i", `${session.user}, by ${session.authentication}, ${session.tls?.version ?? "in clear"}`)
            : [error("0A000", "there is one query only")]
          return transport.sendAll([...answer, ready])
        }
        // Of an extended query all up to the Sync is passed over, once something of it was refused.
        case "Parse":
          return transport.send(error("0A000", "simple queries only"))
        case "Sync":
          return transport.send(ready)
        default:
          return Effect.void
      }
    })
  )

// An `Authenticator` knows the users. Of these two one is kept as PostgreSQL keeps it, so that nobody has the password here.
const users = Postgres.layerUsers([
  { user: "ann", password: Redacted.make("correct horse") },
  {
    user: "bob",
    stored: Redacted.make(
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
  }
])

const Database = Server.layer({
  handshake: Postgres.server({
    tls: { certificate: Certificates.server },
    requireTls: true,
    databases: ["shop"],
    parameters: { server_version: "18.0" }
  }),
  serve,
  maxConnections: 100
}).pipe(
  Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
  Layer.provide(users),
  Layer.provide(NodeCrypto.layer)
)

const program = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const port = address._tag === "UnixPathAddress" ? 0 : address.port

  /** Logs in with `pg`, asks, and leaves; tells the answer, or the code and the words of the refusal. */
  const ask = (config: Pg.ClientConfig) =>
    Effect.promise(async () => {
      const client = new Pg.Client({ host: "127.0.0.1", port, database: "shop", ...config })
      try {
        await client.connect()
        const { rows } = await client.query<{ readonly who_am_i: string }>("select who_am_i()")
        return rows[0].who_am_i
      } catch (error) {
        return error instanceof Pg.DatabaseError ? `${error.code} ${error.message}` : String(error)
      } finally {
        await client.end()
      }
    })
  const ssl = { ca: Certificates.root, servername: "localhost" }

  console.log(yield* ask({ ssl, user: "ann", password: "correct horse" }))
  // => ann, by scram-sha-256, TLSv1.3
  console.log(yield* ask({ ssl, user: "bob", password: "pencil" }))
  // => bob, by scram-sha-256, TLSv1.3

  // Nobody can tell a wrong password from a user who is not there.
  console.log(yield* ask({ ssl, user: "ann", password: "a guess" }))
  // => 28P01 password authentication failed for user "ann"
  console.log(yield* ask({ ssl, user: "eve", password: "a guess" }))
  // => 28P01 password authentication failed for user "eve"

  console.log(yield* ask({ ssl, user: "ann", password: "correct horse", database: "bank" }))
  // => 3D000 database "bank" does not exist
  console.log(yield* ask({ user: "ann", password: "correct horse" }))
  // => 28000 this server takes encrypted connections only
})

await Effect.runPromise(Effect.provide(program, Database))
