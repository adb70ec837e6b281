/**
 * The client's side of PostgreSQL's start-up against servers that say what they should not. None of them is let off.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Kdf from "effect/crypto/Kdf"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Peer from "../../src/Peer.ts"
import * as Postgres from "../../src/protocols/Postgres.ts"
import * as Client from "../../src/protocols/postgres/client.ts"
import * as Scram from "../../src/protocols/Scram.ts"
import { text, utf8 } from "../support/conversation.ts"
import * as Crypto from "./postgres/crypto.ts"
import { against, clientOptions, ended, meeting, password, type ServerEnd, session, user } from "./postgres/peers.ts"

const endsWith = (
  server: (there: ServerEnd) => Effect.Effect<unknown, unknown, Postgres.Crypto>,
  options?: Partial<Postgres.ClientOptions>
) =>
  Effect.map(
    // What is given is what is needed of these options.
    against(server, { ...clientOptions, ...options } as Postgres.ClientOptions),
    ended
  ).pipe(Effect.provide(Crypto.layer))

/** Hears the start-up message and says this. */
const saying = (...messages: ReadonlyArray<Postgres.BackendMessage>) => (there: ServerEnd) =>
  Effect.andThen(there.hear, there.say(...messages))

const notice = (message: string): Postgres.BackendMessage => ({
  _tag: "NoticeResponse",
  severity: "WARNING",
  code: "01000",
  message
})

const key = (length: number): Postgres.BackendMessage => ({
  _tag: "BackendKeyData",
  processId: 7,
  secretKey: Redacted.make(new Uint8Array(length))
})

const [ok, status, backendKey, ready] = session

/** The beginning of a message, which says how long it is. */
const header = (type: string, length: number): Uint8Array => {
  const bytes = new Uint8Array(5)
  bytes[0] = type.charCodeAt(0)
  new DataView(bytes.buffer).setUint32(1, length)
  return bytes
}

describe("a session", () => {
  it.effect("is what the server tells, notices included", () =>
    Effect.gen(function*() {
      const exit = yield* against((there) =>
        Effect.gen(function*() {
          expect(text(yield* there.hear)).toBe("\0\x03\0\0user\0ann\0database\0ann\0client_encoding\0UTF8\0\0")
          yield* there.say(notice("before"), ok, status, notice("behind"), backendKey, ready)
        })
      )
      expect(exit).toMatchObject({
        value: {
          user,
          database: user,
          protocolVersion: "3.0",
          unrecognizedOptions: [],
          authentication: "trust",
          channelBound: false,
          parameters: new Map([["server_version", "18.0"]]),
          backendKey: { processId: 7, secretKey: Redacted.make(Uint8Array.of(1, 2, 3, 4)) },
          notices: [{ severity: "WARNING", code: "01000", message: "before" }, { message: "behind" }],
          tls: undefined
        }
      })
    }).pipe(Effect.provide(Crypto.layer)))

  it.effect("may begin with any number of notices, as triggers at login say them, of which the first 64 are kept", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 1000 }, () => notice("Welcome"))
      const exit = yield* against(saying(ok, ...many, status, ready))
      expect(exit._tag === "Success" && exit.value.notices.length).toBe(64)
    }).pipe(Effect.provide(Crypto.layer)))

  it.effect("may have no key, and no parameters", () =>
    Effect.gen(function*() {
      const exit = yield* against(saying(ok, ready))
      expect(exit).toMatchObject({ value: { parameters: new Map(), backendKey: undefined } })
    }).pipe(Effect.provide(Crypto.layer)))

  it.effect("is asked for with what the options say", () =>
    Effect.gen(function*() {
      const heard = yield* Effect.promise(() => Promise.resolve<Array<string>>([]))
      yield* endsWith((there) => Effect.map(there.hear, (bytes) => heard.push(text(bytes))), {
        database: "shop",
        applicationName: "till",
        parameters: { search_path: "a, b", "_pq_.x": "1" },
        maxProtocolVersion: "3.2"
      })
      expect(heard).toEqual([
        "\0\x03\0\x02user\0ann\0database\0shop\0client_encoding\0UTF8\0application_name\0till\0search_path\0a, b\0_pq_.x\x001\0\0"
      ])
    }))

  it.each([
    ["a version that does not exist", { minProtocolVersion: "3.2", maxProtocolVersion: "3.0" }],
    ["no name", { user: "" }],
    ["a parameter that has an option of its own", { parameters: { client_encoding: "LATIN1" } }],
    ["TLS from the first byte and without TLS", { sslnegotiation: "direct" }],
    ["TLS and no host", { sslmode: "verify-full" }]
  ])("cannot be asked for with %s", (_, options) => {
    expect(() => Postgres.client({ ...clientOptions, ...options } as Postgres.ClientOptions)).toThrow(TypeError)
  })
})

