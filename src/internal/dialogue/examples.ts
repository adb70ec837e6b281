/**
 * Messages as examples: the same each time, plain where that is allowed, and with secrets that anybody sees are made up.
 *
 * @internal
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Draw from "./draw.ts"
import * as Fields from "./fields.ts"
import type { Example, Field, JsonSchema, Message } from "./snapshotModel.ts"
import type { Compiled } from "./spec.ts"
import type { Form, FormPart } from "./wire.ts"

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")

/** The fields of a message as JSON; undefined where they are not all of it. */
export const json = ({ shape }: Fields.Fields, values: Fields.Values): JsonSchema | undefined => {
  const encoded = Fields.make(shape, "json").encode(values)
  return Result.isSuccess(encoded) ? encoded.success as JsonSchema : undefined
}

/** At most so many examples of a message as it is said in a state. */
export const of = (state: Compiled, tag: string, message: Message, count: number): ReadonlyArray<Example> => {
  const examples: Array<Example> = []
  for (const values of candidates(state, tag, message)) {
    const bytes = Draw.bytesOf(state, tag, values)
    const fields = json(state.wire.fields.get(tag)!, values)
    if (bytes === undefined || fields === undefined) continue
    const example = { fields, bytes: hex(bytes) }
    if (examples.every(({ bytes }) => bytes !== example.bytes)) examples.push(example)
    if (examples.length === count) break
  }
  return examples
}

/** Plain ones first, then what is drawn. */
function* candidates(state: Compiled, tag: string, message: Message): Generator<Fields.Values> {
  for (let turn = 0; turn < 3; turn++) {
    const values = plain(state, tag, message, turn)
    if (values !== undefined) yield values
  }
  for (let seed = 1; seed <= 8; seed++) {
    const values = Draw.draw(state, tag, seed)
    if (values === undefined) return
    const hidden = plain(state, tag, message, 0, true)
    yield hidden === undefined ? values : { ...values, ...hidden }
    yield values
  }
}

/** Fields with plain values; undefined where one of them has none. */
const plain = (
  state: Compiled,
  tag: string,
  message: Message,
  turn: number,
  onlySecrets = false
): Fields.Values | undefined => {
  const { names, secrets, shape } = state.wire.fields.get(tag)!
  const form = state.wire.form(tag)
  const values: Record<string, unknown> = {}
  for (const name of onlySecrets ? secrets : names) {
    const fits = Fields.make({ [name]: shape[name]! } as Fields.Shape, carriedBy(form))
    const found: Array<Fields.Values> = []
    for (const value of plainValues(message.fields[name]!, name, partOf(form, name))) {
      const decoded = fits.decode({ [name]: form.kind === "text" ? String(value) : value })
      if (Result.isSuccess(decoded)) found.push(decoded.success)
      if (found.length > turn) break
    }
    const last = found.at(-1)
    if (last === undefined) return undefined
    Object.assign(values, last)
  }
  return values
}

const carriedBy = ({ kind }: Form): Fields.Carried => kind === "text" ? "text" : kind === "json" ? "json" : "raw"

const encoder = new TextEncoder()

const repeated = (word: string, length: number): string => word.repeat(Math.ceil(length / word.length)).slice(0, length)

/** Values as a wire carries them, the plainest first. */
function* plainValues({ schema, secret }: Field, name: string, part: FormPart | undefined): Generator<unknown> {
  yield* listed(schema)
  yield* composed(schema, name)
  const { minimum, exclusiveMinimum } = schema
  if (typeof minimum === "number" && minimum > -1e9) yield* [minimum, minimum + 1, minimum + 2]
  if (typeof exclusiveMinimum === "number") yield* [exclusiveMinimum + 1, exclusiveMinimum + 2, exclusiveMinimum + 3]
  const word = secret === true ? "made-up-secret" : name
  const length = part !== undefined && "size" in part && typeof part.size === "object" && "length" in part.size
    ? part.size.length
    : undefined
  const bytes = secret === true ? "made-up!" : "\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008"
  if (length !== undefined) yield* [encoder.encode(repeated(bytes, length)), repeated(word, length)]
  // Numbers as texts are texts as well.
  if (schema["type"] !== "string") yield* [1, 2, 3, true, false, null]
  yield* [word, `${word}-2`, `${word}-3`, repeated(word, 8), repeated(word, 16)]
  for (const length of [8, 16, 4, 32, 20, 64, 1, 2]) yield encoder.encode(repeated(bytes, length))
  yield* [1, 2, 3, true, [1, 2], [word], [], {}]
}

/** A list with two elements if it may have them, or an object with all its members. */
function* composed(schema: JsonSchema, name: string): Generator<unknown> {
  const nth = (inner: unknown, name: string, n: number): unknown => {
    const schema = Predicate.isObject(inner) ? inner as JsonSchema : {}
    let last: unknown
    for (const value of schema["type"] === "string" ? texts(schema, name) : plainValues({ schema }, name, undefined)) {
      last = value
      if (n-- <= 0) break
    }
    return last
  }
  const { items, maxItems, minItems, prefixItems, properties, type } = schema
  if (type === "array") {
    const prefix = Array.isArray(prefixItems) ? prefixItems.map((item) => nth(item, name, 0)) : []
    const most = typeof maxItems === "number" ? maxItems : 2
    const count = Math.max(typeof minItems === "number" ? minItems : 0, Math.min(2, most))
    yield [...prefix, ...Array.from({ length: Math.max(0, count - prefix.length) }, (_, i) => nth(items, name, i))]
  }
  if (type === "object" && Predicate.isObject(properties)) {
    yield Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, nth(inner, name, 0)]))
  }
}

function* texts(schema: JsonSchema, name: string): Generator<unknown> {
  yield* listed(schema)
  yield* [name, `${name}-2`, `${name}-3`]
}

/** The values that are the only ones. */
function* listed(schema: JsonSchema): Generator<unknown> {
  if (Array.isArray(schema["enum"])) yield* schema["enum"]
  if (schema["const"] !== undefined) yield schema["const"]
  if (Array.isArray(schema["anyOf"])) {
    for (const one of schema["anyOf"]) if (Predicate.isObject(one)) yield* listed(one as JsonSchema)
  }
}

const partOf = (form: Form, name: string): FormPart | undefined => {
  const find = (parts: ReadonlyArray<FormPart>): FormPart | undefined => {
    for (const part of parts) {
      const found = part.part === "sized"
        ? find(part.parts)
        : part.part !== "constant" && part.name === name
        ? part
        : undefined
      if (found !== undefined) return found
    }
    return undefined
  }
  return form.kind === "bytes" ? find(form.parts) : undefined
}
