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
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import { resized } from "./lengths.ts"

/** The ways in which something is changed, as coverage counts them. */
export const kinds = ["flipped", "case", "next", "previous", "0", "255", "shorter", "longer", "other"] as const

export type Kind = typeof kinds[number]

/** What is changed, as coverage tells it apart: all of a message, or a field of it. */
export interface Field {
  /** Where it is in the frame, as `user.name`; nothing for all of it, and `bytes` for those that are around it. */
  readonly name: string
  /** Its bytes or characters: those from each first number up to the second one. */
  readonly places: ReadonlyArray<readonly [from: number, to: number]>
}

/** What a change is of, and how it is made. */
export interface Altered {
  readonly what: string
  readonly field: Field
  readonly kind: Kind
  /** The byte or the character that it changes, where it is one. */
  readonly at?: number | undefined
  /** Whether it is one of a few that are made of the whole, or of a word: where not all are tried, these are. */
  readonly isFirst?: boolean | undefined
  /** Whether a healthy side may well overlook it, as a member that it does not know. */
  readonly isHarmless?: boolean | undefined
}

/** One change, of whatever has the shape of what it was found in. `undefined` where it would change nothing. */
export interface Alteration<A> extends Altered {
  readonly apply: (value: A) => A | undefined
}

/** Of what has no places. */
const whole: Field = { name: "", places: [] }

/** How many changes of one place a message has in all, as long as each place has one. */
const budget = 96
/** The same for a field among others. */
const fieldBudget = 32
const mostPlaces = 256

const isLetter = (unit: number): boolean => (unit >= 0x41 && unit <= 0x5a) || (unit >= 0x61 && unit <= 0x7a)

type UnitChange = readonly [what: string, kind: Kind, change: (unit: number) => number]

/** What comes in the place of a byte, or of a character. */
const units: ReadonlyArray<UnitChange> = [
  ["with its lowest bit flipped", "flipped", (unit) => unit ^ 1],
  ["in the other case", "case", (unit) => isLetter(unit) ? unit ^ 0x20 : unit],
  ["as the next one", "next", (unit) => unit + 1],
  ["with its highest bit flipped", "flipped", (unit) => unit ^ 0x80],
  ["as 0", "0", () => 0],
  ["as the one before", "previous", (unit) => unit - 1],
  ["as 255", "255", () => 0xff]
]

/** What comes in the place of a byte that is no text, and so may hold flags, besides. */
const bits = ["its lowest bit", "bit 1", "bit 2", "bit 3", "bit 4", "bit 5", "bit 6", "its highest bit"].map(
  (name, bit): UnitChange => [`with ${name} flipped`, "flipped", (unit) => unit ^ (1 << bit)]
)
const mostFlags = 16

const isPrintable = (unit: number): boolean => (unit >= 0x20 && unit < 0x7f) || [0x09, 0x0a, 0x0d].includes(unit)

/** How what stands behind a place, or at it, is cut and moved. */
const shapes: ReadonlyArray<
  readonly [what: string, kind: Kind, change: (units: ReadonlyArray<number>, at: number) => ReadonlyArray<number>]
> = [
  ["is left out", "shorter", (units, at) => [...units.slice(0, at), ...units.slice(at + 1)]],
  ["comes twice", "longer", (units, at) => [...units.slice(0, at + 1), ...units.slice(at)]],
  ["is the last one", "shorter", (units, at) => units.slice(0, at + 1)],
  // Who adds up what differs, or sorts it, sees no difference.
  [
    "and the next one change places",
    "other",
    (units, at) => at + 1 < units.length ? units.with(at, units[at + 1]).with(at + 1, units[at]) : units
  ]
]

/** What is put behind something to make it longer. */
const x = 0x78

/** Bytes and texts, as what they have in common. */
interface Sequence<A> {
  readonly name: string
  readonly units: (value: A) => ReadonlyArray<number>
  readonly from: (units: ReadonlyArray<number>, like: A) => A
}

