import { describe, expect, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import type { HandshakeError } from "../src/HandshakeError.ts"
import { implOf } from "../src/internal/connection/transport.ts"
import * as Literal from "../src/internal/text/literal.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Line from "../src/protocols/Line.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Transport from "../src/Transport.ts"
import { join, rawPeer, readAll, text, utf8 } from "./support/conversation.ts"

const lines = Transport.framed(Codec.lines())

/** Records one side against a peer that says these bytes and ends. */
const recorded = <A, E>(side: Effect.Effect<A, E, Socket.Socket>, says: string) =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const peer = yield* rawPeer(there)
    yield* peer.write(utf8(says))
    yield* peer.end
    return yield* Transcript.record(side).pipe(Effect.provideService(Socket.Socket, here))
  })

const said = (transcript: Transcript.Transcript) => transcript.map(({ direction, frame }) => `${direction} ${frame}`)

describe("record", () => {
  it.effect("tells how it ended and what was said, in order", () =>
    Effect.gen(function*() {
      const [exit, transcript] = yield* recorded(
        Effect.scoped(Effect.flatMap(Line.client, (transport) => transport.receive)),
        "Bring it!\nHello\n"
      )
      expect(exit).toEqual(Exit.succeed("Hello"))
      expect(said(transcript)).toEqual([
        "note connected to unknown peer",
        "sent \"You ready?\"",
        "received \"Bring it!\"",
        "received \"Hello\""
      ])
    }))

  it.effect("a handshake that fails is recorded up to its failure", () =>
    Effect.gen(function*() {
      const [exit, transcript] = yield* recorded(Effect.scoped(Line.client), "No! Go away!\n")
      expect(Exit.isFailure(exit)).toBe(true)
      expect(said(transcript)).toEqual([
        "note connected to unknown peer",
        "sent \"You ready?\"",
        "received \"No! Go away!\""
      ])
    }))

  it.effect("the end of the connection is a note", () =>
    Effect.gen(function*() {
      const [, transcript] = yield* recorded(Effect.scoped(Line.client), "Brin")
      expect(said(transcript).at(-1)).toBe("note the connection ended in the middle of a frame, after \"Brin\"")
    }))

  it.effect("a frame that is malformed is a note", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.flatMap(Transport.framed(Codec.lines({ maxLength: 2 })), (t) => t.receive))
      const [, transcript] = yield* recorded(side, "abc\n")
      expect(said(transcript).at(-1)).toBe(
        "note a frame that begins with \"ab\"… is longer than the limit of 2 bytes"
      )
    }))

  it.effect("a note is one line, whatever was wrong", () =>
    Effect.gen(function*() {
      const codec = Codec.schema(Codec.lines(), Schema.fromJsonString(Schema.Struct({ n: Schema.Int })))
      const side = Effect.scoped(Effect.flatMap(Transport.framed(codec), (transport) => transport.receive))
      const [, transcript] = yield* recorded(side, "{\"n\":\"x\"}\n")
      expect(transcript.at(-1)).toMatchObject({ direction: "note" })
      expect(transcript.at(-1)?.frame).not.toContain("\n")
    }))

  it.effect("the entries count the time from the beginning of the recording", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("5 seconds")
      const fiber = yield* Effect.forkChild(recorded(
        Effect.scoped(Effect.gen(function*() {
          const transport = yield* lines
          yield* Effect.sleep("30 millis")
          yield* transport.send("a")
          yield* Effect.sleep("12 millis")
          yield* transport.send("b")
        })),
        ""
      ))
      yield* TestClock.adjust("30 millis")
      yield* TestClock.adjust("12 millis")
      const [, transcript] = yield* Fiber.join(fiber)
      expect(transcript.map((entry) => entry.atMs)).toEqual([0, 30, 42])
    }))

  it.effect("a secret step is not shown, in either direction", () =>
    Effect.gen(function*() {
      const side = lines.pipe(
        Handshake.send("hunter2", { secret: true }),
        Handshake.expect("swordfish", { secret: true }),
        Handshake.send("done"),
        Handshake.expect("bye")
      )
      const [exit, transcript] = yield* recorded(Effect.scoped(side), "swordfish\nbye\n")
      expect(Exit.isSuccess(exit)).toBe(true)
      expect(said(transcript)).toEqual([
        "note connected to unknown peer",
        "sent <redacted>",
        "received <redacted>",
        "sent \"done\"",
        "received \"bye\""
      ])
    }))

  it.effect("a secret that is cut is not shown", () =>
    Effect.gen(function*() {
      const side = lines.pipe(Handshake.expect("swordfish", { secret: true }))
      const [exit, transcript] = yield* recorded(Effect.scoped(side), "swordf")
      expect(`${said(transcript).join()} ${String(exit)}`).not.toContain("sword")
      expect(said(transcript).at(-1)).toBe("note the connection ended in the middle of a frame, after <redacted>")
    }))

  it.effect("a redacted value inside a frame is not shown", () =>
    Effect.gen(function*() {
      const logins = Codec.mapOrFail(Codec.lines(), {
        decode: (line) => Result.succeed({ user: "me", password: Redacted.make(line) }),
        encode: (login: { readonly user: string; readonly password: Redacted.Redacted<string> }) =>
          Result.succeed(Redacted.value(login.password))
      })
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* Transport.framed(logins)
        yield* transport.send({ user: "me", password: Redacted.make("hunter2") })
        return yield* transport.receive
      }))
      const [, transcript] = yield* recorded(side, "swordfish\n")
      expect(said(transcript)).toEqual([
        "note connected to unknown peer",
        expect.stringContaining("sent {\"user\":\"me\""),
        expect.stringContaining("received {\"user\":\"me\"")
      ])
      expect(said(transcript).join()).not.toMatch(/hunter2|swordfish/)
    }))

  it.effect("`describe` renders the frames", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.flatMap(
        Transport.framed(Codec.bytes, { describe: (frame) => `${frame.length} bytes` }),
        (transport) => transport.receive
      ))
      const [, transcript] = yield* recorded(side, "abc")
      expect(said(transcript).at(-1)).toBe("received 3 bytes")
    }))

  /** Records a handshake, then hears so many lines behind it, and tells how often somebody has looked at a frame. */
  const looksBehind = (
    handshake: (described: Effect.Effect<Lines, never, Needs>) => Effect.Effect<Lines, HandshakeError, Needs>
  ) =>
    Effect.gen(function*() {
      let looks = 0
      const described = Effect.orDie(Transport.framed(Codec.lines(), { describe: (frame) => `${++looks} ${frame}` }))
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      yield* peer.write(utf8("a\nb\nc\nd\n"))
      const transport = yield* Effect.provideService(handshake(described), Socket.Socket, here)
      const before = looks
      for (let i = 0; i < 3; i++) yield* transport.receive
      yield* transport.sendAll(["x", "y"])
      yield* transport.send("z")
      return looks - before
    })

  type Lines = Transport.Transport<string, string>
  type Needs = Socket.Socket | Scope.Scope

  it.effect("what is said behind what was recorded is looked at no more", () =>
    Effect.gen(function*() {
      const looks = yield* looksBehind((described) =>
        Effect.flatMap(Transcript.record(Handshake.expect(described, "a")), ([exit]) => exit)
      )
      expect(looks).toBe(1)
    }))

  it.effect("whoever watches anyway hears of all of it", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const looks = yield* looksBehind((described) =>
        Effect.flatMap(Transcript.record(Handshake.expect(described, "a")), ([exit]) => exit).pipe(
          Effect.provideService(Transport.CurrentObserver, (event) => seen.push(event._tag))
        )
      )
      expect(looks).toBe(6)
      expect(seen).toEqual(["Connected", ...Array(4).fill("Received"), ...Array(3).fill("Sent")])
    }))

  it.effect("an observer that has seen enough is called no more, and what it was not called for arrives", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const looks = yield* looksBehind((described) =>
        Effect.provideService(Handshake.expect(described, "a"), Transport.CurrentObserver, (event) => {
          seen.push(event._tag)
          return event._tag === "Received" ? Transport.unwatch : undefined
        })
      )
      expect(looks).toBe(0)
      expect(seen).toEqual(["Connected", "Received"])
    }))

  it.effect("a connection that is interrupted leaves its transcript", () =>
    Effect.gen(function*() {
      const [here] = yield* MemorySocket.pair()
      const recorder = yield* Transcript.recorder
      const fiber = yield* Effect.forkChild(
        Effect.scoped(Line.client).pipe(
          Effect.provideService(Transport.CurrentObserver, recorder.observer),
          Effect.provideService(Socket.Socket, here)
        )
      )
      yield* TestClock.adjust("1 millis")
      yield* Fiber.interrupt(fiber)
      recorder.note("given up")
      expect(said(recorder.entries())).toEqual([
        "note connected to unknown peer",
        "sent \"You ready?\"",
        "note given up"
      ])
    }))
})

