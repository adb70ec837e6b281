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

it("a Schema has to encode to what its part in bytes is, whatever it decodes to", () => {
  const parts = Wire.bytes({ A: [Wire.uint("n", 1), Wire.string("t", { prefix: 1 }), Wire.blob("b", { prefix: 1 })] })
  const bind = (n: Schema.Codec<any>, t: Schema.Codec<any, any>, b: Schema.Codec<any, any>) => () =>
    parts.bind({ A: { n, t, b } })
  const count = Schema.Literals([1, 2])
  assert.doesNotThrow(bind(count, Schema.StringFromBase64, Schema.Redacted(Schema.Uint8Array)))
  assert.doesNotThrow(bind(Schema.Unknown, Schema.NumberFromString, Schema.Unknown))
  assert.throws(bind(Schema.Literals(["1", "2"]), Schema.String, Schema.Uint8Array), "the field n of A is a number")
  assert.throws(bind(count, Schema.Int, Schema.Uint8Array), "the field t of A is a text")
  assert.throws(bind(count, Schema.String, Schema.String), "the field b of A is a Uint8Array")
})
