/**
 * What the laws of a codec are tried on: frames, bytes that nearly are frames, and ways to cut them.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../Codec.ts"
import { concat, utf8Length } from "../../internal/bytes/primitives.ts"
import { ByteWriter } from "../../internal/bytes/writer.ts"
import { stackless } from "./stackless.ts"

/** One case of every law, so that the token of a failure means the same in each of them. */
export interface Case<Out> {
  /** Not all of them need to be such that the codec can encode them. */
  readonly frames: ReadonlyArray<Out>
  /** Bytes that are a frame now and then. */
  readonly garbage: Uint8Array
  /** Whether the frames come before the garbage. */
  readonly led: boolean
  /** Where to cut: after each of these lengths, over and over. */
  readonly lengths: ReadonlyArray<number>
  /** How many frames `decodeMany` is asked for, over and over; 0 is a call of `decode`. */
  readonly takes: ReadonlyArray<number>
  readonly flood: Flood
}

/** How to make a beginning of a frame, and what follows it without end. */
interface Flood {
  readonly keep: number
  readonly raised: number
  readonly to: number
  readonly filler: number
}

export interface Encoded<Out> {
  readonly frame: Out
  readonly bytes: Uint8Array
}

/** The bytes of a frame, in memory of their own, or nothing where the codec refuses it or fails at it. */
export const encode = <Out>(codec: Pick<Codec.Encoder<Out>, "encode">, frame: Out): Uint8Array | undefined =>
  stackless(() => {
    const into = new ByteWriter()
    try {
      const result: unknown = codec.encode(frame, into)
      return Result.isResult(result) && Result.isFailure(result) ? undefined : into.finishBytes().slice()
    } catch {
      return undefined
    }
  })

/** What one connection sends of these frames, in turn, as a transport does: what is refused leaves no trace. */
export const encodableWith = <Out>(encoder: Codec.Encoder<Out>, frames: ReadonlyArray<Out>): Array<Encoded<Out>> =>
  frames.flatMap((frame) => {
    const undo = encoder.checkpoint()
    const bytes = encode(encoder, frame)
    if (bytes !== undefined) return [{ frame, bytes }]
    undo()
    return []
  })

export const encodable = <Out>(codec: Codec.Codec<unknown, Out>, frames: ReadonlyArray<Out>): Array<Encoded<Out>> =>
  encodableWith(Codec.encoderOf(codec), frames)

/** Some bytes over and over, once at least. */
export const repeated = (bytes: Uint8Array, length: number): Uint8Array => {
  const out = new Uint8Array(Math.max(1, Math.ceil(length / bytes.length)) * bytes.length)
  out.set(bytes)
  for (let done = bytes.length; done < out.length; done *= 2) out.copyWithin(done, 0, done)
  return out
}

const pick = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))

const pickUpTo = (maximum: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

// ---------------------------------------------------------------------------------------------------------------------
// Frames
// ---------------------------------------------------------------------------------------------------------------------

const utf8 = new TextDecoder()
const lineFeed = Uint8Array.of(0x0a)

/** What codecs forget: line ends, quotes, what escapes, halves of characters, what has several bytes or no width. */
const awkward = ["\n", "\r", "\r\n", "\u0000", "\"", "\\", "\ud800", "é", "馬", "🐎", "\ufeff", "\u2028", "\u001b", "~"]

/** Bytes that other formats give a meaning to, and some that UTF-8 never has. */
const awkwardBytes = [0, 0x0a, 0x0d, 0x1b, 0x7d, 0x7e, 0x80, 0xc0, 0xdb, 0xff]

/** What a frame is made of, as far as a codec's bytes are. */
type Leaf = string | Uint8Array

const mapLeaves = (value: unknown, f: (leaf: Leaf) => Leaf): unknown => {
  if (typeof value === "string" || value instanceof Uint8Array) return f(value)
  if (Array.isArray(value)) return value.map((item) => mapLeaves(item, f))
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapLeaves(inner, f)]))
}

