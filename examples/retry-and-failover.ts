/**
 * Two servers on real TCP. The first has room for one client and is full: a client with both addresses goes on to the
 * second, and a client with the first address only tries again by a Schedule until there is room.
 */
import { Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { Client, Pipeline, Server } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import { SocketServer } from "effect/socket"

const listen = (name: string, maxConnections: number) =>
  Server.make({
    protocol: Line.protocol,
    serve: Pipeline.serve((line) => Effect.succeed(`${name} says ${line}`)),
    maxConnections
  }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 })))

const protocol = Line.protocol

const program = Effect.gen(function*() {
  const first = yield* listen("first", 1)
  const second = yield* listen("second", 10)

  // A guest takes the only place of the first server.
  const guestScope = yield* Scope.make()
  const guest = yield* Client.connect({ protocol, sockets: [Net.socket(first.address)] }).pipe(
    Scope.provide(guestScope)
  )
  console.log(yield* guest.call("welcome")) // => first says welcome

  // 1. Without a second address and without a Schedule the first failure stands.
  const alone = yield* Client.connect({ protocol, sockets: [Net.socket(first.address)] }).pipe(
    Effect.as("accepted"),
    Effect.catchTag(
      "HandshakeError",
      (error) => Effect.succeed(`${error.reason._tag}, whose fault: ${error.fault}, another try: ${error.retryable}`)
    ),
    Effect.scoped
  )
  console.log(alone) // => Rejected, whose fault: peer, another try: true

  // 2. With both addresses, a rejection at the first goes on to the second.
  const elsewhere = yield* Client.connect({
    protocol,
    sockets: [Net.socket(first.address), Net.socket(second.address)]
  })
  console.log(yield* elsewhere.call("hello")) // => second says hello

  // 3. With a Schedule, the client comes back. The guest leaves when the first server has refused it twice.
  const refusals = yield* first.events.pipe(
    Stream.filter((event) => event._tag === "Refused"),
    Stream.take(2),
    Stream.runDrain,
    Effect.forkScoped({ startImmediately: true })
  )
  const waiting = yield* Client.connect({
    protocol,
    sockets: [Net.socket(first.address)],
    retry: Schedule.spaced("20 millis").pipe(Schedule.upTo({ times: 200 }))
  }).pipe(Effect.forkScoped)
  yield* Fiber.join(refusals)
  yield* Scope.close(guestScope, Exit.void)
  const later = yield* Fiber.join(waiting)
  console.log(yield* later.call("hello again")) // => first says hello again
})

await Effect.runPromise(Effect.scoped(program))
