/**
 * What can be kept of a dialogue: plain JSON, and all that is derived from a dialogue without running it is derived from this.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { FieldRole } from "./fields.ts"
import type { Turn } from "./model.ts"
import * as Template from "./template.ts"
import { type Form, type FormPart, mostVarintBytes } from "./wire.ts"

/** The version of the format. */
export const version = 1

/** A JSON Schema (2020-12), or part of one. */
export type JsonSchema = Readonly<Record<string, Schema.Json>>

/** What a Schema checks and JSON Schema cannot say. */
export interface Check {
  /** Where in the value: empty for the value itself, `/name` for a member, `/*` for all elements. */
  readonly at: string
  /** What is checked, as the Schema names it; empty where it has no name. */
  readonly id: string
  readonly payload?: Schema.Json
  /** The same in words. */
  readonly says: string
}

/** A field of a message. */
export interface Field {
  /** The values that it takes, as JSON writes them. */
  readonly schema: JsonSchema
  /** What it takes is narrower than that: this holds, too. */
  readonly checks?: ReadonlyArray<Check>
  /** Whether it may be left out. */
  readonly optional?: true
  readonly secret?: true
  /** `free`: any value of its type will do; `fresh`: made anew for each connection; neither: it must be looked at. */
  readonly role?: FieldRole
}

/** A message: its fields by name, and the definitions that their Schemas refer to. */
export interface Message {
  readonly fields: Readonly<Record<string, Field>>
  readonly definitions?: JsonSchema
}

/** A message as it was written once: its fields as JSON, its bytes in hex. Secrets are made up. */
export interface Example {
  readonly fields: JsonSchema
  readonly bytes: string
}

/** Texts, and the bytes in hex that a codec makes of them, or of their bytes; those that it makes none of are not there. */
export type Framing = Readonly<Record<string, string>>

/** How messages look in bytes. */
export interface Wire {
  /** How texts are framed, where messages are texts. */
  readonly framing?: Framing
  readonly messages: Readonly<Record<string, { readonly form: Form; readonly examples: ReadonlyArray<Example> }>>
}

/** Where a message leads. */
export type Target =
  | { readonly to: string; readonly tls?: true }
  /** With what is spoken behind it where that is not what the dialogue says. */
  | { readonly ready: true; readonly live?: Live }
  | {
    readonly refused: {
      readonly retryable: boolean
      readonly code?: string
      readonly codeField?: string
      readonly retryAfterField?: string
    }
  }

/** What is spoken behind the handshake: how texts or bytes are framed, where these are what its codecs carry. */
export interface Live {
  readonly server: Framing
  readonly client: Framing
}

export interface State {
  readonly turn: Turn
  /** How long it may last, in milliseconds. */
  readonly within?: number
  /** How many bytes its message may have. */
  readonly maxBytes?: number
  /** How often it may be come to. */
  readonly atMost?: number
  readonly says: Readonly<Record<string, Target>>
  /** How messages look in it, where not as the dialogue says. */
  readonly wire?: Wire
}

/** What is said to whoever breaks the rules. */
export interface Otherwise {
  readonly message?: string
  readonly fields?: JsonSchema
  /** Whether what is said depends on why; the message is one of them. */
  readonly varies?: true
}

/**
 * A dialogue as plain JSON, to be kept in a repository and compared with what comes after it.
 *
 * **Details**
 *
 * | member | what it has |
 * |---|---|
 * | `version` | the version of this format |
 * | `states` | for each: whose `turn`, `within` (ms), `maxBytes`, `atMost`, the messages it `says` and where they lead, a `wire` of its own |
 * | `messages` | for each its `fields`: a JSON Schema, the `checks` that it cannot say, whether they may be left out, are secret, free or fresh |
 * | `wire` | for each message its `form` and `examples`, whose secrets are made up; the `framing` of some texts, in hex |
 * | `otherwise` | what each side says to whoever breaks the rules |
 * | `live` | the framing of some texts behind the handshake, for each side |
 *
 * States and messages stand in the order in which they were written down, which decides between messages that look alike.
 *
 * @category snapshots
 * @since 0.1.0
 */
