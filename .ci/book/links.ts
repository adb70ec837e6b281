/** Links of HTML pages that lead nowhere. Nothing here reads a file. */

/** Tags alone: what stands in scripts is no link. */
const tags = (html: string) =>
  html.replaceAll(/<script\b[^>]*>[^]*?<\/script>/g, (script) => /^<[^>]*>/.exec(script)![0])

const unescaped = (value: string) =>
  value.replaceAll("&amp;", "&").replaceAll("&quot;", "\"").replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll(
    "&gt;",
    ">"
  )

/** The name of a file that was taken for that of a host, `http://README.md` say. A link to another site is not looked at further. */
const isFileAsHost = (link: string) =>
  /^https?:\/\/[^/?#:]*\.(?:[cm]?[jt]s|css|html|json|md|sh|svg|txt|ya?ml)(?![^/?#:])/i.test(link)

const hasScheme = (link: string) => /^[a-z][a-z0-9+.-]*:/i.test(link)

export interface Page {
  readonly ids: ReadonlySet<string>
  readonly links: ReadonlyArray<string>
}

/** What one may link to in a page, and where it links to itself, apart from other sites, as far as they may be any. */
export const read = (html: string): Page => {
  const text = tags(html)
  return {
    ids: new Set(Array.from(text.matchAll(/\s(?:id|name)="([^"]*)"/g), ([, id]) => unescaped(id))),
    links: Array.from(text.matchAll(/<[^>]*?\s(?:href|src)="([^"]*)"/g), ([, link]) => unescaped(link))
      .filter((link) => !hasScheme(link) || isFileAsHost(link))
  }
}

/**
 * The links that lead nowhere: to a file that is not there, or to a place that its page does not have, or to a host that is the name of a file. `files` has the path
 * of every file of the site; what it is, if it is a page.
 */
export const dead = (files: ReadonlyMap<string, Page | undefined>): ReadonlyArray<string> =>
  Array.from(files).flatMap(([file, page]) =>
    Array.from(new Set(page?.links)).filter((link) => !leads(files, file, link)).map((link) => `${file}: ${link}`)
  )

/** Whether a link of a page leads somewhere. */
export const leads = (files: ReadonlyMap<string, Page | undefined>, from: string, link: string): boolean => {
  if (hasScheme(link)) return false
  const url = new URL(link, `file:///${from}`)
  const path = decodeURIComponent(url.pathname).slice(1)
  if (link.startsWith("/") || !files.has(path)) return false
  const anchor = decodeURIComponent(url.hash.slice(1))
  return anchor === "" || files.get(path)?.ids.has(anchor) === true
}
