/**
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677): a client and a server prove to each other that they know a
 * password, and neither says it.
 *
 * It is a conversation of four messages and no handshake of its own: protocols such as PostgreSQL's carry the messages in
 * theirs. Each state of it is a value that is used up by the message that it receives, and has what to say next; only the
 * last one ends in `Authenticated`. What no transition is written for cannot happen:
 *
 * | state | receives | becomes | has to say |
 * |---|---|---|---|
 * | `client` | | `ClientFirst` | client-first-message |
 * | `ClientFirst` | server-first-message | `ClientFinal` | client-final-message |
 * | `ClientFinal` | server-final-message | `Authenticated` | |
 * | `server` | client-first-message | `ServerFirst` | |
 * | `ServerFirst` | the user's `Verifier` | `ServerChallenge` | server-first-message |
 * | `ServerChallenge` | client-final-message | `ServerFinal`, which is `Authenticated` | server-final-message |
 *
 * @since 0.1.0
 */
import * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Excerpt from "../Excerpt.ts"
import { AuthenticationFailed, MalformedFrame } from "../HandshakeError.ts"
import * as Certificate from "./scram/certificate.ts"
import * as Keys from "./scram/keys.ts"
import * as Message from "./scram/message.ts"
import * as Saslprep from "./scram/saslprep.ts"

const TypeId = "~effect-handshake/protocols/Scram/Authenticated"

// ---------------------------------------------------------------------------------------------------------------------
// Models
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The mechanisms by their SASL names. The one with `-PLUS` also proves that both sides are at the ends of the same TLS
 * connection.
 *
 * @category models
 * @since 0.1.0
 */
export type Mechanism = "SCRAM-SHA-256" | "SCRAM-SHA-256-PLUS"

/**
 * How a password becomes bytes.
 *
 * **Details**
 *
 * `strict` is SASLprep (RFC 4013), and a password that has no prepared form fails. `postgres` is what PostgreSQL does:
 * SASLprep where it applies, and else the password as it is.
 *
 * @category models
 * @since 0.1.0
 */
export type Preparation = "strict" | "postgres"

/**
 * What a client says about channel binding (RFC 5802 6).
 *
 * **Details**
 *
 * - `Unsupported`: it has none (`n`).
 * - `NotOffered`: it has, and the server has not offered it (`y`). A server that has offered it sees then that somebody has
 *   taken it away on the way.
 * - `EndPoint`: it binds, to the server's certificate (`p=tls-server-end-point`).
 *
 * @category models
 * @since 0.1.0
 */
export type Binding =
  | { readonly _tag: "Unsupported" }
  | { readonly _tag: "NotOffered" }
  | { readonly _tag: "EndPoint"; readonly data: Uint8Array }

/**
 * A mechanism and what to say about channel binding in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Chosen {
  readonly mechanism: Mechanism
  readonly binding: Binding
}

/**
 * The proof that the other side knows the password, or what was made of it. Only the last transition of each side makes
 * one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Authenticated {
  readonly [TypeId]: typeof TypeId
  readonly mechanism: Mechanism
}

/**
 * What a server keeps of a password (RFC 5802 3): enough to recognize it, and not enough to log in with.
 *
 * **Gotchas**
 *
 * Who has the `serverKey` can play this server, and who has either key can try out passwords.
 *
 * @category models
 * @since 0.1.0
 */
export interface Verifier {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly storedKey: Redacted.Redacted<Uint8Array>
  readonly serverKey: Redacted.Redacted<Uint8Array>
}

// ---------------------------------------------------------------------------------------------------------------------
// Constants
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How many iterations a verifier has unless told otherwise, and how many a client wants at least: 4096, as RFC 7677 4 and
 * PostgreSQL have it.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultIterations = 4096

