/**
 * The laws can fail: each broken handshake of the gallery is caught by the law whose subject its bug is, before any other, with
 * a message that leads to the bug.
 */
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { createHmac } from "node:crypto"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Transport from "../../src/Transport.ts"
import * as Law from "../support/laws.ts"
import { broken, cleanUp, healthy, password } from "./gallery/handshakes.ts"

const seed = "gallery"

describe("the healthy handshake", () => {
  Laws.handshake({ ...healthy, name: "healthy", it: Law.it, runs: Law.runs })
})

describe("a handshake that", () => {
  afterAll(cleanUp)
  for (const { amongAll, law, name, options, says } of broken) {
    // Laws that come late have much to try before, so that of their handshakes only those are tried by all laws that others meet
    // as well.
    const byAll = amongAll ?? [1, 2, 3, 5, 12].includes(law)
    Law.it(`${name} breaks law ${law}${byAll ? " first of all" : ""}`, async () => {
      const suite = Laws.handshake({ ...options, name, seed, runs: 40, ...(byAll && { rungs: [Rung.memory] }) })
      const check = byAll ? Laws.check(suite) : suite.laws.find((other) => other.law === law)!.check
      const violation = await Effect.runPromise(Effect.flip(check))
      expect(violation).toBeInstanceOf(Laws.LawViolation)
      expect(violation.law, violation.message).toBe(law)
      expect(violation.message).toMatch(says)
    })
  }
})

/** Whatever somebody may give who has no compiler. */
const suiteOf = (options: object) => Laws.handshake({ ...healthy, name: "told", rungs: [Rung.pure], ...options })

it.each<[what: string, options: object, says: RegExp]>([
  ["an option", { acepts: () => false }, /the options of Laws.handshake has "acepts", and knows accepts, /],
  ["a side", { refusal: { sever: "NO\n" } }, /`refusal` of Laws.handshake has "sever", and knows client, server/],
  ["a key of an alternative", { alternatives: [{ nam: "bob" }] }, /one of `alternatives` of Laws.handshake has "nam"/],
  [
    "failure",
    { failure: () => ({ retriable: false }) },
    /what `failure` of Laws.handshake gives has "retriable", and knows fault, reason/
  ]
])("what is misspelt is told when the suite is made: %s", (_, options, says) => {
  expect(() => suiteOf(options)).toThrow(says)
})

it("an option of Laws.codec that is misspelt is told when the suite is made", () => {
  const options: object = { canonicl: true }
  expect(() => Laws.codec(Codec.lines(), Schema.Literals(["", "hello"]), options)).toThrow(
    /the options of Laws.codec has "canonicl", and knows canonical, /
  )
})

it("what `failure` gives for a message that comes is looked at when it comes", async () => {
  const suite = suiteOf({ failure: ({ said }: Laws.WrongTurn) => said.length === 0 ? undefined : { retriable: false } })
  const exit = await Effect.runPromiseExit(suite.laws[4].check)
  expect(String(exit)).toMatch(/what `failure` of Laws.handshake gives has "retriable"/)
})

it("an impostor that has a name is called by it", async () => {
  const impostors = { client: [{ name: "in another form", handshake: healthy.client }] }
  const violation = await Effect.runPromise(Effect.flip(suiteOf({ impostors }).laws[4].check))
  expect(violation.message).toContain(`the impostor "in another form" in the place of the client comes`)
})

it("a step of a handshake may be called like the opening of its connection", async () => {
  const lines = Transport.framed(Codec.lines())
  const suite = Laws.handshake({
    name: "connecting",
    server: Effect.gen(function*() {
      const transport = yield* lines
      const line = yield* Handshake.step(transport.receive, "connect")
      if (line !== "CONNECT") {
        return yield* Handshake.refuse(
          transport,
          "NO",
          new HandshakeError.InvalidGreeting({ expected: "CONNECT", received: "another line" })
        )
      }
      return yield* Handshake.send(transport, "OK", { name: "welcome" })
    }),
    client: lines.pipe(Handshake.send("CONNECT"), Handshake.expect("OK", { rejections: ["NO"] })),
    rungs: [Rung.pure],
    runs: 20,
    seed: 1
  })
  await Effect.runPromise(Laws.check(suite))
  expect(Laws.formatCoverage(Effect.runSync(suite.coverage))).toMatch(/server: connect +\d+ +\d+/)
})

