/**
 * Sides that are written down by what they say in each state: they do what those do that are written as functions, in a fiber and on
 * the events of a connection.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Net from "../../src/node/Net.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Server from "../../src/Server.ts"
import * as Fast from "../../src/testing/internal/fast.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Rung from "../../src/testing/Rung.ts"
import type * as Transport from "../../src/Transport.ts"
import * as Wire from "../../src/Wire.ts"
import * as Certificates from "../support/certificates/index.ts"
import { rawPeer, utf8 } from "../support/conversation.ts"
import * as Law from "../support/laws.ts"
import * as Tcp from "../support/tcp.ts"
import { Friends } from "./gallery/friends.ts"
import * as Smtp from "./shapes/smtp.ts"
import * as Socks from "./shapes/socks5.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The laws
// ---------------------------------------------------------------------------------------------------------------------

const password = "correct horse"
const word = "Kernbeisser"
const nowhere = { host: new Uint8Array(4), port: 0 }
const plain = Redacted.make(Buffer.from(`\0ann\0${password}`).toString("base64"))

const noLogin = new HandshakeError.AuthenticationFailed({ method: "login", detail: "no such login", fault: "peer" })

const options = { it: Law.it, rungs: [Rung.pure, Rung.fast(Rung.pure)], runs: 10 }

describe("SOCKS5 in turns", () => {
  const server = Socks.Socks.serverTurns({
    method: ({ message }) => message.methods.includes(2) ? "UseLogin" : "NoMethod",
    // Whoever looks logins up has to wait for it.
    verdict: ({ message: { password: given, user } }) =>
      Effect.map(
        Effect.sleep("1 millis"),
        () =>
          user === "ann" && Redacted.value(given) === password
            ? "Welcome"
            : Dialogue.because({ _tag: "WrongLogin", status: 1 }, noLogin)
      ),
    reply: { _tag: "Connected", ...nowhere }
  })
  const client = Socks.Socks.clientTurns({
    greeting: { _tag: "Methods", methods: [2] },
    login: { _tag: "Login", user: "ann", password: Redacted.make(password) },
    request: { _tag: "Connect", host: Uint8Array.of(127, 0, 0, 1), port: 80 }
  })
  Laws.dialogue(Socks.Socks, { ...options, server, client })
})

describe("SMTP in turns", () => {
  const server = Smtp.Mail.serverTurns({
    banner: { _tag: "Banner", text: "mail.example" },
    extensions: { _tag: "More", text: "mail.example\n250-STARTTLS\n250 AUTH PLAIN" },
    tls: { _tag: "GoAhead", text: "go ahead" },
    verdict: ({ message: { login } }) =>
      Redacted.value(login) === Redacted.value(plain)
        ? { _tag: "Welcome", text: "ok" }
        : Dialogue.because({ _tag: "WrongLogin", text: "no such login" }, noLogin)
  }, { tls: { certificate: Certificates.server } })
  const client = Smtp.Mail.clientTurns({
    hello: { _tag: "Ehlo", domain: "client.example" },
    open: (_, earlier) => earlier.some(({ _tag }) => _tag === "GoAhead") ? { _tag: "Auth", login: plain } : "StartTls"
  }, { tls: Effect.succeed({ servername: "localhost", ca: Certificates.root }) })
  Laws.dialogue(Smtp.Mail, { ...options, server, client })
})

describe("two who speak at once, in turns", () => {
  const turns = { hello: { _tag: "Hello", version: 2, word: Redacted.make(word) } } as const
  const checks = {
    hello: ({ message }: { readonly message: { readonly version: number; readonly word: Redacted.Redacted } }) =>
      message.version !== 2
        ? new HandshakeError.UnsupportedVersion({ offered: `${message.version}`, supported: ["2"] })
        : Redacted.value(message.word) !== word
        ? new HandshakeError.AuthenticationFailed({ method: "word", detail: "another", fault: "peer" })
        : undefined
  }
  Laws.dialogue(Friends, {
    ...options,
    server: Friends.serverTurns(turns, { checks }),
    client: Friends.clientTurns(turns, { checks })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// What is said, and how it ends
// ---------------------------------------------------------------------------------------------------------------------

class Knock extends Dialogue.make<Knock>()({
  name: "knock",
  messages: { Hello: { name: Schema.String }, Word: { word: Schema.String }, More: {}, Welcome: {}, No: {}, Wrong: {} },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO {name}",
    Word: "WORD {word}",
    More: "MORE",
    Welcome: "WELCOME",
    No: "NO",
    Wrong: "WRONG"
  }),
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "asking" }),
    asking: Dialogue.server({ More: "answer", No: Dialogue.refused({ retryable: false }) }),
    answer: Dialogue.client({ Word: "verdict" }),
    verdict: Dialogue.server({ Welcome: Dialogue.ready, More: "answer", No: Dialogue.refused() })
  },
  otherwise: { server: "Wrong" }
}) {}

describe("a side in turns that never waits", () => {
  const server = Knock.serverTurns({
    asking: ({ message }) => message.name === "Ann" ? "More" : "No",
    verdict: ({ message }) => message.word === "please" ? "Welcome" : Dialogue.because("No", noLogin)
  })
  const client = Knock.clientTurns({
    greeting: { _tag: "Hello", name: "Ann" },
    answer: { _tag: "Word", word: "please" }
  })
  Laws.dialogue(Knock, { ...options, name: "knock in turns", server, client })
})

class Lost extends Data.TaggedError("Lost") {}

type Ready = Effect.Effect<Transport.Transport.Any, unknown, Socket.Socket | Scope.Scope>

/** How a server is played by a client that says these lines, in a fiber or by a `Server`, and what it has said itself. */
const ways = {
  "in a fiber": (server: Ready, said: string) =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(here)
      yield* Effect.andThen(peer.say(said), peer.end)
      const exit = yield* Effect.exit(Effect.scoped(Effect.provideService(server, Socket.Socket, there)))
      yield* peer.closed
      return { exit, heard: peer.heard() }
    }),
  "on events": (server: Ready, said: string) =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(here)
      const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
      yield* Effect.forkScoped(Fast.serve({
        socket: yield* Fast.accepted(there),
        handshake: server,
        serve: () => Effect.andThen(Deferred.succeed(ended, Exit.void), Effect.void),
        handshakeTimeout: "1 minute",
        onEvent: (event) => {
          if (event._tag === "Failed" || event._tag === "Refused") {
            Deferred.doneUnsafe(ended, Exit.succeed(Exit.fail(event.error)))
          }
        }
      }))
      yield* Effect.andThen(peer.say(said), peer.end)
      yield* peer.closed
      return { exit: yield* Deferred.await(ended), heard: peer.heard() }
    })
}

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

