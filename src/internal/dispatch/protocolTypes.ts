/**
 * The types of a protocol, as one record.
 *
 * @internal
 */
import type * as Body from "../../Body.ts"

interface Requests {
  readonly request: unknown
  readonly response: unknown
  readonly failure?: unknown
}

/** What every protocol has; `frame` is for both directions, where it is the same for both. */
export type CallTypes =
  & Requests
  & ({ readonly frame: unknown } | { readonly toServer: unknown; readonly toClient: unknown })

/** What one with bodies has; `chunk` is for both directions, too. */
export type StreamingTypes =
  & CallTypes
  & ({ readonly chunk: unknown } | { readonly requestChunk: unknown; readonly responseChunk: unknown })

type Field<T, Name, Otherwise = never> = Name extends keyof T ? T[Name] : Otherwise

export type ToServer<T> = Field<T, "toServer", Field<T, "frame">>
export type ToClient<T> = Field<T, "toClient", Field<T, "frame">>
export type Failure<T> = Field<T, "failure">

/** The types of a protocol with bodies, none of them left out. */
export interface AllTypes {
  readonly toServer: unknown
  readonly toClient: unknown
  readonly request: unknown
  readonly requestChunk: unknown
  readonly response: unknown
  readonly responseChunk: unknown
  readonly failure: unknown
}

/** The types of a protocol with bodies and ids. */
export interface AllTypesById extends AllTypes {
  readonly id: unknown
}

/** The same of a protocol as its author writes them. */
export interface AllOf<T extends StreamingTypes> extends AllTypes {
  readonly toServer: ToServer<T>
  readonly toClient: ToClient<T>
  readonly request: T["request"]
  readonly requestChunk: Field<T, "requestChunk", Field<T, "chunk">>
  readonly response: T["response"]
  readonly responseChunk: Field<T, "responseChunk", Field<T, "chunk">>
  readonly failure: Failure<T>
}

/** How a body can fail that is read. */
export type ReadFailure<T extends AllTypes> = T["failure"] | Body.ReadError
export type Request<T extends AllTypes, E = ReadFailure<T>, R = never> = Body.Message<
  T["request"],
  T["requestChunk"],
  E,
  R
>
export type Response<T extends AllTypes, E = ReadFailure<T>, R = never> = Body.Message<
  T["response"],
  T["responseChunk"],
  E,
  R
>

/** What the frames of a request mean, and those of its response: to read, to write, or both. */
export interface Directions<out Requests, out Responses> {
  readonly request: Requests
  readonly response: Responses
}

// How a server tells of a failure: `Tell` is the function of its protocol for that, and `undefined` where there is none.

/** Says that it is there, and not only may be. */
export type Given<Name extends string, Tell> = [Tell] extends [undefined] ? unknown : { readonly [_ in Name]: Tell }

/** What a handler may fail with: with anything where nobody is told. */
export type Tellable<Tell, Told> = [Tell] extends [undefined] ? unknown : Told

/** The same where there are bodies: that one could not be read is told of as `undefined`. */
export type TellableOfBodies<Tell, Told> = Tellable<Tell, Exclude<Told, undefined> | Body.ReadError>

/** What of it goes out of the server. */
export type Untold<Tell, E> = [Tell] extends [undefined] ? E : never
