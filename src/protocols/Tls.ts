/**
 * TLS from the first byte, and what runs inside it (RFC 8446, RFC 5246).
 *
 * TLS itself is OpenSSL, through Node. This module puts a handshake inside it, chooses one by what both sides have
 * negotiated (ALPN, RFC 7301), and knows the first bytes of TLS for a port that serves other protocols too. Where a protocol
 * switches to TLS in mid-connection, `Handshake.startTls` does that.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Pipeable from "effect/Pipeable"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../Codec.ts"
import * as Handshake from "../Handshake.ts"
import type { HandshakeError } from "../HandshakeError.ts"
import type * as Peer from "../Peer.ts"
import * as Transport from "../Transport.ts"
import { TlsFailure, type TransportError } from "../TransportError.ts"

/**
 * What a client's TLS is told, as for `Transport.startTls`.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientOptions = Omit<Transport.TlsClientOptions, "role" | "unread">

/**
 * What a server's TLS is told, as for `Transport.startTls`.
 *
 * @category models
 * @since 0.1.0
 */
export type ServerOptions = Omit<Transport.TlsServerOptions, "role" | "unread">

/** Options that are the same object stay the same object, so that what is made of them is made once. */
const completing = <A extends object, B>(complete: (options: A) => B): (options: A) => B => {
  const known = new WeakMap<A, B>()
  return (options) => {
    let completed = known.get(options)
    if (completed === undefined) known.set(options, completed = complete(options))
    return completed
  }
}

// Nothing is received over it: what has come already is the beginning of TLS.
const clear = Transport.framed(Codec.bytes)

type Clear = Transport.Transport<Uint8Array, Uint8Array>

/** What runs inside TLS: a handshake, or one of several. */
type Inside<A, E, R> = Effect.Effect<A, E, R> | Alpn<A, E, R>

const secured = <A, E, R, O extends { readonly alpn?: ReadonlyArray<string> | undefined }, E2, R2>(
  inner: Inside<A, E, R>,
  options: O | Effect.Effect<O, E2, R2>,
  complete: (options: O, alpn: ReadonlyArray<string> | undefined) => Transport.StartTlsOptions<Clear>
) => {
  const [handshake, offers] = inner instanceof Alpn ? [inner.handshake, inner.protocols] : [inner, undefined]
  const completed = completing((options: O) => complete(options, options.alpn ?? offers))
  return Handshake.inside(
    handshake,
    Handshake.startTls(clear, Effect.isEffect(options) ? Effect.map(options, completed) : completed(options))
  )
}

