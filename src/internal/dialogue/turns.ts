/**
 * A side of a dialogue that is known by what it says in each of its states. All that it does is decided by what it hears, so a
 * server's runtime needs no fiber for it, unless there is something to wait for besides the connection.
 *
 * | it runs | goes on with | a failure, an interruption |
 * |---|---|---|
 * | on events | `advance` for as long as something is there; then it waits for the connection | a failure is told by a fiber; an interruption leaves the words behind |
 * | in a fiber | from the first Effect on that is not done at once, to its end | as with any other handshake |
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import { type HandshakeError, isReason, type Reason } from "../../HandshakeError.ts"
import type { Connection } from "../connection/connection.ts"
import { isReady, type Listener, type OnEvent, OnEvents, type Surroundings } from "../connection/onEvents.ts"
import { implOf } from "../connection/transport.ts"
import * as Progress from "../handshake/progress.ts"
import type { Values } from "./fields.ts"
import type { Role } from "./model.ts"
import type * as Run from "./run.ts"
import {
  type Conversation,
  Exchanging,
  Listening,
  Once,
  type Place,
  Securing,
  Side,
  Speaking,
  type TlsOptions,
  type Way
} from "./run.ts"
import { type Compiled, type Said, saidOf, type Spec } from "./spec.ts"
import { Unspecified } from "./wire.ts"

type AnyTransport = Run.AnyTransport

/** A message that was heard. */
export interface Heard {
  readonly _tag: string
  readonly message: Values
}

type Sayable = string | Said | Because

type Saying = Sayable | Effect.Effect<Sayable, unknown, unknown>

/** What is said in a state: always the same, or a function of what was heard last and before that. */
export type Turn = Sayable | ((heard: Heard | undefined, earlier: ReadonlyArray<Heard>) => Saying)

export type Turns = Readonly<Record<string, Turn>>

/** Looks at a message that was heard: why this side goes no further, or undefined. */
export type Check = (
  heard: Heard,
  earlier: ReadonlyArray<Heard>
) => Reason | undefined | Effect.Effect<unknown, unknown, unknown>

export interface Options {
  /** How it becomes encrypted. */
  readonly tls?: TlsOptions | Effect.Effect<TlsOptions, unknown, unknown> | undefined
  readonly checks?: Readonly<Record<string, Check | undefined>> | undefined
}

/** All that a side does. */
interface Script extends Options {
  readonly turns: Turns
  /** Whether anything that it does depends on what it has heard. */
  readonly listens: boolean
}

/** A refusal, and why this side says no. */
class Because {
  readonly said: string | Said
  readonly reason: Reason

  constructor(said: string | Said, reason: Reason) {
    this.said = said
    this.reason = reason
  }
}

export const because = (said: string | Said, reason: Reason): Because => new Because(said, reason)

/** The transport at the end, or what is left to be done before the next place; undefined where something has to be heard first. */
type Step = AnyTransport | Effect.Effect<Place, unknown, unknown> | undefined

const none: ReadonlyArray<Heard> = []
const noValues: Values = {}

/** One conversation. */
class Spoken {
  readonly conversation: Conversation
  private way: Way
  private readonly script: Script
  private heard: Heard | undefined = undefined
  private earlier = none

  constructor(conversation: Conversation, first: Way, script: Script) {
    this.conversation = conversation
    this.way = first
    this.script = script
  }

  /** Goes on for as long as there is nothing to wait for. */
  advance(): Step {
    for (;;) {
      const { way } = this
      if (!(way instanceof Once)) return way
      const step = this.from(way)
      if (step === undefined || !isReady(step) || Exit.isFailure(step)) return step
      this.way = step.value
    }
  }

  /** The same in a fiber, which waits for whatever it is, to the end. */
  rest(step: Step): Effect.Effect<AnyTransport, unknown, unknown> {
    if (step === undefined) {
      const { connection } = implOf(this.conversation.transport)
      return Effect.andThen(connection.readable, Effect.suspend(() => this.rest(this.advance())))
    }
    return !Effect.isEffect(step) ? Effect.succeed(step) : Effect.flatMap(step, (place) => {
      this.way = place
      return this.rest(this.advance())
    })
  }

  private from(place: Once): Effect.Effect<Place, unknown, unknown> | undefined {
    if (place instanceof Listening) return this.listen(place)
    if (place instanceof Speaking || place instanceof Exchanging) return this.speak(place)
    if (place instanceof Securing && this.script.tls !== undefined) return place.startTls(this.script.tls)
    return Effect.die(new Error(`${place.conversation.spec.name} cannot become encrypted without \`tls\``))
  }

