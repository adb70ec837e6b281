/**
 * What a statement is answered with by `serve postgres`: what drivers say when they connect, begin and end transactions and
 * look whether a server is there, and what people try first. No table is known; the catalogs know their own database and the
 * types that PostgreSQL comes with, where they are asked for by name, and nothing else.
 *
 * @internal
 */
import type { Token } from "./sql.ts"

/** Types by their numbers in `pg_type`. */
export const types = {
  bool: 16,
  name: 19,
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  oid: 26,
  varchar: 1043,
  timestamptz: 1184,
  void: 2278
} as const

const spellings = new Map<string, number>(Object.entries({
  ...types,
  boolean: types.bool,
  bigint: types.int8,
  smallint: types.int2,
  int: types.int4,
  integer: types.int4
}))

const arrays: Record<number, number | undefined> = {
  [types.bool]: 1000,
  [types.name]: 1003,
  [types.int2]: 1005,
  [types.int4]: 1007,
  [types.text]: 1009,
  [types.varchar]: 1015,
  [types.int8]: 1016,
  [types.oid]: 1028
}

/** A value that comes with the parameters, from 1. */
export interface Parameter {
  readonly parameter: number
}

/** A column of an answer, and what stands there in its row. */
export interface Column {
  readonly name: string
  readonly type: number
  /** A function where it depends on when it is asked for. */
  readonly value: string | null | Parameter | (() => string | null)
}

/** What a statement changes in its session when it is run. */
export type Change =
  | { readonly _tag: "Begin"; readonly modes: Settings }
  | { readonly _tag: "End"; readonly chain: boolean }
  | { readonly _tag: "Savepoint" }
  | { readonly _tag: "RollbackTo" }
  | { readonly _tag: "Set"; readonly settings: Settings; readonly local: boolean }
  | { readonly _tag: "Reset" }
  | { readonly _tag: "Discard" }
  /** One statement, or all. */
  | { readonly _tag: "Deallocate"; readonly name: string | undefined }

export interface Reply {
  /** The tag of CommandComplete; that of a SELECT has the number of rows behind it. */
  readonly command: string
  /** `undefined` where the statement returns no rows. */
  readonly columns?: ReadonlyArray<Column>
  /** The rows, where that is not one of the values of the columns. */
  readonly rows?: (valueAt: (place: number) => string | null) => ReadonlyArray<ReadonlyArray<string | null>>
  /** The parameters whose values are looked at. */
  readonly uses?: ReadonlyArray<number>
  /** The types of its parameters, as far as it says them; 0 where it does not. */
  readonly parameters: ReadonlyArray<number>
  readonly change?: Change
}

/** A statement that is not answered. */
export interface Refusal {
  readonly code: string
  readonly message: string
}

/** Settings and their values; one without a value goes back to its default. */
export type Settings = ReadonlyMap<string, string | undefined>

/** What is known of a session. */
export interface Context {
  readonly user: string
  readonly database: string
  readonly processId: number
  readonly serverVersion: string
  /** The time, in milliseconds. */
  readonly now: () => number
  readonly setting: (name: string) => string | undefined
  /** The types of the parameters that were declared with the statement; 0 where they were not. */
  readonly declared: ReadonlyArray<number>
}

// ---------------------------------------------------------------------------------------------------------------------
// Settings
// ---------------------------------------------------------------------------------------------------------------------

/** Those that drivers ask for or set, with what PostgreSQL has by default. Others are taken and not remembered. */
export const defaults: Readonly<Record<string, string>> = {
  application_name: "",
  bytea_output: "hex",
  client_encoding: "UTF8",
  client_min_messages: "notice",
  DateStyle: "ISO, MDY",
  default_transaction_deferrable: "off",
  default_transaction_isolation: "read committed",
  default_transaction_read_only: "off",
  extra_float_digits: "1",
  idle_in_transaction_session_timeout: "0",
  in_hot_standby: "off",
  integer_datetimes: "on",
  IntervalStyle: "postgres",
  is_superuser: "off",
  lc_collate: "C",
  lc_ctype: "C",
  lock_timeout: "0",
  max_identifier_length: "63",
  search_path: "\"$user\", public",
  server_encoding: "UTF8",
  server_version_num: "180000",
  standard_conforming_strings: "on",
  statement_timeout: "0",
  synchronous_commit: "on",
  TimeZone: "UTC",
  transaction_deferrable: "off",
  transaction_isolation: "read committed",
  transaction_read_only: "off"
}

