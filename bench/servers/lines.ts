/**
 * Cuts a byte stream into UTF-8 lines, whatever the chunk boundaries: what the hand-written servers share.
 *
 * Each chunk is decoded once, as a whole, and what is left after its last `\n` is kept as a string and put in front of
 * the next chunk's first line. V8 makes that concatenation a rope, so no byte is copied a second time and the cost stays
 * linear however long a line is and however small its pieces; only the 1 to 3 bytes of an unfinished UTF-8 sequence are
 * ever kept as bytes.
 */

declare global {
  interface Buffer {
    // Node has it, Node's types do not; `toString` only leads to it.
    utf8Slice(start: number, end: number): string
  }
}

/** How many bytes at the end begin, but do not finish, a UTF-8 sequence. */
const unfinished = (bytes: Uint8Array): number => {
  const n = bytes.length
  if (n === 0 || bytes[n - 1] < 0x80) return 0
  for (let k = 1; k <= 3 && k <= n; k++) {
    const byte = bytes[n - k]
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > k ? k : 0
    if (byte < 0x80) return 0
  }
  return 0
}

export class Lines {
  private rest = ""
  private carry: Buffer | undefined = undefined

  /** The lines that end in this chunk, or `undefined`. */
  push(chunk: Buffer): Array<string> | undefined {
    if (this.carry !== undefined) {
      chunk = Buffer.concat([this.carry, chunk])
      this.carry = undefined
    }
    const cut = unfinished(chunk)
    if (cut > 0) this.carry = Buffer.from(chunk.subarray(chunk.length - cut))
    const text = chunk.utf8Slice(0, chunk.length - cut)
    const first = text.indexOf("\n")
    if (first === -1) {
      this.rest += text
      return undefined
    }
    if (first === text.length - 1) {
      const line = text.slice(0, first)
      if (this.rest === "") return [line]
      const lines = [this.rest + line]
      this.rest = ""
      return lines
    }
    const lines = text.split("\n")
    if (this.rest !== "") lines[0] = this.rest + lines[0]
    this.rest = lines.pop()! // split gives at least one
    return lines
  }
}

/** One string for one write. `Array.join` copies even a single element. */
export const encode = (lines: ReadonlyArray<string>): string =>
  lines.length === 1 ? lines[0] + "\n" : lines.join("\n") + "\n"
