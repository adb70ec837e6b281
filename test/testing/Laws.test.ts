/**
 * How laws are registered, checked and tried again, and what a side is tried against.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import { AuthenticationFailed, InvalidGreeting, Rejected } from "../../src/HandshakeError.ts"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as ScriptedPeer from "../../src/testing/ScriptedPeer.ts"
import * as Transcript from "../../src/Transcript.ts"
import * as Transport from "../../src/Transport.ts"
import { vault } from "../support/handshakes.ts"
import * as Law from "../support/laws.ts"

const lines = Transport.framed(Codec.lines({ maxLength: 64 }))

/** Takes a greeting that comes in one piece only. */
const impatient = Transport.framed(Codec.bytes).pipe(
  Effect.tap((transport) =>
    Effect.flatMap(transport.receive, (chunk) =>
      new TextDecoder().decode(chunk) === "You ready?\n"
        ? Effect.void
        : Handshake.refuse(transport, new TextEncoder().encode("No! Go away!\n")))
  ),
  Effect.flatMap(Transport.switchCodec(Codec.lines())),
  Handshake.step("greeting"),
  Handshake.send("Bring it!"),
  Handshake.named("impatient")
)

const check = (suite: Laws.Suite, law: number) => suite.laws.find((other) => other.law === law)!.check

const rungs = [Rung.memory]

describe("registration", () => {
  const registered = (options: { readonly secrets?: ReadonlyArray<string> }) => {
    const names: Array<string> = []
    const skipped: Array<string> = []
    const register = Object.assign((name: string) => names.push(name), {
      skip: (name: string) => skipped.push(name)
    })
    Laws.handshake({ name: "line", server: Line.server, client: Line.client, it: register, ...options })
    return { names, skipped }
  }

  it("is one test for each of the twelve laws, with its number and its name", () => {
    const { names } = registered({ secrets: ["hunter2"] })
    expect(names.map((name) => /^line, law (\d+), ([^:]+): /.exec(name)?.slice(1))).toEqual(
      Object.entries(Laws.names)
    )
  })

  it("is not made without a side to try", () => {
    expect(() => Laws.handshake({ name: "nothing" })).toThrow(/give a server and a client/)
    expect(() => Laws.handshake({ name: "half", server: Line.server })).toThrow(/a peer that plays the other/)
  })
})

describe("where time is virtual", () => {
  const counting = () => {
    let had = 0
    const server = Effect.suspend(() => {
      had++
      return Line.server
    })
    const suite = Laws.handshake({ name: "line", server, client: Line.client, rungs, runs: Law.runs })
    return (law: number) =>
      Effect.suspend(() => {
        const before = had
        return Effect.map(check(suite, law), () => had - before)
      })
  }

  it.effect("what several laws look at is one conversation", () =>
    Effect.gen(function*() {
      const alone = yield* counting()(9)
      const costOf = counting()
      for (const law of [3, 5, 6, 7]) yield* costOf(law)
      const behindOthers = yield* costOf(9)
      expect(alone).toBeGreaterThan(50)
      // Nobody disturbs it, once for each side; each side has one message, which comes twice.
      expect(behindOthers).toBeLessThanOrEqual(8)
    }))
})

