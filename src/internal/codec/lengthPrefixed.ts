/**
 * Frames that are preceded by their length.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { putUint } from "../bytes/primitives.ts"
import { unencodable } from "./failures.ts"
import {
  type ByteBuffer,
  type ByteWriter,
  type CodecError,
  type Decoder,
  defaultMaxLength,
  FrameTooLarge,
  MalformedFrame,
  type Parts
} from "./model.ts"
import { lengthOf, smallFrame, tinyFrame } from "./smallFrames.ts"

export const make = (options?: {
  readonly bytes?: 1 | 2 | 3 | 4 | 5 | 6 | undefined
  readonly endian?: "big" | "little" | undefined
  readonly offset?: number | undefined
  readonly adjustment?: number | undefined
  readonly maxLength?: number | undefined
}): Parts<Uint8Array, Uint8Array> => {
  const width = options?.bytes ?? 4
  const endian = options?.endian ?? "big"
  const offset = options?.offset ?? 0
  const adjustment = options?.adjustment ?? 0
  const maxLength = options?.maxLength ?? defaultMaxLength
  const header = offset + width
  const largest = 2 ** (8 * width) - 1
  // How many bytes are behind the length of the first frame, where all of it is there.
  const measure = (input: ByteBuffer): number | Result.Result<never, CodecError> | undefined => {
    if (input.length < header) return undefined
    let value = 0
    for (let i = 0; i < width; i++) {
      value = value * 256 + input.at(offset + (endian === "big" ? i : width - 1 - i))
    }
    const rest = value + adjustment
    if (rest < 0) {
      return Result.fail(
        new MalformedFrame({
          problem: `the length field ${value} is below its minimum of ${-adjustment}`,
          excerpt: Excerpt.ofBytes(input.peek(0, header)),
          fault: "peer"
        })
      )
    }
    if (offset + rest > maxLength) {
      return Result.fail(
        new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(input.peek(0, header)), fault: "peer" })
      )
    }
    return input.length < header + rest ? undefined : rest
  }
  const take = (input: ByteBuffer, rest: number): Uint8Array => {
    if (offset === 0) {
      input.skip(header)
      return input.take(rest)
    }
    const received = input.take(header + rest)
    const frame = new Uint8Array(offset + rest)
    frame.set(received.subarray(width))
    for (let i = 0; i < offset; i++) frame[i] = received[i]
    return frame
  }
  const decoder: Decoder<Uint8Array> = {
    decode: (input) => {
      const rest = measure(input)
      return typeof rest === "number" ? Result.succeed(take(input, rest)) : rest
    },
    decodeMany: (input, max) => {
      const frames: Array<Uint8Array> = []
      while (frames.length < max) {
        const rest = measure(input)
        if (typeof rest !== "number") break
        frames.push(take(input, rest))
      }
      return frames
    }
  }
  const valueOf = (frame: Uint8Array): number => frame.length - offset - adjustment
  const isEncodable = (frame: Uint8Array): boolean =>
    frame.length >= offset && frame.length <= maxLength && valueOf(frame) >= 0 && valueOf(frame) <= largest
  const putHeader = (frame: Uint8Array, into: Uint8Array, at: number): void => {
    for (let i = 0; i < offset; i++) into[at + i] = frame[i]
    putUint(into, at + offset, valueOf(frame), width, endian)
  }
  const put = (frame: Uint8Array, into: Uint8Array, at: number): void => {
    // The header covers the beginning of the frame, which is in it.
    into.set(frame, at + width)
    putHeader(frame, into, at)
  }
  const write = (frame: Uint8Array, into: ByteWriter): void => {
    const isTiny = frame.length <= tinyFrame
    const bytes = new Uint8Array(isTiny ? width + frame.length : header)
    if (isTiny) put(frame, bytes, 0)
    else putHeader(frame, bytes, 0)
    into.bytes(bytes)
    if (!isTiny) into.bytes(offset === 0 ? frame : frame.subarray(offset))
  }
  return {
    decoder: () => decoder,
    encode: (frame, into) => {
      if (frame.length > maxLength) {
        return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: Excerpt.ofBytes(frame), fault: "local" }))
      }
      if (frame.length < offset) {
        return Result.fail(unencodable(`a frame must have at least ${offset} bytes`, frame))
      }
      if (!isEncodable(frame)) {
        return Result.fail(unencodable(`the length ${valueOf(frame)} does not fit into ${width} bytes`, frame))
      }
      write(frame, into)
    },
    encodeMany: (frames, into) => {
      if (!frames.every(isEncodable)) return false
      const length = lengthOf(frames)
      if (length > smallFrame * frames.length) {
        for (const frame of frames) write(frame, into)
        return true
      }
      const sent = new Uint8Array(length + frames.length * width)
      let at = 0
      for (const frame of frames) {
        put(frame, sent, at)
        at += width + frame.length
      }
      into.bytes(sent)
      return true
    }
  }
}
