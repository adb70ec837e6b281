/**
 * What a law of a handshake does, and how it says that it does not hold.
 *
 * @internal
 */
import type * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Excerpt from "../../../Excerpt.ts"
import type * as Coverage from "../coverage.ts"
import type * as Suite from "../suite.ts"
import type { Side, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import type { AnyOptions } from "./options.ts"

/** What a law does on one rung for one side. */
export interface Attempt {
  readonly trial: Trial.Trial
  /** The handshake as it was given, which the trial bounds. */
  readonly handshake: Side["handshake"]
  readonly reference: Trial.Reference
  readonly options: AnyOptions
  readonly coverage: Coverage.Counter
  /** The place of its rung among the rungs: what would be a product is shared out among them by it. */
  readonly turn: number
  /** A property over cases that are drawn and shrunk. It has all of the law's runs, or a share of them. */
  readonly property: <A>(
    cases: Arbitrary.Arbitrary<A>,
    holds: (value: A) => Effect.Effect<void, Suite.Problem>,
    share?: number
  ) => Effect.Effect<void, Suite.LawViolation | Suite.Problem>
  /**
   * Tries the cases of a list. Where time is virtual, all of them are tried on the first rung, and each once more on one of
   * the others; real sockets have at most `most`, evenly spread, some of them at once. Which of the others is told by the place
   * of a case, so that laws that look at the same conversation do so on the same rung. Default: its place in the list.
   */
  readonly each: <A>(
    cases: ReadonlyArray<A>,
    check: (value: A) => Effect.Effect<void, Suite.Problem>,
    how?: { readonly most?: number; readonly placeOf?: (value: A) => number }
  ) => Effect.Effect<void, Suite.Problem>
  /** The same for cases that are worth to be tried on the first of those rungs only. */
  readonly first: <A>(
    cases: ReadonlyArray<A>,
    check: (value: A) => Effect.Effect<void, Suite.Problem>
  ) => Effect.Effect<void, Suite.Problem>
  /** The same for cases so many that each is tried once, on one of the rungs where time is virtual. */
  readonly once: <A>(
    cases: ReadonlyArray<A>,
    check: (value: A) => Effect.Effect<void, Suite.Problem>
  ) => Effect.Effect<void, Suite.Problem>
  /** Tries the same cases as `each` does, all of them in one go. */
  readonly together: <A>(
    cases: ReadonlyArray<A>,
    check: (values: ReadonlyArray<A>) => Effect.Effect<void, Suite.Problem>
  ) => Effect.Effect<void, Suite.Problem>
}

export type Check = (attempt: Attempt) => Effect.Effect<void, Suite.LawViolation | Suite.Problem>

export const problem = (
  { trial }: Attempt,
  talk: Talk,
  what: { readonly scenario: string; readonly expected: string; readonly actual: string }
): Suite.Problem => ({ ...what, diagram: Trial.diagram(trial.side, talk) })

export const ended = (exit: Exit.Exit<unknown, unknown> | undefined): string =>
  exit === undefined
    ? "waits for ever"
    : Exit.isSuccess(exit)
    ? "ended well"
    : `failed: ${Excerpt.ofText(String(Cause.squash(exit.cause)))}`
