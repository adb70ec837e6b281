/**
 * The lengths that stand in front of messages, as far as their bytes show them. Pure.
 *
 * | a length | is |
 * |---|---|
 * | stands behind | at most `mostKept` - 1 bytes, such as a type |
 * | is written | in 1 to 4 bytes in either order, or as a varint |
 * | counts | what is behind it, or itself too, or all of the message |
 *
 * @internal
 */

const isAt = (bytes: Uint8Array, at: number, part: Uint8Array): boolean =>
  at + part.length <= bytes.length && part.every((byte, i) => bytes[at + i] === byte)

/** So many lengths are looked for in front of a message, with so many bytes before them. */
const mostKept = 4

/** How a length is written, as far as it can say that much. */
const lengthFields: ReadonlyArray<readonly [name: string, write: (length: number) => Uint8Array | undefined]> = [
  ...[1, 2, 3, 4].flatMap((width) =>
    (width === 1 ? ["big-endian"] as const : ["big-endian", "little-endian"] as const).map(
      (order): typeof lengthFields[number] => [
        width === 1 ? "of 1 byte" : `of ${width} bytes, ${order}`,
        (length) => {
          if (length >= 256 ** width) return undefined
          const field = Uint8Array.from({ length: width }, (_, i) => Math.floor(length / 256 ** i) & 0xff)
          return order === "little-endian" ? field : field.reverse()
        }
      ]
    )
  ),
  ["of a varint", (length) => {
    const field: Array<number> = []
    for (let left = length;; left = Math.floor(left / 128)) {
      field.push(left < 128 ? left : (left % 128) | 0x80)
      if (left < 128) return Uint8Array.from(field)
    }
  }]
]

/** What a length counts besides what is behind it. */
const counted: ReadonlyArray<readonly [name: string, more: (kept: number, width: number) => number]> = [
  ["", () => 0],
  [" that counts itself", (_, width) => width],
  [" that counts all", (kept, width) => kept + width]
]

export interface Resized {
  readonly said: Uint8Array
  readonly what: string
}

/**
 * A message that has a length in front, with its end left out or with an x behind it, over and over, until all of it has so many
 * bytes, and the length told. One for each way in which its own first bytes may be read as its length, and none twice.
 */
export const resized = (message: Uint8Array, total: number): ReadonlyArray<Resized> => {
  const found: Array<Resized> = []
  for (let kept = 0; kept < Math.min(mostKept, message.length); kept++) {
    for (const [counts, more] of counted) {
      // Behind nothing, what counts itself counts all.
      if (kept === 0 && counts === " that counts all") continue
      for (const [written, write] of lengthFields) {
        // The width of a varint depends on the length: it is one that fits.
        const fits = (size: number): Uint8Array | undefined => {
          const narrowest = write(0)!.length
          for (let width = narrowest; width <= narrowest + 4 && kept + width <= size; width++) {
            const field = write(size - kept - width + more(kept, width))
            if (field?.length === width) return field
          }
          return undefined
        }
        const own = fits(message.length)
        if (own === undefined || !isAt(message, kept, own)) continue
        const instead = fits(total)
        if (instead === undefined) continue
        const said = new Uint8Array(total).fill(0x78)
        said.set(message.subarray(0, kept))
        said.set(instead, kept)
        const start = kept + instead.length
        said.set(message.subarray(kept + own.length).subarray(0, total - start), start)
        if (found.some((other) => isAt(other.said, 0, said))) continue
        found.push({ said, what: `a length ${written}${counts} behind ${kept} bytes` })
      }
    }
  }
  return found
}
