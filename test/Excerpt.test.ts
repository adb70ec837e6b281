import { describe, expect, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Excerpt from "../src/Excerpt.ts"
import { join, utf8 } from "./support/conversation.ts"

// Controls, bidi controls, line separators, what has no width, and half a surrogate pair.
const unprintable = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}\u200b-\u200d\u2060\ufeff]/u

// The longest escape of one character has six.
const bound = 6 * Excerpt.maxExcerpt + 3

const everyUnit = Array.from({ length: 0x1_0000 }, (_, unit) => String.fromCharCode(unit))

const anyByte = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))

const anyBytes = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(anyByte), { maxLength: 200 }),
  (ns) => Uint8Array.from(ns)
)

const anyUnits = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 0xffff }))), {
    maxLength: 200
  }),
  (ns) => String.fromCharCode(...ns)
)

describe("ofString", () => {
  it("a text stands in double quotes as it is", () => {
    expect(Excerpt.ofString("You ready? é 馬 🐎")).toBe("\"You ready? é 馬 🐎\"")
  })

  it("quotes and backslashes are escaped, so that the excerpt reads in one way only", () => {
    expect(Excerpt.ofString("\"\\n\"\n")).toBe("\"\\\"\\\\n\\\"\\n\"")
  })

  it("line ends and tabs have their short escapes", () => {
    expect(Excerpt.ofString("\r\n\t")).toBe("\"\\r\\n\\t\"")
  })

  it("an ANSI escape sequence cannot reach a terminal", () => {
    expect(Excerpt.ofString("\u001b[31mred\u009b0m\u0007")).toBe("\"\\x1b[31mred\\x9b0m\\x07\"")
  })

  it("DEL is escaped", () => {
    expect(Excerpt.ofString("\u007f")).toBe("\"\\x7f\"")
  })

  it("every bidi control is escaped", () => {
    for (const char of everyUnit.filter((char) => /\p{Bidi_Control}/u.test(char))) {
      expect(Excerpt.ofString(char)).toBe(`"\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}"`)
    }
  })

  it("what has no width is escaped", () => {
    // A soft hyphen, a word joiner, an invisible separator, a byte order mark.
    for (const char of ["\u00ad", "\u200b", "\u200d", "\u2060", "\u2063", "\ufeff"]) {
      expect(Excerpt.ofString(`a${char}b`)).not.toContain(char)
    }
  })

  it("a tag character, which hides text in a line, is escaped", () => {
    expect(Excerpt.ofString("a\u{e0041}b")).not.toContain("\u{e0041}")
  })

  it("half a surrogate pair is escaped and a whole one is not", () => {
    expect(Excerpt.ofString("\ud83d-\ude00-😀")).toBe("\"\\ud83d-\\ude00-😀\"")
  })

  it("a text at the limit is shown whole, and one above it is cut", () => {
    expect(Excerpt.ofString("x".repeat(64))).toBe(`"${"x".repeat(64)}"`)
    expect(Excerpt.ofString("x".repeat(65))).toBe(`"${"x".repeat(64)}"…`)
  })

  it("every character is printable in it", () => {
    for (const char of everyUnit) {
      const shown = Excerpt.ofString(char)
      if (unprintable.test(shown)) {
        expect(JSON.stringify(shown)).toBe(`printable, for ${char.charCodeAt(0).toString(16)}`)
      }
    }
  })

  it.prop("it is bounded and printable", [anyUnits], ([text]) => {
    const shown = Excerpt.ofString(text)
    expect(shown.length).toBeLessThanOrEqual(bound)
    expect(shown).not.toMatch(unprintable)
  }, { arbitrary: { runs: 200 } })
})

