/**
 * Questions in a ring: which of its states is come to too often, whoever asks once more is told.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

/** How often the states of the client and of the server may be come to. */
const specified = (question: number, answer: number) =>
  Dialogue.make<Ring>()({
    name: "ring",
    messages: { Ask: {}, Again: {}, Enough: {}, Bye: {}, Tired: {}, Wrong: {} },
    wire: Wire.text(Codec.lines(), {
      Ask: "ASK",
      Again: "AGAIN",
      Enough: "ENOUGH",
      Bye: "BYE",
      Tired: "TIRED",
      Wrong: "WRONG"
    }),
    live: Codec.lines(),
    start: "question",
    states: {
      question: Dialogue.client({ Ask: "answer", Enough: "end" }, { atMost: question }),
      answer: Dialogue.server({ Again: "question", Tired: Dialogue.refused() }, { atMost: answer }),
      end: Dialogue.server({ Bye: Dialogue.ready })
    },
    otherwise: { server: "Wrong" }
  })

/** The state of the server is bound more narrowly. */
export class Ring extends specified(6, 3) {}

/** The state of the client is, so that its server has nothing left to say but no. */
export class Narrow extends specified(3, 6) {}

/** It answers so often, and then says that it is tired. */
export const server = (answers = 100, ring: typeof Ring = Ring) =>
  ring.server(Effect.fnUntraced(function*(first) {
    let heard = yield* first.receive
    for (let left = answers; heard._tag === "Ask"; left--) {
      if (left === 0) {
        return yield* heard.then.refuse(
          "Tired",
          {},
          new HandshakeError.InvalidGreeting({ expected: "ENOUGH", received: "ASK" })
        )
      }
      heard = yield* (yield* heard.then.say("Again")).receive
    }
    return yield* heard.then.say("Bye")
  }))

export const client = (ring: typeof Ring = Ring) =>
  ring.client(Effect.fnUntraced(function*(question) {
    const end = yield* question.say("Enough")
    return (yield* end.receive).then
  }))
