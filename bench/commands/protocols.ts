/**
 * The protocols, next to what a user would take instead: the same work in turns, each contender in a process of its own.
 */
import * as Console from "effect/Console"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Process from "../process.ts"
import * as Foreign from "../protocols/foreign.ts"
import * as Peers from "../protocols/peers.ts"
import { type Sample, warm } from "../protocols/sample.ts"
import * as Report from "../report.ts"
import * as Rounds from "../rounds.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"

/** A script of `protocols/` and its arguments. */
type Script = readonly [file: string, ...args: ReadonlyArray<string>]

interface Contender {
  readonly name: string
  /** The package that it takes. */
  readonly needs?: string | undefined
  /** Nobody would take it: the limit of what is possible. */
  readonly isLimit?: boolean | undefined
  /** The server, where a server is measured. */
  readonly server?: Script | undefined
  /** What measures; the port, the process of the server, and the seconds are appended, as far as there are any. */
  readonly run: Script
}

export interface Row {
  readonly id: string
  readonly title: string
  readonly unit: string
  readonly contenders: ReadonlyArray<Contender>
  /** The server of others that clients talk to. */
  readonly peer?: Peers.Peer | undefined
  /** Where it is measured; default: the core for servers, or that for the load of a server. */
  readonly cores?: string | undefined
  /** Whether each measurement has a server of its own: what is asked is its memory. */
  readonly isFresh?: boolean | undefined
}

/** Who all others are compared with. */
const ours = "ours"

const servers = (
  id: string,
  title: string,
  unit: string,
  contenders: ReadonlyArray<Omit<Contender, "run">>
): Row => ({ id, title, unit, contenders: contenders.map((each) => ({ ...each, run: ["load.ts", id] })) })

const clients = (method: string): Row => ({
  id: `client-${method}`,
  title: `PostgreSQL, client, ${method}: connect, log in, close`,
  unit: "connections/s",
  peer: Peers.postgres,
  contenders: [ours, "pg", "postgres", "@effect/sql-pg"].map((name) => ({
    name,
    needs: name === ours ? undefined : name,
    run: ["postgres-client.ts", name, method]
  }))
})

const tls = (id: string, title: string, unit: string): Row =>
  servers(id, title, unit, [
    { name: ours, server: ["ours-tls.ts"] },
    { name: "node:tls by hand", isLimit: true, server: ["node-tls.ts"] }
  ])

export const rows: ReadonlyArray<Row> = [
  servers("login-trust", "PostgreSQL, server, trust: connect, log in, close", "logins/s", [
    { name: ours, server: ["ours-postgres.ts", "trust"] },
    { name: "pg-gateway", needs: "pg-gateway", server: ["pg-gateway.ts", "trust"] },
    { name: "node:net by hand", isLimit: true, server: ["raw-postgres.ts", "trust"] }
  ]),
  servers("login-scram", "PostgreSQL, server, SCRAM: connect, log in, close", "logins/s", [
    { name: ours, server: ["ours-postgres.ts", "scram-sha-256"] },
    { name: "pg-gateway", needs: "pg-gateway", server: ["pg-gateway.ts", "scram-sha-256"] }
  ]),
  clients("trust"),
  clients("scram"),
  {
    id: "decode",
    title: "PostgreSQL, messages of a server decoded",
    unit: "messages/s",
    contenders: [
      { name: ours, run: ["postgres-decode.ts", ours] },
      { name: "pg-protocol", needs: "pg-protocol", run: ["postgres-decode.ts", "pg-protocol"] }
    ]
  },
  servers("http2-connect", "HTTP/2, server: connect, settings, close", "connections/s", [
    { name: ours, server: ["ours-http2.ts"] },
    { name: "node:http2", server: ["node-http2.ts"] }
  ]),
  servers("http2-frames", "HTTP/2, server: frames of 32 bytes of DATA", "frames/s", [
    { name: ours, server: ["ours-http2.ts"] },
    { name: "node:http2", server: ["node-http2.ts"] }
  ]),
  tls("tls-full", "TLS 1.3, server: connect, handshake, one line, close", "connections/s"),
  tls("tls-resumed", "TLS 1.3, server: the same, with the session resumed", "connections/s"),
  tls("tls-lines", "TLS 1.3, server: lines of 64 KiB over one connection", "MiB/s"),
  { ...tls("tls-idle", "TLS 1.3, server: 3,000 connections opened and left idle", "connections/s"), isFresh: true },
  {
    id: "scram",
    title: "SCRAM, both sides, 4096 iterations",
    unit: "exchanges/s",
    contenders: [
      { name: ours, run: ["scram.ts", ours] },
      { name: "crypto.pbkdf2 alone", isLimit: true, run: ["scram.ts", "pbkdf2"] }
    ],
    // It is about all threads that there are.
    cores: `${Process.serverCore},${Process.loadCore}`
  },
  {
    id: "redis",
    title: "Redis, GET over one connection, 64 in flight",
    unit: "calls/s",
    peer: Peers.redis,
    contenders: [ours, "ioredis", "redis"].map((name) => ({
      name,
      needs: name === ours ? undefined : name,
      run: ["redis-client.ts", name]
    }))
  }
]

