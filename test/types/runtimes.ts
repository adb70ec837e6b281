/**
 * What `Server`, `Client`, `Pipeline` and `Protocol` make of the types of a handshake.
 */
// Nothing here runs, and much of it must not compile.
// @effect-diagnostics floatingEffect:off missingEffectError:off
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as Client from "../../src/Client.ts"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import type { HandshakeError } from "../../src/HandshakeError.ts"
import * as Multiplex from "../../src/Multiplex.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Protocol from "../../src/Protocol.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

class NotOurs extends Data.TaggedError("NotOurs")<{ readonly why: string }> {}
class Users extends Context.Service<Users, { readonly knows: (name: string) => Effect.Effect<boolean, NotOurs> }>()(
  "test/Users"
) {}
class Orders extends Context.Service<Orders, { readonly count: Effect.Effect<number> }>()("test/Orders") {}

type Lines = Transport.Transport<string, string>
type Needs = Socket.Socket | Scope.Scope

/** Receives numbers and sends texts. */
declare const mixed: Effect.Effect<
  Transport.Transport<number, string>,
  HandshakeError | NotOurs,
  Needs | Users
>
declare const mixedTransport: Transport.Transport<number, string>
declare const socket: Socket.Socket

// --- Line and Protocol -----------------------------------------------------------------------------------------------

same<typeof Line.server, Effect.Effect<Lines, HandshakeError, Needs>>()
same<typeof Line.client, Effect.Effect<Lines, HandshakeError, Needs>>()

const own = Protocol.make({
  name: "own",
  server: mixed,
  client: Transport.framed(Codec.lines()).pipe(Handshake.send("a")),
  refuse: () => Handshake.refuse(Transport.framed(Codec.lines()), "no")
})
same<Effect.Error<typeof own.server>, HandshakeError | NotOurs>()
same<Effect.Services<typeof own.server>, Needs | Users>()
same<Effect.Success<typeof own.server>, Transport.Transport<number, string>>()
same<Effect.Error<typeof own.client>, HandshakeError>()
same<Effect.Services<typeof own.client>, Needs>()

const asProtocol: Protocol.Protocol<Transport.Transport<number, string>, Lines, NotOurs, Users> = own
same<Effect.Error<typeof asProtocol.client>, HandshakeError>()

Protocol.make({
  name: "bad",
  server: mixed,
  client: Line.client,
  // @ts-expect-error: a refusal ends with a failure
  refuse: () => Line.server
})

// --- Pipeline.serve and Server.layer ---------------------------------------------------------------------------------

const echo = Server.layer({
  handshake: Line.server,
  serve: Pipeline.serve((line) => {
    same<typeof line, string>()
    return Effect.succeed(line)
  })
})
same<typeof echo, Layer.Layer<Server.Server, never, SocketServer.SocketServer>>()

const echoProtocol = Server.layer({
  protocol: Line.protocol,
  serve: Pipeline.serve((line) => {
    same<typeof line, string>()
    return Effect.succeed(line)
  })
})
same<typeof echoProtocol, Layer.Layer<Server.Server, never, SocketServer.SocketServer>>()

// The handler and the handshake bring their services; the Socket and the Scope are the connection's own.
const withServices = Server.layer({
  handshake: mixed,
  serve: Pipeline.serve((n) => {
    same<typeof n, number>()
    return Effect.flatMap(Orders, (orders) => Effect.map(orders.count, (count) => `${count + n}`))
  }, { maxInFlight: 4 }),
  handshakeTimeout: "1 second",
  maxConnections: 10
})
same<typeof withServices, Layer.Layer<Server.Server, never, SocketServer.SocketServer | Users | Orders>>()

const withScope = Server.layer({
  handshake: Line.server,
  serve: (transport) => {
    same<typeof transport, Lines>()
    return Effect.andThen(Effect.addFinalizer(() => Effect.void), transport.send("bye"))
  }
})
same<typeof withScope, Layer.Layer<Server.Server, never, SocketServer.SocketServer>>()

const ownServer = Server.layer({
  protocol: own,
  serve: Pipeline.serve((n) => {
    same<typeof n, number>()
    return Effect.succeed("a")
  })
})
same<typeof ownServer, Layer.Layer<Server.Server, never, SocketServer.SocketServer | Users>>()

const made = Server.make({ handshake: Line.server, serve: Pipeline.serve((line) => Effect.succeed(line)) })
same<typeof made, Effect.Effect<Server.Server["Service"], never, SocketServer.SocketServer | Scope.Scope>>()

