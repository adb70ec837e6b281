/**
 * `serve`: a server of one of the package's protocols.
 *
 * @internal
 */
import { Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Codec from "../Codec.ts"
import { variable } from "../internal/workersWire.ts"
import * as Net from "../node/Net.ts"
import type * as NodeWorkers from "../node/Workers.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Line from "../protocols/Line.ts"
import * as Server from "../Server.ts"
import * as Flags from "./flags.ts"

const whyNot = (error: SocketServer.SocketServerError, at: string): string => {
  const { cause } = error.reason
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE":
      return `cannot listen on ${at}: the address is in use`
    case "EACCES":
      return `cannot listen on ${at}: permission denied`
    case "EADDRNOTAVAIL":
      return `cannot listen on ${at}: this machine does not have that address`
    default:
      return `cannot listen on ${at}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

// sysexits.h: EX_USAGE
const usage = 64

const failing = (message: string, code = 1) =>
  Effect.andThen(Console.error(message), Effect.fail(new Flags.Exited({ code })))

interface LineOptions {
  readonly host: string
  readonly port: number
  readonly maxLength: number
  readonly echoDelay: Duration.Duration
  readonly maxConnections: number
  readonly maxPending: number
  readonly handshakeTimeout: Duration.Duration
  readonly drainTimeout: Duration.Duration
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
    maxConnections: options.maxConnections,
    maxPendingHandshakes: options.maxPending,
    handshakeTimeout: options.handshakeTimeout,
    drainTimeout: options.drainTimeout
  })
}

const listening = (address: NetAddress.SocketAddress) => `listening on ${NetAddress.formatSocketAddress(address)}`

const cannotListen = ({ host, port }: LineOptions) => (error: SocketServer.SocketServerError) =>
  failing(whyNot(error, `${host}:${port}`))

/** The server in this process. */
const alone = (options: LineOptions) =>
  Layer.effectDiscard(Effect.flatMap(Server.Server, ({ address }) => Console.log(listening(address)))).pipe(
    Layer.provide(lineServer(options)),
    Layer.provide(Net.layerServer({ host: options.host, port: options.port })),
    // A signal interrupts this, and to release the layer drains the server.
    Layer.launch,
    Effect.catchTag("SocketServerError", cannotListen(options))
  )

/** The server in this worker, with its part of the limits. */
const inWorker = (Workers: typeof NodeWorkers, options: LineOptions) =>
  Workers.layerCounts.pipe(
    Layer.provide(lineServer({
      ...options,
      maxConnections: Workers.share(options.maxConnections),
      maxPending: Workers.share(options.maxPending)
    })),
    Layer.provide(Workers.layerServer({ host: options.host, port: options.port })),
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
      return yield* failing(
        `--max-${flag} ${limit} is too little for ${workers} workers: each needs a part of it`,
        usage
      )
    }
  }
  const hurry = yield* secondSignal
  const running = yield* Workers.make({ workers, balance, stopTimeout: Duration.sum(drainTimeout, grace) })
  hurry.on = running.kill
  yield* Console.log(listening(running.address))
  yield* running.awaitDrained
}, (effect, _, options) =>
  effect.pipe(
    Effect.scoped,
    Effect.catchTags({
      SocketServerError: cannotListen(options),
      WorkerDied: ({ message }) => failing(`${message}, as have those before it`)
    })
  ))

/** Within so many milliseconds two signals are one: Ctrl-C under npm comes from the terminal, and again from npm. */
const sameSignal = 500

/**
 * Runs `on` when there is a second signal; the first one is for `runMain`. It stays until the process ends, so that further
 * ones are of no effect.
 */
const secondSignal = Effect.sync(() => {
  const hurry = { on: Effect.void }
  let first: number | undefined
  const onSignal = () => {
    const now = performance.now()
    first ??= now
    if (now - first < sameSignal) return
    Flags.onSignal.code = 130
    Effect.runFork(hurry.on)
  }
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal)
  return hurry
})

const line = Command.make("line", {
  host: Flag.String("host").pipe(
    Flag.withDescription("Address to listen on (default 127.0.0.1)"),
    Flag.withDefault("127.0.0.1")
  ),
  port: Flag.Int("port").pipe(
    Flag.withDescription("Port to listen on; 0 takes a free one (default 12345)"),
    Flag.withDefault(12345),
    Flag.filter((port) => port >= 0 && port <= 65_535, (port) => `a port from 0 to 65535, not ${port}`)
  ),
  maxConnections: Flags.count("max-connections", 16_384, "Connections at once; further ones are refused"),
  maxPending: Flags.count("max-pending", 1024, "Handshakes at once; further ones are refused"),
  handshakeTimeout: Flags.duration("handshake-timeout", "10s", "From accept to ready"),
  drainTimeout: Flags.duration("drain-timeout", "10s", "How long requests may go on after SIGTERM or SIGINT"),
  maxLength: Flags.count("max-length", Codec.defaultMaxLength, "Bytes of a line at the most"),
  echoDelay: Flags.duration("echo-delay", "0ms", "How long each answer takes"),
  workers: Flags.workers,
  balance: Flags.balance
}, (options) => {
  // To be stopped by a signal is how a server ends.
  Flags.onSignal.code = 0
  // Workers cost a process with one alone nothing, not even their module. A worker of one that its primary has started
  // for --workers auto is no such process.
  if (options.workers === 1 && process.env[variable] === undefined) return alone(options)
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

export const serve = Command.make("serve").pipe(
  Command.withDescription("Serve a protocol until SIGTERM or SIGINT, then drain"),
  Command.withSubcommands([line])
)