/** What cannot be measured here, and why; nothing where it can. */
export const leftOut = (
  row: Row,
  isInstalled: (name: string) => boolean = Foreign.isInstalled
): ReadonlyArray<string> =>
  row.peer !== undefined && row.peer.path === undefined
    ? [`${row.id}: left out, for there is no ${row.peer.name} here`]
    : row.contenders.flatMap(({ name, needs }) =>
      needs === undefined || isInstalled(needs) ? [] : [`${row.id}: ${name} is left out, for it is not installed`]
    )

const script = ([file, ...args]: Script): ReadonlyArray<string> => [
  process.execPath,
  "--conditions=handshake-source",
  "--import",
  new URL("../leash.ts", import.meta.url).href,
  fileURLToPath(new URL(`../protocols/${file}`, import.meta.url)),
  ...args
]

const sampleOf = (stdout: string): Effect.Effect<Sample, Process.BenchError> =>
  Effect.try({
    try: () => JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Sample, // it is our own script
    catch: () => new Process.BenchError({ message: `no figures in ${stdout.slice(0, 200)}` })
  })

/** The command of what measures. */
const commandOf = (plan: Plan.Plan, contender: Contender, ...args: ReadonlyArray<string>) => [
  ...script(contender.run),
  ...args,
  `${plan.seconds}`
]

const inTime = <A>(what: string, limit: Duration.Input) => (effect: Effect.Effect<A, Process.BenchError>) =>
  Effect.timeoutOrElse(effect, {
    duration: limit,
    orElse: () => Effect.fail(new Process.BenchError({ message: `not done within ${limit}: ${what}` }))
  })

/** A process that is warm, and measures each time that it is asked to. */
const staying = (plan: Plan.Plan, core: number | string, command: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const running = yield* Process.start(core, command)
    const what = command.join(" ")
    const isWarm = Effect.repeat(running.line, { until: (line) => line === warm })
    yield* Effect.asVoid(isWarm).pipe(inTime(what, "3 minutes"))
    const asked = Effect.andThen(running.tell(`${plan.seconds / Plan.turnsOf(plan)}`), running.line)
    return Effect.flatMap(inTime<string>(what, "1 minute")(asked), sampleOf)
  })

type Measure = readonly [name: string, measure: Effect.Effect<Sample, Process.BenchError>]

/** One that cannot be measured fails in each round; the others go on. */
const orFailing = <A, R>(
  measure: Effect.Effect<Effect.Effect<A, Process.BenchError>, Process.BenchError, R>
): Effect.Effect<Effect.Effect<A, Process.BenchError>, never, R> =>
  Effect.catch(measure, (error) => Effect.succeed(Effect.fail(error)))

/** How each contender of a row is measured; what serves meanwhile lives as long as the scope. */
const measures = (plan: Plan.Plan, row: Row, contenders: ReadonlyArray<Contender>) =>
  Effect.gen(function*() {
    const peer = row.peer?.path === undefined ? undefined : yield* row.peer.start(row.peer.path)
    return yield* Effect.forEach(contenders, (contender) =>
      Effect.gen(function*() {
        const { name, server } = contender
        if (server === undefined) {
          const command = commandOf(plan, contender, ...peer === undefined ? [] : [`${peer.port}`])
          return [name, yield* orFailing(staying(plan, row.cores ?? Process.serverCore, command))] satisfies Measure
        }
        const started = Servers.start({ name, what: name, command: script(server) })
        const command = ({ pid, port }: Servers.Server) => commandOf(plan, contender, `${port}`, `${pid}`)
        if (row.isFresh === true) {
          const once = Effect.flatMap(started, (server) => Process.run(Process.loadCore, command(server), "3 minutes"))
          return [name, Effect.flatMap(Effect.scoped(once), sampleOf)] satisfies Measure
        }
        const measure = Effect.flatMap(started, (server) => staying(plan, Process.loadCore, command(server)))
        return [name, yield* orFailing(measure)] satisfies Measure
      }))
  })

export interface Measured {
  readonly row: Row
  readonly lines: ReadonlyArray<{
    readonly name: string
    readonly perSecond: Stats.Summary | undefined
    readonly cpu: Stats.Summary | undefined
    /** Ours to it, in the same rounds. */
    readonly ratio: Stats.Summary | undefined
    readonly cpuRatio: Stats.Summary | undefined
    readonly delay: { readonly p99: Stats.Summary | undefined; readonly max: Stats.Summary | undefined }
    readonly bytes: Stats.Summary | undefined
    /** Ours to it, in the same rounds. */
    readonly bytesRatio: Stats.Summary | undefined
  }>
  readonly failures: ReadonlyArray<string>
}

