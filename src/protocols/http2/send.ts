/**
 * What an HTTP/2 connection may send, and what it has said (RFC 9113).
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import { ErrorCode, type Name, unencodable } from "./errorCode.ts"
import * as Frame from "./frame.ts"
import * as Preface from "./preface.ts"
import { isOf, type Role } from "./role.ts"
import * as Settings from "./settings.ts"

/** What a client begins with: its preface with its first SETTINGS behind it, in one write. */
export interface Start {
  readonly _tag: "Start"
  readonly settings: Partial<Settings.Settings>
}

/** The SETTINGS of this side. A user has no other way to send some. */
export interface Announce {
  readonly _tag: "Announce"
  readonly settings: Partial<Settings.Settings>
}

export type Sent = Frame.Frame | Start | Announce

/** Settings that were announced, and when. */
interface Announced {
  readonly settings: Partial<Settings.Settings>
  /** Which announcement of this side it is. */
  readonly number: number
  /** In milliseconds of the clock. */
  readonly at: number
}

/**
 * All that sending changes, and nothing that receiving does: what was not sent is undone by going back to the value before.
 *
 * | `block` | what may be sent | what waits in `deferred` |
 * |---|---|---|
 * | undefined: between header blocks | anything but CONTINUATION | nothing |
 * | a stream, whose header block was begun and not ended | CONTINUATION of it | what the connection says of its own accord |
 */
export interface Said {
  readonly block: number | undefined
  readonly deferred: ReadonlyArray<Uint8Array>
  /** The last stream that this side has begun. */
  readonly lastStream: number
  /** How much of the peer's window DATA has taken, and how much this side has let come, beyond the first window. */
  readonly data: number
  readonly granted: number
  /** How many SETTINGS of the peer were acknowledged. */
  readonly acknowledged: number
  /** What was announced, all of it, and the part that was not acknowledged when something was announced last. */
  readonly local: Settings.Settings
  readonly announcements: number
  readonly announced: ReadonlyArray<Announced>
  /** The last stream of the peer that was named when leaving. */
  readonly lastGoAway: number
  /** How many streams of its own this side has begun, and how many frames it has said. */
  readonly begun: number
  readonly headers: number
  readonly dataFrames: number
  readonly pings: number
  /** The last stream of the peer that was answered. */
  readonly lastAnswered: number
  /** How many frames have ended a stream of the peer, at least as far as this side goes. */
  readonly ends: number
  /** How many of them did for what the peer has done. */
  readonly blames: number
}

const nothingSaid: Said = {
  block: undefined,
  deferred: [],
  lastStream: 0,
  data: 0,
  granted: 0,
  acknowledged: 0,
  local: Settings.defaults,
  announcements: 0,
  announced: [],
  lastGoAway: Frame.largestStreamId,
  begun: 0,
  headers: 0,
  dataFrames: 0,
  pings: 0,
  lastAnswered: 0,
  ends: 0,
  blames: 0
}

/** What has been received, as far as it decides what may be sent. */
export interface Heard {
  /** The settings of the peer that this side keeps to. */
  readonly remote: Settings.Settings
  readonly sendWindow: number
  readonly receiveWindow: number
  /** How many SETTINGS are to be acknowledged, and were not. */
  readonly acknowledgementsDue: number
  /** How many announcements of this side the peer has acknowledged. */
  readonly acknowledgements: number
}

export class Sending implements Codec.Encoder<Sent> {
  said: Said = nothingSaid
  /** Called when settings were announced. */
  onAnnounced: (() => void) | undefined = undefined
  private readonly role: Role
  private readonly heard: Heard
  private readonly now: () => number

  constructor(role: Role, heard: Heard, now: () => number) {
    this.role = role
    this.heard = heard
    this.now = now
  }

  checkpoint(): () => void {
    const { said } = this
    return () => {
      this.said = said
    }
  }

