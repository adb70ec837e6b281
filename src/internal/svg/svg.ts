/**
 * What pictures are made of: texts whose width is known, shapes, and the document around them. A picture needs nothing but itself, and is
 * light or dark as whoever looks at it has it.
 *
 * @internal
 */

/** Of a character in the font of all texts, in pixels, and of a line of it. */
export const characterWidth = 8
export const lineHeight = 18

// What XML cannot have, and what shows as nothing or turns what is around it.
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\ufffe\uffff]/gu

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;" }

/** A text as the content of an element, or the value of an attribute. */
export const escape = (text: string): string =>
  text.replace(unprintable, "\ufffd").replace(/[&<>"']/g, (char) => entities[char])

const wide =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u

const columnsOf = (char: string): number => /^\p{M}$/u.test(char) ? 0 : wide.test(char) ? 2 : 1

/** How many columns a line takes. */
export const columns = (line: string): number => {
  let count = 0
  for (const char of line) count += columnsOf(char)
  return count
}

export const widthOf = (line: string): number => columns(line) * characterWidth

/** A text in lines of at most so many columns: broken behind a space where one is near the end, and else anywhere. */
export const inLines = (text: string, most: number): ReadonlyArray<string> =>
  text.split("\n").flatMap((row) => {
    const lines: Array<string> = []
    let line = ""
    let count = 0
    for (const char of row) {
      const more = columnsOf(char)
      if (count + more > most) {
        const space = line.lastIndexOf(" ") + 1
        const cut = space > line.length / 2 ? space : line.length
        lines.push(line.slice(0, cut).trimEnd())
        line = line.slice(cut)
        count = columns(line)
      }
      line += char
      count += more
    }
    return [...lines, line]
  })

/** A line that is cut to so many columns. */
export const cut = (line: string, most: number): string =>
  columns(line) <= most ? line : `${inLines(line, most - 1)[0]}…`

type Anchor = "start" | "middle" | "end"

/** A line of text. What is not ASCII is made as wide as it was taken for, whichever font it comes from. */
export const text = (x: number, y: number, line: string, name: string, anchor: Anchor = "start"): string => {
  if (line === "") return ""
  const length = /^[ -~]*$/.test(line) ? "" : ` textLength="${widthOf(line)}" lengthAdjust="spacingAndGlyphs"`
  const place = anchor === "start" ? "" : ` text-anchor="${anchor}"`
  return `<text class="${name}" x="${x}" y="${y}"${place}${length} xml:space="preserve">${escape(line)}</text>`
}

export const box = (x: number, y: number, width: number, height: number, name: string): string =>
  `<rect class="${name}" x="${x}" y="${y}" width="${width}" height="${height}" rx="4"/>`

export const path = (d: string, name: string): string => `<path class="${name}" d="${d}"/>`

/** The head of an arrow that has its point there. */
export const head = (x: number, y: number, to: "left" | "right", name: string): string =>
  path(`M${x} ${y}l${to === "right" ? "-9 -4.5v9" : "9 -4.5v9"}z`, `${name} head`)

// GitHub's colours, which are told apart by people with any colour vision, on both of its grounds.
const light = { ground: "#ffffff", ink: "#1f2328", quiet: "#59636e", soft: "#f6f8fa", out: "#0969da", back: "#8250df" }
const dark = { ground: "#0d1117", ink: "#f0f6fc", quiet: "#9198a1", soft: "#151b23", out: "#4493f8", back: "#ab7df8" }
const lightEnds = { bad: "#cf222e", badSoft: "#ffebe9", good: "#1a7f37" }
const darkEnds = { bad: "#f85149", badSoft: "#25171c", good: "#3fb950" }

// In one line for each ground: the page around a picture may have several, whose styles are the same then.
const colours = (of: typeof light & typeof lightEnds): string =>
  [
    `.ground{fill:${of.ground}}`,
    `text{fill:${of.ink}}`,
    `.quiet{fill:${of.quiet}}`,
    `.soft{fill:${of.soft};stroke:${of.quiet}}`,
    `.line{stroke:${of.quiet}}`,
    `.sent{stroke:${of.out}}`,
    `.sent.head{fill:${of.out}}`,
    `.received{stroke:${of.back}}`,
    `.received.head{fill:${of.back}}`,
    `.bad{fill:${of.badSoft};stroke:${of.bad}}`,
    `text.bad,text.refused{fill:${of.bad};stroke:none}`,
    `text.good{fill:${of.good}}`,
    `.cross{stroke:${of.bad}}`,
    `.start{fill:${of.quiet}}`
  ].map((rule) => rule.replace(/(^|,)/g, "$1.effect-handshake ")).join("")

const style = [
  ".effect-handshake{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}",
  ".effect-handshake text{white-space:pre}.effect-handshake path{fill:none;stroke-width:1.5}",
  ".effect-handshake .life{stroke-dasharray:4 4;stroke-width:1}.effect-handshake .turn{stroke-width:4}",
  ".effect-handshake .name{font-weight:bold}",
  colours({ ...light, ...lightEnds }),
  `@media (prefers-color-scheme:dark){${colours({ ...dark, ...darkEnds })}}`
].join("")

/** The document, with what it is called and, for those who do not see it, what is to be seen. */
export const page = (
  options: { readonly width: number; readonly height: number; readonly title: string; readonly description: string },
  parts: ReadonlyArray<string>
): string => {
  const { description, height, title, width } = options
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="effect-handshake" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<desc>${description.split("\n").map(escape).join("\n")}</desc>`,
    `<style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${height}"/>`,
    ...parts.filter((part) => part !== ""),
    "</svg>",
    ""
  ].join("\n")
}
