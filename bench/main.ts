/**
 * `npm run bench`: what the library costs, next to hand-written code.
 */
import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import { resolve } from "node:path"
import { run, saying } from "./command.ts"
import { admission } from "./commands/admission.ts"
import { check } from "./commands/check.ts"
import { codecs } from "./commands/codecs.ts"
import { compare } from "./commands/compare.ts"
import { connections } from "./commands/connections.ts"
import { features } from "./commands/features.ts"
import { frames } from "./commands/frames.ts"
import { inFlight } from "./commands/in-flight.ts"
import { protocols } from "./commands/protocols.ts"
import { workers } from "./commands/workers.ts"
import type { Plan } from "./plan.ts"
import type { BenchError } from "./process.ts"
import * as Report from "./report.ts"

const names = (flag: string, description: string) =>
  Flag.String(flag).pipe(
    Flag.withMetavar("a,b"),
    Flag.withDescription(description),
    Flag.map((text) => text.split(",").map((name) => name.trim()).filter((name) => name !== "")),
    Flag.withDefault([])
  )

const shared = {
  rounds: Flag.Int("rounds").pipe(
    Flag.withDescription("How often each thing is measured (default 5, quick 3)"),
    Flag.filter((n) => n >= 1, (n) => `at least 1, not ${n}`),
    Flag.optional
  ),
  seconds: Flag.Finite("seconds").pipe(
    Flag.withDescription("How long each measurement takes (default 1, quick 0.3)"),
    Flag.filter((n) => n > 0 && n <= 60, (n) => `more than 0 and at most 60, not ${n}`),
    Flag.optional
  ),
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Fewer, shorter and smaller measurements"),
    Flag.withDefault(false)
  ),
  out: Flag.Path("out", { typeName: "directory" }).pipe(
    Flag.withDescription("Where the results are written (default bench/results)"),
    Flag.withDefault(Report.results)
  )
}

const root = Command.make("bench", {
  tests: names("tests", "Only these tests"),
  servers: names("servers", "Only these servers, and raw-node"),
  peers: Flag.KeyValuePair("peer").pipe(
    Flag.withMetavar("name=command"),
    Flag.withDescription("A further server; it gets 0 as its last argument and has to print `listening PORT`"),
    Flag.withDefault({})
  )
}).pipe(Command.withSharedFlags(shared))

const planOf = (
  { out, quick, rounds, seconds }: {
    readonly out: string
    readonly quick: boolean
    readonly rounds: Option.Option<number>
    readonly seconds: Option.Option<number>
  }
): Plan => ({
  rounds: Option.getOrElse(rounds, () => quick ? 3 : 5),
  seconds: Option.getOrElse(seconds, () => quick ? 0.3 : 1),
  quick,
  out: resolve(out),
  setting: Report.setting()
})

const command = (name: string, description: string, measure: (plan: Plan) => Effect.Effect<void, BenchError>) =>
  Command.make(name, {}, () => Effect.flatMap(root, (input) => saying(measure(planOf(input))))).pipe(
    Command.withDescription(description)
  )

root.pipe(
  Command.withHandler((input) =>
    saying(compare(planOf(input), {
      tests: input.tests,
      servers: input.servers,
      peers: Record.toEntries(input.peers).map(([name, text]) => ({
        name,
        what: text,
        command: text.trim().split(/\s+/)
      }))
    }))
  ),
  Command.withDescription("Our server against hand-written ones: the ratios to raw-node"),
  Command.withSubcommands([
    command("admission", "What somebody who is denied costs, next to a handshake", admission),
    Command.make(
      "check",
      {
        write: Flag.Boolean("write").pipe(
          Flag.withDescription("Writes what is counted into bench/budget.json"),
          Flag.withDefault(false)
        )
      },
      (options) => saying(check(options))
    ).pipe(Command.withDescription("Counts that depend on no machine, held to bench/budget.json")),
    command("codecs", "How fast each codec decodes and encodes", codecs),
    command("features", "What each feature adds to a connection and to a request", features),
    command("frames", "The cost of a byte against the length of a frame and the size of its pieces", frames),
    command("connections", "Memory and requests against the number of connections", connections),
    command(
      "in-flight",
      "Requests against the number in flight, with a handler that is ready and one that sleeps",
      inFlight
    ),
    Command.make(
      "protocols",
      { rows: names("rows", "Only these rows") },
      ({ rows }) => Effect.flatMap(root, (input) => saying(protocols(planOf(input), rows)))
    ).pipe(Command.withDescription("The protocols next to what one would take instead")),
    command("workers", "One process against two that share the connections", workers)
  ]),
  run
)