describe("a server that says no", () => {
  const no = (code: string): Postgres.BackendMessage => ({
    _tag: "ErrorResponse",
    severity: "FATAL",
    code,
    message: "sorry\u001b[2J",
    detail: "d".repeat(5000),
    hint: "wait"
  })

  it.effect.each(
    [
      ["startup", [no("53300")]],
      ["startup", [notice("wait"), no("53300")]],
      ["session", [ok, no("53300")]],
      ["session", [ok, status, backendKey, no("53300")]]
    ] as const
  )("is heard at step %s", ([step, messages]) =>
    Effect.gen(function*() {
      const outcome = yield* endsWith(saying(...messages))
      expect(outcome).toMatchObject({ step, _tag: "Rejected", by: "peer", code: "53300", retryable: true })
    }))

  it.effect("is heard with all it says, printable and bounded", () =>
    Effect.gen(function*() {
      const exit = yield* against(saying(no("3D000")))
      const error = Postgres.serverError(Exit.isFailure(exit) ? (yield* Effect.flip(exit)) : undefined)
      expect(error).toBeInstanceOf(Postgres.ServerError)
      expect(error).toMatchObject({ said: "sorry\\x1b[2J", code: "3D000", retryable: false })
      expect(error?.fields).toMatchObject({ severity: "FATAL", hint: "wait", message: "sorry\\x1b[2J" })
      expect(error?.fields.detail).toHaveLength(1001)
      expect(JSON.stringify(error)).not.toContain("\\u001b")
    }).pipe(Effect.provide(Crypto.layer)))

  it.each([
    ["53300", true],
    ["53200", true],
    ["53400", false],
    ["57P01", true],
    ["57P03", true],
    ["57014", false],
    ["55006", true],
    ["08006", true],
    ["08P01", false],
    ["08004", false],
    ["28P01", false],
    ["28000", false],
    ["3D000", false],
    ["XX000", false]
  ])("with %s is worth another try: %s", (code, retryable) =>
    Effect.gen(function*() {
      expect(yield* endsWith(saying(no(code)))).toMatchObject({ code, retryable })
    }).pipe(Effect.runPromise))
})

/** How a client ends where the server says these bytes. */
const endsWithBytes = (bytes: Uint8Array) => endsWith((there) => Effect.andThen(there.hear, there.sayBytes(bytes)))

const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

