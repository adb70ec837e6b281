/**
 * The fields of a message: checked by their Schemas, put into what a wire can carry, and which of them are secret or free.
 *
 * @internal
 */
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Excerpt from "../../Excerpt.ts"
import { thrownProblem } from "../codec/failures.ts"

export type Shape = Schema.Struct.Fields

/** The fields of one message, by name. */
export type Values = Readonly<Record<string, unknown>>

/**
 * What a wire carries of a field: `text` is characters alone, `json` what JSON knows, `raw` whatever the Schema encodes to, with
 * secrets in clear.
 */
export type Carried = "text" | "json" | "raw"

export interface Fields {
  readonly shape: Shape
  readonly names: ReadonlyArray<string>
  /** Those that hold a `Redacted`. */
  readonly secrets: ReadonlyArray<string>
  /** Those of which any value of their type will do. */
  readonly free: ReadonlyArray<string>
  /** Those that are made anew for each connection. */
  readonly fresh: ReadonlyArray<string>
  readonly decode: (carried: unknown) => Result.Result<Values, string>
  readonly encode: (values: unknown) => Result.Result<Values, string>
}

/** What is noted at a field's Schema. */
export const roleKey = "effect-handshake/Dialogue/role"

export type FieldRole = "free" | "fresh"

const roleOf = (schema: Schema.Constraint): unknown => SchemaAST.resolve(schema.ast)?.[roleKey]

const isRedacted = ({ annotations }: SchemaAST.AST): boolean => {
  const representation: unknown = annotations?.["representation"]
  return Predicate.hasProperty(representation, "id") && representation.id === "effect/schema/Redacted"
}

const isSecret = (schema: Schema.Constraint): boolean => isRedacted(SchemaAST.toType(schema.ast))

/** What a Schema encodes to, as far as its wire has to know. */
export type Kind = "text" | "number" | "bytes" | "list" | "other"

/** The kinds of what a Schema encodes to; undefined where that is not known without trying. */
export const kindsOf = (schema: Schema.Constraint): ReadonlyArray<Kind> | undefined =>
  encodedKinds(SchemaAST.toEncoded(schema.ast))

const encodedKinds = (ast: SchemaAST.AST): ReadonlyArray<Kind> | undefined => {
  switch (ast._tag) {
    case "String":
    case "TemplateLiteral":
      return ["text"]
    case "Number":
      return ["number"]
    case "Literal":
      return [typeof ast.literal === "string" ? "text" : typeof ast.literal === "number" ? "number" : "other"]
    case "Arrays":
      return ["list"]
    case "Boolean":
    case "BigInt":
    case "Null":
    case "Objects":
      return ["other"]
    case "Union": {
      const kinds = ast.types.map(encodedKinds)
      return kinds.some((kind) => kind === undefined) ? undefined : kinds.flatMap((kind) => kind ?? [])
    }
    case "Declaration": {
      if (isRedacted(ast)) return ast.typeParameters.length === 1 ? encodedKinds(ast.typeParameters[0]!) : undefined
      const representation: unknown = ast.annotations?.["representation"]
      const isBytes = Predicate.hasProperty(representation, "id") && representation.id === "effect/schema/Uint8Array"
      return isBytes ? ["bytes"] : undefined
    }
    default:
      return undefined
  }
}

export const make = (shape: Shape, carried: Carried): Fields => {
  const names = Object.keys(shape)
  const secrets = names.filter((name) => isSecret(shape[name]!))
  const having = (role: FieldRole) => names.filter((name) => roleOf(shape[name]!) === role)
  const struct = Schema.Struct(shape)
  // What a Schema says of a value shows the value.
  const problemOf = (error: Schema.SchemaError): string =>
    secrets.length > 0 ? "its fields are not as specified" : Excerpt.ofText(error.message.replace(/\s*\n\s*/g, " "))
  const options = { onExcessProperty: "error" } as const
  // Messages need no services: the types of `Dialogue.make` say so.
  const codec = (carried === "text"
    ? Schema.toCodecStringTree(struct)
    : carried === "json"
    ? Schema.toCodecJson(struct)
    : struct) as unknown as Schema.Codec<Values, unknown>
  const decode = Schema.decodeUnknownResult(codec, options)
  const encode = Schema.encodeUnknownResult(codec, options)
  const wrapped = carried === "raw" ? secrets.filter((name) => isRedacted(shape[name]!.ast)) : []
  return {
    shape,
    names,
    secrets,
    free: having("free"),
    fresh: having("fresh"),
    decode: (value) => {
      // A Schema of no members takes whatever they are.
      if (names.length === 0 && typeof value === "object" && value !== null && Object.keys(value).length > 0) {
        return Result.fail(`there is no ${Excerpt.ofString(Object.keys(value)[0]!)}`)
      }
      try {
        return Result.mapError(decode(wrapped.length === 0 ? value : wrap(value, wrapped)), problemOf)
      } catch (thrown) {
        // Whoever is to blame, the peer can send it again.
        return Result.fail(secrets.length > 0 ? "its Schema threw" : thrownProblem(thrown))
      }
    },
    encode: (values) =>
      Result.mapBoth(encode(values), {
        onSuccess: (encoded) => unwrap(encoded as Values, wrapped),
        onFailure: problemOf
      })
  }
}

const wrap = (value: unknown, names: ReadonlyArray<string>): unknown => {
  if (typeof value !== "object" || value === null) return value
  const wrapped: Record<string, unknown> = { ...value }
  for (const name of names) if (name in wrapped) wrapped[name] = Redacted.make(wrapped[name])
  return wrapped
}

const unwrap = (values: Values, names: ReadonlyArray<string>): Values => {
  if (names.length === 0) return values
  const bare: Record<string, unknown> = { ...values }
  for (const name of names) {
    const value = bare[name]
    if (Redacted.isRedacted(value)) bare[name] = Redacted.value(value)
  }
  return bare
}
