/**
 * The states of a dialogue as a picture: for Mermaid, and as text for a terminal.
 *
 * @internal
 */
import type { Snapshot, Target } from "./snapshotModel.ts"
import * as Words from "./words.ts"

/** What Mermaid takes for something else than the name of a state. */
const reserved = /^(?:state|note|end|direction|class|classDef|style|default|as|fork|join|choice|ready|refused|click)$/i

/** Mermaid's own way to write characters that it would take for something else. */
const escaped = (text: string): string =>
  text.replace(/[^\p{L}\p{N} :,.()_/+-]/gu, (character) => `#${character.codePointAt(0)};`)

const idsOf = ({ states }: Snapshot): ReadonlyMap<string, string> =>
  new Map(
    Object.keys(states).map((name, i) => [name, /^[A-Za-z]\w*$/.test(name) && !reserved.test(name) ? name : `s${i}_`])
  )

/** A state diagram of Mermaid. */
export const mermaid = (snapshot: Snapshot): string => {
  const ids = idsOf(snapshot)
  const lines = ["stateDiagram-v2"]
  const ends = new Set<string>()
  const idOf = (target: Target): string => {
    if ("to" in target) return ids.get(target.to)!
    const end = "ready" in target ? "ready" : "refused"
    ends.add(end)
    return end
  }
  for (const [name, state] of Object.entries(snapshot.states)) {
    const label = [`${name}: ${Words.whoSpeaks(state.turn)}`, ...Words.bounds(state)].join(", ")
    lines.push(`  state "${escaped(label)}" as ${ids.get(name)}`)
  }
  lines.push(`  [*] --> ${ids.get(snapshot.start)}`)
  for (const [name, { says }] of Object.entries(snapshot.states)) {
    for (const [tag, target] of Object.entries(says)) {
      const notes = "to" in target
        ? target.tls === true ? ", then TLS" : ""
        : "refused" in target && !target.refused.retryable
        ? ", for good"
        : ""
      lines.push(`  ${ids.get(name)} --> ${idOf(target)}: ${escaped(`${tag}${notes}`)}`)
    }
  }
  for (const end of ends) lines.push(`  ${end} --> [*]`)
  return `${lines.join("\n")}\n`
}

const padded = (text: string, width: number): string => text + " ".repeat(Math.max(0, width - text.length))

/** A message with the names of its fields. */
export const signature = ({ messages }: Snapshot, tag: string): string => {
  const names = Object.entries(messages[tag]!.fields).map(([name, { optional }]) =>
    optional === true ? `${name}?` : name
  )
  return names.length === 0 ? tag : `${tag} { ${names.join(", ")} }`
}

/** What is said to whoever breaks the rules. */
export const otherwise = ({ otherwise }: Snapshot): ReadonlyArray<string> =>
  (["server", "client"] as const).flatMap((role) => {
    const said = otherwise[role]
    if (said === undefined) return []
    const what = said.message === undefined ? "something" : `${said.message}${said.varies === true ? " or else" : ""}`
    return [`the ${role} says ${what} to whoever breaks the rules`]
  })

/** The same as text. */
export const outline = (snapshot: Snapshot): string => {
  const { name, start, states } = snapshot
  const lines = [`${name}, from ${start}`]
  const width = Math.max(
    ...Object.values(states).flatMap(({ says }) => Object.keys(says).map((tag) => signature(snapshot, tag).length))
  )
  for (const [name, state] of Object.entries(states)) {
    lines.push("", [`${name}: ${Words.whoSpeaks(state.turn)}`, ...Words.bounds(state)].join(", "))
    for (const [tag, target] of Object.entries(state.says)) {
      lines.push(`  ${padded(signature(snapshot, tag), width)}  -> ${Words.target(target)}`)
    }
  }
  const told = otherwise(snapshot)
  return `${[...lines, ...(told.length > 0 ? ["", ...told] : [])].join("\n")}\n`
}
