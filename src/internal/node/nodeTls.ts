/**
 * TLS by Node: a handshake over a connected stream, who the peer proved to be, and what a failure means.
 *
 * Only what is under `src/node` uses it.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { X509Certificate } from "node:crypto"
import type { Duplex } from "node:stream"
import * as NodeTls from "node:tls"
import * as Excerpt from "../../Excerpt.ts"
import type * as Peer from "../../Peer.ts"
import * as Alerts from "../../protocols/tls/alerts.ts"
import * as ApplicationProtocols from "../../protocols/tls/applicationProtocols.ts"
import * as ServerName from "../../protocols/tls/serverName.ts"
import type * as Transport from "../../Transport.ts"
import { TlsFailure, type TlsFailureKind } from "../../TransportError.ts"
import * as Certificates from "./certificates.ts"
import { hear, type Hearer, listen, listenToErrors, listenToTls } from "./hearing.ts"

export type Options = Transport.TlsClientOptions | Transport.TlsServerOptions

export interface Secured {
  readonly socket: NodeTls.TLSSocket
  readonly tls: Peer.Tls
}

/** What Node's errors of TLS have. */
interface TlsError extends Error {
  readonly code?: string
  readonly reason?: string
}

/** How far a handshake had come when it failed. */
export interface Progress extends Alerts.Told {
  readonly secure: boolean
}

// The names that OpenSSL has for what is wrong with a certificate (X509_V_ERR_…), and Node for a name that is not in it.
const verifyErrors: Record<string, TlsFailureKind> = {
  CERT_HAS_EXPIRED: "expired",
  CERT_NOT_YET_VALID: "not-yet-valid",
  DEPTH_ZERO_SELF_SIGNED_CERT: "self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "unknown-authority",
  UNABLE_TO_GET_ISSUER_CERT: "unknown-authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "unknown-authority",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "unknown-authority",
  CERT_UNTRUSTED: "unknown-authority",
  CERT_REVOKED: "revoked",
  ERR_TLS_CERT_ALTNAME_INVALID: "wrong-name",
  ERR_TLS_CERT_ALTNAME_FORMAT: "bad-certificate",
  HOSTNAME_MISMATCH: "wrong-name",
  UNABLE_TO_DECRYPT_CERT_SIGNATURE: "bad-certificate",
  UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY: "bad-certificate",
  ERROR_IN_CERT_NOT_BEFORE_FIELD: "bad-certificate",
  ERROR_IN_CERT_NOT_AFTER_FIELD: "bad-certificate",
  CERT_SIGNATURE_FAILURE: "bad-certificate",
  CERT_CHAIN_TOO_LONG: "bad-certificate",
  INVALID_CA: "bad-certificate",
  PATH_LENGTH_EXCEEDED: "bad-certificate",
  INVALID_PURPOSE: "bad-certificate",
  CERT_REJECTED: "bad-certificate",
  // Such as a key that is too short, or a digest that is too weak.
  UNSPECIFIED: "bad-certificate",
  ERR_TLS_DH_PARAM_SIZE: "no-shared-cipher"
}

// What this side finds before TLS is there.
const found: Record<string, TlsFailureKind> = {
  // Nothing else may be as long as a chain of certificates.
  EXCESSIVE_MESSAGE_SIZE: "bad-certificate",
  WRONG_VERSION_NUMBER: "not-tls",
  HTTP_REQUEST: "not-tls",
  HTTPS_PROXY_REQUEST: "not-tls",
  PACKET_LENGTH_TOO_LONG: "not-tls",
  DATA_LENGTH_TOO_LONG: "not-tls",
  BAD_RECORD_TYPE: "not-tls",
  UNSUPPORTED_PROTOCOL: "no-shared-version",
  UNKNOWN_PROTOCOL: "not-tls",
  VERSION_TOO_LOW: "no-shared-version",
  NO_SHARED_CIPHER: "no-shared-cipher",
  NO_SUITABLE_KEY_SHARE: "no-shared-cipher",
  NO_SHARED_GROUPS: "no-shared-cipher",
  NO_SUITABLE_SIGNATURE_ALGORITHM: "no-shared-cipher",
  NO_APPLICATION_PROTOCOL: "no-shared-alpn",
  PEER_DID_NOT_RETURN_A_CERTIFICATE: "certificate-required",
  DECRYPTION_FAILED_OR_BAD_RECORD_MAC: "bad-record",
  CIPHER_OPERATION_FAILED: "bad-record",
  // Messages that cannot be decoded, and proofs that prove nothing (RFC 8446 6.2: decode_error, decrypt_error).
  BAD_DIGEST_LENGTH: "bad-record",
  BAD_EXTENSION: "bad-record",
  BAD_LENGTH: "bad-record",
  BAD_PACKET: "bad-record",
  BAD_PACKET_LENGTH: "bad-record",
  BAD_SIGNATURE: "bad-record",
  CA_DN_LENGTH_MISMATCH: "bad-record",
  CERT_LENGTH_MISMATCH: "bad-record",
  DIGEST_CHECK_FAILED: "bad-record",
  INVALID_ALERT: "bad-record",
  LENGTH_MISMATCH: "bad-record",
  LENGTH_TOO_LONG: "bad-record",
  LENGTH_TOO_SHORT: "bad-record",
  UNEXPECTED_EOF_WHILE_READING: "cut"
}

