/** The CONNECT of MQTT 3.1.1 with a user and a password (3.1, 3.2). */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import { AuthenticationFailed } from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

export class Mqtt extends Dialogue.make<Mqtt>()({
  name: "mqtt",
  messages: {
    Connect: {
      keepAlive: Dialogue.free(Schema.Int),
      clientId: Dialogue.free(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(23))),
      user: Schema.String,
      password: Schema.Redacted(Schema.String)
    },
    Accepted: {},
    Refused: { code: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 })) }
  },
  wire: Wire.bytes({
    // A clean session, a user and a password: 0xc2.
    Connect: [
      0x10,
      Wire.sized({ varint: 4 }, [
        Uint8Array.of(0, 4),
        "MQTT",
        4,
        0xc2,
        Wire.uint("keepAlive", 2),
        Wire.string("clientId", { prefix: 2 }),
        Wire.string("user", { prefix: 2 }),
        Wire.string("password", { prefix: 2 })
      ])
    ],
    Accepted: [0x20, 2, 0, 0],
    Refused: [0x20, 2, 0, Wire.uint("code", 1)]
  }),
  live: Codec.bytes,
  start: "connect",
  states: {
    connect: Dialogue.client({ Connect: "verdict" }, { maxBytes: 1024 }),
    verdict: Dialogue.server({
      Accepted: Dialogue.ready,
      Refused: Dialogue.refused({ retryable: false, codeField: "code" })
    })
  }
}) {}

export const server = (user: string, password: string) =>
  Mqtt.server((connect) =>
    Effect.gen(function*() {
      const { message, then: verdict } = yield* connect.receive
      if (message.user === user && Redacted.value(message.password) === password) return yield* verdict.say("Accepted")
      const reason = new AuthenticationFailed({ method: "password", detail: "no such login", fault: "peer" })
      return yield* verdict.refuse("Refused", { code: 5 }, reason)
    })
  )

export const client = (user: string, password: string) =>
  Mqtt.client((connect) =>
    Effect.gen(function*() {
      const login = { keepAlive: 60, clientId: "knock", user, password: Redacted.make(password) }
      return (yield* (yield* connect.say("Connect", login)).receive).then
    })
  )
