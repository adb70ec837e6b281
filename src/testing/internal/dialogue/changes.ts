/**
 * What may come in the place of a message: the message with one field altered, within its type and outside of it, another message
 * that is legal there, one that is not, one that is as long as it may be or longer.
 *
 * What each of them is where it comes, and so what must come of it, is not decided here: the specification reads it as it reads
 * everything.
 *
 * @internal
 */
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Bytes from "../../../Bytes.ts"
import * as Codec from "../../../Codec.ts"
import * as Excerpt from "../../../Excerpt.ts"
import { concat } from "../../../internal/bytes/primitives.ts"
import * as Draw from "../../../internal/dialogue/draw.ts"
import type { Shape, Values } from "../../../internal/dialogue/fields.ts"
import { isRefused, readOne, type Taken } from "../../../internal/dialogue/follow.ts"
import { type Compiled, saidOf, type Spec } from "../../../internal/dialogue/spec.ts"
import type { Bound, Form } from "../../../internal/dialogue/wire.ts"
import * as Wire from "../../../Wire.ts"
import * as Alterations from "../alterations.ts"
import { evenly } from "../laws/cases.ts"

/** Something that is said in the place of a message. */
export interface Change {
  readonly what: string
  /** The field that it changes, where it is one. */
  readonly field?: string | undefined
  /** What is said, of what was to be said at that time; undefined where it cannot be said. */
  readonly apply: (due: Uint8Array) => Uint8Array | undefined
  /** The message that it is, where that is another one, and the one whose field it changes. */
  readonly tag?: string | undefined
  readonly of?: string | undefined
  /** Whether it is tried even where few are. */
  readonly isFirst?: boolean | undefined
}

/** A wire that takes anything that can be put into bytes at all, whatever the Schemas say. */
const loose = new WeakMap<Compiled, Bound>()

const unexpected = "unexpected"

const looseOf = ({ source }: Spec, state: Compiled): Bound => {
  let found = loose.get(state)
  if (found === undefined) {
    const wire = source.states[state.name]!.wire ?? source.wire ?? Wire.json()
    const shapes: Record<string, Shape> = {}
    for (const [tag, { names }] of state.wire.fields) {
      const { kind } = state.wire.form(tag)
      shapes[tag] = Object.fromEntries([
        ...names.map((name) => [name, kind === "text" ? Schema.String : Schema.optionalKey(Schema.Unknown)]),
        ...(kind === "json" ? [[unexpected, Schema.optionalKey(Schema.Unknown)]] : [])
      ])
    }
    found = wire.bind(shapes)
    loose.set(state, found)
  }
  return found
}

/** The bytes of a message whose fields are as they are carried. */
const looseBytes = (spec: Spec, state: Compiled, tag: string, carried: Values): Uint8Array | undefined => {
  const wire = looseOf(spec, state)
  try {
    const frame = wire.write(tag, carried, [tag])
    return Result.isSuccess(frame) ? Codec.encodeAll(wire.codec([tag]), [frame.success]) : undefined
  } catch {
    return undefined
  }
}

/** The fields of a message as its wire carries them, with secrets in clear. */
export const carriedOf = ({ wire }: Compiled, tag: string, values: Values): Values | undefined => {
  const encoded = wire.fields.get(tag)!.encode(values)
  return Result.isSuccess(encoded) ? encoded.success : undefined
}

/** The fields in which two messages differ. */
export const differing = (state: Compiled, tag: string, a: Values, b: Values): ReadonlyArray<string> => {
  const [one, other] = [carriedOf(state, tag, a), carriedOf(state, tag, b)]
  return one === undefined || other === undefined
    ? []
    : state.wire.fields.get(tag)!.names.filter((name) => !Equal.equals(one[name], other[name]))
}

const isDigits = (text: string): boolean => /^-?\d{1,12}$/.test(text)

const numbersAround = (value: number): ReadonlyArray<number> => [
  value + 1,
  value - 1,
  0,
  1,
  2,
  255,
  256,
  65_535,
  65_536,
  -1,
  -value,
  value + 0.5,
  value + 256,
  4_294_967_295
]

const longOf = (value: string): ReadonlyArray<string> => [value.repeat(2), value + "x".repeat(64)]

/** How long texts and bytes are made, and how large numbers, to see up to where they are taken. */
const farthest = 4096

/** By how much steps grow where only the bounds of a number count. */
const coarse = 32

/**
 * Values on both sides of where a type begins and ends to take them, as far as that is seen by trying: how long it may be, how
 * large and how small. And some that lie between.
 */
