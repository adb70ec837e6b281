/**
 * Decoders that are written as generators, above all one of RESP, whose values stand inside each other.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Frame, resp } from "../examples/resp/codec.ts"
import * as Codec from "../src/Codec.ts"
import { bytewise, cutInto, decodePieces, Feed, splits } from "../src/testing/internal/countingBuffer.ts"
import * as Laws from "../src/testing/Laws.ts"
import { seed } from "./support/codecs.ts"
import { utf8 } from "./support/conversation.ts"

const noFrame = (): void => {}

const reading = <A>(
  decode: (read: Codec.Reader) => Codec.Reading<A>,
  options?: { readonly ending?: string; readonly maxLength?: number; readonly maxDepth?: number }
): Codec.Codec<A, never> => Codec.gen<A, never>({ ...options, decode, encode: noFrame })

/** What is decoded of these bytes, however they are cut. */
const everyWay = <A>(codec: Codec.Codec<A, never>, bytes: Uint8Array) => {
  const { end, frames } = decodePieces(codec, [bytes])
  for (const pieces of splits(bytes)) {
    const cut = decodePieces(codec, pieces)
    expect([cut.frames, cut.end]).toEqual([frames, end])
  }
  return end?._tag === "Failed" ? end.error : end ?? frames
}

const tooLarge = (limit: number, excerpt: string) => new Codec.FrameTooLarge({ limit, excerpt, fault: "peer" })

const malformed = (problem: string, excerpt: string) => new Codec.MalformedFrame({ problem, excerpt, fault: "peer" })

// ---------------------------------------------------------------------------------------------------------------------
// The laws
// ---------------------------------------------------------------------------------------------------------------------

const Text = Schema.String.check(Schema.isMaxLength(8))
const Scalar = Schema.Union([Schema.Null, Schema.Boolean, Schema.Int, Text])
const Values = Schema.Array(Schema.Union([Scalar, Schema.Array(Schema.Union([Scalar, Schema.Array(Scalar)]))])).check(
  Schema.isMaxLength(6)
)
const RespFrame = Schema.Union([
  Scalar,
  Schema.TaggedStruct("Error", { message: Text }),
  Schema.TaggedStruct("Push", { values: Values }),
  Values
])

/** Texts and null have more spellings than one: those of the first version are received too. */
const hasOneSpelling = (frame: Frame): boolean => {
  if (frame === null || typeof frame === "string") return false
  if (typeof frame !== "object" || "_tag" in frame && frame._tag === "Error") return true
  // Of a set and a map an array comes, too.
  return "_tag" in frame && frame.values.every(hasOneSpelling)
}

Laws.codec<Frame, Frame>(resp(), RespFrame, { name: "RESP", it, seed, canonical: hasOneSpelling })

/** A text behind its length, and a line behind that. */
const pairs = (maxLength: number): Codec.Codec<string, string> =>
  Codec.gen<string>({
    maxLength,
    decode: function*(read) {
      const text = yield* read.text(yield* read.uint(2))
      yield* read.line(3)
      return text
    },
    encode: (text, into) => {
      const bytes = utf8(text)
      if (bytes.length + 3 > maxLength) {
        return Result.fail(new Codec.FrameTooLarge({ limit: maxLength, excerpt: "", fault: "local" }))
      }
      if (!text.isWellFormed()) {
        return Result.fail(new Codec.MalformedFrame({ problem: "half a character", excerpt: "", fault: "local" }))
      }
      into.uint(bytes.length, 2, "big")
      into.bytes(bytes)
      into.string("\n")
    }
  })

Laws.codec(pairs(40), Text, {
  name: "a generator",
  it,
  seed,
  looksPerByte: 6,
  maxLength: 40,
  ofLength: (length) => "x".repeat(length - 3),
  withMaxLength: pairs
})

// ---------------------------------------------------------------------------------------------------------------------
// What it reads
// ---------------------------------------------------------------------------------------------------------------------

