/**
 * The receiving half of a transport without any IO: the unread bytes of a connection and how it ended, and the frames
 * that a decoder makes of them.
 *
 * @internal
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import { ConnectionClosed, type Reason, TransportError, Truncated } from "../../TransportError.ts"
import { ByteBuffer } from "../bytes/buffer.ts"
import { thrownProblem } from "../codec/failures.ts"

/**
 * The bytes of one connection. They outlive every decoder, so that a codec switch finds what the last one left.
 *
 * | state | `end` | `closed` | a frame that is not complete yet |
 * |---|---|---|---|
 * | open | undefined | false | asks for more |
 * | ended by the peer | `ConnectionClosed` by peer | false | fails: `ConnectionClosed` between frames, `Truncated` in one |
 * | broken | `ConnectionFailed` | false | fails with it |
 * | closed on this side | any | true | fails: `ConnectionClosed` by local, and so does a complete one |
 */
export class Inbox {
  readonly unread = new ByteBuffer()
  /** The unread bytes as decoders see them. */
  readonly view: Codec.ByteBuffer
  end: TransportError | undefined = undefined
  closed = false
  /** Of `byteLimit`, where there is one: Infinity is no small integer, and each that a property has is an object on the heap. */
  private limit: number | undefined = undefined
  /** How many bytes an observer has seen. Those that are given back and decoded again are no news. */
  observed = 0

  constructor(view?: (unread: Codec.ByteBuffer) => Codec.ByteBuffer) {
    this.view = view === undefined ? this.unread : view(this.unread)
  }

  /** More bytes than this must not be consumed or kept waiting; counted from the connection's first byte. */
  get byteLimit(): number {
    return this.limit ?? Infinity
  }

  set byteLimit(bytes: number) {
    this.limit = bytes === Infinity ? undefined : bytes
  }

  push(chunk: Uint8Array): void {
    if (this.end === undefined) this.unread.push(chunk)
  }

  /** The first end counts. */
  finish(end: TransportError): void {
    this.end ??= end
  }
}

// Every ordinary end is one of these two; to make an error with its stack for each would be the dearest part of it.
export const closedByPeer = new TransportError({ reason: new ConnectionClosed({ by: "peer" }) })
export const closedHere = new TransportError({ reason: new ConnectionClosed({ by: "local" }) })

const endedByPeer = Exit.fail(closedByPeer)

/** A reason that shows nothing of the frame it is about. */
export const redactReason = (reason: Reason): Reason => {
  switch (reason._tag) {
    case "Truncated":
      return new Truncated({ unread: reason.unread, excerpt: Excerpt.redacted })
    case "FrameTooLarge":
      return new Codec.FrameTooLarge({ limit: reason.limit, excerpt: Excerpt.redacted, fault: reason.fault })
    case "MalformedFrame":
      return new Codec.MalformedFrame({
        problem: "the frame is malformed",
        excerpt: Excerpt.redacted,
        fault: reason.fault
      })
    default:
      return reason
  }
}

/** The error of a failure that is no defect. */
export const errorOf = (exit: Exit.Exit<never, TransportError>): TransportError | undefined =>
  Option.getOrUndefined(Exit.findErrorOption(exit))

export interface Taken<In> {
  readonly frame: In
  /** Unknown for a frame that a sink has made, or has taken long ago. */
  readonly bytes: Uint8Array | undefined
  /** Where its bytes begin, counted from the connection's first byte. */
  readonly start?: number
}

/** What must not be shown to anybody is `secret`; what only no error may show, for it may be a secret said too early, `guarded`. */
export type Secrecy = "secret" | "guarded"

/** The frames of one codec on an inbox. */
export class Frames<In> {
  private readonly inbox: Inbox
  private readonly decoder: Codec.Decoder<In>
  // Frames that a sink took and gave back, oldest first, with their bytes where they are known.
  private returned: Array<Taken<In>> | undefined = undefined
  /** Of what comes now; undefined where anybody may see it. */
  secrecy: Secrecy | undefined = undefined
  private failure: Exit.Exit<never, TransportError> | undefined = undefined
  // The last frame that went to nobody. Where one before it is given back, its bytes are missing between.
  private usedUp: Taken<In> | undefined = undefined

  constructor(inbox: Inbox, decoder: Codec.Decoder<In>) {
    this.inbox = inbox
    this.decoder = decoder
  }

  giveBack(frames: ReadonlyArray<Taken<In>>): void {
    if (frames.length > 0) this.returned = [...frames, ...this.returned ?? []]
  }

  /**
   * Returns the bytes of the frames that were given back to the inbox, for another codec to decode. The result is a
   * frame whose bytes are not known any more, or whose place behind them is lost, if there is one.
   */
  release(): Taken<In> | undefined {
    const { returned } = this
    if (returned === undefined) return undefined
    const lost = returned.find((taken) => taken.bytes === undefined)
    if (lost !== undefined) return lost
    const passed = this.usedUp?.start ?? 0
    if (returned.some(({ start }) => start !== undefined && start < passed)) return this.usedUp
    for (const taken of returned.reverse()) this.inbox.unread.unshift(taken.bytes!)
    this.returned = undefined
    return undefined
  }

  /** How many frames were looked at and wait to be taken. */
  get waiting(): number {
    return this.returned?.length ?? 0
  }

  /** Leaves a frame of `nextAhead` to whoever takes the next one. */
  keep(taken: Taken<In>): void {
    if (this.returned === undefined) this.returned = [taken]
    else this.returned.push(taken)
  }

  /** A frame goes to nobody. */
  useUp(taken: Taken<In>): void {
    this.usedUp = taken
  }

