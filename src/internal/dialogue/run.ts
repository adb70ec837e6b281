/**
 * A dialogue as it is spoken: a value for each state, which is used up by what is said or heard in it.
 *
 * | value | whose turn | what it is used up by | what comes of it |
 * |---|---|---|---|
 * | `Speaking` | this side's | `say`, `refuse` | the next state, or an end |
 * | `Listening` | the other side's | `receive` | what was said, with the next state |
 * | `Exchanging` | both sides' | `exchange`, `refuse` | what was said, with the next state |
 * | `Securing` | TLS's | `startTls` | the next state, encrypted |
 *
 * A refusal that is heard fails as `Rejected`. Whatever else fails this side, and is the other one's fault, is answered once with
 * what the dialogue says `otherwise`.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Codec from "../../Codec.ts"
import * as Handshake from "../../Handshake.ts"
import {
  FrameTooLarge,
  HandshakeError,
  InvalidGreeting,
  isHandshakeError,
  isReason,
  MalformedFrame,
  type Reason,
  reasonOf,
  Rejected,
  Timeout
} from "../../HandshakeError.ts"
import * as Transport from "../../Transport.ts"
import { isTransportError, type TransportError } from "../../TransportError.ts"
import type { Connection } from "../connection/connection.ts"
import { isReady } from "../connection/onEvents.ts"
import { framingIn, implOf, TransportImpl } from "../connection/transport.ts"
import * as Progress from "../handshake/progress.ts"
import { unlessAnswered } from "../handshake/unlessAnswered.ts"
import type { Values } from "./fields.ts"
import type { Refused, Role, Target } from "./model.ts"
import {
  type Compiled,
  isClosed,
  isStuck,
  isWornOut,
  liveOf,
  type Said,
  saidOf,
  type Spec,
  stateOf,
  type Visits
} from "./spec.ts"
import type { Message } from "./wire.ts"
import { plural } from "./words.ts"

export type AnyTransport = Transport.Transport<unknown, unknown>

/** What a conversation has come to: one of the states above, or the transport behind it. */
export type Place = Speaking | Listening | Exchanging | Securing | AnyTransport

/** What was heard, and what comes behind it. */
export interface Heard {
  readonly _tag: string
  readonly message: Values
  readonly then: Place
}

type Failing<A> = Effect.Effect<A, HandshakeError>

// What comes behind it is no function, so that nobody takes it for a promise.
// oxlint-disable-next-line unicorn/no-thenable
const heardOf = (_tag: string, message: Values, then: Place): Heard => ({ _tag, message, then })

/** A place that was come to at once, or on the way to which another codec is needed. */
export type Way = Place | Failing<Place>

/** Whether it was come to at once. To ask whether it is an Effect would cost more: that may be anything. */
const isPlace = (way: Way): way is Place => way instanceof Once || way instanceof TransportImpl

const arrived = (way: Way): Failing<Place> => isPlace(way) ? Effect.succeed(way) : way

const nameOf = ({ name }: Compiled): string => name

/** How often a state may be come to, in words. */
const bound = ({ atMost, name }: Compiled): string => `${name} at most ${plural(atMost, "time")}`

const unvisited: Visits = new Map()

/** One conversation, from one side. */
export class Conversation {
  readonly spec: Spec
  readonly role: Role
  transport: AnyTransport
  /** The frames of what was said last are cut by this. */
  private codec: Codec.Codec<unknown, unknown>
  private readonly show: ((frame: unknown) => string) | undefined
  private readonly outerLimit: number
  private readonly progress: Progress.Progress | undefined
  private visits: Visits = unvisited
  /** Those when the other side was heard last. */
  private visitsHeard: Visits = unvisited
  /** Whether the other side needs no last words any more. */
  isOver = false
  /** What was heard last, a refusal too, and the frame that it was, or that was no message. */
  heard: Message | undefined = undefined
  frameHeard: unknown = undefined
  at: Compiled

