/**
 * What the laws have tried: which faults have met which steps of a handshake, and which places of which messages were changed,
 * and how.
 *
 * @internal
 */
import { type Altered, type Field as AlteredField, type Kind, kinds } from "./alterations.ts"

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

export type Change = Kind

/** How often each fault has met a step of one side; one that cannot meet it is not there. */
export interface Step {
  readonly side: string
  readonly step: string
  readonly crossed: Readonly<Partial<Record<Fault, number>>>
}

/** What was changed of a field, or of all of a message. */
export interface Field {
  /** Where it is in the frame, as `user.name`; nothing for all of it, and `bytes` for those that are around it. */
  readonly field: string
  /** How many bytes or characters it has, and which of them were never changed. */
  readonly places: number
  readonly missing: ReadonlyArray<number>
  /** How often it was changed in each way; a way in which it cannot be changed is not there. */
  readonly changed: Readonly<Partial<Record<Change, number>>>
}

/** What was changed of a message that one side hears. */
export interface Message {
  readonly side: string
  /** The step that hears it. */
  readonly step: string
  /** Which of all that it hears it is, from 1. */
  readonly message: number
  readonly fields: ReadonlyArray<Field>
}

export interface Report {
  readonly steps: ReadonlyArray<Step>
  readonly messages: ReadonlyArray<Message>
}

/** Something that was never tried. */
export type Hole =
  | { readonly _tag: "Fault"; readonly side: string; readonly step: string; readonly fault: Fault }
  | {
    readonly _tag: "Places"
    readonly side: string
    readonly step: string
    readonly message: number
    readonly field: string
    readonly places: ReadonlyArray<number>
  }
  | {
    readonly _tag: "Change"
    readonly side: string
    readonly step: string
    readonly message: number
    readonly field: string
    readonly change: Change
  }

/** What an undisturbed conversation tells of a side. */
export interface Heard {
  /** The opening of the connection, and then the steps of the handshake. */
  readonly steps: ReadonlyArray<string>
  /** The steps that wait for the peer. */
  readonly waiting: ReadonlyArray<string>
  /** The step that hears each message, and the messages. */
  readonly heardIn: ReadonlyArray<string>
  readonly messages: ReadonlyArray<Uint8Array>
}

export interface Counter {
  readonly crossed: (steps: ReadonlyArray<string>, fault: Fault) => void
  /** The same for what comes in the place of a message: it meets the step that hears that, and the one where it ends. */
  readonly heard: (index: number, step: string, fault: Fault) => void
  /** In which ways a message can be changed. */
  readonly changes: (index: number, alterations: ReadonlyArray<Altered>) => void
  /** That one of them was tried, and whether it could be said. */
  readonly changed: (index: number, alteration: Altered, isSaid: boolean) => void
}

type Cells = Partial<Record<Fault, number>>

/** What may come is cut and changed at any step that waits for it. */
const received: ReadonlyArray<Fault> = [
  "split",
  "cut",
  "reset",
  "oversize",
  "long frame",
  "wrong turn",
  "garbage",
  "silence",
  "interruption"
]

/** What a client that dials can meet. */
const dialling: ReadonlyArray<Fault> = ["cut", "silence", "interruption"]

/** So few bytes are all said before a deadline, however slowly. */
export const mayDribble = (message: Uint8Array): boolean => message.length > 5

const possible = (side: string, { heardIn, messages, steps, waiting }: Heard, step: string): ReadonlyArray<Fault> => {
  // A handshake may have a step of its own that is called like the opening of the connection, which comes first.
  if (step === steps[0] && !steps.includes(step, 1)) return side === "client" ? dialling : []
  if (!waiting.includes(step)) return []
  return [
    ...received,
    // Nothing comes too early for the first message.
    ...(heardIn.some((other, index) => index > 0 && other === step) ? ["early bytes" as const] : []),
    ...(heardIn.some((other, index) => other === step && mayDribble(messages[index])) ? ["dribble" as const] : [])
  ]
}

