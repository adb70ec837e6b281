/**
 * Messages that are bytes: one part behind the other.
 *
 * Which of the due messages comes is decided by their constants, byte by byte from the front, and also behind parts that are as
 * long as they say themselves. Where the bytes that differ have all come it is the first of those that are left; where none is
 * left, what came is no message, and not one byte more is waited for.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Bytes from "../../Bytes.ts"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Fields from "./fields.ts"
import {
  type Bind,
  type FormPart,
  type Message,
  mostVarintBytes,
  type Prefix,
  shown,
  type Size,
  Unspecified,
  varintBytesOf
} from "./wire.ts"

/** What was read: the fields of a message as they are carried, or only bytes that are none. */
interface Frame {
  readonly tag: string | undefined
  readonly carried: Fields.Values
  readonly bytes: Uint8Array
}

interface Kind {
  readonly tag: string
  readonly fields: Fields.Fields
  readonly parts: ReadonlyArray<FormPart>
  /** How many of its bytes are constants. */
  readonly constants: number
}

const encoder = new TextEncoder()

/** The bytes of a number, the first of them the most significant. */
const uintBytes = (value: number, size: number, endian: "big" | "little"): Uint8Array => {
  const bytes = new Uint8Array(size)
  let rest = value
  for (let i = size - 1; i >= 0; i--) {
    bytes[endian === "big" ? i : size - 1 - i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  return bytes
}

/** Seven bits a byte, the lowest first, as MQTT and Protocol Buffers write them. */
const varintBytes = (value: number, maxBytes: number): Uint8Array => {
  if (value >= 128 ** maxBytes) throw new Problem(`${value} does not fit into a varint of ${maxBytes} bytes`)
  const bytes: Array<number> = []
  let rest = value
  do {
    const low = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? low + 128 : low)
  } while (rest > 0)
  return Uint8Array.from(bytes)
}

const isUint = (value: unknown, size: number): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value < 256 ** size

const prefixBytes = (length: number, prefix: Prefix): Uint8Array => {
  if (typeof prefix !== "number") return varintBytes(length, varintBytesOf(prefix)!)
  if (!isUint(length, prefix)) {
    throw new Problem(`${length} does not fit into ${prefix} ${prefix === 1 ? "byte" : "bytes"}`)
  }
  return uintBytes(length, prefix, "big")
}

/** How many bytes of the length itself it counts. */
const ownLength = ({ prefix, withItself }: FormPart & { readonly part: "sized" }): number =>
  withItself && typeof prefix === "number" ? prefix : 0

/** Why a message cannot be put into bytes. */
class Problem extends Error {}

const encode = (parts: ReadonlyArray<FormPart>, values: Fields.Values): Uint8Array =>
  Bytes.concat(parts.map((part) => encodePart(part, values)))

const encodePart = (part: FormPart, values: Fields.Values): Uint8Array => {
  switch (part.part) {
    case "constant":
      return Uint8Array.from(part.bytes)
    case "sized": {
      const inside = encode(part.parts, values)
      return Bytes.concat([prefixBytes(inside.length + ownLength(part), part.prefix), inside])
    }
    case "uint": {
      const value = values[part.name]
      if (!isUint(value, part.size)) throw new Problem(`${part.name} does not fit into ${part.size} bytes`)
      return uintBytes(value, part.size, part.endian)
    }
    case "varint": {
      const value = values[part.name]
      if (!isUint(value, 6)) throw new Problem(`${part.name} is no number from 0 on`)
      return varintBytes(value, part.maxBytes ?? mostVarintBytes)
    }
    case "uints": {
      const list = values[part.name]
      if (!Array.isArray(list) || !list.every((value) => isUint(value, part.size))) {
        throw new Problem(`${part.name} is no list of numbers of ${part.size} bytes`)
      }
      return Bytes.concat([
        prefixBytes(list.length, part.count),
        ...list.map((value: number) => uintBytes(value, part.size, "big"))
      ])
    }
    case "text":
    case "bytes": {
      const value = values[part.name]
      const bytes = typeof value === "string" ? encoder.encode(value) : value
      if (!(bytes instanceof Uint8Array)) throw new Problem(`${part.name} is no text and no bytes`)
      return sized(part.name, bytes, part.size)
    }
  }
}

const sized = (name: string, bytes: Uint8Array, size: Size): Uint8Array => {
  if ("prefix" in size) return Bytes.concat([prefixBytes(bytes.length, size.prefix), bytes])
  if ("ending" in size) return Bytes.concat([bytes, encoder.encode(size.ending)])
  if ("length" in size && bytes.length !== size.length) throw new Problem(`${name} has not ${size.length} bytes`)
  return bytes
}

/** Reads the bytes of a message one part after the other, and keeps them. */
class Cursor {
  private readonly read: Codec.Reader
  private readonly pieces: Array<Uint8Array> = []
  private ahead: Uint8Array
  /** How many bytes are left of what has a length. */
  left = Infinity

  constructor(read: Codec.Reader, front: Uint8Array) {
    this.read = read
    this.ahead = front
    this.pieces.push(front)
  }

  get bytes(): Uint8Array {
    return Bytes.concat(this.pieces)
  }

  *take(length: number): Codec.Reading<Uint8Array> {
    if (length > this.left) return yield* this.read.fail("a part is longer than what it is in")
    this.left -= length
    const known = this.ahead.subarray(0, length)
    this.ahead = this.ahead.subarray(known.length)
    if (known.length === length) return known
    const more = yield* this.read.take(length - known.length)
    this.pieces.push(more)
    return known.length === 0 ? more : Bytes.concat([known, more])
  }

  *uint(width: number, endian: "big" | "little" = "big"): Codec.Reading<number> {
    const bytes = yield* this.take(width)
    let value = 0
    for (let i = 0; i < width; i++) value = value * 256 + bytes[endian === "big" ? i : width - 1 - i]!
    if (!Number.isSafeInteger(value)) return yield* this.read.fail("a number is too large")
    return value
  }

  *varint(maxBytes: number): Codec.Reading<number> {
    let value = 0
    for (let i = 0; i < maxBytes; i++) {
      const byte = (yield* this.take(1))[0]!
      value += (byte % 128) * 128 ** i
      if (byte < 128) {
        // 0x80 0x00 is 0, too, and nobody writes it so.
        return i > 0 && byte === 0 ? yield* this.read.fail("a number is longer than it has to be") : value
      }
    }
    return yield* this.read.fail("a number is too large")
  }

  prefix(width: Prefix): Codec.Reading<number> {
    return typeof width === "number" ? this.uint(width) : this.varint(varintBytesOf(width)!)
  }

  *until(ending: Uint8Array): Codec.Reading<Uint8Array> {
    // What is known already is short: it ends where the messages that were due differ no more.
    const taken: Array<number> = []
    while (this.ahead.length > 0 || this.left !== Infinity) {
      taken.push((yield* this.take(1))[0]!)
      if (endsWith(taken, ending)) return Uint8Array.from(taken.slice(0, taken.length - ending.length))
    }
    if (taken.length === 0) {
      const bytes = yield* this.read.until(ending)
      this.pieces.push(bytes, ending)
      return bytes
    }
    for (;;) {
      taken.push((yield* this.take(1))[0]!)
      if (endsWith(taken, ending)) return Uint8Array.from(taken.slice(0, taken.length - ending.length))
    }
  }
}

const endsWith = (bytes: ReadonlyArray<number>, ending: Uint8Array): boolean => {
  const from = bytes.length - ending.length
  return from >= 0 && ending.every((byte, i) => bytes[from + i] === byte)
}

function* readParts(
  read: Codec.Reader,
  cursor: Cursor,
  parts: ReadonlyArray<FormPart>,
  into: Record<string, unknown>
): Codec.Reading<void> {
  for (const part of parts) yield* readPart(read, cursor, part, into)
}

function* readPart(
  read: Codec.Reader,
  cursor: Cursor,
  part: FormPart,
  into: Record<string, unknown>
): Codec.Reading<void> {
  switch (part.part) {
    case "constant":
      for (const due of part.bytes) {
        const [byte] = yield* cursor.take(1)
        if (byte !== due) return yield* read.fail(`${byte} stands where ${due} is due`)
      }
      return
    case "sized": {
      const length = (yield* cursor.prefix(part.prefix)) - ownLength(part)
      if (length < 0) return yield* read.fail("a length that is less than its own bytes")
      if (length > cursor.left) return yield* read.fail("a part is longer than what it is in")
      const outside = cursor.left - length
      cursor.left = length
      yield* readParts(read, cursor, part.parts, into)
      if (cursor.left > 0) return yield* read.fail(`${cursor.left} bytes more than its parts`)
      cursor.left = outside
      return
    }
    case "uint":
      into[part.name] = yield* cursor.uint(part.size, part.endian)
      return
    case "varint":
      into[part.name] = yield* cursor.varint(part.maxBytes ?? mostVarintBytes)
      return
    case "uints": {
      const count = yield* cursor.prefix(part.count)
      const bytes = yield* cursor.take(count * part.size)
      into[part.name] = Array.from({ length: count }, (_, i) => {
        let value = 0
        for (let at = i * part.size; at < (i + 1) * part.size; at++) value = value * 256 + bytes[at]!
        return value
      })
      return
    }
    case "text":
    case "bytes": {
      const bytes = yield* readSized(read, cursor, part.size)
      const text = part.part === "text" ? Bytes.decodeUtf8(bytes) : undefined
      if (part.part === "text" && text === undefined) return yield* read.fail(`${part.name} is not UTF-8`)
      into[part.name] = text ?? bytes
      return
    }
  }
}

function* readSized(read: Codec.Reader, cursor: Cursor, size: Size): Codec.Reading<Uint8Array> {
  if ("length" in size) return yield* cursor.take(size.length)
  if ("prefix" in size) return yield* cursor.take(yield* cursor.prefix(size.prefix))
  if ("ending" in size) return yield* cursor.until(encoder.encode(size.ending))
  return cursor.left === Infinity ? yield* read.fail("nothing says where it ends") : yield* cursor.take(cursor.left)
}

/**
 * What is known of a message, place by place: a byte that is constant, any byte, or a part that is as long as it says itself, by
 * its shape.
 */
export type Place = number | undefined | string

export const placesOf = (parts: ReadonlyArray<FormPart>): ReadonlyArray<Place> =>
  parts.flatMap((part): ReadonlyArray<Place> => {
    const any = (length: number): ReadonlyArray<Place> => Array.from({ length }, () => undefined)
    switch (part.part) {
      case "constant":
        return part.bytes
      case "uint":
        return any(part.size)
      case "sized":
        return [
          ...typeof part.prefix === "number" ? any(part.prefix) : [JSON.stringify(part.prefix)],
          ...placesOf(part.parts)
        ]
      case "text":
      case "bytes":
        return "length" in part.size ? any(part.size.length) : [JSON.stringify(part.size)]
      case "varint":
        return [JSON.stringify({ varint: part.maxBytes ?? mostVarintBytes })]
      case "uints":
        return [JSON.stringify([part.count, part.size])]
    }
  })

/** The byte that is due in each place of a message, and undefined where any is; it takes that byte, and ends where the message does. */
type Expecting<A> = Generator<number | undefined, A, number>

/** How many bytes are left of what has a length. */
interface Room {
  left: number
}

/** Whether there was room for so many bytes. */
function* expectAny(room: Room, count: number): Expecting<boolean> {
  for (let i = 0; i < count; i++) {
    if (room.left-- <= 0) return false
    yield undefined
  }
  return true
}

/** What a length or a count says; undefined where there was no room for it. */
function* expectPrefix(room: Room, prefix: Prefix): Expecting<number | undefined> {
  const most = varintBytesOf(prefix)
  let value = 0
  for (let i = 0; i < (most ?? (prefix as number)); i++) {
    if (room.left-- <= 0) return undefined
    const byte = yield undefined
    if (most === undefined) value = value * 256 + byte
    else {
      value += (byte % 128) * 128 ** i
      if (byte < 128) break
    }
  }
  return value
}

function* expectEnding(room: Room, ending: Uint8Array): Expecting<boolean> {
  const taken: Array<number> = []
  while (!endsWith(taken, ending)) {
    if (room.left-- <= 0) return false
    taken.push(yield undefined)
  }
  return true
}

function* expectSize(room: Room, size: Size): Expecting<boolean> {
  if ("length" in size) return yield* expectAny(room, size.length)
  if ("ending" in size) return yield* expectEnding(room, encoder.encode(size.ending))
  const length = "rest" in size ? room.left : yield* expectPrefix(room, size.prefix)
  return length !== undefined && length !== Infinity && (yield* expectAny(room, length))
}

/** Ends as false where the parts are no longer those of a message: whoever reads it says why. */
function* expectParts(room: Room, parts: ReadonlyArray<FormPart>): Expecting<boolean> {
  for (const part of parts) if (!(yield* expectPart(room, part))) return false
  return true
}

function* expectPart(room: Room, part: FormPart): Expecting<boolean> {
  switch (part.part) {
    case "constant":
      for (const byte of part.bytes) {
        if (room.left-- <= 0) return false
        yield byte
      }
      return true
    case "sized": {
      const said = yield* expectPrefix(room, part.prefix)
      const length = said === undefined ? undefined : said - ownLength(part)
      if (length === undefined || length < 0 || length > room.left) return false
      const outside = room.left - length
      room.left = length
      if (!(yield* expectParts(room, part.parts)) || room.left > 0) return false
      room.left = outside
      return true
    }
    case "uint":
      return yield* expectAny(room, part.size)
    case "varint":
      return (yield* expectPrefix(room, { varint: part.maxBytes ?? mostVarintBytes })) !== undefined
    case "uints": {
      const count = yield* expectPrefix(room, part.count)
      return count !== undefined && (yield* expectAny(room, count * part.size))
    }
    case "text":
    case "bytes":
      return yield* expectSize(room, part.size)
  }
}

/** A message that it may be, as far as it has come. */
class Candidate {
  readonly kind: Kind
  private readonly expecting: Expecting<boolean>
  /** The byte that is due, where it is constant. */
  due: number | undefined
  isOver = false
  /** How many constants are to come. */
  ahead: number

  constructor(kind: Kind) {
    this.kind = kind
    this.ahead = kind.constants
    this.expecting = expectParts({ left: Infinity }, kind.parts)
    this.go(0)
  }

  private go(byte: number): void {
    const { done, value } = this.expecting.next(byte)
    this.isOver = done === true
    this.due = typeof value === "number" ? value : undefined
  }

  /** Whether it may be this one still. */
  takes(byte: number): boolean {
    if (this.due !== undefined) {
      if (byte !== this.due) return false
      this.ahead--
    }
    this.go(byte)
    return true
  }
}

/** Finds out which of them comes; the bytes that it took for that are returned, too. */
function* choose(
  read: Codec.Reader,
  kinds: ReadonlyArray<Kind>
): Codec.Reading<readonly [Kind | undefined, Uint8Array]> {
  const seen: Array<number> = []
  let left = kinds.map((kind) => new Candidate(kind))
  // Where one of them is over, nobody knows whether another byte will come.
  const isOpen = () => left.some(({ ahead }) => ahead > 0) && left.every(({ isOver }) => !isOver)
  // A single one that is due is looked at byte for byte, too: what is none is known as early as that.
  while (left.length > 1 ? isOpen() : left[0]?.due !== undefined) {
    const byte = yield* read.byte
    seen.push(byte)
    left = left.filter((candidate) => candidate.takes(byte))
  }
  return [left[0]?.kind, Uint8Array.from(seen)]
}

const decoderOf = (kinds: ReadonlyArray<Kind>) =>
  function*(read: Codec.Reader): Codec.Reading<Frame> {
    const [kind, front] = yield* choose(read, kinds)
    if (kind === undefined) return { tag: undefined, carried: {}, bytes: front }
    const cursor = new Cursor(read, front)
    const carried: Record<string, unknown> = {}
    yield* readParts(read, cursor, kind.parts, carried)
    return { tag: kind.tag, carried, bytes: cursor.bytes }
  }

const namesOf = (parts: ReadonlyArray<FormPart>): ReadonlyArray<string> =>
  parts.flatMap((part) => part.part === "constant" ? [] : part.part === "sized" ? namesOf(part.parts) : [part.name])

/** What each part carries, so that its Schema has to encode to that. */
const carriedBy: Readonly<
  Record<Exclude<Leaf["part"], "constant">, readonly [kind: Fields.Kind, called: string]>
> = {
  uint: ["number", "a number"],
  varint: ["number", "a number"],
  uints: ["list", "a list of numbers"],
  text: ["text", "a text"],
  bytes: ["bytes", "a Uint8Array"]
}

type Leaf = Exclude<FormPart, { readonly part: "sized" }>

/** The parts with those that are inside others. */
const flat = (parts: ReadonlyArray<FormPart>): ReadonlyArray<Leaf> =>
  parts.flatMap((part) => part.part === "sized" ? flat(part.parts) : [part])

/** Whether something says where each part ends. */
const isEnding = (parts: ReadonlyArray<FormPart>, isInside: boolean): boolean =>
  parts.every((part, i) =>
    part.part === "sized"
      ? isEnding(part.parts, true)
      : !("size" in part && typeof part.size === "object" && "rest" in part.size) ||
        (isInside && i === parts.length - 1)
  )

const kindOf = (tag: string, parts: ReadonlyArray<FormPart> | undefined, shape: Fields.Shape): Kind => {
  if (parts === undefined) throw new Unspecified(`no layout for the message ${tag}`)
  const fields = Fields.make(shape, "raw")
  const names = namesOf(parts)
  const unknown = names.find((name) => !fields.names.includes(name))
  if (unknown !== undefined) {
    throw new Unspecified(`the layout of ${tag} has ${unknown}, and the message has no such field`)
  }
  const missing = fields.names.find((name) => !names.includes(name))
  if (missing !== undefined) throw new Unspecified(`the layout of ${tag} has no place for its field ${missing}`)
  if (new Set(names).size < names.length) throw new Unspecified(`the layout of ${tag} has a field twice`)
  if (parts.length === 0) throw new Unspecified(`the layout of ${tag} has no byte`)
  for (const part of flat(parts)) {
    if (part.part === "constant") continue
    const [kind, called] = carriedBy[part.part]
    if (Fields.kindsOf(shape[part.name]!)?.includes(kind) === false) {
      throw new Unspecified(`the field ${part.name} of ${tag} is ${called} in bytes, and its Schema encodes to none`)
    }
  }
  if (!isEnding(parts, false)) throw new Unspecified(`the layout of ${tag}: nothing says where its last field ends`)
  return { tag, fields, parts, constants: placesOf(parts).filter(isConstant).length }
}

const isConstant = (place: Place): place is number => typeof place === "number"

/** Whether each message of the second kind is taken for one of the first, which stands before it. */
const isHidden = (first: Kind, second: Kind): boolean => {
  const [a, b] = [placesOf(first.parts), placesOf(second.parts)]
  const last = Math.max(a.findLastIndex(isConstant), b.findLastIndex(isConstant))
  for (let i = 0; i <= last && i < a.length && i < b.length; i++) {
    const [one, other] = [a[i], b[i]]
    // Any byte is taken for any.
    if (one === undefined && typeof other !== "string") continue
    if (one !== other) return false
  }
  return true
}

export const byLayouts = (
  layouts: Readonly<Record<string, ReadonlyArray<FormPart>>>,
  maxLength: number | undefined
): Bind =>
(messages) => {
  const kinds = new Map(Object.entries(messages).map(([tag, shape]) => [tag, kindOf(tag, layouts[tag], shape)]))
  const hasSecrets = Array.from(kinds.values()).some(({ fields }) => fields.secrets.length > 0)
  const codecs = new Map<string, Codec.Codec<unknown, unknown>>()

  const codecOf = (due: ReadonlyArray<string>): Codec.Codec<Frame, Frame> =>
    Codec.gen<Frame, Frame>({
      decode: decoderOf(due.map((tag) => kinds.get(tag)!)),
      encode: (frame, into) => into.bytes(frame.bytes),
      maxLength
    })

  const write = ({ fields, parts, tag }: Kind, values: Fields.Values): Result.Result<Frame, string> =>
    Result.flatMap(fields.encode(values), (carried) => {
      try {
        return Result.succeed({ tag, carried, bytes: encode(parts, carried) })
      } catch (error) {
        if (error instanceof Problem) return Result.fail(error.message)
        throw error
      }
    })

  const readFrame = ({ bytes, carried, tag }: Frame): Result.Result<Message, string> => {
    if (tag === undefined) return Result.fail("it begins otherwise")
    const kind = kinds.get(tag)!
    return Result.flatMap(kind.fields.decode(carried), (values) => {
      // One way to say it, so that nothing else is let in.
      const again = write(kind, values)
      return Result.isSuccess(again) && isEqual(again.success.bytes, bytes)
        ? Result.succeed({ tag, values })
        : Result.fail(`${tag}: it is written otherwise`)
    })
  }

  /** The frame that these bytes are, if they are one and no more. */
  const readAll = (bytes: Uint8Array, due: ReadonlyArray<string>): Frame | undefined => {
    try {
      const frames = Codec.decodeAll(codecOf(due), bytes)
      return frames.length === 1 && frames[0]!.bytes.length === bytes.length ? frames[0] : undefined
    } catch {
      return undefined
    }
  }

  return {
    fields: new Map(Array.from(kinds, ([tag, { fields }]) => [tag, fields])),
    codec: (due) => {
      const key = due.join("\0")
      const known = codecs.get(key)
      if (known !== undefined) return known
      // Frames are opaque to whoever drives this.
      const made = codecOf(due) as Codec.Codec<unknown, unknown>
      codecs.set(key, made)
      return made
    },
    read: (frame) => isFrame(frame) ? readFrame(frame) : Result.fail("it is no message"),
    write: (tag, values, due) => {
      const frame = write(kinds.get(tag)!, values)
      if (Result.isFailure(frame)) return frame
      const again = readAll(frame.success.bytes, due)
      return again?.tag !== tag || Result.isFailure(readFrame(again))
        ? Result.fail(`it would be read as ${again?.tag ?? "none"}`)
        : frame
    },
    show: (frame, hidesNothing = false) => {
      if (!isFrame(frame)) return Excerpt.redacted
      const message = readFrame(frame)
      if (Result.isSuccess(message)) return shown(message.success)
      return hasSecrets && !hidesNothing ? Excerpt.redacted : Excerpt.ofFrame(frame.bytes)
    },
    form: (tag) => ({ kind: "bytes", parts: kinds.get(tag)!.parts }),
    ambiguous: (due) => {
      const all = due.map((tag) => kinds.get(tag)!)
      for (const [i, a] of all.entries()) {
        for (const b of all.slice(i + 1)) if (isHidden(a, b)) return [a.tag, b.tag]
      }
      return undefined
    }
  }
}

const isFrame = (frame: unknown): frame is Frame =>
  typeof frame === "object" && frame !== null && "bytes" in frame && "carried" in frame

const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])