  constructor(
    spec: Spec,
    role: Role,
    transport: AnyTransport,
    codec: Codec.Codec<unknown, unknown>,
    progress: Progress.Progress | undefined
  ) {
    this.progress = progress
    this.spec = spec
    this.role = role
    this.transport = transport
    this.codec = codec
    this.at = spec.start
    this.show = describing(spec)
    this.outerLimit = implOf(transport).connection.inbox.byteLimit
  }

  error(state: Compiled, reason: Reason): HandshakeError {
    return new HandshakeError({ protocol: this.spec.name, step: state.name, reason })
  }

  get hasSecretsAhead(): boolean {
    return this.spec.hasSecrets[this.role === "server" ? "client" : "server"]
  }

  /** Goes where a message leads. */
  go(target: Target, asked: boolean, goAhead?: unknown): Way {
    if (typeof target === "string") return this.enter(this.spec.states.get(target)!)
    if (target._tag === "Encrypted") {
      return new Securing(this, this.spec.states.get(target.state)!, asked, goAhead)
    }
    if (target._tag === "Refused") return Effect.die(new Error("a refusal leads nowhere"))
    this.isOver = true
    implOf(this.transport).connection.inbox.byteLimit = this.outerLimit
    const live = (target.live as Codec.Codec<unknown, unknown> | undefined) ?? this.spec.source.live
    const codec = liveOf(live, this.role)
    if (codec === this.codec && this.show === undefined) return this.transport
    return this.switching(codec, this.at)
  }

  private switching(codec: Codec.Codec<unknown, unknown>, state: Compiled, show?: (frame: unknown) => string) {
    return Effect.map(
      Effect.mapError(
        Transport.switchCodec(this.transport, codec, { describe: show }),
        (error) => this.error(state, reasonOf(error))
      ),
      (transport) => {
        this.transport = transport
        this.codec = codec
        return transport
      }
    )
  }

  enter(state: Compiled): Way {
    this.at = state
    this.progress?.begin(nameOf, state)
    if (state.atMost !== Infinity) {
      this.visits = new Map(this.visits).set(state.name, (this.visits.get(state.name) ?? 0) + 1)
    }
    if (state.turn === this.role) return new Speaking(this, state)
    const { inbox } = implOf(this.transport).connection
    if (state.maxBytes !== undefined) {
      inbox.byteLimit = Math.min(this.outerLimit, inbox.unread.consumed + state.maxBytes)
    } else if (inbox.byteLimit !== this.outerLimit) inbox.byteLimit = this.outerLimit
    const place = state.turn === "both" ? new Exchanging(this, state) : new Listening(this, state)
    const codec = state.wire.codec(state.due)
    return codec === this.codec ? place : Effect.as(this.switching(codec, state, this.show), place)
  }

  frame(state: Compiled, tag: string, values: Values): Result.Result<unknown, HandshakeError> {
    const written = state.wire.write(tag, values, state.due)
    if (Result.isSuccess(written)) return Result.succeed(written.success)
    const problem = `${tag} cannot be said: ${written.failure}`
    return Result.fail(this.error(state, new MalformedFrame({ problem, excerpt: tag, fault: "local" })))
  }

  say(state: Compiled, tag: string, values: Values): Failing<Place> {
    const target = state.targets.get(tag)!
    const frame = this.frame(state, tag, values)
    if (Result.isFailure(frame)) return Effect.fail(frame.failure)
    const next = stateOf(target)
    if (next !== undefined && isWornOut(this.spec.states.get(next)!, this.visits)) {
      if (this.wasLedHere(state, next)) {
        const expected = bound(this.spec.states.get(next)!)
        return Effect.fail(this.error(state, new InvalidGreeting({ expected, received: `a way to ${tag}` })))
      }
      return Effect.fail(
        this.error(state, new MalformedFrame({ problem: this.spent(state, tag, next), excerpt: tag, fault: "local" }))
      )
    }
    // Whoever may begin TLS is told so when it was looked whether he has begun already.
    if (isEncrypted(target) && this.role === "server") return arrived(this.go(target, true, frame.success))
    const sending = this.send(state, tag, frame.success)
    if (sending === undefined) return arrived(this.go(target, true))
    return Effect.flatMap(sending, () => arrived(this.go(target, true)))
  }