const bounds = (
  value: unknown,
  isTaken: (value: unknown) => boolean,
  isFree: boolean
): ReadonlyArray<unknown> => {
  const along = (of: (size: number) => unknown, from: number, to: number, by = 2): ReadonlyArray<unknown> => {
    const found: Array<unknown> = []
    const steps = new Set([from, to])
    for (let step = 1; from + step < to; step *= by) steps.add(from + step)
    const sizes = [...steps].sort((a, b) => a - b)
    for (const [i, size] of sizes.entries()) {
      const next = sizes[i + 1]
      if (next === undefined) break
      let [low, high] = [size, next]
      const isLow = isTaken(of(low))
      if (isLow) found.push(of(low))
      if (isLow === isTaken(of(high))) continue
      while (high - low > 1) {
        const middle = Math.floor((low + high) / 2)
        if (isTaken(of(middle)) === isLow) low = middle
        else high = middle
      }
      found.push(of(low), of(high))
    }
    return found
  }
  const around = (value: number, of: (value: number) => unknown, by: number): ReadonlyArray<unknown> =>
    [1, -1].flatMap((sign) => along((more) => of(value + sign * more), 0, 2 ** 40, by))
  if (typeof value === "string") {
    const last = value.at(-1) ?? "x"
    const of = (size: number) => size <= value.length ? value.slice(0, size) : value + last.repeat(size - value.length)
    return [...along(of, 0, farthest), ...(isDigits(value) ? around(Number(value), String, coarse) : [])]
  }
  if (value instanceof Uint8Array) {
    return along(
      (size) => Uint8Array.from({ length: size }, (_, i) => value[i % Math.max(1, value.length)] ?? 0),
      0,
      farthest
    )
  }
  if (Array.isArray(value) && value.length > 0) {
    return along((size) => Array.from({ length: size }, (_, i): unknown => value[i % value.length]), 0, 300)
  }
  // Of a number that is looked at only some bits may be looked at.
  return typeof value === "number" ? around(value, (value) => value, isFree ? coarse : 2) : []
}

/** A message with larger and larger numbers in one of its fields, up to the largest that is taken. */
export const ofNumbers = (spec: Spec, { state, tag, values }: Taken): ReadonlyArray<Change> => {
  const carried = carriedOf(state, tag, values) ?? {}
  return Object.entries(carried).flatMap(([field, value]) => {
    const isText = typeof value === "string" && isDigits(value)
    if (!isText && typeof value !== "number") return []
    const now = Number(value)
    const said = (number: number) =>
      looseBytes(spec, state, tag, { ...carried, [field]: isText ? String(number) : number })
    const isTaken = (number: unknown) => {
      const bytes = said(number as number) // as it is made here
      return bytes !== undefined && readOne(state, bytes).read._tag === "Message"
    }
    const largest = Math.max(...bounds(now, isTaken, true).filter(isTaken).map(Number))
    const numbers: Array<number> = []
    for (let number = Math.max(1, now) * 4; number < largest; number *= 4) numbers.push(number)
    return [...numbers.filter(isTaken), largest].filter((number) => number > now).map((number): Change => ({
      what: `its field ${field} is ${number} for ${now}`,
      field,
      apply: () => said(number)
    }))
  })
}

/** A text or bytes in one field of a message, made longer by as many as one likes. */
export interface Growing {
  readonly what: (by: number) => string
  readonly say: (by: number) => Uint8Array | undefined
  /** By how many it is as long as its state and its wire allow, or as long as anything is made. */
  readonly most: () => number
}

/** How long messages are made at most, and where nothing bounds them. */
const longestMessage = 24_576
const longestUnbounded = 4096

/**
 * A message that grows in one of its fields, by a run of one character and something behind it that does not fit: what many patterns
 * look for in vain. Where no longest text may end with that, it ends as it did. First one way for each field, then others.
 */
export const ofGrowing = (spec: Spec, { bytes, state, tag, values }: Taken): ReadonlyArray<Growing> => {
  const carried = carriedOf(state, tag, values) ?? {}
  const { secrets } = state.wire.fields.get(tag)!
  const longest = Math.min(state.maxBytes ?? longestUnbounded, longestMessage)
  const fits = (said: Uint8Array | undefined): said is Uint8Array => said !== undefined && said.length <= longest
  const each = Object.entries(carried).map(([field, value]) =>
    // What is a number has larger ones.
    (typeof value === "string" && isDigits(value) ? [] : Alterations.growthsOf(value)).map(
      ({ grow, what }): Growing => {
        const saying = (grown: unknown) => looseBytes(spec, state, tag, { ...carried, [field]: grown })
        const plain = (by: number) =>
          typeof value === "string" ? saying(value + (value.at(-1) ?? "x").repeat(by)) : undefined
        const say = (by: number) => {
          const said = saying(grow(value, by))
          if (by <= shortest || !fits(said) || isMessage(state, said)) return said
          const other = plain(by)
          return fits(other) && isMessage(state, other) ? other : said
        }
        const shown = secrets.includes(field) ? "characters" : `of ${what}`
        return {
          what: (by) => `its field ${field} has ${by} more ${shown}`,
          say,
          most: () => {
            const all = longest - bytes.length - 1
            if (fits(saying(grow(value, all)))) return all
            let [low, high] = [0, Math.max(0, longest)]
            while (high - low > 1) {
              const middle = Math.floor((low + high) / 2)
              if (fits(saying(grow(value, middle)))) low = middle
              else high = middle
            }
            return low
          }
        }
      }
    )
  )
  const ways = Math.max(0, ...each.map(({ length }) => length))
  return Array.from({ length: ways }, (_, way) => each.flatMap((growths) => growths.slice(way, way + 1))).flat()
}

