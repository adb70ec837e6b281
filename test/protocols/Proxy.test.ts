/**
 * The PROXY protocol: what a header may say, whose header is taken, and who is there behind it.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import * as Result from "effect/Result"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import * as Peer from "../../src/Peer.ts"
import * as Http2 from "../../src/protocols/Http2.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Proxy from "../../src/protocols/Proxy.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import * as Server from "../../src/Server.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import * as Certificates from "../support/certificates/index.ts"
import { join, outcomeOf, utf8 } from "../support/conversation.ts"
import { echo, saying, serving, settled } from "../support/serving.ts"

const inet = NetAddress.inetAddressFromStringUnsafe

const signature = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

/** A header of version 2 by its bytes. */
const v2 = (command: number, family: number, ...block: ReadonlyArray<number>): Uint8Array =>
  Uint8Array.of(...signature, command, family, block.length >> 8, block.length & 0xff, ...block)

const tcp4 = [203, 0, 113, 7, 192, 0, 2, 1, 0xdc, 0x04, 0x01, 0xbb]
const fromTcp4 = { source: inet("203.0.113.7:56324"), destination: inet("192.0.2.1:443") }

const line = "PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n"

const codec = Proxy.codec()

/** The first frame, or why there is none, or `undefined` where more has to come. */
const decode = (bytes: Uint8Array | string, of: Codec.Codec<Proxy.Header, Proxy.Header> = codec) => {
  const decoded = decodeAll(of, typeof bytes === "string" ? utf8(bytes) : bytes)
  return decoded === undefined ? undefined : Result.merge(decoded)
}

const decodeAll = (of: Codec.Codec<Proxy.Header, Proxy.Header>, bytes: Uint8Array) =>
  Result.try({ try: () => Codec.decodeAll(of, bytes), catch: (error) => error }).pipe(
    (result) =>
      Result.isSuccess(result) && result.success.length === 0 ? undefined : Result.map(result, ([first]) => first)
  )

const malformed = (problem: string) => expect.objectContaining({ problem: expect.stringContaining(problem) })

