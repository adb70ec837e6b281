/**
 * One conversation of a handshake that is under test with its peer, as a law wants it to go.
 *
 * Between the two stands a driver. It hands on what they say, and does to it what the plan says: cuts it, holds it, says
 * something else, ends the connection. So the peer may be anything that speaks over a `Socket`.
 *
 *     side under test <- socket of the rung -> driver <- socket in memory -> its peer
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Tracer from "effect/Tracer"
import * as Codec from "../../Codec.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { CurrentRewrite } from "../../internal/connection/transport.ts"
import * as Progress from "../../internal/handshake/progress.ts"
import * as Pipeline from "../../Pipeline.ts"
import type * as Server from "../../Server.ts"
import * as Transcript from "../../Transcript.ts"
import * as Transport from "../../Transport.ts"
import type * as Rung from "../Rung.ts"
import { cutInto } from "./countingBuffer.ts"
import * as Direct from "./direct.ts"
import * as Fast from "./fast.ts"
import { Tap } from "./tap.ts"

export type Role = "client" | "server"

export const otherRole = (role: Role): Role => role === "client" ? "server" : "client"

type Raw = Transport.Transport<Uint8Array, Uint8Array>

export type Handshake = Effect.Effect<Transport.Transport.Any, unknown, Socket.Socket | Scope.Scope>

/** Whatever speaks with the side under test: its peer's handshake, or a script. */
export type Peer = Effect.Effect<unknown, unknown, Socket.Socket | Scope.Scope>

/** What one side does when it is ready. */
export type Behind = (transport: Transport.Transport.Any) => Effect.Effect<unknown, unknown, Scope.Scope>

export interface Side {
  readonly role: Role
  readonly handshake: Handshake
  /** The deadline that a server sets for it, on the fast way. Default: none. */
  readonly deadline?: Duration.Duration | undefined
}

export interface Plan {
  /** Of what the rung leaves to chance, and of what Effect's `Random` gives to the two sides. */
  readonly seed?: number | undefined
  readonly random?: number | undefined
  /** What is said in the place of the peer's n-th message; all of it travels together. Default: the message. */
  readonly say?: ((index: number, message: Uint8Array) => Uint8Array) | undefined
  /** What the peer says in the place of its n-th frame, through its own codec. */
  readonly alters?: { readonly index: number; readonly apply: (frame: unknown) => unknown } | undefined
  /** Who speaks with the side under test. Default: its peer. */
  readonly peer?: Peer | undefined
  /** What the side under test runs. Default: its handshake. */
  readonly handshake?: Handshake | undefined
  /** What is said, all of it at once, without regard to what the side under test says. There is no peer then. */
  readonly script?: Uint8Array | undefined
  /** How many bytes each segment has, over and over; default: each message is one. */
  readonly lengths?: ReadonlyArray<number> | undefined
  /** What happens when so many bytes were said. */
  readonly stop?: Stop | undefined
  /** Milliseconds before each segment, once so many bytes were said. */
  readonly pace?: { readonly millis: number; readonly from?: number | undefined } | undefined
  /** Milliseconds before each message. */
  readonly pause?: number | undefined
  /** Milliseconds before the n-th one. */
  readonly wait?: ((index: number) => number) | undefined
  /** Milliseconds before the first one: so late the peer comes. */
  readonly delay?: number | undefined
  /** Milliseconds for which the peer does not listen. */
  readonly deaf?: number | undefined
  /** Whether the peer stops to speak when the handshake has failed. Default: it talks on. */
  readonly hushes?: boolean | undefined
  /** Nobody answers when the side under test dials: it is refused, or waits; and waits until it is interrupted. */
  readonly dial?: "refuse" | "hang" | "interrupt" | undefined
  /** What the side under test does when it is ready. Default: reads what comes, to the end. */
  readonly behind?: Behind | undefined
  /** What its peer does when it is ready. Default: nothing. */
  readonly peerBehind?: Behind | undefined
  /** Milliseconds that pass when all is said, and what is said then, before the connection is ended. */
  readonly later?: { readonly after: number; readonly say: Uint8Array } | undefined
  /** Whether it is counted what decoders do. Default: only where the side is watched anyway. */
  readonly counts?: boolean | undefined
}

