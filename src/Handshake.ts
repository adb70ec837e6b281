/**
 * The handshake as an Effect: its type, and the steps that build one.
 *
 * A handshake is an ordinary Effect that needs a `Socket`, speaks over it, and ends with a `Transport`, or fails with a
 * `HandshakeError` that names the step. The steps of this module are combinators over such Effects; what they do not
 * cover is written with `Effect.gen` over `transport.run` and `transport.send`. The two mix freely: what a step is
 * given first may be a handshake or a transport.
 *
 * @stability stable
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as Codec from "./Codec.ts"
import * as Excerpt from "./Excerpt.ts"
import {
  HandshakeError,
  InvalidGreeting,
  isReason,
  type Reason,
  reasonOf,
  Rejected,
  Timeout
} from "./HandshakeError.ts"
import * as Connection from "./internal/connection/connection.ts"
import type { Secrecy } from "./internal/connection/inbox.ts"
import { inTime } from "./internal/connection/inTime.ts"
import { isReady } from "./internal/connection/onEvents.ts"
import { CurrentByteLimit, implOf, secretly } from "./internal/connection/transport.ts"
import * as Progress from "./internal/handshake/progress.ts"
import { traceless } from "./internal/handshake/traceless.ts"
import { unlessAnswered } from "./internal/handshake/unlessAnswered.ts"
import type * as Peer from "./Peer.ts"
import * as Transport from "./Transport.ts"
import { isTransportError, type TransportError } from "./TransportError.ts"

/**
 * An Effect that shakes hands over the `Socket` in its context and ends with the transport behind the handshake.
 *
 * **Details**
 *
 * The connection belongs to the scope, and is closed with it, however the handshake ends. A handshake may be
 * interrupted at any point, and leaves nothing else behind.
 *
 * @category models
 * @since 0.1.0
 */
export type Handshake<In, Out, E = never, R = never> = Effect.Effect<
  Transport.Transport<In, Out>,
  HandshakeError | E,
  Socket.Socket | Scope.Scope | R
>

/**
 * What a handshake makes of the failures in it: a `TransportError` and a bare reason become a `HandshakeError`, others
 * pass.
 *
 * @category models
 * @since 0.1.0
 */
export type Failure<E> = HandshakeError | Exclude<E, TransportError | Reason>

type Any = Transport.Transport.Any
type Receiving = Transport.Transport.Receiving
type In<T> = Transport.Transport.In<T>
type Out<T> = Transport.Transport.Out<T>

const isStepError = (error: unknown): error is TransportError | Reason => isTransportError(error) || isReason(error)

/** What is not yet an error of the handshake becomes one, at the step that is under way when it comes. */
const atStep = <E>(
  cause: Cause.Cause<E>,
  progress: Progress.Progress | undefined,
  step: () => string
): Cause.Cause<Failure<E>> =>
  Cause.map(cause, (error) =>
    isStepError(error)
      ? traceless(() =>
        new HandshakeError({
          protocol: progress?.protocol ?? Progress.unnamed,
          step: step(),
          reason: isTransportError(error) ? reasonOf(error) : error
        })
      )
      : error as Exclude<E, TransportError | Reason>)

/** This side has said no in these words. */
const noIn = (said: string): Rejected => traceless(() => new Rejected({ by: "local", said, retryable: true }))

/** A handshake fails at the step that was begun last. */
const failing = <A, E, R>(self: Effect.Effect<A, E, R>, progress: Progress.Progress): Effect.Effect<A, Failure<E>, R> =>
  Effect.catchCause(self, (cause) => Effect.failCause(atStep(cause, progress, () => progress.step)))

/**
 * Names a step, for a part of a handshake that is written by hand.
 *
 * **Details**
 *
 * Inside it a `TransportError` becomes a `HandshakeError` at this step, and so does a bare reason such as
 * `new HandshakeError.UnsupportedVersion(…)`. Other failures pass.
 *
 * The step that opens the connection is called `connect`: another name tells yours from it.
 *
 * **Example** (A step in `Effect.gen`)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { Effect, Option, Sink } from "effect"
 *
 * const server = Effect.gen(function*() {
 *   const transport = yield* Transport.framed(Codec.lines())
 *   const name = yield* transport.run(Sink.head<string>()).pipe(Handshake.step("name"))
 *   yield* transport.send(`Hello ${Option.getOrElse(name, () => "whoever you are")}`)
 *   return transport
 * }).pipe(Handshake.named("hello"))
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const step: {
  (
    name: string
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Failure<E>, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    name: string
  ): Effect.Effect<A, Failure<E>, R>
} = dual(
  2,
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    name: string
  ): Effect.Effect<A, Failure<E>, R> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const progress = Context.get(context, Progress.CurrentProgress)
      const step = () => name
      progress?.begin(step, undefined)
      return isDone(self) ? self : Effect.catchCause(self, (cause) => Effect.failCause(atStep(cause, progress, step)))
    })
)

/** Nothing can go wrong any more in what has succeeded. */
const isDone = <A, E, R>(effect: Effect.Effect<A, E, R>): effect is Exit.Success<A> =>
  isReady(effect) && Exit.isSuccess(effect)

const isDataFirst = (args: IArguments): boolean => Effect.isEffect(args[0]) || Transport.isTransport(args[0])