// @ts-expect-error: a number is no line
Server.layer({ handshake: Line.server, serve: Pipeline.serve((line) => Effect.succeed(line.length)) })
// @ts-expect-error: a number is no line
Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(line.length)) })
// @ts-expect-error: what is received is not what is sent
Server.layer({ handshake: mixed, serve: Pipeline.serve((n) => Effect.succeed(n)) })
// @ts-expect-error: requests are lines
Server.layer({ handshake: Line.server, serve: Pipeline.serve((n: number) => Effect.succeed(`${n}`)) })
Server.layer({
  // @ts-expect-error: a handshake ends with a transport
  handshake: Effect.succeed(1),
  serve: () => Effect.void
})
// @ts-expect-error: there is nothing to serve with
Server.layer({ handshake: Line.server })
// @ts-expect-error: one of the two, not both
Server.layer({ handshake: Line.server, protocol: Line.protocol, serve: Pipeline.serve((s) => Effect.succeed(s)) })

const served = Pipeline.serve((n: number) => n > 0 ? Effect.succeed("a") : Effect.fail(new NotOurs({ why: "b" })))
const serving = served(mixedTransport)
same<typeof serving, Effect.Effect<void, NotOurs | TransportError>>()

// A failure that the protocol can say leaves the error channel; one that it cannot stays there.
const failing = (n: number) => n > 0 ? Effect.succeed("a") : Effect.fail(new NotOurs({ why: "b" }))
const answering = Pipeline.serve(failing, {
  failure: (error, request) => {
    same<typeof error, NotOurs>()
    same<typeof request, number>()
    return `${error.why} ${request}`
  }
})(mixedTransport)
same<typeof answering, Effect.Effect<void, TransportError>>()
const notAnswering = Pipeline.serve(failing, { maxInFlight: 4, failure: undefined })(mixedTransport)
same<typeof notAnswering, Effect.Effect<void, NotOurs | TransportError>>()

const answeringServer = Server.layer({
  handshake: mixed,
  serve: Pipeline.serve((n) => {
    same<typeof n, number>()
    return Effect.flatMap(Users, (users) => Effect.map(users.knows(`${n}`), String))
  }, { failure: (error) => error.why })
})
same<typeof answeringServer, Layer.Layer<Server.Server, never, SocketServer.SocketServer | Users>>()

// @ts-expect-error: a number is no text
Pipeline.serve(failing, { failure: () => 1 })(mixedTransport)
// @ts-expect-error: the handler has no such failure
Pipeline.serve(failing, { failure: (error: HandshakeError) => error.message })

// --- Pipeline.client -------------------------------------------------------------------------------------------------

const calls = Pipeline.client(mixedTransport, { maxInFlight: 2 })
same<typeof calls, Effect.Effect<Pipeline.Client<string, number>, never, Scope.Scope>>()

const callsThatFail = Pipeline.client(mixedTransport, {
  response: (frame) => {
    same<typeof frame, number>()
    return frame > 0 ? Result.succeed(`${frame}`) : Result.fail(new NotOurs({ why: "it is negative" }))
  }
})
same<typeof callsThatFail, Effect.Effect<Pipeline.Client<string, string, NotOurs>, never, Scope.Scope>>()
declare const callThatFails: Pipeline.Client<string, string, NotOurs>
const callThatFailed = callThatFails.call("a")
same<typeof callThatFailed, Effect.Effect<string, NotOurs | TransportError>>()

// --- Client ----------------------------------------------------------------------------------------------------------

const dialled = Client.connect({ protocol: Line.protocol, sockets: [Effect.succeed(socket)] })
same<typeof dialled, Effect.Effect<Client.Of<Lines>, HandshakeError, Scope.Scope>>()

const connected = Client.connect({ protocol: Line.protocol })
same<typeof connected, Effect.Effect<Client.Of<Lines>, HandshakeError, Scope.Scope | Socket.Socket>>()

const dialledByHandshake = Client.connect({ handshake: mixed, sockets: [Effect.succeed(socket)] })
same<Effect.Error<typeof dialledByHandshake>, HandshakeError | NotOurs>()
same<Effect.Services<typeof dialledByHandshake>, Scope.Scope | Users>()

const connectedByHandshake = Client.connect({
  handshake: mixed,
  retry: Schedule.recurs(3),
  handshakeTimeout: "1 second",
  maxInFlight: 2
})
same<Effect.Error<typeof connectedByHandshake>, HandshakeError | NotOurs>()
same<Effect.Services<typeof connectedByHandshake>, Scope.Scope | Users | Socket.Socket>()

const calling = Effect.gen(function*() {
  const client = yield* connectedByHandshake
  same<typeof client.transport, Transport.Transport<number, string>>()
  const answer = yield* client.call("a")
  same<typeof answer, number>()
  const call = client.call("a")
  same<typeof call, Effect.Effect<number, TransportError>>()
  // @ts-expect-error: a request is what is sent
  yield* client.call(1)
  return yield* client.awaitEnd
})
same<Effect.Success<typeof calling>, never>()
same<Effect.Error<typeof calling>, HandshakeError | NotOurs | TransportError>()

