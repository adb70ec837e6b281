/**
 * The laws of every handshake, on the line protocol and on one with a secret and a codec switch.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Tracer from "effect/Tracer"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import { HandshakeError } from "../../src/HandshakeError.ts"
import type * as Protocol from "../../src/Protocol.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transcript from "../../src/Transcript.ts"
import * as Transport from "../../src/Transport.ts"
import { cutInto, outcomeOf, rawPeer, readAll, text, utf8 } from "../support/conversation.ts"
import { line, password, vault } from "../support/handshakes.ts"
import { recording } from "../support/spans.ts"

const runs = { arbitrary: { runs: 60 } }

/** What a peer may say to each handshake, right and wrong, and the part of it that belongs to the handshake. */
const sides: ReadonlyArray<{
  readonly name: string
  readonly handshake: Handshake.Handshake<unknown, never>
  readonly greeting: string
  readonly rest: string
  readonly wrong: ReadonlyArray<string>
}> = [
  {
    name: "line server",
    handshake: line.server,
    greeting: "You ready?\n",
    rest: "Hello\nGoodbye\n",
    wrong: ["No! Go away!\n", "Bring it!\n", "You ready?\r\n", "you ready?\n", "\n", "\xff\xfe\n", "x".repeat(65), "Hi"]
  },
  {
    name: "line client",
    handshake: line.client,
    greeting: "Bring it!\n",
    rest: "Hello\nGoodbye\n",
    wrong: ["You ready?\n", "No! Go away!\n", "Bring it!\r\n", "\n", "x".repeat(65), "Bring"]
  },
  {
    name: "vault server",
    handshake: vault.server,
    greeting: `HELLO 2\n${password}\n`,
    rest: "\u0000\u0003abc\u0000\u0000",
    wrong: [
      "HELLO 3\n",
      `${password}\nHELLO 2\n`,
      "HELLO 2\nhunter3\n",
      "HELLO 2\nHELLO 2\n",
      `HELLO 2\n${password}`,
      `HELLO 2\n${"x".repeat(65)}`
    ]
  },
  {
    name: "vault client",
    handshake: vault.client,
    greeting: "WHO\nOK\n",
    rest: "\u0000\u0003abc\u0000\u0000",
    wrong: ["OK\nWHO\n", "WHO\nNO\n", "WHO\nWHO\n", "WHO\n", "BAD VERSION\n"]
  }
]

const Lengths = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))).check(
  Schema.isMinLength(1),
  Schema.isMaxLength(8)
)

const latin1 = (said: string) => Uint8Array.from(said, (char) => char.charCodeAt(0))

