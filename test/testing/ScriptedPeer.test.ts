import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import { createHmac } from "node:crypto"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as Net from "../../src/node/Net.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as ScriptedPeer from "../../src/testing/ScriptedPeer.ts"
import * as Transcript from "../../src/Transcript.ts"
import * as Transport from "../../src/Transport.ts"
import { cutInto, rawPeer, text, utf8 } from "../support/conversation.ts"
import { password, vault } from "../support/handshakes.ts"

const lines = Codec.lines()

/** Plays a script on one end of a connection, and gives the test the other one. */
const playing = Effect.fnUntraced(function*(script: ScriptedPeer.Script, options?: MemorySocket.Options) {
  const [here, there] = yield* MemorySocket.pair(options)
  const peer = yield* rawPeer(there)
  const playing = yield* ScriptedPeer.run(script).pipe(
    Effect.provideService(Socket.Socket, here),
    Effect.forkChild({ startImmediately: true })
  )
  return { peer, script: playing }
})

/** What the other side has heard by now. */
const heard = (peer: { readonly heard: () => string }) => Effect.map(TestClock.adjust("1 millis"), () => peer.heard())

/** What a script makes of a side that says these bytes, and ends then if it is to. */
const hearing = (script: ScriptedPeer.Script, says: string | Uint8Array, options?: { readonly ends?: boolean }) =>
  Effect.gen(function*() {
    const { peer, script: played } = yield* playing(script)
    if (says.length > 0) yield* peer.write(typeof says === "string" ? utf8(says) : says)
    if (options?.ends === true) yield* peer.end
    yield* TestClock.adjust("5 seconds")
    return yield* Fiber.await(played)
  })

const failure = <A>(exit: Exit.Exit<A, ScriptedPeer.ScriptMismatch>): ScriptedPeer.ScriptMismatch =>
  Exit.isFailure(exit)
    ? Result.getOrThrow(Result.fromOption(Exit.findErrorOption(exit), () => exit.cause))
    : expect.fail("the script was not expected to succeed")

const message = (exit: Exit.Exit<unknown, ScriptedPeer.ScriptMismatch>) => failure(exit).message.split("\n")

/** A side of a handshake against a script: how both have ended. */
const between = <A, E>(
  side: Effect.Effect<A, E, Socket.Socket | Scope.Scope>,
  script: ScriptedPeer.Script,
  options?: MemorySocket.Options
) =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair(options)
    const subject = yield* side.pipe(
      Effect.provideService(Socket.Socket, there),
      Effect.exit,
      Effect.forkScoped({ startImmediately: true })
    )
    const peer = yield* Effect.exit(ScriptedPeer.run(script).pipe(Effect.provideService(Socket.Socket, here)))
    return [yield* Fiber.join(subject), peer] as const
  })

const said = (transcript: Transcript.Transcript) =>
  transcript.flatMap((entry) =>
    entry.direction === "note"
      ? entry.end === undefined ? [] : [`${entry.end.by} ${entry.end.how}`]
      : [`${entry.direction} ${entry.bytes === undefined ? entry.length : text(entry.bytes)}`]
  )

const oneByOne: MemorySocket.Options = { segments: cutInto([1]) }

