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
import * as Net from "../node/Net.ts"
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
  echoDelay: Flags.duration("echo-delay", "0ms", "How long each answer takes")
}, (options) => {
  // To be stopped by a signal is how a server ends.
  Flags.onSignal.code = 0
  const echo = Duration.isZero(options.echoDelay)
    ? (request: string) => Effect.succeed(request)
    : (request: string) => Effect.delay(Effect.succeed(request), options.echoDelay)
  const server = Server.layer({
    protocol: Line.make({ maxLength: options.maxLength }),
    serve: Pipeline.serve<string, string>(echo),
    maxConnections: options.maxConnections,
    maxPendingHandshakes: options.maxPending,
    handshakeTimeout: options.handshakeTimeout,
    drainTimeout: options.drainTimeout
  })
  const listening = Layer.effectDiscard(Effect.gen(function*() {
    const { address } = yield* Server.Server
    yield* Console.log(`listening on ${NetAddress.formatSocketAddress(address)}`)
  }))
  return listening.pipe(
    Layer.provide(server),
    Layer.provide(Net.layerServer({ host: options.host, port: options.port })),
    // A signal interrupts this, and to release the layer drains the server.
    Layer.launch,
    Effect.catchTag("SocketServerError", (error) =>
      Effect.andThen(
        Console.error(whyNot(error, `${options.host}:${options.port}`)),
        Effect.fail(new Flags.Exited({ code: 1 }))
      ))
  )
}).pipe(
  Command.withDescription("Echo the requests of the line protocol"),
  Command.withExamples([
    { command: "effect-handshake serve line --port 12345", description: "Serve on 127.0.0.1:12345" }
  ])
)

export const serve = Command.make("serve").pipe(
  Command.withDescription("Serve a protocol until SIGTERM or SIGINT, then drain"),
  Command.withSubcommands([line])
)
