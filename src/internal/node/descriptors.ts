/**
 * The file descriptors that this process may have, of which each connection takes one.
 *
 * @internal
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { readFileSync } from "node:fs"
import * as Monotonic from "../connection/monotonic.ts"
import * as Rarely from "./rarely.ts"

/** The first number of the line, which is the limit that counts: proc(5). */
export const limitOf = (limits: string): number | undefined => {
  const found = /^Max open files +(\d+)/m.exec(limits)
  return found === null ? undefined : Number(found[1])
}

/** How many this process may have, where the system says so. */
export const limit = (): number | undefined => {
  try {
    return limitOf(readFileSync("/proc/self/limits", "latin1"))
  } catch {
    return undefined
  }
}

/** What a process of Node has open besides connections, and a little more. */
export const reserve = 64

/** What is wrong with a limit of this process for connections, if something is. */
export const tooMany = (maxConnections: number, descriptors: number | undefined): string | undefined =>
  descriptors === undefined || maxConnections + reserve <= descriptors
    ? undefined
    : `${maxConnections} connections are more than fit into the ${descriptors} file descriptors of a process (ulimit -n)`

const failures = Metric.counter("handshake.accept_failures", {
  description: "Times that a connection could not be accepted, or took the last file descriptor",
  incremental: true
})

/** What Node's sockets have, and its types do not tell. */
interface WithHandle {
  readonly _handle?: { readonly fd?: unknown } | null
}

/** The descriptor of a connection, where Node tells it. */
const descriptorOf = (conn: object): number => {
  const fd = (conn as WithHandle)._handle?.fd
  return typeof fd === "number" ? fd : -1
}

/**
 * Whether this connection has the last descriptor: the lowest that is free is given out. Of what comes then nobody is told:
 * libuv accepts and closes it.
 */
export const isLast = (conn: object, descriptors: number | undefined): boolean =>
  descriptors !== undefined && descriptorOf(conn) + 1 >= descriptors

/** What `isLast` means, as an error of accepting. */
export const exhausted = (): Error => Object.assign(new Error("accept EMFILE"), { code: "EMFILE" })

/** Counts that connections cannot be accepted, and says so once a minute. */
export const acceptFailed = (
  clock: Clock.Clock,
  run: (effect: Effect.Effect<void>) => void
): (cause: Error) => void => {
  const say = Rarely.make<string>(
    () => Monotonic.millisOf(clock),
    (why, times) =>
      run(Effect.logWarning(`cannot accept connections: ${why}${times === 1 ? "" : `; ${times} times since`}`))
  )
  return (cause) => {
    run(Metric.update(failures, 1))
    say(outOf(cause) ?? cause.message)
  }
}

/** What an error for want of descriptors means, of accepting, of dialling and of listening: errno(3). */
export const outOf = (cause: unknown): string | undefined => {
  switch (cause instanceof Error && "code" in cause ? cause.code : undefined) {
    case "EMFILE":
      return "this process has no file descriptors left (EMFILE, ulimit -n)"
    case "ENFILE":
      return "this system has no file descriptors left (ENFILE)"
    default:
      return undefined
  }
}
