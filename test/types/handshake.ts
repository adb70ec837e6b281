/**
 * What the steps do to the error, the requirements and the frames of a handshake.
 */
// Nothing here runs, and much of it must not compile.
// @effect-diagnostics floatingEffect:off missingEffectError:off
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as Handshake from "../../src/Handshake.ts"
import * as HandshakeError from "../../src/HandshakeError.ts"
import * as Transport from "../../src/Transport.ts"
import type { TransportError } from "../../src/TransportError.ts"
import { same } from "./same.ts"

class NotOurs extends Data.TaggedError("NotOurs")<{ readonly why: string }> {}
class Database
  extends Context.Service<Database, { readonly knows: (name: string) => Effect.Effect<boolean, NotOurs> }>()(
    "test/Database"
  )
{}

type Lines = Transport.Transport<string, string>
type Needs = Socket.Socket | Scope.Scope
type Err = HandshakeError.HandshakeError

const lines = Transport.framed(Codec.lines())
same<typeof lines, Effect.Effect<Lines, TransportError, Needs>>()

/** A beginning with an error and a requirement of its own. */
declare const begun: Effect.Effect<Lines, TransportError | NotOurs, Needs | Database>
declare const transport: Lines

// Receives numbers and sends texts, so that the two are never mixed up.
declare const mixed: Effect.Effect<Transport.Transport<number, string>, TransportError, Needs>

const ask = (name: string) => Effect.flatMap(Database, (database) => database.knows(name))
const refuse = Effect.fail(new HandshakeError.UnsupportedVersion({ offered: "1", supported: ["2"] }))

// --- expect ----------------------------------------------------------------------------------------------------------

const expected = lines.pipe(Handshake.expect("a", { orReply: "b", rejections: ["c"], retryable: true, name: "d" }))
same<typeof expected, Effect.Effect<Lines, Err, Needs>>()

const expectedFirst = Handshake.expect(lines, "a", { orReply: "b", rejections: ["c"] })
same<typeof expectedFirst, Effect.Effect<Lines, Err, Needs>>()

const expectedPassing = begun.pipe(Handshake.expect("a"))
same<typeof expectedPassing, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const expectedPassingFirst = Handshake.expect(begun, "a")
same<typeof expectedPassingFirst, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const expectedByHand = Handshake.expect(transport, "a")
same<typeof expectedByHand, Effect.Effect<Lines, Err>>()

mixed.pipe(Handshake.expect(1, { orReply: "no", rejections: [2] }))
Handshake.expect(mixed, 1, { orReply: "no", rejections: [2] })

// @ts-expect-error: a number is no line
lines.pipe(Handshake.expect(1))
// @ts-expect-error: a number is no line
Handshake.expect(lines, 1)
// @ts-expect-error: a number is no line
Handshake.expect(transport, 1)
// @ts-expect-error: what is expected is what is received
mixed.pipe(Handshake.expect("a"))
// @ts-expect-error: what is expected is what is received
Handshake.expect(mixed, "a")
// @ts-expect-error: the reply is what is sent
mixed.pipe(Handshake.expect(1, { orReply: 2 }))
// @ts-expect-error: the reply is what is sent
Handshake.expect(mixed, 1, { orReply: 2 })
// @ts-expect-error: a rejection is what is received
mixed.pipe(Handshake.expect(1, { rejections: ["no"] }))
// @ts-expect-error: a rejection is what is received
Handshake.expect(mixed, 1, { rejections: ["no"] })
// @ts-expect-error: there is no such option
lines.pipe(Handshake.expect("a", { reply: "b" }))

// --- send ------------------------------------------------------------------------------------------------------------

const sent = lines.pipe(Handshake.send("a", { name: "b", secret: true }))
same<typeof sent, Effect.Effect<Lines, Err, Needs>>()

const sentFirst = Handshake.send(lines, "a", { name: "b" })
same<typeof sentFirst, Effect.Effect<Lines, Err, Needs>>()

const sentPassing = begun.pipe(Handshake.send("a"))
same<typeof sentPassing, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const sentPassingFirst = Handshake.send(begun, "a")
same<typeof sentPassingFirst, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const sentByHand = Handshake.send(transport, "a")
same<typeof sentByHand, Effect.Effect<Lines, Err>>()

// @ts-expect-error: a number is no line
lines.pipe(Handshake.send(1))
// @ts-expect-error: a number is no line
Handshake.send(lines, 1)
// @ts-expect-error: a number is no line
Handshake.send(transport, 1)
// @ts-expect-error: what is received is not what is sent
mixed.pipe(Handshake.send(1))
// @ts-expect-error: what is received is not what is sent
Handshake.send(mixed, 1)

