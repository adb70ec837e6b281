/**
 * One server in several processes, so that it uses several cores.
 *
 * The same program runs in all of them. Where it was started it is the primary, which listens, hands each connection to a
 * worker, and sees to it that the workers live. In a worker it is the server, and knows nothing of the others.
 *
 * This is `node:cluster`, with its round robin unless told otherwise: each worker gets its part of the connections exactly,
 * in the order in which they come, and what the kernel has accepted is not lost with a worker that dies or drains. To pass
 * a connection on costs the primary about 40 µs, once. Where connections are so short that this counts, workers can share
 * the socket (`balance: "shared"`): then whoever is free takes the next one, at no cost. Measured on Linux, with a
 * hand-written line server in two workers:
 *
 * | | 64 connections fell to the two | connections opened and closed per second |
 * |---|---|--:|
 * | round robin | 32 and 32, always | 10,000 |
 * | a shared socket | 47 and 17, another time otherwise | 23,000 |
 * | `reusePort`, not used here | 25 and 39, another time otherwise; what waits for a worker that dies is lost | 16,000 |
 *
 * @stability experimental
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import type * as Scope from "effect/Scope"
import * as SocketServer from "effect/socket/SocketServer"
import type * as Stream from "effect/Stream"
import cluster from "node:cluster"
import { availableParallelism } from "node:os"
import * as Handover from "../internal/node/handover.ts"
import * as Supervision from "../internal/node/workers.ts"
import * as Wire from "../internal/node/workersWire.ts"
import * as Server from "../Server.ts"
import * as Net from "./Net.ts"

const membership = ((): Wire.Membership | undefined => {
  const text = process.env[Wire.variable]
  // What a worker starts is no worker.
  delete process.env[Wire.variable]
  return text === undefined || !cluster.isWorker ? undefined : JSON.parse(text) as Wire.Membership // written by `fork` below
})()

/**
 * Which worker this process is, from 1 to `count`; `undefined` in a process that is no worker, such as the primary.
 *
 * **Details**
 *
 * A worker that replaces a dead one has the number of that.
 *
 * @category workers
 * @since 0.1.0
 */
export const worker: { readonly number: number; readonly count: number } | undefined = membership &&
  { number: membership.number, count: membership.count }

/**
 * This worker's part of a limit that is meant for all workers together; the whole of it in a process that is no worker.
 *
 * **When to use**
 *
 * For `maxConnections` and `maxPendingHandshakes` of the `Server` in a worker.
 *
 * **Details**
 *
 * The parts are whole numbers, differ by one at the most, and add up to `total`, so that all together never have more.
 *
 * **Gotchas**
 *
 * Connections are given out in turn, without regard to which ones have ended and how large the parts are. So one may be
 * refused while there is still room elsewhere: by a worker whose connections stay while those of the others leave, or
 * by one of those with the lesser part. A total below the number of workers leaves some with nothing; those refuse
 * whatever they are given.
 *
 * **Example** (In a process that is no worker)
 *
 * ```ts
 * import * as Workers from "effect-handshake/node/Workers"
 *
 * console.log(Workers.worker) // => undefined
 * console.log(Workers.share(1000)) // => 1000
 * ```
 *
 * @category workers
 * @since 0.1.0
 */
export const share = (total: number): number => membership === undefined ? total : Wire.share(total, membership)

/** Tells the primary, and waits until that has left this process. Without a primary there is nobody to tell. */
const tell = (report: Wire.Report): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (!process.connected || process.send === undefined) return resume(Effect.void)
    process.send(report, undefined, undefined, () => resume(Effect.void))
  })

/**
 * How a worker listens: as `Net.ListenOptions`, but that workers share what they listen on.
 *
 * @category models
 * @since 0.1.0
 */
export type ListenOptions = Omit<Net.ListenOptions, "exclusive" | "reusePort">

