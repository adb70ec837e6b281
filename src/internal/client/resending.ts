/**
 * Calls that are made again where that does no harm, on another connection than the one that has ended under them.
 *
 * When something fails that was done with a connection:
 *
 * | with | the connection | idempotent | then |
 * |---|---|---|---|
 * | an error of its own | | | it has failed |
 * | a `TransportError` | is there still | | it has failed |
 * | one that says that it was not sent | has ended | | it is made again on the next one |
 * | any other | has ended | yes | it is made again on the next one |
 * | any other | has ended | no | it has failed |
 *
 * What has failed was perhaps sent if any of its tries was.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import { isTransportError, type Sent, TransportError } from "../../TransportError.ts"

/** A connection that is made and set up. */
export interface Live<out C> {
  readonly client: C
  /** Whether it has ended. */
  isLost: boolean
}

export interface Options<L> {
  /** How often a call is made again. */
  readonly maxResends: number
  /** Does something with the next connection. Where there is none it fails with what was not sent. */
  readonly next: <A, E, R>(f: (live: L) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | TransportError, R>
  /** Whether there will be no connection any more. */
  readonly hasStopped: () => boolean
  readonly counts: {
    readonly resent: () => void
    readonly failed: (sent: Sent) => void
  }
}

/** Does something with the client of a connection, and again as the table says. */
export type Use<out C> = <A, E, R>(
  f: (client: C) => Effect.Effect<A, E, R>,
  isIdempotent: () => boolean
) => Effect.Effect<A, E | TransportError, R>

export const make = <C, L extends Live<C>>({ counts, hasStopped, maxResends, next }: Options<L>): Use<C> => {
  const failing = (error: TransportError, sent: Sent): TransportError => {
    counts.failed(sent)
    return error.sent === sent ? error : new TransportError({ reason: error.reason, sent })
  }
  return <A, E, R>(f: (client: C) => Effect.Effect<A, E, R>, isIdempotent: () => boolean) => {
    const attempt = (left: number, sent: Sent): Effect.Effect<A, E | TransportError, R> => {
      let used: L | undefined
      const once = next((live) => {
        used = live
        return f(live.client)
      })
      return Effect.catch(once, (error) => {
        if (!isTransportError(error)) return Effect.fail(error)
        const worst = sent === "no" && error.sent === "no" ? "no" : "perhaps"
        const isAgain = used?.isLost === true && left > 0 && !hasStopped() && (error.sent === "no" || isIdempotent())
        if (!isAgain) return Effect.fail(failing(error, worst))
        counts.resent()
        return attempt(left - 1, worst)
      })
    }
    return Effect.suspend(() => attempt(maxResends, "no"))
  }
}
