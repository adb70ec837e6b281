/**
 * Drives a simulated connection: tells it the time, wakes those who wait for it, and sleeps until it has something to do.
 *
 * @internal
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { concat } from "../../internal/bytes/primitives.ts"
import { closeError } from "./closeError.ts"
import { type Arrival, type End, type Failure, Link, type LinkRules } from "./networkLink.ts"

type Pulled = NonEmptyReadonlyArray<Uint8Array>
type Resume<A> = (effect: Effect.Effect<A, Socket.SocketError>) => void

/**
 * What the network that a connection belongs to runs on.
 *
 * Its time is microseconds since it began, and whole ones: what happens does not depend on when it began, not even by the
 * last bit of a sum, so that the same seed gives the same run.
 */
export class Host {
  private readonly clock: Clock.Clock
  private readonly start: number
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

  constructor(clock: Clock.Clock, fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>) {
    this.clock = clock
    this.start = clock.currentTimeMillisUnsafe()
    this.fork = fork
  }

  now(): number {
    return Math.round(1000 * (this.clock.currentTimeMillisUnsafe() - this.start))
  }

  sleep(micros: number): Effect.Effect<void> {
    return this.clock.sleep(Duration.millis(micros / 1000))
  }
}

const encoder = new TextEncoder()

export const socketError = (reason: Socket.SocketErrorReason) => new Socket.SocketError({ reason })

const writeError = (cause = new Error("socket closed")) => socketError(new Socket.SocketWriteError({ cause }))

const pullError = (failure: Failure) =>
  failure._tag === "Closed"
    ? closeError(failure.code)
    : socketError(new Socket.SocketReadError({ cause: failure.error }))

/** One end, and those who wait at it. */
export class Port {
  readonly end: End
  readonly connection: Connection
  pulling: Resume<Pulled> | undefined = undefined
  writing: Array<Resume<void>> = []

  constructor(end: End, connection: Connection) {
    this.end = end
    this.connection = connection
  }

  /** Of two that pull at once the older never hears again, as on Node. */
  readonly pull: Effect.Effect<Pulled, Socket.SocketError> = Effect.callback((resume) => {
    this.pulling = resume
    this.connection.settle()
    if (this.pulling !== resume) return
    return Effect.sync(() => {
      if (this.pulling === resume) this.pulling = undefined
    })
  })

  write(bytes: Uint8Array): Effect.Effect<void, Socket.SocketError> {
    // Node never answers who writes to what is gone.
    if (this.end.destroyed) return Effect.never
    const error = this.connection.act((now) => this.end.write(bytes, now))
    if (error !== undefined) return Effect.fail(writeError(error))
    return this.end.isFull ? this.drained : Effect.void
  }

  private readonly drained: Effect.Effect<void, Socket.SocketError> = Effect.callback((resume) => {
    this.writing.push(resume)
    this.connection.settle()
    return Effect.sync(() => {
      this.writing = this.writing.filter((other) => other !== resume)
    })
  })

  /** Wakes one of those who wait, if there is something for it. It takes what it finds in the same step. */
  wake(now: number): boolean {
    const { end, pulling } = this
    const taken = pulling === undefined ? undefined : end.take(now)
    if (pulling !== undefined && taken !== undefined) {
      this.pulling = undefined
      pulling(taken instanceof Uint8Array ? Effect.succeed([taken]) : Effect.fail(pullError(taken)))
      return true
    }
    if (this.writing.length > 0 && (end.destroyed || end.isDrained)) {
      const resume = this.writing.shift()!
      resume(end.destroyed ? Effect.fail(writeError(end.error)) : Effect.void)
      return true
    }
    return false
  }
}

export class Connection {
  readonly client: Port
  readonly server: Port
  private readonly link: Link
  private readonly host: Host
  private timer: Fiber.Fiber<unknown> | undefined = undefined
  private timerAt = 0

