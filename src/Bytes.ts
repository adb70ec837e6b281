/**
 * What an author of a codec does with bytes: find one, read text, put pieces together, write frames aside.
 *
 * On Node these are as fast as `Buffer`, without a copy for each call and without a type that other platforms lack; they
 * take any `Uint8Array`.
 *
 * @stability experimental
 * @since 0.1.0
 */
import type * as Codec from "./Codec.ts"
import * as Primitives from "./internal/bytes/primitives.ts"
import * as Writer from "./internal/bytes/writer.ts"

/**
 * Some pieces, one after the other.
 *
 * **Gotchas**
 *
 * A single piece is returned as it is and not copied.
 *
 * **Example** (A nonce before its message)
 *
 * ```ts
 * import { Bytes } from "effect-handshake"
 *
 * console.log(Bytes.concat([Uint8Array.of(1, 2), Uint8Array.of(3)])) // => Uint8Array(3) [ 1, 2, 3 ]
 * ```
 *
 * @category combining
 * @since 0.1.0
 */
export const concat: (pieces: ReadonlyArray<Uint8Array>) => Uint8Array = Primitives.concat

/**
 * The index of the first such byte at or after `from`, or -1.
 *
 * **Example** (Where a C string ends)
 *
 * ```ts
 * import { Bytes } from "effect-handshake"
 *
 * console.log(Bytes.indexOf(Uint8Array.of(0x61, 0x62, 0, 0x63, 0), 0)) // => 2
 * ```
 *
 * @category searching
 * @since 0.1.0
 */
export const indexOf = (bytes: Uint8Array, byte: number, from = 0): number => Primitives.indexOf(bytes, byte, from)

/**
 * The bytes in `[from, to)` as text, a byte order mark included; `undefined` where they are not UTF-8, or too many for a
 * string. All of them unless told otherwise.
 *
 * **Example** (Text, and what is none)
 *
 * ```ts
 * import { Bytes } from "effect-handshake"
 *
 * console.log(Bytes.decodeUtf8(Uint8Array.of(0x68, 0x69))) // => hi
 * console.log(Bytes.decodeUtf8(Uint8Array.of(0x68, 0xff))) // => undefined
 * ```
 *
 * @category text
 * @since 0.1.0
 */
export const decodeUtf8 = (bytes: Uint8Array, from = 0, to = bytes.length): string | undefined =>
  Primitives.decodeUtf8(bytes, from, to)

/**
 * How many bytes a text takes in UTF-8, without encoding it. Half a surrogate pair counts as the three bytes of U+FFFD.
 *
 * **Example** (Three characters)
 *
 * ```ts
 * import { Bytes } from "effect-handshake"
 *
 * console.log(Bytes.utf8Length("aé馬")) // => 6
 * ```
 *
 * @category text
 * @since 0.1.0
 */
export const utf8Length: (text: string) => number = Primitives.utf8Length

/**
 * What encoders write to, on its own: for frames that are put into bytes now and sent later, or inside other frames.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByteWriter extends Codec.ByteWriter {
  /** What was written, as one array of bytes; empties the writer. */
  finishBytes(): Uint8Array
}

/**
 * Makes an empty writer.
 *
 * **Example** (A length in front of what it counts)
 *
 * ```ts
 * import { Bytes } from "effect-handshake"
 *
 * const body = new Bytes.ByteWriter()
 * body.string("hi")
 * body.uint(258, 2, "big")
 *
 * const frame = new Bytes.ByteWriter()
 * const bytes = body.finishBytes()
 * frame.uint(bytes.length, 1, "big")
 * frame.bytes(bytes)
 *
 * console.log(frame.finishBytes()) // => Uint8Array(5) [ 4, 104, 105, 1, 2 ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ByteWriter: new() => ByteWriter = Writer.ByteWriter
