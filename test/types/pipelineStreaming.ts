/**
 * What `Pipeline` makes of the description of a protocol with bodies.
 */
// Nothing here runs, and much of it must not compile.
// @effect-diagnostics floatingEffect:off missingEffectError:off
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import type * as Body from "../../src/Body.ts"
import type { HandshakeError } from "../../src/HandshakeError.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Server from "../../src/Server.ts"
import type * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

class Busy extends Data.TaggedError("Busy") {}
class Other extends Data.TaggedError("Other") {}
class Orders extends Context.Service<Orders, { readonly count: Effect.Effect<number> }>()("test/Orders") {}
class Pages extends Context.Service<Pages, { readonly all: Stream.Stream<Uint8Array> }>()("test/Pages") {}

interface Ask {
  readonly ask: number
}
interface Answer {
  readonly answer: number
}

declare const toClients: Transport.Transport<Ask, Answer>
declare const toServer: Transport.Transport<Answer, Ask>
interface Types {
  toServer: Ask
  toClient: Answer
  request: string
  requestChunk: string
  response: Date
  responseChunk: Uint8Array
}
declare const plain: Pipeline.StreamingFrames<Types>
declare const failing: Pipeline.StreamingFrames<Types & { failure: Busy }>

const now = { head: new Date(0), body: undefined }
const pages = Stream.unwrap(Effect.map(Pages, ({ all }) => all))

// --- serveStreaming --------------------------------------------------------------------------------------------------

// What the handler and the body of its response need, the server needs.
const served = Pipeline.serveStreaming(plain, (request) => {
  same<typeof request, Body.Message<string, string, Body.ReadError>>()
  return Effect.map(Effect.flatMap(Orders, ({ count }) => count), (count) => ({ head: new Date(count), body: pages }))
})(toClients)
same<Effect.Services<typeof served>, Orders | Pages>()
same<Effect.Error<typeof served>, TransportError>()

// Where the protocol has no abort, what the handler and its body fail with comes out; where it has, it goes to the client.
const failed = Pipeline.serveStreaming(plain, () => Effect.fail(new Busy()))(toClients)
same<typeof failed, Effect.Effect<void, Busy | TransportError>>()
const torn = Pipeline.serveStreaming(
  plain,
  () => Effect.succeed({ head: new Date(0), body: Stream.fail(new Busy()) })
)(toClients)
same<typeof torn, Effect.Effect<void, Busy | TransportError>>()
const read = Pipeline.serveStreaming(
  plain,
  ({ body = Stream.empty }) => Effect.as(Stream.runDrain(body), now)
)(toClients)
same<typeof read, Effect.Effect<void, Body.BodyError | TransportError>>()

const answered = Pipeline.serveStreaming(failing, (request) => {
  same<typeof request, Body.Message<string, string, Busy | Body.ReadError>>()
  // How a body that is read fails need not be handled.
  return Effect.andThen(Stream.runDrain(request.body ?? Stream.empty), Effect.fail(new Busy()))
}, { maxInFlight: 1, bodyBuffer: 1, bodyTimeout: "1 second" })(toClients)
same<typeof answered, Effect.Effect<void, TransportError>>()

// @ts-expect-error: the protocol has no frame for this failure
Pipeline.serveStreaming(failing, () => Effect.fail(new Other()))
// @ts-expect-error: nor for this one of a body
Pipeline.serveStreaming(failing, () => Effect.succeed({ head: new Date(0), body: Stream.fail(new Other()) }))
// @ts-expect-error: a text is no chunk of a response
Pipeline.serveStreaming(plain, () => Effect.succeed({ head: new Date(0), body: Stream.make("a") }))
// @ts-expect-error: nor is it the head of one
Pipeline.serveStreaming(plain, () => Effect.succeed({ head: "now", body: undefined }))
// @ts-expect-error: a client receives no requests
Pipeline.serveStreaming(plain, () => Effect.succeed(now))(toServer)

// It is a service like any other.
declare const handshake: Effect.Effect<typeof toClients, HandshakeError, Socket.Socket | Scope.Scope>
const server = Server.layer({ handshake, serve: Pipeline.serveStreaming(failing, () => Effect.succeed(now)) })
same<typeof server, Layer.Layer<Server.Server, never, SocketServer.SocketServer>>()

// A frame that says that a message is given up can be had without a failure that it tells of.
const reset = { ...plain, response: { ...plain.response, abort: (_: undefined): Answer => ({ answer: 0 }) } }
const resetting = Pipeline.serveStreaming(
  reset,
  ({ body = Stream.empty }) => Effect.as(Stream.runDrain(body), now)
)(toClients)
same<typeof resetting, Effect.Effect<void, TransportError>>()

