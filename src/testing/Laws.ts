/**
 * The laws of handshakes and of codecs, as tests that you run on your own.
 *
 * @stability stable
 * @since 0.1.0
 */
import type * as Arbitrary from "effect/Arbitrary"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Codec from "../Codec.ts"
import type * as Dialogues from "../Dialogue.ts"
import type * as Transport from "../Transport.ts"
import * as Alterations from "./internal/alterations.ts"
import * as Codecs from "./internal/codecLaws.ts"
import * as Coverages from "./internal/coverage.ts"
import * as DialogueCoverages from "./internal/dialogue/coverage.ts"
import * as Dialogue from "./internal/dialogueLaws.ts"
import * as Handshakes from "./internal/handshakeLaws.ts"
import type * as Options from "./internal/laws/options.ts"
import * as Suites from "./internal/suite.ts"

/**
 * The number of a law, from 1 to 12.
 *
 * @category models
 * @since 0.1.0
 */
export type LawNumber = Suites.LawNumber

/**
 * What each law is called.
 *
 * @category constants
 * @since 0.1.0
 */
export const names: Readonly<Record<LawNumber, string>> = Suites.names

/**
 * A law does not hold.
 *
 * **Details**
 *
 * - `law`: which one; `suite` and `where`: of what, on which side and which rung.
 * - `scenario`: what was done, shrunk to the simplest case that breaks the law.
 * - `expected` and `actual`: what the law asks for, and what came.
 * - `replay`: where the case was drawn, the token that tries it again.
 * - `diagram`: what was said, as a sequence diagram.
 *
 * The message tells all of it.
 *
 * @category errors
 * @since 0.1.0
 */
export const LawViolation = Suites.LawViolation

/**
 * A law does not hold.
 *
 * @category errors
 * @since 0.1.0
 */
export type LawViolation = Suites.LawViolation

/**
 * One law of a suite.
 *
 * **Details**
 *
 * `check` tries it and fails with the violation. `skip` says why there is nothing to check, where that is so.
 *
 * @category models
 * @since 0.1.0
 */
export type Law = Suites.Law

/**
 * The laws of one handshake or codec.
 *
 * @category models
 * @since 0.1.0
 */
export type Suite = Suites.Suite

/**
 * What registers a test: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`, or anything like them.
 *
 * @category models
 * @since 0.1.0
 */
export type Register = Suites.Register

/**
 * How often laws are tried, and with which cases.
 *
 * @category models
 * @since 0.1.0
 */
export type CheckOptions = Suites.CheckOptions

/**
 * A message that was said in the place of another one.
 *
 * @category models
 * @since 0.1.0
 */
export type WrongTurn = Options.WrongTurn

/**
 * What a side says last to a peer that says something wrong, or a function that gives it by what was said; `undefined`
 * is silence.
 *
 * @category models
 * @since 0.1.0
 */
export type Refusal = Options.Refusal

/**
 * A valid conversation that differs from the one that was given. A side that is left out is the one that was given.
 *
 * @category models
 * @since 0.1.0
 */
export type Alternative<S extends Transport.Transport.Any, C extends Transport.Transport.Any> = Options.Alternative<
  S,
  C
>

/**
 * A whole handshake that must not get through, and what violations call it; without a name it has a number.
 *
 * @category models
 * @since 0.1.0
 */
export type Impostor = Options.Impostor

/**
 * How a side fails when it hears something wrong, as far as that is held: the tag of the reason, whose fault it is, and whether
 * it is worth another try.
 *
 * @category models
 * @since 0.1.0
 */
export type Failure = Options.Failure

/**
 * A handshake, and what its laws have to know of it.
 *
 * @see {@link handshake}
 *
 * @category models
 * @since 0.1.0
 */
export type HandshakeOptions<S extends Transport.Transport.Any, C extends Transport.Transport.Any> = Options.Options<
  S,
  C
>

/**
 * The laws of a handshake. `coverage` tells what the laws that were checked so far have tried.
 *
 * @category models
 * @since 0.1.0
 */
export type HandshakeSuite = Handshakes.HandshakeSuite

