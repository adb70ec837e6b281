/**
 * What `serve postgres` answers, message by message, without any connection.
 */
import { describe, expect, it } from "@effect/vitest"
import { Answering, type Session } from "../../../src/cli/postgres.ts"
import type * as Postgres from "../../../src/protocols/Postgres.ts"
import { text, utf8 } from "../../support/conversation.ts"

const session: Session = {
  user: "ann",
  database: "shop",
  processId: 7,
  parameters: { server_version: "18.0" },
  now: () => Date.UTC(2026, 10, 29)
}

const idle = "ReadyForQuery idle"

/** Answers on one line each. */
const shown = (answers: ReadonlyArray<Postgres.BackendMessage> | undefined) =>
  answers?.map((message) => {
    switch (message._tag) {
      case "ReadyForQuery":
        return `ReadyForQuery ${message.status}`
      case "CommandComplete":
        return message.command
      case "DataRow":
        return message.values.map((value) => value === null ? "null" : text(value)).join()
      case "RowDescription":
        return message.fields.map(({ format, name, type }) => `${name} ${type} ${format}`).join()
      case "ErrorResponse":
        return message.code
      case "ParameterStatus":
        return `${message.name} is ${message.value}`
      case "ParameterDescription":
        return `takes ${message.types.join()}`
      default:
        return message._tag
    }
  })

const conversation = (...requests: ReadonlyArray<Postgres.RequestMessage>) => {
  const answering = new Answering(session)
  return requests.map((request) => shown(answering.answer(request)))
}

const query = (sql: string): Postgres.RequestMessage => ({ _tag: "Query", sql })
const parse = (sql: string, name = ""): Postgres.RequestMessage => ({ _tag: "Parse", name, sql, types: [] })
const bind = (format: "text" | "binary" = "text", statement = ""): Postgres.RequestMessage => ({
  _tag: "Bind",
  portal: "",
  statement,
  formats: [],
  values: [],
  resultFormats: [format]
})
const describePortal: Postgres.RequestMessage = { _tag: "Describe", target: "portal", name: "" }
const describeStatement: Postgres.RequestMessage = { _tag: "Describe", target: "statement", name: "" }
const execute: Postgres.RequestMessage = { _tag: "Execute", portal: "", maxRows: 0 }
const sync: Postgres.RequestMessage = { _tag: "Sync" }

/** A row of texts, each under its name. */
const row = (...columns: ReadonlyArray<readonly [name: string, type: number, value: string]>) => [
  columns.map(([name, type]) => `${name} ${type} text`).join(),
  columns.map(([, , value]) => value).join(),
  "SELECT 1",
  idle
]

const shows = (name: string, value: string) => [`${name} 25 text`, value, "SHOW", idle]

const none = (...names: ReadonlyArray<string>) => [names.map((name) => `${name} 25 text`).join(), "SELECT 0", idle]

