/**
 * A codec under test, and what all of its laws ask about it.
 *
 * @internal
 */
import * as Equal from "effect/Equal"
import type * as Codec from "../../Codec.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import * as Cases from "./codecCases.ts"
import { errorText } from "./codecWords.ts"
import { type Decoded, decodePieces, isCodecError, type Takes } from "./countingBuffer.ts"
import type * as Suite from "./suite.ts"

export interface Subject<In, Out extends In> {
  readonly codec: Codec.Codec<In, Out>
  readonly same: (a: In, b: In) => boolean
  readonly selfDelimiting: boolean
  readonly batches: boolean
  readonly limit: Limit<In, Out> | undefined
  readonly maxBuffered: number
  readonly looksPerByte: number
  /** Which frames have one spelling only, where some have. */
  readonly canonical: ((frame: In) => boolean) | undefined
  readonly lossy: boolean
}

/** What a law says of a case: what is wrong with it, if anything. */
export type Check<Out> = (value: Cases.Case<Out>) => Suite.Problem | undefined

export interface Limit<In, Out> {
  readonly maxLength: number
  readonly ofLength: (length: number) => Out
  readonly withMaxLength: ((maxLength: number) => Codec.Codec<In, Out>) | undefined
}

export const cycle = (takes: ReadonlyArray<number>): Takes => {
  let index = 0
  return () => takes[index++ % takes.length]
}

/** The bytes that a case says. */
export const said = <Out>(codec: Codec.Codec<unknown, Out>, { frames, garbage, led }: Cases.Case<Out>): Uint8Array => {
  if (!led && garbage.length > 0) return garbage
  return concat([...Cases.encodable(codec, frames).map(({ bytes }) => bytes), garbage]).slice()
}

// ---------------------------------------------------------------------------------------------------------------------
// Comparing
// ---------------------------------------------------------------------------------------------------------------------

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const isPlain = (value: object): value is Record<string, unknown> => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const isEnumerable = Object.prototype.propertyIsEnumerable

/**
 * `Equal.equals` remembers what it has compared, which is wrong for what a faulty decoder changes afterwards. So bytes,
 * arrays and plain objects are compared here, and what has an equality of its own there.
 */
export const equals = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b) || a === b) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (a instanceof Uint8Array) return b instanceof Uint8Array && sameBytes(a, b)
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => equals(item, b[i]))
  if (!isPlain(a) || !isPlain(b)) return Equal.equals(a, b)
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length &&
    keys.every((key) => isEnumerable.call(b, key) && equals(a[key], b[key]))
}

/** Frames of which only the whole counts. */
export const join = (frames: ReadonlyArray<unknown>): unknown => {
  if (frames.every((frame) => frame instanceof Uint8Array)) return concat(frames)
  return frames.every((frame) => typeof frame === "string") ? frames.join("") : frames.flat()
}

/** Keeps what a value is now, all the way down, and tells later whether it still is that. */
export const remember = (value: unknown): () => boolean => {
  const parts = new Map<object, ReadonlyArray<unknown> | Uint8Array>()
  const visit = (part: unknown): void => {
    if (typeof part !== "object" || part === null || parts.has(part)) return
    if (part instanceof Uint8Array) {
      parts.set(part, part.slice())
      return
    }
    const entries = Object.entries(part).flat()
    parts.set(part, entries)
    entries.forEach(visit)
  }
  visit(value)
  return () => {
    for (const [part, was] of parts) {
      if (was instanceof Uint8Array ? !sameBytes(part as Uint8Array, was) : !sameEntries(part, was)) return false
    }
    return true
  }
}

const sameEntries = (part: object, was: ReadonlyArray<unknown>): boolean => {
  const entries = Object.entries(part).flat()
  return entries.length === was.length && entries.every((entry, i) => Object.is(entry, was[i]))
}

/** The index of the first frame that differs, or -1 where everything is the same. */
export const difference = <In, Out extends In>(
  { same, selfDelimiting }: Subject<In, Out>,
  a: Decoded<In>,
  b: Decoded<In>
): number => {
  if (selfDelimiting) {
    const shared = Math.min(a.frames.length, b.frames.length)
    for (let i = 0; i < shared; i++) if (!same(a.frames[i], b.frames[i])) return i
    if (a.frames.length !== b.frames.length) return shared
  } else if (!equals(join(a.frames), join(b.frames))) return 0
  return sameEnd(a, b) ? -1 : a.frames.length
}

const sameEnd = (a: Decoded<unknown>, b: Decoded<unknown>): boolean => {
  if (a.end === undefined || b.end === undefined) return a.end === b.end && a.rest!.length === b.rest!.length
  if (a.end._tag !== b.end._tag) return false
  if (a.end._tag === "Failed" && b.end._tag === "Failed") return sameError(a.end.error, b.end.error)
  if (a.end._tag === "Threw" && b.end._tag === "Threw") return sameError(a.end.cause, b.end.cause)
  return true
}

/** By what they say. Those of a codec, of which there are many, say it in fields that are compared without a text. */
const sameError = (a: unknown, b: unknown): boolean =>
  a === b || (isCodecError(a) && isCodecError(b) && a.constructor === b.constructor && sameFields(a, b)) ||
  errorText(a) === errorText(b)

const sameFields = (a: Codec.CodecError, b: Codec.CodecError): boolean => {
  const mine = Object.entries(a).flat()
  const theirs = Object.entries(b).flat()
  return a.message === b.message && mine.length === theirs.length && mine.every((field, i) => field === theirs[i])
}

/** A decoder that looks behind the unread bytes has broken law 2, and what comes of it depends on what is there. */
export const overread = (...decoded: ReadonlyArray<Decoded<unknown>>): boolean =>
  decoded.some(({ end }) => end?._tag === "Overread")

/** Whether frames are decoded in one piece. Where they are not, that is law 12, and others have nothing to say. */
export const isDecoded = <In, Out extends In>(
  subject: Subject<In, Out>,
  encoded: ReadonlyArray<Cases.Encoded<Out>>
): boolean => isDecodedAs(subject, concat(encoded.map(({ bytes }) => bytes)), encoded.map(({ frame }) => frame))

export const isDecodedAs = <In, Out extends In>(
  { codec, same }: Subject<In, Out>,
  bytes: Uint8Array,
  expected: ReadonlyArray<Out>
): boolean => {
  const { end, frames, rest } = decodePieces(codec, [bytes])
  return end === undefined && rest!.length === 0 && frames.length === expected.length &&
    expected.every((frame, i) => same(frames[i], frame))
}