/** A step. It runs once for each connection, so that it makes no more functions than it needs. */
const then = <T extends Receiving, T2, E, R, E2, R2>(
  self: T | Effect.Effect<T, E, R>,
  name: (transport: T) => string,
  act: (
    transport: T,
    secrecy: Secrecy | undefined,
    progress: Progress.Progress | undefined
  ) => Effect.Effect<T2, E2, R2>,
  options?: VerifyOptions<T>
): Effect.Effect<T2, Failure<E | E2>, R | R2> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const progress = Context.get(context, Progress.CurrentProgress)
    // The last step is the first to run: those before it learn from it that a secret is to come.
    const secrecy = secretOr(options?.secret, Context.get(context, Progress.SecretAhead))
    let begun: T | undefined
    const begin = (transport: T): Effect.Effect<T2, E2, R2> => {
      begun = transport
      if (progress !== undefined) {
        progress.begin(name, transport)
        progress.isGuarded = secrecy === "guarded"
      }
      return act(transport, secrecy, progress)
    }
    const failed = (cause: Cause.Cause<E | E2>): Effect.Effect<never, Failure<E | E2>> => {
      // What comes before the first step is the opening of the connection.
      const step = () => begun === undefined ? progress?.step ?? Progress.connect : name(begun)
      const failure = Effect.failCause(atStep(cause, progress, step))
      const reply = options?.orReply
      return begun !== undefined && reply !== undefined && deservesReply(cause)
        ? Effect.andThen(lastWord(begun, reply), failure)
        : failure
    }
    // A handshake by hand has its transport already.
    if (!Effect.isEffect(self)) {
      const acted = begin(self)
      return isDone(acted) ? acted : Effect.catchCause(acted, failed)
    }
    const before = options?.secret === true ? Effect.provideService(self, Progress.SecretAhead, true) : self
    return Effect.catchCause(Effect.flatMap(before, begin), failed)
  })

const secretOr = (secret: boolean | undefined, isSecretAhead: boolean): Secrecy | undefined =>
  secret === true ? "secret" : secret === undefined && isSecretAhead ? "guarded" : undefined

const equals = (a: unknown, b: unknown): boolean => {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    return a.length === b.length && a.every((byte, i) => byte === b[i])
  }
  return a === b || Equal.equals(a, b)
}

// A peer that does not even take the refusal changes nothing about why it is refused.
const lastWord = <T extends Receiving>(transport: T, reply: Out<T>): Effect.Effect<void> =>
  // What it sends, only the type of the reply tells.
  Effect.ignore(Transport.farewell(transport as Receiving as Transport.Transport<unknown, Out<T>>, [reply]))

// Whether there is somebody to answer who said something wrong. To a peer that said no itself, or that left without a
// word, there is nothing to say.
const deservesReply = (cause: Cause.Cause<unknown>): boolean => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return isTransportError(error)
    ? error.fault === "peer" && error.reason._tag !== "ConnectionClosed"
    : isReason(error) && error.fault === "peer" && error._tag !== "Rejected"
}

/**
 * How `Handshake.expect` takes what it does not expect.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExpectOptions<T> {
  /**
   * What is said to a peer that sends anything else, or something that is no frame. Without it the connection is just
   * closed.
   */
  readonly orReply?: Out<T> | undefined
  /** The peer's ways of saying no. They fail as `Rejected`. */
  readonly rejections?: ReadonlyArray<In<T>> | undefined
  /** Whether a peer that said no is worth another try, later or elsewhere. Default: true. */
  readonly retryable?: boolean | undefined
  /** The name of the step; by default it tells what is expected. */
  readonly name?: string | undefined
  /**
   * Whether the frame is a secret that no error and no transcript may show. Default: false. But where a later step of
   * the same pipe receives a secret, no error shows what this step has refused, for it may be that secret, said too
   * early; an explicit `false` shows it.
   */
  readonly secret?: boolean | undefined
}

/**
 * Receives one frame that must be this one.
 *
 * **Details**
 *
 * Frames are compared by value. A frame among the `rejections` fails as `Rejected`, any other as `InvalidGreeting`;
 * before it fails, the peer hears `orReply`, also where its frame is too long, malformed or cut off.
 *
 * **Example** (The server of the line protocol)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 *
 * const server = Transport.framed(Codec.lines()).pipe(
 *   Handshake.expect("You ready?", { orReply: "No! Go away!" }),
 *   Handshake.send("Bring it!")
 * )
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const expect: {
  <T extends Receiving = Any>(
    expected: In<T>,
    options?: ExpectOptions<T>
  ): <E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<T, Failure<E>, R>
  <T extends Receiving = Any, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    expected: In<T>,
    options?: ExpectOptions<T>
  ): Effect.Effect<T, Failure<E>, R>
} = dual(
  isDataFirst,
  <T extends Receiving, E, R>(
    self: T | Effect.Effect<T, E, R>,
    expected: In<T>,
    options?: ExpectOptions<T>
  ): Effect.Effect<T, Failure<E>, R> =>
    receive(
      self,
      options?.name ??
        ((transport) => options?.secret === true ? "expect a secret" : `expect ${Transport.show(transport, expected)}`),
      (frame, transport): Effect.Effect<T, Reason> =>
        equals(frame, expected)
          ? Effect.succeed(transport)
          : Effect.fail(unexpected(transport, frame, expected, options)),
      options
    )
)

const unexpected = <T extends Receiving>(
  transport: T,
  frame: In<T>,
  expected: In<T>,
  options: ExpectOptions<T> | undefined
): Reason => {
  // What is known beforehand is not what has to be guarded.
  const known = (frame: In<T>) => options?.secret === true ? Excerpt.redacted : implOf(transport).describe(frame)
  return options?.rejections?.some((rejection) => equals(frame, rejection)) === true
    ? new Rejected({ by: "peer", said: known(frame), retryable: options.retryable ?? true })
    : new InvalidGreeting({ expected: known(expected), received: Transport.show(transport, frame) })
}

/**
 * How `Handshake.verify`, `Handshake.exchange` and `Handshake.receive` take a frame that is refused.
 *
 * @category models
 * @since 0.1.0
 */
export interface VerifyOptions<T> {
  /** What is said to a peer whose frame is refused, or that sends something that is no frame. */
  readonly orReply?: Out<T> | undefined
  /**
   * Whether the frame is a secret that no error and no transcript may show. Default: false. But where a later step of
   * the same pipe receives a secret, no error shows what this step has refused, for it may be that secret, said too
   * early; an explicit `false` shows it.
   */
  readonly secret?: boolean | undefined
}

