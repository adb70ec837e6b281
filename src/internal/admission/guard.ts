/**
 * Decides who comes in.
 *
 * | asked, in this order | of | denied as |
 * |---|---|---|
 * | does it always pass? | the networks | |
 * | was it denied, and is its time not over? | what was denied lately | what it was denied as |
 * | are as many of them here? | the counts of this machine | `capacity` |
 * | have as many of them failed, or come? | the rate limiter | `failures`, `rate` |
 * | are as many of them anywhere? | the leases, where machines share a limit | `capacity` |
 *
 * Somebody who is introduced later is judged in the same way, by those limits for which that gives another key, and what was counted for
 * the one before is given back.
 *
 * The first three cost no Effect. A place is taken before anything is waited for, so that no two take the same one, and is given back
 * where the rest says no.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as NetAddress from "effect/net/NetAddress"
import * as RateLimiter from "effect/persistence/RateLimiter"
import type * as Peer from "../../Peer.ts"
import * as Addresses from "./addresses.ts"
import type { Holder, LeasesError } from "./leases.ts"
import type { Admitted, Denied, Verdict, Why } from "./model.ts"
import { Recent } from "./recent.ts"
import type { Rule, Rules } from "./rules.ts"

/** A peer as one limit sees it. */
interface Subject {
  readonly rule: Rule
  /** The limit and the key. */
  readonly id: string
}

interface Denial {
  /** In milliseconds of the clock. */
  readonly until: number
  readonly why: Why
}

/** What many machines share. */
export interface Shared {
  readonly holder: Holder
  readonly bounded: <A, E>(asked: Effect.Effect<A, E>) => Effect.Effect<A, E | LeasesError>
  /** Whether whoever comes is let in while nobody can be asked. */
  readonly isOpen: () => boolean
}

/** How long a store that could not be asked is not asked again, in milliseconds. */
const respite = 1000

export class Guard {
  private readonly rules: () => Rules
  private readonly limiter: RateLimiter.RateLimiter
  private readonly shared: Shared | undefined
  private readonly now: () => number
  private readonly run: <A>(effect: Effect.Effect<A>) => A
  private readonly fork: (effect: Effect.Effect<void>) => void
  /** How many of those who are here have a key. */
  private readonly counts = new Map<string, number>()
  private readonly maxKeys: number
  private asked: Rules | undefined = undefined
  private denied: Recent<Denial>
  /** Until when an address hears no refusal, in milliseconds of the clock. */
  private readonly told: Recent<number>
  private silentUntil = -Infinity
  private hasFailed = false

  constructor(options: {
    /** Those that hold now. */
    readonly rules: () => Rules
    readonly maxKeys: number
    readonly limiter: RateLimiter.RateLimiter
    readonly shared: Shared | undefined
    /** In milliseconds of the clock. */
    readonly now: () => number
    /** Runs what waits for nothing. */
    readonly run: <A>(effect: Effect.Effect<A>) => A
    readonly fork: (effect: Effect.Effect<void>) => void
  }) {
    this.rules = options.rules
    this.maxKeys = options.maxKeys
    this.denied = new Recent(options.maxKeys)
    this.told = new Recent(options.maxKeys)
    this.limiter = options.limiter
    this.shared = options.shared
    this.now = options.now
    this.run = options.run
    this.fork = options.fork
  }

  /** How much is kept of peers that are not here. */
  get remembered(): number {
    return this.denied.size + this.told.size
  }

  /** What was denied by other rules is not denied by new ones. */
  private current(): Rules {
    const rules = this.rules()
    if (this.asked !== undefined && this.asked !== rules) this.denied = new Recent(this.maxKeys)
    return this.asked = rules
  }

  admit(peer: Peer.Peer, onLost: () => void): Verdict | Effect.Effect<Verdict> {
    return this.decide(new Ticket(this, onLost), peer)
  }

  decide(ticket: Ticket, peer: Peer.Peer): Verdict | Effect.Effect<Verdict> {
    const rules = this.current()
    const address = Addresses.addressOf(peer)
    if (rules.passes(address)) return ticket.become(nobody)
    const now = this.now()
    const ids = new Set<string>()
    const subjects: Array<Subject> = []
    for (const rule of rules.rules) {
      const key = rule.keyOf(peer)
      if (key === undefined) continue
      const id = `${rule.name}:${key}`
      ids.add(id)
      if (ticket.countsFor(id)) continue
      const denial = this.denied.get(id)
      if (denial !== undefined) {
        if (denial.until > now) return this.deny(rules, rule, denial.why, denial.until - now, address, now)
        this.denied.delete(id)
      }
      subjects.push({ rule, id })
    }
    const full = subjects.find(({ id, rule }) => rule.atOnce !== undefined && (this.counts.get(id) ?? 0) >= rule.atOnce)
    if (full !== undefined) return this.deny(rules, full.rule, "capacity", undefined, address, now)

    if (subjects.length === 0) return ticket.become(ids)

    const part = new Part(this, subjects)
    const { shared } = this
    if (shared === undefined) {
      if (!rules.asks) return ticket.become(ids, part)
      const refused = this.run(this.rate(subjects))
      if (refused === undefined) return ticket.become(ids, part)
      part.leave()
      return this.deny(rules, refused.rule, refused.why, refused.millis, address, now)
    }
    const asked = this.ask(shared, rules, subjects, part, ticket.onLost, address)
    return Effect.map(
      Effect.onExitPrimitive(asked, (exit) => {
        if (exit._tag === "Success" && exit.value === undefined) ticket.become(ids, part)
        else part.leave()
        return undefined
      }),
      (denied) => denied ?? ticket
    )
  }

