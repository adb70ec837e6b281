/**
 * Requests against the number in flight: with a handler that is ready at once, and with one that sleeps 1 ms, whose
 * throughput has to follow `maxInFlight`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Linebench from "../linebench.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Report from "../report.ts"
import * as Rounds from "../rounds.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"

const counts = [1, 4, 16, 64, 256, 1024]

const base = "raw-node, ready"
const ready = "ours, ready"
const sleeping = "ours, sleeps 1 ms, maxInFlight 64"
const following = "ours, sleeps 1 ms, maxInFlight n"
const names = [base, ready, sleeping, following]

export const inFlight = Effect.fnUntraced(function*(plan: Plan.Plan) {
  yield* Linebench.build
  const outcomes = yield* Effect.scoped(Effect.gen(function*() {
    const raw = yield* Servers.start(Servers.all.find(({ name }) => name === Servers.base)!) // it is one of them
    const atOnce = yield* Servers.start(Servers.ours())
    const slow = yield* Servers.start(Servers.ours("--sleep", "1"))
    const load = (depth: number) => ["pipeline", "-c", "1", "-d", `${depth}`]
    for (const server of [raw, atOnce, slow]) yield* Plan.warmUp(plan, server, ...load(64))
    return yield* Effect.forEach(counts, (count) =>
      Effect.scoped(Effect.gen(function*() {
        const bounded = yield* Servers.start(Servers.ours("--sleep", "1", "--max-in-flight", `${count}`))
        yield* Plan.warmUp(plan, bounded, ...load(1024))
        const measure = (server: Servers.Server, depth: number) =>
          Linebench.measure(server, ...load(depth), ...Plan.timed(plan))
        return yield* Rounds.interleaved(`${count} in flight`, plan.rounds, [
          [base, measure(raw, count)],
          [ready, measure(atOnce, count)],
          [sleeping, measure(slow, count)],
          // The client sends all that it can, so that it is the server that bounds what is in flight.
          [following, measure(bounded, 1024)]
        ])
      })))
  }))

  const rps = (at: number, name: string) =>
    Stats.summarize(Rounds.column(outcomes[at].get(name), (figures) => figures["rps"]))
  const markdown = [
    Report.table(
      ["n in flight", ...names.map((name) => `${name}: requests/s`), "n / 1 ms"],
      counts.map((count, at) => [
        Report.number(count),
        ...names.map((name) => Report.spread(rps(at, name))),
        Report.number(count * 1000)
      ])
    ),
    ...outcomes.flatMap(Rounds.failures)
  ].join("\n\n")
  const title = "Requests in flight on one connection"
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "in-flight",
    title,
    markdown:
      "The client keeps n requests in flight; in the last column but one it keeps 1024, and the server is the one that " +
      "takes n at once. A timer of 1 ms takes a little longer than that, so that n / 1 ms is not quite reached. Median " +
      `(least..greatest) of the rounds.\n\n${markdown}`,
    data: counts.map((count, at) => ({ count, servers: Object.fromEntries(outcomes[at]) })),
    svg: Plot.page(title, Plan.note(plan), [
      Plot.lines({
        title: "Throughput against n, the requests in flight",
        x: { label: "n requests in flight", ticks: counts, format: String },
        y: { label: "requests/s" },
        series: [
          ...names.map((name) => ({
            name: name.replace("maxInFlight", "max"),
            points: counts.flatMap((x, at) => {
              const y = rps(at, name)
              return y === undefined ? [] : [{ x, y }]
            })
          })),
          {
            name: "n / 1 ms",
            dashed: true,
            points: counts.map((x) => ({ x, y: Plot.exactly(x * 1000) }))
          }
        ]
      })
    ])
  })
})
