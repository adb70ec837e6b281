// Runs before every npm script that needs node_modules. Silent and quick when there is nothing to do.
// It has to run on whatever Node the machine has, so: plain JavaScript, no imports beyond Node's own.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

const packagesOf = (file) => JSON.parse(readFileSync(root + file, "utf8")).packages

/** The oldest Node that package.json says Effect runs on. */
const nodeIsNewEnough = () => {
  const [major, minor] = process.versions.node.split(".").map(Number)
  return major > 22 || (major === 22 && minor >= 19)
}

// npm notes what it installed in node_modules/.package-lock.json, last of all: that file is the stamp. What it holds is
// compared, not its age, for a checkout changes ages.
const upToDate = () => {
  if (!existsSync(root + "node_modules/.package-lock.json")) return false
  const installed = packagesOf("node_modules/.package-lock.json")
  return Object.entries(packagesOf("package-lock.json")).every(([path, wanted]) => {
    if (path === "") return true
    const found = installed[path]
    // A package for another platform is in the lock file only.
    return found === undefined ? wanted.optional === true : found.version === wanted.version
  })
}

// The package `node` brings Node 24 for npm scripts by its install script. Where Node is new enough it isn't wanted, and
// nothing else needs an install script.
const scripts = !nodeIsNewEnough()
const hasNode = !scripts || existsSync(root + "node_modules/node/bin")

if (!upToDate() || !hasNode) {
  process.stderr.write("Installing dependencies (npm ci)\n")
  const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error", ...(scripts ? [] : ["--ignore-scripts"])]
  const npm = process.env.npm_execpath
  // Standard output belongs to the script that comes next, so npm's goes to standard error.
  const options = { cwd: root, stdio: ["ignore", 2, 2] }
  const result = npm !== undefined && /npm-cli\.c?js$/.test(npm)
    ? spawnSync(process.execPath, [npm, ...args], options)
    : spawnSync("npm", args, { ...options, shell: process.platform === "win32" })
  if (result.error !== undefined) throw result.error
  process.exitCode = result.status ?? 1
}
