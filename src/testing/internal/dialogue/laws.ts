/**
 * What only a specification can know of a side: which messages may come, which may not, and what must come of each.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Excerpt from "../../../Excerpt.ts"
import * as Handshake from "../../../Handshake.ts"
import * as Draw from "../../../internal/dialogue/draw.ts"
import type { Values } from "../../../internal/dialogue/fields.ts"
import { isRefused, readOne, type Taken } from "../../../internal/dialogue/follow.ts"
import * as SpecModule from "../../../internal/dialogue/spec.ts"
import type { Compiled, Spec } from "../../../internal/dialogue/spec.ts"
import { evenly } from "../laws/cases.ts"
import { isBusy, isOutOfProportion, isSlow } from "../laws/linearCost.ts"
import * as Resources from "../resources.ts"
import type * as Suite from "../suite.ts"
import { type Handshake as Side, otherRole, type Peer } from "../talk.ts"
import * as Trial from "../trial.ts"
import * as Turns from "../turns.ts"
import * as Watch from "../watch.ts"
import * as Changes from "./changes.ts"
import { isHello } from "./clearTls.ts"
import type { Tally } from "./coverage.ts"
import {
  called,
  dueIn,
  errorOf,
  type Flaw,
  isFree,
  isOwnDecision,
  judge,
  otherwiseIn,
  type Subject,
  visitsOf
} from "./judge.ts"
import * as Stage from "./stage.ts"
import * as Ways from "./ways.ts"

export type Problem = Suite.Problem

/** Who talks with whom. */
export interface Conversation {
  readonly name: string
  readonly peer: Peer | undefined
  readonly handshake?: Side | undefined
}

/** A conversation that nobody disturbs. */
export interface Reference {
  readonly name: string
  readonly plan: Pick<Stage.Playing, "peer" | "handshake">
  readonly played: Stage.Played
  readonly isReady: boolean
  /** What the side hears in it, message by message; empty where its peer does not say message by message. */
  readonly heard: ReadonlyArray<Taken>
  /** Whether the specification plays the other side, on a way that nobody takes who is given. */
  readonly isSpecified: boolean
  readonly servername: string | undefined
}

interface Settings {
  /** Secrets that are never said. */
  readonly unsaid: ReadonlyArray<Uint8Array>
  readonly tally: Tally
  readonly runs: number
  readonly seed: number
  /** Whether nobody but the specification plays the other side. */
  readonly isAlone: boolean
  /** With how little of a look at the certificate the client has begun TLS, and must not. */
  readonly takesCertificates: () => "none" | "authority" | undefined
  /** The name that a client looks for in the certificate of its server, where that matters and TLS begins in a conversation. */
  readonly nameIn: <A>(play: Effect.Effect<A>) => Effect.Effect<readonly [A, servername: string | undefined]>
  readonly remake: (handshake: Side) => Trial.Trial
}

export interface Attempt extends Settings {
  readonly stage: Stage.Stage
  readonly subject: Subject
  readonly references: ReadonlyArray<Reference>
  /** Ways that nobody takes who is given, and on which the side does not become ready with what was drawn. */
  readonly strange: ReadonlyArray<Reference>
  readonly secrets: ReadonlyArray<Uint8Array>
  /** What was said in these conversations. */
  readonly known: Stage.Known
  /** How those were refused who have said one field of a login wrong: the field, and the words. */
  readonly refusals: Map<string, { readonly field: string; readonly words: string }>
  /** Another value of each field of what was heard, as its type allows, where one could be made. */
  readonly wrong: Map<Taken, ReadonlyMap<string, Changes.Change>>
  /** What came of other values of fields of which any will do. */
  readonly taken: Map<string, { letsIn: boolean; refused: Problem | undefined }>
  /** Looks for these secrets in what can be seen, and what of that was looked at. */
  readonly hiding: (seen: ReadonlyArray<Watch.Seen>) => Watch.Leak | undefined
  readonly looked: Set<string>
}

export const attempt = (
  stage: Stage.Stage,
  conversations: ReadonlyArray<Conversation>,
  settings: Settings
): Effect.Effect<Attempt> =>
  Effect.gen(function*() {
    const { spec } = stage
    const referTo = ({ handshake, name, peer }: Conversation, isSpecified = false) => {
      const plan = { ...(peer !== undefined && { peer }), ...(handshake !== undefined && { handshake }) }
      return Effect.map(settings.nameIn(stage.play(plan)), ([played, servername]): Reference => ({
        servername,
        name,
        plan,
        played,
        isReady: Trial.isReady(played.talk),
        heard: heardIn(stage, played),
        isSpecified
      }))
    }
    const given = yield* Effect.forEach(conversations, (conversation) => referTo(conversation))
    const known = new Map<string, Array<Values>>()
    const learn = ({ isReady, played }: Reference) => {
      for (const { state, tag, values } of isReady ? played.walk.taken : []) {
        const key = Stage.keyOf(state, tag)
        known.set(key, [...(known.get(key) ?? []), values])
      }
    }
    given.forEach(learn)
    const taken = given.flatMap(({ isReady, played }) => isReady ? played.walk.taken : [])
    const role = otherRole(stage.role)
    const untaken = settings.isAlone || taken.length === 0 ? [] : Ways.untaken(spec, role, taken)
    const ways = yield* Effect.forEach(untaken.slice(0, mostWays), (step) =>
      referTo({
        name: `by the specification, with ${called(step)}`,
        peer: Stage.player(spec, role, Ways.through(spec, role, step, { known, taken, seed: settings.seed }))
      }, true))
    ways.forEach(learn)
    const references = [...given, ...ways.filter(({ isReady }) => isReady)]
    const secrets = [...secretsIn(spec, given.flatMap(({ played }) => played.walk.taken)), ...settings.unsaid]
    return {
      ...settings,
      stage,
      references,
      strange: ways.filter(({ isReady }) => !isReady),
      known,
      refusals: new Map(),
      wrong: new Map(),
      taken: new Map(),
      secrets,
      hiding: Watch.hiding(secrets),
      looked: new Set(),
      subject: {
        spec,
        role: stage.role,
        namesStates: namesStates(stage, given),
        isRight: (heard, but) => isKnown({ references }, heard, but)
      }
    }
  })

/** So many ways are taken that nobody takes who is given. */
const mostWays = 8

/** What it hears, if each message of its peer is one that is specified. */
const heardIn = ({ role }: Stage.Stage, { messages, walk }: Stage.Played): ReadonlyArray<Taken> => {
  const heard = walk.taken.filter(({ by }) => by !== role)
  return heard.every(({ bytes }, i) => i < messages.length && Trial.firstDifference(messages[i]!, bytes) === -1)
    ? heard
    : []
}

const namesStates = ({ role }: Stage.Stage, references: ReadonlyArray<Reference>): boolean =>
  references.some(({ played: { talk, walk } }) => {
    const heard = walk.taken.filter(({ by }) => by !== role).map(({ state }) => state.name)
    return heard.length > 0 && heard.every((name) => talk.steps.includes(name))
  })

