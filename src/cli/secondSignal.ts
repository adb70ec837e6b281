/**
 * The second signal: whoever asks again does not want to wait for the drain.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Flags from "./flags.ts"

/** Within so many milliseconds two signals are one: Ctrl-C under npm comes from the terminal, and again from npm. */
const sameSignal = 500

/**
 * Runs `on` when there is a second signal; the first one is for `runMain`. It stays until the process ends, so that further
 * ones are of no effect.
 */
export const watch = Effect.sync(() => {
  const hurry = { on: Effect.void }
  let first: number | undefined
  const onSignal = () => {
    const now = performance.now()
    first ??= now
    if (now - first < sameSignal) return
    Flags.onSignal.code = 130
    Effect.runFork(hurry.on)
  }
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal)
  return hurry
})
