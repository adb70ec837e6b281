/**
 * One body on its way: the inlet is a body that is received, the outlet one that is sent. Both belong to a dispatcher that
 * runs on the connection's own events, and none of them knows a protocol.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Body from "../../Body.ts"
import { isTransportError, type TransportError } from "../../TransportError.ts"
import { closedHere } from "../connection/inbox.ts"
import * as Monotonic from "../connection/monotonic.ts"

/** Whether an error says nothing but that a body was cut. That is no failure that a protocol has words for. */
export const isReadError = (error: unknown): error is Body.ReadError =>
  Body.isBodyError(error) || isTransportError(error)

/** How many chunks of one body go into one write at most, while other bodies and answers wait for their turn. */
export const chunksPerTurn = 16

const done: Exit.Exit<never, Cause.Done> = Exit.fail(Cause.Done())
const alreadyRead = Effect.fail(new Body.BodyError({ reason: new Body.AlreadyRead() }))

// They happen in every ordinary exchange, and a stack would be the dearest part of them.
const abortedByPeer: Exit.Exit<never, Body.BodyError> = Exit.fail(
  new Body.BodyError({ reason: new Body.Aborted({ by: "peer" }) })
)
const abortedHere: Exit.Exit<never, Body.BodyError> = Exit.fail(
  new Body.BodyError({ reason: new Body.Aborted({ by: "local" }) })
)

/** What of a message is no head. */
export type BodyPart<Chunk, Failure> = Exclude<Body.Part<never, Chunk, Failure>, { readonly _tag: "Head" }>

/** What the peer says with an abort. */
export const abortOf = <E>(part: { readonly error?: E }): Exit.Exit<never, E | Body.BodyError> =>
  part.error === undefined ? abortedByPeer : Exit.fail(part.error)

/** How a body is cut by the end of what it belongs to. */
export const cutBy = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<never, TransportError> =>
  Exit.fail(Option.getOrElse(Option.filter(Exit.findErrorOption(exit), isTransportError), () => closedHere))

/** The options of a received body, as numbers. */
export interface Bounds {
  /** In chunks. */
  readonly bodyBuffer: number
  readonly bodyTimeout: Duration.Duration
}

export const boundsOf = (options?: {
  readonly bodyBuffer?: number | undefined
  readonly bodyTimeout?: Duration.Input | undefined
}): Bounds => ({
  bodyBuffer: Math.max(1, options?.bodyBuffer ?? Body.defaultBodyBuffer),
  bodyTimeout: Duration.fromInputUnsafe(options?.bodyTimeout ?? Body.defaultBodyTimeout)
})

export const stalled = (after: Duration.Duration): Exit.Exit<never, Body.BodyError> =>
  Exit.fail(new Body.BodyError({ reason: new Body.Stalled({ after }) }))

/**
 * A body that is received.
 *
 * | state | holds | a chunk | its reader |
 * |---|---|---|---|
 * | open | fewer chunks than its buffer has room for | is kept | takes all there are, or waits |
 * | full | as many as that | must wait outside | takes all there are, and then there is room |
 * | ended, or broken | what came before | does not come | takes that, and then ends or fails |
 * | stalled | what came before | is dropped | takes that, and then fails |
 * | dropped: its reader has gone, or nobody may read it any more | nothing | is dropped | fails |
 *
 * Its reader is woken when everything that has come together is there, so that it takes it in one array.
 */
export class Inlet<Chunk, E> {
  /** Whether its sender has said that there is no more of it. */
  isEnded = false
  /** Whether what still comes is dropped. */
  isDropping = false
  private buffer: Array<Chunk> = []
  private readonly capacity: number
  /** There is room where there was none. */
  private readonly onRoom: () => void
  /** Its reader has gone before its sender came to the end. */
  private readonly onGone: () => void
  /** What its reader finds behind the buffer. */
  private over: Exit.Exit<never, E | Body.ReadError | Cause.Done> | undefined = undefined
  private waiter: (() => void) | undefined = undefined
  private wakesSoon = false
  /** Whether somebody has begun to read it. */
  wasRead = false

