/**
 * A dialogue as it is spoken: what each side may say and hears, and how each mistake of the other side ends.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as NodeTls from "../../src/node/Tls.ts"
import * as Server from "../../src/Server.ts"
import * as ClearTls from "../../src/testing/internal/dialogue/clearTls.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import * as Wire from "../../src/Wire.ts"
import * as Certificates from "../support/certificates/index.ts"
import { join, outcomeOf, rawPeer, utf8 } from "../support/conversation.ts"

type Side<A> = Effect.Effect<A, unknown, Socket.Socket | Scope.Scope>

/** How one side ends. Its connection goes on where it is ready, and is closed where it has failed. */
const ending = <A>(side: Side<A>, socket: Socket.Socket) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const exit = yield* side.pipe(Effect.provideService(Socket.Socket, socket), Scope.provide(scope), Effect.exit)
    if (Exit.isFailure(exit)) yield* Scope.close(scope, exit)
    return exit
  })

/** Both sides against each other: how each of them ends. */
const agree = <S, C>(server: Side<S>, client: Side<C>) =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    return yield* Effect.all({ server: ending(server, there), client: ending(client, here) }, { concurrency: 2 })
  })

const errorOf = (exit: Exit.Exit<unknown, unknown>): HandshakeError.HandshakeError => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  if (!HandshakeError.isHandshakeError(error)) throw new Error(`no failed handshake, but ${String(error)}`)
  return error
}

const key = "n0nce!"

const messages = {
  Hello: { version: Schema.Int },
  Nonce: { nonce: Schema.String },
  Proof: { proof: Schema.Redacted(Schema.String) },
  Welcome: {},
  Busy: { wait: Schema.Int },
  Denied: { code: Schema.String }
}

type Tag = keyof typeof messages

const vaultOn = (wire: Wire.Wire<Tag>) => {
  class Vault extends Dialogue.make<Vault>()({
    name: "vault",
    messages,
    wire,
    live: Codec.lines(),
    start: "greeting",
    states: {
      greeting: Dialogue.client({ Hello: "challenge" }, { maxBytes: 40 }),
      challenge: Dialogue.server({
        Nonce: "proof",
        Busy: Dialogue.refused({ retryAfterField: "wait" }),
        Denied: Dialogue.refused({ retryable: false, codeField: "code" })
      }),
      proof: Dialogue.client({ Proof: "verdict" }, { within: "5 seconds" }),
      verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
    },
    otherwise: { server: { _tag: "Denied", code: "rules" } }
  }) {}
  const server = Vault.server((greeting) =>
    Effect.gen(function*() {
      const { message, then: challenge } = yield* greeting.receive
      if (message.version === 9) return yield* challenge.refuse("Busy", { wait: 30 })
      if (message.version !== 2) return yield* challenge.refuse("Denied", { code: "version" })
      const proof = yield* challenge.say("Nonce", { nonce: key })
      const answer = yield* proof.receive
      if (Redacted.value(answer.message.proof) === key) return yield* answer.then.say("Welcome")
      return yield* new HandshakeError.AuthenticationFailed({ method: "proof", detail: "no", fault: "peer" })
    })
  )
  const client = (version: number, proof: string) =>
    Vault.client((greeting) =>
      Effect.gen(function*() {
        const challenge = yield* greeting.say("Hello", { version })
        const { message, then } = yield* challenge.receive
        const verdict = yield* then.say("Proof", { proof: Redacted.make(message.nonce + proof) })
        return (yield* verdict.receive).then
      })
    )
  return { Vault, server, client }
}

const templates = {
  Hello: "HELLO {version}",
  Nonce: "NONCE {nonce}",
  Proof: "PROOF {proof}",
  Welcome: "OK",
  Busy: "BUSY {wait}",
  Denied: "NO {code}"
} as const

const wires: Record<string, Wire.Wire<Tag>> = {
  text: Wire.text(Codec.lines(), templates),
  JSON: Wire.json(),
  bytes: Wire.bytes({
    Hello: [1, Wire.uint("version", 2)],
    Nonce: [2, Wire.string("nonce", { prefix: 1 })],
    Proof: [3, Wire.string("proof", { ending: "\0" })],
    Welcome: [4],
    Busy: [5, Wire.varint("wait")],
    Denied: [9, Wire.sized("varint", [Wire.string("code", { rest: true })])]
  }),
  codec: Wire.codec(
    Codec.schema(
      Codec.lines(),
      Schema.fromJsonString(Schema.Unknown as unknown as Schema.Codec<{ _tag: Tag }, unknown>)
    )
  )
}

const { Vault, client, server } = vaultOn(wires["text"]!)

