/**
 * The mechanisms and the choice among them (RFC 5802 4 and 6, RFC 7677 3).
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import type { AuthenticationFailed } from "../../HandshakeError.ts"
import type { Binding } from "./channelBinding.ts"
import { failed } from "./errors.ts"

export type Mechanism = "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS"

/** RFC 5802 4: the one with -PLUS is for channel binding. */
export const bound: Mechanism = "SCRAM-SHA-256-PLUS"
export const unbound: Mechanism = "SCRAM-SHA-256"

export interface Chosen {
  readonly mechanism: Mechanism
  readonly binding: Binding
}

/**
 * RFC 5802 6, at the client:
 *
 *            | -PLUS is offered | it is not
 * can bind   | p=               | y: what was taken away on the way is noticed
 * cannot     | n                | n
 */
export const choose = (options: {
  /** The server's mechanisms by their names. Others are passed over. */
  readonly offered: ReadonlyArray<string>
  /** Undefined without TLS, or where the certificate has no binding. */
  readonly endPoint: Uint8Array | undefined
  /** Default: `prefer`. */
  readonly channelBinding?: "disable" | "prefer" | "require" | undefined
}): Result.Result<Chosen, AuthenticationFailed> => {
  const { channelBinding = "prefer", endPoint, offered } = options
  const canBind = endPoint !== undefined && channelBinding !== "disable"
  if (channelBinding === "require" && !canBind) {
    return Result.fail(
      failed(bound, "channel binding is required, and this connection has nothing to bind to", "local")
    )
  }
  if (canBind && offered.includes(bound)) {
    return Result.succeed({ mechanism: bound, binding: { _tag: "EndPoint", data: endPoint } })
  }
  if (channelBinding === "require") {
    return Result.fail(failed(bound, "channel binding is required, and the server does not offer it"))
  }
  return offered.includes(unbound)
    ? Result.succeed({ mechanism: unbound, binding: { _tag: canBind ? "NotOffered" : "Unsupported" } })
    : Result.fail(
      failed("SASL", `${unbound} is not among what the server offers: ${Excerpt.ofText(offered.join(", "))}`)
    )
}