describe("a script", () => {
  it.effect("plays the server of a handshake to its client, and tells what was said", () =>
    Effect.gen(function*() {
      const [client, peer] = yield* between(Line.client, [
        ScriptedPeer.expect("You ready?\n"),
        ScriptedPeer.send("Bring it!\n")
      ])
      expect(Exit.isSuccess(client)).toBe(true)
      expect(said(yield* peer)).toEqual(["received You ready?\n", "sent Bring it!\n"])
    }))

  it.effect("plays the client of a handshake to its server", () =>
    Effect.gen(function*() {
      const [server, peer] = yield* between(Line.server, [
        ScriptedPeer.sendFrame(lines, "You ready?"),
        ScriptedPeer.expectFrame(lines, "Bring it!")
      ])
      expect(Exit.isSuccess(server)).toBe(true)
      expect(said(yield* peer)).toEqual(["sent You ready?\n", "received Bring it!\n"])
    }))

  it.effect("takes exactly what a step takes, however it is cut, and leaves the rest to the next", () =>
    Effect.gen(function*() {
      const script = [
        ScriptedPeer.expect("ab"),
        ScriptedPeer.expectFrame(lines, "cd"),
        ScriptedPeer.expectFrame(Codec.lengthPrefixed({ bytes: 1 }), utf8("ef")),
        ScriptedPeer.expect(Uint8Array.of(0x67)),
        ScriptedPeer.expectFrame(lines, "hi")
      ]
      for (const options of [undefined, oneByOne, { segments: cutInto([2, 3]) }]) {
        const { peer, script: played } = yield* playing(script, options)
        yield* peer.write(utf8("abcd\n\x02efghi\n"))
        expect(said(yield* Fiber.join(played))).toEqual([
          "received ab",
          "received cd\n",
          "received \x02ef",
          "received g",
          "received hi\n"
        ])
      }
    }))

  it.effect("steps with the same codec share its decoder, whatever stands between them", () =>
    Effect.gen(function*() {
      // The first frame has one byte, each further one has two.
      const growing = Codec.make<string, never>({
        decoder: () => {
          let size = 1
          return {
            decode: (input) => {
              if (input.length < size) return undefined
              const frame = text(input.take(size))
              size = 2
              return Result.succeed(frame)
            }
          }
        },
        encode: () => {}
      })
      const script = [
        ScriptedPeer.expectFrame(growing, "a"),
        ScriptedPeer.expect("-"),
        ScriptedPeer.expectFrame(growing, "bc")
      ]
      for (let again = 0; again < 2; again++) expect(Exit.isSuccess(yield* hearing(script, "a-bc"))).toBe(true)
    }))

  it.effect("is a value: it does not change with the bytes that it was made of", () =>
    Effect.gen(function*() {
      const bytes = Buffer.from("abc")
      const script = [ScriptedPeer.expect(bytes), ScriptedPeer.send(bytes)]
      bytes.fill(0)
      const { peer, script: played } = yield* playing(script)
      yield* peer.write(utf8("abc"))
      yield* Fiber.join(played)
      expect(yield* heard(peer)).toBe("abc")
    }))

  it.effect("leaves the connection open until its scope closes", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* ScriptedPeer.run([ScriptedPeer.send("hi")]).pipe(Effect.provideService(Socket.Socket, here))
        yield* TestClock.adjust("1 hour")
        const closed = yield* Effect.forkChild(peer.closed, { startImmediately: true })
        expect(closed.pollUnsafe()).toBeUndefined()
        yield* Fiber.interrupt(closed)
      }))
      yield* peer.closed
      expect(peer.heard()).toBe("hi")
    }))

  it.effect("is seen by those who observe transports", () =>
    Effect.gen(function*() {
      const recorder = yield* Transcript.recorder
      const { peer, script } = yield* Effect.provideService(
        playing([ScriptedPeer.send("a"), ScriptedPeer.expect("b")]),
        Transport.CurrentObserver,
        recorder.observer
      )
      yield* peer.write(utf8("b"))
      expect(recorder.entries()).toEqual(yield* Fiber.join(script))
    }))

  it.effect("may hold no step at all", () =>
    Effect.gen(function*() {
      expect(said(yield* yield* hearing([], ""))).toEqual([])
    }))

  it("names its steps", () => {
    const ready = ScriptedPeer.expectWith("a version", lines, () => undefined)
    const script = [
      ScriptedPeer.expect("You ready?\n"),
      ScriptedPeer.expect("hunter2\n", { secret: true }),
      ScriptedPeer.expectSecret(1),
      ScriptedPeer.expectFrame(lines, "hi"),
      ScriptedPeer.expectFrame(lines, "hi", { secret: true }),
      ready,
      ScriptedPeer.expectEnd(),
      ScriptedPeer.expectEnd("broken"),
      ScriptedPeer.expectNothing("100 millis"),
      ScriptedPeer.send("a".repeat(65)),
      ScriptedPeer.send("hunter2\n", { secret: true }),
      ScriptedPeer.sendFrame(lines, "hi"),
      ScriptedPeer.reply(lines, (line) => [line]),
      ScriptedPeer.wait("2 seconds"),
      ScriptedPeer.end,
      ScriptedPeer.close,
      ScriptedPeer.reset,
      ScriptedPeer.stall
    ]
    expect(script.map((step) => step.text)).toEqual([
      "expect \"You ready?\\n\"",
      "expect <redacted 8 bytes>",
      "expect <redacted 1 byte>",
      "expect \"hi\"",
      "expect <redacted>",
      "expect a version",
      "expect the end",
      "expect a broken connection",
      "expect nothing for 100ms",
      `send "${"a".repeat(64)}"…`,
      "send <redacted 8 bytes>",
      "send \"hi\"",
      "reply",
      "wait 2s",
      "end",
      "close",
      "reset",
      "stall"
    ])
    expect(script.every(ScriptedPeer.isStep)).toBe(true)
    expect(ScriptedPeer.isStep({ text: "expect" })).toBe(false)
  })
})

