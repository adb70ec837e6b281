/**
 * The calls over one transport on the connection's own events, whatever the order of the answers and whether there are
 * bodies: a call without a body costs no fiber.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { isTransportError, type Sent, TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader, Reading } from "../connection/connection.ts"
import { closedByPeer, closedHere, errorOf } from "../connection/inbox.ts"
import { type ByCall, keepAlive as watch } from "../connection/keepAlive.ts"
import { install } from "../connection/middleware.ts"
import type { Transport } from "../connection/model.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter, type Writing } from "./batchWriter.ts"
import { areFrames, failureOf } from "./exits.ts"
import { type Handling, Pushes, type Unsolicited } from "./unsolicited.ts"

export type Ended = Exit.Exit<never, TransportError>

interface Call {
  /** Goes nowhere once the call is settled or was interrupted. */
  readonly settle: (end: Ended) => void
}

/**
 * A call waits for a place, and for a write to end. It is encoded when it is written: so what waits behind a slow write is
 * bounded by the calls that wait, and one that is interrupted there leaves nothing behind. One that cannot be encoded
 * fails alone.
 *
 * | the connection | comes in | goes out |
 * |---|---|---|
 * | is free | what there is, each time that something has come | in a microtask, whatever was asked for before it |
 * | holds a frame for which there is no room: of a body, or one that nobody asked for | nothing behind it | the same |
 * | has a write that has to wait | what there is | nothing; when it is over, all at once |
 * | has ended: a failed write, a defect, the peer, the scope | nothing | nothing: every call fails with how, and says whether it was sent |
 * | has heard the peer's goodbye | nothing | the same, and no call counts as sent: the peer has begun with none that it has not answered |
 */
export abstract class Calls<In, Out, C extends Call> implements Reading, Writing {
  protected readonly impl: TransportImpl<In, Out>
  protected readonly maxInFlight: number
  protected readonly dispatcher: Scheduler.SchedulerDispatcher
  protected readonly writer: BatchWriter<Out>
  protected readonly waiting = new Set<C>()
  protected end: Ended | undefined = undefined
  private refused: Ended | undefined = undefined
  protected isSending = false
  /** Whether a frame is the peer's goodbye. */
  isGoodbye: ((frame: In) => boolean) | undefined = undefined
  /** Whether a frame of an answer waits for room. */
  protected isHeldUp = false
  /** Takes the frames that are no answers. */
  private pushes: Pushes<In> | undefined = undefined
  /** Whether one of those waits for room. */
  private holdsPush = false
  private readonly reader: Reader
  private readonly ended = Deferred.makeUnsafe<never, TransportError>()
  /** Frames that were taken together; from `next` on they wait. */
  private taken: ReadonlyArray<In> = none
  private next = 0
  private sendsSoon = false
  private isReceiving = false
  private hasNews = false

