/**
 * The laws of any codec.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { ByteWriter } from "../../internal/bytes/writer.ts"
import * as Bounds from "./codecBounds.ts"
import * as Cases from "./codecCases.ts"
import * as Extremes from "./codecExtremes.ts"
import * as Received from "./codecReceived.ts"
import {
  type Check,
  cycle,
  difference,
  equals,
  isDecoded,
  isDecodedAs,
  join,
  overread,
  remember,
  said,
  type Subject
} from "./codecSubject.ts"
import {
  arriving,
  plural,
  shownBytes,
  shownEnd,
  shownError,
  shownFrame,
  shownFrames,
  shownOutcome,
  shownResult
} from "./codecWords.ts"
import {
  attempt,
  crumbs,
  cutInto,
  decoded,
  decodePieces,
  Feed,
  isCodecError,
  splits,
  type Takes,
  Thrown
} from "./countingBuffer.ts"
import { stackless } from "./stackless.ts"
import * as Suite from "./suite.ts"

export interface CodecOptions<In, Out extends In = In> extends Suite.CheckOptions {
  /** What the codec is called in the names of the tests and in failures. Default: `codec`. */
  readonly name?: string | undefined
  /** Registers one test for each law: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`. */
  readonly it?: Suite.Register | undefined
  /** The longest frame, as the codec counts it. With `ofLength`, the limit is checked on both of its sides. */
  readonly maxLength?: number | undefined
  /** A frame of exactly that length, as the codec counts it. */
  readonly ofLength?: ((length: number) => Out) | undefined
  /** The same codec with another limit. It makes the bytes of a frame that is too long for the one under test. */
  readonly withMaxLength?: ((maxLength: number) => Codec.Codec<In, Out>) | undefined
  /**
   * How many bytes may wait without being a frame. Default: four times as many as the longest frame takes where
   * `maxLength` and `ofLength` are given, and 1 MiB where they are not.
   */
  readonly maxBuffered?: number | undefined
  /** Bytes that are a frame now and then. Default: encoded frames with a few bytes changed, and random bytes. */
  readonly garbage?: Arbitrary.Arbitrary<Uint8Array> | undefined
  /** How often the decoder may look at each byte, on average. Default: 32. */
  readonly looksPerByte?: number | undefined
  /**
   * `true` where each frame has one spelling: the bytes that give a frame are those that it is encoded to, and other bytes are
   * refused, such as `05` for a `5`. Then law 12 writes encoded frames otherwise, at each place and in many ways, and encodes
   * again whatever frame comes out. A function says which frames have only one; those that cannot be sent have none.
   * Default: `false`.
   */
  readonly canonical?: boolean | ((frame: In) => boolean) | undefined
  /** `true` where bytes that are no text may become U+FFFD, and are not refused. Default: `false`. */
  readonly lossy?: boolean | undefined
  /**
   * Bytes of frames that grow, each by what grows in it, such as `{ items: (size) => …, levels: (size) => … }`: what they cost and
   * allocate is to be in proportion, and no stack may overflow. Frames that were drawn are grown anyway, where there are arrays,
   * maps and records in them.
   */
  readonly growing?: Readonly<Record<string, (size: number) => Uint8Array>> | undefined
  /** Whether two frames are the same. Default: deep equality, that of bytes by their values. */
  readonly equals?: ((a: In, b: In) => boolean) | undefined
  /**
   * `false` where the frames depend on how the bytes were cut, as those of `Codec.bytes` do: then the laws compare what
   * the frames are when they are joined.
   */
  readonly selfDelimiting?: boolean | undefined
}

const known: Readonly<Record<keyof CodecOptions<unknown>, true>> = {
  canonical: true,
  equals: true,
  garbage: true,
  growing: true,
  it: true,
  looksPerByte: true,
  lossy: true,
  maxBuffered: true,
  maxLength: true,
  name: true,
  ofLength: true,
  replay: true,
  runs: true,
  seed: true,
  selfDelimiting: true,
  withMaxLength: true
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 1, chunking
// ---------------------------------------------------------------------------------------------------------------------

const chunking = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const bytes = said(subject.codec, value)
  const drawn = cutInto(bytes, value.lengths)
  return asInOnePiece(subject, bytes, [...splits(bytes), drawn]) ??
    (subject.batches
      ? asInOnePiece(subject, bytes, [[bytes], crumbs(bytes), drawn], [[1], [2], [3], [1000], value.takes])
      : undefined)
}

