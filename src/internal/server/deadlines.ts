/**
 * The deadlines of handshakes and of connections that close: one sleeper for all of them, which wakes for the one that has the
 * least time left.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { lingerTime } from "../connection/connection.ts"
import * as Monotonic from "../connection/monotonic.ts"
import type { Admitted } from "./connections.ts"

const lingerMillis = Duration.toMillis(lingerTime)

const dueAt = ({ limits, phase, since }: Admitted): number => {
  switch (phase) {
    case "handshake":
      return since + limits.timeoutMillis
    case "closing":
      return since + lingerMillis
    default:
      return Infinity
  }
}

export class Deadlines {
  private readonly admitted: Iterable<Admitted>
  private readonly now: () => number
  private readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  private readonly cut: (state: Admitted) => void
  private wakesAt = Infinity
  private sleeper: Fiber.Fiber<void> | undefined = undefined

  /** Times are in milliseconds of the clock. */
  constructor(options: {
    readonly admitted: Iterable<Admitted>
    readonly now: () => number
    readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
    /** Ends what has taken too long. */
    readonly cut: (state: Admitted) => void
  }) {
    this.admitted = options.admitted
    this.now = options.now
    this.fork = options.fork
    this.cut = options.cut
  }

  /** A handshake is under way, or a connection closes. */
  watch(state: Admitted): void {
    this.wakeAt(dueAt(state))
  }

  stop(): void {
    this.sleeper?.interruptUnsafe()
  }

  private strike(): void {
    this.sleeper = undefined
    this.wakesAt = Infinity
    const time = this.now()
    let next = Infinity
    for (const state of this.admitted) {
      const until = dueAt(state)
      if (until - time < Monotonic.tick) this.cut(state)
      else next = Math.min(next, until)
    }
    if (next < Infinity) this.wakeAt(next)
  }

  private wakeAt(until: number): void {
    if (this.wakesAt <= until) return
    this.sleeper?.interruptUnsafe()
    this.wakesAt = until
    const asleep = Effect.sleep(Monotonic.until(until, this.now()))
    this.sleeper = this.fork(Effect.andThen(asleep, Effect.sync(() => this.strike())))
  }
}
