/**
 * Whether every value of one JSON Schema is taken by another.
 *
 * It is proven from what both say, or a value is found that one takes and the other does not; where there is neither, nobody knows,
 * and it is said why. Lengths of texts are those of JavaScript, in UTF-16.
 *
 * @internal
 */
import * as Equal from "effect/Equal"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { JsonSchema } from "./snapshotModel.ts"

type Json = Schema.Json

/** A JSON Schema with what it refers to. */
export interface Described {
  readonly schema: JsonSchema
  readonly definitions: JsonSchema | undefined
}

export type Verdict =
  | { readonly _tag: "Included" }
  /** Such a value is not taken. */
  | { readonly _tag: "Excluded"; readonly why: string; readonly witness: Json }
  | { readonly _tag: "Unknown"; readonly why: string }

/** What values are carried as: a text has no other numbers than texts. */
export type Carried = "text" | "json"

export const included = (
  said: Described,
  taken: Described,
  carried: Carried,
  examples: ReadonlyArray<Json>
): Verdict => {
  const context: Context = { said, taken, carried, assumed: new Set() }
  const why = unproven(said.schema, taken.schema, context)
  if (why === undefined) return { _tag: "Included" }
  for (const witness of [...examples, ...samples(said.schema, taken.schema, context, examples[0], 0)]) {
    if (accepts(said.schema, witness, said.definitions, carried) !== true) continue
    if (accepts(taken.schema, witness, taken.definitions, carried) === false) return { _tag: "Excluded", why, witness }
  }
  return { _tag: "Unknown", why }
}

interface Context {
  readonly said: Described
  readonly taken: Described
  readonly carried: Carried
  /** Pairs of references that are being looked at: what is inside them may refer to them again. */
  readonly assumed: Set<string>
}

export const isSchema = (json: Json | undefined): json is JsonSchema => Predicate.isObject(json) && !Array.isArray(json)

/** What says nothing about which values there are; a format stands beside what does. */
const remarks = new Set(["title", "description", "default", "examples", "readOnly", "writeOnly", "format", "$comment"])

const known = new Set([
  ...remarks,
  "type",
  "enum",
  "const",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "pattern",
  "patterns",
  "contentEncoding",
  "contentMediaType",
  "items",
  "prefixItems",
  "minItems",
  "maxItems",
  "uniqueItems",
  "properties",
  "required",
  "additionalProperties",
  "anyOf",
  "oneOf"
])

const tighter: Readonly<Record<string, (a: number, b: number) => number>> = {
  minimum: Math.max,
  exclusiveMinimum: Math.max,
  minLength: Math.max,
  minItems: Math.max,
  maximum: Math.min,
  exclusiveMaximum: Math.min,
  maxLength: Math.min,
  maxItems: Math.min
}

/** What it refers to and what it is put together of, as one, with its patterns as a list. */
const flat = (schema: JsonSchema, definitions: JsonSchema | undefined, depth = 0): JsonSchema => {
  const { $ref, allOf, pattern, ...rest } = schema
  const merged: Record<string, Json> = { ...rest }
  const patterns: Array<Json> = [
    ...(typeof pattern === "string" ? [pattern] : []),
    ...patternsOf(schema)
  ]
  const target = typeof $ref === "string" ? definitions?.[$ref.split("/").at(-1)!] : undefined
  if (typeof $ref === "string" && (!isSchema(target) || depth > 32)) merged["$ref"] = $ref
  const others = [...(isSchema(target) ? [target] : []), ...(Array.isArray(allOf) ? allOf : [])]
  for (const other of others) {
    if (!isSchema(other) || depth > 32) continue
    for (const [key, value] of Object.entries(flat(other, definitions, depth + 1))) {
      const before = merged[key]
      if (key === "patterns") patterns.push(...value as ReadonlyArray<Json>)
      else if (before === undefined || Equal.equals(before, value)) merged[key] = value
      else if (tighter[key] !== undefined && typeof before === "number" && typeof value === "number") {
        merged[key] = tighter[key](before, value)
      } else if (!remarks.has(key)) merged[`${key} twice`] = value
    }
  }
  return patterns.length === 0 ? merged : { ...merged, patterns }
}

/** All patterns that a text has to match; one with flags is an object. */
const patternsOf = (schema: JsonSchema): ReadonlyArray<Json> =>
  Array.isArray(schema["patterns"]) ? schema["patterns"] : []

