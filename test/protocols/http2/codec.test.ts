/**
 * The frames of HTTP/2, byte by byte: what RFC 9113 says of each, and what is wrong with those that are not so.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Codec from "../../../src/Codec.ts"
import { concat } from "../../../src/internal/bytes/primitives.ts"
import * as Http2 from "../../../src/protocols/Http2.ts"
import { raw } from "./frames.ts"

const codec = Http2.codec()

const utf8 = (text: string) => new TextEncoder().encode(text)

const decode = (...bytes: ReadonlyArray<Uint8Array>) => Codec.decodeAll(codec, concat(bytes))

const failure = (decode: () => unknown): unknown =>
  Result.match(Result.try(decode), { onFailure: (error) => error, onSuccess: () => undefined })

/** The code that a frame is refused with. */
const codeOf = (...bytes: ReadonlyArray<Uint8Array>): string | undefined => {
  const error = failure(() => decode(...bytes))
  if (error === undefined) return undefined
  if (error instanceof Codec.FrameTooLarge) return "FRAME_SIZE_ERROR"
  if (error instanceof Codec.MalformedFrame) return error.code
  throw error
}

describe("on the wire", () => {
  const examples: ReadonlyArray<readonly [frame: Http2.Frame, bytes: Uint8Array]> = [
    [{ _tag: "Data", streamId: 1, data: utf8("hi"), endStream: true }, raw(0, 1, 1, utf8("hi"))],
    [
      { _tag: "Data", streamId: 1, data: utf8("hi"), endStream: false, padLength: 2 },
      raw(0, 8, 1, [2, 0x68, 0x69, 0, 0])
    ],
    [{ _tag: "Data", streamId: 1, data: utf8(""), endStream: false, padLength: 0 }, raw(0, 8, 1, [0])],
    [
      { _tag: "Headers", streamId: 3, fragment: Uint8Array.of(0x82), endStream: true, endHeaders: true },
      raw(1, 5, 3, [0x82])
    ],
    [
      {
        _tag: "Headers",
        streamId: 3,
        fragment: Uint8Array.of(0x82),
        endStream: false,
        endHeaders: true,
        priority: { exclusive: true, dependsOn: 1, weight: 256 },
        padLength: 1
      },
      raw(1, 0x2c, 3, [1, 0x80, 0, 0, 1, 255, 0x82, 0])
    ],
    [
      { _tag: "Priority", streamId: 3, priority: { exclusive: false, dependsOn: 2 ** 31 - 1, weight: 1 } },
      raw(2, 0, 3, [0x7f, 255, 255, 255, 0])
    ],
    [{ _tag: "RstStream", streamId: 3, code: 0xffff_ffff }, raw(3, 0, 3, [255, 255, 255, 255])],
    [
      { _tag: "Settings", settings: { headerTableSize: 0, enablePush: false, maxFrameSize: 16_777_215 } },
      raw(4, 0, 0, [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 5, 0, 255, 255, 255])
    ],
    [
      { _tag: "Settings", settings: { enableConnectProtocol: true, noRfc7540Priorities: true } },
      raw(4, 0, 0, [0, 8, 0, 0, 0, 1, 0, 9, 0, 0, 0, 1])
    ],
    [{ _tag: "SettingsAck" }, raw(4, 1, 0)],
    [
      { _tag: "PushPromise", streamId: 1, promisedStreamId: 2, fragment: Uint8Array.of(0x82), endHeaders: true },
      raw(5, 4, 1, [0, 0, 0, 2, 0x82])
    ],
    [{ _tag: "Ping", data: utf8("01234567") }, raw(6, 0, 0, utf8("01234567"))],
    [{ _tag: "Pong", data: utf8("01234567") }, raw(6, 1, 0, utf8("01234567"))],
    [
      { _tag: "GoAway", lastStreamId: 2 ** 31 - 1, code: 11, debugData: utf8("x") },
      raw(7, 0, 0, [0x7f, 255, 255, 255, 0, 0, 0, 11, 0x78])
    ],
    [{ _tag: "WindowUpdate", streamId: 0, increment: 2 ** 31 - 1 }, raw(8, 0, 0, [0x7f, 255, 255, 255])],
    [
      { _tag: "Unknown", type: 10, flags: 255, streamId: 2 ** 31 - 1, payload: utf8("x") },
      raw(
        10,
        255,
        2 ** 31 - 1,
        utf8("x")
      )
    ]
  ]

  for (const [frame, bytes] of examples) {
    it(`${Http2.format(frame)} is what the RFC draws, both ways`, () => {
      expect(Codec.encodeAll(codec, [frame])).toEqual(bytes)
      expect(decode(bytes)).toEqual([frame])
    })
  }

  it("the reserved bits of identifiers and increments mean nothing", () => {
    expect(decode(raw(0, 0, 0x8000_0001, utf8("hi")))).toEqual(decode(raw(0, 0, 1, utf8("hi"))))
    expect(decode(raw(8, 0, 0, [0x80, 0, 0, 1]))).toEqual(decode(raw(8, 0, 0, [0, 0, 0, 1])))
    expect(decode(raw(7, 0, 0, [0x80, 0, 0, 1, 0, 0, 0, 0]))).toEqual(decode(raw(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0])))
  })

  it("flags that a type does not have are ignored", () => {
    expect(decode(raw(6, 0xfe, 0, new Uint8Array(8)))).toEqual([{ _tag: "Ping", data: new Uint8Array(8) }])
    expect(decode(raw(8, 0xff, 1, [0, 0, 0, 1]))).toEqual([{ _tag: "WindowUpdate", streamId: 1, increment: 1 }])
  })
})

