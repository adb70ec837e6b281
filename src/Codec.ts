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
import { dual, identity } from "effect/Function"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  ByteBuffer as ByteBufferImpl,
  ByteWriter as ByteWriterImpl,
  concat,
  indexOf,
  isContinuation,
  putUint,
  utf8Length
} from "./internal/bytes/bytes.ts"
import * as Excerpt from "./internal/text/excerpt.ts"

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
 * it returns and none where it asks for more. After an error the connection cannot be decoded any further. It must not
 * throw.
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
  /** As `encode` of a {@link Codec}. What it has changed before it failed is undone. */
  encode(frame: Out, into: ByteWriter): Result.Result<void, CodecError> | void
  checkpoint(): () => void
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
   * Appends a frame to `into`, or returns why it cannot. What it wrote before it failed is not sent. That of a codec with a
   * memory encodes a frame as if it were the first of a connection.
   */
  readonly encode: (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
  /**
   * For codecs without a memory that encode many frames faster than one by one: appends all of them and returns true, or
   * appends none and returns false where one of them may not be encodable, and `encode` says which.
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

type Encode<in Out> = (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
type EncodeMany<in Out> = (frames: ReadonlyArray<Out>, into: ByteWriter) => boolean

/** How frames are sent, without a memory or with one. */
type Encoding<Out> =
  & {
    readonly encode?: Encode<Out> | undefined
    readonly encodeMany?: EncodeMany<Out> | undefined
    readonly encoder?: (() => Encoder<Out>) | undefined
  }
  & ({ readonly encode: Encode<Out> } | { readonly encoder: () => Encoder<Out> })

/**
 * Makes a codec of a decoder and an encoder.
 *
 * **Details**
 *
 * A codec without a memory has an `encode`, and an `encodeMany` where it can; one with a memory has an `encoder`, which makes
 * an {@link Encoder} for each connection.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <In, Out = In>(
  options: { readonly decoder: () => Decoder<In> } & Encoding<Out>
): Codec<In, Out> => ({
  decoder: options.decoder,
  encoder: options.encoder,
  encode: options.encode ?? ((frame, into) => options.encoder!().encode(frame, into)), // one of the two is there
  encodeMany: options.encodeMany,
  pipe() {
    return pipeArguments(this, arguments)
  }
})

const memoryless = () => () => {}

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
export const encoderOf = <Out>(codec: Codec<unknown, Out>): Encoder<Out> =>
  codec.encoder === undefined ? { encode: codec.encode, checkpoint: memoryless } : codec.encoder()

/** How a codec sends frames that become its own, with the memory that it has. */
const encoding = <Out, Out2>(
  self: Codec<unknown, Out>,
  as: (encode: Encode<Out>) => Encode<Out2>,
  asMany: (encodeMany: EncodeMany<Out>) => EncodeMany<Out2>
): Encoding<Out2> => {
  const { encodeMany, encoder } = self
  if (encoder === undefined) return { encode: as(self.encode), encodeMany: encodeMany && asMany(encodeMany) }
  return {
    encoder: () => {
      const inner = encoder()
      return { encode: as((frame, into) => inner.encode(frame, into)), checkpoint: () => inner.checkpoint() }
    }
  }
}

const encoder = new TextEncoder()

const tooLarge = (input: ByteBuffer, limit: number): FrameTooLarge => {
  // The excerpt must not depend on how much more has arrived already.
  const shown = Math.min(limit, Excerpt.maxExcerpt)
  return new FrameTooLarge({ limit, excerpt: Excerpt.ofBytes(input.peek(0, shown + 1), shown), fault: "peer" })
}

const unencodable = (problem: string, frame: unknown): MalformedFrame =>
  new MalformedFrame({ problem: Excerpt.ofText(problem), excerpt: Excerpt.ofFrame(frame), fault: "local" })

/** The index of the first such part, or -1. */
const indexOfPart = (bytes: Uint8Array, part: Uint8Array): number => {
  for (let at = indexOf(bytes, part[0], 0); at !== -1; at = indexOf(bytes, part[0], at + 1)) {
    let matched = 1
    while (matched < part.length && bytes[at + matched] === part[matched]) matched++
    if (matched === part.length) return at
  }
  return -1
}

/** Whether two of them can share bytes. Else each one that is found anywhere ends a frame. */
const overlapsItself = (delimiter: Uint8Array): boolean => {
  for (let shift = 1; shift < delimiter.length; shift++) {
    if (delimiter.subarray(shift).every((byte, i) => byte === delimiter[i])) return true
  }
  return false
}

/**
 * Finds where frames end that end with a delimiter.
 *
 * `searched` is how many unread bytes are known not to begin a delimiter, so no byte is looked at twice however small
 * the pieces in which a frame arrives.
 */
class DelimiterSearch {
  searched = 0
  readonly delimiter: Uint8Array
  readonly maxLength: number

  constructor(delimiter: Uint8Array, maxLength: number) {
    this.delimiter = delimiter
    this.maxLength = maxLength
  }

  /** The length of the first frame, why there will be none, or `undefined` while more bytes are needed. */
  first(input: ByteBuffer): number | Result.Result<never, FrameTooLarge> | undefined {
    const { delimiter, maxLength } = this
    for (;;) {
      const at = this.searched === input.length ? -1 : input.indexOf(delimiter[0], this.searched)
      if (at === -1) {
        this.searched = input.length
        return this.searched > maxLength ? Result.fail(tooLarge(input, maxLength)) : undefined
      }
      if (at > maxLength) return Result.fail(tooLarge(input, maxLength))
      let matched = 1
      while (
        matched < delimiter.length && at + matched < input.length && input.at(at + matched) === delimiter[matched]
      ) matched++
      if (matched === delimiter.length) return at
      if (at + matched === input.length) {
        this.searched = at
        return undefined
      }
      this.searched = at + 1
    }
  }

  /** Where the last delimiter begins, or -1. It must be one that does not overlap itself. */
  last(input: ByteBuffer): number {
    const { delimiter } = this
    const more = delimiter.length - 1
    let to = input.length
    for (;;) {
      const at = input.lastIndexOf(delimiter[more], this.searched, to) - more
      if (at < this.searched) {
        this.passed(input.length)
        return -1
      }
      let matched = 0
      while (matched < more && input.at(at + matched) === delimiter[matched]) matched++
      if (matched === more) return at
      to = at + more
    }
  }

  /** So many unread bytes hold no delimiter; the last of them may begin one. */
  passed(length: number): void {
    this.searched = Math.max(this.searched, length - this.delimiter.length + 1)
  }

  /** The frames in front were taken. */
  taken(): void {
    this.searched = 0
  }
}

/** What the lines of one codec are. */
interface LineRules {
  readonly ending: string
  readonly delimiter: Uint8Array
  readonly maxLength: number
}

/**
 * The decoder of lines. A chunk is decoded at once and then split, which is several times as fast as line by line, and a
 * line that came in many pieces is made of their texts, so that none of its bytes is copied.
 *
 * | state | `batch` | `isBroken` | what comes next |
 * |---|---|---|---|
 * | between batches | undefined | false | all lines that are complete are decoded, up to one that is too long |
 * | in a batch | its lines, of which `given` were taken | false | the others, whose bytes are unread still |
 * | one by one | undefined | true | one line after the other, up to the one that is not UTF-8 |
 */
class LinesDecoder implements Decoder<string> {
  protected readonly rules: LineRules
  protected readonly search: DelimiterSearch
  // Whether one of the lines that are complete is not UTF-8, so that nothing comes behind it.
  private isBroken = false
  protected batch: Array<string> | undefined = undefined
  private given = 0
  // Whether each character of the batch is one byte.
  private isAscii = true
  // How many bytes the batch has, if it is all that was complete, and how many were behind it.
  private batched = 0
  private behind = 0

  constructor(rules: LineRules) {
    this.rules = rules
    this.search = new DelimiterSearch(rules.delimiter, rules.maxLength)
  }

  decode(input: ByteBuffer): Result.Result<string, CodecError> | undefined {
    if (this.batch !== undefined) return Result.succeed(this.give(input, this.batch, 1)[0])
    const length = this.search.first(input)
    if (typeof length !== "number") return length
    const line = input.text(0, length)
    const result = line === undefined ? Result.fail(notUtf8(input.peek(0, length))) : Result.succeed(line)
    input.skip(length + this.rules.delimiter.length)
    this.search.taken()
    return result
  }

  private isTooLong(line: string): boolean {
    const { maxLength } = this.rules
    return this.isAscii ? line.length > maxLength : isLongerThan(line, maxLength)
  }

  // Decodes all that is complete, once, however many of it are taken at a time.
  protected gather(input: ByteBuffer): Array<string> | undefined {
    if (this.isBroken) return undefined
    const { delimiter, ending, maxLength } = this.rules
    const { searched } = this.search
    const end = this.search.last(input)
    if (end === -1) return undefined
    // The first line may have come in many pieces, and ends behind what was searched.
    let cut = searched
    while (cut > 0 && cut > searched - 4 && isContinuation(input.at(cut))) cut--
    const head = cut === 0 ? "" : input.text(0, cut)
    const rest = input.text(cut, end)
    if (head === undefined || rest === undefined) {
      this.isBroken = true
      return undefined
    }
    const lines = rest.includes(ending) ? rest.split(ending) : [rest]
    if (head !== "") lines[0] = head + lines[0]
    this.isAscii = head.length + rest.length === end
    this.batched = end + delimiter.length
    this.behind = input.length - this.batched
    const long = end > maxLength ? lines.findIndex((line) => this.isTooLong(line)) : -1
    if (long !== -1) {
      this.batched = 0
      lines.length = long
      // What is wrong with the first one, `decode` says.
      if (long === 0) return undefined
    }
    this.given = 0
    return this.batch = lines
  }

  protected give(input: ByteBuffer, lines: Array<string>, max: number): Array<string> {
    const from = this.given
    const to = Math.min(lines.length, from + max)
    const isLast = to === lines.length
    const taken = from === 0 && isLast ? lines : lines.slice(from, to)
    this.given = to
    // All at once is the common case, and needs no sum.
    if (taken === lines && this.batched > 0) {
      input.skip(this.batched)
    } else {
      let size = 0
      for (const line of taken) size += (this.isAscii ? line.length : utf8Length(line)) + this.rules.delimiter.length
      input.skip(size)
    }
    this.search.taken()
    if (isLast) {
      this.batch = undefined
      if (this.batched > 0) this.search.passed(this.behind)
    }
    return taken
  }
}

/** Of lines whose ending is found from behind too: it does not overlap itself. */
class BatchingLinesDecoder extends LinesDecoder {
  decodeMany(input: ByteBuffer, max: number): Array<string> {
    const lines = this.batch ?? this.gather(input)
    return lines === undefined ? [] : this.give(input, lines, max)
  }
}

const delimitedDecoder = (delimiter: Uint8Array, maxLength: number): Decoder<Uint8Array> => {
  const search = new DelimiterSearch(delimiter, maxLength)
  const take = (input: ByteBuffer, length: number): Uint8Array => {
    const frame = input.take(length)
    input.skip(delimiter.length)
    search.taken()
    return frame
  }
  return {
    decode: (input) => {
      const length = search.first(input)
      return typeof length === "number" ? Result.succeed(take(input, length)) : length
    },
    decodeMany: (input, max) => {
      const frames: Array<Uint8Array> = []
      while (frames.length < max) {
        const length = search.first(input)
        if (typeof length !== "number") break
        frames.push(take(input, length))
      }
      return frames
    }
  }
}

/**
 * A frame of so few bytes is copied to stand in one array with its header or delimiter, and frames of so few on average
 * to stand in one array with each other. For longer ones the copy costs more than the writes that it saves (measured on
 * a socket of Node).
 */
const tinyFrame = 256
const smallFrame = 2048

const lengthOf = (frames: ReadonlyArray<Uint8Array>): number => {
  let length = 0
  for (const frame of frames) length += frame.length
  return length
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
  // To `slice` a Buffer would copy nothing.
  const delimiter = new Uint8Array(ending)
  const maxLength = options?.maxLength ?? defaultMaxLength
  const overlaps = overlapsItself(delimiter)
  // Where delimiters overlap, one may also begin in the frame and end in the real one.
  const holdsDelimiter = (frame: Uint8Array): boolean => {
    if (indexOfPart(frame, delimiter) !== -1) return true
    if (!overlaps) return false
    const tail = frame.subarray(Math.max(0, frame.length - delimiter.length + 1))
    return indexOfPart(concat([tail, delimiter]), delimiter) !== tail.length
  }
  const write = (frame: Uint8Array, into: ByteWriter): void => {
    if (frame.length <= tinyFrame) return into.bytes(concat([frame, delimiter]))
    into.bytes(frame)
    // Not the one that every connection has: whoever receives it may own it.
    into.bytes(delimiter.slice())
  }
  return make<Uint8Array>({
    decoder: () => delimitedDecoder(delimiter, maxLength),
    encode: (frame, into) => {
      if (frame.length > maxLength) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(frame), fault: "local" }))
      }
      if (holdsDelimiter(frame)) return Result.fail(unencodable("a frame must not contain its delimiter", frame))
      write(frame, into)
    },
    encodeMany: (frames, into) => {
      for (const frame of frames) if (frame.length > maxLength || holdsDelimiter(frame)) return false
      const length = lengthOf(frames)
      if (length > smallFrame * frames.length) {
        for (const frame of frames) write(frame, into)
        return true
      }
      const sent = new Uint8Array(length + frames.length * delimiter.length)
      let at = 0
      for (const frame of frames) {
        sent.set(frame, at)
        sent.set(delimiter, at + frame.length)
        at += frame.length + delimiter.length
      }
      into.bytes(sent)
      return true
    }
  })
}

