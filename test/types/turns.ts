/**
 * What the compiler knows of a side in turns.
 */
// Nothing here runs, and much of it must not compile.
// @effect-diagnostics floatingEffect:off missingEffectError:off
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import type { AuthenticationFailed, HandshakeError } from "../../src/HandshakeError.ts"
import type * as Transport from "../../src/Transport.ts"
import * as Smtp from "../dialogue/shapes/smtp.ts"
import * as Certificates from "../support/certificates/index.ts"
import { same } from "./same.ts"

class Knock extends Dialogue.make<Knock>()({
  name: "knock",
  messages: { Hello: { name: Schema.String }, Word: { word: Schema.String }, More: {}, Welcome: {}, No: {} },
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "asking" }),
    asking: Dialogue.server({ More: "answer", No: Dialogue.refused() }),
    answer: Dialogue.client({ Word: "verdict" }),
    verdict: Dialogue.server({ Welcome: Dialogue.ready, More: "answer", No: Dialogue.refused() })
  }
}) {}

type Lines = Transport.Transport<string, string> & Dialogue.Ended<Knock>
type Needs = Socket.Socket | Scope.Scope

// It ends with the transport of the end, and fails with what its turns and its checks fail with.
const plain = Knock.serverTurns({ asking: "More", verdict: "Welcome" })
same<typeof plain, Effect.Effect<Lines, HandshakeError, Needs>>()

const failing = Knock.serverTurns({ asking: () => Effect.fail("lost" as const), verdict: "Welcome" })
same<typeof failing, Effect.Effect<Lines, HandshakeError | "lost", Needs>>()

declare const reason: AuthenticationFailed
const refusing = Knock.serverTurns({ asking: () => Effect.fail(reason), verdict: () => Dialogue.because("No", reason) })
same<typeof refusing, Effect.Effect<Lines, HandshakeError, Needs>>()

const checked = Knock.serverTurns({ asking: "More", verdict: "Welcome" }, {
  checks: { answer: () => Effect.fail("lost" as const) }
})
same<typeof checked, Effect.Effect<Lines, HandshakeError | "lost", Needs>>()

class Users
  extends Context.Service<Users, { readonly has: (name: string) => Effect.Effect<boolean> }>()("test/Users")
{}
const asking = Knock.serverTurns({
  asking: ({ message }) => Effect.map(Users.use(({ has }) => has(message.name)), (has) => has ? "More" : "No"),
  verdict: "Welcome"
})
same<typeof asking, Effect.Effect<Lines, HandshakeError, Needs | Users>>()

Knock.serverTurns({
  asking: ({ message }) => {
    const name: string = message.name
    return name === "" ? "No" : "More"
  },
  verdict: (heard, earlier) => {
    const word: string = heard.message.word
    const names = earlier.map((heard) => heard._tag === "Hello" ? heard.message.name : heard.message.word)
    return names.includes(word) ? "Welcome" : "More"
  }
})

// @ts-expect-error: the state verdict is missing
Knock.serverTurns({ asking: "More" })
// @ts-expect-error: Welcome is not said in the state asking
Knock.serverTurns({ asking: "Welcome", verdict: "Welcome" })
// @ts-expect-error: neither is it as a result
Knock.serverTurns({ asking: () => "Welcome" as const, verdict: "Welcome" })
// @ts-expect-error: nor behind a wait
Knock.serverTurns({ asking: () => Effect.succeed("Welcome" as const), verdict: "Welcome" })
// @ts-expect-error: a name has to be given
Knock.clientTurns({ greeting: "Hello", answer: { _tag: "Word", word: "" } })
// @ts-expect-error: the server hears nothing in the state verdict
Knock.serverTurns({ asking: "More", verdict: "Welcome" }, { checks: { verdict: () => undefined } })

const turns = { hello: { _tag: "Ehlo", domain: "a" }, open: "StartTls" } as const
Smtp.Mail.clientTurns(turns, { tls: { servername: "a" } })
// @ts-expect-error: it becomes encrypted, and nobody says how
Smtp.Mail.clientTurns(turns)
// @ts-expect-error: these are options of a server
Smtp.Mail.clientTurns(turns, { tls: { certificate: Certificates.server } })
