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
