/**
 * How fast each codec decodes and encodes.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Codec from "../codec.ts"
import type { OperationName } from "../in-process.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Report from "../report.ts"

const codecNames = ["lines", "lines, not ASCII", "delimited", "lengthPrefixed", "fixed"]

const lengths = [{ length: 16, label: "16 B" }, { length: 16_384, label: "16 KiB" }]

/** About what one read from a busy socket gives. */
const chunk = 65_536

const operations: ReadonlyArray<readonly [OperationName, string]> = [
  [`decode ${chunk}`, "decode, 64 KiB at a time"],
  ["decode 1", "decode, a byte at a time"],
  ["encode batch", "encode, one write for all"],
  ["encode single", "encode, one write each"]
]

export const codecs = Effect.fnUntraced(function*(plan: Plan.Plan) {
  const measured = yield* Effect.forEach(
    lengths.flatMap((frame) => codecNames.map((codec) => ({ codec, frame }))),
    ({ codec, frame }) =>
      Effect.gen(function*() {
        yield* Plan.progress(`${codec}, frames of ${frame.label}`)
        return { codec, ...frame, samples: yield* Codec.measure(plan, codec, frame.length, [chunk, 1]) }
      })
  )
  const rows = measured.flatMap(({ codec, label, samples }) =>
    operations.map(([name, what]) => ({
      codec,
      label,
      what,
      mbps: Codec.figure(samples, name, (sample) => sample.mbps),
      frames: Codec.figure(samples, name, (sample) => sample.framesPerSecond)
    }))
  )
  const title = "Codecs: throughput"
  const markdown = Report.table(
    ["codec", "frames of", "operation", "MB/s", "frames/s"],
    rows.map((row) => [row.codec, row.label, row.what, Report.spread(row.mbps), Report.spread(row.frames)]),
    { left: 3 }
  )
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "codecs",
    title,
    markdown: [
      "Each codec in a process of its own, on one core; MB/s of the bytes on the wire: median (least..greatest) of the rounds. " +
      "Where no byte is copied or looked at, as by `fixed`, MB/s has no meaning for long frames and frames/s is the figure.",
      markdown
    ].join("\n\n"),
    data: rows,
    svg: Plot.page(
      title,
      Plan.note(plan),
      lengths.map(({ label }) =>
        Plot.dots({
          title: `Frames of ${label}`,
          axis: "MB/s: median, least and greatest",
          groups: operations.map(([, what]) => ({
            label: what,
            dots: rows.filter((row) => row.label === label && row.what === what).map((row) => ({
              label: row.codec,
              series: codecNames.indexOf(row.codec),
              value: row.mbps
            }))
          }))
        })
      )
    )
  })
})