  /** Whether the other side has come round once too often, and not this one by itself: nothing is left to say here but no. */
  private wasLedHere(state: Compiled, next: string): boolean {
    const own = (this.visits.get(next) ?? 0) - (this.visitsHeard.get(next) ?? 0)
    return own < this.spec.states.get(next)!.atMost && isClosed(this.spec, state, this.visits)
  }

  /** Why this side may not say what leads to a state once too often, and what it may say. */
  private spent(state: Compiled, tag: string, next: string): string {
    const { states } = this.spec
    const { atMost } = states.get(next)!
    const others = Array.from(state.targets).flatMap(([other, target]) => {
      const to = stateOf(target)
      return to !== undefined && isWornOut(states.get(to)!, this.visits) ? [] : [other]
    })
    const left = others.length === 0 ? "" : `; ${others.join(" or ")} can be said`
    return `${tag} cannot be said: it leads to ${next}, which may be come to at most ${plural(atMost, "time")}${left}`
  }

  /** Says it at once, and returns what is left to do. */
  send(state: Compiled, tag: string, frame: unknown): Failing<unknown> | undefined {
    if (state.wire.fields.get(tag)!.secrets.length > 0) {
      return Handshake.send(this.transport, frame, { name: state.name, secret: true })
    }
    const left = implOf(this.transport).sendNow(frame)
    return left && Effect.mapError(unlessAnswered(this.transport, left), (error) => this.error(state, reasonOf(error)))
  }

  refuse(state: Compiled, tag: string, values: Values, reason: Reason | undefined): Failing<never> {
    const frame = this.frame(state, tag, values)
    if (Result.isFailure(frame)) return Effect.fail(frame.failure)
    const target = state.targets.get(tag) as Refused
    return Effect.andThen(
      this.lastWord(frame.success),
      Effect.fail(this.error(state, reason ?? rejectedBy("local", target, values, state.wire.show(frame.success))))
    )
  }

  receive(state: Compiled): Failing<Heard> {
    const decide = (frame: unknown) => this.decide(state, frame)
    // What is no message may be a secret that came too early, and no error shows it then.
    const received = this.hasSecretsAhead
      ? Effect.provideService(Handshake.receive(this.transport, state.name, decide), Progress.SecretAhead, true)
      : Effect.flatMap(this.transport.receive, decide)
    const limited = this.inState(state, received)
    return state.within === undefined ? limited : Effect.timeoutOrElse(limited, {
      duration: state.within,
      orElse: () => Effect.fail(this.error(state, new Timeout({ deadline: state.within! })))
    })
  }

  /** The same at once: what is left of it to do, or undefined where nothing has come that could be heard. */
  receiveNow(state: Compiled): Failing<Heard> | undefined {
    // Both of them are set up before anything has come, and end when it has.
    if (this.hasSecretsAhead || state.within !== undefined) return this.receive(state)
    const frame = implOf(this.transport).next()
    if (frame === undefined) return undefined
    if (Exit.isFailure(frame)) return this.inState(state, Exit.failCause(frame.cause))
    const heard: Effect.Effect<Heard, Reason | HandshakeError> = this.decide(state, frame.value)
    if (!isReady(heard) || Exit.isFailure(heard)) return this.inState(state, heard)
    return heard as Failing<Heard> // a success fails with nothing
  }

  private inState<A>(
    state: Compiled,
    receiving: Effect.Effect<A, HandshakeError | Reason | TransportError>
  ): Failing<A> {
    return Effect.mapError(receiving, (error) => this.limited(state, this.failure(error)))
  }

