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

/** How often the good client asks, in milliseconds. */
const interval = 5

/** How long a server may take to let go of those who have gone, in milliseconds. */
const patience = 20_000

const peers = fileURLToPath(new URL("../storm/peers.ts", import.meta.url))

const held = (pid: number): Mixes.Held => ({
  descriptors: readdirSync(`/proc/${pid}/fd`).length,
  resident: Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])
})

/** What it holds when its garbage is collected; `leash.ts` does that. */
const heldAfterwards = ({ pid }: Servers.Server): Effect.Effect<Mixes.Held> =>
  Effect.andThen(
    Effect.sync(() => process.kill(pid, "SIGUSR2")),
    Effect.map(Effect.sleep("300 millis"), () => held(pid))
  )

/** Waits until those who have gone are closed. */
const settled = Effect.fnUntraced(function*({ pid }: Servers.Server, before: Mixes.Held) {
  const until = performance.now() + patience
  while (held(pid).descriptors > before.descriptors && performance.now() < until) yield* Effect.sleep("50 millis")
})

/** One storm over one server: what the good client has waited, and why it has stopped before the end, if it has. */
interface Storm {
  readonly waits: Mixes.Waits
  readonly problem: string | undefined
}

const storm = Effect.fnUntraced(function*(server: Servers.Server, mix: Mixes.Mix, plan: StormPlan, seconds: number) {
  const waits: Array<number> = []
  const result = yield* Effect.result(Effect.scoped(Effect.gen(function*() {
    const client = yield* Client.connect(server.port)
    const command = [process.execPath, peers, `${server.port}`, mix, `${plan.seed}`]
    const { says } = yield* Process.start(Process.loadCore, command)
    // A good client may have waited for long already when all of them have begun.
    yield* Effect.forkScoped(Effect.ignore(says(/storming/)))
    const until = performance.now() + 1000 * seconds
    for (let asked = 0; performance.now() < until; asked++) {
      waits.push(yield* client.ask(`${mix} ${asked}`))
      yield* Effect.sleep(interval)
    }
  })))
  return { waits: Mixes.summarize(waits), problem: Result.isFailure(result) ? result.failure.message : undefined }
})

const millis = (value: number): string => Report.number(Math.round(10 * value) / 10)

/** Prints the tables; returns what has leaked or hung. */
export const run = Effect.fnUntraced(function*(plan: StormPlan) {
  const specs = Servers.all.filter(({ name }) => name === Servers.base || name === "ours").toReversed()
  const seconds = plan.seconds / (plan.mixes.length * specs.length)
  const problems: Array<string> = []

  const [storms, kept] = yield* Effect.scoped(Effect.gen(function*() {
    const servers = yield* Effect.forEach(specs, Servers.start)
    // What a first connection makes is there to stay.
    for (const { port } of servers) yield* Effect.scoped(Client.connect(port))
    const before = new Map<string, Mixes.Held>()
    for (const server of servers) before.set(server.name, yield* heldAfterwards(server))
    const storms = new Map<Mixes.Mix, Map<string, Storm>>()
    for (const [turn, mix] of plan.mixes.entries()) {
      const row = new Map<string, Storm>()
      storms.set(mix, row)
      for (const server of Stats.rotated(servers, turn)) {
        yield* Plan.progress(`${mix} over ${server.name}`)
        const outcome = yield* storm(server, mix, plan, seconds)
        row.set(server.name, outcome)
        if (outcome.problem !== undefined) problems.push(`${server.name}, ${mix}: ${outcome.problem}`)
        yield* settled(server, before.get(server.name)!) // each has its entry
      }
    }
    const kept = new Map<string, readonly [before: Mixes.Held, after: Mixes.Held]>()
    for (const server of servers) {
      const pair = [before.get(server.name)!, yield* heldAfterwards(server)] as const // each has its entry
      kept.set(server.name, pair)
      const leak = Mixes.leakOf(...pair)
      if (leak !== undefined) problems.push(`${server.name}: ${leak}`)
    }
    return [storms, kept] as const
  }))

  yield* Console.log([
    Report.settingMarkdown(Report.setting("storm")),
    `Seed ${plan.seed}, ${
      Report.number(seconds)
    } s for each storm; a client in good order asks every ${interval} ms, and has ` +
    "waited so many milliseconds:",
    Report.table(
      ["", ...specs.flatMap(({ name }) => [`${name}: answers`, "99 % within", "greatest"])],
      plan.mixes.map((mix) => [
        mix,
        ...specs.flatMap(({ name }) => {
          const waits = storms.get(mix)?.get(name)?.waits
          return waits === undefined ? [] : [Report.number(waits.answers), millis(waits.p99), millis(waits.greatest)]
        })
      ])
    ),
    Report.table(
      ["", "descriptors before", "after", "MiB resident before", "after"],
      [...kept].map(([name, [before, after]]) => [
        name,
        `${before.descriptors}`,
        `${after.descriptors}`,
        millis(before.resident / 1024),
        millis(after.resident / 1024)
      ])
    ),
    ...problems.map((problem) => `- ${problem}`)
  ].join("\n\n"))
  return problems
})
