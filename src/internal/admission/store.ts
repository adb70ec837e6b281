/**
 * The store of a rate limiter, in the memory of this process and bounded. Effect's own keeps each key that it has ever seen.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as RateLimiter from "effect/persistence/RateLimiter"
import * as Monotonic from "../connection/monotonic.ts"
import { Recent } from "./recent.ts"

interface Counter {
  count: number
  /** When it begins anew, in milliseconds of the clock. */
  until: number
}

interface Bucket {
  tokens: number
  refilled: number
}

/** Keeps at most `max` counters, and as many buckets. Adaptive limits, for which somebody has to give feedback, are always inactive. */
export const make = (max: number): RateLimiter.RateLimiterStore["Service"] => {
  const counters = new Recent<Counter>(max)
  const buckets = new Recent<Bucket>(max)
  return {
    fixedWindow: ({ key, limit, refillRate, tokens }) =>
      Effect.clockWith((clock) => {
        const now = Monotonic.millisOf(clock)
        let counter = counters.get(key)
        if (counter === undefined || counter.until <= now) {
          counter = { count: 0, until: now }
          // Who only asks leaves nothing behind.
          if (tokens > 0) counters.set(key, counter)
        }
        const count = counter.count + tokens
        if (limit === undefined || count <= limit) {
          counter.count = count
          counter.until += Duration.toMillis(refillRate) * tokens
        }
        return Effect.succeed([count, counter.until - now] as const)
      }),
    tokenBucket: ({ allowOverflow, key, limit, refillRate, tokens }) =>
      Effect.clockWith((clock) => {
        const now = Monotonic.millisOf(clock)
        const millis = Duration.toMillis(refillRate)
        let bucket = buckets.get(key)
        if (bucket === undefined) {
          bucket = { tokens: limit, refilled: now }
          buckets.set(key, bucket)
        }
        const added = Math.floor((now - bucket.refilled) / millis)
        bucket.tokens = Math.min(limit, bucket.tokens + added)
        bucket.refilled = bucket.tokens >= limit ? now : bucket.refilled + added * millis
        const left = bucket.tokens - tokens
        if (allowOverflow || left >= 0) bucket.tokens = left
        return Effect.succeed([left, now - bucket.refilled] as const)
      }),
    adaptiveConsume: () => Effect.succeed({ delay: Duration.zero, epoch: 0, phase: "inactive" }),
    adaptiveFeedback: () => Effect.void
  }
}
