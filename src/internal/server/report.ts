/**
 * What a server logs of its connections.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Excerpt from "../../Excerpt.ts"
import { type HandshakeError, isHandshakeError } from "../../HandshakeError.ts"
import * as Peer from "../../Peer.ts"
import { isTransportError, type TlsFailureKind, type TransportError } from "../../TransportError.ts"

/** The kinds of a failure of TLS that this side has found out about itself. */
const found: ReadonlySet<TlsFailureKind> = new Set(["bad-configuration", "unsupported", "no-shared-alpn"])

/** What has gone wrong here, where somebody has told. */
const causeOf = ({ reason }: HandshakeError | TransportError): unknown => "cause" in reason ? reason.cause : undefined

/**
 * Whether there is something to mend here, as far as this side knows. To turn a peer away is its own doing, unless something has
 * gone wrong here; and that a certificate is not trusted, or a record was broken, is what the peer says, as often as it likes and
 * whoever it is.
 */
const isMine = (error: HandshakeError | TransportError): boolean => {
  const { fault, reason } = error
  if (fault !== "local") return false
  if (reason._tag === "Rejected") return causeOf(error) !== undefined
  return reason._tag !== "TlsFailure" || found.has(reason.kind)
}

/**
 * Logs how a connection has failed: what this side did wrong as a warning, a defect as an error, and what peers do and
 * say, which is their business, for those who debug.
 */
export const report = (cause: Cause.Cause<unknown>, id: number, peer: Peer.Peer): Effect.Effect<void> => {
  const error = Cause.squash(cause)
  const annotate = Effect.annotateLogs({
    connection: id,
    peer: Peer.format(peer),
    ...(peer.user !== undefined && { user: Excerpt.ofText(peer.user) }),
    ...(peer.socket !== undefined && { socket: Peer.format(peer.socket) })
  })
  if (Cause.hasDies(cause)) return annotate(Effect.logError("a connection has died of a defect", cause))
  if (isHandshakeError(error) || isTransportError(error)) {
    if (!isMine(error)) return annotate(Effect.logDebug(error.message))
    const cause = causeOf(error)
    return annotate(Effect.logWarning(error.message, ...(cause === undefined ? [] : [Cause.fail(cause)])))
  }
  return annotate(Effect.logWarning("the service of a connection has failed", cause))
}
