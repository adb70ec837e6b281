/**
 * The client's half of `Multiplex` with bodies: the calls over one transport.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { closedHere } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { maxBatch } from "./batchWriter.ts"
import {
  abortOf,
  type Bounds,
  chunksPerTurn,
  Inlet,
  isReadError,
  Outlet,
  type Patience,
  patienceOf,
  stalled
} from "./body.ts"
import { BodyTurns } from "./bodyTurns.ts"
import type { Ended } from "./calls.ts"
import { CallsById } from "./callsById.ts"
import { failureOf } from "./exits.ts"
import type * as Multiplex from "./multiplexFrames.ts"
import { OpenBodies } from "./openBodies.ts"
import type { AllTypesById, ReadFailure, Request, Response } from "./protocolTypes.ts"

type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

interface Call<T extends AllTypesById> {
  /** Its services are there already. */
  readonly request: Request<T>
  readonly fork: Fork
  /** Once it has a place. */
  id: T["id"] | undefined
  /** Goes nowhere once the call was interrupted. */
  readonly settle: (exit: Exit.Exit<Response<T>, ReadFailure<T>>) => void
  /** The body of the request, once that is being sent. */
  outlet: Outlet<T["requestChunk"], ReadFailure<T>, never> | undefined
  /** Whether that waits for its turn. */
  isQueued: boolean
  /** Whether the peer knows that nothing more comes of it. */
  isSent: boolean
  /** Whether the head of the response has come. */
  isAnswered: boolean
  /** The body of the response. */
  inlet: Inlet<T["responseChunk"], T["failure"]> | undefined
  /** Whether what still comes of its response is dropped. */
  isAbandoned: boolean
}

