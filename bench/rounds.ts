/**
 * Interleaved rounds: in each round everything that is compared is measured once, so that what disturbs the machine for
 * a while disturbs all of it.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Plan from "./plan.ts"
import type { BenchError } from "./process.ts"
import * as Stats from "./stats.ts"

/** What one measurement has given, or why it has given nothing. */
export type Outcome<A> = { readonly value: A } | { readonly error: string }

/** The outcomes of what was measured, by its name: one for each round. */
export type Outcomes<A> = ReadonlyMap<string, ReadonlyArray<Outcome<A>>>

/** Measures each case once a round. A case that fails is recorded as failed; the others go on. */
export const interleaved = <A>(
  what: string,
  count: number,
  cases: ReadonlyArray<readonly [name: string, measure: Effect.Effect<A, BenchError>]>
): Effect.Effect<Outcomes<A>> =>
  Effect.gen(function*() {
    const outcomes = new Map<string, Array<Outcome<A>>>(cases.map(([name]) => [name, []]))
    for (let round = 0; round < count; round++) {
      yield* Plan.progress(`${what}, round ${round + 1} of ${count}`)
      for (const [name, measure] of Stats.rotated(cases, round)) {
        const result = yield* Effect.result(measure)
        outcomes.get(name)!.push( // each case has its entry
          Result.isSuccess(result) ? { value: result.success } : { error: result.failure.message }
        )
      }
    }
    return outcomes
  })

/** One figure of each round. */
export const column = <A>(
  outcomes: ReadonlyArray<Outcome<A>> | undefined,
  figure: (value: A) => number | undefined
): ReadonlyArray<number | undefined> =>
  (outcomes ?? []).map((outcome) => "value" in outcome ? figure(outcome.value) : undefined)

/** How many rounds have failed, and how the first of them did; nothing where none has. */
export const failed = (outcomes: ReadonlyArray<Outcome<unknown>>): string => {
  const errors = outcomes.flatMap((outcome) => "error" in outcome ? [outcome.error] : [])
  return errors.length === 0 ? "" : `${errors.length} of ${outcomes.length} rounds failed: ${errors[0]}`
}

/** The failures of all cases as a list; nothing where there are none. */
export const failures = (outcomes: Outcomes<unknown>): ReadonlyArray<string> => {
  const all = Array.from(outcomes).flatMap(([name, ofCase]) =>
    failed(ofCase) === "" ? [] : [`- ${name}: ${failed(ofCase)}`]
  )
  return all.length === 0 ? [] : [all.join("\n")]
}
