/**
 * The two byte containers that codecs work on. No Effect, no sockets.
 *
 * @internal
 */
import type * as Codec from "../Codec.ts"

const empty = new Uint8Array(0)

/**
 * The bytes that were received and not yet taken, as one contiguous window.
 *
 * Appending costs an amortized constant per byte: a chunk that finds the buffer empty is adopted without a copy, and
 * one that does not is copied behind the rest into storage that grows by doubling. Bytes that were handed out are
 * never written again, so a frame may keep the view that `take` gave it.
 */
export class ByteBuffer implements Codec.ByteBuffer {
  private store: Uint8Array = empty
  private start = 0
  private end = 0
  /** How many bytes were taken or skipped so far. */
  consumed = 0

  get length(): number {
    return this.end - this.start
  }

  push(chunk: Uint8Array): void {
    const unread = this.end - this.start
    if (unread === 0) {
      this.store = chunk
      this.start = 0
      this.end = chunk.length
      return
    }
    // An adopted chunk has no room behind its end, so that only storage that was made here is written to.
    if (this.store.length - this.end < chunk.length) {
      const grown = new Uint8Array(Math.max(64, 2 * (unread + chunk.length)))
      grown.set(this.store.subarray(this.start, this.end))
      this.store = grown
      this.start = 0
      this.end = unread
    }
    this.store.set(chunk, this.end)
    this.end += chunk.length
  }

  /** Puts bytes that were taken back to the front. */
  unshift(bytes: Uint8Array): void {
    const rest = this.peek(0, this.length)
    this.consumed -= bytes.length
    this.store = rest.length === 0 ? bytes : concat([bytes, rest])
    this.start = 0
    this.end = this.store.length
  }

  at(index: number): number {
    return this.store[this.start + index]
  }

  indexOf(byte: number, from: number): number {
    // Bounded by the window: the storage behind `end` is spare room, and to search it again for every small piece
    // that arrives would make long frames quadratic.
    const found = this.store.subarray(this.start + from, this.end).indexOf(byte)
    return found === -1 ? -1 : found + from
  }

  peek(from: number, to: number): Uint8Array {
    return this.store.subarray(this.start + from, Math.min(this.start + to, this.end))
  }

  take(length: number): Uint8Array {
    const bytes = this.store.subarray(this.start, this.start + length)
    this.skip(length)
    return bytes
  }

  skip(length: number): void {
    this.start += length
    this.consumed += length
    if (this.start === this.end) {
      this.store = empty
      this.start = this.end = 0
    }
  }
}

const encoder = new TextEncoder()

/**
 * What encoders write to. Text stays text for as long as nothing but text was written, because handing one string to
 * the socket is cheaper than encoding it first.
 */
export class ByteWriter implements Codec.ByteWriter {
  private parts: Array<string | Uint8Array> = []
  private text = ""

  string(text: string): void {
    this.text += text
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
    if (this.text === "") return
    this.parts.push(this.text)
    this.text = ""
  }

  /** A point to return to when the frame that is being written turns out to be unencodable. */
  mark(): readonly [parts: number, text: string] {
    return [this.parts.length, this.text]
  }

  reset(mark: readonly [parts: number, text: string]): void {
    // Text that was flushed since the mark went into the parts that are dropped here.
    this.parts.length = mark[0]
    this.text = mark[1]
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
