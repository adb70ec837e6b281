/**
 * A codec fed with bytes in pieces, through a buffer that counts what the codec looks at and holds it to its contract.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import { FrameTooLarge, MalformedFrame } from "../../Codec.ts"
import { ByteBuffer } from "../../internal/bytes/buffer.ts"

/** What any call of a decoder may do, however few bytes are there. */
const patience = 2 ** 20

class CountingBuffer implements Codec.ByteBuffer {
  private readonly inner = new ByteBuffer()
  /** How many bytes the decoder has looked at, as often as it did. */
  examined = 0
  /** The same, by the call that showed them. */
  readonly looks: Record<"at" | "indexOf" | "lastIndexOf" | "peek" | "text" | "take", number> = {
    at: 0,
    indexOf: 0,
    lastIndexOf: 0,
    peek: 0,
    text: 0,
    take: 0
  }
  /** It may not look at more than that. */
  allowance = Infinity
  /** What one call of the decoder has done so far: bytes looked at, and calls of this buffer. */
  private work = 0
  private most = Infinity
  /** The first call that reached behind the unread bytes. */
  overread: string | undefined = undefined
  private overreads = 0

  push(chunk: Uint8Array): void {
    this.inner.push(chunk)
  }

  /** A call of the decoder begins, which is not given for ever: whoever goes on and on is stopped. */
  begin(): void {
    this.work = 0
    this.most = 64 * this.inner.length + patience
  }

  get isSpent(): boolean {
    return this.examined > this.allowance || this.work > this.most
  }

  get length(): number {
    return this.inner.length
  }

  get consumed(): number {
    return this.inner.consumed
  }

  /** What is unread, not counted. */
  rest(): Uint8Array {
    return this.inner.peek(0, this.inner.length)
  }

  at(index: number): number {
    if (!(index >= 0 && index < this.inner.length)) this.note(`at(${index})`)
    this.count("at", 1)
    return this.inner.at(index)
  }

  indexOf(byte: number, from: number): number {
    if (!(from >= 0 && from <= this.inner.length)) {
      this.note(`indexOf(${byte}, ${from})`)
      return -1
    }
    const found = this.inner.indexOf(byte, from)
    this.count("indexOf", (found === -1 ? this.inner.length : found + 1) - from)
    return found
  }

  lastIndexOf(byte: number, from: number, to: number): number {
    if (!(from >= 0 && from <= to && to <= this.inner.length)) {
      this.note(`lastIndexOf(${byte}, ${from}, ${to})`)
      return -1
    }
    const found = this.inner.lastIndexOf(byte, from, to)
    this.count("lastIndexOf", to - (found === -1 ? from : found))
    return found
  }

  text(from: number, to: number): string | undefined {
    if (!(from >= 0 && from <= to && to <= this.inner.length)) {
      this.note(`text(${from}, ${to})`)
      return undefined
    }
    this.count("text", to - from)
    return this.inner.text(from, to)
  }

  peek(from: number, to: number): Uint8Array {
    if (!(from >= 0 && from <= to && to <= this.inner.length)) {
      this.note(`peek(${from}, ${to})`)
      return this.rest().subarray(from, to)
    }
    this.count("peek", to - from)
    return this.inner.peek(from, to)
  }

  take(length: number): Uint8Array {
    const within = this.within(length, "take")
    this.count("take", within)
    return this.inner.take(within)
  }

  skip(length: number): void {
    this.tire(1)
    this.inner.skip(this.within(length, "skip"))
  }

  private within(length: number, call: string): number {
    if (length >= 0 && length <= this.inner.length) return length
    this.note(`${call}(${length})`)
    return length > 0 ? this.inner.length : 0
  }

  private count(call: keyof CountingBuffer["looks"], bytes: number): void {
    this.looks[call] += bytes
    this.examined += bytes
    this.tire(bytes + 1)
  }

  private tire(work: number): void {
    this.work += work
    if (this.isSpent) throw new RangeError(`the decoder looked at ${this.examined} bytes`)
  }

