/**
 * Who comes in, decided before a handshake costs anything: how many at once, how many in a time, how many that fail, of one address,
 * of one key of yours, or in all, on one machine or on many.
 *
 * @stability experimental
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { Guard, type Shared } from "./internal/admission/guard.ts"
import { Holder, Leases, LeasesError } from "./internal/admission/leases.ts"
import * as LeasesRedis from "./internal/admission/leasesRedis.ts"
import type {
  Admitted,
  Bounds,
  Denied,
  Limit,
  Options,
  Rate,
  SharedOptions,
  Verdict,
  Why
} from "./internal/admission/model.ts"
import * as Rules from "./internal/admission/rules.ts"
import * as Store from "./internal/admission/store.ts"
import * as Monotonic from "./internal/connection/monotonic.ts"
import type * as Peer from "./Peer.ts"

export type { Admitted, Bounds, Denied, Limit, Options, Rate, SharedOptions, Verdict, Why }

export { Leases, LeasesError }

export type { Answer } from "./internal/admission/leases.ts"

/**
 * Who comes in.
 *
 * **When to use**
 *
 * Use as the `admission` of `Server`, which asks it for each connection. Make it with {@link make} or {@link makeShared}, or write one
 * of your own.
 *
 * **Details**
 *
 * `admit` is asked once for each connection, and what it says holds until `leave`: it gives the verdict, or an Effect of it where it has
 * to wait for somebody. Such an Effect has to be run once; when it is interrupted it leaves nothing behind. `onLost` is
 * called where the place is lost later, and the connection should be closed.
 *
 * It judges the peer as it is known when it is asked. Where a handshake introduces another one (`Handshake.introduce`),
 * `introduced` of the verdict is asked, and the handshake goes on after that.
 *
 * @category services
 * @since 0.1.0
 */
export class Admission extends Context.Service<Admission, {
  readonly admit: (peer: Peer.Peer, onLost: () => void) => Verdict | Effect.Effect<Verdict>
}>()("effect-handshake/Admission") {}

/**
 * Whether the error of a handshake is misconduct of the peer: it sent what is no message of the protocol, or one that
 * was not due, it could not prove who it is, or it was silent until the deadline.
 *
 * @category guards
 * @since 0.1.0
 */
export const isMisconduct: (error: unknown) => boolean = Rules.isMisconduct

/**
 * What is allowed to each address, or to each network of so many bits.
 *
 * **Details**
 *
 * `v4` and `v6` are how many bits of an address are counted together: 32 and 64 by default, since who has an address of IPv6 has the 64
 * bits behind its network too. An address of IPv4 that comes over IPv6 is one of IPv4. Peers without an address, such as those of a Unix
 * socket, are not limited. Its name is `address` unless another one is given.
 *
 * @category constructors
 * @since 0.1.0
 */
export const byAddress = (
  options: Bounds & {
    /** What metrics, logs and errors call it. Default: `address`. */
    readonly name?: string | undefined
    /** How many bits of an IPv4 address count: `24` takes 256 addresses together. Default: 32. */
    readonly v4?: number | undefined
    /** How many bits of an IPv6 address count. Default: 64, which is what one customer has. */
    readonly v6?: number | undefined
  }
): Limit => ({
  ...options,
  name: options.name ?? "address",
  keyOf: Rules.byNetwork(Rules.prefix({
    ...options.v4 !== undefined && { v4: options.v4 },
    ...options.v6 !== undefined && { v6: options.v6 }
  }))
})

