/**
 * Counts what the library does for a connection, a request, a call and a byte, in memory and in a process of its own, and prints
 * JSON. None of it is a time, so that every machine counts the same.
 *
 * | what | how it is counted |
 * |---|---|
 * | Effects | the steps of the fibers of the side under test: each asks its scheduler once |
 * | tasks | microtasks and macrotasks that are queued, the peer's included, which is the same in each run |
 * | bytes allocated | the heap's growth, with room enough that nothing is collected meanwhile |
 * | bytes retained | the heap's growth behind a collection |
 * | bytes that only a full collection frees | what collections of the young generation leave of connections that are over, of both ends: V8 makes some objects in the old one, and keeps what they know |
 * | bytes copied | those that `set` and `slice` of typed arrays, and `copy` of buffers, were given |
 *
 * `node --expose-gc --predictable --no-opt --min-semi-space-size=64 --max-semi-space-size=64 counts.ts`
 */
import { counters } from "./counters.ts"
// What is counted comes behind it.
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import { Frames, Inbox } from "../src/internal/connection/inbox.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Http2 from "../src/protocols/Http2.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Postgres from "../src/protocols/Postgres.ts"
import * as Server from "../src/Server.ts"
import * as Fast from "../src/testing/internal/fast.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"

const collect = globalThis.gc
if (collect === undefined) throw new Error("it needs --expose-gc")

// What is counted -------------------------------------------------------------------------------------------------------

let effects = 0

class Counting extends Scheduler.MixedScheduler {
  override shouldYield(fiber: Parameters<Scheduler.MixedScheduler["shouldYield"]>[0]): boolean {
    effects++
    return super.shouldYield(fiber)
  }
}

const counted = Context.make(Scheduler.Scheduler, new Counting())

interface Counts {
  readonly effects: number
  readonly tasks: number
  readonly allocated: number
  readonly outlived: number
}

/** What it takes once, on average of so many times, when it has been done before. */
const countOf = async (times: number, once: (times: number) => Promise<void>): Promise<Counts> => {
  await once(times)
  collect()
  await new Promise((resolve) => setTimeout(resolve, 20))
  const before = { effects, tasks: counters.tasks, heap: process.memoryUsage().heapUsed }
  await once(times)
  const after = { effects, tasks: counters.tasks, heap: process.memoryUsage().heapUsed }
  await new Promise((resolve) => setTimeout(resolve, 20))
  collect({ type: "minor" })
  collect({ type: "minor" })
  return {
    effects: (after.effects - before.effects) / times,
    tasks: (after.tasks - before.tasks) / times,
    allocated: (after.heap - before.heap) / times,
    outlived: (process.memoryUsage().heapUsed - before.heap) / times
  }
}

// A connection ----------------------------------------------------------------------------------------------------------

const utf8 = new TextEncoder()
const greeting = utf8.encode("You ready?\n")

interface Peer {
  readonly write: (bytes: Uint8Array) => Effect.Effect<void>
  /** Waits until so many bytes have come. */
  readonly heard: (bytes: number) => Effect.Effect<void>
  /** What comes next, a character for each byte. */
  readonly said: Effect.Effect<string>
  readonly close: Effect.Effect<void>
}

const peerOn = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const scope = yield* Scope.make()
  const pull = yield* Scope.provide(Socket.readerBytes(socket), scope)
  const writer = yield* Scope.provide(socket.writer, scope)
  const heard = Effect.fnUntraced(function*(bytes: number) {
    let left = bytes
    while (left > 0) for (const chunk of yield* Effect.orDie(pull)) left -= chunk.length
  })
  const peer: Peer = {
    write: (bytes) => Effect.orDie(writer.write(bytes)),
    heard,
    said: Effect.map(
      Effect.orDie(pull),
      (chunks) => chunks.map((chunk) => Buffer.from(chunk).toString("latin1")).join("")
    ),
    close: Scope.close(scope, Exit.void)
  }
  return peer
})

const serverScope = Scope.makeUnsafe()
const network = await Effect.runPromise(Scope.provide(MemorySocket.network(), serverScope))
await Effect.runPromise(
  Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(line)) }).pipe(
    Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server)),
    Layer.buildWithScope(serverScope),
    Effect.provideContext(counted)
  )
)

const ready = Effect.gen(function*() {
  const peer = yield* peerOn(network.client)
  yield* peer.write(greeting)
  yield* peer.heard("Bring it!\n".length)
  return peer
})

/** Goes on when all that was queued is done. */
const settled = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))

