/**
 * A network in memory that behaves as real sockets do, under conditions of your choice: bytes that are split and joined,
 * latency, little bandwidth, small buffers, connections that are cut, reset or stall.
 *
 * **When to use**
 *
 * Use to run the client and the server of a protocol in one process, under `TestClock`, on a network that is as bad as
 * you like and as bad again the next time.
 *
 * **Details**
 *
 * The network runs on the `Clock` of where it is made, and everything that is random comes from one seed: the same seed
 * and the same program give the same run. Without latency and with unlimited bandwidth, which is the default, it needs
 * no clock at all: what is written is there at once.
 *
 * What its sockets do is what Effect's sockets do on Node, whatever was expected of them. In particular:
 *
 * - `pull` never completes. Every end is a `SocketError`; one in order is a `SocketCloseError` of code 1000.
 * - An interrupted `pull` has lost nothing. Of two `pull`s at once the older never hears again.
 * - A `write` takes everything at once, and waits, from `sendBuffer` bytes on, until all of it has gone out. Before the
 *   reader is acquired, and once it is closed, it waits for the next one. Once the connection is gone it waits for ever.
 * - A `write` behind the own end fails and destroys the connection.
 * - The end of the reader's scope flushes and then closes. What the peer sends after that is answered with a reset, and
 *   with the next write after that the peer loses what it has not pulled.
 * - A reset destroys what was not pulled: `pull` fails with a `SocketReadError`.
 * - `upgrade` is not supported.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import { type Conditions, latencyOf, rulesOf } from "./internal/networkConditions.ts"
import { Connection, Host, type Port, socketError, socketOf } from "./internal/networkConnection.ts"
import { type Arrival, systemError } from "./internal/networkLink.ts"
import * as NetworkServer from "./internal/networkServer.ts"

export type { Conditions, Fault } from "./internal/networkConditions.ts"

/**
 * What a connection is like.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionOptions {
  /** What happens to bytes on their way to the server. Default: nothing. */
  readonly toServer?: Conditions | undefined
  /** What happens to bytes on their way to the client. Default: nothing. */
  readonly toClient?: Conditions | undefined
  /**
   * Whether a side goes on to send when its peer has ended. Default: true, as of the sockets of `effect-handshake/node/Net`;
   * Node's own default is false.
   */
  readonly halfOpen?: boolean | undefined
  /**
   * Whether closing with anything unread resets the connection, and whether a reset that comes behind the peer's end
   * destroys its last words there. Default: false, as on Node, where it takes 64 KiB unread, and a write after the reset.
   * Other systems and runtimes are as harsh as that (RFC 9112, section 9.6), so a server that wants its last words to be
   * heard is better tried with true.
   */
  readonly harshResets?: boolean | undefined
}

/**
 * What a pair of sockets is like, and the seed of what is random there. Default: a new one.
 *
 * @category models
 * @since 0.1.0
 */
export interface PairOptions extends ConnectionOptions {
  readonly seed?: number | string | undefined
}

/**
 * What those who dial meet with.
 *
 * @category models
 * @since 0.1.0
 */
export interface DialOptions extends ConnectionOptions {
  /** Whether dialling succeeds, fails, or takes for ever. Default: `accept`. */
  readonly dial?: "accept" | "refuse" | "hang" | undefined
}

/**
 * What a network is like.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends DialOptions {
  /** The seed of what is random. Default: a new one. */
  readonly seed?: number | string | undefined
  /** What is different with the n-th connection that is dialled, counted from 1; the rest of it is as above. */
  readonly connection?: ((n: number) => DialOptions) | undefined
}

/**
 * Something that has happened: at what time since the network was made, in milliseconds, and to which connection.
 *
 * @category models
 * @since 0.1.0
 */
export type LogEntry =
  & { readonly at: number; readonly connection: number }
  & (
    | { readonly _tag: "Dialled" | "Connected" | "Refused" }
    | { readonly _tag: "Bytes"; readonly to: "client" | "server"; readonly length: number }
    | { readonly _tag: "Reset"; readonly to: "client" | "server"; readonly lost: number }
    | { readonly _tag: "End" | "Stall"; readonly to: "client" | "server" }
  )

/**
 * A network with one server.
 *
 * **Details**
 *
 * - `client` dials the server each time its reader is acquired.
 * - `log` is what has happened so far, the oldest forgotten where it is more than 1,000 things.
 *
 * @category services
 * @since 0.1.0
 */