/** Secrets that were said. What is a word of the dialogue anyway can be seen anywhere. */
const secretsIn = (spec: Spec, said: ReadonlyArray<Taken>): ReadonlyArray<Uint8Array> => {
  const words = JSON.stringify([
    spec.name,
    [...spec.states.keys()],
    Object.entries(spec.source.messages).map(([tag, shape]) => [tag, Object.keys(shape)]),
    said.map(({ state, tag, values }) => {
      const { secrets } = state.wire.fields.get(tag)!
      const carried = Changes.carriedOf(state, tag, values) ?? {}
      return Object.entries(carried).filter(([name]) => !secrets.includes(name)).map(([, value]) => value)
    })
  ]).toLowerCase()
  const seen = new Set<string>()
  return said.flatMap(({ state, tag, values }) =>
    state.wire.fields.get(tag)!.secrets.flatMap((name) => {
      // As it is said, as the program has it, and what of that is a secret by itself, such as the password behind a name.
      const known = Changes.secretOf(values[name])
      return [Changes.secretOf(Changes.carriedOf(state, tag, values)?.[name]), known, ...partsOf(known)].flatMap(
        (secret) => {
          if (secret === undefined || secret.length < leastSecret) return []
          const text = new TextDecoder().decode(secret).toLowerCase()
          if (words.includes(text) || seen.has(text)) return []
          seen.add(text)
          return [secret]
        }
      )
    })
  )
}

/** The parts of a secret between zero bytes. */
const partsOf = (secret: Uint8Array | undefined): ReadonlyArray<Uint8Array> => {
  if (secret === undefined || !secret.includes(0)) return []
  const parts: Array<Uint8Array> = []
  for (let from = 0; from <= secret.length;) {
    const end = secret.indexOf(0, from)
    parts.push(secret.subarray(from, end < 0 ? secret.length : end))
    if (end < 0) break
    from = end + 1
  }
  return parts
}

/** What is shorter stands in many texts. */
const leastSecret = 4

const problem = (
  { stage }: Attempt,
  { talk }: Stage.Played,
  scenario: string,
  { actual, expected, law }: Flaw
): Problem => ({ law, scenario, expected, actual, diagram: Trial.diagram(stage.trial.side, talk) })

const conversing = ({ references }: Attempt, { isSpecified, name }: Reference): string =>
  name === "" || references.length === 1 && !isSpecified ? "" : ` (${name})`

const leaking = ({ context, length, of, where }: Watch.Leak): Flaw => ({
  law: 9,
  expected: "no secret shows, whether it is the right one or not",
  actual: `${length} characters of a secret of ${of} show in ${where}: ${context}`
})

/**
 * Plays a conversation, and looks whether a secret shows that is said in it, whatever else was said. Where what was said in the
 * place of a message has it where it does not belong, nobody can know that it is one.
 */
const inSight = (
  attempt: Attempt,
  playing: Stage.Playing
): Effect.Effect<readonly [Stage.Played, leak: Flaw | undefined]> => {
  const { hiding, looked, secrets, stage } = attempt
  if (secrets.length === 0) return Effect.map(stage.play(playing), (played) => [played, undefined])
  return Effect.map(
    Watch.watched(stage.play(playing), (seen) => hiding([seen]) !== undefined),
    ([played, seen]) => {
      const { exit } = played.talk
      const texts = [
        ...seen("but for failures"),
        ...(exit !== undefined && Exit.isFailure(exit) ? Watch.ofError(Cause.squash(exit.cause)) : [])
      ].filter(({ text }) => !looked.has(text))
      const leak = hiding(texts)
      if (leak !== undefined && !isMisplaced(attempt, playing, played)) return [played, leaking(leak)]
      if (leak === undefined) { for (const { text } of texts) looked.add(text) }
      return [played, undefined]
    }
  )
}

/** Whether a secret was said where none belongs. */
const isMisplaced = (
  { hiding, secrets, stage }: Attempt,
  { instead }: Stage.Playing,
  { said, walk }: Stage.Played
): boolean => {
  if (said === undefined || !secrets.some((secret) => Watch.indexOf(said, secret) !== -1)) return false
  const now = walk.taken.find(({ by, nth }) => by !== stage.role && nth === instead?.nth)
  if (now === undefined || now.bytes.length !== said.length) return true
  const hidden = now.state.wire.fields.get(now.tag)!.secrets
  const open = Object.entries(Changes.carriedOf(now.state, now.tag, now.values) ?? {}).filter(([name]) =>
    !hidden.includes(name)
  )
  return hiding([{ where: "", text: JSON.stringify(open.map(([, value]) => value)) }]) !== undefined
}

/** Nobody disturbs the conversation, and everybody says what is specified. */
export const undisturbed = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.forEach([...attempt.references, ...attempt.strange], (reference) => {
    const { isReady, played } = reference
    const scenario = `nobody disturbs the conversation${conversing(attempt, reference)}`
    const flaw = judge(attempt.subject, played.talk, played.walk, undefined) ?? saidOpenly(attempt, played)
    if (flaw !== undefined) return Effect.fail(problem(attempt, played, scenario, flaw))
    const { peerExit } = played.talk
    const why = peerExit !== undefined && Exit.isFailure(peerExit) ? `; its peer ${Trial.ended(peerExit)}` : ""
    return isReady || attempt.isAlone || reference.isSpecified ?
      Effect.void :
      Effect.fail(problem(attempt, played, scenario, {
        law: 12,
        expected: `it is ready; ${dueIn(played.walk.end.state)}`,
        actual: Trial.outcome(played.talk) + why
      }))
  }, { discard: true })

/** Whether somebody who is let in says just that, but for what may be anything. */
const isKnown = (
  { references }: Pick<Attempt, "references">,
  { state, tag, values }: Taken,
  but?: "secrets"
): boolean => {
  const { fresh, free, secrets } = state.wire.fields.get(tag)!
  const mayDiffer = [...free, ...fresh, ...(but === undefined ? [] : secrets)]
  return references.some(({ heard, isReady }) =>
    isReady && heard.some((other) =>
      other.state === state && other.tag === tag &&
      Changes.differing(state, tag, other.values, values).every((name) => mayDiffer.includes(name))
    )
  )
}

/**
 * Whether a refusal tells what of a login is wrong, the secret or who it is for, so that whoever asks learns who is known there. Both
 * have to be failed logins: a version, or a mechanism, may be refused in words of its own.
 */
const tellingWho = (
  { refusals }: Attempt,
  { name }: Reference,
  taken: Taken,
  now: Taken,
  bound: ReadonlyArray<string>,
  { talk, walk: { end } }: Stage.Played
): Flaw | undefined => {
  const wrong = bound.length === 1 ? wrongInLogin(taken, now, bound[0]!) : undefined
  if (wrong === undefined || errorOf(talk)?.reason._tag !== "AuthenticationFailed") return undefined
  if (end._tag !== "Refused" || end.isOtherwise) return undefined
  // Who is refused may be named, and is another one each time; what else was said is the same, but for what is made anew.
  const { fresh } = end.state.wire.fields.get(end.tag)!
  const said = Object.entries(Changes.carriedOf(end.state, end.tag, end.values) ?? {})
  const words = JSON.stringify([
    end.tag,
    ...said.filter(([name]) => !fresh.includes(name)).map(([, value]) =>
      typeof value === "string" ? wrong.named.reduce(withoutName, value) : value
    )
  ])
  const key = (isSecret: boolean) => `${name} ${taken.nth} ${isSecret}`
  const { field, isSecret } = wrong
  refusals.set(key(isSecret), { field, words })
  const other = refusals.get(key(!isSecret))
  return other === undefined || other.words === words ? undefined : {
    law: 9,
    expected: `it says the same whether ${field} or ${other.field} is wrong in ${
      called(taken)
    }: who is known there is nobody's business`,
    actual: `it said ${words}, and ${other.words} where another ${other.field} was said`
  }
}

