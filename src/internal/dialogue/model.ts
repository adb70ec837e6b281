/**
 * What a dialogue is, as it is written down.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import type { Wire } from "../../Wire.ts"

export type Role = "client" | "server"

/** Whose turn it is. */
export type Turn = Role | "both"

/** The handshake is done, and goes on with the live codec: that of the dialogue unless it has one of its own. */
export interface Ready<out L = undefined> {
  readonly _tag: "Ready"
  readonly live: L
}

/** The handshake ends, for the one who says this does not want the other. */
export interface Refused {
  readonly _tag: "Refused"
  readonly retryable: boolean
  readonly code: string | undefined
  readonly codeField: string | undefined
  readonly retryAfterField: string | undefined
}

/** The connection is encrypted, and then goes on in this state. */
export interface Encrypted<out S extends string> {
  readonly _tag: "Encrypted"
  readonly state: S
}

/** Where a message leads: to a state, by its name, or to an end. */
export type Target = string | Ready<unknown> | Refused | Encrypted<string>

/** The messages of a state, and where they lead. */
export type Says = Readonly<Record<string, Target>>

export interface Limits {
  /** How long this state may last, from when it is come to until its message is there. Default: that of the dialogue. */
  readonly within?: Duration.Input | undefined
  /** How many bytes its message may have. Default: that of the dialogue. */
  readonly maxBytes?: number | undefined
  /**
   * How often it may be come to. Default: 16 for a state in a loop. Where the other side says what leads there once more, it breaks
   * the rules; a side that says so itself fails as `MalformedFrame` by its own fault, and the other one hears nothing of that.
   */
  readonly atMost?: number | undefined
  /** How messages look in it. Default: the wire of the dialogue. */
  readonly wire?: Wire<never> | undefined
}

export interface State<out R extends Turn, out S extends Says> extends Limits {
  readonly turn: R
  readonly says: S
}

export type States = Readonly<Record<string, State<Turn, Says>>>
