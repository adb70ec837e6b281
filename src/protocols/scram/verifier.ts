/**
 * What a server keeps of a password (RFC 5802 3).
 *
 * @internal
 */
import type * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { AuthenticationFailed } from "../../HandshakeError.ts"
import { failed } from "./errors.ts"
import * as Keys from "./keys.ts"
import { defaultIterations, iterationsLimit, minSaltLength } from "./limits.ts"
import * as Message from "./message.ts"
import { type Preparation, preparePassword } from "./preparation.ts"

export interface Verifier {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Redacted.Redacted<Uint8Array>
  readonly serverKey: Redacted.Redacted<Uint8Array>
}

/** In bytes. */
const defaultSaltLength = 16

/** Whether it can be said in a server-first-message (RFC 5802 7), and has keys as long as SHA-256 is (RFC 7677 3). */
export const isVerifier = ({ iterations, salt, serverKey, storedKey }: Verifier): boolean =>
  Number.isInteger(iterations) && iterations >= 1 && iterations <= iterationsLimit &&
  salt.length >= 1 && salt.length <= Message.maxSaltLength &&
  Redacted.value(storedKey).length === Keys.keyLength && Redacted.value(serverKey).length === Keys.keyLength

export const verifier = Effect.fnUntraced(function*(
  password: Redacted.Redacted<string>,
  options?: {
    /** Default: `defaultIterations`. */
    readonly iterations?: number | undefined
    /** Default: 16 random bytes. */
    readonly salt?: Uint8Array | undefined
    /** How the password becomes bytes. Default: `strict`. */
    readonly preparation?: Preparation | undefined
  }
): Effect.fn.Return<
  Verifier,
  AuthenticationFailed,
  Kdf.Kdf | Mac.Mac | Digest.Digest | SecureRandom.SecureRandom
> {
  const iterations = options?.iterations ?? defaultIterations
  const prepared = yield* Effect.fromResult(preparePassword(password, options?.preparation))
  const random = yield* SecureRandom.SecureRandom
  const salt = options?.salt ?? (yield* random.randomBytes(defaultSaltLength))
  if (!Number.isInteger(iterations) || iterations < 1 || iterations > iterationsLimit) {
    return yield* Effect.fail(failed("SCRAM", `there cannot be ${iterations} iterations`, "local"))
  }
  if (salt.length < minSaltLength || salt.length > Message.maxSaltLength) {
    return yield* Effect.fail(failed("SCRAM", `there cannot be a salt of ${salt.length} bytes`, "local"))
  }
  const keys = yield* Keys.derive(prepared, salt, iterations)
  return { iterations, salt, storedKey: Redacted.make(keys.storedKey), serverKey: Redacted.make(keys.serverKey) }
})

/** RFC 5802 7 has `unknown-user` for it, and allows not to say so. */
export const mock = Effect.fnUntraced(function*(
  user: string,
  secret: Redacted.Redacted<Uint8Array>,
  options?: {
    /** Default: `defaultIterations`. */
    readonly iterations?: number | undefined
    /** In bytes, 32 at most. Default: 16. */
    readonly saltLength?: number | undefined
  }
): Effect.fn.Return<Verifier, AuthenticationFailed, Mac.Mac> {
  const derive = (label: string) => Keys.mock(secret, `SCRAM ${label}`, user)
  // That nobody knows a ClientKey for this StoredKey is what SHA-256 promises.
  return {
    iterations: options?.iterations ?? defaultIterations,
    salt: (yield* derive("salt")).subarray(0, options?.saltLength ?? defaultSaltLength),
    storedKey: Redacted.make(yield* derive("stored key")),
    serverKey: Redacted.make(yield* derive("server key"))
  }
})

export const verify = Effect.fnUntraced(function*(
  verifier: Verifier,
  password: Redacted.Redacted<string>,
  options?: {
    /** How the password becomes bytes. Default: `strict`. */
    readonly preparation?: Preparation | undefined
  }
): Effect.fn.Return<boolean, AuthenticationFailed, Kdf.Kdf | Mac.Mac | Digest.Digest> {
  const prepared = preparePassword(password, options?.preparation)
  if (Result.isFailure(prepared)) return false
  const keys = yield* Keys.derive(prepared.success, verifier.salt, verifier.iterations)
  return Mac.timingSafeEqual(keys.storedKey, Redacted.value(verifier.storedKey))
})
