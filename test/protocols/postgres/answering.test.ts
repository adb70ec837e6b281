/**
 * What `serve postgres` answers, message by message, without any connection.
 */
import { describe, expect, it } from "@effect/vitest"
import { Answering, answerTo } from "../../../src/cli/postgres.ts"
import type * as Postgres from "../../../src/protocols/Postgres.ts"
import { text } from "../../support/conversation.ts"

const parameters = new Map([["server_version", "18.0"], ["TimeZone", "UTC"], ["session_authorization", "ann"]])

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
        return message.values.map((value) => value === null ? null : text(value)).join()
      case "RowDescription":
        return message.fields.map(({ format, name, type }) => `${name} ${type} ${format}`).join()
      case "ErrorResponse":
        return message.code
      default:
        return message._tag
    }
  })

const conversation = (...requests: ReadonlyArray<Postgres.RequestMessage>) => {
  const answering = new Answering(parameters)
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

describe("a simple query", () => {
  it.each([
    ["select 1", ["?column? 23 text", "1", "SELECT 1", idle]],
    ["SELECT 42 AS answer;", ["answer 23 text", "42", "SELECT 1", idle]],
    ["select 1 + 1 as result", ["result 23 text", "2", "SELECT 1", idle]],
    ["select 'Hello' as word", ["word 25 text", "Hello", "SELECT 1", idle]],
    ["select version()", ["version 25 text", "PostgreSQL 18.0", "SELECT 1", idle]],
    ["show server_version", ["server_version 25 text", "18.0", "SELECT 1", idle]],
    ["SHOW timezone", ["TimeZone 25 text", "UTC", "SELECT 1", idle]],
    ["select 'a;b'; select 1", ["?column? 25 text", "a;b", "SELECT 1", "?column? 23 text", "1", "SELECT 1", idle]],
    ["select current_user", ["current_user 25 text", "ann", "SELECT 1", idle]],
    ["set search_path to x", ["SET", idle]],
    ["", ["EmptyQueryResponse", idle]],
    [" ; -- nothing\n", ["EmptyQueryResponse", idle]],
    ["select 1; select 2", ["?column? 23 text", "1", "SELECT 1", "?column? 23 text", "2", "SELECT 1", idle]],
    ["select * from users", ["0A000", idle]],
    ["show nothing", ["0A000", idle]],
    ["select 1; drop table users; select 2", ["?column? 23 text", "1", "SELECT 1", "0A000", idle]]
  ])("%j", (sql, answers) => {
    expect(conversation(query(sql))).toEqual([answers])
  })

  it("about types, as postgres.js asks it, has no rows", () => {
    const sql = "select b.oid, b.typarray from pg_catalog.pg_type a left join pg_catalog.pg_type b on b.oid = a.typelem"
    expect(answerTo(sql, parameters)).toMatchObject({ command: "SELECT 0", column: { value: null } })
  })

  it("in a transaction says so, until it ends", () => {
    expect(conversation(query("begin"), query("select 1"), query("nonsense"), query("rollback"))).toEqual([
      ["BEGIN", "ReadyForQuery transaction"],
      ["?column? 23 text", "1", "SELECT 1", "ReadyForQuery transaction"],
      ["0A000", "ReadyForQuery failed"],
      ["ROLLBACK", idle]
    ])
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
    const answering = new Answering(parameters)
    for (const request of [parse("select 258"), bind("binary")]) answering.answer(request)
    expect(shown(answering.answer(describePortal))).toEqual(["?column? 23 binary"])
    expect(answering.answer(execute)?.[0]).toEqual({ _tag: "DataRow", values: [Uint8Array.of(0, 0, 1, 2)] })
  })

  it("has its statement described by its parameters and its columns", () => {
    expect(conversation(parse("select 1"), describeStatement, parse("begin"), describeStatement)).toEqual([
      ["ParseComplete"],
      ["ParameterDescription", "?column? 23 text"],
      ["ParseComplete"],
      ["ParameterDescription", "NoData"]
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

  it("is closed with its statement", () => {
    expect(
      conversation(parse("select 1", "one"), { _tag: "Close", target: "statement", name: "one" }, bind("text", "one"))
    ).toEqual([["ParseComplete"], ["CloseComplete"], ["26000"]])
  })
})

it("a client that terminates is not answered", () => {
  expect(conversation({ _tag: "Terminate" })).toEqual([undefined])
})

it("a message that nobody knows is an error", () => {
  expect(conversation({ _tag: "Unknown", type: "d", body: new Uint8Array(0) }, sync)).toEqual([["0A000"], [idle]])
})
