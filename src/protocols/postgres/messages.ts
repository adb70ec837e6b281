/**
 * The messages of PostgreSQL's protocol 3 that start-up and a query need (the PostgreSQL manual, 54.7), by their names
 * there, and how errors and transcripts show them.
 *
 * @internal
 */
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Excerpt from "../../Excerpt.ts"

/** The fields of an error or a notice that the manual names (54.8); others are not kept, as it asks for. */
export interface ErrorFields {
  /**
   * `ERROR`, `FATAL`, `PANIC`, `WARNING`, `NOTICE`, `DEBUG`, `INFO` or `LOG`; localized where the server is before 9.6, and
   * empty where the server could not start a process for the connection.
   */
  readonly severity: string
  /** As `severity`, in the language of the server, where that is another word. */
  readonly localizedSeverity?: string
  /** The SQLSTATE; empty where the server has refused the connection in the form of protocol 2, which has none. */
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
  readonly position?: string
  readonly internalPosition?: string
  readonly internalQuery?: string
  readonly where?: string
  readonly schema?: string
  readonly table?: string
  readonly column?: string
  readonly dataType?: string
  readonly constraint?: string
  readonly file?: string
  readonly line?: string
  readonly routine?: string
}

export const optionalFields = {
  D: "detail",
  H: "hint",
  P: "position",
  p: "internalPosition",
  q: "internalQuery",
  W: "where",
  s: "schema",
  t: "table",
  c: "column",
  d: "dataType",
  n: "constraint",
  F: "file",
  L: "line",
  R: "routine"
} as const satisfies Record<string, keyof ErrorFields>

export type Format = "text" | "binary"
export type TransactionStatus = "idle" | "transaction" | "failed"

export interface Field {
  readonly name: string
  /** 0 where it is no column of a table. */
  readonly table: number
  readonly column: number
  readonly type: number
  /** Negative where the size varies. */
  readonly size: number
  readonly modifier: number
  readonly format: Format
}

// ---------------------------------------------------------------------------------------------------------------------
// Before the first typed message
// ---------------------------------------------------------------------------------------------------------------------

/** What a client may send first: these have no type byte. */
export type StartupPacket =
  | { readonly _tag: "SSLRequest" }
  | { readonly _tag: "GSSENCRequest" }
  | { readonly _tag: "CancelRequest"; readonly processId: number; readonly secretKey: Redacted.Redacted<Uint8Array> }
  /** Protocol 3.`minor`. */
  | { readonly _tag: "StartupMessage"; readonly minor: number; readonly parameters: ReadonlyMap<string, string> }
  /** Another protocol than 3, of which nothing is known but the code that stands in the place of the version. */
  | { readonly _tag: "UnknownStartup"; readonly code: number; readonly body: Uint8Array }

/** The one byte that answers SSLRequest and GSSENCRequest: `S`, `G` or `N`. */
export interface EncryptionAnswer {
  readonly _tag: "EncryptionAnswer"
  readonly answer: string
}

// ---------------------------------------------------------------------------------------------------------------------
// From the client
// ---------------------------------------------------------------------------------------------------------------------

/** What answers an authentication request. The three are told apart by what was asked for. */
export type AuthenticationResponse =
  | { readonly _tag: "PasswordMessage"; readonly password: Redacted.Redacted<string> }
  | {
    readonly _tag: "SASLInitialResponse"
    readonly mechanism: string
    readonly data: Redacted.Redacted<Uint8Array> | null
  }
  | { readonly _tag: "SASLResponse"; readonly data: Redacted.Redacted<Uint8Array> }

/** A message whose type this module does not know. */
export interface Unknown {
  readonly _tag: "Unknown"
  readonly type: string
  readonly body: Uint8Array
}

/** What a client says behind the handshake. */
export type RequestMessage =
  | { readonly _tag: "Query"; readonly sql: string }
  | { readonly _tag: "Parse"; readonly name: string; readonly sql: string; readonly types: ReadonlyArray<number> }
  | {
    readonly _tag: "Bind"
    readonly portal: string
    readonly statement: string
    /** Of each value; one for all; or none, where all are text. */
    readonly formats: ReadonlyArray<Format>
    readonly values: ReadonlyArray<Uint8Array | null>
    /** Of each column of the result, in the same way. */
    readonly resultFormats: ReadonlyArray<Format>
  }
  | { readonly _tag: "Describe"; readonly target: "statement" | "portal"; readonly name: string }
  | { readonly _tag: "Execute"; readonly portal: string; readonly maxRows: number }
  | { readonly _tag: "Close"; readonly target: "statement" | "portal"; readonly name: string }
  | { readonly _tag: "Flush" }
  | { readonly _tag: "Sync" }
  | { readonly _tag: "Terminate" }
  | Unknown

export type FrontendMessage = AuthenticationResponse | RequestMessage

/**
 * A message in the start-up that is none of those which are due there. Nothing is shown of it but its type: it may be one
 * with a secret in it whose type was changed on its way.
 */
export interface Misplaced {
  readonly _tag: "Misplaced"
  readonly type: string
  readonly body: Redacted.Redacted<Uint8Array>
}

