/**
 * Why a side gives up (RFC 5802 7, server-error-value).
 *
 * @internal
 */
import * as Schema from "effect/Schema"
import { AuthenticationFailed, MalformedFrame } from "../../HandshakeError.ts"
import * as Message from "./message.ts"

export type ClientFailure = MalformedFrame | AuthenticationFailed

export const ServerErrorValue = Schema.Literals(Message.serverErrorValues)

export type ServerErrorValue = typeof ServerErrorValue.Type

export class Refusal extends Schema.TaggedError<Refusal>()("ScramRefusal", {
  error: ServerErrorValue,
  reason: Schema.Union([MalformedFrame, AuthenticationFailed])
}) {
  override get message(): string {
    return this.reason.message
  }
  /** The server-final-message that says so. */
  get reply(): string {
    return `e=${this.error}`
  }
}

export const malformed = ({ excerpt, problem }: Message.Violation): MalformedFrame =>
  new MalformedFrame({ problem, excerpt, fault: "peer" })

export const failed = (method: string, detail: string, fault: "peer" | "local" = "peer"): AuthenticationFailed =>
  new AuthenticationFailed({ method, detail, fault })

export const refusal = (error: ServerErrorValue, reason: MalformedFrame | AuthenticationFailed): Refusal =>
  new Refusal({ error, reason })

export const violation = (violation: Message.Violation): Refusal => refusal(violation.error, malformed(violation))

/** What this side cannot do. */
export const localRefusal = (reason: AuthenticationFailed): Refusal => refusal("other-error", reason)
