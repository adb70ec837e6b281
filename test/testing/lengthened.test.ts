/**
 * A message with a length in front that is made longer, for law 4.
 */
import { describe, expect, it } from "@effect/vitest"
import { lengthened } from "../../src/testing/internal/laws/oversize.ts"

describe("a message that is made longer", () => {
  it.each([
    ["a varint", [2, 7, 7], 0, [0xb6, 0x01], 184],
    ["a varint behind its type", [0x10, 2, 7, 7], 1, [0xb6, 0x01], 185],
    ["two bytes, big-endian", [0, 2, 7, 7], 0, [0, 182], 184],
    ["two bytes, little-endian", [2, 0, 7, 7], 0, [182, 0], 184],
    ["four bytes, big-endian", [0, 0, 0, 2, 7, 7], 0, [0, 0, 0, 182], 186]
  ])("says how long it is in %s", (_, message, kept, length, total) => {
    const found = lengthened(Uint8Array.from(message), total).map(({ said }) => said)
    expect(found.every((said) => said.length === total)).toBe(true)
    const start = [...message.slice(0, kept), ...length, 7, 7, 0x78]
    expect(found.map((said) => [...said.subarray(0, start.length)])).toContainEqual(start)
  })

  it("is none where nothing in front of it is its length, or where its length cannot say that much", () => {
    expect(lengthened(new TextEncoder().encode("HELLO 2\n"), 600)).toEqual([])
    expect(lengthened(Uint8Array.of(0, 2, 7, 7), 70_000).filter(({ what }) => what.includes("2 bytes"))).toEqual([])
  })
})
