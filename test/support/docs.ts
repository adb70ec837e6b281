/**
 * The examples of the documentation, compiled and run.
 *
 * An example is a `ts` fence in a Markdown file, or in a JSDoc comment. It is a module of its own: it imports what it
 * uses, and may await at its top level. Each `// => text` is a line that it has to print, in order; without any, it just
 * has to come to its end. `ts no-run` is compiled only.
 *
 * `ts examples/FILE.ts` is a quotation, a part of that program, and `text examples/FILE.ts` a part of what that prints.
 */
import { spawn } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, normalize, posix, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { format } from "node:util"
import { parseAst } from "vitest/node"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/** Inside the project, for the imports of the examples to resolve, and ignored by git. */
const cache = join(root, ".cache/docs")

export interface Fence {
  readonly file: string
  /** The line of the file that opens the fence. Line n of the code is n lines below it. */
  readonly line: number
  readonly title: string
  readonly language: "ts" | "text"
  readonly tag: string
  readonly code: string
}

export const nameOf = (fence: Fence): string => `${fence.file}:${fence.line} ${fence.title}`.trimEnd()

const isProgram = (tag: string): boolean => tag.startsWith("examples/")

const fencesIn = (file: string, lines: Iterable<readonly [line: number, text: string]>, titles: RegExp) => {
  const fences: Array<Fence> = []
  let title = ""
  let open: { line: number; info: string; indent: string; code: Array<string> } | undefined
  for (const [line, text] of lines) {
    const fence = /^(\s*)```(.*)$/.exec(text)
    if (open !== undefined) {
      if (fence === null) {
        open.code.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text.trimStart())
        continue
      }
      const [language, ...rest] = open.info.trim().split(/\s+/)
      const tag = rest.join(" ")
      const code = open.code.join("\n") + "\n"
      if (language === "ts" || language === "typescript") {
        fences.push({ file, line: open.line, title, language: "ts", tag, code })
      } else if (language === "text" && isProgram(tag)) {
        fences.push({ file, line: open.line, title, language, tag, code })
      }
      open = undefined
    } else if (fence !== null) {
      open = { line, info: fence[2], indent: fence[1], code: [] }
    } else {
      title = titles.exec(text)?.[1].trim() ?? title
    }
  }
  if (open !== undefined) throw new Error(`${file}:${open.line} has a fence without an end`)
  return fences
}

/** The title of a fence is the heading above it. */
export const fencesInMarkdown = (file: string, text: string): ReadonlyArray<Fence> =>
  fencesIn(file, text.split("\n").map((line, index) => [index + 1, line] as const), /^#+ (.*)$/)

/** The title of a fence is that of the `**Example** (Title)` above it. */
export const fencesInJsDoc = (file: string, text: string): ReadonlyArray<Fence> => {
  const fences: Array<Fence> = []
  for (const comment of text.matchAll(/^[ \t]*\/\*\*$[^]*?\*\//gm)) {
    const first = text.slice(0, comment.index).split("\n").length
    const lines = comment[0].split("\n").map((line, index) => [first + index, line.replace(/^\s*\* ?/, "")] as const)
    fences.push(...fencesIn(file, lines, /^\*\*Example\*\* \((.*)\)/))
  }
  return fences
}

/** What is in front of, between and behind the fences of a Markdown file. */
const prose = (text: string) => text.replaceAll(/^[ \t]*```.*\n[^]*?^[ \t]*```[ \t]*$/gm, "")

/** The anchors of a Markdown file, as GitHub makes them of its headings. */
export const anchorsOf = (text: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const [, heading] of prose(text).matchAll(/^#+ (.*)$/gm)) {
    const words = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").trim().toLowerCase()
    const anchor = words.replaceAll(/[^\p{Letter}\p{Number}_\- ]/gu, "").replaceAll(" ", "-")
    let name = anchor
    for (let n = 1; anchors.has(name); n++) name = `${anchor}-${n}`
    anchors.add(name)
  }
  return anchors
}

/** The cells of each row of the first table whose first column has this heading. */
export const rowsOf = (text: string, heading: string): ReadonlyArray<ReadonlyArray<string>> => {
  const cells = (line: string) => line.slice(1, -1).split(/(?<!\\)\|/).map((cell) => cell.trim())
  const lines = text.split("\n")
  const first = lines.findIndex((line) => line.startsWith("|") && cells(line)[0] === heading)
  if (first === -1) throw new Error(`there is no table with a column ${heading}`)
  const rows = lines.slice(first + 2)
  const end = rows.findIndex((line) => !line.startsWith("|"))
  return rows.slice(0, end === -1 ? undefined : end).map(cells)
}

/** Where the links of a Markdown file lead that do not leave the project. */
export const linksIn = (text: string): ReadonlyArray<string> =>
  Array.from(prose(text).replaceAll(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g), ([, link]) => link)
    .filter((link) => !/^[a-z]+:/.test(link))

/** The links of a file that lead nowhere: to a file that is not there, or to a heading that the file does not have. */
export const deadLinks = (
  file: string,
  text: string,
  read: (file: string) => string | undefined
): ReadonlyArray<string> =>
  linksIn(text).filter((link) => {
    const [path, anchor] = link.split("#")
    const to = path === "" ? text : read(posix.join(posix.dirname(file), path))
    return to === undefined || (anchor !== undefined && !anchorsOf(to).has(anchor))
  })

export const read = (file: string): string => readFileSync(join(root, file), "utf8")
export const glob = (pattern: string) =>
  globSync(pattern, { cwd: root }).toSorted().map((file) => file.replaceAll("\\", "/"))

/** The pages that are read: README, and those of the documentation. */
export const pages = (): ReadonlyArray<string> => ["README.md", ...glob("docs/**/*.md")]

/** The examples of the whole documentation. */
export const documented = (): ReadonlyArray<Fence> => [
  ...pages().flatMap((file) => fencesInMarkdown(file, read(file))).filter(({ tag }) => !isProgram(tag)),
  ...glob("src/**/*.ts").flatMap((file) => fencesInJsDoc(file, read(file)))
]

/** What pages quote of programs. */
export const quotations = (): ReadonlyArray<Fence> =>
  pages().flatMap((file) => fencesInMarkdown(file, read(file))).filter(({ tag }) => isProgram(tag))

/** Whether lines stand in a text, one below the other, all of them indented by the same. */
export const standsIn = (quoted: string, text: string): boolean => {
  const [first, ...others] = quoted.trimEnd().split("\n")
  const lines = text.split("\n")
  return lines.some((line, at) => {
    const indent = line.slice(0, line.length - first.length)
    return indent.trim() === "" && line === indent + first &&
      others.every((other, i) => lines[at + 1 + i] === (other === "" ? "" : indent + other))
  })
}

/** Whether what is quoted stands in the program, or is printed by it. */
export const isQuotation = ({ code, language, tag }: Fence): boolean => {
  const text = read(tag)
  return standsIn(code, language === "ts" ? text : expectedLines(text).join("\n"))
}

/** What the harness is tried on. */
export const fixture = (line: number, code: string): Fence => ({
  file: "fixture.md",
  line,
  title: "",
  language: "ts",
  tag: "",
  code
})

/** The fixture that does as it says. */
export const passing = fixture(
  10,
  `import * as Effect from "effect/Effect"

console.log("one") // => one
console.log({ two: 2 }) // => { two: 2 }
console.log("three\\n\\nfour")
// => three
// =>
// => four
Effect.runPromise(Effect.delay(Effect.succeed("five"), "20 millis")).then(
  console.log // => five
)
Effect.succeed("six").pipe(Effect.runPromise).then(console.log) // => six
const unused = await Effect.runPromise(Effect.succeed(7))
`
)

/** What the `// =>` comments of some code expect it to print. */
export const expectedLines = (code: string): ReadonlyArray<string> =>
  Array.from(code.matchAll(/\/\/ =>(?: (.*))?$/gm), (match) => (match[1] ?? "").trimEnd())

/** The difference between what was expected and what was printed, or undefined. */
export const difference = (expected: ReadonlyArray<string>, output: string): string | undefined => {
  const printed = output === "" ? [] : output.replace(/\n$/, "").split("\n").map((line) => line.trimEnd())
  if (expected.length === 0 || expected.join("\n") === printed.join("\n")) return undefined
  const show = (lines: ReadonlyArray<string>) => lines.map((line) => `\n  ${line}`).join("") || "\n  (nothing)"
  return `expected to print${show(expected)}\nbut printed${show(printed)}`
}

// A statement that is just an expression is awaited, so `Effect.runPromise(program)` is over before the fence is.
const awaited = (code: string) => {
  let out = ""
  let end = 0
  for (const statement of parseAst(code, { lang: "ts" }).body) {
    if (statement.type !== "ExpressionStatement") continue
    const { expression } = statement
    out += `${code.slice(end, expression.start)}await (${code.slice(expression.start, expression.end)})`
    end = expression.end
  }
  return out + code.slice(end)
}

const pathOf = (fence: Fence, kind: "check" | "run") =>
  join(cache, kind, `${fence.file.replaceAll(/[^\w.-]/g, "_")}.${fence.line}.ts`)

/**
 * Compiles all fences, in one go and as strictly as the sources, except that a fence may leave a name unused.
 * Returns the errors of each fence that has any. One test file compiles, for most of the work is the sources and Effect.
 */
export const compile = async (fences: ReadonlyArray<Fence>): Promise<ReadonlyMap<Fence, ReadonlyArray<string>>> => {
  const errors = new Map<Fence, Array<string>>()
  const folder = join(cache, "check")
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const fence of fences) writeFileSync(pathOf(fence, "check"), fence.code)
  const config = {
    extends: "../../../tsconfig.json",
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false },
    include: ["*.ts"]
  }
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config))
  const { code, output } = await spawned([
    join(root, "node_modules/typescript/bin/tsc"),
    "--project",
    folder,
    "--pretty",
    "false",
    // Its threads do much of the work several times over, and other tests have the other cores.
    "--singleThreaded"
  ])
  // Errors elsewhere, in the sources say, are for `npm run check` to tell.
  const byPath = new Map(fences.map((fence) => [relative(root, pathOf(fence, "check")), fence]))
  let current: Array<string> | undefined
  let understood = false
  for (const line of output.split("\n")) {
    const match = /^(\S.*?)\((\d+),(\d+)\): (error .*)$/.exec(line)
    if (match === null) {
      // The further lines of a message are indented.
      if (/^\s+\S/.test(line)) current?.push(line)
      continue
    }
    understood = true
    const fence = byPath.get(normalize(match[1]))
    current = undefined
    if (fence === undefined) continue
    current = errors.get(fence) ?? []
    errors.set(fence, current)
    current.push(`${fence.file}:${fence.line + Number(match[2])}:${match[3]} ${match[4]}`)
  }
  if (code !== 0 && !understood) throw new Error(`tsc ended with ${code}:\n${output}`)
  return errors
}

