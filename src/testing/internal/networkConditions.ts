/**
 * The conditions of a simulated network, made ready: defaults filled in, draws taken from the seed, times in microseconds.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import type { Rules } from "./wire.ts"

/**
 * Something that befalls one direction of a connection, when `after` bytes of it have arrived.
 *
 * **Details**
 *
 * - `end`: the receiver sees an end in order, as if the sender had ended there. What is sent behind it is lost.
 * - `reset`: the connection breaks for both. What has arrived can still be pulled.
 * - `resetLosing`: the same, and what has arrived and was not pulled is lost, as it is on Node.
 * - `stall`: nothing arrives any more, not even an end, for so long or for ever.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fault {
  readonly after: number
  readonly how: "end" | "reset" | "resetLosing" | "stall"
  /** How long a stall lasts. Default: for ever. */
  readonly for?: Duration.Input | undefined
}

/**
 * What one direction of a connection is like.
 *
 * **Gotchas**
 *
 * Room in the receiver's buffer is known to the sender at once, however long the latency.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conditions {
  /**
   * How long segments are: for each, a length is drawn between the two. A segment travels as one and is pulled as one.
   * What is written before it has departed or was pulled joins it, up to that length; where there is no more to send, or
   * no room for more, it is shorter. Default: 1 and 64 KiB, where one of them is given; else one pull gets all there is.
   */
  readonly segments?: { readonly min?: number | undefined; readonly max?: number | undefined } | undefined
  /** How long a segment travels. To dial takes the latency of both directions. Default: no time. */
  readonly latency?: Duration.Input | undefined
  /** Up to that much is added to the latency of each segment. They stay in order. Default: nothing. */
  readonly jitter?: Duration.Input | undefined
  /** Bytes per second. Default: no limit. */
  readonly bandwidth?: number | undefined
  /** From how many waiting bytes on a write waits, until none is left. Default: 64 KiB. */
  readonly sendBuffer?: number | undefined
  /** How many bytes may be in flight or wait to be pulled. Default: 64 KiB. */
  readonly receiveBuffer?: number | undefined
  readonly faults?: ReadonlyArray<Fault> | undefined
}

/** Numbers from 0 to 1, the same for the same name (Mulberry32 on an FNV-1a hash). */
const randomOf = (name: string): () => number => {
  let state = 0x811c9dc5
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

const micros = (input: Duration.Input | undefined): number =>
  input === undefined ? 0 : 1000 * Duration.toMillis(Duration.fromInputUnsafe(input))

export const latencyOf = (conditions: Conditions | undefined): number => micros(conditions?.latency)

const defaultBuffer = 64 * 1024

/** `name` says which direction of which connection it is, with the seed in it. */
export const rulesOf = (conditions: Conditions, name: string): Rules => {
  const { bandwidth = Infinity, faults = [], receiveBuffer = defaultBuffer, sendBuffer = defaultBuffer, segments } =
    conditions
  const latency = latencyOf(conditions)
  const jitter = micros(conditions.jitter)
  const strikes = faults.map(({ after, for: lasts, how }) => ({
    after,
    how,
    lasts: lasts === undefined ? Infinity : micros(lasts)
  }))
  return {
    segment: segments === undefined ? () => Infinity : lengths(segments, randomOf(`${name}, segments`)),
    travel: jitter === 0 ? () => latency : spread(latency, jitter, randomOf(`${name}, jitter`)),
    rate: bandwidth / 1_000_000,
    sendBuffer,
    receiveBuffer,
    strikes: strikes.toSorted((a, b) => a.after - b.after)
  }
}

const lengths = ({ max, min }: NonNullable<Conditions["segments"]>, random: () => number) => {
  const least = Math.max(1, min ?? 1)
  const most = Math.max(least, max ?? defaultBuffer)
  return () => least + Math.floor(random() * (most - least + 1))
}

const spread = (from: number, width: number, random: () => number) => () => from + Math.floor(random() * width)
