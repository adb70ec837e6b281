import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { ByteBuffer } from "../../../src/internal/bytes/buffer.ts"
import { copiedDuring } from "../../support/codecs.ts"
import { cutInto, join, utf8 } from "../../support/conversation.ts"

const runs = { arbitrary: { runs: 200 } }

/** Bytes that count up, so that each can be told from its neighbours. */
const counting = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => from + i)

const Size = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 90 }))

const all = (buffer: ByteBuffer): Array<number> => [...buffer.peek(0, buffer.length)]

describe("ByteBuffer", () => {
  it.prop(
    "is a queue of bytes, whatever is pushed, taken, skipped and put back",
    [
      Schema.Array(Schema.Tuple([Schema.Literals(["push", "take", "skip", "unshift"]), Size])).check(
        Schema.isMaxLength(40)
      )
    ],
    ([steps]) => {
      const buffer = new ByteBuffer()
      let model: Array<number> = []
      let next = 0
      let consumed = 0
      // Every view that was handed out, with what it must stay.
      const views: Array<readonly [Uint8Array, ReadonlyArray<number>]> = []
      for (const [step, size] of steps) {
        const length = Math.min(size, model.length)
        switch (step) {
          case "push":
            buffer.push(counting(next, size))
            model.push(...counting(next, size))
            next += size
            break
          case "take":
            views.push([buffer.take(length), model.slice(0, length)])
            model = model.slice(length)
            consumed += length
            break
          case "skip":
            buffer.skip(length)
            model = model.slice(length)
            consumed += length
            break
          case "unshift": {
            const bytes = counting(next, size)
            next += size
            buffer.unshift(bytes)
            model = [...bytes, ...model]
            consumed -= size
            break
          }
        }
        expect(buffer.length).toBe(model.length)
        expect(buffer.consumed).toBe(consumed)
        expect(all(buffer)).toEqual(model)
        views.push([buffer.peek(0, buffer.length), model.slice()])
        if (model.length > 0) {
          const wanted = model[model.length - 1]
          const from = length % model.length
          expect(buffer.at(from)).toBe(model[from])
          expect(buffer.indexOf(wanted, from)).toBe(model.indexOf(wanted, from))
          const first = model[0]
          const window = model.slice(from, model.length - 1)
          const last = window.lastIndexOf(first)
          expect(buffer.lastIndexOf(first, from, Math.max(from, model.length - 1))).toBe(last === -1 ? -1 : from + last)
        }
      }
      for (const [view, was] of views) expect([...view]).toEqual(was)
    },
    runs
  )

  it("a byte behind the unread ones is not found", () => {
    const buffer = new ByteBuffer()
    buffer.push(Uint8Array.of(1))
    buffer.push(Uint8Array.of(2))
    // The storage behind is zeroes.
    expect(buffer.indexOf(0, 0)).toBe(-1)
    expect(buffer.indexOf(2, 2)).toBe(-1)
  })

  it("a byte that was taken is not found", () => {
    const buffer = new ByteBuffer()
    buffer.push(Uint8Array.of(1, 2, 3))
    buffer.skip(1)
    expect(buffer.indexOf(1, 0)).toBe(-1)
    expect(buffer.indexOf(3, 0)).toBe(1)
  })

  it.each([1024, 1025])("shows %d bytes over the seam of two chunks, and takes them behind that", (length) => {
    const buffer = new ByteBuffer()
    const bytes = counting(0, 3000)
    buffer.push(bytes.subarray(0, 1500))
    buffer.push(bytes.subarray(1500))
    buffer.skip(700)
    expect(buffer.peek(100, 100 + length)).toEqual(bytes.slice(800, 800 + length))
    expect(buffer.take(2000)).toEqual(bytes.slice(700, 2700))
  })

  it("a view stays valid when more is pushed behind it", () => {
    const buffer = new ByteBuffer()
    buffer.push(counting(0, 3))
    buffer.push(counting(3, 3))
    const taken = buffer.take(4)
    const seen = buffer.peek(0, 2)
    for (let i = 0; i < 100; i++) buffer.push(counting(100, 50))
    buffer.take(buffer.length)
    buffer.push(counting(200, 50))
    buffer.push(counting(200, 50))
    expect([...taken]).toEqual([0, 1, 2, 3])
    expect([...seen]).toEqual([4, 5])
  })

  it("a chunk that was pushed is never written", () => {
    const buffer = new ByteBuffer()
    // A chunk may be a part of something larger, as Node's pooled buffers are.
    const pool = counting(0, 20)
    buffer.push(pool.subarray(5, 10))
    buffer.push(Uint8Array.of(99, 99, 99))
    buffer.unshift(Uint8Array.of(98))
    buffer.push(Uint8Array.of(99))
    expect([...pool]).toEqual([...counting(0, 20)])
  })

  it("bytes that are put back come again, in front of the rest", () => {
    const buffer = new ByteBuffer()
    buffer.push(counting(0, 6))
    const taken = buffer.take(4)
    buffer.unshift(taken)
    expect(buffer.consumed).toBe(0)
    expect([...buffer.take(6)]).toEqual([0, 1, 2, 3, 4, 5])
  })

  it("bytes that are put back into an empty buffer may be followed by more", () => {
    const buffer = new ByteBuffer()
    buffer.push(counting(0, 3))
    buffer.unshift(buffer.take(3))
    buffer.push(counting(3, 3))
    expect(all(buffer)).toEqual([0, 1, 2, 3, 4, 5])
  })

  it("a chunk that finds the buffer empty is not copied", () => {
    const buffer = new ByteBuffer()
    const copied = copiedDuring(() => {
      for (let i = 0; i < 10; i++) {
        buffer.push(counting(0, 100))
        buffer.take(100)
      }
    })
    expect(copied).toBe(0)
  })

  for (const total of [1000, 8000, 64_000]) {
    it(`growing byte by byte to ${total} bytes copies a constant per byte`, () => {
      const buffer = new ByteBuffer()
      const one = Uint8Array.of(1)
      const copied = copiedDuring(() => {
        for (let i = 0; i < total; i++) buffer.push(one)
      })
      expect(buffer.length).toBe(total)
      expect(copied).toBeLessThanOrEqual(3 * total)
    })

    it(`a queue that always holds something copies a constant per byte of ${total}`, () => {
      const buffer = new ByteBuffer()
      const chunk = new Uint8Array(7)
      const copied = copiedDuring(() => {
        for (let i = 0; i < total; i += 7) {
          buffer.push(chunk)
          if (buffer.length > 500) buffer.take(7)
        }
      })
      expect(copied).toBeLessThanOrEqual(4 * total)
    })
  }
})

