/**
 * What `probe` does: shakes hands with a server as a client and tells how it went.
 *
 * @internal
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { getCACertificates } from "node:tls"
import * as Codec from "../Codec.ts"
import type * as Dialogue from "../Dialogue.ts"
import * as Handshake from "../Handshake.ts"
import { HandshakeError } from "../HandshakeError.ts"
import * as Net from "../node/Net.ts"
import * as Peer from "../Peer.ts"
import * as Http2 from "../protocols/Http2.ts"
import * as Line from "../protocols/Line.ts"
import * as Postgres from "../protocols/Postgres.ts"
import * as Proxy from "../protocols/Proxy.ts"
import * as Tls from "../protocols/Tls.ts"
import * as ServerName from "../protocols/tls/serverName.ts"
import * as Transcript from "../Transcript.ts"
import * as Transport from "../Transport.ts"
import type { TransportError } from "../TransportError.ts"
import type { SpeakingFlags } from "./dialogueFlags.ts"
import { Exited, failing, masked, usage } from "./flags.ts"
import * as Hints from "./hints.ts"
import * as Modules from "./modules.ts"
import * as PostgresUrl from "./postgresUrl.ts"
import * as Speaking from "./speaking.ts"
import * as TlsFlags from "./tls.ts"
import * as Users from "./users.ts"

/** What came of a handshake. */
interface Ready {
  readonly peer: Peer.Peer
  readonly negotiated: Record<string, unknown>
}

type Client = Effect.Effect<
  Ready,
  HandshakeError | TransportError | Exited,
  Socket.Socket | Scope.Scope | Postgres.Crypto
>

/** What a command line says besides the URL. */
export interface Flags extends TlsFlags.ClientFlags, SpeakingFlags {
  readonly dialogue: Option.Option<string>
  readonly passwordFile: Option.Option<string>
  readonly timeout: Duration.Duration
  readonly json: boolean
  readonly record: Option.Option<string>
  readonly svg: Option.Option<string>
}

/** How a kind of URL is probed. */
interface Scheme {
  readonly protocol: string
  readonly usage: string
  /** The port where the URL has none. */
  readonly port?: number
  /** What its URLs may have besides a host and a port. */
  readonly parts?: { readonly user: boolean; readonly path: boolean; readonly query: boolean }
  /** The flags that are of use, of those that are not of use to all. */
  readonly flags: ReadonlyArray<keyof typeof specific>
  readonly client: (target: Target, flags: Flags) => Effect.Effect<Client, Exited, FileSystem.FileSystem>
}

/** The flags that are not of use to all, by their names, and whether they are given. */
const specific = {
  tlsCa: ["--tls-ca", ({ tlsCa }: Flags) => Option.isSome(tlsCa)],
  tlsVerify: ["--tls-verify", ({ tlsVerify }: Flags) => tlsVerify !== "full"],
  tlsName: ["--tls-name", ({ tlsName }: Flags) => Option.isSome(tlsName)],
  tlsCert: ["--tls-cert", ({ tlsCert }: Flags) => Option.isSome(tlsCert)],
  tlsKey: ["--tls-key", ({ tlsKey }: Flags) => Option.isSome(tlsKey)],
  alpn: ["--alpn", ({ alpn }: Flags) => Option.isSome(alpn)],
  passwordFile: ["--password-file", ({ passwordFile }: Flags) => Option.isSome(passwordFile)],
  dialogue: ["--dialogue", ({ dialogue }: Flags) => Option.isSome(dialogue)],
  set: ["--set", ({ set }: Flags) => set.length > 0],
  values: ["--values", ({ values }: Flags) => Option.isSome(values)],
  seed: ["--seed", ({ seed }: Flags) => Option.isSome(seed)],
  ask: ["--ask", ({ ask }: Flags) => ask]
} as const

export interface Target {
  /** Whether a PROXY header comes first, which says that the client is this side itself. */
  readonly isProxied: boolean
  readonly scheme: Scheme
  readonly url: URL
  /** Whom a certificate has to be for. */
  readonly host: string
  /** What is dialled: the host, behind a link-local address with its zone. */
  readonly address: string
  readonly port: number
}

