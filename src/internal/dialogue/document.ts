/**
 * A dialogue as a document, for whoever writes the other side in another language.
 *
 * @internal
 */
import * as Diagram from "./diagram.ts"
import type { Role } from "./model.ts"
import type { Example, Field, Framing, Message, Otherwise, Snapshot, Target, Wire } from "./snapshotModel.ts"
import { type FormPart, mostVarintBytes, type Prefix, type Size, varintBytesOf } from "./wire.ts"
import * as Words from "./words.ts"

/** Text in a paragraph: nothing in it is Markdown. */
const plain = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/[\\`*_{}[\]<>#~]/g, "\\$&").replace(/\r\n|\r|\n/g, " ")

/** Text as code. */
const code = (text: string): string => {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length))
  const fence = "`".repeat(longest + 1)
  const pad = /^[` ]|[` ]$/.test(text) ? " " : ""
  return `${fence}${pad}${text.replace(/\r?\n/g, " ")}${pad}${fence}`
}

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> =>
  rows.length === 0 ? [] : [
    `| ${head.join(" | ")} |`,
    `|${head.map(() => "---").join("|")}|`,
    ...rows.map((cells) => `| ${cells.map((cell) => cell.replace(/\|/g, "\\|")).join(" | ")} |`),
    ""
  ]

const fenced = (language: string, text: string): ReadonlyArray<string> => {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map(({ length }) => length))
  const fence = "`".repeat(longest + 1)
  return [`${fence}${language}`, text.replace(/\n$/, ""), fence, ""]
}

export const markdown = (snapshot: Snapshot): string =>
  `${
    [
      `# ${plain(snapshot.name)}`,
      "",
      ...opening(snapshot),
      "## Who says what, and when",
      "",
      ...fenced("mermaid", Diagram.mermaid(snapshot)),
      ...Object.keys(snapshot.states).flatMap((name) => stateSection(snapshot, name)),
      "## The messages",
      "",
      ...Object.keys(snapshot.messages).flatMap((tag) => messageSection(snapshot, tag)),
      ...refusals(snapshot),
      ...otherwise(snapshot),
      ...behind(snapshot)
    ].join("\n").replace(/\n+$/, "")
  }\n`

const opening = ({ start, states, wire }: Snapshot): ReadonlyArray<string> => {
  const { turn } = states[start]!
  const own = Object.values(states).some(({ wire }) => wire !== undefined)
  const isUsed = Object.keys(wire.messages).length > 0
  const begins = turn === "both" ? "Both sides begin at once" : `The ${turn} begins`
  return [
    `${begins}, in the state ${plain(start)}. What is not due in a state breaks the rules there.`,
    "",
    ...(isUsed ? [`Messages are ${kindOf(wire)}${own ? ", where a state does not say otherwise" : ""}.`, ""] : [])
  ]
}

/** What the messages of a wire are. */
const kindOf = ({ framing, messages }: Wire): string => {
  if (framing !== undefined) return `texts in UTF-8, ${plain(Words.framing(framing))}`
  return Object.values(messages).some(({ form }) => form.kind === "bytes")
    ? "bytes, one part behind the other"
    : "what a codec of its own makes"
}

const stateSection = (snapshot: Snapshot, name: string): ReadonlyArray<string> => {
  const state = snapshot.states[name]!
  const bounds = Words.bounds(state)
  const who = state.turn === "both"
    ? "Both sides speak, and neither waits for the other"
    : `The ${state.turn} speaks`
  return [
    `### ${plain(name)}`,
    "",
    `${[who, ...bounds].join(", ")}.${
      state.atMost === undefined ? "" : " Whoever comes to it more often breaks the rules."
    }`,
    "",
    ...(state.wire === undefined ? [] : [`Here messages are ${kindOf(state.wire)}.`, ""]),
    ...table(
      ["said", "leads to"],
      Object.entries(state.says).map(([tag, target]) => [code(tag), leadsTo(target)])
    )
  ]
}

const leadsTo = (target: Target): string =>
  "to" in target
    ? target.tls === true
      ? `TLS begins behind it, then ${plain(target.to)}`
      : plain(target.to)
    : "ready" in target
    ? "the handshake is done"
    : target.refused.retryable
    ? "refused: another try, later or elsewhere, may do better"
    : "refused for good"

type Written = Wire["messages"][string]

/** The states in which a message looks the same, and how. */
interface Place {
  readonly written: Written | undefined
  readonly states: ReadonlyArray<string>
}

/** Who says this message to whoever breaks the rules. */
const rolesOtherwise = ({ otherwise }: Snapshot, tag: string): ReadonlyArray<Role> =>
  (["server", "client"] as const).filter((role) => otherwise[role]?.message === tag)