// A client of fewer requests and wider responses.
declare const wide: Client.Client<string | number, "a">
const narrow: Client.Client<string, string, unknown> = wide
same<typeof narrow.call, (request: string) => Effect.Effect<string, TransportError>>()

// @ts-expect-error: there must be somewhere to connect to
Client.connect({ protocol: Line.protocol, sockets: [] })
// @ts-expect-error: whether there are any decides what is needed
Client.connect({ protocol: Line.protocol, ...perhaps })
declare const perhaps: { readonly sockets?: readonly [Effect.Effect<Socket.Socket>] }
// @ts-expect-error: a handshake ends with a transport
Client.connect({ handshake: Effect.succeed(1) })
// @ts-expect-error: what is expected of it is not what it makes
const _expected: Effect.Effect<{ readonly order: string }, unknown, Needs> = connected
// @ts-expect-error: nor where the call stands at once
const _atOnce: Effect.Effect<{ readonly order: string }, unknown, Needs> = Client.connect({ protocol: Line.protocol })

const inGeneral = <T extends Transport.Transport.Any, E, R>(handshake: Effect.Effect<T, E, R>) =>
  Client.connect({ handshake, client: Effect.succeed }).pipe(Effect.map((transport): T => transport))
const inParticular = inGeneral(Line.client)
same<Effect.Success<typeof inParticular>, Lines>()

class Echo extends Context.Service<Echo, Client.Client<string, string>>()("test/Echo") {}

const echoLayer = Client.layer(Echo, { protocol: Line.protocol, sockets: [Effect.succeed(socket)] })
same<typeof echoLayer, Layer.Layer<Echo, HandshakeError>>()

const echoLayerOfContext = Client.layer(Echo, { protocol: Line.protocol })
same<typeof echoLayerOfContext, Layer.Layer<Echo, HandshakeError, Socket.Socket>>()

class Count extends Context.Service<Count, Client.Client<string, number>>()("test/Count") {}

const countLayer = Client.layer(Count, { handshake: mixed, sockets: [Effect.succeed(socket)] })
same<typeof countLayer, Layer.Layer<Count, HandshakeError | NotOurs, Users>>()

// @ts-expect-error: the service has other responses
Client.layer(Echo, { handshake: mixed, sockets: [Effect.succeed(socket)] })

// --- Client, with something else than calls in order -----------------------------------------------------------------

interface Shop {
  readonly order: Effect.Effect<number, NotOurs>
}
declare const shop: Effect.Effect<Shop, NotOurs, Orders | Scope.Scope>
declare const sockets: readonly [Effect.Effect<Socket.Socket>]

const shopping = Client.connect({
  protocol: Line.protocol,
  sockets,
  client: (transport) => {
    same<typeof transport, Lines>()
    return shop
  }
})
same<typeof shopping, Effect.Effect<Shop, HandshakeError | NotOurs, Scope.Scope | Orders>>()

const shoppingByHandshake = Client.connect({ handshake: mixed, client: () => shop })
same<Effect.Success<typeof shoppingByHandshake>, Shop>()
same<Effect.Error<typeof shoppingByHandshake>, HandshakeError | NotOurs>()
same<Effect.Services<typeof shoppingByHandshake>, Scope.Scope | Socket.Socket | Users | Orders>()

const multiplexed = Client.connect({
  protocol: Line.protocol,
  sockets,
  client: (transport) => Multiplex.client(byId, transport)
})
same<typeof multiplexed, Effect.Effect<Multiplex.Client<string, number, NotOurs>, HandshakeError, Scope.Scope>>()
declare const byId: Multiplex.ClientFrames<
  { frame: string; id: number; request: string; response: number; failure: NotOurs }
>

const withResponse = Client.connect({
  handshake: mixed,
  sockets,
  client: (transport) => Pipeline.client(transport, { response: (n) => Result.succeed(n > 0) })
})
same<Effect.Success<typeof withResponse>, Pipeline.Client<string, boolean>>()

// What it needs of the Socket is that of the context, and not the connection's.
declare const needsSocket: Effect.Effect<Shop, never, Socket.Socket>
const needing = Client.connect({ protocol: Line.protocol, sockets, client: () => needsSocket })
same<typeof needing, Effect.Effect<Shop, HandshakeError, Scope.Scope | Socket.Socket>>()

