/**
 * Whether a server does what a dialogue says: conversations with it that try each transition, and messages where they are not due.
 *
 * A walk goes towards what was not seen yet. What the server says is up to the server, and depends on what it is told: so in every
 * other walk, what it looks at in one of the messages is drawn though it is given, that a wrong password may be seen refused.
 * Then, in each state of the client that was come to, each message that is not due there is said, on a connection of its own.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Socket } from "effect/socket/Socket"
import type { HandshakeError } from "../../HandshakeError.ts"
import type * as Transport from "../../Transport.ts"
import * as Chance from "./chance.ts"
import type { Values } from "./fields.ts"
import type * as Given from "./given.ts"
import type { Role } from "./model.ts"
import * as Player from "./player.ts"
import { type Compiled, type Spec, stateOf } from "./spec.ts"
import * as Ways from "./ways.ts"

export interface Options {
  /** Conversations that try transitions, at most. */
  readonly runs: number
  readonly given: Given.Given
  /** From the first byte of a conversation to its end. */
  readonly within: Duration.Input
  /** How long the server may take to end a conversation behind a message that was not due. */
  readonly patience: Duration.Input
  /** How TLS begins where the dialogue says so. */
  readonly tls?: Transport.TlsClientOptions | undefined
  /** What each conversation is inside of. */
  readonly inside?: Player.Inside | undefined
}

/** A way from one state to another, and how often it was gone. */
export interface Transition {
  readonly state: string
  readonly by: Role
  readonly message: string
  readonly to: string
  readonly times: number
}

/** A conversation in which the server has not done what is specified. */
export interface Failure {
  /** Which one it was, from 1. */
  readonly conversation: number
  readonly said: ReadonlyArray<Player.Taken>
  /** What was said last, where it was not due. */
  readonly undue: { readonly message: string; readonly fields: Values } | undefined
  readonly state: string
  readonly due: string
  readonly came: string
  readonly error: HandshakeError
}

export interface Report {
  readonly conversations: number
  readonly transitions: ReadonlyArray<Transition>
  /** Conversations that came to an end that is ready. */
  readonly ready: number
  /** Messages that were said where they were not due, and those that could not be. */
  readonly undue: { readonly refused: number; readonly untried: number }
  readonly failure: Failure | undefined
  /** Why this side went no further, where it did not. */
  readonly stopped: string | undefined
}

/** So many walks one after the other that show nothing new are enough. */
const idle = 10

/** How often one conversation comes to a state: what goes round shows nothing new. */
const rounds = 4

const seenEnough = Player.stop("seen enough")

/** How often it is tried to come to a state again. */
const tries = 3

const keyOf = (state: string, by: Role, message: string): string => `${state}\0${by}\0${message}`

/** What the client says on its way to a state. */
type Way = ReadonlyArray<{ readonly state: string; readonly message: string; readonly values: Values }>

/** Talks to a server as often as it takes. The failure is a connection that cannot be opened at all. */
export const conform = (
  spec: Spec,
  options: Options
): Effect.Effect<Report, HandshakeError, Socket> =>
  Effect.gen(function*() {
    const seen = new Map<string, number>()
    const ways = new Map<string, Way>()
    const found: { -readonly [K in "conversations" | "ready" | "failure" | "stopped"]: Report[K] } = {
      conversations: 0,
      ready: 0,
      failure: undefined,
      stopped: undefined
    }
    const undue = { refused: 0, untried: 0 }

    const play = (choose: Player.Choose) =>
      Effect.tap(
        Effect.scoped(
          Player.play(spec, "client", choose, {
            within: options.within,
            patience: options.patience,
            tls: options.tls,
            inside: options.inside
          })
        ),
        ({ taken }) =>
          Effect.sync(() => {
            found.conversations++
            for (const { by, message, state } of taken) {
              const key = keyOf(state, by, message)
              seen.set(key, (seen.get(key) ?? 0) + 1)
            }
          })
      )

    const fail = ({ ending, taken }: Player.Played, undue: Failure["undue"]): Effect.Effect<void, HandshakeError> => {
      if (ending._tag !== "Broken") return Effect.void
      const { came, due, error, state } = ending
      // Who was not there at all is not to be judged.
      if (found.conversations === 1 && isUnreachable(error)) return Effect.fail(error)
      found.failure = { conversation: found.conversations, said: taken, undue, state, due, came, error }
      return Effect.void
    }

    let dull = 0
    for (let walk = 0; walk < options.runs && found.failure === undefined && dull < idle; walk++) {
      const missing = missingOf(spec, seen)
      if (missing.size === 0) break
      const isMissing = (state: Compiled, message: string) =>
        sidesOf(state).some((by) => missing.has(keyOf(state.name, by, message)))
      const known = seen.size
      const way: Array<Way[number]> = []
      const given = walk % 2 === 0 ? options.given : guessing(spec, options.given, missing, (walk - 1) / 2)
      let isGuessing = false
      const played = yield* play(Effect.fnUntraced(function*({ options: may, state, taken }) {
        const before = taken.filter((event) => event.by === "client" && event.state === state.name).length
        if (before >= Math.min(rounds, state.atMost)) return seenEnough
        if (!ways.has(state.name)) ways.set(state.name, [...way])
        const shuffled = yield* Random.shuffle(may)
        const far = (tag: string) => Ways.steps(spec, isMissing, state, tag)
        const nearest = shuffled.toSorted((a, b) => far(a) - far(b))
        const move = yield* Chance.firstOf(state, nearest, given)
        if (move._tag === "Say") {
          way.push({ state: state.name, message: move.message, values: move.values })
          isGuessing ||= isGuess(state, move.message, given)
        }
        return move
      }))
      const { ending } = played
      if (ending._tag === "Ready") found.ready++
      if (ending._tag === "Stopped" && ending.why !== seenEnough.why) {
        found.stopped ??= `in the state ${ending.state}: ${ending.why}`
      }
      if (!(isGuessing && isSilentRefusal(spec, ending))) yield* fail(played, undefined)
      dull = seen.size > known ? 0 : dull + 1
    }

    const places = Array.from(ways).map(([name, way]) => [spec.states.get(name)!, way] as const)
    for (const [state, way] of places) {
      for (const tag of spec.wire.fields.keys()) {
        if (found.failure !== undefined) break
        if (state.due.includes(tag)) continue
        const wrong = Chance.undue(spec, state, tag)
        const played = wrong === undefined ? undefined : yield* again(play, state, way, wrong.bytes)
        if (wrong === undefined || played === undefined) undue.untried++
        else if (played.ending._tag === "Refused") undue.refused++
        else yield* fail(played, { message: tag, fields: Player.shownFields(spec.wire, tag, wrong.fields) })
      }
    }

    return {
      ...found,
      transitions: Array.from(
        transitionsOf(spec),
        ([key, transition]) => ({ ...transition, times: seen.get(key) ?? 0 })
      ),
      undue
    }
  })

