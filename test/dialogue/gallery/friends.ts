/** Two who say at once which version they speak, and what only friends know. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"

export class Friends extends Dialogue.make<Friends>()({
  name: "friends",
  messages: { Hello: { version: Schema.Literals([1, 2]), word: Schema.Redacted(Schema.String) }, Bye: {} },
  live: Codec.lines(),
  maxBytes: 128,
  start: "hello",
  states: { hello: Dialogue.both({ Hello: Dialogue.ready, Bye: Dialogue.refused() }, { within: "5 seconds" }) }
}) {}

const word = "Kernbeisser"

type Hello = { readonly version: 1 | 2; readonly word: Redacted.Redacted<string> }

/** The same for both sides. */
export const talk = <A>(hello: {
  readonly exchange: (
    tag: "Hello",
    fields: Hello
  ) => Effect.Effect<{ readonly message: Hello; readonly then: A }, HandshakeError.HandshakeError>
}) =>
  Effect.flatMap(
    hello.exchange("Hello", { version: 2, word: Redacted.make(word) }),
    ({ message, then }): Effect.Effect<A, HandshakeError.UnsupportedVersion | HandshakeError.AuthenticationFailed> =>
      message.version !== 2
        ? Effect.fail(new HandshakeError.UnsupportedVersion({ offered: `${message.version}`, supported: ["2"] }))
        : Redacted.value(message.word) !== word
        ? Effect.fail(new HandshakeError.AuthenticationFailed({ method: "word", detail: "another", fault: "peer" }))
        : Effect.succeed(then)
  )