export const evaluate = (row: Row, outcomes: Rounds.Outcomes<Sample>): Measured => {
  const figure = (name: string, of: (sample: Sample) => number | undefined) => Rounds.column(outcomes.get(name), of)
  const perSecond = (sample: Sample) => sample.perSecond
  const cpu = (sample: Sample) => sample.cpu
  const bytes = (sample: Sample) => sample.bytes
  return {
    row,
    lines: Array.from(outcomes.keys(), (name) => ({
      name,
      perSecond: Stats.summarize(figure(name, perSecond)),
      cpu: Stats.summarize(figure(name, cpu)),
      ratio: Stats.summarize(Stats.paired(figure(ours, perSecond), figure(name, perSecond))),
      cpuRatio: Stats.summarize(Stats.paired(figure(ours, cpu), figure(name, cpu))),
      delay: {
        p99: Stats.summarize(figure(name, ({ delay }) => delay?.p99)),
        max: Stats.summarize(figure(name, ({ delay }) => delay?.max))
      },
      bytes: Stats.summarize(figure(name, bytes)),
      bytesRatio: Stats.summarize(Stats.paired(figure(ours, bytes), figure(name, bytes)))
    })),
    failures: Rounds.failures(outcomes)
  }
}

const sortOf = ({ row }: Measured, name: string): string =>
  row.contenders.find((contender) => contender.name === name)?.isLimit === true ? `${name} (a limit)` : name

export const table = (measured: ReadonlyArray<Measured>): string =>
  Report.table(
    ["what", "who", "per second", "µs of CPU for each", "ours to it", "ours to it, CPU"],
    measured.flatMap((each) =>
      each.lines.map(({ cpu, cpuRatio, name, perSecond, ratio }) => [
        `${each.row.title}: ${each.row.unit}`,
        sortOf(each, name),
        Report.spread(perSecond),
        Report.spread(cpu),
        ...name === ours ? [] : [Report.spread(ratio, Report.ratio), Report.spread(cpuRatio, Report.ratio)]
      ])
    ),
    { left: 2 }
  )

/** The delay of the event loop, of the rows that have it. */
export const delays = (measured: ReadonlyArray<Measured>): ReadonlyArray<string> => {
  const rows = measured.flatMap((each) =>
    each.lines.flatMap(({ delay, name }) =>
      delay.p99 === undefined
        ? []
        : [[each.row.title, sortOf(each, name), Report.spread(delay.p99), Report.spread(delay.max)]]
    )
  )
  return rows.length === 0
    ? []
    : [Report.table(["delay of the event loop, ms", "who", "99th percentile", "longest"], rows, { left: 2 })]
}

/** What is left behind, of the rows that measure it. */
export const memory = (measured: ReadonlyArray<Measured>): ReadonlyArray<string> => {
  const rows = measured.flatMap((each) =>
    each.lines.flatMap(({ bytes, bytesRatio, name }) =>
      bytes === undefined
        ? []
        : [[
          each.row.title,
          sortOf(each, name),
          Report.spread(bytes),
          ...name === ours ? [] : [Report.spread(bytesRatio, Report.ratio)]
        ]]
    )
  )
  return rows.length === 0
    ? []
    : [Report.table(["memory of each, resident bytes", "who", "bytes", "ours to it"], rows, { left: 2 })]
}

export const protocols = Effect.fnUntraced(function*(plan: Plan.Plan, only: ReadonlyArray<string>) {
  const unknown = only.filter((id) => rows.every((row) => row.id !== id))
  if (unknown.length > 0) {
    return yield* new Process.BenchError({
      message: `no row ${unknown.join(", ")}; there are ${rows.map(({ id }) => id).join(", ")}`
    })
  }
  const chosen = rows.filter(({ id }) => only.length === 0 || only.includes(id))
  const notes = chosen.flatMap((row) => leftOut(row))
  const measured = yield* Effect.forEach(
    chosen.filter(({ peer }) => peer === undefined || peer.path !== undefined),
    (row) =>
      Effect.scoped(Effect.gen(function*() {
        const contenders = row.contenders.filter(({ needs }) => needs === undefined || Foreign.isInstalled(needs))
        return evaluate(
          row,
          yield* Rounds.interleaved(
            row.id,
            row.isFresh === true ? plan.rounds : plan.rounds * Plan.turnsOf(plan),
            yield* measures(plan, row, contenders)
          )
        )
      }))
  )
  const title = "Protocols: next to what one would take instead"
  const markdown = [
    table(measured),
    ...delays(measured),
    ...memory(measured),
    ...measured.flatMap(({ failures }) => failures),
    ...notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join("\n")]
  ].join("\n\n")
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "protocols",
    title,
    markdown: [
      "Median (least..greatest) of the turns, of which a round has five. `ours to it` divides what both did in the same turn: above 1 ours does more in a " +
      "second, and below 1 it takes less of the processor. The processor's time is that of the server or client that is measured, all its " +
      "threads together.",
      markdown
    ].join("\n\n"),
    data: {
      rows: measured.map(({ row, ...rest }) => ({ id: row.id, title: row.title, unit: row.unit, ...rest })),
      notes
    },
    svg: Plot.page(title, Plan.note(plan), [
      Plot.dots({
        title: "Processor's time for an operation",
        axis: "µs: median, least and greatest",
        groups: measured.map(({ lines, row }) => ({
          label: row.title,
          dots: lines.map(({ cpu, name }, series) => ({ label: name, series, value: cpu }))
        }))
      })
    ])
  })
})