describe("a reader", () => {
  it("reads bytes, numbers, bytes and texts of a length, lines, and what ends with a delimiter", () => {
    const codec = reading(function*(read) {
      return [
        yield* read.byte,
        yield* read.uint(2),
        yield* read.uint(3, "little"),
        yield* read.take(2),
        yield* read.text(4),
        yield* read.line(),
        yield* read.until(Uint8Array.of(0, 0)),
        yield* read.expect("!")
      ]
    }, { ending: "\r\n" })
    const frame = [7, 1, 2, 1, 2, 0, 8, 9, ...utf8("éab"), ...utf8("a\rb\n\r\n"), 0, 1, 0, 0, 0x21]
    const expected = [7, 258, 513, Uint8Array.of(8, 9), "éab", "a\rb\n", Uint8Array.of(0, 1), undefined]
    expect(everyWay(codec, Uint8Array.from([...frame, ...frame]))).toEqual([expected, expected])
  })

  it("keeps the bytes that it has read as they were", () => {
    const codec = reading((read) => read.take(3))
    const { frames } = decodePieces(codec, bytewise(utf8("abcdefghi")))
    expect(frames).toEqual([utf8("abc"), utf8("def"), utf8("ghi")])
  })

  it("a line may have as many bytes as it is told, and not one more", () => {
    const codec = reading((read) => read.line(3))
    expect(everyWay(codec, utf8("abc\nd\n"))).toEqual(["abc", "d"])
    expect(everyWay(codec, utf8("abcd\n"))).toEqual(tooLarge(3, "\"abc\"…"))
    expect(everyWay(codec, utf8("abcd"))).toEqual(tooLarge(3, "\"abc\"…"))
  })

  it("what has a delimiter of several bytes may have as many bytes as it is told, and not one more", () => {
    const codec = reading((read) => read.until(utf8("--"), 3))
    expect(everyWay(codec, utf8("a-b--"))).toEqual([utf8("a-b")])
    expect(everyWay(codec, utf8("a-bc--"))).toEqual(tooLarge(3, "\"a-b\"…"))
  })

  it("a text that is not UTF-8 is malformed", () => {
    const codec = reading((read) => read.text(2))
    expect(everyWay(codec, Uint8Array.of(0xc3, 0xa9, 0xc3, 0x28))).toEqual(
      malformed("the text is not UTF-8", "\"\\xc3(\"")
    )
  })

  it("another text than what is due fails at the byte that differs", () => {
    const codec = reading(function*(read) {
      yield* read.expect("abc")
      return yield* read.byte
    })
    expect(everyWay(codec, utf8("abc!"))).toEqual([0x21])
    expect(everyWay(codec, utf8("ax"))).toEqual(malformed("\"abc\" is due here", "\"ax\""))
  })

  it("a length that is none is the peer's mistake", () => {
    for (const length of [-1, 0.5, NaN, Infinity]) {
      const codec = reading(function*(read) {
        yield* read.byte
        return yield* read.take(length)
      })
      expect(everyWay(codec, utf8("ab"))).toEqual(malformed(`${length} is no length`, "\"a\""))
    }
  })

  it("fails with what the generator says is wrong, and with a code", () => {
    const codec = reading(function*(read) {
      const type = yield* read.byte
      return type === 0x61 ? type : yield* read.fail("no such\u0007 type", { code: "08P01" })
    })
    expect(everyWay(codec, utf8("a"))).toEqual([0x61])
    expect(everyWay(codec, utf8("ab"))).toEqual(
      new Codec.MalformedFrame({ problem: "no such\\x07 type", excerpt: "\"b\"", code: "08P01", fault: "peer" })
    )
  })
})

