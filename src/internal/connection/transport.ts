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
import type * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import type * as Peer from "../../Peer.ts"
import { TransportError, UnexpectedFrame } from "../../TransportError.ts"
import { borrow, ByteWriter, giveBack } from "../bytes/writer.ts"
import * as Redaction from "../text/redaction.ts"
import type { Connection, Rewrite } from "./connection.ts"
import { closedHere, errorOf, Frames, redactReason, type Secrecy, type Taken } from "./inbox.ts"
import { type Transport, TypeId } from "./model.ts"
import { CurrentObserver, type Event, type Observed, type Observer, unwatch } from "./observer.ts"
import { Outbox } from "./outbox.ts"

/** The limit that `Handshake.byteLimit` sets for the connections that are opened inside it. */
export const CurrentByteLimit: Context.Reference<number> = Context.Reference<number>(
  "effect-handshake/internal/CurrentByteLimit",
  { defaultValue: () => Infinity }
)

/** How the frames of the connections that are opened inside it are rewritten. */
export const CurrentRewrite: Context.Reference<Rewrite | undefined> = Context.Reference<Rewrite | undefined>(
  "effect-handshake/internal/CurrentRewrite",
  { defaultValue: () => undefined }
)

/**
 * How many frames a pull takes at most. Those of a whole chunk would all be alive at once, a thousand and more; V8 takes what
 * it sees so for what lives long, puts all that comes after into the old space, and decoding costs five times as much.
 */
export const maxPull = 128

/** How many of the frames that a sink has taken can still be given to another codec when it gives them back. */
const recallable = 8

/**
 * What stands between the frames of a transport and whoever takes them, in whatever way they are taken.
 *
 * Its methods must not throw. They are methods and no functions, so that a transport stays covariant in what it receives.
 */
export interface Interceptor<in In> {
  /** How many frames may be taken now, at most `max`. Once there were none, it notifies the connection when there are. */
  admit(max: number): number
  /** Whether a frame that was taken goes no further. */
  intercepts(frame: In): boolean
  /** Hands over what it still has to send, and lets every frame pass from now on. */
  end(): void
}

/** A frame that cannot be described may hide anything. */
const describing = <F>(describe: (frame: F) => string) => (frame: F): string => {
  try {
    return describe(frame)
  } catch {
    return Excerpt.redacted
  }
}

/**
 * What a stream of frames knows of its transport: nothing any more when the connection is gone. Effect makes a function for each stream
 * that V8 does not collect before a full collection, with all that it knows, and takes what stays with it for long-lived.
 */
class Lease<in out In> {
  impl: TransportImpl<In, never> | undefined
  end: Exit.Exit<never, TransportError> = closed

  constructor(impl: TransportImpl<In, never>) {
    this.impl = impl
    impl.connection.lease = this
  }

  cancel(): void {
    // Whoever watches is told of the end when somebody comes to it.
    if (this.impl?.observer !== undefined) return
    this.end = this.impl?.frames.end ?? closed
    this.impl = undefined
  }
}

const closed = Exit.fail(closedHere)

/** An end between two frames is how a stream ends; any other is how it fails. */
const endOf = (exit: Exit.Exit<never, TransportError>): Effect.Effect<never, TransportError | Cause.Done> =>
  Effect.catch(
    exit,
    (error): Effect.Effect<never, TransportError | Cause.Done> =>
      error.reason._tag === "ConnectionClosed" ? Cause.done() : Effect.fail(error)
  )

export class TransportImpl<In, Out> implements Transport<In, Out> {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly connection: Connection
  readonly codec: Codec.Codec<In, Out>
  readonly frames: Frames<In>
  /** Of a codec with a memory. */
  readonly outbox: Outbox<Out> | undefined
  observer: Observer | undefined
  interceptor: Interceptor<In> | undefined = undefined
  readonly describe: (frame: In | Out) => string
  private lease: Lease<In> | undefined = undefined
  // Whoever asks again behind the end is told of it again, and the observer is not.
  private endObserved = false

