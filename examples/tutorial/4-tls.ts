/**
 * Step 4: the same inside TLS, from the first byte. The login and the chat do not change.
 *
 *     node examples/tutorial/4-tls.ts
 */
import { Effect, Layer } from "effect"
import { Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Chat from "./chat.ts"
import * as Login from "./login.ts"
import * as Secure from "./secure.ts"

const ChatServer = Server.layer({
  protocol: { name: "chat", server: Secure.server(Login.users) },
  serve: Chat.serve,
  writeTimeout: "10 seconds"
}).pipe(
  Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
  Layer.provide(Chat.Room.layer)
)

const program = Effect.gen(function*() {
  const ann = yield* Chat.enter(Secure.client("ann"))
  const bob = yield* Chat.enter(Secure.client("bob"))
  const { tls } = yield* ann.peer
  console.log(tls?.version, tls?.certificate?.subject, tls?.verified) // => TLSv1.3 CN=localhost true
  yield* ann.say("Hello")
  console.log(yield* bob.hear) // => 1 ann: Hello

  // Somebody else is there than was meant: nothing of the login is said.
  const elsewhere = yield* Effect.flip(Chat.enter(Secure.client("ann", { servername: "chat.example.com" })))
  console.log(elsewhere.reason._tag === "TlsFailure" && elsewhere.reason.kind) // => wrong-name

  // Whoever comes in clear is not let in.
  const inClear = yield* Effect.flip(Chat.enter(Login.client("ann")))
  console.log(inClear.message) // => chat handshake failed at step challenge: the peer ended the connection
}).pipe(Effect.scoped)

await Effect.runPromise(Effect.provide(program, ChatServer))
