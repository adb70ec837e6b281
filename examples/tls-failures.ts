/**
 * What can be wrong with TLS, and how a program knows: each failure has a kind and says whose fault it is, on both sides.
 */
import { Effect, Fiber, Layer, Option, Ref, References, Stream } from "effect"
import { Client, HandshakeError, Pipeline, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import * as Tls from "effect-handshake/protocols/Tls"
// Those of the tests: one for each mistake.
import * as Certificates from "./certificates/index.ts"

const describe = (error: unknown): string => {
  if (!HandshakeError.isHandshakeError(error)) return String(error)
  const { fault, reason } = error
  return reason._tag === "TlsFailure" ? `${reason.kind} (${fault})` : `${reason._tag} (${fault})`
}

const program = Effect.gen(function*() {
  const options = yield* Ref.make<Tls.ServerOptions>({ certificate: Certificates.server })
  const context = yield* Layer.build(
    Server.layer({
      handshake: Line.server.pipe(Tls.server(Ref.get(options))),
      serve: Pipeline.serve((line: string) => Effect.succeed(line))
    }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
  )
  const { address, events } = yield* Effect.provide(Server.Server, context)

  /** What both sides make of a connection. */
  const attempt = Effect.fnUntraced(function*(
    server: Partial<Tls.ServerOptions>,
    client: Partial<Tls.ClientOptions> | "none"
  ) {
    yield* Ref.set(options, { certificate: Certificates.server, ...server })
    const atServer = yield* events.pipe(
      Stream.filter(({ _tag }) => _tag === "Ready" || _tag === "Failed" || _tag === "Refused"),
      Stream.runHead,
      Effect.forkChild({ startImmediately: true })
    )
    const handshake = client === "none"
      ? Line.client
      : Line.client.pipe(Tls.client({ servername: "localhost", ca: Certificates.root, ...client }))
    const atClient = yield* Client.connect({ handshake, sockets: [Net.socket(address)] }).pipe(
      Effect.match({ onSuccess: () => "ready", onFailure: describe }),
      Effect.scoped
    )
    const event = Option.getOrThrow(yield* Fiber.join(atServer))
    return `client: ${atClient}; server: ${"error" in event ? describe(event.error) : "ready"}`
  })

  console.log(yield* attempt({}, {}))
  // => client: ready; server: ready

  // The server's certificate
  console.log(yield* attempt({ certificate: Certificates.expired }, {}))
  // => client: expired (peer); server: cut (peer)
  console.log(yield* attempt({ certificate: Certificates.selfSigned }, {}))
  // => client: self-signed (peer); server: cut (peer)
  console.log(yield* attempt({}, { servername: "example.com" }))
  // => client: wrong-name (peer); server: cut (peer)

  // The client's
  const asks = { clientCertificate: "require", ca: Certificates.root } as const
  console.log(yield* attempt(asks, { certificate: Certificates.client }))
  // => client: ready; server: ready
  console.log(yield* attempt(asks, {}))
  // => client: certificate-required (local); server: certificate-required (peer)

  // Nothing in common
  console.log(yield* attempt({ minVersion: "TLSv1.3" }, { maxVersion: "TLSv1.2" }))
  // => client: no-shared-version (local); server: no-shared-version (peer)
  console.log(yield* attempt({ alpn: ["h2"] }, { alpn: ["http/1.1"] }))
  // => client: no-shared-alpn (local); server: no-shared-alpn (peer)
  console.log(yield* attempt({ unknownName: "refuse" }, {}))
  // => client: unknown-name (local); server: unknown-name (peer)

  // No TLS at all
  console.log(yield* attempt({}, "none"))
  // => client: UnexpectedEnd (peer); server: not-tls (peer)
})

// A server also warns of its own certificate that has expired.
await Effect.runPromise(Effect.scoped(program).pipe(Effect.provideService(References.MinimumLogLevel, "Error")))
