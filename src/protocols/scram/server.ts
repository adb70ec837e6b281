/**
 * The server's side of an exchange (RFC 5802 3 and 5). Its states are those of the table in Scram.ts.
 *
 * @internal
 */
import type * as Digest from "effect/crypto/Digest"
import * as Mac from "effect/crypto/Mac"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { failed, localRefusal, type Refusal, refusal, type ServerErrorValue, violation } from "./errors.ts"
import { type Authenticated, once, randomNonce, TypeId } from "./exchange.ts"
import * as Keys from "./keys.ts"
import { bound, type Mechanism } from "./mechanism.ts"
import * as Message from "./message.ts"
import * as Saslprep from "./saslprep.ts"
import { isVerifier, type Verifier } from "./verifier.ts"

export interface ServerOptions {
  /** The mechanism that the client has named. */
  readonly mechanism: Mechanism
  /** What the connection is bound to: given if, and only if, `SCRAM-SHA-256-PLUS` was offered. */
  readonly endPoint: Uint8Array | undefined
  /** With `ignored` the name in the exchange may be anything, as for PostgreSQL. Default: `required`. */
  readonly username?: "required" | "ignored" | undefined
}

export interface ServerStart {
  readonly receive: (clientFirst: Uint8Array | string) => Effect.Effect<ServerFirst, Refusal>
}

export interface ServerFirst {
  /** The user's name, prepared; empty where it is ignored. */
  readonly username: string
  /** Goes on with the verifier of this user, or with the `mock` one of a user that is not there. */
  readonly challenge: (verifier: Verifier) => Effect.Effect<ServerChallenge, Refusal, SecureRandom.SecureRandom>
}

export interface ServerChallenge {
  readonly message: string
  readonly receive: (clientFinal: Uint8Array | string) => Effect.Effect<ServerFinal, Refusal, Mac.Mac | Digest.Digest>
}

export interface ServerFinal extends Authenticated {
  readonly username: string
  /** With the server's signature in it. */
  readonly message: Redacted.Redacted<string>
}

export const server = (options: ServerOptions): ServerStart => {
  const use = once()
  return {
    receive: (clientFirst) =>
      use(
        Effect.suspend(() =>
          Effect.fromResult(
            Result.map(acceptClient(clientFirst, options), (first) => identified(first, options.mechanism))
          )
        )
      )
  }
}

const identified = (first: Accepted, mechanism: Mechanism): ServerFirst => {
  const use = once()
  return {
    username: first.username,
    challenge: (verifier) =>
      use(Effect.suspend(() =>
        // Whatever holds the verifiers may hold anything.
        isVerifier(verifier)
          ? Effect.map(randomNonce, (nonce) => challenge(first, verifier, first.nonce + nonce, mechanism))
          : Effect.fail(localRefusal(failed(mechanism, "what is stored of the password is no verifier", "local")))
      ))
  }
}

interface Accepted {
  readonly username: string
  readonly nonce: string
  readonly bare: string
  /** What the client's last message must say about the channel. */
  readonly channelBinding: string
}