describe("ofBytes", () => {
  it("bytes that are UTF-8 are shown as text", () => {
    expect(Excerpt.ofBytes(utf8("žluť 馬\n"))).toBe("\"žluť 馬\\n\"")
  })

  it("a byte order mark is shown", () => {
    expect(Excerpt.ofBytes(utf8("\ufeffa"))).toBe("\"\\ufeffa\"")
  })

  it("bytes that are not UTF-8 are shown one by one", () => {
    expect(Excerpt.ofBytes(Uint8Array.of(0x61, 0xff, 0xc3, 0x0a, 0x22, 0x1b))).toBe("\"a\\xff\\xc3\\n\\\"\\x1b\"")
  })

  it("bytes at the limit are shown whole, and more are cut", () => {
    expect(Excerpt.ofBytes(utf8("x".repeat(64)))).toBe(`"${"x".repeat(64)}"`)
    expect(Excerpt.ofBytes(utf8("x".repeat(65)))).toBe(`"${"x".repeat(64)}"…`)
  })

  it("a character that the cut would split is left out", () => {
    for (const char of ["é", "馬", "🐎"]) {
      const width = utf8(char).length
      for (let inside = 1; inside < width; inside++) {
        const before = "x".repeat(64 - inside)
        expect(Excerpt.ofBytes(utf8(`${before}${char}more`))).toBe(`"${before}"…`)
      }
      expect(Excerpt.ofBytes(utf8(`${"x".repeat(64 - width)}${char}more`))).toBe(`"${"x".repeat(64 - width)}${char}"…`)
    }
  })

  it("a limit of nothing shows that there was something", () => {
    expect(Excerpt.ofBytes(utf8("馬"), 0)).toBe("\"\"…")
  })

  it("a cut among bytes that never were UTF-8 cuts at the limit", () => {
    expect(Excerpt.ofBytes(new Uint8Array(100).fill(0x80), 4)).toBe("\"\\x80\\x80\\x80\\x80\"…")
  })

  it.prop("it is bounded and printable", [anyBytes], ([bytes]) => {
    const shown = Excerpt.ofBytes(bytes)
    expect(shown.length).toBeLessThanOrEqual(bound)
    expect(shown).not.toMatch(unprintable)
  }, { arbitrary: { runs: 200 } })

  it.prop("it does not depend on what comes behind the cut", [anyBytes, anyBytes], ([bytes, more]) => {
    const limit = Math.max(0, bytes.length - 1)
    expect(Excerpt.ofBytes(join([bytes, bytes.length === 0 ? bytes : more]), limit)).toBe(
      Excerpt.ofBytes(bytes, limit)
    )
  }, { arbitrary: { runs: 200 } })
})

describe("ofFrame", () => {
  it("texts and bytes are shown as such", () => {
    expect(Excerpt.ofFrame("a\n")).toBe("\"a\\n\"")
    expect(Excerpt.ofFrame(Uint8Array.of(0x61, 0x00))).toBe("\"a\\x00\"")
  })

  it("a structured frame is shown with its fields", () => {
    expect(Excerpt.ofFrame({ id: "a", n: 1 })).toBe("{\"id\":\"a\",\"n\":1}")
  })

  it("a secret is not shown, and neither is one inside a frame", () => {
    expect(Excerpt.ofFrame(Redacted.make("hunter2"))).toBe("<redacted>")
    const inside = Excerpt.ofFrame({ user: "me", password: Redacted.make("hunter2"), all: [Redacted.make("hunter2")] })
    expect(inside).toContain("me")
    expect(inside).not.toContain("hunter2")
  })

  it("a structured frame is bounded", () => {
    expect(Excerpt.ofFrame({ text: "x".repeat(10_000) }).length).toBeLessThanOrEqual(bound)
    expect(Excerpt.ofFrame(Array.from({ length: 10_000 }, (_, i) => i)).length).toBeLessThanOrEqual(bound)
  })

  it("a text inside a structured frame is printable", () => {
    const shown = Excerpt.ofFrame({ text: "\u001b[31m\u009b0m\u007f\u202e\u2028\u200b\n", "\u202e": ["\u2066"] })
    expect(shown).not.toMatch(unprintable)
  })

  it("a value that prints itself is printable", () => {
    const shown = Excerpt.ofFrame({ toString: () => "\u001b[2J\n" })
    expect(shown).not.toMatch(unprintable)
  })

  it("a structured frame is not cut in the middle of a character", () => {
    for (let shift = 0; shift < 2; shift++) {
      expect(Excerpt.ofFrame({ text: "x".repeat(shift) + "😀".repeat(200) }).isWellFormed()).toBe(true)
    }
  })

  it("a frame that cannot be looked at does not throw", () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    const hostile = {
      get a(): never {
        throw new Error("a bug")
      }
    }
    for (const frame of [circular, hostile, Symbol("a"), 1n, null, undefined, () => 1, Object.create(null)]) {
      expect(typeof Excerpt.ofFrame(frame)).toBe("string")
    }
  })
})
