/**
 * Frames that are preceded by their length.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { unencodable } from "./failures.ts"
import { uint, varint } from "./lengthField.ts"
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
  readonly bytes?: 1 | 2 | 3 | 4 | 5 | 6 | "varint" | undefined
  readonly endian?: "big" | "little" | undefined
  readonly maxBytes?: 1 | 2 | 3 | 4 | 5 | 6 | 7 | undefined
  readonly overlong?: boolean | undefined
  readonly offset?: number | undefined
  readonly adjustment?: number | undefined
  readonly maxLength?: number | undefined
}): Parts<Uint8Array, Uint8Array> => {
  const bytes = options?.bytes ?? 4
  const field = bytes === "varint"
    ? varint(options?.maxBytes ?? 5, options?.overlong ?? false)
    : uint(bytes, options?.endian ?? "big")
  const offset = options?.offset ?? 0
  const adjustment = options?.adjustment ?? 0
  const maxLength = options?.maxLength ?? defaultMaxLength
  // How many bytes are behind the length of the first frame, where all of it is there.
  const measure = (input: ByteBuffer): number | Result.Result<never, CodecError> | undefined => {
    const value = field.read(input, offset)
    if (value === undefined) return undefined
    if (typeof value === "string") return malformed(input, value)
    const rest = value + adjustment
    if (rest < 0) return malformed(input, `the length field ${value} is below its minimum of ${-adjustment}`)
    if (offset + rest > maxLength) {
      return Result.fail(new FrameTooLarge({ limit: maxLength, excerpt: headOf(input), fault: "peer" }))
    }
    return input.length < offset + field.widthAt(input, offset) + rest ? undefined : rest
  }
  const headOf = (input: ByteBuffer): string => Excerpt.ofBytes(input.peek(0, offset + field.widthAt(input, offset)))
  const malformed = (input: ByteBuffer, problem: string): Result.Result<never, CodecError> =>
    Result.fail(new MalformedFrame({ problem, excerpt: headOf(input), fault: "peer" }))
  const take = (input: ByteBuffer, rest: number): Uint8Array => {
    const width = field.widthAt(input, offset)
    const header = offset + width
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
    frame.length >= offset && frame.length <= maxLength && valueOf(frame) >= 0 && valueOf(frame) <= field.largest
  const putHeader = (frame: Uint8Array, into: Uint8Array, at: number): void => {
    for (let i = 0; i < offset; i++) into[at + i] = frame[i]
    field.put(into, at + offset, valueOf(frame))
  }
  const widthFor = (frame: Uint8Array): number => field.widthOf(valueOf(frame))
  const put = (frame: Uint8Array, into: Uint8Array, at: number): number => {
    const width = widthFor(frame)
    // The header covers the beginning of the frame, which is in it.
    into.set(frame, at + width)
    putHeader(frame, into, at)
    return at + width + frame.length
  }
  const write = (frame: Uint8Array, into: ByteWriter): void => {
    const isTiny = frame.length <= tinyFrame
    const bytes = new Uint8Array(widthFor(frame) + (isTiny ? frame.length : offset))
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
        return Result.fail(unencodable(`the length ${valueOf(frame)} does not fit into ${field.size}`, frame))
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
      let widths = 0
      for (const frame of frames) widths += widthFor(frame)
      const sent = new Uint8Array(length + widths)
      let at = 0
      for (const frame of frames) at = put(frame, sent, at)
      into.bytes(sent)
      return true
    }
  }
}
