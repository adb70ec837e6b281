/**
 * What Schemas take, as JSON Schema and, where that cannot say it all, as a list of what else is checked.
 *
 * @internal
 */
import type { Type as JsonSchemaType } from "effect/JsonSchema"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { FieldRole, Fields } from "./fields.ts"
import type { Check, Field, JsonSchema, Message } from "./snapshotModel.ts"

/** JSON whose members stand in the order of their names, so that a change of it is small. */
const sorted = (json: Schema.Json): Schema.Json =>
  Array.isArray(json)
    ? json.map(sorted)
    : Predicate.isObject(json)
    ? Object.fromEntries(
      Object.entries(json as JsonSchema).sort(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => [key, sorted(value)])
    )
    : json

export const message = ({ free, fresh, secrets, shape }: Fields): Message => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(Schema.Struct(shape), { onExcessProperty: "error" })
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Schema.Json>>
  const required = (schema["required"] ?? []) as ReadonlyArray<string>
  const fields: Record<string, Field> = {}
  for (const [name, field] of Object.entries(shape)) {
    const checks = checksOf(field.ast, "")
    const role: FieldRole | undefined = free.includes(name) ? "free" : fresh.includes(name) ? "fresh" : undefined
    fields[name] = {
      schema: sorted(properties[name] ?? {}) as JsonSchema,
      ...(checks.length > 0 && { checks }),
      ...(!required.includes(name) && { optional: true }),
      ...(secrets.includes(name) && { secret: true }),
      ...(role !== undefined && { role })
    }
  }
  return {
    fields,
    ...(Object.keys(definitions).length > 0 && { definitions: sorted(definitions as Schema.Json) as JsonSchema })
  }
}

/** What the JSON Schema of this leaves out. */
const checksOf = (ast: SchemaAST.AST, at: string): ReadonlyArray<Check> => {
  const own = (ast.checks ?? []).flatMap((check) => leaves(check)).filter((check) => !isSaid(check, ast)).map((check) =>
    described(check, at)
  )
  // What it is written as may be checked, too.
  const written = (ast.encoding ?? []).flatMap(({ to }) => checksOf(to, at))
  return [...own, ...opaque(ast, at), ...inside(ast, at), ...written]
}

type Filter = SchemaAST.Filter<unknown>

const leaves = (check: SchemaAST.Check<unknown>): ReadonlyArray<Filter> =>
  check._tag === "Filter" ? [check] : check.checks.flatMap(leaves)

const jsonTypeOf = ({ _tag }: SchemaAST.AST): JsonSchemaType | undefined => {
  switch (_tag) {
    case "String":
      return "string"
    case "Number":
      return "number"
    case "Arrays":
      return "array"
    case "Objects":
      return "object"
    default:
      return undefined
  }
}

/** Whether JSON Schema says it: not where JSON has another form of the value, nor where its rule is wider. */
const isSaid = ({ annotations }: Filter, ast: SchemaAST.AST): boolean => {
  const say: unknown = annotations?.["toJsonSchema"]
  const type = jsonTypeOf(ast)
  if (typeof say !== "function" || type === undefined || ast.encoding !== undefined) return false
  // What it returns with a flag behind it is wider than the check.
  return !Array.isArray(say({ type }))
}

const described = ({ annotations }: Filter, at: string): Check => {
  const representation: unknown = annotations?.["representation"]
  const { id, payload } = Predicate.hasProperty(representation, "id")
    ? { id: String(representation.id).replace("effect/schema/", ""), payload: jsonOf(representation) }
    : { id: "", payload: undefined }
  const says = annotations?.expected ?? annotations?.description ?? annotations?.title
  return {
    at,
    id,
    ...(payload !== undefined && { payload }),
    says: typeof says === "string" ? says : "a check of its own"
  }
}

const jsonOf = (representation: object): Schema.Json | undefined => {
  if (!Predicate.hasProperty(representation, "payload")) return undefined
  const text = JSON.stringify(representation.payload, (_, value) => typeof value === "bigint" ? `${value}n` : value)
  const json: Schema.Json = text === undefined ? null : JSON.parse(text)
  return json === null ? undefined : sorted(json)
}

/** Those whose values are what their JSON Schema says. */
const transparent = ["Redacted", "Uint8Array"]

/** What is no JSON itself is some of the values that JSON writes it as. */
const opaque = (ast: SchemaAST.AST, at: string): ReadonlyArray<Check> => {
  if (ast._tag === "Declaration") {
    const { annotations } = ast
    const representation: unknown = annotations?.["representation"]
    const id = Predicate.hasProperty(representation, "id")
      ? String(representation.id).replace("effect/schema/", "")
      : ""
    const says = annotations?.identifier ?? annotations?.["expected"] ?? id
    return transparent.includes(id) ? [] : [{ at, id, says: String(says) }]
  }
  if (ast.encoding === undefined) return []
  const { schema } = Schema.toJsonSchemaDocument(Schema.make(SchemaAST.toType(ast)))
  return [{ at, id: "decoded", payload: sorted(schema as Schema.Json), says: "decoded" }]
}

const inside = (ast: SchemaAST.AST, at: string): ReadonlyArray<Check> => {
  switch (ast._tag) {
    case "Arrays":
      return [
        ...ast.elements.flatMap((element, i) => checksOf(element, `${at}/${i}`)),
        ...ast.rest.flatMap((element) => checksOf(element, `${at}/*`))
      ]
    case "Objects":
      return [
        ...ast.propertySignatures.flatMap(({ name, type }) => checksOf(type, `${at}/${String(name)}`)),
        ...ast.indexSignatures.flatMap(({ type }) => checksOf(type, `${at}/*`))
      ]
    case "Union":
      return ast.types.flatMap((type, i) => checksOf(type, `${at}|${i}`))
    case "Declaration":
      return ast.typeParameters.flatMap((type) => checksOf(type, at))
    default:
      return []
  }
}
