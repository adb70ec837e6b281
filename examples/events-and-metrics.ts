/**
 * What a server tells about its connections: its events as a Stream, its counts, and Effect's metrics. The server runs in
 * memory and has room for one; three clients come, of which one greets wrongly and one comes too many.
 */
import { Effect, Fiber, Layer, Metric, Stream } from "effect"
import { Client, Codec, Handshake, Pipeline, Server, Transport } from "effect-handshake"
import * as Line from "effect-handshake/protocols/Line"
import { MemorySocket } from "effect-handshake/testing"
import { SocketServer } from "effect/socket"

const rude = Transport.framed(Codec.lines()).pipe(
  Handshake.send("Hello?"),
  Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
  Handshake.named("line")
)

const describe = (event: Server.Event) =>
  event._tag === "Refused" || event._tag === "Failed"
    ? `${event.id} ${event._tag}: ${event.reason}`
    : `${event.id} ${event._tag}`

const program = Effect.gen(function*() {
  const network = yield* MemorySocket.network()
  const sockets = [Effect.succeed(network.client)] as const
  const context = yield* Layer.build(
    Server.layer({
      protocol: Line.protocol,
      serve: Pipeline.serve((line) => Effect.succeed(line)),
      maxConnections: 1
    }).pipe(Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server)))
  )
  const server = yield* Effect.provide(Server.Server, context)

  // Events are for those who listen when they happen: subscribe first.
  const events = yield* server.events.pipe(
    Stream.map(describe),
    Stream.take(7),
    Stream.runForEach((line) => Effect.sync(() => console.log(line))),
    Effect.forkScoped({ startImmediately: true })
  )
  const closed = (id: number) =>
    server.events.pipe(
      Stream.filter((event) => event._tag === "Closed" && event.id === id),
      Stream.take(1),
      Stream.runDrain,
      Effect.forkScoped({ startImmediately: true })
    )

  // 1. One that greets wrongly. 2. One that is welcome, and while it is there, 3. one too many.
  const firstIsGone = yield* closed(1)
  yield* Client.connect({ handshake: rude, sockets }).pipe(Effect.ignore, Effect.scoped)
  yield* Fiber.join(firstIsGone)
  yield* Effect.scoped(Effect.gen(function*() {
    const client = yield* Client.connect({ protocol: Line.protocol, sockets })
    yield* client.call("Hello")
    yield* Client.connect({ protocol: Line.protocol, sockets }).pipe(Effect.ignore, Effect.scoped)
  }))
  yield* Fiber.join(events)
  // => 1 Accepted
  // => 1 Refused: InvalidGreeting
  // => 1 Closed
  // => 2 Accepted
  // => 2 Ready
  // => 3 Refused: Rejected
  // => 2 Closed

  console.log(yield* server.counts) // => { connections: 0, pending: 0, refusing: 0 }

  const outcomes = (yield* Metric.snapshot).flatMap((metric) =>
    metric.id === "handshake.outcomes" && metric.type === "Counter"
      ? [`${metric.attributes?.["handshake.role"]} ${metric.attributes?.["handshake.outcome"]}: ${metric.state.count}`]
      : []
  )
  console.log(outcomes.toSorted().join("\n"))
  // => client Rejected: 2
  // => client ready: 1
  // => server InvalidGreeting: 1
  // => server Rejected: 1
  // => server ready: 1
})

await Effect.runPromise(Effect.scoped(program))
