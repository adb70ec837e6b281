import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { ByteWriter } from "../../../src/internal/bytes/writer.ts"
import { utf8 } from "../../support/conversation.ts"

const runs = { arbitrary: { runs: 200 } }

describe("ByteWriter", () => {
  it("text and bytes keep their order", () => {
    const into = new ByteWriter()
    into.string("a")
    into.string("b")
    into.bytes(Uint8Array.of(1))
    into.bytes(Uint8Array.of(2))
    into.string("c")
    into.uint(258, 2, "big")
    into.string("d")
    expect([...into.finishBytes()]).toEqual([...utf8("ab"), 1, 2, ...utf8("c"), 1, 2, ...utf8("d")])
  })

  it("text alone stays text, in one piece", () => {
    const into = new ByteWriter()
    into.string("Bring ")
    into.bytes(new Uint8Array())
    into.string("it!\n")
    expect(into.finish()).toEqual(["Bring it!\n"])
  })

  it("small parts of several frames leave as one, and a long one as it is", () => {
    const into = new ByteWriter()
    const long = new Uint8Array(5000).fill(7)
    for (const part of [Uint8Array.of(1), Uint8Array.of(2), long, Uint8Array.of(3)]) into.bytes(part)
    into.string("\u00e9")
    const parts = into.finish()
    expect(parts).toEqual([Uint8Array.of(1, 2), long, Uint8Array.of(3, ...utf8("\u00e9"))])
    expect(parts[1]).toBe(long)
  })

  it("parts of 2,048 bytes together are joined, and not those of one more", () => {
    const lengthsOf = (...lengths: ReadonlyArray<number>) => {
      const into = new ByteWriter()
      for (const length of lengths) into.bytes(new Uint8Array(length))
      return into.finish().map((part) => part.length)
    }
    expect(lengthsOf(2000, 48)).toEqual([2048])
    expect(lengthsOf(2000, 49)).toEqual([2000, 49])
  })

  it("nothing written is nothing to write", () => {
    const into = new ByteWriter()
    into.string("")
    into.bytes(new Uint8Array())
    expect(into.finish()).toEqual([])
    expect(into.finishBytes()).toEqual(new Uint8Array())
  })

  it("to finish empties the writer and leaves what was finished alone", () => {
    const into = new ByteWriter()
    into.string("a")
    const first = into.finish()
    into.string("b")
    expect(into.finish()).toEqual(["b"])
    expect(first).toEqual(["a"])
  })

  it("an integer has its bytes in the order that is asked for", () => {
    const written = (value: number, width: number, endian: "big" | "little") => {
      const into = new ByteWriter()
      into.uint(value, width, endian)
      return [...into.finishBytes()]
    }
    expect(written(0x010203, 4, "big")).toEqual([0, 1, 2, 3])
    expect(written(0x010203, 4, "little")).toEqual([3, 2, 1, 0])
    expect(written(0xffff_ffff, 4, "big")).toEqual([255, 255, 255, 255])
    expect(written(2 ** 48 - 2, 6, "big")).toEqual([255, 255, 255, 255, 255, 254])
  })

  const Step = Schema.Literals(["text", "bytes", "uint", "nothing"])
  const Steps = Schema.Array(Step).check(Schema.isMaxLength(6))

  const write = (into: ByteWriter, steps: ReadonlyArray<typeof Step.Type>): void =>
    steps.forEach((step, i) => {
      if (step === "text") into.string(`é${i}`)
      else if (step === "bytes") into.bytes(Uint8Array.of(i, 255))
      else if (step === "uint") into.uint(i, 2, "little")
    })

  it.prop("a reset restores exactly what was there at the mark", [Steps, Steps, Steps], ([before, dropped, after]) => {
    const into = new ByteWriter()
    write(into, before)
    into.mark()
    write(into, dropped)
    into.reset()
    write(into, after)

    const expected = new ByteWriter()
    write(expected, before)
    write(expected, after)
    expect(into.finish()).toEqual(expected.finish())
  }, runs)

  it.prop("a mark may be returned to again", [Steps, Steps, Steps], ([before, first, second]) => {
    const into = new ByteWriter()
    write(into, before)
    into.mark()
    write(into, first)
    into.reset()
    write(into, second)
    into.reset()

    const expected = new ByteWriter()
    write(expected, before)
    expect(into.finish()).toEqual(expected.finish())
  }, runs)
})
