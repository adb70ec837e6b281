/**
 * A server of the line protocol in memory, and clients that are nothing but bytes.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as Handshake from "../../src/Handshake.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import type * as Transport from "../../src/Transport.ts"
import { rawPeer, utf8 } from "./conversation.ts"

export const settled = TestClock.adjust("1 millis")

export const echo = Pipeline.serve<string, string>((line) => Effect.succeed(line))

type LineOptions = Partial<Server.Limits> & {
  readonly serve?: (transport: Transport.Transport<string, string>) => Effect.Effect<unknown, unknown>
  readonly handshake?: Handshake.Handshake<string, string>
}

/** A server of the line protocol in memory, in a scope of its own. */
export const serving = Effect.fnUntraced(function*(options: LineOptions = {}) {
  const network = yield* MemorySocket.network()
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { handshake, serve, ...limits } = options
  const server = yield* Server.make({
    ...limits,
    protocol: { ...Line.protocol, server: handshake ?? Line.server },
    serve: serve ?? echo
  }).pipe(
    Effect.provideService(SocketServer.SocketServer, network.server),
    Scope.provide(scope)
  )
  const events: Array<Server.Event> = []
  yield* Effect.forkScoped(Stream.runForEach(server.events, (event) => Effect.sync(() => events.push(event))))
  yield* settled
  return { network, server, events, close: Scope.close(scope, Exit.void) }
})

/** A client that says these bytes and nothing of its own accord. */
export const saying = Effect.fnUntraced(function*(network: MemorySocket.Network, said: string) {
  const peer = yield* rawPeer(network.client)
  yield* peer.write(utf8(said))
  yield* settled
  return peer
})
