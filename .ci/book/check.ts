/**
 * What has to be true of the site that was built: no link leads nowhere, the search answers the questions of `questions.ts` with
 * its first three hits, and it does so in a browser that has opened a page from a file.
 */
import { spawnSync } from "node:child_process"
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Links from "./links.ts"
import { questions } from "./questions.ts"
import * as Search from "./search.ts"

const out = fileURLToPath(new URL("../../site", import.meta.url))

const files = new Map(
  globSync("**/*", { cwd: out, withFileTypes: true }).filter((file) => file.isFile()).map((file) => {
    const path = join(file.parentPath, file.name).slice(out.length + 1).replaceAll("\\", "/")
    return [path, /\.(?:html|svg)$/.test(path) ? Links.read(readFileSync(join(out, path), "utf8")) : undefined] as const
  })
)

// The first line of the script is what can be found.
const [assignment] = readFileSync(join(out, "assets/search.js"), "utf8").split("\n")
const entries = JSON.parse(assignment.slice(assignment.indexOf("["), -1)) as ReadonlyArray<Search.Entry>

const dead = [
  ...Links.dead(files),
  ...entries.filter(({ url }) => !Links.leads(files, "index.html", url)).map(({ url }) => `the search: ${url}`)
]
if (dead.length > 0) throw new Error(`${dead.length} links lead nowhere:\n${dead.join("\n")}`)
console.log(
  `no link of ${Array.from(files.keys()).filter((file) => file.endsWith(".html")).length} pages leads nowhere`
)

const search = Search.make(entries)
const isAnswer = (url: string, answer: string) => answer.includes("#") ? url === answer : url.split("#")[0] === answer
const missed = questions.flatMap(([question, answer]) => {
  const first = search.ask(question, 3).map(({ url }) => url)
  const isAnswered = first.some((url) => isAnswer(url, answer))
  return isAnswered ? [] : [`${question}\n  not ${answer}\n  but ${first.join("\n      ")}`]
})
if (missed.length > 0) {
  throw new Error(`the search misses ${missed.length} of ${questions.length} questions:\n${missed.join("\n")}`)
}
console.log(`the search answers ${questions.length} questions with its first three hits`)

/** The page after its scripts have run, which open the search with the question. Nothing where there is no Chromium. */
const inBrowser = (question: string): string | undefined => {
  const url = pathToFileURL(join(out, "docs/tls.html"))
  url.searchParams.set("q", question)
  const profile = mkdtempSync(join(tmpdir(), "site-"))
  try {
    const { error, stdout } = spawnSync("chromium", [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--virtual-time-budget=10000",
      `--user-data-dir=${profile}`,
      "--dump-dom",
      url.href
    ], { encoding: "utf8", timeout: 60_000, maxBuffer: 64 * 1024 * 1024 })
    if (error !== undefined && "code" in error && error.code === "ENOENT") return undefined
    if (error !== undefined) throw error
    return stdout
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
  }
}

const [[question, answer]] = questions
const page = inBrowser(question)
if (page !== undefined) {
  const hits = Array.from(page.matchAll(/<li class="hit [^>]*><a [^>]*href="\.\.\/([^"]*)"/g), ([, url]) => url)
  if (!hits.slice(0, 3).some((url) => isAnswer(url, answer))) {
    throw new Error(`in Chromium the search for "${question}" shows ${hits.join(", ") || "nothing"}`)
  }
  console.log("and so it does in Chromium, from a file")
} else if (process.env["REQUIRE_PEERS"] === "1") {
  throw new Error("there is no chromium, in which the search has to be tried")
} else {
  console.log("it was not tried in a browser, for there is no chromium")
}
