/**
 * How much a peer may ask for with frames that cost it nothing (RFC 9113 10.5; CVE-2019-9512, 9514, 9515, 9518).
 *
 * @internal
 */

export interface Bounds {
  /** How many may come at once. */
  readonly burst: number
  /** How many more may come with each second. */
  readonly perSecond: number
}

/** A bucket of tokens: one for each frame, refilled as time passes. Times are in milliseconds. */
export class Calm {
  private readonly bounds: Bounds
  private tokens: number
  private filledAt: number

  constructor(bounds: Bounds, now: number) {
    this.bounds = bounds
    this.tokens = bounds.burst
    this.filledAt = now
  }

  /** Takes a token at a time, unless none is left. */
  take(now: number): boolean {
    const { burst, perSecond } = this.bounds
    // A clock may be set back.
    const since = Math.max(0, now - this.filledAt)
    this.tokens = Math.min(burst, this.tokens + since * perSecond / 1000)
    this.filledAt = Math.max(this.filledAt, now)
    if (this.tokens < 1) return false
    this.tokens--
    return true
  }
}
