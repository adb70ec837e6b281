/**
 * Networks of addresses: whom they hold, and which one an address is counted with.
 *
 * @internal
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import type * as Peer from "../../Peer.ts"

/** How many bits of an address are counted together. */
export interface Prefix {
  readonly v4: number
  readonly v6: number
}

/** Who has one address has the 64 bits behind it too. */
export const defaultPrefix: Prefix = { v4: 32, v6: 64 }

/** The address of a peer. One of IPv4 that comes over IPv6 is one of IPv4. */
export const addressOf = ({ remote }: Peer.Peer): NetAddress.IpAddress | undefined =>
  remote === undefined || remote._tag === "UnixPathAddress" ? undefined : NetAddress.toCanonical(remote.address)

/** The network that an address is counted with, such as `192.0.2.1` or `2001:db8::/64`. */
export const networkOf = (address: NetAddress.IpAddress, { v4, v6 }: Prefix): string => {
  const bits = NetAddress.isIpv4Address(address) ? v4 : v6
  return bits === NetAddress.width(address)
    ? NetAddress.formatIp(address)
    : IpNetwork.format(IpNetwork.fromAddressUnsafe(address, bits))
}

/** A network as it is written: `10.0.0.0/8`, `fd00::/8`, or one address. It throws at anything else. */
export const parse = (text: string): IpNetwork.IpNetwork => {
  const parsed = text.includes("/")
    ? IpNetwork.fromString(text)
    : Result.map(
      NetAddress.ipFromString(text),
      (address) => IpNetwork.fromAddressUnsafe(address, NetAddress.width(address))
    )
  if (Result.isSuccess(parsed)) return parsed.success
  throw new RangeError(`${text} is no network such as 10.0.0.0/8 or fd00::/8, and no address`)
}

export const isWithin = (networks: ReadonlyArray<IpNetwork.IpNetwork>, address: NetAddress.IpAddress): boolean =>
  networks.some((network) => IpNetwork.contains(network, address))
