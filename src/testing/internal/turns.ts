/**
 * How long turns of the event loop last, in CPU time of this thread: that a machine has much else to do is not counted.
 *
 * @internal
 */
import * as Effect from "effect/Effect"

/** What of Node's `process` is used, where there is one. */
interface Platform {
  readonly threadCpuUsage?: () => { readonly user: number; readonly system: number }
}

/** The milliseconds that this thread has worked; undefined where the platform does not tell. */
const worked = (): number | undefined => {
  const usage = (globalThis as { readonly process?: Platform }).process?.threadCpuUsage?.()
  return usage === undefined ? undefined : (usage.user + usage.system) / 1000
}

/** Whether the platform tells how long turns are. */
export const areKnown = (): boolean => worked() !== undefined

/** Runs an Effect, and tells how many milliseconds the longest turn of the event loop has taken that it was a part of. */
export const longest = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<readonly [A, number], E, R> =>
  Effect.suspend(() => {
    let last = worked() ?? 0
    let most = 0
    const look = () => {
      const now = worked() ?? 0
      most = Math.max(most, now - last)
      last = now
    }
    let turn: NodeJS.Immediate
    const next = () => {
      look()
      turn = setImmediate(next)
    }
    turn = setImmediate(next)
    return effect.pipe(
      Effect.map((value) => {
        look()
        return [value, most] as const
      }),
      Effect.ensuring(Effect.sync(() => clearImmediate(turn)))
    )
  })

/** So many milliseconds of work are too many for one turn, on a machine as they are today. */
const tooLong = 200

/** A loop that takes a few milliseconds there. */
const yardstick = (): void => {
  let state = 1
  for (let i = 0; i < 2_000_000; i++) state = (Math.imul(state ^ (state >>> 13), 0x5bd1e995) + i) | 0
  // Not to be left out for being of no use.
  if (state === 0.5) throw new Error("no integer")
}

const measured = 10
const perYardstick = 30

/** How long a turn may last here: a slow machine has more time. It is asked only where a turn seems to be too long. */
export const bound = (): number => {
  const before = worked() ?? 0
  for (let i = 0; i < measured; i++) yardstick()
  return Math.max(tooLong, (perYardstick * ((worked() ?? 0) - before)) / measured)
}

/** Whether it is worth to look again. */
export const seemsLong = (millis: number): boolean => millis > tooLong
