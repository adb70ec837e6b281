/**
 * Moves that `Random` makes: any message of the state, with values from its Schemas where none are given.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import * as Described from "./described.ts"
import * as Draw from "./draw.ts"
import * as Examples from "./examples.ts"
import type { Values } from "./fields.ts"
import type { Given } from "./given.ts"
import * as Player from "./player.ts"
import type { Compiled, Spec } from "./spec.ts"
import * as Ways from "./ways.ts"

/** A message that may be said in a state, with what is given and the rest drawn; undefined where there is none. */
export const values = (state: Compiled, tag: string, given: Given): Effect.Effect<Values | undefined> =>
  Effect.map(Random.nextInt, (seed) => {
    const known = given.get(tag)
    const { names } = state.wire.fields.get(tag)!
    // Where all is given there is nothing to draw, and what cannot be said is told as what it is.
    if (known !== undefined && names.every((name) => name in known)) return known
    const drawn = Draw.draw(state, tag, seed)
    return drawn === undefined || known === undefined ? drawn : { ...drawn, ...known }
  })

/** Says the first of these messages for which there are values. */
export const firstOf = (
  state: Compiled,
  tags: ReadonlyArray<string>,
  given: Given
): Effect.Effect<Player.Move> =>
  Effect.gen(function*() {
    for (const tag of tags) {
      const drawn = yield* values(state, tag, given)
      if (drawn !== undefined) return Player.say(tag, drawn)
    }
    return Player.stop(
      `no value was found that the Schemas and the wire allow for ${tags.join(", ")}; give one for each of their fields`
    )
  })

/** Says whatever may be said. */
export const choose = (given: Given): Player.Choose => ({ options, state }) =>
  Effect.flatMap(Random.shuffle(options), (tags) => firstOf(state, tags, given))

/** Why `onward` goes no further: it is where it was, and would say the same again. */
export const ledBack = Player.stop("what was said there has led back to it")

/** Says what leads to the end that is ready, the shortest way, but first once what somebody has given a value for. */
export const onward = (given: Given): Player.Choose => ({ options, role, spec, state, taken }) =>
  Effect.flatMap(Random.shuffle(options), (tags) => {
    const said = taken.filter(({ by }) => by === role)
    const isWanted = (tag: string) => given.has(tag) && !said.some(({ message }) => message === tag)
    const cost = (tag: string) => isWanted(tag) ? -1 : Ways.steps(spec, Ways.isReady, state, tag)
    const [best, ...others] = tags.toSorted((a, b) => cost(a) - cost(b))
    return said.some((before) => before.state === state.name && before.message === best)
      ? Effect.succeed(ledBack)
      : firstOf(state, [best!, ...others], given)
  })

/**
 * A message in bytes where it is not due, with plain values; undefined where its bytes would be taken, or nobody could tell that they
 * are wrong.
 */
export const undue = (
  spec: Spec,
  state: Compiled,
  tag: string
): { readonly bytes: Uint8Array; readonly fields: Values } | undefined => {
  const wire = state.wire.fields.has(tag) ? state.wire : spec.wire
  const alone: Compiled = { ...state, due: [tag], wire, maxBytes: undefined }
  const [example] = Examples.of(alone, tag, Described.message(wire.fields.get(tag)!), 1)
  if (example === undefined) return undefined
  const bytes = Result.getOrThrow(Hex.decode(example.bytes))
  return isWrong(state, bytes) ? { bytes, fields: example.fields as Values } : undefined
}

/** Whether it is seen from these bytes alone that they are not what is due. */
const isWrong = ({ due, wire }: Compiled, bytes: Uint8Array): boolean => {
  try {
    const [frame] = Codec.decodeAll(wire.codec(due), bytes)
    if (frame === undefined) return false
    const read = wire.read(frame, due)
    return Result.isFailure(read) || !due.includes(read.success.tag)
  } catch {
    return true
  }
}
