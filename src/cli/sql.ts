/**
 * A text of SQL as tokens (the PostgreSQL manual, 4.1). It may come from anybody: each character is looked at a fixed number
 * of times, and of a text with more pieces than any that is known the rest is not looked at.
 *
 * @internal
 */

export interface Token {
  /** `word` is in lower case; `name` was in double quotes and `text` in single ones, or between dollars. */
  readonly kind: "word" | "name" | "text" | "number" | "parameter" | "symbol"
  readonly text: string
}

/** How many tokens and comments a text may have, and how many tokens a statement: none that is known has more. */
const maxPieces = 32_768
const maxTokens = 4096

const space = /[ \t-\r]+/y
const line = /--[^\n]*/y
const word = /[a-z_\u0080-\uffff][\w$\u0080-\uffff]*/iy
const number = /\d+(?:\.\d+)?/y
const parameter = /\$\d{1,5}/y
const dollar = /\$(?:[a-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/iy
const comment = /\/\*|\*\//g
const escaped = /['\\]/g

const escapes: Record<string, string> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" }

/** Reads tokens from the front. What has no end, or too many pieces, goes as far as the text does and is broken. */
class Scanner {
  at = 0
  isBroken = false
  private pieces = 0
  private readonly sql: string

  constructor(sql: string) {
    this.sql = sql
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.sql)?.[0]
    if (found !== undefined) this.at += found.length
    return found
  }

  private giveUp(): string {
    this.isBroken = true
    this.at = this.sql.length
    return ""
  }

  /** Comments nest. */
  private skipComment(): void {
    let depth = 1
    comment.lastIndex = this.at + 2
    while (depth > 0) {
      const found = comment.exec(this.sql)
      if (found === null || ++this.pieces > maxPieces) return void this.giveUp()
      depth += found[0] === "/*" ? 1 : -1
    }
    this.at = comment.lastIndex
  }

  /** In quotes, which stand for themselves where they come twice. */
  private quoted(quote: string): string {
    const parts: Array<string> = []
    for (let from = this.at + 1;;) {
      const end = this.sql.indexOf(quote, from)
      if (end === -1) return this.giveUp()
      parts.push(this.sql.slice(from, end))
      if (this.sql[end + 1] !== quote) {
        this.at = end + 1
        return parts.join(quote)
      }
      from = end + 2
    }
  }

  /** `E'…'`, from its quote on. */
  private escaped(): string {
    const parts: Array<string> = []
    escaped.lastIndex = this.at + 1
    for (let from = this.at + 1;;) {
      const found = escaped.exec(this.sql)
      if (found === null) return this.giveUp()
      parts.push(this.sql.slice(from, found.index))
      const next = this.sql[found.index + 1] ?? ""
      if (found[0] === "'" && next !== "'") {
        this.at = found.index + 1
        return parts.join("")
      }
      parts.push(found[0] === "'" ? "'" : escapes[next] ?? next)
      from = escaped.lastIndex = found.index + 2
    }
  }

  private betweenDollars(tag: string): string {
    const end = this.sql.indexOf(tag, this.at)
    if (end === -1) return this.giveUp()
    const text = this.sql.slice(this.at, end)
    this.at = end + tag.length
    return text
  }

  next(): Token | undefined {
    while (this.at < this.sql.length) {
      if (++this.pieces > maxPieces) {
        this.giveUp()
        break
      }
      const first = this.sql[this.at]
      if (first <= " " && this.match(space) !== undefined) continue
      if (first === "-" && this.match(line) !== undefined) continue
      if (first === "/" && this.sql[this.at + 1] === "*") this.skipComment()
      else return this.token(first)
    }
    return undefined
  }

  private token(first: string): Token {
    if (first === "'") return { kind: "text", text: this.quoted(first) }
    if (first === "\"") return { kind: "name", text: this.quoted(first) }
    if (first === "$") {
      const place = this.match(parameter)
      if (place !== undefined) return { kind: "parameter", text: place.slice(1) }
      const tag = this.match(dollar)
      if (tag !== undefined) return { kind: "text", text: this.betweenDollars(tag) }
    }
    if (first >= "0" && first <= "9") return { kind: "number", text: this.match(number) ?? first }
    if ((first === "e" || first === "E") && this.sql[this.at + 1] === "'") {
      this.at++
      return { kind: "text", text: this.escaped() }
    }
    if (first > "@") {
      const named = this.match(word)
      if (named !== undefined) return { kind: "word", text: named.toLowerCase() }
    }
    const symbol = first === ":" && this.sql[this.at + 1] === ":" ? "::" : first
    this.at += symbol.length
    return { kind: "symbol", text: symbol }
  }
}

/**
 * The statements of a text which have something in them; `undefined`, and nothing behind it, for one that has no end or is
 * too long to be known.
 */
export function* statements(sql: string): Generator<ReadonlyArray<Token> | undefined, void> {
  const scanner = new Scanner(sql)
  let tokens: Array<Token> = []
  for (let token = scanner.next(); token !== undefined; token = scanner.next()) {
    if (token.kind === "symbol" && token.text === ";") {
      if (tokens.length > 0) yield tokens
      tokens = []
    } else if (tokens.push(token) > maxTokens) return yield undefined
  }
  if (tokens.length > 0 || scanner.isBroken) yield scanner.isBroken ? undefined : tokens
}
