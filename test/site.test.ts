/** What the site is made with, as far as it is pure: `npm run docs` makes it, and checks it as a whole. */
import { assert, describe, it } from "vitest"
import * as Links from "../.ci/book/links.ts"
import * as Pages from "../.ci/book/pages.ts"
import { questions } from "../.ci/book/questions.ts"
import * as Words from "../.ci/book/words.ts"
import { anchorsOf, glob, linksIn, pages, read } from "./support/docs.ts"

const page = "# A `Codec`\n\nText, [linked](b.md#c).\n\n```ts\n# code\n```\n\n## Twice\n\n**Bold.** More\n\n## Twice\n"

describe("pages", () => {
  it("have sections, with their text apart from their code", () => {
    assert.deepStrictEqual(Pages.sections(page), [
      { heading: "A Codec", anchor: "", text: "Text, linked.", labels: "", code: "# code" },
      { heading: "Twice", anchor: "twice", text: "Bold. More", labels: "Bold.", code: "" },
      { heading: "Twice", anchor: "twice-1", text: "", labels: "", code: "" }
    ])
  })

  it("have the anchors of GitHub", () => {
    for (const file of pages()) {
      const [title, ...rest] = anchorsOf(read(file))
      assert.isDefined(title)
      assert.deepStrictEqual(Pages.sections(read(file)).slice(1).map(({ anchor }) => anchor), rest, file)
    }
  })

  it("are given to the generator with drawn diagrams and links that lead to pages, and their code as it is", () => {
    const markdown = "# A\n\n[b](b.ts) and\n\n```ts\nf[0](b.ts)\n```\n\n```\nplain\n```\n\n```mermaid\nA->>B: hi\n```\n"
    assert.strictEqual(
      Pages.staged("a.md", markdown, {
        draw: (diagram) => `<svg>\n  ${diagram.trim()}</svg>`,
        link: (to) => `${to}.md`
      }),
      `---\ntitle: "a.md"\n---\n# A\n\n[b](b.ts.md) and\n\n` +
        "```ts\nf[0](b.ts)\n```\n\n```text\nplain\n```\n\n<div class=\"diagram\"><svg> A->>B: hi</svg></div>\n"
    )
  })

  it("stand under one heading of the index each", () => {
    const index = read("docs/README.md")
    const listed = Pages.chapters(index).flatMap((chapter) => chapter.pages)
    assert.deepStrictEqual(listed.toSorted(), Array.from(new Set(listed)).toSorted())
    const linked = linksIn(index).map((link) => link.split("#")[0]).filter((link) => /^[^.].*\.md$/.test(link))
    assert.deepStrictEqual(listed.toSorted(), Array.from(new Set(linked)).toSorted())
  })

  it("have all questions of the index", () => {
    const index = read("docs/README.md")
    assert.deepStrictEqual(Pages.questions("| What is `a`? | [A](a.md#b), \"c\" |\n| no | [B](b.md) |\n"), [
      ["What is a ?", "a.md#b"]
    ])
    assert.lengthOf(Pages.questions(index), index.match(/^\| .*\? \|/gm)!.length)
  })

  it("have all words of the glossary", () => {
    const glossary = read("docs/glossary.md")
    assert.deepStrictEqual(Pages.terms("| **a** | what [b](c.md) is |\n| d | e |\n"), [["a", "what b is"]])
    assert.lengthOf(Pages.terms(glossary), glossary.match(/^\| \*\*/gm)!.length)
  })

  it("of examples say what they are for in one line", () => {
    assert.strictEqual(Pages.summary("/**\n * One\n * [two](x).\n *\n * Three.\n */\ncode"), "One `two`.")
    assert.strictEqual(Pages.summary("// One\n// two.\n\n// three\n"), "One two.")
    assert.strictEqual(Pages.summary("code\n"), "")
    for (const file of glob("examples/**/*.ts")) assert.notStrictEqual(Pages.summary(read(file)), "", file)
  })
})

describe("links", () => {
  const files = new Map([
    [
      "index.html",
      Links.read("<a href=\"a/b.html#c\"></a><a href='x'></a><img src=\"no.svg\"><a href=\"https://x.y\"></a>")
    ],
    [
      "a/b.html",
      Links.read("<p id=\"c\"></p><a href=\"../index.html\"></a><a href=\"#d\"></a><a href=\"/index.html\"></a>")
    ],
    ["plain.txt", undefined]
  ])

  it("that lead nowhere are told: to no file, to no place, and to the root of a site that has none", () => {
    assert.deepStrictEqual(Links.dead(files), [
      "index.html: no.svg",
      "a/b.html: #d",
      "a/b.html: /index.html"
    ])
  })

  it("to a host that is the name of a file lead nowhere, and to other hosts anywhere", () => {
    const links = (...to: ReadonlyArray<string>) =>
      Links.dead(new Map([["index.html", Links.read(to.map((link) => `<a href="${link}"></a>`).join(""))]]))
    assert.deepStrictEqual(links("http://CHANGELOG.md", "https://main.ts/index.html"), [
      "index.html: http://CHANGELOG.md",
      "index.html: https://main.ts/index.html"
    ])
    assert.deepStrictEqual(links("https://x.mdx", "https://x.y/CHANGELOG.md", "http://localhost:1", "mailto:a@b.c"), [])
  })

  it("in scripts are none", () => {
    assert.deepStrictEqual(Links.read("<script>const a = '<a href=\"b\">'</script>").links, [])
    assert.deepStrictEqual(Links.read("<script src=\"b.js\">x</script>").links, ["b.js"])
  })
})

describe("search", () => {
  it("finds a word in all its forms", () => {
    for (
      const forms of [
        ["refuse", "refused", "refusal", "refuses", "refusing"],
        ["handshake", "handshakes", "handshake's"],
        ["retry", "retries"],
        ["connect", "connection", "connections"],
        ["drop", "dropped", "drops"],
        ["address", "addresses"]
      ]
    ) assert.lengthOf(Array.from(new Set(forms.map(Words.term))), 1, forms.join())
    assert.notStrictEqual(Words.term("server"), Words.term("serve"))
  })

  it("finds the parts of names", () => {
    assert.deepStrictEqual(Words.words("Handshake.withRefusal, TLS"), [
      "Handshake",
      "withRefusal",
      "with",
      "Refusal",
      "TLS"
    ])
  })

  it("looks for what a question is about", () => {
    assert.deepStrictEqual(
      Words.words("How do I put one handshake into another?").map(Words.term).filter((term) => term !== null),
      ["handshak", "into"]
    )
  })

  it("shows the part of a text that has most of what was asked for", () => {
    const text = `${"nothing here ".repeat(40)}the deadline of a handshake ${"and so on ".repeat(40)}`
    const shown = Words.excerpt(text, ["deadlin", "handshak"], 40)
    assert.deepStrictEqual(shown.filter(([, marked]) => marked).map(([word]) => word), ["deadline", "handshake"])
    assert.isBelow(shown.map(([part]) => part).join("").length, 50)
    assert.deepStrictEqual(Words.excerpt("short", ["x"]), [["short", false]])
    assert.deepStrictEqual(Words.excerpt("", ["x"]), [["", false]])
  })

  it("is asked for places that are there", () => {
    for (const [question, answer] of questions) {
      const [place, anchor] = answer.split("#")
      if (!place.startsWith("docs/")) continue
      const anchors = Pages.sections(read(place.replace(".html", ".md"))).map((section) => section.anchor)
      if (anchor !== undefined) assert.include(anchors, anchor, question)
    }
  })
})