// ---------------------------------------------------------------------------------------------------------------------
// From the server
// ---------------------------------------------------------------------------------------------------------------------

export type AuthenticationRequest =
  | { readonly _tag: "AuthenticationOk" }
  | { readonly _tag: "AuthenticationKerberosV5" }
  | { readonly _tag: "AuthenticationCleartextPassword" }
  | { readonly _tag: "AuthenticationMD5Password"; readonly salt: Uint8Array }
  | { readonly _tag: "AuthenticationGSS" }
  | { readonly _tag: "AuthenticationGSSContinue"; readonly data: Redacted.Redacted<Uint8Array> }
  | { readonly _tag: "AuthenticationSSPI" }
  | { readonly _tag: "AuthenticationSASL"; readonly mechanisms: ReadonlyArray<string> }
  | { readonly _tag: "AuthenticationSASLContinue"; readonly data: Uint8Array }
  | { readonly _tag: "AuthenticationSASLFinal"; readonly data: Redacted.Redacted<Uint8Array> }

export interface ErrorResponse extends ErrorFields {
  readonly _tag: "ErrorResponse"
}

export interface NoticeResponse extends ErrorFields {
  readonly _tag: "NoticeResponse"
}

export interface BackendKeyData {
  readonly _tag: "BackendKeyData"
  readonly processId: number
  readonly secretKey: Redacted.Redacted<Uint8Array>
}

export interface NegotiateProtocolVersion {
  readonly _tag: "NegotiateProtocolVersion"
  readonly major: number
  readonly minor: number
  readonly unrecognized: ReadonlyArray<string>
}

export type BackendMessage =
  | AuthenticationRequest
  | ErrorResponse
  | NoticeResponse
  | BackendKeyData
  | NegotiateProtocolVersion
  | { readonly _tag: "ParameterStatus"; readonly name: string; readonly value: string }
  | { readonly _tag: "ReadyForQuery"; readonly status: TransactionStatus }
  | { readonly _tag: "RowDescription"; readonly fields: ReadonlyArray<Field> }
  | { readonly _tag: "DataRow"; readonly values: ReadonlyArray<Uint8Array | null> }
  | { readonly _tag: "CommandComplete"; readonly command: string }
  | { readonly _tag: "EmptyQueryResponse" }
  | { readonly _tag: "ParseComplete" }
  | { readonly _tag: "BindComplete" }
  | { readonly _tag: "CloseComplete" }
  | { readonly _tag: "NoData" }
  | { readonly _tag: "PortalSuspended" }
  | { readonly _tag: "ParameterDescription"; readonly types: ReadonlyArray<number> }
  | {
    readonly _tag: "NotificationResponse"
    readonly processId: number
    readonly channel: string
    readonly payload: string
  }
  | Unknown

export type Message = StartupPacket | EncryptionAnswer | FrontendMessage | BackendMessage | Misplaced

// ---------------------------------------------------------------------------------------------------------------------
// As people see them
// ---------------------------------------------------------------------------------------------------------------------

/** How much of one text or of one array of bytes is shown, and how many of a list. */
const shown = 32
const listed = 8

const showValue = (value: unknown): string => {
  if (Redacted.isRedacted(value)) return Excerpt.redacted
  if (typeof value === "string") return Excerpt.ofString(value, shown)
  if (value instanceof Uint8Array) return Excerpt.ofBytes(value, shown)
  if (value instanceof Map) {
    return `{${showList(value.size, value, ([key, value]) => `${showValue(key)}: ${showValue(value)}`)}}`
  }
  if (Array.isArray(value)) return `[${showList(value.length, value, showValue)}]`
  return Predicate.isObject(value) ? showFields(value) : String(value)
}

const showList = <A>(length: number, items: Iterable<A>, show: (item: A) => string): string => {
  const texts: Array<string> = []
  for (const item of items) {
    if (texts.length === listed) {
      texts.push(`… ${length - listed} more`)
      break
    }
    texts.push(show(item))
  }
  return texts.join(", ")
}

const showFields = (fields: object): string =>
  Object.entries(fields).flatMap(([key, value]) => key === "_tag" ? [] : [`${key}: ${showValue(value)}`]).join(", ")

const showError = (name: string, { code, message, severity }: ErrorFields): string =>
  [
    name,
    ...[severity, code].flatMap((field) => field === "" ? [] : [Excerpt.ofText(field, shown)]),
    Excerpt.ofString(message, 160)
  ].join(" ")

/** A message on one line: bounded, printable, without secrets. */
export const describe = (message: Message): string => {
  switch (message._tag) {
    case "EncryptionAnswer":
      return Excerpt.ofString(message.answer)
    case "Misplaced":
      return `a message of type ${Excerpt.ofString(message.type)}`
    case "ErrorResponse":
    case "NoticeResponse":
      return showError(message._tag, message)
    case "StartupMessage":
      return Excerpt.ofText(`StartupMessage 3.${message.minor} ${showValue(message.parameters)}`)
    default: {
      const fields = showFields(message)
      return fields === "" ? message._tag : Excerpt.ofText(`${message._tag} ${fields}`)
    }
  }
}
