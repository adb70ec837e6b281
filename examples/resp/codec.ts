/**
 * RESP, the protocol of Redis: values that may stand inside each other. The decoder reads as its specification does.
 */
import { Result } from "effect"
import { Bytes, Codec } from "effect-handshake"

export type Value = null | boolean | number | string | RespError | ReadonlyArray<Value>

export interface RespError {
  readonly _tag: "Error"
  readonly message: string
}

function* value(read: Codec.Reader): Codec.Reading<Value> {
  const type = String.fromCharCode(yield* read.byte)
  if (!"+-:#_$=*~%".includes(type)) return yield* read.fail("there is no such type")
  const line = yield* read.line(1024)
  if (/[\r\n]/.test(line)) return yield* read.fail("half a line end is in a line")
  switch (type) {
    case "+":
      return line
    case "-":
      return { _tag: "Error", message: line }
    case "#":
      return line === "t" || line === "f" ? line === "t" : yield* read.fail("a boolean is t or f")
    case "_":
      return line === "" ? null : yield* read.fail("null has no value")
  }
  const isNumber = /^(0|-?[1-9]\d*)$/.test(line) && Number.isSafeInteger(Number(line))
  if (!isNumber) return yield* read.fail("a number was due")
  const number = Number(line)
  if (type === ":") return number
  // So said null the first version.
  if (number === -1) return null
  if (type === "$" || type === "=") {
    const text = yield* read.text(number)
    yield* read.expect("\r\n")
    // What is verbatim says before itself what it is, in three letters and a colon.
    return type === "=" ? text.slice(4) : text
  }
  if (number < 0) return yield* read.fail("an array has no such length")
  // A set is as an array, and a map as one of its keys and values in turn.
  const length = type === "%" ? 2 * number : number
  const values: Array<Value> = []
  while (values.length < length) values.push(yield* read.nested(value(read)))
  return values
}

const malformed = (problem: string) => Result.fail(new Codec.MalformedFrame({ problem, excerpt: "", fault: "local" }))

const encode = (value: Value, into: Codec.ByteWriter): Result.Result<void, Codec.CodecError> | undefined => {
  if (value === null) into.string("_\r\n")
  else if (typeof value === "boolean") into.string(value ? "#t\r\n" : "#f\r\n")
  else if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) return malformed("not a whole number")
    into.string(`:${value}\r\n`)
  } else if (typeof value === "string") {
    if (!value.isWellFormed()) return malformed("half a surrogate pair")
    into.string(`$${Bytes.utf8Length(value)}\r\n${value}\r\n`)
  } else if ("_tag" in value) {
    if (/[\r\n]/.test(value.message) || !value.message.isWellFormed()) return malformed("not a line")
    if (Bytes.utf8Length(value.message) > 1024) return malformed("too long a line")
    into.string(`-${value.message}\r\n`)
  } else {
    into.string(`*${value.length}\r\n`)
    for (const each of value) {
      const failure = encode(each, into)
      if (failure !== undefined) return failure
    }
  }
  return undefined
}

/** At most `maxLength` bytes each, 64 KiB unless told otherwise, and 128 arrays deep. */
export const resp = (options?: { readonly maxLength?: number | undefined }): Codec.Codec<Value, Value> =>
  Codec.gen<Value>({ ...options, ending: "\r\n", decode: value, encode })
