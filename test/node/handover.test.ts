import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { EventEmitter } from "node:events"
import { afterEach, beforeEach, vi } from "vitest"
import * as Descriptors from "../../src/internal/node/descriptors.ts"
import * as Handover from "../../src/internal/node/handover.ts"
import * as Rarely from "../../src/internal/node/rarely.ts"

/** A connection, and whether it was closed. */
class Handle {
  closed = false
  close(): void {
    this.closed = true
  }
}

/** What `node:cluster` does with a worker's process, in small: one connection at a time, until the worker's word. */
class Cluster extends EventEmitter {
  connected = true
  readonly sent: Array<unknown> = []
  private seq = 0
  private readonly waiting = new Map<number, Handle>()

  constructor() {
    super()
    this.on("internalMessage", ({ accepted, ack, cmd }) => {
      if (cmd !== "NODE_CLUSTER") return
      const handle = this.waiting.get(ack)
      this.waiting.delete(ack)
      if (accepted) handle?.close()
    })
  }

  send(message: unknown, _handle?: unknown): boolean {
    this.sent.push(message)
    return true
  }

  /** Hands the worker a connection, and returns the number of the message. */
  hand(handle: Handle): number {
    const seq = this.seq++
    this.waiting.set(seq, handle)
    this.send({ cmd: "NODE_CLUSTER", act: "newconn", key: "a", seq }, handle)
    return seq
  }

  says(cmd: string, more: Record<string, unknown> = {}): void {
    this.emit("internalMessage", { cmd, ...more })
  }

  get waitsFor(): number {
    return this.waiting.size
  }
}

const watched = (lost: Array<Handover.Loss>) => {
  const cluster = new Cluster()
  Handover.watch(cluster, (why) => lost.push(why))
  return cluster
}

describe("a connection that a worker was handed", () => {
  let lost: Array<Handover.Loss>
  let cluster: Cluster
  beforeEach(() => {
    vi.useFakeTimers()
    lost = []
    cluster = watched(lost)
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("is the worker's once that has taken it", () => {
    const handle = new Handle()
    const seq = cluster.hand(handle)
    cluster.says("NODE_HANDLE_ACK")
    expect(handle.closed).toBe(false)
    cluster.says("NODE_CLUSTER", { ack: seq, accepted: true })
    expect(handle.closed).toBe(true)
    cluster.emit("exit")
    vi.advanceTimersByTime(60_000)
    expect(lost).toEqual([])
  })

  it("is for another one to take where the worker says no", () => {
    const handle = new Handle()
    cluster.says("NODE_CLUSTER", { ack: cluster.hand(handle), accepted: false })
    expect({ closed: handle.closed, lost }).toEqual({ closed: false, lost: [] })
  })

  it("is closed at once where the worker has no descriptor for it, and the worker is free again", () => {
    const first = new Handle()
    const second = new Handle()
    const seq = cluster.hand(first)
    cluster.hand(second)
    cluster.says("NODE_HANDLE_ACK")
    cluster.says("NODE_HANDLE_NACK")
    expect([first.closed, second.closed]).toEqual([false, true])
    cluster.says("NODE_CLUSTER", { ack: seq, accepted: true })
    expect({ waits: cluster.waitsFor, lost }).toEqual({ waits: 0, lost: ["no-descriptor"] })
  })

  it("is closed where the worker dies, when its last words have been read", () => {
    const [taken, lostOne] = [new Handle(), new Handle()]
    const seq = cluster.hand(taken)
    cluster.hand(lostOne)
    let disconnects = 0
    cluster.on("disconnect", () => disconnects++)
    cluster.emit("exit")
    expect(lostOne.closed).toBe(false)
    cluster.says("NODE_CLUSTER", { ack: seq, accepted: true })
    cluster.connected = false
    vi.advanceTimersByTime(10)
    // Node does not tell its own listeners where a descriptor was on its way, and they would go on with this worker.
    expect({ closed: lostOne.closed, lost, disconnects }).toEqual({ closed: true, lost: ["died"], disconnects: 1 })
  })

  it("does not count another descriptor that arrives for its own", () => {
    cluster.send({ cmd: "NODE_CLUSTER", ack: 7 }, new Handle())
    const handle = new Handle()
    cluster.hand(handle)
    cluster.says("NODE_HANDLE_NACK")
    expect(handle.closed).toBe(false)
    cluster.says("NODE_HANDLE_NACK")
    expect(handle.closed).toBe(true)
  })
})

describe("a connection that a worker does not take", () => {
  const pure = () => {
    const told: Array<string> = []
    const timers: Array<() => void> = []
    const handover = new Handover.Handover<string>({
      taken: (seq) => told.push(`taken ${seq}`),
      cut: (handle) => told.push(`cut ${handle}`),
      later: (then) => {
        timers.push(then)
        return () => told.push("in time")
      },
      lost: (why) => told.push(why)
    })
    handover.sent({ act: "newconn", seq: 5 }, "a")
    return { handover, told, late: () => timers.forEach((then) => then()) }
  }

  it("is cut off, and the worker gets no other one until it speaks", () => {
    const { handover, late, told } = pure()
    late()
    expect(told).toEqual(["cut a", "silent"])
    // For the primary it is the worker's, or it would give to another one what is at its end.
    const word = { cmd: "NODE_CLUSTER", ack: 5, accepted: false }
    handover.received(word)
    expect(word.accepted).toBe(true)
  })

  it("is lost once, also where the worker dies then", () => {
    const { handover, late, told } = pure()
    late()
    handover.ended()
    expect(told).toEqual(["cut a", "silent", "in time", "taken 5"])
  })
})

describe("what happens often", () => {
  it("is said at once, and then once a minute with how often", () => {
    let now = 0
    const said: Array<string> = []
    const happens = Rarely.make<string>(() => now, (what, times) => said.push(`${what} ${times}`))
    for (let i = 0; i < 5; i++) happens("a")
    happens("b")
    now = 59_999
    happens("a")
    expect(said).toEqual(["a 1", "b 1"])
    now = 60_000
    happens("a")
    expect(said).toEqual(["a 1", "b 1", "a 6"])
  })
})

describe("file descriptors", () => {
  it("are limited to what the system says first", () => {
    const limits =
      "Max processes             30000    30001    processes\nMax open files            1024     4096     files\n"
    expect([Descriptors.limitOf(limits), Descriptors.limitOf("")]).toEqual([1024, undefined])
  })

  it("are enough for a limit of connections with some to spare", () => {
    expect(Descriptors.tooMany(960, 1024)).toBeUndefined()
    expect(Descriptors.tooMany(961, 1024)).toContain("961 connections are more than fit into the 1024")
    expect(Descriptors.tooMany(1_000_000, undefined)).toBeUndefined()
  })

  it("are used up with the highest of them", () => {
    const has = (fd: number) => ({ _handle: { fd } })
    expect([Descriptors.isLast(has(1022), 1024), Descriptors.isLast(has(1023), 1024)]).toEqual([false, true])
    expect([Descriptors.isLast({ _handle: null }, 1024), Descriptors.isLast(has(9), undefined)]).toEqual([false, false])
  })

  it.effect("that are missing are told of in words, once for many connections", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const failed = Descriptors.acceptFailed(clock, Effect.runSyncWith(yield* Effect.context<never>()))
      for (let i = 0; i < 3; i++) failed(Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }))
      expect(logged).toEqual([
        ["cannot accept connections: this process has no file descriptors left (EMFILE, ulimit -n)"]
      ])
    }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))])))
  })
})
