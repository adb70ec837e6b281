/**
 * The errors of codecs, with an excerpt that does not depend on how the bytes were cut.
 *
 * @internal
 */
import * as Excerpt from "../../Excerpt.ts"
import { type ByteBuffer, FrameTooLarge, MalformedFrame } from "./model.ts"

/** How a frame begins of which the first `length` bytes are there, and more are needed. */
export const beginning = (input: ByteBuffer, length: number): string =>
  length > Excerpt.maxExcerpt
    ? Excerpt.ofBytes(input.peek(0, Excerpt.maxExcerpt + 1))
    : `${Excerpt.ofBytes(input.peek(0, length))}…`

/** The frame in front is longer than that. */
export const tooLarge = (input: ByteBuffer, limit: number): FrameTooLarge => {
  // The excerpt must not depend on how much more has arrived already.
  const shown = Math.min(limit, Excerpt.maxExcerpt)
  return new FrameTooLarge({ limit, excerpt: Excerpt.ofBytes(input.peek(0, shown + 1), shown), fault: "peer" })
}

/** A frame that cannot be sent. */
export const unencodable = (problem: string, frame: unknown): MalformedFrame =>
  new MalformedFrame({ problem: Excerpt.ofText(problem), excerpt: Excerpt.ofFrame(frame), fault: "local" })
