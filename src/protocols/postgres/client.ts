/**
 * The client's side of the start-up (the PostgreSQL manual, 54.2.1 to 54.2.3, 54.2.10 and 54.3).
 *
 * What is decided about a message is a function of it; `shake` sends, receives, and asks these functions.
 *
 * @internal
 */
import type * as Digest from "effect/crypto/Digest"
import type * as Kdf from "effect/crypto/Kdf"
import type * as Mac from "effect/crypto/Mac"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Excerpt from "../../Excerpt.ts"
import * as Handshake from "../../Handshake.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import type * as Peer from "../../Peer.ts"
import * as Transport from "../../Transport.ts"
import * as Scram from "../Scram.ts"
import * as ServerName from "../tls/serverName.ts"
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
import { serverErrorOf } from "./errors.ts"
import * as Messages from "./messages.ts"
import * as Password from "./password.ts"

type SslMode = "disable" | "prefer" | "require" | "verify-ca" | "verify-full"

/** The part of the options that says how the connection is encrypted. */
export type EncryptionOptions =
  & {
    /** With `direct` TLS begins at once, and the server must know the protocol `postgresql` (ALPN). Default: `postgres`. */
    readonly sslnegotiation?: "postgres" | "direct" | undefined
    /** The authorities that the server's certificate may come from, in PEM. Default: those that Node trusts. */
    readonly ca?: Transport.TlsOptions["ca"]
    /** What this client proves who it is with, to a server that asks. */
    readonly certificate?: Transport.TlsCertificate | undefined
    /** The oldest version of TLS that is spoken. Default: `TLSv1.2`. */
    readonly minTlsVersion?: Transport.TlsOptions["minVersion"]
  }
  & (
    | {
      /** Whether TLS is used, and what of the certificate is looked at, in the words of libpq. Default: `verify-full`. */
      readonly sslmode: "disable"
      /** The name, or the IP address, that the server's certificate has to be for. Without TLS none is needed. */
      readonly host?: string | undefined
    }
    | {
      /** Default: `verify-full`. */
      readonly sslmode?: SslMode | undefined
      /** The name, or the IP address, that the server's certificate has to be for, and that it is told (SNI). */
      readonly host: string
    }
  )

export type Options = EncryptionOptions & {
  /** The name to log in with. */
  readonly user: string
  /** Default: the name of the user. */
  readonly database?: string | undefined
  /** Without one the client goes no further where it is asked for one. */
  readonly password?: Redacted.Redacted<string> | undefined
  /**
   * The methods that the server may ask for. Default: `scram-sha-256` and `trust`, and where TLS has verified the server
   * also `md5` and `password`.
   */
  readonly requireAuth?: ReadonlyArray<Method> | undefined
  /**
   * Whether SCRAM is bound to the TLS connection. With `require` the server must do so, and may use no other method.
   * Default: `prefer`, where both sides can.
   */
  readonly channelBinding?: "disable" | "prefer" | "require" | undefined
  /** How many iterations of SCRAM's key derivation a server may ask for, at the least. Default: 4096. */
  readonly minIterations?: number | undefined
  /** And at the most. Default: 1,000,000. */
  readonly maxIterations?: number | undefined
  /** What the server lists this connection as. Default: nothing. */
  readonly applicationName?: string | undefined
  /** Settings that the session begins with, such as `search_path`, and extensions of the protocol, `_pq_.…`. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** Default: 3.0. */
  readonly minProtocolVersion?: Version | undefined
  /** What is asked for. Default: 3.0, because some proxies refuse what is newer; 3.2 has longer keys and nothing else. */
  readonly maxProtocolVersion?: Version | undefined
  /** How long a message of the server may be behind the start-up, in bytes. Default: 16 MiB. */
  readonly maxLength?: number | undefined
}

export interface BackendKey {
  readonly processId: number
  readonly secretKey: Redacted.Redacted<Uint8Array>
}

