/**
 * Where frames end that end with a delimiter.
 *
 * @internal
 */
import * as Result from "effect/Result"
import { indexOf } from "../bytes/primitives.ts"
import { tooLarge } from "./failures.ts"
import type { ByteBuffer, FrameTooLarge } from "./model.ts"

/** The index of the first such part, or -1. */
export const indexOfPart = (bytes: Uint8Array, part: Uint8Array): number => {
  for (let at = indexOf(bytes, part[0], 0); at !== -1; at = indexOf(bytes, part[0], at + 1)) {
    let matched = 1
    while (matched < part.length && bytes[at + matched] === part[matched]) matched++
    if (matched === part.length) return at
  }
  return -1
}

/** Whether two of them can share bytes. Else each one that is found anywhere ends a frame. */
export const overlapsItself = (delimiter: Uint8Array): boolean => {
  for (let shift = 1; shift < delimiter.length; shift++) {
    if (delimiter.subarray(shift).every((byte, i) => byte === delimiter[i])) return true
  }
  return false
}

/** Where the first delimiter begins at or after `from`; else the complement of where one may begin that is not there yet. */
export const seek = (input: ByteBuffer, delimiter: Uint8Array, from: number): number => {
  for (let searched = from; searched < input.length;) {
    const at = input.indexOf(delimiter[0], searched)
    if (at === -1) break
    let matched = 1
    while (
      matched < delimiter.length && at + matched < input.length && input.at(at + matched) === delimiter[matched]
    ) matched++
    if (matched === delimiter.length) return at
    if (at + matched === input.length) return ~at
    searched = at + 1
  }
  return ~input.length
}

/**
 * Finds where frames end that end with a delimiter.
 *
 * `searched` is how many unread bytes are known not to begin a delimiter, so no byte is looked at twice however small
 * the pieces in which a frame arrives.
 */
export class DelimiterSearch {
  searched = 0
  readonly delimiter: Uint8Array
  readonly maxLength: number

  constructor(delimiter: Uint8Array, maxLength: number) {
    this.delimiter = delimiter
    this.maxLength = maxLength
  }

  /** The length of the first frame, why there will be none, or `undefined` while more bytes are needed. */
  first(input: ByteBuffer): number | Result.Result<never, FrameTooLarge> | undefined {
    const { maxLength } = this
    const at = seek(input, this.delimiter, this.searched)
    this.searched = at < 0 ? ~at : at
    if (this.searched > maxLength) return Result.fail(tooLarge(input, maxLength))
    return at < 0 ? undefined : at
  }

  /**
   * Where the last delimiter begins of those in the next `within` bytes; where there is none, the first one behind them; or -1.
   * It must be one that does not overlap itself.
   */
  last(input: ByteBuffer, within: number): number {
    const { delimiter } = this
    const more = delimiter.length - 1
    const end = Math.min(input.length, this.searched + within)
    let to = end
    for (;;) {
      const at = input.lastIndexOf(delimiter[more], this.searched, to) - more
      if (at < this.searched) {
        this.passed(end)
        const next = end === input.length ? -1 : seek(input, delimiter, this.searched)
        if (next < 0) this.passed(input.length)
        return Math.max(-1, next)
      }
      let matched = 0
      while (matched < more && input.at(at + matched) === delimiter[matched]) matched++
      if (matched === more) return at
      to = at + more
    }
  }

  /** So many unread bytes hold no delimiter; the last of them may begin one. */
  passed(length: number): void {
    this.searched = Math.max(this.searched, length - this.delimiter.length + 1)
  }

  /** The frames in front were taken. */
  taken(): void {
    this.searched = 0
  }
}
