/**
 * Messages that are drawn are such as may be said.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Draw from "../../src/internal/dialogue/draw.ts"
import * as Wire from "../../src/Wire.ts"

class Drawn extends Dialogue.make<Drawn>()({
  name: "drawn",
  messages: {
    Login: {
      nonce: Schema.Uint8Array,
      port: Schema.Int,
      user: Schema.String.check(Schema.isPattern(/^[a-z]+$/)),
      password: Schema.Redacted(Schema.String)
    },
    Never: { length: Schema.String.check(Schema.isMinLength(40)) },
    Ok: {}
  },
  wire: Wire.bytes({
    Login: [
      1,
      Wire.blob("nonce", { length: 16 }),
      Wire.uint("port", 2),
      Wire.string("user", { prefix: 1 }),
      Wire.string("password", { ending: "\0" })
    ],
    Never: [2, Wire.string("length", { prefix: 1 })],
    Ok: [3]
  }),
  live: Codec.bytes,
  start: "login",
  states: {
    login: Dialogue.client({ Login: "answer", Never: "answer" }, { maxBytes: 32 }),
    answer: Dialogue.server({ Ok: Dialogue.ready })
  }
}) {}

const login = Drawn.dialogue.states.get("login")!

const seeds = Array.from({ length: 30 }, (_, seed) => seed)

describe("what is drawn", () => {
  it("is the same for the same seed, and another one for another", () => {
    expect(Draw.draw(login, "Login", 7)).toEqual(Draw.draw(login, "Login", 7))
    expect(new Set(seeds.map((seed) => String(Draw.draw(login, "Login", seed)!["user"]))).size).toBeGreaterThan(10)
  })

  it("is what its Schemas and its wire allow, and no longer than its state does", () => {
    for (const seed of seeds) {
      const values = Draw.draw(login, "Login", seed)!
      expect(values["nonce"]).toHaveLength(16)
      expect(values["user"]).toMatch(/^[a-z]+$/)
      expect(Redacted.isRedacted(values["password"])).toBe(true)
      expect(Draw.bytesOf(login, "Login", values)!.length).toBeLessThanOrEqual(32)
    }
  })

  it("is nothing where nothing is allowed", () => {
    expect(Draw.draw(login, "Never", 1)).toBe(undefined)
    expect(Draw.draw({ ...login, maxBytes: 64 }, "Never", 1)).toMatchObject({
      length: expect.stringMatching(/^[^]{40,}$/)
    })
  })
})