export interface Session {
  /** The name to log in with. */
  readonly user: string
  readonly database: string
  readonly protocolVersion: Version
  /** Those of the extensions that were asked for that the server does not know. */
  readonly unrecognizedOptions: ReadonlyArray<string>
  readonly authentication: Method
  /** Whether SCRAM was bound to the TLS connection. */
  readonly channelBound: boolean
  /** What the server has told of itself, such as `server_version`. It may tell more later, on the transport. */
  readonly parameters: ReadonlyMap<string, string>
  /** Undefined where the server cannot cancel. */
  readonly backendKey: BackendKey | undefined
  /** What the server has said besides. */
  readonly notices: ReadonlyArray<Messages.ErrorFields>
  /** Undefined where the connection is not encrypted. */
  readonly tls: Peer.Tls | undefined
}

export type ClientTransport =
  & Transport.Transport<Messages.BackendMessage, Messages.RequestMessage>
  & Readonly<{ protocol: "postgres"; session: Session }>

export type Crypto = Kdf.Kdf | Mac.Mac | Digest.Digest | SecureRandom.SecureRandom

/** How many notices are kept, and how many a server may say before it lets anybody in. */
const maxNotices = 64
/** How many parameters it may tell before it is ready. */
const maxParameters = 256

const describing = { describe: Messages.describe }

// ---------------------------------------------------------------------------------------------------------------------
// Encryption
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the connection becomes encrypted, if it does.
 *
 * | `sslmode` | `S` | `N` | the server's certificate |
 * |---|---|---|---|
 * | disable | is not asked | is not asked | |
 * | prefer | TLS | goes on in clear | is not looked at |
 * | require | TLS | fails | comes from one of `ca`, where they are given |
 * | verify-ca | TLS | fails | comes from a trusted authority |
 * | verify-full | TLS | fails | and is for `host` |
 */
interface Encryption {
  readonly mode: SslMode
  readonly direct: boolean
  readonly tls: Transport.TlsClientOptions
}

const verifyOf = (mode: SslMode, ca: Transport.TlsOptions["ca"]): "full" | "authority" | "none" => {
  switch (mode) {
    case "verify-full":
      return "full"
    case "verify-ca":
      return "authority"
    case "require":
      return ca === undefined ? "none" : "authority"
    default:
      return "none"
  }
}

const encryptionOf = (options: EncryptionOptions): Encryption => {
  const mode = options.sslmode ?? "verify-full"
  const direct = options.sslnegotiation === "direct"
  if (mode !== "disable" && options.host === undefined) throw new TypeError(`sslmode "${mode}" needs a host`)
  if (direct && (mode === "disable" || mode === "prefer")) {
    throw new TypeError(`sslnegotiation "direct" needs an sslmode that insists on TLS, not "${mode}"`)
  }
  return {
    mode,
    direct,
    tls: {
      role: "client",
      servername: options.host ?? "",
      verify: verifyOf(mode, options.ca),
      alpn: [alpn],
      ca: options.ca,
      certificate: options.certificate,
      minVersion: options.minTlsVersion
    }
  }
}

/** What the one byte that answers SSLRequest is taken for. */
const judgeAnswer = (
  mode: SslMode,
  answer: string
): Result.Result<"encrypt" | "clear", HandshakeError.Reason> => {
  switch (answer) {
    case "S":
      return Result.succeed("encrypt")
    case "N":
      return mode === "prefer" ? Result.succeed("clear") : Result.fail(
        new HandshakeError.Rejected({
          by: "peer",
          said: `no TLS, which sslmode "${mode}" needs`,
          retryable: false
        })
      )
    // Also `E`: what is said in clear where TLS is wanted is not shown to anybody as the words of the server
    // (CVE-2024-10977), so that nothing behind this byte is read.
    default:
      return Result.fail(
        new HandshakeError.InvalidGreeting({
          expected: "S or N, which answer SSLRequest",
          received: Excerpt.ofString(answer)
        })
      )
  }
}

const noName = (detail: string) => new HandshakeError.TlsFailure({ kind: "bad-configuration", detail, fault: "local" })

type Start = Transport.Transport<Messages.EncryptionAnswer, Messages.StartupPacket>

const startTls = (transport: Start, encryption: Encryption) => Handshake.startTls(transport, encryption.tls)

