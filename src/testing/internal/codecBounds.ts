/**
 * The laws of a codec about what is long: law 4, oversize, and law 8, linear cost.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { ByteWriter } from "../../internal/bytes/writer.ts"
import * as Cases from "./codecCases.ts"
import { type Check, cycle, isDecoded, type Limit, type Subject } from "./codecSubject.ts"
import { plural, shownBytes, shownEnd, shownFrame, shownFrames, shownOutcome, shownResult } from "./codecWords.ts"
import { attempt, crumbs, decodePieces, Feed, isCodecError, type Takes, Thrown } from "./countingBuffer.ts"
import { memory } from "./platform.ts"
import type * as Suite from "./suite.ts"

/** Of what comes without end, the first frames are enough. */
export const mostFrames = 64

/** More than any codec of this package buffers by default. */
export const plenty = 66 * 1024

// ---------------------------------------------------------------------------------------------------------------------
// Law 4, oversize
// ---------------------------------------------------------------------------------------------------------------------

const wrongRefusal = (result: unknown, limit: number, fault: Codec.Fault): string | undefined => {
  const error = Result.isResult(result) && Result.isFailure(result) ? result.failure : undefined
  return isCodecError(error) && error._tag === "FrameTooLarge" && error.limit === limit && error.fault === fault
    ? undefined
    : shownResult(result)
}

/** The limit itself, from both of its sides. */
export const limits = <In, Out extends In>(subject: Subject<In, Out>) => (): Suite.Problem | undefined =>
  subject.limit === undefined
    ? undefined
    : atTheLimit(subject, subject.limit) ?? sentAbove(subject, subject.limit) ??
      receivedAbove(subject, subject.limit) ??
      stretched(subject, subject.limit)

const atTheLimit = <In, Out extends In>(
  subject: Subject<In, Out>,
  limit: Limit<In, Out>
): Suite.Problem | undefined => {
  const { codec } = subject
  const longest = limit.ofLength(limit.maxLength)
  const bytes = Cases.encode(codec, longest)
  if (bytes === undefined) {
    return {
      scenario: `${shownFrame(longest)}, a frame of exactly the limit of ${limit.maxLength}, is encoded`,
      expected: "it is encoded: the limit itself is allowed",
      actual: shownResult(attempt(() => codec.encode(longest, new ByteWriter())))
    }
  }
  if (!isDecodedInside(subject, limit)) return undefined
  for (const { how, pieces, takes } of arrivals(bytes)) {
    const got = decodePieces(codec, pieces, takes)
    if (got.end === undefined ? got.frames.length === 1 : got.end._tag === "Overread") continue
    return {
      scenario: `${shownBytes(bytes)}, a frame of exactly the limit of ${limit.maxLength}, arrives ${how}`,
      expected: "it is decoded: the limit itself is allowed",
      actual: shownOutcome(got)
    }
  }
  return undefined
}

const sentAbove = <In, Out extends In>(
  { codec }: Subject<In, Out>,
  { maxLength, ofLength }: Limit<In, Out>
): Suite.Problem | undefined => {
  const over = ofLength(maxLength + 1)
  const wrong = wrongRefusal(attempt(() => codec.encode(over, new ByteWriter())), maxLength, "local")
  return wrong === undefined ? undefined : {
    scenario: `${shownFrame(over)}, a frame of ${maxLength + 1} where the limit is ${maxLength}, is encoded`,
    expected: `it fails with a FrameTooLarge of limit ${maxLength} and fault "local"`,
    actual: wrong
  }
}

/** A limit of many bytes is not exceeded by more than that. */
const mostStretched = 1024 * 1024

