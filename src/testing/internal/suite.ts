/**
 * What a law is, a suite of them, and how one is checked: the part that the laws of codecs and of handshakes share.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** The names of the twelve laws; docs/testing.md says what each means. */
export const names = {
  1: "chunking",
  2: "conservation",
  3: "truncation",
  4: "oversize",
  5: "wrong turn",
  6: "silence",
  7: "interruption",
  8: "linear cost",
  9: "secrets",
  10: "isolation",
  11: "refusal is heard",
  12: "agreement"
} as const

export type LawNumber = keyof typeof names

export class LawViolation extends Schema.TaggedError<LawViolation>()("LawViolation", {
  law: Schema.Literals([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
  suite: Schema.String,
  where: Schema.String,
  scenario: Schema.String,
  expected: Schema.String,
  actual: Schema.String,
  replay: Schema.optionalKey(Schema.String),
  diagram: Schema.optionalKey(Schema.String)
}) {
  /** Vitest would print `expected` and `actual` once more. */
  readonly showDiff = false

  override get message(): string {
    const lines = [
      `law ${this.law}, ${names[this.law]}, does not hold for ${this.suite} (${this.where})`,
      `  when:     ${this.scenario}`,
      `  expected: ${this.expected}`,
      `  but:      ${this.actual}`
    ]
    if (this.replay !== undefined) lines.push(`  again:    ${this.replay}`)
    if (this.diagram !== undefined) lines.push("", this.diagram.replace(/^/gm, "  "))
    return lines.join("\n")
  }
}

/** A violation without a stack: it is in the handshake or the codec, and not where the law was checked. */
export const violation = (fields: ConstructorParameters<typeof LawViolation>[0]): LawViolation => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const violation = new LawViolation(fields)
  Error.stackTraceLimit = stackTraceLimit
  return violation
}

/** What a check reports; the suite adds which law it is and whose. */
export interface Problem {
  readonly scenario: string
  readonly expected: string
  readonly actual: string
  readonly diagram?: string | undefined
  /** Whose subject it is, where that is another law than the one that has met it. */
  readonly law?: LawNumber | undefined
}

/** A part of a law. */
export interface Part {
  /** Its place among the parts of all laws of its suite. */
  readonly rank: number
  readonly check: Effect.Effect<void, LawViolation>
}

export interface Law {
  readonly law: LawNumber
  /** `law 3, truncation: cut after any byte it fails at once, with a typed error` */
  readonly title: string
  readonly check: Effect.Effect<void, LawViolation>
  /** Its parts, where another law has something to say between them; `check` tries all of them. */
  readonly parts?: ReadonlyArray<Part> | undefined
  /** Why there is nothing to check, where that is so. */
  readonly skip?: string | undefined
}

export interface Suite {
  readonly name: string
  readonly laws: ReadonlyArray<Law>
}

/** How often a law is tried, and with which cases. */
export interface CheckOptions {
  /** How many cases each law tries. */
  readonly runs?: number | undefined
  /** Where the cases come from; a new one each time, unless given. It is printed with each failure. */
  readonly seed?: string | number | undefined
  /** The token that a failure has printed: only that case is tried, in the law that it belongs to. */
  readonly replay?: string | undefined
}

/**
 * What registers a test: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`, or anything like them.
 */
export interface Register {
  (name: string, run: () => Promise<void>): unknown
  readonly skip?: ((name: string, run: () => Promise<void>) => unknown) | undefined
}

/** What is wrong with options that have a key which nobody knows: whoever is not told by a compiler has misspelt one. */
export const mistakeIn = (what: string, given: object, known: object): TypeError | undefined => {
  const key = Object.keys(given).find((key) => !(key in known))
  return key === undefined
    ? undefined
    : new TypeError(`${what} has ${JSON.stringify(key)}, and knows ${Object.keys(known).join(", ")}`)
}

/** Registers one test for each law. */
export const register = (suite: Suite, it: Register): void => {
  for (const law of suite.laws) {
    const title = `${suite.name}, ${law.title}`
    if (law.skip === undefined) it(title, () => Effect.runPromise(law.check))
    else it.skip?.(`${title} (${law.skip})`, () => Promise.resolve())
  }
}

/** Checks laws one after another, in the order of their parts, and fails with the first violation. */
export const check = (suite: Suite): Effect.Effect<void, LawViolation> => {
  const parts = suite.laws.filter(({ skip }) => skip === undefined)
    .flatMap(({ check, law, parts }) => parts ?? [{ rank: law, check }])
  return Effect.forEach(parts.toSorted((a, b) => a.rank - b.rank), ({ check }) => check, { discard: true })
}

/**
 * A law as a property: tries cases until one breaks it, shrinks that one, and reports it with the token that replays it.
 */
export const property = <A>(
  cases: Arbitrary.Arbitrary<A>,
  holds: (value: A) => Effect.Effect<void, Problem>,
  report: (problem: Problem, replay: string) => LawViolation,
  options: CheckOptions & {
    /** How many simpler cases are tried where one has failed. */
    readonly maxShrinks?: number | undefined
  }
): Effect.Effect<void, LawViolation> =>
  Effect.flatMap(
    Arbitrary.checkEffect(cases, (value) => Effect.as(holds(value), true), {
      runs: options.runs,
      seed: options.seed,
      replay: options.replay,
      maxShrinks: options.maxShrinks
    }),
    (result) => {
      switch (result._tag) {
        case "Passed":
          return Effect.void
        case "Falsified":
          return result.failure._tag === "PropertyError"
            ? Effect.fail(report(result.failure.error, result.replay))
            : Effect.die(new Error("a law fails with a problem and never returns false"))
        case "Exhausted":
          return Effect.die(new Error(`no case could be made after ${result.discards} tries`))
        case "ReplayMismatch":
          // The token is of another law, or what it replays has been mended.
          return Effect.void
      }
    }
  )
