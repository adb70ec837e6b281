/**
 * The one implementation of `Transport`.
 *
 * @internal
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { pipeArguments } from "effect/Pipeable"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type * as Codec from "../Codec.ts"
import type * as Peer from "../Peer.ts"
import type * as Transport from "../Transport.ts"
import { TransportError } from "../TransportError.ts"
import { ByteWriter } from "./bytes.ts"
import type { Connection } from "./connection.ts"
import * as Excerpt from "./excerpt.ts"
import { errorOf, Frames, redactReason, type Taken } from "./inbox.ts"

/** The limit that `Handshake.byteLimit` sets for the connections that are opened inside it. */
export const CurrentByteLimit: Context.Reference<number> = Context.Reference<number>(
  "effect-handshake/internal/CurrentByteLimit",
  { defaultValue: () => Infinity }
)

export const TypeId = "~effect-handshake/Transport"

/** How many of the frames that a sink has taken can still be given to another codec when it gives them back. */
const recallable = 8

export class TransportImpl<In, Out> implements Transport.Transport<In, Out> {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly connection: Connection
  readonly codec: Codec.Codec<In, Out>
  readonly frames: Frames<In>
  readonly observer: Transport.Observer | undefined
  readonly describe: (frame: In | Out) => string

  constructor(
    connection: Connection,
    codec: Codec.Codec<In, Out>,
    observer: Transport.Observer | undefined,
    describe: ((frame: In | Out) => string) | undefined
  ) {
    this.connection = connection
    this.codec = codec
    this.frames = new Frames(connection.inbox, codec.decoder())
    this.observer = observer
    this.describe = describe ?? Excerpt.ofFrame
  }

  /** A frame as errors and transcripts show it. */
  show(frame: In | Out): string {
    return this.frames.secret ? Excerpt.redacted : this.describe(frame)
  }

  observeReceived(frame: In): void {
    this.observer?.({ _tag: "Received", frame: this.show(frame) })
  }

  observeEnd(error: TransportError | undefined): void {
    if (error !== undefined) this.observer?.({ _tag: "Ended", message: error.message })
  }

  // Waits outside and takes inside the same step, so that whoever is interrupted while it waits has taken nothing.
  private takeWith<A>(
    next: () => Exit.Exit<A, TransportError> | undefined,
    frameOf: (taken: A) => In
  ): Effect.Effect<A, TransportError> {
    const take: Effect.Effect<A, TransportError> = Effect.suspend(() => {
      const exit = next()
      if (exit === undefined) return Effect.andThen(this.connection.readable, take)
      if (this.observer !== undefined) {
        if (Exit.isSuccess(exit)) this.observeReceived(frameOf(exit.value))
        else this.observeEnd(errorOf(Exit.failCause(exit.cause)))
      }
      return exit
    })
    return take
  }

  /** Whether a frame comes before the end. It is not taken. */
  get hasFrame(): Effect.Effect<boolean> {
    const look: Effect.Effect<boolean> = Effect.suspend(() => {
      const exit = this.frames.nextTaken()
      if (exit === undefined) return Effect.andThen(this.connection.readable, look)
      if (Exit.isSuccess(exit)) this.frames.giveBack([exit.value])
      return Effect.succeed(Exit.isSuccess(exit))
    })
    return look
  }

  /** Every complete frame, at most `max` of them, or why there will be none. */
  takeAll(max: number): ReadonlyArray<In> | Exit.Exit<never, TransportError> {
    const frames = this.frames.nextAll(max)
    if (this.observer !== undefined && !Exit.isExit(frames)) frames.forEach((frame) => this.observeReceived(frame))
    return frames
  }

  get receive(): Effect.Effect<In, TransportError> {
    return this.takeWith(() => this.frames.next(), (frame) => frame)
  }

