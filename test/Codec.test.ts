import { describe, expect, it, vi } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../src/Codec.ts"
import { ByteBuffer } from "../src/internal/bytes/buffer.ts"
import { ByteWriter } from "../src/internal/bytes/writer.ts"
import { bytewise, decodePieces, Feed, splits } from "../src/testing/internal/countingBuffer.ts"
import * as Laws from "../src/testing/Laws.ts"
import { seed } from "./support/codecs.ts"
import { join, text, utf8 } from "./support/conversation.ts"
import * as Law from "./support/laws.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Frames and bytes by chance. The alphabets are small, so that what a codec cares about comes up often.
// ---------------------------------------------------------------------------------------------------------------------

const picks = Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 })))

const bytesOf = (
  alphabet: ReadonlyArray<number>,
  maxLength = 24,
  minLength = 0
): Arbitrary.Arbitrary<Uint8Array> =>
  Arbitrary.map(
    Arbitrary.array(picks, { minLength, maxLength }),
    (ns) => Uint8Array.from(ns, (n) => alphabet[n % alphabet.length])
  )

const textOf = (alphabet: ReadonlyArray<string>, maxLength = 8): Arbitrary.Arbitrary<string> =>
  Arbitrary.map(Arbitrary.array(picks, { maxLength }), (ns) => ns.map((n) => alphabet[n % alphabet.length]).join(""))

const anyByte = Array.from({ length: 256 }, (_, byte) => byte)

const letters = ["a", "b", "x", "\r", " ", "\u0000", "é", "馬", "🐎", "\ufeff", "\u2028"]

// The letters of a line cut into their bytes, line ends, and bytes that UTF-8 never has.
const lineBytes = [...utf8("abx\r\n\n\u0000é馬🐎"), 0xff, 0xc0]

/** Whether a part occurs in bytes, found the slow and obvious way. */
const occurs = (bytes: Uint8Array, part: Uint8Array): boolean =>
  bytes.some((_, at) => part.every((byte, i) => bytes[at + i] === byte))

/** Whether the first delimiter behind a frame is its own. */
const ends = (frame: Uint8Array, delimiter: Uint8Array): boolean =>
  !occurs(join([frame, delimiter]).subarray(0, -1), delimiter)

// ---------------------------------------------------------------------------------------------------------------------
// The laws
// ---------------------------------------------------------------------------------------------------------------------

const runs = { arbitrary: { runs: 100 } }

// A header is looked at again with each byte behind it, and that is all that may be.
const laws = <A>(
  name: string,
  codec: Codec.Codec<A, A>,
  frames: Arbitrary.Arbitrary<A> | Schema.Schema<A>,
  options: Laws.CodecOptions<A>
) => Laws.codec(codec, frames, { looksPerByte: 6, canonical: true, seed, runs: Law.runs, ...options, name, it })

interface Subject<A> {
  /** The codec with a maximum frame length. */
  readonly codec: (maxLength: number) => Codec.Codec<A, A>
  readonly frames: Arbitrary.Arbitrary<A> | Schema.Schema<A>
  /** Bytes that are a frame now and then. */
  readonly garbage: Arbitrary.Arbitrary<Uint8Array>
  /** A frame that counts as this many bytes. */
  readonly ofLength: (bytes: number) => A
  /** `false` where a frame has several spellings. */
  readonly canonical?: boolean
}

const limited = <A>(name: string, { codec, frames, ...options }: Subject<A>, maxLength = 40) =>
  laws(name, codec(maxLength), frames, { maxLength, withMaxLength: codec, ...options })

const ascii = (bytes: number): string => "x".repeat(bytes)

const line = (ending: string): Subject<string> => ({
  codec: (maxLength) => Codec.lines({ maxLength, ending }),
  frames: textOf(letters),
  garbage: bytesOf([...lineBytes, ...utf8(ending)]),
  ofLength: ascii
})

limited("lines", line("\n"))
limited("lines that end with \\r\\n", line("\r\n"))
limited("lines that end with ab", line("ab"))
limited("lines that end with aab", line("aab"))
limited("lines that end with a character of several bytes", line("馬"))
limited("lines of three-byte characters", {
  ...line("\n"),
  // As many bytes, in as few characters as possible.
  ofLength: (bytes) => "馬".repeat(Math.floor(bytes / 3)) + ascii(bytes % 3)
})
limited("lines of at most 3 bytes", line("\n"), 3)
limited("lines of nothing", line("\n"), 0)
laws("lines of any text", Codec.lines(), Schema.String, {})

const delimited = (delimiter: Uint8Array, filler: number): Subject<Uint8Array> => ({
  codec: (maxLength) => Codec.delimited(delimiter, { maxLength }),
  frames: bytesOf([0, 1, 2, 3], 8),
  garbage: bytesOf([0, 1, 2, 3]),
  ofLength: (bytes) => new Uint8Array(bytes).fill(filler)
})

limited("delimited by one byte", delimited(Uint8Array.of(0), 7))
limited("delimited by 1 1 2", delimited(Uint8Array.of(1, 1, 2), 7))
limited("delimited by 1 1 2 with frames full of its beginning", {
  ...delimited(Uint8Array.of(1, 1, 2), 7),
  ofLength: (bytes) => Uint8Array.from({ length: bytes }, (_, i) => i % 2 === 0 ? 1 : 3)
})
limited("delimited by 1 2 1", delimited(Uint8Array.of(1, 2, 1), 7))
limited("delimited by 1 2 1 2 3 of at most 4 bytes", delimited(Uint8Array.of(1, 2, 1, 2, 3), 7), 4)

const prefixed = (options: NonNullable<Parameters<typeof Codec.lengthPrefixed>[0]>): Subject<Uint8Array> => ({
  codec: (maxLength) => Codec.lengthPrefixed({ ...options, maxLength }),
  frames: bytesOf(anyByte, 12, options.offset ?? 0),
  garbage: bytesOf([0, 0, 0, 0, 1, 2, 3, 4, 5, 255]),
  ofLength: (bytes) => Uint8Array.from({ length: bytes }, (_, i) => i)
})

limited("lengthPrefixed", prefixed({}))
limited("lengthPrefixed with 2 bytes", prefixed({ bytes: 2 }))
limited("lengthPrefixed with 3 bytes in little endian", prefixed({ bytes: 3, endian: "little" }))
limited("lengthPrefixed with 4 bytes in little endian", prefixed({ endian: "little" }))
limited("lengthPrefixed behind a type, with a length that counts itself", prefixed({ offset: 1, adjustment: -4 }))
limited("lengthPrefixed with 2 bytes at offset 3", prefixed({ bytes: 2, offset: 3 }))
limited("lengthPrefixed with a length that is 2 short", prefixed({ bytes: 2, adjustment: 2 }))
limited("lengthPrefixed with a varint", { ...prefixed({ bytes: "varint" }), garbage: bytesOf([0, 1, 2, 0x80, 0x81]) })
limited("lengthPrefixed with a varint, at a limit that takes two bytes", prefixed({ bytes: "varint" }), 130)
limited("lengthPrefixed with a varint behind a type", prefixed({ bytes: "varint", maxBytes: 4, offset: 1 }))
limited("lengthPrefixed with a varint that may be overlong", {
  ...prefixed({ bytes: "varint", overlong: true, adjustment: -1 }),
  canonical: false,
  garbage: bytesOf([0, 1, 2, 0x80, 0x81])
})
limited("lengthPrefixed with 1 byte", {
  ...prefixed({ bytes: 1 }),
  // One byte counts to 255 only.
  codec: (maxLength) => Codec.lengthPrefixed({ bytes: maxLength < 256 ? 1 : 2, maxLength })
})

