/**
 * Runs `in-process.ts`, and reads what it prints.
 */
import * as Effect from "effect/Effect"
import { fileURLToPath } from "node:url"
import type { OperationName, Sample, Samples } from "./in-process.ts"
import type { Plan } from "./plan.ts"
import * as Process from "./process.ts"
import * as Stats from "./stats.ts"

const script = fileURLToPath(new URL("in-process.ts", import.meta.url))

/** Measures one codec with frames of one length, decoded in these pieces. */
export const measure = (
  plan: Plan,
  codec: string,
  frameLength: number,
  pieces: ReadonlyArray<number>
): Effect.Effect<Samples, Process.BenchError> =>
  Effect.flatMap(
    Process.run(Process.serverCore, [
      process.execPath,
      script,
      codec,
      `${frameLength}`,
      // There are many of them, and nothing of the network in them.
      `${plan.seconds * 0.3}`,
      `${plan.rounds}`,
      ...pieces.map(String)
    ], "5 minutes"),
    (stdout) =>
      Effect.try({
        try: () => JSON.parse(stdout) as Samples, // it is our own script
        catch: () => new Process.BenchError({ message: `${codec}: no figures in ${stdout.slice(0, 200)}` })
      })
  )

/** One figure of an operation over its rounds. */
export const figure = (
  samples: Samples,
  operation: OperationName,
  of: (sample: Sample) => number
): Stats.Summary | undefined => Stats.summarize((samples[operation] ?? []).map(of))
