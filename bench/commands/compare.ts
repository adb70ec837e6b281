/**
 * Our server against hand-written ones: the table of ratios to raw-node.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Linebench from "../linebench.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import { BenchError } from "../process.ts"
import * as Report from "../report.ts"
import * as Rounds from "../rounds.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"
import * as Tokio from "../tokio.ts"

/** One thing that is measured. */
export interface Test {
  readonly id: string
  readonly title: string
  /** For linebench. */
  readonly args: ReadonlyArray<string>
  /** Takes a time and a warm-up. Otherwise every round is a fresh server, for memory never shrinks again. */
  readonly timed: boolean
  /** linebench's name of the main figure, and what it is in. */
  readonly figure: string
  readonly unit: string
  readonly higherIsBetter: boolean
  /** The server's CPU time for what is done once. */
  readonly cpu?: { readonly figure: string; readonly unit: string }
  /** The ratio to raw-node that this library is to reach. */
  readonly goal: number
  /** Runs only where it is asked for. */
  readonly extra?: boolean
}

const perRequest = { figure: "cpu_us_per_req", unit: "µs/request" }
const perByte = { figure: "cpu_ns_per_byte", unit: "ns/byte" }

const pipeline = (id: string, title: string, goal: number, ...args: ReadonlyArray<string>): Test => ({
  id,
  title,
  args: ["pipeline", ...args],
  timed: true,
  figure: "rps",
  unit: "requests/s",
  higherIsBetter: true,
  cpu: perRequest,
  goal
})

const bulk = (id: string, title: string, ...args: ReadonlyArray<string>): Test => ({
  id,
  title,
  args: ["bulk", "-c", "1", ...args],
  timed: true,
  figure: "mbps",
  unit: "MB/s",
  higherIsBetter: true,
  cpu: perByte,
  goal: 1
})

const idle = (id: string, title: string, figure: string, ...args: ReadonlyArray<string>): Test => ({
  id,
  title,
  args: ["idle", ...args],
  timed: false,
  figure,
  unit: "bytes/connection",
  higherIsBetter: false,
  goal: 2
})

export const tests: ReadonlyArray<Test> = [
  pipeline("64x1", "64 connections, 1 in flight", 1, "-c", "64", "-d", "1", "-l", "16"),
  pipeline("64x32", "64 connections, 32 in flight", 1, "-c", "64", "-d", "32", "-l", "16"),
  pipeline("64x32-1k", "64 connections, 32 in flight, 1 KiB lines", 1, "-c", "64", "-d", "32", "-l", "1024"),
  {
    id: "connect",
    title: "connect, handshake, one request, close",
    args: ["handshake", "-c", "64", "-l", "16"],
    timed: true,
    figure: "hps",
    unit: "connections/s",
    higherIsBetter: true,
    cpu: { figure: "cpu_us_per_req", unit: "µs/connection" },
    goal: 0.9
  },
  bulk("bulk-64k", "one connection, 64 KiB lines", "-d", "16", "-l", "65536"),
  bulk("bulk-1m", "one connection, 1 MiB lines", "-d", "4", "-l", "1048576"),
  idle("idle", "memory of each of the first 5,000 idle connections", "bytes_per_conn", "-n", "5000"),
  idle("idle-more", "memory of each of 5,000 more", "marginal_bytes_per_conn", "-n", "10000"),
  {
    ...idle("idle-gc", "memory of each of the first 5,000, garbage collected", "bytes_per_conn", "-n", "5000", "--gc"),
    extra: true
  },
  { ...pipeline("1x1", "1 connection, 1 in flight", 1, "-c", "1", "-d", "1", "-l", "16"), extra: true },
  { ...pipeline("1x256", "1 connection, 256 in flight", 1, "-c", "1", "-d", "256", "-l", "16"), extra: true }
]

