/**
 * What the middleware of one transport shares: what it does with frames, what it still has to send, and when it looks at the time.
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Transport from "../../Transport.ts"
import type { TransportError } from "../../TransportError.ts"
import { ByteWriter } from "../bytes/writer.ts"
import * as Alarms from "./alarm.ts"
import type { Alarm, Waiting } from "./alarm.ts"
import type { Connection, Reader } from "./connection.ts"
import * as Monotonic from "./monotonic.ts"
import { implOf, type Interceptor, type TransportImpl } from "./transport.ts"

/** What several middlewares on one transport share. The smallest hold. */
export interface Bounds {
  /**
   * How many frames are answered with what is not written yet. With that many nothing more is read until the peer has
   * taken some: one that asks and never reads is slowed down like any other, and costs no memory. Default: 64.
   */
  readonly maxUnsent?: number | undefined
  /** How many frames are read ahead of the service. Default: 16; at least 1. */
  readonly readAhead?: number | undefined
}

/** What one middleware does. */
export interface Part<in In, out Out> extends Bounds {
  /** What to answer a frame with, which goes no further then; `undefined` lets it pass. */
  readonly decide?: ((frame: In) => ReadonlyArray<Out> | undefined) | undefined
  /**
   * Looks at the time, in milliseconds of the clock, does what is due, and says when to look again; `Infinity` for not until
   * `look` is called.
   */
  readonly watch?: ((now: number) => number) | undefined
}

/** What a middleware knows of its connection, and can do with it. Times are in milliseconds of the clock. */
export interface Link<in Out> {
  /** When bytes have come last, or this side has begun to listen again. */
  readonly heardAt: number
  /** Changes whenever `heardAt` is set, also where the clock stands still. */
  readonly heardCount: number
  /** When a frame has come last that goes on to the service. */
  readonly passedAt: number
  /** When any frame has come last. */
  readonly takenAt: number
  /** When something was sent last that is not the middleware's own. */
  readonly sentAt: number
  /** When anything was sent last, also by a middleware. */
  readonly wroteAt: number
  /**
   * `undefined` while nothing that was written waits for the peer to take it; else a number that changes whenever it takes
   * some.
   */
  readonly sending: number | undefined
  /** Whether bytes would be heard if some came: not while `readAhead` frames wait for the service. */
  readonly isListening: boolean
  /** Whether the service has not taken what came for it. */
  readonly hasWaiting: boolean
  /** Whether nothing comes any more. */
  readonly hasEnded: boolean
  /** Sends what a frame is answered with that goes on to the service. It counts in `maxUnsent`. */
  answer(frames: ReadonlyArray<Out>): void
  /** Sends a frame of its own accord. */
  say(frame: Out): void
  /** Sends the last frame. When the connection is closed, that waits until the peer has heard it. */
  farewell(frame: Out): void
  /**
   * Ends the connection with an error, for whoever receives. A peer that is `gone` cannot be written to any more either;
   * to any other one a last word can be said.
   */
  giveUp(error: TransportError, gone: boolean): void
  /** Calls each `watch` soon: one of them may have another time to look at. */
  look(): void
}

/** How many frames are answered with what is not written yet, unless told otherwise. */
export const defaultMaxUnsent = 64

/** How many frames are read ahead of the service, unless told otherwise. */
export const defaultReadAhead = 16

/** How long the end of the scope waits for answers to go out. */
const lastAnswers = Duration.seconds(1)

/**
 * It has a reader of its own, so that it hears the peer while nobody else reads, and looks at each chunk after everybody
 * else has: what the service takes at once costs it nothing more.
 *
 * | | frames that wait for the service | answers not written | reads |
 * |---|---|---|---|
 * | listening | fewer than `readAhead` | fewer than `maxUnsent` | yes |
 * | full, because the service does not take | `readAhead` | any | as the service does |
 * | held, because the peer does not read | any | `maxUnsent` | nobody does |
 */
export class Middleware<In, Out> implements Interceptor<In>, Link<Out>, Waiting {
  readonly connection: Connection
  private readonly impl: TransportImpl<In, Out>
  private readonly clock: Clock.Clock
  private readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private readonly reader: Reader
  private readonly parts = new Set<Part<In, Out>>()
  private maxUnsent = defaultMaxUnsent
  private readAhead = defaultReadAhead
  private isOver = false

  private readonly outbox: ByteWriter
  /** How many frames were answered with what is not written yet. */
  private unsent = 0
  /** How many of them wait to be handed over. */
  private unflushed = 0
  private readonly flushing = new Set<Fiber.Fiber<void, TransportError>>()
  private willFlush = false
  private writesOwn = false
  private willLookAhead = false
  private readonly alarm: Alarm
  due = Infinity
  place = -1

  heardAt: number
  heardCount = 0
  passedAt: number
  takenAt: number
  sentAt: number
  wroteAt: number