describe("expect", () => {
  it.effect("other bytes fail at once, with the conversation and the first byte that differs", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([
        ScriptedPeer.send("HELLO 2\r\n"),
        ScriptedPeer.expect("NONCE "),
        ScriptedPeer.expect("42\n"),
        ScriptedPeer.send("unsaid")
      ])
      yield* peer.write(utf8("NONCE 43\n"))
      const exit = yield* Fiber.await(script)
      expect(message(exit)).toEqual([
        "the script failed at step 3 of 4, expect \"42\\n\": \"43\\n\" came",
        "",
        "    -> \"HELLO 2\\r\\n\"",
        "    <- \"NONCE \"",
        "  - <- \"42\\n\"",
        "  + <- \"43\\n\"",
        "         ^"
      ])
      expect({ ...failure(exit) }).toMatchObject({
        step: 3,
        steps: 4,
        text: "expect \"42\\n\"",
        expected: "<- \"42\\n\"",
        actual: "\"43\\n\" came"
      })
      expect(yield* heard(peer)).toBe("HELLO 2\r\n")
    }))

  it.effect("one byte at a time it fails at the same byte", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([ScriptedPeer.expect("Bring it!\n")], oneByOne)
      yield* peer.write(utf8("Bring me!\n"))
      expect(message(yield* Fiber.await(script))).toEqual([
        "the script failed at step 1 of 1, expect \"Bring it!\\n\": \"Bring m\" came",
        "",
        "  - <- \"Bring it!\\n\"",
        "  + <- \"Bring m\"",
        "              ^"
      ])
    }))

  it.effect("silence fails after 5 seconds, and not before", () =>
    Effect.gen(function*() {
      const { script } = yield* playing([ScriptedPeer.expect("hi")])
      yield* TestClock.adjust("4999 millis")
      expect(script.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(message(yield* Fiber.await(script))).toEqual([
        "the script failed at step 1 of 1, expect \"hi\": nothing came in 5s",
        "",
        "  - <- \"hi\"",
        "  + (nothing in 5s)"
      ])
    }))

  it.effect("the time is each step's own, and may be another", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      const script = yield* ScriptedPeer.run(
        [ScriptedPeer.expect("a"), ScriptedPeer.expect("b")],
        { timeout: "2 seconds" }
      ).pipe(Effect.provideService(Socket.Socket, here), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1500 millis")
      yield* peer.write(utf8("a"))
      yield* TestClock.adjust("1500 millis")
      expect(script.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("500 millis")
      expect(message(yield* Fiber.await(script))[0]).toBe(
        "the script failed at step 2 of 2, expect \"b\": nothing came in 2s"
      )
    }))

  it.effect("bytes that go no further are shown", () =>
    Effect.gen(function*() {
      expect(message(yield* hearing([ScriptedPeer.expect("Bring it!\n")], "Bring"))).toEqual([
        "the script failed at step 1 of 1, expect \"Bring it!\\n\": only \"Bring\" came in 5s",
        "",
        "  - <- \"Bring it!\\n\"",
        "  + <- \"Bring\"",
        "             ^",
        "  + (nothing more in 5s)"
      ])
    }))

  it.effect("the end of the connection fails at once", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([ScriptedPeer.expect("hi")])
      yield* peer.end
      expect(message(yield* Fiber.await(script))).toEqual([
        "the script failed at step 1 of 1, expect \"hi\": the connection ended",
        "",
        "  - <- \"hi\"",
        "  + <- end"
      ])
    }))

  it.effect("the end inside the bytes shows how far they came", () =>
    Effect.gen(function*() {
      expect(message(yield* hearing([ScriptedPeer.expect("hi")], "h", { ends: true }))).toEqual([
        "the script failed at step 1 of 1, expect \"hi\": the connection ended after \"h\"",
        "",
        "  - <- \"hi\"",
        "  + <- \"h\"",
        "         ^",
        "  + <- end"
      ])
    }))

  it.effect("a connection that breaks is told from one that ends", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const writer = yield* there.writer
      yield* writer.write(new Socket.CloseEvent(1006))
      const exit = yield* Effect.exit(
        ScriptedPeer.run([ScriptedPeer.expect("hi")]).pipe(Effect.provideService(Socket.Socket, here))
      )
      expect(failure(exit).diff).toBe("  - <- \"hi\"\n  + <- reset")
    }))

  it.effect("no bytes are always there", () =>
    Effect.gen(function*() {
      expect(Exit.isSuccess(yield* hearing([ScriptedPeer.expect(""), ScriptedPeer.expectSecret(0)], ""))).toBe(true)
    }))

  it.effect("what is shown is bounded and printable, and the caret is in sight", () =>
    Effect.gen(function*() {
      const long = `${"x".repeat(10_000)}\u001b[2J${"y".repeat(10_000)}`
      const exit = yield* hearing([ScriptedPeer.expect(`${"x".repeat(10_000)}ok`)], long)
      const [first, , expected, actual, caret] = message(exit)
      expect(first.length + expected.length + actual.length).toBeLessThan(500)
      expect(failure(exit).message).not.toContain("\u001b")
      expect(expected).toBe(`  - <- …"${"x".repeat(32)}ok"`)
      expect(actual.slice(caret.indexOf("^"))).toMatch(/^\\x1b\[2Jy+"…$/)
    }))

  it.effect("a long conversation is shown by its end", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 20 }, (_, i) => ScriptedPeer.expect(`${i}\n`))
      const heard = Array.from({ length: 20 }, (_, i) => `${i}\n`).join("")
      const exit = yield* hearing([...many, ScriptedPeer.expect("20\n")], `${heard}21\n`)
      expect(message(exit).slice(2, 5)).toEqual(["    … 4 more", "    <- \"4\\n\"", "    <- \"5\\n\""])
      expect(message(exit).slice(-4)).toEqual([
        "    <- \"19\\n\"",
        "  - <- \"20\\n\"",
        "  + <- \"21\\n\"",
        "         ^"
      ])
    }))
})