export interface Snapshot {
  readonly version: typeof version
  readonly name: string
  readonly start: string
  readonly states: Readonly<Record<string, State>>
  readonly messages: Readonly<Record<string, Message>>
  readonly wire: Wire
  readonly otherwise: { readonly server?: Otherwise; readonly client?: Otherwise }
  readonly live: Live
}

/**
 * What was to be a snapshot is none.
 *
 * **Details**
 *
 * `problem` says what is wrong with it, and where.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidSnapshot extends Schema.TaggedError<InvalidSnapshot>()("InvalidSnapshot", {
  problem: Schema.String
}) {
  override get message(): string {
    return `this is no snapshot of a dialogue: ${this.problem}`
  }
}

const yes = Schema.optionalKey(Schema.Literal(true))
const Json = Schema.Record(Schema.String, Schema.Json)
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Positive = Schema.Finite.check(Schema.isGreaterThan(0))
const VarintBytes = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: mostVarintBytes }))
const Prefix = Schema.Union([Schema.Literals([1, 2, 3, 4, "varint"]), Schema.Struct({ varint: VarintBytes })])
const Hex = Schema.String.check(Schema.isPattern(/^(?:[0-9a-f]{2})*$/, { expected: "bytes in hex" }))

const PartSize = Schema.Union([
  Schema.Struct({ length: Count }),
  Schema.Struct({ prefix: Prefix }),
  Schema.Struct({ ending: Schema.String }),
  Schema.Struct({ rest: Schema.Literal(true) })
])

const PartSchema: Schema.Codec<FormPart> = Schema.Union([
  Schema.Struct({
    part: Schema.Literal("constant"),
    bytes: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))
  }),
  Schema.Struct({
    part: Schema.Literal("uint"),
    name: Schema.String,
    size: Schema.Literals([1, 2, 3, 4, 5, 6]),
    endian: Schema.Literals(["big", "little"])
  }),
  Schema.Struct({
    part: Schema.Literal("varint"),
    name: Schema.String,
    maxBytes: Schema.optional(VarintBytes)
  }),
  Schema.Struct({ part: Schema.Literals(["text", "bytes"]), name: Schema.String, size: PartSize }),
  Schema.Struct({
    part: Schema.Literal("uints"),
    name: Schema.String,
    count: Prefix,
    size: Schema.Literals([1, 2, 3, 4])
  }),
  Schema.Struct({
    part: Schema.Literal("sized"),
    prefix: Prefix,
    withItself: Schema.Boolean,
    parts: Schema.Array(Schema.suspend((): Schema.Codec<FormPart> => PartSchema))
  })
])

const FormSchema = Schema.Union([
  Schema.Struct({ kind: Schema.Literal("text"), template: Schema.String, ignoreCase: Schema.Boolean }),
  Schema.Struct({ kind: Schema.Literal("json") }),
  Schema.Struct({ kind: Schema.Literal("bytes"), parts: Schema.Array(PartSchema) }),
  Schema.Struct({ kind: Schema.Literal("codec") })
])

const FieldSchema = Schema.Struct({
  schema: Json,
  checks: Schema.optionalKey(Schema.Array(Schema.Struct({
    at: Schema.String,
    id: Schema.String,
    payload: Schema.optionalKey(Schema.Json),
    says: Schema.String
  }))),
  optional: yes,
  secret: yes,
  role: Schema.optionalKey(Schema.Literals(["free", "fresh"]))
})

const FramingSchema = Schema.Record(Schema.String, Hex)

const WireSchema = Schema.Struct({
  framing: Schema.optionalKey(FramingSchema),
  messages: Schema.Record(
    Schema.String,
    Schema.Struct({ form: FormSchema, examples: Schema.Array(Schema.Struct({ fields: Json, bytes: Hex })) })
  )
})

const LiveSchema = Schema.Struct({ server: FramingSchema, client: FramingSchema })

const TargetSchema = Schema.Union([
  Schema.Struct({ to: Schema.String, tls: yes }),
  Schema.Struct({ ready: Schema.Literal(true), live: Schema.optionalKey(LiveSchema) }),
  Schema.Struct({
    refused: Schema.Struct({
      retryable: Schema.Boolean,
      code: Schema.optionalKey(Schema.String),
      codeField: Schema.optionalKey(Schema.String),
      retryAfterField: Schema.optionalKey(Schema.String)
    })
  })
])

const OtherwiseSchema = Schema.Struct({
  message: Schema.optionalKey(Schema.String),
  fields: Schema.optionalKey(Json),
  varies: yes
})

const SnapshotSchema: Schema.Codec<Snapshot> = Schema.Struct({
  version: Schema.Literal(version),
  name: Schema.String,
  start: Schema.String,
  states: Schema.Record(
    Schema.String,
    Schema.Struct({
      turn: Schema.Literals(["client", "server", "both"]),
      within: Schema.optionalKey(Positive),
      maxBytes: Schema.optionalKey(Positive),
      atMost: Schema.optionalKey(Positive),
      says: Schema.Record(Schema.String, TargetSchema),
      wire: Schema.optionalKey(WireSchema)
    })
  ),
  messages: Schema.Record(
    Schema.String,
    Schema.Struct({
      fields: Schema.Record(Schema.String, FieldSchema),
      definitions: Schema.optionalKey(Json)
    })
  ),
  wire: WireSchema,
  otherwise: Schema.Struct({
    server: Schema.optionalKey(OtherwiseSchema),
    client: Schema.optionalKey(OtherwiseSchema)
  }),
  live: LiveSchema
})

const decode = Schema.decodeUnknownResult(SnapshotSchema, { onExcessProperty: "error" })

/** A snapshot, if that is one: what it refers to is there, too. */
export const parse = (json: unknown): Result.Result<Snapshot, InvalidSnapshot> => {
  const read = Result.mapError(decode(json), ({ message }) => message.replace(/\s*\n\s*/g, " "))
  if (Result.isFailure(read)) return Result.fail(new InvalidSnapshot({ problem: read.failure }))
  const problem = missing(read.success)
  return problem === undefined ? Result.succeed(read.success) : Result.fail(new InvalidSnapshot({ problem }))
}

