/**
 * Requests and responses by id over a transport, each answered when it is done.
 *
 * A protocol says in one value what its frames mean: how a request, a response, an error and a cancel are written, and
 * how they are read. The same value serves its servers and its clients.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Body from "./Body.ts"
import type { ByCall } from "./internal/connection/keepAlive.ts"
import type { Surroundings } from "./internal/connection/onEvents.ts"
import { implOf } from "./internal/connection/transport.ts"
import { boundsOf } from "./internal/dispatch/body.ts"
import { type CallOptions, limited } from "./internal/dispatch/callOptions.ts"
import { open, stayAlive } from "./internal/dispatch/calls.ts"
import { MultiplexCalls } from "./internal/dispatch/multiplexClient.ts"
import type * as Internal from "./internal/dispatch/multiplexFrames.ts"
import type {
  FromClient,
  FromServer,
  MessageAbort,
  MessagePart,
  MessageReader,
  MessageWriter,
  RequestReader
} from "./internal/dispatch/multiplexFrames.ts"
import { type Frames as FramesOfServing, MultiplexServing } from "./internal/dispatch/multiplexServer.ts"
import { MultiplexStreamingCalls } from "./internal/dispatch/multiplexStreamingClient.ts"
import { MultiplexStreamingServing, type Service } from "./internal/dispatch/multiplexStreamingServer.ts"
import type {
  AllOf,
  AllTypesById,
  CallTypes,
  Failure,
  Given,
  StreamingTypes as TypesOfMessages,
  Tellable,
  TellableOfBodies,
  ToClient,
  ToServer,
  Untold
} from "./internal/dispatch/protocolTypes.ts"
import { Served } from "./internal/dispatch/served.ts"
import type { Rules } from "./internal/dispatch/servingById.ts"
import type { Unsolicited } from "./internal/dispatch/unsolicited.ts"
import type * as Transport from "./Transport.ts"
import type { TransportError } from "./TransportError.ts"

/**
 * How many requests of one connection are in flight at once unless told otherwise: 64.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxInFlight = 64

export type {
  FromClient,
  FromServer,
  MessageAbort,
  MessagePart,
  MessageReader,
  MessageWriter,
  RequestReader,
  Unsolicited
}

/**
 * What can be the id of a request. Two ids are the same where a `Map` has one place for them.
 *
 * @category models
 * @since 0.1.0
 */
export type RequestId = number | string | bigint

/**
 * How a protocol says that a request has failed, where it can.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailureFrames<out Out, in Id, in Failure> {
  readonly failure: (id: Id, error: Failure) => Out
}

/**
 * How a client comes to its ids: each from the one before, and the first one from `undefined`.
 *
 * **Details**
 *
 * Ids that are taken are passed over, so it has to come to more different ones than are in flight at once before it
 * begins again. Where an id may be a number it can be left out: see {@link counter}.
 *
 * @category models
 * @since 0.1.0
 */
export type NextId<Id> = [number] extends [Id] ? { readonly nextId?: ((last: Id | undefined) => Id) | undefined }
  : { readonly nextId: (last: Id | undefined) => Id }

/**
 * The types of a protocol.
 *
 * **Details**
 *
 * | field | what it is |
 * |---|---|
 * | `frame` | a frame; or `toServer`, one that a client sends, and `toClient`, one that a server sends |
 * | `id` | the id of a request |
 * | `request` | a request |
 * | `response` | a response |
 * | `failure` | why a request has failed, where the protocol can tell of that |
 *
 * @category models
 * @since 0.1.0
 */
export type Types = CallTypes & { readonly id: RequestId }

/**
 * What a server has to know of the frames of its protocol. All of them are pure functions.
 *
 * **Details**
 *
 * - `fromClient`: reads a frame. One that is neither a request nor a cancel is `undefined`, and ends the connection.
 * - `response`: answers a request.
 * - `cancelled`: answers a request that was cancelled. Without it nothing does.
 *
 * @category models
 * @since 0.1.0
 */
export type ServerFrames<T extends Types> = Internal.ServerFrames<
  ToServer<T>,
  ToClient<T>,
  T["id"],
  T["request"],
  T["response"]
>