  constructor(
    impl: TransportImpl<In, Out>,
    clock: Clock.Clock,
    alarm: Alarm,
    fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  ) {
    this.impl = impl
    this.connection = impl.connection
    this.outbox = impl.outbox ?? new ByteWriter()
    this.clock = clock
    this.alarm = alarm
    this.fork = fork
    this.heardAt =
      this.passedAt =
      this.takenAt =
      this.sentAt =
      this.wroteAt =
        Monotonic.millisOf(clock)
    this.reader = this.connection.reader({ onReadable: () => this.hear() })
    const writes = () => {
      this.wroteAt = Monotonic.millisOf(this.clock)
      if (this.writesOwn) return
      this.sentAt = this.wroteAt
      // The answer to a frame that came first goes out first; what waits in an outbox does so anyway.
      if (impl.outbox === undefined) this.flush("now")
    }
    this.connection.onWrite = writes
    impl.interceptor = this
  }

  isListening = true

  get hasEnded(): boolean {
    return this.connection.inbox.end !== undefined
  }

  get sending(): number | undefined {
    return this.connection.sending
  }

  get hasWaiting(): boolean {
    return this.impl.frames.waiting > 0
  }

  add(part: Part<In, Out>): void {
    this.parts.add(part)
    this.changed()
  }

  remove(part: Part<In, Out>): Effect.Effect<void> {
    this.parts.delete(part)
    if (this.parts.size > 0) {
      this.changed()
      return Effect.void
    }
    this.end()
    return this.flushing.size === 0
      ? Effect.void
      : Effect.asVoid(Effect.timeoutOption(Effect.interruptible(this.flushed), lastAnswers))
  }