describe("a simple query", () => {
  it.each([
    ["select 1", row(["?column?", 23, "1"])],
    ["SELECT 42 AS answer;", row(["answer", 23, "42"])],
    ["select 1 + 1 as result", row(["result", 23, "2"])],
    ["select -1::int8 \"n\", 2147483648", row(["n", 20, "-1"], ["?column?", 20, "2147483648"])],
    [
      "select 'it''s' as word, E'a\\nb', $x$c;d$x$",
      row(["word", 25, "it's"], ["?column?", 25, "a\nb"], ["?column?", 25, "c;d"])
    ],
    ["select true, null, cast('7' as integer)", row(["bool", 16, "t"], ["?column?", 25, "null"], ["int4", 23, "7"])],
    ["select version()", row(["version", 25, "PostgreSQL 18.0"])],
    ["select now()", row(["now", 1184, "2026-11-29 00:00:00.000+00"])],
    ["select current_user, current_database()", row(["current_user", 19, "ann"], ["current_database", 19, "shop"])],
    ["show server_version", shows("server_version", "18.0")],
    ["SHOW timezone", shows("TimeZone", "UTC")],
    ["select 'a;b'; select 1", [...row(["?column?", 25, "a;b"]).slice(0, 3), ...row(["?column?", 23, "1"])]],
    ["set search_path to x", ["SET", "search_path is x", idle]],
    ["", ["EmptyQueryResponse", idle]],
    [" ; -- nothing\n", ["EmptyQueryResponse", idle]],
    ["select 1; select 2", [...row(["?column?", 23, "1"]).slice(0, 3), ...row(["?column?", 23, "2"])]],
    ["select * from users", ["0A000", idle]],
    ["select * from pg_users()", ["0A000", idle]],
    ["show nothing", ["0A000", idle]],
    ["select 'never ended", ["0A000", idle]],
    ["select 1 /* never ended", ["0A000", idle]],
    ["select $1", ["42P02", idle]],
    ["constructor", ["0A000", idle]],
    ["select constructor()", ["0A000", idle]],
    ["select now()::int8", ["0A000", idle]],
    ["select 1; drop table users; select 2", [...row(["?column?", 23, "1"]).slice(0, 3), "0A000", idle]]
  ])("%j", (sql, answers) => {
    expect(conversation(query(sql))).toEqual([answers])
  })

  it.each([
    ["DBD::Pg, to see whether anybody is there", "/* DBD::Pg ping test v3.16.0 */", ["EmptyQueryResponse", idle]],
    ["lib/pq and pgx, to see that", ";", ["EmptyQueryResponse", idle]],
    ["DBD::Pg, in a comment in a comment", "/* a /* b */ c */ select 1 -- d", row(["?column?", 23, "1"])],
    [
      "psqlODBC",
      "SET DateStyle = 'ISO';SET extra_float_digits = 2;show transaction_isolation",
      ["SET", "DateStyle is ISO", "SET", ...shows("transaction_isolation", "read committed")]
    ],
    ["psqlODBC", "select oid, typbasetype from pg_type where typname = 'lo'", none("oid", "typbasetype")],
    ["psqlODBC", "select pg_client_encoding()", row(["pg_client_encoding", 19, "UTF8"])],
    ["pgJDBC", "SHOW TRANSACTION ISOLATION LEVEL", shows("transaction_isolation", "read committed")],
    ["pgJDBC", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", [
      "SET",
      "default_transaction_read_only is on",
      idle
    ]],
    ["libpq", "SHOW transaction_read_only", shows("transaction_read_only", "off")],
    ["libpq", "SELECT pg_catalog.pg_is_in_recovery()", row(["pg_is_in_recovery", 16, "f"])],
    ["TypeORM", "SELECT * FROM current_schema()", row(["current_schema", 19, "public"])],
    ["TypeORM", "SELECT * FROM current_database() AS db", row(["db", 19, "shop"])],
    ["SQLAlchemy", "select pg_catalog.version()", row(["version", 25, "PostgreSQL 18.0"])],
    ["SQLAlchemy", "select current_schema()", row(["current_schema", 19, "public"])],
    ["Django", "SELECT set_config('TimeZone', 'UTC', false)", row(["set_config", 25, "UTC"])],
    [
      "Sequelize",
      "SET standard_conforming_strings=on;SET client_min_messages TO warning;SET TIME ZONE INTERVAL '+00:00' HOUR TO MINUTE",
      ["SET", "SET", "SET", "TimeZone is interval +00:00 hour to minute", idle]
    ],
    [
      "Sequelize",
      "WITH ranges AS (  SELECT pg_range.rngtypid, pg_type.typname FROM pg_range LEFT OUTER JOIN pg_type ON (a)) " +
      "SELECT pg_type.typname, pg_type.oid, ranges.rngtypname FROM pg_type LEFT OUTER JOIN ranges ON (b)",
      none("typname", "oid", "rngtypname")
    ],
    [
      "postgres.js",
      "select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem",
      none("oid", "typarray")
    ],
    [
      "asyncpg",
      "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;",
      ["pg_advisory_unlock_all 2278 text", "", "SELECT 1", "CLOSE CURSOR ALL", "UNLISTEN", "RESET", idle]
    ],
    ["migrations", "select exists(select 1 from information_schema.tables)", row(["exists", 16, "f"])],
    ["migrations", "select count(*) as n from pg_catalog.pg_class", row(["n", 20, "0"])],
    ["MikroORM", "select 1 from pg_database where datname = 'shop'", ["?column? 23 text", "1", "SELECT 1", idle]],
    ["MikroORM", "select 1 from pg_database where datname = 'bank'", ["?column? 23 text", "SELECT 0", idle]],
    ["poolers", "DISCARD ALL", ["DISCARD ALL", idle]]
  ])("of %s: %s", (_, sql, answers) => {
    expect(conversation(query(sql))).toEqual([answers])
  })

  it.each([
    "begin",
    "BEGIN WORK",
    "BEGIN TRANSACTION",
    "begin isolation level repeatable read, read only, not deferrable",
    "BEGIN READ ONLY",
    "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE DEFERRABLE"
  ])("%s begins a transaction, and each of its ends ends it", (begin) => {
    const done = begin.startsWith("START") ? "START TRANSACTION" : "BEGIN"
    const ends = [
      ["commit", "COMMIT"],
      ["COMMIT WORK", "COMMIT"],
      ["end transaction and no chain", "COMMIT"],
      ["ROLLBACK", "ROLLBACK"],
      ["abort transaction", "ROLLBACK"]
    ] as const
    for (const [end, command] of ends) {
      expect(conversation(query(begin), query(end))).toEqual([[done, "ReadyForQuery transaction"], [command, idle]])
    }
    expect(conversation(query(begin), query("rollback and chain"))[1]).toEqual([
      "ROLLBACK",
      "ReadyForQuery transaction"
    ])
  })

  it("with another mode than there is begins nothing", () => {
    expect(conversation(query("begin read"), query("start"), query("begin isolation level best"))).toEqual(
      [["0A000", idle], ["0A000", idle], ["0A000", idle]]
    )
  })

  it("sees the modes of its transaction, until that ends", () => {
    const show = query("show transaction_read_only")
    expect(
      conversation(query("begin read only"), show, query("commit"), show).map((answers) => answers?.[1])
    ).toEqual(["ReadyForQuery transaction", "on", idle, "off"])
  })

  it("sees what was set, and what RESET and the end of the transaction leave of it", () => {
    const show = query("show application_name")
    const values = conversation(
      query("set application_name = 'till'"),
      show,
      query("begin; set local application_name to 'shelf'"),
      show,
      query("rollback"),
      show,
      query("reset application_name"),
      show
    ).flatMap((answers, i) => i % 2 === 1 ? [answers?.[1]] : [])
    expect(values).toEqual(["till", "shelf", "till", ""])
  })

  it("about an encoding that is not ours is refused", () => {
    expect(conversation(query("set client_encoding to 'LATIN1'"), query("set names 'utf-8'"))).toEqual([
      ["22023", idle],
      ["SET", idle]
    ])
  })

  it("in a transaction that has failed is not answered, until that ends", () => {
    const failed = "ReadyForQuery failed"
    const conversed = conversation(
      ...["begin", "select 1", "nonsense", "select 1", "savepoint a", "commit", "select 1"].map(query)
    )
    expect(conversed).toEqual([
      ["BEGIN", "ReadyForQuery transaction"],
      ["?column? 23 text", "1", "SELECT 1", "ReadyForQuery transaction"],
      ["0A000", failed],
      ["25P02", failed],
      ["25P02", failed],
      ["ROLLBACK", idle],
      row(["?column?", 23, "1"])
    ])
  })

  it("goes on behind a savepoint where a statement has failed", () => {
    const sql = ["begin", "savepoint a", "nonsense", "rollback to savepoint a", "release a", "commit", "savepoint a"]
    expect(conversation(...sql.map(query)).map((answers) => answers?.[0])).toEqual(
      ["BEGIN", "SAVEPOINT", "0A000", "ROLLBACK", "RELEASE", "COMMIT", "25P01"]
    )
  })

  it("has 1,000 statements at the most", () => {
    const commands = (count: number) => conversation(query("set a to 1;".repeat(count)))[0]?.slice(-2)
    expect(commands(1000)).toEqual(["SET", idle])
    expect(commands(1001)).toEqual(["54000", idle])
  })
})