export class SimulatedNetwork extends Context.Service<SimulatedNetwork, {
  readonly seed: number | string
  readonly server: SocketServer.SocketServer["Service"]
  readonly client: Socket.Socket
  readonly log: Effect.Effect<ReadonlyArray<LogEntry>>
}>()("effect-handshake/testing/SimulatedNetwork") {}

/** How many things a network remembers, and how many of them it prints when the program has failed. */
const remembered = 1000
const printed = 40

class Log {
  private recent: Array<LogEntry> = []
  private forgotten = 0

  add(
    connection: number,
    what: { readonly _tag: "Dialled" | "Connected" | "Refused" } | Arrival,
    micros: number
  ): void {
    this.recent.push({ at: micros / 1000, connection, ...what })
    if (this.recent.length < 2 * remembered) return
    this.forgotten += remembered
    this.recent.splice(0, remembered)
  }

  last(n: number): ReadonlyArray<LogEntry> {
    return this.recent.slice(-n)
  }

  get total(): number {
    return this.forgotten + this.recent.length
  }
}

const describe = (entry: LogEntry): string => {
  switch (entry._tag) {
    case "Dialled":
      return "dialled"
    case "Connected":
      return "connected"
    case "Refused":
      return "refused"
    case "Bytes":
      return `to ${entry.to}: ${entry.length} ${entry.length === 1 ? "byte" : "bytes"}`
    case "End":
      return `to ${entry.to}: end`
    case "Reset":
      return `to ${entry.to}: reset${entry.lost > 0 ? `, ${entry.lost} bytes lost` : ""}`
    case "Stall":
      return `to ${entry.to}: stalled`
  }
}

