/**
 * A hello that both sides say at once, with the features that each of them has: neither waits for the other, and both come to the
 * same features.
 */
import { Effect, Schema } from "effect"
import { Codec, Dialogue, Transport } from "effect-handshake"
import { MemorySocket } from "effect-handshake/testing"
import { Socket } from "effect/socket"

const Feature = Schema.Literals(["compression", "resume", "batches"])
type Feature = typeof Feature.Type

// Without a wire its messages are lines of JSON.
class Hello extends Dialogue.make<Hello>()({
  name: "hello",
  messages: {
    Hello: { name: Dialogue.free(Schema.String), features: Dialogue.free(Schema.Array(Feature)) },
    Leaving: {}
  },
  live: Codec.lines(),
  start: "hello",
  states: { hello: Dialogue.both({ Hello: Dialogue.ready, Leaving: Dialogue.refused() }, { within: "5 seconds" }) }
}) {}

const inCommon = (mine: ReadonlyArray<Feature>, theirs: ReadonlyArray<Feature>) =>
  Feature.literals.filter((feature) => mine.includes(feature) && theirs.includes(feature))

const peer = (name: string, features: ReadonlyArray<Feature>) => {
  const hello = { name, features }
  return {
    server: Hello.server((state) =>
      Effect.map(
        state.exchange("Hello", hello),
        ({ message, then }) =>
          Transport.extend(then, { with: message.name, features: inCommon(features, message.features) })
      )
    ),
    client: Hello.client((state) =>
      Effect.map(
        state.exchange("Hello", hello),
        ({ message, then }) =>
          Transport.extend(then, { with: message.name, features: inCommon(features, message.features) })
      )
    )
  }
}

const old = peer("the old one", ["compression", "resume"])
const young = peer("the young one", ["batches", "resume", "compression"])

const program = Effect.gen(function*() {
  const [here, there] = yield* MemorySocket.pair()
  const [server, client] = yield* Effect.all([
    Effect.provideService(old.server, Socket.Socket, there),
    Effect.provideService(young.client, Socket.Socket, here)
  ], { concurrency: 2 })
  console.log(server.with, server.features) // => the young one [ 'compression', 'resume' ]
  console.log(client.with, client.features) // => the old one [ 'compression', 'resume' ]
})

await Effect.runPromise(Effect.scoped(program))
