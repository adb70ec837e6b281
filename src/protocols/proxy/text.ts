/**
 * Version 1: a line of text (2.1).
 *
 * @internal
 */
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import { malformed, tooLarge, unencodable } from "./errors.ts"
import type { Header, Proxied } from "./model.ts"

type Decoded = Result.Result<Header, Codec.CodecError>

export const keyword = new TextEncoder().encode("PROXY ")

/** Of a line with its CRLF: that of two IPv6 addresses of an unknown protocol (2.1). */
export const maxLength = 107

const cr = 0x0d
const lf = 0x0a

/** The length of the line with its CRLF, `undefined` while it is not all there. A CR or an LF alone ends nothing (2.1). */
const lengthOf = (input: Codec.ByteBuffer): Result.Result<number | undefined, Codec.CodecError> => {
  const length = Math.min(input.length, maxLength)
  for (let i = keyword.length; i < length; i++) {
    const byte = input.at(i)
    if (byte === lf) return malformed("a line that begins with PROXY ends with LF alone", shown(input, i))
    if (byte !== cr) continue
    if (i + 1 === maxLength) break
    if (i + 1 === length) return Result.succeed(undefined)
    return input.at(i + 1) === lf
      ? Result.succeed(i + 2)
      : malformed("a line that begins with PROXY has a CR without LF", shown(input, i))
  }
  return length < maxLength ? Result.succeed(undefined) : tooLarge(maxLength, shown(input, maxLength))
}

/** The beginning of a line, and nothing behind it: what else has come already makes no difference. */
const shown = (input: Codec.ByteBuffer, length: number): string =>
  Excerpt.ofBytes(input.peek(0, Math.min(length, Excerpt.maxExcerpt + 1)))

/** No heading zeros, so that nobody reads an octal number (2.1). */
const portOf = (text: string): number | undefined => {
  const port = /^(?:0|[1-9]\d{0,4})$/.test(text) ? Number(text) : undefined
  return port !== undefined && port <= 65_535 ? port : undefined
}

const addressOf = (family: "TCP4" | "TCP6", ip: string, port: string): NetAddress.InetAddress | undefined => {
  const number = portOf(port)
  // Each takes what is of its family alone; to IPv4 the former is as strict as is asked for.
  const address: Result.Result<NetAddress.IpAddress, NetAddress.NetAddressError> = family === "TCP4"
    ? NetAddress.ipv4FromString(ip) :
    NetAddress.ipv6FromString(ip)
  if (number === undefined || Result.isFailure(address)) return undefined
  return NetAddress.inetAddressUnsafe(address.success, number)
}

const parse = (line: string, excerpt: string): Decoded => {
  // Exactly one space between the parts (2.1).
  const [, family, from, to, fromPort, toPort, ...more] = line.split(" ")
  // What stands behind it is ignored, whatever it is (2.1).
  if (family === "UNKNOWN") return Result.succeed({ _tag: "Unknown", version: 1, tlvs: [] })
  if (family !== "TCP4" && family !== "TCP6") {
    return malformed("a PROXY line is for TCP4, TCP6 or UNKNOWN, and for nothing else", excerpt)
  }
  if (toPort === undefined || more.length > 0) {
    return malformed("a PROXY line has two addresses and two ports, with one space before each", excerpt)
  }
  const source = addressOf(family, from, fromPort)
  const destination = addressOf(family, to, toPort)
  if (source === undefined || destination === undefined) {
    return malformed(`a PROXY line has addresses and ports that are none of ${family}`, excerpt)
  }
  return Result.succeed({ _tag: "Proxied", version: 1, transport: "stream", source, destination, tlvs: [] })
}

/** Decodes what begins with the keyword. */
export const decode = (input: Codec.ByteBuffer): Decoded | undefined => {
  const length = lengthOf(input)
  if (Result.isFailure(length)) return Result.fail(length.failure)
  if (length.success === undefined) return undefined
  const excerpt = shown(input, length.success)
  // Of the rest of an unknown protocol nothing is read, so that it need not be text.
  const line = input.text(0, length.success - 2) ?? latin1.decode(input.peek(0, length.success - 2))
  const parsed = parse(line, excerpt)
  if (Result.isSuccess(parsed)) input.skip(length.success)
  return parsed
}

const latin1 = new TextDecoder("latin1")

const isInet = (address: NetAddress.SocketAddress): address is NetAddress.InetAddress =>
  address._tag !== "UnixPathAddress"

export const encode = (
  header: Exclude<Header, { readonly _tag: "Local" }>,
  into: Codec.ByteWriter
): Result.Result<void, Codec.CodecError> | void => {
  if (header.tlvs.length > 0) return unencodable("version 1 has no TLVs")
  if (header._tag === "Unknown") return into.string("PROXY UNKNOWN\r\n")
  const line = lineOf(header)
  if (line === undefined) return unencodable("version 1 is for TCP, from and to addresses of one family")
  into.string(line)
}

const lineOf = ({ destination, source, transport }: Proxied): string | undefined => {
  if (transport !== "stream" || !isInet(source) || !isInet(destination) || source._tag !== destination._tag) {
    return undefined
  }
  const family = source._tag === "InetAddressV4" ? "TCP4" : "TCP6"
  const [from, to] = [source, destination].map(({ address }) => NetAddress.formatIp(address))
  return `PROXY ${family} ${from} ${to} ${source.port} ${destination.port}\r\n`
}
