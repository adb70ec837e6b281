/**
 * What an HTTP/2 connection knows, without any IO: which frames may come and go, the settings of both sides and when they
 * take effect, the windows of the connection, and how much a peer may ask for.
 *
 * @internal
 */
import * as Result from "effect/Result"
import { ByteWriter } from "../../Bytes.ts"
import * as Codec from "../../Codec.ts"
import { type Bounds as CalmBounds, Calm } from "./calm.ts"
import { FrameDecoder, type Limits } from "./decoder.ts"
import { type Name, unencodable, violation } from "./errorCode.ts"
import * as Frame from "./frame.ts"
import * as Preface from "./preface.ts"
import * as Settings from "./settings.ts"

/** What is no frame and comes before all frames. */
export interface PrefaceFrame {
  readonly _tag: "Preface"
}

/** What a client begins with: its preface with its first SETTINGS behind it, in one write. */
export interface Start {
  readonly _tag: "Start"
  readonly settings: Frame.SettingsFrame
}

/** What a peer says that does not speak HTTP/2. Nothing behind it is decoded. */
export interface Stranger {
  readonly _tag: "Stranger"
  readonly received: string
}

/** What is received while the connection starts. */
export type Received = Frame.Frame | PrefaceFrame | Stranger

/** What is sent while it does. */
export type Sent = Frame.Frame | Start

export const describe = (frame: Received | Sent): string => {
  switch (frame._tag) {
    case "Preface":
      return "the connection preface"
    case "Start":
      return `the connection preface and ${Frame.describe(frame.settings)}`
    case "Stranger":
      return frame.received
    default:
      return Frame.describe(frame)
  }
}

export type Role = "server" | "client"

export interface Options {
  readonly role: Role
  readonly limits: Omit<Limits, "maxFrameSize">
  readonly calm: CalmBounds
  /** Milliseconds of the clock. */
  readonly now: () => number
}

/** The window of a connection before anything was sent (RFC 9113 6.9.2). No setting changes it. */
const initialWindow = 65_535

/** Settings that were announced, and when. */
interface Announced {
  readonly settings: Partial<Settings.Settings>
  readonly at: number
}

/**
 * | phase | what may come | what comes next |
 * |---|---|---|
 * | `preface`, of a server | the 24 bytes of the client's preface | `first`; `stranger` where something else comes |
 * | `first` | SETTINGS, or GOAWAY of a peer that says no | `open`; `stranger` or `over` where something else comes |
 * | `stranger` | the rest of a line, to show what it is | `over` |
 * | `open` | what the rules of RFC 9113 let come | |
 * | `over` | nothing | |
 *
 * A frame is received once, when it is decoded, also where it is looked at ahead of whoever takes it.
 */
export class Connection implements Codec.Decoder<Received> {
  readonly role: Role
  private readonly now: () => number
  private readonly calm: Calm
  private readonly frames: FrameDecoder
  private phase: "preface" | "first" | "stranger" | "open" | "over"
  // How many of the unread bytes were looked at, so that none is twice.
  private looked = 0
  /** Called when the peer breaks the rules. Nothing is decoded behind that, so it is once. */
  onViolation: ((error: Codec.CodecError) => void) | undefined = undefined

  constructor({ calm, limits, now, role }: Options) {
    this.role = role
    this.now = now
    this.calm = new Calm(calm, now())
    this.frames = new FrameDecoder({ ...limits, maxFrameSize: Settings.defaults.maxFrameSize })
    this.phase = role === "server" ? "preface" : "first"
  }

  // Decoding -----------------------------------------------------------------------------------------------------------

  decode(input: Codec.ByteBuffer): Result.Result<Received, Codec.CodecError> | undefined {
    const result = this.decodeNext(input)
    if (result !== undefined && Result.isFailure(result)) this.onViolation?.(result.failure)
    return result
  }

