/**
 * Answers behind PostgreSQL's start-up, so that drivers and people see that they have arrived. It is for the command and the
 * tests: a database is no part of this package.
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { decodeUtf8 } from "../Bytes.ts"
import type * as Postgres from "../protocols/Postgres.ts"
import type { TransportError } from "../TransportError.ts"
import * as Answers from "./answers.ts"
import * as Sql from "./sql.ts"

type Backend = Postgres.BackendMessage
type Request = Postgres.RequestMessage
type Bind = Extract<Request, { readonly _tag: "Bind" }>
type Format = "text" | "binary"

/** What a session has been told, and who it is. */
export interface Session {
  readonly user: string
  readonly database: string
  readonly processId: number
  /** What the server has told of itself, by its own names. */
  readonly parameters: Readonly<Record<string, string>>
  readonly now: () => number
}

const encoder = new TextEncoder()

const error = (code: string, message: string, severity = "ERROR"): Backend => ({
  _tag: "ErrorResponse",
  severity,
  code,
  message
})

const unsupported = error("0A000", "this server answers the start-up and hardly anything else")
const aborted = error(
  "25P02",
  "current transaction is aborted, commands ignored until end of transaction block"
)
const noStatement = error("26000", "there is no such prepared statement")
const noPortal = error("34000", "there is no such portal")
const noTransaction = error("25P01", "there is no transaction in progress")

/** What PostgreSQL says to its sessions when it is stopped. */
const shutdown = error("57P01", "terminating connection due to administrator command", "FATAL")

// ---------------------------------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------------------------------

const { types } = Answers

/** How many bytes a value of a type has; -1 where that varies. */
const sizes: Record<number, number | undefined> = {
  [types.bool]: 1,
  [types.int2]: 2,
  [types.int4]: 4,
  [types.oid]: 4,
  [types.int8]: 8,
  [types.timestamptz]: 8,
  [types.name]: 64,
  [types.void]: 4
}

/** Those whose values are the same bytes in both formats. */
const isText = (type: number): boolean =>
  type === types.text || type === types.varchar || type === types.name || type === types.void

/** What PostgreSQL counts its time from: 2000, in milliseconds. */
const epoch = Date.UTC(2000, 0, 1)

const inBinary = (type: number, value: string): Uint8Array => {
  if (isText(type)) return encoder.encode(value)
  const bytes = new Uint8Array(sizes[type] ?? 0)
  const view = new DataView(bytes.buffer)
  switch (type) {
    case types.bool:
      view.setUint8(0, value === "t" ? 1 : 0)
      break
    case types.int2:
      view.setInt16(0, Number(value))
      break
    case types.int4:
      view.setInt32(0, Number(value))
      break
    case types.oid:
      view.setUint32(0, Number(value))
      break
    case types.int8:
      view.setBigInt64(0, BigInt(value))
      break
    case types.timestamptz:
      view.setBigInt64(0, BigInt(Date.parse(value.replace(" ", "T").replace("+00", "Z")) - epoch) * 1000n)
  }
  return bytes
}

/** The text of a value that came in binary; `undefined` where it is none of its type. */
const fromBinary = (type: number, bytes: Uint8Array): string | undefined => {
  if (isText(type)) return decodeUtf8(bytes)
  if (bytes.length !== sizes[type]) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (type) {
    case types.bool:
      return bytes[0] === 0 ? "f" : "t"
    case types.int2:
      return String(view.getInt16(0))
    case types.int4:
      return String(view.getInt32(0))
    case types.oid:
      return String(view.getUint32(0))
    case types.int8:
      return String(view.getBigInt64(0))
    default:
      return undefined
  }
}

const booleans = new Map(
  Object.entries({ t: "t", true: "t", on: "t", yes: "t", 1: "t", f: "f", false: "f", off: "f", no: "f", 0: "f" })
)

/** The text of a value as this server writes it; `undefined` where it is none of its type. */
const readValue = (type: number, bytes: Uint8Array, format: Format): string | undefined => {
  if (format === "binary") return fromBinary(type, bytes)
  const text = decodeUtf8(bytes)
  if (text === undefined || isText(type)) return text
  const value = type === types.bool ? booleans.get(text.trim().toLowerCase()) : text.trim()
  return value !== undefined && Answers.isOfType(type, value) ? value : undefined
}

/** Of each value or column; one for all; or none, where all are text. */
const formatAt = (formats: ReadonlyArray<Format>, at: number): Format =>
  (formats.length === 1 ? formats[0] : formats[at]) ?? "text"

// ---------------------------------------------------------------------------------------------------------------------
// Statements and portals
// ---------------------------------------------------------------------------------------------------------------------