/** Up to that texts are taken for short: to read them with a pattern that is slow may take for ever before they were tried. */
const shortest = 64

const isMessage = (state: Compiled, said: Uint8Array): boolean => readOne(state, said).read._tag === "Message"

/** A value with a change at each of its places. */
const places = (value: unknown): ReadonlyArray<unknown> =>
  Alterations.ofFrame(value, 16).flatMap(({ apply }) => {
    const changed = apply(value)
    return changed === undefined ? [] : [changed]
  })

/** What is tried of a field of which any value will do: what some programs cannot take. */
const odd: ReadonlySet<string> = new Set([
  "empty",
  "longer",
  "a single character",
  "with a space in front of it",
  "with a zero byte and more behind it",
  "a number near it",
  "a number written otherwise",
  "all zeros",
  "another list",
  "of another type"
])

/** A value that comes in the place of another one, and how it differs, which may be shown of a secret, too. */
type Other = readonly [how: string, value: unknown]

const all = (how: string, values: ReadonlyArray<unknown>): ReadonlyArray<Other> => values.map((value) => [how, value])

/** What is near to bytes that are text, such as a password: as text, and with a byte of none, which a lenient decoder leaves out. */
const nearText = (bytes: Uint8Array): ReadonlyArray<Other> => {
  const text = bytes.length === 0 ? undefined : Bytes.decodeUtf8(bytes)
  return text === undefined || !isPrintable(text) ? [] : [
    ...Alterations.almostBy(text).map(([how, other]): Other => [how, encoder.encode(other)]),
    ["with a byte of no text behind it", Uint8Array.of(...bytes, 0xff)]
  ]
}

const isPrintable = (text: string): boolean => /^[\0\t\n\r -~]+$/.test(text)

/** What is near a value, or what others take for it, by what it is made of. */
const near = (value: unknown, kind: Form["kind"]): ReadonlyArray<Other> => {
  const isNumber = typeof value === "string" && isDigits(value)
  const own: ReadonlyArray<Other> = typeof value === "string"
    ? [
      ...all("a number near it", isNumber ? numbersAround(Number(value)).map(String) : []),
      ...Alterations.almostBy(value),
      ...all("longer", longOf(value)),
      ...all(
        "a number written otherwise",
        isNumber ? [`0${value}`, `+${value}`, `${value}.0`, `${value}e0`, "0x1", "NaN", "Infinity"] : []
      ),
      ...all("a single character", ["x", "0", "\u00e9"])
    ]
    : typeof value === "number"
    ? all("a number near it", numbersAround(value))
    : value instanceof Uint8Array
    ? [
      ["empty", new Uint8Array(0)],
      ["all zeros", new Uint8Array(value.length)],
      ["the other way round", value.toReversed()],
      ["with a zero behind it", Uint8Array.of(...value, 0)],
      ...nearText(value)
    ]
    : Array.isArray(value)
    ? all("another list", [[], [0], [...value, 0], [...value, ...value]])
    : []
  const others = kind === "json" || kind === "codec"
    ? [null, true, false, "", "x", 0, 1, [], {}, [value], String(value), Number(value)]
    : []
  return [...own, ...all("of another type", others)]
}

/** What a field holds in another form than its wire carries it, and back. */
interface View {
  readonly read: (carried: Values) => unknown
  readonly write: (carried: Values, inside: unknown) => Values | undefined
}

/** As the program has it, whose Schema makes something else of what is carried. */
const decodedView = ({ wire }: Compiled, tag: string, name: string): View => {
  const { decode, encode } = wire.fields.get(tag)!
  const valuesOf = (carried: Values) => Result.getOrUndefined(decode(carried))
  return {
    read: (carried) => {
      const value = valuesOf(carried)?.[name]
      return Redacted.isRedacted(value) ? Redacted.value(value) : value
    },
    write: (carried, inside) => {
      const values = valuesOf(carried)
      if (values === undefined) return undefined
      const value = Redacted.isRedacted(values[name]) ? Redacted.make(inside) : inside
      return Result.getOrUndefined(encode({ ...values, [name]: value }))
    }
  }
}

