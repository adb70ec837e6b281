/**
 * What the frames of a protocol with ids mean.
 *
 * @internal
 */
import type { AllTypesById, Directions } from "./protocolTypes.ts"

/**
 * What a server reads: a request, or that the answer to one is not wanted any more.
 *
 * @category models
 * @since 0.1.0
 */
export type FromClient<Id, Request> =
  | { readonly _tag: "Request"; readonly id: Id; readonly body: Request }
  | { readonly _tag: "Cancel"; readonly id: Id }

/**
 * What a client reads: the response to a request, or why there is none.
 *
 * @category models
 * @since 0.1.0
 */
export type FromServer<Id, Response, Failure = never> =
  | { readonly _tag: "Response"; readonly id: Id; readonly body: Response }
  | { readonly _tag: "Failure"; readonly id: Id; readonly error: Failure }

/** What a server has to know of the frames of its protocol. */
export interface ServerFrames<in In, out Out, in out Id, out Request, in Response> {
  readonly fromClient: (frame: In) => FromClient<Id, Request> | undefined
  readonly response: (id: Id, body: Response) => Out
  readonly cancelled?: ((id: Id) => Out) | undefined
}

/** What a client has to know of them. */
export interface ClientFrames<in out In, out Out, in out Id, in Request, out Response, out Failure = never> {
  readonly fromServer: (frame: In) => FromServer<Id, Response, Failure> | undefined
  readonly request: (id: Id, body: Request) => Out
  readonly cancel?: ((id: Id) => Out) | undefined
  readonly cancelled?: true | ((id: Id) => In) | undefined
}

/**
 * What one frame is of a message: a part of the one with this id.
 *
 * @category models
 * @since 0.1.0
 */
export type MessagePart<Id, Head, Chunk, Failure = never> =
  | { readonly _tag: "Head"; readonly id: Id; readonly head: Head; readonly hasBody: boolean }
  | { readonly _tag: "Chunk"; readonly id: Id; readonly chunk: Chunk }
  | { readonly _tag: "End"; readonly id: Id }
  | { readonly _tag: "Abort"; readonly id: Id; readonly error?: Failure }

/**
 * How the frames of one direction are read as messages: a pure function. A frame that is no part of a message is
 * `undefined`, and ends the use of the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface MessageReader<in Frame, out Id, out Head, out Chunk, out Failure = never> {
  readonly read: (frame: Frame) => MessagePart<Id, Head, Chunk, Failure> | undefined
}

/**
 * How a server reads requests: as messages, or as a `Cancel`, which says that the response to a request is not wanted any
 * more, and that no more comes of the request either.
 *
 * @category models
 * @since 0.1.0
 */
export interface RequestReader<in Frame, out Id, out Head, out Chunk, out Failure = never> {
  readonly read: (
    frame: Frame
  ) => MessagePart<Id, Head, Chunk, Failure> | { readonly _tag: "Cancel"; readonly id: Id } | undefined
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
export interface MessageWriter<out Frame, in Id, in Head, in Chunk> {
  readonly head: (id: Id, head: Head, hasBody: boolean) => Frame
  readonly chunk: (id: Id, chunk: Chunk) => Frame
  readonly end: (id: Id) => Frame
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
export interface MessageAbort<out Frame, in Id, in Failure> {
  readonly abort: (id: Id, error: Failure | undefined) => Frame
}

/** What a server has to know of the frames of a protocol with bodies. */
export type StreamingServerFrames<T extends AllTypesById> =
  & Directions<
    RequestReader<T["toServer"], T["id"], T["request"], T["requestChunk"], T["failure"]>,
    MessageWriter<T["toClient"], T["id"], T["response"], T["responseChunk"]>
  >
  & { readonly cancelled?: ((id: T["id"]) => T["toClient"]) | undefined }

/** What a client has to know of them. */
export type StreamingClientFrames<T extends AllTypesById> =
  & Directions<
    & MessageWriter<T["toServer"], T["id"], T["request"], T["requestChunk"]>
    & Partial<MessageAbort<T["toServer"], T["id"], T["failure"]>>,
    MessageReader<T["toClient"], T["id"], T["response"], T["responseChunk"], T["failure"]>
  >
  & {
    readonly cancel?: ((id: T["id"]) => T["toServer"]) | undefined
    readonly cancelled?: true | ((id: T["id"]) => T["toClient"]) | undefined
  }
