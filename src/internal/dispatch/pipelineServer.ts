/**
 * The server's half of `Pipeline`: one transport that is served.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { isReady, type Surroundings } from "../connection/onEvents.ts"
import type { TransportImpl } from "../connection/transport.ts"
import { ServingByPlace, type Slot } from "./servingByPlace.ts"

/** What all connections of a service have in common. */
export interface Service<In, Out, E, R> {
  readonly handler: (request: In) => Effect.Effect<Out, E, R>
  readonly maxInFlight: number
  /** How the protocol says that a request has failed, where it can. */
  readonly failure: ((error: E, request: In) => Out) | undefined
  readonly goodbye: Out | undefined
}

interface RequestSlot<In, Out, E> extends Slot<Out, E, RequestSlot<In, Out, E>> {
  readonly request: In
}

export class PipelineServing<In, Out, E, R> extends ServingByPlace<In, Out, RequestSlot<In, Out, E>, Out, E, R> {
  protected readonly service: Service<In, Out, E, R>

  constructor(impl: TransportImpl<In, Out>, service: Service<In, Out, E, R>, surroundings: Surroundings<R>) {
    super(impl, surroundings)
    this.service = service
  }

  protected accept(request: In): true {
    // What was taken together with others, and waited.
    if (this.isDraining) return true
    const effect = this.handle(this.service.handler, request)
    // Nothing has to be kept of one that is answered at once.
    if (this.unanswered === 0 && isReady(effect)) this.answerWith(request, effect)
    else this.place({ request, fiber: undefined, exit: undefined, next: undefined }, effect)
    return true
  }

  protected respond({ request }: RequestSlot<In, Out, E>, exit: Exit.Exit<Out, E>): true {
    this.answerWith(request, exit)
    return true
  }

  private answerWith(request: In, exit: Exit.Exit<Out, E>): void {
    if (Exit.isSuccess(exit)) return this.say(exit.value)
    const { failure } = this.service
    const error = this.toTell(exit.cause, failure !== undefined)
    if (failure !== undefined && Option.isSome(error)) this.say(failure(error.value, request))
  }
}
