/**
 * The library, as a user would write it, with everything on that is on by default: deadline, caps, metrics, events. Only
 * the length of a line is raised, for linebench sends lines of 3 MiB.
 *
 * `ours.ts PORT [--max-in-flight N] [--sleep MS]`
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { parseArgs } from "node:util"
import * as Net from "../../src/node/Net.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import { listening } from "./listening.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { "max-in-flight": { type: "string" }, sleep: { type: "string" } }
})
const maxInFlight = Number(values["max-in-flight"] ?? Pipeline.defaultMaxInFlight)
const sleep = Number(values.sleep ?? 0)

const handle: (line: string) => Effect.Effect<string> = sleep === 0
  ? (line) => Effect.succeed(line)
  : (line) => Effect.delay(Effect.succeed(line), sleep)

const server = Server.layer({
  protocol: Line.make({ maxLength: 4 * 1024 * 1024 }),
  serve: Pipeline.serve(handle, { maxInFlight })
}).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: Number(positionals[0]) })))

const program = Effect.gen(function*() {
  const { address } = yield* Server.Server
  yield* listening(address)
  return yield* Effect.never
}).pipe(Effect.provide(server))

NodeRuntime.runMain(program)
