/**
 * A transport without requests and responses, on real TCP: behind its handshake each side sends and receives what it
 * likes. First a server that streams lines to whoever has connected, and a client that leaves when it has enough; then
 * two peers that both talk at will.
 */
import { Deferred, Effect, type Scope, Stream } from "effect"
import { Server, type Transport } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import * as Line from "effect-handshake/protocols/Line"
import { Socket, SocketServer } from "effect/socket"

type Lines = Transport.Transport<string, string>

const listening = (serve: (transport: Lines) => Effect.Effect<unknown, unknown>) =>
  Effect.provideServiceEffect(
    Server.make({ protocol: Line.protocol, serve }),
    SocketServer.SocketServer,
    Net.makeServer({ host: "127.0.0.1", port: 0 })
  )

// The handshake of the client is all it takes to connect; `Client.connect` would add calls.
const connected = (server: Server.Server["Service"]): Effect.Effect<Lines, unknown, Scope.Scope> =>
  Effect.provideServiceEffect(Line.client, Socket.Socket, Net.socket(server.address))

const streaming = Effect.gen(function*() {
  // It goes on for ever, as fast as each client reads: a connection that takes no more slows its own stream down. When a
  // client has left, the stream fails and its connection is closed, which is nobody's trouble.
  const server = yield* listening((transport) =>
    Stream.iterate(1, (n) => n + 1).pipe(Stream.map((n) => `line ${n}`), Stream.run(transport.outgoing))
  )

  const some = Effect.scoped(
    Effect.flatMap(connected(server), (transport) => transport.incoming.pipe(Stream.take(3), Stream.runCollect))
  )
  console.log(yield* Effect.all([some, some], { concurrency: "unbounded" }))
  // => [ [ 'line 1', 'line 2', 'line 3' ], [ 'line 1', 'line 2', 'line 3' ] ]
})

/** Says these lines and `bye`, and listens to the other side until it says the same. Neither waits for the other. */
const talk = (lines: ReadonlyArray<string>) => (transport: Lines) =>
  Effect.map(
    Effect.all([
      Stream.fromIterable([...lines, "bye"]).pipe(
        Stream.tap(() => Effect.sleep("1 millis")),
        Stream.run(transport.outgoing)
      ),
      transport.incoming.pipe(Stream.takeWhile((line) => line !== "bye"), Stream.runCollect)
    ], { concurrency: "unbounded" }),
    ([, heard]) => heard
  )

const talking = Effect.gen(function*() {
  const heard = yield* Deferred.make<ReadonlyArray<string>>()
  const server = yield* listening((transport) =>
    Effect.flatMap(talk(["I am the server", "Nice to meet you"])(transport), (lines) => Deferred.succeed(heard, lines))
  )
  console.log(yield* Effect.scoped(Effect.flatMap(connected(server), talk(["I am the client"]))))
  // => [ 'I am the server', 'Nice to meet you' ]
  console.log(yield* Deferred.await(heard)) // => [ 'I am the client' ]
})

await Effect.runPromise(Effect.scoped(streaming))
await Effect.runPromise(Effect.scoped(talking))
