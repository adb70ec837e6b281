/**
 * Answers a handful of queries behind PostgreSQL's start-up, so that drivers and people see that they have arrived. It is
 * for the command and the tests: a database is no part of this package.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Postgres from "../protocols/Postgres.ts"
import type { TransportError } from "../TransportError.ts"

type Backend = Postgres.BackendMessage
type Request = Postgres.RequestMessage
type Format = "text" | "binary"
type Field = Extract<Backend, { readonly _tag: "RowDescription" }>["fields"][number]

const encoder = new TextEncoder()

const int4 = 23
const text = 25
const oid = 26

/** One column of one row. */
interface Answer {
  /** Undefined where the command returns no rows. */
  readonly column: { readonly name: string; readonly type: number; readonly value: string | null } | undefined
  readonly command: string
}

type Reply = Answer | "empty" | "unknown"

const row = (name: string, type: number, value: string): Answer => ({
  column: { name, type, value },
  command: "SELECT 1"
})

/** As people and drivers write it, but for comments, spaces, and what ends it. */
const normalized = (sql: string): string =>
  sql.replace(/--[^\n]*/g, " ").replace(/\s+/g, " ").replace(/(\s*;)*\s*$/, "").trim()

/** The queries of a text, each of which has something in it; a text in quotes is no place to cut. */
const queriesOf = (sql: string): ReadonlyArray<string> =>
  (sql.match(/(?:'[^']*'|[^;'])+/g) ?? []).filter((query) => normalized(query) !== "")

const commands: Record<string, string> = {
  begin: "BEGIN",
  "start transaction": "START TRANSACTION",
  commit: "COMMIT",
  end: "COMMIT",
  rollback: "ROLLBACK",
  abort: "ROLLBACK",
  "discard all": "DISCARD ALL",
  "unlisten *": "UNLISTEN"
}

/** What a query is answered with, by the parameters that the server has told. */
export const answerTo = (sql: string, parameters: ReadonlyMap<string, string>): Reply => {
  const query = normalized(sql)
  if (query === "") return "empty"
  const command = commands[query.toLowerCase()]
  if (command !== undefined) return { column: undefined, command }
  if (/^set /i.test(query)) return { column: undefined, command: "SET" }
  if (/^deallocate /i.test(query)) return { column: undefined, command: "DEALLOCATE" }
  const number = /^select (-?\d{1,9})(?: as "?(\w+)"?)?$/i.exec(query)
  if (number !== null) return row(number[2] ?? "?column?", int4, number[1])
  const sum = /^select (\d{1,8}) ?\+ ?(\d{1,8})(?: as "?(\w+)"?)?$/i.exec(query)
  if (sum !== null) return row(sum[3] ?? "?column?", int4, String(Number(sum[1]) + Number(sum[2])))
  const words = /^select '([^']*)'(?: as "?(\w+)"?)?$/i.exec(query)
  if (words !== null) return row(words[2] ?? "?column?", text, words[1])
  if (/^select version\(\)(?: as "?version"?)?$/i.test(query)) {
    return row("version", text, `PostgreSQL ${parameters.get("server_version")}`)
  }
  if (/^select (?:current_)?user$/i.test(query)) {
    return row("current_user", text, parameters.get("session_authorization") ?? "")
  }
  const shown = /^show (\w+)$/i.exec(query)?.[1].toLowerCase()
  const told = shown && [...parameters].find(([name]) => name.toLowerCase() === shown)
  if (told) return row(told[0], text, told[1])
  // postgres.js asks once for the types of arrays; there are none.
  if (/ from pg_catalog\.pg_type /i.test(query)) {
    return { column: { name: "oid", type: oid, value: null }, command: "SELECT 0" }
  }
  return "unknown"
}

const error = (code: string, message: string): Backend => ({ _tag: "ErrorResponse", severity: "ERROR", code, message })

const unsupported = error("0A000", "this server answers the start-up and hardly anything else")

/** What PostgreSQL says to its sessions when it is stopped. */
const shutdown: Backend = {
  _tag: "ErrorResponse",
  severity: "FATAL",
  code: "57P01",
  message: "terminating connection due to administrator command"
}

const describe = (answer: Answer, format: Format): Backend => {
  const { column } = answer
  if (column === undefined) return { _tag: "NoData" }
  const field: Field = {
    name: column.name,
    table: 0,
    column: 0,
    type: column.type,
    size: column.type === text ? -1 : 4,
    modifier: -1,
    format
  }
  return { _tag: "RowDescription", fields: [field] }
}

const encoded = (type: number, value: string, format: Format): Uint8Array => {
  if (type !== int4 || format === "text") return encoder.encode(value)
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setInt32(0, Number(value))
  return bytes
}

const rows = ({ column }: Answer, format: Format): ReadonlyArray<Backend> =>
  column === undefined || column.value === null
    ? []
    : [{ _tag: "DataRow", values: [encoded(column.type, column.value, format)] }]

interface Portal {
  readonly reply: Reply
  readonly format: Format
}

