import { readFileSync } from "node:fs"
import * as Search from "./search.ts"
const text = readFileSync("site/assets/search.js", "utf8")
const entries = JSON.parse(text.slice("globalThis.siteEntries = ".length, text.indexOf(";\n")))
const t = performance.now()
const search = Search.make(entries)
console.log("index ms", performance.now() - t)
for (const q of readFileSync(0, "utf8").trim().split("\n")) {
  console.log(q)
  for (const h of search.ask(q, 4)) console.log("    ", h.url, "|", h.title)
}
