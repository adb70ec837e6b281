/**
 * Whether a message of one version of a dialogue is read by the other one, and as what.
 *
 * | wire | what makes two messages the same |
 * |---|---|
 * | texts | the words around their fields; names mean nothing |
 * | bytes | their layout; names mean nothing |
 * | JSON, a codec of one's own | their names, and those of their fields |
 *
 * And every value that the Schemas of the one who says it allow has to be taken by those of the one who hears it.
 *
 * @internal
 */
import * as Equal from "effect/Equal"
import type * as Schema from "effect/Schema"
import * as Binary from "./binary.ts"
import * as Inclusion from "./inclusion.ts"
import type { Role } from "./model.ts"
import type { Check, Field, JsonSchema, Message, Snapshot, Target, Wire } from "./snapshotModel.ts"
import * as Template from "./template.ts"
import type { Form, FormPart } from "./wire.ts"

/** Something that is said: by a version of a side, in a state, with these fields if they are known. */
export interface Saying {
  readonly snapshot: Snapshot
  readonly state: string
  readonly role: Role
  readonly message: string
  readonly fields?: JsonSchema | undefined
}

/** Who hears it, and where. */
export interface Hearing {
  readonly snapshot: Snapshot
  readonly state: string
}

export type Reading =
  /** All that may be said is read as this message, and leads there: undefined where it is only said to whoever breaks the rules. */
  | { readonly _tag: "Read"; readonly message: string; readonly target: Target | undefined }
  | {
    readonly _tag: "Unread"
    readonly why: string
    /** Fields with which it is not read. */
    readonly fields: JsonSchema | undefined
    /** Whether the one who hears it knows at once that it is none. */
    readonly isNoticed: boolean
    /** Whether it is sure that it is not read. */
    readonly isCertain: boolean
  }

const unread = (why: string, options?: Partial<Extract<Reading, { _tag: "Unread" }>>): Reading => ({
  _tag: "Unread",
  why,
  fields: undefined,
  isNoticed: true,
  isCertain: true,
  ...options
})

const wireAt = ({ snapshot, state }: Hearing): Wire => snapshot.states[state]!.wire ?? snapshot.wire

export const read = (said: Saying, heard: Hearing): Reading => {
  const form = wireAt(said).messages[said.message]?.form
  if (form === undefined) return unread(`nobody knows how ${said.message} looks there`, { isCertain: false })
  const due = dueOf(said, heard)
  const kinds = due.map((tag) => formOf(heard, tag)!.kind)
  const kind = kinds[0]
  const framing = unframed(said, heard)
  if (framing !== undefined) return framing
  if (kind !== undefined && !kinds.includes(form.kind)) {
    return unread(`it is ${kindWords(form)}, and ${kindWords(formOf(heard, due[0]!)!)} is due`, {
      isNoticed: wireAt(said).framing !== undefined && wireAt(heard).framing !== undefined,
      // A codec may well do what the other wire does.
      isCertain: form.kind !== "codec" && !kinds.includes("codec")
    })
  }
  return form.kind === "text" ? readText(said, heard, due) : readWhole(said, heard, due)
}

const kindWords = ({ kind }: Form): string =>
  kind === "json" ? "JSON" : kind === "codec" ? "of a codec of its own" : kind === "text" ? "text" : "bytes"

/** What can be heard there, the first first; last what is said to whoever breaks the rules. */
const dueOf = ({ role }: Saying, heard: Hearing): ReadonlyArray<string> => {
  const { messages, otherwise, states } = heard.snapshot
  const due = Object.keys(states[heard.state]!.says)
  const told = otherwise[role]
  const known = told === undefined ? [] : told.varies === true ? Object.keys(messages) : [told.message ?? ""]
  return [
    ...due,
    // Where bytes are due, nothing but these is looked for.
    ...known.filter((tag) => {
      const form = formOf(heard, tag)
      return !due.includes(tag) && form !== undefined && form.kind !== "bytes"
    })
  ]
}

const formOf = (heard: Hearing, tag: string): Form | undefined => wireAt(heard).messages[tag]?.form

const asRead = (heard: Hearing, message: string): Reading => ({
  _tag: "Read",
  message,
  target: heard.snapshot.states[heard.state]!.says[message]
})