/** Goes the same way again, and says what is wrong there; undefined where the server leads elsewhere each time. */
const again = Effect.fnUntraced(function*<E, R>(
  play: (choose: Player.Choose) => Effect.Effect<Player.Played, E, R>,
  state: Compiled,
  way: Way,
  bytes: Uint8Array
) {
  for (let attempt = 0; attempt < tries; attempt++) {
    let isThere = false
    let at = 0
    const played = yield* play((turn) =>
      Effect.sync(() => {
        const step = way[at++]
        if (step === undefined) {
          if (turn.state !== state) return Player.stop("it led elsewhere")
          isThere = true
          return Player.wrong(bytes)
        }
        return turn.state.name === step.state ? Player.say(step.message, step.values) : Player.stop("it led elsewhere")
      })
    )
    if (isThere) return played
  }
  return undefined
})

const isUnreachable = ({ reason }: HandshakeError): boolean =>
  reason._tag === "ConnectionFailed" && reason.operation === "open"

/** The fields that the server looks at. */
const checkedOf = ({ wire }: Pick<Compiled, "wire">, tag: string): ReadonlyArray<string> => {
  const { free, fresh, names } = wire.fields.get(tag)!
  return names.filter((name) => !free.includes(name) && !fresh.includes(name))
}

/** Whether the server looks at something that nobody has given: it need not like it. */
const isGuess = (state: Compiled, tag: string, given: Given.Given): boolean =>
  checkedOf(state, tag).some((name) => !(name in (given.get(tag) ?? {})))

/**
 * What is given without what the server looks at in one of the messages: one behind which it has said less than it may, if there is
 * such a one; each in its turn.
 */
const guessing = (
  spec: Spec,
  given: Given.Given,
  missing: ReadonlySet<string>,
  turn: number
): Given.Given => {
  const checked = Array.from(given.keys()).filter((tag) => checkedOf(spec, tag).some((name) => name in given.get(tag)!))
  const telling = checked.filter((tag) =>
    Array.from(spec.states.values()).some(({ targets }) => {
      const next = targets.has(tag) ? stateOf(targets.get(tag)!) : undefined
      return next !== undefined &&
        spec.states.get(next)!.due.some((answer) => missing.has(keyOf(next, "server", answer)))
    })
  )
  const candidates = telling.length > 0 ? telling : checked
  const guessed = candidates[turn % candidates.length]
  if (guessed === undefined) return given
  const kept = Object.entries(given.get(guessed)!).filter(([name]) => !checkedOf(spec, guessed).includes(name))
  return new Map([...given, [guessed, Object.fromEntries(kept)]])
}

/** Where nothing can be said to whoever is not let in, the connection ends. */
const isSilentRefusal = (spec: Spec, ending: Player.Ending): boolean => {
  if (ending._tag !== "Broken" || ending.error.reason._tag !== "UnexpectedEnd") return false
  const { targets } = spec.states.get(ending.state)!
  return spec.otherwise.server === undefined && ending.error.reason.excerpt === "" &&
    !Array.from(targets.values()).some((target) => typeof target === "object" && target._tag === "Refused")
}

const sidesOf = ({ turn }: Compiled): ReadonlyArray<Role> => turn === "both" ? ["client", "server"] : [turn]

const transitionsOf = (spec: Spec): ReadonlyMap<string, Omit<Transition, "times">> =>
  new Map(
    Array.from(spec.states.values()).flatMap((state) =>
      sidesOf(state).flatMap((by) =>
        Array.from(state.targets, ([message, target]) =>
          [
            keyOf(state.name, by, message),
            { state: state.name, by, message, to: Player.leads(target) }
          ] as const)
      )
    )
  )

const missingOf = (spec: Spec, seen: ReadonlyMap<string, number>): ReadonlySet<string> =>
  new Set(Array.from(transitionsOf(spec).keys()).filter((key) => !seen.has(key)))