const ready = <T extends Transport.Transport.Any>(
  transport: T,
  negotiated: Record<string, unknown> = {}
): Effect.Effect<Ready> => Effect.map(transport.peer, (peer) => ({ peer, negotiated }))

/**
 * How long a client listens whether the server refuses its certificate, or that it has none: TLS 1.3 says it late. It says it
 * within a round trip and what it has to work, and to shake hands took as much, besides dialling. Half of the time that is
 * left is not touched: whoever was not refused is ready.
 */
export const refusalWait = (took: Duration.Duration, timeout: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.sum(took, Duration.millis(200)), Duration.times(Duration.subtract(timeout, took), 0.5))

const tls = Effect.fnUntraced(function*({ host }: Target, flags: Flags) {
  const options = yield* TlsFlags.clientOptions(flags, host)
  const alpn = Option.getOrUndefined(Option.map(flags.alpn, (list) => list.split(",").map((name) => name.trim())))
  return Effect.timed(Tls.client(Transport.framed(Codec.bytes), { ...options, alpn })).pipe(
    Effect.tap(([took, transport]) =>
      Handshake.step(
        // What the server says is none of TLS's business, nor whether it ends.
        Effect.timeoutOption(
          Effect.catchIf(transport.receive, ({ reason }) => reason._tag !== "TlsFailure", () => Effect.void),
          refusalWait(took, flags.timeout)
        ),
        "listen for a refusal"
      )
    ),
    Effect.flatMap(([, transport]) => ready(transport))
  )
})

// JSON has no Infinity.
const settingsOf = ({ settings }: Http2.Http2Transport): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(settings.remote).map(([name, value]) => [name, value === Infinity ? "unlimited" : value])
  )

const h2 = Http2.client({ awaitAcknowledgement: true }).pipe(
  Effect.tap((transport) => Effect.ignore(Http2.goAway(transport))),
  Effect.flatMap((transport) => ready(transport, { settings: settingsOf(transport) }))
)

const h2InsideTls = Effect.fnUntraced(function*({ host }: Target, flags: Flags) {
  return Tls.client(Tls.alpn({ h2 }), yield* TlsFlags.clientOptions(flags, host))
})

/** Where a password may be, the first of these: in the URL, in a file, in `PGPASSWORD`. */
const passwordOf = (url: URL, { passwordFile }: Flags) =>
  url.password !== ""
    ? Effect.succeedSome(Redacted.make(decodeURIComponent(url.password)))
    : Option.isSome(passwordFile)
    ? Effect.asSome(Effect.map(TlsFlags.read(passwordFile.value), (text) => Redacted.make(text.replace(/\r?\n$/, ""))))
    : Users.environmentPassword

const postgres = Effect.fnUntraced(function*({ host, url }: Target, flags: Flags) {
  if (url.username === "") {
    return yield* failing("a URL of PostgreSQL needs a user, as in postgres://ann@127.0.0.1", usage)
  }
  const parsed = PostgresUrl.parse(url.search)
  if (Result.isFailure(parsed)) return yield* failing(`the URL cannot be used: ${parsed.failure}`, usage)
  const { sslcert, sslkey, sslrootcert } = parsed.success
  const isSystem = sslrootcert === "system"
  const tls = yield* TlsFlags.clientOptions(
    {
      ...flags,
      tlsCa: isSystem ? Option.none() : Option.orElse(Option.fromUndefinedOr(sslrootcert), () => flags.tlsCa),
      tlsCert: Option.orElse(Option.fromUndefinedOr(sslcert), () => flags.tlsCert),
      tlsKey: Option.orElse(Option.fromUndefinedOr(sslkey), () => flags.tlsKey)
    },
    host
  )
  const password = yield* passwordOf(url, flags)
  const database = decodeURIComponent(url.pathname.slice(1))
  const options: Postgres.ClientOptions = {
    user: decodeURIComponent(url.username),
    host: tls.servername,
    ca: isSystem ? getCACertificates("system").join("\n") : tls.ca,
    certificate: tls.certificate,
    ...parsed.success.options,
    applicationName: parsed.success.options.applicationName ?? "effect-handshake probe",
    ...database !== "" && { database },
    ...Option.isSome(password) && { password: password.value }
  }
  // Options that do not go together throw.
  const client = yield* Effect.try({
    try: () => Postgres.client(options),
    catch: (cause) => cause instanceof Error ? cause.message : String(cause)
  }).pipe(Effect.catch((problem) => failing(`the URL cannot be used: ${problem}`, usage)))
  return client.pipe(
    Effect.tap((transport) => Effect.ignore(transport.send({ _tag: "Terminate" }))),
    Effect.flatMap((transport) => {
      const { authentication, channelBound, database, parameters, protocolVersion, user } = transport.session
      return ready(transport, {
        user,
        database,
        authentication,
        channelBound,
        protocolVersion,
        parameters: Object.fromEntries(parameters)
      })
    })
  )
})

