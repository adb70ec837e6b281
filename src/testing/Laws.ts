/**
 * The laws of handshakes and of codecs, as tests that you run on your own.
 *
 * @since 0.1.0
 */
import type * as Arbitrary from "effect/Arbitrary"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Codec from "../Codec.ts"
import type * as Transport from "../Transport.ts"
import * as Codecs from "./internal/codecLaws.ts"
import * as Coverages from "./internal/coverage.ts"
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
 * The last words of a side to whoever says something wrong, or a function of what was said that gives them: `undefined` is
 * silence.
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
 * The laws of a handshake. `coverage` tells which faults have met which steps, in the laws that were checked so far.
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
 * Law 5 says each message as it is made at that time, changed at every place: bytes, characters, and each field of a frame,
 * which goes through the peer's own codec. Each change is tried on one of the rungs where time is virtual, every other case on
 * the first of them and once more on another. `runs` bounds the changes, too: five for each run.
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
 * @category laws
 * @since 0.1.0
 */
export const handshake: <
  S extends Transport.Transport.Any = Transport.Transport.Any,
  C extends Transport.Transport.Any = Transport.Transport.Any
>(options: HandshakeOptions<S, C>) => HandshakeSuite = Handshakes.handshake

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
 * in them, halves of characters, and of lengths at which length fields change. Laws 1 (chunking), 2 (conservation), 3 (truncation), 4 (oversize), 5
 * (garbage), 7 (what was not sent leaves no trace), 8 (linear cost), 10 (isolation) and 12 (what is encoded is decoded again) are checked without any IO. With
 * `maxLength` and `ofLength` the limit is checked on both of its sides.
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
 * How often each fault has met each step, row by row.
 *
 * @category coverage
 * @since 0.1.0
 */
export type Coverage = Coverages.Report

/**
 * The steps that a fault has never met.
 *
 * **Gotchas**
 *
 * Not every hole can be filled: a step that only sends is over before anything can go wrong with what is received.
 *
 * @category coverage
 * @since 0.1.0
 */
export const holes: (
  coverage: Coverage
) => ReadonlyArray<{ readonly side: string; readonly step: string; readonly fault: Fault }> = Coverages.holes

/**
 * The coverage as a table: a row for each step, a column for each fault, and a dot where the two have never met.
 *
 * @category coverage
 * @since 0.1.0
 */
export const formatCoverage: (coverage: Coverage) => string = Coverages.format
