/**
 * The start-up of PostgreSQL connections, in both roles: TLS, version, authentication, session.
 *
 * A client or a server that is done has a `Transport` of typed messages and a `session` that tells what was agreed on.
 * What clients and servers say behind that is theirs: the messages of the simple and the extended query are typed, and
 * nothing here knows SQL.
 *
 * What is spoken is protocol 3.0 and 3.2 (the PostgreSQL manual, chapter 54), with the methods trust, password, md5,
 * scram-sha-256 and, over TLS, its binding to the server's certificate.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Codec from "../Codec.ts"
import * as Handshake from "../Handshake.ts"
import {
  type AuthenticationFailed,
  type HandshakeError,
  isHandshakeError,
  type MalformedFrame
} from "../HandshakeError.ts"
import * as Protocol from "../Protocol.ts"
import * as Auth from "./postgres/authenticator.ts"
import * as ClientSide from "./postgres/client.ts"
import * as Codecs from "./postgres/codecs.ts"
import type * as Conversation from "./postgres/conversation.ts"
import * as Errors from "./postgres/errors.ts"
import type * as Messages from "./postgres/messages.ts"
import * as Passwords from "./postgres/password.ts"
import * as ServerSide from "./postgres/server.ts"

/** What its errors, logs, spans and metrics carry. */
const name = "postgres"

// ---------------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a client may say first, before there are types of messages.
 *
 * **Details**
 *
 * A `StartupMessage` is one of protocol 3, and `minor` the rest of its version. A packet of another protocol is an
 * `UnknownStartup`: all that is known of it is the code in the place of the version.
 *
 * @category messages
 * @since 0.1.0
 */
export type StartupPacket = Messages.StartupPacket

/**
 * What a client says behind the start-up.
 *
 * **Details**
 *
 * A message of a type that this module does not know is `Unknown`, with its type and its bytes, such as those of COPY
 * and of function calls. It can be sent, too.
 *
 * @category messages
 * @since 0.1.0
 */
export type RequestMessage = Messages.RequestMessage

/**
 * What a client says, in the start-up and behind it.
 *
 * @category messages
 * @since 0.1.0
 */
export type FrontendMessage = Messages.FrontendMessage

/**
 * What a server says, in the start-up and behind it; `Unknown` where this module does not know the type.
 *
 * @category messages
 * @since 0.1.0
 */
export type BackendMessage = Messages.BackendMessage

/**
 * The fields of an error or of a notice (the PostgreSQL manual, 54.8).
 *
 * @category messages
 * @since 0.1.0
 */
export type ErrorFields = Messages.ErrorFields

/**
 * A column of a result.
 *
 * @category messages
 * @since 0.1.0
 */
export type Field = Messages.Field

/**
 * The codec of what clients say behind the start-up. `maxLength` is in bytes, 16 MiB by default.
 *
 * **Example** (A simple query, as it is on the wire)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 *
 * const bytes = Codec.encodeAll(Postgres.requestMessages(), [{ _tag: "Query", sql: "select 1" }])
 *
 * console.log(new TextDecoder().decode(bytes.subarray(5, 13))) // => select 1
 * console.log(Codec.decodeAll(Postgres.requestMessages(), bytes)) // => [ { _tag: 'Query', sql: 'select 1' } ]
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const requestMessages: (
  options?: {
    /** Of a message, in bytes. Default: 16 MiB. */
    readonly maxLength?: number | undefined
  }
) => Codec.Codec<RequestMessage, RequestMessage> = Codecs.requests

/**
 * The codec of what servers say. `maxLength` is in bytes, 16 MiB by default.
 *
 * **Details**
 *
 * No error shows the key of a session, nor what proves that somebody knows a password.
 *
 * @category codecs
 * @since 0.1.0
 */
export const backendMessages: (
  options?: {
    /** Of a message, in bytes. Default: 16 MiB. */
    readonly maxLength?: number | undefined
  }
) => Codec.Codec<BackendMessage, BackendMessage> = Codecs.backend

