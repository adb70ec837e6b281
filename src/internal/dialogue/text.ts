/**
 * Messages that are texts: by a template, or as JSON.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Fields from "./fields.ts"
import * as Template from "./template.ts"
import { type Bind, type Bound, type Form, type Message, shown, Unspecified } from "./wire.ts"

type Texts = Codec.Codec<string, string>

/** What a wire of texts knows of one message. */
interface Kind {
  readonly tag: string
  readonly fields: Fields.Fields
  readonly form: Form
  /** The one text of a message without fields. */
  readonly constant: string | undefined
  /** What is carried in a text of this message; undefined where it is none. */
  readonly taken: (text: string) => unknown
  readonly put: (carried: Fields.Values) => string
  /** Whether a text that was made of some fields is read as those: one that has the words behind it in itself is not. */
  readonly isFaithful: (text: string, carried: Fields.Values) => boolean
}

const textsOf = (
  texts: Texts,
  kinds: ReadonlyMap<string, Kind>,
  isSame: (text: string, written: string) => boolean,
  isPlain: boolean,
  ambiguous: Bound["ambiguous"]
): Bound => {
  const constants = new Map<string, Message>()
  for (const { constant, tag } of kinds.values()) {
    if (constant !== undefined && !constants.has(constant)) constants.set(constant, { tag, values: {} })
  }
  const hasSecrets = Array.from(kinds.values()).some(({ fields }) => fields.secrets.length > 0)

  const write = ({ constant, fields, put }: Kind, values: Fields.Values): Result.Result<string, string> =>
    constant !== undefined ? Result.succeed(constant) : Result.map(fields.encode(values), put)

  /** Undefined where it is no text of this kind at all. */
  const readAs = (kind: Kind, text: string): Result.Result<Message, string> | undefined => {
    const carried = kind.taken(text)
    if (carried === undefined) return undefined
    const values = kind.fields.decode(carried)
    if (Result.isFailure(values)) return Result.fail(values.failure)
    // One way to say it, so that nothing else is let in.
    const again = write(kind, values.success)
    return Result.isSuccess(again) && isSame(text, again.success)
      ? Result.succeed({ tag: kind.tag, values: values.success })
      : Result.fail("it is written otherwise")
  }

  const readAny = (text: string, tags: Iterable<string>): Result.Result<Message, string> | undefined => {
    let problem: Result.Result<never, string> | undefined
    for (const tag of tags) {
      const read = readAs(kinds.get(tag)!, text)
      if (read !== undefined && Result.isSuccess(read)) return read
      if (read !== undefined) problem ??= Result.fail(`${tag}: ${read.failure}`)
    }
    return problem
  }

  const read = (text: string, due: ReadonlyArray<string>): Result.Result<Message, string> => {
    const constant = constants.get(text)
    if (constant !== undefined && due.includes(constant.tag)) return Result.succeed(constant)
    const expected = readAny(text, due)
    if (expected !== undefined && Result.isSuccess(expected)) return expected
    // What is said at the wrong time is called by its name.
    const other = constant === undefined ? readAny(text, kinds.keys()) : Result.succeed(constant)
    return other !== undefined && Result.isSuccess(other) ? other : expected ?? Result.fail("it is no message")
  }

  const codec = texts as Codec.Codec<unknown, unknown>
  return {
    fields: new Map(Array.from(kinds, ([tag, { fields }]) => [tag, fields])),
    codec: () => codec,
    read: (frame, due) => typeof frame === "string" ? read(frame, due) : Result.fail("it is no text"),
    write: (tag, values, due) => {
      const kind = kinds.get(tag)!
      if (kind.constant !== undefined) return Result.succeed(kind.constant)
      const carried = kind.fields.encode(values)
      if (Result.isFailure(carried)) return Result.fail(carried.failure)
      const text = kind.put(carried.success)
      if (!kind.isFaithful(text, carried.success)) return Result.fail("its fields would be read as others")
      const again = read(text, due)
      return Result.isSuccess(again) && again.success.tag === tag
        ? Result.succeed(text)
        : Result.fail(`it would be read as ${Result.isSuccess(again) ? again.success.tag : "another one"}`)
    },
    show: (frame, hidesNothing = false) => {
      if (typeof frame !== "string" || isPlain && !hasSecrets) return Excerpt.ofFrame(frame)
      const message = readAny(frame, kinds.keys())
      // What is no message may be a secret with a mistake in it.
      if (message === undefined || Result.isFailure(message)) {
        return hasSecrets && !hidesNothing ? Excerpt.redacted : Excerpt.ofFrame(frame)
      }
      const isSecret = kinds.get(message.success.tag)!.fields.secrets.length > 0
      return isPlain && !isSecret ? Excerpt.ofFrame(frame) : shown(message.success)
    },
    form: (tag) => kinds.get(tag)!.form,
    ambiguous
  }
}

