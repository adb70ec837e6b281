/**
 * The server's side of the start-up (the PostgreSQL manual, 54.2.1 to 54.2.3, 54.2.9 to 54.2.11 and 54.3).
 *
 * What is decided about a message is a function of it; the rest sends, receives, and asks these functions.
 *
 * @internal
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Handshake from "../../Handshake.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import type * as Peer from "../../Peer.ts"
import * as Transport from "../../Transport.ts"
import type { TransportError } from "../../TransportError.ts"
import * as Scram from "../Scram.ts"
import { Authenticator, type Login, type LoginRequest } from "./authenticator.ts"
import type { BackendKey, Crypto } from "./client.ts"
import * as Codecs from "./codecs.ts"
import {
  alpn,
  extensionPrefix,
  type Method,
  minorOf,
  noAlpn,
  unexpected,
  type Version,
  versionOf,
  versions
} from "./conversation.ts"
import * as Errors from "./errors.ts"
import * as Messages from "./messages.ts"
import * as Password from "./password.ts"
import { Sessions } from "./sessions.ts"

export type TlsOptions = Omit<Transport.TlsServerOptions, "role" | "alpn" | "unread">

export interface Options {
  /**
   * What TLS is told; an Effect of it runs for each connection, so that certificates can be replaced. Default: none, and
   * `N` to SSLRequest.
   */
  readonly tls?: TlsOptions | Effect.Effect<TlsOptions> | undefined
  /** Whether who does not encrypt is refused. Default: false. */
  readonly requireTls?: boolean | undefined
  /**
   * What the server tells of itself, such as `server_version`, besides and instead of what it tells anyway. What is
   * `undefined` is not told.
   */
  readonly parameters?: Readonly<Record<string, string | undefined>> | undefined
  /** Which databases there are. Default: any. */
  readonly databases?:
    | ReadonlyArray<string>
    | ((database: string, user: string) => Effect.Effect<boolean>)
    | undefined
  /** Default: 3.2. */
  readonly maxProtocolVersion?: Version | undefined
  /** Runs when the query of an open session is to be cancelled. */
  readonly onCancel?: ((session: ServerSession) => Effect.Effect<unknown>) | undefined
  /**
   * What the challenges of users that are not there are made of. Keep it as long as the verifiers of those who are: where it
   * changes, such challenges do. Default: 32 random bytes.
   */
  readonly mockSecret?: Redacted.Redacted<Uint8Array> | undefined
  /** How long a message of a client may be behind the start-up, in bytes. Default: 1 MiB. */
  readonly maxLength?: number | undefined
}

export interface ServerSession {
  readonly user: string
  readonly database: string
  readonly protocolVersion: Version
  /** What the client has asked for of the protocol's extensions. There is none that this server knows. */
  readonly unrecognizedOptions: ReadonlyArray<string>
  readonly authentication: Method
  /** Whether SCRAM was bound to the TLS connection. */
  readonly channelBound: boolean
  /** What the client has said in its start-up message. */
  readonly parameters: ReadonlyMap<string, string>
  readonly backendKey: BackendKey
  /** Undefined where the connection is not encrypted. */
  readonly tls: Peer.Tls | undefined
}

export type ServerTransport =
  & Transport.Transport<Messages.RequestMessage, Messages.BackendMessage>
  & Readonly<{ protocol: "postgres"; session: ServerSession }>

const describing = { describe: Messages.describe }

const defaultMaxLength = 1024 * 1024

const keyLength: Record<Version, number> = { "3.0": 4, "3.2": 32 }

/** What a server says of itself: all that PostgreSQL 18 tells (the manual, 54.2.7), for clients take some of it as promised. */
const defaultParameters: Readonly<Record<string, string>> = {
  server_version: "18.0",
  server_encoding: "UTF8",
  DateStyle: "ISO, MDY",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  integer_datetimes: "on",
  standard_conforming_strings: "on",
  default_transaction_read_only: "off",
  in_hot_standby: "off",
  is_superuser: "off",
  scram_iterations: "4096",
  search_path: "\"$user\", public"
}

