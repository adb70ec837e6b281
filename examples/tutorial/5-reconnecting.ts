/**
 * Step 5: clients that come back. The server is restarted twice while ann speaks, and bob hears all of it, once.
 *
 *     node examples/tutorial/5-reconnecting.ts
 */
import { Array, Effect } from "effect"
import { Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import { NetAddress } from "effect/net"
import { SocketServer } from "effect/socket"
import * as Chat from "./chat.ts"
import * as Login from "./login.ts"
import * as Secure from "./secure.ts"

const start = (port: number) =>
  Server.make({
    protocol: { name: "chat", server: Secure.server(Login.users) },
    serve: Chat.serve,
    writeTimeout: "10 seconds"
  }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port })))

const program = Effect.gen(function*() {
  let server = yield* start(0)
  const { address } = server
  const port = NetAddress.isInetAddress(address) ? address.port : 0
  const ann = yield* Chat.stay(Secure.client("ann"), [address])
  const bob = yield* Chat.stay(Secure.client("bob"), [address])

  const talk = Effect.forEach(Array.range(1, 30), (n) => Effect.delay(ann.say(`line ${n}`), "5 millis"))
  const restart = Effect.gen(function*() {
    yield* Effect.sleep("40 millis")
    // As SIGTERM does it: nobody new is let in, and what was begun is answered.
    yield* server.drain
    yield* Effect.sleep("20 millis")
    server = yield* start(port)
  })
  const [heard] = yield* Effect.all([
    Effect.replicateEffect(bob.hear, 30),
    talk,
    Effect.replicateEffect(restart, 2)
  ], { concurrency: "unbounded" })

  console.log(heard[0], "|", heard[29]) // => 1 ann: line 1 | 30 ann: line 30
  console.log(new Set(heard).size) // => 30
}).pipe(Effect.scoped)

// The room is older than its servers.
await Effect.runPromise(Effect.provide(program, Chat.Room.layer))
