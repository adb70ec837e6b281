/**
 * The laws of a dialogue: those of any handshake, told by the specification what they have to be told, and what only a
 * specification can know.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Dialogue from "../../Dialogue.ts"
import * as Handshake from "../../Handshake.ts"
import type { Role } from "../../internal/dialogue/model.ts"
import type { Spec } from "../../internal/dialogue/spec.ts"
import * as Rung from "../Rung.ts"
import * as ClearTls from "./dialogue/clearTls.ts"
import * as Coverage from "./dialogue/coverage.ts"
import { derive } from "./dialogue/derived.ts"
import * as Laws from "./dialogue/laws.ts"
import * as Stage from "./dialogue/stage.ts"
import { handshake } from "./handshakeLaws.ts"
import { type Alternative, alternatives, type Any, secretsOf, type Text } from "./laws/options.ts"
import * as Suite from "./suite.ts"
import { type Handshake as Side, otherRole, type Peer } from "./talk.ts"
import * as Trial from "./trial.ts"
import * as Watch from "./watch.ts"

export interface Options<S extends Any, C extends Any> extends Suite.CheckOptions {
  /** What it is called in the names of the tests and in violations. Default: the name of the dialogue. */
  readonly name?: string | undefined
  /** The server's side. Give this, `client`, or both. */
  readonly server?: Effect.Effect<S, unknown, Socket.Socket | Scope.Scope> | undefined
  /** The client's side. */
  readonly client?: Effect.Effect<C, unknown, Socket.Socket | Scope.Scope> | undefined
  /** Registers one test for each law: `it` of Vitest or of `@effect/vitest`, `test` of `node:test`. */
  readonly it?: Suite.Register | undefined
  /**
   * What it is tried on. Default: `Rung.pure`, `Rung.memory` and `Rung.simulated()`. What only the specification knows is tried on
   * the first one where time is virtual.
   */
  readonly rungs?: ReadonlyArray<Rung.Rung> | undefined
  /** Further conversations that are valid, which take other ways through the dialogue. */
  readonly alternatives?: ReadonlyArray<Alternative<S, C>> | undefined
  /**
   * Whether a client may begin TLS with whoever shows any certificate (`verify: "none"`), or any that its authority has signed,
   * whatever the name (`"authority"`, as `verify` is then). Default: it may not.
   */
  readonly anyCertificate?: boolean | "authority" | undefined
  /** Secrets that are never said, such as the key of a proof: no field is known to hold them. Law 9 looks for them, too. */
  readonly secrets?: ReadonlyArray<Text | Redacted.Redacted<string>> | undefined
  /** Fails where a transition was never taken, a field never altered, or a message never said where it is not due. */
  readonly coverage?: "whole" | undefined
  /** How much of something of yours handshakes hold now, such as permits. Law 7 looks whether it is given back. */
  readonly held?: Effect.Effect<number> | undefined
  /** Runs before each conversation: for a server that remembers something, such as how often somebody has failed. */
  readonly reset?: Effect.Effect<void> | undefined
  /** What to wait for, in real time, before a handshake is taken to be waiting for its peer. Default: one turn. */
  readonly breathe?: Effect.Effect<void> | undefined
}

export interface DialogueSuite extends Suite.Suite {
  readonly coverage: Effect.Effect<Coverage.Report>
}

const defaultRuns = 200

/** How many walks are drawn to find one that a side lets in, where nobody plays the other side. */
const searched = 60

/** What is done about a side, and about each of its conversations that are known: what costs least comes first. */
const ownLaws: ReadonlyArray<
  readonly [law: Suite.LawNumber, rank: number, check: (attempt: Laws.Attempt) => Effect.Effect<void, Laws.Problem>]