describe("a server that says no before anything is agreed on", () => {
  const forking = "could not fork new process for connection: Resource temporarily unavailable"

  it.effect.each(
    [
      ["that it cannot fork", `${forking}\n`, forking, true],
      ["so in its own language and encoding", "d\xe9faut\n", "d\ufffdfaut", true],
      ["so in one letter", "x", "x", true],
      [
        "that it is older than the protocol",
        "FATAL:  unsupported frontend protocol\n",
        "unsupported frontend protocol",
        false
      ]
    ] as const
  )("in the form of protocol 2 is heard to say %s", ([, words, said, retryable]) =>
    Effect.gen(function*() {
      const outcome = yield* endsWithBytes(latin1(`E${words}\0`))
      expect(outcome).toMatchObject({ step: "startup", _tag: "Rejected", by: "peer", said, retryable })
      expect(outcome).not.toHaveProperty("code")
    }))

  it.effect("in the form of protocol 2 may say 30,000 bytes, and no more", () =>
    Effect.gen(function*() {
      const says = (length: number) => endsWithBytes(utf8(`E${"x".repeat(length)}\0`))
      expect(yield* says(29_999)).toMatchObject({ _tag: "Rejected" })
      expect(yield* says(30_000)).toMatchObject({ _tag: "FrameTooLarge", limit: 30_000 })
      expect(yield* endsWithBytes(utf8("E".repeat(30_001)))).toMatchObject({ _tag: "FrameTooLarge", limit: 30_000 })
      expect(yield* endsWithBytes(utf8("Ewhat"))).toMatchObject({ _tag: "UnexpectedEnd" })
    }))

  const error = (fields: string): Uint8Array => {
    const bytes = latin1(`E\0\0\0\0${fields}`)
    new DataView(bytes.buffer).setUint32(1, bytes.length - 1)
    return bytes
  }

  it.effect.each(
    [
      [
        "in an encoding that is not ours",
        "SFATAL\0C28P01\0MR\xf4le \"caf\xe9\"\0\0",
        "R\ufffdle \"caf\ufffd\"",
        "28P01"
      ],
      ["with fields twice", "SFATAL\0C53300\0Mfirst\0Mlast\0\0", "last", "53300"],
      ["without a severity", "C53300\0Mfull\0\0", "full", "53300"],
      ["without a code", "SFATAL\0Mno\0\0", "no", undefined],
      ["with something behind its fields", "SFATAL\0C28000\0Mno\0\0\0", "no", "28000"]
    ] as const
  )("is heard %s", ([, fields, said, code]) =>
    Effect.gen(function*() {
      const outcome = yield* endsWithBytes(error(fields))
      expect(outcome).toMatchObject({ _tag: "Rejected", said, retryable: code === "53300" })
      expect((outcome as Record<string, unknown>).code).toBe(code)
    }))

  it.effect("is not heard where its words do not end", () =>
    Effect.gen(function*() {
      expect(yield* endsWithBytes(error("SFATAL\0C53300\0Mno"))).toMatchObject({ _tag: "MalformedFrame" })
    }))

  it.effect("is not heard in the place of TLS (CVE-2024-10977)", () =>
    Effect.gen(function*() {
      const options = { sslmode: "require", host: "db.test" } as const
      const outcome = yield* endsWith(
        (there) => Effect.andThen(there.hear, there.sayBytes(utf8(`E${forking}\n\0`))),
        options
      )
      expect(outcome).toMatchObject({ step: "SSLRequest", _tag: "InvalidGreeting", received: "\"E\"" })
    }))
})

describe("a server that does not keep to the order", () => {
  const challenge: Postgres.BackendMessage = { _tag: "AuthenticationSASLContinue", data: utf8("r=x") }
  const outcome: Postgres.BackendMessage = { _tag: "AuthenticationSASLFinal", data: Redacted.make(utf8("v=x")) }
  const tooMany = <A>(count: number, message: A): ReadonlyArray<A> => Array.from({ length: count }, () => message)
  const asksAgain: Postgres.BackendMessage = { _tag: "AuthenticationCleartextPassword" }

  it.effect.each(
    [
      ["a session before anybody is let in", "startup", [status]],
      ["that it is ready before anybody is let in", "startup", [ready]],
      ["a challenge that nothing has begun", "startup", [challenge]],
      ["the end of an exchange that nothing has begun", "startup", [outcome]],
      ["twice that the user is let in", "session", [ok, ok]],
      ["a request for a password behind that", "session", [ok, asksAgain]],
      ["two keys", "session", [ok, backendKey, backendKey]],
      ["a row", "session", [ok, { _tag: "DataRow", values: [] }]],
      ["a message that nobody knows", "session", [ok, { _tag: "Unknown", type: "~", body: utf8("what") }]],
      ["that a transaction is under way", "session", [ok, { _tag: "ReadyForQuery", status: "transaction" }]],
      ["a key of 5 bytes in protocol 3.0", "session", [ok, key(5)]],
      ["65 notices", "startup", tooMany(65, notice("again"))],
      ["257 parameters", "session", [ok, ...tooMany(257, status)]]
    ] as const
  )("and says %s goes no further", ([, step, messages]) =>
    Effect.gen(function*() {
      const ended = yield* endsWith(saying(...messages))
      expect(ended).toMatchObject({ step, _tag: "InvalidGreeting", fault: "peer" })
    }))

  it.effect.each(
    [
      ["64 notices", [...tooMany(64, notice("again")), ok, ready]],
      ["256 parameters", [ok, ...tooMany(256, status), ready]]
    ] as const
  )("is within the bounds with %s", ([, messages]) =>
    Effect.gen(function*() {
      expect(yield* endsWith(saying(...messages))).toBe("ready")
    }))

  it.effect("nothing is shown of a message of a type that nobody knows but the type", () =>
    Effect.gen(function*() {
      const ended = yield* endsWith(saying({ _tag: "Unknown", type: "k", body: utf8("secret") }))
      expect(ended).toMatchObject({ _tag: "InvalidGreeting", received: "a message of type \"k\"" })
    }))

  it.effect("nothing is shown of a key that is cut off", () =>
    Effect.gen(function*() {
      const ended = yield* endsWith((there) =>
        Effect.andThen(there.hear, there.sayBytes(utf8("R\0\0\0\x08\0\0\0\0K\0\0\0\x28\0\0\0\x01secret")))
      )
      expect(ended).toMatchObject({ step: "session", _tag: "UnexpectedEnd", excerpt: "<redacted>" })
    }))

  it.effect("a message of the handshake is bounded before anything is allocated for it", () =>
    Effect.gen(function*() {
      const says = (type: string, length: number) =>
        endsWith((there) => Effect.andThen(there.hear, there.sayBytes(header(type, length))))
      expect(yield* says("R", 2001)).toMatchObject({ _tag: "FrameTooLarge", limit: 2000 })
      expect(yield* says("E", 30_001)).toMatchObject({ _tag: "FrameTooLarge", limit: 30_000 })
      expect(yield* says("R", 2000)).toMatchObject({ _tag: "UnexpectedEnd" })
    }))
})

