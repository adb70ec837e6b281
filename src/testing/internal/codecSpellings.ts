/**
 * Bytes that a careless decoder takes for a frame that is spelled in another way: with a length of more digits than it needs,
 * a byte that nobody looks at, or a delimiter that is nearly the right one.
 *
 * @internal
 */
import * as Excerpt from "../../Excerpt.ts"
import { concat } from "../../internal/bytes/primitives.ts"

/** What stands in the place of `drop` bytes, where that makes sense there. */
type Edit = { readonly drop: number; readonly put: ReadonlyArray<number> } | undefined

/** One way to write what stands at a place otherwise. */
type Kind = (bytes: Uint8Array, at: number) => Edit

export interface Spelling {
  readonly bytes: Uint8Array
  /** `"5" at byte 1 written as "05"` */
  readonly how: () => string
}

const utf8 = new TextEncoder()
const ascii = (text: string): ReadonlyArray<number> => [...utf8.encode(text)]

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39

/** One byte as another, or as several. */
const byByte = (write: (byte: number) => ReadonlyArray<number> | undefined): Kind => (bytes, at) => {
  const put = at < bytes.length ? write(bytes[at]) : undefined
  return put && { drop: 1, put }
}

const inserted = (put: ReadonlyArray<number>): Kind => () => ({ drop: 0, put })

/** A decimal number as another text. */
const byNumber = (write: (digits: string) => string): Kind => (bytes, at) => {
  if (!isDigit(bytes[at]) || (at > 0 && isDigit(bytes[at - 1]))) return undefined
  let drop = 1
  while (drop < 15 && isDigit(bytes[at + drop])) drop++
  return { drop, put: ascii(write(String.fromCharCode(...bytes.subarray(at, at + drop)))) }
}

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

const ifBelow = (most: number, write: (byte: number) => ReadonlyArray<number>) => (byte: number) =>
  byte < most ? write(byte) : undefined

const kinds: ReadonlyArray<Kind> = [
  // Another byte: a bit, case, the next and the previous value, and the extremes.
  ...Array.from({ length: 8 }, (_, bit) => byByte((byte) => [byte ^ (1 << bit)])),
  byByte((byte) => [(byte + 1) & 0xff]),
  byByte((byte) => [(byte + 0xff) & 0xff]),
  ...[0x00, 0xff, 0x20].map((other) => byByte((byte) => byte === other ? undefined : [other])),
  // A byte too few, one or several twice, and two the other way round.
  byByte(() => []),
  ...[1, 2, 3, 4].map((length): Kind => (bytes, at) =>
    at + length > bytes.length ? undefined : { drop: 0, put: [...bytes.subarray(at, at + length)] }
  ),
  (bytes, at) =>
    at + 1 < bytes.length && bytes[at] !== bytes[at + 1] ? { drop: 2, put: [bytes[at + 1], bytes[at]] } : undefined,
  // What is skipped, trimmed or taken for a part of a number or of a line's end.
  ...["0", " ", "\t", "+", "-", ".", "_", ";", "x", "\r", "\n"].map((text) => inserted(ascii(text))),
  ...[[0x00], [0x80], [0xff]].map((bytes) => inserted(bytes)),
  inserted([0xef, 0xbb, 0xbf]),
  // Numbers in text, as `Number` and `parseInt` take them.
  byNumber((digits) => `0x${Number(digits).toString(16)}`),
  byNumber((digits) => `00${digits}`),
  byNumber((digits) => `${digits}.0`),
  byNumber((digits) => `${digits}e0`),
  byNumber((digits) => `${Number(digits)}n`),
  // Numbers in bytes that say how long they are: LEB128, BER, QUIC, CBOR, MessagePack, WebSocket, Bitcoin and MySQL.
  byByte(ifBelow(0x80, (byte) => [byte | 0x80, 0x00])),
  byByte(ifBelow(0x80, (byte) => [byte | 0x80, 0x80, 0x00])),
  byByte(ifBelow(0x80, (byte) => [0x81, byte])),
  byByte(ifBelow(0x80, (byte) => [0x82, 0x00, byte])),
  byByte(ifBelow(0x40, (byte) => [0x40, byte])),
  byByte(ifBelow(0x40, (byte) => [0x80, 0x00, 0x00, byte])),
  byByte((byte) => (byte & 0x1f) < 24 ? [(byte & 0xe0) | 24, byte & 0x1f] : undefined),
  byByte((byte) => (byte & 0x1f) < 24 ? [(byte & 0xe0) | 25, 0x00, byte & 0x1f] : undefined),
  byByte(ifBelow(0x80, (byte) => [0xcc, byte])),
  byByte((byte) => byte >> 5 === 5 ? [0xd9, byte & 0x1f] : undefined),
  byByte((byte) => byte >> 5 === 4 ? [byte < 0x90 ? 0xde : 0xdc, 0x00, byte & 0x0f] : undefined),
  byByte((byte) => (byte & 0x7f) < 126 ? [(byte & 0x80) | 126, 0x00, byte & 0x7f] : undefined),
  byByte(ifBelow(0xfb, (byte) => [0xfc, byte, 0x00])),
  byByte(ifBelow(0xfb, (byte) => [0xfd, byte, 0x00])),
  // Characters that are escaped or encoded without need.
  byByte(ifBelow(0x80, (byte) => [0xc0 | (byte >> 6), 0x80 | (byte & 0x3f)])),
  byByte(ifBelow(0x80, (byte) => ascii(`%${hex(byte)}`))),
  byByte(ifBelow(0x80, (byte) => ascii(`\\u00${hex(byte)}`))),
  byByte(ifBelow(0x80, (byte) => [0x5c, byte]))
]