/**
 * Listens together with the other workers until the scope closes.
 *
 * **Details**
 *
 * It is {@link Net.makeServer} in a process that is no worker, and in a worker it is that with one socket for all: they
 * give the same options, and with port 0 they get the same port, for as long as the primary lives. It tells the primary
 * that it listens, or why it cannot.
 *
 * @category workers
 * @since 0.1.0
 */
export const makeServer = (
  options: ListenOptions
): Effect.Effect<SocketServer.SocketServer["Service"], SocketServer.SocketServerError, Scope.Scope> => {
  if (membership === undefined) return Net.makeServer(options)
  const port = options.port === 0 ? membership.port ?? 0 : options.port
  return Net.makeServer(port === undefined ? options : { ...options, port }).pipe(
    Effect.tap(({ address }) =>
      tell({
        [Wire.TypeId]: "Listening",
        at: address._tag === "UnixPathAddress"
          ? { path: address.path }
          : { host: NetAddress.formatHost(address), port: address.port }
      })
    ),
    Effect.tapError(({ message, reason: { cause } }) =>
      tell({
        [Wire.TypeId]: "OpenFailed",
        code: cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined,
        message: cause instanceof Error ? cause.message : message
      })
    )
  )
}

/**
 * Provides the `SocketServer` of {@link makeServer}.
 *
 * @category workers
 * @since 0.1.0
 */
export const layerServer = (
  options: ListenOptions
): Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError> =>
  Layer.effect(SocketServer.SocketServer, makeServer(options))

/**
 * Lets the primary count the connections of the `Server` in this worker.
 *
 * **Details**
 *
 * Without it a worker does not appear in `Workers.counts`. In a process that is no worker it does nothing.
 *
 * @category workers
 * @since 0.1.0
 */
export const layerCounts: Layer.Layer<never, never, Server.Server> = Layer.effectDiscard(Effect.gen(function*() {
  const server = yield* Server.Server
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  if (membership === undefined) return
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const onMessage = (message: unknown) => {
        if (!Wire.isRequest(message)) return
        const { id } = message
        fork(Effect.flatMap(server.counts, (counts) => tell({ [Wire.TypeId]: "Counted", id, counts })))
      }
      process.on("message", onMessage)
      return onMessage
    }),
    (onMessage) => Effect.sync(() => process.off("message", onMessage))
  )
}))

/**
 * A worker has died early, and so had those in its place before it, too often for another try.
 *
 * **Details**
 *
 * `worker` is its number, `code` and `signal` are how it ended (both null where it could not be started at all), and
 * `listened` is whether it came so far as to listen.
 *
 * @category errors
 * @since 0.1.0
 */
export const WorkerDied = Supervision.WorkerDied

/**
 * A worker has died early, and so had those in its place before it, too often for another try.
 *
 * @category errors
 * @since 0.1.0
 */
export type WorkerDied = Supervision.WorkerDied

/**
 * What happens to the workers.
 *
 * **Details**
 *
 * A worker is `Started`, `Listening`, and `Ended`: because it has died, or because it was told to stop. `restarts` is how
 * many have been in its place before. `code` is null where a `signal` has ended it.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = Supervision.Event

/**
 * The connections of all workers, and how many `workers` these are of. `lost` is how many were accepted since the start and
 * closed before a worker had them: the worker has died, has no file descriptors left, or has taken none for ten seconds.
 *
 * @category models
 * @since 0.1.0
 */
export type Counts = Supervision.Counts