/**
 * What a client has to know of the frames of its protocol. All of them are pure functions.
 *
 * **Details**
 *
 * - `fromServer`: reads a frame. One that is no answer is `undefined`, and ends the use of the connection.
 * - `request`: asks for something.
 * - `cancel`: says that the answer to a request is not wanted any more. Without it the answer is waited for and dropped.
 * - `cancelled`: whether a request that was cancelled is answered all the same, be it with a response that was on its
 *   way: then its id and its place stay taken until that has come. A description that serves both sides has the
 *   server's frame here; where there is none, `true` says it. Without it both are free at once, the id is not used
 *   again while the last 4,096 cancelled ones are remembered, and an answer that comes late is dropped.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientFrames<T extends Types> = Internal.ClientFrames<
  ToClient<T>,
  ToServer<T>,
  T["id"],
  T["request"],
  T["response"],
  Failure<T>
>

/**
 * What the frames of a protocol mean, for its servers and its clients.
 *
 * **Details**
 *
 * `T` is the types of all that the frames are made of, and are read as: see {@link Types}. Where it has a `failure`, the frame
 * `failure` tells of it.
 *
 * **Example** (Lines that begin with an id)
 *
 * ```ts
 * import { Codec, Multiplex, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const cut = (line: string) => {
 *   const at = line.indexOf(" ")
 *   return { id: Number(line.slice(0, at)), body: line.slice(at + 1) }
 * }
 * const frames: Multiplex.Frames<{ frame: string; id: number; request: string; response: string }> = {
 *   request: (id, body) => `${id} ${body}`,
 *   fromClient: (line) => ({ _tag: "Request", ...cut(line) }),
 *   response: (id, body) => `${id} ${body}`,
 *   fromServer: (line) => ({ _tag: "Response", ...cut(line) })
 * }
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const serve = Multiplex.serve(frames, (ms) => Effect.as(Effect.sleep(Number(ms)), `slept ${ms} ms`))
 *   yield* Effect.forkScoped(Effect.flatMap(Effect.provideService(lines, Socket.Socket, there), serve))
 *
 *   const client = yield* Multiplex.client(frames, yield* Effect.provideService(lines, Socket.Socket, here))
 *   yield* Effect.forEach(
 *     ["30", "1"],
 *     (ms) => Effect.map(client.call(ms), (answer) => console.log(answer)),
 *     { concurrency: "unbounded" }
 *   )
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * // => slept 1 ms
 * // => slept 30 ms
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export type Frames<T extends Types> =
  & ServerFrames<T>
  & ClientFrames<T>
  // The one that both halves have.
  & { readonly cancelled?: ((id: T["id"]) => ToClient<T>) | undefined }
  & ([Failure<T>] extends [never] ? { readonly failure?: undefined } : FailureFrames<ToClient<T>, T["id"], Failure<T>>)
  & NextId<T["id"]>

/**
 * Ids that count up, and begin again behind the last one.
 *
 * **Details**
 *
 * `first` is 0 and `last` is 2^53 - 1 unless told otherwise.
 *
 * **Example** (Ids of 16 bits, without 0)
 *
 * ```ts
 * import { Multiplex } from "effect-handshake"
 *
 * const nextId = Multiplex.counter({ first: 1, last: 0xffff })
 *
 * console.log([nextId(undefined), nextId(1), nextId(0xffff)]) // => [ 1, 2, 1 ]
 * ```
 *
 * @category ids
 * @since 0.1.0
 */
export const counter = (
  options?: {
    /** The first id. Default: 0. */
    readonly first?: number | undefined
    /** The last id, behind which it begins anew. Default: 2^53 - 1. */
    readonly last?: number | undefined
  }
): (last: number | undefined) => number => {
  const { first = 0, last: end = Number.MAX_SAFE_INTEGER } = options ?? {}
  return (last) => last === undefined || last >= end ? first : last + 1
}

const rulesOf = <Out, Id, Head, E>(
  options: {
    readonly maxInFlight?: number | undefined
    readonly refuse?: ((head: Head) => E) | undefined
  } | undefined,
  canTell: boolean,
  cancelled: ((id: Id) => Out) | undefined
): Rules<Out, Id, Head, E> => ({
  maxInFlight: Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
  refuse: canTell ? options?.refuse : undefined,
  cancelled
})

export type { ByCall as KeepAlive } from "./internal/connection/keepAlive.ts"

interface ClientOptions<In, Push extends In, R> extends CallOptions {
  /** What is done with frames that are not answers. Default: every frame has to be an answer. */
  readonly unsolicited?: Unsolicited<In, Push, R> | undefined
  /** Whether a frame is the server's goodbye. Default: none is. */
  readonly goodbye?: ((frame: In) => boolean) | undefined
}