/**
 * Receives one frame and lets a function decide about it.
 *
 * **Details**
 *
 * The function refuses a frame by failing with a reason of `HandshakeError`. Where that is the peer's fault, and not a
 * rejection by the peer, the peer hears `orReply`. Other failures pass.
 *
 * **Example** (A version that must be known)
 *
 * ```ts
 * import { Codec, Handshake, HandshakeError, Transport } from "effect-handshake"
 * import { Effect } from "effect"
 *
 * const server = Transport.framed(Codec.lines()).pipe(
 *   Handshake.verify("version", (line, transport) =>
 *     line === "HELLO 2"
 *       ? Effect.void
 *       : Effect.fail(
 *         new HandshakeError.UnsupportedVersion({ offered: Transport.show(transport, line), supported: ["HELLO 2"] })
 *       ), {
 *     orReply: "UNSUPPORTED"
 *   })
 * )
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const verify: {
  <T extends Receiving = Any, D extends Decision = Decision>(
    name: string | ((transport: T) => string),
    decide: (frame: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): <E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<T, Failure<E | Effect.Error<D>>, R | Effect.Services<D>>
  <T extends Receiving = Any, D extends Decision = Decision, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    name: string | ((transport: T) => string),
    decide: (frame: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): Effect.Effect<T, Failure<E | Effect.Error<D>>, R | Effect.Services<D>>
} = dual(
  isDataFirst,
  <T extends Receiving, D extends Decision, E, R>(
    self: T | Effect.Effect<T, E, R>,
    name: string | ((transport: T) => string),
    decide: (frame: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): Effect.Effect<T, Failure<E | Effect.Error<D>>, R | Effect.Services<D>> =>
    then(
      self,
      nameOf(name),
      (transport, secrecy) => Effect.as(received(transport, decide, secrecy), transport),
      options
    )
)

/**
 * Receives one frame, lets a function decide about it, and ends with what the function has made of it.
 *
 * **When to use**
 *
 * Use in a handshake that is written by hand, for what the next step depends on: a user's name, a version, a challenge.
 * Where the frame is not needed afterwards, use {@link verify}, which goes on with the transport.
 *
 * **Details**
 *
 * It has the options of {@link verify}, and decides and answers as that does: a frame that is refused, or bytes that
 * are no frame, are answered with `orReply`, and the failure is that of the step `name`. The function may fail with
 * several reasons. When it is interrupted while it waits, it has taken nothing.
 *
 * **Example** (A version that both sides know)
 *
 * ```ts
 * import { Codec, Handshake, HandshakeError, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const server = Effect.gen(function*() {
 *   const transport = yield* Transport.framed(Codec.lines())
 *   const version = yield* Handshake.receive(transport, "version", (line) => {
 *     const [word, version] = line.split(" ")
 *     if (word !== "HELLO") {
 *       return Effect.fail(new HandshakeError.InvalidGreeting({ expected: "HELLO", received: Transport.show(transport, line) }))
 *     }
 *     return version === "1" || version === "2"
 *       ? Effect.succeed(version)
 *       : Effect.fail(new HandshakeError.UnsupportedVersion({ offered: `${version}`, supported: ["1", "2"] }))
 *   }, { orReply: "UNSUPPORTED" })
 *   yield* transport.send(`WELCOME ${version}`)
 *   return Transport.extend(transport, { version })
 * }).pipe(Handshake.named("hello"))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const client = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, there)
 *   yield* client.send("HELLO 2")
 *   return yield* Effect.provideService(server, Socket.Socket, here)
 * })
 *
 * const { version } = await Effect.runPromise(Effect.scoped(program))
 * console.log(version) // => 2
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const receive: {
  <T extends Receiving = Any, D extends Decision = Decision>(
    name: string | ((transport: T) => string),
    decide: (frame: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): <E = never, R = never>(
    self: T | Effect.Effect<T, E, R>
  ) => Effect.Effect<Effect.Success<D>, Failure<E | Effect.Error<D>>, R | Effect.Services<D>>
  <T extends Receiving = Any, D extends Decision = Decision, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    name: string | ((transport: T) => string),
    decide: (frame: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): Effect.Effect<Effect.Success<D>, Failure<E | Effect.Error<D>>, R | Effect.Services<D>>
} = dual(
  isDataFirst,
  <T extends Receiving, D extends Decision, E, R>(
    self: T | Effect.Effect<T, E, R>,
    name: string | ((transport: T) => string),
    decide: (frame: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): Effect.Effect<Effect.Success<D>, Failure<E | Effect.Error<D>>, R | Effect.Services<D>> =>
    then(
      self,
      nameOf(name),
      (transport, secrecy) => received(transport, decide, secrecy),
      options
    )
)

/** What a function makes of a frame. Its own type is inferred whole, so that it may fail with several reasons. */
type Decision = Effect.Effect<unknown, unknown, unknown>

const nameOf = <T>(name: string | ((transport: T) => string)): (transport: T) => string =>
  typeof name === "string" ? () => name : name

/** Receives a frame that is decided about. */
const received = <T extends Receiving, D extends Decision>(
  transport: T,
  decide: (frame: In<T>, transport: T) => D,
  secrecy: Secrecy | undefined
) =>
  secretly(
    implOf(transport),
    secrecy,
    Effect.flatMap(
      transport.receive,
      // What it is an Effect of is what is inferred of its type.
      (frame: In<T>) =>
        decide(frame, transport) as Effect.Effect<Effect.Success<D>, Effect.Error<D>, Effect.Services<D>>
    )
  )

/** Says it at once, and returns what is left to do. */
const say = <T extends Any>(transport: T, frame: Out<T>): Effect.Effect<T, TransportError> => {
  const left = implOf(transport).sendNow(frame)
  return left === undefined ? Effect.succeed(transport) : Effect.as(unlessAnswered(transport, left), transport)
}