const typesOf = (schema: JsonSchema): ReadonlyArray<string> =>
  typeof schema["type"] === "string"
    ? [schema["type"]]
    : Array.isArray(schema["type"])
    ? schema["type"].filter((type) => typeof type === "string")
    : []

const valuesOf = (schema: JsonSchema): ReadonlyArray<Json> | undefined =>
  Array.isArray(schema["enum"]) ? schema["enum"] : "const" in schema ? [schema["const"]!] : undefined

/** All values that a Schema takes, where these are few. */
export const listed = ({ definitions, schema }: Described): ReadonlyArray<Json> | undefined =>
  valuesOf(flat(schema, definitions))

const alternativesOf = (schema: JsonSchema): ReadonlyArray<JsonSchema> | undefined => {
  const alternatives = schema["anyOf"] ?? schema["oneOf"]
  return Array.isArray(alternatives) ? alternatives.filter(isSchema) : undefined
}

const restricting = (schema: JsonSchema): ReadonlyArray<string> =>
  Object.keys(schema).filter((key) => !remarks.has(key))

const numberAt = (schema: JsonSchema, key: string): number | undefined => {
  const value = schema[key]
  return typeof value === "number" ? value : undefined
}

/** Undefined where all that the first takes is taken by the second; else what is not. */
const unproven = (first: JsonSchema, second: JsonSchema, context: Context): string | undefined => {
  const pair = typeof first["$ref"] === "string" && typeof second["$ref"] === "string"
    ? `${first["$ref"]} ${second["$ref"]}`
    : undefined
  if (pair !== undefined && context.assumed.has(pair)) return undefined
  if (pair !== undefined) context.assumed.add(pair)
  const said = flat(first, context.said.definitions)
  const taken = flat(second, context.taken.definitions)
  if (restricting(taken).length === 0) return undefined
  const values = valuesOf(said)
  if (values !== undefined) {
    const not = values.find((value) => accepts(taken, value, context.taken.definitions, context.carried) !== true)
    return not === undefined ? undefined : `${JSON.stringify(not)} is not taken`
  }
  const every = alternativesOf(said)
  if (every !== undefined) {
    return every.map((one) => unproven(one, taken, context)).find((why) => why !== undefined)
  }
  const some = alternativesOf(taken)
  if (some !== undefined && taken["oneOf"] === undefined) {
    return some.some((one) => unproven(said, one, context) === undefined)
      ? undefined
      : "it is none of those that are taken"
  }
  const strange = [...restricting(said), ...restricting(taken)].find((key) => !known.has(key))
  if (taken["oneOf"] !== undefined || strange !== undefined) {
    const isSame = JSON.stringify(said) === JSON.stringify(taken) && context.said.definitions === undefined
    return isSame ? undefined : `nobody can tell, for the ${strange ?? "oneOf"} of a JSON Schema`
  }
  const only = valuesOf(taken)
  if (only !== undefined) {
    const isBoolean = typesOf(said).join() === "boolean" && only.includes(true) && only.includes(false)
    return isBoolean ? undefined : `only ${only.map((value) => JSON.stringify(value)).join(" or ")} is taken`
  }
  // What is a text on the wire anyway, is one here.
  if (context.carried === "text" && restricting(taken).join() === "type" && taken["type"] === "string") {
    const isScalar = typesOf(said).length > 0 &&
      typesOf(said).every((type) => ["string", "number", "integer", "boolean"].includes(type))
    if (isScalar) return undefined
  }
  return unprovenType(said, taken) ?? unprovenNumber(said, taken) ?? unprovenText(said, taken) ??
    unprovenList(said, taken, context) ?? unprovenObject(said, taken, context)
}

const unprovenType = (said: JsonSchema, taken: JsonSchema): string | undefined => {
  const types = typesOf(taken)
  if (types.length === 0) return undefined
  const own = typesOf(said)
  if (own.length === 0) return `only ${types.join(" or ")} is taken`
  const not = own.find((type) => !types.includes(type) && !(type === "integer" && types.includes("number")))
  return not === undefined ? undefined : `${not} where ${types.join(" or ")} is taken`
}