/** Takes frames up to the first other one, and gives that one back. */
const takeWhile = <In>(wanted: In) =>
  Sink.fromTransform<In, void, never, never, In>((upstream) => {
    const loop: Effect.Effect<Sink.End<void, In>> = Effect.matchEffect(upstream, {
      onFailure: () => Effect.succeed([undefined] as const),
      onSuccess: (frames) => {
        const other = frames.findIndex((next) => next !== wanted)
        return other === -1 ? loop : Effect.succeed([undefined, [frames[other], ...frames.slice(other + 1)]] as const)
      }
    })
    return loop
  })

/** The bytes of each message, as text, and how many there are of what is hidden. */
const wire = (transcript: Transcript.Transcript) =>
  transcript.flatMap((entry) =>
    entry.direction === "note"
      ? []
      : [`${entry.direction} ${entry.bytes === undefined ? entry.length : Literal.quote(entry.bytes)}`]
  )

describe("the bytes of a recording", () => {
  it.effect("are the frames on the wire, delimiters and length fields included", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* lines
        yield* transport.send("hi")
        yield* transport.receive
        const packets = yield* Transport.switchCodec(transport, Codec.lengthPrefixed({ bytes: 2 }))
        yield* packets.send(utf8("abc"))
        yield* packets.receive
      }))
      const [, transcript] = yield* recorded(side, "yo\n\u0000\u0002zz")
      expect(wire(transcript)).toEqual([
        "sent \"hi\\n\"",
        "received \"yo\\n\"",
        "sent \"\\x00\\x03abc\"",
        "received \"\\x00\\x02zz\""
      ])
    }))

  it.effect("are a copy", () =>
    Effect.gen(function*() {
      // Whose `slice` is none.
      const bytes = Buffer.from("abc")
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* Transport.framed(Codec.bytes)
        yield* transport.send(bytes)
        bytes.fill(0)
        const received = yield* transport.receive
        received.fill(0)
      }))
      const [, transcript] = yield* recorded(side, "def")
      expect(wire(transcript)).toEqual(["sent \"abc\"", "received \"def\""])
    }))

  it.effect("of a stream's frames are each the frame's own, however many are decoded at once", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.flatMap(lines, (transport) => Stream.runDrain(transport.incoming)))
      const [, transcript] = yield* recorded(side, "one\ntwo\n\nfour\n")
      expect(wire(transcript)).toEqual([
        "received \"one\\n\"",
        "received \"two\\n\"",
        "received \"\\n\"",
        "received \"four\\n\""
      ])
      expect(transcript.at(-1)).toMatchObject({ direction: "note", end: { by: "peer", how: "closed" } })
    }))

  it.effect("of requests and answers are there too, and the end of the connection", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(
        Effect.flatMap(lines, Pipeline.serve<string, string>((line) => Effect.succeed(line.toUpperCase())))
      )
      const [, transcript] = yield* recorded(side, "one\ntwo\n")
      expect(wire(transcript)).toEqual([
        "received \"one\\n\"",
        "received \"two\\n\"",
        "sent \"ONE\\n\"",
        "sent \"TWO\\n\""
      ])
      expect(transcript.at(-1)).toMatchObject({ direction: "note", end: { by: "peer", how: "closed" } })
    }))

  it.effect("a frame that a sink gives back is recorded once", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* lines
        yield* transport.run(takeWhile("a"))
        return [yield* transport.receive, yield* transport.receive]
      }))
      const [exit, transcript] = yield* recorded(side, "a\nb\nc\n")
      expect(exit).toEqual(Exit.succeed(["b", "c"]))
      expect(wire(transcript)).toEqual(["received \"a\\n\"", "received \"b\\n\"", "received \"c\\n\""])
    }))

  it.effect("bytes that were given back to another codec are recorded once, all of them", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* lines
        yield* transport.run(takeWhile("a"))
        const packets = yield* Transport.switchCodec(transport, Codec.fixed(4))
        return yield* packets.receive
      }))
      const [exit, transcript] = yield* recorded(side, "a\nb\ncd")
      expect(exit).toEqual(Exit.succeed(utf8("b\ncd")))
      expect(wire(transcript)).toEqual(["received \"a\\n\"", "received \"b\\n\"", "received \"cd\""])
    }))

  it.effect.prop(
    "are those of the connection, each once, whatever sinks give back and however codecs change",
    [
      Schema.Array(Schema.Literals(["receive", "run", "lines", "pairs"])).check(Schema.isMaxLength(12)),
      Schema.Array(Schema.Literals(["a", "b", "\n"])).check(Schema.isMaxLength(24))
    ],
    ([steps, letters]) =>
      Effect.gen(function*() {
        const all = letters.join("")
        const side = Effect.scoped(Effect.gen(function*() {
          let transport: Transport.Transport<string | Uint8Array, never> = yield* lines
          for (const step of steps) {
            if (step === "receive") yield* Effect.exit(transport.receive)
            else if (step === "run") yield* Effect.exit(transport.run(takeWhile<string | Uint8Array>("a")))
            else if (step === "lines") transport = yield* Transport.switchCodec(transport, Codec.lines())
            else transport = yield* Transport.switchCodec(transport, Codec.fixed(2))
          }
          return yield* readAll(yield* Transport.switchCodec(transport, Codec.bytes))
        }))
        const [exit, transcript] = yield* recorded(side, all)
        expect(Exit.isSuccess(exit)).toBe(true)
        const received = transcript.flatMap((entry) => entry.direction === "received" ? [entry.bytes!] : [])
        expect(text(join(received))).toBe(all)
      }),
    { arbitrary: { runs: 100 } }
  )
})

