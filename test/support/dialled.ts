/**
 * Servers in memory that are nothing but lines, one for each address, and what becomes of those who dial them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import { type LinePeer, linePeer } from "./linePeer.ts"

/** What a dial meets with: nobody, or a peer that says these lines at once. */
export type Meets = "refused" | ReadonlyArray<string>

/** A socket that cannot be opened. */
export const refused = Socket.make({
  reader: Effect.fail(
    new Socket.SocketError({
      reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect ECONNREFUSED") })
    })
  ),
  writer: Effect.never
})

/** Dials go to `meets`, which is given the address; `dials` is when each was and whereto, `peers` are those who were met. */
export const dialled = Effect.fnUntraced(function*(meets: (address: string, nth: number) => Meets) {
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const start = clock.currentTimeMillisUnsafe()
  const dials: Array<readonly [at: number, address: string]> = []
  const peers: Array<LinePeer> = []
  const dial = (address: string): Effect.Effect<Socket.Socket> =>
    Effect.gen(function*() {
      dials.push([clock.currentTimeMillisUnsafe() - start, address])
      const met = meets(address, dials.length)
      if (met === "refused") return refused
      const [here, there] = yield* MemorySocket.pair()
      const peer = yield* Effect.orDie(Scope.provide(linePeer(there), scope))
      peers.push(peer)
      if (met.length > 0) yield* peer.say(...met)
      return here
    })
  return { dial, dials, peers, times: () => dials.map(([at]) => at) }
})