const canonical = new Map(
  [...Object.keys(defaults), "server_version", "session_authorization"].map((name) => [name.toLowerCase(), name])
)

/** The name of a setting as PostgreSQL writes it; `undefined` where it is not known. */
export const settingName = (name: string): string | undefined => canonical.get(name.toLowerCase())

/** How much of a value is remembered. */
const maxValue = 256

/** Names whose text is the same in UTF-8. */
const encodings = ["utf8", "unicode", "sqlascii", "default"]

// ---------------------------------------------------------------------------------------------------------------------
// The statement
// ---------------------------------------------------------------------------------------------------------------------

const unsupported: Refusal = { code: "0A000", message: "this server answers the start-up and hardly anything else" }

/** The tokens of a statement from the front. */
class Cursor {
  at = 0
  /** How deep in brackets an expression is. */
  depth = 0
  readonly tokens: ReadonlyArray<Token>

  constructor(tokens: ReadonlyArray<Token>) {
    this.tokens = tokens
  }

  get next(): Token | undefined {
    return this.tokens[this.at]
  }

  get isDone(): boolean {
    return this.at >= this.tokens.length
  }

  private is(offset: number, kind: Token["kind"], text: string): boolean {
    const token = this.tokens[this.at + offset]
    return token !== undefined && token.kind === kind && token.text === text
  }

  /** Takes these words where they are next. */
  words(...words: ReadonlyArray<string>): boolean {
    if (!words.every((word, i) => this.is(i, "word", word))) return false
    this.at += words.length
    return true
  }

  /** Takes one of these words. */
  oneOf(...words: ReadonlyArray<string>): string | undefined {
    return words.find((word) => this.words(word))
  }

  symbol(text: string): boolean {
    if (!this.is(0, "symbol", text)) return false
    this.at++
    return true
  }

  /** Takes a name. */
  name(): string | undefined {
    const token = this.next
    if (token?.kind !== "word" && token?.kind !== "name") return undefined
    this.at++
    return token.text
  }

  take(kind: Token["kind"]): string | undefined {
    if (this.next?.kind !== kind) return undefined
    return this.tokens[this.at++].text
  }

  /** Behind the bracket that closes the one that was taken; false where there is none. */
  close(): boolean {
    for (let depth = 1; depth > 0;) {
      if (this.isDone) return false
      if (this.symbol("(")) depth++
      else if (this.symbol(")")) depth--
      else this.at++
    }
    return true
  }
}

const command = (command: string, change?: Change): Reply => ({
  command,
  parameters: [],
  ...change !== undefined && { change }
})

/** What a statement is answered with. */
export const replyTo = (tokens: ReadonlyArray<Token>, context: Context): Reply | Refusal => {
  const cursor = new Cursor(tokens)
  const verb = cursor.take("word")
  const reply = verb === undefined ? undefined : replies.get(verb)?.(cursor, context)
  if (reply === undefined || "message" in reply) return reply ?? unsupported
  return cursor.isDone ? reply : unsupported
}

type Answer = (cursor: Cursor, context: Context) => Reply | Refusal | undefined

const begin = (command: string): Answer => (cursor) => {
  if (command === "BEGIN") cursor.oneOf("work", "transaction")
  else if (!cursor.words("transaction")) return undefined
  return { command, parameters: [], change: { _tag: "Begin", modes: modesOf(cursor, "transaction") } }
}

