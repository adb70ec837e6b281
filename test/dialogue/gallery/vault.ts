/** A vault, spoken in lines: a version, a nonce, a proof, and as many pings in between as four. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Wire from "../../../src/Wire.ts"

/** What may be written down otherwise than it should be. */
interface Bounds {
  readonly within?: string
  readonly maxBytes?: number
  readonly atMost?: number
  readonly why?: string
  readonly retryable?: boolean
}

export const specified = (
  { atMost = 4, maxBytes = 64, retryable = false, why = "speak properly", within = "5 seconds" }: Bounds = {}
) => {
  class Vault extends Dialogue.make<Vault>()({
    name: "vault",
    messages: {
      Hello: { version: Schema.Int, agent: Dialogue.free(Schema.String) },
      Nonce: { nonce: Dialogue.fresh(Schema.String) },
      Proof: { user: Schema.String, proof: Schema.Redacted(Schema.String) },
      Ping: {},
      Pong: {},
      Welcome: { motto: Dialogue.free(Schema.String) },
      Denied: { why: Dialogue.free(Schema.String) }
    },
    wire: Wire.text(Codec.lines(), {
      Hello: "HELLO {version} {agent}",
      Nonce: "NONCE {nonce}",
      Proof: "PROOF {user} {proof}",
      Ping: "PING",
      Pong: "PONG",
      Welcome: "WELCOME {motto}",
      Denied: "NO {why}"
    }),
    live: Codec.lines(),
    start: "greeting",
    states: {
      greeting: Dialogue.client({ Hello: "challenge" }, { within: within as "5 seconds", maxBytes }),
      challenge: Dialogue.server({ Nonce: "proof", Denied: Dialogue.refused() }),
      proof: Dialogue.client({ Proof: "verdict", Ping: "pong" }, { within: "3 seconds", atMost }),
      pong: Dialogue.server({ Pong: "proof" }),
      verdict: Dialogue.server({ Welcome: Dialogue.ready, Denied: Dialogue.refused({ retryable }) })
    },
    otherwise: { server: { _tag: "Denied", why } }
  }) {}
  return Vault
}

export const Vault = specified()

export const key = "a key of the vault"

/** What a server does with what it hears. */
export interface Checks {
  readonly isVersion?: (version: number) => boolean
  readonly isUser?: (user: string) => boolean
  readonly isProof?: (proof: string, due: string) => boolean
  readonly nonce?: () => string
  readonly heard?: (proof: string) => Effect.Effect<void>
  readonly detail?: (proof: string) => string
  readonly found?: (user: string) => Effect.Effect<string>
}

let connections = 0

export const server = (
  {
    detail = () => "the proof is wrong",
    found = Effect.succeed,
    heard = () => Effect.void,
    isProof = (proof, due) => proof === due,
    isUser = (user) => user === "ann",
    isVersion = (version) => version === 2,
    nonce = () => `n${connections++}`
  }: Checks = {},
  dialogue = Vault
) =>
  dialogue.server((greeting) =>
    Effect.gen(function*() {
      const { message: hello, then: challenge } = yield* greeting.receive
      if (!isVersion(hello.version)) {
        const reason = new HandshakeError.UnsupportedVersion({ offered: String(hello.version), supported: ["2"] })
        return yield* challenge.refuse("Denied", { why: "version 2 is spoken here" }, reason)
      }
      const made = nonce()
      let proof = yield* challenge.say("Nonce", { nonce: made })
      for (;;) {
        const said = yield* proof.receive
        if (said._tag === "Ping") {
          proof = yield* said.then.say("Pong")
          continue
        }
        const given = Redacted.value(said.message.proof)
        yield* heard(given)
        const user = yield* found(said.message.user)
        if (!isUser(user) || !isProof(given, `${key} ${made}`)) {
          const reason = new HandshakeError.AuthenticationFailed({
            method: "proof",
            detail: detail(given),
            fault: "peer"
          })
          return yield* said.then.refuse("Denied", { why: "who are you?" }, reason)
        }
        return yield* said.then.say("Welcome", { motto: "all is safe" })
      }
    })
  )

export const client = (dialogue = Vault) =>
  dialogue.client((greeting) =>
    Effect.gen(function*() {
      const challenge = yield* greeting.say("Hello", { version: 2, agent: "a test" })
      const { message: { nonce }, then: proof } = yield* challenge.receive
      const { then: again } = yield* (yield* proof.say("Ping")).receive
      const verdict = yield* again.say("Proof", { user: "ann", proof: Redacted.make(`${key} ${nonce}`) })
      return (yield* verdict.receive).then
    })
  )
