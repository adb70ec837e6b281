/**
 * Who is woken when: one sleeper for all that wait by the same clock, which wakes for the one that is due first. A connection whose
 * middleware looks at the time costs neither a fiber nor a timer.
 *
 * Those that wait are a binary heap by the time at which they are due, so that each step costs no more than its depth.
 *
 * | | the sleeper |
 * |---|---|
 * | nobody waits | there is none |
 * | somebody is due before it wakes | sleeps anew, for that one |
 * | the one it sleeps for waits no more | wakes in vain, and sleeps for the next one |
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as Monotonic from "./monotonic.ts"

/** Somebody who waits, or may. Times are in milliseconds of the clock. */
export interface Waiting {
  due: number
  /** Its place in the heap, which is the alarm's business. -1 for one that does not wait. */
  place: number
  /** Called when it is due. It does not throw. */
  wake(): void
}

export class Alarm {
  private readonly heap: Array<Waiting> = []
  private readonly now: () => number
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private sleeper: Fiber.Fiber<void> | undefined = undefined
  private wakesAt = Infinity
  private isStriking = false

  constructor(options: {
    /** In milliseconds of the clock. */
    readonly now: () => number
    readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  }) {
    this.now = options.now
    this.fork = options.fork
  }

  get size(): number {
    return this.heap.length
  }

  /** It is woken then, and not when it was to be before. `Infinity`: not at all. */
  set(waiting: Waiting, due: number): void {
    if (due === Infinity) return this.clear(waiting)
    waiting.due = due
    if (waiting.place < 0) {
      waiting.place = this.heap.length
      this.heap.push(waiting)
    }
    this.settle(waiting)
    this.sleepUntil(this.heap[0].due)
  }

  /** It waits no more. */
  clear(waiting: Waiting): void {
    if (waiting.place < 0) return
    this.remove(waiting)
    if (this.heap.length > 0) return
    this.sleeper?.interruptUnsafe()
    this.sleeper = undefined
    this.wakesAt = Infinity
  }

  private strike(): void {
    this.sleeper = undefined
    this.wakesAt = Infinity
    const now = this.now()
    this.isStriking = true
    // Who is woken may wait again, and even if that is for no time at all, others have their turn before.
    const due: Array<Waiting> = []
    for (let [first] = this.heap; first !== undefined && first.due - now < Monotonic.tick; [first] = this.heap) {
      this.remove(first)
      due.push(first)
    }
    for (const waiting of due) waiting.wake()
    this.isStriking = false
    if (this.heap.length > 0) this.sleepUntil(this.heap[0].due)
  }

  private sleepUntil(due: number): void {
    if (this.isStriking || this.wakesAt <= due) return
    this.sleeper?.interruptUnsafe()
    this.wakesAt = due
    const asleep = Effect.sleep(Monotonic.until(due, this.now()))
    this.sleeper = this.fork(Effect.andThen(asleep, Effect.sync(() => this.strike())))
  }

  private remove(waiting: Waiting): void {
    const { place } = waiting
    waiting.place = -1
    const last = this.heap.pop()! // it has a place, so there is one
    if (last === waiting) return
    this.heap[place] = last
    last.place = place
    this.settle(last)
  }

  /** Moves it to where none above is due later, and none below before it. */
  private settle(waiting: Waiting): void {
    const { heap } = this
    let { place } = waiting
    while (place > 0) {
      const above = heap[(place - 1) >> 1]
      if (above.due <= waiting.due) break
      heap[place] = above
      const next = above.place
      above.place = place
      place = next
    }
    for (;;) {
      const left = 2 * place + 1
      if (left >= heap.length) break
      const below = left + 1 < heap.length && heap[left + 1].due < heap[left].due ? heap[left + 1] : heap[left]
      if (waiting.due <= below.due) break
      heap[place] = below
      const next = below.place
      below.place = place
      place = next
    }
    heap[place] = waiting
    waiting.place = place
  }
}

/** Something that happens once, unless it is cleared before. */
class Timer implements Waiting {
  due = Infinity
  place = -1
  readonly wake: () => void
  private readonly alarm: Alarm

  constructor(alarm: Alarm, wake: () => void) {
    this.alarm = alarm
    this.wake = wake
  }

  clear(): void {
    this.alarm.clear(this)
  }
}

/** Calls back so many milliseconds from now, unless it is cleared before. `wake` must not throw. */
export const after = (context: Context.Context<never>, millis: number, wake: () => void): { clear(): void } => {
  const alarm = of(context)
  const timer = new Timer(alarm, wake)
  alarm.set(timer, Monotonic.millisOf(Context.get(context, Clock.Clock)) + millis)
  return timer
}

const alarms = new WeakMap<Clock.Clock, Alarm>()

/** The alarm of the clock of a context. Of that context it keeps the clock and the scheduler alone. */
export const of = (context: Context.Context<never>): Alarm => {
  const clock = Context.get(context, Clock.Clock)
  const known = alarms.get(clock)
  if (known !== undefined) return known
  const fork = Effect.runForkWith(
    Context.make(Clock.Clock, clock).pipe(
      Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler))
    )
  )
  const alarm = new Alarm({ now: () => Monotonic.millisOf(clock), fork })
  alarms.set(clock, alarm)
  return alarm
}
