/**
 * Version 2: sixteen bytes, two addresses, TLVs (2.2).
 *
 * | at | what |
 * |---|---|
 * | 0 | the signature |
 * | 12 | the version, 2, and the command: 0 is LOCAL, 1 is PROXY |
 * | 13 | the family, and the transport |
 * | 14 | how many bytes follow |
 * | 16 | the addresses of the family, and then TLVs |
 *
 * @internal
 */
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Bytes from "../../Bytes.ts"
import type * as Codec from "../../Codec.ts"
import { crc32c } from "./crc32c.ts"
import { malformed, tooLarge, unencodable } from "./errors.ts"
import type { Header, Proxied } from "./model.ts"
import * as Tlvs from "./tlvs.ts"

type Decoded = Result.Result<Header, Codec.CodecError>

export const signature = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10)

/** Before the addresses. */
const fixedLength = 16

/** As long as a header can say that it is. */
export const longest = fixedLength + 0xffff

/** Each is a byte of 2.2: the family in its upper half, the transport in its lower one. */
const unspecified = 0x00
const families = { Inet: 0x10, Inet6: 0x20, Unix: 0x30 } as const
const transports = { stream: 0x01, datagram: 0x02 } as const

const local = 0x20
const proxied = 0x21

/** The path of a Unix socket, filled up with zeros. */
const pathLength = 108

const addressLengths: Readonly<Record<number, number>> = {
  [families.Inet]: 2 * 4 + 2 * 2,
  [families.Inet6]: 2 * 16 + 2 * 2,
  [families.Unix]: 2 * pathLength
}

/**
 * What is wrong with byte 12 or 13, as soon as it is there. Of LOCAL the family is ignored (2.2).
 */
const problemAt = (input: Codec.ByteBuffer): string | undefined => {
  if (input.length <= 12) return undefined
  const command = input.at(12)
  if (command >> 4 !== 2) return `the header is of version ${command >> 4}, and only 1 and 2 are known`
  if (command !== local && command !== proxied) return `the command ${command & 0xf} is not known`
  if (command === local || input.length === 13) return undefined
  const family = input.at(13)
  return family >> 4 > 3 || (family & 0xf) > 2 ? `the family 0x${family.toString(16)} is not known` : undefined
}

/** Decodes what begins with the signature. The length is looked at before anything is waited for. */
export const decode = (input: Codec.ByteBuffer, maxLength: number): Decoded | undefined => {
  const problem = problemAt(input)
  if (problem !== undefined) {
    return malformed(problem, `byte ${input.at(12).toString(16)} behind the signature`)
  }
  if (input.length < fixedLength) return undefined
  const length = fixedLength + (input.at(14) << 8 | input.at(15))
  const excerpt = `a header of ${length} bytes`
  if (length > maxLength) return tooLarge(maxLength, excerpt)
  if (input.length < length) return undefined
  // A copy, so that a value that somebody keeps holds nothing but the header.
  const parsed = parse(new Uint8Array(input.peek(0, length)), excerpt)
  if (Result.isSuccess(parsed)) input.skip(length)
  return parsed
}

const parse = (bytes: Uint8Array, excerpt: string): Decoded => {
  // "discard the protocol block including the family" (2.2)
  if (bytes[12] === local) return Result.succeed({ _tag: "Local" })
  const [family, transport] = [bytes[13] & 0xf0, bytes[13] & 0x0f]
  const from = fixedLength + (addressLengths[family] ?? 0)
  if (bytes.length < from) return malformed("the header is too short for the addresses of its family", excerpt)
  const tlvs = Tlvs.read(
    bytes,
    from,
    (at) => crc32c(bytes, at, at + 4) === new DataView(bytes.buffer).getUint32(at)
  )
  if (tlvs instanceof Tlvs.Problem) return malformed(tlvs.text, excerpt)
  // Addresses of an unspecified transport are ignored as well (2.2).
  if (family === unspecified || transport === 0) return Result.succeed({ _tag: "Unknown", version: 2, tlvs })
  const ends = addressesOf(bytes, family)
  if (ends === undefined) return malformed("the path of a Unix socket is not UTF-8", excerpt)
  const [source, destination] = ends
  return Result.succeed({
    _tag: "Proxied",
    version: 2,
    transport: transport === transports.stream ? "stream" : "datagram",
    source,
    destination,
    tlvs
  })
}