describe("a generator", () => {
  it("a length that goes beyond the limit of the frame fails before its bytes have come", () => {
    const codec = reading(function*(read) {
      return yield* read.take(yield* read.byte)
    }, { maxLength: 4 })
    expect(everyWay(codec, Uint8Array.of(3, 1, 2, 3, 0))).toEqual([Uint8Array.of(1, 2, 3), new Uint8Array()])
    expect(everyWay(codec, Uint8Array.of(4))).toEqual(tooLarge(4, "\"\\x04\"…"))
    expect(everyWay(codec, Uint8Array.of(4, 1, 2, 3, 4))).toEqual(tooLarge(4, "\"\\x04\"…"))
  })

  it("a frame of bytes one by one ends at its limit", () => {
    const codec = reading(function*(read) {
      let count = 0
      while ((yield* read.byte) !== 0) count++
      return count
    }, { maxLength: 4 })
    expect(everyWay(codec, Uint8Array.of(1, 1, 1, 0, 1, 0))).toEqual([3, 1])
    expect(everyWay(codec, Uint8Array.of(1, 1, 1, 1, 0))).toEqual(tooLarge(4, "\"\\x01\\x01\\x01\\x01\"…"))
  })

  it("a frame that reads nothing is a defect and not an endless one", () => {
    const { end, frames } = decodePieces(reading(function*() {}), [utf8("a")])
    expect(frames).toEqual([])
    expect(end).toMatchObject({ _tag: "Threw", cause: new Error("Codec.gen: a frame has one byte at least") })
  })

  it("what it throws is a defect of its own connection", () => {
    const codec = reading(function*(read) {
      if ((yield* read.byte) === 0x21) throw new Error("boom")
      return yield* read.byte
    })
    const [broken, other] = [new Feed(codec), new Feed(codec)]
    other.input.push(utf8("a"))
    other.drain()
    broken.input.push(utf8("!"))
    broken.drain()
    other.input.push(utf8("b"))
    other.drain()
    expect(broken.end).toEqual({ _tag: "Threw", cause: new Error("boom") })
    expect(other.frames).toEqual([0x62])
  })
})

describe("nested", () => {
  const opened = function*(read: Codec.Reader): Codec.Reading<number> {
    return (yield* read.byte) === 0x28 ? 1 + (yield* read.nested(opened(read))) : 0
  }
  const deep = (depth: number) => utf8(`${"(".repeat(depth)})`)

  it("goes as deep as it is told, and not deeper", () => {
    const codec = reading(opened, { maxDepth: 3 })
    expect(everyWay(codec, deep(3))).toEqual([3])
    expect(everyWay(codec, deep(4))).toEqual(malformed("it is nested more than 3 deep", "\"((((\""))
  })

  it("goes 128 deep unless told otherwise", () => {
    expect(decodePieces(reading(opened), [deep(128)]).frames).toEqual([128])
    expect(decodePieces(reading(opened), [deep(129)]).error?.message).toContain("more than 128 deep")
  })

  it("takes no room on the stack", () => {
    const codec = reading(opened, { maxDepth: Infinity, maxLength: Infinity })
    expect(decodePieces(codec, [deep(300_000)]).frames).toEqual([300_000])
    expect(decodePieces(codec, cutInto(deep(30_000), [1])).frames).toEqual([30_000])
  })

  it("begins anew with each frame", () => {
    const codec = reading(opened, { maxDepth: 2 })
    expect(decodePieces(codec, cutInto(utf8("(()(())"), [1])).frames).toEqual([2, 2, 0])
  })
})

describe("RESP", () => {
  it("an array in an array of 150,000 elements is decoded, however it is cut", () => {
    // More than a call may have arguments.
    const count = 150_000
    const bytes = utf8(`*1\r\n*${count}\r\n${":7\r\n".repeat(count)}`)
    for (const size of [bytes.length, 65_536, 1000, 17]) {
      const { frames } = decodePieces(resp({ maxLength: bytes.length }), cutInto(bytes, [size]))
      const [[values]] = frames as [[Array<number>]]
      expect(values.length).toBe(count)
      expect(values.every((each) => each === 7)).toBe(true)
    }
  })
})
