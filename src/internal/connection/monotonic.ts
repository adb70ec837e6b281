/**
 * Time that only passes. The wall's clock is set, by NTP or when a machine wakes up, and nobody's deadline may come of that.
 *
 * @internal
 */
import type * as Clock from "effect/Clock"

/** Milliseconds since some moment in the past. */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** What is due within a microsecond is due: sums of fractions differ by less, and for less than a nanosecond nobody sleeps at all. */
export const tick = 1e-3

/** For how long to sleep until then. The time passes, if it is not there yet: a clock that others move would stand still otherwise. */
export const until = (at: number, now: number): number => at <= now ? 0 : Math.max(at - now, tick)
