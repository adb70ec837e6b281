/**
 * Bytes to frames and back: pure, incremental, bounded.
 *
 * A `Codec` knows nothing of sockets, time or Effect. Its decoder takes one frame at a time from the front of a buffer
 * or asks for more bytes, and its encoder appends to a writer. The result never depends on how the bytes were cut into
 * pieces, every codec has a maximum frame length unless told otherwise, and the length is checked before anything is
 * allocated for the frame.
 *
 * @stability stable
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import { dual, identity } from "effect/Function"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Excerpt from "./Excerpt.ts"
import { ByteBuffer as ByteBufferImpl } from "./internal/bytes/buffer.ts"
import { ByteWriter as ByteWriterImpl } from "./internal/bytes/writer.ts"
import * as Aggregate from "./internal/codec/aggregate.ts"
import { bounded } from "./internal/codec/bounded.ts"
import * as Delimited from "./internal/codec/delimited.ts"
import * as Encoding from "./internal/codec/encoding.ts"
import { attempt, unencodable } from "./internal/codec/failures.ts"
import * as Fixed from "./internal/codec/fixed.ts"
import type { Reader, Reading } from "./internal/codec/gen.ts"
import * as Gen from "./internal/codec/gen.ts"
import * as LengthPrefixed from "./internal/codec/lengthPrefixed.ts"
import * as Lines from "./internal/codec/lines.ts"
import {
  type ByteWriter,
  type CodecError,
  type Decoder,
  defaultMaxLength,
  type Encoder,
  MalformedFrame,
  type Parts
} from "./internal/codec/model.ts"

export { type Pause, type Reader, type Reading } from "./internal/codec/gen.ts"
export {
  type ByteBuffer,
  type ByteWriter,
  type CodecError,
  type Decoder,
  defaultMaxLength,
  type Encoder,
  Fault,
  FrameTooLarge,
  MalformedFrame
} from "./internal/codec/model.ts"

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
 * **Example** (A codec with a memory: each byte has its number before it)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { Result } from "effect"
 *
 * const numbered = Codec.make<number>({
 *   decoder: () => {
 *     let due = 0
 *     return {
 *       decode: (input) => {
 *         if (input.length < 2) return undefined
 *         const [number, value] = input.take(2)
 *         return number === due++ % 256
 *           ? Result.succeed(value)
 *           : Result.fail(new Codec.MalformedFrame({ problem: "one is missing", excerpt: `${number}`, fault: "peer" }))
 *       }
 *     }
 *   },
 *   encoder: () => {
 *     let next = 0
 *     return {
 *       encode: (value, into) => into.bytes(Uint8Array.of(next++ % 256, value)),
 *       checkpoint: () => {
 *         const before = next
 *         return () => {
 *           next = before
 *         }
 *       }
 *     }
 *   }
 * })
 *
 * console.log(Codec.encodeAll(numbered, [7, 7])) // => Uint8Array(4) [ 0, 7, 1, 7 ]
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec<out In, in Out> extends Pipeable {
  /** Makes the decoder of one connection. */
  readonly decoder: () => Decoder<In>
  /** For a codec with a memory: makes the encoder of one connection. */
  readonly encoder?: (() => Encoder<Out>) | undefined
  /**
   * Appends a frame to `into`, or returns why it cannot. What it wrote before it failed is not sent. In a codec with a
   * memory it encodes a frame as if it were the first of a connection.
   */
  readonly encode: (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
  /**
   * For codecs without a memory that encode many frames faster than one by one: appends all of them and returns true,
   * or appends none and returns false where one of them may not be encodable: then `encode` says which.
   */
  readonly encodeMany?: ((frames: ReadonlyArray<Out>, into: ByteWriter) => boolean) | undefined
}

/**
 * Makes a codec of a decoder and an encoder.
 *
 * **Details**
 *
 * A codec without a memory has an `encode`, and an `encodeMany` where it can; one with a memory has an `encoder`, which makes
 * an {@link Encoder} for each connection.
 *
 * `maxLength` is how many bytes a frame may have on the wire, with all that the decoder takes for it; the default is 64 KiB. A
 * decoder that has that many and asks for more fails as `FrameTooLarge`. It never sees more of them at once, so the bound is
 * exact however the bytes are cut. `Infinity` is for a decoder with bounds of its own.
 *
 * What is sent is not measured: how long a frame of `encode` may be is what the peer's decoder takes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <In, Out = In>(
  options: Parts<In, Out> & {
    /** Of a frame on the wire, in bytes, whatever its decoder asks for. Default: 64 KiB. */
    readonly maxLength?: number | undefined
  }
): Codec<In, Out> => fromParts({ ...options, decoder: bounded(options.decoder, options.maxLength ?? defaultMaxLength) })

