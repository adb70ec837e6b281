import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as NetAddress from "effect/net/NetAddress"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type { Loss } from "../../src/internal/node/handover.ts"
import * as Supervision from "../../src/internal/node/workers.ts"
import * as Wire from "../../src/internal/node/workersWire.ts"
import * as Workers from "../../src/node/Workers.ts"
import { bundled } from "../support/bundle.ts"
import * as Processes from "../support/processes.ts"
import * as Tcp from "../support/tcp.ts"

const listens = (port = 4000): Wire.Report => ({ [Wire.TypeId]: "Listening", at: { host: "127.0.0.1", port } })

const inUse: Wire.Report = { [Wire.TypeId]: "OpenFailed", code: "EADDRINUSE", message: "bind EADDRINUSE" }

const crashed: Supervision.End = { code: 1, signal: null }

/** A worker that does nothing but what the test says, and what it was told. */
interface Puppet {
  readonly membership: Wire.Membership
  readonly told: Array<string>
  readonly says: (message: unknown) => Effect.Effect<void>
  readonly ends: (end: Supervision.End, saying?: Wire.Report) => void
  readonly dies: (end?: Supervision.End) => Effect.Effect<void>
  readonly loses: (why: Loss) => void
}

/** Lets the fibers of the supervision do what is theirs. */
const settled = TestClock.adjust(0)

const puppets = () => {
  const all: Array<Puppet> = []
  let over = false
  const fork: Supervision.Fork = (membership, on) => {
    const told: Array<string> = []
    let alive = true
    const ends: Puppet["ends"] = (end, saying) => {
      if (saying !== undefined) on.message(saying)
      on.end(end)
      alive = false
    }
    const puppet: Puppet = {
      membership,
      told,
      says: (message) => Effect.andThen(Effect.sync(() => on.message(message)), settled),
      ends,
      dies: (end = crashed) => Effect.andThen(Effect.sync(() => ends(end)), settled),
      loses: on.lost
    }
    all.push(puppet)
    return {
      pid: 1000 + all.length,
      kill: (signal) => {
        if (!alive) return
        told.push(signal)
        // Nobody survives this one.
        if (signal === "SIGKILL" || over) queueMicrotask(() => ends({ code: null, signal }))
      },
      send: (message) => told.push(`${message[Wire.TypeId]} ${message.id}`)
    }
  }
  const theEnd = Effect.sync(() => {
    over = true
    all.forEach(({ ends }) => ends(crashed))
  })
  return { all, fork, theEnd }
}

const settings: Supervision.Settings = {
  workers: 2,
  startTimeout: Duration.seconds(30),
  stopTimeout: Duration.seconds(15),
  maxRestarts: 2,
  stableAfter: Duration.seconds(10)
}

/** A supervision that was begun, with its workers started. */
const begin = Effect.fnUntraced(function*(overrides: Partial<Supervision.Settings> = {}) {
  const { all, fork, theEnd } = puppets()
  const starting = yield* Effect.forkScoped(Supervision.supervise({ ...settings, ...overrides }, fork))
  yield* settled
  // The end of the test is the end of them all, whatever the supervision does about it.
  yield* Effect.addFinalizer(() => theEnd)
  return { all, starting }
})

/** One whose workers all listen. */
const listening = Effect.fnUntraced(function*(overrides: Partial<Supervision.Settings> = {}) {
  const { all, starting } = yield* begin(overrides)
  for (const puppet of all) yield* puppet.says(listens())
  return { all, supervised: yield* Fiber.join(starting) }
})

describe("share", () => {
  it.prop(
    "gives whole parts that add up to the total and differ by one at the most",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 })),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 64 }))
    ],
    ([total, count]) => {
      const parts = Array.from({ length: count }, (_, index) => Wire.share(total, { number: index + 1, count }))
      expect(parts.reduce((a, b) => a + b)).toBe(total)
      expect(Math.max(...parts) - Math.min(...parts)).toBeLessThanOrEqual(1)
      expect(parts.every(Number.isInteger)).toBe(true)
    }
  )

  it("is the whole in a process that is no worker", () => {
    expect(Workers.worker).toBeUndefined()
    expect(Workers.share(7)).toBe(7)
  })
})