  private decodeNext(input: Codec.ByteBuffer): Result.Result<Received, Codec.CodecError> | undefined {
    switch (this.phase) {
      case "preface":
        return this.decodePreface(input)
      case "first":
        return this.decodeFirst(input)
      case "stranger":
        return this.decodeStranger(input)
      case "open":
        return this.decodeFrame(input)
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

  private decodeFirst(input: Codec.ByteBuffer): Result.Result<Received, Codec.CodecError> | undefined {
    if (input.length < Frame.headerLength) return undefined
    const header = Frame.headerOf(input)
    if (header.type !== Frame.Type.SETTINGS && header.type !== Frame.Type.GOAWAY) {
      if (Preface.isText(input, Frame.headerLength)) return this.decodeStranger(input)
      this.phase = "over"
      input.skip(Frame.headerLength)
      return Result.succeed({ _tag: "Stranger", received: Frame.describeHeader(header) })
    }
    const result = this.decodeFrame(input)
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

  private decodeFrame(input: Codec.ByteBuffer): Result.Result<Frame.Frame, Codec.CodecError> | undefined {
    const result = this.frames.decode(input)
    if (result === undefined || Result.isFailure(result)) return result
    const wrong = this.receive(result.success)
    return wrong === undefined ? result : Result.fail(wrong)
  }

  // Receiving ----------------------------------------------------------------------------------------------------------

  /** The last stream that the peer has begun. */
  lastPeerStream = 0
  private lastOwnStream = 0
  private lastGoAway = Infinity
  /** How many bytes of DATA the peer takes on this connection, and how many this side does. */
  sendWindow = initialWindow
  receiveWindow = initialWindow

  /** What is wrong with a frame that has come, or what it changes. */
  private receive(frame: Frame.Frame): Codec.MalformedFrame | undefined {
    const wrong = (code: Name, problem: string) => violation(code, problem, Frame.describe(frame))
    if (isCheap(frame) && !this.calm.take(this.now())) {
      return wrong("ENHANCE_YOUR_CALM", "the peer sends too many frames that ask for work and carry nothing")
    }
    switch (frame._tag) {
      case "Data": {
        this.receiveWindow -= Frame.flowControlled(frame)
        if (this.receiveWindow < 0) return wrong("FLOW_CONTROL_ERROR", "the window of the connection is exceeded")
        return this.isPushed(frame.streamId) || this.isIdle(frame.streamId)
          ? wrong("PROTOCOL_ERROR", "the stream takes no DATA of the peer")
          : undefined
      }
      case "Headers": {
        const { streamId } = frame
        if (this.role === "server" && !this.isPeers(streamId)) {
          return wrong("PROTOCOL_ERROR", "the streams of a client have odd identifiers")
        }
        if (this.role === "server") this.lastPeerStream = Math.max(this.lastPeerStream, streamId)
        return this.isIdle(streamId) ? wrong("PROTOCOL_ERROR", "the stream was not begun") : undefined
      }
      case "RstStream":
        return this.isIdle(frame.streamId) ? wrong("PROTOCOL_ERROR", "the stream was not begun") : undefined
      case "WindowUpdate":
        if (frame.streamId !== 0) {
          return this.isIdle(frame.streamId) ? wrong("PROTOCOL_ERROR", "the stream was not begun") : undefined
        }
        this.sendWindow += frame.increment
        return this.sendWindow > Settings.largestWindow
          ? wrong("FLOW_CONTROL_ERROR", "the window of the connection exceeds 2^31-1")
          : undefined
      case "PushPromise": {
        const { promisedStreamId, streamId } = frame
        if (this.role === "server") return wrong("PROTOCOL_ERROR", "a client promises nothing")
        if (!this.effective.enablePush) return wrong("PROTOCOL_ERROR", "this side has disabled push")
        if (this.isPeers(streamId) || this.isIdle(streamId)) return wrong("PROTOCOL_ERROR", "the stream was not begun")
        if (!this.isPeers(promisedStreamId) || promisedStreamId <= this.lastPeerStream) {
          return wrong("PROTOCOL_ERROR", "a promised stream is even and comes after those before it")
        }
        this.lastPeerStream = promisedStreamId
        return undefined
      }
      case "Settings":
        return this.hear(frame)
      case "SettingsAck": {
        const announced = this.pending.shift()
        if (announced === undefined) return wrong("PROTOCOL_ERROR", "there is nothing to acknowledge")
        this.effective = { ...this.effective, ...announced.settings }
        this.frames.limits = { ...this.frames.limits, maxFrameSize: this.effective.maxFrameSize }
        return undefined
      }
      case "GoAway": {
        const { lastStreamId } = frame
        if (lastStreamId > this.lastGoAway) {
          return wrong("PROTOCOL_ERROR", "a GOAWAY takes back what the one before it has said")
        }
        this.lastGoAway = lastStreamId
        return undefined
      }
      default:
        return undefined
    }
  }

  private isPeers(streamId: number): boolean {
    return streamId % 2 === (this.role === "server" ? 1 : 0)
  }

  /** Whether it is a stream of a server's own, on which a client has nothing to say but that it does not want it. */
  private isPushed(streamId: number): boolean {
    return this.role === "server" && !this.isPeers(streamId)
  }

  private isIdle(streamId: number): boolean {
    return streamId > (this.isPeers(streamId) ? this.lastPeerStream : this.lastOwnStream)
  }

  // Settings -----------------------------------------------------------------------------------------------------------

  /** What this side has announced. */
  local: Settings.Settings = Settings.defaults
  /** What the peer has announced and this side has acknowledged, or is about to: the encoder keeps to it. */
  remote: Settings.Settings = Settings.defaults
  /** What the peer has acknowledged. The decoder keeps to it. */
  private effective: Settings.Settings = Settings.defaults
  private readonly pending: Array<Announced> = []
  /** What the peer has announced, with what nobody has acknowledged yet. */
  private heard: Settings.Settings = Settings.defaults
  private readonly unanswered: Array<Frame.SettingsFrame> = []
  /** How many acknowledgements are to be sent. */
  private acknowledgementsDue = 0
  private hasHeard = false

  /** Whether the peer has acknowledged all that was announced. */
  get isAcknowledged(): boolean {
    return this.pending.length === 0
  }

  /** Since when the oldest announcement waits to be acknowledged. */
  get waitsSince(): number | undefined {
    return this.pending[0]?.at
  }

  private hear(frame: Frame.SettingsFrame): Codec.MalformedFrame | undefined {
    const { enableConnectProtocol, enablePush, noRfc7540Priorities } = frame.settings
    const wrong = (problem: string) => violation("PROTOCOL_ERROR", problem, Frame.describe(frame))
    if (this.role === "client" && enablePush === true) return wrong("a server does not enable push")
    if (enableConnectProtocol === false && this.heard.enableConnectProtocol) {
      return wrong("ENABLE_CONNECT_PROTOCOL is not taken back")
    }
    if (this.hasHeard && (noRfc7540Priorities ?? this.heard.noRfc7540Priorities) !== this.heard.noRfc7540Priorities) {
      return wrong("NO_RFC7540_PRIORITIES is not changed later")
    }
    this.hasHeard = true
    this.heard = { ...this.heard, ...frame.settings }
    this.unanswered.push(frame)
    return undefined
  }

  /** Whether a SETTINGS frame is to be acknowledged now. It takes effect. */
  acknowledges(frame: Frame.SettingsFrame): boolean {
    if (this.unanswered[0] !== frame) return false
    this.unanswered.shift()
    this.acknowledgementsDue++
    this.remote = { ...this.remote, ...frame.settings }
    return true
  }

  /** The one SETTINGS frame that may be encoded now. */
  private announcing: Frame.SettingsFrame | undefined = undefined

  /** A SETTINGS frame that is sent next. It can be encoded once. */
  announce(settings: Partial<Settings.Settings>): Frame.SettingsFrame {
    return this.announcing = { _tag: "Settings", settings }
  }

  // Sending ------------------------------------------------------------------------------------------------------------

  /** The stream of a header block that is not sent to its end, in which nothing else may be sent. */
  private sending: number | undefined = undefined
  /** What the connection has to say of its own accord meanwhile. */
  private readonly deferred = new ByteWriter()

  get codec(): Codec.Codec<Received, Sent> {
    return Codec.make<Received, Sent>({
      maxLength: Infinity, // the decoder has its limits
      decoder: () => this,
      encode: (frame, into) => {
        if (frame._tag !== "Start") return this.encode(frame, into)
        // Not the one that every connection has: whoever receives it may own it.
        into.bytes(Preface.preface.slice())
        return this.encode(frame.settings, into)
      }
    })
  }

  private encode(frame: Frame.Frame, into: Codec.ByteWriter): Result.Result<void, Codec.CodecError> | undefined {
    const wrong = this.problemOf(frame)
    if (wrong !== undefined) return Result.fail(wrong)
    const waits = this.sending !== undefined && isOwnAffair(frame)
    const failure = Frame.encode(frame, this.remote.maxFrameSize, waits ? this.deferred : into)
    if (failure !== undefined) return failure
    this.sent(frame)
    if (this.sending === undefined) into.bytes(this.deferred.finishBytes())
    return undefined
  }

  /** Why a frame must not be sent now. What streams are about is up to whoever has them. */
  private problemOf(frame: Frame.Frame): Codec.MalformedFrame | undefined {
    const wrong = (code: Name, problem: string) => unencodable(code, problem, Frame.describe(frame))
    const isDue = frame._tag === "Continuation"
      ? frame.streamId === this.sending
      : this.sending === undefined || isOwnAffair(frame)
    if (!isDue) {
      return wrong(
        "PROTOCOL_ERROR",
        this.sending === undefined
          ? "there is no header block to continue"
          : `the header block of stream ${this.sending} comes first; it is sent with one sendAll`
      )
    }
    switch (frame._tag) {
      case "Settings": {
        const { enableConnectProtocol, enablePush } = frame.settings
        return frame !== this.announcing
          ? wrong("INTERNAL_ERROR", "settings are sent by changeSettings")
          : this.role === "server" && enablePush === true
          ? wrong("PROTOCOL_ERROR", "a server does not enable push")
          : enableConnectProtocol === false && this.local.enableConnectProtocol
          ? wrong("PROTOCOL_ERROR", "ENABLE_CONNECT_PROTOCOL is not taken back")
          : undefined
      }
      case "SettingsAck":
        return this.acknowledgementsDue > 0 ? undefined : wrong("PROTOCOL_ERROR", "there is nothing to acknowledge")
      case "Data":
        return Frame.flowControlled(frame) > Math.max(0, this.sendWindow)
          ? wrong("FLOW_CONTROL_ERROR", `the peer takes ${this.sendWindow} bytes now`)
          : undefined
      case "WindowUpdate":
        return frame.streamId === 0 && this.receiveWindow + frame.increment > Settings.largestWindow
          ? wrong("FLOW_CONTROL_ERROR", "the window of the connection would exceed 2^31-1")
          : undefined
      case "PushPromise":
        return this.role === "client"
          ? wrong("PROTOCOL_ERROR", "a client promises nothing")
          : this.remote.enablePush
          ? undefined
          : wrong("PROTOCOL_ERROR", "the client has disabled push")
      default:
        return undefined
    }
  }

  private sent(frame: Frame.Frame): void {
    switch (frame._tag) {
      case "Data":
        this.sendWindow -= Frame.flowControlled(frame)
        return
      case "Headers":
        if (!this.isPeers(frame.streamId)) this.lastOwnStream = Math.max(this.lastOwnStream, frame.streamId)
        this.sending = frame.endHeaders ? undefined : frame.streamId
        return
      case "PushPromise":
        this.lastOwnStream = Math.max(this.lastOwnStream, frame.promisedStreamId)
        this.sending = frame.endHeaders ? undefined : frame.streamId
        return
      case "Continuation":
        if (frame.endHeaders) this.sending = undefined
        return
      case "WindowUpdate":
        if (frame.streamId === 0) this.receiveWindow += frame.increment
        return
      case "SettingsAck":
        this.acknowledgementsDue--
        return
      case "Settings":
        this.announcing = undefined
        this.local = { ...this.local, ...frame.settings }
        this.pending.push({ settings: frame.settings, at: this.now() })
    }
  }
}

/** Frames that cost their sender nothing, and that no window and no number of streams bounds. */
const isCheap = (frame: Frame.Frame): boolean => {
  switch (frame._tag) {
    case "Data":
      return frame.data.length === 0 && !frame.endStream
    case "Ping":
    case "Pong":
    case "Priority":
    case "RstStream":
    case "Settings":
    case "GoAway":
    case "Unknown":
      return true
    default:
      return false
  }
}

/** What the connection says of its own accord, whatever its user is saying. */
const isOwnAffair = ({ _tag }: Frame.Frame): boolean =>
  _tag === "Pong" || _tag === "SettingsAck" || _tag === "GoAway" || _tag === "Settings"
