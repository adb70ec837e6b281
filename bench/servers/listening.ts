/** What the Effect servers say when they listen, for the harness to find their port. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"

export const listening = (address: NetAddress.SocketAddress): Effect.Effect<void> =>
  Effect.suspend(() => Console.log(`listening ${"port" in address ? address.port : "?"}`))
