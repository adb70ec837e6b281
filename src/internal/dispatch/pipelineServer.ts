/**
 * The server's half of `Pipeline`: one transport that is served.
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
import type { TransportError } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import { errorOf } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { areFrames, isReady } from "./exits.ts"

/** What all connections of a service have in common. */
export interface Service<In, Out, E, R> {
  readonly handler: (request: In) => Effect.Effect<Out, E, R>
  readonly maxInFlight: number
  /** How the protocol says that a request has failed, where it can. */
  readonly failure: ((error: E, request: In) => Out) | undefined
}

/** A request that has a place: its handler runs, or an answer before it is not there yet. */
interface Slot<In, Out, E> {
  readonly request: In
  readonly fiber: Fiber.Fiber<Out, E> | undefined
  /** Undefined for as long as its handler runs. */
  exit: Exit.Exit<Out, E> | undefined
  /** The request that came after it. */
  next: Slot<In, Out, E> | undefined
}

/**
 * It runs on the connection's own events: a chunk whose requests are answered at once costs no fiber. Each turn takes,
 * starts, answers and writes as much as it can:
 *
 * | | reads on | is woken by |
 * |---|---|---|
 * | has room | yes | bytes, the end, the answer that is next |
 * | as many requests as it may have | no | the answer that is next, a connection that is given up |
 * | a write that has to wait | no | the end of the write |
 * | the peer has ended | no | the answer that is next |
 */
class Serving<In, Out, E, R> {
  private readonly service: Service<In, Out, E, R>
  private readonly impl: TransportImpl<In, Out>
  private readonly fork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>
  private readonly scheduler: Scheduler.Scheduler
  private readonly finish: (exit: Exit.Exit<void, E | TransportError>) => void
  private readonly writer: BatchWriter<Out>
  private readonly reader: Reader
  // The requests that have a place, in their order.
  private first: Slot<In, Out, E> | undefined = undefined
  private last: Slot<In, Out, E> | undefined = undefined
  private inFlight = 0
  /** How many handlers run. */
  private running = 0
  /** What the next write will have. */
  private answers: Array<Out> | undefined = undefined
  private ended = false
  private failure: Exit.Exit<never, E | TransportError> | undefined = undefined
  private state: "idle" | "turning" | "over" = "idle"
  private hasNews = false
  // Made when a handler takes its time for the first time.
  private dispatcher: Scheduler.SchedulerDispatcher | undefined = undefined
  private turnsSoon = false

  constructor(
    service: Service<In, Out, E, R>,
    impl: TransportImpl<In, Out>,
    context: Context.Context<R>,
    finish: (exit: Exit.Exit<void, E | TransportError>) => void
  ) {
    this.service = service
    this.impl = impl
    this.fork = Effect.runForkWith(context)
    this.scheduler = Context.get(context, Scheduler.Scheduler)
    this.finish = finish
    const turn = () => this.turn()
    this.writer = new BatchWriter(impl, this.fork, turn)
    this.reader = impl.connection.reader(turn)
  }

  /** Whoever is woken from here on comes too late. */
  private stop(): void {
    this.state = "over"
    this.reader.stop()
  }

  private get isOver(): boolean {
    return this.state === "over"
  }

  /** Gives up what still runs. */
  end(): Effect.Effect<void> {
    // A handler has ended what it is a part of: what is ready before it goes out before whatever comes now.
    if (this.state === "turning") this.write()
    this.stop()
    this.writer.stop()
    return this.running === 0 ? Effect.void : this.interruptHandlers()
  }

  private interruptHandlers(): Effect.Effect<void> {
    const fibers: Array<Fiber.Fiber<Out, E>> = []
    for (let slot = this.first; slot !== undefined; slot = slot.next) {
      if (slot.exit === undefined && slot.fiber !== undefined) fibers.push(slot.fiber)
    }
    return Fiber.interruptAll(fibers)
  }

  turn(): void {
    this.hasNews = true
    // What happens in a turn, such as a handler that is done at once, belongs to that turn.
    if (this.state !== "idle") return
    this.state = "turning"
    while (this.hasNews && !this.writer.isWaiting) {
      this.hasNews = false
      // Of the write that was waited for: nothing more is written then.
      this.failure ??= this.writer.failure
      try {
        this.answerNext()
        this.noticeEnd()
        this.take()
      } catch (defect) {
        // It would end the process, for this may be an event of the socket.
        this.failure ??= Exit.die(defect)
      }
      // A handler can end what it is a part of.
      if (this.isOver) return
      this.write()
    }
    this.failure ??= this.writer.failure
    const isDone = this.failure !== undefined || (this.ended && this.inFlight === 0)
    if (isDone && !this.writer.isWaiting) {
      this.stop()
      return this.finish(this.failure ?? Exit.void)
    }
    this.state = "idle"
    if (this.ended || this.writer.isWaiting || !this.hasRoom) this.reader.pause()
    else this.reader.resume()
  }