/** What is too long, in bytes that the same codec with another limit has made. */
const receivedAbove = <In, Out extends In>(
  { codec }: Subject<In, Out>,
  { maxLength, ofLength, withMaxLength }: Limit<In, Out>
): Suite.Problem | undefined => {
  const longest = Cases.encode(codec, ofLength(maxLength))
  if (longest === undefined || withMaxLength === undefined) return undefined
  for (const length of [maxLength + 1, 2 * maxLength + 2, 4 * maxLength + 4]) {
    if (length > maxLength + mostStretched) continue
    const bytes = Cases.encode(withMaxLength(length), ofLength(length))
    // Its format may have no room for one that long.
    if (bytes === undefined) continue
    const scenario = `${shownBytes(bytes)}, a frame of ${length} where the limit is ${maxLength}, arrives`
    for (const { how, pieces, takes } of arrivals(bytes)) {
      const got = decodePieces(codec, pieces, takes)
      if (got.end?._tag === "Overread") continue
      const wrong = got.frames.length > 0 || got.end?._tag !== "Failed"
        ? `it gives ${shownOutcome(got)}`
        : wrongRefusal(Result.fail(got.end.error), maxLength, "peer")
      if (wrong === undefined) continue
      return {
        scenario: `${scenario} ${how}`,
        expected: `it fails with a FrameTooLarge of limit ${maxLength} and fault "peer"`,
        actual: wrong
      }
    }
    const early = decodePieces(codec, crumbs(bytes.subarray(0, longest.length)))
    if (early.end !== undefined) continue
    return {
      scenario,
      expected: `it is refused by the time that ${longest.length} bytes are there, for a frame at the limit ends then`,
      actual: `it asks for more with ${early.rest!.length} bytes unread: it looks at the limit too late to save memory`
    }
  }
  return undefined
}

/**
 * The bytes of the longest frame, with one more inside or one of the first ones counted up, as a length would be. It may
 * be another frame or none; but where it is one that this codec refuses to send for its length, it is one too many.
 */
const stretched = <In, Out extends In>(
  { codec }: Subject<In, Out>,
  { maxLength, ofLength }: Limit<In, Out>
): Suite.Problem | undefined => {
  const longest = Cases.encode(codec, ofLength(maxLength))
  if (longest === undefined) return undefined
  const middle = longest.length >> 1
  const longer = concat([longest.subarray(0, middle), longest.subarray(Math.max(0, middle - 1))])
  for (let i = -1; i < Math.min(8, longer.length); i++) {
    const bytes = longer.slice()
    if (i >= 0) bytes[i]++
    const { end, frames, rest } = decodePieces(codec, [bytes])
    if (end !== undefined || frames.length !== 1 || rest!.length > 0) continue
    // An `In` that is no `Out` is refused for what it is, and not for its length.
    const again: unknown = attempt(() => codec.encode(frames[0] as Out, new ByteWriter()))
    if (wrongRefusal(again, maxLength, "local") !== undefined) continue
    return {
      scenario: `${shownBytes(bytes)} arrives, and the limit is ${maxLength}`,
      expected: "what the codec refuses to send because it is too long, it does not receive either",
      actual: `it gives ${shownFrames(frames)}, and encoding that ${shownResult(again).slice(3)}`
    }
  }
  return undefined
}

/** Whether a frame well inside the limit is decoded. Where it is not, the limit is not to blame. */
const isDecodedInside = <In, Out extends In>(subject: Subject<In, Out>, { maxLength, ofLength }: Limit<In, Out>) => {
  const frame = attempt(() => ofLength(Math.floor(maxLength / 2)))
  if (frame instanceof Thrown) return true
  const bytes = Cases.encode(subject.codec, frame)
  return bytes === undefined || isDecoded(subject, [{ frame, bytes }])
}

const arrivals = (
  bytes: Uint8Array
): ReadonlyArray<{ readonly how: string; readonly pieces: ReadonlyArray<Uint8Array>; readonly takes?: Takes }> => [
  { how: "in one piece", pieces: [bytes] },
  { how: "in small pieces", pieces: crumbs(bytes) },
  { how: "in one piece for decodeMany", pieces: [bytes], takes: () => 1000 }
]

