/**
 * A peer that plays a script: it expects these bytes or frames, sends those, waits, half-closes, cuts.
 *
 * **When to use**
 *
 * Use to test one side of a handshake against a peer that does exactly what the test says, also what no implementation
 * would do; and to replay a recorded session against either side.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../Codec.ts"
import * as Excerpt from "../Excerpt.ts"
import * as Literal from "../internal/text/literal.ts"
import type * as Transcript from "../Transcript.ts"
import {
  draw,
  type Mismatch,
  otherCame,
  Player,
  type Step,
  StepImpl,
  stepOf,
  TypeId as StepTypeId
} from "./internal/script.ts"

/**
 * Runtime type identifier of a `Step`.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId: typeof StepTypeId = StepTypeId

export type { Step } from "./internal/script.ts"

/**
 * What a peer does, in order.
 *
 * **Details**
 *
 * A script is a value and may be played many times, also at once. What its functions keep, such as a nonce, is shared
 * by all plays: make a new script where that must not be.
 *
 * @category models
 * @since 0.1.0
 */
export type Script = ReadonlyArray<Step>

/**
 * Whether a step is a secret, which no failure and no transcript shows. Default: false.
 *
 * @category models
 * @since 0.1.0
 */
export interface StepOptions {
  /** Whether no difference may show what is said. Default: false. */
  readonly secret?: boolean | undefined
}

/**
 * The other side did not do what the script expects, or not in time.
 *
 * **Details**
 *
 * - `step` counts from 1, of `steps`; it is 0 where the connection could not be opened. `text` is the step's.
 * - `expected` is what should have come or gone, `actual` says what happened instead.
 * - `diff` is the conversation so far, then what was expected, marked `-`, and what came, marked `+`, with a caret below
 *   the first byte that differs. `->` is what the script has sent, `<-` what it has received.
 *
 * All of it is bounded and printable, and shows no secret.
 *
 * @category errors
 * @since 0.1.0
 */
export class ScriptMismatch extends Schema.TaggedError<ScriptMismatch>()("ScriptMismatch", {
  step: Schema.Int,
  steps: Schema.Int,
  text: Schema.String,
  expected: Schema.String,
  actual: Schema.String,
  diff: Schema.String
}) {
  override get message(): string {
    const where = this.step === 0 ? "before its first step" : `at step ${this.step} of ${this.steps}, ${this.text}`
    return `the script failed ${where}: ${this.actual}\n\n${this.diff}`
  }
}

const mismatchAt = (script: Script, index: number, player: Player, mismatch: Mismatch): ScriptMismatch =>
  new ScriptMismatch({
    step: index + 1,
    steps: script.length,
    text: script[index].text,
    expected: mismatch.expected,
    actual: mismatch.happened,
    diff: draw(player.conversation, mismatch)
  })

/**
 * Plays a script on the `Socket` in the context, and returns what was said.
 *
 * **Details**
 *
 * It takes from the connection what the script expects, step by step and to the byte, however the bytes are cut; what
 * follows is left for the next step. What comes while the script does not listen is kept. An expectation, and a write
 * that the other side does not take, may last for `timeout`, 5 seconds of the Clock by default; then the script fails as
 * it does where something else comes or the connection ends. When the script is over, the connection stays open until
 * the scope closes, unless the script has closed it.
 *
 * The transcript is the peer's own: `sent` is what the script has sent. Observers of transports see it too.
 *
 * **Example** (A server that is tested against a script)
 *
 * ```ts
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket, ScriptedPeer } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = [
 *   ScriptedPeer.send("You ready?\nHello\n"),
 *   ScriptedPeer.expect("Welcome!\n")
 * ]
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   yield* Effect.forkScoped(Effect.provideService(Line.server, Socket.Socket, there))
 *   return yield* ScriptedPeer.run(client).pipe(Effect.provideService(Socket.Socket, here))
 * })
 *
 * console.log((await Effect.runPromise(Effect.flip(Effect.scoped(program)))).message)
 * // => the script failed at step 2 of 2, expect "Welcome!\n": "Bring it!\n" came
 * // =>
 * // =>     -> "You ready?\nHello\n"
 * // =>   - <- "Welcome!\n"
 * // =>   + <- "Bring it!\n"
 * // =>         ^
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = Effect.fnUntraced(function*(
  script: Script,
  options?: { readonly timeout?: Duration.Input | undefined }
): Effect.fn.Return<Transcript.Transcript, ScriptMismatch, Socket.Socket | Scope.Scope> {
  const player = yield* Effect.mapError(
    Player.open(Duration.fromInputUnsafe(options?.timeout ?? "5 seconds")),
    (problem) =>
      new ScriptMismatch({
        step: 0,
        steps: script.length,
        text: "open the connection",
        expected: "a connection",
        actual: problem,
        diff: draw([], { expected: "a connection", happened: problem, actual: [`(${problem})`] })
      })
  )
  for (let index = 0; index < script.length; index++) {
    yield* Effect.mapError(stepOf(script[index]).play(player), (error) => mismatchAt(script, index, player, error))
  }
  return player.transcript
})

/**
 * Whether a value is a step of a script.
 *
 * @category guards
 * @since 0.1.0
 */
