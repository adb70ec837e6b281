/**
 * A dialogue that was written down, made ready to be spoken: what is wrong with it is found here, and told by the state.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Wire from "../../Wire.ts"
import type { Shape, Values } from "./fields.ts"
import type { Role, State, States, Target, Turn } from "./model.ts"
import { type Bound, Unspecified } from "./wire.ts"

export type Live = Codec.Codec<unknown, unknown> | { readonly server: AnyCodec; readonly client: AnyCodec }

type AnyCodec = Codec.Codec<any, any>

/** What is said to whoever breaks the rules: a message without fields by its name, one with fields, or a function of why. */
export type Otherwise =
  | string
  | Said
  | ((why: unknown, state: string, retryAfter: Duration.Duration | undefined) => string | Said | undefined)

export interface Said {
  readonly _tag: string
}

export interface Source {
  readonly name: string
  readonly messages: Readonly<Record<string, Shape>>
  readonly wire?: Wire.Wire<never> | undefined
  readonly live: unknown
  readonly start: string
  readonly states: States
  readonly otherwise?: { readonly server?: Otherwise | undefined; readonly client?: Otherwise | undefined } | undefined
  readonly within?: Duration.Input | undefined
  readonly maxBytes?: number | undefined
}

/** A state as it is spoken in. */
export interface Compiled {
  readonly name: string
  readonly turn: Turn
  /** What may be said, in the order in which it was written down. */
  readonly due: ReadonlyArray<string>
  readonly targets: ReadonlyMap<string, Target>
  readonly wire: Bound
  readonly within: Duration.Duration | undefined
  readonly maxBytes: number | undefined
  /** How often it may be come to; unbounded where no way leads back to it. */
  readonly atMost: number
  /** What is expected here, for errors. */
  readonly expected: string
}

export interface Spec {
  readonly name: string
  readonly source: Source
  readonly wire: Bound
  readonly start: Compiled
  readonly states: ReadonlyMap<string, Compiled>
  /** Whether anything that a side says is a secret. */
  readonly hasSecrets: { readonly server: boolean; readonly client: boolean }
  readonly otherwise: { readonly server: Otherwise | undefined; readonly client: Otherwise | undefined }
}

/** How often a state may be come to again, unless it is told. */
const defaultAtMost = 16

/** The state that a target leads to; undefined for an end. */
export const stateOf = (target: Target): string | undefined =>
  typeof target === "string" ? target : target._tag === "Encrypted" ? target.state : undefined

/** How often each state was come to that may be come to so many times only. */
export type Visits = ReadonlyMap<string, number>

export const isWornOut = ({ atMost, name }: Compiled, visits: Visits): boolean => (visits.get(name) ?? 0) >= atMost

/**
 * Whether there is nothing left to say in a state: all of it leads to where was come to as often as may be. Whoever leads there has
 * come round once too often.
 */
export const isStuck = ({ states }: Spec, { targets }: Pick<Compiled, "targets">, visits: Visits): boolean => {
  for (const target of targets.values()) {
    const next = stateOf(target)
    if (next === undefined || !isWornOut(states.get(next)!, visits)) return false
  }
  return true
}

/** Whether all that leads on from a state, but for what says no there, leads to where was come to as often as may be. */
export const isClosed = (spec: Spec, { targets }: Compiled, visits: Visits): boolean => {
  const onward = Array.from(targets).filter(([, target]) => typeof target === "string" || target._tag !== "Refused")
  return onward.length > 0 && isStuck(spec, { targets: new Map(onward) }, visits)
}

/** How a side's live codec is told from that of both. */
export const liveOf = (live: unknown, role: Role): Codec.Codec<unknown, unknown> =>
  (isBySide(live) ? live[role] : live) as Codec.Codec<unknown, unknown>

const isBySide = (live: unknown): live is { readonly server: AnyCodec; readonly client: AnyCodec } =>
  typeof live === "object" && live !== null && "server" in live && "client" in live

/** The message that is said in the place of what was due, with its fields. */
export const saidOf = (said: string | Said): readonly [tag: string, values: Values] => {
  if (typeof said === "string") return [said, {}]
  const { _tag, ...values } = said
  return [_tag, values]
}

/** What people see of a message that is due: the text itself, where it is one. */
const nameOf = (tag: string, wire: Bound): string => {
  const form = wire.form(tag)
  return form.kind === "text" ? Excerpt.ofString(form.template) : tag
}

const plural = (names: ReadonlyArray<string>): string => names.join(" or ")

