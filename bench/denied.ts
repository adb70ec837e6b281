/**
 * What this library does for a connection that comes in, and for one that is denied: in this process, on sources that answer at once, so
 * that what the system and Node do for both is not in it. The address is read from its text, as Node has it.
 */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Socket from "effect/socket/Socket"
import * as SocketServer from "effect/socket/SocketServer"
import * as Admission from "../src/Admission.ts"
import { type Incoming, runDirectly, type Source, type SourceEvents } from "../src/internal/connection/source.ts"
import type * as Peer from "../src/Peer.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"

const hello = new TextEncoder().encode("You ready?\n")

/** A client that says what is due, takes what it hears and goes. */
class Client implements Source {
  private readonly ip: string
  private events: SourceEvents | undefined = undefined
  private hasSpoken = false
  readonly flushed: Effect.Effect<void> = Effect.void

  constructor(ip: string) {
    this.ip = ip
  }

  get peer(): Peer.Peer {
    return { remote: NetAddress.inetAddressFromIpStringUnsafe(this.ip, 1024), local: undefined }
  }

  attach(events: SourceEvents): void {
    this.events = events
  }

  resume(): void {
    if (this.hasSpoken) return
    this.hasSpoken = true
    queueMicrotask(() => this.events?.onBytes(hello))
  }

  pause(): void {}

  write(): Effect.Effect<void, Socket.SocketError> {
    return Effect.void
  }

  writeNow(): undefined {}

  endWrite(): boolean {
    queueMicrotask(() => this.events?.onEnd(undefined))
    return true
  }

  destroy(): void {}
}

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

const microseconds = ({ system, user }: NodeJS.CpuUsage): number => system + user

/** The processor's microseconds for each connection, for about so many seconds. */
export const measure = (kind: Kind, seconds: number): Effect.Effect<number> =>
  Effect.scoped(Effect.gen(function*() {
    let accept: (incoming: Incoming) => void = () => {}
    const socketServer: SocketServer.SocketServer["Service"] = {
      address: NetAddress.inetAddressFromIpStringUnsafe("127.0.0.1", 7),
      run: runDirectly(() => Effect.never, {
        accept: (take) =>
          Effect.callback<never>(() => {
            accept = take
          })
      })
    }
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
    const round = Effect.gen(function*() {
      for (let i = 0; i < batch; i++) {
        accept(new Client("192.0.2.1"))
      }
      const isBusy = Effect.map(server.counts, ({ connections, refusing }) =>
        connections + refusing > 0)
      while (yield* isBusy) yield* Effect.sleep(0)
    })
    const until = (end: number): Effect.Effect<number> =>
      Effect.gen(function*() {
        let count = 0
        while (performance.now() < end) {
          yield* round
          count += batch
        }
        return count
      })
    yield* until(performance.now() + seconds * 300)
    const before = process.cpuUsage()
    const count = yield* until(performance.now() + seconds * 1000)
    return microseconds(process.cpuUsage(before)) / count
  }))
