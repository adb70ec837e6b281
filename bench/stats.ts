/**
 * Medians and spreads. A measurement without its spread says nothing on a machine that does other things as well.
 */

/** What several rounds have given. */
export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  /** How many rounds. */
  readonly n: number
}

/** Of at least one value. */
export const median = (values: ReadonlyArray<number>): number => {
  if (values.length === 0) throw new RangeError("the median of nothing")
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** `undefined` where no round has given a value. */
export const summarize = (values: ReadonlyArray<number | undefined>): Summary | undefined => {
  const known = values.filter((value) => value !== undefined)
  if (known.length === 0) return undefined
  return { median: median(known), min: Math.min(...known), max: Math.max(...known), n: known.length }
}

/**
 * The ratios of values to base values of the same round. What slows a machine down for a while slows both, so that
 * their ratio is steadier than either; a round that lacks one of the two counts for neither.
 */
export const paired = (
  values: ReadonlyArray<number | undefined>,
  base: ReadonlyArray<number | undefined>
): ReadonlyArray<number | undefined> =>
  values.map((value, round) => {
    const by = base[round]
    return value === undefined || by === undefined || by === 0 ? undefined : value / by
  })

/**
 * The exponent `k` of the best `y = c · x^k`, by least squares of the logarithms: 1 is linear growth, 2 is quadratic.
 * `undefined` for fewer than two different `x`.
 */
export const growth = (points: ReadonlyArray<readonly [x: number, y: number]>): number | undefined => {
  const logs = points.filter(([x, y]) => x > 0 && y > 0).map(([x, y]) => [Math.log(x), Math.log(y)] as const)
  const meanX = logs.reduce((sum, [x]) => sum + x, 0) / logs.length
  const meanY = logs.reduce((sum, [, y]) => sum + y, 0) / logs.length
  const variance = logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  if (!(variance > 0)) return undefined
  return logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / variance
}

/** A list turned by `by` places: each round begins with another server, so that none is always the first. */
export const rotated = <A>(list: ReadonlyArray<A>, by: number): ReadonlyArray<A> =>
  list.map((_, index) => list[(index + by) % list.length])