/** How texts are cut out of bytes. */
const unframed = (saying: Saying, hearing: Hearing): Reading | undefined => {
  const said = wireAt(saying).framing
  const heard = wireAt(hearing).framing
  if (said === undefined || heard === undefined) return undefined
  const texts = Object.keys(said).filter((text) => heard[text] !== undefined)
  if (texts.length === 0) {
    if (saying.snapshot === hearing.snapshot || hasSameExample(saying, hearing)) return undefined
    return unread("nobody can tell whether texts end where they are taken to end", {
      isNoticed: false,
      isCertain: false
    })
  }
  const other = texts.findLast((text) => said[text] !== heard[text])
  return other === undefined ? undefined : unread(
    `the text ${JSON.stringify(other)} is ${said[other]} where it is said, and ${heard[other]} where it is heard`,
    { isNoticed: false }
  )
}

/** Whether the message was written once by both, and to the same bytes. */
const hasSameExample = (said: Saying, heard: Hearing): boolean => {
  const examples = (at: Hearing) => wireAt(at).messages[said.message]?.examples ?? []
  return examples(said).some((one) => examples(heard).some((other) => Equal.equals(one, other)))
}

// ------------------------------------------------------------------------------------------------------------------ fields

const fieldsOf = ({ fields, message, snapshot }: Saying): Readonly<Record<string, Field>> => {
  const all = snapshot.messages[message]!.fields
  return fields === undefined ? all : Object.fromEntries(
    Object.entries(all).filter(([name]) => fields[name] !== undefined).map(([name, field]) => [
      name,
      { ...field, schema: { enum: [fields[name]!] }, checks: [] }
    ])
  )
}

/** With lengths and patterns as they are checked: JSON Schema counts characters otherwise, and has no flags. */
const exact = ({ checks = [], schema }: Field, isText: boolean): JsonSchema => {
  // Whatever it is decoded from: a text of the wire is what the value looks like.
  const decoded = isText ? checks.find(isDecoded) : undefined
  if (decoded !== undefined) return decoded.payload as JsonSchema
  const patterns = checks.filter(({ at, id }) => at === "" && id === "isPattern").flatMap(({ payload }) =>
    payload ?? []
  )
  return Object.assign(
    {},
    schema,
    ...checks.filter(isLength).map(({ payload }) => payload),
    patterns.length > 0 && { patterns }
  )
}

const isLength = ({ at, id }: Check): boolean => at === "" && (id === "isMinLength" || id === "isMaxLength")

const isDecoded = ({ at, id }: Check): boolean => at === "" && id === "decoded"

/** What is checked and can be said in a Schema of its own. */
const isExact = (check: Check, isText: boolean): boolean =>
  isLength(check) || (check.at === "" && check.id === "isPattern") || (isText && isDecoded(check))

const structOf = (fields: Readonly<Record<string, Field>>, isText: boolean): JsonSchema => ({
  type: "object",
  properties: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, exact(field, isText)])),
  required: Object.entries(fields).filter(([, { optional }]) => optional !== true).map(([name]) => name),
  additionalProperties: false
})

/** Which field of the one who hears it is which of the one who says it, and what is always the same for one of them. */
interface Places {
  readonly names: ReadonlyArray<readonly [own: string, theirs: string]>
  /** Fields of the one who hears it. */
  readonly said?: ReadonlyMap<string, number> | undefined
  /** Fields of the one who says it. */
  readonly due?: ReadonlyMap<string, number> | undefined
}

const only = (value: number): Field => ({ schema: { enum: [value] } })