/**
 * The laws of a handshake: one test for each of the twelve.
 *
 * **When to use**
 *
 * Use to see whether a handshake of yours holds what a handshake must. With `it` each law is registered as a test; without
 * it, `check` tries them all.
 *
 * **Details**
 *
 * Give both sides, or one of them and a `peer` that plays the other, such as `ScriptedPeer.run(script)`. Each side that is
 * given is tried on each rung; by default on `Rung.pure`, `Rung.memory` and `Rung.simulated()`, where time is virtual and
 * nothing waits. The peer is the other side itself, and what it says is cut, delayed, replaced and broken off on its way.
 *
 * What the laws cannot see by themselves they have to be told: `secrets` for law 9, the `deadline` that the handshake
 * promises for law 6, `fresh` and `alternatives` for law 10, the words of a `refusal` for laws 5 and 11, what was `negotiated`
 * for law 12 and the `calls` behind the handshake for laws 2 and 12. `impostors` are whole handshakes that must not get through, and
 * `failure` says how a side has to fail, for law 5. `accepts` is for a protocol in which a message may stand in the place of
 * another, and `trailing` for one that says more of itself when a side is ready.
 *
 * What is let in is decided by what you tell, so tell it in another way than the handshake does it: `accepts`, `refusal` and
 * `failure` get the bytes of a message, with its delimiters and its lengths, and whoever decodes them with the codec
 * under test repeats its mistakes. What stands behind the last message, and is left for who is served, need not be
 * looked at. A wrong message that no change of one byte or one field makes, such as one with a length too many and a
 * byte that fits it, or with something wrong inside Base64, is one of `wrong`; a secret that is almost right in such a
 * form is one of `impostors`, which {@link almost} makes. Each code with which a server may refuse is one of
 * `wrong.client`, so that `failure` is held for all.
 *
 * Law 5 says each message as it is made at that time, changed at every place: bytes, characters, words, and each field of a frame,
 * which goes through the peer's own codec; where JSON stands in a text, its members and elements, and what does not count in JSON is no
 * change. Where a change is refused where it comes, the words of `refusal` are due. Each change is tried on one of the rungs where time is virtual, every other case on
 * the first of them and once more on another. `runs` bounds the changes, too: five for each run.
 *
 * Law 7 watches the connection, the fibers that a side starts, and where time is virtual what the platform tells of: whatever
 * keeps the process alive, such as timers and sockets; on Linux open files; on Node and what is like it the listeners of what
 * connections share, such as `process`, an `EventEmitter` or an `AbortSignal`. A side whose connection has ended has two seconds for
 * its finalizers, of which one is for what it flushes. What only you know it sees with `held`. Law 8
 * counts what decoders look at, and measures how long a turn of the event loop lasts, where the platform tells the CPU time of a
 * thread (Node from 23.9 on): in the conversation, where another message or a refusal comes, and while fields of messages grow to
 * 24 KiB, one for every twenty `runs`. It objects to more than 50 ms, and for what has grown to more than 200 ms where that is far out of
 * proportion; that the machine has much else to do is not counted, and what the peer does is the peer's.
 *
 * Where many messages mean the same, such as the head of an HTTP request with its fields in another order and their names in
 * another case, let `accepts` compare what `said` and `due` mean, in its own words and not with the code of the handshake. `due` is
 * what was to be said at that time, with the nonce of that conversation. What is wrong with a message may show only later, as that of
 * a nonce does in the proof of it: `refusal` gives the words of both places then, and `failure` leaves out what depends on which
 * side has found it. Nobody answers a refusal: for that, `refusal` gives `undefined`. A secret inside a long message is given to
 * `impostors`, too, a character shorter and longer, for `runs` bounds how many places of a message are changed.
 *
 * A handshake that needs services is given with them provided. The laws replace Effect's `Random` by a seeded one, so that
 * what a handshake draws from it is the same each time.
 *
 * **Gotchas**
 *
 * A handshake that waits for a promise cannot run on `Rung.pure`. Where it waits for one that takes longer than a turn
 * of the event loop, such as a key derivation in another thread, give `breathe`: what to wait for, in real time, before
 * the handshake is taken to be waiting for its peer.
 *
 * **Example** (A handshake that takes any password)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { Laws } from "effect-handshake/testing"
 * import { Effect } from "effect"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * const suite = Laws.handshake({
 *   name: "careless",
 *   server: lines.pipe(
 *     Handshake.verify("password", () => Effect.void, { secret: true }),
 *     Handshake.send("OK")
 *   ),
 *   client: lines.pipe(
 *     Handshake.send("hunter2", { secret: true }),
 *     Handshake.expect("OK")
 *   )
 * })
 *
 * const program = Laws.check(suite).pipe(
 *   Effect.match({
 *     onSuccess: () => "all laws hold",
 *     onFailure: (violation) => `law ${violation.law}: ${violation.actual}`
 *   })
 * )
 *
 * console.log(await Effect.runPromise(program)) // => law 5: it became ready
 * ```
 *
 * **Example** (What may be said, and what is answered, of lines and of bytes)
 *
 * ```ts
 * import type { Laws } from "effect-handshake/testing"
 *
 * const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
 *
 * // EHLO with any name, in any case; 503 where it was due, and 535 to who cannot prove who he is
 * const mail = {
 *   accepts: ({ index, said, side }: Laws.WrongTurn) =>
 *     side === "server" && index === 0 && /^EHLO [\w.-]+\r\n$/i.test(text(said)),
 *   refusal: { server: ({ index }: Laws.WrongTurn) => index === 0 ? "503 EHLO first\r\n" : "535 no such login\r\n" }
 * }
 *
 * // 05, a number of methods, and so many of them; silence for what does not begin with 05
 * const socks = {
 *   accepts: ({ index, said, side }: Laws.WrongTurn) =>
 *     side === "server" && index === 0 && said[0] === 5 && said.length === 2 + said[1] && said.subarray(2).includes(2),
 *   refusal: { server: ({ said }: Laws.WrongTurn) => said[0] === 5 ? Uint8Array.of(5, 0xff) : undefined }
 * }
 *
 * const said = new TextEncoder().encode("ehlo elsewhere\r\n")
 *
 * console.log(mail.accepts({ side: "server", index: 0, said, due: said, messages: [said] })) // => true
 * console.log(socks.accepts({ side: "server", index: 0, said, due: said, messages: [said] })) // => false
 * ```
 *
 * @category laws
 * @since 0.1.0
 */
