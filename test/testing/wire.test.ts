import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { type Rules, type Strike, Wire } from "../../src/testing/internal/wire.ts"
import { join, text, utf8 } from "../support/conversation.ts"

const ideal: Rules = {
  segment: () => Infinity,
  travel: () => 0,
  rate: Infinity,
  sendBuffer: 64,
  receiveBuffer: 64,
  strikes: []
}

/** A wire, and what it has told, with the time. */
const wireOf = (rules: Partial<Rules>) => {
  const told: Array<string> = []
  const wire = new Wire({ ...ideal, ...rules }, {
    onSegment: (length, at) => told.push(`${at}: ${length} bytes`),
    onEnd: (at) => told.push(`${at}: end`),
    onReset: (losing, struck, at) => told.push(`${at}: reset${losing ? ", losing" : ""}${struck ? ", struck" : ""}`),
    onStall: (at) => told.push(`${at}: stall`),
    onUnwanted: (at) => told.push(`${at}: unwanted`)
  })
  wire.open(0)
  return {
    wire,
    told,
    write: (said: string, now = 0) => {
      wire.advance(now)
      wire.write(utf8(said), now)
    },
    take: (now = 0) => {
      const bytes = wire.take(now)
      return bytes === undefined ? undefined : text(bytes)
    }
  }
}

/** Gives out these lengths, over and over. */
const cycling = (lengths: ReadonlyArray<number>) => {
  let i = 0
  return () => lengths[i++ % lengths.length]
}

const strike = (after: number, how: Strike["how"], lasts = Infinity): Strike => ({ after, how, lasts })

describe("segments", () => {
  it("join what waits to be taken", () => {
    const { take, write } = wireOf({})
    write("one")
    write("two")
    expect([take(), take()]).toEqual(["onetwo", undefined])
  })

  it("are as long as they are drawn, where there is enough to fill them", () => {
    const { take, write } = wireOf({ segment: cycling([2, 3]) })
    write("abcdefghijk")
    expect([take(), take(), take(), take(), take(), take()]).toEqual(["ab", "cde", "fg", "hij", "k", undefined])
  })

  it("take in what comes before they are taken, up to that length", () => {
    const { take, write } = wireOf({ segment: cycling([4, 2]) })
    write("abc")
    write("def")
    expect([take(), take()]).toEqual(["abcd", "ef"])
    write("g")
    expect(take()).toBe("g")
    write("hi")
    expect(take()).toBe("hi")
  })

  it("do not join what travels apart", () => {
    const { take, told, wire, write } = wireOf({ travel: () => 10 })
    write("abc", 0)
    write("def", 5)
    wire.advance(10)
    expect(take(10)).toBe("abc")
    wire.advance(15)
    expect(take(15)).toBe("def")
    expect(told).toEqual(["10: 3 bytes", "15: 3 bytes"])
  })
})

describe("time", () => {
  it("passes while a segment travels, to the millisecond", () => {
    const { take, wire, write } = wireOf({ travel: () => 10 })
    write("abc", 5)
    expect(wire.due).toBe(15)
    wire.advance(14.999)
    expect(take(14.999)).toBeUndefined()
    wire.advance(15)
    expect(take(15)).toBe("abc")
    expect(wire.due).toBe(Infinity)
  })

  it("passes while a segment is sent, and what is written meanwhile travels together", () => {
    const { told, wire, write } = wireOf({ rate: 2, travel: () => 100 })
    write("abcd", 0)
    write("ef", 1)
    write("gh", 1.5)
    wire.advance(1000)
    expect(told).toEqual(["102: 4 bytes", "104: 4 bytes"])
  })

  it("does not let one segment overtake another", () => {
    const { told, wire, write } = wireOf({ travel: cycling([50, 10, 60]) })
    write("a", 0)
    write("bb", 1)
    write("ccc", 2)
    wire.advance(1000)
    expect(told).toEqual(["50: 1 bytes", "50: 2 bytes", "62: 3 bytes"])
  })

  it("is the same whether it passes in one step or in many", () => {
    const run = (step: number) => {
      const { told, wire, write } = wireOf({ segment: cycling([3, 1]), rate: 0.5, travel: cycling([7, 2, 5]) })
      write("abcdefghijklmnop", 0)
      wire.end(0)
      for (let now = 0; now <= 100; now += step) wire.advance(now)
      return told
    }
    expect(run(1)).toEqual(run(100))
    expect(run(1).at(-1)).toMatch(/end$/)
  })

  it("passes for an end as for bytes", () => {
    const { told, wire, write } = wireOf({ travel: () => 10 })
    write("abc", 0)
    wire.end(4)
    wire.advance(100)
    expect(told).toEqual(["10: 3 bytes", "14: end"])
  })
})

