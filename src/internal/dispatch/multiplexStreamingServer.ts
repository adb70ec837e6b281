/**
 * The server's half of `Multiplex` with bodies: one transport that is served.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import type * as Body from "../../Body.ts"
import type * as Multiplex from "../../Multiplex.ts"
import { isTransportError, TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import { closedHere, errorOf } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { abortedByPeer, type Bounds, chunksPerTurn, Inlet, isReadError, Outlet, Patience, stalled } from "./body.ts"
import { areFrames, isReady } from "./exits.ts"

/** How many frames go into one write at most, however many answers and bodies are ready at once. */
const maxBatch = 1024

/** How many requests are remembered that were answered before they had ended. */
export const maxUnended = 4096

/** The frames of a protocol, and how it says that a request or its response has failed. */
export type Frames<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure, E> =
  & Multiplex.StreamingServerFrames<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure>
  & { readonly response: { readonly abort?: ((id: Id, error: E | undefined) => Out) | undefined } }

export type Handler<Head, Chunk, Head2, Chunk2, Failure, E, R> = (
  request: Body.Message<Head, Chunk, Failure | Body.ReadError>
) => Effect.Effect<Body.Message<Head2, Chunk2, E, R>, E, R>

export interface Options<Head, E> extends Bounds {
  readonly maxInFlight: number
  readonly refuse: ((head: Head) => E) | undefined
}

type Part<Id, Head, Chunk, Failure> =
  | Multiplex.MessagePart<Id, Head, Chunk, Failure>
  | { readonly _tag: "Cancel"; readonly id: Id }

interface Held<In, Id, Head, Chunk, Failure> {
  readonly frame: In
  readonly part: Part<Id, Head, Chunk, Failure>
}

/** A request whose handler runs, or whose response is being sent. */
interface Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R> {
  readonly id: Id
  readonly inlet: Inlet<Chunk, Failure> | undefined
  fiber: Fiber.Fiber<Body.Message<Head2, Chunk2, E, R>, E> | undefined
  outlet: Outlet<Chunk2, E, R> | undefined
  /** Whether the body of its response waits for its turn. */
  isQueued: boolean
  /** Its answer is not wanted any more. */
  isCancelled: boolean
}

/**
 * It runs on the connection's own events, and each turn takes, starts and writes as much as it can. A request goes
 * through these states:
 *
 * | state | its id | its place | its body | goes on with |
 * |---|---|---|---|---|
 * | held: its head came when no place was free | free | none | is not read | a free place: running; no patience left: refused |
 * | running: its handler is | taken | taken | is read | its result; a cancel: cancelled |
 * | answering: the body of its response is sent | taken | taken | is read | the end of that; a cancel: cancelled |
 * | answered | free | free | has ended | |
 * | unended: answered, or refused, before its body had ended | taken | free | is dropped | the end of its body; a cancel |
 * | cancelled: its handler or its response is being interrupted | free | taken | does not come | the end of that |
 *
 * At most one frame is held, and nothing is read behind it: a head for which there is no place, or a chunk for which its
 * body has no room. The chunk waits for its reader for `bodyTimeout` at most. So does the head for its place where a
 * handler waits for its own body, which may come behind the head. What is unended has no place, or the end of its
 * body could wait behind a head that waits for that place.
 */