/**
 * The server's side of a handshake that runs inside TLS.
 *
 * **When to use**
 *
 * Use where a connection is TLS from its first byte, on a port of its own or, with {@link isClientHello}, on one that serves
 * other protocols too.
 *
 * **Details**
 *
 * TLS fails as `TlsFailure` at the step `start TLS`, and has to be done within the deadline of the whole. The options
 * may be an Effect, which runs for each connection: this is how certificates are replaced while a server serves.
 *
 * A handshake of {@link alpn} offers its protocols by itself; any other one offers those of the option `alpn`.
 *
 * A server without room refuses inside TLS, in the words of the handshake that is inside.
 *
 * **Example** (The line protocol inside TLS, with certificates that can be replaced)
 *
 * ```ts
 * import { Server, Pipeline, type Transport } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Tls from "effect-handshake/protocols/Tls"
 * import { Effect, Ref } from "effect"
 *
 * const layer = (certificate: Ref.Ref<{ readonly certificate: Transport.TlsCertificate }>) =>
 *   Server.layer({
 *     handshake: Line.server.pipe(Tls.server(Ref.get(certificate))),
 *     serve: Pipeline.serve((line: string) => Effect.succeed(line))
 *   })
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const server: {
  <E2 = never, R2 = never>(
    options: ServerOptions | Effect.Effect<ServerOptions, E2, R2>
  ): <A, E, R>(
    handshake: Effect.Effect<A, E, R> | Alpn<A, E, R>
  ) => Effect.Effect<
    A,
    E | Handshake.Failure<E2 | TransportError>,
    Exclude<R, Socket.Socket> | R2 | Socket.Socket | Scope.Scope
  >
  <A, E, R, E2 = never, R2 = never>(
    handshake: Effect.Effect<A, E, R> | Alpn<A, E, R>,
    options: ServerOptions | Effect.Effect<ServerOptions, E2, R2>
  ): Effect.Effect<
    A,
    E | Handshake.Failure<E2 | TransportError>,
    Exclude<R, Socket.Socket> | R2 | Socket.Socket | Scope.Scope
  >
} = dual(
  2,
  <A, E, R, E2, R2>(
    handshake: Effect.Effect<A, E, R> | Alpn<A, E, R>,
    options: ServerOptions | Effect.Effect<ServerOptions, E2, R2>
  ) => secured(handshake, options, (options, alpn) => ({ ...options, alpn, role: "server", unread: "feed" }))
)

/**
 * The client's side of a handshake that runs inside TLS.
 *
 * **Details**
 *
 * The server's certificate must come from a trusted authority and be for `servername`, unless `verify` asks for less. TLS
 * fails as `TlsFailure`, whose `kind` says what is wrong, and has to be done within the deadline of the whole.
 *
 * A handshake of {@link alpn} offers its protocols by itself; any other one offers those of the option `alpn`.
 *
 * **Gotchas**
 *
 * With TLS 1.3 this side is done before the server has looked at its certificate: if the server refuses it, it may be
 * the first thing that the handshake receives that fails.
 *
 * **Example** (The line protocol inside TLS)
 *
 * ```ts
 * import { Client } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Tls from "effect-handshake/protocols/Tls"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const client = yield* Client.connect({ handshake: Line.client.pipe(Tls.client({ servername: "example.com" })) })
 *   return yield* client.call("Hello")
 * }).pipe(
 *   Effect.catchReason("HandshakeError", "TlsFailure", ({ kind }) => Effect.succeed(`no TLS: ${kind}`)),
 *   Effect.provide(Net.layerSocket({ host: "example.com", port: 12345 }))
 * )
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const client: {
  <E2 = never, R2 = never>(
    options: ClientOptions | Effect.Effect<ClientOptions, E2, R2>
  ): <A, E, R>(
    handshake: Effect.Effect<A, E, R> | Alpn<A, E, R>
  ) => Effect.Effect<
    A,
    E | Handshake.Failure<E2 | TransportError>,
    Exclude<R, Socket.Socket> | R2 | Socket.Socket | Scope.Scope
  >
  <A, E, R, E2 = never, R2 = never>(
    handshake: Effect.Effect<A, E, R> | Alpn<A, E, R>,
    options: ClientOptions | Effect.Effect<ClientOptions, E2, R2>
  ): Effect.Effect<
    A,
    E | Handshake.Failure<E2 | TransportError>,
    Exclude<R, Socket.Socket> | R2 | Socket.Socket | Scope.Scope
  >
} = dual(
  2,
  <A, E, R, E2, R2>(
    handshake: Effect.Effect<A, E, R> | Alpn<A, E, R>,
    options: ClientOptions | Effect.Effect<ClientOptions, E2, R2>
  ) => secured(handshake, options, (options, alpn) => ({ ...options, alpn, role: "client", unread: "feed" }))
)

/**
 * Handshakes for inside TLS, by the application protocol that both sides have negotiated.
 *
 * **Details**
 *
 * `protocols` is what is offered, the best one first, and `handshake` the choice, for a connection that is encrypted
 * already. It is no Effect itself, because what it offers has to be known before TLS begins. To change the result,
 * change each branch, or what {@link server} and {@link client} return.
 *
 * @see {@link alpn}
 *
 * @category models
 * @since 0.1.0
 */
export class Alpn<out A, out E, out R> extends Pipeable.Class {
  readonly protocols: ReadonlyArray<string>
  readonly handshake: Effect.Effect<A, E, R>

  constructor(protocols: ReadonlyArray<string>, handshake: Effect.Effect<A, E, R>) {
    super()
    this.protocols = protocols
    this.handshake = handshake
  }
}

