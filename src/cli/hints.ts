/**
 * What the user of `probe` may do about a server that was not ready. Nothing is said where nothing is known.
 *
 * @internal
 */
import type { HandshakeError } from "../HandshakeError.ts"
import * as Postgres from "../protocols/Postgres.ts"

/** What was probed with. */
export interface Probed {
  readonly protocol: string
  /** Of the URL, as they stand there. */
  readonly query: URLSearchParams
  /** Whether there was a password to show. */
  readonly hasPassword: boolean
}

const takesPassword = ["password", "md5", "scram-sha-256"]

const ofPostgres = (error: HandshakeError, { hasPassword, query }: Probed): string | undefined => {
  const { reason, step } = error
  if (reason._tag === "AuthenticationFailed") {
    if (reason.method === "GSSAPI" || reason.method === "SSPI" || reason.method === "Kerberos V5") {
      return "a line of the server's pg_hba.conf with scram-sha-256 in the place of its method lets in with a password"
    }
    if (!takesPassword.includes(reason.method)) return undefined
    if (reason.fault === "local" && !hasPassword) return "passwords come from the URL, --password-file or PGPASSWORD"
    const isOpen = reason.method !== "scram-sha-256" && reason.fault === "peer"
    return isOpen && !query.has("require_auth") && query.get("channel_binding") !== "require"
      ? `with sslmode=verify-full it is shown to the right server only; require_auth=${reason.method} shows it to anybody`
      : undefined
  }
  const refusal = Postgres.serverError(error)
  if (refusal?.code === "28000") {
    const { message } = refusal.fields
    // These are PostgreSQL's own words; a server that speaks another language gives no hint.
    if (message.includes("valid client certificate")) return "--tls-cert FILE and --tls-key FILE show a certificate"
    if (message.startsWith("certificate authentication failed")) {
      return "the certificate of --tls-cert has to be for the user: its name (CN) is looked at"
    }
    if (message.includes("no encryption") || message.includes("SSL off")) return "sslmode=require in the URL encrypts"
  }
  // An older server takes the first bytes of TLS for a start-up packet, and closes.
  const isUnheard = step === "start TLS" && error.fault !== "local" && query.get("sslnegotiation") === "direct" &&
    (reason._tag !== "TlsFailure" || ["cut", "not-tls", "no-shared-alpn"].includes(reason.kind))
  return isUnheard
    ? "PostgreSQL before 17 does not know TLS from the first byte: leave out sslnegotiation=direct"
    : undefined
}

export const hint = (error: HandshakeError, probed: Probed): string | undefined => {
  const isPostgres = probed.protocol === "postgres"
  const own = isPostgres ? ofPostgres(error, probed) : undefined
  const { reason } = error
  if (own !== undefined || reason._tag !== "TlsFailure") return own
  const unverified = isPostgres ? "sslmode=require in the URL" : "--tls-verify none"
  switch (reason.kind) {
    case "unknown-authority":
    case "self-signed": {
      // So OpenSSL says that it has the certificate alone.
      const isAlone = reason.detail.includes("unable to verify the first certificate")
      const instead = isAlone ? ", unless the server leaves out those between its own certificate and one of them" : ""
      return `--tls-ca FILE names the authorities to trust${instead}; with ${unverified} anybody is believed`
    }
    case "wrong-name":
      return "--tls-name NAME says for whom the certificate has to be"
    case "certificate-required":
      return "--tls-cert FILE and --tls-key FILE show a certificate"
    case "not-tls":
      return "is it the right port? What wants STARTTLS begins in clear, and is none of tls://"
    case "bad-record":
      return "what came makes no sense: is there a box in between that changes TLS?"
    default:
      return undefined
  }
}