/** The connection as far as the start-up message. */
export const encrypt = Effect.fnUntraced(function*(encryption: Encryption) {
  const clear = yield* Handshake.step(Transport.framed(Codecs.clientStart, describing), "connect")
  if (encryption.mode === "disable") return clear
  // TLS would say so only behind SSLRequest.
  const named = Effect.fromResult(ServerName.parse(encryption.tls.servername))
  yield* Handshake.step(Effect.mapError(named, noName), "start TLS")
  if (encryption.direct) {
    const encrypted = yield* startTls(clear, encryption)
    const tls = yield* Transport.tls(encrypted)
    if (tls?.alpn === alpn) return encrypted
    return yield* Handshake.step(
      Effect.fail(noAlpn("peer", `the server does not agree on the protocol ${alpn}`)),
      "start TLS"
    )
  }
  let decided: "encrypt" | "clear" = "clear"
  yield* Handshake.exchange(
    clear,
    "SSLRequest",
    { _tag: "SSLRequest" },
    ({ answer }) =>
      Effect.map(Effect.fromResult(judgeAnswer(encryption.mode, answer)), (decision) => {
        decided = decision
      })
  )
  return decided === "clear" ? clear : yield* startTls(clear, encryption)
})

// ---------------------------------------------------------------------------------------------------------------------
// The start-up message and its version
// ---------------------------------------------------------------------------------------------------------------------

const ownParameters: ReadonlyArray<string> = ["user", "database", "application_name", "client_encoding"]

/** What the client offers. */
interface Offer {
  /** The name to log in with. */
  readonly user: string
  readonly database: string
  readonly message: Messages.StartupPacket & { readonly _tag: "StartupMessage" }
  readonly min: Version
  readonly max: Version
}

const offerOf = (options: Options): Offer => {
  const min = options.minProtocolVersion ?? "3.0"
  const max = options.maxProtocolVersion ?? "3.0"
  if (minorOf(min) > minorOf(max)) throw new TypeError(`no version is as new as ${min} and as old as ${max}`)
  if (options.user === "") throw new TypeError("the name of a user cannot be empty")
  const database = options.database ?? options.user
  const parameters = new Map([["user", options.user], ["database", database], ["client_encoding", "UTF8"]])
  if (options.applicationName !== undefined) parameters.set("application_name", options.applicationName)
  for (const [name, value] of Object.entries(options.parameters ?? {})) {
    if (ownParameters.includes(name)) throw new TypeError(`the parameter "${name}" has an option of its own`)
    parameters.set(name, value)
  }
  if (options.password !== undefined && Redacted.value(options.password).includes("\0")) {
    throw new TypeError("no password has a zero character in it")
  }
  const message = { _tag: "StartupMessage", minor: minorOf(max), parameters } as const
  const problem = Codecs.problemWith(message)
  if (problem !== undefined) throw new TypeError(problem)
  return { user: options.user, database, min, max, message }
}

/** What both sides will speak. */
interface Agreed {
  readonly version: Version
  readonly unrecognized: ReadonlyArray<string>
}

/**
 * What a server makes of the offer that does not take it as it is. It must have a reason: an older version, or options
 * that it does not know, of those that it was offered.
 */
const judgeNegotiation = (
  offer: Offer,
  message: Messages.NegotiateProtocolVersion
): Result.Result<Agreed, HandshakeError.Reason> => {
  const { major, minor, unrecognized } = message
  const wrong = (expected: string) => Result.fail(unexpected(expected, message))
  const offered = minorOf(offer.max)
  if (major !== 3) return wrong("a version 3")
  if (minor > offered) return wrong(`no newer version than ${offer.max}, which was offered`)
  if (minor === 1) return wrong("a version that exists")
  if (minor === offered && unrecognized.length === 0) return wrong("an older version, or an unknown option")
  const { parameters } = offer.message
  if (unrecognized.some((name) => !name.startsWith(extensionPrefix) || !parameters.has(name))) {
    return wrong(`no other options than those with ${extensionPrefix} that were offered`)
  }
  if (new Set(unrecognized).size < unrecognized.length) return wrong("each option once")
  if (minor < minorOf(offer.min)) {
    return Result.fail(
      new HandshakeError.UnsupportedVersion({
        offered: `3.${minor}`,
        supported: versions.filter((version) => minorOf(version) >= minorOf(offer.min)),
        fault: "peer"
      })
    )
  }
  return Result.succeed({ version: versionOf(minor), unrecognized })
}

