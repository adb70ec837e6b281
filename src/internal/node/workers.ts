/**
 * The supervision of workers, whatever starts them.
 *
 * One fiber for each worker's place starts a process there, waits for its end, and starts the next one. To stop them all
 * is to interrupt these fibers: each stops its process and waits for it.
 *
 * | a process | listens | cannot listen | ends | start timeout | is to stop |
 * |---|---|---|---|---|---|
 * | starting | listening | ends by itself; before all have listened once, that is the end of the server | died early | killed | `SIGTERM`, stopping |
 * | listening | | | died early within `stableAfter`, else died | | `SIGTERM`, stopping |
 * | stopping | | | gone | | killed after `stopTimeout`, which is logged and counted |
 *
 * After an early death the next one waits twice as long, and an early death after `maxRestarts` of these restarts in a row
 * is the end of the server; any other death begins again with the shortest wait.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import type * as Server from "../../Server.ts"
import * as Monotonic from "../connection/monotonic.ts"
import type { Loss } from "./handover.ts"
import * as Rarely from "./rarely.ts"
import * as Wire from "./workersWire.ts"

/** How a process has ended. Both are null where it could not even be started. */
export interface End {
  readonly code: number | null
  readonly signal: string | null
}

/** The process of a worker. Its methods do nothing once it has ended. */
export interface Process {
  readonly pid: number
  readonly kill: (signal: "SIGTERM" | "SIGKILL") => void
  readonly send: (message: Wire.Request) => void
}

/** Starts a process. No callback is called before it returns; only the first end counts. */
export type Fork = (
  membership: Wire.Membership,
  on: {
    readonly message: (message: unknown) => void
    readonly end: (end: End) => void
    /** A connection that it was handed was closed, for it has not taken it. */
    readonly lost: (why: Loss) => void
  }
) => Process

export interface Settings {
  readonly workers: number
  readonly startTimeout: Duration.Duration
  readonly stopTimeout: Duration.Duration
  readonly maxRestarts: number
  readonly stableAfter: Duration.Duration
}

export type Event =
  | { readonly _tag: "Started"; readonly worker: number; readonly pid: number; readonly restarts: number }
  | {
    readonly _tag: "Listening"
    readonly worker: number
    readonly pid: number
    readonly address: NetAddress.SocketAddress
  }
  | {
    readonly _tag: "Ended"
    readonly worker: number
    readonly pid: number
    readonly code: number | null
    readonly signal: string | null
  }

/** The worker that has died too often. */
export class WorkerDied extends Schema.TaggedError<WorkerDied>()("WorkerDied", {
  worker: Schema.Number,
  code: Schema.NullOr(Schema.Number),
  signal: Schema.NullOr(Schema.String),
  listened: Schema.Boolean
}) {
  override get message(): string {
    const when = this.listened ? "soon after it began to listen" : "before it listened"
    return `worker ${this.worker} has died ${when} (${ending(this)})`
  }
}

export interface Counts extends Server.Counts {
  readonly workers: number
  readonly lost: number
}

interface Supervised {
  readonly address: NetAddress.SocketAddress
  readonly pids: Effect.Effect<ReadonlyArray<number>>
  readonly counts: Effect.Effect<Counts>
  readonly events: Stream.Stream<Event>
  readonly drain: Effect.Effect<void>
  readonly kill: Effect.Effect<void>
  readonly killed: Effect.Effect<number>
  readonly awaitDrained: Effect.Effect<void, WorkerDied>
}

const ending = ({ code, signal }: End): string =>
  code !== null ? `exit code ${code}` : signal !== null ? `by ${signal}` : "it could not be started"

/** The wait before a restart, for the first time and at the longest. */
const shortestWait = Duration.millis(100)
const longestWait = Duration.seconds(10)

/** How long a worker may take to tell its counts. */
const countTimeout = Duration.seconds(1)

const nothing: Counts = { workers: 0, connections: 0, pending: 0, refusing: 0, lost: 0 }

const whyLost: Record<Loss, string> = {
  "no-descriptor": "it has no file descriptors left (ulimit -n)",
  silent: "it has not taken them for ten seconds",
  died: "it has died"
}

const plus = (a: Counts, b: Counts): Counts => ({
  workers: a.workers + b.workers,
  connections: a.connections + b.connections,
  pending: a.pending + b.pending,
  refusing: a.refusing + b.refusing,
  lost: a.lost + b.lost
})

