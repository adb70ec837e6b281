/**
 * What the frames of a protocol without ids mean, where its messages have bodies.
 *
 * @internal
 */
import type * as Body from "../../Body.ts"
import type { AllTypes, Directions } from "./protocolTypes.ts"

/**
 * How the frames of one direction are read as messages: a pure function. A frame that is no part of a message is
 * `undefined`, and ends the use of the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageReader<in Frame, out Head, out Chunk, out Failure = never> {
  readonly read: (frame: Frame) => Body.Part<Head, Chunk, Failure> | undefined
}

/**
 * How the messages of one direction are written. All of them are pure functions.
 *
 * **Details**
 *
 * - `head`: begins a message, and says whether a body comes behind it.
 * - `chunk`: a chunk of the body.
 * - `end`: the body is complete.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageWriter<out Frame, in Head, in Chunk> {
  readonly head: (head: Head, hasBody: boolean) => Frame
  readonly chunk: (chunk: Chunk) => Frame
  readonly end: () => Frame
}

/**
 * How a protocol says that a message is given up, where it can: in the place of what is left of its body, and in the place
 * of the head of a response.
 *
 * **Details**
 *
 * `error` is why, where that is a failure that the protocol can tell of, and `undefined` where it is not: the sender has
 * no more use for the message, or could not read another body that it was made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageAbort<out Frame, in Failure> {
  readonly abort: (error: Failure | undefined) => Frame
}

/** What a server has to know of the frames of a protocol with bodies. */
export type StreamingServerFrames<T extends AllTypes> = Directions<
  MessageReader<T["toServer"], T["request"], T["requestChunk"], T["failure"]>,
  MessageWriter<T["toClient"], T["response"], T["responseChunk"]>
>

/** What a client has to know of them. */
export type StreamingClientFrames<T extends AllTypes> = Directions<
  & MessageWriter<T["toServer"], T["request"], T["requestChunk"]>
  & Partial<MessageAbort<T["toServer"], T["failure"]>>,
  MessageReader<T["toClient"], T["response"], T["responseChunk"], T["failure"]>
>

/** What both have to know, and how a server tells of a failure. */
export type StreamingFrames<T extends AllTypes> = Directions<
  & MessageReader<T["toServer"], T["request"], T["requestChunk"], T["failure"]>
  & MessageWriter<T["toServer"], T["request"], T["requestChunk"]>
  & Partial<MessageAbort<T["toServer"], T["failure"]>>,
  & MessageReader<T["toClient"], T["response"], T["responseChunk"], T["failure"]>
  & MessageWriter<T["toClient"], T["response"], T["responseChunk"]>
  & ([T["failure"]] extends [never] ? { readonly abort?: undefined } : MessageAbort<T["toClient"], T["failure"]>)
>
