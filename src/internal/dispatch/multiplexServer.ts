/**
 * The server's half of `Multiplex`: one transport that is served.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import type * as Multiplex from "../../Multiplex.ts"
import { TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import { errorOf } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { areFrames, isReady } from "./exits.ts"

/** How many frames go into one write at most, however many answers are ready at once. */
const maxBatch = 1024

/** The frames of a protocol, and how it says that a request has failed. */
export type Frames<In, Out, Id, Request, Response, E> = Multiplex.ServerFrames<In, Out, Id, Request, Response> & {
  readonly failure?: ((id: Id, error: E) => Out) | undefined
}

/** A request whose handler runs. */
interface Running<Id, Response, E> {
  readonly id: Id
  fiber: Fiber.Fiber<Response, E> | undefined
  /** Its answer is not wanted any more. */
  cancelled: boolean
}

/**
 * It runs on the connection's own events, and each turn takes, starts and writes as much as it can. A request goes
 * through these states:
 *
 * | state | its id | its place | goes on with |
 * |---|---|---|---|
 * | held: it came when no place was free | free | none | a free place: running |
 * | running | in flight | taken | its result: answered; a cancel: cancelled |
 * | answered: in the batch for the next write | free | free | |
 * | cancelled: its handler is being interrupted | free | taken | the end of its handler |
 *
 * At most one request is held, and nothing is read behind it. So the cancels of a peer that keeps to `maxInFlight` are
 * read while all places are taken, and one that does not is slowed down. A cancelled request keeps its place, or a peer
 * could have any number of handlers by cancelling them.
 */
