/**
 * The flags that say how much a server takes, and who comes in. With `--limits FILE` the file goes before them, and is read again
 * on SIGHUP.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type * as Server from "../Server.ts"
import * as Admit from "./admit.ts"
import * as Flags from "./flags.ts"

/** What a file may say. */
export interface Changing extends Admit.AdmitFlags {
  readonly maxConnections: number
  readonly maxPending: number
  readonly handshakeTimeout: Duration.Duration
  readonly writeTimeout: Option.Option<Duration.Duration>
}

export interface Options extends Changing {
  readonly drainTimeout: Duration.Duration
  readonly limits: Option.Option<string>
  /** In how many processes it serves. Default: one. */
  readonly workers?: number
  /** The part of a limit that is this process's. Default: the whole. */
  readonly share?: (limit: number) => number
}

export const flags = {
  maxConnections: Flags.count("max-connections", 16_384, "Connections at once; further ones are refused"),
  maxPending: Flags.count("max-pending", 1024, "Handshakes at once; further ones are refused"),
  handshakeTimeout: Flags.duration("handshake-timeout", "10s", "From accept to ready"),
  drainTimeout: Flags.duration("drain-timeout", "10s", "How long requests may go on after SIGTERM or SIGINT"),
  writeTimeout: Flags.optionalDuration("write-timeout", "How long a peer may leave what is written to it"),
  ...Admit.flags,
  limits: Flag.Path("limits", { typeName: "file" }).pipe(
    Flag.withDescription(
      "JSON with limits by the names of their flags, {\"max-connections\": 1000, \"admit-rate\": \"10/s\"}, which go before the " +
        "flags; read again on SIGHUP"
    ),
    Flag.optional
  )
}

/** The options of `Server` that say so. */
export type Settings = Server.Limits & {
  readonly limits?: SubscriptionRef.SubscriptionRef<Server.Limits>
  readonly admission: Admit.Made | undefined
}

export interface Told<O> {
  /** The flags, and what the file says instead of some of them as the server starts. */
  readonly options: O
  readonly settings: Settings
}

/** Why a limit is of no use, if it is. */
export const problemOf = (
  { maxConnections, maxPending }: Changing,
  { workers = 1 }: Options
): string | undefined => {
  for (const [name, limit] of [["connections", maxConnections], ["pending", maxPending]] as const) {
    if (limit > 0 && limit < workers) {
      return `max-${name} ${limit} is too little for ${workers} workers: each needs a part of it`
    }
  }
  return undefined
}

/** The limits of this process. */
export const limitsOf = (
  { handshakeTimeout, maxConnections, maxPending, writeTimeout }: Changing,
  { share = (limit) => limit }: Options
): Server.Limits => ({
  maxConnections: share(maxConnections),
  maxPendingHandshakes: share(maxPending),
  handshakeTimeout,
  writeTimeout: Option.getOrUndefined(writeTimeout)
})

/** What the flags and the file say. What is to happen when the file was read again is told later. */
export const told = <O extends Options>(
  options: O,
  readAgain: Flags.Later
): Effect.Effect<Told<O>, Flags.Exited, FileSystem.FileSystem | Scope.Scope> => {
  if (Option.isSome(options.limits)) {
    const path = options.limits.value
    return Effect.flatMap(
      Effect.promise(() => import("./limitsFile.ts")),
      (file) => file.told(options, path, readAgain)
    )
  }
  const problem = problemOf(options, options)
  return problem === undefined
    ? Effect.succeed({
      options,
      settings: {
        ...limitsOf(options, options),
        drainTimeout: options.drainTimeout,
        admission: Admit.admission(options)
      }
    })
    : Flags.failing(`--${problem}`, Flags.usage)
}
