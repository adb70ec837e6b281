/**
 * Whether the library does no more for a connection, a request, a call and a byte than it may: counts and no times, held to
 * `budget.json`.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { BenchError } from "../process.ts"
import * as Report from "../report.ts"

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const budgetPath = at("../budget.json")

const Figures = Schema.Record(Schema.String, Schema.Finite)

const figuresOf = (text: string) =>
  Effect.mapError(
    Schema.decodeUnknownEffect(Schema.fromJsonString(Figures))(text),
    (error) => new BenchError({ message: `no figures: ${error.message}` })
  )

// Predictable, and nothing compiled on the way: the same things are allocated each time. The young generation holds all of
// a run.
const flags = [
  "--expose-gc",
  "--predictable",
  "--no-opt",
  "--min-semi-space-size=64",
  "--max-semi-space-size=64"
]

const counted = Effect.flatMap(
  Effect.callback<string, BenchError>((resume) => {
    let output = ""
    const child = spawn(process.execPath, [...flags, at("../counts.ts")], { stdio: ["ignore", "pipe", "inherit"] })
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text
    })
    child.on("error", ({ message }) => resume(Effect.fail(new BenchError({ message }))))
    child.on("close", (code, signal) =>
      resume(
        code === 0
          ? Effect.succeed(output)
          : Effect.fail(new BenchError({ message: `counting ended with ${code ?? signal}` }))
      ))
    return Effect.sync(() => child.kill())
  }),
  figuresOf
)

/**
 * What differs between two runs of the same code and a little more: a tenth of what outlives a connection, which is little, 2 % of other
 * bytes, and nothing of what is counted by ones.
 */
export const allowance = (name: string): number =>
  name.includes("full collection") ? 1.1 : name.includes("bytes") ? 1.02 : 1.001

export interface Verdict {
  readonly name: string
  readonly count: number | undefined
  readonly budget: number | undefined
  /** What is wrong with it. */
  readonly wrong: string | undefined
}

/** What was counted beside what may be, each name of either. */
export const verdicts = (
  counts: Readonly<Record<string, number>>,
  budget: Readonly<Record<string, number>>
): ReadonlyArray<Verdict> =>
  [...new Set([...Object.keys(budget), ...Object.keys(counts)])].map((name) => {
    const [count, allowed] = [counts[name], budget[name]] as [number | undefined, number | undefined]
    const wrong = count === undefined
      ? "was not counted"
      : allowed === undefined
      ? "has no budget"
      : count > allowed * allowance(name) + Number.EPSILON
      ? "has grown"
      : undefined
    return { name, count, budget: allowed, wrong }
  })

const rounded = (count: number | undefined): string =>
  count === undefined
    ? ""
    : count >= 100
    ? Math.round(count).toLocaleString("en")
    : `${Math.round(count * 1000) / 1000}`

export const check = Effect.fnUntraced(function*(options: { readonly write: boolean }) {
  const counts = yield* counted
  if (options.write) {
    const kept = Object.fromEntries(
      Object.entries(counts).map(([name, count]) => [name, Math.round(count * 1e4) / 1e4])
    )
    writeFileSync(budgetPath, `${JSON.stringify(kept, undefined, 2)}\n`)
  }
  const found = verdicts(counts, yield* figuresOf(readFileSync(budgetPath, "utf8")))
  yield* Console.log(Report.table(
    ["what, once", "counted", "budget", ""],
    found.map(({ budget, count, name, wrong }) => [name, rounded(count), rounded(budget), wrong ?? ""]),
    { left: 1 }
  ))
  const wrong = found.filter((verdict) => verdict.wrong !== undefined)
  if (wrong.length > 0) {
    return yield* new BenchError({
      message: `${wrong.map(({ name, wrong }) => `${name} ${wrong}`).join("; ")}. ` +
        "What is worth it is written into bench/budget.json by `npm run bench -- check --write`."
    })
  }
})