/** client-first-message (RFC 5802 5.1, n and r; 6). */
const acceptClient = (
  clientFirst: Uint8Array | string,
  { endPoint, mechanism, username = "required" }: ServerOptions
): Result.Result<Accepted, Refusal> =>
  Result.gen(function*() {
    const first = yield* Result.mapError(Message.parseClientFirst(clientFirst), violation)
    const refuse = (error: ServerErrorValue, problem: string) =>
      Result.fail(violation({
        error,
        problem: `client-first-message: ${problem}`,
        excerpt: Excerpt.ofString(first.gs2Header)
      }))
    // RFC 5802 6, at the server:
    //
    //            | SCRAM-SHA-256                     | SCRAM-SHA-256-PLUS
    // n          | go on                             | breaks the protocol
    // y          | offered: a downgrade; else go on  | breaks the protocol
    // p=endpoint | breaks the protocol               | go on
    // p=other    | breaks the protocol               | not supported
    if (typeof first.flag === "string") {
      if (mechanism === bound) {
        return yield* refuse("invalid-encoding", `${bound} was chosen, and the message does not bind`)
      }
      if (first.flag === "y" && endPoint !== undefined) {
        return yield* Result.fail(refusal(
          "server-does-support-channel-binding",
          failed(mechanism, "the client could have bound to the channel and was not told that the server can")
        ))
      }
    } else if (mechanism !== bound || endPoint === undefined) {
      return yield* refuse("channel-binding-not-supported", "the message binds, and that was not agreed")
    } else if (first.flag.type !== Message.endPointType) {
      return yield* refuse("unsupported-channel-binding-type", `only ${Message.endPointType} can be bound to`)
    }
    // RFC 5802 5.1, n: a query string, and no empty one.
    let name = ""
    if (username === "required") {
      const unescaped = Message.unescapeName(first.username)
      const prepared = unescaped === undefined ? undefined : Result.getOrUndefined(Saslprep.prepare(unescaped, "query"))
      if (prepared === undefined) return yield* refuse("invalid-username-encoding", "there is no user name in n=")
      name = prepared
    }
    return {
      username: name,
      nonce: first.nonce,
      bare: first.bare,
      channelBinding: Message.channelBinding(first.gs2Header, mechanism === bound ? endPoint : undefined)
    }
  })

const challenge = (
  first: Accepted,
  verifier: Verifier,
  nonce: string,
  mechanism: Mechanism
): ServerChallenge => {
  const message = `r=${nonce},s=${Base64.encode(verifier.salt)},i=${verifier.iterations}`
  const use = once()
  return {
    message,
    receive: (clientFinal) =>
      use(Effect.flatMap(
        Effect.suspend(() => Effect.fromResult(acceptProof(clientFinal, first, nonce, mechanism))),
        (final) => recognize(final, first, verifier, message, mechanism)
      ))
  }
}

/** client-final-message (RFC 5802 5.1, c and r), all of it but the proof. */
const acceptProof = (
  clientFinal: Uint8Array | string,
  first: Accepted,
  nonce: string,
  mechanism: Mechanism
): Result.Result<Message.ClientFinal, Refusal> => {
  const parsed = Message.parseClientFinal(clientFinal)
  if (Result.isFailure(parsed)) return Result.fail(violation(parsed.failure))
  const final = parsed.success
  // RFC 5802 5.1, r: the whole nonce of the server-first-message.
  if (final.nonce !== nonce) {
    return Result.fail(violation({
      error: "invalid-encoding",
      problem: "client-final-message: the nonce is not the one of this exchange",
      excerpt: "c=…,r=…,p=…"
    }))
  }
  // RFC 5802 5.1, c, and 6: the GS2 header of the first message, and what this side sees of the channel.
  return final.channelBinding === first.channelBinding
    ? Result.succeed(final)
    : Result.fail(refusal(
      "channel-bindings-dont-match",
      failed(mechanism, "the client is bound to another channel than this one")
    ))
}

/** RFC 5802 3: the proof and StoredKey give ClientKey, whose hash is StoredKey again. */
const recognize = Effect.fnUntraced(function*(
  final: Message.ClientFinal,
  first: Accepted,
  verifier: Verifier,
  serverFirst: string,
  mechanism: Mechanism
) {
  const authMessage = Keys.utf8(`${first.bare},${serverFirst},${final.withoutProof}`)
  const storedKey = Redacted.value(verifier.storedKey)
  const clientKey = Keys.xor(final.proof, yield* Keys.hmac(storedKey, authMessage))
  // The same work and the same words whether the user is there or not (RFC 5802 7 allows it): a mock verifier is one
  // that nothing fits.
  if (!Mac.timingSafeEqual(yield* Keys.hash(clientKey), storedKey)) {
    return yield* Effect.fail(refusal("invalid-proof", failed(mechanism, "the user name or the password is wrong")))
  }
  const signature = yield* Keys.hmac(Redacted.value(verifier.serverKey), authMessage)
  const authenticated: ServerFinal = {
    [TypeId]: TypeId,
    mechanism,
    username: first.username,
    message: Redacted.make(`v=${Base64.encode(signature)}`)
  }
  return authenticated
}, Effect.mapError((error) => error._tag === "ScramRefusal" ? error : localRefusal(error)))
