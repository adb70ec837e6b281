/**
 * What an HTTP/2 connection may receive, and what it has heard (RFC 9113). The rules are those that can be told without
 * knowing streams.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import { type Bounds as CalmBounds, Calm } from "./calm.ts"
import { FrameDecoder, type Limits } from "./decoder.ts"
import { type Name, violation } from "./errorCode.ts"
import * as Frame from "./frame.ts"
import { isOf, type Role } from "./role.ts"
import type { Heard, Said } from "./send.ts"
import * as Settings from "./settings.ts"

export interface Options {
  readonly role: Role
  readonly limits: Omit<Limits, "maxFrameSize">
  readonly calm: CalmBounds
  /** Milliseconds of the clock. */
  readonly now: () => number
}

/** The window of a connection before anything was sent (RFC 9113 6.9.2). No setting changes it. */
const initialWindow = 65_535

/** A frame is received once, when it is decoded, also where it is looked at ahead of whoever takes it. */
export class Receiving implements Codec.Decoder<Frame.Frame>, Heard {
  private readonly role: Role
  private readonly now: () => number
  private readonly said: () => Said
  private readonly calm: Calm
  private readonly frames: FrameDecoder

  constructor({ calm, limits, now, role }: Options, said: () => Said) {
    this.role = role
    this.now = now
    this.said = said
    this.calm = new Calm(calm, now())
    this.frames = new FrameDecoder({ ...limits, maxFrameSize: Settings.defaults.maxFrameSize })
  }

  decode(input: Codec.ByteBuffer): Result.Result<Frame.Frame, Codec.CodecError> | undefined {
    const result = this.frames.decode(input)
    if (result === undefined || Result.isFailure(result)) return result
    const wrong = this.receive(result.success)
    return wrong === undefined ? result : Result.fail(wrong)
  }

  // Frames -------------------------------------------------------------------------------------------------------------

  /** The last stream that the peer has begun. */
  lastStream = 0
  private lastGoAway = Infinity
  /** How much DATA has come, and how much the peer has let this side send, beyond the first window. */
  private data = 0
  private granted = 0

  /** How many bytes of DATA the peer takes on this connection. */
  get sendWindow(): number {
    return initialWindow + this.granted - this.said().data
  }

  /** How many this side does. */
  get receiveWindow(): number {
    return initialWindow + this.said().granted - this.data
  }

