/**
 * Names of servers as people write them, and as DNS, TLS and certificates have them (RFC 1123 2.1, RFC 5890, RFC 6066 3,
 * RFC 9525).
 *
 * | written | name |
 * |---|---|
 * | `Example.COM` | `example.com`: case does not matter (RFC 4343) |
 * | `example.com.` | `example.com`: the final dot is DNS's own (RFC 6066 3) |
 * | `münchen.example` | `xn--mnchen-3ya.example` (RFC 5890 2.3.2.1) |
 * | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`, `fe80::1%eth0` | an address: it is verified, and never asked for (RFC 6066 3) |
 * | `127.1`, `a..b`, `a/b`, `a%2eb`, `-a`, 64 letters and more without a dot | none |
 *
 * @internal
 */
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Excerpt from "../../Excerpt.ts"

export type ServerName =
  | { readonly _tag: "Name"; readonly name: string }
  | { readonly _tag: "Address"; readonly address: string }

/** How long a name may be without its final dot (RFC 1035 2.3.4). */
const maxLength = 253

// Letters, digits and hyphens, that do not stand at an end (RFC 1123 2.1); and the underscore, which no host may have and
// many do.
const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/

// What ends in a number is an IPv4 address or nothing: resolvers take `127.1` and `0x7f.1` for addresses.
const number = /^(?:\d+|0x[0-9a-f]*)$/

/** In A-labels. What is not ASCII is mapped as browsers do (UTS 46); what is, has to be that of a name before. */
const toAscii = (text: string): string | undefined => {
  if (/^[\w.-]*$/.test(text)) return text.toLowerCase()
  // A URL would take `a/b` for `a`, and `a%2eb` for `a.b`.
  if (!/^[\w.\-\u0080-\u{10ffff}]*$/u.test(text)) return undefined
  const url = `http://${text}`
  return URL.canParse(url) ? new URL(url).hostname : undefined
}

/** A name of DNS without its final dot, in lower case and A-labels; or `undefined`. */
const dnsName = (text: string): string | undefined => {
  if (text.length > maxLength + 1) return undefined
  const name = toAscii(text)?.replace(/\.$/, "")
  if (name === undefined || name.length > maxLength) return undefined
  const labels = name.split(".")
  return labels.every((part) => label.test(part)) && !number.test(labels[labels.length - 1]) ? name : undefined
}

/** An IP address, with or without the brackets of a URL and without the zone, which is this machine's alone (RFC 4007). */
const addressOf = (text: string): string | undefined => {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text
  const address = bare.includes(":") ? /^([^%]*)%[\w.~%-]+$/.exec(bare)?.[1] ?? bare : text
  return Result.isSuccess(NetAddress.ipFromString(address)) ? address : undefined
}

/** The name or the address of a server, or why it is neither. */
export const parse = (text: string): Result.Result<ServerName, string> => {
  if (text === "") return Result.fail("the server has no name")
  const address = addressOf(text)
  if (address !== undefined) return Result.succeed({ _tag: "Address", address })
  const name = dnsName(text)
  return name === undefined
    ? Result.fail(`${Excerpt.ofString(text)} is neither the name of a host nor an IP address`)
    : Result.succeed({ _tag: "Name", name })
}

/** A name that a peer has told, as it is compared. What is no name stays what it is. */
export const normalized = (text: string): string => dnsName(text) ?? text

/** What there is for names and, with `*.`, for all names of one label more (RFC 9525 6.3). */
export type Table<A> = ReadonlyMap<string, A>

/** The first of two spellings of a name counts. */
export const table = <A>(names: Readonly<Record<string, A>>): Result.Result<Table<A>, string> => {
  const found = new Map<string, A>()
  for (const [text, value] of Object.entries(names)) {
    const star = text.startsWith("*.") ? "*." : ""
    const name = dnsName(text.slice(star.length))
    if (name === undefined) {
      return Result.fail(
        addressOf(text) === undefined
          ? `${Excerpt.ofString(text)} is neither the name of a host nor one with *. for its first label`
          : `no client asks for ${text}: a server is asked for by a name (RFC 6066 3)`
      )
    }
    if (!found.has(star + name)) found.set(star + name, value)
  }
  return Result.succeed(found)
}

/** What there is for this name itself, else for the wildcard that stands for its first label. */
export const find = <A>(table: Table<A>, text: string): A | undefined => {
  const name = dnsName(text)
  if (name === undefined) return undefined
  const dot = name.indexOf(".")
  return table.get(name) ?? (dot < 0 ? undefined : table.get(`*${name.slice(dot)}`))
}
