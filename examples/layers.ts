/**
 * A protocol in layers, made of public modules alone: a PROXY header, and inside it the line protocol. A client without a place
 * is told so in the inner protocol's words, and a server that drains says goodbye. The header is the least that shows it, and
 * believes anybody: the whole protocol is `effect-handshake/protocols/Proxy`.
 *
 *     node examples/layers.ts
 */
import { Effect, Fiber, Layer, Result, Scope } from "effect"
import { Bytes, Client, Codec, Excerpt, Handshake, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import { Socket } from "effect/socket"

// --- The header: one line of at most 107 bytes (the PROXY protocol, 2.1) ---

interface Header {
  readonly from: string
}

const newline = 10

const bad = (bytes: Uint8Array) =>
  Result.fail(new Codec.MalformedFrame({ problem: "no PROXY header", excerpt: Excerpt.ofBytes(bytes), fault: "peer" }))

const headers = Codec.make<Header>({
  maxLength: 107,
  decoder: () => ({
    decode: (input) => {
      const end = input.indexOf(newline, 0)
      if (end === -1) return undefined
      const bytes = input.take(end + 1)
      const [word, family, from, , port] = (Bytes.decodeUtf8(bytes, 0, end) ?? "").trimEnd().split(" ")
      return word !== "PROXY" || family !== "TCP4" || port === undefined
        ? bad(bytes)
        : Result.succeed({ from: `${from}:${port}` })
    }
  }),
  encode: ({ from }, into) => {
    const [address, port] = from.split(":")
    into.string(`PROXY TCP4 ${address} 127.0.0.1 ${port} 443\r\n`)
  }
})

const announced = Handshake.receive(
  Transport.framed(headers, { describe: ({ from }) => `PROXY ${from}` }),
  "PROXY header",
  (header, transport) => Effect.succeed(Transport.extend(transport, header))
)

/** The line protocol behind a header. Whoever is turned away hears the words of the line protocol. */
const server = Handshake.inside(({ from }) => Handshake.extend(Line.server, { from }), announced).pipe(
  Handshake.named("proxied line")
)

// --- The service: it knows where its clients come from, and says goodbye when the server drains ---

const serve = (transport: Effect.Success<typeof server>) =>
  Effect.raceFirst(
    transport.pipe(Pipeline.serve((line: string) => Effect.succeed(`${transport.from} said ${line}`))),
    Effect.andThen(Transport.whenDraining(transport), Transport.farewell(transport, ["Goodbye!"]))
  )

// --- The client: announces somebody, and gives the open connection to whatever asks for a socket ---

const connect = (address: Parameters<typeof Net.socket>[0], from: string) =>
  Effect.gen(function*() {
    const dialled = yield* Effect.provideServiceEffect(Transport.framed(headers), Socket.Socket, Net.socket(address))
    yield* dialled.send({ from })
    return yield* Client.connect({ protocol: Line.protocol }).pipe(
      Effect.provideService(Socket.Socket, Transport.socket(dialled))
    )
  })

const program = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Server.layer({ handshake: server, serve, maxConnections: 1 }).pipe(
      Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 }))
    ),
    scope
  )
  const { address, drain } = yield* Effect.provideContext(Server.Server, context)

  const client = yield* connect(address, "192.0.2.1:4711")
  console.log(yield* client.call("Hello")) // => 192.0.2.1:4711 said Hello

  const second = yield* Effect.flip(connect(address, "192.0.2.2:4711"))
  console.log(second.message)
  // => line handshake failed at step answer: rejected by the peer: "No! Go away!"; try again later or elsewhere

  const goodbye = yield* Effect.forkChild(client.transport.receive)
  yield* Effect.yieldNow
  yield* drain
  console.log(yield* Fiber.join(goodbye)) // => Goodbye!
})

await Effect.runPromise(Effect.scoped(program))
