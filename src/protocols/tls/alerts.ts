/**
 * What an alert means to whoever is told it (RFC 8446 6, and RFC 5246 7.2 for those of older versions).
 *
 * It is the peer's word, and mostly about this side: what it has found wrong with what it was sent or shown. `asked` stands
 * for what is not in common: then it is the client who asks for something that there is not.
 *
 * @internal
 */
import type { TlsFailureKind } from "../../TransportError.ts"

type Meaning = readonly [kind: TlsFailureKind, fault: "peer" | "local" | "asked"]

interface Alert {
  readonly name: string
  readonly toClient: Meaning
  readonly toServer: Meaning
}

const both = (name: string, kind: TlsFailureKind, fault: Meaning[1]): Alert => ({
  name,
  toClient: [kind, fault],
  toServer: [kind, fault]
})

/** What is said of the certificate of whoever is told. */
const ofCertificate = (name: string, kind: TlsFailureKind): Alert => ({
  name,
  toClient: ["certificate-refused", "local"],
  toServer: [kind, "local"]
})

// RFC 8446 6.2, where nothing else is said.
const alerts: ReadonlyMap<number, Alert> = new Map([
  [10, both("unexpected_message", "protocol", "local")],
  [20, both("bad_record_mac", "bad-record", "local")],
  // RFC 5246 7.2.2; TLS 1.0 alone may say it.
  [21, both("decryption_failed", "bad-record", "local")],
  [22, both("record_overflow", "bad-record", "local")],
  // RFC 5246 7.2.2.
  [30, both("decompression_failure", "bad-record", "local")],
  [40, both("handshake_failure", "no-shared-cipher", "asked")],
  // RFC 6101 5.4.2: the client's answer to being asked for one.
  [41, { name: "no_certificate", toClient: ["protocol", "local"], toServer: ["certificate-required", "peer"] }],
  [42, ofCertificate("bad_certificate", "bad-certificate")],
  [43, ofCertificate("unsupported_certificate", "bad-certificate")],
  [44, ofCertificate("certificate_revoked", "revoked")],
  [45, ofCertificate("certificate_expired", "expired")],
  [46, ofCertificate("certificate_unknown", "bad-certificate")],
  [47, both("illegal_parameter", "protocol", "local")],
  [48, ofCertificate("unknown_ca", "unknown-authority")],
  [49, ofCertificate("access_denied", "bad-certificate")],
  // 6.2: a message that could not be decoded.
  [50, both("decode_error", "bad-record", "local")],
  // 6.2: a signature or a Finished that is wrong.
  [51, both("decrypt_error", "bad-record", "local")],
  // RFC 5246 7.2.2.
  [60, both("export_restriction", "no-shared-cipher", "asked")],
  [70, both("protocol_version", "no-shared-version", "asked")],
  [71, both("insufficient_security", "no-shared-cipher", "asked")],
  // 6.2: "unrelated to the peer or the correctness of the protocol".
  [80, both("internal_error", "protocol", "peer")],
  // RFC 7507 3.
  [86, both("inappropriate_fallback", "protocol", "local")],
  // 6.1: "unrelated to a protocol failure".
  [90, both("user_canceled", "cut", "peer")],
  // RFC 5246 7.2.2.
  [100, both("no_renegotiation", "protocol", "local")],
  [109, both("missing_extension", "protocol", "local")],
  // 6.2: of what it was sent, an extension that it has not offered.
  [110, both("unsupported_extension", "protocol", "local")],
  // RFC 6066 9.
  [111, ofCertificate("certificate_unobtainable", "protocol")],
  [112, both("unrecognized_name", "unknown-name", "asked")],
  // 6.2: of the OCSP response that it was shown.
  [113, ofCertificate("bad_certificate_status_response", "bad-certificate")],
  // RFC 6066 9.
  [114, ofCertificate("bad_certificate_hash_value", "protocol")],
  [115, both("unknown_psk_identity", "protocol", "local")],
  [116, { name: "certificate_required", toClient: ["certificate-required", "local"], toServer: ["protocol", "local"] }],
  [120, both("no_application_protocol", "no-shared-alpn", "asked")]
])

/** How far whoever is told had come. */
export interface Told {
  readonly role: "client" | "server"
  /** Whether the peer has shown a certificate. */
  readonly sawCertificate: boolean
  /** Whether this side has one to show. */
  readonly hasCertificate: boolean
}

const meaningOf = (description: number, told: Told): Meaning => {
  const alert = alerts.get(description)
  // 6.2: it is an error, whatever it is.
  if (alert === undefined) return ["protocol", "peer"]
  if (told.role === "server") return alert.toServer
  // Of a client's certificate TLS 1.2 has no word to say that there is none. Go and Java say bad_certificate, OpenSSL
  // handshake_failure: whoever has shown a certificate of his own has agreed on a cipher before.
  if (description === 116 || description === 42 || description === 40 && told.sawCertificate) {
    return [told.hasCertificate ? "certificate-refused" : "certificate-required", "local"]
  }
  return alert.toClient
}

/** What a failure by an alert is called, and with whom the fault is. */
export const failureOf = (
  description: number,
  told: Told
): { readonly kind: TlsFailureKind; readonly detail: string; readonly fault: "peer" | "local" } => {
  const [kind, fault] = meaningOf(description, told)
  const name = alerts.get(description)?.name ?? "what no standard has a name for"
  return {
    kind,
    detail: `the peer says ${name} (alert ${description})`,
    fault: fault === "asked" ? told.role === "client" ? "local" : "peer" : fault
  }
}

/** The number of an alert by the name that OpenSSL has for it. */
export const numberOf = (name: string): number | undefined => byName.get(name)

const byName: ReadonlyMap<string, number> = new Map([
  ...Array.from(alerts, ([description, { name }]) => [name.toUpperCase(), description] as const),
  ["USER_CANCELLED", 90]
])
