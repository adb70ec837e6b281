/**
 * Errors in the words of PostgreSQL: what a server says, as a reason of `HandshakeError`, and what this package's server
 * says for each of its own reasons.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type { CodecError } from "../../Codec.ts"
import * as Excerpt from "../../Excerpt.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import type { ErrorFields, ErrorResponse } from "./messages.ts"

/** How much of a field is kept: it may have been said by anybody. */
const maxField = 1000

const Text = Schema.String
const optional = Schema.optionalKey(Schema.String)

/** The fields of an ErrorResponse. */
const ErrorFieldsSchema = Schema.Struct({
  severity: Text,
  localizedSeverity: optional,
  code: Text,
  message: Text,
  detail: optional,
  hint: optional,
  position: optional,
  internalPosition: optional,
  internalQuery: optional,
  where: optional,
  schema: optional,
  table: optional,
  column: optional,
  dataType: optional,
  constraint: optional,
  file: optional,
  line: optional,
  routine: optional
}) satisfies Schema.Schema<ErrorFields>

/**
 * The server has said no with an ErrorResponse.
 *
 * **Details**
 *
 * It is a `Rejected` with all that the server has said in `fields`, each of them printable and no longer than 1000
 * characters. `code` is the SQLSTATE.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServerError extends HandshakeError.Rejected.extend<ServerError>(
  "effect-handshake/protocols/Postgres/ServerError"
)({ fields: ErrorFieldsSchema }) {}

/**
 * Whether another try, later or elsewhere, can do better: there is no room (class 53, but for limits of the
 * configuration), the server starts or stops (57P01 to 57P03), the database is in use (55006), or a part of what it
 * needs cannot be reached (class 08, but for what this side has said wrong).
 */
export const isRetryable = (code: string): boolean =>
  code.startsWith("53") && code !== "53400" || /^57P0[123]$/.test(code) || code === "55006" ||
  code.startsWith("08") && code !== "08P01" && code !== "08004"

/** With neither a severity nor a code it is of a server that had no process for the connection: it could not fork. */
const couldNotFork = ({ code, severity }: ErrorFields): boolean => code === "" && severity === ""

export const serverErrorOf = ({ _tag, ...response }: ErrorResponse): ServerError => {
  const fields = Object.fromEntries(
    Object.entries(response).map(([name, value]) => [name, Excerpt.ofText(value, maxField)])
  ) as typeof ErrorFieldsSchema.Type // the same names, and texts again
  return new ServerError({
    by: "peer",
    said: fields.message,
    ...response.code !== "" && { code: fields.code },
    retryable: isRetryable(response.code) || couldNotFork(response),
    fields
  })
}

const fatal = (code: string, message: string): ErrorResponse => ({
  _tag: "ErrorResponse",
  severity: "FATAL",
  code,
  message
})

/** A name that a peer has given, as a message quotes it: printable, and no longer than names are. */
const quoted = (name: string): string => Excerpt.ofString(name)

/** The same, with when to come back; no field is made for that, so that it is a hint for people. */
export const withRetryAfter = (reply: ErrorResponse, retryAfter: Duration.Duration | undefined): ErrorResponse =>
  retryAfter === undefined
    ? reply
    : { ...reply, hint: `Try again in ${Math.ceil(Duration.toSeconds(retryAfter))} seconds.` }

/** The same words for a wrong user and for a wrong password, so that nobody learns which users there are. */
export const wrongPassword = (user: string): ErrorResponse =>
  fatal("28P01", `password authentication failed for user ${quoted(user)}`)

export const rejected = (user: string): ErrorResponse =>
  fatal("28000", `the server does not let in user ${quoted(user)}`)

/** As a server says it whose `pg_hba.conf` has no entry for the client. */
export const forbidden: ErrorResponse = fatal("28000", "the server does not let in connections from here")

export const unsupportedVersion = (offered: string, supported: ReadonlyArray<string>): ErrorResponse =>
  fatal("0A000", `unsupported frontend protocol ${offered}: server supports ${supported.join(", ")}`)

export const noUser: ErrorResponse = fatal("28000", "no PostgreSQL user name specified in startup packet")
export const tlsRequired: ErrorResponse = fatal("28000", "this server takes encrypted connections only")
export const noDatabase = (name: string): ErrorResponse => fatal("3D000", `database ${quoted(name)} does not exist`)
export const encodingUnsupported = (encoding: string): ErrorResponse =>
  fatal("22023", `invalid value for parameter "client_encoding": ${quoted(encoding)}`)
export const tooManyClients: ErrorResponse = fatal("53300", "sorry, too many clients already")
export const tooOften: ErrorResponse = fatal("53300", "too many connection attempts")
export const shuttingDown: ErrorResponse = fatal("57P03", "the database system is shutting down")
export const terminating: ErrorResponse = fatal("57P01", "terminating connection due to administrator command")
export const tooSlow: ErrorResponse = fatal("57014", "canceling authentication due to timeout")
export const channelBinding: ErrorResponse = fatal("28000", "SCRAM channel binding check failed")
export const scramExtension: ErrorResponse = fatal(
  "0A000",
  "the client asks for what this server's SCRAM does not have"
)
export const internal: ErrorResponse = fatal("XX000", "the server cannot go on")
export const unavailable: ErrorResponse = fatal("57P03", "the server cannot look up users now")
export const protocolViolation = (what: string): ErrorResponse =>
  fatal("08P01", `protocol violation: ${Excerpt.ofText(what)}`)

/** What a client hears that says behind the start-up what nobody can read. */
export const violation = (error: CodecError): ErrorResponse =>
  error._tag === "FrameTooLarge"
    ? fatal("54000", `a message is longer than ${error.limit} bytes`)
    : protocolViolation(error.problem)

/** What a peer hears that has sent what it should not. Its own bytes are not repeated: they may be a secret. */
export const replyTo = (reason: HandshakeError.Reason): ErrorResponse => {
  switch (reason._tag) {
    case "FrameTooLarge":
      return protocolViolation(`a message is longer than ${reason.limit} bytes`)
    case "MalformedFrame":
      return protocolViolation(reason.problem)
    case "UnexpectedEnd":
      return protocolViolation("incomplete message")
    case "InvalidGreeting":
      return protocolViolation(`expected ${reason.expected}`)
    case "UnreadBytes":
      return protocolViolation("received unencrypted data after SSL request")
    default:
      return internal
  }
}
