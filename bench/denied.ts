/**
 * What this library does for a connection that comes in, and for one that is denied.
 */
import * as Effect from "effect/Effect"
import * as SocketServer from "effect/socket/SocketServer"
import * as Admission from "../src/Admission.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import { accepting, Client, cost } from "./accepting.ts"

export const kinds = ["handshake", "admitted", "denied, told", "denied, at once", "denied, in a time"] as const

export type Kind = typeof kinds[number]

const options: Record<Kind, Admission.Options | undefined> = {
  handshake: undefined,
  admitted: {
    limits: [
      Admission.byAddress({
        atOnce: 1_000_000,
        connections: { limit: 1_000_000_000, window: "1 second" },
        failures: { limit: 5, window: "1 minute" }
      })
    ]
  },
  "denied, told": { limits: [Admission.byAddress({ connections: { limit: 1, window: "1 hour" } })], quiet: 0 },
  "denied, at once": { limits: [Admission.byKey("none", () => "all", { atOnce: 1 })], quiet: "1 hour" },
  "denied, in a time": {
    limits: [Admission.byAddress({ connections: { limit: 1, window: "1 hour" } })],
    quiet: "1 hour"
  }
}

const batch = 500

/** The processor's microseconds for each connection, for about so many seconds. */
export const measure = (kind: Kind, seconds: number): Effect.Effect<number> =>
  Effect.scoped(Effect.gen(function*() {
    const { accept, socketServer } = accepting()
    const given = options[kind]
    const server = yield* Server.make({
      protocol: Line.protocol,
      serve: () => Effect.void,
      ...given !== undefined && {
        // Who is there already takes the one place.
        admission: Effect.tap(Admission.make(given), (admission) =>
          Effect.sync(() => admission.admit(new Client("192.0.2.1").peer, () => {})))
      }
    }).pipe(Effect.provideService(SocketServer.SocketServer, socketServer))
    yield* Effect.yieldNow
    const isBusy = Effect.map(server.counts, ({ connections, refusing }) =>
      connections + refusing > 0)
    const round = Effect.gen(function*() {
      for (let i = 0; i < batch; i++) accept(new Client("192.0.2.1"))
      while (yield* isBusy) yield* Effect.sleep(0)
      return batch
    })
    return yield* cost(round, seconds)
  }))