/** What somebody says in three lines, and what is answered, with a tag that it has to be answered with. */
const tagged = (
  isRight: { readonly answer: (said: string, due: string) => boolean; readonly proof: typeof isSame }
) => {
  const lines = Transport.framed(Codec.lines())
  const invalid = new HandshakeError.InvalidGreeting({ expected: "what is due", received: "something else" })
  const says = (step: string, due: string, isRight: (said: string, due: string) => boolean) =>
    Handshake.verify(step, (said: string) => isRight(said, due) ? Effect.void : Effect.fail(invalid))
  const proof = "a3 PROVE sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
  return {
    server: lines.pipe(
      says("hello", "a1 HELLO client.example version=2", isSame),
      Handshake.send("a1 OK mail.example greets client.example"),
      says("user", "a2 USER ann as administrator of client.example", isSame),
      Handshake.send("a2 OK prove that you are ann of client.example"),
      says("proof", proof, isRight.proof),
      Handshake.send("a3 OK welcome, administrator of client.example")
    ),
    client: lines.pipe(
      Handshake.send("a1 HELLO client.example version=2"),
      says("greeting", "a1 OK mail.example greets client.example", isSame),
      Handshake.send("a2 USER ann as administrator of client.example"),
      says("question", "a2 OK prove that you are ann of client.example", isRight.answer),
      Handshake.send(proof),
      says("welcome", "a3 OK welcome, administrator of client.example", isSame)
    )
  }
}
const isSame = (said: string, due: string): boolean => said === due

it.each([
  [
    "does not look at the tag of an answer",
    tagged({ answer: (said, due) => /^[a-z]\d /.test(said) && said.slice(3) === due.slice(3), proof: isSame }),
    /message 2 comes changed, "a3 OK prove that/
  ],
  [
    "compares the digits of a proof in whatever case they are",
    tagged({
      answer: isSame,
      proof: (said, due) => said.slice(0, 16) === due.slice(0, 16) && said.slice(16).toLowerCase() === due.slice(16)
    }),
    /message 3 comes changed, "a3 PROVE sha256=9F86D081/
  ]
])("with 30 runs law 5 sees who %s", async (_, sides, says) => {
  const suite = Laws.handshake({ ...sides, name: "tagged", rungs: [Rung.pure], runs: 30, seed: 1 })
  expect((await Effect.runPromise(Effect.flip(suite.laws[4].check))).message).toMatch(says)
})

/** A login in JSON whose signature is of all members, or of all but one; as a frame with a schema, or as a text. */
const signed = (isTyped: boolean, uncovered?: "guest" | "level" | "permissions") => {
  const Login = Schema.fromJsonString(Schema.Struct({
    user: Schema.String,
    permissions: Schema.Array(Schema.Literals(["read", "write", "admin"])),
    guest: Schema.Boolean,
    level: Schema.Int,
    signature: Schema.String
  }))
  type Login = typeof Login.Type
  const signatureOf = (login: Omit<Login, "signature">) => {
    const { guest, level, permissions, user } = login
    const covered = Object.entries({ user, permissions, guest, level }).filter(([name]) => name !== uncovered)
    return createHmac("sha256", password).update(JSON.stringify(covered)).digest("hex")
  }
  const known = { user: "ann", permissions: ["read", "write"], guest: false, level: 3 } as const
  const login: Login = { ...known, signature: signatureOf(known) }
  const denied = new HandshakeError.AuthenticationFailed({ method: "signature", detail: "wrong", fault: "peer" })
  const lines = Transport.framed(Codec.lines())
  const logins = Transport.framed(Codec.schema(Codec.lines(), Login))
  const check = (login: Login) => signatureOf(login) === login.signature ? Effect.void : Effect.fail(denied)
  return isTyped
    ? { server: logins.pipe(Handshake.verify("login", check)), client: logins.pipe(Handshake.send(login)) }
    : {
      server: lines.pipe(
        Handshake.verify(
          "login",
          (line) => Effect.mapError(Effect.flatMap(Schema.decodeEffect(Login)(line), check), () => denied)
        )
      ),
      client: lines.pipe(Handshake.send(JSON.stringify(login)))
    }
}
const lawFiveOf = (sides: Omit<Laws.HandshakeOptions<any, any>, "name">) =>
  Laws.handshake({ ...sides, name: "signed", rungs: [Rung.pure], runs: 50, seed: 1 }).laws[4].check

