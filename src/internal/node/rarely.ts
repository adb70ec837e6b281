/**
 * What may happen a thousand times a second is said at once for the first time, and then once a minute with how often.
 *
 * @internal
 */

/** Between one time and the next. */
const interval = 60_000

/** The names of what happens are few. */
export const make = <What>(now: () => number, say: (what: What, times: number) => void): (what: What) => void => {
  const known = new Map<What, { said: number; times: number }>()
  return (what) => {
    const at = now()
    const entry = known.get(what)
    if (entry === undefined) {
      known.set(what, { said: at, times: 0 })
      return say(what, 1)
    }
    entry.times += 1
    if (at - entry.said < interval) return
    say(what, entry.times)
    entry.said = at
    entry.times = 0
  }
}
