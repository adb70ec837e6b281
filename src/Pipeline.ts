/**
 * Requests and responses in order over a transport, any number of them under way at once.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Body from "./Body.ts"
import type { ByCall } from "./internal/connection/keepAlive.ts"
import type { Surroundings } from "./internal/connection/onEvents.ts"
import { implOf } from "./internal/connection/transport.ts"
import { boundsOf } from "./internal/dispatch/body.ts"
import { type CallOptions, limited } from "./internal/dispatch/callOptions.ts"
import { open, stayAlive } from "./internal/dispatch/calls.ts"
import { PipelineCalls, readWith } from "./internal/dispatch/pipelineClient.ts"
import type * as Internal from "./internal/dispatch/pipelineFrames.ts"
import type { MessageAbort, MessageReader, MessageWriter } from "./internal/dispatch/pipelineFrames.ts"
import { PipelineServing } from "./internal/dispatch/pipelineServer.ts"
import { PipelineStreamingCalls } from "./internal/dispatch/pipelineStreamingClient.ts"
import { PipelineStreamingServing, type Service } from "./internal/dispatch/pipelineStreamingServer.ts"
import type {
  AllOf,
  AllTypes,
  Given,
  StreamingTypes as TypesOfMessages,
  TellableOfBodies,
  Untold
} from "./internal/dispatch/protocolTypes.ts"
import { Served } from "./internal/dispatch/served.ts"
import type { Answers, Unsolicited } from "./internal/dispatch/unsolicited.ts"
import type * as Transport from "./Transport.ts"
import type { TransportError } from "./TransportError.ts"

/**
 * How many requests of one connection are served at once unless told otherwise: 64.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxInFlight = 64

export type { MessageAbort, MessageReader, MessageWriter, Unsolicited }

interface ServeOptions<out Out> {
  /** How many requests are with their handlers at once; further ones stay unread. Default: 64. */
  readonly maxInFlight?: number | undefined
  /** The last frame of a connection that is drained. Default: it just ends. */
  readonly goodbye?: Out | undefined
}

interface Serve {
  <In, Out, E, R = never>(
    handler: (request: In) => Effect.Effect<Out, E, R>,
    options: ServeOptions<NoInfer<Out>> & {
      /** The answer for a handler's failure. Default: `serve` fails with it, and the connection ends. */
      readonly failure: (error: NoInfer<E>, request: NoInfer<In>) => Out
    }
  ): (transport: Transport.Transport<In, Out>) => Effect.Effect<void, TransportError, R>
  <In, Out, E = never, R = never>(
    handler: (request: In) => Effect.Effect<Out, E, R>,
    options?: ServeOptions<NoInfer<Out>> & { readonly failure?: undefined }
  ): (transport: Transport.Transport<In, Out>) => Effect.Effect<void, E | TransportError, R>
}

/**
 * Serves each request of a transport with a handler and sends the responses in the order of the requests.
 *
 * **Details**
 *
 * At most `maxInFlight` requests, 64 by default, are with their handlers at once; further ones stay unread, so that a
 * peer that sends faster than it is served is slowed down. Responses that are ready are sent, in one write, before
 * anything waits. A handler whose result is already there costs no fiber.
 *
 * A handler's failure is answered with the frame that `failure` makes of it and of its request, in its place in the
 * order. Without `failure` it ends the connection: `serve` fails with it, after the responses before it were sent. A
 * defect always does that.
 *
 * It ends when the peer has ended between two requests and every response is sent; a peer that has only ended its own
 * side still hears them. It fails with a `TransportError` where the connection broke or a response cannot be encoded.
 * Whatever ends it interrupts the handlers that are still running.
 *
 * A server that drains begins no further request, and its connections end when what was begun is answered. A client
 * cannot tell that from any other end, and so does not know whether a request that was on its way was begun. With
 * `goodbye` it does: this frame is the last one of a connection that is drained, in the place of the next answer, and
 * says that no further request was begun. It is sent at no other end. Give {@link client} the same.
 *
 * **Gotchas**
 *
 * While `maxInFlight` requests are with their handlers nothing is read, so that the end of the connection is not noticed
 * either, unless something else gives it up, as `Middleware.idleTimeout` does.
 *
 * **Example** (An echo)
 *
 * ```ts
 * import { Client, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { Socket, SocketServer } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   yield* Layer.build(
 *     Server.layer({ handshake: Line.server, serve: Pipeline.serve((line) => Effect.succeed(line.toUpperCase())) }).pipe(
 *       Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
 *     )
 *   )
 *   const client = yield* Client.connect({ handshake: Line.client }).pipe(
 *     Effect.provideService(Socket.Socket, network.client)
 *   )
 *   return yield* client.call("Hello")
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => HELLO
 * ```
 *
 * **Example** (The failure of a request)
 *
 * ```ts
 * import { Codec, Pipeline, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Result } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const half = (n: string) => Number(n) % 2 === 0 ? Effect.succeed(`+${Number(n) / 2}`) : Effect.fail("odd")
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const serve = Pipeline.serve(half, { failure: (error, n) => `-${n} is ${error}` })
 *   yield* Effect.forkScoped(Effect.flatMap(Effect.provideService(lines, Socket.Socket, there), serve))
 *
 *   const client = yield* Pipeline.client(yield* Effect.provideService(lines, Socket.Socket, here), {
 *     response: (line) => line.startsWith("+") ? Result.succeed(Number(line)) : Result.fail(line.slice(1))
 *   })
 *   console.log(yield* client.call("42")) // => 21
 *   console.log(yield* Effect.flip(client.call("43"))) // => 43 is odd
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @see {@link client} for the other side
 *
 * @category servers
 * @since 0.1.0
 */
