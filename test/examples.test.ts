import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { difference, expectedLines, root, spawned } from "./support/docs.ts"

// They run all at once, and each of them needs a second of its own to start.
/** Runs an example to its end; returns what is wrong with it, or undefined. */
const run = async (file: string): Promise<string | undefined> => {
  const { code, errors, output } = await spawned(["--conditions=handshake-source", file], 50_000)
  if (code !== 0) return `${file} ended with ${code} after printing\n${output}${errors}`
  if (output === "") return `${file} printed nothing`
  const problem = difference(expectedLines(readFileSync(join(root, file), "utf8")), output)
  return problem && `${file} was ${problem}`
}

describe.concurrent("examples", { timeout: 60_000 }, () => {
  for (const file of globSync("examples/*.ts", { cwd: root }).toSorted()) {
    it(file, async () => assert.isUndefined(await run(file)))
  }

  it("fail when they crash, say nothing, or say something else", async () => {
    mkdirSync(join(root, ".cache/examples"), { recursive: true })
    const problemOf = (name: string, code: string) => {
      const file = `.cache/examples/${name}.ts`
      writeFileSync(join(root, file), code)
      return run(file)
    }
    assert.include(await problemOf("crash", "process.exit(3)\n"), "ended with 3")
    assert.include(await problemOf("nothing", "export {}\n"), "printed nothing")
    assert.include(await problemOf("other", "console.log(1) // => 2\n"), "was expected to print\n  2\nbut printed\n  1")
    assert.isUndefined(await problemOf("right", "const one: number = 1\nconsole.log(one) // => 1\n"))
  })
})