const encoder = new TextEncoder()

const binary = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

/** What is in Base64; undefined where it is none. */
const ofBase64 = (text: string): string | undefined => {
  try {
    return Bytes.decodeUtf8(Uint8Array.from(atob(text), (unit) => unit.charCodeAt(0)))
  } catch {
    return undefined
  }
}

/** A text in Base64 that the program takes apart by itself. */
const base64View = (name: string): View => ({
  read: (carried) => {
    const value = carried[name]
    if (typeof value !== "string" || value.length < 8 || value.length % 4 !== 0) return undefined
    const text = ofBase64(value)
    // Any word of eight letters is Base64 of something.
    return text !== undefined && isPrintable(text) ? text : undefined
  },
  write: (carried, inside) =>
    typeof inside === "string" ? { ...carried, [name]: btoa(binary(encoder.encode(inside))) } : undefined
})

/** The forms in which a field holds something else than what is carried. */
const viewsOf = (state: Compiled, tag: string, name: string, carried: Values): ReadonlyArray<View> => {
  const decoded = decodedView(state, tag, name)
  return [...(Equal.equals(decoded.read(carried), carried[name]) ? [] : [decoded]), base64View(name)]
}

/** What is inside, with another text in the place of each of its parts, or of all of it. */
const holding = (inside: unknown, text: string): ReadonlyArray<unknown> => {
  if (typeof inside === "string") {
    const found = apart(inside)
    return found === undefined ? [text] : found.parts.map((_, i) => found.parts.with(i, text).join(found.separator))
  }
  if (!Predicate.isObject(inside) || Array.isArray(inside) || inside instanceof Uint8Array) return []
  return Object.entries(inside).flatMap(([member, value]: [string, unknown]) =>
    typeof value === "string" ? [{ ...inside, [member]: text }] : []
  )
}

/** What stands between the parts of a text, such as the name and the password of a login. */
const separators = ["\0", ":", ",", " "]
const mostParts = 6

const apart = (text: string): { readonly separator: string; readonly parts: ReadonlyArray<string> } | undefined => {
  const separator = separators.find((separator) => text.includes(separator))
  const parts = separator === undefined ? [] : text.split(separator)
  return separator === undefined || parts.length > mostParts ? undefined : { separator, parts }
}

/** The parts of what a field holds, in whatever form that has any. */
export const partsOf = ({ state, tag, values }: Taken, name: string): ReadonlyArray<string> | undefined => {
  const carried = carriedOf(state, tag, values)
  if (carried === undefined) return undefined
  for (const inside of [carried[name], ...viewsOf(state, tag, name, carried).map(({ read }) => read(carried))]) {
    const found = typeof inside === "string" ? apart(inside) : undefined
    if (found !== undefined) return found.parts
  }
  return undefined
}

/** A text of several parts with one of them almost right, one more, one less. */
const ofParts = (text: string): ReadonlyArray<Other> => {
  const found = apart(text)
  if (found === undefined) return []
  const { parts, separator } = found
  const joined = (parts: ReadonlyArray<string>) => parts.join(separator)
  return [
    ...parts.flatMap((part, i) =>
      Alterations.almostBy(part).map(([how, other]): Other => [
        `its part ${i + 1} of ${parts.length} ${how}`,
        joined(parts.with(i, other))
      ])
    ),
    ["with a part more at its end", joined([...parts, "x"])],
    ["with a part more at its beginning", joined(["x", ...parts])],
    ["with something else between its parts", parts.join(separator === ":" ? "," : ":")],
    ["with spaces between its parts", parts.join(separator === " " ? "\t" : " ")],
    ["without its last part", joined(parts.slice(0, -1))],
    ["without its first part", joined(parts.slice(1))],
    ["with its parts the other way round", joined(parts.toReversed())],
    ["with its last two parts in each other's place", joined([...parts.slice(0, -2), ...parts.slice(-2).reverse()])]
  ]
}

/** What is near to what is inside: of a text its parts, too, of an object each of its members. */
const nearInside = (inside: unknown): ReadonlyArray<Other> => {
  if (typeof inside === "string") return [...Alterations.almostBy(inside), ...ofParts(inside)]
  if (!Predicate.isObject(inside) || Array.isArray(inside) || inside instanceof Uint8Array) return []
  return Object.entries(inside).flatMap(([member, value]: [string, unknown]) =>
    typeof value === "string" || typeof value === "number"
      ? near(value, "text").map(([how, other]): Other => [`its ${member} ${how}`, { ...inside, [member]: other }])
      : []
  )
}

/** Makes of one thing what it made of it last: a message is altered in many ways, one after the other. */
const onceOf = <A, B>(make: (of: A) => B): (of: A) => B => {
  let last: { readonly of: A; readonly made: B } | undefined
  return (of) => (last !== undefined && Object.is(last.of, of) ? last : last = { of, made: make(of) }).made
}

