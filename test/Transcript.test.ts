import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import * as Handshake from "../src/Handshake.ts"
import * as Line from "../src/protocols/Line.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Transport from "../src/Transport.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"

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
      recorder.observer({ _tag: "Sent", frame: "\"a\"" })
      recorder.observer({ _tag: "Received", frame: "\"b\"" })
      recorder.observer({ _tag: "Ended", message: "the peer closed the connection" })
      expect(said(recorder.entries())).toEqual([
        "note connected to 192.0.2.1:12345",
        "sent \"a\"",
        "received \"b\"",
        "note the peer closed the connection"
      ])
    }))
})

describe("diagram", () => {
  const entry = (direction: Transcript.Entry["direction"], frame: string, atMs = 0): Transcript.Entry => ({
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