laws("fixed", Codec.fixed(3), bytesOf(anyByte, 3, 3), { garbage: bytesOf(anyByte) })
laws("fixed, of 1000 bytes", Codec.fixed(1000), Arbitrary.map(picks, (byte) => new Uint8Array(1000).fill(byte)), {})

laws("bytes", Codec.bytes, bytesOf(anyByte), { garbage: bytesOf(anyByte), selfDelimiting: false })

const Order = Schema.Struct({ id: Schema.String, n: Schema.Int })

limited("schema, as JSON in lines", {
  codec: (maxLength) => Codec.schema(Codec.lines({ maxLength }), Schema.fromJsonString(Order)),
  frames: Order,
  garbage: bytesOf([...utf8("{}\"\"idn::,,123\n\n"), 0xff]),
  ofLength: (bytes) => ({ id: ascii(bytes - utf8("{\"id\":\"\",\"n\":1}").length), n: 1 }),
  // JSON has spaces where one likes, and escapes.
  canonical: false
}, 64)

limited("map", {
  codec: (maxLength) =>
    Codec.map(Codec.lengthPrefixed({ bytes: 2, maxLength }), {
      decode: (frame) => [...frame],
      encode: (numbers: ReadonlyArray<number>) => Uint8Array.from(numbers)
    }),
  frames: Arbitrary.array(picks, { maxLength: 8 }),
  garbage: bytesOf([0, 0, 1, 2, 3, 255]),
  ofLength: (bytes) => Array.from({ length: bytes }, (_, i) => i % 256)
})

limited("mapOrFail", {
  codec: (maxLength) =>
    Codec.mapOrFail(Codec.lines({ maxLength }), {
      decode: (line) => line.startsWith("x") ? Result.succeed({ x: line.slice(1) }) : Result.fail("not an x"),
      encode: ({ x }: { readonly x: string }) => Result.succeed(`x${x}`)
    }),
  frames: Arbitrary.map(textOf(letters), (x) => ({ x })),
  garbage: bytesOf([...utf8("xxyé\n\n"), 0xff]),
  ofLength: (bytes) => ({ x: ascii(bytes - 1) })
})

limited("duplex", {
  codec: (maxLength) =>
    Codec.duplex(
      Codec.lengthPrefixed({ bytes: 2, maxLength }),
      Codec.map(Codec.lengthPrefixed({ bytes: 2, maxLength }), {
        decode: (frame) => frame,
        encode: (frame: Uint8Array) => frame
      })
    ),
  frames: bytesOf(anyByte),
  garbage: bytesOf([0, 0, 1, 2, 3, 255]),
  ofLength: (bytes) => new Uint8Array(bytes)
})

// ---------------------------------------------------------------------------------------------------------------------
// Many frames at once
// ---------------------------------------------------------------------------------------------------------------------

/** What the frames are one by one, up to the first that is none. */
const oneByOne = <A>(codec: Codec.Codec<unknown, A>, frames: ReadonlyArray<A>): Uint8Array | undefined => {
  const into = new ByteWriter()
  for (const frame of frames) {
    const result = codec.encode(frame, into)
    if (result !== undefined && Result.isFailure(result)) return undefined
  }
  return into.finishBytes()
}

/** What they are at once, behind something that was written before; `undefined` where they are refused. */
const atOnce = <A>(codec: Codec.Codec<unknown, A>, frames: ReadonlyArray<A>): Uint8Array | undefined => {
  const into = new ByteWriter()
  into.string("before")
  const done = codec.encodeMany!(frames, into)
  const bytes = into.finishBytes()
  expect(text(bytes.subarray(0, 6))).toBe("before")
  if (!done) expect(bytes.length).toBe(6)
  return done ? bytes.subarray(6) : undefined
}

describe("encodeMany", () => {
  const long = (length: number) => new Uint8Array(length).fill(7)

  const all: Record<string, readonly [Codec.Codec<unknown, Uint8Array>, Arbitrary.Arbitrary<Uint8Array>]> = {
    "delimited by one byte": [
      Codec.delimited(Uint8Array.of(0), { maxLength: 8 }),
      bytesOf([0, 1, 2, 3, 4, 5, 6, 7], 9)
    ],
    "delimited by 1 1 2": [Codec.delimited(Uint8Array.of(1, 1, 2)), bytesOf([0, 1, 2], 4)],
    "delimited by 1 2 1": [Codec.delimited(Uint8Array.of(1, 2, 1)), bytesOf([0, 1, 2], 4)],
    "lengthPrefixed": [Codec.lengthPrefixed({ maxLength: 8 }), bytesOf(anyByte, 9)],
    "lengthPrefixed behind a type, with a length that counts itself": [
      Codec.lengthPrefixed({ offset: 1, adjustment: -4 }),
      bytesOf(anyByte, 6)
    ],
    "lengthPrefixed with 2 bytes in little endian at offset 3, 2 short": [
      Codec.lengthPrefixed({ bytes: 2, offset: 3, adjustment: 2, endian: "little" }),
      bytesOf(anyByte, 9, 2)
    ],
    "lengthPrefixed with a varint at offset 1": [
      Codec.lengthPrefixed({ bytes: "varint", offset: 1, maxLength: 300 }),
      Arbitrary.map(picks, (n) => new Uint8Array(n + 60).fill(n))
    ],
    "fixed": [Codec.fixed(2), bytesOf(anyByte, 3, 1)],
    "mapped": [
      Codec.map(Codec.lengthPrefixed({ maxLength: 8 }), {
        decode: (frame) => frame,
        encode: (frame: Uint8Array) => frame
      }),
      bytesOf(anyByte, 9)
    ]
  }
  for (const [name, [codec, frames]] of Object.entries(all)) {
    it.prop(
      `gives the bytes that encode gives, or refuses what encode refuses: ${name}`,
      [Arbitrary.array(frames, { maxLength: 4 })],
      ([frames]) => expect(atOnce(codec, frames)).toEqual(oneByOne(codec, frames)),
      { arbitrary: { runs: 300 } }
    )
  }

  const texts = textOf(["a", "\r", "\n", "é", "馬", "🐎", "\ud83d", "\udc0e"], 3)
  for (const ending of ["\n", "\r\n", "馬", "\ud83d\udc0e"]) {
    it.prop(
      `gives the bytes that encode gives, or refuses what encode refuses: lines that end with ${
        JSON.stringify(ending)
      }`,
      [Arbitrary.array(texts, { maxLength: 4 }), Schema.Literals([5, 6, 100])],
      ([lines, maxLength]) => {
        const codec = Codec.lines({ ending, maxLength })
        expect(atOnce(codec, lines)).toEqual(oneByOne(codec, lines))
      },
      { arbitrary: { runs: 500 } }
    )
  }

  it("lines whose ending overlaps itself are encoded one by one", () => {
    expect(Codec.lines({ ending: "aa" }).encodeMany).toBeUndefined()
    expect(Codec.lines({ ending: "ab" }).encodeMany).toBeDefined()
  })

  it("the limit counts bytes and not characters", () => {
    const codec = Codec.lines({ maxLength: 6 })
    expect(text(atOnce(codec, ["馬馬", "🐎é", "abcdef"])!)).toBe("馬馬\n🐎é\nabcdef\n")
    for (const line of ["馬馬x", "🐎éé", "abcdefg"]) {
      expect(atOnce(codec, ["a", line])).toBeUndefined()
      expect(atOnce(codec, [line])).toBeUndefined()
    }
  })

  it("text stays one text", () => {
    const into = new ByteWriter()
    Codec.lines().encodeMany!(["a", "", "b"], into)
    expect(into.finish()).toEqual(["a\n\nb\n"])
  })

  for (const length of [256, 257, 2048, 2049, 5000]) {
    it(`frames of ${length} bytes are those that encode gives`, () => {
      const frames = [long(length), long(0), long(length), long(2 * length)]
      for (
        const codec of [
          Codec.lengthPrefixed(),
          Codec.lengthPrefixed({ offset: 0, bytes: 2 }),
          Codec.delimited(utf8("\r\n"))
        ]
      ) {
        expect(atOnce(codec, frames)).toEqual(oneByOne(codec, frames))
        expect(Codec.decodeAll(codec, atOnce(codec, frames)!)).toEqual(frames)
      }
      expect(atOnce(Codec.fixed(length), [long(length), long(length)])).toEqual(long(2 * length))
    })
  }

  it("long frames are not copied, and short ones are put together", () => {
    const codec = Codec.lengthPrefixed()
    const chunks = (frames: ReadonlyArray<Uint8Array>) => {
      const into = new ByteWriter()
      codec.encodeMany!(frames, into)
      return into.finish()
    }
    const frame = long(2049)
    expect(chunks([frame, frame])[1]).toBe(frame)
    expect(chunks([frame, frame]).length).toBe(4)
    expect(chunks([long(2048), long(2048)]).length).toBe(1)
  })

  it("a delimiter that its receiver changes still ends the frames of others", () => {
    const codec = Codec.delimited(Uint8Array.of(0))
    const into = new ByteWriter()
    codec.encode(long(1000), into)
    for (const chunk of into.finish()) if (typeof chunk !== "string") chunk.fill(9)
    expect(Codec.encodeAll(codec, [long(1000)])[1000]).toBe(0)
  })
})