interface Goodbye<out Out> {
  /** The last frame of a connection that is drained. Default: it just ends. */
  readonly goodbye?: Out | undefined
}

interface Serve {
  <
    In,
    Out,
    Id extends RequestId,
    Request,
    Response,
    Told = unknown,
    Tell = undefined,
    E extends Tellable<Tell, Told> = never,
    R = never
  >(
    frames:
      & Internal.ServerFrames<In, Out, Id, Request, Response>
      & { readonly failure?: ((id: Id, error: Told) => Out) | undefined }
      & Given<"failure", Tell>,
    handler: (request: Request) => Effect.Effect<Response, E, R>,
    options?: Options<Request, Tell, Told> & Goodbye<NoInfer<Out>>
  ): (transport: Transport.Transport<In, Out>) => Effect.Effect<void, Untold<Tell, E> | TransportError, R>
}

type Options<Request, Tell, Told> =
  & {
    /** How many handlers run at once; further requests wait, or hear what `refuse` says. Default: 64. */
    readonly maxInFlight?: number | undefined
  }
  & ([Tell] extends [undefined] ? { readonly refuse?: undefined }
    : {
      /** The failure of a request for which there is no room. Default: it waits. */
      readonly refuse?: ((request: Request) => NoInfer<Told>) | undefined
    })

/**
 * Serves each request of a transport with a handler and answers it when its handler is done.
 *
 * **Details**
 *
 * At most `maxInFlight` handlers, 64 by default, run at once. What comes beyond that waits and slows its peer down; with
 * `refuse`, it is answered at once with that failure. Answers that become ready together are sent in one write. A
 * handler whose result is already there costs no fiber.
 *
 * A handler's failure is sent to the client where the protocol has a `failure` for it; where it has none, `serve` fails
 * with it. With a defect `serve` always fails. A cancel interrupts its handler, and one for a request that is not in
 * flight does nothing. A frame that means nothing, or a request whose id is in flight, fails with `UnexpectedFrame`.
 *
 * It ends when the peer has ended and every request is answered; a peer that has only ended its own side still hears
 * the answers. It fails with a `TransportError` where the connection broke or an answer cannot be encoded. However it
 * fails, the answers that are ready are sent first. Whatever ends it interrupts the handlers that are still running.
 *
 * With `goodbye`, this frame is the last one of a connection that is drained, behind the answers to all requests that
 * were begun: a request without an answer by then was not begun. It is sent at no other end. Give {@link client} the
 * same.
 *
 * **Gotchas**
 *
 * A cancelled handler counts until it has ended: one that cannot be interrupted keeps its place. Behind a request that
 * waits for a place nothing more is read, neither a cancel nor the end of the connection.
 *
 * **Example** (The failure of a request)
 *
 * ```ts
 * import { Codec, Multiplex, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const read = (line: string) => {
 *   const [tag, id, body] = line.split(" ")
 *   return { tag, id: Number(id), body }
 * }
 * type Types = { frame: string; id: number; request: string; response: string; failure: string }
 * const frames: Multiplex.Frames<Types> = {
 *   request: (id, body) => `? ${id} ${body}`,
 *   fromClient: (line) => ({ _tag: "Request", ...read(line) }),
 *   response: (id, body) => `+ ${id} ${body}`,
 *   failure: (id, error) => `- ${id} ${error}`,
 *   fromServer: (line) => {
 *     const { tag, id, body } = read(line)
 *     return tag === "+" ? { _tag: "Response", id, body } : { _tag: "Failure", id, error: body }
 *   }
 * }
 * const half = (n: string) => Number(n) % 2 === 0 ? Effect.succeed(`${Number(n) / 2}`) : Effect.fail("odd")
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const serve = Multiplex.serve(frames, half, { maxInFlight: 16, refuse: () => "busy" })
 *   yield* Effect.forkScoped(Effect.flatMap(Effect.provideService(lines, Socket.Socket, there), serve))
 *
 *   const client = yield* Multiplex.client(frames, yield* Effect.provideService(lines, Socket.Socket, here))
 *   console.log(yield* client.call("42")) // => 21
 *   console.log(yield* Effect.flip(client.call("43"))) // => odd
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
export const serve = (<In, Out, Id extends RequestId, Request, Response, E, R>(
  frames: FramesOfServing<In, Out, Id, Request, Response, E>,
  handler: (request: Request) => Effect.Effect<Response, E, R>,
  options?: Goodbye<Out> & {
    readonly maxInFlight?: number | undefined
    readonly refuse?: ((request: Request) => E) | undefined
  }
) => {
  const service = {
    frames,
    handler,
    rules: rulesOf(options, frames.failure !== undefined, frames.cancelled),
    goodbye: options?.goodbye
  }
  return (transport: Transport.Transport<In, Out>): Effect.Effect<void, E | TransportError, R> =>
    new Served((surroundings: Surroundings<R>) => new MultiplexServing(implOf(transport), service, surroundings))
}) as Serve // with a `failure` nothing of E is left, which only its type can say

/**
 * Calls over one transport, whose answers come in any order.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client<in Request, out Response, out Failure = never> {
  /**
   * Sends a request and waits for its answer.
   *
   * **Details**
   *
   * Fails with the `Failure` that the server has answered with; where the request cannot be encoded, with nothing sent;
   * and where the connection ends before the answer has come, with how it ended. An interrupted call that was not sent
   * yet is not sent; one that was is cancelled where the protocol has a cancel, and its answer is dropped.
   */
  readonly call: (request: Request) => Effect.Effect<Response, Failure | TransportError>
  /** Fails when the connection has ended, with how. */
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

