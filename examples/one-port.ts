/**
 * One port, many protocols, over real TCP: lines, HTTP/2 and PostgreSQL, each in clear and inside TLS. The first bytes decide,
 * inside TLS what both sides have negotiated (ALPN). Not a byte is lost by looking.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Effect, Layer } from "effect"
import { Client, Handshake, type HandshakeError, Server, type Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Http2 from "effect-handshake/protocols/Http2"
import * as Line from "effect-handshake/protocols/Line"
import * as Postgres from "effect-handshake/protocols/Postgres"
import * as Tls from "effect-handshake/protocols/Tls"
// Those of the tests. Yours are PEM texts, from a file or a service.
import * as Certificates from "./certificates/index.ts"

const certificate = Certificates.server

// Each transport says which protocol it is of: those of HTTP/2 and PostgreSQL do so by themselves.
const line = Line.server.pipe(Handshake.extend({ protocol: "line" }))
const h2 = Http2.server()
const postgres = Postgres.server({ tls: { certificate } })

const clear = Handshake.firstOf([
  { name: "HTTP/2", accepts: Http2.isPreface, handshake: h2 },
  { name: "PostgreSQL", accepts: Postgres.isStartup, handshake: postgres },
  { name: "line", accepts: () => true, handshake: line }
])

const inTls = Tls.alpn({ h2, postgresql: postgres }, { otherwise: clear }).pipe(Tls.server({ certificate }))

const any = Handshake.firstOf([
  { name: "TLS", accepts: Tls.isClientHello, handshake: inTls },
  { name: "the others", accepts: () => true, handshake: clear }
]).pipe(Handshake.named("any"))

// Whoever comes is told what it has come to, in the words of its protocol.
const serve = (transport: Effect.Success<typeof any>) => {
  const words = Effect.map(transport.peer, ({ tls }) => `${transport.protocol} ${tls?.version ?? "in clear"}`)
  return Effect.flatMap(words, (words) => {
    switch (transport.protocol) {
      case "line":
        return transport.send(words)
      case "h2":
        return Http2.goAway(transport, Http2.ErrorCode.NO_ERROR, { debug: words })
      case "postgres":
        return transport.send({ _tag: "NoticeResponse", severity: "NOTICE", code: "00000", message: words })
    }
  })
}

const everyProtocol = (limits: Server.Limits) =>
  Server.layer({ handshake: any, serve, ...limits }).pipe(
    Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })),
    Layer.provide(Postgres.layerTrust)
  )

const program = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const sockets = [Net.socket(address)] as const
  const tls = { servername: "localhost", ca: Certificates.root }

  const told = Effect.fnUntraced(function*<T extends Transport.Transport.Any, E, R>(
    handshake: Effect.Effect<T, E, R>,
    words: (frame: Transport.Transport.In<T>) => string | undefined
  ) {
    const transport = yield* Client.connect({ handshake, sockets, client: Effect.succeed })
    return words(yield* transport.receive)
  }, Effect.scoped)

  const ofLine = (line: string) => line
  const ofH2 = (frame: Http2.Frame) => frame._tag === "GoAway" ? new TextDecoder().decode(frame.debugData) : frame._tag
  const ofPostgres = (message: Postgres.BackendMessage) =>
    message._tag === "NoticeResponse" ? message.message : message._tag

  console.log(yield* told(Line.client, ofLine)) // => line in clear
  console.log(yield* told(Http2.client(), ofH2)) // => h2 in clear
  console.log(yield* told(Postgres.client({ user: "ann", sslmode: "disable" }), ofPostgres)) // => postgres in clear

  console.log(yield* told(Tls.client(Line.client, tls), ofLine)) // => line TLSv1.3
  console.log(yield* told(Tls.client(Tls.alpn({ h2: Http2.client() }), tls), ofH2)) // => h2 TLSv1.3
  const ann = { user: "ann", host: "localhost", ca: Certificates.root } as const
  // PostgreSQL asks for TLS in clear, or begins with it.
  console.log(yield* told(Postgres.client(ann), ofPostgres)) // => postgres TLSv1.3
  console.log(yield* told(Postgres.client({ ...ann, sslnegotiation: "direct" }), ofPostgres)) // => postgres TLSv1.3
})

await Effect.runPromise(Effect.provide(program, Layer.provideMerge(everyProtocol({}), NodeCrypto.layer)))

// Without room for anybody, whoever comes hears so in the words of its protocol.
const turnedAway = Effect.gen(function*() {
  const { address } = yield* Server.Server
  const hears = <T extends Transport.Transport.Any, R>(handshake: Effect.Effect<T, HandshakeError.HandshakeError, R>) =>
    Client.connect({ handshake, sockets: [Net.socket(address)], client: Effect.succeed }).pipe(
      Effect.as("let in"),
      Effect.catchReason("HandshakeError", "Rejected", ({ said }) => Effect.succeed(said)),
      Effect.scoped
    )
  const tls = { servername: "localhost", ca: Certificates.root }

  console.log(yield* hears(Line.client)) // => "No! Go away!"
  console.log(yield* hears(Tls.client(Line.client, tls))) // => "No! Go away!"
  console.log(yield* hears(Http2.client({ awaitAcknowledgement: true })))
  // => GOAWAY NO_ERROR after stream 0 "at capacity"
  console.log(yield* hears(Postgres.client({ user: "ann", host: "localhost", ca: Certificates.root })))
  // => sorry, too many clients already
})

await Effect.runPromise(
  Effect.provide(turnedAway, Layer.provideMerge(everyProtocol({ maxConnections: 0 }), NodeCrypto.layer))
)