> = [
  [12, -10, Laws.undisturbed],
  [8, -9.8, Laws.turns],
  [1, -9.5, Laws.inPieces],
  [11, -9, Laws.turnedAway],
  [6, -8, Laws.deadlines],
  [4, -7, Laws.loops],
  [4, -6, Laws.lengths],
  [10, -5, Laws.fresh],
  [10, -4.9, Laws.beside],
  [10, -4.85, Laws.together],
  [7, -4.8, Laws.left],
  [9, -4, Laws.secrets],
  [5, -4, Laws.certificates],
  [5, -3, Laws.fields],
  [5, -2, Laws.messages],
  [12, -1, Laws.walks]
]

export const dialogue = <S extends Any = Any, C extends Any = Any>(
  { dialogue: spec }: Dialogue.Any,
  options: Options<S, C>
): DialogueSuite => {
  const name = options.name ?? spec.name
  const mistake = mistakeOf(options)
  if (mistake !== undefined) throw mistake
  const roles = (["server", "client"] as const).filter((role) => options[role] !== undefined)
  if (roles.length === 0) throw new TypeError("Laws.dialogue: give a server, a client, or both")
  const rungs = options.rungs ??
    (options.breathe === undefined ? [Rung.pure, Rung.memory, Rung.simulated()] : [Rung.memory, Rung.simulated()])
  const own = rungs.find(({ time }) => time === "virtual") ?? (options.breathe === undefined ? Rung.pure : Rung.memory)
  const tally = new Coverage.Tally(spec, roles)
  const verified = new Set<"authority" | "none">()
  const looksAtNames = (options.anyCertificate ?? false) === false
  let servername: string | undefined
  const told: ClearTls.Told = (tls) => {
    if (tls.role !== "client") return
    servername = tls.servername
    if (tls.verify === "authority" || tls.verify === "none") verified.add(tls.verify)
  }
  const mayTake = (verify: "authority" | "none") => options.anyCertificate === true || options.anyCertificate === verify
  const staged = <H extends Side | undefined>(side: H): H =>
    // What it needs besides its socket was provided already.
    (side === undefined || !Stage.isEncrypted(spec) ? side : ClearTls.within(side, told)) as H
  const given = { server: staged(options.server), client: staged(options.client) }
  const others = (options.alternatives ?? []).map(({ client, server, ...rest }) => ({
    ...rest,
    server: staged(server),
    client: staged(client)
  }))

  const prepared = new Map<Role, Effect.Effect<Laws.Attempt>>()
  for (const role of roles) {
    prepared.set(
      role,
      remembered(Effect.gen(function*() {
        const side = given[role]!
        const peer = given[otherRole(role)]
        const trial = Trial.make(own, { role, handshake: side }, peer ?? Effect.never, options)
        const found = peer === undefined
          ? yield* searchedFor(spec, trial, side, tally, options.seed)
          : [{ name: "", peer }]
        const stage = Stage.make(spec, trial, side, found[0]!.peer ?? Effect.never, tally.walked)
        const conversations = [
          ...found,
          ...(peer === undefined ? [] : others.map((alternative, i) => ({
            name: alternative.name ?? `alternative ${i + 1}`,
            peer: alternative[otherRole(role)],
            handshake: alternative[role]
          })))
        ]
        return yield* Laws.attempt(stage, conversations, {
          tally,
          runs: options.runs ?? defaultRuns,
          seed: seedOf(options.seed),
          isAlone: peer === undefined,
          unsaid: secretsOf(options),
          takesCertificates: () =>
            (["none", "authority"] as const).find((verify) => verified.has(verify) && !mayTake(verify)),
          nameIn: (play) =>
            Effect.suspend(() => {
              servername = undefined
              return Effect.map(play, (played) => [played, looksAtNames ? servername : undefined])
            }),
          remake: (handshake) => Trial.make(own, { role, handshake }, found[0]!.peer ?? Effect.never, options)
        })
      }))
    )
  }

  const base = remembered(Effect.gen(function*() {
    const attempts = yield* Effect.forEach(roles, (role) => prepared.get(role)!)
    const ready = attempts.filter(({ references }) => references[0]?.isReady === true)
    if (ready.length === 0) return undefined
    return handshake({
      ...derive(spec, ready),
      name,
      rungs,
      // What it alters without knowing what that means was altered before by what the specification knows.
      runs: Math.ceil((options.runs ?? defaultRuns) / 2),
      seed: options.seed,
      replay: options.replay,
      held: options.held,
      reset: options.reset,
      breathe: options.breathe,
      ...(roles.length === 2
        ? {
          ...withDeadlines(spec, given),
          alternatives: others.map((one) => {
            const { client, server } = withDeadlines(spec, one)
            return { ...one, client, server }
          })
        }
        : { ...withDeadlines(spec, given), peer: ready[0]!.stage.peer })
    })
  }))

  const checked = (check: (attempt: Laws.Attempt) => Effect.Effect<void, Laws.Problem>, law: Suite.LawNumber) =>
    options.replay !== undefined ?
      Effect.void :
      Effect.forEach(
        roles,
        (role) =>
          Effect.flatMap(prepared.get(role)!, (attempt) =>
            Effect.mapError(check(attempt), (problem) => {
              const shown = Watch.concealing(attempt.secrets)
              return Suite.violation({
                law: problem.law ?? law,
                suite: name,
                where: `${role}, ${own.name}`,
                scenario: shown(problem.scenario),
                expected: shown(problem.expected),
                actual: shown(problem.actual),
                ...(problem.diagram !== undefined && { diagram: shown(problem.diagram) })
              })
            })),
        { discard: true }
      ).pipe(
        Watch.watching,
        // What the handshake logs is not what the laws have to say.
        Effect.provideService(References.CurrentLoggers, new Set())
      )

  // Only its titles and the order of its parts: whatever it is told, they are the same.
  const shape = handshake({ name, server: Effect.never, client: Effect.never, replay: options.replay, rungs })
  const suite: DialogueSuite = {
    name,
    laws: shape.laws.map((law, i): Suite.Law => {
      const parts: Array<Suite.Part> = [
        ...ownLaws.filter(([number]) => number === law.law).map(([, rank, check]) => ({
          rank,
          check: checked(check, law.law)
        })),
        // Where TLS begins not all of it can come at once: see `inPieces`.
        ...(law.law === 1 && Stage.isEncrypted(spec) ? [] : law.parts!).map(({ rank }, part) => ({
          rank,
          check: Effect.mapError(
            Effect.flatMap(base, (base) => base?.laws[i]!.parts![part]!.check ?? Effect.void),
            advised
          )
        })),
        ...(law.law === 12 && options.coverage === "whole" ? [{ rank: Infinity, check: whole(name, tally) }] : [])
      ]
      return { ...law, parts, check: Effect.forEach(parts, ({ check }) => check, { discard: true }) }
    }),
    coverage: Effect.sync(() => tally.report())
  }
  if (options.it !== undefined) Suite.register(suite, options.it)
  return suite
}

