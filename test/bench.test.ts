import { describe, expect, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { setTimeout } from "node:timers/promises"
import * as Check from "../bench/commands/check.ts"
import * as Compare from "../bench/commands/compare.ts"
import * as Protocols from "../bench/commands/protocols.ts"
import * as Storm from "../bench/commands/storm.ts"
import * as Workers from "../bench/commands/workers.ts"
import * as Linebench from "../bench/linebench.ts"
import * as Plot from "../bench/plot.ts"
import * as Process from "../bench/process.ts"
import * as Sample from "../bench/protocols/sample.ts"
import * as Report from "../bench/report.ts"
import * as Rounds from "../bench/rounds.ts"
import * as Stats from "../bench/stats.ts"
import * as Mixes from "../bench/storm/mixes.ts"
import { untilWarm } from "../bench/warming.ts"
import { isAlive } from "./support/processes.ts"

const node = (script: string) => [process.execPath, "-e", script]

const summaryOf = (...values: ReadonlyArray<number>) => Stats.summarize(values)!

describe("a process that is warmed up", () => {
  const rounds = (...spent: ReadonlyArray<number>) => {
    const isWarm = untilWarm()
    return spent.findIndex((spent) => isWarm(spent)) + 1
  }

  it("is warm when it needs no less than before, by 5 %", () => {
    expect(rounds(100, 60, 50, 47.6, 47)).toBe(4)
    expect(rounds(100, 60, 50, 47.4, 47)).toBe(5)
  })

  it("is measured against its best round, which the machine may have disturbed", () => {
    expect(rounds(50, 90, 60)).toBe(2)
  })

  it("has two rounds at least, and six at most", () => {
    expect(rounds(50, 50)).toBe(2)
    expect(rounds(64, 32, 16, 8, 4, 2, 1)).toBe(6)
  })
})

describe("Stats", () => {
  it("takes the middle value, or the mean of the two in the middle", () => {
    expect(Stats.median([9, 1, 5])).toBe(5)
    expect(Stats.median([9, 1, 5, 7])).toBe(6)
    expect(() => Stats.median([])).toThrow(RangeError)
  })

  it("summarizes the rounds that have a value, and nothing where none has", () => {
    expect(Stats.summarize([3, undefined, 1, 10])).toEqual({ median: 3, min: 1, max: 10, n: 3 })
    expect(Stats.summarize([undefined])).toBeUndefined()
  })

  it("divides by the base of the same round, and leaves out rounds without one", () => {
    expect(Stats.paired([10, 30, 5, undefined, 8], [10, 10, undefined, 4, 0]))
      .toEqual([1, 3, undefined, undefined, undefined])
  })

  it("takes the median of the paired ratios, not the ratio of the medians", () => {
    // The machine was slow in the second round, for both.
    const [ours, base] = [[50, 6, 52], [100, 10, 100]]
    expect(summaryOf(...Stats.paired(ours, base).map(Number)).median).toBe(0.52)
    expect(Stats.median(ours) / Stats.median(base)).toBe(0.5)
  })

  it("finds the exponent of a growth", () => {
    const lengths = [1, 10, 100, 1000]
    expect(Stats.growth(lengths.map((n) => [n, 7 * n]))).toBeCloseTo(1)
    expect(Stats.growth(lengths.map((n) => [n, 7 * n * n]))).toBeCloseTo(2)
    expect(Stats.growth([[5, 1]])).toBeUndefined()
  })

  it("begins each round with another one", () => {
    expect([0, 1, 2, 3].map((round) => Stats.rotated("abc".split(""), round).join(""))).toEqual([
      "abc",
      "bca",
      "cab",
      "abc"
    ])
  })
})

describe("Rounds", () => {
  it.effect("measures every case once a round, in turned order, and goes on behind a failure", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const measure = (name: string, fails: boolean) =>
        Effect.suspend(() => {
          order.push(name)
          return fails ? Effect.fail(new Process.BenchError({ message: "broken" })) : Effect.succeed(order.length)
        })
      const outcomes = yield* Rounds.interleaved("a test", 2, [["a", measure("a", false)], ["b", measure("b", true)]])
      expect(order).toEqual(["a", "b", "b", "a"])
      expect(Rounds.column(outcomes.get("a"), (value) => value)).toEqual([1, 4])
      expect(Rounds.column(outcomes.get("b"), (value) => value)).toEqual([undefined, undefined])
      expect(Rounds.failures(outcomes)).toEqual(["- b: 2 of 2 rounds failed: broken"])
    }))
})