describe("what is sent and received", () => {
  it.effect("nothing was sent where one of several frames cannot be encoded", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.flatMap(lines, (transport) => transport.sendAll(["good", "b\nad"])))
      const [exit, transcript] = yield* recorded(side, "")
      expect(Exit.isFailure(exit)).toBe(true)
      expect(wire(transcript)).toEqual([])
    }))

  it.effect("a frame that was only looked at is received when it is taken, and is a secret then", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* lines
        yield* implOf(transport).hasFrame
        return yield* Handshake.expect(transport, "swordfish", { secret: true })
      }))
      const [, transcript] = yield* recorded(side, "swordfish\n")
      expect(wire(transcript)).toEqual(["received 10"])
    }))

  it.effect("whoever asks again behind the end does not record it again", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* lines
        yield* Effect.exit(transport.receive)
        yield* Effect.exit(transport.receive)
      }))
      const [, transcript] = yield* recorded(side, "")
      expect(said(transcript)).toEqual(["note connected to unknown peer", "note the peer closed the connection"])
    }))

  const endings: Record<string, [code: number | undefined, says: string, end: Transcript.End | undefined]> = {
    "closed by the peer between two frames": [1000, "a\n", { by: "peer", how: "closed" }],
    "closed by the peer inside a frame": [1000, "a\nb", { by: "peer", how: "closed" }],
    "broken": [1006, "a\n", { by: "peer", how: "broken" }],
    "given up by this side": [undefined, `a\n${"x".repeat(9)}`, undefined]
  }
  for (const [what, [code, says, end]] of Object.entries(endings)) {
    it.effect(`tells how a connection has ended that was ${what}`, () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const writer = yield* there.writer
        yield* writer.write(utf8(says))
        if (code !== undefined) yield* writer.write(new Socket.CloseEvent(code))
        const side = Effect.scoped(Effect.gen(function*() {
          const transport = yield* Transport.framed(Codec.lines({ maxLength: 8 }))
          yield* transport.receive
          return yield* transport.receive
        }))
        const [, transcript] = yield* Transcript.record(side).pipe(Effect.provideService(Socket.Socket, here))
        const last = transcript.at(-1)!
        expect(last.direction === "note" && last.end).toEqual(end)
      }))
  }
})