// What UTF-8 can be, and what it cannot: an overlong sequence, half a surrogate pair, one that is beyond the last.
const characters = ["a", "\n", "é", "馬", "🐎", "\ufeff", "\ufffd", "\u07ff", "\u0800", "\uffff", "\u{10ffff}"].map(
  utf8
)
const noCharacters = [[0xc0, 0x8a], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0x80], [0xff], [0xf0, 0x9f]]
  .map((bytes) => Uint8Array.from(bytes))

/** The text of bytes, found in the obvious way. */
const strictly = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const piecesOf = (pieces: ReadonlyArray<Uint8Array>): ByteBuffer => {
  const buffer = new ByteBuffer()
  for (const piece of pieces) buffer.push(piece)
  return buffer
}

describe("the text of bytes", () => {
  for (const [what, parts] of [["text", characters], ["text or not", [...characters, ...noCharacters]]] as const) {
    it.prop(
      `is what a strict decoder makes of ${what}, wherever it is cut`,
      {
        said: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: parts.length - 1 }))).check(
          Schema.isMaxLength(12)
        ),
        lengths: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 7 }))).check(
          Schema.isMinLength(1),
          Schema.isMaxLength(4)
        ),
        skipped: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
      },
      ({ lengths, said, skipped }) => {
        const bytes = join(said.map((i) => parts[i]))
        const buffer = piecesOf(cutInto(lengths)(bytes))
        const from = Math.min(skipped, bytes.length)
        buffer.skip(from)
        for (let to = from; to <= bytes.length; to++) {
          expect(buffer.text(0, to - from)).toBe(strictly(bytes.subarray(from, to)))
        }
        for (let begin = from; begin <= bytes.length; begin++) {
          expect(buffer.text(begin - from, buffer.length)).toBe(strictly(bytes.subarray(begin)))
        }
      },
      runs
    )
  }

  for (const character of characters) {
    it(`may be cut within ${JSON.stringify(strictly(character))}`, () => {
      const bytes = join([utf8("a"), character, character, utf8("b")])
      for (let i = 0; i <= bytes.length; i++) {
        for (let j = i; j <= bytes.length; j++) {
          const pieces = [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]
          expect(piecesOf(pieces).text(0, bytes.length)).toBe(strictly(bytes))
        }
      }
    })
  }

  for (const wrong of noCharacters) {
    it(`is none where they have ${Buffer.from(wrong).toString("hex")}, wherever they are cut`, () => {
      const bytes = join([utf8("aé"), wrong, utf8("b")])
      for (let i = 0; i <= bytes.length; i++) {
        for (let j = i; j <= bytes.length; j++) {
          const pieces = [bytes.subarray(0, i), bytes.subarray(i, j), bytes.subarray(j)]
          expect(piecesOf(pieces).text(0, bytes.length)).toBe(undefined)
        }
      }
    })
  }

  it("in large pieces is made without copying one of them", () => {
    const buffer = piecesOf(Array.from({ length: 10 }, () => new Uint8Array(65_536).fill(0x61)))
    expect(copiedDuring(() => buffer.text(0, buffer.length))).toBe(0)
    expect(buffer.text(0, buffer.length)).toBe("a".repeat(655_360))
  })
})