/** Why a client is turned away, and what it hears. */
class Refusal {
  readonly reply: Messages.ErrorResponse
  readonly reason: HandshakeError.Reason

  constructor(reply: Messages.ErrorResponse, reason: HandshakeError.Reason) {
    this.reply = reply
    this.reason = reason
  }
}

const refusal = (reply: Messages.ErrorResponse, reason: HandshakeError.Reason): Result.Result<never, Refusal> =>
  Result.fail(new Refusal(reply, reason))

/** This side does not want the client, and says so. */
const rejection = (reply: Messages.ErrorResponse, cause?: unknown): Result.Result<never, Refusal> =>
  refusal(
    reply,
    new HandshakeError.Rejected({
      by: "local",
      said: reply.message,
      code: reply.code,
      retryable: Errors.isRetryable(reply.code),
      ...cause !== undefined && { cause }
    })
  )

// ---------------------------------------------------------------------------------------------------------------------
// As far as the start-up message
// ---------------------------------------------------------------------------------------------------------------------

type Start = Transport.Transport<Messages.StartupPacket, Messages.EncryptionAnswer | Messages.BackendMessage>

type StartupMessage = Extract<Messages.StartupPacket, { readonly _tag: "StartupMessage" }>

/** What a client has asked for, each of which it may once. */
interface Asked {
  readonly tls: boolean
  readonly gss: boolean
}

type Decision =
  | { readonly _tag: "Answer"; readonly answer: string; readonly asked: Asked }
  | { readonly _tag: "Encrypt" }
  | { readonly _tag: "Begin"; readonly message: StartupMessage }
  | { readonly _tag: "Cancel"; readonly key: BackendKey }

/**
 * What is done about a start-up packet.
 *
 * | asked so far | SSLRequest | GSSENCRequest | StartupMessage, CancelRequest |
 * |---|---|---|---|
 * | nothing | TLS, or `N` | `N` | taken |
 * | SSLRequest, `N` | refused | `N` | taken |
 * | GSSENCRequest, `N` | TLS, or `N` | refused | taken |
 * | both, or inside TLS | refused | refused | taken |
 */
const judgePacket = (
  packet: Messages.StartupPacket,
  asked: Asked,
  hasTls: boolean,
  supported: ReadonlyArray<string>
): Result.Result<Decision, Refusal> => {
  switch (packet._tag) {
    case "SSLRequest":
      if (asked.tls) return outOfTurn(packet)
      return Result.succeed(
        hasTls ? { _tag: "Encrypt" } : { _tag: "Answer", answer: "N", asked: { ...asked, tls: true } }
      )
    case "GSSENCRequest":
      return asked.gss
        ? outOfTurn(packet)
        : Result.succeed({ _tag: "Answer", answer: "N", asked: { ...asked, gss: true } })
    case "StartupMessage":
      return Result.succeed({ _tag: "Begin", message: packet })
    case "CancelRequest":
      return Result.succeed({ _tag: "Cancel", key: packet })
    case "UnknownStartup": {
      const offered = `${packet.code >>> 16}.${packet.code & 0xffff}`
      return refusal(
        Errors.unsupportedVersion(offered, supported),
        new HandshakeError.UnsupportedVersion({ offered, supported })
      )
    }
  }
}

const outOfTurn = (packet: Messages.StartupPacket): Result.Result<never, Refusal> => {
  const reason = unexpected("StartupMessage", packet)
  return refusal(Errors.replyTo(reason), reason)
}

/** What the two sides have agreed on by the start-up message. */
interface Agreed {
  readonly user: string
  readonly database: string
  readonly version: Version
  readonly parameters: ReadonlyMap<string, string>
  readonly unrecognized: ReadonlyArray<string>
  /** What the client hears where it is not what it has asked for. */
  readonly negotiation: ReadonlyArray<Messages.NegotiateProtocolVersion>
}

/** Those whose texts are the same bytes as in UTF-8, or are taken as they are. */
const encodings: ReadonlyArray<string> = ["utf8", "unicode", "sqlascii"]

const normalized = (encoding: string): string => encoding.toLowerCase().replace(/[^a-z0-9]/g, "")