/** Whether the fields that are said are taken as those of another message: by their places, or else by their names. */
const readFields = (said: Saying, heard: Hearing, message: string, places?: Places): Reading => {
  const other = heard.snapshot.messages[message]!
  const all = fieldsOf(said)
  // They are called as the one who says them calls them.
  const own = places === undefined ? all : Object.fromEntries([
    ...places.names.map(([name]) => [name, all[name]!] as const),
    ...Array.from(places.due?.keys() ?? [], (name) => [name, all[name]!] as const),
    ...Array.from(places.said ?? [], ([name, value]) => [`its ${name}`, only(value)] as const)
  ])
  const theirs = places === undefined ? other.fields : Object.fromEntries([
    ...places.names.map(([name, theirs]) => [name, other.fields[theirs]!] as const),
    ...Array.from(places.due ?? [], ([name, value]) => [name, only(value)] as const),
    ...Array.from(places.said?.keys() ?? [], (name) => [`its ${name}`, other.fields[name]!] as const)
  ])
  const { definitions } = said.snapshot.messages[said.message]!
  // Every Schema takes what it takes itself, of which there may be no other proof.
  if (isSameFields({ fields: own, definitions }, { fields: theirs, definitions: other.definitions })) {
    return asRead(heard, message)
  }
  const form = formOf(heard, message)!
  const isText = form.kind === "text"
  const examples = wireAt(said).messages[said.message]?.examples.map(({ fields }) => fields) ?? []
  const verdict = Inclusion.included(
    { schema: structOf(own, isText), definitions },
    { schema: structOf(theirs, isText), definitions: other.definitions },
    isText ? "text" : "json",
    examples
  )
  if (verdict._tag === "Excluded") {
    const fields = Object.fromEntries(Object.entries(verdict.witness as JsonSchema).filter(([name]) => name in all))
    // What is checked beyond JSON Schema may not let that be said.
    const isSaid = Object.entries(own).every(([name, { checks = [] }]) =>
      checks.every((check) => isExact(check, isText)) ||
      examples.some((example) => Equal.equals(example[name], fields[name]))
    )
    return isSaid ? unread(verdict.why, { fields }) : unread(verdict.why, { isCertain: false })
  }
  if (verdict._tag === "Unknown") return unread(verdict.why, { isCertain: false })
  const unsure = unchecked(own, theirs, form)
  return unsure === undefined ? asRead(heard, message) : unread(unsure, { isCertain: false })
}

/** Fields, and what their Schemas refer to. */
interface Taken {
  readonly fields: Readonly<Record<string, Field>>
  readonly definitions?: JsonSchema | undefined
}

/** Whether fields of the same names take the same, as far as can be kept of them. */
const isSameFields = (a: Taken, b: Taken): boolean =>
  Object.keys(a.fields).length === Object.keys(b.fields).length &&
  Object.entries(a.fields).every(([name, field]) => {
    const other = b.fields[name]
    return other !== undefined && isSameField(field, other)
  }) && Equal.equals(a.definitions, b.definitions)

const isSameField = (a: Field, b: Field): boolean =>
  Equal.equals(a.schema, b.schema) && Equal.equals(a.checks ?? [], b.checks ?? []) && a.optional === b.optional

/** What the one who hears it checks beyond what JSON Schema can say, and the one who says it does not. */
const unchecked = (
  said: Readonly<Record<string, Field>>,
  heard: Readonly<Record<string, Field>>,
  form: Form
): string | undefined => {
  for (const [name, field] of Object.entries(heard)) {
    const own = said[name]
    if (own === undefined) continue
    const known = new Set((own.checks ?? []).map(keyOf))
    const check = (field.checks ?? []).find((check) =>
      !isExact(check, form.kind === "text") && !known.has(keyOf(check))
    )
    if (check !== undefined) return `nobody can tell whether ${name} passes what is checked: ${check.says}`
    if (form.kind === "codec" && own.schema["contentEncoding"] !== field.schema["contentEncoding"]) {
      return `${name} is bytes for one, and text for the other`
    }
  }
  return undefined
}

const keyOf = ({ at, id, payload, says }: Check): string =>
  JSON.stringify(id === "" ? [at, says] : [at, id, payload ?? null])

const listedAt = ({ message, snapshot }: Saying, field: Field): ReadonlyArray<Schema.Json> | undefined =>
  Inclusion.listed({ schema: field.schema, definitions: snapshot.messages[message]!.definitions })

// ------------------------------------------------------------------------------------------------------- JSON, codecs, bytes

const readWhole = (said: Saying, heard: Hearing, due: ReadonlyArray<string>): Reading => {
  const form = wireAt(said).messages[said.message]!.form
  if (form.kind === "bytes") return readBytes(said, heard, due, form.parts)
  if (!due.includes(said.message)) return undue(said, heard)
  const read = readFields(said, heard, said.message)
  return read._tag === "Read" && form.kind === "codec" ? readExamples(said, heard, read) : read
}

const undue = ({ message }: Saying, { snapshot, state }: Hearing): Reading =>
  unread(
    snapshot.messages[message] === undefined ? `there is no message ${message}` : `${message} is not due in ${state}`
  )

