/**
 * A pass by a name and a password, or by a ticket: for what a server may do wrong beside a login that it looks at.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

export class Pass extends Dialogue.make<Pass>()({
  name: "pass",
  messages: {
    Login: { user: Schema.String, password: Schema.Redacted(Schema.String) },
    Ticket: { number: Schema.Int },
    Yes: {},
    No: { why: Dialogue.free(Schema.String) }
  },
  wire: Wire.text(Codec.lines(), {
    Login: "LOGIN {user} {password}",
    Ticket: "TICKET {number}",
    Yes: "YES",
    No: "NO {why}"
  }),
  live: Codec.lines(),
  start: "login",
  states: {
    login: Dialogue.client({ Login: "verdict", Ticket: "verdict" }, { within: "5 seconds", maxBytes: 64 }),
    verdict: Dialogue.server({ Yes: Dialogue.ready, No: Dialogue.refused() }, { within: "5 seconds" })
  },
  otherwise: { server: { _tag: "No", why: "login first" } }
}) {}

export interface Habits {
  /** How long it thinks about a login that is wrong. */
  readonly thinks?: Duration.Input
  /** How long it waits for a login, and who is let in. */
  readonly waits?: Duration.Input
  readonly isRight?: (user: string, password: string) => boolean
  /** What it says to somebody it does not know, and to somebody whose password is wrong. */
  readonly stranger?: (user: string) => string
  readonly mistaken?: (user: string) => string
  /** Which tickets it takes. */
  readonly takes?: (number: number) => boolean
  /** What it says of itself to whoever watches it when it has said no. */
  readonly reason?: HandshakeError.Reason
}

const wrong = new HandshakeError.AuthenticationFailed({ method: "password", detail: "wrong", fault: "peer" })

export const server = (
  {
    isRight = (user, password) => user === "ann" && password === "Hunter22",
    mistaken = (user) => `${user} is not let in`,
    reason = wrong,
    stranger = mistaken,
    takes = (number) => number === 7,
    thinks = 0,
    waits
  }: Habits = {}
) =>
  Pass.server(Effect.fnUntraced(function*(login) {
    const heard = yield* waits === undefined ? login.receive : Effect.timeout(login.receive, waits)
    if (heard._tag === "Ticket") {
      return takes(heard.message.number)
        ? yield* heard.then.say("Yes")
        : yield* heard.then.refuse("No", { why: "no such ticket" }, reason)
    }
    const { message: { password, user }, then: verdict } = heard
    if (isRight(user, Redacted.value(password))) return yield* verdict.say("Yes")
    yield* Effect.sleep(thinks)
    return yield* verdict.refuse("No", { why: user === "ann" ? mistaken(user) : stranger(user) }, reason)
  }))

export const client = Pass.client(Effect.fnUntraced(function*(login) {
  const verdict = yield* login.say("Login", { user: "ann", password: Redacted.make("Hunter22") })
  return (yield* verdict.receive).then
}))