const judgeStartup = (
  message: StartupMessage,
  options: {
    readonly isEncrypted: boolean
    readonly requireTls: boolean
    readonly max: Version
  }
): Result.Result<Agreed, Refusal> => {
  const { minor, parameters } = message
  const version = versionOf(Math.min(minor, minorOf(options.max)))
  const unrecognized = [...parameters.keys()].filter((name) => name.startsWith(extensionPrefix))
  if (options.requireTls && !options.isEncrypted) return rejection(Errors.tlsRequired)
  const user = parameters.get("user") ?? ""
  if (user === "") {
    return refusal(Errors.noUser, unexpected("a user in StartupMessage", message))
  }
  const encoding = parameters.get("client_encoding")
  if (encoding !== undefined && !encodings.includes(normalized(encoding))) {
    return rejection(Errors.encodingUnsupported(encoding))
  }
  const isAsOffered = minor === minorOf(version) && unrecognized.length === 0
  return Result.succeed({
    user,
    database: parameters.get("database") || user,
    version,
    parameters,
    unrecognized,
    negotiation: isAsOffered ? [] : [{
      _tag: "NegotiateProtocolVersion",
      major: 3,
      minor: minorOf(version),
      unrecognized
    }]
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// TLS
// ---------------------------------------------------------------------------------------------------------------------

interface Tls {
  /** After SSLRequest. */
  readonly negotiated: Effect.Effect<Transport.StartTlsOptions<Start>>
  /** From the first byte. */
  readonly direct: Effect.Effect<Transport.StartTlsOptions<Start>>
}

/** What is the same object stays the same object, for what is made of it is made once. */
const derived = <A extends object, B>(derive: (value: A) => B): (value: A) => B => {
  const known = new WeakMap<A, B>()
  return (value) => {
    const found = known.get(value)
    if (found !== undefined) return found
    const made = derive(value)
    known.set(value, made)
    return made
  }
}

const tlsOf = (options: NonNullable<Options["tls"]>): Tls => {
  const given = Effect.isEffect(options) ? options : Effect.succeed(options)
  const goAhead: Messages.EncryptionAnswer = { _tag: "EncryptionAnswer", answer: "S" }
  return {
    negotiated: Effect.map(given, derived((tls) => ({ ...tls, role: "server" as const, alpn: [alpn], goAhead }))),
    direct: Effect.map(
      given,
      derived((tls) => ({ ...tls, role: "server" as const, alpn: [alpn], unread: "feed" as const }))
    )
  }
}

/** Of TLS, a handshake message: no start-up packet is so long. */
const tlsRecord = 0x16

type Spoken = Transport.Transport<unknown, Messages.BackendMessage>

/** One conversation, as whoever has to end it sees it. */
class Talk {
  private transport: Spoken | undefined = undefined
  private isOver = false

  /** Whoever ends it from outside must not begin it once more. */
  get hasBegun(): boolean {
    return this.transport !== undefined
  }

  /** Goes on over this transport, the last words too. */
  over<T extends Spoken>(transport: T): T {
    this.transport = transport
    return transport
  }

  say(reply: Messages.ErrorResponse): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.transport === undefined || this.isOver) return Effect.void
      this.isOver = true
      return Effect.ignore(Transport.farewell(this.transport, [reply]))
    })
  }

  refuse({ reason, reply }: Refusal): Effect.Effect<never, HandshakeError.Reason> {
    return Effect.andThen(this.say(reply), Effect.fail(reason))
  }

  judged<A>(result: Result.Result<A, Refusal>): Effect.Effect<A, HandshakeError.Reason> {
    return Result.isSuccess(result) ? Effect.succeed(result.success) : this.refuse(result.failure)
  }

  /** Whoever cancels something is never answered. */
  hush(): void {
    this.isOver = true
  }

  /** Tells a peer that is still there why this goes no further, unless it was told. */
  lastWords({ reason }: HandshakeError.HandshakeError): Effect.Effect<void> {
    const isGone = reason.fault === "network" || reason._tag === "TlsFailure" || reason._tag === "Rejected" ||
      reason._tag === "UnexpectedEnd" && reason.excerpt === ""
    return isGone ? Effect.void : this.say(Errors.replyTo(reason))
  }
}

