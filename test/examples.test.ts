import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "vitest"
import { difference, expectedLines, root, spawned } from "./support/docs.ts"

const inTurn = join(root, "test/support/inTurn.ts")

/**
 * Runs examples to their ends, in one process as long as that goes well; returns what is wrong with each of them, or
 * undefined.
 */
const run = async (files: ReadonlyArray<string>): Promise<Map<string, string | undefined>> => {
  const problems = new Map<string, string | undefined>()
  while (problems.size < files.length) {
    const left = files.slice(problems.size)
    const { code, errors, output } = await spawned(["--conditions=handshake-source", inTurn, ...left], 50_000)
    // A form feed and the name of the file stand before what it prints.
    const begun = output.split("\f").slice(1)
    if (begun.length === 0) throw new Error(`none of ${left.join(", ")} began: ${errors}`)
    for (const [index, text] of begun.entries()) {
      const file = left[index]
      const printed = text.slice(file.length + 1)
      if (index === begun.length - 1 && code !== 0) {
        problems.set(file, `${file} ended with ${code} after printing\n${printed}${errors}`)
      } else if (printed === "") {
        problems.set(file, `${file} printed nothing`)
      } else {
        const problem = difference(expectedLines(readFileSync(join(root, file), "utf8")), printed)
        problems.set(file, problem && `${file} was ${problem}`)
      }
    }
  }
  return problems
}

describe("examples", { timeout: 60_000 }, () => {
  // It tells of all that has happened in its process: before the others, that is itself.
  const first = "examples/events-and-metrics.ts"
  const files = [
    first,
    ...globSync(["examples/*.ts", "examples/tutorial/[0-9]-*.ts"], { cwd: root }).toSorted().filter((file) =>
      file !== first
    )
  ]

  let problems: ReadonlyMap<string, string | undefined>
  beforeAll(async () => {
    problems = await run(files)
  }, 100_000)

  for (const file of files) {
    it(file, () => {
      assert.isTrue(problems.has(file))
      assert.isUndefined(problems.get(file))
    })
  }

  it("fail when they crash, say nothing, or say something else", async () => {
    mkdirSync(join(root, ".cache/examples"), { recursive: true })
    const programs = {
      right: "const one: number = 1\nconsole.log(one) // => 1\n",
      crash: "console.log(1) // => 1\nprocess.exit(3)\n",
      nothing: "export {}\n",
      other: "console.log(1) // => 2\n",
      rejected: "console.log(1) // => 1\nawait Promise.reject(new Error(\"no\"))\n",
      stuck: "console.log(1) // => 1\nawait new Promise(() => {})\n",
      failed: "console.log(1) // => 1\nprocess.exitCode = 4\n"
    }
    for (const [name, code] of Object.entries(programs)) writeFileSync(join(root, `.cache/examples/${name}.ts`), code)
    const problems = await run(Object.keys(programs).map((name) => `.cache/examples/${name}.ts`))
    const problemOf = (name: keyof typeof programs) => problems.get(`.cache/examples/${name}.ts`) ?? ""
    assert.strictEqual(problemOf("right"), "")
    assert.include(problemOf("crash"), "ended with 3")
    assert.include(problemOf("nothing"), "printed nothing")
    assert.include(problemOf("other"), "was expected to print\n  2\nbut printed\n  1")
    assert.match(problemOf("rejected"), /ended with 1 after printing\n1\n[^]*Error: no/)
    assert.include(problemOf("stuck"), "ended with 13")
    assert.include(problemOf("failed"), "ended with 4")
  })
})