export const serve: Serve = <In, Out, E, R>(
  handler: (request: In) => Effect.Effect<Out, E, R>,
  options?: ServeOptions<Out> & { readonly failure?: ((error: E, request: In) => Out) | undefined }
) => {
  const service = {
    handler,
    maxInFlight: Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
    failure: options?.failure,
    goodbye: options?.goodbye
  }
  return (transport: Transport.Transport<In, Out>): Effect.Effect<void, E | TransportError, R> =>
    new Served((surroundings: Surroundings<R>) => new PipelineServing(implOf(transport), service, surroundings))
}

/**
 * Calls over one transport, whose answers come in order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client<in Request, out Response, out Failure = never> {
  /**
   * Sends a request and waits for its response.
   *
   * **Details**
   *
   * Fails with the `Failure` that the server has answered with; where the request cannot be encoded, with nothing sent;
   * and where the connection ends before the response has come, with how it ended. An interrupted call that was not
   * sent yet is not sent; one that was keeps its place, and its response is dropped when it comes.
   */
  readonly call: (request: Request) => Effect.Effect<Response, Failure | TransportError>
  /** Fails when the connection has ended, with how. */
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

interface Options<In, Push extends In, R> extends CallOptions {
  /** What is done with frames that are not responses. Default: every frame is a response. */
  readonly unsolicited?: Unsolicited<In, Push, R> | undefined
  /** Whether a frame is the server's goodbye. Default: none is. */
  readonly goodbye?: ((frame: In) => boolean) | undefined
}

export type { ByCall as KeepAlive } from "./internal/connection/keepAlive.ts"

interface ClientOptions<In, Out, Push extends In, R> extends Options<In, Push, R> {
  /** How the peer is asked whether it is still there. Default: it is not asked. */
  readonly keepAlive?: ByCall<Out> | undefined
}

interface MakeClient {
  <In, Out, Response, Failure, Push extends In = never, R = never>(
    transport: Transport.Transport<In, Out>,
    options: ClientOptions<In, Out, Push, R> & {
      /** What a response is: what its call succeeds or fails with. Default: the response itself, as success. */
      readonly response: (frame: Answers<In, NoInfer<Push>>) => Result.Result<Response, Failure>
    }
  ): Effect.Effect<Client<Out, Response, Failure>, never, Scope.Scope | R>
  <In, Out, Push extends In = never, R = never>(
    transport: Transport.Transport<In, Out>,
    options?: ClientOptions<In, Out, Push, R> & { readonly response?: undefined }
  ): Effect.Effect<Client<Out, Answers<In, Push>>, never, Scope.Scope | R>
}

