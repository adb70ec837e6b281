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
import type * as Terminal from "effect/Terminal"
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

/** The server in this worker, with its part of the limits. */
const inWorker = <O extends Options>(Workers: typeof NodeWorkers, options: O, server: (options: O) => ServerLayer) =>
  Workers.layerCounts.pipe(
    Layer.provide(server({
      ...options,
      maxConnections: Workers.share(options.maxConnections),
      maxPending: Workers.share(options.maxPending)
    })),
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
  onHangUp: Flags.Later | undefined
) {
  const { balance, drainTimeout, maxConnections, maxPending, watch, workers } = options
  if (watch === true) {
    return yield* Flags.failing("--watch shows one process: leave out --workers, or --watch", Flags.usage)
  }
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
  if (onHangUp !== undefined) {
    onHangUp.on = Effect.map(running.pids, (pids) => {
      for (const pid of pids) process.kill(pid, "SIGHUP")
    })
  }
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

/** Serves until a signal. What is done on a SIGHUP by the primary is done by its workers behind that. */
export const serve = <O extends Options>(
  options: O,
  server: (options: O) => ServerLayer,
  onHangUp?: Flags.Later
): Effect.Effect<void, Flags.Exited, Terminal.Terminal> =>
  // Workers cost a process with one alone nothing, not even their module. A worker of one that its primary has started
  // for --workers auto is no such process.
  options.workers === 1 && !Flags.isWorker
    ? Listen.alone(options, server(options))
    : Effect.flatMap(
      Effect.promise(() => import("../node/Workers.ts")),
      (Workers): Effect.Effect<void, Flags.Exited> =>
        Workers.worker === undefined
          ? withWorkers(Workers, options, onHangUp)
          : inWorker(Workers, options, server)
    )
