/**
 * Sets of stream identifiers, which go up by two (RFC 9113 5.1.1).
 *
 * @internal
 */

/** How many runs of identifiers are known. Peers in good order leave as many gaps as streams are open. */
const maxRuns = 256

const step = 2

/**
 * Identifiers of the same side, as runs without gaps, so that a connection of many streams takes no more room than one of few.
 * Where there are too many runs, the lowest is forgotten.
 */
export class StreamIds {
  /** The first and the last of each run, going up. */
  private readonly runs: Array<number> = []
  private forgotten = 0

  /** Whether it is one of them; `undefined` where that is forgotten. */
  has(id: number): boolean | undefined {
    if (id <= this.forgotten) return undefined
    const at = this.runAt(id)
    return at < this.runs.length && this.runs[at] <= id
  }

  add(id: number): void {
    const { runs } = this
    if (id <= this.forgotten) return
    const at = this.runAt(id)
    if (at < runs.length && runs[at] <= id) return
    const afterLast = at > 0 && runs[at - 1] + step === id
    const beforeNext = at < runs.length && runs[at] - step === id
    if (afterLast && beforeNext) runs.splice(at - 1, 2)
    else if (afterLast) runs[at - 1] = id
    else if (beforeNext) runs[at] = id
    else runs.splice(at, 0, id, id)
    if (runs.length > 2 * maxRuns) [, this.forgotten] = runs.splice(0, 2)
  }

  /** Where the first run begins that does not end before an identifier. */
  private runAt(id: number): number {
    const { runs } = this
    let low = 0
    let high = runs.length / 2
    // Most often it is the last one, or behind that.
    if (high > 0 && runs[2 * high - 1] < id) return runs.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (runs[2 * middle + 1] < id) low = middle + 1
      else high = middle
    }
    return 2 * low
  }
}
