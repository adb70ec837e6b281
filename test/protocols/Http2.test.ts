/**
 * The start of an HTTP/2 connection and its connection level, against peers that are nothing but bytes.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import type * as Admission from "../../src/Admission.ts"
import { answer } from "../../src/cli/http2.ts"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import type { HandshakeError } from "../../src/HandshakeError.ts"
import { concat } from "../../src/internal/bytes/primitives.ts"
import { implOf } from "../../src/internal/connection/transport.ts"
import * as Net from "../../src/node/Net.ts"
import * as Http2 from "../../src/protocols/Http2.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as SimulatedNetwork from "../../src/testing/SimulatedNetwork.ts"
import * as Transcript from "../../src/Transcript.ts"
import * as Transport from "../../src/Transport.ts"
import { settled } from "../support/serving.ts"
import * as Tcp from "../support/tcp.ts"
import { raw } from "./http2/frames.ts"
import {
  beginning,
  bytesOf,
  clientOf,
  judged,
  noSettings,
  peerOf,
  preface,
  refused,
  serverOf,
  settingsAck,
  taking
} from "./http2/peer.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

const nothing = new Uint8Array(0)

const headers = (streamId: number, more?: Partial<Http2.Headers>): Http2.Headers => ({
  _tag: "Headers",
  streamId,
  fragment: Uint8Array.of(0x82),
  endStream: true,
  endHeaders: true,
  ...more
})

const data = (streamId: number, bytes: Uint8Array, more?: Partial<Http2.Data>): Http2.Data => ({
  _tag: "Data",
  streamId,
  data: bytes,
  endStream: false,
  ...more
})

const windowUpdate = (streamId: number, increment: number): Http2.WindowUpdate => ({
  _tag: "WindowUpdate",
  streamId,
  increment
})

const rstStream = (streamId: number): Http2.RstStream => ({ _tag: "RstStream", streamId, code: 8 })

const settings = (settings: Partial<Http2.Settings>): Http2.SettingsFrame => ({ _tag: "Settings", settings })

const ping = (text: string): Http2.Ping => ({ _tag: "Ping", data: utf8(text) })

const tags = (frames: ReadonlyArray<Http2.Frame>) => frames.map(({ _tag }) => _tag)

describe("the server's start", () => {
  it.effect("says its SETTINGS before the client has said anything", () =>
    Effect.gen(function*() {
      const { peer } = yield* beginning(Http2.server({ settings: { maxConcurrentStreams: 100 } }))
      expect(peer.heard()).toEqual([settings({ maxConcurrentStreams: 100 })])
    }))

  it.effect("is ready with the client's SETTINGS, which it has acknowledged, before its own are", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* beginning(Http2.server())
      yield* peer.write(preface, bytesOf(settings({ initialWindowSize: 1 })))
      yield* settled
      const transport = yield* Fiber.join(fiber)
      expect(transport.protocol).toBe("h2")
      expect(transport.settings.remote).toEqual({ ...Http2.defaultSettings, initialWindowSize: 1 })
      expect(transport.settings.isAcknowledged).toBe(false)
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck"])
    }))

  it.effect("loses nothing that comes right behind the client's SETTINGS", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* beginning(Http2.server())
      yield* peer.write(preface, noSettings, bytesOf(headers(1), windowUpdate(0, 5)), settingsAck)
      yield* settled
      const transport = yield* Fiber.join(fiber)
      expect([yield* transport.receive, yield* transport.receive]).toEqual([headers(1), windowUpdate(0, 5)])
    }))

  it.effect("a preface that is cut at any byte is no beginning, and neither is one with another byte", () =>
    Effect.gen(function*() {
      for (let at = 0; at < preface.length; at++) {
        const cut = yield* refused(Http2.server(), preface.subarray(0, at))
        expect(cut.error).toMatchObject({ step: "preface", reason: { _tag: "UnexpectedEnd" } })
        const other = new Uint8Array(preface)
        other[at] ^= 0x80
        const wrong = yield* refused(Http2.server(), other, noSettings)
        expect(wrong).toMatchObject({
          error: { step: "preface", reason: { _tag: "InvalidGreeting" }, fault: "peer" },
          code: "PROTOCOL_ERROR",
          told: "PROTOCOL_ERROR",
          lastStream: 0
        })
      }
    }))

  it.effect("names an HTTP/1 request, and shows its line", () =>
    Effect.gen(function*() {
      const { error, told } = yield* refused(Http2.server(), utf8("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"))
      expect(error.reason).toMatchObject({ received: "an HTTP/1 request, \"GET / HTTP/1.1\"" })
      expect(told).toBe("PROTOCOL_ERROR")
    }))

  it.effect("shows no more of a line without an end than 64 bytes", () =>
    Effect.gen(function*() {
      const { error } = yield* refused(Http2.server(), utf8(`PUT /${"x".repeat(1000)}`))
      expect(error.reason).toMatchObject({ received: `an HTTP/1 request, "PUT /${"x".repeat(59)}"` })
    }))

  it.effect("names what looks like TLS, at its first byte", () =>
    Effect.gen(function*() {
      const { error } = yield* refused(Http2.server(), Uint8Array.of(0x16, 3, 1))
      expect(error.reason).toMatchObject({ received: "what looks like TLS, \"\\x16\"" })
    }))

  const first = (...frames: ReadonlyArray<Uint8Array>) => refused(Http2.server(), preface, ...frames)

  it.effect("refuses any other frame than SETTINGS in the first place, by its header", () =>
    Effect.gen(function*() {
      for (const frame of [settingsAck, raw(6, 0, 0, new Uint8Array(8)), raw(1, 5, 1, [], 10), raw(99, 0, 0)]) {
        expect(yield* first(frame)).toMatchObject({
          error: { step: "SETTINGS", reason: { _tag: "InvalidGreeting", expected: "SETTINGS as the first frame" } },
          told: "PROTOCOL_ERROR"
        })
      }
    }))

  it.effect("takes GOAWAY in the first place as a rejection, to which there is nothing to say", () =>
    Effect.gen(function*() {
      const { code, error, told } = yield* first(raw(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0xb]))
      expect(error).toMatchObject({ reason: { _tag: "Rejected", by: "peer", retryable: true } })
      expect(code).toBe("ENHANCE_YOUR_CALM")
      expect(told).toBeUndefined()
    }))

  it.effect("refuses SETTINGS that are longer than a frame may be, by their header", () =>
    Effect.gen(function*() {
      const { code, error, told } = yield* first(raw(4, 0, 0, [], 16_386))
      expect(error).toMatchObject({ step: "SETTINGS", reason: { _tag: "FrameTooLarge", limit: 16_384 } })
      expect([code, told]).toEqual(["FRAME_SIZE_ERROR", "FRAME_SIZE_ERROR"])
    }))

  it.effect("tells the code that belongs to a value that is none", () =>
    Effect.gen(function*() {
      const { error, told } = yield* first(raw(4, 0, 0, [0, 4, 0x80, 0, 0, 0]))
      expect(error).toMatchObject({ step: "SETTINGS", reason: { _tag: "MalformedFrame", code: "FLOW_CONTROL_ERROR" } })
      expect(told).toBe("FLOW_CONTROL_ERROR")
    }))

  it("refuses settings that cannot be said, where it is made", () => {
    expect(() => Http2.server({ settings: { maxFrameSize: 16_383 } })).toThrow(RangeError)
    expect(() => Http2.server({ settings: { initialWindowSize: 2 ** 31 } })).toThrow(RangeError)
    expect(() => Http2.server({ settings: { enablePush: true } })).toThrow(RangeError)
    expect(() => Http2.server({ settings: { maxFrameSize: 16_384, maxConcurrentStreams: Infinity } })).not.toThrow()
  })
})

describe("the client's start", () => {
  it.effect("says its preface and its SETTINGS before the server has said anything", () =>
    Effect.gen(function*() {
      const { peer } = yield* beginning(Http2.client())
      expect(peer.heardBytes().subarray(0, 24)).toEqual(preface)
      expect(peer.heard()).toEqual([settings({ enablePush: false })])
    }))

  it.effect("is ready with the server's SETTINGS, which it has acknowledged", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* beginning(Http2.client())
      yield* peer.write(bytesOf(settings({ maxConcurrentStreams: 3 })))
      yield* settled
      const transport = yield* Fiber.join(fiber)
      expect(transport.settings.remote.maxConcurrentStreams).toBe(3)
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck"])
    }))

  it.effect("names an HTTP/1 response, and tells the server", () =>
    Effect.gen(function*() {
      const { error, told } = yield* refused(Http2.client(), utf8("HTTP/1.1 400 Bad Request\r\n\r\n"))
      expect(error).toMatchObject({
        step: "SETTINGS",
        reason: { _tag: "InvalidGreeting", received: "an HTTP/1 response, \"HTTP/1.1 400 Bad Request\"" }
      })
      expect(told).toBe("PROTOCOL_ERROR")
    }))

  it.effect("refuses a server that enables push", () =>
    Effect.gen(function*() {
      const { code, told } = yield* refused(Http2.client(), raw(4, 0, 0, [0, 2, 0, 0, 0, 1]))
      expect([code, told]).toEqual(["PROTOCOL_ERROR", "PROTOCOL_ERROR"])
    }))

  it.effect("with a GOAWAY behind the SETTINGS is ready, and receives it", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* beginning(Http2.client())
      const goAway: Http2.GoAway = { _tag: "GoAway", lastStreamId: 0, code: 0, debugData: utf8("at capacity") }
      yield* peer.write(noSettings, bytesOf(goAway))
      yield* settled
      expect(yield* (yield* Fiber.join(fiber)).receive).toEqual(goAway)
    }))
})

describe("a client that waits to be acknowledged", () => {
  const waiting = Http2.client({ awaitAcknowledgement: true, settingsTimeout: "5 seconds" })

  it.effect("is ready when it is, and has answered what came before", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* beginning(waiting)
      yield* peer.write(
        noSettings,
        bytesOf(windowUpdate(0, 1000), ping("pingpong"), settings({ maxFrameSize: 20_000 }))
      )
      yield* settled
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* peer.write(settingsAck)
      yield* settled
      const transport = yield* Fiber.join(fiber)
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck", "Pong", "SettingsAck"])
      expect(transport.windows.send).toBe(66_535)
      // What is known now can be kept as it is.
      expect({ ...transport.windows }).toEqual({ send: 66_535, receive: transport.windows.receive })
      expect(transport.settings.remote.maxFrameSize).toBe(20_000)
    }))

  it.effect("is rejected by a GOAWAY in the place of that", () =>
    Effect.gen(function*() {
      const { code, error } = yield* refused(waiting, noSettings, raw(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0xd]))
      expect(error).toMatchObject({ step: "SETTINGS ACK", reason: { _tag: "Rejected", by: "peer", retryable: false } })
      expect(code).toBe("HTTP_1_1_REQUIRED")
    }))

  it.effect("waits for as long as the peer has, and tells it", () =>
    Effect.gen(function*() {
      const { fiber, peer } = yield* beginning(waiting)
      yield* peer.write(noSettings)
      yield* TestClock.adjust("4998 millis")
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("2 millis")
      expect(peer.heard().at(-1)).toMatchObject({ _tag: "GoAway", code: Http2.ErrorCode.SETTINGS_TIMEOUT })
      yield* peer.end
      const error = yield* Effect.flip(Fiber.join(fiber))
      expect(error).toMatchObject({ step: "SETTINGS ACK", reason: { _tag: "Timeout" } })
      expect(Http2.errorCodeOf(error)).toBe("SETTINGS_TIMEOUT")
    }))

  it.effect("has told the peer nothing when its deadline strikes before", () =>
    Effect.gen(function*() {
      const { fiber } = yield* beginning(Handshake.deadline(waiting, "2 seconds"))
      yield* TestClock.adjust("2 seconds")
      const error = yield* Effect.flip(Fiber.join(fiber))
      expect(error).toMatchObject({ step: "SETTINGS", reason: { _tag: "Timeout" } })
      expect(Http2.errorCodeOf(error)).toBe("SETTINGS_TIMEOUT")
    }))
})

describe("settings that are not acknowledged", () => {
  const ready = Effect.gen(function*() {
    const { close, fiber, peer } = yield* beginning(Http2.server({ settingsTimeout: "5 seconds" }))
    yield* peer.write(preface, noSettings)
    yield* TestClock.adjust("1 millis")
    return { close, peer, transport: yield* Fiber.join(fiber) }
  })

  it.effect("end the connection as SETTINGS_TIMEOUT, behind the handshake", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* ready
      const service = yield* Effect.forkScoped(taking(transport))
      yield* TestClock.adjust("4997 millis")
      expect(service.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("2 millis")
      const { error } = yield* Fiber.join(service)
      expect(error.reason).toMatchObject({ _tag: "TimedOut", waitedFor: "acknowledgement" })
      expect(Http2.errorCodeOf(error)).toBe("SETTINGS_TIMEOUT")
      expect(peer.heard().at(-1)).toMatchObject({ _tag: "GoAway", code: Http2.ErrorCode.SETTINGS_TIMEOUT })
    }))

  it.effect("harm nobody where they are acknowledged in the last moment", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* ready
      const service = yield* Effect.forkScoped(taking(transport))
      yield* TestClock.adjust("4997 millis")
      yield* peer.write(settingsAck)
      yield* TestClock.adjust("1 hour")
      expect(service.pollUnsafe()).toBeUndefined()
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck"])
    }))

  it.effect("are no fault of a peer that is not listened to", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* ready
      // More than is read ahead, and the acknowledgement behind it.
      const many = Array.from({ length: 40 }, (_, i) => headers(2 * i + 1))
      yield* peer.write(bytesOf(...many), settingsAck)
      yield* TestClock.adjust("1 minute")
      const service = yield* Effect.forkScoped(taking(transport))
      yield* settled
      expect(service.pollUnsafe()).toBeUndefined()
      expect(transport.settings.isAcknowledged).toBe(true)
    }))

  it.effect("are as bad later on", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf({ settingsTimeout: "5 seconds" })
      yield* TestClock.adjust("1 hour")
      const service = yield* Effect.forkScoped(taking(transport))
      yield* Http2.changeSettings(transport, { maxConcurrentStreams: 1 })
      yield* TestClock.adjust("4999 millis")
      expect(service.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(Http2.errorCodeOf((yield* Fiber.join(service)).error)).toBe("SETTINGS_TIMEOUT")
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck", "Settings", "GoAway"])
    }))
})

describe("behind the handshake", () => {
  it.effect("PING is answered, and not passed on", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* peer.write(bytesOf(ping("01234567"), headers(1)))
      expect(yield* transport.receive).toEqual(headers(1))
      yield* settled
      expect(peer.heard().at(-1)).toEqual({ _tag: "Pong", data: utf8("01234567") })
    }))

  it.effect("PING is answered while nobody takes frames", () =>
    Effect.gen(function*() {
      const { peer } = yield* serverOf()
      yield* peer.write(bytesOf(ping("01234567")))
      yield* settled
      expect(peer.heard().at(-1)).toEqual({ _tag: "Pong", data: utf8("01234567") })
    }))

  it.effect("the answer to a PING of this side is passed on", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* peer.write(bytesOf({ _tag: "Pong", data: utf8("01234567") }))
      expect(yield* transport.receive).toEqual({ _tag: "Pong", data: utf8("01234567") })
    }))

  it.effect("SETTINGS are acknowledged once, take effect, and are passed on in their place", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      const changed = settings({ initialWindowSize: 7 })
      yield* peer.write(bytesOf(headers(1), changed, headers(3)))
      yield* settled
      expect(transport.settings.remote.initialWindowSize).toBe(7)
      expect([yield* transport.receive, yield* transport.receive, yield* transport.receive]).toEqual([
        headers(1),
        changed,
        headers(3)
      ])
      yield* settled
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck", "SettingsAck"])
    }))

  it.effect("a type that is not known is ignored, and passed on where it is asked for", () =>
    Effect.gen(function*() {
      for (const extensions of [[], [0xa]]) {
        const { peer, transport } = yield* serverOf({ extensions })
        yield* peer.write(raw(0xa, 0, 0, utf8("altsvc")), bytesOf(headers(1)))
        const frame = yield* transport.receive
        expect(frame._tag).toBe(extensions.length === 0 ? "Headers" : "Unknown")
      }
    }))

  it.effect("GOAWAY and WINDOW_UPDATE are passed on, and the window is known", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      const goAway: Http2.GoAway = { _tag: "GoAway", lastStreamId: 0, code: 0, debugData: nothing }
      yield* peer.write(bytesOf(windowUpdate(0, 10), goAway))
      expect([yield* transport.receive, yield* transport.receive]).toEqual([windowUpdate(0, 10), goAway])
      expect(transport.windows.send).toBe(65_545)
    }))

  it.effect("an end between two frames is an end in order", () =>
    Effect.gen(function*() {
      const server = yield* serverOf()
      const { error, frames, told } = yield* judged(server, bytesOf(headers(1)))
      expect(error.reason).toMatchObject({ _tag: "ConnectionClosed", by: "peer" })
      expect(frames).toEqual([headers(1)])
      expect(told).toBeUndefined()
    }))

  it.effect("what was said of a connection shows no header block", () =>
    Effect.gen(function*() {
      const recorder = yield* Transcript.recorder
      const { fiber, peer } = yield* beginning(
        Effect.provideService(Http2.server(), Transport.CurrentObserver, recorder.observer)
      )
      yield* peer.write(preface, noSettings, bytesOf(headers(1, { fragment: utf8("secret") })))
      yield* settled
      const transport = yield* Fiber.join(fiber)
      yield* transport.receive
      const said = recorder.entries()
      expect(said.map((entry) => entry.frame)).toContain("HEADERS 1 END_STREAM END_HEADERS 6 bytes <redacted>")
      expect(Transcript.format(said, { self: "server", peer: "client" })).not.toContain("secret")
    }))
})

/** What a client says to a server, what must come of it, and what is just still allowed. */
interface Case {
  readonly name: string
  readonly said: ReadonlyArray<Uint8Array>
  readonly allowed: ReadonlyArray<Uint8Array>
  readonly code: keyof typeof Http2.ErrorCode
  readonly lastStream?: number
}

