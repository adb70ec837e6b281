/**
 * What is done with requests and responses around a handler: validation, timeouts, limits, failures that become
 * responses.
 *
 * A handler is a plain function from a request to an Effect, as `Pipeline.serve` takes one. What is here takes a handler
 * and gives one, so that they compose with `pipe`; the last one sees the request first. A result that is already there
 * stays so: none of them makes a fiber necessary where the handler has none.
 *
 * For what is done with frames, see `Middleware`.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Semaphore from "effect/Semaphore"
import type { ExcludeTag, ExtractTag, Tags } from "effect/Types"
import { inTime } from "./internal/connection/inTime.ts"

/**
 * Answers requests.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service<in Request, out Response, out E = never, out R = never> {
  (request: Request): Effect.Effect<Response, E, R>
}

/** The Exit that an Effect is already. The guard of `Exit` forgets what the Effect's own type says. */
const exitOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Exit.Exit<A, E> | undefined =>
  Exit.isExit(effect) ? effect as Exit.Exit<A, E> : undefined

// What is piped into `catch` may give a union of Effects, of which only its own type tells the errors.
type Handler = (request: never) => Effect.Effect<unknown, unknown, unknown>
type Request<F extends Handler> = Parameters<F>[0]
type Failure<F extends Handler> = Effect.Error<ReturnType<F>>

const catch_: {
  <F extends Handler, Response2, E2, R2>(
    onFailure: (error: Failure<F>, request: Request<F>) => Effect.Effect<Response2, E2, R2>
  ): (
    self: F
  ) => Service<Request<F>, Effect.Success<ReturnType<F>> | Response2, E2, Effect.Services<ReturnType<F>> | R2>
  <Request, Response, E, R, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    onFailure: (error: E, request: Request) => Effect.Effect<Response2, E2, R2>
  ): Service<Request, Response | Response2, E2, R | R2>
} = dual(
  2,
  <Request, Response, E, R, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    onFailure: (error: E, request: Request) => Effect.Effect<Response2, E2, R2>
  ): Service<Request, Response | Response2, E2, R | R2> =>
  (request) => {
    const effect = self(request)
    const exit = exitOf(effect)
    if (exit === undefined) return Effect.catch(effect, (error) => onFailure(error, request))
    if (Exit.isSuccess(exit)) return Exit.succeed(exit.value)
    const { reasons } = exit.cause
    // What has failed in several ways is for Effect to judge.
    return reasons.length === 1 && reasons[0]._tag === "Fail"
      ? onFailure(reasons[0].error, request)
      : Effect.catch(exit, (error) => onFailure(error, request))
  }
)

export {
  /**
   * Answers a request whose handler has failed.
   *
   * **When to use**
   *
   * Use to make the protocol's error response of a handler's typed failure, which would end the connection otherwise.
   *
   * **Details**
   *
   * Defects and interruption pass, as with `Effect.catch`.
   *
   * **Example** (A failure that becomes a response)
   *
   * ```ts
   * import { Service } from "effect-handshake"
   * import { Effect, pipe } from "effect"
   *
   * const handler = pipe(
   *   (line: string) => line === "divide by zero" ? Effect.fail("undefined") : Effect.succeed("42"),
   *   Service.catch((error, line) => Effect.succeed(`ERR ${line}: ${error}`))
   * )
   *
   * console.log(await Effect.runPromise(handler("divide by zero"))) // => ERR divide by zero: undefined
   * ```
   *
   * @category error handling
   * @since 0.1.0
   */
  catch_ as catch
}

/**
 * Answers a request whose handler has failed with an error of this tag; other failures pass.
 *
 * **Example** (Refused requests get a response)
 *
 * ```ts
 * import { Service } from "effect-handshake"
 * import { Effect, pipe } from "effect"
 *
 * const handler = pipe(
 *   (line: string) => Effect.succeed(line.toUpperCase()),
 *   Service.validateRequest((line) => line === "" ? "it is empty" : undefined),
 *   Service.catchTag("InvalidRequest", (error) => Effect.succeed(`ERR ${error.problem}`))
 * )
 *
 * console.log(await Effect.runPromise(Effect.all([handler("Hello"), handler("")]))) // => [ 'HELLO', 'ERR it is empty' ]
 * ```
 *
 * @category error handling
 * @since 0.1.0
 */
