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
 * @stability stable
 * @since 0.1.0
 */

// ---------------------------------------------------------------------------------------------------------------------
// Models
// ---------------------------------------------------------------------------------------------------------------------

export type {
  /**
   * The mechanisms by their SASL names. The one with `-PLUS` also proves that both sides are at the ends of the same
   * TLS connection.
   *
   * @category models
   * @since 0.1.0
   */
  Mechanism
} from "./scram/mechanism.ts"

export type {
  /**
   * How a password becomes bytes.
   *
   * **Details**
   *
   * `strict` is SASLprep (RFC 4013), and a password that has no prepared form fails. `postgres` is what PostgreSQL
   * does: SASLprep where it applies, and else the password as it is.
   *
   * @category models
   * @since 0.1.0
   */
  Preparation
} from "./scram/preparation.ts"

export type {
  /**
   * What a client says about channel binding (RFC 5802 6).
   *
   * **Details**
   *
   * - `Unsupported`: it has none (`n`).
   * - `NotOffered`: it has, and the server has not offered it (`y`). A server that has offered it sees then that
   *   somebody has taken it away on the way.
   * - `EndPoint`: it binds, to the server's certificate (`p=tls-server-end-point`).
   *
   * @category models
   * @since 0.1.0
   */
  Binding
} from "./scram/channelBinding.ts"

export type {
  /**
   * A mechanism and what to say about channel binding in it.
   *
   * @category models
   * @since 0.1.0
   */
  Chosen
} from "./scram/mechanism.ts"

export type {
  /**
   * The proof that the other side knows the password, or what was made of it. Only the last transition of each side
   * makes one.
   *
   * @category models
   * @since 0.1.0
   */
  Authenticated
} from "./scram/exchange.ts"

export type {
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
  Verifier
} from "./scram/verifier.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Constants
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * How many iterations a verifier has unless told otherwise, and how many a client wants at least: 4096, as
   * RFC 7677 4 and PostgreSQL have it.
   *
   * @category constants
   * @since 0.1.0
   */
  defaultIterations,
  /**
   * How many iterations a client accepts at most unless told otherwise: one million, some tenths of a second of one
   * core.
   *
   * @category constants
   * @since 0.1.0
   */
  defaultMaxIterations
} from "./scram/limits.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------------------------------

export type {
  /**
   * Why a client gives up: a bare reason, so that `Handshake.step` names the step.
   *
   * **Details**
   *
   * `MalformedFrame` is a message that is none or does not belong here, such as one with another nonce.
   * `AuthenticationFailed` is the server's refusal, a server that cannot prove itself, one that asks for too few or
   * too many iterations, or a password that cannot be used.
   *
   * @category errors
   * @since 0.1.0
   */
  ClientFailure
} from "./scram/errors.ts"

export {
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
  Refusal,
  /**
   * What RFC 5802 7 calls the errors of a server.
   *
   * @category errors
   * @since 0.1.0
   */
  ServerErrorValue
} from "./scram/errors.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Client
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * Chooses among the mechanisms that a server offers.
   *
   * **Details**
   *
   * `endPoint` is what the connection can be bound to (`serverEndPoint`), if it can. `channelBinding` says what the
   * client wants: `require` fails where it cannot be had, `prefer`, the default, binds where it can, `disable` does
   * not. The server hears which of the two was the case, so that it notices an offer that was taken away.
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
  choose
} from "./scram/mechanism.ts"

export type {
  /**
   * What a client has kept of an exchange, and need not derive again: see {@link keyCache}.
   *
   * @category client
   * @since 0.1.0
   */
  KeyCache
} from "./scram/keyCache.ts"

export {
  /**
   * Makes a place where a client keeps its keys from one exchange to the next (RFC 5802 3).
   *
   * **When to use**
   *
   * Use where one user logs in again and again, as the connections of a pool do. Deriving the keys is nearly all that
   * an exchange costs, a millisecond of a core at 4096 iterations, and a server has the same salt each time.
   * `Postgres.client` has one of its own.
   *
   * **Details**
   *
   * It has room for the keys of one password, one salt and one number of iterations, those of the last exchange in which
   * the server has proved itself. A server that asks for others, as after the password was changed, has them derived
   * anew. What is refused without it is refused with it: the bounds of `iterations` are looked at first.
   *
   * **Gotchas**
   *
   * Its keys are worth as much as the password to that server, and stay in memory for as long as it is held. Nothing
   * prints them.
   *
   * **Example** (The second exchange)
   *
   * ```ts
   * import * as Scram from "effect-handshake/protocols/Scram"
   * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
   * import { Effect, Redacted } from "effect"
   * import { Kdf } from "effect/crypto"
   *
   * const program = Effect.gen(function*() {
   *   const password = Redacted.make("pencil")
   *   const verifier = yield* Scram.verifier(password)
   *   const kdf = yield* Kdf.Kdf
   *   let derived = 0
   *   const counting = Kdf.Kdf.of({
   *     ...kdf,
   *     derive: (...args) => {
   *       derived++
   *       return kdf.derive(...args)
   *     }
   *   })
   *
   *   const keys = Scram.keyCache()
   *   const exchange = Effect.gen(function*() {
   *     const client = yield* Scram.client({ username: "user", password, keys })
   *     const server = yield* Scram.server({ mechanism: client.mechanism, endPoint: undefined }).receive(client.message)
   *     const challenge = yield* server.challenge(verifier)
   *     const final = yield* client.receive(challenge.message)
   *     const { message } = yield* challenge.receive(Redacted.value(final.message))
   *     return yield* final.receive(Redacted.value(message))
   *   }).pipe(Effect.provideService(Kdf.Kdf, counting))
   *
   *   yield* exchange
   *   yield* exchange
   *   return derived
   * })
   *
   * console.log(await Effect.runPromise(Effect.provide(program, NodeCrypto.layer))) // => 1
   * ```
   *
   * @category client
   * @since 0.1.0
   */
  make as keyCache
} from "./scram/keyCache.ts"

