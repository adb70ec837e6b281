/**
 * PostgreSQL's messages and their bytes (the PostgreSQL manual, 54.7). Each direction has a codec of its own, which knows
 * no message of the other.
 *
 * @internal
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import { BodyReader, BodyWriter, decodeAny } from "./bytes.ts"
import type * as Messages from "./messages.ts"
import { describe, optionalFields } from "./messages.ts"

/** `1234` in the place of the major version: what comes is no version but a request. */
const cancelCode = 80_877_102
const sslCode = 80_877_103
const gssCode = 80_877_104

/** A start-up packet is no longer than this, its length included; nor is one that a server of the project takes. */
const maxStartupLength = 10_000

/** What the field of a length can say at the most. */
const maxInt32 = 0x7fff_ffff

/** The key of a session has 4 bytes in protocol 3.0 and up to 256 in later ones. */
export const minKeyLength = 4
const maxKeyLength = 256

const int32At = (input: Codec.ByteBuffer, at: number): number =>
  ((input.at(at) << 24) | (input.at(at + 1) << 16) | (input.at(at + 2) << 8) | input.at(at + 3)) >>> 0

const malformed = (problem: string, excerpt: string): Result.Result<never, Codec.MalformedFrame> =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt, fault: "peer" }))

/** Of as many bytes only as are there whenever this can happen, so that it does not depend on how they are cut. */
const tooLarge = (input: Codec.ByteBuffer, limit: number, known: number): Result.Result<never, Codec.FrameTooLarge> =>
  Result.fail(new Codec.FrameTooLarge({ limit, excerpt: Excerpt.ofBytes(input.peek(0, known)), fault: "peer" }))

/** A frame that cannot be sent. Its fields are those of this side. */
const unencodable = (problem: string, frame: Messages.Message): Result.Result<never, Codec.MalformedFrame> =>
  Result.fail(new Codec.MalformedFrame({ problem, excerpt: describe(frame), fault: "local" }))

const written = (
  writer: BodyWriter,
  lengthAt: number,
  limit: number,
  frame: Messages.Message,
  into: Codec.ByteWriter
): Result.Result<void, Codec.CodecError> | void => {
  if (writer.problem !== undefined) return unencodable(writer.problem, frame)
  if (writer.lengthFrom(lengthAt) > limit) {
    return Result.fail(new Codec.FrameTooLarge({ limit, excerpt: describe(frame), fault: "local" }))
  }
  into.bytes(writer.finish(lengthAt))
}

// ---------------------------------------------------------------------------------------------------------------------
// Start-up packets
// ---------------------------------------------------------------------------------------------------------------------

const readParameters = (reader: BodyReader): ReadonlyMap<string, string> => {
  const parameters = new Map<string, string>()
  while (reader.problem === undefined) {
    const name = reader.anyText("the name of a parameter, or the end of them,")
    if (name === "") break
    // The last one counts.
    parameters.set(name, reader.anyText(`the value of the parameter ${Excerpt.ofString(name)}`))
  }
  return parameters
}

const readStartup = (code: number, reader: BodyReader): Messages.StartupPacket => {
  switch (code) {
    case sslCode:
      return { _tag: "SSLRequest" }
    case gssCode:
      return { _tag: "GSSENCRequest" }
    case cancelCode: {
      const processId = reader.int32("the process id")
      return { _tag: "CancelRequest", processId, secretKey: readKey(reader) }
    }
    default:
      return code >>> 16 === 3
        ? { _tag: "StartupMessage", minor: code & 0xffff, parameters: readParameters(reader) }
        : { _tag: "UnknownStartup", code, body: reader.rest() }
  }
}

const readKey = (reader: BodyReader): Redacted.Redacted<Uint8Array> => {
  const key = reader.rest()
  if (key.length < minKeyLength || key.length > maxKeyLength) {
    reader.fail(`the key has ${key.length} bytes, and not ${minKeyLength} to ${maxKeyLength}`)
  }
  return Redacted.make(key)
}

const writeKey = (writer: BodyWriter, key: Redacted.Redacted<Uint8Array>): void => {
  const bytes = Redacted.value(key)
  if (bytes.length < minKeyLength || bytes.length > maxKeyLength) writer.fail(`a key has no ${bytes.length} bytes`)
  writer.raw(bytes)
}

const isCancel = (input: Codec.ByteBuffer): boolean => input.length >= 8 && int32At(input, 4) === cancelCode