/**
 * Sends one frame.
 *
 * **Details**
 *
 * With `secret: true` no error and no transcript shows the frame. `name` is the name of the step; by default it tells
 * what is sent.
 *
 * @category steps
 * @since 0.1.0
 */
export const send: {
  <T extends Any>(
    frame: Out<T>,
    options?: { readonly name?: string | undefined; readonly secret?: boolean | undefined }
  ): <E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<T, Failure<E>, R>
  <T extends Any, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    frame: Out<T>,
    options?: {
      /** The name of the step. Default: what is sent. */
      readonly name?: string | undefined
      /** Whether the frame is a secret that no error and no transcript may show. Default: false. */
      readonly secret?: boolean | undefined
    }
  ): Effect.Effect<T, Failure<E>, R>
} = dual(
  isDataFirst,
  <T extends Any, E, R>(
    self: T | Effect.Effect<T, E, R>,
    frame: Out<T>,
    options?: { readonly name?: string | undefined; readonly secret?: boolean | undefined }
  ): Effect.Effect<T, Failure<E>, R> =>
    then(
      self,
      (transport) =>
        options?.name ?? (options?.secret === true ? "send a secret" : `send ${Transport.show(transport, frame)}`),
      (transport) =>
        options?.secret === true
          ? secretly(implOf(transport), "secret", Effect.suspend(() => say(transport, frame)))
          : say(transport, frame)
    )
)

/**
 * Sends one frame, receives one, and lets a function decide about it: a question with its answer, as one step.
 *
 * @see {@link verify} for how the function decides
 *
 * @category steps
 * @since 0.1.0
 */
export const exchange: {
  <T extends Any, D extends Decision = Decision>(
    name: string,
    request: Out<T>,
    decide: (reply: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): <E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<T, Failure<E | Effect.Error<D>>, R | Effect.Services<D>>
  <T extends Any, D extends Decision = Decision, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    name: string,
    request: Out<T>,
    decide: (reply: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): Effect.Effect<T, Failure<E | Effect.Error<D>>, R | Effect.Services<D>>
} = dual(
  isDataFirst,
  <T extends Any, D extends Decision, E, R>(
    self: T | Effect.Effect<T, E, R>,
    name: string,
    request: Out<T>,
    decide: (reply: In<T>, transport: T) => D,
    options?: VerifyOptions<T>
  ): Effect.Effect<T, Failure<E | Effect.Error<D>>, R | Effect.Services<D>> =>
    verify(send(self, request, { name, secret: options?.secret }), name, decide, options)
)

/**
 * Turns the peer away: sends the reply, makes sure that it is heard before the connection closes, and fails.
 *
 * **Details**
 *
 * By default the reason is a `Rejected` by this side, which means that there is no room. Where the peer is turned away
 * for what it has said, give that as the reason, such as an `InvalidGreeting`: events and metrics count by it.
 *
 * **Example** (By hand, in `Effect.gen`)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { Effect } from "effect"
 *
 * const server = Effect.gen(function*() {
 *   const transport = yield* Transport.framed(Codec.lines())
 *   const line = yield* transport.receive
 *   if (line !== "You ready?") return yield* Handshake.refuse(transport, "No! Go away!")
 *   yield* transport.send("Bring it!")
 *   return transport
 * }).pipe(Handshake.named("line"))
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const refuse: {
  <T extends Any>(
    reply: Out<T>,
    reason?: Reason
  ): <E = never, R = never>(self: T | Effect.Effect<T, E, R>) => Effect.Effect<never, Failure<E>, R>
  <T extends Any, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    reply: Out<T>,
    reason?: Reason
  ): Effect.Effect<never, Failure<E>, R>
} = dual(
  isDataFirst,
  <T extends Any, E, R>(
    self: T | Effect.Effect<T, E, R>,
    reply: Out<T>,
    reason?: Reason
  ): Effect.Effect<never, Failure<E>, R> =>
    then(
      self,
      () => "refuse",
      (transport) =>
        Effect.andThen(
          lastWord(transport, reply),
          Effect.fail(reason ?? noIn(Transport.show(transport, reply)))
        )
    )
)

/**
 * Goes on with another codec. The unread bytes are carried over, byte for byte.
 *
 * @category steps
 * @since 0.1.0
 */
export const switchCodec: {
  <In2, Out2>(
    codec: Codec.Codec<In2, Out2>
  ): <T extends Any, E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<Transport.Transport<In2, Out2>, Failure<E>, R>
  <T extends Any, In2, Out2, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    codec: Codec.Codec<In2, Out2>
  ): Effect.Effect<Transport.Transport<In2, Out2>, Failure<E>, R>
} = dual(
  2,
  <T extends Any, In2, Out2, E, R>(
    self: T | Effect.Effect<T, E, R>,
    codec: Codec.Codec<In2, Out2>
  ): Effect.Effect<Transport.Transport<In2, Out2>, Failure<E>, R> =>
    then(self, () => "switch codec", (transport) => Transport.switchCodec(transport, codec))
)

