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
export const worked = (): number | undefined => {
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

/** So many milliseconds of work are too many for one turn, on a machine as they are today: of what is long, and of what is not. */
export const tooLong = 200
export const tooBusy = 50

/** A loop that takes a few milliseconds there. */
const yardstick = (): void => {
  let state = 1
  for (let i = 0; i < 2_000_000; i++) state = (Math.imul(state ^ (state >>> 13), 0x5bd1e995) + i) | 0
  // Not to be left out for being of no use.
  if (state === 0.5) throw new Error("no integer")
}

const manyTimes = 4
const measured = 10
const millisOfYardstick = 7

/** How much slower this machine is, from so many looks. */
const slowness = (looks: number): number => {
  const before = worked() ?? 0
  for (let i = 0; i < looks; i++) yardstick()
  return Math.max(1, ((worked() ?? 0) - before) / looks / millisOfYardstick)
}

/**
 * Whether a turn is too long here, where a slow machine has more time: that is asked only where it seems to be, and one look is
 * enough where it is twice too long by that.
 */
export const isLong = (millis: number, most: number): boolean =>
  millis > most && (millis > 2 * most * slowness(1) || millis > most * slowness(measured))

/** How often a turn is looked at that seems to keep others waiting. */
const looks = 3

/**
 * How long the longest turn is of something that has taken so much work, if it keeps others waiting; undefined where it does not.
 * It is done again only where all of it has taken longer than one turn may.
 */
export const busy = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  all: number,
  most = tooBusy
): Effect.Effect<number | undefined, E, R> =>
  all <= most
    ? Effect.succeed(undefined)
    : Effect.map(shortest(effect, most, looks), ([, millis]) => isLong(millis, most) ? millis : undefined)

/**
 * How long the longest turn of an Effect takes at least: where it seems to be too long it is looked at again, for a collection of
 * garbage is nobody's. None takes as long as to be many times too long.
 */
export const shortest = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  most: number,
  looks = 2
): Effect.Effect<readonly [A, number], E, R> =>
  Effect.gen(function*() {
    let least = yield* longest(effect)
    for (let look = 1; look < looks && least[1] > most && least[1] <= manyTimes * most; look++) {
      const again = yield* longest(effect)
      if (again[1] < least[1]) least = again
    }
    return least
  })
