/**
 * What the laws of handshakes have to be told of a dialogue, from its specification and from conversations that were seen.
 *
 * @internal
 */
import { readOne, type Taken } from "../../../internal/dialogue/follow.ts"
import type { Any, Options, WrongTurn } from "../laws/options.ts"
import { differing } from "./changes.ts"
import { isHello } from "./clearTls.ts"
import type { Attempt } from "./laws.ts"

/** Whether what came is what was due but for fields of which any value will do, or is another message that may be said there. */
const isLegal = ({ state, tag, values }: Taken, said: Uint8Array, isLast: boolean): boolean => {
  const { left, read } = readOne(state, said)
  if (read._tag !== "Message" || !state.targets.has(read.tag) || left > 0 && !isLast) return false
  if (read.tag !== tag) return true
  const { fresh, free } = state.wire.fields.get(tag)!
  return differing(state, tag, values, read.values).every((name) => free.includes(name) || fresh.includes(name))
}

export const derive = (
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
      const taken = messages?.[index - all.slice(0, index).filter(isHello).length]
      if (messages === undefined || taken === undefined) return false
      // What is due is said now: fresh fields are others than they were.
      const { read } = readOne(taken.state, due)
      const now = read._tag === "Message" && read.tag === taken.tag ? { ...taken, values: read.values } : taken
      return isLegal(now, said, taken === messages.at(-1))
    }
  }
}