describe("decodeMany", () => {
  it("takes the lines of a chunk that end with two characters", () => {
    const feed = new Feed(Codec.lines({ ending: "\r\n" }))
    feed.input.push(utf8("a\r\nb\nc\rd\r\n\r\ne\r"))
    expect(feed.nextMany(Infinity)).toBe(true)
    expect(feed.frames).toEqual(["a", "b\nc\rd", ""])
    feed.input.push(utf8("\n"))
    expect(feed.nextMany(Infinity)).toBe(true)
    expect(feed.frames).toEqual(["a", "b\nc\rd", "", "e"])
  })

  it("decodes no more than 64 KiB of lines at once, however many have come, or one line that is longer", () => {
    for (const ending of ["\n", "\r\n"]) {
      const codec = Codec.lines({ ending, maxLength: 200_000 })
      const empty = Array.from({ length: 100_000 }, () => "")
      const lines = [...empty, "é".repeat(80_000), "b", "c".repeat(65_536 - ending.length), "d", ...empty]
      const input = new ByteBuffer()
      input.push(Codec.encodeAll(codec, lines))
      const text = vi.spyOn(input, "text")
      const decoder = codec.decoder()
      const taken: Array<string> = []
      for (;;) {
        const some = decoder.decodeMany!(input, 1000)
        if (some.length === 0) break
        taken.push(...some)
      }
      expect(taken).toEqual(lines)
      expect(input.length).toBe(0)
      const decoded = text.mock.calls.map(([from, to]) => to - from)
      expect(decoded.filter((length) => length > 65_536)).toEqual([160_000])
      expect(decoded.length).toBeLessThan(15)
    }
  })

  it("the limit counts bytes and not characters", () => {
    const feed = new Feed(Codec.lines({ maxLength: 6 }))
    feed.input.push(utf8("馬馬\n🐎é\nabcdef\n馬馬x\n"))
    expect(feed.nextMany(Infinity)).toBe(true)
    expect(feed.frames).toEqual(["馬馬", "🐎é", "abcdef"])
    expect(feed.nextMany(Infinity)).toBe(false)
    expect(feed.next()).toBe(false)
    expect(feed.end).toMatchObject({ _tag: "Failed", error: { _tag: "FrameTooLarge", limit: 6 } })
  })

  it("looks once for the end of a line that arrives in many pieces", () => {
    const feed = new Feed(Codec.lines({ maxLength: 100_000 }))
    for (const piece of bytewise(utf8("é".repeat(10_000)))) {
      feed.input.push(piece)
      feed.drain(() => 100)
    }
    expect(feed.input.examined).toBe(20_000)
    feed.input.push(utf8("\n"))
    feed.drain(() => 100)
    expect(feed.frames).toEqual(["é".repeat(10_000)])
    // Once more to decode it.
    expect(feed.input.examined).toBeLessThanOrEqual(40_010)
  })

  it("decodes a line that was cut within a character once", () => {
    const bytes = utf8(`${"馬".repeat(100)}\n`)
    for (const at of [200, 202]) {
      const feed = new Feed(Codec.lines())
      feed.input.push(bytes.subarray(0, at))
      feed.drain(() => 100)
      feed.input.push(bytes.subarray(at))
      expect(feed.nextMany(100)).toBe(true)
      expect(feed.frames).toEqual(["馬".repeat(100)])
      // To find its end in each piece, and to decode it.
      expect(feed.input.examined).toBeLessThanOrEqual(at + 300 + 4)
    }
  })

  it("looks at lines before one that is not UTF-8 no more often than at others", () => {
    const feed = new Feed(Codec.lines())
    feed.input.push(join([utf8("x\n".repeat(1000)), Uint8Array.of(0xff, 0x0a)]))
    feed.drain(() => 10)
    expect(feed.frames.length).toBe(1000)
    expect(feed.end).toMatchObject({ _tag: "Failed", error: { _tag: "MalformedFrame" } })
    expect(feed.input.examined).toBeLessThanOrEqual(4 * 2002)
  })

  it("looks no further for the lines behind those that it gives", () => {
    const feed = new Feed(Codec.lines())
    feed.input.push(utf8("x\n".repeat(1000)))
    while (feed.nextMany(10)) { /* takes all of it */ }
    expect(feed.frames.length).toBe(1000)
    expect(feed.input.examined).toBeLessThanOrEqual(2 * 2000)
  })

  for (
    const [name, codec] of Object.entries({
      delimited: Codec.delimited(Uint8Array.of(7)),
      lengthPrefixed: Codec.lengthPrefixed({ bytes: 1, offset: 2 }),
      fixed: Codec.fixed(3),
      mapped: Codec.map(Codec.fixed(3), { decode: (frame) => frame.slice(), encode: (frame: Uint8Array) => frame })
    })
  ) {
    it(`takes at most as many frames as it is asked for: ${name}`, () => {
      const frames = [1, 2, 3].map((n) => Uint8Array.of(n, n, n))
      const feed = new Feed(codec)
      feed.input.push(Codec.encodeAll(codec, frames))
      expect(feed.nextMany(2)).toBe(true)
      expect(feed.frames).toEqual(frames.slice(0, 2))
      expect(feed.nextMany(2)).toBe(true)
      expect(feed.frames).toEqual(frames)
      expect(feed.nextMany(2)).toBe(false)
    })
  }
})