describe("SETTINGS", () => {
  const setting = (id: number, value: number) => [0, id, value >>> 24, value >>> 16, value >>> 8, value]

  it("whose id is not known are ignored", () => {
    expect(decode(raw(4, 0, 0, setting(0xff, 1)))).toEqual([{ _tag: "Settings", settings: {} }])
  })

  it("that come twice have their last value", () => {
    expect(decode(raw(4, 0, 0, [...setting(3, 1), ...setting(3, 2)]))).toEqual([
      { _tag: "Settings", settings: { maxConcurrentStreams: 2 } }
    ])
  })

  const bounds: ReadonlyArray<
    readonly [name: string, id: number, within: ReadonlyArray<number>, beyond: number, code: string]
  > = [
    ["ENABLE_PUSH", 2, [0, 1], 2, "PROTOCOL_ERROR"],
    ["INITIAL_WINDOW_SIZE", 4, [0, 2 ** 31 - 1], 2 ** 31, "FLOW_CONTROL_ERROR"],
    ["MAX_FRAME_SIZE, the least", 5, [2 ** 14], 2 ** 14 - 1, "PROTOCOL_ERROR"],
    ["MAX_FRAME_SIZE, the most", 5, [2 ** 24 - 1], 2 ** 24, "PROTOCOL_ERROR"],
    ["ENABLE_CONNECT_PROTOCOL", 8, [0, 1], 2, "PROTOCOL_ERROR"],
    ["NO_RFC7540_PRIORITIES", 9, [0, 1], 2, "PROTOCOL_ERROR"]
  ]
  for (const [name, id, within, beyond, code] of bounds) {
    it(`have bounds: ${name}`, () => {
      for (const value of within) expect(codeOf(raw(4, 0, 0, setting(id, value)))).toBeUndefined()
      expect(codeOf(raw(4, 0, 0, setting(id, beyond)))).toBe(code)
    })
  }

  it("without bounds take any value", () => {
    for (const id of [1, 3, 6]) expect(codeOf(raw(4, 0, 0, setting(id, 2 ** 32 - 1)))).toBeUndefined()
  })
})

