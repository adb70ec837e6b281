/**
 * One side of a handshake on one rung, ready to be tried: has conversations, knows what an undisturbed one is like, and
 * says in words what came of a disturbed one.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Excerpt from "../../Excerpt.ts"
import { isHandshakeError } from "../../HandshakeError.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import * as Transcript from "../../Transcript.ts"
import { isTransportError } from "../../TransportError.ts"
import * as Rung from "../Rung.ts"
import { converse } from "./conversation.ts"
import { Simulation } from "./simulation.ts"
import type { Problem } from "./suite.ts"
import { otherRole, type Peer, type Plan, type Side, type Talk } from "./talk.ts"
import * as Turns from "./turns.ts"
import * as Watch from "./watch.ts"

/** What an undisturbed conversation is like. */
export interface Reference {
  readonly talk: Talk
  /** What the peer says in its handshake, message by message, up to the last one that the side under test needs. */
  readonly messages: ReadonlyArray<Uint8Array>
  /** How many bytes of it the side under test needs to become ready. */
  readonly needed: number
  /** What the peer says in its handshake beyond that. */
  readonly beyond: Uint8Array
  /** Where messages begin and end, in bytes. */
  readonly borders: ReadonlyArray<number>
  /** The step that hears each of the messages, and all that wait for the peer. */
  readonly heardIn: ReadonlyArray<string>
  readonly waiting: ReadonlyArray<string>
}

/** A conversation, with what can be seen of it besides. */
export interface Witnessed {
  readonly talk: Talk
  readonly seen: () => ReadonlyArray<Watch.Seen>
}

export interface Trial {
  readonly rung: Rung.Rung
  readonly side: Side
  readonly peer: Peer
  /** Has a conversation. */
  readonly talk: (plan: Plan) => Effect.Effect<Talk>
  /**
   * Has a conversation that several laws look at, each for what is its own. Where time is virtual it would go the same way for
   * each of them, so that it is had once: for the first of them that asks for one of this name.
   */
  readonly witnessed: (name: string, plan: Plan) => Effect.Effect<Witnessed>
  /** Has several at once. */
  readonly talks: (plans: ReadonlyArray<Plan>) => Effect.Effect<ReadonlyArray<Talk>>
  readonly reference: Effect.Effect<Reference, Problem>
  /** Whether it lets somebody in who says one message with another bit, the first time that this is asked: message by message. */
  readonly strangers: Effect.Effect<ReadonlyArray<boolean>>
  readonly isVirtual: boolean
}

// Whoever checks a law may live in a time of its own, such as that of a test. Real sockets do not.
const realTime = Context.make(Clock.Clock, Context.get(Context.empty(), Clock.Clock)).pipe(
  Context.add(Scheduler.Scheduler, Context.get(Context.empty(), Scheduler.Scheduler))
)

const isPure = ({ connect }: Rung.Rung): boolean => connect === Rung.pure.connect

/** All that a handshake on plain function calls may wait for. */
const microtasks = Effect.promise(() => Promise.resolve())

/** One turn of the event loop, for which a scheduler would take three times as long as the platform does. */
const turn: Effect.Effect<void> = typeof setImmediate === "undefined"
  ? Effect.yieldNow
  : Effect.callback((resume) => {
    const immediate = setImmediate(() => resume(Effect.void))
    return Effect.sync(() => clearImmediate(immediate))
  })

export const make = (
  rung: Rung.Rung,
  side: Side,
  peer: Peer,
  options: {
    readonly breathe?: Effect.Effect<void> | undefined
    readonly reset?: Effect.Effect<void> | undefined
    /** What must not be printed. */
    readonly isLeak?: ((seen: Watch.Seen) => boolean) | undefined
  }
): Trial => {
  const breathe = isPure(rung) ? microtasks : options.breathe ?? turn
  const inItsTime = <A>(effect: Effect.Effect<A>): Effect.Effect<A> =>
    rung.time === "real"
      ? Effect.provideContext(effect, realTime)
      : Effect.flatMap(
        Effect.suspend(() => new Simulation().run(effect, breathe)),
        (exit) => exit ?? Effect.die(new Error("a conversation has not ended"))
      )
  const conversation = (plan: Plan) =>
    converse(rung, side, peer, plan).pipe(
      Effect.provideService(Random.Random, seeded(plan.random ?? 0)),
      Effect.orDie
    )
  const afresh = <A>(effect: Effect.Effect<A>) =>
    options.reset === undefined ? effect : Effect.andThen(options.reset, effect)
  const talk = (plan: Plan) => afresh(inItsTime(conversation(plan)))
  const witnesses = new Map<string, Witnessed>()
  let known: Effect.Effect<Reference, Problem> | undefined
  let strangers: Effect.Effect<ReadonlyArray<boolean>> | undefined
  return {
    rung,
    side,
    peer,
    talk,
    witnessed: (name, plan) =>
      Effect.suspend(() => {
        const known = witnesses.get(name)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.map(Watch.watched(talk(plan), options.isLeak ?? (() => false)), ([talk, seen]) => {
          const witnessed = { talk, seen }
          if (rung.time === "virtual") witnesses.set(name, witnessed)
          return witnessed
        })
      }),
    talks: (plans) => afresh(inItsTime(Effect.forEach(plans, conversation, { concurrency: "unbounded" }))),
    reference: Effect.suspend(() =>
      known ?? Effect.onExit(
        Effect.flatMap(talk({}), (talk) => referenceOf(rung, side, talk)),
        (exit) =>
          Effect.sync(() => {
            if (Exit.isSuccess(exit) || !Cause.hasInterrupts(exit.cause)) known = exit
          })
      )
    ),
    strangers: Effect.suspend(() =>
      strangers ?? Effect.gen(function*() {
        const found: Array<boolean> = []
        while (found.length < mostStrangers) {
          const known = yield* talk(stranger(found.length))
          if (known.said.length <= found.length) break
          found.push(isReady(known))
        }
        strangers = Effect.succeed(found)
        return found
      })
    ),
    isVirtual: rung.time === "virtual"
  }
}