/** The limit is that of one frame, and not of all that is there. */
export const crowded = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const { codec, limit } = subject
  const encoded = Cases.encodable(codec, value.frames)
  const own = concat(encoded.map(({ bytes }) => bytes))
  if (own.length === 0 || !isDecoded(subject, encoded)) return undefined
  const bytes = Cases.repeated(own, Math.min(limit === undefined ? plenty : 4 * limit.maxLength, plenty))
  const got = decodePieces(codec, [bytes], undefined, mostFrames)
  const refused = got.end?._tag === "Failed" && isCodecError(got.end.error) && got.end.error._tag === "FrameTooLarge"
  return !refused ? undefined : {
    scenario: `${
      shownFrames(encoded.map(({ frame }) => frame))
    } arrive again and again, ${bytes.length} bytes in one piece`,
    expected: "each of them is decoded: none is longer than the limit, though all together are",
    actual: shownOutcome(got, Math.max(0, got.frames.length - 2))
  }
}

/** How many bytes all byte arrays have, where the platform tells. */
const allocated = (): number => memory()?.arrayBuffers ?? 0

/** Where one array this large is allocated, it was not by chance. */
const noise = 16 * 1024

/** Bytes without end, which are no frame. */
export const endless = <In, Out extends In>({ codec, maxBuffered }: Subject<In, Out>): Check<Out> => (value) => {
  const encoded = Cases.encodable(codec, value.frames)[0]?.bytes ?? value.garbage
  const { filler, head } = Cases.floodOf(encoded, value.flood)
  const scenario = `${Excerpt.ofBytes(head)} arrives, and then ${Excerpt.ofBytes(Uint8Array.of(filler))} without end`
  const feed = new Feed(codec)
  feed.input.push(head.slice())
  const before = allocated()
  feed.drain(undefined, mostFrames)
  const more = allocated() - before
  if (more > maxBuffered + noise) {
    return {
      scenario: `${Excerpt.ofBytes(head)} arrives, and nothing else yet`,
      expected: "the length is checked before anything is allocated for the frame",
      actual: `${more} bytes are allocated, and then it ${
        feed.end === undefined ? "asks for more" : shownEnd(feed.end)
      }`
    }
  }
  const chunk = new Uint8Array(Math.min(4096, Math.ceil(maxBuffered / 4))).fill(filler)
  let pushed = head.length
  let framed = 0
  for (let frames = 0; feed.end === undefined && feed.frames.length < mostFrames;) {
    // Counted from the last frame, so that it makes no difference where a decoder hoards them.
    if (feed.frames.length > frames) framed = feed.input.consumed
    frames = feed.frames.length
    const waiting = pushed - framed
    if (waiting > maxBuffered) {
      return {
        scenario,
        expected: `it fails, or gives a frame, before more than ${maxBuffered} bytes wait (maxBuffered)`,
        actual: `it asks for more with ${waiting} bytes received since the last frame`
      }
    }
    feed.input.push(chunk)
    pushed += chunk.length
    feed.drain(undefined, mostFrames)
  }
  return undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 8, linear cost
// ---------------------------------------------------------------------------------------------------------------------

/** How many bytes the cost is measured at, and at twice as many. */
export const costly = 1024

export interface Load {
  readonly what: () => string
  readonly bytes: (length: number) => Uint8Array
  readonly codec: Codec.Codec<unknown, never>
  readonly size: number
  readonly takes: ReadonlyArray<number>
  readonly looksPerByte: number
}

/** Whether what a decoder has given costs so little that what follows need not be measured. */
const isSteady = ({ input }: Feed<unknown>, looksPerByte: number): boolean =>
  input.examined <= Math.min(4, looksPerByte + 0.5) * input.consumed

/** Gives bytes to a decoder in pieces of one size, as long as there is something to learn; how many it was given. */
const fill = (feed: Feed<unknown>, bytes: Uint8Array, { looksPerByte, size, takes }: Load): number => {
  const next = cycle(takes)
  let fed = 0
  // What is looked at again is what waits, and of frames one behind the other never more waits than behind the first.
  let most = mostFrames
  // Cut as it is needed, for most of what never ends is refused soon.
  while (fed < bytes.length && feed.end === undefined) {
    const piece = bytes.subarray(fed, fed + size)
    feed.input.push(piece)
    fed += piece.length
    feed.drain(next, most)
    if (feed.frames.length < most) continue
    if (isSteady(feed, looksPerByte)) break
    most = Infinity
    feed.drain(next)
  }
  return fed
}

const cost = (load: Load, length: number) => {
  const feed = new Feed(load.codec)
  feed.input.allowance = load.looksPerByte * length + 1024
  const fed = fill(feed, load.bytes(length), load)
  return { fed, examined: feed.input.examined, looks: feed.input.looks, spent: feed.end?._tag === "Spent" }
}

export const tooDear = (load: Load): Suite.Problem | undefined => {
  const all = cost(load, 2 * costly)
  // So little that half of it can neither have been too dear nor have cost a third of that.
  if (!all.spent && all.examined <= Math.min(4 * all.fed, load.looksPerByte * costly + 1024)) return undefined
  const once = cost(load, costly)
  const twice = once.spent ? once : all
  const perByte = (measured: { readonly examined: number; readonly fed: number }) =>
    Math.round(10 * measured.examined / measured.fed) / 10
  const grown = twice.examined > 3 * once.examined && twice.examined > 4 * twice.fed
  if (!twice.spent && !grown) return undefined
  const [call] = Object.entries(twice.looks).toSorted(([, a], [, b]) => b - a)[0]
  return {
    scenario: `${load.what()}, in pieces of ${plural(load.size, "byte")}${
      load.takes.some((max) => max > 0) ? ", to decodeMany" : ""
    }`,
    expected:
      `it looks at each byte at most ${load.looksPerByte} times on average, however long the frame and however small the pieces`,
    actual: twice.spent
      ? `it has looked ${twice.examined} times, most of them with ${call}, when the first ${twice.fed} bytes were there`
      : `it looks at each of ${once.fed} bytes ${perByte(once)} times and at each of ${twice.fed} bytes ${
        perByte(twice)
      } times, most of them with ${call}: twice the bytes, four times the work`
  }
}

export const linear = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const { batches, codec, looksPerByte } = subject
  const encoded = Cases.encodable(codec, value.frames)
  const frames = concat(encoded.map(({ bytes }) => bytes))
  const { filler, head } = Cases.floodOf(encoded[0]?.bytes ?? value.garbage, value.flood)
  const endless: Load = {
    what: () => `${Excerpt.ofBytes(head)} arrives, and then ${Excerpt.ofBytes(Uint8Array.of(filler))} again and again`,
    bytes: (length) => concat([head, new Uint8Array(length).fill(filler)]),
    codec,
    size: [1, 1, 7, 64][value.flood.filler % 4],
    takes: [0],
    looksPerByte
  }
  const many: Load = {
    ...endless,
    what: () => `${shownFrames(encoded.map(({ frame }) => frame))} arrive again and again`,
    bytes: (length) => Cases.repeated(frames, length),
    size: 2 * costly
  }
  for (const load of frames.length === 0 ? [endless] : [endless, many]) {
    const problem = tooDear(load) ?? (batches ? tooDear({ ...load, takes: [1 + value.takes[0]] }) : undefined)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** One frame as long as it may be. */
export const longFrame = <In, Out extends In>({ codec, limit, looksPerByte }: Subject<In, Out>) => () => {
  if (limit === undefined) return undefined
  const { maxLength, ofLength, withMaxLength } = limit
  if (withMaxLength === undefined && maxLength < 2 * costly) return undefined
  const large = withMaxLength === undefined ? codec : withMaxLength(2 * costly)
  for (const size of [1, 7, 64]) {
    const problem = tooDear({
      what: () => `a frame of ${costly}, and one of ${2 * costly}, arrives`,
      bytes: (length) => Cases.encode(large, ofLength(length)) ?? new Uint8Array(),
      codec: large,
      size,
      takes: [0],
      looksPerByte
    })
    if (problem !== undefined) return problem
  }
  return undefined
}
