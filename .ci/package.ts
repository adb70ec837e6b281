/**
 * Checks the package as its users get it: packs it, installs the tarball into an empty project, and there lints it,
 * type-checks and imports each of its modules, and runs its command. Comes after `npm run build`, and needs no network.
 */
import { spawnSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly name: string
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
  readonly peerDependencies: Readonly<Record<string, string>>
}

const check = (condition: boolean, problem: string) => {
  if (!condition) throw new Error(problem)
}

const run = (command: string, args: ReadonlyArray<string>, cwd: string) => {
  const shell = process.platform === "win32"
  const { error, status, stderr, stdout } = spawnSync(command, args, { cwd, shell, encoding: "utf8", timeout: 120_000 })
  if (error !== undefined) throw error
  return { code: status, output: stdout, all: stdout + stderr }
}

const succeed = (command: string, args: ReadonlyArray<string>, cwd: string) => {
  const { all, code, output } = run(command, args, cwd)
  check(code === 0, `${command} ${args.join(" ")} ended with ${code}\n${all}`)
  return output
}

const bin = (name: string) => join(root, "node_modules/.bin", name)

const temporary = mkdtempSync(join(realpathSync(tmpdir()), `${manifest.name}-`))
try {
  // A project that has the package and its peers, and nothing else. The peers are this project's own.
  const consumer = join(temporary, "consumer")
  const modules = join(consumer, "node_modules")
  mkdirSync(consumer)
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ name: "consumer", private: true, type: "module" }))
  succeed("npm", ["pack", "--ignore-scripts", "--pack-destination", temporary], root)
  const tarball = join(temporary, readdirSync(temporary).find((file) => file.endsWith(".tgz"))!)
  succeed("npm", ["install", tarball, "--offline", "--legacy-peer-deps", "--no-audit", "--no-fund"], consumer)
  for (const peer of [...Object.keys(manifest.peerDependencies), "@types/node"]) {
    mkdirSync(dirname(join(modules, peer)), { recursive: true })
    symlinkSync(join(root, "node_modules", peer), join(modules, peer), "junction")
  }

  const installed = join(modules, manifest.name)
  const files = readdirSync(installed, { recursive: true, encoding: "utf8" }).map((file) => file.replaceAll("\\", "/"))
  const scripts = files.filter((file) => file.startsWith("dist/") && file.endsWith(".js")).toSorted()
  const closed = Object.entries(manifest.exports).flatMap(([path, to]) => to === null ? [path.slice(1, -1)] : [])
  const isHidden = (file: string) => closed.some((folder) => file.startsWith(`dist${folder}`))
  const entryOf = (file: string) => file.replace(/^dist/, ".").replace(/(?:\/index)?\.js$/, "")
  const specifierOf = (file: string) => posix.join(manifest.name, entryOf(file))
  const open = scripts.filter((file) => !isHidden(file))
  const hidden = scripts.filter(isHidden)
  check(open.length > 0, "the package has no modules: is it built?")
  console.log(`${manifest.name} ${manifest.version}: ${open.length} modules, ${hidden.length} hidden ones`)

  // Debuggers and editors follow the maps to the sources.
  for (const file of files.filter((file) => file.endsWith(".map"))) {
    const map = JSON.parse(readFileSync(join(installed, file), "utf8")) as { readonly sources: ReadonlyArray<string> }
    for (const source of map.sources) {
      const path = posix.join(posix.dirname(file), source)
      check(files.includes(path), `${file} points to ${path}, which the package lacks`)
    }
  }

  // What is read in the package links to what is in the package.
  for (const page of files.filter((file) => /^(?:[A-Z]+|docs\/.+)\.md$/.test(file))) {
    for (const [, link] of readFileSync(join(installed, page), "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
      check(existsSync(join(installed, dirname(page), link)), `${page} links to ${link}, which the package lacks`)
    }
  }
  console.log("links: fine")

  succeed(bin("publint"), ["run", tarball, "--strict"], root)
  console.log("publint: no problems")
  const entries = ["--entrypoints", ...open.map(entryOf), "./package.json"]
  succeed(bin("attw"), [tarball, "--profile", "esm-only", "--no-definitely-typed", ...entries], root)
  console.log("are the types wrong: no")

  // The types, with those of the declarations
  const imports = open.map((file, index) => `import * as module${index} from "${specifierOf(file)}"`)
  const use = `for (const module of [${open.map((_, index) => `module${index}`).join(", ")}]) Object.keys(module)`
  writeFileSync(join(consumer, "consumer.ts"), [...imports, use, ""].join("\n"))
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    module: "NodeNext",
    target: "ES2022",
    lib: ["ES2024"],
    types: ["node"],
    skipLibCheck: false
  }
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }))
  const types = run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--pretty", "false"], consumer)
  const errors = types.output.split(/\n(?=\S)/).filter((error) => error.trim() !== "")
  // The peers' declarations are linked from outside the consumer, and not ours to check.
  const ours = errors.filter((error) => !/^(?:\.\.\/|\/|[A-Z]:)/i.test(error))
  check(ours.length === 0 && (types.code === 0 || errors.length > 0), `the types have errors\n${ours.join("\n")}`)
  console.log(`types: no errors${errors.length > 0 ? `, but ${errors.length} in what the peers declare` : ""}`)

  // The modules, and the command
  succeed(process.execPath, ["consumer.js"], consumer)
  for (const specifier of hidden.map(specifierOf)) {
    const { all, code } = run(process.execPath, ["--input-type=module", "--eval", `import "${specifier}"`], consumer)
    check(code !== 0 && all.includes("ERR_PACKAGE_PATH_NOT_EXPORTED"), `${specifier} can be imported`)
  }
  // What is no business of Node's needs nothing of Node's.
  const platform = join(modules, "@effect/platform-node")
  rmSync(platform)
  const core = open.filter((file) => !file.startsWith("dist/node/")).map(specifierOf)
  succeed(
    process.execPath,
    ["--input-type=module", "--eval", core.map((specifier) => `import "${specifier}"`).join("\n")],
    consumer
  )
  symlinkSync(join(root, "node_modules/@effect/platform-node"), platform, "junction")
  for (const name of Object.keys(manifest.bin)) {
    const output = succeed(join(modules, ".bin", name), ["--version"], consumer)
    check(output.includes(manifest.version), `${name} --version printed ${output}`)
  }
  console.log("imports and command: fine")
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