const postgresScheme: Scheme = {
  protocol: "postgres",
  usage: "postgres://USER[:PASSWORD]@HOST[:5432][/DATABASE][?sslmode=…]",
  port: 5432,
  // Whether the certificate is looked at is up to its sslmode.
  flags: ["tlsCa", "tlsName", "tlsCert", "tlsKey", "passwordFile"],
  parts: { user: true, path: true, query: true },
  client: postgres
}

const ofTls = ["tlsCa", "tlsVerify", "tlsName", "tlsCert", "tlsKey"] as const

/** Of no use without a dialogue. */
const ofSpeaking = ["set", "values", "seed", "ask"] as const

const ofDialogue = ["dialogue", ...ofSpeaking] as const

const schemes: Record<string, Scheme> = {
  "line:": {
    protocol: "line",
    usage: "line://HOST:PORT",
    flags: [],
    client: () => Effect.succeed(Effect.flatMap(Line.client, (transport) => ready(transport)))
  },
  // Also what begins in clear may go on inside TLS.
  "tcp:": {
    protocol: "tcp",
    usage: "tcp://HOST:PORT",
    flags: [...ofTls, ...ofDialogue],
    client: () => failing("tcp:// needs --dialogue MODULE, which says what is spoken there", usage)
  },
  "tls:": {
    protocol: "tls",
    usage: "tls://HOST[:443]",
    port: 443,
    flags: [...ofTls, ...ofDialogue, "alpn"],
    client: tls
  },
  "h2:": { protocol: "h2", usage: "h2://HOST[:443]", port: 443, flags: ofTls, client: h2InsideTls },
  "h2c:": { protocol: "h2c", usage: "h2c://HOST[:80]", port: 80, flags: [], client: () => Effect.succeed(h2) },
  "postgres:": postgresScheme,
  "postgresql:": postgresScheme
}

/**
 * The zone of a link-local address of IPv6, which no URL may have (WHATWG URL 3.5), and the URL without it. It is taken as
 * people write it, `[fe80::1%eth0]`, and as RFC 6874 does, `[fe80::1%25eth0]`.
 */