const window = (bytes: number) =>
  Array.from(
    { length: Math.ceil(bytes / 16_384) },
    (_, i) => bytesOf(data(1, new Uint8Array(Math.min(16_384, bytes - i * 16_384))))
  )

const open = bytesOf(headers(1, { endStream: false }))

const cases: ReadonlyArray<Case> = [
  {
    name: "a frame that is longer than announced",
    said: [raw(0, 0, 1, [], 16_385)],
    allowed: [open, raw(0, 0, 1, new Uint8Array(16_384))],
    code: "FRAME_SIZE_ERROR"
  },
  {
    name: "DATA on a stream that was not begun",
    said: [bytesOf(headers(1)), bytesOf(data(3, nothing, { endStream: true }))],
    allowed: [bytesOf(headers(3, { endStream: false })), bytesOf(data(3, nothing, { endStream: true }))],
    code: "PROTOCOL_ERROR",
    lastStream: 1
  },
  {
    name: "RST_STREAM on a stream that was not begun",
    said: [bytesOf(rstStream(1))],
    allowed: [open, bytesOf(rstStream(1))],
    code: "PROTOCOL_ERROR"
  },
  {
    name: "WINDOW_UPDATE on a stream that was not begun",
    said: [bytesOf(windowUpdate(1, 1))],
    allowed: [open, bytesOf(windowUpdate(1, 1))],
    code: "PROTOCOL_ERROR"
  },
  {
    name: "HEADERS on an even stream",
    said: [bytesOf(headers(2))],
    allowed: [bytesOf(headers(2 ** 31 - 1))],
    code: "PROTOCOL_ERROR"
  },
  {
    name: "PUSH_PROMISE of a client",
    said: [
      open,
      bytesOf({ _tag: "PushPromise", streamId: 1, promisedStreamId: 2, fragment: nothing, endHeaders: true })
    ],
    allowed: [open],
    code: "PROTOCOL_ERROR",
    lastStream: 1
  },
  {
    name: "an acknowledgement of nothing",
    said: [settingsAck],
    allowed: [],
    code: "PROTOCOL_ERROR"
  },
  {
    name: "more DATA than the window of the connection",
    said: [open, ...window(65_536)],
    allowed: [open, ...window(65_535)],
    code: "FLOW_CONTROL_ERROR",
    lastStream: 1
  },
  {
    name: "a window of the connection beyond 2^31-1",
    said: [bytesOf(windowUpdate(0, 2 ** 31 - 1 - 65_535 + 1))],
    allowed: [bytesOf(windowUpdate(0, 2 ** 31 - 1 - 65_535))],
    code: "FLOW_CONTROL_ERROR"
  },
  {
    name: "a GOAWAY that takes back what the one before it has said",
    said: [2, 4].map((last) => raw(7, 0, 0, [0, 0, 0, last, 0, 0, 0, 0])),
    allowed: [4, 4, 2].map((last) => raw(7, 0, 0, [0, 0, 0, last, 0, 0, 0, 0])),
    code: "PROTOCOL_ERROR"
  },
  {
    name: "ENABLE_CONNECT_PROTOCOL that is taken back",
    said: [1, 0].map((value) => raw(4, 0, 0, [0, 8, 0, 0, 0, value])),
    allowed: [0, 1, 1].map((value) => raw(4, 0, 0, [0, 8, 0, 0, 0, value])),
    code: "PROTOCOL_ERROR"
  },
  {
    name: "NO_RFC7540_PRIORITIES that is changed later",
    said: [raw(4, 0, 0, [0, 9, 0, 0, 0, 1])],
    allowed: [raw(4, 0, 0, [0, 9, 0, 0, 0, 0])],
    code: "PROTOCOL_ERROR"
  },
  {
    name: "a header block that is interrupted",
    said: [bytesOf(headers(1, { endHeaders: false })), bytesOf(ping("01234567"))],
    allowed: [bytesOf(headers(1, { endHeaders: false })), raw(9, 4, 1), bytesOf(ping("01234567"))],
    code: "PROTOCOL_ERROR",
    lastStream: 1
  },
  {
    name: "more CONTINUATIONs than 16 (CVE-2024-27316)",
    said: [bytesOf(headers(1, { endHeaders: false })), ...Array.from({ length: 17 }, () => raw(9, 0, 1))],
    allowed: [
      bytesOf(headers(1, { endHeaders: false })),
      ...Array.from({ length: 15 }, () => raw(9, 0, 1)),
      raw(9, 4, 1)
    ],
    code: "ENHANCE_YOUR_CALM",
    lastStream: 1
  },
  {
    name: "a header block of more than 64 KiB",
    said: [
      bytesOf(headers(1, { endHeaders: false, fragment: new Uint8Array(16_384) })),
      ...Array.from({ length: 3 }, () => raw(9, 0, 1, new Uint8Array(16_384))),
      raw(9, 4, 1, [0])
    ],
    allowed: [
      bytesOf(headers(1, { endHeaders: false, fragment: new Uint8Array(16_384) })),
      ...Array.from({ length: 3 }, () => raw(9, 0, 1, new Uint8Array(16_384))),
      raw(9, 4, 1)
    ],
    code: "ENHANCE_YOUR_CALM",
    lastStream: 1
  }
]