class FieldTally {
  readonly places: AlteredField["places"]
  private readonly tried = new Set<number>()
  /** How often each kind was said, and which changes of it there are that were never tried. */
  private readonly kinds = new Map<
    Kind,
    { said: number; readonly changes: Set<string>; readonly untried: Set<string> }
  >()

  constructor(places: AlteredField["places"]) {
    this.places = places
  }

  private of(kind: Kind) {
    const known = this.kinds.get(kind) ?? { said: 0, changes: new Set<string>(), untried: new Set<string>() }
    this.kinds.set(kind, known)
    return known
  }

  /** That there is this change. It may be known, and tried, from another rung. */
  add({ kind, what }: Altered): void {
    const { changes, untried } = this.of(kind)
    if (!changes.has(what)) untried.add(what)
    changes.add(what)
  }

  count({ at, kind, what }: Altered, isSaid: boolean): void {
    const known = this.of(kind)
    known.untried.delete(what)
    if (!isSaid) return
    known.said++
    if (at !== undefined) this.tried.add(at)
  }

  report(field: string): Field {
    const all = this.places.flatMap(([from, to]) => Array.from({ length: to - from }, (_, i) => from + i))
    const counts = kinds.flatMap((kind) => {
      const known = this.kinds.get(kind)
      // Each of them was tried, and none can be said.
      const cannotBe = known === undefined || known.said === 0 && known.untried.size === 0
      return cannotBe ? [] : [[kind, known.said] as const]
    })
    return {
      field,
      places: all.length,
      missing: all.filter((at) => !this.tried.has(at)),
      changed: Object.fromEntries(counts)
    }
  }
}

interface MessageTally {
  readonly step: string
  readonly fields: Map<string, FieldTally>
}

interface Side {
  readonly steps: Map<string, Cells>
  readonly messages: Map<number, MessageTally>
}

export class Tally {
  private readonly sides = new Map<string, Side>()

  /** Counts for one side on any rung. */
  of(side: string, heard: Heard): Counter {
    const known = this.sides.get(side) ?? { steps: new Map<string, Cells>(), messages: new Map<number, MessageTally>() }
    this.sides.set(side, known)
    const { messages, steps } = known
    for (const step of heard.steps) {
      const cells = steps.get(step) ?? {}
      for (const fault of possible(side, heard, step)) cells[fault] ??= 0
      steps.set(step, cells)
    }
    const crossed = (names: ReadonlyArray<string>, fault: Fault) => {
      for (const step of new Set(names)) {
        const cells = steps.get(step)
        if (cells?.[fault] !== undefined) cells[fault]++
      }
    }
    return {
      crossed,
      heard: (index, step, fault) => crossed([heard.heardIn[index], step], fault),
      changes: (index, alterations) => {
        const message = messages.get(index) ?? { step: heard.heardIn[index], fields: new Map<string, FieldTally>() }
        messages.set(index, message)
        for (const alteration of alterations) {
          const { field } = alteration
          const tally = message.fields.get(field.name) ?? new FieldTally(field.places)
          message.fields.set(field.name, tally)
          tally.add(alteration)
        }
      },
      changed: (index, alteration, isSaid) =>
        messages.get(index)?.fields.get(alteration.field.name)?.count(alteration, isSaid)
    }
  }

  report(): Report {
    const sides = [...this.sides]
    return {
      steps: sides.flatMap(([side, { steps }]) =>
        [...steps].map(([step, crossed]) => ({ side, step, crossed: { ...crossed } }))
      ),
      messages: sides.flatMap(([side, { messages }]) =>
        [...messages].map(([index, { fields, step }]) => ({
          side,
          step,
          message: index + 1,
          fields: [...fields].map(([name, field]) => field.report(name))
        }))
      )
    }
  }
}

