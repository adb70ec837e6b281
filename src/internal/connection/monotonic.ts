/**
 * Time that only passes. The wall's clock is set, by NTP or when a machine wakes up, and nobody's deadline may come of that.
 *
 * @internal
 */
import type * as Clock from "effect/Clock"

/** Milliseconds since some moment in the past. */
export const millisOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
