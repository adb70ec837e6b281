/**
 * How messages look in bytes: what each kind of wire has to know how to do, once it knows the messages.
 *
 * @internal
 */
import type * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import type { Fields, Shape, Values } from "./fields.ts"

/** A message of a dialogue. */
export interface Message {
  readonly tag: string
  readonly values: Values
}

/** A message as errors and transcripts show it. */
export const shown = ({ tag, values }: Message): string =>
  Object.keys(values).length === 0 ? tag : `${tag} ${Excerpt.ofFrame(values)}`

/** How a message looks, for people and for snapshots. Numbers are bytes. */
export type Form =
  | { readonly kind: "text"; readonly template: string; readonly ignoreCase: boolean }
  | { readonly kind: "json" }
  | { readonly kind: "bytes"; readonly parts: ReadonlyArray<FormPart> }
  | { readonly kind: "codec" }

/** A part of a message in bytes. `size` is how long it is, or what tells how long it is. */
export type FormPart =
  | { readonly part: "constant"; readonly bytes: ReadonlyArray<number> }
  | { readonly part: "uint"; readonly name: string; readonly size: number; readonly endian: "big" | "little" }
  | { readonly part: "varint"; readonly name: string; readonly maxBytes?: number | undefined }
  | { readonly part: "text" | "bytes"; readonly name: string; readonly size: Size }
  | { readonly part: "uints"; readonly name: string; readonly count: Prefix; readonly size: number }
  | {
    readonly part: "sized"
    readonly prefix: Prefix
    /** Whether the length counts its own bytes, too. */
    readonly withItself: boolean
    readonly parts: ReadonlyArray<FormPart>
  }

export type Width = 1 | 2 | 3 | 4

/** A number in as few bytes as it needs, of six at most unless told. */
export type Varint = "varint" | { readonly varint: number }

/** What a length or a count is written in. */
export type Prefix = Width | Varint

export const mostVarintBytes = 6

/** How many bytes it may have; undefined where it has always as many. */
export const varintBytesOf = (prefix: Prefix): number | undefined =>
  typeof prefix === "number" ? undefined : prefix === "varint" ? mostVarintBytes : prefix.varint

/** How long a text or some bytes are: so many bytes, as many as a number before it says, up to an ending, or all that is left. */
export type Size =
  | { readonly length: number }
  | { readonly prefix: Prefix }
  | { readonly ending: string }
  | { readonly rest: true }

/** A wire that knows the messages. Frames are what its codecs make, and only it knows what they are. */
export interface Bound {
  /** What each message is made of. */
  readonly fields: ReadonlyMap<string, Fields>
  /** What cuts bytes into frames where one of these messages is due; the same object for the same codec. */
  readonly codec: (due: ReadonlyArray<string>) => Codec.Codec<unknown, unknown>
  /** The message that a frame is, one that is due if it can be; else what is wrong with it. */
  readonly read: (frame: unknown, due: ReadonlyArray<string>) => Result.Result<Message, string>
  /** The frame of a message where one of these is due, or why there is none: nobody would read it as that message. */
  readonly write: (tag: string, values: Values, due: ReadonlyArray<string>) => Result.Result<unknown, string>
  /** A frame as errors and transcripts show it; what is no message, too, where its side `hidesNothing`. */
  readonly show: (frame: unknown, hidesNothing?: boolean) => string
  readonly form: (tag: string) => Form
  /** Two messages that nobody could tell apart where both are due. */
  readonly ambiguous: (due: ReadonlyArray<string>) => readonly [string, string] | undefined
}

/** Of a wire that does not know the messages yet. It throws where it cannot carry them. */
export type Bind = (messages: Readonly<Record<string, Shape>>) => Bound

/** What is wrong with a specification, for whoever makes it. */
export class Unspecified extends Error {
  override readonly name = "InvalidDialogue"
}
