/**
 * The site: README, the book and the other pages, the examples and the reference, as HTML in `site/` that works from a file.
 * TypeDoc makes it. What it gets are the pages as `pages.ts` prepares them, and the sources; what is ours on top are links
 * between pages and reference in both directions, and the search. `check.ts` comes after it.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import {
  Application,
  Comment,
  CommentTag,
  JSX,
  MinimalSourceFile as Source,
  type NormalizedPath,
  OptionDefaults,
  ReflectionKind,
  type Router,
  type RouterTarget
} from "typedoc"
import * as Contents from "./contents.ts"
import { entries } from "./entries.ts"
import * as Functions from "./functions.ts"
import * as Names from "./names.ts"
import * as Pages from "./pages.ts"
import * as Theme from "./theme.ts"

const here = fileURLToPath(new URL(".", import.meta.url))

/** What of markdown-it is made use of here. */
interface Token {
  readonly type: string
  content: string
  children: Array<Token> | null
}
interface Markdown {
  readonly linkify: { readonly set: (options: { readonly fuzzyLink: boolean }) => void }
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

Contents.prepare()

const app = await Application.bootstrap({
  name: "effect-handshake",
  entryPoints: Contents.modules.map((file) => join(Contents.root, file)),
  tsconfig: join(here, "reference.json"),
  readme: join(Contents.stage, "README.md"),
  projectDocuments: Array.from(Contents.written.keys()).filter((file) => file !== "README.md").map((file) =>
    join(Contents.stage, Contents.stagedName(file))
  ),
  basePath: join(Contents.root, "src"),
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
  markdownItLoader: (parser: Markdown) => {
    // The name of a file, CHANGELOG.md say, is no host: what is to be a link says so.
    parser.linkify.set({ fuzzyLink: false })
    // TypeDoc leaves words in code out of the anchors of headings; GitHub doesn't.
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
app.renderer.defineRouter("place", Theme.PlaceRouter)
app.renderer.defineTheme("book", Theme.BookTheme)
app.options.setValue("router", "place")
app.options.setValue("theme", "book")

const since = performance.now()
const told = (what: string) => console.log(`${((performance.now() - since) / 1000).toFixed(1)} s: ${what}`)

// What a module says of itself stands at its top, above its imports: TypeDoc looks for it where a tag says so.
app.converter.on("createDeclaration", ({ project }, reflection) => {
  if (!reflection.kindOf(ReflectionKind.Module)) return
  const file = `src/${reflection.name}.ts`
  const { stability, text } = Pages.head(Contents.read(file))
  const { content } = app.converter.parseRawComment(new Source(text, file as NormalizedPath), project.files)
  reflection.comment = new Comment(content, [new CommentTag("@stability", [{ kind: "text", text: stability }])])
  if (reflection.name === "index") reflection.name = "effect-handshake"
})

Functions.prepare(app.converter)

const project = await app.convert()
if (project === undefined) throw new Error("TypeDoc could not read the sources")
const untold = Functions.untold(project)
if (untold.length > 0) throw new Error(`nothing is said of these options:\n${untold.join("\n")}`)
Functions.placeComments(project)
Functions.nameServices(project)
for (const document of project.documents!) {
  Theme.fileOf.set(document, document.name)
  document.name = Pages.titleOf(Contents.written.get(document.name)!)
}
// What an entry lists is what each module says of itself.
for (const entry of project.children!.filter(Theme.isEntry)) {
  for (const child of entry.children ?? []) {
    const { comment } = child.isReference() ? child.getTargetReflectionDeep() : child
    child.comment = comment === undefined ? new Comment() : new Comment(comment.summary)
  }
}
told("the sources are read")

const exported = Names.exported(project)
const mentions = Names.mentions(exported)

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
      return `<a href="${router.baseRelativeUrl(target, `${Contents.placeOf(`source/${file}`)}#L${line}`)}">${told}</a>`
    }
  )
    // The front page is a file, where a site is opened from files.
    .replaceAll(/href="((?:\.\.?\/)+)#/g, "href=\"$1index.html#")
    // A type parameter of which nothing is said has no place of its own: it is what the signature has.
    .replaceAll(/<a (class="[^"]*tsd-kind-type-parameter[^"]*")[^>]*>([^<]*)<\/a>/g, "<span $1>$2</span>")
  // The reasons of an error stand in tables of their own, by their tags alone.
  let errors = "HandshakeError"
  const tagged = sourced.replaceAll(/<table>[^]*?<\/table>/g, (table) => {
    errors = /<th>[^<]*<code>((?:Handshake|Transport)Error)<\/code>/.exec(table)?.[1] ?? errors
    return table.replaceAll(/(<tr>\s*<td>)(<code>([A-Z]\w*)<\/code>)/g, (cell, before, code, tag) => {
      const to = exported.get(tag) === undefined ? exported.get(`${errors}.${tag}`) : undefined
      if (to === undefined) return cell
      return `${before}<a class="to-reference" href="${
        router.baseRelativeUrl(target, router.getFullUrl(to))
      }">${code}</a>`
    })
  })
  page.contents = tagged.split(untouched).map((part, position) =>
    position % 2 === 1 ?
      part :
      part.replaceAll(/<code>([A-Z]\w*(?:\.\w+)?|(?:node|protocols|testing)\/\w+)<\/code>/g, (code, name: string) => {
        const to = exported.get(name)
        if (to === undefined || to === target) return code
        return `<a class="to-reference" href="${router.baseRelativeUrl(target, router.getFullUrl(to))}">${code}</a>`
      }).replaceAll("<table>", "<div class=\"wide\"><table>").replaceAll("</table>", "</table></div>")
  ).join("")
})

rmSync(Contents.out, { recursive: true, force: true })
await app.generateDocs(project, Contents.out)
told("the pages are made")
if (app.logger.hasErrors() || app.logger.hasWarnings()) throw new Error("TypeDoc has found something wrong")

for (const file of sources) {
  const path = join(Contents.out, Contents.placeOf(`source/${file}`))
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, Pages.listing(`src/${file}`, Contents.read(`src/${file}`), "../".repeat(file.split("/").length)))
}

const found = entries(Names.documented(project), urls)
const bundle = await rolldown({ input: join(here, "browser.ts"), platform: "browser" })
const { output: [{ code }] } = await bundle.generate({ format: "iife", minify: true })
await bundle.close()
writeFileSync(join(Contents.out, "assets/search.js"), `globalThis.siteEntries = ${JSON.stringify(found)};\n${code}`)
told(`${found.length} entries can be found`)