/** For decoders that are bounded already. */
const fromParts = <In, Out>(options: Parts<In, Out>): Codec<In, Out> => ({
  decoder: options.decoder,
  encoder: options.encoder,
  encode: Encoding.first(options),
  encodeMany: options.encodeMany,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

/**
 * The encoder of one connection, of a codec with a memory or without.
 *
 * **When to use**
 *
 * Use in tests and in combinators. A connection encodes through `Transport`.
 *
 * @category testing
 * @since 0.1.0
 */
export const encoderOf = <Out>(codec: Codec<unknown, Out>): Encoder<Out> => Encoding.encoderOf(codec)

/**
 * Makes a codec whose decoder is written from top to bottom: a generator that reads a frame, and waits wherever bytes are
 * still to come.
 *
 * **When to use**
 *
 * Use for frames whose parts tell what comes next, and for those that may stand inside each other. Each part costs more
 * than in a decoder for {@link make}, but always the same, however small the pieces are in which it comes.
 *
 * **Details**
 *
 * The generator is begun anew for each frame and each connection, and nothing of it is kept after the frame. It must
 * read one byte at least. It fails with `return yield* read.fail(problem)`; what it throws is a defect, of which only
 * its own connection dies.
 *
 * **Gotchas**
 *
 * A generator that calls itself does so by `yield* read.nested(itself(read))`. With `yield* itself(read)` a peer could
 * make the stack as deep as it likes.
 *
 * **Example** (A list of texts, each behind its length)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const lists = Codec.gen<ReadonlyArray<string>>({
 *   decode: function*(read) {
 *     const texts: Array<string> = []
 *     for (let count = yield* read.byte; count > 0; count--) {
 *       const length = yield* read.uint(2)
 *       if (length === 0) return yield* read.fail("a text is not empty")
 *       texts.push(yield* read.text(length))
 *     }
 *     return texts
 *   },
 *   encode: (texts, into) => {
 *     into.uint(texts.length, 1, "big")
 *     for (const text of texts) {
 *       into.uint(text.length, 2, "big")
 *       into.string(text)
 *     }
 *   }
 * })
 *
 * console.log(Codec.decodeAll(lists, Codec.encodeAll(lists, [["You", "ready?"], []]))) // => [ [ 'You', 'ready?' ], [] ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const gen = <In, Out = In>(options: {
  /** Reads one frame: it asks the reader for what comes next, as often as it likes. */
  readonly decode: (read: Reader) => Reading<In>
  /** Writes one frame. */
  readonly encode: (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
  /** Appends many frames, or none, and returns false, where `encode` has to say which one cannot be encoded. */
  readonly encodeMany?: ((frames: ReadonlyArray<Out>, into: ByteWriter) => boolean) | undefined
  /** What ends the lines that are read. Default: `"\n"`. */
  readonly ending?: string | undefined
  /** Of a frame on the wire, in bytes. Default: 64 KiB. */
  readonly maxLength?: number | undefined
  /** How deep frames may stand inside each other. Default: 128. */
  readonly maxDepth?: number | undefined
}): Codec<In, Out> => fromParts(Gen.make(options))

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
  /** Of a frame, in bytes, without its ending. Default: 64 KiB. */
  readonly maxLength?: number | undefined
}): Codec<Uint8Array, Uint8Array> => fromParts(Delimited.make(ending, options))

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
  /** Of a line, in bytes, without its ending. Default: 64 KiB. */
  readonly maxLength?: number | undefined
  /** What ends a line. Default: `"\n"`. */
  readonly ending?: string | undefined
}): Codec<string, string> => fromParts(Lines.make(options))

