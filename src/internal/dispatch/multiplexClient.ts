/**
 * The client's half of `Multiplex`: the calls over one transport.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"
import { TransportError, UnexpectedFrame } from "../../TransportError.ts"
import type { Reader } from "../connection/connection.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { BatchWriter } from "./batchWriter.ts"
import { areFrames } from "./exits.ts"
import type * as Multiplex from "./multiplexFrames.ts"

/** How many cancelled requests that nobody has to answer are remembered, so that a late answer is known as one. */
const maxLate = 4096

type Ended = Exit.Exit<never, TransportError>

interface Call<Id, Request, Response, Failure> {
  readonly request: Request
  /** Once it has a place. */
  id: Id | undefined
  /** Goes nowhere once the call was interrupted. */
  readonly settle: (exit: Exit.Exit<Response, Failure | TransportError>) => void
}

/**
 * It runs on the connection's own events; a call costs no fiber. A call goes through these states:
 *
 * | state | kept in | its id | its place | an interruption | an answer |
 * |---|---|---|---|---|---|
 * | waiting for a place, or for a write to end | `waiting` | none yet | none | over, nothing is sent | |
 * | in flight | `inFlight` | taken | taken | abandoned; with a cancel that nothing answers: late | over |
 * | abandoned | `inFlight` | taken | taken | | over |
 * | late | `late` | taken | free | | over |
 *
 * A call gets its id and is encoded when it is written. So what waits behind a slow write is bounded by the calls that
 * wait, and one that is interrupted there leaves nothing behind.
 */
export class Calls<In, Out, Id, Request, Response, Failure> {
  private readonly impl: TransportImpl<In, Out>
  private readonly frames: Multiplex.ClientFrames<In, Out, Id, Request, Response, Failure>
  private readonly nextId: (last: Id | undefined) => Id
  private readonly maxInFlight: number
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly waiting = new Set<Call<Id, Request, Response, Failure>>()
  private readonly inFlight = new Map<Id, Call<Id, Request, Response, Failure>>()
  private readonly late = new Set<Id>()
  /** The requests whose cancels are still to be sent. */
  private readonly cancelling = new Set<Id>()
  private readonly reader: Reader
  private readonly ended = Deferred.makeUnsafe<never, TransportError>()
  private end: Ended | undefined = undefined
  private lastId: Id | undefined = undefined
  private sendsSoon = false
  private isReceiving = false

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Multiplex.ClientFrames<In, Out, Id, Request, Response, Failure>,
    nextId: (last: Id | undefined) => Id,
    maxInFlight: number,
    context: Context.Context<never>
  ) {
    this.impl = impl
    this.frames = frames
    this.nextId = nextId
    this.maxInFlight = maxInFlight
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, Effect.runForkWith(context), () => this.send())
    this.reader = impl.connection.reader(() => this.receive())
    this.reader.resume()
    this.receive()
  }

  readonly call = (request: Request): Effect.Effect<Response, Failure | TransportError> =>
    Effect.callback((resume) => {
      if (this.end !== undefined) return resume(this.end)
      const call: Call<Id, Request, Response, Failure> = { request, id: undefined, settle: resume }
      this.waiting.add(call)
      this.sendSoon()
      return Effect.sync(() => this.abandon(call))
    })

  readonly awaitEnd: Effect.Effect<never, TransportError> = Deferred.await(this.ended)

  /** Ends the use of the connection. The first end counts. */
  finish(end: Ended): void {
    if (this.end !== undefined) return
    this.end = end
    this.reader.stop()
    this.writer.stop()
    const calls = [...this.inFlight.values(), ...this.waiting]
    this.inFlight.clear()
    this.waiting.clear()
    this.late.clear()
    this.cancelling.clear()
    for (const call of calls) call.settle(end)
    Deferred.doneUnsafe(this.ended, end)
  }

  private abandon(call: Call<Id, Request, Response, Failure>): void {
    if (this.waiting.delete(call)) return
    const { id } = call
    if (id === undefined || this.frames.cancel === undefined) return
    this.cancelling.add(id)
    if (this.frames.cancelled === undefined) {
      this.inFlight.delete(id)
      this.late.add(id)
      if (this.late.size > maxLate) {
        const [oldest] = this.late
        this.late.delete(oldest)
      }
    }
    this.sendSoon()
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
    const answer = this.frames.fromServer(frame)
    if (answer === undefined) return this.reject("an answer", frame)
    const { id } = answer
    const call = this.inFlight.get(id)
    if (call === undefined && !this.late.delete(id)) return this.reject("an answer to a request in flight", frame)
    this.inFlight.delete(id)
    this.cancelling.delete(id)
    call?.settle(answer._tag === "Response" ? Exit.succeed(answer.body) : Exit.fail(answer.error))
  }

  private reject(expected: string, frame: In): void {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.finish(Exit.fail(new TransportError({ reason })))
  }

  /** Not at once: the calls that are made in the same turn travel in one write. */
  private sendSoon(): void {
    if (this.sendsSoon || this.end !== undefined) return
    if (this.cancelling.size === 0 && (this.waiting.size === 0 || this.inFlight.size >= this.maxInFlight)) return
    this.sendsSoon = true
    queueMicrotask(() => {
      this.sendsSoon = false
      this.send()
    })
  }

  private send(): void {
    if (this.end !== undefined || this.writer.isWaiting) return
    try {
      this.addCancels()
      this.addRequests()
      this.writer.write()
    } catch (defect) {
      return this.finish(Exit.die(defect))
    }
    if (this.writer.failure !== undefined) this.finish(this.writer.failure)
  }

  private addCancels(): void {
    for (const id of this.cancelling) {
      const unencodable = this.frames.cancel === undefined ? undefined : this.writer.add(this.frames.cancel(id))
      if (unencodable !== undefined) this.finish(Exit.fail(unencodable))
    }
    this.cancelling.clear()
  }

  private addRequests(): void {
    for (const call of this.waiting) {
      if (this.inFlight.size >= this.maxInFlight) return
      const id = this.freeId()
      const unsendable = this.addRequest(id, call.request)
      this.waiting.delete(call)
      if (unsendable === undefined) {
        this.lastId = call.id = id
        this.inFlight.set(id, call)
      } else {
        // Later, so that whoever calls again and again with the same request leaves room for others.
        this.dispatcher.scheduleTask(() => call.settle(unsendable), 0)
      }
    }
  }

  private addRequest(id: Id, request: Request): Ended | undefined {
    let frame: Out
    try {
      frame = this.frames.request(id, request)
    } catch (defect) {
      return Exit.die(defect)
    }
    const unencodable = this.writer.add(frame)
    return unencodable && Exit.fail(unencodable)
  }

  private freeId(): Id {
    let id = this.lastId
    // One more than are taken: among so many different ones a free one is found.
    for (let tries = this.inFlight.size + this.late.size; tries >= 0; tries--) {
      id = this.nextId(id)
      if (!this.inFlight.has(id) && !this.late.has(id)) return id
    }
    throw new Error("the nextId of a multiplexed protocol must come to more ids than are taken")
  }
}