type Ends = readonly [source: NetAddress.SocketAddress, destination: NetAddress.SocketAddress]

const addressesOf = (bytes: Uint8Array, family: number): Ends | undefined => {
  if (family === families.Unix) {
    const [source, destination] = [fixedLength, fixedLength + pathLength].map((at) => pathAt(bytes, at))
    return source === undefined || destination === undefined
      ? undefined
      : [NetAddress.unixPathAddress(source), NetAddress.unixPathAddress(destination)]
  }
  const [width, ip] = family === families.Inet
    ? [4, NetAddress.ipv4FromBytesUnsafe]
    : [16, NetAddress.ipv6FromBytesUnsafe]
  const view = new DataView(bytes.buffer)
  const at = (i: 0 | 1): NetAddress.SocketAddress => {
    const from = fixedLength + i * width
    return NetAddress.inetAddressUnsafe(
      ip(bytes.slice(from, from + width)),
      view.getUint16(fixedLength + 2 * width + 2 * i)
    )
  }
  return [at(0), at(1)]
}

/** Up to the first zero; but a name that begins with one, which Linux has, is all up to the zeros at its end. */
const pathAt = (bytes: Uint8Array, from: number): string | undefined => {
  const zero = bytes.indexOf(0, from)
  let to = zero < 0 ? from + pathLength : Math.min(zero, from + pathLength)
  if (to === from) {
    to = from + pathLength
    while (to > from && bytes[to - 1] === 0) to--
  }
  return Bytes.decodeUtf8(bytes, from, to)
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing
// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder()

export const encode = (
  header: Header,
  into: Codec.ByteWriter,
  maxLength: number
): Result.Result<void, Codec.CodecError> | void => {
  if (header._tag === "Local") return into.bytes(Uint8Array.of(...signature, local, unspecified, 0, 0))
  const behind = new Bytes.ByteWriter()
  const family = header._tag === "Unknown" ? unspecified : writeAddresses(header, behind)
  if (family === undefined) return unencodable("the addresses are not of one family, or a path is none that fits")
  const problem = Tlvs.writeAll(header.tlvs, behind)
  if (problem !== undefined) return unencodable(problem.text)
  const block = behind.finishBytes()
  const most = Math.min(maxLength, longest)
  if (fixedLength + block.length > most) return tooLarge(most, "a PROXY header to be sent", "local")
  const bytes = Bytes.concat([
    signature,
    Uint8Array.of(proxied, family, block.length >> 8, block.length & 0xff),
    block
  ])
  const crcAt = Tlvs.crcAt(bytes, fixedLength + (addressLengths[family & 0xf0] ?? 0))
  if (crcAt !== undefined) new DataView(bytes.buffer).setUint32(crcAt, crc32c(bytes))
  into.bytes(bytes)
}

/** Returns the byte of the family, or nothing where the addresses have none together. */
const writeAddresses = (
  { destination, source, transport }: Proxied,
  into: Codec.ByteWriter
): number | undefined => {
  if (source._tag === "UnixPathAddress" || destination._tag === "UnixPathAddress") {
    if (source._tag !== destination._tag) return undefined
    const paths = [source, destination].map((address) => pathBytes((address as NetAddress.UnixPathAddress).path))
    for (const path of paths) {
      if (path === undefined) return undefined
      into.bytes(path)
    }
    return families.Unix | transports[transport]
  }
  if (source._tag !== destination._tag) return undefined
  for (const { address } of [source, destination]) into.bytes(ipBytes(address))
  for (const { port } of [source, destination]) into.uint(port, 2, "big")
  return (source._tag === "InetAddressV4" ? families.Inet : families.Inet6) | transports[transport]
}

const ipBytes = (address: NetAddress.IpAddress): Uint8Array =>
  Uint8Array.from(
    NetAddress.isIpv4Address(address) ? NetAddress.ipv4ToOctets(address) : NetAddress.ipv6ToOctets(address)
  )

/** What would be read as another path cannot be written. */
const pathBytes = (path: string): Uint8Array | undefined => {
  const bytes = encoder.encode(path)
  if (!path.isWellFormed() || bytes.length > pathLength) return undefined
  const filled = new Uint8Array(pathLength)
  filled.set(bytes)
  return pathAt(filled, 0) === path ? filled : undefined
}
