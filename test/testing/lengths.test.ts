/**
 * A message with a length in front that is made longer or shorter.
 */
import { describe, expect, it } from "@effect/vitest"
import { resized } from "../../src/testing/internal/lengths.ts"

describe("a message that is made longer", () => {
  it.each([
    ["a varint", [2, 7, 7], 0, [0xb6, 0x01], 184],
    ["a varint behind its type", [0x10, 2, 7, 7], 1, [0xb6, 0x01], 185],
    ["two bytes, big-endian", [0, 2, 7, 7], 0, [0, 182], 184],
    ["two bytes, little-endian", [2, 0, 7, 7], 0, [182, 0], 184],
    ["one byte", [2, 7, 7], 0, [183], 184],
    ["three bytes, big-endian", [0, 0, 2, 7, 7], 0, [0, 0, 181], 184],
    ["four bytes that count themselves, behind a type", [0x5a, 0, 0, 0, 6, 7, 7], 1, [0, 0, 0, 183], 184],
    ["two bytes that count all, behind a type", [0x5a, 0, 5, 7, 7], 1, [0, 184], 184],
    ["four bytes, big-endian", [0, 0, 0, 2, 7, 7], 0, [0, 0, 0, 182], 186]
  ])("says how long it is in %s", (_, message, kept, length, total) => {
    const found = resized(Uint8Array.from(message), total).map(({ said }) => said)
    expect(found.every((said) => said.length === total)).toBe(true)
    const start = [...message.slice(0, kept), ...length, 7, 7, 0x78]
    expect(found.map((said) => [...said.subarray(0, start.length)])).toContainEqual(start)
  })

  it("is shorter at its end", () => {
    expect(resized(Uint8Array.of(0, 2, 7, 8), 3).map(({ said }) => [...said])).toEqual([[0, 1, 7]])
  })

  it("is none where nothing in front of it is its length, or where its length cannot say that much", () => {
    expect(resized(new TextEncoder().encode("HELLO 2\n"), 600)).toEqual([])
    expect(resized(Uint8Array.of(0, 2, 7, 7), 70_000).filter(({ what }) => what.includes("2 bytes"))).toEqual([])
  })
})
