import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import type { HandshakeError } from "../src/HandshakeError.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import type { TransportError } from "../src/TransportError.ts"
import { text, utf8 } from "./support/conversation.ts"
import { byId, byIdWithBodies, inOrder } from "./support/fourKinds.ts"
import { settled } from "./support/serving.ts"

type Lines = Transport.Transport<string, string>

const lines = Transport.framed(Codec.lines())
const long = `1 ${"x".repeat(200)}`

const kinds: ReadonlyArray<
  readonly [name: string, serve: (transport: Lines) => Effect.Effect<unknown, TransportError>]
> = [
  ["Pipeline.serve", Pipeline.serve<string, string>(Effect.succeed)],
  [
    "Pipeline.serveStreaming",
    Pipeline.serveStreaming(inOrder, ({ head }) => Effect.succeed({ head, body: undefined }))
  ],
  ["Multiplex.serve", Multiplex.serve(byId, Effect.succeed)],
  [
    "Multiplex.serveStreaming",
    Multiplex.serveStreaming(byIdWithBodies, ({ head }) => Effect.succeed({ head, body: undefined }))
  ]
]

/** A server, and a client that has sent a request and reads nothing until it is told to. */
const unread = Effect.fnUntraced(function*(
  serve: (transport: Lines) => Effect.Effect<unknown, TransportError>,
  limits: Server.Limits,
  handshake: Effect.Effect<Lines, HandshakeError | TransportError, Scope.Scope | Socket.Socket> = lines
) {
  const network = yield* MemorySocket.network({ capacity: 100 })
  const server = yield* Server.make({ ...limits, handshake, serve }).pipe(
    Effect.provideService(SocketServer.SocketServer, network.server)
  )
  const events: Array<Server.Event> = []
  yield* Effect.forkScoped(Stream.runForEach(server.events, (event) => Effect.sync(() => events.push(event))))
  yield* settled
  const pull = yield* Socket.readerBytes(network.client)
  const writer = yield* network.client.writer
  const ask = Effect.andThen(Effect.forkScoped(writer.write(utf8(`${long}\n`))), settled)
  yield* ask
  return {
    ask,
    events,
    read: Effect.andThen(Effect.map(pull, (chunks) => chunks.map(text).join("")), (heard) => Effect.as(settled, heard)),
    connections: Effect.map(server.counts, ({ connections }) => connections)
  }
})

for (const [name, serve] of kinds) {
  describe(`writeTimeout behind ${name}`, () => {
    it.effect("ends the connection of a peer that does not read, as TimedOut", () =>
      Effect.gen(function*() {
        const { connections, events } = yield* unread(serve, { writeTimeout: "5 seconds" })
        yield* TestClock.adjust("5 seconds")
        // Its last words, for which nobody is there.
        yield* TestClock.adjust("1 second")
        expect(yield* connections).toBe(0)
        expect(events.at(-1)).toMatchObject({
          _tag: "Closed",
          error: {
            message: "the peer did not take what was written within 5s",
            fault: "peer",
            reason: { _tag: "TimedOut", waitedFor: "room" }
          }
        })
      }))

    it.effect("a peer that reads just in time stays, however often", () =>
      Effect.gen(function*() {
        const { ask, connections, read } = yield* unread(serve, { writeTimeout: "5 seconds" })
        for (let round = 0; round < 3; round++) {
          yield* TestClock.adjust("4990 millis")
          expect(yield* read).toBe(`${long}\n`)
          yield* ask
        }
        expect(yield* connections).toBe(1)
      }))
  })
}

describe("writeTimeout", () => {
  it.effect("is none by default: a peer that never reads keeps its connection", () =>
    Effect.gen(function*() {
      const { connections, read } = yield* unread(kinds[0]![1], {})
      yield* TestClock.adjust("1 day")
      expect(yield* connections).toBe(1)
      expect(yield* read).toBe(`${long}\n`)
    }))

  it.effect("bounds a write of a handshake, below the handshake's own deadline", () =>
    Effect.gen(function*() {
      const { connections, events } = yield* unread(
        kinds[0]![1],
        { handshakeTimeout: "1 minute", writeTimeout: "5 seconds" },
        lines.pipe(Handshake.send(long))
      )
      yield* TestClock.adjust("4 seconds")
      expect(yield* connections).toBe(1)
      yield* TestClock.adjust("2 seconds")
      expect(yield* connections).toBe(0)
      expect(events.find(({ _tag }) => _tag === "Failed")).toMatchObject({
        error: { reason: { _tag: "ConnectionFailed", operation: "write" } }
      })
    }))

  it.effect("bounds what a service sends by itself, and who waits behind it", () =>
    Effect.gen(function*() {
      const ends: Array<string> = []
      const send = (transport: Lines) =>
        Effect.tapError(transport.send(long), ({ reason }) => Effect.sync(() => ends.push(reason._tag)))
      yield* unread(
        (transport) => Effect.all([send(transport), send(transport)], { concurrency: 2, mode: "result" }),
        { writeTimeout: "5 seconds" }
      )
      yield* TestClock.adjust("6 seconds")
      expect(ends).toEqual(["TimedOut", "TimedOut"])
    }))
})
