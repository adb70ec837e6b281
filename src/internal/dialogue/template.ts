/**
 * Messages as texts with places for their fields: `EHLO {domain}`. `{{` and `}}` are braces.
 *
 * A field goes up to the next place where the words behind it begin, and the last one up to the end, so that there is one way to
 * read a text.
 *
 * @internal
 */
import { Unspecified } from "./wire.ts"

export interface Template {
  /** The words around the fields: one more than there are fields. */
  readonly words: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
}

const place = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g

export const make = (source: string): Template => {
  const words: Array<string> = []
  const names: Array<string> = []
  let word = ""
  let at = 0
  for (const found of source.matchAll(place)) {
    word += source.slice(at, found.index)
    at = found.index + found[0].length
    if (found[0] === "{{" || found[0] === "}}") word += found[0][0]
    else if (found[1] === undefined) {
      throw new Unspecified(`a brace without its like; write ${found[0]}${found[0]} for one`)
    } else {
      if (names.length > 0 && word === "") throw new Unspecified(`nothing between {${names.at(-1)}} and {${found[1]}}`)
      words.push(word)
      names.push(found[1])
      word = ""
    }
  }
  words.push(word + source.slice(at))
  return { words, names }
}

/** The words of a template with its fields as they are called. */
export const skeleton = ({ words }: Template): string => words.join("\0")

export const write = ({ names, words }: Template, values: Readonly<Record<string, unknown>>): string => {
  let text = words[0]!
  for (let i = 0; i < names.length; i++) text += `${values[names[i]!]}${words[i + 1]}`
  return text
}

/** The fields of a text, or undefined where it is no such text. */
export const read = (
  { names, words }: Template,
  text: string,
  ignoreCase: boolean
): Record<string, string> | undefined => {
  // In lower case some characters are longer, and places would not be the same any more.
  const lower = ignoreCase ? text.toLowerCase() : text
  const seen = lower.length === text.length ? lower : text
  const word = (index: number) => ignoreCase ? words[index]!.toLowerCase() : words[index]!
  if (!seen.startsWith(word(0))) return undefined
  let at = words[0]!.length
  const values: Record<string, string> = {}
  for (let i = 0; i < names.length; i++) {
    const next = word(i + 1)
    const isLast = i === names.length - 1
    const end = !isLast ? seen.indexOf(next, at) : seen.endsWith(next) ? seen.length - next.length : -1
    if (end < at) return undefined
    values[names[i]!] = text.slice(at, end)
    at = end + next.length
  }
  return at === text.length ? values : undefined
}