export const catchTag: {
  <F extends Handler, const K extends Tags<Failure<F>>, Response2, E2, R2>(
    tag: K,
    onFailure: (error: ExtractTag<Failure<F>, K>, request: Request<F>) => Effect.Effect<Response2, E2, R2>
  ): (self: F) => Service<
    Request<F>,
    Effect.Success<ReturnType<F>> | Response2,
    ExcludeTag<Failure<F>, K> | E2,
    Effect.Services<ReturnType<F>> | R2
  >
  <Request, Response, E, R, const K extends Tags<E>, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    tag: K,
    onFailure: (error: ExtractTag<E, K>, request: Request) => Effect.Effect<Response2, E2, R2>
  ): Service<Request, Response | Response2, ExcludeTag<E, K> | E2, R | R2>
} = dual(
  3,
  <Request, Response, E, R, const K extends Tags<E>, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    tag: K,
    onFailure: (error: ExtractTag<E, K>, request: Request) => Effect.Effect<Response2, E2, R2>
  ): Service<Request, Response | Response2, ExcludeTag<E, K> | E2, R | R2> =>
    catch_(
      self,
      (error: E, request: Request): Effect.Effect<Response2, ExcludeTag<E, K> | E2, R2> =>
        typeof error === "object" && error !== null && "_tag" in error && error._tag === tag
          // The tag says which of the errors it is, and which it is not.
          ? onFailure(error as ExtractTag<E, K>, request)
          : Exit.fail(error as ExcludeTag<E, K>)
    )
)

/**
 * A request was refused by `validateRequest`. The `problem` is in the words of the one that has found it.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", { problem: Schema.String }) {
  override get message(): string {
    return `the request is invalid: ${this.problem}`
  }
}

/**
 * The response of a handler was refused by `validateResponse`; it was not sent.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidResponse
  extends Schema.TaggedError<InvalidResponse>()("InvalidResponse", { problem: Schema.String })
{
  override get message(): string {
    return `the response is invalid: ${this.problem}`
  }
}

/**
 * Refuses requests that the handler shall not see.
 *
 * **Details**
 *
 * The check says what is wrong, or `undefined` where nothing is. A request that it refuses fails as `InvalidRequest`, and
 * the handler is not called. Left alone, that ends the connection; {@link catchTag} makes the protocol's error response
 * of it.
 *
 * **Gotchas**
 *
 * A problem that quotes the request can carry what the peer likes; `Transport.show` makes a printable excerpt of it.
 *
 * @category validation
 * @since 0.1.0
 */
export const validateRequest: {
  <Request>(
    check: (request: Request) => string | undefined
  ): <Response, E, R>(
    self: Service<Request, Response, E, R>
  ) => Service<Request, Response, E | InvalidRequest, R>
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    check: (request: Request) => string | undefined
  ): Service<Request, Response, E | InvalidRequest, R>
} = dual(
  2,
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    check: (request: Request) => string | undefined
  ): Service<Request, Response, E | InvalidRequest, R> =>
  (request) => {
    const problem = check(request)
    return problem === undefined ? self(request) : Exit.fail(new InvalidRequest({ problem }))
  }
)

/**
 * Refuses responses that the peer shall not see.
 *
 * **Details**
 *
 * The check says what is wrong, or `undefined` where nothing is. A response that it refuses fails as `InvalidResponse` and
 * is not sent.
 *
 * **Example** (A response that is no answer)
 *
 * ```ts
 * import { Service } from "effect-handshake"
 * import { Effect, pipe } from "effect"
 *
 * const handler = pipe(
 *   (line: string) => Effect.succeed(line.trim()),
 *   Service.validateResponse((line) => line === "" ? "there is nothing in it" : undefined)
 * )
 *
 * const error = await Effect.runPromise(Effect.flip(handler("   ")))
 * console.log(error.message) // => the response is invalid: there is nothing in it
 * ```
 *
 * @category validation
 * @since 0.1.0
 */
