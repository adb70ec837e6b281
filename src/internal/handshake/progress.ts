/**
 * How far a handshake has come, for whoever has to say so from outside when it is cut off.
 *
 * @internal
 */
import * as Context from "effect/Context"

export interface Progress {
  protocol: string
  /** Asked for only where something has gone wrong. */
  step: () => string
}

export const make = (protocol = "unnamed"): Progress => ({ protocol, step: () => "connect" })

export const CurrentProgress: Context.Reference<Progress | undefined> = Context.Reference<Progress | undefined>(
  "effect-handshake/internal/CurrentProgress",
  { defaultValue: () => undefined }
)
