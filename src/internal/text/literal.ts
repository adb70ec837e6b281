/**
 * Bytes and texts on one line that reads back exactly, and two of them side by side.
 *
 * @internal
 */
import * as Result from "effect/Result"
import { concat } from "../bytes/primitives.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/** How a line says who has said it, and how a side has ended the connection. */
export const signs = { sent: "->", received: "<-", note: "--" } as const
export const ends = { closed: "end", broken: "reset" } as const

/** A secret of which nothing but the length is known. */
export const hidden = (length: number): string => `<redacted ${length} ${length === 1 ? "byte" : "bytes"}>`

/** How many bytes a line of a difference shows. */
const shown = 64

const hex = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`

const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\"": "\\\"", "\\": "\\\\" }

// Whatever does not show as itself. Beside the space that is every other blank too.
const special = /["\\\p{C}\p{Default_Ignorable_Code_Point}]|(?! )\p{Z}/gu

const escape = (char: string): string => escapes[char] ?? Array.from(encoder.encode(char), hex).join("")

const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

const escapeByte = (byte: number): string =>
  byte < 0x80 ? String.fromCharCode(byte).replace(special, escape) : hex(byte)

// An escape never stands for more than one byte, so that text and bytes can be read back without knowing which it was.
const escapeBytes = (bytes: Uint8Array): string =>
  decoded(bytes)?.replace(special, escape) ?? Array.from(bytes, escapeByte).join("")

/** Bytes in double quotes, on one line: as text where they are UTF-8, byte for byte where they are not. */
export const quote = (bytes: Uint8Array): string => `"${escapeBytes(bytes)}"`

const unescapes: Record<string, number> = { n: 0x0a, r: 0x0d, t: 0x09, "\"": 0x22, "\\": 0x5c }

/** Reads what `quote` has written from the front of a text, and returns what is behind it too. */
export const unquote = (text: string): Result.Result<readonly [bytes: Uint8Array, rest: string], string> => {
  if (!text.startsWith("\"")) return Result.fail("bytes begin with a double quote")
  const token = /([^"\\]+)|\\(?:x([0-9a-fA-F]{2})|([nrt"\\]))|(")/y
  token.lastIndex = 1
  const parts: Array<Uint8Array> = []
  for (;;) {
    const at = token.lastIndex
    const match = token.exec(text)
    if (match === null) {
      return Result.fail(
        at === text.length ? "the double quote at the end is missing" : `${text.slice(at, at + 2)} is no escape`
      )
    }
    const [, plain, code, short, end] = match
    if (end !== undefined) return Result.succeed([concat(parts), text.slice(token.lastIndex)] as const)
    if (plain !== undefined && !plain.isWellFormed()) return Result.fail("half a surrogate pair is no text")
    parts.push(
      plain === undefined
        ? Uint8Array.of(code === undefined ? unescapes[short] : parseInt(code, 16))
        : encoder.encode(plain)
    )
  }
}

// A line may lose the blanks at its ends.
const specialInText = /[\\\p{C}\p{Default_Ignorable_Code_Point}]|(?! )\p{Z}|^ | $/gu

const escapeInText = (char: string): string => {
  const known = escapes[char]
  if (known !== undefined) return known
  const code = char.codePointAt(0)!
  return code < 0x100 ? hex(code) : `\\u{${code.toString(16)}}`
}

/** A text on one line, without quotes. */
export const escapeText = (text: string): string => text.replace(specialInText, escapeInText)

/** Reads what `escapeText` has written. */
export const unescapeText = (line: string): Result.Result<string, string> => {
  let problem: string | undefined
  const text = line.replace(/\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]{1,6})\}|([nrt\\])|(.?))/gsu, (all, x, u, short) => {
    if (short !== undefined) return String.fromCharCode(unescapes[short])
    const code = parseInt(x ?? u, 16)
    if (code <= 0x10_ffff) return String.fromCodePoint(code)
    problem ??= `${all} is no escape`
    return all
  })
  return problem === undefined ? Result.succeed(text) : Result.fail(problem)
}

/** The next place at or before this one where no character is split, if the bytes are UTF-8. */
const boundary = (bytes: Uint8Array, at: number): number => {
  if (at >= bytes.length) return bytes.length
  let start = at
  while (start > Math.max(0, at - 3) && (bytes[start] & 0xc0) === 0x80) start--
  return start
}

/** As `quote`, cut to some bytes. */
export const excerpt = (bytes: Uint8Array): string =>
  bytes.length <= shown ? quote(bytes) : `${quote(bytes.subarray(0, boundary(bytes, shown)))}…`

/** What is to be, and what is, with the column where they begin to differ. */
export interface Pair {
  readonly expected: string
  readonly actual: string
  readonly column: number
}

/** Two texts, cut so that the place where they begin to differ is in sight. */
const align = (
  expected: ReadonlyArray<string>,
  actual: ReadonlyArray<string>,
  render: (units: ReadonlyArray<string>, cutBefore: boolean, cutBehind: boolean) => readonly [string, margin: number]
): Pair => {
  let at = 0
  while (at < expected.length && at < actual.length && expected[at] === actual[at]) at++
  const from = at < shown * 3 / 4 ? 0 : at - shown / 2
  const cut = (units: ReadonlyArray<string>) =>
    render(units.slice(from, from + shown), from > 0, from + shown < units.length)
  const [text, margin] = cut(actual)
  return {
    expected: cut(expected)[0],
    actual: text,
    column: margin + actual.slice(from, at).join("").length
  }
}

/** Two arrays of bytes. They are shown as text where both are UTF-8. */
export const pairOfBytes = (expected: Uint8Array, actual: Uint8Array): Pair => {
  let same = 0
  while (same < expected.length && same < actual.length && expected[same] === actual[same]) same++
  // Far in front and far behind there is nothing to see.
  const from = boundary(expected, Math.max(0, same - 4 * shown))
  const near = (bytes: Uint8Array) => bytes.subarray(from, boundary(bytes, same + 4 * shown))
  const pair = [near(expected), near(actual)]
  const texts = pair.map(decoded)
  const [a, b] = pair.map((bytes, i) =>
    texts.includes(undefined)
      ? Array.from(bytes, escapeByte)
      : Array.from(texts[i]!, (char) => char.replace(special, escape))
  )
  return align(a, b, (units, before, behind) => {
    const open = before || from > 0 ? "…\"" : "\""
    return [`${open}${units.join("")}"${behind ? "…" : ""}`, open.length]
  })
}

/** Two texts that are printable already. */
export const pairOfTexts = (expected: string, actual: string): Pair =>
  align(Array.from(expected), Array.from(actual), (units, before, behind) => [
    `${before ? "…" : ""}${units.join("")}${behind ? "…" : ""}`,
    before ? 1 : 0
  ])
