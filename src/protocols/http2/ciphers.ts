/**
 * Which cipher suites an HTTP/2 connection may have (RFC 9113 9.2.2 and A).
 *
 * @internal
 */
import type * as Peer from "../../Peer.ts"

// A forbids what has no ephemeral keys or no authenticated encryption. TLS 1.3 has nothing else than both (9.2.3).
const ephemeral = /^TLS_(?:ECDHE|DHE|PSK_DHE)_/
const authenticated = /_(?:GCM|CCM|CHACHA20_POLY1305)(?:_|$)/

export const isProhibited = ({ cipher, version }: Pick<Peer.Tls, "cipher" | "version">): boolean =>
  version !== "TLSv1.3" && !(ephemeral.test(cipher) && authenticated.test(cipher))
