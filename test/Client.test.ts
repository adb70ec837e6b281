import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Multiplex from "../src/Multiplex.ts"
import * as Line from "../src/protocols/Line.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import type { TransportError } from "../src/TransportError.ts"
import { refused } from "./support/dialled.ts"
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

  it.effect("clients that connect in turns count in the registry, and with the attributes, of each", () =>
    Effect.gen(function*() {
      const { network } = yield* serving()
      const registries = [new Map(), new Map()]
      const regions: ReadonlyArray<Metric.Metric.AttributeSet> = [{ region: "here" }, { region: "there" }]
      const connectIn = (registry: Metric.MetricRegistry, region: Metric.Metric.AttributeSet) =>
        client(network).pipe(
          Effect.scoped,
          Effect.provideService(Metric.MetricRegistry, registry),
          Effect.provideService(Metric.CurrentMetricAttributes, region)
        )
      for (const registry of [...registries, registries[0]]) yield* connectIn(registry, regions[0])
      yield* connectIn(registries[0], regions[1])
      const readyIn = (registry: Metric.MetricRegistry) =>
        Effect.map(
          Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry),
          (metrics) =>
            metrics.flatMap((metric) =>
              metric.id === "handshake.outcomes" && metric.type === "Counter"
                ? [[metric.attributes?.["region"], metric.state.count]]
                : []
            )
        )
      expect(yield* readyIn(registries[0])).toEqual([["here", 2], ["there", 1]])
      expect(yield* readyIn(registries[1])).toEqual([["here", 1]])
    }))

  it.effect("a connection that cannot be opened is told by the name of its handshake", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Client.connect({
        handshake: Transport.framed(Codec.lines()).pipe(Handshake.expect("hi"), Handshake.named("greeter")),
        sockets: [Effect.succeed(refused)]
      }))
      expect(error).toMatchObject({ protocol: "greeter", step: "connect", reason: { _tag: "ConnectionFailed" } })
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
      yield* settled
      expect(yield* rude.server.counts).toMatchObject({ connections: 0 })
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

  describe("with a client of its own", () => {
    it.effect("returns what is made of the transport", () =>
      Effect.gen(function*() {
        const { network } = yield* serving()
        const client = yield* Client.connect({
          protocol: Line.protocol,
          sockets: [Effect.succeed(network.client)],
          client: (transport) =>
            Effect.map(
              Multiplex.client(
                {
                  request: (_: number, body: string) => body,
                  fromServer: (body: string): Multiplex.FromServer<number, string> => ({
                    _tag: "Response",
                    id: 0,
                    body
                  })
                },
                transport
              ),
              ({ call }) => call
            )
        })
        expect(yield* client("Hello")).toBe("Hello")
      }))

    it.effect("makes it once, when an attempt has succeeded", () =>
      Effect.gen(function*() {
        const full = yield* serving({ maxConnections: 0 })
        const free = yield* serving()
        const made: Array<Transport.Transport<string, string>> = []
        yield* Client.connect({
          protocol: Line.protocol,
          sockets: [Effect.succeed(full.network.client), Effect.succeed(free.network.client)],
          client: (transport) => Effect.sync(() => made.push(transport))
        })
        expect(made).toHaveLength(1)
        yield* made[0].send("Hello")
        expect(yield* made[0].receive).toBe("Hello")
      }))

    it.effect("fails as that does, tries nothing again, and leaves no connection", () =>
      Effect.gen(function*() {
        const full = yield* serving({ maxConnections: 0 })
        // One that would be mended by another try, were it the handshake's.
        const rejected = yield* Effect.flip(client(full.network))
        const { network, server } = yield* serving()
        let tries = 0
        let released = 0
        const error = yield* Effect.flip(Client.connect({
          protocol: Line.protocol,
          sockets: [Effect.succeed(network.client), Effect.succeed(network.client)],
          retry: Schedule.recurs(3),
          client: Effect.fnUntraced(function*() {
            tries++
            yield* Effect.addFinalizer(() => Effect.sync(() => released++))
            return yield* rejected
          })
        }))
        expect(error).toBe(rejected)
        expect([tries, released]).toEqual([1, 1])
        yield* settled
        expect(yield* server.counts).toMatchObject({ connections: 0 })
      }))

    it.effect("releases what that has acquired before it closes the connection", () =>
      Effect.gen(function*() {
        const { network } = yield* serving()
        const scope = yield* Scope.make()
        const last = yield* Deferred.make<string, TransportError>()
        yield* Scope.provide(
          Client.connect({
            protocol: Line.protocol,
            sockets: [Effect.succeed(network.client)],
            client: (transport) =>
              Effect.addFinalizer(() =>
                Effect.orDie(Effect.andThen(transport.send("bye"), Deferred.complete(last, transport.receive)))
              )
          }),
          scope
        )
        yield* Scope.close(scope, Exit.void)
        expect(yield* Deferred.await(last)).toBe("bye")
      }))

    it.effect("has a deadline for its handshake, and none for what comes behind it", () =>
      Effect.gen(function*() {
        const { network } = yield* serving()
        const connecting = yield* Effect.forkChild(Client.connect({
          protocol: Line.protocol,
          sockets: [Effect.succeed(network.client)],
          client: () => Effect.as(Effect.sleep("1 hour"), "slow")
        }))
        yield* TestClock.adjust("1 hour")
        expect(yield* Fiber.join(connecting)).toBe("slow")
      }))
  })
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

  it.effect("is what a client of its own makes, under a service", () =>
    Effect.gen(function*() {
      class Ask extends Context.Service<Ask, (line: string) => Effect.Effect<string, TransportError>>()("test/Ask") {}
      const { network } = yield* serving()
      const context = yield* Layer.build(Client.layer(Ask, {
        protocol: Line.protocol,
        sockets: [Effect.succeed(network.client)],
        client: (transport) => Effect.succeed((line: string) => Effect.andThen(transport.send(line), transport.receive))
      }))
      expect(yield* Context.get(context, Ask)("Hello")).toBe("Hello")
    }))
})