/** Texts by templates. */
export const byTemplates = (
  texts: Texts,
  templates: Readonly<Record<string, string>>,
  ignoreCase: boolean
): Bind =>
(messages) => {
  const kinds = new Map<string, Kind>()
  const skeletons = new Map<string, string>()
  for (const [tag, shape] of Object.entries(messages)) {
    const source = templates[tag]
    if (source === undefined) throw new Unspecified(`no template for the message ${tag}`)
    const fields = Fields.make(shape, "text")
    const template = templateOf(tag, source, fields)
    skeletons.set(tag, Template.skeleton(template))
    kinds.set(tag, {
      tag,
      fields,
      form: { kind: "text", template: source, ignoreCase },
      constant: template.names.length === 0 && !ignoreCase ? template.words[0]! : undefined,
      taken: (text) => Template.read(template, text, ignoreCase),
      put: (carried) => Template.write(template, carried),
      isFaithful: (text, carried) => {
        if (template.names.length < 2) return true
        const heard = Template.read(template, text, ignoreCase)
        return heard !== undefined && template.names.every((name) => heard[name] === carried[name])
      }
    })
  }
  const isSame = ignoreCase
    ? (text: string, written: string) => text.toLowerCase() === written.toLowerCase()
    : (text: string, written: string) => text === written
  return textsOf(texts, kinds, isSame, true, (due) => twice(due, (tag) => skeletons.get(tag)!))
}

const templateOf = (tag: string, source: string, fields: Fields.Fields): Template.Template => {
  let template: Template.Template
  try {
    template = Template.make(source)
  } catch (error) {
    throw new Unspecified(`the template of ${tag}: ${error instanceof Unspecified ? error.message : "it is none"}`)
  }
  const unknown = template.names.find((name) => !fields.names.includes(name))
  if (unknown !== undefined) {
    throw new Unspecified(`the template of ${tag} has {${unknown}}, and the message has no such field`)
  }
  const missing = fields.names.find((name) => !template.names.includes(name))
  if (missing !== undefined) throw new Unspecified(`the template of ${tag} has no place for its field ${missing}`)
  const double = twice(template.names, (name) => name)
  if (double !== undefined) throw new Unspecified(`the template of ${tag} has {${double[0]}} twice`)
  return template
}

/** Two of them that are the same in this. */
export const twice = (
  tags: ReadonlyArray<string>,
  of: (tag: string) => string
): readonly [string, string] | undefined => {
  const seen = new Map<string, string>()
  for (const tag of tags) {
    const key = of(tag)
    const before = seen.get(key)
    if (before !== undefined) return [before, tag]
    seen.set(key, tag)
  }
  return undefined
}

/** JSON objects whose `_tag` is the name of the message. */
export const json = (texts: Texts): Bind => (messages) => {
  const kinds = new Map<string, Kind>()
  for (const [tag, shape] of Object.entries(messages)) {
    if ("_tag" in shape) throw new Unspecified(`the field _tag of ${tag}: JSON has the name of the message there`)
    const fields = Fields.make(shape, "json")
    kinds.set(tag, {
      tag,
      fields,
      form: { kind: "json" },
      constant: undefined,
      taken: (text) => {
        const value = parsed(text)
        if (value === undefined || value["_tag"] !== tag) return undefined
        const { _tag, ...carried } = value
        return carried
      },
      put: (carried) => JSON.stringify({ _tag: tag, ...carried }),
      isFaithful: () => true
    })
  }
  // Spaces, and which member comes first, mean nothing in JSON (RFC 8259, 2 and 4).
  return textsOf(texts, kinds, () => true, false, () => undefined)
}

const parsed = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? value as Readonly<Record<string, unknown>>
      : undefined
  } catch {
    return undefined
  }
}

/** Messages as a codec of the user's makes them: objects with a `_tag`. */
export const byCodec = (codec: Codec.Codec<Tagged, Tagged>): Bind => (messages) => {
  const all = new Map(Object.entries(messages).map(([tag, shape]) => [tag, Fields.make(shape, "raw")]))
  const hasSecrets = Array.from(all.values()).some(({ secrets }) => secrets.length > 0)
  const read = (frame: unknown): Result.Result<Message, string> => {
    if (typeof frame !== "object" || frame === null) return Result.fail("it is no message")
    const { _tag: tag, ...carried } = frame as Tagged
    const fields = all.get(tag)
    if (fields === undefined) return Result.fail("there is no such message")
    return Result.mapBoth(fields.decode(carried), {
      onSuccess: (values) => ({ tag, values }),
      onFailure: (problem) => `${tag}: ${problem}`
    })
  }
  return {
    fields: all,
    // Frames are opaque to whoever drives this.
    codec: () => codec as unknown as Codec.Codec<unknown, unknown>,
    read,
    write: (tag, values) => Result.map(all.get(tag)!.encode(values), (carried) => ({ _tag: tag, ...carried })),
    show: (frame, hidesNothing = false) => {
      const message = read(frame)
      if ((!hasSecrets || hidesNothing) && Result.isFailure(message)) return Excerpt.ofFrame(frame)
      return Result.isFailure(message) ? Excerpt.redacted : shown(message.success)
    },
    form: () => ({ kind: "codec" }),
    ambiguous: () => undefined
  }
}

/** A frame of a codec of messages. */
export interface Tagged {
  readonly _tag: string
}