  private decide(state: Compiled, frame: unknown): Effect.Effect<Heard, Reason | HandshakeError> {
    this.frameHeard = frame
    const read = state.wire.read(frame, state.due)
    if (Result.isFailure(read)) return Effect.fail(this.unexpected(state, frame, read.failure))
    const { tag, values } = this.heard = read.success
    const target = state.targets.get(tag)
    if (target === undefined) {
      return Effect.fail(
        this.isOtherwise(tag)
          ? rejectedBy("peer", refusalOf(this.spec, tag), values, state.wire.show(frame))
          : this.unexpected(state, frame, undefined)
      )
    }
    if (isRefused(target)) return Effect.fail(rejectedBy("peer", target, values, state.wire.show(frame)))
    const tooOften = this.tooOften(target)
    if (tooOften !== undefined) {
      return Effect.fail(new InvalidGreeting({ expected: bound(tooOften), received: state.wire.show(frame) }))
    }
    this.visitsHeard = this.visits
    const way = this.go(target, false)
    return isPlace(way)
      ? Effect.succeed(heardOf(tag, values, way))
      : Effect.map(way, (then) => heardOf(tag, values, then))
  }

  /** The limit of a connection is told as that of the message. */
  private limited(state: Compiled, error: HandshakeError): HandshakeError {
    const { reason } = error
    const { byteLimit } = implOf(this.transport).connection.inbox
    return state.maxBytes !== undefined && reason._tag === "FrameTooLarge" && reason.limit === byteLimit &&
        byteLimit < this.outerLimit
      ? this.error(state, new FrameTooLarge({ limit: state.maxBytes, excerpt: reason.excerpt, fault: reason.fault }))
      : error
  }

  /** The state to which the other side comes once too often with a message, or leaves this one nothing else to say. */
  private tooOften(target: Target): Compiled | undefined {
    const { spec, visits } = this
    const next = spec.states.get(stateOf(target) ?? "")
    if (next === undefined || isWornOut(next, visits)) return next
    if (!isStuck(spec, next, visits)) return undefined
    return spec.states.get(stateOf(next.targets.values().next().value!)!)
  }

  private unexpected(state: Compiled, frame: unknown, problem: string | undefined): InvalidGreeting {
    return new InvalidGreeting({
      expected: problem === undefined ? state.expected : `${state.expected} (${problem})`,
      received: state.wire.show(frame, !this.hasSecretsAhead)
    })
  }

  /** Whether the other side has said this because this one has broken the rules. */
  private isOtherwise(tag: string): boolean {
    const said = this.spec.otherwise[this.role === "server" ? "client" : "server"]
    return said !== undefined && (typeof said === "function" || saidOf(said)[0] === tag)
  }

  /** Says why this side ends, once. */
  lastWord(frame: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isOver = true
      // A peer that does not even take the refusal changes nothing about why it is refused.
      return Effect.ignore(Transport.farewell(this.transport, [frame]))
    })
  }

  /** A bare reason is why this side fails where it is now. */
  failure<E>(error: E): HandshakeError | Exclude<E, TransportError | Reason> {
    return isReason(error) || isTransportError(error)
      ? this.error(this.at, isReason(error) ? error : reasonOf(error))
      : error as Exclude<E, TransportError | Reason>
  }

  /** What is said to a peer that has broken the rules. */
  answer(error: unknown): Effect.Effect<void> {
    const reason = answerable(error)
    if (this.isOver || reason === undefined) return Effect.void
    const frame = otherwiseFrame(this.spec, this.role, this.at, reason)
    return frame === undefined ? Effect.void : this.lastWord(frame)
  }
}

const isEncrypted = (target: Target): boolean => typeof target === "object" && target._tag === "Encrypted"

const isRefused = (target: Target): target is Refused => typeof target === "object" && target._tag === "Refused"

/** What a refusal means is the same where it is said out of turn. */
const refusalOf = ({ states }: Spec, tag: string): Refused | undefined => {
  for (const { targets } of states.values()) {
    const target = targets.get(tag)
    if (target !== undefined && isRefused(target)) return target
  }
  return undefined
}

/** The states in which the client hears what a server says in this one. */
const heardIn = ({ states }: Spec, state: Compiled): ReadonlyArray<Compiled> => {
  const heard = new Set<Compiled>()
  const seen = new Set([state])
  for (const one of seen) {
    if (one.turn !== "client") heard.add(one)
    else {
      for (const target of one.targets.values()) {
        const next = typeof target === "string" ? states.get(target) : undefined
        if (next !== undefined) seen.add(next)
      }
    }
  }
  return Array.from(heard)
}