  encode(frame: Sent, into: Codec.ByteWriter): Result.Result<void, Codec.CodecError> | undefined {
    switch (frame._tag) {
      case "Start":
        // Not the one that every connection has: whoever receives it may own it.
        into.bytes(Preface.preface.slice())
        return this.announce(frame.settings, into)
      case "Announce":
        return this.announce(frame.settings, into)
      default:
        return this.encodeFrame(frame, into, this.problemOf(frame))
    }
  }

  // 6.5: they take effect as the peer acknowledges them, for which it has some time (6.5.3).
  private announce(
    settings: Partial<Settings.Settings>,
    into: Codec.ByteWriter
  ): Result.Result<void, Codec.CodecError> | undefined {
    const frame: Frame.SettingsFrame = { _tag: "Settings", settings }
    const failure = this.encodeFrame(frame, into, this.problemOfSettings(frame))
    if (failure === undefined) this.onAnnounced?.()
    return failure
  }

  private encodeFrame(
    frame: Frame.Frame,
    into: Codec.ByteWriter,
    problem: Codec.MalformedFrame | undefined
  ): Result.Result<void, Codec.CodecError> | undefined {
    if (problem !== undefined) return Result.fail(problem)
    const { block, deferred } = this.said
    const { maxFrameSize } = this.heard.remote
    if (block !== undefined && isOwnAffair(frame)) {
      const parts = [...deferred]
      const failure = Frame.encode(frame, maxFrameSize, { bytes: (bytes) => parts.push(bytes) })
      if (failure !== undefined) return failure
      this.said = { ...this.said, deferred: parts, ...this.changedBy(frame) }
      return undefined
    }
    const failure = Frame.encode(frame, maxFrameSize, into)
    if (failure !== undefined) return failure
    const changed = this.changedBy(frame)
    if (changed !== undefined) this.said = { ...this.said, ...changed }
    if (deferred.length > 0 && this.said.block === undefined) {
      for (const part of deferred) into.bytes(part)
      this.said = { ...this.said, deferred: [] }
    }
    return undefined
  }

  /** Why a frame must not be sent now. What streams are about is up to whoever has them. */
  private problemOf(frame: Frame.Frame): Codec.MalformedFrame | undefined {
    const { heard, role } = this
    const { block } = this.said
    const wrong = (code: Name, problem: string) => unencodable(code, problem, Frame.describe(frame))
    // 4.3, 6.10: a header block is sent in one piece.
    if (frame._tag === "Continuation" ? frame.streamId !== block : block !== undefined && !isOwnAffair(frame)) {
      return wrong(
        "PROTOCOL_ERROR",
        block === undefined
          ? "there is no header block to continue"
          : `the header block of stream ${block} comes first; it is sent with one sendAll`
      )
    }
    switch (frame._tag) {
      case "Settings":
        return wrong("INTERNAL_ERROR", "settings are sent by changeSettings")
      // 6.5.3: each SETTINGS of the peer is acknowledged once.
      case "SettingsAck":
        return heard.acknowledgementsDue > 0 ? undefined : wrong("PROTOCOL_ERROR", "there is nothing to acknowledge")
      // 6.9.1: no more than the window has room for.
      case "Data":
        return Frame.flowControlled(frame) > Math.max(0, heard.sendWindow)
          ? wrong("FLOW_CONTROL_ERROR", `the peer takes ${heard.sendWindow} bytes now`)
          : undefined
      // 6.9.1: no window exceeds 2^31-1.
      case "WindowUpdate":
        return frame.streamId === 0 && heard.receiveWindow + frame.increment > Settings.largestWindow
          ? wrong("FLOW_CONTROL_ERROR", "the window of the connection would exceed 2^31-1")
          : undefined
      // 6.8: it names a stream of the peer's, and takes back nothing.
      case "GoAway": {
        const { lastStreamId } = frame
        if (lastStreamId !== 0 && isOf(role, lastStreamId)) {
          return wrong("PROTOCOL_ERROR", "the last stream is one that the peer has begun, or may")
        }
        return lastStreamId > this.said.lastGoAway
          ? wrong("PROTOCOL_ERROR", `the last stream was ${this.said.lastGoAway} before, and does not go up`)
          : undefined
      }
      // 8.4: a client cannot push; 6.6: nobody pushes to one that does not want it.
      case "PushPromise":
        return role === "client"
          ? wrong("PROTOCOL_ERROR", "a client promises nothing")
          : heard.remote.enablePush
          ? undefined
          : wrong("PROTOCOL_ERROR", "the client has disabled push")
      default:
        return undefined
    }
  }

