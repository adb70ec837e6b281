/**
 * What codecs are made of: their errors, the bytes that they see and write, and a decoder.
 *
 * @internal
 */
import type * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/**
 * Whose mistake an error reports.
 *
 * **Details**
 *
 * - `peer`: the other side broke the protocol or refused.
 * - `local`: this side asked for something that cannot be done, or refused.
 * - `network`: what lies between them failed.
 *
 * @category errors
 * @since 0.1.0
 */
export const Fault = Schema.Literals(["peer", "local", "network"])

/**
 * Whose mistake an error reports: `"peer"`, `"local"` or `"network"`.
 *
 * @category errors
 * @since 0.1.0
 */
export type Fault = typeof Fault.Type

/**
 * A frame is longer than its codec allows, or is still unfinished at that length.
 *
 * **Details**
 *
 * `limit` is in bytes, as the codec counts them: most do not count a frame's delimiter or length field, and `Codec.make` and
 * what is made like it count all that is on the wire. `excerpt` shows how the frame begins.
 * The `fault` is `peer` for a frame that was received and `local` for one that was to be sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class FrameTooLarge extends Schema.TaggedError<FrameTooLarge>()("FrameTooLarge", {
  limit: Schema.Number,
  excerpt: Schema.String,
  fault: Fault
}) {
  override get message(): string {
    return `a frame that begins with ${this.excerpt} is longer than the limit of ${this.limit} bytes`
  }
}

/**
 * Bytes that are no frame of this codec, or a frame that this codec cannot put into bytes.
 *
 * **Details**
 *
 * `problem` says what is wrong, `excerpt` shows how the frame begins, and `code` is the protocol's own code for it where
 * it has one. The `fault` is `peer` for bytes that were received and `local` for a frame that was to be sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedFrame extends Schema.TaggedError<MalformedFrame>()("MalformedFrame", {
  problem: Schema.String,
  excerpt: Schema.String,
  code: Schema.optionalKey(Schema.String),
  fault: Fault
}) {
  override get message(): string {
    return `${this.problem}: ${this.excerpt}`
  }
}

/**
 * Why bytes could not be decoded, or a frame could not be encoded.
 *
 * @category errors
 * @since 0.1.0
 */
export type CodecError = FrameTooLarge | MalformedFrame

/**
 * The received bytes that no frame has taken yet, as a decoder sees them.
 *
 * **Details**
 *
 * Indexes count from the first unread byte. A view that `peek` or `take` returned stays valid: the bytes behind it are
 * never written again.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByteBuffer {
  /** How many bytes are unread. */
  readonly length: number
  /** The byte at an index below `length`. */
  at(index: number): number
  /** The index of the first such byte at or after `from`, or -1. */
  indexOf(byte: number, from: number): number
  /** The index of the last such byte in `[from, to)`, or -1. */
  lastIndexOf(byte: number, from: number, to: number): number
  /** The bytes in `[from, to)`, without taking them. */
  peek(from: number, to: number): Uint8Array
  /**
   * The bytes in `[from, to)` as text, a byte order mark included, without taking them; `undefined` where they are not
   * UTF-8.
   */
  text(from: number, to: number): string | undefined
  /** Removes that many bytes from the front and returns them. */
  take(length: number): Uint8Array
  /** Removes that many bytes from the front. */
  skip(length: number): void
}

/**
 * What an encoder appends to.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByteWriter {
  /** Appends a text in UTF-8. */
  string(text: string): void
  /** Appends bytes. They are not copied, so the caller must not change them afterwards. */
  bytes(bytes: Uint8Array): void
  /** Appends an unsigned integer of `width` bytes. */
  uint(value: number, width: number, endian: "big" | "little"): void
}

/**
 * Takes frames from the front of a buffer. One decoder serves one connection and may keep state between calls, such as
 * how far it has searched.
 *
 * **Details**
 *
 * `decode` returns a frame, an error, or `undefined` to ask for more bytes. It takes exactly the bytes of the frame that
 * it returns and none where it asks for more. After an error the connection cannot be decoded any further. It should not
 * throw; where it does, the transport fails with a `MalformedFrame` that says what was thrown.
 *
 * `decodeMany` is for codecs that decode a chunk faster than its frames one by one: it takes complete frames from the
 * front, at most `max` of them, and what it leaves, `decode` takes. It is asked only where every frame that is there may
 * be taken, so never during a handshake.
 *
 * `isSecret` says whether the frame in front, which may not be complete yet, is a secret as far as it is there: no error of
 * the transport shows its bytes then. Without it none is; the errors of the decoder itself are its own concern.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoder<out In> {
  decode(input: ByteBuffer): Result.Result<In, CodecError> | undefined
  decodeMany?(input: ByteBuffer, max: number): Array<In>
  isSecret?(input: ByteBuffer): boolean
}

/**
 * The default maximum length of a frame: 64 KiB.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxLength = 64 * 1024

/**
 * Puts the frames of one connection into bytes, and remembers what it has said: sequence numbers, windows, tables.
 *
 * **Details**
 *
 * It is for codecs with a memory. Frames are encoded in the order in which they are written, and what is encoded is sent
 * unless it is undone. `checkpoint` returns what takes the encoder back to where it is now; that is called at most once, when
 * what was encoded since will not be sent: because a frame of the same batch cannot be encoded, because `encode` has thrown, or
 * because whoever wanted to send it has gone. It undoes what encoding has changed and nothing else: frames may have been
 * received meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Encoder<in Out> {
  /** As `encode` of a `Codec`. What it has changed before it failed is undone. */
  encode(frame: Out, into: ByteWriter): Result.Result<void, CodecError> | void
  checkpoint(): () => void
}

export type Encode<in Out> = (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
export type EncodeMany<in Out> = (frames: ReadonlyArray<Out>, into: ByteWriter) => boolean

/** How frames are sent, without a memory or with one. */
export type Encoding<Out> =
  & {
    /** Writes one frame, or returns why it cannot; for a codec without a memory. */
    readonly encode?: Encode<Out> | undefined
    /** Appends many frames, or none, and returns false, where `encode` has to say which one cannot be encoded. */
    readonly encodeMany?: EncodeMany<Out> | undefined
    /** Makes the encoder of each connection, for a codec with a memory. */
    readonly encoder?: (() => Encoder<Out>) | undefined
  }
  & ({ readonly encode: Encode<Out> } | { readonly encoder: () => Encoder<Out> })

/** A codec without what all of them have. */
export type Parts<In, Out> = {
  /** Makes the decoder of each connection. */
  readonly decoder: () => Decoder<In>
} & Encoding<Out>
