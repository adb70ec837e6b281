/**
 * Connects to PostgreSQL, logs in and closes, again and again, with one of the clients.
 *
 * `postgres-client.ts CLIENT METHOD PORT SECONDS`
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Crypto } from "../../src/protocols/Postgres.ts"
import * as Login from "./login.ts"
import * as Sample from "./sample.ts"

const [client, method, port, seconds] = process.argv.slice(2)

const at = { host: "127.0.0.1", port: Number(port), database: Login.databaseOf(method) }
const { password, user } = Login

/** Each imports what it needs, so that no other client is in its process. */
const clients: Readonly<Record<string, () => Promise<() => Promise<unknown>>>> = {
  ours: async () => {
    const NodeCrypto = await import("@effect/platform-node/NodeCrypto")
    const Client = await import("../../src/Client.ts")
    const Net = await import("../../src/node/Net.ts")
    const Postgres = await import("../../src/protocols/Postgres.ts")
    const handshake = Postgres.client({
      user,
      password: Redacted.make(password),
      database: at.database,
      sslmode: "disable"
    })
    const sockets = [Net.socket(at)] as const
    const once = Effect.scoped(
      Effect.flatMap(
        Client.connect({ handshake, sockets, client: Effect.succeed }),
        (transport) => transport.send({ _tag: "Terminate" })
      )
    )
    const services = await Effect.runPromise(Effect.provide(Effect.context<Crypto>(), NodeCrypto.layer))
    return () => Effect.runPromiseWith(services)(once)
  },
  pg: async () => {
    const { Client } = await import("pg")
    return async () => {
      const client = new Client({ ...at, user, password })
      await client.connect()
      await client.end()
    }
  },
  // It connects when it is asked something, so that this one has a query more; it would also ask for the types of arrays.
  postgres: async () => {
    const { default: postgres } = await import("postgres")
    return async () => {
      const sql = postgres({ ...at, username: user, password, max: 1, fetch_types: false })
      await sql`select 1`
      await sql.end()
    }
  },
  "@effect/sql-pg": async () => {
    const PgConnection = await import("@effect/sql-pg/PgConnection")
    const once = Effect.scoped(PgConnection.make({ ...at, username: user, password: Redacted.make(password) }))
    return () => Effect.runPromise(once)
  }
}

await Sample.serve(Number(seconds), Sample.sideBySide({ work: Sample.repeated(await clients[client]()), atOnce: 4 }))
