/**
 * Answers in any order: each request has an id, and can be cancelled.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isReady, type Surroundings } from "../connection/onEvents.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { maxBatch } from "./batchWriter.ts"
import { type Running, Serving } from "./serving.ts"

/** A request that is not answered to its end. */
export interface Exchange<Id, A, E> extends Running<A, E> {
  readonly id: Id
  /** Its answer is not wanted any more. */
  isCancelled: boolean
}

/** What all kinds of them have in common. */
export interface Rules<Out, Id, Head, E> {
  readonly maxInFlight: number
  /** How a request is answered for which there is no place, instead of being held. */
  readonly refuse: ((head: Head) => E) | undefined
  readonly cancelled: ((id: Id) => Out) | undefined
}

/**
 * A request goes through these states:
 *
 * | state | its id | its place | goes on with |
 * |---|---|---|---|
 * | held: it came when no place was free | free | none | a free place: running; a drain: refused |
 * | running | in flight | taken | its result: answered; a cancel: cancelled |
 * | answered: all of it in the batch for the next write | free | free | |
 * | cancelled: its handler is being interrupted | free | taken | the end of its handler |
 *
 * At most one frame is held, and nothing is read behind it. So the cancels of a peer that keeps to `maxInFlight` are
 * read while all places are taken, and one that does not is slowed down. A cancelled request keeps its place, or a peer
 * could have any number of handlers by cancelling them.
 */
export abstract class ServingById<
  In,
  Out,
  Id,
  Head,
  Part extends { readonly id: Id },
  X extends Exchange<Id, A, E>,
  A,
  E,
  R
> extends Serving<In, Out, X, A, E, R> {
  protected readonly inFlight = new Map<Id, X>()
  /** Who has a place, be it in flight or cancelled. */
  protected readonly running = new Set<X>()
  /** What was read of the frame that waits. */
  protected held: Part | undefined = undefined
  private readonly rules: Rules<Out, Id, Head, E>

  constructor(impl: TransportImpl<In, Out>, surroundings: Surroundings<R>, rules: Rules<Out, Id, Head, E>) {
    super(impl, surroundings)
    this.rules = rules
  }

  protected abstract read(frame: In): Part | undefined
  /** What a frame has to be. */
  protected abstract readonly expected: string
  /** False where it has to wait. */
  protected abstract acceptPart(part: Part, frame: In): boolean
  protected abstract start(id: Id, head: Head, hasBody: boolean): void
  /** Says so where the protocol can, and where there is something to be said. */
  protected abstract refuse(id: Id, hasBody: boolean, error: E | undefined): unknown
  protected abstract answer(exchange: X, exit: Exit.Exit<A, E>): void

  protected act(): void {
    this.take()
  }

  protected get unanswered(): number {
    return this.running.size
  }

  protected runs(): Iterable<X> {
    return this.running
  }

  // One more than there are places: it may be a cancel.
  protected get room(): number {
    return this.rules.refuse === undefined ? this.rules.maxInFlight - this.running.size + 1 : maxBatch
  }

  protected accept(frame: In): boolean {
    const part = this.held ?? this.read(frame)
    if (part === undefined) return this.reject(this.expected, frame)
    const accepted = this.acceptPart(part, frame)
    this.held = accepted ? undefined : part
    return accepted
  }

  /** False where it has to wait for a place. */
  protected acceptHead(id: Id, head: Head, hasBody: boolean, frame: In): boolean {
    if (this.isTaken(id)) return this.reject("a request whose id is not in flight", frame)
    const { maxInFlight, refuse } = this.rules
    // Whoever drains begins no request any more, nor one that was held; the bodies of those that were begun still come.
    if (this.isDraining) this.refuse(id, hasBody, refuse?.(head))
    else if (this.running.size < maxInFlight) this.start(id, head, hasBody)
    else if (refuse === undefined) return false
    else this.refuse(id, hasBody, refuse(head))
    return true
  }

  protected isTaken(id: Id): boolean {
    return this.inFlight.has(id)
  }

  /** A request gets a place. */
  protected place(exchange: X, effect: Effect.Effect<A, E, R>): void {
    this.inFlight.set(exchange.id, exchange)
    this.running.add(exchange)
    const exit = isReady(effect) ? effect : this.launch(exchange, effect)
    if (exit !== undefined) this.answer(exchange, exit)
  }

  protected completed(exchange: X, exit: Exit.Exit<A, E>): void {
    if (exchange.isCancelled) this.endCancelled(exchange, exit)
    else this.answer(exchange, exit)
    this.wake(this.running.size > 0)
  }

  /** What is cancelled is over. */
  protected endCancelled(exchange: X, exit: Exit.Exit<unknown, E>): void {
    this.running.delete(exchange)
    // What it comes to is not wanted any more; that it is broken must not go unnoticed.
    if (Exit.isFailure(exit) && Exit.hasDies(exit)) this.fail(Exit.failCause(exit.cause))
  }

  /** Everything was said. */
  protected answered(exchange: X): void {
    this.running.delete(exchange)
    this.release(exchange)
  }

  /** Its id is free. */
  protected release({ id }: X): void {
    this.inFlight.delete(id)
  }

  protected cancel(id: Id): void {
    const exchange = this.inFlight.get(id)
    // It was answered already, or never asked.
    if (exchange === undefined) return
    this.release(exchange)
    exchange.isCancelled = true
    if (this.rules.cancelled !== undefined) this.say(this.rules.cancelled(id))
    this.giveUp(exchange)
  }

  protected giveUp({ fiber }: X): void {
    fiber?.interruptUnsafe()
  }
}
