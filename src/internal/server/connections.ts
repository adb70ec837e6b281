/**
 * The connections of a server: those that were admitted, and those that are being turned away.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type * as Admission from "../admission/model.ts"
import type { Connection } from "../connection/connection.ts"
import type { Doing, Listener, OnEvents, Surroundings } from "../connection/onEvents.ts"
import * as Progress from "../handshake/progress.ts"
import type { Holding } from "./limits.ts"
import { type Member, Roster } from "./roster.ts"

/** A connection that was taken, be it admitted or refused. */
export interface Taken extends Member {
  /** What is done for it now, and ends when it is interrupted: a fiber, what runs on its events, or that it closes. */
  doing: Doing | undefined
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

/** What a connection is served by that needs no fiber. */
export type Service = OnEvents<unknown, unknown, never, Surroundings<never>>

/** Who goes on with a connection when what has run on its events is over. */
export interface Following {
  done(state: Admitted, exit: Exit.Exit<unknown, unknown>): void
}

/** A connection that was admitted, from accept to close. */
export class Admitted implements Taken, Surroundings<Scope.Scope>, Listener<unknown, unknown> {
  readonly id: number
  /** When it was accepted, or has begun to close, in milliseconds of the clock. */
  since: number
  /** The limits that held then. */
  readonly limits: Holding
  /** Once somebody has asked for it. */
  scope: Scope.Closeable | undefined = undefined
  progress: Progress.Progress
  phase: Phase = "handshake"
  /** Once it is open. */
  connection: Connection | undefined = undefined
  /** Whether the scope closes it. */
  isScoped = false
  span: Tracer.Span | undefined = undefined
  /** Why its handshake was cut off. */
  cutFor: Progress.Refusal | undefined = undefined
  /** What it counts for. */
  ticket: Admission.Admitted | undefined
  /** Why it does not come in after all: since the admission has answered, or since it was introduced. */
  denied: Admission.Denied | undefined = undefined
  doing: Doing | undefined = undefined
  /** What begins when the fiber of its handshake has ended. */
  service: Service | undefined = undefined
  onGone: (() => void) | undefined = undefined
  place = -1
  readonly ofServer: Context.Context<never>
  private readonly following: Following
  private known: Context.Context<Scope.Scope> | undefined = undefined

  constructor(options: {
    readonly id: number
    readonly since: number
    readonly limits: Holding
    readonly protocol: string | undefined
    readonly ticket: Admission.Admitted | undefined
    /** What its handshake and its service need is in it. */
    readonly context: Context.Context<never>
    readonly following: Following
  }) {
    this.id = options.id
    this.since = options.since
    this.limits = options.limits
    this.progress = Progress.make(options.protocol)
    this.ticket = options.ticket
    this.ofServer = options.context
    this.following = options.following
  }

  done(exit: Exit.Exit<unknown, unknown>): void {
    this.following.done(this, exit)
  }

  /** That of the server, with a scope of its own. */
  get context(): Context.Context<Scope.Scope> {
    return this.known ??= Context.add(this.ofServer, Scope.Scope, this.scope = Scope.makeUnsafe())
  }
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