/**
 * Makes calls over a transport whose peer answers by id.
 *
 * **Details**
 *
 * At most `maxInFlight` calls, 64 by default, are sent and not answered at once; further ones wait, in order. Requests
 * that are made together travel together. When the connection ends, every waiting call fails with how it ended, and so
 * does every later one. When the scope closes, they fail as `ConnectionClosed` by `local`. An answer to no request, or
 * a frame that is none, ends the use of the connection as `UnexpectedFrame`.
 *
 * A frame for which `goodbye` is true ends the use of the connection, and the calls that wait fail with `sent: "no"`,
 * for the server has begun none of them. See `Pipeline.client`.
 *
 * With `keepAlive` a peer from which nothing was heard for some time is asked by a request of its own, whose answer
 * goes to nobody else, and the connection ends as `TimedOut` where none comes. See {@link KeepAlive}.
 *
 * Frames that `unsolicited` says are no answers are handled by its `handle`, in order with the answers, and
 * `fromServer` never sees them. See {@link Unsolicited}.
 *
 * With `callTimeout` a call that is not answered in time fails as `TimedOut`, and is given up like one that is interrupted:
 * one that was sent is cancelled where the protocol has a cancel, and keeps its place where it has none; its answer is
 * dropped when it comes. Without it a call waits for as long as the connection lives.
 *
 * An id is used again only when it is free: when its answer has come, or, where nothing answers a cancelled request,
 * long after it was cancelled.
 *
 * Behind a handshake it is made by the option `client` of `Client.connect`.
 *
 * @see {@link Frames} for an example
 * @see {@link serve} for the other side
 *
 * @category clients
 * @since 0.1.0
 */
export const client = Effect.fnUntraced(function*<
  In,
  Out,
  Id extends RequestId,
  Request,
  Response,
  Failure = never,
  Push extends In = never,
  R = never
>(
  frames: Internal.ClientFrames<In, Out, Id, Request, Response, Failure> & NextId<Id>,
  transport: Transport.Transport<In, Out>,
  options?: ClientOptions<In, Push, R> & {
    /** How the peer is asked whether it is still there. Default: it is not asked. */
    readonly keepAlive?: ByCall<Request> | undefined
  }
): Effect.fn.Return<Client<Request, Response, Failure>, never, Scope.Scope | R> {
  const calls = new MultiplexCalls(
    implOf(transport),
    frames,
    // It may be left out only where an id may be a number, which the compiler does not see while Id is open.
    frames.nextId ?? counter() as unknown as (last: Id | undefined) => Id,
    Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
    yield* Effect.context<never>()
  )
  yield* open(calls, options?.unsolicited, options?.goodbye)
  yield* stayAlive(transport, options?.keepAlive, (ping) => calls.ask(ping))
  const within = limited(options)
  return { call: (request) => within(calls.call(request)), awaitEnd: calls.awaitEnd }
})