for (const { greeting, handshake, name, rest, wrong } of sides) {
  describe(name, () => {
    const right = greeting + rest

    it.effect.prop(
      "law 1, chunking: the outcome does not depend on how the bytes are cut",
      [Lengths],
      ([lengths]) =>
        Effect.gen(function*() {
          for (const said of [right, ...wrong]) {
            const whole = yield* outcomeOf(handshake, latin1(said))
            expect(yield* outcomeOf(handshake, latin1(said), { segments: cutInto(lengths) })).toEqual(whole)
          }
        }),
      { arbitrary: { runs: 15 } }
    )

    it.effect("law 1, chunking: one byte at a time is the same as all at once", () =>
      Effect.gen(function*() {
        for (const said of [right, ...wrong]) {
          const whole = yield* outcomeOf(handshake, latin1(said))
          expect(yield* outcomeOf(handshake, latin1(said), { segments: cutInto([1]) })).toEqual(whole)
        }
      }))

    it.effect.prop(
      "law 2, conservation: what follows the handshake reaches the transport byte for byte",
      { lengths: Lengths, more: Schema.Uint8Array },
      ({ lengths, more }) =>
        Effect.gen(function*() {
          const said = Uint8Array.from([...utf8(greeting), ...more])
          const outcome = yield* outcomeOf(handshake, said, { segments: cutInto(lengths) })
          expect(outcome.result).toBe("ready")
          expect(outcome.rest).toBe(text(more))
        }),
      runs
    )

    it.effect("law 3, truncation: cut after any byte of the handshake it fails at once, and says so", () =>
      Effect.gen(function*() {
        for (let cut = 0; cut < greeting.length; cut++) {
          const outcome = yield* outcomeOf(handshake, utf8(greeting.slice(0, cut)))
          expect(outcome.result).toMatchObject({ reason: { _tag: "UnexpectedEnd" } })
        }
      }))

    it.effect("law 3, truncation: cut right behind the handshake it is ready, and the frames end in order", () =>
      Effect.gen(function*() {
        expect(yield* outcomeOf(handshake, utf8(greeting))).toMatchObject({ result: "ready", rest: "" })
      }))

    it.effect("law 5, wrong turn: what is not due now fails with an error that names the step", () =>
      Effect.gen(function*() {
        for (const said of wrong) {
          const { result } = yield* outcomeOf(handshake, latin1(said))
          expect(result, said).toMatchObject({ step: expect.stringMatching(/./) })
        }
      }))

    it.effect.prop(
      "law 5, wrong turn: no bytes at all make anything but a typed error",
      [Schema.Uint8Array],
      ([bytes]) =>
        Effect.gen(function*() {
          const { result } = yield* outcomeOf(handshake, bytes)
          expect(result).toMatchObject({ step: expect.any(String), reason: { _tag: expect.any(String) } })
        }),
      runs
    )

    it.effect("law 6, silence: a peer that dribbles gains nothing over the absolute deadline", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* rawPeer(there)
        const fiber = yield* handshake.pipe(
          Handshake.deadline("10 seconds"),
          Effect.scoped,
          Effect.provideService(Socket.Socket, here),
          Effect.flip,
          Effect.forkChild
        )
        for (const byte of utf8(greeting).subarray(0, 4)) {
          yield* peer.write(Uint8Array.of(byte))
          yield* TestClock.adjust("2500 millis")
        }
        const error = yield* Fiber.join(fiber)
        expect(error.reason).toMatchObject({ _tag: "Timeout", deadline: Duration.seconds(10) })
        expect(error.step).not.toBe("connect")
        yield* peer.closed
      }))

    it.effect("law 6, silence: the deadline just outlived does nothing, then or later", () =>
      Effect.gen(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* rawPeer(there)
        const fiber = yield* handshake.pipe(
          Handshake.deadline("10 seconds"),
          Effect.provideService(Socket.Socket, here),
          Effect.forkChild
        )
        yield* TestClock.adjust("9999 millis")
        yield* peer.write(utf8(greeting))
        const transport = yield* Fiber.join(fiber)
        const raw = yield* Transport.switchCodec(transport, Codec.bytes)
        yield* TestClock.adjust("1 day")
        yield* peer.write(utf8("still here"))
        expect(text(yield* raw.receive)).toBe("still here")
      }))

    it.effect("law 7, interruption: interrupted after any byte it closes its connection, once", () =>
      Effect.gen(function*() {
        for (let heard = 0; heard < greeting.length; heard++) {
          const [here, there] = yield* MemorySocket.pair()
          let closed = 0
          const counted = Socket.make({
            reader: Effect.acquireRelease(Effect.void, () => Effect.sync(() => closed++)).pipe(
              Effect.andThen(here.reader)
            ),
            writer: here.writer
          })
          const peer = yield* rawPeer(there)
          const fiber = yield* Effect.forkChild(
            Effect.scoped(Effect.provideService(handshake, Socket.Socket, counted))
          )
          yield* peer.write(utf8(greeting.slice(0, heard)))
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          yield* peer.closed
          expect(closed).toBe(1)
        }
      }))

    it.effect("law 10, isolation: two connections of one handshake value do not see each other's bytes", () =>
      Effect.gen(function*() {
        const connect = Effect.gen(function*() {
          const [here, there] = yield* MemorySocket.pair()
          const peer = yield* rawPeer(there)
          const fiber = yield* Effect.forkChild(Effect.provideService(handshake, Socket.Socket, here))
          return { peer, fiber }
        })
        const [a, b] = [yield* connect, yield* connect]
        // Their bytes come in turns.
        const said = [utf8(`${greeting}aaa`), utf8(`${greeting}bbb`)]
        for (let i = 0; i < said[0].length; i++) {
          yield* a.peer.write(said[0].subarray(i, i + 1))
          yield* b.peer.write(said[1].subarray(i, i + 1))
        }
        yield* Effect.andThen(a.peer.end, b.peer.end)
        for (const [side, rest] of [[a, "aaa"], [b, "bbb"]] as const) {
          const raw = yield* Transport.switchCodec(yield* Fiber.join(side.fiber), Codec.bytes)
          expect(yield* readAll(raw)).toBe(rest)
        }
      }))
  })
}