/** What may be put into a text or a byte array of a frame: what delimits the frame, and what is awkward anyway. */
const intrudersOf = (encoded: Uint8Array): { readonly texts: Array<string>; readonly bytes: Array<Uint8Array> } => {
  const own = [encoded.subarray(-1), encoded.subarray(-2), encoded.subarray(0, 1), encoded.subarray(0, 2)]
  return {
    texts: [...own.map((bytes) => utf8.decode(bytes)), ...awkward],
    bytes: [...own, ...awkwardBytes.map((byte) => Uint8Array.of(byte))]
  }
}

const insert = (leaf: Leaf, place: number, what: number, { bytes, texts }: ReturnType<typeof intrudersOf>): Leaf =>
  typeof leaf === "string"
    ? leaf.slice(0, place) + texts[what % texts.length] + leaf.slice(place)
    : concat([leaf.subarray(0, place), bytes[what % bytes.length], leaf.subarray(place)]).slice()

/** The texts and byte arrays of a frame. */
const leavesOf = (frame: unknown): Array<Leaf> => {
  const leaves: Array<Leaf> = []
  mapLeaves(frame, (leaf) => {
    leaves.push(leaf)
    return leaf
  })
  return leaves
}

const edited = (frame: unknown, index: number, leaf: Leaf): unknown => {
  let at = 0
  return mapLeaves(frame, (other) => at++ === index ? leaf : other)
}

export interface Frames<Out> {
  readonly drawn: Arbitrary.Arbitrary<Out>
  /** The same frame with something awkward at an end of one of its parts, in every way. */
  readonly variants: (frame: Out) => ReadonlyArray<Out>
  /** The same frame with one of its parts as long as a length can tell, and one longer. */
  readonly longer: (frame: Out) => ReadonlyArray<Out>
  /** The same frame with one of its parts of that length. */
  readonly resized: (frame: Out, length: number) => ReadonlyArray<Out>
  /** The same frame with one of its parts full of what is awkward, which may take more room than others. */
  readonly filled: (frame: Out) => ReadonlyArray<Out>
}

/** Where a length of 7, 8, 14 or 16 bits ends. */
const boundaries = [127, 128, 255, 256, 16_383, 16_384, 65_535, 65_536]

/**
 * The frames of a schema, half of them with something awkward in one of their texts or byte arrays. Only a schema can
 * tell whether the result is still a frame, so those of an `Arbitrary` stay as they are.
 */
