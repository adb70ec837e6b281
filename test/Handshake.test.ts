import { describe, expect, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as HandshakeError from "../src/HandshakeError.ts"
import * as Line from "../src/protocols/Line.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transport from "../src/Transport.ts"
import { cutInto, outcomeOf, rawPeer, text, utf8 } from "./support/conversation.ts"

const lines = Transport.framed(Codec.lines({ maxLength: 64 }))

type Lines = Effect.Success<typeof lines>

class NotOurs extends Data.TaggedError("NotOurs")<{ readonly why: string }> {}

/** The server of the line protocol, written by hand. */
const byHand = Effect.gen(function*() {
  const transport = yield* lines
  const refuse = Handshake.refuse(transport, "No! Go away!")
  const greeting = yield* transport.run(Sink.head()).pipe(
    Effect.catchTag("TransportError", () => refuse)
  )
  if (Option.isNone(greeting)) return yield* refuse
  if (greeting.value !== "You ready?") {
    return yield* Handshake.refuse(
      transport,
      "No! Go away!",
      new HandshakeError.InvalidGreeting({ expected: "\"You ready?\"", received: JSON.stringify(greeting.value) })
    )
  }
  yield* transport.send("Bring it!")
  return transport
}).pipe(Handshake.named("line"))

describe("the two forms", () => {
  it.effect.prop(
    "the pipe of combinators and Effect.gen say and hear the same",
    [Schema.Literals(["You ready?\nHello\n", "You ready\n", "You ready?\r\n", "\n", "Hi\nYou ready?\n"]), Schema.Int],
    ([said, n]) =>
      Effect.gen(function*() {
        const options = { segments: cutInto([1 + (Math.abs(n) % 13)]) }
        const piped = yield* outcomeOf(Line.make({ maxLength: 64 }).server, utf8(said), options)
        const generated = yield* outcomeOf(byHand, utf8(said), options)
        expect(generated.heard).toBe(piped.heard)
        expect(generated.rest).toBe(piped.rest)
        expect(generated.result === "ready").toBe(piped.result === "ready")
      }),
    { arbitrary: { runs: 60 } }
  )
})

describe("expect", () => {
  const client = lines.pipe(
    Handshake.send("You ready?"),
    Handshake.expect("Bring it!", { rejections: ["No! Go away!", "Later!"] }),
    Handshake.named("line")
  )

  it.effect("takes a rejection as one, worth another try", () =>
    Effect.gen(function*() {
      for (const no of ["No! Go away!", "Later!"]) {
        const { result } = yield* outcomeOf(client, utf8(`${no}\n`))
        expect(result).toMatchObject({ reason: { _tag: "Rejected", by: "peer", said: `"${no}"`, retryable: true } })
      }
    }))

  it.effect("says what was expected, what came, and at which step", () =>
    Effect.gen(function*() {
      const { result } = yield* outcomeOf(client, utf8("Bring\u0007 it\n"))
      expect(result).toMatchObject({
        message:
          "line handshake failed at step expect \"Bring it!\": expected \"Bring it!\", received \"Bring\\x07 it\""
      })
    }))

  it.effect("takes a rejection that is final as one", () =>
    Effect.gen(function*() {
      const banned = lines.pipe(Handshake.expect("yes", { rejections: ["never"], retryable: false }))
      expect((yield* outcomeOf(banned, utf8("never\n"))).result).toMatchObject({
        reason: { _tag: "Rejected", retryable: false }
      })
    }))

  it.effect("does not answer a peer that said no itself", () =>
    Effect.gen(function*() {
      const polite = lines.pipe(Handshake.expect("yes", { rejections: ["no"], orReply: "why?" }))
      expect((yield* outcomeOf(polite, utf8("no\n"))).heard).toBe("")
      expect((yield* outcomeOf(polite, utf8("perhaps\n"))).heard).toBe("why?\n")
    }))

  it.effect("compares frames of bytes and of values by what is in them", () =>
    Effect.gen(function*() {
      const bytes = Transport.framed(Codec.fixed(3)).pipe(Handshake.expect(Uint8Array.of(1, 2, 3)))
      expect((yield* outcomeOf(bytes, Uint8Array.of(1, 2, 3))).result).toBe("ready")
      const json = Transport.framed(
        Codec.schema(Codec.lines(), Schema.fromJsonString(Schema.Struct({ hello: Schema.String })))
      ).pipe(Handshake.expect({ hello: "you" }))
      expect((yield* outcomeOf(json, utf8("{\"hello\":\"you\"}\n"))).result).toBe("ready")
      expect((yield* outcomeOf(json, utf8("{\"hello\":\"me\"}\n"))).result).toMatchObject({
        reason: { _tag: "InvalidGreeting" }
      })
    }))
})

describe("verify", () => {
  it.effect("lets failures that are not of the handshake pass", () =>
    Effect.gen(function*() {
      const picky = lines.pipe(Handshake.verify("taste", (line) => Effect.fail(new NotOurs({ why: line }))))
      expect((yield* outcomeOf(picky, utf8("sweet\n"))).result).toMatchObject({ _tag: "NotOurs", why: "sweet" })
    }))

  it.effect("a local reason is not answered with orReply", () =>
    Effect.gen(function*() {
      const full = lines.pipe(
        Handshake.verify(
          "room",
          () => Effect.fail(new HandshakeError.Rejected({ by: "local", said: "full", retryable: true })),
          { orReply: "bad" }
        )
      )
      expect((yield* outcomeOf(full, utf8("hi\n"))).heard).toBe("")
    }))

  it.effect("may answer with the transport it is given", () =>
    Effect.gen(function*() {
      const mirror = lines.pipe(Handshake.verify("mirror", (line, transport) => transport.send(line)))
      expect(yield* outcomeOf(mirror, utf8("hi\n"))).toMatchObject({ result: "ready", heard: "hi\n" })
    }))
})

describe("exchange", () => {
  it.effect("asks and decides about the answer in one step", () =>
    Effect.gen(function*() {
      const asking = lines.pipe(
        Handshake.exchange("name", "WHO?", (reply) =>
          reply === "me"
            ? Effect.void
            : Effect.fail(new HandshakeError.InvalidGreeting({ expected: "me", received: reply })))
      )
      expect(yield* outcomeOf(asking, utf8("me\n"))).toMatchObject({ result: "ready", heard: "WHO?\n" })
      expect((yield* outcomeOf(asking, utf8("you\n"))).result).toMatchObject({ step: "name" })
    }))
})

describe("a secret that is said too early", () => {
  const denied = new HandshakeError.AuthenticationFailed({ method: "password", detail: "it is wrong", fault: "peer" })
  const password = <E, R>(self: Effect.Effect<Lines, E, R>) =>
    Handshake.verify(self, "password", (line) => line === "hunter2" ? Effect.void : Effect.fail(denied), {
      secret: true,
      orReply: "NO"
    })
  const named = <E, R>(self: Effect.Effect<Lines, E, R>) =>
    Handshake.verify(self, "user", (line, transport) =>
      line === "ann" ? Effect.void : Effect.fail(
        new HandshakeError.InvalidGreeting({ expected: "ann", received: Transport.show(transport, line) })
      ))

  it.effect("is not shown by the steps before the one for which it is", () =>
    Effect.gen(function*() {
      const server = lines.pipe(Handshake.expect("HELLO", { orReply: "NO" }), named, password)
      for (const said of ["hunter2\n", "HELLO\nhunter2\n"]) {
        const { heard, result } = yield* outcomeOf(server, utf8(said))
        expect(result).toMatchObject({ reason: { _tag: "InvalidGreeting", received: "<redacted>" } })
        expect(heard).toBe(said.startsWith("HELLO") ? "" : "NO\n")
      }
    }))

  it.effect("is not shown where it is no frame either", () =>
    Effect.gen(function*() {
      const { result } = yield* outcomeOf(lines.pipe(Handshake.expect("HELLO"), password), utf8("hunter2"))
      expect(result).toMatchObject({ step: "expect \"HELLO\"", reason: { _tag: "UnexpectedEnd" } })
      expect(String(result)).not.toContain("hunter2")
    }))

  it.effect("is shown by a step that says that it has no secrets", () =>
    Effect.gen(function*() {
      const server = lines.pipe(Handshake.expect("HELLO", { secret: false }), password)
      expect((yield* outcomeOf(server, utf8("GET / HTTP/1.1\n"))).result).toMatchObject({
        reason: { expected: "\"HELLO\"", received: "\"GET / HTTP/1.1\"" }
      })
    }))

  it.effect("leaves what is expected, and the peer's own no, to be read", () =>
    Effect.gen(function*() {
      const server = lines.pipe(Handshake.expect("HELLO", { rejections: ["BYE"] }), password)
      expect((yield* outcomeOf(server, utf8("hunter2\n"))).result).toMatchObject({ reason: { expected: "\"HELLO\"" } })
      expect((yield* outcomeOf(server, utf8("BYE\n"))).result).toMatchObject({ reason: { said: "\"BYE\"" } })
    }))

  it.effect("hides nothing of the steps behind it", () =>
    Effect.gen(function*() {
      const server = lines.pipe(password, Handshake.expect("HELLO"))
      expect((yield* outcomeOf(server, utf8("hunter2\nHI\n"))).result).toMatchObject({ reason: { received: "\"HI\"" } })
    }))
})

describe("switchCodec", () => {
  it.effect("takes the transport itself too, and carries the unread bytes over", () =>
    Effect.gen(function*() {
      const switching = Effect.gen(function*() {
        const transport = yield* lines.pipe(Handshake.expect("hello"))
        return yield* Handshake.switchCodec(transport, Codec.fixed(3))
      }).pipe(Handshake.named("switching"))
      expect(yield* outcomeOf(switching, utf8("hello\nabc"))).toMatchObject({ result: "ready", rest: "abc" })
    }))
})

describe("named", () => {
  it.effect("turns transport errors and bare reasons of a handshake by hand into its own errors", () =>
    Effect.gen(function*() {
      const cut = lines.pipe(Effect.tap((transport) => transport.receive), Handshake.named("by hand"))
      expect((yield* outcomeOf(cut, utf8("no end"))).result).toMatchObject({
        message:
          "by hand handshake failed at step connect: the peer ended the connection in the middle of a message, " +
          "after \"no end\""
      })
      const bare = lines.pipe(
        Effect.andThen(Effect.fail(new HandshakeError.UnsupportedVersion({ offered: "1", supported: ["2"] }))),
        Handshake.named("by hand")
      )
      expect((yield* outcomeOf(bare, utf8(""))).result).toMatchObject({ reason: { _tag: "UnsupportedVersion" } })
    }))
})

describe("step", () => {
  it.effect("is what the deadline names, in Effect.gen too", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* rawPeer(there)
      const fiber = yield* lines.pipe(
        Effect.tap((transport) => Handshake.step(transport.receive, "wait for the moon")),
        Handshake.named("moon"),
        Handshake.deadline("1 minute"),
        Effect.flip,
        Effect.provideService(Socket.Socket, here),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      expect(yield* Fiber.join(fiber)).toMatchObject({
        protocol: "moon",
        step: "wait for the moon",
        message: "moon handshake failed at step wait for the moon: not done within 1m"
      })
    }))
})