/**
 * Encrypts the connection with TLS, and goes on with the same codec behind it (STARTTLS).
 *
 * **Details**
 *
 * It fails as `TlsFailure`, with a `kind`, or as `UnreadBytes` where the peer has sent more in clear than was due. See
 * `Transport.startTls` for the options, for what is done with bytes that came already, and for what a client's certificate
 * means with TLS 1.3.
 *
 * **Example** (A server that lets its clients switch to TLS)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 *
 * const server = (certificate: Transport.TlsCertificate) =>
 *   Transport.framed(Codec.lines()).pipe(
 *     Handshake.expect("STARTTLS"),
 *     Handshake.startTls({ role: "server", certificate, goAhead: "220 Go ahead" }),
 *     Handshake.expect("You ready?", { orReply: "No! Go away!" }),
 *     Handshake.send("Bring it!")
 *   )
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const startTls: {
  <T extends Any, E2 = never, R2 = never>(
    options: Transport.StartTlsOptions<T> | Effect.Effect<Transport.StartTlsOptions<T>, E2, R2>
  ): <E, R>(
    self: Effect.Effect<T, E, R>
  ) => Effect.Effect<Transport.Transport<In<T>, Out<T>>, Failure<E | E2>, R | R2>
  <T extends Any, E = never, R = never, E2 = never, R2 = never>(
    self: T | Effect.Effect<T, E, R>,
    options: Transport.StartTlsOptions<T> | Effect.Effect<Transport.StartTlsOptions<T>, E2, R2>
  ): Effect.Effect<Transport.Transport<In<T>, Out<T>>, Failure<E | E2>, R | R2>
} = dual(
  2,
  <T extends Any, E, R, E2, R2>(
    self: T | Effect.Effect<T, E, R>,
    options: Transport.StartTlsOptions<T> | Effect.Effect<Transport.StartTlsOptions<T>, E2, R2>
  ): Effect.Effect<Transport.Transport<In<T>, Out<T>>, Failure<E | E2>, R | R2> =>
    then(self, () => "start TLS", (transport, _secrecy, progress) => {
      if (progress?.protocol === Progress.unnamed) progress.protocol = "tls"
      return Transport.startTls(transport, options)
    })
)

/**
 * Why a server turns a peer away without regard to what it says.
 *
 * **Details**
 *
 * - `capacity`: as many connections, or pending handshakes, as are allowed.
 * - `rate`: more new connections, or more handshakes that have failed, than are allowed in a time.
 * - `draining`: the server is shutting down.
 * - `deadline`: the handshake was not done in time.
 * - `forbidden`: it may not come in, or not by this way. `Server` itself never gives this reason; what is put around a
 *   handshake does, such as `protocols/Proxy` (by `turnAway`).
 *
 * @category models
 * @since 0.1.0
 */
export type Refusal = Progress.Refusal

/**
 * Tells a peer, in the words of the protocol, that it is turned away and, where that is known, when it may come again.
 * It should fail with {@link refuse}.
 *
 * @category models
 * @since 0.1.0
 */
export type Refuse<R = never> = (
  why: Refusal,
  retryAfter: Duration.Duration | undefined
) => Effect.Effect<never, HandshakeError, Socket.Socket | Scope.Scope | R>

/**
 * Gives a handshake the words with which a server turns a peer away without regard to what that has said.
 *
 * **When to use**
 *
 * Use for a server's handshake that is given to `Server` as it is. `Protocol.make` does it with its `refuse`.
 *
 * **Details**
 *
 * Where there is no room, or the server drains, `refuse` runs in the place of the handshake, on the same connection.
 * Where the handshake is cut off, by its deadline or by a drain, `refuse` runs after it: on the connection as it is
 * then, inside TLS too, beginning with the bytes that were not taken. It has two seconds in all. The services that it
 * needs are needed by the handshake then.
 *
 * Whatever is made of the handshake keeps the words: `Effect.map`, `Effect.provide`, `Effect.withSpan`, a branch of `firstOf` or of
 * `Tls.alpn`, what is `inside` another one. Where a handshake is given words twice, the outer ones are said.
 *
 * **Example** (A handshake in `Effect.gen` that turns clients away politely)
 *
 * ```ts
 * import { Codec, Handshake, Pipeline, Server, Transport } from "effect-handshake"
 * import { Effect } from "effect"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * const handshake = Effect.gen(function*() {
 *   const transport = yield* lines
 *   const line = yield* transport.receive
 *   if (line !== "You ready?") return yield* Handshake.refuse(transport, "No! Go away!")
 *   yield* transport.send("Bring it!")
 *   return transport
 * }).pipe(
 *   Handshake.withRefusal((why) => Handshake.refuse(lines, `Not now: ${why}`)),
 *   Handshake.named("line")
 * )
 *
 * const layer = Server.layer({ handshake, serve: Pipeline.serve((line) => Effect.succeed(line)) })
 * ```
 *
 * @see {@link turnAway} for how they are asked for
 *
 * @category combinators
 * @since 0.1.0
 */
export const withRefusal: {
  <R2 = never>(refuse: Refuse<R2>): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | HandshakeError, R | R2 | Socket.Socket | Scope.Scope>
  <A, E, R, R2 = never>(
    self: Effect.Effect<A, E, R>,
    refuse: Refuse<R2>
  ): Effect.Effect<A, E | HandshakeError, R | R2 | Socket.Socket | Scope.Scope>
} = dual(
  2,
  <A, E, R, R2>(
    self: Effect.Effect<A, E, R>,
    refuse: Refuse<R2>
  ): Effect.Effect<A, E | HandshakeError, R | R2 | Socket.Socket | Scope.Scope> =>
    Effect.contextWith((context: Context.Context<R2 | Socket.Socket | Scope.Scope>): Effect.Effect<
      A,
      E | HandshakeError,
      R | R2 | Socket.Socket | Scope.Scope
    > => {
      const progress = Context.get(context, Progress.CurrentProgress)
      if (progress === undefined) return self
      if (progress.verdict !== undefined) return Progress.words(progress, refuse)
      return Effect.onExitPrimitive(self, (exit) => {
        if (Exit.hasInterrupts(exit)) Progress.leaveWords(progress, refuse, () => context)
        return undefined
      })
    })
)