describe("what is told", () => {
  const denied = new AuthenticationFailed({ method: "password", detail: "wrong", fault: "peer" })
  const passes: Record<string, string> = { ann: "hunter2", bob: "letmein" }
  /** `CONNECT name password`: silence to what is none, a word to who is not let in. */
  const server = Effect.gen(function*() {
    const transport = yield* lines
    const user = yield* Handshake.receive(transport, "login", (line) => {
      const [, name, password] = /^CONNECT (\w+) (\w+)$/.exec(line) ?? []
      if (name === undefined) {
        return Effect.fail(new InvalidGreeting({ expected: "CONNECT", received: "something else" }))
      }
      return passes[name] === password ? Effect.succeed(name) : Handshake.refuse(transport, "NO", denied)
    }, { secret: true })
    yield* transport.send("OK")
    return Transport.extend(transport, { user })
  }).pipe(Handshake.named("connect"))
  const clientOf = (user: string, password = passes[user]) =>
    lines.pipe(
      Handshake.send(`CONNECT ${user} ${password}`, { name: "login", secret: true }),
      Handshake.expect("OK", { rejections: ["NO"] }),
      Handshake.extend({ user }),
      Handshake.named("connect")
    )
  const userOf = ({ user }: { readonly user: string }) => user
  const text = new TextDecoder()
  const healthy = {
    name: "connect",
    server,
    client: clientOf("ann"),
    rungs,
    runs: Law.runs,
    secrets: ["hunter2", "letmein"],
    negotiated: { server: userOf, client: userOf, value: "ann" },
    alternatives: [{ name: "bob", client: clientOf("bob") }],
    impostors: { client: [clientOf("ann", "letmein"), lines.pipe(Handshake.send("HELLO"))] },
    refusal: {
      server: ({ said }: Laws.WrongTurn) => /^CONNECT \w+ \w+\n/.test(text.decode(said)) ? "NO\n" : undefined
    },
    failure: ({ side }: Laws.WrongTurn) => side === "server" ? { fault: "peer" } as const : undefined
  } satisfies Laws.HandshakeOptions<Effect.Success<typeof server>, Effect.Success<ReturnType<typeof clientOf>>>

  it.effect("excuses nobody who is healthy from any law, all of it together", () =>
    // An impostor that only says something is ready at once.
    Laws.check(Laws.handshake({ ...healthy, impostors: { client: [clientOf("ann", "letmein")] } })))

  it.effect("is held: a server with a deadline of its own that it does not keep", () =>
    Effect.gen(function*() {
      const late = Laws.handshake({ ...healthy, deadline: { server: "20 seconds" } })
      const violation = yield* Effect.flip(check(late, 6))
      expect(violation.expected).toMatch(/at its deadline, after 20000 ms/)
    }))

  it.effect("is held where two come at once: a server that says to one what is due of the other", () =>
    Effect.gen(function*() {
      const pages: Record<string, number> = { ann: 20, bob: 5 }
      let current = ""
      const printer = Effect.gen(function*() {
        const transport = yield* lines
        current = yield* Handshake.receive(transport, "user", (line) =>
          line in pages
            ? Effect.succeed(line)
            : Effect.fail(new InvalidGreeting({ expected: "a user", received: "nobody" })))
        yield* Effect.sleep("10 millis")
        const left = pages[current]
        yield* transport.send(`${left}`)
        return Transport.extend(transport, { left })
      }).pipe(Handshake.named("printer"))
      const printing = (user: string) =>
        Effect.gen(function*() {
          const transport = yield* lines
          yield* transport.send(user)
          const left = yield* Handshake.receive(transport, "pages", (line) => Effect.succeed(Number(line)))
          return Transport.extend(transport, { left })
        }).pipe(Handshake.named("printer"))
      const leftOf = ({ left }: { readonly left: number }) => left
      const violation = yield* Effect.flip(check(
        Laws.handshake({
          name: "printer",
          server: printer,
          client: printing("ann"),
          rungs,
          negotiated: { server: leftOf, client: leftOf, value: 20 },
          alternatives: [{ name: "bob", client: printing("bob"), value: 5 }]
        }),
        10
      ))
      expect(violation.expected).toMatch(/both have (20|5) in the (first|second) one, as its `value` says/)
    }))

  it.effect("shows no secret of the conversation where that stops", () =>
    Effect.gen(function*() {
      const late = Laws.handshake({ ...healthy, deadline: { server: "20 seconds" } })
      const violation = yield* Effect.flip(check(late, 6))
      expect(violation.scenario).toMatch(/falls silent after byte 0 of 20: "" \| "\*{20}"/)
    }))

  it.effect("as an alternative may stand in the place of what the first conversation says", () =>
    Effect.gen(function*() {
      const options = { ...healthy, impostors: {}, wrong: { server: ["CONNECT bob letmein\n"] } }
      yield* check(Laws.handshake(options), 5)
      const violation = yield* Effect.flip(check(Laws.handshake({ ...options, alternatives: [] }), 5))
      expect(violation.actual).toBe("it became ready")
    }))

  it.effect("is held: another value than the one that was negotiated", () =>
    Effect.gen(function*() {
      const negotiated = { ...healthy.negotiated, value: "bob" }
      const violation = yield* Effect.flip(check(Laws.handshake({ ...healthy, negotiated }), 12))
      expect(violation.expected).toBe("both have negotiated \"bob\", as `negotiated.value` says")
    }))

  it.effect("says that more may come behind a handshake, which else is a violation", () =>
    Effect.gen(function*() {
      const options = {
        name: "chatty",
        rungs,
        server: lines.pipe(Handshake.expect("HELLO"), Handshake.send("OK"), Handshake.send("by the way")),
        client: lines.pipe(Handshake.send("HELLO"), Handshake.expect("OK"))
      }
      const violation = yield* Effect.flip(check(Laws.handshake(options), 2))
      expect(violation.actual).toMatch(/"by the way\\n" is left/)
      yield* check(Laws.handshake({ ...options, trailing: { client: true } }), 2)
    }))

  it.effect("bounds how many changes are tried, with the runs", () =>
    Effect.gen(function*() {
      const conversations = (runs: number) => {
        let count = 0
        const reset = Effect.sync(() => {
          count++
        })
        return Effect.map(check(Laws.handshake({ ...vault, name: "vault", rungs, runs, reset }), 5), () => count)
      }
      expect(yield* conversations(1)).toBeLessThan((yield* conversations(100)) / 2)
    }))

  it.effect("as a secret is in no violation, whatever that is about", () =>
    Effect.gen(function*() {
      const anybody = lines.pipe(
        Handshake.verify("login", () => Effect.void),
        Handshake.send("OK"),
        Handshake.extend({ user: "ann" }),
        Handshake.named("connect")
      )
      const violation = yield* Effect.flip(check(Laws.handshake({ ...healthy, server: anybody }), 5))
      expect(violation.message).toMatch(/it became ready/)
      expect(violation.message).not.toMatch(/hunter|letmei/)
    }))
})