/**
 * Chooses the handshake inside TLS by the application protocol that both sides have negotiated (ALPN, RFC 7301).
 *
 * **Details**
 *
 * Given to {@link server} or {@link client} it offers its protocols, the first one first: a server takes the first of its own
 * that the client has too, and refuses a client that has none of them. `otherwise` is for a peer that does not negotiate;
 * without it such a peer fails as `TlsFailure` of the kind `no-shared-alpn`. The result is that of either handshake: give
 * each something to tell them apart, with `Handshake.extend`.
 *
 * **Example** (Two protocols on one port, inside TLS)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import * as Tls from "effect-handshake/protocols/Tls"
 *
 * const greeting = (words: string) =>
 *   Transport.framed(Codec.lines()).pipe(Handshake.expect(words))
 *
 * const server = (certificate: Transport.TlsCertificate) =>
 *   Tls.alpn({
 *     chat: greeting("CHAT").pipe(Handshake.extend({ protocol: "chat" })),
 *     mail: greeting("MAIL").pipe(Handshake.extend({ protocol: "mail" }))
 *   }).pipe(Tls.server({ certificate }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const alpn = <
  const B extends Readonly<Record<string, Effect.Effect<any, any, any>>>,
  A = never,
  E = never,
  R = never
>(branches: B, options?: {
  /** The handshake with a peer that does not negotiate. Default: such a peer is refused. */
  readonly otherwise?: Effect.Effect<A, E, R> | undefined
}): Alpn<
  A | Effect.Success<B[keyof B]>,
  E | HandshakeError | Effect.Error<B[keyof B]>,
  R | Effect.Services<B[keyof B]> | Socket.Socket | Scope.Scope
> => {
  type Branch = Effect.Effect<
    A | Effect.Success<B[keyof B]>,
    E | Effect.Error<B[keyof B]>,
    R | Effect.Services<B[keyof B]>
  >
  const names = Object.keys(branches)
  const choose = (tls: Peer.Tls | undefined): Effect.Effect<Branch, TlsFailure> => {
    const chosen = tls?.alpn
    const branch: Branch | undefined = chosen === undefined
      ? options?.otherwise
      : Object.hasOwn(branches, chosen)
      ? branches[chosen]
      : undefined
    if (branch !== undefined) return Effect.succeed(branch)
    const what = tls === undefined ? "there is no TLS" : chosen === undefined ? "none" : JSON.stringify(chosen)
    return Effect.fail(
      new TlsFailure({
        kind: "no-shared-alpn",
        detail: `one of ${names.join(", ")} has to be negotiated, and it was: ${what}`,
        fault: tls === undefined ? "local" : "peer"
      })
    )
  }
  const chosen = (transport: Clear) =>
    Handshake.step(Effect.flatMap(Transport.tls(transport), choose), "choose by ALPN")
  return new Alpn(names, Handshake.inside((transport) => Effect.flatten(chosen(transport)), clear))
}

/**
 * Whether the first bytes of a connection are a TLS ClientHello, for `Handshake.firstOf` (RFC 8446 4.1.2 and 5.1).
 *
 * **Details**
 *
 * It is decided with the first six bytes: a handshake record of a version that begins with 3 (RFC 5246 E.1), not empty, and in
 * it the message `client_hello`. The record may hold as little of it as one byte: a message may be cut into any records.
 *
 * **Example** (With TLS and without on one port)
 *
 * ```ts
 * import { Handshake, type Transport } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Tls from "effect-handshake/protocols/Tls"
 *
 * const server = (certificate: Transport.TlsCertificate) =>
 *   Handshake.firstOf([
 *     { name: "TLS", accepts: Tls.isClientHello, handshake: Line.server.pipe(Tls.server({ certificate })) },
 *     { name: "line", accepts: () => true, handshake: Line.server }
 *   ])
 *
 * console.log(Tls.isClientHello(new Uint8Array([0x16, 3, 1, 0, 200, 1]))) // => true
 * console.log(Tls.isClientHello(new Uint8Array([0x16, 3]))) // => undefined
 * console.log(Tls.isClientHello(new TextEncoder().encode("You"))) // => false
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isClientHello = (bytes: Uint8Array): boolean | undefined => {
  const [type, major, _minor, high, low, message] = bytes
  if (type !== undefined && type !== 22) return false
  if (major !== undefined && major !== 3) return false
  // Plaintext records hold at most 2^14 bytes, and those of a handshake one at least.
  if (high !== undefined && high > 0x40) return false
  if (low !== undefined && (high === 0 && low === 0 || high === 0x40 && low > 0)) return false
  return message === undefined ? undefined : message === 1
}
