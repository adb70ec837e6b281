/**
 * What the laws of handshakes have to be told of a dialogue, from its specification and from conversations that were seen.
 *
 * @internal
 */
import { readOne, type Taken } from "../../../internal/dialogue/follow.ts"
import { type Spec, stateOf } from "../../../internal/dialogue/spec.ts"
import type { Any, Options, WrongTurn } from "../laws/options.ts"
import { differing } from "./changes.ts"
import { isHello } from "./clearTls.ts"
import type { Attempt } from "./laws.ts"

/**
 * Whether what came is what was due but for fields of which any value will do, or are other messages that may be said there: one,
 * none, or several, where its speaker goes on.
 */
const isLegal = (spec: Spec, taken: Taken, next: Taken | undefined, said: Uint8Array): boolean => {
  const { by, tag, values } = taken
  if (said.length === 0) return next !== undefined && next.state === taken.state
  let { state } = taken
  let rest = said
  for (let isFirst = true;; isFirst = false) {
    const { left, read } = readOne(state, rest)
    const target = read._tag === "Message" ? state.targets.get(read.tag) : undefined
    if (read._tag !== "Message" || target === undefined) return false
    if (left === 0 || next === undefined) {
      if (!isFirst || read.tag !== tag) return true
      const { fresh, free } = state.wire.fields.get(tag)!
      return differing(state, tag, values, read.values).every((name) => free.includes(name) || fresh.includes(name))
    }
    const following = spec.states.get(stateOf(target) ?? "")
    if (following === undefined || following.turn !== by) return false
    rest = rest.subarray(rest.length - left)
    state = following
  }
}

export const derive = (
  spec: Spec,
  attempts: ReadonlyArray<Attempt>
): Pick<Options<Any, Any>, "accepts" | "secrets" | "fresh"> => {
  const heard = new Map(attempts.map(({ references, stage }) => [
    stage.role,
    references[0]!.played.walk.taken.filter(({ by }) => by !== stage.role)
  ]))
  const said = attempts.flatMap(({ references }) => references.flatMap(({ played }) => played.walk.taken))
  const isFresh = (role: string) =>
    said.some(({ by, state, tag }) => by === role && state.wire.fields.get(tag)!.fresh.length > 0)
  return {
    secrets: attempts.flatMap(({ secrets }) => secrets),
    fresh: { server: isFresh("server"), client: isFresh("client") },
    accepts: ({ due, index, messages: all, said, side }: WrongTurn) => {
      // What is said of TLS is no message.
      if (isHello(due)) return true
      const messages = heard.get(side)
      const place = index - all.slice(0, index).filter(isHello).length
      const taken = messages?.[place]
      if (messages === undefined || taken === undefined) return false
      // What is due is said now: fresh fields are others than they were.
      const { read } = readOne(taken.state, due)
      const now = read._tag === "Message" && read.tag === taken.tag ? { ...taken, values: read.values } : taken
      return isLegal(spec, now, messages[place + 1], said)
    }
  }
}
