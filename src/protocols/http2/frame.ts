/**
 * The frames of HTTP/2 and their bytes, one at a time and without a connection (RFC 9113 4.1 and 6).
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import { nameOf, unencodable, violation } from "./errorCode.ts"
import * as Settings from "./settings.ts"

/** What PRIORITY and HEADERS say of a stream's place; RFC 9113 5.3 has deprecated it. */
export interface StreamPriority {
  readonly exclusive: boolean
  readonly dependsOn: number
  /** From 1 to 256. */
  readonly weight: number
}

export interface Data {
  readonly _tag: "Data"
  readonly streamId: number
  readonly data: Uint8Array
  readonly endStream: boolean
  readonly padLength?: number | undefined
}

export interface Headers {
  readonly _tag: "Headers"
  readonly streamId: number
  readonly fragment: Uint8Array
  readonly endStream: boolean
  readonly endHeaders: boolean
  readonly priority?: StreamPriority | undefined
  readonly padLength?: number | undefined
}

export interface Priority {
  readonly _tag: "Priority"
  readonly streamId: number
  readonly priority: StreamPriority
}

export interface RstStream {
  readonly _tag: "RstStream"
  readonly streamId: number
  readonly code: number
}

export interface SettingsFrame {
  readonly _tag: "Settings"
  readonly settings: Partial<Settings.Settings>
}

export interface SettingsAck {
  readonly _tag: "SettingsAck"
}

export interface PushPromise {
  readonly _tag: "PushPromise"
  readonly streamId: number
  readonly promisedStreamId: number
  readonly fragment: Uint8Array
  readonly endHeaders: boolean
  readonly padLength?: number | undefined
}

export interface Ping {
  readonly _tag: "Ping"
  readonly data: Uint8Array
}

export interface Pong {
  readonly _tag: "Pong"
  readonly data: Uint8Array
}

export interface GoAway {
  readonly _tag: "GoAway"
  readonly lastStreamId: number
  readonly code: number
  readonly debugData: Uint8Array
}

export interface WindowUpdate {
  readonly _tag: "WindowUpdate"
  readonly streamId: number
  readonly increment: number
}

export interface Continuation {
  readonly _tag: "Continuation"
  readonly streamId: number
  readonly fragment: Uint8Array
  readonly endHeaders: boolean
}

export interface Unknown {
  readonly _tag: "Unknown"
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Uint8Array
}

export type Frame =
  | Data
  | Headers
  | Priority
  | RstStream
  | SettingsFrame
  | SettingsAck
  | PushPromise
  | Ping
  | Pong
  | GoAway
  | WindowUpdate
  | Continuation
  | Unknown

export const Type = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9
} as const

const typeNames = Object.keys(Type)

// END_STREAM and ACK are the same bit, of different frames.
const endStream = 0x1
const ack = 0x1
const endHeaders = 0x4
const padded = 0x8
const hasPriority = 0x20

export const headerLength = 9
export const largestStreamId = 2 ** 31 - 1

// ---------------------------------------------------------------------------------------------------------------------
// Received
// ---------------------------------------------------------------------------------------------------------------------

export interface Header {
  readonly length: number
  readonly type: number
  readonly flags: number
  readonly streamId: number
}

/** The header of a frame of which nine bytes are there. The reserved bit of the stream identifier means nothing. */
export const headerOf = (input: Codec.ByteBuffer): Header => ({
  length: (input.at(0) << 16) | (input.at(1) << 8) | input.at(2),
  type: input.at(3),
  flags: input.at(4),
  streamId: ((input.at(5) & 0x7f) << 24) | (input.at(6) << 16) | (input.at(7) << 8) | input.at(8)
})

/** Whether it is SETTINGS or PING with the flag ACK. */
const isAck = ({ flags }: Header): boolean => (flags & ack) !== 0

/** A frame by its header, for errors: the payload may hold what nobody else should see. */
export const describeHeader = ({ flags, length, streamId, type }: Header): string =>
  `${typeNames[type] ?? `type 0x${type.toString(16)}`} on stream ${streamId} with flags 0x${
    flags.toString(16)
  } and ${length} bytes`

