/**
 * The cost of a byte against the length of a frame and the size of the pieces in which it comes: flat where the cost is
 * linear.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Codec from "../codec.ts"
import * as Linebench from "../linebench.ts"
import * as Plan from "../plan.ts"
import * as Plot from "../plot.ts"
import * as Report from "../report.ts"
import * as Rounds from "../rounds.ts"
import * as Servers from "../servers.ts"
import * as Stats from "../stats.ts"

const KiB = 1024
const MiB = 1024 * KiB

const size = (bytes: number): string =>
  bytes >= MiB ? `${bytes / MiB} MiB` : bytes >= KiB ? `${bytes / KiB} KiB` : `${bytes} B`

/** What was measured over several lengths of frames. */
interface Curve {
  readonly name: string
  /** How long the pieces are in which frames come. */
  readonly piece: number
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: Stats.Summary }>
}

const curve = (
  name: string,
  piece: number,
  values: ReadonlyArray<readonly [length: number, value: Stats.Summary | undefined]>
): Curve => ({ name, piece, points: values.flatMap(([x, y]) => y === undefined ? [] : [{ x, y }]) })

/**
 * How the cost of a whole frame grows with its length, where a byte of it costs this much. Several frames in a piece are
 * decoded together, so that only those that fill a piece tell.
 */
const exponent = ({ piece, points }: Curve): string => {
  const k = Stats.growth(points.filter(({ x }) => x >= piece).map(({ x, y }) => [x, x * y.median]))
  return k === undefined ? "" : `length^${k.toFixed(2)}`
}

/** A frame length a line; with `grows` also how the cost of a frame grows. */
const tableOf = (lengths: ReadonlyArray<number>, curves: ReadonlyArray<Curve>, grows: boolean): string =>
  Report.table(
    ["frame", ...curves.map(({ name }) => name)],
    [
      ...lengths.map((length) => [
        size(length),
        ...curves.map(({ points }) => Report.spread(points.find(({ x }) => x === length)?.y))
      ]),
      ...grows ? [["a frame's cost grows as", ...curves.map(exponent)]] : []
    ]
  )

const chart = (title: string, y: Plot.Axis, lengths: ReadonlyArray<number>, curves: ReadonlyArray<Curve>): Plot.Panel =>
  Plot.lines({
    title,
    x: { label: "length of a frame", ticks: lengths, format: size },
    y,
    series: curves
  })

const inProcess = Effect.fnUntraced(function*(plan: Plan.Plan, codec: string, lengths: ReadonlyArray<number>) {
  const pieces = [1, 64, KiB, 64 * KiB]
  const samples = yield* Effect.forEach(lengths, (length) =>
    Effect.gen(function*() {
      yield* Plan.progress(`${codec}, frames of ${size(length)}`)
      return [length, yield* Codec.measure(plan, codec, length, pieces)] as const
    }))
  return pieces.map((piece) =>
    curve(
      `pieces of ${size(piece)}`,
      piece,
      samples.map(([length, ofLength]) => [
        length,
        Codec.figure(ofLength, `decode ${piece}`, ({ mbps }) => 1000 / mbps)
      ])
    )
  )
})

/** The same measurement of two servers over several lengths of lines. */
const overLengths = Effect.fnUntraced(function*(
  plan: Plan.Plan,
  what: string,
  servers: ReadonlyArray<Servers.Server>,
  lengths: ReadonlyArray<number>,
  figure: string,
  args: (length: number) => ReadonlyArray<string>
) {
  const outcomes = yield* Effect.forEach(lengths, (length) =>
    Rounds.interleaved(
      `${what}, lines of ${size(length)}`,
      plan.rounds,
      servers.map((server) => [server.name, Linebench.measure(server, ...args(length))])
    ))
  const curves = servers.map(({ name }) =>
    curve(
      name,
      0,
      outcomes.map((ofLength, i) => [
        lengths[i],
        Stats.summarize(Rounds.column(ofLength.get(name), (figures) => figures[figure]))
      ])
    )
  )
  return { curves, failures: outcomes.flatMap(Rounds.failures) }
})

export const frames = Effect.fnUntraced(function*(plan: Plan.Plan) {
  yield* Linebench.build
  const lengths = [64, KiB, 16 * KiB, 256 * KiB, ...plan.quick ? [MiB] : [MiB, 4 * MiB]]
  const decoding = yield* Effect.forEach(
    ["lines", "lengthPrefixed"],
    (codec) => Effect.map(inProcess(plan, codec, lengths), (curves) => ({ codec, curves }))
  )

  const lineLengths = [4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, MiB]
  const served = yield* Effect.scoped(Effect.gen(function*() {
    const servers = yield* Effect.forEach(
      Servers.all.filter(({ name }) => name === Servers.base || name === "ours"),
      Servers.start
    )
    for (const server of servers) yield* Plan.warmUp(plan, server, "bulk", "-l", "65536", "-d", "16")
    // Every 30 µs a piece of 64 bytes, so that the pieces reach the server as pieces.
    const dribble = yield* overLengths(
      plan,
      "dribble",
      servers,
      lineLengths,
      "cpu_ns_per_byte",
      (length) => [
        "dribble",
        "-l",
        `${length}`,
        "--piece",
        "64",
        "--gap-us",
        "30",
        // About as many bytes for each length.
        "-r",
        `${Math.max(1, Math.min(16, 256 * KiB / length))}`
      ]
    )
    const bulk = yield* overLengths(
      plan,
      "bulk",
      servers,
      lineLengths,
      "mbps",
      (length) => ["bulk", "-l", `${length}`, "-d", `${Math.max(4, Math.min(64, MiB / length))}`, ...Plan.timed(plan)]
    )
    return { dribble, bulk }
  }))

  const title = "The cost of a byte against the length of its frame"
  const decodingTitle = (codec: string) => `Decoding ${codec}, in process`
  const dribbleTitle = "The server's CPU time for lines that come in pieces of 64 bytes"
  const bulkTitle = "Throughput of one connection"
  const markdown = [
    ...decoding.flatMap(({ codec, curves }) => [
      `### ${decodingTitle(codec)}: ns/byte`,
      tableOf(lengths, curves, true)
    ]),
    `### ${dribbleTitle}: ns/byte`,
    tableOf(lineLengths, served.dribble.curves, true),
    ...served.dribble.failures,
    `### ${bulkTitle}: MB/s`,
    tableOf(lineLengths, served.bulk.curves, false),
    ...served.bulk.failures
  ].join("\n\n")
  yield* Console.log(`${Report.settingMarkdown(plan.setting)}\n\n${markdown}`)
  yield* Plan.keep(plan, {
    name: "frames",
    title,
    markdown:
      "Median (least..greatest) of the rounds. A cost that is linear in the length of a frame is the same for each " +
      `byte, however long the frame is, and grows as length^1.\n\n${markdown}`,
    data: { decoding, ...served },
    svg: Plot.page(title, Plan.note(plan), [
      ...decoding.map(({ codec, curves }) => chart(decodingTitle(codec), { label: "ns/byte" }, lengths, curves)),
      chart(dribbleTitle, { label: "CPU ns/byte", linear: true }, lineLengths, served.dribble.curves),
      chart(bulkTitle, { label: "MB/s", linear: true }, lineLengths, served.bulk.curves)
    ])
  })
})
