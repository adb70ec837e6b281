/**
 * The client's side of an exchange (RFC 5802 3 and 5). Its states are those of the table in Scram.ts.
 *
 * @internal
 */
import type * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { type AuthenticationFailed, MalformedFrame } from "../../HandshakeError.ts"
import { type Binding, gs2Header } from "./channelBinding.ts"
import { type ClientFailure, failed, malformed } from "./errors.ts"
import { type Authenticated, once, randomNonce, TypeId } from "./exchange.ts"
import * as KeyCache from "./keyCache.ts"
import * as Keys from "./keys.ts"
import { defaultIterations, defaultMaxIterations, iterationsLimit, minSaltLength } from "./limits.ts"
import { bound, type Mechanism, unbound } from "./mechanism.ts"
import * as Message from "./message.ts"
import { type Preparation, prepareOwnName, preparePassword } from "./preparation.ts"

export interface ClientOptions {
  readonly password: Redacted.Redacted<string>
  /** Default: empty, as for PostgreSQL, which has it from its start-up message. */
  readonly username?: string | undefined
  /** From `choose`. Default: `Unsupported`. */
  readonly binding?: Binding | undefined
  /** How the password becomes bytes. Default: `strict`. */
  readonly preparation?: Preparation | undefined
  /** With fewer iterations than this the password would be too cheap to guess. Default: `defaultIterations`. */
  readonly minIterations?: number | undefined
  /** More iterations than this cost too much time. Default: `defaultMaxIterations`. */
  readonly maxIterations?: number | undefined
  /** From `keyCache`: where the keys of the next exchange may come from. Default: they are derived each time. */
  readonly keys?: KeyCache.KeyCache | undefined
}

export interface ClientFirst {
  readonly mechanism: Mechanism
  readonly message: string
  /** Everything about the message is checked before the keys are derived, outside the event loop. */
  readonly receive: (
    serverFirst: Uint8Array | string
  ) => Effect.Effect<ClientFinal, ClientFailure, Kdf.Kdf | Mac.Mac | Digest.Digest>
}

export interface ClientFinal {
  /** With the proof in it. */
  readonly message: Redacted.Redacted<string>
  readonly receive: (serverFinal: Uint8Array | string) => Effect.Effect<Authenticated, ClientFailure>
}

export const client = Effect.fnUntraced(function*(
  options: ClientOptions
): Effect.fn.Return<ClientFirst, AuthenticationFailed, SecureRandom.SecureRandom> {
  const binding = options.binding ?? { _tag: "Unsupported" }
  const mechanism = binding._tag === "EndPoint" ? bound : unbound
  const password = yield* Effect.fromResult(preparePassword(options.password, options.preparation))
  const username = yield* Effect.fromResult(prepareOwnName(options.username ?? ""))
  const nonce = yield* randomNonce
  const bare = `n=${Message.escapeName(username)},r=${nonce}`
  const use = once()
  return {
    mechanism,
    message: gs2Header(binding) + bare,
    receive: (serverFirst) =>
      use(Effect.flatMap(
        Effect.suspend(() => Effect.fromResult(acceptChallenge(serverFirst, nonce, mechanism, options))),
        (challenge) => answer({ binding, mechanism, bare, password, challenge, cache: options.keys })
      ))
  }
})

interface Challenge {
  readonly nonce: string
  readonly salt: Uint8Array
  readonly iterations: number
  readonly message: string
}

