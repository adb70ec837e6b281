/**
 * Whether a side has done in a conversation what its specification says, whatever was said to it.
 *
 * | the conversation, as specified | what the side has to do |
 * |---|---|
 * | has come to an end that is ready | be ready; or fail for what it was told last, where that is the peer's fault |
 * | was refused by its peer | fail as `Rejected`, at that state, and say nothing more |
 * | was refused by itself | fail |
 * | waits for its peer | fail; where it is the peer's fault, say what is said otherwise |
 * | waits for itself | not be silent: say a refusal of that state, or what is said otherwise |
 * | is wrong by what its peer said | fail at that state with the peer's fault, and say what is said otherwise |
 * | is wrong by what it said itself | nothing can make that right |
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Excerpt from "../../../Excerpt.ts"
import { type HandshakeError, isHandshakeError } from "../../../HandshakeError.ts"
import { isRefused, readOne, type Taken, type Walk } from "../../../internal/dialogue/follow.ts"
import type { Role } from "../../../internal/dialogue/model.ts"
import { type Compiled, isClosed, saidOf, type Spec, stateOf } from "../../../internal/dialogue/spec.ts"
import type * as Suite from "../suite.ts"
import { otherRole, type Talk } from "../talk.ts"
import * as Trial from "../trial.ts"
import { wordsIn } from "./changes.ts"

/** Whom it is about. */
export interface Subject {
  readonly spec: Spec
  readonly role: Role
  /** Whether its steps have the names of the states, as those of whoever is made by a dialogue have. */
  readonly namesStates: boolean
  /** Whether who is let in says just that; of a message with a secret, with another secret too. */
  readonly isRight: (heard: Taken, but?: "secrets") => boolean
}

/** What a side has done that it should not have, as the law that it breaks says it. */
export interface Flaw {
  readonly law: Suite.LawNumber
  readonly expected: string
  readonly actual: string
}

const nothing = new Uint8Array(0)

const isSame = (a: Uint8Array, b: Uint8Array): boolean => Trial.firstDifference(a, b) === -1

/** What is due in a state, in words. */
export const dueIn = ({ expected, name, turn }: Compiled): string =>
  `${expected} is due from ${turn === "both" ? "both sides" : `the ${turn}`} in the state ${name}`

/** How it has failed; undefined where it has not, or with something of its own. */
export const errorOf = ({ exit }: Talk): HandshakeError | undefined => {
  const error = exit !== undefined && Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return isHandshakeError(error) ? error : undefined
}

/** Whether it has failed for want of something, and not for what has come. */
const isNoAnswer = ({ reason }: HandshakeError): boolean =>
  ["Timeout", "UnexpectedEnd", "ConnectionFailed"].includes(reason._tag)

/** What a side says otherwise, with its name; nothing where it says nothing, and undefined where nobody knows. */
export interface LastWords {
  readonly tag: string
  readonly bytes: Uint8Array
}

/** What a side says otherwise in a state, for this reason. */
export const otherwiseIn = (spec: Spec, role: Role, state: Compiled, why: unknown): LastWords | undefined => {
  const told = spec.otherwise[role]
  const said = typeof told === "function" ? told(why, state.name, undefined) : told
  const bytes = said === undefined ? undefined : wordsIn(state, ...saidOf(said))
  return said === undefined || bytes === undefined ? undefined : { tag: saidOf(said)[0], bytes }
}

/** What a side says to whoever breaks the rules; undefined where that depends on what it has not told. */
const lastWords = (
  { namesStates, role, spec }: Subject,
  state: Compiled,
  error: HandshakeError | undefined
): Uint8Array | undefined => {
  // In TLS that has failed nobody is heard.
  if (error?.reason._tag === "TlsFailure") return nothing
  if (typeof spec.otherwise[role] !== "function") return otherwiseIn(spec, role, state, undefined)?.bytes ?? nothing
  // Time may have been over for all of it, which is another reason.
  if (error === undefined || error.reason._tag === "Timeout") return undefined
  const at = namesStates ? spec.states.get(error.step) ?? state : state
  return otherwiseIn(spec, role, at, error.reason)?.bytes ?? nothing
}

/** Whether it has failed because it does not want its peer. */
export const isOwnDecision = (error: HandshakeError): boolean =>
  error.fault === "peer" && !isNoAnswer(error) && !["Rejected", "TlsFailure"].includes(error.reason._tag)