const unprovenNumber = (said: JsonSchema, taken: JsonSchema): string | undefined => {
  const isInteger = typesOf(said).join() === "integer"
  const least = Math.max(
    numberAt(said, "minimum") ?? -Infinity,
    (numberAt(said, "exclusiveMinimum") ?? -Infinity) + (isInteger ? 1 : 0)
  )
  const most = Math.min(
    numberAt(said, "maximum") ?? Infinity,
    (numberAt(said, "exclusiveMaximum") ?? Infinity) - (isInteger ? 1 : 0)
  )
  const minimum = numberAt(taken, "minimum")
  if (minimum !== undefined && least < minimum) return `only numbers from ${minimum} on are taken`
  const maximum = numberAt(taken, "maximum")
  if (maximum !== undefined && most > maximum) return `only numbers up to ${maximum} are taken`
  const above = numberAt(taken, "exclusiveMinimum")
  if (above !== undefined && !(least > above || (!isInteger && numberAt(said, "exclusiveMinimum") === above))) {
    return `only numbers above ${above} are taken`
  }
  const below = numberAt(taken, "exclusiveMaximum")
  if (below !== undefined && !(most < below || (!isInteger && numberAt(said, "exclusiveMaximum") === below))) {
    return `only numbers below ${below} are taken`
  }
  const multiple = numberAt(taken, "multipleOf")
  const own = numberAt(said, "multipleOf") ?? (isInteger ? 1 : undefined)
  return multiple === undefined || (own !== undefined && own % multiple === 0)
    ? undefined
    : `only multiples of ${multiple} are taken`
}

const unprovenText = (said: JsonSchema, taken: JsonSchema): string | undefined => {
  const minLength = numberAt(taken, "minLength") ?? 0
  if ((numberAt(said, "minLength") ?? 0) < minLength) return `only texts of ${minLength} characters and more are taken`
  const maxLength = numberAt(taken, "maxLength") ?? Infinity
  if ((numberAt(said, "maxLength") ?? Infinity) > maxLength) {
    return `only texts of at most ${maxLength} characters are taken`
  }
  if (taken["contentEncoding"] !== undefined && said["contentEncoding"] !== taken["contentEncoding"]) {
    return "only bytes are taken"
  }
  const pattern = patternsOf(taken).find((one) => !patternsOf(said).some((other) => Equal.equals(one, other)))
  return pattern === undefined ? undefined : `only what /${sourceOf(pattern)}/ matches is taken`
}

const sourceOf = (pattern: Json): string => isSchema(pattern) ? String(pattern["source"]) : String(pattern)

const unprovenList = (said: JsonSchema, taken: JsonSchema, context: Context): string | undefined => {
  const minItems = numberAt(taken, "minItems") ?? 0
  if ((numberAt(said, "minItems") ?? 0) < minItems) return `only lists of ${minItems} elements and more are taken`
  const maxItems = numberAt(taken, "maxItems") ?? Infinity
  if ((numberAt(said, "maxItems") ?? Infinity) > maxItems) return `only lists of at most ${maxItems} elements are taken`
  if (taken["uniqueItems"] === true && said["uniqueItems"] !== true) return "only lists without doubles are taken"
  const own = Array.isArray(said["prefixItems"]) ? said["prefixItems"].filter(isSchema) : []
  const prefix = Array.isArray(taken["prefixItems"]) ? taken["prefixItems"].filter(isSchema) : []
  const items = (schema: JsonSchema): JsonSchema | undefined => isSchema(schema["items"]) ? schema["items"] : undefined
  for (let i = 0; i < Math.max(own.length, prefix.length); i++) {
    const why = unproven(own[i] ?? items(said) ?? {}, prefix[i] ?? items(taken) ?? {}, context)
    if (why !== undefined) return `element ${i}: ${why}`
  }
  const last = items(taken)
  // What a list of a fixed length has behind its end is nothing.
  if (last === undefined || (numberAt(said, "maxItems") ?? Infinity) <= own.length) return undefined
  const why = unproven(items(said) ?? {}, last, context)
  return why === undefined ? undefined : `its elements: ${why}`
}

const propertiesOf = (schema: JsonSchema): Readonly<Record<string, JsonSchema>> =>
  isSchema(schema["properties"])
    ? Object.fromEntries(
      Object.entries(schema["properties"]).filter((entry): entry is [string, JsonSchema] => isSchema(entry[1]))
    )
    : {}

const requiredOf = (schema: JsonSchema): ReadonlyArray<Json> =>
  Array.isArray(schema["required"]) ? schema["required"] : []