describe("law 4, oversize", () => {
  it.effect("a greeting that never ends fails at the codec's limit, and is told so", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(line.server, utf8("x".repeat(65)))
      expect(outcome.result).toMatchObject({ reason: { _tag: "FrameTooLarge", limit: 64 } })
      expect(outcome.heard).toBe("No! Go away!\n")
    }))

  it.effect("one byte less is only not finished yet", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(line.server, utf8("x".repeat(64)))
      expect(outcome.result).toMatchObject({ reason: { _tag: "UnexpectedEnd" } })
    }))

  const limited = (bytes: number) => vault.server.pipe(Handshake.byteLimit(bytes))
  const greeting = `HELLO 2\n${password}\n`

  it.effect("the byte limit of the whole handshake counts all of its frames", () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(limited(greeting.length - 1), utf8(greeting))
      expect(outcome.result).toMatchObject({ reason: { _tag: "FrameTooLarge", limit: greeting.length - 1 } })
    }))

  it.effect("a handshake of exactly that many bytes passes, and what follows it does not count", () =>
    Effect.gen(function*() {
      const rest = "x".repeat(1000)
      expect(yield* outcomeOf(limited(greeting.length), utf8(greeting + rest))).toMatchObject({ result: "ready", rest })
    }))

  it.effect.prop(
    "the byte limit does not depend on how the bytes are cut",
    [Lengths],
    ([lengths]) =>
      Effect.gen(function*() {
        for (let bytes = 0; bytes <= greeting.length; bytes++) {
          const whole = yield* outcomeOf(limited(bytes), utf8(greeting))
          expect(yield* outcomeOf(limited(bytes), utf8(greeting), { segments: cutInto(lengths) })).toEqual(whole)
        }
      }),
    { arbitrary: { runs: 20 } }
  )
})

describe("law 9, secrets", () => {
  /** Everything that anybody could see of a handshake. */
  const seen = Effect.fnUntraced(function*(handshake: typeof vault.server | typeof vault.client, said: Uint8Array) {
    const { spans, tracer } = recording()
    const [exit, transcript] = yield* Effect.scoped(Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* rawPeer(there)
      yield* Effect.forkScoped(Effect.andThen(peer.write(said), peer.end))
      return yield* Transcript.record(handshake).pipe(
        Effect.provideService(Socket.Socket, here),
        Effect.withSpan("handshake"),
        Effect.provideService(Tracer.Tracer, tracer)
      )
    }))
    const error = Exit.isFailure(exit) ? yield* Effect.flip(Effect.failCause(exit.cause)) : undefined
    const encoded = error instanceof HandshakeError ? JSON.stringify(Schema.encodeSync(HandshakeError)(error)) : ""
    return [
      String(error),
      error?.stack ?? "",
      encoded,
      JSON.stringify(transcript),
      Transcript.diagram(transcript),
      ...spans.flatMap((span) => [span.name, JSON.stringify([...span.attributes])])
    ].join("\n")
  })

  const secret = "s3cr3t-pass"

  it.effect("a password that is wrong, malformed, too long or cut shows nowhere", () =>
    Effect.gen(function*() {
      const ways = [
        utf8(`HELLO 2\n${secret}\n`),
        utf8(`HELLO 2\n${secret}`),
        utf8(`HELLO 2\n${secret.repeat(10)}`),
        Uint8Array.from([...utf8(`HELLO 2\n${secret}`), 0xff, 0x0a])
      ]
      for (const said of ways) expect(yield* seen(vault.server, said)).not.toContain(secret)
    }))

  it.effect("the right one shows nowhere either, on both sides", () =>
    Effect.gen(function*() {
      expect(yield* seen(vault.server, utf8(`HELLO 2\n${password}\n`))).not.toContain(password)
      const client = yield* seen(vault.client, utf8("WHO\nOK\n"))
      expect(client).not.toContain(password)
      expect(client).toContain("<redacted>")
      // What is no secret shows, before and after it.
      expect(client).toContain("\"HELLO 2\"")
      expect(client).toContain("\"OK\"")
    }))
})

