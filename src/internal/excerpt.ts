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

// Anything that could move a terminal's cursor or hide in a log line is shown as an escape.
const unprintable =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff"\\]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g

const escapes: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\"": "\\\"", "\\": "\\\\" }

const escape = (text: string): string =>
  text.replace(unprintable, (char) => {
    const known = escapes[char]
    if (known !== undefined) return known
    const code = char.charCodeAt(0)
    return code < 0x100 ? hex(code) : `\\u${code.toString(16).padStart(4, "0")}`
  })

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
  const text = Formatter.format(frame)
  return text.length <= 4 * maxExcerpt ? text : `${text.slice(0, 4 * maxExcerpt)}…`
}