describe("expectFrame", () => {
  it.effect("another frame is shown beside the one that was expected", () =>
    Effect.gen(function*() {
      expect(message(yield* hearing([ScriptedPeer.expectFrame(lines, "Bring it!")], "Bring me!\n"))).toEqual([
        "the script failed at step 1 of 1, expect \"Bring it!\": \"Bring me!\" came",
        "",
        "  - <- \"Bring it!\"",
        "  + <- \"Bring me!\"",
        "              ^"
      ])
    }))

  it.effect("frames are compared by value", () =>
    Effect.gen(function*() {
      const json = Codec.schema(lines, Schema.fromJsonString(Schema.Struct({ n: Schema.Array(Schema.Int) })))
      expect(Exit.isSuccess(yield* hearing([ScriptedPeer.expectFrame(json, { n: [1, 2] })], "{\"n\":[1,2]}\n"))).toBe(
        true
      )
      const bytes = [ScriptedPeer.expectFrame(Codec.fixed(2), Buffer.from("ab"))]
      expect(Exit.isSuccess(yield* hearing(bytes, "ab"))).toBe(true)
      expect(Exit.isSuccess(yield* hearing(bytes, "ac"))).toBe(false)
    }))

  it.effect("what is no frame says why", () =>
    Effect.gen(function*() {
      expect(message(yield* hearing([ScriptedPeer.expectFrame(lines, "hi")], Uint8Array.of(0xff, 0x0a)))).toEqual([
        "the script failed at step 1 of 1, expect \"hi\": the line is not UTF-8: \"\\xff\"",
        "",
        "  - <- \"hi\"",
        "  + (the line is not UTF-8: \"\\xff\")"
      ])
    }))

  it.effect("half a frame is shown where the rest does not come", () =>
    Effect.gen(function*() {
      const script = [ScriptedPeer.expectFrame(lines, "hi")]
      expect(failure(yield* hearing(script, "h")).diff.split("\n")).toEqual([
        "  - <- \"hi\"",
        "  + <- \"h\"",
        "  + (nothing more in 5s)"
      ])
      expect(failure(yield* hearing(script, "h", { ends: true })).actual).toBe("the connection ended after \"h\"")
    }))
})

describe("expectWith", () => {
  const version = ScriptedPeer.expectWith(
    "a version",
    lines,
    (line) => /^HELLO \d$/.test(line) ? undefined : "it names no version"
  )

  it.effect("takes a frame that the function accepts", () =>
    Effect.gen(function*() {
      const exit = yield* hearing([version, ScriptedPeer.expect("!")], "HELLO 2\n!")
      expect(said(yield* exit)).toEqual(["received HELLO 2\n", "received !"])
    }))

  it.effect("fails with what the function says", () =>
    Effect.gen(function*() {
      expect(message(yield* hearing([version], "HELLO\n"))).toEqual([
        "the script failed at step 1 of 1, expect a version: \"HELLO\" came: it names no version",
        "",
        "  - <- a version",
        "  + <- \"HELLO\""
      ])
    }))

  it.effect("the function may be an Effect, and keep what it learns", () =>
    Effect.gen(function*() {
      let learned = ""
      const step = ScriptedPeer.expectWith("a name", lines, (line) =>
        Effect.sync(() => {
          learned = line
        }))
      yield* yield* hearing([step], "ada\n")
      expect(learned).toBe("ada")
    }))
})

describe("expectEnd", () => {
  it.effect("waits for the end", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([ScriptedPeer.expect("bye"), ScriptedPeer.expectEnd()])
      yield* peer.write(utf8("bye"))
      yield* TestClock.adjust("1 second")
      expect(script.pollUnsafe()).toBeUndefined()
      yield* peer.end
      expect(said(yield* Fiber.join(script))).toEqual(["received bye", "peer closed"])
    }))

  it.effect("anything before the end fails", () =>
    Effect.gen(function*() {
      expect(message(yield* hearing([ScriptedPeer.expectEnd()], "wait", { ends: true }))).toEqual([
        "the script failed at step 1 of 1, expect the end: \"wait\" came",
        "",
        "  - <- end",
        "  + <- \"wait\""
      ])
    }))

  it.effect("a connection that stays open fails in time", () =>
    Effect.gen(function*() {
      expect(failure(yield* hearing([ScriptedPeer.expectEnd()], "")).diff).toBe("  - <- end\n  + (nothing in 5s)")
    }))

  it.effect("a broken connection is no end, and an end is no broken connection", () =>
    Effect.gen(function*() {
      for (const how of ["closed", "broken"] as const) {
        const [here, there] = yield* MemorySocket.pair()
        const writer = yield* there.writer
        yield* writer.write(new Socket.CloseEvent(how === "closed" ? 1000 : 1006))
        const expecting = (how: "closed" | "broken") =>
          ScriptedPeer.run([ScriptedPeer.expectEnd(how)]).pipe(
            Effect.provideService(Socket.Socket, here),
            Effect.exit
          )
        expect(Exit.isSuccess(yield* expecting(how))).toBe(true)
      }
      expect(failure(yield* hearing([ScriptedPeer.expectEnd("broken")], "", { ends: true })).diff).toBe(
        "  - <- reset\n  + <- end"
      )
    }))
})