  /** What is wrong with a frame that has come, or what it changes. */
  private receive(frame: Frame.Frame): Codec.MalformedFrame | undefined {
    const wrong = (code: Name, problem: string) => violation(code, problem, Frame.describe(frame))
    // 10.5: what costs its sender nothing is bounded.
    if (isCheap(frame) && !this.calm.take(this.now())) {
      return wrong("ENHANCE_YOUR_CALM", "the peer sends too many frames that ask for work and carry nothing")
    }
    switch (frame._tag) {
      // 6.9.1: the window is kept to; 6.1: a stream has to be open for DATA.
      case "Data":
        this.data += Frame.flowControlled(frame)
        if (this.receiveWindow < 0) return wrong("FLOW_CONTROL_ERROR", "the window of the connection is exceeded")
        return this.isPushed(frame.streamId) || this.isIdle(frame.streamId)
          ? wrong("PROTOCOL_ERROR", "the stream takes no DATA of the peer")
          : undefined
      // 5.1.1: a client begins odd streams, and a server none without a promise.
      case "Headers": {
        const { streamId } = frame
        if (this.role === "server" && isOf(this.role, streamId)) {
          return wrong("PROTOCOL_ERROR", "the streams of a client have odd identifiers")
        }
        if (this.role === "server") this.lastStream = Math.max(this.lastStream, streamId)
        return this.isIdle(streamId) ? wrong("PROTOCOL_ERROR", "the stream was not begun") : undefined
      }
      // 6.4: not for a stream that is idle.
      case "RstStream":
        return this.isIdle(frame.streamId) ? wrong("PROTOCOL_ERROR", "the stream was not begun") : undefined
      // 5.1: not for a stream that is idle; 6.9.1: no window exceeds 2^31-1.
      case "WindowUpdate":
        if (frame.streamId !== 0) {
          return this.isIdle(frame.streamId) ? wrong("PROTOCOL_ERROR", "the stream was not begun") : undefined
        }
        this.granted += frame.increment
        return this.sendWindow > Settings.largestWindow
          ? wrong("FLOW_CONTROL_ERROR", "the window of the connection exceeds 2^31-1")
          : undefined
      // 8.4: a client cannot push; 6.6: nor a server where it is disabled, and on a stream of the client only.
      case "PushPromise": {
        const { promisedStreamId, streamId } = frame
        if (this.role === "server") return wrong("PROTOCOL_ERROR", "a client promises nothing")
        if (!this.effective.enablePush) return wrong("PROTOCOL_ERROR", "this side has disabled push")
        if (!isOf(this.role, streamId) || this.isIdle(streamId)) {
          return wrong("PROTOCOL_ERROR", "the stream was not begun")
        }
        // 5.1.1: identifiers grow.
        if (isOf(this.role, promisedStreamId) || promisedStreamId <= this.lastStream) {
          return wrong("PROTOCOL_ERROR", "a promised stream is even and comes after those before it")
        }
        this.lastStream = promisedStreamId
        return undefined
      }
      case "Settings":
        return this.hear(frame)
      // 6.5.3: in the order in which they were announced.
      case "SettingsAck": {
        const [next] = this.pending
        if (next === undefined) return wrong("PROTOCOL_ERROR", "there is nothing to acknowledge")
        this.acknowledgements = next.number
        this.effective = { ...this.effective, ...next.settings }
        this.frames.limits = { ...this.frames.limits, maxFrameSize: this.effective.maxFrameSize }
        return undefined
      }
      // 6.8: the last stream of a GOAWAY does not grow.
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

  /** Whether it is a stream of a server's own, on which a client has nothing to say but that it does not want it. */
  private isPushed(streamId: number): boolean {
    return this.role === "server" && isOf(this.role, streamId)
  }

  /** Whether nobody has begun a stream (5.1). */
  private isIdle(streamId: number): boolean {
    return streamId > (isOf(this.role, streamId) ? this.said().lastStream : this.lastStream)
  }

  // Settings of this side ----------------------------------------------------------------------------------------------

  /** What the peer has acknowledged. The decoder keeps to it. */
  private effective: Settings.Settings = Settings.defaults
  acknowledgements = 0

  /** What was announced and is not acknowledged, the oldest first. */
  get pending(): Said["announced"] {
    return this.said().announced.filter(({ number }) => number > this.acknowledgements)
  }

  // Settings of the peer -----------------------------------------------------------------------------------------------

  /** What the peer has announced and this side has acknowledged, or is about to: the encoder keeps to it. */
  remote: Settings.Settings = Settings.defaults
  /** What the peer has announced, with what nobody has acknowledged yet. */
  private heard: Settings.Settings = Settings.defaults
  private readonly unanswered: Array<Frame.SettingsFrame> = []
  private answered = 0
  private hasHeard = false

  get acknowledgementsDue(): number {
    return this.answered - this.said().acknowledged
  }

  private hear(frame: Frame.SettingsFrame): Codec.MalformedFrame | undefined {
    const { enableConnectProtocol, enablePush, noRfc7540Priorities } = frame.settings
    const wrong = (problem: string) => violation("PROTOCOL_ERROR", problem, Frame.describe(frame))
    // 6.5.2: ENABLE_PUSH is a client's to enable.
    if (this.role === "client" && enablePush === true) return wrong("a server does not enable push")
    // RFC 8441 3: once 1, it is never 0.
    if (enableConnectProtocol === false && this.heard.enableConnectProtocol) {
      return wrong("ENABLE_CONNECT_PROTOCOL is not taken back")
    }
    // RFC 9218 2.1: it is said at once, or never.
    if (this.hasHeard && (noRfc7540Priorities ?? this.heard.noRfc7540Priorities) !== this.heard.noRfc7540Priorities) {
      return wrong("NO_RFC7540_PRIORITIES is not changed later")
    }
    this.hasHeard = true
    this.heard = { ...this.heard, ...frame.settings }
    this.unanswered.push(frame)
    return undefined
  }

  /** Whether a SETTINGS frame is to be acknowledged now (6.5.3). It takes effect. */
  acknowledges(frame: Frame.SettingsFrame): boolean {
    if (this.unanswered[0] !== frame) return false
    this.unanswered.shift()
    this.answered++
    this.remote = { ...this.remote, ...frame.settings }
    return true
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
