/**
 * The names of application protocols, as a ClientHello offers them (RFC 7301 3.1).
 *
 * @internal
 */

const encoder = new TextEncoder()

/** What all extensions of a ClientHello may have together (RFC 8446 4.1.2). */
const extensions = 65_535

/** What the others of them may need of that: the name of the server, its keys, a ticket. */
const others = 8_192

/** How many bytes the names may have, each with its length. */
export const maxLength = extensions - others

/** Why these names cannot be offered. */
export const problemOf = (names: ReadonlyArray<string>): string | undefined => {
  let length = 0
  for (const name of names) length += 1 + encoder.encode(name).length
  return length > maxLength
    ? `alpn has ${names.length} names with ${length} bytes, and a ClientHello has room for ${maxLength}`
    : undefined
}