/**
 * Whether a connection that begins with these bytes begins as PostgreSQL does; `undefined` while it takes more of them.
 *
 * **When to use**
 *
 * Use as `accepts` of a branch of `Handshake.firstOf`, where one port serves several protocols.
 *
 * **Details**
 *
 * It looks at 8 bytes at the most, and accepts a length that is followed by a version 3 or by one of the requests, even
 * a length that is too long and is refused then. A client that begins with TLS is not among them: that is the business
 * of the branch for TLS.
 *
 * **Example** (Not everything is PostgreSQL)
 *
 * ```ts
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 *
 * const sslRequest = Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47)
 *
 * console.log(Postgres.isStartup(sslRequest)) // => true
 * console.log(Postgres.isStartup(sslRequest.subarray(0, 4))) // => undefined
 * console.log(Postgres.isStartup(new TextEncoder().encode("GET / HTTP/1.1"))) // => false
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isStartup: (bytes: Uint8Array) => boolean | undefined = Codecs.isStartup

// ---------------------------------------------------------------------------------------------------------------------
// What was agreed on
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The versions of the protocol. There is no 3.1.
 *
 * @category models
 * @since 0.1.0
 */
export type Version = Conversation.Version

/**
 * How a user proves who it is. With `trust` it does not.
 *
 * @category models
 * @since 0.1.0
 */
export type Method = Conversation.Method

/**
 * What names a session to whoever wants to cancel its query.
 *
 * @category models
 * @since 0.1.0
 */
export type BackendKey = ClientSide.BackendKey

/**
 * What a client has learned in the start-up.
 *
 * @category models
 * @since 0.1.0
 */
export type Session = ClientSide.Session

/**
 * What a server has learned in the start-up.
 *
 * @category models
 * @since 0.1.0
 */
export type ServerSession = ServerSide.ServerSession

/**
 * What the client's start-up ends with.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientTransport = ClientSide.ClientTransport

/**
 * What the server's start-up ends with.
 *
 * @category models
 * @since 0.1.0
 */
export type ServerTransport = ServerSide.ServerTransport

/**
 * The services that do the cryptography; `NodeCrypto.layer` provides all of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Crypto = ClientSide.Crypto

// ---------------------------------------------------------------------------------------------------------------------
// Client
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * The server has said no with an ErrorResponse: a `Rejected` with all that it said.
   *
   * **Details**
   *
   * `code` is the SQLSTATE, and `fields` are those of the ErrorResponse, each of them printable and no longer than 1000
   * characters. It is `retryable` where the server has no room (class 53, but for 53400), starts or stops (57P01 to 57P03),
   * where the database is in use (55006), or where the server itself cannot reach what it needs (class 08, but for
   * 08004 and 08P01).
   *
   * A server that cannot fork says so in the form of protocol 2, which has no code: it is `retryable`, and the `code` of the
   * `Rejected` is left out. Texts in the encoding of a server that has not heard of ours have U+FFFD for what is not UTF-8.
   *
   * @category errors
   * @since 0.1.0
   */
  ServerError
} from "./postgres/errors.ts"

/**
 * What the server has said, where that is why a handshake has failed.
 *
 * **Example** (A database that is not there)
 *
 * ```ts
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 * import { MemorySocket } from "effect-handshake/testing"
 * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = Postgres.client({ user: "ann", database: "nothing", sslmode: "disable" })
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const server = Postgres.server({ databases: ["shop"] }).pipe(Effect.provideService(Socket.Socket, there))
 *   yield* Effect.forkScoped(Effect.ignore(server))
 *   return yield* client.pipe(Effect.flip, Effect.scoped, Effect.provideService(Socket.Socket, here))
 * }).pipe(Effect.provide(Postgres.layerTrust), Effect.provide(NodeCrypto.layer), Effect.scoped)
 *
 * const refused = Postgres.serverError(await Effect.runPromise(program))
 *
 * console.log(refused?.fields.code) // => 3D000
 * console.log(refused?.fields.message) // => database "nothing" does not exist
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export const serverError = (error: unknown): Errors.ServerError | undefined =>
  isHandshakeError(error) && error.reason instanceof Errors.ServerError ? error.reason : undefined

/**
 * How a client encrypts the connection, as libpq names these options.
 *
 * @category models
 * @since 0.1.0
 */