/**
 * The types of a protocol with bodies.
 *
 * **Details**
 *
 * | field | what it is |
 * |---|---|
 * | `frame` | a frame; or `toServer`, one that a client sends, and `toClient`, one that a server sends |
 * | `id` | the id of a request |
 * | `request` | the head of a request |
 * | `response` | the head of a response |
 * | `chunk` | a chunk of a body; or `requestChunk` and `responseChunk`, one of a request's and one of a response's |
 * | `failure` | why a request, or a body, has failed, where the protocol can tell of that |
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingTypes = TypesOfMessages & { readonly id: RequestId }

/**
 * What a server has to know of the frames of a protocol with bodies. All of them are pure functions.
 *
 * **Details**
 *
 * - `request`: how requests are read.
 * - `response`: how responses are written.
 * - `cancelled`: answers a request that was cancelled, in the place of what is left of its response. Without it nothing
 *   does.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingServerFrames<T extends StreamingTypes> = Internal.StreamingServerFrames<AllById<T>>

/**
 * What a client has to know of the frames of a protocol with bodies. All of them are pure functions.
 *
 * **Details**
 *
 * - `request`: how requests are written, and given up where the protocol can say that.
 * - `response`: how responses are read.
 * - `cancel`: says that the response to a request is not wanted any more, and that no more comes of the request either.
 *   Without it what still comes of the response is waited for and dropped.
 * - `cancelled`: whether the response to a request that was cancelled still ends: then its id and its place stay taken until
 *   it has. A description that serves both sides has the server's frame here, which is read as an `Abort`; where there is
 *   none, `true` says it. Without it both are free at once, the id is not used again while the last 4,096 cancelled
 *   ones are remembered, and what comes late is dropped.
 *
 * @category models
 * @since 0.1.0
 */
export type StreamingClientFrames<T extends StreamingTypes> = Internal.StreamingClientFrames<AllById<T>>

