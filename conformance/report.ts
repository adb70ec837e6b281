/**
 * What the suites say, as rows of a table.
 */

/** What came of one test of a suite. */
export interface Case {
  /** The suite and its section, such as `http2/5.1`. */
  readonly section: string
  readonly title: string
  readonly name: string
  readonly outcome: "passed" | "failed" | "skipped"
  readonly why: string
}

/** A row of the table. */
export interface Row {
  readonly peer: string
  readonly what: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** What has failed, of that for which the library stands. */
  readonly failures: ReadonlyArray<string>
  /** What has failed, of that for which it does not. */
  readonly notes: ReadonlyArray<string>
}

const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: "\"", apos: "'" }

const unescape = (text: string): string =>
  text.replace(/&(?:#(\d+)|#x([0-9a-f]+)|(\w+));/gi, (all, decimal, hexadecimal, name) =>
    decimal !== undefined
      ? String.fromCodePoint(Number(decimal))
      : hexadecimal !== undefined
      ? String.fromCodePoint(Number.parseInt(hexadecimal, 16))
      : entities[name] ?? all)

const attribute = (attributes: string, name: string): string =>
  unescape(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "")

/** The tests of a report in the form of JUnit, as h2spec and h2specd write it. */
export const parse = (xml: string): ReadonlyArray<Case> =>
  Array.from(xml.matchAll(/<testsuite\b([^>]*)>([^]*?)<\/testsuite>/g)).flatMap(([, suite, body]) =>
    Array.from(body.matchAll(/<testcase\b([^>]*?)(?:\/>|>([^]*?)<\/testcase>)/g)).map(
      ([, test, content = ""]): Case => {
        const bad = /<(failure|error)\b[^>]*>([^]*?)<\/\1>/.exec(content)
        return {
          section: attribute(suite, "package"),
          title: attribute(suite, "name"),
          name: attribute(test, "classname"),
          outcome: bad !== null ? "failed" : content.includes("<skipped") ? "skipped" : "passed",
          why: unescape(bad?.[2] ?? "").replaceAll(/\s+/g, " ").trim()
        }
      }
    )
  )

/**
 * Whether a test is about what the library does. Header lists are not decoded, so what is in them is not seen; and the priorities of
 * RFC 7540, of which the suites are, are gone with RFC 9113.
 */
export const isOurs = ({ name, section }: Case): boolean =>
  !/^hpack\b|\/8(?:\.|$)|\/5\.3/.test(section) && !/header block fragment|HPACK/i.test(name)

const count = (cases: ReadonlyArray<Case>, outcome: Case["outcome"]): number =>
  cases.filter((test) => test.outcome === outcome).length

const shown = ({ name, why }: Case): string => why === "" ? name : `${name} (${why})`

/** One row for each section. */
export const rowsOf = (peer: string, cases: ReadonlyArray<Case>): ReadonlyArray<Row> =>
  Array.from(Map.groupBy(cases, ({ section }) => section), ([section, tests]): Row => {
    const failed = tests.filter(({ outcome }) => outcome === "failed")
    return {
      peer,
      what: `${section} ${tests[0].title.replace(/^[\d.]+\s*/, "")}`.trim(),
      passed: count(tests, "passed"),
      failed: failed.length,
      skipped: count(tests, "skipped"),
      failures: failed.filter(isOurs).map(shown),
      notes: failed.filter((test) => !isOurs(test)).map(shown)
    }
  })

const totalOf = (rows: ReadonlyArray<Row>): Row => {
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0)
  return {
    peer: "all",
    what: "",
    passed: sum(({ passed }) => passed),
    failed: sum(({ failed }) => failed),
    skipped: sum(({ skipped }) => skipped),
    failures: [],
    notes: []
  }
}

/** The table, and behind it what has failed. */
export const table = (rows: ReadonlyArray<Row>): string => {
  const cells = [...rows, totalOf(rows)].map(({ failed, passed, peer, skipped, what }) => [
    peer,
    what,
    `${passed}`,
    `${failed}`,
    `${skipped}`
  ])
  const all = [["peer", "what", "passed", "failed", "skipped"], ...cells]
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)))
  const lines = all.map((row) =>
    row.map((cell, column) => column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])).join("  ")
  )
  const details = rows.flatMap(({ failures, notes, what }) => [
    ...failures.map((failure) => `failed: ${what}: ${failure}`),
    ...notes.map((note) => `not of this library: ${what}: ${note}`)
  ])
  return [...lines, ...(details.length > 0 ? ["", ...details] : [])].join("\n")
}

/** Whether nothing has failed for which the library stands. */
export const isGood = (rows: ReadonlyArray<Row>): boolean => rows.every(({ failures }) => failures.length === 0)