export const compile = (source: Source): Spec => {
  const fail = (problem: string): never => {
    throw new Unspecified(`dialogue ${source.name}: ${problem}`)
  }
  const bound = (wire: Wire.Wire<never>, messages: Source["messages"]): Bound => {
    try {
      return wire.bind(messages)
    } catch (error) {
      return error instanceof Unspecified ? fail(error.message) : fail(String(error))
    }
  }
  const named = Object.entries(source.states)
  const { start } = source
  if (source.states[start] === undefined) fail(`it starts in ${start}, and there is no such state`)
  for (const [name, state] of named) checkState(source, name, state, fail)

  const reachable = reachableFrom(source.states, start)
  const lost = named.find(([name]) => !reachable.has(name))
  if (lost !== undefined) fail(`nothing leads to the state ${lost[0]}`)
  for (const [name] of named) {
    const ways = reachableFrom(source.states, name)
    const ends = Array.from(ways).some((way) => Object.values(source.states[way]!.says).some((to) => isReady(to)))
    if (!ends) fail(`no way leads from the state ${name} to an end that is ready`)
  }

  const said = new Set(named.flatMap(([, { says }]) => Object.keys(says)))
  for (const { _tag } of constantsOf(source)) said.add(_tag)
  const unsaid = Object.keys(source.messages).find((tag) => !said.has(tag))
  if (
    unsaid !== undefined && typeof source.otherwise?.server !== "function" &&
    typeof source.otherwise?.client !== "function"
  ) {
    fail(`the message ${unsaid} is said in no state`)
  }

  const wire = bound(source.wire ?? Wire.json(), source.messages)
  const states = new Map<string, Compiled>()
  for (const [name, state] of named) {
    const due = Object.keys(state.says)
    const own = state.wire === undefined ? wire : bound(state.wire, only(source, state))
    const alike = own.ambiguous(due)
    if (alike !== undefined) {
      fail(`in the state ${name} nobody can tell ${alike[0]} from ${alike[1]}${cure(own, alike)}`)
    }
    const isLoop = due.some((tag) => {
      const next = stateOf(state.says[tag]!)
      return next !== undefined && reachableFrom(source.states, next).has(name)
    })
    states.set(name, {
      name,
      turn: state.turn,
      due,
      targets: new Map(Object.entries(state.says)),
      wire: own,
      within: durationOf(state.within ?? source.within),
      maxBytes: state.maxBytes ?? source.maxBytes,
      atMost: state.atMost ?? (isLoop ? defaultAtMost : Infinity),
      expected: plural(due.map((tag) => nameOf(tag, own)))
    })
  }
  const spec: Spec = {
    name: source.name,
    source,
    wire,
    start: states.get(start)!,
    states,
    hasSecrets: { server: hasSecrets(states, "server"), client: hasSecrets(states, "client") },
    otherwise: { server: source.otherwise?.server, client: source.otherwise?.client }
  }
  for (const { _tag, ...values } of constantsOf(source)) {
    const written = wire.write(_tag, values, [_tag])
    if (Result.isFailure(written)) fail(`${_tag}, which is said to whoever breaks the rules: ${written.failure}`)
  }
  return spec
}

/** What stands first is looked for first, so a message that is a special case of another one is told from it before it. */
const cure = (wire: Bound, [first, second]: readonly [string, string]): string =>
  wire.ambiguous([second, first]) === undefined ? `: put ${second} before ${first}` : ""

const durationOf = (input: Duration.Input | undefined): Duration.Duration | undefined =>
  input === undefined ? undefined : Duration.fromInputUnsafe(input)

const isReady = (target: Target): boolean => typeof target === "object" && target._tag === "Ready"

const isRefused = (target: Target): boolean => typeof target === "object" && target._tag === "Refused"

/** What is said otherwise that is known without asking. */
const constantsOf = ({ otherwise }: Source): ReadonlyArray<Said> =>
  [otherwise?.server, otherwise?.client].flatMap((said) =>
    said === undefined || typeof said === "function" ? [] : typeof said === "string" ? [{ _tag: said }] : [said]
  )

const only = (
  { messages, otherwise }: Source,
  { says }: State<Turn, Readonly<Record<string, Target>>>
): Source["messages"] =>
  Object.fromEntries(
    Object.entries(messages).filter(([tag]) =>
      tag in says || constantsOf({ otherwise } as Source).some(({ _tag }) => _tag === tag)
    )
  )

const checkState = (
  { messages, states }: Source,
  name: string,
  { atMost, maxBytes, says, turn }: State<Turn, Readonly<Record<string, Target>>>,
  fail: (problem: string) => never
): void => {
  const entries = Object.entries(says)
  if (entries.length === 0) fail(`nothing may be said in the state ${name}`)
  for (const [tag, target] of entries) {
    if (messages[tag] === undefined) fail(`${tag} in the state ${name} is no message`)
    const next = stateOf(target)
    if (next !== undefined && states[next] === undefined) {
      fail(`${tag} in the state ${name} leads to ${next}, and there is no such state`)
    }
  }
  for (const [tag, target] of entries) {
    if (typeof target !== "object" || target._tag !== "Refused") continue
    const lost = [target.codeField, target.retryAfterField].find((field) =>
      field !== undefined && !(field in messages[tag]!)
    )
    if (lost !== undefined) fail(`${tag} in the state ${name} has no field ${lost}`)
  }
  if (entries.every(([, target]) => isRefused(target))) {
    fail(
      `in the state ${name} there is nothing to say but no: let it lead back, or leave out what leads there, and \`otherwise\` answers it`
    )
  }
  if (turn === "both") {
    const onward = entries.filter(([, target]) => !isRefused(target)).map(([, target]) => target)
    if (onward.some((target) => JSON.stringify(target) !== JSON.stringify(onward[0]))) {
      fail(`both sides speak in the state ${name}, so all that they say has to lead to the same place`)
    }
    if (onward.some((target) => typeof target === "object" && target._tag === "Encrypted")) {
      fail(`both sides speak in the state ${name}, so neither knows when TLS begins`)
    }
  }
  if (atMost !== undefined && !(atMost >= 1)) fail(`the state ${name} may be come to ${atMost} times`)
  if (maxBytes !== undefined && !(maxBytes >= 1)) fail(`a message of the state ${name} may have ${maxBytes} bytes`)
}

const reachableFrom = (states: States, start: string): ReadonlySet<string> => {
  const found = new Set([start])
  for (const name of found) {
    for (const target of Object.values(states[name]?.says ?? {})) {
      const next = stateOf(target)
      if (next !== undefined) found.add(next)
    }
  }
  return found
}

const hasSecrets = (states: ReadonlyMap<string, Compiled>, role: Role): boolean =>
  Array.from(states.values()).some(({ due, turn, wire }) =>
    (turn === role || turn === "both") && due.some((tag) => wire.fields.get(tag)!.secrets.length > 0)
  )