let runs = 0

/** Runs a fence to its end, and compares what it printed with what it says it prints. */
export const run = async (fence: Fence): Promise<void> => {
  const path = pathOf(fence, "run")
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, awaited(fence.code))
  let output = ""
  const { log } = console
  console.log = (...args: ReadonlyArray<unknown>) => {
    output += format(...args) + "\n"
  }
  try {
    // A module runs once, so each run is of a module of its own.
    await import(/* @vite-ignore */ `${path}?run=${++runs}`)
  } catch (error) {
    throw new Error(`${nameOf(fence)} failed after printing ${JSON.stringify(output)}`, { cause: error })
  } finally {
    console.log = log
  }
  const problem = difference(expectedLines(fence.code), output)
  if (problem !== undefined) throw new Error(`${nameOf(fence)} was ${problem}`)
}

/** Runs Node in the project, and collects what it prints. */
export const spawned = (args: ReadonlyArray<string>, timeout = 60_000) =>
  new Promise<{ readonly code: number | null; readonly output: string; readonly errors: string }>((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: root, timeout, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    let errors = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk))
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (errors += chunk))
    child.on("error", reject).on("close", (code) => resolve({ code, output, errors }))
  })

/** Loads what a program declares, and does nothing of what it does: all that it names at its top, exported or not. */
export const declaredIn = async (
  file: string,
  line: number,
  code: string
): Promise<Readonly<Record<string, unknown>>> => {
  const names: Array<string> = []
  let out = ""
  for (const statement of parseAst(code, { lang: "ts" }).body) {
    const inner = statement.type === "ExportNamedDeclaration" ? statement.declaration : statement
    const text = inner === null ? "" : code.slice(inner.start, inner.end)
    if (statement.type === "ImportDeclaration") {
      // It stands elsewhere now.
      out += text.replace(/"(\.[^"]*)"/, (_, path: string) => JSON.stringify(join(root, dirname(file), path))) + "\n"
    } else if (inner?.type === "ClassDeclaration" && inner.id !== null) {
      names.push(inner.id.name)
      out += text + "\n"
    } else if (inner?.type === "VariableDeclaration" && !/\bawait\b/.test(text)) {
      for (const { id } of inner.declarations) if (id.type === "Identifier") names.push(id.name)
      out += text + "\n"
    } else if (inner?.type === "FunctionDeclaration" || inner?.type.startsWith("TS") === true) out += text + "\n"
  }
  const path = join(cache, "declared", `${file.replaceAll(/[^\w.-]/g, "_")}.${line}.ts`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${out}export { ${names.join(", ")} }\n`)
  return await import(/* @vite-ignore */ path) as Readonly<Record<string, unknown>>
}
