/**
 * PostgreSQL's messages and their bytes: the laws of the codecs, and each way in which a message can be wrong.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Codec from "../../../src/Codec.ts"
import { ByteBuffer } from "../../../src/internal/bytes/buffer.ts"
import type * as Postgres from "../../../src/protocols/Postgres.ts"
import * as Codecs from "../../../src/protocols/postgres/codecs.ts"
import { describe as describeMessage } from "../../../src/protocols/postgres/messages.ts"
import * as Laws from "../../../src/testing/Laws.ts"
import { seed } from "../../support/codecs.ts"
import { utf8 } from "../../support/conversation.ts"
import * as Messages from "./messages.ts"

const limit = 300

Laws.codec(Codecs.startup, Messages.startup, {
  it,
  seed,
  name: "start-up packets",
  // Not canonical either: as with PostgreSQL, names may be no UTF-8, and of a parameter that comes twice the last one counts.
  lossy: true,
  maxLength: 10_000,
  // Length, version, "a", and the end of the value and of the parameters.
  ofLength: (length): Postgres.StartupPacket => ({
    _tag: "StartupMessage",
    minor: 0,
    parameters: new Map([["a", "x".repeat(length - 12)]])
  })
})

Laws.codec(Codecs.requests({ maxLength: limit }), Messages.requests, {
  it,
  seed,
  name: "messages of clients",
  canonical: true,
  maxLength: limit,
  ofLength: (length): Postgres.RequestMessage => ({ _tag: "Query", sql: "x".repeat(length - 5) }),
  withMaxLength: (maxLength) => Codecs.requests({ maxLength })
})

Laws.codec(Codecs.backend({ maxLength: limit }), Messages.backend, {
  it,
  seed,
  name: "messages of servers",
  // Of these, the fields may come in any order, and those that nobody knows are dropped.
  canonical: ({ _tag }) => _tag !== "ErrorResponse" && _tag !== "NoticeResponse",
  maxLength: limit,
  ofLength: (length): Postgres.BackendMessage => ({ _tag: "CommandComplete", command: "x".repeat(length - 5) }),
  withMaxLength: (maxLength) => Codecs.backend({ maxLength })
})

for (const awaited of ["PasswordMessage", "SASLInitialResponse", "SASLResponse"] as const) {
  Laws.codec(Codecs.responses(awaited, limit), Messages.answers[awaited], {
    it,
    seed,
    name: awaited,
    // What is out of place can only be received.
    canonical: ({ _tag }) => _tag !== "Misplaced"
  })
}

/** What one decoder makes of these bytes, all at once. */
const decoded = <In>(codec: Codec.Codec<In, never>, bytes: Uint8Array) => {
  const input = new ByteBuffer()
  input.push(bytes)
  const result = codec.decoder().decode(input)
  return { result, left: input.length }
}

const failureOf = <In>(codec: Codec.Codec<In, never>, bytes: Uint8Array) => {
  const { result } = decoded(codec, bytes)
  return result !== undefined && Result.isFailure(result) ? result.failure : result
}

const packet = (body: string, length = body.length + 4): Uint8Array => {
  const bytes = new Uint8Array(4 + body.length)
  new DataView(bytes.buffer).setUint32(0, length)
  for (let i = 0; i < body.length; i++) bytes[4 + i] = body.charCodeAt(i)
  return bytes
}

const message = (type: string, body: string, length?: number): Uint8Array =>
  Uint8Array.of(type.charCodeAt(0), ...packet(body, length))

const v3 = "\0\x03\0\0"
const cancel = "\x04\xd2\x16\x2e"

