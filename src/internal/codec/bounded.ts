/**
 * The bound of a decoder that may have none of its own.
 *
 * The decoder sees at most `maxLength` of the unread bytes. Where it has that many and asks for more, its frame is too
 * long. So whatever it makes of bytes does not depend on how many have come already; and where no more than that are
 * unread it is asked directly, at no cost.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { beginning } from "./failures.ts"
import { type ByteBuffer, type CodecError, type Decoder, FrameTooLarge } from "./model.ts"

/** The first unread bytes, as if there were no others. */
class Front implements ByteBuffer {
  private readonly input: ByteBuffer
  length: number

  constructor(input: ByteBuffer, length: number) {
    this.input = input
    this.length = length
  }

  at(index: number): number {
    return this.input.at(index)
  }

  indexOf(byte: number, from: number): number {
    const found = this.input.indexOf(byte, from)
    return found < this.length ? found : -1
  }

  lastIndexOf(byte: number, from: number, to: number): number {
    return this.input.lastIndexOf(byte, from, to)
  }

  peek(from: number, to: number): Uint8Array {
    return this.input.peek(from, Math.min(to, this.length))
  }

  text(from: number, to: number): string | undefined {
    return this.input.text(from, to)
  }

  take(length: number): Uint8Array {
    this.length -= length
    return this.input.take(length)
  }

  skip(length: number): void {
    this.length -= length
    this.input.skip(length)
  }
}

class BoundedDecoder<out In> implements Decoder<In> {
  protected readonly inner: Decoder<In>
  protected readonly maxLength: number

  constructor(inner: Decoder<In>, maxLength: number) {
    this.inner = inner
    this.maxLength = maxLength
  }

  decode(input: ByteBuffer): Result.Result<In, CodecError> | undefined {
    const { inner, maxLength } = this
    const result = inner.decode(input.length <= maxLength ? input : new Front(input, maxLength))
    return result !== undefined || input.length < maxLength ? result : Result.fail(this.tooLarge(input))
  }

  private tooLarge(input: ByteBuffer): FrameTooLarge {
    const { maxLength } = this
    return new FrameTooLarge({
      limit: maxLength,
      excerpt: this.isSecret(input) ? Excerpt.redacted : beginning(input, maxLength),
      fault: "peer"
    })
  }

  isSecret(input: ByteBuffer): boolean {
    return this.inner.isSecret?.(input) === true
  }
}

class BoundedBatchDecoder<out In> extends BoundedDecoder<In> {
  decodeMany(input: ByteBuffer, max: number): Array<In> {
    const { inner, maxLength } = this
    if (input.length <= maxLength) return inner.decodeMany!(input, max) // it is made for those that have it
    const frames: Array<In> = []
    while (frames.length < max) {
      const more = inner.decodeMany!(new Front(input, Math.min(input.length, maxLength)), max - frames.length)
      if (more.length === 0) break
      for (const frame of more) frames.push(frame)
    }
    return frames
  }
}

/** The decoder, for frames of at most `maxLength` bytes on the wire. */
export const bounded = <In>(decoder: () => Decoder<In>, maxLength: number): () => Decoder<In> => {
  if (!(maxLength >= 1)) throw new RangeError("a codec's maxLength must be a positive number")
  return maxLength === Infinity ? decoder : () => {
    const inner = decoder()
    return inner.decodeMany === undefined
      ? new BoundedDecoder(inner, maxLength)
      : new BoundedBatchDecoder(inner, maxLength)
  }
}
