/**
 * The server's half of `Multiplex` with bodies: one transport that is served.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { TransportError } from "../../TransportError.ts"
import { isReady, type Surroundings } from "../connection/onEvents.ts"
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
import { BodyTurns } from "./bodyTurns.ts"
import { LateIds } from "./ids.ts"
import type * as Multiplex from "./multiplexFrames.ts"
import { OpenBodies } from "./openBodies.ts"
import type { AllTypesById, Request, Response } from "./protocolTypes.ts"
import { type Exchange, type Rules, ServingById } from "./servingById.ts"

/** The frames of a protocol, and how it says that a request or its response has failed. */
export type Frames<T extends AllTypesById, E> = Multiplex.StreamingServerFrames<T> & {
  readonly response: { readonly abort?: ((id: T["id"], error: E | undefined) => T["toClient"]) | undefined }
}

export type Handler<T extends AllTypesById, E, R> = (request: Request<T>) => Effect.Effect<Response<T, E, R>, E, R>

export interface Service<T extends AllTypesById, E, R> {
  readonly frames: Frames<T, E>
  readonly handler: Handler<T, E, R>
  readonly rules: Rules<T["toClient"], T["id"], T["request"], E>
  readonly bounds: Bounds
  readonly goodbye: T["toClient"] | undefined
}

type Part<T extends AllTypesById> =
  | Multiplex.MessagePart<T["id"], T["request"], T["requestChunk"], T["failure"]>
  | { readonly _tag: "Cancel"; readonly id: T["id"] }

/** A request whose handler runs, or whose response is being sent. */
interface MessageExchange<T extends AllTypesById, E, R> extends Exchange<T["id"], Response<T, E, R>, E> {
  readonly inlet: Inlet<T["requestChunk"], T["failure"]> | undefined
  outlet: Outlet<T["responseChunk"], E, R> | undefined
  isQueued: boolean
}

