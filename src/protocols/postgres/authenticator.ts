/**
 * Who may log in to a server, and how it has to prove who it is.
 *
 * @internal
 */
import * as Context from "effect/Context"
import type * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import type * as Mac from "effect/crypto/Mac"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { AuthenticationFailed, MalformedFrame } from "../../HandshakeError.ts"
import type * as Peer from "../../Peer.ts"
import * as Scram from "../Scram.ts"
import type { Method } from "./conversation.ts"
import * as Password from "./password.ts"

export type { StoredPassword } from "./password.ts"

export interface LoginRequest {
  readonly user: string
  readonly database: string
  readonly peer: Peer.Peer
}

export type Login =
  | { readonly method: "trust" | "reject" }
  | {
    readonly method: Exclude<Method, "trust">
    readonly stored: Password.StoredPassword | undefined
    /** Of SCRAM, for a user that is not there. Default: 4096. */
    readonly iterations?: number | undefined
  }

export class AuthenticatorError extends Schema.TaggedError<AuthenticatorError>()(
  "PostgresAuthenticatorError",
  { cause: Schema.Defect() }
) {}

export class Authenticator extends Context.Service<Authenticator, {
  readonly lookup: (request: LoginRequest) => Effect.Effect<Login, AuthenticatorError>
}>()("effect-handshake/protocols/Postgres/Authenticator") {}

export interface User {
  readonly user: string
  readonly password?: Redacted.Redacted<string> | undefined
  readonly stored?: Redacted.Redacted<string> | undefined
}

export interface UsersOptions {
  /** How all of them prove who they are. Default: `scram-sha-256`. */
  readonly method?: Exclude<Method, "trust"> | undefined
  /** How many iterations a verifier takes that is made of a password. Default: 4096. */
  readonly iterations?: number | undefined
}

type Crypto = Kdf.Kdf | Mac.Mac | Digest.Digest | SecureRandom.SecureRandom

const storedOf = (
  { password, stored, user }: User,
  method: Exclude<Method, "trust">,
  iterations: number
): Effect.Effect<Password.StoredPassword | undefined, AuthenticationFailed | MalformedFrame, Crypto> => {
  if (stored !== undefined) return Effect.fromResult(Password.parse(stored))
  if (password === undefined) return Effect.undefined
  return method === "md5"
    ? Password.md5(user, password)
    : Effect.map(Scram.verifier(password, { iterations, preparation: "postgres" }), (verifier) => ({
      _tag: "Scram",
      verifier
    }))
}

/** Whoever is not among the users is asked for the same as they are, and fails. */
export const users = (
  users: Iterable<User>,
  options?: UsersOptions
): Layer.Layer<Authenticator, AuthenticationFailed | MalformedFrame, Crypto> =>
  Layer.effect(
    Authenticator,
    Effect.gen(function*() {
      const method = options?.method ?? "scram-sha-256"
      const iterations = options?.iterations ?? Scram.defaultIterations
      const known = new Map<string, Login>()
      for (const user of users) {
        known.set(user.user, { method, stored: yield* storedOf(user, method, iterations), iterations })
      }
      const unknown: Login = { method, stored: undefined, iterations }
      return Authenticator.of({
        lookup: ({ user }) => Effect.sync(() => known.get(user) ?? unknown)
      })
    })
  )

export const trust: Layer.Layer<Authenticator> = Layer.succeed(Authenticator, {
  lookup: () => Effect.succeed({ method: "trust" })
})
