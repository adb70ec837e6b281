/**
 * The server's half of `Pipeline` with bodies: one transport that is served.
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
import type * as Pipeline from "../../Pipeline.ts"
import { isTransportError, TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import { closedHere, errorOf } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { abortedByPeer, type Bounds, chunksPerTurn, Inlet, isReadError, Outlet, Patience, stalled } from "./body.ts"

/** How many frames are taken at once, also of a body that nobody wants. */
const maxTaken = 1024

/** The frames of a protocol, and how it says that a response is given up, where it can. */
export type Frames<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure, E> =
  & Pipeline.StreamingServerFrames<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure>
  & { readonly response: { readonly abort?: ((error: E | undefined) => Out) | undefined } }

export type Handler<Request, RequestChunk, Response, ResponseChunk, Failure, E, R> = (
  request: Body.Message<Request, RequestChunk, Failure | Body.ReadError>
) => Effect.Effect<Body.Message<Response, ResponseChunk, E, R>, E, R>

/** A request whose response has not gone out to its end. */
interface Slot<Chunk, Failure, Response, E> {
  /** The body of the request. */
  readonly inlet: Inlet<Chunk, Failure> | undefined
  readonly fiber: Fiber.Fiber<Response, E> | undefined
  /** Undefined for as long as its handler runs. */
  exit: Exit.Exit<Response, E> | undefined
}

/**
 * It runs on the connection's own events, and each turn answers, takes, starts and writes as much as it can.
 *
 * What comes in is one message after the other:
 *
 * | is received | a head | a chunk | an end or an abort |
 * |---|---|---|---|
 * | nothing | starts a request, or waits for a place | is unexpected | is unexpected |
 * | a body | is unexpected | goes to its reader, or waits for room in the buffer | is the end of it |
 * | a body that nobody wants | is unexpected | is dropped | is the end of it |
 *
 * Whatever waits stops the reading of the connection. A chunk that waits for `bodyTimeout` makes its body one that nobody
 * wants; the time does not count while its reader can go on only when this connection does.
 *
 * What goes out is one response after the other. Each request keeps its place until its own has gone out to the end:
 *
 * | the first request | goes on with |
 * |---|---|
 * | its handler runs | its result: the head of the response, or an abort |
 * | the body of its response is sent | each batch of it, when what is before that is written |
 * | its response is complete | the next request; nobody wants the rest of a body that nobody has begun to read |
 */