describe("supervision", () => {
  it.effect("starts one process for each worker, and is ready when all listen", () =>
    Effect.gen(function*() {
      const { all, starting } = yield* begin()
      expect(all.map(({ membership }) => membership)).toEqual([
        { number: 1, count: 2, port: undefined },
        { number: 2, count: 2, port: undefined }
      ])
      yield* all[1].says(listens())
      expect(starting.pollUnsafe()).toBeUndefined()
      yield* all[0].says(listens())
      const { address, pids } = yield* Fiber.join(starting)
      expect(NetAddress.formatSocketAddress(address)).toBe("127.0.0.1:4000")
      expect(yield* pids).toEqual([1001, 1002])
    }))

  it.effect("takes the path of a Unix socket for an address too", () =>
    Effect.gen(function*() {
      const { all, starting } = yield* begin({ workers: 1 })
      yield* all[0].says({ [Wire.TypeId]: "Listening", at: { path: "/tmp/a" } })
      const { address } = yield* Fiber.join(starting)
      expect(address).toMatchObject({ _tag: "UnixPathAddress", path: "/tmp/a" })
    }))

  it.effect("does not listen to what is not for it", () =>
    Effect.gen(function*() {
      const { all, starting } = yield* begin({ workers: 1 })
      for (const message of ["listening", null, 7, { _tag: "Listening" }]) yield* all[0].says(message)
      expect(starting.pollUnsafe()).toBeUndefined()
      yield* all[0].says(listens())
      yield* Fiber.join(starting)
    }))

  it.effect("fails where one cannot listen at the start, with its error, and stops the others", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const { all, starting } = yield* begin()
      yield* all[0].says(listens())
      // It may well have ended before anybody has done anything about it.
      all[1].ends(crashed, inUse)
      yield* settled
      expect(all[0].told).toEqual(["SIGTERM"])
      yield* all[0].dies({ code: 0, signal: null })
      const error = yield* Effect.flip(Fiber.join(starting))
      expect(error).toMatchObject({
        _tag: "SocketServerError",
        reason: { cause: { code: "EADDRINUSE", message: "bind EADDRINUSE" } }
      })
      yield* TestClock.adjust("1 minute")
      expect(all.length).toBe(2)
      // Said once, by whoever gets the error.
      expect(logged).toEqual([])
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))])))
  })

  it.effect("replaces one that dies, logs it, and leaves the others alone", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      yield* TestClock.adjust("10 seconds")
      yield* all[0].dies()
      expect(yield* supervised.pids).toEqual([1002])
      yield* TestClock.adjust("99 millis")
      expect(all.length).toBe(2)
      yield* TestClock.adjust("1 millis")
      expect(all.length).toBe(3)
      expect(all[2].membership.number).toBe(1)
      expect(all[1].told).toEqual([])
      expect(logged).toEqual([["worker 1 (process 1001) has died: exit code 1"]])
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))])))
  })

  it.effect("waits twice as long after each early death, and gives up after maxRestarts of them", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening({ maxRestarts: 2 })
      // Just before it is stable.
      yield* TestClock.adjust("9999 millis")
      yield* all[0].dies()
      yield* TestClock.adjust("100 millis")
      yield* all[2].dies()
      yield* TestClock.adjust("199 millis")
      expect(all.length).toBe(3)
      yield* TestClock.adjust("1 millis")
      expect(all.length).toBe(4)
      yield* all[3].dies({ code: null, signal: "SIGSEGV" })
      expect(all[1].told).toEqual(["SIGTERM"])
      yield* all[1].dies({ code: 0, signal: null })
      const error = yield* Effect.flip(supervised.awaitDrained)
      expect(error).toMatchObject({ _tag: "WorkerDied", worker: 1, code: null, signal: "SIGSEGV", listened: false })
      expect(error.message).toBe("worker 1 has died before it listened (by SIGSEGV)")
      yield* TestClock.adjust("1 minute")
      expect(all.length).toBe(4)
    }))

  it.effect("does not give up after maxRestarts where the last one lives, and begins to count anew", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening({ maxRestarts: 2, workers: 1 })
      for (const [index, wait] of ([[0, 100], [1, 200]] as const)) {
        yield* all[index].dies()
        yield* TestClock.adjust(wait)
      }
      yield* all[2].says(listens())
      yield* TestClock.adjust("10 seconds")
      yield* all[2].dies()
      for (const [index, wait] of ([[3, 100], [4, 100], [5, 200]] as const)) {
        yield* TestClock.adjust(wait)
        expect(all.length).toBe(index + 1)
        if (index < 5) yield* all[index].dies()
      }
      expect(yield* supervised.pids).toEqual([1006])
    }))

  it.effect("takes the end of a process for one end, however often it is told", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening({ workers: 1 })
      all[0].ends(crashed)
      yield* TestClock.adjust("100 millis")
      yield* all[1].says(listens())
      all[0].ends(crashed)
      expect(yield* supervised.pids).toEqual([1002])
    }))

  it.effect("never waits longer than 10 seconds", () =>
    Effect.gen(function*() {
      const { all } = yield* begin({ maxRestarts: 20, workers: 1 })
      for (let index = 0; index < 20; index++) {
        yield* all[index].dies()
        yield* TestClock.adjust("10 seconds")
        expect(all.length).toBe(index + 2)
      }
    }))

  it.effect("fails where one dies again and again before it has ever listened", () =>
    Effect.gen(function*() {
      const { all, starting } = yield* begin({ maxRestarts: 0, workers: 1 })
      yield* all[0].dies({ code: null, signal: null })
      const error = yield* Effect.flip(Fiber.join(starting))
      expect(error.message).toBe("worker 1 has died before it listened (it could not be started)")
    }))

  it.effect("dies, and does not wait for ever, where a process cannot even be tried to start", () =>
    Effect.gen(function*() {
      const starting = yield* Effect.forkScoped(Supervision.supervise(settings, () => {
        throw new Error("no script")
      }))
      expect(Exit.hasDies(yield* Fiber.await(starting))).toBe(true)
    }))

  it.effect("does not end the others where one that replaces another cannot listen", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      yield* all[0].dies()
      yield* TestClock.adjust("100 millis")
      yield* all[2].says(inUse)
      yield* all[2].dies()
      yield* TestClock.adjust("200 millis")
      yield* all[3].says(listens())
      expect(yield* supervised.pids).toEqual([1004, 1002])
      expect(all[1].told).toEqual([])
    }))

  it.effect("kills one that does not listen within startTimeout, and not earlier", () =>
    Effect.gen(function*() {
      const { all } = yield* begin()
      yield* all[0].says(listens())
      yield* TestClock.adjust("29999 millis")
      expect([all[0].told, all[1].told]).toEqual([[], []])
      yield* TestClock.adjust("1 millis")
      expect([all[0].told, all[1].told]).toEqual([[], ["SIGKILL"]])
      yield* TestClock.adjust("100 millis")
      expect(all[2].membership.number).toBe(2)
    }))

  it.effect("tells all to stop when it drains, waits for them, and then starts none", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      const draining = yield* Effect.forkScoped(supervised.drain)
      yield* settled
      expect(all.map(({ told }) => told)).toEqual([["SIGTERM"], ["SIGTERM"]])
      yield* all[0].dies({ code: 0, signal: null })
      yield* TestClock.adjust("14 seconds")
      expect(draining.pollUnsafe()).toBeUndefined()
      yield* all[1].dies({ code: 0, signal: null })
      yield* Fiber.join(draining)
      yield* supervised.awaitDrained
      yield* supervised.drain
      yield* TestClock.adjust("1 minute")
      expect(all.map(({ told }) => told)).toEqual([["SIGTERM"], ["SIGTERM"]])
    }))

  it.effect("kills what takes longer than stopTimeout, and not earlier", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      const draining = yield* Effect.forkScoped(supervised.drain)
      yield* settled
      yield* all[0].dies({ code: 0, signal: null })
      yield* TestClock.adjust("14999 millis")
      expect(all[1].told).toEqual(["SIGTERM"])
      yield* TestClock.adjust("1 millis")
      expect(all[1].told).toEqual(["SIGTERM", "SIGKILL"])
      yield* Fiber.join(draining)
      // The other one has ended by itself.
      expect(yield* supervised.killed).toBe(1)
    }))

  it.effect("drains at once when all are killed meanwhile", () =>
    Effect.gen(function*() {
      const { supervised } = yield* listening()
      const draining = yield* Effect.forkScoped(supervised.drain)
      yield* settled
      yield* supervised.kill
      yield* Fiber.join(draining)
      expect(yield* supervised.pids).toEqual([])
    }))

  it.effect("drains at the end of its scope", () =>
    Effect.gen(function*() {
      const { all, fork } = puppets()
      const scoped = yield* Effect.forkScoped(Effect.scoped(Supervision.supervise(settings, fork)))
      yield* settled
      for (const puppet of all) yield* puppet.says(listens())
      expect(all.map(({ told }) => told)).toEqual([["SIGTERM"], ["SIGTERM"]])
      expect(scoped.pollUnsafe()).toBeUndefined()
      for (const puppet of all) yield* puppet.dies({ code: 0, signal: null })
      yield* Fiber.join(scoped)
    }))

  it.effect("stops those that have been started where it is interrupted before all listen", () =>
    Effect.gen(function*() {
      const { all, starting } = yield* begin()
      yield* all[0].says(listens())
      const interrupted = yield* Effect.forkScoped(Fiber.interrupt(starting))
      yield* settled
      expect(all.map(({ told }) => told)).toEqual([["SIGTERM"], ["SIGTERM"]])
      for (const puppet of all) yield* puppet.dies({ code: null, signal: "SIGTERM" })
      yield* Fiber.join(interrupted)
    }))

  it.effect("gives the port of port 0 to a new worker only when nobody holds port 0 any more", () =>
    Effect.gen(function*() {
      const { all } = yield* listening({ maxRestarts: 9 })
      yield* all[0].dies()
      yield* TestClock.adjust("100 millis")
      expect(all[2].membership.port).toBeUndefined()
      yield* all[1].dies()
      yield* all[2].dies()
      yield* TestClock.adjust("200 millis")
      expect(all.slice(3).map(({ membership }) => membership.port)).toEqual([4000, 4000])
    }))

  it.effect("kills a worker that listens elsewhere than the others did", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening({ maxRestarts: 9 })
      yield* all[0].dies()
      yield* TestClock.adjust("100 millis")
      yield* all[1].dies()
      yield* all[2].says(listens(4001))
      expect(all[2].told).toEqual(["SIGKILL"])
      yield* TestClock.adjust("200 millis")
      expect(NetAddress.formatSocketAddress(supervised.address)).toBe("127.0.0.1:4000")
      expect(all.at(-1)!.membership.port).toBe(4000)
    }))

  it.effect("adds up what the workers count", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      const counting = yield* Effect.forkScoped(supervised.counts)
      yield* settled
      for (const [index, { says, told }] of all.entries()) {
        const id = Number(/^Count (\d+)$/.exec(told[0])![1])
        yield* says({ [Wire.TypeId]: "Counted", id, counts: { connections: 3 + index, pending: 1, refusing: index } })
      }
      expect(yield* Fiber.join(counting)).toEqual({ workers: 2, connections: 7, pending: 2, refusing: 1, lost: 0 })
    }))

  it.effect("counts the connections that no worker has taken, and says so once a minute", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      for (let i = 0; i < 3; i++) all[0].loses("no-descriptor")
      yield* TestClock.adjust("1 minute")
      all[0].loses("no-descriptor")
      yield* settled
      const counting = yield* Effect.forkScoped(supervised.counts)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(counting)).toMatchObject({ lost: 4 })
      const why = "for worker 1 closed: it has no file descriptors left (ulimit -n)"
      expect(logged).toEqual([[`a connection ${why}`], [`3 connections ${why}`]])
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))])))
  })

  it.effect("counts without one that dies, or does not answer within a second", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening()
      const counting = yield* Effect.forkScoped(supervised.counts)
      yield* settled
      yield* all[0].dies()
      yield* TestClock.adjust("999 millis")
      expect(counting.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(counting)).toEqual({ workers: 0, connections: 0, pending: 0, refusing: 0, lost: 0 })
    }))

  it.effect("tells what happens to its workers, until they are gone", () =>
    Effect.gen(function*() {
      const { all, supervised } = yield* listening({ workers: 1 })
      const told = yield* Effect.forkScoped(Stream.runCollect(supervised.events))
      yield* settled
      yield* all[0].dies({ code: null, signal: "SIGKILL" })
      yield* TestClock.adjust("100 millis")
      yield* all[1].says(listens())
      const draining = yield* Effect.forkScoped(supervised.drain)
      yield* settled
      yield* all[1].dies({ code: 0, signal: null })
      yield* Fiber.join(draining)
      expect(yield* Fiber.join(told)).toEqual([
        { _tag: "Ended", worker: 1, pid: 1001, code: null, signal: "SIGKILL" },
        { _tag: "Started", worker: 1, pid: 1002, restarts: 1 },
        { _tag: "Listening", worker: 1, pid: 1002, address: supervised.address },
        { _tag: "Ended", worker: 1, pid: 1002, code: 0, signal: null }
      ])
      expect(yield* Stream.runCollect(supervised.events)).toEqual([])
    }))
})

