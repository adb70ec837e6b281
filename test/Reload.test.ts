/**
 * What is changed while a server serves. Its certificates, which are an Effect for each connection, are changed in
 * `Tls.test.ts`, and its admission in `Admission.test.ts`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as TestClock from "effect/testing/TestClock"
import * as Line from "../src/protocols/Line.ts"
import * as Postgres from "../src/protocols/Postgres.ts"
import * as Server from "../src/Server.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Crypto from "./protocols/postgres/crypto.ts"
import { echo, saying, settled } from "./support/serving.ts"

const hello = "You ready?\n"
const welcome = "Bring it!\n"
const refusal = "No! Go away!\n"

describe("limits", () => {
  const serving = Effect.fnUntraced(function*(first: Server.Limits, beside: Server.Limits = {}) {
    const network = yield* MemorySocket.network()
    const limits = yield* SubscriptionRef.make(first)
    const server = yield* Server.make({ ...beside, limits, protocol: Line.protocol, serve: echo }).pipe(
      Effect.provideService(SocketServer.SocketServer, network.server)
    )
    yield* settled
    return { network, server, change: (to: Server.Limits) => SubscriptionRef.set(limits, to) }
  })

  it.effect("that become fewer hold for who comes next, and touch nobody who is there", () =>
    Effect.gen(function*() {
      const { change, network } = yield* serving({ maxConnections: 3 })
      const first = yield* saying(network, hello)
      yield* saying(network, hello)
      yield* change({ maxConnections: 1 })
      expect((yield* saying(network, hello)).heard()).toBe(refusal)
      yield* first.write(new TextEncoder().encode("still here\n"))
      yield* settled
      expect(first.heard()).toBe(`${welcome}still here\n`)
      yield* change({ maxConnections: 3 })
      expect((yield* saying(network, hello)).heard()).toBe(welcome)
    }))

  it.effect("of time are those that held when a connection came", () =>
    Effect.gen(function*() {
      const { change, network, server } = yield* serving({ handshakeTimeout: "10 seconds" })
      yield* saying(network, "")
      yield* change({ handshakeTimeout: "2 seconds" })
      yield* saying(network, "")
      yield* TestClock.adjust("1998 millis")
      expect((yield* server.counts).pending).toBe(2)
      yield* TestClock.adjust("1 millis")
      expect((yield* server.counts).pending).toBe(1)
      yield* TestClock.adjust("7999 millis")
      expect((yield* server.counts).pending).toBe(0)
    }))

  it.effect("go before those beside them, which hold where there is nothing in them", () =>
    Effect.gen(function*() {
      const { change, network } = yield* serving({ maxConnections: 2 }, { maxConnections: 1 })
      yield* saying(network, hello)
      expect((yield* saying(network, hello)).heard()).toBe(welcome)
      yield* change({})
      expect((yield* saying(network, hello)).heard()).toBe(refusal)
    }))
})

describe("users", () => {
  it.effect("are those that are known when somebody logs in, and who is logged in stays", () =>
    Effect.gen(function*() {
      const knowing = (user: string) =>
        Effect.map(
          Layer.build(Postgres.layerUsers([{ user, password: Redacted.make("secret") }], { iterations: 1 })),
          Context.get(Postgres.Authenticator)
        )
      const known = yield* SubscriptionRef.make(yield* knowing("ann"))
      const network = yield* MemorySocket.network()
      yield* Server.make({
        handshake: Postgres.server(),
        serve: ({ receive }: Postgres.ServerTransport) => Effect.ignore(Effect.forever(receive))
      }).pipe(
        Effect.provideService(SocketServer.SocketServer, network.server),
        Effect.provideService(Postgres.Authenticator, {
          lookup: (request) => Effect.flatMap(SubscriptionRef.get(known), ({ lookup }) => lookup(request))
        })
      )
      const login = (user: string) =>
        Effect.exit(Effect.provideService(
          Postgres.client({ user, password: Redacted.make("secret"), sslmode: "disable", minIterations: 1 }),
          Socket.Socket,
          network.client
        ))
      const ann = yield* login("ann")
      yield* SubscriptionRef.set(known, yield* knowing("bob"))
      expect([ann, yield* login("bob"), yield* login("ann")].map(Exit.isSuccess)).toEqual([true, true, false])
      // She is still there.
      if (Exit.isSuccess(ann)) yield* ann.value.send({ _tag: "Sync" })
    }).pipe(Effect.provide(Crypto.layer)))
})