/**
 * Runs a handshake so that it turns its peer away, in the words that {@link withRefusal} has given to it.
 *
 * **When to use**
 *
 * Use in a runtime of your own, in the place of `Server`, which asks for it by itself; or in a test.
 *
 * **Details**
 *
 * It never succeeds: it fails as the words fail. A handshake without words fails as `UnexpectedEnd` by this side,
 * before a connection is opened. The words are given `retryAfter`, for the peer to know when to come back.
 *
 * **Example** (What a client hears)
 *
 * ```ts
 * import { Handshake, Transport, Codec } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   yield* Handshake.turnAway(Line.server, "capacity").pipe(
 *     Effect.provideService(Socket.Socket, here),
 *     Effect.ignore
 *   )
 *   const client = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, there)
 *   return yield* client.receive
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => No! Go away!
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const turnAway: {
  (
    why: Refusal,
    options?: { readonly retryAfter?: Duration.Input | undefined }
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<never, Failure<E>, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    why: Refusal,
    options?: {
      /** When the peer may come back, for refusals that have room for it. Default: nothing is said. */
      readonly retryAfter?: Duration.Input | undefined
    }
  ): Effect.Effect<never, Failure<E>, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    why: Refusal,
    options?: { readonly retryAfter?: Duration.Input | undefined }
  ): Effect.Effect<never, Failure<E>, R> =>
    withProgress(self, (effect, progress) => {
      progress.verdict = why
      // What asks for it may be around it: its own words are meant.
      progress.isOuter = false
      progress.retryAfter = options?.retryAfter === undefined
        ? undefined
        : Duration.fromInputUnsafe(options.retryAfter)
      const refused = Effect.andThen(
        effect,
        Effect.fail(new Rejected({ by: "local", said: "nothing", retryable: true }))
      )
      return failing(refused, progress)
    })
)

/**
 * Runs a handshake in the transport of another one: over the same connection, beginning with what the other has not read.
 *
 * **When to use**
 *
 * Use for protocols in layers: a PROXY header before TLS, SOCKS5 around PostgreSQL, a WebSocket under a line protocol.
 *
 * **Details**
 *
 * `outer` runs first, and then `self` on the same connection, which is opened once, whoever runs it. It ends with what `self`
 * ends with. Where that depends on what the outer handshake has learnt, give a function of its transport.
 *
 * The deadline, the name and the byte limit of the whole hold for both. A server that turns a peer away uses the words
 * of `outer`, if it has some. Otherwise it lets the peer shake hands with `outer` and uses the words of `self`.
 *
 * **Example** (An address before the protocol itself)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const header = Effect.gen(function*() {
 *   const transport = yield* Transport.framed(Codec.lines())
 *   return Transport.extend(transport, { from: yield* transport.receive })
 * }).pipe(Handshake.step("address"), Handshake.named("header"))
 *
 * const server = Handshake.inside(({ from }) => Handshake.extend(Line.server, { from }), header)
 *
 * const client = Line.client.pipe(
 *   Handshake.inside(Transport.framed(Codec.lines()).pipe(Handshake.send("192.0.2.1")))
 * )
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const [{ from }] = yield* Effect.all([
 *     Effect.provideService(server, Socket.Socket, here),
 *     Effect.provideService(client, Socket.Socket, there)
 *   ], { concurrency: "unbounded" })
 *   return from
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => 192.0.2.1
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const inside: {
  <T extends Any, E, R>(outer: Effect.Effect<T, E, R>): <A, E2, R2>(
    self: Effect.Effect<A, E2, R2>
  ) => Effect.Effect<A, Failure<E | E2>, R | R2>
  <T extends Any, E, R, A, E2, R2>(
    self: Effect.Effect<A, E2, R2> | ((transport: T) => Effect.Effect<A, E2, R2>),
    outer: Effect.Effect<T, E, R>
  ): Effect.Effect<A, Failure<E | E2>, R | R2>
} = dual(
  2,
  <T extends Any, E, R, A, E2, R2>(
    self: Effect.Effect<A, E2, R2> | ((transport: T) => Effect.Effect<A, E2, R2>),
    outer: Effect.Effect<T, E, R>
  ): Effect.Effect<A, Failure<E | E2>, R | R2> => {
    const both = Effect.flatMap(around(outer), (transport): Effect.Effect<A, E2 | TransportError, R2> => {
      const impl = implOf<unknown, never>(transport)
      const lost = impl.leave("the handshake inside")
      if (lost !== undefined) return Effect.fail(lost)
      // It asks for a socket where it opens a transport, and needs that of `outer` otherwise.
      const inner = Effect.isEffect(self) ? self : self(transport)
      return onConnection(inner, impl.connection)
    })
    return withProgress(both, failing)
  }
)

/** The socket in the context may be that of this connection already. */
const onConnection = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  connection: Connection.Connection
): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const socket = Context.getOrUndefined(context, Socket.Socket)
    return socket !== undefined && Connection.connectionOf(socket) === connection
      ? self
      // It needs the socket that it is given here.
      : Effect.provideService(self, Socket.Socket, connection.socket) as Effect.Effect<A, E, R>
  })

/** While it runs, that the peer is to be turned away is left to those who come behind it, unless it has words itself. */
const around = <A, E, R>(outer: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const progress = Context.get(context, Progress.CurrentProgress)
    if (progress?.verdict === undefined) return outer
    const { isOuter } = progress
    progress.isOuter = true
    return Effect.ensuring(
      outer,
      Effect.sync(() => {
        progress.isOuter = isOuter
      })
    )
  })

/**
 * One of the handshakes that a port may be asked for.
 *
 * **Details**
 *
 * `accepts` looks at the first bytes, one more each time: `true` takes the connection, `false` leaves it to the others,
 * `undefined` asks for more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Branch<A, E, R> {
  /** What the branch is called, for the error of a peer whose first bytes fit none. */
  readonly name: string
  readonly accepts: (bytes: Uint8Array) => boolean | undefined
  readonly handshake: Effect.Effect<A, E, R>
}

