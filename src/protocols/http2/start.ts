/**
 * How an HTTP/2 connection begins (RFC 9113 3.4), and what comes in the place of that.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Frame from "./frame.ts"
import * as Preface from "./preface.ts"
import type { Role } from "./role.ts"

/** What is no frame and comes before all frames. */
interface PrefaceFrame {
  readonly _tag: "Preface"
}

/** What a peer says that does not speak HTTP/2. Nothing behind it is decoded. */
export interface Stranger {
  readonly _tag: "Stranger"
  readonly received: string
}

/** What is received while the connection starts. */
export type Received = Frame.Frame | PrefaceFrame | Stranger

/**
 * | phase | what may come | what comes next |
 * |---|---|---|
 * | `preface`, of a server | the 24 bytes of the client's preface | `first`; `stranger` where something else comes |
 * | `first` | SETTINGS, or GOAWAY of a peer that says no | `open`; `stranger` or `over` where something else comes |
 * | `stranger` | the rest of a line, to show what it is | `over` |
 * | `open` | what the rules of RFC 9113 let come | |
 * | `over` | nothing | |
 */
export class Starting implements Codec.Decoder<Received> {
  private readonly frames: Codec.Decoder<Frame.Frame>
  private phase: "preface" | "first" | "stranger" | "open" | "over"
  // How many of the unread bytes were looked at, so that none is twice.
  private looked = 0

  constructor(role: Role, frames: Codec.Decoder<Frame.Frame>) {
    this.frames = frames
    // 3.4: only a client has a preface before its SETTINGS.
    this.phase = role === "server" ? "preface" : "first"
  }

  decode(input: Codec.ByteBuffer): Result.Result<Received, Codec.CodecError> | undefined {
    switch (this.phase) {
      case "preface":
        return this.decodePreface(input)
      case "first":
        return this.decodeFirst(input)
      case "stranger":
        return this.decodeStranger(input)
      case "open":
        return this.frames.decode(input)
      case "over":
        return undefined
    }
  }

  private decodePreface(input: Codec.ByteBuffer): Result.Result<Received, Codec.CodecError> | undefined {
    const difference = Preface.firstDifference(input, this.looked)
    if (difference !== -1) {
      this.looked = difference
      return this.decodeStranger(input)
    }
    this.looked = Math.min(input.length, Preface.preface.length)
    if (this.looked < Preface.preface.length) return undefined
    input.skip(Preface.preface.length)
    this.looked = 0
    this.phase = "first"
    return Result.succeed({ _tag: "Preface" })
  }

  // 3.4: SETTINGS are the first frame of either side. GOAWAY may come before anything else (6.8).
  private decodeFirst(input: Codec.ByteBuffer): Result.Result<Received, Codec.CodecError> | undefined {
    if (input.length < Frame.headerLength) return undefined
    const header = Frame.headerOf(input)
    if (header.type !== Frame.Type.SETTINGS && header.type !== Frame.Type.GOAWAY) {
      if (Preface.isText(input, Frame.headerLength)) return this.decodeStranger(input)
      this.phase = "over"
      input.skip(Frame.headerLength)
      return Result.succeed({ _tag: "Stranger", received: Frame.describeHeader(header) })
    }
    const result = this.frames.decode(input)
    if (result !== undefined) this.phase = "open"
    return result
  }

  private decodeStranger(input: Codec.ByteBuffer): Result.Result<Received, never> | undefined {
    this.phase = "stranger"
    const length = Preface.lengthOfLine(input, this.looked)
    this.looked = input.length
    if (length === undefined) return undefined
    this.phase = "over"
    return Result.succeed({ _tag: "Stranger", received: Preface.describeStranger(input.take(length)) })
  }
}