interface Worker {
  readonly process: Process
  /** What it was told to take for port 0. */
  readonly port: number | undefined
  readonly listening: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<End>
  /** When it began to listen, in milliseconds of the clock. */
  listeningSince: number | undefined
  /** Who waits for its counts, by the id of the request. */
  readonly asked: Map<number, Deferred.Deferred<Server.Counts>>
}

const addressOf = (place: Wire.Place): NetAddress.SocketAddress =>
  "path" in place
    ? NetAddress.unixPathAddress(place.path)
    : Result.getOrThrow(NetAddress.inetAddressFromHostString(place.host, place.port))

const openError = ({ code, message }: { readonly code: string | undefined; readonly message: string }) =>
  new SocketServer.SocketServerError({
    reason: new SocketServer.SocketServerOpenError({ cause: Object.assign(new Error(message), { code }) })
  })

export const supervise = Effect.fnUntraced(function*(
  settings: Settings,
  fork: Fork
): Effect.fn.Return<Supervised, SocketServer.SocketServerError | WorkerDied, Scope.Scope> {
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const subscribers = new Set<Queue.Queue<Event, Cause.Done>>()
  const ready = yield* Deferred.make<NetAddress.SocketAddress, SocketServer.SocketServerError | WorkerDied>()
  const workers = new Map<number, Worker>()
  const haveListened = new Set<number>()
  let address: NetAddress.SocketAddress | undefined
  let lastId = 0
  let lost = 0
  let killed = 0
  const log = Effect.runForkWith(yield* Effect.context<never>())
  const sayLost = Rarely.make<string>(
    () => Monotonic.millisOf(clock),
    (what, times) => log(Effect.logWarning(what.replace("N", times === 1 ? "a connection" : `${times} connections`)))
  )

  const emit = (event: Event): void => {
    for (const subscriber of subscribers) Queue.offerUnsafe(subscriber, event)
  }

  const onReport = (number: number, worker: Worker, report: Wire.Report): void => {
    switch (report[Wire.TypeId]) {
      case "Listening": {
        const at = addressOf(report.at)
        address ??= at
        // Port 0 was let go of by all others while this one was on its way: to be found, it has to begin again.
        if (NetAddress.formatSocketAddress(at) !== NetAddress.formatSocketAddress(address)) {
          return worker.process.kill("SIGKILL")
        }
        worker.listeningSince = Monotonic.millisOf(clock)
        emit({ _tag: "Listening", worker: number, pid: worker.process.pid, address })
        Deferred.doneUnsafe(worker.listening, Exit.void)
        haveListened.add(number)
        if (haveListened.size === settings.workers) Deferred.doneUnsafe(ready, Exit.succeed(address))
        return
      }
      case "OpenFailed":
        // Of no effect once the server is ready. Then the worker ends, which is a death like any other.
        Deferred.doneUnsafe(ready, Exit.fail(openError(report)))
        return
      case "Counted": {
        const asked = worker.asked.get(report.id)
        if (asked !== undefined) Deferred.doneUnsafe(asked, Exit.succeed(report.counts))
      }
    }
  }

  const start = (number: number, restarts: number): Worker => {
    const listening = Deferred.makeUnsafe<void>()
    const ended = Deferred.makeUnsafe<End>()
    // While somebody holds port 0, it is port 0 that leads to the same place.
    const port = address !== undefined && "port" in address && Array.from(workers.values()).every((other) =>
        other.port !== undefined
      )
      ? address.port
      : undefined
    const process = fork(
      { number, count: settings.workers, port },
      {
        message: (message) => {
          if (Wire.isReport(message)) onReport(number, worker, message)
        },
        lost: (why) => {
          lost += 1
          sayLost(`N for worker ${number} closed: ${whyLost[why]}`)
        },
        end: (end) => {
          if (Deferred.isDoneUnsafe(ended)) return
          workers.delete(number)
          emit({ _tag: "Ended", worker: number, pid: process.pid, ...end })
          Deferred.doneUnsafe(ended, Exit.succeed(end))
        }
      }
    )
    const worker: Worker = { process, port, listening, ended, listeningSince: undefined, asked: new Map() }
    workers.set(number, worker)
    emit({ _tag: "Started", worker: number, pid: process.pid, restarts })
    return worker
  }

  const stop = (number: number, worker: Worker): Effect.Effect<unknown> =>
    Effect.suspend(() => {
      if (Deferred.isDoneUnsafe(worker.ended)) return Effect.void
      worker.process.kill("SIGTERM")
      return Effect.flatMap(
        Effect.timeoutOption(Effect.interruptible(Deferred.await(worker.ended)), settings.stopTimeout),
        (end) => {
          if (Option.isSome(end)) return Effect.void
          killed += 1
          worker.process.kill("SIGKILL")
          const { pid } = worker.process
          const took = Duration.format(settings.stopTimeout)
          return Effect.andThen(
            Effect.logWarning(`worker ${number} (process ${pid}) was killed: it had not ended ${took} after SIGTERM`),
            Deferred.await(worker.ended)
          )
        }
      )
    })

  /** From the start of a process to its end, which is a failure where it came early. */
  const live = (number: number, worker: Worker) =>
    Effect.gen(function*() {
      const begun = yield* Effect.timeoutOption(
        Effect.raceFirst(Deferred.await(worker.listening), Deferred.await(worker.ended)),
        settings.startTimeout
      )
      if (Option.isNone(begun)) worker.process.kill("SIGKILL")
      const end = yield* Deferred.await(worker.ended)
      const { listeningSince } = worker
      const { code, signal } = end
      yield* Effect.logWarning(`worker ${number} (process ${worker.process.pid}) has died: ${ending(end)}`)
      if (
        listeningSince === undefined ||
        Monotonic.millisOf(clock) - listeningSince < Duration.toMillis(settings.stableAfter)
      ) {
        return yield* new WorkerDied({ worker: number, code, signal, listened: listeningSince !== undefined })
      }
    })

  const restarting = Schedule.min([Schedule.exponential(shortestWait), Schedule.spaced(longestWait)])

  const place = (number: number) => {
    let starts = 0
    return Effect.acquireUseRelease(
      Effect.sync(() => start(number, starts++)),
      (worker) => live(number, worker),
      (worker) => stop(number, worker)
    ).pipe(
      Effect.retry({ schedule: restarting, times: settings.maxRestarts }),
      Effect.andThen(Effect.sleep(shortestWait)),
      Effect.forever
    )
  }

  const numbers = Array.from({ length: settings.workers }, (_, index) => index + 1)
  const supervisor = yield* Effect.forEach(numbers, place, { concurrency: "unbounded", discard: true }).pipe(
    Effect.tapCause((cause) => Deferred.failCause(ready, cause)),
    Effect.onExit(() => Effect.sync(() => subscribers.forEach((subscriber) => Queue.endUnsafe(subscriber)))),
    Effect.forkIn(scope)
  )
  const drain = Fiber.interrupt(supervisor)
  yield* Scope.addFinalizer(scope, drain)

  const subscribe = Effect.map(
    Effect.acquireRelease(
      Effect.tap(
        Queue.sliding<Event, Cause.Done>(1024),
        (subscriber) => Effect.sync(() => subscribers.add(subscriber))
      ),
      (subscriber) => Effect.sync(() => subscribers.delete(subscriber))
    ),
    Stream.fromQueue
  )

  /** The counts of a worker, and 1 for it; nothing of one that does not tell. */
  const countsOf = (worker: Worker) =>
    Effect.suspend(() => {
      const id = ++lastId
      const asked = Deferred.makeUnsafe<Server.Counts>()
      worker.asked.set(id, asked)
      worker.process.send({ [Wire.TypeId]: "Count", id })
      return Effect.map(Deferred.await(asked), (counts): Counts => ({ ...counts, workers: 1, lost: 0 })).pipe(
        Effect.raceFirst(Effect.as(Deferred.await(worker.ended), nothing)),
        Effect.timeoutOrElse({ duration: countTimeout, orElse: () => Effect.succeed(nothing) }),
        Effect.ensuring(Effect.sync(() => worker.asked.delete(id)))
      )
    })

  return {
    address: yield* Effect.onError(Deferred.await(ready), () => drain),
    pids: Effect.sync(() => numbers.flatMap((number) => workers.get(number)?.process.pid ?? [])),
    counts: Effect.map(
      Effect.suspend(() => Effect.forEach(workers.values(), countsOf, { concurrency: "unbounded" })),
      (all) => all.reduce(plus, { ...nothing, lost })
    ),
    events: Stream.suspend(() =>
      // Who comes after the end would wait for it.
      supervisor.pollUnsafe() === undefined ? Stream.unwrap(subscribe) : Stream.empty
    ),
    drain,
    kill: Effect.sync(() => workers.forEach((worker) => worker.process.kill("SIGKILL"))),
    killed: Effect.sync(() => killed),
    awaitDrained: Effect.flatMap(
      Fiber.await(supervisor),
      (exit) => Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause) ? Effect.asVoid(exit) : Effect.void
    )
  }
})