describe("a failure", () => {
  it.effect("is the same each time with one seed, and is tried again with its token", () =>
    Effect.gen(function*() {
      const options = { name: "impatient", server: impatient, client: Line.client, rungs }
      const first = yield* Effect.flip(check(Laws.handshake({ ...options, seed: "a" }), 1))
      const second = yield* Effect.flip(check(Laws.handshake({ ...options, seed: "a" }), 1))
      expect(second.message).toBe(first.message)
      expect(first.replay).toMatch(/^1\/memory\/server\//)
      const suite = Laws.handshake({ ...options, replay: first.replay })
      expect((yield* Effect.flip(check(suite, 1))).scenario).toBe(first.scenario)
      // It belongs to one law, and the others say that they were not tried.
      expect(suite.laws.filter(({ skip }) => skip === undefined).map(({ law }) => law)).toEqual([1])
    }))

  it("that is to be tried again with something that is no token is refused", () => {
    const options = { name: "line", server: Line.server, client: Line.client, rungs }
    expect(() => Laws.handshake({ ...options, replay: "nonsense" })).toThrow(/nonsense is no token/)
    expect(() => Laws.handshake({ ...options, replay: "1/tcp/server/1/x" })).toThrow(/no token/)
  })

  it.effect("is shrunk to the simplest case", () =>
    Effect.gen(function*() {
      const options = { name: "impatient", server: impatient, client: Line.client, rungs, seed: "b" }
      const { scenario } = yield* Effect.flip(check(Laws.handshake(options), 1))
      expect(scenario).toBe("the conversation comes in pieces of 1 bytes")
    }))

  it.effect("tells the law, the side, the rung, what was done, what is expected and what came, and draws it", () =>
    Effect.gen(function*() {
      const options = { name: "impatient", server: impatient, client: Line.client, rungs, seed: "b" }
      const violation = yield* Effect.flip(check(Laws.handshake(options), 1))
      expect(violation.message.split("\n").filter((text) => !text.includes("again:"))).toEqual([
        "law 1, chunking, does not hold for impatient (server, memory)",
        "  when:     the conversation comes in pieces of 1 bytes",
        "  expected: the same as in one piece; outcome: ready",
        "  but:      outcome: failed (it failed at step refuse with Rejected: rejected by this side: " +
        "\"No! Go away!\\n\"; try again later or elsewhere)",
        "",
        "  server                  client",
        "    │                       │",
        "    · connected to unknown peer  (0 ms)",
        "    │                   \"Y\" │",
        "    │◄──────────────────────┤  0 ms",
        "    │ \"No! Go away!\\n\"      │",
        "    ├──────────────────────►│  0 ms"
      ])
      // The place where laws are checked is of no interest to anybody.
      expect(violation.stack).not.toMatch(/\n +at /)
    }))

  it.effect("of a conversation that does not even succeed by itself is reported as such", () =>
    Effect.gen(function*() {
      const server = lines.pipe(Handshake.expect("Hello"), Handshake.named("other"))
      const violation = yield* Effect.flip(
        Laws.check(Laws.handshake({ name: "other", server, client: Line.client, rungs }))
      )
      expect(violation.scenario).toBe("nobody disturbs the conversation")
      expect(violation.actual).toMatch(/^it failed at step expect "Hello" with InvalidGreeting: .*; its peer failed/)
    }))

  it.effect("of a handshake that waits for a promise on plain calls says what to do", () =>
    Effect.gen(function*() {
      const patient = Effect.andThen(
        Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
        Line.server
      )
      const options = { name: "patient", server: patient, client: Line.client }
      const violation = yield* Effect.flip(check(Laws.handshake({ ...options, rungs: [Rung.pure] }), 12))
      expect(violation.actual).toMatch(/leave out Rung\.pure/)
      yield* check(Laws.handshake({ ...options, rungs: [Rung.memory] }), 12)
    }))
})

describe("a handshake that works in another thread", () => {
  const turns = (count: number) =>
    Effect.promise(async () => {
      for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve))
    })
  // As a key derivation does: longer than a turn of the event loop, and not on the clock.
  const server = Effect.andThen(turns(20), Line.server)

  it.effect("is waited for with `breathe`, and told to ask for it without", () =>
    Effect.gen(function*() {
      const impatient = Laws.handshake({ name: "elsewhere", server, client: Line.client, runs: 2, rungs })
      expect((yield* Effect.flip(check(impatient, 12))).actual).toMatch(/give `breathe`/)
      const breathe = turns(40)
      const options = { name: "elsewhere", server, client: Line.client, runs: 2, breathe }
      yield* check(Laws.handshake({ ...options, rungs }), 12)
      expect(Laws.handshake(options).laws).toHaveLength(12)
    }))
})

