/**
 * The error codes of HTTP/2 (RFC 9113 7), and the errors that carry one.
 *
 * @internal
 */
import * as Codec from "../../Codec.ts"
import type * as Handshake from "../../HandshakeError.ts"
import type * as Transport from "../../TransportError.ts"

export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd
} as const

/** The name of a code that is known. */
export type Name = keyof typeof ErrorCode

const names = new Map<number, string>(Object.entries(ErrorCode).map(([name, code]) => [code, name]))

/** The name of a code; one that is not known is shown as a number, and means nothing in particular. */
export const nameOf = (code: number): string => names.get(code) ?? `0x${code.toString(16)}`

/** What the peer did wrong. It ends the connection. */
export const violation = (code: Name, problem: string, excerpt: string): Codec.MalformedFrame =>
  new Codec.MalformedFrame({ problem, excerpt, code, fault: "peer" })

/** What this side asked for and must not send. */
export const unencodable = (code: Name, problem: string, excerpt: string): Codec.MalformedFrame =>
  new Codec.MalformedFrame({ problem, excerpt, code, fault: "local" })

/**
 * The name of the code that belongs to what has gone wrong, or of the one that the peer has told; `undefined` where HTTP/2 has
 * none.
 */
export const nameOfReason = (reason: Handshake.Reason | Transport.Reason): string | undefined => {
  switch (reason._tag) {
    case "MalformedFrame":
    case "Rejected":
      return reason.code
    case "FrameTooLarge":
      return "FRAME_SIZE_ERROR"
    case "InvalidGreeting":
    case "UnexpectedFrame":
      return "PROTOCOL_ERROR"
    // SETTINGS are what is waited for at the start, and their acknowledgement later (7).
    case "Timeout":
      return "SETTINGS_TIMEOUT"
    case "TimedOut":
      return reason.waitedFor === "acknowledgement" ? "SETTINGS_TIMEOUT" : undefined
    default:
      return undefined
  }
}

/** The code that tells the peer of an error of its own. */
export const codeOf = (reason: Handshake.Reason | Transport.Reason): number => {
  const name = nameOfReason(reason)
  return name !== undefined && name in ErrorCode ? ErrorCode[name as Name] : ErrorCode.PROTOCOL_ERROR // it is one of them
}
