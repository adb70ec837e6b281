/**
 * What comes in the place of a field, for the laws of dialogues.
 */
import { assert, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import { follow } from "../../src/internal/dialogue/follow.ts"
import * as Changes from "../../src/testing/internal/dialogue/changes.ts"
import * as Wire from "../../src/Wire.ts"
import { text, utf8 } from "../support/conversation.ts"
import * as Post from "./gallery/post.ts"

const base64 = (text: string) => btoa(text)
const said = `LOGIN ${base64("\0Ann\0Hunter22")} me\n`

/** The logins that come in the place of another one, and how each of them is called. */
const logins = (dialogue: Dialogue.Any) => {
  const taken = follow(dialogue.dialogue, { client: utf8(said), server: new Uint8Array(0) }).taken[0]!
  return new Map(
    Changes.ofFields(dialogue.dialogue, taken, [], 1).flatMap(({ apply, what }) => {
      const [, login = "", agent] = text(apply(taken.bytes) ?? utf8("")).trimEnd().split(" ")
      if (agent !== "me") return []
      try {
        return [[new TextDecoder().decode(Uint8Array.from(atob(login), (unit) => unit.charCodeAt(0))), what]]
      } catch {
        return []
      }
    })
  )
}

/** The same login, whose Schema leaves Base64 to the side. */
const plain = Dialogue.make()({
  name: "plain",
  messages: { Login: { login: Schema.Redacted(Schema.String), agent: Dialogue.free(Schema.String) }, Yes: {} },
  wire: Wire.text(Codec.lines(), { Login: "LOGIN {login} {agent}", Yes: "YES" }),
  live: Codec.lines(),
  start: "login",
  states: { login: Dialogue.client({ Login: "verdict" }), verdict: Dialogue.server({ Yes: Dialogue.ready }) }
})

for (const [name, dialogue] of [["its Schema", Post.Post], ["the side", plain]] as const) {
  it(`each part of a secret in Base64 is changed, where ${name} takes it apart`, () => {
    const found = logins(dialogue)
    const others = [
      "x\0Ann\0Hunter22",
      "\0ann\0Hunter22",
      "\0Ann\0hunter22",
      "\0Ann\0Hunter22 ",
      "\0Ann\0Hunter2",
      "\0Ann\0",
      "\0Ann\0Hunter22\0x",
      "\0Hunter22\0Ann",
      ":Ann:Hunter22",
      "\0Ann\0H\u0301unter22",
      "\0Ann\0%48unter22"
    ]
    for (const other of others) assert.isTrue(found.has(other), JSON.stringify(other))
    assert.match(found.get("\0Ann\0hunter22")!, /^its field login is another one \(its part 3 of 3 in lower case\)$/)
  })
}

it("what is changed is what is said now, which may be another message each time", () => {
  const taken = follow(plain.dialogue, { client: utf8(said), server: new Uint8Array(0) }).taken[0]!
  const { apply } = Changes.ofFields(plain.dialogue, taken, [], 1).find(({ what }) =>
    what === "its field login is another one (its part 2 of 3 in lower case)"
  )!
  const login = (name: string, password: string) => `LOGIN ${base64(`\0${name}\0${password}`)} me\n`
  for (const [name, password] of [["Ann", "Hunter22"], ["Bob", "Letmein1"], ["Ann", "Hunter22"]] as const) {
    assert.strictEqual(text(apply(utf8(login(name, password)))!), login(name.toLowerCase(), password))
  }
})

it("each member of what a Schema makes of a secret is changed", () => {
  const Login = Schema.fromJsonString(Schema.Struct({ user: Schema.String, password: Schema.String }))
  const json = Dialogue.make()({
    name: "json",
    messages: { Login: { login: Schema.Redacted(Login) }, Yes: {} },
    wire: Wire.text(Codec.lines(), { Login: "LOGIN {login}", Yes: "YES" }),
    live: Codec.lines(),
    start: "login",
    states: { login: Dialogue.client({ Login: "verdict" }), verdict: Dialogue.server({ Yes: Dialogue.ready }) }
  })
  const login = { user: "ann", password: "hunter2" }
  const client = utf8(`LOGIN ${JSON.stringify(login)}\n`)
  const taken = follow(json.dialogue, { client, server: new Uint8Array(0) }).taken[0]!
  assert.deepEqual(Redacted.value(taken.values["login"] as Redacted.Redacted<unknown>), login)
  const found = Changes.ofFields(json.dialogue, taken, [], 1).map(({ apply }) => text(apply(taken.bytes) ?? utf8("")))
  assert.include(found, `LOGIN ${JSON.stringify({ ...login, user: "ANN" })}\n`)
  assert.include(found, `LOGIN ${JSON.stringify({ ...login, password: "hunter2 " })}\n`)
})

it("a field of which any value will do has only odd values", () => {
  const of = (isFree: boolean) => {
    const dialogue = Dialogue.make()({
      name: "named",
      messages: { Hello: { name: isFree ? Dialogue.free(Schema.String) : Schema.String }, Yes: {} },
      wire: Wire.text(Codec.lines(), { Hello: "HELLO {name}", Yes: "YES" }),
      live: Codec.lines(),
      start: "hello",
      states: { hello: Dialogue.client({ Hello: "verdict" }), verdict: Dialogue.server({ Yes: Dialogue.ready }) }
    })
    const taken = follow(dialogue.dialogue, { client: utf8("HELLO ann\n"), server: new Uint8Array(0) }).taken[0]!
    return Changes.ofFields(dialogue.dialogue, taken, [], 1).map(({ apply }) => text(apply(taken.bytes) ?? utf8("")))
  }
  for (const near of ["HELLO ANN\n", "HELLO ann \n", "HELLO  ann\n", "HELLO an\n"]) assert.include(of(false), near)
  assert.notInclude(of(true), "HELLO ANN\n")
  for (const odd of ["HELLO \n", "HELLO  ann\n", "HELLO ann\0x\n"]) assert.include(of(true), odd)
})

it("a field that must be looked at is another one where a free one beside it is the least of its type, too", () => {
  const taken = follow(Post.Post.dialogue, { client: utf8(said), server: new Uint8Array(0) }).taken[0]!
  const found = Changes.ofFields(Post.Post.dialogue, taken, [], 1).find(({ what }) =>
    what.endsWith(`, and agent is ""`)
  )!
  assert.match(found.what, /^its field login is another one \(.*\), and agent is ""$/)
  assert.match(text(found.apply(taken.bytes)!), /^LOGIN [\w+/=]+ \n$/)
  assert.notInclude(text(found.apply(taken.bytes)!), base64("\0Ann\0Hunter22"))
})

it("bytes that are text are changed as text, and with a byte that is none", () => {
  const bytes = Dialogue.make()({
    name: "bytes",
    messages: { Login: { password: Schema.Redacted(Schema.Uint8Array) }, Yes: {} },
    wire: Wire.bytes({ Login: [1, Wire.blob("password", { prefix: 1 })], Yes: [2] }),
    live: Codec.lines(),
    start: "login",
    states: { login: Dialogue.client({ Login: "verdict" }), verdict: Dialogue.server({ Yes: Dialogue.ready }) }
  })
  const login = (password: Uint8Array) => Uint8Array.of(1, password.length, ...password)
  const found = (password: Uint8Array) => {
    const taken = follow(bytes.dialogue, { client: login(password), server: new Uint8Array(0) }).taken[0]!
    return Changes.ofFields(bytes.dialogue, taken, [], 1).map(({ apply }) => String(apply(taken.bytes)))
  }
  const others = [utf8("Hunter22\n"), utf8("HUNTER22"), Uint8Array.of(...utf8("Hunter22"), 0xff)]
  for (const other of others) assert.include(found(utf8("Hunter22")), String(login(other)))
  assert.notInclude(found(Uint8Array.of(200, 201)), String(login(Uint8Array.of(200, 201, 0xff))))
})