// ---------------------------------------------------------------------------------------------------------------------
// Authentication
// ---------------------------------------------------------------------------------------------------------------------

/** What a client does without being told: a password that is shown goes to whom TLS has found to be the server. */
const isSafe = (method: Method, tls: Peer.Tls | undefined): boolean =>
  method === "scram-sha-256" || method === "trust" || tls?.verified === true

interface Policy {
  readonly requireAuth: ReadonlyArray<Method> | undefined
  readonly channelBinding: "disable" | "prefer" | "require"
  readonly password: Redacted.Redacted<string> | undefined
}

/** Those of which this side knows the name only. */
const unknownMethods: Partial<Record<Messages.BackendMessage["_tag"], string>> = {
  AuthenticationGSS: "GSSAPI",
  AuthenticationSSPI: "SSPI",
  AuthenticationKerberosV5: "Kerberos V5"
}

const methods: Partial<Record<Messages.BackendMessage["_tag"], Method>> = {
  AuthenticationOk: "trust",
  AuthenticationCleartextPassword: "password",
  AuthenticationMD5Password: "md5",
  AuthenticationSASL: "scram-sha-256"
}

/** Whether this side does what the server asks for. */
export const judgeRequest = (
  policy: Policy,
  request: Messages.BackendMessage,
  tls: Peer.Tls | undefined
): Result.Result<Method, HandshakeError.Reason> => {
  const refuse = (method: string, detail: string, fault: "peer" | "local") =>
    Result.fail(new HandshakeError.AuthenticationFailed({ method, detail, fault }))
  const method = methods[request._tag]
  if (method === undefined) {
    return refuse(unknownMethods[request._tag] ?? request._tag, "this side does not know the method", "local")
  }
  if (policy.requireAuth?.includes(method) === false) {
    return refuse(method, `the server asks for it, and only ${policy.requireAuth.join(", ")} may be`, "peer")
  }
  if (policy.requireAuth === undefined && !isSafe(method, tls)) {
    return refuse(method, "the server asks for it, and TLS has not verified who that is", "peer")
  }
  if (policy.channelBinding === "require" && method !== "scram-sha-256") {
    return refuse(method, "it binds no channel, and this side requires that", "peer")
  }
  if (method !== "trust" && policy.password === undefined) {
    return refuse(method, "the server asks for a password, and there is none", "local")
  }
  return Result.succeed(method)
}

// ---------------------------------------------------------------------------------------------------------------------
// The whole
// ---------------------------------------------------------------------------------------------------------------------

type Heard = Messages.BackendMessage | Messages.Misplaced
type Tag = Messages.BackendMessage["_tag"]
type Of<T extends Tag> = Extract<Messages.BackendMessage, { readonly _tag: T }>

const isOneOf = <T extends Tag>(message: Heard, due: ReadonlyArray<T>): message is Of<T> =>
  (due as ReadonlyArray<string>).includes(message._tag)

/** Notices may come at any time, and the first of them are kept. What runs at a login may have any number to say. */
class Notices {
  readonly kept: Array<Messages.ErrorFields> = []
  isLetIn = false

  take({ _tag, ...fields }: Messages.NoticeResponse): HandshakeError.Reason | undefined {
    if (this.kept.length < maxNotices) return void this.kept.push(fields)
    if (this.isLetIn) return undefined
    return new HandshakeError.InvalidGreeting({
      expected: `no more than ${maxNotices} notices`,
      received: Messages.describe({ _tag, ...fields })
    })
  }
}

type Talking = Transport.Transport<Heard, Messages.FrontendMessage>

/** What a message is to whoever waits for one of these: that one, a notice that goes by, or why it goes no further. */
const judge = <T extends Tag>(
  message: Heard,
  due: ReadonlyArray<T>,
  notices: Notices
): Exit.Exit<Of<T>, HandshakeError.Reason> | undefined => {
  if (message._tag === "ErrorResponse") return Exit.fail(serverErrorOf(message))
  if (message._tag === "NoticeResponse") {
    const problem = notices.take(message)
    return problem && Exit.fail(problem)
  }
  return isOneOf(message, due) ? Exit.succeed(message) : Exit.fail(unexpected(due.join(" or "), message))
}