/**
 * How many iterations a client takes part in unless told otherwise: one million, some tenths of a second of one core.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxIterations = 1_000_000

/** In bytes. RFC 5802 has no minimum; PostgreSQL's salts and those made here have 16. */
const minSaltLength = 8
const defaultSaltLength = 16
/** 24 characters in base64, as PostgreSQL has it. */
const nonceBytes = 18
/** What a derivation can be asked for at all. */
const iterationsLimit = 0x7fff_ffff

const bound: Mechanism = "SCRAM-SHA-256-PLUS"
const unbound: Mechanism = "SCRAM-SHA-256"

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Why a client gives up: a bare reason, so that `Handshake.step` names the step.
 *
 * **Details**
 *
 * `MalformedFrame` is a message that is none or does not belong here, such as one with another nonce.
 * `AuthenticationFailed` is the server's refusal, a server that cannot prove itself, one that asks for too few or too many
 * iterations, or a password that cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export type ClientFailure = MalformedFrame | AuthenticationFailed

/**
 * What RFC 5802 7 calls the errors of a server.
 *
 * @category errors
 * @since 0.1.0
 */
export const ServerErrorValue = Schema.Literals(Message.serverErrorValues)

/**
 * What RFC 5802 7 calls the errors of a server.
 *
 * @category errors
 * @since 0.1.0
 */
export type ServerErrorValue = typeof ServerErrorValue.Type

/**
 * Why a server refuses.
 *
 * **Details**
 *
 * `error` tells the cases apart, for a protocol that has to answer with a code of its own, and `reply` is the
 * server-final-message for one that lets SCRAM answer itself. `reason` is what the handshake fails with.
 *
 * - `invalid-proof`: the password is wrong, or the name; both look the same.
 * - `channel-bindings-dont-match`: the client is not at the other end of this TLS connection.
 * - `server-does-support-channel-binding`: the client was made to believe that it was not offered.
 * - `extensions-not-supported`: a mandatory extension, or an authorization identity.
 * - `other-error`: this side's own fault.
 * - any other: a message that breaks the protocol.
 *
 * @category errors
 * @since 0.1.0
 */
export class Refusal extends Schema.TaggedError<Refusal>()("ScramRefusal", {
  error: ServerErrorValue,
  reason: Schema.Union([MalformedFrame, AuthenticationFailed])
}) {
  override get message(): string {
    return this.reason.message
  }
  /** The server-final-message that says so. */
  get reply(): string {
    return `e=${this.error}`
  }
}

const malformed = ({ excerpt, problem }: Message.Violation): MalformedFrame =>
  new MalformedFrame({ problem, excerpt, fault: "peer" })

const failed = (method: string, detail: string, fault: "peer" | "local" = "peer"): AuthenticationFailed =>
  new AuthenticationFailed({ method, detail, fault })

const refusal = (error: ServerErrorValue, reason: MalformedFrame | AuthenticationFailed): Refusal =>
  new Refusal({ error, reason })

const violation = (violation: Message.Violation): Refusal => refusal(violation.error, malformed(violation))

/** What this side cannot do. */
const localRefusal = (reason: AuthenticationFailed): Refusal => refusal("other-error", reason)

/** A state goes one way. Whoever takes it twice would answer two challenges with one nonce. */
const once = () => {
  let isUsed = false
  return <A, E, R>(transition: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      if (isUsed) return Effect.die(new Error("This state of a SCRAM exchange was used before"))
      isUsed = true
      return transition
    })
}

const randomNonce: Effect.Effect<string, never, SecureRandom.SecureRandom> = Effect.flatMap(
  SecureRandom.SecureRandom,
  (random) => Effect.map(random.randomBytes(nonceBytes), Base64.encode)
)

const problems: Record<Saslprep.Problem, string> = {
  prohibited: "has a character in it that SASLprep prohibits",
  unassigned: "has a character in it that is not of Unicode 3.2",
  bidirectional: "mixes the directions of writing as SASLprep does not allow",
  empty: "is empty"
}

