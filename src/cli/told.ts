/**
 * Conversations of a dialogue as the command tells them.
 *
 * @internal
 */
import * as Excerpt from "../Excerpt.ts"
import type { Values } from "../internal/dialogue/fields.ts"
import type { Ending, Taken } from "../internal/dialogue/player.ts"

/** A message with its fields. */
export const message = (tag: string, fields: Values): string =>
  Object.keys(fields).length === 0 ? tag : `${tag} ${Excerpt.ofFrame(fields)}`

/** One line for a message: in which state, who, what. */
export const line = ({ by, fields, message: tag, state }: Taken): string => `${state}  ${by}  ${message(tag, fields)}`

/** How a conversation has ended, where it is not ready. */
export const ending = (ended: Exclude<Ending, { readonly _tag: "Ready" }>): string => {
  switch (ended._tag) {
    case "Refused":
      return `refused by the ${ended.by} at ${ended.state}`
    case "Broken":
      return `broken at ${ended.state}: due was ${ended.due}, came ${ended.came}`
    case "Stopped":
      return `no further than ${ended.state}: ${ended.why}`
  }
}

/** Fields for JSON: what JSON has no word for is shown as errors show it. */
export const plain = (fields: Values): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [
      name,
      value === null || ["string", "number", "boolean"].includes(typeof value) ? value : Excerpt.ofFrame(value)
    ])
  )
