/**
 * What RFC 9113 wants of a connection, by its sections, in the order and with the frames of the suite that tests
 * implementations of HTTP/2 (h2spec and h2specd), at both roles. What streams and HPACK are about is not of them.
 */
import { describe, expect, it } from "@effect/vitest"
import type { Role } from "../../../src/protocols/http2/role.ts"
import { raw } from "./frames.ts"
import { sideOf } from "./side.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

const empty = new Uint8Array(0)

const Type = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9
}

const endStream = 1
const ack = 1
const endHeaders = 4
const padded = 8

const ping = raw(Type.ping, 0, 0, utf8("h2spec  "))
const setting = (id: number, value: number) =>
  raw(Type.settings, 0, 0, [0, id, value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255])
const windowUpdate = (streamId: number, increment: number) =>
  raw(Type.windowUpdate, 0, streamId, [
    increment >>> 24,
    increment >>> 16 & 255,
    increment >>> 8 & 255,
    increment & 255
  ])

/** HEADERS of a request, or of the response to it. */
const headers = (streamId: number, flags = endHeaders) => raw(Type.headers, flags, streamId, [0x82])
const continuation = (streamId: number, flags = endHeaders) => raw(Type.continuation, flags, streamId, [0x84])
const data = (streamId: number, flags = 0) => raw(Type.data, flags, streamId, utf8("test"))
const rstStream = (streamId: number) => raw(Type.rstStream, 0, streamId, [0, 0, 0, 8])

const whole = headers(1, endHeaders | endStream)

/** What is said, and the code of what is wrong with it. */
type Case = readonly [section: string, what: string, code: string | undefined, ...said: ReadonlyArray<Uint8Array>]