describe("a server ends the connection, and tells why, on", () => {
  for (const { allowed, code, lastStream, name, said } of cases) {
    it.effect(`${name}: ${code}`, () =>
      Effect.gen(function*() {
        const verdict = yield* judged(yield* serverOf(), ...said, bytesOf(ping("too late")))
        expect(verdict.error.fault).toBe("peer")
        expect(verdict).toMatchObject({ code, told: code, lastStream: lastStream ?? 0 })
        const still = yield* judged(yield* serverOf(), ...allowed)
        expect(still.error.reason).toMatchObject({ _tag: "ConnectionClosed", by: "peer" })
        expect(still.told).toBeUndefined()
      }))
  }

  it.effect("DATA and HEADERS on a stream that it has promised: PROTOCOL_ERROR", () =>
    Effect.gen(function*() {
      const promised = Effect.tap(serverOf(), ({ peer, transport }) =>
        Effect.gen(function*() {
          yield* peer.write(open)
          yield* settled
          yield* transport.send({
            _tag: "PushPromise",
            streamId: 1,
            promisedStreamId: 2,
            fragment: nothing,
            endHeaders: true
          })
        }))
      for (const frame of [data(2, nothing, { endStream: true }), headers(2), windowUpdate(4, 1)]) {
        expect(yield* judged(yield* promised, bytesOf(frame))).toMatchObject({ code: "PROTOCOL_ERROR", lastStream: 1 })
      }
      const allowed = yield* judged(yield* promised, bytesOf(windowUpdate(2, 1), rstStream(2)))
      expect(allowed.error.reason).toMatchObject({ _tag: "ConnectionClosed" })
    }))

  it.effect("a violation that nobody has received yet", () =>
    Effect.gen(function*() {
      const { peer } = yield* serverOf()
      yield* peer.write(raw(6, 0, 1, new Uint8Array(8)))
      yield* settled
      expect(peer.heard().at(-1)).toMatchObject({ _tag: "GoAway", code: Http2.ErrorCode.PROTOCOL_ERROR })
    }))

  it.effect("a violation once, with what came before it received", () =>
    Effect.gen(function*() {
      const server = yield* serverOf()
      const { frames } = yield* judged(server, bytesOf(headers(1), headers(3)), raw(0, 0, 0), bytesOf(headers(5)))
      expect(frames).toEqual([headers(1), headers(3)])
      expect(tags(server.peer.heard()).filter((tag) => tag === "GoAway")).toEqual(["GoAway"])
    }))
})