  private listen({ state }: Listening): Effect.Effect<Place, unknown, unknown> | undefined {
    const hearing = this.conversation.receiveNow(state)
    if (hearing === undefined) return undefined
    return isReady(hearing) && Exit.isSuccess(hearing) ? this.took(state, hearing.value) : this.taking(state, hearing)
  }

  private taking(
    state: Compiled,
    hearing: Effect.Effect<Run.Heard, HandshakeError>
  ): Effect.Effect<Place, unknown, unknown> {
    return Effect.flatMap(hearing, (heard) => this.took(state, heard))
  }

  private took(state: Compiled, { _tag, message, then }: Run.Heard): Effect.Effect<Place, unknown, unknown> {
    if (!this.script.listens) return Effect.succeed(then)
    if (this.heard !== undefined) this.earlier = [...this.earlier, this.heard]
    this.heard = { _tag, message }
    const wrong = this.script.checks?.[state.name]?.(this.heard, this.earlier)
    if (wrong === undefined) return Effect.succeed(then)
    // It is what was heard in this state that is wrong, and no longer where that leads to.
    return Effect.mapError(
      Effect.isEffect(wrong) ? Effect.as(wrong, then) : Effect.fail(wrong),
      (error) => isReason(error) ? this.conversation.error(state, error) : error
    )
  }

  private speak(place: Speaking | Exchanging): Effect.Effect<Place, unknown, unknown> {
    const turn = this.script.turns[place.state.name]! // all of them were there when it was made
    if (typeof turn !== "function") return this.say(place, turn)
    const saying = turn(this.heard, this.earlier)
    return Effect.isEffect(saying)
      ? Effect.flatMap(saying, (saying) => this.say(place, saying))
      : this.say(place, saying)
  }

  private say(place: Speaking | Exchanging, saying: Sayable): Effect.Effect<Place, unknown, unknown> {
    if (typeof saying === "string") return this.sayWith(place, saying, noValues, undefined)
    const [tag, values] = saidOf(saying instanceof Because ? saying.said : saying)
    return this.sayWith(place, tag, values, saying instanceof Because ? saying.reason : undefined)
  }

  private sayWith(
    place: Speaking | Exchanging,
    tag: string,
    values: Values,
    reason: Reason | undefined
  ): Effect.Effect<Place, unknown, unknown> {
    const { conversation } = this
    const { state } = place
    const target = state.targets.get(tag)
    if (target === undefined) return Effect.die(new Error(`${tag} cannot be said in the state ${state.name}`))
    if (typeof target === "object" && target._tag === "Refused") {
      return conversation.refuse(state, tag, values, reason)
    }
    return place instanceof Exchanging
      ? this.taking(state, place.exchange(tag, values))
      : conversation.say(state, tag, values)
  }
}

/** What a handshake that runs on events is given. */
export interface Accepted extends Surroundings<Scope.Scope> {
  readonly progress: Progress.Progress
  /** What all connections of the server have in common. */
  readonly ofServer: Context.Context<never>
}

/** A side in turns, as a handshake. */
class InTurns extends OnEvents<AnyTransport, unknown, unknown, Accepted> {
  readonly side: Side
  readonly script: Script
  private readonly inFiber: Effect.Effect<AnyTransport, unknown, unknown>

  constructor(side: Side, script: Script) {
    super()
    this.side = side
    this.script = script
    this.inFiber = side.handshake((conversation, first) => {
      const spoken = new Spoken(conversation, first, script)
      return spoken.rest(spoken.advance())
    })
  }

  asEffect(): Effect.Effect<AnyTransport, unknown, unknown> {
    return this.inFiber
  }

  on(accepted: Accepted, connection: Connection): OnEvent<AnyTransport, unknown> {
    return new Turning(this, accepted, connection)
  }
}

/**
 * One handshake on the events of its connection:
 *
 * | state | what happens | is interrupted |
 * |---|---|---|
 * | turning | it goes on for as long as there is nothing to wait for | when it has to wait |
 * | waiting | something has come: turning | at once |
 * | in a fiber | to the end: it waits for something else, or has failed | as a fiber is |
 * | over | | no more |
 */
class Turning implements OnEvent<AnyTransport, unknown> {
  private state: "turning" | "waiting" | "over" = "turning"
  private isInterrupted = false
  private fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private listener: Listener<AnyTransport, unknown> | undefined = undefined
  private readonly of: InTurns
  private readonly accepted: Accepted
  private readonly connection: Connection
  private readonly spoken: Spoken
  private readonly onNews = () => this.turn()

