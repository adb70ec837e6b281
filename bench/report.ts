/**
 * Tables as Markdown, and where they were measured.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { cpus, loadavg, release, totalmem } from "node:os"
import { fileURLToPath } from "node:url"
import * as Linebench from "./linebench.ts"
import { canPin } from "./process.ts"
import type { Summary } from "./stats.ts"

/** A number with about three digits: `1,234,567`, `123`, `12.3`, `1.23`, `0.0123`; a whole one has no point. */
export const number = (value: number): string => {
  const size = Math.abs(value)
  if (size >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString("en-US")
  if (size >= 10) return value.toFixed(1)
  if (size >= 0.1) return value.toFixed(2)
  return value.toPrecision(3)
}

/** `median (min..max)`, or nothing. */
export const spread = (summary: Summary | undefined, format: (value: number) => string = number): string => {
  if (summary === undefined) return ""
  const { max, median, min, n } = summary
  return n === 1 ? format(median) : `${format(median)} (${format(min)}..${format(max)})`
}

/** The form of ratios, which are compared with each other: always two decimals. */
export const ratio = (value: number): string => value.toFixed(2)

/** A GitHub table, padded so that it also reads as text; the first `left` columns are to the left, the others right. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  { left }: { readonly left: number } = { left: 1 }
): string => {
  const escaped = [head, ...rows].map((row) =>
    head.map((_, column) => (row[column] ?? "").replaceAll("|", "\\|").replaceAll("\n", " "))
  )
  const widths = head.map((_, column) => Math.max(3, ...escaped.map((row) => row[column].length)))
  const line = (row: ReadonlyArray<string>) =>
    `| ${row.map((cell, i) => i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join(" | ")} |`
  const rule = `|${widths.map((width, i) => i < left ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`).join("|")}|`
  return [line(escaped[0]), rule, ...escaped.slice(1).map(line)].join("\n")
}

const root = fileURLToPath(new URL("..", import.meta.url))

const versionOf = (path: string): string => {
  const parsed: unknown = JSON.parse(readFileSync(`${root}${path}/package.json`, "utf8"))
  return typeof parsed === "object" && parsed !== null && "version" in parsed ? `${parsed.version}` : "unknown"
}

const git = (...args: ReadonlyArray<string>): string | undefined => {
  const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" })
  return status === 0 ? stdout.trim() : undefined
}

/** Where and with what something was measured. */
export interface Setting {
  readonly date: string
  readonly command: string
  readonly machine: {
    readonly cpu: string
    readonly cores: number
    readonly memoryGiB: number
    readonly kernel: string
    /** Of the last minute, when it began: above the cores' number, others were at work. */
    readonly load: number
    readonly pinned: boolean
  }
  readonly versions: Readonly<Record<string, string>>
}

export const setting = (script = "bench"): Setting => {
  const args = process.argv.slice(2).map((arg) => /^[\w./,=@:-]+$/.test(arg) ? arg : `'${arg}'`)
  const commit = git("rev-parse", "--short", "HEAD")
  const changed = git("status", "--porcelain", "--", "src", "bench")
  return {
    date: new Date().toISOString().slice(0, 16) + "Z",
    command: [`npm run ${script}`, ...args.length === 0 ? [] : ["--", ...args]].join(" "),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: `${process.platform} ${release()}`,
      load: Math.round(loadavg()[0] * 10) / 10,
      pinned: canPin
    },
    versions: {
      "effect-handshake": versionOf(".") +
        (commit === undefined ? "" : ` (${commit}${changed === "" ? "" : ", with changes"})`),
      node: process.versions.node,
      effect: versionOf("node_modules/effect"),
      "@effect/platform-node": versionOf("node_modules/@effect/platform-node"),
      cc: Linebench.compiler()?.version ?? "none"
    }
  }
}

export const settingMarkdown = ({ command, date, machine, versions }: Setting): string =>
  [
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.kernel}; load when it began ${machine.load}`,
    `- ${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}`,
    `- ${date}, \`${command}\``,
    machine.pinned
      ? "- Servers and what is measured in process on core 0, load on core 1"
      : "- **Nothing was bound to a core** (no taskset, or fewer than two cores): expect more noise"
  ].join("\n")

/** Everything that a command has to say, in the three forms in which it is kept. */
export interface Report {
  /** The name of the files. */
  readonly name: string
  readonly title: string
  /** What stands under the title and the setting. */
  readonly markdown: string
  readonly data: unknown
  readonly svg: string
}

/** Where results are kept unless told otherwise. */
export const results = `${root}bench/results`

/** Six digits are more than a measurement has. */
const rounded = (_: string, value: unknown): unknown => typeof value === "number" ? Number(value.toPrecision(6)) : value

/** Writes `NAME.md`, `NAME.json` and `NAME.svg`, and returns their paths. */
export const write = (report: Report, setting: Setting, directory: string): ReadonlyArray<string> => {
  if (!existsSync(directory)) mkdirSync(directory, { recursive: true })
  const files = {
    md: [
      `# ${report.title}`,
      settingMarkdown(setting),
      `![${report.title}](${report.name}.svg)`,
      report.markdown
    ].join("\n\n") + "\n",
    json: JSON.stringify({ title: report.title, ...setting, results: report.data }, rounded, 2) + "\n",
    svg: report.svg
  }
  return Object.entries(files).map(([extension, text]) => {
    const path = `${directory}/${report.name}.${extension}`
    writeFileSync(path, text)
    return path
  })
}
