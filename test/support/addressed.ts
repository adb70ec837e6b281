/**
 * Peers that have addresses, without a network.
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as NetAddress from "effect/net/NetAddress"
import * as Queue from "effect/Queue"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import type * as NodeNet from "node:net"
import type * as Peer from "../../src/Peer.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"

/** A peer at an address. */
export const peerAt = (ip: string): Peer.Peer => ({
  remote: NetAddress.inetAddressFromIpStringUnsafe(ip, 1024),
  local: undefined
})

/** A server in memory that takes each connection for one that comes from the address it was dialled from. */
export const network = Effect.gen(function*() {
  const coming = yield* Queue.unbounded<{ readonly socket: Socket.Socket; readonly from: string }>()
  const server: SocketServer.SocketServer["Service"] = {
    address: NetAddress.inetAddressFromIpStringUnsafe("127.0.0.1", 7),
    run: (handler) =>
      Effect.scoped(Effect.gen(function*() {
        const fibers = yield* FiberSet.make()
        return yield* Effect.forever(Effect.gen(function*() {
          const { from, socket } = yield* Queue.take(coming)
          // What is read of it.
          const net = { remoteAddress: from, remotePort: 1024 } as NodeNet.Socket
          yield* FiberSet.run(
            fibers,
            Effect.provideService(Effect.ignoreCause(handler(socket)), NodeSocket.NetSocket, net)
          )
        }))
      }))
  }
  const dial = (from: string): Effect.Effect<Socket.Socket> =>
    Effect.map(MemorySocket.pair(), ([here, there]) => {
      Queue.offerUnsafe(coming, { socket: there, from })
      return here
    })
  return { server, dial }
})
