/**
 * Values that somebody has for fields of messages, in the place of drawn ones: the password that a server knows.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Fields from "./fields.ts"
import type { Spec } from "./spec.ts"

/** The fields of messages, by the names of the messages. */
export type Given = ReadonlyMap<string, Fields.Values>

export const none: Given = new Map()

/** The value of a field as it was written down: text as the field's Schema reads it, or JSON. Else what is wrong with it. */
export const parse = (
  spec: Spec,
  tag: string,
  name: string,
  written: unknown
): Result.Result<Fields.Values, string> => {
  const fields = spec.wire.fields.get(tag)
  if (fields === undefined) {
    return Result.fail(`there is no message ${tag}; there are ${Array.from(spec.wire.fields.keys()).join(", ")}`)
  }
  const schema = fields.shape[name]
  if (schema === undefined) {
    return Result.fail(
      fields.names.length === 0
        ? `${tag} has no fields`
        : `${tag} has no field ${name}; it has ${fields.names.join(", ")}`
    )
  }
  const as = (carried: Fields.Carried, value: unknown) =>
    Fields.make({ [name]: schema }, carried).decode({ [name]: value })
  if (typeof written !== "string") return as("json", written)
  const text = as("text", written)
  if (Result.isSuccess(text)) return text
  const json = parsedJson(written)
  const value = json === undefined ? text : as("json", json)
  return Result.isSuccess(value) ? value : text
}

const parsedJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const add = (given: Given, tag: string, values: Fields.Values): Given =>
  new Map([...given, [tag, { ...given.get(tag), ...values }]])