/** Where a length may stand that is to be raised where what it counts gets longer: in front, or right before. */
const raisable: ReadonlyArray<(at: number) => number> = [
  ...Array.from({ length: 8 }, (_, place) => () => place),
  ...[1, 2, 3].map((before) => (at: number) => at - before)
]

/** Whether what is counted there, in bytes or in digits, is not more than there is behind it. */
const mayBeLength = (bytes: Uint8Array, at: number): boolean => {
  const most = bytes.length - at - 1
  return bytes[at] <= most || (isDigit(bytes[at]) && bytes[at] - 0x30 <= most)
}

const atPlace = (
  bytes: Uint8Array,
  at: number,
  edit: Kind,
  raised: number | undefined
): Spelling | undefined => {
  const edited = edit(bytes, at)
  if (edited === undefined) return undefined
  const { drop, put } = edited
  const more = put.length - drop
  // Most are ruled out here, before anything is copied.
  if (raised !== undefined && (more === 0 || raised < 0 || raised >= at || !mayBeLength(bytes, raised))) {
    return undefined
  }
  const out = concat([bytes.subarray(0, at), Uint8Array.from(put), bytes.subarray(at + drop)]).slice()
  if (raised !== undefined) {
    if (out[raised] + more < 0 || out[raised] + more > 255) return undefined
    out[raised] += more
  }
  return {
    bytes: out,
    how: () => {
      const [was, is] = [bytes.subarray(at, at + drop), Uint8Array.from(put)].map((part) => Excerpt.ofBytes(part))
      const what = drop === 0 ?
        `${is} put in at byte ${at}` :
        `${was} at byte ${at} ${put.length === 0 ? "left out" : `written as ${is}`}`
      return raised === undefined
        ? what
        : `${what}, and byte ${raised} ${more > 0 ? "raised" : "lowered"} by ${Math.abs(more)}`
    }
  }
}

/** What is the same everywhere in a frame: its letters in the other case, its line ends as others write them. */
const everywhere: ReadonlyArray<readonly [how: string, write: (bytes: Uint8Array) => Uint8Array]> = [
  [
    "each letter in the other case",
    (bytes) => bytes.map((byte) => (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a ? byte ^ 0x20 : byte)
  ],
  ["each \\r\\n written as \\n", (bytes) => bytes.filter((byte, i) => byte !== 0x0d || bytes[i + 1] !== 0x0a)],
  [
    "each \\n written as \\r\\n",
    (bytes) =>
      Uint8Array.from([...bytes].flatMap((byte, i) => byte === 0x0a && bytes[i - 1] !== 0x0d ? [0x0d, 0x0a] : [byte]))
  ]
]

/** Both ends of what is long, for the rest of it is much the same. */
const placesOf = (length: number): ReadonlyArray<number> => {
  const places = Array.from({ length: length + 1 }, (_, at) => at)
  return length <= 48 ? places : [...places.slice(0, 32), ...places.slice(-16)]
}

/** Two primes, so that what is met is spread over all places and kinds, and from case to case. */
const stride = 7919
const spread = 104_729

/**
 * Other spellings of an encoding: each place with each kind, as far as `most` goes, and as many with a length in front of it
 * raised. `from` says which ones.
 */
export function* spellings(bytes: Uint8Array, from: number, most: number): Generator<Spelling> {
  for (const raises of [[undefined], raisable]) {
    const places = placesOf(bytes.length)
    const total = places.length * kinds.length * raises.length
    const step = total % stride === 0 ? 1 : stride
    for (let i = 0, made = 0; i < total && made < most; i++) {
      const index = (from * spread + i * step) % total
      const place = Math.floor(index / raises.length)
      const at = places[Math.floor(place / kinds.length)]
      const spelling = atPlace(bytes, at, kinds[place % kinds.length], raises[index % raises.length]?.(at))
      if (spelling === undefined) continue
      made++
      yield spelling
    }
  }
  for (const [how, write] of everywhere) yield { bytes: write(bytes), how: () => how }
}