/**
 * What it has said for a yes, where it fails for what it knew by then: in a state in which the other side speaks, for a reason of its
 * own and not for anything that came there; or later, when nothing that came behind the message that is wrong can be why: there is
 * nothing to look at in it, or it is right and what is wrong is a secret. Who asks for another secret has not decided before.
 */
const saidTooEarly = (
  { isRight, namesStates, role, spec }: Subject,
  error: HandshakeError,
  { end, taken }: Walk,
  nth: number | undefined
): Taken | undefined => {
  const { reason, step } = error
  if (!namesStates) return undefined
  const isKnownWhy = reason._tag === "AuthenticationFailed" || reason._tag === "UnsupportedVersion"
  // Where both sides speak, neither has heard the other.
  const isYes = ({ by, state, target }: Taken) =>
    by === role && state.turn === role && !isRefused(target) && refusalsOf(state).length > 0
  if (spec.states.get(step)?.turn === otherRole(role)) {
    const last = taken.findLast(({ target }) => stateOf(target) === step)
    return isKnownWhy && last !== undefined && isYes(last) ? last : undefined
  }
  if (nth === undefined || end._tag !== "Refused" || end.by !== role) return undefined
  const wrong = taken.findIndex((heard) => heard.by !== role && heard.nth === nth)
  const from = wrong < 0 ? -1 : taken.findIndex((said, i) => i > wrong && isYes(said))
  const since = from < 0 ? [] : taken.slice(from).filter(({ by }) => by !== role)
  const isSecretWrong = wrong >= 0 && !isRight(taken[wrong]!) && isRight(taken[wrong]!, "secrets")
  const isNoReason = (heard: Taken) => isFree(heard) || isSecretWrong && !isSecret(heard) && isRight(heard)
  return (isKnownWhy || isSecretWrong) && since.length > 0 && since.every(isNoReason) ? taken[from] : undefined
}

/** Whether there is nothing to look at in a message. */
export const isFree = ({ state, tag }: Taken): boolean => {
  const { free, names } = state.wire.fields.get(tag)!
  return names.every((name) => free.includes(name))
}

const isSecret = ({ state, tag }: Taken): boolean => state.wire.fields.get(tag)!.secrets.length > 0

/** What says no in a state. */
const refusalsOf = ({ targets }: Compiled): ReadonlyArray<string> =>
  Array.from(targets).flatMap(([tag, target]) => isRefused(target) ? [tag] : [])

const shown = (state: Compiled, bytes: Uint8Array): string =>
  bytes.length === 0 ? "nothing" : isOpen(state, bytes) ? Excerpt.ofBytes(bytes) : `${bytes.length} bytes`

/** Whether bytes have nothing to hide: where there are secrets, only those of a message without any. */
const isOpen = (state: Compiled, bytes: Uint8Array): boolean => {
  const { fields } = state.wire
  if (Array.from(fields.values()).every(({ secrets }) => secrets.length === 0)) return true
  return Array.from(fields).some(([tag, { secrets }]) => {
    if (secrets.length > 0) return false
    const { left, read } = readOne({ ...state, due: [tag], maxBytes: undefined }, bytes)
    return left === 0 && read._tag === "Message" && read.tag === tag
  })
}

/** A message as violations show it. */
export const called = ({ state, tag }: Pick<Taken, "state" | "tag">): string => `${tag} in the state ${state.name}`

/** Whether a side has said something before its peer said what comes before that. What is encrypted cannot be told apart. */
const isEarly = (role: Role, { messages, writesBefore, written }: Talk, taken: ReadonlyArray<Taken>): boolean => {
  const total = taken.filter(({ by }) => by === role).reduce((length, { bytes }) => length + bytes.length, 0)
  const others = taken.filter(({ by }) => by !== role)
  if (others.length !== messages.length || total !== written.reduce((length, { length: more }) => length + more, 0)) {
    return false
  }
  return taken.some(({ by, from, state }, i) => {
    if (by !== role || state.turn === "both") return false
    const before = taken.slice(0, i).findLast((other) => other.by !== role)
    const writes = before === undefined ? undefined : writesBefore[before.nth]
    return writes !== undefined &&
      written.slice(0, writes).reduce((length, { length: more }) => length + more, 0) > from
  })
}

