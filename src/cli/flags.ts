/**
 * The flags that commands share, and how the command ends.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { availableParallelism } from "node:os"
import { variable } from "../internal/node/workersWire.ts"

/** Ends the process with this code; whatever there was to say has been said. */
export class Exited extends Data.TaggedError("Exited")<{ readonly code: number }> {
  override readonly [Runtime.errorExitCode] = this.code
  override readonly [Runtime.errorReported] = false
}

/** sysexits.h: EX_USAGE */
export const usage = 64

/** Says on stderr why not, and ends the command. */
export const failing = (message: string, code = 1): Effect.Effect<never, Exited> =>
  Effect.andThen(Console.error(message), Effect.fail(new Exited({ code })))

/** The exit code after SIGINT or SIGTERM: for most commands they are the user's impatience. */
export const onSignal = { code: 130 }

const units: Record<string, number> = { "": 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** What is to be done, known later than when. */
export interface Later {
  on: Effect.Effect<void>
}

/** Whether this process is a worker: what its primary has said already, it does not say again. */
export const isWorker = process.env[variable] !== undefined

/** Whether it takes time, and ends. */
export const isPositive = (duration: Duration.Duration): boolean =>
  Duration.isFinite(duration) && Duration.toMillis(duration) >= 1

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

/** A duration, or none. */
export const optionalDuration = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("duration"),
    Flag.withDescription(`${description} (500ms, 10s, 2m; default none)`),
    Flag.filterMap(parseDuration, (text) => `a duration such as 500ms, 10s or 2m, not "${text}"`),
    Flag.optional
  )

/** A number of processes, or `auto` for as many as this one may use cores. */
const parseWorkers = (text: string): Option.Option<number> =>
  text === "auto"
    ? Option.some(availableParallelism())
    : /^[1-9]\d{0,3}$/.test(text)
    ? Option.some(Number(text))
    : Option.none()

export const workers = Flag.String("workers").pipe(
  Flag.withMetavar("N|auto"),
  Flag.withDescription("Processes that share the connections; auto is one for each core (default 1)"),
  Flag.withDefault("1"),
  Flag.filterMap(parseWorkers, (text) => `a number from 1, or auto, not "${text}"`)
)

export const balance = Flag.Literals("balance", ["even", "shared"]).pipe(
  Flag.withDescription("Who gets a connection: each worker in turn, or whoever is free (default even)"),
  Flag.withDefault("even")
)

/** What a URL of `probe` begins with: no name of a user, which what stands in front of a password may be. */
const scheme = /^(?:proxy\+)?(?:line|tcp|tls|h2c?|postgres(?:ql)?):\/\//i

/**
 * A text in which a password may be, for a message: what is between the first colon and the last `@` of a URL, be it one or
 * not, and parameters for a password.
 */
export const masked = (text: string): string => {
  const from = scheme.exec(text)?.[0].length ?? 0
  const to = text.lastIndexOf("@")
  const colon = text.indexOf(":", from)
  const shown = colon === -1 || colon > to ? text : `${text.slice(0, colon)}:<redacted>${text.slice(to)}`
  return shown.replace(/([?&][^=&?]*password=)[^&]*/gi, "$1<redacted>")
}