const preparePassword = (
  password: Redacted.Redacted<string>,
  preparation: Preparation = "strict"
): Result.Result<string, AuthenticationFailed> =>
  Result.mapError(
    preparation === "strict"
      ? Saslprep.prepare(Redacted.value(password))
      : Saslprep.preparePostgres(Redacted.value(password)),
    (problem) => failed("SCRAM", `the password ${problems[problem]}`, "local")
  )

// ---------------------------------------------------------------------------------------------------------------------
// Client
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Chooses among the mechanisms that a server offers.
 *
 * **Details**
 *
 * `endPoint` is what the connection can be bound to (`serverEndPoint`), if it can. `channelBinding` says what the client
 * wants: `require` fails where it cannot be had, `prefer`, the default, binds where it can, `disable` does not. The server
 * hears which of the two was the case, so that it notices an offer that was taken away.
 *
 * **Example** (Bind where it is possible)
 *
 * ```ts
 * import * as Scram from "effect-handshake/protocols/Scram"
 * import { Result } from "effect"
 *
 * const offered = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
 *
 * const plain = Scram.choose({ offered, endPoint: undefined })
 * console.log(Result.getOrThrow(plain).mechanism) // => SCRAM-SHA-256
 *
 * const overTls = Scram.choose({ offered, endPoint: new Uint8Array(32) })
 * console.log(Result.getOrThrow(overTls).mechanism) // => SCRAM-SHA-256-PLUS
 * ```
 *
 * @category client
 * @since 0.1.0
 */
export const choose = (options: {
  /** The server's mechanisms by their names. Others are passed over. */
  readonly offered: ReadonlyArray<string>
  /** Undefined without TLS, or where the certificate has no binding. */
  readonly endPoint: Uint8Array | undefined
  /** Default: `prefer`. */
  readonly channelBinding?: "disable" | "prefer" | "require" | undefined
}): Result.Result<Chosen, AuthenticationFailed> => {
  const { channelBinding = "prefer", endPoint, offered } = options
  const canBind = endPoint !== undefined && channelBinding !== "disable"
  if (channelBinding === "require" && !canBind) {
    return Result.fail(
      failed(bound, "channel binding is required, and this connection has nothing to bind to", "local")
    )
  }
  if (canBind && offered.includes(bound)) {
    return Result.succeed({ mechanism: bound, binding: { _tag: "EndPoint", data: endPoint } })
  }
  if (channelBinding === "require") {
    return Result.fail(failed(bound, "channel binding is required, and the server does not offer it"))
  }
  return offered.includes(unbound)
    ? Result.succeed({ mechanism: unbound, binding: { _tag: canBind ? "NotOffered" : "Unsupported" } })
    : Result.fail(
      failed("SASL", `${unbound} is not among what the server offers: ${Excerpt.ofText(offered.join(", "))}`)
    )
}

/**
 * Who a client is, and what it takes from a server.
 *
 * @category client
 * @since 0.1.0
 */
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
}

/**
 * A client that has its first message to send, and receives the server's.
 *
 * @category client
 * @since 0.1.0
 */
export interface ClientFirst {
  readonly mechanism: Mechanism
  readonly message: string
  /** Everything about the message is checked before the keys are derived, outside the event loop. */
  readonly receive: (
    serverFirst: Uint8Array | string
  ) => Effect.Effect<ClientFinal, ClientFailure, Kdf.Kdf | Mac.Mac | Digest.Digest>
}

/**
 * A client that has its proof to send, and receives the server's.
 *
 * @category client
 * @since 0.1.0
 */
export interface ClientFinal {
  /** With the proof in it. */
  readonly message: Redacted.Redacted<string>
  readonly receive: (serverFinal: Uint8Array | string) => Effect.Effect<Authenticated, ClientFailure>
}

const gs2Header = (binding: Binding): string => {
  switch (binding._tag) {
    case "Unsupported":
      return "n,,"
    case "NotOffered":
      return "y,,"
    case "EndPoint":
      return `p=${Message.endPointType},,`
  }
}

