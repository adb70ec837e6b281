/**
 * The connections of a server: those that were admitted, and those that are being turned away.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type * as Admission from "../admission/model.ts"
import type { Connection } from "../connection/connection.ts"
import type { Progress, Refusal } from "../handshake/progress.ts"
import type { Holding } from "./limits.ts"
import { type Member, Roster } from "./roster.ts"

/** A connection that was taken, be it admitted or refused. */
export interface Taken extends Member {
  /** What is done for it now, and ends when it is interrupted: a fiber, or a connection that closes. */
  doing: { interruptUnsafe(): void } | undefined
  /** Called when it is gone. */
  onGone: (() => void) | undefined
}

/**
 * | phase | from | a deadline or a drain |
 * |---|---|---|
 * | handshake | accept | cuts it off; the peer is told why |
 * | service | the handshake is done | takes no further request, in a drain |
 * | leaving | its fiber has ended | lets it say its last words |
 * | closing | all is said | gives it up, so long after that as a connection may linger |
 */
export type Phase = "handshake" | "service" | "leaving" | "closing"

/** What the admission has said of a connection, or the Effect of what it says. */
export interface Entry {
  readonly ticket: Admission.Admitted | undefined
  readonly deciding: Effect.Effect<Admission.Verdict> | undefined
}

/** A connection that was admitted, from accept to close. */
export interface Admitted extends Taken {
  readonly id: number
  /** When it was accepted, or has begun to close, in milliseconds of the clock. */
  since: number
  /** The limits that held then. */
  readonly limits: Holding
  readonly scope: Scope.Closeable
  progress: Progress
  phase: Phase
  /** Once it is open. */
  connection: Connection | undefined
  /** Whether the scope closes it. */
  isScoped: boolean
  span: Tracer.Span | undefined
  /** Why its handshake was cut off. */
  cutFor: Refusal | undefined
  /** What it counts for. */
  ticket: Admission.Admitted | undefined
  /** Why it does not come in after all: since the admission has answered, or since it was introduced. */
  denied: Admission.Denied | undefined
}

export class Connections {
  readonly admitted = new Roster<Admitted>()
  readonly refused = new Roster<Taken>()
  /** How many of those that were admitted are in their handshake. */
  pending = 0
  private lastId = 0
  // Set while a drain waits for the last connection.
  private onIdle: (() => void) | undefined = undefined

  nextId(): number {
    return ++this.lastId
  }

  /** One of them is gone. */
  released(taken: Taken): void {
    taken.onGone?.()
    if (this.isIdle) this.onIdle?.()
  }

  private get isIdle(): boolean {
    return this.admitted.size === 0 && this.refused.size === 0
  }

  /** Waits until there is none. */
  get idle(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.isIdle) return resume(Effect.void)
      const idle = () => resume(Effect.void)
      this.onIdle = idle
      return Effect.sync(() => {
        this.onIdle = undefined
      })
    })
  }
}
