/**
 * Answers in the order of the requests: each one keeps its place until its own answer has gone out.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { isReady } from "../connection/onEvents.ts"
import { InOrder } from "./inOrder.ts"
import { type Running, Serving } from "./serving.ts"

const none: ReadonlyArray<never> = []

/** A request that has a place: its handler runs, or an answer before it is not there yet. */
export interface Slot<A, E, Self> extends Running<A, E> {
  /** Undefined for as long as its handler runs. */
  exit: Exit.Exit<A, E> | undefined
  /** The request that came after it. */
  next: Self | undefined
}

export abstract class ServingByPlace<In, Out, S extends Slot<A, E, S>, A, E, R> extends Serving<In, Out, S, A, E, R> {
  protected abstract override readonly service: { readonly goodbye: Out | undefined; readonly maxInFlight: number }
  /** The requests that have a place. Made for the first one that has to wait. */
  private slots: InOrder<S> | undefined = undefined
  /** How many handlers run. */
  private running = 0

  /** Answers the first request. False where something of its answer is still to come. */
  protected abstract respond(slot: S, exit: Exit.Exit<A, E>): boolean
  /** Its handler is done. */
  protected concluded(_slot: S, _exit: Exit.Exit<A, E>): void {}

  protected act(): void {
    this.answer()
    this.take()
  }

  /** How many requests there is a place for. */
  protected get places(): number {
    return this.service.maxInFlight - this.unanswered
  }

  protected get room(): number {
    return this.places
  }

  protected get unanswered(): number {
    return this.slots === undefined ? 0 : this.slots.size
  }

  /** The request that is answered next. */
  protected get first(): S | undefined {
    return this.slots?.first
  }

  /** The one that has come last. */
  protected get last(): S | undefined {
    return this.slots?.last
  }

  protected runs(): Iterable<S> {
    return this.slots ?? none
  }

  protected override interrupt(slot: S): Effect.Effect<unknown> | undefined {
    return slot.exit === undefined ? super.interrupt(slot) : undefined
  }

  /** A request gets the place that is next. */
  protected place(slot: S, effect: Effect.Effect<A, E, R>): void {
    slot.exit = isReady(effect) ? effect : this.launch(slot, effect)
    if (this.isOver) return
    this.slots ??= new InOrder()
    this.slots.add(slot)
    if (slot.exit === undefined) {
      this.running++
      return
    }
    this.concluded(slot, slot.exit)
    if (this.first === slot) this.answer()
  }

  protected completed(slot: S, exit: Exit.Exit<A, E>): void {
    slot.exit = exit
    this.running--
    this.concluded(slot, exit)
    if (this.first === slot) this.wake(this.running > 0)
  }

  /** Answers the requests that are next. */
  private answer(): void {
    const { slots } = this
    while (slots?.first?.exit !== undefined && this.failure === undefined && !this.isOver) {
      if (!this.respond(slots.first, slots.first.exit)) return
      slots.shift()
    }
  }
}
