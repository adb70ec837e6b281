/**
 * Who comes in, and that nobody does any more: caps, the admission, and the drain.
 *
 * | | a new connection | one in its handshake | one in service |
 * |---|---|---|---|
 * | open, with room | admitted | | |
 * | open, at a cap | refused: `capacity` | | |
 * | open, the admission denies it | refused: `capacity` or `rate`; or closed, and no fiber is made | | |
 * | open, the admission denies whom its handshake introduces | | cut off: `capacity` or `rate` | closed |
 * | open, the admission has to wait | its handshake begins, or it is refused, when that has answered | | |
 * | draining | refused: `draining` | cut off: `draining` | answers what it has taken |
 * | after `drainTimeout` | nobody listens | interrupted | interrupted |
 *
 * @internal
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Socket from "effect/socket/Socket"
import type * as Peer from "../../Peer.ts"
import type { Verdict } from "../admission/model.ts"
import type { Incoming } from "../connection/source.ts"
import type { Admitted, Connections, Entry, Taken } from "./connections.ts"
import type { Events } from "./events.ts"
import type { Lifecycle } from "./lifecycle.ts"
import type { Holding } from "./limits.ts"
import { peerOf, type Refusing } from "./refusing.ts"

/** What becomes of those who come in. */
type Admitting = Pick<Lifecycle<unknown, unknown, unknown>, "admit" | "evict" | "drain" | "deadlines">

/** Decides on each connection: `Admission` of the package. */
export interface Admission {
  readonly admit: (peer: Peer.Peer, onLost: () => void) => Verdict | Effect.Effect<Verdict>
}

/** Who comes in where nobody decides on it. */
const unasked: Entry = { ticket: undefined, deciding: undefined }

export class Entrance {
  private readonly connections: Connections
  private readonly events: Events
  private readonly lifecycle: Admitting
  private readonly refusing: Refusing
  private readonly admission: Admission | undefined
  private readonly limits: () => Holding
  private readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  private readonly drained = Deferred.makeUnsafe<void>()
  private isDraining = false

  constructor(options: {
    readonly connections: Connections
    readonly events: Events
    readonly lifecycle: Admitting
    readonly refusing: Refusing
    readonly admission: Admission | undefined
    readonly limits: () => Holding
    readonly fork: <A>(effect: Effect.Effect<A>) => Fiber.Fiber<A>
  }) {
    this.connections = options.connections
    this.events = options.events
    this.lifecycle = options.lifecycle
    this.refusing = options.refusing
    this.admission = options.admission
    this.limits = options.limits
    this.fork = options.fork
  }

  take(socket: Incoming, context: Context.Context<never>): Taken {
    if (this.isDraining) return this.refusing.refuse(socket, context, "draining")
    const { admitted, pending } = this.connections
    const { maxConnections, maxPendingHandshakes } = this.limits()
    if (admitted.size >= maxConnections || pending >= maxPendingHandshakes) {
      return this.refusing.refuse(socket, context, "capacity")
    }
    return this.admission === undefined
      ? this.lifecycle.admit(socket, context, unasked)
      : this.ask(this.admission, socket, context)
  }

  private ask(admission: Admission, socket: Incoming, context: Context.Context<never>): Taken {
    let taken: Admitted | undefined
    const verdict = admission.admit(peerOf(socket, context), () => {
      if (taken !== undefined) this.lifecycle.evict(taken)
    })
    if (Effect.isEffect(verdict)) {
      return taken = this.lifecycle.admit(socket, context, { ticket: undefined, deciding: verdict })
    }
    if (verdict._tag === "Denied") return this.refusing.deny(socket, context, verdict)
    return taken = this.lifecycle.admit(socket, context, { ticket: verdict, deciding: undefined })
  }

  /** The same for a socket server that is told of the end of a connection by the end of its handler. */
  handle(socket: Socket.Socket): Effect.Effect<void> {
    return Effect.contextWith((context: Context.Context<never>) =>
      Effect.callback<void>((resume) => {
        const taken = this.take(socket, context)
        if (taken.place < 0) return resume(Effect.void)
        const gone = () => resume(Effect.void)
        taken.onGone = gone
        return Effect.callback<void>((resume) => {
          if (taken.place < 0) return resume(Effect.void)
          const gone = () => resume(Effect.void)
          taken.onGone = gone
          taken.doing?.interruptUnsafe()
        })
      })
    )
  }

  get awaitDrained(): Effect.Effect<void> {
    return Deferred.await(this.drained)
  }

  /**
   * Drains once, however often it is asked for, and waits until that is done. In a fiber of its own: whoever asks for it may be a
   * handler, and so one of those it waits for.
   */
  drain(listening: { readonly stop: Effect.Effect<void>; readonly end: Effect.Effect<void> }): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.isDraining) {
        this.isDraining = true
        this.fork(this.drainNow(listening))
      }
      return this.awaitDrained
    })
  }

  private readonly drainNow = Effect.fnUntraced(
    function*(this: Entrance, listening: { readonly stop: Effect.Effect<void>; readonly end: Effect.Effect<void> }) {
      const { admitted, idle, refused } = this.connections
      yield* listening.stop
      this.lifecycle.drain()
      this.refusing.hurry()
      yield* Effect.timeoutOption(idle, this.limits().drainTimeout)
      yield* listening.end
      for (const { doing } of [...admitted, ...refused]) doing?.interruptUnsafe()
      yield* idle
      this.lifecycle.deadlines.stop()
      this.events.end()
      yield* Deferred.succeed(this.drained, undefined)
    }
  )
}
