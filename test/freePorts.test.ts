/**
 * The ports that tests give to peers which do not choose one themselves.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Peers from "./support/peers.ts"

it.live("a port that was given is not given again, though nobody listens there yet", () =>
  Effect.gen(function*() {
    const given = yield* Effect.all(Array.from({ length: 600 }, () => Peers.freePort))
    expect(new Set(given).size).toBe(600)
  }))
