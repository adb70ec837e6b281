import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { make, type Options } from "../../examples/redis/client.ts"
import type { Value } from "../../examples/resp/codec.ts"
import * as Net from "../../src/node/Net.ts"
import { describeWith, freePort, start, untilReady } from "../support/peers.ts"

/** `redis-server` on this port, without anything on disk. It is killed when the scope closes. */
const redisOn = (port: number) =>
  Effect.gen(function*() {
    const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--requirepass", "secret"]
    const running = yield* start("redis-server", args, { signal: "SIGKILL" })
    const ready = Effect.suspend(() =>
      running.stdout.text.includes("Ready to accept") ? Effect.void : Effect.fail("not yet")
    )
    yield* untilReady(running, "redis-server", ready)
  })

const clientOf = (port: number, password: string, more?: Pick<Options, "first" | "onPush">) =>
  make({ sockets: [Net.socket({ host: "127.0.0.1", port })], password: Redacted.make(password), database: 3, ...more })

describeWith(["redis-server"], "a client of redis-server", () => {
  it.live("that is killed ten times under load takes no push for an answer, and knows of each failed call whether it was sent", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      // Each key that is set is a push, which comes between the answers.
      const pushes: Array<ReadonlyArray<Value>> = []
      const redis = yield* clientOf(port, "secret", {
        first: [["CLIENT", "TRACKING", "ON", "BCAST"]],
        onPush: (values) => Effect.sync(() => pushes.push(values))
      })
      const load = { isDone: false, answered: 0 }
      const failed = { no: 0, perhaps: 0 }
      const wrong: Array<unknown> = []
      // Each worker sets keys of its own and gets them back, and keeps count of what it knows of them.
      const worker = Effect.fnUntraced(function*(id: number) {
        for (let n = 0; !load.isDone; n++) {
          const key = `${id}:${n}`
          const set = yield* Effect.result(redis.call(["SET", key, key]))
          const got = yield* Effect.result(redis.call(["GET", key]))
          for (const result of [set, got]) {
            if (Result.isSuccess(result)) load.answered++
            else if (result.failure._tag === "TransportError" && result.failure.sent !== undefined) {
              failed[result.failure.sent]++
            } else wrong.push(result.failure)
          }
          if (Result.isSuccess(set) && set.success !== "OK") wrong.push([key, set.success])
          // A server that was killed has forgotten everything.
          if (Result.isSuccess(got) && got.success !== key && got.success !== null) wrong.push([key, got.success])
          // Calls that are answered at once leave room for what else there is.
          if (n % 16 === 0) yield* Effect.sleep(0)
        }
      })
      const workers = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }, (_, id) => id), worker, { concurrency: "unbounded" })
      )
      const kills = 10
      for (let n = 0; n < kills; n++) {
        const enough = load.answered + 200
        yield* Effect.scoped(Effect.gen(function*() {
          yield* redisOn(port)
          while (load.answered < enough) yield* Effect.sleep(2)
        }))
      }
      const scope = yield* Effect.scope
      yield* Scope.provide(redisOn(port), scope)
      load.isDone = true
      yield* Fiber.join(workers)
      expect(wrong).toEqual([])
      expect(pushes.filter(([kind, keys]) => kind !== "invalidate" || !Array.isArray(keys))).toEqual([])
      // Redis says of several keys at once that they have changed.
      expect(pushes.flatMap(([, keys]) => keys).length).toBeGreaterThan(50 * kills)
      // What was under way at each kill was SETs and GETs; the GETs were made again.
      expect(failed.perhaps).toBeGreaterThan(0)
      expect(failed.perhaps).toBeLessThanOrEqual(20 * kills)
      expect(failed.no).toBe(0)
      expect(yield* redis.call(["CLIENT", "INFO"])).toContain(" db=3 ")
    }))

  it.live("stops at a wrong password, which it has said once", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      yield* redisOn(port)
      const redis = yield* clientOf(port, "guess")
      expect(yield* Effect.flip(redis.call(["PING"]))).toMatchObject({
        sent: "no",
        reason: { _tag: "Unavailable", why: "stopped", cause: { reason: { _tag: "AuthenticationFailed" } } }
      })
      const right = yield* clientOf(port, "secret")
      expect(yield* right.call(["INFO", "stats"])).toContain("total_connections_received:2\r\n")
    }))
})
