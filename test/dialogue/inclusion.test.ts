/**
 * Whether what one version may say is taken by the other, field by field.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"

type Field = Schema.Codec<unknown, unknown>

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const text = (minimum: number, maximum: number) =>
  Schema.String.check(Schema.isMinLength(minimum), Schema.isMaxLength(maximum))

const saying = (value: Field): Dialogue.Any =>
  Dialogue.make()({
    name: "saying",
    messages: { Say: { value } },
    live: Codec.lines(),
    start: "saying",
    states: { saying: Dialogue.client({ Say: Dialogue.ready }) }
  })

/** What a newer server thinks of what an older client says. */
const heard = (said: Dialogue.Any, taken: Dialogue.Any) => {
  const { parting } = Dialogue.compare(said, taken).oldClient
  return parting === undefined
    ? "taken"
    : parting.isCertain
    ? `not ${JSON.stringify(parting.conversation[0]!.fields["value"])}`
    : "unknown"
}

const fields: Readonly<Record<string, Field>> = {
  "an integer": Schema.Int,
  "1 to 5": between(1, 5),
  "2 to 4": between(2, 4),
  "above 0": Schema.Int.check(Schema.isGreaterThan(0)),
  "a multiple of 2": Schema.Int.check(Schema.isMultipleOf(2)),
  "a number": Schema.Number,
  "a finite number": Schema.Finite,
  "below 1": Schema.Finite.check(Schema.isLessThan(1)),
  "a text": Schema.String,
  "no empty text": Schema.NonEmptyString,
  "2 to 5 characters": text(2, 5),
  "3 to 4 characters": text(3, 4),
  "small letters": Schema.String.check(Schema.isPattern(/^[a-z]*$/)),
  "letters": Schema.String.check(Schema.isPattern(/^[a-z]*$/i)),
  "a": Schema.Literal("a"),
  "a or b": Schema.Literals(["a", "b"]),
  "1 or 2": Schema.Literals([1, 2]),
  "yes or no": Schema.Boolean,
  "a text or null": Schema.NullOr(Schema.String),
  "a text or an integer": Schema.Union([Schema.String, Schema.Int]),
  "integers": Schema.Array(Schema.Int),
  "three integers at most": Schema.Array(Schema.Int).check(Schema.isMaxLength(3)),
  "no empty list": Schema.NonEmptyArray(Schema.Int),
  "a pair": Schema.Tuple([Schema.Int, Schema.Int]),
  "small integers": Schema.Array(between(0, 9)),
  "an object": Schema.Struct({ a: Schema.Int }),
  "an object with more": Schema.Struct({ a: Schema.Int, b: Schema.optionalKey(Schema.String) }),
  "an object with both": Schema.Struct({ a: Schema.Int, b: Schema.String }),
  "any integers by name": Schema.Record(Schema.String, Schema.Int),
  "bytes": Schema.Uint8Array,
  "a number as text": Schema.NumberFromString,
  "a big integer": Schema.BigInt,
  "a duration": Schema.Duration,
  "a URL": Schema.URL,
  "trimmed": Schema.Trimmed,
  "begins with x": Schema.String.check(Schema.makeFilter((text) => text.startsWith("x"), { expected: "an x in front" }))
}

describe("a value of the one is taken by the other", () => {
  const expected: ReadonlyArray<readonly [said: string, taken: string, verdict: string]> = [
    ["2 to 4", "1 to 5", "taken"],
    ["1 to 5", "2 to 4", "not 1"],
    ["1 to 5", "above 0", "taken"],
    ["1 or 2", "1 to 5", "taken"],
    ["1 to 5", "1 or 2", "not 5"],
    ["an integer", "a finite number", "taken"],
    ["a finite number", "an integer", "not 0.5"],
    ["a or b", "a", "not \"b\""],
    ["a", "a or b", "taken"],
    ["a text", "a", "not \"value\""],
    ["3 to 4 characters", "2 to 5 characters", "taken"],
    ["2 to 5 characters", "3 to 4 characters", "not \"value\""],
    ["a or b", "small letters", "taken"],
    ["small letters", "small letters", "taken"],
    ["letters", "small letters", "not \"A\""],
    ["small letters", "letters", "unknown"],
    ["a text", "small letters", "not \"A\""],
    ["a text", "a text or null", "taken"],
    ["a text or null", "a text", "not null"],
    ["three integers at most", "integers", "taken"],
    ["integers", "three integers at most", "not [0,0,0,0]"],
    ["a pair", "integers", "taken"],
    ["an object", "an object with more", "taken"],
    ["an object with more", "an object", "not {\"a\":1,\"b\":\"b\"}"],
    ["an object with both", "an object with more", "taken"],
    ["a text", "bytes", "not \"value\""],
    ["a text", "begins with x", "unknown"],
    ["begins with x", "a text", "taken"],
    ["begins with x", "begins with x", "taken"],
    ["a number as text", "a number as text", "taken"],
    ["a text", "a number as text", "unknown"]
  ]
  const dialogues = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, saying(field)]))

  for (const [said, taken, verdict] of expected) {
    it(`${said}, where it is ${taken}: ${verdict}`, () => {
      assert.strictEqual(heard(dialogues[said]!, dialogues[taken]!), verdict)
    })
  }

  it("what is told of any two Schemas holds for the values that they take", () => {
    const codecs = Object.entries(fields).map(([name, field]) => {
      const codec = Schema.toCodecJson(field)
      const values = Effect.runSync(
        // Of some that are checked by a function none is found.
        Effect.orElseSucceed(Arbitrary.sampleEffect(Arbitrary.schema(field), { count: 6, seed: 1 }), () => [])
      )
      return {
        name,
        dialogue: dialogues[name]!,
        said: values.map((value) => Schema.encodeSync(codec)(value)),
        takes: (json: unknown) =>
          Result.isSuccess(Schema.decodeUnknownResult(codec, { onExcessProperty: "error" })(json))
      }
    })
    const tally = { taken: 0, not: 0, unknown: 0 }
    const holds = (one: typeof codecs[number], other: typeof codecs[number], { parting }: Dialogue.Meeting) => {
      const of = `${one.name}, where it is ${other.name}`
      if (parting === undefined) {
        tally.taken++
        for (const json of one.said) assert.isTrue(other.takes(json), `${of}: ${JSON.stringify(json)} is taken`)
      } else if (parting.isCertain) {
        tally.not++
        const { value } = parting.conversation[0]!.fields
        assert.isTrue(one.takes(value), `${of}: ${JSON.stringify(value)} is said`)
        assert.isFalse(other.takes(value), `${of}: ${JSON.stringify(value)} is not taken`)
      } else tally.unknown++
    }
    for (const [i, older] of codecs.entries()) {
      for (const newer of codecs.slice(i + 1)) {
        const { newClient, oldClient } = Dialogue.compare(older.dialogue, newer.dialogue)
        holds(older, newer, oldClient)
        holds(newer, older, newClient)
      }
    }
    assert.deepEqual(tally, { taken: 93, not: 1101, unknown: 66 })
  })
})
