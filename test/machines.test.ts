/**
 * Machines behind haproxy that are restarted one after the other while they are asked for more than they begin with at once. Two
 * restarts of each, or as many in all as `RESTARTS` says.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { announced, Readiness, route, type State } from "../examples/machines/readiness.ts"
import * as Client from "../src/Client.ts"
import * as Net from "../src/node/Net.ts"
import * as Line from "../src/protocols/Line.ts"
import { bundled } from "./support/bundle.ts"
import { directory } from "./support/directory.ts"
import * as Peers from "./support/peers.ts"

const host = "127.0.0.1"

interface Place {
  readonly name: string
  readonly port: number
  readonly healthPort: number
}

const configuration = (port: number, places: ReadonlyArray<Place>): string => `
global
  maxconn 100
defaults
  mode tcp
  timeout connect 1s
  timeout client 1m
  timeout server 1m
  retries 3
  option redispatch 1
listen bookings
  bind ${host}:${port}
  balance leastconn
  option httpchk GET /ready
  default-server send-proxy-v2 check inter 50ms fall 1 rise 1
${places.map(({ healthPort, name, port }) => `  server ${name} ${host}:${port} port ${healthPort}\n`).join("")}`

const health = ({ healthPort }: Place) =>
  Effect.tryPromise(async () => {
    const answer = await fetch(`http://${host}:${healthPort}/ready`)
    return { status: answer.status, text: await answer.text() }
  })

/** A machine, until the scope is closed; and how that is. */
const machine = Effect.fnUntraced(function*(place: Place, redis: string) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const running = yield* Peers.start(process.execPath, [bundled("machine")], {
    env: {
      NAME: place.name,
      PORT: `${place.port}`,
      HEALTH_PORT: `${place.healthPort}`,
      REDIS_URL: redis,
      NOTICE: "150 millis",
      LEASE: "1 second"
    }
  }).pipe(Scope.provide(scope))
  yield* Peers.untilReady(
    running,
    place.name,
    Effect.filterOrFail(health(place), ({ status }) => status === 200)
  )
  return { running, stop: Scope.close(scope, Exit.void) }
})

describe("what a balancer is told", () => {
  const answer = (state: State) =>
    Effect.promise(async () => {
      const readiness = Layer.effect(Readiness, Ref.make(state))
      const { dispose, handler } = HttpRouter.toWebHandler(Layer.provideMerge(route, readiness), {
        disableLogger: true
      })
      const { status } = await handler(new Request("http://machine/ready"))
      await dispose()
      return status
    })

  it.effect("is that this machine takes somebody new, and else that it does not", () =>
    Effect.gen(function*() {
      expect(yield* answer("starting")).toBe(503)
      expect(yield* answer("ready")).toBe(200)
      expect(yield* answer("leaving")).toBe(503)
    }))

  it.effect("is that it leaves, for as long as the notice, before anything goes", () =>
    Effect.gen(function*() {
      const state = yield* Ref.make<State>("starting")
      const log: Array<string> = []
      const server = Layer.effectDiscard(Effect.acquireRelease(
        Effect.map(Ref.get(state), (state) => log.push(`${state}: the server comes`)),
        () => Effect.map(Ref.get(state), (state) => log.push(`${state}: the server goes`))
      ))
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        announced("5 seconds").pipe(Layer.provide(server), Layer.provide(Layer.succeed(Readiness, state))),
        scope
      )
      expect(yield* Ref.get(state)).toBe("ready")
      const leaving = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("4999 millis")
      expect(yield* Ref.get(state)).toBe("leaving")
      expect(log).toEqual(["starting: the server comes"])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(leaving)
      expect(log).toEqual(["starting: the server comes", "leaving: the server goes"])
    }))
})

Peers.describeWith(["haproxy", "redis-server"], "two machines behind haproxy", () => {
  it.live("that are restarted under load lose no request, and do none twice", () =>
    Effect.gen(function*() {
      const restarts = Number(process.env.RESTARTS ?? 4)
      const redis = yield* Peers.serverOn("redis-server", (port) => ["--bind", host, "--port", `${port}`, "--save", ""])
      const url = `redis://${host}:${redis.port}`
      const placeOf = (name: string) =>
        Effect.map(Effect.all([Peers.freePort, Peers.freePort]), ([port, healthPort]) => ({ name, port, healthPort }))
      const places = [yield* placeOf("a"), yield* placeOf("b")]
      const machines = yield* Effect.forEach(places, (place) => machine(place, url), { concurrency: 2 })

      const config = join(yield* directory, "haproxy.cfg")
      const { port } = yield* Peers.serverOn("haproxy", (port) => {
        writeFileSync(config, configuration(port, places))
        return ["-db", "-f", config]
      })

      const load = { isDone: false, answered: 0 }
      const lost: Array<unknown> = []
      const by = new Map<string, number>()
      const client = Effect.fnUntraced(function*(id: number) {
        const bookings = yield* Client.reconnecting({
          protocol: Line.protocol,
          sockets: [Net.socket({ host, port })],
          schedule: Client.backoff({ base: "20 millis", max: "200 millis" }),
          goodbye: (line) => line === "BYE"
        })
        yield* bookings.ready
        for (let round = 0; !load.isDone; round++) {
          // More at once than one machine begins with.
          yield* Effect.forEach(Array.from({ length: 12 }, (_, n) => `${id}:${round}:${n}`), (line) =>
            Effect.map(Effect.result(bookings.call(line)), (result) => {
              load.answered++
              const [name, ...rest] = Result.isSuccess(result) ? result.success.split(" ") : []
              by.set(name, (by.get(name) ?? 0) + 1)
              if (rest.join(" ") !== `has booked ${line}`) {
                lost.push(Result.isSuccess(result) ? result.success : result.failure)
              }
            }), { concurrency: "unbounded" })
          yield* Effect.sleep("30 millis")
        }
      })
      const clients = yield* Effect.forkChild(
        Effect.forEach([0, 1, 2], (id) =>
          Effect.scoped(client(id)), { concurrency: "unbounded" })
      )
      for (let n = 0; n < restarts; n++) {
        const enough = load.answered + 100
        while (load.answered < enough) {
          yield* Effect.sleep("5 millis")
        }
        yield* machines[n % 2].stop
        // By itself, and was not killed.
        expect(machines[n % 2].running.exit()).toBe(130)
        machines[n % 2] = yield* machine(places[n % 2], url)
        // haproxy has seen it.
        yield* Effect.sleep("100 millis")
      }
      load.isDone = true
      yield* Fiber.join(clients)
      if (process.env.RESTARTS !== undefined) {
        yield* Effect.log(`${restarts} restarts, ${load.answered} requests, ${lost.length} of them lost`)
      }

      const done = yield* Effect.flatMap(Redis.Redis, (redis) =>
        redis.send<ReadonlyArray<string>>("HVALS", "bookings"))
        .pipe(
          Effect.provide(NodeRedis.layer({ url }))
        )
      expect(lost).toEqual([])
      expect(done).toEqual(Array.from({ length: load.answered }, () =>
        "1"))
      expect(Math.min(by.get("a") ?? 0, by.get("b") ?? 0)).toBeGreaterThan(0)
    }), 60_000)
})