/** What is wrong in a login, and the names that are said in it: of several parts in one secret the last is one, and who it is for stands before it. */
const wrongInLogin = (
  taken: Taken,
  { state, tag, values }: Taken,
  field: string
): { readonly field: string; readonly isSecret: boolean; readonly named: ReadonlyArray<string> } | undefined => {
  const { fresh, secrets } = state.wire.fields.get(tag)!
  if (secrets.length !== 1) return undefined
  const carried = Changes.carriedOf(state, tag, values) ?? {}
  const names = Object.entries(carried).flatMap(([name, value]) =>
    typeof value === "string" && (saysWho.test(name) || fresh.includes(name)) && !secrets.includes(name) ? [value] : []
  )
  const isSecret = secrets.includes(field)
  const [before, after] = [taken, { ...taken, values }].map((heard) => Changes.partsOf(heard, field))
  const found = (what: string, isSecret: boolean, named: ReadonlyArray<string>) =>
    named.every((name) => isName.test(name)) ? { field: what, isSecret, named } : undefined
  if (!isSecret) return saysWho.test(field) ? found(field, false, names) : undefined
  if (before === undefined || after === undefined) return found(field, true, names)
  const others = after.flatMap((part, i) => part === before[i] ? [] : [i])
  const [at = 0] = others
  const isLast = at === after.length - 1
  return after.length !== before.length || others.length !== 1 || at < after.length - 2
    ? undefined
    : found(`part ${at + 1} of ${field}`, isLast, [...names, after.at(-2)!])
}

/** The first message of a side that has a secret in it, and whether TLS has begun by then. */
const firstSecret = ({ role }: Stage.Stage, { walk: { taken } }: Stage.Played) => {
  const at = taken.findIndex(({ by, state, tag }) => by === role && state.wire.fields.get(tag)!.secrets.length > 0)
  return at < 0 ? undefined : {
    said: taken[at]!,
    isEncrypted: taken.slice(0, at).some(({ target }) => typeof target === "object" && target._tag === "Encrypted")
  }
}

/** What is a secret of a message: all of it, and of several parts the last one. */
const hiddenIn = (heard: Taken): ReadonlyArray<Uint8Array> =>
  heard.state.wire.fields.get(heard.tag)!.secrets.flatMap((name) => {
    const last = Changes.partsOf(heard, name)?.at(-1)
    return [Changes.secretOf(heard.values[name]), Changes.secretOf(last)].flatMap((secret) =>
      secret === undefined || secret.length < leastFound ? [] : [secret]
    )
  })

/** What is shorter is found in many texts. */
const leastFound = 6

/** A side that says a secret where none belongs: whoever shows what he has heard shows it. Who has a name for a secret has no secret. */
const saidOpenly = ({ stage }: Attempt, { walk: { taken } }: Stage.Played): Flaw | undefined => {
  const secrets = taken.flatMap(hiddenIn)
  for (const heard of taken) {
    if (heard.by !== stage.role) continue
    const { free, secrets: hidden } = heard.state.wire.fields.get(heard.tag)!
    for (const [name, value] of Object.entries(Changes.carriedOf(heard.state, heard.tag, heard.values) ?? {})) {
      const bytes = hidden.includes(name) ? undefined : Changes.secretOf(value)
      const isSaid = (secret: Uint8Array) =>
        bytes !== undefined && Watch.indexOf(bytes, secret) !== -1 &&
        (free.includes(name) || bytes.length > secret.length)
      if (!secrets.some(isSaid)) continue
      return {
        law: 9,
        expected: `no secret is said but where one belongs, and ${name} in ${called(heard)} is no \`Schema.Redacted\``,
        actual: `it said a secret as its ${name}`
      }
    }
  }
  return undefined
}

/** A client that is talked out of TLS: anybody in between leaves out that it is offered, and has the secret. */
const saidInClear = (
  { stage }: Attempt,
  { played: undisturbed }: Reference,
  played: Stage.Played
): Flaw | undefined => {
  if (stage.role !== "client" || firstSecret(stage, undisturbed)?.isEncrypted !== true) return undefined
  const first = firstSecret(stage, played)
  return first === undefined || first.isEncrypted ? undefined : {
    law: 9,
    expected: "it says no secret in clear that it says in TLS where nobody disturbs it",
    actual: `it said ${called(first.said)}, and TLS had not begun`
  }
}

/** A client that looks in the certificate for what it was told in clear: anybody in between tells a name that is his own. */
const namedByPeer = ({ servername: due }: Reference, servername: string | undefined): Flaw | undefined =>
  due === undefined || servername === undefined || servername === due ? undefined : {
    law: 5,
    expected:
      `it looks for ${due} in the certificate, whatever is said before TLS; or \`anyCertificate\` says that it need not`,
    actual: `it looked for ${Excerpt.ofString(servername)}`
  }

/** What a side says behind a message that is wrong, with the secret that it says where nothing is. A proof would be another one. */
const saidToStranger = (
  { stage }: Attempt,
  { played: undisturbed }: Reference,
  wrong: Taken,
  { walk: { taken } }: Stage.Played
): Taken | undefined =>
  taken.slice(taken.indexOf(wrong)).find(({ by, nth, state, tag, values }) =>
    // Where both sides speak, neither has heard the other.
    by === stage.role && (state !== wrong.state || state.turn !== "both") &&
    state.wire.fields.get(tag)!.secrets.some((name) =>
      undisturbed.walk.taken.some((other) =>
        other.by === by && other.nth === nth && other.state === state && other.tag === tag &&
        !Changes.differing(state, tag, other.values, values).includes(name)
      )
    )
  )

/**
 * A side that turns down a value of a field of which any will do: other numbers, or texts that go on as they end. Whether it finds
 * what it needs in a list or in another text is another matter. What covers that field as well, such as a proof, is wrong with each
 * other value: so one of them has to be let in, or nothing can be there that covers it.
 */
const turnedDown = (
  attempt: Attempt,
  { name }: Reference,
  taken: Taken,
  now: Taken,
  changed: ReadonlyArray<string>,
  played: Stage.Played,
  scenario: string
): Problem | undefined => {
  const { role } = attempt.stage
  const { talk, walk } = played
  const { state, tag } = taken
  const fields = state.wire.fields.get(tag)!
  const [field] = changed
  if (field === undefined || changed.length > 1 || !fields.free.includes(field)) return undefined
  const [before, after] = [taken, now].map(({ values }) => Changes.carriedOf(state, tag, values)?.[field])
  const isMore = typeof before === "string" && typeof after === "string" && after.length > before.length &&
    after === before.padEnd(after.length, before.at(-1))
  const isNumber = typeof now.values[field] === "number"
  if (!isNumber && !isMore) return undefined
  if (walk.taken.slice(walk.taken.indexOf(now) + 1).some((other) => other.by !== role && !isFree(other))) {
    return undefined
  }
  const key = `${name} ${taken.nth} ${field}`
  const known = attempt.taken.get(key) ?? { letsIn: false, refused: undefined }
  attempt.taken.set(key, known)
  if (Trial.isReady(talk)) known.letsIn = true
  else if (isTurnedDown(attempt, played)) {
    known.refused ??= problem(attempt, played, scenario, {
      law: 5,
      expected: `it is ready: any ${field} will do in ${called(taken)}, as \`Dialogue.free\` says`,
      actual: Trial.outcome(talk)
    })
  }
  return known.letsIn || isNumber && isFree(taken) ? known.refused : undefined
}