const placesOf = (snapshot: Snapshot, tag: string): ReadonlyArray<Place> => {
  const places = new Map<string, { readonly written: Written | undefined; readonly states: Array<string> }>()
  const roles = rolesOtherwise(snapshot, tag)
  for (const [name, { says, turn }] of Object.entries(snapshot.states)) {
    // Whoever hears what breaks the rules is the one whose turn it is not.
    if (says[tag] === undefined && !roles.some((role) => role !== turn)) continue
    const written = Words.wireOf(snapshot, name).messages[tag]
    const key = JSON.stringify(written)
    const place = places.get(key)
    if (place === undefined) places.set(key, { written, states: [name] })
    else place.states.push(name)
  }
  return places.size > 0 ? Array.from(places.values()) : [{ written: snapshot.wire.messages[tag], states: [] }]
}

const messageSection = (snapshot: Snapshot, tag: string): ReadonlyArray<string> => {
  const message = snapshot.messages[tag]!
  const places = placesOf(snapshot, tag)
  const saying = places.flatMap(({ states }) => states).filter((name) => snapshot.states[name]!.says[tag] !== undefined)
  // What carries texts has no other way for bytes.
  const isBase64 = places.some(({ written }) => ["text", "json"].includes(written?.form.kind ?? ""))
  const by = (["client", "server", "both"] as const).flatMap((turn) => {
    const names = saying.filter((name) => snapshot.states[name]!.turn === turn)
    return names.length === 0
      ? []
      : [`by ${turn === "both" ? "both sides" : `the ${turn}`} in ${Words.list(names.map(plain), "and")}`]
  })
  const told = rolesOtherwise(snapshot, tag).map((role) => `by the ${role} to whoever breaks the rules`)
  return [
    `### ${plain(tag)}`,
    "",
    `Said ${Words.list([...by, ...told], "and") || "to some of those who break the rules"}.`,
    "",
    ...table(
      ["field", "takes", "is"],
      Object.entries(message.fields).map(([name, field]) => [
        code(name),
        plain(Words.takes(field, message.definitions, isBase64)),
        isWhat(field)
      ])
    ),
    ...places.flatMap(({ states, written }) => {
      if (written === undefined) return []
      return [
        ...(places.length > 1 ? [`In ${Words.list(states.map(plain), "and")}:`, ""] : []),
        ...formSection(tag, message, written.form),
        ...written.examples.flatMap((example) => exampleSection(message, example))
      ]
    })
  ]
}

const isWhat = ({ optional, role, secret }: Field): string =>
  [
    ...(secret === true ? ["a secret: shown nowhere"] : []),
    role === "free"
      ? "any value will do"
      : role === "fresh"
      ? "made anew for each connection"
      : "checked by whoever receives it",
    ...(optional === true ? ["may be left out"] : [])
  ].join("; ")

const formSection = (
  tag: string,
  message: Message,
  form: Snapshot["wire"]["messages"][string]["form"]
): ReadonlyArray<string> => {
  switch (form.kind) {
    case "text":
      return [
        `The text ${code(form.template)}${
          Object.keys(message.fields).length === 0 ? "" : ", with its fields in place of their names in braces"
        }${form.ignoreCase ? "; the case of letters does not count" : ""}.`,
        ""
      ]
    case "json":
      return [
        `One JSON object, whose member ${code("_tag")} is ${code(JSON.stringify(tag))}${
          Object.keys(message.fields).length === 0 ? "" : "; its fields are the other members"
        }. Spaces and the order of members mean nothing; a member that is not named here is refused.`,
        ""
      ]
    case "bytes":
      return table(["offset", "bytes", "what"], layout(form.parts, "", 0))
    case "codec":
      return ["Its bytes are made by a codec of its own; see the examples.", ""]
  }
}

const widthOf = (width: Prefix): string => typeof width === "number" ? String(width) : `1 to ${varintBytesOf(width)}`

const numberOf = (width: Prefix): string =>
  typeof width === "number"
    ? "big-endian"
    : "seven bits a byte, the lowest first; all but the last byte with the highest bit set"

/** The parts of a message, with their offsets for as long as these are known. */
const layout = (
  parts: ReadonlyArray<FormPart>,
  indent: string,
  from: number | undefined
): ReadonlyArray<ReadonlyArray<string>> => {
  const rows: Array<ReadonlyArray<string>> = []
  let offset: number | undefined = from
  const row = (bytes: string, what: string, size: number | undefined): void => {
    rows.push([offset === undefined ? "then" : String(offset), bytes, `${indent}${what}`])
    offset = offset === undefined || size === undefined ? undefined : offset + size
  }
  const prefixed = (prefix: Prefix, what: string): void =>
    row(
      widthOf(prefix),
      prefix === 1 ? what : `${what} (${numberOf(prefix)})`,
      typeof prefix === "number" ? prefix : undefined
    )
  for (const part of parts) {
    switch (part.part) {
      case "constant":
        row(String(part.bytes.length), constant(part.bytes), part.bytes.length)
        break
      case "uint":
        row(
          String(part.size),
          `${code(part.name)}, an unsigned integer${part.size === 1 ? "" : `, ${part.endian}-endian`}`,
          part.size
        )
        break
      case "varint":
        row(
          widthOf({ varint: part.maxBytes ?? mostVarintBytes }),
          `${code(part.name)}, an unsigned integer (${numberOf("varint")})`,
          undefined
        )
        break
      case "uints":
        prefixed(part.count, `how many numbers ${code(part.name)} has`)
        row(
          `${part.size} each`,
          `${code(part.name)}, unsigned integers${part.size === 1 ? "" : ", big-endian"}`,
          undefined
        )
        break
      case "sized":
        prefixed(part.prefix, `how many bytes the parts behind it have${part.withItself ? ", and its own" : ""}`)
        rows.push(...layout(part.parts, `${indent}↳ `, offset))
        offset = undefined
        break
      case "text":
      case "bytes":
        if ("prefix" in part.size) prefixed(part.size.prefix, `how many bytes ${code(part.name)} has`)
        row(
          sizeOf(part.size),
          `${code(part.name)}, ${part.part === "text" ? "text in UTF-8" : "bytes"}`,
          "length" in part.size ? part.size.length : undefined
        )
        if ("ending" in part.size) {
          const ending = Array.from(new TextEncoder().encode(part.size.ending))
          row(String(ending.length), constant(ending), ending.length)
        }
        break
    }
  }
  return rows
}

