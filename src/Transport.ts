/**
 * The frames of one live connection: a Stream in, a Sink out, and the bytes that nobody has read yet.
 *
 * A `Transport` is what a handshake is written with and what it ends with. It receives one frame at a time for as long
 * as a handshake decides what comes next, and everything that is complete at once afterwards. What was received and not
 * taken stays in the transport, whatever sink ran, failed or was interrupted.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import { Socket } from "effect/socket/Socket"
import type * as Codec from "./Codec.ts"
import * as Connection from "./internal/connection/connection.ts"
import { closedHere } from "./internal/connection/inbox.ts"
import { type Transport, TypeId as TransportTypeId } from "./internal/connection/model.ts"
import * as Observers from "./internal/connection/observer.ts"
import { CurrentEncrypt } from "./internal/connection/source.ts"
import type { TlsClientOptions, TlsServerOptions } from "./internal/connection/tls.ts"
import { framingIn, implOf, TransportImpl } from "./internal/connection/transport.ts"
import { CurrentProgress } from "./internal/handshake/progress.ts"
import { annotateTls } from "./internal/handshake/telemetry.ts"
import type * as Peer from "./Peer.ts"
import type { TransportError } from "./TransportError.ts"

export type { Transport } from "./internal/connection/model.ts"
export { type Event, type Observed, type Observer, unwatch } from "./internal/connection/observer.ts"
export type { TlsCertificate, TlsClientOptions, TlsOptions, TlsServerOptions } from "./internal/connection/tls.ts"

/**
 * Runtime type identifier of a `Transport`.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: typeof TransportTypeId = TransportTypeId

/**
 * Whether a value is a `Transport`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTransport = (u: unknown): u is Transport.Any => Predicate.hasProperty(u, TypeId)

/**
 * Who watches the transports that are made from here on; nobody, unless provided.
 *
 * **Example** (Print what is said)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const transport = yield* Transport.framed(Codec.lines()).pipe(
 *     Effect.provideService(Socket.Socket, here),
 *     Effect.provideService(Transport.CurrentObserver, (event) => {
 *       if (event._tag === "Sent") console.log(`-> ${event.frame}`)
 *     })
 *   )
 *   yield* transport.send("Hello")
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * // => -> "Hello"
 * ```
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentObserver: Context.Reference<Observers.Observer | undefined> = Observers.CurrentObserver

/**
 * Opens the connection of the `Socket` in the context and cuts it into frames.
 *
 * **Details**
 *
 * On a client's socket this dials. The scope owns the connection: when it closes, what was sent is flushed, for at most
 * a second, and the connection is closed.
 *
 * `describe` renders a frame for errors and transcripts; without it a frame shows as a bounded printable excerpt and
 * `Redacted` values in it show as such.
 *
 * **Example** (One question, one answer)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [left, right] = yield* MemorySocket.pair()
 *   const a = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, left))
 *   const b = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, right))
 *   yield* a.send("Hello")
 *   return yield* b.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => Hello
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const framed = <In, Out>(codec: Codec.Codec<In, Out>, options?: {
  /** How a frame is shown in errors and transcripts. Default: as text, bytes or JSON, cut short. */
  readonly describe?: ((frame: In | Out) => string) | undefined
}): Effect.Effect<Transport<In, Out>, TransportError, Socket | Scope.Scope> =>
  Effect.contextWith((context: Context.Context<Socket | Scope.Scope>) => {
    // Nobody before it has had words for the peer that is to be turned away, so that nothing is said.
    const progress = Context.get(context, CurrentProgress)
    if (progress?.verdict !== undefined && !progress.isOuter) return Effect.fail(closedHere)
    const socket = Context.get(context, Socket)
    const open = Connection.connectionOf(socket)
    return open === undefined
      ? openFramed(socket, context, codec, options?.describe)
      : Effect.succeed(framingIn(context, codec, options?.describe)(open))
  })

type Describe<Frame> = ((frame: Frame) => string) | undefined