/** Whether a side has said no by itself. */
const isTurnedDown = ({ stage: { role } }: Attempt, { talk, walk: { end } }: Stage.Played): boolean => {
  const error = errorOf(talk)
  return error !== undefined && (
    end._tag === "Refused" && end.by === role ||
    isOwnDecision(error) && (end._tag === "Ready" || end._tag === "Waiting" && end.on === role)
  )
}

/** A name that is found again in a text. */
const isName = /^[!-~]{3,}$/

const withoutName = (text: string, name: string): string => {
  const escaped = name.replaceAll(/[^\w]/g, "\\$&")
  return text.replaceAll(new RegExp(`(?<!\\w)${escaped}(?!\\w)`, "gi"), "*")
}

/** What fields are called that say who logs in. */
const saysWho = /user|account|login|mail|member/i

/** A refusal that comes when its peer, in good order, has waited no longer. */
const refusedLate = ({ stage }: Attempt, { played }: Reference, { talk, walk }: Stage.Played): Flaw | undefined => {
  const { end } = walk
  const { turn, within } = end.state
  if (end._tag !== "Refused" || turn !== stage.role || within === undefined || !stage.trial.isVirtual) return undefined
  const error = errorOf(talk)
  if (error === undefined || error.reason._tag === "Timeout" || talk.endedAt <= most(stage, played, within)) {
    return undefined
  }
  return {
    law: 6,
    expected: `it says no while its peer waits, which is ${
      Duration.toMillis(within)
    } ms in the state ${end.state.name}`,
    actual: `${Trial.outcome(talk)}, after ${talk.endedAt} ms`
  }
}

/** When a state has lasted as long as it may, in a conversation that takes as long as another one. */
const most = ({ trial }: Stage.Stage, { talk }: Stage.Played, within: Duration.Duration): number =>
  talk.endedAt + trial.rung.lag + Duration.toMillis(within)

/** The fields that are bound and others than they were to be. */
const boundChanges = (
  { fresh, free }: { readonly fresh: ReadonlyArray<string>; readonly free: ReadonlyArray<string> },
  changed: ReadonlyArray<string>
) => changed.filter((name) => !free.includes(name) && !fresh.includes(name))

/** A message of which each byte costs a little takes some time, too: longer ones are looked at where they grow. */
const mostTimed = 4096

/** That nobody else has to wait for a conversation: it was had, and is had again only where it has taken long. */
const keepingWaiting = (
  { stage }: Attempt,
  playing: Stage.Playing,
  { said, talk }: Stage.Played
): Effect.Effect<Flaw | undefined> =>
  (said?.length ?? 0) <= mostTimed
    ? Effect.map(
      Trial.busyIn(stage.trial, playing, talk, stage.play(playing)),
      (millis) => millis === undefined ? undefined : { law: 8, ...isBusy(millis) }
    )
    : Effect.succeed(undefined)

/** Says something in the place of a message, and sees what comes of it. */
const disturbed = (
  attempt: Attempt,
  reference: Reference,
  taken: Taken,
  change: Changes.Change
): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { stage, subject, tally } = attempt
    const { nth, state, tag } = taken
    const playing = { ...reference.plan, instead: { nth, state, say: change.apply } }
    const [[played, leak], servername] = yield* attempt.nameIn(inSight(attempt, playing))
    const { due, said, talk, walk } = played
    if (due === undefined || said === undefined || Trial.firstDifference(due, said) === -1) return
    const now = walk.taken.find((other) => other.by === taken.by && other.nth === nth)
    const isLegal = now !== undefined && now.state === state
    const of = change.of ?? tag
    if (change.field !== undefined) tally.altered(stage.role, state, of, change.field, isLegal && now.tag === of)
    if (change.tag !== undefined && !state.targets.has(change.tag)) {
      tally.illegal(stage.role, state, change.tag)
    }
    const isOther = change.tag !== undefined || change.of !== undefined
    const place = isOther
      ? `in the place of ${called(taken)} ${change.what}`
      : `${called(taken)} comes, and ${change.what}`
    const kind = change.field === undefined ? "" : isLegal ? ", as its type allows" : ", which is none of its type"
    const scenario = place + kind + conversing(attempt, reference)
    const flaw = judge(subject, talk, walk, nth) ?? refusedLate(attempt, reference, played) ??
      saidInClear(attempt, reference, played) ?? namedByPeer(reference, servername) ?? leak ??
      (yield* keepingWaiting(attempt, playing, played))
    if (flaw !== undefined) return yield* Effect.fail(problem(attempt, played, scenario, flaw))
    if (!isLegal || now.tag !== tag || !reference.isReady) return
    const { read } = readOne(state, due)
    if (read._tag !== "Message") return
    const changed = Changes.differing(state, tag, read.values, now.values)
    const bound = boundChanges(state.wire.fields.get(tag)!, changed)
    const names = bound.join(" and ")
    const given = bound.length === 0 || isKnown(attempt, now)
      ? undefined
      : saidToStranger(attempt, reference, now, played)
    if (given !== undefined) {
      return yield* Effect.fail(problem(attempt, played, scenario, {
        law: 9,
        expected: `it says no secret to whoever has said another ${names} in ${called(taken)}`,
        actual: `it said ${called(given)}, with the secret that is due`
      }))
    }
    const turned = turnedDown(attempt, reference, taken, now, changed, played, scenario)
    if (turned !== undefined) return yield* Effect.fail(turned)
    if (!Trial.isReady(talk)) {
      const error = errorOf(talk)
      if (bound.length > 0 && error?.fault === "local" && error.reason._tag !== "Rejected" && !isKnown(attempt, now)) {
        return yield* Effect.fail(problem(attempt, played, scenario, {
          law: 5,
          expected: `it fails by the fault of its peer, who has said another ${names} in ${called(taken)}`,
          actual: `${Trial.outcome(talk)}, by its own fault`
        }))
      }
      const telling = tellingWho(attempt, reference, taken, now, bound, played)
      if (telling !== undefined) return yield* Effect.fail(problem(attempt, played, scenario, telling))
      // What is left behind it comes where something else is due.
      if (changed.length > 0 || now.bytes.length !== said.length) return
      return yield* Effect.fail(problem(attempt, played, scenario, {
        law: 5,
        expected: `it is ready: what is said is ${called(taken)}, with the same fields`,
        actual: Trial.outcome(talk)
      }))
    }
    if (bound.length === 0 || isKnown(attempt, now)) return
    return yield* Effect.fail(problem(attempt, played, scenario, {
      law: 5,
      expected:
        `it is not ready with another ${names} in ${called(taken)}; or \`Dialogue.free\` says that any will do, or ` +
        "`alternatives` which others",
      actual: Trial.outcome(talk)
    }))
  })