export const handshake: <
  S extends Transport.Transport.Any = Transport.Transport.Any,
  C extends Transport.Transport.Any = Transport.Transport.Any
>(options: HandshakeOptions<S, C>) => HandshakeSuite = Handshakes.handshake

/**
 * The sides of a dialogue, and what its specification cannot know of them.
 *
 * @see {@link dialogue}
 *
 * @category models
 * @since 0.1.0
 */
export type DialogueOptions<S extends Transport.Transport.Any, C extends Transport.Transport.Any> = Dialogue.Options<
  S,
  C
>

/**
 * The laws of a dialogue. `coverage` tells what the laws that were checked so far have tried.
 *
 * @category models
 * @since 0.1.0
 */
export type DialogueSuite = Dialogue.DialogueSuite

/**
 * The laws of a dialogue: those of any handshake, with nothing to tell, and what only a specification can know.
 *
 * **When to use**
 *
 * Use to hold a side of a protocol that is written down as a `Dialogue` to it, whether it is made by that dialogue or by hand. Give
 * both sides, or one of them: then the specification itself plays the other one, and says what its Schemas allow.
 *
 * **Details**
 *
 * Everything that is said is followed by the specification, message by message, and a violation names the state, the message and
 * the field. Beside what {@link handshake} does, which is told the secrets, what is fresh and what may stand in the place of what:
 *
 * | law | what is tried |
 * |---|---|
 * | 1, chunking | where TLS begins, each message in pieces when it is due |
 * | 4, oversize | a message of `maxBytes`, and of a byte more; a text as long as its codec allows, and a byte more; a loop as often as `atMost`, and once more |
 * | 5, wrong turn | each field within its type: what is near it, where the type begins and ends, what was said elsewhere; and outside of it; each other message, due or not, and each refusal; other spellings |
 * | 6, silence | a message just before the time of its state is over, and just after; a refusal that comes when its peer waits no longer |
 * | 7, interruption | what is left by connections on which one field was wrong |
 * | 8, linear cost | larger and larger numbers, up to the largest that its type takes; longer and longer texts, up to `maxBytes`; all that law 5 tries, walks, refusals |
 * | 9, secrets | a `Redacted` field with another value, right or not, and with another part of it; whatever else is wrong beside it; a secret said in a field that is none, or to whoever has said something wrong; a refusal that tells a wrong user from a wrong secret; a client that is talked out of TLS |
 * | 10, isolation | what is `Dialogue.fresh` on three connections; one who is not let in beside one who is; one who says nothing for two seconds beside one who does; two who differ, at once, where there are `alternatives` |
 * | 11, refusal is heard | what is said otherwise; a refusal of the state, where it is this side's turn and it fails, and not behind a yes; who is turned away |
 * | 12, agreement | what nobody disturbs, and walks that are drawn |
 *
 * A field that is bound must be looked at: with another value nobody is ready, and it is the fault of whoever has said it. A
 * text of several parts, such as a name and a password, has to be right in each of them, as its Schema makes it, and inside
 * Base64. What is known to be wrong is refused where it is this side's turn, and not behind a yes. A field that is
 * `Dialogue.free` may have any value, and one that is `Dialogue.fresh` is another one each time. Where several values are
 * right, such as two users, `alternatives` are conversations with the others, and take other ways through the dialogue.
 * A free number that the side turns down, and a free text that it takes and does not take with more behind it, break law 5. Who says
 * yes to a wrong secret and no to what is right behind it breaks law 11, unless that has a secret in it, too, such as a second factor.
 *
 * A turn of the event loop may take 50 ms of CPU time, whatever is said and whether it is let in; where a message has more than
 * 4,096 bytes, 200 ms, and more where that is in proportion. In each message one text grows for every ten `runs`, to `maxBytes` or 24 KiB, and
 * to 4 KiB where there is no `maxBytes`.
 *
 * What the other side may say and never says who is given, the specification says in its place: it goes to that state, says it with
 * values that are drawn, and goes on as the one who was given does.
 *
 * Whoever fails as `AuthenticationFailed` hears the same whether the secret is wrong or the field beside it that says who it is for:
 * one whose name has `user`, `account`, `login`, `mail` or `member` in it. Of a secret of several parts the last one is the secret, and
 * the one before it says who it is for.
 *
 * Where it is this side's turn and the peer has broken no rule, it says no with a refusal of that state: what is said `otherwise` is
 * for whoever breaks the rules. Where steps have the names of the states, as those of a dialogue have, errors have to name them.
 *
 * TLS encrypts nothing here: what it does is not the dialogue's business, but where it begins is. A client that begins it without a
 * look at the certificate (`verify: "none"`), or at its name (`"authority"`), breaks law 5, unless `anyCertificate` allows it; and so
 * does one that looks for a name that it was told in clear.
 *
 * `coverage` of the suite counts each message in each state, each field and each message where it is not due;
 * {@link dialogueHoles} says what was never tried, and with `coverage: "whole"` that fails.
 *
 * **Gotchas**
 *
 * With one side alone, what is right can only be found by chance: a password that the Schemas do not give is not found, and what
 * needs somebody who is let in is not tried. Whether a side finds what it needs in a list that is free, or in a text, is not seen.
 *
 * **Example** (A server that does not look at the version)
 *
 * ```ts
 * import { Codec, Dialogue, Wire } from "effect-handshake"
 * import { Laws, Rung } from "effect-handshake/testing"
 * import { Effect, Schema } from "effect"
 *
 * class Knock extends Dialogue.make<Knock>()({
 *   name: "knock",
 *   messages: { Hello: { version: Schema.Int, agent: Dialogue.free(Schema.String) }, Welcome: {}, Denied: {} },
 *   wire: Wire.text(Codec.lines(), { Hello: "HELLO {version} {agent}", Welcome: "WELCOME", Denied: "NO" }),
 *   live: Codec.lines(),
 *   start: "greeting",
 *   states: {
 *     greeting: Dialogue.client({ Hello: "verdict" }, { within: "5 seconds", maxBytes: 64 }),
 *     verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
 *   },
 *   otherwise: { server: "Denied" }
 * }) {}
 *
 * const server = Knock.server((greeting) => Effect.gen(function*() {
 *   const { then: verdict } = yield* greeting.receive
 *   return yield* verdict.say("Welcome")
 * }))
 *
 * const client = Knock.client((greeting) => Effect.gen(function*() {
 *   const verdict = yield* greeting.say("Hello", { version: 2, agent: "me" })
 *   return (yield* verdict.receive).then
 * }))
 *
 * const suite = Laws.dialogue(Knock, { server, client, rungs: [Rung.pure], seed: 1 })
 *
 * const program = Laws.check(suite).pipe(
 *   Effect.match({ onSuccess: () => "all laws hold", onFailure: ({ expected }) => expected.split(";")[0] })
 * )
 *
 * console.log(await Effect.runPromise(program)) // => it is not ready with another version in Hello in the state greeting
 * ```
 *
 * @category laws
 * @since 0.1.0
 */
