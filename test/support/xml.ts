/**
 * Just enough of XML to look into a picture.
 */

/** A tag of a picture, and what stands behind it up to the next one. */
export interface Tag {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly text: string
}

const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: "\"", "#39": "'" }

const unescape = (text: string): string => {
  if (/&(?!(?:amp|lt|gt|quot|#39);)|[<>]/.test(text)) throw new Error(`it is not escaped: ${JSON.stringify(text)}`)
  // XML 1.0, 2.2
  if (/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text)) {
    throw new Error(`XML cannot have it: ${JSON.stringify(text)}`)
  }
  return text.replace(/&([^;]+);/g, (_, name: string) => entities[name])
}

/** Its tags, in order. Throws where it is not well-formed. */
export const tagsOf = (xml: string): ReadonlyArray<Tag> => {
  const tags: Array<Tag> = []
  const open: Array<string> = []
  const tag = /<(\/?)([a-z]+)((?: [a-zA-Z:-]+="[^"<]*")*)(\/?)>([^<]*)/y
  while (tag.lastIndex < xml.length) {
    const at = tag.lastIndex
    const match = tag.exec(xml)
    if (match === null) throw new Error(`this is no tag: ${xml.slice(at, at + 80)}`)
    const [, closing, name, attributes, empty, text] = match
    if (closing !== "") {
      const opened = open.pop()
      if (opened !== name) throw new Error(`</${name}> closes ${opened}`)
      continue
    }
    if (empty === "") open.push(name)
    tags.push({
      name,
      attributes: Object.fromEntries(
        Array.from(attributes.matchAll(/ ([a-zA-Z:-]+)="([^"]*)"/g), ([, key, value]) => [key, unescape(value)])
      ),
      text: unescape(text)
    })
  }
  if (open.length > 0) throw new Error(`${open.join(", ")} is not closed`)
  return tags
}