/** Of a codec only examples are known. */
const readExamples = (said: Saying, heard: Hearing, read: Reading): Reading => {
  const examples = (at: Hearing): ReadonlyMap<string, string> =>
    new Map(
      (wireAt(at).messages[said.message]?.examples ?? []).map(({ bytes, fields }) => [JSON.stringify(fields), bytes])
    )
  const own = examples(said)
  const theirs = examples(heard)
  const common = Array.from(own.keys()).filter((fields) => theirs.has(fields))
  const other = common.find((fields) => own.get(fields) !== theirs.get(fields))
  if (other !== undefined) {
    return unread(`it is ${own.get(other)} where it is said, and ${theirs.get(other)} where it is heard`, {
      fields: JSON.parse(other) as JsonSchema,
      isNoticed: false
    })
  }
  return common.length > 0 || said.snapshot === heard.snapshot
    ? read
    : unread(
      "nobody can tell whether its bytes are the same: the codec is one of its own, and there is no example of both",
      {
        isNoticed: false,
        isCertain: false
      }
    )
}

/** The parts of a message, constants byte by byte, and numbers that are always the same as constants. */
const atomsOf = (parts: ReadonlyArray<FormPart>, single: (name: string) => Schema.Json | undefined): Array<FormPart> =>
  parts.flatMap((part): ReadonlyArray<FormPart> => {
    if (part.part === "sized") return [{ ...part, parts: atomsOf(part.parts, single) }]
    const value = part.part === "uint" ? single(part.name) : undefined
    const bytes = part.part === "constant"
      ? part.bytes
      : part.part === "uint" && typeof value === "number" && Number.isSafeInteger(value) && value >= 0
      ? uintBytes(value, part.size, part.endian)
      : undefined
    return bytes === undefined ? [part] : bytes.map((byte) => ({ part: "constant", bytes: [byte] }))
  })

const uintBytes = (value: number, size: number, endian: "big" | "little"): ReadonlyArray<number> => {
  const bytes = Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256)
  return endian === "little" ? bytes : bytes.reverse()
}

/** The number that the next bytes are, if they are all constants. */
const constantAt = (
  parts: ReadonlyArray<FormPart>,
  at: number,
  { endian, size }: Extract<FormPart, { readonly part: "uint" }>
): number | undefined => {
  const bytes = parts.slice(at, at + size).flatMap((part) => part.part === "constant" ? part.bytes : [])
  if (bytes.length !== size) return undefined
  return (endian === "big" ? bytes : bytes.toReversed()).reduce((value, byte) => value * 256 + byte, 0)
}

const none = () => undefined

/** Which fields stand in the same places; undefined where the bytes are not cut alike. */
const align = (own: ReadonlyArray<FormPart>, theirs: ReadonlyArray<FormPart>): Required<Places> | undefined => {
  const names: Array<readonly [string, string]> = []
  const said = new Map<string, number>()
  const due = new Map<string, number>()
  const walk = (own: ReadonlyArray<FormPart>, theirs: ReadonlyArray<FormPart>): boolean => {
    let i = 0
    let j = 0
    while (i < own.length && j < theirs.length) {
      const [a, b] = [own[i++]!, theirs[j++]!]
      if (a.part === "sized" && b.part === "sized") {
        if (a.prefix !== b.prefix || !walk(a.parts, b.parts)) return false
      } else if (a.part === "constant" && b.part === "uint") {
        const value = constantAt(own, i - 1, b)
        if (value === undefined) return false
        said.set(b.name, value)
        i += b.size - 1
      } else if (a.part === "uint" && b.part === "constant") {
        const value = constantAt(theirs, j - 1, a)
        if (value === undefined) return false
        due.set(a.name, value)
        j += a.size - 1
      } else if (layoutOf([a]) !== layoutOf([b])) return false
      else if (a.part !== "constant" && a.part !== "sized" && b.part !== "constant" && b.part !== "sized") {
        names.push([a.name, b.name])
      }
    }
    return i === own.length && j === theirs.length
  }
  return walk(own, theirs) ? { names, said, due } : undefined
}

const singleOf = ({ message, snapshot }: Saying) => (name: string): Schema.Json | undefined => {
  const { definitions, fields } = snapshot.messages[message]!
  const values = Inclusion.listed({ schema: fields[name]!.schema, definitions })
  return values?.length === 1 ? values[0] : undefined
}