/** server-first-message (RFC 5802 5.1, r, s and i). */
const acceptChallenge = (
  serverFirst: Uint8Array | string,
  nonce: string,
  mechanism: Mechanism,
  options: ClientOptions
): Result.Result<Challenge, ClientFailure> => {
  const fewest = options.minIterations ?? defaultIterations
  const most = Math.min(options.maxIterations ?? defaultMaxIterations, iterationsLimit)
  const parsed = Message.parseServerFirst(serverFirst)
  if (Result.isFailure(parsed)) return Result.fail(malformed(parsed.failure))
  const challenge = parsed.success
  // RFC 5802 5.1, r: it begins with the one that the client has sent, and the server adds its own.
  if (!challenge.nonce.startsWith(nonce) || challenge.nonce.length === nonce.length) {
    return Result.fail(
      new MalformedFrame({
        problem: "server-first-message: the nonce does not continue the one of this exchange",
        excerpt: Excerpt.ofString(challenge.message),
        fault: "peer"
      })
    )
  }
  if (challenge.salt.length < minSaltLength) {
    return Result.fail(failed(
      mechanism,
      `the server's salt has ${challenge.salt.length} bytes; ${minSaltLength} are the minimum`
    ))
  }
  // RFC 7677 4, the fewest; RFC 5802 9, the most.
  const iterations = Number(challenge.iterations)
  if (iterations < fewest || iterations > most) {
    const asked = Excerpt.ofText(challenge.iterations, 16)
    return Result.fail(
      failed(mechanism, `the server asks for ${asked} iterations; ${fewest} to ${most} are accepted`)
    )
  }
  return Result.succeed({ ...challenge, iterations })
}

/** client-final-message (RFC 5802 3, and 5.1, c and p). The formulas stand in keys.ts. */
const answer = Effect.fnUntraced(function*({ bare, binding, cache, challenge, mechanism, password }: {
  readonly binding: Binding
  readonly mechanism: Mechanism
  readonly bare: string
  readonly password: string
  readonly challenge: Challenge
  readonly cache: KeyCache.KeyCache | undefined
}) {
  const data = binding._tag === "EndPoint" ? binding.data : undefined
  const withoutProof = `c=${Message.channelBinding(gs2Header(binding), data)},r=${challenge.nonce}`
  const authMessage = Keys.utf8(`${bare},${challenge.message},${withoutProof}`)
  const from = { password, salt: challenge.salt, iterations: challenge.iterations }
  const keys = KeyCache.find(cache, from) ?? (yield* Keys.derive(password, challenge.salt, challenge.iterations))
  const proof = Keys.xor(keys.clientKey, yield* Keys.hmac(keys.storedKey, authMessage))
  const signature = yield* Keys.hmac(keys.serverKey, authMessage)
  const use = once()
  const final: ClientFinal = {
    message: Redacted.make(`${withoutProof},p=${Base64.encode(proof)}`),
    receive: (serverFinal) =>
      use(Effect.suspend(() => {
        const concluded = conclude(serverFinal, signature, mechanism)
        // Who cannot prove that it knows the password has no salt that is asked for again.
        if (Result.isSuccess(concluded)) KeyCache.keep(cache, from, keys)
        return Effect.fromResult(concluded)
      }))
  }
  return final
})

/** RFC 5802 5: without the right ServerSignature the exchange has failed. */
const conclude = (
  serverFinal: Uint8Array | string,
  signature: Uint8Array,
  mechanism: Mechanism
): Result.Result<Authenticated, ClientFailure> => {
  const parsed = Message.parseServerFinal(serverFinal)
  if (Result.isFailure(parsed)) return Result.fail(malformed(parsed.failure))
  const final = parsed.success
  if (final._tag === "Error") return Result.fail(told(final.value, mechanism))
  return Mac.timingSafeEqual(final.signature, signature)
    ? Result.succeed({ [TypeId]: TypeId, mechanism })
    : Result.fail(failed(mechanism, "the server's signature is wrong: it does not know the password"))
}

/**
 * What a server's error means (RFC 5802 7: one that is not known is as good as `other-error`). Values that are not known
 * are not shown: they may repeat the proof.
 */
const told = (value: string, mechanism: Mechanism): AuthenticationFailed => {
  switch (value) {
    case "invalid-proof":
    case "unknown-user":
    case "invalid-username-encoding":
      return failed(mechanism, "the server does not accept the user name or the password", "local")
    default: {
      const known = Message.serverErrorValues.find((known) => known === value) ?? "a reason that has no name"
      return failed(mechanism, `the server refuses: ${known}`)
    }
  }
}