/** `[WORK | TRANSACTION] [AND [NO] CHAIN]` */
const end = (command: string): Answer => (cursor) => {
  cursor.oneOf("work", "transaction")
  if (command === "ROLLBACK" && cursor.words("to")) {
    cursor.words("savepoint")
    return cursor.name() === undefined ? undefined : { command, parameters: [], change: { _tag: "RollbackTo" } }
  }
  const chain = cursor.words("and", "chain")
  if (!chain) cursor.words("and", "no", "chain")
  return { command, parameters: [], change: { _tag: "End", chain } }
}

/** The modes of a transaction, as settings whose names begin so. */
const modesOf = (cursor: Cursor, prefix: string): Settings => {
  const modes = new Map<string, string>()
  const mode = (name: string, value: string) => void modes.set(`${prefix}_${name}`, value)
  for (;;) {
    if (cursor.words("isolation", "level")) {
      const level = ["serializable", "repeatable read", "read committed", "read uncommitted"].find((level) =>
        cursor.words(...level.split(" "))
      )
      if (level === undefined) return modes
      mode("isolation", level)
    } else if (cursor.words("read", "only")) mode("read_only", "on")
    else if (cursor.words("read", "write")) mode("read_only", "off")
    else if (cursor.words("not", "deferrable")) mode("deferrable", "off")
    else if (cursor.words("deferrable")) mode("deferrable", "on")
    else if (modes.size === 0 || !cursor.symbol(",")) return modes
  }
}

const set: Answer = (cursor) => {
  if (cursor.words("session", "characteristics", "as", "transaction")) {
    return command("SET", { _tag: "Set", settings: modesOf(cursor, "default_transaction"), local: false })
  }
  const scope = cursor.oneOf("session", "local")
  const local = scope === "local"
  if (cursor.words("transaction")) {
    return command("SET", { _tag: "Set", settings: modesOf(cursor, "transaction"), local: true })
  }
  if (scope === "session" && cursor.words("authorization") || cursor.oneOf("role", "constraints") !== undefined) {
    return valueOf(cursor) === undefined ? undefined : command("SET")
  }
  if (cursor.words("time", "zone")) return setting("timezone", valueOf(cursor), local)
  if (cursor.words("names")) return setting("client_encoding", valueOf(cursor), local)
  const name = qualified(cursor)
  if (name === undefined || !cursor.words("to") && !cursor.symbol("=")) return undefined
  return setting(name, valueOf(cursor), local)
}

const qualified = (cursor: Cursor): string | undefined => {
  let name = cursor.name()
  while (name !== undefined && cursor.symbol(".")) {
    const part = cursor.name()
    name = part && `${name}.${part}`
  }
  return name
}

/** All that is left, as a value: texts without their quotes. */
const valueOf = (cursor: Cursor): string | undefined => {
  const rest = cursor.tokens.slice(cursor.at)
  cursor.at = cursor.tokens.length
  return rest.length === 0 ? undefined : rest.map(({ text }) => text).join(" ").replaceAll(" ,", ",")
}

const setting = (name: string, value: string | undefined, local: boolean): Reply | Refusal | undefined => {
  if (value === undefined) return undefined
  const known = settingName(name)
  if (known === "client_encoding" && !encodings.includes(value.toLowerCase().replace(/[^a-z0-9]/g, ""))) {
    return { code: "22023", message: "this server has texts in UTF-8 only" }
  }
  const isDefault = value.toLowerCase() === "default"
  // Texts are in UTF-8, whatever it is called.
  const kept = isDefault ? undefined : known === "client_encoding" ? "UTF8" : value
  const settings = new Map(known === undefined || value.length > maxValue ? [] : [[known, kept]])
  return command("SET", { _tag: "Set", settings, local })
}