/**
 * Frames of bytes that are preceded by their length.
 *
 * **Details**
 *
 * A frame on the wire is `offset` bytes, then the length field of `bytes` bytes, then the rest; decoded, it is all of
 * that without the length field. The length field counts the bytes behind itself minus `adjustment`.
 *
 * A length that exceeds the maximum fails as soon as the length field has arrived.
 *
 * A varint is unsigned LEB128, as in Protocol Buffers and MQTT: seven bits in each byte, the lowest first, and the eighth bit
 * set where another byte follows. What has more than `maxBytes` or is not in its shortest form is a `MalformedFrame`; the
 * parsers of Protocol Buffers themselves take the latter, MQTT forbids it and has a `maxBytes` of 4. What is sent is always
 * the shortest.
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
 * **Example** (The control packets of MQTT: a type byte, then a varint)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const packets = Codec.lengthPrefixed({ offset: 1, bytes: "varint", maxBytes: 4, maxLength: 256 * 1024 })
 *
 * console.log(Codec.encodeAll(packets, [Uint8Array.of(0xc0)])) // => Uint8Array(2) [ 192, 0 ]
 * console.log(Codec.encodeAll(packets, [new Uint8Array(322)]).subarray(0, 4)) // => Uint8Array(4) [ 0, 193, 2, 0 ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const lengthPrefixed = (options?: {
  /** The width of the length field. Default: 4. */
  readonly bytes?: 1 | 2 | 3 | 4 | 5 | 6 | "varint" | undefined
  /** Its byte order, where it has a width. Default: `big`. */
  readonly endian?: "big" | "little" | undefined
  /** How many bytes a varint may have. Default: 5. */
  readonly maxBytes?: 1 | 2 | 3 | 4 | 5 | 6 | 7 | undefined
  /** Whether a varint may have more bytes than its value needs. Default: false. */
  readonly overlong?: boolean | undefined
  /** How many bytes of the frame stand before it. Default: 0. */
  readonly offset?: number | undefined
  /** Added to its value to get the number of bytes behind it. Default: 0; `-bytes` where it counts itself. */
  readonly adjustment?: number | undefined
  /** Of the decoded frame, in bytes. Default: 64 KiB. */
  readonly maxLength?: number | undefined
}): Codec<Uint8Array, Uint8Array> => fromParts(LengthPrefixed.make(options))

/**
 * Frames of exactly `length` bytes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fixed = (length: number): Codec<Uint8Array, Uint8Array> => fromParts(Fixed.make(length))

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
export const bytes: Codec<Uint8Array, Uint8Array> = fromParts<Uint8Array, Uint8Array>({
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
    /** Of a frame that has come; what it fails with is the problem of a `MalformedFrame`. */
    readonly decode: (frame: In) => Result.Result<In2, string>
    /** Of a frame that is to be sent; what it fails with is the problem of a `MalformedFrame`. */
    readonly encode: (frame: Out2) => Result.Result<Out, string>
  }): Codec<In2, Out2>
} = dual(2, <In, In2, Out, Out2>(self: Codec<In, Out>, options: {
  readonly decode: (frame: In) => Result.Result<In2, string>
  readonly encode: (frame: Out2) => Result.Result<Out, string>
}): Codec<In2, Out2> =>
  fromParts<In2, Out2>({
    decoder: () => {
      const decoder = self.decoder()
      return {
        decode: (input) => {
          const result = decoder.decode(input)
          return result && Result.flatMap(result, (frame) =>
            attempt(frame, () =>
              Result.mapError(
                options.decode(frame),
                (problem) =>
                  new MalformedFrame({
                    // It may quote what the peer has sent.
                    problem: Excerpt.ofText(problem),
                    excerpt: Excerpt.ofFrame(frame),
                    fault: "peer"
                  })
              )))
        },
        ...(decoder.isSecret && { isSecret: (input) => decoder.isSecret!(input) })
      }
    },
    ...Encoding.by<Out, Out2>(
      self,
      (encode) => (frame, into) => {
        const result = options.encode(frame)
        return Result.isSuccess(result)
          ? encode(result.success, into)
          : Result.fail(unencodable(result.failure, frame))
      },
      (encodeMany) => (frames, into) => {
        const results = frames.map((frame) => options.encode(frame))
        return results.every(Result.isSuccess) && encodeMany(results.map(({ success }) => success), into)
      }
    )
  }))

