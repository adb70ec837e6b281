/**
 * The calls of a client that connects again: they go to the connection that there is, and wait in turn where there is none.
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { TransportError, Unavailable } from "../../TransportError.ts"
import type { Live } from "./resending.ts"

type Found<C> = Exit.Exit<Live<C>, TransportError>

export interface Bounds {
  /** How many calls wait at once. */
  readonly maxWaiting: number
  /** How long each of them waits. */
  readonly waitTimeout: Duration.Duration
}

export interface Counts {
  readonly waiting: (by: 1 | -1) => void
}

/**
 * | the client | a call | the calls that wait |
 * |---|---|---|
 * | has a connection | goes to it, behind those that wait | have begun on it, the oldest first |
 * | has none | waits; one too many fails | wait, each for its time |
 * | has stopped | fails | have failed |
 *
 * Who waits for a connection is resumed at once when it is there, and begins its call before anything else happens: so calls
 * go out in the order in which they were made.
 */
export class Waiting<C> {
  private readonly bounds: Bounds
  private readonly counts: Counts
  private readonly fork: <A, E>(effect: Effect.Effect<A, E>) => { readonly interruptUnsafe: () => void }
  private readonly calls = new Set<(found: Found<C>) => void>()
  private current: Live<C> | undefined = undefined
  private stopped: Exit.Exit<never, TransportError> | undefined = undefined
  /** What the last try has failed with, for those who have waited in vain. */
  lastError: unknown = undefined

  constructor(bounds: Bounds, counts: Counts, context: Context.Context<never>) {
    this.bounds = bounds
    this.counts = counts
    this.fork = Effect.runForkWith(context)
  }

  get hasStopped(): boolean {
    return this.stopped !== undefined
  }

  /** The connection is there, unless it has ended by now. */
  ready(live: Live<C>): void {
    if (live.isLost || this.stopped !== undefined) return
    this.current = live
    for (const resume of this.calls) {
      // One of those that have begun may have found its end.
      if (this.current !== live) return
      resume(Exit.succeed(live))
    }
  }

  lost(live: Live<C>): void {
    live.isLost = true
    if (this.current === live) this.current = undefined
  }

  /** There will be no connection any more. The first reason counts. */
  stop(why: Exit.Exit<never, TransportError>): void {
    if (this.stopped !== undefined) return
    this.stopped = why
    this.current = undefined
    for (const resume of this.calls) resume(why)
  }

  /** The connection, when it is there. */
  readonly connection: Effect.Effect<Live<C>, TransportError> = Effect.suspend(() => {
    if (this.stopped !== undefined) return this.stopped
    if (this.current !== undefined && this.calls.size === 0) return Exit.succeed(this.current)
    const { maxWaiting } = this.bounds
    return this.calls.size < maxWaiting
      ? this.wait
      : Effect.fail(this.unavailable("full", `${maxWaiting} calls wait for one, which is as many as may`))
  })

  private readonly wait: Effect.Effect<Live<C>, TransportError> = Effect.callback((resume) => {
    const { waitTimeout } = this.bounds
    const leave = (): boolean => {
      if (!this.calls.delete(found)) return false
      this.counts.waiting(-1)
      return true
    }
    const found = (exit: Found<C>) => {
      leave()
      timer?.interruptUnsafe()
      resume(exit)
    }
    this.calls.add(found)
    this.counts.waiting(1)
    const timer = Duration.isFinite(waitTimeout)
      ? this.fork(Effect.andThen(
        Effect.sleep(waitTimeout),
        Effect.sync(() => {
          if (!leave()) return
          resume(Effect.fail(this.unavailable("waited", `none came within ${Duration.format(waitTimeout)}`)))
        })
      ))
      : undefined
    return Effect.sync(() => {
      leave()
      timer?.interruptUnsafe()
    })
  })

  private unavailable(why: "full" | "waited", detail: string): TransportError {
    const cause = this.lastError === undefined ? {} : { cause: this.lastError }
    return new TransportError({ reason: new Unavailable({ why, detail, ...cause }), sent: "no" })
  }

  /** Does something with the connection. */
  readonly next = <A, E, R>(f: (live: Live<C>) => Effect.Effect<A, E, R>): Effect.Effect<A, E | TransportError, R> =>
    Effect.flatMap(this.connection, f)
}