const openFramed = <In, Out>(
  socket: Socket,
  context: Context.Context<never>,
  codec: Codec.Codec<In, Out>,
  describe: Describe<In | Out>
): Effect.Effect<Transport<In, Out>, TransportError, Scope.Scope> =>
  Effect.map(Connection.open(socket), framingIn(context, codec, describe))

/**
 * A frame as errors and transcripts show it: bounded and printable, and not at all while it is a secret.
 *
 * **When to use**
 *
 * Use to name a frame in a reason of your own. What a peer sends is no text for logs as it is.
 *
 * @category formatting
 * @since 0.1.0
 */
export const show = <T extends Transport.Receiving>(self: T, frame: Transport.In<T> | Transport.Out<T>): string =>
  implOf(self).show(frame)

/**
 * The connection of a transport as a `Socket`, for another handshake that goes on over it.
 *
 * **When to use**
 *
 * Use to give the connection to something that asks for a `Socket`. For a handshake inside another one there is
 * `Handshake.inside`.
 *
 * **Details**
 *
 * It is open already, and stays open for as long as the scope in which it was opened. Whoever acquires its `reader` begins with the
 * bytes that were not taken. Its writer waits for its turn like any other, and a `CloseEvent` ends the sending side. It cannot be
 * upgraded: `Transport.startTls` does that.
 *
 * **Example** (The bytes behind a first line)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const peer = yield* Effect.provideService(Transport.framed(Codec.bytes), Socket.Socket, there)
 *   yield* peer.send(new TextEncoder().encode("RAW\n\u0001\u0002"))
 *   const lines = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
 *   console.log(yield* lines.receive) // => RAW
 *   const { pull } = yield* Transport.socket(lines).reader
 *   console.log(yield* pull) // => [ Uint8Array(2) [ 1, 2 ] ]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const socket = (self: Transport.Any): Socket => implOf(self).connection.socket

/**
 * What TLS has agreed on, or undefined where the connection is not encrypted.
 *
 * **When to use**
 *
 * Use where a handshake asks for nothing else of its peer. To find out who that is, as `peer` does, the system has to be asked,
 * which is a good part of what a short connection costs.
 *
 * **Example** (A service for encrypted connections only)
 *
 * ```ts
 * import { Codec, Handshake, HandshakeError, Transport } from "effect-handshake"
 * import { Effect } from "effect"
 *
 * const server = Transport.framed(Codec.lines()).pipe(
 *   Effect.tap((transport) =>
 *     Effect.flatMap(Transport.tls(transport), (tls) =>
 *       tls === undefined
 *         ? Effect.fail(new HandshakeError.Rejected({ by: "local", said: "not in clear", retryable: false }))
 *         : Effect.void)
 *   ),
 *   Handshake.step("look for TLS")
 * )
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const tls = (self: Transport.Any): Effect.Effect<Peer.Tls | undefined> =>
  Effect.sync(() => implOf(self).connection.tls)

/**
 * Receives frames until one of them decides what comes of them.
 *
 * **When to use**
 *
 * Use where a step is any number of frames, such as settings that are told one by one up to a frame that says there are no more:
 * the frames that have come are looked at in one step, where a `receive` for each is several.
 *
 * **Details**
 *
 * `decide` is asked about each frame in order. `undefined` goes on to the next one; an Effect, such as an `Exit`, is what it comes
 * to. Nothing is taken behind the frame that decides. Bound what you let come: a peer may never decide.
 *
 * Fails as `receive` does, and as what was decided does; what `decide` throws is a defect. Interrupted while it waits, it has taken
 * the frames that `decide` was asked about, and no part of another.
 *
 * **Example** (A greeting of several lines)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * // The last line has a space behind its code, the others a hyphen.
 * const greeting = (transport: Transport.Transport<string, string>) =>
 *   Effect.suspend(() => {
 *     const extensions: Array<string> = []
 *     return Transport.receiveUntil(transport, (line) => {
 *       extensions.push(line.slice(4))
 *       return line[3] === "-" ? undefined : Effect.succeed(extensions)
 *     })
 *   })
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const server = yield* Effect.provideService(lines, Socket.Socket, there)
 *   yield* server.sendAll(["250-PIPELINING", "250-SIZE", "250 HELP"])
 *   const client = yield* Effect.provideService(lines, Socket.Socket, here)
 *   return yield* Handshake.step(greeting(client), "EHLO")
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => [ 'PIPELINING', 'SIZE', 'HELP' ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const receiveUntil: {
  <T extends Transport.Receiving, A = never, E = never, R = never>(
    decide: (frame: Transport.In<T>) => Effect.Effect<A, E, R> | undefined
  ): (self: T) => Effect.Effect<A, E | TransportError, R>
  <T extends Transport.Receiving, A = never, E = never, R = never>(
    self: T,
    decide: (frame: Transport.In<T>) => Effect.Effect<A, E, R> | undefined
  ): Effect.Effect<A, E | TransportError, R>
} = dual(
  2,
  <T extends Transport.Receiving, A = never, E = never, R = never>(
    self: T,
    decide: (frame: Transport.In<T>) => Effect.Effect<A, E, R> | undefined
  ): Effect.Effect<A, E | TransportError, R> =>
    implOf<Transport.In<T>, never>(self as Transport<Transport.In<T>, never>).receiveUntil(decide)
)

/**
 * Sends the last words of this side, and lets the connection close only when the peer has heard them.
 *
 * **When to use**
 *
 * Use where a protocol explains why it ends. A handshake that turns its peer away does it with `Handshake.refuse`, which says
 * its reply so.
 *
 * **Details**
 *
 * To close a connection while there are bytes that nobody has read resets it, and a reset destroys what the peer has not read
 * yet. So behind last words the connection goes on to read what still comes, and drops it, until the peer ends it or a second
 * has passed. If the handshake of a server fails after that, the server's event is `Refused`, and the peer hears no
 * other refusal.
 *
 * It fails where the words cannot be encoded or sent. If the peer does not even take them, this side still ends for its
 * own reason: use `Effect.ignore` where that is the one to tell. When it is interrupted, what was handed to the
 * connection is sent all the same.
 *
 * **Example** (Goodbye)
 *
 * ```ts
 * import { Codec, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const peer = yield* Effect.provideService(lines, Socket.Socket, there)
 *   yield* peer.send("nobody reads this")
 *   yield* lines.pipe(
 *     Effect.flatMap((transport) => Transport.farewell(transport, ["421 closing down"])),
 *     Effect.provideService(Socket.Socket, here)
 *   )
 *   return yield* peer.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => 421 closing down
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const farewell: {
  <T extends Transport.Any>(words: Iterable<Transport.Out<T>>): (self: T) => Effect.Effect<void, TransportError>
  <T extends Transport.Any>(self: T, words: Iterable<Transport.Out<T>>): Effect.Effect<void, TransportError>
} = dual(
  2,
  <T extends Transport.Any>(self: T, words: Iterable<Transport.Out<T>>): Effect.Effect<void, TransportError> =>
    Effect.suspend(() => {
      implOf(self).connection.sayLast()
      return self.sendAll(words)
    })
)

/**
 * Waits until the server that has this connection drains, and lets whoever serves it end it in order.
 *
 * **When to use**
 *
 * Use where a protocol can announce that this side is about to leave: announce it then, serve what was begun, and end.
 *
 * **Details**
 *
 * While somebody waits for it, and afterwards, a drain leaves the connection open to receive from, for as long as the
 * `drainTimeout` of the server. A service that does not wait receives nothing more once the drain has begun. Where the
 * connection is closed to requests already, it ends at once; on a connection that belongs to no server it never ends.
 *
 * **Example** (A server that says goodbye, and takes what comes until its client has heard that)
 *
 * ```ts
 * import { Client, Codec, Protocol, Server, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Fiber, Scope, Stream } from "effect"
 * import { Socket, SocketServer } from "effect/socket"
 *
 * const lines = Transport.framed(Codec.lines())
 * const taken: Array<string> = []
 *
 * const serve = (transport: Transport.Transport<string, string>) =>
 *   Effect.raceFirst(
 *     Stream.runForEach(transport.incoming, (line) => Effect.sync(() => taken.push(line))),
 *     Effect.andThen(Transport.whenDraining(transport), Effect.andThen(transport.send("BYE"), Effect.never))
 *   )
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   const server = yield* Effect.forkScoped(Effect.scoped(Effect.gen(function*() {
 *     yield* Server.make({ handshake: lines, serve })
 *     yield* Effect.sleep("20 millis")
 *   })).pipe(Effect.provideService(SocketServer.SocketServer, network.server)))
 *   const client = yield* Effect.provideService(lines, Socket.Socket, network.client)
 *   console.log(yield* client.receive) // => BYE
 *   yield* client.send("the last one")
 *   yield* Effect.sleep("20 millis")
 *   console.log(taken) // => [ 'the last one' ]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const whenDraining = (self: Transport.Any): Effect.Effect<void> => implOf(self).connection.draining

/**
 * Goes on with another codec on the same connection.
 *
 * **Details**
 *
 * The unread bytes are carried over, byte for byte: the new codec begins where the last frame of the old one ended. The
 * old transport must not be used any more, and the `Middleware` on it ends. It fails with `UnexpectedFrame` in two
 * cases only: a sink has given back a frame that it took so long ago that its bytes are gone, or middleware has handled
 * a frame that came after one that was not taken.
 *
 * @category combinators
 * @since 0.1.0
 */
