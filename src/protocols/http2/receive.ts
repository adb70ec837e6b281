/**
 * What an HTTP/2 connection may receive, and what it has heard (RFC 9113). The rules are those that can be told without
 * knowing streams.
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import * as Calm from "./calm.ts"
import { FrameDecoder, type Limits } from "./decoder.ts"
import { type Name, violation } from "./errorCode.ts"
import * as Frame from "./frame.ts"
import { isOf, type Role } from "./role.ts"
import type { Heard, Said } from "./send.ts"
import * as Settings from "./settings.ts"
import { StreamIds } from "./streamIds.ts"

export interface Options {
  readonly role: Role
  readonly limits: Omit<Limits, "maxFrameSize">
  readonly calm: Calm.Bounds
  /** The types of extension frames that are asked for. */
  readonly extensions: ReadonlySet<number>
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
  private readonly calm: Calm.Calm
  private readonly extensions: ReadonlySet<number>
  private readonly frames: FrameDecoder

  constructor({ calm, extensions, limits, now, role }: Options, said: () => Said) {
    this.role = role
    this.now = now
    this.said = said
    this.calm = new Calm.Calm(calm, now())
    this.extensions = extensions
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
    const flood = this.floodOf(frame)
    if (flood !== undefined) return wrong("ENHANCE_YOUR_CALM", flood)
    switch (frame._tag) {
      // 6.9.1: the window is kept to; 6.1: a stream has to be open for DATA.
      case "Data": {
        const { data, endStream, streamId } = frame
        this.data += Frame.flowControlled(frame)
        if (data.length > 0) this.dataFrames++
        if (this.receiveWindow < 0) return wrong("FLOW_CONTROL_ERROR", "the window of the connection is exceeded")
        if (this.isPushed(streamId) || this.isIdle(streamId)) {
          return wrong("PROTOCOL_ERROR", "the stream takes no DATA of the peer")
        }
        if (this.hasEnded(streamId)) return wrong("STREAM_CLOSED", "the peer has ended the stream")
        if (endStream) this.end(streamId)
        return undefined
      }
      // 5.1.1: a client begins odd streams that go up, and a server none without a promise; 5.1: what has ended is over.
      case "Headers": {
        const { endStream, streamId } = frame
        if (this.isPushed(streamId)) return wrong("PROTOCOL_ERROR", "the streams of a client have odd identifiers")
        if (this.begins(streamId)) this.begin(streamId)
        if (this.isIdle(streamId)) {
          const isLate = streamId < this.lastStream
          return wrong("PROTOCOL_ERROR", isLate ? "a stream after it was begun before" : "the stream was not begun")
        }
        if (this.hasEnded(streamId)) return wrong("STREAM_CLOSED", "the peer has ended the stream")
        if (endStream) this.end(streamId)
        return undefined
      }
      // 6.4: not for a stream that is idle.
      case "RstStream":
        if (this.isIdle(frame.streamId)) return wrong("PROTOCOL_ERROR", "the stream was not begun")
        if (!isOf(this.role, frame.streamId)) this.resets++
        this.end(frame.streamId)
        return undefined
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
        if (this.hasEnded(streamId)) return wrong("PROTOCOL_ERROR", "the peer has ended the stream")
        // 5.1.1: identifiers grow.
        if (isOf(this.role, promisedStreamId) || promisedStreamId <= this.lastStream) {
          return wrong("PROTOCOL_ERROR", "a promised stream is even and comes after those before it")
        }
        this.begin(promisedStreamId)
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

  // Streams ------------------------------------------------------------------------------------------------------------

  /** What the peer has begun, and what it has ended on its side, by whose streams they are. */
  private readonly begun = new StreamIds()
  private readonly ended = { own: new StreamIds(), peers: new StreamIds() }

  private begin(streamId: number): void {
    this.lastStream = streamId
    this.begun.add(streamId)
    this.streams++
  }

  private end(streamId: number): void {
    this.endedOf(streamId).add(streamId)
  }

  private endedOf(streamId: number): StreamIds {
    return isOf(this.role, streamId) ? this.ended.own : this.ended.peers
  }

  /** Whether the peer may begin streams: a server does so with promises, where this side takes some (8.4). */
  get takesStreams(): boolean {
    return this.role === "server" || this.effective.enablePush
  }

  /** Whether HEADERS begin a stream, which those of a server do not. */
  private begins(streamId: number): boolean {
    return this.role === "server" && streamId > this.lastStream
  }

  /** Whether it is a stream of a server's own, on which a client has nothing to say but that it does not want it. */
  private isPushed(streamId: number): boolean {
    return this.role === "server" && isOf(this.role, streamId)
  }

  /** Whether nobody has begun a stream, or can begin it any more (5.1). */
  private isIdle(streamId: number): boolean {
    return isOf(this.role, streamId)
      ? streamId > this.said().lastStream
      : streamId > this.lastStream || this.begun.has(streamId) === false
  }

  /** Whether the peer has ended a stream or reset it, and has nothing more to say on it (5.1). */
  private hasEnded(streamId: number): boolean {
    return this.endedOf(streamId).has(streamId) === true
  }

  // Floods -------------------------------------------------------------------------------------------------------------

  private streams = 0
  private dataFrames = 0
  /** How many times the peer has reset a stream of its own. */
  private resets = 0
  /** How many streams that this side had to reset were paid for. */
  private blames = 0

  /** What the peer does too much of (10.5). */
  private floodOf(frame: Frame.Frame): string | undefined {
    const said = this.said()
    while (this.blames < said.blames) {
      this.blames++
      if (!this.take("other", said)) return "too many streams of the peer had to be reset"
    }
    if (frame._tag === "Headers" && this.begins(frame.streamId)) {
      return this.isBeyondLimit(said) && !this.take("other", said)
        ? "the peer begins too many streams beyond MAX_CONCURRENT_STREAMS"
        : undefined
    }
    const kind = this.kindOf(frame)
    return kind === undefined || this.take(kind, said)
      ? undefined
      : "the peer sends too many frames that ask for work and carry nothing"
  }

  private take(kind: Calm.Kind, said: Said): boolean {
    return this.calm.take(kind, {
      streams: this.streams + said.begun,
      dataHeard: this.dataFrames,
      dataSaid: said.dataFrames,
      bytesSaid: said.data,
      headersSaid: said.headers,
      pingsSaid: said.pings
    }, this.now())
  }

  /**
   * Whether the peer has as many streams as it may have, or more (5.1.2). What it has acknowledged counts, and a stream that
   * one of both has ended is not counted: it may be over.
   */
  private isBeyondLimit(said: Said): boolean {
    return this.streams - said.ends - this.resets >= this.effective.maxConcurrentStreams
  }

  /** Whether it is a stream of the peer's that was begun after all that this side has answered. */
  private isUnanswered(streamId: number): boolean {
    return !isOf(this.role, streamId) && streamId > this.said().lastAnswered
  }

  /** What a frame is that costs its sender nothing, and that no window bounds. */
  private kindOf(frame: Frame.Frame): Calm.Kind | undefined {
    switch (frame._tag) {
      case "Data":
        return frame.data.length === 0 && !frame.endStream ? "empty" : undefined
      case "Headers":
        return "again"
      // A stream that was promised counts nowhere as one that is open (5.1.2).
      case "PushPromise":
        return "promise"
      case "Priority":
        return "mark"
      case "Unknown":
        // What is asked for is for the service, as DATA are.
        return this.extensions.has(frame.type) && frame.payload.length > 0 ? undefined : "mark"
      case "Ping":
        return "ping"
      case "Pong":
        return "pong"
      case "WindowUpdate":
        return "window"
      case "RstStream":
        return this.isUnanswered(frame.streamId) ? "other" : "reset"
      case "Settings":
      case "GoAway":
        return "other"
      default:
        return undefined
    }
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