const reset: Answer = (cursor) => {
  if (cursor.words("all")) return command("RESET", { _tag: "Reset" })
  if (cursor.words("session", "authorization") || cursor.words("role")) return command("RESET")
  const name = cursor.words("time", "zone") ? "timezone" : qualified(cursor)
  if (name === undefined) return undefined
  const known = settingName(name)
  const settings = new Map(known === undefined ? [] : [[known, undefined]])
  return command("RESET", { _tag: "Set", settings, local: false })
}

const show: Answer = (cursor, context) => {
  const name = cursor.words("transaction", "isolation", "level")
    ? "transaction_isolation"
    : cursor.words("time", "zone")
    ? "TimeZone"
    : cursor.words("session", "authorization")
    ? "session_authorization"
    : qualified(cursor)
  const known = name === undefined ? undefined : settingName(name)
  if (known === undefined || context.setting(known) === undefined) return undefined
  const value = () => context.setting(known) ?? null
  return { command: "SHOW", columns: [{ name: known, type: types.text, value }], parameters: [] }
}

/** With a name behind it, which is not looked at. */
const named = (command: string, ...before: ReadonlyArray<string>): Answer => (cursor) => {
  cursor.oneOf(...before)
  return cursor.symbol("*") || qualified(cursor) !== undefined ? { command, parameters: [] } : undefined
}

const savepoint = (tag: string, ...before: ReadonlyArray<string>): Answer => (cursor) => {
  cursor.oneOf(...before)
  return cursor.name() === undefined ? undefined : command(tag, { _tag: "Savepoint" })
}

const discard: Answer = (cursor) => {
  if (cursor.words("all")) return command("DISCARD ALL", { _tag: "Discard" })
  if (cursor.oneOf("temp", "temporary") !== undefined) return command("DISCARD TEMP")
  const what = cursor.oneOf("plans", "sequences")
  return what === undefined ? undefined : command(`DISCARD ${what.toUpperCase()}`)
}

const deallocate: Answer = (cursor) => {
  cursor.words("prepare")
  if (cursor.words("all")) return command("DEALLOCATE ALL", { _tag: "Deallocate", name: undefined })
  const name = cursor.name()
  return name === undefined ? undefined : command("DEALLOCATE", { _tag: "Deallocate", name })
}

const replies: ReadonlyMap<string, Answer> = new Map([
  ["begin", begin("BEGIN")],
  ["start", begin("START TRANSACTION")],
  ["commit", end("COMMIT")],
  ["end", end("COMMIT")],
  ["rollback", end("ROLLBACK")],
  ["abort", end("ROLLBACK")],
  ["savepoint", savepoint("SAVEPOINT")],
  ["release", savepoint("RELEASE", "savepoint")],
  ["set", set],
  ["reset", reset],
  ["show", show],
  ["discard", discard],
  ["deallocate", deallocate],
  ["close", (cursor) => cursor.words("all") ? command("CLOSE CURSOR ALL") : undefined],
  ["listen", named("LISTEN")],
  ["unlisten", named("UNLISTEN")],
  ["select", (cursor, context) => select(cursor, context)],
  ["with", (cursor, context) => fromCatalogs(cursor, context)]
])

// ---------------------------------------------------------------------------------------------------------------------
// SELECT
// ---------------------------------------------------------------------------------------------------------------------

const select: Answer = (cursor, context) => {
  const answer = row(cursor, context)
  return answer !== undefined && cursor.isDone ? answer : fromCatalogs(cursor, context)
}

const row = (cursor: Cursor, context: Context): Reply | undefined => {
  const parameters: Array<number> = []
  // A parameter of which nothing else is said is a text.
  const answer = (columns: ReadonlyArray<Column>): Reply => ({
    command: "SELECT",
    columns: columns.map((column) => ({ ...column, type: column.type || types.text })),
    parameters: parameters.map((type) => type || types.text)
  })
  if (cursor.symbol("*")) {
    if (!cursor.words("from")) return undefined
    const column = expression(cursor, context, parameters)
    return column && answer([{ ...column, name: aliasOf(cursor) ?? column.name }])
  }
  const columns: Array<Column> = []
  do {
    const column = expression(cursor, context, parameters)
    if (column === undefined) return undefined
    columns.push({ ...column, name: aliasOf(cursor) ?? column.name })
  } while (cursor.symbol(","))
  return answer(columns)
}

