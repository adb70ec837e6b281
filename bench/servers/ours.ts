/**
 * The library, as a user would write it, with everything on that is on by default: deadline, caps, metrics, events. Only
 * two of the caps are raised: linebench sends lines of 3 MiB, and opens 20,000 connections.
 *
 * `ours.ts PORT [--max-in-flight N] [--sleep MS] [--work ROUNDS] [--workers N] [--balance even|shared]`
 *
 * `--work` is how much each request computes, 25,000 rounds for about 50 µs, `--workers` how many processes serve, and
 * `--balance` who of them gets a connection.
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
  options: {
    "max-in-flight": { type: "string" },
    sleep: { type: "string" },
    work: { type: "string" },
    workers: { type: "string" },
    balance: { type: "string" }
  }
})
const maxInFlight = Number(values["max-in-flight"] ?? Pipeline.defaultMaxInFlight)
const sleep = Number(values.sleep ?? 0)

const work = Number(values.work ?? 0)
const workers = Number(values.workers ?? 1)
const balance = values.balance === "shared" ? values.balance : "even"

/** So much work, and not so much time: what is taken from this process meanwhile does not count as done. */
const compute = (rounds: number): number => {
  let x = 1
  for (let round = 0; round < rounds; round++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
  }
  return x
}

const handle: (line: string) => Effect.Effect<string> = sleep > 0
  ? (line) => Effect.delay(Effect.succeed(line), sleep)
  : work > 0
  ? (line) =>
    Effect.sync(() => {
      // Never 0: what it has computed is used, so that the compiler leaves it in.
      return compute(work) === 0 ? "" : line
    })
  : (line) => Effect.succeed(line)

const at = { host: "127.0.0.1", port: Number(positionals[0]) }

const server = Server.layer({
  protocol: Line.make({ maxLength: 4 * 1024 * 1024 }),
  serve: Pipeline.serve(handle, { maxInFlight }),
  maxConnections: 32_768
})

const alone = Effect.gen(function*() {
  const { address } = yield* Server.Server
  yield* listening(address)
  return yield* Effect.never
}).pipe(Effect.provide(Layer.provide(server, Net.layerServer(at))))

const withWorkers = Effect.gen(function*() {
  const Workers = yield* Effect.promise(() => import("../../src/node/Workers.ts"))
  if (Workers.worker !== undefined) {
    return yield* Layer.launch(Layer.provide(server, Workers.layerServer(at)))
  }
  const running = yield* Workers.make({ workers, balance })
  yield* listening(running.address)
  return yield* running.awaitDrained
}).pipe(Effect.scoped)

NodeRuntime.runMain(workers > 1 ? withWorkers : alone)
