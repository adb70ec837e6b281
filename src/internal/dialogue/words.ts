/**
 * What a snapshot has, in words: what a field takes, how long, how much, where it leads, how texts are framed.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"
import type { Turn } from "./model.ts"
import type { Check, Field, Framing, JsonSchema, Message, Snapshot, State, Target, Wire } from "./snapshotModel.ts"

export const whoSpeaks = (turn: Turn): string => turn === "both" ? "both speak" : `${turn} speaks`

export const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** The bounds of a state. */
export const bounds = ({ atMost, maxBytes, within }: State): ReadonlyArray<string> => [
  ...(within === undefined ? [] : [`within ${Duration.format(Duration.millis(within))}`]),
  ...(maxBytes === undefined ? [] : [`in at most ${plural(maxBytes, "byte")}`]),
  ...(atMost === undefined ? [] : [`at most ${plural(atMost, "time")}`])
]

/** Where a message leads. */
export const target = (target: Target): string =>
  "to" in target
    ? target.tls === true ? `TLS, then ${target.to}` : target.to
    : "ready" in target
    ? "ready"
    : target.refused.retryable
    ? "refused"
    : "refused for good"

export const wireOf = ({ states, wire }: Snapshot, state: string): Wire => states[state]?.wire ?? wire

export const list = (words: ReadonlyArray<string>, last: string): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`

/** What a field takes; in a text bytes are written in base64. */
export const takes = (
  { checks = [], schema }: Field,
  definitions: Message["definitions"],
  isBase64 = false
): string => {
  // Checks of a length are exact where those of JSON Schema may not be.
  const lengths = checks.filter(isLength)
  const exact: JsonSchema = Object.assign({}, schema, ...lengths.map(({ payload }) => payload))
  const rest = checks.filter((check) => !isLength(check) && check.id !== "decoded")
  const bytes = isBase64 && schema["contentEncoding"] === "base64" ? " in base64" : ""
  return [
    `${value(exact, definitions)}${bytes}`,
    ...rest.map(({ at, says }) => at === "" ? says : `${says} at ${at}`)
  ].join("; ")
}

const isLength = ({ at, id }: Check): boolean => at === "" && (id === "isMinLength" || id === "isMaxLength")

const value = (schema: JsonSchema, definitions: Message["definitions"], depth = 0): string => {
  const inner = (json: Schema.Json | undefined): string =>
    isSchema(json) && depth < 8 ? value(json, definitions, depth + 1) : "anything"
  const { $ref, allOf, anyOf, oneOf } = schema
  if (typeof $ref === "string") {
    const name = $ref.split("/").at(-1)!
    const found = definitions?.[name]
    return isSchema(found) && depth < 2 ? inner(found) : name
  }
  if (Array.isArray(schema["enum"])) return list(schema["enum"].map((one) => JSON.stringify(one)), "or")
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"])
  const alternatives = anyOf ?? oneOf
  if (Array.isArray(alternatives)) return list(alternatives.map(inner), "or")
  const all = Array.isArray(allOf) ? allOf.filter(isSchema) : []
  return ofType(Object.assign({}, schema, ...all) as JsonSchema, inner)
}

export const isSchema = (json: Schema.Json | undefined): json is JsonSchema =>
  Predicate.isObject(json) && !Array.isArray(json)

const ofType = (schema: JsonSchema, inner: (json: Schema.Json | undefined) => string): string => {
  switch (schema["type"]) {
    case "string":
      if (schema["contentEncoding"] === "base64") return "bytes"
      return [
        `text${range(schema["minLength"], schema["maxLength"], (count) => plural(count, "character"))}`,
        ...(typeof schema["pattern"] === "string" ? [`as in /${schema["pattern"]}/`] : [])
      ].join(" ")
    case "integer":
    case "number": {
      const { exclusiveMaximum, exclusiveMinimum, maximum, minimum, multipleOf } = schema
      return [
        `${schema["type"]}${range(bound(minimum), bound(maximum), String)}`,
        ...(typeof exclusiveMinimum === "number" ? [`above ${exclusiveMinimum}`] : []),
        ...(typeof exclusiveMaximum === "number" ? [`below ${exclusiveMaximum}`] : []),
        ...(typeof multipleOf === "number" ? [`a multiple of ${multipleOf}`] : [])
      ].join(", ")
    }
    case "boolean":
      return "true or false"
    case "null":
      return "null"
    case "array": {
      const items = Array.isArray(schema["prefixItems"])
        ? `list with ${list(schema["prefixItems"].map(inner), "and")}`
        : `list of ${inner(schema["items"])}`
      return Array.isArray(schema["prefixItems"])
        ? items
        : `${items}${range(schema["minItems"], schema["maxItems"], (count) => plural(count, "element"))}`
    }
    case "object": {
      const properties = isSchema(schema["properties"]) ? Object.entries(schema["properties"]) : []
      const required = Array.isArray(schema["required"]) ? schema["required"] : []
      const members = properties.map(([name, json]) =>
        `${name}${required.includes(name) ? "" : " (may be left out)"}: ${inner(json)}`
      )
      return members.length > 0 ? `object with ${list(members, "and")}` : "object"
    }
    default:
      return "anything"
  }
}

/** Bounds that only say that a number is one of those that JavaScript can count with are none. */
const bound = (json: Schema.Json | undefined): Schema.Json | undefined =>
  typeof json === "number" && Math.abs(json) >= Number.MAX_SAFE_INTEGER ? undefined : json

const range = (
  minimum: Schema.Json | undefined,
  maximum: Schema.Json | undefined,
  show: (count: number) => string
): string =>
  typeof minimum === "number"
    ? typeof maximum === "number"
      ? minimum === maximum ? ` of ${show(minimum)}` : ` from ${minimum} to ${show(maximum)}`
      : ` of at least ${show(minimum)}`
    : typeof maximum === "number"
    ? ` of at most ${show(maximum)}`
    : ""

export const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16))

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Bytes as text on one line. */
export const quoted = (hex: string): string => JSON.stringify(decoder.decode(bytesOf(hex)))

const hexOf = (text: string): string =>
  Array.from(encoder.encode(text), (byte) => byte.toString(16).padStart(2, "0")).join("")

/** How frames are cut out of bytes, where that can be seen. */
export const framing = (framing: Framing): string => {
  const samples = Object.entries(framing)
  if (samples.length === 0) return "as a codec of its own makes them"
  const ending = samples[0]![1].slice(hexOf(samples[0]![0]).length)
  if (ending !== "" && samples.every(([text, hex]) => hex === hexOf(text) + ending)) {
    return `each with ${quoted(ending)} behind it (${spaced(ending)})`
  }
  for (const width of [1, 2, 3, 4]) {
    const isPrefixed = samples.every(([text, hex]) => {
      const body = hexOf(text)
      return hex === (body.length / 2).toString(16).padStart(2 * width, "0") + body
    })
    if (isPrefixed) return `each behind the number of its bytes in ${plural(width, "byte")}, big-endian`
  }
  return `such that ${list(samples.map(([text, hex]) => `${JSON.stringify(text)} is ${spaced(hex)}`), "and")}`
}

export const spaced = (hex: string): string => hex.replace(/(..)(?=.)/g, "$1 ")
