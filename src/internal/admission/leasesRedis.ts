/**
 * Leases in Redis: a sorted set for each key, of who holds a place and when that ends by the clock of Redis.
 *
 * A Redis that was started anew, or has taken over from another, may know less than was held. It is told by its run id, and by
 * how long it is up where nobody was here before; for as long as a lease lasts, it then takes down who is there and grants nothing.
 * In that time everybody has renewed, or has lost its place by its own clock.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redis from "effect/persistence/Redis"
import { type Answer, type Leases, LeasesError } from "./leases.ts"

// The braces put all keys into one slot of a cluster, where a script may touch them together.
const keyOf = (prefix: string, key: string) => `{${prefix}}:${key}`
const runKey = (prefix: string) => `{${prefix}}/run`

/** `now`, and `recovers`: until when nothing is granted. */
const beginning = `
local lease = tonumber(ARGV[1])
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local info = redis.call("INFO", "server")
local run = string.match(info, "run_id:(%w+)")
local known = redis.call("HMGET", KEYS[1], "run", "recovers")
local recovers = tonumber(known[2] or "0")
if known[1] ~= run then
  -- In whole seconds, and never more than it is.
  local up = tonumber(string.match(info, "uptime_in_seconds:(%d+)")) * 1000
  recovers = now + lease
  if not known[1] then recovers = recovers - math.min(up, lease) end
  redis.call("HSET", KEYS[1], "run", run, "recovers", recovers)
end
local function hold(key, holder)
  redis.call("ZADD", key, now + lease, holder)
  redis.call("PEXPIRE", key, lease)
end
`

const acquire = Redis.script(
  (
    prefix: string,
    holder: string,
    places: ReadonlyArray<{ readonly key: string; readonly limit: number }>,
    millis: number
  ) => [
    runKey(prefix),
    ...places.map(({ key }) => keyOf(prefix, key)),
    millis,
    holder,
    ...places.map(({ limit }) => limit)
  ],
  {
    numberOfKeys: (_prefix, _holder, places) => 1 + places.length,
    lua: `${beginning}
if recovers > now then return { -1, recovers - now } end
for i = 2, #KEYS do
  redis.call("ZREMRANGEBYSCORE", KEYS[i], "-inf", now)
  if redis.call("ZCARD", KEYS[i]) >= tonumber(ARGV[i + 1]) then return { i - 1, 0 } end
end
for i = 2, #KEYS do hold(KEYS[i], ARGV[2]) end
return { 0, 0 }
`
  }
).withReturnType<readonly [full: number, recovers: number]>()

const renew = Redis.script(
  (
    prefix: string,
    leases: ReadonlyArray<{ readonly holder: string; readonly key: string }>,
    millis: number,
    isForced: boolean
  ) => [
    runKey(prefix),
    ...leases.map(({ key }) => keyOf(prefix, key)),
    millis,
    isForced ? 1 : 0,
    ...leases.map(({ holder }) => holder)
  ],
  {
    numberOfKeys: (_prefix, leases) => 1 + leases.length,
    lua: `${beginning}
local takes = ARGV[2] == "1" or recovers > now
local lost = {}
for i = 2, #KEYS do
  local score = redis.call("ZSCORE", KEYS[i], ARGV[i + 1])
  if takes or score and tonumber(score) > now then
    hold(KEYS[i], ARGV[i + 1])
  else
    lost[#lost + 1] = i - 2
  end
end
return lost
`
  }
).withReturnType<ReadonlyArray<number>>()

const answerOf = ([full, recovers]: readonly [full: number, recovers: number]): Answer =>
  full === 0
    ? { _tag: "Granted" }
    : full > 0
    ? { _tag: "Full", index: full - 1 }
    : { _tag: "Recovering", retryAfter: Duration.millis(recovers) }

export const make = (redis: Redis.Redis["Service"], prefix: string): Leases["Service"] => {
  const failed = Effect.mapError((cause: Redis.RedisError) => new LeasesError({ cause }))
  const acquiring = redis.eval(acquire)
  const renewing = redis.eval(renew)
  return {
    acquire: ({ duration, holder, places }) =>
      failed(Effect.map(acquiring(prefix, holder, places, Math.ceil(Duration.toMillis(duration))), answerOf)),
    renew: ({ duration, isForced, leases }) =>
      failed(renewing(prefix, leases, Math.ceil(Duration.toMillis(duration)), isForced)),
    release: ({ holder, keys }) =>
      failed(Effect.forEach(keys, (key) => redis.send("ZREM", keyOf(prefix, key), holder), { discard: true }))
  }
}
