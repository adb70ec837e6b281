/**
 * The fields that say how long a frame is.
 *
 * @internal
 */
import { putUint } from "../bytes/primitives.ts"
import type { ByteBuffer } from "./model.ts"

interface LengthField {
  /** The largest number that it holds. */
  readonly largest: number
  /** What it holds, as errors say it. */
  readonly size: string
  /** What it says that begins at `at`, what is wrong with it, or `undefined` where it is not all there. */
  readonly read: (input: ByteBuffer, at: number) => number | string | undefined
  /** How many bytes the one has that begins at `at` and is there. */
  readonly widthAt: (input: ByteBuffer, at: number) => number
  /** How many bytes it takes to say this. */
  readonly widthOf: (value: number) => number
  readonly put: (into: Uint8Array, at: number, value: number) => void
}

/** An unsigned integer of so many bytes. */
export const uint = (width: number, endian: "big" | "little"): LengthField => ({
  largest: 2 ** (8 * width) - 1,
  size: `${width} bytes`,
  read: (input, at) => {
    if (input.length < at + width) return undefined
    let value = 0
    for (let i = 0; i < width; i++) value = value * 256 + input.at(at + (endian === "big" ? i : width - 1 - i))
    return value
  },
  widthAt: () => width,
  widthOf: () => width,
  put: (into, at, value) => putUint(into, at, value, width, endian)
})

/**
 * Unsigned LEB128: seven bits in each byte, the lowest first, and the eighth where another byte follows.
 *
 * Protocol Buffers 3, "Base 128 Varints"; MQTT 5.0, 1.5.5 "Variable Byte Integer", which forbids more than four bytes and
 * any but the shortest form.
 */
export const varint = (maxBytes: number, overlong: boolean): LengthField => ({
  largest: 2 ** (7 * maxBytes) - 1,
  size: `a varint of ${maxBytes} bytes`,
  read: (input, at) => {
    let value = 0
    for (let i = 0; i < maxBytes; i++) {
      if (input.length <= at + i) return undefined
      const byte = input.at(at + i)
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return byte === 0 && i > 0 && !overlong ? "the length is not in its shortest form" : value
    }
    return `the length has more than ${maxBytes} bytes`
  },
  widthAt: (input, at) => {
    let width = 1
    while (width < maxBytes && input.at(at + width - 1) >= 0x80) width++
    return width
  },
  widthOf: (value) => {
    let width = 1
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) width++
    return width
  },
  put: (into, at, value) => {
    let i = at
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[i++] = 0x80 | rest % 0x80
    into[i] = rest
  }
})
