/**
 * Frames that end with a delimiter.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { concat } from "../bytes/primitives.ts"
import { unencodable } from "./failures.ts"
import { type ByteBuffer, type ByteWriter, type Decoder, defaultMaxLength, FrameTooLarge, type Parts } from "./model.ts"
import { DelimiterSearch, indexOfPart, overlapsItself } from "./search.ts"
import { lengthOf, smallFrame, tinyFrame } from "./smallFrames.ts"

const delimitedDecoder = (delimiter: Uint8Array, maxLength: number): Decoder<Uint8Array> => {
  const search = new DelimiterSearch(delimiter, maxLength)
  const take = (input: ByteBuffer, length: number): Uint8Array => {
    const frame = input.take(length)
    input.skip(delimiter.length)
    search.taken()
    return frame
  }
  return {
    decode: (input) => {
      const length = search.first(input)
      return typeof length === "number" ? Result.succeed(take(input, length)) : length
    },
    decodeMany: (input, max) => {
      const frames: Array<Uint8Array> = []
      while (frames.length < max) {
        const length = search.first(input)
        if (typeof length !== "number") break
        frames.push(take(input, length))
      }
      return frames
    }
  }
}

export const make = (ending: Uint8Array, options?: {
  readonly maxLength?: number | undefined
}): Parts<Uint8Array, Uint8Array> => {
  if (ending.length === 0) throw new RangeError("Codec.delimited: the delimiter must not be empty")
  // To `slice` a Buffer would copy nothing.
  const delimiter = new Uint8Array(ending)
  const maxLength = options?.maxLength ?? defaultMaxLength
  const overlaps = overlapsItself(delimiter)
  // Where delimiters overlap, one may also begin in the frame and end in the real one.
  const holdsDelimiter = (frame: Uint8Array): boolean => {
    if (indexOfPart(frame, delimiter) !== -1) return true
    if (!overlaps) return false
    const tail = frame.subarray(Math.max(0, frame.length - delimiter.length + 1))
    return indexOfPart(concat([tail, delimiter]), delimiter) !== tail.length
  }
  const write = (frame: Uint8Array, into: ByteWriter): void => {
    if (frame.length <= tinyFrame) return into.bytes(concat([frame, delimiter]))
    into.bytes(frame)
    // Not the one that every connection has: whoever receives it may own it.
    into.bytes(delimiter.slice())
  }
  return {
    decoder: () => delimitedDecoder(delimiter, maxLength),
    encode: (frame, into) => {
      if (frame.length > maxLength) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(frame), fault: "local" }))
      }
      if (holdsDelimiter(frame)) return Result.fail(unencodable("a frame must not contain its delimiter", frame))
      write(frame, into)
    },
    encodeMany: (frames, into) => {
      for (const frame of frames) if (frame.length > maxLength || holdsDelimiter(frame)) return false
      const length = lengthOf(frames)
      if (length > smallFrame * frames.length) {
        for (const frame of frames) write(frame, into)
        return true
      }
      const sent = new Uint8Array(length + frames.length * delimiter.length)
      let at = 0
      for (const frame of frames) {
        sent.set(frame, at)
        sent.set(delimiter, at + frame.length)
        at += frame.length + delimiter.length
      }
      into.bytes(sent)
      return true
    }
  }
}
