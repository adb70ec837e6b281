/**
 * How the messages of a `Dialogue` look in bytes: as texts by a template, as JSON, as one part behind the other, or as a codec of
 * your own makes them.
 *
 * Whatever it is, there is one way to say a message: what is read and would be written otherwise is refused. (In JSON, spaces and
 * the order of members mean nothing.)
 *
 * @stability experimental
 * @since 0.1.0
 */
import * as Codec from "./Codec.ts"
import * as Binary from "./internal/dialogue/binary.ts"
import * as Text from "./internal/dialogue/text.ts"
import type { Bind, FormPart, Prefix as FormPrefix, Size as FormSize } from "./internal/dialogue/wire.ts"

/**
 * How messages look in bytes. `Tags` are the messages that it knows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Wire<in Tags extends string = never> {
  readonly "~tags"?: ((tags: Tags) => void) | undefined
  /** @internal */
  readonly bind: Bind
}

/**
 * Messages as texts, with places for their fields.
 *
 * **Details**
 *
 * `texts` cuts bytes into texts, such as `Codec.lines()`. A template has the names of fields in braces; `{{` and `}}` are braces
 * themselves. A field goes up to the first place where the words behind it begin, and a message whose field has those words in it
 * is not sent. Numbers and the like are written as their Schema writes them as text.
 *
 * Where one text fits several templates, that of a message without fields comes first, then the order of the state decides.
 *
 * With `ignoreCase: true` words of a template are read in any case, and written as they stand there.
 *
 * **Example** (Words and a name)
 *
 * ```ts
 * import { Codec, Wire } from "effect-handshake"
 *
 * const wire = Wire.text(Codec.lines({ ending: "\r\n" }), {
 *   Hello: "HELLO {name} VERSION {version}",
 *   Welcome: "OK",
 *   Denied: "NO {why}"
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const text = <const T extends Readonly<Record<string, string>>>(
  texts: Codec.Codec<string, string>,
  templates: T,
  options?: {
    /** Whether the words are taken in any case. Default: false. */
    readonly ignoreCase?: boolean | undefined
  }
): Wire<keyof T & string> => ({ bind: Text.byTemplates(texts, templates, options?.ignoreCase ?? false) })

/**
 * Messages as JSON, one object in a text: its member `_tag` is the name of the message, the others are its fields.
 *
 * **Details**
 *
 * It knows any message, so a protocol can be tried before anybody has thought about bytes. `texts` is `Codec.lines()` unless
 * given. A member that the message does not have is refused.
 *
 * @category constructors
 * @since 0.1.0
 */
export const json = (texts: Codec.Codec<string, string> = Codec.lines()): Wire<string> => ({ bind: Text.json(texts) })

/**
 * Messages as the frames of a codec of your own: objects whose `_tag` is the name of the message.
 *
 * **Details**
 *
 * The other members are what the Schemas of the fields encode to; those of a `Redacted` field are in clear. That each message is
 * written in one way only is up to the codec.
 *
 * @category constructors
 * @since 0.1.0
 */
export const codec = <F extends Text.Tagged>(codec: Codec.Codec<F, F>): Wire<F["_tag"]> => ({
  // Only frames that it has read, or that have passed the Schemas of the messages, come to it.
  bind: Text.byCodec(codec as unknown as Codec.Codec<Text.Tagged, Text.Tagged>)
})

/**
 * How many bytes a length or a count takes, the most significant one first; or `"varint"`: seven bits a byte, the lowest first, as
 * MQTT and Protocol Buffers write it, in as few bytes as it needs: six at most, or as many as `{ varint: 4 }` says (1 to 6). One of
 * more bytes is refused.
 *
 * @category models
 * @since 0.1.0
 */
export type Width = FormPrefix

/**
 * Where a text or bytes end: after so many bytes, after as many as a number in front of them says, before an ending, or
 * at the end of what they are in.
 *
 * @category models
 * @since 0.1.0
 */
export type Size = FormSize

/**
 * A part of a message in bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Part {
  /** @internal */
  readonly form: FormPart
}

/**
 * What stands in a layout: a part, or bytes that are always the same: one as a number, some as bytes or as text.
 *
 * @category models
 * @since 0.1.0
 */
export type PartLike = Part | number | string | Uint8Array

const encoder = new TextEncoder()

