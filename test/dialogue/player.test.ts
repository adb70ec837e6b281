import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { Socket } from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Player from "../../src/internal/dialogue/player.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import * as Transport from "../../src/Transport.ts"
import * as Wire from "../../src/Wire.ts"

class Gate extends Dialogue.make<Gate>()({
  name: "gate",
  messages: {
    Hello: { user: Dialogue.free(Schema.String) },
    Menu: { items: Schema.Int },
    More: {},
    Key: { key: Schema.Redacted(Schema.String) },
    Open: {},
    Shut: { why: Schema.String },
    Wrong: {}
  },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO {user}",
    Menu: "MENU {items}",
    More: "MORE",
    Key: "KEY {key}",
    Open: "OPEN",
    Shut: "SHUT {why}",
    Wrong: "WRONG"
  }),
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "menu" }),
    menu: Dialogue.server({ Menu: "choice", Shut: Dialogue.refused() }, { atMost: 2 }),
    choice: Dialogue.client({ More: "menu", Key: "verdict" }),
    verdict: Dialogue.server({ Open: Dialogue.ready, Shut: Dialogue.refused() })
  },
  otherwise: { server: "Wrong" }
}) {}

class Peers extends Dialogue.make<Peers>()({
  name: "peers",
  messages: { Hello: { id: Schema.Int }, Busy: {} },
  live: Codec.lines(),
  start: "hello",
  states: { hello: Dialogue.both({ Hello: Dialogue.ready, Busy: Dialogue.refused() }) }
}) {}

const server = Gate.server((greeting) =>
  Effect.gen(function*() {
    const { then: menu } = yield* greeting.receive
    let choice = yield* (yield* menu.say("Menu", { items: 1 })).receive
    if (choice._tag === "More") choice = yield* (yield* choice.then.say("Menu", { items: 2 })).receive
    if (choice._tag === "More") return yield* Effect.die("twice is enough")
    return Redacted.value(choice.message.key) === "sesame"
      ? yield* choice.then.say("Open")
      : yield* choice.then.refuse("Shut", { why: "a wrong key" })
  })
)

/** Says these, one after the other, and what comes then is up to nobody. */
const saying = (...moves: ReadonlyArray<Player.Move>): Player.Choose => {
  const left = [...moves]
  return () => Effect.succeed(left.shift() ?? Player.stop("nothing left to say"))
}

const key = (text: string) => Player.say("Key", { key: Redacted.make(text) })

const hello = Player.say("Hello", { user: "ann" })

/** Plays a client of a dialogue against this. */
const against = <A, E>(
  peer: Effect.Effect<A, E, Socket | Scope.Scope>,
  choose: Player.Choose,
  { dialogue }: Dialogue.Any = Gate
) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    yield* Effect.forkScoped(Effect.scoped(Effect.provideService(peer, Socket, there)))
    return yield* Effect.provideService(Player.play(dialogue, "client", choose), Socket, here)
  }))

/** Plays both sides of a dialogue. */
const eachOther = (
  client: ReadonlyArray<Player.Move>,
  server: ReadonlyArray<Player.Move>,
  { dialogue }: Dialogue.Any = Gate
) =>
  Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const play = (role: Dialogue.Role, moves: ReadonlyArray<Player.Move>, socket: Socket) =>
      Effect.scoped(Effect.provideService(Player.play(dialogue, role, saying(...moves)), Socket, socket))
    return yield* Effect.all([play("client", client, here), play("server", server, there)], { concurrency: 2 })
  })

/** A peer that answers each line with the next of these, and stays. */
const answering = (...answers: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const transport = yield* Transport.framed(Codec.lines())
    for (const answer of answers) {
      yield* transport.receive
      yield* transport.send(answer)
    }
    return yield* Effect.never
  })

const wrong = (text: string) => Player.wrong(new TextEncoder().encode(text))

