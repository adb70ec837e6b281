/**
 * What serves one transport on the connection's own events, whatever the order of its answers and whether they have
 * bodies: a chunk whose requests are answered at once costs no fiber.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import { TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader, Reading } from "../connection/connection.ts"
import { errorOf } from "../connection/inbox.ts"
import { isReady, type Listener, type OnEvent, type Surroundings } from "../connection/onEvents.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter, maxBatch, type Writing } from "./batchWriter.ts"
import { areFrames, failureOf } from "./exits.ts"

/** A request whose handler runs. */
export interface Running<A, E> {
  fiber: Fiber.Fiber<A, E> | undefined
}

/**
 * The turn. Each one takes, starts, answers and writes as much as it can:
 *
 * | state | what happens | goes on with |
 * |---|---|---|
 * | idle | nothing | any news: turning |
 * | turning | `act`, then one write, again and again while there is news, no write waits and it has not had its share | idle, or over |
 * | over | nothing | |
 *
 * What is idle is woken by:
 *
 * | | reads on | is woken by |
 * |---|---|---|
 * | has room | yes | bytes, the end, a handler or a body that has something to say, a drain |
 * | holds a frame for which there is no room | no | the same but bytes |
 * | a write that has to wait | no | the end of the write |
 * | has had its share | no | itself, when the other connections have had theirs |
 * | the peer has ended | no | a handler or a body that has something to say |
 *
 * After a failure, that of a write too, nothing more is taken and nothing more is said: what was said before is written,
 * and the service fails.
 *
 * Where a drain has ended the requests, the goodbye is the last frame: behind the answers of all that was begun, so that it
 * tells the peer that nothing else was. No other end has one.
 */
