/**
 * The property test of a handshake by hand, without a test framework: however the client's bytes are cut, the server does
 * the same; and wherever they end, it says at once what is missing.
 */
import { Effect, Stream } from "effect"
import { Codec, Handshake, Transport } from "effect-handshake"
import * as Line from "effect-handshake/protocols/Line"
import { MemorySocket } from "effect-handshake/testing"
import { Socket } from "effect/socket"

const said = new TextEncoder().encode("You ready?\nHello\nGoodbye\n")

type Segments = (bytes: Uint8Array) => ReadonlyArray<Uint8Array>

/** Shakes hands and answers each line, until the peer ends. */
const server = Effect.gen(function*() {
  const transport = yield* Line.server
  yield* transport.incoming.pipe(Stream.map((line) => line.toUpperCase()), Stream.run(transport.outgoing))
  return "ended in order"
}).pipe(
  Handshake.deadline("5 seconds"),
  Effect.catchTag("HandshakeError", (error) => Effect.succeed(`${error.step}: ${error.reason._tag}`)),
  Effect.catchTag("TransportError", (error) => Effect.succeed(`in service: ${error.reason._tag}`))
)

/** Says these bytes, ends, and reports how the server took it and what was heard from it. */
const outcome = (bytes: Uint8Array, segments: Segments) =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair({ segments })
    const writer = yield* here.writer
    if (bytes.length > 0) yield* writer.write(bytes)
    yield* writer.write(new Socket.CloseEvent(1000))
    const result = yield* Effect.scoped(server).pipe(Effect.provideService(Socket.Socket, there))
    const peer = yield* Transport.framed(Codec.bytes).pipe(Effect.provideService(Socket.Socket, here))
    const heard = yield* peer.incoming.pipe(Stream.decodeText, Stream.mkString)
    return `${result}; heard ${JSON.stringify(heard)}`
  }).pipe(Effect.scoped)

const cutAt = (...positions: ReadonlyArray<number>): Segments => (bytes) =>
  [0, ...positions].map((from, i) => bytes.subarray(from, positions[i] ?? bytes.length)).filter((part) =>
    part.length > 0
  )

const program = Effect.gen(function*() {
  const whole = yield* outcome(said, (bytes) => [bytes])
  console.log(whole) // => ended in order; heard "Bring it!\nHELLO\nGOODBYE\n"

  // Every way to cut the bytes in two, and in three
  let tried = 0
  let different = 0
  for (let first = 1; first < said.length; first++) {
    for (let second = first; second < said.length; second++) {
      tried++
      if ((yield* outcome(said, cutAt(first, second))) !== whole) different++
    }
  }
  console.log(`${tried} ways to cut them, ${different} different outcomes`) // => 300 ways to cut them, 0 different outcomes

  const bytewise = yield* outcome(said, (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte)))
  console.log(bytewise === whole) // => true

  // Every place where they can end
  const ends = new Map<string, number>()
  for (let length = 0; length <= said.length; length++) {
    const end = (yield* outcome(said.subarray(0, length), (bytes) => [bytes])).replace(/; heard.*$/, "")
    ends.set(end, (ends.get(end) ?? 0) + 1)
  }
  for (const [end, times] of ends) console.log(`${times} x ${end}`)
  // => 11 x question: UnexpectedEnd
  // => 3 x ended in order
  // => 12 x in service: Truncated
})

await Effect.runPromise(program)
