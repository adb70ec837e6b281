/**
 * The laws of a codec about input that is made to cost: counts and lengths at their extremes, frames in great number, and frames
 * that are wide or deep. It is tried once, before all the rest: what goes on and on would not let the others end.
 *
 * | what comes of it | law |
 * |---|---|
 * | it reaches behind the unread bytes | 2, conservation |
 * | it allocates more than is in proportion, or its stack overflows | 4, oversize |
 * | it throws anything else | 5, wrong turn |
 * | it goes on and on, or twice the bytes are four times the work | 8, linear cost |
 *
 * @internal
 */
import * as Excerpt from "../../Excerpt.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import * as Bounds from "./codecBounds.ts"
import * as Cases from "./codecCases.ts"
import * as Growth from "./codecGrowth.ts"
import type { Subject } from "./codecSubject.ts"
import { shownBytes, shownEnd } from "./codecWords.ts"
import { Feed } from "./countingBuffer.ts"
import { memory, worked } from "./platform.ts"
import type * as Suite from "./suite.ts"

type Decoding = Pick<Subject<unknown, never>, "codec" | "maxBuffered" | "looksPerByte">

export type Verdict = { readonly [Law in 2 | 4 | 5 | 8]?: Suite.Problem }

/** How many different frames are made extreme. */
const mostFrames = 4

/** Frames that begin differently, for what is made of their beginnings. */
const unlike = <Out>(encoded: ReadonlyArray<Cases.Encoded<Out>>): ReadonlyArray<Cases.Encoded<Out>> => {
  const kinds = new Map<string, Cases.Encoded<Out>>()
  for (const one of encoded) {
    const kind = `${one.bytes.subarray(0, 1)} ${Math.min(3, one.bytes.length >> 2)}`
    if (one.bytes.length > 0 && !kinds.has(kind)) kinds.set(kind, one)
  }
  return [...kinds.values()].slice(0, mostFrames)
}

// ---------------------------------------------------------------------------------------------------------------------
// What a decoder does with it
// ---------------------------------------------------------------------------------------------------------------------

/** What is allocated for whatever has arrived: frames, and what was needed to make them and is garbage by now. */
const proportion = 1024
const allowance = 512 * 1024

/** In milliseconds: 60 KiB may take a second on a slow machine, and take a few milliseconds on others. */
const mostWork = 400

const isOverflow = (cause: unknown): boolean => cause instanceof RangeError && /call stack/.test(cause.message)

/** Decodes bytes that arrive in one piece, and says what is wrong with how it ended. */
const ended = (codec: Decoding["codec"], bytes: Uint8Array, what: () => string): Verdict | undefined => {
  const feed = new Feed(codec)
  feed.input.push(bytes)
  feed.drain(undefined, Bounds.mostFrames)
  const { end } = feed
  if (end === undefined) return undefined
  const problem = (expected: string): Suite.Problem => ({ scenario: what(), expected, actual: `it ${shownEnd(end)}` })
  switch (end._tag) {
    case "Overread":
      return { 2: problem("a decoder looks at the unread bytes only, of which `length` says how many there are") }
    case "Threw":
      return isOverflow(end.cause)
        ? { 4: problem("how deep it goes is bounded, or takes no room on the stack (as `read.nested` of Codec.gen)") }
        : { 5: problem("frames, or a FrameTooLarge or MalformedFrame with the fault \"peer\"") }
    case "Spent":
      return { 8: problem("each call ends, after it has looked at each byte a few times at most") }
    default:
      return undefined
  }
}

interface Input {
  readonly bytes: Uint8Array
  readonly what: () => string
}

