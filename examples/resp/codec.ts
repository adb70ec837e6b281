/**
 * RESP, the protocol of Redis: values that may stand inside each other, and pushes, which stand inside nothing. The decoder
 * reads as its specification does.
 */
import { Result } from "effect"
import { Bytes, Codec } from "effect-handshake"

export type Value = null | boolean | number | string | RespError | ReadonlyArray<Value>

export interface RespError {
  readonly _tag: "Error"
  readonly message: string
}

/** What a server says of its own accord. */
export interface RespPush {
  readonly _tag: "Push"
  readonly values: ReadonlyArray<Value>
}

export type Frame = Value | RespPush

function* frame(read: Codec.Reader): Codec.Reading<Frame> {
  const type = String.fromCharCode(yield* read.byte)
  return type === ">"
    ? { _tag: "Push", values: yield* values(read, yield* numberOf(yield* line(read), read)) }
    : yield* valueOf(type, read)
}

function* value(read: Codec.Reader): Codec.Reading<Value> {
  return yield* valueOf(String.fromCharCode(yield* read.byte), read)
}

function* line(read: Codec.Reader): Codec.Reading<string> {
  const line = yield* read.line(1024)
  return /[\r\n]/.test(line) ? yield* read.fail("half a line end is in a line") : line
}

function* numberOf(line: string, read: Codec.Reader): Codec.Reading<number> {
  const isNumber = /^(0|-?[1-9]\d*)$/.test(line) && Number.isSafeInteger(Number(line))
  return isNumber ? Number(line) : yield* read.fail("a number was due")
}

function* values(read: Codec.Reader, length: number): Codec.Reading<ReadonlyArray<Value>> {
  if (length < 0) return yield* read.fail("an array has no such length")
  const values: Array<Value> = []
  while (values.length < length) values.push(yield* read.nested(value(read)))
  return values
}

function* valueOf(type: string, read: Codec.Reader): Codec.Reading<Value> {
  if (!"+-:#_$=*~%".includes(type)) return yield* read.fail("there is no such type")
  const text = yield* line(read)
  switch (type) {
    case "+":
      return text
    case "-":
      return { _tag: "Error", message: text }
    case "#":
      return text === "t" || text === "f" ? text === "t" : yield* read.fail("a boolean is t or f")
    case "_":
      return text === "" ? null : yield* read.fail("null has no value")
  }
  const number = yield* numberOf(text, read)
  if (type === ":") return number
  // So said null the first version.
  if (number === -1) return null
  if (type === "$" || type === "=") {
    const text = yield* read.text(number)
    yield* read.expect("\r\n")
    // What is verbatim says before itself what it is, in three letters and a colon.
    return type === "=" ? text.slice(4) : text
  }
  // A set is as an array, and a map as one of its keys and values in turn.
  return yield* values(read, type === "%" ? 2 * number : number)
}

const malformed = (problem: string) => Result.fail(new Codec.MalformedFrame({ problem, excerpt: "", fault: "local" }))

const encode = (value: Frame, into: Codec.ByteWriter): Result.Result<void, Codec.CodecError> | undefined => {
  if (value === null) into.string("_\r\n")
  else if (typeof value === "boolean") into.string(value ? "#t\r\n" : "#f\r\n")
  else if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) return malformed("not a whole number")
    into.string(`:${value}\r\n`)
  } else if (typeof value === "string") {
    if (!value.isWellFormed()) return malformed("half a surrogate pair")
    into.string(`$${Bytes.utf8Length(value)}\r\n${value}\r\n`)
  } else if ("_tag" in value && value._tag === "Error") {
    if (/[\r\n]/.test(value.message) || !value.message.isWellFormed()) return malformed("not a line")
    if (Bytes.utf8Length(value.message) > 1024) return malformed("too long a line")
    into.string(`-${value.message}\r\n`)
  } else {
    const [type, values] = "_tag" in value ? [">", value.values] as const : ["*", value] as const
    into.string(`${type}${values.length}\r\n`)
    for (const each of values) {
      const failure = encode(each, into)
      if (failure !== undefined) return failure
    }
  }
  return undefined
}

/** At most `maxLength` bytes each, 64 KiB unless told otherwise, and 128 arrays deep. */
export const resp = (options?: { readonly maxLength?: number | undefined }): Codec.Codec<Frame, Frame> =>
  Codec.gen<Frame>({ ...options, ending: "\r\n", decode: frame, encode })
