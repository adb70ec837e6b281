/**
 * Ways through a dialogue that nobody takes who is given: the specification takes them, so that a side is tried on whatever may be
 * said to it.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Draw from "../../../internal/dialogue/draw.ts"
import type { Values } from "../../../internal/dialogue/fields.ts"
import { isRefused, speakersOf, type Taken } from "../../../internal/dialogue/follow.ts"
import type { Role, Target } from "../../../internal/dialogue/model.ts"
import { type Compiled, type Spec, stateOf } from "../../../internal/dialogue/spec.ts"
import { carriedOf } from "./changes.ts"
import * as Stage from "./stage.ts"

/** How many messages lie at least between a state and others; none where no way leads there. */
export const distanceTo = (
  { states }: Spec,
  goals: ReadonlyArray<string>,
  mayTake: (state: Compiled, tag: string) => boolean = () => true
): ReadonlyMap<string, number> => {
  const distances = new Map(goals.map((goal) => [goal, 0]))
  for (let isNew = true; isNew;) {
    isNew = false
    for (const state of states.values()) {
      for (const [tag, target] of state.targets) {
        const next = stateOf(target)
        const distance = next === undefined || !mayTake(state, tag) ? Infinity : 1 + (distances.get(next) ?? Infinity)
        if (distance < (distances.get(state.name) ?? Infinity)) {
          distances.set(state.name, distance)
          isNew = true
        }
      }
    }
  }
  return distances
}

/** A message that may be said in a state. */
export interface Step {
  readonly state: Compiled
  readonly tag: string
}

/** What a side may say that is no refusal and was said in none of these conversations. */
export const untaken = (spec: Spec, role: Role, taken: ReadonlyArray<Taken>): ReadonlyArray<Step> =>
  Array.from(spec.states.values()).flatMap((state) =>
    !speakersOf(state).includes(role) ?
      [] :
      state.due.flatMap((tag): ReadonlyArray<Step> =>
        isRefused(state.targets.get(tag)) ||
          taken.some((other) => other.by === role && other.state === state && other.tag === tag)
          ? []
          : [{ state, tag }]
      )
  )

const isReady = (target: Target | undefined): boolean => typeof target === "object" && target._tag === "Ready"

/** The fields of a message that are secrets, with one that was said elsewhere: whoever takes it for that lets in who has said it. */
const lent = (
  { wire }: Compiled,
  tag: string,
  values: Values | undefined,
  secrets: ReadonlyArray<unknown>
): Values | undefined => {
  const { decode, encode, secrets: names } = wire.fields.get(tag)!
  return values && names.reduce((values, name) => {
    const carried = Result.getOrUndefined(encode(values))
    const found = secrets.flatMap((secret) =>
      carried === undefined
        ? []
        : Result.getOrElse(Result.map(decode({ ...carried, [name]: secret }), (one) => [one]), () => [])
    )
    return found[0] ?? values
  }, values)
}

/** The secrets of messages as they are carried. */
const secretsOf = (taken: ReadonlyArray<Taken>): ReadonlyArray<unknown> =>
  taken.flatMap(({ state, tag, values }) => {
    const carried = carriedOf(state, tag, values)
    return carried === undefined ? [] : state.wire.fields.get(tag)!.secrets.map((name) => carried[name])
  })

/** Goes to a state, says something there, and goes on as others have from there to an end that is ready. */
export const through = (
  spec: Spec,
  role: Role,
  { state: goal, tag: wanted }: Step,
  { known, seed, taken }: { readonly known: Stage.Known; readonly taken: ReadonlyArray<Taken>; readonly seed: number }
): Stage.Choose => {
  const isKnown = (state: Compiled, tag: string) => known.has(Stage.keyOf(state, tag))
  const secrets = secretsOf(taken)
  const there = distanceTo(spec, [goal.name])
  const ends = Array.from(spec.states.values()).filter((state) =>
    state.due.some((tag) =>
      isReady(state.targets.get(tag)) && (isKnown(state, tag) || !speakersOf(state).includes(role))
    )
  )
  const home = distanceTo(
    spec,
    ends.map(({ name }) => name),
    (state, tag) => isKnown(state, tag) || !speakersOf(state).includes(role)
  )
  // Who counts the visits is another one in each conversation.
  const gone = new WeakSet<ReadonlyMap<string, number>>()
  return (here, turn, visits) => {
    const said = (tag: string): readonly [string, Values] | undefined => {
      const values = known.get(Stage.keyOf(here, tag))?.[0] ??
        lent(here, tag, Draw.draw(here, tag, seed + turn), secrets)
      return values === undefined ? undefined : [tag, values]
    }
    if (here.name === goal.name && !gone.has(visits)) {
      gone.add(visits)
      return said(wanted)
    }
    const distances = gone.has(visits) ? home : there
    const far = (tag: string): number => {
      const target = here.targets.get(tag)!
      const next = stateOf(target)
      const distance = next !== undefined ? 1 + (distances.get(next) ?? Infinity) : gone.has(visits) ? 0 : Infinity
      // As somebody has done it is better than a shorter way.
      return distance + (isKnown(here, tag) ? 0 : spec.states.size)
    }
    const tag = here.due.filter((tag) => !isRefused(here.targets.get(tag))).toSorted((a, b) => far(a) - far(b))[0]
    return tag === undefined ? undefined : said(tag)
  }
}
