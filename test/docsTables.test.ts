/**
 * The tables of the documentation: what they say of defaults, errors and flags is what the code has.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Body from "../src/Body.ts"
import * as Dialogue from "../src/Dialogue.ts"
import * as HandshakeError from "../src/HandshakeError.ts"
import * as TransportError from "../src/TransportError.ts"
import { glob, read, rowsOf } from "./support/docs.ts"

/** The value of a default as pages write it: `16_384` is 16,384, `64 * 1024` is 64 KiB, and `Duration.seconds(10)` is 10 seconds. */
const written = (code: string): string => {
  const text = /^"(.*)"$/.exec(code)
  if (text !== null) return text[1].replace("millis", "milliseconds")
  const duration = /^Duration\.(\w+?)s?\((\d+)\)$/.exec(code)
  if (duration !== null) return `${duration[2]} ${duration[1]}${duration[2] === "1" ? "" : "s"}`
  const n = code.split("*").reduce((product, factor) => product * Number(factor.replaceAll("_", "")), 1)
  if (code.includes("1024 * 1024")) return `${n / 1024 / 1024} MiB`
  return code.includes("*") ? `${n / 1024} KiB` : n.toLocaleString("en")
}

interface Source {
  readonly file: string
  /** It finds the default in the code. */
  readonly at: RegExp
}

const source = (file: string, at: RegExp): Source => ({ file: `src/${file}`, at })

const option = (file: string, name: string): Source =>
  source(file, new RegExp(`\\b${name}: [^\\n]*\\?\\? ("[^"]*"|[\\d_]+)`))

/** Of `Client.pool`, whose options follow those of `Client.reconnecting`. */
const ofPool = (name: string): Source =>
  source("Client.ts", new RegExp(`concurrency: [^]*?\\b${name}: [^\\n]*\\?\\? ("[^"]*"|\\d+)`))

