/**
 * The certificates of the examples and the tests: `README.md` says what each is for.
 */
import type { Transport } from "effect-handshake"
import * as Redacted from "effect/Redacted"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** A certificate, the chain that leads to its authority included, and its key: as text, and where it lies for programs. */
export interface Certificate extends Transport.TlsCertificate {
  readonly cert: string
  readonly key: Redacted.Redacted<string>
  readonly certFile: string
  readonly keyFile: string
}

const fileOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const textOf = (name: string): string => readFileSync(fileOf(name), "utf8")

const certificate = (name: string): Certificate => ({
  cert: textOf(`${name}.crt`),
  key: Redacted.make(textOf(`${name}.key`)),
  certFile: fileOf(`${name}.crt`),
  keyFile: fileOf(`${name}.key`)
})

export const root: string = textOf("root.crt")
export const rootFile: string = fileOf("root.crt")
export const unknownRoot: string = textOf("unknown-root.crt")
export const unknownRootFile: string = fileOf("unknown-root.crt")

export const server: Certificate = certificate("server")
export const replacement: Certificate = certificate("replacement")
export const other: Certificate = certificate("other")
export const wild: Certificate = certificate("wild")

export const expired: Certificate = certificate("expired")
export const notYetValid: Certificate = certificate("not-yet-valid")
export const wrongName: Certificate = certificate("wrong-name")
export const selfSigned: Certificate = certificate("self-signed")
export const unknownAuthority: Certificate = certificate("unknown-authority")
export const nameless: Certificate = certificate("nameless")

export const sha384: Certificate = certificate("sha384")
export const sha512Rsa: Certificate = certificate("sha512-rsa")
export const rsaPss: Certificate = certificate("rsa-pss")
export const ed25519: Certificate = certificate("ed25519")

export const client: Certificate = certificate("client")
export const clientExpired: Certificate = certificate("client-expired")
export const clientUnknownAuthority: Certificate = certificate("client-unknown-authority")