/** Effect's seeded numbers, which are made when the first one is drawn: most conversations draw none. */
const seeded = (seed: number): typeof Random.Random.Service => {
  let made: typeof Random.Random.Service | undefined
  const numbers = () => made ??= Effect.runSync(Random.withSeed(Random.Random, seed))
  return {
    nextIntUnsafe: () => numbers().nextIntUnsafe(),
    nextDoubleUnsafe: () => numbers().nextDoubleUnsafe()
  }
}

const mostStrangers = 8

/** A message with another bit in its middle, and what it was of one that has that. */
export const otherBit = (message: Uint8Array): Uint8Array => {
  const said = new Uint8Array(message)
  if (said.length > 0) said[(said.length - 1) >> 1] ^= 1
  return said
}

/** Says one message with another bit in its middle. */
export const stranger = (index: number): Plan => ({
  say: (i, message) => i === index ? otherBit(message) : message
})

const referenceOf = (
  rung: Rung.Rung,
  side: Side,
  talk: Talk
): Effect.Effect<Reference, Problem> => {
  if (talk.exit === undefined || Exit.isFailure(talk.exit) || talk.rest === undefined) {
    const peer = talk.peerExit !== undefined && Exit.isFailure(talk.peerExit)
      ? `; its peer ${ended(talk.peerExit)}`
      : ""
    // It has waited, or its deadline has struck though nothing was late.
    const waits = talk.exit === undefined || talk.endedAt >= 1000
    const hint = !waits || rung.time === "real"
      ? ""
      : isPure(rung)
      ? " (if it waits for a promise, leave out Rung.pure)"
      : " (if it waits for something that is not on the clock, such as another thread, give `breathe`)"
    return Effect.fail({
      law: talk.opened > 1 ? 7 : 12,
      scenario: "nobody disturbs the conversation",
      expected: talk.opened > 1
        ? `the ${side.role} becomes ready, and opens its connection once; it was opened ${talk.opened} times`
        : `the ${side.role} becomes ready`,
      actual: outcome(talk) + peer + hint,
      diagram: diagram(side, talk)
    })
  }
  const late = lingering(talk)
  if (late !== undefined) {
    const scenario = "nobody disturbs the conversation"
    return Effect.fail({ law: 7, scenario, ...late, diagram: diagram(side, talk) })
  }
  const said = concat(talk.messages)
  const needed = said.length - talk.rest.length
  const messages: Array<Uint8Array> = []
  const borders: Array<number> = [0]
  for (const message of talk.messages) {
    const from = borders[borders.length - 1]
    if (from >= needed) break
    messages.push(message)
    borders.push(from + message.length)
  }
  return Effect.succeed({
    talk,
    messages,
    needed,
    beyond: said.subarray(needed),
    borders,
    ...waitingOf(talk, borders)
  })
}

/**
 * Who watches sees each frame where it is taken. Where nobody does, and where TLS has taken them, it is where the side was when
 * they were said to it.
 */
const waitingOf = (
  { receivedIn, toldIn }: Talk,
  borders: ReadonlyArray<number>
): Pick<Reference, "heardIn" | "waiting"> => {
  const ends = borders.slice(1)
  const received = receivedIn.map(({ step }) => step)
  return (receivedIn.at(-1)?.end ?? 0) === (ends.at(-1) ?? 0)
    ? { heardIn: ends.map((border) => receivedIn.find(({ end }) => end >= border)!.step), waiting: received }
    : { heardIn: toldIn.slice(0, ends.length), waiting: [...toldIn, ...received] }
}

/** For a second it may flush what it has said. */
const mayLinger = 2000

/** That a side goes on when nothing is left of its handshake; undefined where it does not. */
export const lingering = ({ lingered, overAt }: Talk): Pick<Problem, "expected" | "actual"> | undefined =>
  lingered <= mayLinger ? undefined : {
    expected: "it ends at once, but for the second in which it may flush what it has said, and so do its finalizers",
    actual: lingered === Infinity ? "it has not ended" : `it has ended after ${overAt} ms, ${lingered} ms late`
  }

