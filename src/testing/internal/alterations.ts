/**
 * What is almost a message: every place of it changed once at least, and every kind of change made somewhere. Pure.
 *
 * | a message of | is changed |
 * |---|---|
 * | a few characters | at each place, in each way |
 * | more | at each place, in the next few ways |
 * | more than `mostPlaces` | at the first and the last places, and evenly between them |
 *
 * @internal
 */
import * as Redacted from "effect/Redacted"

/** One change, of whatever has the shape of what it was found in. `undefined` where it would change nothing. */
export interface Alteration<A> {
  readonly what: string
  readonly apply: (value: A) => A | undefined
}

/** How many changes of one place a message has in all, as long as each place has one. */
const budget = 96
/** The same for a field among others. */
const fieldBudget = 32
const mostPlaces = 256

const isLetter = (unit: number): boolean => (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a)

/** What comes in the place of a byte, or of a character. */
const units: ReadonlyArray<readonly [what: string, change: (unit: number) => number]> = [
  ["with its lowest bit flipped", (unit) => unit ^ 1],
  ["in the other case", (unit) => isLetter(unit) ? unit ^ 0x20 : unit],
  ["as the next one", (unit) => unit + 1],
  ["with its highest bit flipped", (unit) => unit ^ 0x80],
  ["as 0", () => 0],
  ["as the one before", (unit) => unit - 1],
  ["as 255", () => 0xff]
]

/** What comes in the place of a byte that is no text, and so may hold flags, besides. */
const bits = ["its lowest bit", "bit 1", "bit 2", "bit 3", "bit 4", "bit 5", "bit 6", "its highest bit"].map(
  (name, bit) => [`with ${name} flipped`, (unit: number) => unit ^ (1 << bit)] as const
)
const mostFlags = 16

const isText = (unit: number): boolean => (unit >= 0x20 && unit < 0x7f) || [0x09, 0x0a, 0x0d].includes(unit)

/** How what stands behind a place, or at it, is cut and moved. */
const shapes = ["is left out", "comes twice", "is the last one"] as const

/** Bytes and texts, as what they have in common. */
interface Sequence<A> {
  readonly name: string
  readonly units: (value: A) => ReadonlyArray<number>
  readonly from: (units: ReadonlyArray<number>, like: A) => A
}

const bytes: Sequence<Uint8Array> = {
  name: "byte",
  units: (value) => Array.from(value),
  from: (units) => Uint8Array.from(units, (unit) => unit & 0xff)
}

const text: Sequence<string> = {
  name: "character",
  units: (value) => Array.from({ length: value.length }, (_, i) => value.charCodeAt(i)),
  from: (units) => String.fromCharCode(...units.map((unit) => unit & 0xffff))
}

const placesOf = (length: number): ReadonlyArray<number> => {
  if (length <= mostPlaces) return Array.from({ length }, (_, at) => at)
  const quarter = mostPlaces / 4
  const between = length - 2 * quarter
  return [
    ...Array.from({ length: quarter }, (_, at) => at),
    ...Array.from({ length: 2 * quarter }, (_, i) => quarter + Math.floor((i * between) / (2 * quarter))),
    ...Array.from({ length: quarter }, (_, i) => length - quarter + i)
  ]
}

const clamp = (value: number, least: number, most: number): number => Math.max(least, Math.min(most, value))

const same = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((unit, i) => unit === b[i])

/** So many ways of changing what is at a place. Each place begins with another one, and passes over those that change nothing. */
const unitsAt = (unit: number, nth: number, most: number) => {
  const found = units.map((_, i) => units[(nth + i) % units.length])
    .filter(([, change]) => (change(unit) & 0xff) !== (unit & 0xff))
    .slice(0, most)
  return nth >= mostFlags || isText(unit)
    ? found
    : [...found, ...bits.filter(([what]) => found.every(([other]) => other !== what))]
}

