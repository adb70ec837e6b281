/**
 * A conversation as a picture: two lifelines, an arrow for each message, and what happened besides.
 *
 * @internal
 */
import * as Svg from "./svg.ts"

/** One thing that was said, or that happened. */
export interface Step {
  readonly atMs: number
  readonly direction: "sent" | "received" | "note"
  readonly frame: string
  /** Who has ended the connection with it. */
  readonly end?: { readonly by: "self" | "peer" } | undefined
}

export interface Named {
  readonly self: string
  readonly peer: string
  readonly title: string
  readonly error: string | undefined
}

const margin = 16
/** Longer texts stand on several lines, and longer names are cut. */
const mostColumns = 60
const mostOfName = 32
/** Between the lifelines, at least. */
const leastGap = 40 * Svg.characterWidth
const boxHeight = 30
const inset = 12

const described = (steps: ReadonlyArray<Step>, { error, peer, self }: Named): string =>
  [
    ...steps.map(({ atMs, direction, frame }) =>
      `${atMs} ms, ${direction === "note" ? "" : `${direction === "sent" ? self : peer}: `}${frame}`
    ),
    ...error === undefined ? [] : [error]
  ].join("\n")

export const draw = (steps: ReadonlyArray<Step>, named: Named): string => {
  const names = { self: Svg.cut(named.self, mostOfName), peer: Svg.cut(named.peer, mostOfName) }
  const half = { self: Svg.widthOf(names.self) / 2 + inset, peer: Svg.widthOf(names.peer) / 2 + inset }
  const said = steps.filter(({ direction }) => direction !== "note")
    .flatMap(({ frame }) => Svg.inLines(frame, mostColumns))
  const gap = Math.max(
    leastGap,
    half.self + half.peer + inset,
    said.reduce((most, line) => Math.max(most, Svg.widthOf(line)), 0) + 3 * inset
  )
  const self = margin + half.self
  const peer = self + gap
  const times = steps.map(({ atMs }) => `${atMs} ms`)
  const timeWidth = times.reduce((most, time) => Math.max(most, Svg.widthOf(time)), 0)
  const width = peer + Math.max(half.peer, inset + timeWidth) + margin
  const middle = self + gap / 2

  const parts: Array<string> = []
  let y = margin + boxHeight + inset
  for (const [i, { direction, end, frame }] of steps.entries()) {
    const rows = direction === "note"
      ? Svg.inLines(frame, Math.floor((gap - 4 * inset) / Svg.characterWidth))
      : Svg.inLines(frame, mostColumns)
    const time = (at: number) => parts.push(Svg.text(peer + inset, at + 4, times[i], "quiet"))
    if (direction === "note") {
      const height = rows.length * Svg.lineHeight + 8
      parts.push(Svg.box(self + inset, y, gap - 2 * inset, height, "soft"))
      for (const [n, row] of rows.entries()) {
        parts.push(Svg.text(middle, y + (n + 1) * Svg.lineHeight, row, "quiet", "middle"))
      }
      const at = y + height / 2
      if (end !== undefined) {
        parts.push(Svg.path(`M${(end.by === "self" ? self : peer) - 6} ${at - 6}l12 12m-12 0l12 -12`, "cross"))
      }
      // The cross stands where the time begins.
      time(at)
      y += height + inset
    } else {
      const isSent = direction === "sent"
      const shown = frame.includes("<redacted") ? "quiet" : "said"
      for (const row of rows) {
        y += Svg.lineHeight
        parts.push(Svg.text(isSent ? self + inset : peer - inset, y - 4, row, shown, isSent ? "start" : "end"))
      }
      y += 6
      parts.push(
        Svg.path(isSent ? `M${self} ${y}H${peer - 6}` : `M${peer} ${y}H${self + 6}`, direction),
        Svg.head(isSent ? peer : self, y, isSent ? "right" : "left", direction)
      )
      time(y)
      y += inset
    }
  }
  const bottom = y + 4
  y = bottom
  if (named.error !== undefined) {
    const rows = Svg.inLines(named.error, Math.floor((width - 2 * margin - 2 * inset) / Svg.characterWidth))
    const height = rows.length * Svg.lineHeight + 12
    parts.push(Svg.box(margin, y, width - 2 * margin, height, "bad"))
    for (const [n, row] of rows.entries()) {
      parts.push(Svg.text(margin + inset, y + 2 + (n + 1) * Svg.lineHeight, row, "bad"))
    }
    y += height
  }
  const lifelines = (["self", "peer"] as const).flatMap((side) => {
    const x = side === "self" ? self : peer
    return [
      Svg.path(`M${x} ${margin + boxHeight}V${bottom}`, "line life"),
      Svg.box(x - half[side], margin, 2 * half[side], boxHeight, "soft"),
      Svg.text(x, margin + 20, names[side], "said", "middle")
    ]
  })
  return Svg.page(
    { width, height: y + margin, title: named.title, description: described(steps, named) },
    [...lifelines, ...parts]
  )
}
