import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as HandshakeError from "../src/HandshakeError.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import * as TransportError from "../src/TransportError.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"

interface Case {
  readonly reason: HandshakeError.Reason
  readonly message: string
  readonly fault: Codec.Fault
  readonly retryable: boolean
}

const cases: Record<string, Case> = {
  "an invalid greeting": {
    reason: new HandshakeError.InvalidGreeting({ expected: "\"You ready?\"", received: "\"Hi\"" }),
    message: "expected \"You ready?\", received \"Hi\"",
    fault: "peer",
    retryable: false
  },
  "a rejection by the peer that is worth another try": {
    reason: new HandshakeError.Rejected({ by: "peer", said: "\"No! Go away!\"", retryable: true }),
    message: "rejected by the peer: \"No! Go away!\"; try again later or elsewhere",
    fault: "peer",
    retryable: true
  },
  "a rejection with a code and a time": {
    reason: new HandshakeError.Rejected({
      by: "peer",
      said: "\"busy\"",
      code: "421",
      retryable: true,
      retryAfter: Duration.seconds(90)
    }),
    message: "rejected by the peer: \"busy\" (421); try again after 1m 30s",
    fault: "peer",
    retryable: true
  },
  "a rejection that stands": {
    reason: new HandshakeError.Rejected({ by: "peer", said: "\"banned\"", retryable: false }),
    message: "rejected by the peer: \"banned\"",
    fault: "peer",
    retryable: false
  },
  "a rejection by this side": {
    reason: new HandshakeError.Rejected({ by: "local", said: "at capacity", retryable: true }),
    message: "rejected by this side: at capacity; try again later or elsewhere",
    fault: "local",
    retryable: true
  },
  "a timeout": {
    reason: new HandshakeError.Timeout({ deadline: Duration.seconds(10) }),
    message: "not done within 10s",
    fault: "peer",
    retryable: true
  },
  "an end between two messages": {
    reason: new HandshakeError.UnexpectedEnd({ excerpt: "" }),
    message: "the peer ended the connection",
    fault: "peer",
    retryable: true
  },
  "an end in the middle of a message": {
    reason: new HandshakeError.UnexpectedEnd({ excerpt: "\"Brin\"" }),
    message: "the peer ended the connection in the middle of a message, after \"Brin\"",
    fault: "peer",
    retryable: true
  },
  "a message that is too large": {
    reason: new HandshakeError.FrameTooLarge({ limit: 64, excerpt: "\"xxx\"…", fault: "peer" }),
    message: "a frame that begins with \"xxx\"… is longer than the limit of 64 bytes",
    fault: "peer",
    retryable: false
  },
  "a message of this side that is malformed": {
    reason: new HandshakeError.MalformedFrame({ problem: "not a count", excerpt: "-1", fault: "local" }),
    message: "not a count: -1",
    fault: "local",
    retryable: false
  },
  "unread bytes": {
    reason: new HandshakeError.UnreadBytes({ bytes: 5, excerpt: "\"Hello\"" }),
    message: "5 bytes came before they were due: \"Hello\"",
    fault: "peer",
    retryable: false
  },
  "a failure of TLS": {
    reason: new HandshakeError.TlsFailure({ kind: "expired", detail: "expired", fault: "peer" }),
    message: "TLS failed (expired): expired",
    fault: "peer",
    retryable: false
  },
  "a failure of authentication": {
    reason: new HandshakeError.AuthenticationFailed({ method: "password", detail: "not accepted", fault: "local" }),
    message: "authentication (password) failed: not accepted",
    fault: "local",
    retryable: false
  },
  "a version that is not supported": {
    reason: new HandshakeError.UnsupportedVersion({ offered: "\"3\"", supported: ["1", "2"] }),
    message: "version \"3\" is not supported; supported: 1, 2",
    // The side that offered it, which is the peer unless it is said.
    fault: "peer",
    retryable: false
  },
  "a version of this side that is not supported": {
    reason: new HandshakeError.UnsupportedVersion({ offered: "3", supported: ["1"], fault: "local" }),
    message: "version 3 is not supported; supported: 1",
    fault: "local",
    retryable: false
  },
  "a connection that could not be opened": {
    reason: HandshakeError.ConnectionFailed.from(
      "open",
      new Socket.SocketError({
        reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect ECONNREFUSED 127.0.0.1:1") })
      })
    ),
    message: "the connection could not be opened: connect ECONNREFUSED 127.0.0.1:1",
    fault: "network",
    retryable: true
  }
}

const errorOf = (reason: HandshakeError.Reason) =>
  new HandshakeError.HandshakeError({ protocol: "line", step: "expect \"Bring it!\"", reason })