describe("the version", () => {
  const negotiates = (minor: number, unrecognized: ReadonlyArray<string> = [], major = 3): Postgres.BackendMessage => ({
    _tag: "NegotiateProtocolVersion",
    major,
    minor,
    unrecognized
  })
  const parameters = { "_pq_.x": "1", "_pq_.y": "2" }

  it.effect("may be an older one, and options may be unknown", () =>
    Effect.gen(function*() {
      const exit = yield* against(saying(negotiates(0, ["_pq_.y"]), ok, ready), {
        ...clientOptions,
        maxProtocolVersion: "3.2",
        parameters
      })
      expect(exit).toMatchObject({ value: { protocolVersion: "3.0", unrecognizedOptions: ["_pq_.y"] } })
    }).pipe(Effect.provide(Crypto.layer)))

  it.effect("may be the one that was offered, where options are unknown", () =>
    Effect.gen(function*() {
      const exit = yield* against(saying(negotiates(0, ["_pq_.x"]), ok, ready), { ...clientOptions, parameters })
      expect(exit).toMatchObject({ value: { protocolVersion: "3.0", unrecognizedOptions: ["_pq_.x"] } })
    }).pipe(Effect.provide(Crypto.layer)))

  it.effect("3.2 may have a key of 256 bytes", () =>
    Effect.gen(function*() {
      const options = { maxProtocolVersion: "3.2" } as const
      expect(yield* endsWith(saying(ok, key(256), ready), options)).toBe("ready")
    }))

  it.effect("that is too old is told from one that is wrong", () =>
    Effect.gen(function*() {
      const options = { minProtocolVersion: "3.2", maxProtocolVersion: "3.2" } as const
      expect(yield* endsWith(saying(negotiates(0), ok, ready), options)).toMatchObject({
        step: "startup",
        _tag: "UnsupportedVersion",
        offered: "3.0",
        supported: ["3.2"],
        fault: "peer"
      })
    }))

  it.effect.each(
    [
      ["newer than what was offered", [negotiates(3)]],
      ["not 3", [negotiates(0, [], 2)]],
      ["3.1, which does not exist", [negotiates(1)]],
      ["the offered one without a reason", [negotiates(2)]],
      ["agreed on with an option that was not offered", [negotiates(0, ["_pq_.z"])]],
      ["agreed on with an option that is none", [negotiates(0, ["user"])]],
      ["agreed on with an option twice", [negotiates(0, ["_pq_.x", "_pq_.x"])]],
      ["negotiated twice", [negotiates(0), negotiates(0)]],
      ["negotiated when the user is let in", [ok, negotiates(0)]]
    ] as const
  )("must not be %s", ([, messages]) =>
    Effect.gen(function*() {
      const outcome = yield* endsWith(saying(...messages, ok, ready), { maxProtocolVersion: "3.2", parameters })
      expect(outcome).toMatchObject({ _tag: "InvalidGreeting", fault: "peer" })
    }))
})