export type EncryptionOptions = ClientSide.EncryptionOptions

/**
 * Who a client is, what it wants, and what it takes from a server.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientOptions = ClientSide.Options

/**
 * The client's start-up.
 *
 * **Details**
 *
 * | `sslmode` | TLS | the server's certificate |
 * |---|---|---|
 * | `disable` | no | |
 * | `prefer` | where the server has it | is not looked at: whoever is in between can read along |
 * | `require` | yes | comes from one of `ca`; is not looked at where there is no `ca` |
 * | `verify-ca` | yes | comes from one of `ca`, or from whom Node trusts |
 * | `verify-full`, the default | yes | and is for `host` |
 *
 * Unless `requireAuth` says which methods may be, a server may ask for SCRAM, for nothing, and, where TLS has verified who
 * it is, also for the password in clear text or as MD5. SCRAM runs in order: a server that has not proved that it knows
 * the password has let nobody in. It is bound to the TLS connection where that can be.
 *
 * An ErrorResponse fails as {@link ServerError}, at whatever step it comes; another message than what is due fails as
 * `InvalidGreeting`, a method that may not be as `AuthenticationFailed`. Nothing that came in clear is taken for what came
 * encrypted: exactly one byte answers SSLRequest, and anything behind it is `UnreadBytes`.
 *
 * Texts are in UTF-8: `client_encoding` is always that.
 *
 * **Gotchas**
 *
 * It is not what libpq does by default, which is `prefer`. To a server without TLS say `sslmode: "disable"`.
 *
 * `prefer` goes on in clear where the server says that it has no TLS, and only there. libpq dials once more in clear also where
 * TLS fails, or where the server refuses who has come over TLS. A handshake has one connection, so that this one fails: who
 * wants to go on after that dials again with `sslmode: "disable"`, and knows then that anybody can read along.
 *
 * The keys of SCRAM are derived once, for all connections that are made with the same `client`, and anew where the server asks
 * for others: make it once for a pool. See `Scram.keyCache`.
 *
 * To end the session, send `Terminate`: a server may complain about a client that just closes the connection.
 *
 * Impossible options, such as `sslnegotiation: "direct"` without TLS, throw a `TypeError` at once.
 *
 * **Example** (Log in and ask)
 *
 * ```ts
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 * import { MemorySocket } from "effect-handshake/testing"
 * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
 * import { Effect, Redacted } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const password = Redacted.make("correct horse")
 *
 * const client = Postgres.client({ user: "ann", password, database: "shop", sslmode: "disable" })
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const server = Postgres.server({ parameters: { server_version: "18.0" } })
 *   yield* Effect.forkScoped(server.pipe(Effect.provideService(Socket.Socket, there)))
 *   const { session } = yield* client.pipe(Effect.provideService(Socket.Socket, here))
 *   return `${session.authentication}, protocol ${session.protocolVersion}, ${session.parameters.get("server_version")}`
 * }).pipe(Effect.provide(Postgres.layerUsers([{ user: "ann", password }])), Effect.provide(NodeCrypto.layer), Effect.scoped)
 *
 * console.log(await Effect.runPromise(program)) // => scram-sha-256, protocol 3.0, 18.0
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const client = (
  options: ClientOptions
): Effect.Effect<ClientTransport, HandshakeError, Socket.Socket | Scope.Scope | Crypto> =>
  Handshake.named(ClientSide.make(options), name)

/**
 * Asks a server to cancel the query of a session, over a connection of its own.
 *
 * **Details**
 *
 * `options` are those of the client's encryption. It is done when the server has closed the connection. A server does not
 * say whether it has cancelled anything, and not even whether the key is that of a session.
 *
 * **Example** (Cancel what takes too long)
 *
 * ```ts
 * import * as Net from "effect-handshake/node/Net"
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 * import { Effect } from "effect"
 *
 * const options = { user: "ann", sslmode: "verify-full", host: "db.example.com" } as const
 *
 * const stop = ({ session }: Postgres.ClientTransport) =>
 *   session.backendKey === undefined
 *     ? Effect.void
 *     : Postgres.cancel(session.backendKey, options).pipe(
 *       Effect.provide(Net.layerSocket({ host: "db.example.com", port: 5432 }))
 *     )
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const cancel = (
  key: BackendKey,
  options: EncryptionOptions
): Effect.Effect<void, HandshakeError, Socket.Socket> =>
  Effect.scoped(Handshake.named(ClientSide.cancel(key, options), name))

// ---------------------------------------------------------------------------------------------------------------------
// Server
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What is asked about somebody who wants to log in.
 *
 * @category models
 * @since 0.1.0
 */