export class Serving<In, Out, Id, Request, Response, E, R> {
  private readonly impl: TransportImpl<In, Out>
  private readonly frames: Frames<In, Out, Id, Request, Response, E>
  private readonly handler: (request: Request) => Effect.Effect<Response, E, R>
  private readonly maxInFlight: number
  private readonly refuse: ((request: Request) => E) | undefined
  private readonly fork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly inFlight = new Map<Id, Running<Id, Response, E>>()
  /** Who has a place, be it in flight or cancelled. */
  private readonly running = new Set<Running<Id, Response, E>>()
  private held: { readonly id: Id; readonly body: Request } | undefined = undefined
  private reader: Reader | undefined = undefined
  private ended = false
  private failure: Exit.Exit<never, E | TransportError> | undefined = undefined
  private state: "idle" | "turning" | "over" = "idle"
  private hasNews = false
  private turnsSoon = false
  private finish: (exit: Exit.Exit<void, E | TransportError>) => void = () => {}

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Frames<In, Out, Id, Request, Response, E>,
    handler: (request: Request) => Effect.Effect<Response, E, R>,
    maxInFlight: number,
    refuse: ((request: Request) => E) | undefined,
    context: Context.Context<R>
  ) {
    this.impl = impl
    this.frames = frames
    this.handler = handler
    this.maxInFlight = maxInFlight
    this.refuse = frames.failure === undefined ? undefined : refuse
    this.fork = Effect.runForkWith(context)
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, this.fork, () => this.turn())
  }

  readonly run: Effect.Effect<void, E | TransportError> = Effect.onExit(
    Effect.callback<void, E | TransportError>((resume) => {
      this.finish = resume
      this.reader = this.impl.connection.reader(() => this.turn())
      this.turn()
    }),
    () =>
      Effect.suspend(() => {
        // A handler has ended what it is a part of: what is ready before it goes out before whatever comes now.
        if (this.state === "turning") this.writer.write()
        this.stop()
        this.writer.stop()
        return Fiber.interruptAll([...this.running].flatMap(({ fiber }) => fiber === undefined ? [] : [fiber]))
      })
  )

  /** Whoever is woken from here on comes too late. */
  private stop(): void {
    this.state = "over"
    this.reader?.stop()
  }

  private get isOver(): boolean {
    return this.state === "over"
  }

  private turn(): void {
    this.hasNews = true
    // What happens in a turn, such as a handler that is done at once, belongs to that turn.
    if (this.state !== "idle") return
    this.state = "turning"
    while (this.hasNews && !this.writer.isWaiting) {
      this.hasNews = false
      try {
        this.take()
      } catch (defect) {
        this.fail(Exit.die(defect))
      }
      if (this.isOver) return
      this.writer.write()
      if (this.writer.failure !== undefined) this.fail(this.writer.failure)
    }
    this.noticeEnd()
    // None is held then: the end is not read behind one.
    const isDone = this.failure !== undefined || (this.ended && this.running.size === 0)
    if (isDone && !this.writer.isWaiting) {
      this.stop()
      return this.finish(this.failure ?? Exit.void)
    }
    this.state = "idle"
    if (this.ended || this.held !== undefined || this.writer.isWaiting) this.reader?.pause()
    else this.reader?.resume()
  }

  /** A turn when everything else that is due now has happened, so that answers that become ready together travel together. */
  private turnSoon(): void {
    if (this.turnsSoon) return
    this.turnsSoon = true
    this.dispatcher.scheduleTask(() => {
      this.turnsSoon = false
      this.turn()
    }, 0)
  }

  /** The first failure counts. What is in the batch is still written. */
  private fail(failure: Exit.Exit<never, E | TransportError>): void {
    this.failure ??= failure
  }

  private say(frame: Out): void {
    const unencodable = this.writer.add(frame)
    if (unencodable !== undefined) this.fail(Exit.fail(unencodable))
  }

  // Who holds a request reads nothing, and would not see that there is nobody left to answer.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (this.held === undefined || end === undefined || end.reason._tag === "ConnectionClosed") return
    this.fail(Exit.fail(end))
  }

  private get hasPlace(): boolean {
    return this.running.size < this.maxInFlight
  }

  // Takes what there is, as long as there is room for it.
  private take(): void {
    while (this.failure === undefined && !this.isOver) {
      if (this.writer.size >= maxBatch) {
        this.hasNews = true
        return
      }
      const { held } = this
      if (held !== undefined) {
        if (!this.hasPlace) return
        this.held = undefined
        this.start(held.id, held.body)
        continue
      }
      if (this.ended) return
      // One more than there are places: it may be a cancel.
      const room = this.refuse === undefined ? this.maxInFlight - this.running.size + 1 : maxBatch
      const frames = this.impl.takeAll(Math.min(room, maxBatch - this.writer.size))
      if (!areFrames(frames)) {
        this.ended = true
        if (errorOf(frames)?.reason._tag !== "ConnectionClosed") this.fail(frames)
        return
      }
      if (frames.length === 0) return
      for (const frame of frames) {
        if (this.failure === undefined && !this.isOver) this.accept(frame)
      }
    }
  }

  private accept(frame: In): void {
    const message = this.frames.fromClient(frame)
    if (message === undefined) return this.reject("a request", frame)
    if (message._tag === "Cancel") return this.cancel(message.id)
    if (this.inFlight.has(message.id)) return this.reject("a request whose id is not in flight", frame)
    if (this.hasPlace) return this.start(message.id, message.body)
    if (this.refuse === undefined || this.frames.failure === undefined) {
      this.held = message
    } else {
      this.say(this.frames.failure(message.id, this.refuse(message.body)))
    }
  }

  private reject(expected: string, frame: In): void {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.fail(Exit.fail(new TransportError({ reason })))
  }

  private start(id: Id, request: Request): void {
    let effect: Effect.Effect<Response, E, R>
    try {
      effect = this.handler(request)
    } catch (defect) {
      return this.fail(Exit.die(defect))
    }
    if (isReady(effect)) return this.answer(id, effect)
    const running: Running<Id, Response, E> = { id, fiber: undefined, cancelled: false }
    this.inFlight.set(id, running)
    this.running.add(running)
    const fiber = this.fork(effect)
    running.fiber = fiber
    if (this.isOver) return fiber.interruptUnsafe()
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.completed(running, exit)
    fiber.addObserver((exit) => {
      if (this.isOver) return
      this.completed(running, exit)
      if (this.running.size > 0) this.turnSoon()
      else this.turn()
    })
  }

  private completed(running: Running<Id, Response, E>, exit: Exit.Exit<Response, E>): void {
    this.running.delete(running)
    if (!running.cancelled) {
      this.inFlight.delete(running.id)
      return this.answer(running.id, exit)
    }
    // What it comes to is not wanted any more; that it is broken must not go unnoticed.
    if (Exit.hasDies(exit)) this.answer(running.id, exit)
  }

  private answer(id: Id, exit: Exit.Exit<Response, E>): void {
    try {
      if (Exit.isSuccess(exit)) return this.say(this.frames.response(id, exit.value))
      const failure = Cause.hasDies(exit.cause) ? Option.none() : Cause.findErrorOption(exit.cause)
      if (this.frames.failure === undefined || Option.isNone(failure)) return this.fail(Exit.failCause(exit.cause))
      this.say(this.frames.failure(id, failure.value))
    } catch (defect) {
      this.fail(Exit.die(defect))
    }
  }

  private cancel(id: Id): void {
    const running = this.inFlight.get(id)
    // It was answered already, or never asked.
    if (running === undefined) return
    this.inFlight.delete(id)
    running.cancelled = true
    if (this.frames.cancelled !== undefined) this.say(this.frames.cancelled(id))
    running.fiber?.interruptUnsafe()
  }
}