export const framesOf = <Out>(
  codec: Codec.Codec<unknown, Out>,
  frames: Arbitrary.Arbitrary<Out> | Schema.Schema<Out>
): Frames<Out> => {
  if (Arbitrary.isArbitrary(frames)) {
    return { drawn: frames, variants: () => [], longer: () => [], resized: () => [], filled: () => [] }
  }
  const isFrame = Schema.is(frames)
  const resized = (frame: Out, length: number): ReadonlyArray<Out> =>
    leavesOf(frame).slice(0, 4).map((leaf, index) =>
      edited(frame, index, typeof leaf === "string" ? "x".repeat(length) : new Uint8Array(length))
    ).filter(isFrame)
  const intruders = (frame: Out) => intrudersOf(encode(codec, frame) ?? lineFeed)
  return {
    drawn: Arbitrary.map(
      Arbitrary.all([Arbitrary.schema(frames), pick, pick, pick]),
      ([frame, what, which, at]): Out => {
        const leaves = leavesOf(frame)
        if (what % 2 === 0 || leaves.length === 0) return frame
        const index = which % leaves.length
        const leaf = leaves[index]
        // 0 is the end, where a part of a delimiter does the most harm.
        const place = leaf.length - at % (leaf.length + 1)
        const candidate = edited(frame, index, insert(leaf, place, what >> 1, intruders(frame)))
        return isFrame(candidate) ? candidate : frame
      }
    ),
    variants: (frame) => {
      const own = intruders(frame)
      return leavesOf(frame).slice(0, 4).flatMap((leaf, index) =>
        [leaf.length, 0].flatMap((place) =>
          (typeof leaf === "string" ? own.texts : own.bytes).map((_, what) =>
            edited(frame, index, insert(leaf, place, what, own))
          )
        )
      ).filter(isFrame)
    },
    longer: (frame) => boundaries.flatMap((length) => resized(frame, length)),
    resized,
    filled: (frame) => {
      const { bytes, texts } = intruders(frame)
      return leavesOf(frame).slice(0, 2).flatMap((leaf, index) =>
        typeof leaf === "string"
          ? texts.filter((text) => utf8Length(text) === 1).map((text) => edited(frame, index, text.repeat(leaf.length)))
          : bytes.flatMap(([byte]) => byte === undefined ? [] : [edited(frame, index, leaf.slice().fill(byte))])
      ).filter(isFrame)
    }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Garbage
// ---------------------------------------------------------------------------------------------------------------------

/** One byte replaced, flipped in one bit, dropped, doubled or put in. */
const edit = (bytes: Uint8Array, [how, at, value]: ReadonlyArray<number>): Uint8Array => {
  if (bytes.length === 0) return bytes
  const place = at % bytes.length
  const before = bytes.subarray(0, place)
  const after = bytes.subarray(place + 1)
  switch (how % 5) {
    case 0:
      return concat([before, Uint8Array.of(value), after])
    case 1:
      return concat([before, Uint8Array.of(bytes[place] ^ (1 << (value % 8))), after])
    case 2:
      return concat([before, after])
    case 3:
      return concat([before, bytes.subarray(place, place + 1), bytes.subarray(place)])
    default:
      return concat([before, Uint8Array.of(value), bytes.subarray(place)])
  }
}

/** Real encodings and random bytes behind them, with a few bytes changed. */
const garbageOf = <Out>(
  codec: Codec.Codec<unknown, Out>,
  frames: Arbitrary.Arbitrary<Out>
): Arbitrary.Arbitrary<Uint8Array> =>
  Arbitrary.map(
    Arbitrary.all([
      Arbitrary.array(frames, { maxLength: 2 }),
      Arbitrary.array(pick, { maxLength: 8 }),
      Arbitrary.array(Arbitrary.all([pick, pick, pick]), { maxLength: 3 })
    ]),
    ([frames, random, edits]) =>
      edits.reduce(
        edit,
        concat([...encodable(codec, frames).map(({ bytes }) => bytes), Uint8Array.from(random)])
      ).slice()
  )

// ---------------------------------------------------------------------------------------------------------------------
// Floods
// ---------------------------------------------------------------------------------------------------------------------

const raises = [0, 1, 2, 4, 8, 16, 32, 64, 128, 255]

/**
 * A beginning that may wait for much more: a part of a real frame, one byte of its first ones raised, as it would be in
 * a length; and a byte that follows without end.
 */
export const floodOf = (encoded: Uint8Array, { filler, keep, raised, to }: Flood) => {
  const head = encoded.slice(0, encoded.length - keep % (encoded.length + 1))
  const raise = raises[to % raises.length]
  if (raise > 0 && head.length > 0) head[raised % Math.min(head.length, 8)] = raise
  const fillers = [0x78, 0x00, 0xff, 0x31, ...encoded.subarray(0, 8), ...encoded.subarray(-2)]
  return { head, filler: fillers[filler % fillers.length] }
}

// ---------------------------------------------------------------------------------------------------------------------
// Cases
// ---------------------------------------------------------------------------------------------------------------------

const lengths = Arbitrary.map(
  Arbitrary.array(pickUpTo(19), { minLength: 1, maxLength: 6 }),
  (ns) => ns.map((n) => n + 1)
)

export const casesOf = <Out>(
  codec: Codec.Codec<unknown, Out>,
  frames: Arbitrary.Arbitrary<Out>,
  garbage: Arbitrary.Arbitrary<Uint8Array> | undefined
): Arbitrary.Arbitrary<Case<Out>> =>
  Arbitrary.all({
    frames: Arbitrary.array(frames, { minLength: 1, maxLength: 4 }),
    garbage: garbage ?? garbageOf(codec, frames),
    led: Arbitrary.map(pickUpTo(1), (n) => n === 1),
    lengths,
    takes: Arbitrary.array(pickUpTo(4), { minLength: 1, maxLength: 4 }),
    flood: Arbitrary.all({ keep: pick, raised: pick, to: pick, filler: pick })
  })