describe("a healthy handshake", () => {
  const good = (law: number, options: Laws.HandshakeOptions<Transport.Transport.Any, Transport.Transport.Any>) =>
    check(Laws.handshake({ ...options, runs: Law.runs }), law)

  it.effect("may say something of another length each time", () =>
    Effect.gen(function*() {
      const server = Effect.flatMap(Effect.sync(() => String(Math.floor(Math.random() * 1e10))), (number) =>
        lines.pipe(Handshake.send(number), Handshake.expect("thanks"), Handshake.named("number")))
      const client = lines.pipe(
        Handshake.verify("number", (line: string) =>
          /^\d+$/.test(line)
            ? Effect.void
            : Effect.fail(new InvalidGreeting({ expected: "a number", received: "none" }))),
        Handshake.send("thanks"),
        Handshake.named("number")
      )
      // Any number will do.
      const accepts = ({ said, side }: Laws.WrongTurn) =>
        side === "client" && /^\d+\n$/.test(new TextDecoder().decode(said))
      for (const law of [1, 3, 5, 6]) {
        yield* good(law, { name: "number", server, client, accepts })
      }
    }))

  it.effect("is told what is due now, where a nonce is another one each time", () =>
    Effect.gen(function*() {
      const server = Effect.flatMap(Effect.sync(() => String(Math.floor(Math.random() * 1e10))), (nonce) =>
        lines.pipe(
          Handshake.send(nonce),
          Handshake.verify("note", (line: string) =>
            line.split(" ")[0] === nonce
              ? Effect.void
              : Effect.fail(new InvalidGreeting({ expected: "the nonce", received: "another one" }))),
          Handshake.named("noted")
        ))
      const client = Effect.gen(function*() {
        const transport = yield* lines
        const nonce = yield* transport.receive.pipe(Handshake.step("nonce"))
        return yield* Handshake.send(transport, `${nonce} a note`)
      }).pipe(Handshake.named("noted"))
      const first = (bytes: Uint8Array) => new TextDecoder().decode(bytes).split(/[ \n]/)[0]
      // Any nonce will do for the client, and any note for the server.
      const accepts = ({ due, said, side }: Laws.WrongTurn) => side === "client" || first(said) === first(due)
      yield* good(5, { name: "noted", server, client, accepts })
    }))

  /** A server that says a random number when it lets somebody in, of which its client only looks at the form. */
  const numbered = (number: () => string) => {
    const right = (line: string, form: RegExp) =>
      form.test(line) ? Effect.void : Effect.fail(new InvalidGreeting({ expected: String(form), received: line }))
    const nonce = "0123456789abcdef".repeat(2)
    return {
      name: "numbered",
      server: Effect.flatMap(Effect.sync(number), (number) =>
        lines.pipe(
          Handshake.send(`HI ${nonce}`),
          Handshake.verify("hello", (line: string) => right(line, new RegExp(`^HELLO ${nonce}$`)), { orReply: "NO" }),
          Handshake.send(`OK ${number.repeat(8)}`),
          Handshake.named("numbered")
        )),
      client: Effect.gen(function*() {
        const transport = yield* lines
        const greeting = yield* Handshake.receive(
          transport,
          "greeting",
          (line) => Effect.as(right(line, /^HI [0-9a-f]+$/), line.slice(3))
        )
        yield* Handshake.send(transport, `HELLO ${greeting}`)
        return yield* Handshake.verify(
          Effect.succeed(transport),
          "number",
          (line: string) =>
            line === "NO"
              ? Effect.fail(new Rejected({ by: "peer", said: "NO", retryable: true }))
              : right(line, /^OK [0-9a-f]+$/)
        )
      }).pipe(Handshake.named("numbered")),
      accepts: ({ said, side }: Laws.WrongTurn) =>
        side === "client" && /^OK [0-9a-f]+\n$/.test(new TextDecoder().decode(said)),
      refusal: { server: "NO\n" }
    }
  }

  it.effect("may be told something random, which with another bit is right once and wrong the next time", () =>
    Effect.gen(function*() {
      // An "f" with another bit is no digit, and a "b" is one.
      let calls = 0
      yield* good(10, { ...numbered(() => ++calls <= 4 ? "f" : "b"), rungs: [Rung.pure] })
    }))

  it.effect("whose answer was taken and then refused has not refused what it had answered", () =>
    good(11, { ...numbered(() => "7"), rungs: [Rung.pure, Rung.simulated()] }))

  it.effect("need not say no to who has said no to its answer", () =>
    Effect.gen(function*() {
      const isRight = (line: string, nonce: string) =>
        line === `proof of ${nonce}`
          ? Effect.void
          : Effect.fail(new InvalidGreeting({ expected: "a proof", received: "none" }))
      const server = Effect.flatMap(Effect.sync(() => String(Math.floor(Math.random() * 1e10))), (nonce) =>
        lines.pipe(
          Handshake.send(nonce),
          Handshake.verify("proof", (line: string) => isRight(line, nonce), { orReply: "NO" }),
          Handshake.send("OK"),
          Handshake.named("nonce")
        ))
      // Any number is a nonce, and whether it is the right one only the server knows.
      const client = Effect.gen(function*() {
        const transport = yield* lines
        const nonce = yield* Handshake.receive(transport, "nonce", (line) =>
          /^\d+$/.test(line)
            ? Effect.succeed(line)
            : Effect.fail(new InvalidGreeting({ expected: "a nonce", received: "none" })), { orReply: "WHAT" })
        return yield* Handshake.send(transport, `proof of ${nonce}`).pipe(
          Handshake.expect("OK", { rejections: ["NO"], orReply: "WHAT" })
        )
      }).pipe(Handshake.named("nonce"))
      const isNo = (said: Uint8Array) => new TextDecoder().decode(said) === "NO\n"
      const refusal = {
        server: "NO\n",
        client: ({ said }: Laws.WrongTurn) => isNo(said) ? undefined : "WHAT\n"
      }
      yield* good(11, { name: "nonce", server, client, refusal })
    }))

  it.effect("says no to an impostor that talks on where that was wrong, and not behind it", () =>
    Effect.gen(function*() {
      const server = lines.pipe(
        Handshake.expect("one", { orReply: "NOT ONE" }),
        Handshake.expect("two", { orReply: "NOT TWO" }),
        Handshake.send("OK"),
        Handshake.named("steps")
      )
      const saying = (...said: ReadonlyArray<string>) => Effect.tap(lines, (transport) => transport.sendAll(said))
      const client = saying("one", "two").pipe(Handshake.expect("OK"), Handshake.named("steps"))
      const refusal = { server: ({ index }: Laws.WrongTurn) => index === 0 ? "NOT ONE\n" : "NOT TWO\n" }
      const impostor = Effect.andThen(saying("three", "two"), Effect.fail("it does not listen"))
      yield* good(11, { name: "steps", server, client, refusal, impostors: { client: [impostor] } })
    }))

  it.effect("may have a client that waits for less time than its server does", () =>
    Effect.gen(function*() {
      const server = lines.pipe(
        Handshake.expect("one"),
        Handshake.send("two"),
        Handshake.expect("three"),
        Handshake.deadline("10 seconds"),
        Handshake.named("patient")
      )
      const client = lines.pipe(
        Handshake.send("one"),
        Handshake.expect("two"),
        Handshake.send("three"),
        Handshake.deadline("1 second"),
        Handshake.named("patient")
      )
      yield* good(6, { name: "patient", server, client, deadline: { server: "10 seconds", client: "1 second" } })
    }))

  it.effect("may have a codec that says the same of what is not the same", () =>
    Effect.gen(function*() {
      const words = Codec.map(Codec.lines({ maxLength: 64 }), {
        decode: (line) => line,
        encode: (line: string) => line.toUpperCase()
      })
      const server = Transport.framed(words).pipe(Handshake.expect("HELLO"), Handshake.send("OK"))
      const client = Transport.framed(words).pipe(Handshake.send("Hello"), Handshake.expect("OK"))
      yield* good(5, {
        name: "loud",
        server: Handshake.named(Handshake.expect(server, "BYE"), "loud"),
        client: Handshake.named(Handshake.send(client, "Bye"), "loud")
      })
    }))

  it.effect("may draw from Effect's Random, and look at a clock that nobody holds", () =>
    Effect.gen(function*() {
      const server = Effect.flatMap(Random.nextIntBetween(0, 2 ** 30), (nonce) =>
        lines.pipe(
          Handshake.send(`${nonce} ${new Date().toISOString()}`),
          Handshake.expect("thanks"),
          Handshake.named("dated")
        ))
      const client = lines.pipe(
        Handshake.verify("nonce", (line: string) =>
          /^\d+ /.test(line)
            ? Effect.void
            : Effect.fail(new InvalidGreeting({ expected: "a nonce", received: "none" }))),
        Handshake.send("thanks"),
        Handshake.named("dated")
      )
      for (const law of [1, 2, 12]) yield* good(law, { name: "dated", server, client, accepts: () => true })
    }))

  it.effect("may take some of its time, and say something behind the handshake by itself", () =>
    Effect.gen(function*() {
      const server = lines.pipe(
        Handshake.verify("greeting", (line: string) =>
          line === "hello"
            ? Effect.sleep("2 seconds")
            : Effect.fail(new InvalidGreeting({ expected: "hello", received: "something else" }))),
        Handshake.send("welcome"),
        Effect.tap((transport) =>
          Effect.forkScoped(Effect.forever(Effect.delay(Effect.ignore(transport.send("beat")), "6 hours")))
        ),
        Handshake.named("slow")
      )
      const client = lines.pipe(Handshake.send("hello"), Handshake.expect("welcome"), Handshake.named("slow"))
      for (const law of [6, 7, 10]) yield* good(law, { name: "slow", server, client })
    }))

  it.effect("may have several words for no, and any codec", () =>
    Effect.gen(function*() {
      const zero = Transport.framed(Codec.map(Codec.delimited(Uint8Array.of(0), { maxLength: 64 }), {
        decode: (frame) => new TextDecoder().decode(frame),
        encode: (frame: string) => new TextEncoder().encode(frame)
      }))
      const server = zero.pipe(
        Handshake.expect("hello", { orReply: "what?" }),
        Handshake.send("who?"),
        Handshake.expect("me", { orReply: "go away" }),
        Handshake.send("welcome"),
        Handshake.named("zero")
      )
      const client = zero.pipe(
        Handshake.send("hello"),
        Handshake.expect("who?"),
        Handshake.send("me"),
        Handshake.expect("welcome", { rejections: ["go away"] }),
        Handshake.named("zero")
      )
      const refusal = { server: ["what?\0", "go away\0"] }
      for (const law of [4, 5, 8, 11]) yield* good(law, { name: "zero", server, client, refusal })
    }))

  it.effect("may log what it likes, and nothing of that is printed while its laws are checked", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const talkative = Effect.andThen(Effect.logInfo("here I am"), Line.server)
      const suite = Laws.handshake({
        name: "line",
        server: talkative,
        client: Line.client,
        rungs: [Rung.pure],
        runs: 5
      })
      yield* Laws.check(suite).pipe(
        Effect.provideService(References.CurrentLoggers, new Set([Logger.make(({ message }) => seen.push(message))]))
      )
      expect(seen).toEqual([])
    }))

  it.effect("may remember, where it is told to forget before each conversation", () =>
    Effect.gen(function*() {
      let failures = 0
      const server = Effect.suspend(() =>
        failures >= 3
          ? Handshake.refuse(lines, "locked")
          : lines.pipe(Handshake.expect("pin 1234", { orReply: "no" }), Handshake.send("ok"))
      ).pipe(Effect.tapError(() => Effect.sync(() => failures++)), Handshake.named("lock"))
      const client = lines.pipe(Handshake.send("pin 1234"), Handshake.expect("ok"), Handshake.named("lock"))
      const options = { name: "lock", server, client, rungs }
      expect((yield* Effect.flip(Laws.check(Laws.handshake(options)))).law).toBeLessThan(12)
      yield* Laws.check(Laws.handshake({ ...options, reset: Effect.sync(() => void (failures = 0)) }))
    }))

  it.effect("may be long", () =>
    Effect.gen(function*() {
      const token = "t".repeat(6000)
      const long = Transport.framed(Codec.lines())
      const server = long.pipe(Handshake.expect(token), Handshake.send("ok"), Handshake.named("long"))
      const client = long.pipe(Handshake.send(token), Handshake.expect("ok"), Handshake.named("long"))
      yield* good(10, { name: "long", server, client })
    }))
})

