/**
 * The deadline that the laws set a handshake which has none of its own.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Handshake from "../../../Handshake.ts"
import type * as Rung from "../../Rung.ts"
import type { Role, Side } from "../talk.ts"
import type { AnyOptions } from "./options.ts"

export const defaultDeadline = Duration.seconds(10)

/** On real sockets nobody waits for ten seconds. */
const realDeadline = Duration.seconds(1)

const givenTo = ({ deadline }: AnyOptions, role: Role): Duration.Input | undefined =>
  typeof deadline === "object" && ("server" in deadline || "client" in deadline)
    ? deadline[role]
    : deadline as Duration.Input | undefined // what has none of these is no record of sides

export const deadlineOf = (options: AnyOptions, role: Role, rung: Rung.Rung): Duration.Duration => {
  const deadline = givenTo(options, role)
  return deadline !== undefined
    ? Duration.fromInputUnsafe(deadline)
    : rung.time === "virtual"
    ? defaultDeadline
    : realDeadline
}

/** A handshake that promises no deadline of its own is bounded as `Server` and `Client` do it, or by a `Server`. */
export const bounded = (
  { handshake, role }: Side,
  { isFast }: Rung.Rung,
  options: AnyOptions,
  deadline: Duration.Duration
): Side => {
  if (givenTo(options, role) !== undefined) return { role, handshake }
  return isFast === true && role === "server"
    ? { role, handshake, deadline }
    : { role, handshake: Handshake.deadline(handshake, deadline) }
}
