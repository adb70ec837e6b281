/**
 * The states of a dialogue as a picture.
 */
import { describe, expect, it } from "@effect/vitest"
import { Login } from "../../examples/tutorial/login.ts"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import { StartUp } from "../../src/protocols/Postgres.ts"
import { type Tag, tagsOf } from "../support/xml.ts"

const drawn = (dialogue: Dialogue.Any): ReadonlyArray<Tag> => tagsOf(Dialogue.svg(dialogue))

const textsOf = (tags: ReadonlyArray<Tag>) =>
  tags.filter(({ name }) => name === "text").map(({ attributes, text }) => ({
    text,
    class: attributes.class,
    y: Number(attributes.y)
  }))

/** From the height of a message to that of a state, along a lane. */
const waysOf = (tags: ReadonlyArray<Tag>) =>
  tags.flatMap(({ attributes, name }) => {
    const way = name === "path" ? /^M\d+ (\d+)H(\d+)V(\d+)H\d+$/.exec(attributes.d) : null
    return way === null ? [] : [{ from: Number(way[1]), lane: Number(way[2]), to: Number(way[3]) }]
  })

const login = Dialogue.make()({
  name: "login",
  messages: { Hello: {}, StartTls: {}, Ask: {}, Again: {}, Welcome: {}, Busy: {}, No: {} },
  live: Codec.lines(),
  start: "greeting",
  states: {
    verdict: Dialogue.server({
      Again: "greeting",
      Welcome: Dialogue.ready,
      Busy: Dialogue.refused(),
      No: Dialogue.refused({ retryable: false })
    }),
    greeting: Dialogue.client({ Hello: "verdict", StartTls: "secure" }, { within: "5 seconds", maxBytes: 64 }),
    secure: Dialogue.server({ Ask: Dialogue.encrypted("greeting") })
  },
  otherwise: { server: "No" }
})

describe("svg", () => {
  it("has each state with whose turn it is and its bounds, and each message with where it leads", () => {
    expect(textsOf(drawn(login)).map(({ text }) => text).join("; ")).toBe(
      "verdict; server speaks, at most 16 times; Again; greeting; Welcome; ready; Busy; refused; No; refused for good; " +
        "greeting; client speaks, within 5s, in at most 64 bytes, at most 16 times; Hello; verdict; StartTls; secure; " +
        "secure; server speaks, at most 16 times; Ask; TLS, then greeting; the server says No to whoever breaks the rules"
    )
  })

  it("draws a way from each message to the state that it leads to, and none to an end", () => {
    const tags = drawn(login)
    const texts = textsOf(tags)
    const heightOf = (text: string, name: string) =>
      texts.find((other) => other.text === text && other.class === name)!.y
    const message = (text: string) => heightOf(text, "said") - 4
    const state = (text: string) => heightOf(text, "name")
    expect(waysOf(tags).map(({ from, to }) => [from, to])).toEqual([
      [message("Again"), state("greeting")],
      [message("Hello"), state("verdict")],
      [message("StartTls"), state("secure")],
      [message("Ask"), state("greeting")]
    ])
  })

  it("marks the state in which it begins, wherever that stands", () => {
    const tags = drawn(login)
    const mark = tags.find(({ attributes }) => attributes.class === "start head")!
    const [, begins] = textsOf(tags).filter(({ class: name }) => name === "name")
    expect(/^M\d+ (\d+)/.exec(mark.attributes.d)![1]).toBe(String(begins.y))
  })

  it("two ways to different states never run along the same piece of a lane", () => {
    const ways = waysOf(drawn(StartUp))
    expect(ways.length).toBeGreaterThan(15)
    const met = ways.flatMap((a, i) =>
      ways.slice(i + 1).filter((b) =>
        a.lane === b.lane && a.to !== b.to && Math.min(a.from, a.to) <= Math.max(b.from, b.to) &&
        Math.min(b.from, b.to) <= Math.max(a.from, a.to)
      )
    )
    expect(met).toEqual([])
  })

  // `vitest run -u` draws it again.
  it("the picture of the pages is that of the dialogue", async () => {
    await expect(Dialogue.svg(Login)).toMatchFileSnapshot("../../docs/images/login.svg")
  })

  it("is well-formed whatever states and messages are called, and cuts what is longer than 60 characters", () => {
    const odd = `<a> & "b"`
    const long = "x".repeat(61)
    const tags = drawn(
      Dialogue.make()({
        name: odd,
        messages: { [odd]: {}, [long]: {} },
        live: Codec.lines(),
        start: odd,
        states: {
          [odd]: Dialogue.client({ [odd]: "x".repeat(60) }),
          ["x".repeat(60)]: Dialogue.server({ [long]: Dialogue.ready })
        }
      })
    )
    const texts = textsOf(tags).map(({ text }) => text)
    expect(texts.filter((text) => text === odd).length).toBe(2)
    expect(texts).toContain("x".repeat(60))
    expect(texts).toContain(`${"x".repeat(59)}…`)
    expect(texts).not.toContain(long)
  })
})
