/**
 * Step 2: only who has a key comes in. How is written down once, in login.ts; the chat is the same as before.
 *
 *     node examples/tutorial/2-login.ts
 */
import { Effect, Layer, Redacted } from "effect"
import { Dialogue, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Chat from "./chat.ts"
import * as Login from "./login.ts"

const ChatServer = Server.layer({ handshake: Login.server(Login.users), serve: Chat.serve, writeTimeout: "10 seconds" })
  .pipe(
    Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
    Layer.provide(Chat.Room.layer)
  )

const program = Effect.gen(function*() {
  const ann = yield* Chat.enter(Login.client("ann"))
  const bob = yield* Chat.enter(Login.client("bob"))
  yield* ann.say("Hello")
  console.log(yield* bob.hear) // => 1 ann: Hello

  for (
    const impostor of [Login.client("ann", Redacted.make("guessed")), Login.client("eve", Redacted.make("guessed"))]
  ) {
    console.log((yield* Effect.flip(Chat.enter(impostor))).message)
  }
  // => chat handshake failed at step verdict: rejected by the peer: "DENIED"
  // => chat handshake failed at step verdict: rejected by the peer: "DENIED"
}).pipe(Effect.scoped)

await Effect.runPromise(Effect.provide(program, ChatServer))

console.log(Dialogue.outline(Login.Login).trimEnd())
// => chat, from greeting
// =>
// => greeting: client speaks, within 5s, in at most 64 bytes
// =>   Hello { user }   -> challenge
// =>
// => challenge: server speaks, in at most 64 bytes
// =>   Nonce { nonce }  -> answer
// =>   Busy             -> refused
// =>
// => answer: client speaks, within 5s, in at most 64 bytes
// =>   Proof { proof }  -> verdict
// =>
// => verdict: server speaks
// =>   Welcome          -> ready
// =>   Denied           -> refused for good
// =>
// => the server says Denied or else to whoever breaks the rules
