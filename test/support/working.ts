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

/** Microseconds of work that nobody has done. */
let pretended = 0

/**
 * The same for whoever asks how long this thread has worked: nobody does it, or the tests of what works too long would take longer
 * than all else in them. That what is really done is seen as well, `working` shows, and what takes long by itself.
 */
export const pretending = (millis: number) =>
  Effect.sync(() => {
    pretended += millis * 1000
  })

const { threadCpuUsage } = process

process.threadCpuUsage = (since) => {
  const { system, user } = threadCpuUsage.call(process)
  const now = { system, user: user + pretended }
  return since === undefined ? now : { system: now.system - since.system, user: now.user - since.user }
}
