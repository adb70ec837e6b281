/**
 * Calls that are answered in any order: each one has an id.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import type { TransportImpl } from "../connection/transport.ts"
import { Calls, type Ended } from "./calls.ts"
import { LateIds } from "./ids.ts"

interface CallWithId<Id> {
  /** Once it has a place. */
  id: Id | undefined
  readonly settle: (end: Ended) => void
}

/**
 * An id is taken while its call is in flight, and while it is late: given up with a cancel that nothing answers, so that
 * an answer may still be on its way.
 */
export abstract class CallsById<In, Out, Id, C extends CallWithId<Id>> extends Calls<In, Out, C> {
  protected readonly inFlight = new Map<Id, C>()
  protected readonly late = new LateIds<Id>()
  /** The one for the call that is being encoded. */
  protected freeId!: Id
  private lastId: Id | undefined = undefined
  private readonly nextId: (last: Id | undefined) => Id

  constructor(
    impl: TransportImpl<In, Out>,
    context: Context.Context<never>,
    maxInFlight: number,
    nextId: (last: Id | undefined) => Id
  ) {
    super(impl, context, maxInFlight)
    this.nextId = nextId
  }

  protected get placed(): number {
    return this.inFlight.size
  }

  protected leave(): Iterable<C> {
    const calls = [...this.inFlight.values()]
    this.inFlight.clear()
    return calls
  }

  protected override stopped(_end: Ended): void {
    this.late.clear()
  }

  protected override prepare(): void {
    let id = this.lastId
    // One more than are taken: among so many different ones a free one is found.
    for (let tries = this.inFlight.size + this.late.size; tries >= 0; tries--) {
      id = this.nextId(id)
      if (!this.inFlight.has(id) && !this.late.has(id)) {
        this.freeId = id
        return
      }
    }
    throw new Error("the nextId of a multiplexed protocol must come to more ids than are taken")
  }

  protected begun(call: C): void {
    this.lastId = call.id = this.freeId
    this.inFlight.set(this.freeId, call)
  }

  /** Nothing has to answer it any more; what does is dropped. */
  protected leaveLate(id: Id): void {
    this.inFlight.delete(id)
    this.late.add(id)
  }
}