describe("Report", () => {
  it("writes numbers with about three digits", () => {
    expect([1_234_567.8, 123.4, 12.34, 1.234, 0.123, 0.01234, 3, 0].map(Report.number))
      .toEqual(["1,234,568", "123", "12.3", "1.23", "0.12", "0.0123", "3", "0"])
  })

  it("shows the spread where there was more than one round", () => {
    expect(Report.spread(summaryOf(1, 2, 4), Report.ratio)).toBe("2.00 (1.00..4.00)")
    expect(Report.spread(summaryOf(2), Report.ratio)).toBe("2.00")
    expect(Report.spread(undefined)).toBe("")
  })

  it("pads tables, and keeps a cell in its column whatever is in it", () => {
    expect(Report.table(["server", "n"], [["a|b", "1"], ["c\nd"]])).toBe([
      "| server |   n |",
      "|--------|----:|",
      "| a\\|b   |   1 |",
      "| c d    |     |"
    ].join("\n"))
  })
})

describe("Compare", () => {
  const test = Compare.tests.find(({ id }) => id === "64x32")!
  const round = (rps: number, cpu: number) => ({ value: { rps, cpu_us_per_req: cpu } })
  const measured = Compare.evaluate(
    test,
    new Map([
      ["raw-node", [round(100, 1), round(50, 2), round(200, 1)]],
      ["ours", [round(96, 2), round(49, 3), { error: "echo mismatch" }]],
      ["gone", [{ error: "connection lost" }, { error: "connection lost" }, { error: "connection lost" }]]
    ]),
    "raw-node"
  )

  it("compares a server with the base in the rounds that both have", () => {
    const ours = measured.rows.find(({ server }) => server === "ours")!
    expect(ours.ratio).toEqual({ median: 0.97, min: 0.96, max: 0.98, n: 2 })
    expect(ours.cpuRatio).toEqual({ median: 1.75, min: 1.5, max: 2, n: 2 })
    expect(ours.value).toEqual({ median: 72.5, min: 49, max: 96, n: 2 })
  })

  it("shows the ratios with their spread, what failed, and whether the goal is met", () => {
    const cells = (goal: number) => {
      const [, , row] = Compare.summary([{ ...measured, test: { ...test, goal } }], "raw-node").split("\n")
      return row.split("|").map((cell) => cell.trim()).slice(2, -1)
    }
    expect(cells(0.97)).toEqual(["1.00 (100)", "0.97 (0.96..0.98)", "failed", "≥ 0.97 met"])
    expect(cells(0.98)).toEqual(["1.00 (100)", "0.97 (0.96..0.98)", "failed", "≥ 0.98 missed"])
  })

  it("shows the ratios of CPU time beside them", () => {
    const [table] = Compare.cpuSummary([measured], "raw-node")
    expect(table.split("\n")[2].split("|").map((cell) => cell.trim()).slice(2, -1))
      .toEqual(["1.00 (1)", "1.75 (1.50..2.00)", "failed"])
    expect(Compare.cpuSummary([{ test: Compare.tests.find(({ id }) => id === "idle")!, rows: [] }], "raw-node"))
      .toEqual([])
  })

  it("tells which rounds failed and why", () => {
    const detail = Compare.detail(measured)
    expect(detail).toContain("- ours: 1 of 3 rounds failed: echo mismatch")
    expect(detail).toContain("- gone: 3 of 3 rounds failed: connection lost")
    expect(detail).not.toContain("- raw-node:")
  })
})

