/**
 * Machines that share an admission over a real Redis.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redis from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import * as Admission from "../../src/Admission.ts"
import { peerAt } from "../support/addressed.ts"
import * as Peers from "../support/peers.ts"

type Service = Admission.Admission["Service"]

const lease = 600

const redisAt = (port: number) =>
  NodeRedis.layer({
    url: `redis://127.0.0.1:${port}`,
    disableOfflineQueue: true,
    socket: { reconnectStrategy: () => 20 }
  })

/** A machine with a connection of its own to the Redis on a port. */
const machine = (port: number, options: Partial<Admission.SharedOptions> = {}) =>
  Effect.map(
    Layer.build(
      Admission.layerRedis({
        limits: [Admission.inAll({ atOnce: 100 })],
        ifUnavailable: "closed",
        lease,
        timeout: "150 millis",
        quiet: 0,
        ...options
      }).pipe(Layer.provide(redisAt(port)))
    ),
    (context) => Effect.runSyncWith(context)(Admission.Admission)
  )

const ask = (admission: Service, ip = "192.0.2.1", onLost = () => {}): Effect.Effect<Admission.Verdict> => {
  const verdict = admission.admit(peerAt(ip), onLost)
  return Effect.isEffect(verdict) ? verdict : Effect.succeed(verdict)
}

const askUntil = (admission: Service, what: string): Effect.Effect<Admission.Verdict> =>
  Effect.flatMap(ask(admission), (verdict) =>
    (verdict._tag === "Admitted" ? "in" : verdict.why) === what
      ? Effect.succeed(verdict)
      : Effect.andThen(Effect.sleep("20 millis"), askUntil(admission, what)))

const argsOf = (port: number) => ["--bind", "127.0.0.1", "--port", `${port}`, "--save", ""]

const rememberRun =
  `redis.call("HSET", KEYS[1], "run", string.match(redis.call("INFO", "server"), "run_id:(%w+)"), "recovers", 0)`

/** A Redis that has been up for longer than a lease, as far as it knows. */
const server = Effect.gen(function*() {
  const { port } = yield* Peers.serverOn("redis-server", argsOf)
  yield* Effect.flatMap(Redis.Redis, (redis) => redis.send("EVAL", rememberRun, "1", "{admission}/run")).pipe(
    Effect.provide(redisAt(port))
  )
  return port
})

/** A Redis, and how to end it. */
const mortal = Effect.gen(function*() {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return { port: yield* Scope.provide(server, scope), end: Scope.close(scope, Exit.void) }
})

Peers.describeWith(["redis-server"], "machines that share one Redis", () => {
  const quietly = Effect.provide(Logger.layer([]))

  it.live("have 100 of those who come at once, never more, and 100 again when those have left", () =>
    Effect.gen(function*() {
      const port = yield* server
      const long = { lease: 1500, timeout: "300 millis" } as const
      const machines = [yield* machine(port, long), yield* machine(port, long)]
      const rush = Effect.map(
        Effect.forEach(Array.from({ length: 200 }), (_, index) => ask(machines[index % 2]), {
          concurrency: "unbounded"
        }),
        (verdicts) => verdicts.filter((verdict) => verdict._tag === "Admitted")
      )
      for (let round = 0; round < 2; round++) {
        const inside: Array<Admission.Admitted> = []
        // On a machine that is busy an answer may come too late.
        while (inside.length < 100) inside.push(...yield* rush)
        // They are renewed meanwhile.
        if (round === 0) yield* Effect.sleep("1600 millis")
        inside.push(...yield* rush)
        expect(inside).toHaveLength(100)
        for (const admitted of inside) admitted.leave()
      }
    }).pipe(quietly))

  it.live("count the connections and the failures of an address together", () =>
    Effect.gen(function*() {
      const port = yield* server
      const limits = [
        Admission.byAddress({
          connections: { limit: 4, window: "1 minute" },
          failures: { limit: 2, window: "1 minute", of: () => true }
        })
      ]
      const [here, there] = [yield* machine(port, { limits }), yield* machine(port, { limits })]
      for (const admission of [here, there, here, there]) expect((yield* ask(admission))._tag).toBe("Admitted")
      for (const admission of [here, there]) expect(yield* ask(admission)).toMatchObject({ why: "rate" })
      for (const admission of [here, there]) {
        const verdict = yield* ask(admission, "2001:db8::1")
        if (verdict._tag === "Admitted") verdict.failed("anything")
        yield* Effect.sleep("50 millis")
      }
      const denied = yield* ask(here, "2001:db8::2")
      expect(denied).toMatchObject({ why: "failures" })
      if (denied._tag === "Denied") expect(Duration.toSeconds(denied.retryAfter!)).toBeGreaterThan(50)
    }).pipe(quietly))

  it.live("choose within their time when it is gone, lose what they cannot hold, and begin anew when it is back", () =>
    Effect.gen(function*() {
      const { end, port } = yield* mortal
      let lost = 0
      const limits = [Admission.inAll({ atOnce: 2 })]
      const closed = yield* machine(port, { limits })
      const open = yield* machine(port, { limits, ifUnavailable: "open" })
      expect(yield* ask(closed, undefined, () => lost++)).toMatchObject({ _tag: "Admitted" })

      yield* end
      const start = yield* Clock.currentTimeMillis
      expect(yield* ask(closed)).toMatchObject({ _tag: "Denied", why: "unavailable" })
      expect(yield* ask(open)).toMatchObject({ _tag: "Admitted" })
      expect((yield* Clock.currentTimeMillis) - start).toBeLessThan(1000)
      yield* Effect.sleep(lease)
      expect(lost).toBe(1)

      yield* Peers.start("redis-server", argsOf(port))
      yield* askUntil(closed, "in")
      // The other place is that of the connection that came in while nobody could be asked.
      yield* askUntil(closed, "capacity")
    }).pipe(quietly))

  it.live("keep who is in service when it is started anew, and let nobody in for one lease", () =>
    Effect.gen(function*() {
      const { end, port } = yield* mortal
      const options = { limits: [Admission.inAll({ atOnce: 2 })], lease: 2000 }
      const admission = yield* machine(port, options)
      let lost = 0
      for (let i = 0; i < 2; i++) {
        expect(yield* ask(admission, undefined, () => lost++)).toMatchObject({ _tag: "Admitted" })
      }

      yield* end
      yield* Peers.start("redis-server", argsOf(port))
      const other = yield* machine(port, options)
      expect(yield* askUntil(other, "unavailable")).toMatchObject({ retryAfter: expect.anything() })
      yield* askUntil(other, "capacity")
      expect(lost).toBe(0)
    }).pipe(quietly))
})