  // -------------------------------------------------------------------------------------------------------------------
  // What others have to be asked
  // -------------------------------------------------------------------------------------------------------------------

  /** Why not, where it does not come in. */
  private readonly ask = Effect.fnUntraced(function*(
    this: Guard,
    shared: Shared,
    rules: Rules,
    subjects: ReadonlyArray<Subject>,
    part: Part,
    onLost: () => void,
    address: NetAddress.IpAddress | undefined
  ): Effect.fn.Return<Denied | undefined> {
    const refused = yield* this.rate(subjects)
    if (refused !== undefined) {
      return this.deny(rules, refused.rule, refused.why, refused.millis, address, this.now())
    }
    const limited = subjects.filter(({ rule }) => rule.atOnce !== undefined)
    if (limited.length === 0) return undefined
    const { holder } = shared
    const id = holder.newId()
    const places = limited.map(({ id, rule }) => ({ key: id, limit: rule.atOnce! }))
    part.holds(holder, id, places.map(({ key }) => key))
    const since = this.now()
    const answer = this.isSilent
      ? undefined
      : yield* Effect.matchCauseEffect(holder.acquire(id, places, onLost), {
        onSuccess: (answer) => this.heard(answer),
        onFailure: (cause) => this.silence(cause)
      })
    if (answer?._tag === "Granted") return undefined
    if (answer?._tag === "Full") {
      return this.deny(rules, limited[answer.index].rule, "capacity", undefined, address, this.now())
    }
    if (shared.isOpen()) {
      holder.keep(id, places, onLost, since)
      return undefined
    }
    const millis = answer === undefined ? undefined : Duration.toMillis(answer.retryAfter)
    return this.deny(rules, limited[0].rule, "unavailable", millis, address, this.now())
  })

  /** What the rates say: nothing, where they let it in. */
  private readonly rate = Effect.fnUntraced(function*(this: Guard, subjects: ReadonlyArray<Subject>) {
    for (const { id, rule } of subjects) {
      const { connections, failures } = rule
      if (failures !== undefined) {
        // Only asks.
        const left = yield* this.consume({ ...failures, key: `${id}:failures`, tokens: 0 })
        if (left === undefined) return this.unavailable(rule)
        if (left.remaining <= 0) return this.remember(rule, id, "failures", left.millis)
      }
      if (connections !== undefined) {
        const left = yield* this.consume({ ...connections, key: `${id}:connections`, tokens: 1 })
        if (left === undefined) return this.unavailable(rule)
        if (left.remaining < 0) return this.remember(rule, id, "rate", left.millis)
      }
    }
    return undefined
  })

  private unavailable(rule: Rule) {
    return this.shared?.isOpen() === true ? undefined : { rule, why: "unavailable" as const, millis: undefined }
  }

  private remember(rule: Rule, id: string, why: "rate" | "failures", millis: number) {
    this.denied.set(id, { until: this.now() + millis, why })
    return { rule, why, millis }
  }

  /** What is left, less than nothing where it was too much; undefined where nobody could be asked. */
  private consume(options: {
    readonly key: string
    readonly limit: number
    readonly window: Duration.Duration
    readonly tokens: number
  }): Effect.Effect<{ readonly remaining: number; readonly millis: number } | undefined> {
    if (this.isSilent) return Effect.succeed(undefined)
    const consumed = this.limiter.consume({ ...options, onExceeded: "fail", algorithm: "fixed-window" })
    return Effect.matchCauseEffect(this.shared === undefined ? consumed : this.shared.bounded(consumed), {
      onSuccess: ({ remaining, resetAfter }) => this.heard({ remaining, millis: Duration.toMillis(resetAfter) }),
      onFailure: (cause) => {
        const error = Cause.squash(cause)
        return error instanceof RateLimiter.RateLimiterError && error.reason._tag === "RateLimitExceeded"
          ? this.heard({ remaining: -1, millis: Duration.toMillis(error.reason.retryAfter) })
          : this.silence(cause)
      }
    })
  }

  private get isSilent(): boolean {
    return this.silentUntil > this.now()
  }

