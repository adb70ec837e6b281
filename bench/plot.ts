/**
 * Plots as SVG: points with error bars from the least to the greatest value, on axes that are labelled.
 */
import { number } from "./report.ts"
import type { Summary } from "./stats.ts"

/** Okabe and Ito's colours, which people with any colour vision tell apart. */
const palette = ["#000000", "#0072b2", "#56b4e9", "#d55e00", "#cc79a7", "#e69f00", "#009e73", "#8a6d00"]

export const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

/** Maps values to pixels. */
export interface Scale {
  readonly at: (value: number) => number
  readonly ticks: ReadonlyArray<number>
}

export interface Range {
  readonly from: number
  readonly to: number
}

/** The 1-2-5 steps from the last one at or below `min` to the first one at or above `max`. */
const steps = (min: number, max: number): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let decade = Math.floor(Math.log10(min));; decade++) {
    for (const digit of [1, 2, 5]) {
      // Not `digit * 10 ** decade`, which gives 0.30000000000000004 and its like.
      const step = Number(`${digit}e${decade}`)
      if (step <= min) found.length = 0
      found.push(step)
      if (step >= max && found.length > 1) return found
    }
  }
}

/** A logarithmic scale for values above 0; it begins and ends on a tick, and its domain is never empty. */
export const logScale = (values: ReadonlyArray<number>, pixels: Range): Scale => {
  const positive = values.filter((value) => value > 0)
  const all = positive.length === 0 ? [1, 10] : steps(Math.min(...positive), Math.max(...positive))
  const [low, high] = [Math.log(all[0]), Math.log(all[all.length - 1])]
  const isDecade = (value: number) => Number.isInteger(Math.round(Math.log10(value) * 1e9) / 1e9)
  return {
    at: (value) => pixels.from + (Math.log(value) - low) / (high - low) * (pixels.to - pixels.from),
    ticks: all.length > 9 ? all.filter(isDecade) : all
  }
}

/** A linear scale from 0. */
export const linearScale = (values: ReadonlyArray<number>, pixels: Range): Scale => {
  const max = Math.max(...values, 0)
  const step = max === 0 ? 1 : steps(max / 5, max / 5).find((step) => step >= max / 5)!
  const count = Math.max(1, Math.ceil(max / step - 1e-9))
  return {
    at: (value) => pixels.from + value / (count * step) * (pixels.to - pixels.from),
    ticks: Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)))
  }
}

const units: ReadonlyArray<readonly [number, string]> = [[1e9, "G"], [1e6, "M"], [1e3, "k"]]

/** A tick's value, short: `20k`, `1.5M`, `0.02`. */
export const short = (value: number): string => {
  const unit = units.find(([size]) => Math.abs(value) >= size)
  return unit === undefined
    ? `${Number(value.toPrecision(3))}`
    : `${Number((value / unit[0]).toPrecision(3))}${unit[1]}`
}

const px = (value: number): string => `${Math.round(value * 10) / 10}`

interface TextOptions {
  readonly anchor?: "start" | "middle" | "end"
  readonly size?: number
  readonly weight?: "bold"
  readonly fill?: string
  readonly upright?: boolean
}

const text = (x: number, y: number, content: string, options: TextOptions = {}): string =>
  `<text x="${px(x)}" y="${px(y)}"` +
  ` text-anchor="${options.anchor ?? "start"}"` +
  ` font-size="${options.size ?? 12}"` +
  (options.weight === undefined ? "" : ` font-weight="${options.weight}"`) +
  (options.fill === undefined ? "" : ` fill="${options.fill}"`) +
  (options.upright === true ? ` transform="rotate(-90 ${px(x)} ${px(y)})"` : "") +
  `>${escape(content)}</text>`

const line = (x1: number, y1: number, x2: number, y2: number, stroke: string, more = ""): string =>
  `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" stroke="${stroke}"${more}/>`

const grid = "#dddddd"
const quiet = "#555555"

/** A part of a picture, as tall as it needs to be. */
export interface Panel {
  readonly height: number
  /** Its SVG, with its top at 0. */
  readonly svg: string
}

const width = 860

/** One measured value in its row. */
export interface Dot {
  readonly label: string
  /** Which colour it has. */
  readonly series: number
  readonly value: Summary | undefined
  /** What is written where there is no value. */
  readonly absent?: string
}

