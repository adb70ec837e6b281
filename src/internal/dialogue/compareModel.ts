/**
 * What comes of comparing two versions of a dialogue.
 *
 * @internal
 */
import type { Role } from "./model.ts"
import type { JsonSchema } from "./snapshotModel.ts"

/** A message of a conversation: what the side that says it calls it, with fields as an example. */
export interface Line {
  readonly from: Role
  readonly message: string
  readonly fields: JsonSchema
}

/**
 * Where the client of one version and the server of the other part.
 *
 * **Details**
 *
 * | member | what it has |
 * |---|---|
 * | `conversation` | the shortest conversation that comes to it, its last message included |
 * | `at` | the states in which both are then, or `ready`, or `refused` |
 * | `why` | what is not understood |
 * | `ends` | `refusal`: the one who does not understand says no, and the other reads that; else `confusion` |
 * | `how` | the same in words |
 * | `isCertain` | false where it only cannot be decided that all goes well |
 *
 * @category comparing
 * @since 0.1.0
 */
export interface Parting {
  readonly conversation: ReadonlyArray<Line>
  readonly at: { readonly client: string; readonly server: string }
  readonly why: string
  readonly ends: "refusal" | "confusion"
  readonly how: string
  readonly isCertain: boolean
}

/**
 * A client of one version with a server of the other: where they part, if they can, and what may be trouble without parting them,
 * such as fewer bytes or less time.
 *
 * @category comparing
 * @since 0.1.0
 */
export interface Meeting {
  readonly isCompatible: boolean
  readonly parting: Parting | undefined
  readonly warnings: ReadonlyArray<string>
}

/**
 * How two versions of a dialogue get on.
 *
 * @category comparing
 * @since 0.1.0
 */
export interface Comparison {
  readonly name: string
  /** Whether both directions are. */
  readonly isCompatible: boolean
  /** A client of the older version with a server of the newer one. */
  readonly oldClient: Meeting
  /** A client of the newer version with a server of the older one. */
  readonly newClient: Meeting
}