/** What is so at a server and at a client that has begun stream 1. */
const both: ReadonlyArray<Case> = [
  ["4.1", "a frame of an unknown type is ignored", undefined, raw(22, 0, 0, empty), ping],
  ["4.1", "a flag that has no meaning is ignored", undefined, raw(Type.ping, 0x16, 0, new Uint8Array(8))],
  ["4.1", "the reserved bit of an identifier is ignored", undefined, raw(Type.ping, 0, 2 ** 31, new Uint8Array(8))],
  ["4.2", "a DATA frame of 2^14 bytes is taken", undefined, headers(1), raw(Type.data, 0, 1, new Uint8Array(16_384))],
  ["4.2", "DATA longer than SETTINGS_MAX_FRAME_SIZE", "FRAME_SIZE_ERROR", headers(1), raw(Type.data, 0, 1, [], 16_385)],
  ["4.2", "HEADERS longer than SETTINGS_MAX_FRAME_SIZE", "FRAME_SIZE_ERROR", raw(Type.headers, 5, 1, [], 16_385)],
  ["4.3", "PRIORITY in a header block", "PROTOCOL_ERROR", headers(1, 0), raw(Type.priority, 0, 1, new Uint8Array(5))],
  ["4.3", "HEADERS of another stream in a header block", "PROTOCOL_ERROR", headers(1, 0), headers(3)],
  ["5.1", "half closed or closed: DATA", "STREAM_CLOSED", whole, data(1, endStream)],
  ["5.1", "half closed or closed: HEADERS", "STREAM_CLOSED", whole, whole],
  ["5.1", "half closed or closed: CONTINUATION", "PROTOCOL_ERROR", whole, continuation(1)],
  ["5.1", "closed: DATA after RST_STREAM", "STREAM_CLOSED", headers(1), rstStream(1), data(1, endStream)],
  ["5.1", "closed: HEADERS after RST_STREAM", "STREAM_CLOSED", headers(1), rstStream(1), whole],
  ["5.1", "closed: CONTINUATION after RST_STREAM", "PROTOCOL_ERROR", headers(1), rstStream(1), continuation(1)],
  ["5.5", "an unknown frame in a header block", "PROTOCOL_ERROR", headers(1, 0), raw(22, 0, 1, empty)],
  ["6.1", "DATA on stream 0", "PROTOCOL_ERROR", data(0)],
  ["6.1", "DATA with more padding than payload", "PROTOCOL_ERROR", headers(1), raw(Type.data, padded, 1, [5, 1, 2, 3])],
  ["6.2", "HEADERS on stream 0", "PROTOCOL_ERROR", headers(0)],
  ["6.2", "HEADERS with more padding than payload", "PROTOCOL_ERROR", raw(Type.headers, padded | 5, 1, [9, 0x82])],
  ["6.3", "PRIORITY on stream 0", "PROTOCOL_ERROR", raw(Type.priority, 0, 0, new Uint8Array(5))],
  ["6.3", "PRIORITY of 4 bytes", "FRAME_SIZE_ERROR", headers(1), raw(Type.priority, 0, 1, new Uint8Array(4))],
  ["6.4", "RST_STREAM on stream 0", "PROTOCOL_ERROR", rstStream(0)],
  ["6.4", "RST_STREAM of 3 bytes", "FRAME_SIZE_ERROR", headers(1), raw(Type.rstStream, 0, 1, new Uint8Array(3))],
  ["6.5", "an acknowledgement of SETTINGS with a payload", "FRAME_SIZE_ERROR", raw(Type.settings, ack, 0, [0])],
  ["6.5", "SETTINGS on a stream", "PROTOCOL_ERROR", raw(Type.settings, 0, 1, empty)],
  ["6.5", "SETTINGS of 3 bytes", "FRAME_SIZE_ERROR", raw(Type.settings, 0, 0, new Uint8Array(3))],
  ["6.5.2", "SETTINGS_ENABLE_PUSH of 2", "PROTOCOL_ERROR", setting(2, 2)],
  ["6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE of 2^31", "FLOW_CONTROL_ERROR", setting(4, 2 ** 31)],
  ["6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE of 2^31-1 is taken", undefined, setting(4, 2 ** 31 - 1)],
  ["6.5.2", "SETTINGS_MAX_FRAME_SIZE of 16,383", "PROTOCOL_ERROR", setting(5, 16_383)],
  ["6.5.2", "SETTINGS_MAX_FRAME_SIZE of 16,384 is taken", undefined, setting(5, 16_384)],
  ["6.5.2", "SETTINGS_MAX_FRAME_SIZE of 2^24", "PROTOCOL_ERROR", setting(5, 2 ** 24)],
  ["6.5.2", "SETTINGS_MAX_FRAME_SIZE of 2^24-1 is taken", undefined, setting(5, 2 ** 24 - 1)],
  ["6.5.2", "a setting that is not known is ignored", undefined, setting(0xff, 1)],
  ["6.7", "PING with ACK is not answered, and no error", undefined, raw(Type.ping, ack, 0, new Uint8Array(8))],
  ["6.7", "PING on a stream", "PROTOCOL_ERROR", raw(Type.ping, 0, 1, new Uint8Array(8))],
  ["6.7", "PING of 6 bytes", "FRAME_SIZE_ERROR", raw(Type.ping, 0, 0, new Uint8Array(6))],
  ["6.8", "GOAWAY on a stream", "PROTOCOL_ERROR", raw(Type.goAway, 0, 1, new Uint8Array(8))],
  ["6.9", "WINDOW_UPDATE by 0 on the connection", "PROTOCOL_ERROR", windowUpdate(0, 0)],
  ["6.9", "WINDOW_UPDATE by 0 on a stream", "PROTOCOL_ERROR", headers(1), windowUpdate(1, 0)],
  ["6.9", "WINDOW_UPDATE of 3 bytes", "FRAME_SIZE_ERROR", raw(Type.windowUpdate, 0, 0, new Uint8Array(3))],
  ["6.9.1", "a window of 2^31", "FLOW_CONTROL_ERROR", windowUpdate(0, 2 ** 31 - 1), windowUpdate(0, 2 ** 31 - 1)],
  ["6.10", "several CONTINUATIONs are taken", undefined, headers(1, 0), continuation(1, 0), continuation(1), ping],
  ["6.10", "another frame before the last CONTINUATION", "PROTOCOL_ERROR", headers(1, 0), continuation(1, 0), data(1)],
  ["6.10", "CONTINUATION on stream 0", "PROTOCOL_ERROR", headers(1, 0), continuation(0)],
  ["6.10", "CONTINUATION behind HEADERS that end", "PROTOCOL_ERROR", headers(1), continuation(1)],
  [
    "6.10",
    "CONTINUATION behind CONTINUATION that ends",
    "PROTOCOL_ERROR",
    headers(1, 0),
    continuation(1, 0),
    continuation(1),
    continuation(1)
  ],
  ["6.10", "CONTINUATION behind DATA", "PROTOCOL_ERROR", headers(1), data(1), continuation(1)],
  ["7", "GOAWAY with a code that is not known", undefined, raw(Type.goAway, 0, 0, [0, 0, 0, 0, 0, 0, 0, 255])],
  ["7", "RST_STREAM with a code that is not known", undefined, headers(1), raw(Type.rstStream, 0, 1, [0, 0, 0, 255])]
]

