/**
 * What a server logs of its connections.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { isHandshakeError } from "../../HandshakeError.ts"
import * as Peer from "../../Peer.ts"
import { isTransportError } from "../../TransportError.ts"

/**
 * Logs how a connection has failed: what this side did wrong as a warning, a defect as an error, and what peers do, which
 * is their business, for those who debug.
 */
export const report = (cause: Cause.Cause<unknown>, id: number, peer: Peer.Peer): Effect.Effect<void> => {
  const error = Cause.squash(cause)
  const annotate = Effect.annotateLogs({ connection: id, peer: Peer.format(peer) })
  if (Cause.hasDies(cause)) return annotate(Effect.logError("a connection has died of a defect", cause))
  if (isHandshakeError(error) || isTransportError(error)) {
    const reason: { readonly _tag: string; readonly cause?: unknown } = error.reason
    // To turn a peer away is this side's doing, but nothing to mend, unless something has gone wrong here.
    const mine = error.fault === "local" && (reason._tag !== "Rejected" || reason.cause !== undefined)
    if (!mine) return annotate(Effect.logDebug(error.message))
    const causes = reason.cause === undefined ? [] : [Cause.fail(reason.cause)]
    return annotate(Effect.logWarning(error.message, ...causes))
  }
  return annotate(Effect.logWarning("the service of a connection has failed", cause))
}