describe("a start-up packet", () => {
  it("is what the manual says that it is", () => {
    expect(Codec.encodeAll(Codecs.startup, [{ _tag: "SSLRequest" }])).toEqual(packet("\x04\xd2\x16\x2f"))
    expect(Codec.encodeAll(Codecs.startup, [{ _tag: "GSSENCRequest" }])).toEqual(packet("\x04\xd2\x16\x30"))
    const parameters = new Map([["user", "ann"], ["database", "shop"]])
    expect(Codec.encodeAll(Codecs.startup, [{ _tag: "StartupMessage", minor: 2, parameters }]))
      .toEqual(packet("\0\x03\0\x02user\0ann\0database\0shop\0\0"))
    const secretKey = Redacted.make(Uint8Array.of(1, 2, 3, 4))
    expect(Codec.encodeAll(Codecs.startup, [{ _tag: "CancelRequest", processId: 258, secretKey }]))
      .toEqual(packet(`${cancel}\0\0\x01\x02\x01\x02\x03\x04`))
  })

  it.each([
    ["a length below 8", packet("", 7), "a start-up packet has at least 8 bytes, not 7"],
    ["a parameter without its end", packet(`${v3}user\0ann`), "the value of the parameter \"user\" is not terminated"],
    ["a parameter without a value", packet(`${v3}user\0`), "the value of the parameter \"user\" is not terminated"],
    ["no end of the parameters", packet(v3), "the name of a parameter, or the end of them, is not terminated"],
    ["bytes behind the end", packet(`${v3}user\0ann\0\0x`), "1 bytes are left behind the end of the message"],
    ["an SSLRequest with more in it", packet("\x04\xd2\x16\x2f\0"), "1 bytes are left behind the end of the message"],
    ["a CancelRequest without a key", packet(`${cancel}\0\0\0\x01`), "the key has 0 bytes, and not 4 to 256"],
    ["a key of 3 bytes", packet(`${cancel}\0\0\0\x01abc`), "the key has 3 bytes, and not 4 to 256"],
    ["a key of 257 bytes", packet(`${cancel}\0\0\0\x01${"k".repeat(257)}`), "the key has 257 bytes, and not 4 to 256"]
  ])("is malformed with %s", (_, bytes, problem) => {
    expect(failureOf(Codecs.startup, bytes)).toMatchObject({ _tag: "MalformedFrame", problem, fault: "peer" })
  })

  it.each([4, 256])("may cancel with a key of %i bytes", (length) => {
    expect(decoded(Codecs.startup, packet(`${cancel}\0\0\0\x01${"k".repeat(length)}`)).result).toMatchObject({
      success: { _tag: "CancelRequest", processId: 1 }
    })
  })

  it("is refused by its length, before the rest has come", () => {
    expect(failureOf(Codecs.startup, packet("", 10_001))).toMatchObject({ _tag: "FrameTooLarge", limit: 10_000 })
    expect(failureOf(Codecs.startup, utf8("GET / HTTP/1.1\r\n"))).toMatchObject({ _tag: "FrameTooLarge" })
    expect(decoded(Codecs.startup, packet("", 10_000)).result).toBeUndefined()
  })

  it("of another protocol is kept as it is", () => {
    expect(decoded(Codecs.startup, packet("\0\x02\0\0old")).result).toMatchObject({
      success: { _tag: "UnknownStartup", code: 0x20000, body: utf8("old") }
    })
  })

  it("takes a parameter of any name", () => {
    const bytes = packet(`${v3}__proto__\0a\0constructor\0b\0\0`)
    expect(decoded(Codecs.startup, bytes).result).toMatchObject({
      success: { parameters: new Map([["__proto__", "a"], ["constructor", "b"]]) }
    })
  })

  it("shows no key where it is malformed", () => {
    const failure = failureOf(Codecs.startup, packet(`${cancel}\0\0\0\x01${"secret".repeat(100)}`))
    expect(JSON.stringify(failure)).toContain("<redacted>")
    expect(JSON.stringify(failure)).not.toContain("secret")
  })
})

