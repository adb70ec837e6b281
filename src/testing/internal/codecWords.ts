/**
 * What the laws of codecs say of bytes, frames and errors: bounded, printable, and with the place where it matters.
 *
 * @internal
 */
import * as Formatter from "effect/Formatter"
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { type Decoded, type End, isCodecError, Thrown } from "./countingBuffer.ts"

const most = 48

/** Bytes with both of their ends, for a cut stands behind one of them. */
export const shownBytes = (bytes: Uint8Array): string =>
  bytes.length <= most
    ? Excerpt.ofBytes(bytes)
    : `${Excerpt.ofBytes(bytes.slice(0, most / 2))}…${Excerpt.ofBytes(bytes.slice(-most / 2))} (${bytes.length} bytes)`

export const arriving = (pieces: ReadonlyArray<Uint8Array>): string => {
  if (pieces.length <= 6) {
    const [first] = pieces
    const cut = pieces.length === 2 && first.length > 0 && pieces[1].length > 0
    return `${pieces.map(shownBytes).join(" | ")} arrives${cut ? `, cut behind byte ${first.length}` : ""}`
  }
  return pieces.every((piece) => piece.length === 1)
    ? `${shownBytes(concat(pieces))} arrives byte by byte`
    : `${pieces.slice(0, 5).map(shownBytes).join(" | ")} | … arrives, in ${pieces.length} pieces`
}

export const shownFrame = (frame: unknown): string => {
  const shown = Excerpt.ofFrame(frame)
  return (typeof frame === "string" || frame instanceof Uint8Array) && frame.length > Excerpt.maxExcerpt
    ? `${shown} (${frame.length} ${typeof frame === "string" ? "characters" : "bytes"})`
    : shown
}

export const shownFrames = (frames: ReadonlyArray<unknown>, from = 0): string => {
  if (frames.length === 0) return "no frame"
  const shown = frames.slice(from, from + 4).map(shownFrame).join(", ")
  const behind = frames.length - from - 4
  return `${from > 0 ? `${from} frames, ` : ""}${shown}${behind > 0 ? ` and ${behind} more` : ""}`
}

export const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** Everything that an error says, as one text. */
export const errorText = (error: unknown): string => {
  if (!(error instanceof Error)) return Formatter.format(error)
  const fields = { ...error }
  return Object.keys(fields).length === 0
    ? `${error.name}: ${error.message}`
    : `${error.name} ${Formatter.format({ ...fields, message: error.message })}`
}

export const shownError = (error: unknown): string =>
  Excerpt.ofText(isCodecError(error) ? `${error._tag} (${error.fault}): ${error.message}` : errorText(error), 400)

export const shownEnd = (end: End): string => {
  switch (end._tag) {
    case "Failed":
      return `fails with ${shownError(end.error)}`
    case "Threw":
      return `throws ${shownError(end.cause)}`
    case "Overread":
      return `looks behind the unread bytes with ${end.call}`
    case "Spent":
      return "looks at the same bytes again and again"
    case "Odd":
      return `returns ${shownFrame(end.value)}`
    case "Endless":
      return "gives frame after frame without taking a byte"
    case "TooMany":
      return `gives ${end.given} frames where decodeMany was asked for ${end.max}`
  }
}

export const shownOutcome = (decoded: Decoded<unknown>, from = 0): string =>
  `${shownFrames(decoded.frames, from)}, then it ${
    decoded.end === undefined ? `asks for more with ${shownBytes(decoded.rest!)} unread` : shownEnd(decoded.end)
  }`

/** What came of encoding a frame. */
export const shownResult = (result: unknown): string =>
  result instanceof Thrown
    ? `it throws ${shownError(result.cause)}`
    : Result.isResult(result) && Result.isFailure(result)
    ? `it fails with ${shownError(result.failure)}`
    : "it is encoded"