  constructor(
    connection: Connection,
    codec: Codec.Codec<In, Out>,
    observer: Observer | undefined,
    describe: ((frame: In | Out) => string) | undefined
  ) {
    this.connection = connection
    this.codec = codec
    this.frames = new Frames(connection.inbox, codec.decoder())
    this.outbox = codec.encoder && new Outbox(codec.encoder())
    this.observer = observer
    this.describe = describe === undefined ? Excerpt.ofFrame : describing(describe)
  }

  /** A frame as errors show it. */
  show(frame: In | Out): string {
    return this.frames.secrecy === undefined ? this.describe(frame) : Excerpt.redacted
  }

  private observed(frame: In | Out, bytes: Uint8Array): Observed {
    const shown = this.frames.secrecy === "secret" ? Excerpt.redacted : this.describe(frame)
    // Not `slice`: that of a Node Buffer is no copy.
    const copy = this.hides(frame, shown) ? undefined : new Uint8Array(bytes)
    return { frame: shown, bytes: copy, length: bytes.length }
  }

  /** Whether the bytes of a frame would tell what its description does not. */
  private hides(frame: In | Out, shown: string): boolean {
    if (this.frames.secrecy === "secret") return true
    // Texts and bytes that show as they are hide nothing, whatever they say.
    const plain = typeof frame === "string" || frame instanceof Uint8Array
    if (plain && this.describe === Excerpt.ofFrame) return false
    return Redaction.showsRedacted(shown) || Redaction.holdsRedacted(frame)
  }

  /** Tells whoever watches, if somebody does. */
  tell(event: Event): void {
    if (this.observer?.(event) === unwatch) this.observer = undefined
  }

  observeReceived(taken: Taken<In>): void {
    const { bytes, frame, start } = taken
    // One that a sink gives back was seen when the sink took it.
    if (this.observer === undefined || bytes === undefined || start === undefined) return
    const { inbox } = this.connection
    const end = start + bytes.length
    if (end <= inbox.observed && bytes.length > 0) return
    const news = bytes.subarray(Math.max(0, inbox.observed - start))
    inbox.observed = end
    this.tell({ _tag: "Received", ...this.observed(frame, news) })
  }

  private observeEnd(error: TransportError | undefined): void {
    if (error === undefined || this.observer === undefined || this.endObserved) return
    this.endObserved = true
    this.tell({ _tag: "Ended", message: error.message, how: howItEnded(error) })
  }

  // Which bytes a frame was made of costs something, and is asked for an observer or a sink only.
  private nextTaken(): Exit.Exit<Taken<In>, TransportError> | undefined {
    const { interceptor } = this
    if (interceptor === undefined) return this.nextObserved()
    while (interceptor.admit(1) > 0) {
      const exit = this.nextObserved()
      if (exit === undefined || Exit.isFailure(exit) || !interceptor.intercepts(exit.value.frame)) return exit
      this.frames.useUp(exit.value)
    }
    return undefined
  }

  private nextObserved(): Exit.Exit<Taken<In>, TransportError> | undefined {
    const exit = this.frames.nextTaken()
    if (exit === undefined || this.observer === undefined) return exit
    if (Exit.isSuccess(exit)) this.observeReceived(exit.value)
    else this.observeEnd(errorOf(Exit.failCause(exit.cause)))
    return exit
  }

  /** Leaves the connection to whoever takes its place, or says which frame stands in the way. */
  leave(what: string): TransportError | undefined {
    const lost = this.frames.release()
    if (lost !== undefined) {
      return new TransportError({
        reason: new UnexpectedFrame({
          expected: `nothing of the codec before ${what}`,
          excerpt: this.show(lost.frame)
        })
      })
    }
    this.interceptor?.end()
    return undefined
  }

