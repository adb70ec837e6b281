/**
 * What `serve http2` does with a connection: each request is answered with `200` and a short text.
 *
 * It is here to have something behind the handshake that real clients can talk to. Streams, and what requests say, are not
 * this package's: header blocks are not decoded.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Http2 from "../protocols/Http2.ts"
import type { TransportError } from "../TransportError.ts"

/** How many requests of one connection are under way at most. */
const maxConcurrentStreams = 100

export const settings: Partial<Http2.Settings> = { maxConcurrentStreams }

/** `:status 200`, which is in the static table of HPACK (RFC 7541 A). */
const status200 = Uint8Array.of(0x88)

const largestWindow = 2 ** 31 - 1

/** What may be sent now. */
interface Room {
  readonly settings: { readonly remote: Http2.Settings }
  readonly windows: { readonly send: number }
}

/**
 * | state | `isBlockOpen` | `hasEnded` | `left` |
 * |---|---|---|---|
 * | header block begun | true | whether it ends the stream | undefined |
 * | body of the request | false | false | undefined |
 * | answered | false | true | what of the answer is not sent; gone when it is empty |
 */
interface Exchange {
  isBlockOpen: boolean
  hasEnded: boolean
  left: Uint8Array | undefined
  /** The window of the stream, without what the peer's settings give it: that changes with them. */
  window: number
}

/** The streams of one connection, without IO: what to say to each frame. */
export class Exchanges {
  private readonly body: Uint8Array
  private readonly room: Room
  private readonly streams = new Map<number, Exchange>()
  /** The last stream that was begun. What comes on one before it, and is not there any more, comes too late. */
  private last = 0
  private frames: Array<Http2.Frame> = []

  constructor(body: Uint8Array, room: Room) {
    this.body = body
    this.room = room
  }

  get isIdle(): boolean {
    return this.streams.size === 0
  }

  hear(frames: ReadonlyArray<Http2.Frame>): ReadonlyArray<Http2.Frame> {
    this.frames = []
    for (const frame of frames) this.take(frame)
    this.sendBodies()
    return this.frames
  }

  private take(frame: Http2.Frame): void {
    switch (frame._tag) {
      case "Headers":
        return this.open(frame)
      case "Continuation": {
        const stream = this.streams.get(frame.streamId)
        if (stream !== undefined) this.follow(frame.streamId, stream, frame.endHeaders, stream.hasEnded)
        return
      }
      case "Data":
        return this.takeData(frame)
      case "RstStream":
        this.streams.delete(frame.streamId)
        return
      case "WindowUpdate": {
        const stream = this.streams.get(frame.streamId)
        if (stream === undefined) return
        stream.window += frame.increment
        if (this.windowOf(stream) > largestWindow) this.reset(frame.streamId, Http2.ErrorCode.FLOW_CONTROL_ERROR)
        return
      }
      default:
        return
    }
  }

  private open({ endHeaders, endStream, streamId }: Http2.Headers): void {
    const known = this.streams.get(streamId)
    if (known !== undefined) {
      if (known.hasEnded) return this.reset(streamId, Http2.ErrorCode.STREAM_CLOSED)
      // Trailers end the request; nothing else may come in their place.
      if (!endStream) return this.reset(streamId, Http2.ErrorCode.PROTOCOL_ERROR)
      return this.follow(streamId, known, endHeaders, true)
    }
    if (streamId <= this.last) return
    this.last = streamId
    if (this.streams.size >= maxConcurrentStreams) return this.reset(streamId, Http2.ErrorCode.REFUSED_STREAM)
    const stream: Exchange = { isBlockOpen: true, hasEnded: false, left: undefined, window: 0 }
    this.streams.set(streamId, stream)
    this.follow(streamId, stream, endHeaders, endStream)
  }

  private follow(streamId: number, stream: Exchange, endHeaders: boolean, endStream: boolean): void {
    stream.isBlockOpen = !endHeaders
    stream.hasEnded = endStream
    if (endStream && endHeaders) this.answer(streamId, stream)
  }

  private takeData(frame: Http2.Data): void {
    const length = Http2.flowControlledLength(frame)
    // What is thrown away takes no room, so the peer may send as much again.
    if (length > 0) this.frames.push({ _tag: "WindowUpdate", streamId: 0, increment: length })
    const stream = this.streams.get(frame.streamId)
    if (stream === undefined) return
    if (stream.hasEnded) return this.reset(frame.streamId, Http2.ErrorCode.STREAM_CLOSED)
    if (frame.endStream) return this.follow(frame.streamId, stream, true, true)
    if (length > 0) this.frames.push({ _tag: "WindowUpdate", streamId: frame.streamId, increment: length })
  }

  private reset(streamId: number, code: number): void {
    this.streams.delete(streamId)
    this.frames.push({ _tag: "RstStream", streamId, code })
  }

  private answer(streamId: number, stream: Exchange): void {
    const endStream = this.body.length === 0
    this.frames.push({ _tag: "Headers", streamId, fragment: status200, endStream, endHeaders: true })
    if (endStream) this.streams.delete(streamId)
    else stream.left = this.body
  }

  private windowOf(stream: Exchange): number {
    return this.room.settings.remote.initialWindowSize + stream.window
  }

  /** As much of the answers as the windows let pass, those that were asked for first first. */
  private sendBodies(): void {
    let room = this.room.windows.send
    const { maxFrameSize } = this.room.settings.remote
    for (const [streamId, stream] of this.streams) {
      while (stream.left !== undefined) {
        const length = Math.min(stream.left.length, this.windowOf(stream), room, maxFrameSize)
        if (length <= 0) break
        const endStream = length === stream.left.length
        this.frames.push({ _tag: "Data", streamId, data: stream.left.subarray(0, length), endStream })
        stream.window -= length
        room -= length
        stream.left = endStream ? undefined : stream.left.subarray(length)
        if (endStream) this.streams.delete(streamId)
      }
      if (room <= 0) return
    }
  }
}

/**
 * Answers each request with this text, until the client leaves; or until the server drains and what was asked for is
 * answered.
 */
export const answer = (text: string) => (transport: Http2.Http2Transport): Effect.Effect<void, TransportError> =>
  Effect.suspend(() => {
    const exchanges = new Exchanges(new TextEncoder().encode(text), transport)
    let onIdle: (() => void) | undefined
    const conversation = Stream.runForEachArray(
      transport.incoming,
      (frames) =>
        Effect.andThen(
          transport.sendAll(exchanges.hear(frames)),
          Effect.sync(() => {
            if (exchanges.isIdle) onIdle?.()
          })
        )
    )
    const idle = Effect.callback<void>((resume) => {
      if (exchanges.isIdle) return resume(Effect.void)
      onIdle = () => resume(Effect.void)
    })
    const drained = Http2.whenDraining(transport).pipe(
      Effect.andThen(Http2.shutdown(transport)),
      Effect.andThen(idle)
    )
    return Effect.raceFirst(conversation, drained)
  })
