/**
 * The twelve laws of a handshake, as one suite: each law on each rung, for each side.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Rung from "../Rung.ts"
import * as ScriptedPeer from "../ScriptedPeer.ts"
import * as Coverage from "./coverage.ts"
import { agreement, undisturbed } from "./laws/agreement.ts"
import type { Check } from "./laws/attempt.ts"
import { chunking } from "./laws/chunking.ts"
import { conservation, nothingLost } from "./laws/conservation.ts"
import { bounded, defaultDeadline } from "./laws/deadline.ts"
import { interruption } from "./laws/interruption.ts"
import { isolation, strangers } from "./laws/isolation.ts"
import { linearCost, shortTurns } from "./laws/linearCost.ts"
import { type Any, lookedFor, mistakeOf, type Options, secretsOf } from "./laws/options.ts"
import { oversize } from "./laws/oversize.ts"
import { refusalIsHeard } from "./laws/refusalIsHeard.ts"
import { secrets } from "./laws/secrets.ts"
import { silence } from "./laws/silence.ts"
import { truncation } from "./laws/truncation.ts"
import { wrongTurn } from "./laws/wrongTurn.ts"
import * as Suite from "./suite.ts"
import { otherRole, type Peer, type Side } from "./talk.ts"
import * as Trial from "./trial.ts"
import * as Watch from "./watch.ts"

export interface HandshakeSuite extends Suite.Suite {
  readonly coverage: Effect.Effect<Coverage.Report>
}

const laws: ReadonlyArray<readonly [law: Suite.LawNumber, claim: string]> = [
  [1, "however the bytes are cut or joined, the outcome is the same"],
  [2, "what follows the handshake arrives intact, and what comes too early is not lost"],
  [3, "cut off after any byte it fails at once, and right behind the handshake it ends in order"],
  [4, "a message without end is refused within the limit"],
  [5, "what is not due now is refused with an error that names the step"],
  [6, "the deadline strikes whoever is silent or dribbles, and nobody who is ready"],
  [7, "interrupted anywhere it releases its connection, once"],
  [8, "what comes costs a constant per byte, however small the pieces"],
  [9, "no secret shows in an error, a log, a span, a metric or a transcript"],
  [10, "what one connection has learned is never seen by another"],
  [11, "the words of a refusal are heard before the connection closes"],
  [12, "client and server agree"]
]

/**
 * The laws in the order in which they speak where all of them are checked, so that a bug is told first by the law whose subject
 * it is. What an undisturbed conversation shows comes first. A handshake that drops what comes early depends on how its bytes
 * are cut as well, and one that lets anybody in breaks nearly everything; so law 2 looks at what is early before law 1 cuts,
 * and others that look at what is let in do so before law 5 has a name for it.
 */
const order: ReadonlyArray<readonly [law: Suite.LawNumber, check: Check]> = [
  [8, shortTurns],
  [12, undisturbed],
  [2, nothingLost],
  [1, chunking],
  [3, truncation],
  [10, strangers],
  [5, wrongTurn],
  [6, silence],
  [7, interruption],
  [2, conservation],
  [4, oversize],
  [8, linearCost],
  [9, secrets],
  [12, agreement],
  [10, isolation],
  [11, refusalIsHeard]
]

const keyOf = (law: Suite.LawNumber, { rung, side }: Trial.Trial): string => `${law}/${rung.name}/${side.role}/`

