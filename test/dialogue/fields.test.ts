/**
 * The fields of messages.
 */
import { assert, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Wire from "../../src/Wire.ts"

it("a member that a message without fields has not is refused", () => {
  const wire = Wire.json().bind({ Hello: {} })
  assert.deepEqual(wire.read("{\"_tag\":\"Hello\"}", ["Hello"]), Result.succeed({ tag: "Hello", values: {} }))
  assert.deepEqual(wire.read("{\"_tag\":\"Hello\",\"more\":1}", ["Hello"]), Result.fail("Hello: there is no \"more\""))
})