  private problemOfSettings(frame: Frame.SettingsFrame): Codec.MalformedFrame | undefined {
    const { enableConnectProtocol, enablePush } = frame.settings
    const wrong = (problem: string) => unencodable("PROTOCOL_ERROR", problem, Frame.describe(frame))
    // 6.5.2: ENABLE_PUSH is a client's to enable.
    if (this.role === "server" && enablePush === true) return wrong("a server does not enable push")
    // RFC 8441 3: once 1, it is never 0.
    return enableConnectProtocol === false && this.said.local.enableConnectProtocol
      ? wrong("ENABLE_CONNECT_PROTOCOL is not taken back")
      : undefined
  }

  private endsWith({ endStream, streamId }: Frame.Data | Frame.Headers): number {
    return this.said.ends + (endStream && !isOf(this.role, streamId) ? 1 : 0)
  }

  private begins(streamId: number): Partial<Said> | undefined {
    const { begun, lastStream } = this.said
    return streamId > lastStream ? { begun: begun + 1, lastStream: streamId } : undefined
  }

  /** What is different when a frame was sent. */
  private changedBy(frame: Frame.Frame): Partial<Said> | undefined {
    const { said } = this
    switch (frame._tag) {
      case "Data":
        return {
          data: said.data + Frame.flowControlled(frame),
          dataFrames: said.dataFrames + (frame.data.length > 0 ? 1 : 0),
          ends: this.endsWith(frame)
        }
      case "Headers":
        return {
          block: frame.endHeaders ? undefined : frame.streamId,
          headers: said.headers + 1,
          ends: this.endsWith(frame),
          ...(isOf(this.role, frame.streamId)
            ? this.begins(frame.streamId)
            : { lastAnswered: Math.max(said.lastAnswered, frame.streamId) })
        }
      case "PushPromise":
        return {
          block: frame.endHeaders ? undefined : frame.streamId,
          ...this.begins(frame.promisedStreamId)
        }
      case "RstStream":
        return isOf(this.role, frame.streamId)
          ? undefined
          : { ends: said.ends + 1, blames: said.blames + (blaming.has(frame.code) ? 1 : 0) }
      case "Ping":
        return { pings: said.pings + 1 }
      case "GoAway":
        return { lastGoAway: frame.lastStreamId }
      case "Continuation":
        return frame.endHeaders ? { block: undefined } : undefined
      case "WindowUpdate":
        return frame.streamId === 0 ? { granted: said.granted + frame.increment } : undefined
      case "SettingsAck":
        return { acknowledged: said.acknowledged + 1 }
      case "Settings": {
        const number = said.announcements + 1
        const { acknowledgements } = this.heard
        return {
          local: { ...said.local, ...frame.settings },
          announcements: number,
          announced: [
            ...said.announced.filter((announced) => announced.number > acknowledgements),
            { settings: frame.settings, number, at: this.now() }
          ]
        }
      }
      default:
        return undefined
    }
  }
}

/**
 * Why a stream is reset for what its peer has done (RFC 9113 7). One that is refused may have come within all limits, and what
 * comes on one that this side has reset, STREAM_CLOSED, may have been on its way.
 */
const blaming: ReadonlySet<number> = new Set([
  ErrorCode.PROTOCOL_ERROR,
  ErrorCode.FLOW_CONTROL_ERROR,
  ErrorCode.FRAME_SIZE_ERROR,
  ErrorCode.COMPRESSION_ERROR,
  ErrorCode.ENHANCE_YOUR_CALM
])

/** What the connection says of its own accord, whatever its user is saying. */
const isOwnAffair = ({ _tag }: Frame.Frame): boolean =>
  _tag === "Pong" || _tag === "SettingsAck" || _tag === "GoAway" || _tag === "Settings"
