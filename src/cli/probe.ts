/**
 * `probe`: shakes hands with a server as a client and tells how it went.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import { Argument, Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../Codec.ts"
import * as Handshake from "../Handshake.ts"
import { HandshakeError } from "../HandshakeError.ts"
import * as Net from "../node/Net.ts"
import * as Peer from "../Peer.ts"
import * as Line from "../protocols/Line.ts"
import * as Tls from "../protocols/Tls.ts"
import * as Transcript from "../Transcript.ts"
import * as Transport from "../Transport.ts"
import type { TransportError } from "../TransportError.ts"
import * as Flags from "./flags.ts"
import * as TlsFlags from "./tls.ts"

/** What came of a handshake. */
interface Ready {
  readonly peer: Peer.Peer
  readonly negotiated: Record<string, unknown>
}

type Client = Effect.Effect<Ready, HandshakeError | TransportError, Socket.Socket | Scope.Scope>

interface ProbeFlags extends TlsFlags.ClientFlags {}

/** How a kind of URL is probed. */
interface Scheme {
  readonly protocol: string
  readonly usage: string
  /** The port where the URL has none. */
  readonly port?: number
  readonly client: (target: Target, flags: ProbeFlags) => Effect.Effect<Client, Flags.Exited, FileSystem.FileSystem>
}

interface Target {
  readonly scheme: Scheme
  readonly url: URL
  readonly host: string
  readonly port: number
}

const ready = <T extends Transport.Transport.Any>(
  transport: T,
  negotiated: Record<string, unknown> = {}
): Effect.Effect<Ready> => Effect.map(transport.peer, (peer) => ({ peer, negotiated }))

/** How long a client listens whether the server refuses its certificate, or that it has none: TLS 1.3 says it late. */
const lateRefusal = Duration.millis(200)

const tls = Effect.fnUntraced(function*({ host }: Target, flags: ProbeFlags) {
  const options = yield* TlsFlags.clientOptions(flags, host)
  const alpn = Option.getOrUndefined(Option.map(flags.alpn, (list) => list.split(",").map((name) => name.trim())))
  return Transport.framed(Codec.bytes).pipe(
    Tls.client({ ...options, alpn }),
    Effect.tap((transport) =>
      Handshake.step(
        // What the server says is none of TLS's business, nor whether it ends.
        Effect.timeoutOption(
          Effect.catchIf(transport.receive, ({ reason }) => reason._tag !== "TlsFailure", () => Effect.void),
          lateRefusal
        ),
        "listen for a refusal"
      )
    ),
    Effect.flatMap((transport) => ready(transport))
  )
})

const schemes: Record<string, Scheme> = {
  "line:": {
    protocol: "line",
    usage: "line://HOST:PORT",
    client: () => Effect.succeed(Effect.flatMap(Line.client, (transport) => ready(transport)))
  },
  "tls:": { protocol: "tls", usage: "tls://HOST[:443]", port: 443, client: tls }
}

const usages = Object.values(schemes).map(({ usage }) => usage).join(", ")

/** `SCHEME://HOST:PORT`, and nothing else in it that the scheme does not know. */
const parseTarget = (text: string): Option.Option<Target> => {
  if (!URL.canParse(text)) return Option.none()
  const url = new URL(text)
  const scheme = schemes[url.protocol]
  if (scheme === undefined || url.hostname === "") return Option.none()
  const port = url.port === "" ? scheme.port : Number(url.port)
  if (port === undefined) return Option.none()
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") return Option.none()
  if (url.pathname !== "" && url.pathname !== "/") return Option.none()
  // The brackets of an IPv6 address belong to the URL.
  return Option.some({ scheme, url, host: url.hostname.replace(/^\[|\]$/g, ""), port })
}

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
  client: Client,
  timeout: Duration.Duration,
  recorder: Transcript.Recorder
) {
  const socket = yield* Net.socket({ host: target.host, port: target.port })
  const { protocol } = target.scheme
  const exit = yield* client.pipe(
    Handshake.deadline(timeout),
    Handshake.named(protocol),
    Effect.scoped,
    Effect.provideService(Socket.Socket, socket),
    Effect.provideService(Transport.CurrentObserver, recorder.observer),
    Effect.exit
  )
  if (Exit.isFailure(exit) && !(Cause.squash(exit.cause) instanceof HandshakeError)) {
    return yield* Effect.failCause(exit.cause)
  }
  const error = Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause) as HandshakeError
  const { negotiated, peer }: Ready = Exit.isSuccess(exit) ? exit.value : { peer: Peer.unknown, negotiated: {} }
  const report: Report = {
    protocol,
    outcome: outcomeOf(error),
    reason: error === undefined ? null : {
      tag: error.reason._tag,
      step: error.step,
      fault: error.fault,
      retryable: error.retryable,
      message: error.reason.message
    },
    steps: recorder.entries().flatMap(({ atMs, direction, frame }) =>
      direction === "note" ? [] : [{ atMs, direction, frame }]
    ),
    peer: peer.remote === undefined ? `${target.host}:${target.port}` : Peer.format(peer),
    tls: peer.tls === undefined ? null : tlsReport(peer.tls),
    negotiated
  }
  return report
})