export interface Stop {
  readonly after: number
  readonly how: "end" | "reset" | "stall" | "interrupt"
}

/** What was seen of a conversation. Times are in milliseconds from its beginning. */
export interface Talk {
  /** How the handshake has ended; undefined where it has not, though it had all the time in the world. */
  readonly exit: Exit.Exit<unknown, unknown> | undefined
  readonly endedAt: number
  /** When the plan's stop came, and at which step; undefined where it did not come to that. */
  readonly stoppedAt: number | undefined
  readonly stoppedIn: string | undefined
  /** Whether the side under test was done with its connection in the end, and when. */
  readonly isOver: boolean
  readonly overAt: number
  /** The opening of the connection and the steps that it came to behind that, and the last of them. */
  readonly steps: ReadonlyArray<string>
  readonly step: string
  /** Whether the last of them keeps what it refuses to itself, for it may be a secret that comes too early. */
  readonly isGuarded: boolean
  /** Where it was when each message was said to it, and where it took each frame, with all bytes up to its end. */
  readonly toldIn: ReadonlyArray<string>
  readonly receivedIn: ReadonlyArray<{ readonly step: string; readonly end: number }>
  /** How many bytes it had been given when its handshake ended. */
  readonly pulled: number
  /** With how many of them it had asked for more. */
  readonly asked: number
  /** How many its decoders had looked at by then. */
  readonly examined: number
  /** How often it has opened and released its connection. */
  readonly opened: number
  readonly released: number
  /** How many of the fibers that it has started have not ended, when it was over. */
  readonly fibers: number
  /** What it has written, write by write, and how many of those it had made when the peer's n-th message was said. */
  readonly written: ReadonlyArray<Uint8Array>
  readonly writesBefore: ReadonlyArray<number>
  /** What came behind the handshake, and how that ended; undefined where the handshake did not succeed. */
  readonly rest: Uint8Array | undefined
  readonly restEnd: Cause.Cause<unknown> | undefined
  /** How the plan's `behind` has ended. */
  readonly behind: Exit.Exit<unknown, unknown> | undefined
  /** What the peer has said, message by message, before anything was done to it. */
  readonly messages: ReadonlyArray<Uint8Array>
  /** What was said in the place of each of them, as far as it was said. */
  readonly said: ReadonlyArray<Uint8Array>
  /** The peer's frames, as it has given them to its codec, and which of them it hides. */
  readonly frames: ReadonlyArray<unknown>
  readonly hidden: ReadonlyArray<boolean>
  /** What the plan has altered, as it would have been said; undefined where it has altered nothing. */
  readonly altered: Uint8Array | undefined
  /** Whether all that the peer has said was told before the plan's stop. */
  readonly isAllTold: boolean
  /** What the peer has heard, and whether it has heard the end. */
  readonly heard: Uint8Array
  readonly isEndHeard: boolean
  /** How the peer's handshake has ended, and the plan's `peerBehind`. */
  readonly peerExit: Exit.Exit<unknown, unknown> | undefined
  readonly peerBehind: Exit.Exit<unknown, unknown> | undefined
  readonly transcript: Transcript.Transcript
}

const nothing = new Uint8Array(0)

/** How long anybody may take, in the time of the rung, before he is taken to wait for ever. */
const patience = (rung: Rung.Rung): number => rung.time === "virtual" ? 3_600_000 : 4000

/** How long nobody may have anything to say before the conversation is taken to be over. */
const quietTime = (rung: Rung.Rung, { delay = 0, pace, pause = 0 }: Plan): number =>
  rung.time === "virtual" ? patience(rung) : 160 + delay + (pace?.millis ?? 0) + pause

/** In how many parts it is waited for: a process that was held up gets to its sockets between them. */
const quietParts = ({ time }: Rung.Rung): number => time === "virtual" ? 1 : 8

// ---------------------------------------------------------------------------------------------------------------------
// The side under test
// ---------------------------------------------------------------------------------------------------------------------

/** Notes each step that a handshake comes to, behind the opening of its connection. */
class Steps implements Progress.Progress {
  readonly seen: Array<string> = ["connect"]
  /** What a runtime that runs the handshake keeps of it. */
  kept: Progress.Progress = Progress.make()