  get incoming(): Stream.Stream<In, TransportError> {
    const pull: Pull.Pull<NonEmptyReadonlyArray<In>, TransportError> = Effect.suspend(() => {
      const frames = this.takeAll(Infinity)
      if (Exit.isExit(frames)) return this.endOf(frames)
      if (frames.length === 0) return Effect.andThen(this.connection.readable, pull)
      return Effect.succeed(frames as unknown as NonEmptyReadonlyArray<In>) // its length was checked two lines above
    })
    return Stream.fromPull(Effect.succeed(pull))
  }

  /** An end between two frames is how a stream ends; any other is how it fails. */
  private endOf(exit: Exit.Exit<never, TransportError>): Effect.Effect<never, TransportError | Cause.Done> {
    return Effect.catch(exit, (error): Effect.Effect<never, TransportError | Cause.Done> => {
      this.observeEnd(error)
      return error.reason._tag === "ConnectionClosed" ? Cause.done() : Effect.fail(error)
    })
  }

  run<A, L extends In, E, R>(sink: Sink.Sink<A, In, L, E, R>): Effect.Effect<A, E | TransportError, R> {
    const recent: Array<Taken<In>> = []
    const receive = this.takeWith(() => this.frames.nextTaken(), (taken) => taken.frame)
    const pull: Pull.Pull<NonEmptyReadonlyArray<In>, TransportError> = Effect.matchEffect(receive, {
      onSuccess: (taken) => {
        if (recent.push(taken) > recallable) recent.shift()
        return Effect.succeed([taken.frame] as const)
      },
      onFailure: (error): Effect.Effect<never, TransportError | Cause.Done> =>
        error.reason._tag === "ConnectionClosed" ? Cause.done() : Effect.fail(error)
    })
    return Effect.scopedWith((scope) =>
      Effect.map(
        // A sink's upstream cannot fail by its type, but sinks pass a failure on untouched: this is how `Stream.run`
        // feeds them too. `run` has the error in its own type instead.
        sink.transform(pull as Pull.Pull<NonEmptyReadonlyArray<In>>, scope) as Effect.Effect<
          Sink.End<A, L>,
          E | TransportError,
          R
        >,
        ([value, leftover]) => {
          if (leftover !== undefined) {
            const known = recent.slice(-leftover.length)
            this.frames.giveBack(leftover.map((frame, i) => {
              const taken = known[i - leftover.length + known.length]
              return taken !== undefined && taken.frame === frame ? taken : { frame, bytes: undefined }
            }))
          }
          return value
        }
      )
    )
  }

  /** Appends a frame to what will be written, or returns why it cannot and leaves that as it was. */
  encode(frame: Out, into: ByteWriter): TransportError | undefined {
    const mark = into.mark()
    const result = this.codec.encode(frame, into)
    if (result !== undefined && Result.isFailure(result)) {
      into.reset(mark)
      return new TransportError({ reason: this.frames.secret ? redactReason(result.failure) : result.failure })
    }
    this.observer?.({ _tag: "Sent", frame: this.show(frame) })
    return undefined
  }

  sendAll(frames: Iterable<Out>): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => {
      const into = new ByteWriter()
      for (const frame of frames) {
        const error = this.encode(frame, into)
        if (error !== undefined) return Effect.fail(error)
      }
      const chunks = into.finish()
      return chunks.length === 0 ? Effect.void : this.connection.write(chunks)
    })
  }

  send(frame: Out): Effect.Effect<void, TransportError> {
    return this.sendAll([frame])
  }

  get outgoing(): Sink.Sink<void, Out, never, TransportError> {
    return Sink.forEachArray((frames) => this.sendAll(frames))
  }

  get peer(): Effect.Effect<Peer.Peer> {
    return Effect.succeed(this.connection.peer)
  }

  pipe() {
    return pipeArguments(this, arguments)
  }
}

/** Every `Transport` is one of these: the interface is sealed by its type id. */
export const implOf = <In, Out>(transport: Transport.Transport<In, Out>): TransportImpl<In, Out> =>
  transport as TransportImpl<In, Out>