export const switchCodec: {
  <In2, Out2>(codec: Codec.Codec<In2, Out2>, options?: {
    readonly describe?: ((frame: In2 | Out2) => string) | undefined
  }): <In, Out>(self: Transport<In, Out>) => Effect.Effect<Transport<In2, Out2>, TransportError>
  <In, Out, In2, Out2>(self: Transport<In, Out>, codec: Codec.Codec<In2, Out2>, options?: {
    /** How a frame is shown in errors and transcripts. Default: as text, bytes or JSON, cut short. */
    readonly describe?: ((frame: In2 | Out2) => string) | undefined
  }): Effect.Effect<Transport<In2, Out2>, TransportError>
} = dual(
  (args) => isTransport(args[0]),
  <In, Out, In2, Out2>(self: Transport<In, Out>, codec: Codec.Codec<In2, Out2>, options?: {
    readonly describe?: ((frame: In2 | Out2) => string) | undefined
  }): Effect.Effect<Transport<In2, Out2>, TransportError> =>
    Effect.suspend(() => {
      const impl = implOf(self)
      const lost = impl.leave("a codec switch")
      return lost !== undefined
        ? Effect.fail(lost)
        : Effect.succeed(new TransportImpl(impl.connection, codec, impl.observer, options?.describe))
    })
)