// --- streamingClient -------------------------------------------------------------------------------------------------

const client = Pipeline.streamingClient(failing, toServer, { maxInFlight: 1, bodyBuffer: 1, bodyTimeout: 10 })
same<
  typeof client,
  Effect.Effect<Pipeline.StreamingClient<string, string, Date, Uint8Array, Busy>, never, Scope.Scope>
>()

declare const calls: Effect.Success<typeof client>
const called = calls.call({ head: "a", body: undefined })
same<
  typeof called,
  Effect.Effect<
    Body.Message<Date, Uint8Array, Busy | Body.ReadError>,
    Busy | Body.BodyError | TransportError,
    Scope.Scope
  >
>()

// What the body of a request needs, the call needs; and one that was received elsewhere can be sent on.
const needing = calls.call({ head: "a", body: Stream.map(pages, String) })
same<Effect.Services<typeof needing>, Pages | Scope.Scope>()
declare const received: Stream.Stream<string, Body.ReadError>
calls.call({ head: "a", body: received })

// @ts-expect-error: the protocol cannot tell of this failure
calls.call({ head: "a", body: Stream.fail(new Other()) })
// @ts-expect-error: a date is no head of a request
calls.call({ head: new Date(0), body: undefined })
// @ts-expect-error: a server sends no requests
Pipeline.streamingClient(plain, toClients)

// --- StreamingFrames -------------------------------------------------------------------------------------------------

// @ts-expect-error: it has to say how it tells of its failures
export const silentFailures: typeof failing = plain

// One type for both directions is the same as one for each, and a failure left out is none.
declare const brief: Pipeline.StreamingFrames<{ frame: Ask; request: string; response: Date; chunk: string }>
interface Long {
  toServer: Ask
  toClient: Ask
  request: string
  requestChunk: string
  response: Date
  responseChunk: string
  failure: never
}
same<typeof brief, Pipeline.StreamingFrames<Long>>()

// One direction can differ.
declare const pushing: Pipeline.StreamingFrames<
  { frame: Ask; toClient: Answer; request: string; response: Date; chunk: string; responseChunk: Uint8Array }
>
same<typeof pushing, typeof plain>()

// @ts-expect-error: what a server sends is missing
export declare const oneWay: Pipeline.StreamingFrames<Omit<Types, "toClient">>
// @ts-expect-error: so are the chunks of responses
export declare const withoutChunks: Pipeline.StreamingFrames<Omit<Types, "responseChunk">>
// @ts-expect-error: so is the head of a request, which is misspelt
export declare const misspelt: Pipeline.StreamingFrames<Omit<Types, "request"> & { requst: string }>

// Each side needs its half only.
declare const half: Pipeline.StreamingServerFrames<Types>
const halfServed = Pipeline.serveStreaming(half, () => Effect.fail(new Busy()))(toClients)
same<typeof halfServed, Effect.Effect<void, Busy | TransportError>>()
const halfCalls = Pipeline.streamingClient({ request: plain.request, response: plain.response }, toServer)
same<typeof halfCalls, Effect.Effect<Pipeline.StreamingClient<string, string, Date, Uint8Array>, never, Scope.Scope>>()

// A description is written for any protocol.
export const halves = <T extends Pipeline.StreamingTypes>(
  frames: Pipeline.StreamingFrames<T>
): [Pipeline.StreamingServerFrames<T>, Pipeline.StreamingClientFrames<T>] => [frames, frames]

// What is read of fewer failures is read of more, and not the other way round; and so with all that is read or written.
declare const narrow: Pipeline.StreamingServerFrames<Types & { failure: Busy }>
declare const wide: Pipeline.StreamingServerFrames<Types & { failure: Busy | Other }>
export const widened: typeof wide = narrow
// @ts-expect-error: it would read a failure that nobody knows
export const narrowed: typeof narrow = wide

// An `abort` that may be missing is none.
declare const maybe: typeof half & { readonly response: Partial<Pipeline.MessageAbort<Answer, Busy>> }
// @ts-expect-error: a failure could be told, or go out
Pipeline.serveStreaming(maybe, () => Effect.succeed(now))

// A description need not be declared, and the types of what it is given need not be written.
const undeclared = Pipeline.serveStreaming({
  request: plain.request,
  response: {
    head: (_head: Date, _hasBody) => ({ answer: 0 }),
    chunk: (_chunk: Uint8Array) => ({ answer: 0 }),
    end: () => ({ answer: 0 }),
    abort: (error) => {
      same<typeof error, unknown>()
      return { answer: 0 }
    }
  }
}, () => Effect.fail(new Busy()))(toClients)
same<typeof undeclared, Effect.Effect<void, TransportError>>()