// @ts-expect-error: there are no calls in order to bound
Client.connect({ protocol: Line.protocol, sockets, client: () => shop, maxInFlight: 4 })
// @ts-expect-error: it is given the transport of the handshake
Client.connect({ protocol: Line.protocol, sockets, client: (_: Transport.Transport<number, string>) => shop })

class ShopService extends Context.Service<ShopService, Shop>()("test/Shop") {}

const shopLayer = Client.layer(ShopService, { protocol: Line.protocol, sockets, client: () => shop })
same<typeof shopLayer, Layer.Layer<ShopService, HandshakeError | NotOurs, Orders>>()

const shopLayerOfContext = Client.layer(ShopService, { handshake: mixed, client: () => shop })
same<typeof shopLayerOfContext, Layer.Layer<ShopService, HandshakeError | NotOurs, Orders | Users | Socket.Socket>>()

// @ts-expect-error: a shop is made of other things
Client.layer(ShopService, { protocol: Line.protocol, sockets, client: (transport) => Pipeline.client(transport) })
// @ts-expect-error: a service that is no client needs to be made
Client.layer(ShopService, { protocol: Line.protocol, sockets })

// --- Frames that nobody has asked for --------------------------------------------------------------------------------

interface News {
  readonly news: string
}
declare const withNews: Transport.Transport<string | News, string>
declare const newsHandshake: Effect.Effect<typeof withNews, NotOurs, Socket.Socket>
declare const tell: (news: News) => Effect.Effect<void, never, Orders>
const isNews = (frame: string | News): frame is News => typeof frame !== "string"

// A type guard narrows what is handled, and what is answered.
const hearing = Pipeline.client(withNews, { unsolicited: { is: isNews, handle: tell } })
same<typeof hearing, Effect.Effect<Pipeline.Client<string, string>, never, Scope.Scope | Orders>>()

// Also one that the compiler infers.
const hearingInferred = Pipeline.client(withNews, {
  unsolicited: {
    is: (frame) => typeof frame !== "string",
    handle: (news) => {
      same<typeof news, News>()
      return tell(news)
    }
  },
  response: (frame) => {
    same<typeof frame, string>()
    return frame === "" ? Result.fail(new NotOurs({ why: "it is empty" })) : Result.succeed(frame.length)
  }
})
same<typeof hearingInferred, Effect.Effect<Pipeline.Client<string, number, NotOurs>, never, Scope.Scope | Orders>>()

// A predicate narrows nothing.
const hearingByPredicate = Pipeline.client(mixedTransport, {
  unsolicited: {
    is: (n) => n > 0,
    handle: (n) => {
      same<typeof n, number>()
      return Effect.void
    }
  }
})
same<typeof hearingByPredicate, Effect.Effect<Pipeline.Client<string, number>, never, Scope.Scope>>()

// Nor does one that was written elsewhere, where nothing is inferred.
const ofNumbers = { is: (n: number) => n > 0, handle: (_: number) => Effect.void }
const hearingElsewhere = Pipeline.client(mixedTransport, { unsolicited: ofNumbers })
same<typeof hearingElsewhere, Effect.Effect<Pipeline.Client<string, number>, never, Scope.Scope>>()

// @ts-expect-error: what is handled must not fail with an error of its own
Pipeline.client(mixedTransport, { unsolicited: { is: (n) => n > 0, handle: () => shop } })

const hearingById = Multiplex.client(byId, lineTransport, {
  unsolicited: { is: (line) => line === "", handle: (line) => tell({ news: line }) }
})
same<
  typeof hearingById,
  Effect.Effect<Multiplex.Client<string, number, NotOurs>, never, Scope.Scope | Orders>
>()
declare const lineTransport: Lines

const hearingConnected = Client.connect({
  handshake: newsHandshake,
  sockets,
  unsolicited: { is: isNews, handle: tell }
})
same<Effect.Services<typeof hearingConnected>, Scope.Scope | Orders>()
const hearingCall = Effect.flatMap(hearingConnected, (client) => client.call("a"))
same<Effect.Success<typeof hearingCall>, string>()

class Hearing extends Context.Service<Hearing, Client.Of<typeof withNews, News>>()("test/Hearing") {}
const hearingLayer = Client.layer(Hearing, {
  handshake: newsHandshake,
  sockets,
  unsolicited: { is: (frame) => typeof frame !== "string", handle: tell }
})
same<typeof hearingLayer, Layer.Layer<Hearing, HandshakeError | NotOurs, Orders>>()

// @ts-expect-error: without that news are answers, which such a client does not have
Client.layer(Hearing, { handshake: newsHandshake, sockets })
// @ts-expect-error: whoever makes something else of the transport says there what is unsolicited
Client.connect({ handshake: newsHandshake, sockets, client: () => shop, unsolicited: { is: isNews, handle: tell } })
