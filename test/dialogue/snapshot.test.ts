/**
 * The snapshot of a dialogue.
 */
import { assert, expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Wire from "../../src/Wire.ts"
import { Whole } from "../support/dialogueWhole.ts"

const whole = Dialogue.snapshot(Whole)

const greeting = (hello: Schema.Struct.Fields, wire?: Wire.Wire<"Hello">): Dialogue.Snapshot =>
  Dialogue.snapshot(
    Dialogue.make()({
      name: "greeting",
      messages: { Hello: hello },
      wire,
      live: Codec.lines(),
      start: "greeting",
      states: { greeting: Dialogue.client({ Hello: Dialogue.ready }) }
    })
  )

const problemOf = (json: unknown): string =>
  Result.match(Dialogue.parseSnapshot(json), { onSuccess: () => "none", onFailure: ({ problem }) => problem })

it("a snapshot is JSON that reads as itself", () => {
  assert.deepEqual(Dialogue.parseSnapshot(JSON.parse(JSON.stringify(whole))), Result.succeed(whole))
})

it("a snapshot is the same each time", () => {
  const made = () => greeting({ name: Schema.String.check(Schema.isPattern(/^[x-z]{3}$/)) })
  assert.strictEqual(JSON.stringify(made()), JSON.stringify(made()))
})

it("a state has its turn, its bounds and where its messages lead", () => {
  expect({ ...whole.states["challenge"], wire: undefined }).toMatchInlineSnapshot(`
    {
      "says": {
        "Busy": {
          "refused": {
            "codeField": "code",
            "retryAfterField": "seconds",
            "retryable": true,
          },
        },
        "Nonce": {
          "to": "login",
        },
      },
      "turn": "server",
      "wire": undefined,
      "within": 10000,
    }
  `)
})

it("a field has what its Schema takes, what JSON Schema leaves out, and whether it is secret, free or fresh", () => {
  expect(
    greeting({
      free: Dialogue.free(Schema.String.check(Schema.isMaxLength(20))),
      secret: Schema.Redacted(Schema.NonEmptyString),
      named: Schema.String.check(Schema.makeFilter((text) => text === text.trim(), { expected: "a trimmed text" })),
      number: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })))
    }).messages["Hello"]
  ).toMatchInlineSnapshot(`
    {
      "fields": {
        "free": {
          "checks": [
            {
              "at": "",
              "id": "isMaxLength",
              "payload": {
                "maxLength": 20,
              },
              "says": "a value with a length of at most 20",
            },
          ],
          "role": "free",
          "schema": {
            "maxLength": 20,
            "type": "string",
          },
        },
        "named": {
          "checks": [
            {
              "at": "",
              "id": "",
              "says": "a trimmed text",
            },
          ],
          "schema": {
            "type": "string",
          },
        },
        "number": {
          "optional": true,
          "schema": {
            "maximum": 5,
            "minimum": 1,
            "type": "integer",
          },
        },
        "secret": {
          "schema": {
            "minLength": 1,
            "type": "string",
          },
          "secret": true,
        },
      },
    }
  `)
})

it("the secrets of examples are made up", () => {
  const { wire } = greeting({ password: Schema.Redacted(Schema.String) })
  assert.deepEqual(wire.messages["Hello"]?.examples[0]?.fields, { password: "made-up-secret" })
})

it("what a codec makes of texts is seen in the framing", () => {
  const framing = (codec: Codec.Codec<string, string>) =>
    greeting({}, Wire.text(codec, { Hello: "HELLO" })).wire.framing
  expect(framing(Codec.lines())).toMatchInlineSnapshot(`
    {
      "": "0a",
      "a": "610a",
      "two words": "74776f20776f7264730a",
      "é": "c3a90a",
    }
  `)
  assert.notDeepEqual(framing(Codec.lines()), framing(Codec.lines({ ending: "\r\n" })))
})

it("a snapshot of another version is none", () => {
  assert.strictEqual(problemOf({ ...whole, version: 2 }), "Expected 1 at [\"version\"]")
})

it("a member that no snapshot has is told", () => {
  assert.strictEqual(problemOf({ ...whole, more: 1 }), "Expected no excess property at [\"more\"]")
})

it("a state that is not there is told", () => {
  const states = { ...whole.states, caps: { ...whole.states["caps"], says: { List: { to: "nowhere" } } } }
  assert.strictEqual(
    problemOf({ ...whole, states }),
    "List in the state caps leads to nowhere, and there is no such state"
  )
  assert.strictEqual(problemOf({ ...whole, start: "nowhere" }), "it starts in nowhere, and there is no such state")
})

it("a message that nothing is known of is told", () => {
  const { Hi: _, ...messages } = whole.messages
  assert.strictEqual(problemOf({ ...whole, messages }), "Hi in the state peers is no message")
})

it("a form with a field that the message has not is told", () => {
  const hello = greeting({ name: Schema.String }, Wire.text(Codec.lines(), { Hello: "HELLO {name}" }))
  const looking = (template: string) => {
    const form = { kind: "text", template, ignoreCase: false }
    return problemOf({ ...hello, wire: { ...hello.wire, messages: { Hello: { form, examples: [] } } } })
  }
  assert.strictEqual(looking("HELLO {name}"), "none")
  assert.strictEqual(looking("HELLO {other}"), "Hello has no field other, and its form has")
  assert.strictEqual(looking("HELLO {"), "the template of Hello is none")
})
