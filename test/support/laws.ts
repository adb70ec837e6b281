/**
 * What registers laws.
 *
 * Laws provoke failures by the thousand, and a fifth of their time would go into taking the stacks of those. Nobody sees any:
 * a violation has none, and says what has failed in words. Who looks for a bug in the laws themselves gives them his own `it`.
 */
import { env } from "node:process"
import { it as test } from "vitest"
import type * as Laws from "../../src/testing/Laws.ts"

const withoutStacks = async (run: () => Promise<void>): Promise<void> => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    await run()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/**
 * How many cases the laws of whatever is healthy try: a fifth of what is usual, for the sake of time, and others each time. More
 * of them: `RUNS=200 npm test`.
 */
export const runs = Number(env["RUNS"] ?? 40)

/** Some laws are three seconds of work, which a machine that does much else makes half a minute. */
const timeout = 60_000

/** Vitest's `it` for laws: a test that nothing else runs beside. */
export const it: Laws.Register = Object.assign(
  (name: string, run: () => Promise<void>) => test(name, () => withoutStacks(run), timeout),
  { skip: test.skip }
)
