/**
 * The line protocol inside TLS, with everything on that is on by default.
 *
 * `ours-tls.ts PORT`
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Net from "../../src/node/Net.ts"
import * as NodeTls from "../../src/node/Tls.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Server from "../../src/Server.ts"
import { listening } from "../servers/listening.ts"
import * as Certificate from "./certificate.ts"

const server = Server.layer({
  handshake: Line.make({ maxLength: 1024 * 1024 }).server.pipe(Tls.server({ certificate: Certificate.redacted })),
  serve: Pipeline.serve((line) => Effect.succeed(line))
}).pipe(
  Layer.provide([Net.layerServer({ host: "127.0.0.1", port: Number(process.argv[2]) }), NodeTls.layer])
)

Effect.gen(function*() {
  const { address } = yield* Server.Server
  yield* listening(address)
  return yield* Effect.never
}).pipe(Effect.provide(server), NodeRuntime.runMain)
