/**
 * A decoder that is written from top to bottom, as a generator that waits wherever it reads.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { decodeUtf8 } from "../bytes/primitives.ts"
import { bounded } from "./bounded.ts"
import { beginning } from "./failures.ts"
import {
  type ByteBuffer,
  type ByteWriter,
  type CodecError,
  type Decoder,
  defaultMaxLength,
  FrameTooLarge,
  MalformedFrame,
  type Parts
} from "./model.ts"
import { seek } from "./search.ts"

declare const PauseTypeId: unique symbol

/**
 * What a {@link Reading} yields to whoever runs it. Only a {@link Reader} makes one.
 *
 * @category generators
 * @since 0.1.0
 */
export interface Pause {
  readonly [PauseTypeId]: typeof PauseTypeId
}

/**
 * Something that reads an `A` from the bytes of a frame: `yield*` it. A generator function that takes a {@link Reader} and
 * reads with it has this type too.
 *
 * @category generators
 * @since 0.1.0
 */
export type Reading<A> = Iterable<Pause, A, unknown>

/**
 * What a generator of `Codec.gen` reads with.
 *
 * **Details**
 *
 * Each of these waits until its bytes have come, however small the pieces, and is used once, with `yield*`. A length that would
 * make the frame longer than the codec's `maxLength` fails as `FrameTooLarge` before one of its bytes has come.
 *
 * @category generators
 * @since 0.1.0
 */
export interface Reader {
  /** One byte, as a number. */
  readonly byte: Reading<number>
  /** An unsigned integer of 1 to 6 bytes; `"big"` endian unless told otherwise. */
  uint(width: 1 | 2 | 3 | 4 | 5 | 6, endian?: "big" | "little"): Reading<number>
  /** So many bytes. What is returned stays as it is. */
  take(length: number): Reading<Uint8Array>
  /** So many bytes, as text; those that are not UTF-8 are a `MalformedFrame`. */
  text(length: number): Reading<string>
  /**
   * The text up to the next line ending, which is read too and is not part of it. A line of more than `maxLength` bytes is a
   * `FrameTooLarge` with that limit.
   */
  line(maxLength?: number): Reading<string>
  /** The bytes up to the next delimiter, which is read too and is not part of them; bounded as a line is. */
  until(delimiter: Uint8Array, maxLength?: number): Reading<Uint8Array>
  /** Exactly this text; another is a `MalformedFrame` at the first byte that differs. */
  expect(text: string): Reading<void>
  /**
   * What a generator reads that may be inside itself, such as an array in an array. However deep it is, to go on costs the same
   * and takes no room on the stack; deeper than the codec's `maxDepth` is a `MalformedFrame`.
   */
  nested<A>(reading: Reading<A>): Reading<A>
  /** Ends the frame as a `MalformedFrame` of the peer that says what is wrong: `return yield* read.fail("no such type")`. */
  fail(problem: string, options?: { readonly code?: string | undefined }): Reading<never>
}

type Next<A> = IteratorResult<Pause, A>

// Nobody looks at it: what there is to know stands in the cursor.
const paused: IteratorYieldResult<Pause> = { done: false, value: undefined as never }

const done = <A>(value: A): Next<A> => ({ done: true, value })

/** One thing that is read, which is asked again with each byte that it needs. */
abstract class Operation<A> implements Iterator<Pause, A, unknown> {
  abstract next(value?: unknown): Next<A>

  [Symbol.iterator](): this {
    return this
  }
}

class Byte extends Operation<number> {
  private readonly cursor: Cursor

  constructor(cursor: Cursor) {
    super()
    this.cursor = cursor
  }

  next(): Next<number> {
    const { cursor } = this
    return cursor.has(1) ? done(cursor.input.at(cursor.at++)) : paused
  }
}

/** What has so many bytes, made of them when they are there. */
class Sized<A> extends Operation<A> {
  private readonly cursor: Cursor
  private readonly length: number
  private readonly make: (bytes: Uint8Array) => A | undefined

  constructor(cursor: Cursor, length: number, make: (bytes: Uint8Array) => A | undefined) {
    super()
    this.cursor = cursor
    this.length = length
    this.make = make
  }

  next(): Next<A> {
    const { cursor, length } = this
    // A peer may have sent it.
    if (!Number.isSafeInteger(length) || length < 0) return cursor.malformed(`${length} is no length`)
    if (!cursor.has(length)) return paused
    const bytes = cursor.input.peek(cursor.at, cursor.at + length)
    cursor.at += length
    const made = this.make(bytes)
    return made === undefined ? cursor.notUtf8(bytes) : done(made)
  }
}

/** What ends with a delimiter. `searched` is where one may begin that is not found yet. */
class Delimited<A> extends Operation<A> {
  private readonly cursor: Cursor
  private readonly delimiter: Uint8Array
  private readonly maxLength: number
  private readonly make: (bytes: Uint8Array) => A | undefined
  private searched = 0

