/**
 * The server's half of `Pipeline` with bodies: one transport that is served.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Body from "../../Body.ts"
import type { TransportError } from "../../TransportError.ts"
import type { Surroundings } from "../connection/onEvents.ts"
import type { TransportImpl } from "../connection/transport.ts"
import {
  type Bounds,
  chunksPerTurn,
  cutBy,
  Inlet,
  isReadError,
  Outlet,
  type Patience,
  patienceOf,
  stalled
} from "./body.ts"
import type * as Pipeline from "./pipelineFrames.ts"
import type { AllTypes, Request, Response } from "./protocolTypes.ts"
import { ServingByPlace, type Slot } from "./servingByPlace.ts"

/** The frames of a protocol, and how it says that a response is given up, where it can. */
export type Frames<T extends AllTypes, E> = Pipeline.StreamingServerFrames<T> & {
  readonly response: { readonly abort?: ((error: E | undefined) => T["toClient"]) | undefined }
}

export type Handler<T extends AllTypes, E, R> = (request: Request<T>) => Effect.Effect<Response<T, E, R>, E, R>

interface MessageSlot<T extends AllTypes, E, R> extends Slot<Response<T, E, R>, E, MessageSlot<T, E, R>> {
  /** The body of the request. */
  readonly inlet: Inlet<T["requestChunk"], T["failure"]> | undefined
}

export interface Service<T extends AllTypes, E, R> {
  readonly frames: Frames<T, E>
  readonly handler: Handler<T, E, R>
  readonly maxInFlight: number
  readonly bounds: Bounds
  readonly goodbye: T["toClient"] | undefined
}