describe("expectNothing", () => {
  const quiet = ScriptedPeer.expectNothing("100 millis")

  it.effect("lets the time pass, and what comes then is there for the next step", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([quiet, ScriptedPeer.expect("hi")])
      yield* TestClock.adjust("99 millis")
      expect(script.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      yield* peer.write(utf8("hi"))
      expect(said(yield* Fiber.join(script))).toEqual(["received hi"])
    }))

  it.effect("fails at the first byte, also where it was there before", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([quiet])
      yield* TestClock.adjust("99 millis")
      yield* peer.write(utf8("hi"))
      expect(message(yield* Fiber.await(script)).slice(2)).toEqual(["  - <- nothing for 100ms", "  + <- \"hi\""])
      const early = yield* hearing([ScriptedPeer.expect("a"), quiet], "ab")
      expect(failure(early).actual).toBe("\"b\" came")
    }))

  it.effect("the end is something", () =>
    Effect.gen(function*() {
      expect(failure(yield* hearing([quiet], "", { ends: true })).diff).toBe("  - <- nothing for 100ms\n  + <- end")
    }))
})

describe("send", () => {
  it.effect("waits for one who does not listen, and fails in time", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 4 })
      yield* there.reader
      const script = yield* ScriptedPeer.run([ScriptedPeer.send("four"), ScriptedPeer.send("more")]).pipe(
        Effect.provideService(Socket.Socket, here),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("4999 millis")
      expect(script.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect(message(yield* Fiber.await(script))).toEqual([
        "the script failed at step 1 of 2, send \"four\": it was not sent: the other side has not taken it in 5s",
        "",
        "  - -> \"four\"",
        "  + (the other side has not taken it in 5s)"
      ])
    }))

  it.effect("fails where nobody is there any more", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* Effect.scoped(there.reader)
      const exit = yield* Effect.exit(
        ScriptedPeer.run([ScriptedPeer.send("hi")]).pipe(Effect.provideService(Socket.Socket, here))
      )
      expect(failure(exit).actual).toMatch(/^it was not sent: the connection could not be written to/)
    }))

  it.effect("fails where a frame cannot be encoded", () =>
    Effect.gen(function*() {
      expect(failure(yield* hearing([ScriptedPeer.sendFrame(lines, "a\nb")], "")).actual).toBe(
        "it was not sent: a line must not contain its ending \"\\n\": \"a\\nb\""
      )
    }))
})

describe("reply", () => {
  const prove = (nonce: string) => createHmac("sha256", "key").update(nonce).digest("hex")

  it.effect("answers what could not be known", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([
        ScriptedPeer.reply(lines, (nonce) => ["PROOF", prove(nonce)]),
        ScriptedPeer.reply(lines, (line) => Effect.succeed([line.toUpperCase()]))
      ])
      yield* peer.write(utf8("abc\nthanks\n"))
      yield* Fiber.join(script)
      expect(yield* heard(peer)).toBe(`PROOF\n${prove("abc")}\nTHANKS\n`)
    }))

  it.effect("shows what it has heard where the answer cannot be sent", () =>
    Effect.gen(function*() {
      const exit = yield* hearing([ScriptedPeer.reply(lines, (line) => [`${line}\n`])], "abc\n")
      expect(message(exit)).toEqual([
        "the script failed at step 1 of 1, reply: it was not sent: a line must not contain its ending \"\\n\": \"abc\\n\"",
        "",
        "    <- \"abc\"",
        "  - -> \"abc\\n\"",
        "  + (a line must not contain its ending \"\\n\": \"abc\\n\")"
      ])
    }))
})