describe("law 9, secrets: the bytes of a recording", () => {
  it.effect("of a secret step are not there, but how many they are", () =>
    Effect.gen(function*() {
      const side = lines.pipe(
        Handshake.send("hunter2", { secret: true }),
        Handshake.expect("swordfish", { secret: true }),
        Handshake.send("done")
      )
      const [, transcript] = yield* recorded(Effect.scoped(side), "swordfish\n")
      expect(wire(transcript)).toEqual(["sent 8", "received 10", "sent \"done\\n\""])
    }))

  interface Login {
    readonly padding: string
    readonly credentials: Map<string, { readonly password: Redacted.Redacted<string> }>
  }
  const loginOf = (password: string, padding: string, label?: string): Login => ({
    padding,
    credentials: new Map([["me", { password: Redacted.make(password, { label }) }]])
  })
  const passwordOf = (login: Login) => Redacted.value(login.credentials.get("me")!.password)

  const logins = (padding: string, label?: string) =>
    Codec.map(Codec.lines(), { decode: (line: string) => loginOf(line, padding, label), encode: passwordOf })

  const hides = (codec: Codec.Codec<Login, Login>, options?: { readonly describe?: (login: Login) => string }) =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* Transport.framed(codec, options)
        yield* transport.send(loginOf("hunter2", ""))
        return yield* transport.receive
      }))
      const [, transcript] = yield* recorded(side, "swordfish\n")
      expect(wire(transcript)).toEqual(["sent 8", "received 10"])
      expect(Transcript.format(transcript)).not.toMatch(/hunter2|swordfish/)
    })

  it.effect("of a frame with a redacted value in it are not there", () => hides(logins("")))

  it.effect("of a frame with a labelled one are not there", () => hides(logins("", "password")))

  it.effect("of a frame whose excerpt ends before the redacted value are not there", () =>
    hides(logins("x".repeat(300))))

  it.effect("of a frame that is described without the redacted value are not there", () =>
    hides(logins(""), { describe: () => "a login" }))

  it.effect("of a frame that is described as redacted are not there, whatever the frame is", () =>
    Effect.gen(function*() {
      const describe = (line: string) =>
        line.startsWith("PASS ") ? "PASS <redacted>" : line.startsWith("KEY ") ? "KEY <redacted:key>" : line
      const side = Effect.scoped(Effect.gen(function*() {
        const transport = yield* Transport.framed(Codec.lines(), { describe })
        yield* transport.send("USER me")
        yield* transport.send("PASS hunter2")
        yield* transport.send("KEY swordfish")
      }))
      const [, transcript] = yield* recorded(side, "")
      expect(wire(transcript)).toEqual(["sent \"USER me\\n\"", "sent 13", "sent 14"])
    }))

  it.effect("of a frame that cannot be looked into are not there", () =>
    Effect.gen(function*() {
      const codec = Codec.map(Codec.lines(), {
        decode: (line: string) => ({
          get password(): string {
            throw new Error(line)
          }
        }),
        encode: (line: string) => line
      })
      const side = Effect.scoped(Effect.flatMap(Transport.framed(codec), (transport) => transport.receive))
      const [, transcript] = yield* recorded(side, "swordfish\n")
      expect(wire(transcript)).toEqual(["received 10"])
    }))

  it.effect("of a text that only looks redacted are there", () =>
    Effect.gen(function*() {
      const side = Effect.scoped(Effect.flatMap(lines, (transport) => transport.receive))
      const [, transcript] = yield* recorded(side, "<redacted>\n")
      expect(wire(transcript)).toEqual(["received \"<redacted>\\n\""])
    }))

  it.effect("of a frame that refers to itself are there", () =>
    Effect.gen(function*() {
      interface Loop {
        readonly line: string
        self: Loop | undefined
      }
      const codec = Codec.map(Codec.lines(), {
        decode: (line: string) => {
          const loop: Loop = { line, self: undefined }
          loop.self = loop
          return loop
        },
        encode: (line: string) => line
      })
      const side = Effect.scoped(Effect.flatMap(Transport.framed(codec), (transport) => transport.receive))
      const [, transcript] = yield* recorded(side, "hi\n")
      expect(wire(transcript)).toEqual(["received \"hi\\n\""])
    }))
})

describe("recorder", () => {
  it.effect("entries that were asked for do not change any more", () =>
    Effect.gen(function*() {
      const recorder = yield* Transcript.recorder
      recorder.note("one")
      const entries = recorder.entries()
      recorder.note("two")
      expect(said(entries)).toEqual(["note one"])
    }))

  it.effect("every event is an entry", () =>
    Effect.gen(function*() {
      const recorder = yield* Transcript.recorder
      const remote = NetAddress.inetAddressFromStringUnsafe("192.0.2.1:12345")
      recorder.observer({ _tag: "Connected", peer: { remote, local: undefined } })
      recorder.observer({ _tag: "Sent", frame: "\"a\"", bytes: utf8("a\n"), length: 2 })
      recorder.observer({ _tag: "Received", frame: "<redacted>", bytes: undefined, length: 8 })
      recorder.observer({ _tag: "Ended", message: "the peer closed the connection", how: "closed" })
      recorder.observer({ _tag: "Ended", message: "the frame is malformed", how: undefined })
      expect(recorder.entries()).toEqual([
        { atMs: 0, direction: "note", frame: "connected to 192.0.2.1:12345" },
        { atMs: 0, direction: "sent", frame: "\"a\"", bytes: utf8("a\n"), length: 2 },
        { atMs: 0, direction: "received", frame: "<redacted>", bytes: undefined, length: 8 },
        { atMs: 0, direction: "note", frame: "the peer closed the connection", end: { by: "peer", how: "closed" } },
        { atMs: 0, direction: "note", frame: "the frame is malformed" }
      ])
    }))
})

