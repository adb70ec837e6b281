/**
 * How one gets into the room from step 2 on: whoever has the key of a name proves it, without saying the key.
 *
 *     C  HELLO ann
 *     S  NONCE 8Nf3…          made anew for each connection
 *     C  PROOF kQ1c…          HMAC-SHA-256 of the nonce, by the key
 *     S  WELCOME
 */
import { Effect, Redacted, Schema } from "effect"
import { Codec, Dialogue, HandshakeError, Transport, Wire } from "effect-handshake"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"

export class Login extends Dialogue.make<Login>()({
  name: "chat",
  messages: {
    Hello: { user: Schema.String },
    Nonce: { nonce: Dialogue.fresh(Schema.Uint8ArrayFromBase64Url) },
    Proof: { proof: Schema.Redacted(Schema.Uint8ArrayFromBase64Url) },
    Welcome: {},
    Denied: {},
    Busy: {}
  },
  wire: Wire.text(Codec.lines(), {
    Hello: "HELLO {user}",
    Nonce: "NONCE {nonce}",
    Proof: "PROOF {proof}",
    Welcome: "WELCOME",
    Denied: "DENIED",
    Busy: "BUSY"
  }),
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "challenge" }, { within: "5 seconds", maxBytes: 64 }),
    challenge: Dialogue.server({ Nonce: "answer", Busy: Dialogue.refused() }, { maxBytes: 64 }),
    answer: Dialogue.client({ Proof: "verdict" }, { within: "5 seconds", maxBytes: 64 }),
    verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable: false }) })
  },
  // Who is turned away because the server is full, leaves or has waited too long may come again. Who says nonsense may not.
  otherwise: { server: (why) => ({ _tag: typeof why === "string" ? "Busy" : "Denied" }) }
}) {}

/** Who may come in, and with which key. */
export type Keys = ReadonlyMap<string, Redacted.Redacted<string>>

/** The users of these examples. Yours come from where your users are. */
export const users: Keys = new Map([
  ["ann", Redacted.make("correct horse")],
  ["bob", Redacted.make("battery staple")],
  ["cid", Redacted.make("paper clip")]
])

/** What only somebody with the key can say, and only where that nonce was asked for. */
export const proofOf = (key: Redacted.Redacted<string>, nonce: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac("sha256", Redacted.value(key)).update(nonce).digest())

const newNonce = Effect.sync(() => new Uint8Array(randomBytes(16)))

/** Lets those in who have a key, and tells who it is: `user` of the transport. */
export const server = (keys: Keys, nonces: Effect.Effect<Uint8Array> = newNonce) =>
  Login.server(Effect.fnUntraced(function*(greeting) {
    const { message: { user }, then: challenge } = yield* greeting.receive
    const nonce = yield* nonces
    const answer = yield* challenge.say("Nonce", { nonce })
    const { message, then: verdict } = yield* answer.receive
    // Whoever is not known is told so as late as the others, by a key that nobody has.
    const due = proofOf(keys.get(user) ?? Redacted.make(randomBytes(16).toString("hex")), nonce)
    const proof = Redacted.value(message.proof)
    if (proof.length === due.length && timingSafeEqual(proof, due)) {
      return Transport.extend(yield* verdict.say("Welcome"), { user })
    }
    const detail = "no such user, or a wrong key"
    const reason = new HandshakeError.AuthenticationFailed({ method: "key", detail, fault: "peer" })
    return yield* verdict.refuse("Denied", {}, reason)
  }))

export const client = (user: string, key = users.get(user) ?? Redacted.make("")) =>
  Login.client(Effect.fnUntraced(function*(greeting) {
    const challenge = yield* greeting.say("Hello", { user })
    const { message, then: answer } = yield* challenge.receive
    const verdict = yield* answer.say("Proof", { proof: Redacted.make(proofOf(key, message.nonce)) })
    const { then: transport } = yield* verdict.receive
    return transport
  }))
