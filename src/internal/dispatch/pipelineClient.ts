/**
 * The client's half of `Pipeline`: the calls over one transport.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import { TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { areFrames } from "./exits.ts"

type Ended = Exit.Exit<never, TransportError>

interface Call<Request, Response, Failure> {
  readonly request: Request
  /** Goes nowhere once the call was interrupted. */
  readonly settle: (exit: Exit.Exit<Response, Failure | TransportError>) => void
  /** The call that was sent after it. */
  next: Call<Request, Response, Failure> | undefined
}

/**
 * It runs on the connection's own events; a call costs no fiber. A call goes through these states:
 *
 * | state | kept in | its place | an interruption | an answer |
 * |---|---|---|---|---|
 * | waiting for a place, or for a write to end | `waiting` | none | over, nothing is sent | |
 * | in flight | from `first` to `last` | taken | abandoned | over |
 * | abandoned | from `first` to `last` | taken | | over, and goes nowhere |
 *
 * A call is encoded when it is written. So what waits behind a slow write is bounded by the calls that wait, and one
 * that is interrupted there leaves nothing behind.
 */
export class Calls<In, Out, Response, Failure> {
  private readonly impl: TransportImpl<In, Out>
  private readonly maxInFlight: number
  private readonly read: (frame: In) => Exit.Exit<Response, Failure>
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly waiting = new Set<Call<Out, Response, Failure>>()
  private first: Call<Out, Response, Failure> | undefined = undefined
  private last: Call<Out, Response, Failure> | undefined = undefined
  private inFlight = 0
  private readonly reader: Reader
  private readonly ended = Deferred.makeUnsafe<never, TransportError>()
  private end: Ended | undefined = undefined
  private sendsSoon = false
  private isReceiving = false

  constructor(
    impl: TransportImpl<In, Out>,
    maxInFlight: number,
    read: (frame: In) => Exit.Exit<Response, Failure>,
    context: Context.Context<never>
  ) {
    this.impl = impl
    this.maxInFlight = maxInFlight
    this.read = read
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, Effect.runForkWith(context), () => this.send())
    this.reader = impl.connection.reader(() => this.receive())
    this.reader.resume()
    this.receive()
  }

  readonly call = (request: Out): Effect.Effect<Response, Failure | TransportError> =>
    Effect.callback((resume) => {
      if (this.end !== undefined) return resume(this.end)
      const call: Call<Out, Response, Failure> = { request, settle: resume, next: undefined }
      this.waiting.add(call)
      this.sendSoon()
      // One that is in flight keeps its place, so that the answer to it goes to nobody else.
      return Effect.sync(() => this.waiting.delete(call))
    })

  readonly awaitEnd: Effect.Effect<never, TransportError> = Deferred.await(this.ended)

  /** Ends the use of the connection. The first end counts. */
  finish(end: Ended): void {
    if (this.end !== undefined) return
    this.end = end
    this.reader.stop()
    this.writer.stop()
    const waiting = [...this.waiting]
    this.waiting.clear()
    let call = this.first
    this.first = this.last = undefined
    for (; call !== undefined; call = call.next) call.settle(end)
    for (const call of waiting) call.settle(end)
    Deferred.doneUnsafe(this.ended, end)
  }

  private receive(): void {
    // Who is told meanwhile that there is more must not take it before what has been taken is given out.
    if (this.isReceiving) return
    this.isReceiving = true
    try {
      while (this.end === undefined) {
        const frames = this.impl.takeAll(Infinity)
        if (!areFrames(frames)) return this.finish(frames)
        if (frames.length === 0) break
        for (const frame of frames) {
          if (this.end !== undefined) return
          this.accept(frame)
        }
      }
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
    this.isReceiving = false
    this.sendSoon()
  }

  private accept(frame: In): void {
    const call = this.first
    if (call === undefined) {
      const reason = new UnexpectedFrame({ expected: "no response", excerpt: this.impl.show(frame) })
      return this.finish(Exit.fail(new TransportError({ reason })))
    }
    const exit = this.read(frame)
    this.first = call.next
    if (call.next === undefined) this.last = undefined
    this.inFlight--
    call.settle(exit)
  }

  /** Not at once: the calls that are made in the same turn travel in one write. */
  private sendSoon(): void {
    if (this.sendsSoon || this.end !== undefined || this.waiting.size === 0 || this.inFlight >= this.maxInFlight) return
    this.sendsSoon = true
    queueMicrotask(() => {
      this.sendsSoon = false
      this.send()
    })
  }

  private send(): void {
    if (this.end !== undefined || this.writer.isWaiting) return
    // Nothing more is written when a write has failed.
    if (this.writer.failure === undefined) {
      this.addRequests()
      this.writer.write()
    }
    if (this.writer.failure !== undefined) this.finish(this.writer.failure)
  }

  private addRequests(): void {
    for (const call of this.waiting) {
      if (this.inFlight >= this.maxInFlight) return
      this.waiting.delete(call)
      const unsendable = this.encode(call.request)
      if (unsendable === undefined) {
        if (this.last === undefined) this.first = call
        else this.last.next = call
        this.last = call
        this.inFlight++
      } else {
        // Later, so that whoever calls again and again with the same request leaves room for others.
        this.dispatcher.scheduleTask(() => call.settle(unsendable), 0)
      }
    }
  }

  private encode(request: Out): Ended | undefined {
    try {
      const unencodable = this.writer.add(request)
      return unencodable && Exit.fail(unencodable)
    } catch (defect) {
      return Exit.die(defect)
    }
  }
}

/** Reads a response that a protocol tells from a failure. */
export const readWith =
  <In, Response, Failure>(response: (frame: In) => Result.Result<Response, Failure>) =>
  (frame: In): Exit.Exit<Response, Failure> => {
    const result = response(frame)
    return Result.isSuccess(result) ? Exit.succeed(result.success) : Exit.fail(result.failure)
  }
