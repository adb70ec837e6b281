/**
 * The last frame of a connection that is drained, and what a client knows by it of its calls.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as Body from "../src/Body.ts"
import * as Client from "../src/Client.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import type * as Transport from "../src/Transport.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"
import * as FourKinds from "./support/fourKinds.ts"
import { connectedRaw, lines } from "./support/linePeer.ts"
import { settled } from "./support/serving.ts"

type Lines = Transport.Transport<string, string>
type Handler = (line: string) => Effect.Effect<string>
type Serves = (transport: Lines) => Effect.Effect<void, Body.ReadError>

const cut = (line: string) => {
  const at = line.indexOf(" ")
  return at < 0 ? undefined : { id: Number(line.slice(0, at)), body: line.slice(at + 1) }
}
const byId: Multiplex.Frames<{ frame: string; id: number; request: string; response: string }> = {
  request: (id, body) => `${id} ${body}`,
  fromClient: (line) => {
    const read = cut(line)
    return read && { _tag: "Request", ...read }
  },
  response: (id, body) => `${id} ${body}`,
  fromServer: (line) => {
    const read = cut(line)
    return read && { _tag: "Response", ...read }
  }
}

/** With a body for a request that has one. */
const answering = (handler: Handler) => ({ body, head }: Body.Message<string, string, Body.ReadError>) =>
  Effect.map(handler(head), (head) => ({ head, body }))

const withoutBodies = (client: Pipeline.StreamingClient<string, string, string, string>) => ({
  awaitEnd: client.awaitEnd,
  call: (head: string) => Effect.map(Effect.scoped(client.call({ head, body: undefined })), ({ head }) => head)
})

const isGoodbye = (line: string) => line === "BYE"

const kinds = [
  {
    kind: "Pipeline",
    frame: (_: number, body: string) => body,
    serve: (handler: Handler, maxInFlight?: number): Serves => Pipeline.serve(handler, { goodbye: "BYE", maxInFlight }),
    make: (transport: Lines) => Pipeline.client(transport, { goodbye: isGoodbye })
  },
  {
    kind: "Multiplex",
    frame: (id: number, body: string) => `${id} ${body}`,
    serve: (handler: Handler, maxInFlight?: number): Serves =>
      Multiplex.serve(byId, handler, { goodbye: "BYE", maxInFlight }),
    make: (transport: Lines) => Multiplex.client(byId, transport, { goodbye: isGoodbye })
  },
  {
    kind: "Pipeline with bodies",
    frame: (_: number, body: string) => body,
    serve: (handler: Handler, maxInFlight?: number): Serves =>
      Pipeline.serveStreaming(FourKinds.inOrder, answering(handler), { goodbye: "BYE", maxInFlight }),
    make: (transport: Lines) =>
      Effect.map(Pipeline.streamingClient(FourKinds.inOrder, transport, { goodbye: isGoodbye }), withoutBodies)
  },
  {
    kind: "Multiplex with bodies",
    frame: (id: number, body: string) => `${id} ${body}`,
    serve: (handler: Handler, maxInFlight?: number): Serves =>
      Multiplex.serveStreaming(FourKinds.byIdWithBodies, answering(handler), { goodbye: "BYE", maxInFlight }),
    make: (transport: Lines) =>
      Effect.map(Multiplex.streamingClient(FourKinds.byIdWithBodies, transport, { goodbye: isGoodbye }), withoutBodies)
  }
]

