/**
 * What stands behind the addresses of version 2: types, lengths and values (2.2).
 *
 * @internal
 */
import * as Bytes from "../../Bytes.ts"
import type * as Codec from "../../Codec.ts"
import type { Other, Ssl, SslTlv, Tlv } from "./model.ts"

export const crcType = 0x03
const noopType = 0x04
const uniqueIdType = 0x05
const sslType = 0x20

/** An opaque sequence of up to so many bytes (2.2.5). */
const maxUniqueId = 128

/** The types whose value is a text: ALPN (2.2.1), the authority (2.2.2) and the network namespace (2.2.7). */
const texts = {
  0x01: (protocol: string): Tlv => ({ _tag: "Alpn", protocol }),
  0x02: (name: string): Tlv => ({ _tag: "Authority", name }),
  0x30: (name: string): Tlv => ({ _tag: "Netns", name })
}

/** The subtypes of SSL, all of them texts (2.2.6). */
const sslTexts = {
  0x21: "Version",
  0x22: "CommonName",
  0x23: "Cipher",
  0x24: "SignatureAlgorithm",
  0x25: "KeyAlgorithm"
} as const

const namedBy = <A>(names: Readonly<Record<number, A>>, type: number): A | undefined =>
  Object.hasOwn(names, type) ? names[type] : undefined

const sslTypes = Object.fromEntries(
  Object.entries(sslTexts).map(([type, name]) => [name, Number(type)])
) as Readonly<Record<Exclude<SslTlv["_tag"], "Other">, number>>

/** The bits of the field `client` (2.2.6). Others mean nothing yet. */
const overTlsBit = 0x01
const connectionBit = 0x02
const sessionBit = 0x04

const certificates = ["none", "connection", "session", "both"] as const

// ---------------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------------

interface Raw {
  readonly type: number
  /** Where the value begins and ends in the whole header. */
  readonly from: number
  readonly to: number
}