describe("Node's buffers", () => {
  // Their `slice` is a view, and their `indexOf` is another.
  const bufferOf = (bytes: Uint8Array): Uint8Array => Buffer.from(bytes)

  it("are decoded as any bytes, and left as they are", () => {
    const frames = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)]
    for (
      const codec of [
        Codec.delimited(Uint8Array.of(0)),
        Codec.lengthPrefixed(),
        Codec.lengthPrefixed({ offset: 1 }),
        Codec.map(Codec.lines(), { decode: utf8, encode: (frame: Uint8Array) => text(frame) })
      ]
    ) {
      const bytes = Codec.encodeAll(codec, frames)
      const given = bufferOf(bytes)
      const decoded = Codec.decodeAll(codec, given)
      expect(decoded.map((frame) => [...frame])).toEqual(frames.map((frame) => [...frame]))
      expect([...given]).toEqual([...bytes])
    }
  })

  it("as a delimiter may be changed by their owner", () => {
    const delimiter = bufferOf(Uint8Array.of(0))
    const codec = Codec.delimited(delimiter)
    delimiter[0] = 9
    expect(Codec.encodeAll(codec, [Uint8Array.of(9)])).toEqual(Uint8Array.of(9, 0))
    expect(decodePieces(codec, [Uint8Array.of(9, 0)]).frames).toEqual([Uint8Array.of(9)])
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// Single behaviours
// ---------------------------------------------------------------------------------------------------------------------

const decodeText = (codec: Codec.Codec<string, never>, said: string) => decodePieces(codec, [utf8(said)])

const encodeError = <A>(codec: Codec.Codec<unknown, A>, frame: A): Codec.CodecError | undefined => {
  const result = codec.encode(frame, new ByteWriter())
  return result !== undefined && Result.isFailure(result) ? result.failure : undefined
}

describe("lines", () => {
  it("a carriage return is data where the ending is a line feed", () => {
    expect(decodeText(Codec.lines(), "You ready?\r\n").frames).toEqual(["You ready?\r"])
    expect(text(Codec.encodeAll(Codec.lines(), ["You ready?\r"]))).toBe("You ready?\r\n")
  })

  it("a lone line feed is data where the ending is two characters", () => {
    expect(decodeText(Codec.lines({ ending: "\r\n" }), "a\nb\rc\r\r\n").frames).toEqual(["a\nb\rc\r"])
  })

  it("an empty line is a frame", () => {
    expect(decodeText(Codec.lines(), "\n\na\n\n").frames).toEqual(["", "", "a", ""])
  })

  it("a byte order mark is data", () => {
    expect(decodeText(Codec.lines(), "\ufeffa\n").frames).toEqual(["\ufeffa"])
  })

  it("a NUL is data", () => {
    expect(decodeText(Codec.lines(), "a\u0000b\n").frames).toEqual(["a\u0000b"])
  })

  it("bytes that are not UTF-8 are malformed, and the excerpt is bounded and printable", () => {
    const bytes = join([utf8("\u001b[31m"), new Uint8Array(500).fill(0xff), utf8("\n")])
    const { error, frames } = decodePieces(Codec.lines(), [bytes])
    expect(frames).toEqual([])
    expect(error).toMatchObject({ _tag: "MalformedFrame", fault: "peer" })
    expect(error?.excerpt).toMatch(/^"\\x1b\[31m(\\xff){59}"…$/)
  })

  it("an overlong encoding and an encoded surrogate are malformed", () => {
    for (const bytes of [[0xc0, 0x8a], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]) {
      expect(decodePieces(Codec.lines(), [Uint8Array.of(...bytes, 0x0a)]).error).toMatchObject({
        _tag: "MalformedFrame"
      })
    }
  })

  it("the lines before a malformed one are decoded", () => {
    expect(decodePieces(Codec.lines(), [join([utf8("a\nb\n"), Uint8Array.of(0xff, 0x0a)])]).frames).toEqual(["a", "b"])
  })

  it("a line that contains the ending cannot be encoded", () => {
    expect(encodeError(Codec.lines(), "a\nb")).toMatchObject({
      _tag: "MalformedFrame",
      excerpt: "\"a\\nb\"",
      fault: "local"
    })
    expect(encodeError(Codec.lines({ ending: "\r\n" }), "a\r\nb")).toMatchObject({ _tag: "MalformedFrame" })
  })

  it("a line whose tail forms an ending with the one behind it cannot be encoded", () => {
    expect(encodeError(Codec.lines({ ending: "aa" }), "xa")).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
    expect(encodeError(Codec.lines({ ending: "aba" }), "xab")).toMatchObject({ _tag: "MalformedFrame" })
    expect(encodeError(Codec.lines({ ending: "ab" }), "xa")).toBeUndefined()
  })

  it("half a surrogate pair cannot be encoded", () => {
    expect(encodeError(Codec.lines(), "a\ud83d")).toMatchObject({
      _tag: "MalformedFrame",
      excerpt: "\"a\\ud83d\"",
      fault: "local"
    })
    expect(encodeError(Codec.lines(), "\udc0ea")).toMatchObject({ _tag: "MalformedFrame" })
  })

  it("an unterminated line fails as soon as it exceeds the limit, and not before", () => {
    const codec = Codec.lines({ maxLength: 5 })
    expect(decodeText(codec, "abcde")).toMatchObject({ frames: [], error: undefined })
    expect(decodeText(codec, "abcdef")).toMatchObject({ error: { _tag: "FrameTooLarge", limit: 5 } })
  })

  it("a line at the limit may wait for the second half of its ending", () => {
    const codec = Codec.lines({ maxLength: 3, ending: "\r\n" })
    expect(decodeText(codec, "abc\r")).toMatchObject({ frames: [], error: undefined })
    expect(decodeText(codec, "abc\r\n").frames).toEqual(["abc"])
    expect(decodeText(codec, "abc\rd")).toMatchObject({ error: { _tag: "FrameTooLarge" } })
  })

  it("the limit counts bytes and not characters", () => {
    const codec = Codec.lines({ maxLength: 6 })
    expect(decodeText(codec, "馬馬\n").frames).toEqual(["馬馬"])
    expect(decodeText(codec, "馬馬x\n").error).toMatchObject({ _tag: "FrameTooLarge" })
    expect(encodeError(codec, "馬馬")).toBeUndefined()
    expect(encodeError(codec, "馬馬x")).toMatchObject({ _tag: "FrameTooLarge", limit: 6, fault: "local" })
    expect(encodeError(codec, "🐎éé")).toMatchObject({ _tag: "FrameTooLarge" })
  })

  it("a limit of nothing lets empty lines through", () => {
    const codec = Codec.lines({ maxLength: 0 })
    expect(decodeText(codec, "\n\n").frames).toEqual(["", ""])
    expect(decodeText(codec, "a").error).toMatchObject({ _tag: "FrameTooLarge", limit: 0 })
  })

  it("the excerpt of a line that is too long does not depend on what came with it", () => {
    const codec = Codec.lines({ maxLength: 4 })
    const error = decodeText(codec, "abcde").error
    expect(error).toMatchObject({ excerpt: "\"abcd\"…" })
    expect(decodeText(codec, "abcdefghij\nklm").error).toEqual(error)
  })

  it("the default limit is 64 KiB", () => {
    expect(decodeText(Codec.lines(), ascii(65_536)).error).toBeUndefined()
    expect(decodeText(Codec.lines(), ascii(65_537)).error).toMatchObject({ limit: 65_536 })
    expect(encodeError(Codec.lines(), ascii(65_536))).toBeUndefined()
    expect(encodeError(Codec.lines(), ascii(65_537))).toMatchObject({ limit: 65_536 })
  })

  it("an ending of nothing is refused", () => {
    expect(() => Codec.lines({ ending: "" })).toThrow(RangeError)
  })

  it("an ending that is half a surrogate pair is refused", () => {
    // Put into UTF-8 it would be U+FFFD, and a line with that in it would be two.
    expect(() => Codec.lines({ ending: "\ud83d" })).toThrow(RangeError)
  })

  it.prop(
    "exactly the lines that end at their own ending can be encoded",
    [textOf(["a", "b"]), Schema.Literals(["a", "aa", "ab", "aba", "abab"])],
    ([line, ending]) =>
      expect(encodeError(Codec.lines({ ending }), line) === undefined).toBe(ends(utf8(line), utf8(ending))),
    runs
  )
})

describe("delimited", () => {
  it("a frame that contains the delimiter cannot be encoded", () => {
    expect(encodeError(Codec.delimited(Uint8Array.of(0)), Uint8Array.of(1, 0, 2))).toMatchObject({
      _tag: "MalformedFrame",
      fault: "local"
    })
  })

  it("a frame whose tail forms a delimiter with the one behind it cannot be encoded", () => {
    expect(encodeError(Codec.delimited(Uint8Array.of(1, 2, 1)), Uint8Array.of(7, 1, 2))).toMatchObject({
      _tag: "MalformedFrame"
    })
    expect(encodeError(Codec.delimited(Uint8Array.of(1, 1)), Uint8Array.of(7, 1))).toMatchObject({
      _tag: "MalformedFrame"
    })
    expect(encodeError(Codec.delimited(Uint8Array.of(1, 1, 2)), Uint8Array.of(7, 1))).toBeUndefined()
  })

  it("a delimiter that begins inside its own beginning is found", () => {
    const codec = Codec.delimited(Uint8Array.of(1, 1, 2))
    const bytes = Uint8Array.of(1, 1, 1, 1, 2)
    for (const pieces of splits(bytes)) {
      expect(decodePieces(codec, pieces).frames).toEqual([Uint8Array.of(1, 1)])
    }
  })

  it("a frame full of delimiters that never end costs a constant per byte", () => {
    const codec = Codec.delimited(Uint8Array.of(1, 1, 2), { maxLength: 8000 })
    const feed = new Feed(codec)
    for (const piece of bytewise(new Uint8Array(8000).fill(1))) {
      feed.input.push(piece)
      feed.drain()
    }
    expect(feed.input.length).toBe(8000)
    expect(feed.input.examined).toBeLessThanOrEqual(2 * 3 * 8000)
  })

  it("a delimiter of nothing is refused", () => {
    expect(() => Codec.delimited(new Uint8Array())).toThrow(RangeError)
  })

  it("a delimiter that its owner changes afterwards still ends frames", () => {
    const delimiter = Uint8Array.of(0)
    const codec = Codec.delimited(delimiter)
    delimiter[0] = 9
    expect(decodePieces(codec, [Uint8Array.of(1, 0)]).frames).toEqual([Uint8Array.of(1)])
  })

  it.prop(
    "exactly the frames that end at their own delimiter can be encoded",
    [bytesOf([1, 2], 6), bytesOf([1, 2], 4, 1)],
    ([frame, delimiter]) =>
      expect(encodeError(Codec.delimited(delimiter), frame) === undefined).toBe(ends(frame, delimiter)),
    { arbitrary: { runs: 300 } }
  )
})

describe("lengthPrefixed", () => {
  const header = (value: number): Uint8Array => {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, value)
    return bytes
  }

  it("the wire is the bytes before the length, the length, and the rest", () => {
    const codec = Codec.lengthPrefixed({ offset: 2, bytes: 3, endian: "little", adjustment: -3 })
    expect(Codec.encodeAll(codec, [Uint8Array.of(1, 2, 3, 4)])).toEqual(Uint8Array.of(1, 2, 5, 0, 0, 3, 4))
  })

  it("a frame of nothing is a frame", () => {
    expect(decodePieces(Codec.lengthPrefixed({ bytes: 1 }), [Uint8Array.of(0, 0)]).frames).toEqual([
      new Uint8Array(),
      new Uint8Array()
    ])
  })

  it("a length below its minimum is malformed", () => {
    const codec = Codec.lengthPrefixed({ adjustment: -4 })
    expect(decodePieces(codec, [header(3)]).error).toMatchObject({ _tag: "MalformedFrame", fault: "peer" })
    expect(decodePieces(codec, [header(4)]).frames).toEqual([new Uint8Array()])
  })

  it("a declared length above the limit fails when the header has arrived, before the body", () => {
    const codec = Codec.lengthPrefixed({ maxLength: 100 })
    expect(decodePieces(codec, [header(101).subarray(0, 3)])).toMatchObject({ frames: [], error: undefined })
    expect(decodePieces(codec, [header(101)]).error).toMatchObject({ _tag: "FrameTooLarge", limit: 100, fault: "peer" })
    expect(decodePieces(codec, [header(100)])).toMatchObject({ frames: [], error: undefined })
  })

  it("the largest length there is fails without being allocated", () => {
    for (const bytes of [4, 5, 6] as const) {
      const codec = Codec.lengthPrefixed({ bytes, offset: 1 })
      expect(decodePieces(codec, [new Uint8Array(1 + bytes).fill(0xff)]).error).toMatchObject({ _tag: "FrameTooLarge" })
    }
  })

  it("the limit counts the bytes before the length too", () => {
    const codec = Codec.lengthPrefixed({ bytes: 1, offset: 2, maxLength: 3 })
    expect(decodePieces(codec, [Uint8Array.of(9, 9, 1, 9)]).frames).toEqual([Uint8Array.of(9, 9, 9)])
    expect(decodePieces(codec, [Uint8Array.of(9, 9, 2)]).error).toMatchObject({ _tag: "FrameTooLarge", limit: 3 })
  })

  it("a frame that is too long for the width of the length cannot be encoded", () => {
    const codec = Codec.lengthPrefixed({ bytes: 1 })
    expect(encodeError(codec, new Uint8Array(255))).toBeUndefined()
    expect(encodeError(codec, new Uint8Array(256))).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
  })

  it("a frame whose length would be negative cannot be encoded", () => {
    expect(encodeError(Codec.lengthPrefixed({ adjustment: 2 }), Uint8Array.of(1))).toMatchObject({
      _tag: "MalformedFrame",
      fault: "local"
    })
  })

  it("a frame without the bytes before the length cannot be encoded", () => {
    expect(encodeError(Codec.lengthPrefixed({ offset: 3 }), Uint8Array.of(1, 2))).toMatchObject({
      _tag: "MalformedFrame",
      fault: "local"
    })
  })

  it("a length of six bytes is exact", () => {
    const codec = Codec.lengthPrefixed({ bytes: 6, adjustment: -(2 ** 47 + 1) })
    expect(Codec.encodeAll(codec, [Uint8Array.of(7)])).toEqual(Uint8Array.of(0x80, 0, 0, 0, 0, 2, 7))
    expect(decodePieces(codec, [Uint8Array.of(0x80, 0, 0, 0, 0, 2, 7)]).frames).toEqual([Uint8Array.of(7)])
  })
})

describe("varints", () => {
  const packets = (
    options?: { readonly maxBytes?: 1 | 4 | 7; readonly overlong?: boolean; readonly maxLength?: number }
  ) => Codec.lengthPrefixed({ bytes: "varint", ...options })
  const everyWay = (codec: Codec.Codec<Uint8Array, never>, bytes: Uint8Array) => {
    const whole = decodePieces(codec, [bytes])
    for (const pieces of splits(bytes)) expect(decodePieces(codec, pieces)).toEqual(whole)
    return whole
  }

  // MQTT 5.0, table 1-1: the smallest and the largest value of each size.
  const sizes = [
    [0, [0]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [16_383, [0xff, 0x7f]],
    [16_384, [0x80, 0x80, 0x01]],
    [2_097_151, [0xff, 0xff, 0x7f]],
    [2_097_152, [0x80, 0x80, 0x80, 0x01]]
  ] as const
  for (const [length, varint] of sizes) {
    it(`${length} has ${varint.length} bytes`, () => {
      const codec = packets({ maxBytes: 4, maxLength: Infinity })
      const frame = new Uint8Array(length).fill(7)
      const bytes = Codec.encodeAll(codec, [frame])
      expect(bytes.subarray(0, varint.length)).toEqual(Uint8Array.from(varint))
      expect(bytes.length).toBe(varint.length + length)
      // Millions of bytes, which `toEqual` would compare one by one.
      expect(Codec.decodeAll(codec, bytes).map((decoded) => Buffer.compare(decoded, frame))).toEqual([0])
    })
  }

  it("one more byte than it may have is malformed as soon as the last that it may have says so", () => {
    const bytes = Uint8Array.of(0x80, 0x80, 0x80, 0x80)
    expect(everyWay(packets({ maxBytes: 4 }), bytes).error).toEqual(
      new Codec.MalformedFrame({
        problem: "the length has more than 4 bytes",
        excerpt: "\"\\x80\\x80\\x80\\x80\"",
        fault: "peer"
      })
    )
    expect(everyWay(packets(), bytes).end).toBe(undefined)
    expect(everyWay(packets(), Uint8Array.of(0x80, ...bytes)).error?.message).toContain("more than 5 bytes")
  })

  it("what is not in its shortest form is malformed, unless it may be", () => {
    expect(everyWay(packets(), Uint8Array.of(0x80, 0x00)).error?.message).toContain("shortest form")
    const bytes = Uint8Array.of(0x81, 0x80, 0x00, 7)
    expect(everyWay(packets(), bytes).error).toEqual(
      new Codec.MalformedFrame({
        problem: "the length is not in its shortest form",
        excerpt: "\"\\x81\\x80\\x00\"",
        fault: "peer"
      })
    )
    expect(everyWay(packets({ overlong: true }), bytes).frames).toEqual([Uint8Array.of(7)])
    expect(everyWay(packets(), Uint8Array.of(0)).frames).toEqual([new Uint8Array()])
  })

  it("a length of 49 bits is refused for what it is", () => {
    const bytes = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)
    expect(everyWay(packets({ maxBytes: 7 }), bytes).error).toMatchObject({ _tag: "FrameTooLarge", limit: 65_536 })
  })

  it("a frame whose length does not fit is not sent", () => {
    const codec = packets({ maxBytes: 1 })
    expect(Codec.encodeAll(codec, [new Uint8Array(127)]).length).toBe(128)
    expect(() => Codec.encodeAll(codec, [new Uint8Array(128)])).toThrow("128 does not fit into a varint of 1 bytes")
  })
})

describe("fixed", () => {
  it("a frame of another length cannot be encoded", () => {
    for (const length of [0, 2, 4]) {
      expect(encodeError(Codec.fixed(3), new Uint8Array(length))).toMatchObject({
        _tag: "MalformedFrame",
        fault: "local"
      })
    }
  })

  it("a length that no frame can have is refused", () => {
    for (const length of [0, -1, Number.NaN, 1.5]) expect(() => Codec.fixed(length)).toThrow(RangeError)
  })
})

describe("bytes", () => {
  it("a frame is whatever has arrived, and never empty", () => {
    expect(decodePieces(Codec.bytes, [Uint8Array.of(), Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)]).frames)
      .toEqual([Uint8Array.of(1, 2), Uint8Array.of(3)])
  })
})

