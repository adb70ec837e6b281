/**
 * What needs no fiber for as long as it waits for nothing but its connection. It is an Effect like any other; a runtime that would
 * fork a fiber for it can let it run on the connection's own events instead, to the same end. A fiber that waits weighs more
 * than all that is known of its connection.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Exit from "effect/Exit"
import type { Connection } from "./connection.ts"

/** What goes on until it is done, or is interrupted. */
export interface Doing {
  /** Ends it as an interruption ends a fiber. Whoever has ended already does not notice. */
  interruptUnsafe(): void
}

/** Who is told how something has ended. An object, for what a connection has for as long as it is idle has no function of its own. */
export interface Listener<in A, in E> {
  done(exit: Exit.Exit<A, E>): void
}

/** It does nothing before it begins, so that whoever begins it can have it interrupted from then on. */
export interface OnEvent<A, E> extends Doing {
  /** Tells its listener once, at once or later, when all of it is over. It must not throw. */
  begin(listener: Listener<A, E>): void
}

/** Where something runs. Its context is made when it is asked for: most of what runs on events never does. */
export interface Surroundings<in R> {
  readonly context: Context.Context<R>
}

export abstract class OnEvents<A, E, R, in On> extends Effectable.Class<A, E, R> {
  /** Throws where it cannot even be made. */
  abstract on(surroundings: On, connection: Connection): OnEvent<A, E>
}

/**
 * Whether an Effect is its own result. `Exit.isExit`, which sees values of every shape, costs several times as much as one place that sees few
 * shapes.
 */
export const isReady = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> =>
  (effect as Partial<Exit.Exit<A, E>>)["~effect/Exit"] !== undefined