export const isStep = (u: unknown): u is Step => Predicate.hasProperty(u, TypeId)

const encoder = new TextEncoder()

// A script is a value: what its maker does with the array later is of no concern to it.
const bytesOf = (bytes: Uint8Array | string): Uint8Array =>
  typeof bytes === "string" ? encoder.encode(bytes) : new Uint8Array(bytes)

const showBytes = (bytes: Uint8Array, secret: boolean): string =>
  secret ? Literal.hidden(bytes.length) : Literal.excerpt(bytes)

const showFrame = (frame: unknown, secret: boolean): string => secret ? Excerpt.redacted : Excerpt.ofFrame(frame)

/**
 * Expects exactly these bytes; a text is UTF-8.
 *
 * **Details**
 *
 * Fails at the first byte that is another. It does not matter in how many pieces they come, nor what comes behind them.
 *
 * @category expecting
 * @since 0.1.0
 */
export const expect = (bytes: Uint8Array | string, options?: StepOptions): Step => {
  const expected = bytesOf(bytes)
  const secret = options?.secret === true
  const shown = showBytes(expected, secret)
  return new StepImpl(`expect ${shown}`, (player) => player.takeBytes({ shown, bytes: expected, secret }))
}

/**
 * Expects so many bytes, whatever they are, and shows them to nobody.
 *
 * @category expecting
 * @since 0.1.0
 */
export const expectSecret = (length: number): Step => {
  // The script of a recording may hold an empty one.
  if (length === 0) return new StepImpl(`expect ${Literal.hidden(0)}`, () => Effect.void)
  const codec = Codec.fixed(length)
  const shown = Literal.hidden(length)
  return new StepImpl(
    `expect ${shown}`,
    (player) => player.take(player.transport(codec), { shown, secret: true }, () => Effect.succeed(shown))
  )
}

/**
 * Expects one frame that equals this one.
 *
 * **Details**
 *
 * Frames are compared by value. The steps of a script that name the same codec share one decoder, so that it may know in
 * which phase the protocol is.
 *
 * **Example** (Frames instead of bytes)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { ScriptedPeer } from "effect-handshake/testing"
 *
 * const lines = Codec.lines()
 *
 * const server = [
 *   ScriptedPeer.expectFrame(lines, "You ready?"),
 *   ScriptedPeer.sendFrame(lines, "No! Go away!"),
 *   ScriptedPeer.close
 * ]
 *
 * console.log(server.map((step) => step.text))
 * // => [ 'expect "You ready?"', 'send "No! Go away!"', 'close' ]
 * ```
 *
 * @category expecting
 * @since 0.1.0
 */
export const expectFrame = <In>(codec: Codec.Codec<In, never>, frame: In, options?: StepOptions): Step => {
  const secret = options?.secret === true
  const shown = showFrame(frame, secret)
  return new StepImpl(
    `expect ${shown}`,
    (player) =>
      player.take(player.transport(codec), { shown, secret }, (received) => {
        if (equals(received, frame)) return Effect.succeed(shown)
        const actual = showFrame(received, secret)
        return Effect.fail(otherCame(`${actual} came`, Literal.pairOfTexts(shown, actual)))
      })
  )
}

const equals = (a: unknown, b: unknown): boolean =>
  a instanceof Uint8Array && b instanceof Uint8Array
    ? a.length === b.length && a.every((byte, i) => byte === b[i])
    : Equal.equals(a, b)

/**
 * Expects one frame that a function accepts.
 *
 * **Details**
 *
 * The function refuses a frame by returning a text that says what is wrong with it. It may keep what it learns for later
 * steps.
 *
 * @category expecting
 * @since 0.1.0
 */
