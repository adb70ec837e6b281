/**
 * The two byte containers that codecs work on. No Effect, no sockets.
 *
 * @internal
 */
import type * as Codec from "../Codec.ts"

const empty = new Uint8Array(0)

/** So many chunks that are no longer than this on average are merged. */
const manyChunks = 64
const smallChunk = 1024

/**
 * The bytes that were received and not yet taken: a contiguous front, and behind it the chunks that came since.
 *
 * | operation | on bytes of the front or of one chunk | on bytes that span chunks |
 * |---|---|---|
 * | `at`, `indexOf` | looks there | looks in each |
 * | `take`, `skip` | hands out a view, or forgets | puts together just what is taken |
 * | `peek` | hands out a view | merges the chunks into the front |
 *
 * So a long frame that is searched as it comes and taken when it is there is copied once. Merging costs an amortized
 * constant per byte, for the front grows by doubling. Bytes that were handed out are never written again, so a frame may
 * keep the view that `take` gave it.
 */
export class ByteBuffer implements Codec.ByteBuffer {
  private store: Uint8Array = empty
  private start = 0
  private end = 0
  private chunks: Array<Uint8Array> = []
  private behind = 0
  /** How many bytes were taken or skipped so far. */
  consumed = 0

  get length(): number {
    return this.end - this.start + this.behind
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    if (this.start === this.end) {
      this.store = chunk
      this.start = 0
      this.end = chunk.length
      return
    }
    this.chunks.push(chunk)
    this.behind += chunk.length
    // Small pieces cost more to keep than to copy.
    if (this.chunks.length >= manyChunks && this.behind < manyChunks * smallChunk) this.merge()
  }

  /** Puts bytes that were taken back to the front. */
  unshift(bytes: Uint8Array): void {
    this.merge()
    const rest = this.store.subarray(this.start, this.end)
    this.consumed -= bytes.length
    this.store = rest.length === 0 ? bytes : concat([bytes, rest])
    this.start = 0
    this.end = this.store.length
  }

  /** Makes one piece of all. */
  private merge(): void {
    if (this.behind === 0) return
    const front = this.end - this.start
    // A front that was adopted has no room behind its end, so that only storage that was made here is written to.
    if (this.store.length - this.end < this.behind) {
      const grown = new Uint8Array(Math.max(64, 2 * (front + this.behind)))
      grown.set(this.store.subarray(this.start, this.end))
      this.store = grown
      this.start = 0
      this.end = front
    }
    for (const chunk of this.chunks) {
      this.store.set(chunk, this.end)
      this.end += chunk.length
    }
    this.chunks = []
    this.behind = 0
  }

  at(index: number): number {
    if (index < this.end - this.start) return this.store[this.start + index]
    // Whoever searches on looks at what came last.
    let i = this.chunks.length - 1
    let begin = this.length - this.chunks[i].length
    while (begin > index) begin -= this.chunks[--i].length
    return this.chunks[i][index - begin]
  }

  indexOf(byte: number, from: number): number {
    const front = this.end - this.start
    if (from < front) {
      // Bounded by the window: the storage behind `end` is spare room, and to search it again for every small piece
      // that arrives would make long frames quadratic.
      const found = this.store.subarray(this.start + from, this.end).indexOf(byte)
      if (found !== -1) return found + from
    }
    let first = this.chunks.length
    let begin = this.length
    while (first > 0 && begin > from) begin -= this.chunks[--first].length
    for (; first < this.chunks.length; first++) {
      const chunk = this.chunks[first]
      const found = chunk.indexOf(byte, Math.max(0, from - begin))
      if (found !== -1) return begin + found
      begin += chunk.length
    }
    return -1
  }

  peek(from: number, to: number): Uint8Array {
    const front = this.end - this.start
    if (to > front && this.behind > 0) {
      const last = this.chunks[this.chunks.length - 1]
      const begin = this.length - last.length
      if (from >= begin) return last.subarray(from - begin, to - begin)
      this.merge()
    }
    return this.store.subarray(this.start + from, Math.min(this.start + to, this.end))
  }