  constructor(
    cursor: Cursor,
    delimiter: Uint8Array,
    maxLength: number,
    make: (bytes: Uint8Array) => A | undefined
  ) {
    super()
    this.cursor = cursor
    this.delimiter = delimiter
    this.maxLength = maxLength
    this.make = make
  }

  next(): Next<A> {
    const { cursor, delimiter, maxLength } = this
    const { at, input } = cursor
    const found = seek(input, delimiter, Math.max(at, this.searched))
    this.searched = found < 0 ? ~found : found
    if (this.searched - at > maxLength) return cursor.tooLarge(maxLength, at + maxLength)
    if (found < 0) return cursor.wait(input.length + 1)
    const bytes = input.peek(at, found)
    cursor.at = found + delimiter.length
    const made = this.make(bytes)
    return made === undefined ? cursor.notUtf8(bytes) : done(made)
  }
}

class Expected extends Operation<void> {
  private readonly cursor: Cursor
  private readonly bytes: Uint8Array
  private matched = 0

  constructor(cursor: Cursor, text: string) {
    super()
    this.cursor = cursor
    this.bytes = encoder.encode(text)
  }

  next(): Next<void> {
    const { bytes, cursor } = this
    for (; this.matched < bytes.length; this.matched++) {
      if (!cursor.has(1)) return paused
      if (cursor.input.at(cursor.at++) !== bytes[this.matched]) {
        return cursor.malformed(`${Excerpt.ofBytes(bytes)} is due here`)
      }
    }
    return done(undefined)
  }
}

/** Leaves a reading to whoever runs this one, and waits for what it has read. */
class Nested<A> extends Operation<A> {
  private readonly cursor: Cursor
  private readonly reading: Reading<A>
  private isCalled = false

  constructor(cursor: Cursor, reading: Reading<A>) {
    super()
    this.cursor = cursor
    this.reading = reading
  }

  next(value: unknown): Next<A> {
    // It is what the reading returned, which is an `A`.
    if (this.isCalled) return done(value as A)
    this.isCalled = true
    this.cursor.called = this.reading
    return paused
  }
}

class Failed extends Operation<never> {
  private readonly cursor: Cursor
  private readonly problem: string
  private readonly code: string | undefined

  constructor(cursor: Cursor, problem: string, code: string | undefined) {
    super()
    this.cursor = cursor
    this.problem = problem
    this.code = code
  }

  next(): Next<never> {
    return this.cursor.malformed(this.problem, this.code)
  }
}

const encoder = new TextEncoder()

const asIs = (bytes: Uint8Array): Uint8Array => bytes

const asText = (bytes: Uint8Array): string | undefined => decodeUtf8(bytes, 0, bytes.length)

const asUint = (endian: "big" | "little") => (bytes: Uint8Array): number => {
  let value = 0
  for (let i = 0; i < bytes.length; i++) value = value * 256 + bytes[endian === "big" ? i : bytes.length - 1 - i]
  return value
}

const big = asUint("big")
const little = asUint("little")

interface Rules {
  readonly maxLength: number
  readonly maxDepth: number
  readonly ending: Uint8Array
}

/** How far a frame is read, and what its generator asks for. */
class Cursor implements Reader {
  readonly byte: Byte = new Byte(this)
  private readonly rules: Rules
  /** What is read from, while it is. */
  input: ByteBuffer
  /** How many bytes of the frame are read. */
  at = 0
  /** How many have to be there before it makes sense to go on. */
  needed = 0
  /** A reading that is to be done first. */
  called: Reading<unknown> | undefined = undefined
  failure: CodecError | undefined = undefined

  constructor(input: ByteBuffer, rules: Rules) {
    this.input = input
    this.rules = rules
  }

  /** Whether so many bytes are there. */
  has(length: number): boolean {
    const end = this.at + length
    if (end <= this.input.length) return true
    if (end > this.rules.maxLength) this.tooLarge(this.rules.maxLength, this.at)
    else this.wait(end)
    return false
  }

  wait(length: number): IteratorYieldResult<Pause> {
    this.needed = length
    return paused
  }

  /** It is longer than the limit, as the first `known` bytes tell. */
  tooLarge(limit: number, known: number): IteratorYieldResult<Pause> {
    this.failure = new FrameTooLarge({ limit, excerpt: beginning(this.input, known), fault: "peer" })
    return paused
  }

  malformed(problem: string, code?: string): IteratorYieldResult<Pause> {
    const shown = this.input.peek(0, Math.min(this.at, Excerpt.maxExcerpt + 1))
    return this.failed(problem, shown, code)
  }

  notUtf8(bytes: Uint8Array): IteratorYieldResult<Pause> {
    return this.failed("the text is not UTF-8", bytes)
  }