/**
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
export class PipelineStreamingServing<T extends AllTypes, E, R> extends ServingByPlace<
  T["toServer"],
  T["toClient"],
  MessageSlot<T, E, R>,
  Response<T, E, R>,
  E,
  R
> {
  protected readonly service: Service<T, E, R>
  private readonly patience: Patience
  /** What was read of the frame that waits. */
  private held: Body.Part<T["request"], T["requestChunk"], T["failure"]> | undefined = undefined
  /** The body that comes in. */
  private receiving: Inlet<T["requestChunk"], T["failure"]> | undefined = undefined
  /** The body of the response to the first request. */
  private sending: Outlet<T["responseChunk"], E, R> | undefined = undefined

  constructor(
    impl: TransportImpl<T["toServer"], T["toClient"]>,
    service: Service<T, E, R>,
    surroundings: Surroundings<R>
  ) {
    super(impl, surroundings)
    this.service = service
    this.patience = patienceOf(surroundings.context, service.bounds, () => this.giveUpBody())
  }

  protected override settled(): void {
    if (this.isStuck) this.patience.begin()
    else this.patience.end()
  }

  protected override stopped(exit: Exit.Exit<unknown, E | TransportError>): void {
    this.patience.stop()
    // Whoever reads on behind the end of its handler.
    this.receiving?.end(cutBy(exit))
  }

  protected override interrupt(
    slot: MessageSlot<T, E, R>
  ) {
    return slot === this.first && this.sending !== undefined ? this.sending.stopped : super.interrupt(slot)
  }

  // What comes in ---------------------------------------------------------------------------------------------------

  protected override get isMidRequest(): boolean {
    return this.receiving !== undefined && !this.receiving.isDropping
  }

  // Behind a body that is full there may be its end: one frame is taken all the same.
  protected override get room(): number {
    return this.receiving === undefined ? this.places : Math.max(1, this.receiving.room)
  }

  // Whoever reads the body that is cut hears of it, and may still answer.
  protected override receivedEnd(how: Exit.Exit<never, TransportError>): void {
    this.receiving?.end(how)
  }

  protected accept(frame: T["toServer"]): boolean {
    // What was taken together with the end of the last request that is wanted.
    if (this.isDraining && !this.isMidRequest) return true
    const part = this.held ?? this.service.frames.request.read(frame)
    const accepted = this.acceptPart(part, frame)
    this.held = accepted ? undefined : part
    return accepted
  }

  private acceptPart(
    part: Body.Part<T["request"], T["requestChunk"], T["failure"]> | undefined,
    frame: T["toServer"]
  ): boolean {
    const { receiving } = this
    if (receiving === undefined) {
      if (part?._tag !== "Head") return this.reject("the head of a request", frame)
      if (this.places <= 0) return false
      this.start(part.head, part.hasBody)
      return true
    }
    if (part === undefined || part._tag === "Head") return this.reject("a chunk of a body or its end", frame)
    if (!receiving.accept(part)) return false
    if (part._tag !== "Chunk") this.receiving = undefined
    return true
  }

  private start(head: T["request"], hasBody: boolean): void {
    const { bounds, handler } = this.service
    const inlet = this.receiving = hasBody
      ? new Inlet<T["requestChunk"], T["failure"]>(bounds.bodyBuffer, () => this.hasRoom(), () => this.turn())
      : undefined
    const effect = this.handle(handler, { head, body: inlet?.stream })
    this.place({ inlet, fiber: undefined, exit: undefined, next: undefined }, effect)
  }

  // Where the response has a body, that may still read the body of the request.
  protected override concluded(
    { inlet }: MessageSlot<T, E, R>,
    exit: Exit.Exit<Response<T, E, R>, E>
  ): void {
    if (Exit.isFailure(exit) || exit.value.body === undefined) this.dropUnread(inlet)
  }

  private dropUnread(inlet: Inlet<T["requestChunk"], T["failure"]> | undefined): void {
    if (inlet !== undefined && !inlet.wasRead) inlet.drop()
  }

  /** A reader has taken something: the next chunk that waits has all the time again. */
  private hasRoom(): void {
    this.patience.end()
    this.turn()
  }

  /** Whether a chunk waits for a reader that could take what is before it. */
  private get isStuck(): boolean {
    if (!this.isHeldUp || this.receiving === undefined || this.writer.isWaiting) return false
    const { first, last } = this
    const waitsForItsTurn = first !== last && last?.inlet === this.receiving && last.exit !== undefined
    return !waitsForItsTurn
  }

  private giveUpBody(): void {
    this.receiving?.stall(stalled(this.service.bounds.bodyTimeout))
    this.turn()
  }

  // What goes out ---------------------------------------------------------------------------------------------------

  protected respond(
    { inlet }: MessageSlot<T, E, R>,
    exit: Exit.Exit<Response<T, E, R>, E>
  ): boolean {
    if (this.sending === undefined) this.sendHead(exit)
    if (this.sending !== undefined && !this.sendBody(this.sending)) return false
    this.dropUnread(inlet)
    return true
  }

  private sendHead(exit: Exit.Exit<Response<T, E, R>, E>): void {
    if (Exit.isFailure(exit)) return this.abort(exit.cause)
    const { body, head } = exit.value
    this.say(this.service.frames.response.head(head, body !== undefined))
    if (body === undefined) return
    this.sending = new Outlet(body, () => this.turn())
    this.sending.start(this.fork)
  }

  /** Sends what is next of a body. True where that was the end of it. */
  private sendBody(outlet: Outlet<T["responseChunk"], E, R>): boolean {
    const { response } = this.service.frames
    if (outlet.hasChunks) {
      for (const chunk of outlet.take(chunksPerTurn)) this.say(response.chunk(chunk))
      // The rest of the batch, when these are written. The next batch tells of itself.
      if (outlet.hasChunks) this.hasNews = true
    }
    const { exit } = outlet
    if (outlet.hasChunks || exit === undefined) return false
    this.sending = undefined
    if (Exit.isSuccess(exit)) this.say(response.end())
    else this.abort(exit.cause)
    return true
  }

  /** A response is given up, as the protocol can say it. */
  private abort(cause: Cause.Cause<E>): void {
    const { abort } = this.service.frames.response
    const error = this.toTell(cause, abort !== undefined)
    if (abort !== undefined && Option.isSome(error)) this.say(abort(isReadError(error.value) ? undefined : error.value))
  }
}
