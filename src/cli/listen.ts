/**
 * What all servers of the command share: where they listen, their limits, and how they run in this process.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as SocketServer from "effect/socket/SocketServer"
import type * as Terminal from "effect/Terminal"
import * as Descriptors from "../internal/node/descriptors.ts"
import * as Net from "../node/Net.ts"
import * as Server from "../Server.ts"
import * as Flags from "./flags.ts"
import * as Limits from "./limits.ts"
import * as ProxyFlags from "./proxy.ts"
import * as SecondSignal from "./secondSignal.ts"

/** What all servers are told. */
export interface Options extends Limits.Options, ProxyFlags.ProxyFlags {
  readonly host: string
  readonly port: number
  readonly backlog: number
  /** Whether what it does is shown in the terminal. */
  readonly watch: boolean
}

export const flags = (port: number) => ({
  host: Flag.String("host").pipe(
    Flag.withDescription("Address to listen on (default 127.0.0.1)"),
    Flag.withDefault("127.0.0.1")
  ),
  port: Flag.Int("port").pipe(
    Flag.withDescription(`Port to listen on; 0 takes a free one (default ${port})`),
    Flag.withDefault(port),
    Flag.filter((port) => port >= 0 && port <= 65_535, (port) => `a port from 0 to 65535, not ${port}`)
  ),
  backlog: Flag.Int("backlog").pipe(
    Flag.withDescription("Connections that the system keeps until they are accepted; it may keep less (default 511)"),
    // Node's own.
    Flag.withDefault(511),
    Flag.filter((n) => n >= 1 && n <= 65_535, (n) => `a number from 1 to 65535, not ${n}`)
  ),
  ...Limits.flags,
  ...ProxyFlags.flags,
  watch: Flag.Boolean("watch").pipe(
    Flag.withDescription("Show in the terminal what the server does: connections, handshakes, the slowest peers"),
    Flag.withDefault(false)
  )
})

/** Where a server listens, and how many may wait there. */
export const at = ({ backlog, host, port }: Options) => ({ host, port, backlog })

/** What a server is made with, whatever it speaks. */
export interface Prepared<O> extends Limits.Told<O> {
  /** Puts its handshake behind the header of a proxy, where there is to be one. */
  readonly behind: ProxyFlags.Behind
}

/** What the flags make of all servers. What is to happen when files were read again is told later. */
export const prepared = <O extends Options>(options: O, readAgain: Flags.Later) =>
  Effect.flatMap(
    ProxyFlags.behind(options),
    (behind) => Effect.map(Limits.told(options, readAgain), (told): Prepared<O> => ({ ...told, behind }))
  )

const whyNot = (error: SocketServer.SocketServerError, at: string): string => {
  const { cause } = error.reason
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE":
      return `cannot listen on ${at}: the address is in use`
    case "EACCES":
      return `cannot listen on ${at}: permission denied`
    case "ENOTFOUND":
      return `cannot listen on ${at}: there is no host of that name`
    case "EADDRNOTAVAIL":
      return `cannot listen on ${at}: this machine does not have that address`
    default:
      return `cannot listen on ${at}: ${cause instanceof Error ? cause.message : String(cause)}`
  }
}

export const cannotListen = ({ host, port }: Options) => (error: SocketServer.SocketServerError) =>
  Flags.failing(whyNot(error, `${NetAddress.formatUrlHostString(host)}:${port}`))

/** Says so where a process may not have as many descriptors as it is to have connections. */
export const warnOfLimits = (maxConnections: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    const problem = Descriptors.tooMany(maxConnections, Descriptors.limit())
    return problem === undefined ? Effect.void : Console.error(`warning: ${problem}; further ones are closed unheard`)
  })

export const listening = (address: NetAddress.SocketAddress) =>
  `listening on ${NetAddress.formatSocketAddress(address)}`

/** A server in this process, until a signal; a second one does not wait for the drain. */
export const alone = <R>(
  options: Options,
  server: Layer.Layer<Server.Server, Flags.Exited, SocketServer.SocketServer | R>,
  /** Said when it listens. */
  note?: string
): Effect.Effect<void, Flags.Exited, Exclude<R, SocketServer.SocketServer> | Terminal.Terminal> =>
  Effect.flatMap(SecondSignal.watch, (hurry) => {
    hurry.on = Effect.sync(() => process.exit(Flags.onSignal.code))
    return Layer.effectDiscard(
      Effect.flatMap(
        Server.Server,
        (server) =>
          Effect.gen(function*() {
            yield* Console.log(listening(server.address))
            if (note !== undefined) yield* Console.log(note)
            yield* warnOfLimits(options.maxConnections)
            if (!options.watch) return
            const { watch } = yield* Effect.promise(() => import("./watching.ts"))
            yield* watch(server, listening(server.address))
          })
      )
    ).pipe(
      Layer.provide(server),
      Layer.provide(Net.layerServer(at(options))),
      // A signal interrupts this, and to release the layer drains the server.
      Layer.launch,
      Effect.catchTag("SocketServerError", cannotListen(options))
    )
  })

/** A server whose files are read while it starts, in this process. */
export const started = <O extends Options, R, E, R2>(
  options: O,
  server: (
    prepared: Prepared<O>,
    readAgain: Flags.Later
  ) => Effect.Effect<Layer.Layer<Server.Server, Flags.Exited, SocketServer.SocketServer | R>, E, R2>
) =>
  Effect.scoped(Effect.gen(function*() {
    const readAgain = { on: Effect.void }
    const told = yield* prepared(options, readAgain)
    return yield* alone(told.options, yield* server(told, readAgain))
  }))
