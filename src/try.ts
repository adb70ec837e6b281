import * as Effect from "effect/Effect"
import * as Sink from "effect/Sink"
import * as Fiber from "effect/Fiber"
import * as Socket from "effect/socket/Socket"
import * as Codec from "./Codec.ts"
import * as Handshake from "./Handshake.ts"
import * as Transcript from "./Transcript.ts"
import * as Transport from "./Transport.ts"
import * as Line from "./protocols/Line.ts"
import * as MemorySocket from "./testing/MemorySocket.ts"

const bad = Transport.framed(Codec.lines()).pipe(
  Handshake.send("hi"),
  Handshake.expect("Bring it!", { rejections: ["No! Go away!"] })
)
const program = Effect.gen(function*() {
  for (const client of [Line.client, bad]) {
    const [l, r] = yield* MemorySocket.pair()
    const fiber = yield* Effect.forkChild(Effect.scoped(Transcript.record(Line.server.pipe(Effect.flatMap((t) => t.run(Sink.head())), Handshake.deadline("10 seconds"))).pipe(Effect.provideService(Socket.Socket, r))))
    const [exit, tr] = yield* Effect.scoped(Transcript.record(Effect.tap(client, (t) => t.sendAll(["Hello", "x"]))).pipe(Effect.provideService(Socket.Socket, l)))
    console.log(exit._tag)
    console.log(Transcript.diagram(tr))
    console.log(JSON.stringify((yield* Fiber.join(fiber))[1]))
  }
})
await Effect.runPromise(program)