  /** A turn when everything else that is due now has happened, so that answers that become ready together travel together. */
  private turnSoon(): void {
    if (this.turnsSoon) return
    this.turnsSoon = true
    this.dispatcher ??= this.scheduler.makeDispatcher()
    this.dispatcher.scheduleTask(() => {
      this.turnsSoon = false
      this.turn()
    }, 0)
  }

  private get hasRoom(): boolean {
    return this.inFlight < this.service.maxInFlight
  }

  // Who has no room takes nothing, and would not see that there is nobody left to answer.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (end === undefined || end.reason._tag === "ConnectionClosed" || this.hasRoom) return
    this.failure ??= Exit.fail(end)
  }

  // Takes what there is and has room.
  private take(): void {
    while (this.failure === undefined && !this.ended && !this.isOver && this.hasRoom) {
      const requests = this.impl.takeAll(this.service.maxInFlight - this.inFlight)
      if (!areFrames(requests)) {
        this.ended = true
        if (errorOf(requests)?.reason._tag !== "ConnectionClosed") this.failure = requests
        return
      }
      if (requests.length === 0) return
      for (const request of requests) {
        if (this.failure === undefined && !this.isOver) this.start(request)
      }
    }
  }

  private start(request: In): void {
    let effect: Effect.Effect<Out, E, R>
    try {
      effect = this.service.handler(request)
    } catch (defect) {
      effect = Exit.die(defect)
    }
    if (isReady(effect)) return this.place(request, effect, undefined)
    const fiber = this.fork(effect)
    if (this.isOver) return fiber.interruptUnsafe()
    this.place(request, fiber.pollUnsafe(), fiber)
  }

  private place(request: In, exit: Exit.Exit<Out, E> | undefined, fiber: Fiber.Fiber<Out, E> | undefined): void {
    if (exit !== undefined && this.first === undefined) return this.answer(request, exit)
    const slot: Slot<In, Out, E> = { request, fiber, exit, next: undefined }
    if (this.last === undefined) this.first = slot
    else this.last.next = slot
    this.last = slot
    this.inFlight++
    if (exit !== undefined) return
    this.running++
    fiber?.addObserver((exit) => {
      slot.exit = exit
      this.running--
      if (this.first !== slot) return
      if (this.running > 0) this.turnSoon()
      else this.turn()
    })
  }

  private answer(request: In, exit: Exit.Exit<Out, E>): void {
    if (Exit.isSuccess(exit)) return this.say(exit.value)
    const { failure } = this.service
    const error = failure === undefined || Cause.hasDies(exit.cause) ? Option.none() : Cause.findErrorOption(exit.cause)
    if (failure === undefined || Option.isNone(error)) {
      this.failure = Exit.failCause(exit.cause)
      return
    }
    try {
      this.say(failure(error.value, request))
    } catch (defect) {
      this.failure = Exit.die(defect)
    }
  }

  private say(answer: Out): void {
    // One is the common case, and an array that grows takes room for many.
    if (this.answers === undefined) this.answers = [answer]
    else this.answers.push(answer)
  }

  /** Answers the requests that are next. */
  private answerNext(): void {
    while (this.failure === undefined && this.first?.exit !== undefined) {
      const { exit, next, request } = this.first
      this.first = next
      if (next === undefined) this.last = undefined
      this.inFlight--
      this.answer(request, exit)
    }
  }

  private write(): void {
    const { answers } = this
    if (answers === undefined) return
    this.answers = undefined
    const unencodable = this.encode(answers)
    // It comes before whatever has failed behind it.
    if (unencodable !== undefined) this.failure = unencodable
    this.writer.write()
  }

  private encode(answers: ReadonlyArray<Out>): Exit.Exit<never, TransportError> | undefined {
    try {
      const unencodable = this.writer.addAll(answers)
      return unencodable && Exit.fail(unencodable)
    } catch (defect) {
      return Exit.die(defect)
    }
  }
}

/** Serves a transport until it ends or fails. */
export const serve = <In, Out, E, R>(
  service: Service<In, Out, E, R>,
  impl: TransportImpl<In, Out>
): Effect.Effect<void, E | TransportError, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    let serving: Serving<In, Out, E, R> | undefined
    return Effect.onExit(
      Effect.callback<void, E | TransportError>((resume) => {
        serving = new Serving(service, impl, context, resume)
        serving.turn()
      }),
      () => serving === undefined ? Effect.void : serving.end()
    )
  })