export type {
  /**
   * A client that has its proof to send, and receives the server's.
   *
   * @category client
   * @since 0.1.0
   */
  ClientFinal,
  /**
   * A client that has its first message to send, and receives the server's.
   *
   * @category client
   * @since 0.1.0
   */
  ClientFirst,
  /**
   * Who a client is, and what it takes from a server.
   *
   * @category client
   * @since 0.1.0
   */
  ClientOptions
} from "./scram/client.ts"

export {
  /**
   * Begins an exchange as the client.
   *
   * **Details**
   *
   * Fails with `AuthenticationFailed`, the fault on this side, where the password or the user name has no prepared
   * form or the password is empty. A server is refused if it asks for fewer iterations than `minIterations` or more
   * than `maxIterations`, if its salt is shorter than 8 bytes, or if its nonce does not begin with this side's and go
   * on after that. A state whose `receive` is interrupted is used up. Nothing else is left behind, except that a
   * derivation that has begun runs to its end.
   *
   * **Gotchas**
   *
   * A server that ends the exchange before its last message has not proved anything. There is no `Authenticated` then.
   *
   * **Example** (Client and server, message by message)
   *
   * ```ts
   * import * as Scram from "effect-handshake/protocols/Scram"
   * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
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
  client
} from "./scram/client.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Server
// ---------------------------------------------------------------------------------------------------------------------

export type {
  /**
   * A server that has its challenge to send, and receives the client's proof.
   *
   * @category server
   * @since 0.1.0
   */
  ServerChallenge,
  /**
   * A server to which the client has proved itself, and that has its own proof to send.
   *
   * @category server
   * @since 0.1.0
   */
  ServerFinal,
  /**
   * A server that knows who wants to log in.
   *
   * @category server
   * @since 0.1.0
   */
  ServerFirst,
  /**
   * What a server has offered, and what the client has taken.
   *
   * @category server
   * @since 0.1.0
   */
  ServerOptions,
  /**
   * A server that receives the client's first message.
   *
   * @category server
   * @since 0.1.0
   */
  ServerStart
} from "./scram/server.ts"

export {
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
   * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
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
  server
} from "./scram/server.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Verifiers
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * Makes a verifier for a user that is not there: no password fits it.
   *
   * **When to use**
   *
   * Use where no verifier is found, so that the exchange goes on to its end and fails there, as with a wrong password.
   * Otherwise anybody can find out who has an account. Make it for everybody, whether it is needed or not: then it
   * also takes the same time.
   *
   * **Details**
   *
   * It is the same each time for the same user and secret, because that of a user who is there is also the same each
   * time. The `secret` is 32 random bytes; less than 16 fail with `AuthenticationFailed`.
   *
   * **Gotchas**
   *
   * Keep the secret for as long as the verifiers: when it changes, so do the salts of users that are not there, which
   * tells them from those that are. And give the iterations and the length of the salt that the others have.
   *
   * @category verifiers
   * @since 0.1.0
   */
  mock,
  /**
   * Makes what a server keeps of a password.
   *
   * **Details**
   *
   * Fails with `AuthenticationFailed`, the fault on this side, where the password is empty or has no prepared form, or
   * where the iterations or the salt are out of range: 1 to 2^31 - 1, and 8 to 256 bytes. The keys are derived outside
   * the event loop.
   *
   * @category verifiers
   * @since 0.1.0
   */
  verifier,
  /**
   * Whether a password in clear is the one of a verifier.
   *
   * **Details**
   *
   * It takes constant time, and costs what the iterations of the verifier cost. A password without a prepared form is
   * never the one.
   *
   * @category verifiers
   * @since 0.1.0
   */
  verify
} from "./scram/verifier.ts"

export {
  /**
   * Whose turn it is to derive keys from a password: a semaphore for all that a process derives, on both sides, with two permits.
   *
   * **Details**
   *
   * A derivation takes a thread of Node's pool, of which there are four unless `UV_THREADPOOL_SIZE` says otherwise, and files and
   * names are looked up there as well. So what a hostile peer asks for, in a million iterations or from many connections, waits in
   * line. Whoever is interrupted there, by the deadline of a handshake, leaves the line: what nobody waits for is not begun.
   *
   * **Example** (As many as there are spare threads)
   *
   * ```ts
   * import * as Scram from "effect-handshake/protocols/Scram"
   * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
   * import { Effect, Redacted, Semaphore } from "effect"
   *
   * const program = Scram.verifier(Redacted.make("pencil")).pipe(
   *   Effect.provideService(Scram.Derivations, Semaphore.makeUnsafe(3)),
   *   Effect.provide(NodeCrypto.layer)
   * )
   *
   * console.log((await Effect.runPromise(program)).iterations) // => 4096
   * ```
   *
   * @category verifiers
   * @since 0.1.0
   */
  Derivations
} from "./scram/keys.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Channel binding
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * What `tls-server-end-point` binds to (RFC 5929 4.1): the hash of the server's certificate, which is given in DER,
   * by the hash function of its signature.
   *
   * **Details**
   *
   * SHA-256 stands in for MD5 and SHA-1. The result is `undefined` where the signature has no hash function of its
   * own, as with Ed25519, and for bytes that are no certificate: such a connection cannot be bound, and a server on it
   * must not offer `SCRAM-SHA-256-PLUS`.
   *
   * @category channel binding
   * @since 0.1.0
   */
  serverEndPoint
} from "./scram/channelBinding.ts"