/** Each message that a side hears, in each of the conversations, as often as there are changes of it; at most so many. */
const eachChange = (
  attempt: Attempt,
  changesOf: (taken: Taken, reference: Reference) => ReadonlyArray<Changes.Change>
): Effect.Effect<void, Problem> =>
  Effect.forEach(attempt.references, (reference, i) =>
    Effect.forEach(reference.heard, (taken, nth) => {
      // What was said before as it is said now, in this conversation or in another one, was altered there.
      const before = [...attempt.references.slice(0, i).flatMap(({ heard }) => heard), ...reference.heard.slice(0, nth)]
      const isNew = !before.some((other) => other.state === taken.state && other.tag === taken.tag)
      const share = (isNew ? 1 : 4) * (reference.isSpecified ? 4 : 1)
      const most = Math.ceil(Math.max(attempt.runs, leastChanges) / share)
      const changes = changesOf(taken, reference)
      // To make them all costs more than to try a few.
      const all = distinct(taken.bytes, isNew ? changes : evenly(changes, 2 * most))
      const isFirst = ({ isFirst }: Changes.Change) => isFirst === true
      const first = isNew ? evenly(all.filter(isFirst), reference.isSpecified ? most : Infinity) : []
      return Effect.forEach(
        [...first, ...evenly(all.filter((change) => !first.includes(change)), Math.max(most - first.length, 1))],
        (change) => disturbed(attempt, reference, taken, change),
        { discard: true }
      )
    }, { discard: true }), { discard: true })

/** Even where few cases are wanted, so many changes are tried of a message: they cost little. */
const leastChanges = 80

