import { describe, expect, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import { closedByPeer, closedHere, errorOf, Frames, Inbox } from "../../../src/internal/connection/inbox.ts"
import { copiedDuring } from "../../support/codecs.ts"
import { cutInto, join, utf8 } from "../../support/conversation.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

// Line ends are frequent, and so are bytes that are no UTF-8, or only together.
const Said = Schema.Array(Schema.Literals([0x0a, 0x61, 0x61, 0x0d, 0xc3, 0xa9, 0xff])).check(Schema.isMaxLength(60))
const Lengths = Schema.Array(between(1, 9)).check(Schema.isMinLength(1), Schema.isMaxLength(5))

const lines = Codec.lines({ maxLength: 6 })

/** What comes of these pieces and an end, in batches of at most `max`, or one at a time. */
const received = (pieces: ReadonlyArray<Uint8Array>, max: number | undefined, codec = lines) => {
  const inbox = new Inbox()
  const frames = new Frames(inbox, codec.decoder())
  const taken: Array<string> = []
  // Returns why there will be no more, or undefined where more bytes are needed.
  const drain = () => {
    for (;;) {
      if (max === undefined) {
        const exit = frames.next()
        if (exit === undefined) return undefined
        if (Exit.isFailure(exit)) return errorOf(Exit.failCause(exit.cause))
        taken.push(exit.value)
      } else {
        const batch = frames.nextAll(max)
        if (Exit.isExit(batch)) return errorOf(batch)
        if (batch.length === 0) return undefined
        expect(batch.length).toBeLessThanOrEqual(max)
        taken.push(...batch)
      }
    }
  }
  for (const piece of pieces) {
    inbox.push(piece)
    const error = drain()
    if (error !== undefined) return { taken, error: { ...error.reason }, tag: error.reason._tag }
  }
  inbox.finish(closedByPeer)
  const end = drain()
  return { taken, error: { ...end?.reason }, tag: end?.reason._tag }
}

// Whole characters, some of which have bytes that are line ends in part, and what is none of either.
const Words = Schema.Array(
  Schema.Literals(["\n", "\r", "\r\n", "a", "bc", "é", "馬", "🐎", "\ufeff", "\ufffd", "wrong"])
).check(Schema.isMaxLength(40))

const bytesOf = (words: typeof Words.Type): Uint8Array =>
  join(words.map((word) => word === "wrong" ? Uint8Array.of(0xe9, 0xa6) : utf8(word)))

describe("nextAll", () => {
  for (const ending of ["\n", "\r\n", "馬", "\n\n"]) {
    it.prop(
      `mixed with next gives what next gives alone and leaves the same bytes, for lines that end with ${
        JSON.stringify(ending)
      }`,
      { said: Words, lengths: Lengths, takes: Schema.Array(between(0, 4)).check(Schema.isMinLength(1)) },
      ({ lengths, said, takes }) => {
        const bytes = bytesOf(said)
        const codec = Codec.lines({ maxLength: 12, ending })
        const expected = received([bytes], undefined, codec)
        const inbox = new Inbox()
        const frames = new Frames(inbox, codec.decoder())
        const taken: Array<string> = []
        let turn = 0
        for (const piece of cutInto(lengths)(bytes)) {
          inbox.push(piece)
          for (;;) {
            const max = takes[turn++ % takes.length]
            const batch = max === 0 ? undefined : frames.nextAll(max)
            if (Exit.isExit(batch)) return expect(taken).toEqual(expected.taken)
            const one = batch === undefined || batch.length === 0 ? frames.next() : undefined
            if (one !== undefined && Exit.isFailure(one)) return expect(taken).toEqual(expected.taken)
            const got = one === undefined ? batch ?? [] : [one.value]
            if (got.length === 0) break
            taken.push(...got)
            // It may have failed behind them already, and then what is unread is nobody's.
            if (taken.length === expected.taken.length && expected.tag === "MalformedFrame") continue
            // Whatever was decoded ahead, nothing is missing from what another codec finds.
            const size = taken.reduce((size, line) => size + utf8(line + ending).length, 0)
            expect(inbox.unread.consumed).toBe(size)
            expect([...inbox.unread.peek(0, inbox.unread.length)]).toEqual(
              [...bytes.subarray(size, size + inbox.unread.length)]
            )
          }
        }
        expect(taken).toEqual(expected.taken)
      },
      { arbitrary: { runs: 300 } }
    )
  }

  it("leaves the bytes of the lines that it did not give to the next codec", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, Codec.lines().decoder())
    inbox.push(utf8("é\n馬\nc\nd\n\u0001\u0002"))
    expect(frames.nextAll(2)).toEqual(["é", "馬"])
    expect(frames.next()).toEqual(Exit.succeed("c"))
    const next = new Frames(inbox, Codec.fixed(2).decoder())
    expect(next.nextAll(Infinity)).toEqual([utf8("d\n"), utf8("\u0001\u0002")])
  })

  it("leaves the end behind the last frame for the next call", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, Codec.lines().decoder())
    inbox.push(utf8("a\nb\n"))
    inbox.finish(closedByPeer)
    expect(frames.nextAll(Infinity)).toEqual(["a", "b"])
    expect(frames.nextAll(Infinity)).toEqual(Exit.fail(closedByPeer))
  })

  it("takes no frame beyond the byte limit, and the one that ends at it", () => {
    const inbox = new Inbox()
    inbox.byteLimit = 4
    const frames = new Frames(inbox, Codec.lines().decoder())
    inbox.push(utf8("a\nb\nc\n"))
    expect(frames.nextAll(Infinity)).toEqual(["a", "b"])
    const exit = frames.nextAll(Infinity)
    expect(Exit.isExit(exit) && errorOf(exit)?.reason).toMatchObject({ _tag: "FrameTooLarge", limit: 4 })
  })

  it("takes nothing from a connection that is closed on this side", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, Codec.lines().decoder())
    inbox.push(utf8("a\nb\n"))
    inbox.closed = true
    expect(frames.nextAll(Infinity)).toEqual(Exit.fail(closedHere))
    expect(inbox.unread.length).toBe(4)
  })

  it("takes the last lines before one that is too long, and then fails", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, lines.decoder())
    inbox.push(utf8("éé\n馬馬\n馬馬x\nb\n"))
    expect(frames.nextAll(Infinity)).toEqual(["éé", "馬馬"])
    const exit = frames.nextAll(Infinity)
    expect(Exit.isExit(exit) && errorOf(exit)?.reason).toMatchObject({ _tag: "FrameTooLarge", limit: 6 })
  })

  it("takes the lines before bytes that are not UTF-8, and then fails", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, lines.decoder())
    inbox.push(join([utf8("a\n\ufffd\n"), Uint8Array.of(0x62, 0xff, 0x0a), utf8("c\n")]))
    expect(frames.nextAll(Infinity)).toEqual(["a", "\ufffd"])
    const exit = frames.nextAll(Infinity)
    expect(Exit.isExit(exit) && errorOf(exit)?.reason).toMatchObject({ _tag: "MalformedFrame", excerpt: "\"b\\xff\"" })
  })

  it("a long line in large pieces is decoded without copying its bytes", () => {
    const codec = Codec.lines({ maxLength: 2 ** 20 })
    const inbox = new Inbox()
    const frames = new Frames(inbox, codec.decoder())
    const bytes = utf8(`${"é".repeat(2 ** 19)}\n${"é".repeat(2 ** 19)}\nab`)
    const taken: Array<string> = []
    const copied = copiedDuring(() => {
      for (const piece of cutInto([65_535])(bytes)) {
        inbox.push(piece)
        const batch = frames.nextAll(Infinity)
        if (!Exit.isExit(batch)) taken.push(...batch)
      }
    })
    expect(taken).toEqual(["é".repeat(2 ** 19), "é".repeat(2 ** 19)])
    expect(inbox.unread.length).toBe(2)
    expect(copied).toBe(0)
  })

  it("what is not copied is measured by what is", () => {
    const inbox = new Inbox()
    for (const piece of cutInto([65_535])(new Uint8Array(2 ** 20))) inbox.push(piece)
    expect(copiedDuring(() => inbox.unread.take(2 ** 20))).toBe(2 ** 20)
  })

  it.prop(
    "takes the frames that next takes one by one, and fails as it does, however the bytes are cut",
    { said: Said, lengths: Lengths, max: between(1, 5) },
    ({ lengths, max, said }) => {
      const bytes = Uint8Array.from(said)
      const expected = received([bytes], undefined)
      expect(received([bytes], max)).toEqual(expected)
      expect(received(cutInto(lengths)(bytes), max)).toEqual(expected)
      expect(received(cutInto(lengths)(bytes), undefined)).toEqual(expected)
    },
    { arbitrary: { runs: 400 } }
  )

  it("leaves the frames that were given back to the order in which they came", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, lines.decoder())
    inbox.push(utf8("a\nb\nc\n"))
    expect(frames.next()).toEqual(Exit.succeed("a"))
    frames.giveBack([{ frame: "a", bytes: undefined }])
    expect(frames.nextAll(Infinity)).toEqual(["a", "b", "c"])
  })

  it("what a decoder throws at in a whole chunk is malformed, and stays so", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, {
      decode: () => undefined,
      decodeMany: () => {
        throw new Error("a bug")
      }
    })
    inbox.push(utf8("x"))
    const exit = frames.nextAll(1)
    expect(exit).toMatchObject({
      _tag: "Failure",
      cause: { reasons: [{ error: { reason: { _tag: "MalformedFrame", problem: "the codec threw Error: a bug" } } }] }
    })
    expect(frames.next()).toBe(exit)
  })
})
