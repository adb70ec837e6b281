/**
 * Arbitrary messages of PostgreSQL, for the laws of its codecs.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Messages from "../../../src/protocols/postgres/messages.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const literal = <const A extends string>(...literals: ReadonlyArray<A>) => Arbitrary.schema(Schema.Literals(literals))

const oneOf = <A>(...choices: ReadonlyArray<Arbitrary.Arbitrary<A>>): Arbitrary.Arbitrary<A> =>
  Arbitrary.flatMap(int(0, choices.length - 1), (index) => choices[index])

// With what the codecs refuse to send, now and then: zeros, and halves of characters.
const text = Arbitrary.schema(Schema.String.check(Schema.isMaxLength(12)))
const name = Arbitrary.schema(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(6)))
const bytes = (minLength = 0, maxLength = 12) =>
  Arbitrary.map(Arbitrary.array(int(0, 255), { minLength, maxLength }), (numbers) => Uint8Array.from(numbers))
const listOf = <A>(item: Arbitrary.Arbitrary<A>) => Arbitrary.array(item, { maxLength: 4 })
const value = oneOf<Uint8Array | null>(bytes(), Arbitrary.Constant(null))
const secret = <A>(of: Arbitrary.Arbitrary<A>) => Arbitrary.map(of, (value) => Redacted.make(value))
const uint32 = int(0, 0xffff_ffff)
const int32 = int(-0x8000_0000, 0x7fff_ffff)
const format = literal("text", "binary")

const tagged = <const Tag extends string, F extends Record<string, Arbitrary.Arbitrary<any>>>(_tag: Tag, fields: F) =>
  Arbitrary.map(Arbitrary.all(fields), (fields) => ({ _tag, ...fields }))

export const startup: Arbitrary.Arbitrary<Messages.StartupPacket> = oneOf<Messages.StartupPacket>(
  tagged("SSLRequest", {}),
  tagged("GSSENCRequest", {}),
  tagged("CancelRequest", { processId: int32, secretKey: secret(bytes(4, 32)) }),
  tagged("StartupMessage", {
    minor: int(0, 0xffff),
    parameters: Arbitrary.map(listOf(Arbitrary.all([name, text])), (pairs) => new Map(pairs))
  }),
  tagged("UnknownStartup", { code: Arbitrary.map(int(0, 0xffff), (minor) => 0x0004_0000 + minor), body: bytes() })
)

const unknown = tagged("Unknown", { type: literal("d", "c", "f", "~"), body: bytes() })

/** A format of each value, one of all, or none. */
const formatsOf = (values: ReadonlyArray<unknown>, kind: number, formats: ReadonlyArray<Messages.Format>) =>
  kind === 0 ? [] : kind === 1 ? formats.slice(0, 1) : values.map((_, i) => formats[i % formats.length])

export const requests: Arbitrary.Arbitrary<Messages.RequestMessage> = oneOf<Messages.RequestMessage>(
  tagged("Query", { sql: text }),
  tagged("Parse", { name: text, sql: text, types: listOf(uint32) }),
  Arbitrary.map(
    Arbitrary.all({
      portal: text,
      statement: text,
      values: listOf(value),
      kind: int(0, 2),
      formats: Arbitrary.array(format, { minLength: 1, maxLength: 3 }),
      resultFormats: listOf(format)
    }),
    ({ formats, kind, values, ...rest }) => ({
      _tag: "Bind" as const,
      ...rest,
      values,
      formats: formatsOf(values, kind, formats)
    })
  ),
  tagged("Describe", { target: literal("statement", "portal"), name: text }),
  tagged("Execute", { portal: text, maxRows: int32 }),
  tagged("Close", { target: literal("statement", "portal"), name: text }),
  tagged("Flush", {}),
  tagged("Sync", {}),
  tagged("Terminate", {}),
  unknown
)

export const answers: Record<string, Arbitrary.Arbitrary<Messages.AuthenticationResponse>> = {
  PasswordMessage: tagged("PasswordMessage", { password: secret(text) }),
  SASLInitialResponse: tagged("SASLInitialResponse", {
    mechanism: text,
    data: oneOf<Redacted.Redacted<Uint8Array> | null>(secret(bytes()), Arbitrary.Constant(null))
  }),
  SASLResponse: tagged("SASLResponse", { data: secret(bytes()) })
}

const errorFields = {
  severity: literal("FATAL", "ERROR"),
  code: literal("28P01", "3D000"),
  message: text
}

export const backend: Arbitrary.Arbitrary<Messages.BackendMessage> = oneOf<Messages.BackendMessage>(
  tagged("AuthenticationOk", {}),
  tagged("AuthenticationKerberosV5", {}),
  tagged("AuthenticationCleartextPassword", {}),
  tagged("AuthenticationMD5Password", { salt: bytes(4, 4) }),
  tagged("AuthenticationGSS", {}),
  tagged("AuthenticationGSSContinue", { data: secret(bytes()) }),
  tagged("AuthenticationSSPI", {}),
  tagged("AuthenticationSASL", { mechanisms: Arbitrary.array(name, { minLength: 1, maxLength: 3 }) }),
  tagged("AuthenticationSASLContinue", { data: bytes() }),
  tagged("AuthenticationSASLFinal", { data: secret(bytes()) }),
  tagged("ErrorResponse", errorFields),
  tagged("ErrorResponse", {
    ...errorFields,
    detail: text,
    hint: text,
    line: text,
    localizedSeverity: literal("FATAL?")
  }),
  tagged("NoticeResponse", errorFields),
  tagged("BackendKeyData", { processId: int32, secretKey: secret(bytes(4, 32)) }),
  tagged("NegotiateProtocolVersion", { major: int(0, 0xffff), minor: int(0, 0xffff), unrecognized: listOf(text) }),
  tagged("ParameterStatus", { name: text, value: text }),
  tagged("ReadyForQuery", { status: literal("idle", "transaction", "failed") }),
  tagged("RowDescription", {
    fields: listOf(Arbitrary.all({
      name: text,
      table: uint32,
      column: int(-0x8000, 0x7fff),
      type: uint32,
      size: int(-0x8000, 0x7fff),
      modifier: int32,
      format
    }))
  }),
  tagged("DataRow", { values: listOf(value) }),
  tagged("CommandComplete", { command: text }),
  tagged("EmptyQueryResponse", {}),
  tagged("ParseComplete", {}),
  tagged("BindComplete", {}),
  tagged("CloseComplete", {}),
  tagged("NoData", {}),
  tagged("PortalSuspended", {}),
  tagged("ParameterDescription", { types: listOf(uint32) }),
  tagged("NotificationResponse", { processId: int32, channel: text, payload: text }),
  unknown
)