/** In each of these pieces, bytes give what they do in one, and `decodeMany` gives what `decode` does. */
const asInOnePiece = <In, Out extends In>(
  subject: Subject<In, Out>,
  bytes: Uint8Array,
  cuts: Iterable<ReadonlyArray<Uint8Array>>,
  batches: ReadonlyArray<ReadonlyArray<number>> = [[0]]
): Suite.Problem | undefined => {
  const whole = decodePieces(subject.codec, [bytes])
  for (const pieces of cuts) {
    for (const takes of batches) {
      const cut = decodePieces(subject.codec, pieces, cycle(takes))
      const at = overread(whole, cut) ? -1 : difference(subject, whole, cut)
      if (at === -1) continue
      const from = subject.selfDelimiting ? Math.max(0, at - 2) : 0
      const many = takes.some((max) => max > 0)
      return {
        scenario: `${arriving(pieces)}${many ? `, and decodeMany is asked for ${takes.join(", then ")}` : ""}`,
        expected: `what it gives in one piece${many ? ", one frame at a time" : ""}: ${shownOutcome(whole, from)}`,
        actual: shownOutcome(cut, from)
      }
    }
  }
  return undefined
}

/** An error about what is too long must not depend on how it arrived either. */
const chunkingAboveTheLimit = <In, Out extends In>(subject: Subject<In, Out>) => (): Suite.Problem | undefined => {
  const { limit } = subject
  if (limit?.withMaxLength === undefined) return undefined
  const length = limit.maxLength + 1
  const bytes = Cases.encode(limit.withMaxLength(length), limit.ofLength(length))
  return bytes && asInOnePiece(subject, bytes, splits(bytes))
}

