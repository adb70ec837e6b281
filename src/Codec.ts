/**
 * Bytes to frames and back: pure, incremental, bounded.
 *
 * A `Codec` knows nothing of sockets, time or Effect. Its decoder takes one frame at a time from the front of a buffer
 * or asks for more bytes, and its encoder appends to a writer. The result never depends on how the bytes were cut into
 * pieces, every codec has a maximum frame length unless told otherwise, and the length is checked before anything is
 * allocated for the frame.
 *
 * @since 0.1.0
 */
import { dual } from "effect/Function"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ByteBuffer as ByteBufferImpl, ByteWriter as ByteWriterImpl, utf8Length } from "./internal/bytes.ts"
import * as Excerpt from "./internal/excerpt.ts"

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
 * `limit` is in bytes and does not count the frame's delimiter or length field. `excerpt` shows how the frame begins.
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
 * `problem` says what is wrong, `excerpt` shows how the frame begins. The `fault` is `peer` for bytes that were
 * received and `local` for a frame that was to be sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class MalformedFrame extends Schema.TaggedError<MalformedFrame>()("MalformedFrame", {
  problem: Schema.String,
  excerpt: Schema.String,
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
  /** The bytes in `[from, to)`, without taking them. */
  peek(from: number, to: number): Uint8Array
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
 * it returns and none where it asks for more. After an error the connection cannot be decoded any further. It must not
 * throw.
 *
 * `decodeMany` is for codecs that decode a chunk faster than its frames one by one: it takes complete frames from the
 * front, at most `max` of them, and what it leaves, `decode` takes. It is asked only where every frame that is there may
 * be taken, so never during a handshake.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decoder<out In> {
  readonly decode: (input: ByteBuffer) => Result.Result<In, CodecError> | undefined
  readonly decodeMany?: (input: ByteBuffer, max: number) => Array<In>
}

/**
 * How the frames of a protocol are put into bytes: `In` is what is received, `Out` is what is sent.
 *
 * **Example** (A codec of your own)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { Result } from "effect"
 *
 * // One byte of type, one byte of value.
 * const pairs = Codec.make<readonly [number, number]>({
 *   decoder: () => ({
 *     decode: (input) => {
 *       if (input.length < 2) return undefined
 *       const [type, value] = input.take(2)
 *       return Result.succeed([type, value] as const)
 *     }
 *   }),
 *   encode: ([type, value], into) => into.bytes(Uint8Array.of(type, value))
 * })
 *
 * console.log(Codec.decodeAll(pairs, Uint8Array.of(1, 2, 3, 4))) // => [ [ 1, 2 ], [ 3, 4 ] ]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec<out In, in Out> extends Pipeable {
  /** Makes the decoder of one connection. */
  readonly decoder: () => Decoder<In>
  /** Appends a frame to `into`, or returns why it cannot. What it wrote before it failed is not sent. */
  readonly encode: (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
  /**
   * For codecs that encode many frames faster than one by one: appends all of them and returns true, or appends none and
   * returns false where one of them may not be encodable, and `encode` says which.
   */
  readonly encodeMany?: ((frames: ReadonlyArray<Out>, into: ByteWriter) => boolean) | undefined
}

/**
 * The default maximum length of a frame: 64 KiB.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxLength = 64 * 1024

/**
 * Makes a codec of a decoder and an encoder.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <In, Out = In>(options: {
  readonly decoder: () => Decoder<In>
  readonly encode: (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
  readonly encodeMany?: ((frames: ReadonlyArray<Out>, into: ByteWriter) => boolean) | undefined
}): Codec<In, Out> => ({
  decoder: options.decoder,
  encode: options.encode,
  encodeMany: options.encodeMany,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

const encoder = new TextEncoder()

const tooLarge = (input: ByteBuffer, limit: number): FrameTooLarge => {
  // The excerpt must not depend on how much more has arrived already.
  const shown = Math.min(limit, Excerpt.maxExcerpt)
  return new FrameTooLarge({ limit, excerpt: Excerpt.ofBytes(input.peek(0, shown + 1), shown), fault: "peer" })
}

const unencodable = (problem: string, frame: unknown): MalformedFrame =>
  new MalformedFrame({ problem: Excerpt.ofText(problem), excerpt: Excerpt.ofFrame(frame), fault: "local" })

const includes = (bytes: Uint8Array, part: Uint8Array): boolean => {
  for (let at = bytes.indexOf(part[0]); at !== -1; at = bytes.indexOf(part[0], at + 1)) {
    let matched = 1
    while (matched < part.length && bytes[at + matched] === part[matched]) matched++
    if (matched === part.length) return true
  }
  return false
}

/** From how many bytes on a frame is long. */
const longFrame = 4096

/** Frames that were decoded together, and how many bytes each of them has been with its delimiter. */
interface Batch<A> {
  readonly frames: Array<A>
  readonly sizeOf: (frame: A) => number
  /** Whether it is all that there was. */
  readonly isWhole: boolean
}

/**
 * The decoder of frames that end with a delimiter.
 *
 * `searched` is how many unread bytes are known not to begin a delimiter, so no byte is looked at twice however small
 * the pieces in which a frame arrives. `batch` are frames that were decoded together and of which the first `given` were
 * taken; the bytes of the others are unread still. `singly` is how many bytes cannot be decoded together.
 */
const delimitedDecoder = <A>(
  delimiter: Uint8Array,
  maxLength: number,
  finish: (frame: Uint8Array) => Result.Result<A, CodecError>,
  /** Makes frames of a run of whole ones, without its last delimiter, up to one that may be none. */
  finishMany?: (frames: Uint8Array, maxLength: number) => Batch<A>
): Decoder<A> => {
  const first = delimiter[0]
  let searched = 0
  let batch: Batch<A> | undefined
  let batched = 0
  let given = 0
  let singly = 0

  // Decodes all that is complete, once, however many of it are taken at a time.
  const gather = (input: ByteBuffer): Batch<A> | undefined => {
    // A frame that came in many pieces is put together on its own.
    if (finishMany === undefined || delimiter.length > 1 || singly > 0 || searched > longFrame) return undefined
    const last = input.peek(searched, input.length).lastIndexOf(first)
    if (last === -1) return undefined
    const end = searched + last
    given = 0
    batch = finishMany(input.peek(0, end), maxLength)
    batched = batch.isWhole ? end + 1 : 0
    if (batch.frames.length === 0) {
      singly = end
      batch = undefined
    }
    return batch
  }

  const give = (input: ByteBuffer, { frames, sizeOf }: Batch<A>, max: number): Array<A> => {
    const from = given
    given = Math.min(frames.length, from + max)
    searched = 0
    // All at once is the common case, and needs no sum.
    if (from === 0 && given === frames.length && batched > 0) {
      input.skip(batched)
      batch = undefined
      return frames
    }
    let size = 0
    for (let i = from; i < given; i++) size += sizeOf(frames[i])
    input.skip(size)
    if (given === frames.length) batch = undefined
    return frames.slice(from, given)
  }

  const decodeOne = (input: ByteBuffer): Result.Result<A, CodecError> | undefined => {
    for (;;) {
      const at = input.indexOf(first, searched)
      if (at === -1) {
        searched = input.length
        return searched > maxLength ? Result.fail(tooLarge(input, maxLength)) : undefined
      }
      if (at > maxLength) return Result.fail(tooLarge(input, maxLength))
      let matched = 1
      while (
        matched < delimiter.length && at + matched < input.length && input.at(at + matched) === delimiter[matched]
      ) matched++
      if (matched === delimiter.length) {
        searched = 0
        singly = Math.max(0, singly - at - delimiter.length)
        const frame = input.take(at)
        input.skip(delimiter.length)
        return finish(frame)
      }
      if (at + matched === input.length) {
        searched = at
        return undefined
      }
      searched = at + 1
    }
  }

  return {
    decode: (input) => batch === undefined ? decodeOne(input) : Result.succeed(give(input, batch, 1)[0]),
    ...(finishMany !== undefined && {
      decodeMany: (input, max) => {
        const frames = batch ?? gather(input)
        return frames === undefined ? [] : give(input, frames, max)
      }
    })
  }
}

/**
 * Frames of bytes that each end with the same delimiter, which is not part of the frame.
 *
 * **Details**
 *
 * `maxLength` is in bytes, without the delimiter; the default is 64 KiB. A frame that contains the delimiter cannot be
 * encoded.
 *
 * **Example** (Records that end with a zero byte)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const records = Codec.delimited(Uint8Array.of(0))
 *
 * console.log(Codec.decodeAll(records, Uint8Array.of(7, 8, 0, 0, 9))) // => [ Uint8Array(2) [ 7, 8 ], Uint8Array(0) [] ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const delimited = (ending: Uint8Array, options?: {
  readonly maxLength?: number | undefined
}): Codec<Uint8Array, Uint8Array> => {
  if (ending.length === 0) throw new RangeError("Codec.delimited: the delimiter must not be empty")
  const delimiter = ending.slice()
  const maxLength = options?.maxLength ?? defaultMaxLength
  return make<Uint8Array>({
    decoder: () => delimitedDecoder(delimiter, maxLength, Result.succeed),
    encode: (frame, into) => {
      if (frame.length > maxLength) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(frame), fault: "local" }))
      }
      // The delimiter may also begin inside the frame and end in the real one.
      const sent = new Uint8Array(frame.length + delimiter.length)
      sent.set(frame)
      sent.set(delimiter, frame.length)
      if (includes(sent.subarray(0, sent.length - 1), delimiter)) {
        return Result.fail(unencodable("a frame must not contain its delimiter", frame))
      }
      into.bytes(sent)
    }
  })
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decodeUtf8 = (bytes: Uint8Array): Result.Result<string, CodecError> => {
  try {
    return Result.succeed(strictUtf8.decode(bytes))
  } catch {
    return Result.fail(
      new MalformedFrame({ problem: "the line is not UTF-8", excerpt: Excerpt.ofBytes(bytes), fault: "peer" })
    )
  }
}

const sizeOfAscii = (line: string): number => line.length + 1

const sizeOfUtf8 = (line: string): number => utf8Length(line) + 1

const noLines: Batch<string> = { frames: [], sizeOf: sizeOfAscii, isWhole: false }

/** Lines of a whole chunk: to decode them at once is several times as fast as one by one. */
const splitUtf8 = (ending: string) => (bytes: Uint8Array, maxLength: number): Batch<string> => {
  let text: string
  try {
    text = strictUtf8.decode(bytes)
  } catch {
    return noLines
  }
  const frames = text.split(ending)
  const sizeOf = text.length === bytes.length ? sizeOfAscii : sizeOfUtf8
  // A UTF-16 unit takes at most three bytes, so most lines need not be measured.
  const long = bytes.length > maxLength
    ? frames.findIndex((line) => line.length * 3 > maxLength && utf8Length(line) > maxLength)
    : -1
  return long === -1 ? { frames, sizeOf, isWhole: true } : { frames: frames.slice(0, long), sizeOf, isWhole: false }
}

/**
 * Lines of UTF-8 text, each ended by `ending`, which is not part of the line.
 *
 * **Details**
 *
 * With the default ending `"\n"` a `"\r"` is data, as in tokio-line's `LineCodec`. `maxLength` is in bytes, without the
 * ending; the default is 64 KiB. Bytes that are not UTF-8 are a `MalformedFrame`, and so is a line to be sent that
 * contains the ending or half a surrogate pair.
 *
 * **Gotchas**
 *
 * A last line without an ending is no line: at the end of the connection it is reported as cut.
 *
 * **Example** (Two lines and the beginning of a third)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const bytes = new TextEncoder().encode("You ready?\nHello\nGood")
 *
 * console.log(Codec.decodeAll(Codec.lines(), bytes)) // => [ 'You ready?', 'Hello' ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const lines = (options?: {
  readonly maxLength?: number | undefined
  readonly ending?: string | undefined
}): Codec<string, string> => {
  const maxLength = options?.maxLength ?? defaultMaxLength
  const ending = options?.ending ?? "\n"
  const delimiter = encoder.encode(ending)
  if (ending === "" || !ending.isWellFormed()) {
    throw new RangeError("Codec.lines: the ending must be a text that is not empty")
  }
  return make<string>({
    decoder: () => delimitedDecoder(delimiter, maxLength, decodeUtf8, splitUtf8(ending)),
    encode: (line, into) => {
      // A UTF-16 unit takes at most three bytes, so most lines need not be measured.
      if (line.length > maxLength || (line.length * 3 > maxLength && utf8Length(line) > maxLength)) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofString(line), fault: "local" }))
      }
      if (ending.length === 1 ? line.includes(ending) : (line + ending).indexOf(ending) !== line.length) {
        return Result.fail(unencodable(`a line must not contain its ending ${Excerpt.ofString(ending)}`, line))
      }
      if (!line.isWellFormed()) return Result.fail(unencodable("a line must not contain half a surrogate pair", line))
      into.string(line + ending)
    },
    encodeMany: ending.length > 1 ? undefined : (lines, into) => {
      for (const line of lines) if (line.length * 3 > maxLength || line.includes(ending)) return false
      const text = lines.join(ending) + ending
      if (!text.isWellFormed()) return false
      into.string(text)
      return true
    }
  })
}

/**
 * Frames of bytes that are preceded by their length.
 *
 * **Details**
 *
 * A frame on the wire is `offset` bytes, then the length field of `bytes` bytes, then the rest; decoded, it is all of
 * that without the length field. The length field counts the bytes behind itself minus `adjustment`.
 *
 * | option | meaning | default |
 * |---|---|---|
 * | `bytes` | width of the length field, 1 to 6 | 4 |
 * | `endian` | its byte order | `"big"` |
 * | `offset` | how many bytes of the frame stand before it | 0 |
 * | `adjustment` | added to its value to get the number of bytes behind it; `-bytes` where it counts itself | 0 |
 * | `maxLength` | of the decoded frame, in bytes | 64 KiB |
 *
 * A length that exceeds the maximum fails as soon as the length field has arrived.
 *
 * **Example** (A type byte, then a length that counts itself, as in PostgreSQL)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const messages = Codec.lengthPrefixed({ offset: 1, bytes: 4, adjustment: -4 })
 *
 * console.log(Codec.encodeAll(messages, [Uint8Array.of(0x5a, 0x49)])) // => Uint8Array(6) [ 90, 0, 0, 0, 5, 73 ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const lengthPrefixed = (options?: {
  readonly bytes?: 1 | 2 | 3 | 4 | 5 | 6 | undefined
  readonly endian?: "big" | "little" | undefined
  readonly offset?: number | undefined
  readonly adjustment?: number | undefined
  readonly maxLength?: number | undefined
}): Codec<Uint8Array, Uint8Array> => {
  const width = options?.bytes ?? 4
  const endian = options?.endian ?? "big"
  const offset = options?.offset ?? 0
  const adjustment = options?.adjustment ?? 0
  const maxLength = options?.maxLength ?? defaultMaxLength
  const header = offset + width
  const largest = 2 ** (8 * width) - 1
  const decoder: Decoder<Uint8Array> = {
    decode: (input) => {
      if (input.length < header) return undefined
      let value = 0
      for (let i = 0; i < width; i++) {
        value = value * 256 + input.at(offset + (endian === "big" ? i : width - 1 - i))
      }
      const rest = value + adjustment
      if (rest < 0) {
        return Result.fail(
          new MalformedFrame({
            problem: `the length field ${value} is below its minimum of ${-adjustment}`,
            excerpt: Excerpt.ofBytes(input.peek(0, header)),
            fault: "peer"
          })
        )
      }
      if (offset + rest > maxLength) {
        return Result.fail(
          new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(input.peek(0, header)), fault: "peer" })
        )
      }
      if (input.length < header + rest) return undefined
      if (offset === 0) {
        input.skip(header)
        return Result.succeed(input.take(rest))
      }
      const frame = new Uint8Array(offset + rest)
      frame.set(input.take(offset))
      input.skip(width)
      frame.set(input.take(rest), offset)
      return Result.succeed(frame)
    }
  }
  return make<Uint8Array>({
    decoder: () => decoder,
    encode: (frame, into) => {
      if (frame.length > maxLength) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(frame), fault: "local" }))
      }
      if (frame.length < offset) {
        return Result.fail(unencodable(`a frame must have at least ${offset} bytes`, frame))
      }
      const value = frame.length - offset - adjustment
      if (value < 0 || value > largest) {
        return Result.fail(unencodable(`the length ${value} does not fit into ${width} bytes`, frame))
      }
      into.bytes(frame.subarray(0, offset))
      into.uint(value, width, endian)
      into.bytes(frame.subarray(offset))
    }
  })
}

/**
 * Frames of exactly `length` bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (length: number): Codec<Uint8Array, Uint8Array> => {
  if (!Number.isSafeInteger(length) || length <= 0) {
    throw new RangeError("Codec.fixed: the length must be a positive whole number")
  }
  const decoder: Decoder<Uint8Array> = {
    decode: (input) => input.length < length ? undefined : Result.succeed(input.take(length))
  }
  return make<Uint8Array>({
    decoder: () => decoder,
    encode: (frame, into) => {
      if (frame.length !== length) return Result.fail(unencodable(`a frame must have ${length} bytes`, frame))
      into.bytes(frame)
    }
  })
}

/**
 * Bytes as they come: a frame is whatever has arrived, and never empty.
 *
 * **When to use**
 *
 * Use behind a handshake after which the connection is a plain stream of bytes. It is the one codec whose frames depend
 * on how the bytes were cut; the bytes themselves do not.
 *
 * @category constructors
 * @since 0.1.0
 */
export const bytes: Codec<Uint8Array, Uint8Array> = make<Uint8Array>({
  decoder: () => ({
    decode: (input) => input.length === 0 ? undefined : Result.succeed(input.take(input.length))
  }),
  encode: (frame, into) => into.bytes(frame)
})

/**
 * Changes the frames of a codec with two functions that may refuse.
 *
 * **Details**
 *
 * A function refuses by failing with a text that says what is wrong; that becomes a `MalformedFrame`. The functions must
 * not throw.
 *
 * **Example** (Numbers, one in a line)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { Result } from "effect"
 *
 * const numbers = Codec.lines().pipe(
 *   Codec.mapOrFail({
 *     decode: (line) => /^\d+$/.test(line) ? Result.succeed(Number(line)) : Result.fail("not a number"),
 *     encode: (n: number) => Number.isSafeInteger(n) && n >= 0 ? Result.succeed(String(n)) : Result.fail("not a count")
 *   })
 * )
 *
 * console.log(Codec.decodeAll(numbers, new TextEncoder().encode("1\n22\n"))) // => [ 1, 22 ]
 * ```
 *
 * @category mapping
 * @since 0.1.0
 */
export const mapOrFail: {
  <In, In2, Out, Out2>(options: {
    readonly decode: (frame: In) => Result.Result<In2, string>
    readonly encode: (frame: Out2) => Result.Result<Out, string>
  }): (self: Codec<In, Out>) => Codec<In2, Out2>
  <In, In2, Out, Out2>(self: Codec<In, Out>, options: {
    readonly decode: (frame: In) => Result.Result<In2, string>
    readonly encode: (frame: Out2) => Result.Result<Out, string>
  }): Codec<In2, Out2>
} = dual(2, <In, In2, Out, Out2>(self: Codec<In, Out>, options: {
  readonly decode: (frame: In) => Result.Result<In2, string>
  readonly encode: (frame: Out2) => Result.Result<Out, string>
}): Codec<In2, Out2> =>
  make<In2, Out2>({
    decoder: () => {
      const decoder = self.decoder()
      return {
        decode: (input) => {
          const result = decoder.decode(input)
          return result && Result.flatMap(result, (frame) =>
            Result.mapError(
              options.decode(frame),
              (problem) =>
                new MalformedFrame({
                  // It may quote what the peer has sent.
                  problem: Excerpt.ofText(problem),
                  excerpt: Excerpt.ofFrame(frame),
                  fault: "peer"
                })
            ))
        }
      }
    },
    encode: (frame, into) => {
      const result = options.encode(frame)
      return Result.isSuccess(result)
        ? self.encode(result.success, into)
        : Result.fail(unencodable(result.failure, frame))
    }
  }))

/**
 * Changes the frames of a codec with two total functions.
 *
 * @see {@link mapOrFail} for functions that may refuse
 *
 * @category mapping
 * @since 0.1.0
 */
export const map: {
  <In, In2, Out, Out2>(options: {
    readonly decode: (frame: In) => In2
    readonly encode: (frame: Out2) => Out
  }): (self: Codec<In, Out>) => Codec<In2, Out2>
  <In, In2, Out, Out2>(self: Codec<In, Out>, options: {
    readonly decode: (frame: In) => In2
    readonly encode: (frame: Out2) => Out
  }): Codec<In2, Out2>
} = dual(2, <In, In2, Out, Out2>(self: Codec<In, Out>, options: {
  readonly decode: (frame: In) => In2
  readonly encode: (frame: Out2) => Out
}): Codec<In2, Out2> =>
  mapOrFail(self, {
    decode: (frame) => Result.succeed(options.decode(frame)),
    encode: (frame) => Result.succeed(options.encode(frame))
  }))

/**
 * Checks and transforms the frames of a codec with a `Schema`.
 *
 * **Details**
 *
 * What does not fit the schema is a `MalformedFrame` whose `problem` is the schema's own message. The schema must need
 * no services and no asynchronous steps.
 *
 * **Gotchas**
 *
 * A schema's message shows the value that it refused: give secrets a `Schema.Redacted`.
 *
 * **Example** (JSON, one value in a line)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { Schema } from "effect"
 *
 * const Greeting = Schema.fromJsonString(Schema.Struct({ hello: Schema.String }))
 * const greetings = Codec.schema(Codec.lines(), Greeting)
 *
 * console.log(new TextDecoder().decode(Codec.encodeAll(greetings, [{ hello: "you" }])).trim()) // => {"hello":"you"}
 * ```
 *
 * @category mapping
 * @since 0.1.0
 */
export const schema: {
  <A, I>(schema: Schema.Codec<A, I>): (self: Codec<I, I>) => Codec<A, A>
  <A, I>(self: Codec<I, I>, schema: Schema.Codec<A, I>): Codec<A, A>
} = dual(2, <A, I>(self: Codec<I, I>, schema: Schema.Codec<A, I>): Codec<A, A> => {
  const decode = Schema.decodeResult(schema)
  const encode = Schema.encodeResult(schema)
  return mapOrFail(self, {
    decode: (frame: I) => Result.mapError(decode(frame), (error) => error.message),
    encode: (frame: A) => Result.mapError(encode(frame), (error) => error.message)
  })
})

/**
 * A codec that receives as one codec and sends as another.
 *
 * @category combinators
 * @since 0.1.0
 */
export const duplex = <In, Out>(decoderOf: Codec<In, never>, encoderOf: Codec<unknown, Out>): Codec<In, Out> =>
  make<In, Out>({ decoder: decoderOf.decoder, encode: encoderOf.encode, encodeMany: encoderOf.encodeMany })

/**
 * Decodes every complete frame of some bytes with a fresh decoder; throws the `CodecError` where there is one.
 *
 * **When to use**
 *
 * Use in tests, scripts and examples. A connection decodes through `Transport`.
 *
 * @category testing
 * @since 0.1.0
 */
export const decodeAll = <In>(codec: Codec<In, never>, bytes: Uint8Array): Array<In> => {
  const input = new ByteBufferImpl()
  input.push(bytes)
  const decoder = codec.decoder()
  const frames: Array<In> = []
  for (;;) {
    const result = decoder.decode(input)
    if (result === undefined) return frames
    frames.push(Result.getOrThrow(result))
  }
}

/**
 * Encodes frames into one array of bytes; throws the `CodecError` where there is one.
 *
 * **When to use**
 *
 * Use in tests, scripts and examples. A connection encodes through `Transport`.
 *
 * @category testing
 * @since 0.1.0
 */
export const encodeAll = <Out>(codec: Codec<unknown, Out>, frames: Iterable<Out>): Uint8Array => {
  const into = new ByteWriterImpl()
  for (const frame of frames) {
    const result = codec.encode(frame, into)
    if (result !== undefined) Result.getOrThrow(result)
  }
  return into.finishBytes()
}