  // The decoder goes on with what there is, as it would on a connection, but not for ever.
  private note(call: string): void {
    this.overread ??= `${call} of ${this.inner.length} unread`
    if (++this.overreads > 64) throw new RangeError(`the decoder looks behind the unread bytes: ${this.overread}`)
  }
}

/**
 * Why a decoder gives no more frames. While there is none, it asks for more bytes.
 *
 * | end | what the decoder did |
 * |---|---|
 * | `Failed` | it returned a failure |
 * | `Threw` | it threw |
 * | `Overread` | it reached behind the unread bytes |
 * | `Spent` | it looked at more bytes than its allowance, or went on and on in one call |
 * | `Odd` | it returned what is neither a result nor `undefined` |
 * | `Endless` | it gave frame after frame without taking a byte |
 * | `TooMany` | `decodeMany` gave more frames than it was asked for |
 */
export type End =
  | { readonly _tag: "Failed"; readonly error: unknown }
  | { readonly _tag: "Threw"; readonly cause: unknown }
  | { readonly _tag: "Overread"; readonly call: string }
  | { readonly _tag: "Spent" }
  | { readonly _tag: "Odd"; readonly value: unknown }
  | { readonly _tag: "Endless" }
  | { readonly _tag: "TooMany"; readonly max: number; readonly given: number }

/** How many frames `decodeMany` is asked for next; 0 asks `decode` for one. */
export type Takes = () => number

const oneByOne: Takes = () => 0

/** More frames than this out of nothing are taken to be without end. */
const maxIdle = 16

/** One decoder and the bytes of its connection. */
export class Feed<A> {
  readonly input = new CountingBuffer()
  readonly frames: Array<A> = []
  /** Why there will be no more frames. */
  end: End | undefined = undefined
  /** The first bytes that it took while it asked for more: the place of the first one, and how many they were. */
  taken: { readonly at: number; readonly count: number } | undefined = undefined
  private readonly decoder: Codec.Decoder<A> | undefined
  private idle = 0

  constructor(codec: Codec.Codec<A, never>) {
    try {
      this.decoder = codec.decoder()
    } catch (cause) {
      this.end = { _tag: "Threw", cause }
    }
  }

  /** Decodes once; whether that gave a frame. */
  next(): boolean {
    const { decoder, input } = this
    if (this.end !== undefined || decoder === undefined) return false
    const before = input.consumed
    let result: unknown
    input.begin()
    try {
      result = decoder.decode(input)
    } catch (cause) {
      return this.stop(this.broken() ?? { _tag: "Threw", cause })
    }
    const broken = this.broken()
    if (broken !== undefined) return this.stop(broken)
    if (result === undefined) return this.asked(before)
    if (!Result.isResult(result)) return this.stop({ _tag: "Odd", value: result })
    if (Result.isFailure(result)) return this.stop({ _tag: "Failed", error: result.failure })
    // What a codec of `A` succeeds with is an `A`.
    this.frames.push(result.success as A)
    return this.gave(before)
  }

  /** Decodes what is there, at most `max` frames at once; whether that gave any. */
  nextMany(max: number): boolean {
    const { decoder, input } = this
    if (this.end !== undefined || decoder?.decodeMany === undefined) return false
    const before = input.consumed
    let frames: unknown
    input.begin()
    try {
      frames = decoder.decodeMany(input, max)
    } catch (cause) {
      return this.stop(this.broken() ?? { _tag: "Threw", cause })
    }
    const broken = this.broken()
    if (broken !== undefined) return this.stop(broken)
    if (!Array.isArray(frames)) return this.stop({ _tag: "Odd", value: frames })
    if (frames.length === 0) return this.asked(before)
    for (const frame of frames) this.frames.push(frame)
    return frames.length > max ? this.stop({ _tag: "TooMany", max, given: frames.length }) : this.gave(before)
  }