/** A refusal without fields that is worth another try, wherever the client may be. */
const anotherTry = (spec: Spec, state: Compiled): string | undefined => {
  const heard = heardIn(spec, state)
  const isOne = (tag: string) =>
    heard.every(({ targets }) => {
      const target = targets.get(tag)
      return target !== undefined && isRefused(target) && target.retryable
    })
  return heard[0]?.due.find((tag) => isOne(tag) && Result.isSuccess(state.wire.write(tag, {}, [tag])))
}

/**
 * What a server says to whom it has no room or no time for. Whoever is only unlucky is not told `otherwise` that it is for good, where
 * the dialogue has a word for that.
 */
const unluckyFrame = (spec: Spec, state: Compiled, why: Handshake.Refusal, retryAfter?: Duration.Duration): unknown => {
  const told = spec.otherwise.server
  const isForGood = told !== undefined && typeof told !== "function" &&
    refusalOf(spec, saidOf(told)[0])?.retryable !== true
  const other = isForGood ? anotherTry(spec, state) : undefined
  return otherwiseFrame(
    other === undefined ? spec : { ...spec, otherwise: { ...spec.otherwise, server: other } },
    "server",
    state,
    why,
    retryAfter
  )
}

/** The frame of what is said otherwise; undefined where there is none. */
export const otherwiseFrame = (
  spec: Spec,
  role: Role,
  state: Compiled,
  why: unknown,
  retryAfter?: Duration.Duration
): unknown => {
  const told = spec.otherwise[role]
  const said = typeof told === "function" ? told(why, state.name, retryAfter) : told
  if (said === undefined) return undefined
  const [tag, values] = saidOf(said as string | Said)
  const written = state.wire.write(tag, values, [tag])
  return Result.isSuccess(written) ? written.success : undefined
}

/** The reason of a failure that somebody is there to hear about. */
const answerable = (error: unknown): Reason | undefined => {
  const reason = isHandshakeError(error) ? error.reason : isTransportError(error) ? reasonOf(error) : error
  if (!isReason(reason) || reason.fault !== "peer" || reason._tag === "Rejected") return undefined
  // Where TLS has failed, neither side can say anything more.
  if (reason._tag === "TlsFailure") return undefined
  return reason._tag === "UnexpectedEnd" && reason.excerpt === "" ? undefined : reason
}

const rejectedBy = (by: "peer" | "local", target: Refused | undefined, values: Values, said: string): Rejected => {
  const code = target?.code ?? textOf(values, target?.codeField)
  const after = target?.retryAfterField === undefined ? undefined : values[target.retryAfterField]
  return new Rejected({
    by,
    said,
    retryable: target?.retryable ?? false,
    ...(code !== undefined && { code }),
    ...(Duration.isDuration(after)
      ? { retryAfter: after }
      : typeof after === "number" && { retryAfter: Duration.seconds(after) }),
    ...(by === "peer" && Object.keys(values).length > 0 && { fields: values })
  })
}

const textOf = (values: Values, field: string | undefined): string | undefined =>
  field === undefined || values[field] === undefined ? undefined : String(values[field])

/** Used once. */
export class Once {
  readonly conversation: Conversation
  readonly state: Compiled
  private by: string | undefined = undefined

  constructor(conversation: Conversation, state: Compiled) {
    this.conversation = conversation
    this.state = state
  }

  /** To use it twice is a mistake of whoever has written this side. */
  protected once<A>(what: string, act: () => Failing<A>): Failing<A> {
    return Effect.suspend(() => {
      if (this.by !== undefined) {
        return Effect.die(
          new Error(
            `the state ${this.state.name} of ${this.conversation.spec.name} was used up by ${this.by}, and then came ${what}`
          )
        )
      }
      this.by = what
      return act()
    })
  }
}

export class Speaking extends Once {
  say(tag: string, values: Values = {}): Failing<Place> {
    return this.once(`say ${tag}`, () => this.conversation.say(this.state, tag, values))
  }

  refuse(tag: string, values: Values = {}, reason?: Reason): Failing<never> {
    return this.once(`refuse ${tag}`, () => this.conversation.refuse(this.state, tag, values, reason))
  }
}

