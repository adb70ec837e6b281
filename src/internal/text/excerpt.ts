/**
 * Bounded, printable renderings of what a peer sent, for errors and transcripts.
 *
 * @internal
 */
import * as Formatter from "effect/Formatter"
import * as Redacted from "effect/Redacted"

/** How much of a frame an error or a transcript shows. */
export const maxExcerpt = 64

export const redacted = "<redacted>"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

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

// Inside quotes there is one way to read it.
const escape = (text: string): string => escapeUnprintable(text.replace(ambiguous, "\\$&"))

/** A text that somebody else has made of what a peer sent: on one line, cut to `limit` characters, without quotes. */
export const ofText = (text: string, limit = 4 * maxExcerpt): string => {
  const line = escapeUnprintable(text.slice(0, 4 * limit).replace(/\s*\n\s*/g, " "))
  if (line.length <= limit) return text.length <= 4 * limit ? line : `${line}…`
  const cut = line.slice(0, limit)
  return `${cut.isWellFormed() ? cut : cut.slice(0, -1)}…`
}

/** A text in double quotes, cut to `limit` characters. */
export const ofString = (text: string, limit = maxExcerpt): string =>
  text.length <= limit ? `"${escape(text)}"` : `"${escape(text.slice(0, limit))}"…`

/**
 * Bytes in double quotes, cut to `limit` bytes: as text where they are UTF-8, byte for byte where they are not.
 *
 * A multi-byte character that the cut would split is left out.
 */
export const ofBytes = (bytes: Uint8Array, limit = maxExcerpt): string => {
  const cut = bytes.length > limit
  let head = cut ? bytes.subarray(0, limit) : bytes
  if (cut) {
    let keep = head.length
    while (keep > 0 && keep > head.length - 4 && (bytes[keep] & 0xc0) === 0x80) keep--
    if (keep > head.length - 4) head = head.subarray(0, keep)
  }
  let text: string
  try {
    text = escape(utf8.decode(head))
  } catch {
    text = ""
    for (const byte of head) {
      text += byte >= 0x80 ? hex(byte) : escape(String.fromCharCode(byte))
    }
  }
  return cut ? `"${text}"…` : `"${text}"`
}

/** Any frame. `Redacted` values inside it show as such. */
export const ofFrame = (frame: unknown): string => {
  if (typeof frame === "string") return ofString(frame)
  if (frame instanceof Uint8Array) return ofBytes(frame)
  if (Redacted.isRedacted(frame)) return redacted
  return ofText(Formatter.format(frame))
}