const layoutOf = (parts: ReadonlyArray<FormPart>): string =>
  JSON.stringify(parts, (key, value: unknown) => key === "name" ? undefined : value)

const partsAt = (at: Hearing, tag: string): ReadonlyArray<FormPart> => {
  const form = formOf(at, tag)
  return form?.kind === "bytes" ? form.parts : []
}

const readBytes = (
  said: Saying,
  heard: Hearing,
  due: ReadonlyArray<string>,
  parts: ReadonlyArray<FormPart>
): Reading => {
  // What is always the same is known of what is said, whatever it is called; what is heard is a field until it is looked at.
  const front = Binary.placesOf(atomsOf(parts, singleOf(said)))
  const own = atomsOf(parts, none)
  const chosen = chosenAlike(said, heard, due)
  if (chosen !== undefined) {
    const places = align(own, atomsOf(partsAt(heard, chosen), none))!
    return isSwapped(places.names)
      ? unread(`its fields stand in another order in ${chosen}`)
      : readFields(said, heard, chosen, places)
  }
  let before: string | undefined
  for (const tag of due) {
    const places = align(own, atomsOf(partsAt(heard, tag), none))
    if (places !== undefined && (due.length === 1 || isAlike(front, Binary.placesOf(partsAt(heard, tag))))) {
      if (isSwapped(places.names)) return unread(`its fields stand in another order in ${tag}`)
      if (before !== undefined) return unread(`it may be read as ${before}`, { isCertain: false })
      const read = readFields(said, heard, tag, places)
      const next = due.slice(due.indexOf(tag) + 1).find((other) =>
        align(own, atomsOf(partsAt(heard, other), none)) !== undefined
      )
      // What the first one does not take may be the next one's.
      return read._tag === "Read" || next === undefined
        ? read
        : unread(`nobody can tell whether what is not ${tag} is ${next}`, { isCertain: false })
    }
    if (isAlike(front, Binary.placesOf(partsAt(heard, tag))) && !isShielded(said, heard, tag)) before ??= tag
  }
  const isNoticed = isStrange(front, due.map((tag) => Binary.placesOf(partsAt(heard, tag))))
  const why = due.includes(said.message)
    ? `its bytes are others than those of ${said.message} there`
    : `its bytes are those of no message that is due in ${heard.state}`
  return unread(why, { isNoticed })
}

/**
 * The message that it is for the one who hears it, where both choose among the same layouts in the same order: whoever says it has
 * looked that it is not chosen as another one, and fields have no say in it. What begins with another byte is out at once for both.
 */
const chosenAlike = (said: Saying, heard: Hearing, due: ReadonlyArray<string>): string | undefined => {
  const firstOf = (at: Hearing, tag: string): Binary.Place => Binary.placesOf(partsAt(at, tag))[0]
  const first = firstOf(said, said.message)
  const rivals = (at: Hearing, tags: ReadonlyArray<string>): ReadonlyArray<string> =>
    tags.filter((tag) => {
      const other = firstOf(at, tag)
      return typeof first !== "number" || typeof other !== "number" || first === other
    })
  const own = rivals(said, Object.keys(said.snapshot.states[said.state]!.says))
  const theirs = rivals(heard, due)
  const layouts = (at: Hearing, tags: ReadonlyArray<string>): string =>
    JSON.stringify(tags.map((tag) => layoutOf(atomsOf(partsAt(at, tag), none))))
  return layouts(said, own) === layouts(heard, theirs) ? theirs[own.indexOf(said.message)] : undefined
}

const placed = (own: ReadonlyArray<string>, theirs: ReadonlyArray<string>): Places => ({
  names: own.map((name, i) => [name, theirs[i]!])
})

/** Whether fields of the same names have changed their places. */
const isSwapped = (names: Places["names"]): boolean =>
  names.some(([own, theirs]) =>
    own !== theirs && names.some(([other]) => other === theirs) && names.some(([, other]) => other === own)
  )

/** Whether the second may be what the first is: nobody knows behind parts that are cut otherwise. */
const isAlike = (a: ReadonlyArray<Binary.Place>, b: ReadonlyArray<Binary.Place>): boolean => {
  const cut = a.findIndex((place, i) => place !== b[i] && (typeof place === "string" || typeof b[i] === "string"))
  return a.slice(0, cut < 0 ? a.length : cut).every((byte, i) =>
    byte === undefined || b[i] === undefined || byte === b[i]
  )
}