/** What would be said twice is said once. */
const distinct = (due: Uint8Array, changes: ReadonlyArray<Changes.Change>): ReadonlyArray<Changes.Change> => {
  const seen = new Set<string>([String(due)])
  return changes.filter(({ apply }) => {
    const said = apply(due)
    const key = said === undefined ? undefined : String(said)
    if (key === undefined || seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** Every field of each message is altered, within its type and outside of it. */
export const fields = (attempt: Attempt): Effect.Effect<void, Problem> =>
  eachChange(attempt, (taken, { played }) => {
    // What somebody may take for it: whatever else was said.
    const others = played.walk.taken.filter((other) => other !== taken).flatMap(({ state, tag, values }) =>
      Object.values(Changes.carriedOf(state, tag, values) ?? {})
    ).filter((value) => typeof value === "string" || value instanceof Uint8Array)
    return Changes.ofFields(attempt.stage.spec, taken, others, attempt.seed)
  })

/** Every other message of the dialogue comes, those that may be said there and those that may not. */
export const messages = (attempt: Attempt): Effect.Effect<void, Problem> =>
  eachChange(
    attempt,
    (taken, { played }) => [
      ...Changes.ofMessages(attempt.stage.spec, taken, played.walk.taken, attempt.seed),
      ...Changes.ofSpelling(taken)
    ]
  )

/** A message has as many bytes as its state and its codec allow, and one more. */
export const lengths = (attempt: Attempt): Effect.Effect<void, Problem> =>
  eachChange(attempt, (taken) => {
    const { maxBytes } = taken.state
    return [
      ...(maxBytes === undefined || maxBytes > mostBytes ? [] : [maxBytes, maxBytes + 1]).flatMap((length) =>
        Changes.ofLength(attempt.stage.spec, taken, length)
      ),
      ...Changes.ofLongest(attempt.stage.spec, taken)
    ]
  })

/** What is longer takes its time to be made. */
const mostBytes = 1024 * 1024

/** A dialogue whose bounds nobody keeps, for whoever tries those of the other side. */
const unbounded = ({ source }: Spec): Spec =>
  SpecModule.compile({
    ...source,
    within: undefined,
    states: Object.fromEntries(
      Object.entries(source.states).map(([name, state]) => [name, { ...state, within: undefined, atMost: Infinity }])
    )
  })

/** A loop is gone round as often as it may be, and once more. */
export const loops = (attempt: Attempt): Effect.Effect<void, Problem> => {
  const bounded = Array.from(attempt.stage.spec.states.values()).filter(({ atMost }) => atMost <= mostRounds)
  if (bounded.length === 0) return Effect.void
  const spec = unbounded(attempt.stage.spec)
  return Effect.forEach(
    bounded,
    (state) =>
      Effect.forEach([state.atMost, state.atMost + 1], (visits) => round(attempt, spec, state, visits), {
        discard: true
      }),
    { discard: true }
  )
}

const mostRounds = 1000

const round = (attempt: Attempt, spec: Spec, state: Compiled, wanted: number): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { known, seed, stage, subject } = attempt
    const distances = Ways.distanceTo(spec, [state.name])
    const choose: Stage.Choose = (here, turn, visits) => {
      const values = (tag: string) =>
        known.get(Stage.keyOf(stage.spec.states.get(here.name)!, tag))?.[0] ?? Draw.draw(here, tag, seed + turn)
      const done = (visits.get(state.name) ?? 0) >= wanted
      const ways = here.due.filter((tag) => !isRefused(here.targets.get(tag))).map((tag) => {
        const next = SpecModule.stateOf(here.targets.get(tag)!)
        return { tag, distance: next === undefined ? Infinity : distances.get(next) ?? Infinity }
      })
      // There, the way back is the one that was not taken when it was known how to go on.
      const back = ways.filter(({ distance }) => distance !== Infinity).toSorted((a, b) => a.distance - b.distance)[0]
      const isKnown = (tag: string) => known.has(Stage.keyOf(stage.spec.states.get(here.name)!, tag))
      // Where several ways are known, the one that leads farthest away from there.
      const recorded = ways.filter(({ tag }) => isKnown(tag)).toSorted((a, b) => b.distance - a.distance)[0]?.tag
      const tag = done ? recorded ?? back?.tag : back?.tag ?? recorded ?? ways[0]?.tag
      const fields = tag === undefined ? undefined : values(tag)
      return tag === undefined || fields === undefined ? undefined : [tag, fields]
    }
    const peer = Stage.player(spec, otherRole(stage.role), choose)
    const [played, leak] = yield* inSight(attempt, { peer })
    const { talk, walk } = played
    const scenario = `the state ${state.name} is come to ${wanted} times`
    const flaw = judge(subject, talk, walk, undefined) ?? leak
    if (flaw !== undefined) return yield* Effect.fail(problem(attempt, played, scenario, flaw))
    const error = errorOf(talk)
    // Others may end it before, or it may say no in its own words.
    const isHere = (!subject.namesStates || error?.step === state.name) &&
      (walk.end._tag !== "Refused" || walk.end.isOtherwise) &&
      !SpecModule.isClosed(stage.spec, stage.spec.states.get(walk.end.state.name)!, visitsOf(walk.taken))
    // Nothing is wrong that whoever ends it could have heard.
    const isRight = walk.taken.every((heard) => heard.by === stage.role || isKnown(attempt, heard) || isFree(heard))
    const isTurnedDown = error !== undefined &&
      (error.reason._tag === "InvalidGreeting" || isRight && isOwnDecision(error))
    // Who ends it where it was come to once has seen something else in it.
    const isForTheNumber = (visitsOf(walk.taken).get(state.name) ?? 0) > 1
    if (wanted > state.atMost || walk.end._tag === "TooOften" || !isTurnedDown || !isHere || !isForTheNumber) return
    return yield* Effect.fail(problem(attempt, played, scenario, {
      law: 4,
      expected: `it may be come to ${state.atMost} times`,
      actual: Trial.outcome(talk)
    }))
  })

/** A message comes just before the time of its state is over, and just after. */
export const deadlines = (attempt: Attempt): Effect.Effect<void, Problem> => {
  const { references, stage, subject } = attempt
  const reference = references.find(({ isReady }) => isReady)
  if (reference === undefined || !stage.trial.isVirtual) return Effect.void
  const own = reference.played.talk.endedAt
  return Effect.forEach(reference.heard, (taken) => {
    const { nth, state } = taken
    if (state.within === undefined || !Duration.isFinite(state.within)) return Effect.void
    const within = Duration.toMillis(state.within)
    const tolerance = own + stage.trial.rung.lag
    // TLS has said something by then, too.
    const place = nth + reference.played.walk.taken.slice(0, reference.played.walk.taken.indexOf(taken))
      .filter(({ target }) => typeof target === "object" && target._tag === "Encrypted").length
    const after = (millis: number) =>
      stage.play({ ...reference.plan, wait: (index) => index === place ? Math.max(0, millis) : 0 })
    return Effect.gen(function*() {
      const inside = within - tolerance
      if (inside > 0) {
        const played = yield* after(inside)
        const { talk } = played
        // Its peer may have had less time than it, and then it is told so by what its peer does.
        const isPeers = talk.peerExit !== undefined && Exit.isFailure(talk.peerExit) && talk.endedAt > own
        const reason = errorOf(talk)?.reason._tag
        if (!Trial.isReady(talk) && !(isPeers && reason !== undefined && reason !== "Timeout")) {
          return yield* Effect.fail(problem(attempt, played, `${called(taken)} comes after ${inside} ms`, {
            law: 6,
            expected: `it has ${within} ms for that, and becomes ready`,
            actual: Trial.outcome(talk)
          }))
        }
      }
      const played = yield* after(within + tolerance + 1)
      const { talk, walk } = played
      const scenario = `${called(taken)} comes only after ${within + tolerance + 1} ms`
      const error = errorOf(talk)
      const late = talk.endedAt - within - tolerance
      const isRight = !Trial.isReady(talk) && Trial.flawOf(talk) === undefined && late <= 0 &&
        (error === undefined || error.reason._tag === "Timeout" && (!subject.namesStates || error.step === state.name))
      if (!isRight) {
        return yield* Effect.fail(problem(attempt, played, scenario, {
          law: 6,
          expected: `it fails at the state ${state.name} as Timeout, after ${within} ms`,
          actual: late > 0 && !Trial.isReady(talk)
            ? `${Trial.outcome(talk)}, after ${talk.endedAt} ms`
            : Trial.outcome(talk)
        }))
      }
      // It may have ended before anything that is judged has come.
      const words = error === undefined ? undefined : otherwiseIn(stage.spec, stage.role, state, error.reason)
      const said = walk.rest[stage.role]
      if (words === undefined || Trial.firstDifference(said, words.bytes) === -1 || walk.end._tag === "Refused") return
      return yield* Effect.fail(problem(attempt, played, scenario, {
        law: 11,
        expected: `the peer hears ${words.tag}, as said otherwise, in the state ${state.name}`,
        actual: said.length === 0 ? "it heard nothing" : `it heard ${Trial.show(said)}`
      }))
    })
  }, { discard: true })
}

/** Letters that nothing else has in this order. */
const decoys = ["qjzkxwv7qjzk", "Zq9xKw2vJ7pQm4Tz"]

/** A secret comes that is another one, or none of its type: nobody shows it. */
export const secrets = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.forEach(
    [...attempt.references, ...attempt.strange],
    (reference) =>
      Effect.forEach(reference.heard, (taken) => {
        const { state, tag } = taken
        return Effect.forEach(state.wire.fields.get(tag)!.secrets, (name) =>
          Effect.forEach(Changes.ofSecret(attempt.stage.spec, taken, name, decoys, attempt.seed), ({ apply, secret }) =>
            Effect.gen(function*() {
              const hidden = Watch.hiding([secret, ...attempt.secrets])
              const playing = attempt.stage.play({
                ...reference.plan,
                instead: { nth: taken.nth, state, say: apply }
              })
              const [played, seen] = yield* Watch.watched(playing, (seen) => hidden([seen]) !== undefined)
              const leak = hidden([...Watch.ofTalk(played.talk), ...seen()])
              if (leak === undefined) {
                return
              }
              // The conversation itself may show it.
              return yield* Effect.fail({ ...leaking(leak), scenario: `${called(taken)} comes with another ${name}` })
            }), { discard: true }), { discard: true })
      }, { discard: true }),
    { discard: true }
  )

/** The first change of each field that is of its type still. */
const wrongOnes = ({ seed, stage, wrong }: Attempt, taken: Taken): ReadonlyMap<string, Changes.Change> => {
  const known = wrong.get(taken)
  if (known !== undefined) return known
  const found = new Map<string, Changes.Change>()
  for (const change of Changes.ofFields(stage.spec, taken, [], seed)) {
    const { apply, field } = change
    if (field === undefined || found.has(field)) continue
    const said = apply(taken.bytes)
    if (said !== undefined && readOne(taken.state, said).read._tag === "Message") found.set(field, change)
  }
  wrong.set(taken, found)
  return found
}

/** What is made anew for each connection is another one each time, and who is not let in is not let in beside who is. */
export const fresh = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { references, stage } = attempt
    for (const reference of references) {
      const seen = new Map<string, Array<unknown>>()
      for (const random of [0, 1, 2]) {
        const played = yield* stage.play({ ...reference.plan, random })
        for (const { by, state, tag, values } of played.walk.taken) {
          if (by !== stage.role) continue
          for (const name of state.wire.fields.get(tag)!.fresh) {
            const key = `${state.name} ${tag} ${name}`
            const value = JSON.stringify(Changes.carriedOf(state, tag, values)?.[name])
            const others = seen.get(key) ?? []
            if (others.includes(value)) {
              return yield* Effect.fail(problem(attempt, played, "one connection comes after the other", {
                law: 10,
                expected: `${name} in ${called({ state, tag })} is made anew for each`,
                actual: "it is the same as on another connection"
              }))
            }
            seen.set(key, [...others, value])
          }
        }
      }
    }
    const reference = references.find(({ isReady }) => isReady)
    if (reference === undefined) return
    // Whoever is not let in alone comes while another one is on his way, step by step.
    for (const taken of reference.heard) {
      const changes = wrongOnes(attempt, taken)
      for (const name of taken.state.wire.fields.get(taken.tag)!.names) {
        const change = changes.get(name)
        if (change === undefined) continue
        const saying = () => {
          let nth = 0
          return (_: number, message: Uint8Array) =>
            !isHello(message) && nth++ === taken.nth ? change.apply(message) ?? message : message
        }
        const alone = yield* stage.trial.talk({ ...reference.plan, say: saying() })
        if (Trial.isReady(alone)) continue
        for (const delay of [0, 5, 15]) {
          const [first, second] = yield* stage.trial.talks([
            { ...reference.plan, pause: 10 },
            { ...reference.plan, pause: 10, delay, say: saying(), seed: 1 }
          ])
          const isLetIn = second !== undefined && Trial.isReady(second)
          if (first !== undefined && Trial.isReady(first) && !isLetIn) continue
          return yield* Effect.fail({
            law: 10 as const,
            scenario: `two connections go on at once, and on one ${called(taken)} comes with another ${name}`,
            expected: "that one fails, and the other one is ready: what a connection has learned is its own",
            actual: isLetIn
              ? "it became ready, and does not alone"
              : `the other one is not ready: ${Trial.outcome(first!)}`,
            diagram: Trial.diagram(stage.trial.side, isLetIn ? second : first!)
          })
        }
      }
    }
  })

