/**
 * The site: README, the book and the other pages, the examples and the reference, as HTML in `site/` that works from a file.
 * TypeDoc makes it. What it gets are the pages as `pages.ts` prepares them, and the sources; what is ours on top are links
 * between pages and reference in both directions, and the search. `check.ts` comes after it.
 */
import { renderMermaidSVG } from "beautiful-mermaid"
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { dirname, extname, join, posix } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import {
  Application,
  BaseRouter,
  Comment,
  CommentTag,
  type DeclarationReflection,
  DefaultTheme,
  JSX,
  MinimalSourceFile as Source,
  type NavigationElement,
  type NormalizedPath,
  OptionDefaults,
  type ProjectReflection,
  type Reflection,
  ReflectionKind,
  type Router,
  type RouterTarget
} from "typedoc"
import * as Pages from "./pages.ts"
import type * as Search from "./search.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const here = fileURLToPath(new URL(".", import.meta.url))
const stage = join(root, ".cache/book")
const out = join(root, "site")

const read = (file: string) => readFileSync(join(root, file), "utf8")
const glob = (pattern: string) => globSync(pattern, { cwd: root }).map((file) => file.replaceAll("\\", "/")).toSorted()

const manifest = JSON.parse(read("package.json")) as {
  readonly version: string
  readonly exports: Readonly<Record<string, unknown>>
}

/** The modules that can be imported. */
const closed = Object.entries(manifest.exports).flatMap(([path, to]) => to === null ? [path.slice(2, -1)] : [])
const modules = glob("src/**/*.ts").filter((file) => !closed.some((folder) => file.startsWith(`src/${folder}`)))

/** The pages, by the files they are made of: the text, and where it is in `site/`. */
const bookIndex = read("docs/README.md")
const around = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "bench/README.md"]
const written = new Map<string, string>()
for (const file of ["README.md", ...glob("docs/**/*.md"), ...around, ...glob("bench/results/*.md")]) {
  written.set(file, read(file))
}

const examples = glob("examples/**/*.ts")
for (const file of examples) written.set(file, Pages.source(file, read(file), "ts"))
written.set("LICENSE", Pages.source("LICENSE", read("LICENSE"), "text"))
written.set(
  "examples",
  `# Examples\n\nEach is a program of its own: \`npm run example ${
    examples[0]
  }\` runs one, and the tests run all of them.\n\n` +
    `| | |\n|---|---|\n` +
    examples.map((file) => `| [${file.replace("examples/", "")}](${file}) | ${Pages.summary(read(file))} |`).join("\n")
)

const stagedName = (file: string) => file.endsWith(".md") ? file : `${file}.md`

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

/** The places of the site are those of the repository: `docs/tls.md` is `docs/tls.html`. */
rmSync(stage, { recursive: true, force: true })
for (const [file, text] of written) {
  const path = join(stage, stagedName(file))
  mkdirSync(dirname(path), { recursive: true })
  const staged = Pages.staged(file, text, { draw, link: linked(file) })
  // The front page has no front matter.
  writeFileSync(path, file === "README.md" ? staged.replace(/^---\n[^]*?\n---\n/, "") : staged)
}

const placeOf = (file: string) => file === "README.md" ? "index.html" : `${file.replace(/\.(?:md|ts)$/, "")}.html`

/** The documents are named by their files, until they are read. */
const fileOf = new Map<Reflection, string>()

class PlaceRouter extends BaseRouter {
  protected getIdealBaseName(target: RouterTarget): string {
    const reflection = target as Reflection
    if (reflection.isDocument()) return placeOf(fileOf.get(reflection)!).slice(0, -".html".length)
    // A type may have the name of a value, and file systems may not tell Reconnecting from reconnecting.
    const isType = reflection.kindOf([ReflectionKind.Interface, ReflectionKind.TypeAlias])
    return `reference/${reflection.getFullName()}${isType ? ".type" : ""}`
  }
}

/** What has all modules under their names, and nothing of its own. */
const isEntry = (module: Reflection) => module.name === "effect-handshake" || module.name === "testing"