/** How often each state was come to. */
export const visitsOf = (taken: ReadonlyArray<Taken>): ReadonlyMap<string, number> => {
  const visits = new Map<string, number>()
  for (const { by, state } of taken) {
    if (state.turn !== "both" || by === "client") visits.set(state.name, (visits.get(state.name) ?? 0) + 1)
  }
  return visits
}

/** What a side has done wrong; undefined where all is right. `nth` is which message of its peer was disturbed. */
export const judge = (
  subject: Subject,
  talk: Talk,
  walk: Walk,
  nth: number | undefined
): Flaw | undefined => {
  const { namesStates, role } = subject
  const { end, rest, taken } = walk
  const { state } = end
  const peer = otherRole(role)
  const actual = Trial.outcome(talk)
  const flaw = (law: Suite.LawNumber, expected: string, but = actual): Flaw => ({ law, expected, actual: but })
  const error = errorOf(talk)
  const typed = Trial.flawOf(talk)
  if (typed !== undefined) return flaw(5, `it ends ready or with a typed error; ${dueIn(state)}`, typed)
  const late = Trial.lingering(talk)
  if (late !== undefined) return { law: 7, ...late }

  if (end._tag === "Wrong" && end.by === role) {
    return end.isTooLong
      ? flaw(4, `no message of the state ${state.name} has more than ${state.maxBytes} bytes`, "what it said is longer")
      : flaw(12, dueIn(state), `it said ${end.tag ?? shown(state, end.bytes)} (${end.problem}), and ${actual}`)
  }

  if (Trial.isReady(talk)) {
    switch (end._tag) {
      case "Ready":
        if (isEarly(role, talk, taken)) {
          return flaw(
            12,
            "it speaks only when it is its turn",
            "it said something before its peer had said what is due"
          )
        }
        return talk.rest === undefined || talk.opened === 0 || isSame(talk.rest, rest[peer])
          ? undefined
          : flaw(
            2,
            `all that was said in the handshake was heard in it, and ${shown(state, rest[peer])} is behind it`,
            `it became ready, and left ${shown(state, talk.rest)} unread`
          )
      case "Waiting":
        return end.on === role
          ? flaw(12, `it says what is due; ${dueIn(state)}`)
          : flaw(5, `it is not ready before all is said; ${dueIn(state)}`)
      case "Refused":
        return end.by === role
          ? flaw(12, `who has said ${called(end)} fails`)
          : flaw(5, `${called(end)} is a refusal, and whoever hears it fails as Rejected`)
      case "Wrong":
        return flaw(
          end.isTooLong ? 4 : 5,
          end.isTooLong ? `${dueIn(state)}, and what came is too long` : `${dueIn(state)}, and nothing else`
        )
      case "TooOften":
        return flaw(4, `the state ${state.name} is come to ${state.atMost} times at most`)
    }
  }

  // It has failed.
  const early = error === undefined ? undefined : saidTooEarly(subject, error, walk, nth)
  if (early !== undefined) {
    const due = refusalsOf(early.state).join(" or ")
    return flaw(
      11,
      `the peer hears why: ${due} in the state ${early.state.name}`,
      `it said ${early.tag}, and ${actual}`
    )
  }
  const words = lastWords(subject, state, error)
  const said = rest[role]
  const isPeers = error === undefined || error.fault === "peer"
  const isOwn = error === undefined || isOwnDecision(error)
  const heard = (law: Suite.LawNumber, isOwed: boolean): Flaw | undefined => {
    if (said.length === 0 && (!isOwed || words === undefined || words.length === 0)) return undefined
    if (words === undefined || isSame(said, words)) return undefined
    return flaw(
      said.length === 0 ? 11 : law,
      words.length === 0
        ? `in the state ${state.name} it has nothing more to say`
        : `the peer hears ${shown(state, words)}, as said otherwise, in the state ${state.name}`,
      `the peer heard ${shown(state, said)}, and ${actual}`
    )
  }
  const isTooLong = end._tag === "Wrong" && end.isTooLong
  if (error?.reason._tag === "FrameTooLarge" && !isTooLong && end._tag !== "TooOften") {
    return flaw(4, `what was said is within the limits of the state ${state.name}`)
  }
  const atState = (law: Suite.LawNumber): Flaw | undefined =>
    error !== undefined && namesStates && error.step !== state.name
      ? flaw(law, `it fails at the state ${state.name}`)
      : undefined

  // A refusal has one meaning, for whoever says it and for whoever hears it.
  const rejected = (refused: Walk["end"] & { readonly _tag: "Refused" }): Flaw | undefined => {
    const target = state.targets.get(refused.tag)
    if (error?.reason._tag !== "Rejected" || typeof target !== "object" || target._tag !== "Refused") return undefined
    const { code, retryable } = error.reason
    const field = target.codeField === undefined ? undefined : refused.values[target.codeField]
    const due = target.code ?? (field === undefined ? undefined : String(field))
    if (retryable !== target.retryable) {
      return flaw(5, `${called(refused)} is ${target.retryable ? "" : "not "}worth another try`)
    }
    // Who says it may leave out what it is called by.
    if (code === due || refused.by === role && code === undefined) return undefined
    return flaw(5, `${called(refused)} has the code ${due ?? "of none"}`)
  }

  switch (end._tag) {
    case "Ready": {
      const last = taken.at(-1)
      if (last?.by === role && state.turn !== "both") {
        return flaw(12, `who has said ${called(last)} is ready`)
      }
      return isOwn ? heard(12, false) : flaw(12, `it is ready: all was said that had to be`)
    }
    case "Refused": {
      if (end.by === role) {
        if (!end.isOtherwise && error !== undefined && isNoAnswer(error)) {
          return flaw(5, `who has said ${called(end)} waits for nothing more`)
        }
        // What is said otherwise is for whoever breaks the rules, and nobody has.
        const refusals = isClosed(subject.spec, state, visitsOf(taken)) ? [] : refusalsOf(state)
        if (end.isOtherwise && refusals.length > 0 && isOwn && rest[peer].length === 0) {
          return flaw(
            11,
            `the peer hears why: ${refusals.join(" or ")} in the state ${state.name}`,
            `it heard ${end.tag}, as who breaks the rules, and ${actual}`
          )
        }
        return said.length === 0 ? rejected(end) : heard(12, false)
      }
      if (error !== undefined && error.reason._tag !== "Rejected") {
        return flaw(5, `${called(end)} is a refusal, and whoever hears it fails as Rejected`)
      }
      return rejected(end) ?? atState(5) ?? (said.length === 0 ? undefined : flaw(12, "nobody answers a refusal"))
    }
    case "Waiting": {
      if (end.on === peer) return heard(12, isOwn && error !== undefined && !end.isBegun)
      if (end.isBegun) return flaw(12, dueIn(state), `it said only a part of a message, and ${actual}`)
      const owed = [...refusalsOf(state), ...(words !== undefined && words.length > 0 ? [shown(state, words)] : [])]
      // What it cannot say is its own mistake.
      const isSilent = isOwn && isPeers || error?.fault === "local" && error.reason._tag !== "Rejected"
      return isSilent && owed.length > 0
        ? flaw(
          11,
          `the peer hears why: ${owed.join(" or ")} in the state ${state.name}`,
          `it said nothing, and ${actual}`
        )
        : undefined
    }
    case "TooOften":
      // Whoever sees where a message leads fails where it came.
      return error?.step === taken.at(-1)?.state.name ? heard(11, true) : atState(4) ?? heard(11, true)
    case "Wrong": {
      if (end.by === role) return undefined
      const isDisturbed = nth === undefined || nth === taken.filter(({ by }) => by === peer).length
      if (!isDisturbed) return heard(12, false)
      if (isTooLong && error !== undefined && error.reason._tag !== "FrameTooLarge") {
        return flaw(4, `it fails as FrameTooLarge at the state ${state.name}`)
      }
      // In bytes, who looks only when all of a message should be there waits for more where less has come.
      const isForMore = error?.reason._tag === "UnexpectedEnd" || error?.reason._tag === "Timeout" && !namesStates
      if (isForMore && !isTooLong && state.wire.form(state.due[0]!).kind === "bytes") {
        return heard(12, false)
      }
      if (error !== undefined && (error.fault !== "peer" || isNoAnswer(error) || error.reason._tag === "Rejected")) {
        return flaw(isTooLong ? 4 : 5, `it fails at the state ${state.name} for what came, by the fault of its peer`)
      }
      return atState(isTooLong ? 4 : 5) ?? heard(12, true)
    }
  }
}