/** What one server has done in one test. */
export interface Row {
  readonly server: string
  readonly rounds: ReadonlyArray<Rounds.Outcome<Linebench.Figures>>
  readonly value: Stats.Summary | undefined
  /** To the base server's value of the same round. */
  readonly ratio: Stats.Summary | undefined
  readonly cpu: Stats.Summary | undefined
  readonly cpuRatio: Stats.Summary | undefined
}

export interface Measured {
  readonly test: Test
  readonly rows: ReadonlyArray<Row>
}

/** Puts the rounds of all servers together; the ratios are to `base`. */
export const evaluate = (test: Test, outcomes: Rounds.Outcomes<Linebench.Figures>, base: string): Measured => {
  const column = (server: string, figure: string | undefined) =>
    Rounds.column(outcomes.get(server), (figures) => figure === undefined ? undefined : figures[figure])
  return {
    test,
    rows: Array.from(outcomes, ([server, rounds]) => {
      const value = column(server, test.figure)
      const cpu = column(server, test.cpu?.figure)
      return {
        server,
        rounds,
        value: Stats.summarize(value),
        ratio: Stats.summarize(Stats.paired(value, column(base, test.figure))),
        cpu: Stats.summarize(cpu),
        cpuRatio: Stats.summarize(Stats.paired(cpu, column(base, test.cpu?.figure)))
      }
    })
  }
}

/** Everything about one test. */
export const detail = ({ rows, test }: Measured): string => {
  const median = (row: Row, figure: string) => {
    const summary = Stats.summarize(Rounds.column(row.rounds, (figures) => figures[figure]))
    return summary === undefined ? "" : Report.number(summary.median)
  }
  const columns: ReadonlyArray<readonly [string, (row: Row) => string]> = [
    ["server", (row) => row.server],
    [test.unit, (row) => Report.spread(row.value)],
    ["ratio", (row) => Report.spread(row.ratio, Report.ratio)],
    ...test.cpu === undefined ? [] : [
      [`CPU ${test.cpu.unit}`, (row: Row) => Report.spread(row.cpu)],
      ["CPU ratio", (row: Row) => Report.spread(row.cpuRatio, Report.ratio)]
    ] as const,
    ...test.timed ?
      [
        ["p50 µs", (row: Row) => median(row, "p50_us")],
        ["p99 µs", (row: Row) => median(row, "p99_us")],
        ["server busy", (row: Row) => median(row, "server_util")],
        ["load busy", (row: Row) => median(row, "client_util")]
      ] as const :
      [
        ["process kB", (row: Row) => median(row, "rss_before_kb")],
        ["CPU µs to open one", (row: Row) => median(row, "open_cpu_us")]
      ] as const
  ]
  return [
    `### ${test.id}: ${test.title}`,
    Report.table(columns.map(([head]) => head), rows.map((row) => columns.map(([, cell]) => cell(row)))),
    ...Rounds.failures(new Map(rows.map((row) => [row.server, row.rounds])))
  ].join("\n\n")
}

/** Whether a ratio is what it is to be, in words. */
const judged = (test: Test, ratio: Stats.Summary | undefined): string => {
  const goal = `${test.higherIsBetter ? "≥" : "≤"} ${test.goal}`
  if (ratio === undefined) return goal
  const met = test.higherIsBetter ? ratio.median >= test.goal : ratio.median <= test.goal
  return `${goal} ${met ? "met" : "missed"}`
}

const serversOf = (measured: ReadonlyArray<Measured>): ReadonlyArray<string> => [
  ...new Set(measured.flatMap(({ rows }) => rows.map((row) => row.server)))
]

/** The table of ratios: a test a line, a server a column. */
export const summary = (measured: ReadonlyArray<Measured>, base: string): string => {
  const servers = serversOf(measured)
  return Report.table(
    ["ratio", ...servers, "goal for ours"],
    measured.map(({ rows, test }) => {
      const of = (server: string) => rows.find((row) => row.server === server)
      return [
        `${test.title}: ${test.unit}`,
        ...servers.map((server) => {
          const { ratio, value } = of(server) ?? {}
          if (ratio === undefined || value === undefined) return "failed"
          return server === base ? `1.00 (${Report.number(value.median)})` : Report.spread(ratio, Report.ratio)
        }),
        judged(test, of("ours")?.ratio)
      ]
    })
  )
}

