/**
 * What happens to the connections of a server, and who hears of it.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Peer from "../../Peer.ts"

/**
 * What happens to the connections of a server.
 *
 * **Details**
 *
 * A connection is `Accepted` and then `Ready`, `Refused` or `Failed`; each that was accepted is `Closed` in the end.
 *
 * - `Refused`: the peer was told no, for what it said or for want of room. A connection that is over the limits is
 *   refused without being accepted.
 * - `Failed`: the handshake failed and the peer was told nothing.
 * - `peer` is whoever is at the other end of the socket until the handshake has introduced somebody (`Handshake.introduce`).
 * - `reason` is the tag of the `HandshakeError`'s reason, or `error` where the handshake failed with an error of its own.
 * - `Closed` carries the error with which the handshake or the service failed, or `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "Accepted"; readonly id: number; readonly peer: Peer.Peer }
  | { readonly _tag: "Ready"; readonly id: number; readonly peer: Peer.Peer }
  | {
    readonly _tag: "Refused"
    readonly id: number
    readonly peer: Peer.Peer
    readonly reason: string
    readonly error: unknown
  }
  | {
    readonly _tag: "Failed"
    readonly id: number
    readonly peer: Peer.Peer
    readonly reason: string
    readonly error: unknown
  }
  | { readonly _tag: "Closed"; readonly id: number; readonly peer: Peer.Peer; readonly error: unknown }

/** How many events a subscriber may fall behind before it misses the oldest. */
const maxBehind = 1024

export class Events {
  private readonly subscribers = new Set<Queue.Queue<Event, Cause.Done>>()
  private hasEnded = false

  /** Whether somebody hears of them: to make an event for nobody costs something. */
  get isHeard(): boolean {
    return this.subscribers.size > 0
  }

  emit(event: Event): void {
    for (const subscriber of this.subscribers) Queue.offerUnsafe(subscriber, event)
  }

  /** All further events. `begin` is called for each subscriber. */
  stream(begin: () => void): Stream.Stream<Event> {
    const subscribed: Effect.Effect<Stream.Stream<Event>, never, Scope.Scope> = Effect.map(
      Effect.acquireRelease(
        Effect.tap(Queue.sliding<Event, Cause.Done>(maxBehind), (subscriber) =>
          Effect.sync(() => {
            this.subscribers.add(subscriber)
            begin()
          })),
        (subscriber) => Effect.sync(() => this.subscribers.delete(subscriber))
      ),
      Stream.fromQueue
    )
    // Who comes after the end would wait for it.
    return Stream.suspend(() => this.hasEnded ? Stream.empty : Stream.unwrap(subscribed))
  }

  end(): void {
    this.hasEnded = true
    for (const subscriber of this.subscribers) Queue.endUnsafe(subscriber)
  }
}
