/**
 * What takes no longer than a time. It has a fiber of its own, which is interrupted then, and shares its timer with all others that wait.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Alarm from "./alarm.ts"

/**
 * Runs it for so many milliseconds at most. If it is not done by then, it is interrupted, and `late` goes on when that is over.
 */
export const inTime = <A, E, R, A2, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  millis: number,
  late: () => Effect.Effect<A2, E2, R2>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Effect.callback<A | A2, E | E2, R2>((resume) => {
      const fiber = Effect.runForkWith(context)(effect)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      let isLate = false
      const timer = Alarm.after(context, millis, () => {
        isLate = true
        fiber.interruptUnsafe()
      })
      fiber.addObserver((exit) => {
        timer.clear()
        resume(isLate ? Effect.suspend(late) : exit)
      })
      return Effect.suspend(() => {
        timer.clear()
        return Fiber.interrupt(fiber)
      })
    })
  )
