/**
 * The addresses of Effect's own Node sockets, which their `Socket` does not tell.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Peer from "../../Peer.ts"

/** What is read of Node's `net.Socket`. */
interface Addresses {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

const address = (ip: string | undefined, port: number | undefined): NetAddress.SocketAddress | undefined =>
  ip === undefined || port === undefined
    ? undefined
    : Option.getOrUndefined(Result.getSuccess(NetAddress.inetAddressFromIpString(ip, port)))

export const peerOf = (socket: Addresses): Peer.Peer => ({
  remote: address(socket.remoteAddress, socket.remotePort),
  local: address(socket.localAddress, socket.localPort)
})

/**
 * The key under which platform-node gives a connection's handler the raw socket, spelt here so that a server runs
 * where there is no Node.
 */
class NetSocket extends Context.Service<NetSocket, Addresses>()("@effect/platform-node/NodeSocket/NetSocket") {}

/** The peer of the connection whose handler this runs in, where platform-node serves it. */
export const currentPeer: Effect.Effect<Peer.Peer | undefined> = Effect.map(
  Effect.serviceOption(NetSocket),
  (socket) => Option.isSome(socket) ? peerOf(socket.value) : undefined
)
