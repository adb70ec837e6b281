import { expect, it } from "@effect/vitest"
import * as ApplicationProtocols from "../../../src/protocols/tls/applicationProtocols.ts"

const { maxLength, problemOf } = ApplicationProtocols

/** Names that have so many bytes together. */
const names = (length: number): ReadonlyArray<string> =>
  length > 256 ? ["x".repeat(255), ...names(length - 256)] : ["é".repeat((length - 1) / 2)]

it("names fit into a ClientHello with all else that it says, each with its length before it", () => {
  expect(problemOf([])).toBeUndefined()
  expect(problemOf(names(maxLength))).toBeUndefined()
  expect(problemOf([...names(maxLength - 2), "a", ""])).toBe(
    `alpn has 226 names with ${maxLength + 1} bytes, and a ClientHello has room for ${maxLength}`
  )
})