/** What a header must be like, before anything behind it is waited for. */
interface Rule {
  readonly stream: "connection" | "stream" | "any"
  readonly least: number
  readonly most: number
}

const rule = (stream: Rule["stream"], least: number, most = Infinity): Rule => ({ stream, least, most })

// By the type of the frame.
const rules: ReadonlyArray<Rule> = [
  rule("stream", 0),
  rule("stream", 0),
  rule("stream", 5, 5),
  rule("stream", 4, 4),
  rule("connection", 0),
  rule("stream", 4),
  rule("connection", 8, 8),
  rule("connection", 8),
  rule("any", 4, 4),
  rule("stream", 0)
]

/**
 * What is wrong with a frame by its header alone.
 *
 * An error of one stream that the sizes of PRIORITY, RST_STREAM and WINDOW_UPDATE are is an error of the connection here:
 * streams are not known, and a peer that miscounts these has lost its way.
 */
export const checkHeader = (header: Header): Codec.MalformedFrame | undefined => {
  const { length, streamId, type } = header
  if (type >= rules.length) return undefined
  const { least, most, stream } = rules[type]
  const wrong = (code: "FRAME_SIZE_ERROR" | "PROTOCOL_ERROR", problem: string) =>
    violation(code, problem, describeHeader(header))
  if (stream === "stream" && streamId === 0) return wrong("PROTOCOL_ERROR", "this frame belongs to a stream")
  if (stream === "connection" && streamId !== 0) {
    return wrong("PROTOCOL_ERROR", "this frame belongs to the connection, stream 0")
  }
  if (type === Type.SETTINGS && isAck(header) && length !== 0) {
    return wrong("FRAME_SIZE_ERROR", "an acknowledgement of SETTINGS has no payload")
  }
  if (type === Type.SETTINGS && length % 6 !== 0) {
    return wrong("FRAME_SIZE_ERROR", "the payload of SETTINGS is a multiple of 6 bytes")
  }
  if (length < least) return wrong("FRAME_SIZE_ERROR", `the payload has at least ${least} bytes`)
  if (length > most) return wrong("FRAME_SIZE_ERROR", `the payload has ${most} bytes`)
  return undefined
}

const uint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0

const streamIdAt = (bytes: Uint8Array, at: number): number => uint32(bytes, at) & largestStreamId

const priorityAt = (bytes: Uint8Array, at: number): StreamPriority => ({
  exclusive: (bytes[at] & 0x80) !== 0,
  dependsOn: streamIdAt(bytes, at),
  weight: bytes[at + 4] + 1
})

type Decoded<A extends Frame = Frame> = Result.Result<A, Codec.CodecError>

/** What is left of a payload without its padding, or of how much padding there is too much. */
const unpad = (header: Header, payload: Uint8Array, fixed: number): Result.Result<Uint8Array, Codec.MalformedFrame> => {
  if ((header.flags & padded) === 0) {
    return payload.length < fixed
      ? Result.fail(violation("FRAME_SIZE_ERROR", "the payload is too short for its flags", describeHeader(header)))
      : Result.succeed(payload)
  }
  if (payload.length < 1 + fixed) {
    return Result.fail(
      violation("FRAME_SIZE_ERROR", "the payload is too short for its flags", describeHeader(header))
    )
  }
  const end = payload.length - payload[0]
  return end < 1 + fixed
    ? Result.fail(violation("PROTOCOL_ERROR", "the padding is longer than the payload", describeHeader(header)))
    : Result.succeed(payload.subarray(1, end))
}

const padding = (header: Header, payload: Uint8Array): { readonly padLength?: number } =>
  (header.flags & padded) === 0 ? {} : { padLength: payload[0] }

const headersOf = (header: Header, payload: Uint8Array): Decoded => {
  const prioritized = (header.flags & hasPriority) !== 0
  const rest = unpad(header, payload, prioritized ? 5 : 0)
  if (Result.isFailure(rest)) return Result.fail(rest.failure)
  return Result.succeed({
    _tag: "Headers",
    streamId: header.streamId,
    fragment: prioritized ? rest.success.subarray(5) : rest.success,
    endStream: (header.flags & endStream) !== 0,
    endHeaders: (header.flags & endHeaders) !== 0,
    ...(prioritized ? { priority: priorityAt(rest.success, 0) } : {}),
    ...padding(header, payload)
  })
}

