/**
 * Runs an Effect in a time of its own: all of its fibers on one queue, and a clock that moves when nobody has anything
 * left to do. Nothing in it waits for the wall clock, and the same program runs the same way each time.
 *
 * | there are | what happens |
 * |---|---|
 * | tasks | they run, in the order in which they came |
 * | no tasks, but sleepers | the clock moves to the earliest of them |
 * | neither | nothing can happen any more: the run ends, whether its effect has ended or not |
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"
import { withoutStacks } from "./stackless.ts"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

const never = () => () => {}

/** Does something later, without a fiber that would wait for it; what it returns sees to it that it is not done. */
export interface Timers {
  readonly after: (millis: number, act: () => void) => () => void
}

export const CurrentTimers = Context.Reference<Timers>("effect-handshake/testing/CurrentTimers", {
  defaultValue: () => ({
    after: (millis, act) => {
      const timer = setTimeout(act, millis)
      return () => clearTimeout(timer)
    }
  })
})

export class Simulation {
  private now = 0
  // By time, then by age.
  private sleepers: Array<Sleeper> = []
  private readonly scheduler = new Scheduler.MixedScheduler("sync", never)
  private readonly dispatcher = this.scheduler.makeDispatcher()

  readonly timers: Timers = {
    after: (millis, wake) => {
      const sleeper = { at: this.now + millis, wake }
      let index = this.sleepers.length
      while (index > 0 && this.sleepers[index - 1].at > sleeper.at) index--
      this.sleepers.splice(index, 0, sleeper)
      return () => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      }
    }
  }

  private sleep(millis: number): Effect.Effect<void> {
    return Effect.callback((resume) => Effect.sync(this.timers.after(millis, () => resume(Effect.void))))
  }

  readonly clock: Clock.Clock = (() => {
    const millis = () => this.now
    const nanos = () => BigInt(Math.round(this.now * 1e6))
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => Duration.toMillis(duration) <= 0 ? Effect.yieldNow : this.sleep(Duration.toMillis(duration))
    }
  })()

  /** Moves the clock to the earliest sleepers and wakes them; false where nobody sleeps. */
  private advance(): boolean {
    if (this.sleepers.length === 0) return false
    this.now = this.sleepers[0].at
    while (this.sleepers.length > 0 && this.sleepers[0].at <= this.now) this.sleepers.shift()!.wake()
    return true
  }

  /**
   * Runs an effect until it ends or nothing can happen any more. `breathe` is what it waits for, outside of its own time,
   * before it takes the fibers to be waiting for the clock: for effects that wait for promises too. Without it the run is
   * synchronous.
   */
  run<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    breathe: Effect.Effect<void> | undefined
  ): Effect.Effect<Exit.Exit<A, E> | undefined, never, R> {
    return Effect.contextWith((context: Context.Context<R>) => {
      const { scheduler } = this
      const run = Effect.runForkWith(
        context.pipe(
          Context.add(Clock.Clock, this.clock),
          Context.add(CurrentTimers, this.timers),
          Context.add(Scheduler.Scheduler, {
            executionMode: "sync",
            shouldYield: (fiber) => scheduler.shouldYield(fiber),
            makeDispatcher: () => this.dispatcher
          })
        )
      )
      const fiber = withoutStacks(() => run(effect))
      const isDone = () => fiber.pollUnsafe() !== undefined
      const ended = () => Effect.succeed(fiber.pollUnsafe())
      const step: Effect.Effect<Exit.Exit<A, E> | undefined> = Effect.suspend(() => {
        withoutStacks(() => {
          this.dispatcher.flush()
          if (breathe === undefined) { while (!isDone() && this.advance()) this.dispatcher.flush() }
        })
        if (breathe === undefined || isDone()) return ended()
        return Effect.flatMap(breathe, () => {
          const goesOn = withoutStacks(() => {
            this.dispatcher.flush()
            return !isDone() && this.advance()
          })
          return goesOn ? step : ended()
        })
      })
      return Effect.onInterrupt(step, () => Effect.sync(() => fiber.interruptUnsafe()))
    })
  }
}