const aliasOf = (cursor: Cursor): string | undefined => {
  if (cursor.words("as")) return cursor.name()
  const { next } = cursor
  return next?.kind === "word" && reserved.includes(next.text) ? undefined : cursor.name()
}

const reserved = ["from", "where", "union", "limit", "order", "group", "having", "offset", "for"]

const unnamed = "?column?"

const constant = (type: number, value: string | null): Column => ({ name: unnamed, type, value })

const isWhole = (column: Column | undefined): column is Column & { readonly value: string } =>
  column?.type === types.int4 && typeof column.value === "string"

const expression = (cursor: Cursor, context: Context, parameters: Array<number>): Column | undefined => {
  let left = casted(cursor, context, parameters)
  while (left !== undefined && cursor.symbol("+")) {
    const right = casted(cursor, context, parameters)
    if (!isWhole(left) || !isWhole(right)) return undefined
    const sum = Number(left.value) + Number(right.value)
    left = sum === (sum | 0) ? constant(types.int4, String(sum)) : undefined
  }
  return left
}

const casted = (cursor: Cursor, context: Context, parameters: Array<number>): Column | undefined => {
  let column = primary(cursor, context, parameters)
  while (column !== undefined && cursor.symbol("::")) {
    const type = typeOf(cursor)
    column = type && cast(column, type, parameters)
  }
  return column
}

interface Type {
  readonly name: string
  readonly number: number
}

const typeOf = (cursor: Cursor): Type | undefined => {
  if (cursor.words("pg_catalog")) cursor.symbol(".")
  const name = cursor.name()
  const number = name === undefined ? undefined : spellings.get(name)
  if (name === undefined || number === undefined) return undefined
  if (cursor.symbol("(") && !cursor.close()) return undefined
  return { name: Object.entries(types).find(([, known]) => known === number)?.[0] ?? name, number }
}

const cast = (column: Column, { name, number }: Type, parameters: Array<number>): Column | undefined => {
  const { value } = column
  // A constant is called after its type, and the first type of a parameter is what is asked for.
  const called = column.name === unnamed ? name : column.name
  if (typeof value === "function") return number === types.text ? { name: called, type: number, value } : undefined
  if (value !== null && typeof value === "object") {
    parameters[value.parameter - 1] ||= number
    return parameters[value.parameter - 1] === number || number === types.text
      ? { name: called, type: number, value }
      : undefined
  }
  return value === null || isOfType(number, value) ? { name: called, type: number, value } : undefined
}

const ranges: Record<number, number | undefined> = {
  [types.int2]: 2 ** 15,
  [types.int4]: 2 ** 31,
  [types.int8]: 2 ** 63
}

/** Whether a text is a value of this type, as this server writes it. */
export const isOfType = (type: number, text: string): boolean => {
  if (type === types.bool) return text === "t" || text === "f"
  if (type === types.oid) return /^\d{1,10}$/.test(text) && Number(text) < 2 ** 32
  const range = ranges[type]
  return range === undefined ? type !== types.timestamptz : /^-?\d{1,18}$/.test(text) && Math.abs(Number(text)) < range
}

/** How deep brackets, signs and calls may be in each other. */
const maxDepth = 32

const primary = (cursor: Cursor, context: Context, parameters: Array<number>): Column | undefined => {
  if (cursor.depth === maxDepth) return undefined
  cursor.depth++
  const column = operand(cursor, context, parameters)
  cursor.depth--
  return column
}

