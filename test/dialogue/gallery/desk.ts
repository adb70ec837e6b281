/**
 * A desk that lends books behind TLS to whoever has a card, name and PIN in one secret: for what is decided too late, what is told
 * of who is known, and what a client takes from what it was told in clear.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

export class Desk extends Dialogue.make<Desk>()({
  name: "desk",
  messages: {
    Hello: { host: Dialogue.free(Schema.NonEmptyString) },
    Tls: {},
    Card: { card: Schema.Redacted(Schema.StringFromBase64) },
    Welcome: {},
    No: {},
    Stranger: {},
    Fetch: { book: Schema.String },
    Lent: { days: Dialogue.free(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))) },
    Out: {}
  },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO {host}",
    Tls: "TLS",
    Card: "CARD {card}",
    Welcome: "WELCOME",
    No: "NO",
    Stranger: "WHO?",
    Fetch: "FETCH {book}",
    Lent: "LENT {days}",
    Out: "OUT"
  }),
  live: Codec.lines(),
  maxBytes: 64,
  start: "hello",
  states: {
    hello: Dialogue.server({ Hello: "tls" }),
    tls: Dialogue.client({ Tls: Dialogue.encrypted("card") }),
    card: Dialogue.client({ Card: "verdict" }),
    verdict: Dialogue.server({
      Welcome: "book",
      No: Dialogue.refused({ retryable: false }),
      Stranger: Dialogue.refused({ retryable: false })
    }),
    book: Dialogue.client({ Fetch: "answer" }),
    answer: Dialogue.server({ Lent: Dialogue.ready, Out: Dialogue.refused() })
  },
  otherwise: { server: "No" }
}) {}

/** For how many days each card is lent a book. */
const cards = new Map([["ann:4711-22", 14], ["bob:0815-33", 7]])
const wrong = new HandshakeError.AuthenticationFailed({ method: "card", detail: "no such card", fault: "peer" })

export const server = (
  { isForgetful = false, isLate = false, stranger = "No" }: {
    /** Whether all share one place for who is there. */
    readonly isForgetful?: boolean
    /** Whether who has a wrong card is welcome, and gets no book. */
    readonly isLate?: boolean
    readonly stranger?: "No" | "Stranger"
  } = {}
) => {
  let current = ""
  return Desk.server(Effect.fnUntraced(function*(hello) {
    const securing = (yield* (yield* hello.say("Hello", { host: "desk.test" })).receive).then
    const shown = yield* securing.startTls({ certificate: { cert: "", key: Redacted.make("") } })
    const { message, then: verdict } = yield* shown.receive
    const given = Redacted.value(message.card)
    const isKnown = cards.has(given)
    current = given
    if (!isKnown && !isLate) {
      return yield* verdict.refuse(given.split(":")[0] === "ann" ? "No" : stranger, {}, wrong)
    }
    const fetched = yield* (yield* verdict.say("Welcome")).receive
    return isKnown && fetched.message.book === "emma"
      ? yield* fetched.then.say("Lent", { days: cards.get(isForgetful ? current : given) ?? 0 })
      : yield* fetched.then.refuse("Out")
  }))
}

export const client = (
  { card = "ann:4711-22", isEnough = () => true, servername = () => "desk.test" }: {
    readonly card?: string
    readonly servername?: (host: string) => string
    readonly isEnough?: (days: number) => boolean
  } = {}
) =>
  Desk.client(Effect.fnUntraced(function*(hello) {
    const { message: { host }, then: tls } = yield* hello.receive
    const shown = yield* (yield* tls.say("Tls")).startTls({ servername: servername(host) })
    const book = (yield* (yield* shown.say("Card", { card: Redacted.make(card) })).receive).then
    const { message: { days }, then } = yield* (yield* book.say("Fetch", { book: "emma" })).receive
    if (isEnough(days)) return then
    return yield* new HandshakeError.InvalidGreeting({ expected: "days enough", received: `${days}` })
  }))
