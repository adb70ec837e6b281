/**
 * This package's server and client say what is written down, by every method. PostgreSQL itself is held to it in `test/peers`.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as SocketServer from "effect/socket/SocketServer"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as Net from "../../../src/node/Net.ts"
import * as Postgres from "../../../src/protocols/Postgres.ts"
import * as Server from "../../../src/Server.ts"
import * as Certificates from "../../support/certificates/index.ts"
import { recording } from "../../support/recording.ts"

const users = (method: Postgres.Method) =>
  method === "trust" ? Postgres.layerTrust : Postgres.layerUsers(
    [{ user: "ann", password: Redacted.make("correct horse") }],
    { method }
  )

/** What is said when this client logs in at this server. */
const said = Effect.fnUntraced(
  function*(method: Postgres.Method, password: string, options?: { readonly tls: boolean }) {
    const { address } = yield* Effect.provideServiceEffect(
      Server.make({
        handshake: Postgres.server({ tls: { certificate: Certificates.server } }),
        serve: (transport) => Effect.ignore(transport.receive)
      }),
      SocketServer.SocketServer,
      Net.makeServer({ host: "127.0.0.1", port: 0 })
    ).pipe(Effect.provide(users(method)))
    if (!("port" in address)) return yield* Effect.die("it listens on a port")
    const recorded = yield* recording({ host: "127.0.0.1", port: address.port })
    const client = Postgres.client({
      user: "ann",
      password: Redacted.make(password),
      database: "shop",
      host: "localhost",
      ca: Certificates.root,
      ...options?.tls === true ? { sslmode: "verify-full" } : { sslmode: "disable", requireAuth: [method] }
    })
    const exit = yield* Effect.exit(
      Effect.scoped(Effect.provide(client, Net.layerSocket({ host: "127.0.0.1", port: recorded.port })))
    )
    const { end, said } = Dialogue.follow(Postgres.StartUp, recorded.said())
    return { isReady: Exit.isSuccess(exit), end, said: said.map(({ message, state }) => `${state}: ${message}`) }
  },
  Effect.provide(NodeCrypto.layer)
)

describe("our server and our client", () => {
  it.live.each(["trust", "password", "md5", "scram-sha-256"] as const)(
    "say what is written down, by %s",
    (method) =>
      Effect.gen(function*() {
        const { end, isReady, said: all } = yield* said(method, "correct horse")
        expect(isReady).toBe(true)
        expect(end).toMatchObject({ _tag: "Ready" })
        expect(all.at(-1)).toBe("session: ReadyForQuery")
      })
  )

  it.live.each(["password", "md5", "scram-sha-256"] as const)(
    "refuse as it is written down, by %s",
    (method) =>
      Effect.gen(function*() {
        const { end, isReady } = yield* said(method, "battery staple")
        expect(isReady).toBe(false)
        expect(end).toMatchObject({
          _tag: "Refused",
          by: "server",
          message: "ErrorResponse",
          fields: { code: "28P01" }
        })
      })
  )

  it.live("begin TLS where it is written down", () =>
    Effect.gen(function*() {
      const { end, isReady, said: all } = yield* said("scram-sha-256", "correct horse", { tls: true })
      expect(isReady).toBe(true)
      expect(all).toEqual(["clear: SSLRequest", "tls: Secure"])
      expect(end).toMatchObject({ state: "encrypted" })
    }))
})