type Reply = Answers.Reply | "empty"

interface Statement {
  readonly reply: Reply
  readonly types: ReadonlyArray<number>
}

interface Portal {
  readonly reply: Reply
  readonly formats: ReadonlyArray<Format>
  /** Those that were not fetched. */
  rows: ReadonlyArray<ReadonlyArray<string | null>>
}

/** How many statements, and how many portals, a session keeps, and about how many bytes of each. */
const maxKept = 1000
const maxKeptBytes = 4 * 1024 * 1024

/** How many statements are answered in one text. */
const maxStatements = 1000

const tooMany = error("53400", `a session keeps no more than ${maxKept} of these, and ${maxKeptBytes} bytes`)

/** What a session keeps by name. */
class Kept<A> {
  private readonly byName = new Map<string, { readonly value: A; readonly size: number }>()
  private size = 0

  get(name: string): A | undefined {
    return this.byName.get(name)?.value
  }

  /** Whether there was room for it. */
  set(name: string, value: A, size: number): boolean {
    this.delete(name)
    if (this.byName.size >= maxKept || this.size + size > maxKeptBytes) return false
    this.byName.set(name, { value, size })
    this.size += size
    return true
  }

  delete(name: string): void {
    this.size -= this.byName.get(name)?.size ?? 0
    this.byName.delete(name)
  }

  clear(): void {
    this.byName.clear()
    this.size = 0
  }
}

const rowDescription = (reply: Reply, formats: ReadonlyArray<Format>): Backend => {
  if (reply === "empty" || reply.columns === undefined) return { _tag: "NoData" }
  return {
    _tag: "RowDescription",
    fields: reply.columns.map(({ name, type }, at) => ({
      name,
      table: 0,
      column: 0,
      type,
      size: sizes[type] ?? -1,
      modifier: -1,
      format: formatAt(formats, at)
    }))
  }
}

/** The settings that PostgreSQL tells whenever they change. */
const reported = [
  "application_name",
  "client_encoding",
  "DateStyle",
  "default_transaction_read_only",
  "IntervalStyle",
  "search_path",
  "standard_conforming_strings",
  "TimeZone"
]

/**
 * What is known of one session, and what each of its messages is answered with.
 *
 * | after | messages | answered |
 * |---|---|---|
 * | an error in the extended protocol | all but Sync and Terminate | not at all |
 * | an error in a transaction | statements that do not end it | 25P02 |
 * | anything else | all | at once |
 */
export class Answering {
  private readonly session: Session
  private readonly statements = new Kept<Statement>()
  private readonly portals = new Kept<Portal>()
  private readonly settings = new Map<string, string>()
  /** Those that go with the transaction. */
  private readonly local = new Map<string, string>()
  private status: "idle" | "transaction" | "failed" = "idle"
  private skipping = false

  constructor(session: Session) {
    this.session = session
  }

  private get ready(): Backend {
    return { _tag: "ReadyForQuery", status: this.status }
  }

  private setting(name: string): string | undefined {
    if (name === "session_authorization") return this.session.user
    // Of a transaction they are what they are by default, unless it says so.
    const fallback = name.startsWith("transaction_") ? this.setting(`default_${name}`) : Answers.defaults[name]
    return this.local.get(name) ?? this.settings.get(name) ?? this.session.parameters[name] ?? fallback
  }

  private context(declared: ReadonlyArray<number>): Answers.Context {
    const { database, now, parameters, processId, user } = this.session
    return {
      user,
      database,
      processId,
      now,
      serverVersion: parameters.server_version ?? "",
      setting: (name) => this.setting(name),
      declared
    }
  }

  /** What a statement is answered with when it is run; an error where it is not. */
  private reply(tokens: ReadonlyArray<Sql.Token> | undefined, declared: ReadonlyArray<number>): Reply | Backend {
    const reply = tokens === undefined ? undefined : Answers.replyTo(tokens, this.context(declared))
    if (reply === undefined) return unsupported
    if ("message" in reply) return error(reply.code, reply.message)
    const change = reply.change?._tag
    if (this.status === "failed" && change !== "End" && change !== "RollbackTo") return aborted
    if (this.status === "idle" && (change === "Savepoint" || change === "RollbackTo")) return noTransaction
    return reply
  }

  private fail(error: Backend): ReadonlyArray<Backend> {
    this.skipping = true
    if (this.status === "transaction") this.status = "failed"
    return [error]
  }