describe("time and ends", () => {
  it.effect("wait lets time pass, and keeps what comes", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([ScriptedPeer.wait("10 minutes"), ScriptedPeer.expect("hi")])
      yield* peer.write(utf8("hi"))
      yield* TestClock.adjust("9 minutes")
      expect(script.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 minute")
      expect(said(yield* Fiber.join(script))).toEqual(["received hi"])
    }))

  it.effect("stall does nothing any more, and does not end the connection", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([ScriptedPeer.send("hi"), ScriptedPeer.stall])
      yield* TestClock.adjust("1 day")
      expect(script.pollUnsafe()).toBeUndefined()
      expect(peer.heard()).toBe("hi")
    }))

  it.effect("end ends one direction: the other side can still be heard", () =>
    Effect.gen(function*() {
      const { peer, script } = yield* playing([ScriptedPeer.send("hi"), ScriptedPeer.end, ScriptedPeer.expect("bye")])
      yield* peer.closed
      expect(peer.heard()).toBe("hi")
      yield* peer.write(utf8("bye"))
      expect(said(yield* Fiber.join(script))).toEqual(["sent hi", "self closed", "received bye"])
    }))

  it.effect("close closes both", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const reader = yield* there.reader
      const writer = yield* there.writer
      yield* ScriptedPeer.run([ScriptedPeer.close]).pipe(Effect.provideService(Socket.Socket, here))
      expect((yield* Effect.flip(reader.pull)).reason).toMatchObject({ _tag: "SocketCloseError", code: 1000 })
      expect((yield* Effect.flip(writer.write(utf8("x")))).reason._tag).toBe("SocketWriteError")
    }))

  it.effect("reset breaks the connection", () =>
    Effect.gen(function*() {
      const [client, peer] = yield* between(Line.client, [ScriptedPeer.expect("You ready?\n"), ScriptedPeer.reset])
      expect(Exit.isFailure(client) && Exit.findErrorOption(client)).toMatchObject({
        value: { reason: { _tag: "ConnectionFailed" } }
      })
      expect(said(yield* peer)).toEqual(["received You ready?\n", "self broken"])
    }))

  it.effect("what the other side writes to a connection that was reset fails", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const writer = yield* there.writer
      yield* ScriptedPeer.run([ScriptedPeer.reset]).pipe(Effect.provideService(Socket.Socket, here))
      expect((yield* Effect.flip(writer.write(utf8("x")))).reason._tag).toBe("SocketWriteError")
    }))

  it.effect("nothing is sent behind an end", () =>
    Effect.gen(function*() {
      const happened = (last: ScriptedPeer.Step) =>
        Effect.map(hearing([last, ScriptedPeer.send("hi")], ""), (exit) => failure(exit).actual)
      expect(yield* happened(ScriptedPeer.end)).toBe("it was not sent: this side has ended what it says")
      expect(yield* happened(ScriptedPeer.close)).toBe("it was not sent: this side has closed the connection")
      expect(yield* happened(ScriptedPeer.reset)).toBe("it was not sent: this side has broken the connection off")
    }))

  it.effect("nothing is heard behind a close", () =>
    Effect.gen(function*() {
      expect(failure(yield* hearing([ScriptedPeer.close, ScriptedPeer.expect("hi")], "")).actual).toBe(
        "the connection was closed on this side"
      )
    }))

  it.effect("a connection that cannot be opened fails before the first step", () =>
    Effect.gen(function*() {
      const socket = Socket.make({
        reader: Effect.fail(
          new Socket.SocketError({
            reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("refused") })
          })
        ),
        writer: Effect.never
      })
      const exit = yield* Effect.exit(
        ScriptedPeer.run([ScriptedPeer.send("hi")]).pipe(Effect.provideService(Socket.Socket, socket))
      )
      expect(message(exit)).toEqual([
        "the script failed before its first step: the connection could not be opened: refused",
        "",
        "  - a connection",
        "  + (the connection could not be opened: refused)"
      ])
    }))

  it.effect("one that hangs fails in time", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedPeer.run([]).pipe(
        Effect.provideService(Socket.Socket, Socket.make({ reader: Effect.never, writer: Effect.never })),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("5 seconds")
      expect(failure(yield* Fiber.await(script)).actual).toBe("the connection was not open within 5s")
    }))

  it.live("plays on real sockets, from both ends", () =>
    Effect.gen(function*() {
      const server = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
      const socket = yield* Net.socket(server.address)
      const played = yield* Effect.forkScoped(server.run((socket) =>
        Effect.scoped(
          ScriptedPeer.run([
            ScriptedPeer.expect("You ready?\n"),
            ScriptedPeer.send("Bring it!\n"),
            ScriptedPeer.expectEnd(),
            ScriptedPeer.send("Goodbye\n")
          ]).pipe(Effect.provideService(Socket.Socket, socket))
        )
      ))
      const transcript = yield* ScriptedPeer.run([
        ScriptedPeer.send("You ready?\n"),
        ScriptedPeer.expect("Bring it!\n"),
        ScriptedPeer.end,
        ScriptedPeer.expect("Goodbye\n"),
        ScriptedPeer.expectEnd()
      ]).pipe(Effect.provideService(Socket.Socket, socket))
      expect(said(transcript)).toEqual([
        "sent You ready?\n",
        "received Bring it!\n",
        "self closed",
        "received Goodbye\n",
        "peer closed"
      ])
      yield* Fiber.interrupt(played)
    }))
})