  constructor(capacity: number, onRoom: () => void, onGone: () => void = () => {}) {
    this.capacity = capacity
    this.onRoom = onRoom
    this.onGone = onGone
  }

  /** How many chunks may come. */
  get room(): number {
    return this.isDropping ? Infinity : this.capacity - this.buffer.length
  }

  /** Whether somebody waits for its chunks and there are none. */
  get isAwaited(): boolean {
    return this.waiter !== undefined && this.buffer.length === 0 && this.over === undefined
  }

  push(chunk: Chunk): void {
    if (this.isDropping) return
    this.buffer.push(chunk)
    this.wakeSoon()
  }

  /** Takes what has come of it. False for a chunk that has to wait for room. */
  accept(part: BodyPart<Chunk, E>): boolean {
    if (part._tag === "End") this.end()
    else if (part._tag === "Abort") this.end(abortOf(part))
    else if (this.room <= 0) return false
    else this.push(part.chunk)
    return true
  }

  /** No more comes: the body is complete, its sender has given it up, or its connection is over. */
  end(how: Exit.Exit<never, E | Body.ReadError | Cause.Done> = done): void {
    this.isEnded = true
    this.finish(how)
  }

  /** Whatever else comes is dropped, and whoever reads fails behind what is there already. */
  stall(why: Exit.Exit<never, E | Body.ReadError>): void {
    this.isDropping = true
    this.finish(why)
  }

  /** Nobody may read it any more. What is there and what still comes is dropped. */
  drop(): void {
    const wasFull = this.room <= 0
    this.isDropping = true
    // What is lost must not look like a body that was shorter.
    if (this.buffer.length > 0) this.over = abortedHere
    this.buffer = []
    this.finish(abortedHere)
    if (wasFull) this.onRoom()
  }

  private finish(how: Exit.Exit<never, E | Body.ReadError | Cause.Done>): void {
    this.over ??= how
    this.wakeSoon()
  }

  private wakeSoon(): void {
    if (this.wakesSoon || this.waiter === undefined) return
    this.wakesSoon = true
    queueMicrotask(() => {
      this.wakesSoon = false
      const { waiter } = this
      this.waiter = undefined
      waiter?.()
    })
  }

  // Waits outside and takes inside the same step, so that whoever is interrupted while it waits has taken nothing.
  private readonly pull: Pull.Pull<readonly [Chunk, ...Array<Chunk>], E | Body.ReadError> = Effect.suspend(() => {
    if (this.buffer.length > 0) {
      const chunks = this.buffer
      const wasFull = this.room <= 0
      this.buffer = []
      if (wasFull) this.onRoom()
      return Effect.succeed(chunks as unknown as readonly [Chunk, ...Array<Chunk>]) // its length was checked above
    }
    return this.over ?? Effect.andThen(this.awaitNews, this.pull)
  })

  private readonly awaitNews: Effect.Effect<void> = Effect.callback<void>((resume) => {
    // The fiber may have yielded since it looked.
    if (this.buffer.length > 0 || this.over !== undefined) return resume(Effect.void)
    const waiter = () => resume(Effect.void)
    this.waiter = waiter
    return Effect.sync(() => {
      this.waiter = undefined
    })
  })

  private readonly readerGone: Effect.Effect<void> = Effect.sync(() => {
    const { isEnded } = this
    this.drop()
    if (!isEnded) this.onGone()
  })

  readonly stream: Stream.Stream<Chunk, E | Body.ReadError> = Stream.fromChannel(
    Channel.fromTransform((_, scope) =>
      Effect.suspend(() => {
        if (this.wasRead) return alreadyRead
        this.wasRead = true
        return Effect.as(Scope.addFinalizer(scope, this.readerGone), this.pull)
      })
    )
  )
}

type Fork<R> = <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>

/**
 * A body that is sent. Its fiber has pulled one batch more than was taken, and waits.
 *
 * | state | `hasChunks` | `exit` |
 * |---|---|---|
 * | pulling | false | undefined |
 * | a batch is there, or the rest of one | true | undefined |
 * | over: the stream has ended, has failed, or was interrupted | false | how |
 */