/** The laws of a handshake, for each side that is given, on each rung. */
export const handshake = <S extends Any = Any, C extends Any = Any>(options: Options<S, C>): HandshakeSuite => {
  const mistake = mistakeOf(options)
  if (mistake !== undefined) throw mistake
  const rungs = options.rungs ??
    (options.breathe === undefined ? [Rung.pure, Rung.memory, Rung.simulated()] : [Rung.memory, Rung.simulated()])
  const coverage = new Coverage.Tally()
  const sides: Array<{ readonly side: Side; readonly peer: Peer }> = []
  for (const role of ["server", "client"] as const) {
    const handshake = options[role]
    const peer = options[otherRole(role)] ?? options.peer
    if (handshake === undefined || peer === undefined) continue
    // The laws take their time, and the script has to wait for them.
    sides.push({
      side: { role, handshake },
      peer: Effect.isEffect(peer) ? peer : ScriptedPeer.run(peer, { timeout: "7 days" })
    })
  }
  if (sides.length === 0) {
    throw new TypeError("Laws.handshake: give a server and a client, or one of them and a peer that plays the other")
  }
  const hidden = Watch.hiding(lookedFor(options))
  const told = {
    breathe: options.breathe,
    reset: options.reset,
    isLeak: (seen: Watch.Seen) => hidden([seen]) !== undefined
  }
  const trials = rungs.flatMap((rung) =>
    sides.map(({ peer, side }) => Trial.make(rung, bounded(side, rung, options, defaultDeadline), peer, told))
  )
  const virtual = rungs.filter(({ time }) => time === "virtual")
  // All cases on the first rung, and each once more on one of the others: what differs between rungs is not what differs
  // between cases.
  const shared = <A>(
    cases: ReadonlyArray<A>,
    rung: Rung.Rung,
    placeOf?: (value: A) => number
  ): ReadonlyArray<A> => {
    const [place, others] = [virtual.indexOf(rung), virtual.length - 1]
    return place === 0 ? cases : cases.filter((value, i) => (placeOf?.(value) ?? i) % others === place - 1)
  }
  // Real sockets let everybody wait, so they wait at the same time.
  const inTurns = <E>(check: (trial: Trial.Trial) => Effect.Effect<void, E>) => {
    const [virtual, real] = [trials.filter(({ isVirtual }) => isVirtual), trials.filter(({ isVirtual }) => !isVirtual)]
    return Effect.andThen(
      Effect.forEach(virtual, check, { discard: true }),
      Effect.forEach(real, check, { discard: true, concurrency: "unbounded" })
    )
  }
  const first = trials.filter(({ rung }) => rung === virtual[0])
  const checked = (law: Suite.LawNumber, part: number, check: Check): Effect.Effect<void, Suite.LawViolation> =>
    inTurns((trial) =>
      Effect.gen(function*() {
        const { rung, side } = trial
        const key = `${keyOf(law, trial)}${part}.`
        // A case that is played again is one of one law, on one rung, for one side.
        if (options.replay !== undefined && !options.replay.startsWith(key)) return
        let properties = 0
        const where = `${side.role}, ${rung.name}`
        const report = (problem: Suite.Problem, replay?: string) => {
          // A violation is read by many.
          const shown = Watch.concealing(secretsOf(options))
          return Suite.violation({
            law: problem.law ?? law,
            suite: options.name,
            where,
            scenario: shown(problem.scenario),
            expected: shown(problem.expected),
            actual: shown(problem.actual),
            ...(replay !== undefined && { replay: key + replay }),
            ...(problem.diagram !== undefined && { diagram: shown(problem.diagram) })
          })
        }
        // Before anybody was let in.
        yield* Effect.forEach(first, ({ strangers }) => strangers, { discard: true })
        const reference = yield* Effect.mapError(trial.reference, (problem) => report(problem))
        const share = Math.ceil((options.runs ?? 200) / trials.length)
        const runs = trial.isVirtual ? share : Math.min(share, realRuns)
        const tried = <A>(cases: ReadonlyArray<A>, check: (value: A) => Effect.Effect<void, Suite.Problem>) =>
          Effect.forEach(cases, check, { discard: true, concurrency: trial.isVirtual ? 1 : 4 })
        yield* check({
          trial,
          handshake: options[side.role]!,
          reference,
          options,
          coverage: coverage.of(side.role, { ...reference, steps: reference.talk.steps }),
          turn: rungs.indexOf(rung),
          property: (cases, holds, share = 1) => {
            const own = `${++properties}/`
            const replay = options.replay?.slice(key.length)
            // It belongs to another property of the law.
            if (replay !== undefined && !replay.startsWith(own)) return Effect.void
            return Suite.property(cases, holds, (problem, token) => report(problem, own + token), {
              runs: Math.ceil(runs * share),
              seed: options.seed,
              replay: replay?.slice(own.length)
            })
          },
          each: (cases, check, { most = runs, placeOf } = {}) =>
            tried(trial.isVirtual ? shared(cases, rung, placeOf) : spread(cases, most), check),
          first: (cases, check) => tried(first.includes(trial) ? cases : [], check),
          once: (cases, check) =>
            tried(
              trial.isVirtual ? cases.filter((_, i) => virtual[i % virtual.length] === rung) : spread(cases, runs),
              check
            ),
          together: (cases, check) =>
            cases.length === 0 ? Effect.void : check(trial.isVirtual ? shared(cases, rung) : spread(cases, runs))
        }).pipe(Effect.mapError((error) => error instanceof Suite.LawViolation ? error : report(error)))
      }).pipe(
        // What the handshake logs is not what the laws have to say.
        Effect.provideService(References.CurrentLoggers, new Set())
      )
    )
  if (
    options.replay !== undefined &&
    !laws.some(([law]) => trials.some((trial) => options.replay!.startsWith(keyOf(law, trial))))
  ) {
    throw new TypeError(`Laws.handshake: ${options.replay} is no token of one of these laws`)
  }
  const skipped = (law: Suite.LawNumber): string | undefined =>
    options.replay !== undefined && !options.replay.startsWith(`${law}/`)
      ? "another law is tried again"
      : undefined
  const suite: HandshakeSuite = {
    name: options.name,
    laws: laws.map(([law, claim]) => {
      const parts = order.flatMap(([other, check], rank) => other === law ? [{ rank, check }] : [])
        .map(({ check, rank }, part): Suite.Part => ({ rank, check: checked(law, part, check) }))
      return {
        law,
        title: `law ${law}, ${Suite.names[law]}: ${claim}`,
        check: Effect.forEach(parts, ({ check }) => check, { discard: true }),
        parts,
        skip: skipped(law)
      }
    }),
    coverage: Effect.sync(() => coverage.report())
  }
  if (options.it !== undefined) Suite.register(suite, options.it)
  return suite
}

/** Real sockets make their waiting felt, so that few cases are tried on them. */
const realRuns = 8

/** At most `most` of some values, evenly spread. */
const spread = <A>(values: ReadonlyArray<A>, most: number): ReadonlyArray<A> =>
  values.length <= most
    ? values
    : Array.from({ length: most }, (_, i) => values[Math.floor((i * (values.length - 1)) / Math.max(1, most - 1))])