const startupDecoder: Codec.Decoder<Messages.StartupPacket> = {
  decode: (input) => {
    if (input.length < 4) return undefined
    const length = int32At(input, 0)
    if (length < 8) {
      return malformed(`a start-up packet has at least 8 bytes, not ${length}`, Excerpt.ofBytes(input.peek(0, 4)))
    }
    if (length > maxStartupLength) return tooLarge(input, maxStartupLength, 4)
    if (input.length < length) return undefined
    const isSecret = isCancel(input)
    const bytes = input.take(length)
    const reader = new BodyReader(bytes, 4)
    const packet = readStartup(reader.uint32("the version"), reader)
    reader.end()
    return reader.problem === undefined
      ? Result.succeed(packet)
      : malformed(reader.problem, isSecret ? Excerpt.redacted : Excerpt.ofBytes(bytes))
  },
  isSecret: isCancel
}

const encodeStartup = (
  packet: Messages.StartupPacket,
  into: Codec.ByteWriter
): Result.Result<void, Codec.CodecError> | void => written(startupWriter(packet), 0, maxStartupLength, packet, into)

/** Why a start-up packet cannot be sent, if it cannot. */
export const problemWith = (packet: Messages.StartupPacket): string | undefined => {
  const writer = startupWriter(packet)
  if (writer.problem !== undefined) return writer.problem
  const length = writer.lengthFrom(0)
  return length <= maxStartupLength
    ? undefined
    : `the names of the user, the database and the parameters take ${length} bytes, and no more than ${maxStartupLength} go`
}

const startupWriter = (packet: Messages.StartupPacket): BodyWriter => {
  const writer = new BodyWriter()
  writer.int32(0)
  switch (packet._tag) {
    case "SSLRequest":
      writer.uint32(sslCode)
      break
    case "GSSENCRequest":
      writer.uint32(gssCode)
      break
    case "CancelRequest":
      writer.uint32(cancelCode)
      writer.int32(packet.processId)
      writeKey(writer, packet.secretKey)
      break
    case "StartupMessage":
      writer.uint16(3)
      writer.uint16(packet.minor)
      for (const [name, value] of packet.parameters) {
        if (name === "") writer.fail("a parameter has no name")
        writer.string(name, "the name of a parameter")
        writer.string(value, `the value of the parameter ${Excerpt.ofString(name)}`)
      }
      writer.byte(0)
      break
    case "UnknownStartup":
      writer.uint32(packet.code)
      writer.raw(packet.body)
  }
  return writer
}

/** What a client says before the first typed message. */
export const startup: Codec.Codec<Messages.StartupPacket, Messages.StartupPacket> = Codec.make({
  maxLength: maxStartupLength,
  decoder: () => startupDecoder,
  encode: encodeStartup
})

