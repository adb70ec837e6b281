/** An offer of ways in bytes, of which one is taken or none: what is not due looks like the beginning of what is. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as Wire from "../../../src/Wire.ts"

const Way = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))

export class Offer extends Dialogue.make<Offer>()({
  name: "offer",
  messages: { Offer: { ways: Dialogue.free(Schema.Array(Way)) }, Taken: {}, None: {}, Go: {}, Gone: {} },
  wire: Wire.bytes({ Offer: [5, Wire.uints("ways", { count: 1 })], Taken: [5, 2], None: [5, 255], Go: [1], Gone: [2] }),
  live: Codec.bytes,
  start: "offer",
  states: {
    offer: Dialogue.client({ Offer: "answer" }, { within: "5 seconds" }),
    answer: Dialogue.server({ Taken: "go", None: Dialogue.refused() }),
    go: Dialogue.client({ Go: "end" }),
    end: Dialogue.server({ Gone: Dialogue.ready })
  },
  otherwise: { server: "None" }
}) {}

export const server = Offer.server(Effect.fnUntraced(function*(offer) {
  const go = yield* (yield* offer.receive).then.say("Taken")
  return yield* (yield* go.receive).then.say("Gone")
}))

export const client = Offer.client(Effect.fnUntraced(function*(offer) {
  const { then: go } = yield* (yield* offer.say("Offer", { ways: [2] })).receive
  return (yield* (yield* go.say("Go")).receive).then
}))

/** For whom any answer means that a way was taken. */
class Any extends Dialogue.make<Any>()({
  name: "offer",
  messages: { Offer: { ways: Schema.Array(Way) }, Taken: { way: Way }, Go: {}, Gone: {} },
  wire: Wire.bytes({
    Offer: [5, Wire.uints("ways", { count: 1 })],
    Taken: [5, Wire.uint("way", 1)],
    Go: [1],
    Gone: [2]
  }),
  live: Codec.bytes,
  start: "offer",
  states: {
    offer: Dialogue.client({ Offer: "answer" }),
    answer: Dialogue.server({ Taken: "go" }),
    go: Dialogue.client({ Go: "end" }),
    end: Dialogue.server({ Gone: Dialogue.ready })
  }
}) {}

export const gullible = Any.client(Effect.fnUntraced(function*(offer) {
  const { then: go } = yield* (yield* offer.say("Offer", { ways: [2] })).receive
  return (yield* (yield* go.say("Go")).receive).then
}))