/** The same for the server's CPU time; nothing where no test has any. */
export const cpuSummary = (measured: ReadonlyArray<Measured>, base: string): ReadonlyArray<string> => {
  const servers = serversOf(measured)
  const rows = measured.flatMap(({ rows, test }) =>
    test.cpu === undefined ? [] : [[
      `${test.title}: ${test.cpu.unit}`,
      ...servers.map((server) => {
        const { cpu, cpuRatio } = rows.find((row) => row.server === server) ?? {}
        if (cpuRatio === undefined || cpu === undefined) return "failed"
        return server === base ? `1.00 (${Report.number(cpu.median)})` : Report.spread(cpuRatio, Report.ratio)
      })
    ]]
  )
  return rows.length === 0 ? [] : [Report.table(["CPU ratio", ...servers], rows)]
}

/** The checks that a server has failed; those that it is known to fail do not keep it out. */
interface Verdict {
  readonly spec: Servers.Spec
  readonly failed: ReadonlyArray<string>
  readonly measured: boolean
}

const verify = (spec: Servers.Spec) =>
  Effect.gen(function*() {
    yield* Plan.progress(`verify ${spec.name}`)
    const failed = yield* Effect.scoped(Effect.flatMap(Servers.start(spec), Linebench.verify)).pipe(
      Effect.catchTag("BenchError", ({ message }) => Effect.succeed([message]))
    )
    const measured = failed.every((check) => spec.known?.test(check) === true)
    return { spec, failed, measured } satisfies Verdict
  })

const verdictsMarkdown = (verdicts: ReadonlyArray<Verdict>): string =>
  Report.table(
    ["server", "what it is", "linebench verify"],
    verdicts.map(({ failed, measured, spec }) => [
      spec.name,
      spec.what,
      failed.length === 0
        ? "passed"
        : `${measured ? "known to fail" : "**FAILED, not measured**"}: ${failed.join("; ")}`
    ]),
    { left: 3 }
  )

const measure = (plan: Plan.Plan, test: Test, specs: ReadonlyArray<Servers.Spec>) =>
  Effect.gen(function*() {
    if (!test.timed) {
      const settle = ["-s", plan.quick ? "0.5" : "1.5"]
      return yield* Rounds.interleaved(
        test.id,
        Math.min(plan.rounds, 3),
        specs.map((spec) => [
          spec.name,
          Effect.scoped(
            Effect.flatMap(Servers.start(spec), (server) => Linebench.measure(server, ...test.args, ...settle))
          )
        ])
      )
    }
    const servers = yield* Effect.forEach(specs, Servers.start)
    for (const server of servers) yield* Plan.warmUp(plan, server, ...test.args)
    const turns = Plan.turnsOf(plan)
    const timed = Plan.timed({ ...plan, seconds: plan.seconds / turns })
    return yield* Rounds.interleaved(
      test.id,
      plan.rounds * turns,
      servers.map((server) => [server.name, Linebench.measure(server, ...test.args, ...timed)])
    )
  }).pipe(Effect.scoped, Effect.map((outcomes) => evaluate(test, outcomes, Servers.base)))

const picture = (plan: Plan.Plan, measured: ReadonlyArray<Measured>, title: string): string => {
  const servers = serversOf(measured)
  const panel = (higherIsBetter: boolean, heading: string) => {
    const of = measured.filter(({ test }) => test.higherIsBetter === higherIsBetter)
    return of.length === 0 ? [] : [Plot.dots({
      title: heading,
      axis: `ratio to ${Servers.base} in the same round: median, least and greatest`,
      reference: 1,
      format: Report.ratio,
      groups: of.map(({ rows, test }) => ({
        label: `${test.title} (${test.unit})`,
        dots: rows.map((row) => ({
          label: row.server,
          series: servers.indexOf(row.server),
          value: row.ratio,
          absent: Rounds.failed(row.rounds).slice(0, 80)
        }))
      }))
    })]
  }
  return Plot.page(title, Plan.note(plan), [
    ...panel(true, "Throughput: more is better"),
    ...panel(false, "Memory: less is better")
  ])
}

