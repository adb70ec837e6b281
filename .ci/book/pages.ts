/**
 * The pages of the site as they are written: which there are, their headings and sections, and what becomes of their text
 * before it is rendered. Nothing here reads a file.
 */

/** What stands under one heading of a page. */
export interface Section {
  readonly heading: string
  /** Empty for what stands under the title of the page. */
  readonly anchor: string
  readonly text: string
  /** What stands in bold at the beginning of its paragraphs. */
  readonly labels: string
  readonly code: string
}

/** The lines of a text, each with whether it belongs to a fence. */
const fenced = (text: string): ReadonlyArray<readonly [line: string, inFence: boolean]> => {
  let open = false
  return text.split("\n").map((line) => {
    const isFence = /^\s*```/.test(line)
    const inFence = open || isFence
    if (isFence) open = !open
    return [line, inFence]
  })
}

/** The words of some Markdown, without its marks. */
export const plain = (markdown: string): string =>
  markdown
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/\{@link\s+([^}|]*)(?:\|\s*([^}]*))?\}/g, (_, name: string, words?: string) => words ?? name.trim())
    .replaceAll(/<\/?[a-z][^>]*>/g, " ")
    .replaceAll(/[`*|]|-{3,}/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim()

/** The anchor that GitHub, and the site, make of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{Letter}\p{Number}_\- ]/gu, "")
    .replaceAll(" ", "-")

/** What a page consists of, from its title down. */
export const sections = (markdown: string): ReadonlyArray<Section> => {
  const found: Array<{ heading: string; anchor: string; text: Array<string>; code: Array<string> }> = []
  const anchors = new Set<string>()
  for (const [line, inFence] of fenced(markdown)) {
    const heading = inFence ? undefined : /^#+ (.*)$/.exec(line)?.[1]
    if (heading === undefined) {
      if (/^\s*```/.test(line)) continue
      const last = found.at(-1)
      if (inFence) last?.code.push(line)
      else last?.text.push(line)
      continue
    }
    const words = anchorOf(heading)
    let anchor = words
    for (let n = 1; anchors.has(anchor); n++) anchor = `${words}-${n}`
    anchors.add(anchor)
    found.push({ heading: plain(heading), anchor: found.length === 0 ? "" : anchor, text: [], code: [] })
  }
  return found.map(({ anchor, code, heading, text }) => ({
    heading,
    anchor,
    text: plain(text.join("\n")),
    labels: plain(text.flatMap((line) => /^(?:[-\d.]+ )?\*\*(.+?)\*\*/.exec(line)?.[1] ?? []).join(" ")),
    code: code.join("\n")
  }))
}

/** The heading of the page. */
export const titleOf = (markdown: string): string => sections(markdown)[0]?.heading ?? ""

export interface Staging {
  /** A Mermaid diagram as SVG. */
  readonly draw: (diagram: string) => string
  /** Where a link of this page leads on the site. */
  readonly link: (to: string) => string
}

/** The text of a page as the site's generator gets it: with its name, its diagrams drawn, its links led to pages. */
export const staged = (name: string, markdown: string, { draw, link }: Staging): string => {
  const drawn = markdown.replaceAll(
    /^```mermaid\n([^]*?)^```$/gm,
    (_, diagram: string) => `<div class="diagram">${draw(diagram).replaceAll(/\n\s*/g, " ")}</div>`
  )
  const linked = fenced(drawn).map(([line, inFence], position, lines) => {
    if (!inFence) return line.replaceAll(/\]\(([^)\s]+)\)/g, (_, to: string) => `](${link(to)})`)
    // A fence that names no language is text, which TypeDoc would take for TypeScript.
    const opens = lines.slice(0, position).filter(([before]) => /^\s*```/.test(before)).length % 2 === 0
    return opens && /^\s*```\s*$/.test(line) ? `${line.trimEnd()}text` : line
  })
  return `---\ntitle: ${JSON.stringify(name)}\n---\n${linked.join("\n")}`
}

/** A file of source as a page. */
export const source = (file: string, code: string, language: string): string =>
  `# ${file}\n\n${"```"}${language}\n${code.trimEnd()}\n${"```"}\n`

/** What a program says of itself at its top, in one line. */
export const summary = (code: string): string => {
  const comment = /^\/\*\*?\s*([^]*?)\*\//.exec(code)?.[1].replaceAll(/^\s*\* ?/gm, "") ??
    /^(?:\/\/.*\n)+/.exec(code)?.[0].replaceAll(/^\/\/ ?/gm, "") ?? ""
  return comment.split(/\n\s*\n/)[0].replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "`$1`").replaceAll(/\s+/g, " ").trim()
}

/** What a module says of itself at its top, and how stable it is. */
export const head = (code: string): { readonly text: string; readonly stability: string } => {
  const comment = /^\/\*\*\n([^]*?)\n \*\/\n/.exec(code)?.[1].replaceAll(/^ \* ?/gm, "") ?? ""
  return {
    text: comment.replaceAll(/^@\w+.*$/gm, "").trim(),
    stability: /^@stability (.*)$/m.exec(comment)?.[1] ?? ""
  }
}

/** A heading of the index of the book, with the pages that it lists. */
export interface Chapter {
  readonly heading: string
  readonly pages: ReadonlyArray<string>
}

/** The chapters of the book, read from its index. */
export const chapters = (index: string): ReadonlyArray<Chapter> => {
  const found: Array<{ heading: string; pages: Array<string> }> = []
  for (const [line, inFence] of fenced(index)) {
    if (inFence) continue
    const heading = /^## (.*)$/.exec(line)?.[1]
    if (heading !== undefined) found.push({ heading, pages: [] })
    const page = /^- \[[^\]]*\]\(([^)#]+\.md)\)/.exec(line)?.[1]
    if (page !== undefined) found.at(-1)?.pages.push(page)
  }
  return found.filter(({ pages }) => pages.length > 0)
}

/** The rows of the glossary: a word, and what it means. */
export const terms = (glossary: string): ReadonlyArray<readonly [word: string, meaning: string]> =>
  Array.from(
    glossary.matchAll(/^\| \*\*(.+?)\*\* \| (.*) \|$/gm),
    ([, word, meaning]) => [plain(word), plain(meaning)] as const
  )

/** The rows of the table of questions in the index of the book: what is asked, and where the answer is. */
export const questions = (index: string): ReadonlyArray<readonly [question: string, to: string]> =>
  Array.from(
    index.matchAll(/^\| ([^|]*\?) \| \[[^\]]*\]\(([^)]+)\)/gm),
    ([, question, to]) => [plain(question), to] as const
  )

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

/** A source as it is, with a place for each line to link to. `base` leads to the top of the site. */
export const listing = (file: string, code: string, base: string): string => {
  const lines = code.trimEnd().split("\n").map((line, index) => `<li id="L${index + 1}">${escaped(line)}</li>`)
  return `<!DOCTYPE html><html class="default" lang="en"><head><meta charset="utf-8"><title>${file}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${base}assets/style.css"><link rel="stylesheet" href="${base}assets/custom.css"></head>
<body><script>document.documentElement.dataset.theme = localStorage.getItem("tsd-theme") || "os"</script>
<header class="tsd-page-toolbar"><div class="tsd-toolbar-contents container">
<a href="${base}index.html" class="title">effect-handshake</a></div></header>
<div class="container source"><h1>${file}</h1><ol class="listing">${lines.join("")}</ol></div></body></html>
`
}