/**
 * Makes calls over a transport whose peer answers in order.
 *
 * **Details**
 *
 * At most `maxInFlight` calls, 64 by default, are sent and not answered at once; further ones wait, in order, and so do
 * all of them while the peer does not take what was sent. Requests that are made together travel together.
 *
 * With `callTimeout` a call that is not answered in time fails as `TimedOut`, and is given up like one that is interrupted:
 * one that was sent keeps its place, and its response is dropped when it comes. Such a call costs a fiber. Without it a call
 * waits for as long as the connection lives.
 *
 * Every frame is a response, but for those that `unsolicited` says are none: they are handled by its `handle`, in order with
 * the responses. See {@link Unsolicited}. A call costs no fiber, and what `handle` does at once costs none either.
 *
 * With `keepAlive` a peer from which nothing was heard for some time is asked by a request of its own, whose response
 * goes to nobody else, and the connection ends as `TimedOut` where none comes. See {@link KeepAlive}.
 *
 * A frame for which `goodbye` is true ends the use of the connection: the server has begun no request that it has not
 * answered, so that the calls that wait fail as `ConnectionClosed` by `peer` with `sent: "no"`, and a client that
 * connects again makes them again. It needs a server that keeps to that, such as {@link serve} with a `goodbye`.
 *
 * Where the protocol has error responses, `response` tells which of the frames are: what it
 * makes of them is what `call` succeeds and fails with. A `response` that throws ends the use of the connection.
 *
 * When the connection ends, every waiting call and every later one fails with the error that says how. When the scope
 * closes, they fail as `ConnectionClosed` by `local`. A response to no request ends the use of the connection as
 * `UnexpectedFrame`.
 *
 * **Example** (News between the answers)
 *
 * ```ts
 * import { Codec, Pipeline, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Queue } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const server = yield* Effect.provideService(lines, Socket.Socket, there)
 *   const news = yield* Queue.bounded<string>(16)
 *
 *   const client = yield* Pipeline.client(yield* Effect.provideService(lines, Socket.Socket, here), {
 *     unsolicited: { is: (line) => line.startsWith("*"), handle: (line) => Queue.offer(news, line) }
 *   })
 *   yield* Effect.forkScoped(Effect.andThen(server.receive, server.sendAll(["* a has changed", "1"])))
 *   console.log(yield* client.call("GET a"), yield* Queue.take(news)) // => 1 * a has changed
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @see {@link serve} for an example of failures, and for the other side
 *
 * @category clients
 * @since 0.1.0
 */
export const client: MakeClient = Effect.fnUntraced(function*<In, Out, Response, Failure, R>(
  transport: Transport.Transport<In, Out>,
  options?: ClientOptions<In, Out, never, R> & {
    readonly response?: ((frame: In) => Result.Result<Response, Failure>) | undefined
  }
): Effect.fn.Return<Client<Out, In | Response, Failure>, never, Scope.Scope | R> {
  const calls = new PipelineCalls<In, Out, In | Response, Failure>(
    implOf(transport),
    options?.response === undefined ? Exit.succeed : readWith(options.response),
    Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
    yield* Effect.context<never>()
  )
  yield* open(calls, options?.unsolicited, options?.goodbye)
  yield* stayAlive(transport, options?.keepAlive, (ping) => calls.ask(ping))
  const within = limited(options)
  return { call: (request) => within(calls.call(request)), awaitEnd: calls.awaitEnd }
}) as MakeClient // without `response` every other frame is one, which only the overloads can say