const ofSequence = <A>(sequence: Sequence<A>, value: A, most: number): Array<Alteration<A>> => {
  const { from, name } = sequence
  const known = sequence.units(value)
  const { length } = known
  const found: Array<Alteration<A>> = []
  const add = (what: string, change: (units: Array<number>) => ReadonlyArray<number>) =>
    found.push({
      what,
      apply: (value) => {
        const units = sequence.units(value)
        const changed = change([...units])
        return same(units, changed) ? undefined : from(changed, value)
      }
    })
  const places = placesOf(length)
  const ways = clamp(Math.floor(most / Math.max(1, places.length)), 1, units.length)
  const cuts = clamp(Math.floor(most / Math.max(1, 2 * places.length)), 1, shapes.length)
  places.forEach((at, nth) => {
    for (const [what, change] of unitsAt(known[at], nth, ways)) {
      add(`${name} ${at} of ${length} ${what}`, (units) => {
        if (at < units.length) units[at] = change(units[at])
        return units
      })
    }
    for (let i = 0; i < cuts; i++) {
      const shape = shapes[(nth + i) % shapes.length]
      add(`${name} ${at} of ${length} ${shape}`, (units) => {
        switch (shape) {
          case "is left out":
            return [...units.slice(0, at), ...units.slice(at + 1)]
          case "comes twice":
            return [...units.slice(0, at + 1), ...units.slice(at)]
          case "is the last one":
            return units.slice(0, at + 1)
        }
      })
    }
  })
  const x = 0x78
  add("an x behind it", (units) => [...units, x])
  add("an x before it", (units) => [x, ...units])
  if (length > 0) {
    add("nothing", () => [])
    add("itself twice", (units) => [...units, ...units])
    add("all letters in upper case", (units) => units.map((unit) => isLetter(unit) ? unit & ~0x20 : unit))
    add("all letters in lower case", (units) => units.map((unit) => isLetter(unit) ? unit | 0x20 : unit))
    add("a space behind it", (units) => [...units, 0x20])
    add("a space before it", (units) => [0x20, ...units])
    add(
      "its last word left out",
      (units) => units.lastIndexOf(0x20) === -1 ? units : units.slice(0, units.lastIndexOf(0x20))
    )
  }
  return found
}

/**
 * What is almost a text, and what people often take for the same: a part of it, more of it, another case, space around it.
 */
export const almost = (value: string): ReadonlyArray<string> => {
  const [first, last] = [value.slice(0, 1), value.slice(-1)]
  const other = (unit: string) => unit === "x" ? "y" : "x"
  const found = [
    "",
    value.slice(1),
    value.slice(0, -1),
    value.slice(0, Math.ceil(value.length / 2)),
    other(first) + value.slice(1),
    value.slice(0, -1) + other(last),
    `${value}x`,
    `x${value}`,
    `${value} `,
    ` ${value}`,
    value + value,
    value.toUpperCase(),
    value.toLowerCase()
  ]
  return [...new Set(found)].filter((text) => text !== value)
}

export const ofBytes = (value: Uint8Array): ReadonlyArray<Alteration<Uint8Array>> => ofSequence(bytes, value, budget)

/**
 * The bytes outside `from` to `to`, such as a length, a type or what ends it. None is left out or added: the next message
 * would be a part of this one then.
 */
export const ofBytesAround = (
  value: Uint8Array,
  from: number,
  to: number
): ReadonlyArray<Alteration<Uint8Array>> => {
  const places = [...placesOf(from), ...placesOf(value.length - to).map((at) => to + at)]
  const ways = clamp(Math.floor(budget / Math.max(1, places.length)), 1, units.length)
  return places.flatMap((at, nth) =>
    unitsAt(value[at], nth, ways).map(([what, change]): Alteration<Uint8Array> => ({
      what: `byte ${at} of ${value.length} ${what}`,
      apply: (value) => {
        if (at >= value.length || (change(value[at]) & 0xff) === value[at]) return undefined
        const changed = new Uint8Array(value)
        changed[at] = change(value[at])
        return changed
      }
    }))
  )
}

type Path = (change: (value: unknown) => unknown) => (whole: unknown) => unknown

/** What is changed in a value inside another one, as a change of that. */
const within = (name: string, path: Path, inner: ReadonlyArray<Alteration<unknown>>): Array<Alteration<unknown>> =>
  inner.map(({ apply, what }) => ({ what: `${name}: ${what}`, apply: path(apply) }))

