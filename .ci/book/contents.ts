/** Which files the site is made of, and how they are prepared for TypeDoc: in a folder of their own, by `pages.ts`. */
import { renderMermaidSVG } from "beautiful-mermaid"
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, extname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"
import * as Pages from "./pages.ts"

export const root = fileURLToPath(new URL("../..", import.meta.url))
export const stage = join(root, ".cache/book")
export const out = join(root, "site")

export const read = (file: string) => readFileSync(join(root, file), "utf8")
const glob = (pattern: string) => globSync(pattern, { cwd: root }).map((file) => file.replaceAll("\\", "/")).toSorted()

const manifest = JSON.parse(read("package.json")) as {
  readonly exports: Readonly<Record<string, unknown>>
}

const closed = Object.entries(manifest.exports).flatMap(([path, to]) => to === null ? [path.slice(2, -1)] : [])

/** The modules that can be imported. */
export const modules = glob("src/**/*.ts").filter((file) => !closed.some((folder) => file.startsWith(`src/${folder}`)))

/** The index of the book. */
export const bookIndex = read("docs/README.md")

/** The chapters of the book, with the files of their pages. */
export const chapters = Pages.chapters(bookIndex).map(({ heading, pages }) => ({
  heading,
  pages: pages.map((page) => posix.join("docs", page))
}))

/** What is written around the book. */
export const around = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md"]

/** The text of each page, by the file that it is made of. */
export const written = new Map<string, string>()
for (const file of ["README.md", ...glob("docs/**/*.md"), ...around, ...glob("bench/results/*.md")]) {
  written.set(file, read(file))
}

const examples = glob("examples/**/*.ts")
for (const file of examples) written.set(file, Pages.source(file, read(file), "ts"))
written.set("LICENSE", Pages.source("LICENSE", read("LICENSE"), "text"))
written.set(
  "examples",
  `# Examples\n\nEach is a program of its own. [Copied out of the package](README.md#run-the-examples), \`node ${
    examples.find((file) => file.split("/").length === 2)
  }\` runs one.\n\n` +
    `| | |\n|---|---|\n` +
    examples.map((file) => `| [${file.replace("examples/", "")}](${file}) | ${Pages.summary(read(file))} |`).join("\n")
)

export const stagedName = (file: string) => file.endsWith(".md") ? file : `${file}.md`

/**
 * Where links of a page lead, which are relative to it. A source becomes a page when something links to it; what is no page,
 * pictures say, is copied beside it.
 */
const linked = (from: string) => (to: string): string => {
  const [place, anchor] = to.split("#")
  if (/^[a-z]+:/.test(to) || place === "") return to
  const folder = from === "examples" ? "." : posix.dirname(from)
  const file = posix.normalize(posix.join(folder, place)).replace(/\/$/, "")
  if (file.startsWith("src/") && modules.includes(file)) return to
  const path = join(root, file)
  if (!written.has(file)) {
    if (!existsSync(path)) return to
    if (statSync(path).isDirectory()) {
      return file.startsWith("examples/")
        ? linked(from)(posix.relative(folder, "examples"))
        : to
    }
    if (!/\.(?:ts|js|json|sh|txt)$/.test(file)) {
      mkdirSync(dirname(join(stage, file)), { recursive: true })
      copyFileSync(path, join(stage, file))
      return to
    }
    written.set(file, Pages.source(file, read(file), extname(file).slice(1)))
  }
  return posix.relative(folder, stagedName(file)) + (anchor === undefined ? "" : `#${anchor}`)
}

const draw = (diagram: string) =>
  renderMermaidSVG(diagram, {
    bg: "var(--color-background)",
    fg: "var(--color-text)",
    transparent: true,
    line: "var(--color-text)",
    muted: "var(--color-text)",
    font: "Arial, Helvetica, sans-serif"
  }).replaceAll(/@import url\([^)]*\);?/g, "")

/** Where a page is in the site: in the place of its file in the repository. `docs/tls.md` is `docs/tls.html`. */
export const placeOf = (file: string) =>
  file === "README.md" ? "index.html" : `${file.replace(/\.(?:md|ts)$/, "")}.html`

/** Writes all pages to where TypeDoc reads them. */
export const prepare = (): void => {
  rmSync(stage, { recursive: true, force: true })
  for (const [file, text] of written) {
    const path = join(stage, stagedName(file))
    mkdirSync(dirname(path), { recursive: true })
    const staged = Pages.staged(file, text, { draw, link: linked(file) })
    // The front page has no front matter.
    writeFileSync(path, file === "README.md" ? staged.replace(/^---\n[^]*?\n---\n/, "") : staged)
  }
}