export abstract class Serving<In, Out, Run extends Running<A, E>, A, E, R>
  implements OnEvent<void, E | TransportError>, Reading, Writing
{
  protected readonly impl: TransportImpl<In, Out>
  protected readonly writer: BatchWriter<Out>
  /** No further request comes. */
  protected ended = false
  protected failure: Exit.Exit<never, E | TransportError> | undefined = undefined
  protected state: "idle" | "turning" | "over" = "idle"
  protected hasNews = false
  /** Whether something that has come waits, so that nothing is read behind it. */
  protected isHeldUp = false
  /** Frames that were taken together; from `next` on they wait. */
  private taken: ReadonlyArray<In> = none
  private next = 0
  /** What the next write will have. */
  private batch: Array<Out> | undefined = undefined
  private reader: Reader | undefined = undefined
  private listener: Listener<void, E | TransportError> | undefined = undefined
  /** Whether it ends itself, and not the fiber that it runs in. */
  private isOnEvents = false
  private readonly surroundings: Surroundings<R>
  // Made when something takes its time for the first time.
  private dispatcher: Scheduler.SchedulerDispatcher | undefined = undefined
  private turnsSoon = false
  private hasSaidGoodbye = false
  /** How many frames it may take yet before the other connections have their turn. */
  private share = maxBatch

  constructor(impl: TransportImpl<In, Out>, surroundings: Surroundings<R>) {
    this.impl = impl
    this.surroundings = surroundings
    this.writer = new BatchWriter(impl, surroundings, this)
  }

  // What the kinds of services differ in ----------------------------------------------------------------------------

  /** What all connections of a service have in common; the goodbye is said last where a drain has ended the requests. */
  protected abstract readonly service: { readonly goodbye: Out | undefined }
  /** Takes, starts and answers as much as it can. */
  protected abstract act(): void
  /** How many frames may be taken; with none, what has come waits. */
  protected abstract readonly room: number
  /** False where the frame has to wait. */
  protected abstract accept(frame: In): boolean
  /** A handler that was not done at once is done. */
  protected abstract completed(run: Run, exit: Exit.Exit<A, E>): void
  /** How many requests have no answer yet. */
  protected abstract readonly unanswered: number
  /** Those whose handlers may run. */
  protected abstract runs(): Iterable<Run>
  /** Whether a request has come that is not all there. */
  protected get isMidRequest(): boolean {
    return false
  }
  /** Nothing more comes in. */
  protected receivedEnd(_how: Exit.Exit<never, TransportError>): void {}
  /** A turn is over, and others follow. */
  protected settled(): void {}
  /** No turn follows. */
  protected stopped(_exit: Exit.Exit<unknown, E | TransportError>): void {}
  /** Gives up what still runs of a request. */
  protected interrupt({ fiber }: Run): Effect.Effect<unknown> | undefined {
    return fiber && Fiber.interrupt(fiber)
  }

  // The turn --------------------------------------------------------------------------------------------------------

  /** Serves until the transport ends or fails. */
  run(): Effect.Effect<void, E | TransportError> {
    return Effect.onExit(
      Effect.callback<void, E | TransportError>((resume) => {
        this.listener = { done: resume }
        this.listen()
      }),
      (exit) => Effect.suspend(() => this.end(exit))
    )
  }

  /** The same, without a fiber. */
  begin(listener: Listener<void, E | TransportError>): void {
    this.isOnEvents = true
    this.listener = listener
    try {
      this.listen()
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
  }

  private finish(exit: Exit.Exit<void, E | TransportError>): void {
    const { isOnEvents, listener } = this
    this.listener = undefined
    const ending = isOnEvents && listener !== undefined ? this.end(exit) : Effect.void
    if (isReady(ending)) listener?.done(exit)
    else this.fork(ending).addObserver(() => listener?.done(exit))
  }

  interruptUnsafe(): void {
    if (this.state !== "over") this.finish(Exit.interrupt())
  }

  private listen(): void {
    const { connection } = this.impl
    this.reader = connection.reader(this)
    connection.finishesRequests = true
    this.turn()
  }

  private end(exit: Exit.Exit<unknown, E | TransportError>): Effect.Effect<void> {
    // A handler has ended what it is a part of: what is ready before it goes out before whatever comes now.
    if (this.state === "turning") this.write()
    this.stop()
    this.writer.stop()
    this.stopped(exit)
    const interrupting: Array<Effect.Effect<unknown>> = []
    for (const run of this.runs()) {
      const interrupted = this.interrupt(run)
      if (interrupted !== undefined) interrupting.push(interrupted)
    }
    return interrupting.length === 0
      ? Effect.void
      : Effect.all(interrupting, { concurrency: "unbounded", discard: true })
  }

  /** Whoever is woken from here on comes too late. */
  private stop(): void {
    this.state = "over"
    this.reader?.stop()
    this.impl.connection.finishesRequests = false
  }

  /** No further request is wanted. */
  protected get isDraining(): boolean {
    return this.impl.connection.closesToRequests
  }

  protected get isOver(): boolean {
    return this.state === "over"
  }

  onReadable(): void {
    this.turn()
  }

  onWritten(): void {
    this.turn()
  }

  protected turn(): void {
    this.hasNews = true
    // What happens in a turn, such as a handler that is done at once, belongs to that turn.
    if (this.state !== "idle") return
    this.state = "turning"
    while (this.hasNews && !this.writer.isWaiting) {
      this.hasNews = false
      // Of the write that was waited for.
      this.failure ??= this.writer.failure
      try {
        if (this.failure === undefined) this.act()
      } catch (defect) {
        // It would end the process, for this may be an event of the socket.
        this.fail(Exit.die(defect))
      }
      // A handler can end what it is a part of.
      if (this.isOver) return
      this.write()
      if (this.share === 0 && this.hasNews && this.failure === undefined) return this.giveWay()
    }
    this.share = maxBatch
    this.noticeEnd()
    const isDone = this.failure !== undefined || (this.ended && this.unanswered === 0)
    if (isDone && !this.writer.isWaiting) this.sayGoodbye()
    if (isDone && !this.writer.isWaiting) {
      this.stop()
      return this.finish(this.failure ?? Exit.void)
    }
    this.state = "idle"
    this.settled()
    if (this.ended || this.isHeldUp || this.writer.isWaiting) this.reader?.pause()
    else this.reader?.resume()
  }

  /** Goes on when the other connections have had their turn: one that sends without end would keep the event loop for itself. */
  private giveWay(): void {
    this.share = maxBatch
    this.state = "idle"
    this.reader?.pause()
    this.turnSoon()
  }

  /** A turn when everything else that is due now has happened, so that what becomes ready together travels together. */
  protected turnSoon(): void {
    if (this.turnsSoon) return
    this.turnsSoon = true
    this.dispatcher ??= Context.get(this.surroundings.context, Scheduler.Scheduler).makeDispatcher()
    this.dispatcher.scheduleTask(() => {
      this.turnsSoon = false
      this.turn()
    }, 0)
  }

  /** The first failure counts. */
  protected fail(failure: Exit.Exit<never, E | TransportError>): void {
    this.failure ??= failure
  }

  // What comes in ---------------------------------------------------------------------------------------------------

  /** Takes what there is, as long as there is room for it. */
  protected take(): void {
    this.isHeldUp = false
    while (this.failure === undefined && !this.isOver) {
      const batched = this.batch?.length ?? 0
      if (batched >= maxBatch || this.share === 0) {
        this.hasNews = true
        return
      }
      if (this.next < this.taken.length) {
        this.isHeldUp = !this.accept(this.taken[this.next])
        if (this.isHeldUp) return
        this.next++
        this.share--
        continue
      }
      this.taken = none
      if (this.ended) return
      const { connection } = this.impl
      if (this.isDraining && !this.isMidRequest && !connection.inbox.closed) connection.stopRequests()
      const { room } = this
      this.isHeldUp = room <= 0
      if (this.isHeldUp) return
      const frames = this.impl.takeAll(Math.min(room, maxBatch - batched, this.share))
      if (!areFrames(frames)) return this.receiveEnd(frames)
      if (frames.length === 0) return
      this.taken = frames
      this.next = 0
    }
  }

  private receiveEnd(how: Exit.Exit<never, TransportError>): void {
    this.ended = true
    this.receivedEnd(how)
    if (errorOf(how)?.reason._tag !== "ConnectionClosed") this.fail(how)
  }

  // Who takes nothing would not see that there is nobody left to answer.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (!this.isHeldUp || end === undefined || end.reason._tag === "ConnectionClosed") return
    this.fail(Exit.fail(end))
  }

  /** What has come is none of what may come now. It does not wait. */
  protected reject(expected: string, frame: In): true {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.fail(Exit.fail(new TransportError({ reason })))
    return true
  }

  // Handlers --------------------------------------------------------------------------------------------------------

  /** What a handler returns for a request, or that it has thrown. */
  protected handle<Request>(
    handler: (request: Request) => Effect.Effect<A, E, R>,
    request: Request
  ): Effect.Effect<A, E, R> {
    try {
      return handler(request)
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  protected get fork(): <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.surroundings.context)
  }

  /** Runs what a handler has returned, and returns how it ends where it ends at once. Else `completed` hears of it. */
  protected launch(run: Run, effect: Effect.Effect<A, E, R>): Exit.Exit<A, E> | undefined {
    const fiber = run.fiber = this.fork(effect)
    if (this.isOver) {
      fiber.interruptUnsafe()
      return undefined
    }
    const exit = fiber.pollUnsafe()
    if (exit === undefined) fiber.addObserver((exit) => this.conclude(run, exit))
    return exit
  }

  private conclude(run: Run, exit: Exit.Exit<A, E>): void {
    if (this.isOver) return
    try {
      this.completed(run, exit)
    } catch (defect) {
      this.fail(Exit.die(defect))
      this.turn()
    }
  }

  /** There is something to answer, and others may have something soon, too. */
  protected wake(areOthers: boolean): void {
    if (areOthers) this.turnSoon()
    else this.turn()
  }

  // What goes out ---------------------------------------------------------------------------------------------------

  protected say(frame: Out): void {
    if (this.failure !== undefined) return
    // One is the common case, and an array that grows takes room for many.
    if (this.batch === undefined) this.batch = [frame]
    else this.batch.push(frame)
  }

  /** Whether the next write has room. */
  protected get hasRoomToSay(): boolean {
    return this.batch === undefined || this.batch.length < maxBatch
  }

  /** What a protocol can tell of a failure. The service fails with anything else. */
  protected toTell(cause: Cause.Cause<E>, canTell: boolean): Option.Option<E> {
    const error = canTell ? failureOf(cause) : Option.none()
    if (Option.isNone(error)) this.fail(Exit.failCause(cause))
    return error
  }

  // A peer that has ended asks for nothing any more.
  private sayGoodbye(): void {
    const { goodbye } = this.service
    const { inbox } = this.impl.connection
    if (goodbye === undefined || this.hasSaidGoodbye || this.failure !== undefined) return
    if (!this.isDraining || inbox.end !== undefined) return
    this.hasSaidGoodbye = true
    this.say(goodbye)
    this.write()
  }

  private write(): void {
    const { batch } = this
    if (batch !== undefined) {
      this.batch = undefined
      // It comes before whatever has failed behind it.
      this.failure = this.encode(batch) ?? this.failure
    }
    this.writer.write()
    this.failure ??= this.writer.failure
  }

  private encode(batch: ReadonlyArray<Out>): Exit.Exit<never, TransportError> | undefined {
    try {
      const unencodable = this.writer.addAll(batch)
      return unencodable && Exit.fail(unencodable)
    } catch (defect) {
      return Exit.die(defect)
    }
  }
}

const none: ReadonlyArray<never> = []