/** All fields of a message altered, each in many ways. Others are values that were seen elsewhere in the conversation. */
export const ofFields = (
  spec: Spec,
  { bytes, state, tag, values }: Taken,
  others: ReadonlyArray<unknown>,
  seed: number
): ReadonlyArray<Change> => {
  const carried = carriedOf(state, tag, values)
  if (carried === undefined) return []
  const { free, fresh, names, secrets } = state.wire.fields.get(tag)!
  const { kind } = state.wire.form(tag)
  const drawn = Array.from({ length: drawnValues }, (_, i) => {
    const values = Draw.draw(state, tag, seed + i)
    return values === undefined ? undefined : carriedOf(state, tag, values)
  })
  const carriedIn = onceOf((due: Uint8Array) => {
    const { read } = readOne(state, due)
    return read._tag === "Message" && read.tag === tag ? carriedOf(state, tag, read.values) : undefined
  })
  const withField = (
    due: Uint8Array,
    change: (carried: Values) => Values | undefined
  ): Uint8Array | undefined => {
    const now = carriedIn(due)
    const changed = now === undefined ? undefined : change(now)
    return changed === undefined ? undefined : looseBytes(spec, state, tag, changed)
  }
  const changes = names.flatMap((name): Array<Change> => {
    const isFree = free.includes(name)
    const given: ReadonlyArray<Other> = [
      ...all("drawn", drawn.flatMap((values) => values === undefined ? [] : [values[name]])),
      ...(isFree ? [] : [
        ...names.filter((other) => other !== name).map((other): Other => [`that of ${other}`, carried[other]]),
        ...all("said elsewhere", others)
      ])
    ]
    const seen: Array<unknown> = [carried[name]]
    const each: Array<Change> = []
    const push = (how: string, value: unknown, change: (carried: Values) => Values | undefined, isFirst = true) => {
      if (value === undefined || seen.some((other) => Equal.equals(other, value))) return
      seen.push(value)
      each.push({
        what: secrets.includes(name)
          ? `its field ${name} is another one (${how})`
          : `its field ${name} is ${Excerpt.ofFrame(value)} for ${Excerpt.ofFrame(carried[name])}`,
        field: name,
        isFirst,
        apply: (due) => withField(due, change)
      })
    }
    const add = (how: string, value: unknown, change: (now: unknown) => unknown, isFirst = true) =>
      push(how, value, (carried) => {
        const value = change(carried[name])
        return value === undefined ? undefined : { ...carried, [name]: value }
      }, isFirst)
    // What is near is near to what is said now: a proof is made afresh each time.
    const nearOnes = onceOf((now: unknown) => near(now, kind))
    for (const [i, [how, value]] of nearOnes(carried[name]).entries()) {
      // Nobody compares a free one, so what is almost it says nothing that other values do not.
      if (!isFree || odd.has(how)) add(how, value, (now) => nearOnes(now)[i]?.[1])
    }
    if (!isFree) {
      for (const view of viewsOf(state, tag, name, carried)) {
        const insides = onceOf((carried: Values) => nearInside(view.read(carried)))
        for (const [i, [how, inside]] of insides(carried).entries()) {
          push(how, view.write(carried, inside)?.[name], (carried) => {
            const other = insides(carried)[i]
            return other === undefined ? undefined : view.write(carried, other[1])
          })
        }
      }
      const now = carried[name]
      if (typeof now === "string") {
        const parts = onceOf(ofParts)
        for (const [i, [how, value]] of parts(now).entries()) {
          add(how, value, (now) => typeof now === "string" ? parts(now)[i]?.[1] : undefined)
        }
      }
    }
    for (const [how, value] of given) add(how, value, () => value)
    const isTaken = (value: unknown) => {
      const bytes = looseBytes(spec, state, tag, { ...carried, [name]: value })
      return bytes !== undefined && readOne(state, bytes).read._tag === "Message"
    }
    for (const value of bounds(carried[name], isTaken, isFree)) {
      add("as long or large as may be, or more", value, () => value)
    }
    const changedPlaces = onceOf(places)
    for (const [i, value] of (isFree ? [] : changedPlaces(carried[name])).entries()) {
      add("in one place", value, (now) => changedPlaces(now)[i], false)
    }
    if (kind === "json" && name in carried) {
      each.push({
        what: `its field ${name} is left out`,
        field: name,
        apply: (due) => withField(due, ({ [name]: _, ...carried }) => carried)
      })
    }
    return each
  })
  // Two of them change together: what is only put together, or taken for one another, is the same as before.
  for (const [i, name] of names.entries()) {
    const next = names[i + 1]
    if (next === undefined) continue
    const both = (what: string, change: (a: string, b: string) => readonly [string, string] | undefined) =>
      changes.push({
        what,
        isFirst: true,
        apply: (due) =>
          withField(due, (carried) => {
            const [a, b] = [carried[name], carried[next]]
            const changed = typeof a === "string" && typeof b === "string" ? change(a, b) : undefined
            return changed === undefined ? undefined : { ...carried, [name]: changed[0], [next]: changed[1] }
          })
      })
    both(`its fields ${name} and ${next} have changed places`, (a, b) => [b, a])
    both(`the first character of ${next} is the last one of ${name}`, (a, b) => [a + b.slice(0, 1), b.slice(1)])
    both(`the last character of ${name} is the first one of ${next}`, (a, b) => [a.slice(0, -1), a.slice(-1) + b])
  }
  // Who is not known has no secret, which is not the same as an empty one.
  for (const secret of secrets) {
    const least = leastOf(carried[secret])
    if (least === undefined || Equal.equals(least, carried[secret])) continue
    for (const name of names.filter((name) => !free.includes(name) && !fresh.includes(name) && name !== secret)) {
      const wrong = changes.find(({ apply, field }) => {
        const said = field === name ? apply(bytes) : undefined
        return said !== undefined && readOne(state, said).read._tag === "Message"
      })
      if (wrong === undefined) continue
      changes.push({
        what: `${wrong.what}, and ${secret} is the least of its type`,
        isFirst: true,
        apply: (due) => {
          const said = wrong.apply(due)
          return said && withField(said, (carried) => ({ ...carried, [secret]: least }))
        }
      })
    }
  }
  // Whether one is looked at may depend on another one: nobody asks for the password of whoever has no name.
  for (const name of names.filter((name) => !free.includes(name) && !fresh.includes(name))) {
    const wrong = changes.find(({ apply, field }) => {
      const said = field === name ? apply(bytes) : undefined
      return said?.length === bytes.length && readOne(state, said).read._tag === "Message"
    })
    for (const other of wrong === undefined ? [] : names.filter((other) => free.includes(other))) {
      const least = leastOf(carried[other])
      if (least === undefined || Equal.equals(least, carried[other])) continue
      changes.push({
        what: `${wrong!.what}, and ${other} is ${Excerpt.ofFrame(least)}`,
        isFirst: true,
        apply: (due) => {
          const said = wrong!.apply(due)
          return said && withField(said, (carried) => ({ ...carried, [other]: least }))
        }
      })
    }
  }
  return kind !== "json" ? changes : [...changes, {
    what: "there is a field that it does not have",
    apply: (due) => withField(due, (carried) => ({ ...carried, [unexpected]: 1 }))
  }]
}