const oneLine = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value)

/** What was negotiated, and who the peer proved to be: one thing a line. */
const details = ({ negotiated, tls }: Report): ReadonlyArray<string> => {
  const certificate = tls?.certificate
  return [
    ...tls === null ? [] : [`TLS: ${tls.version}, ${tls.cipher}${tls.alpn === null ? "" : `, ALPN ${tls.alpn}`}`],
    ...certificate === null || certificate === undefined ? [] : [
      `certificate: ${certificate.subject.replaceAll("\n", ", ")}${
        certificate.names === null ? "" : ` (${certificate.names})`
      }, ${tls!.verified ? "verified" : "NOT verified"}`,
      `  from ${
        certificate.issuer.replaceAll("\n", ", ")
      }, until ${certificate.validTo}, SHA-256 ${certificate.fingerprint256}`
    ],
    ...Object.entries(negotiated).map(([name, value]) => `${name}: ${oneLine(value)}`)
  ]
}

const verdict = (report: Report): string =>
  report.reason === null
    ? `ready: ${report.protocol} at ${report.peer}`
    : `${report.outcome}: ${report.protocol} at ${report.peer}, step ${report.reason.step}: ${report.reason.message}`

// sysexits.h: EX_CANTCREAT
const cannotCreate = 73

/** Stores the session, or says on stderr why not. */
const store = Effect.fnUntraced(function*(file: string, transcript: Transcript.Transcript) {
  const fs = yield* FileSystem.FileSystem
  yield* Effect.catch(
    fs.writeFileString(file, Transcript.format(transcript, { self: "client", peer: "server" })),
    (error) =>
      Effect.andThen(
        Console.error(`cannot write ${file}: ${error.cause instanceof Error ? error.cause.message : error.message}`),
        Effect.fail(new Flags.Exited({ code: cannotCreate }))
      )
  )
})

/** A text that may be a URL with a password, for a message. */
const withoutPassword = (text: string): string => text.replace(/\/\/([^:@/]*):[^@]*@/, "//$1:<redacted>@")

export const probe = Command.make("probe", {
  target: Argument.String("url").pipe(
    Argument.withDescription(usages),
    Argument.filterMap(parseTarget, (text) => `a URL such as line://127.0.0.1:12345, not "${withoutPassword(text)}"`)
  ),
  ...TlsFlags.clientFlags,
  timeout: Flags.duration("timeout", "10s", "From dialling to ready"),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false)),
  record: Flag.Path("record", { typeName: "file" }).pipe(
    Flag.withDescription("Write what was said to this file, as text that can be replayed"),
    Flag.optional
  )
}, ({ json, record, target, timeout, ...flags }) =>
  Effect.gen(function*() {
    const client = yield* target.scheme.client(target, flags)
    const recorder = yield* Transcript.recorder
    const stored = Effect.suspend(() => Option.isSome(record) ? store(record.value, recorder.entries()) : Effect.void)
    // Who gives up on a server that hangs wants to see what it has said.
    const report = yield* Effect.onError(run(target, client, timeout, recorder), () => Effect.ignore(stored))
    const transcript = recorder.entries()
    recorder.note(verdict(report))
    if (json) {
      yield* Console.log(JSON.stringify(report))
    } else {
      yield* Console.log(Transcript.diagram(transcript))
      yield* Console.log("")
      yield* Console.log(verdict(report))
      for (const line of details(report)) yield* Console.log(line)
    }
    yield* stored
    const code = exitCodes[report.outcome]
    if (code !== 0) return yield* new Flags.Exited({ code })
  })).pipe(
    Command.withDescription(
      "Shake hands with a server. Exit code: 0 ready, 2 rejected, 3 invalid or broken peer, 4 timeout, " +
        "5 no connection, 64 wrong usage, 66 a file cannot be read, 73 the file of --record cannot be written"
    ),
    Command.withExamples([
      { command: "effect-handshake probe line://127.0.0.1:12345 --json", description: "Ask a line server" },
      { command: "effect-handshake probe tls://example.com --alpn h2,http/1.1", description: "Who is there, and what" },
      { command: "effect-handshake probe line://127.0.0.1:12345 --record session.txt", description: "Keep the session" }
    ])
  )