// --- verify ----------------------------------------------------------------------------------------------------------

const verified = lines.pipe(
  Handshake.verify("name", (frame, transport) => {
    same<typeof frame, string>()
    same<typeof transport, Lines>()
    return ask(frame)
  }, { orReply: "no" })
)
same<typeof verified, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const verifiedFirst = Handshake.verify(lines, "name", (frame, transport) => {
  same<typeof frame, string>()
  same<typeof transport, Lines>()
  return ask(frame)
}, { orReply: "no" })
same<typeof verifiedFirst, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const verifiedByHand = Handshake.verify(transport, "name", (frame) => ask(frame))
same<typeof verifiedByHand, Effect.Effect<Lines, Err | NotOurs, Database>>()

// A reason becomes the error's reason, and a failure of the transport its translation.
const refused = lines.pipe(
  Handshake.verify("version", (_, transport) => Effect.andThen(transport.send("no"), refuse))
)
same<typeof refused, Effect.Effect<Lines, Err, Needs>>()

const refusedFirst = Handshake.verify(lines, "version", (_, transport) => Effect.andThen(transport.send("no"), refuse))
same<typeof refusedFirst, Effect.Effect<Lines, Err, Needs>>()

const refusedOrNot = lines.pipe(Handshake.verify("version", (frame) => frame === "2" ? Effect.void : refuse))
same<typeof refusedOrNot, Effect.Effect<Lines, Err, Needs>>()

lines.pipe(Handshake.verify((transport) => Transport.show(transport, "a"), () => Effect.void))

// @ts-expect-error: the reply is what is sent
mixed.pipe(Handshake.verify("name", () => Effect.void, { orReply: 1 }))
// @ts-expect-error: the reply is what is sent
Handshake.verify(mixed, "name", () => Effect.void, { orReply: 1 })
// @ts-expect-error: a number has no such method
mixed.pipe(Handshake.verify("name", (frame) => Effect.succeed(frame.toUpperCase())))
// @ts-expect-error: the decision is an Effect
lines.pipe(Handshake.verify("name", (frame) => frame === "a"))

// Several reasons, each of its own type
const severalReasons = Handshake.verify(lines, "version", (line) =>
  line === "2"
    ? Effect.void
    : line === ""
    ? Effect.fail(new HandshakeError.InvalidGreeting({ expected: "2", received: "nothing" }))
    : refuse)
same<typeof severalReasons, Effect.Effect<Lines, Err, Needs>>()

// A codec that only receives
const oneWay = Transport.framed(
  Codec.make<string, never>({ decoder: () => ({ decode: () => undefined }), encode() {} })
)
const verifiedOneWay = oneWay.pipe(Handshake.verify("x", () => Effect.void), Handshake.named("one way"))
same<typeof verifiedOneWay, Effect.Effect<Transport.Transport<string, never>, Err, Needs>>()
const expectedOneWay = Handshake.expect(oneWay, "x")
same<typeof expectedOneWay, Effect.Effect<Transport.Transport<string, never>, Err, Needs>>()
// @ts-expect-error: nothing can be answered
Handshake.expect(oneWay, "x", { orReply: "no" })

// --- receive ---------------------------------------------------------------------------------------------------------

const receivedByHand = Handshake.receive(transport, "name", (frame, transport) => {
  same<typeof frame, string>()
  same<typeof transport, Lines>()
  return frame === "" ? refuse : Effect.as(ask(frame), frame.length)
}, { orReply: "no", secret: true })
same<typeof receivedByHand, Effect.Effect<number, Err | NotOurs, Database>>()

const receivedFrame = lines.pipe(Handshake.receive("name", (frame) => Effect.succeed({ frame })))
same<typeof receivedFrame, Effect.Effect<{ frame: string }, Err, Needs>>()

const receivedOneWay = Effect.flatMap(oneWay, Handshake.receive("name", (frame) => Effect.succeed(frame)))
same<typeof receivedOneWay, Effect.Effect<string, Err | TransportError, Needs>>()

// @ts-expect-error: the reply is what is sent
Handshake.receive(mixed, "name", () => Effect.void, { orReply: 1 })
// @ts-expect-error: the decision is an Effect
Handshake.receive(transport, "name", (frame) => frame === "a")

// --- exchange --------------------------------------------------------------------------------------------------------