export const dialogue: <
  S extends Transport.Transport.Any = Transport.Transport.Any,
  C extends Transport.Transport.Any = Transport.Transport.Any
>(dialogue: Dialogues.Any, options: DialogueOptions<S, C>) => DialogueSuite = Dialogue.dialogue

/**
 * Texts that are almost a given one: a part of it, more of it, in another case, with a space around it, with another character.
 *
 * **When to use**
 *
 * Use for `impostors` whose secret is said in another form, such as in Base64 or in a hash. Law 5 changes what is said,
 * and almost no change of such a form is the form of another secret: a server that compares a part of the secret only
 * would be caught by chance alone.
 *
 * **Example** (Impostors that almost know a password)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { Laws } from "effect-handshake/testing"
 *
 * const clientWith = (password: string) =>
 *   Transport.framed(Codec.lines()).pipe(
 *     Handshake.send(Buffer.from(password).toString("base64"), { name: "password", secret: true }),
 *     Handshake.expect("OK", { rejections: ["NO"], retryable: false })
 *   )
 *
 * const impostors = { client: Laws.almost("Hunter2").map(clientWith) }
 *
 * console.log(Laws.almost("Hunter2").slice(0, 4)) // => [ '', 'unter2', 'Hunter', 'Hunt' ]
 * ```
 *
 * @category laws
 * @since 0.1.0
 */
