import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { createHash } from "node:crypto"
import * as Saslprep from "../../../src/protocols/scram/saslprep.ts"
import * as Tables from "../../../src/protocols/scram/saslprepTables.ts"

const outcome = (result: Result.Result<string, Saslprep.Problem>) =>
  Result.merge(Result.mapError(result, (p) => `! ${p}`))
const stored = (text: string) => outcome(Saslprep.prepare(text))
const query = (text: string) => outcome(Saslprep.prepare(text, "query"))
const postgres = (text: string) => outcome(Saslprep.preparePostgres(text))

// How many code points each table has, and the SHA-256 of its ranges, one a line as in the RFC: computed elsewhere,
// from tables that were made of the text of RFC 3454.
const expected = {
  unassigned: [879_309, "6c7efc66a7c337652bcb4e251ad267aae68ab31937146b778319feddcf743810"],
  mappedToNothing: [27, "62754befbbe5eae07af01b795dd03060e597b18732f875fb28d034f789aa8052"],
  nonAsciiSpaces: [17, "1121b3dd97635385c378325f9bdb72724db17b41989bf2e20bcb34ede3781907"],
  prohibited: [139_813, "f834daa6f374c383b07948fff55f1666cb59b1df4fd2f49d3f50a602902c7ad6"],
  rightToLeft: [1044, "ca57ab0c8a2a35c90a7a1569444ea33258123fe5a726fd74f21c008ea525958c"],
  leftToRight: [229_973, "f4b2d8730bd12eb70f71a4ccaa668722a49c54f138ff52a4a3641347a996406d"]
} as const

const tables: { readonly [K in keyof typeof expected]: Tables.Table } = Tables

describe("the tables", () => {
  for (const name of Object.keys(expected) as ReadonlyArray<keyof typeof expected>) { // its own keys
    it(`${name} is that of RFC 3454`, () => {
      const hex = (code: number) => code.toString(16).toUpperCase().padStart(4, "0")
      const ranges: Array<string> = []
      let count = 0
      let first = -1
      for (let code = 0; code <= 0x11_0000; code++) {
        const isIn = code < 0x11_0000 && Tables.has(tables[name], code)
        if (isIn) count++
        if (isIn && first < 0) first = code
        if (isIn || first < 0) continue
        ranges.push(first === code - 1 ? hex(first) : `${hex(first)}-${hex(code - 1)}`)
        first = -1
      }
      assert.deepStrictEqual(
        [count, createHash("sha256").update(ranges.join("\n")).digest("hex")],
        [...expected[name]]
      )
    })
  }
})

describe("prepare", () => {
  it("does as the examples of RFC 4013 3", () => {
    assert.strictEqual(stored("I\u00adX"), "IX")
    assert.strictEqual(stored("user"), "user")
    assert.strictEqual(stored("USER"), "USER")
    assert.strictEqual(stored("\u00aa"), "a")
    assert.strictEqual(stored("\u2168"), "IX")
    assert.strictEqual(stored("\u0007"), "! prohibited")
    assert.strictEqual(stored("\u0627\u0031"), "! bidirectional")
  })

  it("makes a space of every space, and of ZERO WIDTH SPACE", () => {
    assert.strictEqual(stored("a\u00a0b\u3000c\u200bd"), "a b c d")
  })

  it("leaves out what is commonly mapped to nothing", () => {
    assert.strictEqual(stored("a\u00ad\u200c\ufe0f\ufeffb"), "ab")
  })

  it("looks for what is prohibited after the normalization", () => {
    // U+0340 is prohibited, and NFKC makes U+0300 of it, which is not.
    assert.strictEqual(stored("e\u0340"), "\u00e8")
    assert.strictEqual(stored("a\ue000"), "! prohibited")
    assert.strictEqual(stored("a\ufffd"), "! prohibited")
    assert.strictEqual(stored("a\u{e0041}"), "! prohibited")
  })

  it("prohibits halves of surrogate pairs", () => {
    assert.strictEqual(stored("a\ud800"), "! prohibited")
    assert.strictEqual(query("\udc00a"), "! prohibited")
  })

  it("knows characters beyond the first plane", () => {
    assert.strictEqual(stored("\u{10400}"), "\u{10400}")
    assert.strictEqual(stored("\u{1d400}"), "A")
  })

  it("has no form of what Unicode 3.2 did not know, but in a query", () => {
    assert.strictEqual(stored("\u0221"), "! unassigned")
    assert.strictEqual(query("\u0221"), "\u0221")
    // Later Unicode makes an A of it. To Unicode 3.2 it is unassigned.
    assert.strictEqual(stored("\u{1f130}"), "! unassigned")
  })

  it("wants text from the right to begin and to end so, and to have nothing from the left in it", () => {
    assert.strictEqual(stored("\u0627\u0031\u0628"), "\u0627\u0031\u0628")
    assert.strictEqual(stored("\u0031\u0627"), "! bidirectional")
    assert.strictEqual(stored("\u0627a\u0628"), "! bidirectional")
    assert.strictEqual(stored("\u05d0"), "\u05d0")
    assert.strictEqual(stored("1!2"), "1!2")
  })

  it("has no form of more than 256 marks in a row, whose order takes the square of their number", () => {
    const marks = "\u0301".repeat(256)
    assert.strictEqual(stored(`a${marks}b${marks}`), `\u00e1${marks.slice(1)}b${marks}`)
    assert.strictEqual(stored(`a${marks}\uff9eb`), "! marks")
  })

  it("has no form of nothing", () => {
    assert.strictEqual(stored(""), "! empty")
    assert.strictEqual(stored("\u00ad"), "! empty")
  })

  it.prop("prepared twice is prepared once", [Schema.String], ([text]) => {
    const once = Result.getOrUndefined(Saslprep.prepare(text))
    if (once !== undefined) assert.strictEqual(stored(once), once)
  })
})

describe("preparePostgres", () => {
  it("leaves ASCII as it is", () => {
    assert.strictEqual(postgres("a\u0007 b"), "a\u0007 b")
  })

  it("normalizes what has a prepared form", () => {
    assert.strictEqual(postgres("e\u0301\u00ad\u00a0\u2168"), "\u00e9 IX")
  })

  it("takes what has none as it is", () => {
    assert.strictEqual(postgres("\u00aa\u0007"), "\u00aa\u0007")
    assert.strictEqual(postgres("\u00aa\u0221"), "\u00aa\u0221")
    assert.strictEqual(postgres("\u0627\u0031"), "\u0627\u0031")
    assert.strictEqual(postgres("\u00ad"), "\u00ad")
  })

  it("takes more than 256 marks in a row as they are", () => {
    const marks = "a\u030a".repeat(2) + "\u0301".repeat(255)
    assert.strictEqual(postgres(marks), marks.normalize("NFKC"))
    assert.strictEqual(postgres(`${marks}\u0301`), `${marks}\u0301`)
  })

  it("looks for what is prohibited before the normalization", () => {
    assert.strictEqual(postgres("e\u0340"), "e\u0340")
    // ALEF SYMBOL is from the left, and the letter that NFKC makes of it from the right.
    assert.strictEqual(postgres("a\u2135"), "a\u05d0")
    assert.strictEqual(stored("a\u2135"), "! bidirectional")
  })

  it("has no form of what has no bytes", () => {
    assert.strictEqual(postgres("a\ud800"), "! prohibited")
    assert.strictEqual(postgres(""), "! empty")
  })
})