/** What fails only when much has arrived must not depend on how it arrived either. */
const chunkingOfFloods = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const { codec, limit } = subject
  const encoded = Cases.encodable(codec, value.frames)[0]?.bytes ?? value.garbage
  const { filler, head } = Cases.floodOf(encoded, value.flood)
  const length = Math.min(limit === undefined ? Bounds.plenty : 2 * limit.maxLength, Bounds.plenty)
  const bytes = concat([head, new Uint8Array(length).fill(filler), encoded])
  const size = Math.ceil(bytes.length / 60) + value.lengths[0]
  const pieces = cutInto(bytes, [size])
  const [whole, cut] = [[bytes], pieces].map((pieces) => decodePieces(codec, pieces, undefined, Bounds.mostFrames))
  const at = overread(whole, cut) ? -1 : difference(subject, whole, cut)
  if (at === -1 || at === Bounds.mostFrames) return undefined
  return {
    scenario: `${Excerpt.ofBytes(head)}, ${length} times ${Excerpt.ofBytes(Uint8Array.of(filler))} and ${
      shownBytes(encoded)
    } arrives, in ${plural(pieces.length, "piece")} of ${plural(size, "byte")}`,
    expected: `what it gives in one piece: ${shownOutcome(whole, Math.max(0, at - 2))}`,
    actual: shownOutcome(cut, Math.max(0, at - 2))
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 2, conservation
// ---------------------------------------------------------------------------------------------------------------------

const conservation = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const encoded = Cases.encodable(subject.codec, value.frames)
  for (const { bytes, frame } of subject.selfDelimiting ? encoded : []) {
    const problem = ownBytes(subject, frame, bytes, value.garbage)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** One frame with something behind it: it takes its own bytes, and leaves the others as they are. */
const ownBytes = <In, Out extends In>(
  { codec, same }: Subject<In, Out>,
  frame: Out,
  own: Uint8Array,
  behind: Uint8Array
): Suite.Problem | undefined => {
  const feed = new Feed(codec)
  const bytes = concat([own, behind]).slice()
  const given = bytes.slice()
  feed.input.push(given)
  // A frame that is not decoded, or not as it was, is for other laws to report.
  if (!feed.next() || !same(feed.frames[0], frame)) return undefined
  const scenario = `${shownBytes(own)} and ${shownBytes(behind)} arrive, the frame ${
    shownFrame(frame)
  } and what is behind it`
  const { consumed } = feed.input
  if (consumed !== own.length) {
    return {
      scenario,
      expected: `the frame takes its ${plural(own.length, "byte")}`,
      actual: consumed > own.length
        ? `it takes ${shownBytes(bytes.subarray(own.length, consumed))} behind it as well, ${
          plural(consumed - own.length, "byte")
        } too many`
        : `it leaves the last ${shownBytes(bytes.subarray(consumed, own.length))} of them unread`
    }
  }
  const written = bytes.findIndex((byte, i) => given[i] !== byte)
  return written === -1 ? undefined : {
    scenario,
    expected: "the bytes that arrived stay as they are",
    actual: `the decoder has written to them: byte ${written} was ${
      Excerpt.ofBytes(bytes.subarray(written, written + 1))
    } and is ${Excerpt.ofBytes(given.subarray(written, written + 1))}`
  }
}

const conservationOfAnything = <In, Out extends In>({ codec }: Subject<In, Out>): Check<Out> => (value) => {
  const bytes = said(codec, { ...value, led: true })
  return untouched(codec, crumbs(bytes), cycle([0])) ??
    untouched(codec, cutInto(bytes, value.lengths), cycle(value.takes))
}

/** What any bytes must leave alone: the buffer while more is asked for, what is behind it, and the frames given out. */
const untouched = <In>(
  codec: Codec.Codec<In, never>,
  pieces: ReadonlyArray<Uint8Array>,
  takes: Takes
): Suite.Problem | undefined => {
  const feed = new Feed(codec)
  const kept: Array<{ readonly text: string; readonly isSame: () => boolean }> = []
  const problem = (expected: string, actual: string) => ({ scenario: arriving(pieces), expected, actual })
  const changed = (when: string): Suite.Problem | undefined => {
    const index = kept.findIndex(({ isSame }) => !isSame())
    return index === -1 ? undefined : problem(
      `frame ${index + 1}, ${kept[index].text}, stays as it was given out`,
      `it has become ${shownFrame(feed.frames[index])} when ${when}`
    )
  }
  for (const piece of pieces) {
    feed.input.push(piece.slice())
    for (;;) {
      const max = takes()
      if (!(max > 0 && feed.nextMany(max)) && !feed.next()) break
      const found = changed(`frame ${kept.length + 1} was decoded`)
      if (found !== undefined) return found
      for (const frame of feed.frames.slice(kept.length)) {
        kept.push({ text: shownFrame(frame), isSame: remember(frame) })
      }
    }
    if (feed.taken !== undefined) {
      const { at, count } = feed.taken
      return problem(
        "a decoder that asks for more has taken nothing",
        `it takes ${
          shownBytes(concat(pieces).subarray(at, at + count))
        }, from byte ${at} on, and asks for more: where the connection ends now, the cut frame is not seen`
      )
    }
    if (feed.end !== undefined) break
  }
  if (feed.end?._tag === "Overread") {
    return problem(
      "a decoder looks at the unread bytes only, of which `length` says how many there are",
      `behind ${plural(feed.frames.length, "frame")}, it ${shownEnd(feed.end)}`
    )
  }
  return feed.end?._tag === "Endless"
    ? problem("each frame takes the bytes that it is made of", `it ${shownEnd(feed.end)}`)
    : changed("more bytes arrived")
}

/** Encoding leaves the frame as it is, and a frame that cannot be encoded leaves no trace. */
const conservationOfSent = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => {
  const { codec, limit, selfDelimiting } = subject
  const tooLong = limit === undefined || limit.maxLength > Bounds.plenty ? [] : [limit.ofLength(limit.maxLength + 1)]
  return ({ frames }) => {
    const into = new ByteWriter()
    const encoder = Codec.encoderOf(codec)
    const sent: Array<Out> = []
    const refused: Array<Out> = []
    for (const frame of [...frames, ...tooLong, frames[0]]) {
      const isSame = remember(frame)
      const before = shownFrame(frame)
      into.mark()
      const undo = encoder.checkpoint()
      const result: unknown = attempt(() => encoder.encode(frame, into))
      const failed = result instanceof Thrown || (Result.isResult(result) && Result.isFailure(result))
      // As a transport does.
      if (failed) {
        into.reset()
        undo()
      }
      const done = failed ? refused : sent
      done.push(frame)
      if (!isSame()) {
        return {
          scenario: `the frame ${before} is encoded`,
          expected: "the frame stays as it is",
          actual: `it has become ${shownFrame(frame)}`
        }
      }
    }
    // What does not arrive without the others either is for law 12 to report.
    if (!selfDelimiting || refused.length === 0 || !isDecodedAs(subject, inOneWrite(codec, sent), sent)) {
      return undefined
    }
    const bytes = into.finishBytes()
    return isDecodedAs(subject, bytes, sent) ? undefined : {
      scenario: `${shownFrames(sent)} are encoded, and in between ${shownFrames(refused)}, which the codec refuses`,
      expected: "the other side receives the others, and nothing of what was refused",
      actual: shownOutcome(decodePieces(codec, [bytes]))
    }
  }
}

const inOneWrite = <Out>(codec: Codec.Codec<unknown, Out>, frames: ReadonlyArray<Out>): Uint8Array => {
  const into = new ByteWriter()
  const encoder = Codec.encoderOf(codec)
  for (const frame of frames) encoder.encode(frame, into)
  return into.finishBytes().slice()
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 3, truncation
// ---------------------------------------------------------------------------------------------------------------------

/** Every proper prefix where they are few, and otherwise both ends and some in between. */
const prefixes = (length: number, lengths: ReadonlyArray<number>): ReadonlyArray<number> => {
  if (length <= 64) return Array.from({ length }, (_, n) => n)
  const step = Math.ceil(length / 16)
  return Array.from({ length }, (_, n) => n).filter((n) => n < 24 || n >= length - 16 || n % step === lengths[0] % step)
}

const truncation = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const { codec } = subject
  const encoded = Cases.encodable(codec, value.frames)
  let before: Cases.Encoded<Out> | undefined
  for (const own of encoded) {
    if (!isDecoded(subject, before === undefined ? [own] : [before, own])) return undefined
    for (const length of prefixes(own.bytes.length, value.lengths)) {
      const problem = cutShort(subject, before, own, length)
      if (problem !== undefined) return problem
    }
    before = own
  }
  return undefined
}

/** Whatever was there, to ask again without new bytes gives nothing new. */
const askedAgain = <In, Out extends In>({ codec }: Subject<In, Out>): Check<Out> => (value) => {
  const feed = new Feed(codec)
  const bytes = said(codec, value)
  for (let at = 0; at < bytes.length; at++) {
    feed.input.push(bytes.slice(at, at + 1))
    feed.drain()
    if (feed.end !== undefined) return undefined
    const { length } = feed.frames
    if (!feed.next() && (feed.end === undefined || overread(decoded(feed)))) continue
    return {
      scenario: `${arriving(crumbs(bytes.subarray(0, at + 1)))}, and the decoder is asked again without new bytes`,
      expected: "it asks for more again",
      actual: feed.frames.length > length
        ? `it gives the frame ${shownFrame(feed.frames.at(-1))}`
        : `it ${shownEnd(feed.end!)}`
    }
  }
  return undefined
}

/** The first `length` bytes of a frame, behind another one; then the rest. */
const cutShort = <In, Out extends In>(
  { codec, same }: Subject<In, Out>,
  before: Cases.Encoded<Out> | undefined,
  { bytes, frame }: Cases.Encoded<Out>,
  length: number
): Suite.Problem | undefined => {
  const feed = new Feed(codec)
  if (before !== undefined) {
    feed.input.push(before.bytes.slice())
    if (!feed.next()) return undefined
  }
  const { consumed } = feed.input
  const prefix = bytes.slice(0, length)
  feed.input.push(prefix)
  const problem = (then: string, actual: string): Suite.Problem => ({
    scenario: `${before === undefined ? "" : `behind the frame ${shownFrame(before.frame)}, `}${
      [prefix, bytes.subarray(length)].map(shownBytes).join(" | ")
    }: only the first ${length} of the ${plural(bytes.length, "byte")} of ${shownFrame(frame)} have arrived${then}`,
    expected: "it asks for more and leaves them unread, so that the end of the connection here is seen as a cut",
    actual
  })
  for (const then of ["", ", and it is asked again"]) {
    if (feed.next()) return problem(then, `it gives the frame ${shownFrame(feed.frames.at(-1))}`)
    if (feed.end?._tag === "Overread") return undefined
    if (feed.end !== undefined) return problem(then, `it ${shownEnd(feed.end)}`)
    const took = feed.input.consumed - consumed
    if (took > 0) return problem(then, `it takes ${shownBytes(prefix.subarray(0, took))} of them and asks for more`)
  }
  feed.input.push(bytes.slice(length))
  if (feed.next() ? same(feed.frames.at(-1)!, frame) : feed.end?._tag === "Overread") return undefined
  return {
    ...problem(", and then the rest of it", `it gives ${shownOutcome(decoded(feed))}`),
    expected: `it gives the frame ${shownFrame(frame)} when it is complete`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 5, wrong turn
// ---------------------------------------------------------------------------------------------------------------------

/** The texts of an error are shown to people: none of them may be longer than this. */
const maxText = 1024

const wrongError = (error: unknown, fault: Codec.Fault): string | undefined => {
  if (!isCodecError(error)) return `it fails with ${shownError(error)}, which is neither of the two`
  if (error.fault !== fault) return `its fault is "${error.fault}": ${shownError(error)}`
  for (const [field, text] of Object.entries({ ...error, message: error.message })) {
    if (typeof text !== "string") continue
    if (text.length > maxText) return `its ${field} is ${text.length} characters long: ${shownError(error)}`
    if (Excerpt.ofText(text, text.length) !== text) {
      return `its ${field} is not printable on one line: ${Excerpt.ofString(text, 256)}`
    }
  }
  return undefined
}

const wrongTurn = <In, Out extends In>({ codec }: Subject<In, Out>): Check<Out> => (value) => {
  const own = Cases.encodable(codec, value.frames)[0]?.bytes ?? new Uint8Array()
  const stuffing = stuffings[value.flood.filler % stuffings.length]
  const place = value.flood.keep % (own.length + 1)
  const stuffed = concat([
    own.subarray(0, place),
    stuffing,
    own.subarray(place)
  ])
  for (const pieces of [cutInto(said(codec, value), value.lengths), [stuffed]]) {
    const { end } = decodePieces(codec, pieces, cycle(value.takes))
    const wrong = end === undefined
      ? undefined
      : end._tag === "Failed"
      ? wrongError(end.error, "peer")
      : end._tag === "Threw" || end._tag === "Odd"
      ? `it ${shownEnd(end)}`
      : undefined
    if (wrong !== undefined) {
      return {
        scenario: arriving(pieces),
        expected:
          "frames, or a FrameTooLarge or MalformedFrame with the fault \"peer\", whose texts are short and printable",
        actual: wrong
      }
    }
  }
  for (const frame of value.frames) {
    const result: unknown = attempt(() => codec.encode(frame, new ByteWriter()))
    const wrong = result instanceof Thrown
      ? `it throws ${shownError(result.cause)}`
      : result === undefined
      ? undefined
      : !Result.isResult(result)
      ? `it returns ${shownFrame(result)}`
      : Result.isFailure(result)
      ? wrongError(result.failure, "local")
      : undefined
    if (wrong !== undefined) {
      return {
        scenario: `${shownFrame(frame)} is encoded`,
        expected:
          "it is, or a FrameTooLarge or MalformedFrame with the fault \"local\" says why not, in short and printable texts",
        actual: wrong
      }
    }
  }
  return undefined
}

const encoder = new TextEncoder()

/** What makes a text long, or moves a terminal's cursor, or turns the direction of writing. */
const stuffings = ["x", "\u001b[2J", "\u202e", "\u0000", "1"].map((text) => encoder.encode(text)).concat(
  Uint8Array.of(0xff)
).map((bytes) => Cases.repeated(bytes, 2 * maxText))

// ---------------------------------------------------------------------------------------------------------------------
// Law 10, isolation
// ---------------------------------------------------------------------------------------------------------------------

const isolation = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const { codec } = subject
  const bytes = said(codec, { ...value, led: true })
  // The other connection says the same in another order, so that each finds what the other one is waiting for.
  const other = said(codec, { ...value, frames: value.frames.toReversed(), led: !value.led })
  const mine = cutInto(bytes, value.lengths)
  const theirs = cutInto(other, value.lengths.toReversed())
  const alone = decodePieces(codec, mine)

  const again = decodePieces(codec, mine)
  const unlike = difference(subject, alone, again)
  if (unlike !== -1) {
    return {
      scenario: `${arriving(mine)} on one connection, and then on another`,
      expected: `the same on both: ${shownOutcome(alone)}`,
      actual: shownOutcome(again)
    }
  }

  const [a, b] = [new Feed(codec), new Feed(codec)]
  for (let i = 0; i < Math.max(mine.length, theirs.length); i++) {
    for (const [feed, piece] of [[a, mine[i]], [b, theirs[i]]] as const) {
      if (piece === undefined) continue
      feed.input.push(piece.slice())
      feed.drain()
    }
  }
  if (difference(subject, alone, decoded(a)) !== -1) {
    return {
      scenario: `${arriving(mine)} on one connection, and in turns with it ${arriving(theirs)} on another`,
      expected: `what the first gives alone: ${shownOutcome(alone)}`,
      actual: shownOutcome(decoded(a))
    }
  }
  return undefined
}

/** What one connection sends must not depend on what another one sends. */
const isolationOfSent = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => ({ frames }) => {
  const { codec } = subject
  const alone = decodePieces(codec, [concat(Cases.encodable(codec, frames).map(({ bytes }) => bytes))])
  const [mine, theirs] = [Codec.encoderOf(codec), Codec.encoderOf(codec)]
  const sent: Array<Uint8Array> = []
  for (const frame of frames) {
    sent.push(...Cases.encodableWith(mine, [frame]).map(({ bytes }) => bytes))
    Cases.encode(theirs, frames[0])
  }
  const mixed = decodePieces(codec, [concat(sent)])
  return difference(subject, alone, mixed) === -1 ? undefined : {
    scenario: `${shownFrames(frames)} are encoded for one connection, and in turns with them ${
      shownFrame(frames[0])
    } for another`,
    expected: `the first receives what it does without the other: ${shownOutcome(alone)}`,
    actual: shownOutcome(mixed)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 7, interruption
// ---------------------------------------------------------------------------------------------------------------------

/** Whoever is interrupted before its turn, or cannot send all of a batch, has sent nothing. */
const interruption = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => ({ frames, takes }) => {
  const { codec } = subject
  const alone = Cases.encodable(codec, frames)
  const encoder = Codec.encoderOf(codec)
  const take = cycle(takes)
  const sent: Array<Cases.Encoded<Out>> = []
  const unsent: Array<Out> = []
  for (const frame of frames) {
    const batch = frames.slice(-(1 + take()))
    unsent.push(...batch)
    // As an outbox does: each frame has a place to go back to, and with the first of them the whole batch is undone.
    const undo = encoder.checkpoint()
    for (const other of batch) {
      Cases.encode(encoder, other)
      encoder.checkpoint()
    }
    undo()
    if (codec.encodeMany !== undefined) attempt(() => codec.encodeMany!(batch, new ByteWriter()))
    sent.push(...Cases.encodableWith(encoder, [frame]))
  }
  const decodedOf = (encoded: ReadonlyArray<Cases.Encoded<Out>>) =>
    decodePieces(codec, [concat(encoded.map(({ bytes }) => bytes))])
  const problem = (expected: string, actual: string): Suite.Problem => ({
    scenario: `${shownFrames(frames)} are sent, and between them ${
      shownFrames(unsent)
    } are encoded, which are not sent and are undone`,
    expected,
    actual
  })
  if (sent.length !== alone.length || alone.some(({ frame }, i) => frame !== sent[i].frame)) {
    return problem(
      `what is encoded without the others: ${shownFrames(alone.map(({ frame }) => frame))}`,
      `what is encoded is ${shownFrames(sent.map(({ frame }) => frame))}`
    )
  }
  const [wanted, received] = [decodedOf(alone), decodedOf(sent)]
  return difference(subject, wanted, received) === -1
    ? undefined
    : problem(
      `the other side receives what it does without the others: ${shownOutcome(wanted)}`,
      shownOutcome(received)
    )
}

// ---------------------------------------------------------------------------------------------------------------------
// Law 12, agreement
// ---------------------------------------------------------------------------------------------------------------------

const agreement = <In, Out extends In>(
  subject: Subject<In, Out>,
  more: (frame: Out) => ReadonlyArray<Out> = () => []
): Check<Out> =>
(value) => {
  for (const frame of [...value.frames, ...more(value.frames[0])]) {
    const bytes = Cases.encode(subject.codec, frame)
    const problem = bytes && roundTrip(subject, [frame], bytes)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** The longest frame may be full of what takes more room than one byte each, such as what is escaped. */
const agreementAtTheLimit = <In, Out extends In>(
  subject: Subject<In, Out>,
  filled: (frame: Out) => ReadonlyArray<Out>
): Suite.Problem | undefined => {
  const { codec, limit } = subject
  for (const frame of limit === undefined ? [] : filled(limit.ofLength(limit.maxLength))) {
    const bytes = Cases.encode(codec, frame)
    const problem = bytes && roundTrip(subject, [frame], bytes)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** In one write, where an encoder that uses its memory again spoils what it wrote before. */
const agreementInOneWrite = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => (value) => {
  const frames = Cases.encodable(subject.codec, value.frames).map(({ frame }) => frame)
  return roundTrip(subject, frames, inOneWrite(subject.codec, frames))
}

/** Frames that are encoded at once, those that `encode` refuses among them, are what they are one by one. */
const agreementAtOnce = <In, Out extends In>(subject: Subject<In, Out>): Check<Out> => ({ frames }) => {
  const { codec } = subject
  if (codec.encodeMany === undefined) return undefined
  const encodable = Cases.encodable(codec, frames).map(({ frame }) => frame)
  for (const these of [encodable, frames]) {
    const into = new ByteWriter()
    const done: unknown = attempt(() => codec.encodeMany!(these, into))
    const bytes = into.finishBytes()
    const problem = (expected: string, actual: string): Suite.Problem => ({
      scenario: `${shownFrames(these)} are given to encodeMany`,
      expected,
      actual
    })
    if (done instanceof Thrown) {
      return problem("it encodes them, or returns false", `it throws ${shownError(done.cause)}`)
    }
    if (done !== true) {
      if (bytes.length === 0) continue
      return problem("where it does not return true it has appended nothing", `it has appended ${shownBytes(bytes)}`)
    }
    if (these.length > encodable.length) {
      return problem("it returns false, for encode refuses one of them", `it encodes them, to ${shownBytes(bytes)}`)
    }
    const wrong = roundTrip(subject, these, bytes)
    if (wrong !== undefined) {
      return {
        ...wrong,
        scenario: `${shownFrames(these)} are given to encodeMany, which encodes them to ${shownBytes(bytes)}`
      }
    }
    const single = inOneWrite(codec, these)
    if (subject.canonical !== undefined && these.every(subject.canonical) && !equals(bytes, single)) {
      return problem(
        `what encode gives for each of them, for a frame has one spelling (canonical): ${shownBytes(single)}`,
        `it encodes them to ${shownBytes(bytes)}`
      )
    }
  }
  return undefined
}

const roundTrip = <In, Out extends In>(
  { codec, same, selfDelimiting }: Subject<In, Out>,
  frames: ReadonlyArray<Out>,
  bytes: Uint8Array
): Suite.Problem | undefined => {
  const feed = new Feed(codec)
  feed.input.push(bytes.slice())
  let right = true
  for (let i = 0; feed.next(); i++) {
    // At once, for a faulty decoder may change them later, which is law 2.
    if (selfDelimiting && right) right = i < frames.length && same(feed.frames[i], frames[i])
  }
  if (feed.end?._tag === "Overread") return undefined
  right &&= selfDelimiting ? feed.frames.length === frames.length : equals(join(feed.frames), join(frames))
  return right && feed.end === undefined && feed.input.length === 0 ? undefined : {
    scenario: frames.length === 1
      ? `${shownFrame(frames[0])} is encoded, to ${shownBytes(bytes)}`
      : `${shownFrames(frames)} are encoded in one write, to ${shownBytes(bytes)}`,
    expected: `the other side decodes ${frames.length === 1 ? "the same frame" : "the same frames"}, and nothing else`,
    actual: contrast(frames, feed)
  }
}

const contrast = (frames: ReadonlyArray<unknown>, feed: Feed<unknown>): string => {
  const text = shownOutcome(decoded(feed))
  return shownFrames(frames) !== shownFrames(feed.frames) || feed.end !== undefined
    ? text
    : `${text}, which is not equal to what was encoded though it looks the same`
}

// ---------------------------------------------------------------------------------------------------------------------
// The suite
// ---------------------------------------------------------------------------------------------------------------------

const isBatching = (codec: Codec.Codec<unknown, never>): boolean => {
  const decoder = attempt(codec.decoder)
  return typeof decoder === "object" && decoder !== null && "decodeMany" in decoder && decoder.decodeMany !== undefined
}

const subjectOf = <In, Out extends In>(
  codec: Codec.Codec<In, Out>,
  options: CodecOptions<In, Out>
): Subject<In, Out> => {
  const { canonical, equals: same = equals, looksPerByte = 32, lossy = false, maxBuffered } = options
  const { maxLength, ofLength, selfDelimiting = true, withMaxLength } = options
  if ((maxLength === undefined) !== (ofLength === undefined) || (withMaxLength !== undefined && !ofLength)) {
    throw new RangeError("Laws.codec: the limit is checked with a frame of its length, so give maxLength and ofLength")
  }
  const limit = maxLength === undefined || ofLength === undefined ? undefined : { maxLength, ofLength, withMaxLength }
  const longest = limit && Math.max(limit.maxLength, Cases.encode(codec, limit.ofLength(limit.maxLength))?.length ?? 0)
  return {
    codec,
    same,
    selfDelimiting,
    batches: isBatching(codec),
    limit,
    maxBuffered: maxBuffered ?? (longest === undefined ? 1024 * 1024 : 4 * longest + 1024),
    looksPerByte,
    canonical: typeof canonical === "function" ? canonical : canonical === true ? () => true : undefined,
    lossy
  }
}

/**
 * With a seed, each check draws the same cases: they are drawn once for all of them, and once more behind a check that has
 * changed a frame. Nothing where each draws its own.
 */
const drawnOnce = <Out>(
  cases: Arbitrary.Arbitrary<Cases.Case<Out>>,
  { replay, runs, seed }: Suite.CheckOptions
): Effect.Effect<ReadonlyArray<Cases.Case<Out>> | undefined> => {
  if (seed === undefined || replay !== undefined) return Effect.succeed(undefined)
  let drawn: { readonly values: ReadonlyArray<Cases.Case<Out>>; readonly isSame: () => boolean } | undefined
  return Effect.suspend(() => {
    if (drawn?.isSame() === true) return Effect.succeed(drawn.values)
    const values: Array<Cases.Case<Out>> = []
    const keep = (value: Cases.Case<Out>) => values.push(value) > 0
    return Effect.map(Arbitrary.checkEffect(cases, keep, { runs, seed }), ({ _tag }) => {
      if (_tag !== "Passed") return undefined
      drawn = { values, isSame: remember(values) }
      return values
    })
  })
}

export const codec = <In, Out extends In>(
  codec: Codec.Codec<In, Out>,
  frames: Arbitrary.Arbitrary<Out> | Schema.Schema<Out>,
  options: CodecOptions<In, Out> = {}
): Suite.Suite => {
  const mistake = Suite.mistakeIn("the options of Laws.codec", options, known)
  if (mistake !== undefined) throw mistake
  const name = options.name ?? "codec"
  const subject = subjectOf(codec, options)
  const { drawn, filled, longer, resized, variants } = Cases.framesOf(codec, frames)
  const cases = Cases.casesOf(codec, drawn, options.garbage)
  const shared = drawnOnce(cases, options)

  const report = (law: Suite.LawNumber) => (problem: Suite.Problem, replay?: string) =>
    new Suite.LawViolation({
      law,
      suite: name,
      where: "pure",
      scenario: problem.scenario,
      expected: problem.expected,
      actual: problem.actual,
      ...(replay !== undefined && { replay })
    })

  const always = (law: Suite.LawNumber, holds: Check<Out>, runs = options.runs) => {
    const check = (value: Cases.Case<Out>) => stackless(() => holds(value))
    const tried = Suite.property(
      cases,
      (value) =>
        Effect.suspend(() => {
          const problem = check(value)
          return problem === undefined ? Effect.void : Effect.fail(problem)
        }),
      report(law),
      // A case has several parts, and the default of 100 ends with most of them as they were drawn.
      { ...options, runs, maxShrinks: 1000 }
    )
    return runs !== options.runs ? tried : Effect.flatMap(shared, (values) => {
      if (values === undefined) return tried
      for (const value of values) {
        const problem = check(value)
        // What is drawn again is the same and can be shrunk. A codec that keeps state may hold this time.
        if (problem !== undefined) return Effect.andThen(tried, Effect.fail(report(law)(problem)))
      }
      return Effect.void
    })
  }

  const once = (law: Suite.LawNumber, holds: () => Suite.Problem | undefined) =>
    Effect.suspend(() => {
      const problem = stackless(holds)
      return problem === undefined ? Effect.void : Effect.fail(report(law)(problem))
    })

  let verdict: Extremes.Verdict | undefined
  /** What comes of extreme input, which is tried once for all laws. */
  const extremes = Effect.suspend(() =>
    verdict !== undefined ? Effect.succeed(verdict) : Effect.map(
      Effect.orDie(Arbitrary.sampleEffect(drawn, { count: 100, seed: options.seed })),
      (frames) => verdict = stackless(() => Extremes.verdictOf(subject, frames, options.growing ?? {}))
    )
  )
  const atExtremes = (law: 2 | 4 | 5 | 8) =>
    Effect.flatMap(
      extremes,
      ({ [law]: problem }) => problem === undefined ? Effect.void : Effect.fail(report(law)(problem))
    )

  // Laws about frames hold for a codec that refuses each of them, and say nothing of it.
  const encodes = Effect.flatMap(
    Effect.orDie(Arbitrary.sampleEffect(drawn, { count: 100, seed: options.seed })),
    (frames) =>
      Cases.encodable(codec, frames).length > 0 ? Effect.void : Effect.fail(
        report(12)({
          scenario: `100 frames are drawn, such as ${shownFrame(frames[0])}`,
          expected: "the codec can encode some of them",
          actual: `it refuses each of them, so that nothing can be checked: ${
            shownResult(attempt(() => codec.encode(frames[0], new ByteWriter()))).slice(3)
          }`
        })
      )
  )

  const law = (
    number: Suite.LawNumber,
    title: string,
    checks: ReadonlyArray<Effect.Effect<void, Suite.LawViolation>>
  ): Suite.Law => ({
    law: number,
    title: `law ${number}, ${Suite.names[number]}: ${title}`,
    check: Effect.flatMap(extremes, (verdict) =>
      // Where something costs without bound, it would cost that in each of the laws: it is for its own to report.
      (verdict[4] ?? verdict[8]) !== undefined && verdict[number as 4] === undefined
        ? Effect.void
        // The plainest first: what breaks one of them often breaks those behind it, in ways that are harder to read.
        : Effect.all(checks, { discard: true }))
  })

  const isolated = law(10, "two decoders of a codec know nothing of each other", [
    always(10, isolation(subject)),
    always(10, isolationOfSent(subject))
  ])

  // A codec that keeps state between its decoders breaks any law by chance, and which one is of no use to know.
  const unlessShared = (law: Suite.Law): Suite.Law => ({
    ...law,
    check: Effect.catch(law.check, (violation) =>
      Effect.matchEffect(isolated.check, {
        onSuccess: () => Effect.fail(violation),
        onFailure: () =>
          Effect.fail(
            new Suite.LawViolation({
              ...violation,
              actual: `${violation.actual} (law 10, isolation, does not hold either, and may be why)`
            })
          )
      }))
  })

  const suite: Suite.Suite = {
    name,
    laws: [
      law(1, "frames and errors do not depend on how the bytes are cut", [
        always(1, chunking(subject)),
        once(1, chunkingAboveTheLimit(subject)),
        always(1, chunkingOfFloods(subject))
      ]),
      law(2, "a frame takes its own bytes and no others, and stays as it was given out", [
        always(2, conservation(subject)),
        always(2, conservationOfAnything(subject)),
        always(2, conservationOfSent(subject)),
        atExtremes(2)
      ]),
      law(3, "what is not complete asks for more and stays unread", [
        ...(subject.selfDelimiting ? [always(3, truncation(subject))] : []),
        always(3, askedAgain(subject))
      ]),
      law(
        4,
        subject.limit === undefined
          ? "what never ends is refused, and many frames at once are not"
          : "what is too long is refused at the limit, and nothing else is",
        [
          once(4, Bounds.limits(subject)),
          atExtremes(4),
          always(4, Bounds.endless(subject)),
          always(4, Bounds.crowded(subject))
        ]
      ),
      law(5, "whatever arrives gives frames or a typed error", [
        always(5, wrongTurn(subject)),
        atExtremes(5)
      ]),
      law(7, "what was not sent leaves no trace", [always(7, interruption(subject))]),
      law(8, "each byte costs the same, however long the frame and small the pieces", [
        once(8, Bounds.longFrame(subject)),
        atExtremes(8),
        always(8, Bounds.linear(subject))
      ]),
      isolated,
      law(12, "what is encoded is decoded again", [
        encodes,
        always(12, agreement(subject)),
        always(12, agreement(subject, variants)),
        // How long a frame is does not depend on what is drawn.
        always(12, agreement(subject, longer), 3),
        once(12, () => agreementAtTheLimit(subject, filled)),
        always(12, agreementInOneWrite(subject)),
        always(12, agreementAtOnce(subject)),
        always(12, Received.trueText(subject)),
        always(12, Received.oneSpelling(subject, resized))
      ])
    ].map((law) => law === isolated ? law : unlessShared(law))
  }
  if (options.it !== undefined) Suite.register(suite, options.it)
  return suite
}