for (const [name, play] of Object.entries(ways)) {
  describe(name, () => {
    it.effect("a turn is always the same message, or a function of what was heard", () =>
      Effect.gen(function*() {
        const server = Knock.serverTurns({
          asking: "More",
          verdict: (heard) => heard._tag === "Word" && heard.message.word === "please" ? { _tag: "Welcome" } : "More"
        })
        const { exit, heard } = yield* play(server, "HELLO Ann\nWORD now\nWORD please\n")
        expect(Exit.isSuccess(exit)).toBe(true)
        expect(heard).toBe("MORE\nMORE\nWELCOME\n")
      }))

    it.effect("a turn is given all that was heard before, in order", () =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const server = Knock.serverTurns({
          asking: "More",
          verdict: (heard, earlier) => {
            seen.push([...earlier, heard])
            return earlier.length === 2 ? "Welcome" : "More"
          }
        })
        yield* play(server, "HELLO Ann\nWORD a\nWORD b\n")
        const hello = { _tag: "Hello", message: { name: "Ann" } }
        const [a, b] = ["a", "b"].map((word) => ({ _tag: "Word", message: { word } }))
        expect(seen).toEqual([[hello, a], [hello, a, b]])
      }))

    it.effect("a turn that says no ends the handshake as rejected, or with the reason that it gives", () =>
      Effect.gen(function*() {
        const rejected = yield* play(Knock.serverTurns({ asking: "No", verdict: "Welcome" }), "HELLO Ann\n")
        expect(errorOf(rejected.exit)).toMatchObject({
          step: "asking",
          reason: { _tag: "Rejected", by: "local", retryable: false }
        })
        expect(rejected.heard).toBe("NO\n")
        const server = Knock.serverTurns({ asking: () => Dialogue.because("No", noLogin), verdict: "Welcome" })
        const refused = yield* play(server, "HELLO Ann\n")
        expect(errorOf(refused.exit)).toMatchObject({ step: "asking", reason: noLogin })
        expect(refused.heard).toBe("NO\n")
      }))

    it.effect("a turn may have to wait, and the handshake goes on when it need not any more", () =>
      Effect.gen(function*() {
        const server = Knock.serverTurns({
          asking: () => Effect.as(Effect.yieldNow, "More" as const),
          verdict: () => Effect.succeed("Welcome" as const)
        })
        const { exit, heard } = yield* play(server, "HELLO Ann\nWORD please\n")
        expect(Exit.isSuccess(exit)).toBe(true)
        expect(heard).toBe("MORE\nWELCOME\n")
      }))

    it.effect("a turn that fails ends the handshake with its error, and the other side hears of what is its fault", () =>
      Effect.gen(function*() {
        const lost = new Lost()
        const own = yield* play(
          Knock.serverTurns({ asking: () => Effect.fail(lost), verdict: "Welcome" }),
          "HELLO Ann\n"
        )
        expect(errorOf(own.exit)).toBe(lost)
        expect(own.heard).toBe("")
        const reason = yield* play(
          Knock.serverTurns({ asking: () => Effect.fail(noLogin), verdict: "Welcome" }),
          "HELLO Ann\n"
        )
        expect(errorOf(reason.exit)).toMatchObject({ protocol: "knock", step: "asking", reason: noLogin })
        expect(reason.heard).toBe("WRONG\n")
      }))

    it.effect("a turn that throws is a defect, and the connection is closed", () =>
      Effect.gen(function*() {
        const server = Knock.serverTurns({
          asking: () => {
            throw new Lost()
          },
          verdict: "Welcome"
        })
        const { exit, heard } = yield* play(server, "HELLO Ann\n")
        expect(errorOf(exit)).toBeInstanceOf(Lost)
        expect(heard).toBe("")
      }))

    it.effect("what is said where it may not be is a defect that names the state", () =>
      Effect.gen(function*() {
        const server = Knock.serverTurns({ asking: () => "Welcome" as "More", verdict: "Welcome" })
        const { exit } = yield* play(server, "HELLO Ann\n")
        expect(String(errorOf(exit))).toBe("Error: Welcome cannot be said in the state asking")
      }))

    it.effect("what is not due is answered otherwise, behind a turn too", () =>
      Effect.gen(function*() {
        const { exit, heard } = yield* play(
          Knock.serverTurns({ asking: "More", verdict: "Welcome" }),
          "HELLO Ann\nHELLO Bob\n"
        )
        expect(errorOf(exit)).toMatchObject({ step: "answer", reason: { _tag: "InvalidGreeting" } })
        expect(heard).toBe("MORE\nWRONG\n")
      }))

    it.effect("a check looks at what was heard before anything follows it", () =>
      Effect.gen(function*() {
        const turns = { asking: "More", verdict: "Welcome" } as const
        const checked = Knock.serverTurns(turns, {
          checks: { greeting: ({ message }) => message.name === "Ann" ? undefined : noLogin }
        })
        expect((yield* play(checked, "HELLO Ann\nWORD a\n")).heard).toBe("MORE\nWELCOME\n")
        const { exit, heard } = yield* play(checked, "HELLO Bob\nWORD a\n")
        expect(errorOf(exit)).toMatchObject({ step: "greeting", reason: noLogin })
        expect(heard).toBe("WRONG\n")
      }))

    it.effect("a check may have to wait, and may fail", () =>
      Effect.gen(function*() {
        const turns = { asking: "More", verdict: "Welcome" } as const
        const checked = Knock.serverTurns(turns, {
          checks: { answer: ({ message }) => message.word === "please" ? Effect.yieldNow : Effect.fail(new Lost()) }
        })
        expect((yield* play(checked, "HELLO Ann\nWORD please\n")).heard).toBe("MORE\nWELCOME\n")
        const { exit, heard } = yield* play(checked, "HELLO Ann\nWORD now\n")
        expect(errorOf(exit)).toBeInstanceOf(Lost)
        expect(heard).toBe("MORE\n")
      }))
  })
}

