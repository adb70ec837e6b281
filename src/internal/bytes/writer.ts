/**
 * What is to be sent.
 *
 * @internal
 */
import { concat, putUint } from "./primitives.ts"

const encoder = new TextEncoder()

/**
 * What encoders write to. Text stays text for as long as nothing but text was written, because handing one string to
 * the socket is cheaper than encoding it first; and its pieces are joined at the end, because a string that was put
 * together piece by piece has to be taken apart again to be written.
 */
export class ByteWriter {
  private parts: Array<string | Uint8Array> | undefined = undefined
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
    this.append(bytes)
  }

  uint(value: number, width: number, endian: "big" | "little"): void {
    const bytes = new Uint8Array(width)
    putUint(bytes, 0, value, width, endian)
    this.bytes(bytes)
  }

  private flushText(): void {
    if (this.texts.length === 0) return
    const text = this.texts.length === 1 ? this.texts[0] : this.texts.join("")
    this.texts = []
    if (text !== "") this.append(text)
  }

  private append(part: string | Uint8Array): void {
    if (this.parts === undefined) this.parts = [part]
    else this.parts.push(part)
  }

  /** A point to return to, by `reset`, when the frame that is being written turns out to be unencodable. */
  mark(): void {
    this.markedParts = this.parts?.length ?? 0
    this.markedTexts = this.texts
    this.markedCount = this.texts.length
  }

  reset(): void {
    // Text that was flushed since the mark went into the parts that are dropped here.
    if (this.parts !== undefined) this.parts.length = this.markedParts
    this.texts = this.markedTexts
    this.texts.length = this.markedCount
  }

  /** What was written, in order, for one write; empties the writer. */
  finish(): Array<string | Uint8Array> {
    // One text is the common case.
    if (this.parts === undefined && this.texts.length === 1) {
      const text = this.texts.pop()!
      return text === "" ? [] : [text]
    }
    this.flushText()
    const parts = this.parts
    this.parts = undefined
    // It would keep what was said.
    this.markedTexts = this.texts
    return parts === undefined ? [] : parts.length === 1 ? parts : joined(parts)
  }

  /** What was written, as one array of bytes; empties the writer. */
  finishBytes(): Uint8Array {
    return concat(this.finish().map((part) => typeof part === "string" ? encoder.encode(part) : part))
  }
}

/** Neighbours that have at most so many bytes together become one part: to write a part costs more than to copy it. */
const smallJoined = 2048

/** No text has more bytes. */
const bytesAtMost = (part: string | Uint8Array): number => typeof part === "string" ? 3 * part.length : part.length

const join = (parts: ReadonlyArray<string | Uint8Array>, from: number, to: number, atMost: number): Uint8Array => {
  const bytes = new Uint8Array(atMost)
  let at = 0
  for (let i = from; i < to; i++) {
    const part = parts[i]
    if (typeof part === "string") at += encoder.encodeInto(part, bytes.subarray(at)).written
    else {
      bytes.set(part, at)
      at += part.length
    }
  }
  return at === atMost ? bytes : bytes.subarray(0, at)
}

/** The same bytes in fewer parts, where many are small. */
const joined = (parts: Array<string | Uint8Array>): Array<string | Uint8Array> => {
  const fewer: Array<string | Uint8Array> = []
  let from = 0
  let length = 0
  for (let i = 0; i <= parts.length; i++) {
    const next = i === parts.length ? Infinity : bytesAtMost(parts[i])
    if (length + next > smallJoined && i > from) {
      fewer.push(i === from + 1 ? parts[from] : join(parts, from, i, length))
      from = i
      length = 0
    }
    length += next
  }
  return fewer
}

// What is written is needed from its first frame to its write, and nearly every connection is between two.
let spare: ByteWriter | undefined

/** A writer that is empty. */
export const borrow = (): ByteWriter => {
  const writer = spare ?? new ByteWriter()
  spare = undefined
  return writer
}

/** Nobody uses it any more, and what was written was finished. */
export const giveBack = (writer: ByteWriter): void => {
  spare = writer
}
