/**
 * The client's half of `Pipeline` with bodies: the calls over one transport.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type * as Body from "../../Body.ts"
import { TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import { closedHere } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { abortedByPeer, type Bounds, chunksPerTurn, Inlet, isReadError, Outlet, Patience, stalled } from "./body.ts"
import type * as Pipeline from "./pipelineFrames.ts"

type Ended = Exit.Exit<never, TransportError>

/** What a call comes to. */
type Answer<Response, Chunk, Failure> = Exit.Exit<
  Body.Message<Response, Chunk, Failure | Body.ReadError>,
  Failure | Body.ReadError
>

/** A body that is sent, whatever its stream needs. */
type Sent<Chunk, E> = Pick<Outlet<Chunk, E, never>, "exit" | "hasChunks" | "take" | "stop" | "stopped">

class Call<Request, RequestChunk, Response, ResponseChunk, Failure> {
  readonly head: Request
  /** The body of the request, which is sent behind its head. */
  readonly outlet: Sent<RequestChunk, Failure | Body.ReadError> | undefined
  /** Starts it. */
  readonly start: () => void
  /** The body of the response, once its head has come. */
  inlet: Inlet<ResponseChunk, Failure> | undefined = undefined
  /** Whether the rest of the request's body is not sent. */
  givesUp = false
  /** Whether nobody wants the response. */
  isAbandoned = false
  /** Whether there is nothing left to do for it. */
  isOver = false
  settle: (answer: Answer<Response, ResponseChunk, Failure>) => void = () => {}

  constructor(head: Request, outlet: Sent<RequestChunk, Failure | Body.ReadError> | undefined, start: () => void) {
    this.head = head
    this.outlet = outlet
    this.start = start
  }
}

/**
 * It runs on the connection's own events; a call without a body costs no fiber. A call goes through these states:
 *
 * | state | kept in | given up by its caller | its response |
 * |---|---|---|---|
 * | waiting for a place, for a body before it, for a write | `waiting` | over, nothing is sent | |
 * | its body is sent | `unanswered`, `sending` | the rest is not sent: abandoned, or the end of the connection where the protocol has no abort | the rest is not sent when it is complete |
 * | sent | `unanswered` | abandoned | the first one's comes in; over when it is complete |
 * | abandoned | `unanswered` | | comes in and is dropped; over |
 *
 * A head without a body is a complete response. Of one with a body, the chunks come in as in the server: those that wait
 * stop the reading of the connection, for `bodyTimeout` at most.
 */
