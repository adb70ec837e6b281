/**
 * What of a dialogue its laws have tried: each transition, each field of what is heard, each message where it is not due.
 *
 * @internal
 */
import { speakersOf, type Walk } from "../../../internal/dialogue/follow.ts"
import type { Role } from "../../../internal/dialogue/model.ts"
import type { Compiled, Spec } from "../../../internal/dialogue/spec.ts"
import { otherRole } from "../talk.ts"

/** A message of a state, and how often it was said there as specified. */
export interface Transition {
  readonly state: string
  readonly message: string
  readonly by: Role
  readonly times: number
}

/** A field of a message that a side hears in a state, and how often it came altered: within its type, and outside of it. */
export interface AlteredField {
  readonly side: Role
  readonly state: string
  readonly message: string
  readonly field: string
  readonly within: number
  readonly outside: number
}

/** A message that a side must not take in a state, and how often it came. */
export interface Illegal {
  readonly side: Role
  readonly state: string
  readonly message: string
  readonly times: number
}

export interface Report {
  readonly transitions: ReadonlyArray<Transition>
  readonly fields: ReadonlyArray<AlteredField>
  readonly illegal: ReadonlyArray<Illegal>
}

/** Something of a dialogue that was never tried, in words. */
export type Hole = string

export class Tally {
  private readonly spec: Spec
  private readonly sides: ReadonlyArray<Role>
  private readonly counts = new Map<string, number>()

  constructor(spec: Spec, sides: ReadonlyArray<Role>) {
    this.spec = spec
    this.sides = sides
  }

  private count(...key: ReadonlyArray<string>): void {
    const whole = key.join("\0")
    this.counts.set(whole, (this.counts.get(whole) ?? 0) + 1)
  }

  private of(...key: ReadonlyArray<string>): number {
    return this.counts.get(key.join("\0")) ?? 0
  }

  readonly walked = ({ taken }: Walk): void => {
    for (const { by, state, tag } of taken) this.count("said", state.name, tag, by)
  }

  altered(side: Role, state: Compiled, tag: string, field: string, isWithin: boolean): void {
    this.count(isWithin ? "within" : "outside", side, state.name, tag, field)
  }

  illegal(side: Role, state: Compiled, tag: string): void {
    this.count("illegal", side, state.name, tag)
  }

  report(): Report {
    const states = Array.from(this.spec.states.values())
    const heardBy = (side: Role) => states.filter((state) => speakersOf(state).includes(otherRole(side)))
    return {
      transitions: states.flatMap((state) =>
        speakersOf(state).flatMap((by) =>
          state.due.map((message) => ({
            state: state.name,
            message,
            by,
            times: this.of("said", state.name, message, by)
          }))
        )
      ),
      fields: this.sides.flatMap((side) =>
        heardBy(side).flatMap((state) =>
          state.due.flatMap((message) =>
            state.wire.fields.get(message)!.names.map((field) => ({
              side,
              state: state.name,
              message,
              field,
              within: this.of("within", side, state.name, message, field),
              outside: this.of("outside", side, state.name, message, field)
            }))
          )
        )
      ),
      illegal: this.sides.flatMap((side) =>
        heardBy(side).flatMap((state) =>
          Object.keys(this.spec.source.messages).filter((message) => !state.targets.has(message)).map((message) => ({
            side,
            state: state.name,
            message,
            times: this.of("illegal", side, state.name, message)
          }))
        )
      )
    }
  }
}

export const holes = ({ fields, illegal, transitions }: Report): ReadonlyArray<Hole> => [
  ...transitions.filter(({ times }) => times === 0).map(({ by, message, state }) =>
    `${message} of the ${by} in the state ${state} was never said`
  ),
  ...fields.filter(({ outside, within }) => within + outside === 0).map(({ field, message, side, state }) =>
    `the ${side} never heard ${message} with another ${field} in the state ${state}`
  ),
  ...illegal.filter(({ times }) => times === 0).map(({ message, side, state }) =>
    `the ${side} never heard ${message}, which is not due, in the state ${state}`
  )
]

/** One row below the other, each column as wide as its widest cell. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)).join("  ")
      .trimEnd()
  ).join("\n")
}

const times = (count: number): string => count === 0 ? "·" : String(count)

export const format = ({ fields, illegal, transitions }: Report): string =>
  [
    table([
      ["said", "times"],
      ...transitions.map(({ by, message, state, times: count }) => [`${state}: ${by} ${message}`, times(count)])
    ]),
    ...(fields.length === 0 ? [] : [
      table([
        ["altered", "within", "outside"],
        ...fields.map(({ field, message, outside, side, state, within }) => [
          `${side}, ${state}: ${message} ${field}`,
          times(within),
          times(outside)
        ])
      ])
    ]),
    ...(illegal.length === 0 ? [] : [
      table([
        ["not due", "times"],
        ...illegal.map(({ message, side, state, times: count }) => [`${side}, ${state}: ${message}`, times(count)])
      ])
    ])
  ].join("\n\n")
