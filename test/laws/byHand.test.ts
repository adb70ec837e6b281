/**
 * The laws of a handshake that is written by hand, as docs/handshakes.md writes it: what its steps answer, and in what time.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Transport from "../../src/Transport.ts"
import { outcomeOf, utf8 } from "../support/conversation.ts"
import * as Law from "../support/laws.ts"

const server = Effect.gen(function*() {
  const transport = yield* Transport.framed(Codec.lines({ maxLength: 64 }))
  yield* Handshake.receive(transport, "greeting", (line) =>
    line === "You ready?"
      ? Effect.succeed(line)
      : Effect.fail(
        new HandshakeError.InvalidGreeting({ expected: "You ready?", received: Transport.show(transport, line) })
      ), { orReply: "No! Go away!" })
  yield* transport.send("Bring it!")
  return transport
}).pipe(Handshake.deadline("5 seconds"), Handshake.named("line"))

const client = Transport.framed(Codec.lines({ maxLength: 64 })).pipe(
  Handshake.send("You ready?"),
  Handshake.expect("Bring it!", { rejections: ["No! Go away!"] }),
  Handshake.deadline("5 seconds"),
  Handshake.named("line")
)

Laws.handshake({
  name: "line by hand",
  server,
  client,
  deadline: "5 seconds",
  refusal: { server: "No! Go away!\n" },
  rungs: [Rung.pure, Rung.memory, Rung.fast(Rung.pure)],
  it: Law.it
})

const refused: Record<string, readonly [said: Uint8Array, tag: string]> = {
  "another line": [utf8("Hi there\n"), "InvalidGreeting"],
  "no text": [Uint8Array.of(0xff, 0xfe, 10), "MalformedFrame"],
  "a line without end": [utf8("x".repeat(65)), "FrameTooLarge"],
  "a line that is cut": [utf8("You re"), "UnexpectedEnd"]
}
for (const [what, [said, tag]] of Object.entries(refused)) {
  it.effect(`a greeting that is ${what} is answered, and fails at its step`, () =>
    Effect.gen(function*() {
      const outcome = yield* outcomeOf(server, said)
      expect(outcome.result).toMatchObject({ step: "greeting", reason: { _tag: tag } })
      expect(outcome.heard).toBe("No! Go away!\n")
    }))
}

it.effect("a peer that leaves without a word is answered nothing", () =>
  Effect.gen(function*() {
    const outcome = yield* outcomeOf(server, utf8(""))
    expect(outcome.result).toMatchObject({ step: "greeting", reason: { _tag: "UnexpectedEnd" } })
    expect(outcome.heard).toBe("")
  }))

it.effect("a secret that is refused shows nowhere", () =>
  Effect.gen(function*() {
    const transport = Transport.framed(Codec.lines())
    const asking = Effect.flatMap(
      transport,
      Handshake.receive("password", (line, transport) =>
        Effect.fail(
          new HandshakeError.InvalidGreeting({ expected: "the password", received: Transport.show(transport, line) })
        ), { secret: true })
    )
    const outcome = yield* outcomeOf(asking as typeof server, utf8("hunter2\n"))
    expect(JSON.stringify(outcome.result)).not.toContain("hunter2")
    expect(outcome.result).toMatchObject({ reason: { received: "<redacted>" } })
  }))
