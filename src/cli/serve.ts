/**
 * `serve`: a server of one of the package's protocols, or of a dialogue.
 *
 * @internal
 */
import { Argument, CliError, Command, Flag, type Prompt } from "effect/cli"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Codec from "../Codec.ts"
import { variable } from "../internal/node/workersWire.ts"
import type * as NodeWorkers from "../node/Workers.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Line from "../protocols/Line.ts"
import * as Server from "../Server.ts"
import * as DialogueFlags from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as Listen from "./listen.ts"
import * as SecondSignal from "./secondSignal.ts"
import type * as Serving from "./serving.ts"
import * as TlsFlags from "./tls.ts"
import * as Users from "./users.ts"

interface LineOptions extends Listen.Options {
  readonly maxLength: number
  readonly echoDelay: Duration.Duration
  readonly workers: number
  readonly balance: "even" | "shared"
}

const lineServer = (options: LineOptions) => {
  const echo = Duration.isZero(options.echoDelay)
    ? (request: string) => Effect.succeed(request)
    : (request: string) => Effect.delay(Effect.succeed(request), options.echoDelay)
  return Server.layer({
    protocol: Line.make({ maxLength: options.maxLength }),
    serve: Pipeline.serve<string, string>(echo),
    ...Listen.limits(options)
  })
}

/** The server in this worker, with its part of the limits. */
const inWorker = (Workers: typeof NodeWorkers, options: LineOptions) =>
  Workers.layerCounts.pipe(
    Layer.provide(lineServer({
      ...options,
      maxConnections: Workers.share(options.maxConnections),
      maxPending: Workers.share(options.maxPending)
    })),
    Layer.provide(Workers.layerServer(Listen.at(options))),
    Layer.launch,
    // The primary says why, once for all.
    Effect.catchTag("SocketServerError", () => Effect.fail(new Flags.Exited({ code: 1 })))
  )

/** How much longer than its drain a worker may take to end. */
const grace = Duration.seconds(2)

/** The primary, which has workers that serve. */
const withWorkers = Effect.fnUntraced(function*(Workers: typeof NodeWorkers, options: LineOptions) {
  const { balance, drainTimeout, maxConnections, maxPending, workers } = options
  for (const [flag, limit] of [["connections", maxConnections], ["pending", maxPending]] as const) {
    if (limit > 0 && limit < workers) {
      return yield* Flags.failing(
        `--max-${flag} ${limit} is too little for ${workers} workers: each needs a part of it`,
        Flags.usage
      )
    }
  }
  const hurry = yield* SecondSignal.watch
  let killed: Effect.Effect<number> = Effect.succeed(0)
  // Behind the drain. Whoever was impatient knows it already.
  yield* Effect.addFinalizer(() =>
    Effect.map(killed, (count) => {
      if (count > 0 && Flags.onSignal.code === 0) Flags.onSignal.code = 1
    })
  )
  const running = yield* Workers.make({ workers, balance, stopTimeout: Duration.sum(drainTimeout, grace) })
  hurry.on = running.kill
  killed = running.killed
  yield* Console.log(Listen.listening(running.address))
  yield* Listen.warnOfLimits(Math.ceil(maxConnections / workers))
  yield* running.awaitDrained
}, (effect, _, options) =>
  effect.pipe(
    Effect.scoped,
    Effect.catchTags({
      SocketServerError: Listen.cannotListen(options),
      WorkerDied: ({ message }) => Flags.failing(`${message}, as have those before it`)
    })
  ))

const maxLength = Flags.count("max-length", Codec.defaultMaxLength, "Bytes of a line at the most")

const line = Command.make("line", {
  ...Listen.flags(12345),
  maxLength,
  echoDelay: Flags.duration("echo-delay", "0ms", "How long each answer takes"),
  workers: Flags.workers,
  balance: Flags.balance
}, (options) => {
  // To be stopped by a signal is how a server ends.
  Flags.onSignal.code = 0
  // Workers cost a process with one alone nothing, not even their module. A worker of one that its primary has started
  // for --workers auto is no such process.
  if (options.workers === 1 && process.env[variable] === undefined) return Listen.alone(options, lineServer(options))
  return Effect.flatMap(
    Effect.promise(() => import("../node/Workers.ts")),
    (Workers): Effect.Effect<void, Flags.Exited> =>
      Workers.worker === undefined ? withWorkers(Workers, options) : inWorker(Workers, options)
  )
}).pipe(
  Command.withDescription("Echo the requests of the line protocol"),
  Command.withExamples([
    { command: "effect-handshake serve line --port 12345", description: "Serve on 127.0.0.1:12345" },
    { command: "effect-handshake serve line --workers auto", description: "Serve with all cores" }
  ])
)

