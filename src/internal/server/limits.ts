/**
 * The limits of a server, which may change while it serves.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as SubscriptionRef from "effect/SubscriptionRef"

/**
 * The limits of a server; each has a default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limits {
  /** From accept to ready, absolute. Default: 10 seconds. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** Connections in their handshake and in service. Default: 16,384. */
  readonly maxConnections?: number | undefined
  /** Connections in their handshake. Default: 1,024. */
  readonly maxPendingHandshakes?: number | undefined
  /** How long a drain lets connections finish what they have taken. Default: 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
  /**
   * How long one write may wait for a peer that does not read, in a handshake as in service; then the connection ends as
   * `TimedOut`. Answers that are ready together are one write, so leave time for the largest and the slowest good peer.
   *
   * Default: none. What waits for such a peer is bounded, and nothing more is read from it, but it keeps its connection and
   * its place in `maxConnections` for as long as the network does.
   */
  readonly writeTimeout?: Duration.Input | undefined
}

/** The limits that hold for whoever comes now. */
export interface Holding {
  readonly handshakeTimeout: Duration.Duration
  /** The same in milliseconds. */
  readonly timeoutMillis: number
  readonly maxConnections: number
  readonly maxPendingHandshakes: number
  readonly drainTimeout: Duration.Duration
  readonly writeTimeout: Duration.Duration | undefined
}

const holding = (limits: Limits): Holding => {
  const handshakeTimeout = Duration.fromInputUnsafe(limits.handshakeTimeout ?? "10 seconds")
  const writeTimeout = Duration.fromInputUnsafe(limits.writeTimeout ?? Duration.infinity)
  return {
    handshakeTimeout,
    timeoutMillis: Duration.toMillis(handshakeTimeout),
    maxConnections: limits.maxConnections ?? 16_384,
    maxPendingHandshakes: limits.maxPendingHandshakes ?? 1024,
    drainTimeout: Duration.fromInputUnsafe(limits.drainTimeout ?? "10 seconds"),
    writeTimeout: Duration.isFinite(writeTimeout) ? writeTimeout : undefined
  }
}

/** Those that are given, and where there are some that change, those before them. They are read anew only when they are others. */
export const make = (given: Limits, changing: SubscriptionRef.SubscriptionRef<Limits> | undefined): () => Holding => {
  let known = holding(given)
  if (changing === undefined) return () => known
  let seen: Limits | undefined
  return () => {
    const now = SubscriptionRef.getUnsafe(changing)
    if (now !== seen) {
      seen = now
      known = holding({ ...given, ...now })
    }
    return known
  }
}