describe("law 11, refusal is heard", () => {
  it.effect("a peer that has sent more than anybody reads still hears the refusal, and then the end", () =>
    Effect.gen(function*() {
      const said = utf8(`Hello\n${"x".repeat(200_000)}`)
      const outcome = yield* outcomeOf(line.server, said, { capacity: 1024 })
      expect(outcome.heard).toBe("No! Go away!\n")
    }))

  it.effect("a peer that listens late hears it too", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair({ capacity: 1 })
      yield* Effect.scoped(Effect.gen(function*() {
        const reader = yield* there.reader
        const writer = yield* there.writer
        const server = yield* Effect.forkScoped(
          Effect.flip(Effect.scoped(line.server)).pipe(
            Effect.provideService(Socket.Socket, here)
          )
        )
        yield* writer.write(utf8("Hello\n"))
        yield* TestClock.adjust("500 millis")
        expect(server.pollUnsafe()).toBeUndefined()
        const [chunk] = yield* reader.pull
        expect(text(chunk as Uint8Array)).toBe("No! Go away!\n")
        expect((yield* Effect.flip(reader.pull)).reason).toMatchObject({ _tag: "SocketCloseError", code: 1000 })
        yield* writer.write(new Socket.CloseEvent(1000))
        yield* Fiber.await(server)
      }))
    }))

  it.effect("a peer that never listens holds the connection for no longer than a second", () =>
    Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      const writer = yield* there.writer
      yield* there.reader
      const server = yield* Effect.forkScoped(
        Effect.flip(Effect.scoped(line.server)).pipe(Effect.provideService(Socket.Socket, here))
      )
      yield* writer.write(utf8("Hello\n"))
      yield* TestClock.adjust("999 millis")
      expect(server.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect((yield* Fiber.join(server)).reason._tag).toBe("InvalidGreeting")
    }))
})

describe("law 12, agreement", () => {
  const protocols: ReadonlyArray<{
    readonly name: string
    readonly server: Handshake.Handshake<unknown, never>
    readonly client: Handshake.Handshake<unknown, never>
    readonly refuse: Protocol.Refuse | undefined
  }> = [line, vault]
  for (const protocol of protocols) {
    it.effect.prop(`client and server of ${protocol.name} are ready together, however the bytes are cut`, [Lengths], ([
      lengths
    ]) =>
      Effect.gen(function*() {
        const [left, right] = yield* MemorySocket.pair({ segments: cutInto(lengths) })
        const [client, server] = yield* Effect.all([
          Effect.provideService(protocol.client, Socket.Socket, left),
          Effect.provideService(protocol.server, Socket.Socket, right)
        ], { concurrency: "unbounded" })
        const [here, there] = [
          yield* Transport.switchCodec(client, Codec.lines()),
          yield* Transport.switchCodec(server, Codec.lines())
        ]
        yield* here.send("to the server")
        yield* there.send("to the client")
        expect(yield* there.receive).toBe("to the server")
        expect(yield* here.receive).toBe("to the client")
      }).pipe(Effect.scoped), runs)

    it.effect(`a refused client of ${protocol.name} knows that it is rejected, or at least not accepted`, () =>
      Effect.gen(function*() {
        const [left, right] = yield* MemorySocket.pair()
        const [client, server] = yield* Effect.all([
          Effect.flip(Effect.scoped(Effect.provideService(protocol.client, Socket.Socket, left))),
          Effect.flip(Effect.scoped(Effect.provideService(protocol.refuse!("capacity"), Socket.Socket, right)))
        ], { concurrency: "unbounded" })
        expect(server.reason).toMatchObject({ _tag: "Rejected", by: "local" })
        expect(["Rejected", "InvalidGreeting"]).toContain(client.reason._tag)
      }))
  }
})