  private failed(problem: string, shown: Uint8Array, code?: string): IteratorYieldResult<Pause> {
    this.failure = new MalformedFrame({
      // It may quote what the peer has sent.
      problem: Excerpt.ofText(problem),
      excerpt: Excerpt.ofBytes(shown),
      ...(code !== undefined && { code }),
      fault: "peer"
    })
    return paused
  }

  uint(width: number, endian: "big" | "little" = "big"): Reading<number> {
    return new Sized(this, width, endian === "big" ? big : little)
  }

  take(length: number): Reading<Uint8Array> {
    return new Sized(this, length, asIs)
  }

  text(length: number): Reading<string> {
    return new Sized(this, length, asText)
  }

  line(maxLength = Infinity): Reading<string> {
    return new Delimited(this, this.rules.ending, maxLength, asText)
  }

  until(delimiter: Uint8Array, maxLength = Infinity): Reading<Uint8Array> {
    if (delimiter.length === 0) throw new RangeError("Codec.gen: a delimiter must not be empty")
    return new Delimited(this, delimiter, maxLength, asIs)
  }

  expect(text: string): Reading<void> {
    return new Expected(this, text)
  }

  nested<A>(reading: Reading<A>): Reading<A> {
    return new Nested(this, reading)
  }

  fail(problem: string, options?: { readonly code?: string | undefined }): Reading<never> {
    return new Failed(this, problem, options?.code)
  }
}

/**
 * Runs the generator of a frame, and those that it has nested, each on its own: to go on costs the same however deep it is.
 *
 * | state | `running` | `outer` |
 * |---|---|---|
 * | between frames | undefined | empty |
 * | in a frame | what reads now | those that wait for it, the frame's own first |
 */
class GenDecoder<In> implements Decoder<In> {
  private readonly read: (read: Reader) => Reading<In>
  private readonly rules: Rules
  private cursor: Cursor | undefined = undefined
  private running: Iterator<Pause, unknown, unknown> | undefined = undefined
  private outer: Array<Iterator<Pause, unknown, unknown>> = []

  constructor(read: (read: Reader) => Reading<In>, rules: Rules) {
    this.read = read
    this.rules = rules
  }

  decode(input: ByteBuffer): Result.Result<In, CodecError> | undefined {
    const cursor = this.begin(input)
    if (cursor === undefined) return undefined
    let value: unknown = undefined
    while (this.running !== undefined) {
      const step = this.running.next(value)
      if (step.done === true) {
        this.running = this.outer.pop()
        value = step.value
        continue
      }
      value = undefined
      if (cursor.called !== undefined && this.call(cursor, cursor.called)) continue
      return cursor.failure === undefined ? undefined : this.end(cursor, Result.fail(cursor.failure))
    }
    if (cursor.at === 0) throw new Error("Codec.gen: a frame has one byte at least")
    input.skip(cursor.at)
    // The last that ended is the frame's own, which gives an `In`.
    return this.end(cursor, Result.succeed(value as In))
  }

  /** How far the frame is, where there are bytes to go on with. */
  private begin(input: ByteBuffer): Cursor | undefined {
    const cursor = this.cursor ??= new Cursor(input, this.rules)
    if (input.length === 0 || (this.running !== undefined && input.length < cursor.needed)) return undefined
    cursor.input = input
    cursor.needed = 0
    this.running ??= this.read(cursor)[Symbol.iterator]()
    return cursor
  }

  private call(cursor: Cursor, reading: Reading<unknown>): boolean {
    cursor.called = undefined
    if (this.outer.length >= this.rules.maxDepth) {
      cursor.malformed(`it is nested more than ${this.rules.maxDepth} deep`)
      return false
    }
    this.outer.push(this.running!) // it has called
    this.running = reading[Symbol.iterator]()
    return true
  }

  private end(cursor: Cursor, result: Result.Result<In, CodecError>): Result.Result<In, CodecError> {
    cursor.at = 0
    cursor.needed = 0
    cursor.failure = undefined
    this.running = undefined
    if (this.outer.length > 0) this.outer = []
    return result
  }
}

export const make = <In, Out>(options: {
  readonly decode: (read: Reader) => Reading<In>
  readonly encode: (frame: Out, into: ByteWriter) => Result.Result<void, CodecError> | void
  readonly encodeMany?: ((frames: ReadonlyArray<Out>, into: ByteWriter) => boolean) | undefined
  readonly ending?: string | undefined
  readonly maxLength?: number | undefined
  readonly maxDepth?: number | undefined
}): Parts<In, Out> => {
  const maxLength = options.maxLength ?? defaultMaxLength
  const rules: Rules = {
    maxLength,
    maxDepth: options.maxDepth ?? 128,
    ending: encoder.encode(options.ending ?? "\n")
  }
  if (rules.ending.length === 0) throw new RangeError("Codec.gen: the ending must not be empty")
  return {
    decoder: bounded(() => new GenDecoder(options.decode, rules), maxLength),
    encode: options.encode,
    encodeMany: options.encodeMany
  }
}
