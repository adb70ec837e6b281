/**
 * The driver's end of the connection of a side under test: what is said to it, and what is heard of it.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Direct from "./direct.ts"
import { PipeEnd } from "./pipe.ts"
import type { Timers } from "./simulation.ts"

/** The driver's end of the connection of the side under test. */
export interface Near {
  /** Writes, or fails; what it returns is still to be done. */
  readonly write: (bytes: Uint8Array) => Effect.Effect<void, unknown> | undefined
  readonly end: Effect.Effect<void>
  readonly reset: Effect.Effect<void>
  /** Called once, and the end once. */
  readonly listen: (onBytes: (chunk: Uint8Array) => void, onEnd: () => void) => Effect.Effect<void, never, Scope.Scope>
}

/** Calls of functions: a fiber that reads and one that writes would be half of what a conversation costs. */
const directly = (end: Direct.End): Effect.Effect<Near, never, Scope.Scope> =>
  Effect.as(Effect.addFinalizer(() => Effect.sync(() => end.endWrite(1000))), {
    write: (bytes) => end.put([bytes]) ? undefined : Effect.fail("it cannot be written any more"),
    end: Effect.sync(() => end.endWrite(1000)),
    reset: Effect.sync(() => end.endWrite(1006)),
    listen: (onBytes, onEnd) => Effect.sync(() => listenAt(end, onBytes, onEnd))
  })

/** What comes while the last of it is still being handed on waits for that. */
export const listenAt = (end: Direct.End, onBytes: (chunk: Uint8Array) => void, onEnd: () => void): void => {
  const waiting: Array<Uint8Array | undefined> = []
  let isBusy = false
  const handOn = (chunk: Uint8Array | undefined) => {
    waiting.push(chunk)
    if (isBusy) return
    isBusy = true
    while (waiting.length > 0) {
      const next = waiting.shift()
      if (next === undefined) onEnd()
      else onBytes(next)
    }
    isBusy = false
  }
  end.source.attach({ onBytes: handOn, onEnd: () => handOn(undefined) })
  end.source.resume()
}

/** The same at an end of a connection in memory. */
const atPipe = (end: PipeEnd): Effect.Effect<Near, never, Scope.Scope> =>
  Effect.as(Effect.addFinalizer(() => Effect.sync(() => end.close())), {
    write: (bytes) => end.write(bytes),
    end: Effect.sync(() => end.endWrite(1000)),
    reset: Effect.sync(() => end.endWrite(1006)),
    listen: (onBytes, onEnd) => Effect.sync(() => end.listen(onBytes, onEnd))
  })

const overSocket = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const pull = yield* Socket.readerBytes(socket)
  const writing = yield* Scope.fork(yield* Effect.scope)
  const writer = yield* Scope.provide(socket.writer, writing)
  const near: Near = {
    write: (bytes) => writer.write(bytes),
    end: Scope.close(writing, Exit.void),
    reset: Effect.ignore(writer.write(new Socket.CloseEvent(1006))),
    listen: (onBytes, onEnd) =>
      Effect.gen(function*() {
        for (;;) for (const chunk of yield* pull) onBytes(chunk)
      }).pipe(
        Effect.onExit(() => Effect.sync(onEnd)),
        Effect.ignore,
        Effect.forkScoped({ startImmediately: true }),
        Effect.asVoid
      )
  }
  return near
})

/** What whoever speaks waits for: some milliseconds, an effect, or that there is more to say. */
export type Wait = number | Effect.Effect<void, unknown> | "more"

/** Whoever speaks, without a fiber: most of it waits for nothing. */
export class Speech {
  private readonly course: Generator<Wait, void>
  private readonly after: Timers["after"]
  private readonly fork: (effect: Effect.Effect<void, unknown>) => Fiber.Fiber<void, unknown>
  private readonly onEnd: () => void
  private wantsMore = false
  /** Gives up what it waits for. */
  private giveUp: (() => void) | undefined = undefined
  private isOver = false

  constructor(
    course: Generator<Wait, void>,
    after: Timers["after"],
    fork: (effect: Effect.Effect<void, unknown>) => Fiber.Fiber<void, unknown>,
    onEnd: () => void
  ) {
    this.course = course
    this.after = after
    this.fork = fork
    this.onEnd = onEnd
  }

  /** Goes on until it has to wait. */
  go(): void {
    while (!this.isOver) {
      this.giveUp = undefined
      const { done, value } = this.course.next()
      if (done === true) return this.end()
      if (value === "more") {
        this.wantsMore = true
        return
      }
      if (typeof value === "number" && value > 0) {
        this.giveUp = this.after(value, () => this.go())
        return
      }
      const fiber = this.fork(typeof value === "number" ? Effect.yieldNow : value)
      const exit = fiber.pollUnsafe()
      if (exit === undefined) {
        this.giveUp = () => fiber.interruptUnsafe()
        fiber.addObserver((exit) => Exit.isSuccess(exit) ? this.go() : this.end())
        return
      }
      if (Exit.isFailure(exit)) return this.end()
    }
  }

  /** There is more to say. */
  more(): void {
    if (!this.wantsMore) return
    this.wantsMore = false
    this.go()
  }

  /** It says no more. */
  stop(): void {
    this.isOver = true
    this.giveUp?.()
  }

  private end(): void {
    if (this.isOver) return
    this.isOver = true
    this.onEnd()
  }
}

/** The driver's end of a connection. */
export const nearOf = (socket: Socket.Socket): Effect.Effect<Near, Socket.SocketError, Scope.Scope> => {
  if (PipeEnd.is(socket)) return atPipe(socket)
  const end = Direct.endOf(socket)
  return end === undefined ? overSocket(socket) : directly(end)
}
