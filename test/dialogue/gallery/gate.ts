/**
 * A gate in lines, which says whose it is, answers questions, and opens for who is known: for what goes wrong where another field is
 * wrong, where nobody asks, and with values of which any will do.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

const Seconds = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3600 }))

export class Gate extends Dialogue.make<Gate>()({
  name: "gate",
  messages: {
    Hello: { host: Schema.String },
    Ask: { token: Dialogue.free(Schema.Redacted(Schema.String)) },
    Hint: {},
    Login: {
      stay: Dialogue.free(Seconds),
      device: Schema.String,
      user: Schema.String,
      password: Schema.Redacted(Schema.String),
      agent: Dialogue.free(Schema.String)
    },
    Yes: {},
    No: {},
    Unknown: {}
  },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO {host}",
    Ask: "ASK {token}",
    Hint: "LOGIN FIRST",
    Login: "LOGIN {stay} {device} {user} {password} {agent}",
    Yes: "YES",
    No: "NO",
    Unknown: "WHO?"
  }),
  live: Codec.lines(),
  maxBytes: 256,
  start: "hello",
  states: {
    hello: Dialogue.server({ Hello: "login" }),
    login: Dialogue.client({ Ask: "hint", Login: "verdict" }, { atMost: 5 }),
    hint: Dialogue.server({ Hint: "login" }, { atMost: 5 }),
    verdict: Dialogue.server({
      Yes: Dialogue.ready,
      No: Dialogue.refused({ retryable: false }),
      Unknown: Dialogue.refused({ retryable: false })
    })
  },
  otherwise: { server: "No" }
}) {}

interface Login {
  readonly stay: number
  readonly user: string
  readonly password: string
  readonly agent: string
}

/** What a gate does wrong. */
export interface Habits {
  /** What it tells of another device. */
  readonly offered?: (device: string, login: Login) => string
  /** What it does when it hears a login, whatever is in it, and when it is asked. */
  readonly heard?: (login: Login) => Effect.Effect<unknown, never, Scope.Scope>
  readonly asked?: (token: string) => Effect.Effect<unknown>
  /** How often it may be asked. */
  readonly patience?: number
  readonly isPassword?: (password: string) => boolean
  readonly stranger?: "No" | "Unknown"
  readonly isWelcome?: (login: Login) => boolean
}

const wrong = new HandshakeError.AuthenticationFailed({ method: "password", detail: "wrong", fault: "peer" })

export const server = (
  {
    asked = () => Effect.void,
    heard = () => Effect.void,
    isPassword = (password) => password === "Hunter22",
    isWelcome = () => true,
    offered = (device) => device,
    patience = Infinity,
    stranger = "No"
  }: Habits = {}
) =>
  Gate.server(Effect.fnUntraced(function*(hello) {
    let said = yield* (yield* hello.say("Hello", { host: "gate.test" })).receive
    for (let left = patience; said._tag === "Ask"; left--) {
      yield* asked(Redacted.value(said.message.token))
      if (left === 0) return yield* wrong
      said = yield* (yield* said.then.say("Hint")).receive
    }
    const { message, then: verdict } = said
    const login = { ...message, password: Redacted.value(message.password) }
    yield* heard(login)
    if (message.device !== "gate-1") {
      const reason = new HandshakeError.UnsupportedVersion({
        offered: offered(message.device, login),
        supported: ["gate-1"]
      })
      return yield* verdict.refuse("No", {}, reason)
    }
    if (!isWelcome(login)) return yield* verdict.refuse("No")
    if (login.user !== "ann") return yield* verdict.refuse(stranger, {}, wrong)
    if (!isPassword(login.password)) return yield* verdict.refuse("No", {}, wrong)
    return yield* verdict.say("Yes")
  }))

/** Whoever has asked with the right password may say any. */
export const careless = () =>
  Effect.suspend(() => {
    let isKnown = false
    const asked = (token: string) =>
      Effect.sync(() => {
        isKnown = token === "Hunter22"
      })
    return server({ asked, isPassword: (password) => isKnown || password === "Hunter22" })
  })

/** It looks who is there before it says its password, or only when it has. */
export const client = (
  looks: "before" | "behind" = "before",
  isHost = (host: string): boolean => host === "gate.test"
) =>
  Gate.client(Effect.fnUntraced(function*(hello) {
    const { message: { host }, then: login } = yield* hello.receive
    const other = new HandshakeError.InvalidGreeting({ expected: "gate.test", received: host })
    if (looks === "before" && !isHost(host)) return yield* other
    const password = Redacted.make("Hunter22")
    const fields = { stay: 60, device: "gate-1", user: "ann", password, agent: "me" }
    const { then } = yield* (yield* login.say("Login", fields)).receive
    if (!isHost(host)) return yield* other
    return then
  }))
