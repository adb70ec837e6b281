/**
 * Where a side of a dialogue is tried: has conversations with it, and follows them by the specification.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { concat } from "../../../internal/bytes/primitives.ts"
import * as Draw from "../../../internal/dialogue/draw.ts"
import type { Values } from "../../../internal/dialogue/fields.ts"
import { follow, isRefused, type Walk } from "../../../internal/dialogue/follow.ts"
import type { Role, Target } from "../../../internal/dialogue/model.ts"
import * as Run from "../../../internal/dialogue/run.ts"
import { type Compiled, type Spec, stateOf } from "../../../internal/dialogue/spec.ts"
import type { Handshake, Peer, Plan, Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { isHello, within } from "./clearTls.ts"
import { errorOf, otherwiseIn } from "./judge.ts"

/** A message is replaced: which one of the peer's, and where it is due. */
export interface Instead {
  readonly nth: number
  readonly state: Compiled
  readonly say: (due: Uint8Array) => Uint8Array | undefined
}

export interface Playing extends Omit<Plan, "say" | "alters"> {
  readonly instead?: Instead | undefined
}

export interface Played {
  readonly talk: Talk
  readonly walk: Walk
  /** What the peer said, message by message, and what was to be said in the place of the one that was replaced. */
  readonly messages: ReadonlyArray<Uint8Array>
  readonly due: Uint8Array | undefined
  readonly said: Uint8Array | undefined
}

export interface Stage {
  readonly spec: Spec
  readonly role: Role
  readonly trial: Trial.Trial
  readonly handshake: Handshake
  readonly peer: Peer
  readonly play: (playing: Playing) => Effect.Effect<Played>
  /** What a conversation is as specified, whoever has had it. */
  readonly walkOf: (talk: Talk, script?: Uint8Array) => Walk
}

/** Whether any state of it is behind TLS, so that what is on the wire is not what is said. */
export const isEncrypted = ({ states }: Spec): boolean =>
  Array.from(states.values()).some(({ targets }) =>
    Array.from(targets.values()).some((target) => typeof target === "object" && target._tag === "Encrypted")
  )

export const make = (
  spec: Spec,
  trial: Trial.Trial,
  handshake: Handshake,
  peer: Peer,
  onWalk: (walk: Walk) => void
): Stage => {
  const { role } = trial.side
  const walkOf = (talk: Talk, script?: Uint8Array): Walk => {
    const walk = follow(spec, bySide(role, said(talk.written), script ?? said(inTime(spec, role, talk))))
    onWalk(walk)
    return walk
  }
  const play = ({ instead, ...plan }: Playing): Effect.Effect<Played> => {
    let replaced: readonly [due: Uint8Array, said: Uint8Array] | undefined
    let nth = 0
    const say = (_: number, message: Uint8Array): Uint8Array => {
      if (isHello(message)) return message
      const said = nth++ === instead?.nth ? instead.say(message) : undefined
      if (said === undefined) return message
      replaced = [message, said]
      return said
    }
    return Effect.map(trial.talk(instead === undefined ? plan : { ...plan, say }), (talk): Played => ({
      talk,
      walk: walkOf(talk, plan.script),
      messages: talk.messages.filter((message) => !isHello(message)),
      due: replaced?.[0],
      said: replaced?.[1]
    }))
  }
  return { spec, role, trial, handshake, peer, play, walkOf }
}

/** What was said before a side waited no longer and said so: the rest was heard by nobody. */
const inTime = (spec: Spec, role: Role, talk: Talk): ReadonlyArray<Uint8Array> => {
  const error = errorOf(talk)
  const state = error?.reason._tag === "Timeout" ? spec.states.get(error.step) : undefined
  const words = state === undefined ? undefined : otherwiseIn(spec, role, state, error!.reason)
  const last = talk.written.length
  const isLastWord = words !== undefined && last > 0 &&
    Trial.firstDifference(talk.written[last - 1]!, words.bytes) === -1
  return isLastWord ? talk.said.filter((_, i) => talk.writesBefore[i]! < last) : talk.said
}