  /** Whether a frame comes before the end. It is not taken. */
  get hasFrame(): Effect.Effect<boolean> {
    const look: Effect.Effect<boolean> = Effect.suspend(() => {
      const exit = this.interceptor === undefined ? this.frames.nextTaken() : this.nextTaken()
      if (exit === undefined) return Effect.andThen(this.connection.readable, look)
      if (Exit.isSuccess(exit)) this.frames.giveBack([exit.value])
      return Effect.succeed(Exit.isSuccess(exit))
    })
    return look
  }

  /** Every complete frame, at most `max` of them, or why there will be none. */
  takeAll(max: number): ReadonlyArray<In> | Exit.Exit<never, TransportError> {
    const { interceptor } = this
    if (interceptor === undefined) return this.nextAll(max)
    for (let admitted = interceptor.admit(max); admitted > 0; admitted = interceptor.admit(max)) {
      const frames = this.nextAll(admitted)
      if (Exit.isExit(frames) || frames.length === 0) return frames
      const passed = frames.filter((frame) => !interceptor.intercepts(frame))
      if (passed.length > 0) return passed
    }
    return []
  }

  private nextAll(max: number): ReadonlyArray<In> | Exit.Exit<never, TransportError> {
    if (this.observer === undefined) return this.frames.nextAll(max)
    const frames: Array<In> = []
    while (frames.length < max) {
      const exit = this.frames.nextTaken()
      if (exit === undefined) break
      if (Exit.isFailure(exit)) {
        // A failure stays, and is found again by the next call.
        if (frames.length > 0) break
        const failure = Exit.failCause(exit.cause)
        this.observeEnd(errorOf(failure))
        return failure
      }
      this.observeReceived(exit.value)
      frames.push(exit.value.frame)
    }
    return frames
  }

  // Waits outside and takes inside the same step, so that whoever is interrupted while it waits has taken nothing.
  get receive(): Effect.Effect<In, TransportError> {
    const take: Effect.Effect<In, TransportError> = Effect.suspend(() =>
      this.next() ?? Effect.andThen(this.connection.readable, take)
    )
    return take
  }

  /** Frames that are there are looked at in one step, up to the one that decides. */
  receiveUntil<A, E, R>(
    decide: (frame: In) => Effect.Effect<A, E, R> | undefined
  ): Effect.Effect<A, E | TransportError, R> {
    const take: Effect.Effect<A, E | TransportError, R> = Effect.suspend(() => {
      for (let exit = this.next(); exit !== undefined; exit = this.next()) {
        if (Exit.isFailure(exit)) return Exit.failCause(exit.cause)
        const decided = decide(exit.value)
        if (decided !== undefined) return decided
      }
      return Effect.andThen(this.connection.readable, take)
    })
    return take
  }

  /** The next frame, or why there will be none; undefined where it has to be waited for. */
  next(): Exit.Exit<In, TransportError> | undefined {
    if (this.observer === undefined && this.interceptor === undefined) return this.frames.next()
    const exit = this.nextTaken()
    return exit && Exit.map(exit, (taken) => taken.frame)
  }

  get incoming(): Stream.Stream<In, TransportError> {
    const lease = this.lease ??= new Lease<In>(this)
    const pull: Pull.Pull<NonEmptyReadonlyArray<In>, TransportError> = Effect.suspend(() => {
      const { impl } = lease
      if (impl === undefined) return endOf(lease.end)
      const frames = impl.takeAll(maxPull)
      if (Exit.isExit(frames)) return endOf(frames)
      if (frames.length === 0) return Effect.andThen(impl.connection.readable, pull)
      return Effect.succeed(frames as unknown as NonEmptyReadonlyArray<In>) // its length was checked two lines above
    })
    return Stream.fromPull(Effect.succeed(pull))
  }

