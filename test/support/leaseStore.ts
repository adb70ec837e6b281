/**
 * A store of leases in memory that many machines share, over a network that is slow and loses, and that is started anew and forgets.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Admission from "../../src/Admission.ts"

export interface Options {
  /** How long a question and an answer are on their way at most, in milliseconds. */
  readonly latency?: number
  /** How many of a hundred questions are lost, and as many answers. */
  readonly lost?: number
}

export class LeaseStore {
  private readonly held = new Map<string, Map<string, number>>()
  private recovers = -Infinity
  private readonly options: Options
  /** Whether it can be asked. */
  isUp = true

  constructor(options: Options = {}) {
    this.options = options
  }

  /** It has lost what it knew, and knows that it may have. */
  restart(now: number, lease: number): void {
    this.held.clear()
    this.recovers = now + lease
  }

  /** It has lost what it knew, and does not know. */
  empty(): void {
    this.held.clear()
  }

  private under(key: string, now: number): Map<string, number> {
    let holders = this.held.get(key)
    if (holders === undefined) this.held.set(key, holders = new Map())
    for (const [holder, until] of holders) if (until <= now) holders.delete(holder)
    return holders
  }

  private acquire(now: number, { duration, holder, places }: Parameters<Service["acquire"]>[0]): Admission.Answer {
    if (this.recovers > now) return { _tag: "Recovering", retryAfter: Duration.millis(this.recovers - now) }
    const full = places.findIndex(({ key, limit }) => this.under(key, now).size >= limit)
    if (full >= 0) return { _tag: "Full", index: full }
    for (const { key } of places) this.under(key, now).set(holder, now + Duration.toMillis(duration))
    return { _tag: "Granted" }
  }

  private renew(now: number, { duration, isForced, leases }: Parameters<Service["renew"]>[0]): ReadonlyArray<number> {
    return leases.flatMap(({ holder, key }, index) => {
      const holders = this.under(key, now)
      if (!isForced && this.recovers <= now && !holders.has(holder)) return [index]
      holders.set(holder, now + Duration.toMillis(duration))
      return []
    })
  }

  /** What happens at once when a question has arrived; what is lost is never answered. */
  private asked<A>(step: (now: number) => A): Effect.Effect<A> {
    const { latency = 0, lost = 0 } = this.options
    const travel = Effect.gen(function*() {
      if ((yield* Random.next) * 100 < lost) return yield* Effect.never
      if (latency > 0) yield* Effect.sleep((yield* Random.next) * latency)
    })
    const arrive = Effect.suspend(() => this.isUp ? Effect.map(Clock.currentTimeMillis, step) : Effect.never)
    // Nobody who does not wait any more takes back what he has sent.
    return Effect.flatMap(
      Effect.forkDetach(Effect.andThen(travel, Effect.tap(arrive, () => travel))),
      (fiber) =>
        Effect.flatten(Effect.callback<Effect.Effect<A>>((resume) => {
          fiber.addObserver((exit) => resume(Effect.succeed(exit)))
        }))
    )
  }

  get service(): Service {
    return {
      acquire: (options) => this.asked((now) => this.acquire(now, options)),
      renew: (options) => this.asked((now) => this.renew(now, options)),
      release: ({ holder, keys }) => this.asked((now) => keys.forEach((key) => this.under(key, now).delete(holder)))
    }
  }
}

type Service = Admission.Leases["Service"]
