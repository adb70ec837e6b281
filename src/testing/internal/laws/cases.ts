/**
 * The cases that laws of a handshake share: how what is said is cut, what is wrong at its place, where it stops.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { concat } from "../../../internal/bytes/primitives.ts"
import type * as Suite from "../suite.ts"
import { otherRole, type Peer, type Plan, type Stop, type Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { type Attempt, problem } from "./attempt.ts"
import { type AnyOptions, bytesOf, refusalsOf, type WrongTurn } from "./options.ts"

export const nothing = new Uint8Array(0)

export const ints = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

/** How what is said is cut, and the seed of whatever else is left to chance. */
export interface Cutting {
  readonly lengths: ReadonlyArray<number>
  readonly seed: number
  /** Whether time passes between the pieces. */
  readonly slow: boolean
}

export const cuttings: Arbitrary.Arbitrary<Cutting> = Arbitrary.all({
  lengths: Arbitrary.array(ints(1, 20), { minLength: 1, maxLength: 6 }),
  seed: ints(0, 0x7fff_ffff),
  slow: Arbitrary.schema(Schema.Boolean)
})

/** All of it takes no more than a good second, far from any deadline. */
export const pacing = ({ slow }: Cutting, said: number): Plan["pace"] =>
  slow ? { millis: Math.min(50, 1200 / Math.max(1, said)) } : undefined

export const bytes = (maxLength: number) =>
  Arbitrary.map(Arbitrary.array(ints(0, 255), { maxLength }), (numbers) => Uint8Array.from(numbers))

export const inPieces = ({ lengths, slow }: Pick<Cutting, "lengths" | "slow">): string =>
  `in pieces of ${lengths.join(", ")} bytes${slow ? ", one after another" : ""}`

/** Something that is said in the place of a message. */
export interface Candidate {
  readonly index: number
  readonly said: Uint8Array
  readonly what: string
  /** Its number among all of them. */
  readonly number: number
}

const [lf, cr] = [0x0a, 0x0d]

/** Where a message ends that has a delimiter behind it: a line end, or whatever stands behind the frame that it is made of. */
const endOf = (message: Uint8Array, frame: unknown): number => {
  if (message.at(-1) === lf) return message.length - (message.at(-2) === cr ? 2 : 1)
  const content = typeof frame === "string" ? bytesOf(frame) : frame instanceof Uint8Array ? frame : message
  return content.length < message.length && Trial.firstDifference(message.subarray(0, content.length), content) === -1
    ? content.length
    : message.length
}

/** Almost a message. What ends it is kept, or else its last byte: what is cut or longer is to be a message, too. */
const nearMissesOf = (
  message: Uint8Array,
  frame: unknown
): ReadonlyArray<{ readonly said: Uint8Array; readonly what: string }> => {
  const delimited = endOf(message, frame)
  const end = Math.min(delimited, message.length - 1)
  if (end < 1) return []
  const [body, last] = [message.subarray(0, end), message.subarray(end)]
  const changed = [...new Set([0, Math.floor(end / 2), end - 1])].map((at) => {
    const said = new Uint8Array(message)
    said[at] ^= 1
    return { said, what: `the same with another byte ${at}` }
  })
  return [
    ...changed,
    // Where nothing ends it, that is another message behind it.
    ...(delimited === message.length
      ? []
      : [{ said: concat([body, bytesOf("x"), last]), what: "the same with an x behind it" }]),
    { said: concat([bytesOf("x"), message]), what: "the same with an x before it" },
    { said: concat([body.subarray(0, Math.floor(end / 2)), last]), what: "the first half of it" },
    {
      said: concat([body.subarray(0, Math.max(0, body.lastIndexOf(0x20))), last]),
      what: "what is left of it without its last word"
    },
    { said: last, what: "nothing of it but its end" }
  ]
}

const knownCandidates = new WeakMap<Trial.Reference, ReadonlyArray<Candidate>>()

/**
 * What is wrong at its place: whatever is legal elsewhere, as the peer's other messages and the side's own, what is almost
 * the message, and what the user knows of. It is the same for all laws of a side on a rung.
 */
export const candidatesOf = (
  trial: Trial.Trial,
  reference: Trial.Reference,
  options: AnyOptions
): ReadonlyArray<Candidate> => {
  let known = knownCandidates.get(reference)
  if (known === undefined) knownCandidates.set(reference, known = candidates(trial, reference, options))
  return known
}

const candidates = (trial: Trial.Trial, reference: Trial.Reference, options: AnyOptions): Array<Candidate> => {
  const { messages, talk } = reference
  const others = [
    ...messages.map((said, i) => ({ said, what: `message ${i + 1} of its peer` })),
    ...talk.written.map((said) => ({ said, what: "what the side has said itself" })),
    ...refusalsOf(options, otherRole(trial.side.role), talk.written).map((said) => ({
      said,
      what: "the refusal of its peer"
    })),
    ...(options.wrong?.[trial.side.role] ?? []).map((text) => ({ said: bytesOf(text), what: "a wrong message" }))
  ]
  // One message is one frame, unless somebody writes bytes of his own, or TLS stands between.
  const frames = talk.frames.length === talk.messages.length ? talk.frames : []
  const found: Array<Candidate> = []
  messages.forEach((due, index) => {
    const seen: Array<Uint8Array> = [due]
    for (const { said, what } of [...others, ...nearMissesOf(due, frames[index])]) {
      if (seen.some((other) => Trial.firstDifference(other, said) === -1)) continue
      seen.push(said)
      if (options.accepts?.({ side: trial.side.role, index, said, due, messages }) === true) continue
      found.push({ index, said, what, number: found.length })
    }
  })
  return found
}

