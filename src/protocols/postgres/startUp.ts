/**
 * The start-up of PostgreSQL, written down: what each side may say until the session is ready (the PostgreSQL manual, 54.2 and
 * 54.7), with trust, password, md5 and SCRAM. Our client, our server and PostgreSQL itself are held to it.
 *
 * It is a specification beside the implementation: what a message of several variants may hold is looser here, and a CancelRequest,
 * which nobody answers, has no place in it.
 *
 * @internal
 */
import * as Schema from "effect/Schema"
import * as Dialogue from "../../Dialogue.ts"
import * as Wire from "../../Wire.ts"
import * as Codecs from "./codecs.ts"

const Text = Dialogue.free(Schema.String)
const Data = Dialogue.free(Schema.Uint8Array)

/** A message with its type, behind it its length, which counts itself. */
const typed = (type: string, ...parts: ReadonlyArray<Wire.PartLike>) =>
  [type, Wire.sized(4, parts, { withItself: true })] as const

/** A request for a way of authentication: which one is a number. */
const request = (method: number, ...parts: ReadonlyArray<Wire.PartLike>) =>
  typed("R", Uint8Array.of(0, 0, 0, method), ...parts)

const zeroEnded = { ending: "\0" } as const
const rest = { rest: true } as const

/** Before there are types, the first four bytes behind the length say what it is. */
const untyped = (...parts: ReadonlyArray<Wire.PartLike>) => [Wire.sized(4, parts, { withItself: true })] as const

const refused = Dialogue.refused({ retryable: false, codeField: "code" })

export class StartUp extends Dialogue.make<StartUp>()({
  name: "postgres",
  messages: {
    SSLRequest: {},
    Secure: {},
    GSSENCRequest: {},
    Clear: {},
    // The names and values of parameters, each with a zero byte behind it, and one more.
    StartupMessage: { minor: Schema.Int, parameters: Text },
    NegotiateProtocolVersion: { minor: Schema.Int, options: Data },
    AuthenticationCleartextPassword: {},
    AuthenticationMD5Password: { salt: Dialogue.fresh(Schema.Uint8Array) },
    AuthenticationSASL: { mechanisms: Schema.String },
    PasswordMessage: { password: Schema.Redacted(Schema.String) },
    SASLInitialResponse: { mechanism: Schema.String, response: Schema.Uint8Array },
    AuthenticationSASLContinue: { data: Dialogue.fresh(Schema.Uint8Array) },
    SASLResponse: { data: Schema.Redacted(Schema.Uint8Array) },
    AuthenticationSASLFinal: { data: Schema.Redacted(Schema.Uint8Array) },
    AuthenticationOk: {},
    ParameterStatus: { parameter: Text, value: Text },
    BackendKeyData: { processId: Dialogue.free(Schema.Int), key: Schema.Redacted(Schema.Uint8Array) },
    NoticeResponse: { fields: Data },
    ReadyForQuery: {},
    ErrorResponse: { localized: Text, severity: Text, code: Text, message: Text, fields: Data }
  },
  wire: Wire.bytes({
    SSLRequest: untyped(Uint8Array.of(4, 210, 22, 47)),
    Secure: ["S"],
    GSSENCRequest: untyped(Uint8Array.of(4, 210, 22, 48)),
    Clear: ["N"],
    StartupMessage: untyped(Uint8Array.of(0, 3), Wire.uint("minor", 2), Wire.string("parameters", rest)),
    NegotiateProtocolVersion: typed("v", Uint8Array.of(0, 3), Wire.uint("minor", 2), Wire.blob("options", rest)),
    AuthenticationCleartextPassword: request(3),
    AuthenticationMD5Password: request(5, Wire.blob("salt", { length: 4 })),
    AuthenticationSASL: request(10, Wire.string("mechanisms", rest)),
    PasswordMessage: typed("p", Wire.string("password", zeroEnded)),
    SASLInitialResponse: typed("p", Wire.string("mechanism", zeroEnded), Wire.blob("response", { prefix: 4 })),
    AuthenticationSASLContinue: request(11, Wire.blob("data", rest)),
    SASLResponse: typed("p", Wire.blob("data", rest)),
    AuthenticationSASLFinal: request(12, Wire.blob("data", rest)),
    AuthenticationOk: request(0),
    ParameterStatus: typed("S", Wire.string("parameter", zeroEnded), Wire.string("value", zeroEnded)),
    BackendKeyData: typed("K", Wire.uint("processId", 4), Wire.blob("key", rest)),
    NoticeResponse: typed("N", Wire.blob("fields", rest)),
    ReadyForQuery: typed("Z", "I"),
    ErrorResponse: typed(
      "E",
      "S",
      Wire.string("localized", zeroEnded),
      "V",
      Wire.string("severity", zeroEnded),
      "C",
      Wire.string("code", zeroEnded),
      "M",
      Wire.string("message", zeroEnded),
      Wire.blob("fields", rest)
    )
  }),
  live: { server: Codecs.requests(), client: Codecs.backend() },
  start: "clear",
  states: {
    clear: Dialogue.client({ SSLRequest: "tls", GSSENCRequest: "gss", StartupMessage: "method" }, {
      maxBytes: 10_000,
      atMost: 3
    }),
    tls: Dialogue.server({ Secure: Dialogue.encrypted("encrypted"), Clear: "clear", ErrorResponse: refused }),
    gss: Dialogue.server({ Clear: "clear", ErrorResponse: refused }),
    encrypted: Dialogue.client({ StartupMessage: "method" }, { maxBytes: 10_000 }),
    method: Dialogue.server({
      AuthenticationOk: "session",
      AuthenticationCleartextPassword: "password",
      AuthenticationMD5Password: "password",
      AuthenticationSASL: "mechanism",
      NegotiateProtocolVersion: "method",
      ErrorResponse: refused
    }, { atMost: 2 }),
    password: Dialogue.client({ PasswordMessage: "verdict" }),
    mechanism: Dialogue.client({ SASLInitialResponse: "challenge" }),
    challenge: Dialogue.server({ AuthenticationSASLContinue: "proof", ErrorResponse: refused }),
    proof: Dialogue.client({ SASLResponse: "final" }),
    final: Dialogue.server({ AuthenticationSASLFinal: "verdict", ErrorResponse: refused }),
    verdict: Dialogue.server({ AuthenticationOk: "session", ErrorResponse: refused }),
    session: Dialogue.server({
      ParameterStatus: "session",
      BackendKeyData: "session",
      NoticeResponse: "session",
      ReadyForQuery: Dialogue.ready,
      ErrorResponse: refused
    }, { atMost: 100 })
  }
}) {}