export const splitZone = (text: string): readonly [url: string, zone: string] => {
  const found = /^([^/?#]*:\/\/(?:[^/?#]*@)?\[[0-9a-f:.]+)%(?:25(?=[^\]]))?([^\]/?#]+)(?=\])/i.exec(text)
  if (found === null || !PostgresUrl.isDecodable(found[2])) return [text, ""]
  return [found[1] + text.slice(found[0].length), `%${decodeURIComponent(found[2])}`]
}

/** What a URL begins with whose server is behind a PROXY header. */
const proxied = /^proxy\+/i

/** `SCHEME://HOST:PORT`, and nothing else in it that the scheme does not know; or what is wrong. */
export const parseTarget = (written: string): Result.Result<Target, string> => {
  const isProxied = proxied.test(written)
  const [text, zone] = splitZone(written.replace(proxied, ""))
  const known = Object.keys(schemes).map((scheme) => `${scheme}//`).join(", ")
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return Result.fail(`it begins with none of ${known}`)
  const problem = /^postgres(?:ql)?:/i.test(text) ? PostgresUrl.problemWithHost(text) : undefined
  if (problem !== undefined) return Result.fail(problem)
  if (!URL.canParse(text)) return Result.fail("it is no URL; a port is a number, and the host is behind the last @")
  const url = new URL(text)
  const scheme = schemes[url.protocol]
  if (scheme === undefined) return Result.fail(`it begins with none of ${known}`)
  const wanted = (what: string) => Result.fail(`${what}; it looks like ${scheme.usage}`)
  if (url.hostname === "") return wanted("it has no host")
  const port = url.port === "" ? scheme.port : Number(url.port)
  if (port === undefined) return wanted("it has no port")
  const { path, query, user } = scheme.parts ?? { user: false, path: false, query: false }
  if (!user && (url.username !== "" || url.password !== "")) return wanted("it has a user")
  if (!path && url.pathname !== "" && url.pathname !== "/") return wanted("it has a path")
  if (url.hash !== "") return wanted("it has a #, which is written %23")
  if (![url.username, url.password, url.hostname, url.pathname].every(PostgresUrl.isDecodable)) {
    return wanted("it has a % that is not written %25")
  }
  if (!query && url.search.length > 1) return wanted("it has parameters")
  // The brackets of an IPv6 address belong to the URL, and what is not ASCII it writes in percent.
  const host = decodeURIComponent(url.hostname).replace(/^\[|\]$/g, "")
  return Result.map(ServerName.parse(host), () => ({ isProxied, scheme, url, host, address: host + zone, port }))
}

/** A target and the flags that go with it, or what is wrong. */
const targetOf = Effect.fnUntraced(function*(text: string, flags: Flags) {
  const parsed = parseTarget(text)
  if (Result.isFailure(parsed)) {
    return yield* failing(`cannot probe ${JSON.stringify(masked(text))}: ${parsed.failure}`, usage)
  }
  const { scheme, url } = parsed.success
  for (const [name, [flag, isGiven]] of Object.entries(specific)) {
    if (!isGiven(flags) || scheme.flags.some((useful) => useful === name)) continue
    const instead = name === "tlsVerify" && scheme === postgresScheme ? "; sslmode in the URL is" : ""
    return yield* failing(`${flag} is of no use with ${url.protocol}//${instead}`, usage)
  }
  if (Option.isNone(flags.dialogue)) {
    const lonely = ofSpeaking.map((name) => specific[name]).find(([, isGiven]) => isGiven(flags))
    if (lonely !== undefined) return yield* failing(`${lonely[0]} needs --dialogue MODULE`, usage)
  }
  // Who is asked is asked on standard output.
  if (flags.ask && flags.json) return yield* failing("--ask and --json do not go together", usage)
  return parsed.success
})

type Outcome = "ready" | "rejected" | "invalid" | "timeout" | "unreachable"

const exitCodes: Record<Outcome, number> = { ready: 0, rejected: 2, invalid: 3, timeout: 4, unreachable: 5 }

const outcomeOf = (error: HandshakeError | undefined): Outcome => {
  switch (error?.reason._tag) {
    case undefined:
      return "ready"
    case "Rejected":
    case "AuthenticationFailed":
      return "rejected"
    case "Timeout":
      return "timeout"
    case "ConnectionFailed":
      return error?.reason.operation === "open" ? "unreachable" : "invalid"
    default:
      return "invalid"
  }
}

interface Report {
  readonly protocol: string
  readonly outcome: Outcome
  readonly reason:
    | {
      readonly tag: string
      readonly step: string
      readonly fault: string
      readonly retryable: boolean
      readonly message: string
      /** What a server has said besides, where it is PostgreSQL. */
      readonly fields?: Postgres.ErrorFields
    }
    | null
  readonly steps: ReadonlyArray<Transcript.Drawn>
  readonly peer: string
  readonly tls: TlsReport | null
  readonly negotiated: Record<string, unknown>
}

/** What TLS has agreed on, and who the peer has proved to be. */
interface TlsReport {
  readonly version: string
  readonly cipher: string
  readonly alpn: string | null
  readonly resumed: boolean
  readonly verified: boolean
  readonly certificate:
    | {
      readonly subject: string
      readonly issuer: string
      readonly names: string | null
      readonly validFrom: string
      readonly validTo: string
      readonly fingerprint256: string
    }
    | null
}

const tlsReport = ({ alpn, certificate, cipher, resumed, verified, version }: Peer.Tls): TlsReport => ({
  version,
  cipher,
  alpn: alpn ?? null,
  resumed,
  verified,
  certificate: certificate === undefined ? null : {
    subject: certificate.subject,
    issuer: certificate.issuer,
    names: certificate.subjectAltName ?? null,
    validFrom: certificate.validFrom.toISOString(),
    validTo: certificate.validTo.toISOString(),
    fingerprint256: certificate.fingerprint256
  }
})

const run = Effect.fnUntraced(function*(
  target: Target,
  protocol: string,
  client: Client,
  timeout: Duration.Duration,
  recorder: Transcript.Recorder
) {
  const socket = yield* Net.socket({ host: target.address, port: target.port })
  // Also of a peer that is not ready in the end.
  let tls: Peer.Tls | undefined
  const observer: Transport.Observer = (event) => {
    if (event._tag === "Secured") tls = event.tls
    recorder.observer(event)
  }
  const exit = yield* client.pipe(
    Handshake.deadline(timeout),
    Handshake.named(protocol),
    Effect.scoped,
    Effect.provideService(Socket.Socket, socket),
    Effect.provideService(Transport.CurrentObserver, observer),
    Effect.provide(NodeCrypto.layer),
    Effect.exit
  )
  if (Exit.isFailure(exit) && !(Cause.squash(exit.cause) instanceof HandshakeError)) {
    return yield* Effect.failCause(exit.cause)
  }
  const error = Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause) as HandshakeError
  const fields = Postgres.serverError(error)?.fields
  const { negotiated, peer }: Ready = Exit.isSuccess(exit) ? exit.value : { peer: Peer.unknown, negotiated: {} }
  const report: Report = {
    protocol,
    outcome: outcomeOf(error),
    reason: error === undefined ? null : {
      tag: error.reason._tag,
      step: error.step,
      fault: error.fault,
      retryable: error.retryable,
      message: error.reason.message,
      ...fields !== undefined && { fields }
    },
    steps: recorder.entries().flatMap(({ atMs, direction, frame }) =>
      direction === "note" ? [] : [{ atMs, direction, frame }]
    ),
    peer: peer.remote === undefined
      ? `${NetAddress.formatUrlHostString(target.address)}:${target.port}`
      : Peer.format(peer),
    tls: tls === undefined ? null : tlsReport(tls),
    negotiated
  }
  return { report, error }
})

/** The client of a dialogue, inside TLS where the URL says so. */
const spoken = Effect.fnUntraced(function*(dialogue: Dialogue.Any, { host, url }: Target, flags: Flags) {
  const client = Effect.flatMap(yield* Speaking.client(dialogue, host, flags), (transport) => ready(transport))
  if (url.protocol === "tcp:") return client
  const alpn = Option.getOrUndefined(Option.map(flags.alpn, (list) => list.split(",").map((name) => name.trim())))
  return Tls.client(client, { ...yield* TlsFlags.clientOptions(flags, host), alpn })
})

/** A value in one line, and one with parts in a line for each. */
const lines = (name: string, value: unknown): ReadonlyArray<string> =>
  typeof value === "object" && value !== null
    ? [`${name}:`, ...Object.entries(value).map(([part, value]) => `  ${part}: ${String(value)}`)]
    : [`${name}: ${String(value)}`]

const oneLine = (name: string): string => name.replaceAll("\n", ", ")

/** How many names of a certificate are shown; `--json` has them all. */
const shownNames = 20

/** The names of a certificate on a line of a length that can be read. */
export const someNames = (names: string): string => {
  const all = names.split(", ")
  const more = all.length - shownNames
  return more <= 0 ? names : `${all.slice(0, shownNames).join(", ")} and ${more} more`
}

/** What was negotiated, and who the peer proved to be: one thing a line. */
const details = ({ negotiated, tls }: Report): ReadonlyArray<string> => {
  const certificate = tls?.certificate
  return [
    ...tls === null ? [] : [`TLS: ${tls.version}, ${tls.cipher}${tls.alpn === null ? "" : `, ALPN ${tls.alpn}`}`],
    ...tls === null || !certificate ? [] : [
      `certificate: ${oneLine(certificate.subject)}, ${tls.verified ? "verified" : "NOT verified"}`,
      ...certificate.names === null ? [] : [`  names: ${someNames(certificate.names)}`],
      `  issuer: ${oneLine(certificate.issuer)}`,
      `  valid: ${certificate.validFrom} to ${certificate.validTo}`,
      `  SHA-256:`,
      `    ${certificate.fingerprint256}`
    ],
    ...Object.entries(negotiated).flatMap(([name, value]) => lines(name, value))
  ]
}

const verdict = (report: Report): string =>
  report.reason === null
    ? `ready: ${report.protocol} at ${report.peer}`
    : `${report.outcome}: ${report.protocol} at ${report.peer}, step ${report.reason.step}: ${report.reason.message}`

// sysexits.h: EX_CANTCREAT
const cannotCreate = 73

/** Writes a file, or says on stderr why not. */
const write = Effect.fnUntraced(function*(file: string, content: string) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.catch(
    fs.writeFileString(file, content),
    (error) =>
      Effect.andThen(
        Console.error(`cannot write ${file}: ${error.cause instanceof Error ? error.cause.message : error.message}`),
        Effect.fail(new Exited({ code: cannotCreate }))
      )
  )
})

