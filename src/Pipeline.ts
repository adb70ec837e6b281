/**
 * Requests and responses in order over a transport, any number of them under way at once.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { ByteWriter } from "./internal/bytes.ts"
import { closedHere, errorOf } from "./internal/inbox.ts"
import { implOf } from "./internal/transport.ts"
import type * as Transport from "./Transport.ts"
import { TransportError, UnexpectedFrame } from "./TransportError.ts"

/**
 * How many requests of one connection are served at once unless told otherwise: 64.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxInFlight = 64

// A request that was taken and not answered yet. `exit` is undefined for as long as its handler runs.
interface Slot<Out, E> {
  exit: Exit.Exit<Out, E> | undefined
  fiber: Fiber.Fiber<Out, E> | undefined
}

/**
 * Serves each request of a transport with a handler and sends the responses in the order of the requests.
 *
 * **Details**
 *
 * At most `maxInFlight` requests, 64 by default, are with their handlers at once; further ones stay unread, so that a
 * peer that sends faster than it is served is slowed down. Responses that are ready are sent, in one write, before
 * anything waits. A handler whose result is already there costs no fiber.
 *
 * It ends when the peer has ended between two requests and every response is sent; a peer that has only ended its own
 * side still hears them. It fails with the handler's failure, after the responses before it, and with a
 * `TransportError` where the connection broke or a response cannot be encoded. Whatever ends it interrupts the
 * handlers that are still running.
 *
 * **Example** (An echo)
 *
 * ```ts
 * import { Client, Pipeline, Server } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect, Layer } from "effect"
 * import { Socket, SocketServer } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* MemorySocket.network()
 *   yield* Layer.build(
 *     Server.layer({ handshake: Line.server, serve: Pipeline.serve((line) => Effect.succeed(line.toUpperCase())) }).pipe(
 *       Layer.provide(Layer.succeed(SocketServer.SocketServer, network.server))
 *     )
 *   )
 *   const client = yield* Client.connect({ handshake: Line.client }).pipe(
 *     Effect.provideService(Socket.Socket, network.client)
 *   )
 *   return yield* client.call("Hello")
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => HELLO
 * ```
 *
 * @category servers
 * @since 0.1.0
 */
export const serve = <In, Out, E = never, R = never>(
  handler: (request: In) => Effect.Effect<Out, E, R>,
  options?: { readonly maxInFlight?: number | undefined }
) => {
  const maxInFlight = Math.max(1, options?.maxInFlight ?? defaultMaxInFlight)
  return (transport: Transport.Transport<In, Out>): Effect.Effect<void, E | TransportError, R> =>
    Effect.contextWith((context: Context.Context<R>) => {
      const impl = implOf(transport)
      const fork = Effect.runForkWith(context)
      // In the order of the requests.
      const slots: Array<Slot<Out, E>> = []
      let ended = false
      // Set while the loop waits.
      let wake: (() => void) | undefined

      function start(request: In): void {
        const slot: Slot<Out, E> = { exit: undefined, fiber: undefined }
        slots.push(slot)
        let effect: Effect.Effect<Out, E, R>
        try {
          effect = handler(request)
        } catch (defect) {
          effect = Effect.die(defect)
        }
        if (Exit.isExit(effect)) {
          slot.exit = effect as Exit.Exit<Out, E> // the guard forgets what the Effect's own type says
          return
        }
        const fiber = fork(effect)
        slot.exit = fiber.pollUnsafe()
        if (slot.exit !== undefined) return
        slot.fiber = fiber
        fiber.addObserver((exit) => {
          slot.exit = exit
          if (slots[0] === slot) wake?.()
        })
      }

      // Takes what there is and has room. The result is why the connection cannot be served any further.
      function take(): Exit.Exit<never, TransportError> | undefined {
        while (!ended && slots.length < maxInFlight) {
          const requests = impl.takeAll(maxInFlight - slots.length)
          if (Exit.isExit(requests)) {
            ended = true
            return errorOf(requests)?.reason._tag === "ConnectionClosed" ? undefined : requests
          }
          if (requests.length === 0) return undefined
          for (const request of requests) start(request)
        }
        return undefined
      }

      const wait = Effect.callback<void>((resume) => {
        let cancel: (() => void) | undefined
        const stop = () => {
          wake = undefined
          cancel?.()
        }
        wake = () => {
          stop()
          resume(Effect.void)
        }
        // Bytes that are there already wake at once.
        if (!ended && slots.length < maxInFlight) cancel = impl.connection.onReadable(() => wake?.())
        return Effect.sync(stop)
      })

      const loop: Effect.Effect<void, E | TransportError> = Effect.suspend(() => {
        const broken = take()
        const into = new ByteWriter()
        let answered = 0
        let failure: Effect.Effect<never, E | TransportError> | undefined
        while (failure === undefined && answered < slots.length) {
          const exit = slots[answered].exit
          if (exit === undefined) break
          if (Exit.isFailure(exit)) {
            failure = Effect.failCause(exit.cause)
            break
          }
          const unencodable = impl.encode(exit.value, into)
          if (unencodable !== undefined) failure = Effect.fail(unencodable)
          answered++
        }
        slots.splice(0, answered)
        failure ??= broken
        const chunks = into.finish()
        if (chunks.length > 0) return Effect.andThen(impl.connection.write(chunks), failure ?? loop)
        if (failure !== undefined) return failure
        if (ended && slots.length === 0) return Effect.void
        return Effect.andThen(wait, loop)
      })

      return Effect.onExit(
        loop,
        () => Fiber.interruptAll(slots.flatMap((slot) => slot.exit === undefined && slot.fiber ? [slot.fiber] : []))
      )
    })
}

