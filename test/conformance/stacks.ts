/**
 * The sockets that are compared: the simulated ones under `TestClock`, and real ones on loopback.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import type * as NodeNet from "node:net"
import * as Net from "../../src/node/Net.ts"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.ts"
import * as Tcp from "../support/tcp.ts"
import type { Stack } from "./ends.ts"

/** Loopback is done in a few turns of the event loop; the pause is for a kernel that is busy elsewhere. */
const turns = Effect.repeat(Tcp.turn, { times: 10 })
const settled = Effect.asVoid(Effect.andThen(turns, Effect.andThen(Effect.sleep("3 millis"), turns)))

const portOf = (server: SocketServer.SocketServer["Service"]): number => {
  if (server.address._tag === "UnixPathAddress") throw new Error("a TCP server has a port")
  return server.address.port
}

/** A server that does not wait for the connections that its handlers have left open. */
const destroying = (server: SocketServer.SocketServer["Service"]) => {
  const sockets: Array<NodeNet.Socket> = []
  const destroyed: SocketServer.SocketServer["Service"] = {
    address: server.address,
    run: (handler) =>
      server.run((socket) =>
        Effect.flatMap(Effect.serviceOption(NodeSocket.NetSocket), (raw) => {
          if (Option.isSome(raw)) sockets.push(raw.value)
          return handler(socket)
        })
      )
  }
  return Effect.as(
    Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))),
    destroyed
  )
}

export const node = (halfOpen: boolean): Stack => ({
  name: `Effect's sockets on Node, ${halfOpen ? "half-open" : "not half-open"}`,
  halfOpen,
  open: Effect.gen(function*() {
    const host = "127.0.0.1"
    const server = yield* Effect.flatMap(
      NodeSocketServer.make({ host, port: 0, allowHalfOpen: halfOpen }),
      destroying
    )
    return {
      server,
      client: yield* NodeSocket.makeNet({ host, port: portOf(server), allowHalfOpen: halfOpen }),
      nowhere: yield* NodeSocket.makeNet({ host, port: yield* Tcp.deadPort }),
      settled
    }
  })
})

export const net: Stack = {
  name: "this package's Net",
  halfOpen: true,
  open: Effect.gen(function*() {
    const host = "127.0.0.1"
    const server = yield* Net.makeServer({ host, port: 0 })
    return {
      server,
      client: yield* Net.socket(server.address),
      nowhere: yield* Net.socket(NetAddress.inetAddressFromIpStringUnsafe(host, yield* Tcp.deadPort)),
      settled
    }
  })
}

export const simulated = (halfOpen: boolean): Stack => ({
  name: "the simulated network",
  halfOpen,
  open: Effect.gen(function*() {
    const kernel = { receiveBuffer: 1_000_000 }
    const { client, server } = yield* SimulatedNetwork.make({ halfOpen, toServer: kernel, toClient: kernel })
    const refusing: Socket.Socket = (yield* SimulatedNetwork.make({ dial: "refuse", seed: 1 })).client
    return { server, client, nowhere: refusing, settled: TestClock.adjust("1 millis") }
  })
})
