import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Line from "../src/protocols/Line.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { saying, serving, settled } from "./support/serving.ts"

describe("connect", () => {
  const client = (network: MemorySocket.Network) =>
    Client.connect({ protocol: Line.protocol, sockets: [Effect.succeed(network.client)] })

  it.effect("calls a server", () =>
    Effect.gen(function*() {
      const { network } = yield* serving()
      const { call } = yield* client(network)
      expect(yield* Effect.all([call("Hello"), call("Goodbye")], { concurrency: "unbounded" })).toEqual([
        "Hello",
        "Goodbye"
      ])
    }))

  it.effect("a rejected attempt leaves no connection, and is retried by its schedule until there is room", () =>
    Effect.gen(function*() {
      const { network, server } = yield* serving({ maxConnections: 1 })
      const guest = yield* saying(network, "You ready?\n")
      const rejected = yield* Effect.flip(client(network))
      expect(rejected).toMatchObject({ reason: { _tag: "Rejected", by: "peer" }, retryable: true })
      const patient = yield* Effect.forkChild(
        Effect.scoped(Effect.flatMap(
          Client.connect({
            protocol: Line.protocol,
            sockets: [Effect.succeed(network.client)],
            retry: Schedule.spaced("1 second")
          }),
          ({ call }) => call("Hello")
        ))
      )
      yield* TestClock.adjust("3 seconds")
      expect(patient.pollUnsafe()).toBeUndefined()
      expect(yield* server.counts).toMatchObject({ connections: 1 })
      yield* Effect.andThen(guest.end, guest.closed)
      yield* TestClock.adjust("1 second")
      expect(yield* Fiber.join(patient)).toBe("Hello")
    }))

  it.effect("goes through its sockets in order until one accepts", () =>
    Effect.gen(function*() {
      const full = yield* serving({ maxConnections: 0 })
      const free = yield* serving()
      const { call } = yield* Client.connect({
        protocol: Line.protocol,
        sockets: [Effect.succeed(full.network.client), Effect.succeed(free.network.client)]
      })
      expect(yield* call("Hello")).toBe("Hello")
      expect(yield* free.server.counts).toMatchObject({ connections: 1 })
    }))

  it.effect("does not try again what cannot be mended", () =>
    Effect.gen(function*() {
      const rude = yield* serving({
        handshake: Transport.framed(Codec.lines()).pipe(Handshake.send("What?"), Handshake.named("rude"))
      })
      const error = yield* Effect.flip(Client.connect({
        protocol: Line.protocol,
        sockets: [Effect.succeed(rude.network.client)],
        retry: Schedule.spaced("1 second")
      }))
      expect(error).toMatchObject({ reason: { _tag: "InvalidGreeting", received: "\"What?\"" }, retryable: false })
    }))

  it.effect("has a deadline of ten seconds", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      const connecting = yield* Effect.forkChild(Effect.flip(client(network)))
      yield* TestClock.adjust("9999 millis")
      expect(connecting.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(connecting)).toMatchObject({ protocol: "line", reason: { _tag: "Timeout" } })
    }))
})

describe("layer", () => {
  class Echo extends Context.Service<Echo, Client.Client<string, string>>()("test/Echo") {}

  it.effect("is a connected client under a service, for as long as the layer lives", () =>
    Effect.gen(function*() {
      const { network, server } = yield* serving()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        Client.layer(Echo, { protocol: Line.protocol, sockets: [Effect.succeed(network.client)] }),
        scope
      )
      expect(yield* Context.get(context, Echo).call("Hello")).toBe("Hello")
      expect(yield* server.counts).toMatchObject({ connections: 1 })
      yield* Scope.close(scope, Exit.void)
      yield* settled
      expect(yield* server.counts).toMatchObject({ connections: 0 })
      const late = yield* Effect.flip(Context.get(context, Echo).call("Hello"))
      expect(late.reason).toMatchObject({ _tag: "ConnectionClosed", by: "local" })
    }))

  it.effect("fails as its handshake does, and leaves no connection", () =>
    Effect.gen(function*() {
      const { network, server } = yield* serving({ maxConnections: 0 })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(
        Client.layer(Echo, { handshake: Line.client, sockets: [Effect.succeed(network.client)] })
      )))
      expect(error).toMatchObject({ protocol: "line", reason: { _tag: "Rejected" } })
      yield* settled
      expect(yield* server.counts).toEqual({ connections: 0, pending: 0, refusing: 0 })
    }))
})