/**
 * The types of a protocol with bodies.
 *
 * **Details**
 *
 * | field | what it is |
 * |---|---|
 * | `frame` | a frame; or `toServer`, one that a client sends, and `toClient`, one that a server sends |
 * | `request` | the head of a request |
 * | `response` | the head of a response |
 * | `chunk` | a chunk of a body; or `requestChunk` and `responseChunk`, one of a request's and one of a response's |
 * | `failure` | why a request, or a body, has failed, where the protocol can tell of that |
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingTypes = TypesOfMessages

/**
 * What a server has to know of the frames of a protocol with bodies.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingServerFrames<T extends StreamingTypes> = Internal.StreamingServerFrames<AllOf<T>>

/**
 * What a client has to know of the frames of a protocol with bodies.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingClientFrames<T extends StreamingTypes> = Internal.StreamingClientFrames<AllOf<T>>

/**
 * What the frames of a protocol with bodies mean, for its servers and its clients.
 *
 * **Details**
 *
 * `T` is the types of all that the frames are made of, and are read as: see {@link StreamingTypes}. Where it has a `failure`,
 * `response` has an `abort` that tells of it, and `request` may have one. Without one a message that has begun is sent to its
 * end, or the connection is over.
 *
 * **Example** (Lines that begin with a sign)
 *
 * ```ts
 * import { type Body, Codec, Pipeline, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Stream } from "effect"
 * import { Socket } from "effect/socket"
 *
 * // `=head` is a message without a body; `+head` is one with a body, of `.chunk`s, and `;` is the end of that.
 * const message = {
 *   head: (head: string, hasBody: boolean) => `${hasBody ? "+" : "="}${head}`,
 *   chunk: (chunk: string) => `.${chunk}`,
 *   end: () => ";",
 *   read: (line: string): Body.Part<string, string> | undefined => {
 *     const rest = line.slice(1)
 *     switch (line[0]) {
 *       case "=":
 *         return { _tag: "Head", head: rest, hasBody: false }
 *       case "+":
 *         return { _tag: "Head", head: rest, hasBody: true }
 *       case ".":
 *         return { _tag: "Chunk", chunk: rest }
 *       case ";":
 *         return { _tag: "End" }
 *     }
 *   }
 * }
 * const frames: Pipeline.StreamingFrames<{ frame: string; request: string; response: string; chunk: string }> = {
 *   request: message,
 *   response: message
 * }
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const serve = Pipeline.serveStreaming(frames, ({ body, head }) =>
 *     Effect.succeed({ head: `${head}, louder`, body: body && Stream.map(body, (chunk) => chunk.toUpperCase()) }))
 *   yield* Effect.forkScoped(Effect.flatMap(Effect.provideService(lines, Socket.Socket, there), serve))
 *
 *   const client = yield* Pipeline.streamingClient(frames, yield* Effect.provideService(lines, Socket.Socket, here))
 *   const { body = Stream.empty, head } = yield* client.call({ head: "song", body: Stream.make("la", "la", "la") })
 *   console.log(head, yield* Stream.runCollect(body)) // => song, louder [ 'LA', 'LA', 'LA' ]
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingFrames<T extends StreamingTypes> = Internal.StreamingFrames<AllOf<T>>

interface ServeStreaming {
  <
    In,
    Out,
    Request,
    RequestChunk,
    Response,
    ResponseChunk,
    Failure = never,
    Told = unknown,
    Tell = undefined,
    E extends TellableOfBodies<Tell, Told> = never,
    E2 extends TellableOfBodies<Tell, Told> = never,
    R = never,
    R2 = never
  >(
    frames:
      & Internal.StreamingServerFrames<{
        toServer: In
        toClient: Out
        request: Request
        requestChunk: RequestChunk
        response: Response
        responseChunk: ResponseChunk
        failure: Failure
      }>
      & {
        readonly response: { readonly abort?: ((error: Told) => Out) | undefined } & Given<"abort", Tell>
      },
    handler: (
      request: Body.Message<Request, RequestChunk, Failure | Body.ReadError>
    ) => Effect.Effect<Body.Message<Response, ResponseChunk, E2, R2>, E, R>,
    options?: Body.Options & ServeOptions<NoInfer<Out>>
  ): (transport: Transport.Transport<In, Out>) => Effect.Effect<void, Untold<Tell, E | E2> | TransportError, R | R2>
}

/**
 * Serves requests and responses that are a head and, where they have one, a body that is a Stream.
 *
 * **When to use**
 *
 * Use where a message is more than a frame and need not be there as a whole before it is worked on: an upload, a file, the
 * rows of a result. Where every message is a frame, use `serve`.
 *
 * **Details**
 *
 * A handler gets the head of a request as soon as it has come, and may answer before the body is complete; the body of its
 * response may read the body of the request. Responses go out in the order of the requests, each with its whole body. A
 * request counts for `maxInFlight`, 64 by default, until its response has gone out. The body of a response is pulled one
 * batch ahead of what is written, so that a peer that does not read stops it. A message without a body costs what it does in
 * `serve`: a handler whose result is already there costs no fiber.
 *
 * The body of a request has a buffer of `bodyBuffer` chunks, 16 by default. A chunk that finds it full stops the reading of
 * the connection until its reader takes what is there; when that has lasted for `bodyTimeout`, 10 seconds by default, the
 * body fails as `Stalled` and what still comes of it is dropped. The time does not count while the peer does not read what
 * is written, nor while the response that may read the body waits for its turn. A body whose reader has stopped before its end is dropped at
 * once, and so is one that nobody has begun to read when its handler is done and its response has gone out. A reader that has
 * begun may read on after that.
 *
 * A failure of a handler, or of the body of its response, is an `abort` where the protocol has one; a `BodyError` or a
 * `TransportError`, such as comes of reading the request's body, is one without an error. Where the protocol has no `abort`
 * they go out of `serveStreaming`, and so does a defect always. A part of a message where it is not due fails with
 * `UnexpectedFrame`.
 *
 * It ends when the peer has ended and every response has gone out. A body that was not complete fails with
 * `ConnectionClosed` then, and what is made of that is still sent. Whatever else ends it interrupts the handlers and the
 * bodies of responses, and fails the body that comes in with that `TransportError`, or with `ConnectionClosed` by `local`. A
 * server that drains takes no further request and receives the rest of the one that it has begun with. With `goodbye` that is the last
 * frame of a connection that is drained, behind the responses to all that was begun, as with {@link serve}.
 *
 * **Gotchas**
 *
 * Behind a chunk that waits nothing is read, not even the end of the connection. A handler that leaves a body to another
 * fiber has to see to it that this begins to read before the handler is done. The handler's fiber is gone when the
 * response's body is read: what that needs has to be its own, as with `Stream.unwrap`.
 *
 * **Example** (Failures, of the server and of a body)
 *
 * ```ts
 * import { type Body, Codec, Pipeline, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Stream } from "effect"
 * import { Socket } from "effect/socket"
 *
 * // As with `StreamingFrames`, and `!why` gives a message up.
 * const message = {
 *   head: (head: string, hasBody: boolean) => `${hasBody ? "+" : "="}${head}`,
 *   chunk: (chunk: string) => `.${chunk}`,
 *   end: () => ";",
 *   abort: (error: string | undefined) => `!${error ?? "for no reason"}`,
 *   read: (line: string): Body.Part<string, string, string> | undefined => {
 *     const rest = line.slice(1)
 *     switch (line[0]) {
 *       case "=":
 *         return { _tag: "Head", head: rest, hasBody: false }
 *       case "+":
 *         return { _tag: "Head", head: rest, hasBody: true }
 *       case ".":
 *         return { _tag: "Chunk", chunk: rest }
 *       case ";":
 *         return { _tag: "End" }
 *       case "!":
 *         return { _tag: "Abort", error: rest }
 *     }
 *   }
 * }
 * type Types = { frame: string; request: string; response: string; chunk: string; failure: string }
 * const frames: Pipeline.StreamingFrames<Types> = {
 *   request: message,
 *   response: message
 * }
 * const length = (line: string) => line === "" ? Effect.fail("an empty line") : Effect.succeed(line.length)
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const serve = Pipeline.serveStreaming(frames, ({ body = Stream.empty }) =>
 *     Effect.map(
 *       body.pipe(Stream.mapEffect(length), Stream.runFold(() => 0, (sum, n) => sum + n)),
 *       (sum) => ({ head: `${sum} letters`, body: undefined })
 *     ))
 *   yield* Effect.forkScoped(Effect.flatMap(Effect.provideService(lines, Socket.Socket, there), serve))
 *
 *   const client = yield* Pipeline.streamingClient(frames, yield* Effect.provideService(lines, Socket.Socket, here))
 *   const count = (body: Stream.Stream<string, string>) =>
 *     client.call({ head: "count", body }).pipe(
 *       Effect.match({ onSuccess: ({ head }) => head, onFailure: (why) => `failed: ${why}` }),
 *       Effect.scoped
 *     )
 *   console.log(yield* count(Stream.make("one", "two"))) // => 6 letters
 *   console.log(yield* count(Stream.make("one", ""))) // => failed: an empty line
 *   console.log(yield* count(Stream.concat(Stream.make("one"), Stream.fail("a torn page")))) // => failed: a torn page
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @see {@link StreamingFrames} for the response that has a body
 * @see {@link streamingClient} for the other side
 *
 * @category servers
 * @since 0.1.0
 */
