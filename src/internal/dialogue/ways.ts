/**
 * Ways through the states of a dialogue.
 *
 * @internal
 */
import type { Target } from "./model.ts"
import { type Compiled, type Spec, stateOf } from "./spec.ts"

/** Farther than anything. */
export const nowhere = Number.MAX_SAFE_INTEGER

/** How many messages it takes from a state, by one of its own, to one that is looked for: 0 where that is the one. */
export const steps = (
  spec: Spec,
  isGoal: (state: Compiled, message: string, target: Target) => boolean,
  from: Compiled,
  message: string
): number => {
  const known = new Set<string>()
  let edges: ReadonlyArray<readonly [state: Compiled, message: string]> = [[from, message]]
  for (let steps = 0; edges.length > 0; steps++) {
    if (edges.some(([state, message]) => isGoal(state, message, state.targets.get(message)!))) return steps
    const states = new Set(edges.flatMap(([state, message]) => stateOf(state.targets.get(message)!) ?? []))
    edges = Array.from(states).filter((name) => !known.has(name) && known.add(name)).flatMap((name) => {
      const state = spec.states.get(name)!
      return state.due.map((message) => [state, message] as const)
    })
  }
  return nowhere
}

/** Whether a message leads to an end that is ready. */
export const isReady = (_state: Compiled, _message: string, target: Target): boolean =>
  typeof target === "object" && target._tag === "Ready"
