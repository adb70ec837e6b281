/**
 * What `serve --watch` shows: a state into which the events of a server are folded, and the text of it. Neither knows of a clock or a
 * terminal.
 *
 * @internal
 */
import * as NetAddress from "effect/net/NetAddress"
import * as Excerpt from "../Excerpt.ts"
import type * as Peer from "../Peer.ts"
import type * as Server from "../Server.ts"

/** Of how many handshakes that became ready the latency is, the last ones. */
const maxLatencies = 1024

/** How many of the slowest peers are shown. */
const maxSlowest = 5

/** How many handshakes under way are known at once: where events were missed, some would stay for ever. */
const maxUnderWay = 16_384

interface UnderWay {
  readonly peer: string
  readonly since: number
}

interface Slow {
  readonly peer: string
  readonly millis: number
  /** `under way`, `ready`, or why not. */
  readonly how: string
}

/** What was seen of a server since then. Times are in milliseconds of one clock, whatever it is. */
export interface Seen {
  readonly since: number
  ready: number
  readonly refused: Map<string, number>
  readonly failed: Map<string, number>
  /** A ring, in which the next one comes to `ready % maxLatencies`. */
  readonly latencies: Array<number>
  readonly underWay: Map<number, UnderWay>
  /** Each peer once, the slowest first. */
  slowest: ReadonlyArray<Slow>
}

export const nothing = (since: number): Seen => ({
  since,
  ready: 0,
  refused: new Map(),
  failed: new Map(),
  latencies: [],
  underWay: new Map(),
  slowest: []
})

/** A peer without its port, which is another one each time. */
const nameOf = ({ remote, user }: Peer.Peer): string => {
  const from = remote === undefined
    ? "unknown peer"
    : remote._tag === "UnixPathAddress"
    ? Excerpt.ofText(remote.path)
    : NetAddress.formatIp(remote.address)
  return user === undefined ? from : `${Excerpt.ofText(user).replaceAll("\n", " ")} from ${from}`
}

/** The slowest with this one among them. */
const withSlow = (slowest: ReadonlyArray<Slow>, slow: Slow): ReadonlyArray<Slow> => {
  const last = slowest[maxSlowest - 1]
  if (last !== undefined && last.millis >= slow.millis) return slowest
  const before = slowest.find(({ peer }) => peer === slow.peer)
  if (before !== undefined && before.millis >= slow.millis) return slowest
  return [...slowest.filter((other) => other !== before), slow]
    .toSorted((a, b) => b.millis - a.millis)
    .slice(0, maxSlowest)
}

const countOne = (counts: Map<string, number>, reason: string): void => {
  counts.set(reason, (counts.get(reason) ?? 0) + 1)
}

/**
 * Folds an event into what was seen, in its place: thousands may come in a second.
 *
 * | event | handshakes under way | counted as | latency |
 * |---|---|---|---|
 * | `Accepted` | one more | | |
 * | `Ready` | one less | ready | since `Accepted` |
 * | `Refused` | one less, if it was accepted | refused | |
 * | `Failed` | one less | failed | |
 * | `Closed` | one less, where it was interrupted | | |
 *
 * How a handshake has ended makes its peer one of the slowest, or not.
 */
export const take = (seen: Seen, event: Server.Event, at: number): void => {
  const { underWay } = seen
  if (event._tag === "Accepted") {
    if (underWay.size >= maxUnderWay) {
      for (const oldest of underWay.keys()) {
        underWay.delete(oldest)
        break
      }
    }
    underWay.set(event.id, { peer: nameOf(event.peer), since: at })
    return
  }
  const begun = underWay.get(event.id)
  underWay.delete(event.id)
  if (event._tag === "Closed") return
  if (event._tag === "Refused") countOne(seen.refused, event.reason)
  if (event._tag === "Failed") countOne(seen.failed, event.reason)
  // One whose beginning was missed, or that was never let in, took nobody knows how long.
  const millis = begun === undefined ? undefined : at - begun.since
  if (event._tag === "Ready") {
    if (millis !== undefined) seen.latencies[seen.ready % maxLatencies] = millis
    seen.ready++
  }
  if (millis === undefined) return
  const how = event._tag === "Ready" ? "ready" : event.reason
  seen.slowest = withSlow(seen.slowest, { peer: nameOf(event.peer), millis, how })
}

/** The nearest rank. */
const percentile = (sorted: ReadonlyArray<number>, percent: number): number =>
  sorted[Math.max(0, Math.ceil(sorted.length * percent / 100) - 1)]

const duration = (millis: number): string =>
  millis < 1000
    ? `${millis < 100 ? millis.toFixed(1) : millis.toFixed(0)} ms`
    : `${(millis / 1000).toFixed(1)} s`

/** In whole seconds. */
const elapsed = (millis: number): string => {
  const seconds = Math.floor(millis / 1000)
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)]
  return seconds < 60
    ? `${seconds} s`
    : hours === 0
    ? `${minutes} min ${seconds % 60} s`
    : `${hours} h ${minutes % 60} min`
}

const total = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((sum, n) => sum + n, 0)

/** The most frequent first. */
const byReason = (counts: ReadonlyMap<string, number>): string =>
  [...counts].toSorted(([, a], [, b]) => b - a).map(([reason, n]) => `${reason} ${n}`).join(", ")

const latency = (latencies: ReadonlyArray<number>): string => {
  if (latencies.length === 0) return "none yet"
  const sorted = latencies.toSorted((a, b) => a - b)
  const [p50, p99] = [percentile(sorted, 50), percentile(sorted, 99)]
  return `p50 ${duration(p50)}, p99 ${duration(p99)}, of the last ${sorted.length} that became ready`
}

/** The slowest, those among them that are still under way. */
const slowestAt = ({ slowest, underWay }: Seen, at: number): ReadonlyArray<Slow> => {
  let all = slowest
  for (const { peer, since } of underWay.values()) all = withSlow(all, { peer, millis: at - since, how: "under way" })
  return all
}

/** What is shown at this time, in lines as long as they are. */
export const view = (seen: Seen, title: string, counts: Server.Counts, at: number): ReadonlyArray<string> => {
  const slowest = slowestAt(seen, at)
  const width = Math.max(...slowest.map(({ millis }) => duration(millis).length))
  return [
    `${title}, for ${elapsed(at - seen.since)}`,
    "",
    `connections  ${counts.connections} open, ${counts.pending} in a handshake, ${counts.refusing} being refused`,
    `handshakes   ${seen.ready} ready, ${total(seen.refused)} refused, ${total(seen.failed)} failed`,
    `latency      ${latency(seen.latencies)}`,
    ...(seen.refused.size === 0 ? [] : [`refused      ${byReason(seen.refused)}`]),
    ...(seen.failed.size === 0 ? [] : [`failed       ${byReason(seen.failed)}`]),
    ...(slowest.length === 0 ? [] : ["", "slowest peers"]),
    ...slowest.map(({ how, millis, peer }) => `  ${duration(millis).padStart(width)}  ${peer}  ${how}`)
  ]
}

/** As much of it as fits. */
export const fit = (lines: ReadonlyArray<string>, columns: number, rows: number): ReadonlyArray<string> =>
  lines.slice(0, rows).map((line) => line.length <= columns ? line : `${line.slice(0, Math.max(0, columns - 1))}…`)
