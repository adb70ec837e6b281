import { expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Socket from "effect/socket/Socket"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Transport from "../src/Transport.ts"

const clients = 1000

const refused = new Socket.SocketError({
  reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect ECONNREFUSED") })
})

/** Lets everything that is ready get as far as it can without time passing. */
const turn = (times: number) => Effect.repeat(Effect.yieldNow, { times })

/** Time that passes from one timer to the next. With as many timers as here a `TestClock` would take half a minute. */
class Timers implements Clock.Clock {
  now = 0
  private readonly timers = new Map<number, Set<() => void>>()

  currentTimeMillisUnsafe = () => this.now
  currentTimeNanosUnsafe = () => BigInt(this.now) * 1_000_000n
  monotonicTimeNanosUnsafe = () => this.currentTimeNanosUnsafe()
  currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())
  currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())

  sleep = (duration: Duration.Duration): Effect.Effect<void> =>
    Effect.callback((resume) => {
      const due = this.now + Math.max(1, Math.ceil(Duration.toMillis(duration)))
      let timers = this.timers.get(due)
      if (timers === undefined) this.timers.set(due, timers = new Set())
      const timer = () => resume(Effect.void)
      timers.add(timer)
      return Effect.sync(() => timers.delete(timer))
    })

  /** Lets this many milliseconds pass. */
  pass = Effect.fnUntraced({ self: this }, function*(millis: number) {
    yield* turn(100)
    for (const end = this.now + millis; this.now < end; this.now++) {
      const timers = this.timers.get(this.now)
      if (timers === undefined) continue
      this.timers.delete(this.now)
      for (const timer of timers) timer()
      yield* turn(3)
    }
  })
}

/** A server that is nothing but open or closed, and how often it was dialled. */
const makeServer = (clock: Timers) => {
  let dials = 0
  const connected = new Set<(pulled: Effect.Effect<never, Socket.SocketError>) => void>()
  let isOpen = true
  const socket = Socket.make({
    reader: Effect.suspend(() => {
      dials++
      if (!isOpen) return Effect.fail(refused)
      const pull = Effect.callback<never, Socket.SocketError>((resume) => {
        connected.add(resume)
      })
      return Effect.succeed({ pull, upgrade: Socket.SocketUpgradeError.unsupported })
    }),
    writer: Effect.succeed({ write: () => Effect.void, writeAll: () => Effect.void })
  })
  return {
    socket: Effect.succeed(socket),
    connected: () => connected.size,
    open: () => {
      isOpen = true
    },
    close: () => {
      isOpen = false
      const gone = [...connected]
      connected.clear()
      const end = new Socket.SocketError({ reason: new Socket.SocketCloseError({ code: 1000 }) })
      for (const resume of gone) resume(Effect.fail(end))
    },
    /** Lets time pass in steps, and counts how often it was dialled in each of them. */
    during: Effect.fnUntraced(function*(millis: number, step: number) {
      const counts: Array<number> = []
      for (let passed = 0; passed < millis; passed += step) {
        const before = dials
        yield* clock.pass(step)
        counts.push(dials - before)
      }
      return counts
    })
  }
}

it.effect(
  "a thousand clients whose server comes back after a minute come back spread out, and all of them",
  () =>
    Effect.gen(function*() {
      const clock = new Timers()
      const server = makeServer(clock)
      for (let n = 0; n < clients; n++) {
        yield* Client.reconnecting({
          handshake: Transport.framed(Codec.lines()),
          sockets: [server.socket],
          handshakeTimeout: "Infinity"
        }).pipe(Effect.provideService(Clock.Clock, clock))
      }
      yield* clock.pass(60_000)
      expect(server.connected()).toBe(clients)

      server.close()
      // All of them have lost it together: the schedule promises 2 n / base, which is 400 in 100 ms.
      const first = yield* server.during(2000, 100)
      expect(Math.max(...first)).toBeLessThan(400)
      // Nor do they wait for each other.
      expect(first[0]).toBeGreaterThan(100)
      yield* server.during(58_000, 1000)
      expect(server.connected()).toBe(0)

      server.open()
      // 2 n / max is what the schedule promises: 67 in a second. More than 100 would be four standard deviations.
      const back = yield* server.during(30_000, 1000)
      expect(Math.max(...back)).toBeLessThan(100)
      expect(server.connected()).toBe(clients)
    }).pipe(Random.withSeed("storm")),
  60_000
)