describe("Protocols", () => {
  const row: Protocols.Row = {
    id: "row",
    title: "A row",
    unit: "things/s",
    contenders: [
      { name: "ours", run: ["script.ts"] },
      { name: "theirs", needs: "their-package", run: ["script.ts"] },
      { name: "by hand", isLimit: true, run: ["script.ts"] }
    ]
  }
  const round = (perSecond: number, cpu: number) => ({ value: { perSecond, cpu } })
  const measured = Protocols.evaluate(
    row,
    new Map([
      ["ours", [round(100, 1), round(30, 4)]],
      ["theirs", [round(50, 2), { error: "refused" }]],
      ["by hand", [round(200, 0.5), round(90, 1)]]
    ])
  )

  it("divides what ours does by what the others do in the same round", () => {
    const [, theirs, limit] = measured.lines
    expect(theirs.ratio).toEqual({ median: 2, min: 2, max: 2, n: 1 })
    expect(limit.cpuRatio).toEqual({ median: 3, min: 2, max: 4, n: 2 })
    expect(measured.failures).toEqual(["- theirs: 1 of 2 rounds failed: refused"])
  })

  it("says who is a limit, and shows the delay of the event loop only where it was measured", () => {
    expect(Protocols.table([measured])).toContain("| by hand (a limit) |")
    expect(Protocols.delays([measured])).toEqual([])
  })

  it("shows the memory of what is left behind only where it was measured, and divides ours by that of the others", () => {
    const left = (bytes: number) => ({ value: { perSecond: 1, cpu: 1, bytes } })
    const [table] = Protocols.memory([
      measured,
      Protocols.evaluate(
        { ...row, title: "Idle" },
        new Map([["ours", [left(300), left(330)]], ["theirs", [left(200), left(300)]]])
      )
    ])
    const cells = table.split("\n").slice(2).map((line) => line.split("|").map((cell) => cell.trim()).slice(1, -1))
    expect(cells).toEqual([
      ["Idle", "ours", "315 (300..330)", ""],
      ["Idle", "theirs", "250 (200..300)", "1.30 (1.10..1.50)"]
    ])
    expect(Protocols.memory([measured])).toEqual([])
  })

  it("leaves out a package that is not installed, and a row whose server is not there", () => {
    expect(Protocols.leftOut(row, () => true)).toEqual([])
    expect(Protocols.leftOut(row, () => false)).toEqual(["row: theirs is left out, for it is not installed"])
    const peer = { name: "server", path: undefined, start: () => Effect.die("not started") }
    expect(Protocols.leftOut({ ...row, peer }, () => true)).toEqual(["row: left out, for there is no server here"])
  })
})

describe("Check", () => {
  const wrong = (counts: Record<string, number>, budget: Record<string, number>) =>
    Check.verdicts(counts, budget).flatMap(({ name, wrong }) => wrong === undefined ? [] : [`${name} ${wrong}`])

  it("lets bytes grow by 2 % and no more, and what is counted by ones not at all", () => {
    expect(wrong({ "bytes allocated": 1020, Effects: 100 }, { "bytes allocated": 1000, Effects: 100 })).toEqual([])
    expect(wrong({ "bytes allocated": 1021, Effects: 101 }, { "bytes allocated": 1000, Effects: 100 }))
      .toEqual(["bytes allocated has grown", "Effects has grown"])
  })

  it("lets what only a full collection frees grow by a tenth", () => {
    const name = "connection: bytes that only a full collection frees"
    expect(wrong({ [name]: 1100 }, { [name]: 1000 })).toEqual([])
    expect(wrong({ [name]: 1101 }, { [name]: 1000 })).toEqual([`${name} has grown`])
  })

  it("lets nothing be copied where nothing was", () => {
    expect(wrong({ "bytes copied": 0 }, { "bytes copied": 0 })).toEqual([])
    expect(wrong({ "bytes copied": 0.01 }, { "bytes copied": 0 })).toEqual(["bytes copied has grown"])
  })

  it("misses what is not counted any more, and what nobody has allowed", () => {
    expect(wrong({ tasks: 1 }, { Effects: 1 })).toEqual(["Effects was not counted", "tasks has no budget"])
  })
})

