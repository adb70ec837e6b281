/**
 * Memory and requests against the number of connections.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as Linebench from "../linebench.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Report from "../report.ts"
import * as Rounds from "../rounds.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"

/** How many files a process may have open; linebench and Node take all that they may. */
const openFiles = (): number => {
  const limit = Number(spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout)
  return Number.isNaN(limit) ? Infinity : limit // or "unlimited"
}

export const connections = Effect.fnUntraced(function*(plan: Plan.Plan) {
  yield* Linebench.build
  const specs = Servers.all.filter(({ name }) => name === Servers.base || name === "ours")
  const wanted = [1, 10, 100, 1000, ...plan.quick ? [] : [5000, 10_000, 20_000]]
  const allowed = openFiles()
  // A process has some other files open. Where fewer than wanted may be, it is as many thousands as may.
  const most = Math.floor((allowed - 100) / 1000) * 1000
  const fewer = wanted.filter((count) => count + 100 <= allowed)
  const isLess = fewer.length < wanted.length
  const counts = isLess && most > fewer.at(-1)! ? [...fewer, most] : fewer
  const left = isLess
    ? [`More connections than ${counts.at(-1)} were not measured: only ${allowed} files may be open here (ulimit -Hn).`]
    : []

  const requests = yield* Effect.scoped(Effect.gen(function*() {
    const servers = yield* Effect.forEach(specs, Servers.start)
    for (const server of servers) yield* Plan.warmUp(plan, server, "pipeline", "-c", "64")
    return yield* Effect.forEach(counts, (count) =>
      Rounds.interleaved(
        `requests on ${count} connections`,
        plan.rounds,
        servers.map((server) => [
          server.name,
          Linebench.measure(server, "pipeline", "-c", `${count}`, ...Plan.timed(plan))
        ])
      ))
  }))
  // A fresh server each time, for a process seldom gives memory back.
  const memory = yield* Effect.forEach(counts, (count) =>
    Rounds.interleaved(
      `${count} idle connections`,
      Math.min(plan.rounds, 3),
      specs.map((spec) => [
        spec.name,
        Effect.scoped(
          Effect.flatMap(Servers.start(spec), (server) =>
            Linebench.measure(server, "idle", "-n", `${count}`, "-s", plan.quick ? "0.3" : "1"))
        )
      ])
    ))

  const cell = (
    outcomes: ReadonlyArray<Rounds.Outcomes<Linebench.Figures>>,
    at: number,
    server: string,
    figure: (figures: Linebench.Figures) => number
  ) => Stats.summarize(Rounds.column(outcomes[at].get(server), figure))
  const rps = (at: number, server: string) => cell(requests, at, server, (figures) => figures["rps"])
  const resident = (at: number, server: string) => cell(memory, at, server, (figures) => figures["rss_after_kb"] / 1024)
  const opened = (at: number, server: string) => cell(memory, at, server, (figures) => figures["open_cpu_us"])
  // Of those that the row before it has not, in which the process has grown to what it needs for itself.
  const each = (at: number, server: string): number | undefined => {
    const [before, after] = [resident(at - 1, server), resident(at, server)]
    return before && after && (after.median - before.median) * 1024 / (counts[at] - counts[at - 1])
  }

  const figure = (value: number | undefined): string => value === undefined ? "" : Report.number(value)

  const markdown = [
    Report.table(
      [
        "connections",
        ...specs.map(({ name }) => `${name}: requests/s`),
        ...specs.map(({ name }) => `${name}: process MiB`),
        ...specs.map(({ name }) => `${name}: KiB for each more`),
        ...specs.map(({ name }) => `${name}: CPU µs to open one`)
      ],
      counts.map((count, at) => [
        Report.number(count),
        ...specs.map(({ name }) => Report.spread(rps(at, name))),
        ...specs.map(({ name }) => Report.spread(resident(at, name))),
        // For fewer both are chance.
        ...specs.map(({ name }) => count < 1000 ? "" : figure(each(at, name))),
        ...specs.map(({ name }) => count < 1000 ? "" : Report.spread(opened(at, name)))
      ])
    ),
    ...left,
    ...[...requests, ...memory].flatMap(Rounds.failures)
  ].join("\n\n")
  const title = "What connections cost"
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)

  const series = (of: (at: number, server: string) => Stats.Summary | undefined): ReadonlyArray<Plot.Series> =>
    specs.map(({ name }) => ({
      name,
      points: counts.flatMap((count, at) => {
        const y = of(at, name)
        return y === undefined ? [] : [{ x: count, y }]
      })
    }))
  yield* Plan.keep(plan, {
    name: "connections",
    title,
    markdown:
      "One request in flight on each connection; memory is the resident set of the server's process with all of them " +
      `idle. Median (least..greatest) of the rounds.\n\n${markdown}`,
    data: {
      requests: counts.map((count, at) => ({ count, servers: Object.fromEntries(requests[at]) })),
      memory: counts.map((count, at) => ({ count, servers: Object.fromEntries(memory[at]) }))
    },
    svg: Plot.page(title, Plan.note(plan), [
      Plot.lines({
        title: "Requests, one in flight on each connection",
        x: { label: "connections", ticks: counts },
        y: { label: "requests/s" },
        series: series(rps)
      }),
      Plot.lines({
        title: "Memory of the process, its connections idle",
        x: { label: "connections", linear: true },
        y: { label: "MiB resident", linear: true },
        series: series(resident)
      })
    ])
  })
})
