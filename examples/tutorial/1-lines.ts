/**
 * Step 1: a chat over lines. A client says its name, and is in the room.
 *
 *     C  NAME ann
 *     S  WELCOME
 *     C  Hello
 *     S  OK
 *
 *     node examples/tutorial/1-lines.ts
 */
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { Codec, Handshake, HandshakeError, Server, Transport, TransportError } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Chat from "./chat.ts"

const lines = Transport.framed(Codec.lines())

const server = lines.pipe(
  Handshake.receive("name", (line, transport) => {
    const user = /^NAME (\w{1,16})$/.exec(line)?.[1]
    return user === undefined
      ? Effect.fail(
        new HandshakeError.InvalidGreeting({ expected: "NAME and a name", received: Transport.show(transport, line) })
      )
      : Effect.succeed(Transport.extend(transport, { user }))
  }, { orReply: "ERROR say NAME and your name" }),
  Handshake.send("WELCOME"),
  Handshake.named("chat")
)

const client = (name: string) =>
  lines.pipe(
    Handshake.send(`NAME ${name}`),
    Handshake.expect("WELCOME", { rejections: ["ERROR say NAME and your name"], retryable: false }),
    Handshake.named("chat")
  )

const ChatServer = Server.layer({ handshake: server, serve: Chat.serve, writeTimeout: "1 second" }).pipe(
  Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
  Layer.provide(Chat.Room.layer)
)

const program = Effect.gen(function*() {
  const ann = yield* Chat.enter(client("ann"))
  const bob = yield* Chat.enter(client("bob"))

  // 1. What one says all others hear, and who comes late hears what was said last.
  console.log(yield* ann.say("Hello")) // => OK
  console.log(yield* bob.hear) // => 1 ann: Hello
  yield* bob.say("Hi, ann")
  console.log(yield* ann.hear) // => 2 bob: Hi, ann
  const late = yield* Effect.scoped(
    Effect.flatMap(Chat.enter(client("cid")), ({ hear }) => Effect.replicateEffect(hear, 2))
  )
  console.log(late) // => [ '1 ann: Hello', '2 bob: Hi, ann' ]

  // 2. Who does not say a name hears what is due.
  const nobody = yield* Effect.flip(Chat.enter(client("no body")))
  console.log(nobody.message)
  // => chat handshake failed at step expect "WELCOME": rejected by the peer: "ERROR say NAME and your name"

  // 3. Dan does not listen. When all buffers are full, he holds the others up, for a second and no longer.
  const { events } = yield* Server.Server
  const thrownOut = yield* events.pipe(
    Stream.map((event) => event._tag === "Closed" ? event.error : undefined),
    Stream.filter(TransportError.isTransportError),
    Stream.runHead,
    Effect.forkChild({ startImmediately: true })
  )
  yield* Chat.enter(client("dan"), 1)
  const heard = yield* Effect.forkChild(Effect.replicateEffect(bob.hear, 200))
  yield* Effect.replicateEffect(ann.say("x".repeat(60_000)), 200, { concurrency: 10 })
  console.log(new Set(yield* Fiber.join(heard)).size) // => 200
  console.log(Option.getOrThrow(yield* Fiber.join(thrownOut)).message)
  // => the peer did not take what was written within 1s
}).pipe(Effect.scoped)

await Effect.runPromise(Effect.provide(program, ChatServer))
