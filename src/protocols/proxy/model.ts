/**
 * What a PROXY header says, in either version.
 *
 * @internal
 */
import type * as NetAddress from "effect/net/NetAddress"

export type Version = 1 | 2

export type Tlv =
  | { readonly _tag: "Alpn"; readonly protocol: string }
  | { readonly _tag: "Authority"; readonly name: string }
  | { readonly _tag: "Crc32c" }
  | { readonly _tag: "Noop"; readonly value: Uint8Array }
  | { readonly _tag: "UniqueId"; readonly id: Uint8Array }
  | { readonly _tag: "Netns"; readonly name: string }
  | Ssl
  | Other

export interface Other {
  readonly _tag: "Other"
  readonly type: number
  readonly value: Uint8Array
}

export interface Ssl {
  readonly _tag: "Ssl"
  readonly overTls: boolean
  readonly certificate: "none" | "connection" | "session" | "both"
  readonly verify: number
  readonly tlvs: ReadonlyArray<SslTlv>
}

type SslName = "Version" | "CommonName" | "Cipher" | "SignatureAlgorithm" | "KeyAlgorithm"

export type SslTlv = { [Tag in SslName]: { readonly _tag: Tag; readonly value: string } }[SslName] | Other

export interface Local {
  readonly _tag: "Local"
}

export interface Unknown {
  readonly _tag: "Unknown"
  readonly version: Version
  readonly tlvs: ReadonlyArray<Tlv>
}

export interface Proxied {
  readonly _tag: "Proxied"
  readonly version: Version
  readonly transport: "stream" | "datagram"
  readonly source: NetAddress.SocketAddress
  readonly destination: NetAddress.SocketAddress
  readonly tlvs: ReadonlyArray<Tlv>
}

export type Header = Local | Unknown | Proxied
