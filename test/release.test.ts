/** What `npm run release -- --dry-run` decides before it packs anything. */
import { assert, describe, it } from "vitest"
import { decide, sections } from "../.ci/changelog.ts"
import { read } from "./support/docs.ts"

const after = (last: string, version: string, ...entries: ReadonlyArray<string>) =>
  decide({
    version,
    changelog: `# Changelog\n\n## Unreleased\n\n${
      entries.map((entry) => `- ${entry}\n`).join("")
    }\n## ${last} (2026-01-01)\n\n- x\n`,
    tags: [`v${last}`],
    date: "2026-12-01"
  }).problems

const tooLow = (version: string, last: string, needed: string) => [
  `${version} is too low behind ${last}: what CHANGELOG.md tells needs ${needed} at least`
]

describe("a release", () => {
  it("has the entries that are not released yet, each in one piece", () => {
    assert.deepStrictEqual(
      sections("# C\n\n## Unreleased\n\nWords.\n\n- one\n  more\n- two\n\n## [0.1.0] - 2026-01-01\n"),
      [
        { name: "Unreleased", entries: ["one more", "two"] },
        { name: "0.1.0", entries: [] }
      ]
    )
  })

  it("may be the first one", () => {
    const first = decide({
      version: "0.1.0",
      changelog: "# Changelog\n\n## Unreleased\n\n- one\n",
      tags: [],
      date: "2026-12-01"
    })
    assert.deepStrictEqual(first, {
      version: "0.1.0",
      tag: "v0.1.0",
      distTag: "latest",
      heading: "## 0.1.0 (2026-12-01)",
      entries: ["one"],
      problems: []
    })
  })

  it("of something that comes before a version is not the latest", () => {
    const { distTag, problems } = decide({
      version: "1.0.0-rc.1",
      changelog: "## Unreleased\n\n- one\n",
      tags: [],
      date: ""
    })
    assert.deepStrictEqual([distTag, problems], ["next", []])
  })

  it("needs something to tell", () => {
    assert.deepStrictEqual(after("0.1.0", "0.2.0"), ["CHANGELOG.md has nothing under \"## Unreleased\""])
    assert.deepStrictEqual(decide({ version: "0.1.0", changelog: "## 0.0.1\n", tags: ["v0.0.1"], date: "" }).problems, [
      "CHANGELOG.md does not begin with \"## Unreleased\""
    ])
  })

  it("is made once", () => {
    assert.deepStrictEqual(after("0.1.0", "0.1.0", "one"), [
      "the tag v0.1.0 is there already",
      "CHANGELOG.md has 0.1.0 already"
    ])
    assert.deepStrictEqual(
      decide({ version: "0.2.0", changelog: "## Unreleased\n- x\n## 0.1.0\n", tags: [], date: "" }).problems,
      [
        "CHANGELOG.md has 0.1.0, but there is no tag v0.1.0"
      ]
    )
  })

  it("of 0.x raises the minor version where something breaks, else the patch", () => {
    assert.deepStrictEqual(after("0.1.4", "0.1.5", "one"), [])
    assert.deepStrictEqual(after("0.1.4", "0.1.3", "one"), tooLow("0.1.3", "0.1.4", "0.1.5"))
    assert.deepStrictEqual(after("0.1.4", "0.1.5", "one", "**Breaking.** two"), tooLow("0.1.5", "0.1.4", "0.2.0"))
    assert.deepStrictEqual(after("0.1.4", "0.2.0", "one", "**Breaking.** two"), [])
  })

  it("from 1.0 on raises the major version where something breaks, the minor for what is new, the patch for what was mended", () => {
    assert.deepStrictEqual(after("1.2.3", "1.2.4", "**Fixed.** one"), [])
    assert.deepStrictEqual(after("1.2.3", "1.2.4", "**Fixed.** one", "two"), tooLow("1.2.4", "1.2.3", "1.3.0"))
    assert.deepStrictEqual(after("1.2.3", "1.3.0", "**Fixed.** one", "two"), [])
    assert.deepStrictEqual(after("1.2.3", "1.3.0", "**Breaking.** one"), tooLow("1.3.0", "1.2.3", "2.0.0"))
    assert.deepStrictEqual(after("1.2.3", "2.0.0", "**Breaking.** one"), [])
    assert.deepStrictEqual(after("1.9.0", "1.10.0", "one"), [])
  })

  it("has a version", () => {
    assert.deepStrictEqual(after("0.1.0", "next", "one"), ["next is no version"])
  })

  it("follows what was announced of it", () => {
    assert.deepStrictEqual(after("1.0.0-rc.1", "1.0.0", "one"), [])
    assert.deepStrictEqual(after("1.0.0-rc.9", "1.0.0-rc.10", "**Breaking.** one"), [])
    assert.deepStrictEqual(after("1.0.0-rc.2", "1.0.0-rc.1", "one"), tooLow("1.0.0-rc.1", "1.0.0-rc.2", "1.0.0"))
  })

  it("has a changelog that begins with what is not released yet", () => {
    assert.strictEqual(sections(read("CHANGELOG.md"))[0].name, "Unreleased")
  })
})