export class Listening extends Once {
  get receive(): Failing<Heard> {
    return this.once("receive", () => this.conversation.receive(this.state))
  }
}

export class Exchanging extends Once {
  exchange(tag: string, values: Values = {}): Failing<Heard> {
    return this.once(`exchange ${tag}`, () => {
      const frame = this.conversation.frame(this.state, tag, values)
      if (Result.isFailure(frame)) return Effect.fail(frame.failure)
      const sending = this.conversation.send(this.state, tag, frame.success)
      const receiving = this.conversation.receive(this.state)
      return sending === undefined ? receiving : Effect.andThen(sending, receiving)
    })
  }

  refuse(tag: string, values: Values = {}, reason?: Reason): Failing<never> {
    return this.once(`refuse ${tag}`, () => this.conversation.refuse(this.state, tag, values, reason))
  }
}

export type TlsOptions = Omit<Transport.TlsServerOptions, "role"> | Omit<Transport.TlsClientOptions, "role">

export class Securing extends Once {
  /** Whether this side has said that TLS begins. */
  private readonly isAsked: boolean
  private readonly goAhead: unknown

  constructor(conversation: Conversation, state: Compiled, isAsked: boolean, goAhead: unknown) {
    super(conversation, state)
    this.isAsked = isAsked
    this.goAhead = goAhead
  }

  startTls<E, R>(options: TlsOptions | Effect.Effect<TlsOptions, E, R>): Effect.Effect<Place, HandshakeError | E, R> {
    const { conversation, state } = this
    const told = (options: TlsOptions): Transport.StartTlsOptions<AnyTransport> => {
      // Which of the two they are is known by the side.
      const own = { ...options, role: conversation.role } as Transport.TlsServerOptions | Transport.TlsClientOptions
      return own.role === "client"
        ? own
        : this.isAsked
        ? { ...own, goAhead: this.goAhead }
        // A client that said that TLS begins may have begun.
        : { ...own, unread: own.unread ?? "feed" }
    }
    const secured = Handshake.startTls(
      conversation.transport,
      Effect.isEffect(options) ? Effect.map(options, told) : told(options)
    )
    return Effect.flatMap(this.once("startTls", () => Effect.void), () =>
      Effect.flatMap(secured, (transport) => {
        conversation.transport = transport
        return arrived(conversation.enter(state))
      })) as Effect.Effect<Place, HandshakeError | E, R> // a `TransportError` of it is a `HandshakeError` already
  }
}

/** How frames are shown, where any of them may hide something. */
const describing = ({ hasSecrets, wire }: Spec): ((frame: unknown) => string) | undefined =>
  hasSecrets.server || hasSecrets.client ? wire.show : undefined

type Framing = (connection: Connection) => AnyTransport

/** A side of a dialogue: what all conversations have in common that it has. */
export class Side {
  readonly spec: Spec
  readonly role: Role
  private readonly describe: ((frame: unknown) => string) | undefined
  /** That of the first state. */
  private readonly codec: Codec.Codec<unknown, unknown>
  private readonly framed: Effect.Effect<AnyTransport, TransportError, Socket.Socket | Scope.Scope>
  /** The context for which connections were framed last, and how: a server has one for all of its connections. */
  private known: { readonly context: Context.Context<never>; readonly framing: Framing } | undefined = undefined
  /** Whether it has words for a peer that is turned away. */
  private readonly hasWords: boolean
  /** Whether what is said looks the same in every state. */
  private readonly isUniform: boolean

  constructor(spec: Spec, role: Role) {
    this.spec = spec
    this.role = role
    this.describe = describing(spec)
    this.codec = spec.start.wire.codec(spec.start.due)
    this.framed = Transport.framed(this.codec, { describe: this.describe })
    this.hasWords = role === "server" && spec.otherwise.server !== undefined
    this.isUniform = Array.from(spec.states.values()).every(({ wire }) => wire === spec.wire)
  }

