/**
 * What somebody who is denied costs, next to a handshake.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Denied from "../denied.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Report from "../report.ts"
import * as Stats from "../stats.ts"

export const admission = Effect.fnUntraced(function*(plan: Plan.Plan) {
  const samples = new Map<Denied.Kind, Array<number>>(Denied.kinds.map((kind) => [kind, []]))
  for (let round = 0; round < plan.rounds; round++) {
    yield* Plan.progress(`round ${round + 1} of ${plan.rounds}`)
    for (const kind of Stats.rotated(Denied.kinds, round)) {
      samples.get(kind)!.push(yield* Denied.measure(kind, plan.seconds))
    }
  }
  const base = samples.get("handshake")!
  const rows = Denied.kinds.map((kind) => {
    const taken = samples.get(kind)!
    return { kind, cost: Stats.summarize(taken)!, ratio: Stats.summarize(Stats.paired(taken, base))! }
  })
  const title = "Admission: what it costs to say no"
  const markdown = Report.table(
    ["a connection", "µs", "to a handshake"],
    rows.map(({ cost, kind, ratio }) => [kind, Report.spread(cost), Report.spread(ratio, Report.ratio)])
  )
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "admission",
    title,
    markdown: [
      "The processor's time for each connection in this library alone, on sources that answer at once: what the system and Node do to " +
      "accept and to close is the same for all of them, and not in it. Median (least..greatest) of the rounds. Whoever is told has a " +
      "fiber and hears the protocol's refusal, once a second for each address unless `quiet` says otherwise; the others are closed.",
      markdown
    ].join("\n\n"),
    data: rows,
    svg: Plot.page(title, Plan.note(plan), [
      Plot.dots({
        title: "Processor's time for a connection",
        axis: "µs: median, least and greatest",
        groups: [{ label: "", dots: rows.map(({ cost, kind }, series) => ({ label: kind, series, value: cost })) }]
      })
    ])
  })
})