describe("a frame is refused, by its header alone,", () => {
  // The payload does not come, so that only the header can be what is wrong.
  const header = (type: number, flags: number, streamId: number, length: number) =>
    raw(type, flags, streamId, [], length)

  const onStream: ReadonlyArray<readonly [name: string, type: number, length: number]> = [
    ["DATA", 0, 1],
    ["HEADERS", 1, 1],
    ["PRIORITY", 2, 5],
    ["RST_STREAM", 3, 4],
    ["PUSH_PROMISE", 5, 4],
    ["CONTINUATION", 9, 1]
  ]
  for (const [name, type, length] of onStream) {
    it(`on stream 0: ${name}`, () => {
      expect(codeOf(header(type, 0, 0, length))).toBe("PROTOCOL_ERROR")
      if (type !== 9) expect(codeOf(header(type, 0, 1, length))).toBeUndefined()
    })
  }

  const onConnection: ReadonlyArray<readonly [name: string, type: number, length: number]> = [
    ["SETTINGS", 4, 6],
    ["PING", 6, 8],
    ["GOAWAY", 7, 8]
  ]
  for (const [name, type, length] of onConnection) {
    it(`on another stream than 0: ${name}`, () => {
      expect(codeOf(header(type, 0, 1, length))).toBe("PROTOCOL_ERROR")
      expect(codeOf(header(type, 0, 0, length))).toBeUndefined()
    })
  }

  const sizes: ReadonlyArray<
    readonly [name: string, type: number, flags: number, streamId: number, wrong: ReadonlyArray<number>, right: number]
  > = [
    ["PRIORITY", 2, 0, 1, [4, 6], 5],
    ["RST_STREAM", 3, 0, 1, [3, 5], 4],
    ["SETTINGS", 4, 0, 0, [1, 5, 7], 6],
    ["SETTINGS ACK", 4, 1, 0, [6], 0],
    ["PUSH_PROMISE", 5, 0, 1, [3], 4],
    ["PING", 6, 0, 0, [7, 9], 8],
    ["GOAWAY", 7, 0, 0, [7], 8],
    ["WINDOW_UPDATE", 8, 0, 0, [3, 5], 4]
  ]
  for (const [name, type, flags, streamId, wrong, right] of sizes) {
    it(`where its size is wrong: ${name}`, () => {
      for (const length of wrong) expect(codeOf(header(type, flags, streamId, length))).toBe("FRAME_SIZE_ERROR")
      expect(codeOf(header(type, flags, streamId, right))).toBeUndefined()
    })
  }

  it("where it is longer than may be, of any type", () => {
    for (const type of [0, 1, 4, 9, 77]) {
      expect(codeOf(header(type, 0, type === 4 ? 0 : 1, 16_385))).toBe("FRAME_SIZE_ERROR")
    }
    expect(codeOf(header(0, 0, 1, 16_384))).toBeUndefined()
    expect(codeOf(header(77, 0, 1, 16_384))).toBeUndefined()
  })
})