describe("a step by hand", () => {
  it.effect("takes the transport itself", () =>
    Effect.gen(function*() {
      const nonce = Effect.gen(function*() {
        const transport = yield* lines
        yield* Handshake.send(transport, "42", { name: "nonce" })
        yield* Handshake.expect(transport, "24", { name: "answer" })
        return transport
      }).pipe(Handshake.named("nonce"))
      expect(yield* outcomeOf(nonce, utf8("24\n"))).toMatchObject({ result: "ready", heard: "42\n" })
      expect((yield* outcomeOf(nonce, utf8("42\n"))).result).toMatchObject({ step: "answer" })
    }))
})

describe("send", () => {
  it.effect("law 11: a peer that said no and left before it was greeted has still rejected", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* there.reader
        yield* Effect.flatMap(there.writer, (writer) => writer.write(utf8("No! Go away!\n")))
      }))
      const error = yield* Effect.flip(Effect.provideService(Line.client, Socket.Socket, here))
      expect(error.reason).toMatchObject({ _tag: "Rejected", by: "peer" })
    }))

  it.effect("fails where the peer has left without a word", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* Effect.scoped(there.reader)
      const error = yield* Effect.flip(Effect.provideService(Line.client, Socket.Socket, here))
      expect(error).toMatchObject({
        step: "question",
        reason: { _tag: "ConnectionFailed", operation: "write" }
      })
    }))
})