const operand = (cursor: Cursor, context: Context, parameters: Array<number>): Column | undefined => {
  if (cursor.symbol("(")) {
    const column = expression(cursor, context, parameters)
    return cursor.symbol(")") ? column : undefined
  }
  if (cursor.symbol("-")) {
    const column = primary(cursor, context, parameters)
    return isWhole(column) ? { ...column, value: String(-Number(column.value)) } : undefined
  }
  const digits = cursor.take("number")
  if (digits !== undefined) {
    return /^\d{1,18}$/.test(digits)
      ? constant(Number(digits) < 2 ** 31 ? types.int4 : types.int8, String(Number(digits)))
      : undefined
  }
  const words = cursor.take("text")
  if (words !== undefined) return constant(types.text, words)
  const place = cursor.take("parameter")
  if (place !== undefined) return parameterAt(Number(place), context.declared, parameters)
  return call(cursor, context, parameters)
}

/** No statement that is known has more. */
const maxParameters = 100

const parameterAt = (
  place: number,
  declared: ReadonlyArray<number>,
  parameters: Array<number>
): Column | undefined => {
  if (place < 1 || place > maxParameters) return undefined
  while (parameters.length < place) parameters.push(declared[parameters.length] ?? 0)
  return { name: unnamed, type: parameters[place - 1], value: { parameter: place } }
}

/** A constant word, a function, or what has a syntax of its own. */
const call = (cursor: Cursor, context: Context, parameters: Array<number>): Column | undefined => {
  if (cursor.words("pg_catalog")) cursor.symbol(".")
  const name = cursor.take("word")
  if (name === undefined) return undefined
  if (name === "null") return constant(types.text, null)
  if (name === "true" || name === "false") return { name: "bool", type: types.bool, value: name[0] }
  const found = functions.get(name)
  if (!cursor.symbol("(")) return found?.isWord === true ? { name, ...found.of(context, []) } : undefined
  if (name === "cast") {
    const column = expression(cursor, context, parameters)
    const type = column && cursor.words("as") ? typeOf(cursor) : undefined
    return column && type && cursor.symbol(")") ? cast(column, type, parameters) : undefined
  }
  const values: Array<string> = []
  while (!cursor.symbol(")")) {
    const column = expression(cursor, context, parameters)
    if (typeof column?.value !== "string") return undefined
    values.push(column.value)
    cursor.symbol(",")
  }
  const result = found?.of(context, values)
  return result === undefined ? undefined : { name, ...result }
}

interface Function {
  readonly of: (context: Context, values: ReadonlyArray<string>) => Pick<Column, "type" | "value">
  /** Whether it is written without brackets. */
  readonly isWord?: boolean
}

const timestamp = ({ now }: Context) => ({
  type: types.timestamptz,
  value: () => new Date(now()).toISOString().replace("T", " ").replace("Z", "+00")
})

const user: Function = { of: ({ user }) => ({ type: types.name, value: user }), isWord: true }
const database: Function = { of: ({ database }) => ({ type: types.name, value: database }), isWord: true }
const nothing: Function = { of: () => ({ type: types.void, value: "" }) }

const functions = new Map<string, Function>(Object.entries(
  {
    version: { of: ({ serverVersion }) => ({ type: types.text, value: `PostgreSQL ${serverVersion}` }) },
    current_schema: { of: () => ({ type: types.name, value: "public" }), isWord: true },
    current_database: { of: database.of },
    current_catalog: database,
    current_user: user,
    current_role: user,
    session_user: user,
    user,
    pg_is_in_recovery: { of: () => ({ type: types.bool, value: "f" }) },
    pg_backend_pid: { of: ({ processId }) => ({ type: types.int4, value: String(processId) }) },
    pg_client_encoding: { of: () => ({ type: types.name, value: "UTF8" }) },
    current_setting: {
      of: ({ setting }, [name = ""]) => ({ type: types.text, value: () => setting(settingName(name) ?? "") ?? null })
    },
    set_config: { of: (_, [, value = ""]) => ({ type: types.text, value }) },
    now: { of: timestamp },
    current_timestamp: { of: timestamp, isWord: true },
    pg_advisory_unlock_all: nothing
  } satisfies Record<string, Function>
))