describe("a frame is refused", () => {
  it("whose padding is longer than its payload", () => {
    expect(codeOf(raw(0, 8, 1, [3, 0, 0]))).toBe("PROTOCOL_ERROR")
    expect(codeOf(raw(0, 8, 1, [2, 0, 0]))).toBeUndefined()
    expect(codeOf(raw(1, 0x2c, 1, [1, 0, 0, 0, 0, 0]))).toBe("PROTOCOL_ERROR")
    expect(codeOf(raw(1, 0x2c, 1, [0, 0, 0, 0, 0, 0]))).toBeUndefined()
    expect(codeOf(raw(5, 0xc, 1, [1, 0, 0, 0, 2]))).toBe("PROTOCOL_ERROR")
    expect(codeOf(raw(5, 0xc, 1, [0, 0, 0, 0, 2]))).toBeUndefined()
  })

  it("that is too short for its flags", () => {
    expect(codeOf(raw(0, 8, 1, []))).toBe("FRAME_SIZE_ERROR")
    expect(codeOf(raw(1, 0x24, 1, [0, 0, 0, 0]))).toBe("FRAME_SIZE_ERROR")
    expect(codeOf(raw(5, 0xc, 1, [0, 0, 0, 2]))).toBe("FRAME_SIZE_ERROR")
  })

  it("that is a WINDOW_UPDATE by 0", () => {
    expect(codeOf(raw(8, 0, 0, [0, 0, 0, 0]))).toBe("PROTOCOL_ERROR")
    expect(codeOf(raw(8, 0, 1, [0x80, 0, 0, 0]))).toBe("PROTOCOL_ERROR")
    expect(codeOf(raw(8, 0, 1, [0, 0, 0, 1]))).toBeUndefined()
  })

  it("that stands in a header block, of whatever type and stream, and CONTINUATION outside of one", () => {
    const begun = raw(1, 0, 1, [0x82])
    for (
      const other of [
        raw(0, 0, 1, [1]),
        raw(1, 4, 3),
        raw(4, 0, 0),
        raw(8, 0, 0, [0, 0, 0, 1]),
        raw(99, 0, 1),
        raw(9, 4, 3)
      ]
    ) {
      expect(codeOf(begun, other)).toBe("PROTOCOL_ERROR")
      expect(codeOf(begun, raw(9, 4, 1), ...(other[3] === 9 ? [] : [other]))).toBeUndefined()
    }
    expect(codeOf(begun, raw(9, 4, 1), raw(9, 4, 1))).toBe("PROTOCOL_ERROR")
    expect(codeOf(raw(5, 0, 1, [0, 0, 0, 2]), raw(9, 4, 1))).toBeUndefined()
  })

  it("of a header block with more bytes or CONTINUATIONs than may be", () => {
    const small = Http2.codec({ maxHeaderBlock: 10, maxContinuations: 2 })
    const code = (...bytes: ReadonlyArray<Uint8Array>) => {
      const error = failure(() => Codec.decodeAll(small, concat(bytes)))
      return error instanceof Codec.MalformedFrame ? error.code : undefined
    }
    const ten = new Uint8Array(10)
    expect(code(raw(1, 4, 1, [...ten, 0]))).toBe("ENHANCE_YOUR_CALM")
    expect(code(raw(1, 4, 1, ten))).toBeUndefined()
    expect(code(raw(1, 0, 1, ten), raw(9, 4, 1, [0]))).toBe("ENHANCE_YOUR_CALM")
    expect(code(raw(1, 0, 1, ten), raw(9, 4, 1))).toBeUndefined()
    // By its header.
    expect(code(raw(1, 0, 1, ten), raw(9, 0, 1, [], 1))).toBe("ENHANCE_YOUR_CALM")
    expect(code(raw(1, 0, 1), raw(9, 0, 1), raw(9, 0, 1), raw(9, 4, 1))).toBe("ENHANCE_YOUR_CALM")
    expect(code(raw(1, 0, 1), raw(9, 0, 1), raw(9, 4, 1))).toBeUndefined()
  })

  it("of a header block with too many CONTINUATIONs for its length, and none where they are full", () => {
    const large = Http2.codec({ maxHeaderBlock: 2 ** 20 })
    const decoding = (count: number, part: Uint8Array) =>
      failure(() =>
        Codec.decodeAll(large, concat([raw(1, 0, 1), ...Array.from({ length: count }, () => raw(9, 0, 1, part))]))
      )
    expect(decoding(64, new Uint8Array(16_384))).toBeUndefined()
    expect(decoding(256, new Uint8Array(0))).toBeUndefined()
    expect(decoding(257, new Uint8Array(0))).toMatchObject({ code: "ENHANCE_YOUR_CALM" })
  })

  it("with an error that shows its header and nothing of what is in it", () => {
    const error = failure(() => decode(raw(1, 0x28, 1, utf8("\xffsecret"))))
    expect(error).toMatchObject({
      problem: "the padding is longer than the payload",
      excerpt: "HEADERS on stream 1 with flags 0x28 and 8 bytes"
    })
  })
})

