/**
 * The search of the site: what is found first. The build asks it the questions it has to answer, and the browser asks it the
 * reader's.
 */
import MiniSearch from "minisearch"
import * as Words from "./words.ts"

/**
 * What can be found: a section of a page, an export of a module, a question with the place of its answer, a word of
 * the glossary, an example, or a
 * section of what is written around the book.
 */
export interface Entry {
  readonly url: string
  readonly title: string
  /** Where it stands: the title of the page, or the module. */
  readonly page: string
  readonly text: string
  /** Words of the text that say what it is about. */
  readonly labels?: string
  readonly code: string
  readonly kind: "page" | "reference" | "question" | "term" | "example" | "around"
}

export interface Hit extends Entry {
  /** The words of the text that the query has found. */
  readonly words: ReadonlyArray<string>
}

export interface Search {
  readonly ask: (query: string, limit?: number) => ReadonlyArray<Hit>
}

const termsOf = (text: string): string =>
  Array.from(new Set(Words.words(text).map(Words.term).filter((word) => word !== null))).join(" ")

/** How often hits of one page may stand among the first. */
const perPage = 2

export const make = (entries: ReadonlyArray<Entry>): Search => {
  // A question has no text of its own: what is shown of it is that of its answer.
  const answers = new Map<string, string>()
  for (const { text, url } of entries) if (text !== "" && !answers.has(url)) answers.set(url, text)
  const search = new MiniSearch<Entry & { readonly id: number }>({
    fields: ["title", "page", "labels", "text", "code"],
    tokenize: Words.words,
    processTerm: Words.term
  })
  search.addAll(entries.map((entry, id) => ({ ...entry, id })))
  // Who asks wants to read, and who doesn't has a name in mind.
  const weights = { page: 1.2, reference: 0.7, question: 1.3, term: 0.7, example: 0.4, around: 0.5 }
  return {
    ask: (query, limit = 10) => {
      const asked = termsOf(query).split(" ").filter((word) => word !== "")
      const weight = Words.isQuestion(query)
        ? { ...weights, reference: 0.35, term: 1, question: 1.8 }
        : weights
      const name = query.trim().toLowerCase()
      const results = search.search({
        combineWith: "OR",
        queries: asked.map((word) => ({
          combineWith: "OR",
          queries: [word, ...(Words.meanings.get(word) ?? []).filter((other) => other !== word)],
          boostTerm: (term: string) => term === word ? 1 : 0.5
        }))
      }, {
        tokenize: (text) => [text],
        processTerm: (term) => term,
        prefix: (term) => term.length > 3,
        fuzzy: (term) => term.length > 5 ? 0.2 : false,
        boost: { title: 3, page: 1.5, labels: 1.5, text: 1, code: 0.4 },
        weights: { fuzzy: 0.2, prefix: 0.4 },
        boostDocument: (id) => {
          const { kind, title } = entries[id as number]
          // Who writes a name means that name, with its module or without.
          const lower = title.toLowerCase()
          const isNamed = lower === name || (kind === "reference" && lower.split(/[./]/).at(-1) === name)
          if (isNamed) return 20
          // Who asks for one thing alone wants what has it as its subject.
          const isSubject = asked.length > 0 && termsOf(title) === asked.join(" ")
          return weight[kind] * (isSubject ? 3 : 1)
        }
      })
      const counts = new Map<string, number>()
      const seen = new Set<string>()
      const first: Array<Hit> = []
      const rest: Array<Hit> = []
      for (const { id, match } of results) {
        const entry = entries[id as number]
        // A question, and the section that answers it, are one hit.
        const { url } = entry
        if (seen.has(url)) continue
        seen.add(url)
        const page = url.split("#")[0]
        const count = (counts.get(page) ?? 0) + 1
        counts.set(page, count)
        const hit = { ...entry, text: entry.text || (answers.get(url) ?? ""), words: Object.keys(match) }
        if (count <= perPage) first.push(hit)
        else rest.push(hit)
      }
      return [...first, ...rest].slice(0, limit)
    }
  }
}
