/**
 * The client's half of `Multiplex` with bodies: the calls over one transport.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
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
import { areFrames } from "./exits.ts"
import type * as Multiplex from "./multiplexFrames.ts"

/** How many cancelled requests that nobody has to answer are remembered, so that a late part is known as one. */
const maxLate = 4096

/** How many frames go into one write at most, behind those that a body has begun with. */
const maxBatch = 1024

type Ended = Exit.Exit<never, TransportError>
type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** A request whose services are there already. */
type Request<Head, Chunk, Failure> = Body.Message<Head, Chunk, Failure | Body.ReadError>
type Response<Head, Chunk, Failure> = Body.Message<Head, Chunk, Failure | Body.ReadError>

interface Call<Id, Head, Chunk, Head2, Chunk2, Failure> {
  readonly request: Request<Head, Chunk, Failure>
  readonly fork: Fork
  /** Once it has a place. */
  id: Id | undefined
  /** Goes nowhere once the call was interrupted. */
  readonly settle: (exit: Exit.Exit<Response<Head2, Chunk2, Failure>, Failure | Body.ReadError>) => void
  /** The body of the request, once that is being sent. */
  outlet: Outlet<Chunk, Failure | Body.ReadError, never> | undefined
  /** Whether that waits for its turn. */
  isQueued: boolean
  /** Whether the peer knows that nothing more comes of it. */
  isSent: boolean
  /** Whether the head of the response has come. */
  isAnswered: boolean
  /** The body of the response. */
  inlet: Inlet<Chunk2, Failure> | undefined
  /** Whether what still comes of its response is dropped. */
  isAbandoned: boolean
}

/**
 * It runs on the connection's own events; a call costs no fiber but for the body of its request. A call goes through these
 * states:
 *
 * | state | kept in | its place | given up: interrupted, out of scope, or its response not read on | a part of its response |
 * |---|---|---|---|---|
 * | waiting for a place, or for a write to end | `waiting` | none | over, nothing is sent | |
 * | asked: the head of its request is sent | `inFlight` | taken | abandoned; with a cancel that nothing answers: late | the head: answering; an abort: over |
 * | answering: the head of its response has come | `inFlight` | taken | the same | a chunk: to its reader; the last one: over |
 * | abandoned | `inFlight` | taken | | is dropped; the last one: over |
 * | late | `late` | free | | is dropped; the last one: over |
 *
 * The id of a call is taken for as long as it is kept in `inFlight` or `late`. The body of the request is sent meanwhile.
 * When the call is over or given up before that has ended, it is stopped, and the peer is told: by the cancel, else by an
 * abort, else, where the response is complete, by its end. Where nothing tells it, the use of the connection ends.
 *
 * At most one frame is held, a chunk for which its body has no room, and nothing is read behind it. It waits for its reader
 * for `bodyTimeout` at most.
 */
export class StreamingCalls<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure> {
  private readonly impl: TransportImpl<In, Out>
  private readonly frames: Multiplex.StreamingClientFrames<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure>
  private readonly nextId: (last: Id | undefined) => Id
  private readonly maxInFlight: number
  private readonly bounds: Bounds
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly writer: BatchWriter<Out>
  private readonly patience: Patience
  private readonly reader: Reader
  private readonly waiting = new Set<Call<Id, Head, Chunk, Head2, Chunk2, Failure>>()
  private readonly inFlight = new Map<Id, Call<Id, Head, Chunk, Head2, Chunk2, Failure>>()
  private readonly late = new Set<Id>()
  /** The bodies of responses that have not ended. */
  private readonly open = new Set<Inlet<Chunk2, Failure>>()
  /** The requests whose cancel, or whose body's early end, is still to be said. */
  private readonly stopping = new Map<Id, "cancel" | "stop">()
  /** Whose body has something to send, in the order of their turns. */
  private readonly queue: Array<Call<Id, Head, Chunk, Head2, Chunk2, Failure>> = []
  /** Whose request has a body that has not ended, be it given up. */
  private readonly sending = new Set<Outlet<Chunk, Failure | Body.ReadError, never>>()
  private held: { readonly frame: In; readonly part: Multiplex.MessagePart<Id, Head2, Chunk2, Failure> } | undefined =
    undefined
  private readonly ended = Deferred.makeUnsafe<never, TransportError>()
  private end: Ended | undefined = undefined
  private lastId: Id | undefined = undefined
  private sendsSoon = false
  private sendsLater = false
  private isSending = false
  private isReceiving = false

