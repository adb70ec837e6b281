/**
 * The laws of a codec about what is let in that nobody sends: law 12 from bytes to frames and back.
 *
 * @internal
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { ByteWriter } from "../../internal/bytes/writer.ts"
import * as Cases from "./codecCases.ts"
import { spellings } from "./codecSpellings.ts"
import { type Check, said, sameBytes, type Subject } from "./codecSubject.ts"
import { shownBytes, shownFrame, shownResult } from "./codecWords.ts"
import { attempt, decodePieces, Feed } from "./countingBuffer.ts"
import type * as Suite from "./suite.ts"

/** How many spellings of each sort are tried in one case. */
const mostSpellings = 16

/** One of the frames of a case, and the bytes of those before it, which a codec with a memory may need. */
const oneOf = <Out>(
  codec: Codec.Codec<unknown, Out>,
  { flood, frames }: Cases.Case<Out>
): { readonly before: Uint8Array; readonly own: Cases.Encoded<Out> } | undefined => {
  const encoded = Cases.encodable(codec, frames)
  if (encoded.length === 0) return undefined
  const index = flood.raised % encoded.length
  return {
    before: concat(encoded.slice(0, index).map(({ bytes }) => bytes)),
    own: encoded[index]
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// One spelling for each frame
// ---------------------------------------------------------------------------------------------------------------------

/** What gives a frame is what the frame is encoded to, where the codec says so. */
export const oneSpelling = <In, Out extends In>(
  subject: Subject<In, Out>,
  resized: Cases.Frames<Out>["resized"]
): Check<Out> =>
(value) => {
  const { canonical, codec } = subject
  if (canonical === undefined) return undefined
  const { flood, frames } = value
  // Lengths have other digits than those of what is drawn, and more of them.
  const longer = resized(frames[flood.raised % frames.length], flood.to)
  for (const chosen of [value, { ...value, frames: longer }].map((value) => oneOf(codec, value))) {
    if (chosen === undefined) continue
    const { before, own } = chosen
    for (const { bytes, how } of spellings(own.bytes, flood.keep, mostSpellings)) {
      const problem = spelledOtherwise(
        subject,
        canonical,
        concat([before, bytes]),
        () =>
          `, which is ${shownBytes(own.bytes)}${
            before.length === 0 ? "" : ` behind ${shownBytes(before)}`
          } with ${how()}`
      )
      if (problem !== undefined) return problem
    }
  }
  return spelledOtherwise(subject, canonical, said(codec, value), () => "")
}

const spelledOtherwise = <In, Out extends In>(
  { codec }: Subject<In, Out>,
  canonical: (frame: In) => boolean,
  bytes: Uint8Array,
  how: () => string
): Suite.Problem | undefined => {
  const feed = new Feed(codec)
  feed.input.push(bytes.slice())
  const encoder = Codec.encoderOf(codec)
  for (let i = 0, from = 0; feed.next(); i++) {
    const frame = feed.frames[i]
    const own = bytes.subarray(from, feed.input.consumed)
    from = feed.input.consumed
    const into = new ByteWriter()
    // Whether it may be sent is what the option says.
    const result: unknown = attempt(() => encoder.encode(frame as Out, into))
    const again = result === undefined || (Result.isResult(result) && Result.isSuccess(result))
      ? into.finishBytes()
      : undefined
    if (again !== undefined && sameBytes(own, again)) continue
    // What comes behind a frame that does not count cannot be told of a codec with a memory.
    if (!canonical(frame)) return undefined
    return {
      scenario: `${shownBytes(bytes)} arrives${how()}`,
      expected: "each frame has one spelling (canonical): what gives a frame is what the frame is encoded to",
      actual: `${shownBytes(own)} gives the frame ${shownFrame(frame)}, ${
        again === undefined
          ? `and encoding that ${shownResult(result).slice(3)}`
          : `which is encoded to ${shownBytes(again)}`
      }`
    }
  }
  return undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Text that is none
// ---------------------------------------------------------------------------------------------------------------------

const replacement = "\ufffd"

/** Whether a replacement character is in any of the texts of a frame. */
const isReplaced = (value: unknown, seen = new Set<object>()): boolean => {
  if (typeof value === "string") return value.includes(replacement)
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || seen.has(value)) return false
  seen.add(value)
  if (Redacted.isRedacted(value)) return isReplaced(Redacted.value(value), seen)
  const inner: Iterable<unknown> = value instanceof Map || value instanceof Set
    ? [...value].flat()
    : Object.values(value)
  for (const part of inner) if (isReplaced(part, seen)) return true
  return false
}

/** In UTF-8 this byte is nowhere. */
const never = 0xff

/** Bytes that are no text give none: where they become U+FFFD, many different ones are the same frame. */
export const trueText = <In, Out extends In>({ codec, lossy }: Subject<In, Out>): Check<Out> => (value) => {
  const chosen = lossy ? undefined : oneOf(codec, value)
  if (chosen === undefined) return undefined
  const { before, own } = chosen
  // The character may have been sent, and with half of it there, as UTF-16 may have it, it may come to be without a loss.
  if (own.bytes.includes(0xfd) || isReplaced(value.frames)) return undefined
  const step = Math.ceil(own.bytes.length / 32)
  for (let at = value.flood.keep % step; at < own.bytes.length; at += step) {
    const bytes = concat([before, own.bytes]).slice()
    bytes[before.length + at] = never
    const frame = decodePieces(codec, [bytes]).frames.find((frame) => isReplaced(frame))
    if (frame === undefined) continue
    return {
      scenario: `${shownBytes(bytes)} arrives, with \\xff at byte ${before.length + at}, which is nowhere in UTF-8`,
      expected: "what is not text is refused, for else different bytes give the same frame (lossy)",
      actual: `it gives the frame ${shownFrame(frame)}, with U+FFFD in the place of what came`
    }
  }
  return undefined
}
