/**
 * What each feature costs, so that a user can choose.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Features from "../features.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Report from "../report.ts"
import * as Stats from "../stats.ts"

const figures = ["connection", "request"] as const

export const features = Effect.fnUntraced(function*(plan: Plan.Plan) {
  const samples = new Map<Features.Kind, Array<Features.Cost>>(Features.kinds.map((kind) => [kind, []]))
  // What one has taught the compiler all of them have the use of.
  for (const kind of Features.kinds) yield* Features.measure(kind, plan.seconds / 4)
  for (let round = 0; round < plan.rounds; round++) {
    yield* Plan.progress(`round ${round + 1} of ${plan.rounds}`)
    for (const kind of Stats.rotated(Features.kinds, round)) {
      samples.get(kind)!.push(yield* Features.measure(kind, plan.seconds)) // each kind has its entry
    }
  }
  const base = samples.get("defaults")!
  const rows = Array.from(samples, ([kind, taken]) => {
    const of = (figure: typeof figures[number]) => {
      const values = taken.map((cost) => cost[figure])
      return {
        cost: Stats.summarize(values)!, // there is a round
        ratio: Stats.summarize(Stats.paired(values, base.map((cost) => cost[figure])))!
      }
    }
    return { kind, connection: of("connection"), request: of("request") }
  })
  const title = "Features: what each of them costs"
  const markdown = Report.table(
    ["a server with", "a connection, µs", "to the defaults", "a request, µs", "to the defaults"],
    rows.map(({ connection, kind, request }) => [
      kind,
      Report.spread(connection.cost),
      Report.spread(connection.ratio, Report.ratio),
      Report.spread(request.cost),
      Report.spread(request.ratio, Report.ratio)
    ])
  )
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "features",
    title,
    markdown: [
      "The processor's time in this library alone, on sources that answer at once: what the system and Node do is the same for all " +
      "of them, and not in it. A connection is accepted, has its handshake and is closed; of the requests, lines, 32 come together. " +
      "Median (least..greatest) of the rounds. The tracer makes spans and keeps none.",
      markdown
    ].join("\n\n"),
    data: rows,
    svg: Plot.page(
      title,
      Plan.note(plan),
      figures.map((figure) =>
        Plot.dots({
          title: `Processor's time for a ${figure}`,
          axis: "µs: median, least and greatest",
          groups: [{
            label: "",
            dots: rows.map((row, series) => ({ label: row.kind, series, value: row[figure].cost }))
          }]
        })
      )
    )
  })
})
