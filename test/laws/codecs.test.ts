/**
 * The laws of codecs can fail: each broken codec of the gallery is caught by its law, with a message that leads to the
 * mistake, and by no other law than those that the mistake breaks too.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Law from "../support/laws.ts"
import { pretending } from "../support/working.ts"
import { gallery, healthy } from "./gallery/codecs.ts"

const violationsOf = Effect.fnUntraced(function*(suite: Laws.Suite) {
  const violations: Array<Laws.LawViolation> = []
  for (const { check } of suite.laws) {
    const exit = yield* Effect.exit(check)
    if (Exit.isFailure(exit)) violations.push(yield* Effect.flip(Effect.failCause(exit.cause)))
  }
  return violations
})

const violationOf = (law: Laws.LawNumber, suite: Laws.Suite) =>
  Effect.flip(suite.laws.find((other) => other.law === law)!.check)

const holds = (suite: Laws.Suite) => Effect.map(violationsOf(suite), (violations) => expect(violations).toEqual([]))

describe("the healthy codecs", () => {
  for (const { name, suite } of healthy) {
    describe(name, () => {
      // With other cases each time.
      Laws.register(suite({ runs: Law.runs }), it)
    })
  }
})

describe("a codec that", () => {
  for (const { also, law, name, says, suite } of gallery) {
    it.effect(`${name} breaks law ${law}`, () =>
      Effect.gen(function*() {
        const violations = yield* violationsOf(suite({ seed: "gallery", runs: 40 }))
        expect(violations.find((violation) => violation.law === law)?.message).toMatch(says)
        expect([law, ...also]).toEqual(expect.arrayContaining(violations.map((violation) => violation.law)))
      }))
  }
})

it("each law of a codec has a broken one that it has to catch", () => {
  const caught = new Set(gallery.map(({ law }) => law))
  expect([...caught].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 7, 8, 10, 12])
})

describe("a failure", () => {
  const [{ name, suite }] = gallery

  it.effect("says what was done, what was due and what came, of the simplest case that was found", () =>
    Effect.gen(function*() {
      const violation = yield* violationOf(1, suite({ seed: "gallery" }))
      expect(violation.message.split("\n")).toEqual([
        `law 1, chunking, does not hold for ${name} (pure)`,
        "  when:     \"\\xe9\" | \"\\xa6\\xac\\n\" arrives, cut behind byte 1",
        "  expected: what it gives in one piece: \"馬\", then it asks for more with \"\" unread",
        "  but:      \"���\", then it asks for more with \"\" unread",
        `  again:    ${violation.replay}`
      ])
    }))

  it.effect("is found again with the token that it prints", () =>
    Effect.gen(function*() {
      const first = yield* violationOf(1, suite({}))
      expect(yield* violationOf(1, suite({ replay: first.replay }))).toEqual(first)
    }))

  it.effect("is the same with the same seed", () =>
    Effect.gen(function*() {
      const first = yield* violationOf(1, suite({ seed: 7 }))
      expect(yield* violationOf(1, suite({ seed: 7 }))).toEqual(first)
    }))
})

describe("with a seed", () => {
  it.effect("a frame that an encoder changes is a fresh one in each law", () =>
    Effect.gen(function*() {
      // What is sorted stays so, and whoever sees it first is the only one to see it change.
      const sorting = Codec.map(Codec.lengthPrefixed({ bytes: 2 }), {
        decode: (frame) => frame,
        encode: (frame: Uint8Array) => frame.sort()
      })
      const violations = yield* violationsOf(Laws.codec(sorting, Schema.Uint8Array, { seed: 7, runs: 20 }))
      expect(violations.find(({ law }) => law === 2)?.expected).toBe("the frame stays as it is")
    }))
})

describe("the options", () => {
  // What an option turns off shows in the first cases already.
  const few = { runs: 30 }
  const limit = { maxLength: 40, ofLength: (length: number) => "x".repeat(length) }

  it("`it` registers one test for each law, under the name of the codec", () => {
    const names: Array<string> = []
    const suite = Laws.codec(Codec.lines(), Schema.String, { name: "lines", it: (name) => names.push(name) })
    expect(names).toEqual(suite.laws.map(({ title }) => `lines, ${title}`))
    expect(names[0]).toBe("lines, law 1, chunking: frames and errors do not depend on how the bytes are cut")
  })

  it("`maxLength` and `ofLength` belong together", () => {
    expect(() => Laws.codec(Codec.lines(), Schema.String, { maxLength: 40 })).toThrow(RangeError)
    expect(() => Laws.codec(Codec.lines(), Schema.String, { ofLength: limit.ofLength })).toThrow(RangeError)
    expect(() => Laws.codec(Codec.lines(), Schema.String, { withMaxLength: () => Codec.lines() })).toThrow(RangeError)
  })

  it.effect("`maxLength` is where the limit has to be, even where no longer frame can be made for it", () =>
    Effect.gen(function*() {
      yield* holds(Laws.codec(Codec.lines({ maxLength: 40 }), Schema.String, { ...limit, ...few }))
      const onlySends = Codec.duplex(Codec.lines({ maxLength: 41 }), Codec.lines({ maxLength: 40 }))
      const violation = yield* violationOf(4, Laws.codec(onlySends, Schema.String, limit))
      expect(violation.expected).toContain("refuses to send")
      const prefixed = (maxLength: number) => Codec.lengthPrefixed({ bytes: 2, maxLength })
      const bytes = { maxLength: 40, ofLength: (length: number) => new Uint8Array(length) }
      const other = Codec.duplex(prefixed(41), prefixed(40))
      expect((yield* violationOf(4, Laws.codec(other, Schema.Uint8Array, bytes))).expected).toContain("refuses to send")
    }))

  it.effect("`maxBuffered` lets more bytes wait", () =>
    Effect.gen(function*() {
      const codec = Codec.lines({ maxLength: 1_500_000 })
      const violation = yield* violationOf(4, Laws.codec(codec, Schema.String))
      expect(violation.expected).toContain("1048576")
      yield* holds(Laws.codec(codec, Schema.String, { maxBuffered: 2_000_000, ...few }))
    }))

  it.effect("`garbage` replaces the bytes that are drawn", () =>
    Effect.gen(function*() {
      // Nobody comes upon that by chance.
      const magic = Uint8Array.of(0xde, 0xad, 0xbe, 0xef)
      const codec = Codec.make<Uint8Array>({
        decoder: () => ({
          decode: (input) => {
            if (input.length < 4) return undefined
            const frame = input.take(4)
            if (frame.every((byte, i) => byte === magic[i])) throw new Error("magic")
            return Result.succeed(frame)
          }
        }),
        encode: (frame, into) => {
          into.bytes(frame)
        }
      })
      const frames = Arbitrary.Constant(Uint8Array.of(1, 2, 3, 4))
      yield* holds(Laws.codec(codec, frames, few))
      const violation = yield* violationOf(5, Laws.codec(codec, frames, { garbage: Arbitrary.Constant(magic) }))
      expect(violation.actual).toBe("it throws Error: magic")
    }))

  it.effect("`equals` decides which frames are the same", () =>
    Effect.gen(function*() {
      const shouting = Codec.map(Codec.lines(), {
        decode: (line) => line.toUpperCase(),
        encode: (line: string) => line
      })
      const frames = Schema.Literals(["Hello", "Goodbye"])
      expect(yield* violationOf(12, Laws.codec(shouting, frames))).toMatchObject({ scenario: /^"Hello" is encoded/ })
      yield* holds(Laws.codec(shouting, frames, { equals: (a, b) => a.toUpperCase() === b.toUpperCase(), ...few }))
    }))

  it.effect("`canonical` may be true of some frames only", () =>
    Effect.gen(function*() {
      // What is in capitals has one spelling, and the rest may be in any case.
      const careless = Codec.map(Codec.lines(), {
        decode: (line) => line.startsWith("x") ? line.toLowerCase() : line,
        encode: (line: string) => line
      })
      const frames = Schema.Literals(["XYZ", "xyz"])
      expect((yield* violationOf(12, Laws.codec(careless, frames, { canonical: true }))).expected).toContain(
        "canonical"
      )
      yield* holds(Laws.codec(careless, frames, { canonical: (line) => !line.startsWith("x"), ...few }))
    }))

  it.effect("`lossy` lets what is not UTF-8 be text", () =>
    Effect.gen(function*() {
      const lossy = Codec.map(Codec.fixed(1), {
        decode: (bytes) => new TextDecoder().decode(bytes),
        encode: (text: string) => new TextEncoder().encode(text)
      })
      const frames = Schema.Literals(["a", "b"])
      expect((yield* violationOf(12, Laws.codec(lossy, frames))).expected).toContain("(lossy)")
      yield* holds(Laws.codec(lossy, frames, { lossy: true, ...few }))
    }))

  it.effect("`growing` makes what cannot be made of the frames that are drawn", () =>
    Effect.gen(function*() {
      // A letter of the alphabet for each level, in order, and a dot.
      const letterAt = (depth: number) => String.fromCharCode(97 + depth % 26)
      const deep = Codec.gen<string>({
        decode: (read) => {
          const inside = function*(depth: number): Codec.Reading<string> {
            const letter = String.fromCharCode(yield* read.byte)
            if (letter === ".") return ""
            if (letter !== letterAt(depth)) return yield* read.fail("another letter is due")
            return letter + (yield* inside(depth + 1))
          }
          return inside(0)
        },
        encode: (text, into) => into.string(`${text}.`)
      })
      const growing = {
        levels: (size: number) => new TextEncoder().encode(Array.from({ length: size }, (_, i) => letterAt(i)).join(""))
      }
      yield* holds(Laws.codec(deep, Schema.Literals(["abc"]), few))
      const violation = yield* violationOf(4, Laws.codec(deep, Schema.Literals(["abc"]), { growing }))
      expect(violation.scenario).toBe("16384 levels (growing) arrives")
      expect(violation.actual).toContain("Maximum call stack size exceeded")
    }))

  it.effect("what an option throws has a stack that tells where", () =>
    Effect.gen(function*() {
      const broken = () => {
        throw new Error("not comparable")
      }
      const suite = Laws.codec(Codec.lines(), Schema.String, { equals: broken })
      const exit = yield* Effect.exit(suite.laws.find(({ law }) => law === 12)!.check)
      expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toMatchObject({
        message: "not comparable",
        stack: expect.stringContaining("at broken")
      })
    }))

  it.effect("`looksPerByte` is how often a decoder may look at a byte", () =>
    Effect.gen(function*() {
      // Once to find the end of the line, and once to take it.
      yield* holds(Laws.codec(Codec.lines(), Schema.String, { looksPerByte: 3, ...few }))
      const violation = yield* violationOf(8, Laws.codec(Codec.lines(), Schema.String, { looksPerByte: 1 }))
      expect(violation.expected).toContain("at most 1 times")
    }))

  it.effect("`growing` tells what grows: what takes no time is not out of proportion, though garbage was collected once", () =>
    Effect.gen(function*() {
      let long = 0
      const codec = Codec.map(Codec.lines(), {
        decode: (line) => {
          if (line.length > 8192 && ++long === 2) Effect.runSync(pretending(15))
          Effect.runSync(pretending(line.length ** 2 / 1e9))
          return line
        },
        encode: (line: string) => line
      })
      const growing = { text: (size: number) => new TextEncoder().encode(`${"x".repeat(size)}\n`) }
      yield* holds(Laws.codec(codec, Schema.String, { growing, ...few }))
      expect(long).toBeGreaterThan(2)
    }))

  it.effect("`selfDelimiting: false` joins the frames that depend on the cut", () =>
    Effect.gen(function*() {
      yield* holds(Laws.codec(Codec.bytes, Schema.Uint8Array, { selfDelimiting: false, ...few }))
      expect((yield* violationsOf(Laws.codec(Codec.bytes, Schema.Uint8Array, few))).map(({ law }) => law)).toContain(1)
      const texts = Codec.map(Codec.bytes, {
        decode: (bytes) => Buffer.from(bytes).toString("latin1"),
        encode: (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0))
      })
      yield* holds(Laws.codec(texts, Schema.Literals(["a", "bc"]), { selfDelimiting: false, ...few }))
    }))

  it.effect("frames that the codec cannot encode do not pass for frames that hold the laws", () =>
    Effect.gen(function*() {
      const violation = yield* violationOf(12, Laws.codec(Codec.lines({ maxLength: 3 }), Schema.Literals(["Hello"])))
      expect(violation.actual).toContain("refuses each of them")
      yield* holds(Laws.codec(Codec.lines({ maxLength: 3 }), Schema.Literals(["Hello", "Hi"]), few))
    }))
})
