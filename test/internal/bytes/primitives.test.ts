import { describe, expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Primitives from "../../../src/internal/bytes/primitives.ts"
import { utf8 } from "../../support/conversation.ts"

const runs = { arbitrary: { runs: 200 } }

describe("what Node has for it", () => {
  it("is used on Node", () => {
    expect(Primitives.decodeUtf8).not.toBe(Primitives.portable.decodeUtf8)
  })

  it("is done without where there is no Node", () => {
    expect(Primitives.choose({})).toBe(Primitives.portable)
  })

  const { byteLength, prototype } = Buffer
  const { indexOf, lastIndexOf } = prototype
  const utf8Slice = function(this: Uint8Array, from: number, to: number): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.subarray(from, to))
  }
  const sound: Primitives.NodeBuffer = { byteLength, prototype: { indexOf, lastIndexOf, utf8Slice } }

  it("is used where it does what is expected", () => {
    expect(Primitives.choose({ Buffer: sound })).not.toBe(Primitives.portable)
  })

  const unsound: Record<string, Primitives.NodeBuffer> = {
    "drops a byte order mark": {
      ...sound,
      prototype: {
        ...sound.prototype,
        utf8Slice(from, to) {
          return new TextDecoder().decode(this.subarray(from, to))
        }
      }
    },
    "reads Latin-1": {
      ...sound,
      prototype: {
        ...sound.prototype,
        utf8Slice(from, to) {
          return Buffer.from(this.subarray(from, to)).toString("latin1")
        }
      }
    },
    "searches from the beginning": {
      ...sound,
      prototype: {
        ...sound.prototype,
        indexOf(byte) {
          return Array.from(this).indexOf(byte)
        }
      }
    },
    "finds the first for the last": { ...sound, prototype: { ...sound.prototype, lastIndexOf: indexOf } },
    "counts characters": { ...sound, byteLength: (text) => text.length },
    "throws": {
      ...sound,
      prototype: {
        ...sound.prototype,
        utf8Slice() {
          throw new TypeError("this is no Buffer")
        }
      }
    }
  }
  for (const [what, other] of Object.entries(unsound)) {
    it(`is done without where it ${what}`, () => {
      expect(Primitives.choose({ Buffer: other })).toBe(Primitives.portable)
    })
  }

  it.prop("does as what every platform has", [Schema.String, Schema.Uint8Array], ([said, bytes]) => {
    expect(Primitives.utf8Length(said)).toBe(Primitives.portable.utf8Length(said))
    for (const these of [bytes, utf8(said)]) {
      expect(Primitives.decodeUtf8(these, 0, these.length)).toBe(Primitives.portable.decodeUtf8(these, 0, these.length))
      for (const byte of [0, 0x61, these[0] ?? 0]) {
        expect(Primitives.indexOf(these, byte, 0)).toBe(Primitives.portable.indexOf(these, byte, 0))
        expect(Primitives.lastIndexOf(these, byte)).toBe(Primitives.portable.lastIndexOf(these, byte))
      }
    }
  }, runs)
})

describe("concat", () => {
  it("bytes stand one behind the other", () => {
    expect(Primitives.concat([Uint8Array.of(1), new Uint8Array(), Uint8Array.of(2, 3)])).toEqual(Uint8Array.of(1, 2, 3))
    expect(Primitives.concat([])).toEqual(new Uint8Array())
  })
})

describe("utf8Length", () => {
  it.prop("is the number of bytes that a text takes", [Schema.String], ([said]) => {
    expect(Primitives.utf8Length(said)).toBe(Buffer.byteLength(said))
  }, runs)
})
