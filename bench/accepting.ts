/**
 * A server of lines in this process, on sources that answer at once: what the system and Node do for a connection is not in what
 * is measured of it. The address is read from its text, as Node has it.
 */
import * as Effect from "effect/Effect"
import * as NetAddress from "effect/net/NetAddress"
import type * as Socket from "effect/socket/Socket"
import type * as SocketServer from "effect/socket/SocketServer"
import { type Incoming, runDirectly, type Source, type SourceEvents } from "../src/internal/connection/source.ts"
import type * as Peer from "../src/Peer.ts"

const utf8 = new TextEncoder()

export const hello = utf8.encode("You ready?\n")

/** A client that says something as soon as it is heard, and counts the bytes of ASCII that it hears. */
export class Client implements Source {
  private readonly ip: string
  private readonly first: Uint8Array
  private events: SourceEvents | undefined = undefined
  private hasSpoken = false
  heard = 0

  constructor(ip: string, first: Uint8Array = hello) {
    this.ip = ip
    this.first = first
  }

  get peer(): Peer.Peer {
    return { remote: NetAddress.inetAddressFromIpStringUnsafe(this.ip, 1024), local: undefined }
  }

  attach(events: SourceEvents): void {
    this.events = events
  }

  say(bytes: Uint8Array): void {
    this.events?.onBytes(bytes)
  }

  /** Says no more. */
  leave(): void {
    this.events?.onEnd(undefined)
  }

  resume(): void {
    if (this.hasSpoken) return
    this.hasSpoken = true
    queueMicrotask(() => this.say(this.first))
  }

  pause(): void {}

  write(chunks: ReadonlyArray<string | Uint8Array>): Effect.Effect<void, Socket.SocketError> {
    this.writeNow(chunks)
    return Effect.void
  }

  writeNow(chunks: ReadonlyArray<string | Uint8Array>): undefined {
    for (const chunk of chunks) this.heard += chunk.length
  }

  endWrite(): boolean {
    queueMicrotask(() => this.leave())
    return true
  }

  onFlushed(done: () => void): void {
    done()
  }

  destroy(): void {}
}

/** A socket server whose connections are handed to it. */
export const accepting = (): {
  readonly socketServer: SocketServer.SocketServer["Service"]
  readonly accept: (incoming: Incoming) => void
} => {
  let take: (incoming: Incoming) => void = () => {}
  return {
    socketServer: {
      address: NetAddress.inetAddressFromIpStringUnsafe("127.0.0.1", 7),
      run: runDirectly(() => Effect.never, {
        accept: (accept) =>
          Effect.callback<never>(() => {
            take = accept
          })
      })
    },
    accept: (incoming) => take(incoming)
  }
}

const microseconds = ({ system, user }: NodeJS.CpuUsage): number => system + user

const until = (end: number, round: Effect.Effect<number>): Effect.Effect<number> =>
  Effect.gen(function*() {
    let count = 0
    while (performance.now() < end) count += yield* round
    return count
  })

/** The processor's microseconds for each of what a round says it has done, for about so many seconds. */
export const cost = (round: Effect.Effect<number>, seconds: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    // For the compiler.
    yield* until(performance.now() + seconds * 300, round)
    const before = process.cpuUsage()
    const count = yield* until(performance.now() + seconds * 1000, round)
    return microseconds(process.cpuUsage(before)) / count
  })
