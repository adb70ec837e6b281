/**
 * The login inside TLS, from step 4 on.
 */
import type { Redacted } from "effect"
import * as Tls from "effect-handshake/protocols/Tls"
// Those of the tests. Yours are PEM texts, from a file or a service.
import * as Certificates from "../certificates/index.ts"
import * as Login from "./login.ts"

export const server = (keys: Login.Keys) => Login.server(keys).pipe(Tls.server({ certificate: Certificates.server }))

export const client = (user: string, options?: {
  readonly key?: Redacted.Redacted<string> | undefined
  readonly servername?: string | undefined
}) =>
  Login.client(user, options?.key).pipe(
    Tls.client({ servername: options?.servername ?? "localhost", ca: Certificates.root })
  )
