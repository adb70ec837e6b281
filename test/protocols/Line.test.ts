/**
 * The line protocol against peers that are scripts of bytes, as the example programs of tokio-proto speak it.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Client from "../../src/Client.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import { rawPeer, utf8 } from "../support/conversation.ts"
import { settled } from "../support/serving.ts"

describe("as the server of a tokio-proto client", () => {
  it.effect("every byte of the session is the one that is due", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      yield* Layer.build(
        Server.layer({ protocol: Line.protocol, serve: Pipeline.serve((line) => Effect.succeed(line)) }).pipe(
          Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
        )
      )
      const peer = yield* rawPeer(network.client)
      const session: ReadonlyArray<readonly [says: string, heard: string]> = [
        ["You ready?\n", "Bring it!\n"],
        ["Hello\n", "Hello\n"],
        ["Goodbye\n", "Goodbye\n"],
        ["\n", "\n"],
        ["carriage\r\n", "carriage\r\n"],
        ["You ready?\n", "You ready?\n"],
        ["žluťoučký 馬 🐎\n", "žluťoučký 馬 🐎\n"]
      ]
      let heard = ""
      for (const [says, answer] of session) {
        yield* peer.write(utf8(says))
        yield* settled
        heard += answer
        expect(peer.heard()).toBe(heard)
      }
    }))
})

describe("as the client of a tokio-proto server", () => {
  const connecting = Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const peer = yield* rawPeer(there)
    const client = yield* Effect.forkChild(
      Client.connect({ protocol: Line.protocol }).pipe(Effect.provideService(Socket.Socket, here))
    )
    yield* settled
    expect(peer.heard()).toBe("You ready?\n")
    return { client, peer }
  })

  it.effect("says the greeting and nothing more before the answer, then its requests", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* connecting
      yield* peer.write(utf8("Bring it!\n"))
      const { call } = yield* Fiber.join(client)
      const calls = yield* Effect.forkChild(Effect.all([call("Hello"), call("Goodbye")], { concurrency: "unbounded" }))
      yield* settled
      expect(peer.heard()).toBe("You ready?\nHello\nGoodbye\n")
      yield* peer.write(utf8("Hello\nGoodbye\n"))
      expect(yield* Fiber.join(calls)).toEqual(["Hello", "Goodbye"])
    }))

  it.effect("takes the refusal as a rejection and never as connected", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* connecting
      yield* Effect.andThen(peer.write(utf8("No! Go away!\n")), peer.end)
      expect(yield* Effect.flip(Fiber.join(client))).toMatchObject({ reason: { _tag: "Rejected", by: "peer" } })
      yield* peer.closed
    }))

  it.effect("takes anything else as an invalid greeting", () =>
    Effect.gen(function*() {
      const { client, peer } = yield* connecting
      yield* peer.write(utf8("Bring it\n"))
      expect(yield* Effect.flip(Fiber.join(client))).toMatchObject({
        reason: { _tag: "InvalidGreeting" },
        fault: "peer"
      })
    }))
})