describe("buffers", () => {
  it("hold as much as the receiver has room for, then as much as the sender has", () => {
    const { take, wire, write } = wireOf({ receiveBuffer: 4, sendBuffer: 3 })
    write("abcd")
    expect([wire.received, wire.queued, wire.isFull]).toEqual([4, 0, false])
    write("ef")
    expect([wire.received, wire.queued, wire.isFull]).toEqual([4, 2, false])
    write("g")
    expect([wire.received, wire.queued, wire.isFull]).toEqual([4, 3, true])
    expect(take()).toBe("abcd")
    expect([wire.received, wire.queued, wire.isFull]).toEqual([3, 0, false])
  })

  it("count what is in flight as the receiver's", () => {
    const { take, told, wire, write } = wireOf({ receiveBuffer: 4, travel: () => 10 })
    write("abcdef", 0)
    wire.advance(10)
    expect([told, wire.queued]).toEqual([["10: 4 bytes"], 2])
    expect(take(30)).toBe("abcd")
    wire.advance(100)
    expect(told).toEqual(["10: 4 bytes", "40: 2 bytes"])
  })

  it("are not in the way of an end, but bytes before it are", () => {
    const { take, told, wire, write } = wireOf({ receiveBuffer: 2 })
    write("ab")
    write("c")
    wire.end(0)
    expect(told).toEqual(["0: 2 bytes"])
    take()
    expect(told).toEqual(["0: 2 bytes", "0: 1 bytes", "0: end"])
  })

  it("take a write of no bytes for none", () => {
    const { told, wire, write } = wireOf({ sendBuffer: 0 })
    write("")
    expect([told, wire.isFull]).toEqual([[], false])
  })
})

describe("the ends", () => {
  it("an end comes once, behind the bytes, and nothing behind it", () => {
    const { take, told, wire, write } = wireOf({})
    write("abc")
    wire.end(0)
    wire.end(0)
    write("def")
    expect(told).toEqual(["0: 3 bytes", "0: end"])
    expect([take(), take()]).toEqual(["abc", undefined])
  })

  it("a reset loses what has not departed, and comes behind what has", () => {
    const { told, wire, write } = wireOf({ receiveBuffer: 2, travel: () => 10 })
    write("abcd", 0)
    wire.abort(true, 1)
    wire.abort(true, 1)
    expect(wire.queued).toBe(0)
    wire.advance(100)
    expect(told).toEqual(["10: 2 bytes", "11: reset, losing"])
  })

  it("a reset may follow an end", () => {
    const { told, wire } = wireOf({})
    wire.end(0)
    wire.abort(false, 0)
    expect(told).toEqual(["0: end", "0: reset"])
  })

  it("a cut sends nothing more", () => {
    const { told, wire, write } = wireOf({ receiveBuffer: 2 })
    write("abcd")
    wire.cut()
    wire.end(0)
    wire.abort(true, 0)
    expect([told, wire.queued]).toEqual([["0: 2 bytes"], 0])
  })

  it("what is forgotten is not sent, and the end comes all the same", () => {
    const { told, wire, write } = wireOf({ receiveBuffer: 2 })
    write("abcd")
    wire.end(0)
    wire.forget()
    wire.end(0)
    expect(told).toEqual(["0: 2 bytes", "0: end"])
  })

  it("a receiver that is closed tells what it does not want, and still gives out what it has", () => {
    const { take, told, wire, write } = wireOf({ receiveBuffer: 2 })
    write("abcd")
    wire.close()
    wire.advance(0)
    expect(told).toEqual(["0: 2 bytes", "0: unwanted"])
    expect([take(), take()]).toEqual(["ab", undefined])
  })

  it("what is dropped is lost, and makes room", () => {
    const { take, wire, write } = wireOf({ receiveBuffer: 2 })
    write("abcd")
    wire.drop()
    wire.advance(0)
    expect(take()).toBe("cd")
  })
})