  get protocol(): string {
    return this.kept.protocol
  }

  set protocol(protocol: string) {
    this.kept.protocol = protocol
  }

  get step(): string {
    return this.kept.step
  }

  begin<A>(name: (subject: A) => string, subject: A): void {
    this.kept.begin(name, subject)
    this.seen.push(this.step)
  }

  get verdict(): Progress.Refusal | undefined {
    return this.kept.verdict
  }

  set verdict(verdict: Progress.Refusal | undefined) {
    this.kept.verdict = verdict
  }

  get retryAfter(): Progress.Progress["retryAfter"] {
    return this.kept.retryAfter
  }

  set retryAfter(retryAfter: Progress.Progress["retryAfter"]) {
    this.kept.retryAfter = retryAfter
  }

  get words(): Progress.Words | undefined {
    return this.kept.words
  }

  set words(words: Progress.Words | undefined) {
    this.kept.words = words
  }

  get isOuter(): boolean {
    return this.kept.isOuter
  }

  set isOuter(isOuter: boolean) {
    this.kept.isOuter = isOuter
  }

  get isGuarded(): boolean {
    return this.kept.isGuarded
  }

  set isGuarded(isGuarded: boolean) {
    this.kept.isGuarded = isGuarded
  }

  get traced(): Progress.Traced | undefined {
    return this.kept.traced
  }

  set traced(traced: Progress.Traced | undefined) {
    this.kept.traced = traced
  }
}

/** Everything that comes, to the end. */
const readAll = Effect.fnUntraced(function*(transport: Transport.Transport.Any) {
  const raw: Raw = yield* Transport.switchCodec(transport, Codec.bytes)
  const chunks: Array<Uint8Array> = []
  for (;;) {
    const exit = yield* Effect.exit(raw.receive)
    if (Exit.isFailure(exit)) return { rest: concat(chunks), end: exit.cause }
    chunks.push(exit.value)
  }
})

/** The same, the way of a server: whatever comes is taken when it comes. */
const serveAll = Effect.fnUntraced(function*(transport: Transport.Transport.Any) {
  const raw: Raw = yield* Transport.switchCodec(transport, Codec.bytes)
  const chunks: Array<Uint8Array> = []
  const exit = yield* raw.pipe(
    Pipeline.serve((chunk: Uint8Array) => {
      chunks.push(chunk)
      return Exit.succeed(nothing)
    }),
    Effect.exit
  )
  // That it has ended in order is no failure there.
  const end = yield* Effect.exit(Exit.isSuccess(exit) ? raw.receive : exit)
  return { rest: concat(chunks), end: Exit.isFailure(end) ? end.cause : Cause.empty }
})

class Subject {
  readonly steps = new Steps()
  readonly begun = Deferred.makeUnsafe<void>()
  readonly shaken = Deferred.makeUnsafe<void>()
  tap: Tap | undefined
  exit: Exit.Exit<Transport.Transport.Any, unknown> | undefined
  endedAt = 0
  overAt = 0
  pulled = 0
  asked = 0
  examined = 0
  fibers = 0
  rest: Uint8Array | undefined
  restEnd: Cause.Cause<unknown> | undefined
  behind: Exit.Exit<unknown, unknown> | undefined
  private readonly side: Side
  private readonly plan: Plan
  private readonly isFast: boolean
  private readonly now: () => number

  constructor(side: Side, plan: Plan, isFast: boolean, now: () => number) {
    this.side = side
    this.plan = plan
    this.isFast = isFast
    this.now = now
  }