describe("a HandshakeError", () => {
  it("there is a case for each reason", () => {
    const tags = new Set(Object.values(cases).map(({ reason }) => reason._tag))
    expect(tags.size).toBe(HandshakeError.Reason.members.length)
  })

  for (const [name, { fault, message, reason, retryable }] of Object.entries(cases)) {
    it(`of ${name} says which protocol, which step and why`, () => {
      expect(errorOf(reason).message).toBe(`line handshake failed at step expect "Bring it!": ${message}`)
    })

    it(`of ${name} is the fault of ${fault === "local" ? "this side" : `the ${fault}`}`, () => {
      expect(errorOf(reason).fault).toBe(fault)
    })

    it(`of ${name} is ${retryable ? "" : "not "}worth another try`, () => {
      expect(errorOf(reason).retryable).toBe(retryable)
    })

    it(`of ${name} is decoded from the JSON that it was encoded to`, () => {
      const schema = Schema.toCodecJson(HandshakeError.HandshakeError)
      const error = errorOf(reason)
      const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(schema)(error)))
      const again = Schema.decodeUnknownSync(schema)(json)
      expect(again).toBeInstanceOf(HandshakeError.HandshakeError)
      expect(HandshakeError.isReason(again.reason)).toBe(true)
      expect([again.message, again.fault, again.retryable]).toEqual([error.message, error.fault, error.retryable])
      expect(again.reason._tag).toBe(reason._tag)
      // An Error that was encoded is another Error afterwards.
      if (reason._tag !== "ConnectionFailed") expect({ ...again.reason }).toEqual({ ...reason })
    })
  }

  it.effect("is caught by its reason, with the reason's own fields", () =>
    Effect.gen(function*() {
      const failing = Effect.fail(errorOf(cases["a rejection with a code and a time"].reason))
      const caught = yield* failing.pipe(
        Effect.catchReason("HandshakeError", "Rejected", (reason, error) =>
          Effect.succeed([reason.code, error.step] as const))
      )
      expect(caught).toEqual(["421", "expect \"Bring it!\""])
    }))

  it.effect("passes where another reason is caught", () =>
    Effect.gen(function*() {
      const error = errorOf(cases["a timeout"].reason)
      const exit = yield* Effect.fail(error).pipe(
        Effect.catchReason("HandshakeError", "Rejected", () => Effect.succeed("caught")),
        Effect.exit
      )
      expect(exit).toEqual(Exit.fail(error))
    }))

  it("is told from other errors", () => {
    expect(HandshakeError.isHandshakeError(errorOf(cases["a timeout"].reason))).toBe(true)
    expect(HandshakeError.isHandshakeError(cases["a timeout"].reason)).toBe(false)
    expect(HandshakeError.isHandshakeError({ _tag: "HandshakeError" })).toBe(false)
  })

  it("its reasons are told from other errors", () => {
    for (const { reason } of Object.values(cases)) expect(HandshakeError.isReason(reason)).toBe(true)
    expect(HandshakeError.isReason(new TransportError.ConnectionClosed({ by: "peer" }))).toBe(false)
    expect(HandshakeError.isReason({ _tag: "Timeout", deadline: Duration.seconds(1) })).toBe(false)
    expect(HandshakeError.isReason(undefined)).toBe(false)
  })
})

describe("reasonOf", () => {
  const reasonOf = (reason: TransportError.Reason) =>
    HandshakeError.reasonOf(new TransportError.TransportError({ reason }))

  it("an end by the peer is unexpected", () => {
    expect(reasonOf(new TransportError.ConnectionClosed({ by: "peer" }))).toEqual(
      new HandshakeError.UnexpectedEnd({ excerpt: "" })
    )
  })

  it("a connection that this side has closed has failed", () => {
    const closed = new TransportError.ConnectionClosed({ by: "local" })
    const reason = reasonOf(closed)
    expect(reason).toMatchObject({ _tag: "ConnectionFailed", operation: "read", cause: closed })
    expect(reason.message).toContain("the connection was closed on this side")
  })

  it("a cut message is an unexpected end that shows how it began", () => {
    expect(reasonOf(new TransportError.Truncated({ unread: 4, excerpt: "\"Brin\"" }))).toEqual(
      new HandshakeError.UnexpectedEnd({ excerpt: "\"Brin\"" })
    )
  })

  it("a frame that was not due is an invalid greeting", () => {
    expect(reasonOf(new TransportError.UnexpectedFrame({ expected: "nothing", excerpt: "\"Hi\"" }))).toEqual(
      new HandshakeError.InvalidGreeting({ expected: "nothing", received: "\"Hi\"" })
    )
  })

  it("the other reasons are the same ones", () => {
    for (
      const reason of [
        new TransportError.ConnectionFailed({ operation: "read", cause: new Error("ECONNRESET") }),
        new Codec.FrameTooLarge({ limit: 1, excerpt: "\"\"", fault: "peer" }),
        new Codec.MalformedFrame({ problem: "odd", excerpt: "\"\"", fault: "peer" })
      ]
    ) expect(reasonOf(reason)).toBe(reason)
  })
})