/**
 * Chooses a handshake by the first bytes that the peer sends: one port, many protocols.
 *
 * **Details**
 *
 * The connection goes to the first branch in order that accepts it, once every branch before that has declined. The
 * branch gets all bytes, including those that were looked at. Where all decline, or the peer ends or has sent
 * `maxLength` bytes, 1024 by default, before one accepts, it fails as `InvalidGreeting`. The result is that of the
 * branch: with `extend`, give each something by which they can be told apart.
 *
 * A server that turns a peer away does so in the words of the protocol that the peer has asked for, and says nothing to one that
 * has not asked for any by the deadline.
 *
 * **Example** (Two line protocols on one port)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * const startsWith = (text: string) => (bytes: Uint8Array) => {
 *   const seen = new TextDecoder().decode(bytes)
 *   return seen.startsWith(text) ? true : text.startsWith(seen) ? undefined : false
 * }
 *
 * const server = Handshake.firstOf([
 *   { name: "chat", accepts: startsWith("CHAT "), handshake: lines.pipe(Handshake.expect("CHAT 1")) },
 *   { name: "mail", accepts: startsWith("MAIL "), handshake: lines.pipe(Handshake.expect("MAIL 1")) }
 * ])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const firstOf = <const B extends ReadonlyArray<Branch<any, any, any>>>(
  branches: B,
  options?: {
    /** By how many bytes a protocol has to be known. Default: 1,024. */
    readonly maxLength?: number | undefined
  }
): Effect.Effect<
  Effect.Success<B[number]["handshake"]>,
  Effect.Error<B[number]["handshake"]> | HandshakeError,
  Effect.Services<B[number]["handshake"]> | Socket.Socket | Scope.Scope
> => {
  type Chosen = Branch<
    Effect.Success<B[number]["handshake"]>,
    Effect.Error<B[number]["handshake"]>,
    Effect.Services<B[number]["handshake"]>
  >
  const maxLength = options?.maxLength ?? 1024
  return Effect.gen(function*() {
    const connection = yield* step(Connection.open(yield* Socket.Socket), "connect")
    const branch = yield* step(choose<Chosen>(connection, branches, maxLength), "first bytes")
    return yield* Effect.provideService(branch.handshake, Socket.Socket, connection.socket)
  })
}

const choose = <B extends Branch<any, any, any>>(
  connection: Connection.Connection,
  branches: ReadonlyArray<B>,
  maxLength: number
): Effect.Effect<B, TransportError | Reason> => {
  const { inbox } = connection
  let seen = 0
  const nobody = (bytes: Uint8Array) =>
    new InvalidGreeting({
      expected: `the first bytes of ${branches.map((branch) => branch.name).join(" or ")}`,
      received: Excerpt.ofBytes(bytes)
    })
  const look: Effect.Effect<B, TransportError | Reason> = Effect.suspend(() => {
    const available = Math.min(inbox.unread.length, maxLength)
    // Byte for byte, so that the choice does not depend on how many came at once.
    for (let length = seen + 1; length <= available; length++) {
      const bytes = inbox.unread.peek(0, length)
      let undecided = false
      for (const branch of branches) {
        const accepted = branch.accepts(bytes)
        if (accepted === true && !undecided) return Effect.succeed(branch)
        undecided ||= accepted !== false
      }
      seen = length
      if (!undecided || length === maxLength) return Effect.fail(nobody(bytes))
    }
    if (inbox.end === undefined) return Effect.andThen(connection.readable, look)
    const hasSaid = seen > 0 && inbox.end.reason._tag === "ConnectionClosed"
    return Effect.fail(hasSaid ? nobody(inbox.unread.peek(0, seen)) : reasonOf(inbox.end))
  })
  return look
}

/**
 * Gives the whole handshake its protocol's name, which its errors, logs, spans and metrics carry.
 *
 * **Details**
 *
 * In a handshake that is written with `Effect.gen`, it also turns every `TransportError` and every bare reason that is
 * left into a `HandshakeError`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const named: {
  (
    protocol: string
  ): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Failure<E>, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    protocol: string
  ): Effect.Effect<A, Failure<E>, R>
} = dual(
  2,
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    protocol: string
  ): Effect.Effect<A, Failure<E>, R> =>
    withProgress(self, (effect, progress) => {
      progress.protocol = protocol
      const handshake = failing(effect, progress)
      return progress.traced === undefined ? handshake : progress.traced(handshake)
    })
)

/** Finds the progress that an outer combinator watches, or begins one. What is inside it is one handshake, on one connection. */
const withProgress = <A, E, R, A2, E2, R2>(
  self: Effect.Effect<A, E, R>,
  use: (effect: Effect.Effect<A, E, R>, progress: Progress.Progress) => Effect.Effect<A2, E2, R2>
): Effect.Effect<A2, E2, R2> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const current = Context.get(context, Progress.CurrentProgress)
    const progress = current ?? Progress.make()
    const watched = current === undefined ? Effect.provideService(self, Progress.CurrentProgress, progress) : self
    return use(onOneConnection(watched, context), progress)
  })

/** A client's socket dials each time that it is asked for its bytes; all that runs inside shares what the first has dialled. */
const onOneConnection = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  context: Context.Context<never>
): Effect.Effect<A, E, R> => {
  const socket = Context.getOrUndefined(context, Socket.Socket)
  if (socket === undefined) return self
  const shared = Connection.shared(socket)
  // It needs the socket that it is given here.
  return shared === socket ? self : Effect.provideService(self, Socket.Socket, shared) as Effect.Effect<A, E, R>
}

/**
 * Bounds the time of the whole handshake, from here to its end.
 *
 * **Details**
 *
 * The deadline is absolute: a peer that dribbles bytes gains nothing. It fails as `Timeout` and names the step that was
 * under way; once the handshake is done it can no longer strike. `Server` and `Client` set one of their own.
 *
 * @category combinators
 * @since 0.1.0
 */