describe("a frame cannot be sent", () => {
  const refused = (frame: Http2.Frame) => {
    const error = failure(() => Codec.encodeAll(codec, [frame]))
    return error instanceof Codec.MalformedFrame || error instanceof Codec.FrameTooLarge ? error.fault : undefined
  }
  const data = (more: Partial<Http2.Data>): Http2.Data => ({
    _tag: "Data",
    streamId: 1,
    data: new Uint8Array(),
    endStream: false,
    ...more
  })

  it("on a stream that is none", () => {
    for (const streamId of [0, -1, 2 ** 31, 1.5, Number.NaN]) expect(refused(data({ streamId }))).toBe("local")
    for (const streamId of [1, 2 ** 31 - 1]) expect(refused(data({ streamId }))).toBeUndefined()
  })

  it("that is longer than the peer takes, padding included", () => {
    expect(refused(data({ data: new Uint8Array(16_385) }))).toBe("local")
    expect(refused(data({ data: new Uint8Array(16_384) }))).toBeUndefined()
    expect(refused(data({ data: new Uint8Array(16_380), padLength: 4 }))).toBe("local")
    expect(refused(data({ data: new Uint8Array(16_380), padLength: 3 }))).toBeUndefined()
    const widened = Http2.codec({ peerMaxFrameSize: 20_000 })
    expect(Codec.encodeAll(widened, [data({ data: new Uint8Array(20_000) })]).length).toBe(20_009)
  })

  it("with a field that has no place for its value", () => {
    const priority = (weight: number, dependsOn = 0) => ({ exclusive: false, dependsOn, weight })
    const wrong: ReadonlyArray<Http2.Frame> = [
      data({ padLength: 256 }),
      { _tag: "Priority", streamId: 1, priority: priority(0) },
      { _tag: "Priority", streamId: 1, priority: priority(257) },
      { _tag: "Priority", streamId: 1, priority: priority(1, 2 ** 31) },
      { _tag: "Ping", data: new Uint8Array(7) },
      { _tag: "Pong", data: new Uint8Array(9) },
      { _tag: "RstStream", streamId: 1, code: 2 ** 32 },
      { _tag: "GoAway", lastStreamId: 2 ** 31, code: 0, debugData: new Uint8Array() },
      { _tag: "WindowUpdate", streamId: 0, increment: 0 },
      { _tag: "WindowUpdate", streamId: 0, increment: 2 ** 31 },
      { _tag: "PushPromise", streamId: 1, promisedStreamId: 0, fragment: new Uint8Array(), endHeaders: true },
      { _tag: "Unknown", type: 9, flags: 0, streamId: 0, payload: new Uint8Array() },
      { _tag: "Unknown", type: 256, flags: 0, streamId: 0, payload: new Uint8Array() },
      { _tag: "Settings", settings: { maxConcurrentStreams: Infinity } },
      { _tag: "Settings", settings: { initialWindowSize: 2 ** 31 } },
      { _tag: "Settings", settings: { headerTableSize: 1.5 } }
    ]
    for (const frame of wrong) expect(refused(frame), Http2.format(frame)).toBe("local")
  })
})

it("the length that windows count has the padding in it", () => {
  const frame: Http2.Data = { _tag: "Data", streamId: 1, data: new Uint8Array(5), endStream: false }
  expect(Http2.flowControlledLength(frame)).toBe(5)
  expect(Http2.flowControlledLength({ ...frame, padLength: 0 })).toBe(6)
  expect(Http2.flowControlledLength({ ...frame, padLength: 3 })).toBe(9)
})

it("error codes have their names, and those that are not known their number", () => {
  expect(Http2.errorCodeName(Http2.ErrorCode.ENHANCE_YOUR_CALM)).toBe("ENHANCE_YOUR_CALM")
  expect(Http2.errorCodeName(0xff)).toBe("0xff")
})