export const expectWith = <In>(
  name: string,
  codec: Codec.Codec<In, never>,
  decide: (frame: In) => Verdict | Effect.Effect<Verdict>,
  options?: StepOptions
): Step => {
  const secret = options?.secret === true
  return new StepImpl(
    `expect ${name}`,
    (player) =>
      player.take(
        player.transport(codec),
        { shown: name, secret },
        (frame) =>
          Effect.flatMap(asEffect(decide(frame)), (problem) => {
            const shown = showFrame(frame, secret)
            return typeof problem === "string"
              ? Effect.fail(otherCame(`${shown} came: ${Excerpt.ofText(problem)}`, { expected: name, actual: shown }))
              : Effect.succeed(shown)
          })
      )
  )
}

/**
 * What is wrong with a frame, if something is.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict = string | void

const asEffect = <A>(value: A | Effect.Effect<A>): Effect.Effect<A> =>
  Effect.isEffect(value) ? value as Effect.Effect<A> : Effect.succeed(value as A) // a guard cannot tell an unknown `A`

/**
 * Expects the other side to end its direction of the connection, in order by default, with nothing said before that.
 *
 * @category expecting
 * @since 0.1.0
 */
export const expectEnd = (how: Transcript.End["how"] = "closed"): Step =>
  new StepImpl(how === "closed" ? "expect the end" : "expect a broken connection", (player) => player.takeEnd(how))

/**
 * Expects that nothing comes for so long, and that the connection does not end.
 *
 * @category expecting
 * @since 0.1.0
 */
export const expectNothing = (duration: Duration.Input): Step => {
  const exact = Duration.fromInputUnsafe(duration)
  return new StepImpl(`expect nothing for ${Duration.format(exact)}`, (player) => player.takeNothing(exact))
}

/**
 * Sends these bytes in one write; a text is UTF-8.
 *
 * @category sending
 * @since 0.1.0
 */
export const send = (bytes: Uint8Array | string, options?: StepOptions): Step => {
  const frame = bytesOf(bytes)
  const secret = options?.secret === true
  const shown = showBytes(frame, secret)
  return new StepImpl(`send ${shown}`, (player) => player.say(player.raw, [frame], shown, secret))
}

/**
 * Sends one frame.
 *
 * @category sending
 * @since 0.1.0
 */
export const sendFrame = <Out>(codec: Codec.Codec<unknown, Out>, frame: Out, options?: StepOptions): Step => {
  const secret = options?.secret === true
  const shown = showFrame(frame, secret)
  return new StepImpl(`send ${shown}`, (player) => player.say(player.transport(codec), [frame], shown, secret))
}

/**
 * Receives one frame, whatever it is, and sends the frames that a function makes of it, in one write.
 *
 * **When to use**
 *
 * Use to answer what cannot be known in advance, such as a nonce.
 *
 * **Example** (A client that proves something)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { ScriptedPeer } from "effect-handshake/testing"
 *
 * const lines = Codec.lines()
 *
 * const client = [
 *   ScriptedPeer.send("HELLO 2\n"),
 *   ScriptedPeer.reply(lines, (nonce) => [`PROOF ${Array.from(nonce).reverse().join("")}`]),
 *   ScriptedPeer.expect("WELCOME\n")
 * ]
 * ```
 *
 * @category sending
 * @since 0.1.0
 */
export const reply = <In, Out>(
  codec: Codec.Codec<In, Out>,
  respond: (frame: In) => ReadonlyArray<Out> | Effect.Effect<ReadonlyArray<Out>>,
  options?: StepOptions
): Step => {
  const secret = options?.secret === true
  return new StepImpl("reply", (player) => {
    const transport = player.transport(codec)
    return player.take(transport, { shown: "a frame", secret }, (frame) => Effect.succeed(showFrame(frame, secret)))
      .pipe(
        Effect.flatMap((frame) => asEffect(respond(frame))),
        Effect.flatMap((frames) =>
          player.say(transport, frames, frames.map((frame) => showFrame(frame, secret)).join(" "), secret)
        )
      )
  })
}

/**
 * Does nothing for so long. What comes meanwhile is kept.
 *
 * @category waiting
 * @since 0.1.0
 */
export const wait = (duration: Duration.Input): Step => {
  const exact = Duration.fromInputUnsafe(duration)
  return new StepImpl(`wait ${Duration.format(exact)}`, () => Effect.sleep(exact))
}

/**
 * Does nothing any more, and leaves the connection open. The script is never over.
 *
 * @category waiting
 * @since 0.1.0
 */
export const stall: Step = new StepImpl("stall", () => Effect.never)

