/**
 * The clock on the wall.
 */
import * as Effect from "effect/Effect"

/** How many milliseconds this takes. */
export const timed = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const start = performance.now()
  const result = yield* effect
  return [result, performance.now() - start] as const
})