  constructor(rules: LinkRules, host: Host, onArrival: (arrival: Arrival, at: number) => void) {
    this.link = new Link(rules, onArrival)
    this.host = host
    this.client = new Port(this.link.client, this)
    this.server = new Port(this.link.server, this)
    this.act((now) => this.link.open(now))
  }

  act<A>(f: (now: number) => A): A {
    const now = this.host.now()
    this.link.advance(now)
    const result = f(now)
    this.settleAt(now)
    return result
  }

  settle(): void {
    this.settleAt(this.host.now())
  }

  private settleAt(now: number): void {
    do {
      this.link.advance(now)
      // Whoever is woken runs at once, and may act on this connection in turn.
    } while (this.client.wake(now) || this.server.wake(now))
    this.arm(now)
  }

  private arm(now: number): void {
    const due = Math.ceil(this.link.due)
    if (due === Infinity || (this.timer !== undefined && this.timerAt <= due)) return
    this.timer?.interruptUnsafe()
    this.timer = undefined
    this.timerAt = due
    const timer = this.host.fork(
      Effect.andThen(
        this.host.sleep(due - now),
        Effect.sync(() => {
          this.timer = undefined
          // A clock may wake a little early.
          this.settleAt(Math.max(due, this.host.now()))
        })
      )
    )
    // A sleep that is too short to be one is over by now, and another may have begun.
    if (timer.pollUnsafe() === undefined) this.timer = timer
  }
}

/**
 * One side's socket. Each acquisition of its reader opens a port, and the writer belongs to the one that was opened last.
 */
export const socketOf = (open: Effect.Effect<Port, Socket.SocketError>): Socket.Socket => {
  let current: Port | undefined
  const latch = Latch.makeUnsafe(false)

  const acquire = Effect.flatMap(open, (port): Effect.Effect<Port, Socket.SocketError> => {
    const { end } = port
    if (end.isClosed) {
      return Effect.fail(
        socketError(
          end.error === undefined
            ? new Socket.SocketCloseError({ code: 1000 })
            : new Socket.SocketOpenError({ kind: "Unknown", cause: end.error })
        )
      )
    }
    return Effect.succeed(port)
  })
  const release = ({ connection, end }: Port) =>
    Effect.sync(() => {
      current = undefined
      latch.closeUnsafe()
      connection.act((now) => end.close(now))
    })
  const reader: Effect.Effect<Socket.Reader, Socket.SocketError, Scope.Scope> = Effect.map(
    Effect.acquireRelease(acquire, release),
    (port) => {
      current = port
      latch.openUnsafe()
      return { pull: port.pull, upgrade: Socket.SocketUpgradeError.unsupported }
    }
  )

  const withPort = (
    f: (port: Port) => Effect.Effect<void, Socket.SocketError>
  ): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => current === undefined ? latch.whenOpen(withPort(f)) : f(current))

  const close = ({ connection, end }: Port, { code }: Socket.CloseEvent) => {
    connection.act((now) => code > 1000 ? end.fail(new Error(`closed with code ${code}`), now) : end.destroy(now))
    return Effect.void
  }
  const writer: Socket.Writer = {
    write: (chunk) => withPort((port) => Socket.isCloseEvent(chunk) ? close(port, chunk) : port.write(bytesOf(chunk))),
    writeAll: (chunks) => withPort((port) => port.write(bytesOfAll(chunks)))
  }
  const end = Effect.sync(() => {
    const port = current
    port?.connection.act((now) => port.end.end(now))
  })

  return Socket.make({ reader, writer: Effect.acquireRelease(Effect.succeed(writer), () => end) })
}

// Whoever wrote keeps its array and may use it again.
const bytesOf = (chunk: Uint8Array | string): Uint8Array =>
  typeof chunk === "string" ? encoder.encode(chunk) : chunk.slice()

const bytesOfAll = (chunks: NonEmptyReadonlyArray<Uint8Array | string>): Uint8Array =>
  chunks.length === 1
    ? bytesOf(chunks[0])
    : concat(chunks.map((chunk) => typeof chunk === "string" ? encoder.encode(chunk) : chunk))