/**
 * Ends what this side says; it goes on listening.
 *
 * @category ending
 * @since 0.1.0
 */
export const end: Step = new StepImpl("end", (player) => player.end)

/**
 * Closes the connection; what was sent is flushed.
 *
 * @category ending
 * @since 0.1.0
 */
export const close: Step = new StepImpl("close", (player) => player.close)

/**
 * Breaks the connection off, as the socket does when it is written a `CloseEvent` with the code 1006. What was sent and has
 * not gone yet may be lost.
 *
 * **Gotchas**
 *
 * What the other side sees of it is up to the socket. With `MemorySocket` its connection is broken. Node destroys the
 * socket, and mostly that looks like an end: the system sends a reset only where it holds bytes that Node has not taken.
 *
 * @category ending
 * @since 0.1.0
 */
export const reset: Step = new StepImpl("reset", (player) => player.reset)

/**
 * A recording cannot be played, because not all that is to be sent is known.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnplayableRecording extends Schema.TaggedError<UnplayableRecording>()("UnplayableRecording", {
  problem: Schema.String
}) {
  override get message(): string {
    return `the recording cannot be played: ${this.problem}`
  }
}

/**
 * What a recording does not have: the bytes of its secret messages, in order, or by a function of the message and its
 * number among all messages, from 0. Each is the whole message as it stands on the wire.
 *
 * @category models
 * @since 0.1.0
 */
export type Secrets =
  | ReadonlyArray<Uint8Array | string>
  | ((message: Transcript.Message, index: number) => Uint8Array | string | undefined)

/**
 * The script that plays one side of a recorded connection: it sends what that side has sent, and expects what the other
 * one has said. It ends where that side has ended, and expects the other one to.
 *
 * **Details**
 *
 * `play` is the side to play: `self`, which made the recording, or its `peer`. A secret message is expected by its length
 * alone. One that is to be sent comes from `secrets`, and without it there is no script. Times are not played.
 *
 * **Example** (A recorded client against the server of today)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket, ScriptedPeer } from "effect-handshake/testing"
 * import { Effect, Result } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const { transcript } = Result.getOrThrow(Transcript.parse(`
 * effect-handshake transcript 1
 * self client
 * peer server
 *
 * 0 ms -> "You ready?\\n"
 * 2 ms <- "Bring it!\\n"
 * `))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   yield* Effect.forkScoped(Effect.provideService(Line.server, Socket.Socket, there))
 *   const client = yield* Effect.fromResult(ScriptedPeer.fromTranscript(transcript, { play: "self" }))
 *   const today = yield* ScriptedPeer.run(client).pipe(Effect.provideService(Socket.Socket, here))
 *   return Transcript.difference(transcript, today)
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => undefined
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromTranscript = (
  transcript: Transcript.Transcript,
  options: {
    /** The side to play: `self`, which made the recording, or its `peer`. */
    readonly play: Transcript.End["by"]
    /** What is said where the recording has a secret that this side sends. Default: none, and then there is no script. */
    readonly secrets?: Secrets | undefined
  }
): Result.Result<Script, UnplayableRecording> => {
  const { play, secrets = [] } = options
  const said = play === "self" ? "sent" : "received"
  const steps: Array<Step> = []
  const ended = new Set<Transcript.End["by"]>()
  let messages = 0
  let used = 0
  for (const entry of transcript) {
    if (entry.direction === "note") {
      const { end: noted } = entry
      // Who runs into an end twice notes it twice.
      if (noted === undefined || ended.has(noted.by)) continue
      ended.add(noted.by)
      steps.push(noted.by !== play ? expectEnd(noted.how) : noted.how === "closed" ? end : reset)
      continue
    }
    const { bytes, direction, length } = entry
    const index = messages++
    if (direction !== said) {
      steps.push(bytes === undefined ? expectSecret(length) : expect(bytes))
    } else if (bytes !== undefined) {
      steps.push(send(bytes))
    } else {
      const secret = typeof secrets === "function" ? secrets(entry, index) : secrets[used++]
      if (secret === undefined) {
        const problem = `message ${messages} is to be sent, it is ${
          Literal.hidden(length)
        }, and its secret is not given`
        return Result.fail(new UnplayableRecording({ problem }))
      }
      steps.push(send(secret, { secret: true }))
    }
  }
  if (typeof secrets !== "function" && used < secrets.length) {
    const problem = `${secrets.length} secrets are given, and ${used} are to be sent`
    return Result.fail(new UnplayableRecording({ problem }))
  }
  return Result.succeed(steps)
}