/** Lines whose decoder knows no limit. */
const endlessLines = (): Codec.Decoder<string> & {
  readonly decodeMany: NonNullable<Codec.Decoder<string>["decodeMany"]>
} => {
  let searched = 0
  const decode = (input: Codec.ByteBuffer): string | undefined => {
    const at = input.indexOf(10, searched)
    searched = at === -1 ? input.length : 0
    if (at === -1) return undefined
    const line = Buffer.from(input.take(at)).toString("latin1")
    input.skip(1)
    return line
  }
  return {
    decode: (input) => {
      const line = decode(input)
      return line === undefined ? undefined : Result.succeed(line)
    },
    decodeMany: (input, max) => {
      const lines: Array<string> = []
      while (lines.length < max) {
        const line = decode(input)
        if (line === undefined) break
        lines.push(line)
      }
      return lines
    }
  }
}

const boundedLines = (maxLength: number | undefined, decodesMany: boolean): Codec.Codec<string, string> =>
  Codec.make<string>({
    maxLength,
    decoder: () => decodesMany ? endlessLines() : { decode: endlessLines().decode },
    encode: (line, into) => {
      if (maxLength !== undefined && line.length + 1 > maxLength) {
        return Result.fail(new Codec.FrameTooLarge({ limit: maxLength, excerpt: "", fault: "local" }))
      }
      into.bytes(Buffer.from(`${line}\n`, "latin1"))
    }
  })