describe("a TransportError", () => {
  const reasons: ReadonlyArray<readonly [TransportError.Reason, message: string, fault: Codec.Fault]> = [
    [new TransportError.ConnectionClosed({ by: "peer" }), "the peer closed the connection", "peer"],
    [new TransportError.ConnectionClosed({ by: "local" }), "the connection was closed on this side", "local"],
    [
      new TransportError.Truncated({ unread: 2, excerpt: "\"Br\"" }),
      "the connection ended in the middle of a frame, after \"Br\"",
      "peer"
    ],
    [
      new TransportError.ConnectionFailed({ operation: "write", cause: new Error("EPIPE") }),
      "the connection could not be written to: EPIPE",
      "network"
    ],
    [
      new TransportError.UnexpectedFrame({ expected: "no response", excerpt: "\"Hi\"" }),
      "the peer sent \"Hi\", where no response was due",
      "peer"
    ]
  ]

  for (const [reason, message, fault] of reasons) {
    it(`says: ${message}`, () => {
      const error = new TransportError.TransportError({ reason })
      expect([error.message, error.fault]).toEqual([message, fault])
    })

    it(`is decoded from the JSON that it was encoded to: ${message}`, () => {
      const schema = Schema.toCodecJson(TransportError.TransportError)
      const error = new TransportError.TransportError({ reason })
      const again = Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(error))))
      expect(TransportError.isTransportError(again)).toBe(true)
      expect([again.message, again.fault]).toEqual([message, fault])
    })
  }

  it("names the innermost cause, which is the one that says what happened", () => {
    const cause = new Error("outer", { cause: new Error("middle", { cause: new Error("ECONNRESET") }) })
    expect(new TransportError.ConnectionFailed({ operation: "read", cause }).message).toBe(
      "the connection could not be read from: ECONNRESET"
    )
  })

  it("names all the addresses where a name has several and none answers", () => {
    const cause = new AggregateError([
      new Error("connect ECONNREFUSED ::1:1"),
      new Error("connect ECONNREFUSED 127.0.0.1:1")
    ])
    expect(new TransportError.ConnectionFailed({ operation: "open", cause }).message).toBe(
      "the connection could not be opened: connect ECONNREFUSED ::1:1, connect ECONNREFUSED 127.0.0.1:1"
    )
  })

  it("a cause that is its own cause has a message", () => {
    const cause = new Error("around")
    cause.cause = cause
    expect(new TransportError.ConnectionFailed({ operation: "read", cause }).message).toContain("around")
  })

  it("a cause that is no Error has a message", () => {
    for (const cause of ["gone", undefined, { code: 1 }]) {
      expect(new TransportError.ConnectionFailed({ operation: "read", cause }).message).toMatch(/read from: ./)
    }
  })
})

describe("the message of a handshake that a peer makes fail", () => {
  const nasty = "\u001b[31m\u009b0m\u202e\u2028\r".repeat(1000)
  const lines = Transport.framed(Codec.lines())

  type Case = readonly [handshake: Handshake.Handshake<unknown, never>, says: string]

  const cases: Record<string, Case> = {
    "a greeting": [lines.pipe(Handshake.expect("You ready?")), nasty],
    "a rejection": [lines.pipe(Handshake.expect("You ready?", { rejections: [nasty] })), nasty],
    "a line that is too long": [
      Transport.framed(Codec.lines({ maxLength: 100 })).pipe(Handshake.expect("You ready?")),
      nasty
    ],
    "a structured frame": [
      Transport.framed(
        Codec.map(Codec.lines(), { decode: (said) => ({ said }), encode: ({ said }: { said: string }) => said })
      ).pipe(Handshake.expect({ said: "You ready?" })),
      nasty
    ],
    "a frame that a schema refuses": [
      Transport.framed(
        Codec.schema(Codec.lines(), Schema.fromJsonString(Schema.Record(Schema.String, Schema.Int)))
      ).pipe(Handshake.expect({ n: 1 })),
      JSON.stringify({ [nasty]: nasty })
    ]
  }

  for (const [name, [handshake, says]] of Object.entries(cases)) {
    const failing = Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      yield* peer.write(utf8(`${says}\n`))
      return yield* handshake.pipe(Effect.scoped, Effect.provideService(Socket.Socket, here), Effect.flip)
    })

    it.effect(`is bounded with ${name}`, () =>
      Effect.map(failing, (error) => expect(error.message.length).toBeLessThan(2000)))

    it.effect(`is printable and one line with ${name}`, () =>
      Effect.map(failing, (error) => expect(error.message).not.toMatch(/[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/u)))
  }
})