/** The least value of its type, which is often taken for none. */
const leastOf = (value: unknown): unknown =>
  typeof value === "string"
    ? ""
    : typeof value === "number"
    ? 0
    : value instanceof Uint8Array
    ? new Uint8Array(value.length)
    : undefined

const drawnValues = 4

/** How many changes are tried of a field of a message that is due as well. */
const otherFields = 4

/** A text in other spellings; its first word alone in another case, too, for whatever is behind it may be a secret in both. */
const spellings = (text: string): ReadonlyArray<string> => {
  const end = text.includes(" ") ? text.indexOf(" ") : text.length
  const [word, rest] = [text.slice(0, end), text.slice(end)]
  return [
    ...Alterations.almost(text),
    text.replaceAll(" ", "  "),
    `${text}\0`,
    word.toLowerCase() + rest,
    word.slice(0, 1) + word.slice(1).toLowerCase() + rest
  ]
}

/** A message in another spelling, as a text or in its bytes: around its fields, where it is always the same. */
export const ofSpelling = ({ state, tag, values }: Taken): ReadonlyArray<Change> => {
  const { secrets } = state.wire.fields.get(tag)!
  const codec = state.wire.codec(state.due)
  const textOf = (due: Uint8Array): string | undefined => {
    const frame = Codec.decodeAll(codec, due)[0]
    return typeof frame === "string" ? frame : undefined
  }
  const spelled = (change: (text: string) => string | undefined) => (due: Uint8Array): Uint8Array | undefined => {
    const text = textOf(due)
    const other = text === undefined ? undefined : change(text)
    try {
      return other === undefined ? undefined : Codec.encodeAll(codec, [other])
    } catch {
      return undefined
    }
  }
  const bytes = wordsIn(state, tag, values)
  if (bytes === undefined) return []
  const text = textOf(bytes)
  if (text !== undefined) {
    return spellings(text).map((other, i): Change => ({
      what: secrets.length > 0 ? "it is written otherwise" : `it is written as ${Excerpt.ofFrame(other)}`,
      apply: spelled((text) => spellings(text)[i])
    }))
  }
  return evenly(Alterations.ofBytes(bytes), 40).map(({ apply, what }): Change => ({ what, apply }))
}