/** How long somebody says nothing, in milliseconds, while another one comes and goes. */
const silence = 2000

/** Nobody waits for somebody else: one says nothing for a while, and another one is ready as soon as it is alone. */
export const beside = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { references, stage } = attempt
    const reference = references.find(({ isReady }) => isReady)
    const taken = reference?.heard[0]
    if (reference === undefined || taken === undefined || !stage.trial.isVirtual) return
    const within = taken.state.within === undefined ? Infinity : Duration.toMillis(taken.state.within)
    const wait = Math.min(silence, within / 2)
    const [, other] = yield* stage.trial.talks([
      { ...reference.plan, wait: (index) => index === taken.nth ? wait : 0 },
      { ...reference.plan, delay: 1, seed: 1, random: 1 }
    ])
    const alone = reference.played.talk.endedAt
    if (other === undefined || Trial.isReady(other) && other.endedAt < alone + wait / 2) return
    return yield* Effect.fail({
      law: 10 as const,
      scenario: `two connections go on at once, and on the first one ${called(taken)} comes only after ${wait} ms`,
      expected: "the other one is ready as soon as it is alone: nobody waits for what another one has not said",
      actual: Trial.isReady(other) ? `it became ready after ${other.endedAt} ms` : Trial.outcome(other),
      diagram: Trial.diagram(stage.trial.side, other)
    })
  })

/** How much later the second one comes, in milliseconds. */
const delays = [0, 1, 5, 15]
const mostTogether = 3

/** What a side says in its own messages, but for secrets and what is made anew; a field that is another one each time is left out. */
const ownWords = ({ role }: Stage.Stage, ...walks: ReadonlyArray<Stage.Played["walk"]>) => {
  const [first = [], ...others] = walks.map(({ taken }) =>
    taken.filter(({ by }) => by === role).map(({ state, tag, values }) => {
      const { fresh, secrets } = state.wire.fields.get(tag)!
      const carried = Object.entries(Changes.carriedOf(state, tag, values) ?? {})
      return new Map<string, unknown>([
        ["", tag],
        ...carried.filter(([name]) => !fresh.includes(name) && !secrets.includes(name)).map(([name, value]) =>
          [name, JSON.stringify(value)] as const
        )
      ])
    })
  )
  return first.map((said, i) =>
    new Map(Array.from(said).filter(([name, value]) => others.every((other) => other[i]?.get(name) === value)))
  )
}

/** Two who differ come at once, and each hears what it hears alone. */
export const together = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { stage } = attempt
    const given = attempt.references.filter(({ isReady, isSpecified }) => isReady && !isSpecified).slice(
      0,
      mostTogether
    )
    if (given.length < 2 || !stage.trial.isVirtual) return
    const alone = yield* Effect.forEach(given, (reference) =>
      Effect.map(stage.play(reference.plan), (again) => ({
        reference,
        words: ownWords(stage, reference.played.walk, again.walk)
      })))
    const pairs = alone.flatMap((one) => alone.filter((other) => other !== one).map((other) => [one, other] as const))
    for (const pair of pairs) {
      for (const delay of delays) {
        const talks = yield* stage.trial.talks(pair.map(({ reference }, i) => ({
          ...reference.plan,
          pause: 10,
          delay: i * delay,
          seed: i
        })))
        for (const [i, talk] of talks.entries()) {
          const { reference: { name }, words } = pair[i]!
          const said = ownWords(stage, stage.walkOf(talk))
          const wrong = words.findIndex((due, k) =>
            Array.from(due).some(([name, value]) => said[k]?.get(name) !== value)
          )
          if (Trial.isReady(talk) && wrong < 0) continue
          const shown = (words: ReadonlyMap<string, unknown> | undefined) =>
            words === undefined ? "nothing" : Array.from(words, ([name, value]) => `${name} ${value}`.trim()).join(", ")
          return yield* Effect.fail({
            law: 10 as const,
            scenario: `two conversations go on at once, ${
              pair.map(({ reference }) => reference.name || "the first one").join(" and ")
            }`,
            expected: `${name || "the first one"} is as it is alone: what a connection has learned is its own`,
            actual: Trial.isReady(talk)
              ? `it said ${shown(said[wrong])}, and alone ${shown(words[wrong])}`
              : Trial.outcome(talk),
            diagram: Trial.diagram(stage.trial.side, talk)
          })
        }
      }
    }
  })

/** How often each conversation is had to see what it leaves behind. */
const often = 4

/** Nothing outlives a connection on which a field is wrong. */
export const left = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { stage } = attempt
    const reference = attempt.references.find(({ isReady }) => isReady)
    if (reference === undefined || !stage.trial.isVirtual) return
    const wrong = reference.heard.flatMap((taken) => {
      const { state, tag } = taken
      const fields = state.wire.fields.get(tag)!
      const changes = wrongOnes(attempt, taken)
      return boundChanges(fields, fields.names).flatMap((name) => {
        const change = changes.get(name)
        if (change === undefined) return []
        const scenario = `${called(taken)} comes with another ${name}, ${often} times, as the platform shows it`
        return [{ scenario, playing: { ...reference.plan, instead: { nth: taken.nth, state, say: change.apply } } }]
      })
    })
    const leaving = (all: typeof wrong) =>
      Resources.leftBy(Effect.forEach(all, ({ playing }) => stage.play(playing), { discard: true }), often)
    if (wrong.length === 0 || (yield* leaving(wrong)) === undefined) return
    for (const each of wrong) {
      const found = yield* leaving([each])
      if (found === undefined) continue
      return yield* Effect.fail(problem(attempt, yield* stage.play(each.playing), each.scenario, {
        law: 7,
        expected: "nothing outlives its connection: no timer, no listener, no open file",
        actual: `${found[1]} more of ${found[0]} are there than before`
      }))
    }
  })

/** How long each piece is in which a message comes, over and over. */
const pieces: ReadonlyArray<ReadonlyArray<number>> = [[1], [2], [3, 1], [7, 5]]

/**
 * What is said comes in pieces, and each message when it is due: what comes before TLS has begun is refused by whoever sees it first,
 * so that not all of it can come at once.
 */
export const inPieces = (attempt: Attempt): Effect.Effect<void, Problem> => {
  const { references, stage } = attempt
  const reference = references.find(({ isReady }) => isReady)
  if (reference === undefined || !Stage.isEncrypted(stage.spec)) return Effect.void
  return Effect.forEach(pieces, (lengths) =>
    Effect.gen(function*() {
      const played = yield* stage.play({ ...reference.plan, lengths })
      if (Trial.isReady(played.talk)) return
      return yield* Effect.fail(
        problem(attempt, played, `what is said comes in pieces of ${lengths.join(" and ")} bytes`, {
          law: 1,
          expected: "it is ready, as where each message comes as a whole",
          actual: Trial.outcome(played.talk)
        })
      )
    }), { discard: true })
}

/** A client looks at whom it is encrypted with, or anybody in between reads all of it. */
export const certificates = ({ stage, takesCertificates }: Attempt): Effect.Effect<void, Problem> => {
  const verify = stage.role === "client" ? takesCertificates() : undefined
  return verify === undefined ? Effect.void : Effect.fail({
    law: 5,
    scenario: "TLS begins, and its server shows the certificate of somebody else",
    expected: verify === "none"
      ? "it fails as TlsFailure; or `anyCertificate` says that any certificate will do"
      : "it fails as TlsFailure; or `anyCertificate: \"authority\"` says that any that the authority has signed will do",
    actual: verify === "none"
      ? "it takes any certificate: `verify` is \"none\""
      : "it takes any certificate of its authority, whatever the name: `verify` is \"authority\""
  })
}