export const serveStreaming = (<T extends AllTypes, E, R>(
  frames: Service<T, E, R>["frames"],
  handler: Service<T, E, R>["handler"],
  options?: Body.Options & ServeOptions<T["toClient"]>
) => {
  const service: Service<T, E, R> = {
    frames,
    handler,
    maxInFlight: Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
    bounds: boundsOf(options),
    goodbye: options?.goodbye
  }
  return (
    transport: Transport.Transport<T["toServer"], T["toClient"]>
  ): Effect.Effect<void, E | TransportError, R> =>
    new Served((surroundings: Surroundings<R>) =>
      new PipelineStreamingServing<T, E, R>(implOf(transport), service, surroundings)
    )
}) as ServeStreaming // with an `abort` nothing of E is left, which only its type can say

/**
 * Calls over one transport, whose requests and responses may have bodies.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamingClient<in Request, in RequestChunk, out Response, out ResponseChunk, in out Failure = never> {
  /**
   * Sends a request and waits for the head of its response.
   *
   * **Details**
   *
   * The scope owns the rest of the exchange: what is still to be sent of the request's body, and the response's body. When it
   * closes, or the call is interrupted, both are given up; it waits until the request's body is over. When the response is
   * complete, the rest of the request's body is not sent any more.
   *
   * A request's body that is given up ends with an `abort` where the protocol has one. Where it has none, one whose response
   * is complete ends as if it were complete too, and any other ends the use of the connection, as the server would take what
   * it has for the whole. The rest of a response that is given up is dropped as it comes.
   *
   * Fails with the `Failure` that the server has answered with, as `Aborted` where that has given the response up
   * without one, with nothing sent where the head cannot be encoded, and with the end of the connection where that
   * comes first. The failure of the request's body is told to the server, which answers it; where the protocol cannot tell of
   * it, the call fails with it, and where it cannot even give a message up, the connection is over as well.
   */
  readonly call: <R = never>(
    request: Body.Message<Request, RequestChunk, Failure | Body.ReadError, R>
  ) => Effect.Effect<
    Body.Message<Response, ResponseChunk, Failure | Body.ReadError>,
    Failure | Body.ReadError,
    R | Scope.Scope
  >
  /** Fails when the connection has ended, with how. */
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