/** A message drawn wherever it may be said, in bytes. */
const drawnAnywhere = (spec: Spec, tag: string, seed: number): Uint8Array | undefined => {
  for (const state of spec.states.values()) {
    if (!state.targets.has(tag)) continue
    const values = Draw.draw(state, tag, seed)
    const bytes = values === undefined ? undefined : Draw.bytesOf(state, tag, values)
    if (bytes !== undefined) return bytes
  }
  // It is only said otherwise.
  const wire: Compiled = { ...spec.start, wire: spec.wire, due: [tag], maxBytes: undefined }
  const values = Draw.draw(wire, tag, seed)
  return values === undefined ? undefined : Draw.bytesOf(wire, tag, values)
}

/** The other messages of the dialogue: those that may be said in the place of one, and those that may not. */
export const ofMessages = (
  spec: Spec,
  { by, state, tag }: Taken,
  said: ReadonlyArray<Taken>,
  seed: number
): ReadonlyArray<Change> => {
  const found: Array<Change> = []
  const add = (what: string, tag: string, bytes: Uint8Array | undefined, isFirst = false) => {
    if (bytes !== undefined) found.push({ what, tag, isFirst, apply: () => bytes })
  }
  for (const other of Object.keys(spec.source.messages)) {
    const target = state.targets.get(other)
    const how = target === undefined
      ? `${other}, which is not due, is said`
      : isRefused(target)
      ? `the refusal ${other} is said`
      : `${other}, which is due as well, is said`
    for (let i = 0; i < (target === undefined ? 2 : 4); i++) {
      const values = target === undefined ? undefined : Draw.draw(state, other, seed + i)
      const bytes = target === undefined
        ? drawnAnywhere(spec, other, seed + i)
        : values === undefined
        ? undefined
        : Draw.bytesOf(state, other, values)
      add(other === tag ? `${other} is said with other fields` : how, other, bytes, i === 0)
    }
  }
  // The fields of what is due as well, and comes in no conversation that is known.
  for (const other of state.due) {
    if (other === tag) continue
    const values = Draw.draw(state, other, seed)
    const bytes = values === undefined ? undefined : Draw.bytesOf(state, other, values)
    if (values === undefined || bytes === undefined) continue
    const drawn: Taken = { state, by, tag: other, values, bytes, nth: 0, from: 0, target: state.targets.get(other)! }
    const changes = ofFields(spec, drawn, [], seed).filter(({ apply }) => apply(bytes) !== undefined)
    for (const change of evenly(changes, otherFields * Object.keys(values).length)) {
      found.push({
        isFirst: true,
        what: `${other}, which is due as well, is said, and ${change.what}`,
        of: other,
        field: change.field,
        apply: () => change.apply(bytes)
      })
    }
  }
  for (const { bytes, state: from, tag: other } of said) {
    if (from === state && other === tag) continue
    add(`${other} of the state ${from.name} is said`, other, bytes)
  }
  for (const role of ["server", "client"] as const) {
    const told = spec.otherwise[role]
    if (told === undefined || typeof told === "function") continue
    const [other, values] = saidOf(told)
    add(`${other} is said, as to whoever breaks the rules`, other, wordsIn(state, other, values))
  }
  return found
}

/** A message in the wire of a state, whether it is due there or not. */
export const wordsIn = ({ wire }: Compiled, tag: string, values: Values): Uint8Array | undefined => {
  if (!wire.fields.has(tag)) return undefined
  const frame = wire.write(tag, values, [tag])
  return Result.isSuccess(frame) ? Codec.encodeAll(wire.codec([tag]), [frame.success]) : undefined
}

/** The message made as long as that, in one of its fields: any value of a free one will do. */
export const ofLength = (spec: Spec, taken: Taken, length: number): ReadonlyArray<Change> => {
  const { state, tag, values } = taken
  const { free, names } = state.wire.fields.get(tag)!
  const ordered = [...names.filter((name) => free.includes(name)), ...names.filter((name) => !free.includes(name))]
  const found: Array<Change> = []
  const carried = carriedOf(state, tag, values)
  for (const name of ordered) {
    const value = carried?.[name]
    if (!isPaddable(value)) continue
    found.push({
      what: `it is made ${length} bytes long in its field ${name}`,
      field: name,
      apply: (due) => {
        const { read } = readOne({ ...state, maxBytes: undefined }, due)
        if (read._tag !== "Message" || read.tag !== tag) return undefined
        const now = carriedOf(state, tag, read.values)
        const value = now?.[name]
        if (now === undefined || !isPaddable(value)) return undefined
        // How long it is may be written in front of it.
        for (let more = length - due.length - 3; more <= length - due.length; more++) {
          const bytes = looseBytes(spec, state, tag, { ...now, [name]: padded(value, more) })
          if (bytes?.length === length) return bytes
        }
        return undefined
      }
    })
  }
  if (state.wire.form(tag).kind !== "text") return found
  const texts = state.wire.codec(state.due)
  return [...found, {
    what: `${length} bytes of no message are said`,
    apply: () => {
      for (let more = length; more > 0 && more > length - 8; more--) {
        try {
          const bytes = Codec.encodeAll(texts, ["x".repeat(more)])
          if (bytes.length === length) return bytes
        } catch {
          // It is longer than the codec allows.
        }
      }
      return undefined
    }
  }]
}

