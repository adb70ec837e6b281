/**
 * Who is at the other end of a connection, as far as the connection knows.
 *
 * @stability stable
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import * as NetAddress from "effect/net/NetAddress"
import * as Excerpt from "./Excerpt.ts"

/**
 * The addresses of the two ends of a connection.
 *
 * **Details**
 *
 * `remote` is the other side's address and `local` is this side's. Either is `undefined` where the transport does not
 * say: Effect's own `Socket` has no addresses, and the client end of a Unix socket has no path.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ends {
  readonly remote: NetAddress.SocketAddress | undefined
  readonly local: NetAddress.SocketAddress | undefined
}

/**
 * Who is at the other end of a connection.
 *
 * **Details**
 *
 * The addresses are those of the socket until a handshake introduces others (`Handshake.introduce`): then they are the
 * introduced ones, and `socket` has those of the socket. `user` and `via` are there where a handshake has introduced
 * them.
 *
 * `tls` is there once the connection is encrypted by `Transport.startTls`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Peer extends Ends {
  readonly tls?: Tls | undefined
  /** Who it is, by the name that it has logged in with. */
  readonly user?: string | undefined
  /** How it was introduced, such as `proxy`. */
  readonly via?: string | undefined
  /** Where the connection itself comes from and goes to, where `remote` and `local` were introduced. */
  readonly socket?: Ends | undefined
}

/**
 * What a handshake has learnt of its peer. What is left out, or `undefined`, stays as it is.
 *
 * **Details**
 *
 * `via` says how it was learnt, in one of few words of the program's own: metrics have a series for each.
 *
 * @category models
 * @since 0.1.0
 */
export interface Introduction {
  /** Whom the connection comes from, where that is not who is at the other end of the socket. */
  readonly remote?: NetAddress.SocketAddress | undefined
  /** What address that one has connected to. */
  readonly local?: NetAddress.SocketAddress | undefined
  readonly user?: string | undefined
  readonly via?: string | undefined
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
  /**
   * The distinguished name, such as `CN=example.com`, one attribute a line. Empty where the certificate has alternative
   * names only.
   */
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
 * The ends of the socket itself, whoever was introduced.
 *
 * **When to use**
 *
 * Use where it matters which machine is at the other end, such as to decide whether it is trusted. What `remote` says was
 * learnt of it.
 *
 * @category getters
 * @since 0.1.0
 */
export const socketOf = ({ local, remote, socket }: Peer): Ends => socket ?? { remote, local }

/**
 * The peer as it is known once it was introduced. The addresses of the socket itself are kept in `socket`.
 *
 * **Example** (A client behind a proxy)
 *
 * ```ts
 * import { Peer } from "effect-handshake"
 * import { NetAddress } from "effect/net"
 *
 * const proxy = NetAddress.inetAddressFromStringUnsafe("10.0.0.1:41234")
 * const client = NetAddress.inetAddressFromStringUnsafe("203.0.113.7:56324")
 *
 * const peer = Peer.introduce({ remote: proxy, local: undefined }, { remote: client, user: "alice", via: "proxy" })
 *
 * console.log(Peer.format(peer)) // => 203.0.113.7:56324
 * console.log(Peer.format(Peer.socketOf(peer))) // => 10.0.0.1:41234
 * ```
 *
 * @see `Handshake.introduce`, which does this to the peer of a connection
 *
 * @category combinators
 * @since 0.1.0
 */
export const introduce: {
  (who: Introduction): (self: Peer) => Peer
  (self: Peer, who: Introduction): Peer
} = dual(2, (self: Peer, { local, remote, user, via }: Introduction): Peer => ({
  ...self,
  remote: remote ?? self.remote,
  local: local ?? self.local,
  ...(user !== undefined && { user }),
  ...(via !== undefined && { via }),
  ...((remote !== undefined || local !== undefined) && { socket: socketOf(self) })
}))

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
export const format = (self: Ends): string =>
  self.remote === undefined
    ? "unknown peer"
    : self.remote._tag === "UnixPathAddress"
    ? NetAddress.formatUnixPath(self.remote)
    : NetAddress.formatInet(self.remote)

/**
 * Who was introduced, for people: `alice from 203.0.113.7:56324 by 10.0.0.1:41234`.
 *
 * @category formatting
 * @since 0.1.0
 */
export const formatIntroduced = (self: Peer): string =>
  [
    ...self.user === undefined ? [] : [`${oneLine(self.user)} from`],
    format(self),
    ...self.socket === undefined ? [] : [`by ${format(self.socket)}`]
  ].join(" ")

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