/** The answer to SSLRequest and GSSENCRequest. Exactly one byte: what comes behind it is not looked at. */
export const answer: Codec.Codec<Messages.EncryptionAnswer, Messages.EncryptionAnswer> = Codec.make({
  decoder: () => ({
    decode: (input) =>
      input.length === 0
        ? undefined
        : Result.succeed({ _tag: "EncryptionAnswer", answer: String.fromCharCode(input.take(1)[0]) })
  }),
  encode: (frame, into) => {
    const code = frame.answer.charCodeAt(0)
    if (frame.answer.length !== 1 || code > 0xff) return unencodable("an answer is one byte", frame)
    into.bytes(Uint8Array.of(code))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Typed messages
// ---------------------------------------------------------------------------------------------------------------------

const codeOf = (type: string): number => type.charCodeAt(0)

/** Whether a byte may be the type of a message: it is a letter, a digit or a sign. */
const isType = (code: number): boolean => code > 0x20 && code < 0x7f

/** What a server says of itself at each log-in: a dozen messages that are always the same, as they are in bytes. */
const fixedStatuses = new WeakMap<Messages.Message, Uint8Array>()

type ParameterStatus = Extract<Messages.BackendMessage, { readonly _tag: "ParameterStatus" }>

/** The same status, which is written once for all connections. It is changed no more. */
export const fixedStatus = (status: ParameterStatus): ParameterStatus => {
  // One that cannot be written is found to be so when it is said.
  const written = Result.try(() => Codec.encodeAll(anyBackend, [status]))
  if (Result.isSuccess(written)) fixedStatuses.set(Object.freeze(status), written.success)
  return status
}

/** How the messages of one direction are read and written. */
interface Direction<In extends Messages.Message, Out extends Messages.Message> {
  readonly read: (type: string, reader: BodyReader) => In
  /** Writes the body and returns the type. */
  readonly write: (frame: Out, writer: BodyWriter) => string
  /** How many bytes a message may have behind its type, by its type. */
  readonly limit: (type: string) => number
  readonly isSecret: (input: Codec.ByteBuffer) => boolean
}

const messages = <In extends Messages.Message, Out extends Messages.Message>(
  direction: Direction<In, Out>,
  sendLimit: number
): Codec.Codec<In, Out> => {
  const decode = (input: Codec.ByteBuffer): Result.Result<In, Codec.CodecError> | undefined => {
    if (input.length < 5) return undefined
    const code = input.at(0)
    const length = int32At(input, 1)
    const type = String.fromCharCode(code)
    if (!isType(code)) return malformed("no message has this type", Excerpt.ofBytes(input.peek(0, 1)))
    if (length < 4) {
      return malformed(`a message has a length of at least 4, not ${length}`, Excerpt.ofBytes(input.peek(0, 5)))
    }
    const limit = direction.limit(type)
    if (length > limit) return tooLarge(input, limit, 5)
    if (input.length < length + 1) return undefined
    const isSecret = direction.isSecret(input)
    const bytes = input.take(length + 1)
    const reader = new BodyReader(bytes, 5)
    const message = direction.read(type, reader)
    reader.end()
    return reader.problem === undefined
      ? Result.succeed(message)
      : malformed(reader.problem, isSecret ? Excerpt.redacted : Excerpt.ofBytes(bytes))
  }
  /** How many bytes the next messages have, of those that are there to their end. */
  const lengthOfWhole = (input: Codec.ByteBuffer, max: number): number => {
    let end = 0
    for (let count = 0; count < max && input.length - end >= 5; count++) {
      const next = end + 1 + int32At(input, end + 1)
      if (next > input.length) break
      end = next
    }
    return end
  }
  /** Takes messages up to one that is not as it has to be: that is left for `decode`, which tells why. */
  const decodeWhole = (input: Codec.ByteBuffer, max: number, frames: Array<In>): void => {
    const bytes = input.peek(0, lengthOfWhole(input, max))
    const reader = new BodyReader(bytes, 0)
    let at = 0
    while (at < bytes.length) {
      const code = bytes[at]
      const length = ((bytes[at + 1] << 24) | (bytes[at + 2] << 16) | (bytes[at + 3] << 8) | bytes[at + 4]) >>> 0
      if (!isType(code) || length < 4) break
      const type = String.fromCharCode(code)
      if (length > direction.limit(type)) break
      const next = at + 1 + length
      reader.move(at + 5, next)
      const message = direction.read(type, reader)
      reader.end()
      if (reader.problem !== undefined) break
      frames.push(message)
      at = next
    }
    input.skip(at)
  }
  const decoder: Codec.Decoder<In> = {
    decode,
    decodeMany: (input, max) => {
      const frames: Array<In> = []
      // The first one may begin in one chunk and end in another: by itself it is all that has to be copied.
      decodeWhole(input, Math.min(1, max), frames)
      if (frames.length === 1) decodeWhole(input, max - 1, frames)
      return frames
    },
    isSecret: direction.isSecret
  }
  return Codec.make<In, Out>({
    // Each type has its own, which its length is checked against.
    maxLength: Infinity,
    decoder: () => decoder,
    encode: (frame, into) => {
      const known = frame._tag === "ParameterStatus" ? fixedStatuses.get(frame) : undefined
      if (known !== undefined) return into.bytes(known)
      const writer = new BodyWriter()
      writer.byte(0)
      writer.int32(0)
      const type = codeOf(direction.write(frame, writer))
      if (!isType(type)) return unencodable("no message has this type", frame)
      writer.first(type)
      return written(writer, 1, sendLimit, frame, into)
    }
  })
}

const formats = ["text", "binary"] as const

const readFormat = (reader: BodyReader): Messages.Format => {
  const code = reader.uint16("a format")
  if (code > 1) reader.fail(`there is no format ${code}`)
  return formats[code] ?? "text"
}

const writeFormat = (writer: BodyWriter) => (format: Messages.Format): void => writer.uint16(formats.indexOf(format))

const readTarget = (reader: BodyReader): "statement" | "portal" => {
  const code = String.fromCharCode(reader.byte("what is named"))
  if (code !== "S" && code !== "P") reader.fail(`there is no kind ${Excerpt.ofString(code)} of what is named`)
  return code === "P" ? "portal" : "statement"
}

const readCount = (reader: BodyReader): number => reader.uint16("a count")

/** Which of the messages of type `p` the server waits for. They look all alike. */
export type Awaited = "PasswordMessage" | "SASLInitialResponse" | "SASLResponse"

const readResponse = (awaited: Awaited, reader: BodyReader): Messages.AuthenticationResponse => {
  switch (awaited) {
    case "PasswordMessage":
      return { _tag: "PasswordMessage", password: Redacted.make(reader.string("the password")) }
    case "SASLInitialResponse": {
      const mechanism = reader.string("the name of the mechanism")
      const data = reader.value("the initial response")
      return { _tag: "SASLInitialResponse", mechanism, data: data && Redacted.make(data) }
    }
    case "SASLResponse":
      return { _tag: "SASLResponse", data: Redacted.make(reader.rest()) }
  }
}

const readAnswer = (awaited: Awaited) => (type: string, reader: BodyReader): Answered =>
  type === "p" ? readResponse(awaited, reader) : misplaced(type, reader)

/** What comes where an answer is due. */
export type Answered = Messages.AuthenticationResponse | Messages.Misplaced

const misplaced = (type: string, reader: BodyReader): Messages.Misplaced => ({
  _tag: "Misplaced",
  type,
  body: Redacted.make(reader.rest())
})

const readRequest = (type: string, reader: BodyReader): Messages.RequestMessage => {
  switch (type) {
    case "p":
      reader.fail("this answers no authentication request")
      return { _tag: "Unknown", type, body: new Uint8Array(0) }
    case "Q":
      return { _tag: "Query", sql: reader.string("the query") }
    case "P": {
      const name = reader.string("the name of the statement")
      const sql = reader.string("the query")
      const types = reader.list(readCount(reader), 4, "types", readType)
      return { _tag: "Parse", name, sql, types }
    }
    case "B": {
      const portal = reader.string("the name of the portal")
      const statement = reader.string("the name of the statement")
      const formats = reader.list(readCount(reader), 2, "formats", () => readFormat(reader))
      const values = reader.list(readCount(reader), 4, "values", readValue)
      const resultFormats = reader.list(readCount(reader), 2, "formats of results", () => readFormat(reader))
      if (formats.length > 1 && formats.length !== values.length) {
        reader.fail(`${formats.length} formats of ${values.length} values`)
      }
      return { _tag: "Bind", portal, statement, formats, values, resultFormats }
    }
    case "D":
    case "C": {
      const target = readTarget(reader)
      return { _tag: type === "D" ? "Describe" : "Close", target, name: reader.string("the name") }
    }
    case "E": {
      const portal = reader.string("the name of the portal")
      return { _tag: "Execute", portal, maxRows: reader.int32("the number of rows") }
    }
    case "H":
      return { _tag: "Flush" }
    case "S":
      return { _tag: "Sync" }
    case "X":
      return { _tag: "Terminate" }
    default:
      return { _tag: "Unknown", type, body: reader.rest() }
  }
}

const writeFrontend = (frame: Messages.FrontendMessage, writer: BodyWriter): string => {
  switch (frame._tag) {
    case "PasswordMessage":
      writer.string(Redacted.value(frame.password), "the password")
      return "p"
    case "SASLInitialResponse":
      writer.string(frame.mechanism, "the name of the mechanism")
      writer.value(frame.data && Redacted.value(frame.data))
      return "p"
    case "SASLResponse":
      writer.raw(Redacted.value(frame.data))
      return "p"
    case "Query":
      writer.string(frame.sql, "the query")
      return "Q"
    case "Parse":
      writer.string(frame.name, "the name of the statement")
      writer.string(frame.sql, "the query")
      writer.list(frame.types, (type) => writer.uint32(type))
      return "P"
    case "Bind":
      writer.string(frame.portal, "the name of the portal")
      writer.string(frame.statement, "the name of the statement")
      if (frame.formats.length > 1 && frame.formats.length !== frame.values.length) {
        writer.fail(`${frame.formats.length} formats of ${frame.values.length} values`)
      }
      writer.list(frame.formats, writeFormat(writer))
      writer.list(frame.values, (value) => writer.value(value))
      writer.list(frame.resultFormats, writeFormat(writer))
      return "B"
    case "Describe":
    case "Close":
      writer.byte(codeOf(frame.target === "portal" ? "P" : "S"))
      writer.string(frame.name, "the name")
      return frame._tag === "Describe" ? "D" : "C"
    case "Execute":
      writer.string(frame.portal, "the name of the portal")
      writer.int32(frame.maxRows)
      return "E"
    case "Flush":
      return "H"
    case "Sync":
      return "S"
    case "Terminate":
      return "X"
    case "Unknown":
      return writeUnknown(frame, frontendTypes, writer)
  }
}

/** A type that is known has a message of its own, which would be read in its place. */
const writeUnknown = (frame: Messages.Unknown, known: string, writer: BodyWriter): string => {
  if (frame.type.length !== 1 || known.includes(frame.type)) writer.fail("this is the type of another message")
  writer.raw(frame.body)
  return frame.type
}

const frontendTypes = "pQPBDCEHSX"
const backendTypes = "REvNKSZTDCI123nstA"

const readAuthentication = (reader: BodyReader): Messages.BackendMessage => {
  const code = reader.uint32("the code")
  switch (code) {
    case 0:
      return { _tag: "AuthenticationOk" }
    case 2:
      return { _tag: "AuthenticationKerberosV5" }
    case 3:
      return { _tag: "AuthenticationCleartextPassword" }
    case 5:
      return { _tag: "AuthenticationMD5Password", salt: reader.take(4, "the salt") }
    case 7:
      return { _tag: "AuthenticationGSS" }
    case 8:
      return { _tag: "AuthenticationGSSContinue", data: Redacted.make(reader.rest()) }
    case 9:
      return { _tag: "AuthenticationSSPI" }
    case 10:
      return { _tag: "AuthenticationSASL", mechanisms: readMechanisms(reader) }
    case 11:
      return { _tag: "AuthenticationSASLContinue", data: reader.rest() }
    case 12:
      return { _tag: "AuthenticationSASLFinal", data: Redacted.make(reader.rest()) }
    default:
      reader.fail(`there is no authentication request ${code}`)
      return { _tag: "AuthenticationOk" }
  }
}

const readMechanisms = (reader: BodyReader): ReadonlyArray<string> => {
  const mechanisms: Array<string> = []
  while (reader.problem === undefined) {
    const name = reader.string("the name of a mechanism, or the end of them,")
    if (name === "") break
    mechanisms.push(name)
  }
  if (mechanisms.length === 0) reader.fail("no mechanism is named")
  return mechanisms
}

const requiredFields: Record<string, string> = { S: "severity", C: "code", M: "message" }

const readErrorFields = (reader: BodyReader): Messages.ErrorFields => {
  const byLetter = new Map<string, string>()
  while (reader.problem === undefined) {
    const code = reader.byte("the type of a field, or the end of them,")
    if (code === 0) break
    const letter = String.fromCharCode(code)
    if (byLetter.has(letter)) reader.fail(`the field ${Excerpt.ofString(letter)} comes twice`)
    byLetter.set(letter, reader.string(`the field ${Excerpt.ofString(letter)}`))
  }
  for (const [letter, name] of Object.entries(requiredFields)) {
    if (!byLetter.has(letter)) reader.fail(`the ${name} is missing`)
  }
  return errorFieldsOf(byLetter)
}

/**
 * The same as long as nothing is agreed on, read as libpq reads it (`pqGetErrorNotice3`): texts are in the encoding of the
 * server, a field that is missing is empty, of one that comes twice the last one counts, and nothing behind them does.
 */
const readEarlyErrorFields = (reader: BodyReader): Messages.ErrorFields => {
  const byLetter = new Map<string, string>()
  while (reader.problem === undefined) {
    const code = reader.byte("the type of a field, or the end of them,")
    if (code === 0) break
    const letter = String.fromCharCode(code)
    byLetter.set(letter, reader.anyText(`the field ${Excerpt.ofString(letter)}`))
  }
  if (reader.problem === undefined) reader.rest()
  return errorFieldsOf(byLetter)
}

const errorFieldsOf = (byLetter: ReadonlyMap<string, string>): Messages.ErrorFields => {
  const localized = byLetter.get("S") ?? ""
  const severity = byLetter.get("V") ?? localized
  const optional: Record<string, string> = {}
  for (const [letter, name] of Object.entries(optionalFields)) {
    const value = byLetter.get(letter)
    if (value !== undefined) optional[name] = value
  }
  return {
    severity,
    ...(localized !== severity && { localizedSeverity: localized }),
    code: byLetter.get("C") ?? "",
    message: byLetter.get("M") ?? "",
    ...optional
  }
}

const writeErrorFields = (fields: Messages.ErrorFields, writer: BodyWriter): void => {
  const write = (letter: string, name: string, value: string | undefined) => {
    if (value === undefined) return
    writer.byte(codeOf(letter))
    writer.string(value, `the ${name}`)
  }
  write("S", "severity", fields.localizedSeverity ?? fields.severity)
  write("V", "severity", fields.severity)
  write("C", "code", fields.code)
  write("M", "message", fields.message)
  for (const [letter, name] of Object.entries(optionalFields)) write(letter, name, fields[name])
  writer.byte(0)
}

const statuses = { I: "idle", T: "transaction", E: "failed" } as const

const readStatus = (reader: BodyReader): Messages.TransactionStatus => {
  const code = String.fromCharCode(reader.byte("the status"))
  if (code === "I" || code === "T" || code === "E") return statuses[code]
  reader.fail(`there is no status ${Excerpt.ofString(code)}`)
  return "idle"
}

const readOption = (reader: BodyReader): string => reader.string("the name of an option")
const readValue = (reader: BodyReader): Uint8Array | null => reader.value("a value")
const readType = (reader: BodyReader): number => reader.uint32("a type")

const readBackend = (type: string, reader: BodyReader): Messages.BackendMessage => {
  switch (type) {
    case "R":
      return readAuthentication(reader)
    case "E":
      return { _tag: "ErrorResponse", ...readErrorFields(reader) }
    case "N":
      return { _tag: "NoticeResponse", ...readErrorFields(reader) }
    case "v": {
      const version = reader.uint32("the version")
      const count = reader.uint32("the number of options")
      const unrecognized = reader.list(count, 1, "options", readOption)
      return { _tag: "NegotiateProtocolVersion", major: version >>> 16, minor: version & 0xffff, unrecognized }
    }
    case "K": {
      const processId = reader.int32("the process id")
      return { _tag: "BackendKeyData", processId, secretKey: readKey(reader) }
    }
    case "S": {
      const name = reader.string("the name of the parameter")
      return { _tag: "ParameterStatus", name, value: reader.string("the value of the parameter") }
    }
    case "Z":
      return { _tag: "ReadyForQuery", status: readStatus(reader) }
    case "T":
      return { _tag: "RowDescription", fields: reader.list(readCount(reader), 19, "fields", readField) }
    case "D":
      return { _tag: "DataRow", values: reader.list(readCount(reader), 4, "values", readValue) }
    case "C":
      return { _tag: "CommandComplete", command: reader.string("the command") }
    case "I":
      return { _tag: "EmptyQueryResponse" }
    case "1":
      return { _tag: "ParseComplete" }
    case "2":
      return { _tag: "BindComplete" }
    case "3":
      return { _tag: "CloseComplete" }
    case "n":
      return { _tag: "NoData" }
    case "s":
      return { _tag: "PortalSuspended" }
    case "t": {
      const types = reader.list(readCount(reader), 4, "types", readType)
      return { _tag: "ParameterDescription", types }
    }
    case "A": {
      const processId = reader.int32("the process id")
      const channel = reader.string("the channel")
      return { _tag: "NotificationResponse", processId, channel, payload: reader.string("the payload") }
    }
    default:
      return { _tag: "Unknown", type, body: reader.rest() }
  }
}

const readField = (reader: BodyReader): Messages.Field => ({
  name: reader.string("the name of a field"),
  table: reader.uint32("a table"),
  column: reader.int16("a column"),
  type: reader.uint32("a type"),
  size: reader.int16("a size"),
  modifier: reader.int32("a modifier"),
  format: readFormat(reader)
})

const writeField = (writer: BodyWriter) => (field: Messages.Field): void => {
  writer.string(field.name, "the name of a field")
  writer.uint32(field.table)
  writer.int16(field.column)
  writer.uint32(field.type)
  writer.int16(field.size)
  writer.int32(field.modifier)
  writeFormat(writer)(field.format)
}

const writeRequest = (frame: Messages.AuthenticationRequest, writer: BodyWriter): void => {
  switch (frame._tag) {
    case "AuthenticationOk":
      return writer.uint32(0)
    case "AuthenticationKerberosV5":
      return writer.uint32(2)
    case "AuthenticationCleartextPassword":
      return writer.uint32(3)
    case "AuthenticationMD5Password":
      if (frame.salt.length !== 4) writer.fail(`the salt has ${frame.salt.length} bytes, and not 4`)
      writer.uint32(5)
      return writer.raw(frame.salt)
    case "AuthenticationGSS":
      return writer.uint32(7)
    case "AuthenticationGSSContinue":
      writer.uint32(8)
      return writer.raw(Redacted.value(frame.data))
    case "AuthenticationSSPI":
      return writer.uint32(9)
    case "AuthenticationSASL":
      writer.uint32(10)
      if (frame.mechanisms.length === 0) writer.fail("no mechanism is named")
      for (const mechanism of frame.mechanisms) {
        if (mechanism === "") writer.fail("a mechanism has no name")
        writer.string(mechanism, "the name of a mechanism")
      }
      return writer.byte(0)
    case "AuthenticationSASLContinue":
      writer.uint32(11)
      return writer.raw(frame.data)
    case "AuthenticationSASLFinal":
      writer.uint32(12)
      return writer.raw(Redacted.value(frame.data))
  }
}

const writeBackend = (frame: Messages.BackendMessage, writer: BodyWriter): string => {
  switch (frame._tag) {
    case "ErrorResponse":
    case "NoticeResponse":
      writeErrorFields(frame, writer)
      return frame._tag === "ErrorResponse" ? "E" : "N"
    case "NegotiateProtocolVersion":
      writer.uint16(frame.major)
      writer.uint16(frame.minor)
      writer.uint32(frame.unrecognized.length)
      for (const name of frame.unrecognized) writer.string(name, "the name of an option")
      return "v"
    case "BackendKeyData":
      writer.int32(frame.processId)
      writeKey(writer, frame.secretKey)
      return "K"
    case "ParameterStatus":
      writer.string(frame.name, "the name of the parameter")
      writer.string(frame.value, "the value of the parameter")
      return "S"
    case "ReadyForQuery":
      writer.byte(codeOf({ idle: "I", transaction: "T", failed: "E" }[frame.status]))
      return "Z"
    case "RowDescription":
      writer.list(frame.fields, writeField(writer))
      return "T"
    case "DataRow":
      writer.list(frame.values, (value) => writer.value(value))
      return "D"
    case "CommandComplete":
      writer.string(frame.command, "the command")
      return "C"
    case "EmptyQueryResponse":
      return "I"
    case "ParseComplete":
      return "1"
    case "BindComplete":
      return "2"
    case "CloseComplete":
      return "3"
    case "NoData":
      return "n"
    case "PortalSuspended":
      return "s"
    case "ParameterDescription":
      writer.list(frame.types, (type) => writer.uint32(type))
      return "t"
    case "NotificationResponse":
      writer.int32(frame.processId)
      writer.string(frame.channel, "the channel")
      writer.string(frame.payload, "the payload")
      return "A"
    case "Unknown":
      return writeUnknown(frame, backendTypes, writer)
    default:
      writeRequest(frame, writer)
      return "R"
  }
}

/** Of type `p` all of it is a secret. */
const isResponse = (input: Codec.ByteBuffer): boolean => input.length > 0 && input.at(0) === codeOf("p")

/** The authentication requests that hide nothing, by their codes. */
const openRequests: ReadonlyArray<number> = [0, 2, 3, 5, 7, 9, 10, 11]

/** Keys, and what proves that somebody knows a password. */
const isKeyOrProof = (input: Codec.ByteBuffer): boolean => {
  if (input.length === 0) return false
  const type = input.at(0)
  return type === codeOf("K") ||
    // Behind a message that is too short for a code stands another message.
    type === codeOf("R") && input.length >= 9 && int32At(input, 1) >= 8 && !openRequests.includes(int32At(input, 5))
}

/** In the start-up also what may have been one of them. */
const mayBeSecret = (input: Codec.ByteBuffer): boolean =>
  isKeyOrProof(input) || input.length > 0 && !backendTypes.includes(String.fromCharCode(input.at(0)))

/** The default maximum length of a message behind the handshake, in bytes. */
export const defaultMaxLength = 16 * 1024 * 1024

/** The messages of clients while the server waits for an answer to its authentication request: all of them are secrets. */
export const responses = (awaits: Awaited, maxLength: number): Codec.Codec<Answered, Messages.AuthenticationResponse> =>
  messages({ read: readAnswer(awaits), write: writeFrontend, limit: () => maxLength, isSecret: () => true }, maxLength)

/** The messages of clients behind the handshake, as long as `maxLength` at the most. */
export const requests = (options?: {
  readonly maxLength?: number | undefined
}): Codec.Codec<Messages.RequestMessage, Messages.RequestMessage> => {
  const maxLength = options?.maxLength ?? defaultMaxLength
  return messages({ read: readRequest, write: writeFrontend, limit: () => maxLength, isSecret: isResponse }, maxLength)
}

/** The messages of servers, as long as `maxLength` at the most. */
export const backend = (options?: {
  readonly maxLength?: number | undefined
}): Codec.Codec<Messages.BackendMessage, Messages.BackendMessage> => {
  const maxLength = options?.maxLength ?? defaultMaxLength
  return messages({ read: readBackend, write: writeBackend, limit: () => maxLength, isSecret: isKeyOrProof }, maxLength)
}

// ---------------------------------------------------------------------------------------------------------------------
// What both sides of a connection speak, phase by phase. What is sent has no other limit than that of its length field.
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How much a server may say in one message of the handshake. An authentication request is short; an error has much to
 * tell.
 */
const maxRequest = 2000
const maxHandshakeMessage = 30_000

/** How long an answer to an authentication request may be: there are passwords that are tokens. */
const maxResponse: Record<Awaited, number> = { PasswordMessage: 65_535, SASLInitialResponse: 1024, SASLResponse: 1024 }

const anyBackend = backend({ maxLength: maxInt32 })
const anyFrontend = messages<Messages.RequestMessage, Messages.FrontendMessage>({
  read: readRequest,
  write: writeFrontend,
  limit: () => maxInt32,
  isSecret: isResponse
}, maxInt32)

export const clientStart: Codec.Codec<Messages.EncryptionAnswer, Messages.StartupPacket> = Codec.duplex(answer, startup)

const readEarly = (type: string, reader: BodyReader): Messages.BackendMessage | Messages.Misplaced => {
  switch (type) {
    case "E":
      return { _tag: "ErrorResponse", ...readEarlyErrorFields(reader) }
    case "N":
      return { _tag: "NoticeResponse", ...readEarlyErrorFields(reader) }
    default:
      return backendTypes.includes(type) ? readBackend(type, reader) : misplaced(type, reader)
  }
}

const typedEarly = messages<Messages.BackendMessage | Messages.Misplaced, never>({
  read: readEarly,
  write: writeBackend,
  limit: (type) => type === "R" ? maxRequest : maxHandshakeMessage,
  isSecret: mayBeSecret
}, maxHandshakeMessage)

/**
 * Whether an error is in the form of protocol 2: `E`, a text, a zero byte. PostgreSQL says so until today what it says
 * without a process for the connection, such as that it could not fork one (`report_fork_failure_to_client`), and
 * before version 14 what it said before it had read the start-up message. The length of an error begins with a zero byte.
 */
const isBareError = (input: Codec.ByteBuffer): boolean =>
  input.length >= 2 && input.at(0) === codeOf("E") && input.at(1) !== 0

/** As protocol 2 has it, the severity stands in front of the text of an error that has one. */
const bareError = (text: string): Messages.ErrorResponse => {
  const [, severity, message] = /^([^\s:]{1,30}): {2}(.*)$/s.exec(text) ?? [undefined, "", text]
  return { _tag: "ErrorResponse", severity, code: "", message: message.trimEnd() }
}

/** What a server says in the handshake, which may be before it has read what this side speaks. */
const earlyDecoder = (): Codec.Decoder<Messages.BackendMessage | Messages.Misplaced> => {
  const typed = typedEarly.decoder()
  // How many bytes are known to have no end of the text among them.
  let searched = 0
  return {
    decode: (input) => {
      if (!isBareError(input)) return typed.decode(input)
      const end = input.indexOf(0, searched)
      if ((end === -1 ? input.length : end) > maxHandshakeMessage) {
        return tooLarge(input, maxHandshakeMessage, maxHandshakeMessage)
      }
      if (end === -1) {
        searched = input.length
        return undefined
      }
      searched = 0
      const bytes = input.take(end + 1)
      return Result.succeed(bareError(decodeAny(bytes.subarray(1, end))))
    },
    isSecret: mayBeSecret
  }
}

export const clientHandshake: Codec.Codec<Messages.BackendMessage | Messages.Misplaced, Messages.FrontendMessage> =
  Codec
    .duplex(
      Codec.make<Messages.BackendMessage | Messages.Misplaced, never>({
        maxLength: Infinity,
        decoder: earlyDecoder,
        encode: typedEarly.encode
      }),
      anyFrontend
    )

export const clientLive = (
  maxLength: number | undefined
): Codec.Codec<Messages.BackendMessage, Messages.FrontendMessage> => Codec.duplex(backend({ maxLength }), anyFrontend)

export const serverStart: Codec.Codec<Messages.StartupPacket, Messages.EncryptionAnswer | Messages.BackendMessage> =
  Codec
    .duplex(
      startup,
      Codec.make<Messages.EncryptionAnswer | Messages.BackendMessage>({
        decoder: answer.decoder,
        encode: (frame, into) =>
          frame._tag === "EncryptionAnswer" ? answer.encode(frame, into) : anyBackend.encode(frame, into)
      })
    )

const awaiting = (awaits: Awaited): Codec.Codec<Answered, Messages.BackendMessage> =>
  Codec.duplex(responses(awaits, maxResponse[awaits]), anyBackend)

export const serverAwaits: Record<Awaited, Codec.Codec<Answered, Messages.BackendMessage>> = {
  PasswordMessage: awaiting("PasswordMessage"),
  SASLInitialResponse: awaiting("SASLInitialResponse"),
  SASLResponse: awaiting("SASLResponse")
}

/**
 * One for each connection. `onViolation` hears what is wrong with what its client says behind the start-up, before whoever
 * receives it does.
 */
export const serverLive = (maxLength: number | undefined) => {
  const codec = requests({ maxLength })
  return (
    onViolation: (error: Codec.CodecError) => void
  ): Codec.Codec<Messages.RequestMessage, Messages.BackendMessage> =>
    Codec.duplex(
      Codec.make<Messages.RequestMessage, Messages.RequestMessage>({
        maxLength: Infinity,
        decoder: () => {
          const decoder = codec.decoder()
          return {
            ...decoder,
            decode: (input) => {
              const result = decoder.decode(input)
              if (result !== undefined && Result.isFailure(result)) onViolation(result.failure)
              return result
            }
          }
        },
        encode: codec.encode
      }),
      anyBackend
    )
}

/**
 * Whether some first bytes are those of a start-up packet: a length, then a code that is known. One that is too long is one
 * all the same, and refused as such; no length has more than 24 bits, so that the first byte decides early.
 */
export const isStartup = (bytes: Uint8Array): boolean | undefined => {
  const codes = [cancelCode, sslCode, gssCode]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length > 0 && bytes[0] !== 0) return false
  if (bytes.length < 4) return undefined
  if (view.getUint32(0) < 8) return false
  if (bytes.length < 6) return bytes.length < 5 || bytes[4] === 0 || bytes[4] === 4 ? undefined : false
  const major = view.getUint16(4)
  if (major !== 3 && major !== 1234) return false
  if (major === 3) return true
  return bytes.length < 8 ? undefined : codes.includes(view.getUint32(4))
}