  play(socket: Effect.Effect<Socket.Socket>, observer: Transport.Observer): Effect.Effect<void, unknown> {
    const played = Effect.flatMap(socket, (socket) =>
      !this.isFast
        ? this.converse(this.tapped(socket))
        : this.side.role === "client"
        ? this.converse(this.tapped(Fast.dialled(socket)))
        : Effect.flatMap(Fast.accepted(socket), (socket) => this.serve(this.tapped(socket))))
    const counted = Context.make(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {
        this.fibers++
      },
      recordFiberEnd: () => {
        this.fibers--
      }
    })
    return played.pipe(
      Effect.scoped,
      Effect.provideContext(this.isFast ? counted : Context.add(counted, Transport.CurrentObserver, observer)),
      Effect.onExit(() =>
        Effect.sync(() => {
          this.overAt = this.now()
        })
      )
    )
  }

  private tapped(socket: Socket.Socket): Tap {
    const { isFast } = this
    return this.tap = new Tap(socket, { isFast, counts: this.plan.counts ?? !isFast })
  }

  private converse(tap: Tap): Effect.Effect<void, unknown, Scope.Scope> {
    return this.shaking(tap).pipe(
      Effect.flatMap((transport) => this.goOn(transport)),
      Effect.provideService(Socket.Socket, tap.socket)
    )
  }

  private serve(tap: Tap): Effect.Effect<void> {
    return Fast.serve({
      socket: tap.socket,
      handshake: Effect.flatMap(Progress.CurrentProgress, (progress) => {
        if (progress !== undefined) this.steps.kept = progress
        return this.shaking(tap)
      }),
      serve: (transport) => this.goOn(transport),
      handshakeTimeout: this.side.deadline ?? Duration.infinity,
      onEvent: (event) => this.hear(event)
    })
  }

  /** Only the server knows why it has cut a handshake off. */
  private hear(event: Server.Event): void {
    if (event._tag !== "Refused" && event._tag !== "Failed") return
    if (this.exit === undefined || Exit.hasInterrupts(this.exit)) this.exit = Exit.fail(event.error)
  }

  private shaking(tap: Tap): Handshake {
    return Effect.andThen(Deferred.succeed(this.begun, undefined), this.plan.handshake ?? this.side.handshake).pipe(
      Effect.provideService(Progress.CurrentProgress, this.steps),
      Effect.onExit((exit) => {
        this.exit = exit
        this.endedAt = this.now()
        this.pulled = tap.pulled
        this.asked = tap.asked
        this.examined = tap.examined
        return Deferred.succeed(this.shaken, undefined)
      })
    )
  }

  private goOn(transport: Transport.Transport.Any): Effect.Effect<void, unknown, Scope.Scope> {
    const { behind } = this.plan
    return behind === undefined
      ? Effect.map((this.isFast ? serveAll : readAll)(transport), ({ end, rest }) => {
        this.rest = rest
        this.restEnd = end
      })
      : Effect.map(Effect.exit(behind(transport)), (exit) => {
        this.behind = exit
      })
  }
}

/** A socket that nobody answers. */
const unanswered = (isRefused: boolean): Socket.Socket =>
  Socket.make({
    reader: isRefused
      ? Effect.fail(
        new Socket.SocketError({
          reason: new Socket.SocketOpenError({ kind: "Unknown", cause: new Error("connect ECONNREFUSED") })
        })
      )
      : Effect.never,
    writer: Effect.never
  })

// ---------------------------------------------------------------------------------------------------------------------
// Its peer
// ---------------------------------------------------------------------------------------------------------------------

const unseen = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

/** The peer, on a socket of its own: what it says comes message by message. */
class Opposite {
  readonly shaken = Deferred.makeUnsafe<void>()
  readonly isDone = Deferred.makeUnsafe<void>()
  readonly messages: Array<Uint8Array> = []
  readonly frames: Array<unknown> = []
  readonly hidden: Array<boolean> = []
  altered: Uint8Array | undefined
  exit: Exit.Exit<unknown, unknown> | undefined
  behind: Exit.Exit<unknown, unknown> | undefined
  // How long each frame is that was sent and not seen yet: one write may hold several.
  private readonly lengths: Array<number> = []
  private unfinished: Uint8Array = nothing

