/**
 * The client's half of `Pipeline` with bodies: the calls over one transport.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Body from "../../Body.ts"
import { closedHere } from "../connection/inbox.ts"
import type { TransportImpl } from "../connection/transport.ts"
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
import { Calls, type Ended } from "./calls.ts"
import { failureOf } from "./exits.ts"
import { InOrder } from "./inOrder.ts"
import type * as Pipeline from "./pipelineFrames.ts"
import type { AllTypes, ReadFailure, Request, Response } from "./protocolTypes.ts"

/** A body that is sent, whatever its stream needs. */
type Sent<Chunk, E> = Pick<Outlet<Chunk, E, never>, "exit" | "hasChunks" | "take" | "stop" | "stopped">

class Call<T extends AllTypes> {
  readonly head: T["request"]
  /** The body of the request, which is sent behind its head. */
  readonly outlet: Sent<T["requestChunk"], ReadFailure<T>> | undefined
  /** Starts it. */
  readonly start: () => void
  /** The body of the response, once its head has come. */
  inlet: Inlet<T["responseChunk"], T["failure"]> | undefined = undefined
  /** Whether the rest of the request's body is not sent. */
  givesUp = false
  /** Whether nobody wants the response. */
  isAbandoned = false
  /** Whether there is nothing left to do for it. */
  isOver = false
  /** The call that was sent after it. */
  next: Call<T> | undefined = undefined
  settle: (answer: Exit.Exit<Response<T>, ReadFailure<T>>) => void = () => {}

  constructor(head: T["request"], outlet: Sent<T["requestChunk"], ReadFailure<T>> | undefined, start: () => void) {
    this.head = head
    this.outlet = outlet
    this.start = start
  }
}