describe("a typed message", () => {
  const count = "\xff\xff"

  it.each([
    ["a length below 4", message("Z", "", 3), "a message has a length of at least 4, not 3"],
    ["a type that is none", message("\0", "", 4), "no message has this type"],
    ["a text without its end", message("C", "SELECT 1"), "the command is not terminated"],
    ["bytes behind the end", message("Z", "Ix"), "1 bytes are left behind the end of the message"],
    ["a body where there is none", message("1", "x"), "1 bytes are left behind the end of the message"],
    ["a status that is none", message("Z", "X"), "there is no status \"X\""],
    ["no status", message("Z", ""), "the status is cut off by the end of the message"],
    ["an authentication request that is none", message("R", "\0\0\0\x63"), "there is no authentication request 99"],
    ["a salt of 3 bytes", message("R", "\0\0\0\x05abc"), "the salt is cut off by the end of the message"],
    ["no mechanism", message("R", "\0\0\0\x0a\0"), "no mechanism is named"],
    [
      "mechanisms without their end",
      message("R", "\0\0\0\x0aX\0"),
      "the name of a mechanism, or the end of them, is not terminated"
    ],
    ["more values than can be", message("D", count), "65535 values do not fit into the message"],
    ["more types than can be", message("t", count), "65535 types do not fit into the message"],
    ["more columns than can be", message("T", count), "65535 fields do not fit into the message"],
    [
      "more options than can be",
      message("v", "\0\x03\0\0\xff\xff\xff\xff"),
      "4294967295 options do not fit into the message"
    ],
    ["a value of a negative length", message("D", "\0\x01\xff\xff\xff\xfe"), "a value has the length -2"],
    ["a value that is cut off", message("D", "\0\x01\0\0\0\x05abcd"), "a value is cut off by the end of the message"],
    ["an error without a code", message("E", "SFATAL\0Mno\0\0"), "the code is missing"],
    ["an error without a message", message("E", "SFATAL\0C28P01\0\0"), "the message is missing"],
    ["an error with two codes", message("E", "SFATAL\0C1\0C2\0Mno\0\0"), "the field \"C\" comes twice"],
    [
      "an error without its end",
      message("E", "SFATAL\0C1\0Mno\0"),
      "the type of a field, or the end of them, is cut off by the end of the message"
    ]
  ])("of a server is malformed with %s", (_, bytes, problem) => {
    expect(failureOf(Codecs.backend(), bytes)).toMatchObject({ _tag: "MalformedFrame", problem, fault: "peer" })
  })

  it.each([
    ["a kind that is none", message("D", "Xname\0"), "there is no kind \"X\" of what is named"],
    ["a format that is none", message("B", "\0\0\0\x01\0\x02\0\0\0\0"), "there is no format 2"],
    ["two formats of one value", message("B", "\0\0\0\x02\0\0\0\x01\0\x01\0\0\0\x01a\0\0"), "2 formats of 1 values"],
    ["a password that nobody asked for", message("p", "secret\0"), "this answers no authentication request"]
  ])("of a client is malformed with %s", (_, bytes, problem) => {
    expect(failureOf(Codecs.requests(), bytes)).toMatchObject({ _tag: "MalformedFrame", problem, fault: "peer" })
  })

  it("is refused by its length, before the rest has come", () => {
    const codec = Codecs.backend({ maxLength: 100 })
    expect(failureOf(codec, message("D", "", 101))).toMatchObject({ _tag: "FrameTooLarge", limit: 100 })
    expect(failureOf(codec, message("D", "", 0xffff_ffff))).toMatchObject({ _tag: "FrameTooLarge", limit: 100 })
    expect(decoded(codec, message("D", "", 100)).result).toBeUndefined()
  })

  it("is known in one direction only", () => {
    expect(decoded(Codecs.requests(), message("Z", "I")).result).toMatchObject({
      success: { _tag: "Unknown", type: "Z" }
    })
    expect(decoded(Codecs.backend(), message("Q", "select 1\0")).result).toMatchObject({
      success: { _tag: "Unknown", type: "Q" }
    })
  })

  it("of an unknown type cannot be one that is known", () => {
    expect(() => Codec.encodeAll(Codecs.requests(), [{ _tag: "Unknown", type: "Q", body: new Uint8Array(0) }])).toThrow(
      "this is the type of another message"
    )
  })

  it("keeps of an error what the manual names", () => {
    const bytes = message("E", "SFATAL?\0VFATAL\0C28P01\0Mno\0Ddetail\0zunheard\0\0")
    expect(decoded(Codecs.backend(), bytes).result).toMatchObject({
      success: {
        _tag: "ErrorResponse",
        severity: "FATAL",
        localizedSeverity: "FATAL?",
        code: "28P01",
        message: "no",
        detail: "detail"
      }
    })
  })

  it.each([
    ["a password", Codecs.responses("PasswordMessage", 1000), message("p", "secret")],
    ["a password that nobody asked for", Codecs.requests(), message("p", "secret\0")],
    ["the key of a session", Codecs.backend(), message("K", `\0\0\0\x01${"secret".repeat(50)}`)]
  ])("shows nothing of %s where it is malformed", (_, codec: Codec.Codec<unknown, never>, bytes) => {
    const failure = failureOf(codec, bytes)
    expect(failure).toMatchObject({ _tag: "MalformedFrame", excerpt: "<redacted>" })
    expect(JSON.stringify(failure)).not.toContain("secret")
  })

  it.each([
    ["a password", Codecs.responses("PasswordMessage", 1000), message("p", "secret", 100), true],
    ["the key of a session", Codecs.backend(), message("K", "\0\0\0\x01secret", 100), true],
    ["a key for cancelling", Codecs.startup, packet(`${cancel}\0\0\0\x01secret`, 100), true],
    ["the proof of a server", Codecs.backend(), message("R", "\0\0\0\x0cv=secret", 100), true],
    ["the challenge of a server", Codecs.backend(), message("R", "\0\0\0\x0br=nonce", 100), false],
    ["too short for its code, whatever comes behind it", Codecs.backend(), message("R", "\0\0\0\x0c", 4), false],
    ["a query", Codecs.requests(), message("Q", "select", 100), false],
    ["a start-up message", Codecs.startup, packet(`${v3}user`, 100), false]
  ])(
    "that is cut off and is %s: whether it is a secret is known",
    (_, codec: Codec.Codec<unknown, never>, bytes, secret) => {
      const input = new ByteBuffer()
      input.push(bytes)
      expect(codec.decoder().isSecret?.(input) ?? false).toBe(secret)
    }
  )
})