describe("a line of version 1 (2.1)", () => {
  it("tells the addresses of TCP over IPv4 and over IPv6", () => {
    expect(decode(line)).toMatchObject({ _tag: "Proxied", version: 1, transport: "stream", ...fromTcp4 })
    expect(decode("PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.1 0 65535\r\n")).toMatchObject({
      source: inet("[2001:db8::1]:0"),
      destination: inet("[::ffff:192.0.2.1]:65535")
    })
  })

  it("may be of an unknown protocol, and then says nothing else, whatever it says", () => {
    const unknown = { _tag: "Unknown", version: 1, tlvs: [] }
    for (const rest of ["", " ffff::1 ffff::2 65535 65535", " ?"]) {
      expect(decode(`PROXY UNKNOWN${rest}\r\n`)).toEqual(unknown)
    }
    expect(decode(join([utf8("PROXY UNKNOWN "), Uint8Array.of(0xff, 0), utf8("\r\n")]))).toEqual(unknown)
  })

  it.each([
    ["a port too large", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 1\r\n"],
    ["a port with a zero before it", "PROXY TCP4 192.0.2.1 192.0.2.2 01 1\r\n"],
    ["a number with a zero before it", "PROXY TCP4 192.0.02.1 192.0.2.2 1 1\r\n"],
    ["an address of another family", "PROXY TCP4 ::1 ::2 1 1\r\n"],
    ["an address with a zone", "PROXY TCP6 fe80::1%1 ::2 1 1\r\n"],
    ["two spaces", "PROXY  TCP4 192.0.2.1 192.0.2.2 1 1\r\n"],
    ["a space behind it", "PROXY TCP4 192.0.2.1 192.0.2.2 1 1 \r\n"],
    ["a port too few", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"],
    ["another transport", "PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n"],
    ["letters of another case", "PROXY tcp4 192.0.2.1 192.0.2.2 1 1\r\n"],
    ["more behind UNKNOWN", "PROXY UNKNOWN4 192.0.2.1 192.0.2.2 1 1\r\n"],
    ["an LF alone", "PROXY UNKNOWN\n"],
    ["a CR alone", "PROXY UNKNOWN\rx\r\n"]
  ])("is refused with %s", (_, said) => {
    expect(decode(said)).toMatchObject({ _tag: "MalformedFrame", fault: "peer" })
  })

  it("has 107 bytes at most, with its CRLF, and is not waited for longer", () => {
    const ofLength = (length: number) => `PROXY UNKNOWN ${"f".repeat(length - 16)}\r\n`
    expect(decode(ofLength(107))).toMatchObject({ _tag: "Unknown" })
    expect(decode(ofLength(108))).toMatchObject({ _tag: "FrameTooLarge", limit: 107, fault: "peer" })
    expect(decode(`PROXY ${"x".repeat(100)}`)).toBeUndefined()
    expect(decode(`PROXY ${"x".repeat(101)}`)).toMatchObject({ _tag: "FrameTooLarge", limit: 107 })
  })
})

describe("a header of version 2 (2.2)", () => {
  it("tells the addresses of both IPs and of Unix sockets, of streams and of datagrams", () => {
    expect(decode(v2(0x21, 0x11, ...tcp4))).toMatchObject({ version: 2, transport: "stream", ...fromTcp4 })
    expect(decode(v2(0x21, 0x12, ...tcp4))).toMatchObject({ transport: "datagram", ...fromTcp4 })
    const ip6 = [0x20, 0x01, 0x0d, 0xb8, ...Array.from({ length: 11 }, () => 0), 1]
    expect(decode(v2(0x21, 0x21, ...ip6, ...ip6, 0, 1, 0, 2))).toMatchObject({
      source: inet("[2001:db8::1]:1"),
      destination: inet("[2001:db8::1]:2")
    })
    const path = (text: string) => [...utf8(text), ...new Uint8Array(108 - text.length)]
    expect(decode(v2(0x21, 0x31, ...path("/run/a"), ...path("\0b")))).toMatchObject({
      source: NetAddress.unixPathAddress("/run/a"),
      destination: NetAddress.unixPathAddress("\0b")
    })
  })

  it("may be the proxy's own, and then whatever else it says is dropped", () => {
    expect(decode(v2(0x20, 0x00))).toEqual({ _tag: "Local" })
    expect(decode(v2(0x20, 0xff, 1, 2, 3))).toEqual({ _tag: "Local" })
  })

  it("may be of an unspecified family or transport, and then addresses are nobody's", () => {
    expect(decode(v2(0x21, 0x00))).toEqual({ _tag: "Unknown", version: 2, tlvs: [] })
    expect(decode(v2(0x21, 0x10, ...tcp4))).toEqual({ _tag: "Unknown", version: 2, tlvs: [] })
  })

  it.each([
    ["another version", v2(0x11, 0x11, ...tcp4), "version 1"],
    ["an unknown command", v2(0x22, 0x11, ...tcp4), "command 2"],
    ["an unknown family", v2(0x21, 0x41, ...tcp4), "family 0x41"],
    ["an unknown transport", v2(0x21, 0x13, ...tcp4), "family 0x13"],
    ["addresses that are cut off", v2(0x21, 0x11, ...tcp4.slice(1)), "too short"],
    ["a TLV that is cut off", v2(0x21, 0x11, ...tcp4, 0xe0, 0, 2, 1), "longer than what is left"],
    ["half a TLV", v2(0x21, 0x11, ...tcp4, 0xe0, 0), "too short"],
    ["text that is none", v2(0x21, 0x00, 2, 0, 1, 0xff), "not UTF-8"],
    ["an authority twice", v2(0x21, 0x00, 2, 0, 1, 97, 2, 0, 1, 97), "Authority twice"],
    ["a unique id of 129 bytes", v2(0x21, 0x00, 5, 0, 129, ...new Uint8Array(129)), "128 bytes"],
    ["SSL without what it begins with", v2(0x21, 0x00, 0x20, 0, 4, 0, 0, 0, 0), "SSL is too short"],
    ["a checksum of three bytes", v2(0x21, 0x00, 3, 0, 3, 0, 0, 0), "four bytes"]
  ])("is refused with %s", (_, said, problem) => {
    expect(decode(said)).toEqual(malformed(problem))
  })

  it("is refused as soon as a byte is wrong, and not when it is all there", () => {
    const header = v2(0x21, 0x41, ...tcp4)
    expect(decode(header.subarray(0, 13))).toBeUndefined()
    expect(decode(header.subarray(0, 14))).toEqual(malformed("family 0x41"))
  })

  it("is taken up to its bound, and its length is looked at before anything is waited for", () => {
    const ofLength = (length: number) => {
      const [block, value] = [length - 16, length - 19]
      const fields = [0x21, 0x00, block >> 8, block & 0xff, 4, value >> 8, value & 0xff]
      return join([Uint8Array.of(...signature, ...fields), new Uint8Array(value)])
    }
    expect(decode(ofLength(4096))).toMatchObject({ _tag: "Unknown" })
    expect(decode(ofLength(4097).subarray(0, 16))).toMatchObject({ _tag: "FrameTooLarge", limit: 4096, fault: "peer" })
    expect(decode(ofLength(65_551), Proxy.codec({ maxLength: 65_551 }))).toMatchObject({ _tag: "Unknown" })
  })

  it("keeps what it does not know, in order", () => {
    expect(decode(v2(0x21, 0x00, 0xe0, 0, 1, 9, 4, 0, 1, 0, 0xe0, 0, 0))).toMatchObject({
      tlvs: [
        { _tag: "Other", type: 0xe0, value: Uint8Array.of(9) },
        { _tag: "Noop", value: Uint8Array.of(0) },
        { _tag: "Other", type: 0xe0, value: new Uint8Array() }
      ]
    })
  })

  it("tells of the client's TLS", () => {
    const sub = (type: number, text: string) => [type, 0, text.length, ...utf8(text)]
    const ssl = [0x07, 0, 0, 0, 0, ...sub(0x21, "TLSv1.3"), ...sub(0x22, "alice"), 0x28, 0, 1, 1]
    const header = decode(v2(0x21, 0x11, ...tcp4, 0x20, 0, ssl.length, ...ssl)) as Proxy.Header
    expect(Proxy.find(header, "Ssl")).toEqual({
      _tag: "Ssl",
      overTls: true,
      certificate: "both",
      verify: 0,
      tlvs: [
        { _tag: "Version", value: "TLSv1.3" },
        { _tag: "CommonName", value: "alice" },
        { _tag: "Other", type: 0x28, value: Uint8Array.of(1) }
      ]
    })
  })

  /** As haproxy 2.6 has sent it. */
  const byHaproxy = Buffer.from(
    "0d0a0d0a000d0a515549540a211100227f0000017f000001dd84b15c030004571a580105000c49442d3132372e302e302e31",
    "hex"
  )

  it("has a checksum that is right, as that of haproxy is, or is none", () => {
    expect(decode(byHaproxy)).toMatchObject({
      source: inet("127.0.0.1:56708"),
      tlvs: [{ _tag: "Crc32c" }, { _tag: "UniqueId", id: new Uint8Array(utf8("ID-127.0.0.1")) }]
    })
    const typeOfChecksum = 28
    for (let i = 16; i < byHaproxy.length; i++) {
      // Another type is another TLV, and there is no checksum then.
      if (i === typeOfChecksum) continue
      const changed = Uint8Array.from(byHaproxy)
      changed[i] ^= 1
      expect(decode(changed)).toMatchObject({ _tag: "MalformedFrame" })
    }
  })

  it("is written as haproxy writes it", () => {
    expect(Codec.encodeAll(codec, [decode(byHaproxy) as Proxy.Header])).toEqual(new Uint8Array(byHaproxy))
  })

  it.each<[string, Proxy.Header]>([
    ["addresses of two families", { ...proxied(), source: inet("[::1]:1") }],
    ["TLVs in version 1", { ...proxied(), version: 1, tlvs: [{ _tag: "Crc32c" }] }],
    ["datagrams in version 1", { ...proxied(), version: 1, transport: "datagram" }],
    ["a path that is too long", { ...proxied(), ...paths("/".repeat(109)) }],
    ["a path with a zero in it", { ...proxied(), ...paths("/a\0b") }],
    ["the same twice", { ...proxied(), tlvs: [{ _tag: "Crc32c" }, { _tag: "Crc32c" }] }],
    ["a known type that pretends to be another", {
      ...proxied(),
      tlvs: [{ _tag: "Other", type: 2, value: utf8("a") }]
    }],
    ["a TLV that is too long", { ...proxied(), tlvs: [{ _tag: "Noop", value: new Uint8Array(65_536) }] }]
  ])("cannot be written with %s", (_, header) => {
    expect(() => Codec.encodeAll(Proxy.codec({ maxLength: 70_000 }), [header])).toThrow()
  })
})

function proxied(): Proxy.Proxied {
  return { _tag: "Proxied", version: 2, transport: "stream", ...fromTcp4, tlvs: [] }
}

function paths(path: string) {
  return { source: NetAddress.unixPathAddress(path), destination: NetAddress.unixPathAddress("") }
}

describe("a header of one's own", () => {
  const peer = { remote: inet("203.0.113.7:56324"), local: inet("192.0.2.1:443") }

  it("is from the peer that is passed on, and from here where the connection is this side's own", () => {
    expect(Proxy.format(Proxy.forwarding(peer))).toBe("PROXY v2 from 203.0.113.7:56324 to 192.0.2.1:443")
    expect(Proxy.format(Proxy.direct(peer, { version: 1 }))).toBe("PROXY v1 from 192.0.2.1:443 to 203.0.113.7:56324")
  })

  it("has both addresses in one family", () => {
    const header = Proxy.forwarding({ ...peer, local: inet("[2001:db8::1]:443") })
    expect(header).toMatchObject({ source: inet("[::ffff:203.0.113.7]:56324"), destination: inet("[2001:db8::1]:443") })
  })

  it("says of whom it is not known, and in version 1 of a Unix socket", () => {
    expect(Proxy.forwarding(Peer.unknown)).toMatchObject({ _tag: "Unknown", version: 2 })
    const unix = { remote: undefined, local: NetAddress.unixPathAddress("/run/app.sock") }
    expect(Proxy.forwarding(unix, { version: 1 })).toMatchObject({ _tag: "Unknown", version: 1 })
    expect(Proxy.forwarding(unix)).toMatchObject({ _tag: "Proxied", destination: unix.local })
  })

  it("says what was agreed on in TLS", () => {
    const tls: Peer.Tls = {
      version: "TLSv1.3",
      cipher: "TLS_AES_128_GCM_SHA256",
      alpn: "h2",
      servername: "example.com",
      resumed: false,
      verified: false,
      certificate: undefined,
      localCertificate: undefined
    }
    const header = Proxy.forwarding({ ...peer, tls })
    expect(Proxy.find(header, "Alpn")?.protocol).toBe("h2")
    expect(Proxy.find(header, "Authority")?.name).toBe("example.com")
    expect(Proxy.find(header, "Ssl")).toMatchObject({ overTls: true, certificate: "none", verify: 1 })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Handshakes
// ---------------------------------------------------------------------------------------------------------------------

const trusting = Line.server.pipe(Proxy.server({ trust: () => true }))

describe("a server behind a header", () => {
  it.effect("introduces who the header is from, and has what else it says", () =>
    Effect.gen(function*() {
      const said: Array<unknown> = []
      const server = Effect.tap(trusting, (transport) =>
        Effect.map(transport.peer, (peer) => said.push(peer, transport.proxy._tag)))
      const { rest, result } = yield* outcomeOf(server, utf8(`${line}You ready?\nHello\n`))
      expect([result, rest]).toEqual(["ready", "Hello\n"])
      expect(said).toEqual([
        {
          remote: fromTcp4.source,
          local: fromTcp4.destination,
          via: "proxy",
          socket: { remote: undefined, local: undefined }
        },
        "Proxied"
      ])
    }))

  it.effect("leaves the addresses as they are where the header says none", () =>
    Effect.gen(function*() {
      for (const header of ["PROXY UNKNOWN 1 2\r\n", Buffer.from(v2(0x20, 0x11, ...tcp4)).toString("latin1")]) {
        const said: Array<unknown> = []
        const server = Effect.tap(trusting, (transport) => Effect.map(transport.peer, (peer) => said.push(peer)))
        yield* outcomeOf(server, Buffer.from(`${header}You ready?\n`, "latin1"))
        expect(said).toEqual([{ remote: undefined, local: undefined, via: "proxy" }])
      }
    }))

  const refused = (said: string | Uint8Array, server: Effect.Effect<any, unknown, any> = trusting) =>
    outcomeOf(server, typeof said === "string" ? utf8(said) : said)

  it.effect.each([
    ["has no header", "You ready?\n", "MalformedFrame"],
    ["has another header behind the first", `${line}${line}You ready?\n`, "InvalidGreeting"],
    ["has a line without an end", `PROXY TCP4 ${"x".repeat(200)}`, "FrameTooLarge"],
    ["begins with TLS", "\x16\x03\x01", "MalformedFrame"]
  ])("turns away who %s, in the words of what is inside", ([, said, reason]) =>
    Effect.gen(function*() {
      const { heard, result } = yield* refused(said)
      expect(result).toMatchObject({ reason: { _tag: reason } })
      expect(heard).toBe("No! Go away!\n")
    }))

  it.effect("says at which step it fails, and of which protocol", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({ handshake: trusting })
      yield* saying(network, "You ready?\n")
      expect(events[1]).toMatchObject({ _tag: "Refused", error: { step: "PROXY header", protocol: "proxy" } })
    }))

  it.effect("turns away in the words of HTTP/2", () =>
    Effect.gen(function*() {
      const server = Http2.server().pipe(Proxy.server({ trust: () => false }))
      const { heard, result } = yield* refused(line, server)
      expect(result).toMatchObject({ reason: { _tag: "Rejected", by: "local", retryable: false } })
      expect(heard).toContain("not by this way")
    }))

  it.effect("takes nothing from who is not trusted, whatever it says", () =>
    Effect.gen(function*() {
      const server = Line.server.pipe(Proxy.server({ trust: ["10.0.0.0/8"] }))
      for (const said of [`${line}You ready?\n`, "You ready?\n"]) {
        const { heard, result } = yield* refused(said, server)
        expect(result).toMatchObject({
          reason: { _tag: "Rejected", said: "no PROXY header is taken from unknown peer" }
        })
        expect(heard).toBe("No! Go away!\n")
      }
    }))

  it.effect("takes only the versions that it is told to take", () =>
    Effect.gen(function*() {
      const server = Line.server.pipe(Proxy.server({ trust: () => true, versions: [2] }))
      expect((yield* refused(`${line}You ready?\n`, server)).result).toMatchObject({ reason: { _tag: "Rejected" } })
      const second = join([v2(0x21, 0x11, ...tcp4), utf8("You ready?\n")])
      expect((yield* refused(second, server)).result).toBe("ready")
    }))

  it.effect("does not wait longer than two seconds for who does not hear that", () =>
    Effect.gen(function*() {
      const silent = Handshake.withRefusal(Line.server, () => Effect.never)
      const { events, network } = yield* serving({ handshake: silent.pipe(Proxy.server({ trust: () => false })) })
      yield* saying(network, "")
      yield* TestClock.adjust("1998 millis")
      expect(events).toHaveLength(1)
      yield* TestClock.adjust("2 millis")
      expect(events[1]).toMatchObject({ _tag: "Failed", reason: "Rejected" })
    }))

  it.effect("says nothing to who has only looked whether somebody listens", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({ handshake: trusting })
      const peer = yield* saying(network, "")
      yield* Effect.andThen(peer.end, peer.closed)
      yield* settled
      expect(peer.heard()).toBe("")
      expect(events[1]).toMatchObject({ _tag: "Failed", reason: "UnexpectedEnd" })
    }))

  it.effect("without room reads the header and then says so", () =>
    Effect.gen(function*() {
      const { events, network } = yield* serving({ handshake: trusting, maxConnections: 0 })
      const peer = yield* saying(network, line)
      yield* Effect.andThen(peer.end, peer.closed)
      yield* settled
      expect(peer.heard()).toBe("No! Go away!\n")
      expect(events).toMatchObject([{ _tag: "Refused", peer: { remote: fromTcp4.source } }])
    }))

  it.effect("without room, and without words inside, does not let anybody shake hands whose header is none", () =>
    Effect.gen(function*() {
      let shaken = 0
      const inside = Effect.tap(Transport.framed(Codec.lines()), () => Effect.sync(() => shaken++))
      const network = yield* MemorySocket.network()
      yield* Server.make({
        handshake: inside.pipe(Proxy.server({ trust: () => false })),
        serve: echo,
        maxConnections: 0
      }).pipe(Effect.provideService(SocketServer.SocketServer, network.server))
      const peer = yield* saying(network, "Hello\n")
      yield* Effect.andThen(peer.end, peer.closed)
      expect(shaken).toBe(0)
    }))

  it.effect("believes the second of two headers where it trusts who the first one is from", () =>
    Effect.gen(function*() {
      const twice = (trust: string) =>
        Line.server.pipe(Proxy.server({ trust: [trust] }), Proxy.server({ trust: () => true }))
      const second = "PROXY TCP4 198.51.100.9 203.0.113.7 1 2\r\n"
      const peers: Array<unknown> = []
      const server = Effect.tap(
        twice("203.0.113.7/32"),
        (transport) => Effect.map(transport.peer, (peer) => peers.push(peer, transport.proxy))
      )
      expect((yield* refused(`${line}${second}You ready?\n`, server)).result).toBe("ready")
      expect(peers).toMatchObject([{ remote: inet("198.51.100.9:1") }, { source: inet("198.51.100.9:1") }])
      const { result } = yield* refused(`${line}${second}You ready?\n`, twice("203.0.113.8/32"))
      expect(result).toMatchObject({ reason: { said: "no PROXY header is taken from 203.0.113.7:56324" } })
    }))

  it("wants networks that are some", () => {
    for (const network of ["10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "example.com/8"]) {
      expect(() => Proxy.server(Line.server, { trust: [network] })).toThrow(TypeError)
    }
  })
})

describe("over TCP", () => {
  const meeting = (trust: ReadonlyArray<string>, host = "127.0.0.1") =>
    Effect.gen(function*() {
      const server = yield* Server.make({
        handshake: Line.server.pipe(Proxy.server({ trust })),
        serve: (transport) =>
          Effect.flatMap(transport.peer, (peer) =>
            transport.send(`${Peer.format(peer)} by ${Peer.format(Peer.socketOf(peer))}`))
      }).pipe(Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host, port: 0 })))
      if (server.address._tag === "UnixPathAddress") {
        return yield* Effect.die("it is TCP")
      }
      const client = Line.client.pipe(Proxy.client({ ...proxied(), tlvs: [{ _tag: "Crc32c" }] }))
      const transport = yield* Effect.provideServiceEffect(
        client,
        Socket.Socket,
        Net.socket({ host: "127.0.0.1", port: server.address.port })
      )
      return yield* transport.receive
    }).pipe(Effect.scoped, Effect.result)

  it.live("takes a header from a network that is trusted, and from no other", () =>
    Effect.gen(function*() {
      const heard = yield* meeting(["192.0.2.0/24", "127.0.0.1/32"])
      expect(heard).toMatchObject({ success: expect.stringMatching(/^203\.0\.113\.7:56324 by 127\.0\.0\.1:\d+$/) })
      expect(yield* meeting(["192.0.2.0/24", "::/0"])).toMatchObject({ failure: { reason: { _tag: "Rejected" } } })
    }))

  it.live("knows an IPv4 address in its IPv6 form", () =>
    Effect.gen(function*() {
      expect(yield* meeting(["127.0.0.0/8"], "::")).toMatchObject({ _tag: "Success" })
      expect(yield* meeting(["::ffff:127.0.0.0/104"], "::")).toMatchObject({ _tag: "Success" })
    }))
})

