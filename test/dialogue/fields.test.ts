/**
 * The fields of messages.
 */
import { assert, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Wire from "../../src/Wire.ts"

it("a member that a message without fields has not is refused", () => {
  const wire = Wire.json().bind({ Hello: {} })
  assert.deepEqual(wire.read("{\"_tag\":\"Hello\"}", ["Hello"]), Result.succeed({ tag: "Hello", values: {} }))
  assert.deepEqual(wire.read("{\"_tag\":\"Hello\",\"more\":1}", ["Hello"]), Result.fail("Hello: there is no \"more\""))
})

it("a message is not said whose fields would be read as others", () => {
  const wire = Wire.text(Codec.lines(), { Hello: "HELLO {name} VERSION {version}" })
    .bind({ Hello: { name: Schema.String, version: Schema.String } })
  assert.deepEqual(
    wire.write("Hello", { name: "ann", version: "2 VERSION 3" }, ["Hello"]),
    Result.succeed("HELLO ann VERSION 2 VERSION 3")
  )
  assert.deepEqual(
    wire.write("Hello", { name: "ann VERSION 2", version: "3" }, ["Hello"]),
    Result.fail("its fields would be read as others")
  )
})
