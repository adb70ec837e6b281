/**
 * One side of a dialogue without anybody's code: in each of its turns it says what somebody chooses, and it tells what was said and
 * how it ended.
 *
 * | ending | what has happened |
 * |---|---|
 * | `Ready` | a message led to an end that is ready |
 * | `Refused` | a side has said no; or the other one has ended the connection behind what was wrong, without a word |
 * | `Broken` | the other side has not done what is specified; `error` says how, whose `fault` is the network's or this side's where it is not the other's |
 * | `Stopped` | this side could not go on, or was not to |
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as Handshake from "../../Handshake.ts"
import { HandshakeError, InvalidGreeting, Timeout } from "../../HandshakeError.ts"
import * as Transport from "../../Transport.ts"
import type { TransportError } from "../../TransportError.ts"
import type { Values } from "./fields.ts"
import type { Role, Target } from "./model.ts"
import * as Run from "./run.ts"
import { type Compiled, saidOf, type Spec, stateOf } from "./spec.ts"
import type { Bound, Message } from "./wire.ts"

/** A message that was said or heard where it was due. */
export interface Taken {
  readonly state: string
  readonly by: Role
  readonly message: string
  /** Its fields, without secrets. */
  readonly fields: Values
  /** Where it leads, in words: the name of a state, `ready`, `refused`. */
  readonly to: string
}

export type Ending =
  | { readonly _tag: "Ready"; readonly transport: Transport.Transport<unknown, unknown> }
  | {
    readonly _tag: "Refused"
    readonly by: Role
    readonly state: string
    /** What said no; undefined where it was the end of the connection. */
    readonly message: string | undefined
    /** Whether it is no message of the state, but what is said to whoever breaks the rules. */
    readonly otherwise: boolean
    /** As whoever speaks this side fails; undefined behind what was wrong. */
    readonly error: HandshakeError | undefined
  }
  | {
    readonly _tag: "Broken"
    readonly state: string
    readonly due: string
    readonly came: string
    readonly error: HandshakeError
  }
  | { readonly _tag: "Stopped"; readonly state: string; readonly why: string }

export interface Played {
  readonly taken: ReadonlyArray<Taken>
  readonly ending: Ending
}

/** Where it is this side's turn. */
export interface Turn {
  readonly spec: Spec
  readonly role: Role
  readonly state: Compiled
  /** The messages of the state that lead nowhere too often. */
  readonly options: ReadonlyArray<string>
  readonly taken: ReadonlyArray<Taken>
  /** What was heard last, with its secrets. */
  readonly heard: Message | undefined
}

export type Move =
  | { readonly _tag: "Say"; readonly message: string; readonly values: Values }
  /** Bytes that must not be taken. The other side has to end the conversation. */
  | { readonly _tag: "Wrong"; readonly bytes: Uint8Array }
  | { readonly _tag: "Stop"; readonly why: string }

export type Choose<E = never, R = never> = (turn: Turn) => Effect.Effect<Move, E, R>

type MoveOf<Tag> = Extract<Move, { readonly _tag: Tag }>

export const say = (message: string, values: Values = {}): MoveOf<"Say"> => ({ _tag: "Say", message, values })

export const wrong = (bytes: Uint8Array): MoveOf<"Wrong"> => ({ _tag: "Wrong", bytes })

export const stop = (why: string): MoveOf<"Stop"> => ({ _tag: "Stop", why })

export type TlsOptions = Transport.TlsClientOptions | Transport.TlsServerOptions

/** What a whole conversation is inside of. */
export type Inside = <A, E, R>(
  talk: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | HandshakeError, R | Socket.Socket | Scope.Scope>

export interface Options<E = never, R = never> {
  /** How TLS begins; without it a conversation stops there. */
  readonly tls?: TlsOptions | Effect.Effect<TlsOptions> | undefined
  /** What it is inside of, such as TLS from the first byte. */
  readonly inside?: Inside | undefined
  /** From the first byte to the end. Default: as long as its states allow. */
  readonly within?: Duration.Input | undefined
  /** How long the other side may take to end the conversation behind what was wrong. Default: 5 seconds. */
  readonly patience?: Duration.Input | undefined
  /** Is told each message when it was said or heard. */
  readonly tell?: ((taken: Taken) => Effect.Effect<void, E, R>) | undefined
}

/** Where a message leads, in words. */
export const leads = (target: Target): string =>
  typeof target === "string"
    ? target
    : target._tag === "Encrypted"
    ? `TLS, then ${target.state}`
    : target._tag === "Ready"
    ? "ready"
    : "refused"

/** The fields of a message as they may be shown. */
export const shownFields = (wire: Bound, tag: string, values: Values): Values => {
  const secrets = wire.fields.get(tag)?.secrets ?? []
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, secrets.includes(name) ? Excerpt.redacted : value])
  )
}