  take(length: number): Uint8Array {
    const front = this.end - this.start
    if (length <= front) {
      const bytes = this.store.subarray(this.start, this.start + length)
      this.skip(length)
      return bytes
    }
    const bytes = new Uint8Array(length)
    bytes.set(this.store.subarray(this.start, this.end))
    let at = front
    for (const chunk of this.chunks) {
      const part = Math.min(chunk.length, length - at)
      bytes.set(part === chunk.length ? chunk : chunk.subarray(0, part), at)
      at += part
      if (at === length) break
    }
    this.skip(length)
    return bytes
  }

  skip(length: number): void {
    this.consumed += length
    const front = this.end - this.start
    if (length < front) {
      this.start += length
      return
    }
    // What is left of the chunk in which it ends is the front now.
    let left = length - front
    let passed = 0
    while (passed < this.chunks.length && left >= this.chunks[passed].length) left -= this.chunks[passed++].length
    if (passed === this.chunks.length) {
      this.store = empty
      this.start = this.end = 0
      this.chunks = []
      this.behind = 0
      return
    }
    this.store = this.chunks[passed]
    this.start = left
    this.end = this.store.length
    this.chunks = this.chunks.slice(passed + 1)
    this.behind -= length - front - left + this.store.length
  }
}

const encoder = new TextEncoder()

/**
 * What encoders write to. Text stays text for as long as nothing but text was written, because handing one string to
 * the socket is cheaper than encoding it first; and its pieces are joined at the end, because a string that was put
 * together piece by piece has to be taken apart again to be written.
 */
export class ByteWriter implements Codec.ByteWriter {
  private parts: Array<string | Uint8Array> = []
  private texts: Array<string> = []
  private markedParts = 0
  private markedTexts = this.texts
  private markedCount = 0

  string(text: string): void {
    this.texts.push(text)
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.flushText()
    this.parts.push(bytes)
  }

  uint(value: number, width: number, endian: "big" | "little"): void {
    const bytes = new Uint8Array(width)
    let rest = value
    for (let i = 0; i < width; i++) {
      bytes[endian === "big" ? width - 1 - i : i] = rest % 256
      rest = Math.floor(rest / 256)
    }
    this.bytes(bytes)
  }

  private flushText(): void {
    if (this.texts.length === 0) return
    const text = this.texts.length === 1 ? this.texts[0] : this.texts.join("")
    this.texts = []
    if (text !== "") this.parts.push(text)
  }

  /** A point to return to, by `reset`, when the frame that is being written turns out to be unencodable. */
  mark(): void {
    this.markedParts = this.parts.length
    this.markedTexts = this.texts
    this.markedCount = this.texts.length
  }

  reset(): void {
    // Text that was flushed since the mark went into the parts that are dropped here.
    this.parts.length = this.markedParts
    this.texts = this.markedTexts
    this.texts.length = this.markedCount
  }

  /** What was written, in order, for one write; empties the writer. */
  finish(): Array<string | Uint8Array> {
    this.flushText()
    const parts = this.parts
    this.parts = []
    return parts
  }

  /** What was written, as one array of bytes; empties the writer. */
  finishBytes(): Uint8Array {
    return concat(this.finish().map((part) => typeof part === "string" ? encoder.encode(part) : part))
  }
}

export const concat = (chunks: ReadonlyArray<Uint8Array>): Uint8Array => {
  if (chunks.length === 1) return chunks[0]
  let length = 0
  for (const chunk of chunks) length += chunk.length
  const out = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    out.set(chunk, at)
    at += chunk.length
  }
  return out
}

/** How many bytes a text takes in UTF-8. */
export const utf8Length = (text: string): number => encoder.encode(text).length
