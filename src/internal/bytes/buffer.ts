/**
 * What was received and not yet read.
 *
 * @internal
 */
import { concat, decodeUtf8, indexOf, isContinuation, lastIndexOf, sequenceLength } from "./primitives.ts"

const empty = new Uint8Array(0)

// A connection that is idle has none of all this, and there are thousands of those. It is never changed.
const none: ReadonlyArray<never> = []

/** So few bytes are searched faster here than by a call. */
const near = 16

/** The index of the first such byte in `[from, to)`, or -1. */
const findFirst = (bytes: Uint8Array, byte: number, from: number, to: number): number => {
  if (from >= to) return -1
  // Bounded by the window: the storage behind it is spare room, and to search it again for every small piece that
  // arrives would make long frames quadratic.
  return indexOf(to === bytes.length ? bytes : bytes.subarray(0, to), byte, from)
}

/** The index of the last such byte in `[from, to)`, or -1. */
const findLast = (bytes: Uint8Array, byte: number, from: number, to: number): number => {
  const far = Math.max(from, to - near)
  for (let at = to - 1; at >= far; at--) if (bytes[at] === byte) return at
  if (far === from) return -1
  if (from === 0 && to === bytes.length) return lastIndexOf(bytes, byte)
  const found = lastIndexOf(bytes.subarray(from, far), byte)
  return found === -1 ? -1 : from + found
}

/** How many bytes in front of `to` begin a UTF-8 sequence and do not finish it. */
const unfinished = (bytes: Uint8Array, from: number, to: number): number => {
  let at = to - 1
  while (at > from && at > to - 3 && isContinuation(bytes[at])) at--
  return at >= from && sequenceLength(bytes[at]) > to - at ? to - at : 0
}

/** So many chunks that are no longer than this on average are merged. */
const manyChunks = 64
const smallChunk = 1024

/** The longest range over two chunks that is copied when it is looked at. */
const smallSeam = 1024

/**
 * The bytes that were received and not yet taken: a contiguous front, and behind it the chunks that came since.
 *
 * | operation | on bytes of the front or of one chunk | on bytes that span chunks |
 * |---|---|---|
 * | `at`, `indexOf`, `lastIndexOf` | looks there | looks in each |
 * | `text` | decodes them | decodes each, and joins strings: no byte is copied |
 * | `take`, `skip` | hands out a view, or forgets | puts together just what is taken |
 * | `peek` | hands out a view | copies what is short, over two of them; else merges the chunks into the front |
 *
 * So a long frame that is searched as it comes and taken when it is there is copied once. Merging costs an amortized
 * constant per byte, for the front grows by doubling. Bytes that were handed out are never written again, so a frame may
 * keep the view that `take` gave it.
 */
export class ByteBuffer {
  private store: Uint8Array = empty
  private start = 0
  private end = 0
  private chunks: ReadonlyArray<Uint8Array> = none
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
    if (this.chunks.length === 0) this.chunks = [chunk]
    else (this.chunks as Array<Uint8Array>).push(chunk) // made in the line above
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
    this.chunks = none
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
      const found = findFirst(this.store, byte, this.start + from, this.end)
      if (found !== -1) return found - this.start
    }
    let first = this.chunks.length
    let begin = this.length
    while (first > 0 && begin > from) begin -= this.chunks[--first].length
    for (; first < this.chunks.length; first++) {
      const chunk = this.chunks[first]
      const found = findFirst(chunk, byte, Math.max(0, from - begin), chunk.length)
      if (found !== -1) return begin + found
      begin += chunk.length
    }
    return -1
  }

  lastIndexOf(byte: number, from: number, to: number): number {
    let begin = this.length
    for (let i = this.chunks.length - 1; i >= 0 && begin > from; i--) {
      const chunk = this.chunks[i]
      begin -= chunk.length
      const found = findLast(chunk, byte, Math.max(0, from - begin), Math.min(chunk.length, to - begin))
      if (found !== -1) return begin + found
    }
    const found = findLast(this.store, byte, this.start + from, Math.min(this.end, this.start + to))
    return found === -1 ? -1 : found - this.start
  }

  text(from: number, to: number): string | undefined {
    const front = this.end - this.start
    if (to <= front) return decodeUtf8(this.store, this.start + from, this.start + to)
    const text = new TextPieces()
    if (from < front) text.add(this.store, this.start + from, this.end)
    let begin = front
    for (const chunk of this.chunks) {
      if (begin >= to) break
      const end = begin + chunk.length
      if (end > from) text.add(chunk, Math.max(0, from - begin), Math.min(chunk.length, to - begin))
      begin = end
    }
    return text.finish()
  }

  peek(from: number, to: number): Uint8Array {
    const front = this.end - this.start
    if (to > front && this.behind > 0) {
      const last = this.chunks[this.chunks.length - 1]
      const begin = this.length - last.length
      if (from >= begin) return last.subarray(from - begin, to - begin)
      // A frame that begins in one chunk and ends in the next one: one piece of all would cost more than a copy of that.
      if (this.chunks.length === 1 && from < front && to - from <= smallSeam) {
        const seam = new Uint8Array(Math.min(to, this.length) - from)
        seam.set(this.store.subarray(this.start + from, this.end))
        seam.set(last.subarray(0, seam.length - (front - from)), front - from)
        return seam
      }
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
      this.chunks = none
      this.behind = 0
      return
    }
    this.store = this.chunks[passed]
    this.start = left
    this.end = this.store.length
    this.chunks = passed + 1 === this.chunks.length ? none : this.chunks.slice(passed + 1)
    this.behind -= length - front - left + this.store.length
  }
}

/** Text whose bytes come in pieces, which may be cut within a character. */
class TextPieces {
  private text: string | undefined = ""
  // The bytes of a character of which some are still to come.
  private readonly begun = new Uint8Array(4)
  private count = 0

  add(bytes: Uint8Array, from: number, to: number): void {
    let at = from
    if (this.count > 0) {
      const needed = sequenceLength(this.begun[0])
      while (this.count < needed && at < to) this.begun[this.count++] = bytes[at++]
      if (this.count < needed) return
      this.count = 0
      this.append(this.begun, 0, needed)
    }
    const end = to - unfinished(bytes, at, to)
    this.append(bytes, at, end)
    for (at = end; at < to; at++) this.begun[this.count++] = bytes[at]
  }

  private append(bytes: Uint8Array, from: number, to: number): void {
    if (from === to || this.text === undefined) return
    const text = decodeUtf8(bytes, from, to)
    try {
      this.text = text === undefined ? undefined : this.text + text
    } catch {
      // A string that is too long.
      this.text = undefined
    }
  }

  finish(): string | undefined {
    return this.count === 0 ? this.text : undefined
  }
}