const exchanged = lines.pipe(
  Handshake.exchange("name", "who?", (reply) => {
    same<typeof reply, string>()
    return ask(reply)
  }, { secret: true })
)
same<typeof exchanged, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const exchangedFirst = Handshake.exchange(lines, "name", "who?", (reply) => {
  same<typeof reply, string>()
  return ask(reply)
})
same<typeof exchangedFirst, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const exchangedByHand = Handshake.exchange(transport, "name", "who?", () => refuse)
same<typeof exchangedByHand, Effect.Effect<Lines, Err>>()

const exchangedMixed = mixed.pipe(
  Handshake.exchange("name", "who?", (reply) => {
    same<typeof reply, number>()
    return Effect.void
  })
)
same<typeof exchangedMixed, Effect.Effect<Transport.Transport<number, string>, Err, Needs>>()

// @ts-expect-error: a number is no line
lines.pipe(Handshake.exchange("name", 1, () => Effect.void))
// @ts-expect-error: a number is no line
Handshake.exchange(lines, "name", 1, () => Effect.void)
// @ts-expect-error: what is received is not what is sent
mixed.pipe(Handshake.exchange("name", 1, () => Effect.void))

// --- refuse ----------------------------------------------------------------------------------------------------------

const turnedAway = lines.pipe(Handshake.refuse("no"))
same<typeof turnedAway, Effect.Effect<never, Err, Needs>>()

const turnedAwayFirst = Handshake.refuse(begun, "no")
same<typeof turnedAwayFirst, Effect.Effect<never, Err | NotOurs, Needs | Database>>()

const turnedAwayByHand = Handshake.refuse(transport, "no", new HandshakeError.UnexpectedEnd({ excerpt: "" }))
same<typeof turnedAwayByHand, Effect.Effect<never, Err>>()

const byHand = Effect.gen(function*() {
  const transport = yield* lines
  const line = yield* transport.receive
  if (line !== "a") return yield* Handshake.refuse(transport, "no")
  if (line.length > 9) return yield* new HandshakeError.UnsupportedVersion({ offered: line, supported: [] })
  return transport
})
same<
  typeof byHand,
  Effect.Effect<Lines, Err | TransportError | HandshakeError.UnsupportedVersion, Needs>
>()

// @ts-expect-error: a number is no line
lines.pipe(Handshake.refuse(1))
// @ts-expect-error: a number is no line
Handshake.refuse(transport, 1)
// @ts-expect-error: the reason is one of a HandshakeError
Handshake.refuse(transport, "no", new NotOurs({ why: "" }))

// --- switchCodec -----------------------------------------------------------------------------------------------------

const switched = expected.pipe(Handshake.switchCodec(Codec.bytes))
same<typeof switched, Effect.Effect<Transport.Transport<Uint8Array, Uint8Array>, Err, Needs>>()

const switchedFirst = Handshake.switchCodec(begun, Codec.duplex(Codec.lines(), Codec.bytes))
same<
  typeof switchedFirst,
  Effect.Effect<Transport.Transport<string, Uint8Array>, Err | NotOurs, Needs | Database>
>()

switched.pipe(Handshake.send(Uint8Array.of(1)))
// @ts-expect-error: the lines are over
switched.pipe(Handshake.send("a"))
// @ts-expect-error: the lines are over
switched.pipe(Handshake.expect("a"))

const switchedTransport = Transport.switchCodec(transport, Codec.bytes)
same<typeof switchedTransport, Effect.Effect<Transport.Transport<Uint8Array, Uint8Array>, TransportError>>()

const switchedTransportLast = transport.pipe(Transport.switchCodec(Codec.bytes))
same<typeof switchedTransportLast, Effect.Effect<Transport.Transport<Uint8Array, Uint8Array>, TransportError>>()

// --- step, named, deadline, byteLimit --------------------------------------------------------------------------------

const stepped = byHand.pipe(Handshake.step("all of it"))
same<typeof stepped, Effect.Effect<Lines, Err, Needs>>()

const steppedFirst = Handshake.step(begun, "begin")
same<typeof steppedFirst, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const steppedNumber = Handshake.step(Effect.succeed(1), "count")
same<typeof steppedNumber, Effect.Effect<number, Err>>()

const named = byHand.pipe(Handshake.named("line"))
same<typeof named, Effect.Effect<Lines, Err, Needs>>()

const namedFirst = Handshake.named(begun, "line")
same<typeof namedFirst, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

const hurried = begun.pipe(Handshake.deadline("1 second"))
same<typeof hurried, Effect.Effect<Lines, Err | TransportError | NotOurs, Needs | Database>>()

