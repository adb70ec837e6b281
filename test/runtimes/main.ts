/**
 * Runs the checks on whatever runtime runs it, says a line of each, and ends with 1 where one has failed. Its arguments are the
 * words that start the command.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { checks } from "./checks.ts"

let failed = 0

for (const [name, check] of Object.entries(checks(process.argv.slice(2)))) {
  const began = performance.now()
  const exit = await Effect.runPromiseExit(Effect.timeout(check, "30 seconds"))
  const took = `${Math.round(performance.now() - began)} ms`
  if (exit._tag === "Success") {
    console.log(`ok      ${name}  ${took}`)
  } else {
    failed++
    console.log(`FAILED  ${name}  ${took}\n${Cause.pretty(exit.cause).replace(/^/gm, "        ")}`)
  }
}

process.exit(failed === 0 ? 0 : 1)