const sizeOf = (size: Size): string =>
  "length" in size
    ? String(size.length)
    : "prefix" in size
    ? "as many"
    : "ending" in size
    ? "up to the ending"
    : "all that is left"

const constant = (bytes: ReadonlyArray<number>): string => {
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("")
  // Spaces alone are seen by nobody.
  const isText = bytes.every((byte) => byte >= 0x20 && byte < 0x7f) && bytes.some((byte) => byte !== 0x20)
  return `${code(Words.spaced(hex))}${isText ? `, the text ${code(String.fromCharCode(...bytes))}` : ""}`
}

const exampleSection = ({ fields: all }: Message, { bytes, fields }: Example): ReadonlyArray<string> => [
  Object.keys(fields).length === 0
    ? "In bytes:"
    : `With ${code(JSON.stringify(fields))}${
      Object.values(all).some(({ secret }) => secret === true) ? ", whose secrets are made up" : ""
    }:`,
  "",
  ...fenced("", dump(bytes))
]

/** Sixteen bytes a line, in hex and as text. */
const dump = (hex: string): string => {
  const lines: Array<string> = []
  for (let at = 0; at < hex.length; at += 32) {
    const row = hex.slice(at, at + 32)
    const text = Array.from(Words.bytesOf(row), (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")
      .join("")
    lines.push(`${Words.spaced(row).padEnd(47)}  ${text}`)
  }
  return lines.join("\n")
}

const refusals = ({ messages, states }: Snapshot): ReadonlyArray<string> => {
  const rows = Object.entries(states).flatMap(([name, { says }]) =>
    Object.entries(says).flatMap(([tag, target]) => {
      if (!("refused" in target)) return []
      const { code: known, codeField, retryAfterField, retryable } = target.refused
      return [[
        code(tag),
        plain(name),
        retryable ? "yes" : "no",
        known === undefined ? codeField === undefined ? "none" : `in ${code(codeField)}` : code(known),
        retryAfterField === undefined
          ? "not told"
          : `not before ${code(retryAfterField)}${
            isNumber(messages[tag]?.fields[retryAfterField]) ? ", in seconds" : ""
          }`
      ]]
    })
  )
  return rows.length === 0
    ? []
    : ["## Refusals", "", ...table(["message", "said in", "worth another try", "code", "when"], rows)]
}

const isNumber = (field: Field | undefined): boolean =>
  field !== undefined && ["integer", "number"].includes(String(field.schema["type"]))

const otherwise = ({ otherwise }: Snapshot): ReadonlyArray<string> => {
  const { client, server } = otherwise
  return [
    "## To whoever breaks the rules",
    "",
    "Whoever receives what is not due, what is no message, too many bytes, or nothing in time, ends the handshake.",
    "",
    ...(server === undefined ? [] : [`- The server says ${said(server)} first, and so it does to whom it turns away.`]),
    ...(client === undefined ? [] : [`- The client says ${said(client)} first.`]),
    ...(server === undefined && client === undefined ? ["Nothing is said then."] : []),
    ""
  ]
}

const said = ({ fields, message, varies }: Otherwise): string =>
  message === undefined
    ? "something, or nothing, which depends on why,"
    : `${code(message)}${fields === undefined ? "" : ` with ${code(JSON.stringify(fields))}`}${
      varies === true ? ", or what else depends on why," : ""
    }`

const behind = ({ live, states }: Snapshot): ReadonlyArray<string> => {
  const spoken = (framing: Framing): string => `frames, ${plain(Words.framing(framing))}`
  const isSame = JSON.stringify(live.server) === JSON.stringify(live.client)
  const own = Object.entries(states).flatMap(([name, { says }]) =>
    Object.entries(says).flatMap(([tag, target]) =>
      "ready" in target && target.live !== undefined
        ? [`- Behind ${code(tag)} in ${plain(name)}: ${spoken(target.live.server)}.`]
        : []
    )
  )
  return [
    "## Behind the handshake",
    "",
    isSame ?
      `Both sides speak ${spoken(live.server)}.` :
      `The server sends and receives ${spoken(live.server)}; the client ${spoken(live.client)}.`,
    "",
    ...own
  ]
}