describe("around TLS", () => {
  const inTls = Line.server.pipe(
    Tls.server({ certificate: Certificates.server }),
    Proxy.server({ trust: ["127.0.0.0/8"] })
  )
  const client = Line.client.pipe(Tls.client({ servername: "localhost", ca: Certificates.root }))

  const meeting = (client: Handshake.Handshake<string, string>) =>
    Effect.gen(function*() {
      const { address } = yield* Server.make({
        handshake: inTls,
        serve: (transport) =>
          Effect.flatMap(transport.peer, (peer) => transport.send(`${Peer.format(peer)} ${peer.tls?.version}`))
      }).pipe(
        Effect.provideServiceEffect(SocketServer.SocketServer, Net.makeServer({ host: "127.0.0.1", port: 0 }))
      )
      const transport = yield* Effect.provideServiceEffect(client, Socket.Socket, Net.socket(address))
      return yield* transport.receive
    }).pipe(Effect.scoped)

  it.live("comes before it, and is what is known behind it", () =>
    Effect.gen(function*() {
      expect(yield* meeting(client.pipe(Proxy.client(proxied())))).toBe("203.0.113.7:56324 TLSv1.3")
    }))

  it.live("is missed inside TLS, in the words of what is inside that", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(meeting(client))
      expect(error).toMatchObject({ reason: { _tag: "Rejected", by: "peer", said: "\"No! Go away!\"" } })
    }))
})

describe("a client", () => {
  it.effect("says its header in one write", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const { pull } = yield* there.reader
      const client = Transport.framed(Codec.bytes).pipe(Proxy.client(Proxy.forwarding({
        remote: fromTcp4.source,
        local: fromTcp4.destination
      }, { version: 1 })))
      yield* Effect.provideService(client, Socket.Socket, here)
      expect(yield* pull).toEqual([utf8(line)])
    }))

  it.effect("fails at the header where that cannot be said", () =>
    Effect.gen(function*() {
      const [here] = yield* MemorySocket.pair()
      const client = Line.client.pipe(Proxy.client({ ...proxied(), source: inet("[::1]:1") }))
      const error = yield* Effect.flip(Effect.provideService(client, Socket.Socket, here))
      expect(error).toMatchObject({ step: "PROXY header", reason: { _tag: "MalformedFrame", fault: "local" } })
    }))
})
