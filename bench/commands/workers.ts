/**
 * One process against two that share the connections.
 *
 * The load needs a core as well. Where there are only two, it takes from the workers what it uses, so that the echo shows
 * less than two cores would give. Requests that keep a worker busy cost the load next to nothing, and show that.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { cpus } from "node:os"
import * as Linebench from "../linebench.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Process from "../process.ts"
import * as Report from "../report.ts"
import * as Rounds from "../rounds.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"

/** How many workers one process is compared with. */
const many = 2

/** The ratio that they are to reach on cores of their own. */
const goal = 1.5

interface Case {
  readonly title: string
  readonly unit: string
  readonly args: ReadonlyArray<string>
  /** linebench's name of the figure. */
  readonly figure: string
  /** And of how often it was done. */
  readonly count: string
  /** For `servers/ours.ts`. */
  readonly options: ReadonlyArray<string>
}

const requests = (title: string, depth: number, ...options: ReadonlyArray<string>): Case => ({
  title,
  unit: "requests/s",
  args: ["pipeline", "-c", "64", "-d", `${depth}`, "-l", "16"],
  figure: "rps",
  count: "requests",
  options
})

const connections = (title: string, ...options: ReadonlyArray<string>): Case => ({
  title,
  unit: "connections/s",
  args: ["handshake", "-c", "64", "-l", "16"],
  figure: "hps",
  count: "handshakes",
  options
})

const cases: ReadonlyArray<Case> = [
  requests("64 connections, 1 in flight, about 50 µs of work for each", 1, "--work", "25000"),
  requests("64 connections, 32 in flight, about 50 µs of work for each", 32, "--work", "25000"),
  requests("64 connections, 1 in flight", 1),
  requests("64 connections, 32 in flight", 32),
  connections("connect, handshake, one request, close"),
  connections("the same, with a socket that the workers share", "--balance", "shared")
]

/** All cores but that of the load; all of them where that would leave less than the workers need. */
export const coresFor = (workers: number, available: number, loadCore: number): ReadonlyArray<number> => {
  const all = Array.from({ length: available }, (_, core) => core)
  const free = all.filter((core) => core !== loadCore)
  return free.length >= workers ? free : all
}

/** The processor time of a process and its children in seconds, from the fields 14 and 15 of Linux's `stat`. */
export const cpuSeconds = (pid: number): number => {
  const read = (path: string) => readFileSync(`/proc/${pid}/${path}`, "utf8")
  // The name, in parentheses, may have spaces in it. A tick is 10 ms wherever Node runs.
  const fields = read("stat").replace(/^.*\) /s, "").split(" ")
  const children = read(`task/${pid}/children`).trim().split(" ").filter((child) => child !== "").map(Number)
  return (Number(fields[11]) + Number(fields[12])) / 100 + children.reduce((sum, child) => sum + cpuSeconds(child), 0)
}

/** Measures, and tells what all processes of the server have used for each request. */
const measure = (plan: Plan.Plan, server: Servers.Server, { args, count }: Case) =>
  Effect.gen(function*() {
    const before = cpuSeconds(server.pid)
    // Without a warm-up, for its requests are in the processor time and not in the count.
    const figures = yield* Linebench.measure(server, ...args, "-s", `${plan.seconds}`, "-w", "0")
    const measured: Linebench.Figures = {
      ...figures,
      cpu_us: (cpuSeconds(server.pid) - before) * 1e6 / figures[count]
    }
    return measured
  })

const one = "1 process"
const two = `${many} workers`

export const workers = Effect.fnUntraced(function*(plan: Plan.Plan) {
  yield* Linebench.build
  const cores = coresFor(many, cpus().length, Process.loadCore)
  const shared = cores.includes(Process.loadCore)
  const outcomes = yield* Effect.forEach(cases, (test) =>
    Effect.scoped(Effect.gen(function*() {
      // Both may use the same cores, so that only the number of processes differs.
      const start = (count: number) =>
        Servers.start({ ...Servers.ours("--workers", `${count}`, ...test.options), cores: cores.join(",") })
      const [alone, together] = [yield* start(1), yield* start(many)]
      for (const server of [alone, together]) yield* Plan.warmUp(plan, server, ...test.args)
      return yield* Rounds.interleaved(test.title, plan.rounds, [
        [one, measure(plan, alone, test)],
        [two, measure(plan, together, test)]
      ])
    })))

  const measured = cases.map((test, at) => {
    const column = (name: string, figure: string) => Rounds.column(outcomes[at].get(name), (figures) => figures[figure])
    return {
      test,
      rounds: Object.fromEntries(outcomes[at]),
      one: Stats.summarize(column(one, test.figure)),
      two: Stats.summarize(column(two, test.figure)),
      ratio: Stats.summarize(Stats.paired(column(two, test.figure), column(one, test.figure))),
      cpu: Stats.summarize(Stats.paired(column(two, "cpu_us"), column(one, "cpu_us"))),
      load: Stats.summarize(column(two, "client_util"))
    }
  })
  const markdown = [
    Report.table(
      ["", one, two, "ratio", "CPU ratio", "load"],
      measured.map(({ cpu, load, one, ratio, test, two }) => [
        `${test.title}: ${test.unit}`,
        Report.spread(one),
        Report.spread(two),
        Report.spread(ratio, Report.ratio),
        Report.spread(cpu, Report.ratio),
        load === undefined ? "" : Report.ratio(load.median)
      ])
    ),
    ...outcomes.flatMap(Rounds.failures)
  ].join("\n\n")
  const title = "One process against two workers"
  const where = shared
    ? `There are ${cores.length} cores for the workers **and** the load, which takes from them what it needs, so that the ` +
      "ratio is what it leaves. The requests with some work to do leave it little to do; what two free cores can give the " +
      "others, the CPU ratio tells."
    : `The servers were on cores ${cores.join(", ")}, the load on core ${Process.loadCore}.`
  const reading =
    "Median (least..greatest) of the rounds. A ratio is that of the same round; on two free cores it is to be " +
    `at least ${goal}. The CPU ratio is that of the processor time for each request, of all processes of the server: ` +
    "2 divided by it is the most that two cores can give. The load is what the load generator took of a core beside the " +
    `workers. ${where}`
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${reading}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "workers",
    title,
    markdown: `${reading}\n\n${markdown}`,
    data: measured,
    svg: Plot.page(title, Plan.note(plan), [
      Plot.dots({
        title: "Throughput with two workers: more is better",
        axis: "ratio to one process in the same round: median, least and greatest",
        reference: 1,
        format: Report.ratio,
        groups: measured.map(({ ratio, rounds, test }) => ({
          label: `${test.title} (${test.unit})`,
          dots: [{ label: two, series: 0, value: ratio, absent: Rounds.failed(rounds[two] ?? []).slice(0, 80) }]
        }))
      })
    ])
  })
})
