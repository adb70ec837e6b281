/**
 * The client's connection preface (RFC 9113 3.4), and what else may come in its place.
 *
 * @internal
 */
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"

export const preface = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

/** How many bytes of what is not HTTP/2 are waited for, to show them. */
const longestLine = Excerpt.maxExcerpt

/** The index of the first byte at or after `from` that is not the preface's, of those that are there, or -1. */
export const firstDifference = (input: Pick<Codec.ByteBuffer, "at" | "length">, from: number): number => {
  const length = Math.min(input.length, preface.length)
  for (let i = from; i < length; i++) if (input.at(i) !== preface[i]) return i
  return -1
}

const isPrintable = (byte: number): boolean => byte >= 0x20 && byte <= 0x7e

export const isText = (input: Codec.ByteBuffer, length: number): boolean => {
  for (let i = 0; i < length; i++) if (!isPrintable(input.at(i))) return false
  return true
}

/**
 * How many bytes tell what a peer speaks that does not speak HTTP/2, or `undefined` where more are needed: all before the
 * end of a line of text. `from` is where it was not looked yet. Bytes that are no text are not waited for.
 *
 * It depends on the bytes alone, and not on how many have come at once.
 */
export const lengthOfLine = (input: Codec.ByteBuffer, from: number): number | undefined => {
  const most = Math.min(input.length, longestLine)
  for (let i = from; i < most; i++) {
    const byte = input.at(i)
    if (!isPrintable(byte)) return byte === 0x0a || byte === 0x0d ? i : i + 1
  }
  return input.length < longestLine ? undefined : longestLine
}

const request = /^(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH) /
const response = /^HTTP\/1\./

/** The content type of a TLS handshake record (RFC 8446 5.1). */
const tlsHandshake = 0x16

/** What such bytes are, for an error. */
export const describeStranger = (bytes: Uint8Array): string => {
  const shown = Excerpt.ofBytes(bytes)
  if (bytes[0] === tlsHandshake) return `what looks like TLS, ${shown}`
  const text = new TextDecoder().decode(bytes)
  return request.test(text)
    ? `an HTTP/1 request, ${shown}`
    : response.test(text)
    ? `an HTTP/1 response, ${shown}`
    : shown
}