/** What is only heard if it is spelled right, of whoever is not told by a compiler. */
const known: Readonly<Record<keyof Options<Any, Any>, true>> = {
  alternatives: true,
  anyCertificate: true,
  breathe: true,
  client: true,
  coverage: true,
  held: true,
  it: true,
  name: true,
  replay: true,
  reset: true,
  rungs: true,
  runs: true,
  secrets: true,
  seed: true,
  server: true
}

/** What is wrong with the options themselves. */
const mistakeOf = (options: Options<any, any>): TypeError | undefined => {
  const found = Suite.mistakeIn("the options of Laws.dialogue", options, known)
  if (found !== undefined) return found
  const given: unknown = options.alternatives ?? []
  const shape = "a list of sides that are let in as well, such as [{ client }]"
  if (!Array.isArray(given)) return new TypeError(`\`alternatives\` of Laws.dialogue is ${shape}`)
  for (const one of given as ReadonlyArray<unknown>) {
    if (!Predicate.isObject(one) || Effect.isEffect(one)) {
      return new TypeError(`\`alternatives\` of Laws.dialogue is ${shape}, and one of them is no object with sides`)
    }
    const mistake = Suite.mistakeIn("one of `alternatives` of Laws.dialogue", one, alternatives)
    if (mistake !== undefined) return mistake
  }
  return undefined
}