  constructor(of: InTurns, accepted: Accepted, connection: Connection) {
    this.of = of
    this.accepted = accepted
    this.connection = connection
    const conversation = of.side.conversation(connection, accepted.ofServer, accepted.progress)
    this.spoken = new Spoken(conversation, conversation.enter(conversation.spec.start), of.script)
  }

  begin(listener: Listener<AnyTransport, unknown>): void {
    this.listener = listener
    this.turn()
  }

  interruptUnsafe(): void {
    if (this.fiber !== undefined) return this.fiber.interruptUnsafe()
    if (this.state === "turning") this.isInterrupted = true
    if (this.state !== "waiting") return
    this.connection.waitsNoMore(this.onNews)
    this.interrupted()
  }

  private turn(): void {
    this.state = "turning"
    const step = this.advanced()
    if (this.isInterrupted) return this.interrupted()
    if (step === undefined) {
      this.state = "waiting"
      return this.connection.onReadable(this.onNews)
    }
    this.state = "over"
    if (Effect.isEffect(step)) this.goOn(step)
    else this.done(Exit.succeed(step))
  }

  private advanced(): Step {
    try {
      return this.spoken.advance()
    } catch (defect) {
      return Exit.die(defect)
    }
  }

  private goOn(step: Effect.Effect<Place, unknown, unknown>): void {
    const { of, spoken } = this
    const rest = of.side.rest(spoken.conversation, spoken.rest(step))
    const fiber = Effect.runForkWith(this.context)(Effect.withFiber((fiber) => {
      // It may be interrupted before it waits for the first time.
      this.fiber = fiber
      return rest
    }))
    fiber.addObserver((exit) => this.done(exit))
  }

  private done(exit: Exit.Exit<AnyTransport, unknown>): void {
    this.listener?.done(exit)
  }

  private interrupted(): void {
    this.state = "over"
    this.of.side.leaveWords(this.spoken.conversation, this.accepted.progress, () => this.context)
    this.done(Exit.interrupt())
  }

  /** As it would be in a fiber of its own. Whatever else the handshake needs is in it: the server's types say so. */
  private get context(): Context.Context<any> {
    const onConnection = Context.add(this.accepted.context, Socket.Socket, this.connection.socket)
    return Context.add(onConnection, Progress.CurrentProgress, this.accepted.progress)
  }
}

/** Makes the handshake, or throws what is wrong with the script. */
export const make = (
  spec: Spec,
  role: Role,
  turns: Turns,
  options: Options | undefined
): Effect.Effect<AnyTransport, unknown, unknown> => {
  const listens = options?.checks !== undefined || Object.values(turns).some((turn) => typeof turn === "function")
  const script: Script = { ...options, turns, listens }
  const own = Array.from(spec.states.values()).filter(({ turn }) => turn === role || turn === "both")
  const missing = own.find(({ name }) => !Object.hasOwn(turns, name))
  const fail = (problem: string): never => {
    throw new Unspecified(`dialogue ${spec.name}: ${problem}`)
  }
  if (missing !== undefined) fail(`the ${role} has nothing to say in the state ${missing.name}`)
  for (const [name, turn] of Object.entries(turns)) {
    const state = own.find((state) => state.name === name)
    if (state === undefined) return fail(`there is no state ${name} in which the ${role} speaks`)
    if (typeof turn === "function") continue
    const [tag, values] = saidOf(turn instanceof Because ? turn.said : turn)
    if (!state.targets.has(tag)) fail(`the ${role} cannot say ${tag} in the state ${name}`)
    const written = state.wire.write(tag, values, state.due)
    if (Result.isFailure(written)) fail(`${tag}, which the ${role} says in the state ${name}: ${written.failure}`)
  }
  const unheard = Object.keys(script.checks ?? {}).find((name) => {
    const state = spec.states.get(name)
    return state === undefined || state.turn === role
  })
  if (unheard !== undefined) fail(`there is no state ${unheard} in which the ${role} hears anything`)
  const isEncrypted = Array.from(spec.states.values()).some(({ targets }) =>
    Array.from(targets.values()).some((target) => typeof target === "object" && target._tag === "Encrypted")
  )
  if (isEncrypted && script.tls === undefined) fail("it becomes encrypted, and nobody has said how: give it `tls`")
  return new InTurns(new Side(spec, role), script)
}