  /** Why nothing comes any more from a decoder that has failed. */
  get end(): Exit.Exit<never, TransportError> | undefined {
    return this.failure
  }

  /** Nothing comes any more but this defect. */
  die(defect: unknown): void {
    this.failure = Exit.die(defect)
  }

  private takeReturned(): Taken<In> | undefined {
    if (this.returned === undefined || this.inbox.closed) return undefined
    const first = this.returned.shift()
    if (this.returned.length === 0) this.returned = undefined
    return first
  }

  /** Like `next`, and says which bytes the frame was made of. */
  nextTaken(): Exit.Exit<Taken<In>, TransportError> | undefined {
    const returned = this.takeReturned()
    return returned === undefined ? this.nextAhead() : Exit.succeed(returned)
  }

  /** Like `nextTaken`, behind the frames that wait. */
  nextAhead(): Exit.Exit<Taken<In>, TransportError> | undefined {
    const { unread } = this.inbox
    const before = unread.consumed
    const window = unread.peek(0, unread.length)
    const exit = this.decode()
    return exit && Exit.map(exit, (frame) => ({
      frame,
      bytes: window.subarray(0, unread.consumed - before),
      start: before
    }))
  }

  /** The next frame, why there will be none, or `undefined` while more bytes are needed. */
  next(): Exit.Exit<In, TransportError> | undefined {
    const returned = this.takeReturned()
    return returned === undefined ? this.decode() : Exit.succeed(returned.frame)
  }

  private decode(): Exit.Exit<In, TransportError> | undefined {
    if (this.failure !== undefined) return this.failure
    const { byteLimit, end, unread } = this.inbox
    if (this.inbox.closed) return this.fail(closedHere)
    // What is left of the limit is all that an error may show, or it would depend on how the bytes were cut.
    const shown = Math.min(byteLimit - unread.consumed, Excerpt.maxExcerpt)
    const head = byteLimit === Infinity ? undefined : unread.peek(0, shown + 1)
    const hidesHead = head !== undefined && this.hidesNext
    const before = unread.consumed
    let result: Result.Result<In, Codec.CodecError> | undefined
    try {
      result = this.decoder.decode(this.inbox.view)
    } catch (thrown) {
      result = Result.fail(this.thrown(thrown, before))
    }
    if (head !== undefined && unread.consumed + (result === undefined ? unread.length : 0) > byteLimit) {
      return this.fail(
        new TransportError({
          reason: new Codec.FrameTooLarge({
            limit: byteLimit,
            excerpt: hidesHead ? Excerpt.redacted : Excerpt.ofBytes(head, shown),
            fault: "peer"
          })
        })
      )
    }
    if (result !== undefined) {
      return Result.isSuccess(result)
        ? Exit.succeed(result.success)
        : this.fail(new TransportError({ reason: result.failure }))
    }
    if (end === undefined) return undefined
    if (end.reason._tag !== "ConnectionClosed" || unread.length === 0) return this.fail(end)
    return this.fail(
      new TransportError({
        reason: new Truncated({
          unread: unread.length,
          excerpt: this.hidesNext ? Excerpt.redacted : Excerpt.ofBytes(unread.peek(0, Excerpt.maxExcerpt + 1))
        })
      })
    )
  }

  /** Whether the bytes in front are a secret by what the decoder knows of them. */
  private get hidesNext(): boolean {
    try {
      return this.decoder.isSecret?.(this.inbox.view) === true
    } catch {
      return true
    }
  }

  /** Every complete frame, at most `max` of them. The failure behind them is left for the next call. */
  nextAll(max: number): ReadonlyArray<In> | Exit.Exit<never, TransportError> {
    let frames: Array<In> = []
    if (this.decodesMany) {
      const before = this.inbox.unread.consumed
      try {
        frames = this.decoder.decodeMany!(this.inbox.view, max)
      } catch (thrown) {
        return this.fail(new TransportError({ reason: this.thrown(thrown, before) }))
      }
      // Nothing is left to look at: the common case.
      if (frames.length > 0 && this.inbox.unread.length === 0) return frames
    }
    while (frames.length < max) {
      const exit = this.next()
      if (exit === undefined) break
      if (Exit.isFailure(exit)) return frames.length === 0 ? this.failure! : frames
      frames.push(exit.value)
    }
    return frames
  }

  /** A decoder must not throw. What it throws at, a peer can send again, and is no defect of this side's for that. */
  private thrown(thrown: unknown, before: number): Codec.MalformedFrame {
    const { unread } = this.inbox
    // What was taken already is not there to be shown.
    const isThere = unread.consumed === before && !this.hidesNext
    return new Codec.MalformedFrame({
      problem: isThere ? thrownProblem(thrown) : "the codec threw",
      excerpt: isThere ? Excerpt.ofBytes(unread.peek(0, Excerpt.maxExcerpt + 1)) : Excerpt.redacted,
      fault: "peer"
    })
  }

  // Whole chunks at once, where the decoder can and nothing else has to be minded.
  private get decodesMany(): boolean {
    const { byteLimit, closed, unread } = this.inbox
    return this.decoder.decodeMany !== undefined && unread.length > 0 && this.returned === undefined &&
      this.failure === undefined && !closed && byteLimit === Infinity
  }

  private fail(error: TransportError): Exit.Exit<never, TransportError> {
    if (error === closedByPeer) return this.failure = endedByPeer
    return this.failure = Exit.fail(
      this.secrecy !== undefined ? new TransportError({ reason: redactReason(error.reason) }) : error
    )
  }
}