const atServers: ReadonlyArray<Case> = [
  ["5.1", "idle: DATA", "PROTOCOL_ERROR", data(1, endStream)],
  ["5.1", "idle: RST_STREAM", "PROTOCOL_ERROR", rstStream(1)],
  ["5.1", "idle: WINDOW_UPDATE", "PROTOCOL_ERROR", windowUpdate(1, 100)],
  ["5.1", "idle: CONTINUATION", "PROTOCOL_ERROR", continuation(1)],
  ["5.1", "idle: PRIORITY is taken", undefined, raw(Type.priority, 0, 1, new Uint8Array(5)), ping],
  ["5.1.1", "an even identifier", "PROTOCOL_ERROR", headers(2)],
  ["5.1.1", "an identifier lower than one before it", "PROTOCOL_ERROR", headers(5), headers(3)],
  ["6.6", "PUSH_PROMISE of a client", "PROTOCOL_ERROR", headers(1), raw(Type.pushPromise, 4, 1, [0, 0, 0, 2])]
]

const atClients: ReadonlyArray<Case> = [
  ["5.1", "idle: DATA", "PROTOCOL_ERROR", data(2, endStream)],
  ["5.1", "idle: RST_STREAM", "PROTOCOL_ERROR", rstStream(2)],
  ["5.1", "idle: WINDOW_UPDATE", "PROTOCOL_ERROR", windowUpdate(2, 100)],
  ["5.1", "idle: CONTINUATION", "PROTOCOL_ERROR", continuation(2)],
  ["5.1.1", "HEADERS on a stream that nobody has begun", "PROTOCOL_ERROR", headers(101)],
  ["5.1.1", "HEADERS on an even stream that was not promised", "PROTOCOL_ERROR", headers(2)],
  ["6.5.2", "SETTINGS_ENABLE_PUSH of 1 by a server", "PROTOCOL_ERROR", setting(2, 1)],
  ["6.6", "PUSH_PROMISE where it is disabled", "PROTOCOL_ERROR", raw(Type.pushPromise, 4, 1, [0, 0, 0, 2])]
]

const held: Readonly<Record<Role, ReadonlyArray<Case>>> = {
  server: [...both, ...atServers],
  client: [...both, ...atClients]
}

for (const role of ["server", "client"] as const) {
  describe(`at a ${role}, RFC 9113`, () => {
    const sections = Map.groupBy(held[role], ([section]) => section)
    for (const [section, cases] of sections) {
      describe(section, () => {
        for (const [, what, code, ...said] of cases) {
          it(`${what}${code === undefined ? "" : `: ${code}`}`, () => {
            const side = sideOf(role, role === "client" ? { enablePush: false } : {})
            if (role === "client") {
              side.say({ _tag: "Headers", streamId: 1, fragment: empty, endStream: false, endHeaders: true })
            }
            expect(side.hearBytes(...said)).toBe(code)
          })
        }
      })
    }
  })
}