// What no negotiation can be made of because of how this side was set up.
const unusable: ReadonlySet<string> = new Set([
  "NO_PROTOCOLS_AVAILABLE",
  "NO_CIPHERS_AVAILABLE",
  "NO_CIPHER_MATCH",
  "KEY_VALUES_MISMATCH"
])

const brokenRecords: ReadonlySet<string> = new Set([
  "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  // So says TLS 1.2 with AES-GCM.
  "CIPHER_OPERATION_FAILED",
  "BAD_RECORD_TYPE",
  "WRONG_VERSION_NUMBER",
  "PACKET_LENGTH_TOO_LONG",
  "DATA_LENGTH_TOO_LONG",
  "BAD_LENGTH"
])

/** It may quote names in a certificate; and Node adds advice for whoever starts it. */
const told = (error: TlsError): string =>
  Excerpt.ofText((error.reason ?? error.message).replace(/; if the root CA is installed locally.*$/, ""))

/**
 * What an error of Node's TLS means, or `undefined` where it is none of TLS.
 */
export const failureOf = (
  error: TlsError,
  progress: Progress,
  objection?: string
): TlsFailure | undefined => {
  const { code } = error
  // Errors of other streams have reasons of their own.
  if (code === undefined) return undefined
  const detail = objection ?? told(error)
  const failure = (kind: TlsFailureKind, fault: "peer" | "local" = "peer") => new TlsFailure({ kind, detail, fault })
  const verify = verifyErrors[code]
  if (verify !== undefined) return failure(verify)
  if (code === "ERR_TLS_RENEGOTIATION_DISABLED") return failure("protocol")
  const problem = /^ERR_O?SSL_(.*)$/.exec(code)?.[1]
  if (problem === undefined) return undefined
  const alert = alertOf(error, problem)
  if (alert !== undefined) return new TlsFailure(Alerts.failureOf(alert, progress))
  if (progress.secure && brokenRecords.has(problem)) return failure("bad-record")
  // A message that this side cannot make: there is too much to say in it.
  const isUnsayable = problem === "INTERNAL_ERROR" && error.message.includes(":tls_construct_")
  if (isUnsayable || unusable.has(problem)) return failure("bad-configuration", "local")
  const kind = found[problem] ?? "protocol"
  // What there is not, the client has asked for.
  return failure(kind, kind.startsWith("no-shared") && progress.role === "client" ? "local" : "peer")
}