describe("what the server may ask for", () => {
  const asks = {
    trust: ok,
    password: { _tag: "AuthenticationCleartextPassword" },
    md5: { _tag: "AuthenticationMD5Password", salt: Uint8Array.of(1, 2, 3, 4) },
    "scram-sha-256": { _tag: "AuthenticationSASL", mechanisms: ["SCRAM-SHA-256"] }
  } as const satisfies Record<Postgres.Method, Postgres.BackendMessage>
  const methods = Object.keys(asks) as Array<Postgres.Method>

  const tls = (verified: boolean): Peer.Tls => ({
    version: "TLSv1.3",
    cipher: "TLS_AES_256_GCM_SHA384",
    alpn: undefined,
    servername: undefined,
    resumed: false,
    verified,
    certificate: undefined,
    localCertificate: undefined
  })
  const policy = { requireAuth: undefined, channelBinding: "prefer", password } as const
  const mayAsk = (options: Partial<Parameters<typeof Client.judgeRequest>[0]>, over: Peer.Tls | undefined) =>
    methods.filter((method) => Client.judgeRequest({ ...policy, ...options }, asks[method], over)._tag === "Success")

  it("is by default what shows the password to nobody whom TLS has not verified", () => {
    expect(mayAsk({}, undefined)).toEqual(["trust", "scram-sha-256"])
    expect(mayAsk({}, tls(false))).toEqual(["trust", "scram-sha-256"])
    expect(mayAsk({}, tls(true))).toEqual(methods)
  })

  it.each(methods)("is what it is told to be: %s", (method) => {
    for (const over of [undefined, tls(false), tls(true)]) {
      expect(mayAsk({ requireAuth: [method] }, over)).toEqual([method])
    }
    expect(mayAsk({ requireAuth: [] }, tls(true))).toEqual([])
  })

  it("is SCRAM where the channel has to be bound, and nothing else", () => {
    expect(mayAsk({ channelBinding: "require" }, tls(true))).toEqual(["scram-sha-256"])
  })

  it("is nothing that takes a password, where there is none", () => {
    expect(mayAsk({ password: undefined }, tls(true))).toEqual(["trust"])
  })

  it.effect.each(methods)("fails otherwise before anything is answered: %s", (method) =>
    Effect.gen(function*() {
      const answers: Array<unknown> = []
      const outcome = yield* endsWith((there) =>
        Effect.gen(function*() {
          yield* saying(asks[method])(there)
          answers.push(yield* there.hear)
        }), { requireAuth: methods.filter((other) => other !== method) })
      expect(outcome).toMatchObject({ step: "authentication", _tag: "AuthenticationFailed", method, fault: "peer" })
      expect(answers).toEqual([])
    }))

  it.effect.each(
    [
      ["AuthenticationGSS", "GSSAPI"],
      ["AuthenticationSSPI", "SSPI"],
      ["AuthenticationKerberosV5", "Kerberos V5"]
    ] as const
  )("is never %s, which is called %s", ([_tag, method]) =>
    Effect.gen(function*() {
      const ended = yield* endsWith(saying({ _tag }))
      expect(ended).toMatchObject({ _tag: "AuthenticationFailed", method, fault: "local" })
    }))

  it.effect("is answered once", () =>
    Effect.gen(function*() {
      for (const request of [asks.password, asks.md5]) {
        const asking = (...then: ReadonlyArray<Postgres.BackendMessage>) => (there: ServerEnd) =>
          Effect.andThen(saying(request)(there), Effect.andThen(there.hear, there.say(...then)))
        expect(yield* endsWith(asking(...session))).toBe("ready")
        for (const again of methods.filter((method) => method !== "trust")) {
          expect(yield* endsWith(asking(asks[again], ...session))).toMatchObject({
            step: "authentication",
            _tag: "InvalidGreeting"
          })
        }
      }
    }))

  it.effect("MD5 is answered as the manual says", () =>
    Effect.gen(function*() {
      let answer = ""
      yield* endsWith((there) =>
        Effect.gen(function*() {
          yield* saying(asks.md5)(there)
          answer = text(yield* there.hear)
        })
      )
      // printf 'correct horseann' | md5sum, then its digits and the salt 01 02 03 04
      expect(answer).toBe("md5d3559b058479e01ebd484483fc1e4de5\0")
    }))
})

