/**
 * How a client of Redis begins that speaks in lines: it shows a password, and asks whether the server is there.
 * https://redis.io/docs/latest/develop/reference/protocol-spec/, "Inline commands" and "Simple errors".
 */
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as Wire from "../../../src/Wire.ts"

const lines = Codec.lines({ ending: "\r\n" })

const password = Schema.Redacted(Schema.String.check(Schema.isPattern(/^[a-z0-9]{1,20}$/)))

const why = Dialogue.free(Schema.String)

const description = {
  name: "redis",
  messages: { Auth: { password }, Ping: {}, Ok: {}, Pong: {}, NoAuth: { why }, WrongPass: { why }, Err: { why } },
  wire: Wire.text(lines, {
    Auth: "AUTH {password}",
    Ping: "PING",
    Ok: "+OK",
    Pong: "+PONG",
    NoAuth: "-NOAUTH {why}",
    WrongPass: "-WRONGPASS {why}",
    Err: "-ERR {why}"
  }),
  live: lines,
  start: "greeting",
  otherwise: { server: { _tag: "Err", why: "unknown command" } }
} as const

const states = {
  greeting: Dialogue.client({ Auth: "login", Ping: "early" }),
  early: Dialogue.server({ NoAuth: "greeting" }),
  login: Dialogue.server({ Ok: "session", WrongPass: "greeting" }),
  alive: Dialogue.server({ Pong: Dialogue.ready })
}

/** As it is: who is logged in may log in again. */
export class Redis extends Dialogue.make<Redis>()({
  ...description,
  states: { ...states, session: Dialogue.client({ Ping: "alive", Auth: "login" }) }
}) {}

/** As one might think that it is. */
export class Strict extends Dialogue.make<Strict>()({
  ...description,
  states: { ...states, session: Dialogue.client({ Ping: "alive" }) }
}) {}
