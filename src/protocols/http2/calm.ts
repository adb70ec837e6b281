/**
 * How much a peer may ask for with frames that cost it nothing (RFC 9113 10.5; CVE-2019-9512, 9514, 9515, 9518; CVE-2023-44487;
 * CVE-2025-8671).
 *
 * What a peer in good order does is no flood, however much of it there is. So whatever moves on a connection earns the frames
 * that go with it, and only those beyond that take from a bucket that fills with time.
 *
 * | kind | frames | earned by |
 * |---|---|---|
 * | `ping` | PING | each DATA with data and each HEADERS of this side: bandwidth and delay are measured so |
 * | `pong` | PING with ACK | each PING of this side |
 * | `window` | WINDOW_UPDATE | each byte of DATA of this side and each stream, twice: for the stream and for the connection |
 * | `reset` | RST_STREAM on a stream that is answered | each HEADERS of this side: the peer may not want all of it |
 * | `empty` | DATA without data that ends nothing | each DATA with data that comes, each HEADERS of this side: a body may end so |
 * | `again` | HEADERS on a stream that was begun before | each stream, 16 times: interim responses, trailers |
 * | `promise` | PUSH_PROMISE | each HEADERS of this side, 16 times, and each DATA with data that comes: what was promised |
 * | `mark` | PRIORITY, types that are not known | each HEADERS of this side, 16 times |
 * | `other` | SETTINGS, GOAWAY, RST_STREAM before there was an answer, streams beyond the limit, those that this side resets for what the peer did | nothing |
 *
 * @internal
 */

export interface Bounds {
  /** How many may come at once. */
  readonly burst: number
  /** How many more may come with each second. */
  readonly perSecond: number
}

export type Kind = "ping" | "pong" | "window" | "reset" | "empty" | "again" | "promise" | "mark" | "other"

/** How much has moved on a connection, in numbers of frames unless told otherwise. */
export interface Movement {
  /** Streams that either side has begun. */
  readonly streams: number
  /** DATA with data. */
  readonly dataHeard: number
  readonly dataSaid: number
  /** The bytes of that, as windows count them. */
  readonly bytesSaid: number
  readonly headersSaid: number
  readonly pingsSaid: number
}

const severalTimes = 16

const earned: Record<Kind, (moved: Movement) => number> = {
  ping: (moved) => moved.dataHeard + moved.dataSaid + moved.headersSaid,
  pong: (moved) => moved.pingsSaid,
  // A WINDOW_UPDATE gives back one byte at least.
  window: (moved) => 2 * (moved.bytesSaid + moved.streams),
  reset: (moved) => moved.headersSaid,
  empty: (moved) => moved.dataHeard + moved.headersSaid,
  again: (moved) => severalTimes * moved.streams,
  promise: (moved) => severalTimes * moved.headersSaid + moved.dataHeard,
  mark: (moved) => severalTimes * moved.headersSaid,
  other: () => 0
}

/** A bucket of tokens that is refilled as time passes, and what was earned besides. Times are in milliseconds. */
export class Calm {
  private readonly bounds: Bounds
  private tokens: number
  private filledAt: number
  /** How many frames of a kind were paid for with what they have earned. */
  private readonly spent: Record<Kind, number> = {
    ping: 0,
    pong: 0,
    window: 0,
    reset: 0,
    empty: 0,
    again: 0,
    promise: 0,
    mark: 0,
    other: 0
  }

  constructor(bounds: Bounds, now: number) {
    this.bounds = bounds
    this.tokens = bounds.burst
    this.filledAt = now
  }

  /** Takes what a frame costs, unless nothing is left. */
  take(kind: Kind, moved: Movement, now: number): boolean {
    if (this.spent[kind] < earned[kind](moved)) {
      this.spent[kind]++
      return true
    }
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
