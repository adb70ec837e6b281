/**
 * What the frames of a protocol with ids mean.
 *
 * @internal
 */

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

/**
 * What a server has to know of the frames of its protocol. All of them are pure functions.
 *
 * **Details**
 *
 * - `fromClient`: reads a frame. One that is neither a request nor a cancel is `undefined`, and ends the connection.
 * - `response`: answers a request.
 * - `cancelled`: answers a request that was cancelled. Without it nothing does.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerFrames<in In, out Out, in out Id, out Request, in Response> {
  readonly fromClient: (frame: In) => FromClient<Id, Request> | undefined
  readonly response: (id: Id, body: Response) => Out
  readonly cancelled?: ((id: Id) => Out) | undefined
}

/**
 * What a client has to know of the frames of its protocol. All of them are pure functions.
 *
 * **Details**
 *
 * - `fromServer`: reads a frame. One that is no answer is `undefined`, and ends the use of the connection.
 * - `request`: asks for something.
 * - `cancel`: says that the answer to a request is not wanted any more. Without it the answer is waited for and dropped.
 * - `cancelled`: whether a request that was cancelled is answered all the same, be it with a response that was on its
 *   way: then its id and its place stay taken until that has come. A description that serves both sides has the
 *   server's frame here; where there is none, `true` says it. Without it both are free at once, the id is not used
 *   again while the last 4,096 cancelled ones are remembered, and an answer that comes late is dropped.
 *
 * @category models
 * @since 0.1.0
 */
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

/**
 * What a server has to know of the frames of a protocol with bodies. All of them are pure functions.
 *
 * **Details**
 *
 * - `request`: how requests are read.
 * - `response`: how responses are written.
 * - `cancelled`: answers a request that was cancelled, in the place of what is left of its response. Without it nothing
 *   does.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamingServerFrames<
  in In,
  out Out,
  in out Id,
  out Request,
  out RequestChunk,
  in Response,
  in ResponseChunk,
  out Failure = never
> {
  readonly request: RequestReader<In, Id, Request, RequestChunk, Failure>
  readonly response: MessageWriter<Out, Id, Response, ResponseChunk>
  readonly cancelled?: ((id: Id) => Out) | undefined
}

/**
 * What a client has to know of the frames of a protocol with bodies. All of them are pure functions.
 *
 * **Details**
 *
 * - `request`: how requests are written, and given up where the protocol can say that.
 * - `response`: how responses are read.
 * - `cancel`: says that the response to a request is not wanted any more, and that no more comes of the request either.
 *   Without it what still comes of the response is waited for and dropped.
 * - `cancelled`: whether the response to a request that was cancelled still ends: then its id and its place stay taken until
 *   it has. A description that serves both sides has the server's frame here, which is read as an `Abort`; where there is
 *   none, `true` says it. Without it both are free at once, the id is not used again while the last 4,096 cancelled
 *   ones are remembered, and what comes late is dropped.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamingClientFrames<
  in out In,
  out Out,
  in out Id,
  in Request,
  in RequestChunk,
  out Response,
  out ResponseChunk,
  in out Failure = never
> {
  readonly request: MessageWriter<Out, Id, Request, RequestChunk> & Partial<MessageAbort<Out, Id, Failure>>
  readonly response: MessageReader<In, Id, Response, ResponseChunk, Failure>
  readonly cancel?: ((id: Id) => Out) | undefined
  readonly cancelled?: true | ((id: Id) => In) | undefined
}