export const almost: (text: string) => ReadonlyArray<string> = Alterations.almost

/**
 * A codec, and what its laws have to know of it.
 *
 * @see {@link codec}
 *
 * @category models
 * @since 0.1.0
 */
export type CodecOptions<In, Out extends In = In> = Codecs.CodecOptions<In, Out>

/**
 * The laws of a codec: one test for each of those that a codec can break.
 *
 * **Details**
 *
 * `frames` draws frames, some of which the codec may refuse to encode. A `Schema` also gives awkward ones: with delimiters
 * in them, halves of characters, and of lengths at which length fields change. The laws are checked without any IO:
 *
 * | law | what is tried |
 * |---|---|
 * | 1, chunking | every cut, `decode` and `decodeMany`, floods |
 * | 2, conservation | own bytes and no others; nothing read that is not there; frames, and what is given to `encode`, stay as they are |
 * | 3, truncation | every prefix; the decoder asked again without new bytes |
 * | 4, oversize | the limit on both of its sides; bytes, items and levels without end; what is allocated for a count or a length |
 * | 5, wrong turn | garbage, and numbers at their extremes: a typed error, short and printable |
 * | 7, interruption | what was refused or not sent leaves no trace, in an encoder's memory and behind `encodeMany` |
 * | 8, linear cost | looks at each byte; calls that do not end; frames eight times as large |
 * | 10, isolation | decoders and encoders of two connections |
 * | 12, agreement | what is encoded is decoded again; where a codec is `canonical`, what is decoded is encoded again |
 *
 * With `maxLength` and `ofLength` the limit is checked on both of its sides, and with `withMaxLength` what is longer is made by the
 * codec itself.
 *
 * Numbers at their extremes are written over the first 8 bytes of frames, in each width and order and as varints, and over whatever
 * is written in digits. Frames in which there are arrays, maps and records are made wide and deep; `growing` makes what cannot be
 * made of them, such as `{ levels: (size) => bytes }`. A codec that costs without bound fails the law that says so, and no other
 * one is tried on it.
 *
 * Where each frame has one spelling, say so: `canonical: true`. Then law 12 writes encoded frames otherwise (each byte altered,
 * left out, said twice; zeros, signs and spaces in numbers, longer varints, other line ends, lengths raised with what they count)
 * and encodes again what is decoded: it must be the same bytes. A function says of which frames it is true, where some may be
 * spelled in several ways or can only be received.
 *
 * Text that is not UTF-8 must be refused, or `lossy: true` says that it becomes U+FFFD.
 *
 * **Gotchas**
 *
 * What a decoder takes for a frame in two spellings is seen only with `canonical`. A decoder that loops without looking at its
 * buffer cannot be stopped.
 *
 * **Example** (A codec that forgets its limit)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { Laws } from "effect-handshake/testing"
 * import { Effect, Schema } from "effect"
 *
 * const suite = Laws.codec(Codec.lines({ maxLength: Infinity }), Schema.Literals(["", "Hello", "Goodbye"]))
 *
 * const program = Laws.check(suite).pipe(
 *   Effect.match({ onSuccess: () => "all laws hold", onFailure: ({ law }) => `law ${law}, ${Laws.names[law]}` })
 * )
 *
 * console.log(await Effect.runPromise(program)) // => law 4, oversize
 * ```
 *
 * **Example** (A codec that reads numbers as JavaScript does)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import { Laws } from "effect-handshake/testing"
 * import { Effect, Result, Schema } from "effect"
 *
 * const numbers = Codec.lines().pipe(
 *   Codec.mapOrFail({
 *     decode: (line) => Number.isInteger(Number(line)) ? Result.succeed(Number(line)) : Result.fail("not a number"),
 *     encode: (n: number) => Result.succeed(String(n))
 *   })
 * )
 *
 * const suite = Laws.codec(numbers, Schema.Literals([0, 7, 40]), { canonical: true, seed: 1 })
 *
 * const program = Laws.check(suite).pipe(
 *   Effect.match({ onSuccess: () => "all laws hold", onFailure: ({ actual }) => actual })
 * )
 *
 * console.log(await Effect.runPromise(program)) // => "\n" gives the frame 0, which is encoded to "0\n"
 * ```
 *
 * @category laws
 * @since 0.1.0
 */