  /** A store that does not answer is let alone for a while: nobody waits for it meanwhile. */
  private silence(cause: Cause.Cause<unknown>): Effect.Effect<undefined> {
    if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
    this.silentUntil = this.now() + respite
    if (this.hasFailed) return Effect.succeed(undefined)
    this.hasFailed = true
    const choice = this.shared?.isOpen() === true ? "everybody comes in" : "nobody comes in"
    return Effect.as(Effect.logWarning(`the store of the admission cannot be asked: ${choice}`, cause), undefined)
  }

  private heard<A>(answer: A): Effect.Effect<A> {
    if (!this.hasFailed) return Effect.succeed(answer)
    this.hasFailed = false
    return Effect.as(Effect.logInfo("the store of the admission can be asked again"), answer)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // What follows
  // -------------------------------------------------------------------------------------------------------------------

  private deny(
    { delay, quiet }: Rules,
    { name }: Rule,
    why: Why,
    millis: number | undefined,
    address: NetAddress.IpAddress | undefined,
    now: number
  ): Denied {
    return {
      _tag: "Denied",
      limit: name,
      why,
      retryAfter: millis === undefined ? undefined : Duration.millis(millis),
      delay,
      isTold: this.tells(address, quiet, now)
    }
  }

  private tells(address: NetAddress.IpAddress | undefined, quiet: number, now: number): boolean {
    if (address === undefined || quiet === 0) return true
    const key = Addresses.networkOf(address, Addresses.defaultPrefix)
    const until = this.told.get(key)
    if (until !== undefined && until > now) return false
    this.told.set(key, now + quiet)
    return true
  }

  take(id: string): void {
    this.counts.set(id, (this.counts.get(id) ?? 0) + 1)
  }

  give(id: string): void {
    const left = this.counts.get(id)! - 1
    if (left > 0) this.counts.set(id, left)
    else this.counts.delete(id)
  }

  failed(subjects: ReadonlyArray<Subject>, error: unknown): void {
    for (const { id, rule } of subjects) {
      const { failures } = rule
      if (failures === undefined || !failures.of(error)) continue
      const counted = Effect.map(
        this.consume({ ...failures, key: `${id}:failures`, tokens: 1 }),
        (left) => {
          if (left !== undefined && left.remaining <= 0) this.remember(rule, id, "failures", left.millis)
        }
      )
      if (this.shared === undefined) this.run(counted)
      else this.fork(counted)
    }
  }
}

const nobody: ReadonlySet<string> = new Set()

/** What was taken in one step. */
class Part {
  private readonly guard: Guard
  private held: { readonly holder: Holder; readonly id: string; keys: ReadonlyArray<string> } | undefined = undefined
  subjects: ReadonlyArray<Subject>

  constructor(guard: Guard, subjects: ReadonlyArray<Subject>) {
    this.guard = guard
    this.subjects = subjects
    for (const { id, rule } of subjects) if (rule.atOnce !== undefined) guard.take(id)
  }

  holds(holder: Holder, id: string, keys: ReadonlyArray<string>): void {
    this.held = { holder, id, keys }
  }

  /** Gives back what is counted for anybody else. */
  retain(ids: ReadonlySet<string>): void {
    const gone = this.subjects.filter(({ id }) => !ids.has(id))
    if (gone.length === 0) return
    this.subjects = this.subjects.filter(({ id }) => ids.has(id))
    for (const { id, rule } of gone) if (rule.atOnce !== undefined) this.guard.give(id)
    const { held } = this
    if (held === undefined) return
    const keys = held.keys.filter((key) => !ids.has(key))
    if (keys.length === 0) return
    held.keys = held.keys.filter((key) => ids.has(key))
    held.holder.release(held.id, keys, held.keys)
  }

  leave(): void {
    this.retain(nobody)
  }
}

/** What somebody who comes in counts for, from accept to close. */
class Ticket implements Admitted {
  readonly _tag = "Admitted"
  readonly onLost: () => void
  private readonly guard: Guard
  private parts: ReadonlyArray<Part> = []
  private hasLeft = false

  constructor(guard: Guard, onLost: () => void) {
    this.guard = guard
    this.onLost = onLost
  }

  countsFor(id: string): boolean {
    return this.parts.some(({ subjects }) => subjects.some((subject) => subject.id === id))
  }

  /** From here on it counts for these alone: what it counts for already, and what was taken for it. */
  become(ids: ReadonlySet<string>, taken?: Part): this {
    if (taken !== undefined) this.parts = [...this.parts, taken]
    if (this.hasLeft) this.give(nobody)
    else if (this.parts.length > 0) this.give(ids)
    return this
  }

  introduced(peer: Peer.Peer): Verdict | Effect.Effect<Verdict> {
    return this.guard.decide(this, peer)
  }

  failed(error: unknown): void {
    for (const { subjects } of this.parts) this.guard.failed(subjects, error)
  }

  leave(): void {
    this.hasLeft = true
    this.give(nobody)
  }

  private give(ids: ReadonlySet<string>): void {
    for (const part of this.parts) part.retain(ids)
  }
}
