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
import type { Reader } from "./internal/connection.ts"
import { closedHere, errorOf } from "./internal/inbox.ts"
import { implOf, type TransportImpl } from "./internal/transport.ts"
import type * as Transport from "./Transport.ts"
import { TransportError, UnexpectedFrame } from "./TransportError.ts"

/**
 * How many requests of one connection are served at once unless told otherwise: 64.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxInFlight = 64

// A request that was taken and has to wait for its answer. `exit` is undefined for as long as its handler runs.
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
      const serving = new Serving(implOf(transport), handler, maxInFlight, Effect.runForkWith(context))
      return Effect.onExit(serving.run, () => serving.interruptHandlers)
    })
}

const ready = Object.getPrototypeOf(Exit.void)

/** Whether an Effect is its own result: what `Exit.isExit` asks, for a success several times as fast. */
const isReady = <A, E>(effect: Effect.Effect<A, E, unknown>): effect is Exit.Exit<A, E> =>
  Object.getPrototypeOf(effect) === ready || Exit.isExit(effect)

type Fork<R> = <A, E>(effect: Effect.Effect<A, E, R>) => Fiber.Fiber<A, E>

/**
 * One transport that is served. It runs on the connection's own events: a chunk whose requests are answered at once costs
 * no fiber. Each turn takes, starts, answers and writes as much as it can:
 *
 * | | reads on | is woken by |
 * |---|---|---|
 * | has room | yes | bytes, the end, the answer that is next |
 * | as many requests as it may have | no | the answer that is next, a connection that is given up |
 * | a write that has to wait | no | the end of the write |
 * | the peer has ended | no | the answer that is next |
 */
class Serving<In, Out, E, R> {
  private readonly impl: TransportImpl<In, Out>
  private readonly handler: (request: In) => Effect.Effect<Out, E, R>
  private readonly maxInFlight: number
  private readonly fork: Fork<R>
  // In the order of the requests.
  private readonly slots: Array<Slot<Out, E>> = []
  private answers: Array<Out> = []
  private readonly outbox = new ByteWriter()
  private reader!: Reader
  private writing: Fiber.Fiber<void, TransportError> | undefined = undefined
  private ended = false
  private failure: Effect.Effect<never, E | TransportError> | undefined = undefined
  private state: "idle" | "turning" | "over" = "idle"
  private hasNews = false
  private finish!: (effect: Effect.Effect<void, E | TransportError>) => void

  constructor(
    impl: TransportImpl<In, Out>,
    handler: (request: In) => Effect.Effect<Out, E, R>,
    maxInFlight: number,
    fork: Fork<R>
  ) {
    this.impl = impl
    this.handler = handler
    this.maxInFlight = maxInFlight
    this.fork = fork
  }

  readonly run: Effect.Effect<void, E | TransportError> = Effect.callback((resume) => {
    this.finish = (effect) => {
      this.stop()
      resume(effect)
    }
    this.reader = this.impl.connection.reader(() => this.turn())
    this.turn()
    return Effect.suspend(() => {
      this.stop()
      return this.writing === undefined ? Effect.void : Fiber.interrupt(this.writing)
    })
  })

  /** Whoever is woken from here on comes too late. */
  private stop(): void {
    this.state = "over"
    this.reader.stop()
  }

  readonly interruptHandlers: Effect.Effect<void> = Effect.suspend(() =>
    Fiber.interruptAll(this.slots.flatMap(({ exit, fiber }) => exit === undefined && fiber ? [fiber] : []))
  )

  private turn(): void {
    this.hasNews = true
    // What happens in a turn, such as a handler that is done at once, belongs to that turn.
    if (this.state !== "idle") return
    this.state = "turning"
    while (this.hasNews && this.writing === undefined) {
      this.hasNews = false
      this.answerNext()
      this.noticeEnd()
      this.take()
      if (this.write()) return
    }
    this.state = "idle"
    if (this.writing === undefined && !this.ended && this.slots.length < this.maxInFlight) this.reader.resume()
    else this.reader.pause()
  }

  // Who has no room takes nothing, and would not see that there is nobody left to answer.
  private noticeEnd(): void {
    const { end } = this.impl.connection.inbox
    if (end === undefined || end.reason._tag === "ConnectionClosed" || this.slots.length < this.maxInFlight) return
    this.failure ??= Effect.fail(end)
  }

  // Takes what there is and has room.
  private take(): void {
    while (this.failure === undefined && !this.ended && this.slots.length < this.maxInFlight) {
      const requests = this.impl.takeAll(this.maxInFlight - this.slots.length)
      if (Exit.isExit(requests)) {
        this.ended = true
        if (errorOf(requests)?.reason._tag !== "ConnectionClosed") this.failure = requests
        return
      }
      if (requests.length === 0) return
      for (const request of requests) this.start(request)
    }
  }

  private start(request: In): void {
    if (this.failure !== undefined) return
    let effect: Effect.Effect<Out, E, R>
    try {
      effect = this.handler(request)
    } catch (defect) {
      effect = Effect.die(defect)
    }
    let exit: Exit.Exit<Out, E> | undefined
    let fiber: Fiber.Fiber<Out, E> | undefined
    if (isReady(effect)) {
      exit = effect
    } else {
      fiber = this.fork(effect)
      exit = fiber.pollUnsafe()
    }
    if (exit !== undefined && this.slots.length === 0) return this.answer(exit)
    const slot: Slot<Out, E> = { exit, fiber }
    this.slots.push(slot)
    if (exit !== undefined) return
    fiber!.addObserver((exit) => {
      slot.exit = exit
      if (this.slots[0] === slot) this.turn()
    })
  }

  private answer(exit: Exit.Exit<Out, E>): void {
    if (Exit.isFailure(exit)) {
      this.failure = Effect.failCause(exit.cause)
      return
    }
    this.answers.push(exit.value)
  }

  /** Answers the requests that are next. */
  private answerNext(): void {
    const { slots } = this
    let answered = 0
    while (this.failure === undefined && answered < slots.length) {
      const { exit } = slots[answered]
      if (exit === undefined) break
      this.answer(exit)
      answered++
    }
    if (answered > 0) slots.splice(0, answered)
  }

  /** Writes the answers. True where there is nothing left to do. */
  private write(): boolean {
    if (this.answers.length > 0) {
      const unencodable = this.impl.encodeAll(this.answers, this.outbox)
      this.answers = []
      // It comes before whatever has failed behind it.
      if (unencodable !== undefined) this.failure = Effect.fail(unencodable)
    }
    const chunks = this.outbox.finish()
    const left = chunks.length === 0 ? undefined : this.impl.connection.writeNow(chunks)
    if (left !== undefined) this.wait(left)
    else if (this.isDone) {
      this.finish(this.failure ?? Effect.void)
      return true
    }
    return false
  }

  private get isDone(): boolean {
    return this.failure !== undefined || (this.ended && this.slots.length === 0)
  }

  private wait(left: Effect.Effect<void, TransportError>): void {
    const writing = this.fork(left)
    const written = (exit: Exit.Exit<void, TransportError>) => {
      this.writing = undefined
      if (Exit.isFailure(exit)) this.failure ??= Effect.failCause(exit.cause)
    }
    const exit = writing.pollUnsafe()
    if (exit !== undefined) {
      written(exit)
      this.hasNews = true
      return
    }
    this.writing = writing
    writing.addObserver((exit) => {
      written(exit)
      this.turn()
    })
  }
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