describe("a fast rung", () => {
  /** Of several lines that have come at once it loses the last one. */
  const losing = () => {
    const codec = Codec.lines({ maxLength: 64 })
    return Codec.make<string>({
      decoder: () => {
        const decoder = codec.decoder()
        return {
          decode: (input) => decoder.decode(input),
          decodeMany: (input, max) => {
            const lines = decoder.decodeMany!(input, max)
            return lines.length > 1 ? lines.slice(0, -1) : lines
          }
        }
      },
      encode: codec.encode
    })
  }
  const server = Transport.framed(losing()).pipe(
    Handshake.expect("You ready?"),
    Handshake.send("Bring it!"),
    Handshake.named("losing")
  )
  const options = {
    name: "losing",
    server,
    client: Line.client,
    calls: {
      serve: Pipeline.serve((line: string) => Effect.succeed(line)),
      requests: ["one", "two"],
      respond: (line: string) => line
    }
  }

  it.effect("shows what is wrong with batches, which are taken only where nobody watches", () =>
    Effect.gen(function*() {
      yield* check(Laws.handshake({ ...options, rungs: [Rung.memory] }), 2)
      const violation = yield* Effect.flip(check(Laws.handshake({ ...options, rungs: [Rung.fast(Rung.memory)] }), 2))
      expect(violation.where).toBe("server, fast memory")
      expect(violation.diagram).toBeUndefined()
    }))

  it.effect("needs no deadline of the handshake: the server has one", () =>
    Effect.gen(function*() {
      const suite = (rung: Rung.Rung) => Laws.handshake({ ...options, rungs: [Rung.fast(rung)] })
      yield* check(suite(Rung.memory), 6)
      yield* check(suite(Rung.pure), 6)
    }))
})

