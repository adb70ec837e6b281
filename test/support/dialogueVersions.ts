/**
 * Pairs of versions of dialogues, and sides that say what a conversation has.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import { InvalidGreeting } from "../../src/HandshakeError.ts"
import * as Fields from "../../src/internal/dialogue/fields.ts"
import * as Run from "../../src/internal/dialogue/run.ts"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import type * as Transport from "../../src/Transport.ts"
import * as Wire from "../../src/Wire.ts"

export interface Pair {
  readonly older: Dialogue.Any
  readonly newer: Dialogue.Any
}

// ---------------------------------------------------------------------------------------------------------------------
// Versions
// ---------------------------------------------------------------------------------------------------------------------

const live = Codec.lines()
const denied = { why: Schema.String }
const otherwise = { server: { _tag: "Denied", why: "speak properly" } } as const
const { client, ready, refused, server } = Dialogue

const words = (hello: string) => Wire.text(Codec.lines(), { Hello: hello, Welcome: "WELCOME", Denied: "NO {why}" })

const layout = (hello: ReadonlyArray<Wire.PartLike>) =>
  Wire.bytes({ Hello: hello, Welcome: [2], Denied: [3, Wire.string("why", { prefix: 1 })] })

/** A greeting and a verdict. */
const greeting = (
  hello: Schema.Struct.Fields,
  wire: Wire.Wire<"Hello" | "Welcome" | "Denied">,
  limits?: Dialogue.Limits
): Dialogue.Any =>
  Dialogue.make()({
    name: "greeting",
    messages: { Hello: hello, Welcome: {}, Denied: denied },
    wire,
    live,
    start: "greeting",
    states: {
      greeting: client({ Hello: "verdict" }, limits),
      verdict: server({ Welcome: ready, Denied: refused() })
    },
    otherwise
  })

const version = { version: Schema.Int }
const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const asked = Wire.text(Codec.lines(), {
  Hello: "HELLO",
  Welcome: "WELCOME",
  Denied: "NO {why}",
  Caps: "CAPS",
  List: "LIST {names}"
})

/** The client may ask what the server can do. */
const asking = Dialogue.make()({
  name: "asking",
  messages: { Hello: {}, Welcome: {}, Denied: denied, Caps: {}, List: { names: Schema.String } },
  wire: asked,
  live,
  start: "greeting",
  states: {
    greeting: client({ Hello: "verdict", Caps: "list" }),
    list: server({ List: "greeting" }),
    verdict: server({ Welcome: ready, Denied: refused() })
  },
  otherwise
})

const atOnce = Dialogue.make()({
  name: "hellos",
  messages: { Hi: { name: Schema.NonEmptyString } },
  live,
  start: "hellos",
  states: { hellos: Dialogue.both({ Hi: ready }) }
})

const inTurn = Dialogue.make()({
  name: "hellos",
  messages: { Hi: { name: Schema.NonEmptyString } },
  live,
  start: "first",
  states: { first: client({ Hi: "second" }), second: server({ Hi: ready }) }
})

const clientFirst = Dialogue.make()({
  name: "first",
  messages: { Hello: {}, Banner: {} },
  live,
  start: "hello",
  states: { hello: client({ Hello: "banner" }), banner: server({ Banner: ready }) }
})

const serverFirst = Dialogue.make()({
  name: "first",
  messages: { Hello: {}, Banner: {} },
  live,
  start: "banner",
  states: { banner: server({ Banner: "hello" }), hello: client({ Hello: ready }) }
})

const brief = Dialogue.make()({
  name: "seen",
  messages: { Hello: {}, Welcome: {} },
  live,
  start: "greeting",
  states: { greeting: client({ Hello: "verdict" }), verdict: server({ Welcome: ready }) }
})

const seen = Dialogue.make()({
  name: "seen",
  messages: { Hello: {}, Welcome: {}, Seen: {} },
  live,
  start: "greeting",
  states: {
    greeting: client({ Hello: "verdict" }),
    verdict: server({ Welcome: "seen" }),
    seen: client({ Seen: ready })
  }
})

const idle = Dialogue.make()({
  name: "busy",
  messages: { Hello: {}, Welcome: {} },
  live,
  start: "greeting",
  states: { greeting: client({ Hello: "verdict" }), verdict: server({ Welcome: ready }) }
})

const busy = Dialogue.make()({
  name: "busy",
  messages: { Hello: {}, Welcome: {}, Busy: { seconds: Schema.Int } },
  live,
  start: "greeting",
  states: {
    greeting: client({ Hello: "verdict" }),
    verdict: server({ Welcome: ready, Busy: refused({ retryAfterField: "seconds" }) })
  }
})

/** Lines behind it that end in another way. */
const ending = (ending: string): Dialogue.Any =>
  Dialogue.make()({
    name: "ending",
    messages: { Hello: {} },
    live: Codec.lines({ ending }),
    start: "greeting",
    states: { greeting: client({ Hello: ready }) }
  })

/** The words of a greeting in one state, or in two. */
const twice = (isTwice: boolean): Dialogue.Any =>
  isTwice
    ? Dialogue.make()({
      name: "ends",
      messages: { Ping: {}, Done: {} },
      live,
      start: "start",
      states: { start: client({ Ping: "again", Done: ready }), again: client({ Ping: "start", Done: ready }) }
    })
    : Dialogue.make()({
      name: "ends",
      messages: { Ping: {}, Done: {} },
      live,
      start: "start",
      states: { start: client({ Ping: "start", Done: ready }) }
    })