  constructor(impl: TransportImpl<In, Out>, context: Context.Context<never>, maxInFlight: number) {
    this.impl = impl
    this.maxInFlight = maxInFlight
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, { context }, this)
    this.reader = impl.connection.reader(this)
  }

  // What the kinds of calls differ in -------------------------------------------------------------------------------

  /** How many calls have a place. */
  protected abstract readonly placed: number
  /** Those that have a place. None has one any more. */
  protected abstract leave(): Iterable<C>
  protected abstract requestOf(call: C): Out
  /** The request of a call is in the batch: it has a place. */
  protected abstract begun(call: C): void
  /** False where the frame has to wait. */
  protected abstract accept(frame: In): boolean
  /** How many frames may be taken. */
  protected get room(): number {
    return Infinity
  }
  /** Before a call is encoded. */
  protected prepare(): void {}
  /** What was taken is given out. */
  protected settled(): void {}
  /** Something was written, or waits to be. */
  protected sent(): void {}
  /** It has ended. */
  protected stopped(_end: Ended): void {}
  /** Waits for the bodies that are sent. */
  protected get bodiesStopped(): Effect.Effect<void> {
    return Effect.void
  }

  // The end ---------------------------------------------------------------------------------------------------------

  get awaitEnd(): Effect.Effect<never, TransportError> {
    return Deferred.await(this.ended)
  }

  /** Ends the use of the connection, and waits for the bodies that were being sent, and for what was handled. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.finish(Exit.fail(closedHere))
      return this.pushes === undefined ? this.bodiesStopped : Effect.andThen(this.pushes.close, this.bodiesStopped)
    })
  }

  /** The first end counts. `sent` is what is known of the calls that have a place. */
  protected finish(end: Ended, sent: Sent = "perhaps"): void {
    if (this.end !== undefined) return
    this.end = end
    this.reader.stop()
    this.writer.stop()
    this.taken = none
    const begun = [...this.leave()]
    const waiting = [...this.waiting]
    this.waiting.clear()
    this.stopped(end)
    // Whoever waits for the end knows of it when the calls fail with it, and makes none here again.
    Deferred.doneUnsafe(this.ended, end)
    if (begun.length > 0) settleAll(begun, saying(end, sent))
    if (waiting.length > 0) settleAll(waiting, this.refusal(end))
  }

  /** How a call fails that was not sent before the end. */
  protected refusal(end: Ended): Ended {
    return this.refused ??= saying(end, "no")
  }

  // What comes in ---------------------------------------------------------------------------------------------------

  /** Has the frames that are no answers handled. */
  handle<Push extends In, R>(unsolicited: Unsolicited<In, Push, R>, context: Context.Context<R>): void {
    // It is given what `is` has found to be a Push, and what it needs is in the context that it is run with.
    const handling = unsolicited as unknown as Handling<In>
    this.pushes = new Pushes(
      handling,
      context as Context.Context<never>,
      () => this.receive(),
      (end) => this.finish(end)
    )
  }

  onReadable(): void {
    this.receive()
  }

  onWritten(): void {
    this.send()
  }

  receive(): void {
    this.hasNews = true
    // Who is told meanwhile that there is more must not take it before what has been taken is given out.
    if (this.isReceiving || this.end !== undefined) return
    this.isReceiving = true
    try {
      while (this.hasNews && this.end === undefined) {
        this.hasNews = false
        this.take()
      }
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
    this.isReceiving = false
    if (this.end !== undefined) return
    this.settled()
    if (this.isHeldUp || this.holdsPush) this.reader.pause()
    else this.reader.resume()
    this.sendSoon()
  }

  private take(): void {
    this.isHeldUp = this.holdsPush = false
    while (this.end === undefined) {
      if (this.next < this.taken.length) {
        if (!this.takeOne(this.taken[this.next])) return this.noticeEnd()
        this.next++
        continue
      }
      this.taken = none
      const frames = this.impl.takeAll(this.room)
      if (!areFrames(frames)) return this.finish(frames)
      if (frames.length === 0) return
      this.taken = frames
      this.next = 0
    }
  }

  private takeOne(frame: In): boolean {
    const { isGoodbye, pushes } = this
    if (isGoodbye?.(frame) === true) {
      this.finish(Exit.fail(closedByPeer), "no")
      return true
    }
    if (pushes !== undefined && pushes.is(frame)) this.holdsPush = !pushes.take(frame)
    else this.isHeldUp = !this.accept(frame)
    return !this.holdsPush && !this.isHeldUp
  }

  // Who takes nothing would not see that nothing more comes.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (end !== undefined && end.reason._tag !== "ConnectionClosed") this.finish(Exit.fail(end))
  }

  /** What has come is none of what may come now. It does not wait. */
  protected reject(expected: string, frame: In): true {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.finish(Exit.fail(new TransportError({ reason })))
    return true
  }

  // What goes out ---------------------------------------------------------------------------------------------------

  protected enqueue(call: C): void {
    this.waiting.add(call)
    this.sendSoon()
  }

  /** A ping that was not sent is as good as none that can be. Any answer shows that the peer is there. */
  protected readonly settlePing = (exit: Exit.Exit<unknown, unknown>): void => {
    if (Exit.isSuccess(exit)) return
    const error = failureOf(exit.cause)
    if (Option.isNone(error)) this.finish(Exit.failCause(exit.cause as Cause.Cause<never>)) // a defect has no error
    else if (isTransportError(error.value)) this.finish(Exit.fail(error.value))
  }

  protected get hasPlace(): boolean {
    return this.placed < this.maxInFlight
  }

  /** Whether there is something that may be sent now. */
  protected get mayBegin(): boolean {
    return this.waiting.size > 0 && this.hasPlace
  }

  /** Not at once: what is called in the same turn travels in one write. */
  protected sendSoon(): void {
    if (this.sendsSoon || this.end !== undefined || !this.mayBegin) return
    this.sendsSoon = true
    queueMicrotask(() => {
      this.sendsSoon = false
      this.send()
    })
  }

  protected send(): void {
    if (this.end !== undefined || this.writer.isWaiting || this.isSending) return
    // Nothing more is begun when a write has failed.
    if (this.writer.failure !== undefined) return this.finish(this.writer.failure)
    this.isSending = true
    try {
      this.add()
      this.writer.write()
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
    this.isSending = false
    if (this.writer.failure !== undefined) return this.finish(this.writer.failure)
    this.sent()
  }

  /** Adds what is to be sent to the batch. */
  protected add(): void {
    for (const call of this.waiting) {
      if (!this.hasPlace || this.end !== undefined) return
      this.begin(call)
    }
  }

  protected begin(call: C): void {
    this.prepare()
    const unsendable = this.encode(call)
    this.waiting.delete(call)
    if (unsendable === undefined) this.begun(call)
    // Later, so that whoever calls again and again with the same request leaves room for others.
    else this.dispatcher.scheduleTask(() => call.settle(unsendable), 0)
  }

  private encode(call: C): Ended | undefined {
    try {
      const unencodable = this.writer.add(this.requestOf(call))
      return unencodable && saying(Exit.fail(unencodable), "no")
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  /** Adds a frame that has no call to fail, where it cannot be encoded. */
  protected say(frame: Out): void {
    const unencodable = this.writer.add(frame)
    if (unencodable !== undefined) this.finish(Exit.fail(unencodable))
  }
}

const none: ReadonlyArray<never> = []

/** The end as the error of a call, which says whether the call was sent. A defect is what it is. */
const saying = (end: Ended, sent: Sent): Ended => {
  const error = errorOf(end)
  return error === undefined ? end : Exit.fail(new TransportError({ reason: error.reason, sent }))
}

const settleAll = (calls: Iterable<Call>, end: Ended): void => {
  for (const call of calls) call.settle(end)
}

/** Asks whether the peer is there, with a call of its own, for as long as the scope is open. */
export const stayAlive = <In, Out, Request>(
  transport: Transport<In, Out>,
  keepAlive: ByCall<Request> | undefined,
  ask: (ping: Request) => boolean
): Effect.Effect<void, never, Scope.Scope> =>
  keepAlive === undefined
    ? Effect.void
    : Effect.asVoid(install(transport, (link) => watch(link, keepAlive, () => ask(keepAlive.ping))))

/** Begins to receive, until the scope is closed. */
export const open = <In, Push extends In, R>(
  calls: Pick<Calls<In, never, never>, "handle" | "receive" | "close" | "isGoodbye">,
  unsolicited: Unsolicited<In, Push, R> | undefined,
  isGoodbye?: (frame: In) => boolean
): Effect.Effect<void, never, Scope.Scope | R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    calls.isGoodbye = isGoodbye
    if (unsolicited !== undefined) calls.handle(unsolicited, context)
    calls.receive()
    return Effect.addFinalizer(() => calls.close)
  })
