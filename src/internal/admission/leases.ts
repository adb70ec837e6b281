/**
 * The places that this machine holds in a store which many share: taken, renewed, given back, and lost.
 *
 * | a place is | while | then |
 * |---|---|---|
 * | held | it was taken or renewed within three quarters of a lease | renewed, each quarter |
 * | not renewed, `closed` | the store cannot be asked for longer than that | lost: its connection is closed in the quarter that is left |
 * | not renewed, `open` | the store cannot be asked | held all the same, and registered when the store is there again |
 * | taken away | the store has forgotten it while it granted others | `closed`: lost; `open`: registered again |
 *
 * What is measured here begins before the store is asked and the store's own lease after that, so that a place ends here first.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * A store of places could not be asked.
 *
 * @category errors
 * @since 0.1.0
 */
export class LeasesError extends Schema.TaggedError<LeasesError>()("LeasesError", { cause: Schema.Defect() }) {
  override get message(): string {
    return "the store of leases could not be asked"
  }
}

/**
 * What a store says to somebody who wants a place under each of several keys.
 *
 * **Details**
 *
 * - `Granted`: it has them all, for `duration`.
 * - `Full`: under the key of this index there is none; and so it has none of them.
 * - `Recovering`: the store may have lost what it knew. Until `retryAfter` it only takes down who is there already.
 *
 * @category models
 * @since 0.1.0
 */
export type Answer =
  | { readonly _tag: "Granted" }
  | { readonly _tag: "Full"; readonly index: number }
  | { readonly _tag: "Recovering"; readonly retryAfter: Duration.Duration }

/**
 * Places in a store that many machines share, each held for a time and renewed.
 *
 * **Details**
 *
 * - `acquire` takes a place under each key, all or none, where fewer than its `limit` are held.
 * - `renew` makes places last for `duration` again, and returns the indexes of those that are not held any more: their time was over.
 *   With `isForced` they are taken again, whatever the limit is.
 * - `release` gives places back. To give back what is not held is harmless.
 *
 * Each of them is one step: nobody sees half of it.
 *
 * @category services
 * @since 0.1.0
 */
export class Leases extends Context.Service<Leases, {
  readonly acquire: (options: {
    readonly holder: string
    readonly places: ReadonlyArray<{ readonly key: string; readonly limit: number }>
    readonly duration: Duration.Duration
  }) => Effect.Effect<Answer, LeasesError>
  readonly renew: (options: {
    readonly leases: ReadonlyArray<{ readonly holder: string; readonly key: string }>
    readonly duration: Duration.Duration
    readonly isForced: boolean
  }) => Effect.Effect<ReadonlyArray<number>, LeasesError>
  readonly release: (options: {
    readonly holder: string
    readonly keys: ReadonlyArray<string>
  }) => Effect.Effect<void, LeasesError>
}>()("effect-handshake/Admission/Leases") {}

interface Held {
  keys: ReadonlyArray<string>
  /** When it is lost unless it is renewed, in milliseconds of the clock. */
  until: number
  readonly onLost: () => void
}

/** How many places are renewed in one step of the store, which others wait for. */
const batch = 256

/** What this machine holds. */
export class Holder {
  private readonly leases: Leases["Service"]
  private readonly duration: Duration.Duration
  private readonly millis: number
  private readonly now: () => number
  private readonly isStrict: () => boolean
  private readonly bounded: <A>(asked: Effect.Effect<A, LeasesError>) => Effect.Effect<A, LeasesError>
  private readonly fork: (effect: Effect.Effect<void>) => void
  private readonly name: string
  private readonly held = new Map<string, Held>()
  private lastId = 0