/**
 * Makes calls over a transport whose peer answers in order, with requests and responses that may have bodies.
 *
 * **Details**
 *
 * At most `maxInFlight` calls, 64 by default, are sent and not answered to the end at once; further ones wait. So do those
 * behind one whose body is being sent: a request goes out when the one before it is complete. A body is pulled one batch
 * ahead of what is written.
 *
 * With `callTimeout` a call whose response has not begun in time fails as `TimedOut`, and is given up like one that is
 * interrupted; without it a call waits for as long as the connection lives. How long the body of a response may take is for
 * its reader to say.
 *
 * The body of a response has a buffer of `bodyBuffer` chunks, 16 by default. A chunk that finds it full stops the reading of
 * the connection until its reader takes what is there; when that has lasted for `bodyTimeout`, 10 seconds by default, the
 * body fails as `Stalled` and what still comes of it is dropped.
 *
 * When the connection ends, every waiting call fails with how it ended, and so do the body that comes in and every later
 * call. A part of a message where it is not due ends the use of the connection as `UnexpectedFrame`. Frames that are none of
 * any response go to `unsolicited`, as those of {@link client} do, and with `goodbye` the calls that have no response when the server
 * says that fail with `sent: "no"`, as there.
 *
 * Behind a handshake it is made by the option `client` of `Client.connect`.
 *
 * **Gotchas**
 *
 * A call that has something to do with its response's body belongs in a scope of its own, such as `Stream.unwrap` or
 * `Effect.scoped` gives it; in the scope of the client a body that nobody reads holds up what is behind it, for
 * `bodyTimeout`. A server that answers at once and reads on hears only what the client has sent by then.
 *
 * @see {@link StreamingFrames} for an example
 * @see {@link serveStreaming} for the other side
 *
 * @category clients
 * @since 0.1.0
 */
export const streamingClient = Effect.fnUntraced(function*<
  In,
  Out,
  Request,
  RequestChunk,
  Response,
  ResponseChunk,
  Failure = never,
  Push extends In = never,
  R = never
>(
  frames: Internal.StreamingClientFrames<{
    toServer: Out
    toClient: In
    request: Request
    requestChunk: RequestChunk
    response: Response
    responseChunk: ResponseChunk
    failure: Failure
  }>,
  transport: Transport.Transport<In, Out>,
  options?: Body.Options & Options<In, Push, R>
): Effect.fn.Return<
  StreamingClient<Request, RequestChunk, Response, ResponseChunk, Failure>,
  never,
  Scope.Scope | R
> {
  const calls = new PipelineStreamingCalls<{
    toServer: Out
    toClient: In
    request: Request
    requestChunk: RequestChunk
    response: Response
    responseChunk: ResponseChunk
    failure: Failure
  }>(
    implOf(transport),
    frames,
    Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
    boundsOf(options),
    yield* Effect.context<never>()
  )
  yield* open(calls, options?.unsolicited, options?.goodbye)
  const within = limited(options)
  return { call: (request) => within(calls.call(request)), awaitEnd: calls.awaitEnd }
})