describe("diagram", () => {
  const entry = (direction: Transcript.Entry["direction"], frame: string, atMs = 0): Transcript.Drawn => ({
    atMs,
    direction,
    frame
  })

  it("draws each frame above its arrow", () => {
    expect(
      Transcript.diagram([entry("sent", "\"You ready?\""), entry("received", "\"Bring it!\"", 2)]).split("\n")
    ).toEqual([
      "client                  server",
      "  │                       │",
      "  │ \"You ready?\"          │",
      "  ├──────────────────────►│  0 ms",
      "  │           \"Bring it!\" │",
      "  │◄──────────────────────┤  2 ms"
    ])
  })

  it("a frame of 72 characters stands on one line, and one more goes on below it", () => {
    const columns = (length: number) =>
      Transcript.diagram([entry("sent", "x".repeat(length))]).split("\n").filter((line) => line.includes("x"))
    expect(columns(72)).toEqual([`  │ ${"x".repeat(72)}  │`])
    expect(columns(73)).toEqual([`  │ ${"x".repeat(72)}  │`, `  │ x${" ".repeat(73)}│`])
  })

  it("a note stands on the line of this side", () => {
    expect(Transcript.diagram([entry("note", "connected to unknown peer", 7)]).split("\n").at(-1)).toBe(
      "  · connected to unknown peer  (7 ms)"
    )
  })

  it("nothing said is two lines of nothing", () => {
    expect(Transcript.diagram([]).split("\n")).toEqual([
      "client                  server",
      "  │                       │"
    ])
  })

  /** Where the two lines are, and where the middles of the labels above them are. */
  const columns = (self: string, peer: string, frames: ReadonlyArray<string>) => {
    const transcript = frames.map((frame, i) => entry(i % 2 === 0 ? "sent" : "received", frame))
    const [labels, ...rest] = Transcript.diagram(transcript, { self, peer }).split("\n")
    const bars = rest.map((row) => {
      const first = row.search(/[│├]/)
      const second = row.slice(first + 1).search(/[│┤]/)
      return [first, first + 1 + second]
    })
    const middle = (label: string, from: number) => labels.indexOf(label, from) + Math.floor((label.length - 1) / 2)
    return { bars, middles: [middle(self, 0), middle(peer, labels.indexOf(self) + self.length)], labels }
  }

  const labels = ["a", "ab", "abc", "you", "client", "server", "a server", "the other side"]
  const frames = [[], ["x"], ["x", "y"], ["x".repeat(19)], ["x".repeat(20)], ["x".repeat(21), "y"], [
    "y",
    "x".repeat(90)
  ]]

  it("both lines are straight, and each label stands above the middle of its own", () => {
    for (const self of labels) {
      for (const peer of labels.map((label) => label.toUpperCase())) {
        for (const said of frames) {
          const { bars, middles } = columns(self, peer, said)
          for (const bar of bars) expect(bar).toEqual(middles)
        }
      }
    }
  })

  it("labels that are longer than what was said stand above their lines too", () => {
    const { bars, middles } = columns("the client on this side of the world", "the server on the other side of it", [
      "x"
    ])
    for (const bar of bars) expect(bar).toEqual(middles)
  })

  it("no line ends in blanks", () => {
    for (const self of labels) {
      for (const row of Transcript.diagram([entry("sent", "x"), entry("received", "y")], { self }).split("\n")) {
        expect(row).toBe(row.trimEnd())
      }
    }
  })

  it("an empty frame has its arrow", () => {
    expect(Transcript.diagram([entry("sent", "")]).split("\n").at(-1)).toContain("►│")
  })
})

const message = (
  direction: Transcript.Message["direction"],
  bytes: Uint8Array | string | number,
  frame?: string
): Transcript.Message => {
  if (typeof bytes === "number") {
    return { atMs: 0, direction, frame: frame ?? "<redacted>", bytes: undefined, length: bytes }
  }
  const wire = typeof bytes === "string" ? utf8(bytes) : bytes
  return { atMs: 0, direction, frame: frame ?? text(wire), bytes: wire, length: wire.length }
}

const ended = (by: Transcript.End["by"], how: Transcript.End["how"], frame = "over"): Transcript.Note => ({
  atMs: 0,
  direction: "note",
  frame,
  end: { by, how }
})

const Part = Schema.Union([
  Schema.String,
  // What a line could trip over.
  Schema.Literals([
    "\n",
    "\r",
    "\t",
    " ",
    "#",
    "\"",
    "\\",
    "\\x41",
    "\\u{41}",
    "\0",
    "\u00a0",
    "\ufeff",
    "\u2028",
    "\u034f",
    "\ud800",
    "é",
    "🤝",
    "end",
    "<redacted 8 bytes>"
  ])
])
const texts = Arbitrary.map(
  Arbitrary.schema(Schema.Array(Part).check(Schema.isMaxLength(5))),
  (parts) => parts.join("")
)

const kinds = Arbitrary.schema(Schema.Literals(["bytes", "text", "line", "secret", "note", "end", "reset"]))

const entryOf = (
  [kind, said, frame, time, bytes, self]: readonly [string, string, string, number, Uint8Array, boolean]
): Transcript.Entry => {
  const direction = self ? "sent" : "received"
  // There is no time -0.
  const atMs = time + 0
  switch (kind) {
    case "bytes":
      return { ...message(direction, bytes, frame), atMs }
    case "text":
      return { ...message(direction, said, frame), atMs }
    case "line":
      return { ...message(direction, `${said}\r\n`, Literal.quote(utf8(said))), atMs }
    case "secret":
      return { ...message(direction, bytes.length, frame), atMs }
    case "note":
      return { atMs, direction: "note", frame }
    default:
      return { ...ended(self ? "self" : "peer", kind === "end" ? "closed" : "broken", frame), atMs }
  }
}

const transcripts: Arbitrary.Arbitrary<Transcript.Transcript> = Arbitrary.array(
  Arbitrary.map(
    Arbitrary.all([
      kinds,
      texts,
      texts,
      Arbitrary.schema(Schema.Finite),
      Arbitrary.schema(Schema.Uint8Array),
      Arbitrary.schema(Schema.Boolean)
    ]),
    entryOf
  ),
  { maxLength: 8 }
)

