/**
 * `serve`: a server of one of the package's protocols, or of a dialogue.
 *
 * @internal
 */
import { Argument, CliError, Command, Flag, type Prompt } from "effect/cli"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Codec from "../Codec.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Line from "../protocols/Line.ts"
import * as Server from "../Server.ts"
import * as DialogueFlags from "./dialogueFlags.ts"
import * as Flags from "./flags.ts"
import * as Listen from "./listen.ts"
import type * as Serving from "./serving.ts"
import * as TlsFlags from "./tls.ts"
import * as Users from "./users.ts"
import * as Workers from "./workers.ts"

interface LineOptions extends Workers.Options {
  readonly maxLength: number
  readonly echoDelay: Duration.Duration
}

const lineServer = ({ behind, options, settings }: Listen.Prepared<LineOptions>) => {
  const echo = Duration.isZero(options.echoDelay)
    ? (request: string) => Effect.succeed(request)
    : (request: string) => Effect.delay(Effect.succeed(request), options.echoDelay)
  const { name, server } = Line.make({ maxLength: options.maxLength })
  return Server.layer({
    protocol: { name, server: behind(server) },
    serve: Pipeline.serve<string, string>(echo),
    ...settings
  })
}

const maxLength = Flags.count("max-length", Codec.defaultMaxLength, "Bytes of a line at the most")

const line = Command.make("line", {
  ...Listen.flags(12345),
  maxLength,
  echoDelay: Flags.duration("echo-delay", "0ms", "How long each answer takes"),
  ...Workers.flags
}, (options) => {
  // To be stopped by a signal is how a server ends.
  Flags.onSignal.code = 0
  return Workers.serve(options, (prepared) => Effect.succeed(lineServer(prepared)))
}).pipe(
  Command.withDescription("Echo the requests of the line protocol"),
  Command.withExamples([
    { command: "effect-handshake serve line --port 12345", description: "Serve on 127.0.0.1:12345" },
    { command: "effect-handshake serve line --workers auto", description: "Serve with all cores" },
    {
      command: "effect-handshake serve line --proxy required --proxy-trust 10.0.0.0/8",
      description: "Serve behind a load balancer"
    }
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
  {
    ...Listen.flags(12346),
    ...TlsFlags.serverFlags,
    maxLength,
    ...Workers.flags
  },
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
