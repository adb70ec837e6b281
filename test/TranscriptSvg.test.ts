/**
 * A transcript as a picture.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Transcript from "../src/Transcript.ts"
import { read } from "./support/docs.ts"
import { type Tag, tagsOf } from "./support/xml.ts"

const entry = (direction: Transcript.Entry["direction"], frame: string, atMs = 0): Transcript.Drawn => ({
  atMs,
  direction,
  frame
})

const drawn = (...args: Parameters<typeof Transcript.svg>): ReadonlyArray<Tag> => tagsOf(Transcript.svg(...args))

/** What is written in it, from the names on. */
const written = (tags: ReadonlyArray<Tag>) => tags.filter(({ name }) => name === "text").map(({ text }) => text)

const ofClass = (tags: ReadonlyArray<Tag>, name: string) =>
  tags.filter(({ attributes }) => attributes.class?.split(" ").includes(name))

const sizeOf = ([{ attributes }]: ReadonlyArray<Tag>) => ({
  width: Number(attributes.width),
  height: Number(attributes.height)
})

/** Where a lifeline is: that of the side whose name is drawn in the nth place. */
const lifelines = (tags: ReadonlyArray<Tag>) =>
  ofClass(tags, "life").map(({ attributes }) => Number(/^M([\d.]+) /.exec(attributes.d)![1]))

describe("svg", () => {
  it("has the names of both sides, and each frame with its time", () => {
    const tags = drawn([entry("sent", "\"You ready?\"", 1), entry("received", "\"Bring it!\"", 12)], { peer: "you" })
    expect(written(tags)).toEqual(["client", "you", "\"You ready?\"", "1 ms", "\"Bring it!\"", "12 ms"])
  })

  it("draws an arrow from the lifeline of who speaks, with its head at that of the other side", () => {
    const tags = drawn([entry("sent", "a"), entry("received", "b")])
    const [self, peer] = lifelines(tags)
    const begins = (name: string) => ofClass(tags, name).map(({ attributes }) => attributes.d.split(/[ H]/)[0])
    expect(begins("sent")).toEqual([`M${self}`, `M${peer}`])
    expect(begins("received")).toEqual([`M${peer}`, `M${self}`])
  })

  it("marks the lifeline of the side that has ended the connection", () => {
    for (const [by, place] of [["self", 0], ["peer", 1]] as const) {
      const tags = drawn([{ ...entry("note", "closed"), end: { by, how: "closed" } }])
      const crosses = ofClass(tags, "cross").map(({ attributes }) => Number(/^M([\d.]+) /.exec(attributes.d)![1]))
      expect(crosses).toEqual([lifelines(tags)[place] - 6])
    }
    expect(ofClass(drawn([entry("note", "closed")]), "cross")).toEqual([])
  })

  it("has why it ended below all that was said, and no such place without an error", () => {
    const transcript = [entry("sent", "a"), entry("note", "the peer closed the connection")]
    const tags = drawn(transcript, { error: "line handshake failed\nat step answer" })
    expect(written(tags).slice(-2)).toEqual(["line handshake failed", "at step answer"])
    const places = tags.filter(({ name }) => name === "text").map(({ attributes }) => Number(attributes.y))
    expect(Math.max(...places)).toBe(places.at(-1))
    expect(ofClass(drawn(transcript), "bad")).toEqual([])
  })

  it("is called what it is about, and tells what was said to those who do not see it", () => {
    const tags = drawn([entry("sent", "a", 3), entry("received", "b", 4), entry("note", "c", 5)], { error: "d" })
    const told = (name: string) => tags.find((tag) => tag.name === name)!.text.trimEnd()
    expect(tags[0].attributes.role).toBe("img")
    expect(told("title")).toBe("client and server")
    expect(told("desc")).toBe("3 ms, client: a\n4 ms, server: b\n5 ms, c\nd")
    expect(drawn([], { title: "a <b>" })[1].text.trimEnd()).toBe("a <b>")
  })

  it("is light or dark as the reader has it", () => {
    const style = drawn([]).find(({ name }) => name === "style")!.text
    const [light, dark] = style.split("@media (prefers-color-scheme:dark)")
    expect(light).toContain(".ground{fill:#ffffff}")
    expect(dark).toContain(".ground{fill:#0d1117}")
  })

  it("shows no secret", () => {
    const bytes = new TextEncoder().encode("hunter2")
    const secret: Transcript.Entry = { atMs: 0, direction: "sent", frame: "\"hunter2\"", bytes, length: 7 }
    const svg = Transcript.svg(Transcript.redact([secret], () => true))
    expect(svg).not.toContain("hunter2")
    expect(written(tagsOf(svg))).toContain("<redacted>")
  })

  const columns = (frame: string) => written(drawn([entry("received", frame)])).slice(2, -1)

  it("a frame of 60 columns stands on one line, and one more goes on below it", () => {
    expect(columns("x".repeat(60))).toEqual(["x".repeat(60)])
    expect(columns("x".repeat(61))).toEqual(["x".repeat(60), "x"])
  })

  it("characters that are twice as wide are counted so, and drawn in the width that was counted", () => {
    expect(columns("字".repeat(30))).toEqual(["字".repeat(30)])
    expect(columns("字".repeat(31))).toEqual(["字".repeat(30), "字"])
    const [, , frame] = drawn([entry("sent", "字a")]).filter(({ name }) => name === "text")
    expect(frame.attributes.textLength).toBe("24")
  })

  it("a line is broken behind a space where there is one near its end", () => {
    expect(columns(`${"x".repeat(50)} ${"y".repeat(20)}`)).toEqual(["x".repeat(50), "y".repeat(20)])
  })

  it("names of 32 columns stand as they are, and longer ones are cut", () => {
    const named = (self: string) => written(drawn([], { self }))[0]
    expect(named("x".repeat(32))).toBe("x".repeat(32))
    expect(named("x".repeat(33))).toBe(`${"x".repeat(31)}…`)
  })

  const Part = Schema.Union([
    Schema.String,
    Schema.Literals([
      "<b>",
      "&amp;",
      "]]>",
      "\"",
      "'",
      "\0",
      "\n",
      "\u2028",
      "\u202e",
      "\ud800",
      "\uffff",
      "字",
      "🤝",
      "x".repeat(99)
    ])
  ])
  // `vitest run -u` draws it again.
  it("the picture of the pages is what the command draws of what it has recorded", async () => {
    const { transcript, ...sides } = Result.getOrThrow(Transcript.parse(read("docs/images/probe.txt")))
    const options = { ...sides, title: "chat at 127.0.0.1:4000", error: transcript.at(-1)!.frame }
    await expect(Transcript.svg(transcript.slice(0, -1), options)).toMatchFileSnapshot("../docs/images/probe.svg")
  })

  const texts = Arbitrary.map(
    Arbitrary.schema(Schema.Array(Part).check(Schema.isMaxLength(5))),
    (parts) => parts.join("")
  )

  it.prop("whatever was said is well-formed, all of it inside, and at most 830 pixels wide", [texts, texts, texts], (
    [frame, name, error]
  ) => {
    const transcript = (["sent", "received", "note"] as const).map((direction) => entry(direction, frame, 123_456))
    const tags = drawn(transcript, { self: name, peer: name, title: name, error })
    const { height, width } = sizeOf(tags)
    expect(width).toBeLessThanOrEqual(830)
    for (const { attributes } of tags.filter(({ name }) => name === "text")) {
      expect(Number(attributes.x)).toBeLessThan(width)
      expect(Number(attributes.y)).toBeLessThan(height)
    }
  }, { arbitrary: { runs: 50 } })
})