/** The next message but for notices, where it is one that is due. */
const hearing = (transport: Talking, notices: Notices) => <T extends Tag>(due: ReadonlyArray<T>) =>
  Transport.receiveUntil(transport, (message) => judge(message, due, notices))

type Next = ReturnType<typeof hearing>

const hearingIn = (next: Next) => <const T extends Tag>(step: string, ...due: ReadonlyArray<T>) =>
  Handshake.step(next(due), step)

type Hear = ReturnType<typeof hearingIn>

const requests = [
  "AuthenticationOk",
  "AuthenticationCleartextPassword",
  "AuthenticationMD5Password",
  "AuthenticationSASL",
  "AuthenticationKerberosV5",
  "AuthenticationGSS",
  "AuthenticationSSPI"
] as const

const encoder = new TextEncoder()

const secretBytes = (text: Redacted.Redacted<string>): Redacted.Redacted<Uint8Array> =>
  Redacted.make(encoder.encode(Redacted.value(text)))

const sasl = Effect.fnUntraced(function*(
  transport: Talking,
  hear: Hear,
  offered: ReadonlyArray<string>,
  options: Options,
  password: Redacted.Redacted<string>,
  keys: Scram.KeyCache,
  tls: Peer.Tls | undefined
) {
  const certificate = tls?.certificate?.raw
  const endPoint = certificate === undefined ? undefined : yield* Scram.serverEndPoint(certificate)
  const chosen = yield* Handshake.step(
    Effect.fromResult(Scram.choose({ offered, endPoint, channelBinding: options.channelBinding })),
    "authentication"
  )
  const first = yield* Handshake.step(
    Scram.client({
      password,
      binding: chosen.binding,
      preparation: "postgres",
      minIterations: options.minIterations,
      maxIterations: options.maxIterations,
      keys
    }),
    "authentication"
  )
  yield* Handshake.send(transport, {
    _tag: "SASLInitialResponse",
    mechanism: chosen.mechanism,
    data: Redacted.make(encoder.encode(first.message))
  }, { name: "SASL initial response" })
  const challenge = yield* hear("SASL challenge", "AuthenticationSASLContinue")
  const final = yield* Handshake.step(first.receive(challenge.data), "SASL challenge")
  yield* Handshake.send(transport, { _tag: "SASLResponse", data: secretBytes(final.message) }, {
    name: "SASL response"
  })
  const outcome = yield* hear("SASL outcome", "AuthenticationSASLFinal")
  // Only a server that knows the password can have said this. What it says before is of nobody.
  yield* Handshake.step(final.receive(Redacted.value(outcome.data)), "SASL outcome")
  yield* hear("authentication", "AuthenticationOk")
  return chosen.binding._tag === "EndPoint"
})

/** Answers the request, and returns whether the channel is bound. */
const authenticate = Effect.fnUntraced(function*(
  transport: Talking,
  hear: Hear,
  request: Exclude<Of<typeof requests[number]>, Of<"AuthenticationOk">>,
  options: Options,
  keys: Scram.KeyCache,
  tls: Peer.Tls | undefined
) {
  const { password, user } = options
  if (password === undefined) return false
  if (request._tag === "AuthenticationSASL") {
    return yield* sasl(transport, hear, request.mechanisms, options, password, keys, tls)
  }
  const answer = request._tag === "AuthenticationMD5Password"
    ? yield* Password.md5Answer(user, password, request.salt)
    : password
  yield* Handshake.send(transport, { _tag: "PasswordMessage", password: answer }, { name: "password" })
  yield* hear("authentication", "AuthenticationOk")
  return false
})

const statuses = ["ParameterStatus", "ReadyForQuery"] as const
const statusesOrKey = ["ParameterStatus", "ReadyForQuery", "BackendKeyData"] as const

type Told = Pick<Session, "parameters" | "backendKey">