export type LoginRequest = Auth.LoginRequest

/**
 * How somebody has to prove who it is.
 *
 * **Details**
 *
 * With `stored` undefined the user is not there, or has no password. It is asked for one all the same and refused in the end,
 * so that an outsider cannot tell; give the `method` and the `iterations` that the others have. What is stored must fit the
 * method: a SCRAM verifier for `scram-sha-256`, an MD5 hash for `md5`, either for `password`. Otherwise no password is
 * right.
 *
 * @category models
 * @since 0.1.0
 */
export type Login = Auth.Login

/**
 * What is kept of a password: a SCRAM verifier or an MD5 hash.
 *
 * @category models
 * @since 0.1.0
 */
export type StoredPassword = Auth.StoredPassword

/**
 * Reads a password as PostgreSQL stores it, in `pg_authid.rolpassword`: `SCRAM-SHA-256$…` or `md5…`.
 *
 * @category models
 * @since 0.1.0
 */
export const parseStored: (
  stored: Redacted.Redacted<string>
) => Result.Result<StoredPassword, MalformedFrame> = Passwords.parse

export {
  /**
   * Knows who may log in to a server.
   *
   * **Details**
   *
   * Each login looks its user up once. Where that fails with an `AuthenticatorError` the client hears that it may try again
   * later (57P03), and nothing else: its cause is that of the `Rejected`, and in the log.
   *
   * **Example** (Anybody from the Unix socket, everybody else with a password)
   *
   * ```ts
   * import * as Postgres from "effect-handshake/protocols/Postgres"
   * import { Effect, Layer } from "effect"
   *
   * const layer = (find: (user: string) => Effect.Effect<Postgres.StoredPassword | undefined>) =>
   *   Layer.succeed(Postgres.Authenticator, {
   *     lookup: ({ user, peer }) =>
   *       peer.local?._tag === "UnixPathAddress"
   *         ? Effect.succeed({ method: "trust" })
   *         : Effect.map(find(user), (stored) => ({ method: "scram-sha-256", stored }))
   *   })
   * ```
   *
   * @category services
   * @since 0.1.0
   */
  Authenticator,
  /**
   * Users cannot be looked up now.
   *
   * @category errors
   * @since 0.1.0
   */
  AuthenticatorError
} from "./postgres/authenticator.ts"

/**
 * A user of {@link layerUsers}: with a `password`, or with what PostgreSQL stores of one. Without either it cannot log in.
 *
 * @category models
 * @since 0.1.0
 */
export type User = Auth.User

/**
 * An `Authenticator` that knows these users.
 *
 * **Details**
 *
 * All of them prove who they are by `method`, `scram-sha-256` by default. Verifiers are made when the layer is built, with
 * `iterations`, 4096 by default. It fails where a password cannot be prepared, or where what is stored is no verifier.
 *
 * **Example** (Two users)
 *
 * ```ts
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 * import { Redacted } from "effect"
 *
 * const layer = Postgres.layerUsers([
 *   { user: "ann", password: Redacted.make("correct horse") },
 *   { user: "bob", stored: Redacted.make("SCRAM-SHA-256$4096:…") }
 * ])
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUsers: (
  users: Iterable<User>,
  options?: Auth.UsersOptions
) => Layer.Layer<Auth.Authenticator, AuthenticationFailed | MalformedFrame, Crypto> = Auth.users

/**
 * An `Authenticator` that lets everybody in, under any name.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerTrust: Layer.Layer<Auth.Authenticator> = Auth.trust

/**
 * What a server tells its clients, and whom it takes.
 *
 * @category models
 * @since 0.1.0
 */