  /** One that begins on a connection that is open, for whoever runs in this context. */
  conversation(
    connection: Connection,
    context: Context.Context<never>,
    progress: Progress.Progress
  ): Conversation {
    progress.protocol = this.spec.name
    return new Conversation(this.spec, this.role, this.framing(context)(connection), this.codec, progress)
  }

  private framing(context: Context.Context<never>): Framing {
    if (this.known?.context !== context) {
      this.known = { context, framing: framingIn(context, this.codec, this.describe) }
    }
    return this.known.framing
  }

  /** A conversation as a handshake. */
  handshake<A, E, R>(body: (conversation: Conversation, first: Place) => Effect.Effect<A, E, R>) {
    const spokenBy = (begun: (conversation: Conversation) => void) => {
      const speak = (transport: AnyTransport, progress: Progress.Progress | undefined) => {
        const conversation = new Conversation(this.spec, this.role, transport, this.codec, progress)
        begun(conversation)
        const talking = (first: Place) => body(conversation, first)
        const first = conversation.enter(this.spec.start)
        return this.answering(conversation, isPlace(first) ? talking(first) : Effect.flatMap(first, talking))
      }
      return Effect.contextWith((context: Context.Context<Socket.Socket | Scope.Scope>) => {
        const progress = Context.get(context, Progress.CurrentProgress)
        return Effect.flatMap(this.framed, (transport) => speak(transport, progress))
      })
    }
    // In which state it is cut off, and so in which frames that is said, may depend on the connection.
    const spoken = !this.hasWords
      ? spokenBy(() => {})
      : this.isUniform
      ? Handshake.withRefusal(spokenBy(() => {}), this.refusing(undefined))
      : Effect.suspend(() => {
        let current: Conversation | undefined
        const said = spokenBy((conversation) => {
          current = conversation
        })
        return Handshake.withRefusal(said, this.refusing(() => current))
      })
    return Handshake.named(spoken, this.spec.name)
  }

  /** What is left of a conversation that has begun. */
  rest<A, E, R>(conversation: Conversation, talking: Effect.Effect<A, E, R>) {
    const answering = this.answering(conversation, talking)
    const spoken = this.hasWords
      ? Handshake.withRefusal(answering, this.refusing(() => conversation))
      : answering
    return Handshake.named(spoken, this.spec.name)
  }

  /** Leaves its words behind where a conversation was interrupted that turns somebody away. */
  leaveWords(
    conversation: Conversation,
    progress: Progress.Progress,
    contextOf: () => Context.Context<Socket.Socket | Scope.Scope>
  ): void {
    if (this.hasWords) Progress.leaveWords(progress, this.refusing(() => conversation), contextOf)
  }

  /** Whatever fails that is the other side's fault is answered once. */
  private answering<A, E, R>(conversation: Conversation, talking: Effect.Effect<A, E, R>) {
    return Effect.catch(
      talking,
      (error) => Effect.andThen(conversation.answer(error), Effect.fail(conversation.failure(error)))
    )
  }

  private refusing(conversationOf: (() => Conversation | undefined) | undefined): Handshake.Refuse {
    const { describe, framed, spec } = this
    return (why, retryAfter) => {
      const state = (this.isUniform ? undefined : conversationOf?.()?.at) ?? spec.start
      const frame = unluckyFrame(spec, state, why, retryAfter)
      if (frame === undefined) return Effect.fail(silently(spec.name, why))
      const codec = state.wire.codec(state.due)
      return Handshake.refuse(state === spec.start ? framed : Transport.framed(codec, { describe }), frame)
    }
  }
}

/** A side of a dialogue, as a handshake. */
export const talk = <A, E, R>(
  spec: Spec,
  role: Role,
  body: (first: never) => Effect.Effect<A, E, R>
): Effect.Effect<A, HandshakeError | Exclude<E, TransportError | Reason>, Socket.Socket | Scope.Scope | R> =>
  // What a state is typed as, only `Dialogue` knows.
  new Side(spec, role).handshake((_, first) => body(first as never))

const silently = (protocol: string, why: Handshake.Refusal): HandshakeError =>
  new HandshakeError({ protocol, step: "refuse", reason: new Rejected({ by: "local", said: why, retryable: true }) })
