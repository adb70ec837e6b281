/**
 * The service of one transport as an Effect, which a server's runtime runs without a fiber.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { TransportError } from "../../TransportError.ts"
import { type OnEvent, OnEvents, type Surroundings } from "../connection/onEvents.ts"
import type { Serving } from "./serving.ts"

export class Served<E, R> extends OnEvents<void, E | TransportError, R, Surroundings<R>> {
  private readonly make: (surroundings: Surroundings<R>) => Serving<any, any, any, any, E, R>

  constructor(make: (surroundings: Surroundings<R>) => Serving<any, any, any, any, E, R>) {
    super()
    this.make = make
  }

  asEffect(): Effect.Effect<void, E | TransportError, R> {
    return Effect.contextWith((context: Context.Context<R>) => this.make({ context }).run())
  }

  on(surroundings: Surroundings<R>): OnEvent<void, E | TransportError> {
    return this.make(surroundings)
  }
}
