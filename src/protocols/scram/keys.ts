/**
 * The keys of SCRAM-SHA-256 (RFC 5802 3, RFC 7677).
 *
 *   SaltedPassword  := PBKDF2(password, salt, iterations)
 *   ClientKey       := HMAC(SaltedPassword, "Client Key")
 *   StoredKey       := H(ClientKey)
 *   ServerKey       := HMAC(SaltedPassword, "Server Key")
 *   ClientSignature := HMAC(StoredKey, AuthMessage)
 *   ClientProof     := ClientKey XOR ClientSignature
 *   ServerSignature := HMAC(ServerKey, AuthMessage)
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Semaphore from "effect/Semaphore"
import { AuthenticationFailed } from "../../HandshakeError.ts"

export const keyLength = 32

const encoder = new TextEncoder()

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** The cryptography that the platform has was asked for something that it does not have. */
export const unavailable = (error: { readonly message: string }): AuthenticationFailed =>
  new AuthenticationFailed({ method: "SCRAM", detail: `no cryptography for it: ${error.message}`, fault: "local" })

export const hmac = (
  key: Uint8Array,
  data: Uint8Array
): Effect.Effect<Uint8Array, AuthenticationFailed, Mac.Mac> =>
  Effect.mapError(
    Effect.flatMap(Mac.Mac, (mac) =>
      Effect.flatMap(Mac.key(Mac.hmacSha256, key), (imported) => mac.sign(imported, data))),
    unavailable
  )

export const hash = (data: Uint8Array): Effect.Effect<Uint8Array, never, Digest.Digest> =>
  Effect.flatMap(Digest.Digest, (digest) => digest.digest(Digest.sha256, data))

export const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ b[i])

export interface Keys {
  readonly clientKey: Uint8Array
  readonly storedKey: Uint8Array
  readonly serverKey: Uint8Array
}

export const Derivations: Context.Reference<Semaphore.Semaphore> = Context.Reference<Semaphore.Semaphore>(
  "effect-handshake/protocols/Scram/Derivations",
  { defaultValue: () => Semaphore.makeUnsafe(2) }
)

/**
 * Waits for its turn, and gives it up when nobody waits for the result any more. What has begun cannot be stopped, so it keeps its
 * turn to its end, and whoever is interrupted does not wait for that.
 */
const inTurn = Effect.fnUntraced(function*<A, E, R>(derivation: Effect.Effect<A, E, R>) {
  const derivations = yield* Derivations
  const derived = yield* Effect.uninterruptibleMask((restore) =>
    Effect.andThen(
      restore(derivations.take(1)),
      Effect.forkDetach(Effect.ensuring(derivation, derivations.release(1)), { startImmediately: true })
    )
  )
  return yield* Fiber.join(derived)
})

/** The expensive one: as many HMACs, one after the other, as there are iterations. */
export const derive = Effect.fnUntraced(function*(password: string, salt: Uint8Array, iterations: number) {
  const kdf = yield* Kdf.Kdf
  const derivation = kdf.derive(Kdf.pbkdf2({ hash: Digest.sha256, iterations }), utf8(password), {
    salt,
    length: keyLength
  })
  const salted = yield* Effect.mapError(inTurn(derivation), unavailable)
  const clientKey = yield* hmac(salted, utf8("Client Key"))
  const serverKey = yield* hmac(salted, utf8("Server Key"))
  const keys: Keys = { clientKey, storedKey: yield* hash(clientKey), serverKey }
  return keys
})

const minSecretLength = 16

/** 32 bytes that look random to all who do not know the secret, and are the same each time for those who do. */
export const mock = Effect.fnUntraced(function*(
  secret: Redacted.Redacted<Uint8Array>,
  purpose: string,
  user: string
): Effect.fn.Return<Uint8Array, AuthenticationFailed, Mac.Mac> {
  const key = Redacted.value(secret)
  return key.length < minSecretLength
    ? yield* Effect.fail(
      new AuthenticationFailed({
        method: "SCRAM",
        detail: `the secret for users that are not there has less than ${minSecretLength} bytes`,
        fault: "local"
      })
    )
    : yield* hmac(key, utf8(`${purpose}\0${user}`))
})
