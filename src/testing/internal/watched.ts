/**
 * Something that may run on the events of its connection, watched: it goes on to do so, as in production.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Connection } from "../../internal/connection/connection.ts"
import { type OnEvent, OnEvents, type Surroundings } from "../../internal/connection/onEvents.ts"

/** Who watches it once. */
export interface Watch<A, E, B, E2, R2, On> {
  /** What it runs in, in the place of what is there. */
  readonly surroundings?: ((on: On) => On) | undefined
  /** Called with how it ends, however that is. */
  readonly onExit: (exit: Exit.Exit<A, E>) => void
  /** What is done behind it, unless it was interrupted. */
  readonly behind: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R2>
}

class Watched<A, E, R, B, E2, R2, On extends Surroundings<R2>> extends OnEvents<B, E | E2, R | R2, On> {
  private readonly self: OnEvents<A, E, R, On>
  private readonly begin: () => Watch<A, E, B, E2, R2, On>

  constructor(self: OnEvents<A, E, R, On>, begin: () => Watch<A, E, B, E2, R2, On>) {
    super()
    this.self = self
    this.begin = begin
  }

  asEffect(): Effect.Effect<B, E | E2, R | R2> {
    return inFiber(this.self, this.begin)
  }

  on(given: On, connection: Connection): OnEvent<B, E | E2> {
    const { behind, onExit, surroundings } = this.begin()
    const doing = this.self.on(surroundings === undefined ? given : surroundings(given), connection)
    let fiber: Fiber.Fiber<B, E2> | undefined
    return {
      begin: (listener) =>
        doing.begin({
          done: (exit) => {
            onExit(exit)
            if (Exit.isFailure(exit) && Exit.hasInterrupts(exit)) return listener.done(Exit.failCause(exit.cause))
            fiber = Effect.runForkWith(given.context)(behind(exit))
            fiber.addObserver((exit) => listener.done(exit))
          }
        }),
      interruptUnsafe: () => (fiber ?? doing).interruptUnsafe()
    }
  }
}

const inFiber = <A, E, R, B, E2, R2, On>(
  self: Effect.Effect<A, E, R>,
  begin: () => Watch<A, E, B, E2, R2, On>
): Effect.Effect<B, E2, R | R2> =>
  Effect.suspend(() => {
    const { behind, onExit } = begin()
    const watched = Effect.onExit(self, (exit) => Effect.sync(() => onExit(exit)))
    return Effect.flatMap(Effect.exit(watched), behind)
  })

export const watched = <A, E, R, B, E2, R2, On extends Surroundings<R2>>(
  self: Effect.Effect<A, E, R>,
  begin: () => Watch<A, E, B, E2, R2, On>
): Effect.Effect<B, E | E2, R | R2> =>
  self instanceof OnEvents ? new Watched(self as OnEvents<A, E, R, On>, begin) : inFiber(self, begin)