/** Probes a URL, tells how it went, and ends with the exit code for it. */
export const probe = Effect.fnUntraced(function*(url: Redacted.Redacted<string>, flags: Flags) {
  const { json, record, svg, timeout } = flags
  const target = yield* targetOf(Redacted.value(url), flags)
  const dialogue = Option.isSome(flags.dialogue) ? yield* Modules.load(flags.dialogue.value) : undefined
  const inside: Client = dialogue === undefined
    ? yield* target.scheme.client(target, flags)
    : yield* spoken(dialogue, target, flags)
  const client: Client = target.isProxied ? Proxy.client(inside, Proxy.direct) : inside
  const protocol = dialogue?.dialogue.name ?? target.scheme.protocol
  const recorder = yield* Transcript.recorder
  const sides = { self: "client", peer: "server", title: `${protocol} at ${target.address}:${target.port}` }
  const store = Effect.fnUntraced(function*(failed: { readonly after: number; readonly error: string } | undefined) {
    const entries = recorder.entries()
    if (Option.isSome(record)) yield* write(record.value, Transcript.format(entries, sides))
    if (Option.isNone(svg)) return
    // Why it has failed is more than the last note.
    const said = entries.slice(0, failed?.after)
    yield* write(svg.value, Transcript.svg(said, { ...sides, error: failed?.error }))
  })
  // Who gives up on a server that hangs wants to see what it has said.
  const { error, report } = yield* Effect.onError(
    run(target, protocol, client, Speaking.timeoutOf(flags, timeout), recorder),
    () => Effect.ignore(store(undefined))
  )
  const transcript = recorder.entries()
  recorder.note(verdict(report))
  if (json) {
    yield* Console.log(JSON.stringify(report))
  } else {
    yield* Console.log(Transcript.diagram(transcript))
    yield* Console.log("")
    yield* Console.log(verdict(report))
    const { detail, hint } = report.reason?.fields ?? {}
    if (detail !== undefined) yield* Console.log(`DETAIL: ${detail}`)
    if (hint !== undefined) yield* Console.log(`HINT: ${hint}`)
    const advice = error && Hints.hint(error, {
      protocol: report.protocol,
      query: target.url.searchParams,
      hasPassword: Option.isSome(flags.passwordFile) || target.url.password !== "" ||
        process.env.PGPASSWORD !== undefined
    })
    if (advice !== undefined) yield* Console.log(`hint: ${advice}`)
    for (const line of details(report)) yield* Console.log(line)
  }
  yield* store(report.reason === null ? undefined : { after: transcript.length, error: verdict(report) })
  const code = exitCodes[report.outcome]
  if (code !== 0) return yield* new Exited({ code })
})
