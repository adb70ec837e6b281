/**
 * What a peer has sent, shown in an error, a log or a transcript: bounded, printable, on one line.
 *
 * A peer chooses what it sends, so whatever quotes it could be made to fill a log, to forge a line of it, or to steer the
 * terminal in which it is read. An excerpt is cut to a length, has every character that is not seen as an escape, and
 * stands in quotes, so that it can be read in one way only.
 *
 * What must not be seen at all is no excerpt: show {@link redacted} for it.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Formatter from "effect/Formatter"
import * as Redacted from "effect/Redacted"
import { decodeUtf8 } from "./internal/bytes/primitives.ts"

/**
 * How much of a frame an excerpt shows unless told otherwise: 64 bytes, or as many UTF-16 units of a text.
 *
 * @category constants
 * @since 0.1.0
 */
export const maxExcerpt = 64

/**
 * What is shown in the place of a secret: `<redacted>`.
 *
 * @category constants
 * @since 0.1.0
 */
export const redacted = "<redacted>"

const hex = (code: number): string => `\\x${code.toString(16).padStart(2, "0")}`

// Anything that could move a terminal's cursor or hide in a log line is shown as an escape: controls, what has no width
// or no shape, what changes the direction of writing, and halves of characters.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

const ambiguous = /["\\]/g

const shortEscapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const escapeUnprintable = (text: string): string =>
  text.replace(unprintable, (char) => {
    const known = shortEscapes[char]
    if (known !== undefined) return known
    const code = char.codePointAt(0)!
    if (code < 0x100) return hex(code)
    return code < 0x1_0000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`
  })

// Most of what is shown, and told sooner than what each character is.
const plain = /^[ !#-[\]-~]*$/

// Inside quotes there is one way to read it.
const escape = (text: string): string => plain.test(text) ? text : escapeUnprintable(text.replace(ambiguous, "\\$&"))

/** Each byte by itself. */
const escapedBytes = Array.from(
  { length: 256 },
  (_, byte) => byte >= 0x80 ? hex(byte) : escape(String.fromCharCode(byte))
)

// Whole runs: to look for a line's end from each blank of a run would go with the square of its length.
const blanks = /\s+/g

const joined = (run: string): string => run.includes("\n") ? " " : run

/**
 * A text that somebody else has made of what a peer sent, without quotes: on one line, cut to `limit` UTF-16 units, 256
 * unless told otherwise.
 *
 * **When to use**
 *
 * Use for a message that quotes a peer already, such as that of a parser or of a `Schema`. What a peer has sent itself is
 * shown by {@link ofString}, whose quotes tell where it ends.
 *
 * **Example** (A message of two lines)
 *
 * ```ts
 * import { Excerpt } from "effect-handshake"
 *
 * console.log(Excerpt.ofText("Expected a number\n  at [\"port\"]")) // => Expected a number at ["port"]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofText = (text: string, limit = 4 * maxExcerpt): string => {
  const line = escapeUnprintable(text.slice(0, 4 * limit).replace(blanks, joined))
  if (line.length <= limit) return text.length <= 4 * limit ? line : `${line}…`
  const cut = line.slice(0, limit)
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`
}

/**
 * A text in double quotes, cut to `limit` UTF-16 units, {@link maxExcerpt} unless told otherwise. `…` behind the quotes
 * says that it was cut.
 *
 * **Example** (A text that would clear the screen)
 *
 * ```ts
 * import { Excerpt } from "effect-handshake"
 *
 * console.log(Excerpt.ofString("\u001b[2JHello\n")) // => "\x1b[2JHello\n"
 * console.log(Excerpt.ofString("Hello, everybody", 5)) // => "Hello"…
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofString = (text: string, limit = maxExcerpt): string =>
  text.length <= limit ? `"${escape(text)}"` : `"${escape(text.slice(0, limit))}"…`

/**
 * Bytes in double quotes, cut to `limit` bytes, {@link maxExcerpt} unless told otherwise: as text where they are UTF-8,
 * byte for byte where they are not.
 *
 * **Details**
 *
 * A character that the cut would split is left out. A decoder shows how a frame begins with
 * `Excerpt.ofBytes(input.peek(0, Math.min(input.length, Excerpt.maxExcerpt + 1)))`: the one byte more tells that there is
 * more.
 *
 * **Example** (Text, and what is none)
 *
 * ```ts
 * import { Excerpt } from "effect-handshake"
 *
 * console.log(Excerpt.ofBytes(new TextEncoder().encode("naïve"))) // => "naïve"
 * console.log(Excerpt.ofBytes(Uint8Array.of(0x16, 0x03, 0xff))) // => "\x16\x03\xff"
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofBytes = (bytes: Uint8Array, limit = maxExcerpt): string => {
  const cut = bytes.length > limit
  let head = cut ? bytes.subarray(0, limit) : bytes
  if (cut) {
    let keep = head.length
    while (keep > 0 && keep > head.length - 4 && (bytes[keep] & 0xc0) === 0x80) keep--
    if (keep > head.length - 4) head = head.subarray(0, keep)
  }
  const utf8 = decodeUtf8(head, 0, head.length)
  const text = utf8 === undefined ? Array.from(head, (byte) => escapedBytes[byte]).join("") : escape(utf8)
  return cut ? `"${text}"…` : `"${text}"`
}

/**
 * Any frame: a text or bytes as by {@link ofString} and {@link ofBytes}, and else what Effect's `Formatter` makes of it, cut
 * to 256 UTF-16 units. `Redacted` values inside it show as such.
 *
 * **Example** (A frame with a secret)
 *
 * ```ts
 * import { Excerpt } from "effect-handshake"
 * import { Redacted } from "effect"
 *
 * console.log(Excerpt.ofFrame({ user: "ann", password: Redacted.make("hunter2") }))
 * // => {"user":"ann","password":<redacted>}
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofFrame = (frame: unknown): string => {
  if (typeof frame === "string") return ofString(frame)
  if (frame instanceof Uint8Array) return ofBytes(frame)
  if (Redacted.isRedacted(frame)) return redacted
  try {
    return ofText(Formatter.format(frame))
  } catch {
    // One of its own getters, or nothing but brackets.
    return redacted
  }
}
