import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Socket } from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Conform from "../../src/internal/dialogue/conform.ts"
import * as Given from "../../src/internal/dialogue/given.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import * as Wire from "../../src/Wire.ts"

const wire = Wire.text(Codec.lines(), {
  Hello: "HELLO {user}",
  Menu: "MENU {items}",
  Key: "KEY {key}",
  Open: "OPEN",
  Shut: "SHUT {why}",
  Wrong: "WRONG"
})

class Gate extends Dialogue.make<Gate>()({
  name: "gate",
  messages: {
    Hello: { user: Dialogue.free(Schema.String) },
    Menu: { items: Dialogue.free(Schema.Int) },
    Key: { key: Schema.Redacted(Schema.String) },
    Open: {},
    Shut: { why: Dialogue.free(Schema.String) },
    Wrong: {}
  },
  wire,
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "menu" }),
    menu: Dialogue.server({ Menu: "key" }),
    key: Dialogue.client({ Key: "verdict" }),
    verdict: Dialogue.server({ Open: Dialogue.ready, Shut: Dialogue.refused() })
  },
  otherwise: { server: "Wrong" }
}) {}

const server = Gate.server((greeting) =>
  Effect.gen(function*() {
    const { then: menu } = yield* greeting.receive
    const { message, then: verdict } = yield* (yield* menu.say("Menu", { items: 1 })).receive
    return Redacted.value(message.key) === "sesame"
      ? yield* verdict.say("Open")
      : yield* verdict.refuse("Shut", { why: "a wrong key" })
  })
)

/** A server that was written without anybody's help: what it answers to each line, and whether it stays. */
const byHand = (answer: (line: string, count: number) => string | undefined) =>
  Effect.gen(function*() {
    const transport = yield* Transport.framed(Codec.lines())
    for (let count = 1;; count++) {
      const said = answer(yield* transport.receive, count)
      if (said === undefined) return
      yield* transport.send(said)
    }
  })

const given = Given.add(
  Given.none,
  "Key",
  Result.getOrThrow(Given.parse(Gate.dialogue, "Key", "key", "sesame"))
)

const conform = <A, E>(
  peer: Effect.Effect<A, E, Socket | Scope.Scope>,
  options: Partial<Conform.Options> = {},
  { dialogue }: Dialogue.Any = Gate
) =>
  Effect.gen(function*() {
    const { client, server } = yield* MemorySocket.network()
    yield* Effect.forkScoped(
      server.run((socket) => Effect.ignore(Effect.scoped(Effect.provideService(peer, Socket, socket))))
    )
    return yield* Conform.conform(dialogue, {
      runs: 40,
      given,
      within: "10 seconds",
      patience: "1 second",
      ...options
    }).pipe(Effect.provideService(Socket, client), Random.withSeed(1))
  })

const missed = ({ transitions }: Conform.Report) =>
  transitions.filter(({ times }) => times === 0).map(({ message, state }) => `${state}: ${message}`)

describe("a server that does what is specified", () => {
  it.effect("is seen to take each transition, and to refuse each message that is not due", () =>
    Effect.gen(function*() {
      const report = yield* conform(server)
      expect(report.failure).toBeUndefined()
      expect(missed(report)).toEqual([])
      expect(report.ready).toBeGreaterThan(0)
      // Five of six messages in each of the two states of the client.
      expect(report.undue).toEqual({ refused: 10, untried: 0 })
    }))

  it.effect("is not seen to let anybody in whose key nobody has", () =>
    Effect.gen(function*() {
      const report = yield* conform(server, { given: Given.none })
      expect(report.failure).toBeUndefined()
      expect(missed(report)).toEqual(["verdict: Open"])
      expect(report.ready).toBe(0)
    }))

  it.effect("has no more conversations than it was allowed to", () =>
    Effect.gen(function*() {
      const report = yield* conform(server, { runs: 1 })
      expect(report.conversations).toBe(1 + 10)
    }))

  it.effect("is talked to in the same way for the same seed", () =>
    Effect.gen(function*() {
      const lines = () => {
        const heard: Array<string> = []
        return Effect.as(
          conform(byHand((line) => {
            heard.push(line)
            return undefined
          })),
          heard
        )
      }
      expect(yield* lines()).toEqual(yield* lines())
    }))
})