it.live("a server on a real socket ends the connection, and its last word is heard before the end", () =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      Server.layer({ protocol: Http2.protocol, serve: taking }).pipe(
        Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 }))
      )
    )
    const { address } = yield* Effect.provide(Server.Server, context)
    const peer = yield* Tcp.dial(address._tag === "UnixPathAddress" ? 0 : address.port)
    const heard: Array<Uint8Array> = []
    peer.socket.on("data", (chunk) => heard.push(chunk))
    // What nobody reads any more must not destroy what is to be heard.
    yield* peer.say(concat([preface, noSettings, settingsAck, raw(8, 0, 0, [0, 0, 0, 0]), new Uint8Array(200_000)]))
    yield* peer.ended
    const frames = Codec.decodeAll(Http2.codec(), concat(heard))
    expect(frames.at(-1)).toMatchObject({ _tag: "GoAway", code: Http2.ErrorCode.PROTOCOL_ERROR })
  }))

describe("a client ends the connection, and tells why, on", () => {
  const promise = (streamId: number, promisedStreamId: number): Http2.PushPromise => ({
    _tag: "PushPromise",
    streamId,
    promisedStreamId,
    fragment: nothing,
    endHeaders: true
  })
  const asked = (options?: Http2.ClientOptions) =>
    Effect.tap(clientOf(options), ({ transport }) => transport.send(headers(1)))

  it.effect("a promise, where it has disabled push", () =>
    Effect.gen(function*() {
      const verdict = yield* judged(yield* asked(), bytesOf(promise(1, 2)))
      expect(verdict).toMatchObject({ code: "PROTOCOL_ERROR", told: "PROTOCOL_ERROR" })
      const allowed = yield* judged(
        yield* asked({ settings: { enablePush: true } }),
        bytesOf(promise(1, 2), headers(2))
      )
      expect(allowed.frames).toEqual([promise(1, 2), headers(2)])
    }))

  it.effect("what it cannot read, and is heard by a server that listens late", () =>
    Effect.gen(function*() {
      // Where unread bytes destroy last words.
      const [here, there] = yield* SimulatedNetwork.pair({ harshResets: true })
      const reader = yield* there.reader
      const writer = yield* there.writer
      yield* writer.write(concat([noSettings, settingsAck, raw(8, 0, 0, [0, 0, 0, 0]), new Uint8Array(1000)]))
      const client = yield* Effect.forkScoped(
        Effect.scoped(Effect.flatMap(Http2.client(), taking)).pipe(Effect.provideService(Socket.Socket, here))
      )
      yield* TestClock.adjust("500 millis")
      yield* writer.write(new Uint8Array(1000))
      yield* TestClock.adjust("100 millis")
      expect(client.pollUnsafe()).toBeUndefined()
      const heard = concat((yield* reader.pull) as ReadonlyArray<Uint8Array>)
      const frames = Codec.decodeAll(Http2.codec(), heard.subarray(preface.length))
      expect(frames.at(-1)).toMatchObject({ _tag: "GoAway", code: Http2.ErrorCode.PROTOCOL_ERROR })
      yield* writer.write(new Socket.CloseEvent(1000))
      yield* Fiber.join(client)
    }))

  it.effect("promises that do not go up, or that come on a stream that was not begun", () =>
    Effect.gen(function*() {
      const push = { settings: { enablePush: true } }
      const wrong = [[promise(1, 4), promise(1, 2)], [promise(3, 2)], [promise(1, 3)], [headers(2)], [headers(3)]]
      for (const frames of wrong) {
        const verdict = yield* judged(yield* asked(push), bytesOf(...frames))
        expect(verdict).toMatchObject({ code: "PROTOCOL_ERROR", told: "PROTOCOL_ERROR" })
      }
    }))
})