/**
 * What is allowed to each key of yours; a peer without one is not limited.
 *
 * **Example** (Each listener on its own)
 *
 * ```ts
 * import { Admission, Peer } from "effect-handshake"
 *
 * const limit = Admission.byKey("listener", ({ local }) => local && Peer.format({ remote: local, local }), { atOnce: 100 })
 *
 * console.log(limit.keyOf(Peer.unknown)) // => undefined
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const byKey = (name: string, keyOf: (peer: Peer.Peer) => string | undefined, bounds: Bounds): Limit => ({
  ...bounds,
  name,
  keyOf
})

/**
 * What is allowed to all of them together. Its name is `all`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const inAll = (bounds: Bounds): Limit => ({ ...bounds, name: "all", keyOf: () => "" })

type Given<O> = O | SubscriptionRef.SubscriptionRef<O>

/** The rules of what is given now. What is wrong with new options is told, and the old ones hold on. */
const current = <O extends Options>(given: Given<O>, log: (effect: Effect.Effect<void>) => void) => {
  const read = (): O =>
    SubscriptionRef.isSubscriptionRef(given)
      ? SubscriptionRef.getUnsafe(given as SubscriptionRef.SubscriptionRef<O>)
      : given as O
  let seen = read()
  let valid = { options: seen, rules: Rules.make(seen) }
  return (): { readonly options: O; readonly rules: Rules.Rules } => {
    const options = read()
    if (options === seen) return valid
    seen = options
    try {
      valid = { options, rules: Rules.make(options) }
    } catch (cause) {
      log(Effect.logError("the new options of the admission are wrong, and the old ones hold on", cause))
    }
    return valid
  }
}

const defaultMaxKeys = 65_536

