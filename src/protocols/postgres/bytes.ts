/**
 * The primitives of PostgreSQL's messages: big-endian integers, strings that end with a zero byte, counted lists.
 *
 * @internal
 */
import { decodeUtf8, indexOf } from "../../Bytes.ts"

const encoder = new TextEncoder()

const anyDecoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Text in an encoding that nobody has told: what is not UTF-8 becomes U+FFFD. */
export const decodeAny = (bytes: Uint8Array): string => anyDecoder.decode(bytes)

/** Most strings end within so many bytes; beyond them the runtime's own search is faster. */
const shortString = 64

/**
 * Reads the body of one message. What is missing or wrong is kept as the `problem`, the first one counts, and everything
 * read behind it is of no meaning. One reader can go from message to message in the same bytes.
 */
export class BodyReader {
  problem: string | undefined = undefined
  private readonly bytes: Uint8Array
  private at: number
  private to: number

  constructor(bytes: Uint8Array, from: number, to = bytes.length) {
    this.bytes = bytes
    this.at = from
    this.to = to
  }

  /** Goes on with the message whose body is in `[from, to)`; there was no problem with those before. */
  move(from: number, to: number): void {
    this.at = from
    this.to = to
  }

  get remaining(): number {
    return this.to - this.at
  }

  fail(problem: string): void {
    this.problem ??= problem
    this.at = this.to
  }

  private has(length: number, what: string): boolean {
    if (this.to - this.at >= length) return true
    this.fail(`${what} is cut off by the end of the message`)
    return false
  }

  byte(what: string): number {
    return this.has(1, what) ? this.bytes[this.at++] : 0
  }

  uint16(what: string): number {
    if (!this.has(2, what)) return 0
    const { at, bytes } = this
    this.at = at + 2
    return (bytes[at] << 8) | bytes[at + 1]
  }

  int16(what: string): number {
    return (this.uint16(what) << 16) >> 16
  }

  int32(what: string): number {
    if (!this.has(4, what)) return 0
    const { at, bytes } = this
    this.at = at + 4
    return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
  }

  uint32(what: string): number {
    return this.int32(what) >>> 0
  }

  /** Where the string ends that begins here, or -1. */
  private endOfString(): number {
    const { at, bytes, to } = this
    const near = Math.min(to, at + shortString)
    for (let end = at; end < near; end++) if (bytes[end] === 0) return end
    if (near === to) return -1
    const found = indexOf(bytes.subarray(near, to), 0)
    return found === -1 ? -1 : near + found
  }

  private terminated(
    what: string,
    decode: (bytes: Uint8Array, from: number, to: number) => string | undefined
  ): string {
    const end = this.endOfString()
    if (end === -1) {
      this.fail(`${what} is not terminated`)
      return ""
    }
    const text = decode(this.bytes, this.at, end)
    if (text === undefined) {
      this.fail(`${what} is not UTF-8`)
      return ""
    }
    this.at = end + 1
    return text
  }

  string(what: string): string {
    return this.terminated(what, decodeUtf8)
  }

  /** Where no encoding is agreed on yet: what is not UTF-8 is U+FFFD. */
  anyText(what: string): string {
    return this.terminated(
      what,
      (bytes, from, to) => decodeUtf8(bytes, from, to) ?? decodeAny(bytes.subarray(from, to))
    )
  }

  take(length: number, what: string): Uint8Array {
    if (!this.has(length, what)) return new Uint8Array(0)
    const { at, bytes } = this
    this.at = at + length
    // What `subarray` would give for a Buffer of Node is a Buffer, which takes longer to make.
    return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length)
  }

  rest(): Uint8Array {
    return this.take(this.remaining, "the rest")
  }

  /** Bytes that are preceded by their length, where -1 stands for none. */
  value(what: string): Uint8Array | null {
    const length = this.int32(what)
    if (length === -1) return null
    if (length >= 0) return this.take(length, what)
    this.fail(`${what} has the length ${length}`)
    return null
  }

  /** As many as the count says, each of which has at least `size` bytes: a count that cannot be true allocates nothing. */
  list<A>(count: number, size: number, what: string, read: (reader: this) => A): Array<A> {
    const items: Array<A> = []
    if (count < 0 || count * size > this.remaining) {
      this.fail(`${count} ${what} do not fit into the message`)
      return items
    }
    while (items.length < count && this.problem === undefined) items.push(read(this))
    return items
  }

  end(): void {
    if (this.remaining > 0) this.fail(`${this.remaining} bytes are left behind the end of the message`)
  }
}

