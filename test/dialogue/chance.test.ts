import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Chance from "../../src/internal/dialogue/chance.ts"
import * as Given from "../../src/internal/dialogue/given.ts"
import type * as Player from "../../src/internal/dialogue/player.ts"

class Door extends Dialogue.make<Door>()({
  name: "door",
  messages: { Knock: {}, Key: { key: Schema.String }, Wait: {}, Open: {} },
  live: Codec.lines(),
  start: "outside",
  states: {
    outside: Dialogue.client({ Wait: "porch", Key: "porch", Knock: Dialogue.ready }),
    porch: Dialogue.server({ Open: Dialogue.ready, Wait: "outside" })
  }
}) {}

const turn = (...taken: ReadonlyArray<Player.Taken>): Player.Turn => ({
  spec: Door.dialogue,
  role: "client",
  state: Door.dialogue.start,
  options: Door.dialogue.start.due,
  taken,
  heard: undefined
})

const said = (message: string): Player.Taken => ({ state: "outside", by: "client", message, fields: {}, to: "porch" })

const given = Given.add(Given.none, "Key", { key: "sesame" })

describe("a client that goes to the end that is ready", () => {
  it.effect("goes the shortest way", () =>
    Effect.gen(function*() {
      for (let seed = 0; seed < 5; seed++) {
        expect(yield* Random.withSeed(Chance.onward(Given.none)(turn()), seed)).toMatchObject({ message: "Knock" })
      }
    }))

  it.effect("says first what is given, and once", () =>
    Effect.gen(function*() {
      const move = yield* Chance.onward(given)(turn())
      expect(move).toEqual({ _tag: "Say", message: "Key", values: { key: "sesame" } })
      expect(yield* Chance.onward(given)(turn(said("Key")))).toMatchObject({ message: "Knock" })
    }))

  it.effect("stops where it would say the same again", () =>
    Effect.gen(function*() {
      expect(yield* Chance.onward(Given.none)(turn(said("Knock")))).toEqual(Chance.ledBack)
    }))
})

it.effect("the same is said for the same seed", () =>
  Effect.gen(function*() {
    const drawn = (seed: number) => Random.withSeed(Chance.values(Door.dialogue.start, "Key", Given.none), seed)
    expect(yield* drawn(1)).toEqual(yield* drawn(1))
    expect(yield* drawn(1)).not.toEqual(yield* drawn(2))
  }))