type Opened = { readonly transport: Start; readonly isEncrypted: boolean }

const framed = (talk: Talk): Effect.Effect<Opened, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope> =>
  Effect.flatMap(
    Handshake.step(Transport.framed(Codecs.serverStart, describing), "connect"),
    (transport) =>
      Effect.map(Transport.tls(transport), (tls) => ({
        transport: talk.over(transport),
        isEncrypted: tls !== undefined
      }))
  )

const encrypted = (
  talk: Talk,
  clear: Start,
  options: Effect.Effect<Transport.StartTlsOptions<Start>>
): Effect.Effect<Opened, HandshakeError.HandshakeError> =>
  Effect.map(
    Handshake.startTls(clear, options),
    (transport) => ({ transport: talk.over(transport), isEncrypted: true })
  )

/** A connection as far as its first packet, inside TLS where it is TLS from its first byte. */
const open = (
  talk: Talk,
  tls: Tls | undefined
): Effect.Effect<Opened, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope> => {
  if (tls === undefined) return framed(talk)
  const direct = Effect.gen(function*() {
    const { transport: clear } = yield* framed(talk)
    const opened = yield* encrypted(talk, clear, tls.direct)
    const agreed = yield* Transport.tls(opened.transport)
    if (agreed?.alpn === alpn) return opened
    const refused = new Refusal(
      Errors.protocolViolation("received direct SSL connection request without ALPN protocol negotiation extension"),
      noAlpn("peer", `the client begins with TLS and does not offer the protocol ${alpn}`)
    )
    return yield* Handshake.step(talk.refuse(refused), "start TLS")
  })
  const first = Handshake.firstOf([
    { name: "TLS", accepts: (bytes) => bytes[0] === tlsRecord, handshake: direct },
    { name: "a start-up packet", accepts: (bytes) => bytes[0] !== tlsRecord, handshake: framed(talk) }
  ])
  return Handshake.inside(
    (transport) =>
      Effect.flatMap(Transport.tls(transport), (tls): typeof first =>
        // Somebody else may have begun TLS, such as a port with many protocols.
        tls === undefined ? first : framed(talk)),
    Transport.framed(Codec.bytes)
  )
}

type First =
  | {
    readonly _tag: "Begin"
    readonly transport: Start
    readonly message: StartupMessage
    readonly isEncrypted: boolean
  }
  | { readonly _tag: "Cancel"; readonly transport: Start; readonly key: BackendKey }

/** Whether a CancelRequest is malformed or cut off: of start-up packets it alone is a secret. */
const isOfCancel = ({ reason }: TransportError): boolean => "excerpt" in reason && reason.excerpt === Excerpt.redacted

