/**
 * The states of a dialogue as a picture: one below the other, as they were written down, and beside them where each message leads.
 *
 * @internal
 */
import * as Svg from "../svg/svg.ts"
import * as Diagram from "./diagram.ts"
import type { Snapshot, Target } from "./snapshotModel.ts"
import * as Words from "./words.ts"

const margin = 16
const inset = 12
/** Room for the mark of the first state. */
const gutter = 28
/** Between two states, and between two lanes. */
const gap = 20
const laneWidth = 12
/** Longer names and messages are cut. */
const mostColumns = 60
const mostOfEnd = 24
const leastWidth = 36 * Svg.characterWidth

/** A message that leads to a state: from the place of the one, to that of the other. */
interface Way {
  readonly from: number
  readonly to: number
}

const lengthOf = ({ from, to }: Way): number => Math.abs(from - to)

/** Two that lead to the same place may meet, others may not. */
const meet = (a: Way, b: Way): boolean =>
  a.to !== b.to && Math.min(a.from, a.to) <= Math.max(b.from, b.to) && Math.min(b.from, b.to) <= Math.max(a.from, a.to)

/** In which lane each way goes: the shorter, the nearer. */
const lanesOf = (ways: ReadonlyArray<Way>): ReadonlyMap<Way, number> => {
  const lanes: Array<Array<Way>> = []
  const found = new Map<Way, number>()
  for (const way of ways.toSorted((a, b) => lengthOf(a) - lengthOf(b))) {
    const free = lanes.findIndex((others) => !others.some((other) => meet(way, other)))
    const lane = free === -1 ? lanes.push([]) - 1 : free
    lanes[lane].push(way)
    found.set(way, lane)
  }
  return found
}

/** Where a message leads, in words. */
const endOf = (target: Target): { readonly text: string; readonly name: string } => ({
  text: Svg.cut(Words.target(target), mostOfEnd),
  name: "to" in target ? "quiet" : "ready" in target ? "good" : "refused"
})

const colours = { client: "sent", server: "received", both: "line" } as const

export const svg = (snapshot: Snapshot): string => {
  const { name, start, states } = snapshot
  const cards = Object.entries(states).map(([name, state]) => ({
    name: Svg.cut(name, mostColumns),
    bounds: [Words.whoSpeaks(state.turn), ...Words.bounds(state)].join(", "),
    state: name,
    turn: state.turn,
    rows: Object.entries(state.says).map(([tag, target]) => ({
      text: Svg.cut(Diagram.signature(snapshot, tag), mostColumns),
      target,
      end: endOf(target)
    }))
  }))
  const width = cards.flatMap(({ bounds, name, rows }) => [
    Svg.widthOf(name),
    Svg.widthOf(bounds),
    ...rows.map(({ end, text }) => Svg.widthOf(text) + Svg.widthOf(end.text) + 2 * inset)
  ]).reduce((most, width) => Math.max(most, width), leastWidth) + 2 * inset
  const left = margin + gutter
  const right = left + width

  // First where everything is, for a message may lead to what stands below it.
  let y = margin
  const places = cards.map(({ rows }) => {
    const top = y
    const height = (rows.length + 2) * Svg.lineHeight + 14
    y += height + gap
    return { top, height, row: (nth: number) => top + (nth + 2) * Svg.lineHeight + 18 }
  })
  const entrances = new Map(cards.map(({ state }, i) => [state, places[i].top + Svg.lineHeight]))
  const ways = cards.flatMap(({ rows, turn }, i) =>
    rows.flatMap(({ target }, nth) =>
      "to" in target ? [{ from: places[i].row(nth), to: entrances.get(target.to)!, colour: colours[turn] }] : []
    )
  )
  const lanes = lanesOf(ways)

  const parts = [
    Svg.path(`M${margin} ${entrances.get(start)!}H${left - 6}`, "line"),
    Svg.head(left, entrances.get(start)!, "right", "start")
  ]
  for (const [i, { bounds, name, rows, turn }] of cards.entries()) {
    const { height, row, top } = places[i]
    parts.push(
      Svg.box(left, top, width, height, "soft"),
      Svg.path(`M${left + 2} ${top + 4}v${height - 8}`, `${colours[turn]} turn`),
      Svg.text(left + inset, top + Svg.lineHeight, name, "name"),
      Svg.text(left + inset, top + 2 * Svg.lineHeight, bounds, "quiet")
    )
    for (const [nth, { end, text }] of rows.entries()) {
      parts.push(Svg.text(left + inset, row(nth) + 4, text, "said"))
      parts.push(Svg.text(right - inset, row(nth) + 4, end.text, end.name, "end"))
    }
  }
  for (const way of ways) {
    const lane = right + 18 + lanes.get(way)! * laneWidth
    parts.push(
      Svg.path(`M${right} ${way.from}H${lane}V${way.to}H${right + 6}`, way.colour),
      Svg.head(right, way.to, "left", way.colour)
    )
  }
  const breadth = right + 18 + Math.max(1, new Set(lanes.values()).size) * laneWidth + margin
  for (const line of Diagram.otherwise(snapshot)) {
    for (const row of Svg.inLines(line, Math.floor((breadth - 2 * margin) / Svg.characterWidth))) {
      parts.push(Svg.text(margin, y + 4, row, "quiet"))
      y += Svg.lineHeight
    }
  }
  const title = `${name}: who may say what, and where it leads`
  return Svg.page(
    { width: breadth, height: y + margin - 8, title, description: Diagram.outline(snapshot).trimEnd() },
    parts
  )
}