  /** Decodes whatever is complete, until there are `most` frames. */
  drain(takes: Takes = oneByOne, most = Infinity): void {
    while (this.frames.length < most) {
      const max = takes()
      if (max > 0 && this.nextMany(max)) continue
      if (!this.next()) return
    }
  }

  private asked(before: number): false {
    const count = this.input.consumed - before
    if (count > 0) this.taken ??= { at: before, count }
    return false
  }

  private gave(before: number): boolean {
    this.idle = this.input.consumed === before ? this.idle + 1 : 0
    return this.idle > maxIdle ? this.stop({ _tag: "Endless" }) : true
  }

  // Whatever the decoder made of it, and whether or not it caught what the buffer threw.
  private broken(): End | undefined {
    const { isSpent, overread } = this.input
    if (overread !== undefined) return { _tag: "Overread", call: overread }
    return isSpent ? { _tag: "Spent" } : undefined
  }

  private stop(end: End): false {
    this.end = end
    return false
  }
}

/** What a call has thrown, where that is a result to report. */
export class Thrown {
  readonly cause: unknown
  constructor(cause: unknown) {
    this.cause = cause
  }
}

export const attempt = <A>(run: () => A): A | Thrown => {
  try {
    return run()
  } catch (cause) {
    return new Thrown(cause)
  }
}

export interface Decoded<A> {
  readonly frames: ReadonlyArray<A>
  /** Why there are no more, where that is not for want of bytes. */
  readonly end: End | undefined
  /** What it failed with, where it failed as a codec should. */
  readonly error: Codec.CodecError | undefined
  /** What is unread in the end. Behind an error it is nobody's, and left out. */
  readonly rest: Uint8Array | undefined
}

export const isCodecError = (error: unknown): error is Codec.CodecError =>
  error instanceof FrameTooLarge || error instanceof MalformedFrame

/** Decodes pieces one after another, each as far as it goes, and stops at an error. */
export const decodePieces = <A>(
  codec: Codec.Codec<A, never>,
  pieces: Iterable<Uint8Array>,
  takes?: Takes,
  most?: number
): Decoded<A> => {
  const feed = new Feed(codec)
  for (const piece of pieces) {
    // A decoder that writes to what it was given spoils nothing but its own copy.
    feed.input.push(piece.slice())
    feed.drain(takes, most)
    if (feed.end !== undefined) break
  }
  return decoded(feed)
}

export const decoded = <A>({ end, frames, input }: Feed<A>): Decoded<A> => ({
  frames,
  end,
  error: end?._tag === "Failed" && isCodecError(end.error) ? end.error : undefined,
  rest: end === undefined ? input.rest() : undefined
})

/** One byte in each piece. */
export const bytewise = (bytes: Uint8Array): Array<Uint8Array> => Array.from(bytes, (byte) => Uint8Array.of(byte))

/** Pieces as small as they can be: of one byte, where that does not make too many of them. */
export const crumbs = (bytes: Uint8Array): ReadonlyArray<Uint8Array> =>
  bytes.length <= 4096 ? bytewise(bytes) : cutInto(bytes, [Math.ceil(bytes.length / 1024)])

/** Cuts bytes after each of these lengths, over and over. */
export const cutInto = (bytes: Uint8Array, lengths: ReadonlyArray<number>): Array<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = Math.max(1, lengths[i % lengths.length] ?? bytes.length)
    pieces.push(bytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** Every way to cut bytes in two, and in three where they are few; then one byte at a time. */
export function* splits(bytes: Uint8Array): Generator<ReadonlyArray<Uint8Array>> {
  // Where there are many bytes, not every place is tried, but each near an end of them is.
  const step = Math.ceil(bytes.length / Math.max(8, Math.min(128, 2 ** 22 / bytes.length)))
  for (let i = 1; i < bytes.length; i += i >= 32 && i < bytes.length - 32 ? step : 1) {
    yield [bytes.subarray(0, i), bytes.subarray(i)]
    if (bytes.length > 12) continue
    for (let j = i + 1; j < bytes.length; j++) yield [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]
  }
  yield crumbs(bytes)
}
