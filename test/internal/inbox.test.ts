import { describe, expect, it } from "@effect/vitest"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import { closedByPeer, errorOf, Frames, Inbox } from "../../src/internal/inbox.ts"
import { cutInto, utf8 } from "../support/conversation.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

// Line ends are frequent, and so are bytes that are no UTF-8, or only together.
const Said = Schema.Array(Schema.Literals([0x0a, 0x61, 0x61, 0x0d, 0xc3, 0xa9, 0xff])).check(Schema.isMaxLength(60))
const Lengths = Schema.Array(between(1, 9)).check(Schema.isMinLength(1), Schema.isMaxLength(5))

const lines = Codec.lines({ maxLength: 6 })

/** What comes of these pieces and an end, in batches of at most `max`, or one at a time. */
const received = (pieces: ReadonlyArray<Uint8Array>, max: number | undefined) => {
  const inbox = new Inbox()
  const frames = new Frames(inbox, lines.decoder())
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
    if (error !== undefined) return { taken, error: { ...error.reason } }
  }
  inbox.finish(closedByPeer)
  return { taken, error: { ...drain()?.reason } }
}

describe("nextAll", () => {
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

  it("a decoder that throws on a whole chunk is a defect", () => {
    const inbox = new Inbox()
    const frames = new Frames(inbox, {
      decode: () => undefined,
      decodeMany: () => {
        throw new Error("a bug")
      }
    })
    inbox.push(utf8("x"))
    const exit = frames.nextAll(1)
    expect(Exit.isExit(exit) && Exit.hasDies(exit)).toBe(true)
  })
})