  run<A, L extends In, E, R>(sink: Sink.Sink<A, In, L, E, R>): Effect.Effect<A, E | TransportError, R> {
    const recent: Array<Taken<In>> = []
    const receive: Effect.Effect<Taken<In>, TransportError> = Effect.suspend(() =>
      this.nextTaken() ?? Effect.andThen(this.connection.readable, receive)
    )
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

  /**
   * Appends a frame to what will be written, or returns why it cannot and leaves that as it was. Whoever watches is told at once,
   * unless that is to be kept in `sent`.
   */
  encode(frame: Out, into: ByteWriter, sent?: Array<Event>): TransportError | undefined {
    into.mark()
    const see = this.observer && ((event: Event) => sent === undefined ? this.tell(event) : void sent.push(event))
    if (see !== undefined && this.isRewritten(frame, into, see)) return undefined
    // What is observed is written on its own, to be seen on its own.
    const own = see === undefined ? into : new ByteWriter()
    const result = this.put(frame, own)
    if (result !== undefined && Result.isFailure(result)) {
      into.reset()
      return new TransportError({
        reason: this.frames.secrecy === "secret" ? redactReason(result.failure) : result.failure
      })
    }
    if (see !== undefined) {
      const bytes = own.finishBytes()
      into.bytes(bytes)
      see({ _tag: "Sent", ...this.observed(frame, bytes) })
    }
    return undefined
  }

  private put(frame: Out, into: ByteWriter): Result.Result<void, Codec.CodecError> | void {
    return this.outbox === undefined ? this.codec.encode(frame, into) : this.outbox.encoder.encode(frame, into)
  }

  /** Appends what is said in the place of a frame, where something is. */
  private isRewritten(frame: Out, into: ByteWriter, see: (event: Event) => void): boolean {
    const bytesOf = (frame: Out): Uint8Array | undefined => {
      const own = new ByteWriter()
      try {
        const result = this.put(frame, own)
        return result !== undefined && Result.isFailure(result) ? undefined : own.finishBytes()
      } catch {
        return undefined
      }
    }
    const say = (instead: unknown): boolean => {
      const said = instead as Out // it may be anything; the codec finds out
      const bytes = bytesOf(said)
      if (bytes === undefined) return false
      into.bytes(bytes)
      see({ _tag: "Sent", ...this.observed(said, bytes) })
      return true
    }
    const due = (): Uint8Array | undefined => {
      const takeBack = this.outbox?.encoder.checkpoint?.()
      const bytes = bytesOf(frame)
      takeBack?.()
      return bytes
    }
    return this.connection.rewrite?.(frame, say, due) === true
  }

  /** Appends frames to what will be written, up to the first one that cannot be encoded, and returns why it cannot. */
  encodeAll(frames: ReadonlyArray<Out>, into: ByteWriter): TransportError | undefined {
    if (this.observer === undefined && this.codec.encodeMany !== undefined) {
      into.mark()
      try {
        if (this.codec.encodeMany(frames, into)) return undefined
      } catch {
        // The one at which it throws is found below, behind those that can be sent.
        into.reset()
      }
    }
    for (const frame of frames) {
      const error = this.encode(frame, into)
      if (error !== undefined) return error
    }
    return undefined
  }

  /** Appends all of the frames, or returns why one of them cannot be encoded. Nothing was seen then. */
  private encodeBatch(frames: Iterable<Out>, into: ByteWriter): TransportError | undefined {
    const sent: Array<Event> = []
    for (const frame of frames) {
      const error = this.encode(frame, into, sent)
      if (error !== undefined) return error
    }
    sent.forEach((event) => this.tell(event))
    return undefined
  }

  sendAll(frames: Iterable<Out>): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => {
      const { outbox } = this
      // Whatever makes the frames may send some itself, or take one away before the turn has come.
      if (outbox !== undefined) return this.sendInTurn(outbox, Array.from(frames)) ?? Effect.void
      const into = new ByteWriter()
      const unencodable = this.encodeBatch(frames, into)
      if (unencodable !== undefined) return Effect.fail(unencodable)
      const chunks = into.finish()
      return chunks.length === 0 ? Effect.void : this.connection.write(chunks)
    })
  }

  send(frame: Out): Effect.Effect<void, TransportError> {
    return Effect.suspend(() => this.sendNow(frame) ?? Effect.void)
  }

  /** Sends at once: `undefined` when it is done, else what is left of it to do, or why it cannot be. */
  sendNow(frame: Out): Effect.Effect<void, TransportError> | undefined {
    const { outbox } = this
    if (outbox !== undefined) return this.sendInTurn(outbox, [frame])
    const into = borrow()
    const unencodable = this.encode(frame, into)
    if (unencodable !== undefined) return Effect.fail(unencodable)
    const chunks = into.finish()
    giveBack(into)
    return chunks.length === 0 ? undefined : this.connection.writeNow(chunks)
  }

  /** Encodes and writes when its turn has come, behind what was encoded before. */
  private sendInTurn(
    outbox: Outbox<Out>,
    frames: ReadonlyArray<Out>
  ): Effect.Effect<void, TransportError> | undefined {
    return this.connection.writeInTurn(() => {
      const undo = outbox.encoder.checkpoint()
      const into = new ByteWriter()
      try {
        const unencodable = this.encodeBatch(frames, into)
        if (unencodable !== undefined) {
          undo()
          return unencodable
        }
      } catch (defect) {
        undo()
        throw defect
      }
      const before = outbox.take()
      return {
        chunks: [...before.chunks, ...into.finish()],
        undo: () => {
          undo()
          before.undo()
        }
      }
    })
  }

  /** Writes what waits in the outbox when the turn has come. */
  writeOutbox(outbox: Outbox<Out>): Effect.Effect<void, TransportError> | undefined {
    return this.connection.writeInTurn(() => outbox.take())
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

/** How connections that are open are cut into frames, for whoever runs in this context. */
export const framingIn = <In, Out>(
  context: Context.Context<never>,
  codec: Codec.Codec<In, Out>,
  describe: ((frame: In | Out) => string) | undefined
): (connection: Connection) => TransportImpl<In, Out> => {
  const byteLimit = Context.get(context, CurrentByteLimit)
  const observer = Context.get(context, CurrentObserver)
  const rewrite = Context.get(context, CurrentRewrite)
  return (connection) => {
    const { inbox } = connection
    // What was framed before inside the same limit counts.
    inbox.byteLimit = Math.min(inbox.byteLimit, inbox.unread.consumed + byteLimit)
    const impl = new TransportImpl(connection, codec, observer, describe)
    if (observer !== undefined && !connection.wasTold) impl.tell({ _tag: "Connected", peer: connection.peer })
    connection.wasTold ||= observer !== undefined
    connection.rewrite = rewrite
    return impl
  }
}

/** How a connection has ended that can be received from no more, where it was not this side that gave it up. */
export const howItEnded = ({ reason }: TransportError): "closed" | "broken" | undefined => {
  switch (reason._tag) {
    case "ConnectionClosed":
      return reason.by === "peer" ? "closed" : undefined
    case "Truncated":
      return "closed"
    case "ConnectionFailed":
      return "broken"
    default:
      return undefined
  }
}

/** Every `Transport` is one of these: the interface is sealed by its type id. */
export const implOf = <In, Out>(transport: Transport<In, Out>): TransportImpl<In, Out> =>
  transport as TransportImpl<In, Out>

/** Keeps what is said in an effect from those who must not see it. */
export const secretly = <A, E, R>(
  { frames }: { readonly frames: { secrecy: Secrecy | undefined } },
  secrecy: Secrecy | undefined,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  secrecy === undefined ? effect : Effect.acquireUseRelease(
    Effect.sync(() => {
      frames.secrecy = secrecy
    }),
    () => effect,
    () =>
      Effect.sync(() => {
        frames.secrecy = undefined
      })
  )