/** Rows of points with error bars on one logarithmic axis, in groups. */
export const dots = (options: {
  readonly title: string
  readonly axis: string
  readonly groups: ReadonlyArray<{ readonly label: string; readonly dots: ReadonlyArray<Dot> }>
  /** A line to compare with. */
  readonly reference?: number
  readonly format?: (value: number) => string
}): Panel => {
  const format = options.format ?? number
  const [left, right, row, gap, top] = [150, width - 150, 17, 24, 34]
  const summaries = options.groups.flatMap((group) => group.dots.flatMap((dot) => dot.value ?? []))
  const x = logScale([
    ...summaries.flatMap(({ max, min }) => [min, max]),
    // With a little room beside it
    ...options.reference === undefined ? [] : [options.reference * 0.9, options.reference * 1.1]
  ], { from: left, to: right })
  const out: Array<string> = [text(16, 20, options.title, { size: 14, weight: "bold" })]
  let y = top
  for (const group of options.groups) {
    y += 6
    out.push(text(16, y + 14, group.label, { weight: "bold" }))
    y += gap
    for (const dot of group.dots) {
      const middle = y + row / 2
      const color = palette[dot.series % palette.length]
      out.push(line(left, middle, right, middle, "#f0f0f0"))
      out.push(text(left - 10, middle + 4, dot.label, { anchor: "end", fill: color }))
      if (dot.value === undefined) {
        out.push(text(left + 6, middle + 4, dot.absent ?? "not measured", { size: 11, fill: quiet }))
      } else {
        const { max, median, min } = dot.value
        const [from, to] = [x.at(min), x.at(max)]
        out.push(line(from, middle, to, middle, color, " stroke-width=\"2\""))
        for (const end of [from, to]) out.push(line(end, middle - 4, end, middle + 4, color, " stroke-width=\"1.5\""))
        out.push(`<circle cx="${px(x.at(median))}" cy="${px(middle)}" r="4" fill="${color}"/>`)
        out.push(text(right + 12, middle + 4, format(median), { fill: color }))
      }
      y += row
    }
  }
  const bottom = y + 6
  const behind: Array<string> = []
  for (const tick of x.ticks) {
    behind.push(line(x.at(tick), top + 4, x.at(tick), bottom, grid))
    out.push(text(x.at(tick), bottom + 16, short(tick), { anchor: "middle", size: 11 }))
  }
  if (options.reference !== undefined) {
    const at = x.at(options.reference)
    behind.push(line(at, top + 4, at, bottom, "#000000", " stroke-dasharray=\"4 3\""))
  }
  out.push(text((left + right) / 2, bottom + 36, options.axis, { anchor: "middle" }))
  return { height: bottom + 50, svg: [...behind, ...out].join("\n") }
}

/** A line of a chart. */
export interface Series {
  readonly name: string
  readonly points: ReadonlyArray<{ readonly x: number; readonly y: Summary }>
  /** What is computed and not measured. */
  readonly dashed?: boolean
}

export interface Axis {
  readonly label: string
  readonly linear?: boolean
  /** The values of the ticks, where they are not to be 1, 2, 5, 10 … */
  readonly ticks?: ReadonlyArray<number>
  readonly format?: (value: number) => string
}

/** Lines through points with error bars; both axes are logarithmic unless told otherwise. */
export const lines = (options: {
  readonly title: string
  readonly x: Axis
  readonly y: Axis
  readonly series: ReadonlyArray<Series>
}): Panel => {
  const [left, right, top, bottom] = [80, width - 230, 44, 330]
  const scaleOf = (axis: Axis, values: ReadonlyArray<number>, pixels: Range) =>
    (axis.linear === true ? linearScale : logScale)(values, pixels)
  const points = options.series.flatMap((series) => series.points)
  const x = scaleOf(options.x, [...points.map((point) => point.x), ...options.x.ticks ?? []], {
    from: left + 10,
    to: right - 10
  })
  const y = scaleOf(options.y, points.flatMap((point) => [point.y.min, point.y.max]), { from: bottom, to: top })
  const out: Array<string> = [text(16, 20, options.title, { size: 14, weight: "bold" })]
  for (const tick of options.x.ticks ?? x.ticks) {
    out.push(line(x.at(tick), top, x.at(tick), bottom, grid))
    out.push(text(x.at(tick), bottom + 16, (options.x.format ?? short)(tick), { anchor: "middle", size: 11 }))
  }
  for (const tick of options.y.ticks ?? y.ticks) {
    out.push(line(left, y.at(tick), right, y.at(tick), grid))
    out.push(text(left - 8, y.at(tick) + 4, (options.y.format ?? short)(tick), { anchor: "end", size: 11 }))
  }
  out.push(line(left, bottom, right, bottom, "#000000"), line(left, top, left, bottom, "#000000"))
  out.push(text((left + right) / 2, bottom + 38, options.x.label, { anchor: "middle" }))
  out.push(text(22, (top + bottom) / 2, options.y.label, { anchor: "middle", upright: true }))
  options.series.forEach((series, index) => {
    const color = palette[index % palette.length]
    const dash = series.dashed === true ? " stroke-dasharray=\"5 4\"" : ""
    const path = series.points.map((point) => `${px(x.at(point.x))},${px(y.at(point.y.median))}`).join(" ")
    out.push(`<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"${dash}/>`)
    if (series.dashed !== true) {
      for (const point of series.points) {
        const at = x.at(point.x)
        const [low, high] = [y.at(point.y.min), y.at(point.y.max)]
        out.push(line(at, low, at, high, color, " stroke-width=\"1.5\""))
        for (const end of [low, high]) out.push(line(at - 4, end, at + 4, end, color, " stroke-width=\"1.5\""))
        out.push(`<circle cx="${px(at)}" cy="${px(y.at(point.y.median))}" r="3.5" fill="${color}"/>`)
      }
    }
    const legend = top + 8 + index * 20
    out.push(line(right + 16, legend, right + 40, legend, color, ` stroke-width="2"${dash}`))
    out.push(text(right + 46, legend + 4, series.name))
  })
  return { height: bottom + 56, svg: out.join("\n") }
}

/** Panels under each other, with a title and a note where they were measured. */
export const page = (title: string, note: string, panels: ReadonlyArray<Panel>): string => {
  let y = 64
  const parts = panels.map((panel) => {
    const part = `<g transform="translate(0 ${px(y)})">\n${panel.svg}\n</g>`
    y += panel.height + 14
    return part
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${px(y)}" viewBox="0 0 ${width} ${px(y)}"` +
    ` font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escape(title)}">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${px(y)}" fill="#ffffff"/>`,
    text(16, 28, title, { size: 18, weight: "bold" }),
    text(16, 48, note, { size: 11, fill: quiet }),
    ...parts,
    "</svg>",
    ""
  ].join("\n")
}

/** One value as a summary, for what is computed. */
export const exactly = (value: number): Summary => ({ median: value, min: value, max: value, n: 1 })