export class StreamingServing<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure, E, R> {
  private readonly impl: TransportImpl<In, Out>
  private readonly frames: Frames<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure, E>
  private readonly handler: Handler<Request, RequestChunk, Response, ResponseChunk, Failure, E, R>
  private readonly maxInFlight: number
  private readonly bounds: Bounds
  private readonly fork: <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly patience: Patience
  /** In the order of the requests. */
  private readonly slots: Array<Slot<RequestChunk, Failure, Body.Message<Response, ResponseChunk, E, R>, E>> = []
  /** The body that comes in. */
  private receiving: Inlet<RequestChunk, Failure> | undefined = undefined
  /** The body of the response to the first request. */
  private sending: Outlet<ResponseChunk, E, R> | undefined = undefined
  /** Frames that were taken together; from `next` on they wait. */
  private taken: ReadonlyArray<In> = []
  private next = 0
  /** What goes out with the next write. */
  private batch: Array<Out> = []
  private reader: Reader | undefined = undefined
  private ended = false
  private isDraining = false
  private failure: Exit.Exit<never, E | TransportError> | undefined = undefined
  private state: "idle" | "turning" | "over" = "idle"
  private hasNews = false
  private turnsSoon = false
  private finish: (exit: Exit.Exit<void, E | TransportError>) => void = () => {}

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Frames<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure, E>,
    handler: Handler<Request, RequestChunk, Response, ResponseChunk, Failure, E, R>,
    maxInFlight: number,
    bounds: Bounds,
    context: Context.Context<R>
  ) {
    this.impl = impl
    this.frames = frames
    this.handler = handler
    this.maxInFlight = maxInFlight
    this.bounds = bounds
    this.fork = Effect.runForkWith(context)
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, this.fork, () => this.turn())
    this.patience = new Patience(
      Context.get(context, Clock.Clock),
      this.fork,
      bounds.bodyTimeout,
      () => this.giveUpBody()
    )
  }

  run(): Effect.Effect<void, E | TransportError> {
    const { connection } = this.impl
    const served = Effect.callback<void, E | TransportError>((resume) => {
      this.finish = resume
      this.reader = connection.reader(() => this.turn())
      connection.onCloseToRequests = () => {
        this.isDraining = true
      }
      this.turn()
    })
    return Effect.onExit(served, () => Effect.suspend(() => this.close()))
  }

  /** Whoever is woken from here on comes too late. */
  private stop(): void {
    this.state = "over"
    this.reader?.stop()
    this.patience.stop()
    this.impl.connection.onCloseToRequests = undefined
  }

  private close(): Effect.Effect<void> {
    // A handler has ended what it is a part of: what is ready before it goes out before whatever comes now.
    if (this.state === "turning") this.write()
    this.stop()
    this.writer.stop()
    // Whoever reads on behind the end of its handler.
    const error = this.failure && Option.getOrUndefined(Exit.findErrorOption(this.failure))
    this.receiving?.end(isTransportError(error) ? Exit.fail(error) : Exit.fail(closedHere))
    this.sending?.stop()
    const handlers = this.slots.flatMap(({ exit, fiber }) => exit === undefined && fiber !== undefined ? [fiber] : [])
    const interrupted = handlers.length === 0 ? Effect.void : Fiber.interruptAll(handlers)
    return this.sending === undefined ? interrupted : Effect.andThen(interrupted, this.sending.stopped)
  }

  private get isOver(): boolean {
    return this.state === "over"
  }

  private turn(): void {
    this.hasNews = true
    // What happens in a turn, such as a handler that is done at once, belongs to that turn.
    if (this.state !== "idle") return
    this.state = "turning"
    let waits = false
    while (this.hasNews && !this.writer.isWaiting) {
      this.hasNews = false
      try {
        this.answer()
        waits = this.take()
      } catch (defect) {
        this.fail(Exit.die(defect))
      }
      if (this.isOver) return
      this.write()
    }
    const isDone = this.failure !== undefined || (this.ended && this.slots.length === 0)
    if (isDone && !this.writer.isWaiting) {
      this.stop()
      return this.finish(this.failure ?? Exit.void)
    }
    this.state = "idle"
    if (this.isHeldUp) this.patience.begin()
    else this.patience.end()
    if (this.ended || waits || this.writer.isWaiting) this.reader?.pause()
    else this.reader?.resume()
  }

  /** A turn when everything else that is due now has happened, so that responses that become ready together travel together. */
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

  // What comes in ---------------------------------------------------------------------------------------------------

  /** Takes what there is and has room. True where something waits. */
  private take(): boolean {
    while (this.failure === undefined && !this.ended && !this.isOver) {
      if (this.isDraining && (this.receiving === undefined || this.receiving.isDropping)) {
        this.taken = []
        this.ended = true
        this.impl.connection.stopRequests()
        return false
      }
      if (this.next < this.taken.length) {
        if (!this.accept(this.taken[this.next])) return this.wait()
        this.next++
        continue
      }
      // Behind a body that is full there may be its end: one frame is taken all the same.
      const room = this.receiving === undefined
        ? this.maxInFlight - this.slots.length
        : Math.min(Math.max(1, this.receiving.room), maxTaken)
      if (room === 0) return this.wait()
      const frames = this.impl.takeAll(room)
      if (Exit.isExit(frames)) {
        this.ended = true
        // Whoever reads the body that is cut hears of it, and may still answer.
        if (errorOf(frames)?.reason._tag === "ConnectionClosed") this.receiving?.end(frames)
        else this.fail(frames)
        return false
      }
      if (frames.length === 0) return false
      this.taken = frames
      this.next = 0
    }
    return false
  }

  private wait(): true {
    // Who takes nothing would not see that there is nobody left to answer.
    const { end } = this.impl.connection.inbox
    if (end !== undefined && end.reason._tag !== "ConnectionClosed") this.fail(Exit.fail(end))
    return true
  }

  /** False where the frame has to wait. */
  private accept(frame: In): boolean {
    const part = this.frames.request.read(frame)
    const { receiving } = this
    if (receiving === undefined) {
      if (part?._tag !== "Head") {
        this.reject("the head of a request", frame)
        return true
      }
      if (this.slots.length >= this.maxInFlight) return false
      this.start(part.head, part.hasBody)
      return true
    }
    switch (part?._tag) {
      case "Chunk":
        if (receiving.room === 0) return false
        receiving.push(part.chunk)
        return true
      case "End":
        this.receiving = undefined
        receiving.end()
        return true
      case "Abort":
        this.receiving = undefined
        receiving.end(part.error === undefined ? abortedByPeer : Exit.fail(part.error))
        return true
      default:
        this.reject("a chunk of a body or its end", frame)
        return true
    }
  }

  private reject(expected: string, frame: In): void {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.fail(Exit.fail(new TransportError({ reason })))
  }

  private start(head: Request, hasBody: boolean): void {
    const inlet = hasBody
      ? new Inlet<RequestChunk, Failure>(this.bounds.bodyBuffer, () => this.hasRoom(), () => this.turn())
      : undefined
    this.receiving = inlet
    let effect: Effect.Effect<Body.Message<Response, ResponseChunk, E, R>, E, R>
    try {
      effect = this.handler({ head, body: inlet?.stream })
    } catch (defect) {
      effect = Effect.die(defect)
    }
    // The guard forgets what the Effect's own type says.
    const ready = Exit.isExit(effect) ? effect as Exit.Exit<Body.Message<Response, ResponseChunk, E, R>, E> : undefined
    const fiber = ready === undefined ? this.fork(effect) : undefined
    if (this.isOver) return fiber?.interruptUnsafe()
    const slot = { inlet, fiber, exit: ready ?? fiber?.pollUnsafe() }
    this.slots.push(slot)
    if (slot.exit !== undefined) {
      this.concluded(inlet, slot.exit)
      if (this.slots.length === 1) this.answer()
      return
    }
    fiber?.addObserver((exit) => {
      if (this.isOver) return
      slot.exit = exit
      this.concluded(inlet, exit)
      if (this.slots[0] === slot) this.turnSoon()
    })
  }

  /** A handler is done. Where its response has a body, that may still read the body of the request. */
  private concluded(
    inlet: Inlet<RequestChunk, Failure> | undefined,
    exit: Exit.Exit<Body.Message<Response, ResponseChunk, E, R>, E>
  ): void {
    if (Exit.isFailure(exit) || exit.value.body === undefined) this.dropUnread(inlet)
  }

  private dropUnread(inlet: Inlet<RequestChunk, Failure> | undefined): void {
    if (inlet !== undefined && !inlet.wasRead) inlet.drop()
  }

  /** A reader has taken something: the next chunk that waits has all the time again. */
  private hasRoom(): void {
    this.patience.end()
    this.turn()
  }

  /** Whether a chunk waits for a reader that could take what is before it. */
  private get isHeldUp(): boolean {
    if (this.next === this.taken.length || this.receiving === undefined || this.writer.isWaiting) return false
    const last = this.slots.at(-1)
    const waitsForItsTurn = this.slots.length > 1 && last?.inlet === this.receiving && last.exit !== undefined
    return !waitsForItsTurn
  }

  private giveUpBody(): void {
    this.receiving?.stall(stalled(this.bounds.bodyTimeout))
    this.turn()
  }

  // What goes out ---------------------------------------------------------------------------------------------------

  private answer(): void {
    while (this.failure === undefined && !this.isOver && this.slots.length > 0) {
      const { exit, inlet } = this.slots[0]
      if (this.sending === undefined) {
        if (exit === undefined) return
        this.respond(exit)
      }
      if (this.sending !== undefined && !this.sendBody(this.sending)) return
      this.slots.shift()
      this.dropUnread(inlet)
    }
  }

  private respond(exit: Exit.Exit<Body.Message<Response, ResponseChunk, E, R>, E>): void {
    if (Exit.isFailure(exit)) return this.abort(exit.cause)
    const { body, head } = exit.value
    this.batch.push(this.frames.response.head(head, body !== undefined))
    if (body === undefined) return
    this.sending = new Outlet(body, () => this.turn())
    this.sending.start(this.fork)
  }

  /** Sends what is next of a body. True where that was the end of it. */
  private sendBody(outlet: Outlet<ResponseChunk, E, R>): boolean {
    if (outlet.hasChunks) {
      for (const chunk of outlet.take(chunksPerTurn)) this.batch.push(this.frames.response.chunk(chunk))
      // The rest of the batch, when these are written. The next batch tells of itself.
      if (outlet.hasChunks) this.hasNews = true
    }
    const { exit } = outlet
    if (outlet.hasChunks || exit === undefined) return false
    this.sending = undefined
    if (Exit.isSuccess(exit)) this.batch.push(this.frames.response.end())
    else this.abort(exit.cause)
    return true
  }

  /** A response is given up, as the protocol can say it. */
  private abort(cause: Cause.Cause<E>): void {
    const { abort } = this.frames.response
    const error = Cause.hasDies(cause) ? Option.none() : Cause.findErrorOption(cause)
    if (abort === undefined || Option.isNone(error)) return this.fail(Exit.failCause(cause))
    this.batch.push(abort(isReadError(error.value) ? undefined : error.value))
  }

  private write(): void {
    if (this.batch.length > 0) this.encode()
    this.writer.write()
    if (this.writer.failure !== undefined) this.fail(this.writer.failure)
  }

  private encode(): void {
    const { batch } = this
    this.batch = []
    try {
      const unencodable = this.writer.addAll(batch)
      // It comes before whatever has failed behind it.
      if (unencodable !== undefined) this.failure = Exit.fail(unencodable)
    } catch (defect) {
      this.failure = Exit.die(defect)
    }
  }
}
