/**
 * What the tests start as processes, each in a few files: most of what such a process takes is to find and load some three
 * hundred modules, and the tests start a hundred of them. That it runs from its sources as well, some of them show.
 */
import { globSync, statSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { TestProject } from "vitest/node"

const root = fileURLToPath(new URL("../..", import.meta.url))

// As deep as the sources of the command: it reads package.json.
const folder = join(root, ".cache/bundle")

const programs = {
  command: "src/cli/main.ts",
  workersApp: "test/support/workersApp.ts",
  machine: "examples/machines/server.ts"
}

/** Where a program lies, and its source. */
export const bundled = (name: keyof typeof programs): string => join(folder, `${name}.js`)

export const source = (name: keyof typeof programs): string => join(root, programs[name])

const changed = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

const isCurrent = (): boolean => {
  const made = Math.min(...Object.keys(programs).map((name) => changed(join(folder, `${name}.js`))))
  const from = [
    "node_modules/.package-lock.json",
    ...globSync(["src/**", "test/support/*.ts", "examples/machines/*.ts"], { cwd: root })
  ]
  return from.every((file) => changed(join(root, file)) < made)
}

const bundle = async (): Promise<void> => {
  if (isCurrent()) return
  const { build } = await import("rolldown")
  await build({
    cwd: root,
    input: programs,
    platform: "node",
    resolve: { conditionNames: ["handshake-source", "import", "node", "default"] },
    output: { dir: folder, cleanDir: true, keepNames: true }
  })
}

/** Before the tests of a run, and before they run again while they are watched. */
export default async (project: TestProject): Promise<void> => {
  await bundle()
  project.onTestsRerun(bundle)
}