describe("frames that cost their sender nothing", () => {
  const floods: ReadonlyArray<readonly [name: string, frame: Uint8Array]> = [
    ["PING (CVE-2019-9512)", bytesOf(ping("01234567"))],
    ["SETTINGS (CVE-2019-9515)", noSettings],
    ["RST_STREAM (CVE-2019-9514, CVE-2023-44487)", bytesOf(rstStream(1))],
    ["empty DATA (CVE-2019-9518)", bytesOf(data(1, nothing))],
    ["padded DATA without data", bytesOf(data(1, nothing, { padLength: 0 }))],
    ["PRIORITY", raw(2, 0, 1, new Uint8Array(5))],
    ["frames that are not known", raw(0xfe, 0, 1)],
    ["GOAWAY", raw(7, 0, 0, new Uint8Array(8))]
  ]
  // The client's own SETTINGS are one of them.
  const cheapFrames = { burst: 21, perSecond: 10 }
  const many = <A>(frame: A, count: number) => Array.from({ length: count }, () => frame)

  for (const [name, frame] of floods) {
    it.effect(`${name}: as many as allowed pass, and one more is ENHANCE_YOUR_CALM`, () =>
      Effect.gen(function*() {
        const allowed = yield* judged(yield* serverOf({ cheapFrames }), open, ...many(frame, 20))
        expect(allowed.error.reason).toMatchObject({ _tag: "ConnectionClosed" })
        const server = yield* serverOf({ cheapFrames })
        const verdict = yield* judged(server, open, ...many(frame, 21), bytesOf(headers(3)))
        expect(verdict).toMatchObject({ code: "ENHANCE_YOUR_CALM", told: "ENHANCE_YOUR_CALM", lastStream: 1 })
      }))
  }

  it.effect("come again with time", () =>
    Effect.gen(function*() {
      const server = yield* serverOf({ cheapFrames })
      yield* server.peer.write(...many(bytesOf(ping("01234567")), 20))
      yield* TestClock.adjust("1 seconds")
      yield* server.peer.write(...many(bytesOf(ping("01234567")), 10))
      yield* settled
      expect(server.peer.heard().at(-1)?._tag).toBe("Pong")
      yield* server.peer.write(bytesOf(ping("01234567")))
      yield* settled
      expect(server.peer.heard().at(-1)).toMatchObject({ code: Http2.ErrorCode.ENHANCE_YOUR_CALM })
    }))

  it.effect("are as many as 1000 by default", () =>
    Effect.gen(function*() {
      const { error } = yield* judged(yield* serverOf(), ...many(bytesOf(ping("01234567")), 999))
      expect(error.reason).toMatchObject({ _tag: "ConnectionClosed" })
      const { told } = yield* judged(yield* serverOf(), ...many(bytesOf(ping("01234567")), 1001))
      expect(told).toBe("ENHANCE_YOUR_CALM")
    }))

  it.effect("are no more than the data that they go with: a feed that the peer measures with a PING for each message", () =>
    Effect.gen(function*() {
      const server = yield* serverOf()
      yield* server.peer.write(open)
      yield* server.transport.receive
      yield* server.transport.sendAll([headers(1, { endStream: false }), ...many(data(1, utf8("message")), 2000)])
      const { error } = yield* judged(server, ...many(bytesOf(ping("01234567")), 2999))
      expect(error.reason).toMatchObject({ _tag: "ConnectionClosed" })
    }))

  it.effect("are not answered to a peer that takes nothing: it is read no more", () =>
    Effect.gen(function*() {
      const { peer } = yield* serverOf({ maxUnsent: 4 }, { capacity: 1, segments: (bytes) => [bytes] })
      yield* peer.deafen
      const writing = yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 200 }), () => peer.write(bytesOf(ping("01234567"))))
      )
      yield* TestClock.adjust("1 minute")
      expect(writing.pollUnsafe()).toBeUndefined()
    }))
})