  constructor(
    impl: TransportImpl<In, Out>,
    frames: Multiplex.StreamingClientFrames<In, Out, Id, Head, Chunk, Head2, Chunk2, Failure>,
    nextId: (last: Id | undefined) => Id,
    maxInFlight: number,
    bounds: Bounds,
    context: Context.Context<never>
  ) {
    const fork = Effect.runForkWith(context)
    this.impl = impl
    this.frames = frames
    this.nextId = nextId
    this.maxInFlight = maxInFlight
    this.bounds = bounds
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.writer = new BatchWriter(impl, fork, () => this.send())
    this.patience = new Patience(
      Context.get(context, Clock.Clock),
      fork,
      bounds.bodyTimeout,
      () => this.outOfPatience()
    )
    this.reader = impl.connection.reader(() => this.receive())
    this.reader.resume()
    this.receive()
  }

  readonly call = <R>(
    request: Body.Message<Head, Chunk, Failure | Body.ReadError, R>
  ): Effect.Effect<Response<Head2, Chunk2, Failure>, Failure | Body.ReadError, R | Scope.Scope> =>
    Effect.contextWith((context: Context.Context<R | Scope.Scope>) => {
      let call: Call<Id, Head, Chunk, Head2, Chunk2, Failure> | undefined
      const answer = Effect.callback<Response<Head2, Chunk2, Failure>, Failure | Body.ReadError>((resume) => {
        if (this.end !== undefined) return resume(this.end)
        call = {
          // Its services are in the context that its body is run with.
          request: request as Request<Head, Chunk, Failure>,
          fork: Effect.runForkWith(context) as Fork,
          id: undefined,
          settle: resume,
          outlet: undefined,
          isQueued: false,
          isSent: request.body === undefined,
          isAnswered: false,
          inlet: undefined,
          isAbandoned: false
        }
        this.waiting.add(call)
        this.sendSoon()
      })
      const giveUp = Effect.suspend(() => call === undefined ? Effect.void : this.abandon(call))
      return Effect.uninterruptibleMask((restore) =>
        Effect.tap(Effect.onInterrupt(restore(answer), () => giveUp), (response) =>
          response.body === undefined
            ? Effect.void
            : Scope.addFinalizer(Context.get(context, Scope.Scope), giveUp))
      )
    })

  readonly awaitEnd: Effect.Effect<never, TransportError> = Deferred.await(this.ended)

  /** Ends the use of the connection, and waits for the bodies that were being sent. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.finish(Exit.fail(closedHere))
    return Effect.forEach(this.sending, (outlet) => outlet.stopped, { concurrency: "unbounded", discard: true })
  })

  /** The first end counts. */
  private finish(end: Ended): void {
    if (this.end !== undefined) return
    this.end = end
    this.reader.stop()
    this.writer.stop()
    this.patience.stop()
    const calls = [...this.inFlight.values(), ...this.waiting]
    this.inFlight.clear()
    this.waiting.clear()
    this.late.clear()
    this.stopping.clear()
    this.queue.length = 0
    for (const inlet of this.open) inlet.end(end)
    this.open.clear()
    for (const call of calls) {
      call.outlet?.stop()
      if (!call.isAnswered) call.settle(end)
    }
    Deferred.doneUnsafe(this.ended, end)
  }

  // Giving up ------------------------------------------------------------------------------------------------------------

  /** Nobody wants its response any more. Waits until the body of its request is over. */
  private abandon(call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>): Effect.Effect<void> {
    this.giveUp(call)
    call.inlet?.drop()
    return call.outlet === undefined ? Effect.void : call.outlet.stopped
  }

  private giveUp(call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>): void {
    const { id, outlet } = call
    if (this.waiting.delete(call) || id === undefined || call.isAbandoned || this.inFlight.get(id) !== call) return
    const wasSent = call.isSent
    call.isAbandoned = true
    // The body's own end is no news any more.
    call.isSent = true
    outlet?.stop()
    if (this.frames.cancel !== undefined) {
      this.stopping.set(id, "cancel")
      if (this.frames.cancelled === undefined) {
        this.forget(call, id)
        this.late.add(id)
        if (this.late.size > maxLate) {
          const [oldest] = this.late
          this.late.delete(oldest)
        }
      }
    } else if (!wasSent) {
      // An end would pass what was sent off as all of it.
      if (this.frames.request.abort === undefined) return this.finish(Exit.fail(closedHere))
      this.stopping.set(id, "stop")
    }
    this.sendSoon()
  }

  /** Its response is complete. */
  private complete(call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>, id: Id): void {
    this.forget(call, id)
    if (call.isSent) return
    call.isSent = true
    call.outlet?.stop()
    this.stopping.set(id, "stop")
  }

  private forget(call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>, id: Id): void {
    this.inFlight.delete(id)
    if (call.inlet !== undefined) this.open.delete(call.inlet)
  }

  // What comes in --------------------------------------------------------------------------------------------------------

