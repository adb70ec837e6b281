/**
 * What both sides of an exchange have (RFC 5802 5).
 *
 * @internal
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type { Mechanism } from "./mechanism.ts"

export const TypeId = "~effect-handshake/protocols/Scram/Authenticated"

export interface Authenticated {
  readonly [TypeId]: typeof TypeId
  readonly mechanism: Mechanism
}

/** RFC 5802 5.1, r: a state goes one way. Whoever takes it twice would answer two challenges with one nonce. */
export const once = () => {
  let isUsed = false
  return <A, E, R>(transition: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      if (isUsed) return Effect.die(new Error("This state of a SCRAM exchange was used before"))
      isUsed = true
      return transition
    })
}

/** 24 characters in base64, as PostgreSQL has it. */
const nonceBytes = 18

/** RFC 5802 5.1, r: random, printable, without a comma, and another one in each exchange. */
export const randomNonce: Effect.Effect<string, never, SecureRandom.SecureRandom> = Effect.flatMap(
  SecureRandom.SecureRandom,
  (random) => Effect.map(random.randomBytes(nonceBytes), Base64.encode)
)