export const otherSide = (role: Role): Role => role === "server" ? "client" : "server"

/** What is due in a state, by the names of the messages. */
const dueIn = ({ due }: Compiled): string => due.join(" or ")

/** Ends the talk; what has become of it is known already. */
class Over {
  readonly ending: Ending

  constructor(ending: Ending) {
    this.ending = ending
  }
}

const isRefused = (target: Target | undefined): boolean => typeof target === "object" && target._tag === "Refused"

/** Plays a side of a dialogue to the end of the conversation. Of what it says nothing is a failure, but for what `choose` fails with. */
export const play = <E = never, R = never, E2 = never, R2 = never>(
  spec: Spec,
  role: Role,
  choose: Choose<E, R>,
  options: Options<E2, R2> = {}
): Effect.Effect<Played, E | E2, Socket.Socket | Scope.Scope | R | R2> =>
  Effect.suspend(() => {
    const taken: Array<Taken> = []
    const visits = new Map<string, number>()
    const other = otherSide(role)
    let conversation: Run.Conversation | undefined

    const secrets = new Set<string>()

    /** A frame of the other side. It may have in it what this side has said in confidence. */
    const shownFrame = (wire: Bound, frame: unknown): string => {
      const plain = typeof frame === "string"
        ? frame
        : Predicate.hasProperty(frame, "bytes") && frame.bytes instanceof Uint8Array
        ? frame.bytes
        : undefined
      if (spec.hasSecrets[other] || plain === undefined) return wire.show(frame)
      const text = typeof plain === "string" ? plain : new TextDecoder().decode(plain)
      return Array.from(secrets).some((secret) => text.includes(secret))
        ? Excerpt.redacted
        : typeof plain === "string"
        ? Excerpt.ofFrame(plain)
        : Excerpt.ofBytes(plain)
    }

    const over = (ending: Ending) => Effect.fail(new Over(ending))

    const took = (state: Compiled, by: Role, message: string, values: Values) => {
      const event: Taken = {
        state: state.name,
        by,
        message,
        fields: shownFields(state.wire, message, values),
        to: leads(state.targets.get(message)!)
      }
      return Effect.suspend(() => {
        taken.push(event)
        return options.tell === undefined ? Effect.void : options.tell(event)
      })
    }

    const isOpen = (state: Compiled) => (tag: string) => {
      const next = stateOf(state.targets.get(tag)!)
      return next === undefined || (visits.get(next) ?? 0) < spec.states.get(next)!.atMost
    }

    const chosen = Effect.fnUntraced(function*(place: Run.Speaking | Run.Exchanging) {
      const { state } = place
      const may = state.due.filter(isOpen(state))
      if (may.length === 0) {
        return yield* over({
          _tag: "Stopped",
          state: state.name,
          why: "all that may be said leads to a state that was come to as often as allowed"
        })
      }
      const move = yield* choose({ spec, role, state, options: may, taken, heard: place.conversation.heard })
      if (move._tag === "Stop") return yield* over({ _tag: "Stopped", state: state.name, why: move.why })
      if (move._tag === "Wrong") return yield* over(yield* wronged(place, move.bytes))
      const { message, values } = move
      const written = state.targets.has(message)
        ? state.wire.write(message, values, state.due)
        : Result.fail(`it is not due; ${dueIn(state)} is`)
      if (Result.isFailure(written)) {
        return yield* over({
          _tag: "Stopped",
          state: state.name,
          why: `${message} cannot be said: ${written.failure}`
        })
      }
      const fields = state.wire.fields.get(message)!
      const carried = fields.encode(values)
      for (const name of fields.secrets) {
        const secret = Result.isSuccess(carried) ? carried.success[name] : undefined
        if (typeof secret === "string" && secret !== "") secrets.add(secret)
      }
      return { message, values, frame: written.success }
    })

    /** Says what must not be taken, and hears what comes of it. */
    const wronged = Effect.fnUntraced(function*(place: Run.Speaking | Run.Exchanging, bytes: Uint8Array) {
      const { conversation, state } = place
      conversation.isOver = true
      const deadline = Duration.fromInputUnsafe(options.patience ?? "5 seconds")
      let came: string | undefined
      const heeded = Effect.gen(function*() {
        const raw = yield* Transport.switchCodec(conversation.transport, Codec.bytes)
        yield* Effect.exit(raw.send(bytes))
        return yield* heed(raw, state, wordsOf(spec, other, state.wire), (frame) => {
          came ??= shownFrame(state.wire, frame)
        })
      })
      const reaction = yield* Effect.timeoutOrElse(Effect.catch(heeded, (error) => Effect.succeed(reactionTo(error))), {
        duration: deadline,
        orElse: () => Effect.succeed<Reaction>(came === undefined ? { _tag: "Nothing" } : { _tag: "WentOn", why: came })
      })
      const broken = (came: string, reason: InvalidGreeting | Timeout): Ending => ({
        _tag: "Broken",
        state: state.name,
        due: "a refusal, or the end of the connection",
        came,
        error: conversation.error(state, reason)
      })
      switch (reaction._tag) {
        case "Ended":
        case "Refusal":
          return {
            _tag: "Refused",
            by: other,
            state: state.name,
            message: reaction._tag === "Refusal" ? reaction.message : undefined,
            otherwise: reaction._tag === "Refusal" && reaction.otherwise,
            error: undefined
          } as const
        case "Nothing":
          return broken(`nothing within ${Duration.format(deadline)}`, new Timeout({ deadline }))
        case "WentOn": {
          const shown = came ?? reaction.why
          return broken(
            shown,
            new InvalidGreeting({ expected: "a refusal, or the end of the connection", received: shown })
          )
        }
      }
    })

    const walk = (place: Run.Place): Effect.Effect<
      Transport.Transport<unknown, unknown>,
      HandshakeError | Over | E | E2,
      R | R2
    > =>
      Effect.gen(function*() {
        let now = place
        for (;;) {
          if (
            !(now instanceof Run.Speaking || now instanceof Run.Listening || now instanceof Run.Exchanging ||
              now instanceof Run.Securing)
          ) return now
          const { state } = now
          conversation = now.conversation
          if (now instanceof Run.Securing) {
            if (options.tls === undefined) {
              return yield* over({ _tag: "Stopped", state: state.name, why: "TLS is due, and nothing is known for it" })
            }
            now = yield* now.startTls<never, never>(options.tls)
            continue
          }
          visits.set(state.name, (visits.get(state.name) ?? 0) + 1)
          if (now instanceof Run.Listening) {
            const heard = yield* now.receive
            yield* took(state, other, heard._tag, heard.message)
            now = heard.then
            continue
          }
          const { frame, message, values } = yield* chosen(now)
          if (isRefused(state.targets.get(message))) {
            const error = yield* Effect.flip(now.refuse(message, values))
            yield* took(state, role, message, values)
            return yield* over({ _tag: "Refused", by: role, state: state.name, message, otherwise: false, error })
          }
          if (now instanceof Run.Speaking) {
            now = yield* now.say(message, values)
            yield* took(state, role, message, values)
          } else {
            yield* conversation.send(state, message, frame) ?? Effect.void
            yield* took(state, role, message, values)
            const heard = yield* conversation.receive(state)
            yield* took(state, other, heard._tag, heard.message)
            now = heard.then
          }
        }
      })

    /** What a failure of the handshake says of how it has ended. */
    const endingOf = Effect.fnUntraced(function*(error: HandshakeError): Effect.fn.Return<Ending, E2, R2> {
      const state = conversation?.at ?? spec.start
      const { reason } = error
      const heard = conversation?.heard
      if (reason._tag === "Rejected" && reason.by === "peer" && heard !== undefined) {
        const target = state.targets.get(heard.tag)
        if (target !== undefined) yield* took(state, other, heard.tag, heard.values)
        return {
          _tag: "Refused",
          by: other,
          state: state.name,
          message: heard.tag,
          otherwise: target === undefined,
          error
        }
      }
      const came = reason._tag === "InvalidGreeting" && conversation?.frameHeard !== undefined
        ? shownFrame(state.wire, conversation.frameHeard)
        : cameOf(error)
      return {
        _tag: "Broken",
        state: state.name,
        due: reason._tag === "TlsFailure" ? "TLS" : dueIn(state),
        came,
        error
      }
    })

    const bare = Run.talk(spec, role, walk)
    const talk = options.inside === undefined ? bare : options.inside(bare)
    const timed = options.within === undefined ? talk : Handshake.deadline(talk, options.within)
    return Effect.matchEffect(timed, {
      onSuccess: (transport) => Effect.succeed<Played>({ taken, ending: { _tag: "Ready", transport } }),
      onFailure: (error): Effect.Effect<Played, E | E2, R2> => {
        if (error instanceof Over) return Effect.succeed({ taken, ending: error.ending })
        return error instanceof HandshakeError
          ? Effect.map(endingOf(error), (ending) => ({ taken, ending }))
          : Effect.fail(error as E | E2) // a `Reason` of `choose` is a `HandshakeError` by now
      }
    })
  })