  play(peer: Peer, socket: Socket.Socket, { alters, peerBehind: behind }: Plan): Effect.Effect<void> {
    return Effect.exit(peer).pipe(
      Effect.flatMap((exit) => {
        this.exit = exit
        Deferred.doneUnsafe(this.shaken, Exit.void)
        if (Exit.isFailure(exit)) return Effect.void
        // It stays, or its end would be taken for the end of the conversation.
        if (behind === undefined || !Transport.isTransport(exit.value)) return Effect.never
        return Effect.flatMap(Effect.exit(behind(exit.value)), (exit) => {
          this.behind = exit
          Deferred.doneUnsafe(this.isDone, Exit.void)
          return Effect.never
        })
      }),
      Effect.scoped,
      Effect.withSpan("peer", { captureStackTrace: false }),
      Effect.provideContext(
        Context.make(Socket.Socket, socket).pipe(
          // What it lets show is seen where it is under test itself.
          Context.add(Tracer.Tracer, unseen),
          Context.add(References.CurrentLoggers, new Set()),
          Context.add(Metric.MetricRegistry, new Map()),
          Context.add(Transport.CurrentObserver, (event) => {
            if (event._tag !== "Sent") return
            this.lengths.push(event.length)
            this.hidden.push(event.bytes === undefined)
          }),
          Context.add(CurrentRewrite, (frame, say, due) => {
            const index = this.frames.push(frame) - 1
            const instead = alters?.index === index ? alters.apply(frame) : undefined
            if (instead === undefined) return false
            const altered = due()
            const isSaid = say(instead)
            if (isSaid) this.altered = altered
            return isSaid
          })
        )
      )
    )
  }