export const validateResponse: {
  <Request, Response>(
    check: (response: Response, request: Request) => string | undefined
  ): <E, R>(self: Service<Request, Response, E, R>) => Service<Request, Response, E | InvalidResponse, R>
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    check: (response: Response, request: Request) => string | undefined
  ): Service<Request, Response, E | InvalidResponse, R>
} = dual(
  2,
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    check: (response: Response, request: Request) => string | undefined
  ): Service<Request, Response, E | InvalidResponse, R> =>
  (request) => {
    const checked = (response: Response): Exit.Exit<Response, InvalidResponse> => {
      const problem = check(response, request)
      return problem === undefined ? Exit.succeed(response) : Exit.fail(new InvalidResponse({ problem }))
    }
    const effect = self(request)
    const exit = exitOf(effect)
    if (exit === undefined) return Effect.flatMap(effect, checked)
    return Exit.isSuccess(exit) ? checked(exit.value) : exit
  }
)

const within = <Request, Response, E, R, Response2, E2, R2>(
  self: Service<Request, Response, E, R>,
  duration: Duration.Duration,
  late: (request: Request) => Effect.Effect<Response2, E2, R2>
): Service<Request, Response | Response2, E | E2, R | R2> => {
  const millis = Duration.toMillis(duration)
  return (request) => {
    const effect = self(request)
    return exitOf(effect) ?? inTime(effect, millis, () => late(request))
  }
}

/**
 * Bounds the time that a request may take: later it is interrupted and fails with Effect's `TimeoutError`.
 *
 * **Details**
 *
 * The time begins when the handler does, and includes what it waits for, such as a {@link limit} inside.
 *
 * @see {@link timeoutOrElse} for a response of the protocol's own
 *
 * @category timeouts
 * @since 0.1.0
 */
export const timeout: {
  (duration: Duration.Input): <Request, Response, E, R>(
    self: Service<Request, Response, E, R>
  ) => Service<Request, Response, E | Cause.TimeoutError, R>
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    duration: Duration.Input
  ): Service<Request, Response, E | Cause.TimeoutError, R>
} = dual(
  2,
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    duration: Duration.Input
  ): Service<Request, Response, E | Cause.TimeoutError, R> => {
    const bound = Duration.fromInputUnsafe(duration)
    // As Effect says it.
    const late = () => Effect.fail(new Cause.TimeoutError(`Operation timed out after '${Duration.format(bound)}'`))
    return within(self, bound, late)
  }
)

/**
 * Bounds the time that a request may take: later it is interrupted, and `orElse` answers it.
 *
 * **Example** (Too slow)
 *
 * ```ts
 * import { Service } from "effect-handshake"
 * import { Effect, pipe } from "effect"
 *
 * const handler = pipe(
 *   (line: string) => Effect.delay(Effect.succeed(line), "1 minute"),
 *   Service.timeoutOrElse({ duration: "10 millis", orElse: (line) => Effect.succeed(`TIMEOUT ${line}`) })
 * )
 *
 * console.log(await Effect.runPromise(handler("Hello"))) // => TIMEOUT Hello
 * ```
 *
 * @category timeouts
 * @since 0.1.0
 */
export const timeoutOrElse: {
  <Request, Response2, E2, R2>(options: {
    readonly duration: Duration.Input
    readonly orElse: (request: Request) => Effect.Effect<Response2, E2, R2>
  }): <Response, E, R>(
    self: Service<Request, Response, E, R>
  ) => Service<Request, Response | Response2, E | E2, R | R2>
  <Request, Response, E, R, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    options: {
      /** How long a request may take. */
      readonly duration: Duration.Input
      /** The response where it takes longer. */
      readonly orElse: (request: Request) => Effect.Effect<Response2, E2, R2>
    }
  ): Service<Request, Response | Response2, E | E2, R | R2>
} = dual(
  2,
  <Request, Response, E, R, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    options: {
      readonly duration: Duration.Input
      readonly orElse: (request: Request) => Effect.Effect<Response2, E2, R2>
    }
  ): Service<Request, Response | Response2, E | E2, R | R2> =>
    within(self, Duration.fromInputUnsafe(options.duration), options.orElse)
)