describe("what people see of a message", () => {
  it("is bounded, printable and without secrets", () => {
    expect(describeMessage({ _tag: "PasswordMessage", password: Redacted.make("secret") })).toBe(
      "PasswordMessage password: <redacted>"
    )
    expect(describeMessage({ _tag: "Query", sql: "\u001b[2J" })).toBe("Query sql: \"\\x1b[2J\"")
    expect(describeMessage({ _tag: "Sync" })).toBe("Sync")
    const values = Array.from({ length: 65_535 }, () => utf8("x".repeat(1000)))
    expect(describeMessage({ _tag: "DataRow", values }).length).toBeLessThan(300)
    expect(describeMessage({ _tag: "ErrorResponse", severity: "FATAL", code: "28P01", message: "a\nb" })).toBe(
      "ErrorResponse FATAL 28P01 \"a\\nb\""
    )
    expect(describeMessage({ _tag: "StartupMessage", minor: 0, parameters: new Map([["user", "ann"]]) })).toBe(
      "StartupMessage 3.0 {\"user\": \"ann\"}"
    )
  })
})

describe("the first bytes of a connection", () => {
  it.each([
    ["SSLRequest", packet("\x04\xd2\x16\x2f"), 8],
    ["GSSENCRequest", packet("\x04\xd2\x16\x30"), 8],
    ["CancelRequest", packet(cancel, 16), 8],
    ["StartupMessage", packet(v3, 100), 6],
    ["StartupMessage of 10,000 bytes", packet(v3, 10_000), 6],
    ["StartupMessage that is too long", packet(v3, 10_001), 6],
    ["StartupMessage that is much too long", packet(v3, 70_000), 6]
  ])("are those of PostgreSQL: %s", (_, bytes, known) => {
    for (let length = 0; length <= bytes.length; length++) {
      expect(Codecs.isStartup(bytes.subarray(0, length))).toBe(length < known ? undefined : true)
    }
  })

  it.each([
    ["TLS", Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1)],
    ["HTTP", utf8("GET / HTTP")],
    ["HTTP/2", utf8("PRI * HTTP/2.0")],
    ["lines", utf8("You ready?\n")],
    ["a length that is too short", packet(v3, 7)],
    ["a length of more than 24 bits", packet(v3, 0x1000000)],
    ["another version", packet("\0\x02\0\0", 100)],
    ["another request", packet("\x04\xd2\x16\x31", 8)]
  ])("are not those of PostgreSQL: %s", (_, bytes) => {
    expect(Codecs.isStartup(bytes)).toBe(false)
    // And once it is known, it stays so.
    const answers = Array.from(bytes, (_, i) => Codecs.isStartup(bytes.subarray(0, i + 1)))
    expect(answers.slice(answers.indexOf(false)).every((answer) => answer === false)).toBe(true)
    expect(answers).not.toContain(true)
  })
})
