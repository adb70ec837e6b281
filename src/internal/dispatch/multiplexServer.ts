/**
 * The server's half of `Multiplex`: one transport that is served.
 *
 * @internal
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { isReady, type Surroundings } from "../connection/onEvents.ts"
import type { TransportImpl } from "../connection/transport.ts"
import type * as Multiplex from "./multiplexFrames.ts"
import { type Exchange, type Rules, ServingById } from "./servingById.ts"

/** The frames of a protocol, and how it says that a request has failed. */
export type Frames<In, Out, Id, Request, Response, E> = Multiplex.ServerFrames<In, Out, Id, Request, Response> & {
  readonly failure?: ((id: Id, error: E) => Out) | undefined
}

export interface Service<In, Out, Id, Request, Response, E, R> {
  readonly frames: Frames<In, Out, Id, Request, Response, E>
  readonly handler: (request: Request) => Effect.Effect<Response, E, R>
  readonly rules: Rules<Out, Id, Request, E>
  readonly goodbye: Out | undefined
}

export class MultiplexServing<In, Out, Id, Request, Response, E, R> extends ServingById<
  In,
  Out,
  Id,
  Request,
  Multiplex.FromClient<Id, Request>,
  Exchange<Id, Response, E>,
  Response,
  E,
  R
> {
  protected readonly service: Service<In, Out, Id, Request, Response, E, R>
  protected readonly expected = "a request"

  constructor(
    impl: TransportImpl<In, Out>,
    service: Service<In, Out, Id, Request, Response, E, R>,
    surroundings: Surroundings<R>
  ) {
    super(impl, surroundings, service.rules)
    this.service = service
  }

  protected read(frame: In): Multiplex.FromClient<Id, Request> | undefined {
    return this.service.frames.fromClient(frame)
  }

  protected acceptPart(part: Multiplex.FromClient<Id, Request>, frame: In): boolean {
    if (part._tag === "Request") return this.acceptHead(part.id, part.body, false, frame)
    this.cancel(part.id)
    return true
  }

  protected start(id: Id, request: Request): void {
    const effect = this.handle(this.service.handler, request)
    // Nothing has to be kept of one that is answered at once.
    if (isReady(effect)) this.answerWith(id, effect)
    else this.place({ id, fiber: undefined, isCancelled: false }, effect)
  }

  protected refuse(id: Id, _hasBody: boolean, error: E | undefined): void {
    const { failure } = this.service.frames
    if (failure !== undefined && error !== undefined) this.say(failure(id, error))
  }

  protected answer(exchange: Exchange<Id, Response, E>, exit: Exit.Exit<Response, E>): void {
    this.answered(exchange)
    this.answerWith(exchange.id, exit)
  }

  private answerWith(id: Id, exit: Exit.Exit<Response, E>): void {
    const { failure, response } = this.service.frames
    if (Exit.isSuccess(exit)) return this.say(response(id, exit.value))
    const error = this.toTell(exit.cause, failure !== undefined)
    if (failure !== undefined && Option.isSome(error)) this.say(failure(id, error.value))
  }
}
