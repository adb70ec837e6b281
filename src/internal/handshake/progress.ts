/**
 * How far a handshake has come, and what a runtime asks of it from outside: to be told where it was when it is cut off, and to
 * turn its peer away in its own words.
 *
 * | `verdict` | when it is set | what the handshake does |
 * |---|---|---|
 * | undefined | | shakes hands |
 * | a refusal | before it begins | says no instead, if it has words for it; else it opens nothing |
 * | a refusal | before it is interrupted | leaves its words behind in `words`, for whoever has interrupted it |
 *
 * @internal
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Why a peer is turned away without regard to what it says. */
export type Refusal = "capacity" | "rate" | "draining" | "deadline" | "forbidden"

/** What says no on a connection. It needs nothing any more. */
export type Words = Effect.Effect<unknown, unknown>

/** What says no, for this reason; it may know when the other side can come again. */
type Refuse<E, R> = (why: Refusal, retryAfter: Duration.Duration | undefined) => Effect.Effect<never, E, R>

/** Runs an effect in the span of the handshake, which begins with the first name that it gets. */
export type Traced = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export interface Progress {
  protocol: string
  verdict: Refusal | undefined
  /** Not before when whoever is turned away may come again, where that is known. */
  retryAfter: Duration.Duration | undefined
  words: Words | undefined
  /** Whether what runs now is around another handshake: that one may have words where this one has none. */
  isOuter: boolean
  /** Whether its step keeps what it refuses out of its error, for a secret may come too early. */
  isGuarded: boolean
  traced: Traced | undefined
  /** The name of the step that was begun last. */
  readonly step: string
  /** A step is under way. Its name is asked for, with what it is about, only where something has gone wrong. */
  begin<A>(name: (subject: A) => string, subject: A): void
}

/** The protocol of a handshake that has no name. */
export const unnamed = "unnamed"

/** What the opening of the connection is called. */
export const connect = "connect"

const connecting = () => connect

class ProgressImpl implements Progress {
  protocol: string
  verdict: Refusal | undefined = undefined
  retryAfter: Duration.Duration | undefined = undefined
  words: Words | undefined = undefined
  isOuter = false
  isGuarded = false
  traced: Traced | undefined = undefined
  private name: (subject: unknown) => string = connecting
  private subject: unknown = undefined

  constructor(protocol: string) {
    this.protocol = protocol
  }

  get step(): string {
    return this.name(this.subject)
  }

  begin<A>(name: (subject: A) => string, subject: A): void {
    this.name = name as (subject: unknown) => string // it gets none but the one beside it
    this.subject = subject
  }
}

export const make = (protocol: string = unnamed): Progress => new ProgressImpl(protocol)

export const CurrentProgress: Context.Reference<Progress | undefined> = Context.Reference<Progress | undefined>(
  "effect-handshake/internal/CurrentProgress",
  { defaultValue: () => undefined }
)

/** Whether a later step of the same pipe receives a secret. */
export const SecretAhead: Context.Reference<boolean> = Context.Reference<boolean>(
  "effect-handshake/internal/SecretAhead",
  { defaultValue: () => false }
)

/** It is asked for once, and what says no is a handshake like any other. */
export const words = <E, R>(progress: Progress, refuse: Refuse<E, R>): Effect.Effect<never, E, R> =>
  Effect.suspend(() => {
    const why = progress.verdict!
    progress.verdict = undefined
    return refuse(why, progress.retryAfter)
  })

/** Leaves its words behind, of a handshake that was interrupted, where somebody is to be turned away. */
export const leaveWords = <E, R>(
  progress: Progress,
  refuse: Refuse<E, R>,
  contextOf: () => Context.Context<R>
): void => {
  if (progress.verdict !== undefined) progress.words = Effect.provideContext(words(progress, refuse), contextOf())
}