const has = (record: object, key: string): boolean => Object.hasOwn(record, key)

const missing = ({ messages, otherwise, start, states, wire }: Snapshot): string | undefined => {
  if (!has(states, start)) return `it starts in ${start}, and there is no such state`
  for (const [name, state] of Object.entries(states)) {
    for (const [tag, target] of Object.entries(state.says)) {
      if (!has(messages, tag)) return `${tag} in the state ${name} is no message`
      if (!has((state.wire ?? wire).messages, tag)) return `nothing says how ${tag} looks in the state ${name}`
      if ("to" in target && !has(states, target.to)) {
        return `${tag} in the state ${name} leads to ${target.to}, and there is no such state`
      }
    }
  }
  for (const { messages: written } of [wire, ...Object.values(states).flatMap(({ wire }) => wire ?? [])]) {
    for (const [tag, { form }] of Object.entries(written)) {
      if (!has(messages, tag)) return `${tag} looks like something, and is no message`
      const unknown = namesOf(form)?.find((name) => !has(messages[tag]!.fields, name))
      if (namesOf(form) === undefined) return `the template of ${tag} is none`
      if (unknown !== undefined) return `${tag} has no field ${unknown}, and its form has`
    }
  }
  for (const said of [otherwise.server?.message, otherwise.client?.message]) {
    if (said !== undefined && !has(messages, said)) return `${said}, which is said otherwise, is no message`
  }
  return undefined
}

/** The fields that a form has places for; undefined where it is none. */
const namesOf = (form: Form): ReadonlyArray<string> | undefined => {
  if (form.kind === "bytes") return partNames(form.parts)
  if (form.kind !== "text") return []
  try {
    return Template.make(form.template).names
  } catch {
    return undefined
  }
}

const partNames = (parts: ReadonlyArray<FormPart>): ReadonlyArray<string> =>
  parts.flatMap((part) => part.part === "constant" ? [] : part.part === "sized" ? partNames(part.parts) : [part.name])