/** What came in the place of what was due. */
const cameOf = ({ reason }: HandshakeError): string => {
  switch (reason._tag) {
    case "InvalidGreeting":
      return reason.received
    case "Timeout":
      return `nothing within ${Duration.format(reason.deadline)}`
    case "UnexpectedEnd":
      return reason.excerpt === "" ? "the end of the connection" : `${reason.excerpt}, and the end of the connection`
    default:
      return reason.message
  }
}

type Reaction =
  | { readonly _tag: "Ended" }
  | { readonly _tag: "Refusal"; readonly message: string; readonly otherwise: boolean }
  | { readonly _tag: "WentOn"; readonly why: string }
  | { readonly _tag: "Nothing" }

/** Whoever is gone has ended it, in whichever way. */
const reactionTo = (error: TransportError): Reaction => {
  const { reason } = error
  return reason._tag === "ConnectionClosed" || reason._tag === "ConnectionFailed" || reason._tag === "Truncated"
    ? { _tag: "Ended" }
    : { _tag: "WentOn", why: reason.message }
}

/** What a side says to what is wrong. Whatever is no message that is known, behind it the connection has to end. */
const heed = Effect.fnUntraced(function*(
  raw: Transport.Transport<Uint8Array, Uint8Array>,
  { due, turn, wire }: Compiled,
  { refusals, words }: Words,
  came: (frame: unknown) => void
): Effect.fn.Return<Reaction, TransportError> {
  let rest = raw
  if (words.length > 0) {
    const transport = yield* Transport.switchCodec(raw, wire.codec(words))
    // Where both sides speak, it may have said its own before it has heard anything.
    for (let mayHaveSpoken = turn === "both";; mayHaveSpoken = false) {
      const frame = yield* transport.receive
      const read = wire.read(frame, words)
      const tag = Result.isSuccess(read) ? read.success.tag : undefined
      if (tag !== undefined && refusals.has(tag)) {
        return { _tag: "Refusal", message: tag, otherwise: refusals.get(tag)! }
      }
      if (mayHaveSpoken && tag !== undefined && due.includes(tag)) continue
      came(frame)
      if (tag !== undefined) return { _tag: "WentOn", why: tag }
      break
    }
    rest = yield* Transport.switchCodec(transport, Codec.bytes)
  }
  return yield* Effect.forever(Effect.map(rest.receive, (bytes) => came({ bytes })))
})

