/**
 * The packages of a folder that has a manifest and a lock file of its own, for what only one script needs: they are
 * installed when that script runs, and where another version than the one in the manifest is there.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"

/** Installs what is missing, and returns the dependencies with their versions. */
export const installed = (home: string): Readonly<Record<string, string>> => {
  const { dependencies } = JSON.parse(readFileSync(`${home}/package.json`, "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  const isInstalled = Object.entries(dependencies).every(([name, version]) => {
    const manifest = `${home}/node_modules/${name}/package.json`
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === version
  })
  if (isInstalled) return dependencies
  const args = ["ci", "--prefix", home, "--no-audit", "--no-fund", "--loglevel=error"]
  const { error, status } = spawnSync("npm", args, { cwd: home, stdio: ["ignore", 2, 2] })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`npm ci failed with status ${status} in ${home}`)
  return dependencies
}
