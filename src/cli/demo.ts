/**
 * `demo`: a server and its clients on real TCP, with everything that they say.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import { Command } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as NetAddress from "effect/net/NetAddress"
import * as Client from "../Client.ts"
import * as Codec from "../Codec.ts"
import * as Handshake from "../Handshake.ts"
import * as Net from "../node/Net.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Line from "../protocols/Line.ts"
import * as Server from "../Server.ts"
import * as Transcript from "../Transcript.ts"
import * as Transport from "../Transport.ts"

// Prints each line that one side says or hears, when it does, and passes it on.
const printing = (side: string, next?: Transport.Observer): Transport.Observer => (event) => {
  next?.(event)
  if (event._tag === "Sent") console.log(`  ${side} says   ${event.frame}`)
  if (event._tag === "Received") console.log(`  ${side} hears  ${event.frame}`)
}

const watched = <A, E, R>(effect: Effect.Effect<A, E, R>, observer: Transport.Observer) =>
  Effect.provideService(effect, Transport.CurrentObserver, observer)

const room = 2

const server = Server.layer({
  protocol: {
    ...Line.protocol,
    server: watched(Line.protocol.server, printing("server"))
  },
  serve: Pipeline.serve<string, string>((line) => Effect.succeed(line)),
  maxConnections: room
}).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))

/** Knows the protocol, but not its manners. */
const rude = Transport.framed(Codec.lines()).pipe(
  Handshake.send("Hello?"),
  Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
  Handshake.named("line")
)

const program = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const at = NetAddress.formatSocketAddress(address)
  const socket = Net.socket({ host: "127.0.0.1", port: Number(at.slice(at.lastIndexOf(":") + 1)) })
  yield* Console.log(`A server of the line protocol listens on ${at}. It has room for two.`)

  const visit = Effect.fnUntraced(function*<A, E>(
    title: string,
    handshake: Handshake.Handshake<string, string>,
    use: (client: Client.Client<string, string>) => Effect.Effect<A, E>
  ) {
    yield* Console.log(`\n${title}\n`)
    const recorder = yield* Transcript.recorder
    const exit = yield* Client.connect({ handshake, sockets: [socket] }).pipe(
      Effect.flatMap(use),
      Effect.scoped,
      Effect.provideService(Transport.CurrentObserver, printing("client", recorder.observer)),
      Effect.exit
    )
    yield* Console.log(`\n${Transcript.diagram(recorder.entries()).replace(/^/gm, "    ")}`)
    if (Exit.isFailure(exit)) yield* Console.log(`\n  ${Cause.prettyErrors(exit.cause)[0].message}`)
  })

  yield* visit(
    "1. A client is accepted and calls Hello and Goodbye.",
    Line.client,
    (client) => Effect.andThen(client.call("Hello"), client.call("Goodbye"))
  )
  yield* visit("2. A client that greets wrongly is turned away.", rude, () => Effect.void)
  yield* Effect.scoped(Effect.gen(function*() {
    yield* Console.log("\n3. Two clients come and stay.\n")
    for (let guest = 0; guest < room; guest++) yield* Client.connect({ handshake: Line.client, sockets: [socket] })
    yield* visit("4. One more is turned away at capacity.", Line.client, () => Effect.void)
  }))
  yield* Console.log("\nThe server drains and stops.")
})

export const demo = Command.make("demo", {}, () => Effect.provide(program, server)).pipe(
  Command.withDescription("Watch a server and its clients shake hands on real TCP")
)