// ---------------------------------------------------------------------------------------------------------------------
// The catalogs
// ---------------------------------------------------------------------------------------------------------------------

/** Where the outermost words of a statement stand that are these. */
const outermost = (tokens: ReadonlyArray<Token>, ...words: ReadonlyArray<string>): ReadonlyArray<number> => {
  const found: Array<number> = []
  let depth = 0
  for (const [at, { kind, text }] of tokens.entries()) {
    if (kind === "symbol") depth += text === "(" ? 1 : text === ")" ? -1 : 0
    if (depth === 0 && kind === "word" && words.includes(text)) found.push(at)
  }
  return found
}

const isCatalog = ({ kind, text }: Token): boolean =>
  (kind === "word" || kind === "name") && (text.startsWith("pg_") || text === "information_schema")

/** Whether a name stands where a table does: `FROM pg_type`, `JOIN pg_catalog.pg_type`, `FROM a, pg_type`. */
const asksCatalogs = (tokens: ReadonlyArray<Token>): boolean =>
  tokens.some((token, at) =>
    isCatalog(token) && ["from", "join", ",", "."].includes(tokens[at - 1]?.text ?? "") &&
    tokens[at + 1]?.text !== "("
  )

/** What PostgreSQL comes with, each with the type of its arrays. */
const known: ReadonlyArray<readonly [typname: string, oid: number, typarray: number]> = [
  ["bool", 16, 1000],
  ["bytea", 17, 1001],
  ["name", 19, 1003],
  ["int8", 20, 1016],
  ["int2", 21, 1005],
  ["int4", 23, 1007],
  ["text", 25, 1009],
  ["oid", 26, 1028],
  ["json", 114, 199],
  ["float4", 700, 1021],
  ["float8", 701, 1022],
  ["varchar", 1043, 1015],
  ["date", 1082, 1182],
  ["time", 1083, 1183],
  ["timestamp", 1114, 1115],
  ["timestamptz", 1184, 1185],
  ["interval", 1186, 1187],
  ["numeric", 1700, 1231],
  ["uuid", 2950, 2951],
  ["jsonb", 3802, 3807]
]

type Row = ReadonlyMap<string, string>

const tableOf = (name: string, { database }: Context): ReadonlyArray<Row> | undefined => {
  switch (name) {
    case "pg_database":
      return [new Map([["datname", database]])]
    case "pg_type":
      return known.map(([typname, oid, typarray]) =>
        new Map([["typname", typname], ["oid", String(oid)], ["typarray", String(typarray)]])
      )
    default:
      return undefined
  }
}

const numbered = ["oid", "typarray"]

/** `{"a","b"}`, which has no more than names in it. */
const namesOf = (array: string): ReadonlyArray<string> =>
  array.slice(1, -1).split(",").map((name) => name.replace(/^"|"$/g, ""))