describe("faults", () => {
  const said = "abcdefghij"

  for (const how of ["end", "reset", "resetLosing"] as const) {
    it(`strike behind exactly so many bytes, however they are cut: ${how}`, () => {
      for (let after = 0; after <= said.length; after++) {
        for (const lengths of [[1], [2, 3], [Infinity]]) {
          const { take, told, wire, write } = wireOf({ segment: cycling(lengths), strikes: [strike(after, how)] })
          write(said)
          wire.end(0)
          let taken = ""
          for (let bytes = take(); bytes !== undefined; bytes = take()) taken += bytes
          expect(taken).toBe(said.slice(0, after))
          const last = { end: "0: end", reset: "0: reset, struck", resetLosing: "0: reset, losing, struck" }[how]
          expect(told.find((line) => !line.endsWith("bytes"))).toBe(last)
        }
      }
    })
  }

  it("do not strike before their byte", () => {
    const { told, write } = wireOf({ strikes: [strike(4, "end")] })
    write("abc")
    expect(told).toEqual(["0: 3 bytes"])
    write("d")
    expect(told).toEqual(["0: 3 bytes", "0: 1 bytes", "0: end"])
  })

  it("lose what comes behind a cut, and never tell the sender", () => {
    const { told, wire, write } = wireOf({ receiveBuffer: 4, strikes: [strike(2, "end")] })
    for (let i = 0; i < 10; i++) write("abcd")
    wire.abort(true, 0)
    expect(told).toEqual(["0: 2 bytes", "0: end", "0: reset, losing"])
    expect(wire.held).toBe(2)
  })

  it("stall everything, an end too", () => {
    const { told, wire, write } = wireOf({ strikes: [strike(2, "stall")] })
    write("abcd")
    wire.end(0)
    wire.advance(1e9)
    expect([told, wire.due]).toEqual([["0: 2 bytes", "0: stall"], Infinity])
  })

  it("fill the buffers of both while they stall", () => {
    const { wire, write } = wireOf({ receiveBuffer: 4, sendBuffer: 4, strikes: [strike(0, "stall")] })
    write("abcdefgh")
    expect([wire.held, wire.queued, wire.isFull]).toEqual([8, 4, true])
  })

  it("stall for a while", () => {
    const { told, wire, write } = wireOf({ travel: () => 5, strikes: [strike(2, "stall", 100)] })
    write("abcd", 0)
    write("ef", 50)
    write("gh", 102)
    wire.advance(1000)
    expect(told).toEqual(["5: 2 bytes", "5: stall", "105: 2 bytes", "105: 2 bytes", "107: 2 bytes"])
  })

  it("strike one behind the other, a stall first where it comes first", () => {
    const { told, wire, write } = wireOf({ strikes: [strike(2, "stall", 100), strike(2, "reset")] })
    write("ab", 0)
    wire.advance(99)
    expect(told).toEqual(["0: 2 bytes", "0: stall"])
    wire.advance(1000)
    expect(told).toEqual(["0: 2 bytes", "0: stall", "100: reset, struck"])
  })
})

const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const positive = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))
const cycle = <S extends Schema.Schema<number>>(item: S) =>
  Schema.Array(item).check(Schema.isMinLength(1), Schema.isMaxLength(5))

const Situation = {
  lengths: cycle(positive(12)),
  travels: cycle(small(20)),
  /** None is no limit. */
  rate: small(5),
  sendBuffer: positive(30),
  receiveBuffer: positive(30),
  steps: Schema.Array(
    Schema.Union([
      Schema.Struct({ write: small(40) }),
      Schema.Struct({ take: small(3) }),
      Schema.Struct({ wait: small(30) })
    ])
  ).check(Schema.isMaxLength(40))
}

describe("whatever the conditions", () => {
  it.prop(
    "all bytes arrive in order, in segments that are not too long, and few are held",
    Situation,
    ({ lengths, rate, receiveBuffer, sendBuffer, steps, travels }) => {
      const { told, wire } = wireOf({
        segment: cycling(lengths),
        travel: cycling(travels),
        rate: rate === 0 ? Infinity : rate,
        sendBuffer,
        receiveBuffer
      })
      const longest = Math.max(...lengths)
      const written: Array<Uint8Array> = []
      const taken: Array<Uint8Array> = []
      let now = 0
      let count = 0
      const take = () => {
        const bytes = wire.take(now)
        if (bytes === undefined) return
        expect(bytes.length).toBeGreaterThan(0)
        expect(bytes.length).toBeLessThanOrEqual(longest)
        taken.push(bytes)
      }
      for (const step of steps) {
        if ("wait" in step) now += step.wait
        wire.advance(now)
        if ("take" in step) { for (let i = 0; i < step.take; i++) take() }
        if (!("write" in step) || wire.isFull) continue
        const before = wire.held
        const bytes = Uint8Array.from({ length: step.write }, () => count++)
        written.push(bytes)
        wire.write(bytes, now)
        expect(wire.held).toBe(before + bytes.length)
        expect(before).toBeLessThan(receiveBuffer + sendBuffer)
        expect(wire.held - wire.queued).toBeLessThanOrEqual(receiveBuffer)
      }
      wire.end(now)
      while (wire.due < Infinity || wire.received > 0) {
        now = Math.max(now, Math.min(wire.due, now + 1000))
        wire.advance(now)
        take()
      }
      expect(join(taken)).toEqual(join(written))
      expect(told.at(-1)).toMatch(/end$/)
      expect(wire.held).toBe(0)
    },
    { arbitrary: { runs: 300 } }
  )
})
