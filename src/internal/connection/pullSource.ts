/**
 * The source of any `Socket`: it pulls the socket's reader, one chunk for each time that bytes are wanted.
 *
 * @internal
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Peer from "../../Peer.ts"
import type { Chunks, Source, SourceEvents } from "./source.ts"

type Pulled = Exit.Exit<NonEmptyReadonlyArray<Uint8Array | string>, Socket.SocketError>

const encoder = new TextEncoder()
const nothing = new Uint8Array(0)

/**
 * How long a write may wait for a peer that has ended its own side. A half-closed peer may still take answers, but the
 * socket cannot tell it from one that is gone.
 */
const halfClosedWrite = Duration.seconds(5)

const writeFailed = (message: string) =>
  new Socket.SocketError({ reason: new Socket.SocketWriteError({ cause: new Error(message) }) })

const readFailed = (cause: unknown) => new Socket.SocketError({ reason: new Socket.SocketReadError({ cause }) })

const isCleanEnd = (error: Socket.SocketError): boolean =>
  error.reason._tag === "SocketCloseError" && error.reason.code === 1000

// A defect of the socket's reader ends the connection too, or whoever waits for a frame would wait for ever. It is
// interrupted only with the end of the scope, where nobody waits for a reason.
const failureOf = (cause: Cause.Cause<Socket.SocketError>): Socket.SocketError | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = Cause.squash(cause)
  const failure = Socket.isSocketError(error) ? error : readFailed(error)
  return isCleanEnd(failure) ? undefined : failure
}

export const make = Effect.fnUntraced(function*(socket: Socket.Socket) {
  const scope = yield* Effect.scope
  const reader = yield* socket.reader
  const writing = yield* Scope.fork(scope)
  const writer = yield* Scope.provide(socket.writer, writing)
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  let events: SourceEvents | undefined
  let wanted = false
  let pulling: Fiber.Fiber<unknown, unknown> | undefined
  // A pull may wake whoever writes at the other end, and bytes whoever reads here: what they want of this source meanwhile
  // comes behind the bytes that are on their way.
  let isBusy = false
  let pullsAgain = false
  let ending: Fiber.Fiber<void> | undefined
  let end: { readonly error: Socket.SocketError | undefined } | undefined
  // Called when the end has come; there is one writer at most.
  let onEnd: (() => void) | undefined

  function pulled(exit: Pulled): void {
    pulling = undefined
    isBusy = true
    if (exit._tag === "Success") {
      for (const chunk of exit.value) events!.onBytes(typeof chunk === "string" ? encoder.encode(chunk) : chunk)
    } else {
      end ??= { error: failureOf(exit.cause) }
      events!.onEnd(end.error)
      onEnd?.()
    }
    isBusy = false
  }

  // Pulls until nothing is wanted. A pull that completes at once is taken in the loop: no deeper stack per chunk.
  function pull(): void {
    if (isBusy) {
      pullsAgain = true
      return
    }
    while (pulling === undefined && end === undefined) {
      isBusy = true
      pullsAgain = false
      const fiber = fork(reader.pull)
      const exit = fiber.pollUnsafe()
      isBusy = false
      if (exit === undefined) {
        pulling = fiber
        pullsAgain = false
        fiber.addObserver((exit) => {
          pulled(exit)
          if (wanted || pullsAgain) pull()
        })
        return
      }
      pulled(exit)
      if (!wanted && !pullsAgain) return
    }
  }

  yield* Scope.addFinalizer(
    scope,
    Effect.sync(() => {
      wanted = false
      pulling?.interruptUnsafe()
    })
  )

  const write = (chunks: Chunks): Effect.Effect<void, Socket.SocketError> =>
    Effect.suspend(() => {
      if (end?.error !== undefined) return Effect.fail(end.error)
      if (end !== undefined) {
        // After the peer's end the connection may be half-closed or gone, and a write to one that is gone never ends.
        // An empty write tells them apart: on a live connection, with one writer, it completes at once.
        const probe = fork(writer.write(nothing))
        if (probe.pollUnsafe() === undefined) {
          probe.interruptUnsafe()
          return Effect.fail(writeFailed("the connection is closed"))
        }
      }
      const fiber = fork(
        chunks.length === 1
          ? writer.write(chunks[0])
          : writer.writeAll(chunks as NonEmptyReadonlyArray<Uint8Array | string>)
      )
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return exit
      const written = Effect.callback<void, Socket.SocketError>((resume) => {
        const off = fiber.addObserver(resume)
        const watch = () => {
          if (end?.error !== undefined) return resume(Effect.fail(end.error))
          resume(
            Effect.timeoutOrElse(Fiber.join(fiber), {
              duration: halfClosedWrite,
              orElse: () => Effect.fail(writeFailed("the peer has ended the connection and does not take the rest"))
            })
          )
        }
        if (end !== undefined) return watch()
        onEnd = watch
        // The writer does not notice the end of a connection; the reader does.
        pull()
        return Effect.sync(off)
      })
      return Effect.onExit(written, () =>
        Effect.sync(() => {
          onEnd = undefined
          fiber.interruptUnsafe()
        }))
    })

  const source: Source = {
    peer: Peer.unknown,
    attach: (to) => {
      events = to
    },
    resume: () => {
      wanted = true
      pull()
    },
    pause: () => {
      wanted = false
    },
    write,
    endWrite: () => {
      ending ??= fork(Scope.close(writing, Exit.void))
      return ending.pollUnsafe() !== undefined
    },
    onFlushed: (done) => {
      if (ending === undefined) done()
      else ending.addObserver(done)
    },
    abort: (error) => {
      end ??= { error }
      onEnd?.()
    }
  }
  return source
})