it.each([["frames", true], ["texts", false]])(
  "JSON as %s whose signature is of all of it holds law 5",
  async (_, isTyped) => {
    await Effect.runPromise(lawFiveOf(signed(isTyped)))
  }
)

it.each(
  ([["permissions", /element left out/], ["guest", /guest: the opposite/], [
    "level",
    /level: one|with another end/
  ]] as const)
    .flatMap(([member, says]) => [[member, "frames", true, says], [member, "texts", false, says]] as const)
)("law 5 sees that a signature is not of %s, in JSON as %s", async (member, _, isTyped, says) => {
  const violation = await Effect.runPromise(Effect.flip(lawFiveOf(signed(isTyped, member))))
  expect(violation.message).toMatch(says)
})

it("law 1 sees with one run who takes for a message whatever has come", async () => {
  const denied = new HandshakeError.InvalidGreeting({ expected: "HELLO", received: "another line" })
  const server = Transport.framed(Codec.bytes).pipe(
    Handshake.verify(
      "greeting",
      (said) => new TextDecoder().decode(said) === "HELLO\n" ? Effect.void : Effect.fail(denied)
    )
  )
  const client = Transport.framed(Codec.lines()).pipe(Handshake.send("HELLO"))
  for (const seed of [1, 2, 3]) {
    const suite = Laws.handshake({ name: "impatient", server, client, rungs: [Rung.pure], runs: 1, seed })
    expect(await Effect.runPromise(Effect.flip(suite.laws[0].check))).toMatchObject({ law: 1 })
  }
})

/** Messages of bytes with their lengths in front: a number with a mark, which is answered with the number, and a word. */
const numbered = (options: {
  readonly lookUp?: Effect.Effect<void>
}) => {
  const packets = Transport.framed(Codec.lengthPrefixed({ bytes: 2, maxLength: 64 }))
  const invalid = new HandshakeError.InvalidGreeting({ expected: "what is due", received: "something else" })
  const isNumber = (packet: Uint8Array) => packet.length === 3 && packet[0] === 1
  const isWord = (packet: Uint8Array) => packet.length === 5 && Buffer.from(packet).toString() === "apple"
  const decide = <A>(isRight: boolean, value: A) => isRight ? Effect.succeed(value) : Effect.fail(invalid)
  const server = Effect.gen(function*() {
    const transport = yield* packets
    const number = yield* Handshake.receive(transport, "number", (said) => decide(isNumber(said), said))
    yield* Handshake.send(transport, number.subarray(0, 2), { name: "answer" })
    if (options.lookUp !== undefined) yield* options.lookUp
    yield* Handshake.receive(transport, "word", (said) => decide(isWord(said), said))
    return yield* Handshake.send(transport, Buffer.from("OK"), { name: "welcome" })
  }).pipe(Handshake.named("numbered"))
  const clientWith = (word: string | undefined) => {
    const first = packets.pipe(
      Handshake.send(Uint8Array.of(1, 7, 9), { name: "number" }),
      Handshake.expect(Uint8Array.of(1, 7), { name: "answer" })
    )
    return (word === undefined ? first : first.pipe(Handshake.send(Buffer.from(word), { name: "word" }))).pipe(
      Handshake.expect(Buffer.from("OK"), { name: "welcome" }),
      Handshake.named("numbered")
    )
  }
  return { server, client: clientWith("apple"), clientWith }
}

it("what an impostor says too early is held of a server only where its steps know of it", async () => {
  const lines = Transport.framed(Codec.lines())
  const denied = new HandshakeError.AuthenticationFailed({ method: "password", detail: "wrong", fault: "peer" })
  const server = Effect.gen(function*() {
    const transport = yield* lines
    yield* Handshake.expect(transport, "HELLO")
    const decide = (line: string) => line === password ? Effect.void : Effect.fail(denied)
    yield* Handshake.receive(transport, "password", decide, { secret: true })
    return yield* Handshake.send(transport, "OK")
  }).pipe(Handshake.named("early"))
  const hasty = lines.pipe(Handshake.send(password, { name: "password", secret: true }), Handshake.expect("OK"))
  const client = lines.pipe(
    Handshake.send("HELLO"),
    Handshake.send(password, { name: "password", secret: true }),
    Handshake.expect("OK")
  )
  const suite = Laws.handshake({
    name: "early",
    server,
    client,
    secrets: [password],
    impostors: { client: [hasty] },
    rungs: [Rung.pure],
    runs: 5,
    seed: 1
  })
  await Effect.runPromise(suite.laws[8].check)
})