const hurriedFirst = Handshake.deadline(expected, "1 second")
same<typeof hurriedFirst, Effect.Effect<Lines, Err, Needs>>()

const bounded = begun.pipe(Handshake.byteLimit(1000))
same<typeof bounded, Effect.Effect<Lines, TransportError | NotOurs, Needs | Database>>()

const boundedFirst = Handshake.byteLimit(expected, 1000)
same<typeof boundedFirst, Effect.Effect<Lines, Err, Needs>>()

// @ts-expect-error: what has a byte limit ends with a transport
Handshake.byteLimit(Effect.succeed(1), 1000)

// --- firstOf ---------------------------------------------------------------------------------------------------------

declare const accepts: (bytes: Uint8Array) => boolean | undefined

const chosen = Handshake.firstOf([
  { name: "a", accepts, handshake: expected },
  { name: "b", accepts, handshake: sent }
])
same<typeof chosen, Effect.Effect<Lines, Err, Needs>>()

// Branches with errors and requirements of their own.
const chosenWith = Handshake.firstOf([
  { name: "a", accepts, handshake: expected },
  { name: "b", accepts, handshake: verified }
])
same<typeof chosenWith, Effect.Effect<Lines, Err | NotOurs, Needs | Database>>()

// --- all together ----------------------------------------------------------------------------------------------------

const whole = lines.pipe(
  Handshake.expect("HELLO", { orReply: "NO" }),
  Handshake.send("WHO"),
  Handshake.verify("name", ask),
  Handshake.switchCodec(Codec.lengthPrefixed()),
  Handshake.expect(Uint8Array.of(1)),
  Handshake.byteLimit(1000),
  Handshake.deadline("1 second"),
  Handshake.named("whole")
)
same<
  typeof whole,
  Effect.Effect<Transport.Transport<Uint8Array, Uint8Array>, Err | NotOurs, Needs | Database>
>()

const asHandshake: Handshake.Handshake<Uint8Array, Uint8Array, NotOurs, Database> = whole
same<Effect.Error<typeof asHandshake>, Err | NotOurs>()

// --- errors ----------------------------------------------------------------------------------------------------------

const caught = whole.pipe(
  Effect.catchReason("HandshakeError", "Rejected", (reason, error) => {
    same<typeof reason, HandshakeError.Rejected>()
    same<typeof error.step, string>()
    return Effect.succeed(reason.code)
  })
)
same<Effect.Error<typeof caught>, Err | NotOurs>()
same<Effect.Success<typeof caught>, Transport.Transport<Uint8Array, Uint8Array> | string | undefined>()

const caughtReasons = whole.pipe(
  Effect.catchReasons("HandshakeError", {
    Timeout: (reason) => {
      same<typeof reason, HandshakeError.Timeout>()
      return Effect.succeed("slow")
    },
    ConnectionFailed: ({ operation }) => {
      same<typeof operation, "open" | "read" | "write">()
      return Effect.succeed("down")
    }
  })
)
same<Effect.Error<typeof caughtReasons>, Err | NotOurs>()

const received = Effect.gen(function*() {
  return yield* (yield* lines).receive
}).pipe(
  Effect.catchReason("TransportError", "ConnectionClosed", ({ by }) => {
    same<typeof by, "peer" | "local">()
    return Effect.succeed(undefined)
  })
)
same<typeof received, Effect.Effect<string | undefined, TransportError, Needs>>()

whole.pipe(
  // @ts-expect-error: no handshake fails with this reason
  Effect.catchReason("HandshakeError", "ConnectionClosed", () => Effect.void)
)
whole.pipe(
  // @ts-expect-error: there is no TransportError behind the first step
  Effect.catchTag("TransportError", () => Effect.void)
)

// --- firstOf of handshakes that end differently, and extend ----------------------------------------------------------

const eitherOne = Handshake.firstOf([
  { name: "lines", accepts: () => true, handshake: lines },
  { name: "mixed", accepts: () => true, handshake: Effect.map(mixed, Transport.extend({ protocol: "mixed" })) }
])
same<
  typeof eitherOne,
  Effect.Effect<
    Lines | Transport.Transport<number, string> & { readonly protocol: "mixed" },
    TransportError | Err,
    Needs
  >
>()

const knowing = Transport.extend(transport, { user: "me", retries: 3 })
same<typeof knowing, Lines & { readonly user: "me"; readonly retries: 3 }>()
// @ts-expect-error: what was learnt stays as it is.
knowing.user = "you"
