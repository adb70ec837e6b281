/**
 * Handshakes that are broken, one way each, and the law that must notice. Each is written as somebody might write it who
 * has not thought of that law.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { createHash, createHmac, pbkdf2Sync, randomBytes } from "node:crypto"
import { EventEmitter, setMaxListeners } from "node:events"
import { closeSync, openSync } from "node:fs"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"
import { pretending } from "../../support/working.ts"

type Line = Transport.Transport<string, string>

export interface Broken {
  readonly name: string
  /** The law that must notice. */
  readonly law: number
  /** Whether it is tried by all laws, so that this one has to speak first. */
  readonly amongAll?: boolean
  /** What the message of the violation must say, so that it leads to the bug. */
  readonly says: RegExp
  readonly options: Omit<Laws.HandshakeOptions<Line, Line>, "name">
}

const maxLength = 256
const lines = Transport.framed(Codec.lines({ maxLength }))

const text = new TextDecoder()
const utf8 = (said: string) => new TextEncoder().encode(said)

const invalid = (expected: string, received: string) =>
  new HandshakeError.InvalidGreeting({ expected, received: JSON.stringify(received.slice(0, 64)) })

/**
 * The healthy protocol that most of them are made of:
 *
 *     C HELLO 2             S WHO
 *     C PASS <password>     S OK
 */
export const password = "correct-horse-battery"

const denied = new HandshakeError.AuthenticationFailed({ method: "password", detail: "not accepted", fault: "peer" })

const hello = Handshake.expect<Line>("HELLO 2", { orReply: "NO" })

const pass = Handshake.verify(
  "password",
  (line: string) => line === `PASS ${password}` ? Effect.void : Effect.fail(denied),
  { orReply: "NO", secret: true }
)

const server = lines.pipe(
  hello,
  Handshake.send("WHO"),
  pass,
  Handshake.send("OK"),
  Handshake.withRefusal(() => Handshake.refuse(lines, "NO")),
  Handshake.named("healthy")
)

const client = lines.pipe(
  Handshake.send("HELLO 2"),
  Handshake.expect("WHO"),
  Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
  Handshake.expect("OK", { rejections: ["NO"] }),
  Handshake.named("healthy")
)

export const healthy: Omit<Laws.HandshakeOptions<Line, Line>, "name"> = {
  server,
  client,
  secrets: [password],
  refusal: { server: "NO\n" },
  negotiated: { server: () => "2", client: () => "2" },
  calls: {
    serve: Pipeline.serve((line: string) => Effect.succeed(line.toUpperCase())),
    requests: ["a", "b", "c"],
    respond: (line) => line.toUpperCase()
  }
}

/** A side with something else in the place of its password step. */
const serverWith = <E>(step: (transport: Line) => Effect.Effect<unknown, E>) =>
  lines.pipe(
    hello,
    Handshake.send("WHO"),
    Effect.tap(step),
    Handshake.send("OK"),
    Handshake.named("broken")
  )

const isRight = (line: string) => line === `PASS ${password}`

/** A server that hides the password where the steps can, and does something else with it. */
const serverHiding = (decide: (line: string) => Effect.Effect<unknown, HandshakeError.Reason>) =>
  serverWith((transport) => Handshake.verify(transport, "password", decide, { orReply: "NO", secret: true }))