/**
 * A request goes through these states:
 *
 * | state | its id | its place | its body | goes on with |
 * |---|---|---|---|---|
 * | held: its head came when no place was free | free | none | is not read | a free place: running; no patience left, a drain: refused |
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
export class MultiplexStreamingServing<T extends AllTypesById, E, R> extends ServingById<
  T["toServer"],
  T["toClient"],
  T["id"],
  T["request"],
  Part<T>,
  MessageExchange<T, E, R>,
  Response<T, E, R>,
  E,
  R
> {
  protected readonly service: Service<T, E, R>
  private readonly patience: Patience
  /** The bodies of those in flight that have not ended. */
  private readonly open = new OpenBodies<T["requestChunk"], T["failure"]>()
  private readonly unended = new LateIds<T["id"]>()
  private readonly bodies = new BodyTurns<MessageExchange<T, E, R>>(
    () => this.failure === undefined && !this.isOver && this.hasRoomToSay,
    (exchange) => this.sendBody(exchange)
  )
  /** Whether a head that is held may not wait any longer. */
  private isOutOfPatience = false
  protected readonly expected = "a part of a request"

  constructor(
    impl: TransportImpl<T["toServer"], T["toClient"]>,
    service: Service<T, E, R>,
    surroundings: Surroundings<R>
  ) {
    super(impl, surroundings, service.rules)
    this.service = service
    this.patience = patienceOf(surroundings.context, service.bounds, () => this.outOfPatience())
  }

  protected override act(): void {
    this.take()
    this.bodies.give()
  }

  protected override settled(): void {
    // A peer that does not read may be what the reader of a body waits for.
    if (this.held === undefined || this.writer.isWaiting) this.patience.end()
    else this.patience.begin()
    // Each body has had its turn, and so has everything else before the next one.
    if (!this.bodies.isEmpty && !this.writer.isWaiting) this.turnSoon()
  }

  protected override stopped(exit: Exit.Exit<unknown, E | TransportError>): void {
    this.patience.stop()
    this.open.end(cutBy(exit))
  }

  protected override interrupt(exchange: MessageExchange<T, E, R>) {
    return exchange.outlet === undefined ? super.interrupt(exchange) : exchange.outlet.stopped
  }

  // What comes in --------------------------------------------------------------------------------------------------------

  protected override get isMidRequest(): boolean {
    return this.open.size > 0
  }

  protected override get room(): number {
    return Math.min(super.room, this.open.room(this.service.bounds.bodyBuffer))
  }

  protected override receivedEnd(how: Exit.Exit<never, TransportError>): void {
    this.open.end(how)
  }

  protected read(frame: T["toServer"]): Part<T> | undefined {
    return this.service.frames.request.read(frame)
  }

  protected acceptPart(part: Part<T>, frame: T["toServer"]): boolean {
    const wasHeld = this.held !== undefined
    const accepted = this.acceptKind(part, frame)
    // What waits next has all the time again.
    if (wasHeld && accepted) this.patience.end()
    return accepted
  }

  private acceptKind(part: Part<T>, frame: T["toServer"]): boolean {
    const { id } = part
    if (part._tag === "Head") {
      return this.acceptHead(id, part.head, part.hasBody, frame) || this.refuseHeld(part, frame)
    }
    if (part._tag === "Cancel") {
      this.unended.delete(id)
      this.cancel(id)
      return true
    }
    const inlet = this.inFlight.get(id)?.inlet
    if (inlet !== undefined && !inlet.isEnded) return this.open.accept(inlet, part)
    if (!this.unended.has(id)) return this.reject("a part of a body that has begun and not ended", frame)
    if (part._tag !== "Chunk") this.unended.delete(id)
    return true
  }

  protected override isTaken(id: T["id"]): boolean {
    return super.isTaken(id) || this.unended.has(id)
  }

  protected refuse(id: T["id"], hasBody: boolean, error: E | undefined): true {
    const { frames: { response: { abort } }, goodbye } = this.service
    // That it was not begun a goodbye says better.
    const isTold = this.isDraining && error === undefined && goodbye !== undefined
    if (abort !== undefined && !isTold) this.say(abort(id, error))
    if (hasBody) this.unended.add(id)
    return true
  }

  /** False where it may wait for a place. */
  private refuseHeld(
    { hasBody, id }: { readonly id: T["id"]; readonly hasBody: boolean },
    frame: T["toServer"]
  ): boolean {
    if (!this.isOutOfPatience) return false
    this.isOutOfPatience = false
    if (this.service.frames.response.abort !== undefined) return this.refuse(id, hasBody, undefined)
    return this.reject(`nothing but the bodies of ${this.service.rules.maxInFlight} requests`, frame)
  }

  /** What is held has held the connection up for `bodyTimeout`. */
  private outOfPatience(): void {
    const { held, service } = this
    if (held?._tag === "Chunk") {
      this.inFlight.get(held.id)?.inlet?.stall(stalled(service.bounds.bodyTimeout))
      return this.turn()
    }
    if (held?._tag !== "Head") return
    // Nobody waits for what may come behind it. This may change.
    if (!this.open.isAwaited) return this.patience.begin()
    this.isOutOfPatience = true
    this.turn()
    this.isOutOfPatience = false
  }

  // Handlers -------------------------------------------------------------------------------------------------------------

  protected start(id: T["id"], head: T["request"], hasBody: boolean): void {
    const { bounds, frames, handler } = this.service
    const inlet = hasBody ? new Inlet<T["requestChunk"], T["failure"]>(bounds.bodyBuffer, this.onRoom) : undefined
    const effect = this.handle(handler, { head, body: inlet?.stream })
    // Nothing has to be kept of one that has no body on either side.
    if (inlet === undefined && isReady(effect) && Exit.isSuccess(effect) && effect.value.body === undefined) {
      return this.say(frames.response.head(id, effect.value.head, false))
    }
    if (inlet !== undefined) this.open.add(inlet)
    this.place({ id, inlet, fiber: undefined, outlet: undefined, isQueued: false, isCancelled: false }, effect)
  }

  private readonly onRoom = (): void => this.turn()

  protected answer(
    exchange: MessageExchange<T, E, R>,
    exit: Exit.Exit<Response<T, E, R>, E>
  ): void {
    if (Exit.isFailure(exit)) return this.abort(exchange, exit.cause)
    const { body, head } = exit.value
    this.say(this.service.frames.response.head(exchange.id, head, body !== undefined))
    if (body === undefined) return this.answered(exchange)
    exchange.outlet = new Outlet(body, () => this.onBodyNews(exchange))
    exchange.outlet.start(this.fork)
  }

  /** A response is given up, as the protocol can say it. */
  private abort(exchange: MessageExchange<T, E, R>, cause: Cause.Cause<E>): void {
    const { abort } = this.service.frames.response
    const error = this.toTell(cause, abort !== undefined)
    if (abort !== undefined && Option.isSome(error)) {
      this.say(abort(exchange.id, isReadError(error.value) ? undefined : error.value))
    }
    this.answered(exchange)
  }

  protected override answered(exchange: MessageExchange<T, E, R>): void {
    super.answered(exchange)
    // What still comes of it is known as such. Where the peer has ended, nothing else comes.
    if (exchange.inlet !== undefined && !exchange.inlet.isEnded) this.unended.add(exchange.id)
  }

  protected override release(exchange: MessageExchange<T, E, R>): void {
    super.release(exchange)
    if (exchange.inlet === undefined) return
    this.open.delete(exchange.inlet)
    exchange.inlet.drop()
  }

  protected override giveUp(exchange: MessageExchange<T, E, R>): void {
    if (exchange.outlet === undefined) super.giveUp(exchange)
    else exchange.outlet.stop()
  }

  // The bodies of responses ----------------------------------------------------------------------------------------------

  private onBodyNews(exchange: MessageExchange<T, E, R>): void {
    if (this.isOver || !this.bodies.add(exchange) || this.state === "turning") return
    this.wake(this.running.size > 1)
  }

  /** False where that was the end of it. */
  private sendBody(exchange: MessageExchange<T, E, R>): boolean {
    const { id, isCancelled, outlet } = exchange
    const { response } = this.service.frames
    if (outlet === undefined) return false
    if (!isCancelled && outlet.hasChunks) {
      for (const chunk of outlet.take(chunksPerTurn)) this.say(response.chunk(id, chunk))
    }
    const { exit } = outlet
    if (exit === undefined) return true
    if (isCancelled) this.endCancelled(exchange, exit)
    else if (Exit.isFailure(exit)) this.abort(exchange, exit.cause)
    else {
      this.say(response.end(id))
      this.answered(exchange)
    }
    // A place is free, and whoever was held gets it.
    this.hasNews = true
    return false
  }
}
