/**
 * A protocol of lines that begins in clear and switches to TLS (STARTTLS), over real TCP. Both sides then know who is at the
 * other end. Somebody on the way who puts a command behind the request for TLS is found out.
 *
 *     C  STARTTLS
 *     S  GO AHEAD          from here on encrypted
 *     C  HELLO
 *     S  WELCOME cert_user
 */
import { Effect, Fiber, Layer, Option, Stream } from "effect"
import { Client, Codec, Handshake, HandshakeError, Pipeline, Server, Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import { Socket } from "effect/socket"
import * as Certificates from "./certificates/index.ts"

const lines = Transport.framed(Codec.lines())

const server = lines.pipe(
  Handshake.expect("STARTTLS", { orReply: "NO" }),
  Handshake.startTls({
    role: "server",
    certificate: Certificates.server,
    goAhead: "GO AHEAD",
    // Clients prove who they are, by a certificate of this authority.
    clientCertificate: "require",
    ca: Certificates.root
  }),
  Handshake.expect("HELLO", { orReply: "NO" }),
  Effect.tap((transport) =>
    Effect.flatMap(transport.peer, ({ tls }) => transport.send(`WELCOME ${tls?.certificate?.subject.slice(3)}`))
  ),
  Handshake.named("mail")
)

const client = (servername: string) =>
  lines.pipe(
    Handshake.send("STARTTLS"),
    Handshake.expect("GO AHEAD", { rejections: ["NO"] }),
    Handshake.startTls({ role: "client", servername, certificate: Certificates.client, ca: Certificates.root }),
    Handshake.send("HELLO"),
    Handshake.expect("WELCOME cert_user"),
    Handshake.named("mail")
  )

const MailServer = Server.layer({ handshake: server, serve: Pipeline.serve((line) => Effect.succeed(`${line}!`)) })
  .pipe(
    Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 }))
  )

const program = Effect.gen(function*() {
  const { address, events } = yield* Server.Server
  const socket = Net.socket(address)

  // 1. A client that the server knows by its certificate
  yield* Effect.scoped(Effect.gen(function*() {
    const { call, transport } = yield* Client.connect({ handshake: client("localhost"), sockets: [socket] })
    const { tls } = yield* transport.peer
    console.log(tls?.version, tls?.certificate?.subject, tls?.verified) // => TLSv1.3 CN=localhost true
    console.log(yield* call("Hello")) // => Hello!
  }))

  // 2. The certificate is not for the name that was asked for.
  const answer = yield* Client.connect({ handshake: client("example.com"), sockets: [socket] }).pipe(
    Effect.as("connected"),
    Effect.catchReason("HandshakeError", "TlsFailure", ({ fault, kind }) => Effect.succeed(`${kind}, fault: ${fault}`)),
    Effect.scoped
  )
  console.log(answer) // => wrong-name, fault: peer

  // 3. A command in clear, in the same segment as the request for TLS. The server does not even say its go-ahead.
  const found = yield* events.pipe(
    Stream.filter((event) => event._tag === "Failed" && event.reason === "UnreadBytes"),
    Stream.runHead,
    Effect.forkChild({ startImmediately: true })
  )
  yield* Effect.scoped(Effect.gen(function*() {
    const bytes = yield* Effect.provideService(Transport.framed(Codec.bytes), Socket.Socket, yield* socket)
    yield* bytes.send(new TextEncoder().encode("STARTTLS\nDELETE EVERYTHING\n"))
    console.log((yield* Effect.flip(bytes.receive)).message) // => the peer closed the connection
  }))
  const event = Option.getOrThrow(yield* Fiber.join(found))
  if (event._tag === "Failed" && HandshakeError.isHandshakeError(event.error)) console.log(event.error.message)
  // => mail handshake failed at step start TLS: 18 bytes came before they were due: "DELETE EVERYTHING\n"
})

await Effect.runPromise(Effect.provide(program, MailServer))