const connection = await countOf(200, async (times) => {
  for (let i = 0; i < times; i++) await Effect.runPromise(Effect.flatMap(ready, (peer) => peer.close))
  await Effect.runPromise(settled)
})

const idle = 500

const retainedBy = async (ready: Effect.Effect<Peer, unknown>): Promise<number> => {
  collect()
  const before = process.memoryUsage().heapUsed
  const idlers = await Effect.runPromise(Effect.forEach(Array.from({ length: idle }), () => ready))
  await Effect.runPromise(settled)
  collect()
  const retained = (process.memoryUsage().heapUsed - before) / idle
  await Effect.runPromise(Effect.forEach(idlers, (peer) => peer.close, { discard: true }))
  return retained
}

const retained = await retainedBy(ready)

// As with a listener of Node, which hands over sockets that are connected already: nothing is opened in a fiber.
const direct = await Effect.runPromise(Fast.listener())
const directScope = Scope.makeUnsafe()
await Effect.runPromise(
  Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(line)) }).pipe(
    Layer.provide(Layer.succeed(SocketServer.SocketServer, direct.server)),
    Layer.buildWithScope(directScope),
    Effect.provideContext(counted)
  )
)
const accept = await Effect.runPromise(direct.take)

const readyDirectly = Effect.gen(function*() {
  const [here, there] = yield* MemorySocket.pair()
  const peer = yield* peerOn(here)
  accept(yield* Effect.orDie(Scope.provide(Fast.accepted(there), directScope)))
  yield* peer.write(greeting)
  yield* peer.heard("Bring it!\n".length)
  return peer
})

const connectionOnEvents = await countOf(200, async (times) => {
  for (let i = 0; i < times; i++) await Effect.runPromise(Effect.flatMap(readyDirectly, (peer) => peer.close))
  await Effect.runPromise(settled)
})
const retainedOnEvents = await retainedBy(readyDirectly)

// Requests --------------------------------------------------------------------------------------------------------------

const lines = (count: number): Uint8Array => utf8.encode("a request of 32 bytes, as it is\n".repeat(count))

/** Requests that come together, so many at a time. */
const requests = async (together: number): Promise<Counts> => {
  const peer = await Effect.runPromise(ready)
  const said = lines(together)
  const counts = await countOf(2_048, async (times) => {
    for (let i = 0; i < times; i += together) {
      await Effect.runPromise(Effect.andThen(peer.write(said), peer.heard(said.length)))
    }
  })
  await Effect.runPromise(peer.close)
  return counts
}

const request = { "1": await requests(1), "32": await requests(32) }

// Calls -----------------------------------------------------------------------------------------------------------------

const echo = (line: string) => Effect.succeed(line)
const otherScope = Scope.makeUnsafe()
const other = await Effect.runPromise(Scope.provide(MemorySocket.network(), otherScope))
// The server is not the side under test.
await Effect.runPromise(
  Server.layer({ protocol: Line.protocol, serve: Pipeline.serve(echo) }).pipe(
    Layer.provide(Layer.succeed(SocketServer.SocketServer, other.server)),
    Layer.buildWithScope(otherScope)
  )
)

const dial = Client.connect({ protocol: Line.protocol, sockets: [Effect.succeed(other.client)] })

const connect = await countOf(200, async (times) => {
  for (let i = 0; i < times; i++) await Effect.runPromise(Effect.provideContext(Effect.scoped(dial), counted))
  await Effect.runPromise(settled)
})

const calls = async (together: number): Promise<Counts> => {
  const scope = Scope.makeUnsafe()
  const client = await Effect.runPromise(Effect.provideContext(Scope.provide(dial, scope), counted))
  const call = client.call("a request of 32 bytes, as it is")
  const once = together === 1
    ? call
    : Effect.all(Array.from({ length: together }, () => call), { concurrency: "unbounded", discard: true })
  const counts = await countOf(2_048, async (times) => {
    for (let i = 0; i < times; i += together) await Effect.runPromise(Effect.provideContext(once, counted))
  })
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return counts
}

const call = { "1": await calls(1), "32": await calls(32) }

// The protocols ---------------------------------------------------------------------------------------------------------