describe("a player", () => {
  it.effect("plays a client to the end, and tells each message without its secrets", () =>
    Effect.gen(function*() {
      const { ending, taken } = yield* against(server, saying(hello, Player.say("More"), key("sesame")))
      expect(ending._tag).toBe("Ready")
      expect(taken).toEqual([
        { state: "greeting", by: "client", message: "Hello", fields: { user: "ann" }, to: "menu" },
        { state: "menu", by: "server", message: "Menu", fields: { items: 1 }, to: "choice" },
        { state: "choice", by: "client", message: "More", fields: {}, to: "menu" },
        { state: "menu", by: "server", message: "Menu", fields: { items: 2 }, to: "choice" },
        { state: "choice", by: "client", message: "Key", fields: { key: "<redacted>" }, to: "verdict" },
        { state: "verdict", by: "server", message: "Open", fields: {}, to: "ready" }
      ])
    }))

  it.effect("plays a server against a client, and the two agree on what was said", () =>
    Effect.gen(function*() {
      const [client, server] = yield* eachOther(
        [hello, key("any")],
        [Player.say("Menu", { items: 3 }), Player.say("Open")]
      )
      expect([client.ending._tag, server.ending._tag]).toEqual(["Ready", "Ready"])
      expect(server.taken).toEqual(client.taken)
    }))

  it.effect("chooses among what does not lead to a state too often", () =>
    Effect.gen(function*() {
      const options: Array<ReadonlyArray<string>> = []
      const choose: Player.Choose = ({ options: may, state }) => {
        options.push(may)
        return Effect.succeed(
          state.name === "greeting" ? hello : may.includes("More") ? Player.say("More") : key("sesame")
        )
      }
      yield* against(server, choose)
      expect(options).toEqual([["Hello"], ["More", "Key"], ["Key"]])
    }))

  it.effect("tells who has refused, with which message", () =>
    Effect.gen(function*() {
      const { ending, taken } = yield* against(server, saying(hello, key("wrong")))
      expect(ending).toMatchObject({
        _tag: "Refused",
        by: "server",
        state: "verdict",
        message: "Shut",
        otherwise: false
      })
      expect(taken.at(-1)).toMatchObject({ message: "Shut", fields: { why: "a wrong key" }, to: "refused" })
    }))

  it.effect("knows what is said otherwise from a message of the state", () =>
    Effect.gen(function*() {
      const { ending, taken } = yield* against(answering("WRONG"), saying(hello))
      expect(ending).toMatchObject({ _tag: "Refused", by: "server", state: "menu", message: "Wrong", otherwise: true })
      expect(taken).toHaveLength(1)
    }))

  it.effect("refuses, and the other side hears it", () =>
    Effect.gen(function*() {
      const [client, server] = yield* eachOther([hello], [Player.say("Shut", { why: "late" })])
      expect(client.ending).toMatchObject({ _tag: "Refused", by: "server", message: "Shut" })
      expect(server.ending).toMatchObject({ _tag: "Refused", by: "server", message: "Shut" })
      expect(server.taken).toEqual(client.taken)
    }))

  it.effect("tells what came where something else was due", () =>
    Effect.gen(function*() {
      const { ending } = yield* against(answering("OPEN"), saying(hello))
      expect(ending).toMatchObject({ _tag: "Broken", state: "menu", due: "Menu or Shut", came: "\"OPEN\"" })
    }))

  it.effect("does not tell what it has said in confidence, where the other side repeats it", () =>
    Effect.gen(function*() {
      const { ending } = yield* against(answering("MENU 1", "not sesame"), saying(hello, key("sesame")))
      expect(ending).toMatchObject({ _tag: "Broken", came: "<redacted>" })
      const other = yield* against(answering("MENU 1", "not sesame"), saying(hello, key("tahini")))
      expect(other.ending).toMatchObject({ _tag: "Broken", came: "\"not sesame\"" })
    }))

  it.effect("tells the end of the connection where a message was due", () =>
    Effect.gen(function*() {
      const hangingUp = Effect.flatMap(Transport.framed(Codec.lines()), ({ receive }) => receive)
      const { ending } = yield* against(hangingUp, saying(hello))
      expect(ending).toMatchObject({ _tag: "Broken", state: "menu", came: "the end of the connection" })
    }))

  it.effect("says nothing that the wire cannot carry, and tells why", () =>
    Effect.gen(function*() {
      const { ending } = yield* against(answering(), saying(Player.say("Hello", { user: 5 })))
      expect(ending).toMatchObject({
        _tag: "Stopped",
        state: "greeting",
        why: expect.stringMatching(/^Hello cannot be said: /)
      })
    }))

  it.effect("says nothing that is not due", () =>
    Effect.gen(function*() {
      const { ending } = yield* against(answering(), saying(Player.say("Open")))
      expect(ending).toMatchObject({ _tag: "Stopped", why: "Open cannot be said: it is not due; Hello is" })
    }))

  it.effect("says and hears where both sides speak", () =>
    Effect.gen(function*() {
      const played = yield* eachOther([Player.say("Hello", { id: 1 })], [Player.say("Hello", { id: 2 })], Peers)
      for (const { ending } of played) expect(ending._tag).toBe("Ready")
      expect(played[0].taken.map(({ by, fields }) => [by, fields])).toEqual([
        ["client", { id: 1 }],
        ["server", { id: 2 }]
      ])
    }))
})

