/**
 * The conditions of a simulated network, made ready: defaults filled in, draws taken from the seed, times in microseconds.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import type { Conditions } from "../SimulatedNetwork.ts"
import type { Rules } from "./wire.ts"

/** Numbers from 0 to 1, the same for the same name (Mulberry32 on an FNV-1a hash). */
export const randomOf = (name: string): () => number => {
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
