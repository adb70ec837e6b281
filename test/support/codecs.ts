/**
 * A codec fed with bytes in pieces, through a buffer that counts what the codec looks at and holds it to its contract.
 */
import * as Result from "effect/Result"
import { vi } from "vitest"
import type * as Codec from "../../src/Codec.ts"
import { ByteBuffer } from "../../src/internal/bytes.ts"

const within = (what: string, ok: boolean): void => {
  if (!ok) throw new RangeError(`the decoder looked behind the unread bytes: ${what}`)
}

export class CountingBuffer implements Codec.ByteBuffer {
  private readonly inner = new ByteBuffer()
  /** How many bytes the decoder has looked at, as often as it did. */
  examined = 0

  push(chunk: Uint8Array): void {
    this.inner.push(chunk)
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
    within(`at(${index})`, index >= 0 && index < this.length)
    this.examined++
    return this.inner.at(index)
  }

  indexOf(byte: number, from: number): number {
    within(`indexOf(_, ${from})`, from >= 0 && from <= this.length)
    const found = this.inner.indexOf(byte, from)
    this.examined += (found === -1 ? this.length : found + 1) - from
    return found
  }

  peek(from: number, to: number): Uint8Array {
    within(`peek(${from}, ${to})`, from >= 0 && from <= to && to <= this.length)
    this.examined += to - from
    return this.inner.peek(from, to)
  }

  take(length: number): Uint8Array {
    within(`take(${length})`, length >= 0 && length <= this.length)
    this.examined += length
    return this.inner.take(length)
  }

  skip(length: number): void {
    within(`skip(${length})`, length >= 0 && length <= this.length)
    this.inner.skip(length)
  }
}

export interface Decoded<A> {
  readonly frames: ReadonlyArray<A>
  /** All the fields of the error, and its message. */
  readonly error: Record<string, unknown> | undefined
  /** What is unread in the end. Behind an error it is nobody's, and left out. */
  readonly rest: Uint8Array | undefined
}

/** Decodes pieces one after another, each as far as it goes, and stops at an error. */
export const decodePieces = <A>(
  codec: Codec.Codec<A, never>,
  pieces: ReadonlyArray<Uint8Array>,
  input = new CountingBuffer()
): Decoded<A> => {
  const decoder = codec.decoder()
  const frames: Array<A> = []
  for (const piece of pieces) {
    input.push(piece)
    for (;;) {
      const result = decoder.decode(input)
      if (result === undefined) break
      if (Result.isFailure(result)) {
        return { frames, error: { ...result.failure, message: result.failure.message }, rest: undefined }
      }
      frames.push(result.success)
    }
  }
  return { frames, error: undefined, rest: input.rest() }
}

/** One byte in each piece. */
export const bytewise = (bytes: Uint8Array): Array<Uint8Array> => [...bytes].map((byte) => Uint8Array.of(byte))

/** Every way to cut bytes in two, and in three where they are few. */
export function* splits(bytes: Uint8Array): Generator<Array<Uint8Array>> {
  yield bytewise(bytes)
  for (let i = 0; i <= bytes.length; i++) {
    yield [bytes.subarray(0, i), bytes.subarray(i)]
    if (bytes.length > 12) continue
    for (let j = i; j <= bytes.length; j++) yield [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]
  }
}

/** How many bytes `Uint8Array.set` copies while a function runs. */
export const copiedDuring = (run: () => void): number => {
  const set = vi.spyOn(Uint8Array.prototype, "set")
  try {
    run()
    return set.mock.calls.reduce((copied, [source]) => copied + source.length, 0)
  } finally {
    set.mockRestore()
  }
}