export const codec: <In, Out extends In>(
  codec: Codec.Codec<In, Out>,
  frames: Arbitrary.Arbitrary<Out> | Schema.Schema<Out>,
  options?: CodecOptions<In, Out>
) => Suite = Codecs.codec

/**
 * Registers one test for each law of a suite. A law for which there is nothing to check is registered as skipped, with the
 * reason in its name.
 *
 * @category running
 * @since 0.1.0
 */
export const register: (suite: Suite, it: Register) => void = Suites.register

/**
 * Checks the laws of a suite one after another, and fails with the first violation.
 *
 * **Details**
 *
 * One bug often breaks several laws. What an undisturbed conversation shows comes first, then the law whose subject a bug is
 * before those that only meet it: a lack of agreement is told by law 12 and not as isolation, an answer that comes twice by law 2
 * and not as a wrong turn.
 *
 * @category running
 * @since 0.1.0
 */
export const check: (suite: Suite) => Effect.Effect<void, LawViolation> = Suites.check

/**
 * What may happen to a handshake.
 *
 * @category coverage
 * @since 0.1.0
 */
export type Fault = Coverages.Fault

/**
 * How a message is changed: a bit of it is flipped, the case of a letter, its next or previous value, 0 or 255 in its place,
 * less or more of it, or something else, as another order.
 *
 * @category coverage
 * @since 0.1.0
 */
