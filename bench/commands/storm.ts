/**
 * How long a client in good order waits while others are in none, beside a server that is written by hand on node:net.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Plan from "../plan.ts"
import * as Process from "../process.ts"
import * as Report from "../report.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"
import * as Client from "../storm/client.ts"
import * as Mixes from "../storm/mixes.ts"

/** What the command line says. */
export interface StormPlan {
  /** Of all storms together. */
  readonly seconds: number
  readonly seed: number
  readonly mixes: ReadonlyArray<Mixes.Mix>
}

/**
 * How often each storm comes. Behind the first time a heap is as large as it becomes, and code is compiled: only what leaks
 * grows the second time too.
 */
const rounds = 2

/** How often the good client asks, in milliseconds. */
const interval = 5

/** How long a server may take to let go of those who have gone, in milliseconds. */
const patience = 20_000

const peers = fileURLToPath(new URL("../storm/peers.ts", import.meta.url))

/** What a server holds; one that has ended holds nothing, and that is said. */
const held = ({ name, pid }: Servers.Server): Effect.Effect<Mixes.Held, Process.BenchError> =>
  Effect.try({
    try: () => ({
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      resident: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
    }),
    catch: () => new Process.BenchError({ message: `${name} has ended` })
  })

/** What it holds when its garbage is collected; `leash.ts` does that. */
const heldAfterwards = (server: Servers.Server): Effect.Effect<Mixes.Held, Process.BenchError> =>
  held(server).pipe(
    Effect.tap(() => Effect.sync(() => process.kill(server.pid, "SIGUSR2"))),
    Effect.andThen(Effect.sleep("300 millis")),
    Effect.andThen(held(server))
  )

/** Waits until those who have gone are closed. */
const settled = Effect.fnUntraced(function*(server: Servers.Server, before: Mixes.Held) {
  const until = performance.now() + patience
  while ((yield* held(server)).descriptors > before.descriptors && performance.now() < until) {
    yield* Effect.sleep("50 millis")
  }
})

/** What the good client has waited in the storms of one mix over one server. */
type Waited = Map<string, Array<number>>

const storm = Effect.fnUntraced(function*(
  server: Servers.Server,
  mix: Mixes.Mix,
  seed: number,
  seconds: number,
  waits: Array<number>
) {
  const client = yield* Client.connect(server.port)
  const command = [process.execPath, peers, `${server.port}`, mix, `${seed}`]
  yield* Process.start(Process.loadCore, command)
  const until = performance.now() + 1000 * seconds
  for (let asked = 0; performance.now() < until; asked++) {
    waits.push(yield* client.ask(`${mix} ${asked}`))
    yield* Effect.sleep(interval)
  }
}, Effect.scoped)

const millis = (value: number): string => Report.number(Math.round(10 * value) / 10)

/** Prints the tables; returns what has leaked or hung. */
export const run = Effect.fnUntraced(function*(plan: StormPlan) {
  const specs = Servers.all.filter(({ name }) => name === Servers.base || name === "ours").toReversed()
  const seconds = plan.seconds / (plan.mixes.length * specs.length * rounds)
  const problems: Array<string> = []
  const waited = new Map<Mixes.Mix, Waited>(
    plan.mixes.map((mix) => [mix, new Map(specs.map(({ name }) => [name, []]))])
  )
  // At the beginning, and behind each round.
  const kept = new Map<string, Array<Mixes.Held>>(specs.map(({ name }) => [name, []]))

  yield* Effect.scoped(Effect.gen(function*() {
    const servers = yield* Effect.forEach(specs, Servers.start, { concurrency: "unbounded" })
    const look = Effect.forEach(
      servers,
      (server) => Effect.map(heldAfterwards(server), (held) => kept.get(server.name)?.push(held)),
      { concurrency: "unbounded", discard: true }
    )
    // What a first connection makes is there to stay.
    for (const { port } of servers) yield* Effect.scoped(Client.connect(port))
    yield* look
    for (let round = 0; round < rounds; round++) {
      for (const [turn, mix] of plan.mixes.entries()) {
        for (const server of Stats.rotated(servers, round + turn)) {
          yield* Plan.progress(`${mix} over ${server.name}, round ${round + 1} of ${rounds}`)
          const waits = waited.get(mix)!.get(server.name)! // each has its entry
          const result = yield* Effect.result(storm(server, mix, plan.seed + round, seconds, waits))
          if (Result.isFailure(result)) problems.push(`${server.name}, ${mix}: ${result.failure.message}`)
          yield* settled(server, kept.get(server.name)![0])
        }
      }
      yield* look
    }
  }))
  for (const [name, held] of kept) {
    const leak = Mixes.leakOf(held)
    if (leak !== undefined) problems.push(`${name}: ${leak}`)
  }

  yield* Console.log([
    Report.settingMarkdown(Report.setting("storm")),
    `Seed ${plan.seed}, each storm ${rounds} times for ${
      Report.number(seconds)
    } s; a client in good order asks every ` +
    `${interval} ms, and has waited so many milliseconds:`,
    Report.table(
      ["", ...specs.flatMap(({ name }) => [`${name}: answers`, "99 % within", "greatest"])],
      plan.mixes.map((mix) => [
        mix,
        ...specs.flatMap(({ name }) => {
          const { answers, greatest, p99 } = Mixes.summarize(waited.get(mix)?.get(name) ?? [])
          return [Report.number(answers), millis(p99), millis(greatest)]
        })
      ])
    ),
    Report.table(
      ["", "descriptors: at first", "then", "at last", "MiB resident: at first", "then", "at last"],
      [...kept].map(([name, held]) => [
        name,
        ...held.map(({ descriptors }) => `${descriptors}`),
        ...held.map(({ resident }) => millis(resident / 1024))
      ])
    ),
    ...problems.map((problem) => `- ${problem}`)
  ].join("\n\n"))
  return problems
})
