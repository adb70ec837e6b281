/**
 * The side under test, as it is watched in a conversation.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../Codec.ts"
import { concat } from "../../internal/bytes/primitives.ts"
import { OnEvents } from "../../internal/connection/onEvents.ts"
import type { Accepted } from "../../internal/dialogue/turns.ts"
import * as Progress from "../../internal/handshake/progress.ts"
import * as Pipeline from "../../Pipeline.ts"
import type * as Server from "../../Server.ts"
import * as Transport from "../../Transport.ts"
import * as Fast from "./fast.ts"
import type { Handshake, Plan, Side } from "./talk.ts"
import { Tap } from "./tap.ts"
import { type Watch, watched } from "./watched.ts"

type Raw = Transport.Transport<Uint8Array, Uint8Array>

const nothing = new Uint8Array(0)

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

export class Subject {
  readonly steps = new Steps()
  readonly begun = Deferred.makeUnsafe<void>()
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
  /** Called when its handshake has ended. */
  private readonly onShaken: () => void

  constructor(side: Side, plan: Plan, isFast: boolean, now: () => number, onShaken: () => void) {
    this.side = side
    this.plan = plan
    this.isFast = isFast
    this.now = now
    this.onShaken = onShaken
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
      handshake: this.handshake instanceof OnEvents ? this.shakingOnEvents(this.handshake, tap) : Effect.flatMap(
        Progress.CurrentProgress,
        (progress) => {
          if (progress !== undefined) this.steps.kept = progress
          return this.shaking(tap)
        }
      ),
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

  private get handshake(): Handshake {
    return this.plan.handshake ?? this.side.handshake
  }

  private shaking(tap: Tap): Handshake {
    return Effect.andThen(Deferred.succeed(this.begun, undefined), this.handshake).pipe(
      Effect.provideService(Progress.CurrentProgress, this.steps),
      Effect.onExit((exit) => Effect.sync(() => this.shaken(tap, exit)))
    )
  }

  /** The same, for the server to run without a fiber. */
  private shakingOnEvents(
    handshake: OnEvents<Transport.Transport.Any, unknown, Socket.Socket | Scope.Scope, Accepted>,
    tap: Tap
  ): Handshake {
    return watched(
      handshake,
      (): Watch<Transport.Transport.Any, unknown, Transport.Transport.Any, unknown, never, Accepted> => {
        Deferred.doneUnsafe(this.begun, Exit.void)
        return {
          surroundings: (accepted: Accepted): Accepted => {
            this.steps.kept = accepted.progress
            return {
              progress: this.steps,
              ofServer: accepted.ofServer,
              get context() {
                return accepted.context
              }
            }
          },
          onExit: (exit) => this.shaken(tap, exit),
          behind: (exit) => exit
        }
      }
    )
  }

  private shaken(tap: Tap, exit: Exit.Exit<Transport.Transport.Any, unknown>): void {
    this.exit = exit
    this.endedAt = this.now()
    this.pulled = tap.pulled
    this.asked = tap.asked
    this.examined = tap.examined
    this.onShaken()
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
export const unanswered = (isRefused: boolean): Socket.Socket =>
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