  /** Runs a statement: what it changes, and what is said when it is done. */
  private complete({ change, command }: Answers.Reply, count: number): ReadonlyArray<Backend> {
    const before = reported.map((name) => this.setting(name))
    // What has failed is not committed.
    const done = this.status === "failed" && change?._tag === "End"
      ? "ROLLBACK"
      : command === "SELECT"
      ? `SELECT ${count}`
      : command
    if (change !== undefined) this.change(change)
    return [
      { _tag: "CommandComplete", command: done },
      ...reported.flatMap((name, i): ReadonlyArray<Backend> => {
        const value = this.setting(name)
        return value === before[i] || value === undefined ? [] : [{ _tag: "ParameterStatus", name, value }]
      })
    ]
  }

  private change(change: Answers.Change): void {
    switch (change._tag) {
      case "Begin":
        this.status = "transaction"
        return this.assign(change.modes, this.local)
      case "End":
        if (!change.chain || this.status === "idle") {
          this.status = "idle"
          this.local.clear()
          this.portals.clear()
        } else this.status = "transaction"
        return
      case "RollbackTo":
        this.status = "transaction"
        return
      case "Set":
        if (!change.local) return this.assign(change.settings, this.settings)
        // Outside a transaction it goes with the statement.
        return this.status === "idle" ? undefined : this.assign(change.settings, this.local)
      case "Reset":
        return this.settings.clear()
      case "Discard":
        this.settings.clear()
        return this.statements.clear()
      case "Deallocate":
        if (change.name === undefined) this.statements.clear()
        else this.statements.delete(change.name)
        return
      case "Savepoint":
    }
  }

  private assign(settings: Answers.Settings, into: Map<string, string>): void {
    for (const [name, value] of settings) {
      if (value === undefined) into.delete(name)
      // A copy: a part of a long text keeps all of it.
      else into.set(name, structuredClone(value))
    }
  }

  private query(sql: string): ReadonlyArray<Backend> {
    const answers: Array<Backend> = []
    let count = 0
    for (const tokens of Sql.statements(sql)) {
      const reply = ++count > maxStatements
        ? error("54000", `a query has no more than ${maxStatements} statements`)
        : this.reply(tokens, [])
      if (reply === "empty") continue
      if ("_tag" in reply || reply.parameters.length > 0) {
        if (this.status === "transaction") this.status = "failed"
        answers.push("_tag" in reply ? reply : error("42P02", "there is no parameter $1"))
        break
      }
      if (reply.columns !== undefined) answers.push(rowDescription(reply, []))
      const rows = rowsOf(reply, noValues)
      answers.push(...dataRows(reply, rows, []), ...this.complete(reply, rows.length))
    }
    if (count === 0) answers.push({ _tag: "EmptyQueryResponse" })
    answers.push(this.ready)
    return answers
  }

  /** The answers to one message; `undefined` where it ends the session. */
  answer(request: Request): ReadonlyArray<Backend> | undefined {
    if (request._tag === "Terminate") return undefined
    if (request._tag === "Sync") {
      this.skipping = false
      if (this.status === "idle") this.portals.clear()
      return [this.ready]
    }
    return this.skipping ? [] : this.act(request)
  }

  private parse({ name, sql, types }: Extract<Request, { readonly _tag: "Parse" }>): ReadonlyArray<Backend> {
    if (name !== "" && this.statements.get(name) !== undefined) {
      return this.fail(error("42P05", "there is a prepared statement of this name"))
    }
    const [tokens, another] = firstTwo(Sql.statements(sql))
    if (another.length > 0) {
      return this.fail(error("42601", "cannot insert multiple commands into a prepared statement"))
    }
    const reply = tokens.length === 0 ? "empty" : this.reply(tokens[0], types)
    if (reply !== "empty" && "_tag" in reply) return this.fail(reply)
    const inferred = reply === "empty" ? [] : reply.parameters
    const all = types.length > inferred.length ? types : inferred
    // The reply may hold parts of the text.
    const hasRoom = this.statements.set(
      name,
      { reply, types: all },
      name.length + sql.length + 4 * all.length
    )
    return hasRoom ? [{ _tag: "ParseComplete" }] : this.fail(tooMany)
  }

  private bind(request: Bind): ReadonlyArray<Backend> {
    const statement = this.statements.get(request.statement)
    if (statement === undefined) return this.fail(noStatement)
    const { reply, types } = statement
    const { formats, portal, resultFormats, values } = request
    if (values.length !== types.length) {
      return this.fail(error("08P01", `there are ${values.length} values for ${types.length} parameters`))
    }
    const texts = new Map<number, string | null>()
    for (const place of reply === "empty" ? [] : usedBy(reply)) {
      const value = values[place - 1]
      const text = value === null ? null : readValue(types[place - 1], value, formatAt(formats, place - 1))
      if (text === undefined) return this.fail(error("22P02", `the value of $${place} is none of its type`))
      texts.set(place, text)
    }
    const rows = reply === "empty" ? [] : rowsOf(reply, texts)
    const size = portal.length + rows.flat().reduce((sum, text) => sum + (text?.length ?? 0), 0)
    return this.portals.set(portal, { reply, formats: resultFormats, rows }, size)
      ? [{ _tag: "BindComplete" }]
      : this.fail(tooMany)
  }