/** What can be tried, and was not. */
export const holes = ({ messages, steps }: Report): ReadonlyArray<Hole> => [
  ...steps.flatMap(({ crossed, side, step }) =>
    faults.filter((fault) => crossed[fault] === 0).map((fault) => ({ _tag: "Fault" as const, side, step, fault }))
  ),
  ...messages.flatMap(({ fields, message, side, step }) =>
    fields.flatMap(({ changed, field, missing }) => [
      ...(missing.length === 0
        ? []
        : [{ _tag: "Places" as const, side, step, message, field, places: missing }]),
      ...kinds.filter((change) => changed[change] === 0).map((change) => ({
        _tag: "Change" as const,
        side,
        step,
        message,
        field,
        change
      }))
    ])
  )
]

/** `3, 5-8` */
const ranges = (places: ReadonlyArray<number>): string => {
  const found: Array<[from: number, to: number]> = []
  for (const at of places) {
    const last = found.at(-1)
    if (last !== undefined && last[1] === at - 1) last[1] = at
    else found.push([at, at])
  }
  return found.map(([from, to]) => from === to ? String(from) : `${from}-${to}`).join(", ")
}

interface Table {
  readonly columns: ReadonlyArray<string>
  /** A name, a cell for each column, and what is said behind them. */
  readonly rows: ReadonlyArray<readonly [name: string, cells: ReadonlyArray<string>, more: string]>
}

/** Without the columns that are blank. */
const table = (title: string, { columns, rows }: Table): string => {
  if (rows.length === 0) return ""
  const width = Math.max(title.length, ...rows.map(([name]) => name.length))
  const widths = columns.map((column, i) => {
    const widest = Math.max(...rows.map(([, cells]) => cells[i].length))
    return widest === 0 ? 0 : Math.max(column.length, widest)
  })
  const line = (name: string, cells: ReadonlyArray<string>, more: string) => {
    const shown = cells.flatMap((cell, i) => widths[i] === 0 ? [] : [cell.padStart(widths[i])])
    return [name.padEnd(width), ...shown, more].join("  ").trimEnd()
  }
  return [line(title, columns, ""), ...rows.map((row) => line(...row))].join("\n")
}

/** A dot is what was never tried; what cannot be tried is blank. */
const cell = (count: number | undefined): string => count === undefined ? "" : count === 0 ? "·" : String(count)

const ofSteps = (steps: Report["steps"]): string =>
  table("step", {
    columns: faults,
    rows: steps.filter(({ crossed }) => Object.keys(crossed).length > 0).map(({ crossed, side, step }) => [
      `${side}: ${step}`,
      faults.map((fault) => cell(crossed[fault])),
      ""
    ])
  })

/** The ways in which no field was changed as a column; the fields that have holes by name. */
const ofMessages = (messages: Report["messages"]): string =>
  table("changed", {
    columns: ["places", ...kinds],
    rows: messages.map(({ fields, message, side, step }) => {
      const places = fields.reduce((sum, field) => sum + field.places, 0)
      const missing = fields.reduce((sum, field) => sum + field.missing.length, 0)
      const counts = kinds.map((kind) => {
        const known = fields.flatMap(({ changed }) => changed[kind] ?? [])
        return cell(known.length === 0 ? undefined : known.reduce((sum, count) => sum + count, 0))
      })
      const isAlone = messages.filter((other) => other.side === side && other.step === step).length === 1
      const never = fields.flatMap(({ changed, field, missing }) => {
        const left = [
          ...(missing.length === 0 ? [] : [ranges(missing)]),
          ...kinds.filter((kind) => changed[kind] === 0)
        ]
        return left.length === 0 ? [] : [`${field === "" ? "" : `${field} `}${left.join(", ")}`]
      })
      return [
        `${side}: ${step}${isAlone ? "" : `, message ${message}`}`,
        [missing === 0 ? String(places) : `${places - missing}/${places}`, ...counts],
        never.length === 0 ? "" : `never: ${never.join("; ")}`
      ]
    })
  })

/** The report as two tables: of steps and faults, and of messages and how they were changed. */
export const format = ({ messages, steps }: Report): string =>
  [ofSteps(steps), ofMessages(messages)].filter((text) => text !== "").join("\n\n")
