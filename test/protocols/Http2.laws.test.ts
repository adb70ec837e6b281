/**
 * The laws of the HTTP/2 handshake, on every rung, and of its frames.
 */
import { describe, it } from "@effect/vitest"
import * as Http2 from "../../src/protocols/Http2.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Law from "../support/laws.ts"
import { rungs } from "../support/rungs.ts"
import { frames } from "./http2/frames.ts"

describe("the frames", () => {
  // None has one spelling: flags that are not known, and the reserved bit, are ignored (RFC 9113, 4.1).
  Laws.codec(Http2.codec({ maxFrameSize: 300, peerMaxFrameSize: 300 }), frames, {
    it,
    name: "frames of HTTP/2",
    maxLength: 300,
    ofLength: (length): Http2.Frame => ({ _tag: "Data", streamId: 1, data: new Uint8Array(length), endStream: false }),
    withMaxLength: (maxLength) => Http2.codec({ maxFrameSize: maxLength, peerMaxFrameSize: maxLength })
  })
})

const negotiated = {
  server: ({ settings }: Http2.Http2Transport) => [settings.local, settings.remote],
  client: ({ settings }: Http2.Http2Transport) => [settings.remote, settings.local]
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/** The least and the most that settings may be, by their identifiers; of others, anything. */
const ranges: Record<number, readonly [number, number]> = {
  2: [0, 1],
  4: [0, 2 ** 31 - 1],
  5: [2 ** 14, 2 ** 24 - 1],
  8: [0, 1],
  9: [0, 1]
}

/** Whether bytes begin with SETTINGS that a peer may announce, read by other means than those under test. */
const beginsWithSettings = (bytes: Uint8Array, side: "server" | "client"): boolean => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.byteLength < 9) return false
  const length = view.getUint32(0) >>> 8
  if (length % 6 !== 0 || length > 16_384 || 9 + length > bytes.length) return false
  if (bytes[3] !== 4 || (bytes[4] & 1) !== 0 || (view.getUint32(5) & 0x7fff_ffff) !== 0) return false
  for (let at = 9; at < 9 + length; at += 6) {
    const id = view.getUint16(at)
    const value = view.getUint32(at + 2)
    const [least, most] = ranges[id] ?? [0, Infinity]
    if (value < least || value > most || (side === "client" && id === 2 && value === 1)) return false
  }
  return true
}

/** Whether bytes acknowledge settings: flags that nobody knows, and the reserved bit, are ignored (RFC 9113, 4.1). */
const acknowledges = (bytes: Uint8Array): boolean => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return bytes.length === 9 && view.getUint32(0) === 4 && (bytes[4] & 1) === 1 &&
    (view.getUint32(5) & 0x7fff_ffff) === 0
}

const accepts: Laws.HandshakeOptions<Http2.Http2Transport, Http2.Http2Transport>["accepts"] = (
  { index, said, side }
) => {
  if (side === "client") return beginsWithSettings(said, side) || index > 0 && acknowledges(said)
  const text = new TextDecoder("latin1").decode(said)
  return text.startsWith(preface) && beginsWithSettings(said.subarray(preface.length), side)
}

// Each side acknowledges the other's settings when it is ready.
const trailing = { server: true, client: true }

describe("the handshake", () => {
  const { client, server } = Http2.make({
    server: { settings: { maxConcurrentStreams: 100, initialWindowSize: 70_000, maxFrameSize: 20_000 } },
    client: { settings: { headerTableSize: 0 } }
  })
  Laws.handshake({
    it: Law.it,
    name: "h2",
    client,
    server,
    negotiated,
    accepts,
    rungs,
    trailing,
    lateRefusal: true,
    runs: Law.runs
  })
})

describe("the handshake of a client that waits to be acknowledged", () => {
  // It hears a refusal too, which comes in the place of the acknowledgement. What is its own is no matter of sockets.
  const protocol = Http2.make({ client: { awaitAcknowledgement: true } })
  Laws.handshake({
    ...protocol,
    it: Law.it,
    name: "h2",
    negotiated,
    accepts,
    trailing,
    rungs: [Rung.memory],
    runs: Law.runs
  })
})