const unprovenObject = (said: JsonSchema, taken: JsonSchema, context: Context): string | undefined => {
  const own = propertiesOf(said)
  const theirs = propertiesOf(taken)
  const missing = requiredOf(taken).find((name) => !requiredOf(said).includes(name))
  if (missing !== undefined) return `${String(missing)} is required`
  for (const [name, schema] of Object.entries(own)) {
    const other: Json | undefined = name in theirs ? theirs[name] : taken["additionalProperties"]
    if (other === undefined || other === true) continue
    if (!isSchema(other)) return `there is no ${name}`
    const why = unproven(schema, other, context)
    if (why !== undefined) return `${name}: ${why}`
  }
  const more = said["additionalProperties"] ?? true
  if (more === false || typesOf(said).join() !== "object") return undefined
  const unnamed = Object.entries(theirs).filter(([name]) => !(name in own))
  const others: ReadonlyArray<readonly [string, Json]> = [
    ...unnamed,
    ["any other member", taken["additionalProperties"] ?? true]
  ]
  for (const [name, schema] of others) {
    if (schema === true) continue
    const why = isSchema(schema) ? unproven(isSchema(more) ? more : {}, schema, context) : "is not taken"
    if (why !== undefined) return `${name}: ${why}`
  }
  return undefined
}

/** Whether a value is taken; undefined where nobody can tell. */
export const accepts = (
  schema: JsonSchema,
  value: Json,
  definitions: JsonSchema | undefined,
  carried: Carried
): boolean | undefined => {
  const taken = takes(flat(schema, definitions), value, definitions, carried)
  if (carried === "json" || taken === true) return taken
  // A text may be the number that the other side sees in it, and a number its text.
  const others: ReadonlyArray<Json> = typeof value === "number" || typeof value === "boolean"
    ? [String(value)]
    : value === "true" || value === "false"
    ? [value === "true"]
    : typeof value === "string" && value !== "" && String(Number(value)) === value
    ? [Number(value)]
    : []
  return others.length === 0 ? taken : takes(flat(schema, definitions), others[0]!, definitions, carried)
}

const typeOf = (value: Json): string => value === null ? "null" : Array.isArray(value) ? "array" : typeof value

const takes = (
  schema: JsonSchema,
  value: Json,
  definitions: JsonSchema | undefined,
  carried: Carried
): boolean | undefined => {
  const values = valuesOf(schema)
  if (values !== undefined) return values.some((one) => Equal.equals(one, value))
  const alternatives = alternativesOf(schema)
  if (alternatives !== undefined) {
    const taken = alternatives.map((one) => accepts(one, value, definitions, carried))
    const count = taken.filter((one) => one === true).length
    if (schema["oneOf"] !== undefined && count > 1) return false
    return count > 0 || (taken.includes(undefined) ? undefined : false)
  }
  const types = typesOf(schema)
  const type = typeOf(value)
  if (types.length > 0 && !types.includes(type) && !(types.includes("integer") && Number.isInteger(value))) return false
  const inner = isWithin(schema, value, definitions, carried)
  return inner === true && restricting(schema).some((key) => !known.has(key)) ? undefined : inner
}

const isWithin = (
  schema: JsonSchema,
  value: Json,
  definitions: JsonSchema | undefined,
  carried: Carried
): boolean | undefined => {
  const at = (key: string, otherwise: number) => numberAt(schema, key) ?? otherwise
  if (typeof value === "number") {
    return value >= at("minimum", -Infinity) && value <= at("maximum", Infinity) &&
      value > at("exclusiveMinimum", -Infinity) && value < at("exclusiveMaximum", Infinity) &&
      Number.isInteger(value / at("multipleOf", value === 0 ? 1 : value))
  }
  if (typeof value === "string") {
    if (value.length < at("minLength", 0) || value.length > at("maxLength", Infinity)) return false
    if (schema["contentEncoding"] === "base64" && !isBase64(value)) return false
    return all(patternsOf(schema).map((pattern) => matches(pattern, value)))
  }
  if (isArray(value)) {
    if (value.length < at("minItems", 0) || value.length > at("maxItems", Infinity)) return false
    const prefix = Array.isArray(schema["prefixItems"]) ? schema["prefixItems"] : []
    return all(value.map((one, i) => {
      const item = prefix[i] ?? schema["items"]
      return isSchema(item) ? accepts(item, one, definitions, carried) : item !== false
    }))
  }
  if (isSchema(value)) {
    if (requiredOf(schema).some((name) => !Object.hasOwn(value, String(name)))) return false
    const properties = propertiesOf(schema)
    return all(
      Object.entries(value).map(([name, one]) => {
        const member = properties[name] ?? schema["additionalProperties"]
        return isSchema(member) ? accepts(member, one, definitions, carried) : member !== false
      })
    )
  }
  return true
}