for (const decodesMany of [false, true]) {
  limited(`a codec of one's own${decodesMany ? " that decodes many at once" : ""}`, {
    codec: (maxLength) => boundedLines(maxLength, decodesMany),
    frames: textOf(["a", "b", "é", "\u0000"]),
    garbage: bytesOf([0x61, 0x0a, 0xe9]),
    // The limit counts the line feed.
    ofLength: (bytes) => ascii(bytes - 1)
  })
}

describe("make", () => {
  const refused = (limit: number, excerpt: string) => new Codec.FrameTooLarge({ limit, excerpt, fault: "peer" })

  it("a frame may have 64 KiB on the wire unless told otherwise, and not one byte more", () => {
    const codec = boundedLines(undefined, false)
    const longest = utf8(`${ascii(65_535)}\n`)
    const longer = utf8(`${ascii(65_536)}\n`)
    for (const cut of [1, 65_535, 65_536]) {
      expect(decodePieces(codec, [longest.subarray(0, cut), longest.subarray(cut)]).frames).toEqual([ascii(65_535)])
      expect(decodePieces(codec, [longer.subarray(0, cut), longer.subarray(cut)]).error).toEqual(
        refused(65_536, `"${ascii(64)}"…`)
      )
    }
    expect(decodePieces(codec, [longest.subarray(0, 65_535)]).end).toBe(undefined)
    expect(decodePieces(codec, [longer.subarray(0, 65_536)]).end?._tag).toBe("Failed")
  })

  it("what comes behind the limit makes a frame inside it neither longer nor wrong", () => {
    for (const decodesMany of [false, true]) {
      const feed = new Feed(boundedLines(4, decodesMany))
      feed.input.push(utf8("abc\n\nde\nfgh\nijkl\nm\n"))
      feed.drain(() => decodesMany ? 3 : 0)
      expect(feed.frames).toEqual(["abc", "", "de", "fgh"])
      expect(feed.end).toEqual({ _tag: "Failed", error: refused(4, "\"ijkl\"…") })
    }
  })

  it("a decoder never sees more than the limit, so that a frame behind it is not found early", () => {
    const seen = new Set<number>()
    const codec = Codec.make<Uint8Array, never>({
      maxLength: 3,
      decoder: () => ({
        decode: (input) => {
          seen.add(input.length)
          return input.length === 0 ? undefined : Result.succeed(input.take(input.length))
        }
      }),
      encode: () => {}
    })
    expect(decodePieces(codec, [utf8("abcdefgh")]).frames.map(text)).toEqual(["abc", "def", "gh"])
    expect([...seen]).toEqual([3, 2, 0])
  })

  it("what is a secret is not shown when it is too long", () => {
    const codec = Codec.make<string, never>({
      maxLength: 3,
      decoder: () => ({ decode: endlessLines().decode, isSecret: (input) => input.at(0) === 0x21 }),
      encode: () => {}
    })
    expect(decodePieces(codec, [utf8("abc")]).error).toEqual(refused(3, "\"abc\"…"))
    expect(decodePieces(codec, [utf8("!bcd")]).error).toEqual(refused(3, "<redacted>"))
  })

  it("the limit holds for what is made of the codec", () => {
    const lines = boundedLines(3, true)
    const same = { decode: (line: string) => line, encode: (line: string) => line }
    const made = [
      Codec.map(lines, same),
      Codec.mapOrFail(lines, {
        decode: (line) => Result.succeed(line),
        encode: (line: string) => Result.succeed(line)
      }),
      Codec.schema(lines, Schema.String),
      Codec.duplex(lines, Codec.lines())
    ]
    for (const codec of made) {
      expect(decodePieces(codec, [utf8("ab\n")]).frames).toEqual(["ab"])
      expect(decodePieces(codec, [utf8("abc\n")]).error).toEqual(refused(3, "\"abc\"…"))
    }
  })

  it("what is made of a codec with a higher limit than the default keeps that", () => {
    const same = { decode: (line: string) => line, encode: (line: string) => line }
    const codec = Codec.map(boundedLines(100_001, false), same)
    expect(decodePieces(codec, [utf8(`${ascii(100_000)}\n`)]).frames).toEqual([ascii(100_000)])
  })

  it("a limit is a positive number", () => {
    expect(() => boundedLines(0, false)).toThrow(RangeError)
    expect(() => boundedLines(NaN, false)).toThrow(RangeError)
    expect(decodePieces(boundedLines(1, false), [utf8("\n")]).frames).toEqual([""])
  })

  it("Infinity leaves the decoder as it is", () => {
    const decoder = endlessLines()
    expect(Codec.make({ maxLength: Infinity, decoder: () => decoder, encode: () => {} }).decoder()).toBe(decoder)
  })
})