/** What the server tells behind the authentication, up to where it is ready: one step, however many messages it has. */
const readSession = (transport: Talking, notices: Notices, version: Version) => {
  const reading = Effect.suspend(() => {
    const parameters = new Map<string, string>()
    let backendKey: BackendKey | undefined
    let count = 0
    return Transport.receiveUntil(transport, (message): Exit.Exit<Told, HandshakeError.Reason> | undefined => {
      const heard = judge(message, backendKey === undefined ? statusesOrKey : statuses, notices)
      if (heard === undefined) return undefined
      if (Exit.isFailure(heard)) return Exit.failCause(heard.cause)
      const told = heard.value
      const wrong = (expected: string) => Exit.fail(unexpected(expected, told))
      switch (told._tag) {
        case "ParameterStatus":
          if (++count > maxParameters) return wrong(`no more than ${maxParameters} parameters`)
          parameters.set(told.name, told.value)
          return undefined
        case "BackendKeyData": {
          const { length } = Redacted.value(told.secretKey)
          if (version === "3.0" && length !== Codecs.minKeyLength) {
            return wrong(`a key of ${Codecs.minKeyLength} bytes, as protocol ${version} has them`)
          }
          backendKey = { processId: told.processId, secretKey: told.secretKey }
          return undefined
        }
        case "ReadyForQuery":
          return told.status === "idle"
            ? Exit.succeed({ parameters, backendKey })
            : wrong("no transaction before the first query")
      }
    })
  })
  return Handshake.step(reading, "session")
}

const shake = Effect.fnUntraced(function*(
  encryption: Encryption,
  offer: Offer,
  options: Options,
  keys: Scram.KeyCache
): Effect.fn.Return<ClientTransport, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope | Crypto> {
  const start = yield* encrypt(encryption)
  yield* Handshake.send(start, offer.message, { name: "startup" })
  const transport = yield* Handshake.step(
    Transport.switchCodec(start, Codecs.clientHandshake, describing),
    "startup"
  )
  const tls = yield* Transport.tls(transport)
  const notices = new Notices()
  const hear = hearingIn(hearing(transport, notices))

  const first = yield* hear("startup", "NegotiateProtocolVersion", ...requests)
  const agreed = first._tag === "NegotiateProtocolVersion"
    ? yield* Handshake.step(Effect.fromResult(judgeNegotiation(offer, first)), "startup")
    : { version: offer.max, unrecognized: [] }
  const request = first._tag === "NegotiateProtocolVersion" ? yield* hear("authentication", ...requests) : first
  const method = yield* Handshake.step(
    Effect.fromResult(judgeRequest(
      {
        requireAuth: options.requireAuth,
        channelBinding: options.channelBinding ?? "prefer",
        password: options.password
      },
      request,
      tls
    )),
    "authentication"
  )
  const channelBound = request._tag === "AuthenticationOk"
    ? false
    : yield* authenticate(transport, hear, request, options, keys, tls)
  notices.isLetIn = true
  const session = yield* readSession(transport, notices, agreed.version)

  const live = yield* Handshake.step(
    Transport.switchCodec(transport, Codecs.clientLive(options.maxLength), describing),
    "session"
  )
  return Transport.extend(live, {
    protocol: "postgres",
    session: {
      user: offer.user,
      database: offer.database,
      protocolVersion: agreed.version,
      unrecognizedOptions: agreed.unrecognized,
      authentication: method,
      channelBound,
      parameters: session.parameters,
      backendKey: session.backendKey,
      notices: notices.kept,
      tls
    }
  })
})

/** What is wrong with the options is known before anything is dialled. */
export const make = (options: Options) => {
  const encryption = encryptionOf(options)
  const offer = offerOf(options)
  const keys = Scram.keyCache()
  return Effect.suspend(() => shake(encryption, offer, options, keys))
}

/**
 * Sends a CancelRequest and waits for the server's end of the connection, which comes when it has been seen to. A server
 * never says whether it did anything.
 */
export const cancel = (
  key: BackendKey,
  options: EncryptionOptions
): Effect.Effect<void, HandshakeError.HandshakeError, Socket.Socket | Scope.Scope> => {
  const encryption = encryptionOf(options)
  return Effect.gen(function*() {
    const start = yield* encrypt(encryption)
    yield* Handshake.send(start, { _tag: "CancelRequest", ...key }, { name: "CancelRequest" })
    const ended = Effect.matchEffect(start.receive, {
      onSuccess: (message) => Effect.fail(unexpected("the end of the connection", message)),
      onFailure: (error) => error.reason._tag === "ConnectionClosed" ? Effect.void : Effect.fail(error)
    })
    yield* Handshake.step(ended, "CancelRequest")
  })
}
