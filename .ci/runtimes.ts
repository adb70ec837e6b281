/**
 * Runs the short list of `test/runtimes/checks.ts` on Node, Bun and Deno, on what is built. Bun and Deno come from npm, into a
 * folder of their own: nobody but this needs them. Comes after `npm run build`.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const home = fileURLToPath(new URL("runtimes", import.meta.url))

const run = (words: ReadonlyArray<string>): number => {
  const [program, ...args] = words
  const { error, status } = spawnSync(program, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] })
  if (error !== undefined) throw error
  return status ?? 1
}

const { dependencies } = JSON.parse(readFileSync(`${home}/package.json`, "utf8")) as {
  readonly dependencies: Readonly<Record<string, string>>
}

const isInstalled = Object.entries(dependencies).every(([name, version]) => {
  const manifest = `${home}/node_modules/${name}/package.json`
  return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === version
})

const installed = isInstalled ?
  0 :
  run(["npm", "ci", "--prefix", home, "--no-audit", "--no-fund", "--loglevel=error"])
if (installed !== 0) throw new Error(`npm ci failed with status ${installed} in ${home}`)

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
