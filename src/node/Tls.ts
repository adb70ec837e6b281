/**
 * Node's TLS for sockets that do not bring it.
 *
 * @stability stable
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CurrentEncrypt, type Encrypt } from "../internal/connection/source.ts"
import { NetSource } from "../internal/node/netSource.ts"
import * as NodeTls from "../internal/node/nodeTls.ts"
import { SourceStream } from "../internal/node/sourceStream.ts"
import type * as Tls from "../protocols/Tls.ts"
import type { TlsFailure } from "../TransportError.ts"

const encrypt: Encrypt = (source, options, unread) =>
  Effect.contextWith((context: Context.Context<never>) => {
    const stream = new SourceStream(source, Effect.runForkWith(context))
    if (unread.length > 0) stream.unshift(unread)
    return NodeTls.securing(stream, options, (secured) => ({
      source: NetSource.secured(secured, options.role),
      tls: secured.tls
    }))
  })

/**
 * Lets `Transport.startTls` and the handshakes of `protocols/Tls` run over any `Socket`: a WebSocket, Effect's own Node
 * sockets, or a simulated network.
 *
 * **When to use**
 *
 * Use where the socket is none of `node/Net`, whose sockets have TLS of their own.
 *
 * **Example** (TLS over a socket in memory)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import * as NodeTls from "effect-handshake/node/Tls"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = Transport.framed(Codec.lines()).pipe(
 *   Handshake.startTls({ role: "client", servername: "localhost" }),
 *   Handshake.named("lines over TLS")
 * )
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const peer = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, there))
 *   yield* peer.send("what is TLS?")
 *   yield* client.pipe(Effect.provideService(Socket.Socket, here))
 *   return "encrypted"
 * }).pipe(
 *   Effect.catchReason("HandshakeError", "TlsFailure", ({ kind }) => Effect.succeed(kind)),
 *   Effect.provide(NodeTls.layer)
 * )
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => not-tls
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.succeed(CurrentEncrypt, encrypt)

/**
 * Checks the options of TLS before anybody connects, and returns them.
 *
 * **When to use**
 *
 * Use where a server starts, so that what is wrong with its files is said then, and not to the first who connects.
 *
 * **Details**
 *
 * It fails as `TlsFailure` of the kind `bad-configuration` where the first connection would: a key of another certificate, a
 * passphrase that is missing, an intermediate that stands first, authorities that are no certificates, ciphers and
 * names that there cannot be. What can be used, but peers will object to, is logged as a warning: a certificate that
 * has expired or is not valid yet, here and in `names`. Without this check, the warning comes with the first
 * connection.
 *
 * **Example** (A server that does not start with a key that is not its certificate's)
 *
 * ```ts
 * import { Pipeline, Server, type Transport } from "effect-handshake"
 * import * as NodeTls from "effect-handshake/node/Tls"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Tls from "effect-handshake/protocols/Tls"
 * import { Effect, Layer } from "effect"
 *
 * const layer = (certificate: Transport.TlsCertificate) =>
 *   Layer.unwrap(Effect.map(NodeTls.check({ certificate }), (tls) =>
 *     Server.layer({
 *       handshake: Line.server.pipe(Tls.server(tls)),
 *       serve: Pipeline.serve((line: string) => Effect.succeed(line))
 *     })))
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const check = <O extends Tls.ServerOptions | Tls.ClientOptions>(options: O): Effect.Effect<O, TlsFailure> =>
  Effect.as(
    NodeTls.check("servername" in options ? { ...options, role: "client" } : { ...options, role: "server" }),
    options
  )
