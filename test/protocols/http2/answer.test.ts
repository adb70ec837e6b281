/**
 * What `serve http2` says to requests, frame by frame, without any IO.
 */
import { describe, expect, it } from "@effect/vitest"
import { Exchanges } from "../../../src/cli/http2.ts"
import * as Http2 from "../../../src/protocols/Http2.ts"

const nothing = new Uint8Array(0)

const headers = (streamId: number, more?: Partial<Http2.Headers>): Http2.Headers => ({
  _tag: "Headers",
  streamId,
  fragment: nothing,
  endStream: true,
  endHeaders: true,
  ...more
})

const data = (streamId: number, length: number, endStream: boolean): Http2.Data => ({
  _tag: "Data",
  streamId,
  data: new Uint8Array(length),
  endStream
})

const windowUpdate = (streamId: number, increment: number): Http2.WindowUpdate => ({
  _tag: "WindowUpdate",
  streamId,
  increment
})

const rstStream = (streamId: number, code: keyof typeof Http2.ErrorCode): Http2.RstStream => ({
  _tag: "RstStream",
  streamId,
  code: Http2.ErrorCode[code]
})

/** A connection that counts its window as one does, and tells the frames by what matters of them. */
const talking = (length: number, settings: Partial<Http2.Settings> = {}, send = 65_535) => {
  const room = { settings: { remote: { ...Http2.defaultSettings, ...settings } }, windows: { send } }
  const exchanges = new Exchanges(new Uint8Array(length), room)
  const say = (...frames: ReadonlyArray<Http2.Frame>) => {
    for (const frame of frames) {
      if (frame._tag === "WindowUpdate" && frame.streamId === 0) room.windows.send += frame.increment
      if (frame._tag === "Settings") room.settings.remote = { ...room.settings.remote, ...frame.settings }
    }
    return exchanges.hear(frames).map((frame) => {
      if (frame._tag === "Data") room.windows.send -= frame.data.length
      return frame._tag === "Headers"
        ? `200 on ${frame.streamId}`
        : frame._tag === "Data"
        ? `${frame.data.length} bytes on ${frame.streamId}${frame.endStream ? ", the last" : ""}`
        : Http2.format(frame)
    })
  }
  return { exchanges, say }
}

describe("a request is answered", () => {
  it("where its headers end it", () => {
    const { exchanges, say } = talking(3)
    expect(say(headers(1))).toEqual(["200 on 1", "3 bytes on 1, the last"])
    expect(exchanges.isIdle).toBe(true)
  })

  it("without DATA where there is nothing to say", () => {
    expect(talking(0).say(headers(1))).toEqual(["200 on 1"])
  })

  it("where its last CONTINUATION comes", () => {
    const { say } = talking(3)
    expect(say(headers(1, { endHeaders: false }))).toEqual([])
    expect(say({ _tag: "Continuation", streamId: 1, fragment: nothing, endHeaders: false })).toEqual([])
    expect(say({ _tag: "Continuation", streamId: 1, fragment: nothing, endHeaders: true })).toEqual([
      "200 on 1",
      "3 bytes on 1, the last"
    ])
  })

  it("where its body ends, for which there is room again", () => {
    const { say } = talking(3)
    expect(say(headers(1, { endStream: false }), data(1, 5, false))).toEqual([
      "WINDOW_UPDATE 0 by 5",
      "WINDOW_UPDATE 1 by 5"
    ])
    expect(say(data(1, 2, true))).toEqual(["WINDOW_UPDATE 0 by 2", "200 on 1", "3 bytes on 1, the last"])
  })

  it("where its trailers end it", () => {
    const { say } = talking(3)
    expect(say(headers(1, { endStream: false }), headers(1, { endHeaders: false }))).toEqual([])
    expect(say({ _tag: "Continuation", streamId: 1, fragment: nothing, endHeaders: true })).toEqual([
      "200 on 1",
      "3 bytes on 1, the last"
    ])
  })

  it("in frames that the peer takes", () => {
    expect(talking(40_000).say(headers(1))).toEqual([
      "200 on 1",
      "16384 bytes on 1",
      "16384 bytes on 1",
      "7232 bytes on 1, the last"
    ])
  })
})

describe("an answer waits", () => {
  it("for the window of its stream", () => {
    const { say } = talking(10, { initialWindowSize: 4 })
    expect(say(headers(1))).toEqual(["200 on 1", "4 bytes on 1"])
    expect(say(windowUpdate(1, 3), windowUpdate(0, 1000))).toEqual(["3 bytes on 1"])
    expect(say({ _tag: "Settings", settings: { initialWindowSize: 7 } })).toEqual(["3 bytes on 1, the last"])
  })

  it("for the window of the connection, the first request first", () => {
    const { say } = talking(10, {}, 12)
    expect(say(headers(1), headers(3))).toEqual(["200 on 1", "200 on 3", "10 bytes on 1, the last", "2 bytes on 3"])
    expect(say(windowUpdate(0, 100))).toEqual(["8 bytes on 3, the last"])
  })

  it("for no stream that was reset", () => {
    const { exchanges, say } = talking(10, { initialWindowSize: 0 })
    say(headers(1))
    expect(say(rstStream(1, "CANCEL"), windowUpdate(1, 100))).toEqual([])
    expect(exchanges.isIdle).toBe(true)
  })

  it("for a window that settings have made negative", () => {
    const { say } = talking(10, { initialWindowSize: 4 })
    say(headers(1))
    expect(say({ _tag: "Settings", settings: { initialWindowSize: 0 } }, windowUpdate(1, 4))).toEqual([])
    expect(say(windowUpdate(1, 1))).toEqual(["1 bytes on 1"])
  })
})

describe("a stream is ended", () => {
  it("that is one too many, and its frames are ignored", () => {
    const { say } = talking(10, { initialWindowSize: 0 })
    for (let i = 0; i < 100; i++) expect(say(headers(2 * i + 1))).toEqual([`200 on ${2 * i + 1}`])
    expect(say(headers(201, { endStream: false }))).toEqual(["RST_STREAM 201 REFUSED_STREAM"])
    expect(say(data(201, 1, true))).toEqual(["WINDOW_UPDATE 0 by 1"])
  })

  it("on which something comes behind the end", () => {
    for (const frame of [data(1, 0, false), headers(1)]) {
      const { say } = talking(10, { initialWindowSize: 0 })
      say(headers(1))
      expect(say(frame)).toEqual(["RST_STREAM 1 STREAM_CLOSED"])
    }
  })

  it("on which headers come that are no trailers", () => {
    const { say } = talking(10)
    expect(say(headers(1, { endStream: false }), headers(1, { endStream: false }))).toEqual([
      "RST_STREAM 1 PROTOCOL_ERROR"
    ])
  })

  it("whose window exceeds 2^31-1", () => {
    const { say } = talking(10, { initialWindowSize: 0 }, 0)
    say(headers(1), headers(3))
    expect(say(windowUpdate(1, 2 ** 31 - 1))).toEqual([])
    expect(say(windowUpdate(1, 1))).toEqual(["RST_STREAM 1 FLOW_CONTROL_ERROR"])
  })

  it("once: what comes late on one that is over is ignored", () => {
    const { say } = talking(3)
    say(headers(3))
    expect(say(headers(1), headers(3), windowUpdate(3, 1), rstStream(3, "CANCEL"))).toEqual([])
  })
})