/**
 * How the primary runs its workers; everything has a default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many processes, one at least. Default: as many as this one may use cores. */
  readonly workers?: number | undefined
  /**
   * Who gets a connection: each worker in turn, which costs the primary some time for each, or whoever is free takes it
   * from a socket that they share. Default: `"even"`.
   */
  readonly balance?: "even" | "shared" | undefined
  /** The program of a worker. Default: the one that this process runs. */
  readonly script?: string | undefined
  /** Its arguments. Default: those of this process. */
  readonly args?: ReadonlyArray<string> | undefined
  /** Added to the environment of this process. Default: nothing. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** How long one may take until it listens; then it is killed, which is an early death. Default: 30 seconds. */
  readonly startTimeout?: Duration.Input | undefined
  /** How long one may take to end when it is told to; then it is killed. More than its `drainTimeout`. Default: 15 seconds. */
  readonly stopTimeout?: Duration.Input | undefined
  /** How many restarts in a row may follow early deaths. Default: 5. */
  readonly maxRestarts?: number | undefined
  /** A death is early if the worker has listened for less than this. Default: 10 seconds. */
  readonly stableAfter?: Duration.Input | undefined
}

/**
 * The workers of a primary.
 *
 * **Details**
 *
 * - `address`: where they listen, all of them.
 * - `pids`: the processes that there are now, in the order of the workers' numbers.
 * - `counts`: the connections of all workers now. Each is asked, and has a second to answer; `workers` is how many did.
 * - `events`: what happens to the workers from now on, until they are gone. A subscriber that falls more than 1024 events
 *   behind misses the oldest.
 * - `drain`: tells every worker to stop (`SIGTERM`), waits until they are gone, and kills those that take longer than
 *   `stopTimeout`, each with a warning. To call it twice is harmless. The end of the scope does the same.
 * - `kill`: kills those that are there now. They are replaced, unless a drain goes on; then it is done at once.
 * - `killed`: how many had to be killed since the start, because they had not ended in time when they were told to.
 * - `awaitDrained`: waits until all are gone, whoever began it. It fails with {@link WorkerDied} where one could not be kept
 *   alive; the others have been drained then.
 *
 * @category services
 * @since 0.1.0
 */
export class Workers extends Context.Service<Workers, {
  readonly address: NetAddress.SocketAddress
  readonly pids: Effect.Effect<ReadonlyArray<number>>
  readonly counts: Effect.Effect<Counts>
  readonly events: Stream.Stream<Event>
  readonly drain: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  readonly killed: Effect.Effect<number>
  readonly awaitDrained: Effect.Effect<void, WorkerDied>
}>()("effect-handshake/node/Workers") {}

const forkWith = (options: Options): Supervision.Fork => (membership, on) => {
  // Node takes this over with its first fork, and never again.
  cluster.schedulingPolicy = options.balance === "shared" ? cluster.SCHED_NONE : cluster.SCHED_RR
  // The settings are global; what is not given here would be what somebody else has set.
  cluster.setupPrimary({
    exec: options.script ?? process.argv[1],
    args: [...options.args ?? process.argv.slice(2)],
    execArgv: process.execArgv
  })
  const child = cluster.fork({ ...options.env, [Wire.variable]: JSON.stringify(membership) })
  Handover.watch(child.process, on.lost)
  child.on("message", on.message)
  child.on("exit", (code, signal) => on.end({ code, signal }))
  child.on("error", () => {
    // Of the other errors, a message to one that is gone and a signal to it, nothing comes.
    if (child.process.pid === undefined) on.end({ code: null, signal: null })
  })
  return {
    pid: child.process.pid ?? 0,
    kill: (signal) => child.process.kill(signal),
    send: (message) => {
      if (child.isConnected()) child.send(message)
    }
  }
}