  /** The messages that are complete with these bytes. */
  take(chunk: Uint8Array): ReadonlyArray<Uint8Array> {
    let bytes = concat([this.unfinished, chunk])
    const found: Array<Uint8Array> = []
    while (this.lengths.length > 0 && this.lengths[0] <= bytes.length) {
      const length = this.lengths.shift()!
      found.push(bytes.subarray(0, length))
      bytes = bytes.subarray(length)
    }
    // Who writes without a transport says one message with each write.
    if (this.lengths.length === 0 && bytes.length > 0) {
      found.push(bytes)
      bytes = nothing
    }
    this.unfinished = bytes
    return found
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// The driver
// ---------------------------------------------------------------------------------------------------------------------

const within = <A, E>(effect: Effect.Effect<A, E>, millis: number) => Effect.timeoutOption(effect, millis)

/** Waits for a fiber, and so long at most. Most are done by then. */
const ending = (fiber: Fiber.Fiber<unknown, unknown>, millis: number): Effect.Effect<unknown> =>
  fiber.pollUnsafe() === undefined ? within(Fiber.await(fiber), millis) : Effect.void

/**
 * Has the conversation. It always ends, and leaves nothing open.
 */
export const converse = (
  rung: Rung.Rung,
  side: Side,
  peer: Peer,
  plan: Plan
): Effect.Effect<Talk, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const { role } = side
    const clock = yield* Clock.Clock
    const start = clock.currentTimeMillisUnsafe()
    const now = () => clock.currentTimeMillisUnsafe() - start
    const recorder = yield* Transcript.recorder
    const subject = new Subject(side, plan, rung.isFast === true, now)
    const opposite = new Opposite()
    const heard: Array<Uint8Array> = []
    const writesBefore: Array<number> = []
    const said: Array<Uint8Array> = []
    const toldIn: Array<string> = []
    const receivedIn: Array<{ readonly step: string; readonly end: number }> = []
    let isEndHeard = false
    let told = 0
    let isTelling = false
    let stoppedAt: number | undefined
    let stoppedIn: string | undefined

    // What is read behind the handshake only to see that it is there is no part of the conversation.
    const observer: Transport.Observer = (event) => {
      if (subject.exit === undefined || plan.behind !== undefined) recorder.observer(event)
      if (subject.exit === undefined && event._tag === "Received") {
        receivedIn.push({ step: subject.steps.step, end: (receivedIn.at(-1)?.end ?? 0) + event.length })
      }
    }
    const begin = (socket: Effect.Effect<Socket.Socket>) =>
      subject.play(socket, observer).pipe(
        Effect.exit,
        Effect.forkScoped({ startImmediately: true })
      )

    const stopped = (): void => {
      stoppedAt = now()
      stoppedIn = subject.steps.step
    }

    const interrupt = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown>) {
      yield* Effect.sleep(rung.lag)
      stopped()
      yield* Effect.forkScoped(Fiber.interrupt(fiber), { startImmediately: true })
    })

    const dialInVain = Effect.gen(function*() {
      const fiber = yield* begin(Effect.succeed(unanswered(plan.dial === "refuse")))
      if (plan.dial === "interrupt") yield* interrupt(fiber)
      yield* within(Fiber.await(fiber), patience(rung))
      return fiber
    })

    const speak = Effect.gen(function*() {
      const link = yield* rung.connect(plan.seed ?? 0)
      // A server is there only when its client has dialled.
      const dialled = link[otherRole(role)]
      const near = Exit.isExit(dialled)
        ? dialled
        : Fiber.join(yield* Effect.forkScoped(dialled, { startImmediately: true }))
      const fiber = yield* begin(link[role])
      const socket = yield* near
      const pull = yield* Socket.readerBytes(socket)
      const writing = yield* Scope.fork(yield* Effect.scope)
      const writer = yield* Scope.provide(socket.writer, writing)
      // What is done to a connection before it is accepted is done to nobody.
      yield* link.server
      yield* Deferred.await(subject.begun)
      // It goes on to its first step.
      yield* Effect.yieldNow

      const [far, there] = Direct.pair()
      const farPull = yield* Socket.readerBytes(far)
      const farWriter = yield* far.writer
      if (plan.script === undefined) {
        // It has a deadline of its own, which begins when it comes.
        const played = opposite.play(plan.peer ?? peer, there, plan)
        yield* Effect.forkScoped(plan.delay === undefined ? played : Effect.delay(played, plan.delay), {
          startImmediately: true
        })
      }

      const listening = yield* Effect.gen(function*() {
        if (plan.deaf !== undefined) yield* Effect.sleep(plan.deaf)
        for (;;) {
          for (const chunk of yield* pull) {
            heard.push(chunk)
            // What the side says last is heard even where its peer has gone.
            yield* Effect.ignore(farWriter.write(chunk))
          }
        }
      }).pipe(
        // The peer hears the end too.
        Effect.onExit(() => {
          isEndHeard = true
          return Effect.ignore(farWriter.write(new Socket.CloseEvent(1000)))
        }),
        Effect.ignore,
        Effect.forkScoped({ startImmediately: true })
      )

      // Whoever waits until it is told: to look again and again would take an hour of ticks where nobody reads any more.
      let whenTold = (): void => {}
      const isTold = Effect.callback<void>((resume) => {
        whenTold = () => resume(Effect.void)
      })

      // Says some bytes, as far as the plan lets it; false where that was the last of them.
      const tell = Effect.fnUntraced(function*(bytes: Uint8Array) {
        const left = plan.stop === undefined ? Infinity : plan.stop.after - told
        isTelling = true
        if (plan.pause !== undefined) yield* Effect.sleep(plan.pause)
        const words = bytes.subarray(0, left)
        for (const piece of plan.lengths === undefined ? [words] : cutInto(words, plan.lengths)) {
          if (plan.hushes === true && subject.exit !== undefined) return false
          if (plan.pace !== undefined && told >= (plan.pace.from ?? 0)) yield* Effect.sleep(plan.pace.millis)
          yield* writer.write(piece)
          told += piece.length
          // Real sockets join what is written in one go.
          if (rung.time === "real" && plan.lengths !== undefined) yield* Effect.yieldNow
        }
        isTelling = false
        whenTold()
        return plan.stop === undefined || told < plan.stop.after
      })

      // What ends the speech calls for it: a fiber for each to wait for would be most of what a conversation costs.
      const allSaid = Deferred.makeUnsafe<void>()
      const finish = () => Deferred.doneUnsafe(allSaid, Exit.void)
      let isStopped = false
      const stop = () => {
        isStopped = true
        finish()
      }
      const saying = Effect.gen(function*() {
        if (plan.delay !== undefined) yield* Effect.sleep(plan.delay)
        if (plan.stop?.after === 0) stop()
        if (plan.script !== undefined) {
          if (!isStopped) yield* tell(plan.script)
          return
        }
        for (;;) {
          for (const chunk of yield* farPull) {
            for (const message of opposite.take(chunk)) {
              const index = opposite.messages.push(message) - 1
              // What the peer says behind the stop is said to nobody.
              if (isStopped) continue
              writesBefore.push(subject.tap?.written.length ?? 0)
              toldIn.push(subject.steps.step)
              const wait = plan.wait?.(index) ?? 0
              if (wait > 0) yield* Effect.sleep(wait)
              const instead = plan.say === undefined ? message : plan.say(index, message)
              said.push(instead)
              const goesOn = yield* tell(instead)
              if (!goesOn) stop()
            }
          }
        }
      })

      // All is said when the plan stops it, when the script or the peer is at its end, when the side under test is done, or
      // both handshakes where nothing is behind them, or when nobody has had anything to say for a while.
      const speech = yield* Effect.forkScoped(Effect.exit(saying), { startImmediately: true })
      speech.addObserver(finish)
      fiber.addObserver(finish)
      if (plan.behind === undefined) {
        yield* Deferred.await(subject.shaken).pipe(
          Effect.andThen(Deferred.await(opposite.shaken)),
          Effect.andThen(Effect.sleep(rung.lag)),
          Effect.andThen(Effect.suspend(function toldAll(): Effect.Effect<void> {
            return isTelling
              ? isTold.pipe(Effect.andThen(Effect.sleep(rung.lag)), Effect.andThen(Effect.suspend(toldAll)))
              : Effect.sync(finish)
          })),
          Effect.forkScoped({ startImmediately: true })
        )
      }
      const most = quietParts(rung)
      const part = quietTime(rung, plan) / most
      yield* Effect.forkScoped(
        Effect.gen(function*() {
          let before = -1
          for (let parts = 0; parts < most; parts++) {
            yield* Effect.sleep(part)
            if (told + heard.length !== before) parts = 0
            before = told + heard.length
          }
          finish()
        }),
        { startImmediately: true }
      )
      yield* Deferred.await(allSaid)

      if (plan.stop !== undefined && told >= plan.stop.after) {
        switch (plan.stop.how) {
          case "end":
            stopped()
            yield* Scope.close(writing, Exit.void)
            break
          case "reset":
            stopped()
            yield* Effect.ignore(writer.write(new Socket.CloseEvent(1006)))
            break
          case "interrupt":
            yield* interrupt(fiber)
            break
          case "stall":
            stopped()
        }
      } else {
        if (plan.later !== undefined) {
          yield* Effect.sleep(plan.later.after)
          yield* within(Effect.ignore(writer.write(plan.later.say)), patience(rung))
        }
        yield* Scope.close(writing, Exit.void)
      }
      yield* ending(fiber, patience(rung))
      if (plan.peerBehind !== undefined) yield* within(Deferred.await(opposite.isDone), 2 * rung.lag)
      // Its last words are on their way still.
      yield* ending(listening, rung.time === "virtual" ? patience(rung) : 1000)
      return fiber
    })

    const fiber = yield* plan.dial === undefined ? speak : dialInVain
    const talk: Talk = {
      // Who keeps what was seen keeps no connection.
      exit: subject.exit && Exit.asVoid(subject.exit),
      endedAt: subject.endedAt,
      stoppedAt,
      stoppedIn,
      isOver: fiber.pollUnsafe() !== undefined,
      overAt: subject.overAt,
      steps: subject.steps.seen,
      step: subject.steps.step,
      isGuarded: subject.steps.isGuarded,
      toldIn,
      receivedIn,
      pulled: subject.pulled,
      asked: subject.asked,
      opened: subject.tap?.opened ?? 0,
      released: subject.tap?.released ?? 0,
      examined: subject.examined,
      fibers: subject.fibers,
      written: subject.tap?.written ?? [],
      writesBefore,
      rest: subject.rest,
      restEnd: subject.restEnd,
      behind: subject.behind,
      messages: opposite.messages,
      said,
      frames: opposite.frames,
      hidden: opposite.hidden,
      altered: opposite.altered,
      isAllTold: told === opposite.messages.reduce((said, message) => said + message.length, 0),
      heard: concat(heard),
      isEndHeard,
      peerExit: opposite.exit && Exit.asVoid(opposite.exit),
      peerBehind: opposite.behind,
      transcript: recorder.entries()
    }
    return talk
  }))
