/**
 * Passwords that are proved by SCRAM, both sides of it, and next to them PBKDF2 alone, of which each takes one: as many as
 * threads of libuv's pool can work on, and as many again waiting.
 *
 * `scram.ts ours|pbkdf2 SECONDS`
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { pbkdf2 } from "node:crypto"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { promisify } from "node:util"
import type { Crypto } from "../../src/protocols/Postgres.ts"
import * as Login from "./login.ts"
import * as Sample from "./sample.ts"

const [who, seconds] = process.argv.slice(2)

const atOnce = 32

const exchanges: Readonly<Record<string, () => Promise<() => Promise<unknown>>>> = {
  ours: async () => {
    const NodeCrypto = await import("@effect/platform-node/NodeCrypto")
    const Scram = await import("../../src/protocols/Scram.ts")
    const password = Redacted.make(Login.password)
    const services = await Effect.runPromise(Effect.provide(Effect.context<Crypto>(), NodeCrypto.layer))
    const run = Effect.runPromiseWith(services)
    const verifier = await run(Scram.verifier(password, { iterations: Login.iterations }))
    const exchange = Effect.gen(function*() {
      const clientFirst = yield* Scram.client({ username: Login.user, password })
      const serverFirst = yield* Scram.server({ mechanism: clientFirst.mechanism, endPoint: undefined })
        .receive(clientFirst.message)
      const challenge = yield* serverFirst.challenge(verifier)
      const clientFinal = yield* clientFirst.receive(challenge.message)
      const serverFinal = yield* challenge.receive(Redacted.value(clientFinal.message))
      return yield* clientFinal.receive(Redacted.value(serverFinal.message))
    })
    return () => run(exchange)
  },
  pbkdf2: async () => {
    const derive = promisify(pbkdf2)
    const salt = new Uint8Array(16)
    return () => derive(Login.password, salt, Login.iterations, 32, "sha256")
  }
}

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

const measure = Sample.sideBySide({ work: Sample.repeated(await exchanges[who]()), atOnce }, () => delay.reset())

await Sample.serve(Number(seconds), async (seconds) => {
  const sample = await measure(seconds)
  return { ...sample, delay: { p99: delay.percentile(99) / 1e6, max: delay.max / 1e6 } }
})