const moduleGroups: ReadonlyArray<readonly [string, RegExp]> = [
  ["Reference: modules", /^[A-Z]|^effect-handshake$/],
  ["Reference: protocols", /^protocols\//],
  ["Reference: Node", /^node\//],
  ["Reference: testing", /^testing/]
]

class BookTheme extends DefaultTheme {
  override buildNavigation(project: ProjectReflection): Array<NavigationElement> {
    const documents = new Map(project.documents?.map((document) => [fileOf.get(document)!, document]))
    const entry = (file: string, text?: string): NavigationElement => {
      const document = documents.get(file)!
      return { text: text ?? document.name, path: this.router.getFullUrl(document), kind: ReflectionKind.Document }
    }
    // The entry that has all of them comes first.
    const modulesOf = (name: RegExp) =>
      project.children!.filter((module) => name.test(module.name)).toSorted((a, b) =>
        Number(isEntry(b)) - Number(isEntry(a))
      ).map((module): NavigationElement => ({
        text: module.name,
        path: this.router.getFullUrl(module),
        kind: ReflectionKind.Module,
        children: module.children?.filter((child) => this.router.hasOwnDocument(child)).map((child) => ({
          text: child.name,
          path: this.router.getFullUrl(child),
          kind: child.kind
        })) ?? []
      }))
    return [
      entry("docs/README.md"),
      ...Pages.chapters(bookIndex).map(({ heading, pages }) => ({
        text: heading,
        children: pages.map((page) => entry(`docs/${page}`))
      })),
      { text: "The project", children: [entry("examples"), ...around.map((file) => entry(file))] },
      ...moduleGroups.map(([text, name]) => ({ text, children: modulesOf(name) }))
    ]
  }
}

/** What of markdown-it is made use of here. */
interface Token {
  readonly type: string
  content: string
  children: Array<Token> | null
}
interface Markdown {
  readonly core: {
    readonly ruler: {
      readonly push: (
        name: string,
        rule: (state: {
          readonly tokens: ReadonlyArray<Token>
          readonly Token: new(type: string, tag: string, nesting: number) => Token
        }) => void
      ) => void
    }
  }
}

const app = await Application.bootstrap({
  name: "effect-handshake",
  entryPoints: modules.map((file) => join(root, file)),
  tsconfig: join(here, "reference.json"),
  readme: join(stage, "README.md"),
  projectDocuments: Array.from(written.keys()).filter((file) => file !== "README.md").map((file) =>
    join(stage, stagedName(file))
  ),
  basePath: join(root, "src"),
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  disableGit: true,
  sourceLinkTemplate: "#{path}:{line}",
  categorizeByGroup: false,
  sort: ["source-order"],
  kindSortOrder: ["Module", "Function", "Variable", "Interface", "Class", "TypeAlias"],
  blockTags: [...OptionDefaults.blockTags, "@since", "@stability"],
  notRenderedTags: [...OptionDefaults.notRenderedTags, "@since"],
  headings: { document: false, readme: false },
  highlightLanguages: ["ts", "sh", "json", "rust", "text"],
  lightHighlightTheme: "github-light",
  darkHighlightTheme: "github-dark",
  customCss: join(here, "style.css"),
  hideGenerator: true,
  includeHierarchySummary: false,
  useFirstParagraphOfCommentAsSummary: true,
  githubPages: true,
  skipErrorChecking: true,
  validation: { notExported: false, invalidLink: true, invalidPath: true, rewrittenLink: true, notDocumented: false },
  logLevel: "Warn",
  // TypeDoc leaves words in code out of the anchors of headings; GitHub doesn't.
  markdownItLoader: (parser: Markdown) => {
    parser.core.ruler.push("code-in-headings", ({ Token, tokens }) => {
      for (const [position, token] of tokens.entries()) {
        if (tokens[position - 1]?.type !== "heading_open") continue
        token.children = token.children?.flatMap((child) => {
          if (child.type !== "code_inline") return [child]
          return [["html_inline", "<code>"], ["text", child.content], ["html_inline", "</code>"]].map((
            [type, content]
          ) => Object.assign(new Token(type, "", 0), { content }))
        }) ?? null
      }
    })
  }
})
app.renderer.defineRouter("place", PlaceRouter)
app.renderer.defineTheme("book", BookTheme)
app.options.setValue("router", "place")
app.options.setValue("theme", "book")

const since = performance.now()
const told = (what: string) => console.log(`${((performance.now() - since) / 1000).toFixed(1)} s: ${what}`)

// What a module says of itself stands at its top, above its imports: TypeDoc looks for it where a tag says so.
app.converter.on("createDeclaration", ({ project }, reflection) => {
  if (!reflection.kindOf(ReflectionKind.Module)) return
  const file = `src/${reflection.name}.ts`
  const { stability, text } = Pages.head(read(file))
  const { content } = app.converter.parseRawComment(new Source(text, file as NormalizedPath), project.files)
  reflection.comment = new Comment(content, [new CommentTag("@stability", [{ kind: "text", text: stability }])])
  if (reflection.name === "index") reflection.name = "effect-handshake"
})

const project = await app.convert()
if (project === undefined) throw new Error("TypeDoc could not read the sources")
for (const document of project.documents!) {
  fileOf.set(document, document.name)
  document.name = Pages.titleOf(written.get(document.name)!)
}
// What an entry lists is what each module says of itself.
for (const entry of project.children!.filter(isEntry)) {
  for (const child of entry.children ?? []) {
    const { comment } = child.isReference() ? child.getTargetReflectionDeep() : child
    child.comment = comment === undefined ? new Comment() : new Comment(comment.summary)
  }
}
told("the sources are read")

const documented = project.children!.flatMap((module) =>
  isEntry(module) ? [] : [
    module,
    ...module.children?.filter((child) => !child.isReference()) ?? []
  ]
)

/** `Client.reconnecting` and the like, by what one writes: the module's own name, without its folder. */
const exported = new Map<string, DeclarationReflection>()
for (const module of project.children!) {
  const short = module.name.split("/").at(-1)!
  if (module.name === "effect-handshake" || module.name === "testing") continue
  for (const [name, target] of [[module.name, module], [short, module]] as const) {
    if (!exported.has(name) || name === module.name) exported.set(name, target)
  }
  for (const child of module.children ?? []) {
    for (const name of [`${module.name}.${child.name}`, `${short}.${child.name}`]) {
      // What a module exports again is described where it comes from.
      const target = child.isReference() ? child.getTargetReflectionDeep() : child
      if (!exported.has(name)) exported.set(name, target as DeclarationReflection)
    }
  }
}

/** Where pages speak of what is exported: of each page the first section. */
const mentions = new Map<
  Reflection,
  Map<string, { readonly title: string; readonly url: string; readonly times: number }>
>()
for (
  const file of [
    "README.md",
    ...Pages.chapters(bookIndex).flatMap(({ pages }) => pages).map((page) => `docs/${page}`)
  ]
) {
  const text = written.get(file)!
  for (const section of Pages.sections(text)) {
    const names = `${section.text}\n${section.code}`.match(/\b[A-Z]\w+\.\w+/g) ?? []
    for (const name of names) {
      const target = exported.get(name)
      if (target === undefined) continue
      for (const reflection of [target, target.parent!]) {
        const places = mentions.get(reflection) ?? new Map()
        mentions.set(reflection, places)
        const title = Pages.titleOf(text)
        const url = section.anchor === "" ? placeOf(file) : `${placeOf(file)}#${section.anchor}`
        const known = places.get(file) ?? {
          title: section.anchor === "" || reflection !== target ? title : `${title}: ${section.heading}`,
          url: reflection === target ? url : placeOf(file),
          times: 0
        }
        places.set(file, { ...known, times: known.times + 1 })
      }
    }
  }
}

app.renderer.hooks.on("content.end", (context) => {
  const { model } = context.page
  const places = model.isProject() || model.isDocument() ? undefined : mentions.get(model)
  if (places === undefined) return JSX.createElement(JSX.Fragment, null)
  const first = Array.from(places.values()).sort((a, b) => b.times - a.times).slice(0, 8)
  return JSX.createElement(
    "section",
    { class: "tsd-panel in-the-book" },
    JSX.createElement("h4", null, "In the book"),
    JSX.createElement(
      "ul",
      null,
      ...first.map(({ title, url }) =>
        JSX.createElement("li", null, JSX.createElement("a", { href: context.relativeURL(url) }, title))
      )
    )
  )
})

// Names of exports in running text lead to the reference, and tables may be wider than a phone.
const untouched = /(<(?:a|pre|h[1-6]|script|summary|svg)\b[^>]*>[^]*?<\/(?:a|pre|h[1-6]|script|summary|svg)>)/
const sources = new Set<string>()
const urls = new Map<RouterTarget, string>()
app.renderer.on("endPage", (page) => {
  const router: Router = app.renderer.router!
  urls.set(page.model, page.url)
  const target = page.model
  // A source is told as its place in a file: those of this project become pages, and others are no link.
  const sourced = page.contents!.replaceAll(
    /<a href="#([^"]+\.ts):(\d+)"[^>]*>([^<]*)<\/a>/g,
    (_, file, line, told) => {
      if (file.startsWith("..")) return told.replace(/^.*node_modules\//, "")
      sources.add(file)
      return `<a href="${router.baseRelativeUrl(target, `${placeOf(`source/${file}`)}#L${line}`)}">${told}</a>`
    }
  )
  page.contents = sourced.split(untouched).map((part, position) =>
    position % 2 === 1 ?
      part :
      part.replaceAll(/<code>([A-Z]\w*(?:\.\w+)?|(?:node|protocols|testing)\/\w+)<\/code>/g, (code, name: string) => {
        const to = exported.get(name)
        if (to === undefined || to === target) return code
        return `<a class="to-reference" href="${router.baseRelativeUrl(target, router.getFullUrl(to))}">${code}</a>`
      }).replaceAll("<table>", "<div class=\"wide\"><table>").replaceAll("</table>", "</table></div>")
  ).join("")
})

rmSync(out, { recursive: true, force: true })
await app.generateDocs(project, out)
told("the pages are made")
if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error("TypeDoc has found something wrong")

const pagesOfSource = Array.from(sources).toSorted()
for (const file of pagesOfSource) {
  const path = join(out, placeOf(`source/${file}`))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, Pages.listing(`src/${file}`, read(`src/${file}`), "../".repeat(file.split("/").length)))
}

