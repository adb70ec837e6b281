/**
 * What `Multiplex` makes of the description of a protocol.
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
import type { HandshakeError } from "../../src/HandshakeError.ts"
import * as Multiplex from "../../src/Multiplex.ts"
import * as Server from "../../src/Server.ts"
import type * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

class Busy extends Data.TaggedError("Busy") {}
class Other extends Data.TaggedError("Other") {}
class Orders extends Context.Service<Orders, { readonly count: Effect.Effect<number> }>()("test/Orders") {}

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
  response: Date
}
declare const plain: Multiplex.Frames<Types>
declare const failing: Multiplex.Frames<Types & { failure: Busy }>
declare const mixed: Multiplex.Frames<Omit<Types, "id"> & { id: string | number }>
declare const large: Multiplex.Frames<Omit<Types, "id"> & { id: bigint }>

// --- serve -----------------------------------------------------------------------------------------------------------

const served = Multiplex.serve(plain, (request) => {
  same<typeof request, string>()
  return Effect.map(Effect.flatMap(Orders, (orders) => orders.count), (count) => new Date(count))
})(toClients)
same<typeof served, Effect.Effect<void, TransportError, Orders>>()

// Where the protocol has no failures, those of the handler come out; where it has, they go to the client.
const failed = Multiplex.serve(plain, () => Effect.fail(new Busy()))(toClients)
same<typeof failed, Effect.Effect<void, Busy | TransportError>>()

const answered = Multiplex.serve(failing, () => Effect.fail(new Busy()), {
  maxInFlight: 1,
  refuse: (request) => {
    same<typeof request, string>()
    return new Busy()
  }
})(toClients)
same<typeof answered, Effect.Effect<void, TransportError>>()

// @ts-expect-error: the protocol has no frame for this failure
Multiplex.serve(failing, () => Effect.fail(new Other()))
// @ts-expect-error: nor for this refusal
Multiplex.serve(failing, () => Effect.succeed(new Date(0)), { refuse: () => new Other() })
// @ts-expect-error: it has none at all
Multiplex.serve(plain, () => Effect.succeed(new Date(0)), { refuse: () => new Busy() })
// @ts-expect-error: a text is no response
Multiplex.serve(plain, (request) => Effect.succeed(request))
// @ts-expect-error: a client's transport
Multiplex.serve(plain, () => Effect.succeed(new Date(0)))(toServer)

declare const handshake: Effect.Effect<typeof toClients, HandshakeError, Socket.Socket | Scope.Scope>
const layer = Server.layer({ handshake, serve: Multiplex.serve(failing, () => Effect.succeed(new Date(0))) })
same<typeof layer, Layer.Layer<Server.Server, never, SocketServer.SocketServer>>()

// A server needs its half of the description only.
const half = Multiplex.serve({
  fromClient: (frame: Ask) => ({ _tag: "Request", id: frame.ask, body: `${frame.ask}` }),
  response: (answer: number, _body: Date): Answer => ({ answer })
}, (request) => {
  same<typeof request, string>()
  return Effect.succeed(new Date(0))
})(toClients)
same<typeof half, Effect.Effect<void, TransportError>>()

// What a description is given need not have its types written.
const telling = Multiplex.serve({
  fromClient: (frame: Ask) => ({ _tag: "Request", id: frame.ask, body: `${frame.ask}` }),
  response: (answer, _body: Date): Answer => ({ answer }),
  failure: (answer, _error: Busy) => ({ answer })
}, () => Effect.fail(new Busy()))(toClients)
same<typeof telling, Effect.Effect<void, TransportError>>()

// --- client ----------------------------------------------------------------------------------------------------------

const calls = Multiplex.client(plain, toServer)
same<typeof calls, Effect.Effect<Multiplex.Client<string, Date>, never, Scope.Scope>>()

const failingCalls = Multiplex.client(failing, toServer, { maxInFlight: 2 })
same<typeof failingCalls, Effect.Effect<Multiplex.Client<string, Date, Busy>, never, Scope.Scope>>()

const calling = Effect.gen(function*() {
  const client = yield* failingCalls
  // @ts-expect-error: a number is no request
  yield* client.call(1)
  return yield* client.call("a")
})
same<Effect.Success<typeof calling>, Date>()
same<Effect.Error<typeof calling>, Busy | TransportError>()

const mixedCalls = Multiplex.client(mixed, toServer)
same<typeof mixedCalls, Effect.Effect<Multiplex.Client<string, Date>, never, Scope.Scope>>()

const largeCalls = Multiplex.client(large, toServer)
same<typeof largeCalls, Effect.Effect<Multiplex.Client<string, Date>, never, Scope.Scope>>()

Multiplex.client({ fromServer: plain.fromServer, request: plain.request }, toServer)
// @ts-expect-error: only numbers can be counted without being told how
Multiplex.client({ fromServer: large.fromServer, request: large.request }, toServer)
// @ts-expect-error: a server's transport
Multiplex.client(plain, toClients)

// A client of fewer requests and wider responses.
declare const wide: Multiplex.Client<string | number, "a">
const narrow: Multiplex.Client<string, string, Busy> = wide
same<typeof narrow.call, (request: string) => Effect.Effect<string, Busy | TransportError>>()

// --- Frames ----------------------------------------------------------------------------------------------------------

// @ts-expect-error: it has to say how it tells of its failures
export const silentFailures: typeof failing = plain
// @ts-expect-error: a date is no id
export declare const ofDates: Multiplex.Frames<Omit<Types, "id"> & { id: Date }>

// One type for both directions is the same as one for each, and a failure left out is none.
declare const brief: Multiplex.Frames<{ frame: Ask; id: number; request: string; response: Date }>
interface Long {
  toServer: Ask
  toClient: Ask
  id: number
  request: string
  response: Date
  failure: never
}
same<typeof brief, Multiplex.Frames<Long>>()

// @ts-expect-error: what a server sends is missing
export declare const oneWay: Multiplex.Frames<Omit<Types, "toClient">>

// A description is written for any protocol.
export const halves = <T extends Multiplex.Types>(
  frames: Multiplex.Frames<T>
): [Multiplex.ServerFrames<T>, Multiplex.ClientFrames<T>] => [frames, frames]