describe("what is sent", () => {
  const refusal = (transport: Http2.Http2Transport, ...frames: ReadonlyArray<Http2.Frame>) =>
    Effect.map(
      Effect.flip(transport.sendAll(frames)),
      (error) => [error.reason._tag, error.fault, Http2.errorCodeOf(error)]
    )

  it.effect("is no longer than the peer takes, also after it has changed its mind", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* peer.write(bytesOf(windowUpdate(0, 100_000)))
      yield* settled
      const long = data(1, new Uint8Array(20_000))
      expect(yield* refusal(transport, long)).toEqual(["FrameTooLarge", "local", "FRAME_SIZE_ERROR"])
      yield* peer.write(bytesOf(settings({ maxFrameSize: 20_000 })))
      yield* settled
      yield* transport.send(long)
      expect(yield* refusal(transport, data(1, new Uint8Array(20_001)))).toEqual([
        "FrameTooLarge",
        "local",
        "FRAME_SIZE_ERROR"
      ])
    }))

  it.effect("is no more DATA than the window of the connection lets pass", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      const part = data(1, new Uint8Array(16_384))
      yield* transport.sendAll([part, part, part])
      expect(transport.windows.send).toBe(65_535 - 3 * 16_384)
      expect(yield* refusal(transport, part)).toEqual(["MalformedFrame", "local", "FLOW_CONTROL_ERROR"])
      yield* transport.send(data(1, new Uint8Array(16_383)))
      yield* peer.write(bytesOf(windowUpdate(0, 3)))
      yield* settled
      expect(yield* refusal(transport, data(1, new Uint8Array(3), { padLength: 0 }))).toEqual([
        "MalformedFrame",
        "local",
        "FLOW_CONTROL_ERROR"
      ])
      yield* transport.send(data(1, new Uint8Array(2), { padLength: 0 }))
      expect(transport.windows.send).toBe(0)
    }))

  it.effect("is no WINDOW_UPDATE that makes the window of the connection longer than there is", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      const most = 2 ** 31 - 1 - 65_535
      expect(yield* refusal(transport, windowUpdate(0, most + 1))).toEqual([
        "MalformedFrame",
        "local",
        "FLOW_CONTROL_ERROR"
      ])
      yield* transport.send(windowUpdate(0, most))
      expect(transport.windows.receive).toBe(2 ** 31 - 1)
      expect(yield* refusal(transport, windowUpdate(0, 1))).toEqual(["MalformedFrame", "local", "FLOW_CONTROL_ERROR"])
    }))

  it.effect("a WINDOW_UPDATE lets the peer send more", () =>
    Effect.gen(function*() {
      const server = yield* serverOf()
      yield* server.transport.send(windowUpdate(0, 1))
      expect(server.transport.windows.receive).toBe(65_536)
      const { error } = yield* judged(server, open, ...window(65_536))
      expect(error.reason).toMatchObject({ _tag: "ConnectionClosed" })
      expect(server.transport.windows.receive).toBe(0)
    }))

  it.effect("SETTINGS go by changeSettings alone, and are acknowledged by nobody else", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      expect(yield* refusal(transport, settings({}))).toEqual(["MalformedFrame", "local", "INTERNAL_ERROR"])
      expect(yield* refusal(transport, { _tag: "SettingsAck" })).toEqual(["MalformedFrame", "local", "PROTOCOL_ERROR"])
    }))

  it.effect("changed settings take effect when they are acknowledged, and not before", () =>
    Effect.gen(function*() {
      const large = raw(0, 0, 1, new Uint8Array(20_000))
      const early = yield* serverOf()
      yield* Http2.changeSettings(early.transport, { maxFrameSize: 20_000 })
      expect(early.transport.settings.local.maxFrameSize).toBe(20_000)
      expect((yield* judged(early, open, large)).told).toBe("FRAME_SIZE_ERROR")
      const late = yield* serverOf()
      yield* Http2.changeSettings(late.transport, { maxFrameSize: 20_000 })
      const { error, frames } = yield* judged(late, settingsAck, open, large)
      expect(error.reason).toMatchObject({ _tag: "ConnectionClosed" })
      expect(tags(frames)).toEqual(["Headers", "Data"])
    }))

  it.effect("settings that cannot be changed so are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf({ settings: { enableConnectProtocol: true } })
      for (
        const wrong of [
          { maxFrameSize: 1 },
          { maxConcurrentStreams: Infinity },
          { enablePush: true },
          { enableConnectProtocol: false }
        ]
      ) {
        const error = yield* Effect.flip(Http2.changeSettings(transport, wrong))
        expect(error.fault).toBe("local")
      }
      expect(transport.settings.isAcknowledged).toBe(true)
      yield* settled
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck"])
    }))

  it.effect("an answer waits until a header block is all sent", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* transport.send(headers(1, { endHeaders: false }))
      yield* peer.write(bytesOf(ping("01234567")))
      yield* settled
      expect(yield* refusal(transport, data(1, nothing))).toEqual(["MalformedFrame", "local", "PROTOCOL_ERROR"])
      yield* transport.send({ _tag: "Continuation", streamId: 1, fragment: nothing, endHeaders: true })
      yield* settled
      expect(tags(peer.heard()).slice(2)).toEqual(["Headers", "Continuation", "Pong"])
    }))

  it.effect("a promise is refused where the client wants none", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* peer.write(bytesOf(settings({ enablePush: false })))
      yield* settled
      const promise: Http2.PushPromise = {
        _tag: "PushPromise",
        streamId: 1,
        promisedStreamId: 2,
        fragment: nothing,
        endHeaders: true
      }
      expect(yield* refusal(transport, promise)).toEqual(["MalformedFrame", "local", "PROTOCOL_ERROR"])
    }))
})

describe("a batch that is not sent leaves no trace", () => {
  const tooLong: Http2.Frame = {
    _tag: "Continuation",
    streamId: 1,
    fragment: new Uint8Array(16_385),
    endHeaders: true
  }
  const end: Http2.Frame = { ...tooLong, fragment: nothing }
  const unencodable = ping("short")

  it.effect("no header block is begun by it", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* Effect.flip(transport.sendAll([headers(1, { endHeaders: false }), tooLong]))
      yield* transport.send(headers(3))
      yield* Effect.flip(transport.send(end))
      yield* settled
      expect(peer.heard().slice(2)).toEqual([headers(3)])
    }))

  it.effect("no header block is ended by it, and an answer waits for the end", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* transport.send(headers(1, { endHeaders: false }))
      yield* peer.write(bytesOf(ping("01234567")))
      yield* settled
      yield* Effect.flip(transport.sendAll([end, unencodable]))
      yield* transport.send(end)
      yield* settled
      expect(tags(peer.heard()).slice(2)).toEqual(["Headers", "Continuation", "Pong"])
    }))

  it.effect("no window changes", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      const part = data(1, new Uint8Array(16_000))
      yield* Effect.flip(transport.sendAll([part, windowUpdate(0, 1), unencodable]))
      expect(transport.windows).toMatchObject({ send: 65_535, receive: 65_535 })
      yield* transport.sendAll([part, windowUpdate(0, 1)])
      expect(transport.windows).toMatchObject({ send: 65_535 - 16_000, receive: 65_536 })
    }))

  it.effect("but what has come meanwhile stays", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf({}, { capacity: 1024 })
      yield* peer.deafen
      const writing = yield* Effect.forkScoped(transport.send(data(1, new Uint8Array(2000))))
      const waiting = yield* Effect.forkScoped(transport.send(data(1, new Uint8Array(3000))))
      yield* settled
      yield* peer.write(bytesOf(windowUpdate(0, 10)))
      yield* settled
      yield* Fiber.interrupt(waiting)
      expect(writing.pollUnsafe()).toBeUndefined()
      expect(transport.windows.send).toBe(65_535 - 2000 + 10)
    }))

  it.effect("no stream is begun by it", () =>
    Effect.gen(function*() {
      const ended = (count: number) => raw(3, 0, count, [0, 0, 0, 8])
      const never = yield* clientOf()
      yield* Effect.flip(never.transport.sendAll([headers(1), unencodable]))
      expect((yield* judged(never, ended(1))).told).toBe("PROTOCOL_ERROR")
      const begun = yield* clientOf()
      yield* begun.transport.send(headers(1))
      expect(tags((yield* judged(begun, ended(1))).frames)).toEqual(["RstStream"])
    }))

  it.effect("no settings are announced by it", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf({ settingsTimeout: "5 seconds" }, { capacity: 1024 })
      yield* peer.deafen
      yield* Effect.forkScoped(transport.send(data(1, new Uint8Array(2000))))
      const waiting = yield* Effect.forkScoped(Http2.changeSettings(transport, { maxFrameSize: 20_000 }))
      yield* settled
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* Fiber.interrupt(waiting)
      expect(transport.settings.local.maxFrameSize).toBe(16_384)
      expect(transport.settings.isAcknowledged).toBe(true)
    }))
})