const pushPromiseOf = (header: Header, payload: Uint8Array): Decoded => {
  const rest = unpad(header, payload, 4)
  if (Result.isFailure(rest)) return Result.fail(rest.failure)
  return Result.succeed({
    _tag: "PushPromise",
    streamId: header.streamId,
    promisedStreamId: streamIdAt(rest.success, 0),
    fragment: rest.success.subarray(4),
    endHeaders: (header.flags & endHeaders) !== 0,
    ...padding(header, payload)
  })
}

/** The frame of a header that was checked and its payload. The bytes of the frame are views of the payload. */
export const parse = (header: Header, payload: Uint8Array): Decoded => {
  const { flags, streamId, type } = header
  switch (type) {
    case Type.DATA: {
      const data = unpad(header, payload, 0)
      if (Result.isFailure(data)) return Result.fail(data.failure)
      return Result.succeed({
        _tag: "Data",
        streamId,
        data: data.success,
        endStream: (flags & endStream) !== 0,
        ...padding(header, payload)
      })
    }
    case Type.HEADERS:
      return headersOf(header, payload)
    case Type.PRIORITY:
      return Result.succeed({ _tag: "Priority", streamId, priority: priorityAt(payload, 0) })
    case Type.RST_STREAM:
      return Result.succeed({ _tag: "RstStream", streamId, code: uint32(payload, 0) })
    case Type.SETTINGS: {
      if (isAck(header)) return Result.succeed({ _tag: "SettingsAck" })
      const settings = Settings.decode(payload)
      return settings instanceof Codec.MalformedFrame
        ? Result.fail(settings)
        : Result.succeed({ _tag: "Settings", settings })
    }
    case Type.PUSH_PROMISE:
      return pushPromiseOf(header, payload)
    case Type.PING:
      return Result.succeed({ _tag: isAck(header) ? "Pong" : "Ping", data: payload })
    case Type.GOAWAY:
      return Result.succeed({
        _tag: "GoAway",
        lastStreamId: streamIdAt(payload, 0),
        code: uint32(payload, 4),
        debugData: payload.subarray(8)
      })
    case Type.WINDOW_UPDATE: {
      const increment = streamIdAt(payload, 0)
      return increment === 0
        ? Result.fail(violation("PROTOCOL_ERROR", "a window grows by at least 1", describeHeader(header)))
        : Result.succeed({ _tag: "WindowUpdate", streamId, increment })
    }
    case Type.CONTINUATION:
      return Result.succeed({
        _tag: "Continuation",
        streamId,
        fragment: payload,
        endHeaders: (flags & endHeaders) !== 0
      })
    default:
      return Result.succeed({ _tag: "Unknown", type, flags, streamId, payload })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Sent
// ---------------------------------------------------------------------------------------------------------------------

const isWithin = (value: number, least: number, most: number): boolean =>
  Number.isInteger(value) && value >= least && value <= most

const isStream = (id: number): boolean => isWithin(id, 1, largestStreamId)

const isUint32 = (value: number): boolean => isWithin(value, 0, 2 ** 32 - 1)

const nothing: Uint8Array = new Uint8Array(0)

/** The parts of a frame: what stands before its longest part, that part, and how much padding is behind it. */
interface Parts {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly head: Uint8Array
  readonly body: Uint8Array
  readonly pad: number
}

const parts = (type: number, flags: number, streamId: number, body: Uint8Array, head = nothing, pad = 0): Parts => ({
  type,
  flags,
  streamId,
  head,
  body,
  pad
})

const uint32s = (...values: ReadonlyArray<number>): Uint8Array => {
  const bytes = new Uint8Array(4 * values.length)
  const view = new DataView(bytes.buffer)
  values.forEach((value, i) => view.setUint32(4 * i, value))
  return bytes
}

const priorityBytes = ({ dependsOn, exclusive, weight }: StreamPriority): Uint8Array => {
  const bytes = new Uint8Array(5)
  new DataView(bytes.buffer).setUint32(0, (exclusive ? 2 ** 31 : 0) + dependsOn)
  bytes[4] = weight - 1
  return bytes
}

const isPriority = ({ dependsOn, weight }: StreamPriority): boolean =>
  isWithin(dependsOn, 0, largestStreamId) && isWithin(weight, 1, 256)

/** The fields before a header block or data: the length of the padding, where there is some, and then these. */
const headWith = (padLength: number | undefined, fields: Uint8Array): Uint8Array => {
  if (padLength === undefined) return fields
  const head = new Uint8Array(1 + fields.length)
  head[0] = padLength
  head.set(fields, 1)
  return head
}

const flag = (isSet: boolean, bit: number): number => isSet ? bit : 0

/** The parts of a frame, or what is wrong with it. */
const partsOf = (frame: Frame): Parts | string => {
  if ("streamId" in frame && !isStream(frame.streamId)) {
    const onConnection = frame.streamId === 0 && (frame._tag === "WindowUpdate" || frame._tag === "Unknown")
    if (!onConnection) return "it needs a stream identifier from 1 to 2^31-1"
  }
  if ("padLength" in frame && frame.padLength !== undefined && !isWithin(frame.padLength, 0, 255)) {
    return "its padding has from 0 to 255 bytes"
  }
  switch (frame._tag) {
    case "Data": {
      const flags = flag(frame.endStream, endStream) | flag(frame.padLength !== undefined, padded)
      const head = headWith(frame.padLength, nothing)
      return parts(Type.DATA, flags, frame.streamId, frame.data, head, frame.padLength)
    }
    case "Headers": {
      const { fragment, padLength, priority, streamId } = frame
      if (priority !== undefined && !isPriority(priority)) return "its weight is from 1 to 256"
      const flags = flag(frame.endStream, endStream) | flag(frame.endHeaders, endHeaders) |
        flag(padLength !== undefined, padded) | flag(priority !== undefined, hasPriority)
      const head = headWith(padLength, priority === undefined ? nothing : priorityBytes(priority))
      return parts(Type.HEADERS, flags, streamId, fragment, head, padLength)
    }
    case "Priority":
      return isPriority(frame.priority)
        ? parts(Type.PRIORITY, 0, frame.streamId, priorityBytes(frame.priority))
        : "its weight is from 1 to 256"
    case "RstStream":
      return isUint32(frame.code)
        ? parts(Type.RST_STREAM, 0, frame.streamId, uint32s(frame.code))
        : "its error code has 32 bits"
    case "Settings":
      return Settings.problemOf(frame.settings) ?? parts(Type.SETTINGS, 0, 0, Settings.encode(frame.settings))
    case "SettingsAck":
      return parts(Type.SETTINGS, ack, 0, nothing)
    case "PushPromise": {
      const { fragment, padLength, promisedStreamId, streamId } = frame
      if (!isStream(promisedStreamId)) return "it needs a promised stream identifier from 1 to 2^31-1"
      const flags = flag(frame.endHeaders, endHeaders) | flag(padLength !== undefined, padded)
      return parts(
        Type.PUSH_PROMISE,
        flags,
        streamId,
        fragment,
        headWith(padLength, uint32s(promisedStreamId)),
        padLength
      )
    }
    case "Ping":
    case "Pong":
      return frame.data.length === 8
        ? parts(Type.PING, flag(frame._tag === "Pong", ack), 0, frame.data)
        : "it has 8 bytes of data"
    case "GoAway":
      return isWithin(frame.lastStreamId, 0, largestStreamId) && isUint32(frame.code)
        ? parts(Type.GOAWAY, 0, 0, frame.debugData, uint32s(frame.lastStreamId, frame.code))
        : "its stream identifier has 31 bits and its error code 32"
    case "WindowUpdate":
      return isWithin(frame.increment, 1, Settings.largestWindow)
        ? parts(Type.WINDOW_UPDATE, 0, frame.streamId, uint32s(frame.increment))
        : "its increment is from 1 to 2^31-1"
    case "Continuation":
      return parts(Type.CONTINUATION, flag(frame.endHeaders, endHeaders), frame.streamId, frame.fragment)
    case "Unknown":
      return isWithin(frame.type, rules.length, 255) && isWithin(frame.flags, 0, 255)
        ? parts(frame.type, frame.flags, frame.streamId, frame.payload)
        : `its type is from ${rules.length} to 255 and its flags are a byte`
  }
}

/** A frame of so few bytes is copied to stand in one array with its header; for longer ones a copy costs more. */
const smallFrame = 2048

/** Appends a frame, or returns why it cannot be sent to a peer that takes payloads of at most `maxFrameSize`. */
export const encode = (
  frame: Frame,
  maxFrameSize: number,
  into: { readonly bytes: (bytes: Uint8Array) => void }
): Result.Result<void, Codec.CodecError> | undefined => {
  const made = partsOf(frame)
  if (typeof made === "string") return Result.fail(unencodable("PROTOCOL_ERROR", made, describe(frame)))
  const { body, flags, head, pad, streamId, type } = made
  const length = head.length + body.length + pad
  if (length > maxFrameSize) {
    return Result.fail(new Codec.FrameTooLarge({ limit: maxFrameSize, excerpt: describe(frame), fault: "local" }))
  }
  const inOne = length <= smallFrame
  const bytes = new Uint8Array(headerLength + head.length + (inOne ? body.length + pad : 0))
  bytes[0] = length >> 16
  bytes[1] = length >> 8
  bytes[2] = length
  bytes[3] = type
  bytes[4] = flags
  new DataView(bytes.buffer).setUint32(5, streamId)
  bytes.set(head, headerLength)
  if (inOne) bytes.set(body, headerLength + head.length)
  into.bytes(bytes)
  if (!inOne) {
    into.bytes(body)
    into.bytes(new Uint8Array(pad))
  }
  return undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Shown
// ---------------------------------------------------------------------------------------------------------------------

/** How many bytes of flow control windows a DATA frame takes: padding counts (RFC 9113 6.9.1). */
export const flowControlled = ({ data, padLength }: Data): number =>
  data.length + (padLength === undefined ? 0 : 1 + padLength)

const flagged = (flags: Readonly<Record<string, boolean>>): string =>
  Object.keys(flags).filter((name) => flags[name]).map((name) => ` ${name}`).join("")

const bytesOf = (bytes: Uint8Array): string => `${bytes.length} ${bytes.length === 1 ? "byte" : "bytes"}`

// Header blocks hold cookies and authorizations. Whoever reads them needs the state of HPACK anyway.
const block = (fragment: Uint8Array): string => `${bytesOf(fragment)} ${Excerpt.redacted}`

/** A frame as errors and transcripts show it. */
export const describe = (frame: Frame): string => {
  switch (frame._tag) {
    case "Data":
      return `DATA ${frame.streamId}${flagged({ END_STREAM: frame.endStream })} ${bytesOf(frame.data)}`
    case "Headers":
      return `HEADERS ${frame.streamId}${flagged({ END_STREAM: frame.endStream, END_HEADERS: frame.endHeaders })} ${
        block(frame.fragment)
      }`
    case "Priority":
      return `PRIORITY ${frame.streamId}`
    case "RstStream":
      return `RST_STREAM ${frame.streamId} ${nameOf(frame.code)}`
    case "Settings":
      return `SETTINGS {${Settings.describe(frame.settings)}}`
    case "SettingsAck":
      return "SETTINGS ACK"
    case "PushPromise":
      return `PUSH_PROMISE ${frame.streamId}${
        flagged({ END_HEADERS: frame.endHeaders })
      } of ${frame.promisedStreamId} ${block(frame.fragment)}`
    case "Ping":
      return `PING ${Excerpt.ofBytes(frame.data)}`
    case "Pong":
      return `PING ACK ${Excerpt.ofBytes(frame.data)}`
    case "GoAway":
      return `GOAWAY ${nameOf(frame.code)} after stream ${frame.lastStreamId}${
        frame.debugData.length === 0 ? "" : ` ${Excerpt.ofBytes(frame.debugData)}`
      }`
    case "WindowUpdate":
      return `WINDOW_UPDATE ${frame.streamId} by ${frame.increment}`
    case "Continuation":
      return `CONTINUATION ${frame.streamId}${flagged({ END_HEADERS: frame.endHeaders })} ${block(frame.fragment)}`
    case "Unknown":
      return `type 0x${frame.type.toString(16)} on stream ${frame.streamId} with ${bytesOf(frame.payload)}`
  }
}
