/**
 * What is almost a message: each place of it is changed, in each way somewhere, and each field.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Alterations from "../../src/testing/internal/alterations.ts"

const changed = (value: unknown): Array<unknown> =>
  Alterations.ofFrame(value).map(({ apply }) => apply(value)).filter((other) => other !== undefined)

describe("a text", () => {
  it.prop("is changed at each place, and never into itself", { text: Schema.String }, ({ text }) => {
    const found = changed(text) as Array<string>
    const of = (at: number) => found.some((other) => other.length === text.length && other[at] !== text[at])
    const places = Array.from(text.slice(0, 256), (_, at) => at).filter((at) => text.length <= 256 && at < text.length)
    return places.every(of) && !found.includes(text)
  })

  it("is changed in each way at each place, where it is short", () => {
    const found = changed("aB")
    for (const other of ["`B", "AB", "bB", "\0B", "\xffB", "\xe1B", "ab", "aC", "aA", "a\0"]) {
      expect(found).toContain(other)
    }
  })

  it("is changed in each way somewhere, where it is long", () => {
    const text = "x".repeat(100)
    const others = new Set(changed(text).flatMap((other) => [...String(other)]))
    for (const other of ["y", "X", "w", "\0", "\xff", "\xf8"]) expect(others).toContain(other)
  })

  it("is made shorter and longer at each place", () => {
    const found = changed("abcd")
    for (const other of ["bcd", "acd", "abd", "abc", "aabcd", "abbcd", "abcdd", "a", "ab", "abcdx", "xabcd", ""]) {
      expect(found).toContain(other)
    }
  })

  it("is made longer and shorter at its words, where it is long", () => {
    const text = `GET / HTTP/1.1; version=13; ${"other: 1234; ".repeat(8)}`
    const found = Alterations.ofFrame(text)
    const first = found.filter(({ isFirst }) => isFirst).map(({ apply }) => apply(text))
    expect(first).toContain(text.replace("version=13", "version=13x"))
    expect(first).toContain(text.replace("GET", "GE"))
    expect(first.length).toBeLessThan(80)
    expect(Alterations.ofFrame("version=13").every(({ what }) => !what.includes("word that ends"))).toBe(true)
  })

  it("has the end and the case of each word changed first", () => {
    const text = "a9 LOGIN ann deadbeef"
    const first = Alterations.ofFrame(text).filter(({ isFirst }) => isFirst).map(({ apply }) => apply(text))
    expect(first).toEqual(expect.arrayContaining([
      "a0 LOGIN ann deadbeef",
      "A9 LOGIN ann deadbeef",
      "a9 LOGIO ann deadbeef",
      "a9 login ann deadbeef",
      "a9 LOGIN ANN deadbeef",
      "a9 LOGIN ann deadbeea",
      "a9 LOGIN ann DEADBEEF"
    ]))
  })

  it("has the members and elements of JSON in it changed, and what is around it stays", () => {
    const found = changed("LOGIN {\"a\":[1,2],\"b\":false} now")
    expect(found).toEqual(expect.arrayContaining([
      "LOGIN {\"a\":[1],\"b\":false} now",
      "LOGIN {\"a\":[2,2],\"b\":false} now",
      "LOGIN {\"a\":[1,2],\"b\":true} now",
      "LOGIN {\"b\":false} now",
      "LOGIN {\"a\":[1,2],\"b\":false,\"x\":\"x\"} now"
    ]))
    const bytes = changed(new TextEncoder().encode("[true]")) as Array<Uint8Array>
    expect(bytes.map((said) => new TextDecoder().decode(said))).toContain("[false]")
    expect(changed("[1,1]").filter((other) => other === "[1,1]")).toEqual([])
  })

  it("is the same JSON whatever its spaces and the order of its members are, and not with another value", () => {
    const isSame = (a: string, b: string) =>
      Alterations.isSameJson(new TextEncoder().encode(a), new TextEncoder().encode(b))
    expect(isSame("A {\"a\":[1],\"b\":2}\n", "A { \"b\": 2, \"a\": [1] } \n")).toBe(true)
    expect(isSame("A {\"a\":[1],\"b\":2}\n", "A {\"a\":[1],\"b\":3}\n")).toBe(false)
    expect(isSame("A {\"a\":1}\n", "B {\"a\":1}\n")).toBe(false)
    expect(isSame("A\n", "A\n")).toBe(false)
  })

  it("has its numbers spelled otherwise first, and not those that are a part of something else", () => {
    const spelledOf = (text: string) =>
      Alterations.ofFrame(text).filter(({ isFirst, what }) =>
        isFirst && /with (a [0+] before|\.0 behind) it$/.test(what)
      )
        .map(({ apply }) => apply(text))
    expect(spelledOf("SIZE=900 ann")).toEqual(["SIZE=0900 ann", "SIZE=+900 ann", "SIZE=900.0 ann"])
    for (const text of ["sha256=12ab", "v1.2.3", "2024-01-02", "a+12/3==", "{\"a\": 900}", "a9"]) {
      expect(spelledOf(text)).toEqual([])
    }
    expect(spelledOf("1 2 3 4 5 6 7 8")).toHaveLength(12)
  })

  it("has the values of JSON in it in another type, first", () => {
    const text = "{\"a\":1,\"b\":\"c\",\"d\":true}"
    const first = Alterations.ofFrame(text).filter(({ isFirst }) => isFirst).map(({ apply }) => apply(text))
    expect(first).toEqual(expect.arrayContaining([
      "{\"a\":\"1\",\"b\":\"c\",\"d\":true}",
      "{\"a\":1,\"b\":[\"c\"],\"d\":true}",
      "{\"a\":1,\"b\":\"c\",\"d\":\"true\"}"
    ]))
  })

  it("is said in the other case as a whole", () => {
    expect(changed("Pass Me")).toContain("PASS ME")
    expect(changed("Pass Me")).toContain("pass me")
  })
})

describe("bytes", () => {
  it.prop("are changed at each place", { bytes: Schema.Uint8Array }, ({ bytes }) => {
    const found = changed(bytes) as Array<Uint8Array>
    return bytes.length > 256 ||
      Array.from(bytes).every((byte, at) => found.some((other) => other.length === bytes.length && other[at] !== byte))
  })

  it("are changed in each of their bits where they are no text", () => {
    const found = new Set(
      (changed(Uint8Array.from([0xc2, ...new Uint8Array(200)])) as Array<Uint8Array>).map(([first]) => first)
    )
    for (let bit = 0; bit < 8; bit++) expect(found).toContain(0xc2 ^ (1 << bit))
  })

  it("that end in CRLF end in a bare LF first, and no others do", () => {
    const endingsOf = (said: string) => {
      const bytes = new TextEncoder().encode(said)
      return Alterations.ofEnding(bytes).map(({ apply, isFirst }) => [isFirst, new TextDecoder().decode(apply(bytes))])
    }
    expect(endingsOf("a\r\nb\r\n")).toEqual([[true, "a\r\nb\n"]])
    for (const said of ["a\n", "a\r", "\n", ""]) expect(endingsOf(said)).toEqual([])
  })

  it("around a part are changed, and that part is not", () => {
    const bytes = Uint8Array.of(0, 3, 7, 7, 7, 10)
    const found = Alterations.ofBytesAround(bytes, 2, 5).flatMap(({ apply }) => apply(bytes) ?? [])
    for (const at of [0, 1, 5]) expect(found.some((other) => other[at] !== bytes[at])).toBe(true)
    for (const other of found) expect([...other.subarray(2, 5)]).toEqual([7, 7, 7])
  })
})

describe("a whole message", () => {
  const of = (kind: Alterations.Kind, ...message: ReadonlyArray<number>) => {
    const value = Uint8Array.from(message)
    return Alterations.ofFraming(value).filter((found) => found.kind === kind)
      .map(({ apply, isFirst }) => isFirst === true && [...apply(value)!])
  }

  it("that has its length in front is longer and shorter by one byte, and its length with it, first of all", () => {
    expect(of("longer", 2, 4, 7)).toEqual([[3, 4, 7, 0x78]])
    expect(of("shorter", 2, 4, 7)).toEqual([[1, 4]])
  })

  it("of one byte is shorter by that, and one of none is longer", () => {
    expect([of("longer", 1, 7), of("shorter", 1, 7)]).toEqual([[[2, 7, 0x78]], [[0]]])
    expect(of("longer", 0)).toContainEqual([1, 0x78])
    expect(of("shorter", 0)).toEqual([])
  })

  it("that has its end behind it is longer and shorter before that", () => {
    const said = (kind: Alterations.Kind, text: string) =>
      of(kind, ...new TextEncoder().encode(text)).map((bytes) => String.fromCharCode(...bytes || []))
    for (const end of ["\n", "\r\n", "\r\n\r\n", "\0"]) {
      expect(said("longer", `7${end}`)).toContain(`7x${end}`)
      expect(said("shorter", `7${end}`)).toContain(end)
      expect(said("longer", end)).toContain(`x${end}`)
      expect(said("shorter", end)).toEqual([])
    }
  })

  it("that has neither, or a zero at the end of what is no text, is left as it is", () => {
    for (const message of [[9, 9, 9], [9, 1, 9, 9, 9, 0], []]) {
      expect(Alterations.ofFraming(Uint8Array.from(message))).toEqual([])
    }
  })

  it("is changed by its own length where it has another one this time", () => {
    const [longer] = Alterations.ofFraming(Uint8Array.of(2, 4, 7))
    expect(longer.apply(Uint8Array.of(3, 4, 7, 7))).toEqual(Uint8Array.of(4, 4, 7, 7, 0x78))
    expect(longer.apply(Uint8Array.of(9, 4, 7))).toBeUndefined()
  })
})

describe("a frame", () => {
  it("of bytes has a last field of no byte or one longer, and the length of that with it", () => {
    expect(changed(Uint8Array.of(4, 1, 7))).toContainEqual(Uint8Array.of(4, 2, 7, 0x78))
    expect(changed(Uint8Array.of(4, 0))).toContainEqual(Uint8Array.of(4, 1, 0x78))
    expect(changed(Uint8Array.of(4, 1, 7))).toContainEqual(Uint8Array.of(4, 0))
  })

  class Hello {
    readonly _tag = "Hello"
    readonly version: number
    readonly wantsTls: boolean
    constructor(version: number, wantsTls: boolean) {
      this.version = version
      this.wantsTls = wantsTls
    }
  }

  it("has each of its fields changed, stays of its class, and keeps its tag", () => {
    const found = changed(new Hello(3, true)) as Array<Hello>
    for (const version of [2, 4, 0, 255]) expect(found).toContainEqual(new Hello(version, true))
    expect(found).toContainEqual(new Hello(3, false))
    expect(found.every((other) => other instanceof Hello && other._tag === "Hello")).toBe(true)
  })

  it("has its elements and entries changed and left out", () => {
    expect(changed([1n, 2n])).toEqual(expect.arrayContaining([[1n], [2n], [2n, 1n], [2n, 2n], [1n, 2n, 2n]]))
    expect(changed(new Map([["user", "ann"]]))).toEqual(expect.arrayContaining([new Map(), new Map([["user", "aon"]])]))
  })

  it("has its secrets changed, and they stay secrets", () => {
    const found = changed({ password: Redacted.make("ab") }) as Array<{ readonly password: Redacted.Redacted<string> }>
    const passwords = found.filter((other) => "password" in other).map(({ password }) => Redacted.value(password))
    expect(passwords).toContain("aB")
  })

  it("of another shape than the one that was known is left as it is", () => {
    for (const { apply } of Alterations.ofFrame({ name: "ann" })) expect(apply({ other: 1 })).toBeUndefined()
    for (const { apply } of Alterations.ofFrame("text")) expect(apply(1)).toBeUndefined()
  })
})