const textOf = (reflection: DeclarationReflection): string => {
  const comments = [reflection, ...reflection.signatures ?? [], ...reflection.children ?? []]
  return comments.flatMap((one) =>
    one.comment === undefined ? [] : [
      one === reflection || one.kindOf(ReflectionKind.CallSignature) ? "" : `${one.name}: `,
      Comment.combineDisplayParts(one.comment.summary)
    ]
  ).join(" ")
}

const entries: Array<Search.Entry> = [
  ...Array.from(written).flatMap(([file, text]) =>
    Pages.sections(text).map((section): Search.Entry => ({
      url: section.anchor === "" ? placeOf(file) : `${placeOf(file)}#${section.anchor}`,
      title: section.heading,
      page: Pages.titleOf(text),
      text: section.text,
      labels: section.labels,
      code: section.code.slice(0, 2_000),
      kind: file.startsWith("examples/") ? "example" : /^(?:docs\/(?!README)|README)/.test(file) ? "page" : "around"
    }))
  ),
  ...Pages.questions(bookIndex).map(([question, to]): Search.Entry => {
    const [path, anchor] = to.split("#")
    const file = posix.join("docs", path)
    return {
      url: anchor === undefined ? placeOf(file) : `${placeOf(file)}#${anchor}`,
      title: question,
      page: Pages.titleOf(written.get(file)!),
      text: "",
      code: "",
      kind: "question"
    }
  }),
  ...Pages.terms(read("docs/glossary.md")).map(([word, meaning]): Search.Entry => ({
    url: placeOf("docs/glossary.md"),
    title: word,
    page: "Glossary",
    text: meaning,
    code: "",
    kind: "term"
  })),
  ...documented.map((reflection): Search.Entry => {
    const [text, ...code] = textOf(reflection).split("```")
    const isModule = reflection.kindOf(ReflectionKind.Module)
    return {
      url: urls.get(reflection)!,
      title: isModule ? reflection.name : `${reflection.parent!.name.split("/").at(-1)}.${reflection.name}`,
      page: isModule ? "Module" : `${ReflectionKind.singularString(reflection.kind)} of ${reflection.parent!.name}`,
      text: Pages.plain(text),
      code: code.join("").slice(0, 1_000),
      kind: "reference"
    }
  })
]

const bundle = await rolldown({ input: join(here, "browser.ts"), platform: "browser" })
const { output: [{ code }] } = await bundle.generate({ format: "iife", minify: true })
await bundle.close()
writeFileSync(join(out, "assets/search.js"), `globalThis.siteEntries = ${JSON.stringify(entries)};\n${code}`)
told(`${entries.length} entries can be found`)
