/**
 * The laws can fail: each broken handshake of the gallery is caught by its law, with a message that leads to the bug.
 */
import { afterAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Laws from "../../src/testing/Laws.ts"
import * as Law from "../support/laws.ts"
import { broken, healthy, stopTimers } from "./gallery/handshakes.ts"

const seed = "gallery"

describe("the healthy handshake", () => {
  Laws.handshake({ ...healthy, name: "healthy", it: Law.it })
})

describe("a handshake that", () => {
  afterAll(stopTimers)
  for (const { law, name, options, says } of broken) {
    it(`${name} breaks law ${law}`, async () => {
      const suite = Laws.handshake({ ...options, name, seed })
      const violation = await Effect.runPromise(Effect.flip(suite.laws.find((other) => other.law === law)!.check))
      expect(violation).toBeInstanceOf(Laws.LawViolation)
      expect(violation.law).toBe(law)
      expect(violation.message).toMatch(says)
    })
  }
})

it("each law has a broken handshake that only it has to catch", () => {
  const caught = new Set(broken.map(({ law }) => law))
  expect([...caught].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
})