/**
 * What is known of one session, and what each of its messages is answered with.
 *
 * | after | messages | answered |
 * |---|---|---|
 * | an error in the extended protocol | all but Sync and Terminate | not at all |
 * | anything else | all | at once |
 */
export class Answering {
  private readonly parameters: ReadonlyMap<string, string>
  private readonly statements = new Map<string, { readonly reply: Reply; readonly types: ReadonlyArray<number> }>()
  private readonly portals = new Map<string, Portal>()
  private status: "idle" | "transaction" | "failed" = "idle"
  private skipping = false

  constructor(parameters: ReadonlyMap<string, string>) {
    this.parameters = parameters
  }

  private get ready(): Backend {
    return { _tag: "ReadyForQuery", status: this.status }
  }

  private fail(error: Backend): ReadonlyArray<Backend> {
    this.skipping = true
    if (this.status === "transaction") this.status = "failed"
    return [error]
  }

  private complete({ command }: Answer): Backend {
    if (command === "BEGIN" || command === "START TRANSACTION") this.status = "transaction"
    if (command === "COMMIT" || command === "ROLLBACK") this.status = "idle"
    return { _tag: "CommandComplete", command }
  }

  private query(sql: string): ReadonlyArray<Backend> {
    const answers: Array<Backend> = []
    const queries = queriesOf(sql)
    for (const query of queries.length === 0 ? [""] : queries) {
      const reply = answerTo(query, this.parameters)
      if (reply === "unknown") {
        if (this.status === "transaction") this.status = "failed"
        answers.push(unsupported)
        break
      }
      if (reply === "empty") answers.push({ _tag: "EmptyQueryResponse" })
      else {
        if (reply.column !== undefined) answers.push(describe(reply, "text"))
        answers.push(...rows(reply, "text"), this.complete(reply))
      }
    }
    return [...answers, this.ready]
  }

  /** The answers to one message; `undefined` where it ends the session. */
  answer(request: Request): ReadonlyArray<Backend> | undefined {
    if (request._tag === "Terminate") return undefined
    if (request._tag === "Sync") {
      this.skipping = false
      this.portals.clear()
      return [this.ready]
    }
    return this.skipping ? [] : this.act(request)
  }

  private act(request: Exclude<Request, { readonly _tag: "Terminate" | "Sync" }>): ReadonlyArray<Backend> {
    switch (request._tag) {
      case "Query":
        return this.query(request.sql)
      case "Parse": {
        const reply = answerTo(request.sql, this.parameters)
        if (reply === "unknown") return this.fail(unsupported)
        this.statements.set(request.name, { reply, types: request.types })
        return [{ _tag: "ParseComplete" }]
      }
      case "Bind": {
        const statement = this.statements.get(request.statement)
        if (statement === undefined) return this.fail(error("26000", "there is no such prepared statement"))
        this.portals.set(request.portal, { reply: statement.reply, format: request.resultFormats[0] ?? "text" })
        return [{ _tag: "BindComplete" }]
      }
      case "Describe": {
        if (request.target === "portal") {
          const portal = this.portals.get(request.name)
          return portal === undefined ? this.fail(error("34000", "there is no such portal")) : [described(portal)]
        }
        const statement = this.statements.get(request.name)
        return statement === undefined
          ? this.fail(error("26000", "there is no such prepared statement"))
          : [
            { _tag: "ParameterDescription", types: statement.types },
            described({ reply: statement.reply, format: "text" })
          ]
      }
      case "Execute": {
        const portal = this.portals.get(request.portal)
        if (portal === undefined) return this.fail(error("34000", "there is no such portal"))
        const { format, reply } = portal
        return typeof reply === "string"
          ? [{ _tag: "EmptyQueryResponse" }]
          : [...rows(reply, format), this.complete(reply)]
      }
      case "Close":
        if (request.target === "portal") this.portals.delete(request.name)
        else this.statements.delete(request.name)
        return [{ _tag: "CloseComplete" }]
      case "Flush":
        return []
      case "Unknown":
        return this.fail(unsupported)
    }
  }
}

const described = ({ format, reply }: Portal): Backend =>
  typeof reply === "string" ? { _tag: "NoData" } : describe(reply, format)

/** Answers until the client says that it goes, or goes, or is told that the server stops. */
export const serve = (
  parameters: Readonly<Record<string, string>>
) =>
(transport: Postgres.ServerTransport): Effect.Effect<void, TransportError> => {
  const answering = new Answering(
    new Map([...Object.entries(parameters), ["session_authorization", transport.session.user]])
  )
  const next: Effect.Effect<void, TransportError> = Effect.flatMap(transport.receive, (request) => {
    const answers = answering.answer(request)
    if (answers === undefined) return Effect.void
    return answers.length === 0 ? next : Effect.andThen(transport.sendAll(answers), next)
  })
  return Effect.catchReason(
    next,
    "TransportError",
    "ConnectionClosed",
    ({ by }) => by === "peer" ? Effect.void : Effect.ignore(transport.send(shutdown))
  )
}