const parsed = (text: string) => Result.getOrThrow(Transcript.parse(text))

const runs = { arbitrary: { runs: 300 } }

describe("format and parse", () => {
  it.prop(
    "what is formatted is parsed again, exactly",
    [transcripts, texts, texts],
    ([transcript, self, peer]) => {
      const stored = Transcript.format(transcript, { self, peer })
      expect(parsed(stored)).toEqual({ self, peer, transcript })
      expect(Transcript.format(transcript, parsed(stored))).toBe(stored)
    },
    runs
  )

  it.prop("each entry is one line of printable characters", [transcripts], ([transcript]) => {
    const lines = Transcript.format(transcript).split("\n")
    expect(lines.length).toBe(4 + transcript.length + 1)
    for (const line of lines) expect(line).toMatch(/^(?:(?! )[^\p{C}\p{Z}]| )*$/u)
  }, runs)

  it.prop(
    "blanks at the ends of lines and the line endings of Windows do not matter",
    [transcripts],
    ([transcript]) => {
      const stored = Transcript.format(transcript)
      expect(parsed(stored.replaceAll("\n", "  \r\n")).transcript).toEqual(transcript)
    },
    runs
  )

  it("every byte is there", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    const [entry] = parsed(Transcript.format([message("sent", bytes)])).transcript
    expect(entry).toEqual(message("sent", bytes))
  })

  it("a session of lines needs no descriptions", () => {
    const transcript = [
      { ...message("sent", "You ready?\n", "\"You ready?\""), atMs: 5 },
      { ...message("received", "Grüße\r\n", "\"Grüße\""), atMs: 12 },
      { ...message("sent", 8), atMs: 12 },
      { ...message("received", 1), atMs: 13 },
      { ...ended("peer", "closed", "the peer closed the connection"), atMs: 130 }
    ]
    expect(Transcript.format(transcript, { self: "me", peer: "you" })).toBe(
      [
        "effect-handshake transcript 1",
        "self me",
        "peer you",
        "",
        "  5 ms  -> \"You ready?\\n\"",
        " 12 ms  <- \"Grüße\\r\\n\"",
        " 12 ms  -> <redacted 8 bytes>",
        " 13 ms  <- <redacted 1 byte>",
        "130 ms  <- end",
        ""
      ].join("\n")
    )
  })

  it("what cannot be guessed of a description is there, behind a #", () => {
    const stored = Transcript.format([
      message("received", Uint8Array.of(0x52, 0, 0, 0), "AuthenticationOk"),
      message("received", 8, "a password"),
      ended("peer", "broken", "ECONNRESET"),
      { atMs: 0, direction: "note", frame: "two\nlines" }
    ])
    expect(stored.split("\n").slice(4, -1)).toEqual([
      "0 ms  <- \"R\\x00\\x00\\x00\"  # AuthenticationOk",
      "0 ms  <- <redacted 8 bytes>  # a password",
      "0 ms  <- reset  # ECONNRESET",
      "0 ms  -- two\\nlines"
    ])
  })

  it("comments and empty lines are passed over, and the names have defaults", () => {
    expect(parsed("\ufeff\n# a comment\neffect-handshake transcript 1\n\n  # more\n  1.5ms  ->\t\"a\"   #b\n")).toEqual(
      {
        self: "client",
        peer: "server",
        transcript: [{ ...message("sent", "a", "b"), atMs: 1.5 }]
      }
    )
  })

  const broken: Record<string, [text: string, line: number, problem: string]> = {
    "nothing": ["", 1, "it is empty, without even \"effect-handshake transcript 1\""],
    "something else": ["\nGET / HTTP/1.1", 2, "it has to begin with \"effect-handshake transcript 1\""],
    "a later version": [
      "effect-handshake transcript 2",
      1,
      "it is of version 2, and only version 1 is known"
    ],
    "no time": ["-> \"a\"", 2, "a line is a time in ms, then ->, <- or --: \"-> \\\"a\\\"\""],
    "no direction": ["0 ms \"a\"", 2, "a line is a time in ms, then ->, <- or --: \"0 ms \\\"a\\\"\""],
    "no quotes": [
      "0 ms -> a",
      2,
      "a message is bytes in double quotes, <redacted 8 bytes>, end or reset: \"a\""
    ],
    "an end that is none": [
      "0 ms -> ending",
      2,
      "a message is bytes in double quotes, <redacted 8 bytes>, end or reset: \"ending\""
    ],
    "no closing quote": ["\n0 ms -> \"a", 3, "the double quote at the end is missing"],
    "an unknown escape": ["0 ms -> \"a\\q\"", 2, "\\q is no escape"],
    "half an escape": ["0 ms -> \"\\x4\"", 2, "\\x is no escape"],
    "an escape at the very end": ["0 ms -> \"\\", 2, "\\ is no escape"],
    "half a surrogate pair": ["0 ms -> \"\ud800\"", 2, "half a surrogate pair is no text"],
    "something behind the bytes": [
      "0 ms -> \"a\" b",
      2,
      "behind a message may be a # and a description: \"b\""
    ],
    "an unknown escape in a note": ["0 ms -- \\q", 2, "\\q is no escape"],
    "a character that does not exist": ["0 ms -- \\u{110000}", 2, "\\u{110000} is no escape"],
    "an unknown escape in a name": ["self \\q", 2, "\\q is no escape"],
    "a secret of more bytes than there are": [
      "0 ms -> <redacted 9999999999999999 bytes>",
      2,
      "a message is bytes in double quotes, <redacted 8 bytes>, end or reset: \"<redacted 9999999999999999 bytes>\""
    ]
  }
  for (const [what, [text, line, problem]] of Object.entries(broken)) {
    it(`${what} is refused, with its line`, () => {
      const source = line === 1 || what === "something else" ? text : `effect-handshake transcript 1\n${text}`
      const result = Transcript.parse(source)
      expect(Result.isFailure(result) && { ...result.failure }).toMatchObject({ line, problem })
      expect(Result.isFailure(result) && result.failure.message).toBe(`line ${line} of the transcript: ${problem}`)
    })
  }

  it("what it says of a line is bounded and printable", () => {
    const result = Transcript.parse(`effect-handshake transcript 1\n0 ms -> \u001b[2J${"x".repeat(100_000)}`)
    const message = Result.isFailure(result) ? result.failure.message : ""
    expect(message.length).toBeLessThan(400)
    expect(message).not.toContain("\u001b")
  })

  it.effect("a recorded session is stored, and what was secret is not in it", () =>
    Effect.gen(function*() {
      const side = lines.pipe(
        Handshake.send("hunter2", { secret: true }),
        Handshake.expect("welcome")
      )
      const [, transcript] = yield* recorded(Effect.scoped(side), "welcome\n")
      const stored = Transcript.format(transcript)
      expect(stored).not.toContain("hunter2")
      expect(parsed(stored).transcript).toEqual(transcript)
    }))
})

