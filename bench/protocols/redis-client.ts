/**
 * Asks Redis for a value, again and again over one connection, with one of the clients.
 *
 * `redis-client.ts CLIENT PORT SECONDS`
 */
import * as Net from "effect-handshake/node/Net"
import * as Effect from "effect/Effect"
import * as Foreign from "./foreign.ts"
import * as Sample from "./sample.ts"

const [client, port, seconds] = process.argv.slice(2)

const at = { host: "127.0.0.1", port: Number(port) }

/** How many calls are in flight. */
const atOnce = 64

const [key, value] = ["bench", "a value of some length"]

const right = (answer: unknown): void => {
  if (answer !== value) throw new Error(`the answer is ${String(answer)}`)
}

const promised = (get: () => Promise<unknown>): Sample.Load["work"] => Sample.repeated(async () => right(await get()))

/** What is used of the others. */
interface IoRedis {
  readonly set: (key: string, value: string) => Promise<unknown>
  readonly get: (key: string) => Promise<unknown>
}

interface NodeRedis extends IoRedis {
  readonly connect: () => Promise<unknown>
}

const clients: Readonly<Record<string, () => Promise<Sample.Load["work"]>>> = {
  ours: async () => {
    const Redis = await import("../../examples/redis/client.ts")
    // The client lives as long as this process.
    const { promise, resolve } = Promise.withResolvers<Effect.Success<ReturnType<typeof Redis.make>>>()
    void Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const redis = yield* Redis.make({ sockets: [Net.socket(at)] })
        yield* redis.call(["SET", key, value])
        resolve(redis)
        return yield* Effect.never
      }))
    )
    const { call } = await promise
    const get = call(["GET", key])
    return (isOver, done) =>
      Effect.runPromise(
        Effect.whileLoop({
          while: () => !isOver(),
          body: () => get,
          step: (answer) => {
            right(answer)
            done()
          }
        })
      )
  },
  ioredis: async () => {
    const { Redis } = await Foreign.load<{ readonly Redis: new(port: number, host: string) => IoRedis }>("ioredis")
    const redis = new Redis(at.port, at.host)
    await redis.set(key, value)
    return promised(() => redis.get(key))
  },
  redis: async () => {
    const { createClient } = await Foreign.load<{
      readonly createClient: (options: { readonly socket: typeof at }) => NodeRedis
    }>("redis")
    const redis = createClient({ socket: at })
    await redis.connect()
    await redis.set(key, value)
    return promised(() => redis.get(key))
  }
}

await Sample.serve(Number(seconds), Sample.sideBySide({ work: await clients[client](), atOnce }))