/** What a dialogue lets in is said by the dialogue, and not by options. */
const advised = (violation: Suite.LawViolation): Suite.LawViolation => {
  if (!violation.expected.includes("`accepts`")) return violation
  const { actual, diagram, law, replay, scenario, suite, where } = violation
  return Suite.violation({
    law,
    suite,
    where,
    scenario,
    expected: violation.expected.replace("`accepts` says", "`Dialogue.free`, or one of `alternatives`, says"),
    actual,
    ...(replay !== undefined && { replay }),
    ...(diagram !== undefined && { diagram })
  })
}

const whole = (name: string, tally: Coverage.Tally): Effect.Effect<void, Suite.LawViolation> =>
  Effect.suspend(() => {
    const holes = Coverage.holes(tally.report())
    return holes.length === 0 ? Effect.void : Effect.fail(Suite.violation({
      law: 12,
      suite: name,
      where: "coverage",
      scenario: "all of it was tried",
      expected: "nothing is left out; `alternatives` take other ways",
      actual: holes.join("; ")
    }))
  })

/** Once for all laws. */
const remembered = <A>(make: Effect.Effect<A>): Effect.Effect<A> => {
  let known: { readonly value: A } | undefined
  return Effect.suspend(() =>
    known !== undefined ? Effect.succeed(known.value) : Effect.map(make, (value) => {
      known = { value }
      return value
    })
  )
}

const seedOf = (seed: string | number | undefined): number =>
  typeof seed === "number" ? seed : seed === undefined ? 0 : Stage.chance(0, seed, 0x7fff_ffff)

/** No state of a dialogue lasts as long as this, so that it is the first to strike. */
const withDeadlines = (
  spec: Spec,
  sides: { readonly server?: Side | undefined; readonly client?: Side | undefined }
): {
  readonly server?: Side | undefined
  readonly client?: Side | undefined
  readonly deadline?: Duration.Duration
} => {
  const within = Array.from(spec.states.values()).flatMap(({ within }) =>
    within === undefined ? [] : [Duration.toMillis(within)]
  )
  const least = Math.min(...within)
  if (least > defaultDeadline) return sides
  const deadline = Duration.millis(least / 2)
  const bounded = (side: Side | undefined) => side === undefined ? undefined : Handshake.deadline(side, deadline)
  return { server: bounded(sides.server), client: bounded(sides.client), deadline }
}

/** What the laws of handshakes set whoever has no deadline of his own. */
const defaultDeadline = 10_000

/** Conversations that the specification holds with a side, first one in which that is ready. */
const searchedFor = (
  spec: Spec,
  trial: Trial.Trial,
  handshake: Side,
  tally: Coverage.Tally,
  seed: string | number | undefined
): Effect.Effect<ReadonlyArray<Laws.Conversation>> =>
  Effect.gen(function*() {
    const role = otherRole(trial.side.role)
    const ways = new Map<string, Laws.Conversation & { readonly isReady: boolean }>()
    for (let i = 0; i < searched && ways.size < 4; i++) {
      const peer: Peer = Stage.player(spec, role, Stage.drawing(seedOf(seed) + i, new Map()))
      const { talk, walk } = yield* Stage.make(spec, trial, handshake, peer, tally.walked).play({ peer })
      const way = [...walk.taken.map(({ state, tag }) => `${state.name} ${tag}`), walk.end._tag].join(" ")
      if (!ways.has(way)) ways.set(way, { name: `walk ${i + 1}`, peer, isReady: Trial.isReady(talk) })
    }
    return Array.from(ways.values()).toSorted((a, b) => Number(b.isReady) - Number(a.isReady))
  })