describe("one side alone", () => {
  const greeting = [ScriptedPeer.send("You ready?\n"), ScriptedPeer.expect("Bring it!\n")]

  describe("against a script", () => {
    Laws.handshake({ name: "line server", server: Line.server, peer: greeting, secrets: ["s3cr3t-pass"], runs: 30, it })
  })

  it.effect("against a script, a broken one is caught", () =>
    Effect.gen(function*() {
      const violation = yield* Effect.flip(
        Laws.check(Laws.handshake({ name: "impatient", server: impatient, peer: greeting, rungs }))
      )
      expect(violation.law).toBe(1)
    }))

  it.effect("against a script that it does not speak with, the script says where", () =>
    Effect.gen(function*() {
      const peer = [ScriptedPeer.send("You ready?\n"), ScriptedPeer.expect("Welcome!\n")]
      const violation = yield* Effect.flip(
        check(Laws.handshake({ name: "line server", server: Line.server, peer, rungs }), 12)
      )
      expect(violation.actual).toMatch(/Welcome!/)
    }))

  describe("against a recording", () => {
    const recorded = Effect.gen(function*() {
      const [here, there] = yield* MemorySocket.pair()
      yield* Effect.forkScoped(Effect.provideService(Line.server, Socket.Socket, there))
      const [, transcript] = yield* Transcript.record(Line.client).pipe(Effect.provideService(Socket.Socket, here))
      return transcript
    })
    const transcript = Effect.runSync(Effect.scoped(recorded))
    const play = (as: "self" | "peer") => Result.getOrThrow(ScriptedPeer.fromTranscript(transcript, { play: as }))

    Laws.handshake({
      name: "line server",
      server: Line.server,
      peer: play("self"),
      secrets: ["s3cr3t-pass"],
      runs: 30,
      rungs,
      it
    })
    Laws.handshake({
      name: "line client",
      client: Line.client,
      peer: play("peer"),
      secrets: ["s3cr3t-pass"],
      runs: 30,
      rungs,
      it
    })
  })
})