/**
 * Calls over one transport.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client<in Request, out Response> {
  /**
   * Sends a request and waits for its response.
   *
   * **Details**
   *
   * Fails with nothing sent where the request cannot be encoded, and with the end of the connection where that comes
   * before the response. An interrupted call never shifts another call's response: its own is dropped when it comes.
   */
  readonly call: (request: Request) => Effect.Effect<Response, TransportError>
  /** Fails when the connection has ended, with how. */
  readonly awaitEnd: Effect.Effect<never, TransportError>
}

/**
 * Makes calls over a transport whose peer answers in order.
 *
 * **Details**
 *
 * At most `maxInFlight` calls, 64 by default, are sent and not answered at once; further ones wait. Requests that are
 * made together travel together. When the connection ends, every waiting call fails with how it ended, and so does
 * every later one. A response to no request ends the use of the connection as `UnexpectedFrame`.
 *
 * @category clients
 * @since 0.1.0
 */
export const client = Effect.fnUntraced(function*<In, Out>(
  transport: Transport.Transport<In, Out>,
  options?: { readonly maxInFlight?: number | undefined }
): Effect.fn.Return<Client<Out, In>, never, Scope.Scope> {
  const impl = implOf(transport)
  const scope = yield* Effect.scope
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const permits = Semaphore.makeUnsafe(Math.max(1, options?.maxInFlight ?? defaultMaxInFlight))

  // One for each request that was sent and not answered, in order. A call that was interrupted leaves its place, so that
  // the response to it goes nowhere else.
  const unanswered: Array<Call<In>> = []
  const watchers = new Set<(end: Exit.Exit<never, TransportError>) => void>()
  const outbox = new ByteWriter()
  let end: Exit.Exit<never, TransportError> | undefined
  let flushing = false

  const finish = (exit: Exit.Exit<never, TransportError>): Effect.Effect<unknown> =>
    Effect.suspend(() => {
      if (end !== undefined) return Effect.void
      end = exit
      const calls = unanswered.splice(0)
      for (const call of calls) call.settle(exit)
      watchers.forEach((watcher) => watcher(exit))
      return permits.release(calls.length)
    })

  const receive: Effect.Effect<unknown> = Effect.suspend(() => {
    const responses = impl.takeAll(Infinity)
    if (Exit.isExit(responses)) return finish(responses)
    if (responses.length === 0) return Effect.andThen(impl.connection.readable, receive)
    const due = Math.min(responses.length, unanswered.length)
    const calls = unanswered.splice(0, due)
    for (let i = 0; i < due; i++) calls[i].settle(Exit.succeed(responses[i]))
    const next = due === responses.length ? receive : finish(Exit.fail(
      new TransportError({
        reason: new UnexpectedFrame({ expected: "no response", excerpt: impl.show(responses[due]) })
      })
    ))
    return Effect.andThen(permits.release(due), next)
  })

  const flush: Effect.Effect<unknown> = Effect.suspend(() => {
    const chunks = outbox.finish()
    if (chunks.length === 0 || end !== undefined) {
      flushing = false
      return Effect.void
    }
    return Effect.matchEffect(impl.connection.write(chunks), {
      onSuccess: () => flush,
      onFailure: (error) => finish(Exit.fail(error))
    })
  })

  const track = Fiber.runIn(scope)

  function send(request: Out): Call<In> | Effect.Effect<never, TransportError> {
    if (end !== undefined) return end
    const unencodable = impl.encode(request, outbox)
    if (unencodable !== undefined) return Effect.fail(unencodable)
    const call = new Call<In>()
    unanswered.push(call)
    if (!flushing) {
      flushing = true
      // Not at once: the calls that are made in the same turn travel in one write.
      queueMicrotask(() => track(fork(flush)))
    }
    return call
  }

  track(fork(receive))
  yield* Scope.addFinalizer(scope, finish(Exit.fail(closedHere)))

  return {
    call: (request) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(permits.take(1)), () => {
          const sent = send(request)
          return sent instanceof Call ? restore(sent.response) : Effect.andThen(permits.release(1), sent)
        })
      ),
    awaitEnd: Effect.suspend(() =>
      end ?? Effect.callback<never, TransportError>((resume) => {
        watchers.add(resume)
        return Effect.sync(() => watchers.delete(resume))
      })
    )
  }
})

class Call<A> {
  private exit: Exit.Exit<A, TransportError> | undefined = undefined
  private resume: ((exit: Exit.Exit<A, TransportError>) => void) | undefined = undefined

  settle(exit: Exit.Exit<A, TransportError>): void {
    this.exit = exit
    this.resume?.(exit)
  }

  readonly response: Effect.Effect<A, TransportError> = Effect.callback((resume) => {
    if (this.exit !== undefined) return resume(this.exit)
    this.resume = resume
  })
}