/**
 * A call goes through these states:
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
export class MultiplexStreamingCalls<T extends AllTypesById>
  extends CallsById<T["toClient"], T["toServer"], T["id"], Call<T>>
{
  private readonly frames: Multiplex.StreamingClientFrames<T>
  private readonly bounds: Bounds
  private readonly patience: Patience
  /** The bodies of responses that have not ended. */
  private readonly open = new OpenBodies<T["responseChunk"], T["failure"]>()
  /** What is still to be said: the cancel of a request, whose body may have ended, or the early end of a body. */
  private readonly stopping = new Map<T["id"], "cancel" | "cancel whole" | "stop">()
  private readonly bodies = new BodyTurns<Call<T>>(
    () => this.end === undefined && this.writer.size < maxBatch,
    (call) => this.addBody(call)
  )
  /** Whose request has a body that has not ended, be it given up. */
  private readonly sending = new Set<Outlet<T["requestChunk"], ReadFailure<T>, never>>()
  /** What was read of the frame that waits. */
  private held: Multiplex.MessagePart<T["id"], T["response"], T["responseChunk"], T["failure"]> | undefined = undefined
  private sendsLater = false

  constructor(
    impl: TransportImpl<T["toClient"], T["toServer"]>,
    frames: Multiplex.StreamingClientFrames<T>,
    nextId: (last: T["id"] | undefined) => T["id"],
    maxInFlight: number,
    bounds: Bounds,
    context: Context.Context<never>
  ) {
    super(impl, context, maxInFlight, nextId)
    this.frames = frames
    this.bounds = bounds
    this.patience = patienceOf(context, bounds, () => this.outOfPatience())
  }

  readonly call = <R>(
    request: Request<T, ReadFailure<T>, R>
  ): Effect.Effect<Response<T>, ReadFailure<T>, R | Scope.Scope> =>
    Effect.contextWith((context: Context.Context<R | Scope.Scope>) => {
      let call: Call<T> | undefined
      const answer = Effect.callback<Response<T>, ReadFailure<T>>((resume) => {
        if (this.end !== undefined) return resume(this.refusal(this.end))
        call = {
          // Its services are in the context that its body is run with.
          request: request as Request<T>,
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
        this.enqueue(call)
      })
      const giveUp = Effect.suspend(() => call === undefined ? Effect.void : this.abandon(call))
      return Effect.uninterruptibleMask((restore) =>
        Effect.tap(Effect.onInterrupt(restore(answer), () => giveUp), (response) =>
          response.body === undefined
            ? Effect.void
            : Scope.addFinalizer(Context.get(context, Scope.Scope), giveUp))
      )
    })

  protected override get bodiesStopped(): Effect.Effect<void> {
    return Effect.forEach(this.sending, (outlet) => outlet.stopped, { concurrency: "unbounded", discard: true })
  }

  protected override stopped(end: Ended): void {
    super.stopped(end)
    this.patience.stop()
    this.stopping.clear()
    this.bodies.clear()
    this.open.end(end)
    for (const outlet of this.sending) outlet.stop()
  }

  // Giving up ------------------------------------------------------------------------------------------------------------

  /** Nobody wants its response any more. Waits until the body of its request is over. */
  private abandon(call: Call<T>): Effect.Effect<void> {
    this.giveUp(call)
    call.inlet?.drop()
    return call.outlet === undefined ? Effect.void : call.outlet.stopped
  }

  private giveUp(call: Call<T>): void {
    const { id, outlet } = call
    if (this.waiting.delete(call) || id === undefined || call.isAbandoned || this.inFlight.get(id) !== call) return
    const wasSent = call.isSent
    call.isAbandoned = true
    // The body's own end is no news any more.
    call.isSent = true
    outlet?.stop()
    if (this.frames.cancel !== undefined) {
      this.stopping.set(id, wasSent ? "cancel whole" : "cancel")
      if (this.frames.cancelled === undefined) {
        this.forget(call, id)
        this.leaveLate(id)
      }
    } else if (!wasSent) {
      // An end would pass what was sent off as all of it.
      if (this.frames.request.abort === undefined) return this.finish(Exit.fail(closedHere))
      this.stopping.set(id, "stop")
    }
    this.sendSoon()
  }

  /** Its response is complete. */
  private complete(call: Call<T>, id: T["id"]): void {
    this.forget(call, id)
    this.dropCancel(id)
    if (call.isSent) return
    call.isSent = true
    call.outlet?.stop()
    this.stopping.set(id, "stop")
  }

  /** What is all there on both sides needs no cancel any more. */
  private dropCancel(id: T["id"]): void {
    if (this.stopping.get(id) === "cancel whole") this.stopping.delete(id)
  }

  private forget(call: Call<T>, id: T["id"]): void {
    this.inFlight.delete(id)
    if (call.inlet !== undefined) this.open.delete(call.inlet)
  }

  // What comes in --------------------------------------------------------------------------------------------------------

  protected override settled(): void {
    if (this.isHeldUp) this.patience.begin()
    else this.patience.end()
  }

  protected override get room(): number {
    return this.open.room(this.bounds.bodyBuffer)
  }

  protected accept(frame: T["toClient"]): boolean {
    const { held } = this
    const part = held ?? this.frames.response.read(frame)
    if (part === undefined) return this.reject("a part of a response", frame)
    const accepted = this.acceptPart(part, frame)
    this.held = accepted ? undefined : part
    // What waits next has all the time again.
    if (held !== undefined && accepted) this.patience.end()
    return accepted
  }

  private acceptPart(
    part: Multiplex.MessagePart<T["id"], T["response"], T["responseChunk"], T["failure"]>,
    frame: T["toClient"]
  ): boolean {
    const { id } = part
    const call = this.inFlight.get(id)
    if (call === undefined) return this.acceptLate(part, frame)
    if (part._tag === "Head") {
      if (call.isAnswered) return this.reject("one head of a response", frame)
      this.acceptHead(call, id, part.head, part.hasBody)
      return true
    }
    if (!call.isAnswered) {
      if (part._tag !== "Abort") return this.reject("the head of a response", frame)
      this.complete(call, id)
      call.settle(abortOf(part))
      return true
    }
    if (part._tag !== "Chunk") this.complete(call, id)
    return call.inlet === undefined || call.inlet.accept(part)
  }

  private acceptHead(call: Call<T>, id: T["id"], head: T["response"], hasBody: boolean): void {
    call.isAnswered = true
    if (!hasBody) this.complete(call, id)
    if (call.isAbandoned) return
    if (!hasBody) return call.settle(Exit.succeed({ head, body: undefined }))
    const inlet = call.inlet = new Inlet<T["responseChunk"], T["failure"]>(
      this.bounds.bodyBuffer,
      () => this.receive(),
      () => this.giveUp(call)
    )
    this.open.add(inlet)
    call.settle(Exit.succeed({ head, body: inlet.stream }))
  }

  private acceptLate(
    part: Multiplex.MessagePart<T["id"], T["response"], T["responseChunk"], T["failure"]>,
    frame: T["toClient"]
  ): true {
    if (!this.late.has(part.id)) return this.reject("a part of a response to a request in flight", frame)
    if (part._tag === "Chunk" || (part._tag === "Head" && part.hasBody)) return true
    this.late.delete(part.id)
    this.dropCancel(part.id)
    return true
  }

  /** What is held has held the connection up for `bodyTimeout`. */
  private outOfPatience(): void {
    const call = this.held === undefined ? undefined : this.inFlight.get(this.held.id)
    if (call === undefined) return
    call.inlet?.stall(stalled(this.bounds.bodyTimeout))
    this.giveUp(call)
    this.receive()
  }

  // What goes out --------------------------------------------------------------------------------------------------------

  protected override get mayBegin(): boolean {
    return this.stopping.size > 0 || super.mayBegin
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

  protected override add(): void {
    this.addStops()
    super.add()
    this.bodies.give()
  }

  protected override sent(): void {
    // Each body has had its turn.
    if (!this.bodies.isEmpty && !this.writer.isWaiting) this.sendLater()
    // A body that has failed may have left something to say.
    this.sendSoon()
  }

  private addStops(): void {
    const { cancel, request } = this.frames
    for (const [id, how] of this.stopping) {
      if (how !== "stop" && cancel !== undefined) this.say(cancel(id))
      else this.say(request.abort === undefined ? request.end(id) : request.abort(id, undefined))
    }
    this.stopping.clear()
  }

  protected requestOf({ request }: Call<T>): T["toServer"] {
    return this.frames.request.head(this.freeId, request.head, request.body !== undefined)
  }

  protected override begun(call: Call<T>): void {
    super.begun(call)
    if (call.request.body !== undefined) this.startBody(call, call.request.body)
  }

  // The bodies of requests -----------------------------------------------------------------------------------------------

  private startBody(
    call: Call<T>,
    body: NonNullable<Request<T>["body"]>
  ): void {
    const outlet = call.outlet = new Outlet(body, () => this.onBodyNews(call, outlet))
    this.sending.add(outlet)
    outlet.start(call.fork)
  }

  private onBodyNews(
    call: Call<T>,
    outlet: Outlet<T["requestChunk"], ReadFailure<T>, never>
  ): void {
    if (outlet.exit !== undefined) this.sending.delete(outlet)
    // Nobody hears it any more.
    if (call.isSent || this.end !== undefined || !this.bodies.add(call) || this.isSending) return
    // Others may have something to send now, too.
    if (this.inFlight.size > 1) this.sendLater()
    else this.send()
  }

  /** Adds what is next of a body. False where that was the end of it. */
  private addBody(call: Call<T>): boolean {
    const { id, outlet } = call
    const { request } = this.frames
    if (id === undefined || outlet === undefined || call.isSent) return false
    if (outlet.hasChunks) {
      const chunks = outlet.take(chunksPerTurn)
      const unencodable = this.writer.addAll(chunks.map((chunk) => request.chunk(id, chunk)))
      if (unencodable !== undefined) this.bodyFailed(call, id, Cause.fail(unencodable))
    }
    if (call.isSent || outlet.exit === undefined) return !call.isSent
    if (Exit.isFailure(outlet.exit)) this.bodyFailed(call, id, outlet.exit.cause)
    else {
      call.isSent = true
      this.say(request.end(id))
    }
    return false
  }

  /**
   * A failure that the protocol can tell of is told, and the server answers it. Any other fails the call, which is given up.
   */
  private bodyFailed(
    call: Call<T>,
    id: T["id"],
    cause: Cause.Cause<ReadFailure<T>>
  ): void {
    const { abort } = this.frames.request
    const error = failureOf(cause)
    if (abort !== undefined && Option.isSome(error) && !isReadError(error.value)) {
      call.isSent = true
      return this.say(abort(id, error.value))
    }
    if (call.isAnswered) call.inlet?.stall(Exit.failCause(cause))
    else call.settle(Exit.failCause(cause))
    this.giveUp(call)
  }
}