/**
 * The same transport, with what a handshake has learnt at hand: the settings that were agreed on, who the user is.
 *
 * **Details**
 *
 * The properties are added to the transport itself, whose own cannot be replaced. A codec switch and TLS make another
 * transport, which does not have them.
 *
 * **Example** (A handshake that ends with a transport and a name)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { Effect } from "effect"
 *
 * const server = Effect.gen(function*() {
 *   const transport = yield* Transport.framed(Codec.lines())
 *   const user = yield* transport.receive
 *   return Transport.extend(transport, { user })
 * }).pipe(Handshake.named("hello"))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const extend: {
  <const P extends object>(properties: P): <T extends Transport.Any>(self: T) => T & Readonly<P>
  <T extends Transport.Any, const P extends object>(self: T, properties: P): T & Readonly<P>
} = dual(
  2,
  <T extends Transport.Any, const P extends object>(self: T, properties: P): T & Readonly<P> => {
    const taken = Object.keys(properties).find((key) => key in self)
    if (taken !== undefined) throw new TypeError(`a transport has a property "${taken}" already`)
    return Object.assign(self, properties)
  }
)

/**
 * How a transport switches to TLS.
 *
 * **Details**
 *
 * `goAhead` is what a server says to let the client begin. It is sent after the check that there are no unread bytes.
 *
 * @category models
 * @since 0.1.0
 */
export type StartTlsOptions<T extends Transport.Any> =
  | TlsClientOptions
  | TlsServerOptions & {
    /** What a server says to let the client begin, behind the check that there are no unread bytes. Default: nothing. */
    readonly goAhead?: Transport.Out<T> | undefined
  }