describe("Workers", () => {
  it("leaves the load its core where that leaves enough, and else uses all", () => {
    expect(Workers.coresFor(2, 4, 1)).toEqual([0, 2, 3])
    expect(Workers.coresFor(2, 3, 1)).toEqual([0, 2])
    expect(Workers.coresFor(2, 2, 1)).toEqual([0, 1])
    expect(Workers.coresFor(2, 1, 1)).toEqual([0])
  })

  it.live.runIf(process.platform === "linux")(
    "adds up the processor time of a process and its children",
    () =>
      Effect.gen(function*() {
        const busy = "while (process.cpuUsage().user < 1e5); console.log('done'); setInterval(() => {}, 1000)"
        const running = yield* Process.start(0, node(busy))
        yield* running.says(/done/)
        const child = Workers.cpuSeconds(running.pid)
        expect(child).toBeGreaterThanOrEqual(0.1)
        const { system, user } = process.cpuUsage()
        // A tick is 10 ms, and there are two of them.
        expect(Workers.cpuSeconds(process.pid)).toBeGreaterThanOrEqual((user + system) / 1e6 - 0.02 + child)
      }).pipe(Effect.scoped)
  )
})

describe("Storm", () => {
  it("is the same for the same seed, and another one for another", () => {
    const storm = (seed: number) => {
      const random = Mixes.random(seed)
      return Array.from({ length: 50 }, () => Mixes.disorder(random))
    }
    expect(storm(7)).toEqual(storm(7))
    expect(storm(8)).not.toEqual(storm(7))
    expect(new Set(storm(7).map(({ goes }) => goes))).toEqual(new Set(["ends", "resets", "stays"]))
    expect(Math.max(...storm(7).map(({ bytes }) => bytes.length))).toBeLessThanOrEqual(4096 + 11)
  })

  it("tells the greatest wait, and the one that 99 of a hundred do not exceed", () => {
    expect(Mixes.summarize(Array.from({ length: 200 }, (_, i) => 200 - i)))
      .toEqual({ answers: 200, p99: 198, greatest: 200 })
    expect(Mixes.summarize([3])).toEqual({ answers: 1, p99: 3, greatest: 3 })
    expect(Mixes.summarize([])).toEqual({ answers: 0, p99: 0, greatest: 0 })
  })

  it("calls a leak what is kept: a descriptor, or more than 128 MiB more in the last round", () => {
    const first = { descriptors: 20, resident: 50_000 }
    const then = { descriptors: 20, resident: 250_000 }
    const most = { descriptors: 20, resident: 250_000 + 128 * 1024 }
    expect(Mixes.leakOf([first, then, { descriptors: 19, resident: 240_000 }])).toBeUndefined()
    expect(Mixes.leakOf([first, then, most])).toBeUndefined()
    expect(Mixes.leakOf([first, then, { ...most, resident: most.resident + 1 }]))
      .toBe("its memory has grown by 128 MiB in the last round")
    expect(Mixes.leakOf([first, then, { ...most, descriptors: 21 }])).toBe("1 descriptors are left open")
  })

  it.live.runIf(process.platform === "linux")(
    "answers a client in good order in the midst of garbage, and keeps nothing",
    () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const said = { ...console, log: (line: string) => lines.push(line), error: () => {} }
        const problems = yield* Storm.run({ seconds: 1, seed: 1, mixes: ["garbage"] }).pipe(
          Effect.provideService(Console.Console, said)
        )
        expect(problems).toEqual([])
        const [, answers] = /\| garbage \| +(\d+) \|/.exec(lines.join("\n"))!
        expect(Number(answers)).toBeGreaterThan(0)
      }),
    60_000
  )
})