/**
 * An admission of this process alone, in its memory.
 *
 * **When to use**
 *
 * Use for one server, or for many that need not know of each other: each has the limits for itself. Otherwise use
 * {@link makeShared}.
 *
 * **Details**
 *
 * Nothing that it does waits. What it remembers is bounded by `maxKeys`: of more keys than that, those that were not
 * seen for longest are forgotten. Against somebody who has that many addresses, a limit `inAll` helps. Connections at
 * once are counted exactly.
 *
 * With a `SubscriptionRef` the options can be changed while it is used: new ones hold for the next peer that comes.
 * Peers that are in service stay, and go on to count where they did.
 *
 * It dies of a `RangeError` where the options are none.
 *
 * **Example** (A server that a flood does not reach)
 *
 * ```ts
 * import { Admission, Pipeline, Server } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { Effect, Layer } from "effect"
 *
 * const LineServer = Server.layer({
 *   protocol: Line.protocol,
 *   serve: Pipeline.serve((line) => Effect.succeed(line)),
 *   admission: Admission.make({
 *     limits: [
 *       Admission.byAddress({
 *         atOnce: 20,
 *         connections: { limit: 50, window: "10 seconds" },
 *         failures: { limit: 5, window: "1 minute" }
 *       }),
 *       Admission.inAll({ atOnce: 1000 })
 *     ],
 *     pass: ["10.0.0.0/8"]
 *   })
 * }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function*(
  options: Given<Options>
): Effect.fn.Return<Admission["Service"]> {
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  const fork = forking(context)
  const now = current(options, fork)
  const maxKeys = now().options.maxKeys ?? defaultMaxKeys
  const limiter = yield* Effect.provideService(RateLimiter.make, RateLimiter.RateLimiterStore, Store.make(maxKeys))
  const guard = new Guard({
    rules: () => now().rules,
    maxKeys,
    limiter,
    shared: undefined,
    now: () => Monotonic.millisOf(clock),
    run: Effect.runSyncWith(context),
    fork
  })
  return { admit: (peer, onLost) => guard.admit(peer, onLost) }
})

const forking = (context: Context.Context<never>) => {
  const fork = Effect.runForkWith(context)
  return (effect: Effect.Effect<void>): void => {
    fork(effect)
  }
}

/**
 * An admission that many machines share: rates in a `RateLimiter`, and connections at once as {@link Leases}.
 *
 * **Details**
 *
 * The store is asked about each peer, so its handshake begins when that has answered; a peer that was denied is denied
 * without asking again until its time is over. The limits of `atOnce` are those of all machines together, and with
 * `ifUnavailable: "closed"` they are never exceeded: a machine that cannot renew a place loses it, and closes its
 * connection, before another machine gets it.
 *
 * Nothing waits for longer than `timeout`, and a store that did not answer is not asked again for a second.
 *
 * @see {@link layerRedis} for both in one Redis
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeShared = Effect.fnUntraced(function*(
  options: Given<SharedOptions>
): Effect.fn.Return<Admission["Service"], never, RateLimiter.RateLimiter | Leases | Scope.Scope> {
  const context = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  const limiter = yield* RateLimiter.RateLimiter
  const leases = yield* Leases
  const fork = forking(context)
  const now = current(options, fork)
  const first = now().options
  const lease = Rules.duration("lease", first.lease ?? "15 seconds")
  const timeout = () => Duration.fromInputUnsafe(now().options.timeout ?? "250 millis")
  if (Duration.isGreaterThan(Duration.times(timeout(), 4), lease)) {
    throw new RangeError("timeout is no longer than a quarter of the lease, in which it is renewed")
  }
  const bounded: Shared["bounded"] = (asked) =>
    Effect.interruptible(Effect.timeoutOrElse(asked, {
      duration: timeout(),
      orElse: () => Effect.fail(new LeasesError({ cause: new Error(`no answer within ${Duration.format(timeout())}`) }))
    }))
  const isOpen = () => now().options.ifUnavailable === "open"
  const millis = () => Monotonic.millisOf(clock)
  const holder = new Holder({
    leases,
    duration: lease,
    now: millis,
    isStrict: () => !isOpen(),
    bounded,
    fork,
    name: crypto.randomUUID()
  })
  yield* Effect.forkScoped(holder.renewing)
  const guard = new Guard({
    rules: () => now().rules,
    maxKeys: first.maxKeys ?? defaultMaxKeys,
    limiter,
    shared: { holder, bounded, isOpen },
    now: millis,
    run: Effect.runSyncWith(context),
    fork
  })
  return { admit: (peer, onLost) => guard.admit(peer, onLost) }
})

/**
 * The admission of {@link make} as a service.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Given<Options>): Layer.Layer<Admission> => Layer.effect(Admission, make(options))

/**
 * The admission of {@link makeShared} as a service.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerShared = (
  options: Given<SharedOptions>
): Layer.Layer<Admission, never, RateLimiter.RateLimiter | Leases> => Layer.effect(Admission, makeShared(options))

/**
 * Leases in Redis, under keys that begin with `prefix` (default: `admission`).
 *
 * **Details**
 *
 * What is counted is never more than the limit, by the clock of Redis:
 *
 * - **A machine that is gone** keeps its places until its leases are over.
 * - **A Redis that was started anew, or a replica that has taken over**, grants nothing for as long as one lease lasts, and takes down
 *   who is in service meanwhile, whatever it has lost. So does a new one in the first seconds that it is up.
 * - **Whoever empties it by hand**, or lets it evict keys (use `noeviction`), makes it forget places: the connections in them are closed
 *   when they are renewed, within a quarter of a lease, and until then there may be too many.
 * - **Its clock** is that of the system: one that is set forward ends leases early, which is found out in the same way.
 *
 * All servers of one prefix have the same `lease`. In a cluster all keys are in one slot. It needs Redis 5 or later, or one that has its
 * scripts and `INFO server`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerLeasesRedis = (
  options?: {
    /** What all keys in Redis begin with. Default: `admission`. */
    readonly prefix?: string | undefined
  }
): Layer.Layer<Leases, never, Redis.Redis> =>
  Layer.effect(Leases, Effect.map(Redis.Redis, (redis) => LeasesRedis.make(redis, options?.prefix ?? "admission")))

/**
 * An admission that many machines share over one Redis: {@link layerShared} with Effect's `RateLimiter` and {@link layerLeasesRedis}.
 *
 * **Example** (Never more than 100 on all machines)
 *
 * ```ts
 * import { Admission } from "effect-handshake"
 * import { NodeRedis } from "@effect/platform-node"
 * import { Layer } from "effect"
 *
 * const SharedAdmission = Admission.layerRedis({
 *   limits: [Admission.inAll({ atOnce: 100 })],
 *   ifUnavailable: "closed"
 * }).pipe(
 *   // Commands that cannot be sent fail at once, instead of being sent when it is too late.
 *   Layer.provide(NodeRedis.layer({ url: "redis://127.0.0.1:6379", disableOfflineQueue: true }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRedis = (
  options: Given<SharedOptions>,
  redis?: { readonly prefix?: string | undefined }
): Layer.Layer<Admission, never, Redis.Redis> =>
  layerShared(options).pipe(
    Layer.provide([
      layerLeasesRedis(redis),
      RateLimiter.layer.pipe(
        Layer.provide(RateLimiter.layerStoreRedis({ prefix: `${redis?.prefix ?? "admission"}:rate:` }))
      )
    ])
  )