describe("a long text costs in step with its length:", () => {
  const pieces = [
    ";",
    "'",
    "''",
    "\"",
    "-- \n",
    "-",
    "/*",
    "*/",
    "$a$",
    "$a ",
    "$",
    "(",
    "((",
    "- ",
    "a",
    "1",
    "1 ",
    "1,",
    "1+",
    " ",
    "\n",
    ":",
    ";1",
    "x'",
    "e'\\"
  ]
  it.each(pieces.map((piece) => [piece]))("%j", (piece) => {
    const long = piece.repeat(Math.ceil(300_000 / piece.length))
    const before = process.cpuUsage()
    for (const sql of [long, `${long}x`, `select ${long}x`]) {
      conversation(query(sql), parse(sql), sync)
    }
    const { system, user } = process.cpuUsage(before)
    // A second and a half are a hundred times what it takes, and a hundredth of what a square of it does.
    expect(user + system).toBeLessThan(1_500_000)
  })
})

describe("an extended query", () => {
  it("is answered step by step", () => {
    expect(conversation(parse("select 1"), bind(), describePortal, execute, sync)).toEqual([
      ["ParseComplete"],
      ["BindComplete"],
      ["?column? 23 text"],
      ["1", "SELECT 1"],
      [idle]
    ])
  })

  it("is answered in binary where that is asked for", () => {
    const answering = new Answering(session)
    for (const request of [parse("select 258"), bind("binary")]) answering.answer(request)
    expect(shown(answering.answer(describePortal))).toEqual(["?column? 23 binary"])
    expect(answering.answer(execute)?.[0]).toEqual({ _tag: "DataRow", values: [Uint8Array.of(0, 0, 1, 2)] })
  })

  it("has its statement described by its parameters and its columns", () => {
    expect(conversation(parse("select 1"), describeStatement, parse("begin"), describeStatement)).toEqual([
      ["ParseComplete"],
      ["takes ", "?column? 23 text"],
      ["ParseComplete"],
      ["takes ", "NoData"]
    ])
  })

  it.each(
    [
      ["does not know", [parse("nonsense")], "0A000"],
      ["was not parsed", [bind("text", "other")], "26000"],
      ["was not bound", [execute], "34000"],
      ["was not bound, and is described", [describePortal], "34000"]
    ] as const
  )("that it %s is an error, and nothing is answered up to Sync", (_, requests, code) => {
    expect(conversation(...requests, bind(), execute, query("select 1"), sync, query("select 1"))).toEqual([
      [code],
      [],
      [],
      [],
      [idle],
      ["?column? 23 text", "1", "SELECT 1", idle]
    ])
  })

  it("that is empty has no rows", () => {
    expect(conversation(parse(""), bind(), describePortal, execute, sync)).toEqual([
      ["ParseComplete"],
      ["BindComplete"],
      ["NoData"],
      ["EmptyQueryResponse"],
      [idle]
    ])
  })

  const bindValues = (
    values: ReadonlyArray<Uint8Array | null>,
    formats: ReadonlyArray<"text" | "binary"> = [],
    portal = ""
  ): Postgres.RequestMessage => ({ _tag: "Bind", portal, statement: "", formats, values, resultFormats: [] })

  it("is answered with its values, as the examples of drivers ask for them", () => {
    const answers = conversation(
      parse("SELECT $1::text as message, $2 + 0, $3::int, $4::bool"),
      parse("SELECT $1::text as message, $3::int, $2, $4::bool"),
      sync,
      parse("SELECT $1::text as message, $3::int, $2, $4::bool"),
      describeStatement,
      bindValues([utf8("Hello"), utf8("x"), Uint8Array.of(0, 0, 1, 2), utf8("true")], [
        "text",
        "text",
        "binary",
        "text"
      ]),
      execute
    )
    expect(answers.slice(0, 3)).toEqual([["0A000"], [], [idle]])
    expect(answers[4]).toEqual(["takes 25,25,23,16", "message 25 text,int4 23 text,?column? 25 text,bool 16 text"])
    expect(answers[6]).toEqual(["Hello,258,x,t", "SELECT 1"])
  })

  it("knows the types that PostgreSQL comes with by their names, as slonik asks for them", () => {
    const sql = "SELECT oid, typarray, typname FROM pg_type WHERE typname = ANY($1::text[])"
    expect(conversation(parse(sql), describeStatement, bindValues([utf8("{\"int8\",\"mood\",date}")]), execute))
      .toEqual([
        ["ParseComplete"],
        ["takes 1009", "oid 26 text,typarray 26 text,typname 19 text"],
        ["BindComplete"],
        ["20,1016,int8", "1082,1182,date", "SELECT 2"]
      ])
  })

  it("says how many parameters a question about the catalogs has, and does not look at them", () => {
    const sql = "select oid, typname from pg_type where oid = any($1::oid[]) and typname = $2"
    const array = new Uint8Array(20)
    expect(conversation(parse(sql), describeStatement, bindValues([array, null], ["binary"]), execute)).toEqual([
      ["ParseComplete"],
      ["takes 1028,25", "oid 25 text,typname 25 text"],
      ["BindComplete"],
      ["SELECT 0"]
    ])
  })

  it.each([
    ["too few values", bindValues([]), "08P01"],
    ["a value that is none of its type", bindValues([utf8("one")]), "22P02"],
    ["a value of another size", bindValues([Uint8Array.of(1)], ["binary"]), "22P02"]
  ])("with %s is an error", (_, bind, code) => {
    expect(conversation(parse("select $1::int"), bind)).toEqual([["ParseComplete"], [code]])
  })

  it.each([
    ["select 1; select 2", "42601"],
    ["select 1;;", "ParseComplete"],
    [`select ${"(".repeat(31)}1${")".repeat(31)}`, "ParseComplete"],
    [`select ${"(".repeat(32)}1${")".repeat(32)}`, "0A000"],
    [`select $100`, "ParseComplete"],
    [`select $101`, "0A000"]
  ])("has one statement, which has bounds: %s", (sql, answer) => {
    expect(conversation(parse(sql))).toEqual([[answer]])
  })

  it("has the value of when it is run", () => {
    const answers = conversation(parse("show application_name"), query("set application_name to a"), bind(), execute)
    expect(answers.at(-1)).toEqual(["a", "SHOW"])
  })

  it("gives its row once, and stays with the transaction", () => {
    const answers = conversation(
      query("begin"),
      parse("select 1"),
      bind(),
      execute,
      sync,
      execute,
      query("end"),
      execute
    )
    expect(answers.slice(3)).toEqual([
      ["1", "SELECT 1"],
      ["ReadyForQuery transaction"],
      ["SELECT 0"],
      ["COMMIT", idle],
      ["34000"]
    ])
  })

  it("has a name of its own", () => {
    expect(conversation(parse("select 1", "a"), parse("select 1", "a"))).toEqual([["ParseComplete"], ["42P05"]])
    expect(conversation(parse("select 1"), parse("select 1"))).toEqual([["ParseComplete"], ["ParseComplete"]])
    for (const forget of ["deallocate a", "DEALLOCATE PREPARE ALL", "discard all"]) {
      expect(conversation(parse("select 1", "a"), query(forget), parse("select 1", "a"))[2]).toEqual(["ParseComplete"])
    }
  })

  it("is one of 1,000 of a session", () => {
    const parses = (count: number) => Array.from({ length: count }, (_, i) => parse("select 1", `n${i}`))
    expect(conversation(...parses(1000)).at(-1)).toEqual(["ParseComplete"])
    expect(conversation(...parses(1001)).at(-1)).toEqual(["53400"])
    const binds = (count: number) => Array.from({ length: count }, (_, i) => bindValues([], [], `n${i}`))
    expect(conversation(parse("select 1"), ...binds(1000)).at(-1)).toEqual(["BindComplete"])
    expect(conversation(parse("select 1"), ...binds(1001)).at(-1)).toEqual(["53400"])
  })

  it("is kept with others in 4 MiB, its text, its types and its values", () => {
    const mebibyte = 1024 * 1024
    const types = Array.from({ length: mebibyte / 4 }, () => 23)
    const typed = (name: string): Postgres.RequestMessage => ({ _tag: "Parse", name, sql: "", types })
    const names = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`)
    expect(conversation(...names(3).map(typed)).at(-1)).toEqual(["ParseComplete"])
    expect(conversation(...names(4).map(typed)).at(-1)).toEqual(["53400"])
    const long = utf8("x".repeat(mebibyte))
    const values = (count: number) =>
      conversation(parse("select $1"), ...names(count).map((name) => bindValues([long], [], name)))
    expect(values(3).at(-1)).toEqual(["BindComplete"])
    expect(values(4).at(-1)).toEqual(["53400"])
    // What is closed makes room.
    const closing = names(4).flatMap((name): ReadonlyArray<Postgres.RequestMessage> => [
      typed(name),
      { _tag: "Close", target: "statement", name }
    ])
    expect(conversation(...closing, typed("a")).at(-1)).toEqual(["ParseComplete"])
  })

  it("is closed with its statement", () => {
    expect(
      conversation(parse("select 1", "one"), { _tag: "Close", target: "statement", name: "one" }, bind("text", "one"))
    ).toEqual([["ParseComplete"], ["CloseComplete"], ["26000"]])
  })
})

it("a client that terminates is not answered", () => {
  expect(conversation({ _tag: "Terminate" })).toEqual([undefined])
})

const unknown = (type: string): Postgres.RequestMessage => ({ _tag: "Unknown", type, body: new Uint8Array(0) })

it("what is left of a COPY is passed over", () => {
  expect(conversation(unknown("d"), unknown("c"), unknown("f"), query("select 1"))).toEqual(
    [[], [], [], row(["?column?", 23, "1"])]
  )
})

it("a function call is an error, and no Sync is waited for", () => {
  expect(conversation(unknown("F"), query(""))).toEqual([["0A000", idle], ["EmptyQueryResponse", idle]])
})

it("a message that nobody knows is an error", () => {
  expect(conversation(unknown("~"), query("select 1"), sync)).toEqual([["0A000"], [], [idle]])
})