export type Change = Coverages.Change

/**
 * What the laws have tried so far.
 *
 * **Details**
 *
 * - `steps`: how often each fault has met each step. What a step cannot meet is not counted there: one that only sends meets
 *   nothing that is wrong with what is received.
 * - `messages`: how law 5 has changed what each step hears, field by field: how often in each way, and which bytes or
 *   characters it has never changed. A way in which a field cannot be said, such as a byte more in one of a fixed length, is
 *   not counted.
 *
 * @category coverage
 * @since 0.1.0
 */
export type Coverage = Coverages.Report

/**
 * Something that was never tried: a fault at a step, a byte or a character of a message, or a way to change one.
 *
 * @category coverage
 * @since 0.1.0
 */
export type Hole = Coverages.Hole

/**
 * What can be tried and never was. It is empty when all laws were checked with as many cases as they want.
 *
 * @category coverage
 * @since 0.1.0
 */
export const holes: (coverage: Coverage) => ReadonlyArray<Hole> = Coverages.holes

/**
 * What the laws of a dialogue have tried so far: how often each message was said in each state, how often each field of it came
 * altered, within its type and outside of it, and how often each message came where it is not due.
 *
 * @category coverage
 * @since 0.1.0
 */
export type DialogueCoverage = DialogueCoverages.Report

/**
 * What of a dialogue was never tried, in words.
 *
 * @category coverage
 * @since 0.1.0
 */
export const dialogueHoles: (coverage: DialogueCoverage) => ReadonlyArray<string> = DialogueCoverages.holes

/**
 * The coverage of a dialogue as tables. A dot is what was never tried.
 *
 * @category coverage
 * @since 0.1.0
 */
export const formatDialogueCoverage: (coverage: DialogueCoverage) => string = DialogueCoverages.format

/**
 * The coverage as two tables.
 *
 * **Details**
 *
 * The first one has a row for each step that waits for its peer, and a column for each fault. The second one has a row for
 * each message: how many of its places law 5 has changed, how often in each way, and behind that what it has `never` done, by
 * field. A dot is what was never tried, and what cannot be tried is blank.
 *
 * **Example** (What one law leaves open that had too few cases)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { Laws } from "effect-handshake/testing"
 * import { Effect } from "effect"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * const suite = Laws.handshake({
 *   name: "short",
 *   runs: 5,
 *   seed: 1,
 *   server: lines.pipe(Handshake.expect("HELLO"), Handshake.send("OK"), Handshake.named("short")),
 *   client: lines.pipe(Handshake.send("HELLO"), Handshake.expect("OK"), Handshake.named("short"))
 * })
 *
 * const coverage = Effect.andThen(suite.laws[4].check, suite.coverage)
 *
 * console.log(Laws.formatCoverage(await Effect.runPromise(coverage)))
 * // => step                    split  cut  reset  oversize  long frame  wrong turn  garbage  silence  dribble  interruption
 * // => server: expect "HELLO"      ·    ·      ·         ·           ·          43        3        ·        ·             ·
 * // => client: connect                  ·                                                          ·                      ·
 * // => client: expect "OK"         ·    ·      ·         ·           ·          41        3        ·                      ·
 * // =>
 * // => changed                 places  flipped  case  next  previous  0  255  shorter  longer  other
 * // => server: expect "HELLO"       6        2     2     3         1  2    2        6       7      ·  never: other; bytes flipped, previous, 0, 255
 * // => client: expect "OK"          3        6     3     1         3  ·    1        5       6      ·  never: 0, other; bytes next, 0, 255
 * ```
 *
 * @category coverage
 * @since 0.1.0
 */
export const formatCoverage: (coverage: Coverage) => string = Coverages.format
