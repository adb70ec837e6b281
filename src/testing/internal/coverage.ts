/**
 * Which faults have met which steps of a handshake.
 *
 * @internal
 */

export const faults = [
  "split",
  "early bytes",
  "cut",
  "reset",
  "oversize",
  "long frame",
  "wrong turn",
  "garbage",
  "silence",
  "dribble",
  "interruption"
] as const

export type Fault = typeof faults[number]

/** How often each fault has met each step of one side. */
export interface Row {
  readonly side: string
  readonly step: string
  readonly crossed: Readonly<Record<Fault, number>>
}

export type Report = ReadonlyArray<Row>

export interface Counter {
  readonly crossed: (steps: ReadonlyArray<string>, fault: Fault) => void
}

export class Tally {
  private readonly sides = new Map<string, Map<string, Record<Fault, number>>>()

  /** Counts for one side on any rung; the steps are those of an undisturbed conversation. */
  of(side: string, steps: ReadonlyArray<string>): Counter {
    let known = this.sides.get(side)
    if (known === undefined) {
      known = new Map()
      this.sides.set(side, known)
    }
    const rows = known
    for (const step of steps) if (!rows.has(step)) rows.set(step, none())
    return {
      crossed: (steps, fault) => {
        for (const step of new Set(steps)) {
          const row = rows.get(step)
          if (row !== undefined) row[fault]++
        }
      }
    }
  }

  report(): Report {
    return [...this.sides].flatMap(([side, rows]) => [...rows].map(([step, crossed]) => ({ side, step, crossed })))
  }
}

const none = (): Record<Fault, number> => Object.fromEntries(faults.map((fault) => [fault, 0])) as Record<Fault, number>

/** The cells that nothing has crossed. */
export const holes = (
  report: Report
): ReadonlyArray<{ readonly side: string; readonly step: string; readonly fault: Fault }> =>
  report.flatMap(({ crossed, side, step }) =>
    faults.filter((fault) => crossed[fault] === 0).map((fault) => ({ side, step, fault }))
  )

/** The report as a table: a row for each step, a column for each fault, a dot where they have never met. */
export const format = (report: Report): string => {
  const names = report.map(({ side, step }) => `${side}: ${step}`)
  const width = Math.max(4, ...names.map((name) => name.length))
  const header = ["step".padEnd(width), ...faults].join("  ")
  const rows = report.map(({ crossed }, i) =>
    [
      names[i].padEnd(width),
      ...faults.map((fault) => (crossed[fault] === 0 ? "·" : String(crossed[fault])).padStart(fault.length))
    ].join("  ")
  )
  return [header, ...rows].join("\n")
}