  private receive(): void {
    // Whoever is settled may take from a body, and there is room then.
    if (this.isReceiving) return
    this.isReceiving = true
    try {
      this.takeAll()
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
    this.isReceiving = false
    if (this.end !== undefined) return
    if (this.held === undefined) {
      this.patience.end()
      this.reader.resume()
    } else {
      this.patience.begin()
      this.reader.pause()
    }
    this.sendSoon()
  }

  private takeAll(): void {
    while (this.end === undefined) {
      const { held } = this
      if (held !== undefined) {
        this.held = undefined
        this.accept(held.part, held.frame)
        if (this.held !== undefined) return this.noticeEnd()
        this.patience.end()
        continue
      }
      const frames = this.impl.takeAll(this.room)
      if (!areFrames(frames)) return this.finish(frames)
      if (frames.length === 0) return
      for (const frame of frames) {
        if (this.end !== undefined) return
        const part = this.frames.response.read(frame)
        if (part === undefined) return this.reject("a part of a response", frame)
        this.accept(part, frame)
      }
    }
  }

  /** How many frames may be taken so that only the last one may have to be held. */
  private get room(): number {
    let room = this.bounds.bodyBuffer
    for (const inlet of this.open) room = Math.min(room, inlet.room)
    return room + 1
  }

  // Who holds a frame reads nothing, and would not see that nothing more comes.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (end !== undefined && end.reason._tag !== "ConnectionClosed") this.finish(Exit.fail(end))
  }

  private accept(part: Multiplex.MessagePart<Id, Head2, Chunk2, Failure>, frame: In): void {
    const { id } = part
    const call = this.inFlight.get(id)
    if (call === undefined) return this.acceptLate(part, frame)
    if (part._tag === "Head") {
      if (call.isAnswered) return this.reject("one head of a response", frame)
      return this.acceptHead(call, id, part.head, part.hasBody)
    }
    if (!call.isAnswered) {
      if (part._tag !== "Abort") return this.reject("the head of a response", frame)
      this.complete(call, id)
      return call.settle(part.error === undefined ? abortedByPeer : Exit.fail(part.error))
    }
    if (part._tag === "Chunk") {
      if (call.inlet === undefined || call.inlet.room > 0) call.inlet?.push(part.chunk)
      else this.held = { frame, part }
      return
    }
    this.complete(call, id)
    if (part._tag === "End") call.inlet?.end()
    else call.inlet?.end(part.error === undefined ? abortedByPeer : Exit.fail(part.error))
  }

  private acceptHead(call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>, id: Id, head: Head2, hasBody: boolean): void {
    call.isAnswered = true
    if (!hasBody) this.complete(call, id)
    if (call.isAbandoned) return
    if (!hasBody) return call.settle(Exit.succeed({ head, body: undefined }))
    const inlet = call.inlet = new Inlet<Chunk2, Failure>(
      this.bounds.bodyBuffer,
      () => this.receive(),
      () => this.giveUp(call)
    )
    this.open.add(inlet)
    call.settle(Exit.succeed({ head, body: inlet.stream }))
  }

  private acceptLate(part: Multiplex.MessagePart<Id, Head2, Chunk2, Failure>, frame: In): void {
    if (!this.late.has(part.id)) return this.reject("a part of a response to a request in flight", frame)
    if (part._tag === "Chunk" || (part._tag === "Head" && part.hasBody)) return
    this.late.delete(part.id)
  }

  private reject(expected: string, frame: In): void {
    const reason = new UnexpectedFrame({ expected, excerpt: this.impl.show(frame) })
    this.finish(Exit.fail(new TransportError({ reason })))
  }

  /** What is held has held the connection up for `bodyTimeout`. */
  private outOfPatience(): void {
    const call = this.held === undefined ? undefined : this.inFlight.get(this.held.part.id)
    if (call === undefined) return
    call.inlet?.stall(stalled(this.bounds.bodyTimeout))
    this.giveUp(call)
    this.receive()
  }

  // What goes out --------------------------------------------------------------------------------------------------------

  /** Not at once: what is called in the same turn travels in one write. */
  private sendSoon(): void {
    if (this.sendsSoon || this.end !== undefined) return
    if (this.stopping.size === 0 && (this.waiting.size === 0 || this.inFlight.size >= this.maxInFlight)) return
    this.sendsSoon = true
    queueMicrotask(() => {
      this.sendsSoon = false
      this.send()
    })
  }

  /** When everything else that is due now has happened: bodies that have always more to send leave room for it. */
  private sendLater(): void {
    if (this.sendsLater || this.end !== undefined) return
    this.sendsLater = true
    this.dispatcher.scheduleTask(() => {
      this.sendsLater = false
      this.send()
    }, 0)
  }

