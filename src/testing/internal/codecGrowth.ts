/**
 * Frames that are wide or deep, made of those that were drawn: their bytes, for a decoder. Whether they are frames of the codec
 * is not asked, for a peer does not ask either; those that it cannot encode are left out.
 *
 * @internal
 */
import type * as Codec from "../../Codec.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { encode, repeated } from "./codecCases.ts"
import { sameBytes } from "./codecSubject.ts"
import { shownFrame } from "./codecWords.ts"

export interface Grown {
  readonly what: (size: number) => string
  readonly bytes: (size: number) => Uint8Array | undefined
  /** One of more bytes than this, whether or not the codec would send that many. */
  readonly beyond: (length: number) => Uint8Array | undefined
}

type Path = ReadonlyArray<string>

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** What holds others in a frame, and where it is. */
function* holders(value: unknown, path: Path = []): Generator<readonly [path: Path, value: unknown]> {
  if (!Array.isArray(value) && !isRecord(value) && !(value instanceof Map)) return
  yield [path, value]
  if (path.length >= 3 || value instanceof Map) return
  for (const [key, inner] of Object.entries(value).slice(0, 4)) yield* holders(inner, [...path, key])
}

const replaced = (value: unknown, [key, ...rest]: Path, by: unknown): unknown => {
  if (key === undefined) return by
  const inner = (value as Record<string, unknown>)[key] // the path was found in it
  const next = replaced(inner, rest, by)
  return Array.isArray(value)
    ? value.map((item: unknown, i) => String(i) === key ? next : item)
    : { ...(value as object), [key]: next }
}

/** What may be so small that it takes hardly a byte. */
const smallest: ReadonlyArray<unknown> = ["", [], new Uint8Array(), null, 0, {}]

const times = (bytes: Uint8Array, count: number): Uint8Array =>
  bytes.length === 0 ? bytes : repeated(bytes, count * bytes.length)

/** How deep the codec itself is asked to encode: it may need the stack for that. */
const shallow = 256

/**
 * The bytes of a frame that is many times inside itself, or has many items, from those of the first three sizes: what is more in
 * each of them is said again. Nothing where more than that changes, such as a length.
 */
const pumped = ([one, two, three]: ReadonlyArray<Uint8Array | undefined>, size: number): Uint8Array | undefined => {
  if (one === undefined || two === undefined || three === undefined) return undefined
  const more = two.length - one.length
  let before = 0
  while (before < one.length && one[before] === two[before]) before++
  let behind = 0
  while (behind < one.length - before && one[one.length - 1 - behind] === two[two.length - 1 - behind]) behind++
  const inner = one.subarray(before, one.length - behind)
  const at = (levels: number, split: number) =>
    concat([
      one.subarray(0, before),
      times(two.subarray(before, before + split), levels - 1),
      inner,
      times(two.subarray(before + split + inner.length, two.length - behind), levels - 1),
      one.subarray(one.length - behind)
    ])
  for (let split = 0; split <= more; split++) {
    if (sameBytes(at(2, split), two) && sameBytes(at(3, split), three)) return at(size, split)
  }
  return undefined
}

interface Shape {
  readonly isDeep?: boolean
  /** Of two of one sort, one is enough. */
  readonly sort: string
  readonly what: (size: number) => string
  readonly frame: (size: number) => unknown
}

function* shapesOf(frame: unknown): Generator<Shape> {
  for (const [path, held] of holders(frame)) {
    const place = `${isRecord(frame) ? String(frame["_tag"]) : ""} ${
      path.map((key) => Number(key) >= 0 ? "*" : key).join(".")
    }`
    const inside = path.length === 0 ? "" : ` in ${shownFrame(frame)}, at ${path.join(".")}`
    if (Array.isArray(held)) {
      for (const item of [...smallest, ...held.slice(0, 1)]) {
        yield {
          sort: `${place} ${Array.isArray(item) ? "[]" : typeof item}`,
          what: (size) => `an array of ${size} times ${shownFrame(item)}${inside}`,
          frame: (size) => replaced(frame, path, Array(size).fill(item))
        }
      }
    } else {
      const item: unknown = held instanceof Map ? [...held.values()][0] : Object.values(held as object)[0]
      const entries = (size: number) => Array.from({ length: size }, (_, i) => [`k${i}`, item] as const)
      yield {
        sort: `${place} entries`,
        what: (size) => `${size} entries like ${shownFrame(item)}${inside}`,
        frame: (size) =>
          replaced(frame, path, held instanceof Map ? new Map(entries(size)) : Object.fromEntries(entries(size)))
      }
    }
    if (held instanceof Map || (path.length === 0 && !Array.isArray(held))) continue
    yield {
      sort: `${place} deep`,
      isDeep: true,
      what: (size) =>
        `${shownFrame(frame)} ${size} times inside itself${path.length === 0 ? "" : `, at ${path.join(".")}`}`,
      frame: (size) => {
        let inner: unknown = frame
        for (let level = 1; level < size; level++) {
          inner = replaced(frame, path, Array.isArray(held) ? [inner] : inner)
        }
        return inner
      }
    }
  }
}

/** How many of them are tried. */
const mostShapes = 6

/** Frames grown at whatever holds others in them, as far as the codec encodes that. */
export const found = <Out>(codec: Codec.Codec<unknown, Out>, frames: ReadonlyArray<Out>): ReadonlyArray<Grown> => {
  const shapes = new Map<string, Grown>()
  for (const frame of frames) {
    for (const { frame: make, isDeep, sort, what } of shapesOf(frame)) {
      if (shapes.has(sort)) continue
      // It need not be an `Out`: only its bytes count.
      const encoded = (size: number) => encode(codec, make(size) as Out)
      const first = [1, 2, 3].map(encoded)
      const bytes = (size: number) =>
        isDeep === true && size > shallow ? pumped(first, size) ?? encoded(size) : encoded(size)
      const [, two, three] = first
      if (two === undefined || three === undefined || three.length <= two.length) continue
      const beyond = (length: number) => pumped(first, Math.ceil(length / (three.length - two.length)))
      shapes.set(sort, { what, bytes, beyond })
      if (shapes.size >= mostShapes) return [...shapes.values()]
    }
  }
  return [...shapes.values()]
}

/** What the author of the codec says how to make. */
export const told = (growing: Readonly<Record<string, (size: number) => Uint8Array>>): ReadonlyArray<Grown> =>
  Object.entries(growing).map(([name, bytes]) => ({
    what: (size) => `${size} ${name} (growing)`,
    bytes,
    beyond: () => undefined
  }))