/** `SELECT … FROM pg_type WHERE typname = …`, where that is a text, a parameter, or `ANY` of one. */
const byName = (cursor: Cursor, context: Context): Reply | undefined => {
  cursor.at = 1
  const columns: Array<Column> = []
  do {
    const name = cursor.name()
    const column = name === undefined ? constant(types.int4, cursor.take("number") ?? "") : undefined
    if (name === undefined && column?.value === "") return undefined
    columns.push(column ?? { name: name!, type: numbered.includes(name!) ? types.oid : types.name, value: null })
  } while (cursor.symbol(","))
  if (!cursor.words("from")) return undefined
  if (cursor.words("pg_catalog")) cursor.symbol(".")
  const table = tableOf(cursor.name() ?? "", context)
  const by = cursor.words("where") ? cursor.name() : undefined
  if (table === undefined || by !== "typname" && by !== "datname" || !cursor.symbol("=")) return undefined
  if (columns.some(({ name, value }) => value === null && table[0].get(name) === undefined)) return undefined
  const isAny = cursor.words("any") && cursor.symbol("(")
  const text = isAny ? undefined : cursor.take("text")
  const place = text === undefined ? Number(cursor.take("parameter")) : 0
  if (cursor.symbol("::")) cursor.oneOf("text", "name", "varchar")
  if (isAny && cursor.symbol("[") && !cursor.symbol("]") || isAny && !cursor.symbol(")") || !cursor.isDone) {
    return undefined
  }
  if (text === undefined && !(place >= 1)) return undefined
  return {
    command: "SELECT",
    columns,
    parameters: parametersOf(cursor.tokens, context.declared),
    uses: text === undefined ? [place] : [],
    rows: (valueAt) => {
      const value = text ?? valueAt(place)
      const wanted = value === null ? [] : isAny ? namesOf(value) : [value]
      return table.filter((row) => wanted.includes(row.get(by) ?? "")).map((row) =>
        columns.map(({ name, value }) => typeof value === "string" ? value : row.get(name) ?? null)
      )
    }
  }
}

/** Whatever else is asked of the catalogs, they are empty. */
const fromCatalogs = (cursor: Cursor, context: Context): Reply | undefined => {
  const { tokens } = cursor
  const found = byName(cursor, context)
  if (found !== undefined) return found
  const { declared } = context
  cursor.at = tokens.length
  if (!asksCatalogs(tokens)) return undefined
  const [start, ...others] = outermost(tokens, "select")
  if (start === undefined) return undefined
  // Of a WITH the last; of a UNION the first says the names.
  const from = tokens[0].text === "with" ? others.at(-1) ?? start : start
  const to = outermost(tokens, "from").find((at) => at > from) ?? tokens.length
  const items = itemsOf(tokens.slice(from + 1, to))
  const parameters = parametersOf(tokens, declared)
  const single = items.length === 1 ? items[0] : []
  const first = single[0]?.text
  if (single[1]?.text === "(" && (first === "exists" || first === "count")) {
    const column = first === "exists"
      ? { name: columnName(single), type: types.bool, value: "f" }
      : { name: columnName(single), type: types.int8, value: "0" }
    return { command: "SELECT", columns: [column], parameters }
  }
  const columns = items.map((item) => ({ name: columnName(item), type: types.text, value: null }))
  return { command: "SELECT", columns, rows: () => [], parameters }
}

/** What stands between the outermost commas. */
const itemsOf = (tokens: ReadonlyArray<Token>): ReadonlyArray<ReadonlyArray<Token>> => {
  const items: Array<Array<Token>> = [[]]
  let depth = 0
  for (const token of tokens) {
    if (token.kind === "symbol") depth += token.text === "(" ? 1 : token.text === ")" ? -1 : 0
    if (depth === 0 && token.kind === "symbol" && token.text === ",") items.push([])
    else items[items.length - 1].push(token)
  }
  return items
}

const columnName = (item: ReadonlyArray<Token>): string => {
  const last = item.at(-1)
  if (last?.kind === "word" || last?.kind === "name") return last.text
  return item[1]?.text === "(" ? item[0].text : unnamed
}

/** How many there are, and of what types where that is said: `$1::oid[]`. */
const parametersOf = (tokens: ReadonlyArray<Token>, declared: ReadonlyArray<number>): ReadonlyArray<number> => {
  const parameters: Array<number> = []
  for (const [at, token] of tokens.entries()) {
    if (token.kind !== "parameter" || parameterAt(Number(token.text), declared, parameters) === undefined) continue
    if (tokens[at + 1]?.text !== "::") continue
    const cursor = new Cursor(tokens.slice(at + 2, at + 9))
    const type = typeOf(cursor)
    const number = type && (cursor.symbol("[") ? arrays[type.number] : type.number)
    if (number !== undefined) parameters[Number(token.text) - 1] ||= number
  }
  return parameters.map((type) => type || types.text)
}