  private send(): void {
    if (this.end !== undefined || this.writer.isWaiting || this.isSending) return
    this.isSending = true
    try {
      this.addStops()
      this.addRequests()
      this.addBodies()
      this.writer.write()
    } catch (defect) {
      this.finish(Exit.die(defect))
    }
    this.isSending = false
    if (this.writer.failure !== undefined) return this.finish(this.writer.failure)
    // Each body has had its turn.
    if (this.queue.length > 0 && !this.writer.isWaiting) this.sendLater()
    // A body that has failed may have left something to say.
    this.sendSoon()
  }

  /** Adds a frame that has no call to fail, where it cannot be encoded. */
  private add(frame: Out): void {
    const unencodable = this.writer.add(frame)
    if (unencodable !== undefined) this.finish(Exit.fail(unencodable))
  }

  private addStops(): void {
    const { cancel, request } = this.frames
    for (const [id, how] of this.stopping) {
      if (how === "cancel" && cancel !== undefined) this.add(cancel(id))
      else this.add(request.abort === undefined ? request.end(id) : request.abort(id, undefined))
    }
    this.stopping.clear()
  }

  private addRequests(): void {
    for (const call of this.waiting) {
      if (this.inFlight.size >= this.maxInFlight) return
      const id = this.freeId()
      const unsendable = this.addHead(id, call.request)
      this.waiting.delete(call)
      if (unsendable === undefined) {
        this.lastId = call.id = id
        this.inFlight.set(id, call)
        if (call.request.body !== undefined) this.startBody(call, call.request.body)
      } else {
        // Later, so that whoever calls again and again with the same request leaves room for others.
        this.dispatcher.scheduleTask(() => call.settle(unsendable), 0)
      }
    }
  }

  private addHead(id: Id, request: Request<Head, Chunk, Failure>): Ended | undefined {
    let frame: Out
    try {
      frame = this.frames.request.head(id, request.head, request.body !== undefined)
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

  // The bodies of requests -----------------------------------------------------------------------------------------------

  private startBody(
    call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>,
    body: NonNullable<Request<Head, Chunk, Failure>["body"]>
  ): void {
    const outlet = call.outlet = new Outlet(body, () => this.onBodyNews(call, outlet))
    this.sending.add(outlet)
    outlet.start(call.fork)
  }

  private onBodyNews(
    call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>,
    outlet: Outlet<Chunk, Failure | Body.ReadError, never>
  ): void {
    if (outlet.exit !== undefined) this.sending.delete(outlet)
    // Nobody hears it any more.
    if (call.isSent || call.isQueued || this.end !== undefined) return
    call.isQueued = true
    this.queue.push(call)
    if (this.isSending) return
    // Others may have something to send now, too.
    if (this.inFlight.size > 1) this.sendLater()
    else this.send()
  }

  /** A turn for each body that waits for one. */
  private addBodies(): void {
    for (let turns = this.queue.length; turns > 0 && this.writer.size < maxBatch; turns--) {
      const call = this.queue.shift()
      if (this.end !== undefined || call?.id === undefined || call.outlet === undefined) return
      // It stays in the queue for as long as it has its turn, so that its own news does not bring it there again.
      if (!call.isSent) this.addBody(call, call.id, call.outlet)
      call.isQueued = !call.isSent && call.outlet.hasChunks
      if (call.isQueued) this.queue.push(call)
    }
  }

  private addBody(
    call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>,
    id: Id,
    outlet: Outlet<Chunk, Failure | Body.ReadError, never>
  ): void {
    const { request } = this.frames
    if (outlet.hasChunks) {
      const chunks = outlet.take(chunksPerTurn)
      const unencodable = this.writer.addAll(chunks.map((chunk) => request.chunk(id, chunk)))
      if (unencodable !== undefined) return this.bodyFailed(call, id, Cause.fail(unencodable))
    }
    if (outlet.exit === undefined) return
    if (Exit.isFailure(outlet.exit)) return this.bodyFailed(call, id, outlet.exit.cause)
    call.isSent = true
    this.add(request.end(id))
  }

  /**
   * A failure that the protocol can tell of is told, and the server answers it. Any other fails the call, which is given up.
   */
  private bodyFailed(
    call: Call<Id, Head, Chunk, Head2, Chunk2, Failure>,
    id: Id,
    cause: Cause.Cause<Failure | Body.ReadError>
  ): void {
    const { abort } = this.frames.request
    const error = Cause.hasDies(cause) ? undefined : Option.getOrUndefined(Cause.findErrorOption(cause))
    if (abort !== undefined && error !== undefined && !isReadError(error)) {
      call.isSent = true
      return this.add(abort(id, error))
    }
    if (call.isAnswered) call.inlet?.stall(Exit.failCause(cause))
    else call.settle(Exit.failCause(cause))
    this.giveUp(call)
  }
}