const ratios = (measured: ReadonlyArray<Measured>): ReadonlyArray<string> => [
  summary(measured, Servers.base),
  ...cpuSummary(measured, Servers.base)
]

const reportOf = (
  plan: Plan.Plan,
  verdicts: ReadonlyArray<Verdict>,
  measured: ReadonlyArray<Measured>
): Report.Report => {
  const title = `The line protocol: ratios to ${Servers.base}`
  return {
    name: "latest",
    title,
    markdown: [
      `Ratios to ${Servers.base} in the same turn: median (least..greatest) of the turns, of which a round has five; in the column of ` +
      `${Servers.base}, its own median. CPU is the server's own time. For memory and CPU less is better.`,
      ...ratios(measured),
      "## Correctness",
      verdictsMarkdown(verdicts),
      "## Details",
      ...measured.map(detail)
    ].join("\n\n"),
    data: {
      verify: verdicts.map(({ failed, measured, spec }) => ({ server: spec.name, failed, measured })),
      tests: measured
    },
    svg: picture(plan, measured, title)
  }
}

/** Chooses by name; the order is that of `all`. */
const choose = <A>(
  what: string,
  all: ReadonlyArray<A>,
  nameOf: (a: A) => string,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<A>, BenchError> => {
  const unknown = names.filter((name) => !all.some((a) => nameOf(a) === name))
  return unknown.length === 0 ? Effect.succeed(all.filter((a) => names.includes(nameOf(a)))) : Effect.fail(
    new BenchError({ message: `no ${what} ${unknown.join(", ")}; there are ${all.map(nameOf).join(", ")}` })
  )
}

export const compare = Effect.fnUntraced(function*(
  plan: Plan.Plan,
  wanted: {
    readonly tests: ReadonlyArray<string>
    readonly servers: ReadonlyArray<string>
    readonly peers: ReadonlyArray<Servers.Spec>
  }
) {
  const isWanted = wanted.servers.length === 0 || Tokio.specs.some(({ name }) => wanted.servers.includes(name))
  const missing = isWanted ? yield* Tokio.built : undefined
  if (missing !== undefined) yield* Plan.progress(missing)
  const known = [...Servers.all, ...missing === undefined ? Tokio.specs : [], ...wanted.peers]
  const specs = yield* choose("server", known, (spec) => spec.name, [
    Servers.base, // for without it there is no ratio
    ...wanted.servers.length === 0 ? known.map((spec) => spec.name) : wanted.servers,
    ...wanted.peers.map((spec) => spec.name)
  ])
  const chosen = yield* choose(
    "test",
    tests,
    (test) => test.id,
    wanted.tests.length === 0 ? tests.filter((test) => test.extra !== true).map((test) => test.id) : wanted.tests
  )
  yield* Linebench.build
  const verdicts = yield* Effect.forEach(specs, verify)
  const sound = verdicts.filter((verdict) => verdict.measured).map((verdict) => verdict.spec)
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${verdictsMarkdown(verdicts)}\n`)
  if (!sound.some((spec) => spec.name === Servers.base)) {
    return yield* new BenchError({ message: `${Servers.base}, the base of the ratios, has failed its checks` })
  }
  const measured: Array<Measured> = []
  const report = () => reportOf(plan, verdicts, measured)
  for (const test of chosen) {
    const result = yield* measure(plan, test, sound)
    measured.push(result)
    yield* Console.log(`${detail(result)}\n`)
    // What there is so far is kept, whatever comes.
    yield* Effect.sync(() => Report.write(report(), plan.setting, plan.out))
  }
  yield* Console.log(ratios(measured).join("\n\n"))
  yield* Plan.keep(plan, report())
})