const formOf = (part: PartLike): FormPart =>
  typeof part === "number"
    ? { part: "constant", bytes: [part] }
    : typeof part === "string"
    ? { part: "constant", bytes: Array.from(encoder.encode(part)) }
    : part instanceof Uint8Array
    ? { part: "constant", bytes: Array.from(part) }
    : part.form

/**
 * Messages as bytes, one part behind the other.
 *
 * **Details**
 *
 * Which message comes is seen by its constants, also by those behind parts that are as long as they say: where all bytes that
 * differ have come, it is the first that they fit, in the order of the state. A message that would always be taken for one before it
 * fails the dialogue when it is made. `maxLength` is of a message in bytes; the default is 64 KiB, and a state may have less.
 *
 * **Example** (The greeting of SOCKS5, RFC 1928 3)
 *
 * ```ts
 * import { Wire } from "effect-handshake"
 *
 * const wire = Wire.bytes({
 *   Methods: [5, Wire.uints("methods", { count: 1 })],
 *   UseLogin: [5, 2],
 *   NoMethod: [5, 0xff],
 *   Login: [1, Wire.string("user", { prefix: 1 }), Wire.string("password", { prefix: 1 })]
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const bytes = <const T extends Readonly<Record<string, ReadonlyArray<PartLike>>>>(
  layouts: T,
  options?: {
    /** Of a message, in bytes. Default: 64 KiB. */
    readonly maxLength?: number | undefined
  }
): Wire<keyof T & string> => ({
  bind: Binary.byLayouts(
    Object.fromEntries(Object.entries(layouts).map(([tag, parts]) => [tag, parts.map(formOf)])),
    options?.maxLength
  )
})

/**
 * A field that is an unsigned number of so many bytes.
 *
 * @category parts
 * @since 0.1.0
 */
export const uint = (
  name: string,
  size: 1 | 2 | 3 | 4 | 5 | 6,
  options?: {
    /** The byte order. Default: `big`. */
    readonly endian?: "big" | "little" | undefined
  }
): Part => ({ form: { part: "uint", name, size, endian: options?.endian ?? "big" } })

/**
 * A field that is a number in as few bytes as it needs, seven bits each, the lowest first: six bytes at most, or `maxBytes`, 1 to 6.
 *
 * @category parts
 * @since 0.1.0
 */
export const varint = (
  name: string,
  options?: {
    /** How many bytes it may have. Default: 6. */
    readonly maxBytes?: 1 | 2 | 3 | 4 | 5 | 6 | undefined
  }
): Part => ({
  form: { part: "varint", name, ...(options?.maxBytes !== undefined && { maxBytes: options.maxBytes }) }
})

/**
 * A field that is text in UTF-8.
 *
 * @category parts
 * @since 0.1.0
 */
export const string = (name: string, size: Size): Part => ({ form: { part: "text", name, size } })

/**
 * A field that is bytes, a `Uint8Array`.
 *
 * @category parts
 * @since 0.1.0
 */
export const blob = (name: string, size: Size): Part => ({ form: { part: "bytes", name, size } })

/**
 * A field that is a list of numbers, behind their count.
 *
 * @category parts
 * @since 0.1.0
 */
export const uints = (
  name: string,
  options: {
    /** How the number of numbers is written before them: in as many bytes, or as a varint. */
    readonly count: Width
    /** The bytes of each number. Default: 1. */
    readonly size?: 1 | 2 | 3 | 4 | undefined
  }
): Part => ({ form: { part: "uints", name, count: options.count, size: options.size ?? 1 } })

/**
 * Parts behind the number of their bytes. With `withItself: true` that number counts its own bytes, too, as PostgreSQL has it.
 *
 * @category parts
 * @since 0.1.0
 */
export const sized: {
  (
    prefix: 1 | 2 | 3 | 4,
    parts: ReadonlyArray<PartLike>,
    options?: {
      /** Whether the number counts its own bytes, too. Default: false. */
      readonly withItself?: boolean | undefined
    }
  ): Part
  (prefix: Width, parts: ReadonlyArray<PartLike>): Part
} = (
  prefix: Width,
  parts: ReadonlyArray<PartLike>,
  options?: { readonly withItself?: boolean | undefined }
): Part => ({ form: { part: "sized", prefix, withItself: options?.withItself ?? false, parts: parts.map(formOf) } })