export class StreamingCalls<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure> {
  private readonly impl: TransportImpl<In, Out>
  private readonly frames: Pipeline.StreamingClientFrames<
    In,
    Out,
    Request,
    RequestChunk,
    Response,
    ResponseChunk,
    Failure
  >
  private readonly maxInFlight: number
  private readonly bounds: Bounds
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly patience: Patience
  private readonly waiting = new Set<Call<Request, RequestChunk, Response, ResponseChunk, Failure>>()
  /** In the order of the requests. */
  private readonly unanswered: Array<Call<Request, RequestChunk, Response, ResponseChunk, Failure>> = []
  /** The last one of them, while its body is sent. */
  private sending: Call<Request, RequestChunk, Response, ResponseChunk, Failure> | undefined = undefined
  /** The body of the response to the first one. */
  private receiving: Inlet<ResponseChunk, Failure> | undefined = undefined
  /** Frames that were taken together; from `next` on they wait. */
  private taken: ReadonlyArray<In> = []
  private next = 0
  private readonly reader: Reader
  private readonly ended = Deferred.makeUnsafe<never, TransportError>()
  private end: Ended | undefined = undefined
  private sendsSoon = false
  private isReceiving = false
  private hasNews = false

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Pipeline.StreamingClientFrames<In, Out, Request, RequestChunk, Response, ResponseChunk, Failure>,
    maxInFlight: number,
    bounds: Bounds,
    context: Context.Context<never>
  ) {
    const fork = Effect.runForkWith(context)
    this.impl = impl
    this.frames = frames
    this.maxInFlight = maxInFlight
    this.bounds = bounds
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, fork, () => this.send())
    this.patience = new Patience(Context.get(context, Clock.Clock), fork, bounds.bodyTimeout, () => this.giveUpBody())
    this.reader = impl.connection.reader(() => this.receive())
    this.receive()
  }

  call<R>(
    request: Body.Message<Request, RequestChunk, Failure | Body.ReadError, R>
  ): Effect.Effect<
    Body.Message<Response, ResponseChunk, Failure | Body.ReadError>,
    Failure | Body.ReadError,
    R | Scope.Scope
  > {
    return Effect.contextWith((context: Context.Context<R | Scope.Scope>) =>
      Effect.uninterruptibleMask((restore) => {
        const outlet = request.body && new Outlet(request.body, () => this.sendSoon())
        const call = new Call<Request, RequestChunk, Response, ResponseChunk, Failure>(
          request.head,
          outlet,
          () => outlet?.start(Effect.runForkWith(context))
        )
        const answer = Effect.callback<
          Body.Message<Response, ResponseChunk, Failure | Body.ReadError>,
          Failure | Body.ReadError
        >((resume) => {
          if (this.end !== undefined) return resume(this.end)
          call.settle = resume
          this.waiting.add(call)
          this.sendSoon()
        })
        // What outlives the call belongs to the scope.
        return Effect.onExit(restore(answer), (exit) => {
          if (Exit.isFailure(exit)) return this.release(call)
          if (call.outlet === undefined && call.inlet === undefined) return Effect.void
          return Scope.addFinalizer(Context.get(context, Scope.Scope), this.release(call))
        })
      })
    )
  }

  get awaitEnd(): Effect.Effect<never, TransportError> {
    return Deferred.await(this.ended)
  }

  /** Ends the use of the connection. The first end counts. */
  finish(end: Ended): void {
    if (this.end !== undefined) return
    this.end = end
    this.reader.stop()
    this.writer.stop()
    this.patience.stop()
    const calls = [...this.unanswered, ...this.waiting]
    this.unanswered.length = 0
    this.waiting.clear()
    this.taken = []
    this.receiving?.end(end)
    this.sending?.outlet?.stop()
    for (const call of calls) {
      call.isOver = true
      call.settle(end)
    }
    Deferred.doneUnsafe(this.ended, end)
  }

  /** Ends it on this side, and waits until no body is sent any more. */
  close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.finish(Exit.fail(closedHere))
      return this.sending?.outlet?.stopped ?? Effect.void
    })
  }

  /** Nobody wants anything of a call any more. */
  private release(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.waiting.delete(call)
      this.abandon(call)
      return call.outlet?.stopped ?? Effect.void
    })
  }

  private abandon(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): void {
    call.isAbandoned = true
    call.inlet?.drop()
    this.giveUpSending(call)
  }

  /** The rest of a request's body is not sent. It ends as the protocol can say it. */
  private giveUpSending(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): void {
    if (this.sending !== call || call.givesUp) return
    call.givesUp = true
    call.outlet?.stop()
    // The server has not answered, and would take what it has for the whole.
    if (!call.isOver && this.frames.request.abort === undefined) this.finish(Exit.fail(closedHere))
    this.sendSoon()
  }

  // What comes in ---------------------------------------------------------------------------------------------------

  private receive(): void {
    this.hasNews = true
    // What happens meanwhile, such as a reader that takes at once, belongs to this time.
    if (this.isReceiving || this.end !== undefined) return
    this.isReceiving = true
    let waits = false
    try {
      while (this.hasNews && this.end === undefined) {
        this.hasNews = false
        waits = this.take()
      }
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
    this.isReceiving = false
    if (this.end !== undefined) return
    if (waits) {
      this.patience.begin()
      this.reader.pause()
    } else {
      this.reader.resume()
    }
    this.sendSoon()
  }

  /** Takes what there is and has room. True where something waits. */
  private take(): boolean {
    while (this.end === undefined) {
      if (this.next < this.taken.length) {
        if (!this.accept(this.taken[this.next])) return this.wait()
        this.next++
        continue
      }
      // Behind a body that is full there may be its end: one frame is taken all the same.
      const frames = this.impl.takeAll(Math.max(1, this.receiving?.room ?? Infinity))
      if (Exit.isExit(frames)) {
        this.finish(frames)
        return false
      }
      if (frames.length === 0) return false
      this.taken = frames
      this.next = 0
    }
    return false
  }

  private wait(): true {
    // Who takes nothing would not see that there is nobody left to hear from.
    const { end } = this.impl.connection.inbox
    if (end !== undefined && end.reason._tag !== "ConnectionClosed") this.finish(Exit.fail(end))
    return true
  }

  /** False where the frame has to wait. */
  private accept(frame: In): boolean {
    const part = this.frames.response.read(frame)
    const { receiving } = this
    if (this.unanswered.length === 0) return this.reject("no response", frame)
    const call = this.unanswered[0]
    if (receiving === undefined) {
      switch (part?._tag) {
        case "Head":
          if (part.hasBody) this.receiveBody(call)
          else this.complete(call)
          call.settle(Exit.succeed({ head: part.head, body: call.inlet?.stream }))
          return true
        case "Abort":
          this.complete(call)
          call.settle(part.error === undefined ? abortedByPeer : Exit.fail(part.error))
          return true
        default:
          return this.reject("the head of a response", frame)
      }
    }
    switch (part?._tag) {
      case "Chunk":
        if (receiving.room === 0) return false
        receiving.push(part.chunk)
        return true
      case "End":
        this.complete(call)
        receiving.end()
        return true
      case "Abort":
        this.complete(call)
        receiving.end(part.error === undefined ? abortedByPeer : Exit.fail(part.error))
        return true
      default:
        return this.reject("a chunk of a body or its end", frame)
    }
  }

  private reject(expected: string, frame: In): true {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.finish(Exit.fail(new TransportError({ reason })))
    return true
  }

  private receiveBody(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): void {
    this.receiving = call.inlet = new Inlet(this.bounds.bodyBuffer, () => this.hasRoom())
    if (call.isAbandoned) call.inlet.drop()
  }

  /** The whole response to a call is there; what is left of its request is of no use. */
  private complete(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): void {
    this.unanswered.shift()
    this.receiving = undefined
    call.isOver = true
    this.giveUpSending(call)
  }

  /** A reader has taken something: the next chunk that waits has all the time again. */
  private hasRoom(): void {
    this.patience.end()
    this.receive()
  }

  private giveUpBody(): void {
    this.receiving?.stall(stalled(this.bounds.bodyTimeout))
    this.receive()
  }

  // What goes out ---------------------------------------------------------------------------------------------------

  private get hasPlace(): boolean {
    return this.waiting.size > 0 && this.unanswered.length < this.maxInFlight
  }

  /** Not at once: the calls that are made in the same turn travel in one write. */
  private sendSoon(): void {
    if (this.sendsSoon || this.end !== undefined || (this.sending === undefined && !this.hasPlace)) return
    this.sendsSoon = true
    queueMicrotask(() => {
      this.sendsSoon = false
      this.send()
    })
  }

  private send(): void {
    if (this.end !== undefined || this.writer.isWaiting) return
    try {
      this.addRequests()
      this.writer.write()
    } catch (defect) {
      return this.finish(Exit.die(defect))
    }
    if (this.writer.failure !== undefined) return this.finish(this.writer.failure)
    // The rest of a batch; the next batch tells of itself.
    if (this.sending?.outlet?.hasChunks) this.sendSoon()
  }

  private addRequests(): void {
    while (this.end === undefined) {
      if (this.sending !== undefined && !this.addBody(this.sending)) return
      if (!this.hasPlace) return
      const [call] = this.waiting
      this.waiting.delete(call)
      const unsendable = this.addHead(call)
      // Later, so that whoever calls again and again with the same request leaves room for others.
      if (unsendable !== undefined) this.dispatcher.scheduleTask(() => call.settle(unsendable), 0)
    }
  }

  private addHead(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): Ended | undefined {
    let frame: Out
    try {
      frame = this.frames.request.head(call.head, call.outlet !== undefined)
    } catch (defect) {
      return Exit.die(defect)
    }
    const unencodable = this.writer.add(frame)
    if (unencodable !== undefined) return Exit.fail(unencodable)
    this.unanswered.push(call)
    if (call.outlet !== undefined) {
      this.sending = call
      call.start()
    }
    return undefined
  }

  /** Adds what is next of a body. True where that was the end of it. */
  private addBody(call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>): boolean {
    const { givesUp, outlet } = call
    const { request } = this.frames
    if (givesUp || outlet === undefined) {
      this.sending = undefined
      this.say(request.abort === undefined ? request.end() : request.abort(undefined))
      return true
    }
    if (outlet.hasChunks) {
      const unencodable = this.writer.addAll(outlet.take(chunksPerTurn).map((chunk) => request.chunk(chunk)))
      if (unencodable !== undefined) {
        outlet.stop()
        this.bodyFailed(call, Cause.fail(unencodable))
        return true
      }
    }
    if (outlet.hasChunks || outlet.exit === undefined) return false
    if (Exit.isSuccess(outlet.exit)) {
      this.sending = undefined
      this.say(request.end())
    } else {
      this.bodyFailed(call, outlet.exit.cause)
    }
    return true
  }

  /**
   * | | the protocol has an abort | it has none |
   * |---|---|---|
   * | a failure that it can tell of | the server hears it, and answers | the call fails, and the connection is over |
   * | anything else | the server hears that there is no more, and the call fails | the same |
   */
  private bodyFailed(
    call: Call<Request, RequestChunk, Response, ResponseChunk, Failure>,
    cause: Cause.Cause<Failure | Body.ReadError>
  ): void {
    const { abort } = this.frames.request
    const error = Cause.hasDies(cause) ? Option.none() : Cause.findErrorOption(cause)
    const told = Option.isNone(error) || isReadError(error.value) ? undefined : error.value
    this.sending = undefined
    if (abort === undefined || told === undefined) {
      call.settle(Exit.failCause(cause))
      call.inlet?.stall(Exit.failCause(cause))
    }
    if (abort !== undefined) this.say(abort(told))
    else this.finish(Exit.fail(closedHere))
  }

  private say(frame: Out): void {
    const unencodable = this.writer.add(frame)
    if (unencodable !== undefined) this.finish(Exit.fail(unencodable))
  }
}
