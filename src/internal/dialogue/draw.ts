/**
 * Messages drawn from their Schemas, such that the wire of a state can carry them.
 *
 * A Schema knows which values there are, and a wire which of them fit: a nonce of sixteen bytes, a port of two. So what the wire
 * says of a field is drawn, too, and kept where the Schema takes it.
 *
 * @internal
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../Codec.ts"
import * as Fields from "./fields.ts"
import type { Compiled } from "./spec.ts"
import type { Form, FormPart } from "./wire.ts"

/** How often it is tried, with shorter and plainer values each time. */
const attempts = 40

/**
 * A message that may be said in a state; the same for the same seed. Undefined where none was found that its Schemas, its wire and
 * the limit of the state all allow.
 */
export const draw = (state: Compiled, tag: string, seed: number): Fields.Values | undefined => {
  const fields = state.wire.fields.get(tag)
  if (fields === undefined) return undefined
  const parts = partsOf(state.wire.form(tag))
  for (let attempt = 0; attempt < attempts; attempt++) {
    const values: Record<string, unknown> = {}
    for (const [i, name] of fields.names.entries()) {
      const drawn = drawField(state.wire.form(tag).kind, fields.shape[name]!, name, parts.get(name), {
        seed: `${seed}.${attempt}.${i}.${tag}`,
        // Odd values find more, plain ones fit everywhere.
        plainly: attempt % 4 === 3 || attempt > attempts / 2,
        size: Math.max(1, 12 - Math.floor(attempt / 2))
      })
      if (drawn !== undefined) Object.assign(values, drawn)
    }
    if (bytesOf(state, tag, values) !== undefined) return values
    if (fields.names.length === 0) return undefined
  }
  return undefined
}

/** A message in bytes where it may be said in a state, and would be read there as what it is; undefined where it may not. */
export const bytesOf = (state: Compiled, tag: string, values: Fields.Values): Uint8Array | undefined => {
  const { due, maxBytes, wire } = state
  const known = due.includes(tag) ? due : [...due, tag]
  const frame = wire.write(tag, values, known)
  if (Result.isFailure(frame)) return undefined
  const codec = wire.codec(known)
  try {
    const bytes = Codec.encodeAll(codec, [frame.success])
    if (maxBytes !== undefined && bytes.length > maxBytes) return undefined
    const frames = Codec.decodeAll(codec, bytes)
    const read = frames.length === 1 ? wire.read(frames[0], known) : undefined
    if (read === undefined || Result.isFailure(read) || read.success.tag !== tag) return undefined
    const { encode } = wire.fields.get(tag)!
    const [said, heard] = [encode(values), encode(read.success.values)]
    // Where fields touch, what is said may be read as other fields.
    return Result.isSuccess(said) && Result.isSuccess(heard) && Equal.equals(said.success, heard.success)
      ? bytes
      : undefined
  } catch {
    // It cannot be encoded.
    return undefined
  }
}

interface How {
  readonly seed: string
  readonly plainly: boolean
  readonly size: number
}

/** The field with a value, or without one where it may be left out. */
const drawField = (
  kind: Form["kind"],
  schema: Schema.Constraint,
  name: string,
  part: FormPart | undefined,
  how: How
): Fields.Values | undefined => {
  const carried = how.plainly ? plainValue(part, how) : part === undefined ? undefined : fitting(part, how)
  if (carried !== undefined) {
    const { decode } = oneField(schema, name, kind === "text" ? "text" : kind === "json" ? "json" : "raw")
    for (const value of carried) {
      const decoded = decode({ [name]: value })
      if (Result.isSuccess(decoded)) return decoded.success
    }
  }
  return sample(arbitraryOf(schema, name), how)[0]
}

const known = new WeakMap<Schema.Constraint, Map<string, unknown>>()

/** Made once for each Schema: what is derived from one costs more than what is drawn from it. */
const once = <A>(schema: Schema.Constraint, key: string, make: () => A): A => {
  let all = known.get(schema)
  if (all === undefined) known.set(schema, all = new Map())
  // A key is used for one kind of thing.
  if (!all.has(key)) all.set(key, make())
  return all.get(key) as A
}

const oneField = (schema: Schema.Constraint, name: string, carried: Fields.Carried): Fields.Fields =>
  once(schema, `${carried} ${name}`, () => Fields.make({ [name]: schema } as Fields.Shape, carried))

const arbitraryOf = (schema: Schema.Constraint, name: string): Arbitrary.Arbitrary<Fields.Values> | undefined =>
  once(schema, `arbitrary ${name}`, () => {
    try {
      return Arbitrary.schema(Schema.Struct({ [name]: schema } as Fields.Shape)) as Arbitrary.Arbitrary<Fields.Values>
    } catch {
      // Nothing can be derived from a declaration that does not say how.
      return undefined
    }
  })

const sample = <A>(arbitrary: Arbitrary.Arbitrary<A> | undefined, { seed, size }: How): ReadonlyArray<A> =>
  arbitrary === undefined
    ? []
    : Effect.runSync(
      Effect.orElseSucceed(Arbitrary.sampleEffect(arbitrary, { count: 1, seed, size }), (): ReadonlyArray<A> => [])
    )

/** A value between two bounds that a seed gives. */
const between = (seed: string, minimum: number, maximum: number): number => {
  // FNV-1a
  let hash = 0x811c9dc5
  for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 0x01000193)
  return minimum + (hash >>> 0) % (maximum - minimum + 1)
}

const letters = (seed: string, length: number): string =>
  Array.from({ length }, (_, i) => String.fromCharCode(between(`${seed}${i}`, 0x61, 0x7a))).join("")

const someBytes = (seed: string, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => between(`${i}${seed}`, 0, 255))

const most = (size: number): number => 256 ** size - 1

/** What fits into a part of bytes, as it is carried. */
const fitting = (part: FormPart, { seed, size }: How): ReadonlyArray<unknown> | undefined => {
  switch (part.part) {
    case "uint":
      return [between(seed, 0, Math.min(most(part.size), 0xffff_fffe)), between(seed, 0, 9)]
    case "varint":
      return [between(seed, 0, part.maxBytes === 1 ? 127 : 300), between(seed, 0, 9)]
    case "uints":
      return [
        Array.from({ length: between(seed, 1, 4) }, (_, i) => between(`${seed}${i}`, 0, Math.min(255, most(part.size))))
      ]
    case "text":
      return "length" in part.size ? [letters(seed, part.size.length)] : undefined
    case "bytes":
      return [someBytes(seed, "length" in part.size ? part.size.length : size)]
    default:
      return undefined
  }
}

/** What fits nearly everywhere, as it is carried. */
const plainValue = (part: FormPart | undefined, how: How): ReadonlyArray<unknown> => {
  const word = letters(how.seed, Math.min(8, 1 + how.size))
  return [
    ...(part === undefined ? [] : fitting(part, how) ?? []),
    word,
    String(between(how.seed, 0, 9)),
    between(how.seed, 0, 9)
  ]
}

const partsOf = (form: Form): ReadonlyMap<string, FormPart> => {
  const parts = new Map<string, FormPart>()
  const add = (list: ReadonlyArray<FormPart>): void => {
    for (const part of list) {
      if (part.part === "sized") add(part.parts)
      else if (part.part !== "constant") parts.set(part.name, part)
    }
  }
  if (form.kind === "bytes") add(form.parts)
  return parts
}
