/**
 * Bytes to frames: sizes, the places where frames may stand, and header blocks that are not interrupted.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import { violation } from "./errorCode.ts"
import * as Frame from "./frame.ts"

export interface Limits {
  /** The longest payload that the peer may send, in bytes. */
  readonly maxFrameSize: number
  /** The longest header block, of one HEADERS or PUSH_PROMISE and its CONTINUATIONs, in bytes without HPACK undone. */
  readonly maxHeaderBlock: number
  /** The most CONTINUATIONs of one header block, which may be empty (CVE-2024-27316). */
  readonly maxContinuations: number
}

/** A header block of which the end has not come. */
interface Block {
  readonly streamId: number
  length: number
  continuations: number
}

/**
 * | state | `block` | what may come |
 * |---|---|---|
 * | between header blocks | undefined | anything but CONTINUATION |
 * | in a header block | its stream and how long it is so far | CONTINUATION of that stream, and nothing else |
 */
export class FrameDecoder implements Codec.Decoder<Frame.Frame> {
  limits: Limits
  private block: Block | undefined = undefined

  constructor(limits: Limits) {
    this.limits = limits
  }

  decode(input: Codec.ByteBuffer): Result.Result<Frame.Frame, Codec.CodecError> | undefined {
    if (input.length < Frame.headerLength) return undefined
    const header = Frame.headerOf(input)
    const wrong = this.check(header)
    if (wrong !== undefined) return Result.fail(wrong)
    if (input.length < Frame.headerLength + header.length) return undefined
    input.skip(Frame.headerLength)
    const result = Frame.parse(header, input.take(header.length))
    return Result.isSuccess(result) ? this.follow(header, result.success) : result
  }

  // RFC 9113 4.2: a payload is no longer than this side has announced.
  private check(header: Frame.Header): Codec.CodecError | undefined {
    const { maxFrameSize } = this.limits
    if (header.length > maxFrameSize) {
      return new Codec.FrameTooLarge({ limit: maxFrameSize, excerpt: Frame.describeHeader(header), fault: "peer" })
    }
    return Frame.checkHeader(header) ?? this.checkPlace(header)
  }

  // 4.3, 6.10: a header block comes in one piece; 10.5.1: how long it may be is up to this side.
  private checkPlace(header: Frame.Header): Codec.CodecError | undefined {
    const { block } = this
    const isContinuation = header.type === Frame.Type.CONTINUATION
    const excerpt = () => Frame.describeHeader(header)
    if (block === undefined) {
      return isContinuation ? violation("PROTOCOL_ERROR", "there is no header block to continue", excerpt()) : undefined
    }
    if (!isContinuation || header.streamId !== block.streamId) {
      const problem = `the header block of stream ${block.streamId} is interrupted`
      return violation("PROTOCOL_ERROR", problem, excerpt())
    }
    if (block.continuations >= this.limits.maxContinuations) {
      const problem = `a header block has more than ${this.limits.maxContinuations} CONTINUATIONs`
      return violation("ENHANCE_YOUR_CALM", problem, excerpt())
    }
    if (block.length + header.length > this.limits.maxHeaderBlock) return this.tooMuch(header)
    return undefined
  }

  private tooMuch(header: Frame.Header): Codec.CodecError {
    const problem = `a header block has more than ${this.limits.maxHeaderBlock} bytes`
    return violation("ENHANCE_YOUR_CALM", problem, Frame.describeHeader(header))
  }

  private follow(header: Frame.Header, frame: Frame.Frame): Result.Result<Frame.Frame, Codec.CodecError> {
    if (frame._tag === "Continuation") {
      this.block!.length += frame.fragment.length // without a block it had no place
      this.block!.continuations++
      if (frame.endHeaders) this.block = undefined
    } else if (frame._tag === "Headers" || frame._tag === "PushPromise") {
      const { length } = frame.fragment
      if (length > this.limits.maxHeaderBlock) return Result.fail(this.tooMuch(header))
      if (!frame.endHeaders) this.block = { streamId: frame.streamId, length, continuations: 0 }
    }
    return Result.succeed(frame)
  }
}