/** What may be said to the server in the place of its number. */
const isAnyNumber = ({ index, said, side }: Laws.WrongTurn): boolean =>
  side === "server" && index === 0 && said.length === 5 && said[0] === 0 && said[1] === 3 && said[2] === 1

it("a side that takes some time of its own sees the end of the connection when it listens again", async () => {
  const { client, server } = numbered({ lookUp: Effect.sleep("20 millis") })
  const suite = Laws.handshake({ name: "slow", server, client, rungs: [Rung.pure], runs: 5, seed: 1 })
  await Effect.runPromise(suite.laws[2].check)
})

it("how a side fails with what `accepts` allows is nobody's business: its peer may not want it", async () => {
  const { client, server } = numbered({})
  const suite = Laws.handshake({
    name: "numbered",
    server,
    client,
    // Any number will do for the server, and its client wants its own back.
    accepts: isAnyNumber,
    failure: ({ said }) =>
      said[0] === 0 && said[1] === said.length - 2 ? { reason: "InvalidGreeting", fault: "peer" } : undefined,
    rungs: [Rung.pure],
    runs: 20,
    seed: 1
  })
  await Effect.runPromise(suite.laws[4].check)
})

it("who is silent to an impostor that has only left need not see to it that all it has said before is heard", async () => {
  const { client, clientWith, server } = numbered({})
  const suite = Laws.handshake({
    name: "numbered",
    server,
    client,
    refusal: { server: () => undefined },
    impostors: { client: [clientWith(undefined)] },
    rungs: [Rung.simulated()],
    runs: 5,
    seed: 1
  })
  await Effect.runPromise(suite.laws[10].check)
})

it("what stands behind a message that nothing ends is another one, and is no change of the first", async () => {
  const { client, server } = numbered({})
  const suite = Laws.handshake({
    name: "numbered",
    server,
    client,
    accepts: isAnyNumber,
    refusal: { server: () => undefined },
    rungs: [Rung.pure],
    runs: 5,
    seed: 1
  })
  await Effect.runPromise(suite.laws[10].check)
})

it("who takes what was said on another connection by chance is told so, and not that bytes were cut", async () => {
  const prove = (nonce: string) => createHmac("sha256", password).update(nonce).digest("hex")
  const lines = Transport.framed(Codec.lines())
  const denied = new HandshakeError.AuthenticationFailed({ method: "proof", detail: "wrong", fault: "peer" })
  let drawn = 0
  const server = Effect.suspend(() => {
    // One of sixteen, as chance has it.
    const nonce = String(createHmac("sha256", "chance1").update(String(drawn++)).digest()[0] % 16)
    return lines.pipe(
      Handshake.send(nonce),
      Handshake.verify("proof", (proof) => proof === prove(nonce) ? Effect.void : Effect.fail(denied)),
      Handshake.send("OK")
    )
  }).pipe(Handshake.named("die"))
  const client = Effect.gen(function*() {
    const transport = yield* lines
    const nonce = yield* transport.receive
    return yield* Handshake.send(transport, prove(nonce), { name: "proof" }).pipe(Handshake.expect("OK"))
  }).pipe(Handshake.named("die"))
  const suite = Laws.handshake({
    name: "die",
    server,
    client,
    fresh: { server: true },
    rungs: [Rung.pure],
    runs: 200,
    seed: 1
  })
  const violation = await Effect.runPromise(Effect.flip(suite.laws[0].check))
  expect(violation).toMatchObject({ law: 10, expected: "it fails: what was fresh for the one is not for the other" })
})

it("each law has a broken handshake that only it has to catch", () => {
  const caught = new Set(broken.map(({ law }) => law))
  expect([...caught].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
})
