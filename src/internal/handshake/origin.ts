/**
 * What a handshake is known to belong to, for the runtimes that are given nothing but the handshake: its name, for the
 * span that begins before it does, and its protocol's refusal, for those whom it never gets to see.
 *
 * @internal
 */
import type * as Protocol from "../../Protocol.ts"

export interface Origin {
  readonly name?: string | undefined
  readonly refuse?: Protocol.Refuse | undefined
}

const origins = new WeakMap<object, Origin>()

export const set = <A extends object>(handshake: A, origin: Origin): A => {
  origins.set(handshake, origin)
  return handshake
}

export const of = (handshake: object): Origin | undefined => origins.get(handshake)

/** What is made of a handshake is still of its protocol. */
export const keep = <A extends object>(from: object, to: A): A => {
  const origin = origins.get(from)
  return origin === undefined ? to : set(to, origin)
}