export const deadline: {
  (duration: Duration.Input): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | HandshakeError, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E | HandshakeError, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, duration: Duration.Input): Effect.Effect<A, E | HandshakeError, R> =>
    withProgress(
      self,
      (effect, progress) =>
        inTime(effect, Duration.toMillis(Duration.fromInputUnsafe(duration)), () =>
          Effect.fail(
            new HandshakeError({
              protocol: progress.protocol,
              step: progress.step,
              reason: new Timeout({ deadline: Duration.fromInputUnsafe(duration) })
            })
          ))
    )
)

/**
 * Bounds the bytes that the whole handshake may consume or keep waiting.
 *
 * **Details**
 *
 * A handshake of many messages, each within its codec's limit, fails as `FrameTooLarge` at this limit. What follows the
 * handshake does not count, also where it came in the same segment. The limit ends with the handshake.
 *
 * @category combinators
 * @since 0.1.0
 */
export const byteLimit: {
  (bytes: number): <T extends Any, E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<T, E, R>
  <T extends Any, E, R>(self: Effect.Effect<T, E, R>, bytes: number): Effect.Effect<T, E, R>
} = dual(
  2,
  <T extends Any, E, R>(self: Effect.Effect<T, E, R>, bytes: number): Effect.Effect<T, E, R> =>
    Effect.provideService(self, CurrentByteLimit, bytes).pipe(
      Effect.tap((transport) =>
        Effect.sync(() => {
          implOf(transport).connection.inbox.byteLimit = Infinity
        })
      )
    )
)

/**
 * Says who the peer is, as far as the handshake has learnt it: whom a proxy speaks for, who has logged in.
 *
 * **When to use**
 *
 * Use where the socket does not tell: behind a proxy it is from the proxy, and the user of a login is in no address.
 *
 * **Details**
 *
 * From then on it is what `transport.peer` tells, of this transport and of every other one on the connection, whatever was made of
 * the handshake: behind a codec switch and TLS, to the handshake that is `inside` and what that asks about its peer, to whoever
 * serves. A server's events and logs have it, spans as `client.address` and `user.name` beside the `network.peer.address` of the
 * socket, and metrics have `via` as `handshake.via`, which has to be one of few words. The socket's own addresses stay at hand: see `Peer.socketOf`.
 *
 * A `Server` with an `admission` asks that again, and it goes on when that has answered: who is denied is turned away like somebody
 * whose handshake takes too long, in the words of `withRefusal`; behind the handshake, the connection is closed.
 *
 * What is left out stays as it is, so that a handshake may introduce its peer step by step. It may be a function of the
 * transport, for what that was extended with. Who the peer is it takes from you: whether to believe what was said is up to the
 * handshake.
 *
 * **Example** (The user of a login)
 *
 * ```ts
 * import { Codec, Handshake, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const lines = Transport.framed(Codec.lines())
 *
 * const server = Effect.gen(function*() {
 *   const transport = yield* lines
 *   const user = yield* transport.receive
 *   return yield* Handshake.introduce(transport, { user, via: "login" })
 * }).pipe(Handshake.named("hello"))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   yield* lines.pipe(Handshake.send("alice"), Effect.provideService(Socket.Socket, there))
 *   const transport = yield* Effect.provideService(server, Socket.Socket, here)
 *   return (yield* transport.peer).user
 * })
 *
 * console.log(await Effect.runPromise(Effect.scoped(program))) // => alice
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const introduce: {
  <T extends Receiving = Any>(
    who: Peer.Introduction | ((transport: T) => Peer.Introduction)
  ): <E = never, R = never>(self: T | Effect.Effect<T, E, R>) => Effect.Effect<T, E, R>
  <T extends Receiving = Any, E = never, R = never>(
    self: T | Effect.Effect<T, E, R>,
    who: Peer.Introduction | ((transport: T) => Peer.Introduction)
  ): Effect.Effect<T, E, R>
} = dual(
  2,
  <T extends Receiving, E, R>(
    self: T | Effect.Effect<T, E, R>,
    who: Peer.Introduction | ((transport: T) => Peer.Introduction)
  ): Effect.Effect<T, E, R> =>
    Effect.tap(Effect.isEffect(self) ? self : Effect.succeed(self), (transport) =>
      Effect.suspend(() => {
        const impl = implOf(transport)
        const { connection } = impl
        const judged = connection.introduce(typeof who === "function" ? who(transport) : who)
        if (impl.observer !== undefined) impl.tell({ _tag: "Introduced", peer: connection.peer })
        return judged ?? Effect.void
      }))
)

/**
 * Ends with the same transport and what the handshake has learnt, or what it is, at hand.
 *
 * **When to use**
 *
 * Use to tell the transports of several handshakes apart, behind `firstOf` or `Tls.alpn`.
 *
 * **Details**
 *
 * It is `Transport.extend` of what the handshake ends with.
 *
 * **Example** (Two protocols on one port)
 *
 * ```ts
 * import { Handshake } from "effect-handshake"
 * import * as Http2 from "effect-handshake/protocols/Http2"
 * import * as Line from "effect-handshake/protocols/Line"
 *
 * const server = Handshake.firstOf([
 *   { name: "HTTP/2", accepts: Http2.isPreface, handshake: Http2.server() },
 *   { name: "line", accepts: () => true, handshake: Handshake.extend(Line.server, { protocol: "line" }) }
 * ])
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const extend: {
  <const P extends object>(
    properties: P
  ): <T extends Any, E, R>(self: Effect.Effect<T, E, R>) => Effect.Effect<T & Readonly<P>, E, R>
  <T extends Any, E, R, const P extends object>(
    self: Effect.Effect<T, E, R>,
    properties: P
  ): Effect.Effect<T & Readonly<P>, E, R>
} = dual(
  2,
  <T extends Any, E, R, const P extends object>(
    self: Effect.Effect<T, E, R>,
    properties: P
  ): Effect.Effect<T & Readonly<P>, E, R> => Effect.map(self, Transport.extend(properties))
)
