import { existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import {
  anchorsOf,
  deadLinks,
  difference,
  documented,
  expectedLines,
  fencesInJsDoc,
  fencesInMarkdown,
  fixture,
  glob,
  isQuotation,
  linksIn,
  nameOf,
  pages,
  passing,
  quotations,
  read,
  root,
  run,
  standsIn
} from "./support/docs.ts"
import type { Fence } from "./support/docs.ts"

const silent = fixture(20, `console.log("this line has no expectation")\n`)
const wrong = fixture(30, `console.log(1 + 1) // => 3\n`)
const missing = fixture(40, `const log = console.log\nif (Date.now() < 0) log("never") // => never\n`)
const surplus = fixture(50, `console.log(1) // => 1\nconsole.log(2)\n`)
const throwing = fixture(60, `throw new Error("boom")\n`)
const rejecting = fixture(
  70,
  `import * as Effect from "effect/Effect"\n\nEffect.runPromise(Effect.fail("no"))\n`
)

const failure = (fence: Fence) =>
  run(fence).then(() => assert.fail("it passed"), (error: unknown) => {
    assert.instanceOf(error, Error)
    return error.message
  })

describe("the harness", () => {
  it("finds the fences of a Markdown file", () => {
    const text =
      "# Title\n```ts\na\n```\n\n## More\n- in a list\n  ```ts no-run\n  b\n    c\n  ```\n```sh\n# no\n```\n```ts\n```\n"
    assert.deepStrictEqual(fencesInMarkdown("README.md", text).map((fence) => [nameOf(fence), fence.tag, fence.code]), [
      ["README.md:2 Title", "", "a\n"],
      ["README.md:8 More", "no-run", "b\n  c\n"],
      ["README.md:15 More", "", "\n"]
    ])
    assert.throws(() => fencesInMarkdown("README.md", "```ts\na\n"), "README.md:1 has a fence without an end")
  })

  it("finds the fences of JSDoc comments", () => {
    const text =
      "const a = 1\n\n/**\n * Text.\n *\n * **Example** (Adding)\n *\n * ```ts\n * if (a) {\n *   b()\n * }\n" +
      " * ```\n */\n  /**\n   * ```ts\n   *\n   * c\n   * ```\n   */\n"
    assert.deepStrictEqual(fencesInJsDoc("src/A.ts", text).map((fence) => [nameOf(fence), fence.code]), [
      ["src/A.ts:8 Adding", "if (a) {\n  b()\n}\n"],
      ["src/A.ts:15", "\nc\n"]
    ])
  })

  it("knows whether lines stand in a program, wherever that has them", () => {
    const program = "a\n  b {\n\n    c\n  }\n"
    assert.isTrue(standsIn("b {\n\n  c\n}\n", program))
    assert.isTrue(standsIn("a\n", program))
    for (const other of ["b {\n  c\n}\n", "b {\n\nc\n}\n", " {\n", "c\n}\nd\n"]) {
      assert.isFalse(standsIn(other, program))
    }
  })

  it("compares every line", () => {
    assert.deepStrictEqual(expectedLines("a // => 1\n// =>   2\n// =>\nb // no\n"), ["1", "  2", ""])
    assert.isUndefined(difference([], "anything"))
    assert.isUndefined(difference(["1", "", "2"], "1\n\n2\n"))
    assert.strictEqual(difference(["1"], ""), "expected to print\n  1\nbut printed\n  (nothing)")
    assert.strictEqual(difference(["1"], "2\n"), "expected to print\n  1\nbut printed\n  2")
  })

  it("passes what does as it says, its promises awaited", async () => {
    await run(passing)
    await run(silent)
  })

  it("knows the anchors of headings, and links that lead nowhere", () => {
    const page = "# `A` page, of one's own\n\n## Twice\n\n```sh\n# no\n```\n\n## Twice\n"
    assert.deepStrictEqual(Array.from(anchorsOf(page)), ["a-page-of-ones-own", "twice", "twice-1"])
    const text =
      "# Own\n[a](https://b.c) `[no](code)` [own](#own) [a\npage](../page.md#twice) [x](#x) [y](y.md) [z](../page.md#z)\n"
    assert.deepStrictEqual(linksIn(text), ["#own", "../page.md#twice", "#x", "y.md", "../page.md#z"])
    assert.deepStrictEqual(
      deadLinks("docs/text.md", text, (file) => file === "page.md" ? page : undefined),
      ["#x", "y.md", "../page.md#z"]
    )
  })

  it("fails what prints something else, less or more", async () => {
    assert.strictEqual(await failure(wrong), "fixture.md:30 was expected to print\n  3\nbut printed\n  2")
    assert.strictEqual(await failure(missing), "fixture.md:40 was expected to print\n  never\nbut printed\n  (nothing)")
    assert.strictEqual(await failure(surplus), "fixture.md:50 was expected to print\n  1\nbut printed\n  1\n  2")
  })

  it("fails what throws or rejects", async () => {
    assert.include(await failure(throwing), "fixture.md:60 failed")
    assert.include(await failure(rejecting), "fixture.md:70 failed")
  })
})

const readPath = (file: string) => {
  const path = join(root, file)
  return existsSync(path) ? statSync(path).isFile() ? read(file) : "" : undefined
}

describe("the pages", () => {
  for (const page of new Set([...pages(), ...glob("*.md"), "bench/README.md"])) {
    it(`links of ${page} lead somewhere`, () => {
      assert.deepStrictEqual(deadLinks(page, read(page), readPath), [])
    })
  }

  it("README is read to its end: it has at most 250 lines", () => {
    assert.isAtMost(read("README.md").split("\n").length - 1, 250)
  })

  it("each is in the index", () => {
    const listed = linksIn(read("docs/README.md")).map((link) => `docs/${link.split("#")[0]}`)
    assert.deepStrictEqual(
      pages().filter((page) => page !== "README.md" && page !== "docs/README.md" && !listed.includes(page)),
      []
    )
  })
})

// Some check whole handshakes against all laws, on a machine that may have much else to do.
const timeout = 60_000

for (const fence of quotations()) {
  it(`${nameOf(fence)} is a part of ${fence.tag}`, () => assert.isTrue(isQuotation(fence)))
}

for (const fence of documented()) {
  it(nameOf(fence), { timeout }, async () => {
    assert.include(["", "no-run"], fence.tag, `${nameOf(fence)} has an unknown tag`)
    if (fence.tag !== "no-run") await run(fence)
  })
}