// Loops, for a message of TLS is some kilobytes, and thousands of changes are made of it: `from` with a function takes
// several times as long. What is stored in bytes is cut to them.
const bytes: Sequence<Uint8Array> = {
  name: "byte",
  units: (value) => {
    const units = new Array<number>(value.length)
    for (let i = 0; i < value.length; i++) units[i] = value[i]
    return units
  },
  from: (units) => {
    const bytes = new Uint8Array(units.length)
    for (let i = 0; i < units.length; i++) bytes[i] = units[i]
    return bytes
  }
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

/** A text that is longer than this is looked at by its words, and by so many of them. */
const longest = 64
const mostWords = 16

const isWord = (unit: number): boolean => isLetter(unit) || (unit >= 0x30 && unit <= 0x39)

type Word = readonly [from: number, to: number]

/** So long is what looks like a word among bytes that are no text, and so long where a zero ends it. */
const shortestAmongBytes = 4
const shortestBeforeZero = 2

/** The words that are letters and digits. */
const wordsOf = (units: ReadonlyArray<number>): ReadonlyArray<Word> => {
  const isText = units.every(isPrintable)
  const found: Array<Word> = []
  for (let from = 0; from < units.length; from++) {
    if (!isWord(units[from])) continue
    let to = from + 1
    while (to < units.length && isWord(units[to])) to++
    const shortest = isText ? 1 : units[to] === 0 ? shortestBeforeZero : shortestAmongBytes
    if (to - from >= shortest) found.push([from, to])
    from = to
  }
  const step = Math.max(1, found.length / mostWords)
  return found.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
}

/** A text with its length before it: so many bytes, the highest first. */
interface Lengthed {
  readonly from: number
  readonly to: number
  readonly width: number
}

const lengthAt = (units: ReadonlyArray<number>, at: number, width: number): number => {
  let length = 0
  for (let i = 0; i < width; i++) length = length * 256 + units[at + i]
  return length
}

/** Below that a byte of length is as likely something else. */
const shortestBehindByte = 3

/** Texts among bytes that have their lengths before them, as far as they can be told from what is none by chance. */
const lengthedOf = (units: ReadonlyArray<number>): ReadonlyArray<Lengthed> => {
  if (units.every(isPrintable)) return []
  const found: Array<Lengthed> = []
  for (let at = 0; at < units.length; at++) {
    const width = [4, 2, 1].find((width) => {
      const from = at + width
      const length = from <= units.length ? lengthAt(units, at, width) : 0
      const least = width === 1 ? shortestBehindByte : 1
      return length >= least && from + length <= units.length && units.slice(from, from + length).every(isPrintable)
    })
    if (width === undefined) continue
    const from = at + width
    const to = from + lengthAt(units, at, width)
    found.push({ from, to, width })
    at = to - 1
  }
  const step = Math.max(1, found.length / mostWords)
  return found.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
}

/** Another text in its place, with the length of that before it, and in a length of all that is left, where there is one. */
const relengthed = (
  units: ReadonlyArray<number>,
  { from, to, width }: Lengthed,
  change: (text: ReadonlyArray<number>) => ReadonlyArray<number>
): ReadonlyArray<number> => {
  // It may be another one this time.
  if (to > units.length || lengthAt(units, from - width, width) !== to - from) return units
  const text = change(units.slice(from, to))
  const changed = units.toSpliced(from, to - from, ...text)
  const write = (at: number, width: number, length: number) => {
    for (let i = 0; i < width; i++) changed[at + i] = Math.floor(length / 256 ** (width - 1 - i)) & 0xff
  }
  for (const width of [4, 2]) {
    for (let at = 0; at + width < from; at++) {
      if (lengthAt(units, at, width) === units.length - at - width) write(at, width, changed.length - at - width)
    }
  }
  write(from - width, width, text.length)
  return changed
}

/** A name that every object knows: who looks users up in one finds something there. */
const ownName = "constructor"
const ownUnits = Array.from(ownName, (char) => char.charCodeAt(0))

/** What may stand beside a number that is a value for itself, and no part of a version, an address, a date or Base64. */
const beforeNumber = [0x20, 0x3a, 0x3d, 0x2c] // " :=,"
const behindNumber = [0x20, 0x3b, 0x2c, 0x0d, 0x0a] // " ;,\r\n"
const mostNumbers = 4

/** The numbers of a text, which may be spelled in other ways. In JSON they may not. */
const numbersOf = (units: ReadonlyArray<number>, words: ReadonlyArray<Word>): ReadonlyArray<Word> =>
  !units.every(isPrintable) || jsonIn(String.fromCharCode(...units)) !== undefined ?
    [] :
    words.filter(([from, to]) =>
      units.slice(from, to).every((unit) => classOf(unit) === 1) &&
      (from === 0 || beforeNumber.includes(units[from - 1])) &&
      (to === units.length || behindNumber.includes(units[to]))
    ).slice(0, mostNumbers)

const inUpperCase = (unit: number): number => isLetter(unit) ? unit & ~0x20 : unit
const inLowerCase = (unit: number): number => isLetter(unit) ? unit | 0x20 : unit

/** In capitals, where it is not in capitals already. */
const inOtherCase = (word: ReadonlyArray<number>): ReadonlyArray<number> => {
  const upper = word.map(inUpperCase)
  return same(upper, word) ? word.map(inLowerCase) : upper
}

const isHexDigit = (unit: number): boolean =>
  classOf(unit) === 1 || inLowerCase(unit) >= 0x61 && inLowerCase(unit) <= 0x66

/** The next digit, or the next letter of the same case, and among hexadecimal digits the next one of these. */
const nextOfItsKind = (word: ReadonlyArray<number>): number => {
  const unit = word[word.length - 1]
  if (!isLetter(unit)) return unit === 0x39 ? 0x30 : unit + 1
  const [first, count] = [unit & 0x20 | 0x41, word.every(isHexDigit) ? 6 : 26]
  return first + (unit - first + 1) % count
}

/** So many ways of changing what is at a place. Each place begins with another one, and passes over those that change nothing. */
const unitsAt = (unit: number, nth: number, most: number): ReadonlyArray<UnitChange> => {
  const found = units.map((_, i) => units[(nth + i) % units.length])
    .filter(([, , change]) => (change(unit) & 0xff) !== (unit & 0xff))
    .slice(0, most)
  return nth >= mostFlags || isPrintable(unit)
    ? found
    : [...found, ...bits.filter(([what]) => found.every(([other]) => other !== what))]
}

const ofSequence = <A>(sequence: Sequence<A>, value: A, most: number): Array<Alteration<A>> => {
  const { from, name } = sequence
  const known = sequence.units(value)
  const { length } = known
  const field: Field = { name: "", places: [[0, length]] }
  const found: Array<Alteration<A>> = []
  const add = (
    kind: Kind,
    what: string,
    change: (units: Array<number>) => ReadonlyArray<number>,
    at?: number,
    isFirst = false
  ) =>
    found.push({
      what,
      field,
      kind,
      at,
      isFirst,
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
    for (const [what, kind, change] of unitsAt(known[at], nth, ways)) {
      add(kind, `${name} ${at} of ${length} ${what}`, (units) => {
        if (at < units.length) units[at] = change(units[at])
        return units
      }, at)
    }
    for (let i = 0; i < cuts; i++) {
      const [what, kind, change] = shapes[(nth + i) % shapes.length]
      add(kind, `${name} ${at} of ${length} ${what}`, (units) => change(units, at))
    }
  })
  const all = (kind: Kind, what: string, change: (units: Array<number>) => ReadonlyArray<number>) =>
    add(kind, what, change, undefined, true)
  all("longer", "an x behind it", (units) => [...units, x])
  all("longer", "an x before it", (units) => [x, ...units])
  if (length > 0) {
    all("shorter", "nothing", () => [])
    all("longer", "itself twice", (units) => [...units, ...units])
    all("case", "all letters in upper case", (units) => units.map(inUpperCase))
    all("case", "all letters in lower case", (units) => units.map(inLowerCase))
    all("longer", "a space behind it", (units) => [...units, 0x20])
    all("longer", "a space before it", (units) => [0x20, ...units])
    all(
      "shorter",
      "its last word left out",
      (units) => units.lastIndexOf(0x20) === -1 ? units : units.slice(0, units.lastIndexOf(0x20))
    )
  }
  for (const text of lengthedOf(known)) {
    const { from, to } = text
    const fitting = (kind: Kind, what: string, change: (text: ReadonlyArray<number>) => ReadonlyArray<number>) =>
      all(
        kind,
        `the text at ${name} ${from} to ${to - 1} of ${length} ${what}, and its length with it`,
        (units) => relengthed(units, text, change)
      )
    fitting("longer", "with an x behind it", (text) => [...text, x])
    fitting("shorter", "without its last one", (text) => text.slice(0, -1))
    fitting("longer", "with a space behind it", (text) => [...text, 0x20])
    fitting("shorter", "as nothing", () => [])
    fitting("other", `as ${ownName}`, () => ownUnits)
  }
  const words = wordsOf(known)
  const isText = known.every(isPrintable)
  for (const [from, to] of words) {
    if (isText) continue
    // Who reads what is there may not miss what is not there any more.
    all("shorter", `what stands before ${name} ${from} of ${length}, and no more`, (units) => units.slice(0, from))
    if (known[to] === 0) {
      all(
        "other",
        `${ownName} in the place of the word at ${name} ${from} to ${to - 1} of ${length}`,
        (units) => units[to] === 0 ? units.toSpliced(from, to - from, ...ownUnits) : units
      )
      all(
        "longer",
        `a space behind the word that ends at ${name} ${to} of ${length}`,
        (units) => units[to] === 0 ? units.toSpliced(to, 0, 0x20) : units
      )
    }
  }
  const word = (kind: Kind, from: number, to: number, what: string, change: Parameters<typeof add>[2], at?: number) =>
    add(kind, `the word at ${name} ${from} to ${to - 1} of ${length} ${what}`, change, at, true)
  for (const [from, to] of words) {
    if (isText) {
      add(
        "other",
        `${ownName} in the place of the word at ${name} ${from} to ${to - 1} of ${length}`,
        (units) => units.length === length ? units.toSpliced(from, to - from, ...ownUnits) : units
      )
    }
    word("next", from, to, "with another end", (units) => {
      const known = units.slice(from, to)
      return known.length === to - from && known.every(isWord)
        ? units.toSpliced(to - 1, 1, nextOfItsKind(known))
        : units
    }, to - 1)
    // One alone is in upper and in lower case above.
    if (words.length > 1) {
      word(
        "case",
        from,
        to,
        "in the other case",
        (units) => [...units.slice(0, from), ...inOtherCase(units.slice(from, to)), ...units.slice(to)]
      )
    }
  }
  for (const [from, to] of numbersOf(known, words)) {
    const spelled = (what: string, change: Parameters<typeof add>[2]) =>
      word(
        "longer",
        from,
        to,
        what,
        (units) =>
          units.length >= to && units.slice(from, to).every((unit) => classOf(unit) === 1) ? change(units) : units
      )
    spelled("with a 0 before it", (units) => units.toSpliced(from, 0, 0x30))
    spelled("with a + before it", (units) => units.toSpliced(from, 0, 0x2b))
    spelled("with .0 behind it", (units) => units.toSpliced(to, 0, 0x2e, 0x30))
  }
  // In a long one few places are looked at, and what it is made of are words.
  for (const [, end] of length > longest ? words : []) {
    all(
      "longer",
      `an x behind the word that ends at ${name} ${end} of ${length}`,
      (units) => units.toSpliced(end, 0, x)
    )
    all(
      "shorter",
      `the word that ends at ${name} ${end} of ${length} without its last one`,
      (units) => units.toSpliced(end - 1, 1)
    )
  }
  // Letters that are all small are in upper case only.
  return found.filter(({ apply }) => apply(value) !== undefined)
}

/** As addresses and forms write characters that mean something else there. */
const escaped = (unit: string): string =>
  unit === "" ? unit : `%${unit.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`

const sameLowByte = (unit: string): string => unit === "" ? unit : String.fromCharCode(unit.charCodeAt(0) ^ 0x100)

type Named = readonly [how: string, text: string]

const usual = (value: string): ReadonlyArray<Named> => {
  const [first, last] = [value.slice(0, 1), value.slice(-1)]
  const other = (unit: string) => unit === "x" ? "y" : "x"
  return [
    ["empty", ""],
    ["without its first character", value.slice(1)],
    ["without its last character", value.slice(0, -1)],
    ["its first half", value.slice(0, Math.ceil(value.length / 2))],
    ["with another first character", other(first) + value.slice(1)],
    ["with another last character", value.slice(0, -1) + other(last)],
    ["with a character more at its end", `${value}x`],
    ["with a character more at its beginning", `x${value}`],
    ["with a space behind it", `${value} `],
    ["with a space in front of it", ` ${value}`],
    // For who takes it for a pattern.
    ["with a full stop in the place of its last character", `${value.slice(0, -1)}.`],
    ["in upper case", value.toUpperCase()],
    ["in lower case", value.toLowerCase()]
  ]
}

const unusual = (value: string): ReadonlyArray<Named> => {
  const [first, rest] = [value.slice(0, 1), value.slice(1)]
  return [
    ["the other way round", [...value].reverse().join("")],
    ["with a zero byte and more behind it", `${value}\0x`],
    ["with a line end behind it", `${value}\n`],
    // What names, addresses and paths are often cut at, or escaped by.
    ["with a full stop behind it", `${value}.`],
    ["with a slash and more behind it", `${value}/x`],
    ["with a colon and more behind it", `${value}:1`],
    ["with a percent sign behind it", `${value}%`],
    ["with an at sign and more behind it", `${value}@x`],
    ["with a plus and more in front of its at sign", value.replace("@", "+x@")],
    ["without its full stops", value.replaceAll(".", "")],
    ["with an accent", `${first}\u0301${rest}`],
    // For who takes a byte of each character, as Latin-1 has them.
    ["with a first character of the same low byte", sameLowByte(first) + rest],
    ["with its first character escaped", escaped(first) + rest]
  ]
}

const others = (value: string, found: ReadonlyArray<Named>): ReadonlyArray<Named> => {
  const seen = new Set([value])
  return found.filter(([, text]) => !seen.has(text) && seen.add(text))
}

/**
 * What is almost a text, and what people often take for the same: a part of it, more of it, another case, space around it.
 */
export const almost = (value: string): ReadonlyArray<string> => others(value, usual(value)).map(([, text]) => text)

/**
 * The same and more of it, with what is done to it in words. None of what a protocol may take for the same with good reason: SASLprep
 * (RFC 4013 2) makes wide letters narrow, and leaves out what has no width.
 */
export const almostBy = (value: string): ReadonlyArray<Named> => others(value, [...usual(value), ...unusual(value)])

const [lf, cr] = [0x0a, 0x0d]

/** What ends in CRLF with a bare LF instead, which is an end of a line to many, though not to all of them. */
export const ofEnding = (value: Uint8Array): ReadonlyArray<Alteration<Uint8Array>> => {
  const endsInCrlf = (bytes: Uint8Array) => bytes.at(-2) === cr && bytes.at(-1) === lf
  return !endsInCrlf(value) ? [] : [{
    what: "LF at its end in the place of CRLF",
    field: whole,
    kind: "shorter",
    isFirst: true,
    apply: (value) => endsInCrlf(value) ? Uint8Array.from([...value.subarray(0, -2), lf]) : undefined
  }]
}

const mostLengths = 2

const isPlainText = (value: Uint8Array): boolean => value.every((byte) => byte >= 0x80 || isPrintable(byte))

/** What ends a message of text: an empty line, a line or a zero byte. Nothing where none of them does. */
const endingOf = (value: Uint8Array): number => {
  const ending = [[cr, lf, cr, lf], [cr, lf], [lf], [0]].find((ending) =>
    ending.every((byte, i) => value[value.length - ending.length + i] === byte)
  )
  return ending !== undefined && isPlainText(value.subarray(0, -ending.length)) ? ending.length : 0
}

/** Bytes that have their length in front, longer and shorter by one, and their length with them. */
const ofLength = (value: Uint8Array, field: Field): ReadonlyArray<Alteration<Uint8Array>> =>
  ([["longer", 1, "an x behind it"], ["shorter", -1, "without its last byte"]] as const).flatMap(([kind, by, how]) =>
    resized(value, value.length + by).slice(0, mostLengths).map(({ what }) => ({
      what: `${how}, and with it ${what}`,
      field,
      kind,
      isFirst: true,
      // It may have another length this time.
      apply: (value) => resized(value, value.length + by).find((other) => other.what === what)?.said
    }))
  )

/** The same of what ends as texts do. */
const ofText = (value: Uint8Array, field: Field): ReadonlyArray<Alteration<Uint8Array>> => {
  const add = (kind: Kind, what: string, change: (body: Uint8Array) => Iterable<number>): Alteration<Uint8Array> => ({
    what,
    field,
    kind,
    isFirst: true,
    apply: (value) => {
      const to = value.length - endingOf(value)
      const [body, ending] = [value.subarray(0, to), value.subarray(to)]
      const changed = Uint8Array.from([...change(body), ...ending])
      return ending.length === 0 || changed.length === value.length ? undefined : changed
    }
  })
  return [
    add("longer", "an x before its ending", (body) => [...body, x]),
    add("shorter", "without the last byte before its ending", (body) => body.subarray(0, -1))
  ].filter(({ apply }) => apply(value) !== undefined)
}

/**
 * A whole message that is longer and shorter by a byte, and is a whole one still: with another length in front, or before what ends
 * it. It says what no codec makes of a frame, such as more bytes than its last field has, where that is a number.
 */
export const ofFraming = (value: Uint8Array): ReadonlyArray<Alteration<Uint8Array>> => {
  const field: Field = { name: "bytes", places: [] }
  return [...ofText(value, field), ...ofLength(value, field)]
}

const mostLossy = 2

/** A byte that is no text in words of a text: who replaces it takes a name that nobody has said. */
export const ofNoText = (value: Uint8Array): ReadonlyArray<Alteration<Uint8Array>> => {
  const known = Array.from(value)
  if (!known.every(isPrintable)) return []
  const words = wordsOf(known)
  const step = Math.max(1, words.length / mostLossy)
  return words.filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step)).map(([, to]) => ({
    what: `byte ${to - 1} of ${value.length} as 255, which is no text`,
    field: whole,
    kind: "255",
    isFirst: true,
    apply: (value) => to <= value.length && isWord(value[to - 1]) ? value.with(to - 1, 0xff) : undefined
  }))
}