/** Why it is no header, in words. */
export class Problem {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const rawIn = (bytes: Uint8Array, from: number, to: number): ReadonlyArray<Raw> | Problem => {
  const found: Array<Raw> = []
  let at = from
  while (at < to) {
    if (to - at < 3) return new Problem("what is left behind the last TLV is too short for another one")
    const value = at + 3
    const end = value + (bytes[at + 1] << 8 | bytes[at + 2])
    if (end > to) return new Problem("a TLV is longer than what is left for it")
    found.push({ type: bytes[at], from: value, to: end })
    at = end
  }
  return found
}

/** Reads each of them, and refuses what says the same thing twice: nobody could tell which one is meant. */
const readAll = <A extends { readonly _tag: string }>(
  bytes: Uint8Array,
  from: number,
  to: number,
  read: (raw: Raw) => A | Problem
): ReadonlyArray<A> | Problem => {
  const raws = rawIn(bytes, from, to)
  if (raws instanceof Problem) return raws
  const seen = new Set<string>()
  const tlvs: Array<A> = []
  for (const raw of raws) {
    const tlv = read(raw)
    if (tlv instanceof Problem) return tlv
    if (mayRepeat(tlv) ? false : seen.has(tlv._tag)) return new Problem(`a header has ${tlv._tag} twice`)
    seen.add(tlv._tag)
    tlvs.push(tlv)
  }
  return tlvs
}

const mayRepeat = ({ _tag }: { readonly _tag: string }): boolean => _tag === "Other" || _tag === "Noop"

const other = (bytes: Uint8Array, { from, to, type }: Raw): Other => ({
  _tag: "Other",
  type,
  value: bytes.subarray(from, to)
})

/** Those of a whole header, from `from` to its end. `verify` looks at a checksum, which stands at the given place. */
export const read = (
  bytes: Uint8Array,
  from: number,
  verify: (at: number) => boolean
): ReadonlyArray<Tlv> | Problem =>
  readAll<Tlv>(bytes, from, bytes.length, (raw) => {
    const { from, to, type } = raw
    const text = namedBy(texts, type)
    if (text !== undefined) {
      const value = Bytes.decodeUtf8(bytes, from, to)
      return value === undefined ? new Problem(`the TLV of type ${type} is not UTF-8`) : text(value)
    }
    switch (type) {
      case crcType:
        if (to - from !== 4) return new Problem("a CRC32c has four bytes")
        return verify(from) ? { _tag: "Crc32c" } : new Problem("the CRC32c is not that of the header")
      case noopType:
        return { _tag: "Noop", value: bytes.subarray(from, to) }
      case uniqueIdType:
        return to - from > maxUniqueId
          ? new Problem(`a unique id has ${maxUniqueId} bytes at most`)
          : { _tag: "UniqueId", id: bytes.subarray(from, to) }
      case sslType:
        return readSsl(bytes, raw)
      default:
        return other(bytes, raw)
    }
  })

const readSsl = (bytes: Uint8Array, { from, to }: Raw): Ssl | Problem => {
  if (to - from < 5) return new Problem("the TLV of SSL is too short")
  const client = bytes[from]
  const verify = new DataView(bytes.buffer, bytes.byteOffset + from + 1).getUint32(0)
  const tlvs = readAll<SslTlv>(bytes, from + 5, to, (raw) => {
    const _tag = namedBy<Exclude<SslTlv["_tag"], "Other">>(sslTexts, raw.type)
    if (_tag === undefined) return other(bytes, raw)
    const value = Bytes.decodeUtf8(bytes, raw.from, raw.to)
    return value === undefined ? new Problem(`${_tag} of SSL is not UTF-8`) : { _tag, value }
  })
  if (tlvs instanceof Problem) return tlvs
  return {
    _tag: "Ssl",
    overTls: (client & overTlsBit) !== 0,
    certificate: certificates[(client & (connectionBit | sessionBit)) >> 1],
    verify,
    tlvs
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Writing
// ---------------------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder()

/** Everything that has a meaning has its own type; whoever writes it as another one would say it behind our back. */
const meansSomething = (type: number, isInSsl: boolean): boolean =>
  isInSsl
    ? namedBy(sslTexts, type) !== undefined
    : namedBy(texts, type) !== undefined || [crcType, noopType, uniqueIdType, sslType].includes(type)

const write = (type: number, value: Uint8Array, into: Codec.ByteWriter): Problem | undefined => {
  if (value.length > 0xffff) return new Problem("a TLV has 65,535 bytes at most")
  into.uint(type, 1, "big")
  into.uint(value.length, 2, "big")
  into.bytes(value)
}

const writeText = (type: number, text: string, into: Codec.ByteWriter): Problem | undefined =>
  text.isWellFormed()
    ? write(type, encoder.encode(text), into)
    : new Problem("a text has half a surrogate pair")

const writeOther = ({ type, value }: Other, isInSsl: boolean, into: Codec.ByteWriter): Problem | undefined =>
  !Number.isInteger(type) || type < 0 || type > 0xff || meansSomething(type, isInSsl)
    ? new Problem("a TLV of a type that has a meaning of its own, or that is none")
    : write(type, value, into)

/** Writes them in order. A checksum is written as zeros. */
export const writeAll = (tlvs: ReadonlyArray<Tlv>, into: Codec.ByteWriter): Problem | undefined => {
  const twice = repeated(tlvs)
  if (twice !== undefined) return new Problem(`a header has ${twice} twice`)
  for (const tlv of tlvs) {
    const problem = writeOne(tlv, into)
    if (problem !== undefined) return problem
  }
}

const repeated = (tlvs: ReadonlyArray<{ readonly _tag: string }>): string | undefined =>
  tlvs.find((tlv, i) => !mayRepeat(tlv) && tlvs.some((before, j) => j < i && before._tag === tlv._tag))?._tag

const writeOne = (tlv: Tlv, into: Codec.ByteWriter): Problem | undefined => {
  switch (tlv._tag) {
    case "Alpn":
      return writeText(0x01, tlv.protocol, into)
    case "Authority":
      return writeText(0x02, tlv.name, into)
    case "Netns":
      return writeText(0x30, tlv.name, into)
    case "Crc32c":
      return write(crcType, new Uint8Array(4), into)
    case "Noop":
      return write(noopType, tlv.value, into)
    case "UniqueId":
      return tlv.id.length > maxUniqueId
        ? new Problem(`a unique id has ${maxUniqueId} bytes at most`)
        : write(uniqueIdType, tlv.id, into)
    case "Ssl":
      return writeSsl(tlv, into)
    case "Other":
      return writeOther(tlv, false, into)
  }
}

const writeSsl = ({ certificate, overTls, tlvs, verify }: Ssl, into: Codec.ByteWriter): Problem | undefined => {
  const twice = repeated(tlvs)
  if (twice !== undefined) return new Problem(`SSL has ${twice} twice`)
  if (!Number.isInteger(verify) || verify < 0 || verify > 0xffff_ffff) return new Problem("`verify` has 32 bits")
  const value = new Bytes.ByteWriter()
  value.uint((overTls ? overTlsBit : 0) | certificates.indexOf(certificate) << 1, 1, "big")
  value.uint(verify, 4, "big")
  for (const tlv of tlvs) {
    const problem = tlv._tag === "Other"
      ? writeOther(tlv, true, value)
      : writeText(sslTypes[tlv._tag], tlv.value, value)
    if (problem !== undefined) return problem
  }
  return write(sslType, value.finishBytes(), into)
}

/** Where the value of the checksum stands among what was written, if there is one. */
export const crcAt = (bytes: Uint8Array, from: number): number | undefined => {
  const raws = rawIn(bytes, from, bytes.length)
  return raws instanceof Problem ? undefined : raws.find(({ type }) => type === crcType)?.from
}
