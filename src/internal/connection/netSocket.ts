/**
 * Addresses as Node's sockets tell them, and those of Effect's own Node sockets, which their `Socket` does not tell.
 *
 * A link-local address of IPv6 means nothing without its zone, the interface (RFC 4007). Node has it by the name of the
 * interface, as in `fe80::1%eth0`, and an address of Effect by its number.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import type * as Peer from "../../Peer.ts"

/** What is read of Node's `net.Socket`. */
export interface Addresses {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

type Interfaces = Readonly<Record<string, ReadonlyArray<NetAddress.NetworkInterfaceAddress> | undefined>>

/** What of Node's `process` is used, where there is one: a server also runs where there is none. */
interface Platform {
  readonly platform?: string
  readonly getBuiltinModule?: (name: "node:os") => { readonly networkInterfaces: () => Interfaces } | undefined
}

const platform = (): Platform | undefined => (globalThis as { readonly process?: Platform }).process

/** The interfaces that are up. They come and go, so they are asked for each time; few addresses have a zone. */
const networkInterfaces = (): Interfaces => {
  try {
    return platform()?.getBuiltinModule?.("node:os")?.networkInterfaces() ?? {}
  } catch {
    // A system that does not say, or has no descriptors left to say it.
    return {}
  }
}

const scopeIdsOf = (interfaces: Interfaces): ReadonlyMap<string, number> =>
  NetAddress.scopeIdsFromInterfaces(Object.entries(interfaces))

/** The numbers of the interfaces. */
const scopeIds = (): ReadonlyMap<string, number> => scopeIdsOf(networkInterfaces())

/** The bytes of an address of IPv4 as Node writes it: four numbers without leading zeros. */
const ipv4Bytes = (ip: string): Uint8Array | undefined => {
  const bytes = new Uint8Array(4)
  let at = 0
  let octet: number | undefined
  for (let i = 0; i < ip.length; i++) {
    const char = ip.charCodeAt(i)
    if (char >= zero && char <= nine && octet !== 0) {
      octet = (octet ?? 0) * 10 + char - zero
      if (octet > 255) return undefined
    } else if (char === dot && octet !== undefined && at < 3) {
      bytes[at++] = octet
      octet = undefined
    } else return undefined
  }
  if (octet === undefined || at < 3) return undefined
  bytes[3] = octet
  return bytes
}

const [zero, nine, dot] = [0x30, 0x39, 0x2e]

/** An address as Node tells it. Where the interface is gone, its zone is too. */
export const address = (
  ip: string,
  port: number
): Result.Result<NetAddress.InetAddress, NetAddress.NetAddressError> => {
  // What most connections come from, and each of them may ask for it: a parser that explains what is wrong takes five times as long.
  const bytes = ipv4Bytes(ip)
  if (bytes !== undefined) return NetAddress.inetAddress(NetAddress.ipv4FromBytesUnsafe(bytes), port)
  return ip.includes("%")
    ? Result.orElse(
      NetAddress.inetAddressFromHostString(ip, port, scopeIds()),
      () => NetAddress.inetAddressFromIpString(ip.slice(0, ip.indexOf("%")), port)
    )
    : NetAddress.inetAddressFromIpString(ip, port)
}

/** A host as Node takes it: the number of a zone is none to it, but where interfaces have no names. */
export const nativeHost = (host: string): string =>
  /^[0-9a-f:.]+%\d+$/i.test(host)
    ? Result.match(NetAddress.inetAddressFromHostString(host, 0), {
      onFailure: () => host,
      onSuccess: (address) => NetAddress.formatNativeHost(address, scopeIds(), platform()?.platform)
    })
    : host

const withZone = /^([0-9a-f:.]*:[0-9a-f:.]*)%(.*)$/i

/**
 * What is wrong with the zone of a host, by its name or by its number. The system would take one that it does not know for none,
 * and send what is said to some other network.
 */
export const zoneProblem = (host: string): string | undefined => {
  const zone = withZone.exec(host)?.[2]
  if (zone === undefined) return undefined
  const interfaces = networkInterfaces()
  const names = Object.keys(interfaces)
  const isKnown = names.length === 0 || names.includes(zone) ||
    [...scopeIdsOf(interfaces).values()].some((id) => `${id}` === zone)
  return isKnown
    ? undefined
    : `${Excerpt.ofString(host)} names no network interface that is up behind the %: there are ${names.join(", ")}`
}

const known = (ip: string | undefined, port: number | undefined): NetAddress.SocketAddress | undefined =>
  ip === undefined || port === undefined ? undefined : Option.getOrUndefined(Result.getSuccess(address(ip, port)))

let lastLocal: { readonly ip: string; readonly port: number; readonly address: NetAddress.SocketAddress | undefined } =
  {
    ip: "",
    port: 0,
    address: undefined
  }

/** This end is the same for most connections of a server, so the one that was told last is kept. A zone may be another by now. */
const localOf = (ip: string | undefined, port: number | undefined): NetAddress.SocketAddress | undefined => {
  if (ip === undefined || port === undefined || ip.includes("%")) return known(ip, port)
  if (lastLocal.ip !== ip || lastLocal.port !== port) lastLocal = { ip, port, address: known(ip, port) }
  return lastLocal.address
}

export const peerOf = (socket: Addresses): Peer.Peer => ({
  remote: known(socket.remoteAddress, socket.remotePort),
  local: localOf(socket.localAddress, socket.localPort)
})

/**
 * The key under which platform-node gives a connection's handler the raw socket, spelt here so that a server runs
 * where there is no Node.
 */
class NetSocket extends Context.Service<NetSocket, Addresses>()("@effect/platform-node/NodeSocket/NetSocket") {}

/** The peer of the connection in whose handler's context this is, where platform-node serves it. */
export const peerIn = (context: Context.Context<never>): Peer.Peer | undefined => {
  const socket = Context.getOption(context, NetSocket)
  return Option.isSome(socket) ? peerOf(socket.value) : undefined
}

/** The peer of the connection whose handler this runs in. */
export const currentPeer: Effect.Effect<Peer.Peer | undefined> = Effect.contextWith((context: Context.Context<never>) =>
  Effect.succeed(peerIn(context))
)
