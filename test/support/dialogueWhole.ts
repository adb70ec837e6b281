/**
 * A dialogue with everything in it that one can have.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Wire from "../../src/Wire.ts"

/** One byte that is a number. */
const numbers = Codec.mapOrFail(Codec.fixed(1), {
  decode: ([value]) => Result.succeed({ _tag: "Number" as const, value: value! }),
  encode: ({ value }: { readonly _tag: "Number"; readonly value: number }) => Result.succeed(Uint8Array.of(value))
})

const words = Wire.text(Codec.lines({ ending: "\r\n" }), {
  Hello: "HELLO {version}|{agent}",
  Caps: "CAPS",
  List: "LIST {names}",
  Secure: "SECURE",
  Nonce: "NONCE {nonce} {rounds}",
  Busy: "BUSY {code} {seconds}",
  Denied: "NO {why}"
}, { ignoreCase: true })

const layouts = Wire.bytes({
  Login: [
    1,
    "LOGIN",
    Wire.uint("port", 2),
    Wire.string("user", { prefix: 1 }),
    Wire.sized("varint", [Wire.blob("key", { length: 4 }), Wire.string("password", { ending: "\0" })]),
    Wire.uints("ways", { count: 1 })
  ],
  Denied: [0xff, Wire.string("why", { prefix: 2 })]
})

export const Whole = Dialogue.make()({
  name: "whole",
  messages: {
    Hello: { version: Schema.Literals([1, 2]), agent: Dialogue.free(Schema.String.check(Schema.isMaxLength(20))) },
    Caps: {},
    List: { names: Schema.String },
    Secure: {},
    Nonce: { nonce: Dialogue.fresh(Schema.Uint8Array), rounds: Schema.Int.check(Schema.isGreaterThan(0)) },
    Busy: { code: Schema.NonEmptyString, seconds: Schema.Int },
    Login: {
      port: Schema.Int,
      user: Schema.NonEmptyString,
      key: Schema.Redacted(Schema.Uint8Array),
      password: Schema.Redacted(Schema.String),
      ways: Schema.Array(Schema.Int)
    },
    Number: { value: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })) },
    Hi: { flags: Schema.Array(Schema.String), note: Schema.optionalKey(Schema.String) },
    Denied: { why: Schema.String }
  },
  live: { server: Codec.lines(), client: Codec.lengthPrefixed() },
  start: "greeting",
  within: "10 seconds",
  states: {
    greeting: Dialogue.client(
      { Hello: "challenge", Caps: "caps", Secure: Dialogue.encrypted("secure") },
      { maxBytes: 100, wire: words }
    ),
    caps: Dialogue.server({ List: "greeting" }, { atMost: 3, wire: words }),
    secure: Dialogue.client({ Hello: "challenge" }, { within: "5 seconds", wire: words }),
    challenge: Dialogue.server(
      { Nonce: "login", Busy: Dialogue.refused({ codeField: "code", retryAfterField: "seconds" }) },
      { wire: words }
    ),
    login: Dialogue.client({ Login: "number" }, { wire: layouts }),
    number: Dialogue.server({ Number: "peers" }, { wire: Wire.codec(numbers) }),
    peers: Dialogue.both({ Hi: Dialogue.ready, Denied: Dialogue.refused({ retryable: false, code: "E5" }) })
  },
  otherwise: { server: { _tag: "Denied", why: "speak properly" }, client: () => undefined }
})
