/**
 * A PROXY header in either version, told apart by how it begins (2.2).
 *
 * | what has come | what comes next |
 * |---|---|
 * | the beginning of the keyword or of the signature | a byte more; any other one is an error at once |
 * | `PROXY ` | the line, up to its CRLF |
 * | the signature | the rest, as long as it says |
 *
 * @internal
 */
import type * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Binary from "./binary.ts"
import { malformed } from "./errors.ts"
import type { Header } from "./model.ts"
import * as Text from "./text.ts"

/** Enough for what proxies say of TLS and of themselves, and an eighth of what a header can be. */
export const defaultMaxLength = 4096

class Decoder implements Codec.Decoder<Header> {
  private readonly maxLength: number
  /** How many bytes are those of a header. */
  private known = 0

  constructor(maxLength: number) {
    this.maxLength = maxLength
  }

  decode(input: Codec.ByteBuffer): Result.Result<Header, Codec.CodecError> | undefined {
    if (input.length === 0) return undefined
    const isText = input.at(0) === Text.keyword[0]
    const due = isText ? Text.keyword : Binary.signature
    for (; this.known < due.length; this.known++) {
      if (this.known === input.length) return undefined
      if (input.at(this.known) !== due[this.known]) return stranger(input, this.known + 1)
    }
    const decoded = isText ? Text.decode(input) : Binary.decode(input, this.maxLength)
    if (decoded !== undefined) this.known = 0
    return decoded
  }
}

/** The content type of a TLS handshake record (RFC 8446 5.1). */
const tlsHandshake = 0x16

/** It shows no more than has been looked at, so that it does not depend on what else has come. */
const stranger = (input: Codec.ByteBuffer, length: number): Result.Result<never, Codec.CodecError> => {
  const excerpt = Excerpt.ofBytes(input.peek(0, length))
  return malformed("no PROXY header", input.at(0) === tlsHandshake ? `what looks like TLS, ${excerpt}` : excerpt)
}

export const codec = (options?: { readonly maxLength?: number | undefined }): Codec.Codec<Header, Header> => {
  const maxLength = options?.maxLength ?? defaultMaxLength
  return Codec.make<Header>({
    decoder: () => new Decoder(maxLength),
    encode: (header, into) =>
      header._tag !== "Local" && header.version === 1
        ? Text.encode(header, into)
        : Binary.encode(header, into, maxLength),
    // It has a bound of its own, which is looked at before anything is waited for.
    maxLength: Infinity
  })
}