describe.each(kinds)("a $kind server", ({ frame, serve }) => {
  /** A server whose answers take a second, and a peer that hears all that it says, byte for byte. */
  const serving = (options?: { readonly drainTimeout?: "100 millis"; readonly maxInFlight?: number }) =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const begun: Array<string> = []
      const server = yield* Server.make({
        handshake: lines,
        serve: serve((line) =>
          Effect.suspend(() => {
            begun.push(line)
            return line === "die" ? Effect.die("a bug") : Effect.delay(Effect.succeed(line), "1 second")
          }), options?.maxInFlight),
        drainTimeout: options?.drainTimeout ?? "10 seconds"
      }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
      const peer = yield* rawPeer(network.client)
      return { begun, peer: { ...peer, rest: Effect.map(peer.closed, peer.heard) }, server }
    })

  it.effect("says it at once on a connection where nothing is under way, when it drains", () =>
    Effect.gen(function*() {
      const { peer, server } = yield* serving()
      yield* settled
      const draining = yield* Effect.forkChild(server.drain)
      expect(yield* peer.rest).toBe("BYE\n")
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("says it behind the answers of what was begun, and begins nothing that comes later", () =>
    Effect.gen(function*() {
      const { begun, peer, server } = yield* serving()
      yield* peer.write(utf8(`${frame(1, "a")}\n${frame(2, "b")}\n`))
      yield* settled
      const draining = yield* Effect.forkChild(server.drain)
      yield* settled
      yield* peer.write(utf8(`${frame(3, "c")}\n`))
      yield* TestClock.adjust("1 second")
      expect(yield* peer.rest).toBe(`${frame(1, "a")}\n${frame(2, "b")}\nBYE\n`)
      expect(begun).toEqual(["a", "b"])
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("says it also where requests have waited for a place, which were not begun", () =>
    Effect.gen(function*() {
      const { begun, peer, server } = yield* serving({ maxInFlight: 1 })
      yield* peer.write(utf8(`${frame(1, "a")}\n${frame(2, "b")}\n`))
      yield* settled
      const draining = yield* Effect.forkChild(server.drain)
      yield* TestClock.adjust("1 second")
      expect(yield* peer.rest).toBe(`${frame(1, "a")}\nBYE\n`)
      expect(begun).toEqual(["a"])
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("does not say it where the drain has given up what was begun", () =>
    Effect.gen(function*() {
      const { peer, server } = yield* serving({ drainTimeout: "100 millis" })
      yield* peer.write(utf8(`${frame(1, "a")}\n`))
      yield* settled
      const draining = yield* Effect.forkChild(server.drain)
      yield* TestClock.adjust("100 millis")
      expect(yield* peer.rest).toBe("")
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("does not say it where a handler has died, nor where the peer has ended", () =>
    Effect.gen(function*() {
      const died = yield* serving()
      yield* died.peer.write(utf8(`${frame(1, "die")}\n`))
      expect(yield* died.peer.rest).toBe("")
      const ended = yield* serving()
      yield* ended.peer.write(utf8(`${frame(1, "a")}\n`))
      yield* ended.peer.end
      yield* TestClock.adjust("1 second")
      expect(yield* ended.peer.rest).toBe(`${frame(1, "a")}\n`)
    }))
})

describe.each(kinds)("a $kind client", ({ frame, make }) => {
  it.effect("knows by it that what was not answered was not begun, and by no other end", () =>
    Effect.gen(function*() {
      for (const [last, sent] of [["BYE\n", "no"], ["", "perhaps"]]) {
        const { peer, transport } = yield* connectedRaw()
        const client = yield* make(transport)
        const first = yield* Effect.forkChild(client.call("a"))
        const second = yield* Effect.forkChild(Effect.flip(client.call("b")))
        yield* settled
        yield* peer.write(utf8(`${frame(0, "A")}\n${last}`))
        yield* peer.end
        expect(yield* Fiber.join(first)).toBe("A")
        const closed = { _tag: "ConnectionClosed", by: "peer" }
        expect(yield* Fiber.join(second)).toMatchObject({ reason: closed, sent })
        expect(yield* Effect.flip(client.call("c"))).toMatchObject({ reason: closed, sent: "no" })
        expect(yield* Effect.flip(client.awaitEnd)).toMatchObject({ reason: closed })
      }
    }))
})

describe("a Multiplex server with bodies", () => {
  it.effect("says it when the bodies that were begun have come, and to what came between them nothing else", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const frames = {
        request: FourKinds.byIdWithBodies.request,
        response: { ...FourKinds.byIdWithBodies.response, abort: (id: number) => `!${id}` }
      }
      const begun: Array<string> = []
      const server = yield* Server.make({
        handshake: lines,
        serve: Multiplex.serveStreaming(frames, ({ body, head }) => {
          begun.push(head)
          return Effect.succeed({ head, body })
        }, { goodbye: "BYE" })
      }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
      const peer = yield* rawPeer(network.client)
      yield* peer.write(utf8("+1 a\n.1 one\n"))
      yield* settled
      const draining = yield* Effect.forkChild(server.drain)
      yield* settled
      yield* peer.write(utf8("+2 b\n.2 lost\n;2 \n.1 two\n;1 \n"))
      yield* peer.closed
      expect(peer.heard()).toBe("1 a\n.1 one\n.1 two\n;1 \nBYE\n")
      expect(begun).toEqual(["a"])
      yield* peer.end
      yield* Fiber.join(draining)
    }))
})

describe("a Pipeline client with bodies", () => {
  it.effect("knows by it that a request was not begun whose body it was sending", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* connectedRaw()
      const client = yield* Pipeline.streamingClient(FourKinds.inOrder, transport, { goodbye: isGoodbye })
      const sending = Stream.concat(Stream.make("one"), Stream.never)
      const calling = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(client.call({ head: "+a", body: sending })))
      )
      yield* settled
      expect(peer.heard()).toBe("+a\n.one\n")
      yield* peer.write(utf8("BYE\n"))
      expect(yield* Fiber.join(calling)).toMatchObject({ reason: { _tag: "ConnectionClosed", by: "peer" }, sent: "no" })
    }))
})

it.effect("a client that connects again makes what was not begun again, whatever it asks for", () =>
  Effect.gen(function*() {
    const network = yield* MemorySocket.network()
    const begun: Array<string> = []
    const server = (name: string) =>
      Server.make({
        handshake: lines,
        serve: Pipeline.serve<string, string>((line) =>
          Effect.suspend(() => {
            begun.push(`${name} ${line}`)
            return Effect.delay(Effect.succeed(`${name} ${line}`), "1 second")
          }), { goodbye: "BYE", maxInFlight: 1 })
      }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
    const client = yield* Client.reconnecting({
      handshake: lines,
      sockets: [Effect.succeed(network.client)],
      goodbye: isGoodbye,
      schedule: Client.backoff({ base: "10 millis" })
    })
    const scope = yield* Scope.make()
    yield* Scope.provide(server("1"), scope)
    const calls = yield* Effect.forkChild(
      Effect.forEach(["a", "b"], (line) => client.call(line), { concurrency: "unbounded" })
    )
    yield* settled
    const draining = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(draining)
    yield* server("2")
    yield* TestClock.adjust("2 seconds")
    expect(yield* Fiber.join(calls)).toEqual(["1 a", "2 b"])
    expect(begun).toEqual(["1 a", "2 b"])
  }))