export const ofBytes = (value: Uint8Array): ReadonlyArray<Alteration<Uint8Array>> => [
  ...ofSequence(bytes, value, budget),
  ...ofEnding(value),
  ...ofJsonInBytes(value)
]

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
  const field: Field = { name: "bytes", places: [[0, from], [to, value.length]] }
  return places.flatMap((at, nth) =>
    unitsAt(value[at], nth, ways).map(([what, kind, change]): Alteration<Uint8Array> => ({
      what: `byte ${at} of ${value.length} ${what}`,
      field,
      kind,
      at,
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
const within = (name: string, path: Path, inner: ReadonlyArray<Alteration<unknown>>): Array<Alteration<unknown>> => {
  const named = (field: Field): Field => ({ ...field, name: field.name === "" ? name : `${name}.${field.name}` })
  return inner.map(({ apply, field, what, ...rest }) => ({
    ...rest,
    what: `${name}: ${what}`,
    field: named(field),
    apply: path(apply)
  }))
}

const numbers: ReadonlyArray<readonly [what: string, kind: Kind, change: (value: number) => number]> = [
  ["one more", "next", (value) => value + 1],
  ["one less", "previous", (value) => value - 1],
  ["0", "0", () => 0],
  ["255", "255", () => 255],
  ["65535", "other", () => 65_535],
  ["with its lowest bit flipped", "flipped", (value) => value % 2 === 0 ? value + 1 : value - 1],
  ["twice as much", "other", (value) => value * 2]
]

/** Beside the places where limits stand. In a frame the bytes of a number are changed as well; in JSON it is one of any size. */
const numbersInJson: typeof numbers = [
  ...numbers,
  ["-1", "other", () => -1],
  ["256", "other", () => 256],
  ["1025", "other", () => 1025],
  ["65537", "other", () => 65_537]
]

const isText = (value: unknown): value is string => typeof value === "string"
const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array
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

/** What is almost a list: with fewer elements, with more, the other way round. */
const ofList = (list: ReadonlyArray<unknown>): ReadonlyArray<Alteration<unknown>> => {
  const change = (
    kind: Kind,
    what: string,
    least: number,
    change: (list: ReadonlyArray<unknown>) => ReadonlyArray<unknown>
  ): ReadonlyArray<Alteration<unknown>> =>
    list.length < least ? [] : [{
      what,
      field: whole,
      kind,
      isFirst: true,
      apply: (value) => Array.isArray(value) && value.length >= least ? change(value) : undefined
    }]
  return [
    ...change("shorter", "its last element left out", 1, (list) => list.slice(0, -1)),
    ...change("shorter", "its first element left out", 1, (list) => list.slice(1)),
    ...change("longer", "its last element twice", 1, (list) => [...list, list.at(-1)]),
    ...change("other", "the other way round", 2, (list) => list.toReversed())
  ]
}

/** What means the same to who converts it: a value of JSON in another type. */
const ofType = (value: string | number | boolean): Alteration<unknown> => {
  const type = typeof value
  return {
    what: type === "string" ? "as a list of it" : `as a text of that ${type}`,
    field: whole,
    kind: "other",
    isFirst: true,
    apply: (value) => typeof value !== type ? undefined : type === "string" ? [value] : String(value)
  }
}

const isPlain = (value: unknown): value is Record<string, unknown> => {
  if (!isRecord(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** What kind of frame it is, is a matter of the peer's other messages. */
const membersOf = (frame: Record<string, unknown>): ReadonlyArray<string> =>
  Object.keys(frame).filter((name) => name !== "_tag")

/** What is almost an object: without one of its members, and with another one, which many healthy sides overlook. */
const ofObject = (frame: Record<string, unknown>): ReadonlyArray<Alteration<unknown>> => {
  const members = membersOf(frame)
  if (!isPlain(frame) || members.length === 0) return []
  return [
    ...members.map((name): Alteration<unknown> => ({
      what: `without ${name}`,
      field: whole,
      kind: "shorter",
      isFirst: true,
      apply: (value) =>
        isPlain(value) && name in value
          ? Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))
          : undefined
    })),
    {
      what: "with a member x besides",
      field: whole,
      kind: "longer",
      isHarmless: true,
      apply: (value) =>
        isPlain(value) && !("x" in value) && members.every((name) => name in value) ? { ...value, x: "x" } : undefined
    }
  ]
}

/** JSON, and the text around it. */
interface Json {
  readonly before: string
  readonly value: object
  readonly after: string
}

/** The JSON in a text, where there is an object or an array in it. */
const jsonIn = (text: string): Json | undefined => {
  const from = text.search(/[[{]/)
  const to = Math.max(text.lastIndexOf("]"), text.lastIndexOf("}")) + 1
  if (from === -1 || to <= from) return undefined
  try {
    const value: unknown = JSON.parse(text.slice(from, to))
    return isRecord(value) ? { before: text.slice(0, from), value, after: text.slice(to) } : undefined
  } catch {
    return undefined
  }
}

/** Whether two texts differ in what does not count in JSON, such as spaces and the order of members. */
export const isSameJson = (a: Uint8Array, b: Uint8Array): boolean => {
  const decoder = new TextDecoder()
  const [one, other] = [jsonIn(decoder.decode(a)), jsonIn(decoder.decode(b))]
  return one !== undefined && other !== undefined && one.before.trim() === other.before.trim() &&
    one.after.trim() === other.after.trim() && Equal.equals(one.value, other.value)
}

const inJson = (change: (value: unknown) => unknown) => (text: string): string | undefined => {
  const json = jsonIn(text)
  if (json === undefined) return undefined
  const changed = change(json.value)
  // A list may be the same the other way round.
  if (changed === undefined || Equal.equals(changed, json.value)) return undefined
  return json.before + JSON.stringify(changed) + json.after
}

/** The members and elements of JSON that stands in a text. */
const ofJson = (text: string): ReadonlyArray<Alteration<string>> => {
  const json = jsonIn(text)
  return json === undefined
    ? []
    : ofFrame(json.value, budget, 0, true).map(({ apply, ...rest }) => ({ ...rest, apply: inJson(apply) }))
}

/** The same of bytes that are a text. */
const ofJsonInBytes = (value: Uint8Array): ReadonlyArray<Alteration<Uint8Array>> => {
  const [decoder, encoder] = [new TextDecoder(), new TextEncoder()]
  return ofJson(decoder.decode(value)).map(({ apply, ...rest }) => ({
    ...rest,
    apply: (value) => {
      const changed = apply(decoder.decode(value))
      return changed === undefined ? undefined : encoder.encode(changed)
    }
  }))
}

/** What is almost a text in JSON, where each character was changed with the text around it. */
const ofTextInJson = (text: string): ReadonlyArray<Alteration<string>> => [
  { what: "nothing", field: whole, kind: "shorter", apply: () => text === "" ? undefined : "" },
  { what: "an x behind it", field: whole, kind: "longer", apply: (text) => `${text}x` },
  // One more than the lengths that limits have.
  ...[17, 33, 65, 129, 256, 257].map((length): Alteration<string> => ({
    what: `as ${length} characters`,
    field: whole,
    kind: "longer",
    apply: (text) => text.length < length ? text.padEnd(length, "x") : undefined
  })),
  {
    what: `as ${ownName}`,
    field: whole,
    kind: "other",
    apply: (text) => text === ownName ? undefined : ownName
  }
]

/**
 * What is almost a frame, whatever it is: its texts and bytes at each place, its numbers, and each of its fields, those of JSON
 * in a text too.
 */
export const ofFrame = (
  frame: unknown,
  most = budget,
  depth = 0,
  isInJson = false
): ReadonlyArray<Alteration<unknown>> => {
  // Of what has this type, since it was found in something of this type.
  const typed = <A>(is: (value: unknown) => value is A, found: ReadonlyArray<Alteration<A>>) =>
    found.map(({ apply, ...rest }): Alteration<unknown> => ({
      ...rest,
      apply: (value) => is(value) ? apply(value) : undefined
    }))
  if (isText(frame)) {
    return typed(isText, isInJson ? ofTextInJson(frame) : [...ofSequence(text, frame, most), ...ofJson(frame)])
  }
  if (isBytes(frame)) {
    return typed(isBytes, [
      ...ofSequence(bytes, frame, most),
      ...ofLength(frame, whole),
      ...ofJsonInBytes(frame)
    ])
  }
  if (typeof frame === "number") {
    return (isInJson ? numbersInJson : numbers).filter(([, , change]) => change(frame) !== frame).map((
      [what, kind, change],
      i
    ) => ({
      what,
      field: whole,
      kind,
      isFirst: i === 0,
      apply: (value) => typeof value === "number" && change(value) !== value ? change(value) : undefined
    }))
  }
  if (typeof frame === "bigint") {
    return ([["one more", "next", 1n], ["one less", "previous", -1n]] as const).map(([what, kind, by], i) => ({
      what,
      field: whole,
      kind,
      isFirst: i === 0,
      apply: (value) => typeof value === "bigint" ? value + by : undefined
    }))
  }
  if (typeof frame === "boolean") {
    return [{
      what: "the opposite",
      field: whole,
      kind: "other",
      isFirst: true,
      apply: (value) => typeof value === "boolean" ? !value : undefined
    }]
  }
  if (depth === deepest || !isRecord(frame)) return []
  const inner = (name: string, path: Path, value: unknown) =>
    within(name, path, ofFrame(value, fieldBudget, depth + 1, isInJson))
  if (Redacted.isRedacted(frame)) return inner("its secret", withSecret, Redacted.value(frame))
  if (Array.isArray(frame)) {
    return [
      ...ofList(frame),
      ...frame.slice(0, mostElements).flatMap((value, at) => inner(`element ${at}`, withElement(at), value))
    ]
  }
  if (frame instanceof Map) {
    return [...frame].slice(0, mostElements).flatMap(([key, value]) => [
      {
        what: `without ${String(key)}`,
        field: whole,
        kind: "shorter" as const,
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
  // A frame of a class is not JSON, and what its codec makes of another type says nothing of a peer.
  const asJson = (name: string, value: unknown) =>
    (isText(value) || typeof value === "number" || typeof value === "boolean") && isPlain(frame)
      ? within(name, withField(name), [ofType(value)])
      : []
  return [
    ...ofObject(frame),
    ...membersOf(frame).flatMap((name) => [
      ...inner(name, withField(name), frame[name]),
      ...asJson(name, frame[name])
    ])
  ]
}

/** A value that is as long as one likes. */
export interface Growth {
  readonly what: string
  readonly grow: (value: unknown, by: number) => unknown
}

/** What many programs search for: a run of one character, and behind it something that does not fit. */
const tail = 0x21

/** Letters, digits, spaces and everything else: what a pattern takes for one of a run of them. */
const classOf = (unit: number): number => isLetter(unit) ? 0 : unit >= 0x30 && unit <= 0x39 ? 1 : unit === 0x20 ? 2 : 3

const growSequence = <A>(sequence: Sequence<A>, value: A, isA: (value: unknown) => value is A): Array<Growth> => {
  const known = sequence.units(value)
  // The last unit of each class, and a space behind all.
  const pumps = new Map<number, readonly [at: number, unit: number]>()
  known.forEach((unit, at) => pumps.set(classOf(unit), [at, unit]))
  if (!pumps.has(2)) pumps.set(2, [known.length - 1, 0x20])
  return [...pumps.values()].map(([at, unit]) => ({
    what: `${sequence.name} ${JSON.stringify(String.fromCharCode(unit))} behind place ${at}, over and over`,
    grow: (value, by) => {
      if (!isA(value)) return undefined
      const units = sequence.units(value)
      const run = Array.from({ length: by }, () => unit)
      return sequence.from([...units.slice(0, at + 1), ...run, ...units.slice(at + 1), tail], value)
    }
  }))
}

/** How a frame is made longer: a run of one character of it, in each of its fields. */
export const growthsOf = (frame: unknown, depth = 0): ReadonlyArray<Growth> => {
  if (isText(frame)) return growSequence(text, frame, isText)
  if (isBytes(frame)) return growSequence(bytes, frame, isBytes)
  if (depth === deepest || !isRecord(frame)) return []
  const inner = (name: string, path: Path, value: unknown): ReadonlyArray<Growth> =>
    growthsOf(value, depth + 1).map(({ grow, what }) => ({
      what: `${name}: ${what}`,
      grow: (whole, by) => path((value) => grow(value, by))(whole)
    }))
  if (Redacted.isRedacted(frame)) return inner("its secret", withSecret, Redacted.value(frame))
  if (Array.isArray(frame)) {
    return frame.slice(0, mostElements).flatMap((value, at) => inner(`element ${at}`, withElement(at), value))
  }
  if (frame instanceof Map) {
    return [...frame].slice(0, mostElements).flatMap(([key, value]) => inner(String(key), withEntry(key), value))
  }
  return membersOf(frame).flatMap((name) => inner(name, withField(name), frame[name]))
}
