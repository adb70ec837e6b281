/**
 * The laws can fail: each broken handshake of the gallery is caught by the law whose subject its bug is, before any other, with
 * a message that leads to the bug.
 */
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Law from "../support/laws.ts"
import { broken, cleanUp, healthy } from "./gallery/handshakes.ts"

const seed = "gallery"

describe("the healthy handshake", () => {
  Laws.handshake({ ...healthy, name: "healthy", it: Law.it })
})

describe("a handshake that", () => {
  afterAll(cleanUp)
  for (const { amongAll, law, name, options, says } of broken) {
    // Laws that come late have much to try before, so that of their handshakes only those are tried by all laws that others meet
    // as well.
    const byAll = amongAll ?? [1, 2, 3, 5, 12].includes(law)
    Law.it(`${name} breaks law ${law}${byAll ? " first of all" : ""}`, async () => {
      const suite = Laws.handshake({ ...options, name, seed, ...(byAll && { rungs: [Rung.memory], runs: 80 }) })
      const check = byAll ? Laws.check(suite) : suite.laws.find((other) => other.law === law)!.check
      const violation = await Effect.runPromise(Effect.flip(check))
      expect(violation).toBeInstanceOf(Laws.LawViolation)
      expect(violation.law, violation.message).toBe(law)
      expect(violation.message).toMatch(says)
    })
  }
})

it("each law has a broken handshake that only it has to catch", () => {
  const caught = new Set(broken.map(({ law }) => law))
  expect([...caught].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
})
