/**
 * Runs the short list of `test/runtimes/checks.ts` on Node, Bun and Deno, on what is built. Bun and Deno come from npm, into a
 * folder of their own: nobody but this needs them. Comes after `npm run build`.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { installed } from "./installed.ts"

const root = fileURLToPath(new URL("..", import.meta.url))
const home = fileURLToPath(new URL("runtimes", import.meta.url))

const run = (words: ReadonlyArray<string>): number => {
  const [program, ...args] = words
  const { error, status } = spawnSync(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (error !== undefined) throw error
  return status ?? 1
}

const dependencies = installed(home)

const own = (name: string) => `${home}/node_modules/.bin/${name}`

const runtimes: ReadonlyArray<readonly [name: string, words: ReadonlyArray<string>]> = [
  [`Node ${process.versions.node}`, [process.execPath]],
  [`Bun ${dependencies["bun"]}`, [own("bun")]],
  [`Deno ${dependencies["deno"]}`, [own("deno"), "run", "--allow-all", "--no-lock", "--node-modules-dir=manual"]]
]

const failed = runtimes.filter(([name, words]) => {
  console.log(`\n${name}`)
  return run([...words, "test/runtimes/main.ts", ...words, "dist/cli/main.js"]) !== 0
})

if (failed.length > 0) {
  console.error(`\nfailed on ${failed.map(([name]) => name).join(", ")}`)
  process.exitCode = 1
}