describe("leaving", () => {
  it.effect("goAway tells the last stream that the peer has begun", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      yield* peer.write(bytesOf(headers(5)))
      yield* settled
      yield* Http2.goAway(transport, Http2.ErrorCode.COMPRESSION_ERROR, { debug: "no such index" })
      expect(peer.heard().at(-1)).toEqual({
        _tag: "GoAway",
        lastStreamId: 5,
        code: Http2.ErrorCode.COMPRESSION_ERROR,
        debugData: utf8("no such index")
      })
    }))

  it.effect("shutdown lets what is on its way arrive, and then names the last stream", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* serverOf()
      const leaving = yield* Effect.forkScoped(Http2.shutdown(transport))
      yield* settled
      const [, , first, asked] = peer.heard()
      expect(first).toMatchObject({ _tag: "GoAway", lastStreamId: 2 ** 31 - 1, code: 0 })
      expect(asked._tag).toBe("Ping")
      yield* peer.write(bytesOf(headers(7), { _tag: "Pong", data: (asked as Http2.Ping).data }))
      expect(yield* transport.receive).toEqual(headers(7))
      expect(yield* Fiber.join(leaving)).toBe(7)
      yield* settled
      expect(peer.heard().at(-1)).toMatchObject({ _tag: "GoAway", lastStreamId: 7, code: 0 })
    }))

  it.effect("a client's shutdown says once that it takes nothing, where the server knows that it takes no promises", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* clientOf()
      yield* transport.send(headers(1))
      expect(yield* Http2.shutdown(transport)).toBe(0)
      yield* settled
      expect(peer.heard().slice(2)).toEqual([
        headers(1),
        { _tag: "GoAway", lastStreamId: 0, code: 0, debugData: nothing }
      ])
    }))

  it.effect("a client's shutdown names the streams of a server, where promises may be on their way", () =>
    Effect.gen(function*() {
      const { peer, transport } = yield* clientOf({ settings: { enablePush: true } })
      yield* transport.send(headers(1))
      const leaving = yield* Effect.forkScoped(Http2.shutdown(transport))
      yield* settled
      const [, , , first, asked] = peer.heard()
      expect(first).toMatchObject({ _tag: "GoAway", lastStreamId: 2 ** 31 - 2, code: 0 })
      yield* peer.write(bytesOf(
        { _tag: "PushPromise", streamId: 1, promisedStreamId: 4, fragment: nothing, endHeaders: true },
        { _tag: "Pong", data: (asked as Http2.Ping).data }
      ))
      expect((yield* transport.receive)._tag).toBe("PushPromise")
      expect(yield* Fiber.join(leaving)).toBe(4)
      yield* settled
      expect(peer.heard().at(-1)).toMatchObject({ _tag: "GoAway", lastStreamId: 4 })
    }))

  it.effect("no GOAWAY names a stream of this side's, at a server and at a client", () =>
    Effect.gen(function*() {
      const sides = [[yield* serverOf(), 2, 1], [yield* clientOf(), 1, 2]] as const
      for (const [{ peer, transport }, own, peers] of sides) {
        const error = yield* Effect.flip(Http2.goAway(transport, 0, { lastStreamId: own }))
        expect(error).toMatchObject({ fault: "local", reason: { code: "PROTOCOL_ERROR" } })
        yield* Http2.goAway(transport, 0, { lastStreamId: peers })
        expect(peer.heard().at(-1)).toMatchObject({ _tag: "GoAway", lastStreamId: peers })
      }
    }))

  it.effect("no GOAWAY takes back what the one before it has said, not even the last word to who breaks the rules", () =>
    Effect.gen(function*() {
      const server = yield* serverOf()
      yield* server.peer.write(bytesOf(headers(3)))
      yield* settled
      yield* Http2.goAway(server.transport)
      expect((yield* Effect.flip(Http2.goAway(server.transport, 0, { lastStreamId: 5 }))).fault).toBe("local")
      yield* server.peer.write(bytesOf(headers(7)))
      yield* settled
      expect(yield* Http2.shutdown(server.transport)).toBe(3)
      const verdict = yield* judged(server, raw(0, 0, 0))
      expect(verdict).toMatchObject({ told: "PROTOCOL_ERROR", lastStream: 3 })
    }))

  it.effect("who waits for a drain that has begun already waits no longer", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      implOf(transport).connection.closeToRequests()
      yield* Http2.whenDraining(transport)
    }))

  it.effect("and so do those who wait when it begins, and who comes after them", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      const { connection } = implOf(transport)
      const waiting = yield* Effect.forkScoped(Effect.all(
        [Http2.whenDraining(transport), Http2.whenDraining(transport)],
        { concurrency: "unbounded", discard: true }
      ))
      yield* settled
      expect(waiting.pollUnsafe()).toBeUndefined()
      connection.closeToRequests()
      yield* Fiber.join(waiting)
      expect(connection.inbox.closed).toBe(false)
      yield* Http2.whenDraining(transport)
    }))

  it.effect("a drain for which nobody waits any more takes no further request", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      const { connection } = implOf(transport)
      const first = yield* Effect.forkScoped(Http2.whenDraining(transport))
      const second = yield* Effect.forkScoped(Http2.whenDraining(transport))
      yield* settled
      yield* Fiber.interrupt(first)
      yield* Fiber.interrupt(second)
      connection.closeToRequests()
      expect(connection.inbox.closed).toBe(true)
    }))

  it.effect("shutdown waits for a second at most", () =>
    Effect.gen(function*() {
      const { transport } = yield* serverOf()
      const leaving = yield* Effect.forkScoped(Http2.shutdown(transport))
      yield* TestClock.adjust("999 millis")
      expect(leaving.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(yield* Fiber.join(leaving)).toBe(0)
    }))
})

