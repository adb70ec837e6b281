/**
 * Requests and responses that are a head and, where they have one, a body: a Stream of chunks.
 *
 * `Pipeline` and `Multiplex` serve and call with them. Which part of a message a frame is, is told to both in the same
 * way: as a `Part`.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Fault } from "./Codec.ts"
import type { TransportError } from "./TransportError.ts"

/**
 * How many chunks of a received body wait for its reader unless told otherwise: 16.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBodyBuffer = 16

/**
 * How long a received body that nobody reads may hold its connection up unless told otherwise: 10 seconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultBodyTimeout: Duration.Duration = Duration.seconds(10)

/**
 * The bounds of the bodies that are received.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How many chunks of a body wait for its reader at most, however long they are; at least 1. Default: 16. */
  readonly bodyBuffer?: number | undefined
  /** How long a body that nobody reads may hold up what is behind it; `"Infinity"` for ever. Default: 10 seconds. */
  readonly bodyTimeout?: Duration.Input | undefined
}

/**
 * A request or a response: a head and, where it has one, a body.
 *
 * **Details**
 *
 * A body that was received can be read once. Its chunks come in batches, as they have arrived. Whoever stops before its
 * end has given the rest up: it is dropped.
 *
 * **Example** (One with a body, and one without)
 *
 * ```ts
 * import { Body } from "effect-handshake"
 * import { Stream } from "effect"
 *
 * const upload: Body.Message<string, string> = { head: "PUT /greeting", body: Stream.make("Hello, ", "world") }
 * const answer: Body.Message<string, string> = { head: "OK", body: undefined }
 *
 * console.log(upload.head, answer.head) // => PUT /greeting OK
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Message<out Head, out Chunk, out E = never, out R = never> {
  readonly head: Head
  readonly body: Stream.Stream<Chunk, E, R> | undefined
}

/**
 * Which part of a message one frame is.
 *
 * **Details**
 *
 * A message is a `Head`, and where that says `hasBody` any number of `Chunk`s behind it, and an `End`. An `Abort` comes in
 * the place of what is left: its sender has given the message up. In the place of the head of a response it says that
 * the request has failed. It has an `error` where the reason is a failure that the protocol can tell of.
 *
 * @category models
 * @since 0.1.0
 */
export type Part<Head, Chunk, Failure = never> =
  | { readonly _tag: "Head"; readonly head: Head; readonly hasBody: boolean }
  | { readonly _tag: "Chunk"; readonly chunk: Chunk }
  | { readonly _tag: "End" }
  | { readonly _tag: "Abort"; readonly error?: Failure }

/**
 * The body was given up before its end.
 *
 * **Details**
 *
 * `by` is who did it: `peer`, which had no error for it that its protocol could tell of, or `local`, where what the body
 * belonged to is over.
 *
 * @category errors
 * @since 0.1.0
 */
export class Aborted extends Schema.TaggedError<Aborted>()("Aborted", { by: Schema.Literals(["peer", "local"]) }) {
  override get message(): string {
    return this.by === "peer" ? "the peer gave the body up" : "the body was given up on this side"
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return this.by
  }
}

/**
 * The body has held its connection up for so long that what was left of it was dropped: nobody has read it.
 *
 * @category errors
 * @since 0.1.0
 */
export class Stalled extends Schema.TaggedError<Stalled>()("Stalled", { after: Schema.Duration }) {
  override get message(): string {
    return `nobody has read the body for ${Duration.format(this.after)}`
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "local"
  }
}

/**
 * The body was read before, and its chunks are gone.
 *
 * @category errors
 * @since 0.1.0
 */
export class AlreadyRead extends Schema.TaggedError<AlreadyRead>()("AlreadyRead", {}) {
  override get message(): string {
    return "the body can be read once, and it was"
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return "local"
  }
}

/**
 * The reasons of a `BodyError`.
 *
 * @category errors
 * @since 0.1.0
 */
export const Reason = Schema.Union([Aborted, Stalled, AlreadyRead])

/**
 * The reasons of a `BodyError`.
 *
 * @category errors
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * A body that was received could not be read to its end, though its connection lives.
 *
 * **Details**
 *
 * | reason | when | `fault` |
 * |---|---|---|
 * | `Aborted` | one side has given it up before its end | `by` whom |
 * | `Stalled` | nobody has read it for `bodyTimeout`, while there was no room for more of it | local |
 * | `AlreadyRead` | it was read before | local |
 *
 * `catchReason` of Effect and of its Stream picks one of them. The chunks that have come before are delivered first.
 *
 * **Example** (What is there of a body that was given up)
 *
 * ```ts
 * import { Body } from "effect-handshake"
 * import { Effect, Stream } from "effect"
 *
 * const body = Stream.concat(
 *   Stream.make("half"),
 *   Stream.fail(new Body.BodyError({ reason: new Body.Aborted({ by: "peer" }) }))
 * )
 * const program = body.pipe(
 *   Stream.catchTag("BodyError", ({ message }) => Stream.make(`(${message})`)),
 *   Stream.runCollect
 * )
 *
 * console.log(await Effect.runPromise(program)) // => [ 'half', '(the peer gave the body up)' ]
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export class BodyError extends Schema.TaggedError<BodyError>()("BodyError", { reason: Reason }) {
  override get message(): string {
    return this.reason.message
  }
  /** Whose mistake it is. */
  get fault(): Fault {
    return this.reason.fault
  }
}

/**
 * Whether a value is a `BodyError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isBodyError = (u: unknown): u is BodyError => u instanceof BodyError

/**
 * Why a received body cannot be read on, apart from the failures that its protocol can tell of.
 *
 * @category errors
 * @since 0.1.0
 */
export type ReadError = BodyError | TransportError