/**
 * Begins an exchange as the client.
 *
 * **Details**
 *
 * Fails with `AuthenticationFailed`, the fault on this side, where the password or the user name has no prepared form or
 * the password is empty. A server is refused that asks for fewer iterations than `minIterations` or more than
 * `maxIterations`, whose salt is shorter than 8 bytes, or whose nonce is not longer than this side's and begins with it.
 * A state whose `receive` is interrupted is used up. Nothing else is left behind, but that a derivation that has begun goes
 * on to its end.
 *
 * **Gotchas**
 *
 * A server that ends the exchange before its last message has not proved anything. There is no `Authenticated` then.
 *
 * **Example** (Client and server, message by message)
 *
 * ```ts
 * import * as Scram from "effect-handshake/protocols/Scram"
 * import { NodeCrypto } from "@effect/platform-node"
 * import { Effect, Redacted } from "effect"
 *
 * const password = Redacted.make("pencil")
 *
 * const program = Effect.gen(function*() {
 *   const verifier = yield* Scram.verifier(password)
 *
 *   const clientFirst = yield* Scram.client({ username: "user", password })
 *   const serverFirst = yield* Scram.server({ mechanism: clientFirst.mechanism, endPoint: undefined })
 *     .receive(clientFirst.message)
 *   console.log(serverFirst.username) // => user
 *
 *   const challenge = yield* serverFirst.challenge(verifier)
 *   const clientFinal = yield* clientFirst.receive(challenge.message)
 *   console.log(String(clientFinal.message)) // => <redacted>
 *
 *   const serverFinal = yield* challenge.receive(Redacted.value(clientFinal.message))
 *   const authenticated = yield* clientFinal.receive(Redacted.value(serverFinal.message))
 *   console.log(authenticated.mechanism) // => SCRAM-SHA-256
 * })
 *
 * await Effect.runPromise(Effect.provide(program, NodeCrypto.layer))
 * ```
 *
 * @category client
 * @since 0.1.0
 */
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
        (challenge) => answer({ binding, mechanism, bare, password, challenge })
      ))
  }
})

const prepareOwnName = (name: string): Result.Result<string, AuthenticationFailed> =>
  name === "" ? Result.succeed("") : Result.mapError(
    Saslprep.prepare(name, "query"),
    (problem) => failed("SCRAM", `the user name ${problems[problem]}`, "local")
  )

interface Challenge {
  readonly nonce: string
  readonly salt: Uint8Array
  readonly iterations: number
  readonly message: string
}

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
  const iterations = Number(challenge.iterations)
  if (iterations < fewest || iterations > most) {
    const asked = Excerpt.ofText(challenge.iterations, 16)
    return Result.fail(
      failed(mechanism, `the server asks for ${asked} iterations; ${fewest} to ${most} are accepted`)
    )
  }
  return Result.succeed({ ...challenge, iterations })
}

const answer = Effect.fnUntraced(function*({ bare, binding, challenge, mechanism, password }: {
  readonly binding: Binding
  readonly mechanism: Mechanism
  readonly bare: string
  readonly password: string
  readonly challenge: Challenge
}) {
  const data = binding._tag === "EndPoint" ? binding.data : undefined
  const withoutProof = `c=${Message.channelBinding(gs2Header(binding), data)},r=${challenge.nonce}`
  const authMessage = Keys.utf8(`${bare},${challenge.message},${withoutProof}`)
  const keys = yield* Keys.derive(password, challenge.salt, challenge.iterations)
  const proof = Keys.xor(keys.clientKey, yield* Keys.hmac(keys.storedKey, authMessage))
  const signature = yield* Keys.hmac(keys.serverKey, authMessage)
  const use = once()
  const final: ClientFinal = {
    message: Redacted.make(`${withoutProof},p=${Base64.encode(proof)}`),
    receive: (serverFinal) => use(Effect.suspend(() => Effect.fromResult(conclude(serverFinal, signature, mechanism))))
  }
  return final
})

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

