/**
 * Who is at the other end of a connection, as far as the connection knows.
 *
 * @since 0.1.0
 */
import * as NetAddress from "effect/net/NetAddress"

/**
 * The two ends of a connection.
 *
 * **Details**
 *
 * `remote` is the other side's address and `local` is this side's. Either is `undefined` where the transport does not
 * say: Effect's own `Socket` has no addresses, and the client end of a Unix socket has no path.
 *
 * @category models
 * @since 0.1.0
 */
export interface Peer {
  readonly remote: NetAddress.SocketAddress | undefined
  readonly local: NetAddress.SocketAddress | undefined
}

/**
 * A peer of which nothing is known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unknown: Peer = { remote: undefined, local: undefined }

/**
 * The peer's address for people, such as `127.0.0.1:12345`, `unix:///run/app.sock` or `unknown peer`.
 *
 * **Example** (A TCP peer)
 *
 * ```ts
 * import { Peer } from "effect-handshake"
 * import { NetAddress } from "effect/net"
 *
 * const remote = NetAddress.inetAddressFromStringUnsafe("127.0.0.1:12345")
 *
 * console.log(Peer.format({ remote, local: undefined })) // => 127.0.0.1:12345
 * console.log(Peer.format(Peer.unknown)) // => unknown peer
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (self: Peer): string =>
  self.remote === undefined
    ? "unknown peer"
    : self.remote._tag === "UnixPathAddress"
    ? NetAddress.formatUnixPath(self.remote)
    : NetAddress.formatInet(self.remote)