/**
 * What the frames of a protocol with bodies mean, for its servers and its clients.
 *
 * **Details**
 *
 * `T` is the types of all that the frames are made of, and are read as: see {@link StreamingTypes}. Where it has a `failure`,
 * `response` has an `abort` that tells of it, and `request` may have one. Without one a message that has begun is sent to its
 * end, or cancelled, or the connection is over.
 *
 * **Example** (Lines that begin with a sign and an id)
 *
 * ```ts
 * import { Codec, Multiplex, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Stream } from "effect"
 * import { Socket } from "effect/socket"
 *
 * // `=1 head` is a message without a body; `+1 head` is one with a body, of `.1 chunk`s, and `;1 ` is the end of that.
 * const message = {
 *   head: (id: number, head: string, hasBody: boolean) => `${hasBody ? "+" : "="}${id} ${head}`,
 *   chunk: (id: number, chunk: string) => `.${id} ${chunk}`,
 *   end: (id: number) => `;${id} `,
 *   read: (line: string): Multiplex.MessagePart<number, string, string> | undefined => {
 *     const at = line.indexOf(" ")
 *     const id = Number(line.slice(1, at))
 *     const rest = line.slice(at + 1)
 *     switch (line[0]) {
 *       case "=":
 *         return { _tag: "Head", id, head: rest, hasBody: false }
 *       case "+":
 *         return { _tag: "Head", id, head: rest, hasBody: true }
 *       case ".":
 *         return { _tag: "Chunk", id, chunk: rest }
 *       case ";":
 *         return { _tag: "End", id }
 *     }
 *   }
 * }
 * type Types = { frame: string; id: number; request: string; response: string; chunk: string }
 * const frames: Multiplex.StreamingFrames<Types> = {
 *   request: message,
 *   response: message
 * }
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const lines = Transport.framed(Codec.lines())
 *   const serve = Multiplex.serveStreaming(frames, ({ body, head }) =>
 *     Effect.succeed({ head: `${head}, louder`, body: body && Stream.map(body, (chunk) => chunk.toUpperCase()) }))
 *   yield* Effect.forkScoped(Effect.flatMap(Effect.provideService(lines, Socket.Socket, there), serve))
 *
 *   const client = yield* Multiplex.streamingClient(frames, yield* Effect.provideService(lines, Socket.Socket, here))
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
export type StreamingFrames<T extends StreamingTypes> =
  & StreamingServerFrames<T>
  & StreamingClientFrames<T>
  // The one that both halves have.
  & { readonly cancelled?: ((id: T["id"]) => ToClient<T>) | undefined }
  & {
    readonly response: [Failure<T>] extends [never] ? { readonly abort?: undefined }
      : MessageAbort<ToClient<T>, T["id"], Failure<T>>
  }
  & NextId<T["id"]>

interface AllById<T extends StreamingTypes> extends AllOf<T> {
  readonly id: T["id"]
}

interface ServeStreaming {
  <
    In,
    Out,
    Id extends RequestId,
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
        id: Id
        request: Request
        requestChunk: RequestChunk
        response: Response
        responseChunk: ResponseChunk
        failure: Failure
      }>
      & {
        readonly response: { readonly abort?: ((id: Id, error: Told) => Out) | undefined } & Given<"abort", Tell>
      },
    handler: (
      request: Body.Message<Request, RequestChunk, Failure | Body.ReadError>
    ) => Effect.Effect<Body.Message<Response, ResponseChunk, E2, R2>, E, R>,
    options?: Body.Options & Options<Request, Tell, Told> & Goodbye<NoInfer<Out>>
  ): (transport: Transport.Transport<In, Out>) => Effect.Effect<void, Untold<Tell, E | E2> | TransportError, R | R2>
}

/**
 * Serves requests and responses that are a head and, where they have one, a body that is a Stream.
 *
 * **When to use**
 *
 * Use where a request or a response is too large, or comes too slowly, to be one frame: uploads, downloads, subscriptions.
 * Otherwise `serve` is simpler.
 *
 * **Details**
 *
 * At most `maxInFlight` requests, 64 by default, have a handler or a response under way at once. What comes beyond that
 * waits and slows its peer down; with `refuse`, it is answered at once with that failure. A response may begin before its
 * request's body has ended. Bodies take turns: one that always has more to send starves neither another one nor an answer.
 * A body is pulled one batch ahead of what is written, so that a peer that does not read stops it. A handler whose
 * result is already there, and that has no body, costs no fiber.
 *
 * The body of a request has a buffer of `bodyBuffer` chunks, 16 by default. A chunk that finds it full holds the whole
 * connection up, until its reader takes what is there; when that has lasted for `bodyTimeout`, 10 seconds by default, this
 * body fails as `Stalled` and what still comes of it is dropped. A body that nobody reads any more, because its reader
 * has stopped or its request is answered, holds nothing up.
 *
 * A failure of a handler, or of the body of its response, is an `abort` where the protocol has one; a `BodyError` or a
 * `TransportError`, such as comes of reading the request's body, is one without an error. Where the protocol has no `abort`
 * they go out of `serveStreaming`, and so does a defect always. A cancel interrupts the handler, or the body of its
 * response. A part of a message where it is not due fails with `UnexpectedFrame`.
 *
 * It ends when the peer has ended and every response has gone out. The bodies that were not complete fail with
 * `ConnectionClosed` then, and what is made of that is still sent. Whatever else ends it interrupts the handlers and the
 * bodies of responses, and fails the bodies of requests with that `TransportError`, or with `ConnectionClosed` by `local`.
 * A server that drains takes no further request and receives the rest of those that it has. With `goodbye` that is the last frame of a
 * connection that is drained, as with {@link serve}; a request that comes while the rest of others is received has no answer then,
 * while otherwise it has an `abort`.
 *
 * **Gotchas**
 *
 * A request that waits for a place holds up the bodies behind it. When a handler waits for one of these for `bodyTimeout`,
 * the request is refused: with an `abort` that has no error, else as `UnexpectedFrame`. So a client should not have
 * more than `maxInFlight` requests under way, or the server should `refuse` them.
 *
 * The handler's fiber is gone when the response's body is read: what that needs has to be its own, as with `Stream.unwrap`.
 *
 * @see {@link StreamingFrames} for an example
 * @see {@link streamingClient} for the other side
 *
 * @category servers
 * @since 0.1.0
 */
export const serveStreaming = (<T extends AllTypesById, E, R>(
  frames: Service<T, E, R>["frames"],
  handler: Service<T, E, R>["handler"],
  options?: Body.Options & Goodbye<T["toClient"]> & {
    readonly maxInFlight?: number | undefined
    readonly refuse?: ((request: T["request"]) => E) | undefined
  }
) => {
  const service: Service<T, E, R> = {
    frames,
    handler,
    rules: rulesOf(options, frames.response.abort !== undefined, frames.cancelled),
    bounds: boundsOf(options),
    goodbye: options?.goodbye
  }
  return (
    transport: Transport.Transport<T["toServer"], T["toClient"]>
  ): Effect.Effect<void, E | TransportError, R> =>
    new Served((surroundings: Surroundings<R>) =>
      new MultiplexStreamingServing<T, E, R>(implOf(transport), service, surroundings)
    )
}) as ServeStreaming // as with `serve`