const notUtf8 = (line: Uint8Array): MalformedFrame =>
  new MalformedFrame({ problem: "the line is not UTF-8", excerpt: Excerpt.ofBytes(line), fault: "peer" })

/**
 * What is appended to so short a text is copied with it when it is written; to a longer one it is appended in a way that
 * does not copy that once more.
 */
const shortText = 4096

/** Whether a text has more bytes than that in UTF-8. */
const isLongerThan = (text: string, maxLength: number): boolean =>
  // A UTF-16 unit takes one to three bytes, so most texts need not be measured.
  text.length > maxLength || (text.length * 3 > maxLength && utf8Length(text) > maxLength)

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
  const batches = !overlapsItself(delimiter)
  const rules: LineRules = { ending, delimiter, maxLength }
  const tooLong = (line: string): Result.Result<never, CodecError> =>
    Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofString(line), fault: "local" }))
  const holdsEnding = (line: string): Result.Result<never, CodecError> =>
    Result.fail(unencodable(`a line must not contain its ending ${Excerpt.ofString(ending)}`, line))
  const malformed = (line: string): Result.Result<never, CodecError> =>
    Result.fail(unencodable("a line must not contain half a surrogate pair", line))

  const encodeShort = (line: string, into: ByteWriter): Result.Result<void, CodecError> | undefined => {
    if (line.includes(ending)) return holdsEnding(line)
    if (!line.isWellFormed()) return malformed(line)
    into.string(line + ending)
    return undefined
  }
  const encode = (line: string, into: ByteWriter): Result.Result<void, CodecError> | undefined => {
    if (isLongerThan(line, maxLength)) return tooLong(line)
    if (batches && line.length < shortText) return encodeShort(line, into)
    // A line of many pieces is made one here, once, with its ending: for the checks and to be written.
    const sent = line + ending
    if (sent.indexOf(ending) !== line.length) return holdsEnding(line)
    if (!sent.isWellFormed()) return malformed(line)
    into.string(sent)
    return undefined
  }
  const encodeMany = (lines: ReadonlyArray<string>, into: ByteWriter): boolean => {
    if (lines.length <= 1) return lines.length === 0 || encode(lines[0], into) === undefined
    let length = 0
    for (const line of lines) {
      if (line.includes(ending) || isLongerThan(line, maxLength)) return false
      length += line.length
    }
    if (length < shortText) {
      const joined = lines.join(ending)
      if (!joined.isWellFormed()) return false
      into.string(joined + ending)
      return true
    }
    const sent = [...lines, ""].join(ending)
    if (!sent.isWellFormed()) return false
    into.string(sent)
    return true
  }
  return make<string>({
    decoder: () => batches ? new BatchingLinesDecoder(rules) : new LinesDecoder(rules),
    encode,
    encodeMany: batches ? encodeMany : undefined
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
  // How many bytes are behind the length of the first frame, where all of it is there.
  const measure = (input: ByteBuffer): number | Result.Result<never, CodecError> | undefined => {
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
    return input.length < header + rest ? undefined : rest
  }
  const take = (input: ByteBuffer, rest: number): Uint8Array => {
    if (offset === 0) {
      input.skip(header)
      return input.take(rest)
    }
    const received = input.take(header + rest)
    const frame = new Uint8Array(offset + rest)
    frame.set(received.subarray(width))
    for (let i = 0; i < offset; i++) frame[i] = received[i]
    return frame
  }
  const decoder: Decoder<Uint8Array> = {
    decode: (input) => {
      const rest = measure(input)
      return typeof rest === "number" ? Result.succeed(take(input, rest)) : rest
    },
    decodeMany: (input, max) => {
      const frames: Array<Uint8Array> = []
      while (frames.length < max) {
        const rest = measure(input)
        if (typeof rest !== "number") break
        frames.push(take(input, rest))
      }
      return frames
    }
  }
  const valueOf = (frame: Uint8Array): number => frame.length - offset - adjustment
  const isEncodable = (frame: Uint8Array): boolean =>
    frame.length >= offset && frame.length <= maxLength && valueOf(frame) >= 0 && valueOf(frame) <= largest
  const putHeader = (frame: Uint8Array, into: Uint8Array, at: number): void => {
    for (let i = 0; i < offset; i++) into[at + i] = frame[i]
    putUint(into, at + offset, valueOf(frame), width, endian)
  }
  const put = (frame: Uint8Array, into: Uint8Array, at: number): void => {
    // The header covers the beginning of the frame, which is in it.
    into.set(frame, at + width)
    putHeader(frame, into, at)
  }
  const write = (frame: Uint8Array, into: ByteWriter): void => {
    const isTiny = frame.length <= tinyFrame
    const bytes = new Uint8Array(isTiny ? width + frame.length : header)
    if (isTiny) put(frame, bytes, 0)
    else putHeader(frame, bytes, 0)
    into.bytes(bytes)
    if (!isTiny) into.bytes(offset === 0 ? frame : frame.subarray(offset))
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
      if (!isEncodable(frame)) {
        return Result.fail(unencodable(`the length ${valueOf(frame)} does not fit into ${width} bytes`, frame))
      }
      write(frame, into)
    },
    encodeMany: (frames, into) => {
      if (!frames.every(isEncodable)) return false
      const length = lengthOf(frames)
      if (length > smallFrame * frames.length) {
        for (const frame of frames) write(frame, into)
        return true
      }
      const sent = new Uint8Array(length + frames.length * width)
      let at = 0
      for (const frame of frames) {
        put(frame, sent, at)
        at += width + frame.length
      }
      into.bytes(sent)
      return true
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
    decode: (input) => input.length < length ? undefined : Result.succeed(input.take(length)),
    decodeMany: (input, max) => {
      const frames: Array<Uint8Array> = []
      while (frames.length < max && input.length >= length) frames.push(input.take(length))
      return frames
    }
  }
  return make<Uint8Array>({
    decoder: () => decoder,
    encode: (frame, into) => {
      if (frame.length !== length) return Result.fail(unencodable(`a frame must have ${length} bytes`, frame))
      into.bytes(frame)
    },
    encodeMany: (frames, into) => {
      if (!frames.every((frame) => frame.length === length)) return false
      if (length <= smallFrame) into.bytes(concat(frames))
      else for (const frame of frames) into.bytes(frame)
      return true
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
        },
        ...(decoder.isSecret && { isSecret: (input) => decoder.isSecret!(input) })
      }
    },
    ...encoding<Out, Out2>(
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
  make<In2, Out2>({
    decoder: () => {
      const decoder = self.decoder()
      return {
        decode: (input) => {
          const result = decoder.decode(input)
          return result && Result.map(result, options.decode)
        },
        ...(decoder.decodeMany && {
          decodeMany: (input, max) => decoder.decodeMany!(input, max).map((frame) => options.decode(frame))
        }),
        ...(decoder.isSecret && { isSecret: (input) => decoder.isSecret!(input) })
      }
    },
    ...encoding<Out, Out2>(
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
 * A codec that receives as one codec and sends as another.
 *
 * @category combinators
 * @since 0.1.0
 */
export const duplex = <In, Out>(decoderOf: Codec<In, never>, encoderOf: Codec<unknown, Out>): Codec<In, Out> =>
  make<In, Out>({ decoder: decoderOf.decoder, ...encoding<Out, Out>(encoderOf, identity, identity) })

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
  const encoder = encoderOf(codec)
  for (const frame of frames) {
    const result = encoder.encode(frame, into)
    if (result !== undefined) Result.getOrThrow(result)
  }
  return into.finishBytes()
}