describe("a player that says what is wrong", () => {
  it.effect("hears what is said otherwise", () =>
    Effect.gen(function*() {
      const { ending } = yield* against(server, saying(hello, wrong("OPEN\n")))
      expect(ending).toMatchObject({
        _tag: "Refused",
        by: "server",
        state: "choice",
        message: "Wrong",
        otherwise: true
      })
    }))

  it.effect("takes the end of the connection for a refusal", () =>
    Effect.gen(function*() {
      const hangingUp = Effect.flatMap(Transport.framed(Codec.lines()), ({ receive }) => receive)
      const { ending } = yield* against(hangingUp, saying(wrong("OPEN\n")))
      expect(ending).toMatchObject({ _tag: "Refused", by: "server", message: undefined })
    }))

  it.effect("tells when the other side goes on", () =>
    Effect.gen(function*() {
      const { ending } = yield* against(answering("MENU 1"), saying(wrong("OPEN\n")))
      expect(ending).toMatchObject({
        _tag: "Broken",
        state: "greeting",
        due: "a refusal, or the end of the connection",
        came: "\"MENU 1\""
      })
    }))

  it.effect("waits no longer than its patience for the other side to say so", () =>
    Effect.gen(function*() {
      const played = yield* Effect.forkChild(against(answering(), saying(wrong("OPEN\n"))))
      yield* TestClock.adjust("4999 millis")
      expect(played.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      const { ending } = yield* Fiber.join(played)
      expect(ending).toMatchObject({ _tag: "Broken", came: "nothing within 5s" })
    }))

  it.effect("lets the other side have said its own before, where both sides speak", () =>
    Effect.gen(function*() {
      const early = (hello: string) =>
        Effect.gen(function*() {
          const transport = yield* Transport.framed(Codec.lines())
          yield* transport.send(hello)
          yield* transport.receive
          return yield* transport.send(hello)
        })
      const own = early("{\"_tag\":\"Hello\",\"id\":1}")
      // What comes behind it is one too many.
      expect((yield* against(own, saying(wrong("no\n")), Peers)).ending).toMatchObject({ _tag: "Broken" })
      const refusing = early("{\"_tag\":\"Busy\"}")
      expect((yield* against(refusing, saying(wrong("no\n")), Peers)).ending).toMatchObject({
        _tag: "Refused",
        message: "Busy"
      })
      const ending = Effect.flatMap(Transport.framed(Codec.lines()), (transport) =>
        Effect.andThen(transport.send("{\"_tag\":\"Hello\",\"id\":1}"), transport.receive))
      expect((yield* against(ending, saying(wrong("no\n")), Peers)).ending).toMatchObject({
        _tag: "Refused",
        message: undefined
      })
    }))

  it.effect("is not content with words that are no message, where the connection stays", () =>
    Effect.gen(function*() {
      const played = yield* Effect.forkChild(against(answering("eh?"), saying(wrong("OPEN\n")), Peers))
      yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(played)).ending).toMatchObject({ _tag: "Broken", came: "\"eh?\"" })
    }))
})
