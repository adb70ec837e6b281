/**
 * What both sides of the start-up have in common: how a message that is due is waited for, and the names of things.
 *
 * @internal
 */
import * as HandshakeError from "../../HandshakeError.ts"
import { describe, type Message } from "./messages.ts"

/** The versions that are spoken, the oldest first. 3.1 does not exist: a proxy made it unusable. */
export const versions = ["3.0", "3.2"] as const

export type Version = typeof versions[number]

export const minorOf = (version: Version): number => version === "3.0" ? 0 : 2

/** The best version that has no higher minor than this. */
export const versionOf = (minor: number): Version => minor < 2 ? "3.0" : "3.2"

/** How a user proves who it is. */
export type Method = "trust" | "password" | "md5" | "scram-sha-256"

/** As parameters of the start-up these are extensions of the protocol, which a server may not know. */
export const extensionPrefix = "_pq_."

/** The application protocol of TLS (RFC 7301). */
export const alpn = "postgresql"

export const unexpected = (due: string, message: Message): HandshakeError.InvalidGreeting =>
  new HandshakeError.InvalidGreeting({ expected: due, received: describe(message) })

/** TLS that has agreed on no application protocol may have been meant for another server. */
export const noAlpn = (fault: "peer" | "local", detail: string): HandshakeError.TlsFailure =>
  new HandshakeError.TlsFailure({ kind: "no-shared-alpn", detail, fault })
