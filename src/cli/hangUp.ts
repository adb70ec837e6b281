/**
 * SIGHUP: files are read again.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Runs something at each SIGHUP, as long as the scope lives. Without anybody who does, the signal ends the process. */
export const onHangUp = <R>(again: Effect.Effect<void, never, R>): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.flatMap(Effect.context<R>(), (context) => {
    const run = Effect.runForkWith(context)
    const listener = () => {
      run(again)
    }
    return Effect.acquireRelease(
      Effect.sync(() => {
        process.on("SIGHUP", listener)
      }),
      () => Effect.sync(() => process.off("SIGHUP", listener))
    )
  })