describe("mapping", () => {
  const numbers = Codec.mapOrFail(Codec.lines(), {
    decode: (line) => /^\d+$/.test(line) ? Result.succeed(Number(line)) : Result.fail("not a number"),
    encode: (n: number) => n >= 0 ? Result.succeed(String(n)) : Result.fail("not a count")
  })

  it("a frame that is refused is malformed, with the problem and the frame", () => {
    expect(decodePieces(numbers, [utf8("1\nx\n")])).toMatchObject({
      frames: [1],
      error: { _tag: "MalformedFrame", problem: "not a number", excerpt: "\"x\"", fault: "peer" }
    })
  })

  const json = Codec.map(Codec.lines(), { decode: (line): unknown => JSON.parse(line), encode: JSON.stringify })

  it("what a function throws at is malformed, with what was thrown, behind the frames before it", () => {
    const pieces = [[utf8("1\n2\n{\n3\n")], bytewise(utf8("1\n2\n{\n3\n"))]
    for (const piece of pieces) {
      expect(decodePieces(json, piece)).toMatchObject({
        frames: [1, 2],
        error: {
          _tag: "MalformedFrame",
          problem: expect.stringMatching(/^the codec threw SyntaxError: /),
          excerpt: "\"{\"",
          fault: "peer"
        }
      })
    }
  })

  it("what a function throws at stays malformed where whole chunks are decoded, and nothing behind it is a frame", () => {
    const [decoder, input] = [json.decoder(), new ByteBuffer()]
    input.push(utf8("1\n2\n{\n3\n"))
    expect(decoder.decodeMany!(input, 10)).toEqual([1, 2])
    expect(decoder.decodeMany!(input, 10)).toEqual([])
    for (let i = 0; i < 2; i++) {
      expect(decoder.decode(input)).toMatchObject({ failure: { _tag: "MalformedFrame", excerpt: "\"{\"" } })
    }
  })

  it("a value that is refused is not encoded", () => {
    const into = new ByteWriter()
    expect(encodeError(numbers, -1)).toMatchObject({
      _tag: "MalformedFrame",
      problem: "not a count",
      excerpt: "-1",
      fault: "local"
    })
    numbers.encode(-1, into)
    expect(into.finish()).toEqual([])
  })

  it("an error of the codec underneath passes as it is", () => {
    expect(decodePieces(Codec.map(Codec.lines({ maxLength: 1 }), { decode: Number, encode: String }), [utf8("12\n")]))
      .toMatchObject({ error: { _tag: "FrameTooLarge", limit: 1 } })
  })

  it("both forms are the same", () => {
    const upper = { decode: (line: string) => line.toUpperCase(), encode: (line: string) => line.toLowerCase() }
    expect(Codec.decodeAll(Codec.lines().pipe(Codec.map(upper)), utf8("a\n"))).toEqual(["A"])
    expect(Codec.decodeAll(Codec.map(Codec.lines(), upper), utf8("a\n"))).toEqual(["A"])
  })
})

describe("schema", () => {
  const orders = Codec.schema(Codec.lines(), Schema.fromJsonString(Order))

  it("what does not fit the schema is malformed, with the schema's own message", () => {
    expect(decodePieces(orders, [utf8("{\"id\":\"a\",\"n\":\"b\"}\n")]).error).toMatchObject({
      _tag: "MalformedFrame",
      problem: expect.stringContaining("n"),
      fault: "peer"
    })
  })

  it("what is nested deeper than the schema can follow is malformed, and what is not so deep is a frame", () => {
    interface Tree {
      readonly c: ReadonlyArray<Tree>
    }
    const Tree = Schema.Struct({ c: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree)) })
    const trees = Codec.schema(Codec.lines({ maxLength: 1_000_000 }), Schema.fromJsonString(Tree))
    const nested = (depth: number) => utf8(`${"{\"c\":[".repeat(depth)}${"]}".repeat(depth)}\n`)
    expect(decodePieces(trees, [nested(100)]).frames).toHaveLength(1)
    expect(decodePieces(trees, [nested(50_000)]).error).toMatchObject({
      _tag: "MalformedFrame",
      problem: "the codec threw RangeError: Maximum call stack size exceeded",
      fault: "peer"
    })
  })

  it("what is not JSON is malformed", () => {
    expect(decodePieces(orders, [utf8("{\n")]).error).toMatchObject({ _tag: "MalformedFrame", excerpt: "\"{\"" })
  })

  it("a value that the schema refuses is not encoded", () => {
    expect(encodeError(orders, { id: "a", n: 1.5 })).toMatchObject({ _tag: "MalformedFrame", fault: "local" })
  })

  it("the message is bounded, whatever the peer has sent", () => {
    const counts = Codec.schema(Codec.lines(), Schema.fromJsonString(Schema.Record(Schema.String, Schema.Int)))
    const { error } = decodePieces(counts, [utf8(`{"${ascii(60_000)}":"x"}\n`)])
    expect(error).toMatchObject({ _tag: "MalformedFrame" })
    expect(String(error?.message).length).toBeLessThan(2000)
  })

  it("the message is printable, whatever the peer has sent", () => {
    const counts = Codec.schema(Codec.lines(), Schema.fromJsonString(Schema.Record(Schema.String, Schema.Int)))
    const { error } = decodePieces(counts, [utf8("{\"\u202e\u009b31m\":\"x\"}\n")])
    expect(error).toMatchObject({ _tag: "MalformedFrame" })
    expect(String(error?.message)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
  })
})

