import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { ByteBuffer, ByteWriter, concat, utf8Length } from "../../src/internal/bytes.ts"
import { copiedDuring } from "../support/codecs.ts"
import { utf8 } from "../support/conversation.ts"

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

describe("concat", () => {
  it("bytes stand one behind the other", () => {
    expect([...concat([Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3)])]).toEqual([1, 2, 3])
    expect([...concat([])]).toEqual([])
  })
})

describe("utf8Length", () => {
  it.prop("is the number of bytes that a text takes", [Schema.String], ([said]) => {
    expect(utf8Length(said)).toBe(Buffer.byteLength(said))
  }, runs)
})