/** Most messages are short: many are written into one piece of memory, each behind the one before it. */
const pieceLength = 4096
const shortMessage = 64
let spare: { readonly bytes: Uint8Array<ArrayBuffer>; readonly used: number } | undefined

/** Writes one message. What cannot be written is kept as the `problem`; the first one counts. */
export class BodyWriter {
  problem: string | undefined = undefined
  private bytes: Uint8Array<ArrayBuffer>
  private start: number
  private length: number

  constructor() {
    // It is this one's until it is finished, whatever else is written meanwhile.
    const piece = spare
    spare = undefined
    this.bytes = piece?.bytes ?? new Uint8Array(pieceLength)
    this.start = piece?.used ?? 0
    this.length = this.start
  }

  private grow(length: number): number {
    if (this.length + length > this.bytes.length) {
      const written = this.bytes.subarray(this.start, this.length)
      this.bytes = new Uint8Array(2 * (written.length + length))
      this.bytes.set(written)
      this.start = 0
      this.length = written.length
    }
    const at = this.length
    this.length += length
    return at
  }

  private put16(at: number, value: number): void {
    this.bytes[at] = value >>> 8
    this.bytes[at + 1] = value
  }

  private put32(at: number, value: number): void {
    this.put16(at, value >>> 16)
    this.put16(at + 2, value)
  }

  fail(problem: string): void {
    this.problem ??= problem
  }

  byte(value: number): void {
    this.bytes[this.grow(1)] = value
  }

  /** The first byte, which is known when the rest is written. */
  first(value: number): void {
    this.bytes[this.start] = value
  }

  private inRange(value: number, from: number, to: number): boolean {
    if (Number.isSafeInteger(value) && value >= from && value <= to) return true
    this.fail(`${value} is no whole number from ${from} to ${to}`)
    return false
  }

  int16(value: number): void {
    const at = this.grow(2)
    if (this.inRange(value, -0x8000, 0x7fff)) this.put16(at, value)
  }

  uint16(value: number): void {
    const at = this.grow(2)
    if (this.inRange(value, 0, 0xffff)) this.put16(at, value)
  }

  int32(value: number): void {
    const at = this.grow(4)
    if (this.inRange(value, -0x8000_0000, 0x7fff_ffff)) this.put32(at, value)
  }

  uint32(value: number): void {
    const at = this.grow(4)
    if (this.inRange(value, 0, 0xffff_ffff)) this.put32(at, value)
  }

  raw(bytes: Uint8Array): void {
    // Where `bytes` is being replaced, the old one must not be written to.
    const at = this.grow(bytes.length)
    this.bytes.set(bytes, at)
  }

  string(text: string, what: string): void {
    if (text.includes("\0")) this.fail(`${what} has a zero character in it`)
    else if (!text.isWellFormed()) this.fail(`${what} has half of a character in it`)
    if (!this.ascii(text)) this.raw(encoder.encode(text))
    this.byte(0)
  }

  /** Writes a short text of ASCII, which takes no encoder; nothing where it is none. */
  private ascii(text: string): boolean {
    if (text.length > shortString) return false
    const at = this.grow(text.length)
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) {
        this.length = at
        return false
      }
      this.bytes[at + i] = code
    }
    return true
  }

  value(value: Uint8Array | null): void {
    this.int32(value === null ? -1 : value.length)
    if (value !== null) this.raw(value)
  }

  list<A>(items: ReadonlyArray<A>, write: (item: A) => void): void {
    this.uint16(items.length)
    for (const item of items) write(item)
  }

  /** What was written; the length, which counts itself, is put at `at`, counted from the beginning. */
  finish(at: number): Uint8Array {
    this.put32(this.start + at, this.lengthFrom(at))
    const { bytes, length } = this
    if (bytes.length === pieceLength && length <= pieceLength - shortMessage) spare = { bytes, used: length }
    return new Uint8Array(bytes.buffer, this.start, length - this.start)
  }

  /** How many bytes the length field will say. */
  lengthFrom(at: number): number {
    return this.length - this.start - at
  }
}