/** What a server's error means. Values that are not known are not shown: they may repeat the proof. */
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

// ---------------------------------------------------------------------------------------------------------------------
// Server
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a server has offered, and what the client has taken.
 *
 * @category server
 * @since 0.1.0
 */
export interface ServerOptions {
  /** The mechanism that the client has named. */
  readonly mechanism: Mechanism
  /** What the connection is bound to: given if, and only if, `SCRAM-SHA-256-PLUS` was offered. */
  readonly endPoint: Uint8Array | undefined
  /** With `ignored` the name in the exchange may be anything, as for PostgreSQL. Default: `required`. */
  readonly username?: "required" | "ignored" | undefined
}

/**
 * A server that receives the client's first message.
 *
 * @category server
 * @since 0.1.0
 */
export interface ServerStart {
  readonly receive: (clientFirst: Uint8Array | string) => Effect.Effect<ServerFirst, Refusal>
}

/**
 * A server that knows who wants to log in.
 *
 * @category server
 * @since 0.1.0
 */
export interface ServerFirst {
  /** The user's name, prepared; empty where it is ignored. */
  readonly username: string
  /** Goes on with the verifier of this user, or with the `mock` one of a user that is not there. */
  readonly challenge: (verifier: Verifier) => Effect.Effect<ServerChallenge, Refusal, SecureRandom.SecureRandom>
}

/**
 * A server that has its challenge to send, and receives the client's proof.
 *
 * @category server
 * @since 0.1.0
 */
export interface ServerChallenge {
  readonly message: string
  readonly receive: (clientFinal: Uint8Array | string) => Effect.Effect<ServerFinal, Refusal, Mac.Mac | Digest.Digest>
}

/**
 * A server to which the client has proved itself, and that has its own proof to send.
 *
 * @category server
 * @since 0.1.0
 */
export interface ServerFinal extends Authenticated {
  readonly username: string
  /** With the server's signature in it. */
  readonly message: Redacted.Redacted<string>
}

/**
 * Begins an exchange as the server.
 *
 * **Details**
 *
 * Where there is an `endPoint`, a client that says that it could bind and was not offered to is refused: somebody has
 * changed the offer. The binding of the client's last message must be that of its first, to the byte.
 *
 * **Example** (A wrong password)
 *
 * ```ts
 * import * as Scram from "effect-handshake/protocols/Scram"
 * import { NodeCrypto } from "@effect/platform-node"
 * import { Effect, Redacted } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const verifier = yield* Scram.verifier(Redacted.make("pencil"))
 *   const client = yield* Scram.client({ username: "user", password: Redacted.make("pen") })
 *
 *   const first = yield* Scram.server({ mechanism: client.mechanism, endPoint: undefined }).receive(client.message)
 *   const challenge = yield* first.challenge(verifier)
 *   const { message } = yield* client.receive(challenge.message)
 *   yield* challenge.receive(Redacted.value(message))
 * }).pipe(
 *   Effect.catchTag("ScramRefusal", (refusal) => Effect.sync(() => console.log(refusal.reply))) // => e=invalid-proof
 * )
 *
 * await Effect.runPromise(Effect.provide(program, NodeCrypto.layer))
 * ```
 *
 * @category server
 * @since 0.1.0
 */
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

const isVerifier = ({ iterations, salt, serverKey, storedKey }: Verifier): boolean =>
  Number.isInteger(iterations) && iterations >= 1 && iterations <= iterationsLimit &&
  salt.length >= 1 && salt.length <= Message.maxSaltLength &&
  Redacted.value(storedKey).length === Keys.keyLength && Redacted.value(serverKey).length === Keys.keyLength

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

