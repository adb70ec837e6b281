/** A server that lists what it can do, as often as it is asked, and a client that ends it where what it needs is not in the first list. */
import * as Effect from "effect/Effect"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

export class Features extends Dialogue.make<Features>()({
  name: "features",
  messages: { Hi: {}, Tls: {}, Last: {}, Go: {}, Again: {}, Ok: {}, Good: {} },
  wire: Wire.text(Codec.lines(), {
    Hi: "HI",
    Tls: "TLS",
    Last: "LAST",
    Go: "GO",
    Again: "AGAIN",
    Ok: "OK",
    Good: "GOOD"
  }),
  live: Codec.lines(),
  start: "hello",
  states: {
    hello: Dialogue.client({ Hi: "list" }),
    list: Dialogue.server({ Tls: "list", Last: "choice" }),
    choice: Dialogue.client({ Go: "end", Again: "again" }),
    again: Dialogue.server({ Good: "hello" }),
    end: Dialogue.server({ Ok: Dialogue.ready })
  }
}) {}

export const server = Features.server(Effect.fnUntraced(function*(first) {
  for (let hello = first, isFirst = true;; isFirst = false) {
    let list = (yield* hello.receive).then
    if (isFirst) list = yield* list.say("Tls")
    const heard = yield* (yield* list.say("Last")).receive
    if (heard._tag === "Go") return yield* heard.then.say("Ok")
    hello = yield* heard.then.say("Good")
  }
}))

export const client = Features.client(Effect.fnUntraced(function*(first) {
  let hasTls = false
  const listed = Effect.fnUntraced(function*(hello: typeof first) {
    let heard = yield* (yield* hello.say("Hi")).receive
    while (heard._tag === "Tls") {
      hasTls = true
      heard = yield* heard.then.receive
    }
    return heard.then
  })
  const choice = yield* listed(first)
  if (!hasTls) {
    return yield* new HandshakeError.UnsupportedVersion({ offered: "no TLS", supported: ["TLS"], fault: "peer" })
  }
  const again = yield* listed((yield* (yield* choice.say("Again")).receive).then)
  return (yield* (yield* again.say("Go")).receive).then
}))
