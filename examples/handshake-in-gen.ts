/**
 * The line protocol written with `Effect.gen`, both sides, over a socket in memory. `transport.run(Sink.head())` takes
 * one frame and leaves what comes behind it in the transport; `Handshake.refuse` says no so that it is heard.
 */
import { Effect, Fiber, Option, Sink, Stream } from "effect"
import { Codec, Handshake, HandshakeError, Transport } from "effect-handshake"
import { MemorySocket } from "effect-handshake/testing"
import { Socket } from "effect/socket"

const server = Effect.gen(function*() {
  const transport = yield* Transport.framed(Codec.lines())
  const greeting = yield* transport.run(Sink.head()).pipe(Handshake.step("greeting"))
  if (Option.getOrUndefined(greeting) !== "You ready?") {
    // Without a reason of ours the error would say `Rejected`; the peer hears the same either way.
    const received = JSON.stringify(Option.getOrElse(greeting, () => ""))
    const reason = new HandshakeError.InvalidGreeting({ expected: "\"You ready?\"", received })
    return yield* Handshake.refuse(transport, "No! Go away!", reason)
  }
  yield* transport.send("Bring it!")
  return transport
}).pipe(Handshake.deadline("5 seconds"), Handshake.named("line"))

const client = (greeting: string) =>
  Effect.gen(function*() {
    const transport = yield* Transport.framed(Codec.lines())
    // The first request travels with the greeting. It waits in the server's transport until the handshake is done.
    yield* transport.sendAll([greeting, "Hello"])
    const answer = yield* transport.run(Sink.head()).pipe(Handshake.step("answer"))
    if (Option.isNone(answer)) return yield* new HandshakeError.UnexpectedEnd({ excerpt: "" })
    if (answer.value !== "Bring it!") {
      return yield* new HandshakeError.Rejected({ by: "peer", said: JSON.stringify(answer.value), retryable: true })
    }
    return transport
  }).pipe(Handshake.deadline("5 seconds"), Handshake.named("line"))

/** Behind the handshake a transport is a Stream in and a Sink out. */
const echo = Effect.gen(function*() {
  const transport = yield* server
  yield* transport.incoming.pipe(Stream.map((line) => `${line}!`), Stream.run(transport.outgoing))
})

const talk = Effect.fnUntraced(function*(greeting: string) {
  const [here, there] = yield* MemorySocket.pair()
  const serving = yield* Effect.scoped(echo).pipe(
    Effect.provideService(Socket.Socket, there),
    Effect.forkChild
  )
  yield* client(greeting).pipe(
    Effect.flatMap((transport) => transport.receive),
    Effect.tap((answer) => Effect.sync(() => console.log(`answer: ${answer}`))),
    Effect.catchTag("HandshakeError", (error) => Effect.sync(() => console.log(`client: ${error.message}`))),
    Effect.scoped,
    Effect.provideService(Socket.Socket, here)
  )
  yield* Fiber.join(serving).pipe(
    Effect.catchTag("HandshakeError", (error) => Effect.sync(() => console.log(`server: ${error.message}`)))
  )
})

await Effect.runPromise(talk("You ready?"))
// => answer: Hello!

await Effect.runPromise(talk("Hello?"))
// => client: line handshake failed at step answer: rejected by the peer: "No! Go away!"; try again later or elsewhere
// => server: line handshake failed at step refuse: expected "You ready?", received "Hello?"
