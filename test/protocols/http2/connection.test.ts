/**
 * One side of an HTTP/2 connection without any IO: which streams there are, and what of a peer is too much.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Http2 from "../../../src/protocols/Http2.ts"
import { isProhibited } from "../../../src/protocols/http2/ciphers.ts"
import type { Role } from "../../../src/protocols/http2/role.ts"
import { StreamIds } from "../../../src/protocols/http2/streamIds.ts"
import { type Side, sideOf, spare } from "./side.ts"

const data = (streamId: number, length: number, more?: Partial<Http2.Data>): Http2.Data => ({
  _tag: "Data",
  streamId,
  data: new Uint8Array(length),
  endStream: false,
  ...more
})

const headers = (streamId: number, more?: Partial<Http2.Headers>): Http2.Headers => ({
  _tag: "Headers",
  streamId,
  fragment: Uint8Array.of(0x82),
  endStream: false,
  endHeaders: true,
  ...more
})

const whole = (streamId: number) => headers(streamId, { endStream: true })

const rstStream = (streamId: number, code: keyof typeof Http2.ErrorCode = "CANCEL"): Http2.RstStream => ({
  _tag: "RstStream",
  streamId,
  code: Http2.ErrorCode[code]
})

const windowUpdate = (streamId: number, increment: number): Http2.WindowUpdate => ({
  _tag: "WindowUpdate",
  streamId,
  increment
})

const promise = (streamId: number, promisedStreamId: number): Http2.PushPromise => ({
  _tag: "PushPromise",
  streamId,
  promisedStreamId,
  fragment: new Uint8Array(0),
  endHeaders: true
})

const priority = (streamId: number): Http2.Priority => ({
  _tag: "Priority",
  streamId,
  priority: { exclusive: false, dependsOn: 0, weight: 16 }
})

const unknown = (type: number, length: number): Http2.Unknown => ({
  _tag: "Unknown",
  type,
  flags: 0,
  streamId: 0,
  payload: new Uint8Array(length)
})

const ping: Http2.Ping = { _tag: "Ping", data: new Uint8Array(8) }
const pong: Http2.Pong = { _tag: "Pong", data: new Uint8Array(8) }
const noSettings: Http2.SettingsFrame = { _tag: "Settings", settings: {} }

const several = <A>(count: number, of: (i: number) => A): ReadonlyArray<A> =>
  Array.from({ length: count }, (_, i) => of(i))

/** The identifier of the stream that a client begins after so many others. */
const nth = (i: number) => 2 * i + 1

