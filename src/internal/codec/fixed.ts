/**
 * Frames of one length.
 *
 * @internal
 */
import * as Result from "effect/Result"
import { concat } from "../bytes/primitives.ts"
import { unencodable } from "./failures.ts"
import type { Decoder, Parts } from "./model.ts"
import { smallFrame } from "./smallFrames.ts"

export const make = (length: number): Parts<Uint8Array, Uint8Array> => {
  if (!Number.isSafeInteger(length) || length <= 0) {
    throw new RangeError("Codec.fixed: the length must be a positive whole number")
  }
  const decoder: Decoder<Uint8Array> = {
    decode: (input) => input.length < length ? undefined : Result.succeed(input.take(length)),
    decodeMany: (input, max) => {
      const frames: Array<Uint8Array> = []
      while (frames.length < max && input.length >= length) frames.push(input.take(length))
      return frames
    }
  }
  return {
    decoder: () => decoder,
    encode: (frame, into) => {
      if (frame.length !== length) return Result.fail(unencodable(`a frame must have ${length} bytes`, frame))
      into.bytes(frame)
    },
    encodeMany: (frames, into) => {
      if (!frames.every((frame) => frame.length === length)) return false
      if (length <= smallFrame) into.bytes(concat(frames))
      else for (const frame of frames) into.bytes(frame)
      return true
    }
  }
}