describe("duplex", () => {
  it("receives as one codec and sends as another", () => {
    const codec = Codec.duplex(Codec.lines(), Codec.lengthPrefixed({ bytes: 1 }))
    expect(decodePieces(codec, [utf8("a\n")]).frames).toEqual(["a"])
    expect(Codec.encodeAll(codec, [Uint8Array.of(7)])).toEqual(Uint8Array.of(1, 7))
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// aggregate
// ---------------------------------------------------------------------------------------------------------------------

const replyLines = Arbitrary.map(
  Arbitrary.array(textOf(["a", "-", " ", "é"], 4), { maxLength: 3 }),
  (texts): readonly [string, ...Array<string>] => {
    const [first, ...others] = [...texts.map((text) => `250-${text}`), "250 ok"]
    return [first, ...others]
  }
)

const isReplyEnd = (line: string): boolean => line[3] !== "-"

limited<readonly [string, ...Array<string>]>("aggregate, as answers of SMTP", {
  codec: (maxLength) =>
    Codec.aggregate(Codec.lines({ ending: "\r\n", maxLength: 2000 }), { isLast: isReplyEnd, maxLength }),
  frames: replyLines,
  garbage: bytesOf([...utf8("25-- \r\n\r\n")]),
  // The limit counts the endings.
  ofLength: (bytes) => ["250-a", `250 ${ascii(bytes - 13)}`]
})

laws(
  "aggregate, of frames behind their length",
  Codec.aggregate(Codec.lengthPrefixed({ bytes: 2, maxLength: 100 }), { isLast: (_, index) => index === 1 }),
  Arbitrary.map(bytesOf(anyByte, 6), (bytes) => [bytes, bytes] as const),
  {}
)

describe("aggregate", () => {
  const replies = (maxLength?: number) =>
    Codec.lines({ ending: "\r\n", maxLength: 12 }).pipe(Codec.aggregate({ isLast: isReplyEnd, maxLength }))
  const refused = (limit: number, excerpt: string) => new Codec.FrameTooLarge({ limit, excerpt, fault: "peer" })

  it("the parts stay unread until the last one is there", () => {
    const feed = new Feed(replies())
    feed.input.push(utf8("250-a\r\n250-b\r\n25"))
    feed.drain()
    expect([feed.frames, feed.input.length]).toEqual([[], 16])
    feed.input.push(utf8("0 c\r\n2"))
    feed.drain()
    expect([feed.frames, feed.input.length]).toEqual([[["250-a", "250-b", "250 c"]], 1])
  })

  it("the whole may have as many bytes as it is told, and not one more", () => {
    const bytes = utf8("250-a\r\n250 b\r\n")
    for (const pieces of [...splits(bytes), [bytes]]) {
      expect(decodePieces(replies(14), pieces).frames).toEqual([["250-a", "250 b"]])
      expect(decodePieces(replies(13), pieces).error).toEqual(refused(13, "\"250-a\\r\\n250 b\\r\"…"))
    }
    expect(Codec.encodeAll(replies(14), [["250-a", "250 b"]])).toEqual(bytes)
    expect(() => Codec.encodeAll(replies(13), [["250-a", "250 b"]])).toThrow("limit of 13 bytes")
  })

  it("each part keeps the limit of its codec", () => {
    const tooLong = utf8(`250-a\r\n250-${ascii(9)}`)
    for (const pieces of splits(tooLong)) {
      expect(decodePieces(replies(), pieces).error).toEqual(refused(12, `"250-${ascii(8)}"…`))
    }
    expect(decodePieces(replies(), [utf8(`250-a\r\n250 ${ascii(8)}\r\n`)]).frames.length).toBe(1)
  })

  it("64 KiB are the limit of the whole unless told otherwise", () => {
    const bytes = (parts: number) => utf8("250-aa\r\n".repeat(parts) + "250 aa\r\n")
    expect(decodePieces(replies(), [bytes(8191)]).frames[0].length).toBe(8192)
    expect(decodePieces(replies(), [bytes(8192)]).error).toMatchObject({ _tag: "FrameTooLarge", limit: 65_536 })
  })

  it("what the other side would take for something else is not sent", () => {
    expect(() => Codec.encodeAll(replies(), [["250-a"]])).toThrow("the last frame does not end it")
    expect(() => Codec.encodeAll(replies(), [["250-a", "250 b", "250 c"]])).toThrow(
      "frame 1 ends it, and 1 come behind"
    )
    expect(() => Codec.encodeAll(replies(), [["250-a", "250 b\r\n"]])).toThrow("a line must not contain its ending")
  })

  it("is a secret where one of its parts is", () => {
    const lines = Codec.lines()
    const codec = Codec.aggregate(
      Codec.make<string>({
        decoder: () => {
          const decoder = lines.decoder()
          return {
            decode: (input) => decoder.decode(input),
            isSecret: (input) => input.length > 0 && input.at(0) === 0x21
          }
        },
        encode: lines.encode
      }),
      { isLast: (line) => line === "" }
    )
    const decoder = codec.decoder()
    const input = new ByteBuffer()
    const secretAfter = (said: string) => {
      input.push(utf8(said))
      decoder.decode(input)
      return decoder.isSecret?.(input)
    }
    expect(secretAfter("a\n")).toBe(false)
    expect(secretAfter("!b")).toBe(true)
    expect(secretAfter("\nc\n")).toBe(true)
    expect(secretAfter("\nd\n")).toBe(false)
  })
})

describe("decodeAll and encodeAll", () => {
  it("throw the error of a frame that cannot be", () => {
    expect(() => Codec.decodeAll(Codec.lines({ maxLength: 1 }), utf8("ab\n"))).toThrow(Codec.FrameTooLarge)
    expect(() => Codec.encodeAll(Codec.lines(), ["a", "\n"])).toThrow(Codec.MalformedFrame)
  })
})

describe("errors", () => {
  it("say what is wrong in one line", () => {
    expect(decodeText(Codec.lines({ maxLength: 2 }), "abc").error?.message).toBe(
      "a frame that begins with \"ab\"… is longer than the limit of 2 bytes"
    )
    expect(encodeError(Codec.lines(), "a\nb")?.message).toBe("a line must not contain its ending \"\\n\": \"a\\nb\"")
  })

  it("are decoded from what they were encoded to", () => {
    const error = new Codec.FrameTooLarge({ limit: 2, excerpt: "\"ab\"…", fault: "peer" })
    const schema = Schema.toCodecJson(Codec.FrameTooLarge)
    const again = Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(error))))
    expect(again).toBeInstanceOf(Codec.FrameTooLarge)
    expect({ ...again }).toEqual({ ...error })
  })
})
