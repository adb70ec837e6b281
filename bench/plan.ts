/**
 * How much is measured, and what commands have in common.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Linebench from "./linebench.ts"
import * as Report from "./report.ts"
import type { Server } from "./servers.ts"
import { untilWarm } from "./warming.ts"

/** What the command line says. */
export interface Plan {
  readonly rounds: number
  /** Of one measurement. */
  readonly seconds: number
  /** Fewer and shorter: to see whether it works, not to compare. */
  readonly quick: boolean
  readonly out: string
  readonly setting: Report.Setting
}

/** Into how many turns each measurement of a round is cut: contenders take turns faster than a machine that is shared changes its pace. */
export const turnsOf = ({ quick }: Plan): number => quick ? 1 : 5

/** The plan's seconds in linebench's words, with a tenth of that and at least 0.1 s before it that does not count. */
export const timed = ({ seconds }: Plan): ReadonlyArray<string> => [
  "-s",
  `${seconds}`,
  "-w",
  `${Math.max(0.1, seconds / 10)}`
]

/** Lets a server's compiler do its work first; what goes wrong will go wrong again when it is measured. */
export const warmUp = (plan: Plan, server: Server, ...args: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.ignore(Effect.gen(function*() {
    const isWarm = untilWarm()
    for (;;) {
      const figures = yield* Linebench.measure(server, ...args, "-s", plan.quick ? "0.6" : "1.5", "-w", "0")
      if (plan.quick || isWarm(figures["cpu_us_per_req"] ?? figures["cpu_ns_per_byte"] ?? 0)) return
    }
  }))

/** Tells how far it is; on standard error, so that standard output has the results only. */
export const progress = (what: string): Effect.Effect<void> => Console.error(`  ${what}`)

/** One line of where it was measured, as long as a plot is wide. */
export const note = ({ setting: { command, date, machine, versions } }: Plan): string => {
  const text = `${machine.cpu}, ${machine.cores} cores · Node ${versions["node"]} · ${date} · ${command}`
  return text.length <= 130 ? text : `${text.slice(0, 129)}…`
}

/** Keeps the results, and says where. */
export const keep = (plan: Plan, report: Report.Report): Effect.Effect<void> =>
  Effect.suspend(() => Console.log(`\n${Report.write(report, plan.setting, plan.out).join("\n")}`))
