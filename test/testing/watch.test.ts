/**
 * Whether a secret is found, however it is written down.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import { concealing, hiding, partsOf, watched } from "../../src/testing/internal/watch.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

const secret = "correct horse"
const hidden = hiding([utf8(secret)])

const finds = (text: string) => hidden([{ where: "here", text }]) !== undefined

const hex = (text: string) => Buffer.from(text).toString("hex")
const base64 = (text: string) => Buffer.from(text).toString("base64")

describe("a secret is found", () => {
  it("as it is", () => expect(finds(`got ${secret}!`)).toBe(true))
  it("where two thirds of it show", () => expect(finds("got correct ho")).toBe(true))
  it("in hexadecimal, small and large", () => {
    expect(finds(hex(secret))).toBe(true)
    expect(finds(hex(secret).toUpperCase())).toBe(true)
  })
  it("as a list of its bytes", () => expect(finds(`[${[...utf8(secret)].join(",")}]`)).toBe(true))
  it.prop(
    "in base64, whatever stands before and behind it",
    { before: Schema.String, behind: Schema.String },
    ({ before, behind }) => expect(finds(base64(before + secret + behind))).toBe(true)
  )
})

describe("a secret is found, too,", () => {
  const key = "p@ss/wörd?"
  const finds = (text: string) => hiding([utf8(key)])([{ where: "here", text }]) !== undefined
  it("backwards", () => expect(finds(`got ${[...key].reverse().join("")}`)).toBe(true))
  it("as a form of the Web writes it", () => expect(finds(`password=${encodeURIComponent(key)}&`)).toBe(true))
  it("in the base64 of URLs, whatever stands before it", () => {
    for (const before of ["", "a", "ab"]) {
      expect(finds(Buffer.from(`${before}~~~${key}`).toString("base64url"))).toBe(true)
    }
  })
})

describe("the parts of a message that may be secrets", () => {
  const parts = (message: string) => partsOf(utf8(message)).map((part) => new TextDecoder().decode(part))

  it("are what looks like a digest or a token", () => {
    expect(parts("DIGEST user=ann response=9f86d081884c7d65\r\n")).toEqual(["9f86d081884c7d65"])
    expect(parts("{\"op\":\"auth\",\"sig\":\"q83vEjRWeJCrze8SNFZ-_w\"}\n")).toEqual(["q83vEjRWeJCrze8SNFZ-_w"])
  })

  it("are no names, no short words, not all of it, and nothing where it is no text", () => {
    expect(parts("AUTHENTICATE SCRAM-SHA-256 depot/1.2.3 correct-horse 1800003600 a1b2c3d\n")).toEqual([])
    expect(parts("9f86d081884c7d65")).toEqual([])
    expect(parts("\0\0 9f86d081884c7d65")).toEqual([])
  })
})

describe("a secret is not found", () => {
  it("where a smaller part of it shows, as a word may have in common with it", () => {
    expect(finds("that is correct")).toBe(false)
  })
  it("where there is none", () => {
    expect(finds("nothing")).toBe(false)
    expect(finds("")).toBe(false)
  })
})

describe("watching", () => {
  const places = (effect: Effect.Effect<unknown>) =>
    Effect.map(watched(effect, (seen) => hidden([seen]) !== undefined), ([, seen]) => {
      const leak = hidden(seen())
      return leak?.where
    })

  it.effect("sees what is logged, at any level", () =>
    Effect.gen(function*() {
      expect(yield* places(Effect.logTrace(secret))).toBe("a log")
      expect(yield* places(Effect.annotateLogs(Effect.logInfo("hello"), { secret }))).toBe("a log")
    }))

  it.effect("sees names, attributes and events of spans, and what they have failed with", () =>
    Effect.gen(function*() {
      expect(yield* places(Effect.withSpan(Effect.void, secret))).toBe("a span")
      expect(yield* places(Effect.withSpan(Effect.void, "a", { attributes: { secret } }))).toBe("a span")
      expect(yield* places(Effect.withSpan(Effect.annotateCurrentSpan({ secret }), "a"))).toBe("a span")
      expect(yield* places(Effect.ignore(Effect.withSpan(Effect.fail(`no such ${secret}`), "a")))).toBe("a span")
    }))

  it.effect("sees names, tags and values of metrics of every kind, and sees them again each time", () =>
    Effect.gen(function*() {
      const tagged = Metric.update(Metric.counter("watched_tag", { attributes: { pass: secret } }), 1)
      for (let again = 0; again < 2; again++) {
        expect(yield* places(tagged)).toBe("a metric")
        expect(yield* places(Metric.update(Metric.gauge(`watched_${secret}`), 1))).toBe("a metric")
        expect(yield* places(Metric.update(Metric.frequency("watched_frequency"), secret))).toBe("a metric")
      }
      expect(yield* places(Metric.update(Metric.counter("watched_count"), 1))).toBeUndefined()
    }))

  it.effect("sees what is printed, and keeps it back", () =>
    Effect.gen(function*() {
      expect(yield* places(Effect.sync(() => console.error("got", { secret })))).toBe("console.error")
      expect(yield* places(Effect.sync(() => process.stdout.write(`${secret}\n`)))).toBe("stdout")
      expect(yield* places(Effect.sync(() => process.stderr.write(utf8(secret))))).toBe("stderr")
    }))

  it.effect("sees what is printed by way of a method that was set meanwhile", () =>
    Effect.gen(function*() {
      const { warn } = console
      const quiet = Effect.sync(() => {
        console.warn = () => {}
        console.warn(secret)
      })
      expect(yield* places(quiet)).toBe("console.warn")
      expect(console.warn).toBe(warn)
    }))

  it.effect("lets everything else be printed as before", () =>
    Effect.gen(function*() {
      const { info } = console
      const said: Array<unknown> = []
      console.info = (...args) => said.push(...args)
      expect(yield* places(Effect.sync(() => console.info("hello", 1)))).toBeUndefined()
      console.info = info
      expect(said).toEqual(["hello", 1])
    }))

  it.effect("sees nothing where there is nothing", () =>
    Effect.gen(function*() {
      expect(yield* places(Effect.withSpan(Effect.logInfo("hello"), "a"))).toBeUndefined()
    }))
})

describe("what is concealed", () => {
  const conceal = concealing([utf8(secret)])
  it("is a secret, wherever it stands and however it is written", () => {
    expect(conceal(`a ${secret}, and ${hex(secret)}`)).toBe("a ***, and ***")
  })
  it("is a good part of one, with what may be the rest of it", () => {
    expect(conceal("got correct ho!")).toBe("got ***")
  })
  it("is nothing else", () => expect(conceal("that is correct")).toBe("that is correct"))
})
