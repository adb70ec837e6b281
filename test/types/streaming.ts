/**
 * What `Multiplex` and `Pipeline` make of the description of a protocol with bodies.
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
import * as Multiplex from "../../src/Multiplex.ts"
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
  id: number
  request: string
  requestChunk: string
  response: Date
  responseChunk: Uint8Array
}
declare const plain: Multiplex.StreamingFrames<Types>
declare const failing: Multiplex.StreamingFrames<Types & { failure: Busy }>
declare const large: Multiplex.StreamingFrames<Omit<Types, "id"> & { id: bigint }>

const now = { head: new Date(0), body: undefined }

// --- serveStreaming --------------------------------------------------------------------------------------------------

// What the handler and the body of its response need, the server needs.
const served = Multiplex.serveStreaming(plain, (request) => {
  same<typeof request, Body.Message<string, string, Body.ReadError>>()
  return Effect.map(Effect.flatMap(Orders, (orders) => orders.count), (count) => ({
    head: new Date(count),
    body: Stream.unwrap(Effect.map(Pages, (pages) => pages.all))
  }))
})(toClients)
same<Effect.Services<typeof served>, Orders | Pages>()
same<Effect.Error<typeof served>, TransportError>()

// Where the protocol has no failures, those of the handler and of its body come out; where it has, they go to the client.
const failed = Multiplex.serveStreaming(plain, () => Effect.fail(new Busy()))(toClients)
same<typeof failed, Effect.Effect<void, Busy | TransportError>>()
const torn = Multiplex.serveStreaming(
  plain,
  () => Effect.succeed({ head: new Date(0), body: Stream.fail(new Busy()) })
)(toClients)
same<typeof torn, Effect.Effect<void, Busy | TransportError>>()

const answered = Multiplex.serveStreaming(failing, ({ body = Stream.empty }) => {
  same<typeof body, Stream.Stream<string, Busy | Body.ReadError> | Stream.Stream<never>>()
  // How a body that is read fails need not be handled.
  return Effect.andThen(Stream.runDrain(body), Effect.fail(new Busy()))
}, { maxInFlight: 1, bodyBuffer: 1, bodyTimeout: "1 second", refuse: () => new Busy() })(toClients)
same<typeof answered, Effect.Effect<void, TransportError>>()

// @ts-expect-error: the protocol has no frame for this failure
Multiplex.serveStreaming(failing, () => Effect.fail(new Other()))
// @ts-expect-error: nor for this one of a body
Multiplex.serveStreaming(failing, () => Effect.succeed({ head: new Date(0), body: Stream.fail(new Other()) }))
// @ts-expect-error: nor for this refusal
Multiplex.serveStreaming(failing, () => Effect.succeed(now), { refuse: () => new Other() })
// @ts-expect-error: it has none at all
Multiplex.serveStreaming(plain, () => Effect.succeed(now), { refuse: () => new Busy() })
// @ts-expect-error: a text is no chunk of a response
Multiplex.serveStreaming(plain, () => Effect.succeed({ head: new Date(0), body: Stream.make("a") }))
// @ts-expect-error: a client's transport
Multiplex.serveStreaming(plain, () => Effect.succeed(now))(toServer)

declare const handshake: Effect.Effect<typeof toClients, HandshakeError, Socket.Socket | Scope.Scope>
const layer = Server.layer({ handshake, serve: Multiplex.serveStreaming(failing, () => Effect.succeed(now)) })
same<typeof layer, Layer.Layer<Server.Server, never, SocketServer.SocketServer>>()

// --- streamingClient -------------------------------------------------------------------------------------------------

const calls = Multiplex.streamingClient(plain, toServer)
same<typeof calls, Effect.Effect<Multiplex.StreamingClient<string, string, Date, Uint8Array>, never, Scope.Scope>>()

const failingCalls = Multiplex.streamingClient(failing, toServer, { maxInFlight: 2 })
same<
  typeof failingCalls,
  Effect.Effect<Multiplex.StreamingClient<string, string, Date, Uint8Array, Busy>, never, Scope.Scope>
>()

declare const client: Multiplex.StreamingClient<string, string, Date, Uint8Array, Busy>

// A call has a scope, for what is left of the exchange when it has its answer.
const short = client.call({ head: "a", body: undefined })
same<
  typeof short,
  Effect.Effect<Body.Message<Date, Uint8Array, Busy | Body.ReadError>, Busy | Body.ReadError, Scope.Scope>
>()

// A body brings its services, may be one that was received, and may fail as the protocol can say.
declare const body: Stream.Stream<string, Busy | Body.ReadError, Orders>
const long = client.call({ head: "a", body })
same<Effect.Services<typeof long>, Orders | Scope.Scope>()
same<Effect.Error<typeof long>, Busy | Body.ReadError>()

// @ts-expect-error: the protocol has no frame for this failure
client.call({ head: "a", body: Stream.fail(new Other()) })
// @ts-expect-error: a number is no chunk of a request
client.call({ head: "a", body: Stream.make(1) })
// @ts-expect-error: only numbers can be counted without being told how
Multiplex.streamingClient({ request: large.request, response: large.response }, toServer)
// @ts-expect-error: a server's transport
Multiplex.streamingClient(plain, toClients)

// --- StreamingFrames -------------------------------------------------------------------------------------------------

// @ts-expect-error: it has to say how it tells of its failures
export const silentFailures: typeof failing = plain

// A description need not be declared.
declare const read: (frame: Ask | Answer) => Multiplex.MessagePart<number, string, string> | undefined
const undeclared = Multiplex.streamingClient({
  request: {
    head: (id: number, _head: string, _hasBody: boolean): Ask => ({ ask: id }),
    chunk: (id: number, _chunk: string): Ask => ({ ask: id }),
    end: (id: number): Ask => ({ ask: id })
  },
  response: { read }
}, toServer)
same<typeof undeclared, Effect.Effect<Multiplex.StreamingClient<string, string, string, string>, never, Scope.Scope>>()

// One type for both directions is the same as one for each, and a failure left out is none.
declare const brief: Multiplex.StreamingFrames<
  { frame: Ask; id: number; request: string; response: Date; chunk: string }
>
interface Long {
  toServer: Ask
  toClient: Ask
  id: number
  request: string
  requestChunk: string
  response: Date
  responseChunk: string
  failure: never
}
same<typeof brief, Multiplex.StreamingFrames<Long>>()

// @ts-expect-error: the ids are missing
export declare const withoutIds: Multiplex.StreamingFrames<Omit<Types, "id">>
// @ts-expect-error: a date is no id
export declare const ofDates: Multiplex.StreamingFrames<Omit<Types, "id"> & { id: Date }>

// Each side needs its half only.
declare const half: Multiplex.StreamingServerFrames<Types>
const halfServed = Multiplex.serveStreaming(half, () => Effect.fail(new Busy()))(toClients)
same<typeof halfServed, Effect.Effect<void, Busy | TransportError>>()
declare const otherHalf: Multiplex.StreamingClientFrames<Types & { failure: Busy }>
const halfCalls = Multiplex.streamingClient(otherHalf, toServer)
same<
  typeof halfCalls,
  Effect.Effect<Multiplex.StreamingClient<string, string, Date, Uint8Array, Busy>, never, Scope.Scope>
>()

// A description is written for any protocol.
export const halves = <T extends Multiplex.StreamingTypes>(
  frames: Multiplex.StreamingFrames<T>
): [Multiplex.StreamingServerFrames<T>, Multiplex.StreamingClientFrames<T>] => [frames, frames]

// What is read of fewer failures is read of more, and not the other way round; and so with all that is read or written.
declare const narrow: Multiplex.StreamingServerFrames<Types & { failure: Busy }>
declare const wide: Multiplex.StreamingServerFrames<Types & { failure: Busy | Other }>
export const widened: typeof wide = narrow
// @ts-expect-error: it would read a failure that nobody knows
export const narrowed: typeof narrow = wide