export class StreamingServing<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure, E, R> {
  private readonly impl: TransportImpl<In, Out>
  private readonly frames: Frames<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure, E>
  private readonly handler: Handler<Head, Chunk, Head2, Chunk2, Failure, E, R>
  private readonly options: Options<Head, E>
  private readonly fork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly patience: Patience
  private readonly inFlight = new Map<Id, Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>>()
  /** Who has a place, be it in flight or cancelled. */
  private readonly running = new Set<Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>>()
  /** The bodies of those in flight that have not ended. */
  private readonly open = new Set<Inlet<Chunk, Failure>>()
  private readonly unended = new Set<Id>()
  /** Whose body has something to send, in the order of their turns. */
  private readonly queue: Array<Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>> = []
  private held: Held<In, Id, Head, Chunk, Failure> | undefined = undefined
  private reader: Reader | undefined = undefined
  private isClosing = false
  private ended = false
  private failure: Exit.Exit<never, E | TransportError> | undefined = undefined
  private state: "idle" | "turning" | "over" = "idle"
  private hasNews = false
  private turnsSoon = false
  private finish: (exit: Exit.Exit<void, E | TransportError>) => void = () => {}

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Frames<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure, E>,
    handler: Handler<Head, Chunk, Head2, Chunk2, Failure, E, R>,
    options: Options<Head, E>,
    context: Context.Context<R>
  ) {
    this.impl = impl
    this.frames = frames
    this.handler = handler
    this.options = options
    this.fork = Effect.runForkWith(context)
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, this.fork, () => this.turn())
    this.patience = new Patience(
      Context.get(context, Clock.Clock),
      this.fork,
      options.bodyTimeout,
      () => this.outOfPatience()
    )
  }

  readonly run: Effect.Effect<void, E | TransportError> = Effect.onExit(
    Effect.callback<void, E | TransportError>((resume) => {
      const { connection } = this.impl
      this.finish = resume
      this.reader = connection.reader(() => this.turn())
      // A turn follows.
      connection.onCloseToRequests = () => {
        this.isClosing = true
      }
      this.turn()
    }),
    (exit) =>
      Effect.suspend(() => {
        // A handler has ended what it is a part of: what is ready before it goes out before whatever comes now.
        if (this.state === "turning") this.writer.write()
        this.stop()
        this.writer.stop()
        this.patience.stop()
        const error = Exit.findErrorOption(exit).pipe(
          Option.filter(isTransportError),
          Option.getOrElse(() => closedHere)
        )
        this.endBodies(Exit.fail(error))
        return Effect.forEach(this.running, interrupted, { concurrency: "unbounded", discard: true })
      })
  )

  /** Whoever is woken from here on comes too late. */
  private stop(): void {
    this.state = "over"
    this.impl.connection.onCloseToRequests = undefined
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
        this.sendBodies()
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
    // A peer that does not read may be what the reader of a body waits for.
    if (this.held === undefined || this.writer.isWaiting) this.patience.end()
    else this.patience.begin()
    if (this.ended || this.held !== undefined || this.writer.isWaiting) this.reader?.pause()
    else this.reader?.resume()
    // Each body has had its turn, and so has everything else before the next one.
    if (this.queue.length > 0 && !this.writer.isWaiting) this.turnSoon()
  }

  /** A turn when everything else that is due now has happened, so that what becomes ready together travels together. */
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

  private reject(expected: string, frame: In): void {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.fail(Exit.fail(new TransportError({ reason })))
  }

  private say(frame: Out): void {
    const unencodable = this.writer.add(frame)
    if (unencodable !== undefined) this.fail(Exit.fail(unencodable))
  }

  // What comes in --------------------------------------------------------------------------------------------------------

  // Takes what there is, as long as there is room for it.
  private take(): void {
    while (this.failure === undefined && !this.isOver) {
      if (this.writer.size >= maxBatch) {
        this.hasNews = true
        return
      }
      const { held } = this
      if (held !== undefined) {
        this.held = undefined
        this.accept(held.part, held.frame)
        if (this.held !== undefined) return
        this.patience.end()
        continue
      }
      if (this.ended) return
      // Whoever drains takes no request any more; the bodies of those that were taken still come.
      if (this.isClosing && this.open.size === 0) this.impl.connection.stopRequests()
      const frames = this.impl.takeAll(Math.min(this.room, maxBatch - this.writer.size))
      if (!areFrames(frames)) {
        this.ended = true
        this.endBodies(frames)
        if (errorOf(frames)?.reason._tag !== "ConnectionClosed") this.fail(frames)
        return
      }
      if (frames.length === 0) return
      for (const frame of frames) {
        if (this.failure !== undefined || this.isOver) return
        const part = this.frames.request.read(frame)
        if (part === undefined) return this.reject("a part of a request", frame)
        this.accept(part, frame)
      }
    }
  }

  /** How many frames may be taken so that only the last one may have to be held. */
  private get room(): number {
    let room = this.options.bodyBuffer
    if (this.refuse === undefined) room = Math.min(room, this.options.maxInFlight - this.running.size)
    for (const inlet of this.open) room = Math.min(room, inlet.room)
    return room + 1
  }

  // Who holds a frame reads nothing, and would not see that there is nobody left to answer.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (this.held === undefined || end === undefined || end.reason._tag === "ConnectionClosed") return
    this.fail(Exit.fail(end))
  }

  private get refuse(): ((head: Head) => E) | undefined {
    return this.frames.response.abort === undefined ? undefined : this.options.refuse
  }

  private accept(part: Part<Id, Head, Chunk, Failure>, frame: In): void {
    const { id } = part
    switch (part._tag) {
      case "Head":
        return this.acceptHead(part, frame)
      case "Cancel":
        return this.cancel(id)
      default: {
        const inlet = this.inFlight.get(id)?.inlet
        if (inlet !== undefined && !inlet.isEnded) return this.acceptBody(inlet, part, frame)
        if (!this.unended.has(id)) return this.reject("a part of a body that has begun and not ended", frame)
        if (part._tag !== "Chunk") this.unended.delete(id)
      }
    }
  }

  private acceptHead(part: Part<Id, Head, Chunk, Failure> & { readonly _tag: "Head" }, frame: In): void {
    const { hasBody, head, id } = part
    if (this.inFlight.has(id) || this.unended.has(id)) {
      return this.reject("a request whose id is not in flight", frame)
    }
    if (this.isClosing) return this.refuseWith(id, hasBody, undefined)
    if (this.running.size < this.options.maxInFlight) return this.start(id, head, hasBody)
    const { refuse } = this
    if (refuse === undefined) this.held = { frame, part }
    else this.refuseWith(id, hasBody, refuse(head))
  }

  private refuseWith(id: Id, hasBody: boolean, error: E | undefined): void {
    if (this.frames.response.abort !== undefined) this.say(this.frames.response.abort(id, error))
    if (hasBody) this.dropRest(id)
  }

  private acceptBody(
    inlet: Inlet<Chunk, Failure>,
    part: Part<Id, Head, Chunk, Failure> & { readonly _tag: "Chunk" | "End" | "Abort" },
    frame: In
  ): void {
    if (part._tag === "Chunk") {
      if (inlet.room <= 0) this.held = { frame, part }
      else inlet.push(part.chunk)
      return
    }
    this.open.delete(inlet)
    if (part._tag !== "Abort") return inlet.end()
    inlet.end(part.error === undefined ? abortedByPeer : Exit.fail(part.error))
  }

  /** What still comes of a request that is answered is known as such, for as long as this is remembered. */
  private dropRest(id: Id): void {
    this.unended.add(id)
    if (this.unended.size <= maxUnended) return
    const [oldest] = this.unended
    this.unended.delete(oldest)
  }

  private endBodies(how: Exit.Exit<never, TransportError>): void {
    for (const inlet of this.open) inlet.end(how)
    this.open.clear()
  }

  /** What is held has held the connection up for `bodyTimeout`. */
  private outOfPatience(): void {
    if (this.held === undefined) return
    const { frame, part } = this.held
    if (part._tag === "Chunk") {
      this.inFlight.get(part.id)?.inlet?.stall(stalled(this.options.bodyTimeout))
      return this.turn()
    }
    if (part._tag !== "Head") return
    // Nobody waits for what may come behind it. This may change.
    if (!Array.from(this.open).some((inlet) => inlet.isAwaited)) return this.patience.begin()
    this.held = undefined
    if (this.frames.response.abort === undefined) {
      this.reject(`nothing but the bodies of ${this.options.maxInFlight} requests`, frame)
    } else {
      this.refuseWith(part.id, part.hasBody, undefined)
    }
    this.turn()
  }

  // Handlers -------------------------------------------------------------------------------------------------------------

  private start(id: Id, head: Head, hasBody: boolean): void {
    const inlet = hasBody ? new Inlet<Chunk, Failure>(this.options.bodyBuffer, this.onRoom) : undefined
    let effect: Effect.Effect<Body.Message<Head2, Chunk2, E, R>, E, R>
    try {
      effect = this.handler({ head, body: inlet?.stream })
    } catch (defect) {
      return this.fail(Exit.die(defect))
    }
    const ready = isReady(effect) ? effect : undefined
    // Nothing has to be kept of one that has no body on either side.
    if (inlet === undefined && ready?._tag === "Success" && ready.value.body === undefined) {
      return this.say(this.frames.response.head(id, ready.value.head, false))
    }
    const exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R> = {
      id,
      inlet,
      fiber: undefined,
      outlet: undefined,
      isQueued: false,
      isCancelled: false
    }
    this.inFlight.set(id, exchange)
    this.running.add(exchange)
    if (inlet !== undefined) this.open.add(inlet)
    if (ready !== undefined) return this.answer(exchange, ready)
    const fiber = this.fork(effect)
    exchange.fiber = fiber
    if (this.isOver) return fiber.interruptUnsafe()
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.completed(exchange, exit)
    fiber.addObserver((exit) => {
      if (this.isOver) return
      this.completed(exchange, exit)
      if (this.running.size > 0) this.turnSoon()
      else this.turn()
    })
  }

  private readonly onRoom = (): void => this.turn()

  private completed(
    exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>,
    exit: Exit.Exit<Body.Message<Head2, Chunk2, E, R>, E>
  ): void {
    if (exchange.isCancelled) this.afterCancel(exchange, exit)
    else this.answer(exchange, exit)
  }

  private afterCancel(
    exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>,
    exit: Exit.Exit<unknown, E>
  ): void {
    this.running.delete(exchange)
    // What it comes to is not wanted any more; that it is broken must not go unnoticed.
    if (Exit.isFailure(exit) && Exit.hasDies(exit)) this.fail(Exit.failCause(exit.cause))
  }

  private answer(
    exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>,
    exit: Exit.Exit<Body.Message<Head2, Chunk2, E, R>, E>
  ): void {
    const { id } = exchange
    if (Exit.isFailure(exit)) return this.answerFailure(exchange, exit.cause)
    try {
      const { body, head } = exit.value
      this.say(this.frames.response.head(id, head, body !== undefined))
      if (body === undefined) return this.answered(exchange)
      exchange.outlet = new Outlet(body, () => this.onBodyNews(exchange))
      exchange.outlet.start(this.fork)
    } catch (defect) {
      this.fail(Exit.die(defect))
    }
  }

  private answerFailure(
    exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>,
    cause: Cause.Cause<E>
  ): void {
    const { abort } = this.frames.response
    const failure = Cause.hasDies(cause) ? Option.none() : Cause.findErrorOption(cause)
    if (abort === undefined || Option.isNone(failure)) {
      this.fail(Exit.failCause(cause))
    } else {
      try {
        this.say(abort(exchange.id, isReadError(failure.value) ? undefined : failure.value))
      } catch (defect) {
        this.fail(Exit.die(defect))
      }
    }
    this.answered(exchange)
  }

  /** Everything was said. */
  private answered(exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>): void {
    this.running.delete(exchange)
    this.release(exchange)
    // Where the peer has ended, nothing else comes.
    if (exchange.inlet !== undefined && !exchange.inlet.isEnded) this.dropRest(exchange.id)
  }

  private release({ id, inlet }: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>): void {
    this.inFlight.delete(id)
    if (inlet === undefined) return
    this.open.delete(inlet)
    inlet.drop()
  }

  private cancel(id: Id): void {
    this.unended.delete(id)
    const exchange = this.inFlight.get(id)
    // It was answered already, or never asked.
    if (exchange === undefined) return
    this.release(exchange)
    exchange.isCancelled = true
    if (this.frames.cancelled !== undefined) this.say(this.frames.cancelled(id))
    if (exchange.outlet === undefined) exchange.fiber?.interruptUnsafe()
    else exchange.outlet.stop()
  }

  // The bodies of responses ----------------------------------------------------------------------------------------------

  private onBodyNews(exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>): void {
    if (this.isOver || exchange.isQueued) return
    exchange.isQueued = true
    this.queue.push(exchange)
    if (this.state === "turning") return
    // Others may have something to send now, too.
    if (this.running.size > 1) this.turnSoon()
    else this.turn()
  }

  /** A turn for each body that waits for one. */
  private sendBodies(): void {
    for (let turns = this.queue.length; turns > 0 && this.writer.size < maxBatch; turns--) {
      const exchange = this.queue.shift()
      if (this.failure !== undefined || this.isOver || exchange?.outlet === undefined) return
      // It stays in the queue for as long as it has its turn, so that its own news does not bring it there again.
      const isOver = this.sendBody(exchange, exchange.outlet)
      exchange.isQueued = !isOver && exchange.outlet.hasChunks
      if (exchange.isQueued) this.queue.push(exchange)
    }
  }

  private sendBody(
    exchange: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>,
    outlet: Outlet<Chunk2, E, R>
  ): boolean {
    const { response } = this.frames
    if (!exchange.isCancelled && outlet.hasChunks) {
      const chunks = outlet.take(chunksPerTurn)
      const unencodable = this.writer.addAll(chunks.map((chunk) => response.chunk(exchange.id, chunk)))
      if (unencodable !== undefined) this.fail(Exit.fail(unencodable))
    }
    const { exit } = outlet
    if (exit === undefined) return false
    if (exchange.isCancelled) this.afterCancel(exchange, exit)
    else if (Exit.isFailure(exit)) this.answerFailure(exchange, exit.cause)
    else {
      this.say(response.end(exchange.id))
      this.answered(exchange)
    }
    // A place is free, and whoever was held gets it.
    this.hasNews = true
    return true
  }
}

const interrupted = <Id, Chunk, Head2, Chunk2, Failure, E, R>(
  { fiber, outlet }: Exchange<Id, Chunk, Head2, Chunk2, Failure, E, R>
): Effect.Effect<void> =>
  outlet !== undefined ? outlet.stopped : fiber !== undefined ? Fiber.interrupt(fiber) : Effect.void