describe("law 9, secrets: a script", () => {
  it.effect("shows no secret of its own, and none of the other side", () =>
    Effect.gen(function*() {
      const secret = { secret: true }
      const good = "hunter2\n"
      const steps: ReadonlyArray<readonly [ScriptedPeer.Step, says: string]> = [
        [ScriptedPeer.expect(good, secret), "swordfish\n"],
        [ScriptedPeer.expect(good, secret), "hunt"],
        [ScriptedPeer.expectFrame(lines, "hunter2", secret), "swordfish\n"],
        [ScriptedPeer.expectFrame(lines, "hunter2", secret), "swordf"],
        [ScriptedPeer.expectFrame(Codec.lines({ maxLength: 4 }), "hunter2", secret), "swordfish\n"],
        [ScriptedPeer.expectWith("a password", lines, () => "not the one", secret), "swordfish\n"],
        [ScriptedPeer.expectSecret(20), "swordfish\n"],
        [ScriptedPeer.sendFrame(lines, "hunter2\n", secret), ""],
        [ScriptedPeer.reply(lines, (line) => [`${line}\n`], secret), "swordfish\n"]
      ]
      for (const [step, says] of steps) {
        const exit = yield* hearing([ScriptedPeer.send(good, secret), step], says)
        expect(JSON.stringify(failure(exit)) + failure(exit).message).not.toMatch(/hunt|swordf/)
      }
    }))

  it.effect("its transcript has their lengths", () =>
    Effect.gen(function*() {
      const secret = { secret: true }
      const exit = yield* hearing([
        ScriptedPeer.expect("hunter2\n", secret),
        ScriptedPeer.expectFrame(lines, "hunter2", secret),
        ScriptedPeer.expectSecret(3),
        ScriptedPeer.send("swordfish", secret),
        ScriptedPeer.sendFrame(lines, "swordfish", secret)
      ], "hunter2\nhunter2\nabc")
      expect(said(yield* exit)).toEqual(["received 8", "received 8", "received 3", "sent 9", "sent 10"])
    }))

  it.effect("shows them as such in what was expected and what came", () =>
    Effect.gen(function*() {
      const exit = yield* hearing([
        ScriptedPeer.send("hunter2\n", { secret: true }),
        ScriptedPeer.expect("hunter2\n", { secret: true })
      ], "swordfish\n")
      expect(message(exit)).toEqual([
        "the script failed at step 2 of 2, expect <redacted 8 bytes>: <redacted 10 bytes> came",
        "",
        "    -> <redacted 8 bytes>",
        "  - <- <redacted 8 bytes>",
        "  + <- <redacted 10 bytes>"
      ])
    }))
})

