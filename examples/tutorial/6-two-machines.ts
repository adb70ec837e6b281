/**
 * Step 6: one room on two machines. Machine b is restarted while ann speaks on a; bob, who was on b, goes on at a.
 *
 *     node examples/tutorial/6-two-machines.ts
 */
import { Array, Effect, Layer } from "effect"
import { Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import type { NetAddress } from "effect/net"
import * as Chat from "./chat.ts"
import * as Hub from "./hub.ts"
import * as Login from "./login.ts"
import * as Secure from "./secure.ts"

// Each of these is a process of its own, on a machine of its own: `NodeRuntime.runMain(Layer.launch(HubServer))`.
const HubServer = Server.layer({
  protocol: { name: "hub", server: Secure.server(Hub.machines) },
  serve: Hub.serve,
  writeTimeout: "30 seconds"
}).pipe(
  Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
  Layer.provide(Chat.Room.layer)
)

const Machine = (name: string, hub: NetAddress.SocketAddress) =>
  Server.layer({
    protocol: { name: "chat", server: Secure.server(Login.users) },
    serve: Chat.serve,
    // Sooner than the hub gives up the machine because of it.
    writeTimeout: "5 seconds"
  }).pipe(
    Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
    Layer.provide(Hub.room(name, hub))
  )

const program = Effect.gen(function*() {
  const start = <E, R>(layer: Layer.Layer<Server.Server, E, R>) =>
    Effect.flatMap(Layer.build(layer), (context) => Effect.provideContext(Server.Server, context))
  const hub = yield* start(HubServer)
  const a = yield* start(Machine("a", hub.address))
  const b = yield* start(Machine("b", hub.address))

  const ann = yield* Chat.stay(Secure.client("ann"), [a.address, b.address])
  const bob = yield* Chat.stay(Secure.client("bob"), [b.address, a.address])
  console.log(yield* ann.say("Hello"), yield* bob.hear) // => OK 1 ann: Hello
  console.log(yield* bob.say("Hi, ann"), yield* ann.hear) // => OK 2 bob: Hi, ann

  const talk = Effect.forEach(Array.range(1, 30), (n) => Effect.delay(ann.say(`line ${n}`), "5 millis"))
  const [heard] = yield* Effect.all([
    Effect.replicateEffect(bob.hear, 30),
    talk,
    Effect.delay(b.drain, "40 millis")
  ], { concurrency: "unbounded" })
  console.log(heard[0], "|", heard[29]) // => 3 ann: line 1 | 32 ann: line 30
  console.log(new Set(heard).size, (yield* a.counts).connections) // => 30 2
}).pipe(Effect.scoped)

await Effect.runPromise(program)