/**
 * Bounds how many requests are served at once, those of all connections together: further ones wait for a permit.
 *
 * **When to use**
 *
 * Use for what many connections share, such as a database. For the requests of one connection there is the
 * `maxInFlight` of its `Pipeline`.
 *
 * **Details**
 *
 * All handlers that are given the same semaphore share it. What waits counts as in flight for its connection, so that
 * this is felt by the peers as well. A result that is there at once needs no permit.
 *
 * **Example** (One at a time)
 *
 * ```ts
 * import { Service } from "effect-handshake"
 * import { Effect, Semaphore } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const semaphore = yield* Semaphore.make(1)
 *   let running = 0
 *   const handler = Service.limit(
 *     (line: string) =>
 *       Effect.acquireUseRelease(
 *         Effect.sync(() => ++running),
 *         (running) => Effect.delay(Effect.succeed(`${line} of ${running}`), "1 millis"),
 *         () => Effect.sync(() => running--)
 *       ),
 *     semaphore
 *   )
 *   return yield* Effect.all([handler("one"), handler("one")], { concurrency: "unbounded" })
 * })
 *
 * console.log(await Effect.runPromise(program)) // => [ 'one of 1', 'one of 1' ]
 * ```
 *
 * @category concurrency
 * @since 0.1.0
 */
export const limit: {
  (semaphore: Semaphore.Semaphore): <Request, Response, E, R>(
    self: Service<Request, Response, E, R>
  ) => Service<Request, Response, E, R>
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    semaphore: Semaphore.Semaphore
  ): Service<Request, Response, E, R>
} = dual(
  2,
  <Request, Response, E, R>(
    self: Service<Request, Response, E, R>,
    semaphore: Semaphore.Semaphore
  ): Service<Request, Response, E, R> =>
  (request) => {
    const effect = self(request)
    return exitOf(effect) ?? semaphore.withPermit(effect)
  }
)

/**
 * Bounds how many requests are served at once, those of all connections together: further ones are answered by
 * `orElse`, and their handler does not run.
 *
 * **Details**
 *
 * As with {@link limit}, a result that is there at once needs no permit.
 *
 * **Example** (Too many)
 *
 * ```ts
 * import { Service } from "effect-handshake"
 * import { Effect, pipe, Semaphore } from "effect"
 *
 * const program = Effect.gen(function*() {
 *   const handler = pipe(
 *     (line: string) => Effect.delay(Effect.succeed(line), "1 millis"),
 *     Service.limitOrElse({ semaphore: yield* Semaphore.make(1), orElse: () => Effect.succeed("BUSY") })
 *   )
 *   return yield* Effect.all([handler("one"), handler("two")], { concurrency: "unbounded" })
 * })
 *
 * console.log(await Effect.runPromise(program)) // => [ 'one', 'BUSY' ]
 * ```
 *
 * @category concurrency
 * @since 0.1.0
 */
export const limitOrElse: {
  <Request, Response2, E2, R2>(options: {
    readonly semaphore: Semaphore.Semaphore
    readonly orElse: (request: Request) => Effect.Effect<Response2, E2, R2>
  }): <Response, E, R>(
    self: Service<Request, Response, E, R>
  ) => Service<Request, Response | Response2, E | E2, R | R2>
  <Request, Response, E, R, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    options: {
      /** How many requests are with the service at once: one permit each. */
      readonly semaphore: Semaphore.Semaphore
      /** The response where there is no permit. */
      readonly orElse: (request: Request) => Effect.Effect<Response2, E2, R2>
    }
  ): Service<Request, Response | Response2, E | E2, R | R2>
} = dual(
  2,
  <Request, Response, E, R, Response2, E2, R2>(
    self: Service<Request, Response, E, R>,
    options: {
      readonly semaphore: Semaphore.Semaphore
      readonly orElse: (request: Request) => Effect.Effect<Response2, E2, R2>
    }
  ): Service<Request, Response | Response2, E | E2, R | R2> =>
  (request) => {
    const effect = self(request)
    return exitOf(effect) ??
      Effect.flatMap(
        options.semaphore.withPermitsIfAvailable(1)(effect),
        Option.match({
          onNone: (): Effect.Effect<Response | Response2, E2, R2> => options.orElse(request),
          onSome: (response) => Exit.succeed(response)
        })
      )
  }
)