describe("Linebench", () => {
  it("reads the numbers of the last line", () => {
    expect(Linebench.parse("hello\n{\"mode\":\"bulk\",\"c\":1,\"mbps\":12.5}\n")).toEqual({ c: 1, mbps: 12.5 })
    expect(() => Linebench.parse("")).toThrow(SyntaxError)
    expect(() => Linebench.parse("12")).toThrow(SyntaxError)
  })
})

describe("Plot", () => {
  const pixels = { from: 100, to: 200 }

  it("puts powers at equal distances on a logarithmic scale that ends on ticks", () => {
    const { at, ticks } = Plot.logScale([0.3, 30], pixels)
    expect(ticks).toEqual([0.2, 0.5, 1, 2, 5, 10, 20, 50])
    expect([at(0.2), at(50)]).toEqual([100, 200])
    expect(at(10) - at(1)).toBeCloseTo(at(20) - at(2))
  })

  it("has only decades as ticks where there are many", () => {
    expect(Plot.logScale([1, 10_000], pixels).ticks).toEqual([1, 10, 100, 1000, 10_000])
  })

  it("has a scale for a single value, and for none", () => {
    for (const values of [[5], [1], [0.001], []]) {
      const { at, ticks } = Plot.logScale(values, pixels)
      expect(ticks.length).toBeGreaterThan(1)
      for (const value of values) expect(at(value)).toBeGreaterThanOrEqual(100)
      for (const value of values) expect(at(value)).toBeLessThan(200)
    }
  })

  it("begins a linear scale at 0 and ends it on a tick at or above the greatest value", () => {
    const { at, ticks } = Plot.linearScale([3, 354], pixels)
    expect(ticks).toEqual([0, 100, 200, 300, 400])
    expect([at(0), at(200), at(400)]).toEqual([100, 150, 200])
    expect(Plot.linearScale([10], pixels).ticks).toEqual([0, 2, 4, 6, 8, 10])
    expect(Plot.linearScale([0], pixels).ticks).toEqual([0, 1])
  })

  it("writes ticks short", () => {
    expect([0.02, 1, 500, 20_000, 1_500_000, 2e9].map(Plot.short)).toEqual(["0.02", "1", "500", "20k", "1.5M", "2G"])
  })

  const picture = Plot.page("A < B & \"C\"", "somewhere", [
    Plot.dots({
      title: "dots",
      axis: "ratio",
      reference: 1,
      groups: [{
        label: "a test",
        dots: [
          { label: "ours", series: 0, value: summaryOf(0.5, 0.6, 0.9) },
          { label: "gone", series: 1, value: undefined, absent: "1 of 1 rounds failed: <nothing>" }
        ]
      }]
    }),
    Plot.lines({
      title: "lines",
      x: { label: "n", ticks: [1, 64, 1024] },
      y: { label: "requests/s" },
      series: [
        { name: "ours", points: [{ x: 1, y: summaryOf(900, 1000, 1200) }, { x: 1024, y: summaryOf(5e5) }] },
        { name: "ideal", dashed: true, points: [{ x: 1, y: Plot.exactly(1000) }, { x: 64, y: Plot.exactly(64_000) }] }
      ]
    })
  ])

  it("is well-formed XML", () => {
    const open: Array<string> = []
    // Whatever is left when the tags and the texts between them are taken away does not belong there.
    const rest = picture.replace(
      /<(\/?)(\w+)((?: [\w-]+="[^"<&]*(?:&\w+;[^"<&]*)*")*)(\/?)>([^<&]*(?:&\w+;[^<&]*)*)/g,
      (
        _,
        closes: string,
        name: string,
        _attributes: string,
        empty: string
      ) => {
        if (closes !== "") expect(open.pop()).toBe(name)
        else if (empty === "") open.push(name)
        return ""
      }
    )
    expect(rest).toBe("")
    expect(open).toEqual([])
    expect(picture).toContain("<title>A &lt; B &amp; &quot;C&quot;</title>")
    expect(picture).toContain("failed: &lt;nothing&gt;")
  })

  it("draws everything inside its frame, with numbers for coordinates", () => {
    const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(picture)!.map(Number)
    const places = [...picture.matchAll(/ (x|y|x1|x2|y1|y2|cx|cy)="([^"]*)"/g)]
    expect(places.length).toBeGreaterThan(100)
    for (const [, name, value] of places) {
      expect(Number(value)).toBeGreaterThanOrEqual(0)
      expect(Number(value)).toBeLessThanOrEqual(name.includes("x") ? width : height)
    }
    expect(picture).not.toMatch(/NaN|Infinity|undefined/)
  })

  it("draws an error bar from the least to the greatest value, around the median", () => {
    const { at } = Plot.logScale([0.5, 0.9, 1.1], { from: 150, to: 710 })
    const x = (value: number) => `${Math.round(at(value) * 10) / 10}`
    expect(picture).toMatch(new RegExp(`<line x1="${x(0.5)}" y1="([\\d.]+)" x2="${x(0.9)}" y2="\\1"`))
    expect(picture).toContain(`<circle cx="${x(0.6)}"`)
  })
})

describe.concurrent("Process", () => {
  it.live("is gone when its scope has closed, and was there before", () =>
    Effect.gen(function*() {
      const pid = yield* Effect.scoped(Effect.gen(function*() {
        const running = yield* Process.start(0, node("console.log('listening 7'); setInterval(() => {}, 1000)"))
        const [, said] = yield* running.says(/listening (\d+)/)
        expect(said).toBe("7")
        expect(isAlive(running.pid)).toBe(true)
        return running.pid
      }))
      expect(isAlive(pid)).toBe(false)
    }))

  it.live("may end by itself on SIGTERM", () =>
    Effect.gen(function*() {
      const running = yield* Effect.scoped(Effect.gen(function*() {
        const polite = "process.on('SIGTERM', () => { console.log('goodbye'); process.exit(0) })"
        const running = yield* Process.start(
          0,
          node(`${polite}; console.log('listening 7'); setInterval(() => {}, 1000)`)
        )
        yield* running.says(/listening/)
        return running
      }))
      expect(running.stdout()).toContain("goodbye")
    }))

  it.live("is killed where it does not want to end", () =>
    Effect.gen(function*() {
      const pid = yield* Effect.scoped(Effect.gen(function*() {
        const stubborn = "process.on('SIGTERM', () => {}); console.log('listening 7'); setInterval(() => {}, 1000)"
        const running = yield* Process.start(0, node(stubborn))
        yield* running.says(/listening/)
        return running.pid
      }))
      expect(isAlive(pid)).toBe(false)
    }))

  it.live("fails with the end of a process that says nothing of what is waited for", () =>
    Effect.gen(function*() {
      const running = yield* Process.start(0, node("console.error('the port is in use'); process.exitCode = 3"))
      const error = yield* Effect.flip(running.says(/listening/))
      expect(error.message).toMatch(/ended with 3: the port is in use$/)
    }).pipe(Effect.scoped))

  it.live("is told lines and answers with lines, each of which is read once", () =>
    Effect.gen(function*() {
      const echo = "process.stdin.on('data', (line) => process.stdout.write('you said ' + line)); console.log('ready')"
      const running = yield* Process.start(0, node(echo))
      expect(yield* running.line).toBe("ready")
      yield* running.tell("one")
      expect(yield* running.line).toBe("you said one")
      yield* running.tell("two")
      expect(yield* running.line).toBe("you said two")
    }).pipe(Effect.scoped))

  it.live("fails with the end of a process that says no further line", () =>
    Effect.gen(function*() {
      const running = yield* Process.start(
        0,
        node("console.log('last'); console.error('it broke'); process.exitCode = 4")
      )
      expect(yield* running.line).toBe("last")
      expect((yield* Effect.flip(running.line)).message).toMatch(/ended with 4: it broke$/)
    }).pipe(Effect.scoped))

  it.live("measures as often as it is asked to once it is warm, and ends with its standard input", () =>
    Effect.gen(function*() {
      const sample = new URL("../bench/protocols/sample.ts", import.meta.url)
      const script = `import * as Sample from "${sample}"; let calls = 0; await Sample.serve(0.01, async (seconds) =>
        ({ perSecond: seconds, cpu: ++calls })); console.log("never")`
      const running = yield* Process.start(0, node(script))
      expect(yield* running.line).toBe("warm")
      for (const [seconds, calls] of [[0.2, 3], [0.5, 4]]) {
        yield* running.tell(`${seconds}`)
        expect(JSON.parse(yield* running.line)).toEqual({ perSecond: seconds, cpu: calls })
      }
      yield* running.close
      expect(yield* running.ended).toBe(0)
      expect(running.stdout()).not.toContain("never")
    }).pipe(Effect.scoped))

  it.live("works side by side while it measures, and at no other time", () =>
    Effect.gen(function*() {
      let underWay = 0
      const measure = Sample.sideBySide({
        atOnce: 3,
        work: async (isOver, done) => {
          underWay++
          while (!isOver()) {
            await setTimeout(1)
            done()
          }
          underWay--
        }
      }, () => expect(underWay).toBe(3))
      for (let i = 0; i < 2; i++) {
        const sample = yield* Effect.promise(() => measure(0.05))
        expect(sample.perSecond).toBeGreaterThan(0)
        expect(underWay).toBe(0)
      }
    }))

  it.live("fails where nothing was done", () =>
    Effect.gen(function*() {
      const idle = Sample.sideBySide({ atOnce: 1, work: () => setTimeout(20) })
      expect(yield* Effect.promise(() => idle(0.01).catch((error: Error) => error.message)))
        .toBe("nothing was done within 0.01 s")
    }))

  it.live("runs to the end, and returns what was printed", () =>
    Effect.gen(function*() {
      expect(yield* Process.run(0, node("console.log('x'.repeat(200_000))"), "10 seconds")).toHaveLength(200_001)
    }))

  it.live("fails with what a process that fails has said", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Process.run(0, node("console.error('echo mismatch'); process.exitCode = 1"), "10 seconds")
      )
      expect(error.message).toBe("echo mismatch")
    }))

  it.live("fails where it takes too long", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Process.run(0, node("setInterval(() => {}, 1000)"), "300 millis"))
      expect(error.message).toMatch(/^not done within 300 millis/)
    }))

  it.live("fails where there is no such program", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Process.run(0, ["/nowhere/at-all"], "10 seconds"))
      expect(error.message).toContain("/nowhere/at-all")
    }))

  it.live("ends with its standard input where it is on the leash", () =>
    Effect.gen(function*() {
      const leash = new URL("../bench/leash.ts", import.meta.url).href
      // A process that starts another one, as the harness does, and is killed.
      const parent = `
        const { spawn } = require("node:child_process")
        const args = ["--import", ${JSON.stringify(leash)}, "-e", "console.log('ready'); setInterval(() => {}, 1000)"]
        const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"], detached: true })
        child.stdout.on("data", () => console.log("listening " + child.pid))
      `
      const running = yield* Process.start(0, node(parent))
      const [, pid] = yield* running.says(/listening (\d+)\n/)
      expect(isAlive(Number(pid))).toBe(true)
      process.kill(running.pid, "SIGKILL")
      while (isAlive(Number(pid))) yield* Effect.sleep("20 millis")
    }).pipe(Effect.scoped))
})
