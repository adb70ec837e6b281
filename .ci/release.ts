/**
 * `npm run release -- --dry-run`: all of a release but what others would see of it. It looks at the tree, the version and the
 * changelog, runs `npm run check`, packs, and says what would be published, under which tag, and by which commands.
 *
 * Only that: to publish is for whoever may, and the commands it prints are theirs to run.
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { decide } from "./changelog.ts"

const root = fileURLToPath(new URL("..", import.meta.url))

if (!process.argv.includes("--dry-run")) {
  console.error(
    "npm run release -- --dry-run says what a release would be, and the commands for it. It publishes nothing."
  )
  process.exit(2)
}

const problems: Array<string> = []
const missing: Array<string> = []

const read = (command: string, args: ReadonlyArray<string>): string => {
  const shell = process.platform === "win32"
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    cwd: root,
    shell,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${status}\n${stderr}`)
  return stdout
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly version: string
  readonly files: ReadonlyArray<string>
  readonly repository?: unknown
  readonly engines: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const title = (text: string) => console.log(`\n== ${text}`)

title("The tree")
const changed = read("git", ["status", "--porcelain"]).trimEnd()
const commit = read("git", ["rev-parse", "HEAD"]).trim()
console.log(changed === "" ? `clean, at ${commit}` : changed)
if (changed !== "") problems.push("the tree has changes that are not committed")

title("The version")
const release = decide({
  version: manifest.version,
  changelog: readFileSync(join(root, "CHANGELOG.md"), "utf8"),
  tags: read("git", ["tag", "--list"]).split("\n").filter((tag) => tag !== ""),
  date: new Date().toISOString().slice(0, 10)
})
console.log(`${manifest.name} ${release.version}, as ${release.distTag} on npm; the tag would be ${release.tag}`)
console.log(`CHANGELOG.md: "## Unreleased" would become "${release.heading}", with ${release.entries.length} entries`)
problems.push(...release.problems)

title("npm run check")
const { status } = spawnSync("npm", ["run", "check"], {
  cwd: root,
  shell: process.platform === "win32",
  stdio: "inherit"
})
if (status !== 0) problems.push("npm run check fails")

title("The package")
interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string; readonly size: number }>
}
// What it prints is a list, or with newer versions of npm a record by the name of the package.
const listed = JSON.parse(read("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"])) as
  | ReadonlyArray<Packed>
  | Readonly<Record<string, Packed>>
const [packed] = Object.values(listed)
const kib = (bytes: number) => `${(bytes / 1024).toFixed(0)} KiB`.padStart(10)
const folders = Map.groupBy(packed.files, ({ path }) => path.split("/")[0])
for (const [folder, files] of folders) {
  const size = files.reduce((sum, file) => sum + file.size, 0)
  console.log(`${kib(size)}  ${String(files.length).padStart(4)} ${files.length === 1 ? "file " : "files"}  ${folder}`)
}
console.log(`${kib(packed.unpackedSize)}  ${String(packed.files.length).padStart(4)} files  unpacked`)
console.log(`${kib(packed.size)}              ${packed.filename}`)
const known = new Set([...manifest.files.map((file) => file.split("/")[0]), "package.json", "README.md", "LICENSE"])
const unknown = packed.files.filter(({ path }) => !known.has(path.split("/")[0]))
if (unknown.length > 0) problems.push(`the package has ${unknown.map(({ path }) => path).join(", ")}`)
for (const file of known) {
  if (!folders.has(file)) problems.push(`the package lacks ${file}`)
}
const untyped = packed.files.filter(({ path }) =>
  /^dist\/.*\.js$/.test(path) && !packed.files.some((file) => file.path === path.replace(/\.js$/, ".d.ts"))
)
console.log(`types: ${untyped.length === 0 ? "each module has its declarations" : "missing"}`)
if (untyped.length > 0) problems.push(`there are no types for ${untyped.map(({ path }) => path).join(", ")}`)

title("Provenance")
// npm takes a statement of where a package was built from CI alone, and only for the repository that package.json names.
if (manifest.repository === undefined) {
  missing.push(
    "package.json names no repository: npm refuses --provenance without one, and its page cannot follow README's links"
  )
}
if (process.env["GITHUB_ACTIONS"] !== "true" && process.env["GITLAB_CI"] !== "true") {
  missing.push("this is not CI: npm gives provenance to what GitHub Actions (id-token: write) or GitLab CI have built")
}
console.log(
  missing.length === 0
    ? "npm would attest it"
    : missing.map((text) => `to publish, there is to be done: ${text}`).join("\n")
)

title("What would be done")
console.log(
  [
    `CHANGELOG.md: ${release.heading}, and an empty "## Unreleased" above it`,
    `git commit --all --message "Release ${release.version}"`,
    `git tag --annotate ${release.tag} --message "${manifest.name} ${release.version}"`,
    `git push --follow-tags`,
    `npm publish --provenance --access public --tag ${release.distTag}`
  ].join("\n")
)

if (problems.length > 0) {
  console.error(`\nIt must not be released:\n${problems.map((problem) => `- ${problem}`).join("\n")}`)
  process.exitCode = 1
} else {
  console.log("\nNothing stands against it. Nothing was published.")
}