export class Outlet<Chunk, E, R> {
  exit: Exit.Exit<void, E> | undefined = undefined
  private batch: ReadonlyArray<Chunk> = []
  private taken = 0
  private isStopped = false
  private resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  private fiber: Fiber.Fiber<void, E> | undefined = undefined
  private readonly body: Stream.Stream<Chunk, E, R>
  /** There is a batch, or it is over. Called in the body's own fiber. */
  private readonly onNews: () => void

  constructor(body: Stream.Stream<Chunk, E, R>, onNews: () => void) {
    this.body = body
    this.onNews = onNews
  }

  /** May call `onNews` before it returns. */
  start(fork: Fork<R>): void {
    const fiber = this.fiber = fork(Stream.runForEachArray(this.body, (chunks) => this.offer(chunks)))
    // Its first batch may have come, and may have ended what it belongs to.
    if (this.isStopped) fiber.interruptUnsafe()
    fiber.addObserver((exit) => {
      this.exit = exit
      this.batch = []
      this.onNews()
    })
  }

  private offer(chunks: ReadonlyArray<Chunk>): Effect.Effect<void> {
    return Effect.callback((resume) => {
      // What cannot be interrupted goes on, into nothing.
      if (this.isStopped) return resume(Effect.void)
      this.batch = chunks
      this.taken = 0
      this.resume = resume
      this.onNews()
    })
  }

  get hasChunks(): boolean {
    return this.batch.length > 0
  }

  /** The chunks that are next, at most `max`. With the last ones of a batch the stream goes on to the next. */
  take(max: number): ReadonlyArray<Chunk> {
    const { batch, taken } = this
    if (batch.length - taken > max) {
      this.taken += max
      return batch.slice(taken, this.taken)
    }
    this.batch = []
    const { resume } = this
    this.resume = undefined
    resume?.(Effect.void)
    return taken === 0 ? batch : batch.slice(taken)
  }

  /** Nothing of it is sent any more. It is over when its fiber is. */
  stop(): void {
    if (this.isStopped || this.exit !== undefined) return
    this.isStopped = true
    this.batch = []
    this.fiber?.interruptUnsafe()
  }

  /** Stops it and waits until it is over. */
  readonly stopped: Effect.Effect<void> = Effect.suspend(() => {
    this.stop()
    return this.fiber === undefined ? Effect.void : Effect.asVoid(Fiber.await(this.fiber))
  })
}

/**
 * How long something has held the connection up. One timer for all of it, which is not moved each time: when it strikes,
 * it looks at how long it has been.
 */
export class Patience {
  private readonly clock: Clock.Clock
  private readonly fork: Fork<never>
  private readonly millis: number
  private readonly onEnd: () => void
  private since: number | undefined = undefined
  private timer: Fiber.Fiber<void> | undefined = undefined
  private isOver = false

  /** `onEnd` is called when it was begun that long ago and not ended since; it has ended then. */
  constructor(clock: Clock.Clock, fork: Fork<never>, limit: Duration.Duration, onEnd: () => void) {
    this.clock = clock
    this.fork = fork
    this.millis = Duration.toMillis(limit)
    this.onEnd = onEnd
  }

  begin(): void {
    if (this.since !== undefined || this.isOver) return
    this.since = Monotonic.millisOf(this.clock)
    if (this.timer === undefined) this.arm(this.millis)
  }

  end(): void {
    this.since = undefined
  }

  stop(): void {
    this.isOver = true
    this.timer?.interruptUnsafe()
  }

  private arm(millis: number): void {
    if (millis === Infinity) return
    const timer = this.timer = this.fork(Effect.sleep(millis))
    timer.addObserver(() => {
      this.timer = undefined
      if (this.isOver || this.since === undefined) return
      const left = this.since + this.millis - Monotonic.millisOf(this.clock)
      if (left > 0) return this.arm(left)
      this.since = undefined
      this.onEnd()
    })
  }
}

/** How long a body that is received may hold the connection up that runs in this context. */
export const patienceOf = (context: Context.Context<never>, { bodyTimeout }: Bounds, onEnd: () => void): Patience =>
  new Patience(Context.get(context, Clock.Clock), Effect.runForkWith(context), bodyTimeout, onEnd)
