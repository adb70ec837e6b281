/**
 * What a page has of this package: a client of the line protocol over the browser's own WebSocket. It tells whoever serves the
 * page what it has heard.
 */
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as Client from "../../src/Client.ts"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Transport from "../../src/Transport.ts"

declare const location: { readonly search: string }

const greeting = (words: string) =>
  Transport.framed(Codec.lines()).pipe(
    Handshake.send(words),
    Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
    Handshake.named("line")
  )

const socket = Socket.makeWebSocket(new URLSearchParams(location.search).get("server") ?? "").pipe(
  Effect.provide(Socket.layerWebSocketConstructorGlobal)
)

const calls = Effect.gen(function*() {
  const client = yield* Client.connect({ handshake: greeting("You ready?"), sockets: [socket] })
  return yield* Effect.forEach(["Hello", "Grüße", "x".repeat(60_000)], (line) => client.call(line), {
    concurrency: "unbounded"
  })
}).pipe(Effect.scoped)

const refused = Client.connect({ handshake: greeting("Hi"), sockets: [socket] }).pipe(
  Effect.as("let in"),
  Effect.catch((error) => Effect.succeed(HandshakeError.isHandshakeError(error) ? error.message : String(error))),
  Effect.scoped
)

const report = (body: unknown) => Effect.promise(() => fetch("/report", { method: "POST", body: JSON.stringify(body) }))

void Effect.runPromise(
  Effect.all({ answers: calls, refused }).pipe(
    Effect.catch((error) => Effect.succeed({ error: String(error) })),
    Effect.flatMap(report)
  )
)