for (const [name, wire] of Object.entries(wires)) {
  const { client, server } = vaultOn(wire)

  describe(`on ${name}`, () => {
    it.effect("both sides come to the end, and go on with the live codec", () =>
      Effect.gen(function*() {
        const ends = yield* agree(server, client(2, ""))
        const [far, near] = [yield* ends.server, yield* ends.client]
        yield* near.send("a request")
        expect(yield* far.receive).toBe("a request")
      }))

    it.effect("a refusal is Rejected, with its code and its fields", () =>
      Effect.gen(function*() {
        const ends = yield* agree(server, client(1, ""))
        expect(errorOf(ends.client)).toMatchObject({
          protocol: "vault",
          step: "challenge",
          retryable: false,
          reason: { _tag: "Rejected", by: "peer", code: "version", fields: { code: "version" } }
        })
        expect(errorOf(ends.server)).toMatchObject({ step: "challenge", reason: { _tag: "Rejected", by: "local" } })
      }))

    it.effect("a refusal tells when another try is worth it", () =>
      Effect.gen(function*() {
        const { reason } = errorOf((yield* agree(server, client(9, ""))).client)
        expect(reason).toMatchObject({ retryable: true, retryAfter: Duration.seconds(30) })
      }))

    it.effect("a bare reason of the server fails it at its state, and its client hears what is said otherwise", () =>
      Effect.gen(function*() {
        const ends = yield* agree(server, client(2, "?"))
        expect(errorOf(ends.server)).toMatchObject({ step: "verdict", reason: { _tag: "AuthenticationFailed" } })
        expect(errorOf(ends.client)).toMatchObject({
          step: "verdict",
          reason: { _tag: "Rejected", fields: { code: "rules" } }
        })
      }))

    it.effect("a secret shows in no error and in no transcript", () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const ends = yield* agree(server, client(2, "the secret")).pipe(
          Effect.provideService(Transport.CurrentObserver, (event) => seen.push(JSON.stringify(event)))
        )
        expect(seen.filter((event) => event.includes("Proof"))).not.toEqual([])
        expect(`${seen.join("\n")} ${String(ends.server)} ${String(ends.client)}`).not.toContain("the secret")
      }))
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// What is not due
// ---------------------------------------------------------------------------------------------------------------------

describe("what is not due", () => {
  const cases: Record<
    string,
    { readonly said: string; readonly step: string; readonly reason: Record<string, unknown> }
  > = {
    "is no message": {
      said: "HELO 2\n",
      step: "greeting",
      reason: { _tag: "InvalidGreeting", expected: `"HELLO {version}" (it is no message)`, received: "<redacted>" }
    },
    "is due elsewhere": {
      said: "OK\n",
      step: "greeting",
      reason: { _tag: "InvalidGreeting", expected: `"HELLO {version}"`, received: `"OK"` }
    },
    "is a secret too early": {
      said: "PROOF hush\n",
      step: "greeting",
      reason: { received: `Proof {"proof":<redacted>}` }
    },
    "has a field of another type": {
      said: "HELLO two\n",
      step: "greeting",
      reason: { _tag: "InvalidGreeting", received: "<redacted>" }
    },
    "is written otherwise": {
      said: "HELLO 02\n",
      step: "greeting",
      reason: { expected: `"HELLO {version}" (Hello: it is written otherwise)` }
    },
    "is longer than its state allows": {
      said: `HELLO ${"1".repeat(40)}\n`,
      step: "greeting",
      reason: { _tag: "FrameTooLarge", limit: 40, excerpt: "<redacted>" }
    },
    "is cut": { said: "HELLO 2", step: "greeting", reason: { _tag: "UnexpectedEnd" } },
    "is a refusal of the wrong side": {
      said: "HELLO 2\nNO version\n",
      step: "proof",
      reason: { _tag: "InvalidGreeting", received: `"NO version"` }
    }
  }
  for (const [name, { reason, said, step }] of Object.entries(cases)) {
    it.effect(`${name}: fails at its state, and the other side hears what is said otherwise`, () =>
      Effect.gen(function*() {
        const outcome = yield* outcomeOf(server, utf8(said))
        expect(outcome.result).toMatchObject({ step, reason })
        expect(outcome.heard.endsWith("NO rules\n")).toBe(true)
      }))
  }

  it.effect("a message that is as long as its state allows passes", () =>
    Effect.gen(function*() {
      const { heard } = yield* outcomeOf(server, utf8(`HELLO ${" ".repeat(33)}\n`))
      expect(heard).toBe("NO rules\n")
      const { result } = yield* outcomeOf(server, utf8(`HELLO ${"1".repeat(33)}\n`))
      expect(result).toMatchObject({ reason: { _tag: "InvalidGreeting" } })
    }))

  it.effect("a peer that just ends hears nothing", () =>
    Effect.gen(function*() {
      expect(yield* outcomeOf(server, utf8(""))).toMatchObject({
        heard: "",
        result: { step: "greeting", reason: { _tag: "UnexpectedEnd", excerpt: "" } }
      })
    }))

  it.effect("what a server says otherwise is Rejected in every state in which its client listens", () =>
    Effect.gen(function*() {
      const quiet = { ...messages, No: {} }
      class Quiet extends Dialogue.make<Quiet>()({
        name: "quiet",
        messages: { Hello: quiet.Hello, Welcome: {}, No: {} },
        live: Codec.lines(),
        start: "greeting",
        states: {
          greeting: Dialogue.client({ Hello: "verdict" }),
          verdict: Dialogue.server({ Welcome: Dialogue.ready })
        },
        otherwise: { server: "No" }
      }) {}
      const client = Quiet.client((greeting) =>
        Effect.gen(function*() {
          const verdict = yield* greeting.say("Hello", { version: 1 })
          return (yield* verdict.receive).then
        })
      )
      const { result } = yield* outcomeOf(client, utf8(`{"_tag":"No"}\n`))
      expect(result).toMatchObject({ step: "verdict", reason: { _tag: "Rejected", by: "peer" } })
    }))

  it.effect("what is a refusal in another state means there what it means in that one", () =>
    Effect.gen(function*() {
      class Busy extends Dialogue.make<Busy>()({
        name: "busy",
        messages: { Hello: {}, Ask: {}, Busy: {}, Word: {}, Welcome: {}, No: {} },
        live: Codec.lines(),
        start: "greeting",
        states: {
          greeting: Dialogue.client({ Hello: "question" }),
          question: Dialogue.server({ Ask: "word", Busy: Dialogue.refused({ code: "full" }) }),
          word: Dialogue.client({ Word: "verdict" }),
          verdict: Dialogue.server({ Welcome: Dialogue.ready, No: Dialogue.refused({ retryable: false }) })
        },
        otherwise: { server: (why) => ({ _tag: typeof why === "string" ? "Busy" : "No" }) }
      }) {}
      const client = Busy.client((greeting) =>
        Effect.gen(function*() {
          const asked = yield* (yield* greeting.say("Hello")).receive
          return (yield* (yield* asked.then.say("Word")).receive).then
        })
      )
      const { result } = yield* outcomeOf(client, utf8(`{"_tag":"Ask"}\n{"_tag":"Busy"}\n`))
      expect(result).toMatchObject({ step: "verdict", reason: { _tag: "Rejected", retryable: true, code: "full" } })
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Bounds
// ---------------------------------------------------------------------------------------------------------------------

describe("bounds", () => {
  const patience = (millis: number) =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const fiber = yield* Effect.forkScoped(ending(server, here))
      yield* peer.write(utf8("HELLO 2\n"))
      yield* TestClock.adjust(millis)
      yield* peer.write(utf8(`PROOF ${key}\n`))
      yield* peer.end
      return { exit: yield* Fiber.join(fiber), heard: peer.heard() }
    })

  it.effect("a state lasts as long as it may", () =>
    Effect.gen(function*() {
      expect(Exit.isSuccess((yield* patience(4999)).exit)).toBe(true)
    }))

  it.effect("a state that lasts longer fails as Timeout, and what is said otherwise is heard", () =>
    Effect.gen(function*() {
      const { exit, heard } = yield* patience(5000)
      expect(errorOf(exit)).toMatchObject({
        step: "proof",
        reason: { _tag: "Timeout", deadline: Duration.seconds(5) }
      })
      expect(heard).toBe("NONCE n0nce!\nNO rules\n")
    }))

  class Asking extends Dialogue.make<Asking>()({
    name: "asking",
    messages: { Ask: {}, Told: {}, Enough: {} },
    wire: Wire.text(Codec.lines(), { Ask: "ASK", Told: "TOLD", Enough: "ENOUGH" }),
    live: Codec.lines(),
    start: "question",
    states: {
      question: Dialogue.client({ Ask: "answer", Enough: Dialogue.ready }, { atMost: 3 }),
      answer: Dialogue.server({ Told: "question" })
    }
  }) {}
  class Counting extends Dialogue.make<Counting>()({
    name: "counting",
    messages: { Ask: {}, Again: {}, Done: {} },
    wire: Wire.text(Codec.lines(), { Ask: "ASK", Again: "AGAIN", Done: "DONE" }),
    live: Codec.lines(),
    start: "question",
    states: {
      question: Dialogue.client({ Ask: "answer" }, { atMost: 2 }),
      answer: Dialogue.server({ Again: "question", Done: Dialogue.ready })
    }
  }) {}
  const asked = Asking.server((question) =>
    Effect.gen(function*() {
      let now = question
      for (;;) {
        const heard = yield* now.receive
        if (heard._tag === "Enough") return heard.then
        now = yield* heard.then.say("Told")
      }
    })
  )

  it.effect("a state may be come to as often as it says", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(asked, utf8("ASK\nASK\nENOUGH\nlive"))
      expect(outcome).toEqual({ result: "ready", heard: "TOLD\nTOLD\n", rest: "live" })
    }))

  it.effect("a side that leads to it more often fails, and it is its own fault", () =>
    Effect.gen(function*() {
      const server = Counting.server((question) =>
        Effect.gen(function*() {
          let now = yield* question.receive
          for (;;) now = yield* (yield* now.then.say("Again")).receive
        })
      )
      const outcome = yield* outcomeOf(server, utf8("ASK\nASK\nASK\n"))
      expect(outcome.heard).toBe("AGAIN\n")
      expect(outcome.result).toMatchObject({
        step: "answer",
        reason: {
          _tag: "MalformedFrame",
          fault: "local",
          problem: "Again cannot be said: it leads to question, which may be come to at most 2 times; Done can be said"
        }
      })
    }))

  it.effect("whoever lets the other side try once too often is told what else can be said, and the other hears nothing", () =>
    Effect.gen(function*() {
      class Trying extends Dialogue.make<Trying>()({
        name: "trying",
        messages: { Login: {}, Again: {}, Open: {}, Denied: {}, Wrong: {} },
        wire: Wire.text(Codec.lines(), { Login: "LOGIN", Again: "AGAIN", Open: "OPEN", Denied: "NO", Wrong: "WRONG" }),
        live: Codec.lines(),
        start: "login",
        states: {
          login: Dialogue.client({ Login: "verdict" }, { atMost: 3 }),
          verdict: Dialogue.server({ Open: Dialogue.ready, Again: "login", Denied: Dialogue.refused() })
        },
        otherwise: { server: "Wrong" }
      }) {}
      const server = (tries: number) =>
        Trying.server((login) =>
          Effect.gen(function*() {
            let now = yield* login.receive
            for (let i = 1; i < tries; i++) now = yield* (yield* now.then.say("Again")).receive
            return yield* now.then.refuse("Denied")
          })
        )
      const outcome = yield* outcomeOf(server(4), utf8("LOGIN\nLOGIN\nLOGIN\nLOGIN\n"))
      expect(outcome.heard).toBe("AGAIN\nAGAIN\n")
      expect(outcome.result).toMatchObject({
        step: "verdict",
        reason: {
          _tag: "MalformedFrame",
          fault: "local",
          problem:
            "Again cannot be said: it leads to login, which may be come to at most 3 times; Open or Denied can be said"
        }
      })
      const inside = yield* outcomeOf(server(3), utf8("LOGIN\nLOGIN\nLOGIN\n"))
      expect(inside).toMatchObject({
        heard: "AGAIN\nAGAIN\nNO\n",
        result: { reason: { _tag: "Rejected", by: "local" } }
      })
    }))

  it.effect("whoever is left nothing to say but no says what is said otherwise, and it is the other side's fault", () =>
    Effect.gen(function*() {
      class Closing extends Dialogue.make<Closing>()({
        name: "closing",
        messages: { Ask: {}, Again: {}, Enough: {}, No: {}, Wrong: {} },
        wire: Wire.text(Codec.lines(), { Ask: "ASK", Again: "AGAIN", Enough: "ENOUGH", No: "NO", Wrong: "WRONG" }),
        live: Codec.lines(),
        start: "question",
        states: {
          question: Dialogue.client({ Ask: "answer", Enough: Dialogue.ready }, { atMost: 2 }),
          answer: Dialogue.server({ Again: "question", No: Dialogue.refused() })
        },
        otherwise: { server: "Wrong" }
      }) {}
      const server = Closing.server((question) =>
        Effect.gen(function*() {
          let now = yield* question.receive
          while (now._tag === "Ask") now = yield* (yield* now.then.say("Again")).receive
          return now.then
        })
      )
      const outcome = yield* outcomeOf(server, utf8("ASK\nASK\nENOUGH\n"))
      expect(outcome.heard).toBe("AGAIN\nWRONG\n")
      expect(outcome.result).toMatchObject({
        step: "answer",
        reason: { _tag: "InvalidGreeting", expected: "question at most 2 times" }
      })
      const inside = yield* outcomeOf(server, utf8("ASK\nENOUGH\n"))
      expect(inside).toMatchObject({ result: "ready", heard: "AGAIN\n" })
    }))

  it.effect("a state that is come to more often fails", () =>
    Effect.gen(function*() {
      const { heard, result } = yield* outcomeOf(asked, utf8("ASK\nASK\nASK\nENOUGH\n"))
      expect(heard).toBe("TOLD\nTOLD\n")
      expect(result).toMatchObject({ step: "question", reason: { expected: "question at most 3 times" } })
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Mistakes of this side
// ---------------------------------------------------------------------------------------------------------------------

describe("a mistake of this side", () => {
  it.effect("a state that is used twice is a defect, which names it and both uses", () =>
    Effect.gen(function*() {
      const twice = Vault.client((greeting) =>
        Effect.gen(function*() {
          yield* greeting.say("Hello", { version: 2 })
          const challenge = yield* greeting.say("Hello", { version: 2 })
          return yield* Effect.die(challenge)
        })
      )
      const exit = (yield* agree(server, twice)).client
      expect(String(exit)).toContain("the state greeting of vault was used up by say Hello, and then came say Hello")
    }))

  it.effect("a message that would be read as another one is not said", () =>
    Effect.gen(function*() {
      const shifty = Vault.server((greeting) =>
        Effect.gen(function*() {
          const { then } = yield* greeting.receive
          return yield* then.refuse("Denied", { code: "two\nlines" })
        })
      )
      const { heard, result } = yield* outcomeOf(shifty, utf8("HELLO 2\n"))
      expect(heard).toBe("")
      expect(result).toMatchObject({ step: "challenge" })
    }))

  it.effect("what does not fit its Schema fails at its state, and shows no secret", () =>
    Effect.gen(function*() {
      const wrong = Vault.client((greeting) =>
        Effect.gen(function*() {
          const challenge = yield* greeting.say("Hello", { version: 1.5 })
          return yield* Effect.die(challenge)
        })
      )
      const error = errorOf((yield* agree(server, wrong)).client)
      expect(error).toMatchObject({ step: "greeting", fault: "local", reason: { _tag: "MalformedFrame" } })
      expect(error.message).toContain("Hello cannot be said")
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Both sides at once, and TLS
// ---------------------------------------------------------------------------------------------------------------------

describe("both sides at once", () => {
  class Hello extends Dialogue.make<Hello>()({
    name: "hello",
    messages: { Hello: { features: Schema.Array(Schema.String) }, Never: {} },
    live: Codec.lines(),
    start: "hello",
    states: { hello: Dialogue.both({ Hello: Dialogue.ready, Never: Dialogue.refused() }) }
  }) {}
  const having = (...features: ReadonlyArray<string>) => ({
    server: Hello.server((hello) =>
      Effect.map(
        hello.exchange("Hello", { features }),
        ({ message, then }) =>
          Transport.extend(then, { common: message.features.filter((feature) => features.includes(feature)) })
      )
    ),
    client: Hello.client((hello) =>
      Effect.map(
        hello.exchange("Hello", { features }),
        ({ message, then }) =>
          Transport.extend(then, { common: message.features.filter((feature) => features.includes(feature)) })
      )
    )
  })

  it.effect("each says what it has, and hears what the other has", () =>
    Effect.gen(function*() {
      const ends = yield* agree(having("a", "b").server, having("b", "c").client)
      expect([(yield* ends.server).common, (yield* ends.client).common]).toEqual([["b"], ["b"]])
    }))

  it.effect("one that refuses is Rejected for the other", () =>
    Effect.gen(function*() {
      const never = Hello.client((hello) => hello.refuse("Never"))
      const ends = yield* agree(having("a").server, never)
      expect(errorOf(ends.server)).toMatchObject({ step: "hello", reason: { _tag: "Rejected", by: "peer" } })
      expect(errorOf(ends.client)).toMatchObject({ step: "hello", reason: { _tag: "Rejected", by: "local" } })
    }))
})

it.effect("what is no message is shown where its side has no secrets, and never where it has", () =>
  Effect.gen(function*() {
    const atClient = yield* outcomeOf(client(2, ""), utf8("NONSENSE 7\n"))
    expect(atClient.result).toMatchObject({ step: "challenge", reason: { received: `"NONSENSE 7"` } })
    const atServer = yield* outcomeOf(server, utf8("NONSENSE 7\n"))
    expect(atServer.result).toMatchObject({ step: "greeting", reason: { received: "<redacted>" } })
  }))

describe("TLS in the middle", () => {
  class Mail extends Dialogue.make<Mail>()({
    name: "mail",
    messages: { StartTls: {}, GoAhead: {}, Login: { user: Schema.String }, Ok: {} },
    wire: Wire.text(Codec.lines({ ending: "\r\n" }), {
      StartTls: "STARTTLS",
      GoAhead: "220 go ahead",
      Login: "LOGIN {user}",
      Ok: "250 ok"
    }),
    live: Codec.lines(),
    start: "clear",
    states: {
      clear: Dialogue.client({ StartTls: "offered" }),
      offered: Dialogue.server({ GoAhead: Dialogue.encrypted("login") }),
      login: Dialogue.client({ Login: "verdict" }),
      verdict: Dialogue.server({ Ok: Dialogue.ready })
    }
  }) {}
  const tls = { certificate: Certificates.server }
  const server = Mail.server((clear) =>
    Effect.gen(function*() {
      const { then: offered } = yield* clear.receive
      const securing = yield* offered.say("GoAhead")
      const login = yield* securing.startTls(tls)
      return yield* (yield* login.receive).then.say("Ok")
    })
  ).pipe(Effect.provide(NodeTls.layer))
  const client = Mail.client((clear) =>
    Effect.gen(function*() {
      const offered = yield* clear.say("StartTls")
      const { then: securing } = yield* offered.receive
      const login = yield* securing.startTls({ servername: "localhost", ca: Certificates.root })
      const verdict = yield* login.say("Login", { user: "ann" })
      return (yield* verdict.receive).then
    })
  ).pipe(Effect.provide(NodeTls.layer))

  it.live("both sides come to the end, encrypted", () =>
    Effect.gen(function*() {
      const ends = yield* agree(server, client)
      expect((yield* (yield* ends.server).peer).tls).toMatchObject({ version: "TLSv1.3" })
      expect(Exit.isSuccess(ends.client)).toBe(true)
    }))

  it.live("what a client says in clear behind STARTTLS is never read as encrypted", () =>
    Effect.gen(function*() {
      const { heard, result } = yield* outcomeOf(server, utf8("STARTTLS\r\nLOGIN eve\r\n"))
      expect(result).toMatchObject({ reason: { _tag: "UnreadBytes" } })
      expect(heard).not.toContain("250")
    }))

  it.effect("where TLS has failed, nothing is said otherwise", () =>
    Effect.gen(function*() {
      class Strict extends Dialogue.make<Strict>()({
        name: "strict",
        messages: { StartTls: {}, GoAhead: {}, Ok: {}, No: {} },
        wire: Wire.text(Codec.lines(), { StartTls: "STARTTLS", GoAhead: "GO", Ok: "OK", No: "NO" }),
        live: Codec.lines(),
        start: "clear",
        states: {
          clear: Dialogue.client({ StartTls: "offered" }),
          offered: Dialogue.server({ GoAhead: Dialogue.encrypted("inside") }),
          inside: Dialogue.server({ Ok: Dialogue.ready })
        },
        otherwise: { server: "No" }
      }) {}
      const strict = Strict.server((clear) =>
        Effect.gen(function*() {
          const securing = yield* (yield* clear.receive).then.say("GoAhead")
          return yield* (yield* securing.startTls(tls)).say("Ok")
        })
      )
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const served = yield* Effect.forkScoped(Effect.scoped(
        Effect.provideService(strict, Socket.Socket, ClearTls.over(here))
      ))
      yield* peer.say("STARTTLS\n")
      yield* Effect.yieldNow
      yield* peer.say("no TLS\n")
      expect(errorOf(yield* Fiber.await(served)).reason._tag).toBe("TlsFailure")
      yield* peer.closed
      expect(peer.heard()).toBe("GO\n")
    }))

  class Direct extends Dialogue.make<Direct>()({
    name: "direct",
    messages: { Secure: {}, Ok: {} },
    live: Codec.lines(),
    start: "clear",
    states: {
      clear: Dialogue.client({ Secure: Dialogue.encrypted("inside") }),
      inside: Dialogue.server({ Ok: Dialogue.ready })
    }
  }) {}

  it.live("a client that says that it begins may begin at once", () =>
    Effect.gen(function*() {
      const ends = yield* agree(
        Direct.server((clear) =>
          Effect.gen(function*() {
            const { then: securing } = yield* clear.receive
            return yield* (yield* securing.startTls(tls)).say("Ok")
          })
        ).pipe(Effect.provide(NodeTls.layer)),
        Direct.client((clear) =>
          Effect.gen(function*() {
            const securing = yield* clear.say("Secure")
            const inside = yield* securing.startTls({ servername: "localhost", ca: Certificates.root })
            return (yield* inside.receive).then
          })
        ).pipe(Effect.provide(NodeTls.layer))
      )
      expect([Exit.isSuccess(ends.server), Exit.isSuccess(ends.client)]).toEqual([true, true])
    }))
})

// ---------------------------------------------------------------------------------------------------------------------
// Turned away
// ---------------------------------------------------------------------------------------------------------------------

describe("a server that turns everybody away", () => {
  it.effect("says what it says otherwise, and its client is Rejected", () =>
    Effect.gen(function*() {
      const ends = yield* agree(Handshake.turnAway(server, "capacity"), client(2, ""))
      expect(errorOf(ends.client)).toMatchObject({ step: "challenge", reason: { _tag: "Rejected", by: "peer" } })
    }))

  it.effect("says it in the words of the state in which a handshake is cut off", () =>
    Effect.gen(function*() {
      class Mixed extends Dialogue.make<Mixed>()({
        name: "mixed",
        messages: { Hello: {}, Ask: {}, Answer: {}, Ok: {}, No: {} },
        wire: Wire.text(Codec.lines(), { Hello: "HELLO", Ask: "?", Answer: "!", Ok: "OK", No: "NO" }),
        live: Codec.lines(),
        start: "greeting",
        states: {
          greeting: Dialogue.client({ Hello: "question" }),
          question: Dialogue.server({ Ask: "answer" }),
          answer: Dialogue.client({ Answer: "verdict" }, { wire: Wire.json() }),
          verdict: Dialogue.server({ Ok: Dialogue.ready })
        },
        otherwise: { server: "No" }
      }) {}
      const mixed = Mixed.server((greeting) =>
        Effect.gen(function*() {
          const answer = yield* (yield* greeting.receive).then.say("Ask")
          return yield* (yield* answer.receive).then.say("Ok")
        })
      )
      const network = yield* MemorySocket.network()
      yield* Effect.provideService(
        Server.make({ handshake: mixed, serve: () => Effect.never, handshakeTimeout: "1 second" }),
        SocketServer.SocketServer,
        network.server
      )
      const peer = yield* rawPeer(network.client)
      yield* peer.write(utf8("HELLO\n"))
      yield* TestClock.adjust("1 second")
      yield* peer.end
      yield* peer.closed
      expect(peer.heard()).toBe(`?\n{"_tag":"No"}\n`)
    }))

  it.effect("may say something else in each state", () =>
    Effect.gen(function*() {
      class Stepwise extends Dialogue.make<Stepwise>()({
        name: "stepwise",
        messages: { A: {}, B: {}, Ok: {}, No: { where: Schema.String } },
        wire: Wire.text(Codec.lines(), { A: "A", B: "B", Ok: "OK", No: "NO {where}" }),
        live: Codec.lines(),
        start: "first",
        states: {
          first: Dialogue.client({ A: "second" }),
          second: Dialogue.client({ B: "last" }),
          last: Dialogue.server({ Ok: Dialogue.ready })
        },
        otherwise: { server: (_, state) => ({ _tag: "No", where: state }) }
      }) {}
      const stepwise = Stepwise.server((first) =>
        Effect.gen(function*() {
          const second = (yield* first.receive).then
          return yield* (yield* second.receive).then.say("Ok")
        })
      )
      expect((yield* outcomeOf(stepwise, utf8("B\n"))).heard).toBe("NO first\n")
      expect((yield* outcomeOf(stepwise, utf8("A\nA\n"))).heard).toBe("NO second\n")
    }))

  it.effect("may say something else for each reason", () =>
    Effect.gen(function*() {
      class Full extends Dialogue.make<Full>()({
        name: "full",
        messages: { Hello: {}, Ok: {}, No: { why: Schema.String } },
        wire: Wire.text(Codec.lines(), { Hello: "HELLO", Ok: "OK", No: "NO {why}" }),
        live: Codec.lines(),
        start: "greeting",
        states: { greeting: Dialogue.client({ Hello: "verdict" }), verdict: Dialogue.server({ Ok: Dialogue.ready }) },
        otherwise: {
          server: (why, _, retryAfter) => {
            const again = retryAfter === undefined ? "" : `, ${Duration.toSeconds(retryAfter)} s`
            return why === "draining"
              ? undefined
              : { _tag: "No", why: `${typeof why === "string" ? why : why._tag}${again}` }
          }
        }
      }) {}
      const server = Full.server((greeting) => Effect.flatMap(greeting.receive, ({ then }) => then.say("Ok")))
      const heard = (said: Side<Transport.Transport<string, string>>) =>
        Effect.map(outcomeOf(said, utf8("HELLO?\n")), ({ heard }) => heard)
      expect(yield* heard(server)).toBe("NO InvalidGreeting\n")
      expect(yield* heard(Handshake.turnAway(server, "capacity"))).toBe("NO capacity\n")
      expect(yield* heard(Handshake.turnAway(server, "rate", { retryAfter: "30 seconds" }))).toBe("NO rate, 30 s\n")
      // Whoever has nothing to say opens nothing.
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      expect(Exit.isFailure(yield* ending(Handshake.turnAway(server, "draining"), here))).toBe(true)
      expect(peer.heard()).toBe("")
    }))
})

describe("who comes at a bad time", () => {
  const away = Effect.fnUntraced(function*(
    states: { readonly question: Readonly<Record<string, ReturnType<typeof Dialogue.refused>>> },
    otherwise: string
  ) {
    class Room extends Dialogue.make<Room>()({
      name: "room",
      wire: Wire.json(),
      messages: { Hello: {}, Ask: {}, Busy: {}, Denied: {}, Word: {}, Welcome: {} },
      live: Codec.lines(),
      start: "greeting",
      states: {
        greeting: Dialogue.client({ Hello: "question" }),
        question: Dialogue.server({ Ask: "word", ...states.question } as { readonly Ask: "word" }),
        word: Dialogue.client({ Word: "verdict" }),
        verdict: Dialogue.server({
          Welcome: Dialogue.ready,
          Busy: Dialogue.refused(),
          Denied: Dialogue.refused({ retryable: false })
        })
      },
      otherwise: { server: otherwise as "Denied" }
    }) {}
    const server = Room.server((greeting) => Effect.flatMap(greeting.receive, () => Effect.never))
    const { heard } = yield* outcomeOf(Handshake.turnAway(server, "capacity"), utf8(`{"_tag":"Hello"}\n`))
    return heard
  })

  it.effect("hears the refusal that is worth another try, where what is said otherwise is for good", () =>
    Effect.gen(function*() {
      expect(yield* away({ question: { Busy: Dialogue.refused() } }, "Denied")).toBe(`{"_tag":"Busy"}\n`)
    }))

  it.effect("hears what is said otherwise, where that is worth another try", () =>
    Effect.gen(function*() {
      const question = { Busy: Dialogue.refused(), Denied: Dialogue.refused() }
      expect(yield* away({ question }, "Busy")).toBe(`{"_tag":"Busy"}\n`)
    }))

  it.effect("hears what is said otherwise, where no other refusal is due then, or that is for good, too", () =>
    Effect.gen(function*() {
      expect(yield* away({ question: {} }, "Denied")).toBe(`{"_tag":"Denied"}\n`)
      const question = { Busy: Dialogue.refused({ retryable: false }) }
      expect(yield* away({ question }, "Denied")).toBe(`{"_tag":"Denied"}\n`)
    }))
})

describe("a varint with a bound", () => {
  class Short extends Dialogue.make<Short>()({
    name: "short",
    messages: { Login: { name: Schema.String }, Wait: { seconds: Schema.Int } },
    wire: Wire.bytes({
      Login: [0x10, Wire.sized({ varint: 2 }, [Wire.string("name", { rest: true })])],
      Wait: [0x20, Wire.varint("seconds", { maxBytes: 2 })]
    }),
    live: Codec.bytes,
    start: "login",
    states: { login: Dialogue.client({ Login: "wait" }), wait: Dialogue.server({ Wait: Dialogue.ready }) }
  }) {}
  const server = (seconds: number) =>
    Short.server((login) => Effect.flatMap(login.receive, ({ then }) => then.say("Wait", { seconds })))
  const resultOf = (said: Uint8Array, seconds = 0) =>
    Effect.map(outcomeOf(server(seconds), said), ({ result }) => result)
  const named = Uint8Array.of(0x10, 1, 0x61)

  it.effect("takes as many bytes as it says, and not one more", () =>
    Effect.gen(function*() {
      const name = new Uint8Array(128).fill(0x61)
      expect(yield* resultOf(join([Uint8Array.of(0x10, 0x80, 1), name]))).toBe("ready")
      expect(yield* resultOf(Uint8Array.of(0x10, 0x80, 0x80, 1))).toMatchObject({
        step: "login",
        reason: { _tag: "MalformedFrame", problem: "a number is too large" }
      })
    }))

  it.effect("says no number that needs more", () =>
    Effect.gen(function*() {
      expect(yield* resultOf(named, 128 ** 2 - 1)).toBe("ready")
      expect(yield* resultOf(named, 128 ** 2)).toMatchObject({
        step: "wait",
        reason: { problem: "Wait cannot be said: 16384 does not fit into a varint of 2 bytes", fault: "local" }
      })
    }))
})

describe("constants tell messages in bytes apart", () => {
  const text = Wire.string("x", { prefix: 2 })
  const due = ["A", "B"]
  const bound = (a: ReadonlyArray<Wire.PartLike>, b: ReadonlyArray<Wire.PartLike>) =>
    Wire.bytes({ A: a, B: b } as never).bind({ A: { x: Schema.String }, B: { x: Schema.String } })
  const behind: ReadonlyArray<readonly [what: string, front: ReadonlyArray<Wire.PartLike>]> = [
    ["a text with its length before it", [0x10, text]],
    ["a text with an ending", [0x10, Wire.string("x", { ending: "\0" })]],
    ["a text of a known length", [0x10, Wire.string("x", { length: 3 })]]
  ]
  for (const [what, front] of behind) {
    it(`behind ${what}`, () => {
      const wire = bound([...front, 0xc2], [...front, 0xc6])
      for (const tag of due) expect(Result.isSuccess(wire.write(tag, { x: "abc" }, due)), tag).toBe(true)
    })
  }

  it("behind a length that is a varint, of one byte and of two", () => {
    const sized = (flags: number) => [0x10, Wire.sized({ varint: 4 }, [flags, text])]
    const wire = bound(sized(0xc2), sized(0xc6))
    for (const tag of due) {
      for (const x of ["a", "a".repeat(200)]) expect(Result.isSuccess(wire.write(tag, { x }, due)), tag).toBe(true)
    }
  })

  it("and nothing is waited for where there is no room for them", () => {
    const sized = (flags: number) => [0x10, Wire.sized({ varint: 4 }, [text, flags])]
    const codec = bound(sized(0xc2), sized(0xc6)).codec(due)
    expect(() => Codec.decodeAll(codec, Uint8Array.of(0x10, 2, 0, 0))).toThrow("a part is longer than what it is in")
  })

  it("and nothing is waited for where the first of them is over", () => {
    const wire = bound([0x10, text], [0x10, text, 0xc6])
    expect(Codec.decodeAll(wire.codec(due), Uint8Array.of(0x10, 0, 1, 0x61))).toHaveLength(1)
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Specifications that are wrong
// ---------------------------------------------------------------------------------------------------------------------

describe("a specification that is wrong", () => {
  const good = {
    name: "x",
    messages: { A: {}, B: {} },
    wire: Wire.text(Codec.lines(), { A: "A", B: "B" }) as Wire.Wire<string>,
    live: Codec.lines(),
    start: "a",
    states: { a: Dialogue.client({ A: "b" }), b: Dialogue.server({ B: Dialogue.ready }) }
  }
  // Most of it would not compile.
  const made = (change: object) => () => Dialogue.make()({ ...good, ...change } as never)

  it("that is right is made", () => {
    expect(made({})).not.toThrow()
  })

  const mistakes: Record<string, readonly [change: object, says: string | RegExp]> = {
    "it starts nowhere": [{ start: "z" }, "dialogue x: it starts in z, and there is no such state"],
    "a message leads nowhere": [
      { states: { ...good.states, b: Dialogue.server({ B: "c" }) } },
      "dialogue x: B in the state b leads to c, and there is no such state"
    ],
    "a message is none": [
      { states: { ...good.states, b: Dialogue.server({ C: Dialogue.ready }) } },
      "dialogue x: C in the state b is no message"
    ],
    "nothing leads to a state": [
      { states: { ...good.states, c: Dialogue.client({ A: Dialogue.ready }) } },
      "dialogue x: nothing leads to the state c"
    ],
    "no way leads to the end": [
      { states: { ...good.states, b: Dialogue.server({ B: "a" }) } },
      "dialogue x: no way leads from the state a to an end that is ready"
    ],
    "there is nothing to say but no": [
      { states: { ...good.states, b: Dialogue.server({ B: Dialogue.refused() }) } },
      "dialogue x: in the state b there is nothing to say but no"
    ],
    "a message is said nowhere": [
      { messages: { A: {}, B: {}, C: {} } },
      "dialogue x: the message C is said in no state"
    ],
    "both speak, and part": [
      { states: { a: Dialogue.both({ A: "b", B: Dialogue.ready }), b: Dialogue.server({ B: Dialogue.ready }) } },
      "dialogue x: both sides speak in the state a, so all that they say has to lead to the same place"
    ],
    "nobody can tell two messages apart": [
      {
        messages: { A: { x: Schema.String }, B: { y: Schema.String } },
        wire: Wire.text(Codec.lines(), { A: "A {x}", B: "A {y}" }),
        states: { a: Dialogue.client({ A: Dialogue.ready, B: Dialogue.ready }) }
      },
      /^dialogue x: in the state a nobody can tell A from B$/
    ],
    "a layout stands behind one that is taken for it": [
      {
        ...good,
        messages: { A: { x: Schema.Int }, B: { x: Schema.Int } },
        wire: Wire.bytes({
          A: [Wire.sized("varint", [Wire.uint("x", 1)])],
          B: [Wire.sized("varint", [0, Wire.uint("x", 1)])]
        }),
        states: { a: Dialogue.client({ A: "b", B: "b" }), b: Dialogue.server({ B: Dialogue.ready }) }
      },
      "dialogue x: in the state a nobody can tell A from B"
    ],
    "a message stands behind one that it is a special case of": [
      {
        messages: { A: { x: Schema.Int }, B: {}, C: {} },
        wire: Wire.bytes({ A: [5, Wire.uint("x", 1)], B: [5, 3], C: [6] }),
        states: { a: Dialogue.client({ C: Dialogue.ready, A: Dialogue.ready, B: Dialogue.ready }) }
      },
      /in the state a nobody can tell A from B: put B before A$/
    ],
    "nobody can tell two layouts apart": [
      {
        messages: { A: { x: Schema.Int }, B: { y: Schema.Int } },
        wire: Wire.bytes({ A: [Wire.uint("x", 1)], B: [Wire.uint("y", 1)] }),
        states: { a: Dialogue.client({ A: Dialogue.ready, B: Dialogue.ready }) }
      },
      /^dialogue x: in the state a nobody can tell A from B$/
    ],
    "a template has no such field": [
      { wire: Wire.text(Codec.lines(), { A: "A {x}", B: "B" }) },
      "dialogue x: the template of A has {x}, and the message has no such field"
    ],
    "a template has no place for a field": [
      { messages: { A: { x: Schema.String }, B: {} } },
      "dialogue x: the template of A has no place for its field x"
    ],
    "a template has nothing between two fields": [
      {
        messages: { A: { x: Schema.String, y: Schema.String }, B: {} },
        wire: Wire.text(Codec.lines(), { A: "A {x}{y}", B: "B" })
      },
      "dialogue x: the template of A: nothing between {x} and {y}"
    ],
    "nothing says where a field ends": [
      {
        messages: { A: { x: Schema.String }, B: {} },
        wire: Wire.bytes({ A: [1, Wire.string("x", { rest: true })], B: [2] })
      },
      "dialogue x: the layout of A: nothing says where its last field ends"
    ],
    "a Schema encodes to something else than a layout has": [
      {
        messages: { A: { x: Schema.String }, B: {} },
        wire: Wire.bytes({ A: [1, Wire.sized(1, [Wire.uint("x", 2)])], B: [2] })
      },
      "dialogue x: the field x of A is a number in bytes, and its Schema encodes to none"
    ],
    "a secret Schema encodes to something else than a layout has": [
      {
        messages: { A: { x: Schema.Redacted(Schema.Uint8Array) }, B: {} },
        wire: Wire.bytes({ A: [1, Wire.string("x", { length: 2 })], B: [2] })
      },
      "dialogue x: the field x of A is a text in bytes, and its Schema encodes to none"
    ],
    "what is said otherwise cannot be said": [
      {
        messages: { A: {}, B: { x: Schema.Int } },
        wire: Wire.text(Codec.lines(), { A: "A", B: "B {x}" }),
        otherwise: { server: { _tag: "B", x: "y" } }
      },
      "dialogue x: B, which is said to whoever breaks the rules: "
    ],
    "a refusal has no such field": [
      {
        states: {
          ...good.states,
          b: Dialogue.server({ B: Dialogue.ready, A: Dialogue.refused({ codeField: "kode" }) })
        }
      },
      "dialogue x: A in the state b has no field kode"
    ],
    "a state may never be come to": [
      { states: { ...good.states, a: Dialogue.client({ A: "b" }, { atMost: 0 }) } },
      "dialogue x: the state a may be come to 0 times"
    ]
  }
  for (const [name, [change, says]] of Object.entries(mistakes)) {
    it(`is told: ${name}`, () => {
      expect(made(change)).toThrow(says)
    })
  }
})