const numbers: ReadonlyArray<readonly [what: string, change: (value: number) => number]> = [
  ["one more", (value) => value + 1],
  ["one less", (value) => value - 1],
  ["0", () => 0],
  ["255", () => 255],
  ["65535", () => 65_535],
  ["with its lowest bit flipped", (value) => value % 2 === 0 ? value + 1 : value - 1],
  ["twice as much", (value) => value * 2]
]

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const withField = (name: string): Path => (change) => (whole) => {
  if (!isRecord(whole) || !(name in whole)) return undefined
  const changed = change(whole[name])
  if (changed === undefined) return undefined
  // It stays what it is, a class of the protocol's own too.
  return Object.assign(Object.create(Object.getPrototypeOf(whole) as object | null), whole, { [name]: changed })
}

const withElement = (at: number): Path => (change) => (whole) => {
  if (!Array.isArray(whole) || at >= whole.length) return undefined
  const changed = change(whole[at])
  return changed === undefined ? undefined : whole.with(at, changed)
}

const withEntry = (key: unknown): Path => (change) => (whole) => {
  if (!(whole instanceof Map) || !whole.has(key)) return undefined
  const changed = change(whole.get(key))
  return changed === undefined ? undefined : new Map(whole).set(key, changed)
}

const withSecret: Path = (change) => (whole) => {
  if (!Redacted.isRedacted(whole)) return undefined
  const changed = change(Redacted.value(whole))
  return changed === undefined ? undefined : Redacted.make(changed)
}

/** How deep a frame is looked into, and how many of its elements are. */
const deepest = 4
const mostElements = 8

/** What is almost a frame, whatever it is: its texts and bytes at each place, its numbers, and each of its fields. */
export const ofFrame = (frame: unknown, most = budget, depth = 0): ReadonlyArray<Alteration<unknown>> => {
  // Of what has this type, since it was found in something of this type.
  const typed = <A>(is: (value: unknown) => value is A, found: ReadonlyArray<Alteration<A>>) =>
    found.map(({ apply, what }): Alteration<unknown> => ({
      what,
      apply: (value) => is(value) ? apply(value) : undefined
    }))
  if (typeof frame === "string") {
    return typed((value) => typeof value === "string", ofSequence(text, frame, most))
  }
  if (frame instanceof Uint8Array) {
    return typed((value): value is Uint8Array => value instanceof Uint8Array, ofSequence(bytes, frame, most))
  }
  if (typeof frame === "number") {
    return numbers.map(([what, change]) => ({
      what,
      apply: (value) => typeof value === "number" && change(value) !== value ? change(value) : undefined
    }))
  }
  if (typeof frame === "bigint") {
    return ([["one more", 1n], ["one less", -1n]] as const).map(([what, by]) => ({
      what,
      apply: (value) => typeof value === "bigint" ? value + by : undefined
    }))
  }
  if (typeof frame === "boolean") {
    return [{ what: "the opposite", apply: (value) => typeof value === "boolean" ? !value : undefined }]
  }
  if (depth === deepest || !isRecord(frame)) return []
  const inner = (name: string, path: Path, value: unknown) => within(name, path, ofFrame(value, fieldBudget, depth + 1))
  if (Redacted.isRedacted(frame)) return inner("its secret", withSecret, Redacted.value(frame))
  if (Array.isArray(frame)) {
    const list = typed(Array.isArray as (value: unknown) => value is Array<unknown>, [
      { what: "its last element left out", apply: (value) => value.length === 0 ? undefined : value.slice(0, -1) },
      { what: "its first element left out", apply: (value) => value.length === 0 ? undefined : value.slice(1) },
      { what: "its last element twice", apply: (value) => value.length === 0 ? undefined : [...value, value.at(-1)] },
      {
        what: "the other way round",
        apply: (value) => value.length < 2 ? undefined : value.toReversed()
      }
    ])
    return [
      ...list,
      ...frame.slice(0, mostElements).flatMap((value, at) => inner(`element ${at}`, withElement(at), value))
    ]
  }
  if (frame instanceof Map) {
    return [...frame].slice(0, mostElements).flatMap(([key, value]) => [
      {
        what: `without ${String(key)}`,
        apply: (whole: unknown) => {
          if (!(whole instanceof Map) || !whole.has(key)) return undefined
          const left = new Map<unknown, unknown>(whole)
          left.delete(key)
          return left
        }
      },
      ...inner(String(key), withEntry(key), value)
    ])
  }
  // What kind of frame it is, is a matter of the peer's other messages.
  return Object.keys(frame).filter((name) => name !== "_tag").flatMap((name) =>
    inner(name, withField(name), frame[name])
  )
}
