/**
 * What is done with plain arrays of bytes: searching, text, putting them together.
 *
 * What every platform has is several times slower at searching and at text than what Node has.
 *
 * @internal
 */
const encoder = new TextEncoder()
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

interface Primitives {
  /** The index of the first such byte at or after `from`, or -1. */
  readonly indexOf: (bytes: Uint8Array, byte: number, from: number) => number
  /** The index of the last such byte, or -1. */
  readonly lastIndexOf: (bytes: Uint8Array, byte: number) => number
  /** The bytes in `[from, to)` as text; undefined where they are not UTF-8, or too many for a string. */
  readonly decodeUtf8: (bytes: Uint8Array, from: number, to: number) => string | undefined
  /** How many bytes a text takes in UTF-8. */
  readonly utf8Length: (text: string) => number
}

/** What every platform has. */
export const portable: Primitives = {
  indexOf: (bytes, byte, from) => bytes.indexOf(byte, from),
  lastIndexOf: (bytes, byte) => bytes.lastIndexOf(byte),
  decodeUtf8: (bytes, from, to) => {
    try {
      return strictUtf8.decode(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to))
    } catch {
      return undefined
    }
  },
  utf8Length: (text) => encoder.encode(text).length
}

/** The part of Node's `Buffer` that is used here. Its methods serve any Uint8Array. */
export interface NodeBuffer {
  readonly byteLength: (text: string) => number
  readonly prototype: {
    readonly indexOf: (this: Uint8Array, byte: number, from: number) => number
    readonly lastIndexOf: (this: Uint8Array, byte: number) => number
    readonly utf8Slice: (this: Uint8Array, from: number, to: number) => string
  }
}

const isEncoded = (text: string, bytes: Uint8Array, from: number, to: number): boolean => {
  const encoded = encoder.encode(text)
  return encoded.length === to - from && encoded.every((byte, i) => byte === bytes[from + i])
}

const onNode = ({ byteLength, prototype: { indexOf, lastIndexOf, utf8Slice } }: NodeBuffer): Primitives => ({
  indexOf: (bytes, byte, from) => indexOf.call(bytes, byte, from),
  lastIndexOf: (bytes, byte) => lastIndexOf.call(bytes, byte),
  decodeUtf8: (bytes, from, to) => {
    try {
      const text = utf8Slice.call(bytes, from, to)
      // It replaces what is not UTF-8 by U+FFFD, which the bytes may have said themselves. To ask for an error costs more.
      return text.includes("\ufffd") && !isEncoded(text, bytes, from, to) ? undefined : text
    } catch {
      return undefined
    }
  },
  utf8Length: byteLength
})

/** Whether these do as the portable ones, for a plain Uint8Array that is a part of something larger. */
const areSound = ({ decodeUtf8, indexOf, lastIndexOf, utf8Length }: Primitives): boolean => {
  try {
    const bytes = Uint8Array.of(0, 0xef, 0xbb, 0xbf, 0x61, 0x61, 0xc3, 0xa9, 0).subarray(1, 8)
    return indexOf(bytes, 0x61, 4) === 4 && indexOf(bytes, 0, 0) === -1 &&
      lastIndexOf(bytes, 0x61) === 4 && lastIndexOf(bytes, 0) === -1 &&
      decodeUtf8(bytes, 0, 7) === "\ufeffaa\u00e9" && decodeUtf8(bytes, 4, 6) === undefined &&
      utf8Length("\u00e9\u99ac") === 5
  } catch {
    return false
  }
}

/** What Node has, where it is there and does what is expected of it. */
export const choose = ({ Buffer }: { readonly Buffer?: NodeBuffer }): Primitives => {
  if (Buffer === undefined) return portable
  const native = onNode(Buffer)
  return areSound(native) ? native : portable
}

// This module knows of no platform by its types.
export const { decodeUtf8, indexOf, lastIndexOf, utf8Length } = choose(globalThis as { readonly Buffer?: NodeBuffer })

/** Whether a byte goes on with a UTF-8 sequence. */
export const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80

/** How many bytes a UTF-8 sequence has that begins with this one. */
export const sequenceLength = (lead: number): number => lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1

/** Puts an unsigned integer of `width` bytes. */
export const putUint = (
  into: Uint8Array,
  at: number,
  value: number,
  width: number,
  endian: "big" | "little"
): void => {
  let rest = value
  for (let i = 0; i < width; i++) {
    into[at + (endian === "big" ? width - 1 - i : i)] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

/** Some bytes, one after the other; a single piece is returned as it is. */
export const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  if (chunks.length === 1) return chunks[0]
  let length = 0
  for (const chunk of chunks) length += chunk.length
  const out = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}