describe("SCRAM", () => {
  interface Hostile {
    readonly mechanisms?: ReadonlyArray<string>
    readonly iterations?: number
    /** What it knows of the password. Default: one of its own, with `iterations`. */
    readonly verifier?: Scram.Verifier
    readonly challenge?: (message: string) => string
    /** Instead of the challenge. */
    readonly insteadOfChallenge?: ReadonlyArray<Postgres.BackendMessage>
    readonly proof?: (message: string) => string
    /** Instead of the server's proof. */
    readonly insteadOfFinal?: ReadonlyArray<Postgres.BackendMessage>
    readonly behind?: ReadonlyArray<Postgres.BackendMessage>
  }

  /** A server that knows the password, and does something else than it should. */
  const server = (hostile: Hostile) => (there: ServerEnd) =>
    Effect.gen(function*() {
      const verifier = hostile.verifier ?? (yield* Scram.verifier(password, { iterations: hostile.iterations ?? 1 }))
      yield* saying({ _tag: "AuthenticationSASL", mechanisms: hostile.mechanisms ?? ["SCRAM-SHA-256"] })(there)
      const initial = yield* there.hear
      const first = initial.subarray(initial.indexOf(0) + 5)
      if (hostile.insteadOfChallenge !== undefined) return yield* there.say(...hostile.insteadOfChallenge)
      const begun = yield* Scram.server({ mechanism: "SCRAM-SHA-256", endPoint: undefined, username: "ignored" })
        .receive(
          first
        )
      const challenge = yield* begun.challenge(verifier)
      const data = utf8(hostile.challenge?.(challenge.message) ?? challenge.message)
      yield* there.say({ _tag: "AuthenticationSASLContinue", data })
      const response = yield* there.hear
      if (hostile.insteadOfFinal !== undefined) return yield* there.say(...hostile.insteadOfFinal)
      const proof = Redacted.value((yield* challenge.receive(response)).message)
      yield* there.say(
        { _tag: "AuthenticationSASLFinal", data: Redacted.make(utf8(hostile.proof?.(proof) ?? proof)) },
        ...hostile.behind ?? session
      )
    })

  const meets = (hostile: Hostile, options?: Partial<Postgres.ClientOptions>) => endsWith(server(hostile), options)
  const sasl: Postgres.BackendMessage = { _tag: "AuthenticationSASL", mechanisms: ["SCRAM-SHA-256"] }
  const proof: Postgres.BackendMessage = { _tag: "AuthenticationSASLFinal", data: Redacted.make(utf8("v=AAAA")) }
  const cleartext: Postgres.BackendMessage = { _tag: "AuthenticationCleartextPassword" }
  const md5: Postgres.BackendMessage = { _tag: "AuthenticationMD5Password", salt: new Uint8Array(4) }

  it.effect("lets in with a server that keeps to it", () =>
    Effect.gen(function*() {
      expect(yield* meets({})).toBe("ready")
      expect(yield* meets({ mechanisms: ["SCRAM-SHA-512", "SCRAM-SHA-256"] })).toBe("ready")
    }))

  it.effect("derives its keys once for all connections of a client, while the server asks for the same", () =>
    Effect.gen(function*() {
      const [verifier, changed] = yield* Effect.all([
        Scram.verifier(password, { iterations: 1 }),
        Scram.verifier(password, { iterations: 1 })
      ])
      const kdf = yield* Kdf.Kdf
      let derived = 0
      const counting = Effect.provideService(
        Kdf.Kdf,
        Kdf.Kdf.of({ derive: (...args) => Effect.tap(kdf.derive(...args), Effect.sync(() => derived++)) })
      )
      // What is given is what is needed of these options.
      const client = Postgres.client({ ...clientOptions, minIterations: 1 } as Postgres.ClientOptions)
      const logsIn = (verifier: Scram.Verifier) =>
        Effect.map(meeting(counting(client), server({ verifier })), (exit) => [ended(exit), derived])
      expect(yield* logsIn(verifier)).toEqual(["ready", 1])
      expect(yield* logsIn(verifier)).toEqual(["ready", 1])
      expect(yield* logsIn(changed)).toEqual(["ready", 2])
      expect(yield* logsIn(changed)).toEqual(["ready", 2])
    }).pipe(Effect.provide(Crypto.layer)))

  it.effect.each(
    [
      ["skips everything", { insteadOfChallenge: session }, "SASL challenge"],
      ["skips its own proof", { insteadOfFinal: session }, "SASL outcome"],
      ["proves itself before it was asked", { insteadOfChallenge: [proof, ...session] }, "SASL challenge"],
      [
        "challenges twice",
        { insteadOfFinal: [{ _tag: "AuthenticationSASLContinue", data: utf8("r=") }] },
        "SASL outcome"
      ],
      ["begins anew at the challenge", { insteadOfChallenge: [sasl] }, "SASL challenge"],
      ["begins anew at the end", { insteadOfFinal: [sasl] }, "SASL outcome"],
      ["begins anew behind its proof", { behind: [sasl, ...session] }, "authentication"],
      ["asks for the password instead of its challenge", { insteadOfChallenge: [cleartext] }, "SASL challenge"],
      ["asks for the password instead of its proof", { insteadOfFinal: [cleartext] }, "SASL outcome"],
      ["asks for the password behind its proof", { behind: [cleartext] }, "authentication"],
      ["changes to MD5", { insteadOfChallenge: [md5] }, "SASL challenge"],
      ["proves itself twice", { behind: [proof, ...session] }, "authentication"],
      ["is ready without letting anybody in", { behind: [ready] }, "authentication"]
    ] as const
  )("goes no further with a server that %s", ([, hostile, step]) =>
    Effect.gen(function*() {
      expect(yield* meets(hostile)).toMatchObject({ step, _tag: "InvalidGreeting", fault: "peer" })
    }))

  const lies: ReadonlyArray<readonly [what: string, hostile: Hostile, step: string]> = [
    ["has another nonce", { challenge: (message: string) => `r=x${message.slice(2)}` }, "SASL challenge"],
    ["adds nothing to the nonce", {
      challenge: (message: string) => message.replace(/^(r=.{24})[^,]*/, "$1")
    }, "SASL challenge"],
    ["asks for one iteration less than the client takes", { iterations: 4095 }, "SASL challenge"],
    ["asks for one iteration", { iterations: 1 }, "SASL challenge"],
    ["asks for one iteration more than the client takes", {
      challenge: (message: string) => message.replace(/i=\d+$/, "i=1000001")
    }, "SASL challenge"],
    ["asks for 2^31 iterations", {
      challenge: (message: string) => message.replace(/i=\d+$/, "i=2147483648")
    }, "SASL challenge"],
    ["does not know the password", {
      iterations: 4096,
      proof: () => "v=dGhlIHdyb25nIHNpZ25hdHVyZSBvZiBhIHNlcnZlcg=="
    }, "SASL outcome"],
    ["says an error in its proof", {
      iterations: 4096,
      proof: () => "e=other-error"
    }, "SASL outcome"],
    ["has no proof in it", {
      iterations: 4096,
      proof: () => ""
    }, "SASL outcome"]
  ]

  it.effect.each(lies)("goes no further with a server that %s", ([, hostile, step]) =>
    Effect.gen(function*() {
      const outcome = yield* meets(hostile, { minIterations: 4096 })
      expect(outcome).toMatchObject({ step, fault: "peer" })
      expect(["AuthenticationFailed", "MalformedFrame"]).toContain(typeof outcome === "string" ? outcome : outcome._tag)
    }))

  it.effect("takes the bounds of the iterations themselves", () =>
    Effect.gen(function*() {
      expect(yield* meets({ iterations: 50 }, { minIterations: 50, maxIterations: 50 })).toBe("ready")
      expect(yield* meets({ iterations: 49 }, { minIterations: 50, maxIterations: 50 })).toMatchObject({
        fault: "peer"
      })
      expect(yield* meets({ iterations: 51 }, { minIterations: 50, maxIterations: 50 })).toMatchObject({
        fault: "peer"
      })
    }))

  it.effect.each(
    [
      ["nothing that the client knows", ["SCRAM-SHA-512", "OAUTHBEARER"]],
      ["only what binds the channel, where there is none", ["SCRAM-SHA-256-PLUS"]]
    ] as const
  )("is not begun with a server that offers %s", ([, mechanisms]) =>
    Effect.gen(function*() {
      expect(yield* meets({ mechanisms })).toMatchObject({ step: "authentication", _tag: "AuthenticationFailed" })
    }))

  it.effect("is not begun in clear where the channel has to be bound", () =>
    Effect.gen(function*() {
      expect(yield* meets({}, { channelBinding: "require" })).toMatchObject({
        step: "authentication",
        _tag: "AuthenticationFailed",
        fault: "local"
      })
    }))
})

