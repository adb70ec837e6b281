/**
 * The search in the browser. The dialog with its field, its keys and its list is TypeDoc's; what is found, and how it is
 * shown, is ours. What can be found comes with the script, for a page that was opened from a file may fetch nothing.
 */
import * as Search from "./search.ts"
import * as Words from "./words.ts"

declare global {
  var siteEntries: ReadonlyArray<Search.Entry>
}

const byId = (id: string) => document.getElementById(id)

/** Pages that list what there is. */
const lists = ["docs/README.html", "docs/glossary.html", "docs/errors.html"]

let search: Search.Search | undefined
let shown = 0

const element = (name: string, className: string, ...children: ReadonlyArray<Node | string>) => {
  const made = document.createElement(name)
  made.className = className
  made.append(...children)
  return made
}

const item = (hit: Search.Hit, position: number) => {
  const link = document.createElement("a")
  link.tabIndex = -1
  link.href = `${document.documentElement.dataset["base"] ?? ""}${hit.url}`
  const where = hit.kind === "question" ? `Question · ${hit.page}` : hit.page
  const excerpt = Words.excerpt(hit.text, hit.words).map(([text, marked]) => marked ? element("mark", "", text) : text)
  link.append(
    element("span", "hit-title", hit.title),
    element("span", "hit-page", where === hit.title ? "" : where),
    element("span", "hit-text", ...excerpt)
  )
  const listed = element("li", `hit is-${hit.kind}`, link)
  listed.id = `hit-${shown}-${position}`
  listed.role = "option"
  listed.ariaSelected = "false"
  return listed
}

const show = (query: string) => {
  const list = byId("tsd-search-results")
  const status = byId("tsd-search-status")
  if (list === null || status === null) return
  search ??= Search.make(globalThis.siteEntries)
  shown++
  const hits = query.trim() === "" ? [] : search.ask(query)
  const nowhere = query.trim() !== "" && hits.length === 0
  // Who finds nothing is led to where everything is listed.
  const shownHits = nowhere
    ? lists.flatMap((url) => globalThis.siteEntries.find((entry) => entry.url === url) ?? [])
    : hits
  list.replaceChildren(...shownHits.map((entry, position) => item({ words: [], ...entry }, position)))
  status.replaceChildren(
    ...(nowhere
      ? [element("div", "", `Nothing has to do with “${query}”. Maybe one of these lists has it under another word.`)]
      : [])
  )
}

const start = () => {
  const field = byId("tsd-search-input")
  if (!(field instanceof HTMLInputElement)) return
  field.placeholder = "Ask, or write a name"
  byId("tsd-search-status")?.replaceChildren()
  // Before TypeDoc's own listener, which would look into an index that is not there.
  document.addEventListener("input", (event) => {
    if (event.target !== field) return
    event.stopPropagation()
    show(field.value)
  }, true)
  byId("tsd-search-trigger")?.addEventListener("click", () => {
    search ??= Search.make(globalThis.siteEntries)
  })
  // A link to an answer: ?q=… opens the search with it.
  const query = new URLSearchParams(location.search).get("q")
  if (query !== null) {
    field.value = query
    byId("tsd-search-trigger")?.click()
    show(query)
  }
}

if (document.readyState === "complete") start()
else addEventListener("load", start)