/** Whether none of those that are due begins so, and that is seen from bytes that are always the same. */
const isStrange = (front: ReadonlyArray<Binary.Place>, due: ReadonlyArray<ReadonlyArray<Binary.Place>>): boolean =>
  due.every((other) => {
    const at = other.findIndex((byte, i) => byte !== undefined && byte !== front[i])
    return at !== -1 && other.slice(0, at + 1).every((byte) => typeof byte === "number") &&
      typeof front[at] === "number"
  })

/** Whether the one who says it looks for such a message before it, too, and so says nothing that is read as that. */
const isShielded = (said: Saying, heard: Hearing, tag: string): boolean => {
  const { messages, states } = said.snapshot
  const own = wireAt(said)
  const tags = inOrder(own, Object.keys(states[said.state]!.says))
  const before = tags.slice(0, Math.max(0, tags.indexOf(said.message)))
  const other = heard.snapshot.messages[tag]!
  return before.some((mine) =>
    looks(own.messages[mine]?.form) === looks(formOf(heard, tag)) &&
    isSameInPlaces(messages[mine]!, own.messages[mine]?.form, other, formOf(heard, tag))
  )
}

/** Whether the fields of two messages that look alike take the same, whatever they are called. */
const isSameInPlaces = (a: Message, form: Form | undefined, b: Message, other: Form | undefined): boolean => {
  const fields = ({ fields }: Message, form: Form | undefined): ReadonlyArray<Field> =>
    namesIn(form).map((name) => fields[name]!)
  const [own, theirs] = [fields(a, form), fields(b, other)]
  return own.every((field, i) => isSameField(field, theirs[i]!)) && Equal.equals(a.definitions, b.definitions)
}

/** The names of its fields, in the order in which they stand there. */
const namesIn = (form: Form | undefined): ReadonlyArray<string> =>
  form?.kind === "text" ? Template.make(form.template).names : form?.kind === "bytes" ? namesOf(form.parts) : []

const namesOf = (parts: ReadonlyArray<FormPart>): ReadonlyArray<string> =>
  parts.flatMap((part) => part.part === "constant" ? [] : part.part === "sized" ? namesOf(part.parts) : [part.name])

/** In which order they are looked for: texts that have no fields are looked up before any other. */
const inOrder = (wire: Wire, tags: ReadonlyArray<string>): ReadonlyArray<string> => {
  const isConstant = (tag: string): boolean => {
    const form = wire.messages[tag]?.form
    return form?.kind === "text" && !form.ignoreCase && namesIn(form).length === 0
  }
  return [...tags.filter(isConstant), ...tags.filter((tag) => !isConstant(tag))]
}

const looks = (form: Form | undefined): string | undefined =>
  form?.kind === "bytes"
    ? layoutOf(form.parts)
    : form?.kind === "text"
    ? `${form.ignoreCase} ${Template.skeleton(Template.make(form.template))}`
    : undefined

// ------------------------------------------------------------------------------------------------------------------- texts

interface Text {
  readonly tag: string
  readonly template: Template.Template
  readonly ignoreCase: boolean
}

const textOf = (wire: Wire, tag: string): Text | undefined => {
  const form = wire.messages[tag]?.form
  return form?.kind === "text"
    ? { tag, template: Template.make(form.template), ignoreCase: form.ignoreCase }
    : undefined
}

/** More texts than this are not written out. */
const mostTexts = 64

/** All texts of a message, with their fields, where these are few. */
const textsOf = (said: Saying, { template }: Text): ReadonlyArray<readonly [string, JsonSchema]> | undefined => {
  const fields = fieldsOf(said)
  let all: ReadonlyArray<JsonSchema> = [{}]
  for (const name of template.names) {
    const values = listedAt(said, fields[name]!)
    if (values === undefined || values.length * all.length > mostTexts) return undefined
    all = all.flatMap((one) => values.map((value) => ({ ...one, [name]: value })))
  }
  return all.map((values) => [Template.write(template, values), values])
}

