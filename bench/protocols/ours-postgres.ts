/**
 * A PostgreSQL server that lets `bench` in, with everything on that is on by default. Nothing is asked of it behind the start-up.
 *
 * `ours-postgres.ts METHOD PORT`
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Net from "../../src/node/Net.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Server from "../../src/Server.ts"
import { listening } from "../servers/listening.ts"
import * as Login from "./login.ts"

const [method, port] = process.argv.slice(2)

const users = method === "trust"
  ? Postgres.layerTrust
  : Postgres.layerUsers([{ user: Login.user, password: Redacted.make(Login.password) }])

const server = Server.layer({
  handshake: Postgres.server(),
  serve: (transport) => Stream.runDrain(Stream.takeUntil(transport.incoming, ({ _tag }) => _tag === "Terminate"))
}).pipe(
  Layer.provide(Net.layerServer({ host: "127.0.0.1", port: Number(port) })),
  Layer.provide(users),
  Layer.provide(NodeCrypto.layer)
)

Effect.gen(function*() {
  const { address } = yield* Server.Server
  yield* listening(address)
  return yield* Effect.never
}).pipe(Effect.provide(server), NodeRuntime.runMain)
