/**
 * `npm run docs`: the site, in `site/`. What it is made with comes from npm into a folder of its own, for nothing else
 * needs it: a program that passes its tests without a site need not wait for one.
 */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { installed } from "./installed.ts"

const home = fileURLToPath(new URL("book", import.meta.url))

installed(home)

const steps: ReadonlyArray<ReadonlyArray<string>> = [
  [`${home}/node_modules/typescript/bin/tsc`, "--project", home, "--noEmit"],
  [`${home}/build.ts`],
  [`${home}/check.ts`]
]
for (const step of steps) {
  const { error, status } = spawnSync(process.execPath, [...step], { stdio: "inherit" })
  if (error !== undefined) throw error
  if (status !== 0) {
    process.exitCode = status ?? 1
    break
  }
}