  private describe(target: "statement" | "portal", name: string): ReadonlyArray<Backend> {
    if (target === "portal") {
      const portal = this.portals.get(name)
      return portal === undefined ? this.fail(noPortal) : [rowDescription(portal.reply, portal.formats)]
    }
    const statement = this.statements.get(name)
    return statement === undefined
      ? this.fail(noStatement)
      : [{ _tag: "ParameterDescription", types: statement.types }, rowDescription(statement.reply, [])]
  }

  private execute(name: string): ReadonlyArray<Backend> {
    const portal = this.portals.get(name)
    if (portal === undefined) return this.fail(noPortal)
    const { formats, reply, rows } = portal
    if (reply === "empty") return [{ _tag: "EmptyQueryResponse" }]
    const change = reply.change?._tag
    if (this.status === "failed" && change !== "End" && change !== "RollbackTo") return this.fail(aborted)
    portal.rows = []
    return [...dataRows(reply, rows, formats), ...this.complete(reply, rows.length)]
  }

  private act(request: Exclude<Request, { readonly _tag: "Terminate" | "Sync" }>): ReadonlyArray<Backend> {
    switch (request._tag) {
      case "Query":
        return this.query(request.sql)
      case "Parse":
        return this.parse(request)
      case "Bind":
        return this.bind(request)
      case "Describe":
        return this.describe(request.target, request.name)
      case "Execute":
        return this.execute(request.portal)
      case "Close":
        if (request.target === "portal") this.portals.delete(request.name)
        else this.statements.delete(request.name)
        return [{ _tag: "CloseComplete" }]
      case "Flush":
        return []
      case "Unknown":
        return this.unknown(request.type)
    }
  }

  private unknown(type: string): ReadonlyArray<Backend> {
    // CopyData, CopyDone and CopyFail of a client that goes on with a COPY that has failed (54.2.6).
    if ("dcf".includes(type)) return []
    if (type !== "F") return this.fail(unsupported)
    // A function call is no part of the extended protocol, so that nobody waits for Sync (54.2.4).
    if (this.status === "transaction") this.status = "failed"
    return [unsupported, this.ready]
  }
}

const firstTwo = <A>(items: Iterable<A>): [first: ReadonlyArray<A>, second: ReadonlyArray<A>] => {
  const found: Array<A> = []
  for (const item of items) {
    found.push(item)
    if (found.length === 2) break
  }
  return [found.slice(0, 1), found.slice(1)]
}

const isParameter = (value: Answers.Column["value"]): value is Answers.Parameter =>
  value !== null && typeof value === "object"

/** Which parameters are shown. What is asked of the catalogs comes to nothing, whatever its parameters are. */
const usedBy = ({ columns = [], uses = [] }: Answers.Reply): ReadonlyArray<number> => [
  ...uses,
  ...columns.flatMap(({ value }) => isParameter(value) ? [value.parameter] : [])
]

const noValues: ReadonlyMap<number, string | null> = new Map()

/** The rows of an answer with these values of its parameters. */
const rowsOf = (
  { columns, rows }: Answers.Reply,
  values: ReadonlyMap<number, string | null>
): Portal["rows"] => {
  if (rows !== undefined) return rows((place) => values.get(place) ?? null)
  if (columns === undefined) return []
  return [columns.map(({ value }) => {
    if (typeof value === "function") return value()
    return isParameter(value) ? values.get(value.parameter) ?? null : value
  })]
}

const dataRows = (
  { columns = [] }: Answers.Reply,
  rows: Portal["rows"],
  formats: ReadonlyArray<Format>
): ReadonlyArray<Backend> =>
  rows.map((row) => ({
    _tag: "DataRow",
    values: row.map((value, at) => {
      if (value === null) return null
      return formatAt(formats, at) === "text" ? encoder.encode(value) : inBinary(columns[at].type, value)
    })
  }))

/** Answers until the client says that it goes, or goes, or is told that the server stops. */
export const serve = (
  parameters: Readonly<Record<string, string>>
) =>
(transport: Postgres.ServerTransport): Effect.Effect<void, TransportError> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const { backendKey, database, user } = transport.session
    const answering = new Answering({
      user,
      database,
      processId: backendKey.processId,
      parameters,
      now: () => clock.currentTimeMillisUnsafe()
    })
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
  })
