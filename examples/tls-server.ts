/**
 * TLS from the first byte, over real TCP: two protocols on one port chosen by ALPN, a certificate for each name (SNI), and
 * one that is replaced while the server serves.
 */
import { Effect, Layer, Ref } from "effect"
import { Client, Codec, Handshake, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Tls from "effect-handshake/protocols/Tls"
// Those of the tests. Yours are PEM texts, from a file or a service.
import * as Certificates from "./certificates/index.ts"

const lines = Transport.framed(Codec.lines())

// Two protocols. Each transport says which one it is of.
const chat = lines.pipe(
  Handshake.expect("CHAT", { orReply: "NO" }),
  Handshake.send("TALK"),
  Handshake.extend({ protocol: "chat" })
)
const mail = lines.pipe(
  Handshake.expect("MAIL", { orReply: "NO" }),
  Handshake.send("WRITE"),
  Handshake.extend({ protocol: "mail" })
)

const first: Tls.ServerOptions = {
  certificate: Certificates.server,
  names: { "other.test": Certificates.other, "*.wild.test": Certificates.wild },
  minVersion: "TLSv1.3"
}

const client = (options: { readonly protocol: "chat" | "mail"; readonly servername: string }) =>
  lines.pipe(
    Handshake.send(options.protocol.toUpperCase()),
    Handshake.expect(options.protocol === "chat" ? "TALK" : "WRITE"),
    Tls.client({ servername: options.servername, alpn: [options.protocol], ca: Certificates.root }),
    Handshake.named(options.protocol)
  )

const program = Effect.gen(function*() {
  const current = yield* Ref.make(first)
  const context = yield* Layer.build(
    Server.layer({
      // The options are read for each connection.
      handshake: Tls.alpn({ chat, mail }).pipe(Tls.server(Ref.get(current)), Handshake.named("lines inside TLS")),
      serve: (transport) =>
        Pipeline.serve((line: string) => Effect.succeed(`${transport.protocol}: ${line}`))(transport)
    }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
  )
  const { address } = yield* Effect.provide(Server.Server, context)

  const visit = (protocol: "chat" | "mail", servername: string) =>
    Client.connect({ handshake: client({ protocol, servername }), sockets: [Net.socket(address)] })
  const subjectOf = ({ transport }: Effect.Success<ReturnType<typeof visit>>) =>
    Effect.map(transport.peer, ({ tls }) => tls?.certificate?.subject)

  // ALPN decides what is spoken.
  const before = yield* visit("chat", "localhost")
  console.log(yield* before.call("Hello")) // => chat: Hello
  console.log(yield* Effect.flatMap(visit("mail", "localhost"), ({ call }) => call("Hello"))) // => mail: Hello

  // SNI decides which certificate is shown.
  for (const name of ["localhost", "other.test", "a.wild.test"]) {
    console.log(yield* Effect.flatMap(visit("chat", name), subjectOf))
  }
  // => CN=localhost
  // => CN=other.test
  // => CN=*.wild.test

  // From now on new connections get the new certificate. The old ones go on.
  yield* Ref.set(current, { ...first, certificate: Certificates.replacement })
  const after = yield* visit("chat", "localhost")
  console.log(yield* subjectOf(before), yield* subjectOf(after)) // => CN=localhost CN=replacement
  console.log(yield* before.call("still here")) // => chat: still here
})

await Effect.runPromise(Effect.scoped(program))