describe("a server that does something else", () => {
  it.effect("is told from the first conversation in which it did", () =>
    Effect.gen(function*() {
      const { failure } = yield* conform(byHand((line) => line.startsWith("HELLO") ? "MENU many" : undefined))
      expect(failure).toMatchObject({
        conversation: 1,
        state: "menu",
        due: "Menu",
        undue: undefined,
        said: [{ state: "greeting", by: "client", message: "Hello" }]
      })
    }))

  it.effect("is found where it takes a message that is not due", () =>
    Effect.gen(function*() {
      const { failure } = yield* conform(
        byHand((line, count) => count === 1 ? "MENU 1" : line === "KEY sesame" ? "OPEN" : "SHUT never")
      )
      expect(failure).toMatchObject({
        state: "greeting",
        undue: { message: "Menu" },
        due: "a refusal, or the end of the connection",
        came: "\"MENU 1\""
      })
    }))

  it.effect("is found where it says nothing to a message that is not due", () =>
    Effect.gen(function*() {
      const silent = Effect.gen(function*() {
        const transport = yield* Transport.framed(Codec.lines())
        if (!(yield* transport.receive).startsWith("HELLO")) return yield* Effect.never
        yield* transport.send("MENU 1")
        yield* transport.send((yield* transport.receive) === "KEY sesame" ? "OPEN" : "SHUT no")
      })
      const report = yield* Effect.forkChild(conform(silent))
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(report)).failure).toMatchObject({ state: "greeting", came: "nothing within 1s" })
    }))

  it.effect("is found where it is silent", () =>
    Effect.gen(function*() {
      const report = yield* Effect.forkChild(conform(byHand(() => undefined).pipe(Effect.andThen(Effect.never))))
      yield* TestClock.adjust("10 seconds")
      expect((yield* Fiber.join(report)).failure).toMatchObject({ state: "menu", came: "nothing within 10s" })
    }))

  it.effect("may end the connection where nothing can be said to whom it does not want", () =>
    Effect.gen(function*() {
      class Mute extends Dialogue.make<Mute>()({
        name: "mute",
        messages: { Key: { key: Schema.String }, Open: {} },
        live: Codec.lines(),
        start: "key",
        states: { key: Dialogue.client({ Key: "verdict" }), verdict: Dialogue.server({ Open: Dialogue.ready }) }
      }) {}
      const closing = byHand(() => undefined)
      const guessed = yield* conform(closing, { given: Given.none }, Mute)
      expect(guessed.failure).toBeUndefined()
      const known = yield* conform(closing, { given: new Map([["Key", { key: "sesame" }]]) }, Mute)
      expect(known.failure).toMatchObject({ state: "verdict", came: "the end of the connection" })
    }))
})

describe("a value that is given", () => {
  const parse = (tag: string, field: string, written: unknown) => Given.parse(Gate.dialogue, tag, field, written)

  it("is read as the Schema of its field reads text", () => {
    expect(parse("Menu", "items", "5")).toEqual(Result.succeed({ items: 5 }))
  })

  it("is a secret where its field is one", () => {
    expect(String(Result.getOrThrow(parse("Key", "key", "sesame"))["key"])).toBe("<redacted>")
  })

  it("may be JSON", () => {
    expect(parse("Menu", "items", 5)).toEqual(Result.succeed({ items: 5 }))
  })

  it("is told what messages and what fields there are", () => {
    expect(parse("Login", "user", "ann")).toEqual(
      Result.fail("there is no message Login; there are Hello, Menu, Key, Open, Shut, Wrong")
    )
    expect(parse("Menu", "size", "5")).toEqual(Result.fail("Menu has no field size; it has items"))
    expect(parse("Open", "size", "5")).toEqual(Result.fail("Open has no fields"))
  })
})