  constructor(options: {
    readonly leases: Leases["Service"]
    readonly duration: Duration.Duration
    /** In milliseconds of the clock. */
    readonly now: () => number
    /** Whether a place that may be lost is lost. */
    readonly isStrict: () => boolean
    /** Gives up in time. */
    readonly bounded: <A>(asked: Effect.Effect<A, LeasesError>) => Effect.Effect<A, LeasesError>
    readonly fork: (effect: Effect.Effect<void>) => void
    /** No other machine has it. */
    readonly name: string
  }) {
    this.leases = options.leases
    this.duration = options.duration
    this.millis = Duration.toMillis(options.duration)
    this.now = options.now
    this.isStrict = options.isStrict
    this.bounded = options.bounded
    this.fork = options.fork
    this.name = options.name
  }

  /** How many connections of this machine hold something. */
  get size(): number {
    return this.held.size
  }

  newId(): string {
    return `${this.name}:${++this.lastId}`
  }

  acquire(
    id: string,
    places: ReadonlyArray<{ readonly key: string; readonly limit: number }>,
    onLost: () => void
  ): Effect.Effect<Answer, LeasesError> {
    return Effect.suspend(() => {
      const asked = this.now()
      return Effect.map(
        this.bounded(this.leases.acquire({ holder: id, places, duration: this.duration })),
        (answer) => {
          if (answer._tag === "Granted") this.keep(id, places, onLost, asked)
          return answer
        }
      )
    })
  }

  /** Holds places that the store is told of when it can be. */
  keep(id: string, places: ReadonlyArray<{ readonly key: string }>, onLost: () => void, since: number): void {
    this.held.set(id, { keys: places.map(({ key }) => key), until: since + this.millis * 0.75, onLost })
  }

  /** Also what may have been taken: the answer did not come in time. What is kept is held on, unless it was lost. */
  release(id: string, keys: ReadonlyArray<string>, kept: ReadonlyArray<string>): void {
    const held = this.held.get(id)
    if (held !== undefined && kept.length > 0) held.keys = kept
    else this.held.delete(id)
    this.fork(Effect.ignore(this.bounded(this.leases.release({ holder: id, keys }))))
  }

  /** Renews what is held, as long as it runs. */
  get renewing(): Effect.Effect<never> {
    return Effect.forever(Effect.andThen(
      Effect.suspend(() => Effect.sleep(Math.max(1, this.nextAt() - this.now()))),
      Effect.suspend(() => this.renew())
    ))
  }

  /** In a quarter of a lease, or when the first place would be lost. */
  private nextAt(): number {
    let next = this.now() + this.millis / 4
    if (this.isStrict()) { for (const { until } of this.held.values()) next = Math.min(next, until) }
    return next
  }

  private renew(): Effect.Effect<void> {
    const all = [...this.held].flatMap(([id, held]) => held.keys.map((key) => ({ holder: id, key, held })))
    const batches = Array.from(
      { length: Math.ceil(all.length / batch) },
      (_, index) => all.slice(index * batch, (index + 1) * batch)
    )
    // One that fails speaks for those behind it: each waits for its time.
    const renewed = Effect.ignore(Effect.forEach(batches, (some) => this.renewSome(some), { discard: true }))
    return Effect.andThen(renewed, Effect.sync(() => this.strike()))
  }

  private renewSome(some: ReadonlyArray<{ readonly holder: string; readonly key: string; readonly held: Held }>) {
    const asked = this.now()
    const leases = some.map(({ holder, key }) => ({ holder, key }))
    const isForced = !this.isStrict()
    return Effect.map(this.bounded(this.leases.renew({ leases, duration: this.duration, isForced })), (gone) => {
      // What was given back meanwhile is not lost.
      const missed = gone.map((index) => some[index]).filter(({ held, key }) => held.keys.includes(key))
      const lost = new Set(missed.map(({ holder }) => holder))
      for (const { held, holder } of some) {
        if (lost.has(holder)) held.until = -Infinity
        else held.until = Math.max(held.until, asked + this.millis * 0.75)
      }
    })
  }

  /** Gives up what is lost. */
  private strike(): void {
    if (!this.isStrict()) return
    const now = this.now()
    for (const [id, held] of this.held) {
      if (held.until > now) continue
      // Its connection gives it back when it is closed, and not before.
      this.held.delete(id)
      held.onLost()
    }
  }
}