const readText = (said: Saying, heard: Hearing, due: ReadonlyArray<string>): Reading => {
  const text = textOf(wireAt(said), said.message)!
  const { says } = heard.snapshot.states[heard.state]!
  const isDue = (tag: string): boolean => Object.hasOwn(says, tag)
  // What is not due is looked for last.
  const order = [...inOrder(wireAt(heard), due.filter(isDue)), ...due.filter((tag) => !isDue(tag))]
  const ordered = order.flatMap((tag) => textOf(wireAt(heard), tag) ?? [])
  const exact = ordered.findIndex((other) => isSameText(text, other))
  const same = exact === -1 ? ordered.findIndex((other) => isSameTemplate(text, other)) : exact
  if (same !== -1) {
    const other = ordered[same]!
    const { names } = text.template
    const places = placed(names, other.template.names)
    if (isSwapped(places.names)) return unread(`its fields stand in another order in ${other.tag}`)
    const before = ordered.slice(0, same).find((one) => isAlikeText(text, one) && !isShielded(said, heard, one.tag))
    const read = readFields(said, heard, other.tag, places)
    if (before === undefined) return read
    // What would be read as something else may be none of what is said.
    const texts = textsOf(said, text)
    return texts === undefined
      ? unread(`it may be read as ${before.tag}`, { isCertain: false })
      : readTexts(heard, ordered, texts)
  }
  const texts = textsOf(said, text)
  if (texts !== undefined && ordered.some((one) => isAlikeText(text, one))) return readTexts(heard, ordered, texts)
  const alike = ordered.find((one) => isAlikeText(text, one))
  if (alike !== undefined) {
    return unread(`nobody can tell whether it is read as ${alike.tag}`, { isCertain: false })
  }
  const named = textOf(wireAt(heard), said.message)
  return named !== undefined && due.includes(said.message)
    ? unread(`its words are others than those of ${said.message} there`)
    : undue(said, heard)
}

const isSameText = (text: Text, other: Text): boolean =>
  text.ignoreCase === other.ignoreCase && Template.skeleton(text.template) === Template.skeleton(other.template)

const isSameTemplate = (text: Text, other: Text): boolean => {
  const own = Template.skeleton(text.template)
  const theirs = Template.skeleton(other.template)
  return own === theirs || (other.ignoreCase && own.toLowerCase() === theirs.toLowerCase())
}

/** Whether a text could be one of both, as far as its first and its last words tell. */
const isAlikeText = (a: Text, b: Text): boolean => {
  const fold = (text: string): string => b.ignoreCase ? text.toLowerCase() : text
  const [first, second] = [a, b].map(({ template: { words } }) => [fold(words[0]!), fold(words.at(-1)!)] as const)
  const isConstant = (text: Text): boolean => text.template.names.length === 0
  if (isConstant(a)) return Template.read(b.template, a.template.words[0]!, b.ignoreCase) !== undefined
  if (isConstant(b)) return Template.read(a.template, b.template.words[0]!, b.ignoreCase) !== undefined
  return (first![0].startsWith(second![0]) || second![0].startsWith(first![0])) &&
    (first![1].endsWith(second![1]) || second![1].endsWith(first![1]))
}

/** Each text for itself. */
const readTexts = (
  heard: Hearing,
  due: ReadonlyArray<Text>,
  texts: ReadonlyArray<readonly [string, JsonSchema]>
): Reading => {
  const found = new Set<string>()
  for (const [text, fields] of texts) {
    const one = readOne(heard, due, text)
    if (one === undefined) return unread("no message that is due has such words", { fields })
    if (one === "nobody knows") {
      return unread("nobody can tell whether its words are taken", { fields, isCertain: false })
    }
    found.add(one)
  }
  const [tag, ...more] = Array.from(found)
  return more.length === 0 ?
    asRead(heard, tag!) :
    unread(`some of it is read as ${tag}, some as ${more.join(" or ")}`, {
      isCertain: false
    })
}

const readOne = (heard: Hearing, due: ReadonlyArray<Text>, text: string): string | undefined => {
  for (const { ignoreCase, tag, template } of due) {
    const values = Template.read(template, text, ignoreCase)
    if (values === undefined) continue
    const { definitions, fields } = heard.snapshot.messages[tag]!
    const taken = Object.entries(values).map(([name, value]) =>
      (fields[name]!.checks ?? []).some((check) => !isExact(check, true))
        ? undefined
        : Inclusion.accepts(exact(fields[name]!, true), value, definitions, "text")
    )
    if (taken.every((one) => one === true)) return tag
    if (!taken.includes(false)) return "nobody knows"
  }
  return undefined
}
