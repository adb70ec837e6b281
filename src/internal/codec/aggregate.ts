/**
 * One frame out of many.
 *
 * @internal
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { utf8Length } from "../bytes/primitives.ts"
import { ByteWriter as ByteWriterImpl } from "../bytes/writer.ts"
import { bounded } from "./bounded.ts"
import * as Encoding from "./encoding.ts"
import { unencodable } from "./failures.ts"
import {
  type ByteBuffer,
  type ByteWriter,
  type CodecError,
  type Decoder,
  defaultMaxLength,
  type Encode,
  FrameTooLarge,
  type Parts
} from "./model.ts"

/** The bytes behind those that the parts of an unfinished frame have taken, which stay unread until it is complete. */
class Rest implements ByteBuffer {
  private input: ByteBuffer
  /** How many bytes the parts have taken. */
  taken = 0

  constructor(input: ByteBuffer) {
    this.input = input
  }

  of(input: ByteBuffer): this {
    this.input = input
    return this
  }

  get length(): number {
    return this.input.length - this.taken
  }

  at(index: number): number {
    return this.input.at(this.taken + index)
  }

  indexOf(byte: number, from: number): number {
    const found = this.input.indexOf(byte, this.taken + from)
    return found === -1 ? -1 : found - this.taken
  }

  lastIndexOf(byte: number, from: number, to: number): number {
    const found = this.input.lastIndexOf(byte, this.taken + from, this.taken + to)
    return found === -1 ? -1 : found - this.taken
  }

  peek(from: number, to: number): Uint8Array {
    return this.input.peek(this.taken + from, Math.min(this.taken + to, this.input.length))
  }

  text(from: number, to: number): string | undefined {
    return this.input.text(this.taken + from, this.taken + to)
  }

  take(length: number): Uint8Array {
    const bytes = this.peek(0, length)
    this.taken += length
    return bytes
  }

  skip(length: number): void {
    this.taken += length
  }
}

type IsLast<A> = (frame: A, index: number) => boolean

/**
 * | state | `parts` | `rest` |
 * |---|---|---|
 * | between frames | empty | all that is unread |
 * | in a frame | those that are complete | what is behind them |
 */
class AggregateDecoder<In> implements Decoder<NonEmptyReadonlyArray<In>> {
  private readonly inner: Decoder<In>
  private readonly isLast: IsLast<In>
  private parts: Array<In> = []
  private rest: Rest | undefined = undefined
  /** Whether one of the parts was a secret. */
  private hidden = false

  constructor(inner: Decoder<In>, isLast: IsLast<In>) {
    this.inner = inner
    this.isLast = isLast
  }

  decode(input: ByteBuffer): Result.Result<NonEmptyReadonlyArray<In>, CodecError> | undefined {
    const { inner, parts } = this
    const rest = this.restOf(input)
    for (;;) {
      const hidden = inner.isSecret?.(rest) === true
      const result = inner.decode(rest)
      if (result === undefined) return undefined
      if (Result.isFailure(result)) return Result.fail(result.failure)
      this.hidden ||= hidden
      const part = result.success
      parts.push(part)
      if (!this.isLast(part, parts.length - 1)) continue
      input.skip(rest.taken)
      rest.taken = 0
      this.parts = []
      this.hidden = false
      // It has the one that is the last.
      return Result.succeed(parts as [In, ...Array<In>])
    }
  }

  private restOf(input: ByteBuffer): Rest {
    return this.rest = this.rest === undefined ? new Rest(input) : this.rest.of(input)
  }

  isSecret(input: ByteBuffer): boolean {
    return this.hidden || this.inner.isSecret?.(this.restOf(input)) === true
  }
}

const lengthOf = (parts: ReadonlyArray<string | Uint8Array>): number => {
  let length = 0
  for (const part of parts) length += typeof part === "string" ? utf8Length(part) : part.length
  return length
}

export const make = <In, Out extends In>(self: Parts<In, Out>, options: {
  readonly isLast: IsLast<In>
  readonly maxLength?: number | undefined
}): Parts<NonEmptyReadonlyArray<In>, NonEmptyReadonlyArray<Out>> => {
  const { isLast } = options
  const maxLength = options.maxLength ?? defaultMaxLength

  /** What is wrong with them, as the other side would take them. */
  const problemOf = (frames: ReadonlyArray<Out>): string | undefined => {
    const end = frames.findIndex((frame, index) => isLast(frame, index))
    return end === -1
      ? "the last frame does not end it"
      : end < frames.length - 1
      ? `frame ${end} ends it, and ${frames.length - 1 - end} come behind`
      : undefined
  }

  const write = (
    encode: Encode<Out>,
    frames: ReadonlyArray<Out>,
    into: ByteWriter
  ): Result.Result<void, CodecError> | void => {
    for (const frame of frames) {
      const result = encode(frame, into)
      if (result !== undefined && Result.isFailure(result)) return result
    }
  }

  return {
    decoder: bounded(() => new AggregateDecoder(self.decoder(), isLast), maxLength),
    ...Encoding.by<Out, NonEmptyReadonlyArray<Out>>(self, (encode) => (frames, into) => {
      const problem = problemOf(frames)
      if (problem !== undefined) return Result.fail(unencodable(problem, frames))
      const aside = new ByteWriterImpl()
      const failure = write(encode, frames, aside)
      if (failure !== undefined) return failure
      const sent = aside.finish()
      if (lengthOf(sent) > maxLength) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofFrame(frames), fault: "local" }))
      }
      for (const part of sent) {
        if (typeof part === "string") into.string(part)
        else into.bytes(part)
      }
    })
  }
}
