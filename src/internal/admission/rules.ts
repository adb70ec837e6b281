/**
 * The options of an admission, checked and ready to be asked.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import type * as IpNetwork from "effect/net/IpNetwork"
import type * as NetAddress from "effect/net/NetAddress"
import { isHandshakeError } from "../../HandshakeError.ts"
import type * as Peer from "../../Peer.ts"
import * as Addresses from "./addresses.ts"
import type * as Model from "./model.ts"

/**
 * What a peer does that is no accident: it says what is no message of the protocol or is not due, cannot prove who it is, or is
 * silent until the deadline. Who goes away again, speaks another version or does not trust a certificate does nothing wrong.
 */
export const isMisconduct = (error: unknown): boolean => {
  if (!isHandshakeError(error) || error.fault !== "peer") return false
  switch (error.reason._tag) {
    case "AuthenticationFailed":
    case "FrameTooLarge":
    case "InvalidGreeting":
    case "MalformedFrame":
    case "Timeout":
    case "UnreadBytes":
      return true
    default:
      return false
  }
}

interface Rate {
  readonly limit: number
  readonly window: Duration.Duration
}

export interface Rule {
  readonly name: string
  readonly keyOf: Model.Limit["keyOf"]
  readonly atOnce: number | undefined
  readonly connections: Rate | undefined
  readonly failures: Rate & { readonly of: (error: unknown) => boolean } | undefined
}

export interface Rules {
  readonly rules: ReadonlyArray<Rule>
  readonly passes: (address: NetAddress.IpAddress | undefined) => boolean
  readonly delay: Duration.Duration | undefined
  /** In milliseconds. */
  readonly quiet: number
  /** Whether something has to be asked of a store. */
  readonly asks: boolean
}

const count = (where: string, value: number): number => {
  if (Number.isSafeInteger(value) && value >= 1) return value
  throw new RangeError(`${where} is a whole number of at least 1, not ${value}`)
}

export const duration = (where: string, value: Duration.Input): Duration.Duration => {
  const read = Duration.fromInputUnsafe(value)
  if (Duration.isFinite(read) && Duration.toMillis(read) >= 1) return read
  throw new RangeError(`${where} is at least a millisecond and ends`)
}

const rate = (where: string, given: Model.Rate): Rate => ({
  limit: count(`${where}.limit`, given.limit),
  window: duration(`${where}.window`, given.window)
})

const rule = ({ atOnce, connections, failures, keyOf, name }: Model.Limit): Rule => ({
  name,
  keyOf,
  atOnce: atOnce === undefined ? undefined : count(`${name}.atOnce`, atOnce),
  connections: connections === undefined ? undefined : rate(`${name}.connections`, connections),
  failures: failures === undefined
    ? undefined
    : { ...rate(`${name}.failures`, failures), of: failures.of ?? isMisconduct }
})

/** It throws a `RangeError` at what is none. */
export const make = (options: Model.Options): Rules => {
  const rules = options.limits.map(rule)
  const names = new Set(rules.map(({ name }) => name))
  if (names.size < rules.length) throw new RangeError("no two limits have the same name")
  const pass: ReadonlyArray<IpNetwork.IpNetwork> = (options.pass ?? []).map(Addresses.parse)
  const delay = options.delay === undefined ? Duration.zero : Duration.fromInputUnsafe(options.delay)
  return {
    rules,
    passes: (address) => address !== undefined && pass.length > 0 && Addresses.isWithin(pass, address),
    delay: Duration.isZero(delay) ? undefined : delay,
    quiet: Duration.toMillis(Duration.fromInputUnsafe(options.quiet ?? "1 second")),
    asks: rules.some(({ connections, failures }) => connections !== undefined || failures !== undefined)
  }
}

/** How many bits of an address are counted together, or what is wrong with them. */
export const prefix = (
  { v4 = Addresses.defaultPrefix.v4, v6 = Addresses.defaultPrefix.v6 }: Partial<Addresses.Prefix>
) => {
  const within = (name: string, bits: number, most: number) => {
    if (Number.isInteger(bits) && bits >= 0 && bits <= most) return bits
    throw new RangeError(`${name} is a number of bits from 0 to ${most}, not ${bits}`)
  }
  return { v4: within("v4", v4, 32), v6: within("v6", v6, 128) }
}

/** The key of the network of a peer's address. */
export const byNetwork = (prefix: Addresses.Prefix) => (peer: Peer.Peer): string | undefined => {
  const address = Addresses.addressOf(peer)
  return address === undefined ? undefined : Addresses.networkOf(address, prefix)
}
