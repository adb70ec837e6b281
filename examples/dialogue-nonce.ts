/**
 * A nonce and a proof of who has the key, written down once: both sides are written against the same value, and what may not be
 * said does not compile.
 */
import { Effect, Redacted, Schema } from "effect"
import { Client, Codec, Dialogue, HandshakeError, Pipeline, Protocol, Server, Wire } from "effect-handshake"
import * as Net from "effect-handshake/node/Net"
import { SocketServer } from "effect/socket"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"

class Vault extends Dialogue.make<Vault>()({
  name: "vault",
  messages: {
    Hello: { user: Schema.String },
    Nonce: { nonce: Dialogue.fresh(Schema.Uint8Array) },
    Proof: { proof: Schema.Redacted(Schema.Uint8Array) },
    Welcome: {},
    Denied: {},
    Busy: {}
  },
  wire: Wire.bytes({
    Hello: ["H", Wire.string("user", { prefix: 1 })],
    Nonce: ["N", Wire.blob("nonce", { length: 16 })],
    Proof: ["P", Wire.blob("proof", { length: 32 })],
    Welcome: ["+"],
    Denied: ["-"],
    Busy: ["~"]
  }),
  live: Codec.lines(),
  start: "greeting",
  states: {
    greeting: Dialogue.client({ Hello: "challenge" }, { within: "5 seconds", maxBytes: 64 }),
    challenge: Dialogue.server({ Nonce: "proof", Busy: Dialogue.refused() }),
    proof: Dialogue.client({ Proof: "verdict" }, { within: "5 seconds" }),
    verdict: Dialogue.server({
      Welcome: Dialogue.ready,
      Denied: Dialogue.refused({ retryable: false }),
      Busy: Dialogue.refused()
    })
  },
  otherwise: { server: "Denied" }
}) {}

const keys = new Map([["ann", Redacted.make("correct horse")]])

/** What only somebody with the key can say, and only on this connection. */
const proofOf = (key: Redacted.Redacted<string>, nonce: Uint8Array) =>
  new Uint8Array(createHmac("sha256", Redacted.value(key)).update(nonce).digest())

const server = Vault.server((greeting) =>
  Effect.gen(function*() {
    const { message: hello, then: challenge } = yield* greeting.receive
    const nonce = new Uint8Array(randomBytes(16))
    const proof = yield* challenge.say("Nonce", { nonce })
    const { message, then: verdict } = yield* proof.receive
    // Whoever is not known is told so as late as the others, with a key that nobody has.
    const due = proofOf(keys.get(hello.user) ?? Redacted.make(randomBytes(16).toString("hex")), nonce)
    if (timingSafeEqual(due, Redacted.value(message.proof))) return yield* verdict.say("Welcome")
    const detail = "no such user, or a wrong key"
    const reason = new HandshakeError.AuthenticationFailed({ method: "key", detail, fault: "peer" })
    return yield* verdict.refuse("Denied", {}, reason)
  })
)

const client = (user: string, key: Redacted.Redacted<string>) =>
  Vault.client((greeting) =>
    Effect.gen(function*() {
      const challenge = yield* greeting.say("Hello", { user })
      const { message, then: proof } = yield* challenge.receive
      const verdict = yield* proof.say("Proof", { proof: Redacted.make(proofOf(key, message.nonce)) })
      const { then: transport } = yield* verdict.receive
      return transport
    })
  )

const program = Effect.gen(function*() {
  const { address } = yield* Effect.provideServiceEffect(
    Server.make({ handshake: server, serve: Pipeline.serve((line: string) => Effect.succeed(line.toUpperCase())) }),
    SocketServer.SocketServer,
    Net.makeServer({ host: "127.0.0.1", port: 0 })
  )
  const call = (key: string) =>
    Effect.scoped(Effect.gen(function*() {
      const protocol = Protocol.make({ name: "vault", server, client: client("ann", Redacted.make(key)) })
      const { call } = yield* Client.connect({ protocol, sockets: [Net.socket(address)] })
      return yield* call("hello")
    }))

  console.log(yield* call("correct horse")) // => HELLO
  const error = yield* Effect.flip(call("battery staple"))
  console.log(error.message) // => vault handshake failed at step verdict: rejected by the peer: Denied
})

await Effect.runPromise(Effect.scoped(program))
