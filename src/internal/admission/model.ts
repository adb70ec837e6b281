/**
 * What is limited, and what is decided.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Peer from "../../Peer.ts"

/**
 * So many in a time.
 *
 * **Details**
 *
 * Each that comes takes `window / limit` of time, one after the other, and counts until all of that is over: then the count begins
 * anew. So `limit` may come at once, and in the long run no more than `limit` come in each `window`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Rate {
  readonly limit: number
  readonly window: Duration.Input
}

/**
 * What is allowed to those who are counted together.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bounds {
  /** Connections at once, in their handshake and in service. */
  readonly atOnce?: number | undefined
  /** New connections in a time. */
  readonly connections?: Rate | undefined
  /**
   * Handshakes that have failed in a time. `of` says which errors count; default: `isMisconduct`.
   */
  readonly failures?: Rate & { readonly of?: ((error: unknown) => boolean) | undefined } | undefined
}

/**
 * A limit: who is counted together, and what is allowed to them.
 *
 * **Details**
 *
 * `name` is what metrics, logs and errors call it, and is part of each key, so that no two limits have the same. `keyOf` says with
 * whom a peer is counted; who has no key is not limited by it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit extends Bounds {
  readonly name: string
  readonly keyOf: (peer: Peer.Peer) => string | undefined
}

/**
 * Who comes in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** They are asked in this order, and the first that is exceeded denies. An attempt counts for those that were asked before. */
  readonly limits: ReadonlyArray<Limit>
  /** Networks and addresses that always come in, and count nowhere: `["10.0.0.0/8", "fd00::/8", "192.0.2.1"]`. */
  readonly pass?: ReadonlyArray<string> | undefined
  /** How long whoever is denied waits for its refusal. It holds a connection for so long, at most 1,024 of them. Default: none. */
  readonly delay?: Duration.Input | undefined
  /**
   * How long an address that has heard a refusal hears no other: it is closed without a word, which costs little more than to accept
   * it. Default: 1 second.
   */
  readonly quiet?: Duration.Input | undefined
  /** How many keys are remembered of those that are denied, and how many are counted by each kind of limit. Default: 65,536. */
  readonly maxKeys?: number | undefined
}

/**
 * Who comes in, over many machines.
 *
 * @category models
 * @since 0.1.0
 */
export interface SharedOptions extends Options {
  /**
   * What holds while the store cannot be asked.
   *
   * | | those who come | those who are in service |
   * |---|---|---|
   * | `open` | come in, where the limits of this machine alone allow it | stay |
   * | `closed` | are denied | stay for three quarters of a `lease`, and are closed then |
   */
  readonly ifUnavailable: "open" | "closed"
  /** How long one question to the store may take. Default: 250 milliseconds. */
  readonly timeout?: Duration.Input | undefined
  /**
   * How long a place is kept for a machine that is not heard of any more. It is renewed four times in that. The same for all machines;
   * it is read once. Default: 15 seconds.
   */
  readonly lease?: Duration.Input | undefined
}

/**
 * Why somebody is denied.
 *
 * **Details**
 *
 * - `capacity`: as many at once as are allowed.
 * - `rate`: more new connections than are allowed in the time.
 * - `failures`: more failed handshakes than are allowed in the time.
 * - `unavailable`: nobody could be asked, and then nobody comes in.
 *
 * @category models
 * @since 0.1.0
 */
export type Why = "capacity" | "rate" | "failures" | "unavailable"

/**
 * Somebody does not come in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Denied {
  readonly _tag: "Denied"
  /** The name of the limit. */
  readonly limit: string
  readonly why: Why
  /** Not before when another try can do better, where that is known. */
  readonly retryAfter: Duration.Duration | undefined
  /** How long it waits for its refusal. */
  readonly delay: Duration.Duration | undefined
  /** Whether it hears a refusal, or is closed without a word. */
  readonly isTold: boolean
}

/**
 * Somebody comes in.
 *
 * @category models
 * @since 0.1.0
 */
export interface Admitted {
  readonly _tag: "Admitted"
  /** Its handshake has failed. */
  readonly failed: (error: unknown) => void
  /**
   * A handshake has introduced it: it is judged by the limits for which it is somebody else now, and gives back what it counted for as
   * whom it was before. Denied, it counts where it did, and has to leave still. It may give an Effect as `admit` does. Where this is left
   * out, who was admitted is not judged again.
   */
  readonly introduced?: ((peer: Peer.Peer) => Verdict | Effect.Effect<Verdict>) | undefined
  /** The connection is gone. Only the first call counts. */
  readonly leave: () => void
}

/**
 * Whether somebody comes in.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict = Admitted | Denied