/** A connection to another server, whose peer says something, hears this and nothing else, says goodbye and ends. */
const conversation = async (
  server: Layer.Layer<Server.Server, never, SocketServer.SocketServer>,
  { begin, bye, hears }: { readonly begin: Uint8Array; readonly hears: RegExp; readonly bye: Uint8Array }
): Promise<Counts> => {
  const scope = Scope.makeUnsafe()
  const network = await Effect.runPromise(Scope.provide(MemorySocket.network(), scope))
  await Effect.runPromise(
    server.pipe(
      Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server)),
      Layer.buildWithScope(scope),
      Effect.provideContext(counted)
    )
  )
  const once = Effect.gen(function*() {
    const peer = yield* peerOn(network.client)
    yield* peer.write(begin)
    const answer = yield* peer.said
    if (!hears.test(answer)) throw new Error(`it has said ${JSON.stringify(answer)}`)
    yield* peer.write(bye)
    yield* peer.close
  })
  const counts = await countOf(200, async (times) => {
    for (let i = 0; i < times; i++) await Effect.runPromise(once)
    await Effect.runPromise(settled)
  })
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return counts
}

const login = await conversation(
  Server.layer({
    handshake: Postgres.server(),
    serve: (transport) => Stream.runDrain(Stream.takeUntil(transport.incoming, ({ _tag }) => _tag === "Terminate"))
  }).pipe(Layer.provide(Postgres.layerTrust), Layer.provide(NodeCrypto.layer)),
  {
    begin: utf8.encode("\0\0\0\x14\0\x03\0\0user\0bench\0\0"),
    // It is let in, and the server is ready.
    hears: /^R\0\0\0\x08\0\0\0\0.*Z\0\0\0\x05I$/s,
    bye: utf8.encode("X\0\0\0\x04")
  }
)

const http2 = await conversation(
  Server.layer({
    handshake: Http2.server(),
    serve: (transport) => Stream.runDrain(transport.incoming)
  }),
  {
    begin: utf8.encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    // The settings of the server.
    hears: /^\0\0.\x04\0\0\0\0\0/s,
    bye: utf8.encode("\0\0\0\x04\x01\0\0\0\0\0\0\x08\x07" + "\0".repeat(13))
  }
)

// Bytes -----------------------------------------------------------------------------------------------------------------

/** How many bytes are copied for each that comes, where frames of 64 KiB come in pieces of 16 KiB. */
const copiesOf = <A>(codec: Codec.Codec<A, A>, frame: A): number => {
  const bytes = Codec.encodeAll(codec, Array.from({ length: 16 }, () => frame))
  const piece = 16 * 1024
  const inbox = new Inbox()
  const frames = new Frames(inbox, codec.decoder())
  const before = counters.copied
  for (let at = 0; at < bytes.length; at += piece) {
    inbox.push(bytes.subarray(at, at + piece))
    const taken = frames.nextAll(Infinity)
    if (Exit.isExit(taken)) throw new Error(`the codec failed: ${taken}`)
  }
  return (counters.copied - before) / bytes.length
}

const long = new Uint8Array(64 * 1024 - 7).fill(0x61)
const maxLength = 1 << 20

const copies = {
  bytes: copiesOf(Codec.bytes, long),
  delimited: copiesOf(Codec.delimited(Uint8Array.of(0), { maxLength }), long),
  lengthPrefixed: copiesOf(Codec.lengthPrefixed({ maxLength }), long),
  lines: copiesOf(Codec.lines({ maxLength }), "a".repeat(long.length))
}

await Effect.runPromise(Scope.close(serverScope, Exit.void))
await Effect.runPromise(Scope.close(otherScope, Exit.void))
await Effect.runPromise(Scope.close(directScope, Exit.void))

const figures: Record<string, number> = {
  "connection: bytes retained while idle": retained,
  "connection on events: bytes retained while idle": retainedOnEvents
}
const add = (name: string, counts: Counts) => {
  figures[`${name}: Effects`] = counts.effects
  figures[`${name}: tasks`] = counts.tasks
  figures[`${name}: bytes allocated`] = counts.allocated
  figures[`${name}: bytes that only a full collection frees`] = counts.outlived
}
add("connection, accepted to closed", connection)
add("connection on events, accepted to closed", connectionOnEvents)
add("connection, dialled to closed", connect)
add("PostgreSQL log-in by trust, accepted to closed", login)
add("HTTP/2 connection, accepted to closed", http2)
for (const [together, counts] of Object.entries(request)) add(`request, ${together} together`, counts)
for (const [together, counts] of Object.entries(call)) add(`call, ${together} together`, counts)
for (const [codec, count] of Object.entries(copies)) figures[`byte received by ${codec}: bytes copied`] = count

console.log(JSON.stringify(figures))
process.exit(0)