/** One of the servers that are loaded when they are asked for. */
const loaded = <A, E, R>(server: (servers: typeof Serving) => Effect.Effect<A, E, R>) => {
  // To be stopped by a signal is how a server ends.
  Flags.onSignal.code = 0
  return Effect.flatMap(Effect.promise(() => import("./serving.ts")), server)
}

const tlsLine = Command.make(
  "tls-line",
  { ...Listen.flags(12346), ...TlsFlags.serverFlags, maxLength },
  (options) => loaded((servers) => servers.tlsLine(options))
).pipe(
  Command.withDescription("Echo the requests of the line protocol inside TLS"),
  Command.withExamples([
    {
      command: "effect-handshake serve tls-line --tls-cert cert.pem --tls-key key.pem",
      description: "Serve on 127.0.0.1:12346"
    }
  ])
)

const http2 = Command.make(
  "http2",
  { ...Listen.flags(8080), ...TlsFlags.serverFlags },
  (options) => loaded((servers) => servers.http2(options))
).pipe(
  Command.withDescription("Answer HTTP/2 requests with 200 and a short text, in clear or, with --tls-cert, inside TLS"),
  Command.withExamples([
    { command: "effect-handshake serve http2 --port 8080", description: "For curl --http2-prior-knowledge" }
  ])
)

const postgres = Command.make("postgres", {
  ...Listen.flags(5432),
  ...Users.flags("scram-sha-256"),
  ...TlsFlags.serverFlags,
  requireTls: Flag.Boolean("require-tls").pipe(
    Flag.withDescription("Refuse clients that do not encrypt"),
    Flag.withDefault(false)
  )
}, (options) => loaded((servers) => servers.postgres(options))).pipe(
  Command.withDescription("Log clients of PostgreSQL in, and answer a handful of queries such as select 1"),
  Command.withExamples([
    {
      command: "PGPASSWORD=… effect-handshake serve postgres --user ann",
      description: "For psql \"host=127.0.0.1 user=ann\""
    }
  ])
)

const any = Command.make("any", {
  ...Listen.flags(12345),
  ...Users.flags("trust"),
  ...TlsFlags.serverFlags
}, (options) => loaded((servers) => servers.any(options))).pipe(
  Command.withDescription("All of them on one port: lines, HTTP/2, PostgreSQL, and with --tls-cert each inside TLS"),
  Command.withExamples([
    {
      command: "effect-handshake serve any --tls-cert cert.pem --tls-key key.pem",
      description: "Serve on 127.0.0.1:12345"
    }
  ])
)

export const serve = Command.make(
  "serve",
  {
    module: Argument.optional(DialogueFlags.module),
    ...Listen.flags(12345),
    ...DialogueFlags.given,
    ask: DialogueFlags.ask,
    ...TlsFlags.serverFlags
  },
  ({ module, ...options }): Effect.Effect<void, CliError.ShowHelp | Flags.Exited, Prompt.Environment> => {
    if (Option.isNone(module)) {
      return Effect.fail(new CliError.ShowHelp({ commandPath: ["effect-handshake", "serve"], errors: [] }))
    }
    // To be stopped by a signal is how a server ends.
    Flags.onSignal.code = 0
    return Effect.flatMap(
      Effect.promise(() => import("./speaking.ts")),
      ({ server }) => Effect.scoped(server(module.value, options))
    )
  }
).pipe(
  Command.withShortDescription("Serve a protocol, or play the server of a dialogue"),
  Command.withDescription(
    "Serve a protocol until SIGTERM or SIGINT, then drain; or, with a MODULE that exports a dialogue, play its server: " +
      "what it says is drawn from the Schemas, given with --set, or asked for with --ask"
  ),
  Command.withExamples([
    { command: "effect-handshake serve src/Vault.ts --port 4000", description: "Answer whatever may be answered" },
    { command: "effect-handshake serve src/Vault.ts --ask", description: "Ask at the terminal what to answer" }
  ]),
  Command.withSubcommands([line, tlsLine, http2, postgres, any])
)