export const compatible = {
  "a field is called otherwise in a text": {
    older: greeting(version, words("HELLO {version}")),
    newer: greeting({ revision: Schema.Int }, words("HELLO {revision}"))
  },
  "a number that is always the same is a constant": {
    older: greeting({ version: Schema.Literal(5) }, layout([Wire.uint("version", 1), 1])),
    newer: greeting({}, layout([5, 1]))
  },
  "there is less time, and there are fewer bytes": {
    older: greeting(version, Wire.json(), { within: "5 seconds", maxBytes: 100 }),
    newer: greeting(version, Wire.json(), { within: "2 seconds", maxBytes: 60 })
  },
  "both speak one after the other, and not at once": { older: atOnce, newer: inTurn },
  "a number is written as a text": {
    older: greeting({ version: Schema.Literals(["1", "2"]) }, words("HELLO {version}")),
    newer: greeting({ version: Schema.Literals([1, 2]) }, words("HELLO {version}"))
  },
  "a state is two": { older: twice(false), newer: twice(true) }
} satisfies Readonly<Record<string, Pair>>

export const incompatible = {
  "another word": {
    older: greeting(version, words("HELLO {version}")),
    newer: greeting(version, words("EHLO {version}"))
  },
  "a version less": {
    older: greeting({ version: between(1, 3) }, Wire.json()),
    newer: greeting({ version: between(2, 3) }, Wire.json())
  },
  "a member of JSON that may be left out": {
    older: greeting(version, Wire.json()),
    newer: greeting({ ...version, agent: Schema.optionalKey(Schema.String) }, Wire.json())
  },
  "another layout": {
    older: greeting({ port: between(0, 255) }, layout([1, Wire.uint("port", 1)])),
    newer: greeting({ port: between(0, 255) }, layout([1, Wire.uint("port", 2)]))
  },
  "a question that may be asked": { older: greeting({}, words("HELLO")), newer: asking },
  "the other side begins": { older: clientFirst, newer: serverFirst },
  "a last word more": { older: brief, newer: seen },
  "a new refusal": { older: idle, newer: busy },
  "other lines behind it": { older: ending("\n"), newer: ending("\r\n") }
} satisfies Readonly<Record<string, Pair>>

// ---------------------------------------------------------------------------------------------------------------------
// Sides
// ---------------------------------------------------------------------------------------------------------------------

/** What a side has come to: `refusing` has said no itself. */
export type End = "ready" | "refused" | "refusing" | "confused" | "waiting"

/** What a side says next: a message and its fields as JSON; undefined where it does not care. */
export type Next = (
  due: ReadonlyArray<string>
) => { readonly message: string; readonly fields: Readonly<Record<string, unknown>> | undefined } | undefined

/** Both sides understand each other behind it, too. */
const behind = Effect.fnUntraced(function*(transport: Transport.Transport<string, string>, role: Dialogue.Role) {
  if (role === "client") yield* transport.send("behind")
  const heard = yield* transport.receive
  if (role === "server") yield* transport.send("behind")
  if (heard !== "behind") {
    return yield* new InvalidGreeting({ expected: "behind", received: heard })
  }
})

/** A side that says what it is told, as long as its own version allows that, and whatever else may be said. */
const play = (dialogue: Dialogue.Any, role: Dialogue.Role, next: Next) => {
  const spec = dialogue.dialogue
  const { states, wire } = Dialogue.snapshot(dialogue)
  const talk = (first: Run.Place) =>
    Effect.gen(function*() {
      let place = first
      for (;;) {
        if (place instanceof Run.Listening) {
          place = (yield* place.receive).then
          continue
        }
        if (!(place instanceof Run.Speaking || place instanceof Run.Exchanging)) {
          return yield* behind(place as Transport.Transport<string, string>, role)
        }
        // Where it is, it knows as a side of the library does not tell.
        const { state } = place as unknown as {
          readonly state: { readonly name: string; readonly due: ReadonlyArray<string> }
        }
        const told = next(state.due)
        const message = told?.message ?? state.due[0]!
        const fields = told?.fields ?? (states[state.name]!.wire ?? wire).messages[message]!.examples[0]!.fields
        const shape = spec.source.messages[message]!
        const values = Result.getOrThrow(Fields.make(shape, "json").decode(fields))
        if ("refused" in states[state.name]!.says[message]!) return yield* place.refuse(message, values)
        place = place instanceof Run.Speaking
          ? yield* place.say(message, values)
          : (yield* place.exchange(message, values)).then
      }
    })
  // What a place is typed as, only a dialogue of its own knows.
  return Run.talk(spec, role, (first: never) => talk(first))
}

const long = "1 hour"

const endOf = (side: ReturnType<typeof play>, socket: Socket.Socket): Effect.Effect<End> =>
  Effect.scoped(Effect.provideService(side, Socket.Socket, socket)).pipe(
    Effect.matchEager({
      onSuccess: (): End => "ready",
      onFailure: ({ reason }): End =>
        reason._tag !== "Rejected" ? "confused" : reason.by === "peer" ? "refused" : "refusing"
    }),
    Effect.timeoutOption(long),
    Effect.map(Option.getOrElse((): End => "waiting"))
  )

/** What both come to. */
export const meet = Effect.fnUntraced(function*(
  sides: { readonly client: Dialogue.Any; readonly server: Dialogue.Any },
  next: { readonly client: Next; readonly server: Next }
) {
  const [here, there] = yield* MemorySocket.pair()
  const client = yield* Effect.forkChild(endOf(play(sides.client, "client", next.client), here))
  const server = yield* Effect.forkChild(endOf(play(sides.server, "server", next.server), there))
  yield* TestClock.adjust(long)
  return { client: yield* Fiber.join(client), server: yield* Fiber.join(server) }
})