  private changed(): void {
    this.maxUnsent = smallest(this.parts, (part) => part.maxUnsent) ?? defaultMaxUnsent
    this.readAhead = smallest(this.parts, (part) => part.readAhead) ?? defaultReadAhead
    this.arm()
    this.lookAheadSoon()
  }

  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.reader.stop()
    if (this.impl.interceptor === this) this.impl.interceptor = undefined
    this.connection.onWrite = undefined
    this.arm()
    this.flush("now")
    this.connection.proceed()
  }

  private readonly flushed: Effect.Effect<void> = Effect.suspend(() =>
    this.flushing.size === 0 ? Effect.void : Effect.andThen(Fiber.awaitAll(Array.from(this.flushing)), this.flushed)
  )

  // Frames -------------------------------------------------------------------------------------------------------------

  admit(max: number): number {
    const room = this.maxUnsent - this.unsent
    if (room > 0) return Math.min(max, room)
    this.connection.hold()
    return 0
  }

  intercepts(frame: In): boolean {
    const handled = this.handles(frame)
    if (!this.isListening) this.lookAheadSoon()
    return handled
  }

  private handles(frame: In): boolean {
    this.takenAt = Monotonic.millisOf(this.clock)
    try {
      for (const { decide } of this.parts) {
        const answers = decide?.(frame)
        if (answers === undefined) continue
        if (answers.length > 0) this.answer(answers)
        return true
      }
    } catch (defect) {
      this.die(defect)
      return true
    }
    this.passedAt = this.takenAt
    return false
  }

  private hear(): void {
    // One chunk at a time, as a source may have the next one at once.
    this.reader.pause()
    this.heardAt = Monotonic.millisOf(this.clock)
    this.heardCount++
    this.lookAheadSoon()
  }

  private lookAheadSoon(): void {
    if (this.willLookAhead) return
    this.willLookAhead = true
    // Whoever waits for frames takes them first.
    queueMicrotask(() => {
      this.willLookAhead = false
      if (!this.isOver) this.lookAhead()
    })
  }

  private lookAhead(): void {
    const { frames } = this.impl
    while (frames.waiting < this.readAhead && this.admit(1) > 0) {
      const exit = frames.nextAhead()
      if (exit === undefined) break
      // Nothing comes behind that, and it is for whoever runs into it.
      if (Exit.isFailure(exit)) return this.listen(false)
      this.impl.observeReceived(exit.value)
      if (this.handles(exit.value.frame)) frames.useUp(exit.value)
      else frames.keep(exit.value)
    }
    this.listen(frames.waiting < this.readAhead)
  }

  private listen(on: boolean): void {
    if (on && !this.isListening) {
      this.heardAt = Monotonic.millisOf(this.clock)
      this.heardCount++
    }
    this.isListening = on
    if (on) this.reader.resume()
    else this.reader.pause()
  }

  // Sending ------------------------------------------------------------------------------------------------------------

  answer(frames: ReadonlyArray<Out>): void {
    // What is not sent must not count as waiting: who waits for it would not see that the connection is over.
    if (!this.encode(frames)) return
    this.unsent++
    this.unflushed++
    if (this.willFlush) return
    this.willFlush = true
    // The answers to what came together travel together.
    queueMicrotask(() => {
      this.willFlush = false
      this.flush()
    })
  }

  say(frame: Out): void {
    if (this.encode([frame])) this.flush()
  }

  farewell(frame: Out): void {
    this.connection.lingers = true
    this.say(frame)
  }

  private encode(frames: ReadonlyArray<Out>): boolean {
    try {
      for (const frame of frames) {
        const unencodable = this.impl.encode(frame, this.outbox)
        if (unencodable === undefined) {
          this.impl.outbox?.keep(frame, this)
          continue
        }
        this.giveUp(unencodable, false)
        return false
      }
      return true
    } catch (defect) {
      this.outbox.reset()
      this.die(defect)
      return false
    }
  }

  // Behind a write that waits, others can join what is to be written, unless somebody else is about to get behind it.
  private flush(when: "next" | "now" = "next"): void {
    if (this.flushing.size > 0 && when === "next") return
    const unsent = this.unflushed
    this.unflushed = 0
    const left = this.write(unsent > 0)
    const exit = left === undefined ? Exit.void : this.run(left, unsent)
    if (exit !== undefined) this.written(exit, unsent)
  }

  private write(hasAnswers: boolean): Effect.Effect<void, TransportError> | undefined {
    this.writesOwn = true
    const left = this.begin(hasAnswers)
    this.writesOwn = false
    return left
  }

  private begin(hasAnswers: boolean): Effect.Effect<void, TransportError> | undefined {
    const { outbox } = this.impl
    if (outbox === undefined) {
      const chunks = this.outbox.finish()
      return chunks.length === 0 ? undefined : this.connection.writeNow(chunks)
    }
    // Where somebody else has taken the answers along, the peer may not have taken them yet.
    return hasAnswers || !outbox.isEmpty ? this.impl.writeOutbox(outbox) : undefined
  }

  private run(left: Effect.Effect<void, TransportError>, unsent: number): Exit.Exit<void, TransportError> | undefined {
    const fiber = this.fork(left)
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    this.flushing.add(fiber)
    fiber.addObserver((exit) => {
      this.flushing.delete(fiber)
      this.written(exit, unsent)
      // What was said meanwhile.
      this.flush()
    })
    return undefined
  }

  private written(exit: Exit.Exit<void, TransportError>, unsent: number): void {
    this.unsent -= unsent
    const error = Option.getOrUndefined(Exit.findErrorOption(exit))
    // A peer that cannot be answered is gone, or as good as that.
    if (error !== undefined) this.giveUp(error, true)
    this.connection.proceed()
  }

  giveUp(error: TransportError, gone: boolean): void {
    this.connection.giveUp(error, gone)
  }

  /** As with a decoder that throws, only its own connection dies. */
  private die(defect: unknown): void {
    this.impl.frames.die(defect)
    this.connection.notify()
  }

  // Time ---------------------------------------------------------------------------------------------------------------

  // Later, as this may be in the middle of what the middleware is asked about.
  look(): void {
    queueMicrotask(() => this.arm())
  }

  /** One time for all that is watched. It is not moved with each frame: when it has come, each looks at what has happened. */
  private arm(): void {
    if (this.isOver) return this.alarm.clear(this)
    const now = Monotonic.millisOf(this.clock)
    let at = Infinity
    for (const { watch } of this.parts) {
      if (watch !== undefined) at = Math.min(at, watch(now))
    }
    this.alarm.set(this, at)
  }

  wake(): void {
    try {
      this.arm()
    } catch (defect) {
      this.die(defect)
    }
  }
}

const smallest = <A>(parts: Iterable<A>, bound: (part: A) => number | undefined): number | undefined => {
  let least: number | undefined
  for (const part of parts) {
    const given = bound(part)
    if (given !== undefined) least = Math.min(least ?? Infinity, Math.max(1, given))
  }
  return least
}

const of = <In, Out>(
  transport: Transport.Transport<In, Out>,
  context: Context.Context<never>
): Middleware<In, Out> => {
  const impl = implOf(transport)
  return impl.interceptor instanceof Middleware
    ? impl.interceptor as Middleware<In, Out> // nothing else installs itself on a transport
    : new Middleware(impl, Context.get(context, Clock.Clock), Alarms.of(context), Effect.runForkWith(context))
}

/** Adds a part to the middleware of a transport, until the scope closes or the transport gets another codec. */
export const install = <T extends Transport.Transport.Any>(
  transport: T,
  make: (link: Link<Transport.Transport.Out<T>>) => Part<
    Transport.Transport.In<T>,
    Transport.Transport.Out<T>
  >
): Effect.Effect<T, never, Scope.Scope> =>
  Effect.uninterruptible(Effect.contextWith((context: Context.Context<Scope.Scope>) => {
    const middleware = of(transport, context)
    const part = make(middleware)
    middleware.add(part)
    return Effect.as(
      Scope.addFinalizerExit(Context.get(context, Scope.Scope), () => middleware.remove(part)),
      transport
    )
  }))