/**
 * How long the longest turn of a side is in a conversation that was had, if it keeps others waiting; undefined where it does not. What
 * its peer does is the peer's: the side hears the same once more without it, and if it ends otherwise then nobody knows whose it is.
 */
export const busyIn = (
  trial: Trial,
  { handshake, random, seed }: Plan,
  talk: Talk,
  again: Effect.Effect<unknown>,
  most = Turns.tooBusy
): Effect.Effect<number | undefined> =>
  Effect.gen(function*() {
    const both = trial.isVirtual ? yield* Turns.busy(again, talk.worked, most) : undefined
    if (both === undefined) return undefined
    const plan = { handshake, random, seed, script: concat(talk.said) }
    const [alone, own] = yield* Turns.shortest(trial.talk(plan), most, 3)
    if (outcome(alone) !== outcome(talk)) return both
    return Turns.isLong(own, most) ? own : undefined
  })

/** How a handshake has ended, in words that follow "it". */
export const ended = (exit: Exit.Exit<unknown, unknown> | undefined): string => {
  if (exit === undefined) return "was still waiting when nothing could happen any more"
  if (Exit.isSuccess(exit)) return "became ready"
  if (Cause.hasInterruptsOnly(exit.cause)) return "was interrupted"
  const error = Cause.squash(exit.cause)
  if (Cause.hasDies(exit.cause)) return `died of a defect: ${Excerpt.ofText(String(error))}`
  if (isHandshakeError(error)) {
    return `failed at step ${Excerpt.ofText(error.step)} with ${error.reason._tag}: ${
      Excerpt.ofText(error.reason.message)
    }`
  }
  return `failed with ${Excerpt.ofText(String(error))}`
}

export const outcome = (talk: Talk): string => `it ${ended(talk.exit)}`

export const isReady = (talk: Talk): boolean => talk.exit !== undefined && Exit.isSuccess(talk.exit)

/** Whether all that it needs was said: its messages may be shorter than those that are known. */
export const isComplete = ({ messages }: Reference, talk: Talk): boolean =>
  talk.isAllTold &&
  (talk.messages.length >= messages.length || talk.peerExit !== undefined && Exit.isSuccess(talk.peerExit))

/** What is wrong with the failure of a handshake as a failure; undefined where it is a typed error that says enough. */
export const flawOf = (talk: Talk): string | undefined => {
  const { exit } = talk
  if (exit === undefined) return outcome(talk)
  if (Exit.isSuccess(exit)) return undefined
  if (Cause.hasDies(exit.cause) || Cause.hasInterruptsOnly(exit.cause)) return outcome(talk)
  const error = Cause.squash(exit.cause)
  if (isTransportError(error)) {
    return `it failed with a bare TransportError, which names no step (end the handshake with Handshake.named): ${
      Excerpt.ofText(error.message)
    }`
  }
  if (!isHandshakeError(error)) {
    return typeof error === "object" && error !== null && "_tag" in error
      ? undefined
      : `it failed with something that has no tag: ${Excerpt.ofText(String(error))}`
  }
  if (error.step.trim() === "") return `${outcome(talk)}; the step has no name`
  // A step of its own may be called like the opening.
  return talk.steps.length === 1 && error.step === talk.steps[0] && talk.pulled > 0
    ? `${outcome(talk)}; it had read ${talk.pulled} bytes by then, and that step was over (name the steps of a ` +
      "handshake by hand with Handshake.step)"
    : undefined
}

/** How many lines of a conversation a violation draws at each of its ends. */
const drawn = 12

/** Nothing, where nobody has watched. */
export const diagram = (side: Side, { transcript }: Talk): string | undefined => {
  if (transcript.length === 0) return undefined
  const left = transcript.length - 2 * drawn
  const omitted: Transcript.Note = { direction: "note", atMs: transcript[drawn]?.atMs ?? 0, frame: `${left} more` }
  const shown = left <= 0 ? transcript : [...transcript.slice(0, drawn), omitted, ...transcript.slice(-drawn)]
  return Transcript.diagram(shown, { self: side.role, peer: otherRole(side.role) })
}

/** Bytes as scenarios show them. */
export const show = (bytes: Uint8Array): string => bytes.length === 0 ? "nothing" : Excerpt.ofBytes(bytes)

/** The first `count` bytes of what is said, with the place where it stops. A message with a secret is stars. */
export const showUpTo = ({ messages, talk: { hidden } }: Reference, count: number): string => {
  const said = concat(messages.map((message, i) => hidden[i] === true ? message.map(() => star) : message))
  const from = Math.max(0, count - 32)
  return `${from > 0 ? "…" : ""}${Excerpt.ofBytes(said.subarray(from, count))} | ${
    Excerpt.ofBytes(said.subarray(count), 32)
  }`
}

const star = 0x2a

/** Where two arrays of bytes first differ; -1 where they are the same. */
export const firstDifference = (a: Uint8Array, b: Uint8Array): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i
  return a.length === b.length ? -1 : length
}