it.effect("a host whose name is none is told nothing, where TLS would have to verify it", () =>
  Effect.gen(function*() {
    for (const host of ["", "evil.test/.db.example.test"]) {
      const heard: Array<number> = []
      const outcome = yield* endsWith(
        (there) => Effect.map(there.hear, (bytes) => heard.push(bytes.length)),
        { sslmode: "verify-full", host }
      )
      expect(outcome).toMatchObject({
        step: "start TLS",
        _tag: "TlsFailure",
        kind: "bad-configuration",
        fault: "local"
      })
      expect(heard).toEqual([])
    }
  }).pipe(Effect.provide(Crypto.layer)))

describe("the answer to SSLRequest", () => {
  const modes = ["prefer", "require", "verify-ca", "verify-full"] as const

  /** Says this for an answer, then what a server says that lets everybody in. */
  const answering = (answer: string) => (there: ServerEnd) =>
    Effect.gen(function*() {
      yield* there.hear
      yield* there.sayBytes(utf8(answer))
      yield* there.hear
      yield* there.say(...session)
    })

  it.effect.each(modes)("N goes on in clear with sslmode prefer only: %s", (sslmode) =>
    Effect.gen(function*() {
      const outcome = yield* endsWith(answering("N"), { sslmode, host: "localhost" })
      if (sslmode === "prefer") expect(outcome).toBe("ready")
      else {
        expect(outcome).toMatchObject({ step: "SSLRequest", _tag: "Rejected", by: "peer", retryable: false })
      }
    }))

  it.effect.each(modes)(
    "of an error shows nothing of it, with sslmode %s (CVE-2024-10977)",
    (sslmode) =>
      Effect.gen(function*() {
        const outcome = yield* endsWith(answering("EFATAL: give your password to evil.example\0"), {
          sslmode,
          host: "localhost"
        })
        expect(outcome).toMatchObject({ step: "SSLRequest", _tag: "InvalidGreeting", received: "\"E\"", fault: "peer" })
        expect(JSON.stringify(outcome)).not.toContain("evil")
      })
  )

  it.effect.each(["G", "R", "\0", "s", "H"])("must be S or N, and not %j", (answer) =>
    Effect.gen(function*() {
      const outcome = yield* endsWith(answering(answer), { sslmode: "prefer", host: "localhost" })
      expect(outcome).toMatchObject({ step: "SSLRequest", _tag: "InvalidGreeting" })
    }))

  it.effect("S with one byte behind it goes no further (CVE-2021-23222)", () =>
    Effect.gen(function*() {
      for (const behind of ["R", "R\0\0\0\x08\0\0\0\0", "\x16\x03\x01"]) {
        const outcome = yield* endsWith(answering(`S${behind}`), { sslmode: "require", host: "localhost" })
        expect(outcome).toMatchObject({ step: "start TLS", _tag: "UnreadBytes", bytes: behind.length, fault: "peer" })
      }
    }))

  it.effect("is waited for: nothing else is said before", () =>
    Effect.gen(function*() {
      let heard = 0
      yield* endsWith((there) =>
        Effect.gen(function*() {
          yield* there.hear
          heard++
          yield* Effect.raceFirst(
            Effect.tap(there.hear, () => Effect.sync(() => heard++)),
            Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          )
        }), { sslmode: "prefer", host: "localhost" })
      expect(heard).toBe(1)
    }))
})
