/** How text becomes words that can be found, and how what was found is shown. */

/** Words that a question has whatever it asks for. */
const empty = new Set(
  `a about after all also an and another any are as at be been being but by can could did do does doing each for from get gets given
  had has have here how i if in is isn't it its just kind kinds me mean means meaning mine must my no not of on once one or our out put s
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
  ["backpressure", "slow", "flow", "pressure"],
  ["default", "defaults"],
  ["size", "length", "large", "maximum", "max"],
  ["dead", "gone", "detect", "keepalive", "alive"],
  ["heartbeat", "ping", "keepalive"],
  ["idle", "silence", "silent"],
  ["econnreset", "econnrefused", "epipe", "etimedout", "reset", "unreachable", "connectionfailed"],
  ["broadcast", "pubsub", "all"],
  ["binary", "bytes"],
  ["production", "stable", "stability"],
  ["hold", "maxconnections", "limit"],
  ["interrupt", "interrupted", "interruption", "interruptible", "cancel", "abort"],
  ["prefix", "beginning", "pattern"],
  ["challenge", "nonce"],
  ["learnt", "pass", "return"],
  ["attack", "attacks", "slowloris", "denial", "dos", "abuse"],
  ["leftover", "arrive", "behind"],
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

/** Terms that mean the same as a term. */
export const meanings: ReadonlyMap<string, ReadonlyArray<string>> = new Map(
  same.flatMap((group) => group.map((word) => [stem(word), group.map(stem)]))
)

/** What a word is found by, or null for one that says nothing. */
export const term = (word: string): string | null => {
  const lower = word.toLowerCase()
  return empty.has(lower) ? null : stem(lower)
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
    marked: words(match[0]).some((word) => isFound.has(term(word) ?? ""))
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

/** Whether somebody asks, rather than writes a name. */
export const isQuestion = (query: string): boolean =>
  /\b(?:can|do|does|how|is|may|what|when|where|which|who|whom|whose|why)\b/i.test(query)
