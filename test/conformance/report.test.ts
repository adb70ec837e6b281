/**
 * How `npm run conformance` reads what the suites of others say.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Report from "../../conformance/report.ts"

const xml = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="5.1. Stream States" package="http2/5.1" id="5.1" tests="3" skipped="1" failures="1" errors="0">
    <testcase package="http2/5.1" classname="idle: Sends a DATA frame" time="0.0003"></testcase>
    <testcase package="http2/5.1" classname="closed: Sends a &#34;HEADERS&#34; frame" time="2.0002">
      <failure>Expect:&#xA;GOAWAY Frame &lt;STREAM_CLOSED&gt;
      Actual:
      Timeout</failure>
    </testcase>
    <testcase package="http2/5.1" classname="one more" time="0"><skipped></skipped></testcase>
  </testsuite>
  <testsuite name="8.1. HTTP Request/Response Exchange" package="http2/8.1" id="8.1" tests="1" failures="1">
    <testcase package="http2/8.1" classname="Sends a second HEADERS frame" time="2"><error>Timeout</error></testcase>
  </testsuite>
</testsuites>`

describe("a report in the form of JUnit", () => {
  it("is read test by test", () => {
    expect(Report.parse(xml)).toEqual([
      {
        section: "http2/5.1",
        title: "5.1. Stream States",
        name: "idle: Sends a DATA frame",
        outcome: "passed",
        why: ""
      },
      {
        section: "http2/5.1",
        title: "5.1. Stream States",
        name: "closed: Sends a \"HEADERS\" frame",
        outcome: "failed",
        why: "Expect: GOAWAY Frame <STREAM_CLOSED> Actual: Timeout"
      },
      { section: "http2/5.1", title: "5.1. Stream States", name: "one more", outcome: "skipped", why: "" },
      {
        section: "http2/8.1",
        title: "8.1. HTTP Request/Response Exchange",
        name: "Sends a second HEADERS frame",
        outcome: "failed",
        why: "Timeout"
      }
    ])
  })

  it("has a row for each section, and tells apart what the library does not stand for", () => {
    const rows = Report.rowsOf("h2spec", Report.parse(xml))
    expect(Report.isGood(rows)).toBe(false)
    expect(Report.isGood(rows.slice(1))).toBe(true)
    expect(Report.table(rows).split("\n")).toEqual([
      "peer    what                                      passed  failed  skipped",
      "h2spec  http2/5.1 Stream States                        1       1        1",
      "h2spec  http2/8.1 HTTP Request/Response Exchange       0       1        0",
      "all                                                    1       2        1",
      "",
      "failed: http2/5.1 Stream States: closed: Sends a \"HEADERS\" frame " +
      "(Expect: GOAWAY Frame <STREAM_CLOSED> Actual: Timeout)",
      "not of this library: http2/8.1 HTTP Request/Response Exchange: Sends a second HEADERS frame (Timeout)"
    ])
  })

  it("stands for all but header lists and priorities", () => {
    const isOurs = (section: string, name = "") =>
      Report.isOurs({ section, name, title: "", outcome: "failed", why: "" })
    expect(["http2/4.3", "http2/5.1.1", "http2/6.9.2", "generic/3.2", "client/6.8"].filter((it) => !isOurs(it)))
      .toEqual(
        []
      )
    expect(["hpack/4.2", "http2/8.1.2.3", "http2/5.3.1", "client/8.1"].filter((it) => isOurs(it))).toEqual([])
    expect(isOurs("http2/4.3", "Sends invalid header block fragment")).toBe(false)
  })
})
