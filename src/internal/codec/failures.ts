/**
 * The errors of codecs, with an excerpt that does not depend on how the bytes were cut.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Result from "effect/Result"
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

// What is run by Effect, such as a schema, hands what was thrown on inside a cause.
const rootOf = (thrown: unknown): unknown =>
  thrown instanceof Error && Cause.isCause(thrown.cause) ? Cause.squash(thrown.cause) : thrown

/** What was thrown at something that a peer has sent. Whoever is to blame, the peer can send it again. */
export const thrownProblem = (thrown: unknown): string => `the codec threw ${Excerpt.ofText(String(rootOf(thrown)))}`

/** A frame that a function throws at is no frame, and no defect either. */
export const attempt = <A, B>(
  frame: A,
  decode: (frame: A) => Result.Result<B, MalformedFrame>
): Result.Result<B, MalformedFrame> => {
  try {
    return decode(frame)
  } catch (thrown) {
    return Result.fail(
      new MalformedFrame({ problem: thrownProblem(thrown), excerpt: Excerpt.ofFrame(frame), fault: "peer" })
    )
  }
}