/**
 * Changes the frames of a codec with two functions that refuse nothing.
 *
 * **Details**
 *
 * A frame at which `decode` throws is a `MalformedFrame`, with what was thrown as its `problem`.
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
    /** Of a frame that has come. What it throws is a `MalformedFrame`. */
    readonly decode: (frame: In) => In2
    /** Of a frame that is to be sent. */
    readonly encode: (frame: Out2) => Out
  }): Codec<In2, Out2>
} = dual(2, <In, In2, Out, Out2>(self: Codec<In, Out>, options: {
  readonly decode: (frame: In) => In2
  readonly encode: (frame: Out2) => Out
}): Codec<In2, Out2> =>
  fromParts<In2, Out2>({
    decoder: () => {
      const decoder = self.decoder()
      const one = (frame: In) => attempt(frame, () => Result.succeed(options.decode(frame)))
      // The frames of a chunk go out before the one that cannot be decoded, which is told when the next one is asked for.
      let refused: Result.Result<never, MalformedFrame> | undefined
      return {
        decode: (input) => {
          if (refused !== undefined) return refused
          const result = decoder.decode(input)
          return result && Result.flatMap(result, one)
        },
        ...(decoder.decodeMany && {
          decodeMany: (input, max) => {
            const frames: Array<In2> = []
            if (refused !== undefined) return frames
            for (const frame of decoder.decodeMany!(input, max)) {
              const result = one(frame)
              if (Result.isFailure(result)) {
                refused = Result.fail(result.failure)
                break
              }
              frames.push(result.success)
            }
            return frames
          }
        }),
        ...(decoder.isSecret && { isSecret: (input) => decoder.isSecret!(input) })
      }
    },
    ...Encoding.by<Out, Out2>(
      self,
      (encode) => (frame, into) => encode(options.encode(frame), into),
      (encodeMany) => (frames, into) => encodeMany(frames.map((frame) => options.encode(frame)), into)
    )
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
 * Makes one frame out of many: those up to the one that is the last.
 *
 * **When to use**
 *
 * Use for what ends with a frame of its own kind, such as an answer of several lines, or a head with an empty line behind it.
 *
 * **Details**
 *
 * `isLast` is given a frame and its place, counted from 0, and says whether it ends the whole; it must always say the
 * same of the same frame. `maxLength` is of the whole on the wire, in bytes; the default is 64 KiB, and the limit of
 * `self` holds for each of the frames as before. More is a `FrameTooLarge`, received or sent. Frames of which one
 * before the last ends the whole cannot be sent. The parts stay unread until the last one is there.
 *
 * **Example** (The answers of SMTP: each line but the last has a hyphen behind its code)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const replies = Codec.lines({ ending: "\r\n" }).pipe(
 *   Codec.aggregate({ isLast: (line) => line[3] !== "-" })
 * )
 *
 * const bytes = new TextEncoder().encode("220 ready\r\n250-mail.example\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")
 *
 * console.log(Codec.decodeAll(replies, bytes))
 * // => [
 * // =>   [ '220 ready' ],
 * // =>   [ '250-mail.example', '250-SIZE 1000', '250 STARTTLS' ]
 * // => ]
 * ```
 *
 * **Example** (The heads of HTTP/1.1, each with an empty line behind it)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 *
 * const heads = Codec.lines({ ending: "\r\n", maxLength: 8192 }).pipe(
 *   Codec.aggregate({ isLast: (line) => line === "", maxLength: 32 * 1024 })
 * )
 *
 * console.log(Codec.decodeAll(heads, new TextEncoder().encode("GET / HTTP/1.1\r\nHost: example\r\n\r\n")))
 * // => [ [ 'GET / HTTP/1.1', 'Host: example', '' ] ]
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const aggregate: {
  <In, Out extends In>(options: {
    readonly isLast: (frame: In, index: number) => boolean
    readonly maxLength?: number | undefined
  }): (self: Codec<In, Out>) => Codec<NonEmptyReadonlyArray<In>, NonEmptyReadonlyArray<Out>>
  <In, Out extends In>(self: Codec<In, Out>, options: {
    /** Whether a frame is the last of its group; `index` counts from 0. */
    readonly isLast: (frame: In, index: number) => boolean
    /** Of a whole group on the wire, in bytes. Default: 64 KiB. */
    readonly maxLength?: number | undefined
  }): Codec<NonEmptyReadonlyArray<In>, NonEmptyReadonlyArray<Out>>
} = dual(2, <In, Out extends In>(self: Codec<In, Out>, options: {
  readonly isLast: (frame: In, index: number) => boolean
  readonly maxLength?: number | undefined
}): Codec<NonEmptyReadonlyArray<In>, NonEmptyReadonlyArray<Out>> => fromParts(Aggregate.make(self, options)))

/**
 * A codec that receives as one codec and sends as another.
 *
 * @category combinators
 * @since 0.1.0
 */
export const duplex = <In, Out>(decoderOf: Codec<In, never>, encoderOf: Codec<unknown, Out>): Codec<In, Out> =>
  fromParts<In, Out>({ decoder: decoderOf.decoder, ...Encoding.by<Out, Out>(encoderOf, identity, identity) })

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
  // What connections decode from is a `ByteBuffer`, and what they encode to a `ByteWriter`: the types say so here.
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
  const encoder = encoderOf(codec)
  for (const frame of frames) {
    const result = encoder.encode(frame, into)
    if (result !== undefined) Result.getOrThrow(result)
  }
  return into.finishBytes()
}
