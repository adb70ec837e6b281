/**
 * A server in as many processes as `--workers` says.
 *
 * @internal
 */
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as SocketServer from "effect/socket/SocketServer"
import type * as NodeWorkers from "../node/Workers.ts"
import type * as Server from "../Server.ts"
import * as Flags from "./flags.ts"
import * as Listen from "./listen.ts"
import * as SecondSignal from "./secondSignal.ts"

export interface Options extends Listen.Options {
  readonly workers: number
  readonly balance: "even" | "shared"
}

export const flags = { workers: Flags.workers, balance: Flags.balance }

/** The server in this worker. */
const inWorker = (Workers: typeof NodeWorkers, options: Options, server: ServerLayer) =>
  Workers.layerCounts.pipe(
    Layer.provide(server),
    Layer.provide(Workers.layerServer(Listen.at(options))),
    Layer.launch,
    // The primary says why, once for all.
    Effect.catchTag("SocketServerError", () => Effect.fail(new Flags.Exited({ code: 1 })))
  )

type ServerLayer = Layer.Layer<Server.Server, Flags.Exited, SocketServer.SocketServer>

/** How much longer than its drain a worker may take to end. */
const grace = Duration.seconds(2)

/** The primary, which has workers that serve. */
const withWorkers = Effect.fnUntraced(function*(
  Workers: typeof NodeWorkers,
  options: Options,
  readAgain: Flags.Later
) {
  const { balance, drainTimeout, maxConnections, watch, workers } = options
  if (watch) {
    return yield* Flags.failing("--watch shows one process: leave out --workers, or --watch", Flags.usage)
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
  readAgain.on = Effect.map(running.pids, (pids) => {
    for (const pid of pids) process.kill(pid, "SIGHUP")
  })
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

/** Serves until a signal. What the primary has read again on a SIGHUP its workers read behind that. */
export const serve = <O extends Options, R>(
  options: O,
  server: (prepared: Listen.Prepared<O>, readAgain: Flags.Later) => Effect.Effect<ServerLayer, Flags.Exited, R>
) =>
  // Workers cost a process with one alone nothing, not even their module. A worker of one that its primary has started
  // for --workers auto is no such process.
  options.workers === 1 && !Flags.isWorker
    ? Listen.started(options, server)
    : Effect.scoped(Effect.gen(function*() {
      const Workers = yield* Effect.promise(() => import("../node/Workers.ts"))
      const readAgain = { on: Effect.void }
      const share = Workers.worker === undefined ? {} : { share: Workers.share }
      const prepared = yield* Listen.prepared({ ...options, ...share }, readAgain)
      // What is wrong is said by the primary, and once.
      const layer = yield* server(prepared, readAgain)
      return yield* Workers.worker === undefined
        ? withWorkers(Workers, prepared.options, readAgain)
        : inWorker(Workers, options, layer)
    }))