const acceptProof = (
  clientFinal: Uint8Array | string,
  first: Accepted,
  nonce: string,
  mechanism: Mechanism
): Result.Result<Message.ClientFinal, Refusal> => {
  const parsed = Message.parseClientFinal(clientFinal)
  if (Result.isFailure(parsed)) return Result.fail(violation(parsed.failure))
  const final = parsed.success
  if (final.nonce !== nonce) {
    return Result.fail(violation({
      error: "invalid-encoding",
      problem: "client-final-message: the nonce is not the one of this exchange",
      excerpt: "c=…,r=…,p=…"
    }))
  }
  return final.channelBinding === first.channelBinding
    ? Result.succeed(final)
    : Result.fail(refusal(
      "channel-bindings-dont-match",
      failed(mechanism, "the client is bound to another channel than this one")
    ))
}

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
  // The same work and the same words whether the user is there or not: a mock verifier is one that nothing fits.
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

// ---------------------------------------------------------------------------------------------------------------------
// Verifiers
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes what a server keeps of a password.
 *
 * **Details**
 *
 * Fails with `AuthenticationFailed`, the fault on this side, where the password is empty or has no prepared form, or where
 * the iterations or the salt are out of range: 1 to 2^31 - 1, and 8 to 256 bytes. The keys are derived outside the event
 * loop.
 *
 * @category verifiers
 * @since 0.1.0
 */
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

/**
 * Makes a verifier for a user that is not there: no password fits it.
 *
 * **When to use**
 *
 * Use where no verifier is found, so that the exchange goes on to its end and fails there, as with a wrong password.
 * Otherwise anybody can find out who has an account. Make it for everybody, whether it is needed or not: then it also takes
 * the same time.
 *
 * **Details**
 *
 * It is the same each time for the same user and secret, because that of a user who is there is also the same each time.
 * The `secret` is 32 random bytes; less than 16 fail with `AuthenticationFailed`.
 *
 * **Gotchas**
 *
 * Keep the secret as long as the verifiers: where it changes, the salts of those who are not there do. And give the
 * iterations and the length of the salt that the others have.
 *
 * @category verifiers
 * @since 0.1.0
 */
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

/**
 * Whether a password in clear is the one of a verifier.
 *
 * **Details**
 *
 * In constant time, and as expensive as the verifier has iterations. A password without a prepared form is none.
 *
 * @category verifiers
 * @since 0.1.0
 */
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

// ---------------------------------------------------------------------------------------------------------------------
// Channel binding
// ---------------------------------------------------------------------------------------------------------------------

const endPointHashes: Record<Certificate.Hash, Digest.Algorithm | undefined> = {
  // RFC 5929 4.1: too weak by now.
  "MD5": Digest.sha256,
  "SHA-1": Digest.sha256,
  // Hardly any certificate is signed so, and Web Cryptography does not have it.
  "SHA-224": undefined,
  "SHA-256": Digest.sha256,
  "SHA-384": Digest.sha384,
  "SHA-512": Digest.sha512
}

/**
 * What `tls-server-end-point` binds to (RFC 5929 4.1): the hash of the server's certificate, which is given in DER, by the
 * hash function of its signature.
 *
 * **Details**
 *
 * SHA-256 stands in for MD5 and SHA-1. The result is `undefined` where the signature has no hash function of its own, as
 * with Ed25519, and for bytes that are no certificate: such a connection cannot be bound, and a server on it must not offer
 * `SCRAM-SHA-256-PLUS`.
 *
 * @category channel binding
 * @since 0.1.0
 */
export const serverEndPoint = (
  certificate: Uint8Array
): Effect.Effect<Uint8Array | undefined, never, Digest.Digest> =>
  Effect.suspend(() => {
    const hash = Certificate.signatureHash(certificate)
    const algorithm = hash && endPointHashes[hash]
    return algorithm === undefined
      ? Effect.undefined
      : Effect.flatMap(Digest.Digest, (digest) => digest.digest(algorithm, certificate))
  })
