/** SOCKS5 (RFC 1928) with a login (RFC 1929). */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import { AuthenticationFailed } from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

export class Socks extends Dialogue.make<Socks>()({
  name: "socks5",
  messages: {
    Methods: { methods: Dialogue.free(Schema.Array(Schema.Int)) },
    UseLogin: {},
    NoMethod: {},
    Login: { user: Schema.String, password: Schema.Redacted(Schema.String) },
    Welcome: {},
    WrongLogin: { status: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 255 })) },
    Connect: { host: Dialogue.free(Schema.Uint8Array), port: Dialogue.free(Schema.Int) },
    Connected: { host: Dialogue.free(Schema.Uint8Array), port: Dialogue.free(Schema.Int) },
    Failed: {
      code: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 })),
      host: Dialogue.free(Schema.Uint8Array),
      port: Dialogue.free(Schema.Int)
    }
  },
  wire: Wire.bytes({
    Methods: [5, Wire.uints("methods", { count: 1 })],
    UseLogin: [5, 2],
    NoMethod: [5, 0xff],
    Login: [1, Wire.string("user", { prefix: 1 }), Wire.string("password", { prefix: 1 })],
    Welcome: [1, 0],
    WrongLogin: [1, Wire.uint("status", 1)],
    Connect: [5, 1, 0, 1, Wire.blob("host", { length: 4 }), Wire.uint("port", 2)],
    Connected: [5, 0, 0, 1, Wire.blob("host", { length: 4 }), Wire.uint("port", 2)],
    Failed: [5, Wire.uint("code", 1), 0, 1, Wire.blob("host", { length: 4 }), Wire.uint("port", 2)]
  }),
  live: Codec.bytes,
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Methods: "method" }, { maxBytes: 257 }),
    method: Dialogue.server({ UseLogin: "login", NoMethod: Dialogue.refused({ retryable: false }) }),
    login: Dialogue.client({ Login: "verdict" }),
    verdict: Dialogue.server({
      Welcome: "request",
      WrongLogin: Dialogue.refused({ retryable: false, codeField: "status" })
    }),
    request: Dialogue.client({ Connect: "reply" }),
    reply: Dialogue.server({ Connected: Dialogue.ready, Failed: Dialogue.refused({ codeField: "code" }) })
  }
}) {}

const nowhere = { host: new Uint8Array(4), port: 0 }

export const server = (user: string, password: string) =>
  Socks.server((greeting) =>
    Effect.gen(function*() {
      const { message: { methods }, then: method } = yield* greeting.receive
      if (!methods.includes(2)) return yield* method.refuse("NoMethod")
      const { message: login, then: verdict } = yield* (yield* method.say("UseLogin")).receive
      if (login.user !== user || Redacted.value(login.password) !== password) {
        const reason = new AuthenticationFailed({ method: "login", detail: "no such login", fault: "peer" })
        return yield* verdict.refuse("WrongLogin", { status: 1 }, reason)
      }
      const { then: reply } = yield* (yield* verdict.say("Welcome")).receive
      return yield* reply.say("Connected", nowhere)
    })
  )

export const client = (user: string, password: string, target: { readonly host: Uint8Array; readonly port: number }) =>
  Socks.client((greeting) =>
    Effect.gen(function*() {
      const { then: login } = yield* (yield* greeting.say("Methods", { methods: [2] })).receive
      const { then: request } = yield* (yield* login.say("Login", { user, password: Redacted.make(password) })).receive
      return (yield* (yield* request.say("Connect", target)).receive).then
    })
  )