/** A nonce that Effect's `Random` has no part in, and a proof of it. */
const provingBy = (accepts: (proof: string, due: string) => boolean): Broken["options"] => {
  const prove = (nonce: string) => createHmac("sha256", password).update(nonce).digest("hex")
  return {
    server: Effect.suspend(() => {
      const nonce = randomBytes(8).toString("hex")
      return lines.pipe(
        hello,
        Handshake.exchange(
          "proof",
          nonce,
          (proof) => accepts(proof, prove(nonce)) ? Effect.void : Effect.fail(denied),
          { orReply: "NO", secret: true }
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }),
    client: Effect.gen(function*() {
      const transport = yield* lines.pipe(Handshake.send("HELLO 2"))
      const nonce = yield* transport.receive
      return yield* Handshake.send(transport, prove(nonce), { name: "proof", secret: true }).pipe(
        Handshake.expect("OK", { rejections: ["NO"] })
      )
    }).pipe(Handshake.named("broken"))
  }
}

/** Eight bytes from each side, and lines behind them. */
const binary = (accepts: (greeting: Uint8Array) => boolean): Broken["options"] => {
  const eight = Transport.framed(Codec.fixed(8))
  const welcome = new Uint8Array(8).fill(9)
  return {
    server: eight.pipe(
      Handshake.verify("greeting", (greeting) => accepts(greeting) ? Effect.void : Effect.fail(denied)),
      Handshake.send(welcome),
      Handshake.switchCodec(Codec.lines()),
      Handshake.named("broken")
    ),
    client: eight.pipe(
      Handshake.send(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
      Handshake.expect(welcome),
      Handshake.switchCodec(Codec.lines()),
      Handshake.named("broken")
    )
  }
}

/** A client that is told that it is in before it has said who it is. */
const welcomed = (words: string) =>
  lines.pipe(
    Handshake.send("HELLO 2"),
    Handshake.send(words, { name: "password", secret: true }),
    Handshake.expect("OK", { rejections: ["NO"] }),
    Handshake.named("broken")
  )

const timers = new Set<NodeJS.Timeout>()
const files = new Set<number>()
const bus = new EventEmitter({}).setMaxListeners(0)
const shutdown = new AbortController()
setMaxListeners(0, shutdown.signal)

/** A server that does something where it has heard what is wrong, and nowhere else. */
const whereWrong = (then: () => Effect.Effect<unknown, never, Scope.Scope>) =>
  Effect.tapError(
    server,
    (error) => HandshakeError.isHandshakeError(error) && error.reason._tag === "InvalidGreeting" ? then() : Effect.void
  )

/** What the handshakes of the gallery have left running and open. */
export const cleanUp = (): void => {
  for (const timer of timers) clearInterval(timer)
  for (const file of files) closeSync(file)
  timers.clear()
  files.clear()
  bus.removeAllListeners()
}

/** A server that does something in each connection, and forgets it there. */
const leaving = (run: () => unknown): Broken["options"] => ({
  server: server.pipe(Effect.tap(() => Effect.sync(run))),
  client
})

const longLines = Transport.framed(Codec.lines())

/** The same where only the server is tried: a client that is in order would have to wait for it as often. */
const servedOnly = ({ client, ...others }: Broken["options"]): Broken["options"] => ({ ...others, peer: client })

/** One that looks at a greeting in some way of its own. */
const looking = (isRight: (greeting: string) => boolean): Broken["options"] => ({
  server: longLines.pipe(
    Handshake.verify("greeting", (line) => isRight(line) ? Effect.void : Effect.fail(denied)),
    Handshake.send("OK"),
    Handshake.named("broken")
  ),
  client: longLines.pipe(Handshake.send("HELLO"), Handshake.expect("OK"), Handshake.named("broken"))
})

const sumOf = (text: string): number => [...text].reduce((sum, char) => sum + char.charCodeAt(0), 0)

/** Lines in which whatever is no text is replaced. */
const lossyLines = Codec.map(Codec.delimited(Uint8Array.of(10)), {
  decode: (line) => text.decode(line),
  encode: (line: string) => utf8(line)
})

/** Says a name in JSON, of 32 characters at most, which may be any other; the server has a bound of its own. */
const introducing = (bound: number): Broken["options"] => {
  const isName = (line: string, bound: number): boolean => {
    const name = /^\{"name":"([a-z]+)"\}$/.exec(line)?.[1]
    return name !== undefined && name.length <= bound
  }
  return {
    ...looking((line) => isName(line, bound)),
    client: longLines.pipe(Handshake.send(`{"name":"app"}`), Handshake.expect("OK"), Handshake.named("broken")),
    accepts: ({ said, side }) => side === "server" && isName(text.decode(said).replace(/\n$/, ""), 32)
  }
}

const binaryPackets = Transport.framed(Codec.lengthPrefixed({ bytes: 2, maxLength }))

/** What one side says among bytes, and how the other one looks at it; lines behind that. */
const packed = (said: Uint8Array, isRight: (packet: Uint8Array) => boolean): Broken["options"] => ({
  server: binaryPackets.pipe(
    Handshake.verify("packet", (packet) => isRight(packet) ? Effect.void : Effect.fail(denied)),
    Handshake.switchCodec(Codec.lines()),
    Handshake.send("OK"),
    Handshake.named("broken")
  ),
  client: binaryPackets.pipe(
    Handshake.send(said),
    Handshake.switchCodec(Codec.lines()),
    Handshake.expect("OK"),
    Handshake.named("broken")
  )
})

/** A version behind its length, and a number. */
const counting = (isRight: (said: { readonly version: string }) => boolean): Broken["options"] =>
  packed(Uint8Array.of(0, 5, ...utf8("3.0.0"), 7), (packet) => {
    const length = packet.length < 2 ? 0 : packet[0] * 256 + packet[1]
    return packet.length === length + 3 && packet[length + 2] === 7 &&
      isRight({ version: text.decode(packet.subarray(2, length + 2)) })
  })

/** A zone in a frame that has a codec of its own; lines behind that. */
const zoned = (codec: Codec.Codec<{ readonly zone: number }, { readonly zone: number }>): Broken["options"] => {
  const zones = Transport.framed(codec)
  return {
    server: zones.pipe(
      Handshake.verify("zone", ({ zone }) => zone === 7 ? Effect.void : Effect.fail(denied)),
      Handshake.switchCodec(Codec.lines()),
      Handshake.send("OK"),
      Handshake.named("broken")
    ),
    client: zones.pipe(
      Handshake.send({ zone: 7 }),
      Handshake.switchCodec(Codec.lines()),
      Handshake.expect("OK"),
      Handshake.named("broken")
    )
  }
}

/** A number, a name with a zero behind it, and another number. */
const ended = (isRight: (name: string) => boolean): Broken["options"] =>
  packed(
    Uint8Array.of(1, ...utf8("ann"), 0, 7),
    (packet) =>
      packet[0] === 1 && packet.at(-2) === 0 && packet.at(-1) === 7 && packet.indexOf(0) === packet.length - 2 &&
      isRight(text.decode(packet.subarray(1, -2)))
  )

/** A name, and a proof of 20 bytes. */
const loginPacket = Uint8Array.of(...utf8("ann"), 0, 20, ...createHash("sha1").update(password).digest())

const passwords = Metric.frequency("passwords")

/** The name that one connection has said is read when another one is done. */
const naming = (): Broken["options"] => {
  const userOf = (transport: Line): unknown => "user" in transport ? transport.user : undefined
  let name = ""
  const called = (user: string) =>
    lines.pipe(
      Handshake.send(`HELLO ${user}`),
      Handshake.expect("GO ON"),
      Handshake.send("DONE"),
      Handshake.expect("WELCOME"),
      Handshake.extend({ user }),
      Handshake.named("broken")
    )
  return {
    server: lines.pipe(
      Handshake.verify("hello", (line) => {
        if (!/^HELLO [a-z]+$/.test(line)) return Effect.fail(denied)
        name = line.slice(6)
        return Effect.void
      }),
      Handshake.send("GO ON"),
      Handshake.expect("DONE"),
      Handshake.send("WELCOME"),
      Effect.flatMap((transport) => Effect.sync(() => Transport.extend(transport, { user: name }))),
      Handshake.named("broken")
    ),
    client: called("ann"),
    alternatives: [{ client: called("bob") }],
    accepts: ({ index, said, side }) => side === "server" && index === 0 && /^HELLO [a-z]+\n$/.test(text.decode(said)),
    negotiated: { server: userOf, client: userOf }
  }
}

/** Silent to what is no password at all, as MQTT 3.1.1 has it; one side of that is broken. */
const refusingByTurn = (saysTooMuch: boolean): Broken["options"] => ({
  server: lines.pipe(
    Handshake.verify(
      "password",
      (line) => isRight(line) ? Effect.void : Effect.fail(denied),
      { secret: true, ...(saysTooMuch && { orReply: "NO" }) }
    ),
    Handshake.send("OK"),
    Handshake.named("broken")
  ),
  client: lines.pipe(
    Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
    Handshake.expect("OK", { rejections: ["NO"] }),
    Handshake.named("broken")
  ),
  refusal: { server: ({ said }) => text.decode(said).startsWith("PASS ") ? "NO\n" : undefined }
})

/** Frames with their lengths in front, which those of two bytes bound. */
const varints = Transport.framed(Codec.lengthPrefixed({ bytes: "varint", maxBytes: 2, maxLength: 16_000 }))

/** Reads the socket itself, as bytes. */
const raw = Transport.framed(Codec.bytes)

const everySecond = Schedule.spaced("1 second")

/** A line is whatever has come of it. */
const impatient = Codec.make<string>({
  decoder: () => ({
    decode: (input) => {
      if (input.length === 0) return undefined
      const end = input.indexOf(10, 0)
      const line = text.decode(input.take(end === -1 ? input.length : end))
      if (end !== -1) input.skip(1)
      return Result.succeed(line)
    }
  }),
  encode: Codec.lines().encode
})

/** Searches for the end of the line from its beginning, each time. */
const rescanning = Codec.make<string>({
  decoder: () => ({
    decode: (input) => {
      const end = input.indexOf(10, 0)
      if (end === -1) {
        return input.length > 8192
          ? Result.fail(new Codec.FrameTooLarge({ limit: 8192, excerpt: "", fault: "peer" }))
          : undefined
      }
      const line = text.decode(input.take(end))
      input.skip(1)
      return Result.succeed(line)
    }
  }),
  encode: Codec.lines().encode
})

/** Stands for an encryption: it is enough that what is plain is no message here. */
const seal = Codec.map(Codec.lengthPrefixed({ bytes: 2, maxLength }), {
  decode: (sealed) => text.decode(sealed.map((byte) => byte ^ 0x2a)),
  encode: (line: string) => utf8(line).map((byte) => byte ^ 0x2a)
})

const packets = Transport.framed(Codec.map(Codec.lengthPrefixed({ bytes: 2, maxLength }), {
  decode: (packet) => text.decode(packet),
  encode: (line: string) => utf8(line)
}))

const prove = (nonce: string) => [...nonce].reverse().join("")

const proving = Effect.gen(function*() {
  const transport = yield* lines
  const line = yield* Handshake.step(transport.receive, "nonce")
  if (!line.startsWith("NONCE ")) return yield* invalid("a nonce", line)
  yield* transport.send(`PROOF ${prove(line.slice(6))}`)
  return yield* Handshake.expect(transport, "OK", { rejections: ["NO"] })
}).pipe(Handshake.named("broken"))

// What connections share that should not.
let lastVerified = false
const sharedNonce = "0123456789abcdef"
const sharedDecoder = Codec.lines({ maxLength }).decoder()
let taken = 0
let turns = 0
let lastSession = 0

/** A text behind its length, which is a number in a line; how long it may be nobody says. */
const counted = Transport.framed(Codec.gen<string>({
  maxLength: Infinity,
  decode: function*(read) {
    const length = yield* read.line(16)
    return /^[1-9]\d*$/.test(length) ? yield* read.text(Number(length)) : yield* read.fail("no length")
  },
  encode: (said, into) => into.string(`${utf8(said).length}\n${said}`)
}))

/** What a client says is a form of its password: whatever is changed in it is no such form. */
const formOf = (given: string) => `${createHash("sha256").update(given).digest("hex")} ${given}`

const inForm = (decide: (given: string, transport: Line) => Effect.Effect<void, unknown>): Broken["options"] => {
  const clientWith = (given: string) =>
    lines.pipe(
      Handshake.send(formOf(given), { name: "password", secret: true }),
      Handshake.expect("OK", { rejections: ["NO"] }),
      Handshake.named("broken")
    )
  return {
    client: clientWith(password),
    server: lines.pipe(
      Effect.tap((transport) =>
        Effect.flatMap(
          Handshake.receive(transport, "password", (line) => {
            const given = line.slice(65)
            return formOf(given) === line ? Effect.succeed(given) : Effect.fail(invalid("a form", "something else"))
          }, { orReply: "NO", secret: true }),
          (given) => Handshake.step(decide(given, transport), "decision")
        )
      ),
      Handshake.send("OK"),
      Handshake.named("broken")
    ),
    impostors: { client: Laws.almost(password).map(clientWith) }
  }
}

export const broken: ReadonlyArray<Broken> = [
  // ------------------------------------------------------------------------------------------------------- 1, chunking
  {
    name: "takes what one read returns for a message",
    law: 1,
    says: /in pieces of .*the same as in one piece/s,
    options: {
      client,
      server: raw.pipe(
        Effect.tap((transport) =>
          Effect.flatMap(
            transport.receive,
            (chunk) =>
              text.decode(chunk) === "HELLO 2\n" ? Effect.void : Effect.fail(invalid("HELLO 2", text.decode(chunk)))
          )
        ),
        Effect.flatMap(Transport.switchCodec(Codec.lines({ maxLength }))),
        Handshake.step("greeting"),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "has a codec that gives out what there is of a line",
    law: 1,
    says: /in pieces of .*the same as in one piece/s,
    options: {
      client,
      server: Transport.framed(impatient).pipe(
        hello,
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  // --------------------------------------------------------------------------------------------------- 2, conservation
  {
    name: "drops the rest of the segment",
    law: 2,
    amongAll: false,
    says: /follows the last message of the handshake.*receives/s,
    options: {
      client,
      server: lines.pipe(
        hello,
        Handshake.send("WHO"),
        // A stream takes all that is there, and the head of it is all that is looked at.
        Effect.tap((transport) =>
          Effect.flatMap(
            Stream.runHead(transport.incoming),
            (line) => isRight(Option.getOrElse(line, () => "")) ? Effect.void : Effect.fail(denied)
          ).pipe(
            Handshake.step("password")
          )
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "drops what follows in the same segment, in frames that have a length",
    law: 2,
    amongAll: false,
    says: /follows the last message of the handshake.*receives/s,
    options: {
      client: packets.pipe(Handshake.send("hello"), Handshake.expect("welcome"), Handshake.named("broken")),
      server: packets.pipe(
        Effect.tap((transport) =>
          Effect.flatMap(
            Stream.runCollect(Stream.take(transport.incoming, 1)),
            ([line]) => line === "hello" ? Effect.void : Effect.fail(invalid("hello", line ?? ""))
          ).pipe(Handshake.step("hello"))
        ),
        Handshake.send("welcome"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "cleans the buffer before it goes on",
    law: 2,
    says: /before the server has answered.*ignored, dropped/s,
    options: {
      client,
      server: lines.pipe(
        hello,
        Effect.tap((transport) =>
          Effect.gen(function*() {
            const bytes = yield* Transport.switchCodec(transport, Codec.bytes)
            yield* Effect.timeoutOption(bytes.receive, "1 millis")
          })
        ),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "keeps plain text across the switch to a secured channel",
    law: 2,
    says: /EVIL.*taken for something that came later/s,
    options: {
      client: Effect.gen(function*() {
        const transport = yield* lines.pipe(Handshake.send("STARTTLS"), Handshake.expect("GO"))
        const sealed = yield* Transport.switchCodec(transport, seal)
        yield* sealed.send("HELLO 2")
        const line = yield* Handshake.step(sealed.receive, "welcome")
        if (line !== "OK") return yield* invalid("OK", line)
        return sealed
      }).pipe(Handshake.named("broken")),
      server: Effect.gen(function*() {
        const transport = yield* lines
        // All the lines that are there: the first one asks for the switch, and the others wait in a queue, as plain text.
        const early = yield* Handshake.step(Stream.runHead(Stream.chunks(transport.incoming)), "start")
        const [start, ...queued] = Option.getOrElse(early, () => [] as ReadonlyArray<string>)
        if (start !== "STARTTLS") return yield* Handshake.refuse(transport, "NO", invalid("STARTTLS", start ?? ""))
        yield* transport.send("GO")
        const sealed = yield* Transport.switchCodec(transport, seal)
        // A noop that came early is served now, as if it had come through the secured channel.
        for (const line of queued) if (line !== "EVIL") return yield* invalid("HELLO 2", line)
        const line = yield* Handshake.step(sealed.receive, "hello")
        if (line !== "HELLO 2") return yield* invalid("HELLO 2", line)
        yield* sealed.send("OK")
        return sealed
      }).pipe(Handshake.named("broken"))
    }
  },
  // ----------------------------------------------------------------------------------------------------- 3, truncation
  {
    name: "takes the end of the connection for consent",
    law: 3,
    says: /ends after byte .*it became ready/s,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.flatMap(
          transport.run(Sink.head<string>()),
          (line) => Option.isNone(line) || isRight(line.value) ? Effect.void : Effect.fail(denied)
        ).pipe(Handshake.step("password"))
      )
    }
  },
  {
    name: "dies of a connection that is cut",
    law: 3,
    says: /died of a defect/,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.flatMap(Effect.orDie(transport.receive), (line) => isRight(line) ? Effect.void : Effect.fail(denied))
      )
    }
  },
  {
    name: "tries again when there is nobody left",
    law: 3,
    says: /ms after the end/,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.retry(transport.receive, { times: 3, schedule: everySecond }).pipe(
          Effect.flatMap((line) => isRight(line) ? Effect.void : Effect.fail(denied)),
          Handshake.step("password")
        )
      )
    }
  },
  // ------------------------------------------------------------------------------------------------------- 4, oversize
  {
    name: "has no limit for a line",
    law: 4,
    says: /without end.*had taken \d+ bytes|still waiting/s,
    options: {
      client,
      server: Transport.framed(Codec.lines({ maxLength: Infinity })).pipe(
        hello,
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "skips empty lines for ever",
    law: 4,
    amongAll: true,
    says: /the last byte of message 2 is said over and over/,
    options: {
      client,
      // It has lines of 256 bytes.
      maxBytes: 8192,
      server: serverWith((transport) => {
        const next: Effect.Effect<void, unknown> = Effect.flatMap(
          transport.receive,
          (line) => isRight(line) ? Effect.void : line === "" ? next : Effect.fail(denied)
        )
        return Handshake.step(next, "password")
      })
    }
  },
  {
    name: "reads as much as a number in a text tells it to",
    law: 4,
    says: /1000000 in the place of the number at its byte 0.*had taken \d+ bytes/s,
    options: {
      client: counted.pipe(Handshake.send("HELLO"), Handshake.expect("OK"), Handshake.named("broken")),
      server: counted.pipe(Handshake.expect("HELLO"), Handshake.send("OK"), Handshake.named("broken"))
    }
  },
  {
    name: "takes a frame that is longer than it should be, as long as its length has two bytes",
    law: 4,
    says:
      /message 1 comes complete, with 6\d\d bytes, which a length of a varint behind 0 bytes says.*had taken 6\d\d/s,
    options: {
      client: varints.pipe(
        Handshake.send(utf8("HELLO")),
        Handshake.expect(utf8("OK")),
        Handshake.switchCodec(Codec.lines()),
        Handshake.named("broken")
      ),
      server: varints.pipe(
        Handshake.expect(utf8("HELLO")),
        Handshake.send(utf8("OK")),
        Handshake.switchCodec(Codec.lines()),
        Handshake.named("broken")
      ),
      maxBytes: 600
    }
  },
  // ----------------------------------------------------------------------------------------------------- 5, wrong turn
  {
    name: "takes a password with more behind it, in a form that no change of it has",
    law: 5,
    says: /impostor \d+ in the place of the client comes.*became ready/s,
    options: inForm((given) => given.startsWith(password) ? Effect.void : Effect.fail(denied))
  },
  {
    name: "takes any password",
    law: 5,
    says: /comes in the place of message 2.*it became ready/s,
    options: {
      client,
      server: serverWith((transport) => Handshake.step(transport.receive, "password"))
    }
  },
  {
    name: "looks only at how a greeting begins",
    law: 5,
    says: /the same with an x behind it.*it became ready/s,
    options: {
      client,
      server: lines.pipe(
        Handshake.verify(
          "greeting",
          (line: string) => line.startsWith("HELLO 2") ? Effect.void : Effect.fail(invalid("HELLO 2", line)),
          { orReply: "NO" }
        ),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "looks only as far as a proof goes",
    law: 5,
    says: /nothing of it but its end|the first half of it/,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.flatMap(
          transport.receive,
          (line) => [...line].every((char, i) => char === `PASS ${password}`[i]) ? Effect.void : Effect.fail(denied)
        ).pipe(
          Handshake.step("password")
        )
      )
    }
  },
  {
    name: "does not miss a proof that is not there",
    law: 5,
    says: /without its last word.*it became ready/s,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.flatMap(transport.receive, (line) => {
          const [command, given] = line.split(" ")
          return command === "PASS" && (!given || given === password) ? Effect.void : Effect.fail(denied)
        }).pipe(Handshake.step("password"))
      )
    }
  },
  {
    name: "lets a server skip the question",
    law: 5,
    says: /left out|in the place of message 1/,
    options: {
      server,
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Effect.tap((transport) =>
          Effect.gen(function*() {
            let line = yield* Handshake.step(transport.receive, "answer")
            if (line === "WHO") {
              yield* transport.send(`PASS ${password}`)
              line = yield* Handshake.step(transport.receive, "answer")
            }
            if (line !== "OK") return yield* Effect.fail(invalid("OK", line))
          })
        ),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "takes its own words for an answer",
    law: 5,
    says: /what the side has said itself.*it became ready/s,
    options: {
      server,
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Effect.tap((transport) =>
          Effect.flatMap(
            transport.receive,
            (line) => line === "WHO" || line.startsWith("HELLO") ? Effect.void : Effect.fail(invalid("WHO", line))
          ).pipe(
            Handshake.step("question")
          )
        ),
        Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
        Handshake.expect("OK", { rejections: ["NO"] }),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "does not say at which step",
    law: 3,
    says: /step connect.*Handshake\.step/s,
    options: {
      client,
      server: Effect.gen(function*() {
        const transport = yield* lines
        const greeting = yield* transport.receive
        if (greeting !== "HELLO 2") return yield* invalid("HELLO 2", greeting)
        yield* transport.send("WHO")
        if (!isRight(yield* transport.receive)) return yield* denied
        yield* transport.send("OK")
        return transport
      }).pipe(Handshake.named("broken"))
    }
  },
  {
    name: "fails with an error that has no tag",
    law: 5,
    says: /no tag/,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.flatMap(transport.receive, (line) => isRight(line) ? Effect.void : Effect.fail("wrong")).pipe(
          Handshake.step("password")
        )
      )
    }
  },
  {
    name: "leaves the errors of the transport as they are",
    law: 3,
    says: /bare TransportError/,
    options: {
      client,
      server: Effect.gen(function*() {
        const transport = yield* lines
        const greeting = yield* transport.receive
        if (greeting !== "HELLO 2") return yield* Handshake.refuse(transport, "NO", invalid("HELLO 2", greeting))
        yield* transport.send("WHO")
        if (!isRight(yield* transport.receive)) return yield* Handshake.refuse(transport, "NO", denied)
        yield* transport.send("OK")
        return transport
      })
    }
  },
  // -------------------------------------------------------------------------------------------------------- 6, silence
  {
    name: "forgets the deadline that it promises",
    law: 6,
    says: /falls silent.*deadline, after 5000 ms/s,
    options: { client: Handshake.deadline(client, "5 seconds"), server, deadline: "5 seconds" }
  },
  {
    name: "has a deadline for each message",
    law: 6,
    says: /second one comes too late.*it became ready/s,
    options: {
      client: Handshake.deadline(client, "5 seconds"),
      server: lines.pipe(
        hello,
        Handshake.deadline("5 seconds"),
        Handshake.send("WHO"),
        Effect.tap((transport) =>
          Effect.succeed(transport).pipe(pass, Handshake.deadline("5 seconds"), Handshake.named("broken"))
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      ),
      deadline: "5 seconds"
    }
  },
  {
    name: "is patient with whoever says a byte in time",
    law: 6,
    amongAll: true,
    says: /one byte every|falls silent/,
    options: {
      client: Handshake.deadline(client, "5 seconds"),
      server: Transport.framed(Codec.fixed(1)).pipe(
        Effect.flatMap((transport) =>
          Effect.gen(function*() {
            let seen = ""
            // The clock begins anew with each byte.
            while (!seen.endsWith("\n") && seen.length < maxLength) {
              seen += text.decode(yield* Effect.timeout(transport.receive, "5 seconds"))
            }
            if (seen !== "HELLO 2\n") return yield* Effect.fail(invalid("HELLO 2", seen))
            return yield* Transport.switchCodec(transport, Codec.lines({ maxLength }))
          })
        ),
        Handshake.step("greeting"),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      ),
      deadline: "5 seconds"
    }
  },
  {
    name: "does not disarm its deadline",
    law: 6,
    says: /the deadline does nothing once the handshake is done.*closed after 10000 ms/s,
    options: {
      client,
      server: Effect.gen(function*() {
        const scope = yield* Effect.scope
        const connection = yield* Scope.fork(scope)
        yield* Effect.forkIn(
          Effect.andThen(Effect.sleep("10 seconds"), Scope.close(connection, Exit.void)),
          scope
        )
        return yield* Scope.provide(server, connection)
      })
    }
  },
  {
    name: "cannot be cut off",
    law: 6,
    says: /still waiting|after \d+ ms/,
    options: { client, server: Effect.uninterruptible(server) }
  },
  // --------------------------------------------------------------------------------------------------- 7, interruption
  {
    name: "keeps its connection when it is interrupted",
    law: 7,
    amongAll: true,
    says: /interrupted when.*opened 1 times and released 0 times/s,
    options: {
      client,
      server: Effect.gen(function*() {
        const connection = yield* Scope.make()
        const outer = yield* Effect.scope
        return yield* Scope.provide(server, connection).pipe(
          Effect.onExit((exit) =>
            Exit.isSuccess(exit)
              ? Scope.addFinalizerExit(outer, (exit) => Scope.close(connection, exit))
              : Cause.hasInterruptsOnly(exit.cause)
              ? Effect.void
              : Scope.close(connection, exit)
          )
        )
      })
    }
  },
  {
    name: "opens its connection, closes it, and opens it once more",
    law: 7,
    amongAll: true,
    says: /opens its connection once; it was opened 2 times/,
    options: {
      client,
      // What opening it once more may fail with is not what this is about.
      server: Effect.andThen(Effect.scoped(lines), server) as typeof server
    }
  },
  ...([["never ends", Effect.never], ["takes an hour", Effect.sleep("1 hour")], [
    "asks again and again",
    Effect.forever(Effect.sleep("10 seconds"))
  ]] as const).flatMap(([what, finalizer]): ReadonlyArray<Broken> => [
    {
      name: `has a finalizer that ${what}`,
      law: 7,
      amongAll: true,
      says: /\(server, .*nobody disturbs the conversation.*it has (not ended|ended after \d+ ms)/s,
      options: { server: Effect.andThen(Effect.addFinalizer(() => finalizer), server), client }
    },
    {
      name: `has a finalizer that ${what}, in its client`,
      law: 7,
      amongAll: true,
      says: /\(client, .*nobody disturbs the conversation.*it has (not ended|ended after \d+ ms)/s,
      options: { server, client: Effect.andThen(Effect.addFinalizer(() => finalizer), client) }
    }
  ]),
  {
    name: "has a finalizer that never ends where it has heard what is wrong",
    law: 7,
    says: /comes in the place of message.*it has not ended/s,
    options: { server: whereWrong(() => Effect.addFinalizer(() => Effect.never)), client }
  },
  {
    name: "has a finalizer that takes five seconds where it has heard what is wrong",
    law: 7,
    says: /comes in the place of message.*it has ended after \d+ ms/s,
    options: { server: whereWrong(() => Effect.addFinalizer(() => Effect.sleep("5 seconds"))), client }
  },
  {
    name: "gives back no place when it is interrupted",
    law: 7,
    says: /holds \d+/,
    options: {
      client,
      server: Effect.andThen(Effect.sync(() => taken++), server).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (!(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))) taken--
          })
        )
      ),
      held: Effect.sync(() => taken)
    }
  },
  // ---------------------------------------------------------------------------------------------------- 8, linear cost
  {
    name: "looks at everything again for each byte",
    law: 8,
    says: /byte by byte.*looked at \d+ bytes/s,
    options: {
      client,
      server: Transport.framed(rescanning).pipe(
        hello,
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  // -------------------------------------------------------------------------------------------------------- 9, secrets
  {
    name: "shows a wrong password in its error",
    law: 9,
    says: /show in the error/,
    options: {
      client,
      secrets: [password],
      server: lines.pipe(
        hello,
        Handshake.send("WHO"),
        Handshake.verify("password", (line) => isRight(line) ? Effect.void : Effect.fail(invalid("PASS", line)), {
          secret: true
        }),
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "shows a password that comes one step early",
    law: 9,
    says: /message 2 of its peer comes in the place of message 1[^]*show in the error/,
    options: {
      client,
      secrets: [password],
      server: lines.pipe(
        Handshake.verify("hello", (line) => line === "HELLO 2" ? Effect.void : Effect.fail(invalid("HELLO 2", line)), {
          orReply: "NO"
        }),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "does not tell that the password is a secret",
    law: 9,
    says: /show in the transcript/,
    options: {
      server,
      secrets: [password],
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Handshake.expect("WHO"),
        Handshake.send(`PASS ${password}`, { name: "password" }),
        Handshake.expect("OK", { rejections: ["NO"] }),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "logs the password",
    law: 9,
    says: /show in a log/,
    options: {
      client,
      secrets: [password],
      server: lines.pipe(
        hello,
        Handshake.send("WHO"),
        Handshake.verify(
          "password",
          (line) => Effect.andThen(Effect.logDebug(`got ${line}`), isRight(line) ? Effect.void : Effect.fail(denied)),
          { secret: true }
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "puts the password into a span",
    law: 9,
    says: /show in a span/,
    options: {
      server,
      secrets: [password],
      client: client.pipe(Effect.withSpan("login", { attributes: { password } }))
    }
  },
  // ------------------------------------------------------------------------------------------------------ 10, isolation
  {
    name: "decodes all connections with one decoder",
    law: 10,
    says: /two conversations go on at once/,
    options: {
      client,
      server: Transport.framed({ ...Codec.lines({ maxLength }), decoder: () => sharedDecoder }).pipe(
        hello,
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "remembers that somebody was verified",
    law: 10,
    amongAll: true,
    says: /it remembers who came before/,
    options: {
      client,
      server: serverWith((transport) =>
        Effect.flatMap(transport.receive, (line) => {
          lastVerified ||= isRight(line)
          return lastVerified ? Effect.void : Effect.fail(denied)
        }).pipe(Handshake.step("password"))
      )
    }
  },
  {
    name: "uses one nonce for all",
    law: 10,
    says: /said on one connection is said again on another/,
    options: {
      fresh: { server: true },
      server: Effect.gen(function*() {
        const transport = yield* lines
        yield* transport.send(`NONCE ${sharedNonce}`)
        const proof = yield* Handshake.step(transport.receive, "proof")
        if (proof !== `PROOF ${prove(sharedNonce)}`) return yield* Handshake.refuse(transport, "NO", denied)
        yield* transport.send("OK")
        return transport
      }).pipe(Handshake.named("broken")),
      client: proving
    }
  },
  {
    name: "takes one of two nonces in turns",
    law: 10,
    amongAll: true,
    says: /said on one connection is said again on another/,
    options: {
      fresh: { server: true },
      server: Effect.suspend(() => {
        const nonce = `nonce${turns++ % 2}`
        return lines.pipe(
          Handshake.exchange(
            "proof",
            `NONCE ${nonce}`,
            (line) => line === `PROOF ${prove(nonce)}` ? Effect.void : Effect.fail(denied),
            { orReply: "NO" }
          ),
          Handshake.send("OK"),
          Handshake.named("broken")
        )
      }),
      client: proving
    }
  },
  {
    name: "keeps what was negotiated where all connections see it",
    law: 10,
    says: /each client has what the server has for it/,
    options: {
      client: Effect.flatMap(Random.nextIntBetween(0, 1_000_000), (session) =>
        Effect.map(
          lines.pipe(Handshake.send(`SESSION ${session}`), Handshake.expect("OK"), Handshake.named("broken")),
          (transport) => Object.assign(transport, { session })
        )),
      server: Effect.gen(function*() {
        const transport = yield* lines
        const line = yield* Handshake.step(transport.receive, "session")
        const session = /^SESSION (\d+)$/.exec(line)
        if (session === null) return yield* invalid("a session", line)
        lastSession = Number(session[1])
        return yield* Handshake.send(transport, "OK")
      }).pipe(Handshake.named("broken")),
      accepts: ({ said }) => /^SESSION \d+\n$/.test(text.decode(said)),
      negotiated: {
        server: () => lastSession,
        client: (transport) => (transport as Line & { readonly session: number }).session
      }
    }
  },
  // --------------------------------------------------------------------------------------------- 11, refusal is heard
  {
    name: "closes before the refusal has left",
    law: 11,
    says: /the peer hears all that was said.*it heard/s,
    options: {
      client,
      server: lines.pipe(
        Effect.tap((transport) =>
          Effect.flatMap(transport.receive, (line) =>
            line === "HELLO 2"
              ? Effect.void
              : Effect.andThen(transport.send("NO"), Effect.fail(invalid("HELLO 2", line)))).pipe(
              Handshake.step("greeting")
            )
        ),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "turns a client away for want of room, and closes before that has left",
    law: 11,
    says: /at capacity.*it heard nothing/s,
    options: {
      server: Handshake.withRefusal(server, () =>
        Effect.flatMap(lines, (transport) =>
          Effect.andThen(
            transport.send("NO"),
            Effect.fail(new HandshakeError.Rejected({ by: "local", said: "NO", retryable: true }))
          )).pipe(Handshake.named("broken"))),
      client
    }
  },
  {
    name: "turns away without a word",
    law: 11,
    says: /the peer hears "NO\\n"/,
    options: {
      client,
      refusal: { server: "NO\n" },
      server: lines.pipe(
        Handshake.expect("HELLO 2"),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "welcomes its client, and looks at the password then",
    law: 11,
    says: /the peer hears nothing but "NO\\n", as `refusal` says.*but: +behind that it heard "OK\\nNO\\n"/s,
    options: {
      client,
      refusal: { server: "NO\n" },
      server: lines.pipe(
        hello,
        Handshake.send("WHO"),
        Effect.tap((transport) =>
          Handshake.receive(transport, "password", (line) =>
            Effect.andThen(
              line.startsWith("PASS ") ? transport.send("OK") : Effect.void,
              isRight(line) ? Effect.void : Handshake.refuse(transport, "NO", denied)
            ), { orReply: "NO", secret: true })
        ),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "has words for want of room that fail before they are said",
    law: 11,
    says: /the words that `Handshake.withRefusal` gives/,
    options: {
      ...healthy,
      server: Handshake.withRefusal(
        server,
        () =>
          Effect.fail(
            new HandshakeError.HandshakeError({
              protocol: "broken",
              step: "refuse",
              reason: new HandshakeError.Rejected({ by: "local", said: "NO", retryable: true })
            })
          )
      )
    }
  },
  {
    name: "says the words of its refusal twice",
    law: 11,
    amongAll: true,
    says: /message 1 comes changed.*the peer hears nothing but "NO\\n".*it heard "NO\\nNO\\n"/s,
    options: {
      client,
      refusal: { server: "NO\n" },
      server: lines.pipe(
        Effect.tap((transport) =>
          Handshake.verify(
            transport,
            "greeting",
            (line) =>
              line === "HELLO 2"
                ? Effect.void
                : Effect.andThen(Effect.ignore(transport.send("NO")), Effect.fail(invalid("HELLO 2", line))),
            { orReply: "NO" }
          )
        ),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "lets a client believe that it was let in when there is no room",
    law: 11,
    amongAll: true,
    says: /at capacity.*the client became ready/s,
    options: {
      server,
      client: lines.pipe(Handshake.send("HELLO 2"), Handshake.send(`PASS ${password}`, { secret: true })),
      trailing: { client: true }
    }
  },
  // ------------------------------------------------------------------------------------------------ what is let in
  {
    name: "takes a line that ends in LF where CRLF is due",
    law: 5,
    amongAll: true,
    says: /comes changed, "HELLO\\n" for "HELLO\\r\\n": LF at its end.*it became ready/s,
    options: {
      server: lines.pipe(
        Handshake.verify("greeting", (line) => /^HELLO\r?$/.test(line) ? Effect.void : Effect.fail(denied)),
        Handshake.switchCodec(Codec.lines({ ending: "\r\n", maxLength })),
        Handshake.send("OK"),
        Handshake.named("broken")
      ),
      client: Transport.framed(Codec.lines({ ending: "\r\n", maxLength })).pipe(
        Handshake.send("HELLO"),
        Handshake.expect("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "reads a number however it is spelled",
    law: 5,
    says: /"SIZE 0900\\n" for "SIZE 900\\n".*it became ready/s,
    options: {
      server: lines.pipe(
        Handshake.verify(
          "size",
          (line) => /^SIZE \d+$/.test(line) && Number(line.slice(5)) === 900 ? Effect.void : Effect.fail(denied)
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      ),
      client: lines.pipe(Handshake.send("SIZE 900"), Handshake.expect("OK"), Handshake.named("broken"))
    }
  },
  {
    name: "takes the server's refusal for its welcome",
    law: 5,
    says: /the refusal of its peer.*it became ready/s,
    options: {
      server,
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Handshake.expect("WHO"),
        Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
        Handshake.verify("answer", (line) => line === "OK" || line === "NO" ? Effect.void : Effect.fail(denied)),
        Handshake.named("broken")
      ),
      refusal: { server: "NO\n" }
    }
  },
  {
    name: "does not mind the case of a password",
    law: 5,
    says: /message 2 comes changed: (character \d+ of \d+ in the other case|all letters in upper case)/,
    options: {
      server: serverWith((transport) =>
        Handshake.verify(
          transport,
          "password",
          (line) => line.toLowerCase() === `pass ${password}` ? Effect.void : Effect.fail(denied),
          { orReply: "NO", secret: true }
        )
      ),
      client
    }
  },
  {
    name: "compares the first digits of a proof whose nonce nobody can seed",
    law: 5,
    says: /message 2 comes changed.*it became ready/s,
    options: provingBy((proof, due) => proof.length === due.length && proof.slice(0, 8) === due.slice(0, 8))
  },
  {
    name: "does not look at what stands behind a proof whose nonce nobody can seed",
    law: 5,
    says: /message 2 comes changed: .*it became ready/s,
    options: provingBy((proof, due) => proof.startsWith(due))
  },
  {
    name: "does not look at one byte of a binary greeting",
    law: 5,
    says: /byte 1 of 8/,
    options: binary((greeting) => [0, 2, 3, 4, 5, 6, 7].every((at) => greeting[at] === at + 1))
  },
  {
    name: "adds up the characters of a greeting",
    law: 5,
    amongAll: false,
    says: /character \d of 5 and the next one change places.*it became ready/s,
    options: looking((line) => line.length === 5 && sumOf(line) === sumOf("HELLO"))
  },
  {
    name: "lets a name be a character too long",
    law: 5,
    amongAll: false,
    says: /name: as 33 characters.*it became ready/s,
    options: introducing(33)
  },
  {
    name: "looks only at how a text begins that has its length before it",
    law: 5,
    amongAll: false,
    says: /the text at byte 2 to 6 of 8 with an x behind it, and its length with it.*it became ready/s,
    options: counting(({ version }) => version.startsWith("3.0.0"))
  },
  {
    name: "overlooks what stands behind a message whose last field is one byte",
    law: 5,
    amongAll: false,
    says: /"\\x03\\x04\\x07x" for "\\x02\\x04\\x07": an x behind it, and with it a length of 1 byte.*it became ready/s,
    options: zoned(Codec.mapOrFail(Codec.lengthPrefixed({ bytes: 1, maxLength: 64 }), {
      decode: ([type, zone]) => type === 4 && zone !== undefined ? Result.succeed({ zone }) : Result.fail("no zone"),
      encode: ({ zone }) => Result.succeed(Uint8Array.of(4, zone))
    }))
  },
  {
    name: "reads a number as far as it is one, and overlooks what stands between it and the zero byte at the end",
    law: 5,
    amongAll: false,
    says: /"ZONE 7x\\x00" for "ZONE 7\\x00": an x before its ending.*it became ready/s,
    options: zoned(Codec.mapOrFail(Codec.delimited(Uint8Array.of(0)), {
      decode: (bytes) => {
        const said = text.decode(bytes)
        return /^ZONE \d/.test(said) ? Result.succeed({ zone: parseInt(said.slice(5)) }) : Result.fail("no zone")
      },
      encode: ({ zone }) => Result.succeed(utf8(`ZONE ${zone}`))
    }))
  },
  {
    name: "takes one byte for a field with its length before it, which counts more",
    law: 5,
    amongAll: false,
    says: /an x behind it, and with it a length of 1 byte behind 1 bytes.*it became ready/s,
    options: packed(
      Uint8Array.of(4, 1, 7),
      (packet) => packet[0] === 4 && packet[1] === packet.length - 2 && packet[2] === 7
    )
  },
  {
    name: "takes a name of bytes that are no text",
    law: 5,
    amongAll: false,
    says: /as 255, which is no text.*it became ready/s,
    options: {
      ...introducing(32),
      server: Transport.framed(lossyLines).pipe(
        Handshake.verify(
          "name",
          (line) => /^\{"name":"[a-z\ufffd]{1,32}"\}$/.test(line) ? Effect.void : Effect.fail(denied)
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "trims a text that ends in a zero",
    law: 5,
    amongAll: false,
    says: /a space behind the word that ends at byte 4 of 6.*it became ready/s,
    options: ended((name) => name.trim() === "ann")
  },
  {
    name: "looks its users up in an object, which knows more names than theirs",
    law: 5,
    amongAll: false,
    says: /constructor in the place of the word.*it became ready/s,
    options: ended((name) => name in { ann: true })
  },
  {
    name: "takes a version that is higher for its own",
    law: 5,
    says: /byte 7 of 8 .*it became ready/s,
    options: binary((greeting) => greeting.slice(0, 7).every((byte, at) => byte === at + 1) && greeting[7] >= 8)
  },
  {
    name: "says that it lets somebody in before it has looked at the password",
    law: 5,
    says: /impostor 1 in the place of the client comes.*the impostor became ready/s,
    options: {
      server: lines.pipe(hello, Handshake.send("OK"), pass, Handshake.named("broken")),
      client: welcomed(`PASS ${password}`),
      impostors: { client: [welcomed("PASS of-somebody-else")] }
    }
  },
  {
    name: "calls a wrong password worth another try",
    law: 5,
    says: /it fails with retryable false, as `failure` says.*retryable true/s,
    options: {
      server,
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Handshake.expect("WHO"),
        Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
        Handshake.expect("OK", { rejections: ["NO"], retryable: true }),
        Handshake.named("broken")
      ),
      refusal: { server: "NO\n" },
      failure: ({ index, said, side }) =>
        side === "client" && index === 1 && text.decode(said) === "NO\n"
          ? { reason: "Rejected", retryable: false }
          : undefined
    }
  },
  {
    name: "says its last word twice",
    law: 2,
    says: /"OK\\n" is left, and would be the first that is served/,
    options: {
      server: lines.pipe(hello, Handshake.send("WHO"), pass, Handshake.send("OK"), Handshake.send("OK")),
      client
    }
  },
  {
    name: "starts a fiber that nobody ends",
    law: 7,
    says: /of the fibers that it has started go on/,
    options: { server: server.pipe(Effect.tap(() => Effect.forkDetach(Effect.never))), client }
  },
  {
    name: "starts a timer that nobody stops",
    law: 7,
    says: /more of Timeout are there than before/,
    options: leaving(() => timers.add(setInterval(() => {}, 1e6)))
  },
  {
    name: "starts a fiber that nobody ends where it has heard what is wrong",
    law: 7,
    says: /comes in the place of message.*of the fibers that it has started go on/s,
    options: { server: whereWrong(() => Effect.forkDetach(Effect.never)), client }
  },
  {
    name: "starts a timer that nobody stops where it has heard what is wrong",
    law: 7,
    says: /more of Timeout are there than before/,
    options: { server: whereWrong(() => Effect.sync(() => timers.add(setInterval(() => {}, 1e6)))), client }
  },
  {
    name: "opens a file for each connection",
    law: 7,
    says: /more of open files in \S+ are there than before/,
    options: leaving(() => files.add(openSync(import.meta.filename, "r")))
  },
  {
    name: "listens to an event bus for as long as the bus lives",
    law: 7,
    says: /more of listeners of EventEmitter for "reload" are there than before/,
    options: leaving(() => bus.on("reload", () => {}))
  },
  {
    name: "listens to a signal for as long as that lives",
    law: 7,
    says: /more of listeners of AbortSignal for "abort" are there than before/,
    options: leaving(() => shutdown.signal.addEventListener("abort", () => {}))
  },
  {
    name: "works for whoever has said something wrong while everybody else waits",
    law: 8,
    says: /comes in the place of message 1.*a turn has taken \d+ ms/s,
    options: { server: whereWrong(() => pretending(210)), client }
  },
  {
    name: "trims a line in a time that goes with the square of its length",
    law: 8,
    says: /more of character " " behind place \d+, over and over, 24576 times.*a turn has taken \d+ ms/s,
    options: {
      ...looking((line) => line.replace(/\s+$/, "") === "HELLO"),
      accepts: ({ said, side }) => side === "server" && text.decode(said).trimEnd() === "HELLO"
    }
  },
  {
    name: "works for so long that everybody else has to wait",
    law: 8,
    amongAll: true,
    says: /nobody disturbs the conversation.*a turn has taken \d+ ms of CPU time/s,
    options: servedOnly(looking((line) => {
      if (line !== "HELLO") return false
      // Twice what a turn may last: at its very edge the law would see it on some days only, and all the others would
      // have to live with it.
      pbkdf2Sync(line, "salt", 350_000, 64, "sha512")
      return true
    }))
  },
  {
    name: "counts passwords, but only those that are right",
    law: 9,
    says: /show in a metric/,
    options: {
      server: serverHiding((line) => isRight(line) ? Metric.update(passwords, line) : Effect.fail(denied)),
      client,
      secrets: [password]
    }
  },
  {
    name: "prints the password",
    law: 9,
    says: /show in console\.log/,
    options: {
      server: serverHiding((line) => {
        console.log("got", line)
        return isRight(line) ? Effect.void : Effect.fail(denied)
      }),
      client,
      secrets: [password]
    }
  },
  {
    name: "prints a proof that its peer hides, and that nobody has listed",
    law: 9,
    says: /show in console\.error/,
    options: {
      server: serverHiding((line) => {
        console.error("got", line)
        return isRight(line) ? Effect.void : Effect.fail(denied)
      }),
      client
    }
  },
  {
    name: "logs a part of a proof that its peer hides, and that nobody has listed",
    law: 9,
    says: /show in a log/,
    options: {
      server: serverHiding((line) =>
        line === "USER ann token=9f86d081884c7d65"
          ? Effect.logInfo("let in", line.slice(15))
          : Effect.fail(denied)
      ),
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Handshake.expect("WHO"),
        Handshake.send("USER ann token=9f86d081884c7d65", { name: "password", secret: true }),
        Handshake.expect("OK", { rejections: ["NO"] }),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "says its password to a server that asks for it in clear",
    law: 9,
    says: /a wrong message, "CLEAR\\n".* show in what it says, which undisturbed never says it/s,
    options: {
      ...provingBy((proof, due) => proof === due),
      client: Effect.gen(function*() {
        const transport = yield* lines.pipe(Handshake.send("HELLO 2"))
        const asked = yield* Handshake.step(transport.receive, "question")
        const answer = asked === "CLEAR" ? password : createHmac("sha256", password).update(asked).digest("hex")
        return yield* Handshake.send(transport, answer, { name: "proof", secret: true }).pipe(
          Handshake.expect("OK", { rejections: ["NO"] })
        )
      }).pipe(Handshake.named("broken")),
      secrets: [password],
      wrong: { client: ["CLEAR\n"] }
    }
  },
  {
    name: "logs the digits of a proof among bytes that its peer hides, and that nobody has listed",
    law: 9,
    says: /show in a log, of this side or of its peer/,
    options: {
      server: binaryPackets.pipe(
        Handshake.verify("login", (packet) =>
          Effect.andThen(
            Effect.logDebug("proof", Buffer.from(packet.subarray(5, 25)).toString("hex")),
            Buffer.compare(packet, loginPacket) === 0 ? Effect.void : Effect.fail(denied)
          ), { secret: true }),
        Handshake.switchCodec(Codec.lines()),
        Handshake.send("OK"),
        Handshake.named("broken")
      ),
      client: binaryPackets.pipe(
        Handshake.send(loginPacket, { name: "login", secret: true }),
        Handshake.switchCodec(Codec.lines()),
        Handshake.expect("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "shows a proof that its peer hides, and that nobody has listed",
    law: 9,
    says: /show in the transcript/,
    options: {
      server: serverWith((transport) =>
        Handshake.verify(transport, "password", (line) => isRight(line) ? Effect.void : Effect.fail(denied))
      ),
      client
    }
  },
  {
    name: "keeps the name of its user for all connections",
    law: 10,
    says: /two clients come at once, the same and alternative 1.*has "bob", its peer has "ann"/s,
    options: naming()
  },
  {
    name: "forgets to refuse a wrong password in words, where it has none for what is no password",
    law: 11,
    says: /the peer hears "NO\\n"/,
    options: { ...refusingByTurn(false) }
  },
  {
    name: "speaks first, and closes too soon behind the words of a refusal",
    law: 11,
    says: /the peer hears all that was said, "NO\\n"/,
    options: {
      server: lines.pipe(
        Handshake.send("HI"),
        hello,
        Handshake.send("WHO"),
        Effect.tap((transport) =>
          Handshake.verify(
            transport,
            "password",
            (line) => isRight(line) ? Effect.void : Effect.fail(denied),
            { secret: true }
          ).pipe(Effect.tapError(() => Effect.ignore(transport.send("NO"))))
        ),
        Handshake.send("OK"),
        Handshake.named("broken")
      ),
      client: lines.pipe(
        Handshake.expect("HI"),
        Handshake.send("HELLO 2"),
        Handshake.expect("WHO"),
        Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
        Handshake.expect("OK", { rejections: ["NO"] }),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "has words for what it promises to be silent to",
    law: 11,
    says: /the peer hears nothing/,
    options: { ...refusingByTurn(true) }
  },
  {
    name: "has no words for a greeting in another case",
    law: 11,
    amongAll: true,
    says: /message 1 comes changed.*"hello 2\\n".*the peer hears "NO\\n", as `refusal` says.*it heard nothing/s,
    options: {
      client,
      refusal: { server: ({ index }) => index === 0 ? "NO\n" : undefined },
      server: lines.pipe(
        Effect.tap((transport) =>
          Handshake.receive(transport, "greeting", (line) =>
            line === "HELLO 2"
              ? Effect.void
              : line.toUpperCase() === "HELLO 2"
              ? Effect.fail(invalid("HELLO 2", line))
              : Handshake.refuse(transport, "NO", invalid("HELLO 2", line)))
        ),
        Handshake.send("WHO"),
        pass,
        Handshake.send("OK"),
        Handshake.named("broken")
      )
    }
  },
  {
    name: "closes too soon behind the words that only an impostor hears",
    law: 11,
    says: /impostor \d+ in the place of the client comes, with \d+ bytes behind .*the peer hears all that was said/s,
    options: inForm((given, transport) =>
      given === password ? Effect.void : Effect.andThen(transport.send("NO"), Effect.fail(denied))
    )
  },
  {
    name: "has learned something else of another conversation than it should",
    law: 12,
    says: /alternative three.*both have negotiated "3".*the server has "2"/s,
    options: {
      server,
      client,
      negotiated: { server: () => "2", client: () => "2" },
      alternatives: [{ name: "three", value: "3" }]
    }
  },
  {
    name: "agrees on something else than it should",
    law: 12,
    says: /both have negotiated "3".*both have "2"/s,
    options: { server, client, negotiated: { server: () => "2", client: () => "2", value: "3" } }
  },
  // ---------------------------------------------------------------------------------------------------- 12, agreement
  {
    name: "believes in a version that the server has not chosen",
    law: 12,
    says: /agree on what was negotiated.*"3".*"2"|agree on what was negotiated.*"2".*"3"/s,
    options: { server, client, negotiated: { server: () => "2", client: () => "3" } }
  },
  {
    name: "swaps the answers of two calls",
    law: 12,
    amongAll: false,
    says: /the answer to its own request/,
    options: {
      server,
      client,
      calls: {
        // Each answer is sent when it is ready, and the first is ready last.
        serve: (transport) =>
          Effect.forEach(
            ["2 seconds", "1 second"] as const,
            (time) =>
              Effect.flatMap(transport.receive, (line) =>
                Effect.forkChild(Effect.delay(transport.send(line.toUpperCase()), time))),
            { concurrency: 2 }
          ).pipe(Effect.andThen(Effect.never)),
        requests: ["a", "b"],
        respond: (line) => line.toUpperCase()
      }
    }
  },
  {
    name: "does not wait for the server's last word, and misses that it is one more",
    law: 12,
    says: /nobody disturbs the conversation.*expected "READY", received "OK"/s,
    options: {
      client: lines.pipe(
        Handshake.send("HELLO 2"),
        Handshake.expect("WHO"),
        Handshake.send(`PASS ${password}`, { name: "password", secret: true }),
        // The server ends its handshake with a codec of packets; this one stays with lines and never says OK.
        Handshake.expect("READY", { rejections: ["NO"] }),
        Handshake.named("broken")
      ),
      server
    }
  }
]