describe("firstOf", () => {
  const startsWith = (prefix: string) => (bytes: Uint8Array) => {
    const seen = text(bytes)
    return seen.startsWith(prefix) ? true : prefix.startsWith(seen) ? undefined : false
  }
  const server = Handshake.firstOf([
    { name: "chat", accepts: startsWith("CHAT "), handshake: lines.pipe(Handshake.expect("CHAT 1")) },
    { name: "channel", accepts: startsWith("CH"), handshake: lines.pipe(Handshake.expect("CHANNEL 1")) }
  ]).pipe(Handshake.named("many"))

  it.effect.prop(
    "hands every byte to the chosen handshake, however they are cut",
    [Schema.Int],
    ([n]) =>
      Effect.gen(function*() {
        const options = { segments: cutInto([1 + (Math.abs(n) % 9)]) }
        for (const greeting of ["CHAT 1\n", "CHANNEL 1\n"]) {
          expect(yield* outcomeOf(server, utf8(`${greeting}rest`), options)).toMatchObject({
            result: "ready",
            rest: "rest"
          })
        }
        const { result } = yield* outcomeOf(server, utf8("CxAT 1\n"), options)
        expect(result).toMatchObject({
          step: "first bytes",
          message: "many handshake failed at step first bytes: expected the first bytes of chat or channel, " +
            "received \"Cx\""
        })
      }),
    { arbitrary: { runs: 20 } }
  )

  it.effect("a peer that ends before anybody can tell is refused", () =>
    Effect.gen(function*() {
      expect((yield* outcomeOf(server, utf8("C"))).result).toMatchObject({ reason: { _tag: "InvalidGreeting" } })
      expect((yield* outcomeOf(server, utf8(""))).result).toMatchObject({ reason: { _tag: "UnexpectedEnd" } })
    }))

  it.effect("nobody looks at more than maxLength bytes, and one that decides at that length is taken", () =>
    Effect.gen(function*() {
      const late = (length: number) => (bytes: Uint8Array) => bytes.length < length ? undefined : true
      const deciding = (length: number) =>
        Handshake.firstOf([{ name: "late", accepts: late(length), handshake: lines }], { maxLength: 8 })
      expect((yield* outcomeOf(deciding(8), utf8("12345678"))).result).toBe("ready")
      expect((yield* outcomeOf(deciding(9), utf8("123456789"))).result).toMatchObject({
        reason: { _tag: "InvalidGreeting" }
      })
    }))
})

describe("refuse", () => {
  it.effect("says no and fails as a rejection by this side", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(Handshake.refuse(lines, "Closed on Mondays."), utf8("hi\n"))
      expect(outcome.heard).toBe("Closed on Mondays.\n")
      expect(outcome.result).toMatchObject({ step: "refuse", reason: { _tag: "Rejected", by: "local" } })
    }))
})

describe("connecting", () => {
  it.effect("a socket that cannot be opened is ConnectionFailed at step connect", () =>
    Effect.gen(function*() {
      const closed = Socket.make({
        reader: Effect.fail(
          new Socket.SocketError({
            reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("ECONNREFUSED") })
          })
        ),
        writer: Effect.never
      })
      const error = yield* Effect.flip(Effect.provideService(Line.client, Socket.Socket, closed))
      expect(error).toMatchObject({
        protocol: "line",
        step: "connect",
        fault: "network",
        retryable: true,
        reason: { _tag: "ConnectionFailed", operation: "open" }
      })
      expect(error.message).toContain("ECONNREFUSED")
    }))
})