/**
 * Calls over one transport, whose requests and responses may have bodies, and whose answers come in any order.
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
   * closes, or the call is interrupted, both are given up; it waits until the request's body is over. A response's body
   * that is not read to its end is given up as well. When the response is complete, the rest of the request's body is not
   * sent any more.
   *
   * What is given up is cancelled where the protocol has a cancel. Where it has none, the rest of the response is dropped as
   * it comes, and a request's body that is not complete ends with an `abort`; where the protocol has no `abort` either, it
   * ends the use of the connection, as the peer would take what it has for the whole.
   *
   * Fails with the `Failure` that the server has answered with, as `Aborted` where that has given the response up
   * without one, with nothing sent where the head cannot be encoded, and with the end of the connection where that
   * comes first. The failure of the request's body is told to the server, which answers it; where the protocol cannot tell of
   * it, the call fails with it and is given up.
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
 * Makes calls over a transport whose peer answers by id, with requests and responses that may have bodies.
 *
 * **Details**
 *
 * At most `maxInFlight` calls, 64 by default, are sent and not answered to the end at once; further ones wait, in order.
 * The bodies of requests take turns, and each is pulled one batch ahead of what is written.
 *
 * With `callTimeout` a call whose response has not begun in time fails as `TimedOut`, and is given up like one that is
 * interrupted; without it a call waits for as long as the connection lives. How long the body of a response may take is for
 * its reader to say.
 *
 * The body of a response has a buffer of `bodyBuffer` chunks, 16 by default. A chunk that finds it full holds the whole
 * connection up, until its reader takes what is there; when that has lasted for `bodyTimeout`, 10 seconds by default, this
 * body fails as `Stalled` and its call is given up.
 *
 * When the connection ends, every waiting call fails with how it ended, and so do the bodies that are not complete and every
 * later call. When the scope closes, they fail as `ConnectionClosed` by `local`. A part of a message where it is not
 * due ends the use of the connection as `UnexpectedFrame`. Frames that are none of any response go to `unsolicited`, as
 * those of {@link client} do, and with `goodbye` the calls that have no response when the server says that fail with
 * `sent: "no"`, as there.
 *
 * An id is used again only when it is free: when its response is complete, or, where nothing answers a cancelled
 * request, long after it was cancelled.
 *
 * Behind a handshake it is made by the option `client` of `Client.connect`.
 *
 * **Gotchas**
 *
 * A call that has something to do with its response's body belongs in a scope of its own, such as `Stream.unwrap` or
 * `Effect.scoped` gives it; in the scope of the client each body that is neither read nor ended keeps its place.
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
  Id extends RequestId,
  Request,
  RequestChunk,
  Response,
  ResponseChunk,
  Failure = never,
  Push extends In = never,
  R = never
>(
  frames:
    & Internal.StreamingClientFrames<{
      toServer: Out
      toClient: In
      id: Id
      request: Request
      requestChunk: RequestChunk
      response: Response
      responseChunk: ResponseChunk
      failure: Failure
    }>
    & NextId<Id>,
  transport: Transport.Transport<In, Out>,
  options?: Body.Options & ClientOptions<In, Push, R>
): Effect.fn.Return<
  StreamingClient<Request, RequestChunk, Response, ResponseChunk, Failure>,
  never,
  Scope.Scope | R
> {
  const calls = new MultiplexStreamingCalls<{
    toServer: Out
    toClient: In
    id: Id
    request: Request
    requestChunk: RequestChunk
    response: Response
    responseChunk: ResponseChunk
    failure: Failure
  }>(
    implOf(transport),
    frames,
    // As with `client`.
    frames.nextId ?? counter() as unknown as (last: Id | undefined) => Id,
    Math.max(1, options?.maxInFlight ?? defaultMaxInFlight),
    boundsOf(options),
    yield* Effect.context<never>()
  )
  yield* open(calls, options?.unsolicited, options?.goodbye)
  const within = limited(options)
  return { call: (request) => within(calls.call(request)), awaitEnd: calls.awaitEnd }
})
