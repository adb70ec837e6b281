/**
 * The frames that come to a client and that nobody has asked for: pushes, notifications, messages of a subscription.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { TimedOut, TransportError } from "../../TransportError.ts"
import { isReady } from "../connection/onEvents.ts"
import { Patience } from "./body.ts"

/**
 * What is left of the frames of a transport where those that nobody has asked for are told from answers. A predicate for which a
 * function with an annotated parameter handles frames of any kind narrows nothing.
 */
export type Answers<In, Push extends In> = [Push] extends [never] ? In : [In] extends [Push] ? In : Exclude<In, Push>

/**
 * What a client does with the frames that nobody has asked for.
 *
 * **Details**
 *
 * `is` is a pure function. Where it is a type guard, `handle` gets frames of that type, and what is left of the frames are the
 * answers; else `handle` gets a frame as it came.
 *
 * `handle` is run for one frame at a time, in the order in which they have come, with the services that the client was made
 * with. Before an answer is given to its call, `handle` was begun for each frame that came before that answer: what it does
 * without waiting, such as to offer to a Queue that has room, is done by then.
 *
 * While `handle` waits, up to `buffer` further frames wait for it, and answers go past all of them. One more is held, and so is
 * everything behind it: nothing is read from the connection, which slows the peer down, until `handle` is done or fails. When that
 * has lasted for `timeout`, the use of the connection ends as `TimedOut`.
 *
 * Where `handle` fails or dies, the use of the connection ends with that. When the connection has ended, what has come before is
 * still handled; when the scope of the client closes, `handle` is interrupted and the rest is dropped.
 *
 * **Gotchas**
 *
 * A `handle` that waits for a call on its own client waits for an answer that may stand behind a frame that is held. Either it
 * hands its frame to a Queue that another fiber takes from, or `buffer` is as large as what may come meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Unsolicited<in In, in out Push extends In = never, out R = never> {
  /** Which frames are no answers. */
  readonly is: ((frame: In) => frame is Push) | ((frame: In) => boolean)
  /** What is done with them. */
  readonly handle: (frame: [Push] extends [never] ? In : Push) => Effect.Effect<unknown, TransportError, R>
  /** How many of them wait while one is handled, and are overtaken by answers. Default: 0, so that none is. */
  readonly buffer?: number | undefined
  /** How long a frame for which there is no room may hold up what is behind it; `"Infinity"` for ever. Default: 10 seconds. */
  readonly timeout?: Duration.Input | undefined
}

/** The same of any frame, with what it needs. */
export interface Handling<in In> extends Pick<Unsolicited<In>, "buffer" | "timeout"> {
  readonly is: (frame: In) => boolean
  readonly handle: (frame: In) => Effect.Effect<unknown, TransportError>
}

type Ended = Exit.Exit<never, TransportError>

/** How long a frame may hold up what is behind it, unless told otherwise. */
const defaultTimeout = Duration.seconds(10)

/**
 * | handled | wait | one more frame | an answer behind it |
 * |---|---|---|---|
 * | none | none | is begun | is given out |
 * | one | fewer than `buffer` | waits | is given out |
 * | one | `buffer` | is held for `timeout`, and nothing is read | is held |
 * | none any more: closed, or it has failed | none | is dropped | |
 *
 * What is done at once costs no fiber.
 */
export class Pushes<In> {
  readonly is: (frame: In) => boolean
  private readonly handle: (frame: In) => Effect.Effect<unknown, TransportError>
  private readonly buffer: number
  private readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly patience: Patience
  /** One is done: there is room. */
  private readonly onRoom: () => void
  /** It has failed, or taken too long. */
  private readonly onEnd: (end: Ended) => void
  private waiting: Array<In> = []
  private handling: Fiber.Fiber<unknown, TransportError> | undefined = undefined
  private isOver = false

  constructor(
    options: Handling<In>,
    context: Context.Context<never>,
    onRoom: () => void,
    onEnd: (end: Ended) => void
  ) {
    this.is = options.is
    this.handle = options.handle
    this.buffer = Math.max(0, options.buffer ?? 0)
    this.fork = Effect.runForkWith(context)
    this.onRoom = onRoom
    this.onEnd = onEnd
    const after = Duration.fromInputUnsafe(options.timeout ?? defaultTimeout)
    this.patience = new Patience(Context.get(context, Clock.Clock), this.fork, after, () => {
      this.fail(Exit.fail(new TransportError({ reason: new TimedOut({ waitedFor: "handling", after }) })))
    })
  }

  /** False where it has to wait outside. Throws what `handle` throws. */
  take(frame: In): boolean {
    if (this.handling === undefined) this.begin(frame)
    else if (this.waiting.length < this.buffer) this.waiting.push(frame)
    else {
      this.patience.begin()
      return false
    }
    this.patience.end()
    return true
  }

  private begin(frame: In): void {
    if (this.isOver) return
    const effect = this.handle(frame)
    if (isReady(effect)) return this.done(effect)
    const fiber = this.fork(effect)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.done(exit)
    this.handling = fiber
    fiber.addObserver((exit) => {
      this.handling = undefined
      this.done(exit)
      this.next()
      if (!this.isOver) this.onRoom()
    })
  }

  /** One that was interrupted has been given up by whoever did that. */
  private done(exit: Exit.Exit<unknown, TransportError>): void {
    if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) this.fail(Exit.failCause(exit.cause))
  }

  private next(): void {
    try {
      while (this.handling === undefined && this.waiting.length > 0) {
        // It is in its array no more when `handle` throws.
        const [frame] = this.waiting.splice(0, 1)
        this.begin(frame)
      }
    } catch (defect) {
      this.fail(Exit.die(defect))
    }
  }

  private fail(end: Ended): void {
    this.stop()
    this.onEnd(end)
  }

  /** Nothing more is handled. */
  private stop(): void {
    this.isOver = true
    this.waiting = []
    this.patience.stop()
  }

  /** Interrupts what is handled, and waits for it, unless that is who asks. */
  get close(): Effect.Effect<void> {
    return Effect.withFiber((asking) => {
      this.stop()
      const { handling } = this
      return handling === undefined || handling === asking ? Effect.void : Fiber.interrupt(handling)
    })
  }
}
