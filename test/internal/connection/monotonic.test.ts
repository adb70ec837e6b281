import { expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Monotonic from "../../../src/internal/connection/monotonic.ts"

it("who sleeps until a time sleeps for as long as is left, and long enough for a clock to move", () => {
  expect(Monotonic.until(6, 5)).toBe(1)
  expect(Monotonic.until(5, 5)).toBe(0)
  expect(Monotonic.until(4, 5)).toBe(0)
  const least = Monotonic.until(5.000_000_000_1, 5)
  expect(Duration.toNanosUnsafe(Duration.millis(least))).toBe(1000n)
})
