/** The certificate of the servers inside TLS, ECDSA on P-256: that of the tests. */
import * as Redacted from "effect/Redacted"
import { readFileSync } from "node:fs"

const text = (name: string): string =>
  readFileSync(new URL(`../../examples/certificates/${name}`, import.meta.url), "utf8")

export const plain = { cert: text("server.crt"), key: text("server.key") }
export const redacted = { cert: plain.cert, key: Redacted.make(plain.key) }
export const root: string = text("root.crt")
