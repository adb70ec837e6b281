/**
 * A client of Redis whose server is restarted under it, in [redis/client.ts](redis/client.ts). The server here is a small
 * one in memory; the tests have the client talk to `redis-server`.
 */
import { Effect, Fiber, Layer, Queue, Result } from "effect"
import { Pipeline, Server, Transport, type TransportError } from "effect-handshake"
import { MemorySocket } from "effect-handshake/testing"
import { SocketServer } from "effect/socket"
import { make, Redis } from "./redis/client.ts"
import { type Frame, resp, type Value } from "./resp/codec.ts"

const store = new Map<string, Value>()

/** Its clients have all been told that they follow each key. */
const answer = (
  command: Frame,
  client: Transport.Transport<Frame, Frame>
): Effect.Effect<Value, TransportError.TransportError> => {
  const [name, key, value] = Array.isArray(command) ? command : []
  switch (name) {
    case "HELLO":
      return Effect.succeed(["server", "memory", "proto", 3])
    case "SELECT":
    case "CLIENT":
      return Effect.succeed("OK")
    case "SET":
      store.set(key, value)
      return Effect.as(client.send({ _tag: "Push", values: ["invalidate", [key]] }), "OK")
    case "GET":
      return Effect.succeed(store.get(key) ?? null)
    case "BLPOP":
      return Effect.never
    default:
      return Effect.succeed({ _tag: "Error", message: `ERR unknown command '${name}'` })
  }
}

const program = Effect.gen(function*() {
  const network = yield* MemorySocket.network()
  const server = Server.layer({
    handshake: Transport.framed(resp()),
    serve: (transport) => Pipeline.serve((command: Frame) => answer(command, transport))(transport),
    drainTimeout: 0
  }).pipe(Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server)))
  const pushes = yield* Queue.bounded<ReadonlyArray<Value>>(16)

  const client = Effect.gen(function*() {
    const redis = yield* Redis
    // 1. Calls that are made together travel together, also before there is a connection.
    const calls = Effect.all([redis.call(["SET", "x", "1"]), redis.call(["GET", "x"])], { concurrency: "unbounded" })
    console.log(yield* calls.pipe(Effect.provide(server))) // => [ 'OK', '1' ]
    // What the server says of its own accord is nobody's answer.
    console.log(yield* Queue.take(pushes)) // => [ 'invalidate', [ 'x' ] ]

    // 2. The server was restarted: nothing is to be done about that.
    const error = yield* Effect.flip(redis.call(["OOPS"])).pipe(Effect.provide(server))
    console.log(`${error._tag}: ${error.message}`) // => RedisError: ERR unknown command 'OOPS'

    // 3. The server goes away with a call under way, which says so.
    const popping = yield* Effect.forkChild(Effect.result(redis.call(["BLPOP", "queue", "0"])))
    yield* Effect.andThen(redis.ready, Effect.sleep("20 millis")).pipe(Effect.provide(server))
    const popped = yield* Fiber.join(popping)
    if (Result.isFailure(popped) && popped.failure._tag === "TransportError") {
      console.log(`${popped.failure.message}, sent: ${popped.failure.sent}`) // => the peer closed the connection, sent: perhaps
    }
  })
  const redis = make({
    sockets: [Effect.succeed(network.client)],
    first: [["CLIENT", "TRACKING", "ON", "BCAST"]],
    onPush: (values) => Queue.offer(pushes, values)
  })
  yield* client.pipe(Effect.provide(Layer.effect(Redis, redis)))
})

await Effect.runPromise(Effect.scoped(program))