const isArray = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)

const all = (taken: ReadonlyArray<boolean | undefined>): boolean | undefined =>
  taken.includes(false) ? false : taken.includes(undefined) ? undefined : true

const isBase64 = (text: string): boolean => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)

const matches = (pattern: Json, text: string): boolean | undefined => {
  try {
    const flags = isSchema(pattern) ? String(pattern["flags"]).replace(/[gy]/g, "") : "u"
    return new RegExp(sourceOf(pattern), flags).test(text)
  } catch {
    return undefined
  }
}

/** Values at the edges of both, which one may take and the other not. */
function* samples(
  first: JsonSchema,
  second: JsonSchema,
  context: Context,
  example: Json | undefined,
  depth: number
): Generator<Json> {
  if (depth > 6) return
  const said = flat(first, context.said.definitions)
  const taken = flat(second, context.taken.definitions)
  const values = valuesOf(said)
  if (values !== undefined) return yield* values
  const alternatives = alternativesOf(said)
  if (alternatives !== undefined) {
    for (const one of alternatives) yield* samples(one, taken, context, undefined, depth + 1)
    return
  }
  for (const type of typesOf(said).length === 0 ? ["string", "number"] : typesOf(said)) {
    switch (type) {
      case "boolean":
        yield* [true, false]
        break
      case "null":
        yield null
        break
      case "integer":
      case "number":
        yield* numbers(said, taken)
        break
      case "string":
        yield* texts(said, taken)
        break
      case "array":
        yield* lists(said, taken, context, depth)
        break
      case "object":
        yield* objects(said, taken, context, example, depth)
        break
    }
  }
}

function* numbers(said: JsonSchema, taken: JsonSchema): Generator<number> {
  for (const schema of [said, taken]) {
    for (const value of valuesOf(schema) ?? []) if (typeof value === "number") yield* [value + 1, value - 1]
    for (const key of ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]) {
      const bound = numberAt(schema, key)
      if (bound !== undefined && Math.abs(bound) < Number.MAX_SAFE_INTEGER) yield* [bound, bound + 1, bound - 1]
    }
  }
  yield* [0, 1, -1, 2, 1000, 0.5]
}

/** A text longer than this is no example. */
const longest = 4096

function* texts(said: JsonSchema, taken: JsonSchema): Generator<string> {
  yield* ["example", "a", "A", "1", ""]
  for (const schema of [said, taken]) {
    for (const key of ["minLength", "maxLength"]) {
      const length = numberAt(schema, key)
      if (length === undefined || length > longest) continue
      yield* ["a".repeat(length), "a".repeat(length + 1), "a".repeat(Math.max(0, length - 1))]
    }
  }
}

function* lists(said: JsonSchema, taken: JsonSchema, context: Context, depth: number): Generator<Json> {
  const items = (schema: JsonSchema): JsonSchema => isSchema(schema["items"]) ? schema["items"] : {}
  const elements = Array.from(samples(items(said), items(taken), context, undefined, depth + 1)).slice(0, 16)
  for (const element of elements) yield [element]
  const [element] = elements
  if (element === undefined) return
  for (const schema of [said, taken]) {
    for (const key of ["minItems", "maxItems"]) {
      const length = numberAt(schema, key)
      if (length === undefined || length > longest) continue
      for (const count of [length, length + 1, Math.max(0, length - 1)]) {
        yield Array.from({ length: count }, () => element)
      }
    }
  }
  yield []
}

/** An example with one member changed, or left out, or put in. */
function* objects(
  said: JsonSchema,
  taken: JsonSchema,
  context: Context,
  example: Json | undefined,
  depth: number
): Generator<Json> {
  const own = propertiesOf(said)
  const theirs = propertiesOf(taken)
  const base: Record<string, Json> = {}
  for (const [name, schema] of Object.entries(own)) {
    const known = isSchema(example) ? example[name] : undefined
    const [value] = known === undefined ? samples(schema, theirs[name] ?? {}, context, undefined, depth + 1) : [known]
    if (value !== undefined && (known !== undefined || requiredOf(said).includes(name))) base[name] = value
  }
  yield base
  for (const [name, schema] of Object.entries(own)) {
    for (const value of samples(schema, theirs[name] ?? {}, context, undefined, depth + 1)) {
      yield { ...base, [name]: value }
    }
    const { [name]: _, ...without } = base
    if (!requiredOf(said).includes(name)) yield without
  }
}