/**
 * A log as text, one line for each thing that has happened.
 *
 * **Example** (What was said, and when)
 *
 * ```ts
 * import { SimulatedNetwork } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { TestClock } from "effect/testing"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* SimulatedNetwork.make({ toServer: { latency: "50 millis", bandwidth: 1000 } })
 *   const saying = Effect.gen(function*() {
 *     yield* network.client.reader
 *     yield* Effect.flatMap(network.client.writer, (writer) => writer.write("Hello"))
 *   })
 *   yield* Effect.forkScoped(Effect.scoped(saying))
 *   yield* TestClock.adjust("1 second")
 *   return SimulatedNetwork.format(yield* network.log)
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(TestClock.layer()))))
 * // =>        0 ms  #1 dialled
 * // =>       50 ms  #1 connected
 * // =>      105 ms  #1 to server: 5 bytes
 * // =>      105 ms  #1 to server: end
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (log: ReadonlyArray<LogEntry>): string =>
  log.map((entry) => `${String(Number(entry.at.toFixed(3))).padStart(8)} ms  #${entry.connection} ${describe(entry)}`)
    .join("\n")

const report = (seed: number | string, log: Log): string => {
  const shown = log.last(printed)
  const earlier = log.total - shown.length
  return [
    `The simulated network had the seed ${JSON.stringify(seed)}; { seed: ${JSON.stringify(seed)} } gives the same run.`,
    ...(earlier > 0 ? [`     ... ${earlier} earlier`] : []),
    ...(shown.length > 0 ? [format(shown)] : [])
  ].join("\n")
}

// `TestConsole` keeps what is printed to itself, and whoever looks at a failed test would not see the seed.
const print = (text: string): Effect.Effect<void> =>
  Effect.flatMap(Console.Console, (console) =>
    "errorLines" in console
      ? Effect.provideService(Console.error(text), Console.Console, Console.Console.defaultValue())
      : Console.error(text))

const newSeed = Random.nextIntBetween(0, 2 ** 31)

const linkRules = (options: ConnectionOptions, seed: number | string, n: number) => ({
  toServer: rulesOf(options.toServer ?? {}, `${seed}, ${n} to server`),
  toClient: rulesOf(options.toClient ?? {}, `${seed}, ${n} to client`),
  halfOpen: options.halfOpen ?? true,
  harshResets: options.harshResets ?? false
})

const differing = (options: DialOptions, but: DialOptions = {}): DialOptions => ({
  ...options,
  ...but,
  toServer: { ...options.toServer, ...but.toServer },
  toClient: { ...options.toClient, ...but.toClient }
})

/**
 * One connection, dialled and accepted: the client's socket and the server's.
 *
 * **Example** (Cut in the middle of a line)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { SimulatedNetwork } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [client, server] = yield* SimulatedNetwork.pair({ toServer: { faults: [{ after: 3, how: "end" }] } })
 *   const here = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, client))
 *   const there = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, server))
 *   yield* here.send("Hello")
 *   return yield* Effect.flip(there.receive)
 * })
 *
 * console.log((await Effect.runPromise(Effect.scoped(program))).reason._tag) // => Truncated
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const pair = Effect.fnUntraced(function*(
  options: PairOptions = {}
): Effect.fn.Return<readonly [client: Socket.Socket, server: Socket.Socket]> {
  const seed = options.seed ?? (yield* newSeed)
  const host = new Host(yield* Clock.Clock, Effect.runForkWith(yield* Effect.context<never>()))
  const connection = new Connection(linkRules(options, seed, 1), host, () => {})
  return [socketOf(Effect.succeed(connection.client)), socketOf(Effect.succeed(connection.server))]
})

/**
 * Makes a network, for as long as the scope lasts.
 *
 * **Details**
 *
 * Connections that come before the server runs wait for it. When the scope closes, those that still wait are closed and
 * nothing more can be dialled. When it closes because the program has failed or was interrupted, as by a test's time
 * limit, the seed and the last things that have happened are printed with `Console.error`, past any `TestConsole`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: Options = {}
): Effect.fn.Return<SimulatedNetwork["Service"], never, Scope.Scope> {
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const track = Fiber.runIn(scope)
  const host = new Host(yield* Clock.Clock, (effect) => track(fork(effect)))
  const seed = options.seed ?? (yield* newSeed)
  const log = new Log()
  const { accept, server, waiting } = NetworkServer.make<NetworkServer.Incoming & { readonly port: Port }>()
  let dialled = 0
  let closed = false

  const connect = (n: number, options: DialOptions): Port => {
    log.add(n, { _tag: "Connected" }, host.now())
    const connection = new Connection(linkRules(options, seed, n), host, (arrival, at) => log.add(n, arrival, at))
    const port = connection.server
    accept({ port, socket: socketOf(Effect.succeed(port)), isGone: () => port.end.destroyed })
    return connection.client
  }
  const refuse = (n: number) =>
    Effect.suspend(() => {
      log.add(n, { _tag: "Refused" }, host.now())
      const cause = systemError("ECONNREFUSED", "connect ECONNREFUSED")
      return Effect.fail(socketError(new Socket.SocketOpenError({ kind: "Unknown", cause })))
    })
  const dial = Effect.suspend(() => {
    const n = ++dialled
    const here = differing(options, options.connection?.(n))
    log.add(n, { _tag: "Dialled" }, host.now())
    if (here.dial === "hang") return Effect.interruptible(Effect.never)
    const latency = latencyOf(here.toServer) + latencyOf(here.toClient)
    // Only the wait may be interrupted: what is connected is closed by whoever has it.
    const travelled = latency > 0 ? Effect.interruptible(host.sleep(latency)) : Effect.void
    return Effect.andThen(
      travelled,
      Effect.suspend(() => here.dial === "refuse" || closed ? refuse(n) : Effect.succeed(connect(n, here)))
    )
  })

  yield* Scope.addFinalizerExit(scope, (exit) =>
    Effect.suspend(() => {
      closed = true
      for (const { port } of waiting()) port.connection.act((now) => port.end.destroy(now))
      return Exit.isFailure(exit) ? print(report(seed, log)) : Effect.void
    }))
  return SimulatedNetwork.of({
    seed,
    server,
    client: socketOf(dial),
    log: Effect.sync(() => log.last(remembered))
  })
})

/**
 * Provides a network, and the client's `Socket` and the `SocketServer` that are connected by it.
 *
 * **Example** (A server and a client on a bad network)
 *
 * ```ts
 * import { Client, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { SimulatedNetwork } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   yield* Layer.build(
 *     Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(`${line}!`)) })
 *   )
 *   const client = yield* Client.connect({ protocol: Line.protocol })
 *   return yield* client.call("Hello")
 * })
 *
 * const bad: SimulatedNetwork.Conditions = { segments: { max: 3 }, latency: "1 millis", jitter: "1 millis" }
 * const network = SimulatedNetwork.layer({ seed: 1, toServer: bad, toClient: bad })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program).pipe(Effect.provide(network)))) // => Hello!
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<Socket.Socket | SocketServer.SocketServer | SimulatedNetwork> =>
  Layer.effectContext(
    Effect.map(make(options), (network) =>
      Context.make(SimulatedNetwork, network).pipe(
        Context.add(Socket.Socket, network.client),
        Context.add(SocketServer.SocketServer, network.server)
      ))
  )