describe("mermaid", () => {
  const rows = (transcript: ReadonlyArray<Transcript.Drawn>, sides?: Transcript.Sides) =>
    Transcript.mermaid(transcript, sides).split("\n")

  it("draws messages and notes", () => {
    const drawn = [message("sent", 1, "Hi"), message("received", 1, "Ho"), ended("peer", "closed", "closed")]
    expect(rows(drawn, { self: "me", peer: "you" })).toEqual([
      "sequenceDiagram",
      "  participant self as me",
      "  participant peer as you",
      "  self->>peer: Hi",
      "  peer->>self: Ho",
      "  Note over self,peer: closed"
    ])
  })

  const escaped: Record<string, string> = {
    "a;b": "a#59;b",
    "#": "#35;",
    "\"a\"": "#34;a#34;",
    "<br/>": "#60;br#47;#62;",
    "two\nlines": "two#10;lines",
    "%%{init}%%": "#37;#37;#123;init#125;#37;#37;",
    "$$x$$": "#36;#36;x#36;#36;",
    "wrap: me": "wrap#58; me",
    "the end": "the #101;nd",
    "End.": "#69;nd.",
    "weekend": "weekend",
    "🤝": "#129309;",
    "é": "é",
    "": "#160;"
  }
  for (const [frame, text] of Object.entries(escaped)) {
    it(`${JSON.stringify(frame)} is safe`, () => {
      expect(rows([message("sent", 1, frame)], { self: frame, peer: frame }).slice(1)).toEqual([
        `  participant self as ${text}`,
        `  participant peer as ${text}`,
        `  self->>peer: ${text}`
      ])
    })
  }

  it.prop("any text is one safe line that shows as that text", [texts], ([frame]) => {
    const [, , , row, ...more] = rows([message("sent", 1, frame)])
    expect(more).toEqual([])
    const shown = row.slice("  self->>peer: ".length)
    expect(shown).toMatch(/^(?:[\p{L}\p{N} .,!?'()_-]|#\d+;)+$/u)
    expect(shown).not.toMatch(/\bend\b/i)
    const read = shown.replace(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    if (frame.trim() !== "") expect(read).toBe(frame)
  }, runs)
})

describe("redact", () => {
  const transcript: Transcript.Transcript = [
    message("sent", "USER ada\n"),
    message("received", "OK\n"),
    { atMs: 3, direction: "note", frame: "ada is in" }
  ]

  it("leaves the length of a message and the place of a note", () => {
    const redacted = Transcript.redact(transcript, (entry) => entry.frame.includes("ada"))
    expect(redacted).toEqual([
      message("sent", 9),
      message("received", "OK\n"),
      { atMs: 3, direction: "note", frame: "<redacted>" }
    ])
    expect(Transcript.format(redacted)).not.toContain("ada")
  })

  it("is for pipes too, and does not change the transcript", () => {
    const nothing = Transcript.redact(() => true)(transcript)
    expect(nothing.map((entry) => entry.frame)).toEqual(["<redacted>", "<redacted>", "<redacted>"])
    expect(transcript[0].frame).toBe("USER ada\n")
  })
})

describe("difference", () => {
  const a = message("sent", "You ready?\n")
  const b = message("received", "Bring it!\n")
  const differs = (expected: Transcript.Transcript, actual: Transcript.Transcript) =>
    Transcript.difference(expected, actual)?.split("\n")

  it.prop("a transcript does not differ from itself", [transcripts], ([transcript]) => {
    expect(Transcript.difference(transcript, transcript)).toBeUndefined()
  }, runs)

  it("times, descriptions and notes do not matter", () => {
    const note: Transcript.Note = { atMs: 1, direction: "note", frame: "connected to 127.0.0.1:5432" }
    expect(Transcript.difference([note, a, b], [{ ...a, atMs: 9, frame: "a greeting" }, b, note])).toBeUndefined()
  })

  it("marks the first byte that differs", () => {
    expect(differs([a, b], [a, message("received", "Bring me!\n")])).toEqual([
      "  -> \"You ready?\\n\"",
      "- <- \"Bring it!\\n\"",
      "+ <- \"Bring me!\\n\"",
      "            ^"
    ])
  })

  it("marks where a message that goes on has ended, and the other way round", () => {
    const longer = message("received", "Bring it! Now\n")
    expect(differs([b], [longer])?.at(-1)).toBe("               ^")
    expect(differs([longer], [b])?.at(-1)).toBe("               ^")
  })

  it("the caret stands below the byte where the bytes are no text, and below the character where they are", () => {
    expect(differs([message("sent", Uint8Array.of(1, 2, 0xff))], [message("sent", Uint8Array.of(1, 3, 0xff))])).toEqual(
      [
        "- -> \"\\x01\\x02\\xff\"",
        "+ -> \"\\x01\\x03\\xff\"",
        "          ^"
      ]
    )
    expect(differs([message("sent", "äöx")], [message("sent", "äüx")])).toEqual([
      "- -> \"äöx\"",
      "+ -> \"äüx\"",
      "       ^"
    ])
  })

  it("shows a long message around the first byte that differs", () => {
    const long = (middle: string) => message("sent", `${"a".repeat(1000)}${middle}${"b".repeat(1000)}`)
    const lines = differs([long("x")], [long("y")])!
    expect(lines).toEqual([
      `- -> …"${"a".repeat(32)}x${"b".repeat(31)}"…`,
      `+ -> …"${"a".repeat(32)}y${"b".repeat(31)}"…`,
      `${" ".repeat(7 + 32)}^`
    ])
  })

  it("shows a long message from its beginning while the first byte that differs is well in sight", () => {
    const long = (at: number, byte: string) => message("sent", `${"a".repeat(at)}${byte}${"b".repeat(100)}`)
    expect(differs([long(47, "x")], [long(47, "y")])?.[0]).toBe(`- -> "${"a".repeat(47)}x${"b".repeat(16)}"…`)
    expect(differs([long(48, "x")], [long(48, "y")])?.[0]).toBe(`- -> …"${"a".repeat(32)}x${"b".repeat(31)}"…`)
  })

  it("shows a long message that is missing by its beginning", () => {
    expect(differs([message("sent", "a".repeat(1000))], [])).toEqual([`- -> "${"a".repeat(64)}"…`])
  })

  it("does not cut a character in two", () => {
    const umlauts = (first: string) => message("sent", `${first}${"ä".repeat(200)}`)
    expect(differs([umlauts("x")], [])).toEqual([`- -> "x${"ä".repeat(31)}"…`])
    expect(differs([umlauts("xx")], [])).toEqual([`- -> "xx${"ä".repeat(31)}"…`])
    expect(differs([umlauts("x")], [umlauts("y")])?.[0]).toBe(`- -> "x${"ä".repeat(63)}"…`)
    expect(differs([umlauts("xx")], [umlauts("yy")])?.[0]).toBe(`- -> "xx${"ä".repeat(62)}"…`)
    const late = (last: string) => message("sent", `${"ä".repeat(300)}${last}`)
    for (const margin of ["", "z"]) {
      const lines = differs([late(`x${margin}`)], [late(`y${margin}`)])!
      expect(lines).toEqual([
        `- -> …"${"ä".repeat(32)}x${margin}"`,
        `+ -> …"${"ä".repeat(32)}y${margin}"`,
        `${" ".repeat(7 + 32)}^`
      ])
    }
    const euros = (last: string) => message("sent", `${"€".repeat(300)}${last}`)
    expect(differs([euros("x")], [euros("y")])?.[0]).toBe(`- -> …"${"€".repeat(32)}x"`)
  })

  it("a missing message and one too many", () => {
    expect(differs([a, b], [a])).toEqual(["  -> \"You ready?\\n\"", "- <- \"Bring it!\\n\""])
    expect(differs([a], [a, b])).toEqual(["  -> \"You ready?\\n\"", "+ <- \"Bring it!\\n\""])
  })

  it("a message of the other side is another message", () => {
    expect(differs([a], [{ ...a, direction: "received" }])).toEqual([
      "- -> \"You ready?\\n\"",
      "+ <- \"You ready?\\n\""
    ])
  })

  it("a secret is the same as any message of its direction and length", () => {
    const secret = message("sent", 11)
    expect(Transcript.difference([secret, b], [a, b])).toBeUndefined()
    expect(Transcript.difference([a, b], [secret, b])).toBeUndefined()
    expect(Transcript.difference([secret], [secret])).toBeUndefined()
    expect(differs([secret], [message("sent", 10)])).toEqual([
      "- -> <redacted 11 bytes>",
      "+ -> <redacted 10 bytes>"
    ])
    expect(differs([secret], [message("received", 11)])).toEqual([
      "- -> <redacted 11 bytes>",
      "+ <- <redacted 11 bytes>"
    ])
  })

  it("ends are compared by who has ended and how", () => {
    expect(Transcript.difference([ended("peer", "closed", "one")], [ended("peer", "closed", "two")])).toBeUndefined()
    expect(differs([ended("peer", "closed")], [ended("peer", "broken")])).toEqual(["- <- end", "+ <- reset"])
    expect(differs([ended("self", "closed")], [ended("peer", "closed")])).toEqual(["- -> end", "+ <- end"])
    expect(differs([a], [a, ended("self", "broken")])).toEqual(["  -> \"You ready?\\n\"", "+ -> reset"])
  })

  it("does not leave out a single message", () => {
    const seven = Array.from({ length: 7 }, (_, i) => message("sent", `${i}`))
    const other = message("received", "!")
    expect(Transcript.difference([other, ...seven, other], seven)).not.toContain("…")
  })

  it("shows three messages around each change, and how many are left out", () => {
    const many = Array.from({ length: 12 }, (_, i) => message("sent", `${i}`))
    const other = message("received", "!")
    expect(differs([other, ...many, other, ...many], [...many, ...many])).toEqual([
      "- <- \"!\"",
      "  -> \"0\"",
      "  -> \"1\"",
      "  -> \"2\"",
      "  … 6 more",
      "  -> \"9\"",
      "  -> \"10\"",
      "  -> \"11\"",
      "- <- \"!\"",
      "  -> \"0\"",
      "  -> \"1\"",
      "  -> \"2\"",
      "  … 9 more"
    ])
  })
})