/** The packets as far as the one that says what the client wants. */
const meet = Effect.fnUntraced(function*(
  talk: Talk,
  tls: Tls | undefined,
  supported: ReadonlyArray<string>
): Effect.fn.Return<First, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope> {
  let { isEncrypted, transport } = yield* open(talk, tls)
  let asked: Asked = { tls: isEncrypted, gss: isEncrypted }
  for (;;) {
    const decide = (packet: Messages.StartupPacket) =>
      talk.judged(judgePacket(packet, asked, tls !== undefined, supported))
    const packet = Effect.tapError(transport.receive, (error) => {
      if (isOfCancel(error)) talk.hush()
      return Effect.void
    })
    const decision = yield* Handshake.step(Effect.flatMap(packet, decide), "startup packet")
    switch (decision._tag) {
      case "Answer":
        asked = decision.asked
        yield* Handshake.send(transport, { _tag: "EncryptionAnswer", answer: decision.answer })
        break
      case "Encrypt":
        // It is decided so only where there is TLS.
        ;({ isEncrypted, transport } = yield* encrypted(talk, transport, tls!.negotiated))
        asked = { tls: true, gss: true }
        break
      case "Begin":
        return { _tag: "Begin", transport, message: decision.message, isEncrypted }
      case "Cancel":
        return { _tag: "Cancel", transport, key: decision.key }
    }
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Authentication
// ---------------------------------------------------------------------------------------------------------------------

/** Who wants to be let in, and what it has to show. */
interface Asking {
  readonly talk: Talk
  readonly start: Start
  readonly user: string
  readonly stored: Password.StoredPassword | undefined
  readonly iterations: number | undefined
  readonly secret: Serving["secret"]
  /** What is said before the request, in the same write. */
  readonly first: ReadonlyArray<Messages.BackendMessage>
}

/** What has come of an authentication. */
interface Authenticated {
  readonly transport: Spoken
  readonly method: Method
  readonly channelBound: boolean
  /** What the server still has to show. */
  readonly proof: ReadonlyArray<Messages.BackendMessage>
}

type Answer<T extends Codecs.Awaited> = Extract<Messages.AuthenticationResponse, { readonly _tag: T }>

/** Sends a request and waits for the message that answers it. */
const ask = Effect.fnUntraced(function*<T extends Codecs.Awaited>(
  talk: Talk,
  asks: Spoken,
  request: ReadonlyArray<Messages.BackendMessage>,
  due: T
): Effect.fn.Return<
  { readonly transport: Spoken; readonly answer: Answer<T> },
  TransportError | HandshakeError.Reason
> {
  yield* asks.sendAll(request)
  const transport = talk.over(yield* Transport.switchCodec(asks, Codecs.serverAwaits[due], describing))
  const answer = yield* transport.receive
  if (answer._tag !== due) return yield* Effect.fail(unexpected(due, answer))
  return { transport, answer: answer as Answer<T> } // by its tag
})

/** The wrong user and the wrong password look the same. */
const wrong = (user: string, method: string): Refusal =>
  new Refusal(
    Errors.wrongPassword(user),
    new HandshakeError.AuthenticationFailed({ method, detail: "the user or the password is wrong", fault: "peer" })
  )

const mockScram = ({ iterations, secret, user }: Asking) =>
  Effect.flatMap(secret, (secret) => Scram.mock(user, secret, { iterations }))

const askPassword = Effect.fnUntraced(function*(asking: Asking) {
  const { first, start, stored, talk, user } = asking
  const request = [...first, { _tag: "AuthenticationCleartextPassword" } as const]
  const { answer, transport } = yield* ask(talk, start, request, "PasswordMessage")
  // It takes as long for a user who is not there.
  const compared: Password.StoredPassword = stored ?? { _tag: "Scram", verifier: yield* mockScram(asking) }
  const isRight = yield* Password.verify(compared, user, answer.password)
  if (!isRight || stored === undefined) return yield* talk.refuse(wrong(user, "password"))
  return { transport, method: "password", channelBound: false, proof: [] } satisfies Authenticated
})

const askMd5 = Effect.fnUntraced(function*(asking: Asking) {
  const { first, secret, start, stored, talk, user } = asking
  const random = yield* SecureRandom.SecureRandom
  const salt = yield* random.randomBytes(4)
  const request = [...first, { _tag: "AuthenticationMD5Password", salt } as const]
  const { answer, transport } = yield* ask(talk, start, request, "PasswordMessage")
  const known = stored?._tag === "Md5" ? stored : undefined
  const isRight = yield* Password.md5Verify(
    known ?? (yield* Password.md5Mock(user, yield* secret)),
    salt,
    answer.password
  )
  if (!isRight || known === undefined) return yield* talk.refuse(wrong(user, "md5"))
  return { transport, method: "md5", channelBound: false, proof: [] } satisfies Authenticated
})

const scramRefusal = (user: string, { error, reason }: Scram.Refusal): Refusal => {
  switch (error) {
    case "invalid-proof":
    case "unknown-user":
      return wrong(user, "scram-sha-256")
    case "channel-bindings-dont-match":
    case "server-does-support-channel-binding":
      return new Refusal(Errors.channelBinding, reason)
    case "extensions-not-supported":
      return new Refusal(Errors.scramExtension, reason)
    case "other-error":
      return new Refusal(Errors.internal, reason)
    default:
      return new Refusal(Errors.protocolViolation("malformed SCRAM message"), reason)
  }
}

const encoder = new TextEncoder()

/** The first message of SCRAM. A client that has named the mechanism only is asked for it with an empty challenge (RFC 4422 3). */
const openingOf = Effect.fnUntraced(function*(
  talk: Talk,
  { answer, transport }: { readonly transport: Spoken; readonly answer: Answer<"SASLInitialResponse"> }
) {
  if (answer.data !== null) return { transport, data: answer.data }
  const challenge = { _tag: "AuthenticationSASLContinue", data: new Uint8Array(0) } as const
  const later = yield* ask(talk, transport, [challenge], "SASLResponse")
  return { transport: later.transport, data: later.answer.data }
})

const askScram = Effect.fnUntraced(function*(asking: Asking) {
  const { first, start, stored, talk, user } = asking
  const orRefuse = Effect.catch((refused: Scram.Refusal) => talk.refuse(scramRefusal(user, refused)))
  const tls = yield* Transport.tls(start)
  const certificate = tls?.localCertificate
  const endPoint = certificate === undefined ? undefined : yield* Scram.serverEndPoint(certificate)
  const offered: ReadonlyArray<Scram.Mechanism> = endPoint === undefined
    ? ["SCRAM-SHA-256"]
    : ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]

  const initial = yield* ask(
    talk,
    start,
    [...first, { _tag: "AuthenticationSASL", mechanisms: offered }],
    "SASLInitialResponse"
  )
  const mechanism = offered.find((name) => name === initial.answer.mechanism)
  if (mechanism === undefined) {
    return yield* Effect.fail(unexpected(`an initial response of ${offered.join(" or ")}`, initial.answer))
  }
  const opening = yield* openingOf(talk, initial)
  const begun = yield* orRefuse(
    Scram.server({ mechanism, endPoint, username: "ignored" }).receive(Redacted.value(opening.data))
  )
  const verifier = stored?._tag === "Scram" ? stored.verifier : yield* mockScram(asking)
  const challenge = yield* orRefuse(begun.challenge(verifier))

  const response = yield* ask(
    talk,
    opening.transport,
    [{ _tag: "AuthenticationSASLContinue", data: encoder.encode(challenge.message) }],
    "SASLResponse"
  )
  const final = yield* orRefuse(challenge.receive(Redacted.value(response.answer.data)))
  const data = Redacted.make(encoder.encode(Redacted.value(final.message)))
  return {
    transport: response.transport,
    method: "scram-sha-256",
    channelBound: mechanism === "SCRAM-SHA-256-PLUS",
    proof: [{ _tag: "AuthenticationSASLFinal", data }]
  } satisfies Authenticated
})

const authenticate = (
  login: Login,
  asking: Omit<Asking, "stored" | "iterations">
): Effect.Effect<
  Authenticated,
  TransportError | HandshakeError.Reason,
  Crypto
> => {
  const { start, talk, user } = asking
  switch (login.method) {
    case "trust":
      return Effect.succeed({ transport: start, method: "trust", channelBound: false, proof: asking.first })
    case "reject":
      return talk.judged(rejection(Errors.rejected(user)))
  }
  const known: Asking = { ...asking, stored: login.stored, iterations: login.iterations }
  switch (login.method) {
    case "password":
      return askPassword(known)
    case "md5":
      return askMd5(known)
    case "scram-sha-256":
      return askScram(known)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The whole
// ---------------------------------------------------------------------------------------------------------------------

/** What all connections of a server have in common. */
interface Serving {
  readonly options: Options
  readonly tls: Tls | undefined
  readonly max: Version
  readonly supported: ReadonlyArray<Version>
  readonly sessions: Sessions<ServerSession>
  readonly live: ReturnType<typeof Codecs.serverLive>
  readonly statuses: (agreed: Agreed) => ReadonlyArray<Messages.BackendMessage>
  readonly secret: Effect.Effect<Redacted.Redacted<Uint8Array>, never, SecureRandom.SecureRandom>
}

const servingOf = (options: Options): Serving => {
  if (options.requireTls === true && options.tls === undefined) throw new TypeError("TLS is required and there is none")
  const max = options.maxProtocolVersion ?? "3.2"
  let secret = options.mockSecret
  return {
    options,
    tls: options.tls && tlsOf(options.tls),
    max,
    supported: versions.filter((version) => minorOf(version) <= minorOf(max)),
    sessions: new Sessions(),
    live: Codecs.serverLive(options.maxLength ?? defaultMaxLength),
    statuses: statusesOf(options.parameters),
    secret: Effect.suspend(() =>
      secret !== undefined ?
        Effect.succeed(secret) :
        Effect.flatMap(SecureRandom.SecureRandom, (random) =>
          Effect.map(random.randomBytes(32), (bytes) => secret ??= Redacted.make(bytes)))
    )
  }
}

const hasDatabase = (
  databases: NonNullable<Options["databases"]>,
  { database, user }: Agreed
): Effect.Effect<boolean> =>
  typeof databases === "function"
    ? databases(database, user)
    : Effect.succeed(databases.includes(database))

/** What each session is told of itself, in its place among the parameters of the server. */
const ownStatuses: Readonly<Record<string, (agreed: Agreed) => string>> = {
  application_name: ({ parameters }) => parameters.get("application_name") ?? "",
  session_authorization: ({ user }) => user
}

/** The parameters that a client is told of. What is alike for all is put together once. */
const statusesOf = (own: Options["parameters"]): (agreed: Agreed) => ReadonlyArray<Messages.BackendMessage> => {
  const told = {
    ...defaultParameters,
    application_name: "",
    session_authorization: "",
    ...own,
    client_encoding: "UTF8"
  }
  const entries = Object.entries<string | undefined>(told).flatMap(([name, value]) =>
    value === undefined ? [] : [{
      status: Codecs.fixedStatus({ _tag: "ParameterStatus", name, value }),
      valueFor: own?.[name] === undefined ? ownStatuses[name] : undefined
    }]
  )
  return (agreed) =>
    entries.map(({ status, valueFor }) => valueFor === undefined ? status : { ...status, value: valueFor(agreed) })
}

/** Who asks to be let in. Few look at its peer, and to find out who that is costs a good part of a log-in by trust. */
class Asker implements LoginRequest {
  readonly user: string
  readonly database: string
  declare readonly peer: Peer.Peer
  readonly #start: Start

  constructor({ database, user }: Agreed, start: Start) {
    this.user = user
    this.database = database
    this.#start = start
    Object.defineProperty(this, "peer", Asker.peer)
  }

  /** One for all, and a property of its own of each, so that a copy has it too. */
  private static readonly peer: PropertyDescriptor & ThisType<Asker> = {
    enumerable: true,
    get() {
      return Effect.runSync(this.#start.peer)
    }
  }
}

/** There is no session in a cancel request, so that the handshake ends here. */
const cancelled = Effect.fnUntraced(function*(
  { options, sessions }: Serving,
  key: BackendKey
): Effect.fn.Return<never, HandshakeError.Reason> {
  const session = sessions.find(key)
  if (session !== undefined && options.onCancel !== undefined) yield* options.onCancel(session)
  return yield* new HandshakeError.Rejected({
    by: "peer",
    said: session === undefined ? "CancelRequest with the key of no session" : "CancelRequest",
    retryable: false
  })
})

/** How long a client may take to hear why its session ends. */
const lastWordsTime = Duration.seconds(1)

const explain = (live: Spoken, words: Messages.ErrorResponse): Effect.Effect<void> =>
  Effect.ignore(Effect.timeoutOption(Effect.interruptible(Transport.farewell(live, [words])), lastWordsTime))

const converse = Effect.fnUntraced(function*(
  serving: Serving,
  talk: Talk
): Effect.fn.Return<
  ServerTransport,
  HandshakeError.HandshakeError,
  Socket.Socket | Scope.Scope | Authenticator | Crypto
> {
  const { max, options, statuses, supported, tls } = serving
  const first = yield* meet(talk, tls, supported)
  if (first._tag === "Cancel") return yield* Handshake.step(cancelled(serving, first.key), "CancelRequest")
  const { isEncrypted, message, transport: start } = first
  const judged = judgeStartup(message, { isEncrypted, requireTls: options.requireTls ?? false, max })
  const agreed = Result.isSuccess(judged)
    ? judged.success
    : yield* Handshake.step(talk.refuse(judged.failure), "startup packet")
  const { database, user } = agreed
  const authenticator = yield* Authenticator
  const authentication = Effect.flatMap(
    Effect.catch(
      authenticator.lookup(new Asker(agreed, start)),
      (error) => talk.judged(rejection(Errors.unavailable, error.cause))
    ),
    (login) => authenticate(login, { talk, start, user, secret: serving.secret, first: agreed.negotiation })
  )
  const { channelBound, method, proof, transport } = yield* Handshake.step(authentication, "authentication")
  yield* Handshake.introduce(transport, { user })
  const letIn: ReadonlyArray<Messages.BackendMessage> = [...proof, { _tag: "AuthenticationOk" }]
  if (options.databases !== undefined && !(yield* hasDatabase(options.databases, agreed))) {
    // Whether there is a database is told to those who are let in only.
    const told = Effect.andThen(transport.sendAll(letIn), talk.judged(rejection(Errors.noDatabase(database))))
    return yield* Handshake.step(told, "session")
  }

  const encryption = isEncrypted ? yield* Transport.tls(transport) : undefined
  let live: ServerTransport | undefined
  let violation: Codec.CodecError | undefined
  // As long as the connection is there.
  const session = yield* serving.sessions.open(
    keyLength[agreed.version],
    (backendKey): ServerSession => ({
      user,
      database,
      protocolVersion: agreed.version,
      unrecognizedOptions: agreed.unrecognized,
      authentication: method,
      channelBound,
      parameters: agreed.parameters,
      backendKey,
      tls: encryption
    }),
    () => live === undefined || violation === undefined ? Effect.void : explain(live, Errors.violation(violation))
  )
  const ready: ReadonlyArray<Messages.BackendMessage> = [
    ...letIn,
    ...statuses(agreed),
    { _tag: "BackendKeyData", ...session.backendKey },
    { _tag: "ReadyForQuery", status: "idle" }
  ]
  const codec = serving.live((error) => {
    violation = error
  })
  const finish = Effect.andThen(
    transport.sendAll(ready),
    Transport.switchCodec(transport, codec, describing)
  )
  return live = Transport.extend(yield* Handshake.step(finish, "session"), { protocol: "postgres", session })
})

const refusals: Record<Handshake.Refusal, Messages.ErrorResponse> = {
  capacity: Errors.tooManyClients,
  rate: Errors.tooOften,
  draining: Errors.shuttingDown,
  deadline: Errors.tooSlow,
  forbidden: Errors.forbidden
}

/**
 * A client hears the refusal when it has sent its start-up message: before, it takes it for an answer to SSLRequest. One
 * whose conversation has begun hears it at once.
 */
const refuse = Effect.fnUntraced(function*(
  serving: Serving,
  talk: Talk,
  why: Handshake.Refusal,
  retryAfter: Duration.Duration | undefined
): Effect.fn.Return<never, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope> {
  if (!talk.hasBegun) {
    const first = yield* meet(talk, serving.tls, serving.supported)
    // Who wants to cancel something takes no place.
    if (first._tag === "Cancel") return yield* Handshake.step(cancelled(serving, first.key), "CancelRequest")
  }
  return yield* Handshake.step(talk.judged(rejection(Errors.withRetryAfter(refusals[why], retryAfter))), "refuse")
})

/** What is wrong with the options is known before anything is served. */
export const make = (options: Options) => {
  const serving = servingOf(options)
  return Effect.suspend(() => {
    const talk = new Talk()
    return Effect.tapError(converse(serving, talk), (error) => talk.lastWords(error)).pipe(
      Handshake.withRefusal((why, retryAfter) => refuse(serving, talk, why, retryAfter))
    )
  })
}
