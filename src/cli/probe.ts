/**
 * `probe`: shakes hands with a server as a client and tells how it went.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import { Argument, Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Handshake from "../Handshake.ts"
import { HandshakeError } from "../HandshakeError.ts"
import * as Net from "../node/Net.ts"
import * as Peer from "../Peer.ts"
import * as Line from "../protocols/Line.ts"
import * as Transcript from "../Transcript.ts"
import * as Transport from "../Transport.ts"
import * as Flags from "./flags.ts"

/** How a kind of URL is probed. */
interface Probe {
  readonly protocol: string
  readonly client: Effect.Effect<Transport.Transport.Any, HandshakeError, Socket.Socket | Scope.Scope>
}

const probes: Record<string, Probe> = {
  "line:": { protocol: Line.protocol.name, client: Line.client }
}

interface Target extends Probe {
  readonly host: string
  readonly port: number
}

/** `line://HOST:PORT`, and nothing else in it. */
const parseTarget = (text: string): Option.Option<Target> => {
  if (!URL.canParse(text)) return Option.none()
  const url = new URL(text)
  const probe = probes[url.protocol]
  if (probe === undefined || url.hostname === "" || url.port === "") return Option.none()
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") return Option.none()
  if (url.pathname !== "" && url.pathname !== "/") return Option.none()
  // The brackets of an IPv6 address belong to the URL.
  return Option.some({ ...probe, host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) })
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
  readonly negotiated: Record<string, unknown>
}

const run = Effect.fnUntraced(function*(target: Target, timeout: Duration.Duration, recorder: Transcript.Recorder) {
  const socket = yield* Net.socket({ host: target.host, port: target.port })
  let peer: Peer.Peer | undefined
  const exit = yield* target.client.pipe(
    Effect.tap((transport) =>
      Effect.map(transport.peer, (known) => {
        peer = known
      })
    ),
    Handshake.deadline(timeout),
    Handshake.named(target.protocol),
    Effect.scoped,
    Effect.provideService(Socket.Socket, socket),
    Effect.provideService(Transport.CurrentObserver, recorder.observer),
    Effect.exit
  )
  if (Exit.isFailure(exit) && !(Cause.squash(exit.cause) instanceof HandshakeError)) {
    return yield* Effect.failCause(exit.cause)
  }
  const error = Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause) as HandshakeError
  const report: Report = {
    protocol: target.protocol,
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
    peer: peer === undefined ? `${target.host}:${target.port}` : Peer.format(peer),
    negotiated: {}
  }
  return report
})

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

export const probe = Command.make("probe", {
  target: Argument.String("url").pipe(
    Argument.withDescription("line://HOST:PORT"),
    Argument.filterMap(parseTarget, (text) => `a URL such as line://127.0.0.1:12345, not "${text}"`)
  ),
  timeout: Flags.duration("timeout", "10s", "From dialling to ready"),
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false)),
  record: Flag.Path("record", { typeName: "file" }).pipe(
    Flag.withDescription("Write what was said to this file, as text that can be replayed"),
    Flag.optional
  )
}, ({ json, record, target, timeout }) =>
  Effect.gen(function*() {
    const recorder = yield* Transcript.recorder
    const stored = Effect.suspend(() => Option.isSome(record) ? store(record.value, recorder.entries()) : Effect.void)
    // Who gives up on a server that hangs wants to see what it has said.
    const report = yield* Effect.onError(run(target, timeout, recorder), () => Effect.ignore(stored))
    const transcript = recorder.entries()
    recorder.note(verdict(report))
    if (json) {
      yield* Console.log(JSON.stringify(report))
    } else {
      yield* Console.log(Transcript.diagram(transcript))
      yield* Console.log("")
      yield* Console.log(verdict(report))
    }
    yield* stored
    const code = exitCodes[report.outcome]
    if (code !== 0) return yield* new Flags.Exited({ code })
  })).pipe(
    Command.withDescription(
      "Shake hands with a server. Exit code: 0 ready, 2 rejected, 3 invalid or broken peer, 4 timeout, " +
        "5 no connection, 64 wrong usage, 73 the file of --record cannot be written"
    ),
    Command.withExamples([
      { command: "effect-handshake probe line://127.0.0.1:12345 --json", description: "Ask a line server" },
      { command: "effect-handshake probe line://127.0.0.1:12345 --record session.txt", description: "Keep the session" }
    ])
  )