/**
 * Encrypts the connection with TLS, and goes on with the same codec behind it (STARTTLS).
 *
 * **When to use**
 *
 * Use where a protocol begins in clear and then agrees on TLS. For TLS from the first byte there is `Tls.server` and
 * `Tls.client` of `effect-handshake/protocols/Tls`.
 *
 * **Details**
 *
 * Fails with `TransportError`, whose reason is a `TlsFailure` with its `kind`, or `UnreadBytes` where more has come than
 * was taken: such bytes were sent in clear, by anybody, and must not be mistaken for encrypted ones. A server says its
 * go-ahead with `goAhead`, so that this check comes before the peer may begin. With `unread: "feed"` the bytes are the
 * beginning of TLS, and nothing is refused.
 *
 * The old transport must not be used any more, and the `Middleware` on it ends. The decoder begins anew. `peer` has `tls`
 * then, with what was agreed on and the peer's certificate.
 *
 * The options may be an Effect, which runs for each connection: this is how certificates are replaced while a server
 * serves. Options that are the same object are prepared once.
 *
 * **Gotchas**
 *
 * The socket has to know TLS: those of `node/Net` do, and `node/Tls` provides it for any other. How long TLS may take is up
 * to the handshake's deadline. When it was interrupted or has failed, the connection is of no use any more.
 *
 * With TLS 1.3 a client is done before the server has looked at its certificate: if the server refuses it, it may be
 * the client's next step that fails. Node does not tell the peer why it has refused the peer's certificate, neither as
 * a server nor as a client: the peer sees the connection end.
 *
 * Node does not tell an end that TLS has announced (`close_notify`) from one that somebody on the way has forged: between two
 * frames both are a `ConnectionClosed`, in the middle of one a `Truncated`. A protocol that must know needs a frame
 * that says goodbye.
 *
 * @category combinators
 * @since 0.1.0
 */
export const startTls: {
  <T extends Transport.Any, E = never, R = never>(
    options: StartTlsOptions<T> | Effect.Effect<StartTlsOptions<T>, E, R>
  ): (self: T) => Effect.Effect<Transport<Transport.In<T>, Transport.Out<T>>, TransportError | E, R>
  <T extends Transport.Any, E = never, R = never>(
    self: T,
    options: StartTlsOptions<T> | Effect.Effect<StartTlsOptions<T>, E, R>
  ): Effect.Effect<Transport<Transport.In<T>, Transport.Out<T>>, TransportError | E, R>
} = dual(
  2,
  <T extends Transport.Any, E, R>(
    self: T,
    options: StartTlsOptions<T> | Effect.Effect<StartTlsOptions<T>, E, R>
  ): Effect.Effect<Transport<Transport.In<T>, Transport.Out<T>>, TransportError | E, R> =>
    Effect.isEffect(options)
      ? Effect.flatMap(options, (options) => beginTls(self, options))
      : beginTls(self, options)
)

const beginTls = <T extends Transport.Any>(
  self: T,
  options: StartTlsOptions<T>
): Effect.Effect<Transport<Transport.In<T>, Transport.Out<T>>, TransportError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const impl = implOf(self)
    const { connection } = impl
    const lost = impl.leave("TLS")
    if (lost !== undefined) return Effect.fail(lost)
    const goAhead = options.role === "server" ? options.goAhead : undefined
    if (options.unread !== "feed") {
      // A client's peer may say nothing before TLS has begun. That of a server may have begun, if it was told to.
      const refused = connection.refuseUnread(options.role === "client" || goAhead !== undefined)
      if (refused !== undefined) return Effect.fail(refused)
    }
    const encrypting = Effect.map(connection.startTls(options, Context.get(context, CurrentEncrypt)), (tls) => {
      impl.tell({ _tag: "Secured", tls })
      annotateTls(context, tls, options.role)
      return new TransportImpl(connection, impl.codec, impl.observer, impl.describe)
    })
    return goAhead === undefined ? encrypting : Effect.andThen(impl.send(goAhead), encrypting)
  })