/**
 * By how much texts grow: what doubles with each character, or nearly so, is found while it can be waited for, and what has taken some
 * milliseconds grows slowly.
 */
const growths = [16, 24, 36]
const someMillis = 10
const slowly = 2

const nextGrowth = (by: number, { talk }: Stage.Played, longest: () => number): number | undefined => {
  const next = growths.find((growth) => growth > by)
  if (next !== undefined) return talk.worked > someMillis ? by + slowly : next
  const most = longest()
  return most > by ? most : undefined
}

/** For how many of the runs one text of a message grows in one way, and how many do at least. */
const runsPerGrowth = 10
const leastGrowths = 2

/**
 * Nobody else has to wait for a conversation, whatever number is said in it, and however long a text: what is found here would make
 * all else take for ever.
 */
export const turns = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { references, stage } = attempt
    if (!stage.trial.isVirtual || !Turns.areKnown()) return
    const isShort = (scenario: string, playing: Stage.Playing, played: Stage.Played) =>
      Effect.flatMap(Trial.busyIn(stage.trial, playing, played.talk, stage.play(playing)), (millis) =>
        millis === undefined
          ? Effect.void
          : Effect.fail(problem(attempt, played, scenario, { law: 8, ...isBusy(millis) })))
    const isInProportion = (
      scenario: string,
      saying: (by: number) => Stage.Playing,
      by: number,
      played: Stage.Played
    ) =>
      Effect.gen(function*() {
        const millis = yield* Trial.busyIn(
          stage.trial,
          saying(by),
          played.talk,
          stage.play(saying(by)),
          Turns.tooLong
        )
        if (millis === undefined) {
          return
        }
        const before = Math.floor(by / 4)
        const [, smaller] = yield* Turns.shortest(stage.play(saying(before)), Turns.tooLong)
        if (!isOutOfProportion(millis, by, smaller, before)) {
          return
        }
        return yield* Effect.fail(problem(attempt, played, scenario, { law: 8, ...isSlow(millis, smaller, before) }))
      })
    const seen = new Set<string>()
    for (const reference of references) {
      const conversation = conversing(attempt, reference)
      yield* isShort(`nobody disturbs the conversation${conversation}`, reference.plan, reference.played)
      for (const taken of reference.heard) {
        const { nth, state, tag } = taken
        const key = Stage.keyOf(state, tag)
        if (seen.has(key)) {
          continue
        }
        seen.add(key)
        // One after the other: what takes too long is not made to take any longer.
        for (const { apply, what } of Changes.ofNumbers(stage.spec, taken)) {
          const playing = { ...reference.plan, instead: { nth, state, say: apply } }
          const played = yield* stage.play(playing)
          yield* isShort(`${called(taken)} comes, and ${what}${conversation}`, playing, played)
        }
        const growing = Changes.ofGrowing(stage.spec, taken)
        const most = Math.max(leastGrowths, Math.ceil(attempt.runs / runsPerGrowth))
        for (const { most: longest, say, what } of growing.slice(0, most)) {
          const saying = (by: number) => ({
            ...reference.plan,
            instead: {
              nth,
              state,
              say: () =>
                say(by)
            }
          })
          for (let by: number | undefined = growths[0]; by !== undefined;) {
            const played: Stage.Played = yield* stage.play(saying(by))
            // It cannot be said, and no more of it can.
            if (played.said === undefined) {
              break
            }
            const scenario = `${called(taken)} comes, and ${what(by)}${conversation}`
            if (played.said.length <= mostTimed) {
              yield* isShort(scenario, saying(by), played)
            } else yield* isInProportion(scenario, saying, by, played)
            by = nextGrowth(by, played, longest)
          }
        }
      }
    }
  })

/** A server that has no room says what it says otherwise. */
export const turnedAway = (attempt: Attempt): Effect.Effect<void, Problem> =>
  Effect.gen(function*() {
    const { remake, stage } = attempt
    if (stage.role !== "server") return
    const { start } = stage.spec
    const words = otherwiseIn(stage.spec, "server", start, "capacity")
    if (words === undefined) return
    const talk = yield* remake(Handshake.turnAway(stage.handshake, "capacity")).talk({})
    if (Trial.firstDifference(talk.heard, words.bytes) === -1) return
    return yield* Effect.fail({
      law: 11 as const,
      scenario: "the server is at capacity and turns a client away",
      expected: `the client hears ${words.tag}, as said otherwise, in the state ${start.name}`,
      actual: talk.heard.length === 0 ? "it heard nothing" : `it heard ${Trial.show(talk.heard)}`,
      diagram: Trial.diagram(stage.trial.side, talk)
    })
  })

/** Where time is virtual all of a conversation may be one turn, which is short if it has few messages. */
const mostTimedMessages = 32

/**
 * Walks that are drawn: at each of its turns the other side says something that is legal there.
 *
 * Of a message that comes in no conversation that is known, nobody knows which fields are right. But no two values of a bound one are.
 */
export const walks = (attempt: Attempt): Effect.Effect<void, Problem> => {
  const { known, runs, seed, stage, subject } = attempt
  const role = otherRole(stage.role)
  const letIn = new Map<string, string>()
  const takenTwice = ({ talk, walk }: Stage.Played): string | undefined => {
    if (!Trial.isReady(talk)) return undefined
    for (const { by, state, tag, values } of walk.taken) {
      if (by !== role || known.has(Stage.keyOf(state, tag))) continue
      const fields = state.wire.fields.get(tag)!
      const carried = Changes.carriedOf(state, tag, values) ?? {}
      for (const name of boundChanges(fields, fields.names)) {
        const key = `another ${name} in ${called({ state, tag })}`
        const value = JSON.stringify(carried[name])
        const before = letIn.get(key)
        if (before !== undefined && before !== value) return key
        letIn.set(key, value)
      }
    }
    return undefined
  }
  return Effect.forEach(
    Array.from({ length: Math.ceil(runs / 4) }, (_, i) => seed + i),
    (seed) =>
      Effect.gen(function*() {
        const peer = Stage.player(stage.spec, role, Stage.drawing(seed, known))
        const playing = { peer, random: seed }
        const [played, leak] = yield* inSight(attempt, playing)
        const taken = takenTwice(played)
        const busy = played.walk.taken.length > mostTimedMessages
          ? undefined
          : yield* keepingWaiting(attempt, playing, played)
        const flaw = judge(subject, played.talk, played.walk, undefined) ?? leak ?? busy ??
          (taken === undefined ? undefined : {
            law: 5 as const,
            expected: `it is not ready with ${taken} than before; or \`Dialogue.free\` says that any will do, or ` +
              "`alternatives` which others",
            actual: Trial.outcome(played.talk)
          })
        if (flaw === undefined) return
        const way = played.walk.taken.map(called).join(", ")
        return yield* Effect.fail(
          problem(
            attempt,
            played,
            `the ${role} says what it may, drawn by ${seed}: ${way === "" ? "nothing" : way}`,
            flaw
          )
        )
      }),
    { discard: true }
  )
}