// An alert comes as an error whose message has its number; and its reason has a name such as `tlsv1 alert unknown ca`.
const alertOf = ({ message }: TlsError, problem: string): number | undefined => {
  const number = /:SSL alert number (\d+)/.exec(message)?.[1]
  if (number !== undefined) return Number(number)
  const name = /^(?:SSL\/TLS|SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(.*)$/.exec(problem)?.[1]
  return name === undefined ? undefined : Alerts.numberOf(name)
}

const orThrow = <A>(result: Result.Result<A, string>): A =>
  Result.getOrThrowWith(result, (problem) => new Error(problem))

/** What is made of options and one of their certificates, and that certificate in DER. */
interface Prepared {
  readonly context: NodeTls.SecureContext
  readonly shown: Uint8Array | undefined
  /** What Node is told for each connection. It copies it. */
  readonly common: NodeTls.TLSSocketOptions
}

// A context is dear to make, and one is enough for all the connections that are told the same. A certificate that stands
// in the options of several servers has one in each: what else they say is in it too.
const contexts = new WeakMap<Options, WeakMap<object, Prepared>>()

/** Hears what peers will object to of a certificate of this side that is used for the first time. */
type OnObjection = (objection: string) => void

const prepare = (
  options: Options,
  certificate: Transport.TlsCertificate | undefined,
  onObjection: OnObjection
): Prepared => {
  let all = contexts.get(options)
  if (all === undefined) contexts.set(options, all = new WeakMap())
  const known = all.get(certificate ?? options)
  if (known !== undefined) return known
  const ca: ReadonlyArray<string | Uint8Array> | undefined = options.ca === undefined
    ? undefined
    : typeof options.ca === "string" || options.ca instanceof Uint8Array
    ? [options.ca]
    : options.ca
  const problem = ca && Certificates.authorityProblem(ca)
  if (problem !== undefined) throw new Error(`ca ${problem}`)
  const shown = certificate && orThrow(Result.mapError(Certificates.shown(certificate), Certificates.describe))
  const context = NodeTls.createSecureContext({
    minVersion: options.minVersion ?? "TLSv1.2",
    maxVersion: options.maxVersion ?? "TLSv1.3",
    // What `tls.Server` says of its own accord. The server chooses the cipher: a client may name one first that keeps no
    // secret once the key is out. And without a context for sessions, a client that comes back with its own is refused where
    // clients show certificates; its ticket is worth nothing to another context.
    ...options.role === "server" && { honorCipherOrder: true, sessionIdContext: "effect-handshake" },
    ...options.ciphers !== undefined && { ciphers: options.ciphers },
    ...ca !== undefined && { ca: ca.map(Certificates.bufferOf) },
    ...certificate !== undefined && {
      cert: Certificates.bufferOf(certificate.cert),
      key: Certificates.bufferOf(Redacted.value(certificate.key)),
      ...certificate.passphrase !== undefined && { passphrase: Redacted.value(certificate.passphrase) }
    }
  })
  const common = {
    secureContext: context,
    ...options.alpn !== undefined && { ALPNProtocols: [...options.alpn] },
    ...options.role === "server" && {
      isServer: true,
      requestCert: asksFor(options),
      rejectUnauthorized: options.clientCertificate === "require"
    }
  }
  const prepared = { context, shown: shown && new Uint8Array(shown[0].raw), common }
  all.set(certificate ?? options, prepared)
  if (shown !== undefined) Certificates.objections(shown, new Date()).filter(Certificates.isNews).forEach(onObjection)
  return prepared
}

const tables = new WeakMap<object, ServerName.Table<Transport.TlsCertificate>>()

const tableOf = (names: Readonly<Record<string, Transport.TlsCertificate>>) => {
  let table = tables.get(names)
  if (table === undefined) tables.set(names, table = orThrow(ServerName.table(names)))
  return table
}

/** The certificate for a name: that of the name itself, else of the wildcard that stands for its first label. */
export const certificateFor = (
  { names }: Transport.TlsServerOptions,
  servername: string
): Transport.TlsCertificate | undefined => names === undefined ? undefined : ServerName.find(tableOf(names), servername)

class UnknownName extends Error {}

class BadCertificate extends Error {}

// What Node does not tell the client: fatal alerts in clear, where the server has said nothing else yet (RFC 8446 6).
const alert = (description: number) => Uint8Array.of(21, 3, 3, 0, 2, 2, description)
const internalError = alert(80)
const unrecognizedName = alert(112)

/** The name or the address of a server, where a client can ask for it. */
const serverOf = ({ alpn, servername }: Transport.TlsClientOptions): ServerName.ServerName => {
  // OpenSSL finds out when it has begun, and tells the server that something is wrong.
  const problem = alpn && ApplicationProtocols.problemOf(alpn)
  if (problem !== undefined) throw new Error(problem)
  // Node would take the name of the host for one that is empty, or `localhost`, and `a` for `a/b`.
  return orThrow(ServerName.parse(servername))
}

/**
 * Makes what is made of options, and of all certificates in them. It fails where they cannot be used, and warns of what peers will
 * object to.
 */
export const check = (options: Options): Effect.Effect<void, TlsFailure> =>
  Effect.suspend(() => {
    const objections: Array<string> = []
    const onObjection = (objection: string) => objections.push(objection)
    try {
      void prepare(options, options.certificate, onObjection)
      if (options.role === "client") void serverOf(options)
      else if (options.names !== undefined) {
        void tableOf(options.names)
        for (const certificate of Object.values(options.names)) void prepare(options, certificate, onObjection)
      }
    } catch (cause) {
      return Effect.fail(badConfiguration(cause))
    }
    return warnOf(objections)
  })

const warnOf = (objections: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.forEach(objections, (objection) => Effect.logWarning(objection), { discard: true })

/** TLS that has begun, and which certificate this side shows in it: of several, that for the name that the client asks for. */
interface Begun {
  readonly socket: NodeTls.TLSSocket
  readonly shown: () => Uint8Array | undefined
}

const begin = (stream: Duplex, options: Options, onObjection: OnObjection): Begun => {
  let prepared = prepare(options, options.certificate, onObjection)
  const begun = (socket: NodeTls.TLSSocket): Begun => ({ socket, shown: () => prepared.shown })
  const { common } = prepared
  if (options.role === "client") {
    const { verify } = options
    const server = serverOf(options)
    return begun(NodeTls.connect({
      ...common,
      socket: stream,
      // An IP address is checked, and never asked for (RFC 6066 3).
      ...server._tag === "Name" ? { servername: server.name } : { host: server.address },
      rejectUnauthorized: verify !== "none",
      ...verify === "authority" && { checkServerIdentity: () => undefined }
    }))
  }
  const { names, unknownName } = options
  if (names !== undefined) void tableOf(names)
  // OpenSSL waits for it, so that there is none where nobody has asked for it.
  if (names === undefined && unknownName !== "refuse") return begun(new NodeTls.TLSSocket(stream, common))
  return begun(
    new NodeTls.TLSSocket(stream, {
      ...common,
      SNICallback: (servername, done) => {
        const certificate = certificateFor(options, servername)
        if (certificate === undefined) {
          if (unknownName !== "refuse") return done(null)
          stream.write(unrecognizedName)
          return done(new UnknownName(`there is no certificate for ${Excerpt.ofString(servername)}`))
        }
        try {
          prepared = prepare(options, certificate, onObjection)
        } catch (cause) {
          stream.write(internalError)
          return done(new BadCertificate(messageOf(cause)))
        }
        done(null, prepared.context)
      }
    })
  )
}

// Node has no text for a name that is empty, as it may be where there are alternative names (RFC 5280 4.1.2.6).
interface Names {
  readonly subject: string | undefined
  readonly issuer: string | undefined
}

const certificateOf = (x509: Omit<X509Certificate, keyof Names> & Names): Peer.Certificate => ({
  subject: x509.subject ?? "",
  issuer: x509.issuer ?? "",
  subjectAltName: x509.subjectAltName,
  validFrom: new Date(x509.validFrom),
  validTo: new Date(x509.validTo),
  serialNumber: x509.serialNumber,
  fingerprint256: x509.fingerprint256,
  raw: new Uint8Array(x509.raw)
})

// Node tells who the client of a hand-made server socket is by this name alone, which `tls.Server` uses itself. Bun has none,
// and Deno's gives the code.
interface Verifying {
  readonly ssl?: { readonly verifyError?: () => TlsError | string | null | undefined } | null
}

/** What is wrong with the peer's certificate. Who is not known to be authorized is not. */
const verifyErrorOf = (socket: NodeTls.TLSSocket): TlsError | undefined => {
  const { ssl } = socket as unknown as Verifying
  const error: unknown = ssl?.verifyError === undefined
    ? socket.authorized ? undefined : socket.authorizationError || "the certificate could not be verified"
    : ssl.verifyError()
  if (!error) return undefined
  return error instanceof Error ? error : Object.assign(new Error(String(error)), { code: String(error) })
}

/** A server that asks for no certificate has none of its client. */
const asksFor = (options: Options): boolean =>
  options.role === "client" || (options.clientCertificate ?? "none") !== "none"

let lastName = { told: "", name: "" }

/** Most clients of a server ask for the same name. */
const normalized = (told: string): string => {
  if (lastName.told !== told) lastName = { told, name: ServerName.normalized(told) }
  return lastName.name
}

const describe = ({ shown, socket }: Begun, options: Options, verified: boolean): Peer.Tls => {
  const certificate = asksFor(options) ? socket.getPeerX509Certificate() : undefined
  const { servername } = socket as { readonly servername?: string | false | null }
  return {
    version: socket.getProtocol() ?? "unknown",
    cipher: socket.getCipher().standardName,
    alpn: typeof socket.alpnProtocol === "string" ? socket.alpnProtocol : undefined,
    servername: typeof servername === "string" ? normalized(servername) : undefined,
    resumed: socket.isSessionReused(),
    verified,
    certificate: certificate && certificateOf(certificate),
    localCertificate: shown()
  }
}

/** How many certificates of a peer's chain are looked at. */
const maxChain = 100

/** The certificates of the peer's chain, its own first. */
const chainOf = (socket: NodeTls.TLSSocket): ReadonlyArray<X509Certificate> => {
  const chain: Array<X509Certificate> = []
  let at: NodeTls.DetailedPeerCertificate | undefined = socket.getPeerCertificate(true)
  while (at?.raw !== undefined && chain.length < maxChain) {
    chain.push(new X509Certificate(at.raw))
    // A root is its own issuer.
    at = at.issuerCertificate === at ? undefined : at.issuerCertificate
  }
  return chain
}

const outOfDate: ReadonlySet<string | undefined> = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"])

/** What OpenSSL objects to, and where it is a date, of which certificate it is. */
const objectionTo = (socket: NodeTls.TLSSocket, error: TlsError): string => {
  if (!outOfDate.has(error.code)) return told(error)
  const [objection] = Certificates.objections(chainOf(socket), new Date())
  return objection ?? told(error)
}

/** Why a server does not take the client whose TLS handshake is done. */
const refusalOf = (socket: NodeTls.TLSSocket, options: Transport.TlsServerOptions): TlsFailure | undefined => {
  const { clientCertificate = "none" } = options
  if (clientCertificate === "none") return undefined
  const error = verifyErrorOf(socket)
  // A session that is resumed may have no certificate, and nothing to object to then.
  if (socket.getPeerX509Certificate() === undefined) {
    return clientCertificate === "request"
      ? undefined
      : new TlsFailure({ kind: "certificate-required", detail: "the client has shown none", fault: "peer" })
  }
  return error
    ? new TlsFailure({ kind: "certificate-refused", detail: objectionTo(socket, error), fault: "peer" })
    : undefined
}

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const badConfiguration = (cause: unknown) =>
  new TlsFailure({ kind: "bad-configuration", detail: Excerpt.ofText(messageOf(cause)), fault: "local" })

/** A stream that may tell how much was received by it. */
type Counting = Duplex & { readonly bytesRead?: number }

/** A record that is not encrypted, with an alert in it (RFC 8446 5.1 and 6). */
const alertLength = 7

// Of an alert that OpenSSL has no name for Node says nothing. No other record of a server is as short.
const unnamedAlert = new TlsFailure({
  kind: "protocol",
  detail: "the peer ended the connection behind an alert that no standard has a name for",
  fault: "peer"
})

const cut = (cause: Error | undefined) =>
  new TlsFailure({
    kind: "cut",
    detail: cause === undefined ? "the peer ended the connection before TLS was there" : Excerpt.ofText(cause.message),
    fault: cause === undefined ? "peer" : "network"
  })

// Node says of an orderly end that it was a reset; that of the system comes from a call.
const hasEnded = (error: Error): boolean => "code" in error && error.code === "ECONNRESET" && !("syscall" in error)

/** It stays with a socket for as long as that is there, and knows nothing but where things go. */
const into = <A>(all: Array<A>) => (one: A): void => {
  all.push(one)
}

/**
 * Shakes hands over a stream that nobody else reads or writes any more. Interrupted, or failed, it has destroyed it. It warns of
 * what peers will object to, when a certificate is used for the first time.
 *
 * Whoever goes on with the socket becomes its hearer (`hear`) in `use`, which is called in the step in which TLS is there: it is
 * listened to already.
 */
export const securing = <A>(
  stream: Counting,
  options: Options,
  use: (secured: Secured) => A
): Effect.Effect<A, TlsFailure> =>
  Effect.callback((resume) => {
    const objections: Array<string> = []
    const warned = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      objections.length === 0 ? effect : Effect.andThen(warnOf(objections), effect)
    // What happens to the stream itself is told to nobody else while a server shakes hands.
    const streamErrors: Array<Error> = []
    stream.on("error", into(streamErrors))
    let begun: Begun
    try {
      begun = begin(stream, options, into(objections))
    } catch (cause) {
      if (options.role === "server") stream.write(internalError)
      stream.destroy()
      return resume(warned(Effect.fail(badConfiguration(cause))))
    }
    const shaking = new Shaking(
      { stream, options, begun, streamErrors },
      (ended) => resume(warned(Result.isSuccess(ended) ? Exit.succeed(use(ended.success)) : Exit.fail(ended.failure)))
    )
    return Effect.suspend(() => {
      shaking.giveUp()
      return warned(Effect.void)
    })
  })

export const secure = (stream: Counting, options: Options): Effect.Effect<Secured, TlsFailure> =>
  securing(stream, options, (secured) => secured)

/**
 * A handshake that is under way.
 *
 * | event | a server | a client |
 * |---|---|---|
 * | `secure` | is ready, or refuses the client | keeps what there is to object to |
 * | `secureConnect` | | is ready two turns later, unless an error comes |
 * | `error` | fails | fails |
 * | `end`, `close` | fails | fails, unless it is ready |
 */
class Shaking implements Hearer {
  private readonly stream: Counting
  private readonly options: Options
  private readonly begun: Begun
  private readonly streamErrors: ReadonlyArray<Error>
  private readonly done: (ended: Result.Result<Secured, TlsFailure>) => void
  /** How much had been received before. */
  private readonly before: number
  /** The chain cannot be had any more when Node has told that it is not to be trusted. */
  private objection: string | undefined = undefined
  private isReady = false

  constructor(
    { begun, options, stream, streamErrors }: {
      readonly stream: Counting
      readonly options: Options
      readonly begun: Begun
      readonly streamErrors: ReadonlyArray<Error>
    },
    done: (ended: Result.Result<Secured, TlsFailure>) => void
  ) {
    this.stream = stream
    this.options = options
    this.begun = begun
    this.streamErrors = streamErrors
    this.done = done
    this.before = stream.bytesRead ?? 0
    const { socket } = begun
    hear(socket, this)
    listenToErrors(socket)
    socket.pause()
    listen(socket)
    if (options.role === "server") listenToTls(socket)
    else {
      // Node's own listener destroys the socket.
      socket.prependOnceListener("secure", () => this.verify())
      socket.once("secureConnect", () => this.ready(options.verify !== "none" && socket.authorized))
    }
  }

  /** Nothing that happens to it is of interest any more. */
  giveUp(): void {
    const { socket } = this.begun
    hear(socket, undefined)
    socket.destroy()
  }

  private fail(failure: TlsFailure): void {
    this.giveUp()
    this.done(Result.fail(failure))
  }

  private get ended(): TlsFailure {
    const { before, options, stream, streamErrors } = this
    const received = (stream.bytesRead ?? 0) - before
    return options.role === "client" && received === alertLength ? unnamedAlert : cut(streamErrors[0])
  }

  onData(): void {}

  onDrain(): void {}

  // A half-open socket of a server does not close by itself.
  onEnd(): void {
    if (!this.isReady) this.fail(this.ended)
  }

  onClose(): void {
    if (!this.isReady) this.fail(this.ended)
  }

  onError(error: TlsError): void {
    const { begun: { socket }, objection, options } = this
    if (error instanceof UnknownName) {
      return this.fail(new TlsFailure({ kind: "unknown-name", detail: error.message, fault: "peer" }))
    }
    if (error instanceof BadCertificate) return this.fail(badConfiguration(error))
    const progress: Progress = {
      role: options.role,
      secure: false,
      sawCertificate: socket.getPeerX509Certificate() !== undefined,
      hasCertificate: options.certificate !== undefined
    }
    this.fail(failureOf(error, progress, objection) ?? (hasEnded(error) ? this.ended : cut(error)))
  }

  /** Of a server. */
  onSecure(): void {
    const { begun, options } = this
    if (options.role === "client") return
    const refusal = refusalOf(begun.socket, options)
    if (refusal !== undefined) return this.fail(refusal)
    this.ready(asksFor(options) && begun.socket.getPeerX509Certificate() !== undefined)
  }

  /** Of a client. */
  private verify(): void {
    const { socket } = this.begun
    const error = verifyErrorOf(socket)
    if (error) this.objection = objectionTo(socket, error)
  }

  private ready(verified: boolean): void {
    const { begun, options } = this
    const { socket } = begun
    const tls = describe(begun, options, verified)
    // The peer has proved who it is, once and for all.
    socket.disableRenegotiation()
    const done = () => {
      this.done(Result.succeed({ socket, tls }))
    }
    if (options.role === "server" || tls.version !== "TLSv1.3") return done()
    // The server may be about to refuse the client's certificate, and to reset the connection. Whoever wrote at once would
    // be told of the reset, and not why: what is here already is heard first.
    this.isReady = true
    setImmediate(() => setImmediate(done))
  }
}
