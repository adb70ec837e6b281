/**
 * Work that keeps a thread from everything else.
 */
import * as Effect from "effect/Effect"

/** So many milliseconds of work. */
export const working = (millis: number) =>
  Effect.sync(() => {
    const begun = process.threadCpuUsage()
    for (;;) {
      const { system, user } = process.threadCpuUsage(begun)
      if (user + system >= millis * 1000) return
    }
  })
