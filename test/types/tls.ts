/**
 * What TLS does to the type of a handshake, and what ALPN makes of several.
 */
// Nothing here runs, and much of it must not compile.
// @effect-diagnostics floatingEffect:off missingEffectError:off
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import type { HandshakeError } from "../../src/HandshakeError.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

class NoCertificate extends Data.TaggedError("NoCertificate") {}
class NotOurs extends Data.TaggedError("NotOurs") {}
class Vault extends Context.Service<Vault, { readonly options: Effect.Effect<Tls.ServerOptions, NoCertificate> }>()(
  "test/Vault"
) {}
class Database extends Context.Service<Database, { readonly knows: Effect.Effect<boolean, NotOurs> }>()(
  "test/Database"
) {}

type Lines = Transport.Transport<string, string>
type Packets = Transport.Transport<Uint8Array, Uint8Array>
type Needs = Socket.Socket | Scope.Scope

declare const certificate: Transport.TlsCertificate

const lines = Transport.framed(Codec.lines())
const packets = Transport.framed(Codec.fixed(4))

// TLS inside a connection: the frames stay, and its failure is that of the handshake.
same<
  ReturnType<typeof inClear>,
  Effect.Effect<Lines, HandshakeError, Needs>
>()
const inClear = () => lines.pipe(Handshake.startTls({ role: "server", certificate, goAhead: "GO" }))

// On a transport by hand it is that of the transport.
declare const transport: Lines
same<
  ReturnType<typeof byHand>,
  Effect.Effect<Lines, TransportError>
>()
const byHand = () => Transport.startTls(transport, { role: "client", servername: "localhost" })

// Options that are an Effect add what they need and how they fail.
const replaced = lines.pipe(Tls.server(Effect.flatMap(Vault, ({ options }) => options)))
same<typeof replaced, Effect.Effect<Lines, HandshakeError | NoCertificate | TransportError, Needs | Vault>>()

// A handshake inside keeps what it needs besides a socket.
const asking = Effect.flatMap(
  packets,
  (transport) => Effect.flatMap(Database, ({ knows }) => Effect.as(knows, transport))
)
const inside = asking.pipe(Tls.client({ servername: "localhost" }))
same<
  typeof inside,
  Effect.Effect<Packets, HandshakeError | NotOurs | TransportError, Needs | Database>
>()

// ALPN: the result is that of either branch, told apart by what each has added.
const chat = Effect.map(lines, Transport.extend({ protocol: "chat" }))
const mail = Effect.map(asking, Transport.extend({ protocol: "mail" }))
const either = Tls.alpn({ chat, mail }).pipe(Tls.server({ certificate }))
same<
  Effect.Success<typeof either>,
  (Lines & { readonly protocol: "chat" }) | (Packets & { readonly protocol: "mail" })
>()
same<Effect.Error<typeof either>, HandshakeError | TransportError | NotOurs>()
same<Effect.Services<typeof either>, Needs | Database>()

Effect.map(either, (transport) => {
  if (transport.protocol === "chat") {
    same<typeof transport.send, Lines["send"]>()
    return transport.send("a line")
  }
  same<typeof transport.send, Packets["send"]>()
  // @ts-expect-error packets are bytes
  return transport.send("a line")
})

// The one for peers that do not negotiate is one more.
const three = Tls.alpn({ chat, mail }, { otherwise: Effect.map(lines, Transport.extend({ protocol: "other" })) })
same<Effect.Success<typeof three.handshake>["protocol"], "chat" | "mail" | "other">()

// What one side is told is not what the other is.
// @ts-expect-error a client has to say whom it wants to reach
lines.pipe(Tls.client({}))
// @ts-expect-error a server has a certificate
lines.pipe(Tls.server({}))
// @ts-expect-error a client says no go-ahead
lines.pipe(Handshake.startTls({ role: "client", servername: "localhost", goAhead: "GO" }))
// @ts-expect-error a go-ahead is a frame
lines.pipe(Handshake.startTls({ role: "server", certificate, goAhead: new Uint8Array(1) }))
// @ts-expect-error nothing older than 1.2 is spoken
lines.pipe(Tls.client({ servername: "localhost", minVersion: "TLSv1.1" }))
// @ts-expect-error a key is a secret
lines.pipe(Tls.server({ certificate: { cert: "", key: "" } }))
// @ts-expect-error what has come belongs to TLS that begins with the first byte
lines.pipe(Tls.server({ certificate, unread: "refuse" }))
declare const key: Redacted.Redacted<string>
lines.pipe(Tls.server({ certificate: { cert: "", key } }))
