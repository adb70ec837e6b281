/**
 * A decoder that is written from top to bottom, and still may be cut anywhere: RESP, the protocol of Redis, in
 * [resp/codec.ts](resp/codec.ts).
 */
import { Effect, Stream } from "effect"
import { Transport } from "effect-handshake"
import { MemorySocket } from "effect-handshake/testing"
import { Socket } from "effect/socket"
import { type Frame, resp, type Value } from "./resp/codec.ts"

const store = new Map<string, Value>()

const answer = (command: Frame): Value => {
  const [name, key, value] = Array.isArray(command) ? command : []
  if (name === "GET" && typeof key === "string") return store.get(key) ?? null
  if (name !== "SET" || typeof key !== "string") return { _tag: "Error", message: "ERR unknown command" }
  store.set(key, value)
  return "OK"
}

const everyByte = (bytes: Uint8Array) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))

const program = Effect.gen(function*() {
  const [here, there] = yield* MemorySocket.pair({ segments: everyByte })

  const server = yield* Transport.framed(resp()).pipe(Effect.provideService(Socket.Socket, there))
  yield* Effect.forkScoped(server.incoming.pipe(Stream.map(answer), Stream.run(server.outgoing)))

  const client = yield* Transport.framed(resp()).pipe(Effect.provideService(Socket.Socket, here))
  for (const command of [["SET", "steps", ["Hello", ["Nonce", 7], true]], ["GET", "steps"], ["GET", "x"], "what?"]) {
    yield* client.send(command)
    console.log(yield* client.receive)
  }
}).pipe(Effect.scoped)

Effect.runPromise(program)
// => OK
// => [ 'Hello', [ 'Nonce', 7 ], true ]
// => null
// => { _tag: 'Error', message: 'ERR unknown command' }