interface Words {
  /** What says no, and whether it is said otherwise. */
  readonly refusals: ReadonlyMap<string, boolean>
  /** All that may be heard, first what says no. */
  readonly words: ReadonlyArray<string>
}

/** What a side can say that this wire knows. */
const wordsOf = (spec: Spec, by: Role, wire: Bound): Words => {
  const refusals = new Map<string, boolean>()
  const others = new Set<string>()
  for (const { targets, turn } of spec.states.values()) {
    if (turn !== by && turn !== "both") continue
    for (const [tag, target] of targets) {
      if (!wire.fields.has(tag)) continue
      if (isRefused(target)) refusals.set(tag, false)
      else others.add(tag)
    }
  }
  for (const state of spec.states.keys()) {
    const otherwise = otherwiseOf(spec, by, state)
    if (otherwise !== undefined && wire.fields.has(otherwise) && !refusals.has(otherwise)) refusals.set(otherwise, true)
  }
  return { refusals, words: [...refusals.keys(), ...Array.from(others).filter((tag) => !refusals.has(tag))] }
}

/** The message that a side says to whoever breaks the rules in a state. */
const otherwiseOf = ({ otherwise }: Spec, by: Role, state: string): string | undefined => {
  const told = otherwise[by]
  const said = typeof told === "function"
    ? told(new InvalidGreeting({ expected: "", received: "" }), state, undefined)
    : told
  return said === undefined ? undefined : saidOf(said)[0]
}