const script = bundled("workersApp")

const portOf = ({ address }: { readonly address: NetAddress.SocketAddress }): number =>
  "port" in address ? address.port : expect.fail("it listens on a port")

/** Says hello to whichever worker has its turn, and returns what that worker tells of itself. */
const askOne = (port: number): Effect.Effect<string, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const peer = yield* Tcp.saying(port, "You ready?\nWho?\n")
    yield* peer.end
    return (yield* peer.ended).split("\n")[1]
  })

describe("make, with real processes", () => {
  it.live("shares one free port among its workers, in turn, and each knows its place", () =>
    Effect.scoped(Effect.gen(function*() {
      const workers = yield* Workers.make({ workers: 2, script, args: [] })
      const port = portOf(workers)
      const heard = [yield* askOne(port), yield* askOne(port)].toSorted()
      const pids = yield* workers.pids
      // The first has three of five, and what it was told is not told to what it starts.
      expect(heard).toEqual([`1 of 2, ${pids[0]}, 3, undefined`, `2 of 2, ${pids[1]}, 2, undefined`])
    })))

  it.live("counts the connections of all workers", () =>
    Effect.scoped(Effect.gen(function*() {
      const workers = yield* Workers.make({ workers: 2, script, args: [] })
      const peers = yield* Effect.forEach([1, 2, 3], () => Tcp.saying(portOf(workers), "You ready?\n"))
      for (const peer of peers) yield* peer.hears("Bring it!\n")
      const silent = yield* Tcp.saying(portOf(workers), "You")
      expect(silent.isOpen()).toBe(true)
      // Connections are given out in order: when the next one is served, the silent one is known.
      yield* (yield* Tcp.saying(portOf(workers), "You ready?\n")).hears("Bring it!\n")
      expect(yield* workers.counts).toEqual({ workers: 2, connections: 5, pending: 1, refusing: 0, lost: 0 })
    })))

  it.live("finds its free port again when all workers have died", () =>
    Effect.scoped(Effect.gen(function*() {
      const workers = yield* Workers.make({ workers: 2, script, args: [] })
      const listening = yield* workers.events.pipe(
        Stream.filter((event) => event._tag === "Listening"),
        Stream.take(2),
        Stream.runCollect,
        Effect.forkScoped({ startImmediately: true })
      )
      yield* workers.kill
      yield* Fiber.join(listening)
      const pids = yield* workers.pids
      const pid = Number((yield* askOne(portOf(workers))).split(", ")[1])
      expect(pids).toContain(pid)
    })))

  it.live("leaves no process behind at the end of its scope", () =>
    Effect.gen(function*() {
      const pids = yield* Effect.scoped(Effect.flatMap(
        Workers.make({ workers: 2, script, args: [] }),
        (workers) => workers.pids
      ))
      expect(pids.length).toBe(2)
      expect(pids.filter(Processes.isAlive)).toEqual([])
    }))

  it.live("gives up a program that ends at once", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Effect.scoped(
        Workers.make({ workers: 1, script, args: ["die", "3"], maxRestarts: 1 })
      ))
      expect(exit).toEqual(Exit.fail(new Workers.WorkerDied({ worker: 1, code: 3, signal: null, listened: false })))
    }))
})