/** The same, and what has been allocated and done meanwhile: by all together, for to measure it costs more than one of them. */
const bounded = ({ codec, maxBuffered }: Decoding, inputs: ReadonlyArray<Input>): Verdict | undefined => {
  const [before, begun] = [memory(), worked()]
  let arrived = 0
  for (const { bytes, what } of inputs) {
    arrived += bytes.length
    const verdict = ended(codec, bytes, what)
    if (verdict !== undefined) return verdict
  }
  const [after, work] = [memory(), worked() - begun]
  const more = before === undefined || after === undefined
    ? 0
    : after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
  const isCostly = work > mostWork + arrived / 100
  if (!isCostly && more <= proportion * arrived + allowance + maxBuffered) return undefined
  if (inputs.length > 1) {
    // Which of them it was.
    for (const input of inputs) {
      const verdict = bounded({ codec, maxBuffered, looksPerByte: 0 }, [input])
      if (verdict !== undefined) return verdict
    }
    return undefined
  }
  const [{ what }] = inputs
  return isCostly
    ? {
      8: {
        scenario: what(),
        expected: "each byte costs the same, however much of it there is",
        actual: `${arrived} bytes take ${Math.round(work)} ms`
      }
    }
    : {
      4: {
        scenario: what(),
        expected: "what is allocated is in proportion to what has arrived: a count or a length is checked first",
        actual: `${more} bytes are allocated when ${arrived} have arrived`
      }
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Counts and lengths at their extremes
// ---------------------------------------------------------------------------------------------------------------------

const widths = [1, 2, 4, 8]

const spelled = (value: bigint, width: number, endian: "big" | "little"): Uint8Array =>
  Uint8Array.from(
    { length: width },
    (_, i) => Number((value >> BigInt(8 * (endian === "big" ? width - 1 - i : i))) & 0xffn)
  )

interface Spelled {
  readonly value: bigint | string
  readonly bytes: Uint8Array
}

/** What a number may look like in bytes: of each width and order, and as a varint. */
const inBytes = (value: bigint): ReadonlyArray<Spelled> => {
  const varint: Array<number> = []
  for (let rest = value; varint.length === 0 || rest > 0n; rest >>= 7n) {
    varint.push(Number(rest & 0x7fn) | (rest >= 0x80n ? 0x80 : 0))
  }
  return [
    ...widths.flatMap((width) =>
      value < 2n ** BigInt(8 * width) ? [spelled(value, width, "big"), spelled(value, width, "little")] : []
    ),
    Uint8Array.from(varint)
  ].map((bytes) => ({ value, bytes }))
}

const inDigits = (text: string): Spelled => ({ value: text, bytes: new TextEncoder().encode(text) })

/** The smaller ones first: what allocates for each of a million, or goes that often, is seen before it does so for ever. */
const groups: ReadonlyArray<{ readonly bytes: ReadonlyArray<Spelled>; readonly digits: ReadonlyArray<Spelled> }> = [
  { numbers: [127n, 255n, 300n, 65_535n], more: [] },
  { numbers: [1_000_000n], more: [] },
  {
    numbers: [0x7f_ff_ff_ffn, 0x80_00_00_00n, 0xff_ff_ff_ffn, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n],
    more: ["-1", "-2147483649", "1e9", "99999999999999999999"]
  }
].map(({ more, numbers }) => ({
  bytes: numbers.flatMap(inBytes),
  digits: [...numbers.map(String), ...more].map(inDigits)
}))

/** At how many places from the beginning a number is taken to be. */
const places = 8

/** Bytes with each of the numbers in the place of some of them, or of their digits. */
function* extremes(bytes: Uint8Array): Generator<ReadonlyArray<Input>> {
  const made = (number: Spelled, at: number, length: number): Input => ({
    bytes: concat([bytes.subarray(0, at), number.bytes, bytes.subarray(at + length)]),
    what: () => `${shownBytes(bytes)} arrives with ${number.value} at byte ${at}, as ${Excerpt.ofBytes(number.bytes)}`
  })
  const text = String.fromCharCode(...bytes.subarray(0, 64))
  for (const group of groups) {
    const inputs = group.bytes.flatMap((number) =>
      Array.from(
        { length: Math.max(0, Math.min(places, bytes.length - number.bytes.length + 1)) },
        (_, at) => made(number, at, number.bytes.length)
      )
    )
    for (const { 0: { length }, index } of text.matchAll(/\d+/g)) {
      inputs.push(...group.digits.map((number) => made(number, index, length)))
    }
    if (inputs.length > 0) yield inputs
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The same again and again
// ---------------------------------------------------------------------------------------------------------------------

/** As many bytes as most codecs take for one frame. */
const flood = 60 * 1024

/** Each short part of a frame's beginning again and again: a frame of nothing, or what opens one inside another. */
const repetitions = (bytes: Uint8Array): ReadonlyArray<Input> =>
  Array.from(
    { length: Math.min(4, bytes.length) },
    (_, from) =>
      Array.from({ length: Math.min(5, bytes.length - from) }, (_, i): Input => {
        const part = bytes.subarray(from, from + i + 1)
        return {
          bytes: concat([bytes.subarray(0, from), Cases.repeated(part, flood)]),
          what: () =>
            `${from === 0 ? "" : `${Excerpt.ofBytes(bytes.subarray(0, from))} arrives, and then `}${
              Excerpt.ofBytes(part)
            } ${Math.ceil(flood / part.length)} times in one piece`
        }
      })
  ).flat()

// ---------------------------------------------------------------------------------------------------------------------
// What grows
// ---------------------------------------------------------------------------------------------------------------------

/** How many or how deep: the most of these that the codec itself can encode. */
const sizes = [16_384, 8192, 2048]

/** In milliseconds: so little work is nothing to measure, for clocks may be coarse. */
const slow = 12

/** Eight times as much may take so much longer than eight times: large memory is slower than small, but not that much. */
const outOfProportion = 2.5

/** What decoding costs, all of it measured at once, for clocks may be coarse. To make the bytes is no part of it. */
const workOf = (codec: Decoding["codec"], bytes: Uint8Array, times: number): number => {
  const feeds = Array.from({ length: times }, () => {
    const feed = new Feed(codec)
    feed.input.push(bytes.slice())
    return feed
  })
  const before = worked()
  for (const feed of feeds) feed.drain(undefined, Bounds.mostFrames)
  return worked() - before
}

/** A frame eight times as large is as much work as eight frames, and eight times as much where it grows with the square. */
const squared = (
  { codec }: Decoding,
  { bytes, what }: Growth.Grown,
  size: number,
  many: Uint8Array
): Verdict | undefined => {
  const some = bytes(size / 8)
  if (some === undefined || many.length < 4 * some.length || workOf(codec, many, 1) < slow) return undefined
  const times = Math.ceil(many.length / some.length)
  // A collection of garbage makes one of them dear, and not each.
  const looks = Array.from({ length: 3 }, () => [workOf(codec, some, times), workOf(codec, many, 1)] as const)
  const apart = looks.map(([work]) => work).sort((a, b) => a - b)[1]
  const together = Math.min(...looks.map(([, work]) => work))
  if (together < Math.max(slow, outOfProportion * apart)) return undefined
  return {
    8: {
      scenario: `${what(size)} arrives`,
      expected: "each byte costs the same, however much of it there is",
      actual: `${many.length} bytes of it take ${together.toFixed(1)} ms, and ${times} times ${some.length} bytes ${
        apart.toFixed(1)
      } ms`
    }
  }
}

/** In small pieces, where a decoder that begins anew with each looks at all of them again. */
const again = ({ codec, looksPerByte }: Decoding, { bytes, what }: Growth.Grown): Verdict | undefined => {
  const [few, more] = [bytes(32)?.length, bytes(64)?.length]
  if (few === undefined || more === undefined || more <= few) return undefined
  const problem = Bounds.tooDear({
    what: () => `${what(Bounds.costly)} arrives`,
    bytes: (length) => bytes(Math.ceil(length / ((more - few) / 32))) ?? new Uint8Array(),
    codec,
    size: 64,
    takes: [0],
    looksPerByte
  })
  return problem && { 8: problem }
}

/** However many items it has, a frame ends, or fails, before more bytes wait than may. */
const unbounded = ({ codec, maxBuffered }: Decoding, { beyond, what }: Growth.Grown): Verdict | undefined => {
  const bytes = beyond(2 * maxBuffered)
  if (bytes === undefined || bytes.length <= maxBuffered) return undefined
  const feed = new Feed(codec)
  feed.input.push(bytes)
  const isFrame = feed.next()
  if (feed.end !== undefined || (isFrame && feed.input.consumed <= maxBuffered)) return undefined
  return {
    4: {
      scenario: `${what(2)} arrives, and more and more of it, ${bytes.length} bytes`,
      expected: `it fails, or gives a frame, before more than ${maxBuffered} bytes wait (maxBuffered)`,
      actual: isFrame ? `it gives a frame of ${feed.input.consumed} bytes` : "it asks for more"
    }
  }
}

const grown = (subject: Decoding, growth: Growth.Grown): Verdict | undefined => {
  for (const size of sizes) {
    const bytes = growth.bytes(size)
    if (bytes === undefined) continue
    return bounded(subject, [{ bytes, what: () => `${growth.what(size)} arrives` }]) ??
      squared(subject, growth, size, bytes) ?? again(subject, growth)
  }
  return again(subject, growth)
}

/** What is wrong with it, by law: of the frames that were drawn, and of what the option makes. */
export const verdictOf = <In, Out extends In>(
  subject: Subject<In, Out>,
  frames: ReadonlyArray<Out>,
  growing: Readonly<Record<string, (size: number) => Uint8Array>>
): Verdict => {
  const { codec, limit } = subject
  const encoded = Cases.encodable(codec, frames)
  for (const { bytes } of unlike(encoded)) {
    for (const together of [...extremes(bytes), repetitions(bytes)]) {
      const verdict = bounded(subject, together)
      if (verdict !== undefined) return verdict
    }
  }
  // With room for what grows.
  const large = { ...subject, codec: limit?.withMaxLength?.(flood) ?? codec }
  for (const growth of [...Growth.told(growing), ...Growth.found(large.codec, encoded.map(({ frame }) => frame))]) {
    const verdict = grown(large, growth) ?? unbounded(subject, growth)
    if (verdict !== undefined) return verdict
  }
  return {}
}