/** Whether it may be ready with that. What it has left behind the last message is for whoever is served. */
export const isLetIn = ({ accepts }: AnyOptions, talk: Talk, turn: WrongTurn): boolean => {
  if (accepts === undefined || !Trial.isReady(talk)) return false
  const { index, messages, said } = turn
  const left = index === messages.length - 1 ? talk.rest?.length ?? 0 : 0
  return accepts(turn) || left > 0 && left < said.length && accepts({ ...turn, said: said.subarray(0, -left) })
}

/** Who comes in the place of the peer and must not get through. */
export interface Impostor {
  readonly peer: Peer
  readonly what: string
  readonly number: number
}

export const impostorsOf = ({ side }: Trial.Trial, { impostors }: AnyOptions): ReadonlyArray<Impostor> => {
  const role = otherRole(side.role)
  return (impostors?.[role] ?? []).map((impostor, number) => {
    const [peer, name] = Effect.isEffect(impostor) ? [impostor, undefined] : [impostor.handshake, impostor.name]
    const called = name === undefined ? `impostor ${number + 1}` : `the impostor ${JSON.stringify(name)}`
    return { peer, number, what: `${called} in the place of the ${role}` }
  })
}

/** Further valid conversations, as what differs from the first one. Both sides have to be there. */
export const alternativesOf = (
  { side }: Trial.Trial,
  options: AnyOptions
): ReadonlyArray<{ readonly name: string; readonly plan: Plan; readonly value: unknown }> =>
  options.server === undefined || options.client === undefined
    ? []
    : (options.alternatives ?? []).map((alternative, i) => ({
      name: alternative.name ?? `alternative ${i + 1}`,
      value: alternative.value,
      plan: { handshake: alternative[side.role], peer: alternative[otherRole(side.role)] }
    }))

/** The places where it is worth to stop: around each border, in the middle of each message, and where there is room, all. */
export const stopsOf = (reference: Trial.Reference, upTo: number, most: number): ReadonlyArray<number> => {
  const stops = new Set<number>()
  if (upTo < most) { for (let i = 0; i <= upTo; i++) stops.add(i) }
  else {
    const { borders } = reference
    borders.forEach((border, i) => {
      const next = borders[i + 1] ?? border
      for (const at of [border, border + 1, Math.floor((border + next) / 2), next - 1]) stops.add(at)
    })
    for (let i = 0; i < most / 2; i++) stops.add(Math.floor((i * upTo) / (most / 2)))
  }
  return [...stops].filter((at) => at >= 0 && at <= upTo).sort((a, b) => a - b)
}

/** That a candidate comes, as the laws 5, 9 and 11 look at it. Whether a reset overtakes words is left to chance. */
export const candidateComes = (
  trial: Trial.Trial,
  { index, number, said }: Candidate
): Effect.Effect<Trial.Witnessed> =>
  trial.witnessed(`candidate ${number}`, { ...replaced(index, said), seed: seedOf(trial, number) })

/** What a client has said last may be no refusal, so that its words are not put at risk. */
export const seedOf = ({ side }: Trial.Trial, number: number): number => side.role === "server" ? number : 0

/** That an impostor comes, as the laws 5, 9 and 11 look at it. */
export const impostorComes = (trial: Trial.Trial, { number, peer }: Impostor): Effect.Effect<Trial.Witnessed> =>
  trial.witnessed(`impostor ${number}`, { peer })

/** That the conversation stops there, as the laws 3, 6, 7 and 9 look at it. */
export const stopComes = (trial: Trial.Trial, stop: Stop): Effect.Effect<Trial.Witnessed> =>
  trial.witnessed(`${stop.how} after ${stop.after}`, { stop })

/** At how many places a connection ends at most: where there is room, behind every byte. */
export const mostEnds = 160

/** By what stops are shared out among rungs: neighbours come to all of them, and those at the same distances too. */
export const placeOfStop = (after: number): number => Math.imul(after, 0x9e37_79b1) >>> 16

/** A message is replaced, and the connection goes on. */
export const replaced = (index: number, said: Uint8Array): Plan => ({
  say: (i, message) => i === index ? said : message
})

/** That a side lets in what was fresh for another connection. */
export const saidAgain = (attempt: Attempt, talk: Talk): Suite.Problem => ({
  ...problem(attempt, talk, {
    scenario: "all that was said on one connection is said again on another",
    expected: "it fails: what was fresh for the one is not for the other",
    actual: "it became ready"
  }),
  law: 10
})

export const nth = (index: number): string => `message ${index + 1}`

/** At most so many values, from all over the list. */
export const evenly = <A>(values: ReadonlyArray<A>, most: number): ReadonlyArray<A> =>
  values.length <= most
    ? values
    : Array.from({ length: most }, (_, i) => values[Math.floor((i * values.length) / most)])
