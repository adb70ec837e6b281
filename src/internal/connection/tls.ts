/**
 * What TLS is told. TLS itself is the business of sources.
 *
 * @internal
 */
import type * as Redacted from "effect/Redacted"

/**
 * A certificate with its key, as TLS shows it to the peer.
 *
 * **Details**
 *
 * `cert` is the certificate followed by those between it and the authority, in PEM; `key` its private key in PEM.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsCertificate {
  readonly cert: string | Uint8Array
  readonly key: Redacted.Redacted<string | Uint8Array>
  readonly passphrase?: Redacted.Redacted<string> | undefined
}

/**
 * What both sides of TLS may be told.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsOptions {
  /**
   * The application protocols that this side speaks (RFC 7301), the best one first. Default: none is negotiated. A client that
   * would offer more than a ClientHello has room for, 56 KiB, fails as `bad-configuration`.
   */
  readonly alpn?: ReadonlyArray<string> | undefined
  /** The authorities that the peer's certificate may come from, in PEM. Default: those that Node trusts. */
  readonly ca?: string | Uint8Array | ReadonlyArray<string | Uint8Array> | undefined
  /** The oldest version that is spoken. Default: `TLSv1.2`. */
  readonly minVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  /** The newest version that is spoken. Default: `TLSv1.3`. */
  readonly maxVersion?: "TLSv1.2" | "TLSv1.3" | undefined
  /** The cipher suites, as OpenSSL writes them. Default: those of Node. */
  readonly ciphers?: string | undefined
  /**
   * What becomes of the bytes that came already and were not taken. `refuse`, the default, fails as `UnreadBytes`; `feed`
   * gives them to TLS, for a peer that begins TLS without being asked. They are never read as decrypted.
   */
  readonly unread?: "refuse" | "feed" | undefined
}

/**
 * TLS as a client begins it.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsClientOptions extends TlsOptions {
  /** Which side this is: a client begins TLS, a server answers. */
  readonly role: "client"
  /**
   * The name, or the IP address, of the server: its certificate must be for it, and a name is told to it (SNI). However it is
   * written: `Example.com.`, `münchen.example`, `[2001:db8::1]`. What is neither is a `bad-configuration`.
   */
  readonly servername: string
  /**
   * How the server proves who it is. `full`, the default: its certificate comes from a trusted authority and is for
   * `servername`. `authority`: the name does not matter. `none`: anybody is believed, also whoever is in between.
   */
  readonly verify?: "full" | "authority" | "none" | undefined
  /** What this client proves who it is with, to a server that asks. */
  readonly certificate?: TlsCertificate | undefined
}

/**
 * TLS as a server answers it.
 *
 * @category models
 * @since 0.1.0
 */
export interface TlsServerOptions extends TlsOptions {
  readonly role: "server"
  /** What the server shows: its certificates and its key, as PEM. */
  readonly certificate: TlsCertificate
  /**
   * Whether clients show a certificate. `none`, the default: they are not asked. `request`: they are asked, and one that
   * does not come from a trusted authority is refused. `require`: and so are those who have none.
   */
  readonly clientCertificate?: "none" | "request" | "require" | undefined
  /**
   * The certificates of further names, for clients that ask for one (SNI). A name that is not in it gets `certificate`,
   * or is refused with `unknownName: "refuse"`. `*.example.com` stands for one label. Names are written as in `servername`;
   * what is none is a `bad-configuration`.
   */
  readonly names?: Readonly<Record<string, TlsCertificate>> | undefined
  /** What becomes of a client that asks for a name that is not in `names`. Default: it gets `certificate`. */
  readonly unknownName?: "default" | "refuse" | undefined
}
