/**
 * Who is at the other end of a connection, as far as the connection knows.
 *
 * @since 0.1.0
 */
import * as NetAddress from "effect/net/NetAddress"
import * as Excerpt from "./Excerpt.ts"

/**
 * The two ends of a connection.
 *
 * **Details**
 *
 * `remote` is the other side's address and `local` is this side's. Either is `undefined` where the transport does not
 * say: Effect's own `Socket` has no addresses, and the client end of a Unix socket has no path.
 *
 * `tls` is there from the moment on at which the connection is encrypted by `Transport.startTls`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Peer {
  readonly remote: NetAddress.SocketAddress | undefined
  readonly local: NetAddress.SocketAddress | undefined
  readonly tls?: Tls | undefined
}

/**
 * What a TLS handshake has agreed on, and who the other side has proved to be.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tls {
  /** `TLSv1.2` or `TLSv1.3`. */
  readonly version: string
  /** The cipher suite by its IANA name, such as `TLS_AES_256_GCM_SHA384`. */
  readonly cipher: string
  /** The application protocol that both sides chose (RFC 7301), if they did. */
  readonly alpn: string | undefined
  /** The server's name that the client asked for (SNI, RFC 6066 3): in lower case, without a final dot, in A-labels. */
  readonly servername: string | undefined
  /** Whether an earlier session was resumed, without certificates on the wire. */
  readonly resumed: boolean
  /** Whether the peer's certificate was verified: its chain, and on a client that asks for it the server's name. */
  readonly verified: boolean
  /** The peer's own certificate; a client need not have one. */
  readonly certificate: Certificate | undefined
  /** This side's own certificate, in DER, if it has one, asked for or not: channel bindings need that of the server. */
  readonly localCertificate: Uint8Array | undefined
}

/**
 * A certificate of a peer (X.509, RFC 5280).
 *
 * @category models
 * @since 0.1.0
 */
export interface Certificate {
  /** The distinguished name, such as `CN=example.com`, one attribute a line. Empty where the names are the alternative ones. */
  readonly subject: string
  readonly issuer: string
  /** The subject's alternative names, such as `DNS:example.com, IP Address:127.0.0.1`. */
  readonly subjectAltName: string | undefined
  readonly validFrom: Date
  readonly validTo: Date
  readonly serialNumber: string
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  readonly fingerprint256: string
  /** The certificate in DER. */
  readonly raw: Uint8Array
}

/**
 * A peer of which nothing is known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unknown: Peer = { remote: undefined, local: undefined }

/**
 * The peer's address for people, such as `127.0.0.1:12345`, `unix:///run/app.sock` or `unknown peer`.
 *
 * **Example** (A TCP peer)
 *
 * ```ts
 * import { Peer } from "effect-handshake"
 * import { NetAddress } from "effect/net"
 *
 * const remote = NetAddress.inetAddressFromStringUnsafe("127.0.0.1:12345")
 *
 * console.log(Peer.format({ remote, local: undefined })) // => 127.0.0.1:12345
 * console.log(Peer.format(Peer.unknown)) // => unknown peer
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (self: Peer): string =>
  self.remote === undefined
    ? "unknown peer"
    : self.remote._tag === "UnixPathAddress"
    ? NetAddress.formatUnixPath(self.remote)
    : NetAddress.formatInet(self.remote)

const nameOf = ({ subject, subjectAltName }: Certificate): string =>
  subject !== "" ? subject : subjectAltName ?? "without a name"

const oneLine = (name: string): string => Excerpt.ofText(name.replaceAll("\n", ", "))

/**
 * What TLS has agreed on, for people: `TLSv1.3 with TLS_AES_256_GCM_SHA384, ALPN h2, peer CN=localhost (verified)`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatTls = (self: Tls): string =>
  [
    `${self.version} with ${self.cipher}`,
    ...self.alpn === undefined ? [] : [`ALPN ${oneLine(self.alpn)}`],
    ...self.certificate === undefined
      ? []
      : [`peer ${oneLine(nameOf(self.certificate))} (${self.verified ? "verified" : "not verified"})`]
  ].join(", ")