describe("cipher suites (RFC 9113 A)", () => {
  it("are prohibited with TLS 1.2 where they have no ephemeral keys or no authenticated encryption", () => {
    const allowed = [
      "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
      "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
      "TLS_DHE_RSA_WITH_AES_128_CCM_8",
      "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
      "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
      "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_ECDSA_WITH_ARIA_128_GCM_SHA256"
    ]
    const prohibited = [
      "TLS_RSA_WITH_AES_128_GCM_SHA256",
      "TLS_RSA_WITH_AES_128_CBC_SHA",
      "TLS_RSA_WITH_AES_128_CCM",
      "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
      "TLS_ECDHE_ECDSA_WITH_CAMELLIA_128_CBC_SHA256",
      "TLS_DH_anon_WITH_AES_128_GCM_SHA256",
      "TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256",
      "TLS_DH_RSA_WITH_AES_128_GCM_SHA256",
      "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256",
      "TLS_RSA_PSK_WITH_AES_128_GCM_SHA256",
      "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
      "TLS_NULL_WITH_NULL_NULL",
      "TLS_SRP_SHA_WITH_AES_128_CBC_SHA"
    ]
    const only = (ciphers: ReadonlyArray<string>) =>
      ciphers.filter((cipher) => !isProhibited({ version: "TLSv1.2", cipher }))
    expect([only(allowed), only(prohibited)]).toEqual([allowed, []])
  })

  it("are all allowed with TLS 1.3", () => {
    expect(isProhibited({ version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" })).toBe(false)
  })
})

describe("a set of stream identifiers", () => {
  const all = (ids: StreamIds, most: number) => several(most, nth).filter((id) => ids.has(id) === true)

  it("is what was added, in any order", () => {
    const orders = [[1, 3, 5, 9, 13], [13, 9, 5, 3, 1], [5, 1, 13, 3, 9, 3, 13], [1, 5, 3, 13, 9]]
    for (const order of orders) {
      const ids = new StreamIds()
      for (const id of order) ids.add(id)
      expect(all(ids, 10)).toEqual([1, 3, 5, 9, 13])
      expect([7, 11, 15].map((id) => ids.has(id))).toEqual([false, false, false])
    }
  })

  it("forgets the lowest of more than 256 runs, and says so", () => {
    const ids = new StreamIds()
    const gapped = (i: number) => 4 * i + 1
    for (let i = 0; i < 256; i++) ids.add(gapped(i))
    expect([ids.has(1), ids.has(3)]).toEqual([true, false])
    ids.add(gapped(256))
    expect([ids.has(1), ids.has(3), ids.has(5), ids.has(7)]).toEqual([undefined, false, true, false])
    ids.add(1)
    expect(ids.has(1)).toBeUndefined()
  })

  it("has runs that are not forgotten where they grow together", () => {
    const ids = new StreamIds()
    for (let i = 0; i < 10_000; i++) ids.add(nth(i ^ 1))
    expect(all(ids, 10_001)).toEqual(several(10_000, nth))
  })
})

describe("streams are begun with identifiers that go up (RFC 9113 5.1.1)", () => {
  it("so that one below the last, which was left out, is none", () => {
    for (const frame of [headers(3), data(3, 1), rstStream(3), windowUpdate(3, 1)]) {
      const server = sideOf("server")
      expect(server.hear(headers(1), headers(5))).toBeUndefined()
      expect(server.hear(frame)).toBe("PROTOCOL_ERROR")
    }
  })

  it("and one that was begun may have trailers", () => {
    const server = sideOf("server")
    expect(server.hear(headers(3), headers(5), data(3, 1), headers(3, { endStream: true }))).toBeUndefined()
  })

  it("however far they have gone up", () => {
    const server = sideOf("server")
    expect(server.hear(...several(1000, (i) => whole(nth(i))), whole(2 ** 31 - 1))).toBeUndefined()
    expect(server.hear(headers(5001))).toBe("PROTOCOL_ERROR")
  })

  it("but places may be said of streams that are not begun", () => {
    const server = sideOf("server")
    expect(server.hear(priority(3), priority(7), headers(13), priority(9))).toBeUndefined()
  })
})

describe("a stream that the peer has ended is over for it (RFC 9113 5.1)", () => {
  const endings: ReadonlyArray<readonly [name: string, frames: ReadonlyArray<Http2.Frame>]> = [
    ["HEADERS", [whole(1)]],
    ["DATA", [headers(1), data(1, 1, { endStream: true })]],
    ["trailers", [headers(1), whole(1)]],
    ["RST_STREAM", [headers(1), rstStream(1)]]
  ]
  for (const [name, frames] of endings) {
    it(`DATA and HEADERS after the ${name} that ended it are STREAM_CLOSED, at a server and at a client`, () => {
      for (const frame of [data(1, 1), headers(1), whole(1), data(1, 0, { endStream: true })]) {
        const server = sideOf("server")
        expect([server.hear(...frames), server.hear(frame)]).toEqual([undefined, "STREAM_CLOSED"])
        const client = sideOf("client")
        client.say(headers(1))
        expect([client.hear(...frames), client.hear(frame)]).toEqual([undefined, "STREAM_CLOSED"])
      }
    })

    it(`what may follow the ${name} that ended it is taken`, () => {
      const server = sideOf("server")
      expect(server.hear(...frames, windowUpdate(1, 1), priority(1), rstStream(1))).toBeUndefined()
    })
  }

  it("what was on its way when this side has reset it is no fault", () => {
    const server = sideOf("server")
    server.hear(headers(1))
    server.say(rstStream(1))
    expect(server.hear(data(1, 10), data(1, 10), whole(1))).toBeUndefined()
  })

  it("CONTINUATION of the HEADERS that ended it is of them", () => {
    const server = sideOf("server")
    const rest: Http2.Continuation = {
      _tag: "Continuation",
      streamId: 1,
      fragment: new Uint8Array(0),
      endHeaders: true
    }
    expect(server.hear(headers(1, { endStream: true, endHeaders: false }), rest)).toBeUndefined()
  })

  it("nothing is promised on it", () => {
    const client = sideOf("client", { enablePush: true })
    client.say(whole(1))
    expect(client.hear(promise(1, 2), whole(1))).toBeUndefined()
    expect(client.hear(promise(1, 4))).toBe("PROTOCOL_ERROR")
  })
})

/** What moves, how many frames it earns, and those frames. */
interface Earning {
  readonly name: string
  readonly role: Role
  readonly moves: (side: Side) => void
  readonly earned: number
  readonly frame: (i: number) => Http2.Frame
}

const served = (count: number, more: (streamId: number) => ReadonlyArray<Http2.Frame> = () => []) => (side: Side) => {
  for (const streamId of several(count, nth)) {
    side.hear(headers(streamId))
    side.say(headers(streamId), ...more(streamId))
  }
}

const asked = (count: number) => (side: Side) => side.say(...several(count, (i) => whole(nth(i))))

const earnings: ReadonlyArray<Earning> = [
  {
    name: "a PING for each DATA of this side, as grpc-go's clients measure bandwidth",
    role: "server",
    moves: served(1, () => several(50, () => data(1, 105))),
    earned: 51,
    frame: () => ping
  },
  {
    name: "a PING for each DATA of its own, as C-core's do",
    role: "server",
    moves: ({ hear }) => hear(headers(1), ...several(50, () => data(1, 105))),
    earned: 50,
    frame: () => ping
  },
  {
    name: "a PING for each DATA of a client, as grpc-go's servers measure bandwidth",
    role: "client",
    moves: ({ say }) => say(headers(1), ...several(50, () => data(1, 105))),
    earned: 51,
    frame: () => ping
  },
  {
    name: "an answer to each PING of this side",
    role: "client",
    moves: ({ say }) => say(...several(50, () => ping)),
    earned: 50,
    frame: () => pong
  },
  {
    name: "two WINDOW_UPDATEs for each byte that it has read",
    role: "server",
    moves: served(1, () => [data(1, 50)]),
    earned: 102,
    frame: (i) => windowUpdate(i % 2, 1)
  },
  {
    name: "two WINDOW_UPDATEs for each stream, which make room before there is anything to read",
    role: "server",
    moves: ({ hear }) => hear(...several(50, (i) => whole(nth(i)))),
    earned: 100,
    frame: (i) => windowUpdate(i % 2, 1)
  },
  {
    name: "RST_STREAM for each answer that it does not want to the end",
    role: "server",
    moves: served(50),
    earned: 50,
    frame: (i) => rstStream(nth(i % 50))
  },
  {
    name: "RST_STREAM for each request that a server refuses",
    role: "client",
    moves: asked(50),
    earned: 50,
    frame: (i) => rstStream(nth(i % 50), "REFUSED_STREAM")
  },
  {
    name: "an empty DATA at the end of each answer, which trailers follow",
    role: "client",
    moves: asked(50),
    earned: 50,
    frame: (i) => data(nth(i % 50), 0)
  },
  {
    name: "an empty DATA after each one with data",
    role: "server",
    moves: ({ hear }) => hear(headers(1), ...several(50, () => data(1, 1))),
    earned: 50,
    frame: () => data(1, 0)
  },
  {
    name: "several HEADERS for each request: interim responses and trailers",
    role: "client",
    moves: asked(5),
    earned: 80,
    frame: (i) => headers(nth(i % 5))
  },
  {
    name: "several PUSH_PROMISEs for each request",
    role: "client",
    moves: asked(5),
    earned: 80,
    frame: (i) => promise(1, 2 + 2 * i)
  },
  {
    name: "a PUSH_PROMISE for each DATA, as those that were promised before have brought it",
    role: "client",
    moves: ({ say, hear }) => {
      say(headers(1))
      hear(headers(1), ...several(50, () => data(1, 105)))
    },
    earned: 66,
    frame: (i) => promise(1, 2 + 2 * i)
  },
  {
    name: "several PRIORITY and PRIORITY_UPDATE for each request that is answered",
    role: "server",
    moves: served(5),
    earned: 80,
    frame: (i) => i % 2 === 0 ? priority(nth(i)) : unknown(0x10, 5)
  }
]

describe("what a peer in good order does is no flood, and more of it is ENHANCE_YOUR_CALM", () => {
  for (const { earned, frame, moves, name, role } of earnings) {
    it(name, () => {
      const side = sideOf(role)
      moves(side)
      expect(side.hear(...several(earned + spare, frame))).toBeUndefined()
      expect(side.hear(frame(0))).toBe("ENHANCE_YOUR_CALM")
    })
  }

  it("frames of an extension that was asked for, where there is something in them", () => {
    const server = sideOf("server")
    expect(server.hear(...several(100, () => unknown(0xaa, 1)))).toBeUndefined()
    expect(server.hear(...several(spare, () => unknown(0xaa, 0)))).toBeUndefined()
    expect(server.hear(unknown(0xaa, 0))).toBe("ENHANCE_YOUR_CALM")
  })

  it("a stream that is reset before it was answered earns nothing, though it is answered then (CVE-2023-44487)", () => {
    const server = sideOf("server")
    for (let i = 0; i < spare; i++) {
      expect(server.hear(whole(nth(i)), rstStream(nth(i)))).toBeUndefined()
      server.say(headers(nth(i)))
    }
    expect(server.hear(whole(nth(spare)))).toBeUndefined()
    expect(server.hear(rstStream(nth(spare)))).toBe("ENHANCE_YOUR_CALM")
  })

  it("what one kind has earned pays for no other", () => {
    const server = sideOf("server")
    served(50, (streamId) => [data(streamId, 100)])(server)
    expect(server.hear(...several(spare, () => noSettings))).toBeUndefined()
    expect(server.hear(noSettings)).toBe("ENHANCE_YOUR_CALM")
  })
})

describe("streams of which nothing comes", () => {
  const limited = () => sideOf("server", { maxConcurrentStreams: 2 })

  it("beyond MAX_CONCURRENT_STREAMS are too many at some time (RFC 9113 5.1.2)", () => {
    const server = limited()
    expect(server.hear(...several(2 + spare, (i) => whole(nth(i))))).toBeUndefined()
    expect(server.hear(whole(nth(2 + spare)))).toBe("ENHANCE_YOUR_CALM")
  })

  it("beyond it are too many also where each is refused", () => {
    const server = limited()
    server.hear(headers(1), headers(3))
    for (let i = 2; i < 2 + spare; i++) {
      expect(server.hear(whole(nth(i)))).toBeUndefined()
      server.say(rstStream(nth(i), "REFUSED_STREAM"))
    }
    expect(server.hear(whole(nth(2 + spare)))).toBe("ENHANCE_YOUR_CALM")
  })

  const endings: ReadonlyArray<readonly [name: string, end: (side: Side, streamId: number) => unknown]> = [
    ["answered", ({ say }, streamId) => say(whole(streamId))],
    ["answered with a body", ({ say }, streamId) => say(headers(streamId), data(streamId, 1, { endStream: true }))],
    ["refused", ({ say }, streamId) => say(rstStream(streamId, "REFUSED_STREAM"))],
    ["cancelled", ({ say, hear }, streamId) => [say(headers(streamId)), hear(rstStream(streamId))]]
  ]
  for (const [name, end] of endings) {
    it(`within it are never too many, where each is ${name}`, () => {
      const server = limited()
      server.hear(headers(1))
      for (let i = 1; i < 100; i++) {
        expect(server.hear(whole(nth(i)))).toBeUndefined()
        end(server, nth(i))
      }
    })
  }

  it("are as many as there are before the limit is acknowledged", () => {
    const server = sideOf("server")
    server.say({ _tag: "Announce", settings: { maxConcurrentStreams: 2 } })
    expect(server.hear(...several(100, (i) => whole(nth(i))))).toBeUndefined()
  })

  it("are too many where this side has to reset them for what the peer did (CVE-2025-8671)", () => {
    const server = sideOf("server")
    for (let i = 0; i < spare + 1; i++) {
      expect(server.hear(headers(nth(i)))).toBeUndefined()
      server.say(rstStream(nth(i), "FLOW_CONTROL_ERROR"))
    }
    expect(server.hear(headers(nth(spare + 1)))).toBe("ENHANCE_YOUR_CALM")
  })

  it("are not too many where this side resets them for reasons of its own, whatever was on its way", () => {
    const server = sideOf("server")
    for (let i = 0; i < 100; i++) {
      expect(server.hear(headers(nth(i)))).toBeUndefined()
      server.say(rstStream(nth(i), i % 2 === 0 ? "INTERNAL_ERROR" : "NO_ERROR"))
      expect(server.hear(data(nth(i), 1))).toBeUndefined()
      server.say(rstStream(nth(i), "STREAM_CLOSED"))
    }
  })
})