const limits = "internal/server/limits.ts"
const maxLength = source("internal/codec/model.ts", /defaultMaxLength = (.*)/)
const unsent = source("internal/connection/middleware.ts", /defaultMaxUnsent = (.*)/)
const ahead = source("internal/connection/middleware.ts", /defaultReadAhead = (.*)/)
const interval = source("internal/connection/keepAlive.ts", /times\.interval \?\? ("[^"]*")/)
const pongTimeout = source("internal/connection/keepAlive.ts", /times\.timeout \?\? ("[^"]*")/)

/** Where the default of each row stands: of `limits.md`, by what stands in its first two columns. None: it says so itself. */
const defaults: Record<string, ReadonlyArray<Source>> = {
  "Server handshakeTimeout": [source(limits, /limits\.handshakeTimeout \?\? ("[^"]*")/)],
  "Server maxConnections": [option(limits, "maxConnections")],
  "Server maxPendingHandshakes": [option(limits, "maxPendingHandshakes")],
  "Server drainTimeout": [option(limits, "drainTimeout")],
  "Server writeTimeout": [],
  "Client handshakeTimeout": [source("Client.ts", /deadline\(options\.handshakeTimeout \?\? ("[^"]*")/)],
  "Client maxInFlight": [source("Pipeline.ts", /defaultMaxInFlight = (.*)/)],
  "Client callTimeout": [],
  "Client retry": [],
  "Client.reconnecting schedule": [],
  "Client.reconnecting stableAfter": [option("Client.ts", "stableAfter")],
  "Client.reconnecting maxWaiting, waitTimeout": [
    option("Client.ts", "maxWaiting"),
    option("Client.ts", "waitTimeout")
  ],
  "Client.reconnecting, Client.pool maxResends": [option("Client.ts", "maxResends")],
  "Client.pool min, max": [option("Client.ts", "min"), option("Client.ts", "max")],
  "Client.pool concurrency": [option("Client.ts", "concurrency")],
  "Client.pool timeToLive": [option("Client.ts", "timeToLive")],
  "Client.pool checkAfter, checkTimeout": [option("Client.ts", "checkAfter"), option("Client.ts", "checkTimeout")],
  "Client.pool maxWaiting, waitTimeout": [ofPool("maxWaiting"), ofPool("waitTimeout")],
  "Client.pool drainTimeout": [ofPool("drainTimeout")],
  "Pipeline, Multiplex: servers, clients maxInFlight": [
    source("Pipeline.ts", /defaultMaxInFlight = (.*)/),
    source("Multiplex.ts", /defaultMaxInFlight = (.*)/)
  ],
  "Pipeline, Multiplex: streaming bodyBuffer": [source("Body.ts", /defaultBodyBuffer = (.*)/)],
  "Pipeline, Multiplex: streaming bodyTimeout": [source("Body.ts", /defaultBodyTimeout: Duration.Duration = (.*)/)],
  "unsolicited of a client buffer": [source("internal/dispatch/unsolicited.ts", /options\.buffer \?\? (\d+)/)],
  "unsolicited of a client timeout": [source("internal/dispatch/unsolicited.ts", /defaultTimeout = (.*)/)],
  "Middleware.pingPong, intercept maxUnsent": [unsent],
  "Middleware.pingPong, intercept readAhead": [ahead],
  "Middleware.keepAlive interval, timeout": [interval, pongTimeout],
  "Middleware.keepAlive sendInterval": [],
  "keepAlive of a client interval, timeout": [interval, pongTimeout],
  "keepAlive of a client unanswered": [],
  "Codec.lines, delimited, lengthPrefixed maxLength": [maxLength],
  "Codec.lengthPrefixed with \"varint\" maxBytes": [
    source("internal/codec/lengthPrefixed.ts", /options\?\.maxBytes \?\? (\d+)/)
  ],
  "Codec.make, gen maxLength": [maxLength],
  "Codec.aggregate maxLength": [maxLength],
  "Codec.gen maxDepth": [option("internal/codec/gen.ts", "maxDepth")],
  "Codec.fixed(n) ": [],
  "Codec.bytes ": [],
  "Handshake.byteLimit ": [],
  "Handshake.firstOf maxLength": [source("Handshake.ts", /options\?\.maxLength \?\? (\d+)/)],
  "Handshake.deadline ": [],
  "Postgres a start-up packet": [source("protocols/postgres/codecs.ts", /maxStartupLength = (.*)/)],
  "Postgres notices": [source("protocols/postgres/client.ts", /maxNotices = (.*)/)],
  "Postgres parameters": [source("protocols/postgres/client.ts", /maxParameters = (.*)/)],
  "Postgres minIterations, maxIterations": [
    source("protocols/scram/limits.ts", /defaultIterations = (.*)/),
    source("protocols/scram/limits.ts", /defaultMaxIterations = (.*)/)
  ],
  "Postgres maxLength": [
    source("protocols/postgres/codecs.ts", /defaultMaxLength = (.*)/),
    source("protocols/postgres/server.ts", /defaultMaxLength = (.*)/)
  ],
  "Http2 settings.maxFrameSize": [source("protocols/http2/settings.ts", /maxFrameSize: ([\d_]+)/)],
  "Http2 settingsTimeout": [option("protocols/Http2.ts", "settingsTimeout")],
  "Http2 maxHeaderBlock, maxContinuations": [
    source("protocols/Http2.ts", /defaultMaxHeaderBlock = (.*)/),
    source("protocols/Http2.ts", /bytesPerContinuation = (.*)/)
  ],
  "Http2 cheapFrames": [
    source("protocols/Http2.ts", /cheapFrames\?\.burst \?\? (\d+)/),
    source("protocols/Http2.ts", /cheapFrames\?\.perSecond \?\? (\d+)/)
  ],
  "Http2 maxUnsent, readAhead": [unsent, ahead],
  "Workers workers": [],
  "Workers balance": [source("node/Workers.ts", /Default: `("even")`/)],
  "Workers startTimeout": [option("node/Workers.ts", "startTimeout")],
  "Workers stopTimeout": [option("node/Workers.ts", "stopTimeout")],
  "Workers maxRestarts": [option("node/Workers.ts", "maxRestarts")],
  "Workers stableAfter": [option("node/Workers.ts", "stableAfter")],
  "Admission maxKeys": [source("Admission.ts", /defaultMaxKeys = (.*)/)]
}

const plain = (cell: string) => cell.replaceAll("`", "")

/** The first column says whose the options are. */
const ofLimits = () =>
  rowsOf(read("docs/limits.md"), "where").map(([where, option, said]) => ({
    name: `${plain(where)} ${plain(option)}`,
    said: plain(said)
  }))

/** The tag in the first column of each row that has one. */
const tagsIn = (page: string, heading: string) =>
  rowsOf(read(page), heading).map(([cell, ...rest]) => [plain(cell), ...rest.map(plain)] as const)

describe("the defaults of limits.md", () => {
  it("each row stands for something in the code", () => {
    assert.deepStrictEqual(ofLimits().map(({ name }) => name).toSorted(), Object.keys(defaults).toSorted())
  })

  for (const [name, sources] of Object.entries(defaults)) {
    if (sources.length === 0) continue
    it(`that of ${name}`, () => {
      const row = ofLimits().find((row) => row.name === name)
      for (const { at, file } of sources) {
        const value = at.exec(read(file))?.[1]
        assert.isDefined(value, `${file} has no default of ${name}`)
        assert.match(row!.said, new RegExp(`(?<![\\d,])${written(value!)}(?!,?\\d)`))
      }
    })
  }
})

describe("the errors of errors.md", () => {
  const codecErrors = { excerpt: "", fault: "peer" } as const
  const handshake: ReadonlyArray<HandshakeError.Reason> = [
    new HandshakeError.InvalidGreeting({ expected: "", received: "" }),
    new HandshakeError.Rejected({ by: "peer", said: "", retryable: true }),
    new HandshakeError.Timeout({ deadline: Duration.zero }),
    new HandshakeError.UnexpectedEnd({ excerpt: "" }),
    new HandshakeError.FrameTooLarge({ limit: 1, ...codecErrors }),
    new HandshakeError.MalformedFrame({ problem: "", ...codecErrors }),
    new HandshakeError.UnreadBytes({ bytes: 1, excerpt: "" }),
    new HandshakeError.TlsFailure({ kind: "not-tls", detail: "", fault: "peer" }),
    new HandshakeError.AuthenticationFailed({ method: "", detail: "", fault: "peer" }),
    new HandshakeError.UnsupportedVersion({ offered: "", supported: [] }),
    HandshakeError.ConnectionFailed.from("open", "")
  ]
  const waited = TransportError.TimedOut.fields.waitedFor.literals
  const why = TransportError.Unavailable.fields.why.literals

  it("has each reason of a HandshakeError, whose fault it is, and whether another try can do better", () => {
    const said = new Map(
      tagsIn("docs/errors.md", "reason of a `HandshakeError`").map(([tag, , fault, again]) => [tag, { fault, again }])
    )
    assert.deepStrictEqual(
      Array.from(said.keys()).toSorted(),
      HandshakeError.Reason.members.map(({ identifier }) => identifier).toSorted()
    )
    for (const reason of handshake) {
      const { again, fault } = said.get(reason._tag)!
      const { retryable } = new HandshakeError.HandshakeError({ protocol: "", step: "", reason })
      if (/^(peer|local|network)$/.test(fault)) assert.strictEqual(fault, reason.fault, reason._tag)
      if (/^(yes|no)$/.test(again)) assert.strictEqual(again, retryable ? "yes" : "no", reason._tag)
    }
  })

  it("has who says by default that a no is worth another try: not the reason itself", () => {
    const again = tagsIn("docs/errors.md", "reason of a `HandshakeError`").find(([tag]) => tag === "Rejected")![3]
    assert.strictEqual(again, "as the reason says; rejections and Dialogue.refused() say yes by default")
    assert.throws(() => new HandshakeError.Rejected({ by: "peer", said: "" } as never))
    assert.isTrue(Dialogue.refused().retryable)
  })

  it("has what each reason of a HandshakeError has, and what to do", () => {
    const rows = tagsIn("docs/errors.md", "reason")
    assert.deepStrictEqual(rows.map(([tag]) => tag).toSorted(), handshake.map(({ _tag }) => _tag).toSorted())
    for (const member of HandshakeError.Reason.members) {
      const [, has] = rows.find(([tag]) => tag === member.identifier)!
      const fields = Object.keys(member.fields).filter((name) => name !== "_tag")
      assert.deepStrictEqual(has.split(", ").toSorted(), fields.toSorted(), member.identifier)
    }
  })

  it("has each reason of a TransportError, and the kinds of two of them", () => {
    const tags = (heading: string) => tagsIn("docs/errors.md", heading).map(([tag]) => tag).toSorted()
    assert.deepStrictEqual(
      tags("reason of a `TransportError`"),
      TransportError.Reason.members.map(({ identifier }) => identifier).toSorted()
    )
    assert.deepStrictEqual(tags("`waitedFor` of a `TimedOut`"), waited.toSorted())
    assert.deepStrictEqual(tags("`why` of an `Unavailable`"), why.toSorted())
    for (const [kind, , fault] of tagsIn("docs/errors.md", "`waitedFor` of a `TimedOut`")) {
      const waitedFor = waited.find((name) => name === kind)!
      assert.strictEqual(fault, new TransportError.TimedOut({ waitedFor, after: Duration.zero }).fault, kind)
    }
  })

  it("has each reason of a BodyError", () => {
    for (const { identifier } of Body.Reason.members) {
      assert.include(read("docs/errors.md"), `| \`BodyError\` with \`${identifier}\` |`)
    }
  })

  for (const table of ["`kind`", "`kind` of the failure"]) {
    it(`tls.md has each kind of a TlsFailure, by ${table}`, () => {
      const kinds = rowsOf(read("docs/tls.md"), table).flatMap(([kinds]) =>
        Array.from(kinds.matchAll(/`([\w-]+)`/g), ([, kind]) => kind)
      )
      assert.deepStrictEqual(Array.from(new Set(kinds)).toSorted(), TransportError.TlsFailureKind.literals.toSorted())
    })
  }
})

describe("the tables of cheat-sheet.md", () => {
  const sheet = read("docs/cheat-sheet.md")

  it("has defaults that stand in limits.md", () => {
    const limits = ofLimits()
    for (const [where, option, said] of rowsOf(sheet, "where").map((row) => row.map(plain))) {
      const row = limits.find(({ name }) => name === `${where} ${option}`)
      assert.strictEqual(row?.said, said, `${where} ${option}`)
    }
  })

  it("has the errors of errors.md, and says the same of them", () => {
    const columns = (page: string, heading: string, ...at: ReadonlyArray<number>) =>
      rowsOf(page, heading).map((row) => at.map((n) => row[n]))
    const errors = read("docs/errors.md")
    assert.deepStrictEqual(
      columns(sheet, "`HandshakeError`", 0, 1, 2),
      columns(errors, "reason of a `HandshakeError`", 0, 2, 3)
    )
    assert.deepStrictEqual(
      columns(sheet, "`TransportError`", 0, 1),
      columns(errors, "reason of a `TransportError`", 0, 2)
    )
  })
})

describe("the options of the laws", () => {
  const fieldsOf = (file: string, name: string) => {
    const [, body] = new RegExp(`^export interface ${name}\\b[^]*?\\{$([^]*?)^\\}`, "m").exec(
      read(`src/testing/internal/${file}`)
    )!
    return Array.from(body.matchAll(/^ {2}readonly (\w+)/gm), ([, field]) => field)
  }
  const common = fieldsOf("suite.ts", "CheckOptions")
  const named = (text: string) => Array.from(text.matchAll(/`(\w+)/g), ([, name]) => name)
  const headings = (title: string) => {
    const [, section] = new RegExp(`^## ${title}$([^]*?)^## `, "m").exec(read("docs/prove-your-handshake.md"))!
    return Array.from(section.matchAll(/^### (.*)$/gm), ([, heading]) => heading).flatMap(named)
  }

  it("those of Laws.handshake have a section each", () => {
    assert.deepStrictEqual(
      headings("The options of `Laws.handshake`").toSorted(),
      [...fieldsOf("laws/options.ts", "Options"), ...common].toSorted()
    )
  })

  it("those of Laws.codec, too", () => {
    assert.deepStrictEqual(
      headings("The options of `Laws.codec`").toSorted(),
      [...fieldsOf("codecLaws.ts", "CodecOptions"), ...common].toSorted()
    )
  })

  it("those of Laws.dialogue are a table, besides both sides", () => {
    const rows = rowsOf(read("docs/write-a-protocol-down.md"), "option")
    assert.deepStrictEqual(
      ["server", "client", ...rows.flatMap(([names]) => named(names))].toSorted(),
      [...fieldsOf("dialogueLaws.ts", "Options"), ...common].toSorted()
    )
    const runs = /defaultRuns = (\d+)/.exec(read("src/testing/internal/dialogueLaws.ts"))![1]
    assert.match(rows.find(([names]) => names.includes("`runs`"))![2], new RegExp(`^${runs},`))
  })

  it("how often a state of a dialogue may be come to is what the code has", () => {
    const row = rowsOf(read("docs/write-a-protocol-down.md"), "option of a state").find(([name]) =>
      name.includes("`atMost`")
    )
    const [, atMost] = /defaultAtMost = (\d+)/.exec(read("src/internal/dialogue/spec.ts"))!
    assert.match(row![1], new RegExp(`^${atMost} `))
  })
})

describe("the numbers of speed.md", () => {
  const latest = read("bench/results/latest.md")
  const servers = /^\| ratio .*$/m.exec(latest)![0].split("|").map((server) => server.trim()).slice(1)
  const shown = ["ours", "effect-direct", "tokio-hand"].map((server) => servers.indexOf(server))
  // The median stands before its spread.
  const measured = rowsOf(latest, "ratio").map((row) => shown.map((at) => Number.parseFloat(row[at])))

  it("are those that were measured", () => {
    const said = rowsOf(read("docs/speed.md"), "").map(([, ...ratios]) => ratios.map(Number))
    assert.deepStrictEqual(said, measured)
  })

  it("are those beside what one would take instead, and none is missing", () => {
    const columns = (row: ReadonlyArray<string>, from: number) => [
      row[from].replaceAll("`", ""),
      ...row.slice(-2).map(Number.parseFloat)
    ]
    const said = rowsOf(read("docs/speed.md"), "what").map((row) => columns(row, 1))
    const known = rowsOf(read("bench/results/protocols.md"), "what").filter(([, who, , , ratio]) =>
      ratio !== "" && !who.includes("a limit")
    )
    assert.deepStrictEqual(said, known.map((row) => columns(row, 1)))
  })

  it("are those of TLS", () => {
    const known = rowsOf(read("bench/results/protocols.md"), "what").filter(([what, , , , ratio]) =>
      ratio !== "" && what.startsWith("TLS")
    )
    const said = rowsOf(read("docs/speed.md"), "TLS").map(([, ...ratios]) => ratios.map(Number))
    assert.deepStrictEqual(said, known.map((row) => row.slice(-2).map(Number.parseFloat)))
  })

  it("are those of each feature, and none is missing", () => {
    const said = rowsOf(read("docs/speed.md"), "a server with").map((
      [name, ...ratios]
    ) => [name, ...ratios.map(Number)])
    const known = rowsOf(read("bench/results/features.md"), "a server with").slice(1)
    assert.deepStrictEqual(said, known.map((row) => [row[0], Number.parseFloat(row[2]), Number.parseFloat(row[4])]))
  })

  it("and README's are, too", () => {
    const [, ...said] = /does ([\d.]+) to ([\d.]+) of[^]*takes ([\d.]+) times[^]*and ([\d.]+) times/.exec(
      read("README.md")
    )!
    const ratios = measured.map(([ours]) => ours)
    const [throughput, memory] = [ratios.slice(0, -2), ratios.slice(-2)]
    assert.deepStrictEqual(said.map(Number), [Math.min(...throughput), Math.max(...throughput), ...memory])
  })
})

describe("the flags of command.md", () => {
  const code = glob("src/cli/*.ts").map(read).join("\n")
  const inCode = new Set(Array.from(code.matchAll(/(?:Flag\.[A-Z]|Flags\.)\w+\(\s*"([a-z-]+)"/g), ([, name]) => name))
  const page = read("docs/command.md")
  const rows = [...rowsOf(page, "flag of `serve`"), ...rowsOf(page, "flag of `probe`")]

  it("each is one of the command, and none is missing", () => {
    const said = new Set(Array.from(page.matchAll(/--([a-z][a-z-]*)/g), ([, name]) => name))
    assert.deepStrictEqual(Array.from(inCode).filter((name) => !said.has(name)), [])
    const inRows = rows.flatMap(([names]) => Array.from(names.matchAll(/--([a-z-]+)/g), ([, name]) => name))
    assert.deepStrictEqual(inRows.filter((name) => !code.includes(`"${name}"`)), [])
  })

  it("each has the default of the code", () => {
    const defaults = Array.from(code.matchAll(/Flags\.(?:count|duration)\("([a-z-]+)", "?([\d_]+\w*)"?,/g))
    assert.isAbove(defaults.length, 5)
    for (const [, name, value] of defaults) {
      const row = rows.find(([names]) => names.includes(`\`--${name}\``))
      if (row === undefined) {
        assert.match(page, new RegExp(`\`--${name}\` \\([^)]*${value}\\)|\`--${name}\`[^.]*\\(${value}\\)`), name)
      } else assert.strictEqual(row[1], value.replaceAll("_", ""), name)
    }
  })
})

describe("the stability of modules", () => {
  const { exports } = JSON.parse(read("package.json")) as { readonly exports: Readonly<Record<string, unknown>> }
  const closed = Object.entries(exports).flatMap(([path, to]) => to === null ? [`src/${path.slice(2, -1)}`] : [])
  const modules = glob("src/**/*.ts").filter((file) => !closed.some((folder) => file.startsWith(folder)))

  /** What a module says of itself, in the comment above its imports. */
  const said = (file: string) => /^\/\*\*\n(?: \*.*\n)*? \* @stability (.*)\n/.exec(read(file))?.[1]

  it("is said at the top of each", () => {
    assert.deepStrictEqual(modules.filter((file) => !["stable", "experimental"].includes(said(file) ?? "")), [])
  })

  it("is what versions.md says", () => {
    assert.deepStrictEqual(
      rowsOf(read("docs/versions.md"), "module").map(([module, stability]) => [module.slice(1, -1), stability])
        .toSorted(),
      modules.map((file) => [file.slice("src/".length, -".ts".length), said(file)]).toSorted()
    )
  })
})
