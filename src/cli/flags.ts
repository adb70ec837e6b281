/**
 * The flags that commands share, and how the command ends.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"

/** Ends the process with this code; whatever there was to say has been said. */
export class Exited extends Data.TaggedError("Exited")<{ readonly code: number }> {
  override readonly [Runtime.errorExitCode] = this.code
  override readonly [Runtime.errorReported] = false
}

/** The exit code after SIGINT or SIGTERM: for most commands they are the user's impatience. */
export const onSignal = { code: 130 }

const units: Record<string, number> = { "": 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** `500`, `500ms`, `10s`, `2m`, `1h`, or a duration as Effect writes it, such as `10 seconds`. */
export const parseDuration = (text: string): Option.Option<Duration.Duration> => {
  const short = /^(\d+(?:\.\d+)?) ?(ms|s|m|h)?$/.exec(text.trim())
  if (short !== null) return Option.some(Duration.millis(Number(short[1]) * units[short[2] ?? ""]))
  return Duration.fromInput(text as Duration.Input)
}

export const duration = (name: string, fallback: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("duration"),
    Flag.withDescription(`${description} (500ms, 10s, 2m; default ${fallback})`),
    Flag.withDefault(fallback),
    Flag.filterMap(parseDuration, (text) => `a duration such as 500ms, 10s or 2m, not "${text}"`)
  )

export const count = (name: string, fallback: number, description: string) =>
  Flag.Int(name).pipe(
    Flag.withDescription(`${description} (default ${fallback})`),
    Flag.withDefault(fallback),
    Flag.filter((n) => n >= 0, (n) => `a number that is not negative, not ${n}`)
  )