export type ServerOptions = ServerSide.Options

/**
 * The server's start-up.
 *
 * **Details**
 *
 * It answers SSLRequest and GSSENCRequest, each of them once, takes TLS from the first byte where the client offers the
 * protocol `postgresql` (ALPN), agrees on 3.0 or 3.2, and asks the {@link Authenticator} about the user. Who fails is told
 * why before the connection closes:
 *
 * | what is wrong | SQLSTATE | fails as |
 * |---|---|---|
 * | the user or the password, in the same words | 28P01 | `AuthenticationFailed` |
 * | no user is named | 28000 | `InvalidGreeting` |
 * | the user is rejected, or TLS is required | 28000 | `Rejected` |
 * | the channel binding | 28000 | `AuthenticationFailed` |
 * | the database is not there; only who has logged in is told | 3D000 | `Rejected` |
 * | the protocol is not 3 | 0A000 | `UnsupportedVersion` |
 * | `client_encoding` is not UTF8 | 22023 | `Rejected` |
 * | users cannot be looked up | 57P03 | `Rejected` |
 * | a message is malformed, too long, or not due | 08P01 | `MalformedFrame`, `FrameTooLarge`, `InvalidGreeting` |
 * | bytes behind SSLRequest (CVE-2021-23214) | 08P01 | `UnreadBytes` |
 *
 * `Server` turns clients away with 53300 at its limits, and where they come too often, 57P03 while it drains and 57014 at the deadline, once they have sent
 * their start-up message.
 *
 * After the start-up, a client that sends what cannot be read hears why when the connection closes: 54000 where it is
 * longer than `maxLength`, else 08P01.
 *
 * A CancelRequest ends as `Rejected` by the peer, with no answer, as the protocol has it. Where its key is that of an open
 * session, `onCancel` runs with it before. The keys are known to this value only: two of them, or two processes, do not
 * know the sessions of each other.
 *
 * **Gotchas**
 *
 * Impossible options throw a `TypeError` at once.
 *
 * **Example** (A server that answers nothing)
 *
 * ```ts
 * import { Server } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Postgres from "effect-handshake/protocols/Postgres"
 * import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
 * import { Effect, Layer, Redacted, Stream } from "effect"
 *
 * const layer = Server.layer({
 *   handshake: Postgres.server(),
 *   serve: (transport) =>
 *     Stream.runForEach(transport.incoming, (message) =>
 *       message._tag === "Query"
 *         ? transport.sendAll([{ _tag: "EmptyQueryResponse" }, { _tag: "ReadyForQuery", status: "idle" }])
 *         : Effect.void)
 * }).pipe(
 *   Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 5432 })),
 *   Layer.provide(Postgres.layerUsers([{ user: "ann", password: Redacted.make("correct horse") }])),
 *   Layer.provide(NodeCrypto.layer)
 * )
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const server = (
  options: ServerOptions = {}
): Effect.Effect<
  ServerTransport,
  HandshakeError,
  Socket.Socket | Scope.Scope | Auth.Authenticator | Crypto
> => Handshake.named(ServerSide.make(options), name)

/**
 * Both sides, as a `Protocol`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  /** The options of its client. */
  readonly client: ClientOptions
  /** The options of its server. */
  readonly server?: ServerOptions | undefined
}) => {
  return Protocol.make({ name, server: ServerSide.make(options.server ?? {}), client: ClientSide.make(options.client) })
}

// ---------------------------------------------------------------------------------------------------------------------
// What is said, written down
// ---------------------------------------------------------------------------------------------------------------------

export {
  /**
   * The start-up as a `Dialogue`: what each side may say, in clear and inside TLS, until the session is ready.
   *
   * **When to use**
   *
   * Use to look up what comes when, to draw it, or to hold another implementation to it. `client` and `server` are not made of
   * it, and are held to it by the tests, as is PostgreSQL itself.
   *
   * **Details**
   *
   * A CancelRequest, which nobody answers, is not part of it.
   *
   * @category dialogues
   * @since 0.1.0
   */
  StartUp
} from "./postgres/startUp.ts"