describe("as a protocol", () => {
  const serving = Effect.fnUntraced(function*<A>(
    serve: (transport: Http2.Http2Transport) => Effect.Effect<A>,
    limits?: Server.Limits & { readonly admission?: Effect.Effect<Admission.Admission["Service"]> }
  ) {
    const network = yield* MemorySocket.network()
    const context = yield* Layer.build(
      Server.layer({ protocol: Http2.protocol, serve, ...limits }).pipe(
        Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
      )
    )
    const { drain, events } = yield* Effect.provide(Server.Server, context)
    const happened: Array<Server.Event> = []
    yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => happened.push(event))))
    yield* settled
    return { drain, happened, peer: yield* peerOf(network.client), another: peerOf(network.client) }
  })

  const isTurnedAway = (code: number, why: string) => [
    settings({}),
    { _tag: "GoAway", lastStreamId: 0, code, debugData: utf8(why) }
  ]

  it.effect("a server to which somebody comes too often says so, and when to come again", () =>
    Effect.gen(function*() {
      const { peer } = yield* serving(taking, {
        admission: Effect.succeed({
          admit: () => ({
            _tag: "Denied",
            limit: "test",
            why: "rate",
            retryAfter: Duration.millis(29_500),
            delay: undefined,
            isTold: true
          })
        })
      })
      yield* settled
      expect(peer.heard()).toEqual(
        isTurnedAway(Http2.ErrorCode.ENHANCE_YOUR_CALM, "too often, try again in 30 s")
      )
      yield* peer.end
      yield* peer.closed
    }))

  it.effect("a server without room says SETTINGS and GOAWAY, and then nothing", () =>
    Effect.gen(function*() {
      const { another } = yield* serving(taking, { maxConnections: 1 })
      const second = yield* another
      yield* settled
      expect(second.heard()).toEqual(isTurnedAway(Http2.ErrorCode.NO_ERROR, "at capacity"))
      yield* second.end
      yield* second.closed
    }))

  it.effect("a server counts whom it has told why not as refused", () =>
    Effect.gen(function*() {
      const { happened, peer } = yield* serving(taking)
      yield* peer.write(utf8("GET / HTTP/1.1\r\n"))
      yield* settled
      expect(happened.map(({ _tag }) => _tag)).toEqual(["Accepted", "Refused"])
      expect(tags(peer.heard())).toEqual(["Settings", "GoAway"])
      yield* peer.end
      yield* peer.closed
    }))

  it.effect("a server tells a client that takes too long", () =>
    Effect.gen(function*() {
      const { happened, peer } = yield* serving(taking, { handshakeTimeout: "3 seconds" })
      yield* peer.write(preface)
      yield* TestClock.adjust("2999 millis")
      expect(peer.heard()).toEqual([settings({})])
      yield* TestClock.adjust("1 millis")
      expect(peer.heard()).toEqual(isTurnedAway(Http2.ErrorCode.SETTINGS_TIMEOUT, "too slow"))
      expect(happened.map((event) => event._tag === "Refused" && Http2.errorCodeOf(event.error as HandshakeError)))
        .toEqual([false, "SETTINGS_TIMEOUT"])
    }))

  it.effect("a server that drains tells a client that is not ready yet", () =>
    Effect.gen(function*() {
      const { drain, peer } = yield* serving(taking)
      yield* peer.write(preface)
      yield* settled
      const draining = yield* Effect.forkScoped(drain)
      yield* settled
      expect(peer.heard()).toEqual(isTurnedAway(Http2.ErrorCode.NO_ERROR, "shutting down"))
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("a client that waits to be acknowledged is rejected by such a server, and may try again", () =>
    Effect.gen(function*() {
      const network = yield* MemorySocket.network()
      yield* Layer.build(
        Server.layer({ protocol: Http2.protocol, serve: taking, maxConnections: 0 }).pipe(
          Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
        )
      )
      const client = Http2.client({ awaitAcknowledgement: true }).pipe(
        Effect.provideService(Socket.Socket, network.client)
      )
      const error = yield* Effect.flip(Effect.scoped(client))
      expect(error).toMatchObject({ reason: { _tag: "Rejected", by: "peer", code: "NO_ERROR" }, retryable: true })
    }))

  it.effect("a server that drains ends a connection at once whose service does not wait for that", () =>
    Effect.gen(function*() {
      const { drain, peer } = yield* serving(taking)
      yield* peer.write(preface, noSettings, settingsAck)
      yield* settled
      const draining = yield* Effect.forkScoped(drain)
      yield* settled
      expect(draining.pollUnsafe()).toBeUndefined()
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("a server that drains has what was asked for answered, also what was on its way", () =>
    Effect.gen(function*() {
      const { drain, peer } = yield* serving((transport) => Effect.orDie(answer("Hello")(transport)))
      yield* peer.write(preface, noSettings, settingsAck, open)
      yield* settled
      const draining = yield* Effect.forkScoped(drain)
      yield* settled
      yield* peer.write(bytesOf(headers(3)))
      yield* TestClock.adjust("1 seconds")
      // One request is answered, and the body of the other is still to come.
      expect(tags(peer.heard())).toEqual(["Settings", "SettingsAck", "GoAway", "Ping", "Headers", "Data", "GoAway"])
      expect(peer.heard().at(-1)).toMatchObject({ lastStreamId: 3 })
      yield* peer.write(bytesOf(data(1, utf8("more"), { endStream: true })))
      yield* settled
      expect(tags(peer.heard()).slice(7)).toEqual(["WindowUpdate", "Headers", "Data"])
      yield* peer.closed
      yield* peer.end
      yield* Fiber.join(draining)
    }))

  it.effect("has a port with another one", () =>
    Effect.gen(function*() {
      const either = Handshake.firstOf([
        { name: "HTTP/2", accepts: Http2.isPreface, handshake: Effect.map(Http2.server(), () => "HTTP/2") },
        { name: "line", accepts: () => true, handshake: Effect.map(Line.server, () => "line") }
      ])
      for (
        const [said, chosen] of [[concat([preface, noSettings]), "HTTP/2"], [utf8("You ready?\n"), "line"]] as const
      ) {
        const [here, there] = yield* MemorySocket.pair()
        const fiber = yield* Effect.forkScoped(Effect.provideService(either, Socket.Socket, here))
        yield* (yield* peerOf(there)).write(said)
        expect(yield* Fiber.join(fiber)).toBe(chosen)
      }
    }))

  it("knows the preface, and does not while there is too little of it", () => {
    for (let length = 0; length < preface.length; length++) {
      expect(Http2.isPreface(preface.subarray(0, length))).toBeUndefined()
    }
    expect(Http2.isPreface(preface)).toBe(true)
    expect(Http2.isPreface(concat([preface, noSettings]))).toBe(true)
    expect(Http2.isPreface(utf8("PRI * HTTP/1.1"))).toBe(false)
    expect(Http2.isPreface(utf8("Y"))).toBe(false)
  })
})