/** What was said, without what begins TLS. */
const said = (messages: ReadonlyArray<Uint8Array>): Uint8Array =>
  concat(messages.filter((message) => !isHello(message)))

const bySide = (role: Role, own: Uint8Array, others: Uint8Array): Readonly<Record<Role, Uint8Array>> =>
  role === "client" ? { client: own, server: others } : { client: others, server: own }

// ---------------------------------------------------------------------------------------------------------------------
// Who plays the other side where nobody is given
// ---------------------------------------------------------------------------------------------------------------------

/** What is said in a state, in which turn, and how often each state was come to. */
export type Choose = (
  state: Compiled,
  turn: number,
  visits: ReadonlyMap<string, number>
) => readonly [tag: string, values: Values] | undefined

/** Nothing is left to say. */
const silent = Effect.fail({ _tag: "Silent" } as const)

/** Plays a side of a dialogue: says in each of its turns what is chosen, and hears what is specified. */
export const player = (spec: Spec, role: Role, choose: Choose): Peer => {
  const played = Run.talk(spec, role, (first) => walking(spec, first, choose))
  return isEncrypted(spec) ? within(played) : played
}

/** Nobody looks at them where TLS encrypts nothing. */
const noCertificate = { certificate: { cert: "", key: Redacted.make("") } }

const walking = (spec: Spec, first: Run.Place, choose: Choose): Effect.Effect<Run.Place, unknown> =>
  Effect.gen(function*() {
    let place = first
    let state = spec.start
    let turns = 0
    const visits = new Map([[state.name, 1]])
    const went = (target: Target) => {
      const next = stateOf(target)
      if (next === undefined) return
      state = spec.states.get(next)!
      visits.set(next, (visits.get(next) ?? 0) + 1)
    }
    for (;;) {
      if (place instanceof Run.Listening) {
        const heard: Run.Heard = yield* place.receive
        went(state.targets.get(heard._tag)!)
        place = heard.then
      } else if (place instanceof Run.Speaking || place instanceof Run.Exchanging) {
        const chosen = choose(state, turns++, visits)
        if (chosen === undefined) return yield* silent
        const [tag, values] = chosen
        const target = state.targets.get(tag)!
        if (isRefused(target)) return yield* place.refuse(tag, values)
        if (place instanceof Run.Exchanging) {
          const heard: Run.Heard = yield* place.exchange(tag, values)
          place = heard.then
        } else place = yield* place.say(tag, values)
        went(target)
      } else if (place instanceof Run.Securing) place = yield* place.startTls<never, never>(noCertificate)
      else return place
    }
  })

/** A number that a seed gives, below a limit. */
export const chance = (seed: number, salt: string, below: number): number => {
  let hash = 0x811c9dc5 ^ seed
  for (let i = 0; i < salt.length; i++) hash = Math.imul(hash ^ salt.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((hash ^ (hash >>> 12)) >>> 0) % below
}

/** What is known to be let in, by state and message. */
export type Known = ReadonlyMap<string, ReadonlyArray<Values>>

export const keyOf = (state: Compiled, tag: string): string => `${state.name} ${tag}`

/** Messages drawn by a seed: of each state any of its messages, with fields that are known or drawn. */
export const drawing = (seed: number, known: Known): Choose => (state, turn) => {
  const salt = `${turn}.${state.name}`
  const onward = state.due.filter((tag) => !isRefused(state.targets.get(tag)))
  const all = chance(seed, `${salt}.no`, 6) === 0 ? state.due : onward
  const tag = all[chance(seed, salt, all.length)]!
  const values = known.get(keyOf(state, tag))
  if (values !== undefined && chance(seed, `${salt}.known`, 4) !== 0) {
    return [tag, values[chance(seed, `${salt}.which`, values.length)]!]
  }
  const fields = Draw.draw(state, tag, chance(seed, `${salt}.draw`, 0x7fff_ffff))
  return fields === undefined ? undefined : [tag, fields]
}