describe("a script that is wrong", () => {
  const make = (turns: object, options?: object) => () => Knock.serverTurns(turns as never, options as never)
  const good = { asking: "More", verdict: "Welcome" }

  it("says nothing in a state in which it is to speak", () => {
    expect(make(good)).not.toThrow()
    expect(make({ asking: "More" })).toThrow("dialogue knock: the server has nothing to say in the state verdict")
  })

  it("speaks where it is not its turn", () => {
    expect(make({ ...good, answer: "Word" })).toThrow(
      "dialogue knock: there is no state answer in which the server speaks"
    )
  })

  it("says what may not be said", () => {
    expect(make({ ...good, asking: "Welcome" })).toThrow(
      "dialogue knock: the server cannot say Welcome in the state asking"
    )
    const socks = (status: number) => () =>
      Socks.Socks.serverTurns({
        method: "UseLogin",
        verdict: { _tag: "WrongLogin", status },
        reply: { _tag: "Connected", ...nowhere }
      })
    expect(socks(1)).not.toThrow()
    expect(socks(0)).toThrow(
      /^dialogue socks5: WrongLogin, which the server says in the state verdict: Expected .* at \["status"\]$/
    )
  })

  it("checks where nothing is heard", () => {
    expect(make(good, { checks: { answer: () => undefined } })).not.toThrow()
    expect(make(good, { checks: { verdict: () => undefined } })).toThrow(
      "dialogue knock: there is no state verdict in which the server hears anything"
    )
  })

  it("does not say how it becomes encrypted", () => {
    expect(() => Smtp.Mail.clientTurns({ hello: { _tag: "Ehlo", domain: "a" }, open: "StartTls" }, {} as never))
      .toThrow(
        "dialogue smtp: it becomes encrypted, and nobody has said how: give it `tls`"
      )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Without a fiber
// ---------------------------------------------------------------------------------------------------------------------

/** How many fibers begin while a connection is made, is served, and ends. */
const fibersOf = (
  handshake: typeof Line.server,
  serve: (transport: Transport.Transport<string, string>) => Effect.Effect<unknown, unknown>
) =>
  Effect.scoped(Effect.gen(function*() {
    let begun = 0
    const counting = Context.make(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {
        begun++
      },
      recordFiberEnd: () => {}
    })
    const socketServer = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
    yield* Effect.provideContext(
      Effect.provideService(Server.make({ handshake, serve }), SocketServer.SocketServer, socketServer),
      counting
    )
    if (socketServer.address._tag === "UnixPathAddress") return yield* Effect.die("it is TCP")
    const converse = Effect.fnUntraced(function*(port: number) {
      const peer = yield* Tcp.dial(port)
      yield* peer.say(utf8("You ready?\na\n"))
      yield* peer.hears("Bring it!\na\n")
      yield* peer.end
      return yield* peer.ended
    })
    // What the server has for all of its connections comes with the first one.
    yield* converse(socketServer.address.port)
    begun = 0
    expect(yield* converse(socketServer.address.port)).toBe("Bring it!\na\n")
    return begun
  }))

it.live("a handshake in turns and a service that answers at once cost no fiber", () =>
  Effect.gen(function*() {
    const serve = Pipeline.serve((line: string) => Effect.succeed(line))
    expect(yield* fibersOf(Line.server, serve)).toBe(0)
    // One for the handshake, and none behind it.
    expect(yield* fibersOf(Effect.map(Line.server, (transport) => transport), serve)).toBe(1)
    // None for the handshake, and one behind it.
    expect(yield* fibersOf(Line.server, (transport) => Effect.asVoid(serve(transport)))).toBe(1)
  }))

it.effect("a turn that drains its own server before it waits is cut off at once, in the words of the dialogue", () =>
  Effect.scoped(Effect.gen(function*() {
    const { server: socketServer, take } = yield* Fast.listener()
    let drain: Effect.Effect<void> = Effect.void
    const handshake = Knock.serverTurns({
      asking: () =>
        Effect.contextWith((context: Context.Context<never>) => {
          Effect.runForkWith(context)(drain)
          return Effect.never
        }),
      verdict: "Welcome"
    })
    const server = yield* Server.make({ handshake, serve: () => Effect.never }).pipe(
      Effect.provideService(SocketServer.SocketServer, socketServer)
    )
    drain = server.drain
    const accept = yield* take
    const [here, there] = yield* MemorySocket.pair()
    const peer = yield* rawPeer(here)
    accept(yield* Fast.accepted(there))
    yield* Effect.andThen(peer.say("HELLO Ann\n"), peer.end)
    // Not when the drain waits no longer, which is ten seconds later.
    yield* TestClock.adjust("1 second")
    yield* peer.closed
    expect(peer.heard()).toBe("WRONG\n")
    yield* server.awaitDrained
  })))