/**
 * A call goes through these states:
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
export class PipelineStreamingCalls<T extends AllTypes> extends Calls<T["toClient"], T["toServer"], Call<T>> {
  private readonly frames: Pipeline.StreamingClientFrames<T>
  private readonly bounds: Bounds
  private readonly patience: Patience
  /** In the order of the requests. */
  private readonly unanswered = new InOrder<Call<T>>()
  /** The last one of them, while its body is sent. */
  private sending: Call<T> | undefined = undefined
  /** The body of the response to the first one. */
  private receiving: Inlet<T["responseChunk"], T["failure"]> | undefined = undefined
  /** What was read of the frame that waits. */
  private held: Body.Part<T["response"], T["responseChunk"], T["failure"]> | undefined = undefined

  constructor(
    impl: TransportImpl<T["toClient"], T["toServer"]>,
    frames: Pipeline.StreamingClientFrames<T>,
    maxInFlight: number,
    bounds: Bounds,
    context: Context.Context<never>
  ) {
    super(impl, context, maxInFlight)
    this.frames = frames
    this.bounds = bounds
    this.patience = patienceOf(context, bounds, () => this.giveUpBody())
  }

  call<R>(
    request: Request<T, ReadFailure<T>, R>
  ): Effect.Effect<
    Response<T>,
    ReadFailure<T>,
    R | Scope.Scope
  > {
    return Effect.contextWith((context: Context.Context<R | Scope.Scope>) =>
      Effect.uninterruptibleMask((restore) => {
        const outlet = request.body && new Outlet(request.body, () => this.sendSoon())
        const call = new Call<T>(
          request.head,
          outlet,
          () => outlet?.start(Effect.runForkWith(context))
        )
        const answer = Effect.callback<
          Response<T>,
          ReadFailure<T>
        >((resume) => {
          if (this.end !== undefined) return resume(this.refusal(this.end))
          call.settle = resume
          this.enqueue(call)
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

  protected leave(): Iterable<Call<T>> {
    const calls = [...this.unanswered]
    this.unanswered.clear()
    return calls
  }

  protected override stopped(end: Ended): void {
    this.patience.stop()
    this.receiving?.end(end)
    this.sending?.outlet?.stop()
  }

  protected override get bodiesStopped(): Effect.Effect<void> {
    return this.sending?.outlet?.stopped ?? Effect.void
  }

  /** Nobody wants anything of a call any more. */
  private release(call: Call<T>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.waiting.delete(call)
      this.abandon(call)
      return call.outlet?.stopped ?? Effect.void
    })
  }

  private abandon(call: Call<T>): void {
    call.isAbandoned = true
    call.inlet?.drop()
    this.giveUpSending(call)
  }

  /** The rest of a request's body is not sent. It ends as the protocol can say it. */
  private giveUpSending(call: Call<T>): void {
    if (this.sending !== call || call.givesUp) return
    call.givesUp = true
    call.outlet?.stop()
    // The server has not answered, and would take what it has for the whole.
    if (!call.isOver && this.frames.request.abort === undefined) this.finish(Exit.fail(closedHere))
    this.sendSoon()
  }

  // What comes in ---------------------------------------------------------------------------------------------------

  protected override settled(): void {
    if (this.isHeldUp) this.patience.begin()
  }

  // Behind a body that is full there may be its end: one frame is taken all the same.
  protected override get room(): number {
    return Math.max(1, this.receiving?.room ?? Infinity)
  }

  protected accept(frame: T["toClient"]): boolean {
    const part = this.held ?? this.frames.response.read(frame)
    const accepted = this.acceptPart(part, frame)
    this.held = accepted ? undefined : part
    return accepted
  }

  private acceptPart(
    part: Body.Part<T["response"], T["responseChunk"], T["failure"]> | undefined,
    frame: T["toClient"]
  ): boolean {
    const { receiving } = this
    const call = this.unanswered.first
    if (call === undefined) return this.reject("no response", frame)
    if (receiving === undefined) {
      if (part?._tag !== "Head" && part?._tag !== "Abort") return this.reject("the head of a response", frame)
      if (part._tag === "Head" && part.hasBody) this.receiveBody(call)
      else this.complete(call)
      call.settle(part._tag === "Abort" ? abortOf(part) : Exit.succeed({ head: part.head, body: call.inlet?.stream }))
      return true
    }
    if (part === undefined || part._tag === "Head") return this.reject("a chunk of a body or its end", frame)
    if (part._tag === "Chunk") return receiving.accept(part)
    this.complete(call)
    return receiving.accept(part)
  }

  private receiveBody(call: Call<T>): void {
    this.receiving = call.inlet = new Inlet(this.bounds.bodyBuffer, () => this.hasRoom())
    if (call.isAbandoned) call.inlet.drop()
  }

  /** The whole response to a call is there; what is left of its request is of no use. */
  private complete(call: Call<T>): void {
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

  protected get placed(): number {
    return this.unanswered.size
  }

  protected override get mayBegin(): boolean {
    return this.sending !== undefined || super.mayBegin
  }

  // The rest of a batch; the next batch tells of itself.
  protected override sent(): void {
    if (this.sending?.outlet?.hasChunks) this.sendSoon()
  }

  protected override add(): void {
    while (this.end === undefined) {
      if (this.sending !== undefined && !this.addBody(this.sending)) return
      const [call] = this.waiting
      if (call === undefined || !this.hasPlace) return
      this.begin(call)
    }
  }

  protected requestOf(call: Call<T>): T["toServer"] {
    return this.frames.request.head(call.head, call.outlet !== undefined)
  }

  protected begun(call: Call<T>): void {
    this.unanswered.add(call)
    if (call.outlet === undefined) return
    this.sending = call
    call.start()
  }

  /** Adds what is next of a body. True where that was the end of it. */
  private addBody(call: Call<T>): boolean {
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
    call: Call<T>,
    cause: Cause.Cause<ReadFailure<T>>
  ): void {
    const { abort } = this.frames.request
    const error = failureOf(cause)
    const told = Option.isNone(error) || isReadError(error.value) ? undefined : error.value
    this.sending = undefined
    if (abort === undefined || told === undefined) {
      call.settle(Exit.failCause(cause))
      call.inlet?.stall(Exit.failCause(cause))
    }
    if (abort !== undefined) this.say(abort(told))
    else this.finish(Exit.fail(closedHere))
  }
}