describe("fromTranscript", () => {
  /** What a side and its real peer say to each other, as the client records it. */
  const recording = (options?: MemorySocket.Options) =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair(options)
      yield* Effect.forkScoped(Effect.provideService(Line.server, Socket.Socket, there))
      const [, transcript] = yield* Transcript.record(Effect.scoped(Line.client)).pipe(
        Effect.provideService(Socket.Socket, here)
      )
      return transcript
    })

  const played = (transcript: Transcript.Transcript, options: Parameters<typeof ScriptedPeer.fromTranscript>[1]) =>
    Effect.fromResult(ScriptedPeer.fromTranscript(transcript, options))

  for (const [how, options] of [["in one piece", undefined], ["one byte at a time", oneByOne]] as const) {
    it.effect(`a recorded session is played to the server, ${how}`, () =>
      Effect.gen(function*() {
        const transcript = yield* recording()
        const script = yield* played(transcript, { play: "self" })
        const [server, peer] = yield* between(Line.server, script, options)
        expect(Exit.isSuccess(server)).toBe(true)
        expect(Transcript.difference(transcript, yield* peer)).toBeUndefined()
      }))

    it.effect(`a recorded session is played to the client, ${how}`, () =>
      Effect.gen(function*() {
        const transcript = yield* recording()
        const script = yield* played(transcript, { play: "peer" })
        const [client, peer] = yield* between(Line.client, script, options)
        expect(Exit.isSuccess(client)).toBe(true)
        expect(said(yield* peer)).toEqual(["received You ready?\n", "sent Bring it!\n"])
      }))
  }

  it.effect("stored and read back it is the same script", () =>
    Effect.gen(function*() {
      const transcript = yield* recording()
      const stored = Result.getOrThrow(Transcript.parse(Transcript.format(transcript))).transcript
      for (const play of ["self", "peer"] as const) {
        const texts = (script: ScriptedPeer.Script) => script.map((step) => step.text)
        expect(texts(yield* played(stored, { play }))).toEqual(texts(yield* played(transcript, { play })))
      }
    }))

  it.effect("a side that has changed is told with a difference", () =>
    Effect.gen(function*() {
      const script = yield* played(yield* recording(), { play: "self" })
      const changed = Transport.framed(Codec.lines()).pipe(
        Handshake.expect("You ready?"),
        Handshake.send("Bring them!")
      )
      const [, peer] = yield* between(changed, script)
      expect(message(peer)).toEqual([
        "the script failed at step 2 of 2, expect \"Bring it!\\n\": \"Bring them!\\n\" came",
        "",
        "    -> \"You ready?\\n\"",
        "  - <- \"Bring it!\\n\"",
        "  + <- \"Bring them!\\n\"",
        "              ^"
      ])
    }))

  const ends: Record<string, [code: number, reason: string]> = {
    "closed in order": [1000, "UnexpectedEnd"],
    "broken": [1006, "ConnectionFailed"]
  }
  for (const [what, [code, reason]] of Object.entries(ends)) {
    it.effect(`a connection that was ${what} is so again`, () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const writer = yield* there.writer
        yield* writer.write(new Socket.CloseEvent(code))
        const [, transcript] = yield* Transcript.record(Effect.scoped(Line.client)).pipe(
          Effect.provideService(Socket.Socket, here)
        )
        const script = yield* played(transcript, { play: "peer" })
        const [client] = yield* between(Line.client, script)
        expect(Exit.isFailure(client) && Exit.findErrorOption(client)).toMatchObject({
          value: { reason: { _tag: reason } }
        })
      }))
  }

  it("both sides of a recording are played, ends included", () => {
    const { transcript } = Result.getOrThrow(Transcript.parse(`
      effect-handshake transcript 1
      0 ms -- connected
      1 ms -> "a"
      2 ms <- "b"
      3 ms <- <redacted 2 bytes>
      4 ms -> end
      5 ms <- "c"
      6 ms <- reset
      7 ms <- reset
    `))
    const texts = (play: "self" | "peer") =>
      Result.getOrThrow(ScriptedPeer.fromTranscript(transcript, { play, secrets: play === "peer" ? ["xy"] : [] })).map(
        (step) => step.text
      )
    expect(texts("self")).toEqual([
      "send \"a\"",
      "expect \"b\"",
      "expect <redacted 2 bytes>",
      "end",
      "expect \"c\"",
      "expect a broken connection"
    ])
    expect(texts("peer")).toEqual([
      "expect \"a\"",
      "send \"b\"",
      "send <redacted 2 bytes>",
      "expect the end",
      "send \"c\"",
      "reset"
    ])
  })

  describe("of a session with a secret", () => {
    const session = Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* Effect.forkScoped(Effect.provideService(vault.server, Socket.Socket, there))
      const [exit, transcript] = yield* Transcript.record(Effect.scoped(vault.client)).pipe(
        Effect.provideService(Socket.Socket, here)
      )
      expect(Exit.isSuccess(exit)).toBe(true)
      return Result.getOrThrow(Transcript.parse(Transcript.format(transcript))).transcript
    })

    it.effect("the secret is not in the recording, and any of its length is expected", () =>
      Effect.gen(function*() {
        const transcript = yield* session
        expect(Transcript.format(transcript)).not.toContain(password)
        const [client, peer] = yield* between(vault.client, yield* played(transcript, { play: "peer" }))
        expect(Exit.isSuccess(client)).toBe(true)
        expect(said(yield* peer)).toEqual(["received HELLO 2\n", "sent WHO\n", "received 8", "sent OK\n"])
      }))

    it.effect("the secret that is given is sent, and shown to nobody", () =>
      Effect.gen(function*() {
        const transcript = yield* session
        const given = [
          [`${password}\n`],
          (_: unknown, index: number) => index === 2 ? utf8(`${password}\n`) : undefined
        ]
        for (const secrets of given) {
          const [server, peer] = yield* between(vault.server, yield* played(transcript, { play: "self", secrets }))
          expect(Exit.isSuccess(server)).toBe(true)
          const today = yield* peer
          expect(Transcript.difference(transcript, today)).toBeUndefined()
          expect(Transcript.format(today)).not.toContain(password)
        }
      }))

    it.effect("without the secret there is no script", () =>
      Effect.gen(function*() {
        const transcript = yield* session
        for (const secrets of [undefined, [], () => undefined]) {
          const error = yield* Effect.flip(played(transcript, { play: "self", secrets }))
          expect(error._tag).toBe("UnplayableRecording")
          expect(error.message).toBe(
            "the recording cannot be played: message 3 is to be sent, it is <redacted 8 bytes>, and its secret is not given"
          )
        }
      }))

    it.effect("secrets that nobody sends are a mistake", () =>
      Effect.gen(function*() {
        const transcript = yield* session
        const error = yield* Effect.flip(played(transcript, { play: "self", secrets: ["a", "b"] }))
        expect(error.message).toBe("the recording cannot be played: 2 secrets are given, and 1 are to be sent")
      }))
  })
})
