/**
 * The states of a dialogue as a picture: for Mermaid, and for a terminal.
 */
import { assert, expect, it } from "@effect/vitest"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import { Whole } from "../support/dialogueWhole.ts"

it("a diagram has the states with their bounds, and the messages that lead from one to the other", () => {
  expect(Dialogue.diagram(Whole)).toMatchInlineSnapshot(`
    "stateDiagram-v2
      state "greeting: client speaks, within 10s, in at most 100 bytes, at most 16 times" as greeting
      state "caps: server speaks, within 10s, at most 3 times" as caps
      state "secure: client speaks, within 5s" as secure
      state "challenge: server speaks, within 10s" as challenge
      state "login: client speaks, within 10s" as login
      state "number: server speaks, within 10s" as number
      state "peers: both speak, within 10s" as peers
      [*] --> greeting
      greeting --> challenge: Hello
      greeting --> caps: Caps
      greeting --> secure: Secure, then TLS
      caps --> greeting: List
      secure --> challenge: Hello
      challenge --> login: Nonce
      challenge --> refused: Busy
      login --> number: Login
      number --> peers: Number
      peers --> ready: Hi
      peers --> refused: Denied, for good
      refused --> [*]
      ready --> [*]
    "
  `)
})

it("an outline has the states with their messages, and where each leads", () => {
  expect(Dialogue.outline(Whole)).toMatchInlineSnapshot(`
    "whole, from greeting

    greeting: client speaks, within 10s, in at most 100 bytes, at most 16 times
      Hello { version, agent }                   -> challenge
      Caps                                       -> caps
      Secure                                     -> TLS, then secure

    caps: server speaks, within 10s, at most 3 times
      List { names }                             -> greeting

    secure: client speaks, within 5s
      Hello { version, agent }                   -> challenge

    challenge: server speaks, within 10s
      Nonce { nonce, rounds }                    -> login
      Busy { code, seconds }                     -> refused

    login: client speaks, within 10s
      Login { port, user, key, password, ways }  -> number

    number: server speaks, within 10s
      Number { value }                           -> peers

    peers: both speak, within 10s
      Hi { flags, note? }                        -> ready
      Denied { why }                             -> refused for good

    the server says Denied to whoever breaks the rules
    the client says something to whoever breaks the rules
    "
  `)
})

it("a snapshot has the same picture", () => {
  const snapshot = Dialogue.snapshot(Whole)
  assert.strictEqual(Dialogue.diagram(snapshot), Dialogue.diagram(Whole))
  assert.strictEqual(Dialogue.outline(snapshot), Dialogue.outline(Whole))
})

it("names that Mermaid would take for something else are written otherwise", () => {
  const odd = Dialogue.make()({
    name: "odd",
    messages: { "Ping;": {}, Done: {} },
    live: Codec.lines(),
    start: "end",
    states: {
      end: Dialogue.client({ "Ping;": "the \"next\"" }),
      "the \"next\"": Dialogue.server({ Done: Dialogue.ready })
    }
  })
  expect(Dialogue.diagram(odd)).toMatchInlineSnapshot(`
    "stateDiagram-v2
      state "end: client speaks" as s0_
      state "the #34;next#34;: server speaks" as s1_
      [*] --> s0_
      s0_ --> s1_: Ping#59;
      s1_ --> ready: Done
      ready --> [*]
    "
  `)
})
