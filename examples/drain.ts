/**
 * A graceful shutdown on real TCP: a request is under way when the server drains. It is answered; what comes later is
 * not, and nobody new is let in.
 */
import { Deferred, Effect, Exit, Fiber, Layer } from "effect"
import { Client, Pipeline, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"

const program = Effect.gen(function*() {
  const taken = yield* Deferred.make<void>()
  const context = yield* Layer.build(
    Server.layer({
      protocol: Line.protocol,
      // Each answer takes its time.
      serve: Pipeline.serve((line) =>
        Deferred.succeed(taken, undefined).pipe(
          Effect.andThen(Effect.sleep("300 millis")),
          Effect.as(`${line}, at last`)
        )
      ),
      drainTimeout: "5 seconds"
    }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
  )
  const server = yield* Effect.provide(Server.Server, context)
  const sockets = [Net.socket(server.address)] as const

  const client = yield* Client.connect({ protocol: Line.protocol, sockets })
  const answer = yield* Effect.forkChild(client.call("Hello"))
  yield* Deferred.await(taken)

  console.log("draining, with one request under way") // => draining, with one request under way
  const draining = yield* Effect.forkChild(server.drain, { startImmediately: true })

  const newcomer = yield* Effect.exit(Effect.scoped(Client.connect({ protocol: Line.protocol, sockets })))
  console.log(Exit.isSuccess(newcomer) ? "a newcomer got in" : "a newcomer stays outside")
  // => a newcomer stays outside

  console.log(yield* Fiber.join(answer)) // => Hello, at last
  yield* Fiber.join(draining)
  console.log(yield* server.counts) // => { connections: 0, pending: 0, refusing: 0 }

  const late = yield* client.call("Hello again").pipe(
    Effect.catchReason("TransportError", "ConnectionClosed", ({ by }) => Effect.succeed(`closed by the ${by}`))
  )
  console.log(late) // => closed by the peer
})

await Effect.runPromise(Effect.scoped(program))