/**
 * Starts the workers, waits until all listen, and keeps them alive until the scope closes.
 *
 * **Details**
 *
 * - A worker that cannot listen, while they start for the first time, fails this with the `SocketServerError` that it had.
 * - A worker that dies takes its own connections with it and no others, and is replaced: after 100 ms, and after twice as
 *   long, up to 10 seconds, each time it has died early. When it dies early after `maxRestarts` of these restarts in a row, it
 *   is given up, all are drained, and this (or `awaitDrained`) fails with {@link WorkerDied}. Each death is logged as a
 *   warning.
 * - Interrupted, and when the scope closes, it drains: see {@link Workers}.
 * - With `balance: "even"` a connection that a worker was handed and does not take is closed: at once where the worker has
 *   died or has no file descriptors left, else after ten seconds. This is counted, and logged as a warning once a minute.
 * - A primary that is killed takes its workers with it, at once and without a drain: Node ends a worker whose
 *   primary is gone.
 *
 * What the workers print goes where this process prints.
 *
 * **Gotchas**
 *
 * A worker has to drain on `SIGTERM`, as a program under `NodeRuntime.runMain` does. Windows has no signals: there a worker
 * that is told to stop is ended at once, except that Ctrl-C reaches all processes of a console by itself.
 *
 * The options are settings of `node:cluster`, which are global: run one set of workers in a process.
 *
 * **Example** (A primary that tells what happens)
 *
 * ```ts no-run
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Console, Effect, Stream } from "effect"
 * import * as Workers from "effect-handshake/node/Workers"
 *
 * const primary = Effect.gen(function*() {
 *   const workers = yield* Workers.make({ script: "dist/server.js", workers: 2, stopTimeout: "1 minute" })
 *   yield* Effect.forkScoped(Stream.runForEach(workers.events, (event) =>
 *     Effect.flatMap(workers.counts, ({ connections }) => Console.log(event._tag, event.worker, connections))))
 *   yield* workers.awaitDrained
 * })
 *
 * NodeRuntime.runMain(Effect.scoped(primary))
 * ```
 *
 * @see {@link run} for a program that does nothing else
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options: Options = {}
): Effect.Effect<Workers["Service"], SocketServer.SocketServerError | WorkerDied, Scope.Scope> =>
  Effect.suspend(() =>
    Supervision.supervise({
      workers: Math.max(1, options.workers ?? availableParallelism()),
      startTimeout: Duration.fromInputUnsafe(options.startTimeout ?? "30 seconds"),
      stopTimeout: Duration.fromInputUnsafe(options.stopTimeout ?? "15 seconds"),
      maxRestarts: options.maxRestarts ?? 5,
      stableAfter: Duration.fromInputUnsafe(options.stableAfter ?? "10 seconds")
    }, forkWith(options))
  )

/**
 * Provides the `Workers` of {@link make}.
 *
 * **Gotchas**
 *
 * Somebody has to watch `awaitDrained`, or the program goes on without workers after one has been given up.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options?: Options
): Layer.Layer<Workers, SocketServer.SocketServerError | WorkerDied> => Layer.effect(Workers, make(options))

/**
 * Runs the workers until it is interrupted, and drains them then.
 *
 * **Details**
 *
 * It is {@link make} and `awaitDrained`, and fails as these do: where the workers cannot listen when they start, and where one
 * cannot be kept alive.
 *
 * **Example** (One program for the primary and its workers)
 *
 * ```ts no-run
 * import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
 * import { Effect, Layer } from "effect"
 * import { Pipeline, Server } from "effect-handshake"
 * import * as Workers from "effect-handshake/node/Workers"
 * import * as Line from "effect-handshake/protocols/Line"
 *
 * const LineServer = Workers.layerCounts.pipe(
 *   Layer.provide(Server.layer({
 *     protocol: Line.protocol,
 *     serve: Pipeline.serve((line) => Effect.succeed(line)),
 *     maxConnections: Workers.share(10_000)
 *   })),
 *   Layer.provide(Workers.layerServer({ port: 12345 }))
 * )
 *
 * NodeRuntime.runMain(
 *   Workers.worker === undefined ? Workers.run({ workers: 2 }) : Layer.launch(LineServer)
 * )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = (
  options?: Options
): Effect.Effect<void, SocketServer.SocketServerError | WorkerDied> =>
  Effect.scoped(Effect.flatMap(make(options), (workers) => workers.awaitDrained))
