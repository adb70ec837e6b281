/**
 * A dialogue as a module has it that the command is given, with a nonce.
 */
import { Codec, Dialogue, Wire } from "effect-handshake"
import * as Schema from "effect/Schema"

/** Who comes answers what nobody can know beforehand. */
export class Challenge extends Dialogue.make<Challenge>()({
  name: "challenge",
  messages: {
    Hello: {},
    Nonce: { nonce: Dialogue.fresh(Schema.Int) },
    Proof: { proof: Schema.Int },
    Open: {},
    Denied: {}
  },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO",
    Nonce: "NONCE {nonce}",
    Proof: "PROOF {proof}",
    Open: "OPEN",
    Denied: "DENIED"
  }),
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "challenge" }),
    challenge: Dialogue.server({ Nonce: "answer" }),
    answer: Dialogue.client({ Proof: "verdict" }),
    verdict: Dialogue.server({ Open: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
  },
  otherwise: { server: "Denied" }
}) {}