describe("coverage", () => {
  it.effect("shows which faults a step that waits has never met, and no others", () =>
    Effect.gen(function*() {
      const suite = Laws.handshake({ name: "vault", server: vault.server, client: vault.client, rungs, runs: 20 })
      const open = Effect.map(
        suite.coverage,
        (coverage) =>
          Laws.holes(coverage).flatMap((hole) =>
            hole._tag === "Fault" && hole.side === "server" ? [`${hole.step}, ${hole.fault}`] : []
          )
      )
      yield* check(suite, 3)
      const faults = ["split", "oversize", "long frame", "wrong turn", "garbage", "silence", "dribble", "interruption"]
      // Nothing comes too early for the first message, and who only sends meets nothing at all.
      expect((yield* open).sort()).toEqual([
        ...faults.map((fault) => `version, ${fault}`),
        ...[...faults, "early bytes"].map((fault) => `password, ${fault}`)
      ].sort())
      yield* check(suite, 7)
      expect(yield* open).not.toContain("password, interruption")
      const table = Laws.formatCoverage(yield* suite.coverage).split("\n")
      expect(table[0]).toMatch(/^step +split {2}early bytes {2}cut {2}reset/)
      expect(table.find((row) => row.startsWith("server: password"))).toMatch(/^server: password +· +· +\d+ +\d+ +·/)
      expect(table.find((row) => row.startsWith("server: version"))).toMatch(/^server: version +· {15,}\d+ +\d+ +·/)
      expect(table.join("\n")).not.toMatch(/send/)
    }))

  it.effect("shows which bytes and fields were never changed, and how not", () =>
    Effect.gen(function*() {
      const of = (runs: number) =>
        Effect.gen(function*() {
          const suite = Laws.handshake({ name: "vault", server: vault.server, client: vault.client, rungs, runs })
          yield* check(suite, 5)
          const coverage = yield* suite.coverage
          return { coverage, holes: Laws.holes(coverage).filter(({ _tag }) => _tag !== "Fault") }
        })
      expect((yield* of(200)).holes).toEqual([])
      const { coverage, holes } = yield* of(2)
      const ofPassword = holes.find((hole) => hole._tag === "Places" && hole.step === "password" && hole.message === 2)
      if (ofPassword?._tag !== "Places") return expect.fail("the places of the password were all tried")
      expect(ofPassword.places.length).toBeGreaterThan(0)
      expect(Laws.formatCoverage(coverage)).toMatch(
        new RegExp(`server: password +[1-7]/8 .*never: ${ofPassword.places[0]}`)
      )
    }))
})

it("a codec is checked by the same kind of suite", () => {
  const suite = Laws.codec(Codec.lines(), Schema.Literals(["a", "bc"]), { name: "lines" })
  expect(suite.laws.map(({ law }) => law)).toEqual([1, 2, 3, 4, 5, 7, 8, 10, 12])
})