/** How long the texts of a codec may be, where they are shorter than by default. */
const longestText = (codec: Codec.Codec<unknown, unknown>): number | undefined => {
  const isTaken = (length: number): boolean => {
    try {
      return Codec.decodeAll(codec, Codec.encodeAll(codec, ["x".repeat(length)])).length === 1
    } catch {
      return false
    }
  }
  let [low, high] = [1, Codec.defaultMaxLength]
  if (!isTaken(low) || isTaken(high)) return undefined
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (isTaken(middle)) low = middle
    else high = middle
  }
  return low
}

/** The message as long as its codec allows, and a byte longer than that. */
export const ofLongest = (spec: Spec, taken: Taken): ReadonlyArray<Change> => {
  const { state, tag } = taken
  if (state.wire.form(tag).kind !== "text") return []
  const codec = state.wire.codec(state.due)
  const longest = longestText(codec)
  if (longest === undefined) return []
  const bytes = Codec.encodeAll(codec, ["x".repeat(longest)])
  return [...ofLength(spec, taken, bytes.length), {
    what: `a text of ${longest + 1} bytes is said, and its codec allows ${longest}`,
    apply: () => Uint8Array.of(0x78, ...bytes)
  }]
}

const isList = (value: Paddable): value is ReadonlyArray<unknown> => Array.isArray(value)

type Paddable = string | Uint8Array | ReadonlyArray<unknown>

const isPaddable = (value: unknown): value is Paddable =>
  typeof value === "string" || value instanceof Uint8Array || Array.isArray(value) && value.length > 0

/** Of elements, each may take more than a byte. */
const padded = (value: Paddable, more: number): Paddable =>
  isList(value)
    ? more < 0 ? value.slice(0, more) : [...value, ...Array.from({ length: more }, () => value.at(-1))]
    : typeof value === "string"
    ? more < 0 ? value.slice(0, more) : value + (/^\d+$/.test(value) ? "1" : "x").repeat(more)
    : more < 0
    ? value.subarray(0, more)
    : concat([value, new Uint8Array(more).fill(0x78)])

/** What a field hides, as bytes. */
export const secretOf = (value: unknown): Uint8Array | undefined => {
  const bare: unknown = Redacted.isRedacted(value) ? Redacted.value(value) : value
  return typeof bare === "string" ? encoder.encode(bare) : bare instanceof Uint8Array ? bare : undefined
}

/** The message with another secret, and that secret. */
export const ofSecret = (
  spec: Spec,
  { state, tag, values }: Taken,
  name: string,
  decoys: ReadonlyArray<string>,
  seed: number
): ReadonlyArray<{ readonly secret: Uint8Array; readonly apply: (due: Uint8Array) => Uint8Array | undefined }> => {
  const carried = carriedOf(state, tag, values)
  const now = carried?.[name]
  const drawn = Array.from({ length: 4 }, (_, i) => {
    const values = Draw.draw(state, tag, seed + 100 + i)
    return values === undefined ? undefined : carriedOf(state, tag, values)?.[name]
  })
  const made = typeof now === "string"
    ? [...decoys, ...decoys.map((decoy) => decoy.slice(0, now.length))]
    : now instanceof Uint8Array
    ? decoys.map((decoy) => Uint8Array.from(now, (_, i) => decoy.charCodeAt(i % decoy.length)))
    : []
  const inside = carried === undefined ?
    [] :
    viewsOf(state, tag, name, carried).flatMap((view) =>
      decoys.flatMap((decoy) =>
        holding(view.read(carried), decoy).map((held) => [decoy, view.write(carried, held)?.[name]] as const)
      )
    )
  return [...[...made, ...drawn].map((value) => [value, value] as const), ...inside].flatMap(([hidden, value]) => {
    const secret = secretOf(hidden)
    // What is shorter is found in many texts.
    if (secret === undefined || secret.length < 6 || value === undefined) return []
    return [{
      secret,
      apply: (due: Uint8Array) => {
        const { read } = readOne(state, due)
        const carried = read._tag === "Message" && read.tag === tag ? carriedOf(state, tag, read.values) : undefined
        return carried === undefined ? undefined : looseBytes(spec, state, tag, { ...carried, [name]: value })
      }
    }]
  })
}
