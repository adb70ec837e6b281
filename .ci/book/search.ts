/**
 * The search of the site: how text becomes words, and what is found first. The build asks it the questions it has to
 * answer, and the browser asks it the reader's.
 */
import MiniSearch from "minisearch"

/**
 * What can be found: a section of a page, an export of a module, a question with the place of its answer, an example, or a
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
  readonly kind: "page" | "reference" | "question" | "example" | "around"
}

export interface Hit extends Entry {
  /** The words of the text that the query has found. */
  readonly words: ReadonlyArray<string>
}

/** Words that a question has whatever it asks for. */
const empty = new Set(
  `a about after all also an and another any are as at be been being but by can could did do does doing each for from get gets given
  had has have here how i if in is isn't it its just kind kinds me mine must my no not of on once one or our out put s
  shall she should so some such t than that the their them then there these they this those to too up us use used using
  want was way we were what when where which while who whom whose why will with without would you your`.split(/\s+/)
)

/** Words that mean the same here: who asks with one of them finds the others as well. */
const same: ReadonlyArray<ReadonlyArray<string>> = [
  ["retry", "retries", "again", "try", "retryable"],
  ["timeout", "deadline", "timed"],
  ["ip", "address"],
  ["balancer", "proxy"],
  ["into", "nested", "inside", "compose", "combine", "nest"],
  ["refuse", "reject", "refusal", "deny"],
  ["heard", "hear", "reach", "arrive"],
  ["stop", "shutdown", "shut", "drain", "graceful", "restart", "deploy", "downtime"],
  ["reconnect", "reconnecting", "back"],
  ["log", "logging", "logs", "trace", "spans"],
  ["certificate", "cert", "certificates"],
  ["ban", "block", "limit", "rate", "throttle"],
  ["starttls", "upgrade"],
  ["mock", "fake", "memory"],
  ["pool", "share"],
  ["cluster", "workers", "cores"],
  ["backpressure", "slow", "flow"],
  ["default", "defaults"],
  ["size", "length", "large", "maximum", "max"],
  ["dead", "gone", "detect", "keepalive"],
  ["push", "unsolicited", "asked"]
]

/** The stem of a word: what its forms have in common, roughly. */
export const stem = (word: string): string => {
  let stem = word.replace(/['’]s$/, "")
  if (stem.length > 4) stem = stem.replace(/ies$/, "y").replace(/(ss|sh|ch|x)es$/, "$1")
  if (stem.length > 3) stem = stem.replace(/([^s])s$/, "$1")
  if (stem.length > 5) stem = stem.replace(/(?:ing|al|ion)$/, "")
  if (stem.length > 4) stem = stem.replace(/ed$/, "")
  if (stem.length > 3) stem = stem.replace(/e$/, "").replace(/([b-df-hj-np-tv-z])\1$/, "$1")
  return stem
}

/** The words of a text, and the parts of names that are made of several. */
export const words = (text: string): Array<string> =>
  text.match(/[\p{Letter}\p{Number}_]+(?:['’][a-z]+)?/gu)?.flatMap((word) => {
    const parts = word.match(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+/g) ?? []
    return parts.length > 1 ? [word, ...parts] : [word]
  }) ?? []

const meanings = new Map<string, ReadonlyArray<string>>()
for (const group of same) for (const word of group) meanings.set(stem(word), group.map(stem))

const index = (word: string) => {
  const lower = word.toLowerCase()
  return empty.has(lower) ? null : stem(lower)
}

export interface Search {
  readonly ask: (query: string, limit?: number) => ReadonlyArray<Hit>
}

/** How often hits of one page may stand among the first. */
const perPage = 2

export const make = (entries: ReadonlyArray<Entry>): Search => {
  const search = new MiniSearch<Entry & { readonly id: number }>({
    fields: ["title", "page", "labels", "text", "code"],
    tokenize: words,
    processTerm: index
  })
  search.addAll(entries.map((entry, id) => ({ ...entry, id })))
  const weight = { page: 1.2, reference: 0.7, question: 1.3, example: 0.7, around: 0.5 }
  return {
    ask: (query, limit = 10) => {
      const asked = Array.from(new Set(words(query).map(index).filter((word) => word !== null)))
      const name = query.trim().toLowerCase()
      const results = search.search({
        combineWith: "OR",
        queries: asked.map((word) => ({
          combineWith: "OR",
          queries: [word, ...(meanings.get(word) ?? []).filter((other) => other !== word)],
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
          return isNamed ? 20 : weight[kind]
        }
      })
      const counts = new Map<string, number>()
      const seen = new Set<string>()
      const first: Array<Hit> = []
      const rest: Array<Hit> = []
      for (const { id, match } of results) {
        const entry = entries[id as number]
        // A question, and the section that answers it, are one hit.
        if (seen.has(entry.url)) continue
        seen.add(entry.url)
        const page = entry.url.split("#")[0]
        const count = (counts.get(page) ?? 0) + 1
        counts.set(page, count)
        const hit = { ...entry, words: Object.keys(match) }
        if (count <= perPage) first.push(hit)
        else rest.push(hit)
      }
      return [...first, ...rest].slice(0, limit)
    }
  }
}

/** The part of a text that has most of the words, with what is around it; the words themselves are marked. */
export const excerpt = (
  text: string,
  found: ReadonlyArray<string>,
  length = 160
): ReadonlyArray<readonly [text: string, marked: boolean]> => {
  const isFound = new Set(found)
  const places = Array.from(text.matchAll(/[\p{Letter}\p{Number}_]+(?:['’][a-z]+)?/gu), (match) => ({
    from: match.index,
    to: match.index + match[0].length,
    marked: words(match[0]).some((word) => isFound.has(stem(word.toLowerCase())) && !empty.has(word.toLowerCase()))
  }))
  let best = { from: 0, count: -1 }
  for (const { from } of places) {
    const count = places.filter((place) => place.marked && place.from >= from && place.to <= from + length).length
    if (count > best.count) best = { from, count }
  }
  const start = best.count <= 0 ? 0 : best.from
  const end = places.findLast(({ to }) => to <= start + length)?.to ?? Math.min(text.length, start + length)
  const parts: Array<readonly [string, boolean]> = start > 0 ? [["… ", false]] : []
  let at = start
  for (const { from, marked, to } of places) {
    if (!marked || from < start || to > end) continue
    if (from > at) parts.push([text.slice(at, from), false])
    parts.push([text.slice(from, to), true])
    at = to
  }
  parts.push([text.slice(at, end) + (end < text.length ? " …" : ""), false])
  return parts
}
