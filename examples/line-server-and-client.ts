/**
 * The line protocol over real TCP: a server as a layer on a free port, a client that calls twice at once, and a client
 * that does not know the protocol and is turned away.
 */
import { Effect, Layer } from "effect"
import { Client, Codec, Handshake, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"

const LineServer = Server.layer({
  protocol: Line.protocol,
  serve: Pipeline.serve((line) => Effect.succeed(`${line}!`))
}).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))

/** It says something else than what the server waits for. */
const rude = Transport.framed(Codec.lines()).pipe(
  Handshake.send("Hello?"),
  Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
  Handshake.named("line")
)

const program = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const sockets = [Net.socket(address)] as const

  // The scope is the connection's: when it closes, the connection does.
  const answers = yield* Effect.scoped(Effect.gen(function*() {
    const client = yield* Client.connect({ protocol: Line.protocol, sockets })
    // Both requests are sent before the first response comes.
    return yield* Effect.all([client.call("Hello"), client.call("Goodbye")], { concurrency: "unbounded" })
  }))
  console.log(answers) // => [ 'Hello!', 'Goodbye!' ]

  const turnedAway = yield* Client.connect({ handshake: rude, sockets }).pipe(
    Effect.as("accepted"),
    Effect.catchReason("HandshakeError", "Rejected", (reason) => Effect.succeed(`turned away with ${reason.said}`)),
    Effect.scoped
  )
  console.log(turnedAway) // => turned away with "No! Go away!"
})

await Effect.runPromise(Effect.provide(program, LineServer))
console.log("the server has drained and stopped") // => the server has drained and stopped
